//! `tollgate export`: an API as an OpenAPI document, or an OpenAPI document in the other language.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use config::definition::Definition;
use config::deployments::{Store, StoreFault};
use config::openapi::export::{self, ExportOptions, Extensions, Server};
use config::openapi::{self, ImportOptions};
use config::source::file;
use config::source::node::{self, Value};
use config::{DeclaredStage, Defined, Definitions, Diagnostics, Place};

use super::gateway::Named;
use super::kind::{self, Kind};
use super::{bad_document, colours, complain, exit, fail, say};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The document; or an OpenAPI document, to write it anew
    config: PathBuf,
    /// The API, if there are several
    #[arg(long, value_name = "ID")]
    api: Option<String>,
    /// The stage that clients are told to call; of one with auto_deploy: false, what it was deployed with is written
    #[arg(long)]
    stage: Option<String>,
    /// Write the document as it is, whatever the stage was deployed with
    #[arg(long)]
    document: bool,
    /// Where they find it: api.example.com, or http://127.0.0.1:8080
    #[arg(long)]
    host: Option<String>,
    /// The language
    #[arg(long, value_enum, default_value_t = Format::Oas30)]
    format: Format,
    /// Write x-amazon-apigateway-* extensions: all, or some of integrations,authorizers,validators
    #[arg(long, value_name = "WHICH", num_args = 0..=1, require_equals = true, default_missing_value = "all")]
    extensions: Option<Extensions>,
    /// Write JSON; by default if FILE ends with .json
    #[arg(long, conflicts_with = "yaml")]
    json: bool,
    /// Write YAML; the default
    #[arg(long)]
    yaml: bool,
    /// Which rules an OpenAPI document is read by; by default what it suggests
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// Write to this file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// In which language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// OpenAPI 3.0.1
    Oas30,
    /// Swagger 2.0
    Swagger20,
}

/// Writes the document.
pub fn export(arguments: &Arguments) -> ExitCode {
    let (id, definition) = match chosen(arguments) {
        Ok(chosen) => chosen,
        Err(code) => return code,
    };
    let Arguments { stage, host, format, extensions, output, .. } = arguments;
    let format = match format {
        Format::Oas30 => export::Format::OpenApi30,
        Format::Swagger20 => export::Format::Swagger20,
    };
    if format == export::Format::Swagger20 && definition.kind == router::Kind::Http {
        complain(
            "warning: API Gateway knows HTTP APIs in OpenAPI 3.0 alone (OA-05), and will not take this back as one\n",
        );
    }
    let server = (stage.is_some() || host.is_some()).then(|| server(host.as_deref(), stage.as_deref()));
    let extensions = extensions.unwrap_or(Extensions::NONE);
    let options = ExportOptions { extensions, server, title: id, ..ExportOptions::new(format) };
    let document = export::export(&definition, &options);
    let text = if is_json(arguments) { export::json(&document) } else { export::yaml(&document) };
    let Some(path) = output else {
        return say(&text);
    };
    match std::fs::write(path, text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(exit::CANT_CREATE, &format!("{}: {error}", path.display())),
    }
}

/// The API that is meant, with its id.
fn chosen(arguments: &Arguments) -> Result<(String, Definition), ExitCode> {
    let Arguments { config, api, stage, .. } = arguments;
    if is_openapi(config) {
        let title = config.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        return read(config, arguments.kind).map(|definition| (title, definition));
    }
    let Definitions { list, diagnostics, stages: declared, state } = config::definitions(config);
    said(config, &diagnostics)?;
    let ids: Vec<String> = list.iter().map(|defined| defined.id.clone()).collect();
    let only = list.len() == 1;
    let found = list.into_iter().find(|defined| api.as_ref().map_or(only, |api| *api == defined.id));
    let Some(Defined { id, stages, definition }) = found else {
        let what = match api {
            Some(api) => format!("there is no API `{api}`"),
            None => "name an API with --api".to_owned(),
        };
        return Err(fail(exit::USAGE, &format!("{what}; {} has: {}", config.display(), listed(&ids))));
    };
    if let Some(stage) = stage.as_ref().filter(|stage| !stages.contains(stage)) {
        let what = format!("API `{id}` has no stage `{stage}`; it has: {}", listed(&stages));
        return Err(fail(exit::USAGE, &what));
    }
    let is_frozen = |stage: &&DeclaredStage| stage.api == id && !stage.declared.auto_deploy;
    let frozen = stage.as_ref().filter(|_| !arguments.document);
    let frozen = frozen.and_then(|name| declared.iter().filter(is_frozen).find(|stage| stage.stage == *name));
    let definition = match frozen {
        Some(stage) => deployed(config, stage, state.as_deref())?,
        None => definition,
    };
    Ok((id, definition))
}

