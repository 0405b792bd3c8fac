//! The part `gateway`: listeners, limits, and the places of the process.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::Duration;

use policy::hops::Hops;

use crate::diagnostic::Place;
use crate::limits;
use crate::model::clients::{ClientsSpec, HSTS, HTTPS_REDIRECT, MUTUAL_TLS};
use crate::model::cloud::{self, CloudSpec};
use crate::model::field::{Field, Table, Type};
use crate::model::firewall::{FIREWALL_FIELD, FirewallSpec};
use crate::model::principals::{PRINCIPAL, PrincipalSpec};
use crate::model::reader::Reader;
use crate::model::throttle::{self, ACCOUNT, AccountSpec, RATE_LIMIT_FIELDS};
use crate::model::tls::{TLS, TlsSpec};
use crate::model::trust::{self, PROXY_PROTOCOL, TRUSTED_PROXIES};
use crate::model::values::{self, At};
use crate::snapshot::{ProxyProtocol, Tell};
use crate::source::node::{Node, Text, Value};

/// The part `gateway`, as written.
#[derive(Debug, Clone)]
pub struct GatewaySpec {
    /// Where the part begins.
    pub place: Place,
    /// Where clients are accepted.
    pub listen: Vec<ListenSpec>,
    /// Where health and metrics are answered.
    pub admin: Option<At<SocketAddr>>,
    /// The socket for commands.
    pub control: Option<Text>,
    /// Where the gateway keeps what must outlive it.
    pub state: Option<Text>,
    /// Worker threads; `None`: one per core.
    pub workers: Option<NonZeroUsize>,
    /// Where a line per request goes; `None`: nowhere.
    pub access_log: Option<Text>,
    /// What a client may ask of us.
    pub limits: LimitsSpec,
    /// Whether a document that changes is loaded again by itself.
    pub watch: bool,
    /// Who is asked for the addresses of names.
    pub resolvers: Vec<SocketAddr>,
    /// Whose word on a client's address is believed.
    pub trusted_proxies: Option<Hops>,
    /// Of all APIs together.
    pub account: AccountSpec,
    /// When clients are told of limits.
    pub rate_limit_fields: Option<Tell>,
    /// What ARNs name, and who runs functions.
    pub cloud: CloudSpec,
    /// Who may sign requests.
    pub principals: Vec<PrincipalSpec>,
    /// Rules on addresses and requests of all APIs.
    pub firewall: Option<FirewallSpec>,
}

/// One listener, as written.
#[derive(Debug, Clone)]
pub struct ListenSpec {
    /// Where.
    pub address: AddressSpec,
    /// Where that is written.
    pub place: Place,
    /// Connections that may queue.
    pub backlog: Option<u32>,
    /// Whether execute-api names are answered.
    pub execute_api: Option<bool>,
    /// Whether HTTP/2 is spoken without TLS, where the field stands.
    pub h2c: Option<At<bool>>,
    /// What it proves itself with; `None`: plain HTTP.
    pub tls: Option<TlsSpec>,
    /// Who says in front of a connection whose it is.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// What clients have to prove, and how they are told to use TLS.
    pub clients: ClientsSpec,
}

impl ListenSpec {
    /// Whether others than this machine can reach it.
    pub fn is_open(&self) -> bool {
        matches!(&self.address, AddressSpec::Tcp(address) if !address.ip().to_canonical().is_loopback())
    }
}

/// An address, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressSpec {
    /// IP and port.
    Tcp(SocketAddr),
    /// The path behind `unix:`.
    Unix(Box<str>),
}

/// How large a request's body may be, as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodySpec {
    /// This many bytes.
    Bytes(u64),
    /// Any size.
    Unlimited,
}

