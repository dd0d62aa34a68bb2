//! The administrator's password: what may be one, its hash, and how it is checked without hurting the server (SEC-PW-1,
//! SEC-PW-2).

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::published::is_common_password;
use crate::secret::Secret;

/// Shortest password, bytes.
const SHORTEST: usize = 8;
/// Longest password, bytes. Anything longer is refused before it is hashed.
pub const LONGEST: usize = 1_024;

/// Memory of one hash, KiB.
const MEMORY_KIB: u32 = 19_456;
/// Passes over it.
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT: usize = 16;
const TAG: usize = 32;
/// Largest cost of an imported bcrypt hash: 2^16 rounds take seconds.
const BCRYPT_MOST: u32 = 16;
/// Hashes computed at a time: 38 MiB, two threads.
const AT_A_TIME: usize = 2;
/// Longest wait for one's turn.
const PATIENCE: Duration = Duration::from_secs(2);

/// A hash of no password at all, with the parameters of a real one: checked where there is nothing to check, so that
/// the answer takes as long.
const DUMMY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bmluZXJvdXRlciBub25l$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Why a text cannot be the password.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum Unfit {
    /// Below the shortest.
    #[error("use 8 bytes or more")]
    Short,
    /// Above the longest.
    #[error("use 1024 bytes or fewer")]
    Long,
    /// On the list of passwords everybody tries first, or one repeated character.
    #[error("is one everybody tries first; choose another")]
    Common,
    /// The one in use.
    #[error("is the present one; choose another")]
    Same,
}

/// Why a password was neither right nor wrong.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum HashError {
    /// Too many are being checked now.
    #[error("too many passwords are being checked; try again in a few seconds")]
    Busy,
    /// The stored hash, the system's random numbers or the memory for a hash are not to be had.
    #[error("the password cannot be checked: {0}")]
    Unusable(String),
}

/// How a password compares with a stored hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Match {
    /// Another one.
    Wrong,
    /// The same.
    Right,
    /// The same; the stored hash is weaker than a new one would be.
    Outdated,
}

impl Match {
    /// It is the password.
    #[must_use]
    pub fn is_right(self) -> bool {
        self != Self::Wrong
    }
}

/// What may be a password. That it is not the present one is looked at by who knows that ([`Unfit::Same`]).
///
/// # Errors
/// What is wrong with it.
pub fn check_new(password: &Secret) -> Result<(), Unfit> {
    let text = password.expose();
    if text.len() < SHORTEST {
        Err(Unfit::Short)
    } else if text.len() > LONGEST {
        Err(Unfit::Long)
    } else if is_common_password(text) {
        Err(Unfit::Common)
    } else {
        Ok(())
    }
}

/// True when both are the same; takes no longer the more of them agrees.
#[must_use]
pub fn is_same(left: &str, right: &str) -> bool {
    let (left, right) = (Sha256::digest(left.as_bytes()), Sha256::digest(right.as_bytes()));
    left.as_slice().ct_eq(right.as_slice()).into()
}

/// Hashes and checks passwords, a few at a time, on the blocking pool. Cloning shares the turns.
#[derive(Clone, Debug)]
pub struct Passwords(Arc<Semaphore>);

impl Default for Passwords {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_A_TIME)))
    }
}

impl Passwords {
    /// Compares a password with a stored hash. `None` = there is no hash: it is wrong, and takes as long.
    ///
    /// # Errors
    /// See [`HashError`].
    pub async fn check(&self, password: Secret, hash: Option<Secret>) -> Result<Match, HashError> {
        self.run(move || verify(&password, hash.as_ref())).await
    }

    /// The PHC string of a password.
    ///
    /// # Errors
    /// See [`HashError`].
    pub async fn hash(&self, password: Secret) -> Result<Secret, HashError> {
        self.run(move || hash(&password)).await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, HashError> {
        let turn = self.turn().await?;
        // The turn ends with the work, also when the client has left.
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        done.await.map_err(|why| HashError::Unusable(why.to_string()))?
    }

    async fn turn(&self) -> Result<OwnedSemaphorePermit, HashError> {
        let turn = tokio::time::timeout(PATIENCE, Arc::clone(&self.0).acquire_owned()).await;
        match turn {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(HashError::Busy),
        }
    }
}

fn argon2() -> Result<Argon2<'static>, HashError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(TAG)).map_err(unusable)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn unusable(why: impl std::fmt::Display) -> HashError {
    HashError::Unusable(why.to_string())
}

/// Blocking, 19 MiB.
fn hash(password: &Secret) -> Result<Secret, HashError> {
    let mut salt = [0; SALT];
    getrandom::fill(&mut salt).map_err(unusable)?;
    let hashed = argon2()?.hash_password_with_salt(password.expose().as_bytes(), &salt);
    Ok(Secret::new(hashed.map_err(unusable)?.to_string()))
}

/// Blocking, 19 MiB.
fn verify(password: &Secret, hash: Option<&Secret>) -> Result<Match, HashError> {
    let Some(hash) = hash else {
        let parsed = PasswordHash::new(DUMMY).map_err(unusable)?;
        // Nothing hashes to zeros: whatever comes out, it is wrong.
        return argon2()?
            .verify_password(password.expose().as_bytes(), &parsed)
            .map_or(Ok(Match::Wrong), |()| Ok(Match::Wrong));
    };
    let text = hash.expose();
    if text.starts_with("$2a$") || text.starts_with("$2b$") {
        return verify_bcrypt(password, text);
    }
    let parsed = PasswordHash::new(text).map_err(unusable)?;
    match argon2()?.verify_password(password.expose().as_bytes(), &parsed) {
        Ok(()) if is_outdated(&parsed) => Ok(Match::Outdated),
        Ok(()) => Ok(Match::Right),
        Err(argon2::password_hash::Error::PasswordInvalid) => Ok(Match::Wrong),
        Err(other) => Err(unusable(other)),
    }
}

