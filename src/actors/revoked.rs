//! Keys that were revoked "now": their running streams end at the next chunk (SEC-AK-8).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::id::KeyId;

/// One token per key that has been used; it fires once, for the streams of that moment.
#[derive(Debug, Default)]
pub struct RevokedKeys(Mutex<HashMap<KeyId, CancellationToken>>);

impl RevokedKeys {
    /// Fires when what runs for `key` must end.
    #[must_use]
    pub fn token(&self, key: KeyId) -> CancellationToken {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.entry(key).or_default().clone()
    }

    /// Ends what runs for `key`.
    pub fn cut(&self, key: KeyId) {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = tokens.remove(&key) {
            token.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_ends_what_runs_and_nothing_later() {
        let keys = RevokedKeys::default();
        let (one, other) = (KeyId::new(), KeyId::new());
        let running = [keys.token(one), keys.token(one), keys.token(other)];
        keys.cut(one);
        let cut: Vec<bool> = running.iter().map(CancellationToken::is_cancelled).collect();
        assert_eq!(cut, [true, true, false]);
        assert!(!keys.token(one).is_cancelled());
    }
}
