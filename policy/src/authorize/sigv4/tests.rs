//! Published vectors, and what is no signature.

use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;

const SECRET: &[u8] = b"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const SUITE: Scope<'_> = Scope { region: "us-east-1", service: "service" };
const NOW: u64 = 1_440_938_160_000;

/// A request of the suite: a line, fields (continued by blanks), an empty line, the body.
struct Written {
    method: String,
    path: String,
    query: String,
    fields: Vec<(String, String)>,
    body: String,
}

impl Written {
    fn read(text: &str) -> Written {
        let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
        let mut lines = head.lines();
        let line = lines.next().expect("a request has a line");
        let (method, rest) = line.split_once(' ').expect("a method");
        let target = rest.strip_suffix(" HTTP/1.1").expect("a version");
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut fields: Vec<(String, String)> = Vec::new();
        for line in lines.filter(|line| !line.is_empty()) {
            match line.split_once(':') {
                Some((name, value)) if !line.starts_with(' ') => fields.push((name.into(), value.trim().into())),
                _ => {
                    let (_, value) = fields.last_mut().expect("a field to be continued");
                    value.push(' ');
                    value.push_str(line.trim());
                }
            }
        }
        Written { method: method.into(), path: path.into(), query: query.into(), fields, body: body.into() }
    }

    fn asked(&self) -> Asked<'_, impl FieldList<'_>> {
        Asked {
            method: self.method.as_bytes(),
            path: self.path.as_bytes(),
            query: self.query.as_bytes(),
            fields: self.fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())),
        }
    }

    fn check(&self, now: u64, work: &mut Work) -> Result<(), Wrong> {
        read(&self.asked(), SUITE, now, work)?;
        let key = signing_key(SECRET, &work.day(), SUITE);
        verify(&self.asked(), &key, &hash(self.body.as_bytes()), work)
    }
}

fn vectors() -> Vec<Json> {
    let all: Json = serde_json::from_str(include_str!("vectors.json")).expect("the vectors are JSON");
    all["vectors"].as_array().expect("a list").clone()
}

#[test]
fn a12_published_vectors() {
    let mut work = Work::default();
    let vectors = vectors();
    assert_eq!(vectors.len(), 61);
    for vector in vectors {
        let name = &vector["name"];
        let written = Written::read(vector["request"].as_str().expect("a request"));
        assert_eq!(written.check(NOW, &mut work), Ok(()), "{name}");
        let canonical = str::from_utf8(work.canonical()).expect("text");
        assert_eq!(canonical, vector["canonical"].as_str().expect("a text"), "{name}");
        assert_eq!(work.access_key(), b"AKIDEXAMPLE", "{name}");
        assert_eq!(work.token(), vector["token"].as_str().map(str::as_bytes), "{name}");
        assert!(work.wants_body(), "{name}");
    }
}

#[test]
fn a12_whatever_of_a_vector_changes_is_noticed() {
    let mut work = Work::default();
    for vector in vectors() {
        let text = vector["request"].as_str().expect("a request");
        let name = &vector["name"];
        let mut refused = |change: fn(&mut Written), what: &str| {
            let mut written = Written::read(text);
            change(&mut written);
            assert!(written.check(NOW, &mut work).is_err(), "{name}: {what}");
        };
        refused(|written| written.method = "PUT".into(), "method");
        refused(|written| written.path.push('x'), "path");
        refused(|written| written.query.push_str("&x=1"), "query");
        refused(|written| written.body.push('x'), "body");
        let host = |written: &mut Written| {
            let (_, value) = written.fields.iter_mut().find(|(name, _)| name == "Host").expect("a host");
            value.push('x');
        };
        refused(host, "host");
    }
}

const HEADER: &str = "GET /a HTTP/1.1\nHost:h\nX-Amz-Date:20150830T123600Z\nAuthorization:AWS4-HMAC-SHA256 Credential=K/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n\n";
const QUERY: &str = "GET /a?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=K%2F20150830%2Fus-east-1%2Fservice%2Faws4_request&X-Amz-Date=20150830T123600Z&X-Amz-SignedHeaders=host&X-Amz-Expires=600&X-Amz-Signature=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa HTTP/1.1\nHost:h\n\n";

