//! What an answer comes to, for records: the same as the tap learns from traffic that is not translated.

use crate::ir::{Event, Part, Response, ToolInput, Usage};
use crate::tap::TapSummary;

/// Notes an event of a stream.
pub(super) fn note(summary: &mut TapSummary, event: &Event) {
    let said = match event {
        Event::Start { id, model, .. } => {
            summary.response_id = (!id.is_empty()).then(|| id.to_string());
            summary.model = (!model.is_empty()).then(|| model.to_string());
            0
        }
        Event::Usage(usage) => {
            count(summary, usage);
            0
        }
        Event::Finish { reason, .. } => {
            if let Some(reason) = reason {
                summary.finish_reason = Some(reason.to_string());
            }
            0
        }
        Event::Text { text, .. }
        | Event::Thinking { text, .. }
        | Event::ToolInput { text, .. }
        | Event::Refusal { text, .. } => text.len(),
        Event::Audio { transcript, .. } => transcript.len(),
        Event::PartStart { .. }
        | Event::ThinkingBreak { .. }
        | Event::Signature { .. }
        | Event::Citation { .. }
        | Event::Logprobs { .. }
        | Event::PartStop { .. }
        | Event::Ping
        | Event::End
        | Event::Failed(_) => 0,
    };
    add(summary, said);
}

/// The summary of a whole answer.
pub(super) fn of(response: &Response) -> TapSummary {
    let mut summary = TapSummary {
        response_id: (!response.id.is_empty()).then(|| response.id.to_string()),
        model: (!response.model.is_empty()).then(|| response.model.to_string()),
        ..TapSummary::default()
    };
    if let Some(usage) = &response.usage {
        count(&mut summary, usage);
    }
    for choice in &response.choices {
        if let Some(reason) = &choice.reason {
            summary.finish_reason = Some(reason.to_string());
        }
        for part in &choice.parts {
            let said = match part {
                Part::Text(text) => text.text.len(),
                Part::Thinking(thinking) => thinking.text.len(),
                Part::Refusal { text } => text.len(),
                Part::ToolUse(call) => match &call.input {
                    ToolInput::Json(json) => json.get().len(),
                    ToolInput::Text(text) => text.len(),
                },
                _ => 0,
            };
            add(&mut summary, said);
        }
    }
    summary
}

fn count(summary: &mut TapSummary, usage: &Usage) {
    if !usage.tokens.is_zero() {
        summary.usage = Some(usage.tokens);
    }
    summary.credits = usage.credits.or(summary.credits);
    summary.cost_usd = usage.cost_usd.or(summary.cost_usd);
}

fn add(summary: &mut TapSummary, bytes: usize) {
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    summary.content_bytes = summary.content_bytes.saturating_add(bytes);
}
