//! Texts of a request, what is made of them before they are compared, and how they are compared.

use codec::head::Fate;
use codec::target::{decode_component, query_pairs};
use memchr::{memchr, memchr2};
use serde::{Deserialize, Serialize};

use super::Request;
use super::expression::Search;

/// A text of a request, and what is asked of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextTest {
    /// Which. If there are more than one, any of them is enough; if there is none, nothing of it is so.
    pub subject: Subject,
    /// What is made of it before, in this order.
    pub steps: Box<[Step]>,
    /// How it is compared.
    pub compare: Compare,
}

/// Which text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Subject {
    /// The path.
    Path,
    /// The values of all fields of this name, in any case.
    Header(Box<str>),
    /// All that stands behind `?`.
    Query,
    /// The values of all parameters of this name, which is compared after decoding and in its case (RT-09).
    Parameter(Box<str>),
}

/// What is made of a text before it is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// `%2e` becomes `.`, once; what is no escape stays.
    UrlDecode {
        /// Whether `+` is a space, as in a query.
        plus: bool,
    },
    /// ASCII letters become small.
    Lowercase,
    /// Each run of blanks, tabs and line ends becomes one blank.
    CompressWhiteSpace,
    /// `\` becomes `/`, and `//`, `/./` and `/../` are resolved.
    NormalizePath,
}

/// How texts are compared. Of several of ours, one is enough.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compare {
    /// It is there.
    Present,
    /// The same, byte for byte.
    Equals(Box<[Box<str>]>),
    /// It begins so.
    Prefix(Box<[Box<str>]>),
    /// It ends so.
    Suffix(Box<[Box<str>]>),
    /// It has one of these in it, or a part that fits one of these expressions.
    Finds(Search),
}

/// Room for what is made of texts. Kept, so that it need not be made again.
#[derive(Debug, Default)]
pub struct Work {
    made: Vec<u8>,
    next: Vec<u8>,
    name: Vec<u8>,
}

impl TextTest {
    /// Whether it is so.
    pub fn holds(&self, request: &Request<'_>, work: &mut Work) -> bool {
        let mut fits = |raw: &[u8]| self.fits(raw, work);
        match &self.subject {
            Subject::Path => fits(request.path),
            Subject::Query => request.head.query.is_some_and(|query| fits(query.of(request.head_bytes))),
            Subject::Header(name) => values(request, name.as_bytes()).any(fits),
            Subject::Parameter(name) => {
                let Some(query) = request.head.query else { return false };
                query_pairs(query.of(request.head_bytes)).any(|(raw, value)| {
                    let named = is_called(raw, name.as_bytes(), &mut work.name);
                    named && self.fits(value, work)
                })
            }
        }
    }

    fn fits(&self, raw: &[u8], work: &mut Work) -> bool {
        self.compare.fits(made(&self.steps, raw, work))
    }
}

/// The values of the fields of a name that reach the backend.
pub(super) fn values<'a>(request: &Request<'a>, name: &[u8]) -> impl Iterator<Item = &'a [u8]> {
    let (fields, bytes) = (&request.head.fields, request.head_bytes);
    let named =
        fields.iter().filter(move |field| field.fate == Fate::Pass && field.name.of(bytes).eq_ignore_ascii_case(name));
    named.map(move |field| field.value.of(bytes))
}

/// Whether a parameter's name is this one, after decoding.
fn is_called(raw: &[u8], name: &[u8], room: &mut Vec<u8>) -> bool {
    if memchr2(b'%', b'+', raw).is_none() {
        return raw == name;
    }
    room.clear();
    decode_component(raw, true, room);
    *room == name
}

impl Compare {
    /// Whether a text fits.
    pub fn fits(&self, text: &[u8]) -> bool {
        match self {
            Self::Present => true,
            Self::Equals(list) => list.iter().any(|ours| text == ours.as_bytes()),
            Self::Prefix(list) => list.iter().any(|ours| text.starts_with(ours.as_bytes())),
            Self::Suffix(list) => list.iter().any(|ours| text.ends_with(ours.as_bytes())),
            Self::Finds(search) => search.finds(text),
        }
    }

    pub(super) const fn is_search(&self) -> bool {
        matches!(self, Self::Finds(_))
    }
}

