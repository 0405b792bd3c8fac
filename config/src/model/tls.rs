//! Certificates and what the other end must be able to speak: the part `tls` of listeners and domains (DM-01, DM-08), and of upstreams.

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

/// The part `tls` of an upstream, as written.
#[derive(Debug, Clone)]
pub struct UpstreamTlsSpec {
    /// Who is believed; `None`: whom the system believes.
    pub ca: Option<Text>,
    /// The name that certificates must have.
    pub server_name: Option<Text>,
    /// What the gateway proves itself with.
    pub client: Option<CertificateSpec>,
    /// Whether anybody may have issued a certificate.
    pub any_issuer: bool,
    /// What is spoken.
    pub policy: TlsPolicy,
}

/// The fields of `tls` of an upstream.
pub const UPSTREAM_TLS: Table = Table {
    name: "`tls` of an upstream",
    fields: &[
        Field::new("ca", Type::Path, "who is believed, in PEM; the system's authorities by default"),
        Field::new("server_name", Type::Text, "the name that certificates must have, a server's own by default"),
        Field::new("certificate", Type::Path, "what the gateway proves itself with to servers that ask, in PEM"),
        Field::new("key", Type::Path, "its private key, in PEM; also ${file:path} or ${credential:name}"),
        Field::new(
            "insecure_skip_verification",
            Type::Flag,
            "true: anybody may have issued a certificate; its name and its time still count",
        ),
        Field::new("policy", Type::Word(&POLICY_WORDS), "a security policy of API Gateway; TLS_1_2 by default"),
    ],
};

/// The fields of `client_certificate` of a stage.
pub const CLIENT_CERTIFICATE: Table = Table {
    name: "`client_certificate`",
    fields: &[
        Field::new("certificate", Type::Path, "the certificate and those that issued it, in PEM").needed(),
        Field::new("key", Type::Path, "its private key, in PEM; also ${file:path} or ${credential:name}").needed(),
    ],
};

impl UpstreamTlsSpec {
    /// Reads the part.
    pub fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let object = reader.object(node, &UPSTREAM_TLS)?;
        let ca = object.get("ca").and_then(|node| reader.text(node, "`ca`"));
        let server_name = object.get("server_name").and_then(|node| reader.text(node, "`server_name`"));
        let any_issuer = object.get("insecure_skip_verification");
        let any_issuer = any_issuer.and_then(|node| reader.flag(node, "`insecure_skip_verification`"));
        if let (Some(ca), Some(true)) = (&ca, any_issuer) {
            let hint = "remove `insecure_skip_verification`: whom `ca` names is believed";
            reader.faults.error_hint(ca.place, "`ca` means nothing where anybody may have issued a certificate", hint);
        }
        let has_one = ["certificate", "key"].iter().filter(|field| object.get(field).is_some()).count() > 0;
        let client = if has_one { CertificateSpec::pair_of(&object, CLIENT_HINT, reader) } else { None };
        let policy = object.get("policy").and_then(|node| policy(node, reader)).unwrap_or_default();
        object.close();
        Some(Self { ca, server_name, client, any_issuer: any_issuer.unwrap_or(false), policy })
    }
}

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
const CLIENT_HINT: &str = "write `certificate: gateway.crt, key: gateway.key`";

impl CertificateSpec {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let object = reader.object(node, &CERTIFICATE)?;
        let read = Self::of(&object, reader);
        object.close();
        read
    }

    /// Reads the `client_certificate` of a stage.
    pub fn read_client(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let object = reader.object(node, &CLIENT_CERTIFICATE)?;
        let read = Self::pair_of(&object, CLIENT_HINT, reader);
        object.close();
        read
    }

    fn of(object: &Object<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let ocsp = object.get("ocsp").and_then(|node| reader.text(node, "`ocsp`"));
        Self::pair_of(object, HINT, reader).map(|pair| Self { ocsp, ..pair })
    }

    /// Certificate and key alone.
    fn pair_of(object: &Object<'_>, hint: &str, reader: &mut Reader<'_>) -> Option<Self> {
        for field in ["certificate", "key"] {
            if object.lacks(field) {
                reader.faults.error_hint(object.place, format!("a certificate needs `{field}`"), hint);
            }
        }
        let mut text = |field: &str| object.get(field).and_then(|node| reader.text(node, &format!("`{field}`")));
        let (certificate, key) = (text("certificate"), text("key"));
        Some(Self { certificate: certificate?, key: key?, ocsp: None })
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
