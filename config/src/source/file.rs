//! Reads a document from disk, or says why it cannot be read.

use std::fmt::Write as _;
use std::io::Read;
use std::path::Path;

use crate::diagnostic::{Diagnostics, Place, Source};
use crate::limits;

/// The text of a file without its byte order mark. Its name becomes a source of `faults` in any case, and its path one of the
/// files that a watcher looks after.
pub fn read(path: &Path, faults: &mut Diagnostics) -> Option<u16> {
    faults.files.push(path.to_owned());
    let name = path.display().to_string();
    match bytes_of(path) {
        Ok(bytes) => add(&name, &bytes, faults),
        Err(error) => {
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

/// At most one byte more than a document may have: a device or a pipe must not fill the memory.
fn bytes_of(path: &Path) -> std::io::Result<Vec<u8>> {
    let file = std::fs::File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(std::io::ErrorKind::IsADirectory.into());
    }
    let mut bytes = Vec::new();
    file.take(limits::DOCUMENT_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Adds a text as a source; `None` if it is not UTF-8, which is then a fault.
pub fn add(name: &str, bytes: &[u8], faults: &mut Diagnostics) -> Option<u16> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => {
            let text = if is_json(name, text) { surrogates_joined(text) } else { text.to_owned() };
            push(name, text, faults)
        }
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

/// By its name, or because it begins as JSON does and hardly any YAML.
fn is_json(name: &str, text: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"))
        || text.trim_start().strip_prefix('{').is_some_and(|rest| rest.trim_start().starts_with('"'))
}

fn push(name: &str, text: String, faults: &mut Diagnostics) -> Option<u16> {
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

/// JSON writes a character beyond the basic plane as two escapes, YAML as one.
fn surrogates_joined(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(character) = pair(rest.as_bytes()) {
            let _ = write!(out, "\\U{:08X}", u32::from(character));
            rest = &rest[12..];
            continue;
        }
        // An escape of two characters, so that `\\ud83d` is not taken for one of six.
        let end = rest.char_indices().nth(2).map_or(rest.len(), |(end, _)| end);
        out.push_str(&rest[..end]);
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

/// The character of `\udXXX\udXXX` at the beginning.
fn pair(bytes: &[u8]) -> Option<char> {
    let unit = |at: usize| {
        let escape = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(std::str::from_utf8(escape).ok()?, 16).ok()
    };
    let high = unit(0)?;
    if !(0xd800..0xdc00).contains(&high) {
        return None;
    }
    char::decode_utf16([high, unit(6)?]).next()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_there_is_a_fault_with_its_name() {
        let mut faults = Diagnostics::default();
        assert_eq!(read(Path::new("/nowhere/gateway.yaml"), &mut faults), None);
        assert_eq!(faults.files, [Path::new("/nowhere/gateway.yaml")], "it may come yet");
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
    fn json_is_known_by_its_name_or_its_beginning() {
        for (name, text) in [("a.json", "x"), ("a.JSON", ""), ("a.yaml", "\n{ \n\t\"a\": 1}")] {
            assert!(is_json(name, text), "{name}");
        }
        for (name, text) in [("a.yaml", "{a: b}"), ("json", "a: b"), ("", "")] {
            assert!(!is_json(name, text), "{name}");
        }
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

    #[test]
    fn surrogates_of_json_become_one_escape() {
        for (json, yaml) in [
            (r#""\ud83d\ude00""#, r#""\U0001F600""#),
            (r#""\\ud83d\\ude00""#, r#""\\ud83d\\ude00""#),
            (r#""\ud83d""#, r#""\ud83d""#),
            (r#""a\n\ud83d\ude00b""#, r#""a\n\U0001F600b""#),
            ("\\", "\\"),
            ("\\é", "\\é"),
            ("\\éx", "\\éx"),
        ] {
            assert_eq!(surrogates_joined(json), yaml, "{json}");
        }
    }
}
