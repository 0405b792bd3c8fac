//! A backend in threads that does as it is told, and remembers every byte that it received.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::client::Wire;
use super::eventually;
use super::message::{Inflow, Request};

/// What a backend does with a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Sends this, and waits for the next request.
    Bytes(Vec<u8>),
    /// Sends this, and closes.
    Last(Vec<u8>),
    /// Sends these one after the other, each when the one before has certainly left.
    Pieces(Vec<Vec<u8>>),
    /// Closes without a word.
    Close,
    /// Says nothing until the other side closes.
    Never,
}

impl Reply {
    /// 200 with a plain body.
    pub fn ok(body: impl AsRef<[u8]>) -> Reply {
        let body = body.as_ref();
        let mut out = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n", body.len())
            .into_bytes();
        out.extend_from_slice(body);
        Reply::Bytes(out)
    }
}

type Script = Arc<dyn Fn(&Request) -> Reply + Send + Sync>;
type Handler = Arc<dyn Fn(&mut Conversation) -> Result<(), String> + Send + Sync>;

/// What decides how a backend behaves.
#[derive(Clone)]
enum Rule {
    /// One request at a time; replaced, it goes on with the connections that are open.
    Turns(Script),
    /// A connection at a time.
    Raw(Handler),
}

/// A listening backend.
pub struct Backend {
    address: String,
    shared: Arc<Shared>,
}

struct Shared {
    /// The bytes of each connection.
    bytes: Mutex<Vec<Vec<u8>>>,
    requests: Mutex<Vec<Request>>,
    faults: Mutex<Vec<String>>,
    open: Mutex<HashMap<usize, Wire>>,
    connections: AtomicUsize,
    rule: Mutex<Rule>,
    leaving: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connection that a backend has accepted.
pub struct Conversation {
    inflow: Inflow<Recorded>,
    shared: Arc<Shared>,
    number: usize,
    turn: usize,
}

/// Reads, and remembers.
struct Recorded {
    wire: Wire,
    shared: Arc<Shared>,
    number: usize,
}

impl Read for Recorded {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let count = self.wire.read(room)?;
        lock(&self.shared.bytes)[self.number].extend_from_slice(&room[..count]);
        Ok(count)
    }
}

impl Conversation {
    /// Number of this connection, from 0.
    pub fn number(&self) -> usize {
        self.number
    }

    /// The next request with its body, or `None` at a close between two.
    pub fn request(&mut self) -> Result<Option<Request>, String> {
        let Some(head) = self.head()? else { return Ok(None) };
        let request = self.inflow.request(head, (self.number, self.turn))?;
        self.turn += 1;
        lock(&self.shared.requests).push(request.clone());
        Ok(Some(request))
    }

    /// The next request's head alone, unparsed, or `None` at a close before it.
    pub fn head(&mut self) -> Result<Option<Vec<u8>>, String> {
        match self.inflow.until(b"\r\n\r\n") {
            Ok(head) => Ok(Some(head)),
            Err(_) if self.inflow.held.is_empty() => Ok(None),
            Err(why) => Err(why),
        }
    }

    /// Exactly this many bytes, as they come.
    pub fn exactly(&mut self, length: usize) -> Result<Vec<u8>, String> {
        self.inflow.exactly(length)
    }

    /// Everything up to and with these bytes.
    pub fn until(&mut self, end: &[u8]) -> Result<Vec<u8>, String> {
        self.inflow.until(end)
    }