/// What a stage serves that does not deploy by itself.
fn deployed(config: &Path, stage: &DeclaredStage, state: Option<&Path>) -> Result<Definition, ExitCode> {
    let DeclaredStage { api, stage, declared: _ } = stage;
    let hint = "--document writes the document as it is";
    let nothing = || {
        let deploy = Named::by_document(config).pasteable(&format!("`tollgate deploy {api} {stage}`"));
        fail(exit::CONFIG, &format!("nothing is deployed to {api}/{stage}: {deploy} does that, and {hint}"))
    };
    let refused = |fault: StoreFault| fail(exit::IO, &format!("{fault}; {hint}"));
    let store = Store::open(state.ok_or_else(nothing)?).map_err(refused)?;
    let serving = store.stage(api, stage).map_err(refused)?.ok_or_else(nothing)?;
    let definition = store.definition(api, &serving.hash).map_err(refused)?;
    complain(&format!("deployment {} is written, which {api}/{stage} serves; {hint}\n", serving.deployment));
    Ok(definition)
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Reads an OpenAPI document.
fn read(path: &Path, asked: Option<Kind>) -> Result<Definition, ExitCode> {
    let files = [(path.to_owned(), Place::default())];
    let (definition, diagnostics) = kind::read(asked, &[path], |kind| {
        let mut diagnostics = Diagnostics::default();
        let definition = openapi::import(&files, &ImportOptions::new(kind), &mut diagnostics);
        diagnostics.finish();
        (definition, diagnostics)
    });
    said(path, &diagnostics)?;
    let definition = definition.ok_or_else(|| ExitCode::from(exit::CONFIG))?;
    if asked.is_none() {
        let (is, other) = if definition.kind == router::Kind::Http { ("n HTTP", "rest") } else { (" REST", "http") };
        complain(&format!("{} is read as a{is} API; --kind {other} reads it as the other\n", path.display()));
    }
    Ok(definition)
}

/// Prints faults; an error among them ends the command.
fn said(path: &Path, diagnostics: &Diagnostics) -> Result<(), ExitCode> {
    complain(&diagnostics.render(colours(&io::stderr())));
    if diagnostics.has_errors() { Err(ExitCode::from(bad_document(path))) } else { Ok(()) }
}

/// Whether a file is an OpenAPI document, and no gateway.yaml.
pub fn is_openapi(path: &Path) -> bool {
    let mut faults = Diagnostics::default();
    let source = file::read(path, &mut faults);
    let text = source.map(|source| std::mem::take(&mut faults.sources[usize::from(source)].text));
    let root = text.and_then(|text| node::parse(&text, 0, &mut faults));
    root.is_some_and(|root| match root.value {
        Value::Map(entries) => entries.iter().any(|entry| matches!(&*entry.key.text, "openapi" | "swagger")),
        Value::List(_) | Value::Scalar(_) => false,
    })
}

fn is_json(arguments: &Arguments) -> bool {
    let Arguments { json, yaml, output, .. } = arguments;
    let ends_so = |path: &PathBuf| path.extension().is_some_and(|end| end.eq_ignore_ascii_case(OsStr::new("json")));
    *json || (!yaml && output.as_ref().is_some_and(ends_so))
}

fn server(host: Option<&str>, stage: Option<&str>) -> Server {
    let host = host.map(|host| host.trim_end_matches('/'));
    let plain = host.and_then(|host| host.strip_prefix("http://"));
    let name = plain.or_else(|| host.map(|host| host.strip_prefix("https://").unwrap_or(host)));
    Server {
        https: plain.is_none(),
        host: name.map(str::to_owned),
        // RT-14: the stage `$default` has no name in a path.
        base_path: stage.filter(|stage| *stage != "$default").unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_with_and_without_a_scheme() {
        let of = |host: &str| {
            let Server { https, host, base_path } = server(Some(host), Some("prod"));
            (https, host.unwrap(), base_path)
        };
        assert_eq!(of("a.example"), (true, "a.example".into(), "prod".into()));
        assert_eq!(of("https://a.example/"), (true, "a.example".into(), "prod".into()));
        assert_eq!(of("http://127.0.0.1:8080"), (false, "127.0.0.1:8080".into(), "prod".into()));
        assert_eq!(server(None, Some("$default")).base_path, "");
    }
}
