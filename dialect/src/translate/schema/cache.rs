//! A bounded memory of cleaned schemas.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::SchemaForm;
use crate::ir::RawJson;

/// Half of what is remembered: when so many are new, those not asked for meanwhile are forgotten.
const GENERATION: usize = 512;
/// Larger schemas are cleaned each time.
const LARGEST: usize = 64 * 1024;

type Key = ([u8; 32], SchemaForm);

#[derive(Debug, Default)]
struct Memory {
    young: HashMap<Key, RawJson>,
    old: HashMap<Key, RawJson>,
}

// Cleaning is a pure function: what is remembered changes its speed alone.
static MEMORY: LazyLock<Mutex<Memory>> = LazyLock::new(Mutex::default);

/// The schema in this form, from memory if possible.
pub(super) fn remembered(
    schema: &RawJson,
    form: SchemaForm,
    clean: impl FnOnce() -> RawJson,
) -> RawJson {
    if schema.get().len() > LARGEST {
        return clean();
    }
    let key = (Sha256::digest(schema.get().as_bytes()).into(), form);
    let memory = || MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = memory().recall(&key) {
        return known;
    }
    let cleaned = clean();
    if cleaned.get().len() <= LARGEST {
        memory().keep(key, cleaned.clone());
    }
    cleaned
}

impl Memory {
    fn recall(&mut self, key: &Key) -> Option<RawJson> {
        if let Some(known) = self.young.get(key) {
            return Some(known.clone());
        }
        let known = self.old.remove(key)?;
        self.keep(*key, known.clone());
        Some(known)
    }

    fn keep(&mut self, key: Key, cleaned: RawJson) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, cleaned);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_is_bounded_and_keeps_what_is_used() {
        let mut memory = Memory::default();
        let key = |n: u32| {
            let mut bytes = [0; 32];
            bytes[..4].copy_from_slice(&n.to_be_bytes());
            (bytes, SchemaForm::Plain)
        };
        let schema = RawJson::parse("{}").unwrap();
        for n in 0..5000 {
            memory.keep(key(n), schema.clone());
            assert!(memory.recall(&key(0)).is_some(), "{n}");
        }
        assert!(memory.young.len() + memory.old.len() <= 2 * GENERATION);
        assert!(memory.recall(&key(1)).is_none());
    }
}
