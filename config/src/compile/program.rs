//! A definition with one set of stage variables becomes a program: routes frozen, methods compiled.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use policy::rules::{KeyFrom, Rules};
use policy::transform::parameters::RequestMapping;
use policy::transform::template::TemplateNames;
use router::{Kind, RouteFault, RoutesBuilder, Template, TemplateFault, TemplateProblem};

use crate::compile::answers;
use crate::compile::authorizers::Authorizers;
use crate::compile::mock;
use crate::compile::native;
use crate::compile::needs::{self, Lack, Needs};
use crate::compile::parameters;
use crate::compile::policies;
use crate::compile::throttles;
use crate::compile::tls::is_server_name;
use crate::compile::upstreams::Names;
use crate::compile::uri::{self, UriWrong};
use crate::definition::{self, ApiKeySource, Definition, IntegrationType, Word};
use crate::diagnostic::{Diagnostics, Place};
use crate::limits;
use crate::snapshot::{Authority, CallTls, FAULTY_URI, HttpRule, Integration, Method, Program};
use crate::source::node::Text;

/// What a definition is compiled against.
pub struct Setting<'a> {
    /// The stage's name, for messages.
    pub stage: &'a str,
    /// Its variables.
    pub variables: &'a BTreeMap<String, String>,
    /// What a URI's host may name.
    pub upstreams: &'a Names,
    /// Where Lambda's Invoke API is.
    pub lambda: Option<&'a Text>,
}

/// Compiles a definition. What a native route says wrong is an error; what an imported method needs and this version does not do
/// is a warning, and the method answers 500.
pub fn compile(definition: &Definition, setting: &Setting<'_>, faults: &mut Diagnostics) -> Program {
    let mut routes = RoutesBuilder::new(definition.kind);
    let mut authorities = Authorities::default();
    let authorizers = Authorizers::compile(definition, setting, &mut authorities, faults);
    let mut compiler = Compiler {
        definition,
        setting,
        faults,
        authorities,
        needs: Needs::of(definition),
        authorizers,
        numbered: Vec::new(),
    };
    Needs::warn_of_the_rest(definition, compiler.faults);
    let mut methods = Vec::with_capacity(definition.methods.len());
    for method in &definition.methods {
        let number = methods.len() as u32;
        compiler.numbered.push(method);
        let Ok(path) = compiler.add_route(method, number, &mut routes) else {
            compiler.numbered.pop();
            continue;
        };
        methods.push(compiler.method(method, path.as_ref()));
    }
    compiler.warn_of_shadows(&routes);
    let authorities = compiler.authorities.list.into();
    let authorizers = compiler.authorizers.list.into();
    let policy = policies::compile(definition, compiler.faults);
    let answers = answers::compile(definition, setting.variables, compiler.faults);
    Program {
        kind: definition.kind,
        routes: routes.build(),
        methods: methods.into(),
        authorities,
        authorizers,
        answers,
        policy,
    }
}

/// Whom the integrations call, each once.
#[derive(Default)]
pub struct Authorities {
    list: Vec<Authority>,
    by_host: HashMap<(Box<[u8]>, Option<CallTls>), u32>,
}

impl Authorities {
    /// Its number.
    pub fn number(&mut self, authority: Authority) -> u32 {
        let key = (authority.host.clone(), authority.tls.clone());
        if let Some(number) = self.by_host.get(&key) {
            return *number;
        }
        let number = self.list.len() as u32;
        self.by_host.insert(key, number);
        self.list.push(authority);
        number
    }
}

struct Compiler<'a> {
    definition: &'a Definition,
    setting: &'a Setting<'a>,
    faults: &'a mut Diagnostics,
    authorities: Authorities,
    needs: Needs,
    authorizers: Authorizers,
    /// By number, those that have a route.
    numbered: Vec<&'a definition::Method>,
}

