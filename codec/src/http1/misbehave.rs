//! How a peer can misbehave in a head, a target or a body's framing: one variant per way of being refused.
//!
//! Each variant carries a label for metrics, the status that a client is told, and the row of the attack table that asks for
//! it. An upstream's misbehaviour uses the same names; the client then gets a 502 whatever `status` says.

use std::fmt;

macro_rules! misbehaviours {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $status:literal, $row:literal;)*) => {
        /// A way in which a peer broke the rules; closed, so that every place that cares is found by the compiler.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Misbehaviour {
            $($(#[$doc])* $variant,)*
        }

        impl Misbehaviour {
            /// Every variant, in the order of the attack table.
            pub const ALL: &[Misbehaviour] = &[$(Misbehaviour::$variant,)*];

            /// The `snake_case` label for metrics and logs.
            pub const fn name(self) -> &'static str {
                match self { $(Misbehaviour::$variant => $name,)* }
            }

            /// The status that a client is told; 502 where only an upstream can misbehave so.
            pub const fn status(self) -> u16 {
                match self { $(Misbehaviour::$variant => $status,)* }
            }

            /// The row of the attack table that asks for this refusal.
            pub const fn row(self) -> &'static str {
                match self { $(Misbehaviour::$variant => $row,)* }
            }
        }
    };
}

