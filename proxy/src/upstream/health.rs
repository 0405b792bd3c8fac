//! The keeper: one thread that asks servers whether they are well, for all workers. What it finds stands in atomics that the
//! workers read.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use codec::head::{HeadLimits, ResponseHead};
use codec::http1::parse::{Progress, parse_response};
use codec::proxy_protocol::{self, Told};
use config::snapshot::{HealthCheck, Protocol, Upstream};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use super::shared::{Checked, Shared, Standing, millis};
use crate::limits::{CHECK_HEAD_BYTES_MAX, FIRST_CHECK_WITHIN, KEEPER_LOOK};

/// An upstream whose servers are asked.
struct Watched {
    check: Arc<HealthCheck>,
    shared: Arc<Shared>,
    tls: Option<Arc<ClientConfig>>,
    protocol: Protocol,
    introduction: Arc<[u8]>,
}

type List = Arc<[Watched]>;

/// Tells the keeper's thread whom to ask from now on. Dropping it ends the thread.
#[derive(Default)]
pub struct Keeper {
    wanted: Mutex<Option<watch::Sender<List>>>,
}

impl Keeper {
    /// Replaces what is asked: the upstreams that have a health check. The thread starts with the first of them.
    pub fn keep(
        &self,
        specs: &[Upstream],
        upstreams: &[Arc<Shared>],
        outbound: &[Option<Arc<ClientConfig>>],
    ) -> io::Result<()> {
        let watched = |(spec, (shared, tls)): (&Upstream, (&Arc<Shared>, &Option<Arc<ClientConfig>>))| {
            let check = Arc::new(spec.health_check.clone()?);
            let introduction = introduction(spec);
            let (shared, tls, protocol) = (shared.clone(), tls.clone(), spec.protocol);
            Some(Watched { check, shared, tls, protocol, introduction })
        };
        let list: List = specs.iter().zip(upstreams.iter().zip(outbound)).filter_map(watched).collect();
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        match &*wanted {
            Some(wanted) => drop(wanted.send_replace(list)),
            None if list.is_empty() => {}
            None => {
                let (sender, receiver) = watch::channel(list);
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                thread::Builder::new().name("health".into()).spawn(move || runtime.block_on(run(receiver)))?;
                *wanted = Some(sender);
            }
        }
        Ok(())
    }
}

/// A server that is being asked.
struct Asked {
    check: Arc<HealthCheck>,
    standing: Weak<Standing>,
    tls: Option<Arc<ClientConfig>>,
    protocol: Protocol,
    introduction: Arc<[u8]>,
    task: AbortHandle,
}

/// By upstream and address.
type All = BTreeMap<(Arc<str>, Arc<str>), Asked>;

async fn run(mut wanted: watch::Receiver<List>) {
    let mut all = All::new();
    loop {
        let list = wanted.borrow_and_update().clone();
        reconcile(&mut all, &list);
        // The addresses of a name come and go without a reload.
        if let Ok(Err(_)) = timeout(KEEPER_LOOK, wanted.changed()).await {
            return;
        }
    }
}

/// A server that is asked already, in the same way, is not disturbed.
fn reconcile(all: &mut All, list: &[Watched]) {
    let mut before = std::mem::take(all);
    for Watched { check, shared, tls, protocol, introduction } in list {
        for standing in shared.standings().into_iter().filter(|standing| has_address(&standing.address)) {
            let key = (shared.name.clone(), standing.address.clone());
            let weak = Arc::downgrade(&standing);
            let is_same = |asked: &Asked| {
                let as_before = (asked.tls.as_ref().map(Arc::as_ptr)) == tls.as_ref().map(Arc::as_ptr);
                as_before
                    && asked.protocol == *protocol
                    && asked.introduction == *introduction
                    && *asked.check == **check
                    && asked.standing.ptr_eq(&weak)
            };
            let asked = before.remove(&key).filter(is_same).unwrap_or_else(|| {
                let secure = tls.clone().zip(standing.name.clone());
                let server = Server {
                    upstream: shared.name.clone(),
                    address: standing.address.clone(),
                    secure,
                    protocol: *protocol,
                    introduction: introduction.clone(),
                };
                let task = tokio::spawn(ask_again_and_again(server, check.clone(), weak.clone())).abort_handle();
                let (check, tls, introduction) = (check.clone(), tls.clone(), introduction.clone());
                Asked { check, standing: weak, tls, protocol: *protocol, introduction, task }
            });
            all.insert(key, asked);
        }
    }
}

/// The PROXY header of a connection that is nobody's; empty: the upstream wants none.
fn introduction(spec: &Upstream) -> Arc<[u8]> {
    let mut header = Vec::new();
    if let Some(version) = spec.proxy_protocol {
        proxy_protocol::write(version, &Told::Nothing, &mut header);
    }
    header.into()
}

