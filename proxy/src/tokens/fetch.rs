//! Fetches key sets from issuers, and what must hold of where they are (row P10): nothing but the operator's words and, behind them, the
//! issuer's discovery document lead anywhere; a token never does. Redirections are not followed.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use config::snapshot::{Authorities, KeySource};
use hickory_resolver::TokioResolver;
use http::Uri;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use policy::authorize::jwk::KeySet;
use policy::limits::KEY_SET_BYTES_MAX;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::limits::{DISCOVERY_BYTES_MAX, KEYS_FETCH_TIME};

/// What speaks TLS to issuers: whom the system believes is read with the first that needs it.
#[derive(Default)]
pub struct Trust {
    system: Option<Arc<ClientConfig>>,
    /// By the hash of the authorities.
    own: BTreeMap<[u8; 32], Arc<ClientConfig>>,
}

impl Trust {
    /// Ready for use, with these authorities or those of the system.
    pub fn config(&mut self, authorities: Option<&Authorities>) -> Arc<ClientConfig> {
        match authorities {
            Some(own) => {
                let make = || Arc::new(client_config(own.roots.clone()));
                self.own.entry(own.fingerprint).or_insert_with(make).clone()
            }
            None => self.system.get_or_insert_with(|| Arc::new(client_config(system_roots()))).clone(),
        }
    }
}

/// How issuers are reached.
#[derive(Clone)]
pub struct Way {
    /// What speaks TLS.
    pub tls: Arc<ClientConfig>,
    /// Who knows their addresses; `None`: whoever the system asks.
    pub names: Option<TokioResolver>,
}

fn system_roots() -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    Arc::new(roots)
}

fn client_config(roots: Arc<RootCertStore>) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has suites of both versions");
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

/// Fetches the keys of a source. The error says why not, for the log.
pub async fn keys(source: &KeySource, way: &Way) -> Result<KeySet, String> {
    let (address, whose) = match source {
        KeySource::Url(url, _) => (url.to_string(), Whose::Operator),
        KeySource::Discovery(issuer, _) => {
            let found = discover(issuer, way).await?;
            // Who may say where is bound to what he may say: an issuer on the network sends nobody to this machine.
            let whose = if host_of(&found) == host_of(issuer) { Whose::Operator } else { Whose::Issuer };
            if found.starts_with("http://") && !issuer.starts_with("http://") {
                return Err(format!("its discovery document names {found}, in clear text"));
            }
            (found, whose)
        }
        KeySource::File(_) => return Err("it is a file".to_owned()),
    };
    let bytes = get(&address, whose, KEY_SET_BYTES_MAX, way).await.map_err(|why| format!("{address}: {why}"))?;
    KeySet::parse(&bytes).map_err(|why| format!("{address}: {why}"))
}

/// Where the keys of an issuer are, by its discovery document (`OpenID` Connect Discovery 1.0 §4).
async fn discover(issuer: &str, way: &Way) -> Result<String, String> {
    let address = format!("{}/.well-known/openid-configuration", issuer.strip_suffix('/').unwrap_or(issuer));
    let found = get(&address, Whose::Operator, DISCOVERY_BYTES_MAX, way).await;
    let bytes = found.map_err(|why| format!("{address}: {why}"))?;
    let document: Value = serde_json::from_slice(&bytes).map_err(|_| format!("{address}: it is no JSON"))?;
    if document.get("issuer").and_then(Value::as_str) != Some(issuer) {
        return Err(format!("{address}: it is of another issuer"));
    }
    let keys = document.get("jwks_uri").and_then(Value::as_str);
    keys.map(str::to_owned).ok_or_else(|| format!("{address}: it names no jwks_uri"))
}

/// Whose word leads to an address.
#[derive(Clone, Copy, PartialEq)]
enum Whose {
    /// The operator's: also to machines of his own.
    Operator,
    /// An issuer's: only to public addresses.
    Issuer,
}

fn host_of(address: &str) -> Option<String> {
    address.parse::<Uri>().ok()?.host().map(str::to_ascii_lowercase)
}

/// The body of an answer with status 200.
async fn get(address: &str, whose: Whose, most: usize, way: &Way) -> Result<Bytes, String> {
    let fetched = timeout(KEYS_FETCH_TIME, fetch(address, whose, most, way)).await;
    fetched.unwrap_or_else(|_| Err(format!("no answer within {KEYS_FETCH_TIME:?}")))
}

