//! Listening sockets that somebody else has made: the service manager, or the process before this one.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use config::snapshot::ListenAddress;
use rustix::net::{SocketAddrAny, SocketAddrUnix, SocketType, sockopt};
use serde::{Deserialize, Serialize};

use crate::io::activated;

/// What a socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// For clients.
    Door,
    /// The admin port.
    Admin,
    /// The control socket.
    Control,
    /// The service manager's, for whatever listens at its address.
    Activated,
}

/// One address, with its sockets.
pub struct Inherited {
    /// What it is for.
    pub role: Role,
    /// What the document said, where the process before had it from one.
    pub said: Option<ListenAddress>,
    /// Where it is.
    pub address: ListenAddress,
    /// Whether the service manager holds the sockets as well.
    pub activated: bool,
    /// Whether a socket of all IPv6 addresses takes IPv4 as well.
    pub dual: bool,
    /// Several where the kernel spreads connections over them.
    pub sockets: Vec<OwnedFd>,
}

impl Inherited {
    /// How well it fits a listener that is wanted: lower is better, `None` is not at all.
    pub fn fits(&self, wanted: &ListenAddress) -> Option<u8> {
        if self.said.as_ref() == Some(wanted) {
            Some(0)
        } else if self.address == *wanted {
            Some(1)
        } else {
            self.covers(wanted).then_some(2)
        }
    }

    /// A socket of all IPv6 addresses is one of all IPv4 addresses, too, unless it was told otherwise: what
    /// `ListenStream=80` makes.
    fn covers(&self, wanted: &ListenAddress) -> bool {
        let (ListenAddress::Tcp(ours), ListenAddress::Tcp(wanted)) = (&self.address, wanted) else { return false };
        let both = ours.ip().is_unspecified() && wanted.ip().is_unspecified() && ours.port() == wanted.port();
        both && self.dual && ours.is_ipv6() && wanted.is_ipv4()
    }
}

/// What the service manager has passed, the sockets of one address together, and what of it is of no use, in words.
pub fn from_service_manager() -> io::Result<(Vec<Inherited>, Vec<String>)> {
    let mut found: Vec<Inherited> = Vec::new();
    let mut useless = Vec::new();
    for (descriptor, name) in activated()? {
        let (address, dual) = match look_at(&descriptor) {
            Ok(known) => known,
            Err(why) => {
                useless.push(format!("a descriptor of the service manager, `{name}`, is left alone: {why}"));
                continue;
            }
        };
        match found.iter_mut().find(|known| known.address == address) {
            Some(known) => known.sockets.push(descriptor),
            None => found.push(Inherited {
                role: Role::Activated,
                said: None,
                address,
                activated: true,
                dual,
                sockets: vec![descriptor],
            }),
        }
    }
    Ok((found, useless))
}

/// Where a listening socket is; the error says why it is none that can be used.
fn look_at(descriptor: &OwnedFd) -> Result<(ListenAddress, bool), String> {
    let kind = sockopt::socket_type(descriptor).map_err(|_| "it is no socket".to_owned())?;
    if kind != SocketType::STREAM {
        return Err("it is no stream socket (ListenStream=)".into());
    }
    if !sockopt::socket_acceptconn(descriptor).unwrap_or(false) {
        return Err("it does not listen: the unit has to say Accept=no".into());
    }
    let address = rustix::net::getsockname(descriptor).map_err(|error| error.to_string())?;
    let address = address_of(&address).ok_or("it is neither of IPv4 or IPv6 nor a unix socket with a path")?;
    let dual = !sockopt::ipv6_v6only(descriptor).unwrap_or(true);
    // Accepted sockets inherit it: one system call less for each of them.
    if matches!(address, ListenAddress::Tcp(_)) {
        let _ = crate::io::bequeath(descriptor);
    }
    Ok((address, dual))
}

fn address_of(address: &SocketAddrAny) -> Option<ListenAddress> {
    if let Ok(address) = SocketAddr::try_from(address.clone()) {
        return Some(ListenAddress::Tcp(address));
    }
    let unix = SocketAddrUnix::try_from(address.clone()).ok()?;
    let path = unix.path_bytes().filter(|path| !path.is_empty())?;
    Some(ListenAddress::Unix(PathBuf::from(std::ffi::OsStr::from_bytes(path))))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    fn inherited(address: &str, said: Option<&str>, dual: bool) -> Inherited {
        let tcp = |text: &str| ListenAddress::Tcp(text.parse().expect("an address"));
        let (said, address) = (said.map(tcp), tcp(address));
        Inherited { role: Role::Door, said, address, activated: false, dual, sockets: Vec::new() }
    }

    #[test]
    fn a_listener_finds_its_socket() {
        let any = inherited("127.0.0.1:8080", Some("127.0.0.1:0"), false);
        let tcp = |text: &str| ListenAddress::Tcp(text.parse().expect("an address"));
        assert_eq!(any.fits(&tcp("127.0.0.1:0")), Some(0), "by what the document says");
        assert_eq!(any.fits(&tcp("127.0.0.1:8080")), Some(1), "by what came of it");
        assert_eq!(any.fits(&tcp("127.0.0.1:8081")), None);
        let dual = inherited("[::]:80", None, true);
        assert_eq!(dual.fits(&tcp("[::]:80")), Some(1));
        assert_eq!(dual.fits(&tcp("0.0.0.0:80")), Some(2), "one socket for both");
        assert_eq!(dual.fits(&tcp("127.0.0.1:80")), None);
        assert_eq!(inherited("[::]:80", None, false).fits(&tcp("0.0.0.0:80")), None);
    }

    #[test]
    fn what_does_not_listen_is_told_apart() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        assert_eq!(look_at(&listener.into()).expect("it listens").0, ListenAddress::Tcp(address));
        let datagram = UdpSocket::bind("127.0.0.1:0").expect("a port");
        assert!(look_at(&datagram.into()).expect_err("no stream").contains("ListenStream="));
        let file = std::fs::File::open("/dev/null").expect("it is there");
        assert!(look_at(&file.into()).expect_err("no socket").contains("no socket"));
    }
}
