//! Which running gateway a command means, how it is asked, and hints that can be pasted: they name it as the user did.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use admin::control::{CallError, Command, call};
use config::diagnostic::BLUE;
use serde::de::DeserializeOwned;

use super::{bad_document, colours, complain, default_config, exit, fail};

/// How to find a running gateway.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Named {
    /// The document that the gateway serves; by default $CONFIGURATION_DIRECTORY/gateway.yaml
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Its control socket; by default the document's, or $RUNTIME_DIRECTORY/control.sock
    #[arg(long, global = true, value_name = "SOCKET")]
    control: Option<PathBuf>,
}

/// The same for commands whose only argument may be the document.
#[derive(Debug, clap::Args)]
pub struct Running {
    /// The document that the gateway serves; the same as --config FILE
    #[arg(value_name = "CONFIG", conflicts_with = "config")]
    document: Option<PathBuf>,
    #[command(flatten)]
    named: Named,
}

impl From<Running> for Named {
    fn from(Running { document, named: Named { config, control } }: Running) -> Self {
        Self { config: document.or(config), control }
    }
}

/// Commands that talk to a gateway.
const COMMANDS: [&str; 7] = ["canary", "deploy", "deployments", "reload", "rollback", "status", "upgrade"];

impl Named {
    /// A gateway that serves this document.
    pub fn by_document(path: &Path) -> Self {
        Self { config: Some(path.to_owned()), control: None }
    }

    /// The document that was named.
    pub fn document(&self) -> Option<PathBuf> {
        self.config.clone()
    }

    /// What was named, what the document says, what the service manager says, what the unit would say.
    fn socket(&self) -> Result<PathBuf, ExitCode> {
        let Self { config, control } = self;
        if let Some(path) = control {
            return Ok(path.clone());
        }
        let folder = std::env::var_os("RUNTIME_DIRECTORY").map(PathBuf::from);
        let default = || folder.unwrap_or_else(|| PathBuf::from("/run/tollgate")).join("control.sock");
        let document = config.clone().or_else(|| default_config().filter(|path| path.exists()));
        let Some(document) = document else { return Ok(default()) };
        match config::control_path(&document) {
            Ok(path) => Ok(path.unwrap_or_else(default)),
            Err(faults) => {
                complain(&faults.render(colours(&std::io::stderr())));
                let what = "so it cannot say where its gateway takes commands; --control SOCKET names that place too";
                Err(fail(bad_document(&document), &format!("{} cannot be read, {what}", document.display())))
            }
        }
    }

    /// Sends a command; says why there is no answer.
    pub fn ask<T: DeserializeOwned>(&self, command: Command) -> Result<T, ExitCode> {
        let answer = call(&self.socket()?, command).map_err(|error| self.no_answer(&error))?;
        serde_json::from_value(answer)
            .map_err(|_| fail(exit::PROTOCOL, "the gateway's answer makes no sense: is it another version?"))
    }

    fn no_answer(&self, error: &CallError) -> ExitCode {
        let (code, hint) = match error {
            CallError::NotRunning(_) => (
                exit::UNAVAILABLE,
                "; start it, or name its document (--config FILE, one that has gateway.control) or its socket (--control SOCKET)",
            ),
            CallError::Denied(_) => (exit::NO_PERMISSION, "; try it as that user, or with sudo"),
            CallError::Refused(_) => (exit::NO_PERMISSION, ""),
            CallError::TimedOut(_) => (exit::TRY_AGAIN, "; `tollgate status` shows whether it came through"),
            CallError::Garbled(_) => (exit::PROTOCOL, "; is it another version?"),
            CallError::Broken(_) => (exit::UNAVAILABLE, ""),
        };
        fail(code, &self.pasteable(&format!("{error}{hint}")))
    }

    /// A text whose commands name the gateway as the user has named it; but for lines of the user's own document.
    pub fn pasteable(&self, text: &str) -> String {
        let mut options = String::new();
        for (name, path) in [("config", &self.config), ("control", &self.control)] {
            if let Some(path) = path {
                options = format!("{options} --{name} {}", quoted(path));
            }
        }
        let mut out = String::new();
        for line in text.split_inclusive('\n') {
            if is_quoted(line) {
                out.push_str(line);
                continue;
            }
            let parts: Vec<&str> = line.split('`').collect();
            for (at, part) in parts.iter().enumerate() {
                out.push_str(if at > 0 { "`" } else { "" });
                out.push_str(part);
                let mut words = part.split(' ');
                let is_command =
                    words.next() == Some("tollgate") && words.next().is_some_and(|word| COMMANDS.contains(&word));
                // Between two backticks, and not behind the last one.
                if is_command && at % 2 == 1 && at + 1 < parts.len() {
                    out.push_str(&options);
                }
            }
        }
        out
    }

    /// The command that lists what is wrong with the document.
    pub fn check(&self) -> String {
        let path = self.config.as_ref().map_or_else(|| "CONFIG".to_owned(), |path| quoted(path));
        format!("`tollgate check {path}`")
    }
}

/// Whether a line is one of a document, which a diagnostic quotes behind its number and a bar.
fn is_quoted(line: &str) -> bool {
    let margin = line.trim_start_matches(BLUE).trim_start_matches(|c: char| c == ' ' || c.is_ascii_digit());
    margin.starts_with('|')
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,=".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(config: Option<&str>, control: Option<&str>) -> Named {
        Named { config: config.map(PathBuf::from), control: control.map(PathBuf::from) }
    }

    #[test]
    fn the_control_socket_that_was_named_wins() {
        let named = named(Some("/nowhere/gateway.yaml"), Some("/x.sock"));
        assert_eq!(named.socket().unwrap(), PathBuf::from("/x.sock"));
    }

    #[test]
    fn commands_in_a_text_name_the_gateway() {
        let text = "`a/prod`: `tollgate deploy a prod`, `… drop`, or `tollgate check x`; `tollgate reload";
        assert_eq!(named(None, None).pasteable(text), text);
        let expected = "`a/prod`: `tollgate deploy a prod --config 'my x.yaml' --control c`, `… drop`, or `tollgate check x`; `tollgate reload";
        assert_eq!(named(Some("my x.yaml"), Some("c")).pasteable(text), expected);
    }

    #[test]
    fn lines_of_a_document_stay_as_they_are() {
        for line in
            ["7 | # `tollgate reload`\n", " 12 | `tollgate deploy a`\n", "\x1b[1;34m7 |\x1b[0m `tollgate reload`\n"]
        {
            let text = format!("{line}hint: `tollgate reload`\n");
            let expected = format!("{line}hint: `tollgate reload --control c`\n");
            assert_eq!(named(None, Some("c")).pasteable(&text), expected);
        }
    }
}
