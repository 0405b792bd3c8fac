//! `tollgate routes`: every route of every stage, what each stage serves, and what leads there; aligned.

use std::process::ExitCode;
use std::sync::Arc;

use config::{Integration, Method, Release, ServerAddress, Snapshot, Stage, Upstream};
use serde_json::{Value, json};

use super::{hosts, say, share, stdout_colours};

const HEADINGS: [&str; 6] = ["API", "STAGE", "VERB", "PATH", "INTEGRATION", "TARGET"];
const STAGE_HEADINGS: [&str; 3] = ["API", "STAGE", "SERVES"];
const DOMAIN_HEADINGS: [&str; 4] = ["DOMAIN", "RULE", "FOR", "TARGET"];

/// Prints the tables; JSON is the routes alone.
pub fn print(snapshot: &Snapshot, as_json: bool) -> ExitCode {
    let rows: Vec<(Row, Option<&str>)> = snapshot.stages.iter().flat_map(|stage| rows_of(snapshot, stage)).collect();
    if as_json {
        let list: Vec<Value> = rows.iter().map(as_object).collect();
        return say(&format!("{:#}\n", Value::from(list)));
    }
    let rows: Vec<Row> = rows.into_iter().map(|(row, _)| row).collect();
    let color = stdout_colours();
    // Verb and path stand out: they are what one looks for.
    let mut out = table(HEADINGS, &rows, Some((2, 3)), color);
    let stages = stages(snapshot);
    if !stages.is_empty() {
        out.push('\n');
        out.push_str(&table(STAGE_HEADINGS, &stages, None, color));
    }
    let domains = domains(snapshot);
    if !domains.is_empty() {
        out.push('\n');
        out.push_str(&table(DOMAIN_HEADINGS, &domains, None, color));
    }
    say(&out)
}

type Row = [String; 6];

/// The routes of a stage, each with the deployment that it belongs to; those of a canary only if it serves something else.
fn rows_of<'a>(snapshot: &Snapshot, stage: &'a Stage) -> Vec<(Row, Option<&'a str>)> {
    let mut rows = Vec::new();
    let mut add = |release: &'a Release, name: &str| {
        let deployment = release.deployment.as_deref();
        let methods = release.program.methods.iter();
        rows.extend(methods.map(|method| (row(snapshot, stage, name, release, method), deployment)));
    };
    if let Some(release) = &stage.release {
        add(release, &stage.name);
    }
    if let Some(canary) = &stage.canary {
        let same = |release: &Release| Arc::ptr_eq(&release.program, &canary.release.program);
        if !stage.release.as_ref().is_some_and(same) {
            add(&canary.release, &format!("{} canary", stage.name));
        }
    }
    rows
}

/// Stages that serve something else than the document as it is written.
fn stages(snapshot: &Snapshot) -> Vec<[String; 3]> {
    let serves = |release: &Release| match &release.deployment {
        Some(id) => format!("deployment {id}"),
        None => "the document".to_owned(),
    };
    let mut rows = Vec::new();
    for stage in &snapshot.stages {
        let mut what = stage.release.as_ref().map_or("nothing deployed yet".to_owned(), serves);
        if let Some(canary) = &stage.canary {
            what = format!("{what}; canary, {}: {}", share(canary.percent), serves(&canary.release));
        } else if stage.release.as_ref().is_some_and(|release| release.deployment.is_none()) {
            continue;
        }
        rows.push([snapshot.apis[stage.api as usize].id.to_string(), stage.name.to_string(), what]);
    }
    rows
}

/// Rules and mappings of each domain, in the order in which they are asked; the longest base path that fits is taken.
fn domains(snapshot: &Snapshot) -> Vec<[String; 4]> {
    let target = |number: u32| {
        let stage = &snapshot.stages[number as usize];
        format!("{}/{}", snapshot.apis[stage.api as usize].id, stage.name)
    };
    let mut rows = Vec::new();
    for domain in hosts::domains(snapshot) {
        let rules = hosts::rules(snapshot, domain);
        rows.extend(
            rules.map(|rule| {
                [domain.to_owned(), rule.priority.to_string(), hosts::conditions(rule), target(rule.stage)]
            }),
        );
        let mappings = hosts::mappings(snapshot, domain);
        rows.extend(
            mappings.map(|mapping| {
                [domain.to_owned(), String::new(), mapping.base_path.to_string(), target(mapping.stage)]
            }),
        );
    }
    rows
}

