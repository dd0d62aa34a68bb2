//! The data folder: made with mode 0700, and modes of what lies in it put right (B5).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::environment::Note;
use crate::config::error::{ConfigError, exit};

/// Files in the folder that others may never read.
const PRIVATE_FILES: &[&str] = &[
    "master.key",
    "master.key.prev",
    "ninerouter.sqlite",
    "ninerouter.sqlite-wal",
    "ninerouter.sqlite-shm",
    "setup-code",
    ".env",
];

/// Makes the folder if it is absent, checks that it can be written, and puts modes right.
///
/// # Errors
/// It cannot be made (73), is no folder (73), cannot be written or belongs to somebody else and is open (77).
pub fn prepare(dir: &Path, container: bool) -> Result<Vec<Note>, ConfigError> {
    make(dir, container)?;
    check_writable(dir, container)?;
    let mut notes = Vec::new();
    for path in std::iter::once(dir.to_owned()).chain(PRIVATE_FILES.iter().map(|f| dir.join(f))) {
        match open_to_others(&path) {
            None => {}
            Some(mode) => notes.push(close(&path, mode)?),
        }
    }
    notes.extend(notes_on_place(dir, container));
    Ok(notes)
}

/// Closes one file of ours to others; says so when it did. Files of somebody else are left alone.
#[must_use]
pub fn tighten(path: &Path) -> Option<Note> {
    open_to_others(path).and_then(|mode| close(path, mode).ok())
}

fn make(dir: &Path, container: bool) -> Result<(), ConfigError> {
    match fs::metadata(dir) {
        Ok(meta) if meta.is_dir() => return Ok(()),
        Ok(_) => {
            let text = format!("`{}` is not a folder; name another with --data-dir", dir.display());
            return Err(ConfigError::Refused { text, code: exit::CANNOT_CREATE });
        }
        Err(_absent_or_hidden) => {}
    }
    let made = create_private(dir);
    made.map_err(|why| refuse(dir, &why, "cannot make the data folder", container))
}

#[cfg(unix)]
fn create_private(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    // Parents get the usual mode, the folder itself is closed from the first moment on.
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(why) if why.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        other => other,
    }
}

#[cfg(not(unix))]
fn create_private(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)
}

fn check_writable(dir: &Path, container: bool) -> Result<(), ConfigError> {
    let probe = dir.join(format!(".write-test-{}", std::process::id()));
    let written = fs::OpenOptions::new().write(true).create_new(true).open(&probe);
    match written {
        Ok(file) => {
            drop(file);
            // A probe that stays behind is harmless; the folder is known to be writable.
            drop(fs::remove_file(&probe));
            Ok(())
        }
        Err(why) => Err(refuse(dir, &why, "cannot write to the data folder", container)),
    }
}

fn refuse(dir: &Path, why: &io::Error, what: &str, container: bool) -> ConfigError {
    let shown = dir.display();
    let denied =
        matches!(why.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem);
    let code = if denied { exit::PERMISSION } else { exit::CANNOT_CREATE };
    let remedy = if denied && container {
        format!(
            "on the host run: chown -R {}:{} <the folder or volume mounted at {shown}>",
            uid(),
            gid()
        )
    } else if denied {
        format!(
            "make it yours (chown -R {}:{} {shown}), or name another with --data-dir",
            uid(),
            gid()
        )
    } else {
        "free space or name another with --data-dir".into()
    };
    ConfigError::Refused { text: format!("{what} `{shown}`: {why}\n  {remedy}"), code }
}

#[cfg(unix)]
fn open_to_others(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o7777;
    (mode & 0o077 != 0).then_some(mode)
}

#[cfg(not(unix))]
fn open_to_others(_path: &Path) -> Option<u32> {
    None
}

#[cfg(unix)]
fn close(path: &Path, mode: u32) -> Result<Note, ConfigError> {
    use std::os::unix::fs::PermissionsExt;
    let closed = fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o700));
    match closed {
        Ok(()) => Ok(Note::warning(format!(
            "`{}` was open to others (mode {mode:04o}); now it is {:04o}",
            path.display(),
            mode & 0o700
        ))),
        Err(why) => Err(ConfigError::Refused {
            text: format!(
                "`{}` is open to others (mode {mode:04o}) and cannot be closed: {why}\n  run: chmod go= {0}",
                path.display()
            ),
            code: exit::PERMISSION,
        }),
    }
}

