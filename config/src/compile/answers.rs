//! What an API says beside the answers of its integrations: to browsers of other origins (CO rows), in the place of refusals (GR rows).
//!
//! What cannot be used is an error in gateway.yaml. In a document that other tools wrote it is a warning, and that entry is left out:
//! then API Gateway's own words stand. Only the origin `*` with credentials is an error everywhere, as in AWS (CO-05).

use std::collections::BTreeMap;

use policy::cors::{self, Cors, Part};
use policy::gateway_response::{self as response, At, GatewayResponses};
use policy::gateway_type::GatewayType;

use crate::compile::needs::is_native;
use crate::definition::{self, Definition, GatewayResponse, Word};
use crate::diagnostic::{Diagnostics, Place};
use crate::model::answers::{CorsSpec, GatewayResponseSpec};
use crate::model::api::ApiSpec;
use crate::snapshot::{Answers, Line};

/// Adds what gateway.yaml says of an API: it takes the place of what an imported document says.
pub fn add(spec: &ApiSpec, definition: &mut Definition) {
    if let Some(cors) = &spec.cors {
        definition.cors = Some(native_cors(cors));
    }
    for GatewayResponseSpec { kind, status, parameters, templates } in &spec.gateway_responses {
        let pairs = |list: &[(crate::source::node::Text, crate::source::node::Text)]| -> Vec<(Word, Word)> {
            list.iter().map(|(name, text)| (name.into(), text.into())).collect()
        };
        let written = GatewayResponse {
            status: status.as_ref().map(Word::from),
            parameters: pairs(parameters),
            templates: pairs(templates),
        };
        definition.gateway_responses.retain(|(known, _)| **known != *kind.text);
        definition.gateway_responses.push((kind.into(), written));
    }
    if let Some(strict) = spec.strict_errors {
        definition.strict_errors = strict;
    }
}

fn native_cors(spec: &CorsSpec) -> definition::Cors {
    let CorsSpec { place, allow_origins, allow_methods, allow_headers, expose_headers, max_age, allow_credentials } =
        spec;
    let words = |list: &[crate::source::node::Text]| list.iter().map(Word::from).collect();
    definition::Cors {
        place: (*place).into(),
        allow_origins: words(allow_origins),
        allow_methods: words(allow_methods),
        allow_headers: words(allow_headers),
        expose_headers: words(expose_headers),
        max_age: *max_age,
        allow_credentials: *allow_credentials,
    }
}

/// Compiles both for one set of stage variables.
pub fn compile(definition: &Definition, variables: &BTreeMap<String, String>, faults: &mut Diagnostics) -> Answers {
    let (cors, cors_at) = match &definition.cors {
        Some(cors) => (compile_cors(cors, faults), Line::of(*cors.place)),
        None => (None, Line::default()),
    };
    let gateway_responses = compile_responses(definition, variables, faults);
    let lines = definition.gateway_responses.iter();
    let lines = lines.filter_map(|(name, _)| Some((GatewayType::of(name)?, Line::of(name.place()))));
    Answers { cors, cors_at, gateway_responses, lines: lines.collect(), strict_errors: definition.strict_errors }
}

/// The places that faults may name, and that people ask for: a program is kept as long as they are the same.
pub fn places(definition: &Definition) -> impl Iterator<Item = Place> {
    let cors = definition.cors.iter().flat_map(|cors| {
        let lists = [&cors.allow_origins, &cors.allow_methods, &cors.allow_headers, &cors.expose_headers];
        std::iter::once(*cors.place).chain(lists.into_iter().flatten().map(Word::place))
    });
    let responses =
        definition.gateway_responses.iter().flat_map(|(name, GatewayResponse { status, parameters, templates })| {
            let texts = parameters.iter().chain(templates).flat_map(|(name, text)| [name.place(), text.place()]);
            std::iter::once(name.place()).chain(status.as_ref().map(Word::place)).chain(texts)
        });
    cors.chain(responses)
}

