//! Gateway responses: what an API says in the place of API Gateway's own words when it refuses (aws-features §7: GR-01 to GR-05).
//!
//! An API changes types by name: status, header fields, and bodies by media type. What it does not name is what `DEFAULT_4XX` or
//! `DEFAULT_5XX` says for its class, if one of them is named; else it is API Gateway's. A type that is named takes nothing from the
//! defaults (GR-04). Offered to APIs of every kind; AWS has it for REST and in parts for WebSocket APIs.
//!
//! The body is chosen by the request's `Accept`: the type with the highest quality, then the one that is named first; JSON's where
//! nothing fits (GR-02; the order is assumed).

use std::collections::BTreeMap;
use std::fmt;

use codec::head::Name;
use codec::http1::{is_token, write};
use serde::{Deserialize, Serialize, Serializer};

use crate::facts::Facts;
use crate::gateway_type::GatewayType;
use crate::limits::{ACCEPT_RANGES_MAX, MAPPED_LINES_BYTES_MAX, MAPPINGS_MAX, REFUSAL_TEMPLATES_MAX};
use crate::transform::refusal_text::{RefusalText, Shape, TextFault, TextProblem};

pub use crate::transform::refusal_text::Said;

/// One type as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Which.
    pub kind: GatewayType,
    /// `None`: the type's own.
    pub status: Option<Box<str>>,
    /// GR-03: target and expression.
    pub parameters: Box<[(Box<str>, Box<str>)]>,
    /// GR-02: media type and template.
    pub templates: Box<[(Box<str>, Box<str>)]>,
}

/// Where in a [`Spec`] something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// The type's name.
    Type,
    /// The status.
    Status,
    /// The target of this parameter.
    Target(usize),
    /// Its expression.
    Expression(usize),
    /// The media type of this template.
    Media(usize),
    /// Its text.
    Template(usize),
}

/// What cannot be used. It is left out of what is compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Index of the spec.
    pub spec: usize,
    /// Where in it.
    pub at: At,
    /// Byte in that text.
    pub offset: usize,
    /// What is wrong there.
    pub what: Problem,
}

/// What is wrong with a gateway response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// This type cannot be changed (GR-05).
    Fixed,
    /// This type was there before.
    Duplicate,
    /// Not a number from 200 to 599.
    Status,
    /// Not `gatewayresponse.header.NAME`.
    Target,
    /// A header that is the gateway's to write.
    Reserved,
    /// Not a media type.
    Media,
    /// More parameters than [`MAPPINGS_MAX`], or more templates than [`REFUSAL_TEMPLATES_MAX`].
    TooMany,
    /// A text.
    Text(TextProblem),
}

impl Problem {
    /// One line for the operator.
    pub const fn message(self) -> &'static str {
        match self {
            Self::Fixed => "this gateway response cannot be changed",
            Self::Duplicate => "this is written twice",
            Self::Status => "the status of a gateway response is a number from 200 to 599",
            Self::Target => "this is no header of a gateway response",
            Self::Reserved => "this header is the gateway's to write",
            Self::Media => "this is no media type",
            Self::TooMany => "a gateway response has too many parameters or templates",
            Self::Text(what) => what.message(),
        }
    }

    /// What to do about it.
    pub const fn hint(self) -> &'static str {
        match self {
            Self::Fixed => "remove it: API Gateway answers 413 in its own words, too (GR-05)",
            Self::Duplicate => "keep one of them; the case of a header's name makes no difference",
            Self::Status => "write a number such as 403",
            Self::Target => "write gatewayresponse.header.name",
            Self::Reserved => "remove it: framing, date and the ids of a request are never an operator's",
            Self::Media => "write one such as application/json",
            Self::TooMany => "128 parameters and 32 templates are allowed",
            Self::Text(what) => what.hint(),
        }
    }
}

/// What an API changes, by type.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct GatewayResponses {
    list: Box<[GatewayResponse]>,
    /// By type, the place in the list; 255 is none. Defaults are put in where a type is not named.
    chosen: [u8; GatewayType::COUNT],
    written: Written,
}

