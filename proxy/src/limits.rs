//! Every maximum of the request's way that is not a setting, with its reason.

use std::time::Duration;

/// Bytes of an unread request body that are read and thrown away to keep a connection (row F28); beyond, it is closed.
pub const DRAIN_BYTES_MAX: u64 = 64 * 1024;

/// Bytes that are thrown away after a refusal, so that the client can read it before the connection closes.
pub const LINGER_BYTES_MAX: usize = 256 * 1024;

/// Time that a refused client has to read its refusal and close.
pub const LINGER_TIME: Duration = Duration::from_secs(2);

/// Interim answers of a backend (100, 103 …) before its final one (row F29).
pub const INTERIM_MAX: u32 = 8;

/// Sessions with servers that an upstream can continue: those of some hundred names, a few each. They are shared by all workers.
pub const SESSIONS_KEPT: usize = 256;

/// Attempts at one request that a setting may ask for, as `config` has it.
pub const ATTEMPTS_MAX: usize = config::limits::RETRY_ATTEMPTS_MAX as usize;

/// Percent of its weight with which a server starts that comes back: with nothing it would never be seen to be well.
pub const RAMP_LEAST: u32 = 10;

/// A body piece of at most this many bytes is copied behind its head: one send of one piece is cheaper than two pieces.
pub const COPY_BYTES_MAX: usize = 4 * 1024;

/// Waiting for a peer to take bytes, after which it is looked how many have arrived: longer than it takes on a usual line, so
/// that the look costs nothing there.
pub const FIRST_LOOK_TIME: Duration = Duration::from_secs(1);

/// Bytes of a request's body that is read whole for a mapping where `limits.body` is unlimited: what API Gateway takes.
pub const HELD_BYTES_MAX: u64 = 10 * 1024 * 1024;

/// Bytes of an answer's body that is read whole for a mapping: what API Gateway lets a backend send.
pub const ANSWER_HELD_BYTES_MAX: u64 = 10 * 1024 * 1024;

/// Time in which a backend that stopped reading may still send the answer that explains it (row F27).
pub const LAST_WORDS_TIME: Duration = Duration::from_secs(1);

/// Share of its connections at which a worker begins to let idle ones go: enough room for a burst, little enough to waste.
pub const SHED_PERCENT: u32 = 95;

/// Connections that a worker turns away at once, each of them until its client has read why: as many files are set aside.
pub const AWAY_MAX: u32 = 64;

/// Idle connections closed for one newcomer, while there are too many: one for itself, one to get ahead.
pub const CLOSED_FOR_NEWCOMER: u32 = 2;

/// Idle connections closed at once where the kernel has no descriptors or memory left.
pub const CLOSED_IN_NEED: u64 = 16;

/// The oldest idle connections that one search finds, at least: the first of them may have just spoken.
pub const OLDEST_FOUND_MIN: u32 = 16;

/// After a search for idle connections that found none: the next one is not before.
pub const NO_IDLE_PAUSE: Duration = Duration::from_millis(100);

/// Counters in a row of client addresses; 64 KiB a row.
pub const CALLER_PLACES: usize = 16 * 1024;

/// Counters in a row of clients whose requests at work are limited; 64 KiB a row.
pub const CROWD_PLACES: usize = 16 * 1024;

/// Limits of requests at work by client that one request meets: as many as `check` allows.
pub const THROTTLED_AT_ONCE_MAX: usize = config::limits::CONCURRENCIES_BY_MAX;

/// Keys of one plan that are told apart at once by its throttle; buckets are made as keys come, 32 bytes each. Of a million keys, those
/// that have called within the time in which their buckets fill. Beyond, the one that has used the least is forgotten.
pub const THROTTLED_KEYS: usize = 1 << 20;

/// Files beside sockets of clients, backends, admin and control: documents of a reload, logs, signals, watches, name servers.
pub const FILES_RESERVED: u64 = 80;

/// Files of one worker beside its connections: ring or epoll, eventfd, a listening socket for each door.
pub const FILES_OF_WORKER: u64 = 24;

/// Share of a worker's sockets that clients may take; the others are for backends. Idle clients need none there.
pub const CLIENT_FILES_PERCENT: u32 = 75;

/// Sockets that a worker believes to have, however few files there are: less serves nobody.
pub const SOCKETS_MIN: u32 = 16;

