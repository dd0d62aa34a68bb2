//! Why an answer ended, in the words of each dialect (translation §3.2).

use crate::Dialect;
use crate::ir::Finish;

/// What an upstream's word means. `has_call` = the answer calls a tool of the client's; tools that
/// the provider ran do not count.
///
/// For Responses the word is the status, or the reason of an incomplete answer.
pub fn decode(dialect: Dialect, word: &str, has_call: bool) -> Finish {
    let finish = match dialect {
        Dialect::Chat => chat(word),
        Dialect::Resp => resp(word),
        Dialect::Anth => anth(word),
        Dialect::Gem => gem(word),
    };
    match finish {
        // Many servers say `stop` beside calls, and some `tool_calls` without any.
        Finish::Stop | Finish::ToolUse if dialect != Dialect::Anth => without_word(has_call),
        Finish::ToolUse if !has_call => Finish::Stop,
        finish => finish,
    }
}

/// Why an answer ended whose upstream did not say.
pub fn without_word(has_call: bool) -> Finish {
    if has_call { Finish::ToolUse } else { Finish::Stop }
}

fn chat(word: &str) -> Finish {
    match word.to_ascii_lowercase().as_str() {
        "stop" | "eos" | "eos_token" | "end" | "end_turn" | "" => Finish::Stop,
        "stop_sequence" => Finish::StopSequence,
        "tool_calls" | "function_call" | "tool_use" => Finish::ToolUse,
        "length" | "max_tokens" | "max_output_tokens" => Finish::Length,
        // Mistral.
        "model_length" | "model_context_window_exceeded" => Finish::ContextLength,
        // GLM says `sensitive`; gateways pass on the words of Google and Anthropic.
        "content_filter" | "sensitive" | "safety" | "recitation" | "prohibited_content" => {
            Finish::ContentFilter
        }
        "refusal" => Finish::Refusal,
        "error" | "network_error" => Finish::Error,
        _ => Finish::Other(word.to_owned().into()),
    }
}

fn resp(word: &str) -> Finish {
    match word {
        "completed" => Finish::Stop,
        "max_output_tokens" => Finish::Length,
        "content_filter" => Finish::ContentFilter,
        "failed" | "cancelled" => Finish::Error,
        _ => Finish::Other(word.to_owned().into()),
    }
}

fn anth(word: &str) -> Finish {
    match word {
        "end_turn" => Finish::Stop,
        "stop_sequence" => Finish::StopSequence,
        "max_tokens" => Finish::Length,
        "model_context_window_exceeded" => Finish::ContextLength,
        "tool_use" => Finish::ToolUse,
        "refusal" => Finish::Refusal,
        "pause_turn" => Finish::PauseTurn,
        _ => Finish::Other(word.to_owned().into()),
    }
}

fn gem(word: &str) -> Finish {
    match word {
        "STOP" => Finish::Stop,
        "MAX_TOKENS" => Finish::Length,
        "SAFETY"
        | "RECITATION"
        | "LANGUAGE"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION"
        | "MODEL_ARMOR" => Finish::ContentFilter,
        "MALFORMED_FUNCTION_CALL"
        | "UNEXPECTED_TOOL_CALL"
        | "TOO_MANY_TOOL_CALLS"
        | "MISSING_THOUGHT_SIGNATURE" => Finish::MalformedTool,
        _ => Finish::Other(word.to_owned().into()),
    }
}

/// Chat's `finish_reason`. `refused` = the answer holds the refusal in words, which chat shows beside
/// an ordinary end.
pub fn chat_word(finish: &Finish, refused: bool) -> &'static str {
    match finish {
        Finish::Length | Finish::ContextLength => "length",
        Finish::ToolUse => "tool_calls",
        Finish::Refusal if refused => "stop",
        Finish::ContentFilter | Finish::Refusal => "content_filter",
        Finish::Stop
        | Finish::StopSequence
        | Finish::PauseTurn
        | Finish::MalformedTool
        | Finish::Error
        | Finish::Other(_) => "stop",
    }
}

/// The status of a Responses answer, and why it is incomplete.
pub fn resp_status(finish: &Finish) -> (&'static str, Option<&'static str>) {
    match finish {
        Finish::Length | Finish::ContextLength => ("incomplete", Some("max_output_tokens")),
        Finish::ContentFilter => ("incomplete", Some("content_filter")),
        Finish::Error => ("failed", None),
        Finish::Stop
        | Finish::StopSequence
        | Finish::ToolUse
        | Finish::Refusal
        | Finish::PauseTurn
        | Finish::MalformedTool
        | Finish::Other(_) => ("completed", None),
    }
}

