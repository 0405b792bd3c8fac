//! API keys where they are kept (KP-01, KP-02): named in the document, listed in CSV files, or in the store of the state directory.
//!
//! ```text
//! <state>/keys/.lock     held while something changes
//! <state>/keys/secret    32 random bytes: values are kept as their HMAC under it
//! <state>/keys/seal      32 random bytes: what is asked to be shown again is encrypted with it
//! <state>/keys/store     all keys: id, name, digest of the value, plans (file.rs)
//! <state>/keys/*.tmp     what a crash left behind: never read, removed by the next change
//! ```
//!
//! All of it is readable by its owner alone. A change writes a new file, waits for the disk, and gives it its name: a crash at any moment
//! leaves the old keys or the new ones. Reading takes no lock.

pub mod csv;
mod file;
pub mod load;
mod random;
mod seal;
mod store;

pub use self::file::Record;
pub use self::seal::Sealer;
pub use self::store::{Change, ImportRow, Imported, KeysFault, NewKey, Store, Stored};