const NONE: u8 = u8::MAX;
const _: () = assert!(GatewayType::COUNT < NONE as usize, "a place fits in a byte");

/// One changed type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayResponse {
    /// The type that was named: the refusal's own, or its default.
    pub kind: GatewayType,
    /// `None`: the refusal's own.
    pub status: Option<u16>,
    fields: Box<[Field]>,
    bodies: Box<[Body]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Field {
    known: Name,
    name: Box<str>,
    value: RefusalText,
}

/// A body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// `application/json`, as written.
    pub media: Box<str>,
    text: RefusalText,
}

/// What it was compiled from and against: what a file keeps.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Written {
    specs: Vec<Spec>,
    /// Those alone that are named.
    variables: BTreeMap<String, String>,
}

impl Default for GatewayResponses {
    fn default() -> Self {
        Self { list: Box::default(), chosen: [NONE; GatewayType::COUNT], written: Written::default() }
    }
}

impl GatewayResponses {
    /// Compiles what is written; `variables` are the stage's. What cannot be used is left out, and a fault each.
    pub fn compile(specs: Vec<Spec>, variables: &BTreeMap<String, String>) -> (Self, Vec<Fault>) {
        let mut faults = Vec::new();
        let mut list: Vec<GatewayResponse> = Vec::new();
        for (spec, written) in specs.iter().enumerate() {
            let what = match written.kind {
                kind if !kind.is_customisable() => Problem::Fixed,
                kind if list.iter().any(|known| known.kind == kind) => Problem::Duplicate,
                _ => {
                    list.push(GatewayResponse::compile((spec, written), variables, &mut faults));
                    continue;
                }
            };
            faults.push(Fault { spec, at: At::Type, offset: 0, what });
        }
        let place = |kind| list.iter().position(|response| response.kind == kind);
        let chosen = GatewayType::ALL.map(|kind| {
            let found = place(kind).or_else(|| place(kind.default())).filter(|_| kind.is_customisable());
            found.map_or(NONE, |place| place as u8)
        });
        let texts = specs.iter().flat_map(|spec| spec.parameters.iter().chain(&spec.templates));
        let texts: Vec<&str> = texts.map(|(_, text)| &**text).filter(|text| text.contains("stageVariables")).collect();
        let is_named = |name: &str| texts.iter().any(|text| text.contains(&format!("stageVariables.{name}")));
        let variables = variables.iter().filter(|(name, _)| is_named(name));
        let variables = variables.map(|(name, value)| (name.clone(), value.clone())).collect();
        let is_used = |place: usize| !faults.iter().any(|fault: &Fault| fault.spec == place && fault.at == At::Type);
        let used = specs.into_iter().enumerate().filter(|(place, _)| is_used(*place)).map(|(_, spec)| spec).collect();
        (Self { list: list.into(), chosen, written: Written { specs: used, variables } }, faults)
    }

