//! JSONPath as parameter mappings use it: from a JSON text to one value of it, without a tree.
//!
//! A path is a chain of `.name`, `['name']`, `[3]`, `[-1]`, `.*` and `[*]`. The text is walked once for each step, and the
//! value is a piece of it: memory does not grow with the body, whatever a client sends.
//!
//! Where Jayway's rules (API Gateway's) differ from RFC 9535, its rules hold: a name behind a dot may have dashes and other marks; a
//! path with a `*` finds an array, empty if nothing fits; a path without one finds a value or nothing; of a member that is
//! written twice the last counts. Numbers stay as they are written (Jayway prints `1e2` as `100.0`). `..`, slices, unions, filters
//! and functions are refused when the configuration is compiled (in HTTP APIs AWS has none of the first and the last two).

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::limits::{JSON_PATH_BYTES_MAX, JSON_PATH_STEPS_MAX};

/// A compiled path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonPath {
    steps: Box<[Step]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// A member of an object.
    Name(Box<str>),
    /// An element of an array, counted from its front.
    Index(u32),
    /// An element of an array, counted from its end; 1 is the last.
    FromEnd(u32),
    /// All members or elements.
    All,
}

/// Why a text is no path, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonPathFault {
    /// Byte in the text.
    pub offset: usize,
    /// What is wrong there.
    pub what: JsonPathProblem,
}

/// What is wrong with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonPathProblem {
    /// Longer than [`JSON_PATH_BYTES_MAX`], or more steps than [`JSON_PATH_STEPS_MAX`].
    TooLong,
    /// A dot or a bracket without a name, a number or a star.
    Unnamed,
    /// A bracket that is not closed, or closed with something else within.
    Bracket,
    /// `..`
    Descent,
    /// `[1:2]`
    Slice,
    /// `[1,2]`
    Union,
    /// `[?(…)]`, `[(…)]` or `.length()`.
    Program,
}

impl JsonPathProblem {
    /// One line for the operator.
    pub const fn message(self) -> &'static str {
        match self {
            Self::TooLong => "the JSONPath is too long",
            Self::Unnamed => "a step of the JSONPath lacks its name",
            Self::Bracket => "in the brackets of a JSONPath stands a number, a quoted name or a star",
            Self::Descent => "`..` cannot be used in a mapping",
            Self::Slice => "a slice cannot be used in a mapping",
            Self::Union => "several names or numbers in one pair of brackets cannot be used in a mapping",
            Self::Program => "filters and functions cannot be used in a mapping",
        }
    }
}

/// The text is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidJson;

impl From<serde_json::Error> for InvalidJson {
    fn from(_: serde_json::Error) -> Self {
        Self
    }
}

impl JsonPath {
    /// Reads what follows the `$`: `.a.b[0]`, or `[0].a`.
    pub fn parse(text: &str) -> Result<Self, JsonPathFault> {
        let fault = |offset, what| Err(JsonPathFault { offset, what });
        if text.len() > JSON_PATH_BYTES_MAX {
            return fault(JSON_PATH_BYTES_MAX, JsonPathProblem::TooLong);
        }
        let mut steps = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let (step, length) = match &text[at..] {
                rest if rest.starts_with("..") => return fault(at, JsonPathProblem::Descent),
                rest if rest.starts_with('[') => bracket(rest),
                rest => dotted(rest),
            }
            .map_err(|what| JsonPathFault { offset: at, what })?;
            steps.push(step);
            at += length;
        }
        match steps.len() {
            0 => fault(0, JsonPathProblem::Unnamed),
            count if count > JSON_PATH_STEPS_MAX => fault(0, JsonPathProblem::TooLong),
            _ => Ok(Self { steps: steps.into() }),
        }
    }

    /// Whether it has a `*`: then it finds an array of whatever fits.
    fn finds_many(&self) -> bool {
        self.steps.contains(&Step::All)
    }

    /// Writes what it finds: a string bare, anything else as JSON without blanks. False, and nothing written, if there is nothing
    /// or `null`.
    pub fn write(&self, json: &[u8], out: &mut Vec<u8>) -> Result<bool, InvalidJson> {
        let whole: &RawValue = serde_json::from_slice(json)?;
        if !self.finds_many() {
            let mut value = None;
            walk(whole, &self.steps, &mut |found| value = Some(found))?;
            return match value {
                Some(value) if value.get() != "null" => write_bare(value, out).map(|()| true),
                _ => Ok(false),
            };
        }
        let open = out.len();
        out.push(b'[');
        walk(whole, &self.steps, &mut |found| {
            if out.len() > open + 1 {
                out.push(b',');
            }
            write_compact(found.get(), out);
        })?;
        out.push(b']');
        Ok(true)
    }
}

