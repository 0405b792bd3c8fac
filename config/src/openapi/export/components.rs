//! Models and security schemes.

use serde_json::{Map, Value as Json};

use super::{Object, Writer};
use crate::definition::{Authorizer, Model, ModelRef, Word};
use crate::openapi::schema::pointer_to;

/// Where models stand in OpenAPI 3.x, and in every definition.
const SCHEMAS_3: &str = "#/components/schemas/";
/// Where they stand in Swagger 2.0.
const SCHEMAS_2: &str = "#/definitions/";

/// The flows of OAuth 2: as OpenAPI 3.0 calls them, and as Swagger 2.0 does.
const FLOWS: [(&str, &str); 4] = [
    ("implicit", "implicit"),
    ("password", "password"),
    ("clientCredentials", "application"),
    ("authorizationCode", "accessCode"),
];

impl Writer<'_> {
    /// `components`, or `definitions` and `securityDefinitions`.
    pub(super) fn components(&self, models: &[(Word, Model)], authorizers: &[(Word, Authorizer)], root: &mut Object) {
        let schemas = || models.iter().map(|(name, model)| (&**name, self.model(model)));
        let mut schemes: Object = authorizers.iter().map(|(name, scheme)| (&**name, self.scheme(scheme))).collect();
        if self.definition.methods.iter().any(|method| method.api_key_required) {
            schemes.0.entry(self.api_key_scheme()).or_insert_with(|| {
                let scheme = [("type", "apiKey"), ("name", "x-api-key"), ("in", "header")];
                Object::from_iter(scheme).into()
            });
        }
        let schemes = Some(schemes.0).filter(|schemes| !schemes.is_empty());
        if self.is_3() {
            let mut components = Object::default();
            components.object("schemas", schemas());
            components.maybe("securitySchemes", schemes);
            root.maybe("components", Some(components.0).filter(|components| !components.is_empty()));
        } else {
            root.object("definitions", schemas());
            root.maybe("securityDefinitions", schemes);
        }
    }

    fn model(&self, model: &Model) -> Json {
        let Model { description, schema } = model;
        let mut schema = self.schema(schema);
        if let (Some(description), Json::Object(map)) = (description, &mut schema) {
            map.entry("description").or_insert_with(|| description.as_str().into());
        }
        schema
    }

    /// A model where it is used.
    pub(super) fn schema_of(&self, model: &ModelRef) -> Json {
        match model {
            ModelRef::Named(name) => {
                let reference = Object::from_iter([("$ref", pointer_to(name))]).into();
                self.schema(&reference)
            }
            ModelRef::Inline(schema) => self.schema(schema),
        }
    }

    /// A schema whose references lead to where models stand in this language.
    fn schema(&self, schema: &Json) -> Json {
        if self.is_3() {
            return schema.clone();
        }
        match schema {
            Json::Object(map) => {
                let moved = |(name, value): (&String, &Json)| match (name.as_str(), value) {
                    ("$ref", Json::String(target)) => {
                        let target = target.strip_prefix(SCHEMAS_3).map(|name| format!("{SCHEMAS_2}{name}"));
                        (name.clone(), target.map_or(value.clone(), Json::String))
                    }
                    _ => (name.clone(), self.schema(value)),
                };
                Json::Object(map.iter().map(moved).collect())
            }
            Json::Array(list) => list.iter().map(|value| self.schema(value)).collect(),
            other => other.clone(),
        }
    }

    fn scheme(&self, scheme: &Authorizer) -> Json {
        let Authorizer { scheme, name, location, auth_type, authorizer, rest } = scheme;
        let mut out = Object::default();
        let mut rest = rest.as_ref().and_then(Json::as_object).cloned().unwrap_or_default();
        match (scheme.as_str(), self.is_3()) {
            ("basic", true) => {
                out.set("type", "http");
                out.set("scheme", "basic");
            }
            ("http", false) if rest.get("scheme").and_then(Json::as_str) == Some("basic") => {
                out.set("type", "basic");
                rest.shift_remove("scheme");
            }
            // Swagger 2.0 knows neither; both travel in the field `Authorization`, and the extension says the rest.
            ("http" | "openIdConnect", false) => {
                out.set("type", "apiKey");
                out.set("name", name.as_deref().unwrap_or("Authorization"));
                out.set("in", location.as_deref().unwrap_or("header"));
                rest.retain(|name, _| name == "description" || name.starts_with("x-"));
            }
            (other, is_3) => {
                out.set("type", other);
                out.maybe("name", name.as_deref());
                out.maybe("in", location.as_deref());
                if other == "oauth2" {
                    rest = if is_3 { flows_3(rest) } else { flows_2(rest) };
                }
            }
        }
        out.0.append(&mut rest);
        if self.options.extensions.authorizers {
            out.maybe("x-amazon-apigateway-authtype", auth_type.as_deref());
            out.maybe("x-amazon-apigateway-authorizer", authorizer.clone());
        }
        out.into()
    }

    /// The scheme that stands for API keys (OA-08).
    pub(super) fn api_key_scheme(&self) -> &str {
        let says =
            |value: &Option<String>, word: &str| value.as_deref().is_some_and(|value| value.eq_ignore_ascii_case(word));
        let is_key = |scheme: &Authorizer| {
            scheme.scheme == "apiKey"
                && says(&scheme.location, "header")
                && says(&scheme.name, "x-api-key")
                && !says(&scheme.auth_type, "awsSigv4")
                && scheme.authorizer.is_none()
        };
        let found = self.definition.authorizers.iter().find(|(_, scheme)| is_key(scheme));
        found.map_or("api_key", |(name, _)| name)
    }

    /// The scheme that stands for requests signed with SigV4, if there is one.
    pub(super) fn iam_scheme(&self) -> Option<&str> {
        let is_iam =
            |scheme: &Authorizer| scheme.auth_type.as_ref().is_some_and(|kind| kind.eq_ignore_ascii_case("awsSigv4"));
        self.definition.authorizers.iter().find(|(_, scheme)| is_iam(scheme)).map(|(name, _)| &**name)
    }
}

/// `flow: accessCode` becomes `flows: {authorizationCode: …}`.
fn flows_3(mut rest: Map<String, Json>) -> Map<String, Json> {
    let found = rest.get("flow").and_then(Json::as_str).and_then(|flow| FLOWS.iter().find(|(_, two)| *two == flow));
    let Some((three, _)) = found else { return rest };
    rest.shift_remove("flow");
    let mut flow = Map::new();
    for name in ["authorizationUrl", "tokenUrl", "scopes"] {
        flow.extend(rest.shift_remove(name).map(|value| (name.to_owned(), value)));
    }
    flow.entry("scopes").or_insert_with(|| Json::Object(Map::new()));
    rest.insert("flows".to_owned(), Object::from_iter([(*three, flow)]).into());
    rest
}

/// `flows: {authorizationCode: …}` becomes `flow: accessCode`; of several flows the first.
fn flows_2(mut rest: Map<String, Json>) -> Map<String, Json> {
    let Some(Json::Object(flows)) = rest.shift_remove("flows") else { return rest };
    let first = flows.into_iter().find_map(|(name, flow)| {
        let (_, two) = FLOWS.iter().find(|(three, _)| *three == name)?;
        Some((*two, flow))
    });
    if let Some((two, Json::Object(mut flow))) = first {
        rest.insert("flow".to_owned(), two.into());
        rest.append(&mut flow);
    }
    rest
}
