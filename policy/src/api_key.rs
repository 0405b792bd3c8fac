//! API keys: whose is the one that a request shows (KP-01, KP-04). A table of a million keys is frozen, shared by all workers, and costs
//! some 70 bytes for each.
//!
//! Values are not in it, but their HMAC-SHA-256 under a secret of this installation. A plain hash would do for values that a machine has
//! drawn; people choose theirs, and a stolen table of plain hashes can be tried against every word there is. The secret has another
//! use: where a key stands in the table, and with which others it is compared, cannot be known by who asks. So a look-up tells nothing
//! by its time; what it compares, it compares in constant time besides.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;

use crate::limits::{API_KEY_BYTES_MAX, API_KEY_BYTES_MIN, KEYS_MAX};

/// What is kept of a key's value.
pub type Digest = [u8; 32];

/// Makes digests of values.
#[derive(Clone)]
pub struct Hasher(hmac::Key);

impl Hasher {
    /// With a secret of 32 random bytes.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The digest of a value.
    pub fn digest(&self, value: &[u8]) -> Digest {
        let tag = hmac::sign(&self.0, value);
        tag.as_ref().try_into().expect("SHA-256 has 32 bytes")
    }
}

/// What is wrong with the value of a key (KP-01).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadValue {
    /// Fewer characters than API Gateway takes.
    Short,
    /// More of them.
    Long,
    /// A character that cannot stand in a header field, or a space.
    Character,
}

impl BadValue {
    /// As API Gateway says it, where it says it.
    pub const fn message(self) -> &'static str {
        match self {
            Self::Short => "API Key value should be at least 20 characters",
            Self::Long => "API Key value exceeds maximum size of 128 characters",
            Self::Character => "API Key value has a character that no header field can have, or a space",
        }
    }
}

/// Whether a key may have this value (KP-01).
pub fn check_value(value: &[u8]) -> Result<(), BadValue> {
    match value.len() {
        0..API_KEY_BYTES_MIN => Err(BadValue::Short),
        API_KEY_BYTES_MIN..=API_KEY_BYTES_MAX if value.iter().all(u8::is_ascii_graphic) => Ok(()),
        API_KEY_BYTES_MIN..=API_KEY_BYTES_MAX => Err(BadValue::Character),
        _ => Err(BadValue::Long),
    }
}

/// All keys, by their values.
pub struct Keys {
    hasher: Hasher,
    /// Where in `digests` those begin whose upper bits are this place's number; one more at the end.
    starts: Box<[u32]>,
    /// In order.
    digests: Box<[Digest]>,
    /// Where in `records` each key's record begins, in the same order.
    places: Box<[u32]>,
    records: Box<[u8]>,
    subscriptions: u32,
}

/// One key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key<'a> {
    /// Its number in the table. Another table may give it another one.
    pub number: u32,
    /// Its id, which stays.
    pub id: &'a str,
    /// Whether it opens anything.
    pub enabled: bool,
    /// The numbers of its plans, two bytes each.
    plans: &'a [u8],
    /// The number of its first subscription.
    first: u32,
}

/// Bytes of a record before its plans and its id: flags, the lengths of both, the number of the first subscription.
const RECORD_HEAD: usize = 1 + 1 + 1 + 4;
const ENABLED: u8 = 1;

impl Key<'_> {
    /// Its plans by their numbers in the snapshot, each with the number of this subscription in the table.
    pub fn plans(&self) -> impl Iterator<Item = (u16, u32)> {
        let numbers = self.plans.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
        numbers.zip(self.first..)
    }
}

impl Default for Keys {
    fn default() -> Self {
        Builder::new(Hasher::new(&[0; 32])).finish()
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl Keys {
    /// The key of a value.
    pub fn find(&self, value: &[u8]) -> Option<Key<'_>> {
        if self.digests.is_empty() || !(API_KEY_BYTES_MIN..=API_KEY_BYTES_MAX).contains(&value.len()) {
            return None;
        }
        let wanted = self.hasher.digest(value);
        let place = place(&wanted, self.starts.len() - 1);
        let (from, to) = (self.starts[place] as usize, self.starts[place + 1] as usize);
        let mut found = None;
        for (number, digest) in (from..).zip(&self.digests[from..to]) {
            if verify_slices_are_equal(digest, &wanted).is_ok() {
                found = Some(number as u32);
            }
        }
        self.key(found?)
    }

    /// The key of a number of this table.
    pub fn key(&self, number: u32) -> Option<Key<'_>> {
        let record = self.records.get(*self.places.get(number as usize)? as usize..)?;
        let [flags, id_length, plans, a, b, c, d] = *record.first_chunk::<RECORD_HEAD>()?;
        let (plans, rest) = record[RECORD_HEAD..].split_at_checked(usize::from(plans) * 2)?;
        let id = std::str::from_utf8(rest.get(..usize::from(id_length))?).ok()?;
        let first = u32::from_le_bytes([a, b, c, d]);
        Some(Key { number, id, enabled: flags & ENABLED != 0, plans, first })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.digests.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.digests.is_empty()
    }

