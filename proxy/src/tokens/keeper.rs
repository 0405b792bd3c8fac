//! The keeper of keys: one thread fetches the key sets of all issuers for all workers, ahead of time, and publishes what it knows.
//!
//! A set is fetched again when four fifths of its time are over, and when a token names a key that it lacks, but not again within a pause.
//! While an issuer cannot be asked, its keys are used on for the time that the document allows.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use config::snapshot::{AuthorizerRule, KeyAuthorities, KeySource, Snapshot};
use hickory_resolver::TokioResolver;
use policy::authorize::jwk::KeySet;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use super::fetch::{self, Trust, Way};
use super::keys::{KeyTable, Known};
use super::report::Report;
use crate::background;
use crate::limits::{KEYS_PAUSE, KEYS_RETRY_MAX};

/// For how long the keys of a source are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Without asking again.
    pub kept: Duration,
    /// Beyond that, while nobody can be asked.
    pub stale: Duration,
    /// Which authorities of its own whoever has them is believed by.
    pub believed_by: Option<[u8; 32]>,
}

/// What is kept, and how it is come by.
#[derive(Default)]
pub struct Wanted {
    sources: BTreeMap<KeySource, Terms>,
    authorities: KeyAuthorities,
    resolvers: Vec<SocketAddr>,
}

/// What a snapshot needs: of two authorizers with the same keys, the shorter times hold.
pub fn wanted_by(snapshot: &Snapshot) -> Wanted {
    let mut sources = BTreeMap::new();
    let releases = snapshot.stages.iter().flat_map(|stage| {
        [stage.release.as_ref(), stage.canary.as_ref().map(|canary| &canary.release)].into_iter().flatten()
    });
    for authorizer in releases.flat_map(|release| &release.program.authorizers) {
        let AuthorizerRule::Jwt(rule) = &authorizer.rule else { continue };
        for source in rule.keys.iter().filter(|source| source.file().is_none()) {
            let own = source.authorities().and_then(|file| snapshot.key_authorities.get(file));
            let believed_by = own.map(|authorities| authorities.fingerprint);
            let terms = Terms { kept: rule.kept, stale: rule.stale, believed_by };
            let terms = sources.entry(source.clone()).or_insert(terms);
            terms.kept = terms.kept.min(rule.kept);
            terms.stale = terms.stale.min(rule.stale);
        }
    }
    let (authorities, resolvers) = (snapshot.key_authorities.clone(), snapshot.gateway.resolvers.clone());
    Wanted { sources, authorities, resolvers }
}

/// Tells the thread what to keep. It starts with the first source that there is.
pub struct KeyKeeper {
    starter: Mutex<Option<Starter>>,
    wanted: watch::Sender<Wanted>,
    /// What became of it.
    pub report: Arc<Report>,
}

/// What the thread is started with.
struct Starter {
    asked: mpsc::UnboundedReceiver<KeySource>,
    publish: Box<dyn Fn(KeyTable) + Send>,
}

impl KeyKeeper {
    /// A keeper that workers reach through `asked`; `publish` is called with the whole table whenever something was heard.
    pub fn new(asked: mpsc::UnboundedReceiver<KeySource>, publish: impl Fn(KeyTable) + Send + 'static) -> KeyKeeper {
        let starter = Starter { asked, publish: Box::new(publish) };
        KeyKeeper { starter: Mutex::new(Some(starter)), wanted: watch::Sender::default(), report: Arc::default() }
    }

    /// Replaces what is kept.
    pub fn want(&self, wanted: Wanted) -> io::Result<()> {
        let is_needed = !wanted.sources.is_empty();
        self.wanted.send_replace(wanted);
        let mut starter = self.starter.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_needed || starter.is_none() {
            return Ok(());
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let wanted = self.wanted.subscribe();
        if let Some(Starter { asked, publish }) = starter.take() {
            let report = self.report.clone();
            let run = move || runtime.block_on(run(wanted, asked, &*publish, &report));
            thread::Builder::new().name("keys".into()).spawn(run)?;
        }
        Ok(())
    }
}

/// What is known of a source.
struct Kept {
    terms: Terms,
    set: Option<Arc<KeySet>>,
    fetched: Option<Instant>,
    attempts: u64,
    /// When it is fetched next; `None`: somebody is on the way.
    next: Option<Instant>,
    again: Instant,
    failures: u32,
}

impl Kept {
    fn new(terms: Terms, now: Instant) -> Kept {
        Kept { terms, set: None, fetched: None, attempts: 0, next: Some(now), again: now, failures: 0 }
    }

