//! The data folder: modes, master key, database, space, clock.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use serde_json::Value;

use super::{Check, Patient};
use crate::cli::commands::status::size;
use crate::cli::output::duration;
use crate::cli::version;
use crate::store::{
    DATABASE, MasterKey, Store, StoreError, StoreOptions, auth_state, free_bytes,
    is_network_file_system, settings,
};

/// Less than this is too little for a backup and a day of rows.
const SCARCE: u64 = 500 * 1024 * 1024;
/// Less than this, and writing may fail today.
const TOO_LITTLE: u64 = 50 * 1024 * 1024;
/// Two clocks may differ by this.
const TOLERANCE_MS: i64 = 5 * 60 * 1_000;
/// Files that others may never read (security §14).
const PRIVATE: [&str; 6] =
    ["", "master.key", DATABASE, "ninerouter.sqlite-wal", "ninerouter.sqlite-shm", ".env"];

pub(super) fn checks(patient: &Patient<'_>) -> Vec<Check> {
    let dir = &patient.options.data_dir;
    let shown = dir.display();
    let meta = match std::fs::metadata(dir) {
        Ok(meta) if meta.is_dir() => meta,
        Ok(_) => {
            let remedy = "name a folder with --data-dir or `DATA_DIR`";
            return vec![Check::fail("data_dir", format!("`{shown}` is no folder"), remedy)];
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let text = format!("data folder {shown}: not there yet; the first start makes it");
            return vec![Check::ok("data_dir", text)];
        }
        Err(error) => {
            let remedy = "run this command as the user the router runs as";
            return vec![Check::fail("data_dir", format!("`{shown}`: {error}"), remedy)];
        }
    };
    let mut checks = vec![owner(dir, &meta)];
    checks.extend(modes(dir));
    checks.extend(space(dir));
    if is_network_file_system(dir) {
        checks.push(Check::warn(
            "file_system",
            format!("`{shown}` lies on a network file system; a crash of its server may damage the database"),
            "move the data folder to a local disk",
        ));
    }
    checks.extend(database(patient));
    checks.extend(clock(patient));
    checks
}

fn owner(dir: &Path, meta: &Metadata) -> Check {
    let us = rustix::process::geteuid().as_raw();
    if meta.uid() == us {
        return Check::ok("data_dir", format!("data folder {}", dir.display()));
    }
    Check::fail(
        "data_dir",
        format!(
            "data folder {} belongs to user {}, this command runs as {us}",
            dir.display(),
            meta.uid()
        ),
        format!("run commands as that user: sudo -u '#{}' ninerouter …", meta.uid()),
    )
}

fn modes(dir: &Path) -> Vec<Check> {
    let open = |name: &&str| {
        let path = if name.is_empty() { dir.to_owned() } else { dir.join(name) };
        let mode = std::fs::metadata(&path).ok()?.permissions().mode() & 0o7777;
        (mode & 0o077 != 0).then(|| {
            Check::fail(
                "modes",
                format!("`{}` is open to others (mode {mode:04o})", path.display()),
                format!("chmod go= '{}'", path.display()),
            )
        })
    };
    let found: Vec<Check> = PRIVATE.iter().filter_map(open).collect();
    if found.is_empty() {
        vec![Check::ok("modes", "its files are closed to other users")]
    } else {
        found
    }
}

fn space(dir: &Path) -> Option<Check> {
    let free = free_bytes(dir)?;
    let words = size(i64::try_from(free).unwrap_or(i64::MAX));
    let text = format!("{words} free on its disk");
    let remedy = "make room: without it usage rows are lost first, then nothing can be changed";
    Some(match free {
        ..TOO_LITTLE => Check::fail("disk", text, remedy),
        TOO_LITTLE..SCARCE => Check::warn("disk", text, remedy),
        _ => Check::ok("disk", text),
    })
}

/// What the database says of how a start would go.
#[derive(Debug, Default)]
pub(super) struct Stored {
    /// A password of the dashboard is in it.
    pub(super) password: bool,
    /// Settings in it.
    pub(super) settings: BTreeMap<String, Value>,
}

