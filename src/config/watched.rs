//! The files configuration is read from, and whether one of them changed (cli-and-deploy §7.5).

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

use crate::config::options::{Inputs, Options};
use crate::config::overlays;

/// The files a reload reads, whether they exist now or not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Watched {
    files: Vec<PathBuf>,
    data_dir: PathBuf,
}

impl Watched {
    /// The `.env` files, the config file and the catalog overlays of a start.
    #[must_use]
    pub fn new(options: &Options, inputs: &Inputs) -> Self {
        let named = inputs.flags.env_files.iter().map(|file| inputs.cwd.join(file));
        let usual = [inputs.cwd.join(".env"), options.data_dir.join(".env")];
        let config = options.config_file.iter().map(|file| inputs.cwd.join(file));
        Self {
            files: named.chain(usual).chain(config).collect(),
            data_dir: options.data_dir.clone(),
        }
    }

    /// A number that changes with the content of the files; a file that cannot be read counts as
    /// absent. By content, not by time: editors rename, Kubernetes swaps links. Blocking.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for file in &self.files {
            content(file).hash(&mut hasher);
        }
        overlays::read(&self.data_dir).ok().hash(&mut hasher);
        hasher.finish()
    }
}

fn content(file: &Path) -> Option<Vec<u8>> {
    fs::read(file).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_changes_with_content_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.toml");
        let watched = Watched { files: vec![file.clone()], data_dir: dir.path().to_owned() };
        let absent = watched.fingerprint();
        fs::write(&file, "a = 1").unwrap();
        let first = watched.fingerprint();
        assert_ne!(first, absent);
        fs::write(dir.path().join("new"), "a = 1").unwrap();
        fs::rename(dir.path().join("new"), &file).unwrap();
        assert_eq!(watched.fingerprint(), first, "the same text in another file");
        fs::write(&file, "a = 2").unwrap();
        assert_ne!(watched.fingerprint(), first);

        let before = watched.fingerprint();
        let overlays = dir.path().join("providers.d");
        fs::create_dir(&overlays).unwrap();
        fs::write(overlays.join("x.toml"), "").unwrap();
        assert_ne!(watched.fingerprint(), before, "an overlay was added");
    }
}
