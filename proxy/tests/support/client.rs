//! A client that sends what it is told, byte for byte.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::message::{Inflow, Response};
use super::{PATIENCE, eventually, queue, shown};

/// A connected stream of either family.
pub enum Wire {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Wire {
    /// `127.0.0.1:{port}`, `[::1]:{port}` or `unix:/path`.
    pub fn connect(address: &str) -> io::Result<Wire> {
        let wire = match address.strip_prefix("unix:") {
            Some(path) => Wire::Unix(UnixStream::connect(path)?),
            None => Wire::Tcp(TcpStream::connect(address)?),
        };
        wire.prepare()?;
        Ok(wire)
    }

    /// Sets the failure bound of every wait, and no waiting for more bytes to send.
    pub fn prepare(&self) -> io::Result<()> {
        match self {
            Wire::Tcp(stream) => {
                stream.set_nodelay(true)?;
                stream.set_write_timeout(Some(PATIENCE))?;
                stream.set_read_timeout(Some(PATIENCE))
            }
            Wire::Unix(stream) => {
                stream.set_write_timeout(Some(PATIENCE))?;
                stream.set_read_timeout(Some(PATIENCE))
            }
        }
    }

    pub fn set_read_timeout(&self, time: Duration) -> io::Result<()> {
        match self {
            Wire::Tcp(stream) => stream.set_read_timeout(Some(time)),
            Wire::Unix(stream) => stream.set_read_timeout(Some(time)),
        }
    }

    pub fn set_nonblocking(&self, on: bool) -> io::Result<()> {
        match self {
            Wire::Tcp(stream) => stream.set_nonblocking(on),
            Wire::Unix(stream) => stream.set_nonblocking(on),
        }
    }

    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self {
            Wire::Tcp(stream) => stream.shutdown(how),
            Wire::Unix(stream) => stream.shutdown(how),
        }
    }

    pub fn try_clone(&self) -> io::Result<Wire> {
        Ok(match self {
            Wire::Tcp(stream) => Wire::Tcp(stream.try_clone()?),
            Wire::Unix(stream) => Wire::Unix(stream.try_clone()?),
        })
    }
}

impl Read for Wire {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self {
            Wire::Tcp(stream) => stream.read(room),
            Wire::Unix(stream) => stream.read(room),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Wire::Tcp(stream) => stream.write(bytes),
            Wire::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One connection to the gateway.
pub struct Client {
    inflow: Inflow<Wire>,
}

impl Client {
    /// `127.0.0.1:{port}`, `[::1]:{port}` or `unix:/path`.
    #[track_caller]
    pub fn connect(address: &str) -> Client {
        let wire = Wire::connect(address).unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"));
        Client { inflow: Inflow::new(wire) }
    }

    /// This end (TCP alone).
    pub fn local_address(&self) -> std::net::SocketAddr {
        let Wire::Tcp(stream) = &self.inflow.from else { panic!("only TCP has addresses") };
        stream.local_addr().expect("it is connected")
    }

    /// Sends bytes in one write.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        if let Err(error) = self.inflow.from.write_all(bytes) {
            panic!("cannot send {}: {error}", shown(bytes));
        }
    }

    /// Sends bytes; the other side may already have closed.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.inflow.from.write_all(bytes.as_ref())
    }

    /// Sends bytes in one write, and waits until the other side has taken them out of its socket (IPv4 alone): what is
    /// sent next arrives apart from them.
    #[track_caller]
    pub fn send_apart(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send_apart(bytes).unwrap_or_else(|error| panic!("cannot send: {error}"));
    }

    /// As [`Client::send_apart`]; the other side may already have closed.
    #[track_caller]
    pub fn try_send_apart(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.try_send(bytes)?;
        let Wire::Tcp(stream) = &self.inflow.from else { panic!("only TCP tells what waits to be read") };
        let ends = (stream.peer_addr()?, stream.local_addr()?);
        eventually("the other side reads", || queue::waiting(ends.0, ends.1).is_none_or(|bytes| bytes == 0));
        Ok(())
    }

    /// Sends each byte in a write of its own, each read before the next is sent.
    #[track_caller]
    pub fn send_singly(&mut self, bytes: impl AsRef<[u8]>) {
        for byte in bytes.as_ref() {
            self.send_apart([*byte]);
        }
    }

    /// FIN: nothing more comes from here.
    pub fn finish(&mut self) {
        self.inflow.from.shutdown(Shutdown::Write).expect("the connection is open");
    }

    /// One answer, whole.
    #[track_caller]
    pub fn read_response(&mut self) -> Response {
        self.try_response(false).unwrap_or_else(|why| panic!("no answer: {why}"))
    }

    /// One answer to HEAD.
    #[track_caller]
    pub fn read_response_to_head(&mut self) -> Response {
        self.try_response(true).unwrap_or_else(|why| panic!("no answer: {why}"))
    }

    /// One answer, or what is wrong with it.
    pub fn try_response(&mut self, to_head: bool) -> Result<Response, String> {
        self.inflow.response(to_head)
    }

    /// Request, answer.
    #[track_caller]
    pub fn exchange(&mut self, bytes: impl AsRef<[u8]>) -> Response {
        self.send(bytes);
        self.read_response()
    }

    /// Everything up to and with these bytes, unparsed.
    #[track_caller]
    pub fn read_until(&mut self, end: &[u8]) -> Vec<u8> {
        self.inflow.until(end).unwrap_or_else(|why| panic!("no {}: {why}", shown(end)))
    }

    /// Everything up to the end of the stream, or to its reset.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        loop {
            match self.inflow.more() {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break,
                Err(error) => panic!("{error}"),
            }
        }
        std::mem::take(&mut self.inflow.held)
    }

    /// Fails unless the other side closes in good order, without another byte.
    #[track_caller]
    pub fn expect_close(&mut self) {
        match self.inflow.more() {
            Ok(0) => {}
            Ok(_) => panic!("bytes instead of a close: {}", shown(&self.inflow.held)),
            Err(error) => panic!("no close: {error}"),
        }
        assert!(self.inflow.held.is_empty(), "bytes before the close: {}", shown(&self.inflow.held));
    }

    /// Whether the connection is open as far as is known, and nothing waits to be read.
    pub fn is_still_open(&mut self) -> bool {
        self.inflow.from.set_nonblocking(true).expect("a socket");
        let outcome = self.inflow.more();
        self.inflow.from.set_nonblocking(false).expect("a socket");
        matches!(outcome, Err(error) if error.kind() == io::ErrorKind::WouldBlock) && self.inflow.held.is_empty()
    }

    /// A handle to send from another thread.
    pub fn sender(&self) -> Wire {
        self.inflow.from.try_clone().expect("a socket can be cloned")
    }
}