    /// What is said in the place of a refusal of this type; `None`: its own words.
    pub fn choose(&self, kind: GatewayType) -> Option<&GatewayResponse> {
        self.list.get(usize::from(self.chosen[kind as usize]))
    }

    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

impl GatewayResponse {
    fn compile((spec, written): (usize, &Spec), variables: &BTreeMap<String, String>, faults: &mut Vec<Fault>) -> Self {
        let mut fault = |at, offset, what| faults.push(Fault { spec, at, offset, what });
        let status = written.status.as_deref().and_then(|text| {
            let status = status(text);
            if status.is_none() {
                fault(At::Status, 0, Problem::Status);
            }
            status
        });
        if written.parameters.len() > MAPPINGS_MAX || written.templates.len() > REFUSAL_TEMPLATES_MAX {
            fault(At::Status, 0, Problem::TooMany);
        }
        let of_text = |fault: TextFault| (fault.offset, Problem::Text(fault.what));
        let mut fields: Vec<Field> = Vec::new();
        for (place, (target, expression)) in written.parameters.iter().enumerate().take(MAPPINGS_MAX) {
            let value = RefusalText::expression(expression, variables).map_err(of_text);
            let value = value.map_err(|(offset, what)| fault(At::Expression(place), offset, what));
            match target_name(target) {
                Ok((known, name)) if !fields.iter().any(|field| field.is(known, name.as_bytes())) => {
                    fields.extend(value.ok().map(|value| Field { known, name: name.into(), value }));
                }
                Ok(_) => fault(At::Target(place), 0, Problem::Duplicate),
                Err(what) => fault(At::Target(place), 0, what),
            }
        }
        let mut bodies: Vec<Body> = Vec::new();
        for (place, (media, text)) in written.templates.iter().enumerate().take(REFUSAL_TEMPLATES_MAX) {
            let media = media.trim();
            if !is_media_type(media) {
                fault(At::Media(place), 0, Problem::Media);
            } else if bodies.iter().any(|body| body.media.eq_ignore_ascii_case(media)) {
                fault(At::Media(place), 0, Problem::Duplicate);
            } else {
                match RefusalText::template(text, variables, Shape::of_media(media)).map_err(of_text) {
                    Ok(text) => bodies.push(Body { media: media.into(), text }),
                    Err((offset, what)) => fault(At::Template(place), offset, what),
                }
            }
        }
        Self { kind: written.kind, status, fields: fields.into(), bodies: bodies.into() }
    }

    /// Whether it writes a field of this name; `known` is `Name::of(name)`.
    pub fn replaces(&self, known: Name, name: &[u8]) -> bool {
        self.fields.iter().any(|field| field.is(known, name))
    }

    /// Writes its header fields: complete lines, CRLF included. One whose value is not there is left out; so are those behind more
    /// bytes than a client takes.
    pub fn write_fields(&self, facts: &Facts<'_>, said: &Said<'_>, value: &mut Vec<u8>, out: &mut Vec<u8>) {
        let start = out.len();
        for field in &self.fields {
            value.clear();
            if field.value.write(facts, said, value)
                && out.len() - start + field.name.len() + value.len() <= MAPPED_LINES_BYTES_MAX
            {
                write::field(out, field.name.as_bytes(), value.trim_ascii());
            }
        }
    }

    /// The body for a client whose `Accept` fields these are; `None`: no template is written, and the refusal's own stands.
    pub fn body<'a>(&self, accept: impl Iterator<Item = &'a [u8]>) -> Option<&Body> {
        let mut ranked = [Rank::default(); REFUSAL_TEMPLATES_MAX];
        let ranges = accept.flat_map(|value| value.split(|byte| *byte == b',')).take(ACCEPT_RANGES_MAX);
        for (order, range) in ranges.enumerate() {
            let (wanted, quality) = range_of(range);
            for (body, rank) in self.bodies.iter().zip(&mut ranked) {
                let exactness = exactness(wanted, body.media.as_bytes());
                if exactness > rank.exactness {
                    *rank = Rank { exactness, quality, order };
                }
            }
        }
        let by_accept = self.bodies.iter().zip(&ranked).enumerate().filter(|(_, (_, rank))| rank.quality > 0);
        let best = by_accept.max_by_key(|(place, (body, rank))| {
            let (order, place) = (std::cmp::Reverse(rank.order), std::cmp::Reverse(*place));
            (rank.quality, order, is_json(&body.media), place)
        });
        let json = || self.bodies.iter().find(|body| is_json(&body.media));
        best.map(|(_, (body, _))| body).or_else(json).or(self.bodies.first())
    }
}

impl Body {
    /// Writes it.
    pub fn write(&self, facts: &Facts<'_>, said: &Said<'_>, out: &mut Vec<u8>) {
        self.text.write(facts, said, out);
    }
}

impl Field {
    fn is(&self, known: Name, name: &[u8]) -> bool {
        self.known == known && (!known.as_str().is_empty() || self.name.as_bytes().eq_ignore_ascii_case(name))
    }
}

