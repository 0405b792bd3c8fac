//! A backend that speaks TLS, in threads: it answers by a rule, and remembers who called, and how.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{HandshakeKind, RootCertStore, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};

use crate::support::client::Wire;
use crate::support::message::{Inflow, Request};
use crate::tls::Identity;

/// What a backend proves itself with, and what it wants.
pub struct Manner {
    pub identity: Identity,
    pub versions: &'static [&'static SupportedProtocolVersion],
    /// Whose certificates are asked for; nobody's: none is.
    pub asks: Vec<Identity>,
    pub protocols: Vec<&'static str>,
}

impl Manner {
    pub fn new(identity: &Identity) -> Manner {
        Manner { identity: identity.clone(), versions: rustls::ALL_VERSIONS, asks: Vec::new(), protocols: Vec::new() }
    }

    pub fn asking(self, whom: &[&Identity]) -> Manner {
        Manner { asks: whom.iter().map(|identity| (*identity).clone()).collect(), ..self }
    }

    pub fn speaking(self, versions: &'static [&'static SupportedProtocolVersion]) -> Manner {
        Manner { versions, ..self }
    }

    pub fn config(&self) -> Arc<ServerConfig> {
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone());
        let builder = builder.with_protocol_versions(self.versions).expect("known versions");
        let builder = if self.asks.is_empty() {
            builder.with_no_client_auth()
        } else {
            let mut roots = RootCertStore::empty();
            self.asks.iter().for_each(|identity| roots.add(identity.der()).expect("a certificate"));
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.expect("roots"))
        };
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(self.identity.certificate.as_bytes()).collect();
        let key = PrivateKeyDer::from_pem_slice(self.identity.key.as_bytes()).expect("a key");
        let mut config = builder.with_single_cert(chain.expect("certificates"), key).expect("they fit");
        config.alpn_protocols = self.protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

/// Who called, and what for.
#[derive(Clone, Debug)]
pub struct Call {
    /// Number of the connection, from 0.
    pub connection: usize,
    /// The name that was asked for.
    pub name: Option<String>,
    /// What the caller proved itself with.
    pub caller: Option<CertificateDer<'static>>,
    pub resumed: bool,
    pub request: Request,
}

/// What a backend does with a request.
pub enum Act {
    /// Sends this, and waits for the next request.
    Send(Vec<u8>),
    /// Sends this, says goodbye and closes.
    Last(Vec<u8>),
    /// Sends this, and closes without a goodbye.
    Cut(Vec<u8>),
    /// Sends this, and sends back whatever comes.
    Echo(Vec<u8>),
}

impl Act {
    pub fn ok(body: impl AsRef<[u8]>) -> Act {
        let body = body.as_ref();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n", body.len());
        Act::Send([head.as_bytes(), body].concat())
    }
}

type Rule = Box<dyn Fn(&Call) -> Act + Send + Sync>;

/// A listening backend.
pub struct TlsBackend {
    address: String,
    shared: Arc<Shared>,
}

