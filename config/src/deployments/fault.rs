//! What can go wrong with the state directory, and with an operation on it.

use std::fmt;
use std::io;
use std::path::Path;

use crate::limits;

/// The state directory cannot be used as asked. Nothing in it has changed, unless `what` says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreFault {
    /// What sort of fault it is.
    pub kind: FaultKind,
    /// What is wrong, in one sentence without a full stop.
    pub what: String,
    /// What to do about it.
    pub hint: String,
}

/// Sorts of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// A file is there and is not what it should be.
    Corrupt,
    /// A newer version of Tollgate has written it.
    Newer,
    /// It is not there.
    Missing,
    /// Another process is changing deployments.
    Busy,
    /// The file system says no.
    Io,
}

impl StoreFault {
    pub(super) fn new(kind: FaultKind, what: &str, hint: &str) -> Self {
        Self { kind, what: plain(what), hint: plain(hint) }
    }

    pub(super) fn io(what: &str, path: &Path, error: &io::Error) -> Self {
        let hint = match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                "the gateway's user must be able to read and write its state directory (`gateway.state`)"
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room on that disk, and try again",
            _ => "look at that path and its disk, and try again",
        };
        Self::new(FaultKind::Io, &format!("cannot {what} {}: {error}", path.display()), hint)
    }
}

impl fmt::Display for StoreFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.hint)
    }
}

impl std::error::Error for StoreFault {}

/// A text that steers no terminal and fills no screen: it may repeat what somebody else has written into a file.
fn plain(text: &str) -> String {
    text.chars()
        .take(limits::FAULT_CHARS_MAX)
        .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
        .collect()
}

/// Why an operation is not done. Where API Gateway has a sentence for it, it is that sentence.
#[derive(Debug, Clone, PartialEq)]
pub enum NotDone {
    /// The stage serves what the document says (ST-05).
    AutoDeploys,
    /// The document says what the canary is: the command does not.
    CanaryDeclared,
    /// While there is a canary, only canaries are deployed (ST-12).
    CanaryExists,
    /// ST-10: a canary stands beside something.
    CanaryWithoutStage {
        /// The stage that serves nothing yet.
        stage: String,
    },
    /// ST-10.
    CanaryWithoutStageName,
    /// ST-11.
    NothingToPromote,
    /// There is no canary.
    NoCanary,
    /// The stage serves nothing yet.
    NothingDeployed,
    /// ST-10.
    UnknownDeployment {
        /// As it was named.
        id: String,
    },
    /// The stage has no earlier deployment.
    NothingBefore,
    /// The stage serves just this one.
    AlreadyServes {
        /// Which.
        id: String,
    },
    /// ST-03.
    NoIntegration {
        /// `GET /pets`, all of them.
        methods: Vec<String>,
    },
    /// ST-09: not between 0 and 100.
    Percent(f64),
    /// ST-02: not a name.
    VariableName(String),
    /// ST-02: the name of a variable whose value is not one.
    VariableValue(String),
    /// ST-02: more than a stage may have.
    TooManyVariables,
    /// The canary has no such variable.
    UnknownVariable(String),
    /// ST-01: not a name.
    StageName(String),
    /// Too long, or with control characters.
    Note,
}

impl NotDone {
    /// What to do about it. `api` and `stage` are those of the operation.
    pub fn hint(&self, api: &str, stage: &str) -> String {
        match self {
            Self::AutoDeploys => {
                "write `auto_deploy: false` at that stage in the document and repeat the command: it loads the document too".into()
            }
            Self::CanaryDeclared => {
                "change `canary:` at that stage in the document and `tollgate reload`, or remove it there and repeat the command"
                    .into()
            }
            Self::CanaryExists => format!(
                "`tollgate canary {api} {stage} promote` and `… drop`, or only `… drop`, and then deploy; or deploy with --canary"
            ),
            Self::CanaryWithoutStage { .. } | Self::NothingDeployed => format!("`tollgate deploy {api} {stage}` first"),
            Self::CanaryWithoutStageName => "name the stage".into(),
            Self::NothingToPromote | Self::NoCanary => {
                format!("`tollgate deploy {api} {stage} --canary --percent 10` makes one")
            }
            Self::UnknownDeployment { .. } | Self::NothingBefore | Self::AlreadyServes { .. } => {
                format!("`tollgate deployments {api}` lists those that are kept")
            }
            Self::NoIntegration { methods } => {
                let some: Vec<&str> = methods.iter().take(5).map(String::as_str).collect();
                let more = if methods.len() > some.len() { ", …" } else { "" };
                format!("give an integration to {}{more}", some.join(", "))
            }
            Self::Percent(_) => "10 means one request in ten".into(),
            Self::VariableName(_) => {
                format!("at most {} letters, digits and `_`", limits::STAGE_VARIABLE_NAME_CHARS_MAX)
            }
            Self::VariableValue(_) => format!(
                "1 to {} letters, digits and `-._~:/?#&=,`, as in API Gateway",
                limits::STAGE_VARIABLE_VALUE_CHARS_MAX
            ),
            Self::TooManyVariables => format!("a stage has at most {}", limits::STAGE_VARIABLES_MAX),
            Self::UnknownVariable(_) => format!("`tollgate canary {api} {stage} show` lists those that it has"),
            Self::StageName(_) => "name a stage of the document".into(),
            Self::Note => format!("at most {} characters on one line", limits::DEPLOYMENT_NOTE_CHARS_MAX),
        }
    }
}

