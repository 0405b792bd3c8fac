//! The laws of the house as tests. Each names the place that breaks it and says what to do instead.
//!
//! A rule about a file that does not exist yet is silent until the file comes.

#[path = "tidy/scan.rs"]
mod scan;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use codec::http1::misbehave::Misbehaviour;
use policy::refusal::Refusal;
use scan::{Source, words};

/// Which room may know which. `benches` and `fuzz` may know any library.
const ARROWS: &[(&str, &[&str])] = &[
    ("codec", &[]),
    ("router", &[]),
    ("policy", &["codec", "router"]),
    ("config", &["codec", "router", "policy"]),
    ("admin", &["codec", "policy", "config"]),
    ("proxy", &["codec", "router", "policy", "config", "admin"]),
    ("benches", &["codec", "router", "policy", "config", "admin", "proxy"]),
    ("fuzz", &["codec", "router", "policy", "config", "admin", "proxy"]),
    // Programs to compare with know nothing of ours.
    ("perf/peers", &[]),
    ("perf/peers/glommio", &[]),
    ("perf/peers/monoio", &[]),
    ("perf/peers/pingora", &[]),
    ("perf/peers/relay", &[]),
    ("perf/load", &[]),
];

/// The most lines of a function, and of a file without its tests.
const FUNCTION_LINES_MAX: usize = 70;
const FILE_LINES_MAX: usize = 1_000;

/// Functions that are longer, with the lines they may have. An entry may shrink or go, never grow.
const LONG_FUNCTIONS: &[(&str, &str, usize)] = &[];

/// Files that are longer, likewise.
const LONG_FILES: &[(&str, usize)] = &[];

/// Where proxy may wait: the spine, the body pump, the upstream caller and the protocol drivers.
const MAY_AWAIT: &[&str] = &[
    "request.rs",
    "authorize/",
    "tokens/",
    "body.rs",
    "exchange.rs",
    "connection.rs",
    "connection/",
    "downstream/",
    "upstream/",
    "websocket/session.rs",
    "listener.rs",
    "tls.rs",
    "greeting.rs",
    "preamble.rs",
    "tunnel.rs",
    "worker.rs",
    "background.rs",
    "demo.rs", // a backend to play with, on a runtime of its own; no request of the gateway passes it
    "observe/writer.rs",
    "io/",
];

/// Where a virtual call would sit on every request's way.
const NO_DYN: &[&str] =
    &["proxy/src/request.rs", "proxy/src/body.rs", "proxy/src/exchange.rs", "proxy/src/downstream", "policy/src/"];

/// The runtime, and the ring of the load generator, which is a tool and knows no crate of ours.
const UNSAFE_ROOMS: &[&str] = &["proxy/src/io/", "perf/load/src/ring.rs"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("proxy lies in the workspace").to_path_buf()
}

fn tree() -> &'static [Source] {
    static TREE: OnceLock<Vec<Source>> = OnceLock::new();
    TREE.get_or_init(|| scan::sources(&root()))
}

/// Fails with every fault at once.
fn none(rule: &str, faults: Vec<String>) {
    let faults: BTreeSet<String> = faults.into_iter().collect();
    let list: Vec<String> = faults.into_iter().map(|fault| format!("  {fault}\n")).collect();
    assert!(list.is_empty(), "{rule}:\n{}", list.concat());
}

/// Every place where one of the words stands in a view of a file.
fn places(source: &Source, view: &str, list: &[&str]) -> Vec<String> {
    let hit =
        |word: &&str| words(view, word).into_iter().map(|at| format!("{} `{word}`", source.at(at))).collect::<Vec<_>>();
    list.iter().flat_map(hit).collect()
}

// 1. The map.