fn row(snapshot: &Snapshot, stage: &Stage, name: &str, release: &Release, method: &Method) -> Row {
    let verb = method.key.split_once(' ').map_or("ANY", |(verb, _)| verb);
    let (kind, target) = match &method.integration {
        Integration::Mock(mock) => ("mock", mock.status.to_string()),
        Integration::SelectedMock(_) => ("mock", String::new()),
        Integration::Http(http) => {
            let kind = if http.proxy { "http_proxy" } else { "http" };
            let upstream = &snapshot.upstreams[release.upstreams[http.authority as usize] as usize];
            (kind, format!("{}{}", http.written, servers_of(&http.written, upstream)))
        }
        Integration::Unavailable(why) => ("unavailable", why.to_string()),
    };
    [
        snapshot.apis[stage.api as usize].id.to_string(),
        name.to_owned(),
        verb.to_owned(),
        method.resource_path.to_string(),
        kind.to_owned(),
        target,
    ]
}

/// ` (127.0.0.1:9000, 127.0.0.1:9001)`, unless the URI says it already.
fn servers_of(uri: &str, upstream: &Upstream) -> String {
    let shown = servers(upstream);
    if uri.contains(&shown) || uri.contains(&format!("//{}", shown.trim_end_matches(":80"))) {
        return String::new();
    }
    format!(" ({shown})")
}

/// The servers of an upstream, at most three of them.
pub fn servers(upstream: &Upstream) -> String {
    const SHOWN: usize = 3;
    let mut shown: Vec<String> = upstream.servers.iter().take(SHOWN).map(|server| address(&server.address)).collect();
    if upstream.servers.len() > SHOWN {
        shown.push(format!("{} more", upstream.servers.len() - SHOWN));
    }
    shown.join(", ")
}

fn address(address: &ServerAddress) -> String {
    match address {
        ServerAddress::Socket(address) => address.to_string(),
        ServerAddress::Name { host, port } => format!("{host}:{port}"),
        ServerAddress::Unix(path) => format!("unix:{}", path.display()),
    }
}

fn as_object(([api, stage, verb, path, integration, target], deployment): &(Row, Option<&str>)) -> Value {
    json!({
        "api": api,
        "stage": stage,
        "verb": verb,
        "path": path,
        "integration": integration,
        "target": target,
        "deployment": deployment,
    })
}

/// Columns as wide as their widest cell, two spaces apart; the last one ragged. `loud`: the first and the last column that stand out.
fn table<const N: usize>(
    headings: [&str; N],
    rows: &[[String; N]],
    loud: Option<(usize, usize)>,
    color: bool,
) -> String {
    let mut widths = headings.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let (bold, dim, reset) = if color { ("\x1b[1m", "\x1b[2m", "\x1b[0m") } else { ("", "", "") };
    let mut out = String::from(dim);
    push_line(&mut out, headings, &widths);
    out.truncate(out.trim_end().len());
    out.push_str(reset);
    out.push('\n');
    for row in rows {
        let mut line = String::new();
        push_line(&mut line, row.each_ref().map(String::as_str), &widths);
        let Some((first, last)) = loud else {
            out.push_str(line.trim_end());
            out.push('\n');
            continue;
        };
        let from = widths[..first].iter().map(|width| width + 2).sum::<usize>();
        let to = widths[..last].iter().map(|width| width + 2).sum::<usize>() + widths[last];
        let at = |column: usize| line.char_indices().nth(column).map_or(line.len(), |(at, _)| at);
        let (from, to) = (at(from), at(to));
        out.push_str(&line[..from]);
        out.push_str(bold);
        out.push_str(&line[from..to]);
        out.push_str(reset);
        out.push_str(line[to..].trim_end());
        out.push('\n');
    }
    out
}