/// Pause of an acceptor after EMFILE, ENFILE, ENOMEM or ENOBUFS: never a spin.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A draining worker stops accepting when nobody has come for this long: who was in the kernel's queue is still served.
pub const LAST_ACCEPT_TIME: Duration = Duration::from_millis(10);

/// A listener that a reload removed is closed when nobody has come for this long: the kernel repeats a handshake's lost segment
/// after 1 s, so that one loss costs nobody the connection.
pub const LAST_HANDSHAKE_TIME: Duration = Duration::from_millis(1_250);

/// The most time that the last handshakes of a removed listener may take in all.
pub const LAST_HANDSHAKES_TIME_MAX: Duration = Duration::from_secs(10);

/// Time for which a reload waits for an address that an earlier reload has just let go: as long as two of its last handshakes
/// take. Then the reload fails.
pub const BIND_PATIENCE: Duration = Duration::from_millis(2_500);

/// Pause between two attempts at such an address.
pub const BIND_RETRY: Duration = Duration::from_millis(10);

/// Time in which a worker stops accepting before another process begins to: an acceptor may be in its pause after an error.
pub const PAUSE_TIME_MAX: Duration = Duration::from_secs(1);

/// Time for busy clients of a draining worker to send one more request and learn with its answer that the connection ends;
/// then idle connections are closed.
pub const LAST_REQUEST_TIME: Duration = Duration::from_millis(300);

/// A worker's clockwork: `Date`, gauges, old access-log batches.
pub const TICK: Duration = Duration::from_millis(100);

/// Reusable sets of parsing state kept by a worker.
pub const SCRATCH_KEPT_MAX: usize = 512;

/// Bytes of a client's address as text: an IPv6 address with an embedded IPv4 one.
pub const PEER_TEXT_BYTES: usize = 46;

/// Head start of a connect before one to the next address of the same name (RFC 8305 §8 recommends this time).
pub const CONNECT_HEAD_START: Duration = Duration::from_millis(250);

/// Addresses of a name that are tried for one connection: of two families, two machines each.
pub const CONNECT_RACERS_MAX: usize = 4;

/// Addresses that a backend's name may have, each a server of its own (row R15).
pub const ADDRESSES_MAX: usize = 16;

/// Shortest and longest time for which a resolved name is believed, whatever its TTL says (row R15).
pub const RESOLVE_MIN: Duration = Duration::from_secs(1);
/// See `RESOLVE_MIN`.
pub const RESOLVE_MAX: Duration = Duration::from_secs(300);

/// How long a name is known after a reload took it away: longer than a request of before may take to its connection.
pub const UNWANTED_NAME_KEPT: Duration = Duration::from_secs(60);

/// Pause before a name that did not resolve is asked for again.
pub const RESOLVE_RETRY: Duration = Duration::from_secs(2);

/// Longest wait of a reload for the workers to swap; one that is in a long computation may need a moment.
pub const SWAP_TIME_MAX: Duration = Duration::from_secs(5);

/// How often it is looked whether the last request has let go of a retired snapshot.
pub const RETIRED_LOOK: Duration = Duration::from_secs(1);

/// Documents that changed are loaded when nothing more has happened to them for this long: a tool writes several of them.
pub const WATCH_QUIET: Duration = Duration::from_millis(200);

/// … or after this long, if something happens all the time.
pub const WATCH_DELAY_MAX: Duration = Duration::from_secs(2);

/// How often watched documents are looked at although nothing was heard: network file systems tell of no writer elsewhere.
pub const WATCH_LOOK: Duration = Duration::from_secs(30);

/// Symbolic links that are followed in one path, as in the kernel.
pub const LINKS_MAX: usize = 40;

/// Time that a stopping gateway waits for the access log to take its last lines.
pub const LOG_PATIENCE: Duration = Duration::from_secs(2);

/// Time that a deployment waits for another process that is changing the state directory: that takes milliseconds.
pub const STATE_LOCK_TIME: Duration = Duration::from_secs(2);

/// Pause between two looks at that lock.
pub const STATE_LOCK_PAUSE: Duration = Duration::from_millis(20);

/// How often the keeper of health looks whether servers have come or gone without a reload.
pub const KEEPER_LOOK: Duration = Duration::from_millis(500);