/// The names of README's map with the paths that they stand for: the first word of a line is a path below the nearest
/// line that is indented less, and so is every other word of the line that ends in `/` or in a known suffix.
fn map_paths(readme: &str) -> Vec<String> {
    let Some(section) = readme.split("\n## ").find(|section| section.lines().next().is_some_and(|l| l.contains("map")))
    else {
        return Vec::new();
    };
    let Some(fence) = section.split("```").nth(1) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let mut above: Vec<(usize, String)> = Vec::new();
    for line in fence.lines().skip(1).filter(|line| !line.trim().is_empty()) {
        let indent = line.len() - line.trim_start().len();
        above.retain(|(depth, _)| *depth < indent);
        let base = above.last().map_or("", |(_, path)| path.as_str()).to_owned();
        let is_name =
            |word: &str| [".rs", ".md", ".toml", ".yaml", ".service", "/"].iter().any(|end| word.ends_with(end));
        let mut line_words = line.split_whitespace();
        let first = format!("{base}{}", line_words.next().unwrap_or_default());
        let room = if first.ends_with('/') { first.clone() } else { base };
        let others = line_words.map(|word| word.trim_end_matches([',', '.', ')', ';', ':']));
        found.extend(others.filter(|word| is_name(word)).map(|word| format!("{room}{word}")));
        above.push((indent, first.clone()));
        found.push(first);
    }
    found
}

#[test]
fn readme_maps_every_folder_and_nothing_that_is_gone() {
    let root = root();
    let readme = fs::read_to_string(root.join("README.md")).expect("README.md is the front door");
    let map = map_paths(&readme);
    assert!(map.len() > 10, "README.md needs a section with `map` in its heading and the tree in a fence");
    let mut faults: Vec<String> = map
        .iter()
        .filter(|name| !root.join(name).exists() || name.ends_with('/') != root.join(name).is_dir())
        .map(|name| format!("README.md names `{name}`, which is not in the tree"))
        .collect();
    for folder in scan::folders(&root) {
        let name = format!("{}/", folder.display());
        let known = map.iter().any(|entry| *entry == name || entry.starts_with(&name));
        if name != "/" && !known {
            faults.push(format!("`{name}` is missing from README.md's map"));
        }
    }
    none("the map in README.md and the tree must agree", faults);
}

#[test]
fn the_map_reader_reads() {
    let map = map_paths(
        "# x\n## The map of the house\n```text\na/   words b.rs, c/\n  d/   and e.rs.\n  f.rs is it\ng/\n```\n",
    );
    assert_eq!(map, ["a/b.rs", "a/c/", "a/", "a/d/e.rs", "a/d/", "a/f.rs", "g/"]);
}

// 2. The arrows.

/// The crates of ours that a manifest depends on, in any of its tables.
fn dependencies(manifest: &str) -> Vec<String> {
    let ours = |name: &str| ARROWS.iter().any(|(room, _)| *room == name);
    let mut inside = false;
    let mut found = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if let Some(table) = line.strip_prefix('[') {
            let table = table.trim_end_matches(']');
            inside = table.ends_with("dependencies");
            let (kind, name) = table.rsplit_once('.').unwrap_or((table, ""));
            if kind.ends_with("dependencies") && ours(name) {
                found.push(name.to_owned());
            }
        } else if inside {
            let name = line.split(['.', '=', ' ']).next().unwrap_or_default().trim_matches('"');
            if ours(name) {
                found.push(name.to_owned());
            }
        }
    }
    found
}

#[test]
fn crates_know_only_what_the_house_allows() {
    let mut faults = Vec::new();
    for folder in scan::folders(&root()) {
        let Ok(manifest) = fs::read_to_string(root().join(&folder).join("Cargo.toml")) else {
            continue;
        };
        let name = folder.to_string_lossy();
        if name.is_empty() {
            continue; // the workspace itself
        }
        let Some((_, allowed)) = ARROWS.iter().find(|(room, _)| *room == name) else {
            faults.push(format!("`{name}` is a crate that the house does not know"));
            continue;
        };
        let wrong = dependencies(&manifest).into_iter().filter(|on| !allowed.contains(&on.as_str()) && *on != name);
        faults.extend(wrong.map(|on| format!("{name}/Cargo.toml: {name} → {on} is no arrow of the house")));
    }
    none("crates depend along the arrows only", faults);
}

