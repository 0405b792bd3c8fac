//! A small reader of Rust text: enough to find words, functions, test code and paths, without a parser.

use std::ops::Range;
use std::path::{Path, PathBuf};

/// One source file in three views of equal length, so that an offset means the same in each.
pub struct Source {
    /// Path from the root of the repository, with `/`.
    pub path: String,
    /// The text as written.
    pub raw: String,
    /// Comments and the insides of literals are blanks.
    pub code: String,
    /// `code` with everything under `#[cfg(test)]` blanked too; all of it for a file of tests.
    pub live: String,
    /// Lines of `raw` outside of `#[cfg(test)]`.
    pub live_lines: usize,
}

/// A function with a body.
pub struct Function {
    pub name: String,
    pub line: usize,
    /// From the line of `fn` to the line of the closing brace.
    pub lines: usize,
}

impl Source {
    pub fn new(path: &str, raw: &str) -> Self {
        Self::of(path, raw, is_test_path(path))
    }

    fn of(path: &str, raw: &str, tests_only: bool) -> Self {
        let code = strip(raw);
        let tests = test_spans(&code);
        let whole = tests_only || code.trim_start().starts_with("#![cfg(test)]");
        let live = if whole {
            blank(&code, 0..code.len())
        } else {
            tests.iter().fold(code.clone(), |text, span| blank(&text, span.clone()))
        };
        let in_tests: usize = tests.iter().map(|s| raw[s.clone()].matches('\n').count() + 1).sum();
        let live_lines = if whole { 0 } else { raw.lines().count().saturating_sub(in_tests) };
        Self { path: path.to_owned(), raw: raw.to_owned(), code, live, live_lines }
    }

    /// The line, counted from one, of an offset.
    pub fn line(&self, offset: usize) -> usize {
        self.raw[..offset].matches('\n').count() + 1
    }

    /// `path:line`, as an editor wants it.
    pub fn at(&self, offset: usize) -> String {
        format!("{}:{}", self.path, self.line(offset))
    }

    /// Functions with a body, outside of tests.
    pub fn functions(&self) -> Vec<Function> {
        let mut found = Vec::new();
        for at in words(&self.live, "fn") {
            let rest = &self.live[at + 2..];
            let name = ident(rest.trim_start());
            let Some(open) = item_end(&self.live, at + 2).filter(|&e| self.live.as_bytes()[e] == b'{') else {
                continue;
            };
            if name.is_empty() {
                continue; // `fn(u8) -> u8`, a type
            }
            let close = closing(&self.live, open);
            let line = self.line(at);
            found.push(Function { name: name.to_owned(), line, lines: self.line(close) - line + 1 });
        }
        found
    }

    /// Paths that begin at the crate's root or climb with `super`, each with the offset where it stands.
    /// What climbs out of this file is given from the root; what stays inside is left out.
    pub fn root_paths(&self) -> Vec<(Vec<String>, usize)> {
        let home = module_path(&self.path);
        let inner = inline_modules(&self.live);
        let mut paths: Vec<(String, usize)> = Vec::new();
        for at in words(&self.live, "use") {
            if let Some(end) = self.live[at..].find(';') {
                let tree = &self.live[at + 3..at + end];
                paths.extend(expand(tree).into_iter().map(|path| (path, at)));
            }
        }
        for head in ["crate", "super"] {
            for at in words(&self.live, head) {
                if self.live[..at].trim_end().ends_with("::") {
                    continue; // the middle of a path
                }
                let path: String =
                    self.live[at..].chars().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | ':')).collect();
                paths.push((path, at));
            }
        }
        let mut found = Vec::new();
        for (path, at) in paths {
            let mut place = home.clone();
            place.extend(inner.iter().filter(|(_, span)| span.contains(&at)).map(|(name, _)| name.clone()));
            let mut parts = path.split("::").filter(|part| !part.is_empty()).peekable();
            match parts.peek() {
                Some(&"crate") => {
                    parts.next();
                    place.clear();
                }
                Some(&"super") => {
                    while parts.next_if_eq(&"super").is_some() {
                        place.pop();
                    }
                }
                _ => continue,
            }
            place.extend(parts.map(str::to_owned));
            if !place.is_empty() {
                found.push((place, at));
            }
        }
        found
    }
}

