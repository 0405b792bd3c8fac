//! Clients that speak HTTP/2: one of the `h2` crate, on a runtime of the test's own, and one of raw frames.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Method, Request, Response};
use tokio::net::TcpStream;

use crate::support::PATIENCE;

/// Runs an async test on this thread; fails after [`PATIENCE`], thrice over.
pub fn run<R>(body: impl Future<Output = R>) -> R {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async { tokio::time::timeout(PATIENCE * 3, body).await.expect("in time") })
}

type Task = tokio::task::JoinHandle<Result<(), h2::Error>>;

/// One connection.
#[derive(Clone)]
pub struct Client {
    requests: SendRequest<Bytes>,
    authority: String,
    scheme: &'static str,
    ended: Arc<tokio::sync::Mutex<Option<Task>>>,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub trailers: Option<HeaderMap>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("text"))
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("text")
    }
}

impl Client {
    /// With prior knowledge.
    pub async fn connect(address: &str) -> Client {
        Client::with(address, &Builder::new()).await
    }

    /// With settings of its own.
    pub async fn with(address: &str, builder: &Builder) -> Client {
        let stream = TcpStream::connect(address).await.expect("the gateway listens");
        stream.set_nodelay(true).expect("a socket");
        Client::over(stream, builder, ("http", address)).await
    }

    /// On a connection that is open already.
    pub async fn over<T>(stream: T, builder: &Builder, (scheme, authority): (&'static str, &str)) -> Client
    where
        T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + 'static,
    {
        let (requests, connection) = builder.handshake(stream).await.expect("a preface is always sent");
        let ended = tokio::task::spawn_local(connection);
        let ended = Arc::new(tokio::sync::Mutex::new(Some(ended)));
        Client { requests, authority: authority.to_owned(), scheme, ended }
    }

    /// A request's head.
    pub fn request(&self, method: &str, path: &str) -> Request<()> {
        let uri = format!("{}://{}{path}", self.scheme, self.authority);
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        Request::builder().method(method).uri(uri).body(()).expect("a request")
    }

    /// Begins a request; `ends`: it has no body.
    pub async fn begin(&self, request: Request<()>, ends: bool) -> (ResponseFuture, SendStream<Bytes>) {
        let mut requests = self.requests.clone().ready().await.expect("a stream may be opened");
        requests.send_request(request, ends).expect("a request that the library knows")
    }

    /// One request without a body, and its answer.
    pub async fn get(&self, path: &str) -> Answer {
        self.ask(self.request("GET", path), None).await.expect("an answer")
    }

    /// One request with a body, and its answer.
    pub async fn post(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        self.ask(self.request("POST", path), Some(body.into())).await.expect("an answer")
    }

    pub async fn ask(&self, request: Request<()>, body: Option<Bytes>) -> Result<Answer, h2::Error> {
        let mut requests = self.requests.clone().ready().await?;
        let (answer, mut sending) = requests.send_request(request, body.is_none())?;
        if let Some(body) = body {
            sending.send_data(body, true)?;
        }
        read(answer.await?).await
    }

    /// Waits for the end of the connection.
    pub async fn ended(&self) -> Result<(), h2::Error> {
        let ended = self.ended.lock().await.take().expect("asked once");
        ended.await.expect("no panic")
    }

    pub async fn is_open(&self) -> bool {
        self.requests.clone().ready().await.is_ok()
    }
}

/// Reads an answer to its end, giving the window back at once.
pub async fn read(answer: Response<RecvStream>) -> Result<Answer, h2::Error> {
    let (head, mut receiving) = answer.into_parts();
    let mut body = Vec::new();
    while let Some(bytes) = receiving.data().await {
        let bytes = bytes?;
        receiving.flow_control().release_capacity(bytes.len())?;
        body.extend_from_slice(&bytes);
    }
    let trailers = receiving.trailers().await?;
    Ok(Answer { status: head.status.as_u16(), headers: head.headers, body, trailers })
}

/// Sends all of it, as the window allows.
pub async fn send(sending: &mut SendStream<Bytes>, mut bytes: Bytes, ends: bool) -> Result<(), h2::Error> {
    while !bytes.is_empty() {
        sending.reserve_capacity(bytes.len());
        let room = std::future::poll_fn(|context| sending.poll_capacity(context)).await;
        let room = room.ok_or(h2::Reason::CANCEL)??;
        let part = bytes.split_to(room.min(bytes.len()));
        let last = ends && bytes.is_empty();
        sending.send_data(part, last)?;
    }
    Ok(())
}

/// Waits a moment of the test's runtime, for others to get on.
pub async fn pause() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

/// The error of a closed connection.
pub fn broken() -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}

/// A client that sends frames as it is told to, right or wrong.
pub struct Raw {
    stream: std::net::TcpStream,
    inflow: Vec<u8>,
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

impl Frame {
    pub fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Frame {
        Frame { kind, flags, stream, payload: payload.into() }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len()).expect("a small frame").to_be_bytes();
        let mut bytes = length[1..].to_vec();
        bytes.extend([self.kind, self.flags]);
        bytes.extend(self.stream.to_be_bytes());
        bytes.extend(&self.payload);
        bytes
    }