impl Compiler<'_> {
    /// Adds the method's route; `None` is `$default`. A fault is added beside every `Err`.
    fn add_route(
        &mut self,
        method: &definition::Method,
        number: u32,
        routes: &mut RoutesBuilder,
    ) -> Result<Option<Template>, ()> {
        if &*method.path == "$default" {
            if let Err(fault) = routes.default_route(number) {
                self.route_fault(method, &fault);
                return Err(());
            }
            return Ok(None);
        }
        let template = match Template::parse(&method.path) {
            Ok(template) => template,
            Err(fault) => {
                self.template_fault(method, &fault);
                return Err(());
            }
        };
        if needs::is_native(*method.place) {
            warn_of_foreign_variables(&method.path, self.faults);
        }
        if let Err(fault) = routes.route(method.verb, &template, number) {
            self.route_fault(method, &fault);
            return Err(());
        }
        Ok(Some(template))
    }

    fn template_fault(&mut self, method: &definition::Method, fault: &TemplateFault) {
        let hint = match fault.what {
            TemplateProblem::NoLeadingSlash if method.path.starts_with(' ') => "write one space between verb and path",
            TemplateProblem::UnderGreedy => "`{proxy+}` takes the whole rest of the path: it comes last",
            TemplateProblem::Character => "a query is no part of a route; other characters are percent-encoded",
            _ => "a path is written like /pets/{id} or /files/{proxy+}",
        };
        self.faults.error_hint(
            method.path.0.place_at(fault.offset),
            format!("route `{}`: {fault}", method.key()),
            hint,
        );
    }

    fn route_fault(&mut self, method: &definition::Method, fault: &RouteFault) {
        let hint = match fault {
            RouteFault::Duplicate { of } => {
                let first = self.numbered[*of as usize];
                let (key, line) = (first.key(), first.place.line);
                format!("the first is `{key}` in line {line}; names of variables make no difference")
            }
            RouteFault::SecondVariable { sibling } => {
                format!("write {sibling} here as well: REST APIs allow one name at each place (RT-04)")
            }
            RouteFault::NoDefault => "write \"ANY /{proxy+}\" to catch everything".to_owned(),
        };
        self.faults.error_hint(*method.place, format!("route `{}`: {fault}", method.key()), hint);
    }

    fn warn_of_shadows(&mut self, routes: &RoutesBuilder) {
        for (method, by) in routes.shadowed() {
            let (method, by) = (self.numbered[method as usize], self.numbered[by as usize]);
            self.faults.warning(
                *method.place,
                format!("no request reaches `{}`", method.key()),
                format!("`{}` in line {} and others answer before it", by.key(), by.place.line),
            );
        }
    }

    fn method(&mut self, method: &definition::Method, path: Option<&Template>) -> Method {
        let variables = path.map(Template::variables).unwrap_or_default();
        let (rules, integration) = match self.rules(method) {
            Ok(rules) => (rules, self.integration(method, variables)),
            Err(Lack { place, what, hint }) => (Rules::default(), self.unavailable(method, place, what, hint)),
        };
        Method { key: method.key().into(), resource_path: method.path.0.text.clone(), rules, integration }
    }

    /// What a method asks of its callers; or what of it is missing, and then nobody is answered.
    fn rules(&self, method: &definition::Method) -> Result<Rules, Lack> {
        Ok(Rules {
            authorize: self.authorizers.authorize(method)?,
            api_key: method.api_key_required.then(|| self.key_from()),
            throttle: method.throttle,
            concurrency: method.concurrency,
            line: throttles::line_of(*method.place),
        })
    }

    /// KP-03.
    fn key_from(&self) -> KeyFrom {
        match self.definition.api_key_source {
            Some(ApiKeySource::Authorizer) => KeyFrom::Authorizer,
            Some(ApiKeySource::Header) | None => KeyFrom::Header,
        }
    }

    fn integration(&mut self, method: &definition::Method, variables: &[Box<str>]) -> Integration {
        if let Some(lack) = self.needs.lack(self.definition, method) {
            return self.unavailable(method, lack.place, lack.what, lack.hint);
        }
        let Some(integration) = &method.integration else {
            return Integration::Unavailable("no integration".into()); // `lack` has said so.
        };
        let names = TemplateNames { path_variables: variables, stage_variables: self.setting.variables };
        match (integration.kind, &integration.mock) {
            (_, Some(answer)) => match mock::compile(answer, names, self.faults) {
                Some(rule) => Integration::Mock(rule),
                None => Integration::Unavailable("a faulty mock".into()),
            },
            (IntegrationType::Http | IntegrationType::HttpProxy, None) => self.http(method, integration, names),
            (IntegrationType::Mock, None) => match parameters::mock(self.definition.kind, integration, names) {
                Ok(rule) => Integration::SelectedMock(rule),
                Err(wrongs) => self.faulty(method, wrongs, "a faulty mock"),
            },
            (IntegrationType::Aws | IntegrationType::AwsProxy, None) => {
                Integration::Unavailable("an integration of this type".into())
            }
        }
    }

    fn http(
        &mut self,
        method: &definition::Method,
        spec: &definition::Integration,
        names: TemplateNames<'_>,
    ) -> Integration {
        let Some(written) = &spec.uri else {
            return self.unavailable(
                method,
                *spec.place,
                "its integration has no uri".into(),
                "write the backend's URI",
            );
        };
        let verb = match &spec.http_method {
            None => None,
            Some(text) => match native::verb_of(&verb_text(text), &text.0, self.faults) {
                Ok(verb) => verb,
                Err(()) => return Integration::Unavailable("a verb that is none".into()),
            },
        };
        let kind = self.definition.kind;
        let (request, response) = (parameters::request(kind, spec, names), parameters::response(kind, spec, names));
        let mapped = match &request {
            Ok(mapping) => mapping.as_ref().map(|mapping| mapping.path_names().to_vec()).unwrap_or_default(),
            Err(_) => parameters::path_names(spec),
        };
        let tls = match call_tls(spec) {
            Ok(tls) => tls,
            Err((place, what)) => return self.unavailable(method, place, what, "write the host name of the backend"),
        };
        let context = uri::Context {
            stage: self.setting.stage,
            stage_variables: names.stage_variables,
            path_variables: names.path_variables,
            mapped: &mapped,
            upstreams: self.setting.upstreams,
            tls,
        };
        let target = uri::compile(&written.0, &context, self.faults).map_err(|wrong| vec![wrong]);
        let (target, request, response) = match (target, request, response) {
            (Ok(target), Ok(request), Ok(response)) => (target, request, response),
            (target, request, response) => {
                let wrongs = [target.err(), request.err(), response.err()].into_iter().flatten().flatten();
                return self.faulty(method, wrongs.collect(), FAULTY_URI);
            }
        };
        let proxy = spec.kind == IntegrationType::HttpProxy;
        // RT-13: behind an HTTP API's `$default`, the client's whole path follows the URI.
        let uri = if &*method.path == "$default" && proxy { target.uri.with_client_path() } else { target.uri };
        let default = if self.definition.kind == Kind::Http { limits::TIMEOUT_HTTP } else { limits::TIMEOUT_REST };
        Integration::Http(HttpRule {
            proxy,
            authority: self.authorities.number(target.authority),
            verb,
            uri,
            websocket: method.websocket,
            holds_body: request.as_ref().is_some_and(RequestMapping::needs_body) || response.needs_body(),
            request,
            response,
            written: written.0.text.clone(),
            timeout: spec.timeout_ms.map_or(default, millis),
            attempts: spec.retry.and_then(|retry| retry.attempts),
            try_time: spec.retry.and_then(|retry| retry.try_time_ms).map(millis),
        })
    }

    /// Reports what is wrong with an integration: errors in gateway.yaml, warnings in a document that other tools wrote.
    fn faulty(&mut self, method: &definition::Method, wrongs: Vec<UriWrong>, what: &str) -> Integration {
        for UriWrong { place, what, hint } in wrongs {
            if needs::is_native(place) {
                self.faults.error_hint(place, what, hint);
            } else {
                self.unavailable(method, place, what, hint);
            }
        }
        Integration::Unavailable(what.into())
    }

    /// A method that is known, but not executed: it is reported, and answers 500.
    fn unavailable(
        &mut self,
        method: &definition::Method,
        place: Place,
        what: String,
        hint: impl Into<String>,
    ) -> Integration {
        self.faults.warning(place, format!("`{}` answers 500: {what}", method.key()), hint);
        Integration::Unavailable(what.into())
    }
}

