//! Host and the parts of a request target: which spellings of "where to" are accepted (rows S13 to S19).

use core::net::Ipv6Addr;

use super::bytes::{HOST, PLAIN};
use super::misbehave::Misbehaviour;
use crate::head::{RequestHead, Span};
use crate::limits;

/// A host and port taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Authority<'a> {
    /// The host without port; an IPv6 literal keeps its brackets.
    pub(super) host: &'a [u8],
    /// The port, if one was written.
    pub(super) port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// `name`, `name:port`, `[v6]` or `[v6]:port`; letters, digits, `-`, `_` and dots between labels that are not empty.
    /// One trailing dot is accepted (row P04), and so is a colon without a port (RFC 3986 §3.2.3). No user, no list, no escapes.
    pub(super) fn parse(text: &'a [u8]) -> Result<Authority<'a>, Misbehaviour> {
        let host_len = match text {
            [b'[', ..] => literal_len(text),
            _ => name_len(text),
        };
        let (host, rest) = host_len
            .filter(|len| *len <= limits::HOST_MAX)
            .and_then(|len| text.split_at_checked(len))
            .ok_or(Misbehaviour::HostMalformed)?;
        let port = match rest {
            [] | [b':'] => None,
            [b':', digits @ ..] => Some(port(digits).ok_or(Misbehaviour::HostMalformed)?),
            _ => return Err(Misbehaviour::HostMalformed),
        };
        Ok(Authority { host, port })
    }

    /// Whether both mean the same place; a port that is not written is the scheme's.
    fn same(&self, other: &Authority<'_>, scheme_port: u16) -> bool {
        let plain = |host: &'a [u8]| host.strip_suffix(b".").unwrap_or(host);
        let others = other.host.strip_suffix(b".").unwrap_or(other.host);
        plain(self.host).eq_ignore_ascii_case(others)
            && self.port.unwrap_or(scheme_port) == other.port.unwrap_or(scheme_port)
    }
}

/// Whether two spellings of a host and port mean the same place; a port that is not written is the scheme's.
pub(crate) fn same_place(one: &[u8], other: &[u8], scheme_port: u16) -> Result<bool, Misbehaviour> {
    Ok(Authority::parse(one)?.same(&Authority::parse(other)?, scheme_port))
}

/// Bytes of the name at the start, if its labels are sound.
fn name_len(text: &[u8]) -> Option<usize> {
    // A dot may stand where a label has been, so not first.
    let mut before = b'.';
    let mut len = 0;
    for byte in text {
        if !HOST[*byte as usize] {
            break;
        }
        if *byte == b'.' && before == b'.' {
            return None;
        }
        before = *byte;
        len += 1;
    }
    (len > 0).then_some(len)
}

/// Bytes of the bracketed literal at the start, if it is an IPv6 address. Zones are of one machine, and no later version is known.
fn literal_len(text: &[u8]) -> Option<usize> {
    let end = text.iter().position(|byte| *byte == b']')?;
    let inner = str::from_utf8(&text[1..end]).ok()?;
    inner.parse::<Ipv6Addr>().is_ok().then_some(end + 1)
}

fn port(digits: &[u8]) -> Option<u16> {
    if digits.is_empty() || digits.len() > 5 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0_u32, |number, digit| number * 10 + u32::from(digit - b'0'));
    u16::try_from(number).ok()
}

/// Takes the target apart: path, query, authority; refuses methods that have another kind of target.
pub(super) fn split_target(buf: &[u8], head: &mut RequestHead) -> Result<(), Misbehaviour> {
    let method = head.method.of(buf);
    match method {
        b"CONNECT" => return Err(Misbehaviour::ConnectRefused),
        b"TRACE" => return Err(Misbehaviour::TraceRefused),
        _ => {}
    }
    let target = head.target.of(buf);
    head.authority = None;
    head.asterisk = false;
    let start = head.target.start as usize;
    match target {
        [b'/', ..] => split_path(buf, head, start),
        [b'*'] if method != b"OPTIONS" => Err(Misbehaviour::AsteriskNotOptions),
        [b'*'] => {
            head.asterisk = true;
            head.path = head.target;
            head.query = None;
            Ok(())
        }
        _ => {
            let slashes = scheme_len(target).ok_or(Misbehaviour::TargetMalformed)?;
            let rest = &target[slashes..];
            let len = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
            let authority = start + slashes;
            head.authority = Some(Span::new(authority, authority + len));
            Authority::parse(&rest[..len])?;
            split_path(buf, head, authority + len)
        }
    }
}

/// Bytes of `http://` or `https://` at the start.
fn scheme_len(target: &[u8]) -> Option<usize> {
    let begins = |with: &[u8]| target.get(..with.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(with));
    if begins(b"http://") {
        Some(b"http://".len())
    } else if begins(b"https://") {
        Some(b"https://".len())
    } else {
        None
    }
}

