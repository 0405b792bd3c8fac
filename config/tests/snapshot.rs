//! What good documents become: defaults, routes, upstreams, stages.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use config::snapshot::{Breaker, Outlier, Retry};
use config::{AccessLog, Balance, Integration, ListenAddress, Method, Release, ServerAddress, Snapshot};
use router::{Captures, Kind, Miss, Verb};

fn load(text: &str) -> Snapshot {
    let loaded = config::load_text("gateway.yaml", text, Path::new("/srv/tollgate"));
    assert!(!loaded.diagnostics.has_errors(), "{}", loaded.diagnostics.render(false));
    loaded.snapshot.expect("no error, so there is a snapshot")
}

fn full() -> Snapshot {
    load(include_str!("good/full.yaml"))
}

/// Which method answers, as `api/stage key`.
fn find(snapshot: &Snapshot, verb: &str, host: &str, path: &str) -> String {
    match snapshot.table.locate(host.as_bytes(), path.as_bytes(), true, |_, _| false) {
        Ok(located) => {
            let stage = &snapshot.stages[located.stage as usize];
            assert_eq!(located.api.0, stage.api);
            let program = &stage.release.as_ref().expect("it deploys itself").program;
            let verb = Verb::parse(verb.as_bytes()).expect("a verb");
            let Some(method) = program.routes.find(path.as_bytes(), located.rest, verb, &mut Captures::default())
            else {
                return "no route".into();
            };
            let method = &program.methods[method as usize];
            format!("{}/{} {}", snapshot.apis[stage.api as usize].id, stage.name, method.key)
        }
        Err(Miss::Host) => "no host".into(),
        Err(Miss::Closed { .. }) => "closed".into(),
        Err(Miss::Stage { .. }) => "no stage".into(),
        Err(Miss::Mapping { .. }) => "no mapping".into(),
    }
}

fn method<'a>(snapshot: &'a Snapshot, stage: &str, key: &str) -> &'a Method {
    release(snapshot, stage).program.methods.iter().find(|method| &*method.key == key).expect("the method exists")
}

fn release<'a>(snapshot: &'a Snapshot, stage: &str) -> &'a Release {
    let stage = snapshot.stages.iter().find(|known| &*known.name == stage).expect("the stage exists");
    stage.release.as_ref().expect("it deploys itself")
}

#[test]
fn requests_find_their_methods() {
    let snapshot = full();
    for (verb, host, path, expect) in [
        ("GET", "api.example.com", "/pets/1", "petstore/prod GET /pets/{id}"),
        ("PUT", "api.example.com", "/pets/1", "petstore/prod ANY /pets/{id}"),
        ("GET", "API.example.com", "/dev/pets/1", "petstore/dev GET /pets/{id}"),
        ("GET", "other", "/hello/x", "hello/$default GET /hello/{name}"),
        ("GET", "other", "/files/a/b", "hello/$default ANY /files/{proxy+}"),
        ("POST", "other", "/store", "hello/$default $default"),
        ("GET", "petstore.execute-api.localhost", "/prod/slow", "petstore/prod GET /slow"),
        ("GET", "hello.execute-api.localhost", "/dev/text", "hello/dev GET /text"),
        ("GET", "petstore.execute-api.localhost", "/none/slow", "no stage"),
        ("POST", "api.example.com", "/slow", "no route"),
    ] {
        assert_eq!(find(&snapshot, verb, host, path), expect, "{verb} {host} {path}");
    }
}

#[test]
fn defaults_are_filled_in() {
    let gateway = load("gateway: {listen: [127.0.0.1:8080, 0.0.0.0:81]}").gateway;
    assert_eq!(
        gateway.listen.iter().map(|listener| (listener.backlog, listener.execute_api)).collect::<Vec<_>>(),
        [(4_096, true), (4_096, false)]
    );
    assert_eq!((gateway.admin, gateway.control, gateway.state, gateway.workers), (None, None, None, None));
    assert_eq!(gateway.access_log, AccessLog::None);
    let limits = gateway.limits;
    assert_eq!(limits.head, codec::head::HeadLimits::default());
    assert_eq!(limits.body, Some(10_485_760));
    assert_eq!((limits.connections, limits.requests_per_connection), (50_000, 0));
    assert_eq!((limits.connections_per_address, limits.requests), (0, 0));
    assert_eq!((limits.body_rate, limits.send_rate, limits.answer_rate), (240, 240, 0));
    let times = [limits.header_time, limits.idle_time, limits.body_idle_time, limits.drain_time];
    assert_eq!(times.map(|time| time.as_secs()), [10, 75, 30, 30]);
}

