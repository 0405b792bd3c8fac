//! Authorizers for certificates: type `mtls`.

use data_encoding::HEXLOWER_PERMISSIVE;
use policy::authorize::mtls::{MtlsRule, NamePattern};
use policy::client_certificate::AltKind;
use policy::limits::CERTIFICATE_ENTRIES_MAX;
use serde_json::Value as Json;

use super::Written;

type Fault = (String, String);

/// Compiles one.
pub fn compile(written: &Written<'_>) -> Result<MtlsRule, Fault> {
    let own = written.json.get("x-tollgate").unwrap_or(&Json::Null);
    let known = ["subjects", "sans", "fingerprints", "principal"];
    if let Some(stray) = own.as_object().and_then(|own| own.keys().find(|name| !known.contains(&name.as_str()))) {
        let hint = "it has subjects, sans, fingerprints and principal";
        return Err((format!("`x-tollgate` has a `{stray}` that means nothing"), hint.to_owned()));
    }
    let mut names = Vec::new();
    for text in texts(own, "sans")? {
        names.push(NamePattern::parse(text).ok_or_else(|| {
            let hint = "write api.example.com, *.example.com, spiffe://house/door, spiffe://house/*, email:… or ip:…";
            (format!("`{text}` is no name of a certificate"), hint.to_owned())
        })?);
    }
    let mut fingerprints = Vec::new();
    for text in texts(own, "fingerprints")? {
        fingerprints.push(fingerprint(text).ok_or_else(|| {
            let hint = "write 64 hexadecimal digits: `openssl x509 -in client.crt -noout -fingerprint -sha256`";
            (format!("`{text}` is no SHA-256 fingerprint"), hint.to_owned())
        })?);
    }
    let subjects = texts(own, "subjects")?.into_iter().map(Box::from).collect();
    let principal = match own.get("principal").and_then(Json::as_str) {
        None | Some("subject") => None,
        Some("dns") => Some(AltKind::Dns),
        Some("uri") => Some(AltKind::Uri),
        Some("email") => Some(AltKind::Email),
        Some("ip") => Some(AltKind::Ip),
        Some(other) => {
            let hint = "write subject, dns, uri, email or ip";
            return Err((format!("callers cannot be called by `{other}`"), hint.to_owned()));
        }
    };
    Ok(MtlsRule { subjects, names: names.into(), fingerprints: fingerprints.into(), principal })
}

fn texts<'a>(own: &'a Json, field: &str) -> Result<Vec<&'a str>, Fault> {
    let list = match own.get(field) {
        None => return Ok(Vec::new()),
        Some(Json::Array(list)) => list.iter().map(Json::as_str).collect::<Option<Vec<_>>>(),
        Some(_) => None,
    };
    let list = list.ok_or_else(|| (format!("`{field}` is no list of texts"), format!("write `{field}: [NAME]`")))?;
    if list.is_empty() || list.len() > CERTIFICATE_ENTRIES_MAX || list.contains(&"") {
        let hint = "leave it out to let in all that the truststore does".to_owned();
        return Err((format!("`{field}` has from 1 to {CERTIFICATE_ENTRIES_MAX} entries, none of them empty"), hint));
    }
    Ok(list)
}

/// Pairs of digits, with colons between them or without, as programs print them.
fn fingerprint(text: &str) -> Option<[u8; 32]> {
    let text = text.rsplit_once('=').map_or(text, |(_, digits)| digits);
    let digits: String = text.chars().filter(|letter| *letter != ':').collect();
    HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(own: &Json) -> Result<MtlsRule, Fault> {
        let json = json!({ "type": "mtls", "x-tollgate": own });
        compile(&Written { name: "device", json: &json, header: None })
    }

    #[test]
    fn fingerprints_as_programs_print_them() {
        let digits = "0a".repeat(32);
        let colons = vec!["0A"; 32].join(":");
        for text in [&digits, &colons, &format!("sha256 Fingerprint={colons}")] {
            assert_eq!(&*of(&json!({ "fingerprints": [text] })).unwrap().fingerprints, [[10; 32]], "{text}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (own, says) in [
            (json!({"sans": ["*"]}), "`*` is no name"),
            (json!({"sans": []}), "from 1 to"),
            (json!({"sans": "x"}), "no list"),
            (json!({"subjects": [""]}), "from 1 to"),
            (json!({"fingerprints": ["aa"]}), "no SHA-256"),
            (json!({"principal": "cn"}), "by `cn`"),
            (json!({"issuer": "x"}), "means nothing"),
        ] {
            let (what, _) = of(&own).unwrap_err();
            assert!(what.contains(says), "{what}");
        }
        assert_eq!(of(&json!({})).unwrap(), MtlsRule::default());
    }
}
