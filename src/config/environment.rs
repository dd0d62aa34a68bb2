//! The variables of this process: environment over `.env` files, `_FILE` forms, and a word about unknown names.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::dotenv;
use crate::config::error::ConfigError;
use crate::config::keys;
use crate::config::kind::Misfit;
use crate::config::variables::{self, OPEN_PREFIXES};
use crate::secret::Secret;

/// Something the operator should read at start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    /// How it is printed.
    pub level: Level,
    /// One line, without values.
    pub text: String,
}

/// Weight of a [`Note`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    /// Good to know.
    Info,
    /// Should be changed.
    Warning,
}

impl Note {
    /// A note that asks for a change.
    #[must_use]
    pub fn warning(text: impl Into<String>) -> Self {
        Self { level: Level::Warning, text: text.into() }
    }

    /// Writes it to the log.
    pub fn log(&self) {
        match self.level {
            Level::Info => tracing::info!("{}", self.text),
            Level::Warning => tracing::warn!("{}", self.text),
        }
    }

    /// A note for information.
    #[must_use]
    pub fn info(text: impl Into<String>) -> Self {
        Self { level: Level::Info, text: text.into() }
    }
}

/// Where a value came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// The command line.
    Flag,
    /// The environment of the process.
    Process,
    /// A `.env` file and its line.
    File(PathBuf, usize),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("command line"),
            Self::Process => f.write_str("environment"),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
        }
    }
}

/// A variable that is set and not empty.
#[derive(Clone, PartialEq, Eq)]
pub struct Variable {
    /// Name it was found under, with `_FILE` when that form was used.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Where the name was set.
    pub source: Source,
}

impl fmt::Debug for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The value may be a secret.
        f.debug_struct("Variable").field("name", &self.name).field("source", &self.source).finish()
    }
}

#[derive(Clone, PartialEq, Eq)]
enum Raw {
    Text(String),
    /// The process environment may hold anything; it is a fault only when the name is ours.
    NotUtf8,
}

