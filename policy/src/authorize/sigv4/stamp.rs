//! Times as signatures have them: `20150830T123600Z`.

/// A time, in its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    text: [u8; 16],
    epoch_ms: u64,
}

impl Default for Stamp {
    fn default() -> Self {
        Self::of(0)
    }
}

impl Stamp {
    /// Reads one; `None`: it is none, or no such time after 1970.
    pub fn parse(text: &[u8]) -> Option<Stamp> {
        let text: [u8; 16] = text.try_into().ok()?;
        if text[8] != b'T' || text[15] != b'Z' {
            return None;
        }
        let number = |from: usize, to: usize| {
            text[from..to]
                .iter()
                .try_fold(0_u64, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u64::from(byte - b'0')))
        };
        let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
        let (hour, minute, second) = (number(9, 11)?, number(11, 13)?, number(13, 15)?);
        let in_range = year >= 1970 && (1..=12).contains(&month) && (1..=31).contains(&day);
        if !in_range || hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let seconds = days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
        Some(Stamp { text, epoch_ms: seconds * 1_000 })
    }

    /// The time of so many milliseconds since 1970; after 9999 the last second of that year.
    pub fn of(epoch_ms: u64) -> Stamp {
        let seconds = (epoch_ms / 1_000).min(253_402_300_799);
        let (day, rest) = (seconds / 86_400, seconds % 86_400);
        let (year, month, date) = civil(day);
        let mut text = *b"00000000T000000Z";
        let parts = [
            (0, 4, year),
            (4, 6, month),
            (6, 8, date),
            (9, 11, rest / 3_600),
            (11, 13, rest / 60 % 60),
            (13, 15, rest % 60),
        ];
        for (from, to, mut number) in parts {
            for byte in text[from..to].iter_mut().rev() {
                *byte = b'0' + (number % 10) as u8;
                number /= 10;
            }
        }
        Stamp { text, epoch_ms: seconds * 1_000 }
    }

    /// As written.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Its day: `20150830`.
    pub fn day(&self) -> [u8; 8] {
        let mut day = [0; 8];
        day.copy_from_slice(&self.text[..8]);
        day
    }

    /// Milliseconds since 1970.
    pub fn epoch_ms(&self) -> u64 {
        self.epoch_ms
    }
}

/// Days since 1970-01-01; years are counted from March, so that the odd day is the last of a year.
const fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + of_year - 719_468
}

const fn civil(days: u64) -> (u64, u64, u64) {
    let since = days + 719_468;
    let (era, of_era) = (since / 146_097, since % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let date = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + if month <= 2 { 1 } else { 0 }, month, date)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times() {
        for (text, ms) in [
            ("19700101T000000Z", Some(0)),
            ("20150830T123600Z", Some(1_440_938_160_000)),
            ("20000229T235959Z", Some(951_868_799_000)),
            ("19691231T235959Z", None),
            ("20151330T123600Z", None),
            ("20150800T123600Z", None),
            ("20150830T243600Z", None),
            ("20150830T123600", None),
            ("2015-08-30T12:36", None),
            ("20150830t123600z", None),
            ("+0150830T123600Z", None),
        ] {
            assert_eq!(Stamp::parse(text.as_bytes()).map(|stamp| stamp.epoch_ms()), ms, "{text}");
        }
        assert_eq!(Stamp::of(u64::MAX).text(), b"99991231T235959Z");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(seconds in 0..253_402_300_800_u64) {
            let stamp = Stamp::of(seconds * 1_000);
            prop_assert_eq!(Stamp::parse(stamp.text()), Some(stamp));
        }
    }
}