/// Every `.rs` file below the root, sorted; hidden folders, build output and corpora are passed over.
pub fn sources(root: &Path) -> Vec<Source> {
    let mut files: Vec<PathBuf> = Vec::new();
    for folder in folders(root) {
        files.extend(entries(&root.join(&folder)).into_iter().filter(|p| p.extension().is_some_and(|e| e == "rs")));
    }
    files.sort();
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        (relative(root, path), text)
    };
    let texts: Vec<(String, String)> = files.iter().map(read).collect();
    let tests: Vec<String> = texts.iter().flat_map(|(path, text)| test_files(path, text)).collect();
    let is_test = |path: &str| {
        is_test_path(path)
            || tests
                .iter()
                .any(|test| path.strip_prefix(test.as_str()).is_some_and(|rest| rest.starts_with(['.', '/'])))
    };
    texts.iter().map(|(path, text)| Source::of(path, text, is_test(path))).collect()
}

/// The modules that a file declares under `#[cfg(test)]` and keeps elsewhere, as paths without `.rs`.
fn test_files(path: &str, raw: &str) -> Vec<String> {
    let code = strip(raw);
    let stem = path.trim_end_matches(".rs");
    let room = match stem.rsplit_once('/') {
        Some((room, "lib" | "main" | "mod")) => room,
        _ => stem,
    };
    let outside = test_spans(&code).into_iter().map(|span| &code[span]).filter(|item| item.ends_with(';'));
    let names = outside.filter_map(|item| {
        let at = *words(item, "mod").last()?;
        Some(ident(item[at + 3..].trim_start()))
    });
    names.map(|name| format!("{room}/{name}")).collect()
}

/// Folders that hold a file, from the root, the root itself as an empty path.
pub fn folders(root: &Path) -> Vec<PathBuf> {
    let ignored = std::fs::read_to_string(root.join(".gitignore")).unwrap_or_default();
    let ignored: Vec<&str> = ignored.lines().map(|line| line.trim_matches('/')).collect();
    let mut found = Vec::new();
    let mut todo = vec![PathBuf::new()];
    while let Some(folder) = todo.pop() {
        let inside = entries(&root.join(&folder));
        if inside.iter().any(|path| path.is_file()) {
            found.push(folder.clone());
        }
        for path in inside.into_iter().filter(|path| path.is_dir()) {
            let name = relative(root, &path);
            let hidden = name
                .rsplit('/')
                .next()
                .is_some_and(|last| last.starts_with('.') || matches!(last, "target" | "corpus"));
            if !hidden && !ignored.contains(&name.as_str()) {
                todo.push(PathBuf::from(name));
            }
        }
    }
    found.sort();
    found
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let listing = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    listing.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).expect("a path found below the root").to_string_lossy().into_owned()
}

/// Files that hold nothing but tests or measurements.
pub fn is_test_path(path: &str) -> bool {
    path.split('/').any(|part| matches!(part, "tests" | "benches")) || path.ends_with("/tests.rs")
}

/// The module that a file is: `policy/src/transform/uri.rs` → `transform`, `uri`.
pub fn module_path(path: &str) -> Vec<String> {
    let inside = path.split_once("/src/").map_or("", |(_, rest)| rest).trim_end_matches(".rs");
    let mut parts: Vec<String> = inside.split('/').filter(|p| !p.is_empty()).map(str::to_owned).collect();
    if parts.last().is_some_and(|last| matches!(last.as_str(), "mod" | "lib" | "main")) {
        parts.pop();
    }
    parts
}

/// Offsets of a word that is not part of a longer one.
pub fn words(text: &str, word: &str) -> Vec<usize> {
    let whole = |at: usize| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    };
    text.match_indices(word).map(|(at, _)| at).filter(|&at| whole(at)).collect()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The identifier at the front of a text; empty if there is none.
