//! An operation becomes a method: what it asks of its callers, what it answers, and who answers it.

use router::Verb;

use super::document::Document;
use super::parameters::{self, Body, Read};
use super::{Source, extensions, field, integration, placeholder};
use crate::definition::{Authorization, Method, MethodResponse, ModelRef, Parameter, Word};
use crate::diagnostic::Place;
use crate::limits;
use crate::source::node::{Entry, Node};

/// The key of an operation, and what its path shares with it.
pub struct Key<'s, 'a> {
    /// `None`: ANY.
    pub verb: Option<Verb>,
    /// With the base path, if it counts.
    pub path: Word,
    /// Where the verb stands.
    pub place: Place,
    /// The parameters of the path item.
    pub shared: &'s [Parameter],
    /// The body among them (2.0).
    pub shared_body: Option<Body<'a>>,
}

/// Reads one operation.
pub fn read<'a>(key: Key<'_, 'a>, node: &'a Node, document: &mut Document<'a>, from: &mut Source<'a>) -> Method {
    let mut method = Method::new(key.verb, key.path, key.place);
    let entries = from.entries(node, "an operation");
    method.parameters.extend_from_slice(key.shared);
    let mut body = key.shared_body;
    let mut security = document.security;
    let mut auth = None;
    for Entry { key, value } in entries {
        if value.is_null() {
            continue;
        }
        match &*key.text {
            "operationId" => method.operation_id = from.text(value, "`operationId`"),
            "summary" => method.summary = from.string(value, "`summary`"),
            "description" => method.description = from.string(value, "`description`"),
            "deprecated" => method.deprecated = from.flag(value, "`deprecated`").unwrap_or(false),
            "tags" => {
                let tags = from.list(value, "`tags`").iter();
                method.tags = tags.filter_map(|tag| from.string(tag, "a tag")).collect();
            }
            "parameters" => {
                let (own, own_body) = divided(parameters::read(value, from));
                parameters::override_with(&mut method.parameters, own);
                body = own_body.or(body);
            }
            "requestBody" => request_body(value, &mut method, document, from),
            "responses" => {
                method.responses = responses(value, entries, document, from);
                drop_placeholders(&mut method);
            }
            "security" => security = Some(value),
            "x-amazon-apigateway-auth" => auth = extensions::auth(value, from),
            "x-amazon-apigateway-request-validator" => method.validator = extensions::request_validator(value, from),
            "x-amazon-apigateway-integration" => {
                method.integration = integration::integration(value, from.options.kind, from);
            }
            _ => {}
        }
    }
    let known = ["auth", "request-validator", "integration"];
    extensions::warn_of_strange(entries, &known, "at an operation", from);
    if let Some(body) = body {
        swagger_body(body, entries, &mut method, document, from);
    }
    let mut unheeded = document.unheeded;
    if let Some(security) = security {
        let demands = document.schemes.demands(security, from);
        method.authorization = demands.authorization;
        method.api_key_required = demands.api_key_required;
        unheeded = demands.unheeded;
    }
    match auth {
        // It restricts, and says not how: what `security` says restricts as well.
        Some(Authorization::Authorizer { .. }) if method.authorization != Authorization::None => {}
        Some(auth) => method.authorization = auth,
        None => method.unheeded = unheeded.unwrap_or_default().into(),
    }
    if method.parameters.len() > limits::PARAMETERS_MAX {
        let what = format!("a method has at most {} parameters", limits::PARAMETERS_MAX);
        from.error(method.place.0, what, "leave out what nobody sends");
        method.parameters.truncate(limits::PARAMETERS_MAX);
    }
    method
}

/// Parameters on one side, the body on the other. More parameters than a method may have are not looked through.
pub fn divided(list: Vec<Read<'_>>) -> (Vec<Parameter>, Option<Body<'_>>) {
    let mut found = Vec::new();
    let mut body = None;
    for read in list {
        match read {
            Read::Parameter(parameter) if found.len() <= limits::PARAMETERS_MAX => found.push(parameter),
            Read::Parameter(_) => {}
            Read::Body(read) => body = Some(read),
        }
    }
    (found, body)
}

