//! Signatures of reasoning: who made one, and what the router remembers of those it has passed on
//! (translation §2.7).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::ids;
use crate::ir::{Part, SigFamily, Signature, Str};

/// What Gemini takes in place of a signature that the client lost. It proves nothing and is no secret.
pub const GEMINI_BYPASS: &str = "skip_thought_signature_validator";

/// By what remembered reasoning is found again.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum NoteKey {
    /// The id of the call that it led to.
    Call(Str),
    /// A digest of that call's name and arguments, for clients that make ids of their own.
    CallContent(Str),
    /// A digest of its words.
    Words(Str),
    /// A digest of a signature: tells nothing but the family that made it.
    Signature(Str),
}

impl NoteKey {
    /// The key of a call by what it says.
    pub fn call_content(name: &str, input: &str) -> Self {
        Self::CallContent(ids::digest(&[name.as_bytes(), input.as_bytes()], 32).into())
    }

    /// The key of reasoning by its words.
    pub fn words(text: &str) -> Self {
        Self::Words(ids::digest(&[text.as_bytes()], 32).into())
    }

    /// The key of a signature by its value.
    pub fn signature(value: &str) -> Self {
        Self::Signature(ids::digest(&[value.as_bytes()], 32).into())
    }
}

/// What is remembered under one key.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Remembered {
    /// The reasoning that led to the call, in order: `Thinking` and `Redacted` parts as they came.
    pub reasoning: Vec<Part>,
    /// The signature on the call, or of the words.
    pub signature: Option<Signature>,
}

/// One thing to remember of an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    /// The family of the model that gave the answer.
    pub family: SigFamily,
    /// By what it is found again.
    pub key: NoteKey,
    /// What it is.
    pub remembered: Remembered,
}

/// The memory of signatures that the caller keeps: for each router API key its own, since reasoning of
/// one tenant is none of another's business.
pub trait Signatures {
    /// What models of `family` said under `key`.
    fn recall(&self, family: SigFamily, key: &NoteKey) -> Option<Remembered>;

    /// The family that made a signature, if it passed through the router.
    fn family_of(&self, value: &str) -> Option<SigFamily> {
        let key = NoteKey::signature(value);
        KNOWN.into_iter().find(|family| self.recall(*family, &key).is_some())
    }
}

const KNOWN: [SigFamily; 4] =
    [SigFamily::Claude, SigFamily::Gemini, SigFamily::OpenAi, SigFamily::Grok];

/// A memory of nothing.
#[derive(Clone, Copy, Debug)]
pub struct NoSignatures;

impl Signatures for NoSignatures {
    fn recall(&self, _: SigFamily, _: &NoteKey) -> Option<Remembered> {
        None
    }
}

/// The family that made a signature, by its look alone; `Unknown` when that tells nothing.
pub fn classify(value: &str) -> SigFamily {
    if value == GEMINI_BYPASS {
        return SigFamily::Gemini;
    }
    // Fernet tokens.
    if value.starts_with("gAAAA") {
        return SigFamily::OpenAi;
    }
    // Claude's are protocol buffers that name the model in plain text.
    let whole = value.len() - value.len() % 4;
    let decoded = value.get(..whole).and_then(|text| BASE64_STANDARD.decode(text).ok());
    let names_claude = decoded.is_some_and(|bytes| {
        matches!(bytes.first(), Some(0x12 | 0x08))
            && memchr::memmem::find(&bytes, b"claude-").is_some()
    });
    if names_claude { SigFamily::Claude } else { SigFamily::Unknown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_told_apart_by_their_look() {
        let claude = |first: u8| {
            let mut bytes = vec![first, 9, 0x42];
            bytes.extend(b"\x12\x11claude-sonnet-4-5rest");
            BASE64_STANDARD.encode(bytes)
        };
        for (value, want) in [
            (claude(0x12), SigFamily::Claude),
            (claude(0x08), SigFamily::Claude),
            (claude(0x0a), SigFamily::Unknown),
            ("gAAAAABo".to_owned(), SigFamily::OpenAi),
            (GEMINI_BYPASS.to_owned(), SigFamily::Gemini),
            ("U0lHMQ==".to_owned(), SigFamily::Unknown),
            ("é".to_owned(), SigFamily::Unknown),
            (String::new(), SigFamily::Unknown),
        ] {
            assert_eq!(classify(&value), want, "{value}");
        }
    }

    #[test]
    fn a_signature_that_passed_through_has_a_family() {
        struct One;
        impl Signatures for One {
            fn recall(&self, family: SigFamily, key: &NoteKey) -> Option<Remembered> {
                (family == SigFamily::Grok && *key == NoteKey::signature("abc"))
                    .then(Remembered::default)
            }
        }
        assert_eq!(One.family_of("abc"), Some(SigFamily::Grok));
        assert_eq!(One.family_of("abd"), None);
        assert_eq!(NoSignatures.family_of("abc"), None);
    }
}
