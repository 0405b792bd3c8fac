//! Reads certificates and their keys, and says what is wrong with them before anybody connects.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};

use super::x509;
use crate::diagnostic::Diagnostics;
use crate::input::{Input, bytes_of};
use crate::limits;
use crate::snapshot::{Certificate, CertificateFiles, FileRef};

/// Why a certificate cannot serve: which of its files, what is wrong, and what to do.
#[derive(Debug)]
pub struct Unfit {
    /// The file that is at fault.
    pub which: Which,
    /// What.
    pub what: String,
    /// What to do.
    pub hint: &'static str,
}

/// One of a certificate's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The chain.
    Certificate,
    /// The key.
    Key,
    /// The OCSP answer.
    Ocsp,
    /// Those who certify clients.
    Truststore,
    /// One of the lists of revoked certificates.
    Revocation(usize),
}

/// What is odd about a certificate that can serve.
#[derive(Debug)]
pub struct Oddity {
    /// What.
    pub what: String,
    /// What to do.
    pub hint: &'static str,
}

/// Reads the files of a certificate. They are looked after like documents.
pub fn read(files: &CertificateFiles, faults: &mut Diagnostics) -> Result<Certificate, Unfit> {
    let mut digest = Sha256::new();
    let mut bytes = |file: &FileRef, which| {
        let bytes = bytes(file, which, faults)?;
        digest.update((bytes.len() as u64).to_le_bytes());
        digest.update(&bytes);
        Ok(bytes)
    };
    // All of them are read, so that all are watched also when the first is at fault.
    let (chain, key) = (bytes(&files.certificate, Which::Certificate), bytes(&files.key, Which::Key));
    let ocsp = files.ocsp.as_ref().map(|file| bytes(file, Which::Ocsp)).transpose();
    let chain = chain_of(&chain?, &files.certificate)?;
    let key = key_of(&key?, &files.key)?;
    let unfit = |which, what, hint| Unfit { which, what, hint };
    let signer = default_provider().key_provider.load_private_key(key).map_err(|error| {
        let hint = "RSA keys of 2048 bits or more, ECDSA keys on P-256, P-384 or P-521, and Ed25519 keys can be used";
        unfit(Which::Key, format!("the key in {} cannot be used: {error}", files.key), hint)
    })?;
    let facts = x509::facts(&chain[0]).zip(webpki::EndEntityCert::try_from(&chain[0]).ok());
    let Some((x509::Facts { not_before, not_after, .. }, parsed)) = facts else {
        let what = format!("{} holds a certificate that cannot be read", files.certificate);
        return Err(unfit(Which::Certificate, what, "it must be an X.509 certificate of version 3"));
    };
    let names = parsed.valid_dns_names().map(str::to_owned).collect();
    let mut certified = CertifiedKey::new(chain, signer);
    certified.ocsp = ocsp?;
    if let Err(error) = certified.keys_match() {
        let hint = "the first certificate in the file must be the one that the key belongs to";
        let what = format!("the key in {} does not belong to the certificate: {error}", files.key);
        return Err(unfit(Which::Key, what, hint));
    }
    let fingerprint = digest.finalize().into();
    Ok(Certificate { certified: Arc::new(certified), names, not_before, not_after, fingerprint })
}

fn bytes(file: &FileRef, which: Which, faults: &mut Diagnostics) -> Result<Vec<u8>, Unfit> {
    let most = limits::CERTIFICATE_FILE_BYTES_MAX;
    let hint = "only the certificate and those that issued it belong there";
    bytes_at_most(file, (most, hint), faults).map_err(|(what, hint)| Unfit { which, what, hint })
}

/// The bytes of a file that is looked after like a document, or what is wrong with it, and what to do.
pub fn bytes_at_most(
    file: &FileRef,
    (most, too_large): (u64, &'static str),
    faults: &mut Diagnostics,
) -> Result<Vec<u8>, (String, &'static str)> {
    let Some(path) = file.path() else {
        let what = format!("{file} cannot be read: $CREDENTIALS_DIRECTORY is not set");
        return Err((what, "the service manager gives credentials: LoadCredential= in the unit"));
    };
    let most = most + 1;
    match bytes_of(&path, most) {
        Ok(bytes) if bytes.len() as u64 == most => {
            faults.files.push(Input::new(&path, &bytes, most));
            Err((format!("{} is larger than {} KiB", path.display(), (most - 1) >> 10), too_large))
        }
        Ok(bytes) => {
            faults.files.push(Input::new(&path, &bytes, most));
            Ok(bytes)
        }
        Err(error) => {
            faults.files.push(Input::missing(&path));
            Err((format!("{} cannot be read: {error}", path.display()), hint_of(&path)))
        }
    }
}

fn hint_of(path: &Path) -> &'static str {
    if path.exists() {
        "the user that runs the gateway must be allowed to read it"
    } else {
        "check the path; it is taken from the document's folder"
    }
}