#[test]
fn the_manifest_reader_reads() {
    let manifest = "[package]\nname = \"codec\"\n[dependencies]\ncodec.workspace = true\nconfiguration = \"1\"\n[dev-dependencies]\nrouter = { path = \"../router\" }\n[dependencies.admin]\npath = \"x\"\n[lints]\npolicy = 1\n";
    assert_eq!(dependencies(manifest), ["codec", "router", "admin"]);
}

/// Which top-level module of a crate names which other, with one place for each arrow.
fn module_arrows(files: &[&Source]) -> BTreeMap<String, BTreeMap<String, String>> {
    let modules: BTreeSet<String> = files.iter().filter_map(|f| scan::module_path(&f.path).first().cloned()).collect();
    let mut reexports = BTreeMap::new();
    for lib in files.iter().filter(|f| scan::module_path(&f.path).is_empty()) {
        for at in words(&lib.live, "use") {
            let end = lib.live[at..].find(';').map_or(lib.live.len(), |end| at + end);
            for path in scan::expand(&lib.live[at + 3..end]) {
                let path = path.trim_start_matches("crate::").trim_start_matches("self::");
                let (module, name) = (path.split("::").next(), path.rsplit("::").next());
                if let (Some(module), Some(name)) = (module, name) {
                    reexports.insert(name.to_owned(), module.to_owned());
                }
            }
        }
    }
    let mut arrows: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for file in files {
        let Some(own) = scan::module_path(&file.path).first().cloned() else {
            continue;
        };
        for (path, at) in file.root_paths() {
            let first = &path[0];
            let target = if modules.contains(first) { Some(first) } else { reexports.get(first) };
            if let Some(target) = target.filter(|t| **t != own && modules.contains(*t)) {
                arrows.entry(own.clone()).or_default().entry(target.clone()).or_insert_with(|| file.at(at));
            }
        }
    }
    arrows
}

/// One circle, as the modules along it, or none.
fn circle(arrows: &BTreeMap<String, BTreeMap<String, String>>) -> Option<Vec<String>> {
    fn walk(
        at: &str,
        arrows: &BTreeMap<String, BTreeMap<String, String>>,
        path: &mut Vec<String>,
        done: &mut BTreeSet<String>,
    ) -> Option<Vec<String>> {
        if let Some(start) = path.iter().position(|seen| seen == at) {
            return Some(path[start..].to_vec());
        }
        if !done.contains(at) {
            path.push(at.to_owned());
            for next in arrows.get(at).into_iter().flat_map(BTreeMap::keys) {
                if let Some(found) = walk(next, arrows, path, done) {
                    return Some(found);
                }
            }
            path.pop();
            done.insert(at.to_owned());
        }
        None
    }
    let mut done = BTreeSet::new();
    arrows.keys().find_map(|from| walk(from, arrows, &mut Vec::new(), &mut done))
}

#[test]
fn modules_of_a_crate_form_no_circle() {
    let tree = tree();
    let mut faults = Vec::new();
    for (room, _) in ARROWS {
        let files: Vec<&Source> = tree.iter().filter(|f| f.path.starts_with(&format!("{room}/src/"))).collect();
        let arrows = module_arrows(&files);
        if let Some(found) = circle(&arrows) {
            let ring = found.iter().zip(found.iter().cycle().skip(1));
            let steps: Vec<String> = ring.map(|(a, b)| format!("{a} → {b} ({})", arrows[a][b])).collect();
            faults.push(format!("{room}: {}", steps.join(", ")));
        }
    }
    none("the top-level modules of a crate must not know each other in a circle", faults);
}

