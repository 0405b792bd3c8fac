//! Who may sign requests, and what a worker keeps of signatures.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use config::snapshot::Principal;
use policy::authorize::sigv4::{EllipticKey, SigningKey, Work};
use policy::identity::{IamIdentity, Identity};

/// Who may sign, found by access key.
#[derive(Default)]
pub struct Signers {
    by_key: HashMap<Box<[u8]>, usize>,
    identities: Box<[Arc<Identity>]>,
    /// What verifies signatures of version 4a, made with the first of each.
    elliptic: Box<[OnceLock<Option<EllipticKey>>]>,
}

impl Signers {
    /// Those of a snapshot, by their numbers in it.
    pub fn new(principals: &[Principal]) -> Signers {
        let by_key = principals.iter().enumerate().map(|(at, one)| (one.access_key.as_bytes().into(), at)).collect();
        let elliptic = principals.iter().map(|_| OnceLock::new()).collect();
        Signers { by_key, identities: principals.iter().map(identity).collect(), elliptic }
    }

    /// What verifies what this principal has signed in version 4a.
    pub fn elliptic(&self, number: usize, make: impl FnOnce() -> Option<EllipticKey>) -> Option<&EllipticKey> {
        self.elliptic.get(number)?.get_or_init(make).as_ref()
    }

    /// The number of whoever has this access key.
    pub fn find(&self, access_key: &[u8]) -> Option<usize> {
        self.by_key.get(access_key).copied()
    }

    /// Who that is, to those behind.
    pub fn identity(&self, number: usize) -> Option<Arc<Identity>> {
        self.identities.get(number).cloned()
    }
}

fn identity(principal: &Principal) -> Arc<Identity> {
    let Principal { arn, account, access_key, user_id, .. } = principal;
    let iam = IamIdentity {
        arn: arn.clone(),
        account: account.clone(),
        access_key: access_key.clone(),
        caller: user_id.clone(),
        user: user_id.clone(),
    };
    Arc::new(Identity { principal: arn.clone(), iam: Some(Box::new(iam)), ..Identity::default() })
}

/// What a worker keeps of signatures: room to work in, and for each principal the key of the day that it signed last.
#[derive(Default)]
pub struct Desk {
    /// Room to work in.
    pub work: RefCell<Work>,
    keys: RefCell<Vec<Option<DayKey>>>,
    /// Keys are of one snapshot: principals have other numbers, and perhaps other secrets, in the next.
    generation: Cell<u64>,
}

struct DayKey {
    day: [u8; 8],
    key: SigningKey,
}

impl Desk {
    /// Asks with the key of a principal, one of `all`, for this day: the one that is kept, or one that is made.
    pub fn with_key<T>(
        &self,
        (number, all): (usize, usize),
        generation: u64,
        day: [u8; 8],
        make: impl FnOnce(&[u8; 8]) -> SigningKey,
        ask: impl FnOnce(&SigningKey) -> T,
    ) -> T {
        let keys = &mut *self.keys.borrow_mut();
        if self.generation.replace(generation) != generation {
            keys.clear();
        }
        if keys.len() <= number {
            keys.resize_with(all.max(number + 1), || None);
        }
        let slot = &mut keys[number];
        let known = slot.take().filter(|known| known.day == day);
        ask(&slot.insert(known.unwrap_or_else(|| DayKey { day, key: make(&day) })).key)
    }
}
