//! Managed rules: attacks that everybody meets, by name. The patterns are in `managed.txt`, each with the texts that it is looked for in;
//! the patterns of a condition become one automaton for each kind of text.

use std::fmt::Write as _;
use std::sync::OnceLock;

use regex::bytes::Regex;
use serde::{Deserialize, Serialize};

use codec::head::Fate;

use super::Request;
use super::expression::build;
use super::text::{Step, Work, made, values};

/// A group of patterns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum Group {
    /// What no client sends by accident: look-ups of Log4j, expressions of OGNL and Spring, shell functions, serialised Java objects, NUL,
    /// files that nobody should ask for.
    BadInputs,
    /// Pieces of SQL that end one statement and begin another.
    Sqli,
    /// Pieces of HTML and JavaScript that a page would run.
    Xss,
    /// Ways out of a folder, and the files that are looked for there.
    PathTraversal,
    /// Programs that look for holes, by what they call themselves and what they ask for.
    Scanners,
}

impl Group {
    /// Every group, with its name.
    pub const ALL: [(&'static str, Self); 5] = [
        ("bad_inputs", Self::BadInputs),
        ("sqli", Self::Sqli),
        ("xss", Self::Xss),
        ("path_traversal", Self::PathTraversal),
        ("scanners", Self::Scanners),
    ];
}

/// Where a pattern is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    /// The path, decoded twice.
    Path,
    /// The query, decoded twice.
    Query,
    /// `Cookie`, `Referer` and `User-Agent`, decoded twice.
    Fields,
    /// `User-Agent`, as received.
    Agent,
    /// The path, the query, and all field values, as received.
    Raw,
}

impl Target {
    const ALL: [(&'static str, Self); 5] = [
        ("path", Self::Path),
        ("query", Self::Query),
        ("fields", Self::Fields),
        ("agent", Self::Agent),
        ("raw", Self::Raw),
    ];
}

/// Some groups, compiled. They are stored as their names.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "Box<[Group]>", into = "Box<[Group]>")]
pub struct Managed {
    groups: Box<[Group]>,
    searches: Searches,
}

/// By [`Target`]; `None`: nothing is looked for there.
type Searches = [Option<Regex>; Target::ALL.len()];

/// What was compiled in this process, by a bit for each group: a reload compiles nothing anew. Copies have room of their own to run in.
static COMPILED: [OnceLock<Searches>; 1 << Group::ALL.len()] = [const { OnceLock::new() }; 1 << Group::ALL.len()];

/// Each line is a group, the targets with `,` between them, and a pattern; `#` begins a line for people. In a pattern `_` stands for blanks
/// as SQL has them, and `~` for any number of them; case does not matter.
const PATTERNS: &str = include_str!("managed.txt");

/// What `_` stands for: comments are blanks in SQL.
const BLANKS: &str = r"(?:\s|/\*[^*]*\*+/)+";
/// What `~` stands for.
const PERHAPS_BLANKS: &str = r"(?:\s|/\*[^*]*\*+/)*";

/// Twice, for what is hidden from one look is seen by the second program that decodes.
const OF_PATH: [Step; 2] = [Step::UrlDecode { plus: false }, Step::UrlDecode { plus: false }];
const OF_QUERY: [Step; 2] = [Step::UrlDecode { plus: true }, Step::UrlDecode { plus: false }];

impl Managed {
    /// These groups.
    pub fn new(groups: impl IntoIterator<Item = Group>) -> Self {
        let mut groups: Vec<Group> = groups.into_iter().collect();
        groups.sort_unstable();
        groups.dedup();
        let bits: usize = groups.iter().map(|group| 1 << *group as usize).sum();
        let compile = || Target::ALL.map(|(name, _)| search(&groups, name));
        Self { searches: COMPILED[bits].get_or_init(compile).clone(), groups: groups.into() }
    }

    /// How many automata it has.
    pub fn searches(&self) -> usize {
        self.searches.iter().flatten().count()
    }

    /// Whether a request looks like one of these attacks.
    pub fn holds(&self, request: &Request<'_>, work: &mut Work) -> bool {
        let query = request.head.query.map_or(&b""[..], |query| query.of(request.head_bytes));
        let mut finds = |target: Target, steps: &[Step], raw: &[u8]| {
            !raw.is_empty() && self.of(target).is_some_and(|search| search.is_match(made(steps, raw, work)))
        };
        if finds(Target::Path, &OF_PATH, request.path) || finds(Target::Query, &OF_QUERY, query) {
            return true;
        }
        if finds(Target::Raw, &[], request.path) || finds(Target::Raw, &[], query) {
            return true;
        }
        let bytes = request.head_bytes;
        if self.of(Target::Raw).is_some() {
            let mut fields = request.head.fields.iter().filter(|field| field.fate == Fate::Pass);
            if fields.any(|field| finds(Target::Raw, &[], field.value.of(bytes))) {
                return true;
            }
        }
        if self.of(Target::Fields).is_some() {
            for name in [&b"cookie"[..], b"referer", b"user-agent"] {
                if values(request, name).any(|value| finds(Target::Fields, &OF_PATH, value)) {
                    return true;
                }
            }
        }
        values(request, b"user-agent").any(|value| finds(Target::Agent, &[], value))
    }

