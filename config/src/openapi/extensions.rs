//! The small extensions of §14.1: each reads one value of a document's root, an operation or a tag. Also how all of them read.

use serde_json::Value as Json;

use super::{Source, field};
use crate::definition::{ApiKeySource, Authorization, Validator, Word};
use crate::limits;
use crate::source::node::{Entry, Node, Value};

/// The fields of an extension's object, after a warning for each name that is a slip. Other unknown names are passed over, as AWS does.
#[derive(Clone, Copy)]
pub struct Fields<'n>(&'n [Entry]);

impl<'n> Fields<'n> {
    /// Opens an object; `what` names it in messages, `known` are its fields.
    pub fn open(node: &'n Node, what: &str, known: &[&str], from: &mut Source<'_>) -> Self {
        let entries = from.entries(node, what);
        for Entry { key, .. } in entries {
            if known.contains(&&*key.text) || key.text.starts_with("x-") {
                continue;
            }
            if let Some(near) = nearest(&key.text, known) {
                from.warn(
                    key.place,
                    format!("{what} has no field `{}`, did you mean `{near}`?", key.text),
                    "it is passed over, as AWS does",
                );
            }
        }
        Self(entries)
    }

    /// The value of a field; `None` also for `field:` with nothing behind it.
    pub fn get(self, name: &str) -> Option<&'n Node> {
        field(self.0, name)
    }

    /// A text.
    pub fn text(self, name: &str, from: &mut Source<'_>) -> Option<Word> {
        from.text(self.get(name)?, &quoted(name))
    }

    /// A truth.
    pub fn flag(self, name: &str, from: &mut Source<'_>) -> Option<bool> {
        from.flag(self.get(name)?, &quoted(name))
    }

    /// A list of texts.
    pub fn texts(self, name: &str, from: &mut Source<'_>) -> Vec<Word> {
        self.get(name).map(|node| texts(node, &quoted(name), from)).unwrap_or_default()
    }

    /// Texts by name.
    pub fn pairs(self, name: &str, from: &mut Source<'_>) -> Vec<(Word, Word)> {
        self.get(name).map(|node| pairs(node, &quoted(name), from)).unwrap_or_default()
    }

    /// One word of a closed list.
    pub fn word<T: Copy>(self, name: &str, words: &[(&str, T)], from: &mut Source<'_>) -> Option<T> {
        word(self.get(name)?, &quoted(name), words, from)
    }
}

fn quoted(name: &str) -> String {
    format!("`{name}`")
}

/// The texts of a list; a text stands for a list of one.
pub fn texts(node: &Node, what: &str, from: &mut Source<'_>) -> Vec<Word> {
    from.list(node, what).iter().filter_map(|node| from.text(node, what)).collect()
}

/// The entries of a mapping of texts. Numbers and truths are texts, JSON written out becomes its text, and nothing is nothing.
pub fn pairs(node: &Node, what: &str, from: &mut Source<'_>) -> Vec<(Word, Word)> {
    let entries = from.entries(node, what);
    entries.iter().filter_map(|Entry { key, value }| Some((Word::from(key), value_text(value, from)?))).collect()
}

/// A value as text.
pub fn value_text(node: &Node, from: &mut Source<'_>) -> Option<Word> {
    match &node.value {
        Value::Scalar(_) => from.text(node, "a value"),
        Value::List(_) | Value::Map(_) => Some(Word::new(from.json(node).to_string(), node.place)),
    }
}

/// One word of a closed list, in any case, with `-` for `_`. Another word is an error, unless only a deployment knows it.
pub fn word<T: Copy>(node: &Node, what: &str, words: &[(&str, T)], from: &mut Source<'_>) -> Option<T> {
    let written = from.text(node, what)?;
    let name = written.trim().to_uppercase().replace('-', "_");
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == name) {
        return Some(*value);
    }
    if is_unknown_yet(&written) {
        from.warn(
            written.place(),
            format!("{what} is `{written}`, which only a deployment knows"),
            "it is passed over: write the value into the document",
        );
        return None;
    }
    let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let near = nearest(&name, &names).map_or(String::new(), |near| format!(", did you mean `{near}`?"));
    let listed: Vec<String> = names.iter().map(|name| quoted(name)).collect();
    from.error(
        written.place(),
        format!("{what} cannot be `{written}`{near}"),
        format!("{what} is {}", listed.join(" or ")),
    );
    None
}

