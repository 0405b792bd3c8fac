//! Path templates as operators write them: `/pets/{id}/{proxy+}` (RT-01, RT-04, RT-05).

use crate::kind::Kind;
use crate::limits::{SEGMENTS_MAX, TEMPLATE_BYTES_MAX, VARIABLE_NAME_BYTES_MAX, VARIABLES_MAX};
use std::fmt;

/// One parsed path template.
///
/// Literals are compared with the canonical path byte for byte: case counts, and `%2F` is not `%2f`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: Box<str>,
    variables: Box<[Box<str>]>,
    greedy: bool,
}

/// What a template is made of. The path's first slash is not part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    /// Matches itself, slashes included; never empty.
    Literal(&'a str),
    /// `{id}`: one segment that is not empty.
    Variable(&'a str),
    /// `{proxy+}`: the rest of the path, at least one byte. Always the last.
    Greedy(&'a str),
}

/// Why a text is no template, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateFault {
    /// Byte offset in the text given to [`Template::parse`].
    pub offset: usize,
    /// What is wrong there.
    pub what: TemplateProblem,
}

/// What can be wrong with a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplateProblem {
    /// It does not start with `/`.
    NoLeadingSlash,
    /// Two slashes in a row: an empty segment cannot be a resource.
    EmptySegment,
    /// A brace that does not enclose a whole segment, as in `a{b}` (RT-04).
    PartialVariable,
    /// `{` without `}`.
    Unclosed,
    /// `{}` or `{+}`.
    EmptyName,
    /// A character that variable names may not have: letters, digits and `_ - . :` are allowed.
    NameCharacter,
    /// A variable's name longer than `limits::VARIABLE_NAME_BYTES_MAX`.
    NameTooLong,
    /// The same name twice in one template.
    SameName,
    /// Something after `{proxy+}` (RT-05).
    UnderGreedy,
    /// A byte that a path cannot have, or that starts its query or fragment.
    Character,
    /// `.` or `..`: canonical paths have no such segment, so nothing could match.
    DotSegment,
    /// More than `limits::SEGMENTS_MAX` segments.
    TooManySegments,
    /// More than `limits::VARIABLES_MAX` variables.
    TooManyVariables,
    /// More than `limits::TEMPLATE_BYTES_MAX` bytes.
    TooLong,
}

impl Template {
    /// Parses `/`, `/pets`, `/pets/{id}`, `/files/{proxy+}`. A trailing slash is kept; what it means depends on the kind of API:
    /// a REST tree ignores it, an HTTP tree does not (assumed).
    pub fn parse(text: &str) -> Result<Self, TemplateFault> {
        let fault = |offset, what| Err(TemplateFault { offset, what });
        if !text.starts_with('/') {
            return fault(0, TemplateProblem::NoLeadingSlash);
        }
        if text.len() > TEMPLATE_BYTES_MAX {
            return fault(TEMPLATE_BYTES_MAX, TemplateProblem::TooLong);
        }
        let mut greedy = false;
        let mut variables: Vec<Box<str>> = Vec::new();
        let mut at = 1;
        for (count, part) in text[1..].split('/').enumerate() {
            if count == SEGMENTS_MAX {
                return fault(at, TemplateProblem::TooManySegments);
            }
            if greedy {
                return fault(at - 1, TemplateProblem::UnderGreedy);
            }
            let end = at + part.len();
            if part.is_empty() && end != text.len() {
                return fault(at, TemplateProblem::EmptySegment);
            }
            let name = variable(part).map_err(|(inside, what)| TemplateFault { offset: at + inside, what })?;
            if let Some(name) = name {
                let bare = name.strip_suffix('+').unwrap_or(name);
                greedy = bare.len() < name.len();
                let name = bare;
                if variables.len() == VARIABLES_MAX {
                    return fault(at, TemplateProblem::TooManyVariables);
                }
                if variables.iter().any(|known| **known == *name) {
                    return fault(at + 1, TemplateProblem::SameName);
                }
                variables.push(name.into());
            }
            at = end + 1;
        }
        Ok(Self { text: text.into(), variables: variables.into(), greedy })
    }

    /// The template as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The names of the variables from left to right, a greedy one without its `+`. [`crate::Captures`] has the same order.
    pub fn variables(&self) -> &[Box<str>] {
        &self.variables
    }

    /// Whether the last segment takes the rest of the path.
    pub fn is_greedy(&self) -> bool {
        self.greedy
    }