#[test]
fn a12_what_is_no_signature_is_told() {
    let mut work = Work::default();
    let lacks =
        |credential, signature, signed_fields, date| Wrong::FieldLacks { credential, signature, signed_fields, date };
    for (text, from, to, wrong) in [
        (HEADER, "", "", Wrong::Differs),
        (QUERY, "", "", Wrong::Differs),
        (HEADER, "Authorization", "X", Wrong::Missing),
        (HEADER, "AWS4-HMAC-SHA256 ", "Bearer ", Wrong::NoSignature),
        (HEADER, "AWS4-HMAC-SHA256 ", "AWS4-HMAC-SHA256", Wrong::NoSignature),
        (HEADER, "AWS4-HMAC-SHA256 ", "AWS4-ECDSA-P256-SHA256 ", Wrong::NoCredential),
        (HEADER, "AWS4-HMAC-SHA256 ", "AWS4-ECDSA-P384-SHA384 ", Wrong::NoSignature),
        (HEADER, "Credential=", "Credential", Wrong::NoPair),
        (HEADER, "Credential=K", "Credential=K/20150830/us-east-1/service/aws4_request, Credential=K", Wrong::Twice),
        (HEADER, "Host:h", "Host:h\nAuthorization:x", Wrong::Twice),
        (HEADER, "Host:h", "Host:h\nX-Amz-Date:20150830T123600Z", Wrong::Twice),
        (HEADER, "Credential=K/20150830/us-east-1/service/aws4_request, ", "", lacks(true, false, false, false)),
        (HEADER, "X-Amz-Date:20150830T123600Z\n", "", lacks(false, false, false, true)),
        (HEADER, "Date:2015", "Date:2015-", Wrong::NoDate),
        (HEADER, "K/20150830/us-east-1", "K/20150830", Wrong::NoCredential),
        (HEADER, "=K/", "=/", Wrong::NoCredential),
        (HEADER, "aws4_request", "aws4_requests", Wrong::Terminator),
        (HEADER, "us-east-1", "us-east-2", Wrong::Region),
        (HEADER, "/service/", "/s3/", Wrong::Service),
        (HEADER, "K/20150830", "K/20150829", Wrong::OtherDay),
        (HEADER, "=host;", "=", Wrong::HostNotSigned),
        (HEADER, "host;x-amz-date", "x-amz-date;host", Wrong::SignedFields),
        (HEADER, "host;x-amz-date", "Host;x-amz-date", Wrong::SignedFields),
        (HEADER, "host;x-amz-date", "host;;x-amz-date", Wrong::SignedFields),
        (HEADER, ";x-amz-date", "", Wrong::FieldNotSigned),
        (HEADER, "Host:h", "Host:h\nX-Amz-Meta-A:1", Wrong::FieldNotSigned),
        (HEADER, "Host:h", "Host:h\nX-Amz-Cf-Id:1", Wrong::Differs),
        (HEADER, "=aaaa", "=aaaA", Wrong::Differs),
        (HEADER, "=aaaa", "=aaa", Wrong::Differs),
        (QUERY, "X-Amz-Algorithm=AWS4", "X-Amz-Algorithm=AWS5", Wrong::NoSignature),
        (QUERY, "X-Amz-Date", "X-Amz-Dat", Wrong::QueryLacks),
        (QUERY, "X-Amz-Algorithm", "X", Wrong::QueryLacks),
        (QUERY, "/a?", "/a?X-Amz-Signature=b&", Wrong::Twice),
        (QUERY, "Expires=600", "Expires=604801", Wrong::Expires),
        (QUERY, "Expires=600", "Expires=0", Wrong::Expires),
        (QUERY, "Expires=600", "Expires=-1", Wrong::Expires),
        (QUERY, "Expires=600", "Expires=604800", Wrong::Differs),
    ] {
        let text = text.replacen(from, to, 1);
        assert_eq!(Written::read(&text).check(NOW, &mut work), Err(wrong), "{text}");
    }
    let payload = |value: &str| {
        HEADER
            .replace("Host:h", &format!("Host:h\nX-Amz-Content-Sha256:{value}"))
            .replace("host;", "host;x-amz-content-sha256;")
    };
    for (value, wrong) in [
        ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", Wrong::Streaming),
        ("e3b0", Wrong::BodyDiffers),
        ("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b856", Wrong::BodyDiffers),
        ("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", Wrong::Differs),
        ("UNSIGNED-PAYLOAD", Wrong::Differs),
    ] {
        assert_eq!(Written::read(&payload(value)).check(NOW, &mut work), Err(wrong), "{value}");
    }
    assert!(!work.wants_body());
}

