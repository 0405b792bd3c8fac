//! What two processes say to each other while one takes over from the other, and how sockets go across.
//!
//! The new process finds one end of a socket pair as its standard input. Messages are JSON behind their length; descriptors
//! travel one by one, each with a byte of its own. The old process speaks first:
//!
//! ```text
//! old → new   Estate, then its descriptors
//! new → old   Ready (configuration checked, workers made, nobody let in yet), or Failed
//! old → new   Serve (the old one has stopped accepting; who knocks waits in the kernel's queue)
//! new → old   Serving
//! old → new   Reign (the service manager knows the new one)
//! ```

use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use admin::UpgradeFailure;
use config::snapshot::ListenAddress;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::inherit::{Inherited, Role};
use crate::limits::{HANDOVER_MESSAGE_BYTES_MAX, HANDOVER_STEP_TIME};

/// Set for a process that is to take over.
pub const VARIABLE: &str = "TOLLGATE_HANDOVER";

/// Changes with the messages: another one is refused by name.
const PROTOCOL: u32 = 1;

/// What there is to inherit.
#[derive(Debug, Serialize, Deserialize)]
struct Estate {
    protocol: u32,
    lots: Vec<Lot>,
}

/// One address of the estate; its descriptors follow in the order of the list.
#[derive(Debug, Serialize, Deserialize)]
struct Lot {
    role: Role,
    said: Option<ListenAddress>,
    address: ListenAddress,
    activated: bool,
    dual: bool,
    sockets: usize,
}

/// What the new process says.
#[derive(Debug, Serialize, Deserialize)]
pub enum FromHeir {
    /// It could serve now.
    Ready {
        /// The addresses of the estate that it uses.
        in_use: Vec<usize>,
        /// Its version.
        version: String,
    },
    /// It cannot.
    Failed {
        /// Why.
        failure: UpgradeFailure,
        /// The same for people.
        why: String,
    },
    /// It lets people in.
    Serving,
}

/// What the old process says after its estate.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToHeir {
    /// Let people in.
    Serve,
    /// The old one is gone for everybody but those whom it still serves.
    Reign,
}

/// One end of the conversation.
pub struct Channel {
    stream: UnixStream,
}

impl Channel {
    /// A channel, and the end for the other process.
    pub fn new() -> io::Result<(Channel, OwnedFd)> {
        let (stream, other) = UnixStream::pair()?;
        stream.set_write_timeout(Some(HANDOVER_STEP_TIME))?;
        Ok((Channel { stream }, other.into()))
    }

    /// Gives everything that there is to inherit.
    pub fn bequeath(&self, estate: &[&Inherited]) -> io::Result<()> {
        let lots = estate.iter().map(|inherited| Lot {
            role: inherited.role,
            said: inherited.said.clone(),
            address: inherited.address.clone(),
            activated: inherited.activated,
            dual: inherited.dual,
            sockets: inherited.sockets.len(),
        });
        self.send(&Estate { protocol: PROTOCOL, lots: lots.collect() })?;
        estate.iter().flat_map(|inherited| &inherited.sockets).try_for_each(|socket| self.send_socket(socket))
    }

    /// Says something.
    pub fn send(&self, message: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_vec(message)?;
        let length = u32::try_from(text.len()).map_err(io::Error::other)?;
        let mut stream = &self.stream;
        stream.write_all(&length.to_le_bytes())?;
        stream.write_all(&text)
    }

    /// Hears something; `TimedOut` at the deadline, `UnexpectedEof` when the other process is gone.
    pub fn receive<T: DeserializeOwned>(&self, until: Instant) -> io::Result<T> {
        let mut length = [0; 4];
        self.read(&mut length, until)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > HANDOVER_MESSAGE_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut text = vec![0; length];
        self.read(&mut text, until)?;
        Ok(serde_json::from_slice(&text)?)
    }

    fn read(&self, mut room: &mut [u8], until: Instant) -> io::Result<()> {
        while !room.is_empty() {
            self.wait_until(until)?;
            match (&self.stream).read(room) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => room = &mut room[count..],
                Err(error) => passing(error)?,
            }
        }
        Ok(())
    }

    fn wait_until(&self, until: Instant) -> io::Result<()> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left))
    }

    fn send_socket(&self, socket: &OwnedFd) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let sockets = [socket.as_fd()];
        if !control.push(SendAncillaryMessage::ScmRights(&sockets)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        sendmsg(&self.stream, &[IoSlice::new(b"s")], &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    fn receive_socket(&self, until: Instant) -> io::Result<OwnedFd> {
        loop {
            self.wait_until(until)?;
            let mut byte = [0];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let flags = RecvFlags::CMSG_CLOEXEC;
            let received = match recvmsg(&self.stream, &mut [IoSliceMut::new(&mut byte)], &mut control, flags) {
                Ok(received) => received,
                Err(error) => {
                    passing(error.into())?;
                    continue;
                }
            };
            if received.bytes == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let mut rights = control.drain().filter_map(|message| match message {
                RecvAncillaryMessage::ScmRights(sockets) => Some(sockets),
                _ => None,
            });
            return rights.next().and_then(|mut sockets| sockets.next()).ok_or(io::ErrorKind::InvalidData.into());
        }
    }
}

/// Errors that only mean "look again": the deadline is looked at first.
fn passing(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Ok(()),
        _ => Err(error),
    }
}

