//! Who a client has proved to be by a certificate, or why it has not (DM-10).

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

/// Why a client has not proved who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Unproven {
    /// It showed no certificate, or came without TLS.
    Missing,
    /// Nobody whom the truststore names has issued it.
    Untrusted,
    /// Its time is over.
    Expired,
    /// Its time has not begun.
    NotYetValid,
    /// Its issuer has revoked it.
    Revoked,
    /// Whether it was revoked is not known: a list is missing, or out of date.
    StatusUnknown,
    /// It is not for clients, not well made, too long, or signed in a way that nobody should use.
    Unusable,
}

impl Unproven {
    /// Every reason, in order.
    pub const ALL: [Self; 7] = [
        Self::Missing,
        Self::Untrusted,
        Self::Expired,
        Self::NotYetValid,
        Self::Revoked,
        Self::StatusUnknown,
        Self::Unusable,
    ];

    /// Its name in logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Missing => "client_certificate_missing",
            Self::Untrusted => "client_certificate_untrusted",
            Self::Expired => "client_certificate_expired",
            Self::NotYetValid => "client_certificate_not_yet_valid",
            Self::Revoked => "client_certificate_revoked",
            Self::StatusUnknown => "client_certificate_status_unknown",
            Self::Unusable => "client_certificate_unusable",
        }
    }
}

/// A client's certificate, in the words of `$context.identity.clientCert`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// All of it, in DER.
    pub der: Box<[u8]>,
    /// `subjectDN`: RFC 4514, without control characters.
    pub subject: Box<str>,
    /// `issuerDN`, likewise.
    pub issuer: Box<str>,
    /// `serialNumber`: pairs of hexadecimal digits with colons between them.
    pub serial_number: Box<str>,
    /// `validity.notBefore`: `May 28 12:30:02 2019 GMT`.
    pub not_before: Box<str>,
    /// `validity.notAfter`, likewise.
    pub not_after: Box<str>,
    /// Its other names: `subjectAltName` (RFC 5280 §4.2.1.6), in order; of kinds that nobody compares, none.
    pub alt_names: Box<[(AltKind, Box<str>)]>,
}

/// The kind of a certificate's other name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AltKind {
    /// A name of DNS.
    Dns,
    /// An address such as `spiffe://house/door`.
    Uri,
    /// A mailbox.
    Email,
    /// An IP address, as text.
    Ip,
}

impl ClientCertificate {
    /// Writes `clientCertPem`: lines of 64 letters (RFC 7468), without a break behind the last.
    pub fn write_pem(&self, out: &mut Vec<u8>) {
        const LINE: usize = 48;
        out.extend_from_slice(b"-----BEGIN CERTIFICATE-----\n");
        for piece in self.der.chunks(LINE) {
            let from = out.len();
            out.resize(from + BASE64.encode_len(piece.len()), 0);
            BASE64.encode_mut(piece, &mut out[from..]);
            out.push(b'\n');
        }
        out.extend_from_slice(b"-----END CERTIFICATE-----");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pem_has_lines_of_64_letters() {
        let certificate = |length: u8| ClientCertificate {
            der: (0..length).collect(),
            subject: "CN=a".into(),
            issuer: "CN=b".into(),
            serial_number: "01".into(),
            not_before: "May 28 12:30:02 2019 GMT".into(),
            not_after: "Aug  5 09:36:04 2021 GMT".into(),
            alt_names: Box::default(),
        };
        for length in [0, 1, 2, 3, 47, 48, 49, 96, 200] {
            let mut out = Vec::new();
            certificate(length).write_pem(&mut out);
            let text = String::from_utf8(out).unwrap();
            let lines: Vec<&str> = text.lines().collect();
            assert_eq!(
                (lines[0], lines[lines.len() - 1]),
                ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----")
            );
            let body = &lines[1..lines.len() - 1];
            assert!(body.iter().rev().skip(1).all(|line| line.len() == 64), "{text}");
            let decoded = BASE64.decode(body.concat().as_bytes()).unwrap();
            assert_eq!(decoded, (0..length).collect::<Vec<u8>>());
        }
    }
}