/// How a client likes a media type.
#[derive(Debug, Clone, Copy, Default)]
struct Rank {
    /// 3: by its whole name, 2: by its type, 1: as anything; 0: not named.
    exactness: u8,
    /// In thousandths.
    quality: u16,
    /// Which of its ranges it was.
    order: usize,
}

/// A media range and its quality in thousandths (RFC 9110 §12.4.2); what cannot be read is 1.
fn range_of(range: &[u8]) -> (&[u8], u16) {
    let mut parts = range.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let media = parts.next().unwrap_or_default();
    let quality = parts.find_map(|part| match part {
        [b'q' | b'Q', b'=', value @ ..] => Some(quality(value)),
        _ => None,
    });
    (media, quality.unwrap_or(1_000))
}

fn quality(value: &[u8]) -> u16 {
    let (whole, fraction) = match value {
        [whole @ (b'0' | b'1')] => (whole, &b""[..]),
        [whole @ (b'0' | b'1'), b'.', fraction @ ..] if fraction.len() <= 3 => (whole, fraction),
        _ => return 1_000,
    };
    if !fraction.iter().all(u8::is_ascii_digit) {
        return 1_000;
    }
    let digit = |place: usize| fraction.get(place).map_or(0, |digit| u16::from(digit - b'0'));
    (u16::from(whole - b'0') * 1_000 + digit(0) * 100 + digit(1) * 10 + digit(2)).min(1_000)
}

fn exactness(wanted: &[u8], media: &[u8]) -> u8 {
    let media = media.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    match wanted {
        b"*/*" => 1,
        _ if wanted.eq_ignore_ascii_case(media) => 3,
        [of @ .., b'*']
            if of.ends_with(b"/") && media.len() > of.len() && media[..of.len()].eq_ignore_ascii_case(of) =>
        {
            2
        }
        _ => 0,
    }
}

fn is_json(media: &str) -> bool {
    Shape::of_media(media) == Shape::Json
}

/// `type/subtype`, parameters behind it or not.
fn is_media_type(text: &str) -> bool {
    let (media, parameters) = text.split_once(';').unwrap_or((text, ""));
    let clean = write::value_is_clean(parameters.as_bytes());
    clean
        && media.trim().split_once('/').is_some_and(|(kind, subtype)| {
            is_token(kind.as_bytes()) && is_token(subtype.as_bytes()) && !media.contains('*')
        })
}

fn status(text: &str) -> Option<u16> {
    let digits = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|status| digits && (200..=599).contains(status))
}

/// The name behind `gatewayresponse.header.`
fn target_name(target: &str) -> Result<(Name, &str), Problem> {
    let name = target.trim().strip_prefix("gatewayresponse.header.").ok_or(Problem::Target)?;
    if !is_token(name.as_bytes()) {
        return Err(Problem::Target);
    }
    let known = Name::of(name.as_bytes());
    match known {
        // Framing, what concerns one connection, and what every answer bears.
        Name::Connection
        | Name::ContentLength
        | Name::ContentEncoding
        | Name::TransferEncoding
        | Name::Trailer
        | Name::Te
        | Name::Upgrade
        | Name::KeepAlive
        | Name::ProxyConnection
        | Name::Date
        | Name::XAmznRequestid
        | Name::XAmzApigwId
        | Name::ApigwRequestid => Err(Problem::Reserved),
        _ => Ok((known, name)),
    }
}

/// The first of the faults that a file has.
#[derive(Debug)]
pub struct Unusable(Fault);

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gateway response {}: {}", self.0.spec, self.0.what.message())
    }
}

impl TryFrom<Written> for GatewayResponses {
    type Error = Unusable;

    /// What was left out of a document with faults is left out again.
    fn try_from(Written { specs, variables }: Written) -> Result<Self, Unusable> {
        let (made, faults) = Self::compile(specs, &variables);
        match faults.iter().find(|fault| fault.at == At::Type) {
            Some(fault) => Err(Unusable(*fault)),
            None => Ok(made),
        }
    }
}

