//! AWS Signature Version 4: who signed a request, in its `Authorization` or in its query, and whether it is this request.
//!
//! In two steps: [`read`] finds what is claimed, when, and by whose key, and refuses what no key could save; [`verify`] makes the text that
//! was signed and compares. Between them stands the body, whose hash is a part of that text unless the signer leaves it out.
//! Buffers come from the caller and are used again.

mod canonical;
mod elliptic;
mod refused;
mod sign;
mod stamp;

pub use aws_lc_rs::hmac::Key as SigningKey;
use aws_lc_rs::{constant_time, digest, hmac};

pub use self::elliptic::{EllipticKey, verify_elliptic};
pub use self::refused::Wrong;
pub use self::sign::{Credentials, Unsigned, sign};
use self::stamp::Stamp;
use crate::limits::{SIGNATURE_BYTES_MAX, SIGNED_FIELDS_MAX};

/// How far a signer's clock may be from ours, in milliseconds.
pub const SKEW_MS: u64 = 5 * 60 * 1_000;

/// The longest life of a signature in a query, in seconds: seven days.
pub const EXPIRES_MAX: u64 = 7 * 24 * 3_600;

const ALGORITHM: &[u8] = b"AWS4-HMAC-SHA256";
const TERMINATOR: &[u8] = b"aws4_request";
const UNSIGNED: &[u8] = b"UNSIGNED-PAYLOAD";

/// A request as it was received. `fields` are names and values in their order, blanks around a value left out.
#[derive(Clone, Copy)]
pub struct Asked<'a, F> {
    /// The verb.
    pub method: &'a [u8],
    /// The path, as received.
    pub path: &'a [u8],
    /// The query without its `?`, as received; empty if there is none.
    pub query: &'a [u8],
    /// The header fields.
    pub fields: F,
}

/// Names and values of header fields.
pub trait FieldList<'a>: Iterator<Item = (&'a [u8], &'a [u8])> + Clone {}

impl<'a, T: Iterator<Item = (&'a [u8], &'a [u8])> + Clone> FieldList<'a> for T {}

/// For whom requests are signed.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// `eu-west-1`
    pub region: &'a str,
    /// `execute-api`
    pub service: &'a str,
}

/// Room for what is read and put together, used again.
#[derive(Default)]
pub struct Work {
    claim: Claim,
    canonical: canonical::Room,
    message: Vec<u8>,
}

/// What a request says of its signature.
#[derive(Default)]
struct Claim {
    text: Vec<u8>,
    access_key: Part,
    /// `20150830/us-east-1/execute-api/aws4_request`
    scope: Part,
    signed_fields: Part,
    token: Option<Part>,
    date: Stamp,
    /// Its bytes.
    signature: Part,
    /// Whether it is of version 4a.
    elliptic: bool,
    payload: Payload,
    in_query: bool,
}

/// Where a part stands in the text of a claim.
type Part = std::ops::Range<usize>;

/// What stands for the body in the text that was signed.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Payload {
    /// Its hash.
    #[default]
    Hash,
    /// Its hash, which the signer says to be this one.
    Said([u8; 32]),
    /// Nothing: it is not signed.
    Unsigned,
}

impl Work {
    /// The id of the key that is said to have signed.
    pub fn access_key(&self) -> &[u8] {
        &self.claim.text[self.claim.access_key.clone()]
    }

    /// The session's token, if one is shown.
    pub fn token(&self) -> Option<&[u8]> {
        self.claim.token.clone().map(|part| &self.claim.text[part])
    }

    /// The day of the signature, `20150830`: a signing key is made for each.
    pub fn day(&self) -> [u8; 8] {
        self.claim.date.day()
    }

    /// Whether it is of version 4a: [`verify_elliptic`] is asked then. HTTP APIs do not take it.
    pub fn is_elliptic(&self) -> bool {
        self.claim.elliptic
    }

    /// Whether the body has to be read before the signature can be verified.
    pub fn wants_body(&self) -> bool {
        self.claim.payload != Payload::Unsigned
    }

    /// The hash that the signer says the body has: with it the signature can be verified before the body is there.
    pub fn said_hash(&self) -> Option<[u8; 32]> {
        if let Payload::Said(hash) = self.claim.payload { Some(hash) } else { None }
    }

    /// The request in its canonical form, as [`verify`] has made it last.
    pub fn canonical(&self) -> &[u8] {
        &self.canonical.text
    }
}

/// The key of a day: what a signer's secret becomes for it.
pub fn signing_key(secret: &[u8], day: &[u8; 8], scope: Scope<'_>) -> hmac::Key {
    let mut first = Vec::with_capacity(4 + secret.len());
    first.extend_from_slice(b"AWS4");
    first.extend_from_slice(secret);
    let mut key = hmac::Key::new(hmac::HMAC_SHA256, &first);
    first.fill(0);
    for part in [&day[..], scope.region.as_bytes(), scope.service.as_bytes(), TERMINATOR] {
        key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part).as_ref());
    }
    key
}

