//! Certificates of listeners, domains and upstreams: which files are meant, and whether they can serve.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::diagnostic::{Diagnostics, Place};
use crate::model::tls::{CertificateSpec, TlsSpec, UpstreamTlsSpec};
use crate::snapshot::{
    Authorities, Certificate, CertificateFiles, Certificates, FileRef, Snapshot, Tls, Trusted, UpstreamTls,
};
use crate::source::authorities;
use crate::source::certificate::{self, Unfit, Which};
use crate::source::node::Text;

/// Reads each certificate once.
#[derive(Default)]
pub struct Shelf {
    read: BTreeMap<CertificateFiles, Option<Arc<Certificate>>>,
    trusted: BTreeMap<FileRef, Option<Arc<Authorities>>>,
}

impl Shelf {
    /// What could be read.
    pub fn finish(self) -> (Certificates, Trusted) {
        let Self { read, trusted } = self;
        let certificates = read.into_iter().filter_map(|(files, certificate)| Some((files, certificate?))).collect();
        (certificates, trusted.into_iter().filter_map(|(file, authorities)| Some((file, authorities?))).collect())
    }

    /// The certificates of one place. `host`: for the clients of that name or pattern.
    pub fn compile(&mut self, spec: TlsSpec, host: Option<&str>, base: &Path, faults: &mut Diagnostics) -> Tls {
        let TlsSpec { place: _, certificates, policy } = spec;
        let mut list = Vec::new();
        for spec in certificates {
            let Some((files, read)) = self.certificate(&spec, true, base, faults) else { continue };
            if let (Some(read), Some(host)) = (read, host)
                && !certificate::covers(&read, host)
            {
                let what = format!("the certificate is not for `{host}`: it names {}", names(&read));
                faults.warning(spec.certificate.place, what, "clients of this domain refuse it");
            }
            list.push(files);
        }
        Tls { certificates: list, policy, clients: None }
    }

    /// What the gateway proves itself with to backends.
    pub fn client(
        &mut self,
        spec: &CertificateSpec,
        base: &Path,
        faults: &mut Diagnostics,
    ) -> Option<CertificateFiles> {
        self.certificate(spec, false, base, faults).map(|(files, _)| files)
    }

    /// What an upstream's servers have to prove.
    pub fn upstream(&mut self, spec: UpstreamTlsSpec, base: &Path, faults: &mut Diagnostics) -> UpstreamTls {
        let UpstreamTlsSpec { ca, server_name, client, any_issuer, policy } = spec;
        let authorities = ca.and_then(|text| {
            let file = file_ref(&text, base, faults)?;
            self.trust(&file, text.place, faults);
            Some(file)
        });
        if let Some(name) = server_name.as_ref().filter(|name| !is_server_name(&name.text)) {
            let what = format!("`{}` is no name that a certificate can have", name.text);
            faults.error_hint(name.place, what, "write a host name, such as backend.internal, or an IP address");
        }
        let client = client.and_then(|spec| self.client(&spec, base, faults));
        UpstreamTls { authorities, server_name: server_name.map(|name| name.text), client, any_issuer, policy }
    }

    fn trust(&mut self, file: &FileRef, place: Place, faults: &mut Diagnostics) {
        if self.trusted.contains_key(file) {
            return;
        }
        let read = match authorities::read(file, faults) {
            Ok((read, odd)) => {
                for what in odd {
                    faults.warning(place, what, "certificates that it has issued are refused");
                }
                Some(Arc::new(read))
            }
            Err((what, hint)) => {
                faults.error_hint(place, what, hint);
                None
            }
        };
        self.trusted.insert(file.clone(), read);
    }

    /// The files of a certificate, and what was in them. `serves`: hosts prove themselves with it.
    fn certificate(
        &mut self,
        spec: &CertificateSpec,
        serves: bool,
        base: &Path,
        faults: &mut Diagnostics,
    ) -> Option<(CertificateFiles, Option<Arc<Certificate>>)> {
        let CertificateSpec { certificate, key, ocsp } = spec;
        let ocsp_place = ocsp.as_ref().map_or(certificate.place, |ocsp| ocsp.place);
        let mut refer = |text: &Text| file_ref(text, base, faults);
        let (Some(chain), Some(secret)) = (refer(certificate), refer(key)) else { return None };
        let ocsp = match ocsp {
            Some(text) => Some(refer(text)?),
            None => None,
        };
        let files = CertificateFiles { certificate: chain, key: secret, ocsp };
        let place = |which| match which {
            Which::Certificate | Which::Truststore | Which::Revocation(_) => certificate.place,
            Which::Key => key.place,
            Which::Ocsp => ocsp_place,
        };
        let read = self.read(&files, serves, place, faults);
        Some((files, read))
    }

    fn read(
        &mut self,
        files: &CertificateFiles,
        serves: bool,
        place: impl Fn(Which) -> Place,
        faults: &mut Diagnostics,
    ) -> Option<Arc<Certificate>> {
        if let Some(known) = self.read.get(files) {
            return known.clone();
        }
        let read = match certificate::read(files, faults) {
            Ok(read) => {
                for odd in certificate::oddities(&read, serves) {
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
            shelf.read(files, true, |_| place, faults);
        }
    }
    for tls in snapshot.upstreams.iter().filter_map(|upstream| upstream.tls.as_ref()) {
        if let Some(file) = &tls.authorities {
            shelf.trust(file, place, faults);
        }
        if let Some(files) = &tls.client {
            shelf.read(files, false, |_| place, faults);
        }
    }
    (snapshot.certificates, snapshot.trusted) = shelf.finish();
}

fn names(certificate: &Certificate) -> String {
    match &certificate.names[..] {
        [] => "no host".into(),
        names => names.join(", "),
    }
}

/// Whether a certificate can have this name, and a server be asked for it.
pub fn is_server_name(text: &str) -> bool {
    rustls::pki_types::ServerName::try_from(text).is_ok()
}

/// A path, `${file:path}`, or `${credential:name}`.
pub(super) fn file_ref(text: &Text, base: &Path, faults: &mut Diagnostics) -> Option<FileRef> {
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
