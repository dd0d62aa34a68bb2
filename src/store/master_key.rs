//! The master key: where it comes from, and the keys derived from it (SEC §4.1).

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::secret::Secret;
use crate::store::error::StoreError;
use crate::store::files::{self, DirLock};
use crate::store::seal;

/// Info string of the key that signs session cookies.
pub const INFO_SESSION: &str = "nr/session/v1";
/// Info string of the key under which API keys are looked up.
pub const INFO_API_KEY: &str = "nr/apikey/v1";
/// Info string of the key of CSRF tokens.
pub const INFO_CSRF: &str = "nr/csrf/v1";
/// Info string of the key that chains the audit log.
pub const INFO_AUDIT: &str = "nr/audit/v1";
/// Info string of the key that wraps data keys.
pub const INFO_KEK: &str = "nr/kek/v1";

const FILE: &str = "master.key";

/// Where the master key came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyOrigin {
    /// `NINEROUTER_MASTER_KEY` or its file.
    Environment,
    /// `DATA_DIR/master.key`.
    File,
    /// `DATA_DIR/master.key`, made just now.
    Generated,
    /// Missing or malformed while sealed rows exist: nothing stored can be read (SEC-KEY-3).
    Lost,
}

/// 32 bytes every other key descends from.
#[derive(Clone)]
pub struct MasterKey {
    bytes: Zeroizing<[u8; 32]>,
    origin: KeyOrigin,
}

impl MasterKey {
    /// The key of the environment, else of the data folder, else a new one.
    ///
    /// A new key is never made while sealed rows exist (SEC-KEY-3): the result is then
    /// [`KeyOrigin::Lost`], with which the store opens but gives no secret.
    ///
    /// # Errors
    ///
    /// The environment's value has the wrong form, the folder cannot be made or written, or another
    /// process is making the key.
    pub fn load_or_create(
        data_dir: &Path,
        environment: Option<&Secret>,
    ) -> Result<Self, StoreError> {
        if let Some(text) = environment {
            return Self::from_base64(text.expose(), KeyOrigin::Environment)
                .ok_or(StoreError::BadMasterKey);
        }
        files::make_private_dir(data_dir)?;
        if let Some(key) = Self::from_file(data_dir)? {
            files::restrict(&data_dir.join(FILE), 0o600)?;
            return Ok(key);
        }
        // Two first starts at once must not make two keys.
        let lock = DirLock::take(data_dir)?;
        if let Some(key) = Self::from_file(data_dir)? {
            files::restrict(&data_dir.join(FILE), 0o600)?;
            return Ok(key);
        }
        if seal::has_sealed_rows(data_dir) {
            return Self::lost();
        }
        let key = Self::generate(data_dir)?;
        drop(lock);
        Ok(key)
    }

    /// The key of the environment, else of the data folder. `None` = there is none. Changes nothing, not even a mode.
    ///
    /// # Errors
    ///
    /// The environment's value has the wrong form, or the file cannot be read.
    pub fn load(data_dir: &Path, environment: Option<&Secret>) -> Result<Option<Self>, StoreError> {
        match environment {
            Some(text) => Self::from_base64(text.expose(), KeyOrigin::Environment)
                .map(Some)
                .ok_or(StoreError::BadMasterKey),
            None => Self::from_file(data_dir),
        }
    }