/// Whether two secrets are the same, in a time that does not tell where they differ.
pub fn is_same(one: &[u8], other: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(one, other).is_ok()
}

/// Finds what the request says of its signature, and refuses what no key could save. `now_ms`: milliseconds since 1970.
pub fn read<'a, F: FieldList<'a>>(
    asked: &Asked<'a, F>,
    scope: Scope<'_>,
    now_ms: u64,
    work: &mut Work,
) -> Result<(), Wrong> {
    let mut authorization = None;
    for (name, value) in asked.fields.clone() {
        if name.eq_ignore_ascii_case(b"authorization") && authorization.replace(value).is_some() {
            return Err(Wrong::Twice);
        }
    }
    let claim = &mut work.claim;
    claim.text.clear();
    claim.token = None;
    match authorization {
        Some(value) => claim.read_field(asked, value)?,
        None if canonical::param(asked.query, b"X-Amz-Algorithm").is_some()
            || canonical::param(asked.query, b"X-Amz-Signature").is_some() =>
        {
            claim.read_query(asked)?;
        }
        None => return Err(Wrong::Missing),
    }
    claim.check_scope(asked, scope)?;
    claim.check_signed_fields(asked)?;
    claim.read_payload(asked)?;
    claim.check_time(asked, now_ms)
}

/// Whether this key has signed this request. `body`: the SHA-256 of its body; what of it is not signed does not matter.
pub fn verify<'a, F: FieldList<'a>>(
    asked: &Asked<'a, F>,
    key: &hmac::Key,
    body: &[u8; 32],
    work: &mut Work,
) -> Result<(), Wrong> {
    if work.is_elliptic() {
        return Err(Wrong::Differs);
    }
    judge(asked, body, work, |message, signature| hmac::verify(key, message, signature).is_ok())
}

/// Whether the signature is right for the text that was signed, in one of the ways to write it.
fn judge<'a, F: FieldList<'a>>(
    asked: &Asked<'a, F>,
    body: &[u8; 32],
    work: &mut Work,
    is_right: impl Fn(&[u8], &[u8]) -> bool,
) -> Result<(), Wrong> {
    let Work { claim, canonical, message } = work;
    let payload = match claim.payload {
        Payload::Unsigned => None,
        Payload::Said(said) if said != *body => return Err(Wrong::BodyDiffers),
        Payload::Said(_) | Payload::Hash => Some(body),
    };
    let signed = &claim.text[claim.signed_fields.clone()];
    for way in canonical::Way::ALL {
        if !canonical.write(asked, way, claim.in_query, signed, payload.map(|hash| &hash[..]).ok_or(UNSIGNED)) {
            continue;
        }
        message.clear();
        message.extend_from_slice(if claim.elliptic { elliptic::ALGORITHM } else { ALGORITHM });
        message.push(b'\n');
        message.extend_from_slice(claim.date.text());
        message.push(b'\n');
        message.extend_from_slice(&claim.text[claim.scope.clone()]);
        message.push(b'\n');
        canonical::hex(digest::digest(&digest::SHA256, &canonical.text).as_ref(), message);
        if is_right(message, &claim.text[claim.signature.clone()]) {
            return Ok(());
        }
    }
    Err(Wrong::Differs)
}

/// The SHA-256 of a body.
pub fn hash(body: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, body).as_ref());
    hash
}

impl Claim {
    fn keep(&mut self, bytes: impl IntoIterator<Item = u8>) -> Part {
        let from = self.text.len();
        self.text.extend(bytes);
        from..self.text.len()
    }

