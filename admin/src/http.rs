//! The admin port: four pages to read, and nothing to command.
//!
//! A page of a foreign site could make a browser ask this port under a name of its own that resolves to it (DNS rebinding,
//! attack row R13). So a request must name an IP address or `localhost`: whoever asks for a name is told 421.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use crate::desk::Desk;
use crate::limits;
use crate::seldom::Seldom;
use crate::stage::{OpenDoor, Stage, Stop};

/// The content type of the Prometheus text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Takes connections until the desk is no longer open, then gives those under way [`limits::GRACE_TIME`].
pub(crate) async fn serve((listener, open): (TcpListener, OpenDoor), desk: Arc<Desk>, mut stop: Stop) {
    let places = Arc::new(Semaphore::new(limits::ADMIN_CONNECTIONS));
    let pages = pages(desk);
    let mut errors = Seldom::default();
    let mut talks = VecDeque::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stage| *stage > Stage::Open) => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let place = room(&places, &mut talks).await;
                let connection = converse(stream, pages.clone(), stop.clone());
                let talk = tokio::spawn(async move {
                    connection.await;
                    drop(place);
                });
                talks.push_back(talk.abort_handle());
            }
            Err(error) => {
                if let Some(failures) = errors.say(Instant::now()) {
                    tracing::warn!(%error, failures, "admin port: accept failed");
                }
                sleep(limits::ACCEPT_PAUSE).await;
            }
        }
    }
    drop((listener, open));
    let all = u32::try_from(limits::ADMIN_CONNECTIONS).expect("a small constant");
    let _ = timeout(limits::GRACE_TIME, places.acquire_many(all)).await;
}

/// A place for one more. An answer takes milliseconds: where all are taken, whoever has been here longest is silent or idle, and
/// goes, so that no number of silent clients keeps a probe from its answer.
async fn room(places: &Arc<Semaphore>, talks: &mut VecDeque<AbortHandle>) -> OwnedSemaphorePermit {
    talks.retain(|talk| !talk.is_finished());
    if places.available_permits() == 0
        && let Some(oldest) = talks.pop_front()
    {
        oldest.abort();
    }
    places.clone().acquire_owned().await.expect("the semaphore is never closed")
}

/// One connection: bounded in the size and time of its heads, and in its age.
async fn converse(stream: TcpStream, pages: Router, mut stop: Stop) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits::ADMIN_HEAD_TIME)
        .max_buf_size(limits::ADMIN_HEAD_BYTES)
        .max_headers(limits::ADMIN_FIELDS);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(pages)));
    tokio::select! {
        _ = connection.as_mut() => return,
        () = sleep(limits::ADMIN_CONNECTION_TIME) => {}
        _ = stop.wait_for(|stage| *stage > Stage::Open) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(limits::GRACE_TIME, connection).await;
}

fn pages(desk: Arc<Desk>) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/status", get(status))
        .route("/metrics", get(metrics))
        .fallback(async || (StatusCode::NOT_FOUND, "not found; try /healthz /readyz /status /metrics\n"))
        .layer(middleware::from_fn(guard))
        .with_state(desk)
}

async fn readyz(State(desk): State<Arc<Desk>>) -> (StatusCode, &'static str) {
    if (desk.ready)() { (StatusCode::OK, "ready\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready\n") }
}

async fn status(State(desk): State<Arc<Desk>>) -> Response {
    let mut text = (desk.status)().to_string();
    text.push('\n');
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

async fn metrics(State(desk): State<Arc<Desk>>) -> Response {
    ([(header::CONTENT_TYPE, METRICS_TYPE)], (desk.metrics)()).into_response()
}

/// What holds for every page: whom it is for, that it is only read, and how a browser must treat it.
async fn guard(request: Request<Body>, next: Next) -> Response {
    let mut response = match addressee(&request) {
        Err(status) => (status, "name this port by an IP address or localhost\n").into_response(),
        Ok(()) if request.method() != Method::GET => {
            (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET")], "GET only\n").into_response()
        }
        Ok(()) => next.run(request).await,
    };
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| headers.insert(name, HeaderValue::from_static(value));
    set(header::CACHE_CONTROL, "no-store");
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'");
    set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    response
}

/// Whether every name in the request is one that DNS cannot rebind.
fn addressee(request: &Request<Body>) -> Result<(), StatusCode> {
    let host = host(request.headers(), request.version())?;
    let target = request.uri().authority().map(Authority::as_str);
    if [host, target].into_iter().flatten().all(is_local_name) { Ok(()) } else { Err(StatusCode::MISDIRECTED_REQUEST) }
}

/// The only `Host` field. HTTP/1.0 may have none (old health probes); no browser speaks that.
fn host(headers: &HeaderMap, version: Version) -> Result<Option<&str>, StatusCode> {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if version == Version::HTTP_10 => Ok(None),
        (Some(host), None) => host.to_str().map(Some).map_err(|_| StatusCode::BAD_REQUEST),
        _ => Err(StatusCode::BAD_REQUEST),
    }
}

/// `localhost` or an IP address, with or without a port.
fn is_local_name(authority: &str) -> bool {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let port_fits = port.is_none_or(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()));
    let host_fits = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => matches!(inner.parse(), Ok(IpAddr::V6(_))),
        None => host.eq_ignore_ascii_case("localhost") || matches!(host.parse(), Ok(IpAddr::V4(_))),
    };
    port_fits && host_fits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_cannot_be_rebound() {
        for good in [
            "127.0.0.1",
            "127.0.0.1:9901",
            "10.1.2.3:80",
            "localhost",
            "LocalHost:9901",
            "[::1]",
            "[::1]:9901",
            "0.0.0.0:1",
        ] {
            assert!(is_local_name(good), "{good}");
        }
        for bad in [
            "",
            "evil.example",
            "evil.example:9901",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "::1",
            "[::1",
            "[127.0.0.1]",
            "localhost:",
            "localhost:99x",
            "a@localhost",
            "[evil]:80",
            "2130706433",
            "0x7f.1",
        ] {
            assert!(!is_local_name(bad), "{bad}");
        }
    }

    fn asked(version: Version, hosts: &[&str]) -> Result<(), StatusCode> {
        let mut request = Request::builder().version(version).uri("/status");
        for host in hosts {
            request = request.header(header::HOST, *host);
        }
        addressee(&request.body(Body::empty()).unwrap())
    }

    #[test]
    fn one_host_field_and_a_harmless_one() {
        assert_eq!(asked(Version::HTTP_11, &["localhost:9901"]), Ok(()));
        assert_eq!(asked(Version::HTTP_11, &["evil.example"]), Err(StatusCode::MISDIRECTED_REQUEST));
        assert_eq!(asked(Version::HTTP_11, &[]), Err(StatusCode::BAD_REQUEST));
        assert_eq!(asked(Version::HTTP_11, &["localhost", "localhost"]), Err(StatusCode::BAD_REQUEST));
        assert_eq!(asked(Version::HTTP_10, &[]), Ok(()));
    }

    #[test]
    fn a_name_in_the_target_counts_as_well() {
        let request = Request::builder().uri("http://evil.example/status").header(header::HOST, "localhost");
        assert_eq!(addressee(&request.body(Body::empty()).unwrap()), Err(StatusCode::MISDIRECTED_REQUEST));
    }
}
