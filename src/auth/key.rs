//! The router's own API keys: their text form, their keyed lookup value, their record (SEC-AK-1…3).

use hmac::digest::Key;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use thiserror::Error;

use super::glob::Glob;
use super::ipset::IpSet;
use crate::clock::UnixMs;
use crate::id::KeyId;
use crate::secret::Secret;

/// What every generated key begins with.
pub const PREFIX: &str = "sk-nr1-";

const RANDOM_LEN: usize = 32;
const CHECKSUM_LEN: usize = 6;
const KEY_LEN: usize = PREFIX.len() + RANDOM_LEN + CHECKSUM_LEN;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The keyed value under which a key is stored and found.
pub type Lookup = [u8; 32];

/// One API key: everything but its text.
#[derive(Clone, Debug)]
pub struct KeyRecord {
    /// Its id.
    pub id: KeyId,
    /// Its name, unique.
    pub name: String,
    /// HMAC-SHA256 of the text.
    pub lookup: Lookup,
    /// Imported from elsewhere: opaque text, its own checksum proves nothing (SEC-AK-3).
    pub legacy: bool,
    /// Switched on.
    pub enabled: bool,
    /// Revoked from this instant on; a rotation sets it into the future.
    pub revoked_at: Option<UnixMs>,
    /// Not valid from this instant on.
    pub expires_at: Option<UnixMs>,
    /// What it may be used for.
    pub scopes: Scopes,
    /// Patterns over model ids; `None` is all.
    pub allowed_models: Option<Vec<Glob>>,
    /// Provider ids or prefixes; `None` is all.
    pub allowed_providers: Option<Vec<String>>,
    /// Combo names; `None` is all.
    pub allowed_combos: Option<Vec<String>>,
    /// Client addresses; `None` is all.
    pub allowed_cidrs: Option<IpSet>,
    /// Requests per minute.
    pub rpm: Option<u32>,
    /// Tokens per minute, input and output.
    pub tpm: Option<u32>,
    /// Requests at one time.
    pub max_concurrent: Option<u32>,
    /// Micro-USD per UTC day.
    pub usd_day: Option<i64>,
    /// Micro-USD per UTC month.
    pub usd_month: Option<i64>,
    /// Micro-USD for the life of the key.
    pub usd_total: Option<i64>,
    /// The bodies of its requests are captured.
    pub capture_bodies: bool,
}

/// Why a known key is refused. All of these are 401.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum KeyFault {
    /// Switched off, or revoked.
    #[error("this API key is disabled")]
    Disabled,
    /// Past its end.
    #[error("this API key has expired")]
    Expired,
}

impl KeyRecord {
    /// True when what it may spend is limited.
    #[must_use]
    pub fn limits_money(&self) -> bool {
        [self.usd_day, self.usd_month, self.usd_total].iter().any(Option::is_some)
    }

    /// A key that may do everything.
    #[must_use]
    pub fn unlimited(id: KeyId, name: String, lookup: Lookup) -> Self {
        Self {
            id,
            name,
            lookup,
            legacy: false,
            enabled: true,
            revoked_at: None,
            expires_at: None,
            scopes: Scopes::ALL,
            allowed_models: None,
            allowed_providers: None,
            allowed_combos: None,
            allowed_cidrs: None,
            rpm: None,
            tpm: None,
            max_concurrent: None,
            usd_day: None,
            usd_month: None,
            usd_total: None,
            capture_bodies: false,
        }
    }

    /// The first two steps of SEC-AK-5: enabled, expiry.
    ///
    /// # Errors
    /// Which of them fails.
    pub fn check_valid(&self, now: UnixMs) -> Result<(), KeyFault> {
        if !self.enabled || self.revoked_at.is_some_and(|at| at <= now) {
            return Err(KeyFault::Disabled);
        }
        if self.expires_at.is_some_and(|at| at <= now) {
            return Err(KeyFault::Expired);
        }
        Ok(())
    }
}

/// What a key may be used for (SEC-AK-6). There is no administrative scope.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Scope {
    /// Everything that runs a model.
    Inference,
    /// Model lists.
    Models,
    /// `GET /v1/usage`.
    UsageOwn,
}