/// Whether a text holds a name that something else fills in: `${…}` of CloudFormation and Terraform, `{{…}}` and `<%…%>` of
/// template engines.
pub fn is_unknown_yet(text: &str) -> bool {
    ["${", "{{", "#{", "<%"].iter().any(|mark| text.contains(mark))
}

/// The name that a slip of the finger or another habit of writing would turn into this one.
pub fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let plain = |name: &str| name.to_lowercase().replace(['_', '-'], "");
    let name = plain(name);
    let most = match name.len() {
        ..5 => 0,
        5..12 => 2,
        _ => 3,
    };
    known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(&name, &plain(known)), *known))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// `x-amazon-apigateway-api-key-source` at the root.
pub fn api_key_source(node: &Node, from: &mut Source<'_>) -> Option<ApiKeySource> {
    let words = [("HEADER", ApiKeySource::Header), ("AUTHORIZER", ApiKeySource::Authorizer)];
    word(node, "`x-amazon-apigateway-api-key-source`", &words, from)
}

/// `x-amazon-apigateway-auth` of an operation: `{type: NONE | AWS_IAM}`; `None`: it says nothing.
pub fn auth(node: &Node, from: &mut Source<'_>) -> Option<Authorization> {
    #[derive(Clone, Copy)]
    enum Type {
        None,
        Iam,
        /// Of an authorizer, which it cannot name.
        Nameless,
    }
    let what = "`x-amazon-apigateway-auth`";
    let written = node;
    if node.is_null() || matches!(&node.value, Value::Map(entries) if entries.is_empty()) {
        return None;
    }
    let node = match &node.value {
        Value::Scalar(_) => Some(node), // the type alone
        Value::List(_) | Value::Map(_) => Fields::open(node, what, &["authorizerId", "type"], from).get("type"),
    };
    let words = [
        ("NONE", Type::None),
        ("AWS_IAM", Type::Iam),
        ("SIGV4", Type::Iam),
        ("CUSTOM", Type::Nameless),
        ("COGNITO_USER_POOLS", Type::Nameless),
        ("JWT", Type::Nameless),
    ];
    let read = node.and_then(|node| word(node, "the type of `x-amazon-apigateway-auth`", &words[..], from));
    Some(match read {
        Some(Type::None) => Authorization::None,
        Some(Type::Iam) => Authorization::Iam,
        Some(Type::Nameless) => {
            from.warn(
                written.place,
                format!(
                    "{what} cannot name an authorizer: what `security` names counts, and without any nobody passes"
                ),
                "write the authorizer under the security schemes, and name it in `security` of the operation",
            );
            Authorization::Authorizer { name: Word::new(what, written.place), scopes: Vec::new() }
        }
        None => closed(written, what, from),
    })
}

/// Something restricts access, but nobody can tell how: nobody passes.
pub fn closed(node: &Node, what: &str, from: &mut Source<'_>) -> Authorization {
    from.warn(node.place, format!("{what} cannot be read: nobody passes"), "write it as API Gateway wants it");
    Authorization::Authorizer { name: Word::new(what, node.place), scopes: Vec::new() }
}

/// Keys that begin as API Gateway's extensions do and are none `at` this place: whoever wrote them meant something.
pub fn warn_of_strange(entries: &[Entry], known: &[&str], at: &str, from: &mut Source<'_>) {
    const PREFIX: &str = "x-amazon-apigateway-";
    for Entry { key, .. } in entries {
        if key.text.starts_with(PREFIX) && !known.iter().any(|known| key.text[PREFIX.len()..] == **known) {
            let listed: Vec<String> = known.iter().map(|known| format!("{PREFIX}{known}")).collect();
            from.warn(
                key.place,
                format!("`{}` means nothing {at}", key.text),
                format!("known there: {}", listed.join(", ")),
            );
        }
    }
}

