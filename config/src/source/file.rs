//! Reads a document from disk, or says why it cannot be read.

use std::path::Path;

use crate::diagnostic::{Diagnostics, Place, Source};
use crate::input::{Input, bytes_of};
use crate::limits;

/// The text of a file without its byte order mark. Its name becomes a source of `faults` in any case, and its path one of the
/// files that a watcher looks after.
pub fn read(path: &Path, faults: &mut Diagnostics) -> Option<u16> {
    let name = path.display().to_string();
    let most = limits::DOCUMENT_BYTES_MAX as u64 + 1;
    match bytes_of(path, most) {
        Ok(bytes) => {
            faults.files.push(Input::new(path, &bytes, most));
            add(&name, &bytes, faults)
        }
        Err(error) => {
            faults.files.push(Input::missing(path));
            let source = push(&name, String::new(), faults)?;
            let hint = match error.kind() {
                std::io::ErrorKind::NotFound => "check the path; it is taken from the current directory",
                std::io::ErrorKind::PermissionDenied => "the user that runs the gateway must be allowed to read it",
                std::io::ErrorKind::IsADirectory => "name the file in it, such as gateway.yaml",
                _ => "the system could not read it",
            };
            faults.error_hint(Place { source, ..Place::default() }, format!("cannot be read: {error}"), hint);
            None
        }
    }
}

/// Adds a text as a source; `None` if it is not UTF-8, which is then a fault.
pub fn add(name: &str, bytes: &[u8], faults: &mut Diagnostics) -> Option<u16> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => push(name, text.to_owned(), faults),
        Err(error) => {
            let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]).into_owned();
            let line = valid.matches('\n').count() as u32 + 1;
            let column = valid.rsplit('\n').next().map_or(0, |last| last.chars().count()) as u32 + 1;
            let source = push(name, valid, faults)?;
            faults.error_hint(
                Place { source, line, column, length: 1 },
                "not UTF-8",
                "save the file as UTF-8; Latin-1 and UTF-16 are not read",
            );
            None
        }
    }
}

/// Adds a text as a source; `None`, and a fault, if there are too many.
pub fn push(name: &str, text: String, faults: &mut Diagnostics) -> Option<u16> {
    let number = faults.sources.len();
    if number >= limits::SOURCES_MAX {
        faults.error_hint(
            Place::default(),
            format!("`{name}` is one file too many: a configuration has at most {}", limits::SOURCES_MAX),
            "put what belongs together into one file",
        );
        return None;
    }
    faults.sources.push(Source { name: name.to_owned(), text });
    u16::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_there_is_a_fault_with_its_name() {
        let mut faults = Diagnostics::default();
        assert_eq!(read(Path::new("/nowhere/gateway.yaml"), &mut faults), None);
        assert_eq!(faults.files, [Input::missing(Path::new("/nowhere/gateway.yaml"))], "it may come yet");
        assert!(faults.render(false).starts_with("/nowhere/gateway.yaml: error: cannot be read"));
    }

    #[test]
    fn a_folder_is_no_document() {
        let mut faults = Diagnostics::default();
        assert_eq!(read(&std::env::temp_dir(), &mut faults), None);
        assert!(faults.render(false).contains("name the file in it"));
    }

    #[test]
    fn text_that_is_not_utf8_is_pointed_at() {
        let mut faults = Diagnostics::default();
        assert_eq!(add("g.yaml", b"a: b\nc: \xe9\n", &mut faults), None);
        assert!(faults.render(false).starts_with("g.yaml:2:4: error: not UTF-8"));
    }

    #[test]
    fn a_byte_order_mark_is_not_part_of_the_text() {
        let mut faults = Diagnostics::default();
        assert_eq!(add("g.yaml", b"\xef\xbb\xbfa: b", &mut faults), Some(0));
        assert_eq!(faults.sources[0].text, "a: b");
    }

    #[test]
    fn the_number_of_files_is_bounded() {
        let mut faults = Diagnostics::default();
        for _ in 0..limits::SOURCES_MAX {
            assert!(add("a.yaml", b"", &mut faults).is_some());
        }
        assert_eq!(add("b.yaml", b"", &mut faults), None);
        assert!(faults.render(false).contains("`b.yaml` is one file too many"));
    }
}
