//! What must hold for any bytes: called by the fuzz targets, and by the tests that replay their corpus with stable Rust.

use std::net::{IpAddr, Ipv4Addr};

use codec::head::{HeadLimits, RequestHead};
use codec::http1::parse::{Progress, parse_request};

use crate::hops::{By, Hops, Said};
use crate::networks::{Network, Networks};

/// Whatever field lines a client sends, the hop that adds its own behind them is the one that is believed; and what is believed has
/// its form, so that it can be written anywhere.
pub fn hops(lines: &[u8]) {
    let trusted = Network::new(Ipv4Addr::new(10, 0, 0, 0).into(), 8).expect("eight bits");
    let client = IpAddr::from([203, 0, 113, 9]);
    for by in [By::XForwardedFor, By::Forwarded] {
        let hops = Hops { from: Networks::new([trusted], true), by, proto: true, host: true, port: true };
        with_head(lines, &[], |head, bytes| has_its_form(&hops.ask(&head.fields, bytes)));
        let added: &[&[u8]] = match by {
            By::XForwardedFor => &[b"X-Forwarded-For: 203.0.113.9\r\n", b"X-Forwarded-For: 203.0.113.9, 10.1.2.3\r\n"],
            By::Forwarded => {
                &[b"Forwarded: for=203.0.113.9;host=h\r\n", b"Forwarded: for=203.0.113.9;host=h, for=10.1.2.3\r\n"]
            }
        };
        for added in added {
            with_head(lines, added, |head, bytes| {
                let said = hops.ask(&head.fields, bytes);
                assert_eq!(said.client, Some(client), "{}", bytes.escape_ascii());
                assert!(by == By::XForwardedFor || said.host == Some(b"h"), "{}", bytes.escape_ascii());
                has_its_form(&said);
            });
        }
    }
}

fn with_head(lines: &[u8], added: &[u8], look: impl FnOnce(&RequestHead, &[u8])) {
    let bytes = [b"GET / HTTP/1.1\r\nHost: a\r\n", lines, added, b"\r\n"].concat();
    let mut head = RequestHead::new();
    let read = parse_request(&bytes, &mut head, &HeadLimits::REQUEST);
    let are_lines = lines.is_empty() || lines.ends_with(b"\r\n");
    // What ends the head early leaves out what was added.
    if are_lines && matches!(read, Ok(Progress::Complete)) && head.length == bytes.len() {
        look(&head, &bytes);
    }
}

fn has_its_form(said: &Said<'_>) {
    assert!(said.port != Some(0));
    if let Some(host) = said.host {
        assert!(!host.is_empty() && host.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(byte)));
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_property_holds_for_nothing() {
        super::hops(b"");
    }
}
