//! The thread that resolves names: it serves nobody, and what it learns is published to every worker.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use tokio::task::JoinSet;

use crate::limits::{ADDRESSES_MAX, RESOLVE_MAX, RESOLVE_MIN, RESOLVE_RETRY, UNWANTED_NAME_KEPT};
use crate::upstream::resolve::{Addresses, NameTable, Wanted};

/// Tells the resolver thread which names are wanted from now on. Dropping it ends the thread.
pub struct Resolver {
    wanted: Sender<Wanted>,
}

struct Known {
    addresses: Addresses,
    again: Instant,
    /// Requests that began before a reload may still ask for a name that is wanted no more.
    unwanted: Option<Instant>,
}

impl Resolver {
    /// Starts the thread; `publish` is called with the whole table whenever an address changed.
    pub fn start(publish: impl Fn(NameTable) + Send + 'static) -> std::io::Result<Resolver> {
        let (wanted, inbox) = channel();
        thread::Builder::new().name("resolver".into()).spawn(move || run(&inbox, &publish))?;
        Ok(Resolver { wanted })
    }

    /// Replaces the set of names, and of those who are asked.
    pub fn want(&self, wanted: Wanted) {
        // The thread lives as long as this handle.
        let _ = self.wanted.send(wanted);
    }
}

fn run(inbox: &Receiver<Wanted>, publish: &dyn Fn(NameTable)) {
    let mut dns = None;
    let mut known: BTreeMap<Arc<str>, Known> = BTreeMap::new();
    let mut wanted = Wanted::default();
    loop {
        let next = known.values().map(|known| known.again).min();
        let received = match next {
            None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(at) => inbox.recv_timeout(at.saturating_duration_since(Instant::now())),
        };
        match received {
            Ok(now) => {
                if now.resolvers != wanted.resolvers {
                    // Whatever the others said is asked for again.
                    dns = None;
                    for known in known.values_mut() {
                        known.again = Instant::now();
                    }
                }
                wanted = now;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        known.retain(|name, known| known.is_kept(wanted.names.contains(name), Instant::now()));
        let is_due = |name: &&Arc<str>| known.get(*name).is_none_or(|known| known.again <= Instant::now());
        let due: Vec<Arc<str>> = wanted.names.iter().filter(is_due).cloned().collect();
        // All at once, and each answer published as it comes: a dead name holds nobody up.
        Dns::get(&mut dns, &wanted.resolvers).look_up_all(due, &mut |name, answer| {
            if learn(name, answer, &mut known) {
                let table = known.iter().map(|(name, known)| (name.clone(), known.addresses.clone()));
                publish(Arc::new(table.collect()));
            }
        });
    }
}

impl Known {
    /// A name that nobody wants any more is kept for a while, as it is.
    fn is_kept(&mut self, is_wanted: bool, now: Instant) -> bool {
        if is_wanted {
            if self.unwanted.take().is_some() {
                self.again = now;
            }
            return true;
        }
        let until = *self.unwanted.get_or_insert(now + UNWANTED_NAME_KEPT);
        self.again = until;
        now < until
    }
}

/// Notes an answer; true if it changes what is known. A failure keeps what was: an outage of the name service is not one
/// of the backends.
fn learn(name: Arc<str>, answer: Answer, known: &mut BTreeMap<Arc<str>, Known>) -> bool {
    let now = Instant::now();
    match answer {
        Ok((addresses, ttl)) => {
            let again = now + ttl.clamp(RESOLVE_MIN, RESOLVE_MAX);
            let before = known.insert(name, Known { addresses: addresses.clone(), again, unwanted: None });
            before.is_none_or(|before| before.addresses != addresses)
        }
        Err(why) => {
            tracing::warn!(%name, %why, "cannot resolve a backend's name; asking again");
            let again = now + RESOLVE_RETRY;
            let first = !known.contains_key(&name);
            known.entry(name).or_insert(Known { addresses: Arc::from([]), again, unwanted: None }).again = again;
            // Whoever waits for the first answer need wait no longer.
            first
        }
    }
}

/// What the name service says: addresses and how long they hold, or why there are none.
type Answer = Result<(Addresses, Duration), String>;

/// The name service: DNS with its TTLs, or the C library's resolver where there is no `resolv.conf`.
enum Dns {
    Direct(Box<(tokio::runtime::Runtime, TokioResolver)>),
    System,
}

/// TTL of what the C library says: it tells none.
const SYSTEM_TTL: Duration = Duration::from_secs(30);

impl Dns {
    fn get<'a>(slot: &'a mut Option<Dns>, resolvers: &[SocketAddr]) -> &'a Dns {
        slot.get_or_insert_with(|| Dns::new(resolvers).unwrap_or(Dns::System))
    }

    fn new(resolvers: &[SocketAddr]) -> Option<Dns> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
        let resolver = {
            let _inside = runtime.enter();
            resolver(resolvers)?
        };
        Some(Dns::Direct(Box::new((runtime, resolver))))
    }

    fn look_up_all(&self, names: Vec<Arc<str>>, found: &mut dyn FnMut(Arc<str>, Answer)) {
        match self {
            Dns::Direct(direct) => {
                let (runtime, resolver) = &**direct;
                runtime.block_on(async {
                    let mut asked = JoinSet::new();
                    for name in names {
                        let resolver = resolver.clone();
                        asked.spawn(async move {
                            let answer = resolver.lookup_ip(&*name).await;
                            (name, answer.map_err(|error| error.to_string()))
                        });
                    }
                    while let Some(answered) = asked.join_next().await {
                        let Ok((name, answer)) = answered else { continue };
                        let ttl = |valid_until: Instant| valid_until.saturating_duration_since(Instant::now());
                        found(name, answer.and_then(|answer| answer_of(answer.iter(), ttl(answer.valid_until()))));
                    }
                });
            }
            Dns::System => {
                for name in names {
                    let answer = (&*name, 0).to_socket_addrs().map_err(|error| error.to_string());
                    let answer = answer.and_then(|found| answer_of(found.map(|address| address.ip()), SYSTEM_TTL));
                    found(name, answer);
                }
            }
        }
    }
}