#[test]
fn what_is_written_is_obeyed() {
    let Snapshot { gateway, upstreams, .. } = full();
    assert_eq!(gateway.listen[1].address, ListenAddress::Unix(PathBuf::from("/srv/tollgate/run/tollgate.sock")));
    assert_eq!(gateway.listen[1].backlog, 128);
    assert!(gateway.listen[2].execute_api);
    assert_eq!(gateway.admin, Some("127.0.0.1:9901".parse().unwrap()));
    assert_eq!(gateway.control, Some(PathBuf::from("/srv/tollgate/run/control.sock")));
    assert_eq!(gateway.workers.map(std::num::NonZero::get), Some(2));
    assert_eq!(gateway.access_log, AccessLog::File(PathBuf::from("/srv/tollgate/logs/access.log")));
    assert_eq!((gateway.limits.head.fields, gateway.limits.head.target), (50, 4_096));
    assert_eq!(gateway.limits.body, Some(1 << 20));
    assert_eq!(gateway.limits.body_idle_time, Duration::from_millis(1_500));
    assert_eq!((gateway.limits.body_rate, gateway.limits.send_rate, gateway.limits.answer_rate), (1_024, 0, 10));
    assert_eq!((gateway.limits.connections_per_address, gateway.limits.requests), (10, 500));
    assert_eq!(gateway.limits.drain_time, Duration::ZERO);
    assert_eq!(gateway.resolvers, ["10.0.0.2:53", "[::1]:5353"].map(|address| address.parse().unwrap()));
    let pets = &upstreams[0];
    assert_eq!(
        (&*pets.name, pets.balance, pets.connect_time),
        ("pets", Balance::LeastRequests, Duration::from_secs(1))
    );
    assert_eq!((pets.pool.idle, pets.pool.idle_time.as_secs(), pets.pool.connections), (8, 30, 64));
    assert_eq!(pets.servers.iter().map(|server| server.weight).collect::<Vec<_>>(), [1, 2, 1, 1]);
    assert_eq!(pets.servers[2].address, ServerAddress::Unix(PathBuf::from("/srv/tollgate/run/pets.sock")));
    assert_eq!(pets.servers[3].address, ServerAddress::Name { host: "backend.local".into(), port: 80 });
    assert_eq!((pets.panic, pets.slow_start), (40, Duration::from_secs(30)));
    let [time, time_max] = [1, 20].map(Duration::from_secs);
    assert_eq!(pets.outlier, Some(Outlier { failures: 3, time, time_max, share: 34, answers: true }));
    let (connections, pending, requests) = (Some(100), Some(10), Some(1_000));
    assert_eq!(pets.breaker, Breaker { connections, pending, requests });
    let try_time = Some(Duration::from_millis(500));
    assert_eq!(pets.retry, Retry { attempts: 2, budget: 10, per_second: 5, try_time });
    let check = pets.health_check.as_ref().expect("it is written");
    assert_eq!((&*check.path, check.host.as_deref()), ("/healthz?full", Some("pets.test:80")));
    assert_eq!((check.interval.as_millis(), check.timeout.as_millis()), (1_000, 300));
    assert_eq!((check.healthy, check.unhealthy, check.jitter), (1, 5, 0));
    assert_eq!(*check.statuses, [(200, 204), (429, 429)]);
    let quiet = &upstreams[1];
    assert_eq!(*quiet.health_check.as_ref().expect("it is written").statuses, [(200, 299)]);
    let safe = upstreams[2].tls.as_ref().expect("it is written");
    assert_eq!(
        (safe.server_name.as_deref(), safe.any_issuer, safe.policy.only_1_3),
        (Some("api.internal"), true, true)
    );
    assert_eq!((safe.authorities.as_ref(), safe.client.as_ref()), (None, None));
    assert_eq!((quiet.outlier, quiet.retry.attempts, quiet.breaker), (None, 1, Breaker::default()));
}

