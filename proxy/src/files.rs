//! How many files the process may open, and what they are for.

use admin::limits::{ADMIN_CONNECTIONS, CONTROL_CONNECTIONS};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::limits::{AWAY_MAX, CLIENT_FILES_PERCENT, FILES_OF_WORKER, FILES_RESERVED, SOCKETS_MIN};

/// What a worker may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Files of the process.
    pub files: u64,
    /// Sockets of one worker, of all kinds.
    pub sockets: u32,
    /// Of these, connections of clients at most: backends need some as well.
    pub clients: u32,
}

/// Raises the soft limit to the hard one: it is a courtesy to programs that use select(2), and we do not. Returns what there is.
pub fn raise() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "cannot raise the limit of open files");
        }
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

impl Share {
    /// Divides what there is: first what the admin port, commands, the log and reloads need, so that they are answered however
    /// many clients there are; the rest goes to the workers in equal parts.
    pub fn of(files: u64, workers: usize) -> Share {
        let reserved = FILES_RESERVED + (ADMIN_CONNECTIONS + CONTROL_CONNECTIONS) as u64;
        let each = files.saturating_sub(reserved) / workers as u64;
        let sockets = each.saturating_sub(FILES_OF_WORKER + u64::from(AWAY_MAX));
        let sockets = u32::try_from(sockets).unwrap_or(u32::MAX).max(SOCKETS_MIN);
        let clients = u64::from(sockets) * u64::from(CLIENT_FILES_PERCENT) / 100;
        Share { files, sockets, clients: clients as u32 }
    }

    /// Says so where a worker may hold fewer connections than the document wants, and louder where it wants them in so many words.
    pub fn warn(&self, wanted: u32) {
        if self.clients >= wanted {
            return;
        }
        let (held, open_files) = (self.clients, self.files);
        if wanted == config::limits::CONNECTIONS {
            tracing::info!(held, open_files, "the limit of open files bounds the connections of each worker");
            return;
        }
        tracing::warn!(
            wanted,
            held,
            open_files,
            "limits.connections is {wanted} for each worker, but there are files for {held} only: raise LimitNOFILE of the service \
             (ulimit -Hn in a shell), or lower limits.connections"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_divided() {
        let share = Share::of(524_288, 2);
        assert!(share.clients > 190_000 && share.sockets < 262_144, "{share:?}");
        let share = Share::of(20_000, 1);
        assert!(share.clients > 14_000, "{share:?}");
        for files in [0, 64, 256, 1_024, 4_096, 65_536, 1 << 40, u64::MAX] {
            for workers in [1, 2, 64] {
                let Share { sockets, clients, .. } = Share::of(files, workers);
                assert!(clients > 0 && clients < sockets);
                let all = (u64::from(sockets) + u64::from(AWAY_MAX)).saturating_mul(workers as u64);
                assert!(sockets == SOCKETS_MIN || all < files, "{files} {workers}");
            }
        }
    }
}