/// The part `limits`, as written.
#[derive(Debug, Clone, Default)]
pub struct LimitsSpec {
    /// Header fields of a request.
    pub head_fields: Option<u16>,
    /// Bytes of all header fields.
    pub head_field_bytes: Option<u32>,
    /// Bytes of the request target.
    pub head_target: Option<u32>,
    /// Bytes of the whole head.
    pub head_bytes: Option<u32>,
    /// Of a request's body.
    pub body: Option<At<BodySpec>>,
    /// From a connection to the end of its TLS handshake.
    pub handshake_time: Option<Duration>,
    /// To the end of the head.
    pub header_time: Option<Duration>,
    /// Between requests.
    pub idle_time: Option<Duration>,
    /// Between two bytes of a body.
    pub body_idle_time: Option<Duration>,
    /// Bytes a second of a request's body.
    pub body_rate: Option<u32>,
    /// Bytes a second that a client takes of its answer.
    pub send_rate: Option<u32>,
    /// Bytes a second of a backend's answer.
    pub answer_rate: Option<u32>,
    /// Open at once, for each worker.
    pub connections: Option<u32>,
    /// Of one client address, over all workers.
    pub connections_per_address: Option<u32>,
    /// Worked on at once, for each worker.
    pub requests: Option<u32>,
    /// Silence in both directions of a connection that is passed through.
    pub tunnel_idle_time: Option<Duration>,
    /// Its whole life.
    pub tunnel_time: Option<Duration>,
    /// After TERM.
    pub drain_time: Option<Duration>,
    /// On one connection.
    pub requests_per_connection: Option<u32>,
    /// Requests at once on one connection of HTTP/2.
    pub http2_streams: Option<u32>,
    /// Bytes that a client may send ahead of what is read of a request on such a connection.
    pub http2_window: Option<u32>,
}

/// The fields of `gateway`.
pub const GATEWAY: Table = Table {
    name: "`gateway`",
    fields: &[
        Field::new("listen", Type::List(&LISTEN), "where clients are accepted").short(Type::Address).needed(),
        Field::new("admin", Type::Address, "where /healthz, /readyz, /metrics and /status are answered"),
        Field::new("control", Type::Path, "the socket for commands"),
        Field::new("state", Type::Path, "the folder for what must outlive the process"),
        Field::new("workers", Type::Number, "worker threads, or auto: one per core that the process may use")
            .or(&["auto"]),
        Field::new("access_log", Type::Object(&ACCESS_LOG), "where a line per request goes").short(Type::Text),
        Field::new("limits", Type::Object(&LIMITS), "what a client may ask of us"),
        Field::new("watch", Type::Flag, "true: documents that change are loaded again, without `tollgate reload`"),
        Field::new(
            "resolvers",
            Type::TextList,
            "name servers that know the backends' names; those of the system by default",
        ),
        Field::new(
            "trusted_proxies",
            Type::Object(&TRUSTED_PROXIES),
            "proxies in front whose X-Forwarded-For is believed",
        )
        .short(Type::TextList),
        Field::new("account", Type::Object(&ACCOUNT), "limits of all APIs together, as those of an AWS account"),
        RATE_LIMIT_FIELDS,
        cloud::REGION,
        cloud::ACCOUNT_ID,
        cloud::LAMBDA,
        Field::new("principals", Type::List(&PRINCIPAL), "who may sign with AWS Signature Version 4"),
        FIREWALL_FIELD,
        Field::later("include", "further documents"),
    ],
};

/// The fields of a listener.
pub const LISTEN: Table = Table {
    name: "a listener",
    fields: &[
        Field::new("address", Type::Address, "an IP address and a port, or unix:path").needed(),
        Field::new("backlog", Type::Number, "connections that may queue before they are accepted"),
        Field::new(
            "execute_api",
            Type::Flag,
            "whether {api}.execute-api.* names are answered; true on loopback and Unix sockets",
        ),
        Field::new("tls", Type::Object(&TLS), "TLS with this certificate, for every name that no domain has one for"),
        Field::new("h2c", Type::Flag, "true: HTTP/2 as well, for clients that know it and begin with it, without TLS"),
        Field::new(
            "proxy_protocol",
            Type::Object(&PROXY_PROTOCOL),
            "balancers in front that begin each connection with a PROXY header, version 1 or 2",
        )
        .short(Type::TextList),
        MUTUAL_TLS,
        HTTPS_REDIRECT,
        HSTS,
        Field::later("domains", "the only domains that this listener serves"),
    ],
};

/// The fields of `access_log`.
pub const ACCESS_LOG: Table = Table {
    name: "`access_log`",
    fields: &[
        Field::new("to", Type::Text, "stdout, none, or a file").needed(),
        Field::new("format", Type::Word(&["json"]), "json; a $context format string later"),
    ],
};