/// A server is asked for the first time within this time, however long its interval: until then it counts as well.
pub const FIRST_CHECK_WITHIN: Duration = Duration::from_millis(500);

/// Bytes of a health check's answer up to the end of its head: as of any backend's.
pub const CHECK_HEAD_BYTES_MAX: usize = 64 * 1024;

/// Servers of upstreams with metrics of their own: six series each, which a Prometheus still likes.
pub const SERVERS_TOLD_MAX: usize = 2_000;

/// Bytes of one message between two processes of which one takes over: thousands of listeners are below it.
pub const HANDOVER_MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// Time for one step between these processes that takes milliseconds where both are well.
pub const HANDOVER_STEP_TIME: Duration = Duration::from_secs(10);

/// Time for the end of a process that broke off the conversation, so that it can be said how it ended.
pub const HEIR_LAST_WORDS_TIME: Duration = Duration::from_secs(1);

/// Pause after an upgrade that failed: signals in a loop must not start processes in a loop.
pub const UPGRADE_PAUSE: Duration = Duration::from_secs(1);

/// Words to the watchdog in the time after which it would bite: one may be late.
pub const WATCHDOG_PINGS: u32 = 3;

/// Time for which a draining gateway asks the service manager at once, and how often it asks: a gateway that hangs is ended soon.
pub const EXTENSION: Duration = Duration::from_secs(15);
/// See `EXTENSION`.
pub const EXTENSION_EVERY: Duration = Duration::from_secs(5);

/// Idle connections of a draining worker are closed in this many portions, so that their clients do not come back all at once …
pub const IDLE_PORTIONS_MAX: u32 = 10;
/// … unless a portion has fewer than this many …
pub const IDLE_PORTION_MIN: u32 = 16;
/// … with this pause between two of them.
pub const IDLE_PORTION_PAUSE: Duration = Duration::from_millis(100);

/// Characters of a panic's text in the log: an assertion may quote what a client sent (row R12).
pub const PANIC_TEXT_CHARS: usize = 200;

/// Panics of a process that are told one by one; of those that follow, every one that is a power of two: a client that has
/// found one may cause thousands (row R17).
pub const PANICS_TOLD_ALL: u64 = 32;

/// Passed-through connections of a draining worker are ended this long before the time is over …
pub const LAST_CALL_TIME: Duration = Duration::from_secs(1);
/// … with this pause between two portions of them.
pub const LAST_CALL_PAUSE: Duration = Duration::from_millis(50);

/// From a balancer's connection to the end of its PROXY header (row R01): it comes with the first segment, or not at all.
pub const GREETING_TIME: Duration = Duration::from_secs(1);

/// TLS handshakes under way on one worker (row R05): each may cost a millisecond, so that more would outlast their deadline.
pub const HANDSHAKES_MAX: u32 = 1_024;

/// Bytes of a client's own certificate (DM-10): as PEM it still fits into a mapped header field. Those of the largest RSA keys and a
/// dozen names have some 3 KiB.
pub const CLIENT_CERTIFICATE_BYTES_MAX: usize = 7 * 1024;

/// Bytes of all certificates that a client shows: they are kept with its connection, and in its tickets.
pub const CLIENT_CHAIN_BYTES_MAX: usize = 16 * 1024;

/// How many of them there may be.
pub const CLIENT_CHAIN_MAX: usize = 10;

/// Bytes of names of authorities that a client is told, to choose its certificate by: more than that is no help, and the message has
/// room for 64 KiB.
pub const HINT_BYTES_MAX: usize = 8 * 1024;

/// Certificates in the metrics: each is a series of its own, and more hosts than that share certificates.
pub const CERTIFICATES_TOLD_MAX: usize = 200;

/// Bytes that an HTTP/2 connection gathers before they are handed to its socket: what one TLS record holds, and small enough
/// for the vectors to be kept for reuse.
pub const WIRE_BYTES_MAX: usize = 16 * 1024;

/// Pause of a stream that found no receive buffer for what its connection has received: those who hold them work in turns
/// of the loop.
pub const LOOK_AGAIN_TIME: Duration = Duration::from_millis(8);

/// Bytes of requests' bodies that all streams of a client's HTTP/2 connection may have in memory together, unread.
pub const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;

