//! Why the configuration cannot be used, with the exit code of each reason (REL-RUN-5).

use std::io;
use std::path::{Path, PathBuf};

use crate::config::dotenv::BadLine;
use crate::config::kind::Misfit;
use crate::config::settings::SettingError;

/// Exit codes of the program.
pub mod exit {
    /// Wrong command line.
    pub const USAGE: u8 = 2;
    /// Database of a newer version.
    pub const DATA_NEWER: u8 = 65;
    /// A fault of the program.
    pub const INTERNAL: u8 = 70;
    /// A file or folder cannot be made.
    pub const CANNOT_CREATE: u8 = 73;
    /// Reading or writing failed.
    pub const IO: u8 = 74;
    /// Another instance holds the data.
    pub const LOCKED: u8 = 75;
    /// Not allowed by the system.
    pub const PERMISSION: u8 = 77;
    /// A configured value is wrong.
    pub const CONFIG: u8 = 78;
    /// The port is in use.
    pub const ADDRESS_IN_USE: u8 = 98;
}

/// Why the start ends before anything is opened. No variant holds a configured value.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A flag's value is wrong.
    #[error("{flag}: {why}")]
    Flag {
        /// Its name.
        flag: &'static str,
        /// Class of the value and what is allowed.
        why: String,
    },
    /// A line of a `.env` file is not in the grammar.
    #[error("{}:{}: the line {}", .file.display(), .bad.line, .bad.why)]
    BadLine {
        /// The file.
        file: PathBuf,
        /// Its line.
        bad: BadLine,
    },
    /// A variable's value is wrong.
    #[error("`{name}` ({origin}): {misfit}")]
    Variable {
        /// Its name.
        name: String,
        /// Environment, or file and line.
        origin: String,
        /// Class of the value and what is allowed.
        misfit: Misfit,
    },
    /// A variable and its `_FILE` form are both set.
    #[error("`{name}` and `{name}_FILE` are both set; keep one")]
    Both {
        /// Name without `_FILE`.
        name: String,
    },
    /// A file that was named cannot be read.
    #[error("cannot read `{}` (named by {by}): {why}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Who named it.
        by: String,
        /// From the system.
        why: io::Error,
    },
    /// `DATA_DIR` has no value and no home folder is known.
    #[error(
        "no home folder is known (`HOME` is unset); name a data folder with --data-dir or `DATA_DIR`"
    )]
    NoHome,
    /// Settings from flags and environment contradict each other.
    #[error("{}{}", .error, origin_suffix(.origin.as_deref()))]
    Setting {
        /// What is wrong.
        error: SettingError,
        /// Where the value came from.
        origin: Option<String>,
    },
    /// A finding of the start-up audit that forbids the start.
    #[error("{text}")]
    Refused {
        /// Finding and remedy.
        text: String,
        /// Its exit code.
        code: u8,
    },
}

fn origin_suffix(origin: Option<&str>) -> String {
    origin.map(|o| format!(" ({o})")).unwrap_or_default()
}

impl ConfigError {
    /// Exit code of the program.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Flag { .. } => exit::USAGE,
            Self::Unreadable { why, .. } if why.kind() == io::ErrorKind::PermissionDenied => {
                exit::PERMISSION
            }
            Self::BadLine { .. }
            | Self::Variable { .. }
            | Self::Both { .. }
            | Self::Unreadable { .. }
            | Self::NoHome
            | Self::Setting { .. } => exit::CONFIG,
            Self::Refused { code, .. } => *code,
        }
    }

    pub(crate) fn unreadable(path: &Path, by: &str, why: io::Error) -> Self {
        Self::Unreadable { path: path.to_owned(), by: by.to_owned(), why }
    }
}
