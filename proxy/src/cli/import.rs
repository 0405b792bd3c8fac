//! `tollgate import`: a gateway.yaml for OpenAPI documents that people already have.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use config::definition::Definition;
use config::limits::API_ID_CHARS_MAX;
use config::openapi::{self, ImportOptions, export};
use config::snapshot::{FAULTY_URI, Method};
use config::{Diagnostics, Integration, Loaded, Place, Snapshot, Stage};
use serde_json::{Map, Value, json};

use super::export::Kind;
use super::{bad_document, colours, complain, count, exit, fail, say};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The OpenAPI documents: an API of each
    #[arg(required = true, value_name = "OPENAPI")]
    documents: Vec<PathBuf>,
    /// The gateway.yaml to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Make one API of all documents
    #[arg(long)]
    merge: bool,
    /// Which rules of API Gateway hold; by default what the document suggests
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// The stage; by default prod, in an HTTP API $default
    #[arg(long)]
    stage: Option<String>,
    /// The id of the API; by default its title
    #[arg(long, value_name = "ID")]
    name: Option<String>,
    /// What a further document does to those before it
    #[arg(long, value_enum, default_value_t = Mode::Merge)]
    mode: Mode,
    /// What becomes of the base path of the documents
    #[arg(long, value_enum, default_value_t = BasePath::Ignore)]
    base_path: BasePath,
    /// Take a warning about the documents for an error
    #[arg(long)]
    fail_on_warnings: bool,
    /// Write over FILE if it is there
    #[arg(long)]
    force: bool,
}

/// What a further document does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Add, and replace what has the same name
    Merge,
    /// Replace all
    Overwrite,
}

/// What becomes of a base path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum BasePath {
    /// Nothing
    Ignore,
    /// It stands before every path
    Prepend,
    /// All but its first segment stands before every path
    Split,
}

/// One API of the document to write.
struct Api {
    id: String,
    kind: router::Kind,
    stage: String,
    /// As `openapi` names them.
    files: Vec<String>,
    definition: Definition,
}

/// Writes the gateway.yaml, and says what is in it.
pub fn import(arguments: &Arguments) -> ExitCode {
    let Arguments { documents, output, name, merge, force, .. } = arguments;
    if !*force && output.exists() {
        let what = format!("{} is there already; --force writes over it", output.display());
        return fail(exit::CANT_CREATE, &what);
    }
    let groups: Vec<&[PathBuf]> = if *merge { vec![documents] } else { documents.chunks(1).collect() };
    if name.is_some() && groups.len() > 1 {
        return fail(exit::USAGE, "--name is for one API; with --merge, all documents are one");
    }
    let mut apis: Vec<Api> = Vec::new();
    for group in groups {
        match read(group, arguments, &apis) {
            Ok(api) => apis.push(api),
            Err(code) => return code,
        }
    }
    let text = document(&apis, arguments);
    let loaded = config::load_text(&output.display().to_string(), &text, folder(output));
    complain(&loaded.diagnostics.render(colours(&io::stderr())));
    if loaded.diagnostics.has_errors() {
        return ExitCode::from(exit::CONFIG);
    }
    if let Err(error) = write(output, &text, *force) {
        return fail(exit::CANT_CREATE, &format!("{}: {error}", output.display()));
    }
    say(&report(&apis, &loaded, output))
}

fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// Another process may have made the file meanwhile: without `--force`, only a new one is written.
fn write(path: &Path, text: &str, force: bool) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    options.open(path)?.write_all(text.as_bytes())
}

/// Reads the documents of one API. Their faults are printed here only if nothing is to come of them.
fn read(files: &[PathBuf], arguments: &Arguments, others: &[Api]) -> Result<Api, ExitCode> {
    let import = |kind| {
        let options = options(kind, arguments);
        let named: Vec<(PathBuf, Place)> = files.iter().map(|file| (file.clone(), Place::default())).collect();
        let mut faults = Diagnostics::default();
        let definition = openapi::import(&named, &options, &mut faults);
        faults.finish();
        (definition, faults)
    };
    let kind = arguments.kind.map_or(router::Kind::Rest, Into::into);
    let (mut definition, mut faults) = import(kind);
    let suggested = definition.as_ref().map_or(kind, |definition| suggested_kind(definition, files));
    let kind = if arguments.kind.is_some() { kind } else { suggested };
    if definition.as_ref().is_some_and(|definition| definition.kind != kind) {
        (definition, faults) = import(kind);
    }
    let Some(definition) = definition.filter(|_| !faults.has_errors()) else {
        complain(&faults.render(colours(&io::stderr())));
        let missing = files.iter().map(|file| bad_document(file)).find(|code| *code == exit::NO_INPUT);
        return Err(ExitCode::from(missing.unwrap_or(exit::CONFIG)));
    };
    let default_stage = if kind == router::Kind::Http { "$default" } else { "prod" };
    Ok(Api {
        id: arguments.name.clone().unwrap_or_else(|| free_id(&definition, &files[0], others)),
        kind,
        stage: arguments.stage.clone().unwrap_or_else(|| default_stage.to_owned()),
        files: files.iter().map(|file| relative(file, folder(&arguments.output))).collect(),
        definition,
    })
}