#[test]
fn circles_are_found_through_groups_super_and_reexports() {
    let file = |path, text| Source::new(path, text);
    let lib = file("codec/src/lib.rs", "pub mod a; pub mod b; pub mod c; pub use c::Thing;");
    let a = file("codec/src/a.rs", "use crate::{b::X, limits};");
    let b = file("codec/src/b/deep.rs", "use super::super::c; #[cfg(test)] mod tests { use crate::a; }");
    let c = file("codec/src/c.rs", "fn f() { super::d::g() }");
    assert_eq!(circle(&module_arrows(&[&lib, &a, &b, &c])), None);
    let c = file("codec/src/c.rs", "fn f() { crate::a::g() }");
    assert_eq!(circle(&module_arrows(&[&lib, &a, &b, &c])), Some(vec!["a".into(), "b".into(), "c".into()]));
    let b = file("codec/src/b.rs", "use crate::Thing;");
    assert_eq!(circle(&module_arrows(&[&lib, &a, &b, &c])).map(|c| c.len()), Some(3));
}

// 3. The unsafe room.

/// Whether the statement at this offset has a reason right above it.
fn has_safety_comment(source: &Source, at: usize) -> bool {
    let lines: Vec<&str> = source.raw.lines().collect();
    let code: Vec<&str> = source.code.lines().collect();
    let mut line = source.line(at) - 1;
    // Up through attributes and the earlier lines of the same statement.
    while line > 0 {
        let above = code[line - 1].trim();
        let ends = above.is_empty() || above.ends_with([';', '{', '}']) || above.ends_with("=>");
        if ends && !above.starts_with("#[") {
            break;
        }
        line -= 1;
    }
    let mut comment = Vec::new();
    while line > 0 && lines[line - 1].trim().starts_with("//") {
        line -= 1;
        comment.push(lines[line].trim().trim_start_matches(['/', '!', ' ']));
    }
    comment.reverse();
    let text = comment.join(" ");
    let reason = text.split_once("SAFETY:").or_else(|| text.split_once("# Safety")).map_or("", |(_, reason)| reason);
    reason.split_whitespace().count() >= 5 && reason.contains('.')
}

#[test]
fn unsafe_stays_in_its_room_and_gives_its_reasons() {
    let mut faults = Vec::new();
    for source in tree() {
        let spots = words(&source.code, "unsafe");
        if !UNSAFE_ROOMS.iter().any(|room| source.path.starts_with(room)) {
            let outside = |&at: &usize| format!("{} unsafe outside {}", source.at(at), UNSAFE_ROOMS.join(" and "));
            faults.extend(spots.iter().map(outside));
            faults.extend(places(source, &source.code, &["unsafe_code"]));
            continue;
        }
        for at in spots {
            let after = source.code[at + 6..].trim_start();
            let is_type = after.strip_prefix("fn").is_some_and(|rest| rest.trim_start().starts_with('('));
            let is_attribute = after.starts_with('(');
            if !is_type && !is_attribute && !has_safety_comment(source, at) {
                faults.push(format!("{} needs a `// SAFETY:` sentence above: why needed, why sound", source.at(at)));
            }
        }
    }
    none("unsafe is fenced and justified", faults);
}

#[test]
fn safety_comments_are_recognised() {
    let with = |comment: &str, code: &str| {
        let source = Source::new("proxy/src/io/x.rs", &format!("fn a() {{\n{comment}{code}\n}}"));
        let at = words(&source.code, "unsafe")[0];
        has_safety_comment(&source, at)
    };
    let good = "// SAFETY: the kernel owns the buffer until the completion,\n// and the slot outlives it.\n";
    assert!(with(good, "unsafe { x() }"));
    assert!(with(good, "let a =\n  unsafe { x() };"));
    assert!(with(good, "#[inline]\nunsafe fn a() {}"));
    assert!(!with("", "unsafe { x() }"));
    assert!(!with("// SAFETY: fine.\n", "unsafe { x() }"));
    assert!(!with("// The kernel owns the buffer until then.\n", "unsafe { x() }"));
    assert!(!with(good, "a();\nunsafe { x() }"));
}

// 4. The pure rooms.

