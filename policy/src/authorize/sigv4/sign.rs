//! The other side: requests of our own are signed, in the form that [`super::verify`] takes.

use aws_lc_rs::{digest, hmac};
use codec::http1::write;

use super::canonical::{self, Room, Way};
use super::stamp::Stamp;
use super::{ALGORITHM, Asked, Scope, TERMINATOR, hash, signing_key};

/// Who signs.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// The id of its key: letters and digits.
    pub access_key: &'a [u8],
    /// Its secret.
    pub secret: &'a [u8],
    /// The token of its session.
    pub token: Option<&'a [u8]>,
}

/// A request that is about to be sent.
#[derive(Clone, Copy)]
pub struct Unsigned<'a> {
    /// The verb.
    pub method: &'a [u8],
    /// Path and query, as they are sent.
    pub target: &'a [u8],
    /// All that is signed of its head; `Host` is among them.
    pub fields: &'a [(&'a [u8], &'a [u8])],
    /// The body.
    pub body: &'a [u8],
}

/// Writes the fields that the request lacks: `X-Amz-Date`, `X-Amz-Security-Token` and `Authorization`, as lines. `now_ms`: milliseconds
/// since 1970.
pub fn sign(request: &Unsigned<'_>, who: &Credentials<'_>, scope: Scope<'_>, now_ms: u64, out: &mut Vec<u8>) {
    let stamp = Stamp::of(now_ms);
    let (path, query) = match request.target.iter().position(|byte| *byte == b'?') {
        Some(at) => (&request.target[..at], &request.target[at + 1..]),
        None => (request.target, &b""[..]),
    };
    let mut fields = request.fields.to_vec();
    fields.push((b"X-Amz-Date", stamp.text()));
    fields.extend(who.token.map(|token| (&b"X-Amz-Security-Token"[..], token)));
    for (name, value) in &fields[request.fields.len()..] {
        write::field(out, name, value);
    }
    let mut names: Vec<Vec<u8>> = fields.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.sort_unstable();
    names.dedup();
    let signed = names.join(&b';');
    let asked = Asked { method: request.method, path, query, fields: fields.iter().copied() };
    let mut room = Room::default();
    let body = hash(request.body);
    if !room.write(&asked, Way::Anew, false, &signed, Ok(&body)) {
        room.write(&asked, Way::AsReceived, false, &signed, Ok(&body));
    }
    let day = stamp.day();
    let scope_text = [&day[..], scope.region.as_bytes(), scope.service.as_bytes(), TERMINATOR].join(&b'/');
    let mut message = [ALGORITHM, stamp.text(), &scope_text, b""].join(&b'\n');
    canonical::hex(digest::digest(&digest::SHA256, &room.text).as_ref(), &mut message);
    let signature = hmac::sign(&signing_key(who.secret, &day, scope), &message);
    let mut value = [ALGORITHM, b" Credential=", who.access_key, b"/", &scope_text].concat();
    value.extend_from_slice(b", SignedHeaders=");
    value.extend_from_slice(&signed);
    value.extend_from_slice(b", Signature=");
    canonical::hex(signature.as_ref(), &mut value);
    write::field(out, b"Authorization", &value);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{SKEW_MS, Work, Wrong, read, verify};
    use super::*;

    const SCOPE: Scope<'_> = Scope { region: "eu-central-1", service: "lambda" };
    const WHO: Credentials<'_> = Credentials { access_key: b"AKIDEXAMPLE", secret: b"wJalrXUtnFEMI/K7", token: None };
    const NOW: u64 = 1_440_938_160_000;

    /// The fields that were written.
    fn lines(text: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let text = str::from_utf8(text).unwrap();
        let pair = |line: &str| line.split_once(": ").map(|(name, value)| (name.into(), value.into())).unwrap();
        text.split_terminator("\r\n").map(pair).collect()
    }

    /// What the verifier says of a request with these fields more.
    fn judged(request: &Unsigned<'_>, more: &[(Vec<u8>, Vec<u8>)], secret: &[u8], now: u64) -> Result<(), Wrong> {
        let own = request.fields.iter().map(|(name, value)| (name.to_vec(), value.to_vec()));
        let fields: Vec<(Vec<u8>, Vec<u8>)> = own.chain(more.iter().cloned()).collect();
        let mut parts = request.target.splitn(2, |byte| *byte == b'?');
        let (path, query) = (parts.next().unwrap(), parts.next().unwrap_or_default());
        let fields = fields.iter().map(|(name, value)| (&name[..], &value[..]));
        let asked = Asked { method: request.method, path, query, fields };
        let mut work = Work::default();
        read(&asked, SCOPE, now, &mut work)?;
        let key = signing_key(secret, &work.day(), SCOPE);
        verify(&asked, &key, &hash(request.body), &mut work)
    }

    #[test]
    fn what_a_library_of_aws_signs_too() {
        // botocore 1.44.5 gives these for this request, this key and this time.
        let fields: &[(&[u8], &[u8])] = &[
            (b"Host", b"lambda.eu-central-1.amazonaws.com"),
            (b"Content-Type", b"application/json"),
            (b"X-Amz-Invocation-Type", b"RequestResponse"),
        ];
        let target =
            b"/2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-central-1%3A123456789012%3Afunction%3Adoor/invocations";
        let request = Unsigned { method: b"POST", target, fields, body: b"{\"a\":1}" };
        for (token, signature) in [
            (None, "68e30c7e69782da76ccaa8c498a5167dc2241d02239736d80ada729e2c1692a9"),
            (Some(&b"AQoDYXdzEJr/token=="[..]), "7ffc10c7804dbb3010497a4f0003ec5f7f41354595e12d485c1fa89202b85eb4"),
        ] {
            let mut out = Vec::new();
            sign(&request, &Credentials { token, ..WHO }, SCOPE, NOW, &mut out);
            let said = str::from_utf8(&out).unwrap();
            assert!(said.ends_with(&format!("Signature={signature}\r\n")), "{said}");
            assert!(said.starts_with("X-Amz-Date: 20150830T123600Z\r\n"), "{said}");
            assert_eq!(said.contains("X-Amz-Security-Token: AQoDYXdzEJr/token==\r\n"), token.is_some());
            let names =
                if token.is_some() { "x-amz-invocation-type;x-amz-security-token" } else { "x-amz-invocation-type" };
            assert!(said.contains(&format!("SignedHeaders=content-type;host;x-amz-date;{names}, ")), "{said}");
            assert!(!said.contains("wJalr"));
        }
    }

    proptest! {
        #[test]
        fn what_is_signed_is_verified_and_nothing_else(
            path in "/[a-c%:./]{0,8}", query in "(\\?[ab=&%+;~]{0,8})?", body in "[ab]{0,3}", value in "[a-z ]{0,5}",
            late in 0..SKEW_MS, has_token: bool,
        ) {
            let target = format!("{path}{query}").into_bytes();
            let fields: &[(&[u8], &[u8])] = &[(b"Host", b"h"), (b"X-Amz-Meta", value.as_bytes())];
            let request = Unsigned { method: b"POST", target: &target, fields, body: body.as_bytes() };
            let who = Credentials { token: has_token.then_some(&b"t"[..]), ..WHO };
            let mut out = Vec::new();
            sign(&request, &who, SCOPE, NOW, &mut out);
            let more = lines(&out);
            prop_assert_eq!(judged(&request, &more, WHO.secret, NOW + late), Ok(()));
            prop_assert_eq!(judged(&request, &more, b"other", NOW + late), Err(Wrong::Differs));
            let other = Unsigned { body: b"other", ..request };
            prop_assert_eq!(judged(&other, &more, WHO.secret, NOW), Err(Wrong::Differs));
            prop_assert!(judged(&request, &more, WHO.secret, NOW + SKEW_MS + 1_000).is_err());
        }
    }
}
