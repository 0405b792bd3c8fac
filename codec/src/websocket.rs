//! The opening handshake of WebSocket (RFC 6455 §4): what a client asks for, and whether an answer agrees to it.
//!
//! Whoever passes a handshake on has to know both sides of it: bytes that follow a handshake which was not agreed to are
//! requests, and must be read as such (RFC 9931; rows C04 to C08).

use data_encoding::BASE64;
use sha1::{Digest as _, Sha1};

use crate::head::{Fate, Field, Fields, Framing, Name, RequestHead, ResponseHead, Version};

/// What a server proves its consent with (RFC 6455 §4.2.2): the value of its `Sec-WebSocket-Accept`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accept([u8; Accept::LEN]);

/// A client's side of a handshake: what an answer is measured by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// Who agrees answers with this.
    pub accept: Accept,
    /// The values of `Sec-WebSocket-Protocol`, as one list.
    protocols: Vec<u8>,
    /// The values of `Sec-WebSocket-Extensions`, as one list.
    extensions: Vec<u8>,
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// No WebSocket.
    Nothing,
    /// One.
    Handshake(Handshake),
    /// One, in a form that is none: another method than GET, a body, no key or a wrong one, no version (§4.1, §4.2.1).
    Malformed,
    /// One of another version than 13.
    OtherVersion,
}

/// What is hashed behind the key (§1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The only version (§4.1).
pub const VERSION: &[u8] = b"13";

impl Accept {
    /// 20 bytes in base64.
    pub const LEN: usize = 28;

    /// For this key, if it is 16 bytes in base64.
    pub fn of(key: &[u8]) -> Option<Accept> {
        let mut bytes = [0; 18];
        let is_key = key.len() == 24 && BASE64.decode_mut(key, &mut bytes) == Ok(16);
        if !is_key {
            return None;
        }
        let hash = Sha1::new().chain_update(key).chain_update(GUID).finalize();
        let mut accept = [0; Accept::LEN];
        BASE64.encode_mut(&hash, &mut accept);
        Some(Accept(accept))
    }

    /// The field's value.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A key for a handshake of ours: 16 bytes in base64. Nothing hangs on its secrecy (RFC 6455 §10.3).
pub fn key(random: u128) -> [u8; 24] {
    let mut key = [0; 24];
    BASE64.encode_mut(&random.to_ne_bytes(), &mut key);
    key
}

/// What a request asks for. An `Upgrade` that no `Connection` names means nothing (RFC 9110 §7.8), nor does one of HTTP/1.0.
pub fn asked(head: &RequestHead, bytes: &[u8]) -> Asked {
    let fields = &head.fields;
    let wanted =
        has_token(fields, bytes, Name::Upgrade, b"websocket") && has_token(fields, bytes, Name::Connection, b"upgrade");
    if !wanted || head.version == Version::Http10 {
        return Asked::Nothing;
    }
    let has_body = !matches!(head.framing, Framing::None | Framing::Length(0));
    if head.method.of(bytes) != b"GET" || has_body {
        return Asked::Malformed;
    }
    let (key, version) = (only(fields, bytes, Name::SecWebSocketKey), only(fields, bytes, Name::SecWebSocketVersion));
    match (key.and_then(Accept::of), version) {
        (Some(accept), Some(version)) if version == VERSION => Asked::Handshake(Handshake {
            accept,
            protocols: passing(fields, bytes, Name::SecWebSocketProtocol),
            extensions: passing(fields, bytes, Name::SecWebSocketExtensions),
        }),
        (Some(_), Some(_)) => Asked::OtherVersion,
        _ => Asked::Malformed,
    }
}

/// Whether an answer with status 101 agrees to this handshake, and to nothing else: a client would end the connection for a
/// subprotocol or an extension that it has not offered (§4.1).
pub fn agrees(head: &ResponseHead, bytes: &[u8], handshake: &Handshake) -> bool {
    let fields = &head.fields;
    let mut upgrades = values(fields, bytes, Name::Upgrade).flat_map(tokens);
    let is_websocket = upgrades.next().is_some_and(|first| first.eq_ignore_ascii_case(b"websocket"));
    let mut proofs = values(fields, bytes, Name::SecWebSocketAccept);
    let is_proven = proofs.next() == Some(handshake.accept.as_bytes());
    let is_named = has_token(fields, bytes, Name::Connection, b"upgrade");
    let is_handshake = is_websocket && upgrades.next().is_none() && is_named && is_proven && proofs.next().is_none();
    is_handshake && chooses_protocol(fields, bytes, handshake) && chooses_extensions(fields, bytes, handshake)
}

/// One subprotocol of those that were offered, or none (§4.2.2). Their names differ by case.
fn chooses_protocol(fields: &Fields, bytes: &[u8], handshake: &Handshake) -> bool {
    let mut chosen = values(fields, bytes, Name::SecWebSocketProtocol);
    let Some(protocol) = chosen.next() else { return true };
    chosen.next().is_none() && tokens(&handshake.protocols).any(|offered| offered == protocol)
}

/// Some of the extensions that were offered, with whatever parameters they were agreed on.
fn chooses_extensions(fields: &Fields, bytes: &[u8], handshake: &Handshake) -> bool {
    let chosen = values(fields, bytes, Name::SecWebSocketExtensions).flat_map(extensions);
    let is_offered = |name: &[u8]| extensions(&handshake.extensions).any(|offered| offered.eq_ignore_ascii_case(name));
    chosen.into_iter().all(is_offered)
}

/// The names in a list of extensions (§9.1): `name; parameter="a, b", name`.
fn extensions(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    let is_comma = move |byte: &u8| {
        match *byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b',' => return !quoted,
            _ => {}
        }
        false
    };
    let names = value.split(is_comma).map(|element| element.split(|byte| *byte == b';').next().unwrap_or_default());
    names.map(<[u8]>::trim_ascii).filter(|name| !name.is_empty())
}