fn options(kind: router::Kind, arguments: &Arguments) -> ImportOptions {
    ImportOptions {
        mode: match arguments.mode {
            Mode::Merge => openapi::Mode::Merge,
            Mode::Overwrite => openapi::Mode::Overwrite,
        },
        base_path: match arguments.base_path {
            BasePath::Ignore => openapi::BasePath::Ignore,
            BasePath::Prepend => openapi::BasePath::Prepend,
            BasePath::Split => openapi::BasePath::Split,
        },
        fail_on_warnings: arguments.fail_on_warnings,
        ..ImportOptions::new(kind)
    }
}

/// HTTP, if a document has what only HTTP APIs have.
fn suggested_kind(definition: &Definition, files: &[PathBuf]) -> router::Kind {
    const MARKS: [&str; 3] = ["x-amazon-apigateway-cors", "x-amazon-apigateway-importexport-version", "isDefaultRoute"];
    let marked = files.iter().any(|file| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        MARKS.iter().any(|mark| text.contains(mark))
    });
    let is_http = definition.methods.iter().filter_map(|method| method.integration.as_ref()).any(|integration| {
        integration.payload_format_version.as_deref().is_some_and(|version| version == "2.0")
            || integration.subtype.is_some()
    });
    if marked || is_http { router::Kind::Http } else { router::Kind::Rest }
}

/// The title as an id that no other API has; without a title the file's name.
fn free_id(definition: &Definition, file: &Path, others: &[Api]) -> String {
    let title = definition.info.title.as_deref().map(slug).filter(|slug| !slug.is_empty());
    let stem = || slug(&file.file_stem().unwrap_or_default().to_string_lossy());
    let plain = title.unwrap_or_else(stem);
    let plain = if plain.is_empty() { "api".to_owned() } else { plain };
    let numbered = (2..).map(|number| {
        let number = format!("-{number}");
        format!("{}{number}", &plain[..plain.len().min(API_ID_CHARS_MAX - number.len())])
    });
    let is_free = |id: &String| others.iter().all(|api| api.id != *id);
    std::iter::once(plain.clone()).chain(numbered).find(is_free).unwrap_or_default()
}

/// `Swagger Petstore!` is `swagger-petstore`.
fn slug(text: &str) -> String {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let mut slug = words.collect::<Vec<_>>().join("-").to_ascii_lowercase();
    slug.truncate(API_ID_CHARS_MAX);
    slug.trim_end_matches('-').to_owned()
}

/// A path as seen from a folder.
fn relative(file: &Path, folder: &Path) -> String {
    let whole = |path: &Path| std::fs::canonicalize(if path.as_os_str().is_empty() { Path::new(".") } else { path });
    let (Ok(file_path), Ok(folder)) = (whole(file), whole(folder)) else {
        return file.display().to_string();
    };
    let (mut to, mut from) = (file_path.components().peekable(), folder.components().peekable());
    while to.peek().is_some() && to.peek() == from.peek() {
        to.next();
        from.next();
    }
    let up = from.map(|_| Component::ParentDir);
    up.chain(to).collect::<PathBuf>().display().to_string()
}

/// The text of the gateway.yaml.
fn document(apis: &[Api], arguments: &Arguments) -> String {
    let mut out = String::from("# Written by `tollgate import`; `tollgate check` says what is wrong with it.\n");
    out.push_str("gateway:\n  listen: 127.0.0.1:8080\n  admin: 127.0.0.1:9901\n  control: control.sock\napis:\n");
    for api in apis {
        push_api(&mut out, api, arguments);
    }
    if let [api] = apis {
        let target = scalar(&format!("{}/{}", api.id, api.stage));
        let _ = writeln!(out, "# domains:\n#   api.example.com: {{mappings: {{/: {target}}}}}");
    } else {
        out.push_str("domains:\n  \"*\":\n    mappings:\n");
        for Api { id, stage, .. } in apis {
            let (path, target) = (scalar(&format!("/{id}")), scalar(&format!("{id}/{stage}")));
            let _ = writeln!(out, "      {path}: {target}");
        }
    }
    out
}

