//! Quotas: so many requests of a key in a day, a week or a month (KP-06), and how they are counted.
//!
//! A [`Count`] is a handful of words that workers, and processes, share: each is a period in its upper 24 bits and a number in its
//! lower 40, so that a period that is over and what was counted in it change at once. Time is passed in, as days since 1970.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use serde::{Deserialize, Serialize};

/// How many requests a key may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Quota {
    /// Requests in each period; at most 2^40 - 1.
    pub limit: u64,
    /// How long that is.
    pub period: Period,
    /// Requests that are missing from the limit in the period in which a key is first seen.
    pub offset: u64,
}

/// In what time. Each begins at 00:00 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Period {
    /// A day.
    Day,
    /// A week; it begins on Sunday.
    Week,
    /// A month; it begins on the first.
    Month,
}

/// A day, counted from 1 January 1970; the next 40,000 years fit.
pub type Day = u32;

/// Seconds of a day.
const DAY_SECONDS: u64 = 86_400;
/// Bits of a word's number.
const NUMBER_BITS: u32 = 40;
/// The most that a word counts.
pub const NUMBER_MAX: u64 = (1 << NUMBER_BITS) - 1;

/// The day of a time in seconds since 1970.
pub const fn day_of(seconds: u64) -> Day {
    (seconds / DAY_SECONDS) as Day
}

/// Year, month and day of the month (Gregorian; Hinnant's `civil_from_days`).
pub const fn date(day: Day) -> (u32, u32, u32) {
    // From 1 March of the year 0, so that a leap day is the last of its year.
    let days = day + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + if month <= 2 { 1 } else { 0 }, month, of_month)
}

/// The day of a date; `None`: there is no such date since 1970.
pub fn day_of_date(year: u32, month: u32, of_month: u32) -> Option<Day> {
    if !(1970..=9_999).contains(&year) || !(1..=12).contains(&month) || of_month == 0 {
        return None;
    }
    let shifted = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + of_month - 1;
    let (era, of_era) = (shifted / 400, shifted % 400);
    let day = (era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year).checked_sub(719_468)?;
    // Whatever is too late in its month comes back as another date.
    (date(day) == (year, month, of_month)).then_some(day)
}

impl Period {
    /// Its name in documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// The first day of the period that a day is in.
    pub const fn start(self, day: Day) -> Day {
        match self {
            Self::Day => day,
            // The first day of all was a Thursday.
            Self::Week => day.saturating_sub((day + 4) % 7),
            Self::Month => day + 1 - date(day).2,
        }
    }

    /// The first day of the period behind it.
    pub const fn end(self, day: Day) -> Day {
        match self {
            Self::Day => day + 1,
            Self::Week => self.start(day) + 7,
            // No month is longer than 31 days, and none shorter than what is then left.
            Self::Month => self.start(self.start(day) + 31),
        }
    }
}

impl Quota {
    /// Seconds until the next period begins.
    pub const fn seconds_left(self, seconds: u64) -> u64 {
        self.period.end(day_of(seconds)) as u64 * DAY_SECONDS - seconds
    }
}

/// Words of a count.
pub const COUNT_WORDS: usize = 6;

/// What is counted of one key in one plan. All zero: it was never seen. Its words are wherever the caller keeps them.
#[derive(Debug, Clone, Copy)]
pub struct Count<'a> {
    /// Requests of one day: the last on which there were any.
    today: &'a AtomicU64,
    /// The same of the day before that, until somebody has written it down.
    before: &'a AtomicU64,
    /// Requests of one period of the quota, by its first day.
    period: &'a AtomicU64,
    /// What the limit is in one period, if somebody has changed it (KP-09).
    changed: &'a AtomicU64,
    /// The first day of the first period, and 1.
    first: &'a AtomicU64,
    /// The last day that is written down.
    written: &'a AtomicU64,
}

/// A word apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// The day, or the first day of the period.
    pub day: Day,
    /// Requests.
    pub number: u64,
}

impl Tally {
    const fn of(word: u64) -> Self {
        Self { day: (word >> NUMBER_BITS) as Day, number: word & NUMBER_MAX }
    }

    const fn word(self) -> u64 {
        (self.day as u64) << NUMBER_BITS | if self.number < NUMBER_MAX { self.number } else { NUMBER_MAX }
    }
}

/// Where a key stands in its quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Requests of this period.
    pub used: u64,
    /// Requests that it may have.
    pub allowed: u64,
}

impl<'a> Count<'a> {
    /// What is counted in these words.
    #[inline]
    pub const fn new(words: &'a [AtomicU64; COUNT_WORDS]) -> Self {
        let [today, before, period, changed, first, written] = words;
        Self { today, before, period, changed, first, written }
    }

