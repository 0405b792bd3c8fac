//! Mapping templates that are no programs: their text is what they print. And what a mock's request template says (IN-10).

use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;

/// Whether a template prints itself: no reference (`$x`, `${x}`, `$!x`), no directive and no comment of VTL. A `$` or `#` that
/// begins none of them is text.
pub fn is_constant_template(text: &str) -> bool {
    let bytes = text.as_bytes();
    memchr::memchr3_iter(b'$', b'#', b'\\', bytes).all(|at| match bytes[at] {
        b'$' => {
            let name = bytes[at + 1..].strip_prefix(b"!").unwrap_or(&bytes[at + 1..]);
            !matches!(name.first(), Some(b'{' | b'a'..=b'z' | b'A'..=b'Z' | b'_'))
        }
        b'#' => !is_directive(&bytes[at + 1..]),
        // An escape of one of the two.
        _ => !matches!(bytes.get(at + 1), Some(b'$' | b'#')),
    })
}

/// Whether a `#` with this behind it is VTL's.
fn is_directive(after: &[u8]) -> bool {
    const NAMES: [&[u8]; 13] = [
        b"set",
        b"if",
        b"elseif",
        b"else",
        b"end",
        b"foreach",
        b"break",
        b"stop",
        b"macro",
        b"define",
        b"evaluate",
        b"include",
        b"parse",
    ];
    let word = after.strip_prefix(b"{").unwrap_or(after);
    let length = word.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
    matches!(after.first(), Some(b'#' | b'*' | b'@' | b'[')) || NAMES.contains(&&word[..length])
}

/// The first media type of an `Accept` or `Content-Type`, without parameters (MP-06, MP-08).
pub fn media_type(value: &[u8]) -> &[u8] {
    let end = value.iter().position(|byte| matches!(byte, b',' | b';')).unwrap_or(value.len());
    value[..end].trim_ascii()
}

/// The `statusCode` of a mock's request template. AWS reads it leniently: names may stand without quotes or in single ones (IN-10).
/// `None` where there is no such whole number: 500.
pub fn mock_status(text: &str) -> Option<u16> {
    let mut reader = Lenient { rest: text.trim() };
    reader.take('{')?;
    let mut status = None;
    loop {
        if reader.take('}').is_some() {
            return if reader.rest.is_empty() { status } else { None };
        }
        let name = reader.name()?;
        reader.take(':')?;
        let value = reader.value()?;
        if name == "statusCode" {
            status = value.parse().ok();
            status?;
        }
        if reader.take(',').is_none() && !reader.rest.starts_with('}') {
            return None;
        }
    }
}

/// What a mock makes of a request: the status that selects its answer (IN-10, MP-06, MP-07).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MockRequest {
    /// Media type, and the status that its template says; `None`: none, which is answered with 500.
    templates: Box<[(Box<str>, Option<u16>)]>,
    /// Whether a request of another type is refused; otherwise its own body says the status.
    refuses_others: bool,
}

/// Where a mock's status stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MockStatus {
    /// In a template.
    Known(u16),
    /// In the request's body, which [`mock_status`] reads.
    InBody,
}

impl MockRequest {
    /// Compiles media types and templates; `Err` is the place of one that is a program.
    pub fn compile(templates: &[(&str, &str)], refuses_others: bool) -> Result<Self, usize> {
        if let Some(program) = templates.iter().position(|(_, text)| !is_constant_template(text)) {
            return Err(program);
        }
        let templates = templates.iter().map(|(media, text)| ((*media).into(), mock_status(text))).collect();
        Ok(Self { templates, refuses_others })
    }

    /// Chooses by the request's `Content-Type`; without one it is JSON's. `$default` is for all others.
    pub fn choose(&self, content_type: Option<&[u8]>) -> Result<MockStatus, Refusal> {
        let wanted = content_type.map_or(&b"application/json"[..], media_type);
        let of = |wanted: &[u8]| self.templates.iter().find(|(media, _)| media.as_bytes().eq_ignore_ascii_case(wanted));
        match of(wanted).or_else(|| of(b"$default")) {
            Some((_, status)) => status.map(MockStatus::Known).ok_or(Refusal::MappingFailed),
            None if self.refuses_others => Err(Refusal::UnsupportedMediaType),
            None => Ok(MockStatus::InBody),
        }
    }
}

/// A reader of what is nearly JSON.
struct Lenient<'a> {
    /// Without blanks at its front.
    rest: &'a str,
}

impl<'a> Lenient<'a> {
    fn skip(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest.trim_start();
        taken
    }

    fn take(&mut self, mark: char) -> Option<()> {
        self.rest.starts_with(mark).then(|| self.skip(1)).map(|_| ())
    }

    /// Bytes of the quoted text at the front, quotes included.
    fn quoted(&self) -> Option<usize> {
        let quote = self.rest.bytes().next().filter(|byte| matches!(byte, b'"' | b'\''))?;
        let mut escaped = false;
        let end = self.rest.bytes().skip(1).position(|byte| {
            let ends = byte == quote && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        })?;
        Some(end + 2)
    }