/// `x-amazon-apigateway-binary-media-types` at the root.
pub fn binary_media_types(node: &Node, from: &mut Source<'_>) -> Vec<Word> {
    let types = texts(node, "`x-amazon-apigateway-binary-media-types`", from);
    // In patch paths `/` is written `~1`, and many write it here as well.
    let slashes = |word: Word| {
        if word.contains("~1") { Word::new(word.replace("~1", "/"), word.place()) } else { word }
    };
    types.into_iter().map(slashes).collect()
}

/// `x-amazon-apigateway-minimum-compression-size` at the root, in bytes (MP-20); -1 is off, as in Terraform.
pub fn minimum_compression_size(node: &Node, from: &mut Source<'_>) -> Option<u32> {
    let what = "`x-amazon-apigateway-minimum-compression-size`";
    let written = from.text(node, what)?;
    match written.trim().parse::<i64>().map(u32::try_from) {
        Ok(Ok(size)) if size <= limits::COMPRESSION_SIZE_MAX => Some(size),
        Ok(_) if written.trim() == "-1" => None,
        _ if is_unknown_yet(&written) => {
            from.warn(
                written.place(),
                format!("{what} is `{written}`, which only a deployment knows"),
                "nothing is compressed: write the number into the document",
            );
            None
        }
        _ => {
            from.error(
                written.place(),
                format!("{what} cannot be `{written}`"),
                format!("it is a number of bytes from 0 to {}", limits::COMPRESSION_SIZE_MAX),
            );
            None
        }
    }
}

/// `x-amazon-apigateway-request-validators` at the root.
pub fn request_validators(node: &Node, from: &mut Source<'_>) -> Vec<(Word, Validator)> {
    let entries = from.entries(node, "`x-amazon-apigateway-request-validators`");
    let known = ["validateRequestBody", "validateRequestParameters"];
    let mut validators = Vec::with_capacity(entries.len());
    for Entry { key, value } in entries {
        let fields = Fields::open(value, "a request validator", &known, from);
        // What cannot be read is checked rather than not.
        let mut flag = |name: &str| {
            let node = fields.get(name)?;
            Some(from.flag(node, &quoted(name)).unwrap_or(true))
        };
        let (body, parameters) = (flag(known[0]).unwrap_or(false), flag(known[1]).unwrap_or(false));
        validators.push((Word::from(key), Validator { body, parameters }));
    }
    validators
}

/// `x-amazon-apigateway-request-validator` of the root or of an operation. Whether it exists is checked by the caller.
pub fn request_validator(node: &Node, from: &mut Source<'_>) -> Option<Word> {
    from.text(node, "`x-amazon-apigateway-request-validator`").filter(|name| !name.is_empty())
}

/// `x-amazon-apigateway-policy` at the root: an object, or its JSON in a text. A policy that cannot be read is an error, for without it
/// more would be let in.
pub fn policy(node: &Node, from: &mut Source<'_>) -> Option<Json> {
    match &node.value {
        Value::Map(_) => Some(from.json(node)),
        Value::Scalar(_) if node.is_null() => None,
        Value::Scalar(text) => {
            let policy = serde_json::from_str(&text.text).ok().filter(Json::is_object);
            if policy.is_none() && is_unknown_yet(&text.text) {
                from.warn(
                    node.place,
                    format!(
                        "`x-amazon-apigateway-policy` is `{}`, which only a deployment knows: nobody passes",
                        text.text
                    ),
                    "write the policy into the document, or import what is deployed",
                );
                return Some(Json::String(text.text.to_string()));
            }
            policy.or_else(|| no_policy(node, from))
        }
        Value::List(_) => no_policy(node, from),
    }
}

fn no_policy(node: &Node, from: &mut Source<'_>) -> Option<Json> {
    from.error(
        node.place,
        "`x-amazon-apigateway-policy` is not a policy",
        "write an object with Version and Statement, or its JSON in quotes",
    );
    None
}

/// `x-amazon-apigateway-tag-value` of a tag at the root.
pub fn tag_value(node: &Node, from: &mut Source<'_>) -> Option<String> {
    from.string(node, "`x-amazon-apigateway-tag-value`")
}

