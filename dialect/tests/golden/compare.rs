//! Takes transcripts apart and levels what may differ between them (translation, appendix A.6).

use ninerouter_dialect::Dialect;
use ninerouter_dialect::ir::Event;
use ninerouter_dialect::translate::ReplyPlan;
use serde_json::Value;

use crate::story;

/// One event of a stream: its name, and its data as JSON, or as a string where it is none.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Frame {
    pub(crate) name: Option<String>,
    pub(crate) data: Value,
}

/// The events of an event stream, found in the plainest way.
pub(crate) fn frames(stream: &[u8]) -> Vec<Frame> {
    let text = String::from_utf8(stream.to_vec()).unwrap().replace("\r\n", "\n");
    let frame = |block: &str| {
        let field = |name: &str| {
            let lines = block.lines().filter_map(|line| line.strip_prefix(name));
            lines.map(|value| value.strip_prefix(' ').unwrap_or(value).to_owned()).next()
        };
        let data = field("data:")?;
        let data = serde_json::from_str(&data).unwrap_or(Value::String(data));
        Some(Frame { name: field("event:"), data })
    };
    text.split("\n\n").filter_map(frame).collect()
}

/// Events without pings, and with usage in its last form right before the end.
pub(crate) fn essence(events: Vec<Event>) -> Vec<Event> {
    let mut usage = None;
    let mut out: Vec<Event> = Vec::new();
    for event in events {
        match event {
            Event::Ping => {}
            Event::Usage(counted) => usage = Some(counted),
            Event::End => {
                out.extend(usage.map(Event::Usage));
                out.push(Event::End);
            }
            event => out.push(event),
        }
    }
    out
}

/// Replaces ids of answers and items, and times, at any depth. Ids of calls stay.
pub(crate) fn mask(value: &mut Value) {
    match value {
        Value::Object(members) => {
            let is_call =
                members.contains_key("function") || members.get("type") == Some(&"tool_use".into());
            for (key, value) in members.iter_mut() {
                match key.as_str() {
                    "id" if is_call => {}
                    "id" | "item_id" | "responseId" => *value = "masked".into(),
                    "created" | "created_at" => *value = 0.into(),
                    _ => mask(value),
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(mask),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// [`frames`] with ids and times masked.
pub(crate) fn masked_frames(stream: &[u8]) -> Vec<Frame> {
    let mut frames = frames(stream);
    frames.iter_mut().for_each(|frame| mask(&mut frame.data));
    frames
}

/// How the story is told to a client that asked to see everything.
pub(crate) fn plan(client: Dialect) -> ReplyPlan {
    let mut plan = ReplyPlan::new(client, &story::request(Dialect::Chat), 1_700_000_000);
    plan.shows_thinking = true;
    plan.include_usage = true;
    plan
}
