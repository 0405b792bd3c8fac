//! Operations: parameters, bodies, answers, and what is asked of callers.

use serde_json::{Value as Json, json};

use super::{Object, Writer};
use crate::definition::{Authorization, Location, Method, MethodResponse, ModelRef, Parameter, Word};
use crate::openapi::placeholder;

impl Writer<'_> {
    /// One method.
    pub(super) fn operation(&self, method: &Method) -> Json {
        let Method {
            place: _,
            verb: _,
            path,
            operation_id,
            summary,
            description,
            tags,
            deprecated,
            parameters,
            request_models,
            body_required,
            responses,
            authorization,
            api_key_required,
            unheeded: _,
            validator,
            integration,
            // No extension of API Gateway's says these, and none of ours.
            websocket: _,
            throttle: _,
            concurrency: _,
        } = method;
        let extensions = self.options.extensions;
        let mut out = Object::default();
        if &**path == "$default" {
            out.set("isDefaultRoute", true);
        }
        out.list("tags", tags.iter().map(String::as_str));
        out.maybe("summary", summary.as_deref());
        out.maybe("description", description.as_deref());
        out.maybe("operationId", operation_id.as_deref());
        if self.is_3() {
            out.list("parameters", parameters.iter().filter_map(parameter_3));
            out.maybe("requestBody", self.body_3(request_models, parameters, *body_required));
        } else {
            out.list("consumes", consumed(request_models, *body_required));
            out.list("produces", produced(responses));
            let body = self.body_2(request_models, *body_required);
            out.list("parameters", parameters.iter().filter_map(parameter_2).chain(body));
        }
        out.set("responses", self.responses(method, responses));
        out.maybe("deprecated", Some(true).filter(|_| *deprecated));
        out.list("security", self.security(authorization, *api_key_required));
        if extensions.authorizers && *authorization == Authorization::Iam && self.iam_scheme().is_none() {
            out.set("x-amazon-apigateway-auth", json!({ "type": "AWS_IAM" }));
        }
        if extensions.validators {
            out.maybe("x-amazon-apigateway-request-validator", validator.as_deref());
        }
        if extensions.integrations {
            out.maybe("x-amazon-apigateway-integration", integration.as_ref().map(super::extensions::integration));
        }
        out.into()
    }

    /// What callers must bring, each a requirement of its own, as AWS writes and reads them.
    fn security(&self, authorization: &Authorization, api_key_required: bool) -> Vec<Json> {
        let one = |name: &str, scopes: &[Word]| -> Json {
            let scopes: Vec<&str> = scopes.iter().map(Word::as_str).collect();
            Object::from_iter([(name, scopes)]).into()
        };
        let caller = match authorization {
            Authorization::None => None,
            Authorization::Iam => self.iam_scheme().map(|name| one(name, &[])),
            Authorization::Authorizer { name, scopes } => Some(one(name, scopes)),
        };
        caller.into_iter().chain(api_key_required.then(|| one(self.api_key_scheme(), &[]))).collect()
    }

    /// The content of a request in OpenAPI 3.0. Forms are bodies there.
    fn body_3(&self, models: &[(Word, ModelRef)], parameters: &[Parameter], required: bool) -> Option<Json> {
        let mut content = self.content(models);
        let form: Vec<&Parameter> = parameters.iter().filter(|one| one.location == Location::Form).collect();
        if !form.is_empty() {
            let has_file = form.iter().any(|one| one.type_name.as_deref() == Some("file"));
            let media_type = if has_file { "multipart/form-data" } else { "application/x-www-form-urlencoded" };
            content.0.entry(media_type).or_insert_with(|| json!({ "schema": form_schema(&form) }));
        }
        if content.0.is_empty() && !required {
            return None;
        }
        let mut out = Object::default();
        out.set("content", content);
        out.maybe("required", Some(true).filter(|_| required));
        Some(out.into())
    }

    /// The content of a request in Swagger 2.0: one schema, whatever the media type.
    fn body_2(&self, models: &[(Word, ModelRef)], required: bool) -> Option<Json> {
        let first = models.first().map(|(_, model)| model);
        if first.is_none() && !required {
            return None;
        }
        let mut out = Object::default();
        out.set("in", "body");
        out.set("name", if let Some(ModelRef::Named(name)) = first { name.as_str() } else { "body" });
        out.maybe("required", Some(true).filter(|_| required));
        out.set("schema", first.map_or(json!({}), |model| self.schema_of(model)));
        Some(out.into())
    }

    fn content(&self, models: &[(Word, ModelRef)]) -> Object {
        models.iter().map(|(media_type, model)| (&**media_type, json!({ "schema": self.schema_of(model) }))).collect()
    }

    /// What a method may answer. The languages want at least one answer, and a description of each: where nothing is known, AWS's words.
    fn responses(&self, method: &Method, responses: &[(Word, MethodResponse)]) -> Json {
        if responses.is_empty() {
            return json!({ "default": { "description": placeholder::no_response(&method.key()) } });
        }
        responses
            .iter()
            .map(|(status, response)| (&**status, self.response(status, response)))
            .collect::<Object>()
            .into()
    }

    fn response(&self, status: &str, response: &MethodResponse) -> Json {
        let MethodResponse { description, headers, models } = response;
        let mut out = Object::default();
        out.set("description", description.clone().unwrap_or_else(|| placeholder::no_description(status)));
        out.object("headers", headers.iter().map(|(name, kind)| (&**name, self.header(kind.as_deref()))));
        if self.is_3() {
            out.maybe("content", Some(self.content(models)).filter(|content| !content.0.is_empty()));
        } else {
            out.maybe("schema", models.first().map(|(_, model)| self.schema_of(model)));
        }
        out.into()
    }

    fn header(&self, kind: Option<&str>) -> Json {
        if self.is_3() { json!({ "schema": schema_3(kind) }) } else { schema_2(kind).into() }
    }
}

