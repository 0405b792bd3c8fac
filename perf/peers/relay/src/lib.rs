//! A small HTTP/1.1 proxy, written once and generic over the sockets of a runtime: whoever compares the runtimes compares nothing else.
//!
//! It does what `perf/run` asks of nginx and `HAProxy`: heads are parsed and written anew without the fields of the hop, the client's address is told,
//! bodies pass (Content-Length, chunked, until the end), upstream connections are kept, and a kept one that has died is replaced. No rules, no
//! timeouts, no log. Interim answers (1xx) are swallowed, upgrades are not forwarded.

mod buffer;
mod framing;

use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::ops::Range;

use buffer::Buffer;
use framing::{Body, Head};

/// Bytes of a client's buffer: a head and a body of 4 KiB in one read.
const CLIENT_BUFFER: usize = 8 * 1024;
/// Bytes of an upstream connection's buffer: a head and a body of 16 KiB in one read.
const UPSTREAM_BUFFER: usize = 32 * 1024;
/// Kept upstream connections at most, as many as the others keep.
const KEPT: usize = 1024;

/// What a runtime has to bring. Buffers are handed over and come back, as a ring wants it.
#[allow(async_fn_in_trait, reason = "one thread: nobody asks for Send")]
pub trait Stream: Sized {
    /// A connection to a backend, with TCP_NODELAY.
    async fn connect(to: SocketAddr) -> io::Result<Self>;
    /// Reads once into this part of the buffer; 0 bytes are the end.
    async fn read(&mut self, buffer: Box<[u8]>, part: Range<usize>) -> (io::Result<usize>, Box<[u8]>);
    /// Writes all of this part of the buffer.
    async fn write(&mut self, buffer: Box<[u8]>, part: Range<usize>) -> (io::Result<()>, Box<[u8]>);
}

struct Upstream<S> {
    stream: S,
    buffer: Buffer,
}

/// What the connections of a thread share: a backend, and the connections to it that wait.
pub struct Backend<S> {
    address: SocketAddr,
    kept: RefCell<Vec<Upstream<S>>>,
}

impl<S: Stream> Backend<S> {
    /// No connection yet.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { address, kept: RefCell::new(Vec::new()) }
    }

    /// A kept connection (true), or a new one.
    async fn connection(&self) -> io::Result<(Upstream<S>, bool)> {
        let kept = self.kept.borrow_mut().pop();
        match kept {
            Some(upstream) => Ok((upstream, true)),
            None => {
                Ok((Upstream { stream: S::connect(self.address).await?, buffer: Buffer::new(UPSTREAM_BUFFER) }, false))
            }
        }
    }

    fn keep(&self, upstream: Upstream<S>) {
        let mut kept = self.kept.borrow_mut();
        if kept.len() < KEPT && upstream.buffer.filled().is_empty() {
            kept.push(upstream);
        }
    }
}

/// Serves a client until it goes or something breaks.
pub async fn serve<S: Stream>(stream: S, address: SocketAddr, backend: &Backend<S>) {
    let forwarded = format!("x-forwarded-for: {}\r\n", address.ip());
    let mut client = Client { stream, buffer: Buffer::new(CLIENT_BUFFER), head: Vec::new(), forwarded };
    loop {
        match client.exchange(backend).await {
            Ok(true) => (),
            Ok(false) => return,
            Err(error) => return client.refuse(&error).await,
        }
    }
}

/// A connection of a client.
struct Client<S> {
    stream: S,
    buffer: Buffer,
    /// The head that is written next.
    head: Vec<u8>,
    /// The field that tells the client's address.
    forwarded: String,
}