/// The fields of `limits`.
pub const LIMITS: Table = Table {
    name: "`limits`",
    fields: &[
        Field::new("head", Type::Object(&HEAD), "of a request's head"),
        Field::new("body", Type::Size, "bytes of a request's body, or unlimited").or(&["unlimited"]),
        Field::new("handshake_time", Type::Time, "from a connection to the end of its TLS handshake"),
        Field::new("header_time", Type::Time, "from a request's first byte to the end of its head"),
        Field::new("idle_time", Type::Time, "how long a kept connection may be silent between requests"),
        Field::new("body_idle_time", Type::Time, "the longest pause between two bytes of a body, in either direction"),
        Field::new(
            "body_rate",
            Type::Size,
            "bytes a second that a request's body brings at least, on average over body_idle_time; 0: any",
        ),
        Field::new(
            "send_rate",
            Type::Size,
            "bytes a second that a client takes of its answer at least, while it is waited for; 0: any",
        ),
        Field::new(
            "answer_rate",
            Type::Size,
            "bytes a second that the body of a backend's answer brings at least; 0, the default: any",
        ),
        Field::new(
            "connections",
            Type::Number,
            "connections that one worker holds at once; fewer where files are short",
        ),
        Field::new(
            "connections_per_address",
            Type::Number,
            "connections of one IPv4 address, or of one IPv6 network of 64 bits, over all workers, each with `http2.streams` requests at \
             once; 0, the default: any number",
        ),
        Field::new(
            "requests",
            Type::Number,
            "requests that one worker works on at once, others are told 503; 0, the default: any number",
        ),
        Field::new(
            "tunnel_idle_time",
            Type::Time,
            "how long a WebSocket connection that is passed through may be silent in both directions; 10m by default",
        ),
        Field::new("tunnel_time", Type::Time, "how long it may live; 2h by default"),
        Field::new("drain_time", Type::Time, "how long open requests may go on after TERM"),
        Field::new(
            "requests_per_connection",
            Type::Number,
            "requests after which a connection is closed; 0: unlimited",
        ),
        Field::new("http2", Type::Object(&HTTP2), "of connections that speak HTTP/2"),
    ],
};

/// The fields of `limits.http2`.
pub const HTTP2: Table = Table {
    name: "`limits.http2`",
    fields: &[
        Field::new("streams", Type::Number, "requests at once on one connection; 128 by default"),
        Field::new(
            "window",
            Type::Size,
            "bytes of a request's body that a client may send before they are read; 64KiB by default",
        ),
    ],
};

/// The fields of `limits.head`.
pub const HEAD: Table = Table {
    name: "`limits.head`",
    fields: &[
        Field::new("fields", Type::Number, "header fields"),
        Field::new("field_bytes", Type::Size, "bytes of all header fields together"),
        Field::new("target", Type::Size, "bytes of the request target"),
        Field::new("bytes", Type::Size, "bytes of the whole head"),
    ],
};

impl GatewaySpec {
    /// Reads the part.
    pub fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let object = reader.object(node, &GATEWAY)?;
        if object.lacks("listen") {
            no_listener(object.place, reader);
        }
        let listen = object.get("listen").map(|node| reader.list(node)).unwrap_or_default();
        let listen = listen.iter().filter_map(|node| ListenSpec::read(node, reader)).collect();
        let admin = object.get("admin").and_then(|node| admin(node, reader));
        let control = object.get("control").and_then(|node| reader.text(node, "`control`"));
        let state = object.get("state").and_then(|node| reader.text(node, "`state`"));
        let workers = object.get("workers").and_then(|node| workers(node, reader));
        let access_log = object.get("access_log").and_then(|node| access_log(node, reader));
        let limits = object.get("limits").and_then(|node| LimitsSpec::read(node, reader)).unwrap_or_default();
        let watch = object.get("watch").and_then(|node| reader.flag(node, "`watch`")).unwrap_or_default();
        let resolvers = object.get("resolvers").map(|node| resolvers(node, reader)).unwrap_or_default();
        let trusted_proxies = object.get("trusted_proxies").and_then(|node| trust::trusted_proxies(node, reader));
        let account = object.get("account").and_then(|node| AccountSpec::read(node, reader)).unwrap_or_default();
        let rate_limit_fields = throttle::rate_limit_fields(&object, reader);
        let cloud = CloudSpec::read(&object, reader);
        let principals = object.get("principals").map(|node| reader.list(node)).unwrap_or_default();
        let principals = principals.iter().filter_map(|node| PrincipalSpec::read(node, reader)).collect();
        let firewall = object.get("firewall").and_then(|node| FirewallSpec::read(node, reader));
        object.close();
        let place = node.place;
        Some(Self {
            place,
            listen,
            admin,
            control,
            state,
            workers,
            access_log,
            limits,
            watch,
            resolvers,
            trusted_proxies,
            account,
            rate_limit_fields,
            cloud,
            principals,
            firewall,
        })
    }

    /// A document without the part.
    pub fn absent(place: Place, reader: &mut Reader<'_>) -> Option<Self> {
        no_listener(place, reader);
        None
    }
}