misbehaviours! {
    /// Content-Length beside Transfer-Encoding (RFC 9112 §6.1, §6.3).
    LengthWithTransferEncoding = "length_with_transfer_encoding", 400, "F01";
    /// Two Content-Length fields that differ (RFC 9110 §8.6).
    LengthsDiffer = "lengths_differ", 400, "F02";
    /// Two Content-Length fields that agree; still two.
    LengthTwice = "length_twice", 400, "F03";
    /// One Content-Length with a list in it: `2, 2`.
    LengthList = "length_list", 400, "F04";
    /// A Content-Length that is not digits only: `+2`, `0x2`, `-1`, `0_2`, empty.
    LengthMalformed = "length_malformed", 400, "F05";
    /// A Content-Length beyond 63 bits.
    LengthOverflow = "length_overflow", 400, "F06";
    /// A Transfer-Encoding that is not a list of tokens (parameters are not accepted either).
    CodingMalformed = "coding_malformed", 400, "F09";
    /// A transfer coding that we do not know, without chunked after it.
    CodingUnknown = "coding_unknown", 501, "F09";
    /// An empty element in Transfer-Encoding: `,chunked`, or no value at all.
    CodingEmpty = "coding_empty", 400, "F10";
    /// Something follows `chunked` in Transfer-Encoding.
    ChunkedNotLast = "chunked_not_last", 400, "F11";
    /// Another coding stands before `chunked`; we unpack none.
    CodingBeforeChunked = "coding_before_chunked", 501, "F12";
    /// `chunked` twice, in one field or in two.
    ChunkedTwice = "chunked_twice", 400, "F13";
    /// Transfer-Encoding in an HTTP/1.0 message.
    TransferEncodingOnHttp10 = "transfer_encoding_on_http10", 400, "F14";
    /// White space between a field's name and its colon.
    SpaceBeforeColon = "space_before_colon", 400, "F16";
    /// A field continued on the next line (obs-fold).
    ObsFold = "obs_fold", 400, "F17";
    /// A chunk size that is not 1 to 16 hex digits, or beyond 63 bits.
    ChunkSizeMalformed = "chunk_size_malformed", 400, "F18";
    /// White space after a chunk size that no extension follows.
    ChunkSizeSpace = "chunk_size_space", 400, "F19";
    /// A chunk size line ended by a bare LF.
    ChunkBareLf = "chunk_bare_lf", 400, "F20";
    /// A chunk's data not followed by CRLF.
    ChunkDataEnd = "chunk_data_end", 400, "F21";
    /// Chunk extensions beyond their limit, per chunk or in all.
    ChunkExtensionTooLong = "chunk_extension_too_long", 400, "F22";
    /// A bare CR, a bare LF or another control byte in a chunk extension.
    ChunkExtensionMalformed = "chunk_extension_malformed", 400, "F23";
    /// Trailers beyond their limit, in number or in bytes.
    TrailersTooLarge = "trailers_too_large", 431, "F24";
    /// A body of gRPC-Web that is to be base64 and is none.
    TextMalformed = "text_malformed", 400, "F24";
    /// A status line that is not `HTTP/1.x` SP three digits.
    StatusLineMalformed = "status_line_malformed", 502, "F29";
    /// A status outside 100 to 599 (RFC 9110 §15).
    StatusOutOfRange = "status_out_of_range", 502, "F29";
    /// A body announced on a 1xx or 204 answer, which cannot have one.
    BodyOnBodiless = "body_on_bodiless", 502, "F29";
    /// 101 to a request that asked for no upgrade (RFC 9110 §15.2.2).
    SwitchingProtocols = "switching_protocols", 502, "F29";
    /// 101 to a handshake that it does not agree to (RFC 6455 §4.1).
    HandshakeBroken = "handshake_broken", 502, "C05";
    /// More interim (1xx) responses than a request can need.
    TooManyInterim = "too_many_interim", 502, "F29";
    /// An Expect that is not `100-continue`.
    ExpectUnknown = "expect_unknown", 417, "F32";
    /// A field line without a colon.
    NoColon = "no_colon", 400, "S01";
    /// A field line that begins with its colon.
    EmptyName = "empty_name", 400, "S02";
    /// White space before the first field.
    LeadingSpace = "leading_space", 400, "S03";
    /// A line ended by a bare LF.
    BareLf = "bare_lf", 400, "S04";
    /// A CR that no LF follows.
    BareCr = "bare_cr", 400, "S05";
    /// A NUL in a field's value.
    NulInValue = "nul_in_value", 400, "S06";
    /// Another control byte in a field's value.
    ControlInValue = "control_in_value", 400, "S07";
    /// A field name that is not a token (RFC 9110 §5.1).
    NameMalformed = "name_malformed", 400, "S09";
    /// HTTP/1.1 without Host (RFC 9112 §3.2).
    HostMissing = "host_missing", 400, "S11";
    /// More than one Host field.
    HostTwice = "host_twice", 400, "S12";
    /// More than one Authorization field: whoever judges the caller reads one of them, a backend the other (RFC 9110 §5.3, §11.6.2).
    AuthorizationTwice = "authorization_twice", 400, "S12";
    /// A Host, or the authority of an absolute target, that is not `name[:[port]]` or `[v6][:[port]]`.
    HostMalformed = "host_malformed", 400, "S13";
    /// The authority of an absolute target is not the Host's (RFC 9112 §3.2.2).
    HostMismatch = "host_mismatch", 400, "S14";
    /// A `#` in the target.
    FragmentInTarget = "fragment_in_target", 400, "S15";
    /// A target that is neither `/…`, `http://…`, `https://…` nor `*`.
    TargetMalformed = "target_malformed", 400, "S16";
    /// A byte of 0x80 or above in the target.
    TargetNotAscii = "target_not_ascii", 400, "S17";
    /// A `%` in the path that two hex digits do not follow.
    EscapeMalformed = "escape_malformed", 400, "S18";
    /// `%00` in the path.
    EscapedNul = "escaped_nul", 400, "S18";
    /// `*` as the target of another method than OPTIONS.
    AsteriskNotOptions = "asterisk_not_options", 400, "S19";
    /// CONNECT: this is no tunnel.
    ConnectRefused = "connect_refused", 405, "S20";
    /// TRACE: it would echo credentials.
    TraceRefused = "trace_refused", 405, "S20";
    /// A method that is not a token: `G(T`.
    MethodMalformed = "method_malformed", 400, "S21";
    /// A method longer than any that exists (RFC 9112 §3).
    MethodTooLong = "method_too_long", 501, "S21";
    /// HTTP/0.9: a request line without a version, or with `HTTP/0.x`.
    Http09 = "http09", 400, "S22";
    /// A version that is not `HTTP/d.d`, in capitals.
    VersionMalformed = "version_malformed", 400, "S23";
    /// HTTP/2.0 or later in a version 1 start line.
    VersionUnsupported = "version_unsupported", 505, "S23";
    /// Two spaces, a TAB or a missing part in the request line.
    RequestLineMalformed = "request_line_malformed", 400, "S24";
    /// More than one empty line before the request.
    LeadingLines = "leading_lines", 400, "S25";
    /// More fields than allowed.
    TooManyFields = "too_many_fields", 431, "S26";
    /// More bytes of fields than allowed.
    FieldsTooLarge = "fields_too_large", 431, "S26";
    /// A target (or reason phrase) longer than allowed.
    TargetTooLong = "target_too_long", 414, "S26";
    /// A head longer than allowed.
    HeadTooLarge = "head_too_large", 431, "S26";
    /// Connection names a field that is meant for the other end, such as Host or Authorization.
    ConnectionNamesEndToEnd = "connection_names_end_to_end", 400, "C01";
    /// Connection is not a list of tokens.
    ConnectionMalformed = "connection_malformed", 400, "C01";
    /// Connection names more fields than we compare.
    ConnectionOptionsTooMany = "connection_options_too_many", 400, "C01";
    /// Dot segments that lead above the root.
    PathEscapesRoot = "path_escapes_root", 400, "P01";
    /// `..` beside an encoded slash: a backend that decodes `%2f` would climb.
    EncodedTraversal = "encoded_traversal", 400, "P01";
    /// A backslash in the path, plain or as `%5c`.
    Backslash = "backslash", 400, "P02";
    /// A dot segment with a parameter: `..;`, `.;x`.
    DotSegmentParameter = "dot_segment_parameter", 400, "P03";
    /// White space around a field's value, which HTTP/2 does not cut off (RFC 9113 §8.2.1).
    SpaceAroundValue = "space_around_value", 400, "T10";
    /// A field name of HTTP/2 that has capitals, or is no token.
    NameNotLower = "name_not_lower", 400, "T10";
    /// A field that concerns one connection of HTTP/1, in HTTP/2 (RFC 9113 §8.2.2).
    ConnectionSpecific = "connection_specific", 400, "T11";
    /// A scheme that is neither http nor https.
    SchemeUnknown = "scheme_unknown", 400, "T13";
    /// `:authority` and Host mean different places (RFC 9113 §8.3.1).
    AuthorityMismatch = "authority_mismatch", 400, "T14";
    /// An extended CONNECT for another protocol than WebSocket, or with a length (RFC 8441 §4).
    ProtocolUnknown = "protocol_unknown", 501, "T26";
}

