//! What must hold for any routes and any path: called by a fuzz target, and by tests with stable Rust. Panics if it does not hold.

use crate::{captures::Captures, routes::Routes, verb::Verb};

/// A lookup ends; it finds methods that are reported, and captures that lie in the path, one after the other.
pub fn routes(routes: &Routes, path: &[u8]) {
    let mut captures = Captures::new();
    for rest in [0, path.len() / 2, path.len(), u16::MAX as usize] {
        for verb in Verb::ALL {
            let found = routes.find(path, rest as u16, verb, &mut captures);
            assert!(found <= routes.methods_max(), "{found:?}");
            assert!(found.is_some() || captures.is_empty(), "{captures:?}");
            let mut before = rest.min(path.len());
            for i in 0..captures.len() {
                let (start, end) = captures.get(i).expect("there are so many");
                assert!(before <= start as usize && start < end && end as usize <= path.len(), "{captures:?}");
                assert!(captures.parameter(i).is_some_and(|(_, shown)| start <= shown && shown <= end));
                before = end as usize;
            }
        }
    }
}