    /// How many subscriptions have numbers: each key has one for each of its plans.
    pub fn subscriptions(&self) -> u32 {
        self.subscriptions
    }

    /// Bytes on the heap.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.starts) + size_of_val(&*self.digests) + size_of_val(&*self.places) + self.records.len()
    }
}

/// Which of so many places, a power of two, a digest has.
fn place(digest: &Digest, places: usize) -> usize {
    let [a, b, c, d, ..] = *digest;
    let upper = u32::from_be_bytes([a, b, c, d]);
    // A shift by 32 where there is one place alone.
    (u64::from(upper) >> (32 - places.trailing_zeros())) as usize
}

/// Collects keys.
pub struct Builder {
    hasher: Hasher,
    /// With the number of each: 0 was added first.
    keys: Vec<(Digest, u32)>,
    /// Where in `records` each begins, by number.
    places: Vec<u32>,
    records: Vec<u8>,
    subscriptions: u32,
}

/// A key that was added, and is not the only one of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Added<'a> {
    /// The first that was added is 0.
    pub number: u32,
    /// Its id.
    pub id: &'a str,
    /// Whether it opens anything.
    pub enabled: bool,
}

/// Which of two keys of the same value counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The first one; it opens nothing if either of them is disabled.
    First,
    /// The later one, as it is.
    Later,
}

/// Why a key is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// There are [`KEYS_MAX`] already.
    Keys,
    /// Its id, or the list of its plans, is longer than 255.
    Record,
}

impl Builder {
    /// For keys whose digests this hasher has made.
    pub fn new(hasher: Hasher) -> Self {
        Self { hasher, keys: Vec::new(), places: Vec::new(), records: Vec::new(), subscriptions: 0 }
    }

    /// What makes digests.
    pub fn hasher(&self) -> &Hasher {
        &self.hasher
    }

    /// Adds a key. [`Builder::settle`] decides which one counts of several with the same digest.
    pub fn add(&mut self, digest: Digest, id: &str, enabled: bool, plans: &[u16]) -> Result<(), Full> {
        if self.keys.len() >= KEYS_MAX {
            return Err(Full::Keys);
        }
        let (Ok(id_length), Ok(count)) = (u8::try_from(id.len()), u8::try_from(plans.len())) else {
            return Err(Full::Record);
        };
        self.keys.push((digest, self.places.len() as u32));
        self.places.push(self.records.len() as u32);
        self.records.extend_from_slice(&[if enabled { ENABLED } else { 0 }, id_length, count]);
        self.records.extend_from_slice(&self.subscriptions.to_le_bytes());
        self.records.extend(plans.iter().flat_map(|plan| plan.to_le_bytes()));
        self.records.extend_from_slice(id.as_bytes());
        self.subscriptions += u32::from(count);
        Ok(())
    }

    /// How many keys it has.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The table. Of several keys of the same value the first one counts, and opens nothing if any of them is disabled.
    pub fn finish(self) -> Keys {
        self.settle(|_, _| Settled::First)
    }