/// `.name` or `.*`, and its length.
fn dotted(text: &str) -> Result<(Step, usize), JsonPathProblem> {
    let name = text.strip_prefix('.').ok_or(JsonPathProblem::Unnamed)?;
    let end = name.find(['.', '[', '(', ')']).unwrap_or(name.len());
    match &name[..end] {
        "" => Err(JsonPathProblem::Unnamed),
        _ if name[end..].starts_with(['(', ')']) => Err(JsonPathProblem::Program),
        "*" => Ok((Step::All, 2)),
        plain => Ok((Step::Name(plain.into()), 1 + end)),
    }
}

/// `[…]`, and its length.
fn bracket(text: &str) -> Result<(Step, usize), JsonPathProblem> {
    let inside = &text[1..];
    if let Some(quote @ (b'\'' | b'"')) = inside.bytes().next() {
        let name = &inside[1..];
        let end = name.find(quote as char).ok_or(JsonPathProblem::Bracket)?;
        return match (&name[..end], name[end + 1..].trim_start()) {
            (name, _) if name.contains('\\') => Err(JsonPathProblem::Bracket),
            (_, rest) if rest.starts_with(',') => Err(JsonPathProblem::Union),
            (name, rest) if rest.starts_with(']') => Ok((Step::Name(name.into()), text.len() - rest.len() + 1)),
            _ => Err(JsonPathProblem::Bracket),
        };
    }
    let end = inside.find(']').ok_or(JsonPathProblem::Bracket)?;
    let step = match inside[..end].trim() {
        "" => return Err(JsonPathProblem::Unnamed),
        "*" => Step::All,
        program if program.starts_with(['?', '(']) => return Err(JsonPathProblem::Program),
        slice if slice.contains(':') => return Err(JsonPathProblem::Slice),
        union if union.contains(',') => return Err(JsonPathProblem::Union),
        number => index(number).ok_or(JsonPathProblem::Bracket)?,
    };
    Ok((step, end + 2))
}

fn index(number: &str) -> Option<Step> {
    let (digits, from_end) = number.strip_prefix('-').map_or((number, false), |digits| (digits, true));
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    match (digits.parse().ok()?, from_end) {
        (0, true) => None,
        (place, true) => Some(Step::FromEnd(place)),
        (place, false) => Some(Step::Index(place)),
    }
}

/// Calls `found` for every value that the steps lead to, in order.
fn walk<'a, F: FnMut(&'a RawValue)>(value: &'a RawValue, steps: &[Step], found: &mut F) -> Result<(), InvalidJson> {
    let Some((step, rest)) = steps.split_first() else {
        found(value);
        return Ok(());
    };
    let is_object = value.get().starts_with('{');
    let is_array = value.get().starts_with('[');
    let inside = match step {
        Step::Name(name) if is_object => read(value, Member(name))?,
        Step::Index(place) if is_array => read(value, Element(*place as usize))?,
        Step::FromEnd(place) if is_array => match count(value)?.checked_sub(*place as usize) {
            Some(place) => read(value, Element(place))?,
            None => None,
        },
        Step::All if is_object || is_array => {
            let mut outcome = Ok(());
            read(value, Each(&mut |value| outcome = outcome.and_then(|()| walk(value, rest, found))))?;
            return outcome;
        }
        _ => None,
    };
    inside.map_or(Ok(()), |value| walk(value, rest, found))
}

fn read<'a, V: Visitor<'a>>(value: &'a RawValue, visitor: V) -> Result<V::Value, InvalidJson> {
    Ok(serde_json::Deserializer::from_str(value.get()).deserialize_any(visitor)?)
}

fn count(array: &RawValue) -> Result<usize, InvalidJson> {
    let mut count = 0;
    read(array, Each(&mut |_| count += 1))?;
    Ok(count)
}

/// The last member of this name.
struct Member<'n>(&'n str);

