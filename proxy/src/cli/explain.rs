//! `tollgate explain`: which API, stage and route would answer a request, and why; or why none, and what is near.

use std::fmt::Write as _;
use std::process::ExitCode;

use codec::head::{Fate, RequestHead};
use codec::http1::misbehave::Misbehaviour;
use codec::http1::parse::{Progress, parse_request};
use codec::target::canonical_path;
use config::snapshot::MutualTls;
use config::{HttpRule, Integration, Method, Release, ResponseShape, Rule, Snapshot, Stage};
use policy::phase::Phase;
use policy::refusal::Refusal;
use policy::rules::Authorize;
use router::{Captures, Glob, Kind, Miss, Template, Verb};

use super::answers as beside;
use super::authorizers;
use super::firewalls;
use super::gateway::Named;
use super::plans;
use super::routes::servers;
use super::throttles;
use super::{exit, fail, hosts, say};

/// Routes that are offered when none fits.
const NEAREST_SHOWN: usize = 3;

/// Prints the explanation; the exit code says whether a route answers.
pub fn print(
    (snapshot, gateway): (&Snapshot, &Named),
    verb: &str,
    url: &str,
    fields: &[String],
    canary: bool,
) -> ExitCode {
    let Some(asked) = Asked::parse(verb, url, fields, canary) else {
        let fields = fields.iter().fold(String::new(), |all, field| all + " --header '" + field + "'");
        let hint = "write GET http://host/path, and header fields as 'name: value'";
        return fail(exit::USAGE, &format!("`{verb} {url}{fields}` is no request: {hint}"));
    };
    let mut out = String::new();
    let answered = explain(snapshot, &asked, &mut out);
    let printed = say(&gateway.pasteable(&out));
    if answered { printed } else { ExitCode::from(exit::UNAVAILABLE) }
}

/// A request as typed.
struct Asked {
    verb: String,
    /// Without a port.
    authority: String,
    port: Option<u16>,
    target: String,
    /// `name: value`
    fields: Vec<String>,
    /// Whether the canary is followed.
    canary: bool,
}

impl Asked {
    fn parse(verb: &str, url: &str, fields: &[String], canary: bool) -> Option<Self> {
        let unfit = |text: &str| text.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control());
        let is_field = |field: &String| {
            field.split_once(':').is_some_and(|(name, _)| !unfit(name)) && !field.chars().any(char::is_control)
        };
        if unfit(verb) || unfit(url) || !fields.iter().all(is_field) {
            return None;
        }
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let rest = rest.split('#').next().unwrap_or(rest);
        let start = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(start);
        let authority = if authority.is_empty() { "localhost" } else { authority };
        let port = authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        let slash = if path.starts_with('/') { "" } else { "/" };
        Some(Self {
            verb: verb.to_owned(),
            authority: authority.to_owned(),
            port,
            target: format!("{slash}{path}"),
            fields: fields.to_vec(),
            canary,
        })
    }

    /// The bytes that a client would send.
    fn bytes(&self) -> Vec<u8> {
        let fields = self.fields.iter().fold(String::new(), |all, field| all + field + "\r\n");
        format!("{} {} HTTP/1.1\r\nHost: {}\r\n{fields}\r\n", self.verb, self.target, self.authority).into_bytes()
    }
}