    /// The table. `which` is asked for every two keys of the same value, in the order in which they were added.
    pub fn settle(self, mut which: impl FnMut(Added<'_>, Added<'_>) -> Settled) -> Keys {
        let Self { hasher, mut keys, places: begins, mut records, subscriptions } = self;
        keys.sort_unstable();
        keys.dedup_by(|later, first| {
            if later.0 != first.0 {
                return false;
            }
            let [kept, other] = [first.1, later.1].map(|number| begins[number as usize] as usize);
            match which(added(&records, kept, first.1), added(&records, other, later.1)) {
                Settled::First => records[kept] &= records[other],
                Settled::Later => first.1 = later.1,
            }
            true
        });
        let places = keys.len().next_power_of_two();
        let mut starts = vec![0; places + 1];
        for (digest, _) in &keys {
            starts[place(digest, places) + 1] += 1;
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        Keys {
            hasher,
            starts: starts.into(),
            digests: keys.iter().map(|(digest, _)| *digest).collect(),
            places: keys.iter().map(|(_, number)| begins[*number as usize]).collect(),
            records: records.into(),
            subscriptions,
        }
    }
}

fn added(records: &[u8], begins: usize, number: u32) -> Added<'_> {
    let record = &records[begins..];
    let (id_length, plans) = (usize::from(record[1]), usize::from(record[2]));
    let id = record.get(RECORD_HEAD + plans * 2..).and_then(|rest| rest.get(..id_length)).unwrap_or_default();
    Added { number, id: std::str::from_utf8(id).unwrap_or_default(), enabled: record[0] & ENABLED != 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder() -> Builder {
        Builder::new(Hasher::new(&[7; 32]))
    }

    fn value(number: usize) -> String {
        format!("key-{number:032}")
    }

    fn table(count: usize) -> Keys {
        let mut builder = builder();
        for number in 0..count {
            let digest = builder.hasher().digest(value(number).as_bytes());
            builder.add(digest, &format!("id{number:08}"), number % 3 != 0, &[number as u16 % 7]).unwrap();
        }
        builder.finish()
    }

    /// Row KP-01.
    #[test]
    fn values_have_a_length() {
        for (value, expected) in [
            ("a".repeat(19), Err(BadValue::Short)),
            ("a".repeat(20), Ok(())),
            ("a".repeat(128), Ok(())),
            ("a".repeat(129), Err(BadValue::Long)),
            (format!("{} {}", "a".repeat(15), "b".repeat(15)), Err(BadValue::Character)),
            ("\u{e4}".repeat(20), Err(BadValue::Character)),
            (String::new(), Err(BadValue::Short)),
        ] {
            assert_eq!(check_value(value.as_bytes()), expected, "{value}");
        }
        assert!(BadValue::Short.message().contains("at least 20 characters"));
    }

    #[test]
    fn every_key_is_found_and_nothing_else() {
        for count in [1, 2, 3, 64, 1_000] {
            let keys = table(count);
            assert_eq!(keys.len(), count);
            for number in 0..count {
                let found = keys.find(value(number).as_bytes()).unwrap_or_else(|| panic!("{number} of {count}"));
                assert_eq!(found.id, format!("id{number:08}"));
                assert_eq!(found.enabled, number % 3 != 0);
                assert_eq!(found.plans().map(|(plan, _)| plan).collect::<Vec<_>>(), [number as u16 % 7]);
                assert_eq!(keys.key(found.number), Some(found));
            }
            assert_eq!(keys.find(value(count).as_bytes()), None);
            assert_eq!(keys.find(value(0).to_uppercase().as_bytes()), None, "case counts");
            assert_eq!(keys.key(count as u32), None);
        }
        assert_eq!(Keys::default().find(value(0).as_bytes()), None);
    }

    #[test]
    fn each_plan_of_each_key_has_a_number_of_its_own() {
        let mut builder = builder();
        let digest = |number| builder.hasher().digest(value(number).as_bytes());
        let (a, b) = (digest(1), digest(2));
        builder.add(a, "a", true, &[4, 500, 2]).unwrap();
        builder.add(b, "b", true, &[]).unwrap();
        builder.add(b, "of the same value", true, &[9]).unwrap();
        let keys = builder.finish();
        let key = keys.find(value(1).as_bytes()).unwrap();
        assert_eq!(key.plans().collect::<Vec<_>>(), [(4, 0), (500, 1), (2, 2)]);
        assert_eq!(keys.find(value(2).as_bytes()).unwrap().id, "b", "the first one counts");
        assert_eq!((keys.len(), keys.subscriptions()), (2, 4));
    }

    /// Nothing that somebody has disabled is open because it is written down twice.
    #[test]
    fn of_one_value_the_first_counts_and_none_opens_if_one_is_disabled() {
        let settled = |settled: Settled, states: &[bool]| {
            let mut builder = builder();
            let digest = builder.hasher().digest(value(1).as_bytes());
            for (id, enabled) in ["a", "b", "c"].into_iter().zip(states) {
                builder.add(digest, id, *enabled, &[1, 2]).unwrap();
            }
            let mut asked = Vec::new();
            let keys = builder.settle(|first, later| {
                asked.push((first.number, first.id.to_owned(), later.number, later.id.to_owned(), later.enabled));
                settled
            });
            let key = keys.find(value(1).as_bytes()).unwrap();
            (key.id.to_owned(), key.enabled, asked)
        };
        let asked = |at: usize| settled(Settled::First, &[true, true, false]).2[at].clone();
        assert_eq!(asked(0), (0, "a".into(), 1, "b".into(), true));
        assert_eq!(asked(1), (0, "a".into(), 2, "c".into(), false));
        for (which, states, id, enabled) in [
            (Settled::First, [true, true, true], "a", true),
            (Settled::First, [true, false, true], "a", false),
            (Settled::First, [false, true, true], "a", false),
            (Settled::Later, [false, true, true], "c", true),
            (Settled::Later, [true, true, false], "c", false),
        ] {
            let (found, open, _) = settled(which, &states);
            assert_eq!((&*found, open), (id, enabled), "{which:?} {states:?}");
        }
    }

    #[test]
    fn secrets_make_digests_differ() {
        let (one, other) = (Hasher::new(&[1; 32]), Hasher::new(&[2; 32]));
        assert_ne!(one.digest(b"0123456789012345678901"), other.digest(b"0123456789012345678901"));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut builder = builder();
        assert_eq!(builder.add([0; 32], &"x".repeat(256), true, &[]), Err(Full::Record));
        assert_eq!(builder.add([0; 32], "x", true, &[0; 256]), Err(Full::Record));
        assert!(builder.is_empty());
        assert!(format!("{:?}", builder.finish()).contains("len: 0"));
    }

    /// The price of a key: at most 200 bytes, with an id of API Gateway's length and one plan.
    #[test]
    fn a_key_costs_little() {
        let keys = table(50_000);
        assert!(keys.bytes() / keys.len() <= 80, "{} bytes", keys.bytes() / keys.len());
    }
}
