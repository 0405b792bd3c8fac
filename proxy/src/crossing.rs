//! A request from a page of another origin: what its answer tells the browser, whatever that answer is (aws-features §8).

use codec::head::{Name, RequestHead};
use policy::cors::{self, Asked, Cors};

/// What is told about origins with the answer of one request.
#[derive(Default)]
pub struct Crossing {
    /// Whether the API has a CORS configuration: what backends and mappings say of origins is dropped then (CO-03).
    pub is_ruled: bool,
    /// Whether the request asks if another one may be sent.
    pub is_preflight: bool,
    /// Complete lines, CRLF included.
    pub lines: Vec<u8>,
}

impl Crossing {
    /// For the next request; what was grown is kept.
    pub fn clear(&mut self) {
        self.is_ruled = false;
        self.is_preflight = false;
        self.lines.clear();
    }

    /// Decides what is told; `cors` is the API's.
    pub fn decide(&mut self, cors: &Cors, head: &RequestHead, head_bytes: &[u8]) {
        self.is_ruled = true;
        let (origin, asked) = cors::asked(head, head_bytes);
        self.is_preflight = asked != Asked::Actual;
        cors.write(origin, asked, &mut self.lines);
    }

    /// Whether a field of an answer gives way to what is configured.
    pub fn replaces(&self, name: Name) -> bool {
        self.is_ruled
            && matches!(
                name,
                Name::AccessControlAllowOrigin
                    | Name::AccessControlAllowCredentials
                    | Name::AccessControlAllowHeaders
                    | Name::AccessControlAllowMethods
                    | Name::AccessControlExposeHeaders
                    | Name::AccessControlMaxAge
            )
    }
}

#[cfg(test)]
mod tests {
    use codec::head::HeadLimits;
    use codec::http1::parse::parse_request;
    use policy::cors::Spec;

    use super::*;

    fn decided(request: &str) -> Crossing {
        let spec = Spec { allow_origins: vec!["https://a.example".into()], ..Spec::default() };
        let bytes = format!("{request}\r\n\r\n").into_bytes();
        let mut head = RequestHead::new();
        parse_request(&bytes, &mut head, &HeadLimits::REQUEST).unwrap();
        let mut crossing = Crossing::default();
        crossing.decide(&Cors::compile(spec).unwrap(), &head, &bytes);
        crossing
    }

    #[test]
    fn a_preflight_has_all_its_parts() {
        let all = "OPTIONS / HTTP/1.1\r\nHost: h\r\nOrigin: https://a.example\r\nAccess-Control-Request-Method: PUT";
        assert!(decided(all).is_preflight);
        for other in [
            all.replace("OPTIONS", "GET"),
            all.replace("Origin", "X-Origin"),
            all.replace("-Request-Method", "-Request-Headers"),
            all.replace("Origin:", "Origin: https://a.example\r\nOrigin:"),
        ] {
            assert!(!decided(&other).is_preflight, "{other}");
        }
    }

    #[test]
    fn two_origins_are_none() {
        let one = "GET / HTTP/1.1\r\nHost: h\r\nOrigin: https://a.example";
        assert!(decided(one).lines.len() > b"Vary: Origin\r\n".len());
        assert_eq!(decided(&format!("{one}\r\nOrigin: https://a.example")).lines, b"Vary: Origin\r\n");
        assert_eq!(decided("GET / HTTP/1.1\r\nHost: h").lines, b"Vary: Origin\r\n");
        assert!(
            decided(one).replaces(Name::AccessControlMaxAge)
                && !Crossing::default().replaces(Name::AccessControlMaxAge)
        );
    }
}
