//! Every maximum of the desk, with its reason.

use std::time::Duration;

/// Connections to the admin port at once. A scraper, a probe and a person need one each; the rest wait in the backlog.
pub const ADMIN_CONNECTIONS: usize = 64;
/// Bytes of one admin request's head. Ours have no cookies and no bodies; the smallest that the HTTP library allows is 8 KiB.
pub const ADMIN_HEAD_BYTES: usize = 8 * 1024;
/// Header fields of one admin request: browsers send about 20.
pub const ADMIN_FIELDS: usize = 64;
/// Time for a whole head on the admin port, and for an idle connection between two requests. Longer than the usual scrape
/// interval of 15 s would keep connections of forgotten scrapers.
pub const ADMIN_HEAD_TIME: Duration = Duration::from_secs(10);
/// Age at which an admin connection is closed after its present answer: a client that does not read gives its place back.
pub const ADMIN_CONNECTION_TIME: Duration = Duration::from_secs(60);
/// Time that an answer under way gets when its connection has to end.
pub const GRACE_TIME: Duration = Duration::from_secs(1);

/// Connections to the control socket at once: commands are rare and take turns anyway.
pub const CONTROL_CONNECTIONS: usize = 16;
/// Bytes of one command line. The longest deploys with a note and a hundred stage variables of the longest kind: about 70 KB.
pub const COMMAND_BYTES: usize = 128 * 1024;
/// Bytes of one answer line that the client takes. A status of thousands of APIs is below it, and so are a thousand deployments.
pub const ANSWER_BYTES: usize = 16 * 1024 * 1024;
/// Time for the next whole command line; also how long a silent peer is kept.
pub const COMMAND_TIME: Duration = Duration::from_secs(10);
/// Time to hand over one answer to a peer that reads slowly.
pub const ANSWER_TIME: Duration = Duration::from_secs(10);
/// How long the client waits for an answer that needs no work.
pub const STATUS_CALL_TIME: Duration = Duration::from_secs(10);
/// How long the client waits for a reload: tens of thousands of methods compile in seconds, on a busy machine in more.
pub const RELOAD_CALL_TIME: Duration = Duration::from_secs(120);
/// Time for another executable to become ready: as much as its configuration may take to compile on a busy machine.
pub const UPGRADE_TIME: Duration = Duration::from_secs(60);
/// The most that may be asked for instead: the gateway takes no new configuration meanwhile.
pub const UPGRADE_TIME_MAX: Duration = Duration::from_secs(600);
/// How much longer than that the client of an upgrade waits: reloads that were commanded before come first.
pub const UPGRADE_CALL_MARGIN: Duration = Duration::from_secs(60);
/// Commands that may wait in the kernel while the desk is busy.
pub const CONTROL_BACKLOG: i32 = 16;
/// How long `bind` waits for another process that is binding in the same folder.
pub const BIND_LOCK_TIME: Duration = Duration::from_secs(2);

/// Pause after a failed `accept` (no file descriptors left): never a busy loop.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Pause between two looks at that lock.
pub const BIND_LOCK_PAUSE: Duration = Duration::from_millis(20);
/// How long a desk that is handed over waits until its doors are let go: an accept that is under way takes microseconds.
pub const LET_GO_TIME: Duration = Duration::from_secs(1);
/// Pause between two looks at that.
pub const LET_GO_PAUSE: Duration = Duration::from_millis(1);