#[test]
fn pure_rooms_have_no_clock_socket_or_await() {
    const SOCKETS: &[&str] = &[
        "TcpStream",
        "TcpListener",
        "UdpSocket",
        "ToSocketAddrs",
        "UnixStream",
        "UnixListener",
        "UnixDatagram",
        "tokio",
        "async",
        "await",
        "Instant::now",
        "SystemTime::now",
        "std::thread",
    ];
    const OUTSIDE: &[&str] = &["std::fs", "std::process", "std::env", "std::io::stdin", "std::io::stdout"];
    let mut faults = Vec::new();
    for source in tree() {
        let pure = ["codec/src/", "router/src/", "policy/src/"].iter().any(|room| source.path.starts_with(room));
        let compile = source.path.starts_with("config/src/") && !source.path.starts_with("config/src/source/");
        if pure || compile {
            faults.extend(places(source, &source.live, SOCKETS));
        }
        if pure {
            faults.extend(places(source, &source.live, OUTSIDE));
        }
    }
    none("codec, router, policy and config's compile take what they need as arguments", faults);
}

// 5. Who may wait.

#[test]
fn only_the_spine_and_the_drivers_await() {
    let mut faults = Vec::new();
    for source in tree() {
        let Some(file) = source.path.strip_prefix("proxy/src/") else {
            continue;
        };
        if !MAY_AWAIT.iter().any(|place| file.starts_with(place)) {
            faults.extend(places(source, &source.live, &["await"]));
        }
    }
    none("a leaf returns a verdict; who has to wait is named in MAY_AWAIT", faults);
}

// 6. Size and form.

#[test]
fn functions_fit_on_a_screen() {
    let mut faults = Vec::new();
    let mut used = BTreeSet::new();
    for source in tree() {
        for function in source.functions().iter().filter(|f| f.lines > FUNCTION_LINES_MAX) {
            let listed = LONG_FUNCTIONS.iter().find(|(path, name, _)| *path == source.path && *name == function.name);
            used.extend(listed.map(|(path, name, _)| (*path, *name)));
            if listed.is_none_or(|(.., most)| function.lines > *most) {
                faults.push(format!(
                    "{}:{} `{}` has {} lines",
                    source.path, function.line, function.name, function.lines
                ));
            }
        }
    }
    let idle = LONG_FUNCTIONS.iter().filter(|(path, name, _)| !used.contains(&(*path, *name)));
    faults.extend(idle.map(|(path, name, _)| format!("{path} `{name}` is short now: strike it from LONG_FUNCTIONS")));
    none("a function has at most 70 lines", faults);
}

#[test]
fn files_fit_in_a_head() {
    let mut faults = Vec::new();
    let mut used = BTreeSet::new();
    for source in tree().iter().filter(|source| source.live_lines > FILE_LINES_MAX) {
        let listed = LONG_FILES.iter().find(|(path, _)| *path == source.path);
        used.extend(listed.map(|(path, _)| *path));
        if listed.is_none_or(|(_, most)| source.live_lines > *most) {
            faults.push(format!("{} has {} lines without its tests", source.path, source.live_lines));
        }
    }
    let idle = LONG_FILES.iter().filter(|(path, _)| !used.contains(path));
    faults.extend(idle.map(|(path, _)| format!("{path} is short now: strike it from LONG_FILES")));
    none("a file has at most 1,000 lines without its tests", faults);
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent = |source: &&Source| {
        let first = source.raw.lines().next().unwrap_or_default();
        let first = first.strip_prefix("//! ").unwrap_or_default();
        first.starts_with('(') || first.split_whitespace().count() < 3
    };
    let faults = tree().iter().filter(silent).map(|source| source.path.clone()).collect();
    none("the first line of a file is `//!` and says what the file is for", faults);
}

#[test]
fn nothing_unwraps_outside_of_tests() {
    let mut faults = Vec::new();
    for source in tree() {
        faults.extend(source.live.match_indices(".unwrap()").map(|(at, _)| source.at(at)));
    }
    none("`expect` says why it cannot fail; `unwrap` says nothing", faults);
}

