//! Authorizers for tokens: types `jwt` and `cognito_user_pools`.

use std::time::Duration;

use policy::authorize::jws::{Algorithm, Algorithms};
use policy::authorize::jwt::{Issuer, Rules};
use policy::authorize::token_source::TokenSource;
use router::Kind;
use serde_json::{Map, Value as Json};

use crate::definition::Authorizer;
use crate::limits;
use crate::snapshot::{JwtRule, KeySource};

/// What is wrong with an authorizer, or odd about it.
#[derive(Debug)]
pub struct Unusable {
    /// One sentence.
    pub what: String,
    /// What to do.
    pub hint: String,
}

impl Unusable {
    fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), hint: hint.into() }
    }
}

/// What the rule of an authorizer was made of, and what is odd about it.
pub type Made = Result<(JwtRule, Vec<Unusable>), Unusable>;

/// Compiles an authorizer of type `jwt`.
pub fn compile(kind: Kind, scheme: &Authorizer, json: &Json) -> Made {
    let configuration = json.get("jwtConfiguration").unwrap_or(&Json::Null);
    let mut issuers = Vec::new();
    match configuration.get("issuers") {
        Some(list) => {
            for one in objects(list, "`issuers`")? {
                if one.get("additionalClaims").is_some_and(|claims| claims != &Json::Array(Vec::new())) {
                    let what = "`additionalClaims` are not available in this version";
                    return Err(Unusable::new(what, "remove it if scopes and audiences are enough"));
                }
                issuers.push(issuer(one.get("issuer"), one.get("audiences").or_else(|| one.get("audience")))?);
            }
        }
        None => issuers.push(issuer(configuration.get("issuer"), configuration.get("audience"))?),
    }
    let algorithms = algorithms(configuration.get("defaultAlgorithms"))?;
    let rule = rule(kind, (scheme, json), issuers, algorithms)?;
    let odd = oddities(&rule);
    Ok((rule, odd))
}

/// Compiles an authorizer of type `cognito_user_pools`: each ARN of a pool names an issuer. An address in place of an ARN is an issuer
/// itself, for those whose pool is elsewhere.
pub fn cognito(kind: Kind, scheme: &Authorizer, json: &Json) -> Made {
    let arns = json.get("providerARNs").or_else(|| json.get("providerArns"));
    let arns = texts(arns.unwrap_or(&Json::Null), "`providerARNs`")?;
    if json.get("identityValidationExpression").is_some() {
        let what = "`identityValidationExpression` of a user pool is not available in this version";
        return Err(Unusable::new(what, "use type jwt with an `audience`"));
    }
    let mut issuers = Vec::new();
    for arn in arns {
        let name = pool(arn).ok_or_else(|| {
            let hint = "write arn:aws:cognito-idp:REGION:ACCOUNT:userpool/POOL, or the issuer's https address";
            Unusable::new(format!("`{arn}` is no user pool"), hint)
        })?;
        issuers.push(Issuer { name: name.into(), audiences: Box::default() });
    }
    let mut rule = rule(kind, (scheme, json), issuers, Algorithms::ALL)?;
    rule.rules.cognito = true;
    Ok((rule, Vec::new()))
}

/// The issuer of a pool.
fn pool(arn: &str) -> Option<String> {
    if arn.starts_with("https://") || arn.starts_with("http://") {
        return Some(arn.to_owned());
    }
    let parts: Vec<&str> = arn.split(':').collect();
    let ["arn", partition, "cognito-idp", region, _, resource] = parts[..] else { return None };
    let id = resource.strip_prefix("userpool/")?;
    let is_plain =
        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if !is_plain(id) || !is_plain(region) {
        return None;
    }
    let suffix = if partition == "aws-cn" { "amazonaws.com.cn" } else { "amazonaws.com" };
    Some(format!("https://cognito-idp.{region}.{suffix}/{id}"))
}

