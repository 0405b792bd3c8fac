//! The command line: what a user may type, and who does it. Exit codes after sysexits.

#![allow(clippy::doc_markdown, reason = "doc comments are the help text, which has no backticks")]

mod answers;
mod audit;
mod authorizers;
mod chains;
mod check;
mod compile;
mod control;
mod deployments;
mod doctor;
mod explain;
mod export;
mod firewalls;
mod gateway;
mod hosts;
mod import;
mod keys;
mod plans;
mod routes;
mod throttles;
mod usage;

use std::io::{self, Write as _};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use config::{Loaded, Snapshot};
use proxy::demo;
use proxy::io::DriverChoice;
use proxy::reload::Source;
use proxy::supervisor::{self, Options};

/// Exit codes, after sysexits.h.
mod exit {
    /// The command line makes no sense.
    pub const USAGE: u8 = 64;
    /// A file that was named cannot be read.
    pub const NO_INPUT: u8 = 66;
    /// A file cannot be written, or is there already.
    pub const CANT_CREATE: u8 = 73;
    /// What is needed is not there: no gateway runs, a check of the machine failed.
    pub const UNAVAILABLE: u8 = 69;
    /// The other side answered nonsense.
    pub const PROTOCOL: u8 = 76;
    /// A file could not be read or written.
    pub const IO: u8 = 74;
    /// Not in time; trying again may help.
    pub const TRY_AGAIN: u8 = 75;
    /// Not allowed.
    pub const NO_PERMISSION: u8 = 77;
    /// The configuration has errors.
    pub const CONFIG: u8 = 78;
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Amazon API Gateway as one Linux appliance.
#[derive(Debug, Parser)]
#[command(name = "tollgate", version, disable_version_flag = true, arg_required_else_help = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Print the version
    #[arg(short = 'V', long, action = clap::ArgAction::Version)]
    version: (),
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve an embedded petstore API with its backend, ready to curl
    Demo {
        #[command(flatten)]
        manner: Manner,
    },
    /// Serve a gateway.yaml, or a compiled snapshot of one
    Run {
        /// The document or snapshot; by default $CONFIGURATION_DIRECTORY/gateway.yaml
        config: Option<PathBuf>,
        #[command(flatten)]
        manner: Manner,
    },
    /// Say all that is wrong with a document, each with a place and a hint
    Check {
        /// The document
        config: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Say what is legal in a document, but risky
    Audit {
        /// The document
        #[arg(required_unless_present = "rules")]
        config: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Fail if one of these is found: all, high, medium, or rules such as TG002,TG007
        #[arg(long, value_name = "RULES", num_args = 0..=1, require_equals = true, default_missing_value = "all")]
        deny: Option<String>,
        /// Leave these out: rules such as TG001,TG008
        #[arg(long, value_name = "RULES", default_value = "", hide_default_value = true)]
        allow: String,
        /// List the rules
        #[arg(long)]
        rules: bool,
    },
    /// Compile a document to a file that `tollgate run` serves without reading any document
    Compile {
        /// The document
        config: PathBuf,
        /// The file to write
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Print the table of routes
    Routes {
        /// The document
        config: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Say which API, stage and route would answer a request, and why
    Explain {
        /// The document
        config: PathBuf,
        /// GET, POST …
        verb: String,
        /// http://host/path?query, or only /path
        url: String,
        /// A header field that the request has, for routing rules
        #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
        headers: Vec<String>,
        /// Follow the stage's canary
        #[arg(long)]
        canary: bool,
    },
    /// Make a gateway.yaml for OpenAPI documents
    Import(import::Arguments),
    /// Write an API as an OpenAPI document
    Export(export::Arguments),
    /// Print a JSON Schema of gateway.yaml, for editors
    Schema {
        /// Of the x-amazon-apigateway-* extensions of an OpenAPI document instead
        #[arg(long)]
        openapi_extensions: bool,
    },
    /// Look at this machine: kernel, io_uring, limits, cores, ports, files
    Doctor {
        /// The document whose ports and files are looked at as well
        config: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Let the running gateway load its document again
    Reload {
        #[command(flatten)]
        gateway: gateway::Running,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the state of the running gateway
    Status {
        #[command(flatten)]
        gateway: gateway::Running,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Let another executable take over from the running gateway, without losing a connection
    Upgrade {
        #[command(flatten)]
        gateway: gateway::Running,
        /// The executable; by default the name under which the running one was started
        #[arg(long, value_name = "PATH")]
        binary: Option<PathBuf>,
        /// Seconds that it has until it is ready; 60 unless said
        #[arg(long, value_name = "SECONDS")]
        timeout: Option<u64>,
    },
    /// Freeze an API as the document has it now, and let a stage serve that (stages with auto_deploy: false)
    Deploy {
        #[command(flatten)]
        wanted: deployments::Wanted,
        #[command(flatten)]
        gateway: gateway::Named,
    },
    /// List the deployments of an API: when, why, and which stages serve them
    Deployments {
        /// The API's id
        api: String,
        #[command(flatten)]
        gateway: gateway::Named,
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Forget stages that the document has no more, and old deployments that no stage or canary can go back to
        #[arg(long, conflicts_with = "json")]
        prune: bool,
    },
    /// Let a stage serve an earlier deployment: the one before, or any that is named
    Rollback {
        #[command(flatten)]
        target: deployments::Target,
        /// Which; `tollgate deployments` lists them
        id: Option<String>,
        #[command(flatten)]
        gateway: gateway::Named,
    },
    /// Look at the canary of a stage, change, promote or end it
    Canary {
        #[command(flatten)]
        target: deployments::Target,
        #[command(flatten)]
        gateway: gateway::Named,
        #[command(subcommand)]
        what: deployments::Canary,
    },
    /// Make, list, change, import and export API keys
    Keys {
        #[command(flatten)]
        place: keys::Place,
        #[command(subcommand)]
        what: keys::Keys,
    },
    /// Print what keys have used by day, or let one of them have more
    #[command(args_conflicts_with_subcommands = true)]
    Usage {
        #[command(flatten)]
        place: keys::Place,
        #[command(flatten)]
        wanted: usage::Wanted,
        #[command(subcommand)]
        action: Option<usage::Action>,
    },
    /// Print the version
    Version {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print a completion script
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
}

/// How to serve.
#[derive(Debug, clap::Args)]
struct Manner {
    /// What the workers wait with
    #[arg(long, value_enum, default_value_t = IoDriver::Auto)]
    io_driver: IoDriver,
    /// Worker threads; by default the document's, else one for each usable core
    #[arg(long, value_name = "N")]
    workers: Option<NonZeroUsize>,
}

/// What the workers wait with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum IoDriver {
    /// io_uring where it can be had, else epoll
    Auto,
    /// io_uring or nothing
    Uring,
    /// epoll
    Epoll,
}

/// Where the configuration comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    /// A document.
    Path(PathBuf),
    /// The embedded demo.
    Demo,
}

/// What `run` and `demo` ask of the supervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunOptions {
    /// The configuration.
    pub config: ConfigSource,
    /// `--io-driver`.
    pub io_driver: IoDriver,
    /// `--workers`.
    pub workers: Option<NonZeroUsize>,
}

/// Reads the command line and does what it says.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nobody may be reading.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { exit::USAGE } else { 0 });
        }
    };
    let Cli { command, version: () } = cli;
    match command {
        Command::Demo { manner } => run(options(ConfigSource::Demo, &manner)),
        Command::Run { config, manner } => match config.or_else(default_config) {
            Some(path) => run(options(ConfigSource::Path(path), &manner)),
            None => {
                fail(exit::USAGE, "name a document: tollgate run gateway.yaml (there is no $CONFIGURATION_DIRECTORY)")
            }
        },
        Command::Compile { config, output } => compile::compile(&config, &output),
        Command::Check { config, json } => check::check(&config, json),
        Command::Audit { config: Some(config), json, deny, allow, rules: false } => {
            audit::print(&config, &audit::Options { json, deny: deny.as_deref(), allow: &allow })
        }
        Command::Audit { json, .. } => audit::rules(json),
        Command::Routes { config, json } => with_snapshot(&config, |snapshot| routes::print(snapshot, json)),
        Command::Explain { config, verb, url, headers, canary } => {
            let gateway = gateway::Named::by_document(&config);
            with_snapshot(&config, |snapshot| explain::print((snapshot, &gateway), &verb, &url, &headers, canary))
        }
        Command::Import(arguments) => import::import(&arguments),
        Command::Export(arguments) => export::export(&arguments),
        Command::Schema { openapi_extensions: false } => say(&format!("{:#}\n", config::schema::gateway())),
        Command::Schema { openapi_extensions: true } => say(&format!("{:#}\n", config::schema::extensions())),
        Command::Doctor { config, json } => doctor::print(config.as_deref(), json),
        Command::Reload { gateway, json } => control::reload(&gateway.into(), json),
        Command::Upgrade { gateway, binary, timeout } => control::upgrade(&gateway.into(), binary, timeout),
        Command::Status { gateway, json } => control::status(&gateway.into(), json),
        Command::Deploy { wanted, gateway } => deployments::deploy(&gateway, wanted),
        Command::Deployments { api, gateway, json: _, prune: true } => deployments::prune(&gateway, api),
        Command::Deployments { api, gateway, json, prune: false } => deployments::deployments(&gateway, api, json),
        Command::Rollback { target, id, gateway } => deployments::rollback(&gateway, target, id),
        Command::Canary { target, gateway, what } => deployments::canary(&gateway, target, what),
        Command::Keys { place, what } => keys::keys(&place, what),
        Command::Usage { place, wanted, action } => usage::usage(&place, &wanted, action),
        Command::Version { json: true } => {
            // A debug build must not be measured: `perf/run` asks.
            let told = serde_json::json!({ "version": VERSION, "debug": cfg!(debug_assertions) });
            say(&format!("{told:#}\n"))
        }
        Command::Version { json: false } => say(&format!("tollgate {VERSION}\n")),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "tollgate", &mut script);
            say(&String::from_utf8_lossy(&script))
        }
    }
}

