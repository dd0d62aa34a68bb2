//! Unfolds a whole answer into events: for a streaming client of an upstream that does not stream
//! (translation §4.9).

use crate::ir::{Event, MediaSource, Part, PartKind, Response, Str, ToolInput, ToolUse};

/// Long text goes out in pieces of about this size, so that no client must take one huge event.
pub const PIECE_BYTES: usize = 4096;

/// The events of a whole answer. Parts that no answer holds (results, notes) are left out.
pub fn unfold(response: Response) -> Vec<Event> {
    let mut out = vec![Event::Start {
        id: response.id,
        model: response.model,
        created: response.created,
        usage: None,
        service_tier: response.service_tier,
        fingerprint: response.fingerprint,
    }];
    let mut next = 0_u32;
    for choice in response.choices {
        let mut logprobs = choice.logprobs;
        for part in choice.parts {
            let Some(kind) = kind(&part) else { continue };
            let takes_logprobs = matches!(kind, PartKind::Text { .. } | PartKind::Refusal);
            out.push(Event::PartStart { part: next, choice: choice.index, kind });
            let full = says_more_than_its_deltas(&part).then(|| Box::new(part.clone()));
            deltas(next, part, &mut out);
            if takes_logprobs && !logprobs.is_empty() {
                out.push(Event::Logprobs { part: next, tokens: std::mem::take(&mut logprobs) });
            }
            out.push(Event::PartStop { part: next, full });
            next = next.saturating_add(1);
        }
        out.push(Event::Finish {
            choice: choice.index,
            finish: choice.finish,
            reason: choice.reason,
            stop_sequence: choice.stop_sequence,
            details: choice.details,
        });
    }
    out.extend(response.usage.map(Event::Usage));
    out.push(Event::End);
    out
}

fn kind(part: &Part) -> Option<PartKind> {
    Some(match part {
        Part::Text(text) => PartKind::Text { phase: text.phase.clone() },
        Part::Thinking(thinking) => {
            PartKind::Thinking { summary: thinking.summary, item_id: thinking.item_id.clone() }
        }
        Part::Redacted { seal, item_id } => {
            PartKind::Redacted { seal: seal.clone(), item_id: item_id.clone() }
        }
        Part::ToolUse(call) => PartKind::ToolUse {
            id: call.id.clone(),
            name: call.name.clone(),
            kind: call.kind.clone(),
            namespace: call.namespace.clone(),
            signature: call.signature.clone(),
        },
        Part::Image { source, signature, .. } => {
            PartKind::Image { source: source.clone(), signature: signature.clone() }
        }
        Part::Audio { id, format, .. } => {
            PartKind::Audio { id: id.clone(), format: format.clone() }
        }
        Part::ServerTool(call) => PartKind::ServerTool(Box::new(call.clone())),
        Part::Refusal { .. } => PartKind::Refusal,
        Part::Opaque { dialect, raw } => PartKind::Opaque { dialect: *dialect, raw: raw.clone() },
        Part::Document { .. }
        | Part::Video { .. }
        | Part::ToolResult(_)
        | Part::SystemNote { .. } => return None,
    })
}

/// Whether the part holds anything for which there is no event.
fn says_more_than_its_deltas(part: &Part) -> bool {
    match part {
        Part::Text(text) => !text.ext.is_empty() || text.cache.is_some(),
        Part::Thinking(thinking) => !thinking.ext.is_empty(),
        Part::ToolUse(call) => !call.ext.is_empty() || call.cache.is_some(),
        Part::Image { ext, detail, .. } => !ext.is_empty() || detail.is_some(),
        Part::Audio { source, format, .. } => match source {
            MediaSource::Base64 { mime, .. } => mime.strip_prefix("audio/") != Some(format),
            _ => true,
        },
        Part::Redacted { .. }
        | Part::ServerTool(_)
        | Part::Refusal { .. }
        | Part::Opaque { .. }
        | Part::Document { .. }
        | Part::Video { .. }
        | Part::ToolResult(_)
        | Part::SystemNote { .. } => false,
    }
}

fn deltas(at: u32, part: Part, out: &mut Vec<Event>) {
    match part {
        Part::Text(part) => {
            out.extend(pieces(&part.text).map(|text| Event::Text { part: at, text }));
            for citation in part.citations {
                out.push(Event::Citation { part: at, citation: Box::new(citation) });
            }
            out.extend(part.signature.map(|signature| Event::Signature { part: at, signature }));
        }
        Part::Thinking(part) => {
            out.extend(pieces(&part.text).map(|text| Event::Thinking { part: at, text }));
            out.extend(part.signature.map(|signature| Event::Signature { part: at, signature }));
        }
        Part::ToolUse(ToolUse { input, .. }) => {
            let text = match input {
                ToolInput::Json(json) => Str::from(json.get()),
                ToolInput::Text(text) => text,
            };
            out.extend(pieces(&text).map(|text| Event::ToolInput { part: at, text }));
        }
        Part::Refusal { text } => {
            out.extend(pieces(&text).map(|text| Event::Refusal { part: at, text }));
        }
        Part::Audio { source: MediaSource::Base64 { data, .. }, transcript, .. } => {
            let transcript = transcript.unwrap_or_default();
            if !data.is_empty() || !transcript.is_empty() {
                out.push(Event::Audio { part: at, data, transcript });
            }
        }
        Part::Audio { .. }
        | Part::Redacted { .. }
        | Part::Image { .. }
        | Part::ServerTool(_)
        | Part::Opaque { .. }
        | Part::Document { .. }
        | Part::Video { .. }
        | Part::ToolResult(_)
        | Part::SystemNote { .. } => {}
    }
}

/// Cuts text between characters, without copying it.
fn pieces(text: &Str) -> impl Iterator<Item = Str> {
    let mut rest = text.clone();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut end = rest.len().min(PIECE_BYTES);
        while !rest.is_char_boundary(end) {
            end = end.saturating_add(1);
        }
        let (head, tail) = rest.split_at_checked(end).unwrap_or((&rest, ""));
        let (head, tail) = (rest.slice_ref(head), rest.slice_ref(tail));
        rest = tail;
        Some(head)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{Choice, EventOrder};

    #[test]
    fn t161_events_of_a_whole_answer_are_in_order_and_small() {
        let mut choice = Choice::new(0);
        choice.parts = vec![Part::text("🙂".repeat(3000)), Part::text(""), Part::text("b")];
        let response = Response { choices: vec![choice], ..Response::default() };
        let events = unfold(response);
        let mut order = EventOrder::default();
        for event in &events {
            order.check(event).unwrap();
            if let Event::Text { text, .. } = event {
                assert!(text.len() < PIECE_BYTES + 4);
            }
        }
        assert!(order.is_ended());
        assert_eq!(events.iter().filter(|e| matches!(e, Event::Text { .. })).count(), 4);
    }
}