#[test]
fn a12_clocks_may_differ_by_five_minutes() {
    let mut work = Work::default();
    let mut at = |text: &str, now: u64| Written::read(text).check(now, &mut work);
    let five = 5 * 60 * 1_000;
    let said = |wrong: Result<(), Wrong>| {
        let mut out = Vec::new();
        wrong.expect_err("nobody signed").write(&mut out);
        String::from_utf8(out).expect("text")
    };
    assert_eq!(at(HEADER, NOW + five), Err(Wrong::Differs));
    assert_eq!(at(HEADER, NOW - five), Err(Wrong::Differs));
    let late = "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T124101Z - 5 min.)";
    assert_eq!(said(at(HEADER, NOW + five + 1_000)), late);
    let early =
        "Signature not yet current: 20150830T123600Z is still later than 20150830T123559Z (20150830T123059Z + 5 min.)";
    assert_eq!(said(at(HEADER, NOW - five - 1_000)), early);
    assert_eq!(at(QUERY, NOW + 600_000), Err(Wrong::Differs));
    assert!(said(at(QUERY, NOW + 601_000)).ends_with("(20150830T124601Z - 10 min.)"));
    assert!(said(at(QUERY, NOW - 301_000)).starts_with("Signature not yet current"));
}

#[test]
fn no_message_repeats_a_credential() {
    let mut work = Work::default();
    for text in
        [HEADER.replace("AWS4", "secret"), HEADER.replace("Credential=K", "secret"), QUERY.replace("Date", "secret")]
    {
        let wrong = Written::read(&text).check(NOW, &mut work).expect_err("it is none");
        let mut out = Vec::new();
        wrong.write(&mut out);
        assert!(!out.is_empty() && !String::from_utf8_lossy(&out).contains("secret"));
    }
}

#[test]
fn whole_urls_are_signed_as_they_are() {
    // What a library signs that is given `?a=b+c&&%7E` as it stands: the escapes stay, and an empty piece counts.
    let fields = [(&b"host"[..], &b"h"[..])];
    let asked = Asked { method: b"GET", path: b"/%7e//./x/", query: b"b=%7E&&a=b+c&a-=1", fields: fields.into_iter() };
    let mut room = canonical::Room::default();
    for query in [&b"b=%7E&&a=b+c"[..], b"b=%7E;a=b"] {
        let changes = Asked { query, ..asked.clone() };
        assert!(
            !room.write(&changes, canonical::Way::Anew, false, b"host", Err(UNSIGNED)),
            "their escapes mean something else"
        );
    }
    let escaped = Asked { query: b"b=%7E&&a=b%2bc&a-=1", ..asked.clone() };
    assert!(room.write(&escaped, canonical::Way::Anew, false, b"host", Err(UNSIGNED)));
    let anew = "GET\n/%257e/x/\na=b%2Bc&a-=1&b=~\nhost:h\n\nhost\nUNSIGNED-PAYLOAD";
    assert_eq!(str::from_utf8(&room.text).expect("text"), anew);
    assert!(room.write(&asked, canonical::Way::AsReceived, false, b"host", Err(UNSIGNED)));
    let as_received = "GET\n/%257e/x/\n=&a=b+c&a-=1&b=%7E\nhost:h\n\nhost\nUNSIGNED-PAYLOAD";
    assert_eq!(str::from_utf8(&room.text).expect("text"), as_received);
    let plain = Asked { query: b"a=1", ..asked };
    assert!(room.write(&plain, canonical::Way::Anew, false, b"host", Err(UNSIGNED)));
    assert!(!room.write(&plain, canonical::Way::AsReceived, false, b"host", Err(UNSIGNED)), "it would be the same");
}

proptest! {
    #[test]
    fn a_signature_is_good_for_its_request_alone(
        path in "/[a-c%./]{0,8}", query in "[ab=&%+;~]{0,8}", body in "[ab]{0,3}", value in "[a ]{0,5}", bit in 0..256_usize,
    ) {
        let mut work = Work::default();
        let mut written = Written::read(HEADER);
        (written.path, written.query, written.body) = (path, query, body);
        written.fields.push(("Abc".into(), value));
        let authorization = written.fields.iter().position(|(name, _)| name == "Authorization").expect("it is there");
        written.fields[authorization].1 = written.fields[authorization].1.replace("=host", "=abc;host");
        read(&written.asked(), SUITE, NOW, &mut work).expect("it has a form");
        let key = signing_key(SECRET, &work.day(), SUITE);
        let signature = {
            prop_assert_eq!(verify(&written.asked(), &key, &hash(written.body.as_bytes()), &mut work), Err(Wrong::Differs));
            hmac::sign(&key, &work.message)
        };
        let mut sign = |signature: &[u8]| {
            let value = written.fields[authorization].1.clone();
            let at = value.rfind('=').expect("a pair") + 1;
            written.fields[authorization].1 = format!("{}{}", &value[..at], data_encoding::HEXLOWER.encode(signature));
            written.check(NOW, &mut work)
        };
        prop_assert_eq!(sign(signature.as_ref()), Ok(()));
        let mut other = signature.as_ref().to_vec();
        other[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(sign(&other), Err(Wrong::Differs));
    }
}