/// A process that is to take over, while it is not yet alone.
pub struct Heir {
    channel: Channel,
}

impl Heir {
    /// If this process was started to take over: what it inherits. The error is a sentence for people.
    pub fn take_up() -> Result<Option<(Heir, Vec<Inherited>)>, String> {
        if std::env::var_os(VARIABLE).is_none() {
            return Ok(None);
        }
        let taken = Heir::from_stdin().and_then(|heir| heir.inherit().map(|inherited| Some((heir, inherited))));
        taken.map_err(|error| format!("{VARIABLE} is set, but no gateway hands over at the standard input: {error}"))
    }

    fn from_stdin() -> io::Result<Heir> {
        let stdin = io::stdin().as_fd().try_clone_to_owned()?;
        rustix::net::sockopt::socket_type(&stdin)?;
        rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
        let stream = UnixStream::from(stdin);
        stream.set_write_timeout(Some(HANDOVER_STEP_TIME))?;
        Ok(Heir { channel: Channel { stream } })
    }

    fn inherit(&self) -> io::Result<Vec<Inherited>> {
        let until = step();
        let Estate { protocol, lots } = self.channel.receive(until)?;
        if protocol != PROTOCOL {
            return Err(io::Error::other(format!("it speaks protocol {protocol}, this version speaks {PROTOCOL}")));
        }
        let inherit = |lot: Lot| {
            let Lot { role, said, address, activated, dual, sockets } = lot;
            let sockets = (0..sockets).map(|_| self.channel.receive_socket(until)).collect::<io::Result<_>>()?;
            Ok(Inherited { role, said, address, activated, dual, sockets })
        };
        lots.into_iter().map(inherit).collect()
    }

    /// Everything is prepared; returns when the other process has stopped accepting. The error is a sentence for people.
    pub fn ready(&self, in_use: Vec<usize>) -> Result<(), String> {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let answer = self.channel.send(&FromHeir::Ready { in_use, version }).and_then(|()| self.hear());
        match answer {
            Ok(ToHeir::Serve) => Ok(()),
            Ok(other) => Err(format!("the process before says {other:?} too early")),
            Err(error) => Err(format!("the process before has given this upgrade up: {error}")),
        }
    }

    /// People are let in; returns when the other process has told the service manager, or is gone.
    pub fn serving(self) {
        if let Err(error) = self.channel.send(&FromHeir::Serving).and_then(|()| self.hear()) {
            tracing::warn!(%error, "the process before left without a word");
        }
    }

    /// It will not come to that.
    pub fn failed(&self, failure: UpgradeFailure, why: String) {
        // It may be gone.
        let _ = self.channel.send(&FromHeir::Failed { failure, why });
    }

    fn hear(&self) -> io::Result<ToHeir> {
        self.channel.receive(step())
    }
}

/// Time for one step of the conversation, as a deadline from now.
pub fn step() -> Instant {
    after(HANDOVER_STEP_TIME)
}

/// A deadline from now.
pub fn after(time: Duration) -> Instant {
    Instant::now() + time
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn pair() -> (Channel, Heir) {
        let (old, new) = Channel::new().expect("a pair");
        (old, Heir { channel: Channel { stream: UnixStream::from(new) } })
    }

    fn inherited(count: usize) -> Inherited {
        let sockets: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
        Inherited {
            role: Role::Door,
            said: Some(ListenAddress::Tcp("127.0.0.1:0".parse().expect("an address"))),
            address: ListenAddress::Tcp(sockets[0].local_addr().expect("bound")),
            activated: false,
            dual: false,
            sockets: sockets.into_iter().map(OwnedFd::from).collect(),
        }
    }

    #[test]
    fn sockets_go_across_in_their_order() {
        let (old, new) = pair();
        let estate = [inherited(3), inherited(1)];
        old.bequeath(&estate.iter().collect::<Vec<_>>()).expect("sent");
        let got = new.inherit().expect("received");
        let name = |inherited: &Inherited| {
            let names = inherited.sockets.iter().map(|socket| rustix::net::getsockname(socket).expect("a socket"));
            (inherited.address.clone(), inherited.said.clone(), names.collect::<Vec<_>>())
        };
        assert_eq!(got.iter().map(name).collect::<Vec<_>>(), estate.iter().map(name).collect::<Vec<_>>());
    }

    #[test]
    fn another_protocol_is_refused_by_name() {
        let (old, new) = pair();
        old.send(&Estate { protocol: 2, lots: Vec::new() }).expect("sent");
        let error = new.inherit().err().expect("refused").to_string();
        assert!(error.contains("protocol 2"), "{error}");
    }

    #[test]
    fn silence_and_death_end_a_wait() {
        let (old, new) = pair();
        let silent = old.receive::<FromHeir>(after(Duration::from_millis(20))).expect_err("nobody speaks");
        assert_eq!(silent.kind(), io::ErrorKind::TimedOut);
        drop(new);
        let dead = old.receive::<FromHeir>(step()).expect_err("nobody is there");
        assert_eq!(dead.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_is_no_message_is_not_believed() {
        let (old, new) = pair();
        (&old.stream).write_all(&u32::MAX.to_le_bytes()).expect("sent");
        assert_eq!(new.hear().expect_err("too long").kind(), io::ErrorKind::InvalidData);
        let (old, new) = pair();
        old.send(&"Dance").expect("sent");
        assert!(new.hear().is_err());
    }
}