fn push_api(out: &mut String, api: &Api, arguments: &Arguments) {
    let Api { id, kind, stage, files, definition } = api;
    let _ = writeln!(out, "  # {}", named(definition));
    let _ = writeln!(out, "  {}:\n    kind: {}", scalar(id), word(*kind));
    let is_plain = arguments.mode == Mode::Merge && arguments.base_path == BasePath::Ignore;
    if let ([file], true, false) = (&files[..], is_plain, arguments.fail_on_warnings) {
        let _ = writeln!(out, "    openapi: {}", scalar(file));
    } else {
        out.push_str("    openapi:\n      files:\n");
        for file in files {
            let _ = writeln!(out, "        - {}", scalar(file));
        }
        let mut option = |text: &str| out.extend(["      ", text, "\n"]);
        match arguments.mode {
            Mode::Merge => {}
            Mode::Overwrite => option("mode: overwrite"),
        }
        match arguments.base_path {
            BasePath::Ignore => {}
            BasePath::Prepend => option("base_path: prepend"),
            BasePath::Split => option("base_path: split"),
        }
        if arguments.fail_on_warnings {
            option("fail_on_warnings: true");
        }
    }
    let _ = writeln!(out, "    stages:\n      {}:", scalar(stage));
    let variables = stage_variables(definition);
    if !variables.is_empty() {
        out.push_str("        # variables: # the document uses these; without a value, what needs them answers 500\n");
        for name in variables {
            let _ = writeln!(out, "        #   {name}: ");
        }
    }
}

/// Title and version, on one line.
fn named(definition: &Definition) -> String {
    let title = definition.info.title.as_deref().unwrap_or("without a title");
    let version = definition.info.version.as_deref().unwrap_or_default();
    format!("{title} {version}").split_whitespace().collect::<Vec<_>>().join(" ").replace(char::is_control, " ")
}

const fn word(kind: router::Kind) -> &'static str {
    match kind {
        router::Kind::Rest => "rest",
        router::Kind::Http => "http",
        router::Kind::WebSocket => "websocket",
    }
}

/// A text as YAML writes it on one line.
fn scalar(text: &str) -> String {
    let object = Value::Object(Map::from_iter([(text.to_owned(), json!(0))]));
    let line = export::yaml(&object);
    line.trim_end().trim_end_matches(": 0").to_owned()
}

/// The stage variables that a definition speaks of.
fn stage_variables(definition: &Definition) -> BTreeSet<String> {
    let text = serde_json::to_string(definition).unwrap_or_default();
    let name = |rest: &str| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        rest[..end].to_owned()
    };
    text.split("stageVariables.").skip(1).map(name).filter(|name| !name.is_empty()).collect()
}

/// What was found, what will not work, and what to do next.
fn report(apis: &[Api], loaded: &Loaded, output: &Path) -> String {
    let mut out = String::new();
    for Api { id, kind, definition, .. } in apis {
        let paths: BTreeSet<&str> = definition.methods.iter().map(|method| &*method.path).collect();
        let kind = word(*kind).to_ascii_uppercase();
        let (methods, paths) = (count(definition.methods.len(), "method"), count(paths.len(), "path"));
        let _ = write!(out, "{kind} API `{id}` ({}): {methods} on {paths}", named(definition));
        let _ = writeln!(out, ", {}", count(definition.models.len(), "model"));
    }
    if let Some(snapshot) = &loaded.snapshot {
        push_unavailable(&mut out, snapshot);
    }
    let path = output.display();
    let _ = writeln!(out, "wrote {path}\n\nnext:");
    let variables = apis.iter().map(|api| stage_variables(&api.definition).len()).sum();
    if variables > 0 {
        let mean = if variables == 1 { "means" } else { "mean" };
        let _ = writeln!(out, "  say in {path} what {} {mean}", count(variables, "stage variable"));
    }
    let _ = writeln!(out, "  tollgate check {path}\n  tollgate run {path}");
    let snapshot = loaded.snapshot.as_ref();
    if let Some(address) = snapshot.and_then(|snapshot| apis.iter().find_map(|api| example(api, apis.len(), snapshot)))
    {
        let _ = writeln!(out, "  curl -i {address}");
    }
    out
}

