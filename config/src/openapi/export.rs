//! Definitions become documents: OpenAPI 3.0.1 and Swagger 2.0, with or without API Gateway's extensions (OA-04, OA-05).

mod components;
mod extensions;
mod operation;
mod text;

use std::fmt;
use std::str::FromStr;

use router::Kind;
use serde_json::{Map, Value as Json, json};

pub use self::text::{json, yaml};
use crate::definition::{Definition, Info, Method, Tag, Word};

/// Which language a document is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// OpenAPI 3.0.1
    #[default]
    OpenApi30,
    /// Swagger 2.0
    Swagger20,
}

/// Which `x-amazon-apigateway-*` extensions are written. `any-method` always is: without it, the method would be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extensions {
    /// `integration`, and our own `x-tollgate-mock` in it.
    pub integrations: bool,
    /// `authorizer`, `authtype`, `auth`.
    pub authorizers: bool,
    /// `request-validator`, `request-validators`.
    pub validators: bool,
    /// All the others: answers, media types, CORS, policy, endpoint, documentation …
    pub others: bool,
}

/// Where the API answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Otherwise plain HTTP.
    pub https: bool,
    /// Name or address, and a port that is not the scheme's own; `None`: wherever the document came from.
    pub host: Option<String>,
    /// The stage or the base path, without slashes around it; may be empty.
    pub base_path: String,
}

/// How a definition is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportOptions {
    /// The language.
    pub format: Format,
    /// The extensions.
    pub extensions: Extensions,
    /// `None`: the document does not say where the API answers.
    pub server: Option<Server>,
    /// The title of an API that has none.
    pub title: String,
    /// The version of an API that has none.
    pub version: String,
}

impl ExportOptions {
    /// A document with all extensions that does not say where the API answers.
    pub fn new(format: Format) -> Self {
        Self { format, extensions: Extensions::ALL, server: None, title: "API".into(), version: "1.0".into() }
    }
}

impl Extensions {
    /// Each of them.
    pub const ALL: Self = Self { integrations: true, authorizers: true, validators: true, others: true };
    /// A plain document.
    pub const NONE: Self = Self { integrations: false, authorizers: false, validators: false, others: false };
}

/// `all`, or some of `integrations`, `authorizers`, `validators` with commas between; `apigateway` is AWS's word for all.
impl FromStr for Extensions {
    type Err = UnknownExtensions;

    fn from_str(text: &str) -> Result<Self, UnknownExtensions> {
        let mut chosen = Self::NONE;
        for word in text.split(',') {
            match word.trim() {
                "all" | "apigateway" => chosen = Self::ALL,
                "integrations" => chosen.integrations = true,
                "authorizers" => chosen.authorizers = true,
                "validators" => chosen.validators = true,
                other => return Err(UnknownExtensions(other.to_owned())),
            }
        }
        Ok(chosen)
    }
}

/// A word that names no extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownExtensions(pub String);

impl fmt::Display for UnknownExtensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not all, integrations, authorizers or validators", self.0)
    }
}

impl std::error::Error for UnknownExtensions {}

/// Writes a definition as a document, in the definition's order. With all extensions, importing it again gives an equal definition, but
/// for what the languages cannot say:
///
/// - Both: an unset title or version is written as the options say. Methods of one path stand together. A path parameter is always
///   required. A method that needs an API key brings a scheme `api_key` if the definition has none for `x-api-key`.
/// - Swagger 2.0: cookies; a parameter of type `object` (it becomes `string`); more than one model of a body: one that
///   depends on the media type, media types that differ between answers; a required body without a model; the schemes `http`, other
///   than `basic`, and `openIdConnect` (they become `apiKey` schemes of the field `Authorization`); more than one flow of `oauth2`.
/// - OpenAPI 3.0: parameters of a form (they become a model of the body); the scheme `basic` is written `http`.
pub fn export(definition: &Definition, options: &ExportOptions) -> Json {
    let Definition { kind, info, methods, resources, models, authorizers, tags, .. } = definition;
    let writer = Writer { options, definition };
    let mut root = Object::default();
    match options.format {
        Format::OpenApi30 => root.set("openapi", "3.0.1"),
        Format::Swagger20 => root.set("swagger", "2.0"),
    }
    root.set("info", writer.info(info));
    writer.server(&mut root);
    root.list("tags", tags.iter().map(|tag| writer.tag(tag)));
    root.set("paths", writer.paths(methods, resources));
    writer.components(models, authorizers, &mut root);
    if options.extensions.others && *kind == Kind::Http {
        root.set("x-amazon-apigateway-importexport-version", "1.0");
    }
    writer.root_extensions(&mut root);
    root.into()
}

