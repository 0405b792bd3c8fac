//! Reads the authorities that backends are believed by, and says what is wrong with them before anybody is called.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};

use super::certificate::{bytes_at_most, now};
use super::x509;
use crate::diagnostic::Diagnostics;
use crate::limits;
use crate::snapshot::{Authorities, FileRef};

/// What is wrong, and what to do.
type Unfit = (String, &'static str);

/// Reads a file of authorities, and says what is odd about them. It is looked after like a document.
pub fn read(file: &FileRef, faults: &mut Diagnostics) -> Result<(Authorities, Vec<String>), Unfit> {
    let pem = bytes_at_most(file, (limits::AUTHORITIES_FILE_BYTES_MAX, "name only those that are needed"), faults)?;
    let certificates: Result<Vec<CertificateDer<'static>>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let certificates = certificates.map_err(|error| {
        (format!("{file} is no PEM: {error}"), "write the authorities in PEM, not in DER or PKCS#12")
    })?;
    if certificates.is_empty() {
        let hint = "it must have parts that begin `-----BEGIN CERTIFICATE-----`";
        return Err((format!("no certificate in {file}"), hint));
    }
    let mut roots = RootCertStore::empty();
    let mut odd = Vec::new();
    for (number, der) in certificates.iter().enumerate() {
        if let Err(error) = roots.add(der.clone()) {
            let what = format!("certificate {} of {file} cannot be read: {error}", number + 1);
            return Err((what, "it must be an X.509 certificate of version 3"));
        }
        let until = x509::facts(der).map_or(i64::MAX, |facts| facts.not_after);
        if until < now() {
            let days = (now() - until) / 86_400;
            odd.push(format!("certificate {} of {file} has expired {days} days ago", number + 1));
        }
    }
    let fingerprint = Sha256::digest(&pem).into();
    Ok((Authorities { roots: Arc::new(roots), certificates, fingerprint }, odd))
}