/// Reads it. `None` = there is a database that cannot be read, of which [`checks`] tells.
pub(super) fn stored(patient: &Patient<'_>) -> Option<Stored> {
    let options = patient.options;
    if !options.data_dir.join(DATABASE).exists() {
        return Some(Stored::default());
    }
    let environment = options.secrets.master_key.as_ref();
    let key = MasterKey::load(&options.data_dir, environment).ok()??;
    let store = Store::open(&read_only(patient), &key).ok()?;
    let read = store.read(|conn| Ok((auth_state::load(conn)?, settings::list(conn)?)));
    // Nothing was written; what could fail here has no consequence.
    drop(store.close());
    let (state, rows) = read.ok()?;
    let settings = rows.into_iter().filter_map(|(name, row)| Some((name, row.value?)));
    Some(Stored { password: state.password_hash.is_some(), settings: settings.collect() })
}

fn read_only(patient: &Patient<'_>) -> StoreOptions {
    StoreOptions {
        data_dir: patient.options.data_dir.clone(),
        app_version: version::VERSION.to_owned(),
        clock: patient.clock.clone(),
        read_only: true,
        fresh: false,
    }
}

fn database(patient: &Patient<'_>) -> Vec<Check> {
    let options = patient.options;
    if !options.data_dir.join(DATABASE).exists() {
        return vec![Check::ok("database", "no database yet; the first start makes it")];
    }
    let environment = options.secrets.master_key.as_ref();
    let key = match MasterKey::load(&options.data_dir, environment) {
        Ok(Some(key)) => key,
        Ok(None) => {
            return vec![Check::fail(
                "master_key",
                "the database exists, its master key does not: stored credentials cannot be read",
                "put `master.key` back into the data folder, or give it as `NINEROUTER_MASTER_KEY`",
            )];
        }
        Err(error) => return vec![unopened(&error)],
    };
    let mut checks = Vec::new();
    let store = match Store::open(&read_only(patient), &key) {
        Ok(store) => store,
        Err(error) => return vec![unopened(&error)],
    };
    checks.push(Check::ok("master_key", "the master key opens the database"));
    let what = if patient.args.full { "database, every page" } else { "database, its outline" };
    checks.push(match store.faults(patient.args.full) {
        Ok(faults) if faults.is_empty() => Check::ok("database", format!("{what}: sound")),
        Ok(faults) => Check::fail(
            "database",
            format!("{what}: {}", faults.join("\n")),
            "stop the router and restore the newest file of `backups/`: ninerouter restore NAME",
        ),
        Err(error) => unopened(&error),
    });
    // Nothing was written; what could fail here has no consequence.
    drop(store.close());
    checks
}

fn unopened(error: &StoreError) -> Check {
    let remedy = match error {
        StoreError::SecretsUnreadable => {
            "put back the `master.key` that belongs to this database, or sign in again everywhere"
        }
        StoreError::Newer { .. } => "run the newer version, or `ninerouter restore` a backup",
        StoreError::Older { .. } => "start the router once; it brings the database up to date",
        StoreError::Permission { .. } => "run this command as the user the router runs as",
        _ => {
            "the message says what to do; `backups/` holds earlier states for `ninerouter restore`"
        }
    };
    Check::fail("database", error.to_string(), remedy)
}

/// A clock that stands behind its own files makes tokens look fresh that are not.
fn clock(patient: &Patient<'_>) -> Option<Check> {
    let dir = &patient.options.data_dir;
    let names = [DATABASE, "ninerouter.sqlite-wal", "ninerouter.lock"];
    let newest = names
        .iter()
        .filter_map(|name| std::fs::metadata(dir.join(name)).ok())
        .map(|meta| meta.mtime().saturating_mul(1_000))
        .max()?;
    let behind = newest.saturating_sub(patient.clock.now_ms());
    if behind <= TOLERANCE_MS {
        return Some(Check::ok("clock", "the clock agrees with the last run"));
    }
    Some(Check::warn(
        "clock",
        format!("the clock is {} behind the files of the last run", duration(behind / 1_000)),
        "set the clock (timedatectl set-ntp true): token and quota times depend on it",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_modes_are_found_and_nothing_is_changed() {
        let folder = tempfile::tempdir().unwrap();
        let env = folder.path().join(".env");
        std::fs::write(&env, "A=1").unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        std::fs::set_permissions(&env, std::fs::Permissions::from_mode(0o644)).unwrap();
        let found = modes(folder.path());
        assert_eq!(found.len(), 1);
        assert!(found[0].text.contains(".env` is open to others (mode 0644)"), "{found:?}");
        assert_eq!(std::fs::metadata(&env).unwrap().permissions().mode() & 0o777, 0o644);
        std::fs::set_permissions(&env, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(
            modes(folder.path()),
            [Check::ok("modes", "its files are closed to other users")]
        );
    }
}
