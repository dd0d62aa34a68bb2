//! Memory of reasoning that went through the router, for clients that lose it between turns (translation §2.7).

use std::fmt;
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use ninerouter_dialect::ir::{Part, SigFamily, Signature};
use ninerouter_dialect::translate::Signatures;
use ninerouter_dialect::translate::signature::{Note, NoteKey, Remembered};

use crate::id::KeyId;

/// Forgotten so long after its last use.
const IDLE: Duration = Duration::from_secs(3 * 60 * 60);
/// The most that is remembered, bytes; the least recently used goes first.
const BYTES: u32 = 64 << 20;
/// The most that is remembered, entries.
const ENTRIES: u32 = 20_000;
/// What an entry weighs at least: with it, one limit on weight is the limit on entries too. The library has one only.
const SHARE: u32 = BYTES.div_ceil(ENTRIES);

/// What is remembered for all API keys, in memory alone. Clones share it; no call waits.
#[derive(Clone)]
pub struct SignatureStore(Cache<Place, Remembered>);

/// Whose it is, who said it, how it is found. Callers without a key are one tenant.
type Place = (Option<KeyId>, SigFamily, NoteKey);

impl Default for SignatureStore {
    fn default() -> Self {
        let weigh = |place: &Place, remembered: &Remembered| weight(&place.2, remembered);
        Self(
            Cache::builder()
                .max_capacity(BYTES.into())
                .weigher(weigh)
                .time_to_idle(IDLE)
                // The library's own choice turns newcomers away from a full map, and the latest turn is the
                // one that will be asked for.
                .eviction_policy(EvictionPolicy::lru())
                .build(),
        )
    }
}

impl fmt::Debug for SignatureStore {
    /// Without what is remembered: these are thoughts of somebody's model.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignatureStore")
            .field("entries", &self.0.entry_count())
            .finish_non_exhaustive()
    }
}

impl SignatureStore {
    /// Remembers what an answer to the holder of `key` told; of a note that is known already, the new one counts.
    pub fn record(&self, key: Option<KeyId>, notes: impl IntoIterator<Item = Note>) {
        for note in notes {
            self.0.insert((key, note.family, note.key), note.remembered);
        }
    }

    /// What the holder of `key` may be reminded of: of its own answers only.
    #[must_use]
    pub fn reader(&self, key: Option<KeyId>) -> SignatureReader<'_> {
        SignatureReader { store: self, key }
    }
}

/// The memory of one API key.
#[derive(Clone, Copy, Debug)]
pub struct SignatureReader<'a> {
    store: &'a SignatureStore,
    key: Option<KeyId>,
}

impl Signatures for SignatureReader<'_> {
    fn recall(&self, family: SigFamily, key: &NoteKey) -> Option<Remembered> {
        self.store.0.get(&(self.key, family, key.clone()))
    }
}

/// Bytes that an entry holds. Reasoning that several calls share is weighed with each: never too light.
fn weight(key: &NoteKey, remembered: &Remembered) -> u32 {
    let signature = |signature: &Signature| signature.value.len();
    let part = |part: &Part| {
        let text = match part {
            Part::Thinking(thinking) => {
                thinking.text.len() + thinking.signature.as_ref().map_or(0, signature)
            }
            Part::Redacted { seal, .. } => signature(seal),
            _ => 0,
        };
        size_of::<Part>() + text
    };
    let key = match key {
        NoteKey::Call(text)
        | NoteKey::CallContent(text)
        | NoteKey::Words(text)
        | NoteKey::Signature(text) => size_of::<(Place, Remembered)>() + text.len(),
    };
    let reasoning: usize = remembered.reasoning.iter().map(part).sum();
    let sum = key + reasoning + remembered.signature.as_ref().map_or(0, signature);
    u32::try_from(sum).unwrap_or(u32::MAX).max(SHARE)
}

#[cfg(test)]
mod tests {
    use ninerouter_dialect::ir::Thinking;

    use super::*;