fn line(out: &mut String, name: &str, value: &str) {
    let _ = writeln!(out, "{name:<10} {value}");
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Whether a route answers.
fn explain(snapshot: &Snapshot, asked: &Asked, out: &mut String) -> bool {
    // Keys and tokens travel in queries, and what is printed here is kept and passed on.
    let path = asked.target.split_once('?').map_or(asked.target.clone(), |(path, _)| format!("{path}?…"));
    line(out, "request", &format!("{} http://{}{path}", asked.verb, asked.authority));
    let bytes = asked.bytes();
    let mut head = RequestHead::new();
    match parse_request(&bytes, &mut head, &snapshot.gateway.limits.head) {
        Ok(Progress::Complete) => {}
        Ok(Progress::Incomplete) => return false,
        Err(how) => return misbehaved(how, out),
    }
    let mut scratch = Vec::new();
    let path = match canonical_path(head.path.of(&bytes), &mut scratch) {
        Ok(path) => path,
        Err(how) => return misbehaved(how, out),
    };
    if path != head.path.of(&bytes) {
        line(out, "path", &format!("{}, dot segments removed", text(path)));
    }
    // As the spine sees them: a field that is never forwarded fits no rule.
    let has_field = |name: &str, value: &Glob| {
        let mut named = head.fields.iter().filter(|field| field.fate == Fate::Pass);
        named.any(|field| {
            field.name.of(&bytes).eq_ignore_ascii_case(name.as_bytes()) && value.matches(field.value.of(&bytes))
        })
    };
    let host = head.host.of(&bytes);
    let execute_api = execute_api(snapshot, asked.port);
    let domain = hosts::domain_of(snapshot, &text(host), execute_api);
    let rule =
        domain.and_then(|domain| hosts::rules(snapshot, domain).find(|rule| hosts::takes(rule, path, has_field)));
    let verb = Verb::parse(asked.verb.as_bytes());
    let query = head.query.map(|query| query.of(&bytes));
    let request =
        Request { host: text(host), path, query, verb, domain, rule, execute_api, head: &head, bytes: &bytes };
    match snapshot.table.locate(host, path, execute_api, has_field) {
        Ok(located) => in_stage(snapshot, &request, (located.stage, located.rest), asked.canary, out),
        Err(miss) => {
            refused(snapshot, &request, miss, out);
            false
        }
    }
}

/// What the stage makes of a request; whether a route answers.
fn in_stage(
    snapshot: &Snapshot,
    request: &Request<'_>,
    (number, rest): (u32, u16),
    canary: bool,
    out: &mut String,
) -> bool {
    let stage = &snapshot.stages[number as usize];
    let api = &snapshot.apis[stage.api as usize];
    let canary = canary && stage.canary.is_some();
    place(snapshot, request, (stage, canary), rest, out);
    let Some(release) = stage.release(canary) else {
        refusal(Refusal::NoSuchStage, Some(api.kind), out);
        let (api, stage) = (&api.id, &stage.name);
        line(out, "but", &format!("nothing was deployed to this stage yet: `tollgate deploy {api} {stage}`"));
        return false;
    };
    let kind = release.program.kind;
    let mut captures = Captures::default();
    let found = request.verb.and_then(|verb| release.program.routes.find(request.path, rest, verb, &mut captures));
    let program = (snapshot, &*release.program);
    let told = beside::origins(program, request.head, request.bytes);
    if let Some((told, _)) = &told {
        line(out, "cors", told);
    }
    let is_own = found.is_some_and(|method| release.program.methods[method as usize].key.starts_with("OPTIONS "));
    if told.is_some_and(|(_, is_preflight)| is_preflight) && !is_own {
        let firewall = firewalls::rules(snapshot, stage.api as usize);
        let first = if firewall.is_empty() { String::new() } else { format!("{} → ", Phase::Firewall.name()) };
        line(out, "phases", &format!("{first}{}", Phase::Preflight.name()));
        for rule in &firewall {
            line(out, "firewall", rule);
        }
        line(out, "answers", "204, without an integration: whether a page of another origin may call");
        return true;
    }
    let Some(method) = found else {
        refusal(Refusal::NoSuchMethod, Some(kind), out);
        if let Some(instead) = beside::instead(program, Refusal::NoSuchMethod, has_verbs(request, release, rest)) {
            line(out, "instead", &instead);
        }
        near(request, release, rest, out);
        return false;
    };
    answers(snapshot, request, &Found { release, method, rest, stage: number }, &captures, out);
    true
}

/// What answers.
struct Found<'a> {
    release: &'a Release,
    method: u32,
    rest: u16,
    /// The number of its stage.
    stage: u32,
}

/// A request that was understood.
struct Request<'a> {
    host: String,
    path: &'a [u8],
    query: Option<&'a [u8]>,
    verb: Option<Verb>,
    /// The domain that answers its host, as written.
    domain: Option<&'a str>,
    /// The rule of that domain that takes it.
    rule: Option<&'a Rule>,
    /// Whether execute-api names answer where it arrives.
    execute_api: bool,
    /// All of it.
    head: &'a RequestHead,
    /// The bytes of the head.
    bytes: &'a [u8],
}

