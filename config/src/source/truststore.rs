//! Reads truststores and lists of revoked certificates, and says what is wrong with them before anybody connects (DM-10).

use std::collections::BTreeSet;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use sha2::{Digest, Sha256};
use webpki::{CertRevocationList, OwnedCertRevocationList};

use super::certificate::{Oddity, Which, bytes_at_most, now};
use super::x509;
use crate::diagnostic::Diagnostics;
use crate::limits;
use crate::snapshot::{FileRef, RevocationFacts, TrustFiles, TrustedFacts, Truststore};
use crate::source::certificate::Unfit;

/// Reads the files of a truststore. What of it cannot be used is left out and told by [`oddities`]; with nothing left it is unfit.
pub fn read(files: &TrustFiles, faults: &mut Diagnostics) -> Result<Truststore, Unfit> {
    let mut digest = Sha256::new();
    let mut noted = |bytes: &[u8]| {
        digest.update((bytes.len() as u64).to_le_bytes());
        digest.update(bytes);
    };
    // All of them are read, so that all are watched also when the first is at fault.
    let mut bytes = |file: &FileRef, which, most| {
        let read = bytes_at_most(file, (most, "nothing else than certificates, or lists, belongs there"), faults);
        read.map_err(|(what, hint)| Unfit { which, what, hint })
    };
    let pem = bytes(&files.truststore, Which::Truststore, limits::TRUSTSTORE_FILE_BYTES_MAX);
    let read = |(at, file)| {
        let bytes = bytes(file, Which::Revocation(at), limits::REVOCATION_FILE_BYTES_MAX)?;
        Ok((at, file, bytes))
    };
    let lists: Vec<_> = files.revocation.iter().enumerate().map(read).collect();
    let pem = pem?;
    noted(&pem);
    let mut store = trusted(&pem, files)?;
    for list in lists {
        let (at, file, bytes) = list?;
        noted(&bytes);
        let found = lists_of(&bytes);
        if found.is_empty() {
            // Whoever names a file means to be asked about it.
            let hint = "it must have a part that begins `-----BEGIN X509 CRL-----`";
            let what = format!("{file} holds what is no list of revoked certificates");
            return Err(Unfit { which: Which::Revocation(at), what, hint });
        }
        for der in found {
            let unfit = |what, hint| Unfit { which: Which::Revocation(at), what, hint };
            let hint = "it must be a list of revoked certificates (CRL) in PEM or DER, of version 2 and complete";
            let der = der.map_err(|error| unfit(format!("{file} is no PEM: {error}"), hint))?;
            let parsed = OwnedCertRevocationList::from_der(&der).ok().zip(x509::list_facts(&der));
            let Some((parsed, facts)) = parsed else {
                return Err(unfit(format!("{file} holds what is no list of revoked certificates"), hint));
            };
            store.revocation.push(RevocationFacts {
                file: at,
                issuer: shown(facts.issuer),
                issuer_der: facts.issuer.into(),
                this_update: facts.this_update,
                next_update: facts.next_update,
            });
            store.lists.push(CertRevocationList::from(parsed));
        }
    }
    store.fingerprint = digest.finalize().into();
    Ok(store)
}

fn trusted(pem: &[u8], files: &TrustFiles) -> Result<Truststore, Unfit> {
    let file = &files.truststore;
    let unfit = |what, hint| Unfit { which: Which::Truststore, what, hint };
    let mut store = Truststore::default();
    let mut seen = BTreeSet::new();
    let most = limits::TRUSTSTORE_CERTIFICATES_MAX;
    for (at, der) in CertificateDer::<'static>::pem_slice_iter(pem).enumerate() {
        let hint = "write the certificates of your authorities in PEM, one behind the other";
        let der = der.map_err(|error| unfit(format!("{file} is no PEM: {error}"), hint))?;
        if at == most {
            return Err(unfit(format!("more than {most} certificates in {file}"), "that is what API Gateway takes"));
        }
        if !seen.insert(der.to_vec()) {
            continue;
        }
        let anchor = webpki::anchor_from_trusted_cert(&der).map(|anchor| anchor.to_owned());
        let (Ok(anchor), Some(facts)) = (anchor, x509::facts(&der)) else {
            store.unusable.push(at + 1);
            continue;
        };
        store.trusted.push(TrustedFacts {
            subject: shown(facts.subject),
            subject_der: facts.subject.into(),
            not_before: facts.not_before,
            not_after: facts.not_after,
        });
        store.anchors.push(anchor);
        store.certificates.push(der);
    }
    if store.anchors.is_empty() {
        let hint = "it must have parts that begin `-----BEGIN CERTIFICATE-----`";
        return Err(unfit(format!("no certificate in {file} that can be used"), hint));
    }
    Ok(store)
}

/// The lists of a file, in PEM or one in DER.
fn lists_of(bytes: &[u8]) -> Vec<Result<CertificateRevocationListDer<'static>, rustls::pki_types::pem::Error>> {
    let is_pem = bytes.windows(11).any(|window| window == b"-----BEGIN ");
    if is_pem {
        return CertificateRevocationListDer::pem_slice_iter(bytes).collect();
    }
    vec![Ok(CertificateRevocationListDer::from(bytes.to_vec()))]
}

fn shown(name: &[u8]) -> String {
    match x509::name(name) {
        Some(name) if !name.is_empty() => name,
        _ => "a name that cannot be shown".into(),
    }
}

/// What is odd about a truststore that can be used, and in which of its files: as API Gateway's `truststoreWarnings`, and its lists.
pub fn oddities(store: &Truststore) -> Vec<(Which, Oddity)> {
    let now = now();
    let mut found = Vec::new();
    for at in &store.unusable {
        let what = format!("the certificate with the number {at} of the truststore cannot be read, and is left out");
        found.push((Which::Truststore, Oddity { what, hint: "it must be an X.509 certificate" }));
    }
    for TrustedFacts { subject, subject_der, not_before, not_after } in &store.trusted {
        let days = (not_after - now).div_euclid(86_400);
        let mut odd = |what: String, hint| found.push((Which::Truststore, Oddity { what, hint }));
        if now > *not_after {
            odd(format!("`{subject}` has expired {} days ago", -days), "clients that it has certified are refused");
        } else if now < *not_before {
            odd(
                format!("`{subject}` does not hold yet"),
                "clients that it has certified are refused; is the clock right?",
            );
        } else if days < limits::CERTIFICATE_DAYS_LEFT_MIN {
            odd(format!("`{subject}` expires in {days} days"), "add its successor to the truststore");
        }
        let has_list = store.revocation.iter().any(|list| list.issuer_der == *subject_der);
        if !store.revocation.is_empty() && !has_list {
            let what = format!("there is no list of those whom `{subject}` has revoked");
            odd(what, "where `revocation` has any list, clients of an authority without one are refused: add it");
        }
    }
    for RevocationFacts { file, issuer, next_update, this_update, issuer_der: _ } in &store.revocation {
        let mut odd = |what: String, hint| found.push((Which::Revocation(*file), Oddity { what, hint }));
        match next_update {
            Some(next) if now >= *next => {
                odd(format!("the list of `{issuer}` is out of date"), "its clients are refused: fetch the next one");
            }
            None => odd(
                format!("the list of `{issuer}` does not say until when it counts"),
                "RFC 5280 wants that it does; it is believed for ever",
            ),
            _ if now < *this_update => {
                odd(format!("the list of `{issuer}` is of a later day"), "is the clock right?");
            }
            _ => {}
        }
    }
    found
}
