//! Every maximum and every default of this crate, each with its reason.

use std::time::Duration;

/// A document of 10,000 routes is about 2 MB; more than this is not written by hand.
pub const DOCUMENT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Files of one load: a place names its file with 16 bits, and no configuration is spread over more.
pub const SOURCES_MAX: usize = 1_000;
/// Files that one import reads, those behind `$ref` included: the largest public descriptions are spread over some hundred.
pub const REFERRED_FILES_MAX: usize = 500;
/// A `$ref` to a `$ref`, and so on: a chain this long is a circle.
pub const REFERENCE_HOPS_MAX: usize = 32;
/// Models of one API: the largest public descriptions have some thousand schemas.
pub const MODELS_MAX: usize = 20_000;
/// Methods of one API: AWS allows 300 resources, the largest public descriptions have some ten thousand operations.
pub const METHODS_MAX: usize = 100_000;
/// Parameters of one method: public descriptions have up to some three hundred.
pub const PARAMETERS_MAX: usize = 1_000;
/// What an import may make, counted as the bytes of its texts and [`VALUE_BYTES`] for each value: a `$ref` writes much with few letters.
pub const IMPORT_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Letters of one placeholder of a template engine: each `${` looks no further for its end, or a long line would be read again for each.
pub const PLACEHOLDER_CHARS_MAX: usize = 500;
/// What a value counts beside its text.
pub const VALUE_BYTES: usize = 32;
/// A compiled snapshot: ten times the largest document that is read.
pub const SNAPSHOT_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// Deeper than any object of §8 by far; keeps every walk over the tree off the end of the stack.
pub const DEPTH_MAX: usize = 64;
/// The same for documents of the public, whose inline schemas nest; what is frozen as JSON is read again by a parser that stops at 128.
pub const PUBLIC_DEPTH_MAX: usize = 96;
/// Nodes after aliases are expanded: a document of a few lines must not become gigabytes.
pub const NODES_MAX: usize = 4_000_000;
/// Aliases in one document.
pub const ALIASES_MAX: usize = 10_000;
/// Faults that are kept; a file that is not a configuration at all should not fill the screen.
pub const FAULTS_MAX: usize = 200;
/// Findings of an audit that are kept.
pub const FINDINGS_MAX: usize = 1_000;
/// Characters of a fault's sentence and of its hint: both repeat what was written, and that may be megabytes.
pub const FAULT_CHARS_MAX: usize = 600;
/// Characters of a source line that a rendered fault shows.
pub const RENDERED_LINE_MAX: usize = 160;

/// AWS allows 50 ms at least (IN-12).
pub const TIMEOUT_MIN: Duration = Duration::from_millis(50);
/// REST's default and, by AWS, its maximum (IN-12).
pub const TIMEOUT_REST: Duration = Duration::from_secs(29);
/// The HTTP API's default and, by AWS, its maximum (IN-12).
pub const TIMEOUT_HTTP: Duration = Duration::from_secs(30);
/// "Longer if asked": AWS raises it by quota, we up to a quarter of an hour.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(15 * 60);