    /// Literals and variables in turn, as an API of this kind sees them: REST has no trailing slash (RT-08).
    pub(crate) fn parts(&self, kind: Kind) -> impl Iterator<Item = Part<'_>> {
        let mut text = &self.text[1..];
        if kind == Kind::Rest {
            text = text.strip_suffix('/').unwrap_or(text);
        }
        std::iter::from_fn(move || {
            let Some(inner) = text.strip_prefix('{') else {
                let (literal, rest) = text.split_at(text.find('{').unwrap_or(text.len()));
                text = rest;
                return (!literal.is_empty()).then_some(Part::Literal(literal));
            };
            let (name, rest) = inner.split_once('}').expect("parse has seen both braces");
            text = rest;
            Some(name.strip_suffix('+').map_or(Part::Variable(name), Part::Greedy))
        })
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for TemplateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.what {
            TemplateProblem::NoLeadingSlash => "a path template starts with `/`",
            TemplateProblem::EmptySegment => "an empty segment (`//`) cannot be routed",
            TemplateProblem::PartialVariable => "a variable must be a whole segment, as in `/{id}/`",
            TemplateProblem::Unclosed => "`{` without `}`",
            TemplateProblem::EmptyName => "a variable needs a name",
            TemplateProblem::NameCharacter => "a variable's name has letters, digits and `_ - . :` only",
            TemplateProblem::NameTooLong => "the variable's name is too long",
            TemplateProblem::SameName => "the same variable twice in one path",
            TemplateProblem::UnderGreedy => "nothing may follow a greedy variable",
            TemplateProblem::Character => "this character cannot stand in a path",
            TemplateProblem::DotSegment => "`.` and `..` are resolved before routing, so this could never match",
            TemplateProblem::TooManySegments => "too many segments",
            TemplateProblem::TooManyVariables => "too many variables",
            TemplateProblem::TooLong => "the template is too long",
        })
    }
}

impl std::error::Error for TemplateFault {}

/// For a segment that is a variable, what stands between its braces. Errors carry the offset inside the segment.
fn variable(part: &str) -> Result<Option<&str>, (usize, TemplateProblem)> {
    let Some(open) = part.find(['{', '}']) else {
        literal(part)?;
        return Ok(None);
    };
    if open != 0 || part.starts_with('}') {
        return Err((open, TemplateProblem::PartialVariable));
    }
    let Some(close) = part.find('}') else {
        return Err((0, TemplateProblem::Unclosed));
    };
    if close + 1 != part.len() {
        return Err((close + 1, TemplateProblem::PartialVariable));
    }
    let inner = &part[1..close];
    let name = inner.strip_suffix('+').unwrap_or(inner);
    if name.is_empty() {
        return Err((1, TemplateProblem::EmptyName));
    }
    if name.len() > VARIABLE_NAME_BYTES_MAX {
        return Err((1, TemplateProblem::NameTooLong));
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte);
    if let Some(bad) = name.bytes().position(|byte| !allowed(byte)) {
        return Err((1 + bad, TemplateProblem::NameCharacter));
    }
    Ok(Some(inner))
}