    fn name(&mut self) -> Option<&'a str> {
        if let Some(length) = self.quoted() {
            let quoted = self.skip(length);
            return Some(&quoted[1..length - 1]);
        }
        let end = self.rest.find(|letter: char| !(letter.is_ascii_alphanumeric() || "_$-.".contains(letter)))?;
        (end > 0).then(|| self.skip(end))
    }

    /// A value, whatever it is, without the blanks behind it.
    fn value(&mut self) -> Option<&'a str> {
        let whole = self.rest;
        let mut depth = 0_u32;
        loop {
            match self.rest.bytes().next()? {
                b'"' | b'\'' => {
                    let length = self.quoted()?;
                    self.skip(length);
                }
                b',' | b'}' | b']' if depth == 0 => {
                    let value = whole[..whole.len() - self.rest.len()].trim_end();
                    return (!value.is_empty()).then_some(value);
                }
                b'{' | b'[' => {
                    depth += 1;
                    self.skip(1);
                }
                b'}' | b']' => {
                    depth -= 1;
                    self.skip(1);
                }
                _ => {
                    let length = self.rest.chars().next().map_or(1, char::len_utf8);
                    self.skip(length);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_prints_itself() {
        for text in [
            "",
            "{\"a\": 1}",
            "costs $5 or 5$",
            "<p style='color:#fff'>#1</p>",
            "# heading",
            "a\\b",
            "$",
            "#",
            "#iffy",
            "$1x",
            "#x()",
        ] {
            assert!(is_constant_template(text), "{text}");
        }
        for text in [
            "$x",
            "${x}",
            "$!x",
            "$!{x}",
            "$input.json('$')",
            "a$context.requestId",
            "#set($a = 1)",
            "#if(1)",
            "#{else}",
            "#end",
            "## comment",
            "#* comment *#",
            "#[[text]]#",
            "\\$x",
            "\\#if",
            "#foreach($x in $y)",
            "#@x()",
            "#stop",
        ] {
            assert!(!is_constant_template(text), "{text}");
        }
    }

    #[test]
    fn the_status_of_a_mock() {
        // IN-10
        let cases = [
            ("{\"statusCode\": 200}", Some(200)),
            ("{statusCode: 200}", Some(200)),
            ("{statusCode:200,}", Some(200)),
            ("{'statusCode': 404}", Some(404)),
            (" {\n  \"statusCode\" : 204\n}\n", Some(204)),
            ("{\"message\": \"a, } b\", \"statusCode\": 301, \"x\": {\"y\": [1, 2]}}", Some(301)),
            ("{\"a\": 'it\\'s', statusCode: 500}", Some(500)),
            ("{\"statusCode\": 200, \"statusCode\": 201}", Some(201)),
            ("{\"statusCode\": \"200\"}", None),
            ("{\"statusCode\": 200.5}", None),
            ("{\"statusCode\": 2e2}", None),
            ("{\"statusCode\": -1}", None),
            ("{\"statusCode\": 99999999}", None),
            ("{\"statusCode\": }", None),
            ("{\"statusCode\": 200", None),
            ("{\"statusCode\": 200} x", None),
            ("{\"statuscode\": 200}", None),
            ("{}", None),
            ("", None),
            ("[200]", None),
            ("200", None),
            ("{\"a\" 1, \"statusCode\": 200}", None),
        ];
        for (text, status) in cases {
            assert_eq!(mock_status(text), status, "{text}");
        }
    }

    #[test]
    fn the_status_is_chosen_by_content_type() {
        // MP-06, MP-07
        let templates =
            [("application/json", "{statusCode: 200}"), ("text/xml", "{statusCode: 300}"), ("text/html", "{}")];
        let mock = MockRequest::compile(&templates, true).unwrap();
        let choose = |mock: &MockRequest, value: &str| mock.choose((!value.is_empty()).then_some(value.as_bytes()));
        for (value, expected) in [
            ("", Ok(MockStatus::Known(200))),
            ("application/json; charset=utf-8", Ok(MockStatus::Known(200))),
            ("Text/XML", Ok(MockStatus::Known(300))),
            ("text/html", Err(Refusal::MappingFailed)),
            ("text/plain", Err(Refusal::UnsupportedMediaType)),
        ] {
            assert_eq!(choose(&mock, value), expected, "{value}");
        }
        let mock = MockRequest::compile(&templates, false).unwrap();
        assert_eq!(choose(&mock, "text/plain"), Ok(MockStatus::InBody));
        let mock = MockRequest::compile(&[("$default", "{statusCode: 202}")], true).unwrap();
        assert_eq!(choose(&mock, "text/plain"), Ok(MockStatus::Known(202)));
        assert_eq!(choose(&MockRequest::compile(&[], false).unwrap(), ""), Ok(MockStatus::InBody));
        assert_eq!(MockRequest::compile(&[("a/b", ""), ("application/json", "$x")], false), Err(1));
    }

    #[test]
    fn media_types_stand_alone() {
        let cases: [(&[u8], &[u8]); 5] = [
            (b"text/html", b"text/html"),
            (b"text/html;charset=utf-8, */*", b"text/html"),
            (b" application/json , text/html", b"application/json"),
            (b"", b""),
            (b",x", b""),
        ];
        for (value, expected) in cases {
            assert_eq!(media_type(value), expected);
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "[{}\\[\\]\"':,statusCode 2é\\\\]{0,40}") {
            let _ = mock_status(&text);
            let _ = is_constant_template(&text);
        }

        /// Whatever is JSON is read as JSON.
        #[test]
        fn json_is_understood(names in prop::collection::vec("[a-z\"]{0,5}", 0..4), value in ".{0,8}", status: u16) {
            let mut object: serde_json::Map<String, serde_json::Value> =
                names.into_iter().map(|name| (name, serde_json::json!([value.clone(), {"k": value.clone()}]))).collect();
            object.insert("statusCode".to_owned(), status.into());
            prop_assert_eq!(mock_status(&serde_json::to_string_pretty(&object).unwrap()), Some(status));
        }
    }
}