#[cfg(not(unix))]
fn close(path: &Path, _mode: u32) -> Result<Note, ConfigError> {
    Ok(Note::info(format!("`{}` keeps its permissions", path.display())))
}

/// Words about where the folder lies.
fn notes_on_place(dir: &Path, container: bool) -> Vec<Note> {
    let mut notes = Vec::new();
    if container && is_on_root_device(dir) {
        notes.push(Note::warning(format!(
            "`{}` is not a mount: data will be lost when the container is removed; \
             start it with a volume (-v ninerouter-data:{0})",
            dir.display()
        )));
    }
    if let Some(kind) = network_file_system(dir) {
        notes.push(Note::warning(format!(
            "`{}` lies on {kind}: SQLite needs a local disk; name another with --data-dir",
            dir.display()
        )));
    }
    if let Some(other) = other_program(dir) {
        notes.push(Note::info(format!(
            "found data of 9router (`{}`); it is left untouched",
            other.display()
        )));
    }
    notes
}

/// A file of 9router in the same folder (cli-and-deploy §6: only read, never changed).
#[must_use]
pub fn other_program(dir: &Path) -> Option<PathBuf> {
    let files = ["db.sqlite", "db/data.sqlite", "db.json"];
    files.iter().map(|file| dir.join(file)).find(|path| path.is_file())
}

#[cfg(unix)]
fn is_on_root_device(dir: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (fs::metadata(dir), fs::metadata("/")) {
        (Ok(dir), Ok(root)) => dir.dev() == root.dev(),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_on_root_device(_dir: &Path) -> bool {
    false
}

#[cfg(target_os = "linux")]
#[expect(clippy::useless_conversion, reason = "the type of `f_type` differs by architecture")]
fn network_file_system(dir: &Path) -> Option<&'static str> {
    // Magic numbers of statfs(2).
    match i64::try_from(rustix::fs::statfs(dir).ok()?.f_type).ok()? {
        0x6969 => Some("NFS"),
        0x0102_1997 => Some("9p"),
        0x517B | 0xFE53_4D42 | 0xFF53_4D42 => Some("SMB"),
        _ => None,
    }
}

#[cfg(not(target_os = "linux"))]
fn network_file_system(_dir: &Path) -> Option<&'static str> {
    None
}

#[cfg(unix)]
fn uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(unix)]
fn gid() -> u32 {
    rustix::process::getegid().as_raw()
}

#[cfg(not(unix))]
fn uid() -> u32 {
    0
}

#[cfg(not(unix))]
fn gid() -> u32 {
    0
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn t_boot_05_folder_is_made_closed_and_open_files_are_closed() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("a/b");
        assert_eq!(prepare(&data, false).unwrap(), []);
        assert_eq!(mode(&data), 0o700);

        fs::write(data.join("master.key"), "x").unwrap();
        fs::set_permissions(data.join("master.key"), fs::Permissions::from_mode(0o640)).unwrap();
        fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
        let notes = prepare(&data, false).unwrap();
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert!(notes[1].text.contains("master.key` was open to others (mode 0640)"));
        assert_eq!((mode(&data), mode(&data.join("master.key"))), (0o700, 0o600));
        assert_eq!(prepare(&data, false).unwrap(), []);
    }

    #[test]
    fn a_file_in_the_way_is_refused_with_73() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let err = prepare(&file, false).unwrap_err();
        assert_eq!(err.exit_code(), 73);
        let err = prepare(&file.join("below"), false).unwrap_err();
        assert_eq!(err.exit_code(), 73, "{err}");
    }

    #[test]
    fn foreign_data_is_named_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("d");
        fs::create_dir(&data).unwrap();
        fs::write(data.join("db.json"), "{}").unwrap();
        let notes = prepare(&data, false).unwrap();
        assert!(notes.iter().any(|n| n.text.contains("db.json")), "{notes:?}");
        assert_eq!(fs::read(data.join("db.json")).unwrap(), b"{}");
    }
}