pub fn ident(text: &str) -> &str {
    &text[..text.find(|c| !is_word(c)).unwrap_or(text.len())]
}

/// The offset of the brace that closes the one at `open`, or the end of the text.
pub fn closing(text: &str, open: usize) -> usize {
    let mut depth = 0usize;
    for (at, byte) in text.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return at,
            b'}' => depth -= 1,
            _ => {}
        }
    }
    text.len().saturating_sub(1)
}

/// The first `{` or `;` outside of round and square brackets.
fn item_end(text: &str, from: usize) -> Option<usize> {
    let mut depth = 0i32;
    for (at, byte) in text.bytes().enumerate().skip(from) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b'{' | b';' if depth == 0 => return Some(at),
            _ => {}
        }
    }
    None
}

/// The variants of an enum with a name, in order.
pub fn variants(code: &str, name: &str) -> Vec<String> {
    let Some(at) = words(code, "enum").into_iter().find(|at| ident(code[at + 4..].trim_start()) == name) else {
        return Vec::new();
    };
    let Some(open) = code[at..].find('{').map(|open| at + open) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let (mut depth, mut fresh) = (0i32, true);
    let body = &code[open + 1..closing(code, open)];
    for (at, c) in body.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            c if depth == 0 && fresh && c.is_alphabetic() => {
                found.push(ident(&body[at..]).to_owned());
                fresh = false;
            }
            _ => {}
        }
    }
    found
}

/// The paths of one `use`: `a::{b, c::{d as e}}` → `a::b`, `a::c::d`.
pub fn expand(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some(open) = tree.find('{') else {
        let path = tree.split(" as ").next().unwrap_or(tree);
        return vec![path.split_whitespace().collect()];
    };
    let prefix: String = tree[..open].split_whitespace().collect();
    let inside = &tree[open + 1..closing(tree, open).min(tree.len())];
    let (mut parts, mut depth, mut from) = (Vec::new(), 0, 0);
    for (at, byte) in inside.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            b',' if depth == 0 => {
                parts.push(&inside[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&inside[from..]);
    let full = |part: &&str| expand(part).into_iter().map(|path| format!("{prefix}{path}")).collect::<Vec<_>>();
    parts.iter().filter(|part| !part.trim().is_empty()).flat_map(full).collect()
}

/// Inline modules with their spans, outer before inner.
fn inline_modules(code: &str) -> Vec<(String, Range<usize>)> {
    let mut found = Vec::new();
    for at in words(code, "mod") {
        let name = ident(code[at + 3..].trim_start());
        if let Some(open) = item_end(code, at).filter(|&end| code.as_bytes()[end] == b'{') {
            found.push((name.to_owned(), open..closing(code, open)));
        }
    }
    found
}

/// Items under `#[cfg(test)]`, attribute included.
fn test_spans(code: &str) -> Vec<Range<usize>> {
    let mut spans: Vec<Range<usize>> = Vec::new();
    for (at, _) in code.match_indices("#[cfg(") {
        let end = at + code[at..].find(']').unwrap_or(code.len() - at - 1);
        let condition = &code[at..end];
        if words(condition, "test").is_empty() || condition.contains("not(test") {
            continue;
        }
        if spans.last().is_some_and(|last| last.contains(&at)) {
            continue; // inside another
        }
        let mut from = end + 1;
        while code[from..].trim_start().starts_with("#[") {
            from += code[from..].find(']').map_or(1, |close| close + 1);
        }
        spans.push(at..test_item_end(code, from));
    }
    spans
}

/// The end of an arm of a `match`, if one begins here.
fn arm_end(code: &str, from: usize) -> Option<usize> {
    let arrow = code[from..].find("=>").map(|at| from + at)?;
    if item_end(code, from).is_some_and(|end| end < arrow) {
        return None;
    }
    let mut depth = 0i32;
    for (at, byte) in code.bytes().enumerate().skip(arrow) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth -= 1,
            _ => {}
        }
        if depth < 0 || (depth == 0 && matches!(byte, b',' | b'}')) {
            return Some(at);
        }
    }
    None
}