/// The values of a field that go further than this connection, as one list.
fn passing(fields: &Fields, bytes: &[u8], name: Name) -> Vec<u8> {
    let passes = |field: &&Field| field.known == name && field.fate == Fate::Pass;
    let values: Vec<&[u8]> = fields.iter().filter(passes).map(|field| field.value.of(bytes)).collect();
    values.join(&b',')
}

fn values<'a>(fields: &'a Fields, bytes: &'a [u8], name: Name) -> impl Iterator<Item = &'a [u8]> {
    fields.iter().filter(move |field| field.known == name).map(|field| field.value.of(bytes))
}

/// The value of a field that stands there once, and goes further than this connection.
fn only<'a>(fields: &'a Fields, bytes: &'a [u8], name: Name) -> Option<&'a [u8]> {
    let mut found = fields.iter().filter(|field| field.known == name);
    let passes = |field: &&Field| field.fate == Fate::Pass;
    let value = found.next().filter(passes).map(|field| field.value.of(bytes));
    value.filter(|_| found.next().is_none())
}

fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

fn has_token(fields: &Fields, bytes: &[u8], name: Name, token: &[u8]) -> bool {
    values(fields, bytes, name).flat_map(tokens).any(|found| found.eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::HeadLimits;
    use crate::http1::parse::{Progress, parse_request, parse_response};

    const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    const THIRTEEN: &str = "Sec-WebSocket-Version: 13\r\n";
    const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\n";

    fn ask(line: &str, fields: &str) -> Asked {
        let text = format!("{line}\r\nHost: a\r\n{fields}\r\n");
        let mut head = RequestHead::new();
        let parsed = parse_request(text.as_bytes(), &mut head, &HeadLimits::default());
        assert!(matches!(parsed, Ok(Progress::Complete)), "{text}: {parsed:?}");
        asked(&head, text.as_bytes())
    }

    fn get(fields: &str) -> Asked {
        ask("GET /chat HTTP/1.1", fields)
    }

    /// The key of all of these, with nothing offered.
    fn plain() -> Handshake {
        let accept = Accept::of(b"dGhlIHNhbXBsZSBub25jZQ==").expect("a key");
        Handshake { accept, protocols: Vec::new(), extensions: Vec::new() }
    }

    #[test]
    fn the_example_of_the_standard() {
        let accept = plain().accept;
        assert_eq!(accept.as_bytes(), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(get(&format!("{UPGRADE}{KEY}{THIRTEEN}")), Asked::Handshake(plain()));
        let lists = "Upgrade: h2c, WebSocket\r\nConnection: keep-alive\r\nConnection: x, UPGRADE\r\n";
        assert_eq!(get(&format!("{lists}{KEY}{THIRTEEN}")), Asked::Handshake(plain()));
        let empty = format!("{UPGRADE}{KEY}{THIRTEEN}Content-Length: 0\r\n");
        assert_eq!(get(&empty), Asked::Handshake(plain()), "a body of no bytes is none");
    }

    #[test]
    fn what_asks_for_nothing() {
        for fields in
            ["", "Upgrade: h2c\r\nConnection: Upgrade\r\n", "Upgrade: websocket\r\n", "Connection: Upgrade\r\n"]
        {
            assert_eq!(get(&format!("{fields}{KEY}{THIRTEEN}")), Asked::Nothing, "{fields}");
        }
        assert_eq!(ask("GET / HTTP/1.0", &format!("{UPGRADE}{KEY}{THIRTEEN}")), Asked::Nothing);
    }

    #[test]
    fn c07_a_handshake_has_a_key_and_version_13() {
        let broken = [
            THIRTEEN.to_owned(),
            KEY.to_owned(),
            format!("{KEY}{KEY}{THIRTEEN}"),
            format!("{KEY}{THIRTEEN}{THIRTEEN}"),
            format!("Sec-WebSocket-Key: \r\n{THIRTEEN}"),
            format!("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j\r\n{THIRTEEN}"),
            format!("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==\r\n{THIRTEEN}"),
            format!("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=!\r\n{THIRTEEN}"),
        ];
        for fields in broken {
            assert_eq!(get(&format!("{UPGRADE}{fields}")), Asked::Malformed, "{fields}");
        }
        // Named as a matter of this connection, the key would not reach the backend.
        let named = format!("Upgrade: websocket\r\nConnection: Upgrade, Sec-WebSocket-Key\r\n{KEY}{THIRTEEN}");
        assert_eq!(get(&named), Asked::Malformed);
        for version in ["8", "013", "13, 8", "x", ""] {
            let fields = format!("{UPGRADE}{KEY}Sec-WebSocket-Version: {version}\r\n");
            assert_eq!(get(&fields), Asked::OtherVersion, "{version}");
        }
    }

    #[test]
    fn c08_a_handshake_is_a_get_without_a_body() {
        let all = format!("{UPGRADE}{KEY}{THIRTEEN}");
        assert_eq!(ask("POST / HTTP/1.1", &all), Asked::Malformed);
        assert_eq!(get(&format!("{all}Content-Length: 1\r\n")), Asked::Malformed);
        assert_eq!(get(&format!("{all}Transfer-Encoding: chunked\r\n")), Asked::Malformed);
    }

    #[test]
    fn c05_who_agrees_says_so_in_three_fields() {
        let agreed = |fields: &str| is_agreed(fields, &plain());
        let proof = PROOF;
        assert!(agreed(&format!("{UPGRADE}{proof}")));
        assert!(agreed(&format!("connection: UPGRADE\r\nupgrade: WebSocket\r\n{proof}")));
        let broken = [
            UPGRADE.to_owned(),
            proof.to_owned(),
            format!("Upgrade: websocket\r\n{proof}"),
            format!("Connection: Upgrade\r\n{proof}"),
            format!("Upgrade: h2c\r\nConnection: Upgrade\r\n{proof}"),
            format!("Upgrade: websocket, h2c\r\nConnection: Upgrade\r\n{proof}"),
            format!("{UPGRADE}{proof}{proof}"),
            format!("{UPGRADE}Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
        ];
        for fields in broken {
            assert!(!agreed(&fields), "{fields}");
        }
    }

    const PROOF: &str = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

    fn is_agreed(fields: &str, handshake: &Handshake) -> bool {
        let text = format!("HTTP/1.1 101 Switching Protocols\r\n{fields}\r\n");
        let mut head = ResponseHead::new();
        let parsed = parse_response(text.as_bytes(), &mut head, false, &HeadLimits::RESPONSE);
        assert!(matches!(parsed, Ok(Progress::Complete)), "{text}: {parsed:?}");
        agrees(&head, text.as_bytes(), handshake)
    }

    /// Whether a client that offers the one is content with the other.
    fn is_content(offered: &str, chosen: &str) -> bool {
        let Asked::Handshake(handshake) = get(&format!("{UPGRADE}{KEY}{THIRTEEN}{offered}")) else {
            panic!("no handshake: {offered}");
        };
        is_agreed(&format!("{UPGRADE}{PROOF}{chosen}"), &handshake)
    }

    #[test]
    fn c05_a_subprotocol_is_one_of_those_that_were_offered() {
        let field = "Sec-WebSocket-Protocol";
        let two = format!("{field}: chat, talk\r\n{field}: x.y\r\n");
        assert!(is_content("", "") && is_content(&two, ""), "none is needed");
        for chosen in ["chat", "talk", "x.y"] {
            assert!(is_content(&two, &format!("{field}: {chosen}\r\n")), "{chosen}");
        }
        for chosen in ["other", "Chat", "cha", "chat, talk", "chat,", ""] {
            assert!(!is_content(&two, &format!("{field}: {chosen}\r\n")), "{chosen}");
        }
        assert!(!is_content("", &format!("{field}: chat\r\n")));
        assert!(!is_content(&two, &format!("{field}: chat\r\n{field}: chat\r\n")), "one field, not two");
    }

    #[test]
    fn c05_extensions_are_some_of_those_that_were_offered() {
        let field = "Sec-WebSocket-Extensions";
        let two =
            format!("{field}: permessage-deflate; client_max_window_bits, a; b=\"c, d; \\\", e\"\r\n{field}: f\r\n");
        let good = [
            "permessage-deflate",
            "permessage-deflate; server_max_window_bits=10",
            "a, f",
            "f;x=\"d, e\", PERMESSAGE-DEFLATE",
            "",
        ];
        for chosen in good {
            assert!(is_content(&two, &format!("{field}: {chosen}\r\n")), "{chosen}");
        }
        assert!(is_content(&two, &format!("{field}: a\r\n{field}: f\r\n")));
        for chosen in ["d", "e", "b", "client_max_window_bits", "a, d", "permessage", "x; permessage-deflate"] {
            assert!(!is_content(&two, &format!("{field}: {chosen}\r\n")), "{chosen}");
        }
        assert!(!is_content("", &format!("{field}: permessage-deflate\r\n")));
    }
}
