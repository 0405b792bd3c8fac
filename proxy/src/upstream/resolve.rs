//! Names of backends: resolved by a thread that serves nobody, published to every worker, asked for by none per request.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::net::IpAddr;
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
        let known = match self.get(host) {
            Some(known) => known,
            None => self.first_answer(host, within).await?,
        };
        Some(known).filter(|addresses| !addresses.is_empty())
    }

    async fn first_answer(&self, host: &str, within: Duration) -> Option<Addresses> {
        let arrived = poll_fn(|context| {
            let known = self.get(host);
            let mut waiting = self.waiting.borrow_mut();
            if known.is_none() && !waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                waiting.push(context.waker().clone());
            }
            known.map_or(Poll::Pending, Poll::Ready)
        });
        timeout(within, arrived).await.ok()
    }

    fn get(&self, host: &str) -> Option<Addresses> {
        self.known.borrow().get(host).cloned()
    }
}

/// The names that a snapshot needs.
pub fn names_of(snapshot: &Snapshot) -> BTreeSet<Arc<str>> {
    let servers = snapshot.upstreams.iter().flat_map(|upstream| upstream.servers.iter());
    servers
        .filter_map(|server| match &server.address {
            ServerAddress::Name { host, .. } => Some(Arc::from(&**host)),
            ServerAddress::Socket(_) | ServerAddress::Unix(_) => None,
        })
        .collect()
}
