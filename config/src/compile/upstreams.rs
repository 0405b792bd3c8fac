//! Named upstreams, and one for each literal authority that a URI names.

use std::collections::HashMap;
use std::path::Path;

use crate::compile::gateway::socket_path;
use crate::diagnostic::{Diagnostics, Place};
use crate::limits;
use crate::model::upstream::{BalanceSpec, PoolSpec, ServerAddressSpec, ServerSpec, UpstreamSpec};
use crate::snapshot::{Balance, Pool, Server, ServerAddress, Upstream};

/// The upstreams so far.
pub struct Upstreams {
    list: Vec<Upstream>,
    /// Names in lower case, and authorities with their port.
    by_name: HashMap<String, u32>,
    /// How many of them have names: the first ones.
    named: usize,
}

impl Upstreams {
    /// Compiles the part `upstreams`.
    pub fn compile(specs: Vec<UpstreamSpec>, base: &Path, faults: &mut Diagnostics) -> Self {
        let list: Vec<Upstream> = specs.into_iter().map(|spec| upstream(spec, base, faults)).collect();
        let by_name =
            list.iter().zip(0..).map(|(upstream, index)| (upstream.name.to_ascii_lowercase(), index)).collect();
        let named = list.len();
        Self { list, by_name, named }
    }

    /// The upstream of that name, whatever its case.
    pub fn named(&self, name: &str) -> Option<u32> {
        let index = *self.by_name.get(&name.to_ascii_lowercase())?;
        ((index as usize) < self.named).then_some(index)
    }

    /// The names as written.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.list[..self.named].iter().map(|upstream| &*upstream.name)
    }

    /// The upstream of one server that stands for an authority.
    pub fn literal(&mut self, address: ServerAddressSpec, place: Place, faults: &mut Diagnostics) -> u32 {
        let name = match &address {
            ServerAddressSpec::Socket(address) => address.to_string(),
            ServerAddressSpec::Name { host, port } => format!("{host}:{port}"),
            ServerAddressSpec::Unix(path) => format!("unix:{path}"),
        };
        if let Some(index) = self.by_name.get(&name) {
            return *index;
        }
        let index = self.list.len() as u32;
        let spec = ServerSpec { address, place, weight: None };
        self.list.push(Upstream {
            name: name.as_str().into(),
            servers: Box::new([server(spec, Path::new(""), faults)]),
            balance: Balance::RoundRobin,
            pool: pool(&PoolSpec::default()),
            connect_time: limits::CONNECT_TIME,
        });
        self.by_name.insert(name, index);
        index
    }

    /// All of them, in the order of their indices.
    pub fn finish(self) -> Box<[Upstream]> {
        self.list.into()
    }
}

fn upstream(spec: UpstreamSpec, base: &Path, faults: &mut Diagnostics) -> Upstream {
    let UpstreamSpec { name, servers, balance, pool: kept, connect_time } = spec;
    Upstream {
        name: (*name.text).into(),
        servers: servers.into_iter().map(|spec| server(spec, base, faults)).collect(),
        balance: match balance {
            None | Some(BalanceSpec::RoundRobin) => Balance::RoundRobin,
            Some(BalanceSpec::LeastRequests) => Balance::LeastRequests,
        },
        pool: pool(&kept),
        connect_time: connect_time.unwrap_or(limits::CONNECT_TIME),
    }
}

fn pool(spec: &PoolSpec) -> Pool {
    let PoolSpec { idle, idle_time, connections } = *spec;
    Pool {
        idle: idle.unwrap_or(limits::POOL_IDLE),
        idle_time: idle_time.unwrap_or(limits::POOL_IDLE_TIME),
        connections: connections.unwrap_or(limits::POOL_CONNECTIONS),
    }
}

fn server(spec: ServerSpec, base: &Path, faults: &mut Diagnostics) -> Server {
    let ServerSpec { address, place, weight } = spec;
    let address = match address {
        ServerAddressSpec::Socket(address) => ServerAddress::Socket(address),
        ServerAddressSpec::Name { host, port } => ServerAddress::Name { host, port },
        ServerAddressSpec::Unix(path) => ServerAddress::Unix(socket_path(base.join(&*path), place, faults)),
    };
    Server { address, weight: weight.unwrap_or(1) }
}
