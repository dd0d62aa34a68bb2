//! The one-time set-up code: who reads the server's log or its data folder may choose the first password (security
//! §5.2).

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use zeroize::Zeroizing;

use super::password::is_same;
use crate::secret::Secret;

/// Name of its file in the data folder.
const FILE: &str = "setup-code";
/// Groups of [`GROUP`] characters: 160 bits.
const GROUPS: usize = 8;
const GROUP: usize = 4;
/// Wrong tries after which there is another code.
const TRIES: u32 = 10;
/// Base 32 without `I`, `L`, `O` and `U`, which look like others.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The code in force, if there is one.
#[derive(Debug)]
pub struct SetupCode {
    file: PathBuf,
    state: Mutex<Option<State>>,
}

#[derive(Debug)]
struct State {
    code: Secret,
    wrong: u32,
}

impl SetupCode {
    /// None yet; its file will lie in `data_dir`.
    #[must_use]
    pub fn of(data_dir: &Path) -> Self {
        Self { file: data_dir.join(FILE), state: Mutex::default() }
    }

    /// Makes one unless there is one, and tells the operator. Blocking.
    ///
    /// # Errors
    /// There are no random numbers. A file that cannot be written is told of; the code is printed all the same.
    pub fn ensure(&self) -> io::Result<()> {
        let mut state = self.state();
        if state.is_none() {
            *state = Some(self.make()?);
        }
        Ok(())
    }

    /// Compares a text with the code. After ten wrong ones there is another. Blocking.
    ///
    /// # Errors
    /// There are no random numbers for another code.
    pub fn is_right(&self, text: &str) -> io::Result<bool> {
        let mut slot = self.state();
        let Some(state) = slot.as_mut() else { return Ok(false) };
        if is_same(&normal(text), &normal(state.code.expose())) {
            return Ok(true);
        }
        state.wrong += 1;
        if state.wrong >= TRIES {
            *slot = Some(self.make()?);
        }
        Ok(false)
    }

    /// It is used up: there is none, and no file. Blocking.
    pub fn spend(&self) {
        let mut state = self.state();
        *state = None;
        match fs::remove_file(&self.file) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => tracing::warn!(
                error = %why,
                "the file of the used set-up code cannot be removed; it opens nothing any more"
            ),
            Ok(()) | Err(_) => {}
        }
    }

    fn make(&self) -> io::Result<State> {
        let code = random_code()?;
        if let Err(error) = write_private(&self.file, code.expose()) {
            tracing::warn!(%error, "the set-up code could not be written to the data folder");
        }
        // Standard error and the file alone: a log may be sent elsewhere. Who closed it has the file.
        drop(writeln!(
            io::stderr().lock(),
            "First sign-in from the network needs this one-time code (also in {}):\n    {}",
            self.file.display(),
            code.expose()
        ));
        Ok(State { code, wrong: 0 })
    }

    fn state(&self) -> MutexGuard<'_, Option<State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn random_code() -> io::Result<Secret> {
    let mut bytes = Zeroizing::new([0; GROUPS * GROUP]);
    getrandom::fill(bytes.as_mut()).map_err(io::Error::other)?;
    let mut code = String::with_capacity(GROUPS * (GROUP + 1));
    for (at, byte) in bytes.iter().enumerate() {
        if at > 0 && at % GROUP == 0 {
            code.push('-');
        }
        // 256 is a multiple of 32: no character is more likely than another.
        code.extend(ALPHABET.get(usize::from(byte % 32)).copied().map(char::from));
    }
    Ok(Secret::new(code))
}

/// As it is compared: upper case, without what people put between groups, with look-alikes taken for what they are.
fn normal(text: &str) -> String {
    let kept = text.chars().filter(|c| c.is_ascii_alphanumeric()).take(GROUPS * GROUP + 1);
    kept.map(|c| match c.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    })
    .collect()
}

/// Replaces the file as a whole, readable by the server's user alone.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let aside = path.with_extension("new");
    match fs::remove_file(&aside) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(why),
        Ok(()) | Err(_) => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    fs::rename(&aside, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn written(dir: &Path) -> String {
        fs::read_to_string(dir.join(FILE)).unwrap().trim().to_owned()
    }

    #[test]
    fn a_code_is_made_once_lies_in_a_private_file_and_is_spent() {
        let dir = tempfile::tempdir().unwrap();
        let setup = SetupCode::of(dir.path());
        assert!(!setup.is_right("").unwrap(), "without a code nothing is right");
        setup.ensure().unwrap();
        let code = written(dir.path());
        assert_eq!(code.len(), 39);
        assert!(code.split('-').all(|group| group.len() == 4), "{code}");
        let mode = fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        setup.ensure().unwrap();
        assert_eq!(written(dir.path()), code);
        let typed = code.to_ascii_lowercase().replace('-', " ").replace('0', "o").replace('1', "l");
        assert!(setup.is_right(&code).unwrap() && setup.is_right(&typed).unwrap());
        setup.spend();
        assert!(!setup.is_right(&code).unwrap());
        assert!(!dir.path().join(FILE).exists());
    }

    #[test]
    fn ten_wrong_tries_bring_another_code() {
        let dir = tempfile::tempdir().unwrap();
        let setup = SetupCode::of(dir.path());
        setup.ensure().unwrap();
        let first = written(dir.path());
        for _ in 0..9 {
            assert!(!setup.is_right("K7QF-2M9D").unwrap());
        }
        assert_eq!(written(dir.path()), first);
        assert!(!setup.is_right(&format!("{first}0")).unwrap());
        assert_ne!(written(dir.path()), first);
        assert!(!setup.is_right(&first).unwrap());
        assert!(setup.is_right(&written(dir.path())).unwrap());
    }
}
