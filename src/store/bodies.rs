//! Bodies captured for debugging: one file per request, `DATA_DIR/logs/requests/<day>/<id>.ndjson` (storage §4.5).
//!
//! Names are made of `[a-z0-9_-]` only and opened below a folder that was opened once; links are not followed (SEC-LOG-6).

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags};

use crate::clock::UnixMs;

/// Largest file that is read: beyond what a capture writes.
const LARGEST: u64 = 64 << 20;
/// Folder below the data folder.
const FOLDER: [&str; 2] = ["logs", "requests"];

/// The folder of captured bodies.
#[derive(Debug)]
pub struct BodyFiles {
    root: OwnedFd,
    path: PathBuf,
}

/// A file that exists.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Kept {
    day: String,
    name: String,
    bytes: u64,
}

impl BodyFiles {
    /// Opens the folder below `data_dir`, made when it is missing.
    ///
    /// # Errors
    /// The system refuses; a link stands in its place.
    pub fn open(data_dir: &Path) -> io::Result<Self> {
        // The data folder itself may be a link: the operator chose it.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut at = rustix::fs::open(data_dir, flags, Mode::empty())?;
        let mut path = data_dir.to_owned();
        for name in FOLDER {
            at = folder(&at, name, true)?;
            path.push(name);
        }
        Ok(Self { root: at, path })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file whole, or not at all.
    ///
    /// # Errors
    /// The id cannot be a name; the system refuses.
    pub fn write(&self, ts: UnixMs, id: &str, text: &[u8]) -> io::Result<()> {
        let name = name_of(id)?;
        let day = folder(&self.root, &day_of(ts)?, true)?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&day, name.as_str(), flags, Mode::from_raw_mode(0o600))?;
        let written = File::from(file).write_all(text);
        if written.is_err() {
            // Half a file tells half the truth.
            let _gone_already = rustix::fs::unlinkat(&day, name.as_str(), AtFlags::empty());
        }
        written
    }