impl Serialize for GatewayResponses {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.written.serialize(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Scene;

    type Pairs<'a> = &'a [(&'a str, &'a str)];

    fn spec(kind: GatewayType, status: &str, parameters: Pairs<'_>, templates: Pairs<'_>) -> Spec {
        let pairs = |list: Pairs<'_>| list.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
        Spec {
            kind,
            status: (!status.is_empty()).then(|| status.into()),
            parameters: pairs(parameters),
            templates: pairs(templates),
        }
    }

    fn compile(specs: Vec<Spec>) -> GatewayResponses {
        let (made, faults) = GatewayResponses::compile(specs, &BTreeMap::new());
        assert_eq!(faults, []);
        made
    }

    #[test]
    fn gr_04_types_that_are_not_named_have_the_default_of_their_class() {
        let responses = compile(vec![
            spec(GatewayType::Default4xx, "418", &[], &[]),
            spec(GatewayType::Throttled, "", &[("gatewayresponse.header.a", "'b'")], &[]),
        ]);
        for kind in GatewayType::ALL {
            let expected = match kind {
                GatewayType::Throttled => Some(GatewayType::Throttled),
                GatewayType::RequestTooLarge => None,
                _ if kind.default() == GatewayType::Default4xx => Some(GatewayType::Default4xx),
                _ => None,
            };
            assert_eq!(responses.choose(kind).map(|found| found.kind), expected, "{}", kind.name());
        }
        // One that is named takes nothing from the default.
        assert_eq!(responses.choose(GatewayType::Throttled).unwrap().status, None);
        assert_eq!(responses.choose(GatewayType::Unauthorized).unwrap().status, Some(418));
        assert!(compile(Vec::new()).is_empty() && !responses.is_empty());
    }

    #[test]
    fn gr_03_fields_are_lines_and_take_the_place_of_others() {
        let parameters = [
            ("gatewayresponse.header.Access-Control-Allow-Origin", "'*'"),
            ("gatewayresponse.header.x-pet", "method.request.header.X-Pet"),
            ("gatewayresponse.header.x-none", "method.request.header.X-None"),
            ("gatewayresponse.header.Content-Type", "'text/plain'"),
        ];
        let responses = compile(vec![spec(GatewayType::Default5xx, "", &parameters, &[])]);
        let response = responses.choose(GatewayType::IntegrationFailure).unwrap();
        let scene = Scene::get("/x", "/x", "X-Pet: rex\r\n");
        let said = Said { message: None, kind: GatewayType::IntegrationFailure, validation: None };
        let mut out = Vec::new();
        response.write_fields(&scene.facts(), &said, &mut Vec::new(), &mut out);
        assert_eq!(out, b"Access-Control-Allow-Origin: *\r\nx-pet: rex\r\nContent-Type: text/plain\r\n");
        assert!(response.replaces(Name::ContentType, b"content-type"));
        assert!(response.replaces(Name::Other, b"X-PET") && !response.replaces(Name::Other, b"X-Other"));
        assert!(response.body([].into_iter()).is_none());
    }

    #[test]
    fn gr_02_the_body_is_chosen_by_accept() {
        let templates = [("text/html", "<p>"), ("application/json", "{}"), ("application/xml; charset=utf-8", "<x/>")];
        let responses = compile(vec![spec(GatewayType::Default4xx, "", &[], &templates)]);
        let response = responses.choose(GatewayType::Throttled).unwrap();
        for (accept, media) in [
            ("", "application/json"),
            ("*/*", "application/json"),
            ("image/png", "application/json"),
            ("text/html", "text/html"),
            ("TEXT/HTML;charset=utf-8", "text/html"),
            ("application/xml, text/html", "application/xml; charset=utf-8"),
            ("application/xml;q=0.8, text/html;q=0.9", "text/html"),
            ("text/html;q=0, */*", "application/json"),
            ("text/*", "text/html"),
            ("application/*", "application/json"),
            ("image/webp, application/xml;q=0.9, */*;q=0.8", "application/xml; charset=utf-8"),
            ("text/html;q=x", "text/html"),
            ("text/html;q=0.0001, application/xml;q=0.5", "text/html"),
        ] {
            let fields = (!accept.is_empty()).then_some(accept.as_bytes());
            assert_eq!(&*response.body(fields.into_iter()).unwrap().media, media, "{accept}");
        }
        let both = response.body([&b"text/html;q=0.1"[..], b"application/xml"].into_iter());
        assert_eq!(&*both.unwrap().media, "application/xml; charset=utf-8");
        let markup = [("text/html", "<p>"), ("text/plain", "p")];
        let responses = compile(vec![spec(GatewayType::Default4xx, "", &[], &markup)]);
        let response = responses.choose(GatewayType::Throttled).unwrap();
        assert_eq!(&*response.body([&b"image/png"[..]].into_iter()).unwrap().media, "text/html");
        let scene = Scene::get("/x", "/x", "");
        let said = Said { message: None, kind: GatewayType::Throttled, validation: None };
        let mut out = Vec::new();
        response.body([].into_iter()).unwrap().write(&scene.facts(), &said, &mut out);
        assert_eq!(out, b"<p>");
    }

    #[test]
    fn all_faults_are_found_and_left_out() {
        let parameters = [
            ("gatewayresponse.header.a", "'x'"),
            ("gatewayresponse.header.A", "'y'"),
            ("gatewayresponse.header.Content-Length", "'y'"),
            ("header.b", "'y'"),
            ("gatewayresponse.header.c", "y"),
            ("gatewayresponse.header.d e", "'y'"),
        ];
        let templates = [("json", ""), ("text/html", "a $context.x"), ("text/plain", "b"), ("TEXT/plain", "c")];
        let specs = vec![
            spec(GatewayType::RequestTooLarge, "", &[], &[]),
            spec(GatewayType::Throttled, "99", &parameters, &templates),
            spec(GatewayType::Throttled, "", &[], &[]),
        ];
        let (made, faults) = GatewayResponses::compile(specs, &BTreeMap::new());
        let fault = |spec, at, offset, what| Fault { spec, at, offset, what };
        assert_eq!(
            faults,
            [
                fault(0, At::Type, 0, Problem::Fixed),
                fault(1, At::Status, 0, Problem::Status),
                fault(1, At::Target(1), 0, Problem::Duplicate),
                fault(1, At::Target(2), 0, Problem::Reserved),
                fault(1, At::Target(3), 0, Problem::Target),
                fault(1, At::Expression(4), 0, Problem::Text(TextProblem::Expression)),
                fault(1, At::Target(5), 0, Problem::Target),
                fault(1, At::Media(0), 0, Problem::Media),
                fault(1, At::Template(1), 2, Problem::Text(TextProblem::UnknownContext)),
                fault(1, At::Media(3), 0, Problem::Duplicate),
                fault(2, At::Type, 0, Problem::Duplicate),
            ]
        );
        assert!(made.choose(GatewayType::RequestTooLarge).is_none());
        let response = made.choose(GatewayType::Throttled).unwrap();
        assert_eq!((response.status, response.fields.len(), response.bodies.len()), (None, 1, 1));
        for text in ["100", "600", "40", "0404", "4 4", "+44"] {
            assert_eq!(status(text), None, "{text}");
        }
    }

    #[test]
    fn stored_responses_are_the_same_or_refused() {
        let variables = BTreeMap::from([("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]);
        let text = [("text/plain", "$stageVariables.a")];
        let (made, _) = GatewayResponses::compile(vec![spec(GatewayType::Throttled, "420", &[], &text)], &variables);
        assert_eq!(made.written.variables.keys().collect::<Vec<_>>(), ["a"]);
        let stored = serde_json::to_string(&made).unwrap();
        assert_eq!(serde_json::from_str::<GatewayResponses>(&stored).unwrap(), made);
        assert!(serde_json::from_str::<GatewayResponses>(&stored.replace("Throttled", "RequestTooLarge")).is_err());
    }
}