async fn fetch(address: &str, whose: Whose, most: usize, way: &Way) -> Result<Bytes, String> {
    let uri: Uri = address.parse().map_err(|_| "it is no address".to_owned())?;
    let host = uri.host().ok_or("it names no host")?.trim_matches(['[', ']']).to_owned();
    let secure = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err("it is neither http nor https".to_owned()),
    };
    let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let socket = connect(&host, port, whose, way).await?;
    if !secure {
        return ask(socket, &uri, most).await;
    }
    let name = ServerName::try_from(host).map_err(|_| "no certificate can have its name".to_owned())?;
    let stream = TlsConnector::from(way.tls.clone()).connect(name, socket).await.map_err(|error| error.to_string())?;
    ask(stream, &uri, most).await
}

async fn addresses(host: &str, port: u16, way: &Way) -> Result<Vec<SocketAddr>, String> {
    match (&way.names, host.parse::<IpAddr>()) {
        (_, Ok(ip)) => Ok(vec![SocketAddr::new(ip, port)]),
        (Some(names), Err(_)) => {
            let found = names.lookup_ip(host).await.map_err(|error| error.to_string())?;
            Ok(found.iter().map(|ip| SocketAddr::new(ip, port)).collect())
        }
        (None, Err(_)) => Ok(lookup_host((host, port)).await.map_err(|error| error.to_string())?.collect()),
    }
}

async fn connect(host: &str, port: u16, whose: Whose, way: &Way) -> Result<TcpStream, String> {
    let found = addresses(host, port, way).await?.into_iter();
    let (fit, unfit): (Vec<SocketAddr>, Vec<SocketAddr>) = found.partition(|address| may_be_asked(address.ip(), whose));
    if fit.is_empty() {
        return Err(match unfit.first() {
            Some(address) => format!("{} is no place for keys", address.ip()),
            None => "it has no address".to_owned(),
        });
    }
    let mut why = None;
    for address in fit {
        match TcpStream::connect(address).await {
            Ok(socket) => return Ok(socket),
            Err(error) => why = Some(error),
        }
    }
    Err(why.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()).to_string())
}

/// Never where machines keep what is theirs alone (link-local addresses, with a cloud's metadata), and, on an issuer's word, to public
/// addresses only.
fn may_be_asked(address: IpAddr, whose: Whose) -> bool {
    let address = address.to_canonical();
    let (is_never, is_own) = match address {
        IpAddr::V4(ip) => {
            (ip.is_link_local() || ip.is_unspecified() || ip.is_multicast(), ip.is_loopback() || ip.is_private())
        }
        IpAddr::V6(ip) => (
            ip.is_unicast_link_local() || ip.is_unspecified() || ip.is_multicast(),
            ip.is_loopback() || ip.is_unique_local(),
        ),
    };
    !is_never && (whose == Whose::Operator || !is_own)
}

async fn ask<S>(stream: S, uri: &Uri, most: usize) -> Result<Bytes, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let said = |error: hyper::Error| error.to_string();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(said)?;
    // It ends with the answer, as the request asks for.
    let driver = tokio::spawn(connection);
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let request = http::Request::get(target)
        .header("host", uri.authority().map_or("", |authority| authority.as_str()))
        .header("accept", "application/json")
        .header("user-agent", concat!("tollgate/", env!("CARGO_PKG_VERSION")))
        .header("connection", "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let answer = sender.send_request(request).await.map_err(said)?;
    if answer.status() != http::StatusCode::OK {
        driver.abort();
        return Err(format!("status {}", answer.status().as_u16()));
    }
    let body = Limited::new(answer.into_body(), most).collect().await;
    driver.abort();
    body.map(http_body_util::Collected::to_bytes).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_10_nobody_is_sent_where_machines_keep_what_is_theirs() {
        let own = ["127.0.0.1", "10.0.0.1", "192.168.1.1", "172.16.0.1", "::1", "fd00:ec2::254", "::ffff:127.0.0.1"];
        let never = ["169.254.169.254", "fe80::1", "0.0.0.0", "::", "224.0.0.1", "ff02::1", "::ffff:169.254.169.254"];
        let public = ["93.184.216.34", "2606:2800:220:1::1"];
        for (list, operator, issuer) in [(&own[..], true, false), (&never, false, false), (&public, true, true)] {
            for text in list {
                let address = text.parse().unwrap();
                assert_eq!(may_be_asked(address, Whose::Operator), operator, "{text}");
                assert_eq!(may_be_asked(address, Whose::Issuer), issuer, "{text}");
            }
        }
    }
}
