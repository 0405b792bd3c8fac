//! Who calls, as the rules behind the authorizer know it: made once for a verified token or a remembered answer, and shared by the
//! requests that show the same.

use std::sync::Arc;

/// Who calls, and what the authorizer says of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// `principalId`, the subject of a token, or the ARN of who signed; for logs.
    pub principal: Box<str>,
    /// What `$context.authorizer.NAME` shows, by name: `principalId`, `claims.sub`, or what a function has answered with.
    pub fields: Box<[(Box<str>, Box<str>)]>,
    /// `usageIdentifierKey`: the API key that counts for this caller, where the authorizer names it (KP-03).
    pub usage_key: Option<Box<str>>,
    /// Who signed.
    pub iam: Option<Box<IamIdentity>>,
}

/// Who signed a request: `$context.identity.*`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IamIdentity {
    /// `arn:aws:iam::123456789012:user/ci`
    pub arn: Box<str>,
    /// Twelve digits.
    pub account: Box<str>,
    /// The access key's id; never the secret.
    pub access_key: Box<str>,
    /// `$context.identity.caller`
    pub caller: Box<str>,
    /// `$context.identity.user`
    pub user: Box<str>,
}

/// What is known of a request's caller so far. Cleared with each request.
#[derive(Debug, Default)]
pub struct Caller {
    /// Who it is; `None`: nobody was asked.
    pub identity: Option<Arc<Identity>>,
    /// Which key and plan count for it; `None`: none.
    pub subscription: Option<Subscription>,
}

/// A caller's key, and the plan by which it may call this stage (KP-05).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscription {
    /// The number of the key in the table of keys.
    pub key: u32,
    /// The number of the plan in the snapshot.
    pub plan: u16,
    /// The number of this key in this plan, in the table of keys.
    pub number: u32,
}

/// What a refusal says beyond its own words. Cleared with each request.
#[derive(Debug, Default)]
pub struct Detail {
    /// Takes the place of the message; empty: the refusal's own. It is escaped when it is written.
    pub message: Vec<u8>,
    /// Complete field lines, CRLF included.
    pub fields: Vec<u8>,
}

impl Identity {
    /// What `$context.authorizer.NAME` shows.
    pub fn field(&self, name: &[u8]) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known.as_bytes() == name).map(|(_, value)| &**value)
    }
}

impl Caller {
    /// For the next request.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Detail {
    /// For the next request; what was grown is kept.
    pub fn clear(&mut self) {
        self.message.clear();
        self.fields.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Scene;
    use crate::transform::template::{Template, TemplateNames};

    #[test]
    fn templates_read_what_the_authorizer_says() {
        let fields: [(Box<str>, Box<str>); 2] =
            [("principalId".into(), "user|7".into()), ("claims.custom:team".into(), "a \"b\"".into())];
        let iam = IamIdentity { arn: "arn:aws:iam::1:user/ci".into(), ..IamIdentity::default() };
        let identity = Identity { fields: fields.into(), iam: Some(Box::new(iam)), ..Identity::default() };
        let scene = Scene::get("/", "/", "");
        let known = crate::facts::Facts { identity: Some(&identity), ..scene.facts() };
        let names = TemplateNames { path_variables: &[], stage_variables: &std::collections::BTreeMap::new() };
        let cases = [
            ("$context.authorizer.principalId.", "user|7.", "."),
            ("${context.authorizer.claims.custom:team}", "a \"b\"", ""),
            ("$context.authorizer.claims.none", "", ""),
            ("$context.identity.userArn", "arn:aws:iam::1:user/ci", ""),
        ];
        for (text, with, without) in cases {
            let template = Template::compile(text, &names, false).unwrap();
            let rendered = |facts: &crate::facts::Facts<'_>| {
                let mut out = Vec::new();
                template.render(facts, &mut out);
                String::from_utf8(out).unwrap()
            };
            assert_eq!(rendered(&known), with, "{text}");
            assert_eq!(rendered(&scene.facts()), without, "{text}");
        }
    }
}
