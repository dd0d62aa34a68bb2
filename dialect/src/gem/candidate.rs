//! One candidate of an answer while it streams: which part is open, what is still being put together.

use super::chunk::Candidate;
use super::grounding::{Said, decode};
use super::logprobs;
use super::partial_args::PartialArgs;
use super::stream_in::Answer;
use super::wire::{Blob, Call, Part, string};
use crate::ir::{Event, Ext, MediaSource, PartKind, RawJson, ServerTool, Signature, Str, ToolKind};
use crate::translate::data_url::{MediaClass, audio_format, media_type, standard_base64};
use crate::translate::ids;
use crate::{Dialect, json};

/// What is known of a candidate so far.
///
/// The last part stays open until the next one begins: a signature may still follow on an empty text.
#[derive(Debug)]
pub(super) struct CandidateState {
    pub(super) index: u32,
    pub(super) has_call: bool,
    /// Google's word for why it finished.
    pub(super) reason: Option<Str>,
    /// Whether anything was said after that.
    said_more: bool,
    open: Option<Open>,
    /// Calls that Google runs itself, until their results come.
    server_calls: Vec<ServerTool>,
    /// Citations of the open text, or of the next one.
    metadata: Vec<String>,
    /// Bytes of text in earlier parts.
    before: usize,
}

#[derive(Debug)]
struct Open {
    part: u32,
    signed: bool,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Text(String),
    Thinking,
    /// A whole call.
    Call,
    /// A call whose arguments come in fragments.
    Assembling(PartialArgs),
    /// Sound in this format; more may follow if its base64 has no padding.
    Audio {
        format: Str,
        padded: bool,
    },
}

impl CandidateState {
    pub(super) fn new(index: u32) -> Self {
        Self {
            index,
            has_call: false,
            reason: None,
            said_more: false,
            open: None,
            server_calls: Vec::new(),
            metadata: Vec::new(),
            before: 0,
        }
    }

    /// Whether Google said why it finished.
    pub(super) fn finished(&self) -> bool {
        self.reason.is_some()
    }

    /// Takes what one fragment says of the candidate.
    pub(super) fn take(&mut self, candidate: &Candidate<'_>, answer: &mut Answer<'_>) {
        json::visit_elements(candidate.parts.unwrap_or("[]"), |raw| {
            if let Some(part) = Part::read(raw) {
                self.part(&part, answer);
            }
        });
        if let (Some(raw), Some(Open { part, body: Body::Text(_), .. })) =
            (candidate.logprobs, &self.open)
        {
            let tokens = logprobs::decode(raw);
            if !tokens.is_empty() {
                answer.out.push(Event::Logprobs { part: *part, tokens });
            }
        }
        let metadata = [candidate.grounding, candidate.citations].into_iter().flatten();
        for raw in metadata.filter(|raw| !json::is_blank(raw)) {
            if self.metadata.last().is_none_or(|last| last != raw) {
                self.metadata.push(raw.to_owned());
            }
        }
        // A second reason counts only when the first one was not the last word.
        if let Some(reason) = &candidate.finish_reason
            && (self.reason.is_none() || self.said_more)
        {
            self.reason = Some(reason.as_ref().into());
            self.said_more = false;
        }
    }

    /// Closes what is open.
    pub(super) fn close(&mut self, answer: &mut Answer<'_>) {
        self.close_part(answer);
        for call in std::mem::take(&mut self.server_calls) {
            self.whole(PartKind::ServerTool(Box::new(call)), answer);
        }
    }

    fn part(&mut self, part: &Part<'_>, answer: &mut Answer<'_>) {
        let parts = *answer.next_part;
        if let Some(raw) = part.call {
            self.call(&Call::read(raw), part, answer);
        } else if let Some(blob) = part.inline_data.and_then(Blob::read) {
            self.blob(&blob, part, answer);
        } else if let Some(blob) = part.file_data.and_then(Blob::read) {
            let mime = blob.mime.as_deref().map(media_type);
            let source = MediaSource::FileUri { uri: blob.data.as_ref().into(), mime };
            self.begin_whole(PartKind::Image { source, signature: sign(part, answer) }, answer);
        } else if part.code.is_some() || part.tool_call.is_some() {
            self.server_call(part, answer);
        } else if part.code_result.is_some() || part.tool_response.is_some() {
            self.server_result(part, answer);
        } else if part.is_bare() {
            self.text(part, answer);
        } else if let Ok(raw) = RawJson::parse(part.raw) {
            self.begin_whole(PartKind::Opaque { dialect: Dialect::Gem, raw }, answer);
        }
        self.said_more |= *answer.next_part > parts;
    }