fn test_item_end(code: &str, from: usize) -> usize {
    if let Some(end) = arm_end(code, from) {
        return end;
    }
    match item_end(code, from) {
        Some(end) if code.as_bytes()[end] == b';' => end + 1,
        Some(open) => {
            let close = closing(code, open) + 1;
            let used = ident(code[from..].trim_start()) == "use";
            if used { close + code[close..].find(';').map_or(0, |semi| semi + 1) } else { close }
        }
        None => code.len(),
    }
}

/// Blanks a span; lines stay.
fn blank(text: &str, span: Range<usize>) -> String {
    let mut out = String::with_capacity(text.len());
    out.push_str(&text[..span.start]);
    out.extend(text[span.clone()].bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
    out.push_str(&text[span.end..]);
    out
}

/// Blanks comments and the insides of string and character literals.
pub fn strip(raw: &str) -> String {
    without(raw, true)
}

/// Blanks comments alone.
pub fn uncommented(raw: &str) -> String {
    without(raw, false)
}

fn without(raw: &str, literals: bool) -> String {
    let bytes = raw.as_bytes();
    let mut spans = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let (length, comment) = if rest.starts_with(b"//") {
            (raw[at..].find('\n').unwrap_or(rest.len()), true)
        } else if rest.starts_with(b"/*") {
            (block_comment(rest), true)
        } else {
            (literal(raw, at), false)
        };
        if comment || literals {
            spans.push(at..at + length);
        }
        at += length.max(1);
    }
    let mut out = bytes.to_vec();
    for byte in spans.into_iter().flatten() {
        if out[byte] != b'\n' {
            out[byte] = b' ';
        }
    }
    String::from_utf8(out).expect("whole characters were blanked")
}

