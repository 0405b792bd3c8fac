//! `x-amazon-apigateway-cors` at the root of an HTTP API's document (CO-01).

use super::extensions::{is_unknown_yet, nearest};
use super::{Source, field};
use crate::definition::{Cors, Word};
use crate::source::node::{Entry, Node, Value};

const WHAT: &str = "`x-amazon-apigateway-cors`";

const FIELDS: [&str; 6] =
    ["allowCredentials", "allowHeaders", "allowMethods", "allowOrigins", "exposeHeaders", "maxAge"];

/// The configuration. Names in other habits (`allow_origins`, `AllowOrigin`) are taken with a warning: AWS passes them over.
pub fn cors(node: &Node, from: &mut Source<'_>) -> Option<Cors> {
    if node.is_null() {
        return None;
    }
    let entries = from.entries(node, WHAT);
    if !matches!(node.value, Value::Map(_)) {
        return None;
    }
    let found = FIELDS.map(|name| find(entries, name, from));
    let [credentials, headers, methods, origins, expose, max_age] = found;
    Some(Cors {
        place: node.place.into(),
        allow_origins: list(origins, "`allowOrigins`", from),
        allow_methods: list(methods, "`allowMethods`", from),
        allow_headers: list(headers, "`allowHeaders`", from),
        expose_headers: list(expose, "`exposeHeaders`", from),
        max_age: max_age.and_then(|node| seconds(node, from)),
        allow_credentials: credentials.and_then(|node| from.flag(node, "`allowCredentials`")),
    })
}

fn find<'n>(entries: &'n [Entry], name: &str, from: &mut Source<'_>) -> Option<&'n Node> {
    if let Some(node) = field(entries, name) {
        return Some(node);
    }
    let near = |entry: &&Entry| !FIELDS.contains(&&*entry.key.text) && nearest(&entry.key.text, &[name]).is_some();
    let entry = entries.iter().find(near).filter(|entry| !entry.value.is_null())?;
    from.warn(
        entry.key.place,
        format!("{WHAT} has no field `{}`, did you mean `{name}`?", entry.key.text),
        format!("it is taken for `{name}`; AWS passes it over"),
    );
    Some(&entry.value)
}

/// A list of texts; one text may name several, divided by commas.
fn list(node: Option<&Node>, what: &str, from: &mut Source<'_>) -> Vec<Word> {
    let Some(node) = node else { return Vec::new() };
    let mut read = Vec::new();
    for node in from.list(node, what) {
        let Some(word) = from.text(node, what) else { continue };
        // `'*'`: quotes within quotes, as parameter mappings write them.
        let bare = word.trim_matches(['\'', ' ']);
        if bare == word.as_str() && !bare.contains(',') {
            read.push(word);
        } else {
            let parts = bare.split(',').map(str::trim).filter(|part| !part.is_empty());
            read.extend(parts.map(|part| Word::new(part, word.place())));
        }
    }
    if matches!(node.value, Value::Scalar(_)) {
        from.warn(node.place, format!("{what} is a list, not a text"), "it is taken as a list; AWS refuses it");
    }
    read
}

/// -1 to 86400.
fn seconds(node: &Node, from: &mut Source<'_>) -> Option<i32> {
    let written = from.text(node, "`maxAge`")?;
    match written.trim_matches(['\'', ' ']).parse::<i32>() {
        Ok(seconds) if (-1..=86_400).contains(&seconds) => Some(seconds),
        Ok(seconds) => {
            let taken = seconds.clamp(-1, 86_400);
            let hint = format!("{taken} is taken: it is a number of seconds from -1 to 86400");
            from.warn(written.place(), format!("`maxAge` is {seconds}, and cannot be"), hint);
            Some(taken)
        }
        Err(_) => {
            let hint = if is_unknown_yet(&written) {
                "it is passed over: only a deployment knows it"
            } else {
                "it is passed over: it is a number of seconds from -1 to 86400"
            };
            from.warn(written.place(), format!("`maxAge` cannot be `{written}`"), hint);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use router::Kind;

    use super::super::extensions::tests_help::read;
    use super::*;

    fn words(list: &[Word]) -> Vec<&str> {
        list.iter().map(Word::as_str).collect()
    }

    #[test]
    fn a_configuration_is_read() {
        let text = "{allowOrigins: ['https://a.example', 'https://*'], allowMethods: [GET, '*'], allowHeaders: [x-a], \
                    exposeHeaders: [x-b], maxAge: -1, allowCredentials: true}";
        let (cors, said) = read(Kind::Http, text, cors);
        let cors = cors.unwrap();
        assert_eq!(said, "");
        assert_eq!(words(&cors.allow_origins), ["https://a.example", "https://*"]);
        assert_eq!(words(&cors.allow_methods), ["GET", "*"]);
        assert_eq!(words(&cors.allow_headers), ["x-a"]);
        assert_eq!(words(&cors.expose_headers), ["x-b"]);
        assert_eq!((cors.max_age, cors.allow_credentials), (Some(-1), Some(true)));
    }

    #[test]
    fn other_habits_are_taken_with_a_warning() {
        let text = "{allow_origins: \"'*'\", AllowMethods: 'GET, POST', allowHeader: [a], maxAge: '600', x-note: b}";
        let (cors, said) = read(Kind::Http, text, cors);
        let cors = cors.unwrap();
        assert_eq!(words(&cors.allow_origins), ["*"]);
        assert_eq!(words(&cors.allow_methods), ["GET", "POST"]);
        assert_eq!(words(&cors.allow_headers), ["a"]);
        assert_eq!(cors.max_age, Some(600));
        for what in ["`allow_origins`, did you mean `allowOrigins`?", "`AllowMethods`, did", "`allowHeader`, did"] {
            assert!(said.contains(what), "{said}");
        }
        assert!(said.contains("warning: `allowOrigins` is a list, not a text") && !said.contains("error"), "{said}");
    }

    #[test]
    fn ages_stay_in_their_range() {
        for (text, is) in [("86401", Some(86_400)), ("-5", Some(-1)), ("long", None), ("${age}", None)] {
            let (cors, said) = read(Kind::Http, &format!("maxAge: {text}"), cors);
            assert_eq!(cors.unwrap().max_age, is);
            assert!(said.starts_with("warning: `maxAge`"), "{said}");
        }
    }

    #[test]
    fn nothing_is_no_configuration() {
        assert_eq!(read(Kind::Http, "null", cors), (None, String::new()));
        assert_eq!(read(Kind::Http, "{}", cors).0, Some(Cors::default()));
        let (none, said) = read(Kind::Http, "yes", cors);
        assert_eq!(none, None);
        assert!(said.starts_with("warning: "));
    }
}
