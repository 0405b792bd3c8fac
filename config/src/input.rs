//! The files of which a configuration was made, with what was in them.

use std::hash::{DefaultHasher, Hasher};
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::limits;

/// A file of which a configuration was made, or should have been: whoever watches it knows when to load again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// As it was opened.
    pub path: PathBuf,
    /// A hash of what was in it, and of how many bytes at most; `None`: it could not be read.
    content: Option<(u64, u64)>,
}

impl Input {
    /// A file with this content, of which at most so many bytes were read.
    pub fn new(path: &Path, bytes: &[u8], most: u64) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write(bytes);
        Self { path: path.to_owned(), content: Some((hasher.finish(), most)) }
    }

    /// A file that could not be read: it may come yet.
    pub fn missing(path: &Path) -> Self {
        Self { path: path.to_owned(), content: None }
    }

    /// Whether another content would be read now. A pipe is read once, and never changes.
    pub fn has_changed(&self) -> bool {
        let most = self.content.map_or(limits::DOCUMENT_BYTES_MAX as u64 + 1, |(_, most)| most);
        let content = match std::fs::metadata(&self.path) {
            Ok(found) if !found.is_file() && !found.is_dir() => return false,
            _ => bytes_of(&self.path, most).ok(),
        };
        content.map_or_else(|| Self::missing(&self.path), |bytes| Self::new(&self.path, &bytes, most)) != *self
    }
}

/// At most one byte more than a file may have: a device or a pipe must not fill the memory.
pub fn bytes_of(path: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    let file = std::fs::File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(std::io::ErrorKind::IsADirectory.into());
    }
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_one_of_content() {
        let path = std::env::temp_dir().join(format!("tollgate-input-{}", std::process::id()));
        let missing = Input::missing(&path);
        assert!(!missing.has_changed());
        std::fs::write(&path, "one").expect("a writable folder");
        let one = Input::new(&path, b"one", 4);
        assert_eq!((missing.has_changed(), one.has_changed()), (true, false));
        std::fs::write(&path, "two").expect("a writable folder");
        assert!(one.has_changed());
        std::fs::write(&path, "one").expect("a writable folder");
        assert!(!one.has_changed(), "written anew, and the same");
        std::fs::write(&path, "onetwo").expect("a writable folder");
        let cut = Input::new(&path, b"onet", 4);
        assert!(!cut.has_changed(), "what was not read then is not read now");
        std::fs::remove_file(&path).expect("it is there");
        assert_eq!((missing.has_changed(), one.has_changed()), (false, true));
    }
}
