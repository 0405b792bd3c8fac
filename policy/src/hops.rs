//! Proxies in front that the operator trusts: what they say of the client is believed, and nobody else's word (row P06).
//!
//! Each hop adds the address of whoever spoke to it at the end of the list. So the list is walked from its end, over those that are
//! trusted; the first one that is not is the client, and what stands before it is its own invention.

use std::net::{IpAddr, SocketAddr};

use codec::head::{Fate, Field, Fields, Name};
use serde::{Deserialize, Serialize};

use crate::limits::{HOPS_MAX, HOST_TEXT_BYTES_MAX};
use crate::networks::Networks;

/// Who is trusted, and with what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hops {
    /// The hops.
    pub from: Networks,
    /// The field that they write. The other one is not looked at: a hop that does not know it passes on what its client sent.
    pub by: By,
    /// Whether they say how the client came.
    pub proto: bool,
    /// Whether they say which host it asked for.
    pub host: bool,
    /// Whether they say at which port.
    pub port: bool,
}

/// The field that names the hops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum By {
    /// `X-Forwarded-For`, with `-Proto`, `-Host` and `-Port` beside it.
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// What trusted hops say of a request. Whatever is `None` is as the connection has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Said<'a> {
    /// The client's address.
    pub client: Option<IpAddr>,
    /// Whether it came by TLS.
    pub tls: Option<bool>,
    /// The host that it asked for, as it is written; a name or an address, perhaps with a port.
    pub host: Option<&'a [u8]>,
    /// The port at which it was accepted.
    pub port: Option<u16>,
}

impl Hops {
    /// What a request says that came from one of them. `bytes` are what the fields' spans are places in.
    pub fn ask<'a>(&self, fields: &Fields, bytes: &'a [u8]) -> Said<'a> {
        let mut said = match self.by {
            By::XForwardedFor => self.by_x_forwarded(fields, bytes),
            By::Forwarded => self.by_forwarded(fields, bytes),
        };
        if said.port.is_none() && self.port {
            // The port of whoever came by `https` is not ours, where that is 8080.
            let of_host = said.host.and_then(port_of_host);
            said.port = of_host.or_else(|| said.tls.map(|tls| if tls { 443 } else { 80 }));
        }
        said
    }

    fn by_x_forwarded<'a>(&self, fields: &Fields, bytes: &'a [u8]) -> Said<'a> {
        let list = |name| elements(fields, bytes, name);
        let (mut client, mut place) = (None, 0);
        for (at, element) in list(Name::XForwardedFor).enumerate().take(HOPS_MAX) {
            let Some(ip) = address(element) else { break };
            (client, place) = (Some(ip), at);
            if !self.from.contain(Some(ip)) {
                break;
            }
        }
        // One value is the whole truth; of several, the one beside the client's address, if there is one for each address.
        let beside = |name| {
            let mut all = list(name);
            let (last, more) = (all.next()?, all.next().is_some());
            if !more {
                return Some(last);
            }
            let count = |name| list(name).take(LISTED_MAX).count();
            (count(name) == count(Name::XForwardedFor)).then(|| list(name).nth(place)).flatten()
        };
        let tls = if self.proto { beside(Name::XForwardedProto).and_then(is_tls) } else { None };
        let host = if self.host { beside(Name::XForwardedHost).filter(|host| is_host(host)) } else { None };
        let port = if self.port { beside(Name::XForwardedPort).and_then(port) } else { None };
        Said { client, tls, host, port }
    }

    fn by_forwarded<'a>(&self, fields: &Fields, bytes: &'a [u8]) -> Said<'a> {
        let mut said = Said::default();
        for element in elements(fields, bytes, Name::Forwarded).take(HOPS_MAX) {
            let Some(hop) = Element::read(element) else { break };
            let Some(ip) = hop.client.and_then(address) else { break };
            said.client = Some(ip);
            said.tls = hop.proto.filter(|_| self.proto).and_then(is_tls);
            said.host = hop.host.filter(|host| self.host && is_host(host));
            if !self.from.contain(Some(ip)) {
                break;
            }
        }
        said
    }
}

/// More elements than this are not counted: a head has no room for many more addresses.
const LISTED_MAX: usize = 1_024;

/// The elements of a list in all fields of a name, the last one first; empty ones are none.
fn elements<'a>(fields: &Fields, bytes: &'a [u8], name: Name) -> impl Iterator<Item = &'a [u8]> {
    let of_name = move |field: &&Field| field.known == name && field.fate == Fate::Pass;
    let values = fields.iter().rev().filter(of_name).map(|field| field.value.of(bytes));
    let all = values.flat_map(|value| value.rsplit(|byte| *byte == b','));
    all.map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// An address as hops write it: alone, in brackets, or with a port.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(text).ok()?;
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let ip = match bare {
        Some(bare) => IpAddr::V6(bare.parse().ok()?),
        None => text.parse().or_else(|_| text.parse().map(|address: SocketAddr| address.ip())).ok()?,
    };
    Some(ip.to_canonical())
}

