//! The part `upstreams`: the machines that answer for a name.

use std::net::SocketAddr;
use std::time::Duration;

use codec::proxy_protocol::Version;

use crate::diagnostic::Place;
use crate::limits;
use crate::model::field::{Field, Table, Type};
use crate::model::reader::Reader;
use crate::model::resilience::{self, ResilienceSpec};
use crate::model::tls::{UPSTREAM_TLS, UpstreamTlsSpec};
use crate::model::values::{self, At};
use crate::snapshot::Protocol;
use crate::source::node::{Node, Text, Value};

/// One upstream, as written.
#[derive(Debug, Clone)]
pub struct UpstreamSpec {
    /// Its name.
    pub name: Text,
    /// Its machines.
    pub servers: Vec<ServerSpec>,
    /// How one of them is chosen.
    pub balance: Option<BalanceSpec>,
    /// Kept connections.
    pub pool: PoolSpec,
    /// How long a connection may take to open.
    pub connect_time: Option<Duration>,
    /// What servers have to prove; `None`: they are called in clear text.
    pub tls: Option<UpstreamTlsSpec>,
    /// What is spoken with them.
    pub protocol: Option<At<Protocol>>,
    /// The header that tells whose connection it is.
    pub proxy_protocol: Option<Version>,
    /// What is done when one of them fails.
    pub resilience: ResilienceSpec,
}

/// One machine, as written.
#[derive(Debug, Clone)]
pub struct ServerSpec {
    /// Where it is.
    pub address: ServerAddressSpec,
    /// Where that is written.
    pub place: Place,
    /// Its share.
    pub weight: Option<u16>,
}

/// Where a server is, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerAddressSpec {
    /// IP and port.
    Socket(SocketAddr),
    /// A name to look up, and a port.
    Name {
        /// The name.
        host: Box<str>,
        /// The port.
        port: u16,
    },
    /// The path behind `unix:`.
    Unix(Box<str>),
}

/// How a server is chosen, as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BalanceSpec {
    /// `round_robin`
    RoundRobin,
    /// `least_requests`
    LeastRequests,
}

/// The part `pool`, as written.
#[derive(Debug, Clone, Default)]
pub struct PoolSpec {
    /// Connections kept without work.
    pub idle: Option<u32>,
    /// How long they are kept.
    pub idle_time: Option<Duration>,
    /// Connections open at once.
    pub connections: Option<u32>,
}

/// The fields of an upstream.
pub const UPSTREAM: Table = Table {
    name: "an upstream",
    fields: &[
        Field::new("servers", Type::List(&SERVER), "the machines: host:port, or unix:path")
            .short(Type::Address)
            .needed(),
        Field::new("balance", Type::Word(&["round_robin", "least_requests"]), "how one of them is chosen"),
        Field::new("pool", Type::Object(&POOL), "kept connections"),
        Field::new("connect_time", Type::Time, "how long a connection may take to open"),
        Field::new("tls", Type::Object(&UPSTREAM_TLS), "TLS towards the servers; `{}`: as the system believes"),
        Field::new(
            "protocol",
            Type::Word(&["http1", "http2", "auto"]),
            "what is spoken with them: http1, http2 (without TLS with prior knowledge), or what TLS agrees on",
        ),
        Field::new(
            "proxy_protocol",
            Type::Word(&["v1", "v2"]),
            "begins each connection with a PROXY header that names the client; such a connection serves one request, as the next may be another client's",
        ),
        resilience::PANIC,
        resilience::SLOW_START,
        resilience::HEALTH_CHECK,
        resilience::OUTLIER,
        resilience::BREAKER,
        resilience::RETRY,
    ],
};

/// The fields of a server.
pub const SERVER: Table = Table {
    name: "a server",
    fields: &[
        Field::new("address", Type::Address, "host:port, or unix:path").needed(),
        Field::new("weight", Type::Number, "its share, 1 by default"),
    ],
};

/// The fields of `pool`.
pub const POOL: Table = Table {
    name: "`pool`",
    fields: &[
        Field::new("idle", Type::Number, "connections that each worker keeps without work"),
        Field::new("idle_time", Type::Time, "how long they are kept"),
        Field::new("connections", Type::Number, "connections that each worker opens at most"),
    ],
};

