//! What became of fetching the keys of issuers, for programs (`/metrics`): who watches it sees an issuer that is down before its keys are
//! too old.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use config::snapshot::KeySource;

use crate::observe::render::Page;

/// By source; only the thread that fetches writes.
#[derive(Debug, Default)]
pub struct Report(Mutex<BTreeMap<KeySource, Fetches>>);

#[derive(Clone, Copy, Debug, Default)]
struct Fetches {
    done: u64,
    failed: u64,
    /// Since 1970; zero: never.
    last_success: Duration,
}

impl Report {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<KeySource, Fetches>> {
        // What is behind it is whole after every statement.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody has come back, with keys or without.
    pub fn note(&self, source: &KeySource, has_keys: bool, now: SystemTime) {
        let mut all = self.lock();
        let fetches = all.entry(source.clone()).or_default();
        if has_keys {
            fetches.done += 1;
            fetches.last_success = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        } else {
            fetches.failed += 1;
        }
    }

    /// Forgets sources that are not asked any more.
    pub fn retain(&self, is_wanted: impl Fn(&KeySource) -> bool) {
        self.lock().retain(|source, _| is_wanted(source));
    }

    /// Appends what is counted; nothing where no keys are fetched.
    pub fn render(&self, page: &mut Page) {
        let all = self.lock().clone();
        if all.is_empty() {
            return;
        }
        let name = "tollgate_key_fetches_total";
        page.family(name, "counter", "Attempts to fetch the keys of an issuer, by where they are and by result.");
        for (source, fetches) in &all {
            let from = shown(source);
            page.sample(name, &[("from", from), ("result", "ok")], fetches.done);
            page.sample(name, &[("from", from), ("result", "failed")], fetches.failed);
        }
        let name = "tollgate_key_fetch_success_time_seconds";
        page.family(name, "gauge", "When the keys of an issuer were fetched last, Unix time; 0: never.");
        for (source, fetches) in &all {
            page.sample(name, &[("from", shown(source))], fetches.last_success.as_secs_f64());
        }
    }
}

/// The issuer or the address, without its query: that may be a secret.
fn shown(source: &KeySource) -> &str {
    let (KeySource::Discovery(text, _) | KeySource::Url(text, _) | KeySource::File(text)) = source;
    text.split('?').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_query_is_shown() {
        assert_eq!(shown(&KeySource::Url("https://id.test/keys?code=hush".into(), None)), "https://id.test/keys");
    }
}