/// Finds path and query in what remains of the target from `start`, and checks their bytes, in one pass.
fn split_path(buf: &[u8], head: &mut RequestHead, start: usize) -> Result<(), Misbehaviour> {
    let end = head.target.end as usize;
    let text = &buf[start..end];
    let mut question = None;
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        at += 1;
        if PLAIN[*byte as usize] {
            continue;
        }
        match byte {
            b'#' => return Err(Misbehaviour::FragmentInTarget),
            0x80.. => return Err(Misbehaviour::TargetNotAscii),
            // What the query holds is the backend's affair.
            _ if question.is_some() => {}
            b'%' => match text.get(at..at + 2) {
                Some(b"00") => return Err(Misbehaviour::EscapedNul),
                Some([high, low]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => at += 2,
                _ => return Err(Misbehaviour::EscapeMalformed),
            },
            _ => question = Some(start + at - 1),
        }
    }
    let path_end = question.unwrap_or(end);
    head.query = question.map(|at| Span::new(at + 1, end));
    // An absolute target may end with its authority; the path is then the second slash of `//`, which is a `/` as good as any.
    head.path = match head.authority {
        Some(authority) if start == path_end => Span::new(authority.start as usize - 1, authority.start as usize),
        _ => Span::new(start, path_end),
    };
    Ok(())
}

/// Settles which host was asked for: from Host, checked against an absolute target's authority (rows S11, S14).
pub(super) fn settle_host(buf: &[u8], head: &mut RequestHead, host: Option<Span>) -> Result<(), Misbehaviour> {
    let asked = match host {
        Some(span) => {
            let asked = Authority::parse(span.of(buf))?;
            head.host = Span::new(span.start as usize, span.start as usize + asked.host.len());
            Some(asked)
        }
        None => None,
    };
    let Some(span) = head.authority else {
        if asked.is_none() {
            head.host = Span::default();
        }
        return Ok(());
    };
    let meant = Authority::parse(span.of(buf))?;
    if let Some(asked) = asked {
        // The byte before `://` tells the schemes apart.
        let scheme_port = if buf[span.start as usize - 4].eq_ignore_ascii_case(&b's') { 443 } else { 80 };
        return if asked.same(&meant, scheme_port) { Ok(()) } else { Err(Misbehaviour::HostMismatch) };
    }
    head.host = Span::new(span.start as usize, span.start as usize + meant.host.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &[u8]) -> Option<(&[u8], Option<u16>)> {
        Authority::parse(text).ok().map(|authority| (authority.host, authority.port))
    }

    #[test]
    fn names_and_ports_are_taken_apart() {
        assert_eq!(parse(b"a.example"), Some((&b"a.example"[..], None)));
        assert_eq!(parse(b"a.example:8080"), Some((&b"a.example"[..], Some(8080))));
        assert_eq!(parse(b"EXAMPLE.com."), Some((&b"EXAMPLE.com."[..], None)));
        assert_eq!(parse(b"127.0.0.1:0"), Some((&b"127.0.0.1"[..], Some(0))));
        assert_eq!(parse(b"my_host-1:65535"), Some((&b"my_host-1"[..], Some(65_535))));
        assert_eq!(parse(b"a.example:"), Some((&b"a.example"[..], None)));
        assert_eq!(parse(b"[::1]:"), Some((&b"[::1]"[..], None)));
    }

    #[test]
    fn literals_keep_their_brackets() {
        assert_eq!(parse(b"[::1]"), Some((&b"[::1]"[..], None)));
        assert_eq!(parse(b"[2001:DB8::1]:443"), Some((&b"[2001:DB8::1]"[..], Some(443))));
        assert_eq!(parse(b"[::ffff:1.2.3.4]"), Some((&b"[::ffff:1.2.3.4]"[..], None)));
    }

    #[test]
    fn s13_other_spellings_are_refused() {
        for text in [
            "",
            ".",
            "..",
            "a..b",
            ".a",
            "a:x",
            "a:-1",
            "a:+1",
            "a:99999",
            "a:123456",
            "a:1:2",
            "a,b",
            "a@b",
            "a/b",
            "a b",
            "a%41",
            "a\\b",
            "a?b",
            "a#b",
            "[",
            "[]",
            "[1]",
            "[::1",
            "[::1]a",
            "[::1]:x",
            "[v1.a]",
            "[::g]",
            "[:::]",
            "[::1::]",
            "[1:2]",
            "[1.2.3.4::]",
            "[::1.2.3]",
            "[::01.2.3.4]",
            "[1:2:3:4:5:6:7:8:9]",
            "[12345::]",
            "[::1%25a]",
            ":80",
            "\u{e4}",
            "a*b",
            "a'b",
            "<a>",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_host_has_a_maximum() {
        let longest = vec![b'a'; limits::HOST_MAX];
        assert!(parse(&longest).is_some());
        assert!(parse(&[&longest[..], b":80"].concat()).is_some());
        assert!(parse(&[&longest[..], b"a"].concat()).is_none());
    }

    #[test]
    fn p04_places_are_compared_without_case_dot_or_default_port() {
        let same = |a: &'static str, b: &'static str, scheme_port| {
            let parse = |text: &'static str| Authority::parse(text.as_bytes()).expect("the tests use good ones");
            parse(a).same(&parse(b), scheme_port)
        };
        assert!(same("a.example", "A.EXAMPLE.", 80));
        assert!(same("a:80", "a", 80));
        assert!(same("a", "a:443", 443));
        assert!(same("a:", "a:80", 80));
        assert!(!same("a", "a:443", 80));
        assert!(!same("a:80", "a:81", 80));
        assert!(!same("a", "b", 80));
        assert!(same("[::1]", "[::1]:80", 80));
    }
}
