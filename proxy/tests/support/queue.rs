//! What the kernel knows of a TCP socket of another process: how many bytes wait to be read.

use std::net::{SocketAddr, SocketAddrV4};

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

/// Bytes that the socket between these addresses has received and its owner has not read; `None` once it is gone.
pub fn waiting(local: SocketAddr, remote: SocketAddr) -> Option<u32> {
    let (SocketAddr::V4(local), SocketAddr::V4(remote)) = (local, remote) else { panic!("IPv4 alone") };
    match ask(local, remote) {
        Ok(count) => Some(count),
        Err(_) => from_table(local.port(), remote.port()),
    }
}

/// Asks by `sock_diag(7)`, which finds one socket among many.
fn ask(local: SocketAddrV4, remote: SocketAddrV4) -> Result<u32, Errno> {
    const BY_FAMILY: u16 = 20;
    const REQUEST: u16 = 1;
    const ERROR: u16 = 2;
    const LENGTH: u32 = 72;
    let mut message = Vec::with_capacity(LENGTH as usize);
    message.extend(LENGTH.to_ne_bytes());
    message.extend(BY_FAMILY.to_ne_bytes());
    message.extend(REQUEST.to_ne_bytes());
    message.extend([0; 8]); // sequence, port
    message.extend([2, 6, 0, 0]); // AF_INET, TCP, no extensions
    message.extend([0xff; 4]); // in any state
    message.extend(local.port().to_be_bytes());
    message.extend(remote.port().to_be_bytes());
    for address in [local, remote] {
        message.extend(address.ip().octets());
        message.extend([0; 12]);
    }
    message.extend([0; 4]); // any interface
    message.extend([0xff; 8]); // no cookie
    let kind = SocketType::RAW;
    let socket =
        rustix::net::socket_with(AddressFamily::NETLINK, kind, SocketFlags::CLOEXEC, Some(netlink::SOCK_DIAG))?;
    rustix::net::send(&socket, &message, SendFlags::empty())?;
    let mut answer = [0; 1024];
    let (count, _) = rustix::net::recv(&socket, &mut answer[..], RecvFlags::empty())?;
    let word = |at: usize| u32::from_ne_bytes(answer[at..at + 4].try_into().expect("four bytes"));
    if u16::from_ne_bytes([answer[4], answer[5]]) == ERROR {
        // No such service, or no such socket any more: the table knows.
        return Err(Errno::NOSYS);
    }
    if count < 76 { Err(Errno::NOSYS) } else { Ok(word(72)) }
}

/// The slow way: the table of all sockets.
fn from_table(local: u16, remote: u16) -> Option<u32> {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the kernel lists its sockets");
    let (local, remote) = (format!(":{local:04X}"), format!(":{remote:04X}"));
    table.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let ours = words.next()?.ends_with(&local) && words.next()?.ends_with(&remote);
        let queues = words.nth(1)?;
        let (_, waiting) = queues.split_once(':')?;
        ours.then(|| u32::from_str_radix(waiting, 16).expect("the kernel writes hex"))
    })
}