    /// Counts a request, unless the quota has no room for it.
    ///
    /// # Errors
    /// The quota is used up.
    #[inline]
    pub fn take(self, day: Day, quota: Option<Quota>) -> Result<(), UsedUp> {
        if let Some(quota) = quota {
            self.take_of(quota, day)?;
        }
        self.count_day(day);
        Ok(())
    }

    /// Takes back what `take` has counted: the request was not served. A period or day that is over by now keeps it.
    #[cold]
    pub fn give_back(self, day: Day, quota: Option<Quota>) {
        let less = |word: &AtomicU64, day: Day| {
            let _ = word.fetch_update(Relaxed, Relaxed, |word| {
                let Tally { day: known, number } = Tally::of(word);
                (known == day && number > 0).then(|| word - 1)
            });
        };
        if let Some(quota) = quota {
            less(self.period, quota.period.start(day));
        }
        less(self.today, day);
    }

    /// Workers meet here: exactly so many pass as are allowed. Whoever comes in the moment when the last one passes is refused and
    /// counted all the same, for nobody can take back what has become another period's; that is one for each worker at most.
    #[inline]
    fn take_of(self, quota: Quota, day: Day) -> Result<(), UsedUp> {
        let start = quota.period.start(day);
        loop {
            let word = self.period.load(Relaxed);
            let Tally { day: known, number } = Tally::of(word);
            // Clocks of workers differ by a little: nobody goes back to a period that is over.
            if known < start {
                self.begin(word, start);
                continue;
            }
            let allowed = self.allowed(quota, known);
            if number >= allowed {
                return Err(UsedUp);
            }
            let Tally { day: after, number } = Tally::of(self.period.fetch_add(1, Relaxed));
            return if after == known && number >= allowed { Err(UsedUp) } else { Ok(()) };
        }
    }

    #[cold]
    fn begin(self, word: u64, start: Day) {
        // The first of all periods is remembered; whoever comes second finds it there.
        let _ = self.first.compare_exchange(0, u64::from(start) + 1, Relaxed, Relaxed);
        let _ = self.period.compare_exchange(word, Tally { day: start, number: 0 }.word(), Relaxed, Relaxed);
    }

    #[inline]
    fn allowed(self, quota: Quota, start: Day) -> u64 {
        let changed = Tally::of(self.changed.load(Relaxed));
        if changed.day == start && start != 0 {
            changed.number
        } else if quota.offset > 0 && self.first.load(Relaxed) == u64::from(start) + 1 {
            quota.limit.saturating_sub(quota.offset)
        } else {
            quota.limit
        }
    }

    #[inline]
    fn count_day(self, day: Day) {
        if Tally::of(self.today.load(Relaxed)).day < day {
            self.begin_day(day);
        }
        self.today.fetch_add(1, Relaxed);
    }

    #[cold]
    fn begin_day(self, day: Day) {
        let word = self.today.load(Relaxed);
        let known = Tally::of(word);
        let fresh = Tally { day, number: 0 }.word();
        if known.day < day && self.today.compare_exchange(word, fresh, Relaxed, Relaxed).is_ok() && known.number > 0 {
            self.before.store(word, Relaxed);
        }
    }

    /// Where the key stands on a day.
    pub fn standing(self, quota: Quota, day: Day) -> Standing {
        let start = quota.period.start(day);
        let Tally { day: known, number } = Tally::of(self.period.load(Relaxed));
        let is_new = self.first.load(Relaxed) == 0;
        let allowed = if is_new && Tally::of(self.changed.load(Relaxed)).day != start {
            quota.limit.saturating_sub(quota.offset)
        } else {
            self.allowed(quota, start)
        };
        Standing { used: if known == start { number.min(allowed) } else { 0 }, allowed }
    }

    /// Lets the key have so many requests more in this period, whatever it has used (KP-09).
    pub fn extend(self, quota: Quota, day: Day, remaining: u64) {
        let used = self.standing(quota, day).used;
        let start = quota.period.start(day);
        let _ = self.first.compare_exchange(0, u64::from(start) + 1, Relaxed, Relaxed);
        self.changed.store(Tally { day: start, number: used.saturating_add(remaining) }.word(), Relaxed);
    }

    /// The last day with requests, and the day before that, as far as they are known; days without requests are left out.
    pub fn days(self) -> impl Iterator<Item = Tally> + use<> {
        let known = [Tally::of(self.before.load(Relaxed)), Tally::of(self.today.load(Relaxed))];
        known.into_iter().filter(|tally| tally.number > 0)
    }