fn no_listener(place: Place, reader: &mut Reader<'_>) {
    reader.faults.error_hint(
        Place { length: 1, ..place },
        "no listener: the gateway would serve nobody",
        "write `gateway: {listen: 127.0.0.1:8080}`; plain HTTP has to be asked for",
    );
}

impl ListenSpec {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        if let Value::Scalar(text) = &node.value {
            let address = address(text, reader)?;
            return Some(Self {
                address,
                place: node.place,
                backlog: None,
                execute_api: None,
                h2c: None,
                tls: None,
                proxy_protocol: None,
                clients: ClientsSpec::default(),
            });
        }
        let object = reader.object(node, &LISTEN)?;
        let written = object.get("address");
        if object.lacks("address") {
            reader.faults.error_hint(object.place, "a listener needs an address", "write `address: 127.0.0.1:8080`");
        }
        let text = written.and_then(|node| reader.text(node, "`address`"));
        let read = text.as_ref().and_then(|text| address(text, reader));
        let backlog =
            object.get("backlog").and_then(|node| reader.number(node, "`backlog`", 1, limits::BACKLOG_MAX.into()));
        let execute_api = object.get("execute_api").and_then(|node| reader.flag(node, "`execute_api`"));
        let h2c = object.get("h2c").and_then(|node| {
            let value = reader.flag(node, "`h2c`")?;
            Some(At { value, place: node.place })
        });
        let tls = object.get("tls").and_then(|node| TlsSpec::read(node, reader));
        let proxy_protocol = object.get("proxy_protocol").and_then(|node| trust::proxy_protocol(node, reader));
        let clients = ClientsSpec::read(&object, reader);
        object.close();
        let backlog = backlog.map(|number| number as u32);
        Some(Self { address: read?, place: text?.place, backlog, execute_api, h2c, tls, proxy_protocol, clients })
    }
}

fn address(text: &Text, reader: &mut Reader<'_>) -> Option<AddressSpec> {
    if let Some(path) = text.text.strip_prefix("unix:") {
        if path.is_empty() {
            reader.faults.error_hint(text.place, "no path behind `unix:`", "write unix:run/tollgate.sock");
            return None;
        }
        return Some(AddressSpec::Unix(path.into()));
    }
    match values::socket(&text.text) {
        Ok(address) => Some(AddressSpec::Tcp(address)),
        Err((what, hint)) => {
            reader.faults.error_hint(text.place, what, hint);
            None
        }
    }
}

fn admin(node: &Node, reader: &mut Reader<'_>) -> Option<At<SocketAddr>> {
    let text = reader.text(node, "`admin`")?;
    match values::socket(&text.text) {
        Ok(value) => Some(At { value, place: text.place }),
        Err((what, hint)) => {
            reader.faults.error_hint(text.place, what, hint);
            None
        }
    }
}

/// IP addresses, each with its port unless that is 53.
fn resolvers(node: &Node, reader: &mut Reader<'_>) -> Vec<SocketAddr> {
    let listed = reader.list(node);
    if listed.is_empty() || listed.len() > limits::RESOLVERS_MAX {
        let most = limits::RESOLVERS_MAX;
        reader.faults.error_hint(
            node.place,
            format!("`resolvers` needs from 1 to {most} addresses"),
            "without the field, /etc/resolv.conf says who is asked",
        );
        return Vec::new();
    }
    let mut one = |node: &Node| {
        let text = reader.text(node, "`resolvers`")?;
        let address = text.text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
        let address = address.or_else(|_| text.text.parse::<SocketAddr>()).ok().filter(|address| address.port() != 0);
        if address.is_none() {
            let hint = "write an IP address, with a port unless it is 53: 10.0.0.2 or 127.0.0.1:5353";
            reader.faults.error_hint(text.place, format!("`{}` is not a name server", text.text), hint);
        }
        address
    };
    listed.iter().filter_map(&mut one).collect()
}

fn workers(node: &Node, reader: &mut Reader<'_>) -> Option<NonZeroUsize> {
    if matches!(&node.value, Value::Scalar(text) if &*text.text == "auto") {
        return None;
    }
    let number = reader.number(node, "`workers`, unless it is auto,", 1, limits::WORKERS_MAX as u64)?;
    NonZeroUsize::new(number as usize)
}

