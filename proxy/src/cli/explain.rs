//! `tollgate explain`: which API, stage and route would answer a request, and why; or why none, and what is near.

use std::fmt::Write as _;
use std::process::ExitCode;

use codec::head::RequestHead;
use codec::http1::misbehave::Misbehaviour;
use codec::http1::parse::{Progress, parse_request};
use codec::target::canonical_path;
use config::{HttpRule, Integration, Mapping, Method, Release, Snapshot, Stage};
use policy::phase::Phase;
use policy::refusal::Refusal;
use router::{Captures, Kind, Miss, Template, Verb};

use super::routes::servers;
use super::{exit, fail, say};

/// Routes that are offered when none fits.
const NEAREST_SHOWN: usize = 3;

/// Prints the explanation; the exit code says whether a route answers.
pub fn print(snapshot: &Snapshot, verb: &str, url: &str) -> ExitCode {
    let Some(asked) = Asked::parse(verb, url) else {
        return fail(exit::USAGE, &format!("`{verb} {url}` is no request: write GET http://host/path"));
    };
    let mut out = String::new();
    let answered = explain(snapshot, &asked, &mut out);
    let printed = say(&out);
    if answered { printed } else { ExitCode::from(exit::UNAVAILABLE) }
}

/// A request as typed.
struct Asked {
    verb: String,
    /// Without a port.
    authority: String,
    port: Option<u16>,
    target: String,
}

impl Asked {
    fn parse(verb: &str, url: &str) -> Option<Self> {
        let unfit = |text: &str| text.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control());
        if unfit(verb) || unfit(url) {
            return None;
        }
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let rest = rest.split('#').next().unwrap_or(rest);
        let start = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(start);
        let authority = if authority.is_empty() { "localhost" } else { authority };
        let port = authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        let slash = if path.starts_with('/') { "" } else { "/" };
        Some(Self { verb: verb.to_owned(), authority: authority.to_owned(), port, target: format!("{slash}{path}") })
    }

    /// The bytes that a client would send.
    fn bytes(&self) -> Vec<u8> {
        format!("{} {} HTTP/1.1\r\nHost: {}\r\n\r\n", self.verb, self.target, self.authority).into_bytes()
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
    line(out, "request", &format!("{} http://{}{}", asked.verb, asked.authority, asked.target));
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
    let host = head.host.of(&bytes);
    let execute_api = execute_api(snapshot, asked.port);
    let mut captures = Captures::default();
    let verb = Verb::parse(asked.verb.as_bytes());
    let request = Request { host: text(host), path, query: head.query.map(|query| query.of(&bytes)), verb };
    // The command names no fields: rules on them do not hold.
    let located = match snapshot.table.locate(host, path, execute_api, |_, _| false) {
        Ok(located) => located,
        Err(miss) => {
            refused(snapshot, &request, miss, out);
            return false;
        }
    };
    let stage = &snapshot.stages[located.stage as usize];
    let Some(release) = &stage.release else {
        place(snapshot, &request, (located.stage, stage), located.rest, out);
        refusal(Refusal::NoSuchStage, Some(snapshot.apis[stage.api as usize].kind), out);
        line(out, "but", "nothing was deployed to this stage yet: `tollgate deploy API STAGE`");
        return false;
    };
    let routes = &release.program.routes;
    match verb.and_then(|verb| routes.find(path, located.rest, verb, &mut captures)) {
        Some(method) => {
            let found = Found { stage: located.stage, release, method, rest: located.rest };
            answers(snapshot, &request, &found, &captures, out);
            true
        }
        None => {
            place(snapshot, &request, (located.stage, stage), located.rest, out);
            refusal(Refusal::NoSuchMethod, Some(snapshot.apis[stage.api as usize].kind), out);
            near(&request, release, located.rest, out);
            false
        }
    }
}

/// What answers.
struct Found<'a> {
    stage: u32,
    release: &'a Release,
    method: u32,
    rest: u16,
}

/// A request that was understood.
struct Request<'a> {
    host: String,
    path: &'a [u8],
    query: Option<&'a [u8]>,
    verb: Option<Verb>,
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
    let stage = &snapshot.stages[found.stage as usize];
    let method = &found.release.program.methods[found.method as usize];
    place(snapshot, request, (found.stage, stage), found.rest, out);
    line(out, "route", &format!("{}: {}", method.key, why(method, request)));
    if let Ok(template) = Template::parse(&method.resource_path) {
        for (at, name) in template.variables().iter().enumerate() {
            let value = captures.of(at, request.path).map(text).unwrap_or_default();
            line(out, "variable", &format!("{name} = {value}"));
        }
    }
    let phases: Vec<&str> =
        Phase::ALL.iter().filter(|phase| **phase != Phase::NoSuchMethod).map(|phase| phase.name()).collect();
    line(out, "phases", &phases.join(" → "));
    match &method.integration {
        Integration::Mock(mock) => line(out, "answers", &format!("mock, status {}", mock.status)),
        Integration::Http(rule) => http(snapshot, request, (rule, found), captures, out),
        Integration::Unavailable(why) => line(out, "answers", &format!("500: {why}")),
    }
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
    line(out, "written", &rule.written);
    line(out, "upstream", &format!("{}: {}", upstream.name, servers(upstream)));
    line(out, "timeout", &format!("{:?} to the end of the answer's head", rule.timeout));
}

