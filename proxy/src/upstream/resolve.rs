//! Names of backends: resolved by a thread that serves nobody, published to every worker, asked for by none per request.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use config::snapshot::{ServerAddress, Snapshot};

use crate::io::timeout;

/// Addresses of a name.
pub type Addresses = Arc<[IpAddr]>;

/// What is known, published whole. A name that was asked for and has no address is in it, without any.
pub type NameTable = Arc<BTreeMap<Arc<str>, Addresses>>;

/// A worker's copy of what is known.
#[derive(Default)]
pub struct Names {
    known: RefCell<NameTable>,
    waiting: RefCell<Vec<Waker>>,
}

impl Names {
    /// The thread has published.
    pub fn publish(&self, table: NameTable) {
        *self.known.borrow_mut() = table;
        self.waiting.borrow_mut().drain(..).for_each(Waker::wake);
    }

    /// The addresses of a name; waits for the first answer, within `within`. A name that has none is refused at once.
    pub async fn lookup(&self, host: &str, within: Duration) -> Option<Addresses> {
        let known = match self.known(host) {
            Some(known) => known,
            None => self.first_answer(host, within).await?,
        };
        Some(known).filter(|addresses| !addresses.is_empty())
    }

    async fn first_answer(&self, host: &str, within: Duration) -> Option<Addresses> {
        let arrived = poll_fn(|context| {
            let known = self.known(host);
            let mut waiting = self.waiting.borrow_mut();
            if known.is_none() && !waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                waiting.push(context.waker().clone());
            }
            known.map_or(Poll::Pending, Poll::Ready)
        });
        timeout(within, arrived).await.ok()
    }

    /// The addresses of a name, if there was an answer; without any, if it was that.
    pub fn known(&self, host: &str) -> Option<Addresses> {
        self.known.borrow().get(host).cloned()
    }
}

/// What is to be resolved, and by whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The names.
    pub names: BTreeSet<Arc<str>>,
    /// Name servers; none: those of the system.
    pub resolvers: Vec<SocketAddr>,
}

/// What a snapshot needs.
pub fn wanted_by(snapshot: &Snapshot) -> Wanted {
    Wanted { names: names_of(snapshot), resolvers: snapshot.gateway.resolvers.clone() }
}

fn names_of(snapshot: &Snapshot) -> BTreeSet<Arc<str>> {
    let servers = snapshot.upstreams.iter().flat_map(|upstream| upstream.servers.iter());
    servers
        .filter_map(|server| match &server.address {
            ServerAddress::Name { host, .. } => Some(Arc::from(&**host)),
            ServerAddress::Socket(_) | ServerAddress::Unix(_) => None,
        })
        .collect()
}
