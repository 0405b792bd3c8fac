//! Secrets by reference (`${file:}`, `${env:}`, `${credential:}`): read at each load, never written.

use std::path::Path;

use crate::diagnostic::Diagnostics;
use crate::input::{Input, bytes_of};
use crate::limits;
use crate::snapshot::{FileRef, SecretRef};
use crate::source::node::Text;

/// What a text refers to. A secret that stands in the document itself is a fault: documents are kept in repositories, and compiled.
pub fn refer(text: &Text, what: &str, base: &Path, faults: &mut Diagnostics) -> Option<SecretRef> {
    let inner =
        text.text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).and_then(|rest| rest.split_once(':'));
    let plain = |name: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        !name.is_empty() && name.bytes().all(allowed) && name != "." && name != ".."
    };
    match inner {
        Some(("file", path)) if !path.is_empty() => Some(SecretRef::File(FileRef::Path(base.join(path)))),
        Some(("credential", name)) if plain(name) => Some(SecretRef::File(FileRef::Credential(name.into()))),
        Some(("env", name)) if plain(name) => Some(SecretRef::Env(name.into())),
        _ => {
            // What stands there may be the secret: it is not quoted.
            let hint = "write ${file:path}, ${env:NAME} or ${credential:name}, and the secret where that leads";
            faults.error_hint(text.place, format!("{what} is no reference to a secret"), hint);
            None
        }
    }
}

/// The secret, without the end of its line.
///
/// # Errors
/// It is not there or cannot be one, and what to do.
pub fn read(secret: &SecretRef, faults: &mut Diagnostics) -> Result<Vec<u8>, (String, &'static str)> {
    let mut bytes = match secret {
        SecretRef::Env(name) => match std::env::var_os(&**name) {
            Some(value) => value.into_encoded_bytes(),
            None => return Err((format!("{secret} is not set"), "set it for the process that runs the gateway")),
        },
        SecretRef::File(file) => {
            let Some(path) = file.path() else {
                let hint = "$CREDENTIALS_DIRECTORY is not set: write LoadCredential= in the unit";
                return Err((format!("{secret} is not there"), hint));
            };
            let most = limits::SECRET_FILE_BYTES_MAX + 1;
            match bytes_of(&path, most) {
                Ok(bytes) => {
                    faults.files.push(Input::new(&path, &bytes, most));
                    bytes
                }
                Err(error) => {
                    faults.files.push(Input::missing(&path));
                    let hint = "check the path, which is taken from the document's folder, and who may read it";
                    return Err((format!("{secret} cannot be read: {error}"), hint));
                }
            }
        }
    };
    let end = bytes.trim_ascii_end().len();
    bytes.truncate(end);
    if bytes.is_empty() {
        return Err((format!("{secret} is empty"), "write the secret there"));
    }
    if bytes.len() as u64 > limits::SECRET_FILE_BYTES_MAX {
        return Err((format!("{secret} is too long"), "it must have the secret alone"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::node::Style;

    fn text(text: &str) -> Text {
        Text { text: text.into(), place: crate::Place::default(), style: Style::Plain }
    }

    #[test]
    fn references() {
        let mut faults = Diagnostics::default();
        let mut refer = |written: &str| refer(&text(written), "`value`", Path::new("/etc"), &mut faults);
        assert_eq!(refer("${file:keys/a}"), Some(SecretRef::File(FileRef::Path("/etc/keys/a".into()))));
        assert_eq!(refer("${env:KEY_A}"), Some(SecretRef::Env("KEY_A".into())));
        assert_eq!(refer("${credential:a}"), Some(SecretRef::File(FileRef::Credential("a".into()))));
        for wrong in
            ["hush-hush-hush", "${file:}", "${credential:../x}", "${env:}", "${vault:x}", "${file:x", "$file:x"]
        {
            assert_eq!(refer(wrong), None, "{wrong}");
        }
        assert!(!faults.render(false).contains("hush"), "a secret is not quoted");
    }

    #[test]
    fn what_is_read_has_no_end_of_line() {
        let path = std::env::temp_dir().join(format!("tollgate-secret-{}", std::process::id()));
        std::fs::write(&path, "hush hush\r\n").unwrap();
        let file = SecretRef::File(FileRef::Path(path.clone()));
        let mut faults = Diagnostics::default();
        assert_eq!(read(&file, &mut faults), Ok(b"hush hush".to_vec()));
        std::fs::write(&path, "\n").unwrap();
        assert!(read(&file, &mut faults).unwrap_err().0.contains("is empty"));
        std::fs::remove_file(&path).unwrap();
        assert!(read(&file, &mut faults).unwrap_err().0.contains("cannot be read"));
        assert!(
            read(&SecretRef::Env("TOLLGATE_NOBODY_SETS_THIS".into()), &mut faults).unwrap_err().0.contains("not set")
        );
        assert_eq!(faults.files.len(), 3, "whoever watches them is told");
    }
}