/// Anthropic's `stop_reason`.
pub fn anth_word(finish: &Finish) -> &'static str {
    match finish {
        Finish::StopSequence => "stop_sequence",
        Finish::Length => "max_tokens",
        Finish::ContextLength => "model_context_window_exceeded",
        Finish::ToolUse => "tool_use",
        Finish::ContentFilter | Finish::Refusal => "refusal",
        Finish::PauseTurn => "pause_turn",
        Finish::Stop | Finish::MalformedTool | Finish::Error | Finish::Other(_) => "end_turn",
    }
}

/// Gemini's `finishReason`.
pub fn gem_word(finish: &Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::StopSequence | Finish::ToolUse | Finish::PauseTurn => "STOP",
        Finish::Length | Finish::ContextLength => "MAX_TOKENS",
        Finish::ContentFilter | Finish::Refusal => "SAFETY",
        Finish::MalformedTool => "MALFORMED_FUNCTION_CALL",
        Finish::Error | Finish::Other(_) => "OTHER",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstream_words_mean_what_the_answer_holds() {
        let other = |word: &'static str| Finish::Other(word.into());
        for (dialect, word, has_call, want) in [
            (Dialect::Chat, "stop", false, Finish::Stop),
            (Dialect::Chat, "stop", true, Finish::ToolUse),
            (Dialect::Chat, "tool_calls", false, Finish::Stop),
            (Dialect::Chat, "function_call", true, Finish::ToolUse),
            (Dialect::Chat, "eos", false, Finish::Stop),
            (Dialect::Chat, "", true, Finish::ToolUse),
            (Dialect::Chat, "length", true, Finish::Length),
            (Dialect::Chat, "MAX_TOKENS", false, Finish::Length),
            (Dialect::Chat, "model_length", false, Finish::ContextLength),
            (Dialect::Chat, "sensitive", false, Finish::ContentFilter),
            (Dialect::Chat, "error", true, Finish::Error),
            (
                Dialect::Chat,
                "insufficient_system_resource",
                false,
                other("insufficient_system_resource"),
            ),
            (Dialect::Resp, "completed", true, Finish::ToolUse),
            (Dialect::Resp, "completed", false, Finish::Stop),
            (Dialect::Resp, "max_output_tokens", true, Finish::Length),
            (Dialect::Resp, "content_filter", false, Finish::ContentFilter),
            (Dialect::Resp, "cancelled", false, Finish::Error),
            (Dialect::Anth, "end_turn", true, Finish::Stop),
            (Dialect::Anth, "tool_use", true, Finish::ToolUse),
            (Dialect::Anth, "tool_use", false, Finish::Stop),
            (Dialect::Anth, "compaction", false, other("compaction")),
            (Dialect::Gem, "STOP", true, Finish::ToolUse),
            (Dialect::Gem, "MAX_TOKENS", false, Finish::Length),
            (Dialect::Gem, "SAFETY", false, Finish::ContentFilter),
            (Dialect::Gem, "MALFORMED_FUNCTION_CALL", true, Finish::MalformedTool),
            (Dialect::Gem, "NO_IMAGE", false, other("NO_IMAGE")),
        ] {
            assert_eq!(decode(dialect, word, has_call), want, "{dialect:?} {word} {has_call}");
        }
    }

    #[test]
    fn each_end_is_spelled_as_the_table_says() {
        let incomplete = |reason| ("incomplete", Some(reason));
        let completed = ("completed", None);
        for (finish, chat, resp, anth, gem) in [
            (Finish::Stop, "stop", completed, "end_turn", "STOP"),
            (Finish::StopSequence, "stop", completed, "stop_sequence", "STOP"),
            (Finish::Length, "length", incomplete("max_output_tokens"), "max_tokens", "MAX_TOKENS"),
            (
                Finish::ContextLength,
                "length",
                incomplete("max_output_tokens"),
                "model_context_window_exceeded",
                "MAX_TOKENS",
            ),
            (Finish::ToolUse, "tool_calls", completed, "tool_use", "STOP"),
            (
                Finish::ContentFilter,
                "content_filter",
                incomplete("content_filter"),
                "refusal",
                "SAFETY",
            ),
            (Finish::Refusal, "content_filter", completed, "refusal", "SAFETY"),
            (Finish::PauseTurn, "stop", completed, "pause_turn", "STOP"),
            (Finish::MalformedTool, "stop", completed, "end_turn", "MALFORMED_FUNCTION_CALL"),
            (Finish::Error, "stop", ("failed", None), "end_turn", "OTHER"),
            (Finish::Other("x".into()), "stop", completed, "end_turn", "OTHER"),
        ] {
            assert_eq!(chat_word(&finish, false), chat, "{finish:?}");
            assert_eq!(resp_status(&finish), resp, "{finish:?}");
            assert_eq!(anth_word(&finish), anth, "{finish:?}");
            assert_eq!(gem_word(&finish), gem, "{finish:?}");
        }
        assert_eq!(chat_word(&Finish::Refusal, true), "stop");
    }
}