/// Whether execute-api names answer: at the listener of that port, if there is one, else at any.
fn execute_api(snapshot: &Snapshot, port: Option<u16>) -> bool {
    let listeners = &snapshot.gateway.listen;
    let of_port = listeners.iter().find(|listener| match &listener.address {
        config::ListenAddress::Tcp(address) => Some(address.port()) == port,
        config::ListenAddress::Unix(_) => false,
    });
    of_port.map_or_else(|| listeners.iter().any(|listener| listener.execute_api), |listener| listener.execute_api)
}

fn misbehaved(how: Misbehaviour, out: &mut String) -> bool {
    line(out, "refused", &format!("{}: {} (row {})", how.status(), how.name().replace('_', " "), how.row()));
    false
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Rest => "rest",
        Kind::Http => "http",
        Kind::WebSocket => "websocket",
    }
}

fn answers(snapshot: &Snapshot, request: &Request<'_>, found: &Found<'_>, captures: &Captures, out: &mut String) {
    let method = &found.release.program.methods[found.method as usize];
    line(out, "route", &format!("{}: {}", method.key, why(method, request)));
    if let Ok(template) = Template::parse(&method.resource_path) {
        for (at, name) in template.variables().iter().enumerate() {
            let value = captures.of(at, request.path).map(text).unwrap_or_default();
            line(out, "variable", &format!("{name} = {value}"));
        }
    }
    let met = throttles::met(snapshot, found.stage, &snapshot.stages[found.stage as usize], method);
    let clients = clients(snapshot, request);
    let firewall = firewalls::rules(snapshot, snapshot.stages[found.stage as usize].api as usize);
    let asked = (clients.is_some(), !firewall.is_empty(), found.release.program.policy.is_some());
    line(out, "phases", &phases(method, asked, &met).join(" → "));
    if let Some(MutualTls { files, optional, .. }) = clients {
        let asked = if *optional { "may show a certificate" } else { "show a certificate" };
        line(out, "clients", &format!("{asked} that leads to one of {}", files.truststore));
        for list in &files.revocation {
            line(out, "revoked", &list.to_string());
        }
    }
    for rule in firewall {
        line(out, "firewall", &rule);
    }
    for (name, text) in plans::met(snapshot, found.stage, method) {
        line(out, name, &text);
    }
    for (phase, limit) in &met {
        line(out, "limit", &format!("{}: {limit}", phase.name()));
    }
    if let Some(authorizer) = authorizers::decides(snapshot, &found.release.program, method) {
        line(out, "authorizer", &authorizer);
    }
    if let Some(policy) = authorizers::policy(snapshot, &found.release.program, method) {
        line(out, "policy", &policy);
    }
    if let Some(refusals) = beside::refusals((snapshot, &found.release.program)) {
        line(out, "refusals", &refusals);
    }
    match &method.integration {
        Integration::Mock(mock) => line(out, "answers", &format!("mock, status {}", mock.status)),
        Integration::SelectedMock(_) => line(out, "answers", "mock, by the status of its request template"),
        Integration::Http(rule) => http(snapshot, request, (rule, found), captures, out),
        Integration::Unavailable(why) => line(out, "answers", &format!("500: {why}")),
    }
}

/// By whom the host, or a listener for whatever host, wants its clients to prove themselves (DM-10).
fn clients<'a>(snapshot: &'a Snapshot, request: &Request<'_>) -> Option<&'a MutualTls> {
    let of_domain = |domain: &str| {
        let mut protected = snapshot.protected.iter();
        protected.find(|(host, _)| host.eq_ignore_ascii_case(domain)).map(|(_, tls)| tls)
    };
    let mut of_listeners = snapshot.gateway.listen.iter().filter_map(|listener| listener.tls.as_ref());
    let own = request.domain.and_then(of_domain);
    own.map_or_else(|| of_listeners.find_map(|tls| tls.clients.as_ref()), |tls| tls.clients.as_ref())
}