/// `x-amazon-apigateway-importexport-version` at the root: nothing but `1.0` is known.
pub fn import_export_version(node: &Node, from: &mut Source<'_>) {
    let what = "`x-amazon-apigateway-importexport-version`";
    let Some(version) = from.text(node, what) else { return };
    if !matches!(version.trim(), "1.0" | "1") {
        from.warn(version.place(), format!("{what} is `{version}`"), "only 1.0 is known, the document is read as such");
    }
}

/// How the tests of the readers read: a value of a document of one field, and the faults.
#[cfg(test)]
pub mod tests_help {
    use router::Kind;

    use super::super::refs::Files;
    use super::super::{ImportOptions, Source};
    use crate::diagnostic::{Diagnostics, Source as File};
    use crate::source::node::{self, Node};

    /// What `read` makes of a text in YAML, and the faults, one on each line: `error: …` or `warning: …`.
    pub fn read<T>(kind: Kind, text: &str, read: impl for<'a> FnOnce(&'a Node, &mut Source<'a>) -> T) -> (T, String) {
        let mut faults = Diagnostics::default();
        faults.sources.push(File { name: "api.yaml".into(), text: text.into() });
        let node = node::parse(text, 0, &mut faults).expect("the text parses");
        let (options, files) = (ImportOptions::new(kind), Files::default());
        let mut from = Source::new(&mut faults, &options, &files);
        let value = read(&node, &mut from);
        faults.finish();
        let said: Vec<String> =
            faults.list.iter().map(|fault| format!("{}: {}\n", fault.severity.as_str(), fault.what)).collect();
        (value, said.concat())
    }
}

#[cfg(test)]
mod tests {
    use router::Kind;
    use serde_json::json;

    use super::tests_help::read;
    use super::*;

    #[test]
    fn sources_of_api_keys() {
        for (text, is, said) in [
            ("HEADER", Some(ApiKeySource::Header), ""),
            ("'authorizer'", Some(ApiKeySource::Authorizer), ""),
            (
                "${source}",
                None,
                "warning: `x-amazon-apigateway-api-key-source` is `${source}`, which only a deployment knows\n",
            ),
            (
                "HEADERS",
                None,
                "error: `x-amazon-apigateway-api-key-source` cannot be `HEADERS`, did you mean `HEADER`?\n",
            ),
        ] {
            assert_eq!(read(Kind::Rest, text, api_key_source), (is, said.to_owned()), "{text}");
        }
    }

    #[test]
    fn authorization_of_an_operation() {
        for (text, is) in [
            ("{type: none}", Some(Authorization::None)),
            ("{type: AWS_IAM}", Some(Authorization::Iam)),
            ("{type: aws-iam}", Some(Authorization::Iam)),
            ("aws_iam", Some(Authorization::Iam)),
            ("{}", None),
            ("null", None),
        ] {
            assert_eq!(read(Kind::Rest, text, auth), (is, String::new()), "{text}");
        }
        for (text, says) in [
            (
                "{type: CUSTOMS}",
                "error: the type of `x-amazon-apigateway-auth` cannot be `CUSTOMS`, did you mean `CUSTOM`?\n",
            ),
            ("{Type: AWS_IAM}", "did you mean `type`"),
            ("[AWS_IAM]", "cannot be read"),
        ] {
            let (is, said) = read(Kind::Rest, text, auth);
            assert!(matches!(is, Some(Authorization::Authorizer { .. })), "nobody passes: {is:?}");
            assert!(said.contains(says), "{said}");
            assert!(said.contains("`x-amazon-apigateway-auth` cannot be read: nobody passes\n"), "{said}");
        }
        for text in ["{type: CUSTOM}", "{type: custom, authorizerId: abc}", "{type: COGNITO_USER_POOLS}", "JWT"] {
            let (is, said) = read(Kind::Rest, text, auth);
            assert!(matches!(is, Some(Authorization::Authorizer { .. })), "nobody passes: {is:?}");
            assert!(said.starts_with("warning: `x-amazon-apigateway-auth` cannot name an authorizer"), "{said}");
            assert_eq!(said.lines().count(), 1, "{said}");
        }
    }

