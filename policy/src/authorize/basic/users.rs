//! A list of those who may call, by name.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use super::Shown;
use super::hash::Hash;
use crate::identity::Identity;

/// Those who may call.
#[derive(Default)]
pub struct Users {
    by_name: HashMap<Box<str>, usize>,
    all: Vec<User>,
    /// Which hash stands in for those of a name that nobody has.
    decoys: RandomState,
}

struct User {
    hash: Arc<Hash>,
    identity: Arc<Identity>,
}

/// What a password is held against.
#[derive(Clone)]
pub struct Candidate {
    /// That of the name, or of somebody else where nobody has that name: it takes as long then.
    pub hash: Arc<Hash>,
    /// Whom it would be; `None`: nobody, whatever the password.
    pub identity: Option<Arc<Identity>>,
}

impl Users {
    /// Adds one; false: there is one of that name.
    pub fn add(&mut self, name: &str, hash: Hash) -> bool {
        let Entry::Vacant(place) = self.by_name.entry(name.into()) else { return false };
        place.insert(self.all.len());
        let fields: [(Box<str>, Box<str>); 1] = [("principalId".into(), name.into())];
        let identity = Identity { principal: name.into(), fields: fields.into(), ..Identity::default() };
        self.all.push(User { hash: Arc::new(hash), identity: Arc::new(identity) });
        true
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// How many passwords are tried faster than they should be.
    pub fn quick(&self) -> usize {
        self.all.iter().filter(|user| user.hash.is_quick()).count()
    }

    /// Whom a name means, and whether it is a stand-in; `None`: the list is empty. A name that nobody has gets the hash of somebody, always
    /// the same: of how long it takes nobody learns which names there are.
    fn place(&self, name: &str) -> Option<(&User, bool)> {
        if let Some(place) = self.by_name.get(name) {
            return self.all.get(*place).map(|user| (user, true));
        }
        let decoy = self.decoys.hash_one(name) as usize % self.all.len().max(1);
        self.all.get(decoy).map(|user| (user, false))
    }

    /// What the password has to fit; `None`: the list is empty.
    pub fn candidate(&self, shown: Shown<'_>) -> Option<Candidate> {
        let (user, is_known) = self.place(shown.name)?;
        Some(Candidate { hash: user.hash.clone(), identity: is_known.then(|| user.identity.clone()) })
    }

    /// Writes what the verdict on a name and a password depends on, behind them in `out`: what is remembered by a digest of all that holds
    /// for as long as the hash is this one, whatever else is loaded again. False: the list is empty.
    pub fn write_terms(&self, shown: Shown<'_>, out: &mut Vec<u8>) -> bool {
        let Some((user, is_known)) = self.place(shown.name) else { return false };
        let (hash, name, password) = (&user.hash, shown.name, shown.password);
        // None of the parts holds a NUL.
        for part in [name.as_bytes(), password.as_bytes(), hash.as_bytes(), if is_known { b"+" } else { b"-" }] {
            out.push(0);
            out.extend_from_slice(part);
        }
        true
    }
}

impl std::fmt::Debug for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} users", self.all.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
    const OTHER: &str = "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8";

    fn users() -> Users {
        let mut users = Users::default();
        assert!(users.add("ann", Hash::parse(HASH).unwrap()));
        assert!(users.add("bob", Hash::parse(OTHER).unwrap()));
        assert!(!users.add("ann", Hash::parse(OTHER).unwrap()), "a name is somebody's alone");
        users
    }

    fn shown(name: &'static str, password: &'static str) -> Shown<'static> {
        Shown { name, password }
    }

    #[test]
    fn somebody_is_held_against_the_own_hash() {
        let users = users();
        assert_eq!((users.len(), users.quick()), (2, 1));
        let ann = users.candidate(shown("ann", "U*U")).unwrap();
        assert_eq!(&*ann.identity.unwrap().principal, "ann");
        assert_eq!(ann.hash.as_bytes(), HASH.as_bytes());
        assert!(users.candidate(shown("Ann", "U*U")).unwrap().identity.is_none(), "case counts");
        assert!(Users::default().candidate(shown("ann", "U*U")).is_none());
    }

    #[test]
    fn nobody_is_held_against_the_hash_of_somebody() {
        let users = users();
        let decoy = |name| users.candidate(shown(name, "U*U")).unwrap();
        let first = decoy("eve");
        assert!(first.identity.is_none());
        assert_eq!(first.hash, decoy("eve").hash, "always the same");
        let mut seen = std::collections::BTreeSet::new();
        for name in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t"]
        {
            seen.insert(decoy(name).hash.as_bytes().to_vec());
        }
        assert_eq!(seen.len(), 2, "of all kinds that there are");
    }

    #[test]
    fn terms_differ_with_all_that_matters() {
        let terms = |users: &Users, name, password| {
            let mut out = Vec::new();
            assert!(users.write_terms(shown(name, password), &mut out));
            out
        };
        let (users, mut others) = (users(), Users::default());
        others.add("ann", Hash::parse(OTHER).unwrap());
        let first = terms(&users, "ann", "x");
        assert_eq!(first, terms(&users, "ann", "x"));
        for other in [
            terms(&users, "ann", "y"),
            terms(&users, "bob", "x"),
            terms(&others, "ann", "x"),
            terms(&others, "eve", "x"),
        ] {
            assert_ne!(first, other);
        }
        assert_ne!(terms(&others, "ann", "x")[4..], terms(&others, "eve", "x")[4..], "a stand-in is nobody");
        assert!(!Users::default().write_terms(shown("a", "b"), &mut Vec::new()));
    }
}