    /// Days that are over and are not written down yet.
    pub fn unwritten(self, today: Day) -> impl Iterator<Item = Tally> + use<> {
        let written = self.written.load(Relaxed) as Day;
        self.days().filter(move |tally| tally.day < today && tally.day > written)
    }

    /// Whether these words can have been counted until this day: nothing in them is of a later one.
    pub fn is_plausible(self, today: Day) -> bool {
        let tallies =
            [self.today, self.before, self.period, self.changed].map(|word| Tally::of(word.load(Relaxed)).day);
        let (first, written) = (self.first.load(Relaxed), self.written.load(Relaxed));
        tallies.iter().all(|day| *day <= today) && first <= u64::from(today) + 1 && written <= u64::from(today)
    }

    /// Takes over what was counted of the same key and plan elsewhere, as far as that is more. Once or many times: it is the same.
    pub fn take_over(self, other: Count<'_>) {
        let words =
            |count: Count<'a>| [count.today, count.before, count.period, count.changed, count.first, count.written];
        let theirs = [other.today, other.before, other.period, other.changed, other.first, other.written];
        for (ours, theirs) in words(self).into_iter().zip(theirs) {
            ours.fetch_max(theirs.load(Relaxed), Relaxed);
        }
    }

    /// Everything up to this day is written down.
    pub fn wrote(self, day: Day) {
        self.written.fetch_max(u64::from(day), Relaxed);
    }
}

