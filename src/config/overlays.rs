//! The operator's catalog files, `DATA_DIR/providers.d/*.toml` (design §5.7).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Folder in the data folder.
const FOLDER: &str = "providers.d";

/// A file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("`{}` cannot be read: {why}", .file.display())]
pub struct OverlayError {
    /// The file or folder.
    pub file: PathBuf,
    /// From the system.
    pub why: io::Error,
}

/// Name and text of every file, by name. No folder = none.
///
/// # Errors
/// A file cannot be read.
pub fn read(data_dir: &Path) -> Result<Vec<(String, String)>, OverlayError> {
    let folder = data_dir.join(FOLDER);
    let failed = |file: &Path| {
        let file = file.to_owned();
        move |why| OverlayError { file, why }
    };
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(why) => return Err(failed(&folder)(why)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed(&folder))?.path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    let text = |path: PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        fs::read_to_string(&path).map(|text| (name, text)).map_err(failed(&path))
    };
    paths.into_iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toml_files_are_read_by_name() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()).unwrap(), []);
        let folder = dir.path().join(FOLDER);
        fs::create_dir(&folder).unwrap();
        for name in ["b.toml", "a.toml", "c.txt", "d.toml~"] {
            fs::write(folder.join(name), name).unwrap();
        }
        let names: Vec<_> = read(dir.path()).unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a.toml", "b.toml"]);
    }
}
