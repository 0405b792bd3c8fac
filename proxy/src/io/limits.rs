//! Every maximum of the runtime, with its reason.

use std::time::Duration;

/// Bytes of a small receive buffer: a head of a browser or an SDK and a small body fit together, so that they are received
/// and sent on in one piece. The kernel hands one out only when bytes arrive.
pub const SMALL_BUFFER_BYTES: u32 = 8 * 1024;

/// Bytes of a large receive buffer: used for bodies and for answers of upstreams, so that 16 KiB come in one completion.
pub const LARGE_BUFFER_BYTES: u32 = 32 * 1024;

/// Small buffers per worker (64 MiB): each request in flight may hold one until it is answered.
pub const SMALL_BUFFERS_MAX: u16 = 8 * 1024;

/// Large buffers per worker (64 MiB). A group of its own for what is large; once half of
/// it is held, bodies are copied out, so that slow readers cannot keep it from the answers of others.
pub const LARGE_BUFFERS_MAX: u16 = 2 * 1024;

/// Bytes between two buffers: an odd number of cache lines, so that heads spread over the cache's sets.
pub const BUFFER_STAGGER_BYTES: usize = 192;

/// Buffers allocated together when a pool grows.
pub const BUFFERS_PER_CHUNK: u16 = 32;

/// Submission queue entries; a full queue is submitted early, never an error.
pub const RING_ENTRIES: u32 = 1024;

/// Pause of a worker after the kernel had no memory for its ring: never a spin, and too short to be felt.
pub const SHORTAGE_PAUSE: Duration = Duration::from_millis(1);

/// Completion queue entries: several per submission, so that a burst does not overflow into the kernel's side list.
pub const COMPLETION_ENTRIES: u32 = 8 * 1024;

/// Entries of a provided-buffer ring of small buffers (a power of two).
pub const SMALL_RING_ENTRIES: u16 = 1024;

/// Entries of a provided-buffer ring of large buffers (a power of two).
pub const LARGE_RING_ENTRIES: u16 = 256;

/// Buffers that a ring starts with; each shortage doubles the number, so that quiet workers stay small and cache-warm.
pub const RING_FILL_START: u16 = 32;

/// Bytes that a receive takes before somebody asks for more, though it goes on by itself. Small pieces share a buffer, so a peer that
/// is not listened to holds one or two; a small request or answer takes a fraction of that.
pub const UNASKED_SMALL_BYTES_MAX: u32 = 2 * SMALL_BUFFER_BYTES;

/// See `UNASKED_SMALL_BYTES_MAX`.
pub const UNASKED_LARGE_BYTES_MAX: u32 = LARGE_BUFFER_BYTES;

/// Pieces of one send: a head and the body pieces that arrived with it.
pub const SEND_CHUNKS_MAX: usize = 4;

/// Bytes of a client's answer that the kernel holds and has not sent: as much as one send has at most.
pub const UNSENT_BYTES_MAX: u32 = LARGE_BUFFER_BYTES * SEND_CHUNKS_MAX as u32;

/// Bytes of TLS records that are opened ahead of the reader: the most that one record holds.
pub const OPENED_BYTES_MAX: usize = 16 * 1024;

/// Output vectors kept for reuse by a worker.
pub const SPARE_VECTORS_MAX: usize = 256;

/// A vector that grew beyond this is freed, not kept: one large head must not pin memory for ever.
pub const SPARE_VECTOR_BYTES_MAX: usize = 16 * 1024;

/// Boxes of finished sends kept for reuse by a worker (300 bytes each): more are under way only in a burst.
pub const SPARE_SENDS_MAX: usize = 1024;

/// Cells of finished tasks kept for reuse, for each size of future: the memory of a burst goes back to the allocator.
pub const SPARE_CELLS_MAX: usize = 1024;

/// Receives without a buffer that are started again in one turn: one freed buffer must not cost a call per waiting socket.
pub const FED_PER_TURN_MAX: usize = 256;

/// Rounds of dropping tasks at the end of a shard: a drop may spawn, but not for ever.
pub const DROP_ROUNDS_MAX: usize = 100;

/// Task polls between two visits to the driver, so that a chain of wake-ups cannot starve the sockets.
pub const POLLS_PER_TURN_MAX: usize = 1024;

/// Accepted sockets waiting for the acceptor before the listener is paused.
pub const ACCEPTS_WAITING_MAX: usize = 256;

/// Descriptors accepted in one readiness event by the epoll driver.
pub const ACCEPTS_PER_EVENT_MAX: usize = 64;

/// Milliseconds of one tick of the timer wheel: time-outs start at 50 ms, so a tick is well below the smallest.
pub const TICK_MS: u64 = 8;
const _: () = assert!(1000 % TICK_MS == 0, "a second is a whole number of ticks");

/// Ticks that a dropped socket may take to hand over what was already given to `send` (10 s).
pub const CLOSE_TICKS_MAX: u64 = 10_000 / TICK_MS;

/// Milliseconds that a stopping shard waits for the kernel to give back its buffers before it leaks them.
pub const TEARDOWN_MS_MAX: u64 = 3_000;

/// Bytes of a connection slot: an idle connection has nothing else.
pub const SLOT_BYTES_MAX: usize = 256;