fn options(config: ConfigSource, manner: &Manner) -> RunOptions {
    RunOptions { config, io_driver: manner.io_driver, workers: manner.workers }
}

fn run(options: RunOptions) -> ExitCode {
    let RunOptions { config, io_driver, workers } = options;
    let is_demo = config == ConfigSource::Demo;
    let source = match config {
        ConfigSource::Path(path) => {
            if let Err(error) = std::fs::File::open(&path) {
                return fail(exit::NO_INPUT, &format!("{}: {error}", path.display()));
            }
            Source::File(path)
        }
        ConfigSource::Demo => match demo::source() {
            Ok(source) => source,
            Err(error) => return fail(exit::UNAVAILABLE, &format!("cannot start the demo's backend: {error}")),
        },
    };
    let io_driver = match io_driver {
        IoDriver::Auto => DriverChoice::Auto,
        IoDriver::Uring => DriverChoice::Uring,
        IoDriver::Epoll => DriverChoice::Epoll,
    };
    let greet: fn(&supervisor::Addresses) = if is_demo { demo::greet } else { |_| {} };
    supervisor::run(Options { source, io_driver, workers, on_ready: Box::new(greet) })
}

/// The document of a service.
fn default_config() -> Option<PathBuf> {
    std::env::var_os("CONFIGURATION_DIRECTORY").map(|folder| PathBuf::from(folder).join("gateway.yaml"))
}