    /// The code of a `RST_STREAM` or a GOAWAY.
    pub fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().expect("four bytes"))
    }
}

/// Fields as literals that are not remembered, in plain letters.
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    fn text(out: &mut Vec<u8>, text: &str) {
        let length = text.len();
        if length < 127 {
            out.push(length as u8);
        } else {
            out.push(127);
            let mut rest = length - 127;
            while rest >= 128 {
                out.push((rest % 128 + 128) as u8);
                rest /= 128;
            }
            out.push(rest as u8);
        }
        out.extend(text.as_bytes());
    }
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        text(&mut out, name);
        text(&mut out, value);
    }
    out
}

/// The pseudo-fields of a GET, and more.
pub fn get<'a>(path: &'a str, more: &[(&'a str, &'a str)]) -> Vec<u8> {
    let mut fields = vec![(":method", "GET"), (":scheme", "http"), (":authority", "a.example"), (":path", path)];
    fields.extend(more);
    block(&fields)
}

impl Raw {
    /// With the preface and empty settings.
    pub fn connect(address: &str) -> Raw {
        let mut raw = Raw::silent(address);
        raw.send_bytes(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        raw.send(&Frame::new(SETTINGS, 0, 0, []));
        raw
    }

    /// Without a word.
    pub fn silent(address: &str) -> Raw {
        let stream = std::net::TcpStream::connect(address).expect("the gateway listens");
        stream.set_nodelay(true).expect("a socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket");
        Raw { stream, inflow: Vec::new() }
    }

    pub fn send_bytes(&mut self, bytes: &[u8]) {
        // The gateway may have left; what it said last tells.
        let _ = io::Write::write_all(&mut self.stream, bytes);
    }

    pub fn send(&mut self, frame: &Frame) {
        self.send_bytes(&frame.bytes());
    }

    /// A request that ends with its head.
    pub fn ask(&mut self, stream: u32, block: Vec<u8>) {
        self.send(&Frame::new(HEADERS, END_HEADERS | END_STREAM, stream, block));
    }

    /// The next frame; `None` at the end of the connection.
    pub fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(length) = self.inflow.get(..3) {
                let length = u32::from_be_bytes([0, length[0], length[1], length[2]]) as usize;
                if self.inflow.len() >= 9 + length {
                    let bytes: Vec<u8> = self.inflow.drain(..9 + length).collect();
                    let stream = u32::from_be_bytes(bytes[5..9].try_into().expect("four bytes"));
                    return Some(Frame::new(bytes[3], bytes[4], stream, &bytes[9..]));
                }
            }
            let mut bytes = [0; 16_384];
            match io::Read::read(&mut self.stream, &mut bytes) {
                Ok(0) => return None,
                Ok(count) => self.inflow.extend(&bytes[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => panic!("nothing came in time"),
                Err(_) => return None,
            }
        }
    }

    /// The next frame of one of these kinds; settings are agreed to on the way.
    #[track_caller]
    pub fn until(&mut self, kinds: &[u8]) -> Frame {
        loop {
            let frame = self.next().expect("the connection goes on");
            if frame.kind == SETTINGS && frame.flags & ACK == 0 {
                self.send(&Frame::new(SETTINGS, ACK, 0, []));
            }
            if kinds.contains(&frame.kind) {
                return frame;
            }
        }
    }

    /// The code of the GOAWAY that comes; others before it are passed over.
    #[track_caller]
    pub fn goodbye(&mut self) -> u32 {
        self.until(&[GOAWAY]).code()
    }

    /// The status of an answer, where it is one of the table's; 0: another.
    pub fn status(frame: &Frame) -> u16 {
        match frame.payload.first() {
            Some(0x88) => 200,
            Some(0x89) => 204,
            Some(0x8c) => 400,
            Some(0x8d) => 404,
            Some(0x8e) => 500,
            _ => 0,
        }
    }
}
