//! `tollgate routes`: every route of every stage, aligned.

use std::process::ExitCode;

use config::{Integration, Method, Release, ServerAddress, Snapshot, Stage, Upstream};
use serde_json::{Value, json};

use super::{say, stdout_colours};

const HEADINGS: [&str; 6] = ["API", "STAGE", "VERB", "PATH", "INTEGRATION", "TARGET"];

/// Prints the table.
pub fn print(snapshot: &Snapshot, as_json: bool) -> ExitCode {
    let rows: Vec<[String; 6]> = snapshot
        .stages
        .iter()
        .filter_map(|stage| Some((stage, stage.release.as_ref()?)))
        .flat_map(|(stage, release)| release.program.methods.iter().map(|method| row(snapshot, stage, release, method)))
        .collect();
    if as_json {
        let list: Vec<Value> = rows.iter().map(as_object).collect();
        return say(&format!("{:#}\n", Value::from(list)));
    }
    say(&table(&rows, stdout_colours()))
}

fn row(snapshot: &Snapshot, stage: &Stage, release: &Release, method: &Method) -> [String; 6] {
    let verb = method.key.split_once(' ').map_or("ANY", |(verb, _)| verb);
    let (kind, target) = match &method.integration {
        Integration::Mock(mock) => ("mock", mock.status.to_string()),
        Integration::Http(http) => {
            let kind = if http.proxy { "http_proxy" } else { "http" };
            let upstream = &snapshot.upstreams[release.upstreams[http.authority as usize] as usize];
            (kind, format!("{}{}", http.written, servers_of(&http.written, upstream)))
        }
        Integration::Unavailable(why) => ("unavailable", why.to_string()),
    };
    [
        snapshot.apis[stage.api as usize].id.to_string(),
        stage.name.to_string(),
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

fn as_object([api, stage, verb, path, integration, target]: &[String; 6]) -> Value {
    json!({ "api": api, "stage": stage, "verb": verb, "path": path, "integration": integration, "target": target })
}

/// Columns as wide as their widest cell, two spaces apart; the last one ragged.
fn table(rows: &[[String; 6]], color: bool) -> String {
    let mut widths = HEADINGS.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let (bold, dim, reset) = if color { ("\x1b[1m", "\x1b[2m", "\x1b[0m") } else { ("", "", "") };
    let mut out = String::from(dim);
    push_line(&mut out, HEADINGS, &widths);
    out.truncate(out.trim_end().len());
    out.push_str(reset);
    out.push('\n');
    for row in rows {
        let mut line = String::new();
        push_line(&mut line, row.each_ref().map(String::as_str), &widths);
        // Verb and path stand out: they are what one looks for.
        let from = widths[0] + widths[1] + 4;
        let to = from + widths[2] + 2 + widths[3];
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

fn push_line(out: &mut String, cells: [&str; 6], widths: &[usize; 6]) {
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

    fn rows() -> Vec<[String; 6]> {
        let snapshot = snapshot();
        let stage = &snapshot.stages[0];
        let release = stage.release.as_ref().expect("it deploys itself");
        release.program.methods.iter().map(|method| row(&snapshot, stage, release, method)).collect()
    }

    #[test]
    fn columns_are_aligned() {
        assert_eq!(
            table(&rows(), false),
            "API  STAGE     VERB  PATH           INTEGRATION  TARGET\n\
             a    $default  GET   /hello/{name}  mock         201\n\
             a    $default  ANY   /{proxy+}      http_proxy   http://pets/{proxy} (127.0.0.1:9000, 127.0.0.1:9001)\n\
             a    $default  ANY   $default       http         http://127.0.0.1:9000\n"
        );
    }

    #[test]
    fn colours_change_nothing_but_colours() {
        let coloured = table(&rows(), true);
        assert!(coloured.contains("\x1b[1mGET   /hello/{name}\x1b[0m"));
        let plain = ["\x1b[1m", "\x1b[2m", "\x1b[0m"].iter().fold(coloured, |text, code| text.replace(code, ""));
        assert_eq!(plain, table(&rows(), false));
    }
}