    /// A key of these bytes, for tests and for rotation.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32], origin: KeyOrigin) -> Self {
        Self { bytes: Zeroizing::new(bytes), origin }
    }

    /// Where it came from.
    #[must_use]
    pub fn origin(&self) -> KeyOrigin {
        self.origin
    }

    /// The key for one purpose; `info` is one of the `INFO_…` strings.
    #[must_use]
    pub fn derive(&self, info: &str) -> [u8; 32] {
        expand(self.bytes.as_slice(), info)
    }

    /// The key that signs cookies; `JWT_SECRET` replaces the master key when it is set.
    #[must_use]
    pub fn session_key(&self, jwt_secret: Option<&Secret>) -> [u8; 32] {
        self.derive_or(jwt_secret, INFO_SESSION)
    }

    /// The key of API-key lookups; `API_KEY_SECRET` replaces the master key when it is set.
    #[must_use]
    pub fn api_key_key(&self, api_key_secret: Option<&Secret>) -> [u8; 32] {
        self.derive_or(api_key_secret, INFO_API_KEY)
    }

    fn derive_or(&self, replacement: Option<&Secret>, info: &str) -> [u8; 32] {
        match replacement {
            Some(secret) => expand(secret.expose().as_bytes(), info),
            None => self.derive(info),
        }
    }

    fn from_base64(text: &str, origin: KeyOrigin) -> Option<Self> {
        let bytes = Zeroizing::new(BASE64_STANDARD.decode(text.trim()).ok()?);
        let bytes: [u8; 32] = bytes.as_slice().try_into().ok()?;
        Some(Self::from_bytes(bytes, origin))
    }

    /// `None` when there is no file; a malformed one is a lost key.
    fn from_file(data_dir: &Path) -> Result<Option<Self>, StoreError> {
        let path = data_dir.join(FILE);
        let text = match fs::read(&path) {
            Ok(bytes) => Zeroizing::new(bytes),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(StoreError::io(&path, e)),
        };
        let key = std::str::from_utf8(&text)
            .ok()
            .and_then(|text| Self::from_base64(text, KeyOrigin::File));
        key.map_or_else(Self::lost, Ok).map(Some)
    }

    /// A key that opens nothing, so that the server starts and the operator can mend it.
    fn lost() -> Result<Self, StoreError> {
        Ok(Self::from_bytes(random()?, KeyOrigin::Lost))
    }

    fn generate(data_dir: &Path) -> Result<Self, StoreError> {
        let key = Self::from_bytes(random()?, KeyOrigin::Generated);
        let path = data_dir.join(FILE);
        let text = Zeroizing::new(BASE64_STANDARD.encode(key.bytes.as_slice()));
        // Written aside and linked into place: the name never shows half a key, and an existing
        // file is never replaced.
        let aside = data_dir.join("master.key.new");
        match fs::remove_file(&aside) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::io(&aside, e));
            }
            Ok(()) | Err(_) => {}
        }
        write_new(&aside, &text)?;
        match fs::hard_link(&aside, &path) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                return Err(StoreError::io(&path, e));
            }
            Err(_) => write_new(&path, &text)?,
        }
        fs::remove_file(&aside).map_err(|e| StoreError::io(&aside, e))?;
        files::sync_dir(data_dir)?;
        Ok(key)
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterKey").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// 32 bytes of the operating system (SEC-KEY-5: no fallback).
pub(crate) fn random() -> Result<[u8; 32], StoreError> {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

fn write_new(path: &Path, text: &str) -> Result<(), StoreError> {
    let mut file = files::create_private(path)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.write_all(b"\n"));
    written.and_then(|()| file.sync_all()).map_err(|e| StoreError::io(path, e))
}

#[expect(clippy::expect_used, reason = "HKDF-SHA256 gives up to 8 160 bytes, 32 always fit")]
fn expand(input: &[u8], info: &str) -> [u8; 32] {
    let mut out = [0u8; 32];
    Hkdf::<Sha256>::new(None, input).expand(info.as_bytes(), &mut out).expect("32 bytes");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_key_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let first = MasterKey::load_or_create(dir.path(), None).unwrap();
        let second = MasterKey::load_or_create(dir.path(), None).unwrap();
        assert_eq!(first.origin(), KeyOrigin::Generated);
        assert_eq!(second.origin(), KeyOrigin::File);
        assert_eq!(first.derive(INFO_KEK), second.derive(INFO_KEK));
        assert!(!dir.path().join("master.key.new").exists());
    }

    #[test]
    fn purposes_and_replacements_give_different_keys() {
        let key = MasterKey::from_bytes([7; 32], KeyOrigin::File);
        let infos = [INFO_SESSION, INFO_API_KEY, INFO_CSRF, INFO_AUDIT, INFO_KEK];
        let keys: std::collections::HashSet<_> = infos.iter().map(|i| key.derive(i)).collect();
        assert_eq!(keys.len(), infos.len());
        let jwt = Secret::new("from the environment".into());
        assert_ne!(key.session_key(Some(&jwt)), key.session_key(None));
        assert_eq!(key.session_key(None), key.derive(INFO_SESSION));
        let other = MasterKey::from_bytes([8; 32], KeyOrigin::File);
        assert_eq!(key.api_key_key(Some(&jwt)), other.api_key_key(Some(&jwt)));
    }

    #[test]
    fn hkdf_gives_the_value_of_an_independent_implementation() {
        // HKDF-SHA256(ikm = 32 × 0x07, no salt, info "nr/kek/v1"), computed with Python's hmac.
        let key = MasterKey::from_bytes([7; 32], KeyOrigin::File);
        let hex: String = key.derive(INFO_KEK).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, KEK_OF_SEVENS);
    }

    const KEK_OF_SEVENS: &str = "385a83ea2ba0b327e42f247898d36fed9f0b825e811fd20b2bc7306b4cc32d8c";

    #[test]
    fn a_key_of_the_environment_must_be_32_bytes_in_base64() {
        let dir = tempfile::tempdir().unwrap();
        let short = Secret::new("c2hvcnQ=".into());
        let error = MasterKey::load_or_create(dir.path(), Some(&short)).unwrap_err();
        assert_eq!(error.exit_code(), 78);
        let good = Secret::new(BASE64_STANDARD.encode([1u8; 32]));
        let key = MasterKey::load_or_create(dir.path(), Some(&good)).unwrap();
        assert_eq!(key.origin(), KeyOrigin::Environment);
        assert!(!dir.path().join(FILE).exists());
    }

    #[test]
    fn a_malformed_file_is_a_lost_key_and_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), "not a key").unwrap();
        let key = MasterKey::load_or_create(dir.path(), None).unwrap();
        assert_eq!(key.origin(), KeyOrigin::Lost);
        assert_eq!(fs::read_to_string(dir.path().join(FILE)).unwrap(), "not a key");
    }
}