/// ST-01.
pub const STAGE_NAME_CHARS_MAX: usize = 128;
/// ST-02.
pub const STAGE_VARIABLES_MAX: usize = 100;
/// ST-02.
pub const STAGE_VARIABLE_NAME_CHARS_MAX: usize = 64;
/// ST-02.
pub const STAGE_VARIABLE_VALUE_CHARS_MAX: usize = 512;
/// An API id is a DNS label in `{api}.execute-api.*`.
pub const API_ID_CHARS_MAX: usize = 63;
/// An upstream's name is a label in metrics and a host in URIs.
pub const UPSTREAM_NAME_CHARS_MAX: usize = 253;
/// OpenAPI documents of one API: more are parts, which `$ref` brings together.
pub const OPENAPI_FILES_MAX: usize = 64;
/// ST-07: seconds that an answer may be kept.
pub const CACHE_TTL_SECONDS_MAX: u64 = 3_600;
/// Requests per second of a throttle: beyond what one machine does.
pub const THROTTLE_MAX: f64 = 10_000_000.0;
/// Requests at work at once that a setting may allow: beyond what one machine holds.
pub const CONCURRENCY_MAX: u32 = 10_000_000;
/// Entries of one `throttle_by`: each is looked at with every request.
pub const THROTTLES_BY_MAX: usize = 16;
/// Of these, those with `concurrency`: a request remembers each until it ends.
pub const CONCURRENCIES_BY_MAX: usize = 4;
/// Clients that one `throttle_by` tells apart, 32 bytes each: 512 MiB.
pub const THROTTLED_CLIENTS_MAX: u32 = 16 * 1_024 * 1_024;
/// Characters of the name of a limit: it is sent in answers.
pub const THROTTLE_NAME_CHARS_MAX: usize = 64;
/// Settings of methods in one stage: as many as a large API has routes.
pub const METHOD_SETTINGS_MAX: usize = 10_000;
/// audiences of one issuer, likewise.
pub const AUDIENCES_MAX: usize = 50;
/// scopes of one route, as many as AWS takes; beyond, a warning says so.
pub const SCOPES_MAX: usize = 10;
/// Issuers of one authorizer: each has keys that are fetched and kept.
pub const ISSUERS_MAX: usize = 16;
/// Where a token stands, unless it is said.
pub const JWT_IDENTITY_SOURCE: &str = "$request.header.Authorization";
/// By how much an issuer's clock may differ: five minutes are what Kerberos and SigV4 allow, and a token of five minutes lives twice as long.
pub const JWT_CLOCK_SKEW_MAX: Duration = Duration::from_secs(5 * 60);
/// How long keys are used before they are asked for again, unless it is said: AWS's REST APIs keep them for an hour.
pub const JWT_KEYS_KEPT: Duration = Duration::from_secs(60 * 60);
/// The least that may be set: an issuer is asked once a second at most.
pub const JWT_KEYS_KEPT_MIN: Duration = Duration::from_secs(1);
/// The most that may be set: as long as AWS's HTTP APIs keep them.
pub const JWT_KEYS_KEPT_MAX: Duration = Duration::from_secs(2 * 60 * 60);
/// How much longer keys are used while their issuer cannot be asked: time to mend it.
pub const JWT_KEYS_STALE: Duration = Duration::from_secs(60 * 60);
/// Usage plans: AWS allows 300 (KP-05); a key holds their numbers in 16 bits.
pub const PLANS_MAX: usize = 10_000;
/// Characters of a plan's name, and of a key's id: both stand beside each key's counts on the disk.
pub const PLAN_NAME_CHARS_MAX: usize = 64;
/// Bytes of a key's name and of its description (KP-01).
pub const KEY_NAME_CHARS_MAX: usize = 1_024;
/// Bytes of a file of API keys, or of the store: some ten million keys.
pub const KEYS_FILE_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;
/// How long a change of the store waits for another one: one of a million keys takes a second.
pub const KEYS_LOCK_TIME: Duration = Duration::from_secs(5);
/// How long it then waits before it looks again: a change of few keys takes as long.
pub const KEYS_LOCK_PAUSE: Duration = Duration::from_millis(5);
/// Keys of the same value that are told one by one: a file that was named twice has them all.
pub const KEYS_REPEATED_TOLD_MAX: u32 = 20;
/// Bytes of a file that holds one secret: the value of a key has 128 at most.
pub const SECRET_FILE_BYTES_MAX: u64 = 64 * 1024;
/// Plans of one key: AWS allows 10 (KP-05); each is looked at for each request.
pub const PLANS_PER_KEY_MAX: usize = 64;
/// A quota's requests, and the most that are counted in one of its periods: 40 bits of a word.
pub const QUOTA_MAX: u64 = (1 << 40) - 1;
/// how long an authorizer's answer may be remembered.
pub const AUTHORIZER_TTL_MAX: Duration = Duration::from_secs(60 * 60);
/// how long it is in a REST API, unless it is said. In an HTTP API it is not.
pub const AUTHORIZER_TTL_REST: Duration = Duration::from_secs(300);
/// how long an authorizer may take, at most and unless it is said.
pub const AUTHORIZER_TIMEOUT: Duration = Duration::from_secs(10);
/// The least that may be set: less than a connection across a continent takes would refuse everybody.
pub const AUTHORIZER_TIMEOUT_MIN: Duration = Duration::from_millis(50);
/// What ARNs name as the region, unless it is said: as those who run AWS's interfaces at home do.
pub const REGION: &str = "us-east-1";
/// The longest region of AWS has 14 letters.
pub const REGION_CHARS_MAX: usize = 32;
/// What ARNs name as the account, unless it is said, likewise.
pub const ACCOUNT_ID: &str = "000000000000";
/// DM-03.
pub const MAPPING_CHARS_MAX: usize = 300;
/// Long enough for every use seen; the target that it makes is limited by the backend.
pub const URI_CHARS_MAX: usize = 2_048;