/// Streams of a client's HTTP/2 connection whose answers are received in large buffers; where there are more, all of them get small
/// ones: a client may shut every window, and what has been received waits then (row T08).
pub const WIDE_STREAMS_MAX: u32 = 16;

/// Accounts of streams that a worker keeps for the next ones: of as many as it has at work on a few connections, 56 bytes each.
pub const ACCOUNTS_KEPT_MAX: usize = 1_024;

/// Bytes of a frame that a client of HTTP/2 may send: the least that the standard allows; larger ones only delay others.
pub const FRAME_BYTES_MAX: u32 = 16 * 1024;

/// Bytes that each field of an HTTP/2 head is charged beside its letters (RFC 9113 §6.5.2).
pub const FIELD_CHARGE_BYTES: u32 = 32;

/// Streams of a client's HTTP/2 connection that we may reset for what it did, in all (row T02): it makes us work for nothing.
pub const PROVOKED_RESETS_MAX: usize = 500;

/// Requests of an HTTP/2 connection that its client has taken back before anybody looked at them, at once (row T01).
pub const UNSEEN_RESETS_MAX: usize = 50;

/// Requests on one connection to a backend, whatever it allows: beyond, another connection shares the work.
pub const STREAMS_MAX: usize = 256;

/// Bytes of one answer's body that a backend may send over HTTP/2 before its client has taken them: a line of a millisecond carries
/// 64 MB a second with it, and so much is held for each stream whose client takes nothing (row T08).
pub const STREAM_WINDOW: u32 = 64 * 1024;

/// The same for all answers of one connection: no less than all of its streams may hold, or those whose clients take nothing would
/// keep it from the others.
pub const LINE_WINDOW: u32 = STREAM_WINDOW * STREAMS_MAX as u32;

/// Bytes of the fields of an answer over HTTP/2, as those of HTTP/1.
pub const ANSWER_FIELD_BYTES_MAX: u32 = codec::limits::RESPONSE_FIELD_BYTES;

/// Between two looks whether a connection of HTTP/2 is idle, or dead.
pub const LINE_LOOK_TIME: Duration = Duration::from_secs(5);

/// Silence of a backend that has requests to answer, after which it is asked whether it lives.
pub const PING_AFTER: Duration = Duration::from_secs(30);

/// Between two such questions: servers of gRPC count those that come more often, and hang up.
pub const PING_AGAIN: Duration = Duration::from_secs(5 * 60);

/// Time for the answer to such a question.
pub const PING_TIME: Duration = Duration::from_secs(15);

/// Requests of an HTTP/2 connection that its client has taken back before they had an answer (row T01), if they are more than
/// half of all.
pub const TAKEN_BACK_MAX: u32 = 50;

/// Answers of authorizers that the process remembers: a busy hour's callers.
pub const AUTHORIZER_ANSWERS_MAX: usize = 100_000;

/// Bytes of them, as they were received, with [`AUTHORIZER_ENTRY_WEIGHT`] for each; what they become is two or three times as large.
pub const AUTHORIZER_ANSWERS_WEIGHT_MAX: usize = 64 * 1024 * 1024;

/// What an answer weighs beside its bytes.
pub const AUTHORIZER_ENTRY_WEIGHT: usize = 512;

/// Answers that a worker remembers of these: looking them up takes no lock.
pub const AUTHORIZER_ANSWERS_OF_WORKER: usize = 8_192;

/// Their weight, as above: as many of 512 bytes. They are shared with the process while that remembers them, and a worker may remember longer.
pub const AUTHORIZER_ANSWERS_WEIGHT_OF_WORKER: usize = 8 * 1024 * 1024;

/// Parts of the table of answers, each with a lock of its own.
pub const AUTHORIZER_SHARDS: usize = 16;

/// Beyond an authorizer's own time, that somebody waits who waits for another's asking: it may be told a little late.
pub const AUTHORIZER_PATIENCE: Duration = Duration::from_secs(1);

/// Tokens that one worker remembers as verified: each is one caller of the last minutes; 4,096 of them take 256 KiB, made with the first.
pub const TOKENS_REMEMBERED: usize = 4_096;

/// Places that a remembered token may have: it is looked for in all of them.
pub const TOKEN_PLACES: usize = 4;