impl UpstreamSpec {
    /// Reads one upstream.
    pub fn read(name: &Text, node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let Some(object) = reader.object(node, &UPSTREAM) else {
            // The name stands, so that what leads to it does not fail a second time.
            return Some(Self {
                name: name.clone(),
                servers: Vec::new(),
                balance: None,
                pool: PoolSpec::default(),
                connect_time: None,
                tls: None,
                protocol: None,
                proxy_protocol: None,
                resilience: ResilienceSpec::default(),
            });
        };
        let written = object.get("servers").map(|node| reader.list(node)).unwrap_or_default();
        if written.is_empty() && (object.lacks("servers") || object.get("servers").is_some()) {
            reader.faults.error_hint(
                name.place,
                format!("upstream `{}` has no servers", name.text),
                "write `servers: [127.0.0.1:9000]`",
            );
        } else if written.len() > limits::SERVERS_MAX {
            reader.faults.error(name.place, format!("more than {} servers", limits::SERVERS_MAX));
        }
        let servers = written.iter().filter_map(|node| ServerSpec::read(node, reader)).collect();
        let words = [("round_robin", BalanceSpec::RoundRobin), ("least_requests", BalanceSpec::LeastRequests)];
        let balance = object
            .get("balance")
            .and_then(|node| reader.word(node, "`balance`", &words, &["random", "hash", "ip_hash"]));
        let pool = object.get("pool").and_then(|node| PoolSpec::read(node, reader)).unwrap_or_default();
        let connect_time = object
            .get("connect_time")
            .and_then(|node| reader.time(node, "`connect_time`", Duration::from_millis(1), limits::TIMEOUT_MAX));
        let tls = object.get("tls").and_then(|node| UpstreamTlsSpec::read(node, reader));
        let words = [("http1", Protocol::Http1), ("http2", Protocol::Http2), ("auto", Protocol::Auto)];
        let protocol = object.get("protocol").and_then(|node| reader.word(node, "`protocol`", &words, &["http3"]));
        if let Some(At { value: Protocol::Auto, place }) = protocol
            && object.get("tls").is_none()
        {
            let hint = "write `tls: {}`, or `http2` for prior knowledge";
            reader.faults.error_hint(place, "`protocol: auto` without TLS: there is nobody to agree with", hint);
        }
        let words = [("v1", Version::V1), ("v2", Version::V2)];
        let proxy_protocol = object.get("proxy_protocol");
        let proxy_protocol = proxy_protocol.and_then(|node| reader.word(node, "`proxy_protocol`", &words, &[]));
        if let (Some(At { place, .. }), Some(At { value: Protocol::Http2 | Protocol::Auto, .. })) =
            (proxy_protocol, protocol)
        {
            let hint = "write `protocol: http1`, or leave the headers to X-Forwarded-For";
            let what = "a connection that names one client cannot speak HTTP/2, which carries the requests of many";
            reader.faults.error_hint(place, what, hint);
        }
        let proxy_protocol = proxy_protocol.map(|at| at.value);
        let resilience = ResilienceSpec::read(&object, reader);
        object.close();
        let balance = balance.map(|at| at.value);
        Some(Self {
            name: name.clone(),
            servers,
            balance,
            pool,
            connect_time,
            tls,
            protocol,
            proxy_protocol,
            resilience,
        })
    }
}

impl ServerSpec {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        if matches!(node.value, Value::Scalar(_)) {
            let text = reader.text(node, "a server")?;
            let address = server_address(&text, reader)?;
            return Some(Self { address, place: text.place, weight: None });
        }
        let object = reader.object(node, &SERVER)?;
        let text = object.get("address").and_then(|node| reader.text(node, "`address`"));
        if object.lacks("address") {
            reader.faults.error_hint(object.place, "a server needs an address", "write `address: 127.0.0.1:9000`");
        }
        let address = text.as_ref().and_then(|text| server_address(text, reader));
        let weight = object.get("weight").and_then(|node| reader.number(node, "`weight`", 1, limits::WEIGHT_MAX));
        object.close();
        Some(Self { address: address?, place: text?.place, weight: weight.map(|number| number as u16) })
    }
}