    const fn of(&self, target: Target) -> Option<&Regex> {
        self.searches[target as usize].as_ref()
    }
}

/// The patterns of these groups for a target, as one.
fn search(groups: &[Group], target: &str) -> Option<Regex> {
    let mut all = String::new();
    for (group, targets, pattern) in patterns() {
        if groups.contains(&group) && targets.split(',').any(|named| named == target) {
            let bar = if all.is_empty() { "" } else { "|" };
            let pattern = pattern.replace('_', BLANKS).replace('~', PERHAPS_BLANKS);
            let _ = write!(all, "{bar}(?:{pattern})");
        }
    }
    if all.is_empty() {
        return None;
    }
    Some(build(&["(?i)", &all].concat()).expect("the tests compile every pattern"))
}

fn patterns() -> impl Iterator<Item = (Group, &'static str, &'static str)> {
    PATTERNS.lines().filter_map(|line| {
        let (group, rest) = line.split_once(' ').filter(|_| !line.starts_with('#'))?;
        let (targets, pattern) = rest.trim_start().split_once(' ')?;
        let (_, group) = Group::ALL.iter().find(|(name, _)| *name == group)?;
        Some((*group, targets, pattern.trim()))
    })
}

impl PartialEq for Managed {
    fn eq(&self, other: &Self) -> bool {
        self.groups == other.groups
    }
}

impl Eq for Managed {}

impl From<Managed> for Box<[Group]> {
    fn from(managed: Managed) -> Self {
        managed.groups
    }
}

impl From<Box<[Group]>> for Managed {
    fn from(groups: Box<[Group]>) -> Self {
        Self::new(groups)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Scene;

    #[test]
    fn every_line_is_a_pattern_of_a_group_for_a_target() {
        let lines = PATTERNS.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        assert_eq!(lines.clone().count(), patterns().count());
        for (group, targets, pattern) in patterns() {
            assert!(targets.split(',').all(|target| Target::ALL.iter().any(|(name, _)| *name == target)), "{targets}");
            let text = pattern.replace('_', BLANKS).replace('~', PERHAPS_BLANKS);
            let search = build(&["(?i)", &text].concat()).unwrap_or_else(|what| panic!("{pattern}: {what}"));
            assert!(!search.is_match(b"") && !search.is_match(b"a"), "{group:?} {pattern}");
        }
        for (name, group) in Group::ALL {
            assert!(Managed::new([group]).searches() > 0, "{name}");
        }
        for (at, (_, target)) in Target::ALL.iter().enumerate() {
            assert_eq!(*target as usize, at);
        }
    }

    /// The groups that take a request for an attack: a target and some field lines.
    fn found(target: &str, fields: &str) -> Vec<&'static str> {
        let text = format!("GET {target} HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        let scene = Scene::new(router::Kind::Http, "/", "$default", text.as_bytes());
        let request =
            Request { address: None, head: &scene.head, head_bytes: &scene.bytes, path: &scene.path, body: Some(0) };
        let mut work = Work::default();
        let holds = |group: Group, work: &mut Work| Managed::new([group]).holds(&request, work);
        Group::ALL.iter().filter(|(_, group)| holds(*group, &mut work)).map(|(name, _)| *name).collect()
    }

    /// Lines of `managed_cases.txt`: what finds it (`-`: nothing may), a target, and perhaps a field line behind ` | `.
    #[test]
    fn pol_04_attacks_are_found_and_what_people_write_is_not() {
        let (mut seen, mut wrong) = ([0, 0], Vec::new());
        for line in include_str!("managed_cases.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            let (expected, rest) = line.split_once(' ').unwrap();
            let (target, field) = rest.trim().split_once(" | ").unwrap_or((rest.trim(), ""));
            let fields = if field.is_empty() { String::new() } else { format!("{field}\r\n") };
            let found = found(target, &fields);
            let is_right = if expected == "-" { found.is_empty() } else { found.contains(&expected) };
            seen[usize::from(expected != "-")] += 1;
            if !is_right {
                wrong.push(format!("{line}: {found:?}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(seen[0] >= 40 && seen[1] >= 60, "{seen:?}");
    }
}
