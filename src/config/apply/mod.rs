//! Brings the store into the state a config file describes: check everything, plan, one transaction (cli-and-deploy §7.5).

mod budgets;
mod check;
mod current;
mod desired;
mod facts;
mod names;
mod plan;
mod proxies;
mod work;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

pub(in crate::config) use budgets::Titles;
pub use names::{Meaning, Names};
pub use plan::{Action, Change, Plan};

use crate::auth::key::KeyHasher;
use crate::clock::UnixMs;
use crate::config::environment::Source;
use crate::config::file::{self, ConfigFile, FileError};
use crate::config::options::Options;
use crate::config::overlays;
use crate::config::settings::Found;
use crate::provider::overrides::EndpointOverride;
use crate::secret::Secret;
use crate::store::{Stamp, Store, StoreError};

/// What a config file is applied with.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// The operator's catalog files: name and text.
    pub overlays: &'a [(String, String)],
    /// Endpoint overrides of the environment.
    pub endpoints: &'a [EndpointOverride],
    /// Settings fixed by flags and environment.
    pub locked: &'a BTreeMap<&'static str, Value>,
    /// Where those came from.
    pub sources: &'a BTreeMap<&'static str, Source>,
    /// Defaults found on this machine.
    pub found: &'a Found,
    /// Value of a variable, for `env:NAME`.
    pub lookup: &'a dyn Fn(&str) -> Option<Secret>,
    /// Makes look-ups of router keys.
    pub hasher: &'a KeyHasher,
    /// Time of the change.
    pub now: UnixMs,
    /// Remove what an earlier file made and this one does not name, whatever the file says.
    pub prune: bool,
}

impl std::fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings").field("now", &self.now).finish_non_exhaustive()
    }
}

/// Why a config file was not applied. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The file is wrong; every mistake, in its order.
    #[error("{}", lines(.0))]
    File(Vec<FileError>),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ApplyError {
    /// Exit code of the program.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::File(_) => crate::config::error::exit::CONFIG,
            Self::Store(error) => error.exit_code(),
        }
    }
}

fn lines(errors: &[FileError]) -> String {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// Reads and applies the config file of an installation: all of it or nothing. Blocking.
///
/// # Errors
/// See [`ApplyError`].
pub fn apply_file(
    store: &Store,
    path: &Path,
    options: &Options,
    hasher: &KeyHasher,
    prune: bool,
) -> Result<Plan, ApplyError> {
    with_file(path, options, hasher, store.clock().now_ms(), prune, |file, around| {
        apply(store, file, around)
    })
}

/// The plan of [`apply_file`], without a change. No store = an empty one. Blocking.
///
/// # Errors
/// See [`ApplyError`].
pub fn preview_file(
    store: Option<&Store>,
    path: &Path,
    options: &Options,
    hasher: &KeyHasher,
    prune: bool,
) -> Result<Plan, ApplyError> {
    with_file(path, options, hasher, 0, prune, |file, around| match store {
        Some(store) => preview(store, file, around),
        None => plan::make(file, &current::Current::default(), around)
            .map(|(plan, _work)| plan)
            .map_err(ApplyError::File),
    })
}

/// A config file that is at hand as a text.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    /// For messages, for relative paths in it, and for its format: `.json` is JSON.
    pub name: &'a Path,
    /// Its bytes.
    pub text: &'a [u8],
}

/// Applies a config file that is at hand: all of it or nothing. Blocking.
///
/// # Errors
/// See [`ApplyError`].
pub fn apply_text(
    store: &Store,
    text: Text<'_>,
    options: &Options,
    hasher: &KeyHasher,
    prune: bool,
) -> Result<Plan, ApplyError> {
    with_text(text, options, hasher, store.clock().now_ms(), prune, |file, around| {
        apply(store, file, around)
    })
}

/// The plan of [`apply_text`], without a change. Blocking.
///
/// # Errors
/// See [`ApplyError`].
pub fn preview_text(
    store: &Store,
    text: Text<'_>,
    options: &Options,
    hasher: &KeyHasher,
    prune: bool,
) -> Result<Plan, ApplyError> {
    with_text(text, options, hasher, 0, prune, |file, around| preview(store, file, around))
}

/// As [`validate_file`], for a config file that is at hand.
///
/// # Errors
/// Every mistake, in its order.
pub fn validate_text(text: Text<'_>, options: &Options) -> Result<Vec<FileError>, Vec<FileError>> {
    let unused = KeyHasher::new(&[0; 32]);
    let checked = with_text(text, options, &unused, 0, false, |file, around| {
        validate(file, around).map_err(ApplyError::File)
    });
    checked.map_err(|error| mistakes(text.name, error))
}

