//! Why a command did not do its work: a cause, what follows from it, and what to do; for people and as JSON.

use std::io;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::cli::fields::Fields;
use crate::cli::start::StartError;
use crate::config::error::{ConfigError, exit};
use crate::net::{LocalError, Place};
use crate::store::StoreError;

/// The answer is no: a test failed, a sign-in was declined.
pub const NO: u8 = 1;
/// Ended by a signal.
pub const INTERRUPTED: u8 = 130;

/// Why a command did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// Flags, environment, `.env`.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data folder could not be opened.
    #[error("{}", .0)]
    Start(Box<StartError>),
    /// A server holds the data folder and has no admin socket.
    #[error(
        "a router is running on this data folder{} and its admin socket is switched off\n  \
         Nothing was changed. Set `NINEROUTER_ADMIN_SOCKET` and restart it, or stop it and run this command again.",
        holder(*.pid)
    )]
    NoSocket {
        /// Its process, when known.
        pid: Option<u32>,
    },
    /// A router uses the data folder that the command must have for itself.
    #[error(
        "a router is running on this data folder{}\n  \
         Nothing was changed. Stop it and run this command again, or have it take the backup at its next start: --via-server",
        holder(*.pid)
    )]
    InUse {
        /// Its process, when known.
        pid: Option<u32>,
    },
    /// The socket is another user's.
    #[error(
        "`{}` belongs to another user\n  Run the command as the user the router runs as: sudo -u {owner} ninerouter …",
        .socket.display()
    )]
    Foreign {
        /// The socket or the data folder.
        socket: PathBuf,
        /// Name or number of the owner.
        owner: String,
    },
    /// The router did not answer.
    #[error(
        "no answer from the router at {place}: {error}\n  Whether something was changed is not known; `ninerouter status` tells how it is."
    )]
    Silent {
        /// Where it was asked.
        place: Place,
        /// Why.
        error: LocalError,
    },
    /// The answer is none of the API's.
    #[error(
        "the router at {place} gave an answer that this version does not understand ({why})\n  Is the running router of another version? `ninerouter --version` and `ninerouter status` tell."
    )]
    Garbled {
        /// Where it was asked.
        place: String,
        /// What was found.
        why: String,
    },
    /// The command needs a running router.
    #[error(
        "no router is running on this data folder\n  Start it with `ninerouter`, or through its service manager."
    )]
    NotRunning,
    /// The router refused.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// The command line names what does not exist or does not fit.
    #[error("{0}")]
    Usage(String),
    /// The work was done, and the answer is no.
    #[error("{0}")]
    No(String),
    /// Everything was said already; only the exit code is left.
    #[error("")]
    Said(u8),
    /// Reading standard input or a file.
    #[error("cannot read {what}: {error}")]
    Input {
        /// What was to be read.
        what: String,
        /// From the system.
        error: io::Error,
    },
    /// Ctrl+C.
    #[error("cancelled")]
    Interrupted,
}

fn holder(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
}

impl From<StartError> for Failed {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Config(error) => Self::Config(error),
            other => Self::Start(Box::new(other)),
        }
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Start(Box::new(StartError::Store(error)))
    }
}

impl Failed {
    /// Exit code of the program (REL-RUN-5).
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(error) => error.exit_code(),
            Self::Start(error) => error.exit_code(),
            Self::NoSocket { .. } | Self::InUse { .. } => exit::LOCKED,
            Self::Foreign { .. } => exit::PERMISSION,
            Self::Input { error, .. } if error.kind() == io::ErrorKind::PermissionDenied => {
                exit::PERMISSION
            }
            Self::Silent { .. } | Self::NotRunning | Self::Input { .. } => exit::IO,
            Self::Garbled { .. } => exit::INTERNAL,
            Self::Refused(refusal) => refusal.exit_code(),
            Self::Usage(_) => exit::USAGE,
            Self::No(_) => NO,
            Self::Said(code) => *code,
            Self::Interrupted => INTERRUPTED,
        }
    }

    /// The error as `{"error":{code,message,…}}`; a refusal of the router is passed on as it came.
    #[must_use]
    pub fn to_json(&self) -> Value {
        if let Self::Refused(refusal) = self {
            return json!({"error": refusal.error});
        }
        let code = match self {
            Self::Config(_) => "config",
            Self::Start(_) => "data_folder",
            Self::NoSocket { .. } | Self::InUse { .. } => "locked",
            Self::Foreign { .. } => "permission",
            Self::Silent { .. } => "no_answer",
            Self::Garbled { .. } => "bad_answer",
            Self::NotRunning => "not_running",
            Self::Refused(_) | Self::No(_) | Self::Said(_) => "failed",
            Self::Usage(_) => "usage",
            Self::Input { .. } => "input",
            Self::Interrupted => "cancelled",
        };
        json!({"error": {"code": code, "message": self.to_string()}})
    }
}

