//! Ids of calls, items and answers: made up where the source has none, fitted to what a target takes.
//!
//! All of them are pure functions of the request or the answer, so that retries and prompt caches see
//! the same bytes, and so that a call and its result map to the same id without any state (§2.4, §2.5).

use std::borrow::Cow;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::Dialect;

/// Longest call id of Responses.
const RESPONSES_LIMIT: usize = 64;
const ALPHANUMERIC: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The id of a call in a history that gives none.
pub fn history_call_id(turn: usize, part: usize, name: &str, input: &str) -> String {
    let place = format!("{turn},{part}");
    format!("call_{}", digest(&[place.as_bytes(), name.as_bytes(), input.as_bytes()], 24))
}

/// The id of the `ordinal`th call of an answer that gives none.
pub fn answer_call_id(response_id: &str, ordinal: u32) -> String {
    format!("call_{}", digest(&[response_id.as_bytes(), ordinal.to_string().as_bytes()], 24))
}

/// The id of a Responses item; `prefix` is `msg`, `rs`, `fc` or `ctc`.
pub fn item_id(prefix: &str, response_id: &str, output_index: u32) -> String {
    let index = output_index.to_string();
    format!("{prefix}_{}", digest(&[response_id.as_bytes(), index.as_bytes()], 32))
}

/// The upstream's id of an answer as the client's dialect spells such ids.
pub fn response_id(dialect: Dialect, upstream_id: &str) -> Cow<'_, str> {
    let prefix = match dialect {
        Dialect::Chat => "chatcmpl-",
        Dialect::Resp => "resp_",
        Dialect::Anth => "msg_",
        Dialect::Gem => return Cow::Borrowed(upstream_id),
    };
    if upstream_id.starts_with(prefix) {
        return Cow::Borrowed(upstream_id);
    }
    let mut id = String::from(prefix);
    match dialect {
        Dialect::Resp => {
            id.extend(upstream_id.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_'));
        }
        Dialect::Chat | Dialect::Anth | Dialect::Gem => id.push_str(upstream_id),
    }
    Cow::Owned(id)
}

/// A call id as Anthropic takes it: illegal characters become `_`. Idempotent.
pub fn plain_call_id(id: &str) -> Cow<'_, str> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if id.chars().all(legal) {
        return Cow::Borrowed(id);
    }
    Cow::Owned(id.chars().map(|c| if legal(c) { c } else { '_' }).collect())
}

/// A call id as Responses takes it: 64 characters, those that differ stay different.
pub fn short_call_id(id: &str) -> Cow<'_, str> {
    if id.chars().count() <= RESPONSES_LIMIT {
        return Cow::Borrowed(id);
    }
    let head: String = id.chars().take(47).collect();
    Cow::Owned(format!("{head}_{}", digest(&[id.as_bytes()], 16)))
}

/// A call id as Mistral takes it: nine letters and digits. Idempotent.
pub fn nine_character_call_id(id: &str) -> Cow<'_, str> {
    if id.len() == 9 && id.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Cow::Borrowed(id);
    }
    let sum = Sha256::digest(id.as_bytes());
    let letters = sum.iter().take(9).map(|byte| {
        let at = usize::from(*byte) % ALPHANUMERIC.len();
        char::from(ALPHANUMERIC.get(at).copied().unwrap_or(b'0'))
    });
    Cow::Owned(letters.collect())
}

/// The SHA-256 of a text, in hex digits: what stands for a name that is too long.
pub fn sha256_hex(text: &str) -> String {
    hex(Sha256::digest(text.as_bytes()).as_slice())
}

/// The first `length` hex digits of the SHA-256 of the parts. Each part is followed by a zero byte, so
/// that two lists of parts never run together.
pub fn digest(parts: &[&[u8]], length: usize) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
        hash.update([0]);
    }
    let mut digits = hex(hash.finalize().as_slice());
    digits.truncate(length);
    digits
}

fn hex(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t048_made_up_ids_are_repeatable_and_distinct() {
        let id = history_call_id(1, 0, "f", "{}");
        assert_eq!(id, history_call_id(1, 0, "f", "{}"));
        assert_eq!(id.len(), "call_".len() + 24);
        for other in [
            history_call_id(1, 1, "f", "{}"),
            history_call_id(11, 0, "f", "{}"),
            history_call_id(1, 0, "f{", "}"),
        ] {
            assert_ne!(id, other);
        }
        assert_ne!(answer_call_id("r", 0), answer_call_id("r", 1));
        assert_eq!(item_id("msg", "r", 0).len(), "msg_".len() + 32);
    }

    #[test]
    fn t051_illegal_characters_become_underscores() {
        assert_eq!(plain_call_id("functions.read:0"), "functions_read_0");
        assert_eq!(plain_call_id("toolu_01-A"), "toolu_01-A");
    }

    #[test]
    fn t052_long_ids_stay_different() {
        let long = |tail: &str| format!("{}{tail}", "x".repeat(64));
        let (a, b) = (long("a"), long("b"));
        assert!(short_call_id(&a).len() == 64 && short_call_id(&b).len() == 64);
        assert_ne!(short_call_id(&a), short_call_id(&b));
        assert_eq!(short_call_id(&short_call_id(&a)), short_call_id(&a));
        assert_eq!(short_call_id("call_1"), "call_1");
        assert_eq!(short_call_id(&"é".repeat(70)).chars().count(), 64);
    }

    #[test]
    fn nine_character_ids_are_letters_and_digits() {
        for id in ["call_1", "", "functions.read:0"] {
            let nine = nine_character_call_id(id).into_owned();
            assert!(nine.len() == 9 && nine.bytes().all(|b| b.is_ascii_alphanumeric()), "{nine}");
            assert_eq!(nine_character_call_id(&nine), nine);
        }
        assert_ne!(nine_character_call_id("call_1"), nine_character_call_id("call_2"));
    }

    #[test]
    fn ids_of_answers_get_the_prefix_that_they_lack() {
        for (dialect, upstream, want) in [
            (Dialect::Chat, "r1", "chatcmpl-r1"),
            (Dialect::Chat, "chatcmpl-r1", "chatcmpl-r1"),
            (Dialect::Anth, "chatcmpl-r1", "msg_chatcmpl-r1"),
            (Dialect::Resp, "chatcmpl-r1", "resp_chatcmplr1"),
            (Dialect::Resp, "resp_r1", "resp_r1"),
            (Dialect::Gem, "msg_r1", "msg_r1"),
        ] {
            assert_eq!(response_id(dialect, upstream), want);
        }
    }
}