/// Of an imported database. Always outdated: the next hash is Argon2id.
fn verify_bcrypt(password: &Secret, hash: &str) -> Result<Match, HashError> {
    let cost = hash.get(4..6).and_then(|digits| digits.parse::<u32>().ok());
    if cost.is_none_or(|cost| cost > BCRYPT_MOST) {
        return Err(unusable("its imported hash has no usable cost; reset the password"));
    }
    match bcrypt::verify(password.expose(), hash) {
        Ok(true) => Ok(Match::Outdated),
        Ok(false) => Ok(Match::Wrong),
        Err(why) => Err(unusable(why)),
    }
}

/// Weaker than [`hash`] makes it today.
fn is_outdated(hash: &PasswordHash) -> bool {
    let Ok(params) = Params::try_from(hash) else { return true };
    hash.algorithm.as_str() != Algorithm::Argon2id.as_str()
        || hash.version != Some(Version::V0x13.into())
        || params.m_cost() < MEMORY_KIB
        || params.t_cost() < PASSES
        || hash.hash.as_ref().is_none_or(|tag| tag.len() < TAG)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    #[actix_web::test]
    async fn a_password_is_found_again_and_no_other() {
        let passwords = Passwords::default();
        let hashed = passwords.hash(secret("correct horse battery")).await.unwrap();
        assert!(hashed.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hashed:?}");
        let check = |text: &str| passwords.check(secret(text), Some(hashed.clone()));
        assert_eq!(check("correct horse battery").await, Ok(Match::Right));
        for wrong in
            ["correct horse batterz", "Correct horse battery", "", " correct horse battery"]
        {
            assert_eq!(check(wrong).await, Ok(Match::Wrong), "{wrong}");
        }
        let again = passwords.hash(secret("correct horse battery")).await.unwrap();
        assert_ne!(hashed.expose(), again.expose(), "the salt is random");
    }

    #[test]
    fn without_a_hash_everything_is_wrong_after_the_same_work() {
        let parsed = PasswordHash::new(DUMMY).unwrap();
        let params = Params::try_from(&parsed).unwrap();
        assert_eq!(
            (params.m_cost(), params.t_cost(), params.p_cost()),
            (MEMORY_KIB, PASSES, LANES)
        );
        assert!(!is_outdated(&parsed));
        for text in ["", "123456", "anything at all"] {
            assert_eq!(verify(&secret(text), None), Ok(Match::Wrong));
        }
    }

    #[test]
    fn weaker_hashes_are_right_and_outdated() {
        let weak = Argon2::new(
            Algorithm::Argon2id,
            Version::V0x13,
            Params::new(8_192, 1, 1, Some(TAG)).unwrap(),
        );
        let hashed = weak.hash_password_with_salt(b"password one", &[1; SALT]).unwrap().to_string();
        assert_eq!(verify(&secret("password one"), Some(&secret(&hashed))), Ok(Match::Outdated));
        assert_eq!(verify(&secret("password two"), Some(&secret(&hashed))), Ok(Match::Wrong));
        for version in [bcrypt::Version::TwoA, bcrypt::Version::TwoB] {
            let parts = bcrypt::hash_with_salt("password one", 4, [3; 16]).unwrap();
            let hashed = parts.format_for_version(version);
            assert_eq!(
                verify(&secret("password one"), Some(&secret(&hashed))),
                Ok(Match::Outdated)
            );
            assert_eq!(verify(&secret("password two"), Some(&secret(&hashed))), Ok(Match::Wrong));
        }
    }

    #[test]
    fn a_hash_that_cannot_be_read_is_never_a_match() {
        for broken in
            ["", "plain", "$argon2id$v=19$m=19456", "$2b$31$aaaaaaaaaaaaaaaaaaaaaa", "$2b$"]
        {
            let checked = verify(&secret("plain"), Some(&secret(broken)));
            assert!(!checked.is_ok_and(Match::is_right), "{broken}");
        }
        let unusable = verify(&secret("plain"), Some(&secret("plain")));
        assert!(matches!(unusable, Err(HashError::Unusable(_))), "{unusable:?}");
    }

    #[test]
    fn what_may_be_a_password() {
        for (text, want) in [
            ("1234567", Err(Unfit::Short)),
            ("correct horse battery", Ok(())),
            ("password", Err(Unfit::Common)),
            ("PassWord", Err(Unfit::Common)),
            ("zzzzzzzzzzzz", Err(Unfit::Common)),
            ("ninerouter", Err(Unfit::Common)),
            ("ünïcödé", Ok(())),
        ] {
            assert_eq!(check_new(&secret(text)), want, "{text}");
        }
        assert_eq!(check_new(&secret(&"ab".repeat(512))), Ok(()));
        assert_eq!(check_new(&secret(&format!("{}c", "ab".repeat(512)))), Err(Unfit::Long));
    }

    #[test]
    fn equal_texts_are_the_same() {
        assert!(is_same("abc", "abc") && is_same("", ""));
        assert!(!is_same("abc", "abd") && !is_same("abc", "ab"));
    }

    #[actix_web::test]
    async fn a_third_check_waits_for_its_turn() {
        let passwords = Passwords::default();
        let first = passwords.turn().await.unwrap();
        let _second = passwords.turn().await.unwrap();
        assert_eq!(passwords.0.available_permits(), 0);
        let third = passwords.turn();
        drop(first);
        assert!(third.await.is_ok());
    }
}
