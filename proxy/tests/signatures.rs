//! AWS Signature Version 4 and 4a (A-12): who signs, what is told to those whose signature is none, and who may (A-13, POL-03). Requests are signed
//! here by hand, with nothing of ours.

mod support;

use std::time::{Duration, SystemTime};

use aws_lc_rs::agreement::{ECDH_P256, PrivateKey};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use sha2::{Digest, Sha256};
use support::gateway::new_folder;
use support::{Backend, Gateway, Response, Stage, on_both_drivers, shown};

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

const HOUSE: &str = r#"
gateway:
  region: eu-west-1
  account_id: "123456789012"
  principals:
    - access_key: REX
      secret_key: "${file:secret}"
      name: rex
      policy: {Version: 2012-10-17, Statement: [{Effect: Allow, Action: "execute-api:Invoke", Resource: "arn:aws:execute-api:*:*:open/*"},
        {Effect: Deny, Action: "*", Resource: "arn:aws:execute-api:*:*:*/secret"}]}
    - {access_key: GUEST, secret_key: "${file:secret}", arn: "arn:aws:iam::210987654321:user/guest",
       policy: {Statement: {Effect: Allow, Action: "*", Resource: "*"}}}
    - {access_key: SESSION, secret_key: "${file:secret}", session_token: "${file:token}",
       arn: "arn:aws:sts::123456789012:assumed-role/keeper/rex", policy: {Statement: {Effect: Allow, Action: "*", Resource: "*"}}}
apis:
  open:
    kind: rest
    routes: &routes
      "ANY /me": {authorization: AWS_IAM, integration: {type: mock, body: '{"who":"$context.identity.userArn","key":"$context.identity.accessKey"}'}}
      "ANY /{proxy+}": {authorization: AWS_IAM, integration: {type: http_proxy, uri: "http://{{backend}}/{proxy}"}}
    stages: {prod: {}}
  ruled:
    kind: rest
    policy:
      Statement:
        - {Effect: Allow, Principal: {AWS: ["arn:aws:iam::210987654321:user/guest", "arn:aws:iam::123456789012:role/keeper"]}, Action: "*", Resource: "execute-api:/*"}
        - {Effect: Allow, Principal: {AWS: "123456789012"}, Action: "*", Resource: "execute-api:/*/GET/shared"}
    routes: *routes
    stages: {prod: {}}
  web: {kind: http, routes: {"GET /me": {authorization: AWS_IAM, integration: {type: mock, body: "{}"}}}, stages: {prod: {}}}
domains:
  open.test: {mappings: {/: open/prod}}
  ruled.test: {mappings: {/: ruled/prod}}
  web.test: {mappings: {/: web/prod}}
"#;

fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// RFC 2104.
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let pad = |with: u8| block.map(|byte| byte ^ with);
    let inner = Sha256::digest([&pad(0x36)[..], message].concat());
    Sha256::digest([&pad(0x5c)[..], &inner].concat()).to_vec()
}

/// `20150830T123600Z`
fn stamp(at: SystemTime) -> String {
    let date = httpdate::fmt_http_date(at);
    let parts: Vec<&str> = date.split(' ').collect();
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = months.iter().position(|month| *month == parts[2]).expect("a month") + 1;
    format!("{}{month:02}{}T{}Z", parts[3], parts[1], parts[4].replace(':', ""))
}

/// A request to be signed.
#[derive(Clone)]
struct Signed {
    access_key: &'static str,
    method: &'static str,
    host: &'static str,
    path: &'static str,
    body: &'static str,
    payload: Option<&'static str>,
    token: Option<&'static str>,
    at: SystemTime,
    region: &'static str,
}

impl Signed {
    fn get(host: &'static str, path: &'static str) -> Signed {
        let at = SystemTime::now();
        let (access_key, method, region) = ("REX", "GET", "eu-west-1");
        Signed { access_key, method, host, path, body: "", payload: None, token: None, at, region }
    }

    fn scope(&self) -> String {
        format!("{}/{}/execute-api/aws4_request", &stamp(self.at)[..8], self.region)
    }

    fn signature(&self, canonical: &str) -> String {
        let date = stamp(self.at);
        let text = format!("AWS4-HMAC-SHA256\n{date}\n{}\n{}", self.scope(), sha256(canonical.as_bytes()));
        let mut key = format!("AWS4{SECRET}").into_bytes();
        for part in [&date[..8], self.region, "execute-api", "aws4_request"] {
            key = hmac(&key, part.as_bytes());
        }
        hex(&hmac(&key, text.as_bytes()))
    }

