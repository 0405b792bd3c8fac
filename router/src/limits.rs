//! Every maximum of this crate, with its reason.

/// Variables in one template. Captures are a fixed array in the request's own memory; the longest real templates have seven.
pub const VARIABLES_MAX: usize = 16;

/// Segments in one template. Bounds how deep a lookup may nest: one frame for each segment that offers a choice.
pub const SEGMENTS_MAX: usize = 64;

/// Bytes of one template. Longer than any path that the default head limits would let through to it.
pub const TEMPLATE_BYTES_MAX: usize = 4_096;

/// Bytes of one variable's name, braces not counted.
pub const VARIABLE_NAME_BYTES_MAX: usize = 128;

/// Bytes of a path that can match: offsets are `u16`. Longer paths are misses; codec refuses far shorter ones.
pub const PATH_BYTES_MAX: usize = u16::MAX as usize;

/// Bytes of a host name (RFC 1035 §2.3.4: 255 octets on the wire, 253 as text).
pub const HOST_BYTES_MAX: usize = 253;

/// Bytes of one label of a host name (RFC 1035 §2.3.4).
pub const LABEL_BYTES_MAX: usize = 63;

/// Bytes of one base path, outer slashes not counted (DM-03).
pub const BASE_PATH_BYTES_MAX: usize = 300;

/// Segments of one base path. Lookup tries one prefix for each, longest first.
pub const BASE_PATH_SEGMENTS_MAX: usize = 32;

/// The largest number that a method may have; the one above it means "none" inside the tree.
pub const METHOD_MAX: u32 = u32::MAX - 1;

/// Free slots tried for one set of siblings when a tree is packed; after that they go to the end. Long searches would only save a few slots.
pub(crate) const PACK_PROBES_MAX: usize = 64;

/// Words of 64 slots that such a search may pass before later ones begin where it ended.
pub(crate) const PACK_WORDS_MAX: usize = 16;

/// The smallest and the largest priority of a routing rule (DM-05).
pub const RULE_PRIORITIES: std::ops::RangeInclusive<u32> = 1..=1_000_000;

/// Routing rules of one host (DM-05). A request may have to try all of them.
pub const RULES_MAX: usize = 50;

/// Groups of header conditions in one routing rule (DM-05).
pub const RULE_HEADER_GROUPS_MAX: usize = 2;

/// Alternatives in one condition of a routing rule, each one more comparison for a request. AWS names no number; this is ours.
pub const RULE_ALTERNATIVES_MAX: usize = 32;

/// Bytes of a header's name in a routing rule: less than 40 (DM-05).
pub const RULE_HEADER_NAME_BYTES_MAX: usize = 39;

/// Bytes of a glob: less than 128 (DM-05).
pub const GLOB_BYTES_MAX: usize = 127;