/// AWS's limit of `minimumCompressionSize` (MP-20), in bytes.
pub const COMPRESSION_SIZE_MAX: u32 = 10 * 1024 * 1024;
/// AWS's limit of documentation parts of an API (DOC-01).
pub const DOCUMENTATION_PARTS_MAX: usize = 2_000;

/// Workers are threads with a ring each; more than this is a slip of the finger.
pub const WORKERS_MAX: usize = 1_024;
/// The kernel cuts it to `net.core.somaxconn`, 4,096 today.
pub const BACKLOG: u32 = 4_096;
/// A backlog above this is refused: the kernel takes an `int`, and no queue is that long.
pub const BACKLOG_MAX: u32 = 65_535;
/// AWS's payload limit: 10 MB, meant as MiB.
pub const BODY_BYTES: u64 = 10 * 1024 * 1024;
/// A head sent slower than this is an attack or a dead line.
pub const HEADER_TIME: Duration = Duration::from_secs(10);
/// Longer than the 60 s after which common clients and balancers let go.
pub const IDLE_TIME: Duration = Duration::from_secs(75);
/// A pause in a body longer than this holds a slot for nothing.
pub const BODY_IDLE_TIME: Duration = Duration::from_secs(30);
/// Bytes a second of a client's body, and of its answer: what the slowest radio does many times over, and one who drips does not.
pub const CLIENT_RATE: u32 = 240;
/// A least rate above a gigabyte a second is a slip of the finger.
pub const RATE_MAX: u64 = 1 << 30;
/// Connections for each worker: with 256 bytes a slot, 12 MiB.
pub const CONNECTIONS: u32 = 50_000;
/// Slots are numbered with 20 bits.
pub const CONNECTIONS_MAX: u32 = 1_000_000;
/// As long as systemd and container platforms wait by custom before they kill.
pub const DRAIN_TIME: Duration = Duration::from_secs(30);
/// API Gateway ends a WebSocket connection after ten silent minutes.
pub const TUNNEL_IDLE_TIME: Duration = Duration::from_secs(10 * 60);
/// API Gateway ends a WebSocket connection after two hours.
pub const TUNNEL_TIME: Duration = Duration::from_secs(2 * 60 * 60);
/// The longest time that any setting but a request's may name.
pub const SETTING_TIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Fields of a head: the codec's array has this many places.
pub const HEAD_FIELDS_MAX: u64 = 128;
/// Spans in a head are 16 bits wide.
pub const HEAD_BYTES_MAX: u64 = 65_535;