fn push_line<const N: usize>(out: &mut String, cells: [&str; N], widths: &[usize; N]) {
    for (cell, width) in cells.into_iter().zip(widths) {
        out.push_str(cell);
        out.extend(std::iter::repeat_n(' ', width + 2 - cell.chars().count()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Snapshot {
        let text = r#"
gateway: {listen: 127.0.0.1:1}
upstreams: {pets: {servers: ["127.0.0.1:9000", "127.0.0.1:9001"]}}
apis:
  a:
    kind: http
    stages: {$default: {}}
    routes:
      "GET /hello/{name}": {integration: {type: mock, status: 201}}
      "ANY /{proxy+}": {integration: {type: http_proxy, uri: "http://pets/{proxy}"}}
      $default: {integration: {type: http, uri: "http://127.0.0.1:9000"}}
"#;
        let loaded = config::load_text("x", text, std::path::Path::new("."));
        loaded.snapshot.expect("a good document")
    }

    fn rows() -> Vec<Row> {
        let snapshot = snapshot();
        rows_of(&snapshot, &snapshot.stages[0]).into_iter().map(|(row, _)| row).collect()
    }

    #[test]
    fn columns_are_aligned() {
        assert_eq!(
            table(HEADINGS, &rows(), Some((2, 3)), false),
            "API  STAGE     VERB  PATH           INTEGRATION  TARGET\n\
             a    $default  GET   /hello/{name}  mock         201\n\
             a    $default  ANY   /{proxy+}      http_proxy   http://pets/{proxy} (127.0.0.1:9000, 127.0.0.1:9001)\n\
             a    $default  ANY   $default       http         http://127.0.0.1:9000\n"
        );
    }

    #[test]
    fn colours_change_nothing_but_colours() {
        let coloured = table(HEADINGS, &rows(), Some((2, 3)), true);
        assert!(coloured.contains("\x1b[1mGET   /hello/{name}\x1b[0m"));
        let plain = ["\x1b[1m", "\x1b[2m", "\x1b[0m"].iter().fold(coloured, |text, code| text.replace(code, ""));
        assert_eq!(plain, table(HEADINGS, &rows(), Some((2, 3)), false));
    }

    #[test]
    fn canaries_rules_and_mappings_are_shown() {
        let text = r#"
gateway: {listen: 127.0.0.1:1}
apis:
  a:
    kind: rest
    stages:
      prod: {variables: {v: one}, canary: {percent: 12.5, variables: {v: two}}}
      plain: {}
    routes: {"GET /": {integration: {type: mock, body: "${stageVariables.v}"}}}
domains:
  x.example.com:
    mappings: {/: a/plain}
    routing_rules:
      - {priority: 20, base_paths: [/b, c/d], strip_base_path: true, target: a/prod}
      - {priority: 10, headers: [{any: [{name: X-V, value: "two*"}, {name: x-w, value: "*"}]}], target: a/prod}
"#;
        let loaded = config::load_text("x", text, std::path::Path::new("."));
        let snapshot = loaded.snapshot.unwrap_or_else(|| panic!("{}", loaded.diagnostics.render(false)));
        assert_eq!(
            table(STAGE_HEADINGS, &stages(&snapshot), None, false),
            "API  STAGE  SERVES\na    prod   the document; canary, 12.5 %: the document\n"
        );
        assert_eq!(
            table(DOMAIN_HEADINGS, &domains(&snapshot), None, false),
            "DOMAIN         RULE  FOR                             TARGET\n\
             x.example.com  10    x-v: two* or x-w: *             a/prod\n\
             x.example.com  20    base path /b or c/d, taken off  a/prod\n\
             x.example.com        /                               a/plain\n"
        );
        let names: Vec<String> =
            rows_of(&snapshot, &snapshot.stages[0]).into_iter().map(|(row, _)| row[1].clone()).collect();
        assert_eq!(names, ["prod", "prod canary"]);
    }
}