/// What every part of a document is written with.
struct Writer<'a> {
    options: &'a ExportOptions,
    definition: &'a Definition,
}

impl Writer<'_> {
    fn is_3(&self) -> bool {
        self.options.format == Format::OpenApi30
    }

    fn info(&self, info: &Info) -> Json {
        let Info { title, version, description } = info;
        let mut out = Object::default();
        out.set("title", title.as_ref().unwrap_or(&self.options.title).as_str());
        out.maybe("description", description.as_deref());
        out.set("version", version.as_ref().unwrap_or(&self.options.version).as_str());
        out.into()
    }

    fn tag(&self, tag: &Tag) -> Json {
        let Tag { name, description, value } = tag;
        let mut out = Object::default();
        out.set("name", name.as_str());
        out.maybe("description", description.as_deref());
        out.maybe("x-amazon-apigateway-tag-value", value.as_deref().filter(|_| self.options.extensions.others));
        out.into()
    }

    /// `servers`, or `host`, `basePath` and `schemes`, with the endpoint's configuration at its place.
    fn server(&self, root: &mut Object) {
        let endpoint = self.endpoint();
        if self.is_3() {
            let mut server = match &self.options.server {
                Some(server) => open_api_server(server),
                None if endpoint.is_none() => return,
                None => Object::from_iter([("url", Json::from("/"))]),
            };
            server.maybe("x-amazon-apigateway-endpoint-configuration", endpoint);
            root.set("servers", json!([server.0]));
            return;
        }
        if let Some(Server { https, host, base_path }) = &self.options.server {
            root.maybe("host", host.as_deref());
            root.set("basePath", format!("/{base_path}"));
            root.set("schemes", json!([if *https { "https" } else { "http" }]));
        }
        root.maybe("x-amazon-apigateway-endpoint-configuration", endpoint);
    }

    /// Paths in the order in which they first occur; those without a method behind them.
    fn paths(&self, methods: &[Method], resources: &[Word]) -> Json {
        let mut paths = Object::default();
        for method in methods {
            let path = if &*method.path == "$default" { "/$default" } else { &*method.path };
            let verb = method
                .verb
                .map_or("x-amazon-apigateway-any-method".to_owned(), |verb| verb.as_str().to_ascii_lowercase());
            let item = paths.0.entry(path).or_insert_with(|| json!({}));
            item[verb] = self.operation(method);
        }
        for resource in resources {
            paths.0.entry(&**resource).or_insert_with(|| json!({}));
        }
        paths.into()
    }
}

fn open_api_server(server: &Server) -> Object {
    let Server { https, host, base_path } = server;
    let scheme = if *https { "https" } else { "http" };
    let origin = host.as_ref().map_or(String::new(), |host| format!("{scheme}://{host}"));
    if base_path.is_empty() {
        let url = if origin.is_empty() { "/".to_owned() } else { origin };
        return Object::from_iter([("url", Json::from(url))]);
    }
    Object::from_iter([
        ("url", Json::from(format!("{origin}/{{basePath}}"))),
        ("variables", json!({ "basePath": { "default": base_path } })),
    ])
}

/// A JSON object that is written from the top down.
#[derive(Default)]
struct Object(Map<String, Json>);

impl Object {
    fn set(&mut self, name: &str, value: impl Into<Json>) {
        self.0.insert(name.to_owned(), value.into());
    }

    fn maybe(&mut self, name: &str, value: Option<impl Into<Json>>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    /// A list, unless it is empty.
    fn list(&mut self, name: &str, values: impl IntoIterator<Item = impl Into<Json>>) {
        let list: Vec<Json> = values.into_iter().map(Into::into).collect();
        self.maybe(name, Some(list).filter(|list| !list.is_empty()));
    }

    /// An object, unless it is empty.
    fn object<'n, T: Into<Json>>(&mut self, name: &str, entries: impl IntoIterator<Item = (&'n str, T)>) {
        let object = Self::from_iter(entries);
        self.maybe(name, Some(object.0).filter(|object| !object.is_empty()));
    }

    /// Texts by name, unless there are none.
    fn texts(&mut self, name: &str, entries: &[(Word, Word)]) {
        self.object(name, entries.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    }

    /// A list of texts, unless it is empty.
    fn words(&mut self, name: &str, words: &[Word]) {
        self.list(name, words.iter().map(Word::as_str));
    }
}