fn server_address(text: &Text, reader: &mut Reader<'_>) -> Option<ServerAddressSpec> {
    match parse_server(&text.text) {
        Ok(address) => Some(address),
        Err((what, hint)) => {
            reader.faults.error_hint(text.place, what, hint);
            None
        }
    }
}

/// `127.0.0.1:9000`, `[::1]:9000`, `backend.local:9000`, `unix:path`; otherwise what is wrong, and what to write.
pub fn parse_server(text: &str) -> Result<ServerAddressSpec, (String, String)> {
    if let Some(path) = text.strip_prefix("unix:") {
        if path.is_empty() {
            return Err(("no path behind `unix:`".into(), "write unix:/run/backend.sock".into()));
        }
        return Ok(ServerAddressSpec::Unix(path.into()));
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        let hint = if scheme == "http" {
            format!("write {}", rest.trim_end_matches('/'))
        } else {
            "write host:port".to_owned()
        };
        return Err(("a server is an address, not a URL".into(), hint));
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        if address.port() == 0 {
            return Err((format!("`{text}` has no port to connect to"), "write a port from 1 to 65535".into()));
        }
        return Ok(ServerAddressSpec::Socket(address));
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err((format!("`{text}` has no port"), format!("write {text}:80")));
    };
    match values::number(port) {
        Some(port @ 1..=65_535) if values::is_host(host) && looks_like_a_name(host) => {
            Ok(ServerAddressSpec::Name { host: host.to_ascii_lowercase().into(), port: port as u16 })
        }
        Some(1..=65_535) => Err((
            format!("`{host}` is neither a host name nor an IP address"),
            "write host:port; an IPv6 address in brackets".into(),
        )),
        _ => Err((format!("`{port}` is not a port"), "a port is a number from 1 to 65535".into())),
    }
}

/// A name whose last label is a number would be a broken IPv4 address.
fn looks_like_a_name(host: &str) -> bool {
    host.rsplit('.').next().is_some_and(|label| label.bytes().any(|byte| !byte.is_ascii_digit()))
}

impl PoolSpec {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let object = reader.object(node, &POOL)?;
        let most = u64::from(limits::CONNECTIONS_MAX);
        let idle = object.get("idle").and_then(|node| reader.number(node, "`idle`", 0, most));
        let idle_time = object
            .get("idle_time")
            .and_then(|node| reader.time(node, "`idle_time`", Duration::from_millis(1), limits::SETTING_TIME_MAX));
        let connections = object.get("connections").and_then(|node| reader.number(node, "`connections`", 1, most));
        object.close();
        Some(Self {
            idle: idle.map(|number| number as u32),
            idle_time,
            connections: connections.map(|number| number as u32),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers() {
        assert_eq!(
            parse_server("127.0.0.1:9000"),
            Ok(ServerAddressSpec::Socket(SocketAddr::from(([127, 0, 0, 1], 9000))))
        );
        assert!(matches!(parse_server("[::1]:9000"), Ok(ServerAddressSpec::Socket(_))));
        assert_eq!(
            parse_server("Backend.local:80"),
            Ok(ServerAddressSpec::Name { host: "backend.local".into(), port: 80 })
        );
        assert_eq!(parse_server("unix:/x"), Ok(ServerAddressSpec::Unix("/x".into())));
        for (text, hint) in [
            ("unix:", "unix:/run"),
            ("http://a:1/", "write a:1"),
            ("https://a", "host:port"),
            ("a", "a:80"),
            ("a:0", "1 to 65535"),
            ("127.0.0.1:0", "1 to 65535"),
            ("a:x", "1 to 65535"),
            ("999.1.1.1:80", "host:port"),
            ("::1:80", "brackets"),
            ("a b:80", "host:port"),
            (":80", "host:port"),
        ] {
            let (_, said) = parse_server(text).unwrap_err();
            assert!(said.contains(hint), "{text}: {said}");
        }
    }
}