/// A quota has no room for another request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsedUp;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_was_counted_elsewhere_is_taken_over_once() {
        let words = [const { [const { AtomicU64::new(0) }; COUNT_WORDS] }; 2];
        let [one, other] = words.each_ref().map(Count::new);
        let quota = Quota { limit: 10, period: Period::Day, offset: 0 };
        for _ in 0..3 {
            other.take(100, Some(quota)).unwrap();
        }
        one.take_over(other);
        one.take_over(other);
        assert_eq!((one.standing(quota, 100).used, one.days().count()), (3, 1));
        one.take(100, Some(quota)).unwrap();
        one.take_over(other);
        assert_eq!(one.standing(quota, 100).used, 4, "what is more stays");
        assert!(one.is_plausible(100) && !one.is_plausible(99));
        words[0][3].store(u64::MAX, Relaxed);
        assert!(!one.is_plausible(100));
    }

    #[test]
    fn dates() {
        for (day, expected) in [
            (0, (1970, 1, 1)),
            (30, (1970, 1, 31)),
            (31, (1970, 2, 1)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (20_779, (2026, 11, 22)),
            (47_541, (2100, 3, 1)),
        ] {
            assert_eq!(date(day), expected, "{day}");
            assert_eq!(day_of_date(expected.0, expected.1, expected.2), Some(day));
        }
        for (year, month, day) in
            [(1969, 12, 31), (2026, 2, 29), (2026, 13, 1), (2026, 0, 1), (2026, 4, 31), (2026, 1, 0)]
        {
            assert_eq!(day_of_date(year, month, day), None);
        }
        assert_eq!(day_of(86_399), 0);
        assert_eq!(day_of(86_400), 1);
    }

    #[test]
    fn what_is_given_back_was_never_counted() {
        let words = [const { AtomicU64::new(0) }; COUNT_WORDS];
        let (count, quota) = (Count::new(&words), Quota { limit: 2, period: Period::Day, offset: 0 });
        for _ in 0..5 {
            count.take(9, Some(quota)).expect("it is given back each time");
            count.give_back(9, Some(quota));
        }
        count.give_back(9, Some(quota));
        count.take(9, Some(quota)).expect("none is used");
        count.give_back(8, Some(quota));
        assert_eq!(count.standing(quota, 9).used, 1);
        assert_eq!(count.unwritten(10).map(|tally| (tally.day, tally.number)).collect::<Vec<_>>(), [(9, 1)]);
    }

    /// Row KP-06: a day at 00:00 UTC, a week from Sunday, a month from its first day.
    #[test]
    fn periods_begin_where_api_gateway_lets_them() {
        let day = |(year, month, of_month)| day_of_date(year, month, of_month).unwrap();
        for (period, at, start, end) in [
            (Period::Day, (2026, 11, 22), (2026, 11, 22), (2026, 11, 23)),
            // 22 November 2026 is a Sunday.
            (Period::Week, (2026, 11, 22), (2026, 11, 22), (2026, 11, 29)),
            (Period::Week, (2026, 11, 21), (2026, 11, 15), (2026, 11, 22)),
            (Period::Month, (2026, 11, 22), (2026, 11, 1), (2026, 12, 1)),
            (Period::Month, (2026, 2, 28), (2026, 2, 1), (2026, 3, 1)),
            (Period::Month, (2026, 12, 31), (2026, 12, 1), (2027, 1, 1)),
        ] {
            assert_eq!(period.start(day(at)), day(start), "{period:?} {at:?}");
            assert_eq!(period.end(day(at)), day(end), "{period:?} {at:?}");
        }
        let quota = Quota { limit: 1, period: Period::Day, offset: 0 };
        assert_eq!(quota.seconds_left(86_400 + 1), 86_399);
    }

    fn words() -> [AtomicU64; COUNT_WORDS] {
        std::array::from_fn(|_| AtomicU64::new(0))
    }

    fn taken(count: Count<'_>, quota: Quota, day: Day, tries: u64) -> u64 {
        (0..tries).filter(|_| count.take(day, Some(quota)).is_ok()).count() as u64
    }

    #[test]
    fn a_quota_lets_its_number_pass_and_begins_anew() {
        let words = words();
        let count = Count::new(&words);
        let quota = Quota { limit: 3, period: Period::Week, offset: 0 };
        let sunday = day_of_date(2026, 11, 22).unwrap();
        assert_eq!(taken(count, quota, sunday, 2), 2);
        assert_eq!(taken(count, quota, sunday + 6, 5), 1, "Saturday is of the same week");
        assert_eq!(count.standing(quota, sunday + 6), Standing { used: 3, allowed: 3 });
        assert_eq!(taken(count, quota, sunday + 7, 5), 3);
        assert_eq!(taken(count, quota, sunday + 6, 5), 0, "a clock that is late changes nothing");
        let days: Vec<Tally> = count.days().collect();
        assert_eq!(days, [Tally { day: sunday + 6, number: 1 }, Tally { day: sunday + 7, number: 3 }]);
        let over = |today| count.unwritten(today).map(|tally| tally.day).collect::<Vec<_>>();
        assert_eq!((over(sunday + 7), over(sunday + 8)), (vec![sunday + 6], vec![sunday + 6, sunday + 7]));
        count.wrote(sunday + 6);
        assert_eq!((over(sunday + 7), over(sunday + 8)), (vec![], vec![sunday + 7]));
    }

    /// Row KP-06, assumed: the offset is missing from the first period alone.
    #[test]
    fn an_offset_counts_once() {
        let words = words();
        let (count, quota) = (Count::new(&words), Quota { limit: 5, period: Period::Day, offset: 3 });
        assert_eq!(count.standing(quota, 100), Standing { used: 0, allowed: 2 });
        assert_eq!(taken(count, quota, 100, 9), 2);
        assert_eq!(taken(count, quota, 101, 9), 5);
    }

    /// Row KP-09.
    #[test]
    fn an_extension_holds_for_its_period() {
        let words = words();
        let (count, quota) = (Count::new(&words), Quota { limit: 2, period: Period::Day, offset: 0 });
        assert_eq!(taken(count, quota, 100, 9), 2);
        count.extend(quota, 100, 4);
        assert_eq!(count.standing(quota, 100), Standing { used: 2, allowed: 6 });
        assert_eq!(taken(count, quota, 100, 9), 4);
        count.extend(quota, 100, 0);
        assert_eq!(taken(count, quota, 100, 9), 0);
        assert_eq!(taken(count, quota, 101, 9), 2);
        let more = self::words();
        let new = Count::new(&more);
        new.extend(quota, 100, 7);
        assert_eq!(taken(new, quota, 100, 9), 7, "also of a key that was never seen");
    }

    #[test]
    fn without_a_quota_everything_is_counted() {
        let words = words();
        let count = Count::new(&words);
        assert!((0..10).all(|_| count.take(7, None).is_ok()));
        assert_eq!(count.days().collect::<Vec<_>>(), [Tally { day: 7, number: 10 }]);
    }

    #[test]
    fn many_threads_pass_exactly_the_limit() {
        let words = words();
        let (count, quota) = (Count::new(&words), Quota { limit: 5_000, period: Period::Day, offset: 0 });
        let passed: u64 = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| taken(count, quota, 9, 3_000))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(passed, 5_000);
        assert_eq!(count.standing(quota, 9).used, 5_000);
    }

    proptest! {
        #[test]
        fn every_day_has_a_date(day in 0..2_000_000_u32) {
            let (year, month, of_month) = date(day);
            prop_assert_eq!(day_of_date(year, month, of_month), Some(day).filter(|_| year <= 9_999));
            for period in [Period::Day, Period::Week, Period::Month] {
                prop_assert!(period.start(day) <= day && day < period.end(day));
                prop_assert_eq!(period.start(period.end(day)), period.end(day));
            }
        }
    }
}