    fn text(&mut self, part: &Part<'_>, answer: &mut Answer<'_>) {
        let text = part.text().unwrap_or_default();
        let signature = sign(part, answer);
        if !text.is_empty() {
            let fits = match &self.open {
                // What was signed is whole.
                Some(Open { signed: true, .. }) | None => false,
                Some(Open { body, .. }) => match body {
                    Body::Text(_) => !part.thought,
                    Body::Thinking => part.thought,
                    Body::Call | Body::Assembling(_) | Body::Audio { .. } => false,
                },
            };
            if !fits {
                self.close(answer);
                let (kind, body) = if part.thought {
                    let kind = PartKind::Thinking { summary: false, item_id: None };
                    (kind, Body::Thinking)
                } else {
                    (PartKind::Text { phase: None }, Body::Text(String::new()))
                };
                self.begin(kind, body, false, answer);
            }
            self.said_more = true;
            if let Some(open) = &mut self.open {
                let index = open.part;
                if let Body::Text(said) = &mut open.body {
                    said.push_str(&text);
                    answer.out.push(Event::Text { part: index, text: text.as_ref().into() });
                } else {
                    answer.out.push(Event::Thinking { part: index, text: text.as_ref().into() });
                }
            }
        }
        if let Some(signature) = signature {
            self.sign_last(signature, part.thought, answer);
        }
    }

    /// Puts a signature on the last part, or on an empty one of its own.
    fn sign_last(&mut self, signature: Signature, thought: bool, answer: &mut Answer<'_>) {
        let signable = self
            .open
            .as_ref()
            .is_some_and(|open| !open.signed && !matches!(open.body, Body::Audio { .. }));
        if !signable {
            self.close(answer);
            if thought {
                let kind = PartKind::Thinking { summary: false, item_id: None };
                self.begin(kind, Body::Thinking, false, answer);
            } else {
                let kind = PartKind::Text { phase: None };
                self.begin(kind, Body::Text(String::new()), false, answer);
            }
        }
        if let Some(open) = &mut self.open {
            open.signed = true;
            answer.out.push(Event::Signature { part: open.part, signature });
        }
    }

    fn call(&mut self, call: &Call<'_>, part: &Part<'_>, answer: &mut Answer<'_>) {
        let Some(name) = &call.name else {
            self.more_args(call, answer);
            return;
        };
        self.close(answer);
        self.has_call = true;
        let id = match &call.id {
            Some(id) => id.as_ref().into(),
            None => ids::answer_call_id(answer.response_id, *answer.calls).into(),
        };
        *answer.calls = answer.calls.saturating_add(1);
        let signature = sign(part, answer);
        let signed = signature.is_some();
        let kind = PartKind::ToolUse {
            id,
            name: name.as_ref().into(),
            kind: ToolKind::Function,
            namespace: None,
            signature,
        };
        if call.continues || call.partial_args.is_some() {
            self.begin(kind, Body::Assembling(PartialArgs::default()), signed, answer);
            self.more_args(call, answer);
            return;
        }
        let index = self.begin(kind, Body::Call, signed, answer);
        if let Some(args) = call.args {
            answer.out.push(Event::ToolInput { part: index, text: args.into() });
        }
    }

    /// Takes more arguments of the call that is being put together.
    fn more_args(&mut self, call: &Call<'_>, answer: &mut Answer<'_>) {
        if let Some(Open { body: Body::Assembling(args), .. }) = &mut self.open {
            if let Some(whole) = call.args {
                args.add_object(whole);
            }
            if let Some(fragments) = call.partial_args {
                args.add(fragments);
            }
            if !call.continues {
                self.assemble(answer);
            }
        }
    }

    fn assemble(&mut self, answer: &mut Answer<'_>) {
        if let Some(open) = &mut self.open
            && let Body::Assembling(args) = &mut open.body
        {
            let text = std::mem::take(args).into_json();
            open.body = Body::Call;
            if !text.is_empty() {
                answer.out.push(Event::ToolInput { part: open.part, text: text.into() });
            }
        }
    }

    fn blob(&mut self, blob: &Blob<'_>, part: &Part<'_>, answer: &mut Answer<'_>) {
        let mime = blob.mime.as_deref().unwrap_or("application/octet-stream");
        let data = standard_base64(&blob.data);
        match MediaClass::of(mime) {
            MediaClass::Audio => self.audio(audio_format(mime), data, answer),
            // Films and documents have no form in any client's dialect but this one.
            MediaClass::Video | MediaClass::Document => {
                if let Ok(raw) = RawJson::parse(part.raw) {
                    self.begin_whole(PartKind::Opaque { dialect: Dialect::Gem, raw }, answer);
                }
            }
            MediaClass::Image => {
                let source = MediaSource::Base64 { mime: media_type(mime), data };
                self.begin_whole(PartKind::Image { source, signature: sign(part, answer) }, answer);
            }
        }
    }