    /// The pause that nothing shortens.
    fn pause(&self) -> Duration {
        KEYS_PAUSE.min(self.terms.kept)
    }

    /// When its keys are used no more.
    fn end(&self) -> Option<Instant> {
        Some(self.fetched? + self.terms.kept + self.terms.stale)
    }

    /// Somebody has come back. Why without keys, if so.
    fn learn(&mut self, answer: Result<KeySet, String>, now: Instant) -> Result<(), String> {
        self.attempts += 1;
        self.again = now + self.pause();
        match answer {
            Ok(set) => {
                self.set = Some(Arc::new(set));
                self.fetched = Some(now);
                self.failures = 0;
                self.next = Some(now + self.terms.kept / 5 * 4);
                Ok(())
            }
            Err(why) => {
                let pause = Duration::from_secs(1 << self.failures.min(5)).min(KEYS_RETRY_MAX);
                self.failures = self.failures.saturating_add(1);
                self.next = Some(now + pause.min(self.pause()));
                Err(why)
            }
        }
    }

    /// Lets go of keys whose time is over; whether there were any.
    fn expire(&mut self, now: Instant) -> bool {
        let is_over = self.set.is_some() && self.end().is_some_and(|end| end <= now);
        if is_over {
            self.set = None;
        }
        is_over
    }