/// The media types of the body; one that must be there, but has no model, is JSON of any shape.
fn consumed(models: &[(Word, ModelRef)], required: bool) -> Vec<&str> {
    match models {
        [] if required => vec!["application/json"],
        models => models.iter().map(|(media_type, _)| &**media_type).collect(),
    }
}

/// All media types of the answers, each once.
fn produced(responses: &[(Word, MethodResponse)]) -> Vec<&str> {
    let mut found: Vec<&str> = Vec::new();
    for (media_type, _) in responses.iter().flat_map(|(_, response)| &response.models) {
        if !found.contains(&&**media_type) {
            found.push(media_type);
        }
    }
    found
}

/// `None`: OpenAPI 3.0 writes it otherwise.
fn parameter_3(parameter: &Parameter) -> Option<Json> {
    let Parameter { location, type_name, .. } = parameter;
    if *location == Location::Form {
        return None;
    }
    let mut out = named(parameter);
    out.set("schema", schema_3(type_name.as_deref()));
    Some(out.into())
}

/// `None`: Swagger 2.0 cannot say it.
fn parameter_2(parameter: &Parameter) -> Option<Json> {
    let Parameter { location, type_name, .. } = parameter;
    if *location == Location::Cookie {
        return None;
    }
    let mut out = named(parameter);
    out.0.append(&mut schema_2(type_name.as_deref()).0);
    Some(out.into())
}

fn named(parameter: &Parameter) -> Object {
    let Parameter { name, location, required, type_name: _, description } = parameter;
    let place = match location {
        Location::Path => "path",
        Location::Query => "query",
        Location::Header => "header",
        Location::Form => "formData",
        Location::Cookie => "cookie",
    };
    let mut out = Object::from_iter([("name", name.as_str()), ("in", place)]);
    out.maybe("description", description.as_deref());
    out.maybe("required", Some(true).filter(|_| *required || *location == Location::Path));
    out
}

fn schema_3(type_name: Option<&str>) -> Json {
    let mut out = Object::default();
    out.maybe("type", type_name);
    out.maybe("items", Some(json!({})).filter(|_| type_name == Some("array")));
    out.into()
}

fn schema_2(type_name: Option<&str>) -> Object {
    let mut out = Object::default();
    out.maybe("type", type_name.map(|name| if name == "object" { "string" } else { name }));
    out.maybe("items", Some(json!({ "type": "string" })).filter(|_| type_name == Some("array")));
    out
}

/// The fields of a form as the schema of a body.
fn form_schema(form: &[&Parameter]) -> Json {
    let field = |parameter: &Parameter| -> Json {
        let Parameter { name: _, location: _, required: _, type_name, description } = parameter;
        let mut out = Object::default();
        match type_name.as_deref() {
            Some("file") => {
                out.set("type", "string");
                out.set("format", "binary");
            }
            other => out.maybe("type", other),
        }
        out.maybe("description", description.as_deref());
        out.into()
    };
    let mut out = Object::from_iter([("type", "object")]);
    out.object("properties", form.iter().map(|one| (&*one.name, field(one))));
    out.list("required", form.iter().filter(|one| one.required).map(|one| one.name.as_str()));
    out.into()
}