impl fmt::Display for NotDone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AutoDeploys => f.write_str("this stage deploys by itself: it serves what the document says"),
            Self::CanaryDeclared => f.write_str("this stage's canary is declared in the document"),
            Self::CanaryExists => f.write_str("this stage has a canary, so it takes no other deployment"),
            Self::CanaryWithoutStage { stage } => write!(
                f,
                "Invalid deployment content specified.Stage {stage} must already be created before making a canary release deployment"
            ),
            Self::CanaryWithoutStageName => f.write_str(
                "Invalid deployment content specified.Non null and non empty stageName must be provided for canary deployment. \
                 Provided value is null",
            ),
            Self::NothingToPromote => f.write_str("Promotion not available. Canary does not exist."),
            Self::NoCanary => f.write_str("this stage has no canary"),
            Self::NothingDeployed => f.write_str("nothing is deployed at this stage"),
            Self::UnknownDeployment { .. } => f.write_str("Deployment id does not exist"),
            Self::NothingBefore => f.write_str("this stage has no earlier deployment to go back to"),
            Self::AlreadyServes { id } => write!(f, "this stage serves deployment {id} already"),
            Self::NoIntegration { .. } => f.write_str("No integration defined for method"),
            Self::Percent(percent) => write!(f, "the canary's share must be between 0 and 100 percent, not {percent}"),
            Self::VariableName(name) => write!(f, "`{}` cannot be the name of a stage variable", plain(name)),
            Self::VariableValue(name) => write!(f, "the value of stage variable `{}` is not allowed", plain(name)),
            Self::TooManyVariables => f.write_str("too many stage variables"),
            Self::UnknownVariable(name) => write!(f, "the canary has no variable `{}`", plain(name)),
            Self::StageName(name) => write!(f, "`{}` cannot be the name of a stage", plain(name)),
            Self::Note => f.write_str("the note is too long, or not on one line"),
        }
    }
}

impl std::error::Error for NotDone {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_of_api_gateway_are_its_own() {
        let all = [
            (
                NotDone::CanaryWithoutStage { stage: "X".into() },
                "Invalid deployment content specified.Stage X must already be created before making a canary release deployment",
            ),
            (
                NotDone::CanaryWithoutStageName,
                "Invalid deployment content specified.Non null and non empty stageName must be provided for canary deployment. \
                 Provided value is null",
            ),
            (NotDone::UnknownDeployment { id: "x".into() }, "Deployment id does not exist"),
            (NotDone::NothingToPromote, "Promotion not available. Canary does not exist."),
            (NotDone::NoIntegration { methods: Vec::new() }, "No integration defined for method"), // assumed
        ];
        for (not_done, sentence) in all {
            assert_eq!(not_done.to_string(), sentence);
        }
    }

    #[test]
    fn what_was_found_in_a_file_steers_no_terminal() {
        let fault = StoreFault::new(FaultKind::Corrupt, &"a\x1b[2Jb\n".repeat(1_000), "h\r");
        assert!(fault.to_string().chars().all(|c| !c.is_control()));
        assert!(fault.what.chars().count() <= limits::FAULT_CHARS_MAX);
        assert!(!NotDone::VariableName("\x1b".into()).to_string().contains('\x1b'));
    }
}
