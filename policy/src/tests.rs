//! What the unit tests of this crate share: a request that was parsed and routed by the real parser and router.

use codec::head::{Field, HeadLimits, RequestHead, ResponseHead};
use codec::http1::parse::{Progress, parse_request, parse_response};
use codec::target::canonical_path;
use router::{Builder, Captures, HostPattern, Kind, Routes, RoutesBuilder, Table, Template, Verb};

use crate::facts::Facts;

/// A request in its place.
pub struct Scene {
    pub bytes: Vec<u8>,
    pub head: RequestHead,
    pub path: Vec<u8>,
    pub rest: u16,
    pub captures: Captures,
    /// The variables of the path template.
    pub variables: Vec<Box<str>>,
    template: String,
}

impl Scene {
    /// The request `bytes` at an API whose only route is `ANY template` (or `$default`), mapped below `base`.
    pub fn new(kind: Kind, base: &str, template: &str, bytes: &[u8]) -> Self {
        let mut head = RequestHead::new();
        let progress = parse_request(bytes, &mut head, &HeadLimits::REQUEST).unwrap();
        assert!(matches!(progress, Progress::Complete));
        let mut scratch = Vec::new();
        let path = canonical_path(head.path.of(bytes), &mut scratch).unwrap().to_vec();
        let (table, routes, variables) = table(kind, base, template);
        let rest = table.locate(head.host.of(bytes), &path, false, |_, _| false).unwrap().rest;
        let mut captures = Captures::new();
        let verb = Verb::parse(head.method.of(bytes)).unwrap();
        routes.find(&path, rest, verb, &mut captures).unwrap();
        let template = template.to_owned();
        Self { bytes: bytes.to_vec(), head, path, rest, captures, variables, template }
    }

    /// `GET target` with some field lines.
    pub fn get(template: &str, target: &str, fields: &str) -> Self {
        let text = format!("GET {target} HTTP/1.1\r\nHost: api.example.com\r\n{fields}\r\n");
        Self::new(Kind::Rest, "/", template, text.as_bytes())
    }

    pub fn facts(&self) -> Facts<'_> {
        Facts {
            head_bytes: &self.bytes,
            head: &self.head,
            path: &self.path,
            rest: self.rest,
            captures: &self.captures,
            api_id: b"a1b2c3",
            stage: b"prod",
            resource_path: self.template.as_bytes(),
            request_id: b"01234567-89ab-4def-8123-456789abcdef",
            extended_request_id: b"q83vASNFZ4mrze8=",
            source_ip: b"203.0.113.9",
            time_epoch_ms: 1_700_000_000_123,
            tls: None,
            client: None,
            identity: None,
            api_key: None,
            waf: None,
        }
    }
}

/// A table of one stage, its only route, and the names of the route's variables.
fn table(kind: Kind, base: &str, template: &str) -> (Table, Routes, Vec<Box<str>>) {
    let mut routes = RoutesBuilder::new(kind);
    let mut variables = Vec::new();
    if template == "$default" {
        routes.default_route(0).unwrap();
    } else {
        let template = Template::parse(template).unwrap();
        routes.route(None, &template, 0).unwrap();
        variables = template.variables().to_vec();
    }
    let mut builder = Builder::new();
    let api = builder.api("a1b2c3", kind);
    let stage = builder.stage(api, "prod", 0);
    builder.map(&HostPattern::parse("*").unwrap(), base, stage).unwrap();
    (builder.build(), routes.build(), variables)
}

/// A parsed request's field, the first after Host, with the bytes that it stands in.
pub fn request_field(line: &str) -> (Field, Vec<u8>) {
    let text = format!("POST / HTTP/1.1\r\nHost: h\r\n{line}\r\n\r\n").into_bytes();
    let mut head = RequestHead::new();
    parse_request(&text, &mut head, &HeadLimits::REQUEST).unwrap();
    (head.fields[1], text)
}

/// A parsed answer's first field.
pub fn response_field(line: &str) -> Field {
    let text = format!("HTTP/1.1 200 OK\r\n{line}\r\n\r\n");
    let mut head = ResponseHead::new();
    parse_response(text.as_bytes(), &mut head, false, &HeadLimits::RESPONSE).unwrap();
    head.fields[0]
}
