//! Files of names and hashes as `htpasswd` writes them: `NAME:HASH` on each line, `#` begins a comment.

use super::hash::{Hash, Unfit};
use crate::limits::USER_NAME_BYTES_MAX;

/// A line that names nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// It has no colon, or nothing before it.
    NoName,
    /// The name is not UTF-8, or has control characters, or is too long.
    Name,
    /// The password is kept in a way that is not taken.
    Hash(Unfit),
}

impl Wrong {
    /// What is wrong; nothing of the line is quoted.
    pub fn says(self) -> String {
        match self {
            Self::NoName => "it is not `NAME:HASH`".to_owned(),
            Self::Name => "the name is not UTF-8, has a control character, or is too long".to_owned(),
            Self::Hash(unfit) => format!("what stands for the password is {}", unfit.says()),
        }
    }
}

/// Whether somebody can have this name: what a request can show.
pub fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte != b':' && !byte.is_ascii_control();
    (1..=USER_NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_plain)
}

/// Reads a file; `each` is told the number of each line that is not empty, from 1, and what stands there.
pub fn read<'a>(bytes: &'a [u8], mut each: impl FnMut(usize, Result<(&'a str, Hash), Wrong>)) {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.trim_ascii().is_empty() || line.starts_with(b"#") {
            continue;
        }
        each(number, row(line));
    }
}

fn row(line: &[u8]) -> Result<(&str, Hash), Wrong> {
    let mut parts = line.splitn(3, |byte| *byte == b':');
    let (Some(name), Some(hash)) = (parts.next(), parts.next()) else { return Err(Wrong::NoName) };
    if name.is_empty() {
        return Err(Wrong::NoName);
    }
    let name = str::from_utf8(name).ok().filter(|name| is_name(name)).ok_or(Wrong::Name)?;
    let hash = str::from_utf8(hash).map_err(|_| Wrong::Hash(Unfit::Unknown))?;
    Ok((name, Hash::parse(hash.trim_ascii()).map_err(Wrong::Hash)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";

    #[test]
    fn each_line_is_somebody_or_has_its_fault() {
        let text = format!(
            "\u{feff}# staff\r\nann:{HASH}\r\n\n  \njürgen:{HASH}:of the third floor\n:{HASH}\nnobody\nb\u{1}:{HASH}\nc:$apr1$x$y\nd:hush\n"
        );
        let mut read = Vec::new();
        super::read(text.as_bytes(), |line, row| read.push((line, row.map(|(name, _)| name.to_owned()))));
        let wrong = |unfit| Err(Wrong::Hash(unfit));
        assert_eq!(
            read,
            [
                (2, Ok("ann".to_owned())),
                (5, Ok("jürgen".to_owned())),
                (6, Err(Wrong::NoName)),
                (7, Err(Wrong::NoName)),
                (8, Err(Wrong::Name)),
                (9, wrong(Unfit::Md5)),
                (10, wrong(Unfit::Unknown)),
            ]
        );
        assert!(!Wrong::Hash(Unfit::Unknown).says().contains("hush"));
    }

    #[test]
    fn bytes_that_are_no_text() {
        let mut wrong = Vec::new();
        read(b"\xff:x\nx:\xff\n", |_, row| wrong.push(row.unwrap_err()));
        assert_eq!(wrong, [Wrong::Name, Wrong::Hash(Unfit::Unknown)]);
    }
}