/// A name has no address of its own: its addresses are asked, as soon as it has any.
fn has_address(address: &str) -> bool {
    address.starts_with("unix:") || address.parse::<SocketAddr>().is_ok()
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Server {
    upstream: Arc<str>,
    address: Arc<str>,
    /// How TLS is spoken, and whom the certificate has to name; `None`: in clear text.
    secure: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    protocol: Protocol,
    /// What a connection begins with.
    introduction: Arc<[u8]>,
}

async fn ask_again_and_again(server: Server, check: Arc<HealthCheck>, standing: Weak<Standing>) {
    let mut row = Row::default();
    // Not all servers at the same moment, neither now nor later.
    sleep(part(check.interval, fastrand::u32(..=u32::from(check.jitter))).min(FIRST_CHECK_WITHIN)).await;
    loop {
        let answer = timeout(check.timeout, ask(&server, &check)).await;
        let Some(standing) = standing.upgrade() else { return };
        let why = match answer {
            Ok(Ok(())) => None,
            Ok(Err(why)) => Some(why),
            Err(_) => Some("no answer in time".to_owned()),
        };
        standing.checks[usize::from(why.is_some())].fetch_add(1, Relaxed);
        if let Some(found) = row.next(why.is_none(), &check)
            && standing.check(found, millis(Instant::now()))
        {
            let (upstream, address) = (&server.upstream, &server.address);
            match why {
                None => tracing::info!(%upstream, server = %address, "a server is well"),
                Some(why) => tracing::warn!(%upstream, server = %address, %why, "a server is ill: it is not used"),
            }
        }
        drop(standing);
        let jitter = u32::from(check.jitter);
        let jitter = fastrand::u32(100 - jitter..=100 + jitter);
        sleep(part(check.interval, jitter)).await;
    }
}

fn part(time: Duration, percent: u32) -> Duration {
    time / 100 * percent
}

/// Answers of the same kind, one behind the other.
#[derive(Default)]
struct Row {
    is_well: bool,
    length: u32,
    decided: bool,
}

impl Row {
    /// One more; what it means, if the row is long enough. The very first good one is enough: nobody waits for what was well
    /// from the beginning.
    fn next(&mut self, is_well: bool, check: &HealthCheck) -> Option<Checked> {
        self.length = if self.is_well == is_well { self.length.saturating_add(1) } else { 1 };
        self.is_well = is_well;
        let enough = if is_well { check.healthy } else { check.unhealthy };
        let first = is_well && !std::mem::replace(&mut self.decided, true);
        (self.length >= enough || first).then_some(if is_well { Checked::Well } else { Checked::Ill })
    }
}

/// One question, on a connection of its own. Why it is not answered well.
async fn ask(server: &Server, check: &HealthCheck) -> Result<(), String> {
    let host = check.host.as_deref().unwrap_or(&server.upstream);
    let status = if let Some(path) = server.address.strip_prefix("unix:") {
        let stream = UnixStream::connect(path).await.map_err(|error| error.to_string())?;
        converse(stream, server, &check.path, host).await?
    } else {
        let address: SocketAddr = server.address.parse().map_err(|_| "no address".to_owned())?;
        let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        converse(stream, server, &check.path, host).await?
    };
    if check.statuses.iter().any(|(least, most)| (*least..=*most).contains(&status)) {
        Ok(())
    } else {
        Err(format!("status {status}"))
    }
}

async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    server: &Server,
    path: &str,
    host: &str,
) -> Result<u16, String> {
    stream.write_all(&server.introduction).await.map_err(|error| error.to_string())?;
    let Some((config, name)) = &server.secure else {
        return match server.protocol {
            Protocol::Http2 => status_by_http2(stream, ("http", path), host).await,
            Protocol::Http1 | Protocol::Auto => status_of(stream, path, host).await,
        };
    };
    let connecting = TlsConnector::from(config.clone()).connect(name.clone(), stream);
    let stream = connecting.await.map_err(|error| error.to_string())?;
    let agreed = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    if agreed || server.protocol == Protocol::Http2 {
        return status_by_http2(stream, ("https", path), host).await;
    }
    status_of(stream, path, host).await
}

/// The same over HTTP/2.
async fn status_by_http2(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    (scheme, path): (&str, &str),
    host: &str,
) -> Result<u16, String> {
    let said = |error: h2::Error| error.to_string();
    let uri = http::Uri::builder().scheme(scheme).authority(host).path_and_query(path).build();
    let uri = uri.map_err(|error| error.to_string())?;
    let asked = http::Request::get(uri).header("user-agent", "tollgate-health").body(());
    let asked = asked.map_err(|error| error.to_string())?;
    let (mut requests, connection) = h2::client::handshake(stream).await.map_err(said)?;
    let (answer, _) = requests.send_request(asked, true).map_err(said)?;
    tokio::select! {
        answer = answer => Ok(answer.map_err(said)?.status().as_u16()),
        ended = connection => Err(ended.err().map_or_else(|| "closed before an answer".to_owned(), said)),
    }
}

/// The status of the final answer.
async fn status_of(mut stream: impl AsyncRead + AsyncWrite + Unpin, path: &str, host: &str) -> Result<u16, String> {
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: tollgate-health\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
    let mut received = Vec::new();
    let mut head = ResponseHead::new();
    loop {
        match parse_response(&received, &mut head, false, &HeadLimits::RESPONSE) {
            Err(how) => return Err(format!("a bad answer: {}", how.name())),
            Ok(Progress::Complete) if head.status >= 200 => return Ok(head.status),
            Ok(Progress::Complete) => drop(received.drain(..head.length)),
            Ok(Progress::Incomplete) => match stream.read_buf(&mut received).await {
                Ok(0) => return Err("closed before the end of the answer's head".into()),
                Ok(_) if received.len() > CHECK_HEAD_BYTES_MAX => return Err("too large an answer".into()),
                Ok(_) => {}
                Err(error) => return Err(error.to_string()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check() -> HealthCheck {
        HealthCheck {
            path: "/".into(),
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            healthy: 2,
            unhealthy: 3,
            statuses: [(200, 299)].into(),
            host: None,
            jitter: 10,
        }
    }

    #[test]
    fn rows_decide() {
        let mut row = Row::default();
        let found: Vec<_> = [true, false, false, false, true, false, true, true, true]
            .into_iter()
            .map(|is_well| row.next(is_well, &check()))
            .collect();
        let (well, ill) = (Some(Checked::Well), Some(Checked::Ill));
        assert_eq!(found, [well, None, None, ill, None, None, None, well, well]);
        let mut row = Row::default();
        assert_eq!([false; 3].map(|is_well| row.next(is_well, &check())), [None, None, ill]);
    }
}
