//! A frozen map from names to numbers that ignores ASCII case: hosts and API ids.
//!
//! Open addressing over one flat array. Names come from the operator alone, clients only look up, so nobody can crowd a bucket; the build
//! tries a few seeds and keeps the one with the shortest longest probe, and a lookup never probes further than that.

use std::collections::HashSet;

/// Seeds tried at build.
const SEEDS: u64 = 16;

/// The frozen map.
#[derive(Debug, Default)]
pub(crate) struct Names {
    slots: Box<[Slot]>,
    bytes: Box<[u8]>,
    seed: u64,
    reach: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    hash: u32,
    start: u32,
    /// Names are hosts or API ids, so never empty; zero means a free slot.
    len: u32,
    value: u32,
}

impl Names {
    /// Freezes the pairs. Of two names that differ in case only, the first wins.
    pub(crate) fn new(pairs: &[(String, u32)]) -> Self {
        let mut bytes = Vec::new();
        let mut known: Vec<(u32, u32, u32)> = Vec::new();
        let mut seen = HashSet::new();
        for (name, value) in pairs {
            debug_assert!(!name.is_empty());
            let lower = name.to_ascii_lowercase();
            let (start, len) = (bytes.len() as u32, lower.len() as u32);
            bytes.extend_from_slice(lower.as_bytes());
            if seen.insert(lower) {
                known.push((start, len, *value));
            } else {
                bytes.truncate(start as usize);
            }
        }
        if known.is_empty() {
            return Self::default();
        }
        (0..SEEDS)
            .map(|seed| Self::place(&known, &bytes, seed))
            .min_by_key(|names| names.reach)
            .expect("there is at least one seed")
    }

    /// The number of `name`, any case.
    #[inline]
    pub(crate) fn get(&self, name: &[u8]) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        let hash = fold(name, self.seed);
        let mask = self.slots.len() - 1;
        for step in 0..self.reach {
            let slot = &self.slots[(hash as usize + step) & mask];
            if slot.len == 0 {
                return None;
            }
            if slot.hash == hash && span(&self.bytes, slot.start, slot.len).eq_ignore_ascii_case(name) {
                return Some(slot.value);
            }
        }
        None
    }

    /// Whether there is no name at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    fn place(known: &[(u32, u32, u32)], bytes: &[u8], seed: u64) -> Self {
        let mut slots = vec![Slot::default(); (known.len() * 2).next_power_of_two()].into_boxed_slice();
        let mask = slots.len() - 1;
        let mut reach = 0;
        for &(start, len, value) in known {
            let hash = fold(span(bytes, start, len), seed);
            let step = (0..slots.len())
                .find(|step| slots[(hash as usize + step) & mask].len == 0)
                .expect("half of the slots are free");
            reach = reach.max(step + 1);
            slots[(hash as usize + step) & mask] = Slot { hash, start, len, value };
        }
        Self { slots, bytes: bytes.into(), seed, reach }
    }
}

fn span(bytes: &[u8], start: u32, len: u32) -> &[u8] {
    &bytes[start as usize..(start + len) as usize]
}

/// A hash that is equal for names that differ in ASCII case only. Bit 5 is set in every byte: that folds more than letters,
/// but the comparison afterwards is exact.
#[inline]
fn fold(name: &[u8], seed: u64) -> u32 {
    const CASE: u64 = 0x2020_2020_2020_2020;
    const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut hash = seed.wrapping_add(name.len() as u64).wrapping_mul(MIX);
    let mut words = name.chunks_exact(8);
    for word in &mut words {
        let word = u64::from_le_bytes(word.try_into().expect("chunks of eight"));
        hash = (hash ^ (word | CASE)).wrapping_mul(MIX);
        hash ^= hash >> 32;
    }
    let tail = words.remainder().iter().fold(0, |tail, &byte| tail << 8 | u64::from(byte));
    hash = (hash ^ (tail | CASE)).wrapping_mul(MIX);
    (hash >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Names {
        let pairs: Vec<(String, u32)> = list.iter().zip(0..).map(|(name, i)| ((*name).to_owned(), i)).collect();
        Names::new(&pairs)
    }

    #[test]
    fn case_is_ignored_and_nothing_else() {
        let names = names(&["API.example.com", "[::1]", "a_b.x", "x"]);
        assert_eq!(names.get(b"api.EXAMPLE.com"), Some(0));
        assert_eq!(names.get(b"[::1]"), Some(1));
        assert_eq!(names.get(b"A_B.X"), Some(2));
        assert_eq!(names.get(b"{::1}"), None);
        assert_eq!(names.get(b"a\x7fb.x"), None);
        assert_eq!(names.get(b"api.example.co"), None);
        assert_eq!(names.get(b""), None);
    }

    #[test]
    fn the_first_of_two_equal_names_wins() {
        assert_eq!(names(&["one", "ONE", "two"]).get(b"One"), Some(0));
    }

    #[test]
    fn an_empty_map_knows_nothing() {
        assert!(names(&[]).is_empty());
        assert_eq!(names(&[]).get(b"x"), None);
    }

    #[test]
    fn many_names_are_found_within_a_short_reach() {
        let list: Vec<String> = (0..5_000).map(|i| format!("tenant-{i}.example.com")).collect();
        let list: Vec<&str> = list.iter().map(String::as_str).collect();
        let names = names(&list);
        assert!(names.reach < 64, "{}", names.reach);
        for (i, name) in list.iter().enumerate() {
            assert_eq!(names.get(name.to_uppercase().as_bytes()), Some(i as u32));
        }
        assert_eq!(names.get(b"tenant-5000.example.com"), None);
    }
}