/// Checks a literal segment: visible ASCII that a canonical path can have.
fn literal(part: &str) -> Result<(), (usize, TemplateProblem)> {
    let bytes = part.as_bytes();
    for (at, &byte) in bytes.iter().enumerate() {
        let fine = match byte {
            b'%' => {
                matches!(bytes.get(at + 1..at + 3), Some(hex) if hex.iter().all(u8::is_ascii_hexdigit))
            }
            b'?' | b'#' | b'\\' => false,
            _ => byte.is_ascii_graphic(),
        };
        if !fine {
            return Err((at, TemplateProblem::Character));
        }
    }
    let plain = part.replace("%2e", ".").replace("%2E", ".");
    if plain == "." || plain == ".." {
        return Err((0, TemplateProblem::DotSegment));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> (usize, TemplateProblem) {
        let fault = Template::parse(text).expect_err(text);
        assert!(!fault.to_string().is_empty());
        (fault.offset, fault.what)
    }

    #[test]
    fn variables_are_named_in_order() {
        let template = Template::parse("/pets/{pet-id}/toys/{toy_id}/{proxy+}").expect("valid");
        let names: Vec<&str> = template.variables().iter().map(|name| &**name).collect();
        assert_eq!(names, ["pet-id", "toy_id", "proxy"]);
        assert!(template.is_greedy());
        assert_eq!(template.to_string(), template.as_str());
    }

    #[test]
    fn literals_have_no_variables() {
        for text in ["/", "/pets", "/pets/", "/a%2Fb", "/v1.0/a,b:c/~x/$y/*", "/...", "/.well-known"] {
            let template = Template::parse(text).expect(text);
            assert!(template.variables().is_empty(), "{text}");
            assert!(!template.is_greedy(), "{text}");
        }
    }

    #[test]
    fn parts_are_literals_and_variables_in_turn() {
        use Part::{Greedy, Literal, Variable};
        let check = |text: &str, rest: &[Part<'_>], http: &[Part<'_>]| {
            let template = Template::parse(text).expect(text);
            assert_eq!(template.parts(Kind::Rest).collect::<Vec<_>>(), rest, "{text}");
            assert_eq!(template.parts(Kind::Http).collect::<Vec<_>>(), http, "{text}");
        };
        check("/", &[], &[]);
        check("/a/b/", &[Literal("a/b")], &[Literal("a/b/")]);
        check("/{a}/", &[Variable("a")], &[Variable("a"), Literal("/")]);
        let both = [Literal("x/"), Variable("a"), Literal("/"), Variable("b"), Literal("/y/"), Greedy("c")];
        check("/x/{a}/{b}/y/{c+}", &both, &both);
    }

    #[test]
    fn faults_name_their_place() {
        use TemplateProblem as P;
        let table = [
            ("", 0, P::NoLeadingSlash),
            ("pets", 0, P::NoLeadingSlash),
            ("//", 1, P::EmptySegment),
            ("/a//b", 3, P::EmptySegment),
            ("/a{b}", 2, P::PartialVariable),
            ("/{a}b", 4, P::PartialVariable),
            ("/{a}{b}", 4, P::PartialVariable),
            ("/a}", 2, P::PartialVariable),
            ("/}", 1, P::PartialVariable),
            ("/x/{a", 3, P::Unclosed),
            ("/{}", 2, P::EmptyName),
            ("/{+}", 2, P::EmptyName),
            ("/{a b}", 3, P::NameCharacter),
            ("/{a+b}", 3, P::NameCharacter),
            ("/{{a}}", 5, P::PartialVariable),
            ("/{a}/x/{a}", 8, P::SameName),
            ("/{a}/{a+}", 6, P::SameName),
            ("/{a+}/b", 5, P::UnderGreedy),
            ("/{a+}/", 5, P::UnderGreedy),
            ("/a b", 2, P::Character),
            ("/a?b", 2, P::Character),
            ("/a#b", 2, P::Character),
            ("/a\\b", 2, P::Character),
            ("/caf\u{e9}", 4, P::Character),
            ("/a%2", 2, P::Character),
            ("/a%zz", 2, P::Character),
            ("/a/../b", 3, P::DotSegment),
            ("/.", 1, P::DotSegment),
            ("/%2e%2E", 1, P::DotSegment),
        ];
        for (text, offset, what) in table {
            assert_eq!(fault(text), (offset, what), "{text}");
        }
    }

    #[test]
    fn limits_hold() {
        let variables = |count: usize| (0..count).fold(String::new(), |text, i| format!("{text}/{{v{i}}}"));
        assert!(Template::parse(&variables(VARIABLES_MAX)).is_ok());
        assert_eq!(fault(&variables(VARIABLES_MAX + 1)).1, TemplateProblem::TooManyVariables);
        assert!(Template::parse(&"/a".repeat(SEGMENTS_MAX)).is_ok());
        let (offset, what) = fault(&"/a".repeat(SEGMENTS_MAX + 1));
        assert_eq!((offset, what), (2 * SEGMENTS_MAX + 1, TemplateProblem::TooManySegments));
        let long = |len: usize| format!("/{}", "a".repeat(len - 1));
        assert!(Template::parse(&long(TEMPLATE_BYTES_MAX)).is_ok());
        assert_eq!(fault(&long(TEMPLATE_BYTES_MAX + 1)).1, TemplateProblem::TooLong);
        let name = "n".repeat(VARIABLE_NAME_BYTES_MAX);
        assert!(Template::parse(&format!("/{{{name}}}")).is_ok());
        assert_eq!(fault(&format!("/{{{name}n}}")), (2, TemplateProblem::NameTooLong));
    }
}
