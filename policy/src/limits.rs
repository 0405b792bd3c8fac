//! Every maximum of this crate, each with its reason.

/// Bytes of a template's source. API Gateway takes mapping templates of up to 300 KB (aws-features §17).
pub const TEMPLATE_BYTES_MAX: usize = 300 * 1024;

/// References to a request in one template. Each may bring in up to a whole head (10,240 bytes by default,
/// sixfold when every byte needs a JSON escape), so this bounds what one small request can make us write.
pub const TEMPLATE_REFERENCES_MAX: usize = 256;

/// Bytes of the path and query of an integration's URI. No backend is asked for longer ones; the target is
/// limited to 10,240 bytes on the client's side too.
pub const URI_BYTES_MAX: usize = 8_192;

/// Path variables in one URI; a template of a path has far fewer, and each may stand in more than one place.
pub const URI_VARIABLES_MAX: usize = 64;

/// Bytes of a JSONPath in a mapping. The longest in the wild have some dozens.
pub const JSON_PATH_BYTES_MAX: usize = 1_024;

/// Steps of a JSONPath: each reads the value before it once more.
pub const JSON_PATH_STEPS_MAX: usize = 32;

/// Parameter mappings of one integration, or of one of its answers: as many as the bits that remember which took effect. A head
/// has 100 fields.
pub const MAPPINGS_MAX: usize = 128;

/// Bytes of a mapping's target or expression; a static value may be as long as a header of AWS.
pub const MAPPING_TEXT_BYTES_MAX: usize = 10_240;

/// Bytes of one mapped value: all header fields of a backend's request in AWS (§17). A body's text may be larger; it is refused.
pub const MAPPED_VALUE_BYTES_MAX: usize = 10_240;

/// Bytes of all header lines that one message's mappings make, so that no backend or client gets a head that it cannot take.
pub const MAPPED_LINES_BYTES_MAX: usize = 32 * 1_024;

/// Bytes of a body in which an HTTP API's mapping looks for its JSONPath (MP-03).
pub const MAPPED_BODY_BYTES_HTTP_MAX: usize = 100 * 1_024;

/// Answers of one integration, told apart by patterns: one for each status that has a name.
pub const RESPONSE_RULES_MAX: usize = 64;

/// Characters of an API key's value, at least: what API Gateway takes (KP-01).
pub const API_KEY_BYTES_MIN: usize = 20;

/// Characters of an API key's value, at most (KP-01).
pub const API_KEY_BYTES_MAX: usize = 128;

/// API keys of one table. API Gateway allows 10,000 (KP-01); so many take a gigabyte and a half, and records are found by 32 bits.
pub const KEYS_MAX: usize = 20_000_000;

/// Requests per second of a throttle: beyond what one machine does. Whole seconds of it fit into the 64 bits of a bucket.
pub const THROTTLE_RATE_MAX: u64 = 10_000_000;

/// Requests at once of a throttle, likewise.
pub const THROTTLE_BURST_MAX: u32 = 10_000_000;

/// Trusted hops that a request is followed back over: nobody has so many proxies in a row.
pub const HOPS_MAX: usize = 16;

/// Bytes of a host that a trusted hop tells: the longest name, a colon and a port.
pub const HOST_TEXT_BYTES_MAX: usize = 255 + 6;

/// Identity sources of one authorizer: nobody names a caller by more parts.
pub const AUTHORIZER_SOURCES_MAX: usize = 10;

/// Bytes of one identity source: the name of a header field or parameter, and what stands before it.
pub const AUTHORIZER_SOURCE_BYTES_MAX: usize = 1_024;

/// Bytes of the expression that a token is held against.
pub const AUTHORIZER_PATTERN_BYTES_MAX: usize = 1_024;

/// Bytes that such an expression may become when it is compiled, and again while it runs: a few hundred times a usual one.
pub const AUTHORIZER_PATTERN_PROGRAM_BYTES_MAX: usize = 1 << 20;

/// Bytes of the ARN that an authorizer is told; a longer one is 414 in AWS.
pub const METHOD_ARN_BYTES_MAX: usize = 1_600;

/// Bytes of a resource in the policy that an authorizer answers with.
pub const AUTHORIZER_RESOURCE_BYTES_MAX: usize = 512;

/// Bytes of an authorizer's answer. Each one that is remembered holds as many at most; those of AWS are a tenth of it.
pub const AUTHORIZER_ANSWER_BYTES_MAX: usize = 64 * 1_024;

/// Values in the context of an authorizer's answer: a template that reads one looks at all of them.
pub const AUTHORIZER_CONTEXT_MAX: usize = 100;

/// Entries of one list of a CORS configuration: each is compared with the origin of every request. AWS allows 100.
pub const CORS_ENTRIES_MAX: usize = 100;

/// Bytes of a CORS list as it is sent: no client takes a longer field.
pub const CORS_LIST_BYTES_MAX: usize = 8_192;

/// Seconds for which a browser may remember a preflight's answer (CO-01); none keeps it for longer.
pub const CORS_AGE_MAX: i32 = 86_400;

/// Names that a preflight may ask for: as many as a head may have fields.
pub const CORS_ASKED_NAMES_MAX: usize = 100;

/// Bytes of an origin: a scheme, the longest name and a port, twice over.
pub const ORIGIN_BYTES_MAX: usize = 512;

/// Media types for which one gateway response has a body: there are not so many that an error is written in.
pub const REFUSAL_TEMPLATES_MAX: usize = 32;

/// Media ranges of an `Accept` that are looked at: browsers send eight.
pub const ACCEPT_RANGES_MAX: usize = 32;

/// Bytes of a policy document. API Gateway's resource policies end at 8,192 (POL-01); a thousand ranges of addresses need 20 KB.
pub const POLICY_BYTES_MAX: usize = 256 * 1024;