    /// `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`
    fn read_field<'a, F: FieldList<'a>>(&mut self, asked: &Asked<'a, F>, value: &[u8]) -> Result<(), Wrong> {
        self.elliptic = value.starts_with(elliptic::ALGORITHM);
        let algorithm = if self.elliptic { elliptic::ALGORITHM } else { ALGORITHM };
        let rest = value.strip_prefix(algorithm).and_then(|rest| rest.strip_prefix(b" "));
        let Some(rest) = rest.filter(|rest| rest.len() <= SIGNATURE_BYTES_MAX) else {
            return Err(Wrong::NoSignature);
        };
        let (mut credential, mut signed, mut signature) = (None, None, None);
        for pair in rest.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            let Some(at) = pair.iter().position(|byte| *byte == b'=') else { return Err(Wrong::NoPair) };
            let value = &pair[at + 1..];
            let before = match &pair[..at] {
                b"Credential" => credential.replace(value),
                b"SignedHeaders" => signed.replace(value),
                b"Signature" => signature.replace(value),
                _ => return Err(Wrong::NoPair),
            };
            if before.is_some() {
                return Err(Wrong::Twice);
            }
        }
        let date = one(asked, b"x-amz-date")?.or(one(asked, b"date")?);
        let (Some(credential), Some(signed), Some(signature), Some(date)) = (credential, signed, signature, date)
        else {
            return Err(Wrong::FieldLacks {
                credential: credential.is_none(),
                signature: signature.is_none(),
                signed_fields: signed.is_none(),
                date: date.is_none(),
            });
        };
        self.in_query = false;
        self.date = Stamp::parse(date).ok_or(Wrong::NoDate)?;
        self.keep_signature(signature)?;
        self.signed_fields = self.keep(signed.iter().copied());
        if let Some(token) = one(asked, b"x-amz-security-token")? {
            self.token = Some(self.keep(token.iter().copied()));
        }
        let credential = self.keep(credential.iter().copied());
        self.split_credential(credential)
    }

    fn read_query<'a, F: FieldList<'a>>(&mut self, asked: &Asked<'a, F>) -> Result<(), Wrong> {
        let mut kept: [Option<Part>; 5] = Default::default();
        let names: [&[u8]; 5] =
            [b"X-Amz-Algorithm", b"X-Amz-Credential", b"X-Amz-Signature", b"X-Amz-SignedHeaders", b"X-Amz-Date"];
        for (slot, name) in kept.iter_mut().zip(names) {
            if canonical::count(asked.query, name) > 1 {
                return Err(Wrong::Twice);
            }
            *slot = canonical::param(asked.query, name).map(|raw| self.keep(canonical::decoded(raw)));
        }
        if self.text.len() > SIGNATURE_BYTES_MAX {
            return Err(Wrong::NoSignature);
        }
        let [Some(algorithm), Some(credential), Some(signature), Some(signed), Some(date)] = kept else {
            return Err(Wrong::QueryLacks);
        };
        self.elliptic = match &self.text[algorithm] {
            ALGORITHM => false,
            elliptic::ALGORITHM => true,
            _ => return Err(Wrong::NoSignature),
        };
        self.in_query = true;
        self.date = Stamp::parse(&self.text[date]).ok_or(Wrong::NoDate)?;
        let signature = self.text[signature].to_vec();
        self.keep_signature(&signature)?;
        self.signed_fields = signed;
        if let Some(raw) = canonical::param(asked.query, b"X-Amz-Security-Token") {
            self.token = Some(self.keep(canonical::decoded(raw)));
        }
        self.split_credential(credential)
    }

    /// 32 bytes, or of version 4a a sequence of DER, in hexadecimal.
    fn keep_signature(&mut self, hex: &[u8]) -> Result<(), Wrong> {
        if self.elliptic {
            let bytes = data_encoding::HEXLOWER.decode(hex).map_err(|_| Wrong::Differs)?;
            self.signature = self.keep(bytes);
        } else {
            let bytes = unhex(hex).ok_or(Wrong::Differs)?;
            self.signature = self.keep(bytes);
        }
        Ok(())
    }

    /// `AKIDEXAMPLE/20150830/us-east-1/execute-api/aws4_request`, of version 4a without the region.
    fn split_credential(&mut self, part: Part) -> Result<(), Wrong> {
        let text = &self.text[part.clone()];
        let slash = text.iter().position(|byte| *byte == b'/').ok_or(Wrong::NoCredential)?;
        self.access_key = part.start..part.start + slash;
        self.scope = part.start + slash + 1..part.end;
        if self.access_key.is_empty() || self.scope_parts().is_none() { Err(Wrong::NoCredential) } else { Ok(()) }
    }

    /// Day, region, service, and the word at the end. Of version 4a the region is empty.
    fn scope_parts(&self) -> Option<[&[u8]; 4]> {
        let mut parts = self.text[self.scope.clone()].split(|byte| *byte == b'/');
        let is_elliptic = self.elliptic;
        let mut next = || parts.next();
        let day = next()?;
        let region = if is_elliptic { b"" } else { next()? };
        let found = [day, region, next()?, next()?];
        next().is_none().then_some(found)
    }

    fn check_scope<'a, F: FieldList<'a>>(&self, asked: &Asked<'a, F>, scope: Scope<'_>) -> Result<(), Wrong> {
        let [day, region, service, terminator] = self.scope_parts().ok_or(Wrong::NoCredential)?;
        if terminator != TERMINATOR {
            return Err(Wrong::Terminator);
        }
        let is_ours = if self.elliptic {
            elliptic::has_region(&self.region_set(asked)?, scope.region.as_bytes())
        } else {
            region == scope.region.as_bytes()
        };
        if !is_ours {
            return Err(Wrong::Region);
        }
        if service != scope.service.as_bytes() {
            return Err(Wrong::Service);
        }
        if *day == self.date.day() { Ok(()) } else { Err(Wrong::OtherDay) }
    }

    /// For which regions a signature of version 4a is.
    fn region_set<'a, F: FieldList<'a>>(&self, asked: &Asked<'a, F>) -> Result<Vec<u8>, Wrong> {
        let set = if self.in_query {
            canonical::param(asked.query, b"X-Amz-Region-Set").map(|raw| canonical::decoded(raw).collect())
        } else {
            one(asked, b"x-amz-region-set")?.map(<[u8]>::to_vec)
        };
        set.ok_or(Wrong::NoRegionSet)
    }

    /// The host and all that speaks to us of the request must be signed. Names are in lower case, sorted, none twice.
    fn check_signed_fields<'a, F: FieldList<'a>>(&self, asked: &Asked<'a, F>) -> Result<(), Wrong> {
        let signed = &self.text[self.signed_fields.clone()];
        let mut before: &[u8] = b"";
        let mut count = 0;
        for name in signed.split(|byte| *byte == b';') {
            let is_name = !name.is_empty() && !name.iter().any(u8::is_ascii_uppercase);
            count += 1;
            if !is_name || name <= before || count > SIGNED_FIELDS_MAX {
                return Err(Wrong::SignedFields);
            }
            before = name;
        }
        let is_signed = |name: &[u8]| signed.split(|byte| *byte == b';').any(|one| one.eq_ignore_ascii_case(name));
        if !is_signed(b"host") {
            return Err(Wrong::HostNotSigned);
        }
        for (name, _) in asked.fields.clone() {
            let ours = name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case(b"x-amz-"));
            // A token is compared with ours anyhow, and some sign first and add it then; the other is of a distribution in front.
            let free = [&b"x-amz-security-token"[..], b"x-amz-cf-id"];
            if ours && !free.iter().any(|free| name.eq_ignore_ascii_case(free)) && !is_signed(name) {
                return Err(Wrong::FieldNotSigned);
            }
        }
        Ok(())
    }

    fn read_payload<'a, F: FieldList<'a>>(&mut self, asked: &Asked<'a, F>) -> Result<(), Wrong> {
        let mut said = one(asked, b"x-amz-content-sha256")?;
        if said.is_none() && self.in_query {
            said = canonical::param(asked.query, b"X-Amz-Content-Sha256");
        }
        self.payload = match said {
            None => Payload::Hash,
            Some(UNSIGNED) => Payload::Unsigned,
            Some(text) if text.starts_with(b"STREAMING-") => return Err(Wrong::Streaming),
            Some(text) => Payload::Said(unhex(text).ok_or(Wrong::BodyDiffers)?),
        };
        Ok(())
    }

    fn check_time<'a, F: FieldList<'a>>(&self, asked: &Asked<'a, F>, now_ms: u64) -> Result<(), Wrong> {
        let signed_ms = self.date.epoch_ms();
        let mut life = SKEW_MS;
        if self.in_query
            && let Some(text) = canonical::param(asked.query, b"X-Amz-Expires")
        {
            let seconds = std::str::from_utf8(text).ok().and_then(|text| text.parse::<u64>().ok());
            life = seconds.filter(|seconds| (1..=EXPIRES_MAX).contains(seconds)).ok_or(Wrong::Expires)? * 1_000;
        }
        let (signed, now) = (self.date, Stamp::of(now_ms));
        if signed_ms > now_ms.saturating_add(SKEW_MS) {
            return Err(Wrong::NotYet { signed, now, until: Stamp::of(now_ms + SKEW_MS) });
        }
        if now_ms > signed_ms.saturating_add(life) {
            let (since, minutes) = (Stamp::of(now_ms.saturating_sub(life)), life / 60_000);
            return Err(Wrong::Expired { signed, now, since, minutes });
        }
        Ok(())
    }
}

/// The value of a field that may stand there once.
fn one<'a, F: FieldList<'a>>(asked: &Asked<'a, F>, name: &[u8]) -> Result<Option<&'a [u8]>, Wrong> {
    let mut found = asked.fields.clone().filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    match (found.next(), found.next()) {
        (_, Some(_)) => Err(Wrong::Twice),
        (value, None) => Ok(value),
    }
}

fn unhex(text: &[u8]) -> Option<[u8; 32]> {
    let mut out = [0; 32];
    let exact = text.len() == 64 && text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let decoded = exact && data_encoding::HEXLOWER.decode_mut(text, &mut out).is_ok();
    decoded.then_some(out)
}

#[cfg(test)]
mod tests;
