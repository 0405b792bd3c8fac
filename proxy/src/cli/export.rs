//! `tollgate export`: an API as an OpenAPI document, or an OpenAPI document in the other language.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use config::definition::Definition;
use config::deployments::Store;
use config::openapi::export::{self, ExportOptions, Extensions, Server};
use config::openapi::{self, ImportOptions};
use config::source::file;
use config::source::node::{self, Value};
use config::{DeclaredStage, Defined, Definitions, Diagnostics, Place};

use super::gateway::Named;
use super::{bad_document, colours, complain, exit, fail, say};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The document; or an OpenAPI document, to write it anew
    config: PathBuf,
    /// The API, if there are several
    #[arg(long, value_name = "ID")]
    api: Option<String>,
    /// The stage that clients are told to call; what is written is the document, not what the stage was deployed with
    #[arg(long)]
    stage: Option<String>,
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
    /// Which rules an OpenAPI document is read by
    #[arg(long, value_enum, default_value_t = Kind::Rest)]
    kind: Kind,
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

/// The kinds of APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// REST API
    Rest,
    /// HTTP API
    Http,
}

impl From<Kind> for router::Kind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Rest => Self::Rest,
            Kind::Http => Self::Http,
        }
    }
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
        return read(config, arguments.kind.into()).map(|definition| (title, definition));
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
    let is_this = |declared: &&DeclaredStage| declared.api == id && Some(&declared.stage) == stage.as_ref();
    if let Some(frozen) = declared.iter().find(is_this).filter(|declared| !declared.declared.auto_deploy) {
        complain(&Named::by_document(config).pasteable(&deployed(frozen, state.as_deref())));
    }
    Ok((id, definition))
}

/// What a stage serves that does not serve the document.
fn deployed(DeclaredStage { api, stage, .. }: &DeclaredStage, state: Option<&Path>) -> String {
    let known = state.and_then(|state| Store::open(state).ok()).and_then(|store| store.stage(api, stage).ok());
    let serves = match known {
        Some(Some(served)) => format!("deployment {}", served.deployment),
        Some(None) => format!("nothing until `tollgate deploy {api} {stage}`"),
        None => "a deployment".to_owned(),
    };
    format!("note: stage `{stage}` serves {serves}; what is written here is the document as it is now\n")
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Reads an OpenAPI document.
fn read(path: &Path, kind: router::Kind) -> Result<Definition, ExitCode> {
    let mut diagnostics = Diagnostics::default();
    let files = [(path.to_owned(), Place::default())];
    let definition = openapi::import(&files, &ImportOptions::new(kind), &mut diagnostics);
    diagnostics.finish();
    said(path, &diagnostics)?;
    definition.ok_or_else(|| ExitCode::from(exit::CONFIG))
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