/// Methods that answer 500, by what they lack.
fn push_unavailable(out: &mut String, snapshot: &Snapshot) {
    let mut lacks: BTreeMap<&str, usize> = BTreeMap::new();
    let releases = snapshot.stages.iter().filter_map(|stage| stage.release.as_ref());
    for method in releases.flat_map(|release| release.program.methods.iter()) {
        if let Integration::Unavailable(lack) = &method.integration {
            *lacks.entry(lack).or_default() += 1;
        }
    }
    if lacks.is_empty() {
        return;
    }
    let all: usize = lacks.values().sum();
    let answer = if all == 1 { "answers" } else { "answer" };
    let _ = writeln!(out, "{} {answer} 500 in this version:", count(all, "method"));
    let mut lacks: Vec<(&str, usize)> = lacks.into_iter().collect();
    lacks.sort_by_key(|(_, number)| std::cmp::Reverse(*number));
    for (lack, number) in lacks {
        let _ = writeln!(out, "  {number:>4}  {lack}");
    }
}

/// A GET to try that is answered in this version: without path variables rather than with them, and by the gateway itself rather
/// than by a backend that may not run. Where stage variables have to be said first, one that lacks nothing but them will do.
fn example(api: &Api, apis: usize, snapshot: &Snapshot) -> Option<String> {
    let is_this = |stage: &&Stage| *stage.name == *api.stage && *snapshot.apis[stage.api as usize].id == *api.id;
    let program = &snapshot.stages.iter().find(is_this)?.release.as_ref()?.program;
    let has_variables = !stage_variables(&api.definition).is_empty();
    let rank = |method: &&Method| {
        let is_get = method.key.starts_with("GET ") || method.key.starts_with("ANY ");
        let whom = match &method.integration {
            Integration::Mock(_) | Integration::SelectedMock(_) => 0,
            Integration::Http(_) => 1,
            Integration::Unavailable(lack) if has_variables && **lack == *FAULTY_URI => 2,
            Integration::Unavailable(_) => return None,
        };
        is_get.then(|| (whom == 2, method.resource_path.matches('{').count(), whom))
    };
    let methods = program.methods.iter().filter_map(|method| Some((rank(&method)?, method)));
    let (_, found) = methods.min_by_key(|(rank, _)| *rank)?;
    let stage = if api.stage == "$default" { String::new() } else { format!("/{}", api.stage) };
    let base = if apis == 1 { stage } else { format!("/{}", api.id) };
    Some(format!("http://127.0.0.1:8080{base}{}", filled(&found.resource_path)))
}

/// `/pets/{id}` is `/pets/1`.
fn filled(path: &str) -> String {
    let mut parts = path.split('{');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |path, part| format!("{path}1{}", part.split_once('}').map_or("", |(_, rest)| rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_become_ids() {
        assert_eq!(slug("Swagger Petstore - OpenAPI 3.0"), "swagger-petstore-openapi-3-0");
        assert_eq!(slug("  Ünïcode "), "n-code");
        assert_eq!(slug("…"), "");
        assert_eq!(slug(&"ab ".repeat(40)).len(), 62);
    }

    #[test]
    fn paths_are_seen_from_the_folder() {
        let base = std::env::temp_dir().join(format!("tollgate-import-{}", std::process::id()));
        let (inner, other) = (base.join("a/b"), base.join("c"));
        std::fs::create_dir_all(&inner).unwrap();
        std::fs::create_dir_all(&other).unwrap();
        for file in [base.join("x.yaml"), inner.join("y.yaml")] {
            std::fs::write(file, "").unwrap();
        }
        assert_eq!(relative(&base.join("x.yaml"), &base), "x.yaml");
        assert_eq!(relative(&inner.join("y.yaml"), &base), "a/b/y.yaml");
        assert_eq!(relative(&base.join("x.yaml"), &inner), "../../x.yaml");
        assert_eq!(relative(&inner.join("y.yaml"), &other), "../a/b/y.yaml");
        assert_eq!(relative(Path::new("/nowhere/z.yaml"), &base), "/nowhere/z.yaml");
        std::fs::remove_dir_all(&base).unwrap();
    }

    #[test]
    fn scalars_are_quoted_where_they_must_be() {
        for (text, written) in
            [("pets", "pets"), ("$default", "$default"), ("1.0", "\"1.0\""), ("a: b", "\"a: b\""), ("/x", "/x")]
        {
            assert_eq!(scalar(text), written);
        }
    }

    #[test]
    fn a_path_to_try_has_values() {
        assert_eq!(filled("/pets"), "/pets");
        assert_eq!(filled("/a/{x}/b/{proxy+}"), "/a/1/b/1");
    }

    #[test]
    fn stage_variables_are_found() {
        let mut definition = Definition::new(router::Kind::Rest);
        definition.info.description = Some("${stageVariables.host}/${stageVariables.a_1} $stageVariables.host".into());
        assert_eq!(stage_variables(&definition).into_iter().collect::<Vec<_>>(), ["a_1", "host"]);
    }
}