    /// Waits until the other side closes; fails if it sends something first.
    pub fn closed(&mut self) -> Result<(), String> {
        match self.inflow.more() {
            Ok(0) => Ok(()),
            Ok(_) => Err("bytes instead of a close".into()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Sends; a gateway that has already closed is no fault.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // What the gateway makes of it is what the test looks at.
        let _ = self.inflow.from.wire.write_all(bytes.as_ref());
    }

    /// FIN.
    pub fn finish(&mut self) {
        let _ = self.inflow.from.wire.shutdown(Shutdown::Write);
    }

    fn take_turns(&mut self) -> Result<(), String> {
        while let Some(request) = self.request()? {
            let rule = lock(&self.shared.rule).clone();
            let Rule::Turns(script) = rule else { return Ok(()) };
            if !self.act(script(&request)) {
                break;
            }
        }
        Ok(())
    }

    fn act(&mut self, reply: Reply) -> bool {
        match reply {
            Reply::Bytes(bytes) => self.send(bytes),
            Reply::Pieces(pieces) => pieces.into_iter().for_each(|piece| {
                self.send(piece);
                thread::yield_now();
            }),
            Reply::Last(bytes) => {
                self.send(bytes);
                self.finish();
                return false;
            }
            Reply::Close => return false,
            Reply::Never => {
                let _ = self.inflow.from.wire.set_read_timeout(Duration::from_secs(60));
                let _ = self.closed();
                return false;
            }
        }
        true
    }
}

impl Backend {
    /// Answers each request with what it received: the head as it came, and the decoded body.
    pub fn echo() -> Backend {
        Backend::scripted(echoed)
    }

    /// Answers every request with these bytes.
    pub fn answering(bytes: impl Into<Vec<u8>>) -> Backend {
        let bytes = bytes.into();
        Backend::scripted(move |_| Reply::Bytes(bytes.clone()))
    }

    /// Answers each request by a rule.
    pub fn scripted(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Backend {
        Backend::on_tcp(Rule::Turns(Arc::new(script)))
    }

    /// Leaves the whole conversation to a rule. An `Err` is a fault that [`Backend::expect_no_faults`] shows.
    pub fn raw(handler: impl Fn(&mut Conversation) -> Result<(), String> + Send + Sync + 'static) -> Backend {
        Backend::on_tcp(Rule::Raw(Arc::new(handler)))
    }

    /// An echo at a socket that is bound already.
    pub fn echo_on(listener: TcpListener) -> Backend {
        Backend::on(listener, Rule::Turns(Arc::new(echoed)))
    }

    fn on_tcp(rule: Rule) -> Backend {
        Backend::on(TcpListener::bind("127.0.0.1:0").expect("a free port"), rule)
    }

    fn on(listener: TcpListener, rule: Rule) -> Backend {
        let address = listener.local_addr().expect("it is bound").to_string();
        Backend::start(address, rule, move || listener.accept().map(|(stream, _)| Wire::Tcp(stream)))
    }

    /// An echo at a unix socket.
    pub fn echo_at(path: &Path) -> Backend {
        let listener = UnixListener::bind(path).expect("a free path");
        let address = format!("unix:{}", path.display());
        Backend::start(address, Rule::Turns(Arc::new(echoed)), move || {
            listener.accept().map(|(stream, _)| Wire::Unix(stream))
        })
    }

    fn start(address: String, rule: Rule, accept: impl Fn() -> io::Result<Wire> + Send + 'static) -> Backend {
        let shared = Arc::new(Shared {
            bytes: Mutex::default(),
            requests: Mutex::default(),
            faults: Mutex::default(),
            open: Mutex::default(),
            connections: AtomicUsize::new(0),
            rule: Mutex::new(rule),
            leaving: AtomicBool::new(false),
        });
        let acceptor = shared.clone();
        thread::spawn(move || {
            while let Ok(wire) = accept() {
                if acceptor.leaving.load(Ordering::Acquire) {
                    return;
                }
                let mut bytes = lock(&acceptor.bytes);
                let number = bytes.len();
                bytes.push(Vec::new());
                drop(bytes);
                // A pooled connection may wait for as long as the test runs.
                let prepared = wire.prepare().and_then(|()| wire.set_read_timeout(Duration::from_secs(120)));
                prepared.expect("a socket has time-outs");
                lock(&acceptor.open).insert(number, wire.try_clone().expect("a socket can be cloned"));
                acceptor.connections.fetch_add(1, Ordering::AcqRel);
                let shared = acceptor.clone();
                thread::spawn(move || shared.converse(wire, number));
            }
        });
        Backend { address, shared }
    }

    /// Where it listens: `127.0.0.1:port` or `unix:/path`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// From now on, answers by this rule, on connections that are open as well.
    pub fn script(&self, script: impl Fn(&Request) -> Reply + Send + Sync + 'static) {
        let before = std::mem::replace(&mut *lock(&self.shared.rule), Rule::Turns(Arc::new(script)));
        if matches!(before, Rule::Raw(_)) {
            self.hang_up();
        }
    }

    /// From now on, leaves new connections to this rule; those that are open are closed.
    pub fn script_raw(&self, handler: impl Fn(&mut Conversation) -> Result<(), String> + Send + Sync + 'static) {
        *lock(&self.shared.rule) = Rule::Raw(Arc::new(handler));
        self.hang_up();
    }

    /// From now on, an echo again.
    pub fn script_echo(&self) {
        self.script(echoed);
    }

    /// Closes every open connection.
    pub fn hang_up(&self) {
        lock(&self.shared.open).values().for_each(|wire| {
            // It may have closed by itself.
            let _ = wire.shutdown(Shutdown::Both);
        });
        eventually("the backend's connections end", || lock(&self.shared.open).is_empty());
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Acquire)
    }

    /// Connections that are open.
    pub fn open(&self) -> usize {
        lock(&self.shared.open).len()
    }

    /// Whole requests so far.
    pub fn requests(&self) -> usize {
        lock(&self.shared.requests).len()
    }

    /// Takes the requests received so far.
    pub fn take(&self) -> Vec<Request> {
        std::mem::take(&mut *lock(&self.shared.requests))
    }

    /// Takes the one request that was received.
    #[track_caller]
    pub fn only(&self) -> Request {
        let mut all = self.take();
        assert_eq!(all.len(), 1, "one request was expected at the backend: {all:#?}");
        all.remove(0)
    }

    /// Every byte of every connection, in the order of their accepting.
    pub fn received(&self) -> Vec<Vec<u8>> {
        lock(&self.shared.bytes).clone()
    }

    /// How many bytes were received in all.
    pub fn byte_count(&self) -> usize {
        lock(&self.shared.bytes).iter().map(Vec::len).sum()
    }

    /// Fails if anything was received that this strict backend does not understand.
    #[track_caller]
    pub fn expect_no_faults(&self) {
        let faults = std::mem::take(&mut *lock(&self.shared.faults));
        assert!(faults.is_empty(), "the backend was sent something odd: {faults:#?}");
    }

    /// Forgets requests and faults.
    pub fn forget(&self) {
        self.take();
        lock(&self.shared.faults).clear();
    }
}

/// Dropping it stops listening and closes what is open.
impl Drop for Backend {
    fn drop(&mut self) {
        self.shared.leaving.store(true, Ordering::Release);
        // Wakes the acceptor.
        let _ = Wire::connect(&self.address);
        lock(&self.shared.open).values().for_each(|wire| {
            let _ = wire.shutdown(Shutdown::Both);
        });
    }
}

impl Shared {
    fn converse(self: Arc<Self>, wire: Wire, number: usize) {
        let recorded = Recorded { wire, shared: self.clone(), number };
        let mut conversation = Conversation { inflow: Inflow::new(recorded), shared: self.clone(), number, turn: 0 };
        let rule = lock(&self.rule).clone();
        let outcome = match rule {
            Rule::Turns(_) => conversation.take_turns(),
            Rule::Raw(handler) => handler(&mut conversation),
        };
        if let Err(fault) = outcome {
            lock(&self.faults).push(fault);
        }
        let closing = lock(&self.open).remove(&number);
        if let Some(wire) = closing {
            // The other side may be gone.
            let _ = wire.shutdown(Shutdown::Both);
        }
    }
}

fn echoed(request: &Request) -> Reply {
    let mut body = request.head.clone();
    body.extend_from_slice(&request.body);
    Reply::ok(body)
}
