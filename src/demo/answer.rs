//! What a simulated provider says: deterministic, and plainly labelled as simulated.

use serde_json::Value;

use super::ask::Ask;

/// One answer, before it takes the shape of a wire format.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// Number of the request at its simulator; ids are made from it.
    pub(super) number: u64,
    pub(super) model: String,
    /// Unix seconds.
    pub(super) created: i64,
    /// Text in the pieces in which it is streamed.
    pub(super) pieces: Vec<String>,
    pub(super) call: Option<Call>,
    pub(super) usage: Tokens,
}

/// A call of a tool that the request declared.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) arguments: Value,
}

/// Token numbers of one answer; `input` includes `cached`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tokens {
    pub(super) input: u64,
    pub(super) cached: u64,
    pub(super) output: u64,
}

/// Tokens a simulated provider adds to the words of the question, as a system prompt would.
const PROMPT_TOKENS: u64 = 20;
const CACHED_TOKENS: u64 = 8;
/// Longest part of the question that is repeated in the answer.
const ECHO_CHARS: usize = 60;

impl Answer {
    /// The answer of the simulator `name` to `ask`.
    pub(super) fn to(ask: Ask, name: &str, model: String, number: u64, created: i64) -> Self {
        let asked = words(&ask.text);
        let text = match &ask.tool {
            Some(_) => format!("Simulated provider {name} calls your tool."),
            None => {
                let echo: String = ask.text.chars().take(ECHO_CHARS).collect();
                format!(
                    "This is the simulated provider {name}: no model was asked. You wrote: {echo}"
                )
            }
        };
        let call = ask.tool.map(|(name, arguments)| Call {
            id: format!("call_sim{number}"),
            name,
            arguments,
        });
        let call_tokens = if call.is_some() { 10 } else { 0 };
        let usage = Tokens {
            input: PROMPT_TOKENS + asked,
            cached: CACHED_TOKENS,
            output: words(&text) + call_tokens,
        };
        let pieces = text.split_inclusive(' ').map(str::to_owned).collect();
        Self { number, model, created, pieces, call, usage }
    }

    /// An answer of `chunks` pieces of `bytes` bytes each, for load.
    pub(super) fn filler(chunks: u32, bytes: usize, model: String) -> Self {
        let usage = Tokens { input: PROMPT_TOKENS, cached: 0, output: u64::from(chunks) };
        let pieces = (0..chunks).map(|_| "x".repeat(bytes)).collect();
        Self { number: 0, model, created: 1_700_000_000, pieces, call: None, usage }
    }

    /// The whole text.
    pub(super) fn text(&self) -> String {
        self.pieces.concat()
    }
}

fn words(text: &str) -> u64 {
    u64::try_from(text.split_whitespace().count()).unwrap_or(u64::MAX)
}
