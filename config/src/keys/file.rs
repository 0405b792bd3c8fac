//! The store's file: all keys in one, so that it is old or new, and never half of both.
//!
//! ```text
//! 8 bytes   TOLLKEYS
//! 4 bytes   format, little-endian
//! 8 bytes   number of keys, little-endian
//! 32 bytes  SHA-256 of the rest
//! rest      the keys one after the other, postcard
//! ```

use std::borrow::Cow;

use policy::api_key::Digest;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

const MAGIC: &[u8; 8] = b"TOLLKEYS";
/// Goes up with every change of what a key has.
const FORMAT: u32 = 1;
const HEADER: usize = 8 + 4 + 8 + 32;

/// One key, as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record<'a> {
    /// Ten letters and digits, or what an import said.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// For people; need not be its alone.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// For people.
    #[serde(borrow)]
    pub description: Cow<'a, str>,
    /// Of its value.
    pub digest: Digest,
    /// The first letters of its value, by which people know it again.
    #[serde(borrow)]
    pub prefix: Cow<'a, str>,
    /// Whether it opens anything.
    pub enabled: bool,
    /// The plans that it is in.
    #[serde(borrow)]
    pub plans: Vec<&'a str>,
    /// In seconds since 1970.
    pub created: u64,
    /// When it changed last, likewise.
    pub updated: u64,
    /// The value itself, encrypted, if somebody wants to see it again.
    pub sealed: Option<&'a [u8]>,
}

/// Puts a file together.
pub struct Writer {
    bytes: Vec<u8>,
    count: u64,
}

impl Writer {
    /// A file without keys.
    pub fn new() -> Self {
        let mut bytes = Vec::with_capacity(1 << 16);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.resize(HEADER, 0);
        Self { bytes, count: 0 }
    }

    /// Adds a key.
    pub fn push(&mut self, record: &Record<'_>) {
        self.bytes = postcard::to_extend(record, std::mem::take(&mut self.bytes))
            .expect("a record has nothing that postcard cannot write");
        self.count += 1;
    }

    /// The file.
    pub fn finish(self) -> Vec<u8> {
        let Self { mut bytes, count } = self;
        let sum = Sha256::digest(&bytes[HEADER..]);
        bytes[12..20].copy_from_slice(&count.to_le_bytes());
        bytes[20..HEADER].copy_from_slice(&sum);
        bytes
    }
}

/// The keys of a file, in its order.
///
/// # Errors
/// It is not such a file, or is damaged, and how.
pub fn read<'a>(bytes: &'a [u8], mut each: impl FnMut(Record<'a>)) -> Result<(), String> {
    let header = bytes.get(..HEADER).ok_or("it ends too early")?;
    if !header.starts_with(MAGIC) {
        return Err("it is no store of keys".to_owned());
    }
    let format = header[8..12].try_into().map_or(0, u32::from_le_bytes);
    if format != FORMAT {
        return Err(format!("it was written for format {format}, but this version reads format {FORMAT}"));
    }
    let mut rest = &bytes[HEADER..];
    if *Sha256::digest(rest) != header[20..HEADER] {
        return Err("it is damaged: its checksum is wrong".to_owned());
    }
    let count = header[12..20].try_into().map_or(0, u64::from_le_bytes);
    for _ in 0..count {
        let (record, left) =
            postcard::take_from_bytes(rest).map_err(|_| "its checksum is right, but its content cannot be")?;
        rest = left;
        each(record);
    }
    if rest.is_empty() { Ok(()) } else { Err("bytes are left over".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: u8) -> Record<'static> {
        Record {
            id: format!("id{number}").into(),
            name: "Acme".into(),
            description: "".into(),
            digest: [number; 32],
            prefix: "abcd".into(),
            enabled: number != 1,
            plans: vec!["basic", "gold"],
            created: 1,
            updated: u64::MAX,
            sealed: (number == 2).then_some(b"sealed"),
        }
    }

    fn file() -> Vec<u8> {
        let mut writer = Writer::new();
        (0..3).for_each(|number| writer.push(&record(number)));
        writer.finish()
    }

    #[test]
    fn what_is_written_is_read() {
        let (file, mut found) = (file(), Vec::new());
        assert_eq!(read(&file, |record| found.push(record)), Ok(()));
        assert_eq!(found, [record(0), record(1), record(2)]);
        assert_eq!(read(&Writer::new().finish(), |_| panic!("there are none")), Ok(()));
    }

    #[test]
    fn no_damage_goes_unseen() {
        let file = file();
        for cut in 0..file.len() {
            assert!(read(&file[..cut], |_| {}).is_err(), "{cut}");
        }
        for at in 0..file.len() {
            let mut flipped = file.clone();
            flipped[at] ^= 1 << (at % 8);
            assert!(read(&flipped, |_| {}).is_err(), "byte {at}");
        }
    }

    /// A checksum can be forged: whatever the rest says, nothing panics.
    #[test]
    fn a_forged_file_is_refused_or_read() {
        let file = file();
        for at in HEADER..file.len() {
            for bits in [1, 0x80, 0xff] {
                let mut forged = file.clone();
                forged[at] ^= bits;
                let sum = Sha256::digest(&forged[HEADER..]);
                forged[20..HEADER].copy_from_slice(&sum);
                let _ = read(&forged, |_| {});
            }
        }
    }
}