    /// A token names a key that it lacks: it is fetched now, unless it was fetched a moment ago.
    fn ask(&mut self, now: Instant) {
        if self.next.is_some() && self.again <= now {
            self.next = Some(now);
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        self.next.is_some_and(|next| next <= now)
    }

    /// When there is something to do.
    fn wake(&self) -> Option<Instant> {
        let end = self.set.as_ref().and_then(|_| self.end());
        self.next.into_iter().chain(end).min()
    }
}

/// How issuers are reached: made once, and anew when it changes.
#[derive(Default)]
struct Means {
    trust: Trust,
    names: Option<(Vec<SocketAddr>, Option<TokioResolver>)>,
}

impl Means {
    /// The way to a source; `None`: nobody knows who it has to be.
    fn to(&mut self, source: &KeySource, wanted: &Wanted) -> Option<Way> {
        let own = match source.authorities() {
            Some(file) => Some(&**wanted.authorities.get(file)?),
            None => None,
        };
        let resolvers = &wanted.resolvers;
        if self.names.as_ref().is_none_or(|(known, _)| known != resolvers) {
            let made = (!resolvers.is_empty()).then(|| background::resolver(resolvers)).flatten();
            self.names = Some((resolvers.clone(), made));
        }
        let names = self.names.as_ref().and_then(|(_, resolver)| resolver.clone());
        Some(Way { tls: self.trust.config(own), names })
    }
}

type Answer = (KeySource, Result<KeySet, String>);

async fn run(
    mut wanted: watch::Receiver<Wanted>,
    mut asked: mpsc::UnboundedReceiver<KeySource>,
    publish: &(dyn Fn(KeyTable) + Send),
    report: &Report,
) {
    let mut all: BTreeMap<KeySource, Kept> = BTreeMap::new();
    let mut means = Means::default();
    let mut on_the_way: JoinSet<Answer> = JoinSet::new();
    loop {
        reconcile(&mut all, &wanted.borrow_and_update().sources);
        report.retain(|source| all.contains_key(source));
        let now = Instant::now();
        let is_over = all.values_mut().fold(false, |any, kept| kept.expire(now) | any);
        if is_over {
            publish(table(&all));
        }
        for (source, kept) in all.iter_mut().filter(|(_, kept)| kept.is_due(now)) {
            kept.next = None;
            let (source, way) = (source.clone(), means.to(source, &wanted.borrow()));
            on_the_way.spawn(async move {
                let keys = match way {
                    Some(way) => fetch::keys(&source, &way).await,
                    None => Err("its authorities are not known".to_owned()),
                };
                (source, keys)
            });
        }
        let wake = all.values().filter_map(Kept::wake).min();
        let wake = wake.unwrap_or_else(|| Instant::now() + Duration::from_secs(3_600));
        tokio::select! {
            changed = wanted.changed() => if changed.is_err() { return },
            source = asked.recv() => {
                if let Some(kept) = source.and_then(|source| all.get_mut(&source)) {
                    kept.ask(Instant::now());
                }
            }
            Some(Ok((source, answer))) = on_the_way.join_next() => {
                if let Some(kept) = all.get_mut(&source) {
                    report.note(&source, answer.is_ok(), SystemTime::now());
                    if let Err(why) = kept.learn(answer, Instant::now()) {
                        tracing::warn!(%why, has_keys = kept.set.is_some(), "cannot fetch the keys of an issuer; asking again");
                    }
                    publish(table(&all));
                }
            }
            () = sleep_until(wake.into()) => {}
        }
    }
}

/// Sources that are wanted no more are forgotten; new ones are due at once.
fn reconcile(all: &mut BTreeMap<KeySource, Kept>, wanted: &BTreeMap<KeySource, Terms>) {
    all.retain(|source, _| wanted.contains_key(source));
    let now = Instant::now();
    for (source, terms) in wanted {
        let kept = all.entry(source.clone()).or_insert_with(|| Kept::new(*terms, now));
        if kept.terms != *terms {
            kept.terms = *terms;
            // What was fetched may be too old now.
            kept.next = kept.next.map(|_| now);
        }
    }
}

/// What the workers are told: sources of which something was heard.
fn table(all: &BTreeMap<KeySource, Kept>) -> KeyTable {
    let heard = all.iter().filter(|(_, kept)| kept.attempts > 0);
    let known = |kept: &Kept| Known { set: kept.set.clone(), attempts: kept.attempts, again: kept.again };
    Arc::new(heard.map(|(source, kept)| (source.clone(), known(kept))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: &[u8] =
        br#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

    fn set() -> KeySet {
        KeySet::parse(KEYS).expect("a key")
    }

    fn kept(start: Instant) -> Kept {
        Kept::new(Terms { kept: Duration::from_secs(100), stale: Duration::from_secs(50), believed_by: None }, start)
    }

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn keys_are_fetched_ahead_of_time_and_used_on_while_nobody_answers() {
        let start = Instant::now();
        let mut kept = kept(start);
        assert!(kept.is_due(start));
        assert_eq!(kept.learn(Ok(set()), start), Ok(()));
        assert!(!kept.is_due(after(start, 79)) && kept.is_due(after(start, 80)));
        assert!(kept.learn(Err("down".into()), after(start, 80)).is_err());
        assert!(kept.is_due(after(start, 81)), "the first pause is a second");
        assert!(!kept.expire(after(start, 149)) && kept.set.is_some());
        assert_eq!(kept.wake(), Some(after(start, 81)));
        assert!(kept.expire(after(start, 150)) && kept.set.is_none());
        assert_eq!(kept.learn(Ok(set()), after(start, 160)), Ok(()));
        assert!(kept.set.is_some());
    }

    #[test]
    fn a_storm_of_unknown_keys_is_one_fetch_for_each_pause() {
        let start = Instant::now();
        let mut kept = kept(start);
        kept.learn(Ok(set()), start).expect("keys");
        let mut fetches = 0;
        for millis in 0..60_000 {
            let now = start + Duration::from_millis(millis);
            kept.ask(now);
            if kept.is_due(now) {
                fetches += 1;
                kept.learn(Err("down".into()), now).unwrap_err();
            }
        }
        assert!(fetches <= 60, "also its own attempts are bounded: {fetches}");
        let mut kept = self::kept(start);
        kept.learn(Ok(set()), start).expect("keys");
        let mut fetches = 0;
        for millis in 0..60_000 {
            let now = start + Duration::from_millis(millis);
            kept.ask(now);
            if kept.is_due(now) {
                fetches += 1;
                kept.learn(Ok(set()), now).expect("keys");
            }
        }
        assert_eq!(fetches, 5, "one in ten seconds");
    }
}
