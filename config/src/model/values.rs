//! Times, sizes, numbers, names and addresses as people write them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::diagnostic::Place;

/// A value and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At<T> {
    /// What.
    pub value: T,
    /// Where.
    pub place: Place,
}

/// A whole number in decimal digits.
pub fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// A number in decimal digits, with or without a fraction and a sign: `10`, `0.5`, `-1`.
pub fn decimal(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !are_digits(whole) || !are_digits(fraction) {
        return None;
    }
    text.parse().ok()
}

/// `500ms`, `2s`, `1.5s`, `1m`, `1h`; otherwise what to write.
pub fn time(text: &str) -> Result<Duration, String> {
    const HINT: &str = "write a number and a unit: 500ms, 2s, 1m or 1h";
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (amount, unit) = text.split_at(digits);
    let millis_per_unit = match unit.trim_start() {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "" if number(text).is_some() => {
            return Err(format!("write the unit: {text}s for seconds, {text}ms for milliseconds"));
        }
        _ => return Err(HINT.to_owned()),
    };
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, "0"));
    let (Some(whole), Some(part)) = (number(whole), number(fraction)) else {
        return Err(HINT.to_owned());
    };
    let scale = u32::try_from(fraction.len()).ok().and_then(|digits| 10_u64.checked_pow(digits));
    let millis = whole
        .checked_mul(millis_per_unit)
        .zip(part.checked_mul(millis_per_unit).zip(scale))
        .and_then(|(whole, (part, scale))| whole.checked_add(part / scale));
    millis.map(Duration::from_millis).ok_or_else(|| HINT.to_owned())
}

/// A time in the words of a document.
pub fn time_text(time: Duration) -> String {
    let millis = time.as_millis();
    match millis {
        0 => "0s".to_owned(),
        _ if millis.is_multiple_of(3_600_000) => format!("{}h", millis / 3_600_000),
        _ if millis.is_multiple_of(60_000) => format!("{}m", millis / 60_000),
        _ if millis.is_multiple_of(1_000) => format!("{}s", millis / 1_000),
        _ => format!("{millis}ms"),
    }
}

/// `1024`, `10KB`, `10MiB`: a number of bytes.
pub fn size(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (amount, unit) = text.split_at(digits);
    let bytes_per_unit: u64 = match unit.trim_start() {
        "" | "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number(amount)?.checked_mul(bytes_per_unit)
}

/// An IP address and a port: `127.0.0.1:80`, `[::1]:80`, `localhost:80`. Otherwise what is wrong, and what to write.
pub fn socket(text: &str) -> Result<SocketAddr, (String, String)> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let wrong = |hint: String| Err((format!("`{text}` is not an address and a port"), hint));
    if let Some(port) = number(text) {
        return wrong(format!("write 127.0.0.1:{port}, or 0.0.0.0:{port} for every interface"));
    }
    if text.parse::<IpAddr>().is_ok() {
        return wrong(if text.contains(':') { format!("write [{text}]:8080") } else { format!("write {text}:8080") });
    }
    match text.rsplit_once(':') {
        Some(("localhost", port)) if port.parse::<u16>().is_ok() => {
            Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port.parse().unwrap_or_default()))
        }
        Some(("" | "*", port)) => wrong(format!("write 0.0.0.0:{port}, or [::]:{port} for IPv6 as well")),
        Some((host, port)) if host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() => {
            wrong(format!("a port is a number from 0 to 65535, not {port}"))
        }
        Some(_) => wrong("write an IP address, such as 127.0.0.1:8080; a name is not looked up here".to_owned()),
        None => wrong("write an IP address and a port, such as 127.0.0.1:8080".to_owned()),
    }
}

/// A host name, or an IPv4 address: letters, digits, `-`, `_` and dots, no empty label.
pub fn is_host(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals() {
        for (text, value) in [("0", 0.0), ("10", 10.0), ("0.5", 0.5), ("100.0", 100.0), ("-1", -1.0)] {
            assert_eq!(decimal(text), Some(value), "{text}");
        }
        for text in ["", "-", ".5", "1.", "1e3", "+1", "inf", "NaN", "1,5", "10%", " 1"] {
            assert_eq!(decimal(text), None, "{text}");
        }
    }

    #[test]
    fn times() {
        for (text, millis) in [
            ("500ms", 500),
            ("2s", 2_000),
            ("1.5s", 1_500),
            ("0.25s", 250),
            ("1m", 60_000),
            ("2h", 7_200_000),
            ("29000ms", 29_000),
            ("10 s", 10_000),
            ("0s", 0),
        ] {
            assert_eq!(time(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "",
            "s",
            "1",
            "-1s",
            "1.s",
            ".5s",
            "1.2.3s",
            "1d",
            "1 minute",
            "99999999999999999999s",
            "18446744073709551615h",
        ] {
            assert!(time(text).is_err(), "{text}");
        }
        assert!(time("30").unwrap_err().contains("30s"));
        for text in ["50ms", "15m", "24h", "29s"] {
            assert_eq!(time_text(time(text).unwrap()), text);
        }
        assert!(time("1.99999999999999999999999s").is_err());
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("1024", 1_024),
            ("10KB", 10_000),
            ("10KiB", 10_240),
            ("10MB", 10_000_000),
            ("10MiB", 10_485_760),
            ("1GiB", 1 << 30),
        ] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in ["", "MB", "10mb", "10 megabytes", "-1", "1.5MB", "99999999999999999999", "18446744073709551615GB"]
        {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn addresses() {
        assert_eq!(socket("127.0.0.1:80"), Ok(SocketAddr::from(([127, 0, 0, 1], 80))));
        assert_eq!(socket("localhost:80"), Ok(SocketAddr::from(([127, 0, 0, 1], 80))));
        assert!(socket("[::1]:80").is_ok());
        for (text, hint) in [
            ("8080", "127.0.0.1:8080"),
            (":8080", "0.0.0.0:8080"),
            ("*:8080", "0.0.0.0:8080"),
            ("::1", "[::1]:8080"),
            ("127.0.0.1", "127.0.0.1:8080"),
            ("127.0.0.1:99999", "from 0 to 65535"),
            ("example.com:80", "IP address"),
            ("x", "IP address"),
        ] {
            assert!(socket(text).unwrap_err().1.contains(hint), "{text}");
        }
    }

    #[test]
    fn hosts() {
        for text in ["a", "a.b", "127.0.0.1", "my_service-1.local"] {
            assert!(is_host(text), "{text}");
        }
        for text in ["", ".", "a..b", "a b", "ä.de", "a/b", "[::1]", "a."] {
            assert!(!is_host(text), "{text}");
        }
    }
}