/// What becomes of a text by these steps: itself, unless one of them changes it.
pub(super) fn made<'a>(steps: &[Step], raw: &'a [u8], work: &'a mut Work) -> &'a [u8] {
    let Some(first) = steps.iter().position(|step| step.may_change(raw)) else { return raw };
    let Work { made, next, .. } = work;
    made.clear();
    steps[first].write(raw, made);
    for step in &steps[first + 1..] {
        next.clear();
        step.write(made, next);
        std::mem::swap(made, next);
    }
    made
}

impl Step {
    /// Whether a text may become another one. A text for which this is false stays what it is.
    fn may_change(self, text: &[u8]) -> bool {
        match self {
            Self::UrlDecode { plus: true } => memchr2(b'%', b'+', text).is_some(),
            Self::UrlDecode { plus: false } => memchr(b'%', text).is_some(),
            Self::Lowercase => text.iter().any(u8::is_ascii_uppercase),
            Self::CompressWhiteSpace => {
                text.iter().any(|byte| is_white(*byte) && *byte != b' ') || text.windows(2).any(|two| two == b"  ")
            }
            Self::NormalizePath => {
                !text.starts_with(b"/")
                    || memchr(b'\\', text).is_some()
                    || text.windows(2).any(|two| two == b"//" || two == b"/.")
            }
        }
    }

    fn write(self, text: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::UrlDecode { plus } => decode_component(text, plus, out),
            Self::Lowercase => out.extend(text.iter().map(u8::to_ascii_lowercase)),
            Self::CompressWhiteSpace => {
                let mut before = false;
                for byte in text {
                    let white = is_white(*byte);
                    if !(white && before) {
                        out.push(if white { b' ' } else { *byte });
                    }
                    before = white;
                }
            }
            Self::NormalizePath => normalize(text, out),
        }
    }
}

const fn is_white(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

fn normalize(text: &[u8], out: &mut Vec<u8>) {
    let mut ends = false;
    for piece in text.split(|byte| matches!(byte, b'/' | b'\\')) {
        ends = matches!(piece, b"" | b"." | b"..");
        match piece {
            b"" | b"." => {}
            b".." => out.truncate(out.iter().rposition(|byte| *byte == b'/').unwrap_or(0)),
            piece => {
                out.push(b'/');
                out.extend_from_slice(piece);
            }
        }
    }
    if ends {
        out.push(b'/');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [Step; 5] = [
        Step::UrlDecode { plus: true },
        Step::UrlDecode { plus: false },
        Step::Lowercase,
        Step::CompressWhiteSpace,
        Step::NormalizePath,
    ];

    fn of(steps: &[Step], text: &str) -> String {
        String::from_utf8(made(steps, text.as_bytes(), &mut Work::default()).to_vec()).unwrap()
    }

    #[test]
    fn what_is_made_of_texts() {
        let (decode, query) = (Step::UrlDecode { plus: false }, Step::UrlDecode { plus: true });
        for (steps, text, expected) in [
            (&[decode][..], "/%61+b%zz%2", "/a+b%zz%2"),
            (&[query], "a+b%20c", "a b c"),
            (&[decode], "%2525", "%25"),
            (&[decode, decode], "%2525", "%"),
            (&[Step::Lowercase], "/AdMiN/É", "/admin/É"),
            (&[Step::CompressWhiteSpace], "a \t\r\n b  c", "a b c"),
            (&[Step::NormalizePath], "/a//b/./c/../d/", "/a/b/d/"),
            (&[Step::NormalizePath], "/a\\..\\..\\..\\b", "/b"),
            (&[Step::NormalizePath], "/a/..", "/"),
            (&[Step::NormalizePath], "a/b", "/a/b"),
            (&[Step::NormalizePath], "/.a/..b", "/.a/..b"),
            (&[decode, Step::Lowercase, Step::NormalizePath], "/x/%2E%2E/ADMIN", "/admin"),
            (&[], "%41", "%41"),
        ] {
            assert_eq!(of(steps, text), expected, "{text}");
        }
    }

    proptest! {
        /// A text that is said to stay what it is does.
        #[test]
        fn nothing_changes_unseen(text in "[%0-9a-fA-F+/\\\\. \t\n]{0,20}", step in 0..ALL.len()) {
            let step = ALL[step];
            let mut out = Vec::new();
            step.write(text.as_bytes(), &mut out);
            prop_assert!(step.may_change(text.as_bytes()) || out == text.as_bytes());
        }
    }
}
