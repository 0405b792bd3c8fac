//! What a worker knows of tokens: the keys of their issuers, which one thread keeps for all workers, and what was verified already.

mod fetch;
pub mod keeper;
pub mod keys;
pub mod report;
pub mod verified;

use std::sync::Arc;

use self::keys::{Asker, KeyTable, Keys};
use self::verified::Remembered;

/// A worker's part.
pub struct Tokens {
    /// Keys of issuers.
    pub keys: Keys,
    /// Tokens that were verified.
    pub verified: Remembered,
}

impl Tokens {
    /// Nothing is known yet. `asker` reaches the thread that keeps the keys.
    pub fn new(asker: Asker) -> Tokens {
        Tokens { keys: Keys::new(asker), verified: Remembered::default() }
    }

    /// The thread has published. What was verified with other keys is verified again.
    pub fn learn(&self, table: KeyTable) {
        let is_other = self.keys.differ(&table);
        self.keys.publish(table);
        if is_other {
            self.verified.forget();
        }
    }
}

/// Whether two are the same set, and not merely alike.
fn is_same<T>(a: Option<&Arc<T>>, b: Option<&Arc<T>>) -> bool {
    a.map(Arc::as_ptr) == b.map(Arc::as_ptr)
}
