//! `type: jwt`: callers show a token of an issuer that is trusted (A-02, A-03).

use std::time::Duration;

use serde_json::{Map, Value as Json, json};

use super::{json_list, texts};
use crate::limits;
use crate::model::field::{Field, Table, Type};
use crate::model::reader::{Object, Reader};
use crate::source::node::{Node, Text, Value};

/// An authorizer for tokens, as written.
#[derive(Debug, Clone)]
pub struct JwtSpec {
    /// Who issues tokens; never empty but after a fault.
    pub issuers: Vec<IssuerSpec>,
    /// Where a request has its token.
    pub identity_source: Option<Text>,
    /// What tokens may be signed with.
    pub algorithms: Vec<Text>,
    /// By how much clocks may differ.
    pub clock_skew: Option<Duration>,
    /// What the head of a token must say under `typ`.
    pub token_type: Option<Text>,
    /// How long fetched keys are used without asking again.
    pub keys_kept: Option<Duration>,
    /// How much longer, while nobody can be asked.
    pub keys_stale: Option<Duration>,
}

/// An issuer, as written.
#[derive(Debug, Clone)]
pub struct IssuerSpec {
    /// What tokens say under `iss`, letter by letter.
    pub issuer: Text,
    /// Whom tokens may be meant for; empty: anybody.
    pub audience: Vec<Text>,
    /// Where its keys are; `None`: where its discovery document says.
    pub jwks: Option<JwksSpec>,
}

/// Where keys are, as written: at an address, in a file, or, without either, where the issuer's discovery document says.
#[derive(Debug, Clone)]
pub struct JwksSpec {
    /// An address.
    pub url: Option<Text>,
    /// A file, relative to the document's folder.
    pub file: Option<Text>,
    /// The file of the authorities by whom the address, or the issuer, is believed.
    pub ca: Option<Text>,
}

/// The fields of an authorizer for tokens.
pub const JWT: Table = Table {
    name: "a jwt authorizer",
    fields: &[
        Field::new("type", Type::Word(&["jwt"]), "jwt: callers show a token of an issuer that is trusted").needed(),
        Field::new("issuer", Type::Text, "what tokens say under `iss`, letter by letter: an https address"),
        Field::new("issuers", Type::List(&ISSUER), "several issuers, each with its audience and keys"),
        Field::new("audience", Type::TextList, "whom tokens may be meant for; without it, anybody"),
        Field::new("identity_source", Type::Text, "where the token stands; $request.header.Authorization by default"),
        Field::new("algorithms", Type::TextList, "what tokens may be signed with; all but HMAC and none by default"),
        Field::new("clock_skew", Type::Time, "by how much the issuer's clock may differ; 0s by default"),
        Field::new("token_type", Type::Text, "what a token's head must say under `typ`, such as at+jwt"),
        Field::new("jwks", Type::Object(&JWKS), "where the keys are; by default where the issuer's discovery says")
            .short(Type::Text),
        Field::new("keys_kept", Type::Time, "how long fetched keys are used before asking again; 1h by default"),
        Field::new("keys_stale", Type::Time, "how much longer, while the issuer cannot be asked; 1h by default"),
    ],
};

/// The fields of an issuer.
pub const ISSUER: Table = Table {
    name: "an issuer",
    fields: &[
        Field::new("issuer", Type::Text, "what tokens say under `iss`, letter by letter: an https address").needed(),
        Field::new("audience", Type::TextList, "whom its tokens may be meant for; without it, anybody"),
        Field::new("jwks", Type::Object(&JWKS), "where its keys are; by default where its discovery says")
            .short(Type::Text),
    ],
};

/// The fields of `jwks`.
pub const JWKS: Table = Table {
    name: "`jwks`",
    fields: &[
        Field::new("url", Type::Text, "an address that answers with a JSON Web Key Set"),
        Field::new("file", Type::Path, "a file that holds one, relative to the document's folder"),
        Field::new(
            "ca",
            Type::Path,
            "authorities in PEM by whom that address, or the issuer, is believed; the system's by default",
        ),
    ],
};