/// `access_log: stdout` is short for `access_log: {to: stdout}`. `none` is `None`.
fn access_log(node: &Node, reader: &mut Reader<'_>) -> Option<Text> {
    let to = if matches!(node.value, Value::Scalar(_)) {
        reader.text(node, "`access_log`")
    } else {
        let object = reader.object(node, &ACCESS_LOG)?;
        let to = object.get("to").and_then(|node| reader.text(node, "`to`"));
        if object.lacks("to") {
            reader.faults.error_hint(
                object.place,
                "`access_log` needs `to`",
                "write `to: stdout`, `to: none`, or a file",
            );
        }
        if let Some(node) = object.get("format") {
            format(node, reader);
        }
        object.close();
        to
    };
    to.filter(|text| &*text.text != "none")
}

fn format(node: &Node, reader: &mut Reader<'_>) {
    let is_context = matches!(&node.value, Value::Scalar(text) if text.text.contains('$'));
    if is_context {
        reader.faults.error_hint(
            node.place,
            "a $context format string is not available in this version",
            "write `format: json`",
        );
        return;
    }
    reader.word(node, "`format`", &[("json", ())], &["clf", "csv", "xml"]);
}

impl LimitsSpec {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let object = reader.object(node, &LIMITS)?;
        let mut spec = Self::default();
        if let Some(node) = object.get("head") {
            spec.read_head(node, reader);
        }
        spec.body = object.get("body").and_then(|node| body(node, reader));
        let second = Duration::from_secs(1);
        let mut time = |name: &str, least: Duration| {
            object.get(name).and_then(|node| reader.time(node, &format!("`{name}`"), least, limits::SETTING_TIME_MAX))
        };
        spec.handshake_time = time("handshake_time", second);
        spec.header_time = time("header_time", second);
        spec.idle_time = time("idle_time", second);
        spec.body_idle_time = time("body_idle_time", second);
        spec.tunnel_idle_time = time("tunnel_idle_time", second);
        spec.tunnel_time = time("tunnel_time", second);
        spec.drain_time = time("drain_time", Duration::ZERO);
        let mut rate = |name: &str| {
            object
                .get(name)
                .and_then(|node| reader.size(node, &format!("`{name}`"), 0, limits::RATE_MAX))
                .map(|bytes| bytes as u32)
        };
        spec.body_rate = rate("body_rate");
        spec.send_rate = rate("send_rate");
        spec.answer_rate = rate("answer_rate");
        let mut number = |name: &str, least: u64, most: u64| {
            object
                .get(name)
                .and_then(|node| reader.number(node, &format!("`{name}`"), least, most))
                .map(|number| number as u32)
        };
        spec.connections = number("connections", 1, limits::CONNECTIONS_MAX.into());
        spec.connections_per_address = number("connections_per_address", 0, u32::MAX.into());
        spec.requests = number("requests", 0, u32::MAX.into());
        spec.requests_per_connection = number("requests_per_connection", 0, u32::MAX.into());
        if let Some(node) = object.get("http2") {
            spec.read_http2(node, reader);
        }
        object.close();
        Some(spec)
    }

    fn read_http2(&mut self, node: &Node, reader: &mut Reader<'_>) {
        let Some(object) = reader.object(node, &HTTP2) else { return };
        let streams = object
            .get("streams")
            .and_then(|node| reader.number(node, "`streams`", 1, limits::HTTP2_STREAMS_MAX.into()));
        self.http2_streams = streams.map(|number| number as u32);
        let (least, most) = (limits::HTTP2_WINDOW_MIN.into(), limits::HTTP2_WINDOW_MAX.into());
        let window = object.get("window").and_then(|node| reader.size(node, "`window`", least, most));
        self.http2_window = window.map(|bytes| bytes as u32);
        object.close();
    }

    fn read_head(&mut self, node: &Node, reader: &mut Reader<'_>) {
        let Some(object) = reader.object(node, &HEAD) else { return };
        self.head_fields = object
            .get("fields")
            .and_then(|node| reader.number(node, "`fields`", 1, limits::HEAD_FIELDS_MAX))
            .map(|number| number as u16);
        let mut size = |name: &str| {
            object
                .get(name)
                .and_then(|node| reader.size(node, &format!("`{name}`"), 64, limits::HEAD_BYTES_MAX))
                .map(|size| size as u32)
        };
        self.head_field_bytes = size("field_bytes");
        self.head_target = size("target");
        self.head_bytes = size("bytes");
        object.close();
    }
}

fn body(node: &Node, reader: &mut Reader<'_>) -> Option<At<BodySpec>> {
    let place = node.place;
    if matches!(&node.value, Value::Scalar(text) if &*text.text == "unlimited") {
        return Some(At { value: BodySpec::Unlimited, place });
    }
    reader
        .size(node, "`body`, unless it is unlimited,", 0, u64::MAX)
        .map(|bytes| At { value: BodySpec::Bytes(bytes), place })
}
