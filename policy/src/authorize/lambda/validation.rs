//! `identityValidationExpression`: the form of a token, looked at before anybody is asked.
//!
//! It fits if any part of the token does, unless it is anchored. Whether AWS wants the whole token to fit is not documented; what is let
//! through here is judged by the authorizer all the same.

use std::fmt;

use regex::bytes::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use crate::limits::{AUTHORIZER_PATTERN_BYTES_MAX, AUTHORIZER_PATTERN_PROGRAM_BYTES_MAX};

/// A compiled expression. It is stored as its text.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(try_from = "Box<str>", into = "Box<str>")]
pub struct Validation(Regex);

/// A text is no expression that can be used: what is wrong with it, in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidationFault(pub Box<str>);

impl fmt::Display for ValidationFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Validation {
    /// Compiles an expression. Those that could take long are none: looking ahead and behind, and references back.
    pub fn compile(text: &str) -> Result<Self, ValidationFault> {
        if text.len() > AUTHORIZER_PATTERN_BYTES_MAX {
            return Err(ValidationFault("it is too long".into()));
        }
        let mut builder = RegexBuilder::new(text);
        builder.size_limit(AUTHORIZER_PATTERN_PROGRAM_BYTES_MAX).dfa_size_limit(AUTHORIZER_PATTERN_PROGRAM_BYTES_MAX);
        builder.build().map(Self).map_err(|error| {
            // The last line says what is wrong; those before it draw where.
            let text = error.to_string();
            let what = text.lines().last().unwrap_or_default();
            ValidationFault(what.strip_prefix("error: ").unwrap_or(what).into())
        })
    }

    /// Whether a token has the form.
    pub fn fits(&self, token: &[u8]) -> bool {
        self.0.is_match(token)
    }
}

impl PartialEq for Validation {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Validation {}

impl From<Validation> for Box<str> {
    fn from(validation: Validation) -> Self {
        validation.0.as_str().into()
    }
}

impl TryFrom<Box<str>> for Validation {
    type Error = ValidationFault;

    fn try_from(text: Box<str>) -> Result<Self, ValidationFault> {
        Self::compile(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_forms() {
        for (form, token, fits) in [
            ("^Bearer [-0-9a-zA-z\\.]*$", "Bearer a.b-c", true),
            ("^Bearer [-0-9a-zA-z\\.]*$", "Basic a", false),
            ("^x-[a-z]+", "x-abc 1", true),
            ("allow", "please allow me", true),
            ("(a*)*b", &"a".repeat(5_000), false),
        ] {
            assert_eq!(Validation::compile(form).unwrap().fits(token.as_bytes()), fits, "A-04: {form}");
        }
        assert!(!Validation::compile("^a$").unwrap().fits(b"\xff"));
    }

    #[test]
    fn what_is_no_form() {
        for (form, says) in [
            ("(", "unclosed group"),
            ("(?=a)b", "look-around"),
            ("(a)\\1", "backreferences"),
            ("((((a{100}){100}){100}){100})", "size limit"),
        ] {
            let fault = Validation::compile(form).unwrap_err();
            assert!(fault.0.contains(says), "{form}: {fault}");
        }
        assert_eq!(
            Validation::compile(&"a".repeat(AUTHORIZER_PATTERN_BYTES_MAX + 1)).unwrap_err().to_string(),
            "it is too long"
        );
    }

    #[test]
    fn it_is_stored_as_its_text() {
        let form = Validation::compile("^a+$").unwrap();
        let json = serde_json::to_string(&form).unwrap();
        assert_eq!(json, "\"^a+$\"");
        assert_eq!(serde_json::from_str::<Validation>(&json).unwrap(), form);
        assert!(serde_json::from_str::<Validation>("\"(\"").is_err());
    }
}