fn is_tls(proto: &[u8]) -> Option<bool> {
    let is = |word: &str| proto.eq_ignore_ascii_case(word.as_bytes());
    match () {
        () if is("https") || is("wss") => Some(true),
        () if is("http") || is("ws") => Some(false),
        () => None,
    }
}

fn port(text: &[u8]) -> Option<u16> {
    let digits = (1..=5).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    str::from_utf8(text).ok()?.parse().ok().filter(|port| digits && *port != 0)
}

/// A name or an address, perhaps with a port: nothing that could mean anything else wherever it is written.
fn is_host(text: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if text.len() > HOST_TEXT_BYTES_MAX {
        return false;
    }
    let (name, rest) = match text.strip_prefix(b"[") {
        Some(literal) => {
            let Some(end) = literal.iter().position(|byte| *byte == b']') else { return false };
            let (literal, rest) = (str::from_utf8(&literal[..end]), &literal[end + 1..]);
            if !literal.is_ok_and(|literal| literal.parse::<std::net::Ipv6Addr>().is_ok()) {
                return false;
            }
            (&b"literal"[..], rest)
        }
        None => text.split_at(text.iter().position(|byte| *byte == b':').unwrap_or(text.len())),
    };
    let is_port = rest.is_empty() || rest.strip_prefix(b":").and_then(port).is_some();
    !name.is_empty() && name.iter().all(plain) && is_port
}

fn port_of_host(host: &[u8]) -> Option<u16> {
    let colon = host.iter().rposition(|byte| *byte == b':')?;
    port(&host[colon + 1..])
}

/// What one element of `Forwarded` says, without quotes.
#[derive(Default)]
struct Element<'a> {
    client: Option<&'a [u8]>,
    proto: Option<&'a [u8]>,
    host: Option<&'a [u8]>,
}

impl<'a> Element<'a> {
    /// `None`: it has not the form of RFC 7239 §4, or says something twice. A comma or a semicolon in quotes is none of what we look
    /// for, and ends the element: what a client left open can so swallow nothing that a hop has added.
    fn read(text: &'a [u8]) -> Option<Element<'a>> {
        let mut element = Element::default();
        for pair in text.split(|byte| *byte == b';').map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_at(pair.iter().position(|byte| *byte == b'=')?);
            let value = plain(&value[1..])?;
            let place = match () {
                () if name.eq_ignore_ascii_case(b"for") => &mut element.client,
                () if name.eq_ignore_ascii_case(b"proto") => &mut element.proto,
                () if name.eq_ignore_ascii_case(b"host") => &mut element.host,
                () => continue,
            };
            if place.replace(value).is_some() {
                return None;
            }
        }
        Some(element)
    }
}

