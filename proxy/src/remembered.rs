//! What is remembered for a while by a strong hash of what it was said of: bounded in number and in weight, in two generations. What was not
//! asked for during the time of one generation is forgotten first, and forgetting costs nothing while requests wait.

use std::collections::HashMap;
use std::time::Instant;

/// The hash that something is remembered by: SHA-256, so that nobody can make two alike.
pub type Key = [u8; 32];

/// See the module.
#[derive(Debug)]
pub struct Remembered<V> {
    young: Generation<V>,
    old: Generation<V>,
    entries_max: usize,
    weight_max: usize,
}

#[derive(Debug)]
struct Generation<V> {
    entries: HashMap<Key, Entry<V>>,
    weight: usize,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    weight: usize,
    until: Instant,
}

impl<V> Default for Generation<V> {
    fn default() -> Self {
        Self { entries: HashMap::new(), weight: 0 }
    }
}

impl<V: Clone> Remembered<V> {
    /// Room for so many, and for so much weight.
    pub fn new(entries_max: usize, weight_max: usize) -> Self {
        Self { young: Generation::default(), old: Generation::default(), entries_max, weight_max }
    }

    /// What is remembered, and until when; nothing, if its time is over.
    pub fn get(&mut self, key: &Key, now: Instant) -> Option<(V, Instant)> {
        if let Some(entry) = self.young.entries.get(key) {
            return (now < entry.until).then(|| (entry.value.clone(), entry.until));
        }
        let Entry { value, weight, until } = self.old.take(key)?;
        if now >= until {
            return None;
        }
        self.put(*key, value.clone(), weight, until);
        Some((value, until))
    }

    /// Remembers a value until then.
    pub fn put(&mut self, key: Key, value: V, weight: usize, until: Instant) {
        self.young.take(&key);
        self.old.take(&key);
        let is_full = self.young.entries.len() + 1 > self.entries_max / 2
            || self.young.weight.saturating_add(weight) > self.weight_max / 2;
        if is_full {
            self.old = std::mem::take(&mut self.young);
        }
        // One that would fill a whole generation is not worth all the others.
        if weight <= self.weight_max / 2 {
            self.young.weight += weight;
            self.young.entries.insert(key, Entry { value, weight, until });
        }
    }
}

impl<V> Generation<V> {
    fn take(&mut self, key: &Key) -> Option<Entry<V>> {
        let entry = self.entries.remove(key)?;
        self.weight -= entry.weight;
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn key(number: u32) -> Key {
        let mut key = [0; 32];
        key[..4].copy_from_slice(&number.to_le_bytes());
        key
    }

    #[test]
    fn it_is_remembered_until_its_time_is_over() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut remembered = Remembered::new(10, 1_000);
        remembered.put(key(1), "a", 1, start + second);
        assert_eq!(remembered.get(&key(1), start), Some(("a", start + second)));
        assert_eq!(remembered.get(&key(2), start), None);
        assert_eq!(remembered.get(&key(1), start + second), None);
        remembered.put(key(1), "b", 1, start + second * 2);
        assert_eq!(remembered.get(&key(1), start + second), Some(("b", start + second * 2)));
    }

    #[test]
    fn what_is_asked_for_stays_and_there_is_never_more_than_fits() {
        let (start, far) = (Instant::now(), Instant::now() + Duration::from_secs(60));
        let mut remembered = Remembered::new(10, 1_000);
        for number in 0..1_000 {
            remembered.put(key(number), number, 1, far);
            assert_eq!(remembered.get(&key(0), start), Some((0, far)), "{number}");
            assert!(remembered.young.entries.len() + remembered.old.entries.len() <= 10, "{number}");
        }
        assert_eq!(remembered.get(&key(500), start), None);
    }

    #[test]
    fn weight_counts() {
        let (start, far) = (Instant::now(), Instant::now() + Duration::from_secs(60));
        let mut remembered = Remembered::new(1_000, 100);
        for number in 0..100 {
            remembered.put(key(number), number, 20, far);
            let weight = |generation: &Generation<u32>| -> usize {
                let sum = generation.entries.values().map(|entry| entry.weight).sum();
                assert_eq!(generation.weight, sum);
                sum
            };
            assert!(weight(&remembered.young) + weight(&remembered.old) <= 100, "{number}");
        }
        remembered.put(key(7_000), 7_000, 51, far);
        assert_eq!(remembered.get(&key(7_000), start), None, "it is too heavy");
        assert_eq!(remembered.get(&key(99), start), Some((99, far)));
    }
}