#[test]
fn nothing_is_left_for_later() {
    let later = [concat!("TO", "DO"), concat!("FIX", "ME")];
    let mut faults = Vec::new();
    for source in tree() {
        faults.extend(places(source, &source.raw, &later));
        for banned in ["todo!", "unimplemented!", "dbg!", "#[ignore]"] {
            faults.extend(source.code.match_indices(banned).map(|(at, _)| format!("{} `{banned}`", source.at(at))));
        }
    }
    none("finish it, or write down why a test is ignored: `#[ignore = \"…\"]`", faults);
}

#[test]
fn a_file_names_what_it_uses() {
    let mut faults = Vec::new();
    for source in tree() {
        faults.extend(source.live.match_indices("use super::*").map(|(at, _)| source.at(at)));
    }
    none("`use super::*` belongs in `mod tests` alone", faults);
}

// 7. Phases and refusals.

#[test]
fn arms_of_tests_end_where_they_end() {
    let text =
        "fn f() { match x { A => 1, #[cfg(test)] B(b) => b.c(), #[cfg(test)] C => { d() } _ => 2 } } fn g() { h() }";
    let source = Source::new("proxy/src/a.rs", text);
    assert_eq!(source.live.split_whitespace().collect::<Vec<_>>().join(" "), {
        "fn f() { match x { A => 1, , } _ => 2 } } fn g() { h() }"
    });
}

/// Where each phase is first named, in the order of the enum; `None` for one that is not.
fn phase_places(phases: &[String], request: &Source) -> Vec<Option<usize>> {
    let first = |phase: &String| words(&request.live, &format!("Phase::{phase}")).first().copied();
    phases.iter().map(first).collect()
}

#[test]
fn every_phase_has_its_line_in_the_spine_in_order() {
    let tree = tree();
    let find = |path: &str| tree.iter().find(|source| source.path == path);
    let (Some(phase), Some(request)) = (find("policy/src/phase.rs"), find("proxy/src/request.rs")) else {
        return;
    };
    let phases = scan::variants(&phase.live, "Phase");
    assert!(!phases.is_empty(), "policy/src/phase.rs needs `enum Phase`");
    let places = phase_places(&phases, request);
    let mut faults = Vec::new();
    for (phase, place) in phases.iter().zip(&places) {
        if place.is_none() {
            faults.push(format!("proxy/src/request.rs has no line with `Phase::{phase}`"));
        }
    }
    let named: Vec<(&String, usize)> = phases.iter().zip(places).filter_map(|(p, at)| Some((p, at?))).collect();
    for pair in named.windows(2).filter(|pair| pair[0].1 > pair[1].1) {
        faults.push(format!("{} comes before {} in the spine", pair[1].0, pair[0].0));
    }
    none("request.rs runs the phases of phase.rs, in that order", faults);
}

#[test]
fn the_order_of_phases_is_seen() {
    let phases = ["Route".to_owned(), "Answer".to_owned(), "Gone".to_owned()];
    let request =
        Source::new("proxy/src/request.rs", "fn a() { b(Phase::Answer); /* Phase::Gone */ b(Phase::Route); }");
    let places = phase_places(&phases, &request);
    assert!(places[0] > places[1] && places[2].is_none());
}

/// Whether a text has the name as a word or as a part of one between underscores.
fn names(text: &str, name: &str) -> bool {
    let apart = |c: Option<char>| !c.is_some_and(char::is_alphanumeric);
    text.match_indices(name).any(|(at, _)| {
        let after = text[at + name.len()..].chars().next();
        apart(text[..at].chars().next_back()) && (name.ends_with('_') || apart(after))
    })
}