/// OpenAPI 3: `requestBody`.
fn request_body<'a>(node: &'a Node, method: &mut Method, document: &mut Document<'a>, from: &mut Source<'a>) {
    let Some(node) = from.resolve(node) else { return };
    let entries = from.entries(node, "`requestBody`");
    method.body_required = field(entries, "required").and_then(|node| from.flag(node, "`required`")).unwrap_or(false);
    if let Some(content) = field(entries, "content") {
        method.request_models = models_of_content(content, document, from);
    }
}

/// Swagger 2.0: the parameter `in: body`, for each media type that is consumed.
fn swagger_body<'a>(
    body: Body<'a>,
    operation: &'a [Entry],
    method: &mut Method,
    document: &mut Document<'a>,
    from: &mut Source<'a>,
) {
    method.body_required = body.required;
    let model = body.schema.and_then(|schema| document.models.of(schema, from));
    let own = field(operation, "consumes").map(|node| parameters::media_types(node, "`consumes`", from));
    method.request_models = for_each_type(model, own.as_deref().unwrap_or(&document.consumes), from);
}

/// The model under each media type; without any under `application/json`.
fn for_each_type(model: Option<ModelRef>, types: &[Word], from: &mut Source<'_>) -> Vec<(Word, ModelRef)> {
    let Some(model) = model else { return Vec::new() };
    if types.is_empty() {
        return vec![("application/json".into(), model)];
    }
    let affordable = types.iter().take_while(|_| match &model {
        ModelRef::Named(name) => from.spend(name.len()),
        ModelRef::Inline(schema) => from.spend(super::json::cost(schema)),
    });
    affordable.map(|media_type| (media_type.clone(), model.clone())).collect()
}

/// OpenAPI 3: the schemas under `content`.
fn models_of_content<'a>(
    content: &'a Node,
    document: &mut Document<'a>,
    from: &mut Source<'a>,
) -> Vec<(Word, ModelRef)> {
    let mut models = Vec::new();
    for Entry { key, value } in from.entries(content, "`content`") {
        let Some(value) = from.resolve(value) else { continue };
        let schema = field(from.entries(value, "a media type"), "schema");
        if let Some(model) = schema.and_then(|schema| document.models.of(schema, from)) {
            models.push((Word::from(key), model));
        }
    }
    models
}

fn responses<'a>(
    node: &'a Node,
    operation: &'a [Entry],
    document: &mut Document<'a>,
    from: &mut Source<'a>,
) -> Vec<(Word, MethodResponse)> {
    let own = field(operation, "produces").map(|node| parameters::media_types(node, "`produces`", from));
    let produces = own.unwrap_or_else(|| document.produces.clone());
    let mut responses = Vec::new();
    for Entry { key, value } in from.entries(node, "`responses`") {
        if key.text.starts_with("x-") {
            continue;
        }
        let Some(value) = from.resolve(value) else { continue };
        responses.push((Word::from(key), response(value, &produces, document, from)));
    }
    responses
}

/// What exports write because the languages want an answer and a description (ours and AWS's) says nothing.
fn drop_placeholders(method: &mut Method) {
    let nothing = MethodResponse { description: Some(placeholder::no_response(&method.key())), ..Default::default() };
    method.responses.retain(|(status, response)| &**status != "default" || *response != nothing);
    for (status, response) in &mut method.responses {
        response.description.take_if(|description| *description == placeholder::no_description(status));
    }
}

fn response<'a>(
    node: &'a Node,
    produces: &[Word],
    document: &mut Document<'a>,
    from: &mut Source<'a>,
) -> MethodResponse {
    let mut response = MethodResponse::default();
    for Entry { key, value } in from.entries(node, "a response") {
        match &*key.text {
            "description" => response.description = from.string(value, "`description`"),
            "headers" => response.headers = headers(value, from),
            "content" => response.models = models_of_content(value, document, from),
            "schema" => {
                let model = document.models.of(value, from);
                response.models = for_each_type(model, produces, from);
            }
            _ => {}
        }
    }
    response
}

fn headers<'a>(node: &'a Node, from: &mut Source<'a>) -> Vec<(Word, Option<String>)> {
    let mut headers = Vec::new();
    for Entry { key, value } in from.entries(node, "`headers`") {
        let Some(value) = from.resolve(value) else { continue };
        let entries = from.entries(value, "a header");
        headers.push((Word::from(key), parameters::type_of(entries, from)));
    }
    headers
}

