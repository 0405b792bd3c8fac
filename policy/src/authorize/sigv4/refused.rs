//! What a signer is told. No part of a credential is repeated.

use super::stamp::Stamp;
use crate::refusal::Refusal;

/// Why a signature is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// Nobody signed.
    Missing,
    /// There is an `Authorization` that is no such signature.
    NoSignature,
    /// A part without `=`, or of a name that is none.
    NoPair,
    /// Something stands there twice that may stand there once.
    Twice,
    /// Parts of the `Authorization` are missing.
    FieldLacks {
        /// `Credential`
        credential: bool,
        /// `Signature`
        signature: bool,
        /// `SignedHeaders`
        signed_fields: bool,
        /// `X-Amz-Date`
        date: bool,
    },
    /// Parameters of a presigned request are missing.
    QueryLacks,
    /// The date is none.
    NoDate,
    /// The credential does not have five parts.
    NoCredential,
    /// Its last part is another one.
    Terminator,
    /// It is for another region.
    Region,
    /// Nothing says for which regions a signature of version 4a is.
    NoRegionSet,
    /// It is for another service.
    Service,
    /// Its day is not that of the date.
    OtherDay,
    /// The list of signed fields is none.
    SignedFields,
    /// The host is not signed.
    HostNotSigned,
    /// A field `x-amz-*` is not signed.
    FieldNotSigned,
    /// The body's chunks are signed, one by one.
    Streaming,
    /// `X-Amz-Expires` is no number of seconds, or of more than seven days.
    Expires,
    /// Its time is over.
    Expired {
        /// When it was signed.
        signed: Stamp,
        /// The earliest that would still do.
        since: Stamp,
        /// Our time.
        now: Stamp,
        /// How long it lives.
        minutes: u64,
    },
    /// Its time has not begun.
    NotYet {
        /// When it says it was signed.
        signed: Stamp,
        /// The latest that would do.
        until: Stamp,
        /// Our time.
        now: Stamp,
    },
    /// The body is not the one whose hash the signer says.
    BodyDiffers,
    /// Nobody has this key, or not with this token.
    UnknownKey,
    /// Another request was signed, or with another secret.
    Differs,
}

impl Wrong {
    /// The refusal that says so.
    pub const fn refusal(self) -> Refusal {
        match self {
            Self::Missing => Refusal::MissingAuthenticationToken,
            Self::UnknownKey => Refusal::UnrecognizedClient,
            Self::NoSignature
            | Self::NoPair
            | Self::Twice
            | Self::FieldLacks { .. }
            | Self::QueryLacks
            | Self::NoDate
            | Self::NoRegionSet
            | Self::NoCredential => Refusal::IncompleteSignature,
            _ => Refusal::InvalidSignature,
        }
    }

    /// Writes its message; nothing where the refusal's own will do.
    pub fn write(self, out: &mut Vec<u8>) {
        let text: &[u8] = match self {
            Self::Missing | Self::UnknownKey => return,
            Self::NoSignature | Self::NoPair => {
                b"Invalid key=value pair (missing equal-sign) in Authorization header."
            }
            Self::Twice => b"A part of the signature stands in the request twice.",
            Self::FieldLacks { credential, signature, signed_fields, date } => {
                return field_lacks([credential, signature, signed_fields, date], out);
            }
            Self::QueryLacks => {
                b"AWS query-string parameters must include 'X-Amz-Algorithm', 'X-Amz-Credential', 'X-Amz-Signature', 'X-Amz-SignedHeaders' and 'X-Amz-Date'. Re-examine the query-string parameters."
            }
            Self::NoDate => b"Date must be in ISO-8601 'basic format'.",
            Self::NoCredential => b"Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term.",
            Self::Terminator => b"Credential should be scoped with a valid terminator: 'aws4_request'.",
            Self::NoRegionSet => b"'X-Amz-Region-Set' must say for which regions the request is signed.",
            Self::Region => b"Credential should be scoped to a valid region.",
            Self::Service => b"Credential should be scoped to correct service: 'execute-api'.",
            Self::OtherDay => b"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP.",
            Self::SignedFields => b"'SignedHeaders' must be names in lower case, sorted, none of them twice.",
            Self::HostNotSigned => b"'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
            Self::FieldNotSigned => b"Every header 'x-amz-*' must be a 'SignedHeader' in the AWS Authorization.",
            Self::Streaming => b"Payloads that are signed in chunks are not supported.",
            Self::Expires => b"X-Amz-Expires must be a number of seconds, 604800 at most.",
            Self::Expired { signed, since, now, minutes } => {
                let minutes = minutes.to_string();
                return join(
                    &[
                        b"Signature expired: ", signed.text(), b" is now earlier than ", since.text(), b" (", now.text(),
                        b" - ", minutes.as_bytes(), b" min.)",
                    ],
                    out,
                );
            }
            Self::NotYet { signed, until, now } => {
                return join(
                    &[
                        b"Signature not yet current: ", signed.text(), b" is still later than ", until.text(), b" (",
                        now.text(), b" + 5 min.)",
                    ],
                    out,
                );
            }
            Self::BodyDiffers => b"The value of 'x-amz-content-sha256' is not the hash of the request's body.",
            Self::Differs => {
                b"The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
            }
        };
        out.extend_from_slice(text);
    }
}

fn field_lacks(lacks: [bool; 4], out: &mut Vec<u8>) {
    let texts: [&[u8]; 4] = [
        b"Authorization header requires 'Credential' parameter.",
        b"Authorization header requires 'Signature' parameter.",
        b"Authorization header requires 'SignedHeaders' parameter.",
        b"Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.",
    ];
    let from = out.len();
    for (text, _) in texts.iter().zip(lacks).filter(|(_, lacks)| *lacks) {
        if out.len() > from {
            out.push(b' ');
        }
        out.extend_from_slice(text);
    }
}

fn join(parts: &[&[u8]], out: &mut Vec<u8>) {
    for part in parts {
        out.extend_from_slice(part);
    }
}
