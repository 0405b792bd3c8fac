//! What clients have to prove, and how they are told to use TLS: files are read, and what cannot be meant is said (DM-10).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::compile::tls::file_ref;
use crate::diagnostic::{Diagnostics, Place};
use crate::limits;
use crate::model::clients::{HstsSpec, MutualTlsSpec, RedirectSpec};
use crate::model::gateway::{AddressSpec, GatewaySpec};
use crate::snapshot::{Hsts, MutualTls, Snapshot, TrustFiles, Truststore, Truststores};
use crate::source::certificate::{Unfit, Which};
use crate::source::truststore;

/// Reads each truststore once.
#[derive(Default)]
pub struct Vault {
    read: BTreeMap<TrustFiles, Option<Arc<Truststore>>>,
    /// The port of the listener with TLS, where there is one.
    secure_port: Option<u16>,
}

impl Vault {
    /// Nothing is read yet.
    pub fn new(gateway: &GatewaySpec) -> Self {
        let with_tls = gateway.listen.iter().filter(|listener| listener.tls.is_some());
        let ports = with_tls.filter_map(|listener| match listener.address {
            AddressSpec::Tcp(address) => Some(address.port()).filter(|port| *port != 0),
            AddressSpec::Unix(_) => None,
        });
        // That which needs no number comes first.
        let secure_port = ports.min_by_key(|port| u32::from(*port != 443) << 16);
        Self { read: BTreeMap::new(), secure_port }
    }

    /// What could be read.
    pub fn finish(self) -> Truststores {
        self.read.into_iter().filter_map(|(files, store)| Some((files, store?))).collect()
    }

    /// Compiles `mutual_tls`. `tls`: whether the same place has a certificate.
    pub fn mutual(
        &mut self,
        spec: MutualTlsSpec,
        tls: bool,
        base: &Path,
        faults: &mut Diagnostics,
    ) -> Option<MutualTls> {
        let MutualTlsSpec { place, truststore, revocation, optional, chain } = spec;
        if !tls {
            let hint = "write `tls: {certificate: api.crt, key: api.key}` beside it";
            faults.error_hint(place, "`mutual_tls` needs `tls` in the same place", hint);
            return None;
        }
        let store = file_ref(&truststore, base, faults);
        let lists: Vec<_> = revocation.iter().map(|text| file_ref(text, base, faults)).collect();
        let revocation_files: Option<Vec<_>> = lists.into_iter().collect();
        let files = TrustFiles { truststore: store?, revocation: revocation_files? };
        let place_of = |which| match which {
            Which::Revocation(at) => revocation.get(at).map_or(place, |text| text.place),
            _ => truststore.place,
        };
        self.take(&files, place_of, faults);
        Some(MutualTls { files, optional, chain: chain.unwrap_or(limits::CLIENT_CHAIN) })
    }

    fn take(&mut self, files: &TrustFiles, place: impl Fn(Which) -> Place, faults: &mut Diagnostics) {
        if self.read.contains_key(files) {
            return;
        }
        let read = match truststore::read(files, faults) {
            Ok(store) => {
                for (which, odd) in truststore::oddities(&store) {
                    faults.warning(place(which), odd.what, odd.hint);
                }
                Some(Arc::new(store))
            }
            Err(Unfit { which, what, hint }) => {
                faults.error_hint(place(which), what, hint);
                None
            }
        };
        self.read.insert(files.clone(), read);
    }

    /// The port that a redirection names. `tls`: whether the same listener speaks TLS.
    pub fn redirect(&self, spec: &RedirectSpec, tls: bool, faults: &mut Diagnostics) -> Option<u16> {
        if tls {
            let hint = "write it at the listener without TLS, or at a domain";
            faults.error_hint(spec.place, "`https_redirect` means nothing at a listener with TLS", hint);
            return None;
        }
        let port = spec.port.or(self.secure_port);
        if port.is_none() {
            let hint = "write `https_redirect: {port: 443}`";
            faults.error_hint(spec.place, "no listener with TLS has a port that is known: which one is meant?", hint);
        }
        port
    }
}

/// Compiles `hsts`. `tls`: whether the place has answers under TLS.
pub fn hsts(spec: &HstsSpec, tls: bool, faults: &mut Diagnostics) -> Option<Hsts> {
    let HstsSpec { place, max_age, include_subdomains, preload } = *spec;
    if !tls {
        let hint = "browsers believe it under TLS only: write it at the listener with `tls`, or at a domain";
        faults.error_hint(place, "`hsts` means nothing at a listener without TLS", hint);
        return None;
    }
    let seconds = max_age.unwrap_or(limits::HSTS_TIME).as_secs();
    if preload && (!include_subdomains || seconds < limits::HSTS_TIME.as_secs()) {
        let hint = "write `hsts: {max_age: 8760h, include_subdomains: true, preload: true}`";
        faults.warning(place, "browsers build in only what holds for a year at least, and for all names below", hint);
    }
    Some(Hsts { seconds, include_subdomains, preload })
}

/// Reads the truststores that a compiled snapshot names; faults are of the file as a whole.
pub fn read_again(snapshot: &mut Snapshot, place: Place, faults: &mut Diagnostics) {
    let mut vault = Vault::default();
    for mutual in snapshot.tls().filter_map(|tls| tls.clients.as_ref()) {
        vault.take(&mutual.files, |_| place, faults);
    }
    snapshot.truststores = vault.finish();
}
