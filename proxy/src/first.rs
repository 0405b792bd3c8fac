//! What a first start makes: the state directory that the document names, and the secret of its keys.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use config::Snapshot;
use config::deployments::state_folder;
use config::keys::Store;

/// Makes what is not there yet. Says whether something was made that the configuration has to be read again for.
pub fn prepare(snapshot: &Snapshot) -> bool {
    let Some(state) = state_folder(snapshot.gateway.state.as_deref()) else { return false };
    match make(&state) {
        Ok(true) => tracing::info!("the state directory {} is made", state.display()),
        Ok(false) => {}
        Err(error) => {
            let what = "what should be kept there is lost with the process";
            tracing::error!(%error, "there is no state directory {}, and it cannot be made: {what}", state.display());
            return false;
        }
    }
    // Ids of keys in files are made with it.
    let store = Store::at(&state);
    let wanted = !snapshot.keys_from.files.is_empty() && store.secret() == Ok(None);
    wanted && store.change().is_ok()
}

/// Makes a state directory for its user alone, if the folder is there in which it should be; `false`: it is there already.
///
/// # Errors
/// It cannot be made.
pub fn make(state: &Path) -> io::Result<bool> {
    match DirBuilder::new().mode(0o700).create(state) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && state.is_dir() => Ok(false),
        Err(error) => Err(error),
    }
}
