//! A function or custom call on its way in.

use super::{Parts, missing};
use crate::ir::{Event, Failure, PartKind, Str, ToolKind};
use crate::json;
use crate::resp::object::{Object, str_of};
use crate::translate::ids;

/// A call and what is known of it. It starts when its name is known.
#[derive(Debug)]
pub(super) struct Call {
    /// The id that pairs it with its output.
    pub(super) id: Option<Str>,
    kind: ToolKind,
    name: Str,
    namespace: Option<Str>,
    /// The arguments so far, handed on or not.
    input: String,
    started: bool,
}

impl Parts {
    /// The next call's id: the upstream's, or one made up.
    pub(super) fn call_id(&mut self, upstream: Option<Str>) -> Str {
        let ordinal = self.calls;
        self.calls = self.calls.saturating_add(1);
        upstream.unwrap_or_else(|| ids::answer_call_id(&self.response_id, ordinal).into())
    }
}

impl Call {
    pub(super) fn new(kind: ToolKind, item: &Object<'_>) -> Self {
        Self {
            id: item.name("call_id"),
            kind,
            name: Str::new(),
            namespace: None,
            input: String::new(),
            started: false,
        }
    }

    pub(super) fn added(
        &mut self,
        at: usize,
        item: &Object<'_>,
        parts: &mut Parts,
        out: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        self.learn(item);
        self.start(at, parts, out)?;
        self.say(at, &input(item, self.input_member()), parts, out)
    }

    pub(super) fn event(
        &mut self,
        at: usize,
        kind: &str,
        event: &Object<'_>,
        parts: &mut Parts,
        out: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        if kind.ends_with(".delta") {
            return self.say(at, &input(event, "delta"), parts, out);
        }
        self.learn(event);
        self.start(at, parts, out)?;
        self.fill(at, &input(event, self.input_member()), parts, out)
    }

    pub(super) fn done(
        &mut self,
        at: usize,
        item: &Object<'_>,
        parts: &mut Parts,
        out: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        self.learn(item);
        self.start(at, parts, out)?;
        self.fill(at, &input(item, self.input_member()), parts, out)?;
        parts.queue.stop((at, 0), None, out);
        Ok(())
    }

    fn input_member(&self) -> &'static str {
        if self.kind == ToolKind::Custom { "input" } else { "arguments" }
    }

    /// Takes over what was not known before; a call that started keeps its name and id.
    fn learn(&mut self, item: &Object<'_>) {
        if self.started {
            return;
        }
        self.id = item.name("call_id").or_else(|| self.id.take());
        self.namespace = item.name("namespace").or_else(|| self.namespace.take());
        if let Some(name) = item.name("name") {
            self.name = name;
        }
    }

    fn start(&mut self, at: usize, parts: &mut Parts, out: &mut Vec<Event>) -> Result<(), Failure> {
        if self.started || self.name.is_empty() {
            return Ok(());
        }
        self.started = true;
        let id = parts.call_id(self.id.clone());
        self.id = Some(id.clone());
        let kind = PartKind::ToolUse {
            id,
            name: self.name.clone(),
            kind: self.kind.clone(),
            namespace: self.namespace.clone(),
            signature: None,
        };
        parts.queue.start((at, 0), 0, kind, out);
        let waited = std::mem::take(&mut self.input);
        self.say(at, &waited, parts, out)
    }

    fn fill(
        &mut self,
        at: usize,
        whole: &str,
        parts: &mut Parts,
        out: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        let rest = missing(&self.input, whole).to_owned();
        self.say(at, &rest, parts, out)
    }

    fn say(
        &mut self,
        at: usize,
        text: &str,
        parts: &mut Parts,
        out: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        if text.is_empty() {
            return Ok(());
        }
        self.input.push_str(text);
        if !self.started {
            return Ok(());
        }
        let text = Str::from(text);
        let bytes = text.len();
        parts.queue.delta((at, 0), |part| Event::ToolInput { part, text }, bytes, out)
    }
}

/// Arguments as text: a string, or an object where a gateway did not encode it.
pub(in crate::resp) fn input(item: &Object<'_>, member: &str) -> Str {
    match item.raw(member) {
        None => Str::new(),
        Some(raw) => json::string(raw).map_or_else(|| Str::from(raw), str_of),
    }
}
