//! A backend that speaks HTTP/2: the `h2` library as a server, in clear text or over TLS, on a thread of its own.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// One request, and the way back.
pub struct Call {
    /// Number of the connection, from 0.
    pub connection: usize,
    pub request: Request<RecvStream>,
    pub answer: SendResponse<Bytes>,
}

type Done = Pin<Box<dyn Future<Output = ()> + Send>>;
type Rule = Arc<dyn Fn(Call) -> Done + Send + Sync>;

impl Call {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.request.headers().get(name).and_then(|value| value.to_str().ok())
    }

    /// The whole body, and its trailers.
    pub async fn body(&mut self) -> (Vec<u8>, Option<HeaderMap>) {
        let body = self.request.body_mut();
        let mut all = Vec::new();
        while let Some(Ok(bytes)) = body.data().await {
            let _ = body.flow_control().release_capacity(bytes.len());
            all.extend_from_slice(&bytes);
        }
        (all, body.trailers().await.unwrap_or(None))
    }

    /// The next bytes of the body.
    pub async fn next(&mut self) -> Option<Bytes> {
        let bytes = self.request.body_mut().data().await?.ok()?;
        let _ = self.request.body_mut().flow_control().release_capacity(bytes.len());
        Some(bytes)
    }

    pub fn respond(&mut self, fields: &[(&str, &str)], ends: bool) -> SendStream<Bytes> {
        let mut head = Response::builder().status(200);
        for (name, value) in fields {
            head = match *name {
                ":status" => head.status(*value),
                name => head.header(name, *value),
            };
        }
        self.answer.send_response(head.body(()).expect("a head"), ends).expect("a stream that is open")
    }

    pub fn ok(&mut self, body: impl Into<Bytes>) {
        let mut out = self.respond(&[], false);
        out.send_data(body.into(), true).expect("a stream that is open");
    }

    pub fn reset(&mut self, reason: Reason) {
        self.answer.send_reset(reason);
    }
}

pub fn trailers(fields: &[(&'static str, &str)]) -> HeaderMap {
    fields.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().expect("a value"))).collect()
}

#[derive(Default)]
struct Shared {
    connections: AtomicUsize,
    requests: AtomicUsize,
    seen: Mutex<Vec<(usize, http::request::Parts)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How connections behave.
#[derive(Clone, Default)]
pub struct Ways {
    pub tls: Option<Arc<ServerConfig>>,
    /// Requests at once on a connection.
    pub streams: Option<u32>,
    /// Requests after which a connection says goodbye.
    pub goodbye_after: Option<usize>,
}

/// A listening backend.
pub struct H2Backend {
    address: SocketAddr,
    shared: Arc<Shared>,
    leave: watch::Sender<u32>,
}

impl H2Backend {
    /// In clear text; each request is a task of its own.
    pub fn start<F: Future<Output = ()> + Send + 'static>(
        rule: impl Fn(Call) -> F + Send + Sync + 'static,
    ) -> H2Backend {
        H2Backend::with(Ways::default(), rule)
    }

    pub fn with<F: Future<Output = ()> + Send + 'static>(
        ways: Ways,
        rule: impl Fn(Call) -> F + Send + Sync + 'static,
    ) -> H2Backend {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared::default());
        let (leave, left) = watch::channel(0);
        let rule: Rule = Arc::new(move |call| Box::pin(rule(call)));
        let of_thread = shared.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        thread::spawn(move || runtime.block_on(accept(listener, ways, of_thread, rule, left)));
        H2Backend { address, shared, leave }
    }

    pub fn address(&self) -> String {
        self.address.to_string()
    }

    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Acquire)
    }

    pub fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::Acquire)
    }

    /// Heads of requests since this was last asked, with the numbers of their connections.
    pub fn take(&self) -> Vec<(usize, http::request::Parts)> {
        std::mem::take(&mut *lock(&self.shared.seen))
    }

    /// Closes every connection at once.
    pub fn hang_up(&self) {
        self.leave.send_modify(|count| *count += 1);
    }
}

async fn accept(
    listener: std::net::TcpListener,
    ways: Ways,
    shared: Arc<Shared>,
    rule: Rule,
    mut left: watch::Receiver<u32>,
) {
    let listener = TcpListener::from_std(listener).expect("a socket");
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            changed = left.changed() => match changed {
                Ok(()) => continue,
                // The backend is dropped.
                Err(_) => return,
            },
        };
        let Ok((stream, _)) = accepted else { return };
        let _ = stream.set_nodelay(true);
        let number = shared.connections.fetch_add(1, Ordering::AcqRel);
        let (ways, shared, rule, mut hung_up) = (ways.clone(), shared.clone(), rule.clone(), left.clone());
        hung_up.mark_unchanged();
        tokio::spawn(async move {
            let serving = async {
                match &ways.tls {
                    None => serve(stream, number, &ways, &shared, &rule).await,
                    Some(config) => {
                        if let Ok(stream) = TlsAcceptor::from(config.clone()).accept(stream).await {
                            serve(stream, number, &ways, &shared, &rule).await;
                        }
                    }
                }
            };
            tokio::select! {
                () = serving => {}
                _ = hung_up.changed() => {}
            }
        });
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    number: usize,
    ways: &Ways,
    shared: &Arc<Shared>,
    rule: &Rule,
) {
    let mut builder = h2::server::Builder::new();
    if let Some(streams) = ways.streams {
        builder.max_concurrent_streams(streams);
    }
    let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else { return };
    let mut served = 0;
    while let Some(Ok((request, answer))) = connection.accept().await {
        shared.requests.fetch_add(1, Ordering::AcqRel);
        let (parts, body) = request.into_parts();
        lock(&shared.seen).push((number, parts.clone()));
        tokio::spawn(rule(Call { connection: number, request: Request::from_parts(parts, body), answer }));
        served += 1;
        if ways.goodbye_after == Some(served) {
            connection.graceful_shutdown();
        }
    }
}