fn chain_of(pem: &[u8], file: &FileRef) -> Result<Vec<CertificateDer<'static>>, Unfit> {
    let unfit = |what, hint| Unfit { which: Which::Certificate, what, hint };
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(pem).take(limits::CERTIFICATE_CHAIN_MAX + 1).collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err(unfit(
            format!("no certificate in {file}"),
            "it must have a part that begins `-----BEGIN CERTIFICATE-----`",
        )),
        Ok(chain) if chain.len() > limits::CERTIFICATE_CHAIN_MAX => Err(unfit(
            format!("more than {} certificates in {file}", limits::CERTIFICATE_CHAIN_MAX),
            "only the certificate and those that issued it belong there; a list of authorities does not",
        )),
        Ok(chain) => Ok(chain),
        Err(error) => {
            Err(unfit(format!("{file} is no PEM: {error}"), "write the certificate in PEM, not in DER or PKCS#12"))
        }
    }
}

fn key_of(pem: &[u8], file: &FileRef) -> Result<PrivateKeyDer<'static>, Unfit> {
    let unfit = |what, hint| Unfit { which: Which::Key, what, hint };
    match PrivateKeyDer::from_pem_slice(pem) {
        Ok(key) => Ok(key),
        Err(PemError::NoItemsFound) if contains(pem, b"ENCRYPTED PRIVATE KEY") => Err(unfit(
            format!("the key in {file} is encrypted"),
            "nobody types a password at a service: keep the key readable by its user alone, or as a credential",
        )),
        Err(PemError::NoItemsFound) => Err(unfit(
            format!("no private key in {file}"),
            "it must have a part that begins `-----BEGIN PRIVATE KEY-----`",
        )),
        // What is wrong with a key is not quoted.
        Err(_) => Err(unfit(format!("{file} is no PEM"), "write the key in PEM, not in DER or PKCS#12")),
    }
}

fn contains(text: &[u8], what: &[u8]) -> bool {
    text.windows(what.len()).any(|window| window == what)
}

/// Seconds since 1970.
pub fn now() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs().cast_signed())
}

impl Certificate {
    /// Whole days until its end; below zero behind it.
    pub fn days_left(&self) -> i64 {
        (self.not_after - now()).div_euclid(86_400)
    }
}

/// What is odd about its time and its chain, and about its names if a host `serves` with it.
pub fn oddities(certificate: &Certificate, serves: bool) -> Vec<Oddity> {
    let mut found = Vec::new();
    let mut odd = |what: String, hint| found.push(Oddity { what, hint });
    let now = now();
    let days = certificate.days_left();
    if now > certificate.not_after {
        odd(format!("the certificate has expired {} days ago", -days), "clients refuse it: renew it");
    } else if days < limits::CERTIFICATE_DAYS_LEFT_MIN {
        odd(format!("the certificate expires in {days} days"), "renew it; a changed file is taken over by a reload");
    }
    if now < certificate.not_before {
        odd("the certificate does not hold yet".into(), "clients refuse it; is the clock right?");
    }
    if serves && certificate.names.is_empty() {
        odd(
            "the certificate names no host".into(),
            "clients look at its subject alternative names, and at nothing else",
        );
    }
    let chain: Vec<_> = certificate.certified.cert.iter().map(|der| x509::facts(der)).collect();
    let breaks = |pair: &[Option<x509::Facts<'_>>]| match pair {
        [Some(issued), Some(issuer)] => issued.issuer != issuer.subject,
        _ => true,
    };
    if chain.windows(2).any(breaks) {
        odd(
            "the certificates do not follow each other".into(),
            "each must be followed by the one that issued it; the root may be left out",
        );
    }
    found
}

/// Whether clients that ask for this host, or for any host of this pattern, take the certificate.
pub fn covers(certificate: &Certificate, host: &str) -> bool {
    if host.starts_with("*.") {
        return certificate.names.iter().any(|name| name.eq_ignore_ascii_case(host));
    }
    let Some(der) = certificate.certified.cert.first() else { return false };
    let Ok(name) = ServerName::try_from(host) else { return false };
    webpki::EndEntityCert::try_from(der).is_ok_and(|parsed| parsed.verify_is_valid_for_subject_name(&name).is_ok())
}
