//! Bare sockets for what the scripted backend is too orderly for: resets, floods, and bodies that no test wants to keep.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

/// A listener that leaves each connection, and its number from 0, to a rule.
pub struct Wild {
    address: String,
    connections: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
    leaving: Arc<AtomicBool>,
}

impl Wild {
    /// Starts to listen.
    pub fn new(rule: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> Wild {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let wild = Wild { address, connections: Arc::default(), open: Arc::default(), leaving: Arc::default() };
        let (connections, open, leaving) = (wild.connections.clone(), wild.open.clone(), wild.leaving.clone());
        let rule = Arc::new(rule);
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if leaving.load(Ordering::Acquire) {
                    return;
                }
                let number = connections.fetch_add(1, Ordering::AcqRel);
                open.fetch_add(1, Ordering::AcqRel);
                let (rule, open) = (rule.clone(), open.clone());
                thread::spawn(move || {
                    // A gateway that has gone ends every wait.
                    stream.set_nodelay(true).expect("a socket");
                    rule(stream, number);
                    open.fetch_sub(1, Ordering::AcqRel);
                });
            }
        });
        wild
    }

    /// Answers each request head with these bytes and keeps the connection.
    pub fn answering(bytes: impl Into<Vec<u8>>) -> Wild {
        let bytes = bytes.into();
        Wild::new(move |mut stream, _| while head(&mut stream).is_some() && stream.write_all(&bytes).is_ok() {})
    }

    /// Answers a request with this body each time that it is told to, and leaves when nobody is left to tell it.
    pub fn patient(body: &str) -> (Wild, mpsc::Sender<()>) {
        let (go, wait) = mpsc::channel::<()>();
        let wait = Mutex::new(wait);
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let backend = Wild::new(move |mut stream, _| {
            while head(&mut stream).is_some() && wait.lock().expect("one user").recv().is_ok() {
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        (backend, go)
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Acquire)
    }

    /// Rules that have not yet returned.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }
}

impl Drop for Wild {
    fn drop(&mut self) {
        self.leaving.store(true, Ordering::Release);
        // Wakes the acceptor.
        let _ = TcpStream::connect(&self.address);
    }
}

/// Reads one head, byte by byte so that nothing behind it is taken; `None` at the end.
pub fn head(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        // Not `read`: the ring that looks for a driver may interrupt a wait of its thread when it leaves.
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    Some(head)
}

/// Closes with a reset.
pub fn reset(stream: TcpStream) {
    sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).expect("a socket");
    drop(stream);
}

/// Waits for the other side's end, reading whatever comes; the bytes are counted.
pub fn read_away(stream: &mut TcpStream) -> u64 {
    let mut room = vec![0; 256 * 1024];
    let mut count = 0;
    loop {
        match stream.read(&mut room) {
            Ok(more @ 1..) => count += more as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(_) | Err(_) => return count,
        }
    }
}

/// Writes `length` bytes of a pattern.
pub fn pour(stream: &mut impl Write, length: u64) -> io::Result<()> {
    let block = pattern();
    let mut left = length;
    while left > 0 {
        let now = left.min(block.len() as u64) as usize;
        stream.write_all(&block[..now])?;
        left -= now as u64;
    }
    Ok(())
}

/// Reads exactly `length` bytes and fails unless they are the pattern.
pub fn drink(stream: &mut impl Read, length: u64) -> Result<(), String> {
    let block = pattern();
    let mut room = vec![0; block.len()];
    let mut left = length;
    while left > 0 {
        let now = left.min(block.len() as u64) as usize;
        stream.read_exact(&mut room[..now]).map_err(|error| format!("{error} with {left} bytes to come"))?;
        if room[..now] != block[..now] {
            return Err(format!("other bytes, {left} before the end"));
        }
        left -= now as u64;
    }
    Ok(())
}

/// Every 251 bytes the same: prime, so that no buffer size hides a shift.
fn pattern() -> &'static [u8] {
    static PATTERN: LazyLock<Vec<u8>> =
        LazyLock::new(|| (0..251 * 1024).map(|place: u32| (place % 251) as u8).collect());
    &PATTERN
}

