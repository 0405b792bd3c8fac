//! Lists of rows beside the tests (`rows.txt`, `attacks.txt`): row | what it says | the tests that show it, as `file.rs::name`, or
//! `later:` and why there is none yet.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

/// A line of the list: the row, what it says, and its tests or why it has none yet.
struct Row<'a> {
    id: &'a str,
    tests: Result<Vec<&'a str>, &'a str>,
}

fn rows(list: &str) -> Vec<Row<'_>> {
    let lines = list.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    let row = |line| {
        let parts: Vec<&str> = str::split(line, " | ").map(str::trim).collect();
        let &[id, statement, tests] = parts.as_slice() else { panic!("`{line}` has not three parts") };
        assert!(!statement.is_empty(), "{line}");
        let tests = match tests.strip_prefix("later: ") {
            Some(why) => Err(why),
            None => Ok(tests.split_whitespace().collect()),
        };
        Row { id, tests }
    };
    lines.map(row).collect()
}

/// The tests of each file beside this one.
fn tests_of_the_house() -> BTreeMap<String, BTreeSet<String>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests");
    let files = fs::read_dir(folder).expect("the folder of this file").map(|entry| entry.expect("an entry").path());
    let sources = files.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let tests = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("UTF-8");
        let after = text.split("#[test]\n").skip(1);
        let names = after.filter_map(|text| text.split_once("fn ")?.1.split_once('('));
        let names = names.map(|(name, _)| name.to_owned()).collect();
        (path.file_name().expect("a file").to_string_lossy().into_owned(), names)
    };
    sources.map(tests).collect()
}

/// What is wrong with a list. Its sections have so many rows each: `F` has F01, `RT` has RT-01, `GV-18` has GV-18.1.
pub fn faults(list: &str, sections: &[(&str, usize)]) -> Vec<String> {
    let (rows, tests) = (rows(list), tests_of_the_house());
    let mut faults = Vec::new();
    for row in &rows {
        let word = row.id.to_lowercase().replace(['-', '.'], "_");
        for test in row.tests.as_deref().unwrap_or_default() {
            let exists =
                test.split_once("::").is_some_and(|(file, name)| tests.get(file).is_some_and(|all| all.contains(name)));
            if !exists {
                faults.push(format!("{}: there is no test {test}", row.id));
            }
            if !test.contains(&word) {
                faults.push(format!("{}: {test} does not bear its name", row.id));
            }
        }
        match &row.tests {
            Ok(tests) if tests.is_empty() => faults.push(format!("{}: no test, and no reason", row.id)),
            Err(why) if why.len() < 10 => faults.push(format!("{}: `{why}` is no reason", row.id)),
            _ => {}
        }
    }
    for (section, count) in sections {
        let number = |at: usize| match section.len() {
            1 => format!("{section}{at:02}"),
            2 => format!("{section}-{at:02}"),
            _ => format!("{section}.{at}"),
        };
        let missing = (1..=*count).map(number).filter(|id| rows.iter().all(|row| row.id != id));
        faults.extend(missing.map(|id| format!("{id} is not in the list")));
    }
    faults
}