impl<'n, T: Into<Json>> FromIterator<(&'n str, T)> for Object {
    fn from_iter<I: IntoIterator<Item = (&'n str, T)>>(entries: I) -> Self {
        Self(entries.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect())
    }
}

impl From<Object> for Json {
    fn from(object: Object) -> Self {
        Self::Object(object.0)
    }
}

#[cfg(test)]
mod tests {
    use router::Verb;

    use super::*;
    use crate::definition::{
        Authorization, Authorizer, Integration, IntegrationType, Location, MockAnswer, Model, ModelRef, Parameter,
    };
    use crate::diagnostic::Place;

    fn method(verb: Option<Verb>, path: &str) -> Method {
        Method::new(verb, path.into(), Place::default())
    }

    fn pets() -> Definition {
        let mut definition = Definition::new(Kind::Rest);
        definition.info.title = Some("Pets".into());
        let mut get = method(Some(Verb::Get), "/pets/{id}");
        get.parameters.push(Parameter {
            name: "id".into(),
            location: Location::Path,
            required: true,
            type_name: Some("integer".into()),
            description: None,
        });
        get.api_key_required = true;
        get.authorization = Authorization::Authorizer { name: "login".into(), scopes: vec!["read".into()] };
        let mut integration = Integration::new(IntegrationType::HttpProxy, Place::default());
        integration.uri = Some("http://pets/{id}".into());
        integration.timeout_ms = Some(2_000);
        integration.retry = Some(crate::definition::Retry { attempts: Some(2), try_time_ms: None });
        get.integration = Some(integration);
        let mut put = method(Some(Verb::Put), "/pets/{id}");
        put.request_models = vec![("application/json".into(), ModelRef::Named("Pet".into()))];
        put.body_required = true;
        let mut any = method(None, "/health");
        let mut mock = Integration::new(IntegrationType::Mock, Place::default());
        mock.mock =
            Some(MockAnswer { status: 204, headers: vec![("x-a".into(), "b".into())], body: Some("ok".into()) });
        any.integration = Some(mock);
        definition.methods = vec![get, any, put];
        definition.resources = vec!["/".into()];
        let schema = json!({ "type": "object", "properties": { "owner": { "$ref": "#/components/schemas/Owner" } } });
        definition.models = vec![("Pet".into(), Model { description: Some("A pet".into()), schema })];
        let scheme = Authorizer {
            scheme: "oauth2".into(),
            name: None,
            location: None,
            auth_type: None,
            authorizer: Some(json!({ "type": "jwt" })),
            rest: Some(
                json!({ "flows": { "clientCredentials": { "tokenUrl": "https://a/", "scopes": { "read": "" } } } }),
            ),
        };
        definition.authorizers = vec![("login".into(), scheme)];
        definition.endpoint.disable_execute_api = Some(true);
        definition
    }

    fn server() -> Server {
        Server { https: true, host: Some("api.example.com".into()), base_path: "prod".into() }
    }