/// Loads a document for a command that needs it whole; its faults go to standard error.
fn with_snapshot(path: &Path, use_it: impl FnOnce(&Snapshot) -> ExitCode) -> ExitCode {
    let Loaded { snapshot, diagnostics, files: _ } = config::load(path);
    let Some(snapshot) = snapshot else {
        complain(&diagnostics.render(colours(&io::stderr())));
        return ExitCode::from(bad_document(path));
    };
    use_it(&snapshot)
}

/// A document that is not there is another thing than one with errors.
fn bad_document(path: &Path) -> u8 {
    match std::fs::File::open(path) {
        Ok(file) if file.metadata().is_ok_and(|data| !data.is_dir()) => exit::CONFIG,
        _ => exit::NO_INPUT,
    }
}

/// Whether to colour: only a terminal, and not if the user minds (`NO_COLOR`, no-color.org).
fn colours(stream: &impl io::IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn stdout_colours() -> bool {
    colours(&io::stdout())
}

/// Prints to standard output. A reader that left early (`| head`) is not a failure.
fn say(text: &str) -> ExitCode {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            fail(exit::UNAVAILABLE, &format!("cannot print: {error}"))
        }
        _ => ExitCode::SUCCESS,
    }
}

fn complain(text: &str) {
    // There is nowhere else to complain to.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

fn fail(code: u8, message: &str) -> ExitCode {
    complain(&format!("tollgate: {message}\n"));
    ExitCode::from(code)
}

/// A canary's share of the requests.
fn share(percent: f64) -> String {
    let silent = if percent == 0.0 { ", receives nothing" } else { "" };
    format!("{percent} %{silent}")
}

/// `1 api`, `2 apis`.
fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn one_is_not_many() {
        assert_eq!([count(0, "api"), count(1, "api"), count(2, "api")], ["0 apis", "1 api", "2 apis"]);
    }
}