/// All variables, in their order of precedence.
#[derive(Clone, PartialEq, Eq)]
pub struct Environment {
    vars: BTreeMap<String, (Raw, Source)>,
    /// Values a lower layer would give; used when an upper one is ignored.
    shadowed: BTreeMap<String, Vec<(Raw, Source)>>,
    files: Vec<PathBuf>,
    cwd: PathBuf,
    notes: Vec<Note>,
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Environment {
    /// The process environment alone. Paths in variables are relative to `cwd`.
    #[must_use]
    pub fn of_process(vars: impl IntoIterator<Item = (OsString, OsString)>, cwd: &Path) -> Self {
        let vars = vars.into_iter().filter_map(|(name, value)| {
            let value = value.into_string().map_or(Raw::NotUtf8, Raw::Text);
            Some((name.into_string().ok()?, (value, Source::Process)))
        });
        Self {
            vars: vars.collect(),
            shadowed: BTreeMap::new(),
            files: Vec::new(),
            cwd: cwd.to_owned(),
            notes: Vec::new(),
        }
    }

    /// Lays a file the operator named under what is known so far.
    ///
    /// # Errors
    /// It is missing, unreadable, or has a bad line.
    pub fn add_named_file(&mut self, path: &Path, by: &str) -> Result<(), ConfigError> {
        let path = self.cwd.join(path);
        let bytes = fs::read(&path).map_err(|why| ConfigError::unreadable(&path, by, why))?;
        self.add(path, &bytes)
    }

    /// The same for a file that need not exist.
    ///
    /// # Errors
    /// It exists and is unreadable, or has a bad line.
    pub fn add_file_if_any(&mut self, path: &Path) -> Result<(), ConfigError> {
        match fs::read(path) {
            Ok(bytes) => self.add(path.to_owned(), &bytes),
            Err(why) if is_absence(&why) => Ok(()),
            Err(why) => Err(ConfigError::unreadable(path, "its place", why)),
        }
    }

    fn add(&mut self, path: PathBuf, bytes: &[u8]) -> Result<(), ConfigError> {
        if self.files.contains(&path) {
            return Ok(());
        }
        let from_files = |name: &str| match self.vars.get(name) {
            Some((Raw::Text(text), Source::File(..))) => Some(text.clone()),
            _ => self.shadowed.get(name)?.iter().find_map(|(raw, _)| match raw {
                Raw::Text(text) => Some(text.clone()),
                Raw::NotUtf8 => None,
            }),
        };
        let file = dotenv::parse(bytes, &from_files)
            .map_err(|bad| ConfigError::BadLine { file: path.clone(), bad })?;
        for (line, text) in file.warnings {
            self.notes.push(Note::warning(format!("{}:{line}: {text}", path.display())));
        }
        let mut holds_secret = false;
        for set in file.assignments {
            holds_secret |= !set.value.is_empty() && is_secret_name(&set.name);
            let entry = (Raw::Text(set.value), Source::File(path.clone(), set.line));
            match self.vars.entry(set.name) {
                Entry::Occupied(above) => {
                    self.shadowed.entry(above.key().clone()).or_default().push(entry);
                }
                Entry::Vacant(free) => drop(free.insert(entry)),
            }
        }
        if holds_secret && is_open_to_others(&path) {
            let text = format!(
                "{} holds a secret and can be read by others; run: chmod 600 {0}",
                path.display()
            );
            self.notes.push(Note::warning(text));
        }
        self.files.push(path);
        Ok(())
    }

    /// The variable `name`, from its text or from the file that `<name>_FILE` names. Empty = unset.
    ///
    /// # Errors
    /// Both forms are set, the file is unreadable, or the value is not UTF-8.
    pub fn get(&mut self, name: &str) -> Result<Option<Variable>, ConfigError> {
        let plain = self.text(name)?;
        let file = self.text(&format!("{name}_FILE"))?;
        match (plain, file) {
            (Some(_), Some(_)) => Err(ConfigError::Both { name: name.to_owned() }),
            (plain, None) => Ok(plain),
            (None, Some(file)) => self.read_value_file(name, file).map(Some),
        }
    }

    /// True when `name` is set to something.
    #[must_use]
    pub fn is_set(&self, name: &str) -> bool {
        self.text(name).is_ok_and(|variable| variable.is_some())
    }

    /// True when `name` is set to nothing: for variables where that means "off".
    #[must_use]
    pub fn is_blank(&self, name: &str) -> bool {
        let blank =
            |(raw, _): &(Raw, Source)| matches!(raw, Raw::Text(text) if text.trim().is_empty());
        self.vars.get(name).is_some_and(blank)
    }

    /// The first of several names that is set.
    ///
    /// # Errors
    /// As [`Environment::get`].
    pub fn first_of(&mut self, names: &[&str]) -> Result<Option<Variable>, ConfigError> {
        for name in names {
            if let Some(variable) = self.get(name)? {
                return Ok(Some(variable));
            }
        }
        Ok(None)
    }

    /// The value of a variable that a config file refers to (`env:NAME`).
    #[must_use]
    pub fn secret(&self, name: &str) -> Option<Secret> {
        self.text(name).ok().flatten().map(|variable| Secret::new(variable.value))
    }

    /// Ignores the value `name` has now, so that the layer below speaks.
    pub fn pass_over(&mut self, name: &str) {
        let next = self.shadowed.get_mut(name).filter(|below| !below.is_empty());
        match next.map(|below| below.remove(0)) {
            Some(entry) => drop(self.vars.insert(name.to_owned(), entry)),
            None => drop(self.vars.remove(name)),
        }
    }

    /// Names that begin with `prefix`, without the `_FILE` ending.
    #[must_use]
    pub fn names_under(&self, prefix: &str) -> Vec<String> {
        let names = self.vars.keys().filter(|name| name.starts_with(prefix));
        let mut names: Vec<String> =
            names.map(|n| n.strip_suffix("_FILE").unwrap_or(n).to_owned()).collect();
        names.dedup();
        names
    }

    /// Files that were loaded, in order.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Adds a note.
    pub fn note(&mut self, note: Note) {
        self.notes.push(note);
    }

    /// Takes the notes gathered so far.
    pub fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    /// Warns of `NINEROUTER_…` names nobody reads.
    pub fn warn_of_unknown(&mut self) {
        let unknown = self.vars.iter().filter(|(name, _)| is_ours_but_unknown(name));
        let notes: Vec<Note> = unknown
            .map(|(name, (_, source))| {
                let base = name.strip_suffix("_FILE").unwrap_or(name);
                let ours = variables::known().filter(|known| known.starts_with("NINEROUTER_"));
                let near = keys::nearest(base, ours)
                    .map(|near| format!("; did you mean `{near}`?"))
                    .unwrap_or_default();
                Note::warning(format!("unknown variable `{name}` ({source}) is ignored{near}"))
            })
            .collect();
        self.notes.extend(notes);
    }

    fn text(&self, name: &str) -> Result<Option<Variable>, ConfigError> {
        let Some((raw, source)) = self.vars.get(name) else { return Ok(None) };
        match raw {
            Raw::Text(text) if text.trim().is_empty() => Ok(None),
            Raw::Text(text) => Ok(Some(Variable {
                name: name.to_owned(),
                value: text.clone(),
                source: source.clone(),
            })),
            Raw::NotUtf8 => Err(ConfigError::Variable {
                name: name.to_owned(),
                origin: source.to_string(),
                misfit: Misfit { got: "bytes that are not UTF-8".into(), want: "text".into() },
            }),
        }
    }

    fn read_value_file(&mut self, name: &str, file: Variable) -> Result<Variable, ConfigError> {
        let path = self.cwd.join(&file.value);
        let by = format!("`{}`", file.name);
        let mut value =
            fs::read_to_string(&path).map_err(|why| ConfigError::unreadable(&path, &by, why))?;
        if value.ends_with('\n') {
            value.pop();
            if value.ends_with('\r') {
                value.pop();
            }
        }
        if is_secret_name(name) && is_open_to_others(&path) {
            let text = format!(
                "the file named by `{}` holds a secret and can be read by others; run: chmod 600 {}",
                file.name,
                path.display()
            );
            self.notes.push(Note::warning(text));
        }
        Ok(Variable { name: file.name, value, source: file.source })
    }
}

fn is_absence(why: &io::Error) -> bool {
    matches!(why.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Names whose values are secrets, ours or not: they decide on warnings about file modes only.
fn is_secret_name(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    variables::variable_key(&upper).is_some_and(keys::Key::is_secret)
        || ["KEY", "TOKEN", "SECRET", "PASSWORD"].iter().any(|part| name.contains(part))
}

fn is_ours_but_unknown(name: &str) -> bool {
    if !name.starts_with("NINEROUTER_") {
        return false;
    }
    let base = name.strip_suffix("_FILE").unwrap_or(name);
    !variables::known().any(|known| known == name || known == base)
        && !OPEN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(unix)]
fn is_open_to_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    // A container's secret files are often 0444 on a private tmpfs; world-readable still deserves the word.
    fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o044 != 0)
}

#[cfg(not(unix))]
fn is_open_to_others(_path: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(vars: &[(&str, &str)], cwd: &Path) -> Environment {
        let vars = vars.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        Environment::of_process(vars, cwd)
    }

    fn value(env: &mut Environment, name: &str) -> Option<String> {
        env.get(name).unwrap().map(|v| v.value)
    }

    #[test]
    fn the_process_beats_files_and_the_first_file_beats_later_ones() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.env"), "A=file-a\nB=file-a\n").unwrap();
        fs::write(dir.path().join("b.env"), "A=file-b\nB=file-b\nC=${B}\n").unwrap();
        let mut env = environment(&[("A", "process")], dir.path());
        env.add_named_file(Path::new("a.env"), "--env-file").unwrap();
        env.add_named_file(Path::new("b.env"), "--env-file").unwrap();
        assert_eq!(value(&mut env, "A").as_deref(), Some("process"));
        assert_eq!(value(&mut env, "B").as_deref(), Some("file-a"));
        assert_eq!(value(&mut env, "C").as_deref(), Some("file-b"), "set earlier in its own file");
        env.pass_over("A");
        assert_eq!(value(&mut env, "A").as_deref(), Some("file-a"));
        env.pass_over("A");
        assert_eq!(value(&mut env, "A").as_deref(), Some("file-b"));
        env.pass_over("A");
        assert_eq!(value(&mut env, "A"), None);
    }

