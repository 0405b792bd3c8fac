//! HTTP/2 on a socket of ours, for both roles: what lies between the `h2` library and the runtime.
//!
//! `wire` is the socket as the library reads and writes it; `stream` is one stream as a request's way sees it (`link::Link`);
//! `head` turns heads of HTTP/1 into fields and back; `piece` is what the library sends, counted until it has left.
//!
//! The library moves a connection only when somebody polls it. Whoever does (`connection` in front, `upstream` behind) calls
//! `Line::push` after every poll: until then what it wrote is gathered, so that frames of many streams leave in one send.

mod head;
mod piece;
mod stream;
mod timer;
mod wire;

pub use head::trailers;
pub use piece::Piece;
pub use stream::Stream;
pub use timer::Timer;
pub use wire::{Busy, Line, Wire};

/// The trailer fields of a message.
pub type Trailers = http::HeaderMap;