/// What the router said no with (api.md §1).
#[derive(Clone, PartialEq, Debug)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// The object `error`.
    pub error: Value,
}

impl Refusal {
    /// Reads the body of a refusal; anything else becomes one that names the status.
    #[must_use]
    pub fn read(status: u16, body: Option<Value>) -> Self {
        let error = body.and_then(|mut body| body.get_mut("error").map(Value::take));
        let error = error.filter(Value::is_object).unwrap_or_else(
            || json!({"code": "status", "message": format!("the router answered {status}")}),
        );
        Self { status, error }
    }

    /// Its code, such as `not_found`.
    #[must_use]
    pub fn code(&self) -> &str {
        self.error.text("/code")
    }

    fn exit_code(&self) -> u8 {
        match (self.status, self.code()) {
            (_, "env_locked" | "managed_by_config_file") => exit::CONFIG,
            (_, "not_refreshed") => NO,
            (401 | 403 | 428, _) => exit::PERMISSION,
            (429, _) => exit::LOCKED,
            (503 | 507, _) => exit::IO,
            (400..=499, _) => exit::USAGE,
            _ => exit::INTERNAL,
        }
    }
}

impl std::fmt::Display for Refusal {
    /// The message, then each field and each user of the thing on a line of its own.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.error.text("/message"))?;
        if let Some(fields) = self.error.get("fields").and_then(Value::as_object) {
            for (path, reason) in fields {
                let reason = reason.as_str().unwrap_or_default();
                // One mistake alone stands in the message.
                if !self.error.text("/message").contains(reason) {
                    write!(f, "\n  {path}: {reason}")?;
                }
            }
        }
        for user in self.error.list("/used_by") {
            match user.as_str() {
                Some(name) => write!(f, "\n  used by {name}")?,
                None => write!(f, "\n  used by {} {}", user.text("/kind"), user.text("/name"))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, error: Value) -> Failed {
        Failed::Refused(Box::new(Refusal::read(status, Some(json!({ "error": error })))))
    }

    #[test]
    fn a_refusal_keeps_its_object_and_lists_its_fields() {
        let error = json!({"code": "validation_failed", "message": "2 values cannot be used",
            "fields": {"entries[0].target": "no such model", "name": "is taken"}});
        let failed = refusal(422, error.clone());
        assert_eq!(
            failed.to_string(),
            "2 values cannot be used\n  entries[0].target: no such model\n  name: is taken"
        );
        assert_eq!(failed.to_json(), json!({ "error": error }));
        let error = json!({"code": "in_use", "message": "the account is in use", "used_by": ["combo coding"]});
        assert_eq!(
            refusal(409, error).to_string(),
            "the account is in use\n  used by combo coding"
        );
    }

    #[test]
    fn rel_run_5_each_refusal_has_its_exit_code() {
        for (status, code, want) in [
            (400, "unknown_field", 2),
            (404, "not_found", 2),
            (409, "conflict", 2),
            (422, "validation_failed", 2),
            (403, "env_locked", 78),
            (403, "managed_by_config_file", 78),
            (403, "ip_denied", 77),
            (429, "rate_limited", 75),
            (500, "internal", 70),
            (501, "not_implemented", 70),
            (503, "db_unavailable", 74),
            (507, "storage_full", 74),
        ] {
            let failed = refusal(status, json!({"code": code, "message": "m"}));
            assert_eq!(failed.exit_code(), want, "{status} {code}");
        }
        assert_eq!(Failed::NoSocket { pid: Some(7) }.exit_code(), 75);
        assert_eq!(Failed::InUse { pid: None }.exit_code(), 75);
        assert_eq!(Failed::NotRunning.exit_code(), 74);
        assert_eq!(Failed::Usage(String::new()).exit_code(), 2);
        assert_eq!(Failed::Interrupted.exit_code(), 130);
    }

    #[test]
    fn an_answer_without_an_error_object_is_told_by_its_status() {
        for body in [None, Some(json!("x")), Some(json!({"error": "x"}))] {
            let refusal = Refusal::read(502, body);
            assert_eq!(refusal.to_string(), "the router answered 502");
            assert_eq!(refusal.exit_code(), 70);
        }
    }
}
