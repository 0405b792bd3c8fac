//! How many requests pass: token buckets (TH-01), without a lock, a clock or memory of its own on a request's way.
//!
//! [`Limit`] is what an operator writes, [`Flow`] the same for calculating. A [`Bucket`] is one number; a [`Shared`] bucket is one
//! that workers lease from; a [`Table`] holds a bucket for each of many clients. Time is passed in, in nanoseconds since a moment
//! that all callers agree on; it may go backwards a little, for workers do not look at their clocks at the same time.

mod ahead;
mod bucket;
mod fields;
mod shared;
mod table;

use serde::{Deserialize, Serialize};

pub use self::bucket::{Bucket, Flow, Wait, Word};
pub use self::fields::{Told, write_concurrency, write_passed, write_refused};
pub use self::shared::{LEASE_NANOS, Shared};
pub use self::table::Table;

/// What may pass: so many requests a second on average, so many at once (TH-01).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Limit {
    /// Requests per second, in millionths; 0: nobody passes.
    pub rate_micros: u64,
    /// Requests at once; 0: nobody passes.
    pub burst: u32,
}

impl Limit {
    /// `rate` requests per second, in steps of a millionth, and `burst` at once. What is beyond [`crate::limits::THROTTLE_RATE_MAX`]
    /// and [`crate::limits::THROTTLE_BURST_MAX`] is taken for these, and less than nothing for nothing; a rate above 0 is at least a
    /// millionth.
    pub fn new(rate: f64, burst: f64) -> Self {
        let least = if rate > 0.0 { 1.0 } else { 0.0 };
        #[expect(
            clippy::cast_sign_loss,
            reason = "a float that becomes an integer is never below 0, nor above its largest"
        )]
        let (rate, burst) = ((rate * 1e6).round().max(least) as u64, burst as u32);
        Self {
            rate_micros: rate.min(crate::limits::THROTTLE_RATE_MAX * 1_000_000),
            burst: burst.min(crate::limits::THROTTLE_BURST_MAX),
        }
    }

    /// Requests per second.
    #[expect(clippy::cast_precision_loss, reason = "at most 10^13")]
    pub fn rate(self) -> f64 {
        self.rate_micros as f64 / 1e6
    }

    /// Whether nobody passes.
    pub const fn blocks_all(self) -> bool {
        self.rate_micros == 0 || self.burst == 0
    }

    /// Seconds in which an empty bucket is full again, rounded up; `None`: never.
    pub const fn seconds_to_fill(self) -> Option<u64> {
        if self.blocks_all() { None } else { Some((self.burst as u64 * 1_000_000).div_ceil(self.rate_micros)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_whole_millionths() {
        for (rate, burst, rate_micros, whole) in [
            (5.0, 10.0, 5_000_000, 10),
            (0.001, 3.0, 1_000, 3),
            (0.000_000_1, 1.0, 1, 1),
            (0.0, 7.9, 0, 7),
            (-1.0, -1.0, 0, 0),
            (1e300, 1e300, 10_000_000_000_000, 10_000_000),
            (f64::NAN, f64::NAN, 0, 0),
        ] {
            assert_eq!(Limit::new(rate, burst), Limit { rate_micros, burst: whole }, "{rate} {burst}");
        }
        assert!(
            Limit::new(0.0, 5.0).blocks_all()
                && Limit::new(5.0, 0.0).blocks_all()
                && !Limit::new(0.1, 1.0).blocks_all()
        );
        assert_eq!(Limit::new(5.0, 11.0).seconds_to_fill(), Some(3));
        assert_eq!(Limit::new(0.0, 11.0).seconds_to_fill(), None);
        assert!((Limit::new(2.5, 1.0).rate() - 2.5).abs() < 1e-9);
    }
}