/// What happens to the request, in order.
fn phases(
    method: &Method,
    (asks_clients, has_firewall, has_policy): (bool, bool, bool),
    limits: &[(Phase, String)],
) -> Vec<&'static str> {
    // `None`: nobody asks who calls.
    let signed = (method.rules.authorize != Authorize::Open).then_some(method.rules.authorize == Authorize::SigV4);
    let happens = |phase: Phase| match (&method.integration, phase) {
        (_, Phase::ProveClient) => asks_clients,
        (_, Phase::Firewall) => has_firewall,
        (_, Phase::PolicyBefore) => has_policy && signed != Some(true),
        (_, Phase::PolicyAfter) => signed == Some(true) || (has_policy && signed.is_some()),
        (_, Phase::ApiKey | Phase::Quota) => method.rules.api_key.is_some(),
        (_, Phase::Authorize) => method.rules.authorize != Authorize::Open,
        (
            _,
            Phase::ThrottleAddress
            | Phase::ThrottlePlan
            | Phase::ThrottleStage
            | Phase::ThrottleAccount
            | Phase::Concurrency,
        ) => limits.iter().any(|(met, _)| *met == phase),
        (_, Phase::Preflight | Phase::NoSuchMethod)
        | (Integration::SelectedMock(_), Phase::ShapeCall)
        | (Integration::Mock(_) | Integration::Unavailable(_), Phase::MapRequest | Phase::MapResponse) => false,
        (Integration::Http(rule), Phase::MapRequest) => rule.request.is_some(),
        (Integration::Http(rule), Phase::MapResponse) => !matches!(rule.response, ResponseShape::AsIs),
        _ => true,
    };
    Phase::ALL.iter().filter(|phase| happens(**phase)).map(|phase| phase.name()).collect()
}