impl Scope {
    /// As stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inference => "inference",
            Self::Models => "models",
            Self::UsageOwn => "usage:own",
        }
    }

    fn bit(self) -> u8 {
        match self {
            Self::Inference => 1,
            Self::Models => 2,
            Self::UsageOwn => 4,
        }
    }
}

/// A set of scopes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Scopes(u8);

impl Scopes {
    /// The scopes of a new key: all there are.
    pub const ALL: Self = Self(7);

    /// Reads stored names. Unknown ones grant nothing.
    pub fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let known = [Scope::Inference, Scope::Models, Scope::UsageOwn];
        Self(names.into_iter().fold(0, |bits, name| {
            let scope = known.iter().find(|scope| scope.as_str() == name);
            bits | scope.map_or(0, |scope| scope.bit())
        }))
    }

    /// True when `scope` is granted.
    #[must_use]
    pub fn contains(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }
}

/// The operating system gave no random bytes.
#[derive(Debug, Error)]
#[error("the operating system gave no random bytes: {0}")]
pub struct NoEntropy(#[from] getrandom::Error);

/// Makes the text of a new key.
///
/// # Errors
/// When the system's random source fails; there is no fall-back (SEC-KEY-5).
pub fn generate() -> Result<Secret, NoEntropy> {
    let mut text = String::with_capacity(KEY_LEN);
    text.push_str(PREFIX);
    let mut bytes = [0_u8; 64];
    while text.len() < PREFIX.len() + RANDOM_LEN {
        getrandom::fill(&mut bytes)?;
        // 248 = 4 × 62: larger bytes would make the first letters likelier.
        let unbiased = bytes.iter().filter(|byte| **byte < 248).map(|byte| byte % 62);
        let wanted = PREFIX.len() + RANDOM_LEN - text.len();
        text.extend(unbiased.take(wanted).map(base62_char));
    }
    push_checksum(&mut text);
    Ok(Secret::new(text))
}

/// True for a text of the generated form whose checksum fits. Tells typing errors from strangers;
/// it proves nothing.
#[must_use]
pub fn checksum_ok(text: &str) -> bool {
    if !has_key_form(text) {
        return false;
    }
    let Some((body, given)) = text.split_at_checked(KEY_LEN - CHECKSUM_LEN) else { return false };
    let mut again = String::with_capacity(KEY_LEN);
    again.push_str(body);
    push_checksum(&mut again);
    again.get(body.len()..) == Some(given)
}

/// True for a text that has prefix, length and alphabet of a generated key.
#[must_use]
pub fn has_key_form(text: &str) -> bool {
    text.len() == KEY_LEN
        && text
            .strip_prefix(PREFIX)
            .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// What a list shows of a key: its first characters (11, legacy 8) and its last four.
#[must_use]
pub fn shown_parts(text: &str, legacy: bool) -> (String, String) {
    let first = text.chars().take(if legacy { 8 } else { 11 }).collect();
    let mut last: Vec<char> = text.chars().rev().take(4).collect();
    last.reverse();
    (first, last.into_iter().collect())
}

/// The lookup value of `text` under `key`.
#[must_use]
pub fn lookup_mac(key: &[u8; 32], text: &str) -> Lookup {
    KeyHasher::new(key).mac(text)
}

/// A keyed hash that is set up once and used per request.
#[derive(Clone, Debug)]
pub struct KeyHasher(Hmac<Sha256>);

impl KeyHasher {
    /// Sets up with 32 bytes of key material (`nr/apikey/v1`, security §4.1).
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        // HMAC takes a whole block; a shorter key is padded with zeros by definition.
        let mut block = Key::<Hmac<Sha256>>::default();
        block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
        Self(Hmac::new(&block))
    }

    /// The lookup value of `text`.
    #[must_use]
    pub fn mac(&self, text: &str) -> Lookup {
        self.mac_of(&[text.as_bytes()])
    }

    /// The value of the parts, one after the other.
    #[must_use]
    pub fn mac_of(&self, parts: &[&[u8]]) -> Lookup {
        let mut mac = self.0.clone();
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    }
}

fn push_checksum(text: &mut String) {
    let mut left = crc32fast::hash(text.as_bytes());
    let mut digits = ['0'; CHECKSUM_LEN];
    for digit in digits.iter_mut().rev() {
        *digit = base62_char(u8::try_from(left % 62).unwrap_or(0));
        left /= 62;
    }
    text.extend(digits);
}

fn base62_char(value: u8) -> char {
    BASE62.get(usize::from(value)).copied().map_or('0', char::from)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn generated_keys_have_the_documented_form_and_differ() {
        let (one, two) = (generate().unwrap(), generate().unwrap());
        assert_ne!(one, two);
        assert_eq!(one.expose().len(), 45);
        assert!(checksum_ok(one.expose()));
        assert_eq!(shown_parts(one.expose(), false).0.len(), 11);
        assert_eq!(shown_parts("sk_9router", true), ("sk_9rout".into(), "uter".into()));
    }

    #[test]
    fn the_checksum_is_crc32_of_everything_before_in_base62() {
        // The check value of CRC-32 (IEEE) pins the polynomial.
        assert_eq!(crc32fast::hash(b"123456789"), 0xCBF4_3926);
        let mut text = format!("{PREFIX}{}", "0".repeat(32));
        push_checksum(&mut text);
        let (body, checksum) = text.split_at(39);
        let crc = crc32fast::hash(body.as_bytes());
        let value = checksum.bytes().fold(0_u64, |sum, byte| {
            sum * 62 + u64::try_from(BASE62.iter().position(|b| *b == byte).unwrap()).unwrap()
        });
        assert_eq!(value, u64::from(crc));
    }

    #[test]
    fn foreign_texts_have_no_checksum() {
        for text in ["", "sk-nr1-", "sk_9router", "sk-nr1-é", &"x".repeat(45)] {
            assert!(!checksum_ok(text), "{text}");
        }
    }

    #[test]
    fn the_lookup_value_is_hmac_sha256() {
        // RFC 4231, test case 3 (key of twenty 0xaa bytes, here padded to 32 with zeros, which
        // HMAC defines as the same key).
        let mut key = [0_u8; 32];
        key[..20].fill(0xaa);
        let text = String::from_utf8(vec![0x5d; 50]).unwrap();
        let hex: String = lookup_mac(&key, &text).iter().map(|b| format!("{b:02x}")).collect();
        // Computed independently with Python's hmac module.
        assert_eq!(hex, EXPECTED_HMAC);
    }

    const EXPECTED_HMAC: &str = "ea0fb608de818e27647756c12536387927de055a0ff307ed0baade1e8efa578b";

    #[test]
    fn scopes_are_read_by_name_and_unknown_ones_grant_nothing() {
        let scopes = Scopes::from_names(["models", "admin"]);
        assert!(scopes.contains(Scope::Models));
        assert!(!scopes.contains(Scope::Inference));
        assert_eq!(Scopes::from_names(["inference", "models", "usage:own"]), Scopes::ALL);
    }

    #[test]
    fn disabled_comes_before_expired() {
        let mut key = KeyRecord::unlimited(KeyId::new(), "k".into(), [0; 32]);
        assert_eq!(key.check_valid(10), Ok(()));
        key.expires_at = Some(10);
        assert_eq!(key.check_valid(9), Ok(()));
        assert_eq!(key.check_valid(10), Err(KeyFault::Expired));
        key.revoked_at = Some(11);
        assert_eq!(key.check_valid(10), Err(KeyFault::Expired));
        assert_eq!(key.check_valid(11), Err(KeyFault::Disabled));
    }

    proptest! {
        #[test]
        fn t_ak_09_the_checksum_detects_every_single_character_change(
            seed in any::<[u8; 32]>(), place in 0_usize..45, letter in 0_u8..62,
        ) {
            let mut text: String =
                PREFIX.chars().chain(seed.iter().map(|b| base62_char(b % 62))).collect();
            push_checksum(&mut text);
            prop_assert!(checksum_ok(&text));
            let changed: String = text
                .char_indices()
                .map(|(at, c)| if at == place { base62_char(letter) } else { c })
                .collect();
            prop_assert_eq!(checksum_ok(&changed), changed == text);
        }

        #[test]
        fn checking_never_panics(text in ".{0,60}") {
            let _any = checksum_ok(&text);
        }
    }
}