#[test]
fn every_refusal_has_a_black_box_test_that_names_it() {
    let tree = tree();
    if !tree.iter().any(|source| source.path == "proxy/src/request.rs") {
        return; // nothing answers yet
    }
    let texts: Vec<String> = tree
        .iter()
        .filter(|s| s.path.starts_with("proxy/tests/") && !s.path.starts_with("proxy/tests/tidy"))
        .map(|test| scan::uncommented(&test.raw))
        .collect();
    let named = |name: &str| texts.iter().any(|text| names(text, name));
    let mut faults = Vec::new();
    for how in Misbehaviour::ALL {
        let (name, row) = (how.name(), how.row());
        if !named(name) && !named(&format!("{}_", row.to_lowercase())) {
            faults.push(format!("{how:?}: neither `{name}` nor a test of row {row}"));
        }
    }
    let plain = Refusal::ALL.iter().filter(|why| !matches!(why, Refusal::Misbehaved(_)));
    for why in plain.filter(|why| !named(why.name())) {
        faults.push(format!("{why:?}: no `{}`", why.name()));
    }
    none("each no that we can say is provoked over a socket by a test in proxy/tests with its name or its row", faults);
}

#[test]
fn names_are_whole_words() {
    assert!(names("fn f01_bare_cr() {}", "f01_") && names("fn f01_bare_cr_is_400() {}", "bare_cr"));
    assert!(!names("fn xf01_() {}", "f01_") && !names("fn bare_crew() {}", "bare_cr"));
}

// 8. No virtual calls on the way.

#[test]
fn the_way_of_a_request_has_no_dyn() {
    let mut faults = Vec::new();
    for source in tree().iter().filter(|source| NO_DYN.iter().any(|place| source.path.starts_with(place))) {
        faults.extend(places(source, &source.live, &["dyn"]));
    }
    none("a closed enum and a `match` instead of `dyn`", faults);
}

// Tests themselves.

/// `127.0.0.1:8080` and the like: a port that another run may hold. Ports up to 9 are safe to be refused at.
fn fixed_ports(text: &str) -> Vec<usize> {
    let mut found = Vec::new();
    for host in ["127.0.0.1:", "localhost:", "[::1]:", "0.0.0.0:", "[::]:", "\"127.0.0.1\", "] {
        for (at, _) in text.match_indices(host) {
            let digits: String = text[at + host.len()..].chars().take_while(char::is_ascii_digit).collect();
            if digits.parse::<u32>().is_ok_and(|port| port > 9) {
                found.push(at);
            }
        }
    }
    found
}

/// Whether what comes before a sleep is a poll: a loop that looks at its deadline within the last lines.
fn polls(before: &str) -> bool {
    let last: Vec<&str> = before.lines().rev().take(6).collect();
    last.iter().any(|line| !words(line, "deadline").is_empty())
}

#[test]
fn tests_wait_for_events_and_take_free_ports() {
    let mut faults = Vec::new();
    for source in tree().iter().filter(|source| !source.path.starts_with("proxy/tests/tidy")) {
        let tests = scan::is_test_path(&source.path);
        let sleeps = source.code.match_indices("thread::sleep").filter(|(at, _)| {
            let inside = tests || source.live.as_bytes()[*at] == b' '; // blanked: in `mod tests`
            inside && !polls(&source.code[..*at])
        });
        faults.extend(sleeps.map(|(at, _)| format!("{} sleeps: wait for the event itself", source.at(at))));
        if ["proxy/tests/", "admin/tests/"].iter().any(|room| source.path.starts_with(room)) {
            let ports = fixed_ports(&source.raw).into_iter();
            faults.extend(ports.map(|at| format!("{} has a fixed port: bind port 0", source.at(at))));
        }
    }
    none("a test neither guesses at time nor at ports; a poll may sleep beside its `deadline`", faults);
}

#[test]
fn only_a_poll_with_a_deadline_may_sleep() {
    assert!(polls("while !ready() {\n  assert!(now() < deadline);\n  "));
    assert!(!polls("let deadline = 1;\n\n\n\n\n\n\nwhile !ready() {\n  "));
    assert!(!polls("start();\n"));
}

#[test]
fn fixed_ports_are_seen() {
    assert_eq!(fixed_ports("127.0.0.1:0 127.0.0.1:{port} 127.0.0.1:1 localhost:").len(), 0);
    assert_eq!(fixed_ports("127.0.0.1:8080 [::1]:99 (\"127.0.0.1\", 8080)").len(), 3);
}
