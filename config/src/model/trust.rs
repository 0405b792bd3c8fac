//! Who is trusted to say where a client is: `proxy_protocol` of listeners, `trusted_proxies` of the gateway (rows P06, P07).

use std::net::IpAddr;

use policy::hops::{By, Hops};
use policy::networks::{Network, Networks};

use crate::diagnostic::Diagnostics;
use crate::limits;
use crate::model::field::{Field, Table, Type};
use crate::model::reader::Reader;
use crate::model::values;
use crate::snapshot::{Others, ProxyProtocol};
use crate::source::node::{Node, Text, Value};

/// The fields of a listener's `proxy_protocol`.
pub const PROXY_PROTOCOL: Table = Table {
    name: "`proxy_protocol`",
    fields: &[
        Field::new("from", Type::TextList, "the balancers in front, by address or range: 10.0.0.0/8, ::1, unix")
            .needed(),
        Field::new(
            "others",
            Type::Word(&["refuse", "serve"]),
            "what becomes of whoever else connects: refuse, or serve without such a header; refuse by default",
        ),
    ],
};

/// The fields of `trusted_proxies`.
pub const TRUSTED_PROXIES: Table = Table {
    name: "`trusted_proxies`",
    fields: &[
        Field::new("from", Type::TextList, "the proxies in front, by address or range: 10.0.0.0/8, ::1, unix").needed(),
        Field::new(
            "header",
            Type::Word(&["x-forwarded-for", "forwarded"]),
            "the field that they all write; the other one is not looked at; x-forwarded-for by default",
        ),
        Field::new(
            "believe",
            Type::TextList,
            "what else they say of a client: proto, port and host; proto and port by default. A proxy that does not write such a field passes on what its client sent",
        ),
    ],
};

/// Reads `proxy_protocol` of a listener; a list alone is that of the balancers.
pub fn proxy_protocol(node: &Node, reader: &mut Reader<'_>) -> Option<ProxyProtocol> {
    const HINT: &str = "write `proxy_protocol: {from: [10.0.0.0/8]}`, with the balancers' addresses";
    if !matches!(node.value, Value::Map(_)) {
        return Some(ProxyProtocol { from: networks(node, "`proxy_protocol`", reader), others: Others::Refused });
    }
    let object = reader.object(node, &PROXY_PROTOCOL)?;
    if object.lacks("from") {
        reader.faults.error_hint(object.place, "`proxy_protocol` needs `from`: nobody could connect", HINT);
    }
    let from = object.get("from").map(|node| networks(node, "`from`", reader)).unwrap_or_default();
    let words = [("refuse", Others::Refused), ("serve", Others::Served)];
    let others = object.get("others").and_then(|node| reader.word(node, "`others`", &words, &[]));
    object.close();
    Some(ProxyProtocol { from, others: others.map_or(Others::Refused, |others| others.value) })
}

/// Reads `trusted_proxies`; a list alone is that of the proxies.
pub fn trusted_proxies(node: &Node, reader: &mut Reader<'_>) -> Option<Hops> {
    if !matches!(node.value, Value::Map(_)) {
        let from = networks(node, "`trusted_proxies`", reader);
        return Some(Hops { from, by: By::XForwardedFor, proto: true, host: false, port: true });
    }
    let object = reader.object(node, &TRUSTED_PROXIES)?;
    if object.lacks("from") {
        let hint = "write `trusted_proxies: {from: [10.0.0.0/8]}`, with the proxies' addresses";
        reader.faults.error_hint(object.place, "`trusted_proxies` needs `from`: nobody is trusted", hint);
    }
    let from = object.get("from").map(|node| networks(node, "`from`", reader)).unwrap_or_default();
    let words = [("x-forwarded-for", By::XForwardedFor), ("forwarded", By::Forwarded)];
    let by = object.get("header").and_then(|node| reader.word(node, "`header`", &words, &["x-real-ip"]));
    let by = by.map_or(By::XForwardedFor, |by| by.value);
    let mut hops = Hops { from, by, proto: true, host: false, port: true };
    if let Some(node) = object.get("believe") {
        (hops.proto, hops.port) = (false, false);
        for node in reader.list(node) {
            let words = [("proto", Word::Proto), ("host", Word::Host), ("port", Word::Port)];
            match reader.word(node, "`believe`", &words, &[]).map(|word| word.value) {
                Some(Word::Proto) => hops.proto = true,
                Some(Word::Host) => hops.host = true,
                Some(Word::Port) => hops.port = true,
                None => {}
            }
        }
    }
    object.close();
    Some(hops)
}

#[derive(Clone, Copy)]
enum Word {
    Proto,
    Host,
    Port,
}

/// Ranges of addresses, and `unix` for the peers of Unix sockets.
fn networks(node: &Node, what: &str, reader: &mut Reader<'_>) -> Networks {
    let listed = reader.list(node);
    if listed.is_empty() {
        let hint = "write the addresses of the machines in front, such as 10.0.0.0/8";
        reader.faults.error_hint(node.place, format!("{what} names nobody"), hint);
    } else if listed.len() > limits::NETWORKS_MAX {
        let most = limits::NETWORKS_MAX;
        reader.faults.error(node.place, format!("{what} has more than {most} ranges"));
        return Networks::default();
    }
    let (mut all, mut unix) = (Vec::new(), false);
    for node in listed {
        let Some(text) = reader.text(node, what) else { continue };
        if &*text.text == "unix" {
            unix = true;
        } else if let Some(network) = network(&text, reader) {
            all.push(network);
        }
    }
    Networks::new(all, unix)
}

fn network(text: &Text, reader: &mut Reader<'_>) -> Option<Network> {
    let network = range(text, reader.faults)?;
    if network.is_everybody() {
        let hint = "name the machines in front alone, or see to it that nobody else can reach the listener";
        let what = format!("`{}` is everybody: any client may say that it is another one", text.text);
        reader.faults.warning(text.place, what, hint);
    }
    Some(network)
}

/// An address, or a range of them.
pub fn range(text: &Text, faults: &mut Diagnostics) -> Option<Network> {
    const HINT: &str = "write an address or a range, such as 10.0.0.0/8, 192.0.2.7 or 2001:db8::/32; or unix";
    let (ip, prefix) = match text.text.split_once('/') {
        Some((ip, prefix)) => (ip, Some(prefix)),
        None => (&*text.text, None),
    };
    let Ok(ip) = ip.parse::<IpAddr>() else {
        faults.error_hint(text.place, format!("`{}` is not a range of addresses", text.text), HINT);
        return None;
    };
    if ip.to_canonical() != ip {
        let hint =
            format!("write {}: an IPv4 client is known by its IPv4 address, however it comes", ip.to_canonical());
        faults.error_hint(text.place, format!("`{}` is an IPv4 address in the form of IPv6", text.text), hint);
        return None;
    }
    let most = if ip.is_ipv4() { 32 } else { 128 };
    let bits = prefix.map_or(Some(most), values::number).and_then(|bits| u8::try_from(bits).ok());
    match bits.ok_or(None).and_then(|bits| Network::new(ip, bits)) {
        Ok(network) => Some(network),
        Err(Some(meant)) => {
            let what = format!("`{}` has bits behind its prefix", text.text);
            faults.error_hint(text.place, what, format!("write {meant}, or {ip} for this address alone"));
            None
        }
        Err(None) => {
            let what = format!("`{}` is not a range of addresses", text.text);
            faults.error_hint(text.place, what, format!("a prefix is a number from 0 to {most}"));
            None
        }
    }
}