fn compile_cors(written: &definition::Cors, faults: &mut Diagnostics) -> Option<Cors> {
    let mut lists = [
        (Part::Origins, written.allow_origins.iter().collect::<Vec<_>>()),
        (Part::Methods, written.allow_methods.iter().collect()),
        (Part::Headers, written.allow_headers.iter().collect()),
        (Part::Exposed, written.expose_headers.iter().collect()),
    ];
    let spec = |lists: &[(Part, Vec<&Word>); 4], max_age| {
        let [origins, methods, headers, exposed] =
            [0, 1, 2, 3].map(|list: usize| lists[list].1.iter().map(|word| word.as_str().into()).collect());
        cors::Spec {
            allow_origins: origins,
            allow_methods: methods,
            allow_headers: headers,
            expose_headers: exposed,
            max_age,
            allow_credentials: written.allow_credentials == Some(true),
        }
    };
    warn_of_stars(written, faults);
    let found = match Cors::compile(spec(&lists, written.max_age)) {
        Ok(cors) => return Some(cors),
        Err(found) => found,
    };
    for cors::Fault { part, entry, what } in &found {
        let list = lists.iter().find(|(known, _)| known == part);
        let word = list.and_then(|(_, list)| list.get(*entry));
        let place = word.map_or(*written.place, |word| word.place());
        let text = word.map_or(String::new(), |word| format!(": `{word}`"));
        report((place, format!("{}{text}", what.message()), what.hint()), *what == cors::Problem::Credentials, faults);
    }
    // What is left over.
    for (part, list) in &mut lists {
        let mut entry = 0..;
        let is_faulty = |at| found.iter().any(|fault| fault.part == *part && fault.entry <= at && at <= fault.entry);
        list.retain(|_| !is_faulty(entry.next().unwrap_or_default()));
        list.truncate(policy::limits::CORS_ENTRIES_MAX);
    }
    let max_age = written.max_age.filter(|_| !found.iter().any(|fault| fault.part == Part::MaxAge));
    Cors::compile(spec(&lists, max_age)).ok()
}

/// With credentials a browser takes a star for a name: what cannot be told back means nothing.
fn warn_of_stars(written: &definition::Cors, faults: &mut Diagnostics) {
    let star = written.expose_headers.iter().find(|name| name.as_str() == "*");
    if let Some(star) = star.filter(|_| written.allow_credentials == Some(true)) {
        let what = "with credentials, browsers take `*` for the name of a header: none is exposed";
        faults.warning(star.place(), what, "name the headers that a page may read");
    }
}

fn compile_responses(
    definition: &Definition,
    variables: &BTreeMap<String, String>,
    faults: &mut Diagnostics,
) -> GatewayResponses {
    let known = definition.gateway_responses.iter().filter_map(|(name, of)| Some((GatewayType::of(name)?, name, of)));
    let known: Vec<(GatewayType, &Word, &GatewayResponse)> = known.collect();
    let boxed = |list: &[(Word, Word)]| list.iter().map(|(a, b)| (a.as_str().into(), b.as_str().into())).collect();
    let specs = known.iter().map(|(kind, _, of)| response::Spec {
        kind: *kind,
        status: of.status.as_ref().map(|status| status.as_str().into()),
        parameters: boxed(&of.parameters),
        templates: boxed(&of.templates),
    });
    let (compiled, found) = GatewayResponses::compile(specs.collect(), variables);
    for response::Fault { spec, at, offset, what } in found {
        let (_, name, of) = known[spec];
        let word = match at {
            At::Type => Some(name),
            At::Status => of.status.as_ref(),
            At::Target(entry) => of.parameters.get(entry).map(|(target, _)| target),
            At::Expression(entry) => of.parameters.get(entry).map(|(_, expression)| expression),
            At::Media(entry) => of.templates.get(entry).map(|(media, _)| media),
            At::Template(entry) => of.templates.get(entry).map(|(_, text)| text),
        };
        let word_or_name = word.unwrap_or(name);
        let place = if offset == 0 { word_or_name.place() } else { word_or_name.0.place_at(offset) };
        let text = match at {
            At::Template(_) => String::new(),
            _ => word.map_or(String::new(), |word| format!(": `{word}`")),
        };
        report((place, format!("gateway response {name}: {}{text}", what.message()), what.hint()), false, faults);
    }
    compiled
}

fn report((place, what, hint): (Place, String, &str), always: bool, faults: &mut Diagnostics) {
    if always || is_native(place) {
        faults.error_hint(place, what, hint);
    } else {
        faults.warning(place, format!("{what}; it is left out"), hint);
    }
}
