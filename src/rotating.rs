//! A file of lines that is put aside when it is full: `x.log`, then `x.log.1` … `x.log.N`, the oldest goes.
//!
//! One owner writes it. A line is never split between files, and a line that could not be written whole is taken back.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

#[cfg(unix)]
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};

/// How much of the end of a file is read at a time, to find its last line.
const STEP: u64 = 64 * 1024;

/// The file that is written to, and how large it is.
#[derive(Debug)]
pub struct RotatingFile {
    path: PathBuf,
    limit: u64,
    keep: u32,
    file: File,
    size: u64,
}

impl RotatingFile {
    /// Opens `path` for appending, for its owner only. It is put aside before it would exceed `limit` bytes; `keep` files
    /// put aside are kept. A last line without an end, left by a process that was killed, is cut off.
    ///
    /// # Errors
    /// The system refuses; `path` is a symbolic link.
    pub fn open(path: &Path, limit: u64, keep: u32) -> io::Result<Self> {
        let file = open_private(path)?;
        let size = cut_half_line(&file)?;
        Ok(Self { path: path.to_owned(), limit, keep, file, size })
    }

    /// Sets another limit; it counts from the next line on.
    pub fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// Appends `line`, which ends with a line feed.
    ///
    /// # Errors
    /// The system refuses; nothing of the line is left in the file.
    pub fn append(&mut self, line: &[u8]) -> io::Result<()> {
        self.follow()?;
        let len = u64::try_from(line.len()).unwrap_or(u64::MAX);
        if self.size > 0 && self.size.saturating_add(len) > self.limit {
            self.put_aside()?;
        }
        if let Err(error) = self.file.write_all(line) {
            // Half a line would make the next one unreadable too.
            self.file.set_len(self.size)?;
            return Err(error);
        }
        self.size = self.size.saturating_add(len);
        Ok(())
    }

    /// Somebody removed the file or moved it away: a new one is begun.
    fn follow(&mut self) -> io::Result<()> {
        #[cfg(unix)]
        {
            let ours = self.file.metadata()?;
            let there = fs::symlink_metadata(&self.path);
            if there.is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino())) {
                return Ok(());
            }
            self.file = open_private(&self.path)?;
            self.size = cut_half_line(&self.file)?;
        }
        Ok(())
    }

    fn put_aside(&mut self) -> io::Result<()> {
        for n in (0..self.keep).rev() {
            let (from, to) = (numbered(&self.path, n), numbered(&self.path, n + 1));
            match fs::rename(&from, &to) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        if self.keep == 0 {
            fs::remove_file(&self.path)?;
        }
        self.file = open_private(&self.path)?;
        self.size = 0;
        Ok(())
    }
}

/// Each write is a line: it stays whole.
impl io::Write for RotatingFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.append(line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The files of `path` that exist, the oldest first, the one that is written to last.
#[must_use]
pub fn files(path: &Path, keep: u32) -> Vec<PathBuf> {
    (0..=keep).rev().map(|n| numbered(path, n)).filter(|file| file.exists()).collect()
}

fn numbered(path: &Path, n: u32) -> PathBuf {
    if n == 0 {
        return path.to_owned();
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{n}"));
    PathBuf::from(name)
}

/// Opens a file for reading and appending; a symbolic link in its place is refused (SEC-LOG-6).
fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    options.mode(0o600).custom_flags(no_follow());
    let file = options.open(path)?;
    #[cfg(unix)]
    if file.metadata()?.mode() & 0o077 != 0 {
        match file.set_permissions(fs::Permissions::from_mode(0o600)) {
            // A mode that is not ours to change: the start-up audit tells of it.
            Err(error) if error.kind() != io::ErrorKind::PermissionDenied => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(file)
}

/// The flag that makes opening a symbolic link an error.
#[cfg(unix)]
#[must_use]
pub fn no_follow() -> i32 {
    i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0)
}

/// Cuts what follows the last line feed. Returns the size that is left.
fn cut_half_line(mut file: &File) -> io::Result<u64> {
    let size = file.metadata()?.len();
    let mut end = size;
    while end > 0 {
        let start = end.saturating_sub(STEP);
        file.seek(SeekFrom::Start(start))?;
        let mut part = Vec::new();
        file.take(end - start).read_to_end(&mut part)?;
        if let Some(at) = part.iter().rposition(|byte| *byte == b'\n') {
            let whole = start + u64::try_from(at + 1).unwrap_or(0);
            if whole != size {
                file.set_len(whole)?;
            }
            return Ok(whole);
        }
        end = start;
    }
    if size > 0 {
        file.set_len(0)?;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn t_aud_02_files_are_put_aside_at_the_byte_boundary() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.log");
        let mut log = RotatingFile::open(&path, 30, 3).unwrap();
        // Three lines of ten bytes fit exactly.
        for n in 0..14 {
            log.append(format!("line {n:04}\n").as_bytes()).unwrap();
        }
        let found = files(&path, 3);
        assert_eq!(found.len(), 4);
        let whole: String = found.iter().map(|file| text(file)).collect();
        assert!(whole.starts_with("line 0003\n") && whole.ends_with("line 0013\n"), "{whole}");
        for file in &found {
            assert!(fs::metadata(file).unwrap().len() <= 30);
            assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(text(&path), "line 0012\nline 0013\n");
    }

    #[test]
    fn t_aud_05_half_a_line_is_cut_at_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.log");
        for (left, want) in [("a\nb\nhal", "a\nb\n"), ("half", ""), ("", ""), ("a\n", "a\n")] {
            fs::write(&path, left).unwrap();
            let mut log = RotatingFile::open(&path, 1_000, 3).unwrap();
            assert_eq!(text(&path), want);
            log.append(b"c\n").unwrap();
            assert_eq!(text(&path), format!("{want}c\n"));
        }
        let long = format!("a\n{}", "x".repeat(200_000));
        fs::write(&path, long).unwrap();
        drop(RotatingFile::open(&path, 1_000_000, 3).unwrap());
        assert_eq!(text(&path), "a\n");
    }

    #[test]
    fn a_file_that_was_taken_away_is_begun_again_and_a_link_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.log");
        let mut log = RotatingFile::open(&path, 1_000, 1).unwrap();
        log.append(b"a\n").unwrap();
        fs::rename(&path, dir.path().join("moved")).unwrap();
        log.append(b"b\n").unwrap();
        assert_eq!(text(&path), "b\n");
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(dir.path().join("moved"), &path).unwrap();
        assert!(log.append(b"c\n").is_err());
        assert!(RotatingFile::open(&path, 1_000, 1).is_err());
        assert_eq!(text(&dir.path().join("moved")), "a\n");
    }
}