#[test]
fn an_unlimited_body_and_short_forms_are_understood() {
    let gateway =
        load("gateway: {listen: 'unix:a', workers: auto, access_log: stdout, limits: {body: unlimited}}").gateway;
    assert_eq!((gateway.limits.body, gateway.workers, gateway.access_log), (None, None, AccessLog::Stdout));
}

#[test]
fn literal_authorities_share_an_upstream() {
    let snapshot = full();
    let names: Vec<&str> = snapshot.upstreams.iter().map(|upstream| &*upstream.name).collect();
    let (of_dev, of_hello) =
        (["127.0.0.1:9000", "https://api.example.com:443", "api.example.com:80"], ["[::1]:9000", "localhost:9000"]);
    assert_eq!(names, [&["pets", "quiet", "safe", "named"][..], &of_dev, &of_hello].concat());
    let tls: Vec<bool> = snapshot.upstreams.iter().map(|upstream| upstream.tls.is_some()).collect();
    assert_eq!(tls, [false, false, true, false, false, true, false, false, false]);
}

#[test]
fn a_stage_variable_chooses_the_upstream_of_each_stage() {
    let snapshot = full();
    for (stage, upstream, host) in [("dev", 4, "127.0.0.1:9000"), ("prod", 0, "pets")] {
        let Integration::Http(rule) = &method(&snapshot, stage, "GET /pets/{id}").integration else { panic!() };
        let release = release(&snapshot, stage);
        let authority = &release.program.authorities[rule.authority as usize];
        assert_eq!((release.upstreams[rule.authority as usize], &*authority.host), (upstream, host.as_bytes()));
        assert_eq!((rule.verb, rule.timeout, rule.proxy), (Some(Verb::Post), Duration::from_secs(2), true));
    }
}

#[test]
fn a_route_may_have_its_own_retry() {
    let snapshot = full();
    let own = |key: &str| match &method(&snapshot, "dev", key).integration {
        Integration::Http(rule) => (rule.attempts, rule.try_time),
        _ => panic!("{key} has a backend"),
    };
    assert_eq!(own("GET /pets/{id}"), (Some(4), Some(Duration::from_millis(800))));
    assert_eq!(own("ANY /pets/{id}"), (Some(1), None));
    assert_eq!(own("GET /slow"), (None, None));
}

#[test]
fn targets_are_filled_by_name() {
    let snapshot = full();
    for (stage, path, expect) in [("dev", "/pets/7", "/v1/x/7?a=b&c=d"), ("prod", "/pets/7", "/v2/7?a=b&c=d")] {
        let Integration::Http(rule) = &method(&snapshot, stage, "GET /pets/{id}").integration else { panic!() };
        let host = if stage == "dev" { "petstore.execute-api.x" } else { "api.example.com" };
        let full = if stage == "dev" { format!("/dev{path}") } else { path.to_owned() };
        let mut captures = Captures::default();
        let located = snapshot.table.locate(host.as_bytes(), full.as_bytes(), true, |_, _| false).ok().unwrap();
        let routes = &release(&snapshot, stage).program.routes;
        routes.find(full.as_bytes(), located.rest, Verb::Get, &mut captures).unwrap();
        let mut out = Vec::new();
        rule.uri.render_target(full.as_bytes(), located.rest, &captures, Some(b"c=d"), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expect);
    }
}

#[test]
fn the_default_route_of_an_http_api_appends_the_path() {
    let snapshot = full();
    let Integration::Http(rule) = &method(&snapshot, "$default", "$default").integration else { panic!() };
    let mut out = Vec::new();
    rule.uri.render_target(b"/store/checkout", 0, &Captures::default(), None, &mut out);
    assert_eq!(out, b"/all/store/checkout");
    assert_eq!((rule.verb, &*method(&snapshot, "$default", "$default").resource_path), (None, "$default"));
}

#[test]
fn mappings_are_listed_for_people() {
    let snapshot = full();
    let listed: Vec<(&str, &str, u32)> =
        snapshot.mappings.iter().map(|mapping| (&*mapping.domain, &*mapping.base_path, mapping.stage)).collect();
    assert_eq!(listed, [("api.example.com", "/", 1), ("api.example.com", "/dev", 0), ("*", "/", 2)]);
}