    fn note(family: SigFamily, call: &str, text: &str) -> Note {
        let thinking = Thinking {
            text: text.into(),
            signature: Some(Signature { family, value: "S".into() }),
            ..Thinking::default()
        };
        let remembered = Remembered { reasoning: vec![Part::Thinking(thinking)], signature: None };
        Note { family, key: NoteKey::Call(call.into()), remembered }
    }

    fn call(id: &str) -> NoteKey {
        NoteKey::Call(id.into())
    }

    #[test]
    fn a_key_is_reminded_of_its_own_answers_only() {
        let store = SignatureStore::default();
        let (ours, theirs) = (Some(KeyId::new()), Some(KeyId::new()));
        let said = note(SigFamily::Claude, "c1", "t");
        store.record(ours, [said.clone()]);
        let recall = |key, family, id| store.reader(key).recall(family, &call(id));
        assert_eq!(recall(ours, SigFamily::Claude, "c1"), Some(said.remembered));
        for (key, family, id) in [
            (theirs, SigFamily::Claude, "c1"),
            (None, SigFamily::Claude, "c1"),
            (ours, SigFamily::Gemini, "c1"),
            (ours, SigFamily::Claude, "c2"),
        ] {
            assert_eq!(recall(key, family, id), None, "{key:?} {family:?} {id}");
        }
    }

    #[test]
    fn the_maker_of_a_signature_is_known_to_those_who_saw_it() {
        let store = SignatureStore::default();
        let key = NoteKey::signature("S");
        let note = Note { family: SigFamily::Grok, key, remembered: Remembered::default() };
        store.clone().record(None, [note]);
        assert_eq!(store.reader(None).family_of("S"), Some(SigFamily::Grok));
        assert_eq!(store.reader(Some(KeyId::new())).family_of("S"), None);
    }

    #[test]
    fn the_newest_note_counts() {
        let store = SignatureStore::default();
        let newer = note(SigFamily::Claude, "c1", "newer");
        store.record(None, [note(SigFamily::Claude, "c1", "older"), newer.clone()]);
        let found = store.reader(None).recall(SigFamily::Claude, &call("c1"));
        assert_eq!(found, Some(newer.remembered));
    }

    /// What is left of `count` calls, each with `bytes` of reasoning of its own, after the first was used again.
    fn left_of(count: usize, bytes: usize) -> SignatureStore {
        let store = SignatureStore::default();
        for at in 0..count {
            let text = "x".repeat(bytes);
            store.record(None, [note(SigFamily::Claude, &format!("c{at}"), &text)]);
            // The library tidies up in batches; here each step counts.
            store.0.run_pending_tasks();
            assert!(store.reader(None).recall(SigFamily::Claude, &call("c0")).is_some());
        }
        store.0.run_pending_tasks();
        store
    }

    #[test]
    fn light_entries_are_bounded_by_their_number() {
        let store = left_of(21_000, 1);
        let entries = store.0.entry_count();
        assert!((19_000..=20_000).contains(&entries), "{entries}");
        // The least recently used went: not the one in use, not the newest.
        let found = |id: &str| store.reader(None).recall(SigFamily::Claude, &call(id)).is_some();
        assert!(found("c0") && !found("c1") && found("c20999"));
    }

    #[test]
    fn heavy_entries_are_bounded_by_their_bytes() {
        let store = left_of(70, 1 << 20);
        let entries = store.0.entry_count();
        assert!((60..=63).contains(&entries), "{entries}");
        assert!(store.0.weighted_size() <= BYTES.into());
    }

    #[test]
    fn what_is_not_used_is_forgotten() {
        let policy = SignatureStore::default().0.policy();
        assert_eq!(policy.time_to_idle(), Some(Duration::from_secs(10_800)));
        assert_eq!(policy.time_to_live(), None);
    }

    #[test]
    fn reasoning_does_not_print() {
        let store = SignatureStore::default();
        store.record(None, [note(SigFamily::Claude, "c1", "a private thought")]);
        let printed = format!("{store:?} {:?}", store.reader(None));
        assert!(!printed.contains("private") && !printed.contains("c1"), "{printed}");
    }
}
