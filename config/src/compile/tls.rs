//! Certificates of listeners and domains: which files are meant, and whether they can serve.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::diagnostic::{Diagnostics, Place};
use crate::model::tls::{CertificateSpec, TlsSpec};
use crate::snapshot::{Certificate, CertificateFiles, Certificates, FileRef, Snapshot, Tls};
use crate::source::certificate::{self, Unfit, Which};
use crate::source::node::Text;

/// Reads each certificate once.
#[derive(Default)]
pub struct Shelf {
    read: BTreeMap<CertificateFiles, Option<Arc<Certificate>>>,
}

impl Shelf {
    /// What could be read.
    pub fn finish(self) -> Certificates {
        self.read.into_iter().filter_map(|(files, certificate)| Some((files, certificate?))).collect()
    }

    /// The certificates of one place. `host`: for the clients of that name or pattern.
    pub fn compile(&mut self, spec: TlsSpec, host: Option<&str>, base: &Path, faults: &mut Diagnostics) -> Tls {
        let TlsSpec { place: _, certificates, policy } = spec;
        let mut list = Vec::new();
        for CertificateSpec { certificate, key, ocsp } in certificates {
            let ocsp_place = ocsp.as_ref().map_or(certificate.place, |ocsp| ocsp.place);
            let mut refer = |text: &Text| file_ref(text, base, faults);
            let (Some(chain), Some(secret)) = (refer(&certificate), refer(&key)) else { continue };
            let ocsp = ocsp.as_ref().map(&mut refer);
            if matches!(ocsp, Some(None)) {
                continue;
            }
            let files = CertificateFiles { certificate: chain, key: secret, ocsp: ocsp.flatten() };
            let place = |which| match which {
                Which::Certificate => certificate.place,
                Which::Key => key.place,
                Which::Ocsp => ocsp_place,
            };
            let read = self.read(&files, place, faults);
            if let (Some(read), Some(host)) = (read, host)
                && !certificate::covers(&read, host)
            {
                let what = format!("the certificate is not for `{host}`: it names {}", names(&read));
                faults.warning(certificate.place, what, "clients of this domain refuse it");
            }
            list.push(files);
        }
        Tls { certificates: list, policy }
    }

    fn read(
        &mut self,
        files: &CertificateFiles,
        place: impl Fn(Which) -> Place,
        faults: &mut Diagnostics,
    ) -> Option<Arc<Certificate>> {
        if let Some(known) = self.read.get(files) {
            return known.clone();
        }
        let read = match certificate::read(files, faults) {
            Ok(read) => {
                for odd in certificate::oddities(&read) {
                    faults.warning(place(Which::Certificate), odd.what, odd.hint);
                }
                Some(Arc::new(read))
            }
            Err(Unfit { which, what, hint }) => {
                faults.error_hint(place(which), what, hint);
                None
            }
        };
        self.read.insert(files.clone(), read.clone());
        read
    }
}

/// Reads the certificates that a compiled snapshot names; faults are of the file as a whole.
pub fn read_again(snapshot: &mut Snapshot, place: Place, faults: &mut Diagnostics) {
    let mut shelf = Shelf::default();
    for tls in snapshot.tls() {
        for files in &tls.certificates {
            shelf.read(files, |_| place, faults);
        }
    }
    snapshot.certificates = shelf.finish();
}

fn names(certificate: &Certificate) -> String {
    match &certificate.names[..] {
        [] => "no host".into(),
        names => names.join(", "),
    }
}

/// A path, `${file:path}`, or `${credential:name}`.
fn file_ref(text: &Text, base: &Path, faults: &mut Diagnostics) -> Option<FileRef> {
    let Some(inner) = text.text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) else {
        return Some(FileRef::Path(base.join(&*text.text)));
    };
    match inner.split_once(':') {
        Some(("file", path)) if !path.is_empty() => Some(FileRef::Path(base.join(path))),
        Some(("credential", name)) if is_credential(name) => Some(FileRef::Credential(name.into())),
        _ => {
            let hint = "write a path, ${file:path}, or ${credential:name} with a name of LoadCredential= in the unit";
            faults.error_hint(text.place, format!("`{}` names no file", text.text), hint);
            None
        }
    }
}

fn is_credential(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !name.is_empty() && name.bytes().all(is_plain) && name != "." && name != ".."
}
