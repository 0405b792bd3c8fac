//! Authorizers for names and passwords: type `basic`.

use policy::authorize::basic::htpasswd::is_name;
use serde_json::Value as Json;

use super::Written;
use crate::limits;
use crate::snapshot::{BasicRule, UsersFrom};

/// Compiles one; the faults of its users are found when they are read.
pub fn compile(written: &Written<'_>) -> Result<BasicRule, (String, String)> {
    let own = written.json.get("x-tollgate").unwrap_or(&Json::Null);
    let known = ["usersFile", "users", "realm", "forward"];
    if let Some(stray) = own.as_object().and_then(|own| own.keys().find(|name| !known.contains(&name.as_str()))) {
        let hint = "it has usersFile, users, realm and forward";
        return Err((format!("`x-tollgate` has a `{stray}` that means nothing"), hint.to_owned()));
    }
    let file = own.get("usersFile").and_then(Json::as_str).filter(|file| !file.is_empty());
    let mut named = Vec::new();
    for (name, hash) in own.get("users").and_then(Json::as_object).into_iter().flatten() {
        let Some(hash) = hash.as_str() else {
            return Err((format!("what stands for the password of `{name}` is no text"), "quote it".to_owned()));
        };
        if !is_name(name) {
            let hint = "a name has no colon and no control characters, and at most 255 bytes";
            return Err((format!("nobody can be called `{}`", name.escape_debug()), hint.to_owned()));
        }
        named.push((name.as_str().into(), hash.into()));
    }
    if file.is_none() && named.is_empty() {
        return Err(("it has no users".to_owned(), "write `users: {file: users.htpasswd}`".to_owned()));
    }
    let realm = own.get("realm").and_then(Json::as_str).unwrap_or(written.name);
    let is_text = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    if realm.is_empty() || realm.len() > limits::REALM_BYTES_MAX || !realm.bytes().all(is_text) {
        let hint = format!("write from 1 to {} ASCII characters under `realm`", limits::REALM_BYTES_MAX);
        return Err((format!("`{}` cannot be a realm", realm.escape_debug()), hint));
    }
    named.sort();
    let forward = own.get("forward").and_then(Json::as_bool).unwrap_or(false);
    let users = UsersFrom { file: file.map(Into::into), named: named.into() };
    Ok(BasicRule { challenge: challenge(realm).into(), realm: realm.into(), users, forward })
}

/// The field that asks for a name and a password (RFC 7617 §2).
fn challenge(realm: &str) -> String {
    let quoted = realm.replace('\\', "\\\\").replace('"', "\\\"");
    format!("www-authenticate: Basic realm=\"{quoted}\", charset=\"UTF-8\"\r\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(own: &Json) -> Result<BasicRule, (String, String)> {
        let json = json!({ "type": "basic", "x-tollgate": own });
        compile(&Written { name: "staff", json: &json, header: None })
    }

    #[test]
    fn a_realm_is_quoted() {
        let rule = of(&json!({"usersFile": "u", "realm": "the \"back\" \\ door"})).unwrap();
        let expected = "www-authenticate: Basic realm=\"the \\\"back\\\" \\\\ door\", charset=\"UTF-8\"\r\n";
        assert_eq!(&*rule.challenge, expected);
        assert!(!rule.forward);
        assert_eq!(&*of(&json!({"usersFile": "u"})).unwrap().realm, "staff");
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (own, says) in [
            (json!({}), "it has no users"),
            (json!({"users": {}}), "it has no users"),
            (json!({"users": {"a:b": "x"}}), "nobody can be called `a:b`"),
            (json!({"users": {"a": 1}}), "is no text"),
            (json!({"usersFile": "u", "realm": "a\r\nb"}), "`a\\r\\nb` cannot be a realm"),
            (json!({"usersFile": "u", "realm": "ü"}), "cannot be a realm"),
            (json!({"usersFile": "u", "salt": 1}), "`salt` that means nothing"),
        ] {
            let (what, _) = of(&own).unwrap_err();
            assert!(what.contains(says), "{what}");
        }
    }
}