impl<'a> Visitor<'a> for Member<'_> {
    type Value = Option<&'a RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut found = None;
        while let Some(is_it) = map.next_key_seed(Called(self.0))? {
            if is_it {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Whether a key is this name; compared without keeping it.
struct Called<'n>(&'n str);

impl<'a> DeserializeSeed<'a> for Called<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'a>>(self, from: D) -> Result<bool, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for Called<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, text: &str) -> Result<bool, E> {
        Ok(text == self.0)
    }
}

/// The element at this place.
struct Element(usize);

impl<'a> Visitor<'a> for Element {
    type Value = Option<&'a RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<S: SeqAccess<'a>>(self, mut elements: S) -> Result<Self::Value, S::Error> {
        for _ in 0..self.0 {
            if elements.next_element::<IgnoredAny>()?.is_none() {
                return Ok(None);
            }
        }
        let found = elements.next_element()?;
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(found)
    }
}

/// Every member or element.
struct Each<'f, F>(&'f mut F);

impl<'a, F: FnMut(&'a RawValue)> Visitor<'a> for Each<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<(), M::Error> {
        while map.next_key::<IgnoredAny>()?.is_some() {
            (self.0)(map.next_value()?);
        }
        Ok(())
    }

    fn visit_seq<S: SeqAccess<'a>>(self, mut elements: S) -> Result<(), S::Error> {
        while let Some(value) = elements.next_element()? {
            (self.0)(value);
        }
        Ok(())
    }
}

/// A string without its quotes and escapes, anything else as JSON.
fn write_bare(value: &RawValue, out: &mut Vec<u8>) -> Result<(), InvalidJson> {
    if value.get().starts_with('"') {
        return read(value, Unquoted(out));
    }
    write_compact(value.get(), out);
    Ok(())
}

struct Unquoted<'o>(&'o mut Vec<u8>);

