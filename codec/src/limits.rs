//! Every maximum of this crate, each with its reason. Units are in the names or in the first line.

/// Fields that a head object can hold, whatever the configured limit says. A little above the 100 that requests get by
/// default, so that upstreams have room; the array lives inside the head, so this is also memory (10 bytes per field).
pub const FIELDS_MAX: usize = 128;

/// Bytes of a head, whatever the configured limit says: offsets are 16 bits wide, and a leading CRLF takes two of them.
pub const HEAD_MAX: usize = u16::MAX as usize - 2;

/// Bytes of a method name. The longest registered one has 17 (`UPDATEREDIRECTREF`); RFC 9112 §3 wants 501 beyond.
pub const METHOD_MAX: usize = 32;

/// Fields of a request by default; AWS has no published count, attack row S26 wants one.
pub const REQUEST_FIELDS: u16 = 100;

/// Bytes of all field lines of a request by default, line ends included (AWS: 10,240; row S26).
pub const REQUEST_FIELD_BYTES: u32 = 10_240;

/// Bytes of a request target by default (row S26).
pub const REQUEST_TARGET_BYTES: u32 = 10_240;

/// Bytes of a request head by default: a full target, full fields, and room for method, version and line ends.
pub const REQUEST_HEAD_BYTES: u32 = REQUEST_TARGET_BYTES + REQUEST_FIELD_BYTES + 256;

/// Fields of an upstream's answer: as many as fit, since the operator chose the upstream.
pub const RESPONSE_FIELDS: u16 = FIELDS_MAX as u16;

/// Bytes of all field lines of an upstream's answer: security policies and cookies are long, endless heads are attacks (R14).
pub const RESPONSE_FIELD_BYTES: u32 = 32_768;

/// Bytes of a reason phrase; nobody reads it, and it is never forwarded.
pub const RESPONSE_REASON_BYTES: u32 = 1_024;

/// Bytes of an upstream's whole head.
pub const RESPONSE_HEAD_BYTES: u32 = RESPONSE_FIELD_BYTES + RESPONSE_REASON_BYTES + 256;

/// Bytes of a host name in Host or in an absolute target: DNS allows 253, a trailing dot and an IPv6 zone-free literal fit.
pub const HOST_MAX: usize = 255;

/// Names of further fields that one head's Connection may list: each is compared with every field, so the product is bounded.
pub const CONNECTION_OPTIONS_MAX: usize = 16;

/// Bytes of a body or of a chunk that can be announced: many peers count in signed 64 bits, and would find a negative number
/// where we find a large one (rows F06, F18).
pub const BODY_BYTES_MAX: u64 = i64::MAX as u64;

/// Hex digits of a chunk size: 16 fill 64 bits exactly (row F18).
pub const CHUNK_SIZE_DIGITS: u8 = 16;

/// Bytes of one chunk's extensions, which are read and ignored (row F22).
pub const CHUNK_EXTENSION_BYTES: u16 = 256;

/// Bytes of all extensions of one body: a peer that pays with extensions for one-byte chunks is stopped (row F22).
pub const CHUNK_EXTENSION_BYTES_TOTAL: u16 = 4_096;

/// Trailer fields of one body; they are checked and dropped (rows F24, F25).
pub const TRAILER_FIELDS: u16 = 32;

/// Bytes of all trailer lines of one body, line ends included.
pub const TRAILER_BYTES: u16 = 4_096;

/// Bytes of a PROXY header of version 1, line end included: the longest that its specification can make.
pub const PROXY_LINE_MAX: usize = 107;

/// Bytes of a PROXY header of version 2. Two IPv6 addresses take 52; a balancer that tells its client's certificate needs some
/// thousand, and what is beyond is an attack on whoever gathers it (row P07).
pub const PROXY_HEADER_MAX: usize = 4_096;

/// Frames of HTTP/2 that cost a peer nothing and do nothing, in one second; half is forgiven each second, so that half of each may
/// come for ever. An honest peer sends a few of them (row T05; the numbers are those of peers that have been attacked).
pub const PINGS_MAX: u32 = 100;
/// See `PINGS_MAX`.
pub const SETTINGS_MAX: u32 = 50;
/// See `PINGS_MAX`.
pub const PRIORITIES_MAX: u32 = 100;
/// See `PINGS_MAX`.
pub const UNKNOWN_FRAMES_MAX: u32 = 100;
/// DATA without data that does not end its stream (row T04), likewise.
pub const EMPTY_DATA_MAX: u32 = 100;
/// Streams taken back (row T01), likewise: a browser that leaves a page takes back as many as it had open.
pub const RESETS_MAX: u32 = 200;
/// `WINDOW_UPDATE` beyond two for each DATA frame that was sent, likewise.
pub const WINDOW_UPDATES_FREE_MAX: u32 = 1_000;
/// Resets that a peer makes us send (row T02), likewise …
pub const PROVOKED_RESETS_MAX: u32 = 100;
/// … and in the life of its connection.
pub const PROVOKED_RESETS_LIFE_MAX: u32 = 500;
/// CONTINUATION frames of one block (row T03): heads are bounded, and fit in two frames.
pub const BLOCK_CONTINUATIONS_MAX: u32 = 20;
/// Bytes of one block, packed.
pub const BLOCK_BYTES_MAX: u32 = 64 * 1024;

const _: () = assert!(REQUEST_HEAD_BYTES as usize <= HEAD_MAX && RESPONSE_HEAD_BYTES as usize <= HEAD_MAX);
const _: () = assert!(REQUEST_FIELDS as usize <= FIELDS_MAX && RESPONSE_FIELDS as usize <= FIELDS_MAX);
const _: () = assert!(CHUNK_EXTENSION_BYTES <= CHUNK_EXTENSION_BYTES_TOTAL);