/// Name servers: the system's own file names three at most.
pub const RESOLVERS_MAX: usize = 8;
/// Ranges of addresses in one list: the largest providers publish some hundred.
pub const NETWORKS_MAX: usize = 1_024;
/// Servers of one upstream.
pub const SERVERS_MAX: usize = 1_024;
/// A server's weight.
pub const WEIGHT_MAX: u64 = 1_000;
/// Idle connections kept for an upstream by each worker: enough for a burst to find them open.
pub const POOL_IDLE: u32 = 256;
/// Backends often close after 60 to 75 s; letting go first avoids the race.
pub const POOL_IDLE_TIME: Duration = Duration::from_secs(60);
/// Connections to an upstream by each worker.
pub const POOL_CONNECTIONS: u32 = 4_096;
/// A connection in a data centre opens in milliseconds; 5 s covers one lost SYN and its repeat.
pub const CONNECT_TIME: Duration = Duration::from_secs(5);
/// Pause between two health checks of a server: an outage is noticed within a quarter of a minute.
pub const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// The shortest pause: more than ten questions a second are load, not a check.
pub const CHECK_INTERVAL_MIN: Duration = Duration::from_millis(100);
/// Time of a health check: a server that needs longer for nothing is not well.
pub const CHECK_TIMEOUT: Duration = Duration::from_secs(2);
/// Good answers in a row before a server that was ill is used again.
pub const CHECK_HEALTHY: u32 = 2;
/// Bad answers in a row before a server is not used.
pub const CHECK_UNHEALTHY: u32 = 3;
/// Percent by which the pauses differ: many gateways and servers fall out of step soon.
pub const CHECK_JITTER: u8 = 10;
/// Ranges of good statuses of a health check.
pub const CHECK_STATUSES_MAX: usize = 16;
/// Failures in a row of a server before it is let alone: a single one is an accident.
pub const OUTLIER_FAILURES: u32 = 5;
/// How long a server that fails is let alone the first time: as long as a service takes to its restart.
pub const OUTLIER_TIME: Duration = Duration::from_secs(10);
/// The longest time that a server is let alone: whoever mended it should not wait for longer.
pub const OUTLIER_TIME_MAX: Duration = Duration::from_secs(300);
/// Percent of the servers that are let alone at most: if more than half of them fail, the fault lies elsewhere.
pub const OUTLIER_SHARE: u8 = 50;
/// Attempts at a request: the machine that fails, another one that has just failed as well, and a third.
pub const RETRY_ATTEMPTS: u8 = 3;
/// Attempts at most: more of them only keep a client waiting.
pub const RETRY_ATTEMPTS_MAX: u64 = 5;
/// Percent of the requests under way that may be repeated at once: one of four machines may vanish in an instant.
pub const RETRY_BUDGET: u8 = 25;
/// Requests that may be repeated in any second beyond that: a share of few requests is none.
pub const RETRY_PER_SECOND: u32 = 100;
/// Requests per second that a setting may allow: beyond what one machine does.
pub const PER_SECOND_MAX: u64 = 10_000_000;
/// Header fields of a mock answer.
pub const MOCK_HEADERS_MAX: usize = 100;
/// `sun_path` has 108 bytes, the last one for the NUL.
pub const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Deployments kept for each API: a year of three a day. Beyond, the oldest go that no stage refers to.
pub const DEPLOYMENTS_KEPT: usize = 1_000;
/// Deployments that `tollgate deployments --prune` keeps although nothing refers to them: the newest, to look at and to go back to by name.
pub const DEPLOYMENTS_KEPT_BY_PRUNE: usize = 10;
/// Steps back that a stage remembers; each of them keeps its deployment.
pub const ROLLBACKS_KEPT: usize = 100;
/// Characters of a deployment's note: a paragraph.
pub const DEPLOYMENT_NOTE_CHARS_MAX: usize = 1_024;
/// Bytes of a frozen definition: JSON of the largest document, with room for what its YAML left out.
pub const DEFINITION_BYTES_MAX: usize = 4 * DOCUMENT_BYTES_MAX;
/// Bytes of the file that says what an API's stages serve: a thousand of the longest notes, and a hundred stages full of variables.
pub const POINTER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes of a certificate's or key's file: a chain of the largest keys has some 20 KiB.
pub const CERTIFICATE_FILE_BYTES_MAX: u64 = 256 * 1024;
/// Bytes of a file of authorities: the system's own list has some 250 KiB.
pub const AUTHORITIES_FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Certificates of one chain: public ones have three or four, and each costs every handshake.
pub const CERTIFICATE_CHAIN_MAX: usize = 10;
/// Certificates of one listener or domain: one for each kind of key, and some to spare.
pub const CERTIFICATES_MAX: usize = 8;
/// Bytes of a truststore's file: what API Gateway takes (DM-10).
pub const TRUSTSTORE_FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Certificates of a truststore: what API Gateway takes.
pub const TRUSTSTORE_CERTIFICATES_MAX: usize = 1_000;
/// Bytes of a file with lists of revoked certificates: the largest of public authorities have some MiB.
pub const REVOCATION_FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Such files of one truststore: one for each authority of many.
pub const REVOCATION_FILES_MAX: usize = 64;
/// Certificates from a client's to the trusted one, both counted, unless a setting says otherwise: what API Gateway takes (DM-10).
pub const CLIENT_CHAIN: u8 = 4;
/// What such a setting may say: as many as are looked at.
pub const CLIENT_CHAIN_SETTING_MAX: u8 = 8;
/// How long browsers remember to use TLS, unless a setting says otherwise: what lists that browsers have built in ask for.
pub const HSTS_TIME: Duration = Duration::from_secs(365 * 86_400);
/// What such a setting may say: ten years.
pub const HSTS_TIME_MAX: Duration = Duration::from_secs(3_650 * 86_400);
/// Bytes of a distinguished name as text: the longest in the wild have some hundreds; it stands in header fields and logs.
pub const DISTINGUISHED_NAME_BYTES_MAX: usize = 2_048;
/// Days before its end when a certificate is worth a warning: renewal runs some weeks before, so that by then it has failed.
pub const CERTIFICATE_DAYS_LEFT_MIN: i64 = 14;
/// From a connection to the end of its TLS handshake (row R01): several round trips of a slow network.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(5);