/// Host, base path, API and stage.
fn place(snapshot: &Snapshot, request: &Request<'_>, (number, stage): (u32, &Stage), rest: u16, out: &mut String) {
    let api = &snapshot.apis[stage.api as usize];
    let base = text(&request.path[..usize::from(rest).min(request.path.len())]);
    let same = |mapping: &&Mapping| {
        mapping.stage == number
            && fits(&mapping.domain, &request.host)
            && mapping.base_path.trim_matches('/') == base.trim_matches('/')
    };
    let host = match snapshot.mappings.iter().filter(same).max_by_key(|mapping| specificity(&mapping.domain)) {
        Some(mapping) => format!("{}: domain `{}`, base path `{}`", request.host, mapping.domain, mapping.base_path),
        None if snapshot.mappings.is_empty() && !is_execute_api(&request.host, &api.id) => {
            format!("{}: any, for `{}` is the only API and there are no domains", request.host, api.id)
        }
        None => format!("{}: the execute-api name of `{}`", request.host, api.id),
    };
    line(out, "host", &host);
    line(out, "api", &format!("{} ({})", api.id, kind_name(api.kind)));
    line(out, "stage", &stage.name);
}

/// Whether a domain as written stands for a host: `*.example.com` for one label more.
fn fits(domain: &str, host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let domain = domain.trim_end_matches('.').to_ascii_lowercase();
    match domain.strip_prefix("*.") {
        Some(suffix) => host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == suffix),
        None => domain == "*" || domain == host,
    }
}

fn specificity(domain: &str) -> u8 {
    match domain {
        "*" => 0,
        _ if domain.starts_with("*.") => 1,
        _ => 2,
    }
}

fn is_execute_api(host: &str, api: &str) -> bool {
    let host = host.to_ascii_lowercase();
    host.strip_prefix(&api.to_ascii_lowercase()).is_some_and(|rest| rest.starts_with(".execute-api."))
}

fn refused(snapshot: &Snapshot, request: &Request<'_>, miss: Miss, out: &mut String) {
    let kind_of = |api: router::ApiId| snapshot.apis[api.0 as usize].kind;
    match miss {
        Miss::Host | Miss::Route { .. } => {
            line(out, "host", &format!("{}: no domain fits, and it is no API's execute-api name here", request.host));
            refusal(Refusal::NoSuchApi, None, out);
            let mut domains: Vec<&str> = snapshot.mappings.iter().map(|mapping| &*mapping.domain).collect();
            domains.dedup();
            let names = snapshot.apis.iter().map(|api| format!("{}.execute-api.localhost", api.id));
            let known: Vec<String> = domains.into_iter().map(str::to_owned).chain(names).collect();
            line(out, "known", &known.join(", "));
        }
        Miss::Mapping { kind } => {
            line(out, "host", &format!("{}: a domain fits, but none of its base paths does", request.host));
            refusal(Refusal::NoSuchApi, kind, out);
            // The most specific domain answers; the others are not asked.
            let fitting: Vec<&Mapping> =
                snapshot.mappings.iter().filter(|mapping| fits(&mapping.domain, &request.host)).collect();
            let most = fitting.iter().map(|mapping| specificity(&mapping.domain)).max();
            let asked = fitting.iter().filter(|mapping| Some(specificity(&mapping.domain)) == most);
            let paths: Vec<&str> = asked.map(|mapping| &*mapping.base_path).collect();
            line(out, "known", &paths.join(", "));
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
        explain(&snapshot, &Asked::parse(verb, url).expect("a request"), &mut out);
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
            "request    GET http://API.example.com/shop/./pets/7?c=d\n\
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
    fn what_no_client_may_send_is_refused_by_name() {
        assert!(value("GET", "http://api.example.com/../x", "refused").starts_with("400"));
        assert!(value("TRACE", "http://api.example.com/x", "refused").starts_with("405"));
        assert!(Asked::parse("GET", "http://a/b c").is_none());
        assert!(Asked::parse("GET", "").is_none());
    }

    #[test]
    fn wildcards_stand_for_one_label() {
        assert!(fits("*.a.b", "x.a.b") && fits("*", "x") && fits("A.b", "a.B."));
        assert!(!fits("*.a.b", "a.b") && !fits("*.a.b", "x.y.a.b") && !fits("a.b", "x.a.b"));
    }
}
