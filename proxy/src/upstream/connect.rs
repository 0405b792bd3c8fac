//! A new connection to a server, within its time.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use policy::fault::Fault;

use super::resolve::Names;
use super::server::{Address, Server};
use crate::body::is_timeout;
use crate::io::{Sock, now};

/// Connects. A name that is not resolved yet is waited for, within the same time.
pub async fn connect(server: &Server, within: Duration, names: &Names) -> Result<Sock, Fault> {
    match &server.address {
        Address::Socket(address) => tcp(*address, within).await,
        Address::Unix(path) => Sock::connect_unix(path, within).await.map_err(|error| fault(&error)),
        Address::Name { host, port } => {
            let began = now();
            let addresses = names.lookup(host, within).await.ok_or(Fault::NameNotResolved)?;
            let left = within.saturating_sub(now() - began);
            let ip = server.next_of(&addresses).ok_or(Fault::NameNotResolved)?;
            tcp(SocketAddr::new(ip, *port), left).await
        }
    }
}

async fn tcp(address: SocketAddr, within: Duration) -> Result<Sock, Fault> {
    Sock::connect(address, within).await.map_err(|error| fault(&error))
}

fn fault(error: &io::Error) -> Fault {
    if is_timeout(error) { Fault::ConnectTimedOut } else { Fault::ConnectFailed }
}