impl fmt::Display for Misbehaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::error::Error for Misbehaviour {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_distinct_snake_case_labels() {
        let names: BTreeSet<_> = Misbehaviour::ALL.iter().map(|one| one.name()).collect();
        assert_eq!(names.len(), Misbehaviour::ALL.len());
        for name in names {
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{name}");
        }
    }

    #[test]
    fn statuses_are_those_that_we_answer_with() {
        for one in Misbehaviour::ALL {
            assert!(matches!(one.status(), 400 | 405 | 414 | 417 | 431 | 501 | 502 | 505), "{one}");
            assert_eq!(
                one.status() == 502,
                matches!(one.row(), "F29" | "C05"),
                "only an upstream's faults are 502: {one}"
            );
        }
    }

    #[test]
    fn rows_are_rows_of_the_attack_table() {
        for one in Misbehaviour::ALL {
            let (letter, number) = one.row().split_at(1);
            let last = match letter {
                "F" => 33,
                "S" | "T" => 27,
                "C" => 14,
                "P" => 12,
                _ => panic!("{one}: no such table {letter}"),
            };
            let number: u8 = number.parse().expect("a row is a letter and a number");
            assert!((1..=last).contains(&number), "{one}");
        }
    }

    #[test]
    fn name_is_what_is_displayed() {
        assert_eq!(Misbehaviour::BareLf.to_string(), "bare_lf");
    }
}