/// What an integration says of TLS, or what is wrong with it.
fn call_tls(spec: &definition::Integration) -> Result<CallTls, (Place, String)> {
    let server_name = spec.server_name_to_verify.as_ref();
    if let Some(name) = server_name.filter(|name| !is_server_name(name)) {
        return Err((name.place(), format!("`{name}` is no name that a certificate can have")));
    }
    let any_issuer = spec.insecure_skip_verification == Some(true);
    Ok(CallTls { any_issuer, server_name: server_name.map(|name| name.0.text.clone()) })
}

/// Documents of the public write `get`; gateway.yaml does not.
fn verb_text(text: &Word) -> Cow<'_, str> {
    if needs::is_native(text.place()) { text.as_str().into() } else { text.to_ascii_uppercase().into() }
}

/// `:id` and `*` are variables elsewhere; here they are letters like any other.
fn warn_of_foreign_variables(path: &Word, faults: &mut Diagnostics) {
    let mut at = 0;
    for segment in path.split('/') {
        let meant = match segment.strip_prefix(':') {
            Some(name) if !name.is_empty() => format!("{{{name}}}"),
            None if matches!(segment, "*" | "**") => "{proxy+}".to_owned(),
            _ => String::new(),
        };
        if !meant.is_empty() {
            faults.warning(
                path.0.place_at(at),
                format!("`{segment}` in a path is taken literally"),
                format!("a variable is written {meant}"),
            );
        }
        at += segment.len() + 1;
    }
}

fn millis(count: u32) -> std::time::Duration {
    std::time::Duration::from_millis(u64::from(count))
}