fn block_comment(text: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        if text[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    at
}

/// The length of the literal that starts here, or zero.
fn literal(raw: &str, at: usize) -> usize {
    let inside_word = raw[..at].bytes().next_back().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
    let text = &raw[at..];
    match text.as_bytes()[0] {
        b'"' => quoted(text),
        b'\'' => character(text),
        b'b' | b'c' | b'r' if !inside_word => {
            let prefix = text.find(|c| !matches!(c, 'b' | 'c' | 'r')).unwrap_or(0);
            let (letters, body) = text.split_at(prefix);
            let hashes = body.len() - body.trim_start_matches('#').len();
            let (raw_string, body) = (letters.ends_with('r'), &body[hashes..]);
            let opens = body.starts_with('"') || letters == "b" && body.starts_with('\'');
            if letters.len() > 2 || !opens {
                0
            } else if raw_string {
                let end = format!("\"{}", "#".repeat(hashes));
                let close = body[1..].find(&end).map_or(body.len(), |close| 1 + close + end.len());
                prefix + hashes + close
            } else if hashes > 0 {
                0
            } else {
                prefix + if body.starts_with('"') { quoted(body) } else { character(body) }
            }
        }
        _ => 0,
    }
}

fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// A character literal, or zero for a lifetime.
fn character(text: &str) -> usize {
    let mut chars = text[1..].char_indices();
    match chars.next() {
        Some((_, '\\')) => {
            let after = text.char_indices().nth(3).map_or(text.len(), |(at, _)| at);
            text[after..].find('\'').map_or(text.len(), |close| after + close + 1)
        }
        Some(_) => chars.next().filter(|(_, c)| *c == '\'').map_or(0, |(at, _)| at + 2),
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked_and_offsets_stay() {
        let raw = r##"let a = "unsafe \" // x"; // unsafe
let b = r#"un"safe"#; /* a /* nested */ unsafe */ let c = b'"'; let d = '\''; let e: &'static str = "é";
fn f<'a>(x: &'a str) {} let g = br"unsafe"; let r#type = 1; let h = '{';"##;
        let code = strip(raw);
        assert_eq!(code.len(), raw.len());
        assert!(!code.contains("unsafe") && !code.contains("safe"), "{code}");
        for kept in ["let a =", "let c =", "let d =", "&'static str", "fn f<'a>(x: &'a str) {}", "r#type"] {
            assert_eq!(code.find(kept), raw.find(kept), "{kept}");
        }
        assert!(!code.contains('{') || code.matches('{').count() == 1, "{code}");
    }

    #[test]
    fn test_code_is_not_live() {
        let raw = "//! a\nfn live() {}\n#[cfg(test)]\nuse a::{b};\n#[cfg(all(test, unix))]\n#[allow(x)]\nmod tests {\n  fn dead() {}\n}\n#[cfg(not(test))]\nfn also_live() {}\n";
        let source = Source::new("codec/src/x.rs", raw);
        let names: Vec<String> = source.functions().into_iter().map(|f| f.name).collect();
        assert_eq!(names, ["live", "also_live"]);
        assert!(!source.live.contains("use a"));
        assert_eq!(source.live_lines, 11 - 7);
        assert_eq!(Source::new("codec/tests/x.rs", raw).functions().len(), 0);
    }

    #[test]
    fn modules_of_tests_in_files_of_their_own_are_found() {
        let raw = "#[cfg(test)]\n#[allow(a)]\npub(crate) mod script;\n#[cfg(test)]\nmod here { }\n#[cfg(test)]\nuse mod_a::b;\nmod live;\n";
        assert_eq!(test_files("proxy/src/io/mod.rs", raw), ["proxy/src/io/script"]);
        assert_eq!(test_files("proxy/src/body.rs", raw), ["proxy/src/body/script"]);
        assert_eq!(test_files("proxy/src/lib.rs", raw), ["proxy/src/script"]);
        assert!(Source::of("proxy/src/script.rs", "fn a() {}", true).functions().is_empty());
    }

    #[test]
    fn functions_are_measured_from_fn_to_brace() {
        let source = Source::new(
            "a/src/x.rs",
            "type T = fn(u8);\ntrait A { fn a(); fn b() { } }\npub fn c(\n  x: [u8; 3],\n) where T: A {\n  if x {\n  }\n}\n",
        );
        let found: Vec<(String, usize, usize)> =
            source.functions().into_iter().map(|f| (f.name, f.line, f.lines)).collect();
        assert_eq!(found, [("b".to_owned(), 2, 1), ("c".to_owned(), 3, 6)]);
    }

    #[test]
    fn paths_are_given_from_the_root() {
        let source = Source::new(
            "policy/src/transform/uri.rs",
            "use crate::{facts::Facts, limits};\nuse super::headers::{A, B as C};\nuse super::super::context;\nuse std::fmt;\nmod deep { use super::x; fn f() { crate::Reply::new(); } }\n",
        );
        let found: Vec<String> = source.root_paths().into_iter().map(|(p, _)| p.join("::")).collect();
        for path in [
            "facts::Facts",
            "limits",
            "transform::headers::A",
            "transform::headers::B",
            "context",
            "transform::uri::x",
            "Reply::new",
        ] {
            assert!(found.iter().any(|f| f == path), "{path} in {found:?}");
        }
        assert!(!found.iter().any(|f| f.contains("fmt")), "{found:?}");
    }

    #[test]
    fn variants_come_in_order() {
        let code = strip(
            "pub enum Other { Z }\n#[derive(A)]\npub enum E {\n /// doc, with comma\n #[x(a, b)]\n One, Two(Vec<u8>, u8), Three { a: u8 }, Four = 4,\n}",
        );
        assert_eq!(variants(&code, "E"), ["One", "Two", "Three", "Four"]);
        assert_eq!(variants(&code, "Missing"), Vec::<String>::new());
    }

    #[test]
    fn words_are_whole() {
        assert_eq!(words("dyn dynamic undyn dyn_ (dyn)", "dyn"), [0, 24]);
    }
}
