//! Failures that come by the thousand are told once a second, with their number.

use std::time::{Duration, Instant};

/// The shortest time between two lines about the same thing.
const PAUSE: Duration = Duration::from_secs(1);

/// What was told, and what was not.
#[derive(Debug, Default)]
pub struct Seldom {
    told: Option<Instant>,
    untold: u64,
}

impl Seldom {
    /// It has happened. The number of times since it was told last, this one included, if it is to be told again.
    pub fn say(&mut self, now: Instant) -> Option<u64> {
        self.untold += 1;
        if self.told.is_some_and(|told| now.saturating_duration_since(told) < PAUSE) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_line_a_second() {
        let began = Instant::now();
        let mut seldom = Seldom::default();
        let told: Vec<Option<u64>> =
            [0, 10, 999, 1_000, 1_001, 5_000].map(|ms| seldom.say(began + Duration::from_millis(ms))).into();
        assert_eq!(told, [Some(1), None, None, Some(3), None, Some(2)]);
    }
}