struct Shared {
    config: Mutex<Arc<ServerConfig>>,
    rule: Rule,
    calls: Mutex<Vec<Call>>,
    accepted: Mutex<Vec<Wire>>,
    leaving: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl TlsBackend {
    /// Answers each request with the number of its connection.
    pub fn start(manner: &Manner) -> TlsBackend {
        TlsBackend::acting(manner, |call| Act::ok(call.connection.to_string()))
    }

    pub fn acting(manner: &Manner, rule: impl Fn(&Call) -> Act + Send + Sync + 'static) -> TlsBackend {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        TlsBackend::on(address, manner, Box::new(rule), move || listener.accept().map(|(stream, _)| Wire::Tcp(stream)))
    }

    /// As `start`, behind headers of 28 octets (PROXY, version 2, IPv4), which are noted.
    pub fn behind_headers(manner: &Manner, headers: &Arc<Mutex<Vec<[u8; 28]>>>) -> TlsBackend {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let rule = |call: &Call| Act::ok(call.connection.to_string());
        let headers = headers.clone();
        TlsBackend::on(address, manner, Box::new(rule), move || {
            let (mut stream, _) = listener.accept()?;
            let mut header = [0; 28];
            stream.read_exact(&mut header)?;
            lock(&headers).push(header);
            Ok(Wire::Tcp(stream))
        })
    }

    pub fn at(path: &Path, manner: &Manner) -> TlsBackend {
        let listener = UnixListener::bind(path).expect("a free path");
        let rule = |call: &Call| Act::ok(call.connection.to_string());
        TlsBackend::on(format!("unix:{}", path.display()), manner, Box::new(rule), move || {
            listener.accept().map(|(stream, _)| Wire::Unix(stream))
        })
    }

    fn on(
        address: String,
        manner: &Manner,
        rule: Rule,
        accept: impl Fn() -> io::Result<Wire> + Send + 'static,
    ) -> TlsBackend {
        let shared = Arc::new(Shared {
            config: Mutex::new(manner.config()),
            rule,
            calls: Mutex::default(),
            accepted: Mutex::default(),
            leaving: AtomicBool::new(false),
        });
        let acceptor = shared.clone();
        thread::spawn(move || {
            while let Ok(wire) = accept() {
                if acceptor.leaving.load(Ordering::Acquire) {
                    return;
                }
                // A pooled connection may wait for as long as the test runs.
                let prepared = wire.prepare().and_then(|()| wire.set_read_timeout(Duration::from_secs(120)));
                prepared.expect("a socket has time-outs");
                let mut accepted = lock(&acceptor.accepted);
                let number = accepted.len();
                accepted.push(wire.try_clone().expect("a socket can be cloned"));
                drop(accepted);
                let shared = acceptor.clone();
                thread::spawn(move || {
                    // What the gateway makes of it is what the tests look at.
                    let _ = shared.converse(wire, number);
                    let _ = lock(&shared.accepted)[number].shutdown(Shutdown::Both);
                });
            }
        });
        TlsBackend { address, shared }
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn port(&self) -> u16 {
        self.address.rsplit_once(':').expect("a port").1.parse().expect("a number")
    }

    /// From now on, newcomers are met in this manner.
    pub fn become_like(&self, manner: &Manner) {
        *lock(&self.shared.config) = manner.config();
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        lock(&self.shared.accepted).len()
    }

    /// Calls since this was last asked.
    pub fn take(&self) -> Vec<Call> {
        std::mem::take(&mut *lock(&self.shared.calls))
    }

    /// The one call since this was last asked.
    #[track_caller]
    pub fn only(&self) -> Call {
        let calls = self.take();
        assert_eq!(calls.len(), 1, "{calls:?}");
        calls.into_iter().next().expect("one")
    }

    /// Closes every connection, without a goodbye.
    pub fn hang_up(&self) {
        lock(&self.shared.accepted).iter().for_each(|wire| {
            let _ = wire.shutdown(Shutdown::Both);
        });
    }
}

impl Drop for TlsBackend {
    fn drop(&mut self) {
        self.shared.leaving.store(true, Ordering::Release);
        // Wakes the acceptor.
        let _ = Wire::connect(&self.address);
        self.hang_up();
    }
}

impl Shared {
    fn converse(&self, mut wire: Wire, connection: usize) -> Result<(), String> {
        let said = |error: io::Error| error.to_string();
        let mut tls = ServerConnection::new(lock(&self.config).clone()).map_err(|error| error.to_string())?;
        while tls.is_handshaking() {
            tls.complete_io(&mut wire).map_err(said)?;
        }
        let name = tls.server_name().map(str::to_owned);
        let caller = tls.peer_certificates().and_then(|chain| chain.first()).map(|der| der.clone().into_owned());
        let resumed = tls.handshake_kind() == Some(HandshakeKind::Resumed);
        let mut inflow = Inflow::new(StreamOwned::new(tls, wire));
        for turn in 0.. {
            let head = inflow.until(b"\r\n\r\n")?;
            let request = inflow.request(head, (connection, turn))?;
            let call = Call { connection, name: name.clone(), caller: caller.clone(), resumed, request };
            lock(&self.calls).push(call.clone());
            let stream = &mut inflow.from;
            let mut send = |bytes: &[u8]| stream.write_all(bytes).and_then(|()| stream.flush()).map_err(said);
            match (self.rule)(&call) {
                Act::Send(bytes) => send(&bytes)?,
                Act::Last(bytes) => {
                    send(&bytes)?;
                    stream.conn.send_close_notify();
                    return stream.flush().map_err(said);
                }
                Act::Cut(bytes) => return send(&bytes),
                Act::Echo(bytes) => {
                    send(&bytes)?;
                    let mut room = [0; 4096];
                    while let Ok(count @ 1..) = inflow.from.read(&mut room) {
                        inflow.from.write_all(&room[..count]).and_then(|()| inflow.from.flush()).map_err(said)?;
                    }
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}