/// Time of one fetch from an issuer, from the look-up of its name to the last byte: what API Gateway gives it.
pub const KEYS_FETCH_TIME: Duration = Duration::from_millis(1_500);

/// Bytes of a discovery document: the longest have some ten thousand.
pub const DISCOVERY_BYTES_MAX: usize = 150_000;

/// How long a request waits for keys that are not known yet: for the discovery document, then for the keys, and some.
pub const KEYS_WAIT: Duration = Duration::from_millis(3_500);

/// Pause between two fetches of an issuer's keys, whatever tokens ask for: a storm of unknown keys is no load for it. Shorter only where
/// keys are kept for a shorter time.
pub const KEYS_PAUSE: Duration = Duration::from_secs(10);

/// The longest pause between two attempts while an issuer cannot be asked; the first is a second.
pub const KEYS_RETRY_MAX: Duration = Duration::from_secs(30);

/// Counts of keys in plans that one file has: one for each key that was ever used, in each of its plans. So many take 4 GiB.
pub const COUNT_SLOTS_MAX: u64 = 20_000_000;

/// Times that all other processes together are given to write the names of slots that they have taken: each needs less than a microsecond.
pub const SLOT_SPINS_MAX: u32 = 1_000;

/// Slots at the end that another process may be about to name: each process takes one at a time, and there are two of them in an upgrade, some
/// more with `tollgate usage`. Whatever was taken before those and has no name never gets one.
pub const SLOTS_IN_THE_MAKING: u64 = 64;

/// Between two moments at which the disk has all counts: what a machine without power forgets (KP-08).
pub const USAGE_SYNC_TIME: Duration = Duration::from_secs(1);

/// Between two looks for days that are over.
pub const HISTORY_TIME: Duration = Duration::from_secs(60);

/// How long after midnight a day is over for everybody: workers look at their clocks ten times a second.
pub const HISTORY_LATE: Duration = Duration::from_secs(60);

/// Months of usage that are kept, this one included: bills of three years can be looked at again.
pub const HISTORY_MONTHS: u32 = 36;

/// Bytes of what was written down of one month: a million keys that are used each day are some 2 GiB.
pub const HISTORY_FILE_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;

/// Authorizers of type mtls whose word on a client its connection remembers: a client calls few APIs by one connection.
pub const IDENTITIES_OF_GUEST: usize = 4;

/// Threads that verify passwords, at most: one for every second core. They make room for whoever serves.
pub const PASSWORD_THREADS_MAX: usize = 8;

/// By how much the kernel prefers others to them.
pub const PASSWORD_NICENESS: i32 = 10;

/// Passwords that wait for a thread: at a quarter of a second each (bcrypt, cost 12), the last of them waits as long as people do.
pub const PASSWORDS_WAITING_MAX: usize = 32;

/// Of these and those at work, how many one address may have: whoever tries passwords keeps nobody else from being let in.
pub const PASSWORDS_OF_ADDRESS: u32 = 4;

/// How long a request waits for its password to be verified.
pub const PASSWORD_PATIENCE: Duration = Duration::from_secs(10);

/// How long a password that was right is remembered, by a keyed digest: a user's requests pay once in five minutes.
pub const PASSWORD_REMEMBERED: Duration = Duration::from_secs(300);

/// How long one that was wrong is: a program that repeats it costs nothing, and who has mistyped it tries another.
pub const PASSWORD_WRONG_REMEMBERED: Duration = Duration::from_secs(10);

/// Connections from which on a worker asks whether another carries fewer: the first ones are not worth the way.
pub const HANDED_OVER_FROM: u64 = 2;

/// A worker takes newcomers itself until it has this part (an eighth) more than the lightest: 64 connections are spread within 20 %.
pub const HANDED_OVER_SHARE: u64 = 8;

/// Newcomers on their way to a worker from which on it gets no more: who does not let them in is busy, however few it carries.
pub const NEWCOMERS_WAITING_MAX: u32 = 32;

/// Workers that are looked at for each newcomer: of many a few are enough, and each look may cost a cache line.
pub const COLLEAGUES_LOOKED_AT: usize = 8;

/// Passwords that the process remembers, right and wrong; as many for each worker, whose look-up takes no lock.
pub const PASSWORDS_REMEMBERED: usize = 16_384;