/// Asks these name servers, or, without any, those of the system. Within a runtime.
pub fn resolver(resolvers: &[SocketAddr]) -> Option<TokioResolver> {
    let mut builder = if resolvers.is_empty() {
        TokioResolver::builder_tokio().ok()?
    } else {
        TokioResolver::builder_with_config(asking(resolvers), TokioRuntimeProvider::default())
    };
    // Both families: connects find out which of them leads anywhere.
    builder.options_mut().ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
    builder.build().ok()
}

fn asking(resolvers: &[SocketAddr]) -> ResolverConfig {
    let server = |address: &SocketAddr| {
        let mut server = NameServerConfig::udp_and_tcp(address.ip());
        server.connections.iter_mut().for_each(|connection| connection.port = address.port());
        server
    };
    ResolverConfig::from_parts(None, Vec::new(), resolvers.iter().map(server).collect())
}

/// Whether this machine has a way there; nothing is sent.
fn has_route(address: IpAddr) -> bool {
    let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    UdpSocket::bind((any, 0)).and_then(|socket| socket.connect((address, 9))).is_ok()
}

fn answer_of(addresses: impl Iterator<Item = IpAddr>, ttl: Duration) -> Answer {
    let (there, nowhere): (Vec<IpAddr>, Vec<IpAddr>) = addresses.partition(|address| has_route(*address));
    // A family that this machine does not have is left out, unless there is nothing else.
    let mut addresses = if there.is_empty() { nowhere } else { there };
    addresses.sort_unstable();
    addresses.dedup();
    addresses.truncate(ADDRESSES_MAX);
    if addresses.is_empty() { Err("no address".into()) } else { Ok((addresses.into(), ttl)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(names: &[&str]) -> Wanted {
        Wanted { names: names.iter().map(|name| Arc::from(*name)).collect(), resolvers: Vec::new() }
    }

    #[test]
    fn localhost_is_resolved_and_published() {
        let (sender, receiver) = channel();
        let resolver = Resolver::start(move |table| sender.send(table).expect("the test listens")).expect("a thread");
        resolver.want(wanted(&["localhost"]));
        let table = receiver.recv().expect("published");
        assert!(table["localhost"].iter().all(IpAddr::is_loopback), "{table:?}");
    }

    #[test]
    fn a_name_that_a_reload_took_away_is_known_for_a_while() {
        let start = Instant::now();
        let mut known = Known { addresses: Arc::from([]), again: start, unwanted: None };
        assert!(known.is_kept(false, start));
        assert!(known.is_kept(false, start + UNWANTED_NAME_KEPT / 2));
        assert!(!known.is_kept(false, start + UNWANTED_NAME_KEPT), "it is forgotten, and not asked for before");
        assert!(known.is_kept(true, start + UNWANTED_NAME_KEPT));
        assert!(known.is_kept(false, start + UNWANTED_NAME_KEPT), "wanted again, its time begins anew");
    }

    #[test]
    fn a_name_that_cannot_be_resolved_holds_no_other_up() {
        let (sender, receiver) = channel();
        let resolver = Resolver::start(move |table| sender.send(table).unwrap_or_default()).expect("a thread");
        resolver.want(wanted(&["a.nowhere.invalid", "localhost"]));
        let known = receiver.iter().find(|table| table.contains_key("localhost")).expect("published");
        assert!(!known["localhost"].is_empty(), "{known:?}");
    }
}