fn rule(
    kind: Kind,
    (scheme, json): (&Authorizer, &Json),
    issuers: Vec<Issuer>,
    algorithms: Algorithms,
) -> Result<JwtRule, Unusable> {
    if issuers.is_empty() || issuers.len() > limits::ISSUERS_MAX {
        let what = format!("an authorizer has from 1 to {} issuers, not {}", limits::ISSUERS_MAX, issuers.len());
        return Err(Unusable::new(what, "write `issuer: https://id.example.com`"));
    }
    let own = Own::read(json.get("x-tollgate"))?;
    let mut keys = Vec::new();
    for (at, issuer) in issuers.iter().enumerate() {
        if issuers[..at].iter().any(|other| other.name == issuer.name) {
            return Err(Unusable::new(format!("issuer `{}` is named twice", issuer.name), "name it once"));
        }
        keys.push(own.keys(&issuer.name)?);
    }
    if let Some(stray) = own.jwks.keys().find(|name| !issuers.iter().any(|issuer| *issuer.name == ***name)) {
        let what = format!("`jwks` names `{stray}`, which is no issuer of this authorizer");
        return Err(Unusable::new(what, "write the issuer letter by letter"));
    }
    Ok(JwtRule {
        source: source(scheme, json)?,
        rules: Rules {
            issuers: issuers.into(),
            algorithms,
            clock_skew: own.clock_skew,
            kind: own.kind,
            cognito: false,
            commas: kind == Kind::Rest,
        },
        keys: keys.into(),
        kept: own.kept,
        stale: own.stale,
    })
}

/// Where the token stands: as said, or, in REST APIs, the field that the scheme names.
fn source(scheme: &Authorizer, json: &Json) -> Result<TokenSource, Unusable> {
    let written = match json.get("identitySource") {
        Some(Json::String(text)) => text.clone(),
        Some(Json::Array(list)) if matches!(list[..], [Json::String(_)]) => {
            list[0].as_str().unwrap_or_default().to_owned()
        }
        None => match (&scheme.name, scheme.location.as_deref()) {
            (Some(name), Some("header")) => format!("$request.header.{name}"),
            (Some(name), Some("query")) => format!("$request.querystring.{name}"),
            _ => limits::JWT_IDENTITY_SOURCE.to_owned(),
        },
        Some(_) => String::new(),
    };
    TokenSource::parse(&written).ok_or_else(|| {
        let hint = "write $request.header.Authorization or $request.querystring.token";
        Unusable::new(format!("`{written}` is no place of a token"), hint)
    })
}

fn issuer(name: Option<&Json>, audiences: Option<&Json>) -> Result<Issuer, Unusable> {
    let name = name.and_then(Json::as_str).unwrap_or_default();
    if name.is_empty() || name.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(Unusable::new("an issuer is missing, or is none", "write `issuer: https://id.example.com`"));
    }
    let audiences = audiences.map_or(Ok(Vec::new()), |list| texts(list, "`audience`"))?;
    Ok(Issuer { name: name.into(), audiences: audiences.into_iter().map(Box::from).collect() })
}

/// What is meant, perhaps, but should be said.
fn oddities(rule: &JwtRule) -> Vec<Unusable> {
    let mut odd = Vec::new();
    for (Issuer { name, audiences }, keys) in rule.rules.issuers.iter().zip(&rule.keys) {
        if let KeySource::Discovery(from, _) | KeySource::Url(from, _) = keys
            && is_in_the_clear(from)
        {
            let what = format!("the keys of `{name}` come in clear text: whoever is on the way may put in his own");
            odd.push(Unusable::new(what, "write https://"));
        }
        if audiences.is_empty() {
            let what = format!("tokens of `{name}` pass whomever they are meant for: there is no `audience`");
            odd.push(Unusable::new(what, "write `audience: [NAME]`, as the issuer calls this API"));
        }
        if audiences.len() > limits::AUDIENCES_MAX {
            let what = format!("more than {} audiences: API Gateway takes no more", limits::AUDIENCES_MAX);
            odd.push(Unusable::new(what, "it is served all the same"));
        }
    }
    odd
}

/// Whether others may read what goes there, and change it: HTTP, and not to this machine.
fn is_in_the_clear(address: &str) -> bool {
    let Some(rest) = address.strip_prefix("http://") else { return false };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host).trim_matches(['[', ']']);
    let is_local = host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    !is_local && !host.eq_ignore_ascii_case("localhost")
}

fn algorithms(list: Option<&Json>) -> Result<Algorithms, Unusable> {
    let Some(list) = list else { return Ok(Algorithms::ALL) };
    let mut set = Algorithms::NONE;
    for name in texts(list, "`algorithms`")? {
        let algorithm = Algorithm::parse(name).ok_or_else(|| {
            let known: Vec<&str> = Algorithm::ALL.into_iter().map(Algorithm::name).collect();
            let hint = format!("the algorithms are {}; shared secrets and `none` prove nothing", known.join(", "));
            Unusable::new(format!("`{name}` is no algorithm that tokens may be signed with"), hint)
        })?;
        set = set.with(algorithm);
    }
    if set == Algorithms::NONE { Err(Unusable::new("`algorithms` is empty", "leave it out for all")) } else { Ok(set) }
}