/// A value without its quotes; one that needs an escape is nothing that we look for.
fn plain(value: &[u8]) -> Option<&[u8]> {
    let bare = match value {
        [b'"', bare @ .., b'"'] => bare,
        _ => value,
    };
    (!bare.contains(&b'"') && !bare.contains(&b'\\')).then_some(bare)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use codec::head::{HeadLimits, RequestHead};
    use codec::http1::parse::{Progress, parse_request};
    use proptest::prelude::*;

    use super::*;
    use crate::networks::Network;

    fn hops(by: By) -> Hops {
        let network = |ip: [u8; 4], bits| Network::new(ip.into(), bits).expect("a range");
        let six = Network::new("2001:db8::".parse().expect("an address"), 32).expect("a range");
        let from = Networks::new([network([10, 0, 0, 0], 8), network([127, 0, 0, 1], 32), six], true);
        Hops { from, by, proto: true, host: true, port: true }
    }

    fn head(fields: &str) -> (RequestHead, Vec<u8>) {
        let bytes = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n").into_bytes();
        let mut head = RequestHead::new();
        let read = parse_request(&bytes, &mut head, &HeadLimits::REQUEST);
        assert!(matches!(read, Ok(Progress::Complete)), "{fields}: {read:?}");
        (head, bytes)
    }

    /// In the form of the file: client, proto, host and port, `-` for what is not said.
    fn told(hops: &Hops, fields: &str) -> String {
        let (head, bytes) = head(fields);
        let said = hops.ask(&head.fields, &bytes);
        let or = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        let host = said.host.map(|host| String::from_utf8_lossy(host).into_owned());
        let proto = said.tls.map(|tls| if tls { "https" } else { "http" }.to_owned());
        let (client, port) = (said.client.map(|ip| ip.to_string()), said.port.map(|port| port.to_string()));
        format!("{} {} {} {}", or(client), or(proto), or(host), or(port))
    }

    #[test]
    fn p06_the_table() {
        let (mut hops, mut cases, mut fields) = (hops(By::XForwardedFor), 0, String::new());
        for (number, line) in include_str!("hops.txt").lines().enumerate() {
            let number = number + 1;
            match line.split_once(' ').unwrap_or((line, "")) {
                ("#" | "", _) => {}
                ("by", "X-Forwarded-For") => hops.by = By::XForwardedFor,
                ("by", "Forwarded") => hops.by = By::Forwarded,
                ("believe", what) => {
                    (hops.proto, hops.host, hops.port) =
                        (what.contains("proto"), what.contains("host"), what.contains("port"));
                }
                ("=", expected) => {
                    assert_eq!(told(&hops, &fields), expected, "line {number}:\n{fields}");
                    fields.clear();
                    cases += 1;
                }
                _ => writeln!(fields, "{line}\r").expect("text"),
            }
        }
        assert!(cases > 60 && fields.is_empty(), "{cases} cases");
    }

    #[test]
    fn the_walk_is_bounded() {
        let long = format!("X-Forwarded-For: 203.0.113.9{}\r\n", ", 10.0.0.1".repeat(HOPS_MAX));
        assert_eq!(told(&hops(By::XForwardedFor), &long), "10.0.0.1 - - -", "nobody has so many hops");
        let fits = format!("X-Forwarded-For: 203.0.113.9{}\r\n", ", 10.0.0.1".repeat(HOPS_MAX - 1));
        assert_eq!(told(&hops(By::XForwardedFor), &fits), "203.0.113.9 - - -");
    }

    /// What the walk means, written from the other end: cut the list before the last one that is not a trusted address.
    fn slow(hops: &Hops, elements: &[&str]) -> Option<IpAddr> {
        let parsed: Vec<Option<IpAddr>> = elements.iter().map(|text| text.parse().ok()).collect();
        let is_trusted = |ip: &Option<IpAddr>| ip.is_some_and(|ip| hops.from.contain(Some(ip)));
        let first_of_ours = parsed.iter().rposition(|ip| !is_trusted(ip)).map_or(0, |at| at + 1);
        let before = first_of_ours.checked_sub(1).and_then(|at| parsed[at]);
        before.or_else(|| parsed.get(first_of_ours).copied().flatten())
    }

    const ELEMENTS: &[&str] = &[
        "10.0.0.1",
        "10.9.9.9",
        "127.0.0.1",
        "203.0.113.9",
        "198.51.100.1",
        "2001:db8::1",
        "2001:db9::1",
        "unknown",
        "_x",
        "10.0.0.256",
    ];

    proptest! {
        #[test]
        fn both_forms_say_the_same(
            list in prop::collection::vec(prop::sample::select(ELEMENTS), 0..12),
            cuts in prop::collection::vec(any::<bool>(), 12),
        ) {
            let (mut x, mut forwarded) = (String::new(), String::new());
            for (at, (element, cut)) in list.iter().zip(cuts).enumerate() {
                let quoted = if element.contains(':') { format!("for=\"[{element}]\"") } else { format!("For={element}") };
                let between = match (at, cut) {
                    (0, _) => ["X-Forwarded-For: ", "Forwarded: "],
                    (_, false) => [", ", ","],
                    (_, true) => ["\r\nX-Forwarded-For:", "\r\nForwarded:"],
                };
                write!(x, "{}{element}", between[0]).expect("text");
                write!(forwarded, "{}{quoted};by=_me", between[1]).expect("text");
            }
            let end = if list.is_empty() { "" } else { "\r\n" };
            let expected = slow(&hops(By::XForwardedFor), &list);
            for (by, fields) in [(By::XForwardedFor, &x), (By::Forwarded, &forwarded)] {
                let (head, bytes) = head(&format!("{fields}{end}"));
                prop_assert_eq!(hops(by).ask(&head.fields, &bytes).client, expected, "{}", fields);
            }
        }

        #[test]
        fn whatever_a_client_writes_changes_nothing(junk in "[ -~]{0,60}", quoted in any::<bool>()) {
            // What a client sent stands before what the trusted hop has added, whatever it is.
            let junk = if quoted { format!("\"{junk}") } else { junk };
            for (by, fields) in [
                (By::XForwardedFor, format!("X-Forwarded-For: {junk}, 203.0.113.9, 10.0.0.1\r\n")),
                (By::Forwarded, format!("Forwarded: {junk}, for=203.0.113.9;proto=https;host=h, for=10.0.0.1;host=x\r\n")),
            ] {
                let (head, bytes) = head(&fields);
                let said = hops(by).ask(&head.fields, &bytes);
                prop_assert_eq!(said.client, Some([203, 0, 113, 9].into()), "{}", fields);
                if by == By::Forwarded {
                    prop_assert_eq!((said.tls, said.host), (Some(true), Some(&b"h"[..])));
                }
            }
        }

        #[test]
        fn what_is_believed_has_its_form(value in "[ -~]{0,40}") {
            for name in ["Proto", "Host", "Port"] {
                let (head, bytes) = head(&format!("X-Forwarded-{name}: {value}\r\n"));
                let said = hops(By::XForwardedFor).ask(&head.fields, &bytes);
                if let Some(host) = said.host {
                    prop_assert!(host.iter().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(byte)));
                }
                prop_assert!(said.port != Some(0));
            }
        }
    }
}
