//! Files of the data folder: private modes, the lock, writing that survives a crash.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::clock::UnixMs;
use crate::store::error::StoreError;

#[cfg(unix)]
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};

/// The held lock of a data folder. Dropping it frees the folder.
#[derive(Debug)]
pub(crate) struct DirLock {
    _file: File,
}

impl DirLock {
    /// Takes the lock, or says who holds it (REL-DB-7).
    pub(crate) fn take(data_dir: &Path) -> Result<Self, StoreError> {
        let path = data_dir.join("ninerouter.lock");
        // Never removed and never truncated before it is ours: the pid in it belongs to its holder.
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file =
            private(&mut options).open(&path).map_err(|e| StoreError::create(&path, e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Locked { pid: read_pid(&mut file), path });
            }
            Err(TryLockError::Error(e)) => return Err(StoreError::io(&path, e)),
        }
        restrict(&path, 0o600)?;
        write_pid(&mut file).map_err(|e| StoreError::io(&path, e))?;
        Ok(Self { _file: file })
    }
}

/// Makes the data folder when it is missing, for its owner only (0700), and closes an open one.
pub(crate) fn make_private_dir(path: &Path) -> Result<(), StoreError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    builder.mode(0o700);
    builder.create(path).map_err(|e| StoreError::create(path, e))?;
    restrict(path, 0o700)
}

/// Makes an empty file for its owner only (0600); an existing one is an error.
pub(crate) fn create_private(path: &Path) -> Result<File, StoreError> {
    private(OpenOptions::new().read(true).write(true).create_new(true))
        .open(path)
        .map_err(|e| StoreError::create(path, e))
}

/// Takes group's and others' access from `path`.
///
/// A mode that is not ours to change (mounted volumes, foreign owner) stays: the start-up audit
/// reports it.
pub(crate) fn restrict(path: &Path, mode: u32) -> Result<(), StoreError> {
    #[cfg(unix)]
    {
        let now = fs::metadata(path).map_err(|e| StoreError::io(path, e))?.permissions();
        if now.mode() & 0o777 != mode {
            match fs::set_permissions(path, fs::Permissions::from_mode(mode)) {
                Err(e) if e.kind() != io::ErrorKind::PermissionDenied => {
                    return Err(StoreError::io(path, e));
                }
                Ok(()) | Err(_) => {}
            }
        }
    }
    #[cfg(not(unix))]
    let _unused_on_this_system = (path, mode);
    Ok(())
}

/// Makes the names in `dir` survive a power failure.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    #[cfg(unix)]
    File::open(dir).and_then(|d| d.sync_all()).map_err(|e| StoreError::io(dir, e))?;
    #[cfg(not(unix))]
    let _unused_on_this_system = dir;
    Ok(())
}

/// Bytes free for us on the file system of `path`; `None` where that cannot be asked.
#[must_use]
pub fn free_bytes(path: &Path) -> Option<u64> {
    #[cfg(unix)]
    {
        let stat = rustix::fs::statvfs(path).ok()?;
        Some(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
    #[cfg(not(unix))]
    {
        let _unused_on_this_system = path;
        None
    }
}

/// True on file systems whose locks and shared memory SQLite's WAL cannot trust (REL-DB-7).
#[must_use]
pub fn is_network_file_system(path: &Path) -> bool {
    #[cfg(target_os = "linux")]
    {
        // NFS, 9p, SMB, SMB2, CIFS (linux/magic.h).
        const NETWORK: [u64; 5] = [0x6969, 0x0102_1997, 0x517B, 0xFE53_4D42, 0xFF53_4D42];
        rustix::fs::statfs(path)
            .is_ok_and(|s| u64::try_from(s.f_type).is_ok_and(|t| NETWORK.contains(&t)))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _unused_on_this_system = path;
        false
    }
}

/// `20261124T183126Z`: sorts by time, fits every file system.
pub(crate) fn utc_stamp(now: UnixMs) -> String {
    match jiff::Timestamp::from_millisecond(now) {
        Ok(t) => t.strftime("%Y%m%dT%H%M%SZ").to_string(),
        Err(_) => now.to_string(),
    }
}

/// The instant of such a stamp.
pub(crate) fn instant_of(stamp: &str) -> Option<UnixMs> {
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", stamp).ok()?;
    Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

/// `base` when free, else `base-1`, `base-2` …
pub(crate) fn unused_name(base: &Path) -> PathBuf {
    let mut path = base.to_owned();
    let mut n = 0u32;
    while path.exists() {
        n += 1;
        let mut name = base.as_os_str().to_owned();
        name.push("-");
        name.push(n.to_string());
        path = PathBuf::from(name);
    }
    path
}

/// `path` with `suffix` glued to its name, as SQLite does for `-wal`.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    options.mode(0o600);
    options
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(std::process::id().to_string().as_bytes())?;
    file.write_all(b"\n")
}