impl<S: Stream> Client<S> {
    /// A request and its answer; false if the connection ends with it.
    async fn exchange(&mut self, backend: &Backend<S>) -> io::Result<bool> {
        let request = loop {
            if let Some(head) = framing::request(self.buffer.filled(), &self.forwarded, &mut self.head)? {
                break head;
            }
            if self.buffer.read(&mut self.stream).await? == 0 {
                return Ok(false);
            }
        };
        let (mut upstream, response) = self.ask(backend, &request).await?;
        let mut body = response.body;
        let mut piece = with_head(&mut upstream.buffer, response.length, &self.head, &mut body)?;
        loop {
            upstream.buffer.write(piece, &mut self.stream).await.map_err(gone)?;
            upstream.buffer.consume(piece);
            if body.done() {
                break;
            }
            if upstream.buffer.read(&mut upstream.stream).await.map_err(gone)? == 0 {
                // The end of the connection ends the body, or cuts it short.
                return Ok(false);
            }
            piece = body.take(upstream.buffer.filled()).map_err(gone)?;
        }
        if response.keep {
            backend.keep(upstream);
        }
        Ok(request.keep)
    }

    /// Sends the request and waits for the head of the answer, which is in `self.head` then.
    async fn ask(&mut self, backend: &Backend<S>, request: &Head) -> io::Result<(Upstream<S>, Head)> {
        let mut body = request.body;
        let piece = with_head(&mut self.buffer, request.length, &self.head, &mut body)?;
        loop {
            let (mut upstream, kept) = backend.connection().await?;
            match self.ask_at(&mut upstream, request, piece, body).await {
                Ok(response) => return Ok((upstream, response)),
                // It died while it waited: nothing has come of it, and the whole request is still here.
                Err(_) if kept && body.done() && upstream.buffer.filled().is_empty() => (),
                Err(error) => return Err(error),
            }
        }
    }

    /// `piece`: bytes of the request that are here; `body`: what follows them. A request that is here whole stays until it is answered.
    async fn ask_at(
        &mut self,
        to: &mut Upstream<S>,
        request: &Head,
        mut piece: usize,
        mut body: Body,
    ) -> io::Result<Head> {
        self.buffer.write(piece, &mut to.stream).await?;
        while !body.done() {
            self.buffer.consume(piece);
            if self.buffer.read(&mut self.stream).await.map_err(gone)? == 0 {
                return Err(gone(ErrorKind::UnexpectedEof.into()));
            }
            piece = body.take(self.buffer.filled())?;
            self.buffer.write(piece, &mut to.stream).await?;
        }
        loop {
            // What is wrong with an answer is not the client's fault.
            if let Some(head) =
                framing::response(to.buffer.filled(), request, &mut self.head).map_err(io::Error::other)?
            {
                self.buffer.consume(piece);
                return Ok(head);
            }
            if to.buffer.read(&mut to.stream).await.map_err(io::Error::other)? == 0 {
                return Err(ErrorKind::ConnectionReset.into());
            }
        }
    }

    /// An answer of our own, if none has begun.
    async fn refuse(&mut self, error: &io::Error) {
        let status = match error.kind() {
            ErrorKind::BrokenPipe => return,
            ErrorKind::InvalidData => "400 Bad Request",
            _ => "502 Bad Gateway",
        };
        let text = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        let length = text.len();
        // Nothing can be told to a client that is gone.
        let _ = self.stream.write(text.into_bytes().into_boxed_slice(), 0..length).await;
    }
}

/// Puts the new head before the body; how many bytes go on at once.
fn with_head(buffer: &mut Buffer, length: usize, head: &[u8], body: &mut Body) -> io::Result<usize> {
    buffer.replace_head(length, head)?;
    Ok(head.len() + body.take(&buffer.filled()[head.len()..])?)
}

/// An error after which nothing is answered any more: the client has gone, or has a part of the answer.
fn gone(error: io::Error) -> io::Error {
    io::Error::new(ErrorKind::BrokenPipe, error)
}

/// The words of the command line: where to listen, and the backend.
pub fn addresses() -> io::Result<(SocketAddr, SocketAddr)> {
    let mut words = std::env::args().skip(1).map(|word| word.parse());
    match (words.next(), words.next()) {
        (Some(Ok(listen)), Some(Ok(backend))) => Ok((listen, backend)),
        _ => Err(io::Error::new(ErrorKind::InvalidInput, "two addresses are wanted: LISTEN BACKEND")),
    }
}
