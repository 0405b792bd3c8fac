//! The thread that resolves names: it serves nobody, and what it learns is published to every worker.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;

use crate::limits::{ADDRESSES_MAX, RESOLVE_MAX, RESOLVE_MIN, RESOLVE_RETRY};
use crate::upstream::resolve::{Addresses, NameTable};

/// Tells the resolver thread which names are wanted from now on. Dropping it ends the thread.
pub struct Resolver {
    wanted: Sender<BTreeSet<Arc<str>>>,
}

struct Known {
    addresses: Addresses,
    again: Instant,
}

impl Resolver {
    /// Starts the thread; `publish` is called with the whole table whenever an address changed.
    pub fn start(publish: impl Fn(NameTable) + Send + 'static) -> std::io::Result<Resolver> {
        let (wanted, inbox) = channel();
        thread::Builder::new().name("resolver".into()).spawn(move || run(&inbox, &publish))?;
        Ok(Resolver { wanted })
    }

    /// Replaces the set of names.
    pub fn want(&self, names: BTreeSet<Arc<str>>) {
        // The thread lives as long as this handle.
        let _ = self.wanted.send(names);
    }
}

fn run(inbox: &Receiver<BTreeSet<Arc<str>>>, publish: &dyn Fn(NameTable)) {
    let mut dns = None;
    let mut known: BTreeMap<Arc<str>, Known> = BTreeMap::new();
    let mut wanted = BTreeSet::new();
    loop {
        let next = known.values().map(|known| known.again).min();
        let received = match next {
            None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(at) => inbox.recv_timeout(at.saturating_duration_since(Instant::now())),
        };
        match received {
            Ok(names) => wanted = names,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        known.retain(|name, _| wanted.contains(name));
        let mut changed = false;
        for name in &wanted {
            if known.get(name).is_none_or(|known| known.again <= Instant::now()) {
                changed |= refresh(&mut dns, name, &mut known);
            }
        }
        if changed {
            let table = known.iter().map(|(name, known)| (name.clone(), known.addresses.clone()));
            publish(Arc::new(table.collect()));
        }
    }
}

/// Asks for one name. A failure keeps what was known: an outage of the name service is not one of the backends.
fn refresh(dns: &mut Option<Dns>, name: &Arc<str>, known: &mut BTreeMap<Arc<str>, Known>) -> bool {
    let now = Instant::now();
    match Dns::get(dns).lookup(name) {
        Ok((addresses, ttl)) => {
            let again = now + ttl.clamp(RESOLVE_MIN, RESOLVE_MAX);
            let before = known.insert(name.clone(), Known { addresses: addresses.clone(), again });
            before.is_none_or(|before| before.addresses != addresses)
        }
        Err(why) => {
            tracing::warn!(%name, %why, "cannot resolve a backend's name; asking again");
            let again = now + RESOLVE_RETRY;
            let first = !known.contains_key(name);
            known.entry(name.clone()).or_insert(Known { addresses: Arc::from([]), again }).again = again;
            // Whoever waits for the first answer need wait no longer.
            first
        }
    }
}

/// The name service: DNS with its TTLs, or the C library's resolver where there is no `resolv.conf`.
enum Dns {
    Direct(Box<(tokio::runtime::Runtime, TokioResolver)>),
    System,
}

/// TTL of what the C library says: it tells none.
const SYSTEM_TTL: Duration = Duration::from_secs(30);

impl Dns {
    fn get(slot: &mut Option<Dns>) -> &Dns {
        slot.get_or_insert_with(|| Dns::new().unwrap_or(Dns::System))
    }

    fn new() -> Option<Dns> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
        let resolver = {
            let _inside = runtime.enter();
            TokioResolver::builder_tokio().ok()?.build().ok()?
        };
        Some(Dns::Direct(Box::new((runtime, resolver))))
    }

    fn lookup(&self, name: &str) -> Result<(Addresses, Duration), String> {
        let (mut addresses, ttl): (Vec<IpAddr>, Duration) = match self {
            Dns::Direct(direct) => {
                let (runtime, resolver) = &**direct;
                let found = runtime.block_on(resolver.lookup_ip(name)).map_err(|error| error.to_string())?;
                let ttl = found.valid_until().saturating_duration_since(Instant::now());
                (found.iter().collect(), ttl)
            }
            Dns::System => {
                let found = (name, 0).to_socket_addrs().map_err(|error| error.to_string())?;
                (found.map(|address| address.ip()).collect(), SYSTEM_TTL)
            }
        };
        addresses.sort_unstable();
        addresses.dedup();
        addresses.truncate(ADDRESSES_MAX);
        if addresses.is_empty() { Err("no address".into()) } else { Ok((addresses.into(), ttl)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localhost_is_resolved_and_published() {
        let (sender, receiver) = channel();
        let resolver = Resolver::start(move |table| sender.send(table).expect("the test listens")).expect("a thread");
        resolver.want(BTreeSet::from([Arc::from("localhost")]));
        let table = receiver.recv().expect("published");
        assert!(table["localhost"].iter().all(IpAddr::is_loopback), "{table:?}");
    }
}
