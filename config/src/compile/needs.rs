//! What a method needs that this version does not do. Such a method is kept and reported, and answers 500: nothing that restricts
//! access, and nothing that changes a message, is ever passed over in silence.

use policy::transform::constant::is_constant_template;
use router::Kind;

use crate::definition::{
    ConnectionType, Definition, Integration, IntegrationType, Location, Method, Passthrough, Validator,
};
use crate::diagnostic::{Diagnostics, Place};

/// Whether something stands in gateway.yaml itself: there a fault is an error, for nobody else's tool wrote it.
pub fn is_native(place: Place) -> bool {
    place.source == 0 && place.line > 0
}

/// Something that is missing.
pub struct Lack {
    /// Where the method asks for it.
    pub place: Place,
    /// `Lambda integrations are not available in this version`
    pub what: String,
    /// What to do meanwhile.
    pub hint: &'static str,
}

/// What all methods of a definition need.
pub struct Needs {
    all: Option<&'static str>,
}

const PROGRAMS: &str = "templates with references or directives are";
const LATER_API: &str = "it is kept; a version that has this will do it";
pub const LATER: &str = "the method is kept; it will be served by a version that has this";

impl Needs {
    /// Looks at the definition as a whole.
    pub fn of(definition: &Definition) -> Self {
        let all = if definition.endpoint.types.iter().any(|kind| kind.eq_ignore_ascii_case("PRIVATE")) {
            Some("private endpoints are")
        } else {
            None
        };
        Self { all }
    }

    /// What an API asks for that is not done, and changes neither who may call nor what is answered in earnest.
    pub fn warn_of_the_rest(definition: &Definition, faults: &mut Diagnostics) {
        if definition.minimum_compression_size.is_some() {
            let source = definition.methods.first().map(|method| method.place.source).unwrap_or_default();
            let what = "compression is not available in this version: answers pass as the backend sends them";
            faults.warning(Place { source, ..Place::default() }, what, LATER_API);
        }
    }

    /// The first thing that a method lacks.
    pub fn lack(&self, definition: &Definition, method: &Method) -> Option<Lack> {
        let lack = |place: Place, what: &str| {
            Some(Lack { place, what: format!("{what} not available in this version"), hint: LATER })
        };
        let place = method.integration.as_ref().map_or(*method.place, |integration| *integration.place);
        if let Some(all) = self.all {
            return lack(*method.place, all);
        }
        if validates(definition, method) {
            return lack(*method.place, "request validators are");
        }
        let Some(integration) = &method.integration else {
            let hint = "add x-amazon-apigateway-integration: API Gateway would not deploy it either (ST-03)";
            return Some(Lack { place: *method.place, what: "it has no integration".to_owned(), hint });
        };
        of_integration(definition.kind, integration).and_then(|what| lack(place, what))
    }
}

/// Whether the method's validator has anything to look at.
fn validates(definition: &Definition, method: &Method) -> bool {
    let named = method.validator.as_ref().or(definition.validator.as_ref());
    let Some(name) = named.filter(|_| definition.kind == Kind::Rest) else { return false };
    // One that nobody has defined might look at everything.
    let unknown = Validator { parameters: true, body: true };
    let known = definition.validators.iter().find(|(known, _)| known == name);
    let validator = known.map_or(&unknown, |(_, validator)| validator);
    let required = |location: Location| matches!(location, Location::Header | Location::Query);
    let parameters = method.parameters.iter().any(|parameter| parameter.required && required(parameter.location));
    (validator.parameters && parameters) || (validator.body && !method.request_models.is_empty())
}

fn of_integration(kind: Kind, integration: &Integration) -> Option<&'static str> {
    if integration.mock.is_some() {
        return None;
    }
    let uri = integration.uri.as_deref().unwrap_or_default();
    match integration.kind {
        IntegrationType::AwsProxy if integration.subtype.is_some() => return Some("AWS service integrations are"),
        IntegrationType::AwsProxy => return Some("Lambda integrations are"),
        IntegrationType::Aws if uri.contains(":lambda:") => return Some("Lambda integrations are"),
        IntegrationType::Aws => return Some("AWS service integrations are"),
        IntegrationType::Mock if kind == Kind::Http => return Some("mock integrations of HTTP APIs are"),
        IntegrationType::Mock | IntegrationType::Http | IntegrationType::HttpProxy => {}
    }
    if integration.connection_type == Some(ConnectionType::VpcLink) {
        return Some("VPC links are");
    }
    if integration.kind == IntegrationType::HttpProxy {
        return None;
    }
    if integration.content_handling.is_some()
        || integration.responses.iter().any(|response| response.content_handling.is_some())
    {
        return Some("content handling is");
    }
    let mut templates = integration.responses.iter().flat_map(|response| &response.templates);
    if !templates.all(|(_, text)| is_constant_template(text)) {
        return Some(PROGRAMS);
    }
    match integration.kind {
        // Its request template says a status, and nothing is sent.
        IntegrationType::Mock => {
            let constant = integration.request_templates.iter().all(|(_, text)| is_constant_template(text));
            (!constant).then_some(PROGRAMS)
        }
        _ if integration.passthrough == Some(Passthrough::Never) => Some("passthroughBehavior NEVER is"),
        _ => (!integration.request_templates.is_empty()).then_some("request templates are"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// What `check` says of an API whose OpenAPI document has these lines at its top level, and this method.
    fn said(root: &str, method: &str) -> String {
        let folder = std::env::temp_dir().join(format!("tollgate-needs-{}-{:p}", std::process::id(), &root));
        std::fs::create_dir_all(&folder).unwrap();
        let document = format!(
            "openapi: 3.0.1\ninfo: {{title: t, version: '1'}}\n{root}\npaths:\n  /x:\n    get:\n      {method}\n"
        );
        std::fs::write(folder.join("x.yaml"), document).unwrap();
        let text = "{gateway: {listen: 127.0.0.1:1}, apis: {a: {kind: rest, openapi: x.yaml, stages: {s: {}}}}}";
        let loaded = crate::load_text("gateway.yaml", text, Path::new(&folder));
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(loaded.snapshot.is_some(), "{}", loaded.diagnostics.render(false));
        let said: Vec<&str> = loaded.diagnostics.list.iter().map(|fault| &*fault.what).collect();
        said.join("\n")
    }

    const PROXY: &str = "x-amazon-apigateway-integration: {type: http_proxy, httpMethod: GET, uri: 'http://b.test/'}";

    #[test]
    fn a_validator_that_nobody_has_defined_looks_at_everything() {
        let named =
            |parameters: &str| format!("x-amazon-apigateway-request-validator: ${{V}}\n      {parameters}{PROXY}");
        let required = "parameters: [{in: query, name: q, required: true}]\n      ";
        assert!(said("", &named(required)).contains("`GET /x` answers 500: request validators are"));
        assert!(!said("", &named("")).contains("answers 500"), "there is nothing to look at");
    }

    #[test]
    fn what_is_not_done_is_said() {
        for (root, method, says) in [
            ("", PROXY, ""),
            (
                "servers: [{url: 'https://x', x-amazon-apigateway-endpoint-configuration: {types: [PRIVATE]}}]",
                PROXY,
                "`GET /x` answers 500: private endpoints are",
            ),
            ("x-amazon-apigateway-minimum-compression-size: 100", PROXY, "compression is not available"),
            ("", "summary: nobody answers", "`GET /x` answers 500: it has no integration"),
        ] {
            let said = said(root, method);
            assert_eq!(said.is_empty(), says.is_empty(), "{root} {method}: {said}");
            assert!(said.contains(says), "{root} {method}: {said}");
        }
    }
}