/// A chunked body of `length` pattern bytes, in chunks of `size`: a multiple of the pattern's period, so that they join.
pub fn pour_chunks(stream: &mut impl Write, length: u64, size: u64) -> io::Result<()> {
    assert_eq!(size % 251, 0);
    let mut left = length;
    while left > 0 {
        let now = left.min(size);
        stream.write_all(format!("{now:x}\r\n").as_bytes())?;
        pour(stream, now)?;
        stream.write_all(b"\r\n")?;
        left -= now;
    }
    stream.write_all(b"0\r\n\r\n")
}

/// Decodes a chunked body to its end, without keeping it.
pub struct Unchunked<'a, R> {
    from: &'a mut R,
    left: u64,
    ended: bool,
}

impl<'a, R: Read> Unchunked<'a, R> {
    /// The stream stands at the first chunk.
    pub fn new(from: &'a mut R) -> Self {
        Unchunked { from, left: 0, ended: false }
    }

    /// Whether the last chunk was read.
    pub fn ended(&mut self) -> bool {
        if !self.ended && self.left == 0 {
            // What is no size is no end.
            let _ = self.next_size();
        }
        self.ended
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        let mut byte = [0];
        while !line.ends_with(b"\r\n") {
            self.from.read_exact(&mut byte)?;
            line.push(byte[0]);
        }
        line.truncate(line.len() - 2);
        String::from_utf8(line).map_err(io::Error::other)
    }

    fn next_size(&mut self) -> io::Result<()> {
        let line = self.line()?;
        self.left = u64::from_str_radix(&line, 16).map_err(|_| io::Error::other(format!("chunk size `{line}`")))?;
        if self.left == 0 {
            let end = self.line()?;
            assert!(end.is_empty(), "a trailer: {end}");
            self.ended = true;
        }
        Ok(())
    }
}

impl<R: Read> Read for Unchunked<'_, R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        if self.ended {
            return Ok(0);
        }
        if self.left == 0 {
            self.next_size()?;
            if self.ended {
                return Ok(0);
            }
        }
        let most = room.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let count = self.from.read(&mut room[..most])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= count as u64;
        if self.left == 0 {
            let end = self.line()?;
            assert!(end.is_empty(), "`{end}` behind a chunk");
        }
        Ok(count)
    }
}

/// An address that refuses connections and that nobody else can take: bound, not listening.
pub struct Refusing {
    fd: OwnedFd,
    address: String,
}

impl Refusing {
    /// Takes a port.
    pub fn new() -> Refusing {
        let fd = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .expect("a socket");
        let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        rustix::net::bind(&fd, &any).expect("a free port");
        let bound: SocketAddr = rustix::net::getsockname(&fd).expect("it is bound").try_into().expect("it is IP");
        Refusing { fd, address: bound.to_string() }
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> &str {
        &self.address
    }
}

/// An address where a connect hangs: its queue of connections to accept is full.
pub struct Hanging {
    listener: OwnedFd,
    fillers: Vec<TcpStream>,
    address: SocketAddr,
}

impl Hanging {
    /// Listens, and fills the queue.
    pub fn new() -> Hanging {
        let taken = Refusing::new();
        rustix::net::listen(&taken.fd, 0).expect("a socket can listen");
        let address = taken.address.parse().expect("an address");
        let mut fillers = Vec::new();
        // The kernel drops what does not fit: the first connect that hangs shows that the queue is full.
        while let Ok(filler) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
            fillers.push(filler);
            assert!(fillers.len() < 64, "a queue of length 0 never fills");
        }
        Hanging { listener: taken.fd, fillers, address }
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }
}

/// FIN.
pub fn finish(stream: &TcpStream) {
    // The other side may be gone.
    let _ = stream.shutdown(Shutdown::Write);
}

/// Whether the long variants are wanted.
pub fn long() -> bool {
    std::env::var_os("TOLLGATE_LONG").is_some()
}