    /// Reads a file; `None` = there is none.
    ///
    /// # Errors
    /// The id cannot be a name; the system refuses.
    pub fn read(&self, ts: UnixMs, id: &str) -> io::Result<Option<Vec<u8>>> {
        let name = name_of(id)?;
        let opened = folder(&self.root, &day_of(ts)?, false).and_then(|day| {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            Ok(rustix::fs::openat(&day, name.as_str(), flags, Mode::empty())?)
        });
        let file = match opened {
            Ok(file) => File::from(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        file.take(LARGEST).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Bytes of all files.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn size(&self) -> io::Result<u64> {
        Ok(self.kept()?.iter().map(|kept| kept.bytes).sum())
    }

    /// Removes files that began before `before`, then the oldest until no more than `most` bytes are left. Returns how many
    /// bytes are left.
    ///
    /// # Errors
    /// The folder cannot be read, or a file cannot be removed.
    pub fn prune(&self, before: UnixMs, most: u64) -> io::Result<u64> {
        let mut kept = self.kept()?;
        kept.sort();
        let mut left: u64 = kept.iter().map(|kept| kept.bytes).sum();
        for file in &kept {
            let too_old = self.modified(file)? < before;
            if !too_old && left <= most {
                continue;
            }
            let day = folder(&self.root, &file.day, false)?;
            rustix::fs::unlinkat(&day, file.name.as_str(), AtFlags::empty())?;
            left = left.saturating_sub(file.bytes);
        }
        for day in self.days()? {
            // Only an empty one goes.
            let _not_empty = rustix::fs::unlinkat(&self.root, day.as_str(), AtFlags::REMOVEDIR);
        }
        Ok(left)
    }

    fn days(&self) -> io::Result<Vec<String>> {
        let names = fs::read_dir(&self.path)?
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        Ok(names.filter_map(|entry| entry.file_name().into_string().ok()).collect())
    }

    fn kept(&self) -> io::Result<Vec<Kept>> {
        let mut kept = Vec::new();
        for day in self.days()? {
            for entry in fs::read_dir(self.path.join(&day))?.flatten() {
                let Ok(name) = entry.file_name().into_string() else { continue };
                // Of the entry itself: a link is not followed.
                if let Ok(meta) = entry.metadata()
                    && meta.is_file()
                {
                    kept.push(Kept { day: day.clone(), name, bytes: meta.len() });
                }
            }
        }
        Ok(kept)
    }

    fn modified(&self, file: &Kept) -> io::Result<UnixMs> {
        let stat = fs::symlink_metadata(self.path.join(&file.day).join(&file.name))?;
        let since = stat.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Ok(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

fn folder_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

fn folder(at: &OwnedFd, name: &str, make: bool) -> io::Result<OwnedFd> {
    if make {
        match rustix::fs::mkdirat(at, name, Mode::from_raw_mode(0o700)) {
            Err(error) if error != rustix::io::Errno::EXIST => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(rustix::fs::openat(at, name, folder_flags(), Mode::empty())?)
}

/// `<id>.ndjson` in lower case, of the router's own ids: `req_` and what may stand in a name.
fn name_of(id: &str) -> io::Result<String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !id.starts_with("req_") || id.len() > 100 || !id.bytes().all(is_plain) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the id cannot be a file's name"));
    }
    Ok([&id.to_ascii_lowercase(), ".ndjson"].concat())
}

/// `2026-11-30`, UTC.
fn day_of(ts: UnixMs) -> io::Result<String> {
    let at = jiff::Timestamp::from_millisecond(ts).map_err(io::Error::other)?;
    Ok(at.strftime("%Y-%m-%d").to_string())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    const NOW: UnixMs = 1_795_545_086_000;

    #[test]
    fn files_are_private_and_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let files = BodyFiles::open(dir.path()).unwrap();
        files.write(NOW, "req_1-A", b"{}\n").unwrap();
        assert_eq!(files.read(NOW, "req_1-a").unwrap().unwrap(), b"{}\n");
        assert_eq!(files.read(NOW, "req_2").unwrap(), None);
        assert_eq!(files.read(0, "req_1-a").unwrap(), None);
        let path = dir.path().join("logs/requests/2026-11-24/req_1-a.ndjson");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let day = fs::metadata(path.parent().unwrap()).unwrap();
        assert_eq!(day.permissions().mode() & 0o777, 0o700);
        assert!(files.write(NOW, "req_1-a", b"again").is_err());
    }

    #[test]
    fn t_log_04_no_id_leaves_the_folder_and_no_link_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let files = BodyFiles::open(dir.path()).unwrap();
        for id in [
            "../../etc/passwd",
            "/etc/passwd",
            "..%2fx",
            "a\0b",
            "CON",
            "",
            "a/b",
            ".",
            "é",
            &"x".repeat(101),
        ] {
            assert!(files.read(NOW, id).is_err(), "{id:?}");
            assert!(files.write(NOW, id, b"x").is_err(), "{id:?}");
        }
        let secret = dir.path().join("secret");
        fs::write(&secret, "hush").unwrap();
        files.write(NOW, "req_1", b"x").unwrap();
        let day = dir.path().join("logs/requests/2026-11-24");
        symlink(&secret, day.join("req_2.ndjson")).unwrap();
        assert!(files.read(NOW, "req_2").is_err());
        assert!(files.write(NOW, "req_2", b"x").is_err());
        assert_eq!(fs::read_to_string(&secret).unwrap(), "hush");
        let outside = tempfile::tempdir().unwrap();
        symlink(outside.path(), dir.path().join("logs/requests/1970-01-01")).unwrap();
        assert!(files.write(0, "req_3", b"x").is_err());
        let other = tempfile::tempdir().unwrap();
        symlink(outside.path(), other.path().join("logs")).unwrap();
        assert!(BodyFiles::open(other.path()).is_err());
    }

    #[test]
    fn t_log_03_the_old_and_then_the_oldest_go() {
        let dir = tempfile::tempdir().unwrap();
        let files = BodyFiles::open(dir.path()).unwrap();
        const DAY: i64 = 86_400_000;
        for n in 0..5 {
            files.write(NOW + n * DAY, &format!("req_{n}"), &[b'x'; 100]).unwrap();
        }
        assert_eq!(files.size().unwrap(), 500);
        assert_eq!(files.prune(0, 250).unwrap(), 200);
        assert!(files.read(NOW + 2 * DAY, "req_2").unwrap().is_none());
        assert!(files.read(NOW + 3 * DAY, "req_3").unwrap().is_some());
        assert_eq!(fs::read_dir(files.path()).unwrap().count(), 2, "empty days are gone");
        assert_eq!(files.prune(UnixMs::MAX, u64::MAX).unwrap(), 0);
    }
}
