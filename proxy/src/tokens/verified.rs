//! Tokens that this worker has verified: a bounded table, in which a token's hash is its name. Whoever shows one again is known for one hash
//! and one look.
//!
//! The hash is SHA-256 of the token and of the authorizer: two tokens of one name would be one caller for another, so nothing weaker will do.
//! A token itself is not kept.

use std::cell::RefCell;
use std::sync::Arc;

use policy::authorize::jwt::Verified;
use policy::identity::Identity;
use sha2::{Digest as _, Sha256};

use crate::limits::{TOKEN_PLACES, TOKENS_REMEMBERED};

/// A token's name.
pub type Print = [u8; 32];

/// The name of a token. `rule`: the address of the authorizer's rule, which lives as long as what serves; `scoped`: whether the method asks
/// for scopes, which may make another token of it.
pub fn print(rule: usize, scoped: bool, token: &[u8]) -> Print {
    let mut hash = Sha256::new();
    hash.update(rule.to_ne_bytes());
    hash.update([u8::from(scoped)]);
    hash.update(token);
    hash.finalize().into()
}

struct Entry {
    print: Print,
    verified: Verified,
}

/// What a worker remembers.
#[derive(Default)]
pub struct Remembered {
    /// Sets of [`TOKEN_PLACES`]; empty until the first token.
    places: RefCell<Box<[Option<Entry>]>>,
}

impl Remembered {
    /// Who showed this token before, and whether it has any of these scopes. `None`: it is not known, or its time is over. `now`: seconds
    /// since 1970.
    pub fn find(&self, print: &Print, now: u64, scopes: &[Box<str>]) -> Option<(Arc<Identity>, bool)> {
        let places = self.places.borrow();
        let set = places.get(set_of(print))?;
        let entry = set.iter().flatten().find(|entry| entry.print == *print)?;
        if entry.verified.expires <= now {
            return None;
        }
        Some((entry.verified.identity.clone(), entry.verified.has_any(scopes)))
    }

    /// Remembers a token. Where its places are taken, the one whose time is over first has to go.
    pub fn keep(&self, print: Print, verified: Verified) {
        let mut places = self.places.borrow_mut();
        if places.is_empty() {
            *places = (0..TOKENS_REMEMBERED).map(|_| None).collect();
        }
        let Some(set) = places.get_mut(set_of(&print)) else { return };
        let age = |place: &Option<Entry>| match place {
            Some(entry) if entry.print == print => 0,
            None => 1,
            Some(entry) => entry.verified.expires.max(2),
        };
        if let Some(place) = set.iter_mut().min_by_key(|place| age(place)) {
            *place = Some(Entry { print, verified });
        }
    }

    /// Forgets all: the keys or the configuration are others.
    pub fn forget(&self) {
        *self.places.borrow_mut() = Box::default();
    }
}

/// The places of a token.
fn set_of(print: &Print) -> std::ops::Range<usize> {
    const SETS: usize = TOKENS_REMEMBERED / TOKEN_PLACES;
    const { assert!(SETS.is_power_of_two() && TOKENS_REMEMBERED.is_multiple_of(TOKEN_PLACES)) };
    let set = usize::from(u16::from_le_bytes([print[0], print[1]])) % SETS;
    set * TOKEN_PLACES..(set + 1) * TOKEN_PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verified(expires: u64, scope: &str) -> Verified {
        Verified { identity: Arc::default(), scopes: [scope.into()].into(), expires }
    }

    #[test]
    fn a_token_is_known_until_its_end() {
        let known = Remembered::default();
        let name = print(1, false, b"a.b.c");
        assert!(known.find(&name, 0, &[]).is_none());
        known.keep(name, verified(100, "read"));
        assert!(known.find(&name, 99, &[]).is_some());
        assert_eq!(known.find(&name, 99, &["read".into()]).map(|(_, has)| has), Some(true));
        assert_eq!(known.find(&name, 99, &["write".into()]).map(|(_, has)| has), Some(false));
        assert!(known.find(&name, 100, &[]).is_none());
        known.keep(name, verified(200, "read"));
        assert!(known.find(&name, 150, &[]).is_some(), "it takes its own place");
        known.forget();
        assert!(known.find(&name, 150, &[]).is_none());
    }

    #[test]
    fn names_differ_by_authorizer_and_by_what_is_asked() {
        let names = [print(1, false, b"t"), print(2, false, b"t"), print(1, true, b"t"), print(1, false, b"u")];
        for (at, name) in names.iter().enumerate() {
            assert!(names[..at].iter().all(|other| other != name));
        }
    }

    #[test]
    fn the_table_is_bounded_and_what_ends_first_goes_first() {
        let known = Remembered::default();
        let name = |number: u8| {
            let mut name = [0; 32];
            name[31] = number;
            name
        };
        for number in 0..TOKEN_PLACES as u8 {
            known.keep(name(number), verified(100 + u64::from(number), ""));
        }
        known.keep(name(200), verified(1_000, ""));
        assert!(known.find(&name(0), 0, &[]).is_none(), "its end was the nearest");
        assert!((1..TOKEN_PLACES as u8).all(|number| known.find(&name(number), 0, &[]).is_some()));
        assert!(known.find(&name(200), 0, &[]).is_some());
        for number in 0..100_000_u32 {
            known.keep(print(0, false, &number.to_le_bytes()), verified(u64::MAX, ""));
        }
        assert_eq!(known.places.borrow().len(), TOKENS_REMEMBERED);
    }
}