    fn hash(&self) -> String {
        self.payload.map_or_else(|| sha256(self.body.as_bytes()), str::to_owned)
    }

    /// Signed in its `Authorization`.
    fn bytes(&self) -> String {
        let date = stamp(self.at);
        let mut fields = vec![("host", self.host.to_owned())];
        if let Some(payload) = self.payload {
            fields.push(("x-amz-content-sha256", payload.to_owned()));
        }
        fields.push(("x-amz-date", date));
        if let Some(token) = self.token {
            fields.push(("x-amz-security-token", token.to_owned()));
        }
        let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
        let lines = fields.iter().fold(String::new(), |text, (name, value)| text + name + ":" + value + "\n");
        let (names, hash) = (names.join(";"), self.hash());
        let canonical = format!("{}\n{}\n\n{lines}\n{names}\n{hash}", self.method, self.path);
        let credential = format!("{}/{}", self.access_key, self.scope());
        let signature = self.signature(&canonical);
        let sent = fields.iter().fold(String::new(), |text, (name, value)| text + name + ": " + value + "\r\n");
        format!(
            "{} {} HTTP/1.1\r\n{sent}Content-Length: {}\r\nAuthorization: AWS4-HMAC-SHA256 Credential={credential}, \
             SignedHeaders={names}, Signature={signature}\r\n\r\n{}",
            self.method,
            self.path,
            self.body.len(),
            self.body
        )
    }

    /// Signed in its `Authorization` for these regions, with the key on P-256 that the secret stands for (version 4a).
    fn elliptic(&self, regions: &str) -> String {
        let date = stamp(self.at);
        let fields = [("host", self.host), ("x-amz-date", &*date), ("x-amz-region-set", regions)];
        let names = "host;x-amz-date;x-amz-region-set";
        let lines = fields.iter().fold(String::new(), |text, (name, value)| text + name + ":" + value + "\n");
        let canonical = format!("{}\n{}\n\n{lines}\n{names}\n{}", self.method, self.path, self.hash());
        let scope = format!("{}/execute-api/aws4_request", &date[..8]);
        let text = format!("AWS4-ECDSA-P256-SHA256\n{date}\n{scope}\n{}", sha256(canonical.as_bytes()));
        // The first number that the derivation gives is less than the order of the curve, for one in 2^32 of all keys is not.
        let fixed = [&[0, 0, 0, 1], &b"AWS4-ECDSA-P256-SHA256\0"[..], self.access_key.as_bytes(), &[1, 0, 0, 1, 0]];
        let mut scalar = hmac(format!("AWS4A{SECRET}").as_bytes(), &fixed.concat());
        *scalar.last_mut().expect("32 bytes") += 1;
        let public = PrivateKey::from_private_key(&ECDH_P256, &scalar).and_then(|key| Ok(key.compute_public_key()?));
        let public = public.expect("a key");
        let pair =
            EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P256_SHA256_ASN1_SIGNING, &scalar, public.as_ref());
        let signature = pair.expect("a key").sign(&SystemRandom::new(), text.as_bytes()).expect("signed");
        let sent = fields.iter().fold(String::new(), |text, (name, value)| text + name + ": " + value + "\r\n");
        format!(
            "{} {} HTTP/1.1\r\n{sent}Authorization: AWS4-ECDSA-P256-SHA256 Credential={}/{scope}, SignedHeaders={names}, \
             Signature={}\r\n\r\n",
            self.method,
            self.path,
            self.access_key,
            hex(signature.as_ref())
        )
    }

    /// Signed in its query, good for so many seconds.
    fn presigned(&self, expires: u32) -> String {
        let credential = format!("{}%2F{}", self.access_key, self.scope().replace('/', "%2F"));
        let query = format!(
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}&X-Amz-Date={}&X-Amz-Expires={expires}&X-Amz-SignedHeaders=host",
            stamp(self.at)
        );
        let canonical = format!("{}\n{}\n{query}\nhost:{}\n\nhost\n{EMPTY}", self.method, self.path, self.host);
        let signature = self.signature(&canonical);
        format!(
            "{} {}?{query}&X-Amz-Signature={signature} HTTP/1.1\r\nHost: {}\r\n\r\n",
            self.method, self.path, self.host
        )
    }
}

/// A gateway of its own, for the secrets are files beside the document.
fn with_secrets(body: impl Fn(&Stage) + Sync) {
    on_both_drivers(|driver| {
        let folder = new_folder();
        std::fs::write(folder.join("secret"), format!("{SECRET}\n")).expect("the folder is writable");
        std::fs::write(folder.join("token"), "token/+=").expect("the folder is writable");
        let backend = Backend::echo();
        let config = HOUSE.replace("{{backend}}", backend.address());
        let gateway = Gateway::start_in(folder, &config, driver, &[]);
        let gateway = gateway.unwrap_or_else(|failed| panic!("{}", failed.stderr));
        body(&Stage { gateway, backend });
    });
}