/// What AWS has no word for.
struct Own {
    clock_skew: u32,
    kind: Option<Box<str>>,
    kept: Duration,
    stale: Duration,
    jwks: Map<String, Json>,
}

impl Own {
    fn read(json: Option<&Json>) -> Result<Self, Unusable> {
        let mut own = Self {
            clock_skew: 0,
            kind: None,
            kept: limits::JWT_KEYS_KEPT,
            stale: limits::JWT_KEYS_STALE,
            jwks: Map::new(),
        };
        let Some(json) = json else { return Ok(own) };
        let none = Map::new();
        for (name, value) in json.as_object().unwrap_or(&none) {
            let seconds = |least: Duration, most: Duration| {
                let found = value.as_u64().map(Duration::from_secs).filter(|time| (least..=most).contains(time));
                let hint = format!("write seconds, from {} to {}", least.as_secs(), most.as_secs());
                found.ok_or_else(|| Unusable::new(format!("`{name}` cannot be `{value}`"), hint))
            };
            match (name.as_str(), value) {
                ("clockSkew", _) => {
                    own.clock_skew = seconds(Duration::ZERO, limits::JWT_CLOCK_SKEW_MAX)?.as_secs() as u32;
                }
                ("keysKept", _) => own.kept = seconds(limits::JWT_KEYS_KEPT_MIN, limits::JWT_KEYS_KEPT_MAX)?,
                ("keysStale", _) => own.stale = seconds(Duration::ZERO, limits::SETTING_TIME_MAX)?,
                ("tokenType", Json::String(kind)) if !kind.is_empty() => own.kind = Some(kind.as_str().into()),
                ("jwks", Json::Object(map)) => own.jwks.clone_from(map),
                _ => {
                    let hint = "it has clockSkew, keysKept, keysStale, tokenType and jwks";
                    return Err(Unusable::new(format!("`x-tollgate` has a `{name}` that means nothing"), hint));
                }
            }
        }
        Ok(own)
    }

    /// Where the keys of an issuer are.
    fn keys(&self, issuer: &str) -> Result<KeySource, Unusable> {
        let Some(written) = self.jwks.get(issuer) else {
            return check_address(issuer, true).map(|()| KeySource::Discovery(issuer.into(), None));
        };
        let text = |name: &str| written.get(name).and_then(Json::as_str).filter(|text| !text.is_empty());
        let believed = |address: &str, ca: Option<&str>| match ca {
            Some(_) if !address.starts_with("https://") => {
                let what = format!("`ca` says by whom `{address}` is believed, which nobody asks in clear text");
                Err(Unusable::new(what, "write https://, or remove it"))
            }
            ca => Ok(ca.map(Box::from)),
        };
        match (text("url"), text("file"), text("ca")) {
            (Some(url), None, ca) => {
                check_address(url, false)?;
                Ok(KeySource::Url(url.into(), believed(url, ca)?))
            }
            (None, None, Some(ca)) => {
                check_address(issuer, true)?;
                Ok(KeySource::Discovery(issuer.into(), believed(issuer, Some(ca))?))
            }
            (None, Some(file), None) => Ok(KeySource::File(file.into())),
            _ => {
                let hint = "write `jwks: https://id.example.com/keys` or `jwks: {file: keys.json}`";
                Err(Unusable::new(format!("the keys of `{issuer}` are nowhere"), hint))
            }
        }
    }
}

/// An address that keys, or the discovery document of an issuer, can be fetched from. Nothing but the operator's word leads there (P10).
fn check_address(text: &str, is_issuer: bool) -> Result<(), Unusable> {
    let hint = if is_issuer {
        "write the issuer's https address without a query, or name its keys: `jwks: {file: keys.json}`"
    } else {
        "write https://id.example.com/keys"
    };
    let wrong = || Unusable::new(format!("`{text}` is no address that keys can be fetched from"), hint);
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).ok_or_else(wrong)?;
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let is_fit = text.len() <= limits::URI_CHARS_MAX
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && !authority.is_empty()
        && !text.contains(['#', '@', '\\', '{', '}', '$'])
        && !(is_issuer && text.contains('?'));
    if is_fit { Ok(()) } else { Err(wrong()) }
}