    #[test]
    fn c05_a_file_form_is_read_and_both_forms_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("secret"), "top secret\r\n").unwrap();
        let mut env = environment(&[("JWT_SECRET_FILE", "secret")], dir.path());
        assert_eq!(value(&mut env, "JWT_SECRET").as_deref(), Some("top secret"));

        let both = [("JWT_SECRET_FILE", "secret"), ("JWT_SECRET", "x")];
        let err = environment(&both, dir.path()).get("JWT_SECRET").unwrap_err();
        assert_eq!(err.exit_code(), 78);
        assert_eq!(err.to_string(), "`JWT_SECRET` and `JWT_SECRET_FILE` are both set; keep one");

        let mut missing = environment(&[("JWT_SECRET_FILE", "nowhere")], dir.path());
        let err = missing.get("JWT_SECRET").unwrap_err();
        assert_eq!(err.exit_code(), 78);
        assert!(err.to_string().contains("named by `JWT_SECRET_FILE`"), "{err}");
    }

    #[test]
    fn an_unknown_name_of_ours_is_named_with_its_neighbour() {
        let vars = [
            ("NINEROUTER_WORKRES", "4"),
            ("NINEROUTER_WORKERS", "4"),
            ("NINEROUTER_MASTER_KEY_FILE", "x"),
            ("NINEROUTER_ENDPOINT_GLM_API", "x"),
            ("WORKRES", "4"),
        ];
        let mut env = environment(&vars, Path::new("."));
        env.warn_of_unknown();
        let notes = env.take_notes();
        assert_eq!(notes.len(), 1, "{notes:?}");
        assert_eq!(
            notes[0].text,
            "unknown variable `NINEROUTER_WORKRES` (environment) is ignored; did you mean `NINEROUTER_WORKERS`?"
        );
    }

    #[test]
    fn a_bad_line_names_file_and_line_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".env");
        fs::write(&path, "A=1\nsk-live-secret\n").unwrap();
        let err = environment(&[], dir.path()).add_file_if_any(&path).unwrap_err();
        assert_eq!(err.exit_code(), 78);
        let text = err.to_string();
        assert!(text.contains(".env:2: ") && !text.contains("sk-live"), "{text}");
    }

    #[cfg(unix)]
    #[test]
    fn an_open_file_with_a_secret_is_named() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".env");
        fs::write(&path, "JWT_SECRET=a-long-enough-secret\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let mut env = environment(&[], dir.path());
        env.add_file_if_any(&path).unwrap();
        assert!(env.take_notes()[0].text.contains("chmod 600"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let mut env = environment(&[], dir.path());
        env.add_file_if_any(&path).unwrap();
        assert_eq!(env.take_notes(), []);
    }
}
