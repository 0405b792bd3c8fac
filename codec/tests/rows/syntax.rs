//! Table 6.3: start lines, field lines and targets.

use codec::head::{Fate, Name, Version};
use codec::http1::misbehave::Misbehaviour;

use crate::{accepted, line, line_refused, passing, pending, refused, request, with};

#[test]
fn s01_a_line_without_a_colon() {
    refused("NoColonHere\r\n", Misbehaviour::NoColon);
    refused("X: y\r\nA\r\n", Misbehaviour::NoColon);
    refused("No colon here\r\n", Misbehaviour::SpaceBeforeColon);
}

#[test]
fn s02_an_empty_name() {
    refused(": y\r\n", Misbehaviour::EmptyName);
    refused("X: y\r\n:\r\n", Misbehaviour::EmptyName);
}

#[test]
fn s03_a_blank_before_the_first_field() {
    let heads: [&[u8]; 3] =
        [b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", b"GET / HTTP/1.1\r\n\tHost: a\r\n\r\n", b"GET / HTTP/1.1\r\n \r\n\r\n"];
    for head in heads {
        assert_eq!(request(head).err(), Some(Misbehaviour::LeadingSpace));
    }
}

#[test]
fn s04_bare_line_feeds() {
    let heads: [&[u8]; 7] = [
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET / HTTP/1.1\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX:\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX\n\r\n",
        b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ];
    for head in heads {
        assert_eq!(request(head).err(), Some(Misbehaviour::BareLf), "{}", head.escape_ascii());
    }
}

#[test]
fn s04_a_bare_line_feed_is_refused_before_the_head_ends() {
    assert_eq!(request(b"GET / HTTP/1.1\r\nHost: a\n").err(), Some(Misbehaviour::BareLf));
}

#[test]
fn s05_bare_carriage_returns() {
    refused("X: a\rb\r\n", Misbehaviour::BareCr);
    refused("X: a\r\r\n", Misbehaviour::BareCr);
    refused("X:\rb\r\n", Misbehaviour::BareCr);
    refused("X: a\r\n\rb", Misbehaviour::BareCr);
    line_refused("GET / HTTP/1.1\r", Misbehaviour::BareCr);
}

#[test]
fn s06_nul_in_a_value() {
    refused("X: a\0b\r\n", Misbehaviour::NulInValue);
    refused("X: \0\r\n", Misbehaviour::NulInValue);
}

#[test]
fn s07_controls_in_a_value() {
    for byte in (0x01..0x20_u8).filter(|byte| !matches!(byte, b'\t' | b'\n' | b'\r')).chain([0x7f]) {
        refused(&format!("X: a{}b\r\n", char::from(byte)), Misbehaviour::ControlInValue);
    }
    let head = accepted("X: a\tb\r\n");
    assert_eq!(head.fields.len(), 2);
}

#[test]
fn s08_opaque_bytes_are_kept_and_not_trimmed() {
    let bytes = b"GET / HTTP/1.1\r\nHost: a\r\nX: \xa0v\x85\xff \r\n\r\n";
    let head = request(bytes).expect("obs-text is opaque");
    assert_eq!(head.fields[1].value.of(bytes), b"\xa0v\x85\xff");
}

#[test]
fn s09_names_that_are_no_tokens() {
    for name in ["X(y)", "X\u{e4}", "a/b", "\"x\"", "X@", "a[0]", "\x01", "a\0", "{x}"] {
        refused(&format!("{name}: z\r\n"), Misbehaviour::NameMalformed);
    }
    let head = b"GET / HTTP/1.1\r\nHost: a\r\nX\x80: y\r\n\r\n";
    assert_eq!(request(head).err(), Some(Misbehaviour::NameMalformed));
    accepted("!#$%&'*+-.^`|~: all marks of a token\r\n");
}

#[test]
fn s10_underscores_go_no_further() {
    let bytes =
        b"GET / HTTP/1.1\r\nHost: a\r\nX_Forwarded_For: 1\r\nX-Forwarded_For: 2\r\nx-amzn-a_b: 3\r\nX-Ok: 4\r\n\r\n";
    let head = request(bytes).expect("they are dropped, not refused");
    let fates: Vec<_> = head.fields.iter().map(|field| field.fate).collect();
    assert_eq!(fates, [Fate::Pass, Fate::Underscore, Fate::Underscore, Fate::Underscore, Fate::Pass]);
}

#[test]
fn s11_no_host() {
    assert_eq!(request(b"GET / HTTP/1.1\r\n\r\n").err(), Some(Misbehaviour::HostMissing));
    assert_eq!(request(b"GET / HTTP/1.1\r\nX: y\r\n\r\n").err(), Some(Misbehaviour::HostMissing));
    assert_eq!(request(b"GET http://a/ HTTP/1.1\r\n\r\n").err(), Some(Misbehaviour::HostMissing));
    let head = request(b"GET / HTTP/1.0\r\n\r\n").expect("HTTP/1.0 needs none");
    assert!(head.host.is_empty());
}

#[test]
fn s12_two_hosts() {
    refused("Host: b\r\n", Misbehaviour::HostTwice);
    refused("host: a\r\n", Misbehaviour::HostTwice);
    assert_eq!(request(b"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n").err(), Some(Misbehaviour::HostTwice));
}

#[test]
fn s13_hosts_that_are_none() {
    for host in ["a,b", "a@b", "a/b", "a:99999", "a..b", ".a", "", "a b", "a:x", "[::1", "a:80:80", "a%2e", "\u{e4}.de"]
    {
        let head = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(request(head.as_bytes()).err(), Some(Misbehaviour::HostMalformed), "{host:?}");
    }
}

#[test]
fn s13_the_host_is_given_without_its_port() {
    for (value, host) in [("a.b:8080", "a.b"), ("A.B.", "A.B."), ("[::1]:80", "[::1]"), ("  x  ", "x")] {
        let bytes = format!("GET / HTTP/1.1\r\nHost: {value}\r\n\r\n");
        let head = request(bytes.as_bytes()).expect("a good host");
        assert_eq!(head.host.of(bytes.as_bytes()), host.as_bytes());
    }
}

#[test]
fn s14_an_absolute_target_for_another_host() {
    for (target, host) in [("http://b/", "a"), ("http://a:81/", "a"), ("https://a:80/", "a"), ("http://a/", "a:443")] {
        let head = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(request(head.as_bytes()).err(), Some(Misbehaviour::HostMismatch), "{target} {host}");
    }
    for (target, host) in [("http://A.x/", "a.X"), ("http://a:80/", "a"), ("https://a/", "a:443"), ("HTTP://a./", "a")]
    {
        let head = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert!(request(head.as_bytes()).is_ok(), "{target} {host}");
    }
}

#[test]
fn s14_an_absolute_target_is_taken_apart() {
    let bytes = b"GET http://a.example:80/p/q?x=1 HTTP/1.1\r\nHost: a.example\r\n\r\n";
    let head = request(bytes).expect("a good target");
    assert_eq!(head.authority.map(|span| span.of(bytes)), Some(&b"a.example:80"[..]));
    assert_eq!(head.path.of(bytes), b"/p/q");
    assert_eq!(head.query.map(|span| span.of(bytes)), Some(&b"x=1"[..]));
    assert_eq!(head.host.of(bytes), b"a.example");
}

#[test]
fn s14_an_absolute_target_without_a_path_has_the_root() {
    let bytes = b"GET http://a HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(request(bytes).expect("a good target").path.of(bytes), b"/");
    let bytes = b"GET https://a?q HTTP/1.1\r\nHost: a\r\n\r\n";
    let head = request(bytes).expect("a good target");
    assert_eq!(head.path.of(bytes), b"/");
    assert_eq!(head.query.map(|span| span.of(bytes)), Some(&b"q"[..]));
}

#[test]
fn s14_an_absolute_target_names_the_host_for_http_1_0() {
    let bytes = b"GET http://a.example:8080/p HTTP/1.0\r\n\r\n";
    assert_eq!(request(bytes).expect("a good target").host.of(bytes), b"a.example");
}

#[test]
fn s15_fragments() {
    for target in ["/a#b", "/#", "/a?b#c", "http://a/#b", "http://a#b"] {
        line_refused(&format!("GET {target} HTTP/1.1"), Misbehaviour::FragmentInTarget);
    }
}

#[test]
fn s16_targets_that_are_none() {
    for target in ["a", "a/b", "?x", "ftp://a/", "http:/a", "http:a"] {
        line_refused(&format!("GET {target} HTTP/1.1"), Misbehaviour::TargetMalformed);
    }
    line_refused("GET http:///a HTTP/1.1", Misbehaviour::HostMalformed);
    line_refused("GET http://u@a/ HTTP/1.1", Misbehaviour::HostMalformed);
    // Two slashes begin a path here, not an authority.
    let bytes = b"GET //b/c HTTP/1.1\r\nHost: a\r\n\r\n";
    let head = request(bytes).expect("a path");
    assert_eq!((head.path.of(bytes), head.authority), (&b"//b/c"[..], None));
}

#[test]
fn s17_raw_bytes_above_ascii_in_the_target() {
    line_refused("GET /\u{e4} HTTP/1.1", Misbehaviour::TargetNotAscii);
    line_refused("GET /?\u{e4} HTTP/1.1", Misbehaviour::TargetNotAscii);
    for bytes in [&b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n"[..], b"GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n"] {
        assert_eq!(request(bytes).err(), Some(Misbehaviour::TargetNotAscii));
    }
}

#[test]
fn s18_escapes() {
    for target in ["/%zz", "/%", "/%4", "/a%4g/b", "/%?x", "/%%41", "/%u002e"] {
        line_refused(&format!("GET {target} HTTP/1.1"), Misbehaviour::EscapeMalformed);
    }
    line_refused("GET /a%00 HTTP/1.1", Misbehaviour::EscapedNul);
    line_refused("GET /%00/b HTTP/1.1", Misbehaviour::EscapedNul);
    line("GET /%41%2f%5C%e4?%zz%00% HTTP/1.1").expect("the query is opaque");
}

#[test]
fn s19_the_asterisk() {
    let bytes = b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n";
    let head = request(bytes).expect("OPTIONS may ask for all");
    assert!(head.asterisk);
    assert_eq!((head.path.of(bytes), head.query), (&b"*"[..], None));
    line_refused("GET * HTTP/1.1", Misbehaviour::AsteriskNotOptions);
    line_refused("options * HTTP/1.1", Misbehaviour::AsteriskNotOptions);
    line_refused("OPTIONS *a HTTP/1.1", Misbehaviour::TargetMalformed);
    line_refused("OPTIONS *?a HTTP/1.1", Misbehaviour::TargetMalformed);
    assert!(!line("OPTIONS / HTTP/1.1").expect("a path").asterisk);
}

#[test]
fn s20_connect_and_trace() {
    line_refused("CONNECT a:443 HTTP/1.1", Misbehaviour::ConnectRefused);
    line_refused("CONNECT / HTTP/1.1", Misbehaviour::ConnectRefused);
    line_refused("TRACE / HTTP/1.1", Misbehaviour::TraceRefused);
    assert_eq!((Misbehaviour::ConnectRefused.status(), Misbehaviour::TraceRefused.status()), (405, 405));
}

#[test]
fn s21_methods() {
    for method in ["get", "Get", "PROPFIND", "M-SEARCH", "x", "connect", "trace"] {
        let bytes = format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n");
        let head = request(bytes.as_bytes()).expect("routing decides about methods");
        assert_eq!(head.method.of(bytes.as_bytes()), method.as_bytes());
    }
    for method in ["G(T", "(", "G\u{e4}T", "G\0T", "{GET}", "GET:"] {
        line_refused(&format!("{method} / HTTP/1.1"), Misbehaviour::MethodMalformed);
    }
    line(&format!("{} / HTTP/1.1", "M".repeat(32))).expect("as long as may be");
    line_refused(&format!("{} / HTTP/1.1", "M".repeat(33)), Misbehaviour::MethodTooLong);
    assert_eq!(Misbehaviour::MethodTooLong.status(), 501);
}

#[test]
fn s22_http_0_9() {
    assert_eq!(request(b"GET /\r\n").err(), Some(Misbehaviour::Http09));
    assert_eq!(request(b"GET /\r\n\r\n").err(), Some(Misbehaviour::Http09));
    line_refused("GET / HTTP/0.9", Misbehaviour::Http09);
    line_refused("GET / HTTP/0.0", Misbehaviour::Http09);
}

#[test]
fn s23_versions() {
    let version = |text: &str| line(text).map(|head| head.version);
    assert_eq!(version("GET / HTTP/1.0"), Ok(Version::Http10));
    for minor in 1..=9 {
        assert_eq!(version(&format!("GET / HTTP/1.{minor}")), Ok(Version::Http11));
    }
    for text in ["HTTP/2.0", "HTTP/3.0", "HTTP/9.9"] {
        line_refused(&format!("GET / {text}"), Misbehaviour::VersionUnsupported);
    }
    assert_eq!(Misbehaviour::VersionUnsupported.status(), 505);
    for text in [
        "http/1.1",
        "HTTP/1",
        "HTTP/1.",
        "HTTP/1.11",
        "HTTP/11.1",
        "HTTP/1,1",
        "HTTPS/1.1",
        "HTTP 1.1",
        "x",
        "HTTP/x.1",
    ] {
        line_refused(&format!("GET / {text}"), Misbehaviour::VersionMalformed);
    }
}

#[test]
fn s23_a_later_1_x_still_needs_its_host() {
    assert_eq!(request(b"GET / HTTP/1.2\r\n\r\n").err(), Some(Misbehaviour::HostMissing));
}

#[test]
fn s24_request_lines_with_other_blanks() {
    for text in [
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET / HTTP/1.1\t",
        "GET\t/ HTTP/1.1",
        "GET /\tHTTP/1.1",
        "GET / \tHTTP/1.1",
        " GET / HTTP/1.1",
        "GET",
        "GET ",
        "GET /a\0b HTTP/1.1",
        "GET /a\x7fb HTTP/1.1",
    ] {
        line_refused(text, Misbehaviour::RequestLineMalformed);
    }
}

#[test]
fn s25_empty_lines_before_the_request() {
    let bytes = b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
    let head = request(bytes).expect("one is accepted");
    assert_eq!((head.method.of(bytes), head.length), (&b"GET"[..], bytes.len() - 4));
    for bytes in [&b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"[..], b"\r\n\r", b"\r\n\n"] {
        assert_eq!(request(bytes).err(), Some(Misbehaviour::LeadingLines));
    }
    assert_eq!(request(b"\rGET").err(), Some(Misbehaviour::BareCr));
    pending(b"\r");
    pending(b"\r\n");
}

#[test]
fn s26_too_many_fields() {
    let fields = |count: usize| "X: y\r\n".repeat(count);
    assert_eq!(accepted(&fields(99)).fields.len(), 100);
    refused(&fields(100), Misbehaviour::TooManyFields);
    refused(&fields(200), Misbehaviour::TooManyFields);
    // Before the head's end arrives.
    let head = format!("GET / HTTP/1.1\r\n{}X", fields(100));
    assert_eq!(request(head.as_bytes()).err(), Some(Misbehaviour::TooManyFields));
    assert_eq!(Misbehaviour::TooManyFields.status(), 431);
}

#[test]
fn s26_too_many_bytes_of_fields() {
    // `Host: a` has nine bytes with its line end, `X: ` and the other line end five.
    let fill = 10_240 - 9 - 5;
    accepted(&format!("X: {}\r\n", "y".repeat(fill)));
    refused(&format!("X: {}\r\n", "y".repeat(fill + 1)), Misbehaviour::FieldsTooLarge);
    refused(&format!("X: {}\r\n", "y".repeat(20_000)), Misbehaviour::FieldsTooLarge);
    let head = format!("GET / HTTP/1.1\r\nX: {}", "y".repeat(20_000));
    assert_eq!(request(head.as_bytes()).err(), Some(Misbehaviour::FieldsTooLarge));
    let head = format!("GET / HTTP/1.1\r\n{}", "x".repeat(20_000));
    assert_eq!(request(head.as_bytes()).err(), Some(Misbehaviour::FieldsTooLarge));
    assert_eq!(Misbehaviour::FieldsTooLarge.status(), 431);
}

#[test]
fn s26_targets_too_long() {
    let target = |bytes: usize| format!("/{}", "a".repeat(bytes - 1));
    line(&format!("GET {} HTTP/1.1", target(10_240))).expect("as long as may be");
    line_refused(&format!("GET {} HTTP/1.1", target(10_241)), Misbehaviour::TargetTooLong);
    let start = format!("GET {}", target(20_000));
    assert_eq!(request(start.as_bytes()).err(), Some(Misbehaviour::TargetTooLong));
    assert_eq!(Misbehaviour::TargetTooLong.status(), 414);
}

#[test]
fn s26_a_full_target_and_full_fields_fit_together() {
    let head = format!("GET /{} HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(10_239), "y".repeat(10_240 - 14));
    request(head.as_bytes()).expect("both limits are kept");
}

#[test]
fn s27_anything_that_is_not_whole_is_pending() {
    let whole = b"GET /a?b HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";
    for cut in 0..whole.len() {
        pending(&whole[..cut]);
    }
}

#[test]
fn what_follows_the_head_is_not_looked_at() {
    let bytes = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n\0\n\r garbage \xff";
    assert_eq!(request(bytes).expect("the head is good").length, 27);
}

#[test]
fn fields_are_told_apart() {
    let bytes = b"POST /pets HTTP/1.1\r\nHost: a\r\ncontent-TYPE:application/json\r\nX-Empty:\r\nX-Blank: \t \r\n\r\n";
    let head = request(bytes).expect("a good head");
    assert_eq!(passing(bytes, &head), ["Host", "content-TYPE", "X-Empty", "X-Blank"]);
    assert_eq!(head.fields.get(Name::ContentType).map(|field| field.value.of(bytes)), Some(&b"application/json"[..]));
    assert!(head.fields[2].value.is_empty() && head.fields[3].value.is_empty());
}

#[test]
fn a_head_is_used_again_without_traces() {
    use codec::head::{HeadLimits, RequestHead};
    use codec::http1::parse::parse_request;

    let mut used = RequestHead::new();
    let first =
        b"OPTIONS * HTTP/1.0\r\nConnection: keep-alive\r\nExpect: 100-continue\r\nContent-Length: 3\r\nA: b\r\n\r\n";
    parse_request(first, &mut used, &HeadLimits::default()).expect("a good head");
    for second in [
        &b"GET http://b:81/x?y HTTP/1.1\r\nHost: b:81\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
    ] {
        let mut fresh = RequestHead::new();
        parse_request(second, &mut used, &HeadLimits::default()).expect("a good head");
        parse_request(second, &mut fresh, &HeadLimits::default()).expect("a good head");
        assert_eq!(used, fresh);
    }
}

#[test]
fn heads_own_no_heap() {
    assert!(!std::mem::needs_drop::<codec::head::RequestHead>());
    assert!(!std::mem::needs_drop::<codec::head::ResponseHead>());
    assert!(!std::mem::needs_drop::<codec::http1::framing::ChunkDecoder>());
}

#[test]
fn garbage_is_refused_at_its_first_line() {
    // A TLS hello, an HTTP/2 preface, an SSH banner.
    assert_eq!(request(b"\x16\x03\x01\x02\x00\x01").err(), Some(Misbehaviour::MethodMalformed));
    assert_eq!(request(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").err(), Some(Misbehaviour::VersionUnsupported));
    assert_eq!(request(b"SSH-2.0-OpenSSH_9.2\r\n").err(), Some(Misbehaviour::RequestLineMalformed));
    assert!(with("X: y\r\n").is_ok());
}