/// Reads a file and checks it as it would be applied to an empty store. Gives the warnings; a secret that is not where
/// the file says is one of them, since it need not be where the file is checked.
///
/// # Errors
/// Every mistake, in the order of the file.
pub fn validate_file(path: &Path, options: &Options) -> Result<Vec<FileError>, Vec<FileError>> {
    let unused = KeyHasher::new(&[0; 32]);
    let checked = with_file(path, options, &unused, 0, false, |file, around| {
        validate(file, around).map_err(ApplyError::File)
    });
    checked.map_err(|error| mistakes(path, error))
}

fn mistakes(path: &Path, error: ApplyError) -> Vec<FileError> {
    match error {
        ApplyError::File(errors) => errors,
        ApplyError::Store(error) => vec![FileError::whole(path, error.to_string())],
    }
}

fn with_file<T>(
    path: &Path,
    options: &Options,
    hasher: &KeyHasher,
    now: UnixMs,
    prune: bool,
    run: impl FnOnce(&ConfigFile, &Surroundings<'_>) -> Result<T, ApplyError>,
) -> Result<T, ApplyError> {
    let file = file::read(path, options.outbound_default).map_err(ApplyError::File)?;
    with(&file, options, hasher, now, prune, run)
}

fn with_text<T>(
    text: Text<'_>,
    options: &Options,
    hasher: &KeyHasher,
    now: UnixMs,
    prune: bool,
    run: impl FnOnce(&ConfigFile, &Surroundings<'_>) -> Result<T, ApplyError>,
) -> Result<T, ApplyError> {
    let file = file::parse(text.name, text.text, options.outbound_default);
    with(&file.map_err(ApplyError::File)?, options, hasher, now, prune, run)
}

fn with<T>(
    file: &ConfigFile,
    options: &Options,
    hasher: &KeyHasher,
    now: UnixMs,
    prune: bool,
    run: impl FnOnce(&ConfigFile, &Surroundings<'_>) -> Result<T, ApplyError>,
) -> Result<T, ApplyError> {
    let overlays = overlays::read(&options.data_dir)
        .map_err(|why| ApplyError::File(vec![FileError::whole(&why.file, why.to_string())]))?;
    run(
        file,
        &Surroundings {
            overlays: &overlays,
            endpoints: &options.endpoints,
            locked: &options.locked,
            sources: &options.sources,
            found: &options.found,
            lookup: &|name| options.environment.secret(name),
            hasher,
            now,
            prune,
        },
    )
}

/// Applies a file: all of it or nothing. Blocking.
///
/// # Errors
/// See [`ApplyError`].
pub fn apply(
    store: &Store,
    file: &ConfigFile,
    around: &Surroundings<'_>,
) -> Result<Plan, ApplyError> {
    let sealer = store.sealer();
    let planned = store.write(|conn| {
        let current = current::Current::load(conn, sealer, file)?;
        match plan::make(file, &current, around) {
            Err(errors) => Ok(Err(errors)),
            Ok((plan, work)) => {
                work.run(conn, sealer, Stamp::config_file(around.now))?;
                Ok(Ok(plan))
            }
        }
    })?;
    planned.map_err(ApplyError::File)
}

/// The plan of [`apply`], without a change. Blocking.
///
/// # Errors
/// See [`ApplyError`].
pub fn preview(
    store: &Store,
    file: &ConfigFile,
    around: &Surroundings<'_>,
) -> Result<Plan, ApplyError> {
    let sealer = store.sealer();
    let planned = store.read(|conn| {
        let current = current::Current::load(conn, sealer, file)?;
        Ok(plan::make(file, &current, around).map(|(plan, _work)| plan))
    })?;
    planned.map_err(ApplyError::File)
}

/// Checks a file as it would be applied to an empty store. A secret that is not there is a warning: it need not be
/// where the file is checked.
///
/// # Errors
/// Every mistake, in the order of the file.
pub fn validate(
    file: &ConfigFile,
    around: &Surroundings<'_>,
) -> Result<Vec<FileError>, Vec<FileError>> {
    let current = current::Current::default();
    check::check(file, &current, around, desired::Secrets::Skip).map(|desired| desired.warnings)
}

#[cfg(test)]
mod tests;