fn objects<'j>(json: &'j Json, what: &str) -> Result<Vec<&'j Map<String, Json>>, Unusable> {
    let list = json.as_array().map(|list| list.iter().map(Json::as_object).collect::<Option<Vec<_>>>());
    list.flatten().ok_or_else(|| Unusable::new(format!("{what} is no list of objects"), "write `[{issuer: …}]`"))
}

/// The texts of a list; one text stands for a list of one.
fn texts<'j>(json: &'j Json, what: &str) -> Result<Vec<&'j str>, Unusable> {
    let list = match json {
        Json::String(text) => Some(vec![text.as_str()]),
        Json::Array(list) => list.iter().map(Json::as_str).collect(),
        _ => None,
    };
    list.ok_or_else(|| Unusable::new(format!("{what} is no list of texts"), "write `[one, another]`"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn scheme() -> Authorizer {
        Authorizer {
            scheme: "oauth2".into(),
            name: None,
            location: None,
            auth_type: None,
            authorizer: None,
            rest: None,
        }
    }

    fn jwt(json: &Json) -> Made {
        compile(Kind::Http, &scheme(), json)
    }

    fn with(own: &Json) -> Result<JwtRule, String> {
        let issuer = json!({"issuer": "https://id.example.com", "audience": ["web"]});
        let made = jwt(&json!({"type": "jwt", "jwtConfiguration": issuer, "x-tollgate": own}));
        made.map(|(rule, _)| rule).map_err(|unusable| unusable.what)
    }

    #[test]
    fn an_http_apis_authorizer_finds_its_keys_by_discovery() {
        let (rule, odd) = jwt(&json!({
            "type": "jwt",
            "identitySource": "$request.header.Authorization",
            "jwtConfiguration": {"issuer": "https://id.example.com/", "audience": ["web", "app"]},
        }))
        .unwrap();
        assert!(odd.is_empty());
        assert_eq!(rule.source, TokenSource::Header("Authorization".into()));
        assert_eq!(&*rule.keys, [KeySource::Discovery("https://id.example.com/".into(), None)]);
        assert_eq!(&*rule.rules.issuers[0].audiences, ["web".into(), "app".into()]);
        assert_eq!((rule.kept, rule.stale), (limits::JWT_KEYS_KEPT, limits::JWT_KEYS_STALE));
        assert_eq!((rule.rules.clock_skew, rule.rules.cognito, rule.rules.commas), (0, false, false));
    }

    #[test]
    fn a_rest_apis_authorizer_has_several_issuers() {
        let configuration = json!({
            "defaultAlgorithms": ["RS256"],
            "issuers": [{"issuer": "https://a", "audiences": ["x"]}, {"issuer": "https://b", "additionalClaims": []}],
        });
        let (rule, odd) =
            compile(Kind::Rest, &scheme(), &json!({"type": "JWT", "jwtConfiguration": configuration})).unwrap();
        assert_eq!(rule.rules.issuers.len(), 2);
        assert_eq!(rule.rules.algorithms, Algorithms::NONE.with(Algorithm::Rs256));
        assert!(rule.rules.commas);
        assert!(odd[0].what.contains("`https://b` pass whomever"), "{}", odd[0].what);
        let claims = json!({"issuers": [{"issuer": "https://a", "additionalClaims": [{"x": 1}]}]});
        let unusable = jwt(&json!({"type": "jwt", "jwtConfiguration": claims})).unwrap_err();
        assert!(unusable.what.contains("additionalClaims"), "a restriction is never passed over");
    }

    #[test]
    fn a_user_pool_is_an_issuer() {
        let of = |arns: &Json| {
            let scheme = Authorizer { name: Some("X-Auth".into()), location: Some("header".into()), ..scheme() };
            let made = cognito(Kind::Rest, &scheme, &json!({"type": "cognito_user_pools", "providerARNs": arns}));
            made.map(|(rule, _)| rule).map_err(|unusable| unusable.what)
        };
        let rule = of(&json!(["arn:aws:cognito-idp:eu-west-1:123456789012:userpool/eu-west-1_AbC"])).unwrap();
        assert_eq!(&*rule.rules.issuers[0].name, "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbC");
        assert!(rule.rules.cognito);
        assert_eq!(rule.source, TokenSource::Header("X-Auth".into()));
        assert!(of(&json!(["https://id.example.com/realms/x"])).is_ok());
        for arns in [
            json!([]),
            json!(null),
            json!(["arn:aws:lambda:eu-west-1:1:function:x"]),
            json!(["arn:aws:cognito-idp:eu-west-1:1:userpool/"]),
            json!(["arn:aws:cognito-idp:evil/:1:userpool/x"]),
            json!(["${UserPool.Arn}"]),
            json!([7]),
        ] {
            assert!(of(&arns).is_err(), "{arns}");
        }
    }

    #[test]
    fn what_aws_has_no_word_for() {
        let rule = with(&json!({
            "clockSkew": 5, "keysKept": 60, "keysStale": 0, "tokenType": "at+jwt",
            "jwks": {"https://id.example.com": {"file": "keys.json"}},
        }))
        .unwrap();
        assert_eq!((rule.rules.clock_skew, rule.kept.as_secs(), rule.stale.as_secs()), (5, 60, 0));
        assert_eq!(rule.rules.kind.as_deref(), Some("at+jwt"));
        assert_eq!(&*rule.keys, [KeySource::File("keys.json".into())]);
        for own in [
            json!({"clockSkew": 301}),
            json!({"clockSkew": -1}),
            json!({"keysKept": 0}),
            json!({"keysKept": 7_201}),
            json!({"keysStale": "1h"}),
            json!({"tokenType": 7}),
            json!({"skew": 1}),
            json!({"jwks": {"https://other": {"file": "k"}}}),
            json!({"jwks": {"https://id.example.com": {}}}),
            json!({"jwks": {"https://id.example.com": {"url": "ftp://x"}}}),
            json!({"jwks": {"https://id.example.com": {"url": "https://a@b/"}}}),
        ] {
            assert!(with(&own).is_err(), "{own}");
        }
    }

    #[test]
    fn keys_in_clear_text_are_pointed_at() {
        for (issuer, is_odd) in [
            ("http://id.example.com", true),
            ("http://10.0.0.1:8080/x", true),
            ("http://127.0.0.1:8080", false),
            ("http://[::1]:80/x", false),
            ("http://localhost", false),
            ("https://id.example.com", false),
        ] {
            let json = json!({"jwtConfiguration": {"issuer": issuer, "audience": ["x"]}});
            let (_, odd) = jwt(&json).unwrap();
            assert_eq!(odd.iter().any(|odd| odd.what.contains("clear text")), is_odd, "{issuer}");
        }
    }

    #[test]
    fn what_cannot_be_an_issuer() {
        for issuer in [
            "",
            "id.example.com",
            "https://",
            "https://a?b",
            "https://a#b",
            "https://${x}",
            "https://a b",
            "https://u@a",
            "file:///x",
        ] {
            let made = jwt(&json!({"type": "jwt", "jwtConfiguration": {"issuer": issuer, "audience": ["x"]}}));
            assert!(made.is_err(), "{issuer}");
        }
        let twice = json!({"issuers": [{"issuer": "https://a"}, {"issuer": "https://a"}]});
        assert!(jwt(&json!({"jwtConfiguration": twice})).unwrap_err().what.contains("twice"));
        let many: Vec<Json> = (0..17).map(|at| json!({"issuer": format!("https://a{at}")})).collect();
        assert!(jwt(&json!({"jwtConfiguration": {"issuers": many}})).is_err());
    }

    #[test]
    fn algorithms_and_sources_are_known_ones() {
        let of = |more: &Json| {
            let mut json = json!({"jwtConfiguration": {"issuer": "https://a", "audience": ["x"]}});
            for (name, value) in more.as_object().unwrap() {
                json[name] = value.clone();
            }
            jwt(&json).map(|(rule, _)| rule.source).map_err(|unusable| unusable.what)
        };
        assert!(of(&json!({"identitySource": ["$request.querystring.t"]})).is_ok());
        for source in [json!("$request.path.x"), json!([]), json!(["a", "b"]), json!(7)] {
            assert!(of(&json!({"identitySource": source})).is_err(), "{source}");
        }
        for list in [json!([]), json!(["HS256"]), json!(["none"]), json!("RS999")] {
            let configuration = json!({"issuer": "https://a", "defaultAlgorithms": list});
            assert!(jwt(&json!({"jwtConfiguration": configuration})).is_err(), "{list}");
        }
    }
}