impl JwtSpec {
    /// Reads one.
    pub fn read(name: &Text, node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let object = reader.object(node, &JWT)?;
        object.get("type");
        let spec = Self {
            issuers: issuers(name, &object, reader),
            identity_source: object.get("identity_source").and_then(|node| reader.text(node, "`identity_source`")),
            algorithms: object.get("algorithms").map(|node| texts(node, "an algorithm", reader)).unwrap_or_default(),
            clock_skew: object
                .get("clock_skew")
                .and_then(|node| reader.time(node, "`clock_skew`", Duration::ZERO, limits::JWT_CLOCK_SKEW_MAX)),
            token_type: object.get("token_type").and_then(|node| reader.text(node, "`token_type`")),
            keys_kept: object.get("keys_kept").and_then(|node| {
                reader.time(node, "`keys_kept`", limits::JWT_KEYS_KEPT_MIN, limits::JWT_KEYS_KEPT_MAX)
            }),
            keys_stale: object
                .get("keys_stale")
                .and_then(|node| reader.time(node, "`keys_stale`", Duration::ZERO, limits::SETTING_TIME_MAX)),
        };
        object.close();
        // Without an issuer it is at fault already.
        (!spec.issuers.is_empty()).then_some(spec)
    }

    /// As `x-amazon-apigateway-authorizer` says it.
    pub fn to_json(&self) -> Json {
        let Self { issuers, identity_source, algorithms, clock_skew, token_type, keys_kept, keys_stale } = self;
        let source = identity_source.as_ref().map_or(limits::JWT_IDENTITY_SOURCE, |text| &text.text);
        let mut made = json!({ "type": "jwt", "identitySource": source });
        made["jwtConfiguration"] = match &issuers[..] {
            [one] => json!({ "issuer": &*one.issuer.text, "audience": json_list(&one.audience) }),
            several => json!({ "issuers": several.iter().map(IssuerSpec::to_json).collect::<Json>() }),
        };
        if !algorithms.is_empty() {
            made["jwtConfiguration"]["defaultAlgorithms"] = json_list(algorithms);
        }
        let mut own = Map::new();
        let mut seconds = |name: &str, time: &Option<Duration>| {
            // What is read of it counts in whole seconds.
            let whole = time.map(|time| time.as_secs() + u64::from(time.subsec_nanos() > 0));
            own.extend(whole.map(|whole| (name.to_owned(), whole.into())));
        };
        seconds("clockSkew", clock_skew);
        seconds("keysKept", keys_kept);
        seconds("keysStale", keys_stale);
        own.extend(token_type.as_ref().map(|text| ("tokenType".to_owned(), Json::from(&*text.text))));
        let keys: Map<String, Json> = issuers
            .iter()
            .filter_map(|issuer| Some((issuer.issuer.text.to_string(), issuer.jwks.as_ref()?.to_json())))
            .collect();
        if !keys.is_empty() {
            own.insert("jwks".to_owned(), keys.into());
        }
        if !own.is_empty() {
            made["x-tollgate"] = own.into();
        }
        made
    }
}

/// `issuer`, with what belongs to it, or `issuers`.
fn issuers(name: &Text, object: &Object<'_>, reader: &mut Reader<'_>) -> Vec<IssuerSpec> {
    let one = object.get("issuer").and_then(|node| reader.text(node, "`issuer`"));
    let audience = object.get("audience").map(|node| texts(node, "an audience", reader)).unwrap_or_default();
    let jwks_node = object.get("jwks");
    let jwks = jwks_node.and_then(|node| JwksSpec::read(node, reader));
    let Some(several) = object.get("issuers") else {
        if object.lacks("issuer") && object.lacks("issuers") {
            let what = format!("authorizer `{}` has no issuer", name.text);
            reader.faults.error_hint(name.place, what, "write `issuer: https://id.example.com`");
        }
        return one.map(|issuer| IssuerSpec { issuer, audience, jwks }).into_iter().collect();
    };
    let beside = [
        ("issuer", one.as_ref().map(|text| text.place)),
        ("audience", audience.first().map(|text| text.place)),
        ("jwks", jwks_node.map(|node| node.place)),
    ];
    for (field, place) in beside {
        if let Some(place) = place {
            let what = format!("`{field}` means nothing beside `issuers`");
            reader.faults.error_hint(place, what, "write it into each of the `issuers`");
        }
    }
    let list = reader.list(several);
    let read: Vec<IssuerSpec> = list.iter().filter_map(|node| IssuerSpec::read(node, reader)).collect();
    if list.is_empty() {
        reader.faults.error_hint(several.place, "`issuers` names nobody", "write `[{issuer: https://id.example.com}]`");
    }
    read
}

