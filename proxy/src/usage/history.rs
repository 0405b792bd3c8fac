//! What keys have used on days that are over: a line for each day, plan and key, in a file for each month.
//!
//! ```text
//! <state>/usage/2026-11.csv      2026-11-22,basic,acme,123
//! ```
//!
//! Lines are only ever added. Where several tell of the same, the largest counts: so a line may be written twice, and one that a power
//! failure has cut does no harm. Files of months that are kept no longer are removed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use policy::quota::{Day, date, day_of_date};

use crate::limits::{HISTORY_FILE_BYTES_MAX, HISTORY_MONTHS};

/// One day of a key in a plan.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// The day.
    pub day: Day,
    /// The plan's name.
    pub plan: String,
    /// The key's id.
    pub key: String,
}

/// Requests by day, plan and key.
pub type Uses = BTreeMap<Line, u64>;

/// `2026-11-22`
pub fn day_text(day: Day) -> String {
    let (year, month, of_month) = date(day);
    format!("{year:04}-{month:02}-{of_month:02}")
}

/// The day of `2026-11-22`.
pub fn day_of_text(text: &str) -> Option<Day> {
    let mut parts = text.splitn(3, '-').map(|part| part.parse().ok());
    let mut next = || parts.next().flatten();
    day_of_date(next()?, next()?, next()?)
}

fn month_of(day: Day) -> String {
    let (year, month, _) = date(day);
    format!("{year:04}-{month:02}.csv")
}

/// Adds lines. When this returns, the disk has them.
///
/// # Errors
/// The disk is full, or the files may not be written.
pub fn append(state: &Path, lines: &[(Line, u64)]) -> io::Result<()> {
    let mut by_month: BTreeMap<String, String> = BTreeMap::new();
    for (Line { day, plan, key }, used) in lines {
        let text = by_month.entry(month_of(*day)).or_default();
        let _ = writeln!(text, "{},{plan},{key},{used}", day_text(*day));
    }
    for (month, text) in by_month {
        let path = state.join("usage").join(month);
        let mut file = File::options().read(true).append(true).create(true).mode(0o600).open(path)?;
        let mut whole = String::new();
        // What was cut is ended: it must not take the next line with it.
        if file.metadata()?.len() > 0 {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                whole.push('\n');
            }
        }
        whole.push_str(&text);
        file.write_all(whole.as_bytes())?;
        file.sync_data()?;
    }
    Ok(())
}

/// Removes the months that are kept no longer ([`HISTORY_MONTHS`]). Whatever else lies there is left alone.
///
/// # Errors
/// They cannot be removed.
pub fn forget(state: &Path, today: Day) -> io::Result<()> {
    let months = |day: Day| {
        let (year, month, _) = date(day);
        year * 12 + month
    };
    let entries = match fs::read_dir(state.join("usage")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let first = name.to_str().and_then(|name| day_of_text(&format!("{}-01", name.strip_suffix(".csv")?)));
        if first.is_some_and(|first| months(first) + HISTORY_MONTHS <= months(today)) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Adds what is written of these days to `uses`.
///
/// # Errors
/// A file cannot be read. One that is not there has nothing.
pub fn read(state: &Path, from: Day, to: Day, uses: &mut Uses) -> io::Result<()> {
    let mut day = from;
    while day <= to {
        let path = state.join("usage").join(month_of(day));
        match text_of(&path) {
            Ok(text) => text.lines().filter_map(parse).for_each(|(line, used)| {
                if (from..=to).contains(&line.day) {
                    add(uses, line, used);
                }
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        day = policy::quota::Period::Month.end(day);
    }
    Ok(())
}

/// The largest counts.
pub fn add(uses: &mut Uses, line: Line, used: u64) {
    let known = uses.entry(line).or_default();
    *known = used.max(*known);
}

fn text_of(path: &Path) -> io::Result<String> {
    if fs::metadata(path)?.len() > HISTORY_FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("{} is too long", path.display())));
    }
    Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned())
}

fn parse(text: &str) -> Option<(Line, u64)> {
    let mut fields = text.split(',');
    let mut next = || fields.next();
    let (day, plan, key, used) = (next()?, next()?, next()?, next()?);
    let line = Line { day: day_of_text(day)?, plan: plan.to_owned(), key: key.to_owned() };
    fields.next().is_none().then_some(())?;
    Some((line, used.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(day: &str, plan: &str, key: &str) -> Line {
        Line { day: day_of_text(day).unwrap(), plan: plan.into(), key: key.into() }
    }

    #[test]
    fn days_are_read_as_they_are_written() {
        for text in ["1970-01-01", "2026-11-22", "2024-02-29"] {
            assert_eq!(day_of_text(text).map(day_text).as_deref(), Some(text));
        }
        for text in ["", "2026", "2026-11", "2026-02-29", "22.11.2026", "2026-11-22-1", "2026-11-x"] {
            assert_eq!(day_of_text(text), None, "{text}");
        }
    }

    #[test]
    fn months_of_years_ago_are_removed_and_nothing_else() {
        let state = std::env::temp_dir().join(format!("tollgate-forget-{}", std::process::id()));
        let _ = fs::remove_dir_all(&state);
        let today = day_of_text("2026-11-22").unwrap();
        forget(&state, today).unwrap();
        fs::create_dir_all(state.join("usage")).unwrap();
        let names =
            ["2023-11.csv", "2023-12.csv", "2026-11.csv", "2027-01.csv", "1999-13.csv", "counts", "1999-01.csv.bak"];
        for name in names {
            fs::write(state.join("usage").join(name), "").unwrap();
        }
        forget(&state, today).unwrap();
        let left: Vec<_> = names.into_iter().filter(|name| state.join("usage").join(name).exists()).collect();
        assert_eq!(left, names[1..], "36 months, this one included");
        fs::remove_dir_all(state).unwrap();
    }

    #[test]
    fn the_largest_line_counts_and_a_cut_one_does_no_harm() {
        let state = std::env::temp_dir().join(format!("tollgate-history-{}", std::process::id()));
        let _ = fs::remove_dir_all(&state);
        fs::create_dir_all(state.join("usage")).unwrap();
        let (a, b) = (line("2026-10-31", "p", "a"), line("2026-11-01", "p", "a"));
        append(&state, &[(a.clone(), 5), (b.clone(), 70)]).unwrap();
        // The power went while 71 was written for the second day, and something else besides.
        let november = state.join("usage/2026-11.csv");
        fs::write(&november, "2026-11-01,p,a,7").unwrap();
        append(&state, &[(b.clone(), 71), (a.clone(), 4)]).unwrap();
        let written = |from: &str, to: &str| {
            let mut uses = Uses::new();
            read(&state, day_of_text(from).unwrap(), day_of_text(to).unwrap(), &mut uses).unwrap();
            uses.into_iter().collect::<Vec<_>>()
        };
        assert_eq!(written("2026-10-01", "2026-12-31"), [(a.clone(), 5), (b.clone(), 71)]);
        assert_eq!(written("2026-11-01", "2026-11-01"), [(b, 71)]);
        assert_eq!(written("2026-10-31", "2026-10-31"), [(a, 5)]);
        assert_eq!(written("2027-01-01", "2027-02-01"), []);
        fs::write(&november, [0xff, b'\n', b'x', b',', b',']).unwrap();
        assert_eq!(written("2026-11-01", "2026-11-30"), []);
        fs::remove_dir_all(state).unwrap();
    }
}