/// Statements of a policy: each is looked at for each request, so this bounds what one may cost.
pub const POLICY_STATEMENTS_MAX: usize = 1_000;

/// Bytes of a pattern in a policy. API Gateway's ARNs end at 512 in an authorizer's answer, and at 1,600 as a request's.
pub const POLICY_PATTERN_BYTES_MAX: usize = 2_048;

/// Clients of one throttle by address, header or claim that are told apart where nobody says how many, in 2 MiB: those of a minute,
/// where 1,000 new ones come in a second. Beyond, the one that has used the least is forgotten.
pub const THROTTLED_CLIENTS: u32 = 65_536;

/// Bytes of what a request says of its signature: a session's token is the longest part, and a head has room for no more.
pub const SIGNATURE_BYTES_MAX: usize = 10_240;

/// Names of signed fields: as many as a head may have fields.
pub const SIGNED_FIELDS_MAX: usize = 100;
/// Bytes of a token. It stands in a field of a head, and heads have 10,240 bytes by default; whoever allows larger ones gets some more.
pub const TOKEN_BYTES_MAX: usize = 16 * 1_024;

/// Letters of a token's head: an algorithm and a key's name. What else may stand there (certificates) is not read, but is often sent.
pub const TOKEN_HEAD_BYTES_MAX: usize = 8 * 1_024;

/// Letters of a token's signature: of the largest RSA key, 1,024 bytes.
pub const TOKEN_SIGNATURE_BYTES_MAX: usize = 1_366;

/// Bytes of a key's name: hashes and addresses are far shorter.
pub const KEY_ID_BYTES_MAX: usize = 1_024;

/// Bytes of a set of keys: what API Gateway takes.
pub const KEY_SET_BYTES_MAX: usize = 150_000;

/// Keys of one set: large issuers have some dozen.
pub const KEY_SET_KEYS_MAX: usize = 128;

/// Bits of an RSA key: RFC 7518 §3.3 wants as many.
pub const RSA_BITS_MIN: usize = 2_048;

/// The most: beyond it, verifying costs more than anybody gains.
pub const RSA_BITS_MAX: usize = 8_192;

/// Bytes of an RSA key's exponent: 65,537 has three, and a long one makes every verification slow.
pub const RSA_EXPONENT_BYTES_MAX: usize = 4;

/// Rules of one firewall: each is asked of each request, so this bounds what one may cost. A web ACL of AWS has some dozens.
pub const FIREWALL_RULES_MAX: usize = 256;

/// Sets of addresses of one firewall, those included that rules write themselves.
pub const FIREWALL_NETWORKS_MAX: usize = 512;

/// Ranges of one set: an IP set of AWS has 10,000, and lists of the internet's bad addresses some ten times as many.
pub const FIREWALL_RANGES_MAX: usize = 200_000;

/// Conditions of one firewall, groups counted.
pub const FIREWALL_CONDITIONS_MAX: usize = 4_096;

/// Groups and negations in one another: people do not follow more of them.
pub const FIREWALL_DEPTH_MAX: usize = 8;

/// Automata of one firewall: each may take a MiB in each worker.
pub const FIREWALL_PATTERNS_MAX: usize = 256;

/// Rules with a rate of one firewall: each has a table of clients.
pub const FIREWALL_RATES_MAX: usize = 16;

/// Texts that one condition compares with.
pub const FIREWALL_TEXTS_MAX: usize = 64;

/// Bytes of one of them.
pub const FIREWALL_TEXT_BYTES_MAX: usize = 1_024;

/// Bytes that a pattern may become when it is compiled, and again while it runs.
pub const FIREWALL_PATTERN_PROGRAM_BYTES_MAX: usize = 1 << 20;

/// Things that are made of a text before it is compared.
pub const FIREWALL_STEPS_MAX: usize = 4;

/// Bytes of a rule's name: a label of metrics.
pub const FIREWALL_NAME_BYTES_MAX: usize = 64;

/// Bytes of a name and a password, with the colon: four times the longest that people type. A verifier goes over all of them.
pub const BASIC_BYTES_MAX: usize = 768;

/// Bytes of a user's name.
pub const USER_NAME_BYTES_MAX: usize = 255;

/// Bytes of a password's hash: a PHC string of argon2 with the longest salt and output has half as many.
pub const PASSWORD_HASH_BYTES_MAX: usize = 512;

/// Cost of bcrypt: 2 to the power of 15 rounds take two seconds of a processor, and whoever tries passwords takes as much with each.
pub const BCRYPT_COST_MAX: u32 = 15;

/// KiB of memory of an argon2 hash: each password that is verified takes as much. RFC 9106 §4 asks for 64 MiB where memory is scarce.
pub const ARGON2_MEMORY_KIB_MAX: u32 = 256 * 1_024;

/// How often an argon2 hash goes over its memory: RFC 9106 §4 asks for three times.
pub const ARGON2_PASSES_MAX: u32 = 16;

/// Lanes of an argon2 hash; one thread goes over all of them.
pub const ARGON2_LANES_MAX: u32 = 16;

/// Rounds of SHA-256-crypt and SHA-512-crypt: a million take a second; 5,000 are usual.
pub const SHA_CRYPT_ROUNDS_MAX: u32 = 1_000_000;

/// Names of a certificate that are looked at: those of a large organization's web server have a hundred.
pub const ALT_NAMES_MAX: usize = 256;

/// Bytes of one of them.
pub const ALT_NAME_BYTES_MAX: usize = 2_048;

/// Entries of one list of a certificate authorizer: each is compared with each name of a certificate, once for each connection.
pub const CERTIFICATE_ENTRIES_MAX: usize = 1_000;
