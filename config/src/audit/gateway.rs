//! Risks of the part `gateway` and of the files themselves.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{Found, Subject};
use crate::diagnostic::Place;
use crate::model::gateway::{AddressSpec, BodySpec, ListenSpec};

/// The permission to write of users who are neither owner nor in the group.
const WRITABLE_BY_OTHERS: u32 = 0o002;
/// Folders of everybody.
const TEMPORARY: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];

/// Whether others than this machine can reach a listener.
pub fn is_open(listener: &ListenSpec) -> bool {
    listener.is_open()
}

/// How a listener's address reads.
fn address(listener: &ListenSpec) -> String {
    match &listener.address {
        AddressSpec::Tcp(address) => address.to_string(),
        AddressSpec::Unix(path) => format!("unix:{path}"),
    }
}

pub fn plain_listener(subject: &Subject<'_>, found: &mut Found<'_>) {
    // One that sends its clients elsewhere has nothing to hide.
    let is_plain = |listener: &&ListenSpec| {
        is_open(listener) && listener.tls.is_none() && listener.clients.https_redirect.is_none()
    };
    for listener in subject.document.gateway.listen.iter().filter(is_plain) {
        found.add(listener.place, format!("plain HTTP at {}, which is not loopback", address(listener)));
    }
}

pub fn open_execute_api(subject: &Subject<'_>, found: &mut Found<'_>) {
    let closed = |definition: &crate::definition::Definition| definition.endpoint.disable_execute_api == Some(true);
    if subject.apis.iter().all(|(_, definition)| closed(definition)) {
        return;
    }
    for listener in subject.document.gateway.listen.iter().filter(|listener| is_open(listener)) {
        if listener.execute_api == Some(true) {
            found.add(listener.place, format!("execute-api names answer at {}", address(listener)));
        }
    }
}

pub fn open_admin(subject: &Subject<'_>, found: &mut Found<'_>) {
    if let Some(admin) = subject.document.gateway.admin
        && !admin.value.ip().to_canonical().is_loopback()
    {
        found.add(admin.place, format!("the admin port is at {}, which is not loopback", admin.value));
    }
}

pub fn no_access_log(subject: &Subject<'_>, found: &mut Found<'_>) {
    let gateway = &subject.document.gateway;
    if gateway.access_log.is_none() {
        found.add(gateway.place, "no access log is written");
    }
}

pub fn unlimited_body(subject: &Subject<'_>, found: &mut Found<'_>) {
    if let Some(body) = subject.document.gateway.limits.body
        && body.value == BodySpec::Unlimited
    {
        found.add(body.place, "bodies of requests may have any size");
    }
}

/// The state directory, and the folder of the control socket.
pub fn shared_folder(subject: &Subject<'_>, found: &mut Found<'_>) {
    let gateway = &subject.document.gateway;
    if let Some(state) = &gateway.state {
        let path = subject.base.join(&*state.text);
        if is_shared(&path) {
            found.add(state.place, format!("others may write to the state directory {}", path.display()));
        }
    }
    if let Some(control) = &gateway.control {
        let path = subject.base.join(&*control.text);
        let folder = path.parent().unwrap_or(Path::new("/"));
        if is_shared(folder) {
            found.add(control.place, format!("others may write to the control socket's folder {}", folder.display()));
        }
    }
}

/// Whether others may write to a folder, or to the one that it will be made in; or it is among temporary files, which are cleaned up
/// and whose names anybody may take first.
fn is_shared(folder: &Path) -> bool {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    if TEMPORARY.iter().any(|shared| absolute.starts_with(shared)) {
        return true;
    }
    let writable = |path: &Path| path.metadata().ok().map(|data| data.mode() & WRITABLE_BY_OTHERS != 0);
    writable(&absolute).or_else(|| absolute.parent().and_then(writable)).unwrap_or(false)
}

pub fn writable_document(subject: &Subject<'_>, found: &mut Found<'_>) {
    for (file, source) in &subject.files {
        let others_write = file.metadata().is_ok_and(|data| data.mode() & WRITABLE_BY_OTHERS != 0);
        if others_write {
            let place = Place { source: *source, ..Place::default() };
            found.add(place, "every user of the machine may write to this document");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_folders_are_shared_by_their_names() {
        assert!(is_shared(Path::new("/tmp/state")) && is_shared(Path::new("/var/tmp/a/b")));
        assert!(!is_shared(Path::new("/var/lib/nobody-has-this/state")) && !is_shared(Path::new("/tmpfiles/state")));
    }
}
