//! Chat Completions chunks: content, finish, usage, errors (translation §4.2).

use super::needle::{self, DELTA, ERROR, FINISH_REASON, USAGE};
use super::observer::Observer;
use crate::{Dialect, json, usage};

#[derive(Default)]
struct Chunk<'a> {
    choices: Option<&'a str>,
    usage: Option<&'a str>,
    error: bool,
    describes_error: bool,
}

impl Observer {
    /// Looks at a chunk; `true` when it carries usage and nothing else.
    pub(super) fn chat(&mut self, data: &[u8], name: Option<&[u8]>) -> bool {
        let plain = self.content_seen()
            && name != Some(b"error")
            && !needle::has_value(data, &USAGE)
            && !needle::has_value(data, &FINISH_REASON)
            && !needle::has_value(data, &ERROR);
        if plain {
            if let Some(bytes) = needle::values(data, &DELTA).find_map(needle::delta_content) {
                self.content(bytes);
            }
            return false;
        }
        self.chat_parsed(data, name)
    }

    fn chat_parsed(&mut self, data: &[u8], name: Option<&[u8]>) -> bool {
        let text = json::lossy(data);
        let mut chunk = Chunk::default();
        let (mut id, mut model) = (None, None);
        let whole = json::visit(&text, |key, raw| match key {
            "id" => id = Some(raw),
            "model" => model = Some(raw),
            "choices" => chunk.choices = Some(raw),
            "usage" if json::is_object(raw) => chunk.usage = Some(raw),
            // Groq.
            "x_groq" => chunk.usage = chunk.usage.or_else(|| json::member(raw, "usage")),
            "error" => chunk.error |= is_error(raw),
            "object" | "type" => chunk.error |= raw == "\"error\"",
            "message" | "detail" | "msg" => chunk.describes_error |= json::text(raw).is_some(),
            _ => {}
        });
        if !whole {
            self.bad();
            return false;
        }
        self.good();
        self.name(id, model);
        let mut usage = chunk.usage;
        if let Some(choices) = chunk.choices {
            json::visit_elements(choices, |choice| {
                let seen = self.choice(choice);
                chunk.error |= seen.error;
                usage = usage.or(seen.usage);
            });
        } else {
            chunk.error |= chunk.describes_error || name == Some(b"error");
        }
        if let Some(decoded) = usage.and_then(|raw| usage::decode_full(Dialect::Chat, raw)) {
            self.usage(decoded);
        }
        if chunk.error {
            self.fail_event(data);
        }
        chunk.usage.is_some()
            && chunk.choices.is_some_and(|raw| json::is_array(raw) && json::is_blank(raw))
    }

    fn choice<'a>(&mut self, choice: &'a str) -> ChoiceSeen<'a> {
        let mut seen = ChoiceSeen::default();
        let mut finish = None;
        json::visit(choice, |key, raw| match key {
            "delta" | "message" => {
                if let Some(bytes) = needle::delta_content(raw.as_bytes()) {
                    self.content(bytes);
                }
            }
            "finish_reason" => finish = json::text(raw),
            // Kimi.
            "usage" => seen.usage = Some(raw),
            "error" => seen.error = is_error(raw),
            _ => {}
        });
        if finish.is_some() {
            self.finish(finish);
        }
        seen
    }
}

#[derive(Default)]
struct ChoiceSeen<'a> {
    usage: Option<&'a str>,
    error: bool,
}

/// An `error` member that says something.
fn is_error(raw: &str) -> bool {
    (raw.starts_with('{') || raw.starts_with('"')) && !json::is_blank(raw)
}
