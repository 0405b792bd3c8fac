//! Every maximum of metrics and access log, with its reason.

use std::time::Duration;

/// Pairs of API and stage with counters of their own. Each has two histograms: 1,000 pairs are about 36,000 series, which
/// a Prometheus still likes. Later pairs share the pair [`OVERFLOW`].
pub const STAGE_PAIRS: usize = 1_000;
/// Triples of API, stage and method with counters of their own, where an operator asks for them: as many series as for stages.
pub const METHOD_TRIPLES: usize = 1_000;
/// Rules of firewalls with counters of their own, by API and name: as many as a dashboard can show. Later ones share one.
pub const FIREWALL_RULES: usize = 2_000;
/// The name, as API and as stage, of the pair that counts for all beyond [`STAGE_PAIRS`].
pub const OVERFLOW: &str = "__overflow__";

/// Bytes of one batch of access-log lines: large enough that a write costs little per line, small enough to stay in cache.
pub const BATCH_BYTES: usize = 64 * 1024;
/// Age at which a batch is handed over though it is not full: a person who follows the log sees no delay.
pub const BATCH_AGE: Duration = Duration::from_millis(100);
/// Batches of one worker that may wait for the writer: 4 MiB, which bridges 100 ms of a slow disk at 100,000 requests a
/// second. Beyond, lines are dropped and counted: a log never holds up a request.
pub const BATCHES_PER_WORKER: usize = 64;
/// Empty batches that an idle worker keeps; the rest goes back to the allocator.
pub const SPARE_BATCHES: usize = 2;
/// How long the writer waits at a time for a non-blocking output to take more.
pub const WRITER_PAUSE: Duration = Duration::from_millis(50);
/// Pause between two looks at whether the writer has ended.
pub const STOP_PAUSE: Duration = Duration::from_millis(1);

// What a client controls is cut to these, in bytes as received, and ends with `...` then. Written, a byte becomes at most
// six (`\u007f`).

/// Bytes of the path in a line. Longer ones are attacks or accidents, and the first 4 KiB tell which.
pub const PATH_BYTES: usize = 4 * 1024;
/// Bytes of the user agent: real ones are below 300.
pub const USER_AGENT_BYTES: usize = 512;
/// Bytes of a host name: the most that DNS allows.
pub const DOMAIN_BYTES: usize = 255;
/// Bytes of a method: the known ones have at most seven.
pub const METHOD_BYTES: usize = 32;
/// Bytes of a request id: a client may bring its own as a UUID of 36.
pub const ID_BYTES: usize = 64;
/// Bytes of a name that the operator chose (API, stage, route, resource) or that is ours (error type, upstream).
pub const NAME_BYTES: usize = 512;
/// Bytes of a name, or of the number, of a client's certificate.
pub const CLIENT_BYTES: usize = 512;

/// Bytes that one byte of text becomes at most: `\u007f`.
pub const ESCAPED_BYTES: usize = 6;
/// Bytes of a line beside the texts: names, numbers, quotes. Names take 540, the version and the suite of TLS 40, and 10 numbers 20 each.
pub const LINE_FRAME_BYTES: usize = 1_024;
/// Bytes of one line at most.
pub const LINE_BYTES: usize = ESCAPED_BYTES
    * (3 * ID_BYTES
        + 2 * METHOD_BYTES
        + PATH_BYTES
        + DOMAIN_BYTES
        + USER_AGENT_BYTES
        + 7 * NAME_BYTES
        + 3 * CLIENT_BYTES)
    + LINE_FRAME_BYTES;
const _: () = assert!(LINE_BYTES <= BATCH_BYTES, "a batch holds at least one line");
