//! Secrets by reference: `env:NAME` or `file:/path`. The file itself never holds one.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::config::dotenv::is_name;
use crate::secret::Secret;

/// Most bytes of a file that holds a secret.
const MOST: u64 = 64 * 1024;

/// Where a secret lies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SecretRef {
    /// In a variable of the environment or of a `.env` file.
    Env(String),
    /// In a file of its own.
    File(PathBuf),
}

/// Why a reference cannot be used. Never holds the text: it may be the secret itself.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SecretRefError {
    /// It is no reference.
    #[error(
        "must be a reference, `env:NAME` or `file:/path`; a secret itself does not belong into this file"
    )]
    Literal,
    /// The variable has no value.
    #[error("`env:{0}`: that variable is not set")]
    Unset(String),
    /// The file cannot be read.
    #[error("`file:{}`: {}", .0.display(), .1)]
    Unreadable(PathBuf, String),
    /// What was read is no secret.
    #[error("`{0}`: {1}")]
    Unusable(String, &'static str),
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

impl SecretRef {
    /// Reads a reference. Relative paths begin at the folder of the config file.
    ///
    /// # Errors
    /// The text is no reference.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, SecretRefError> {
        match text.split_once(':') {
            Some(("env", name)) if is_name(name) => Ok(Self::Env(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(folder.join(path))),
            _ => Err(SecretRefError::Literal),
        }
    }

    /// The secret. `lookup` gives the value of a variable.
    ///
    /// # Errors
    /// There is none, or it cannot be a secret: empty, several lines, control characters.
    pub fn resolve(
        &self,
        lookup: &dyn Fn(&str) -> Option<Secret>,
    ) -> Result<Secret, SecretRefError> {
        let secret = match self {
            Self::Env(name) => lookup(name).ok_or_else(|| SecretRefError::Unset(name.clone()))?,
            Self::File(path) => read_file(path)?,
        };
        let unusable = |why| SecretRefError::Unusable(self.to_string(), why);
        if secret.is_empty() {
            return Err(unusable("is empty"));
        }
        if secret.expose().chars().any(char::is_control) {
            return Err(unusable("holds a line break or another control character"));
        }
        if secret.expose().trim() != secret.expose() {
            return Err(unusable("begins or ends in a blank"));
        }
        Ok(secret)
    }
}

fn read_file(path: &Path) -> Result<Secret, SecretRefError> {
    let unreadable = |why: String| SecretRefError::Unreadable(path.to_owned(), why);
    let size = fs::metadata(path).map_err(|e| unreadable(e.to_string()))?.len();
    if size > MOST {
        return Err(unreadable(format!("is larger than {MOST} bytes")));
    }
    let mut text = fs::read_to_string(path).map_err(|e| unreadable(e.to_string()))?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_references_are_read() {
        let parse = |text| SecretRef::parse(text, Path::new("/etc/nr"));
        assert_eq!(parse("env:GLM_KEY"), Ok(SecretRef::Env("GLM_KEY".into())));
        assert_eq!(parse("file:/run/x"), Ok(SecretRef::File("/run/x".into())));
        assert_eq!(parse("file:keys/x"), Ok(SecretRef::File("/etc/nr/keys/x".into())));
        for text in ["sk-live-0123", "env:", "env:A B", "env:sk-live", "file:", "vault:x", ""] {
            let error = parse(text).unwrap_err();
            assert_eq!(error, SecretRefError::Literal, "{text}");
            assert!(!error.to_string().contains("sk-live"));
        }
    }

    #[test]
    fn secrets_lose_one_line_end_and_must_be_one_line() {
        let dir = tempfile::tempdir().unwrap();
        let file = |text: &str| {
            let path = dir.path().join("secret");
            fs::write(&path, text).unwrap();
            SecretRef::File(path).resolve(&|_| None)
        };
        assert_eq!(file("abc\n").unwrap().expose(), "abc");
        assert_eq!(file("abc\r\n").unwrap().expose(), "abc");
        for text in ["", "\n", "abc\n\n", "a\nb", " abc", "abc \n"] {
            assert!(file(text).is_err(), "{text:?}");
        }
        let lookup = |name: &str| (name == "SET").then(|| Secret::new("x y".into()));
        assert_eq!(SecretRef::Env("SET".into()).resolve(&lookup).unwrap().expose(), "x y");
        let error = SecretRef::Env("GONE".into()).resolve(&lookup).unwrap_err();
        assert_eq!(error.to_string(), "`env:GONE`: that variable is not set");
    }
}
