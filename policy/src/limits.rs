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