fn why(method: &Method, request: &Request<'_>) -> &'static str {
    if &*method.resource_path == "$default" {
        return "no other route fits";
    }
    let exact = method.key.split(' ').next().and_then(|verb| Verb::parse(verb.as_bytes())) == request.verb;
    let template = Template::parse(&method.resource_path).ok();
    match (template.as_ref().is_some_and(Template::is_greedy), exact) {
        (true, true) => "no more specific path has this verb, and this one takes the rest of the path",
        (true, false) => "no more specific path has this verb or ANY, and this one takes the rest of the path",
        (false, true) => "the most specific path that has this verb",
        (false, false) => "the most specific path; ANY takes the verbs without a route of their own",
    }
}

fn http(
    snapshot: &Snapshot,
    request: &Request<'_>,
    (rule, found): (&HttpRule, &Found<'_>),
    captures: &Captures,
    out: &mut String,
) {
    let upstream = &snapshot.upstreams[found.release.upstreams[rule.authority as usize] as usize];
    let host = &found.release.program.authorities[rule.authority as usize].host;
    let mut target = Vec::new();
    let query = request.query.filter(|_| rule.proxy);
    rule.uri.render_target(request.path, found.rest, captures, query, &mut target);
    let kind = if rule.proxy { "http_proxy" } else { "http" };
    let verb = rule.verb.or(request.verb).map_or("", Verb::as_str);
    line(out, "answers", &format!("{kind}: {verb} http://{}{}", text(host), text(&target)));
    if rule.request.is_some() {
        line(out, "mapping", "parameters of the request are mapped as well; this target is without them");
    }
    line(out, "written", &rule.written);
    line(out, "upstream", &format!("{}: {}", upstream.name, servers(upstream)));
    line(out, "timeout", &format!("{:?} to the end of the answer's head", rule.timeout));
}

/// Host, base path or rule, API and stage.
fn place(snapshot: &Snapshot, request: &Request<'_>, (stage, canary): (&Stage, bool), rest: u16, out: &mut String) {
    let api = &snapshot.apis[stage.api as usize];
    let base = text(&request.path[..usize::from(rest).min(request.path.len())]);
    let host = match (request.domain, request.rule) {
        (Some(domain), Some(rule)) => {
            let rule = format!("rule {} ({})", rule.priority, hosts::conditions(rule));
            format!("{}: domain `{domain}`, {rule}", request.host)
        }
        (Some(domain), None) => {
            let base = if base.is_empty() { "/" } else { &base };
            format!("{}: domain `{domain}`, base path `{base}`", request.host)
        }
        (None, _) if hosts::is_execute_api(&request.host, &api.id) => {
            format!("{}: the execute-api name of `{}`", request.host, api.id)
        }
        (None, _) => format!("{}: any, for `{}` is the only API and there are no domains", request.host, api.id),
    };
    line(out, "host", &host);
    let kind = stage.release(canary).map_or(api.kind, |release| release.program.kind);
    line(out, "api", &format!("{} ({})", api.id, kind_name(kind)));
    line(out, "stage", &stage.name);
    if let Some(part) = &stage.canary {
        let whose = if canary { "followed here" } else { "not followed here: --canary" };
        line(out, "canary", &format!("{} % of the requests, {whose}", part.percent));
    }
    if let Some(id) = stage.release(canary).and_then(|release| release.deployment.as_ref()) {
        line(out, "deployment", id);
    }
}

fn refused(snapshot: &Snapshot, request: &Request<'_>, miss: Miss, out: &mut String) {
    let kind_of = |api: router::ApiId| snapshot.apis[api.0 as usize].kind;
    match miss {
        Miss::Host => {
            line(out, "host", &format!("{}: no domain fits, and it is no API's execute-api name here", request.host));
            refusal(Refusal::NoSuchApi, None, out);
            let open = snapshot.apis.iter().filter(|api| request.execute_api && api.execute_api);
            let names = open.map(|api| format!("{}.execute-api.localhost", api.id));
            let known: Vec<String> = hosts::domains(snapshot).into_iter().map(str::to_owned).chain(names).collect();
            let known = if known.is_empty() { "no host at all".to_owned() } else { known.join(", ") };
            line(out, "known", &known);
        }
        Miss::Mapping { kind } => {
            line(out, "host", &format!("{}: a domain fits, but none of its base paths does", request.host));
            refusal(Refusal::NoSuchApi, kind, out);
            // The most specific domain answers; the others are not asked.
            let domain = request.domain.unwrap_or_default();
            for rule in hosts::rules(snapshot, domain) {
                line(out, "rule", &format!("{}: {}", rule.priority, hosts::conditions(rule)));
            }
            let paths: Vec<&str> = hosts::mappings(snapshot, domain).map(|mapping| &*mapping.base_path).collect();
            if !paths.is_empty() {
                line(out, "known", &paths.join(", "));
            }
        }
        Miss::Closed { api } => {
            let id = &snapshot.apis[api.0 as usize].id;
            line(out, "host", &format!("{}: API `{id}` does not answer under its execute-api name", request.host));
            refusal(Refusal::NoSuchApi, Some(kind_of(api)), out);
        }
        Miss::Stage { api } => {
            let id = &snapshot.apis[api.0 as usize].id;
            line(out, "host", &format!("{}: API `{id}`", request.host));
            refusal(Refusal::NoSuchStage, Some(kind_of(api)), out);
            let stages = snapshot.stages.iter().filter(|stage| stage.api == api.0);
            let names: Vec<&str> = stages.map(|stage| &*stage.name).collect();
            line(out, "known", &format!("the first segment of the path names the stage: {}", names.join(", ")));
        }
    }
}

fn refusal(refusal: Refusal, kind: Option<Kind>, out: &mut String) {
    let reply = refusal.reply(kind);
    line(out, "refused", &format!("{} {} ({})", reply.status, text(reply.body), refusal.name()));
}

fn has_verbs(request: &Request<'_>, release: &Release, rest: u16) -> bool {
    let has = |verb| release.program.routes.find(request.path, rest, verb, &mut Captures::default()).is_some();
    Verb::ALL.into_iter().any(has)
}

/// Other verbs of the same path, or the routes whose paths begin alike.
fn near(request: &Request<'_>, release: &Release, rest: u16, out: &mut String) {
    let has = |verb: &Verb| release.program.routes.find(request.path, rest, *verb, &mut Captures::default()).is_some();
    let others: Vec<&str> = Verb::ALL.iter().filter(|verb| has(verb)).map(|verb| verb.as_str()).collect();
    if !others.is_empty() {
        line(out, "but", &format!("this path has routes for {}", others.join(", ")));
        return;
    }
    let own = text(request.path.get(usize::from(rest)..).unwrap_or_default());
    let mut routes: Vec<(usize, &str)> =
        release.program.methods.iter().map(|method| (alike(&method.resource_path, &own), &*method.key)).collect();
    routes.sort_by_key(|(alike, _)| std::cmp::Reverse(*alike));
    let keys: Vec<&str> = routes.iter().take(NEAREST_SHOWN).map(|(_, key)| *key).collect();
    if !keys.is_empty() {
        line(out, "nearest", &keys.join(", "));
    }
}

/// How much of a path a template has: two for each leading segment that is the same, one for each that begins the same or may be
/// anything, one for the same number of segments.
fn alike(template: &str, path: &str) -> usize {
    let segments = template.split('/').zip(path.split('/'));
    let score = |(a, b): (&str, &str)| match (a, b) {
        _ if a == b => 2,
        _ if a.starts_with('{') || a.eq_ignore_ascii_case(b) => 1,
        _ => usize::from(!a.is_empty() && !b.is_empty() && (b.starts_with(a) || a.starts_with(b))),
    };
    let leading = segments.map(score).take_while(|score| *score > 0).sum::<usize>();
    leading + usize::from(template.split('/').count() == path.split('/').count())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = r#"
gateway: {listen: [127.0.0.1:8080, 0.0.0.0:81]}
upstreams: {pets: {servers: ["127.0.0.1:9000"]}}
apis:
  shop:
    kind: rest
    stages: {prod: {}}
    routes:
      "GET /pets/{id}": {timeout: 2s, integration: {type: http_proxy, uri: "http://pets/v1/{id}?a=b"}}
      "ANY /pets": {integration: {type: mock}}
  web:
    kind: http
    stages: {$default: {}, dev: {}}
    routes: {"GET /x": {integration: {type: mock}}}
domains:
  api.example.com: {mappings: {/shop: shop/prod}}
  "*.example.com": {mappings: {/: web/$default}}
"#;

    fn said(verb: &str, url: &str) -> String {
        let loaded = config::load_text("x", DOCUMENT, std::path::Path::new("."));
        let snapshot = loaded.snapshot.expect("a good document");
        let mut out = String::new();
        explain(&snapshot, &Asked::parse(verb, url, &[], false).expect("a request"), &mut out);
        out
    }

    /// The value behind a name.
    fn value(verb: &str, url: &str, name: &str) -> String {
        let out = said(verb, url);
        let line = out.lines().find(|line| line.split(' ').next() == Some(name));
        line.unwrap_or_else(|| panic!("no {name} in\n{out}")).split_at(11).1.to_owned()
    }

    #[test]
    fn a_request_is_followed_to_its_backend() {
        assert_eq!(
            said("GET", "http://API.example.com/shop/./pets/7?c=d"),
            "request    GET http://API.example.com/shop/./pets/7?…\n\
             path       /shop/pets/7, dot segments removed\n\
             host       API.example.com: domain `api.example.com`, base path `/shop`\n\
             api        shop (rest)\n\
             stage      prod\n\
             route      GET /pets/{id}: the most specific path that has this verb\n\
             variable   id = 7\n\
             phases     shape_call → integrate\n\
             answers    http_proxy: GET http://pets/v1/7?a=b&c=d\n\
             written    http://pets/v1/{id}?a=b\n\
             upstream   pets: 127.0.0.1:9000\n\
             timeout    2s to the end of the answer's head\n"
        );
    }

    #[test]
    fn a_verb_that_is_missing_is_named_beside_those_that_exist() {
        assert_eq!(value("DELETE", "http://api.example.com/shop/pets/7", "but"), "this path has routes for GET");
        let refused = value("DELETE", "http://api.example.com/shop/pets/7", "refused");
        assert!(refused.starts_with("403 {\"message\":\"Missing Authentication Token\"}"), "{refused}");
    }

    #[test]
    fn a_path_that_is_missing_is_named_beside_its_neighbours() {
        assert!(value("GET", "http://api.example.com/shop/pet", "nearest").starts_with("ANY /pets"));
        assert!(value("GET", "http://a.example.com/y", "refused").starts_with("404"));
    }

    #[test]
    fn a_host_or_base_path_that_is_missing_is_said() {
        assert!(value("GET", "http://nobody/", "host").contains("no domain fits"));
        assert!(value("GET", "http://nobody/", "known").contains("shop.execute-api.localhost"));
        assert!(value("GET", "http://api.example.com/other", "host").contains("none of its base paths"));
        assert_eq!(value("GET", "http://api.example.com/other", "known"), "/shop");
    }

    #[test]
    fn execute_api_names_depend_on_the_listener() {
        assert!(value("GET", "http://web.execute-api.localhost/dev/x", "host").contains("execute-api name of `web`"));
        assert_eq!(value("GET", "http://web.execute-api.localhost:8080/dev/x", "stage"), "dev");
        assert!(value("GET", "http://web.execute-api.localhost:81/dev/x", "host").contains("no domain fits"));
        assert!(value("GET", "http://shop.execute-api.localhost/none", "known").ends_with("prod"));
    }

    #[test]
    fn names_that_are_closed_are_not_offered() {
        assert_eq!(value("GET", "http://nobody:81/", "known"), "api.example.com, *.example.com");
        let out = followed("http://nobody/", &[], false);
        assert!(out.ends_with("known      a.example.com\n"), "{out}");
    }

    #[test]
    fn a_stage_without_a_deployment_names_the_command() {
        let text = "gateway: {listen: 127.0.0.1:0, state: nowhere}\napis: {shop: {kind: rest, \
             routes: {GET /: {integration: {type: mock}}}, stages: {prod: {auto_deploy: false}}}}\n";
        let loaded = config::load_text("x", text, std::path::Path::new("."));
        let snapshot = loaded.snapshot.unwrap_or_else(|| panic!("{}", loaded.diagnostics.render(false)));
        let mut out = String::new();
        explain(&snapshot, &Asked::parse("GET", "/prod/", &[], false).expect("a request"), &mut out);
        assert!(out.contains("nothing was deployed to this stage yet: `tollgate deploy shop prod`"), "{out}");
    }

    #[test]
    fn what_no_client_may_send_is_refused_by_name() {
        assert!(value("GET", "http://api.example.com/../x", "refused").starts_with("400"));
        assert!(value("TRACE", "http://api.example.com/x", "refused").starts_with("405"));
        assert!(Asked::parse("GET", "http://a/b c", &[], false).is_none());
        assert!(Asked::parse("GET", "", &[], false).is_none());
        for field in ["x", "a b: c", ": c", "a: b\r\nc: d"] {
            assert!(Asked::parse("GET", "/", &[field.to_owned()], false).is_none(), "{field}");
        }
    }

    const RULES: &str = r#"
gateway: {listen: 127.0.0.1:8080}
apis:
  shop:
    kind: rest
    disable_execute_api_endpoint: true
    stages: {prod: {canary: {percent: 5, variables: {v: "2"}}}, beta: {}}
    routes: {"GET /pets": {integration: {type: mock, body: "${stageVariables.v}"}}}
domains:
  a.example.com:
    mappings: {/m: shop/prod}
    routing_rules:
      - {priority: 1, headers: [{any: [{name: X-Version, value: "beta*"}]}], base_paths: [/b], strip_base_path: true, target: shop/beta}
      - {priority: 2, base_paths: [/c], strip_base_path: true, target: shop/prod}
"#;

    fn followed(url: &str, fields: &[&str], canary: bool) -> String {
        let loaded = config::load_text("x", RULES, std::path::Path::new("."));
        let snapshot = loaded.snapshot.unwrap_or_else(|| panic!("{}", loaded.diagnostics.render(false)));
        let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
        let mut out = String::new();
        explain(&snapshot, &Asked::parse("GET", url, &fields, canary).expect("a request"), &mut out);
        out
    }

    #[test]
    fn the_rule_that_takes_a_request_is_named() {
        let out = followed("http://a.example.com/b/pets", &["x-version: beta7"], false);
        assert!(out.contains("rule 1 (x-version: beta*, and base path /b, taken off)"), "{out}");
        assert!(out.contains("stage      beta\n"), "{out}");
        let out = followed("http://a.example.com/b/pets", &["x-version: 7"], false);
        assert!(out.contains("none of its base paths"), "{out}");
        assert!(out.contains("rule       2: base path /c, taken off\n") && out.contains("known      /m\n"), "{out}");
    }

    #[test]
    fn a_canary_is_said_and_followed_if_asked() {
        let out = followed("http://a.example.com/c/pets", &[], false);
        assert!(out.contains("canary     5 % of the requests, not followed here: --canary\n"), "{out}");
        let out = followed("http://a.example.com/m/pets", &[], true);
        assert!(out.contains("canary     5 % of the requests, followed here\n"), "{out}");
    }

    const ANSWERS: &str = r#"
gateway: {listen: 127.0.0.1:8080}
apis:
  shop:
    kind: rest
    cors:
      allow_origins: [https://a.example]
    gateway_responses:
      DEFAULT_4XX: {status: 418}
      INTEGRATION_FAILURE: {}
    stages: {prod: {}}
    routes: {"GET /pets": {integration: {type: mock}}, "OPTIONS /own": {integration: {type: mock}}}
  web:
    kind: http
    strict_errors: true
    stages: {$default: {}}
    routes: {"GET /pets": {integration: {type: mock}}}
domains: {a.test: {mappings: {/: shop/prod}}, b.test: {mappings: {/: web/$default}}}
"#;

    fn beside(verb: &str, url: &str, fields: &[&str]) -> String {
        let loaded = config::load_text("gateway.yaml", ANSWERS, std::path::Path::new("."));
        let snapshot = loaded.snapshot.unwrap_or_else(|| panic!("{}", loaded.diagnostics.render(false)));
        let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
        let mut out = String::new();
        explain(&snapshot, &Asked::parse(verb, url, &fields, false).expect("a request"), &mut out);
        out
    }

    #[test]
    fn what_is_told_of_origins_is_shown_with_its_line() {
        let origin = "origin: https://a.example";
        let out = beside("GET", "http://a.test/pets", &[origin]);
        let told = "cors       Vary: Origin, access-control-allow-origin: https://a.example (gateway.yaml:7)\n";
        assert!(out.contains(told), "{out}");
        assert!(
            out.contains("refusals   DEFAULT_4XX (gateway.yaml:9), INTEGRATION_FAILURE (gateway.yaml:10)\n"),
            "{out}"
        );
        let asks = [origin, "access-control-request-method: GET"];
        let out = beside("OPTIONS", "http://a.test/nothing", &asks);
        assert!(out.contains("phases     preflight\nanswers    204"), "{out}");
        let out = beside("OPTIONS", "http://a.test/own", &asks);
        assert!(out.contains("route      OPTIONS /own") && !out.contains("204"), "CO-04: {out}");
        assert!(!beside("GET", "http://b.test/pets", &[origin]).contains("cors"));
    }

    #[test]
    fn what_is_said_in_the_place_of_a_refusal_is_shown() {
        let out = beside("GET", "http://a.test/x", &[]);
        assert!(out.contains("instead    418, as gateway response DEFAULT_4XX says (gateway.yaml:9)\n"), "{out}");
        let out = beside("GET", "http://b.test/x", &[]);
        assert!(out.contains("instead    404, a problem document"), "{out}");
        let out = beside("PUT", "http://b.test/pets", &[]);
        assert!(out.contains("instead    405, a problem document"), "{out}");
        let out = beside("GET", "http://b.test/pets", &[]);
        assert!(out.contains("refusals   problem documents: `strict_errors`\n"), "{out}");
    }

    #[test]
    fn a_closed_name_is_said() {
        let out = followed("http://shop.execute-api.localhost/prod/pets", &[], false);
        assert!(out.contains("does not answer under its execute-api name") && out.contains("refused    403"), "{out}");
    }
}