    #[test]
    fn binary_types() {
        for (text, is) in [
            ("['image/png', '*/*']", vec!["image/png", "*/*"]),
            ("image~1gif", vec!["image/gif"]),
            ("[image~1svg+xml, null]", vec!["image/svg+xml"]),
            ("null", vec![]),
        ] {
            let (types, said) = read(Kind::Rest, text, binary_media_types);
            assert_eq!(types.iter().map(Word::as_str).collect::<Vec<_>>(), is, "{text}");
            assert_eq!(said, "");
        }
        assert!(read(Kind::Rest, "{a: b}", binary_media_types).1.starts_with("warning: "));
    }

    #[test]
    fn sizes_of_compression() {
        for (text, is) in
            [("0", Some(0)), ("10485760", Some(10_485_760)), ("'5'", Some(5)), ("-1", None), ("null", None)]
        {
            assert_eq!(read(Kind::Rest, text, minimum_compression_size), (is, String::new()), "{text}");
        }
        for text in ["10485761", "-2", "string", "1.5"] {
            let (is, said) = read(Kind::Rest, text, minimum_compression_size);
            assert_eq!(is, None);
            assert!(said.starts_with("error: "), "{text}");
        }
        assert!(read(Kind::Rest, "${size}", minimum_compression_size).1.starts_with("warning: "));
    }

    #[test]
    fn validators_that_cannot_be_read_check() {
        let text = "{all: {validateRequestBody: true, validateRequestParameters: 'true', validateRequestHeaders: true}, \
                    none: {}, params: {validateRequestParameters: maybe}, wrong: {validateRequestBodies: true}}";
        let (validators, said) = read(Kind::Rest, text, request_validators);
        let validators: Vec<_> = validators.iter().map(|(name, v)| (name.as_str(), v.body, v.parameters)).collect();
        assert_eq!(
            validators,
            [("all", true, true), ("none", false, false), ("params", false, true), ("wrong", false, false)]
        );
        assert_eq!(
            said,
            "warning: `validateRequestParameters` must be true or false, not `maybe`\n\
             warning: a request validator has no field `validateRequestBodies`, did you mean `validateRequestBody`?\n"
        );
    }

    #[test]
    fn policies() {
        let (is, said) = read(Kind::Rest, "{Version: 2012-10-17, Statement: [{Effect: Allow, Max: 5}]}", policy);
        assert_eq!(is, Some(json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Max": 5}]})));
        assert_eq!(said, "");
        let (is, _) = read(Kind::Rest, r#"'{"Version": "2012-10-17"}'"#, policy);
        assert_eq!(is, Some(json!({"Version": "2012-10-17"})));
        assert_eq!(read(Kind::Rest, "null", policy), (None, String::new()));
        let (is, said) = read(Kind::Rest, "${Policy}", policy);
        assert_eq!(is, Some(json!("${Policy}")), "nobody passes");
        assert!(
            said.starts_with("warning: `x-amazon-apigateway-policy` is `${Policy}`, which only a deployment knows")
        );
        for text in ["some words", "[a]", "'[1]'", "5"] {
            let (is, said) = read(Kind::Rest, text, policy);
            assert_eq!((is, said.as_str()), (None, "error: `x-amazon-apigateway-policy` is not a policy\n"), "{text}");
        }
    }

    #[test]
    fn versions_of_the_exchange() {
        assert_eq!(read(Kind::Http, "'1.0'", import_export_version).1, "");
        assert_eq!(read(Kind::Http, "1.0", import_export_version).1, "");
        assert!(read(Kind::Http, "2.0", import_export_version).1.starts_with("warning: "));
    }

    #[test]
    fn names_are_near_in_other_habits_of_writing() {
        assert_eq!(nearest("ResponseParameters", &["responseParameters"]), Some("responseParameters"));
        assert_eq!(nearest("request_templates", &["requestTemplates"]), Some("requestTemplates"));
        assert_eq!(nearest("passthroughBehaviour", &["passthroughBehavior"]), Some("passthroughBehavior"));
        assert_eq!(nearest("urn", &["uri"]), None);
        assert_eq!(nearest("Type", &["type"]), Some("type"));
        assert_eq!(nearest("description", &["uri", "type", "responses"]), None);
    }
}
