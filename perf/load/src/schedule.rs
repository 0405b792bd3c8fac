//! When which connection has to ask, at a constant rate over all of them.
//!
//! Request `k` is due at `k / rate`, on connection `k mod connections`. A connection that is still waiting for an answer
//! asks as soon as it has it; its latency counts from when it was due. So a slow answer makes all that wait for it slow,
//! as it would be for people who do not know of each other.

/// The order of requests at a constant rate. Times are nanoseconds since the beginning.
pub struct Schedule {
    /// Requests a second.
    rate: u64,
    connections: u64,
    /// The next request that nobody has looked at.
    cursor: u64,
    /// By connection, the number of its next request.
    next: Vec<u64>,
}

/// A request that is due now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Who asks.
    pub connection: usize,
    /// When it was to ask, in nanoseconds since the beginning.
    pub at: u64,
}

impl Schedule {
    /// `rate`: requests a second over all connections; neither is zero.
    pub fn new(rate: u64, connections: usize) -> Schedule {
        assert!(rate > 0 && connections > 0, "nobody asks nothing");
        Schedule { rate, connections: connections as u64, cursor: 0, next: (0..connections as u64).collect() }
    }

    fn time_of(&self, request: u64) -> u64 {
        (u128::from(request) * 1_000_000_000 / u128::from(self.rate)) as u64
    }

    /// When the next request falls due that nobody has looked at.
    pub fn next_at(&self) -> u64 {
        self.time_of(self.cursor)
    }

    /// The next request that is due, of a connection that is free; `None` when there is none yet. Those of busy connections
    /// are passed over: `after_answer` has them.
    pub fn pop(&mut self, now: u64, is_free: impl Fn(usize) -> bool) -> Option<Due> {
        while self.next_at() <= now {
            let (request, connection) = (self.cursor, (self.cursor % self.connections) as usize);
            self.cursor += 1;
            if self.next[connection] == request && is_free(connection) {
                return Some(self.take(connection));
            }
        }
        None
    }

    /// What a connection that has become free should have asked before.
    pub fn after_answer(&mut self, connection: usize, now: u64) -> Option<Due> {
        // What is due, but not yet looked at, is left to `pop`.
        (self.next[connection] < self.cursor && self.time_of(self.next[connection]) <= now)
            .then(|| self.take(connection))
    }

    fn take(&mut self, connection: usize) -> Due {
        let request = self.next[connection];
        self.next[connection] = request + self.connections;
        Due { connection, at: self.time_of(request) }
    }

    /// The times of all requests up to `end` that nobody could ask.
    pub fn missed(&self, end: u64) -> impl Iterator<Item = u64> {
        self.next.iter().flat_map(move |first| {
            let times = (0..).map(move |n| self.time_of(first + n * self.connections));
            times.take_while(move |at| *at < end)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn requests_are_evenly_spaced_over_time_and_connections() {
        let mut schedule = Schedule::new(1000, 3);
        let mut seen = Vec::new();
        for tick in 0..6 {
            while let Some(due) = schedule.pop(tick * MS, |_| true) {
                seen.push((due.connection, due.at));
            }
        }
        assert_eq!(seen, [(0, 0), (1, MS), (2, 2 * MS), (0, 3 * MS), (1, 4 * MS), (2, 5 * MS)]);
        assert_eq!(schedule.next_at(), 6 * MS);
    }

    #[test]
    fn a_busy_connection_asks_late_and_its_latency_counts_from_when_it_was_due() {
        let mut schedule = Schedule::new(1000, 2);
        assert_eq!(schedule.pop(0, |_| true), Some(Due { connection: 0, at: 0 }));
        // The answer of connection 0 takes 9 ms; connection 1 goes on.
        let mut others = Vec::new();
        while let Some(due) = schedule.pop(9 * MS, |connection| connection == 1) {
            others.push(due.at / MS);
        }
        assert_eq!(others, [1, 3, 5, 7, 9]);
        let mut late = Vec::new();
        while let Some(due) = schedule.after_answer(0, 9 * MS) {
            late.push(due.at / MS);
        }
        assert_eq!(late, [2, 4, 6, 8], "none is left out");
        assert_eq!(schedule.pop(10 * MS, |_| true), Some(Due { connection: 0, at: 10 * MS }));
    }

    #[test]
    fn a_connection_that_becomes_free_in_time_is_left_to_the_clock() {
        let mut schedule = Schedule::new(1000, 1);
        assert!(schedule.pop(0, |_| true).is_some());
        assert_eq!(schedule.after_answer(0, MS / 2), None);
        assert_eq!(schedule.after_answer(0, 3 * MS), None, "pop has not looked at them yet");
        assert_eq!(schedule.pop(3 * MS, |_| true), Some(Due { connection: 0, at: MS }));
    }

    #[test]
    fn what_nobody_could_ask_is_known_at_the_end() {
        let mut schedule = Schedule::new(1000, 2);
        while schedule.pop(10 * MS, |connection| connection == 1).is_some() {}
        let mut missed: Vec<u64> = schedule.missed(10 * MS).map(|at| at / MS).collect();
        missed.sort_unstable();
        assert_eq!(missed, [0, 2, 4, 6, 8]);
    }

    #[test]
    fn long_runs_at_high_rates_do_not_overflow_or_drift() {
        let mut schedule = Schedule::new(999_983, 1);
        schedule.cursor = 999_983 * 3600 * 24 * 365;
        assert_eq!(schedule.next_at(), 3600 * 24 * 365 * 1_000_000_000);
    }
}