#[cfg(test)]
mod tests {
    use router::Kind;
    use serde_json::json;

    use super::super::tests::good;
    use super::*;

    fn only(text: &str) -> Method {
        good(Kind::Rest, text).methods.into_iter().next().expect("an operation")
    }

    #[test]
    fn an_operation_tells_readers_of_itself() {
        let method = only(
            "
openapi: 3.0.1
paths: {/a: {patch: {operationId: x, summary: s, description: d, deprecated: true, tags: [t, 7], x-other: [], callbacks: {}}}}
",
        );
        assert_eq!((method.verb, &*method.path), (Some(Verb::Patch), "/a"));
        assert_eq!(method.operation_id, Some("x".into()));
        assert_eq!((method.summary.as_deref(), method.description.as_deref()), (Some("s"), Some("d")));
        assert!(method.deprecated);
        assert_eq!(method.tags, ["t", "7"]);
        assert_eq!(method.integration, None, "nobody answers yet (ST-03)");
    }

    #[test]
    fn bodies_of_open_api_3() {
        let method = only(
            "
openapi: 3.0.1
paths:
  /a:
    post:
      requestBody: {$ref: '#/components/requestBodies/b'}
      responses:
        200: {$ref: '#/components/responses/r'}
        default: {description: else}
        x-own: {description: passed over}
components:
  requestBodies:
    b:
      required: true
      content:
        application/json: {schema: {$ref: '#/components/schemas/Pet'}}
        text/plain: {schema: {type: string, maxLength: 3}}
        image/png: {}
  responses:
    r:
      description: fine
      headers: {X-A: {schema: {type: integer}}, X-B: {$ref: '#/components/headers/h'}}
      content: {application/json: {schema: {type: array, items: {$ref: '#/components/schemas/Pet'}}}}
  headers: {h: {description: no type}}
  schemas: {Pet: {type: object}}
",
        );
        assert!(method.body_required);
        let inline = ModelRef::Inline(json!({"type": "string", "maxLength": 3}));
        let expected = [("application/json".into(), ModelRef::Named("Pet".into())), ("text/plain".into(), inline)];
        assert_eq!(method.request_models, expected);
        let [(status, ok), (other, _)] = &method.responses[..] else { panic!("{:?}", method.responses) };
        assert_eq!((status.as_str(), other.as_str(), ok.description.as_deref()), ("200", "default", Some("fine")));
        assert_eq!(ok.headers, [("X-A".into(), Some("integer".to_owned())), ("X-B".into(), None)]);
        let list = json!({"type": "array", "items": {"$ref": "#/components/schemas/Pet"}});
        assert_eq!(ok.models, [("application/json".into(), ModelRef::Inline(list))]);
    }

    #[test]
    fn bodies_of_swagger_2() {
        let text = "
swagger: '2.0'
consumes: [application/json, application/xml]
produces: [text/x-root]
paths:
  /a:
    parameters: [{name: body, in: body, required: true, schema: {$ref: '#/definitions/Pet'}}]
    post:
      responses: {200: {description: fine, schema: {$ref: '#/definitions/Pet'}, headers: {X-A: {type: integer}}}}
    put:
      consumes: [text/plain]
      produces: []
      parameters: [{name: other, in: body, schema: {type: string}}]
      responses: {200: {description: fine, schema: {type: string}}}
definitions: {Pet: {type: object}}
";
        let methods = good(Kind::Rest, text).methods;
        let pet = ModelRef::Named("Pet".into());
        let string = ModelRef::Inline(json!({"type": "string"}));
        assert_eq!(
            methods[0].request_models,
            [("application/json".into(), pet.clone()), ("application/xml".into(), pet.clone())]
        );
        assert!(methods[0].body_required && !methods[1].body_required, "the operation's own body counts");
        assert_eq!(methods[0].responses[0].1.models, [("text/x-root".into(), pet)]);
        assert_eq!(methods[0].responses[0].1.headers, [("X-A".into(), Some("integer".to_owned()))]);
        assert_eq!(methods[1].request_models, [("text/plain".into(), string.clone())]);
        assert_eq!(methods[1].responses[0].1.models, [("application/json".into(), string)], "without any, it is JSON");
    }
}