#[track_caller]
fn is_refused(stage: &Stage, request: &str, (error_type, message): (&str, &str), reason: &str) -> Response {
    let before = stage.refusals();
    let response = stage.ask(request);
    let whole = shown(&response.raw);
    assert_eq!(response.status, 403, "{whole}");
    assert_eq!(response.header("x-amzn-ErrorType"), Some(error_type), "{whole}");
    assert!(response.text().contains(message), "{whole}");
    assert!(!response.text().contains("Signature="), "no part of a credential is repeated: {whole}");
    stage.one_refusal_more(&before, reason);
    response
}

const DIFFERS: (&str, &str) =
    ("InvalidSignatureException", "The request signature we calculated does not match the signature you provided.");

#[test]
fn a_12_who_signs_may_and_is_known() {
    with_secrets(|stage| {
        let response = stage.ask(Signed::get("open.test", "/me").bytes());
        response.expect_status(200);
        assert_eq!(response.text(), r#"{"who":"arn:aws:iam::123456789012:user/rex","key":"REX"}"#);
        stage.ask(Signed::get("open.test", "/me").presigned(60)).expect_status(200);
        stage.ask(Signed::get("web.test", "/me").bytes()).expect_status(403); // Its policy names another API.
        let session = Signed { access_key: "SESSION", token: Some("token/+="), ..Signed::get("web.test", "/me") };
        stage.ask(session.bytes()).expect_status(200);
    });
}

#[test]
fn a_12_rest_apis_take_what_is_signed_for_several_regions_and_http_apis_do_not() {
    with_secrets(|stage| {
        let request = Signed::get("open.test", "/me");
        for regions in ["*", "eu-west-1", "us-east-1,eu-*"] {
            for _ in 0..2 {
                let response = stage.ask(request.elliptic(regions));
                response.expect_status(200);
                assert_eq!(response.text(), r#"{"who":"arn:aws:iam::123456789012:user/rex","key":"REX"}"#);
            }
        }
        let text = request.elliptic("*");
        for (other, no, reason) in [
            (text.replace("/me ", "/you "), DIFFERS, "invalid_signature"),
            (text.replace("region-set: *", "region-set: eu-*"), DIFFERS, "invalid_signature"),
            (
                request.elliptic("us-*"),
                ("InvalidSignatureException", "Credential should be scoped to a valid region."),
                "invalid_signature",
            ),
            (
                text.replace("x-amz-region-set: *\r\n", ""),
                ("IncompleteSignatureException", "'X-Amz-Region-Set' must say"),
                "incomplete_signature",
            ),
            (
                text.replace("=REX/", "=TOM/"),
                ("UnrecognizedClientException", "The security token included in the request is invalid."),
                "unrecognized_client",
            ),
            (
                Signed { access_key: "GUEST", ..request.clone() }.elliptic("*").replace("GUEST", "REX"),
                DIFFERS,
                "invalid_signature",
            ),
        ] {
            is_refused(stage, &other, no, reason);
        }
        let session = Signed { access_key: "SESSION", token: Some("token/+="), ..Signed::get("web.test", "/me") };
        stage.ask(session.bytes()).expect_status(200);
        let before = stage.refusals();
        let token = "Host: web.test\r\nx-amz-security-token: token/+=\r\n";
        stage.ask(session.elliptic("*").replace("host: web.test\r\n", token)).expect_status(403);
        stage.one_refusal_more(&before, "incomplete_signature");
    });
}

#[test]
fn a_12_a_body_is_signed_too_and_goes_on_as_it_came() {
    with_secrets(|stage| {
        let post = Signed { method: "POST", body: "{\"name\":\"rex\"}", ..Signed::get("open.test", "/pets") };
        let response = stage.ask(post.bytes());
        response.expect_status(200);
        let seen = stage.backend.only();
        assert_eq!(shown(&seen.body), shown(b"{\"name\":\"rex\"}"));
        let has = |name: &str| seen.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
        assert!(!has("authorization") && has("content-length"), "§4.1: {:?}", seen.headers);
        is_refused(stage, &post.bytes().replace("\"rex\"", "\"tom\""), DIFFERS, "invalid_signature");
        let unsigned = Signed { payload: Some("UNSIGNED-PAYLOAD"), ..post.clone() };
        stage.ask(unsigned.bytes().replace("\"rex\"", "\"tom\"")).expect_status(200);
        let streaming = Signed { payload: Some("STREAMING-AWS4-HMAC-SHA256-PAYLOAD"), ..post };
        is_refused(stage, &streaming.bytes(), ("InvalidSignatureException", "signed in chunks"), "invalid_signature");
    });
}

#[test]
fn a_12_what_is_no_signature_is_refused() {
    with_secrets(|stage| {
        let good = Signed::get("open.test", "/me");
        let text = good.bytes();
        for (request, no, reason) in [
            (
                "GET /me HTTP/1.1\r\nHost: open.test\r\n\r\n".to_owned(),
                ("MissingAuthenticationTokenException", "Missing Authentication Token"),
                "missing_authentication_token",
            ),
            (
                "GET /me HTTP/1.1\r\nHost: open.test\r\nAuthorization: Bearer Signature=x\r\n\r\n".to_owned(),
                ("IncompleteSignatureException", "Invalid key=value pair"),
                "incomplete_signature",
            ),
            (
                text.replace("=REX/", "=TOM/"),
                ("UnrecognizedClientException", "The security token included in the request is invalid."),
                "unrecognized_client",
            ),
            (text.replace("/me ", "/me? ").replace("/me?", "/me?a=1"), DIFFERS, "invalid_signature"),
            (text.replacen("GET", "PUT", 1), DIFFERS, "invalid_signature"),
            (Signed { access_key: "GUEST", ..good.clone() }.bytes().replace("GUEST", "REX"), ("", ""), ""),
            (
                Signed { region: "eu-west-2", ..good.clone() }.bytes(),
                ("InvalidSignatureException", "Credential should be scoped to a valid region."),
                "invalid_signature",
            ),
            (
                Signed { at: good.at - Duration::from_secs(400), ..good.clone() }.bytes(),
                ("InvalidSignatureException", "Signature expired: "),
                "invalid_signature",
            ),
            (
                Signed { at: good.at + Duration::from_secs(400), ..good.clone() }.bytes(),
                ("InvalidSignatureException", "Signature not yet current: "),
                "invalid_signature",
            ),
            (
                Signed { at: good.at - Duration::from_secs(400), ..good.clone() }.presigned(60),
                ("InvalidSignatureException", "Signature expired: "),
                "invalid_signature",
            ),
            (
                Signed { access_key: "SESSION", ..good.clone() }.bytes(),
                ("UnrecognizedClientException", "The security token included in the request is invalid."),
                "unrecognized_client",
            ),
            (
                Signed { access_key: "SESSION", token: Some("tokem"), ..good.clone() }.bytes(),
                ("UnrecognizedClientException", "The security token included in the request is invalid."),
                "unrecognized_client",
            ),
        ] {
            if reason.is_empty() {
                // They share a secret here: the key's id is no part of what is signed but for the credential.
                stage.ask(request).expect_status(200);
                continue;
            }
            is_refused(stage, &request, no, reason);
        }
        stage.ask(Signed { at: good.at - Duration::from_secs(400), ..good.clone() }.presigned(900)).expect_status(200);
    });
}

#[test]
fn a_13_pol_03_both_policies_decide() {
    with_secrets(|stage| {
        let of = |access_key, host, path| Signed { access_key, ..Signed::get(host, path) };
        let denied = |signed: &Signed, who: &str, on: &str| {
            let no = format!(
                "User: {who} is not authorized to perform: execute-api:Invoke on resource: arn:aws:execute-api:eu-west-1:********9012:{on}"
            );
            is_refused(stage, &signed.bytes(), ("AccessDeniedException", &no), "access_denied");
        };
        let (rex, guest) = ("arn:aws:iam::123456789012:user/rex", "arn:aws:iam::210987654321:user/guest");
        // Its own account: one that allows is enough (table A), one that denies decides.
        stage.ask(of("REX", "ruled.test", "/shared").bytes()).expect_status(200);
        denied(&of("REX", "ruled.test", "/other"), rex, "ruled/prod/GET/other\"}");
        denied(&of("REX", "open.test", "/secret"), rex, "open/prod/GET/secret with an explicit deny\"}");
        // Another account: both must allow (table B).
        stage.ask(of("GUEST", "ruled.test", "/other").bytes()).expect_status(200);
        denied(&of("GUEST", "open.test", "/other"), guest, "open/prod/GET/other\"}");
        // A role is meant by the session of it.
        let session = Signed { token: Some("token/+="), ..of("SESSION", "ruled.test", "/other") };
        stage.ask(session.bytes()).expect_status(200);
    });
}