impl Visitor<'_> for Unquoted<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// JSON without the blanks between its tokens.
fn write_compact(json: &str, out: &mut Vec<u8>) {
    let (mut inside, mut escaped) = (false, false);
    for byte in json.bytes() {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' if !inside => continue,
            _ if escaped => escaped = false,
            b'\\' if inside => escaped = true,
            b'"' => inside = !inside,
            _ => {}
        }
        out.push(byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn find(path: &str, json: &str) -> Result<Option<String>, InvalidJson> {
        let mut out = b"before".to_vec();
        let present = JsonPath::parse(path).unwrap().write(json.as_bytes(), &mut out)?;
        let text = String::from_utf8(out).unwrap().strip_prefix("before").unwrap().to_owned();
        assert!(present || text.is_empty());
        Ok(present.then_some(text))
    }

    const PETS: &str = r#" {"id": 7, "name":"Rex \"\u00e4\" \n", "ok": true, "no": null, "first-name": "R",
        "tags": [ "a b" , {"k": [1, 2.50]} , null, 1e2 ], "o":{"x":{"y":"z"}, "":"empty", "a.b": 1},
        "id": 8, "pets": [{"n":"a"},{"m":0},{"n":"b"}]} "#;

    #[test]
    fn what_a_path_finds() {
        let cases = [
            (".id", Some("8")),
            (".name", Some("Rex \"ä\" \n")),
            (".ok", Some("true")),
            (".no", None),
            (".none", None),
            (".first-name", Some("R")),
            (".tags[0]", Some("a b")),
            (".tags[1]", Some(r#"{"k":[1,2.50]}"#)),
            (".tags[1].k[1]", Some("2.50")),
            (".tags[-1]", Some("1e2")),
            (".tags[-4]", Some("a b")),
            (".tags[-5]", None),
            (".tags[4]", None),
            (".tags[4294967295]", None),
            (".tags", Some(r#"["a b",{"k":[1,2.50]},null,1e2]"#)),
            (".tags.k", None),
            (".id.x", None),
            (".id[0]", None),
            (".o.x.y", Some("z")),
            ("['o'][\"x\"]['y']", Some("z")),
            (".o['']", Some("empty")),
            (".o['a.b']", Some("1")),
            (".o[0]", None),
            (".o", Some(r#"{"x":{"y":"z"},"":"empty","a.b":1}"#)),
            (".pets[*].n", Some(r#"["a","b"]"#)),
            (".pets.*.n", Some(r#"["a","b"]"#)),
            (".pets[ * ].q", Some("[]")),
            (".none[*]", Some("[]")),
            (".o.*", Some(r#"[{"y":"z"},"empty",1]"#)),
        ];
        for (path, expected) in cases {
            assert_eq!(find(path, PETS).unwrap().as_deref(), expected, "{path}");
        }
        assert_eq!(find("[1]", "[1,\t2]").unwrap().as_deref(), Some("2"));
        assert_eq!(find(".a", "7").unwrap(), None);
        assert_eq!(find(".a", "\"x\"").unwrap(), None);
    }

    #[test]
    fn what_is_no_json_is_said() {
        for json in ["", "{", "{}x", "{'a':1}", "{\"a\":1,}", "[1 2]", "{\"a\":\"\u{1}\"}", "nul"] {
            assert_eq!(find(".a", json), Err(InvalidJson), "{json}");
            assert_eq!(find(".*", json), Err(InvalidJson), "{json}");
        }
        // Half a surrogate pair is no text.
        assert_eq!(find(".a", r#"{"a":"\ud800"}"#), Err(InvalidJson));
        let mut out = Vec::new();
        assert_eq!(JsonPath::parse(".a").unwrap().write(b"{\"a\":\"\xff\"}", &mut out), Err(InvalidJson));
    }

    #[test]
    fn depth_is_no_danger() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(find(".a[0]", &deep).unwrap().unwrap().len(), 2 * 99_999 + 1);
        assert_eq!(find(".b", &deep).unwrap(), None);
    }

    #[test]
    fn faults_have_their_place() {
        use JsonPathProblem as P;
        let long = format!(".{}", "x".repeat(JSON_PATH_BYTES_MAX));
        let many = ".x".repeat(JSON_PATH_STEPS_MAX + 1);
        let cases = [
            ("", 0, P::Unnamed),
            ("a", 0, P::Unnamed),
            (".", 0, P::Unnamed),
            (".a.", 2, P::Unnamed),
            (".a[]", 2, P::Unnamed),
            (".a[", 2, P::Bracket),
            (".a['b", 2, P::Bracket),
            (".a['b'", 2, P::Bracket),
            (".a['b'x]", 2, P::Bracket),
            (".a['\\'']", 2, P::Bracket),
            (".a[x]", 2, P::Bracket),
            (".a[-0]", 2, P::Bracket),
            (".a[+1]", 2, P::Bracket),
            (".a[99999999999]", 2, P::Bracket),
            ("..a", 0, P::Descent),
            (".a..b", 2, P::Descent),
            (".a[1:2]", 2, P::Slice),
            (".a[1,2]", 2, P::Union),
            (".a['b','c']", 2, P::Union),
            (".a[?(@.b)]", 2, P::Program),
            (".a[(@.length-1)]", 2, P::Program),
            (".a.length()", 2, P::Program),
            (&long, JSON_PATH_BYTES_MAX, P::TooLong),
            (&many, 0, P::TooLong),
        ];
        for (path, offset, what) in cases {
            assert_eq!(JsonPath::parse(path), Err(JsonPathFault { offset, what }), "{path}");
            assert!(!what.message().is_empty());
        }
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i32>().prop_map(Into::into),
            ".{0,6}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::btree_map("[abc]", inner, 0..4).prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn nothing_panics(path in "[.a*\\[\\]0-9'\"?(:,-]{0,16}", text in "[{}\\[\\]\":,a0 \\\\]{0,24}") {
            if let Ok(path) = JsonPath::parse(&path) {
                let _ = path.write(text.as_bytes(), &mut Vec::new());
            }
        }

        /// The slow twin works on a tree.
        #[test]
        fn texts_and_trees_agree(value in json(), steps in prop::collection::vec("[abc]", 1..4), pretty: bool) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
            let mut tree = Some(&value);
            for step in &steps {
                tree = tree.and_then(|value| value.get(step));
            }
            let expected = tree.filter(|value| !value.is_null()).map(|value| match value {
                serde_json::Value::String(text) => text.clone(),
                other => other.to_string(),
            });
            let path: String = steps.iter().flat_map(|step| [".", step]).collect();
            prop_assert_eq!(find(&path, &text.unwrap()).unwrap(), expected);
        }
    }
}