impl IssuerSpec {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let object = reader.object(node, &ISSUER)?;
        let issuer = object.get("issuer").and_then(|node| reader.text(node, "`issuer`"));
        if object.lacks("issuer") {
            let hint = "write `issuer: https://id.example.com`";
            reader.faults.error_hint(object.place, "an issuer has no `issuer`", hint);
        }
        let audience = object.get("audience").map(|node| texts(node, "an audience", reader)).unwrap_or_default();
        let jwks = object.get("jwks").and_then(|node| JwksSpec::read(node, reader));
        object.close();
        Some(Self { issuer: issuer?, audience, jwks })
    }

    fn to_json(&self) -> Json {
        json!({ "issuer": &*self.issuer.text, "audiences": json_list(&self.audience) })
    }
}

impl JwksSpec {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        if !matches!(node.value, Value::Map(_)) {
            let url = reader.text(node, "`jwks`")?;
            return Some(Self { url: Some(url), file: None, ca: None });
        }
        let object = reader.object(node, &JWKS)?;
        let mut text = |name: &str| object.get(name).and_then(|node| reader.text(node, &format!("`{name}`")));
        let (url, file, ca) = (text("url"), text("file"), text("ca"));
        let place = object.place;
        let lacks_all = ["url", "file", "ca"].into_iter().all(|name| object.lacks(name));
        object.close();
        if let (Some(file), Some(beside)) = (&file, url.as_ref().map(|_| "url").or(ca.as_ref().map(|_| "ca"))) {
            let what = format!("`file` stands beside `{beside}`");
            reader.faults.error_hint(file.place, what, "keys come from one place");
            return None;
        }
        if lacks_all {
            let hint = "write `jwks: https://id.example.com/keys` or `jwks: {file: keys.json}`";
            reader.faults.error_hint(place, "`jwks` names neither an address nor a file", hint);
        }
        (url.is_some() || file.is_some() || ca.is_some()).then_some(Self { url, file, ca })
    }

    fn to_json(&self) -> Json {
        let Self { url, file, ca } = self;
        let members = [("url", url), ("file", file), ("ca", ca)];
        members
            .into_iter()
            .filter_map(|(name, text)| Some((name.to_owned(), Json::from(&*text.as_ref()?.text))))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{AuthorizerSpec, TypeSpec};
    use crate::diagnostic::{Diagnostics, Source};
    use crate::model::reader::Reader;
    use crate::source::node::{self, Value};

    fn of(text: &str) -> serde_json::Value {
        let mut faults = Diagnostics::default();
        faults.sources.push(Source { name: "a.yaml".into(), text: text.into() });
        let node = node::parse(&format!("x: {text}"), 0, &mut faults).expect(text);
        let Value::Map(entries) = &node.value else { panic!("{text}") };
        let entry = &entries[0];
        let read = AuthorizerSpec::read(&entry.key, &entry.value, &mut Reader { faults: &mut faults });
        assert_eq!(faults.render(false), "", "{text}");
        let Some(TypeSpec::Jwt(spec)) = read.and_then(|read| read.spec) else { panic!("{text}") };
        spec.to_json()
    }

    #[test]
    fn it_is_written_as_the_extension_of_openapi() {
        assert_eq!(
            of("{type: jwt, issuer: 'https://a', audience: web}"),
            json!({
                "type": "jwt",
                "identitySource": "$request.header.Authorization",
                "jwtConfiguration": {"issuer": "https://a", "audience": ["web"]},
            })
        );
        assert_eq!(
            of("{type: jwt, issuers: [{issuer: 'https://a', audience: [b]}, {issuer: 'https://c', jwks: {file: k}},
                {issuer: 'https://d', jwks: {ca: d}}, {issuer: 'https://e', jwks: {url: 'https://f', ca: d}}],
                algorithms: [ES256], identity_source: $request.querystring.t, clock_skew: 1.5s, token_type: at+jwt,
                keys_kept: 1m, keys_stale: 0s}"),
            json!({
                "type": "jwt",
                "identitySource": "$request.querystring.t",
                "jwtConfiguration": {
                    "issuers": [{"issuer": "https://a", "audiences": ["b"]}, {"issuer": "https://c", "audiences": []},
                        {"issuer": "https://d", "audiences": []}, {"issuer": "https://e", "audiences": []}],
                    "defaultAlgorithms": ["ES256"],
                },
                "x-tollgate": {
                    "clockSkew": 2, "keysKept": 60, "keysStale": 0, "tokenType": "at+jwt",
                    "jwks": {"https://c": {"file": "k"}, "https://d": {"ca": "d"}, "https://e": {"url": "https://f", "ca": "d"}},
                },
            })
        );
    }
}
