//! Certificates and what a client must be able to speak: the part `tls` of listeners and domains (DM-01, DM-08).

use crate::diagnostic::Place;
use crate::limits;
use crate::model::field::{Field, Table, Type};
use crate::model::reader::{Object, Reader};
use crate::snapshot::TlsPolicy;
use crate::source::node::{Node, Text};

/// The part `tls`, as written.
#[derive(Debug, Clone)]
pub struct TlsSpec {
    /// Where it begins.
    pub place: Place,
    /// The certificates: the client decides by what it can read.
    pub certificates: Vec<CertificateSpec>,
    /// What is spoken.
    pub policy: TlsPolicy,
}

/// A certificate and its key, as written.
#[derive(Debug, Clone)]
pub struct CertificateSpec {
    /// The chain, in PEM.
    pub certificate: Text,
    /// The private key, in PEM.
    pub key: Text,
    /// An OCSP answer about the certificate, in DER.
    pub ocsp: Option<Text>,
}

/// The fields of `tls`.
pub const TLS: Table = Table {
    name: "`tls`",
    fields: &[
        Field::new("certificate", Type::Path, "the certificate and those that issued it, in PEM"),
        Field::new("key", Type::Path, "its private key, in PEM; also ${file:path} or ${credential:name}"),
        Field::new("ocsp", Type::Path, "an OCSP answer about it, in DER, for clients that ask"),
        Field::new("certificates", Type::List(&CERTIFICATE), "several, such as ECDSA and RSA side by side"),
        Field::new("policy", Type::Word(&POLICY_WORDS), "a security policy of API Gateway; TLS_1_2 by default"),
    ],
};

/// The fields of a certificate.
pub const CERTIFICATE: Table = Table {
    name: "a certificate",
    fields: &[
        Field::new("certificate", Type::Path, "the certificate and those that issued it, in PEM").needed(),
        Field::new("key", Type::Path, "its private key, in PEM; also ${file:path} or ${credential:name}").needed(),
        Field::new("ocsp", Type::Path, "an OCSP answer about it, in DER, for clients that ask"),
    ],
};

const FROM_1_2: TlsPolicy = TlsPolicy { only_1_3: false, only_aes: false };
const FROM_1_2_AES: TlsPolicy = TlsPolicy { only_1_3: false, only_aes: true };
const FROM_1_3: TlsPolicy = TlsPolicy { only_1_3: true, only_aes: false };
const FROM_1_3_AES: TlsPolicy = TlsPolicy { only_1_3: true, only_aes: true };

/// What a name of DM-08 becomes here, and how that differs from what it says. Key exchanges of no forward secrecy and CBC suites are
/// not spoken under any name.
const POLICIES: [(&str, TlsPolicy, &str); 13] = [
    ("TLS_1_2", FROM_1_2, ""),
    ("TLS_1_0", FROM_1_2, "TLS 1.0 and 1.1 are not spoken: clients need 1.2 or 1.3"),
    ("SecurityPolicy_TLS13_1_3_2025_09", FROM_1_3, ""),
    ("SecurityPolicy_TLS13_1_3_FIPS_2025_09", FROM_1_3_AES, NOT_FIPS),
    ("SecurityPolicy_TLS13_1_2_2021_06", FROM_1_2, ""),
    ("SecurityPolicy_TLS13_1_2_PQ_2025_09", FROM_1_2, ""),
    ("SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09", FROM_1_2, ""),
    ("SecurityPolicy_TLS13_1_2_FIPS_PQ_2025_09", FROM_1_2_AES, NOT_FIPS),
    ("SecurityPolicy_TLS13_1_2_FIPS_PFS_PQ_2025_09", FROM_1_2_AES, NOT_FIPS),
    ("SecurityPolicy_TLS13_2025_EDGE", FROM_1_3, ""),
    ("SecurityPolicy_TLS12_PFS_2025_EDGE", FROM_1_2, ""),
    ("SecurityPolicy_TLS12_2018_EDGE", FROM_1_2, ""),
    ("TLS_1_3", FROM_1_3, ""),
];
const NOT_FIPS: &str = "only its AES suites are spoken, but by a module that is not validated for FIPS 140";
const POLICY_WORDS: [&str; POLICIES.len()] = {
    let mut words = [""; POLICIES.len()];
    let mut at = 0;
    while at < words.len() {
        words[at] = POLICIES[at].0;
        at += 1;
    }
    words
};

impl TlsSpec {
    /// Reads the part.
    pub fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let object = reader.object(node, &TLS)?;
        let mut certificates = Vec::new();
        let written = object.get("certificates").map(|node| reader.list(node));
        let has_one = ["certificate", "key", "ocsp"].iter().filter(|field| object.get(field).is_some()).count() > 0;
        if has_one || written.is_none() {
            certificates.extend(CertificateSpec::of(&object, reader));
        } else if written.is_some_and(<[Node]>::is_empty) {
            reader.faults.error_hint(object.place, "`certificates` is empty", HINT);
        }
        let written = written.unwrap_or_default();
        if written.len() > limits::CERTIFICATES_MAX {
            let what = format!("more than {} certificates in one place", limits::CERTIFICATES_MAX);
            reader.faults.error_hint(object.place, what, "one of each kind of key is enough: ECDSA, RSA, Ed25519");
        }
        for node in written.iter().take(limits::CERTIFICATES_MAX) {
            certificates.extend(CertificateSpec::read(node, reader));
        }
        let policy = object.get("policy").and_then(|node| policy(node, reader)).unwrap_or_default();
        object.close();
        Some(Self { place: node.place, certificates, policy })
    }
}

const HINT: &str = "write `tls: {certificate: api.crt, key: api.key}`";

impl CertificateSpec {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let object = reader.object(node, &CERTIFICATE)?;
        let read = Self::of(&object, reader);
        object.close();
        read
    }

    fn of(object: &Object<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        for field in ["certificate", "key"] {
            if object.lacks(field) {
                reader.faults.error_hint(object.place, format!("a certificate needs `{field}`"), HINT);
            }
        }
        let mut text = |field: &str| object.get(field).and_then(|node| reader.text(node, &format!("`{field}`")));
        let (certificate, key, ocsp) = (text("certificate"), text("key"), text("ocsp"));
        Some(Self { certificate: certificate?, key: key?, ocsp })
    }
}

fn policy(node: &Node, reader: &mut Reader<'_>) -> Option<TlsPolicy> {
    let words = POLICIES.map(|(word, policy, note)| (word, (policy, note)));
    let written = reader.word(node, "`policy`", &words, &[])?;
    let (policy, note) = written.value;
    if !note.is_empty() {
        reader.faults.warning(written.place, note, "the nearest that is stricter takes its place");
    }
    Some(policy)
}