#[test]
fn a_document_with_errors_still_names_its_control_socket() {
    let folder = std::env::temp_dir().join(format!("tollgate-config-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("gateway.yaml");
    std::fs::write(&path, "gateway: {listen: 8080, control: run/c.sock, nonsense: 1}").unwrap();
    assert!(config::load(&path).snapshot.is_none());
    assert_eq!(config::control_path(&path), Ok(Some(folder.join("run/c.sock"))));
    assert!(config::control_path(&folder.join("none.yaml")).unwrap_err().has_errors());
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn timeouts_follow_the_kind_unless_written() {
    let snapshot = full();
    let timeout = |stage: &str, key: &str| match &method(&snapshot, stage, key).integration {
        Integration::Http(rule) => rule.timeout.as_millis(),
        Integration::Mock(_) | Integration::SelectedMock(_) | Integration::Unavailable(_) => panic!("{key}"),
    };
    assert_eq!(timeout("prod", "ANY /pets/{id}"), 29_000);
    assert_eq!(timeout("$default", "$default"), 30_000);
    assert_eq!(timeout("prod", "GET /slow"), 600_000);
}

#[test]
fn mocks_say_their_media_type() {
    let snapshot = full();
    let Integration::Mock(json) = &method(&snapshot, "$default", "GET /hello/{name}").integration else { panic!() };
    assert_eq!(json.status, 201);
    assert_eq!(json.headers.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), ["Content-Type"]);
    let Integration::Mock(text) = &method(&snapshot, "$default", "GET /text").integration else { panic!() };
    assert_eq!(text.headers.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), ["Content-Type", "X-Id", "On"]);
}

#[test]
fn stages_without_variables_share_their_programs() {
    let snapshot = full();
    let program = |name: &str, api: u32| {
        let stage = snapshot.stages.iter().find(|stage| &*stage.name == name && stage.api == api).unwrap();
        &stage.release.as_ref().unwrap().program
    };
    assert!(Arc::ptr_eq(program("$default", 1), program("dev", 1)));
    assert!(!Arc::ptr_eq(program("dev", 0), program("prod", 0)));
}

#[test]
fn an_only_api_answers_at_every_host() {
    let snapshot = load(
        "{gateway: {listen: 127.0.0.1:1}, apis: {a: {kind: rest, stages: {prod: }, routes: {GET /x: {integration: {type: mock}}}}}}",
    );
    assert_eq!(find(&snapshot, "GET", "any.host", "/prod/x"), "a/prod GET /x");
    assert_eq!(snapshot.apis[0].kind, Kind::Rest);
}

#[test]
fn two_apis_without_domains_answer_by_their_names_only() {
    let route = "routes: {GET /x: {integration: {type: mock}}}, stages: {prod: }";
    let snapshot = load(&format!(
        "{{gateway: {{listen: 127.0.0.1:1}}, apis: {{a: {{kind: rest, {route}}}, b: {{kind: http, {route}}}}}}}"
    ));
    assert_eq!(find(&snapshot, "GET", "any.host", "/prod/x"), "no host");
    assert_eq!(find(&snapshot, "GET", "b.execute-api.localhost", "/prod/x"), "b/prod GET /x");
}

#[test]
fn ten_thousand_routes_compile() {
    let mut text = String::from(
        "gateway: {listen: 127.0.0.1:8080}\nupstreams: {u: {servers: [\"127.0.0.1:1\"]}}\napis:\n  big:\n    kind: http\n    stages: {$default: , a: , b: }\n    routes:\n",
    );
    let route = |number: usize| {
        let key = format!("GET /r{}/{{id}}/s{number}", number % 97);
        let uri = format!("http://u/{{id}}/{number}");
        format!("      \"{key}\": {{integration: {{type: http_proxy, uri: \"{uri}\"}}}}\n")
    };
    text.extend((0..10_000).map(route));
    let snapshot = load(&text);
    assert_eq!(snapshot.stages[0].release.as_ref().unwrap().program.methods.len(), 10_000);
    assert_eq!(find(&snapshot, "GET", "x", "/r95/7/s9990"), "no route");
    assert_eq!(
        find(&snapshot, "GET", "x", &format!("/r{}/7/s9990", 9_990 % 97)),
        format!("big/$default GET /r{}/{{id}}/s9990", 9_990 % 97)
    );
    assert_eq!(snapshot.upstreams.len(), 1);
}