/// Requests at once on one connection of HTTP/2, by default: RFC 9113 §6.5.2 wants 100 at least, API Gateway and browsers use 128.
pub const HTTP2_STREAMS: u32 = 128;

/// The most of them that may be set: a connection must not become a gateway of its own.
pub const HTTP2_STREAMS_MAX: u32 = 10_000;

/// Bytes of a request's body that a client of HTTP/2 may send before they are read, by default: what the standard begins with.
pub const HTTP2_WINDOW: u32 = 64 * 1024;

/// The least that may be set: one frame.
pub const HTTP2_WINDOW_MIN: u32 = 16 * 1024;

/// The most: each request under way may hold as much in memory.
pub const HTTP2_WINDOW_MAX: u32 = 16 * 1024 * 1024;

/// Who may sign requests: each has a signing key in every worker.
pub const PRINCIPALS_MAX: usize = 10_000;

/// Requests of one address in the window of a firewall's rule; beyond, it limits nothing that one machine does.
pub const FIREWALL_RATE_MAX: u32 = 10_000_000;

/// The window of such a rule where nobody says how long: that of AWS's rules.
pub const FIREWALL_WINDOW: Duration = Duration::from_secs(5 * 60);

/// The shortest: below, a page with its pictures would be a flood.
pub const FIREWALL_WINDOW_MIN: Duration = Duration::from_secs(1);

/// The longest: a bucket remembers a day.
pub const FIREWALL_WINDOW_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Bytes of a file of names and passwords: [`USERS_MAX`] of them, with bcrypt hashes.
pub const USERS_FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Names and passwords of one list: whoever has more has a service that keeps them.
pub const USERS_MAX: usize = 100_000;
/// Bytes of a realm: browsers show one line.
pub const REALM_BYTES_MAX: usize = 256;
/// Secrets of a document that are kept out of what is said of it: as many as there are faults, for each of several on a line.
pub const HIDDEN_MAX: usize = 10_000;
