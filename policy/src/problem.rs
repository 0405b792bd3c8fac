//! Problem documents: a refusal as RFC 9457 has it, for APIs with `strict_errors`.

use codec::http1::write;

use crate::escape;

/// The media type of what [`write`] writes.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// Writes `{"type", "title", "status", "detail", "instance"}`. The type is `about:blank`: the status says what it is, and so does the
/// title. `detail` is what the refusal says, if that is more than the title; `instance` is the request's id, by which an operator
/// finds it in the log.
pub fn write(status: u16, detail: Option<&[u8]>, instance: &[u8], out: &mut Vec<u8>) {
    let title = write::reason(status);
    out.extend_from_slice(b"{\"type\":\"about:blank\",\"title\":");
    quoted(title.as_bytes(), out);
    out.extend_from_slice(b",\"status\":");
    write::number(out, u64::from(status));
    if let Some(detail) = detail.filter(|detail| !detail.is_empty()) {
        out.extend_from_slice(b",\"detail\":");
        quoted(detail, out);
    }
    out.extend_from_slice(b",\"instance\":");
    quoted(instance, out);
    out.push(b'}');
}

fn quoted(text: &[u8], out: &mut Vec<u8>) {
    let from = out.len();
    out.extend_from_slice(text);
    escape::json_quoted(out, from);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_problem_is_written() {
        let mut out = Vec::new();
        write(405, Some(b"say \"no\""), b"id", &mut out);
        let expected =
            r#"{"type":"about:blank","title":"Method Not Allowed","status":405,"detail":"say \"no\"","instance":"id"}"#;
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        let mut out = Vec::new();
        write(500, None, b"id", &mut out);
        assert!(!String::from_utf8(out).unwrap().contains("detail"));
    }

    proptest! {
        #[test]
        fn it_is_always_json(status in 200_u16..600, detail: Vec<u8>, instance: Vec<u8>) {
            let mut out = Vec::new();
            write(status, Some(&detail), &instance, &mut out);
            let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(&value["status"], &serde_json::Value::from(status));
            prop_assert_eq!(value["instance"].as_str().unwrap(), String::from_utf8_lossy(&instance));
        }
    }
}