    fn audio(&mut self, format: Str, data: Str, answer: &mut Answer<'_>) {
        let goes_on = matches!(
            &self.open,
            Some(Open { body: Body::Audio { format: open, padded: false }, .. }) if *open == format
        );
        if !goes_on {
            self.close(answer);
            let kind = PartKind::Audio { id: None, format: format.clone() };
            self.begin(kind, Body::Audio { format, padded: false }, false, answer);
        }
        self.said_more = true;
        if let Some(Open { part, body: Body::Audio { padded, .. }, .. }) = &mut self.open {
            *padded = data.ends_with('=');
            answer.out.push(Event::Audio { part: *part, data, transcript: Str::new() });
        }
    }

    fn server_call(&mut self, part: &Part<'_>, answer: &mut Answer<'_>) {
        let Ok(input) = RawJson::parse(part.raw) else { return };
        let object = part.code.or(part.tool_call).unwrap_or_default();
        let id = json::member(object, "id").and_then(string).unwrap_or_default();
        let name = if part.code.is_some() {
            Str::from_static("code_execution")
        } else {
            let kind =
                json::member(object, "toolType").or_else(|| json::member(object, "tool_type"));
            server_tool_name(&kind.and_then(string).unwrap_or_default())
        };
        self.close_part(answer);
        self.server_calls.push(ServerTool {
            id: id.as_ref().into(),
            name,
            input,
            result: None,
            origin: Dialect::Gem,
            ext: Ext::default(),
        });
    }

    fn server_result(&mut self, part: &Part<'_>, answer: &mut Answer<'_>) {
        let Ok(raw) = RawJson::parse(part.raw) else { return };
        let object = part.code_result.or(part.tool_response).unwrap_or_default();
        let id = json::member(object, "id").and_then(string).unwrap_or_default();
        let waiting = self
            .server_calls
            .iter_mut()
            .find(|call| call.result.is_none() && (id.is_empty() || call.id == id.as_ref()));
        match waiting {
            Some(call) => call.result = Some(raw),
            None => self.begin_whole(PartKind::Opaque { dialect: Dialect::Gem, raw }, answer),
        }
        self.said_more = true;
    }

    fn begin(&mut self, kind: PartKind, body: Body, signed: bool, answer: &mut Answer<'_>) -> u32 {
        let part = *answer.next_part;
        *answer.next_part = part.saturating_add(1);
        answer.out.push(Event::PartStart { part, choice: self.index, kind });
        self.open = Some(Open { part, signed, body });
        part
    }

    /// A part that is whole at once, after all that is open.
    fn begin_whole(&mut self, kind: PartKind, answer: &mut Answer<'_>) {
        self.close(answer);
        self.whole(kind, answer);
    }

    fn whole(&mut self, kind: PartKind, answer: &mut Answer<'_>) {
        let part = *answer.next_part;
        *answer.next_part = part.saturating_add(1);
        answer.out.push(Event::PartStart { part, choice: self.index, kind });
        answer.out.push(Event::PartStop { part, full: None });
    }

    fn close_part(&mut self, answer: &mut Answer<'_>) {
        self.assemble(answer);
        let Some(Open { part, body, .. }) = self.open.take() else { return };
        if let Body::Text(said) = body {
            let metadata = std::mem::take(&mut self.metadata);
            let said_here = Said { part: &said, before: self.before };
            for citation in decode(metadata.iter().map(String::as_str), said_here) {
                answer.out.push(Event::Citation { part, citation: Box::new(citation) });
            }
            self.before = self.before.saturating_add(said.len());
        }
        answer.out.push(Event::PartStop { part, full: None });
    }
}

fn sign(part: &Part<'_>, answer: &Answer<'_>) -> Option<Signature> {
    let value = part.signature()?.as_ref().into();
    Some(Signature { family: answer.family, value })
}

/// The common name of a tool that Google runs.
fn server_tool_name(kind: &str) -> Str {
    match kind {
        "GOOGLE_SEARCH_WEB" | "GOOGLE_SEARCH" => Str::from_static("web_search"),
        "URL_CONTEXT" => Str::from_static("web_fetch"),
        other => other.to_ascii_lowercase().into(),
    }
}