    #[test]
    fn open_api() {
        let options = ExportOptions { server: Some(server()), ..ExportOptions::new(Format::OpenApi30) };
        let out = export(&pets(), &options);
        assert_eq!(out["info"], json!({ "title": "Pets", "version": "1.0" }));
        assert_eq!(
            out["servers"],
            json!([{
                "url": "https://api.example.com/{basePath}",
                "variables": { "basePath": { "default": "prod" } },
                "x-amazon-apigateway-endpoint-configuration": { "disableExecuteApiEndpoint": true },
            }])
        );
        let paths: Vec<&String> = out["paths"].as_object().unwrap().keys().collect();
        assert_eq!(paths, ["/pets/{id}", "/health", "/"]);
        let item = &out["paths"]["/pets/{id}"];
        assert_eq!(item.as_object().unwrap().keys().collect::<Vec<_>>(), ["get", "put"]);
        assert_eq!(
            item["get"]["parameters"],
            json!([{ "name": "id", "in": "path", "required": true, "schema": { "type": "integer" } }])
        );
        assert_eq!(item["get"]["security"], json!([{ "login": ["read"] }, { "api_key": [] }]));
        assert_eq!(
            item["get"]["x-amazon-apigateway-integration"],
            json!({
                "type": "http_proxy",
                "uri": "http://pets/{id}",
                "timeoutInMillis": 2000,
                "x-tollgate-retry": { "attempts": 2 },
            })
        );
        assert_eq!(
            item["put"]["requestBody"],
            json!({ "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Pet" } } }, "required": true })
        );
        assert_eq!(
            out["paths"]["/health"]["x-amazon-apigateway-any-method"]["x-amazon-apigateway-integration"],
            json!({ "type": "mock", "x-tollgate-mock": { "status": 204, "headers": { "x-a": "b" }, "body": "ok" } })
        );
        let schemes = &out["components"]["securitySchemes"];
        assert_eq!(schemes["api_key"], json!({ "type": "apiKey", "name": "x-api-key", "in": "header" }));
        assert_eq!(schemes["login"]["x-amazon-apigateway-authorizer"], json!({ "type": "jwt" }));
        assert_eq!(out["components"]["schemas"]["Pet"]["description"], "A pet");
    }

    #[test]
    fn swagger() {
        let options = ExportOptions { server: Some(server()), ..ExportOptions::new(Format::Swagger20) };
        let out = export(&pets(), &options);
        assert_eq!(out["swagger"], "2.0");
        assert_eq!(
            (&out["host"], &out["basePath"], &out["schemes"]),
            (&json!("api.example.com"), &json!("/prod"), &json!(["https"]))
        );
        assert_eq!(out["x-amazon-apigateway-endpoint-configuration"], json!({ "disableExecuteApiEndpoint": true }));
        let item = &out["paths"]["/pets/{id}"];
        assert_eq!(
            item["get"]["parameters"],
            json!([{ "name": "id", "in": "path", "required": true, "type": "integer" }])
        );
        assert_eq!(item["put"]["consumes"], json!(["application/json"]));
        assert_eq!(
            item["put"]["parameters"],
            json!([{ "in": "body", "name": "Pet", "required": true, "schema": { "$ref": "#/definitions/Pet" } }])
        );
        assert_eq!(out["definitions"]["Pet"]["properties"]["owner"], json!({ "$ref": "#/definitions/Owner" }));
        let login = &out["securityDefinitions"]["login"];
        assert_eq!((&login["flow"], &login["tokenUrl"]), (&json!("application"), &json!("https://a/")));
        assert_eq!(out.get("components"), None);
    }

    #[test]
    fn a_plain_document_has_no_extensions_but_any() {
        for format in [Format::OpenApi30, Format::Swagger20] {
            let options = ExportOptions { extensions: Extensions::NONE, ..ExportOptions::new(format) };
            let text = export(&pets(), &options).to_string();
            let text = text.replace("x-amazon-apigateway-any-method", "");
            assert!(!text.contains("x-amazon") && !text.contains("x-tollgate"), "{text}");
        }
    }

    #[test]
    fn extensions_are_chosen_by_name() {
        assert_eq!("all".parse(), Ok(Extensions::ALL));
        assert_eq!("apigateway".parse(), Ok(Extensions::ALL));
        let chosen = Extensions { integrations: true, validators: true, ..Extensions::NONE };
        assert_eq!("integrations, validators".parse(), Ok(chosen));
        assert!("postman".parse::<Extensions>().unwrap_err().to_string().contains("`postman`"));
        let options = ExportOptions { extensions: chosen, ..ExportOptions::new(Format::OpenApi30) };
        let text = export(&pets(), &options).to_string();
        assert!(text.contains("x-amazon-apigateway-integration") && !text.contains("authorizer"), "{text}");
    }

    #[test]
    fn the_default_route_is_a_path_of_its_own() {
        let mut definition = Definition::new(Kind::Http);
        definition.methods.push(method(None, "$default"));
        let out = export(&definition, &ExportOptions::new(Format::OpenApi30));
        let item = &out["paths"]["/$default"]["x-amazon-apigateway-any-method"];
        assert_eq!(item["isDefaultRoute"], true);
        assert_eq!(item["responses"], json!({ "default": { "description": "Default response for $default" } }));
        assert_eq!(out["x-amazon-apigateway-importexport-version"], "1.0");
    }

    #[test]
    fn servers() {
        let url = |host: Option<&str>, base_path: &str, https| {
            let server = Server { https, host: host.map(str::to_owned), base_path: base_path.into() };
            Json::from(open_api_server(&server))["url"].as_str().unwrap().to_owned()
        };
        assert_eq!(url(Some("a.b"), "prod", true), "https://a.b/{basePath}");
        assert_eq!(url(Some("a.b:81"), "", false), "http://a.b:81");
        assert_eq!(url(None, "prod", true), "/{basePath}");
        assert_eq!(url(None, "", true), "/");
    }
}
