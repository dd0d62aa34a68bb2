//! Folds the events of an answer into the whole of it (translation §4.9, §4.10).

use crate::ir::{
    Choice, Citation, Event, Failure, Finish, MediaSource, Part, PartKind, RawJson, Response,
    Signature, Str, TextPart, Thinking, ToolInput, ToolKind, ToolUse,
};

/// Gathers events until the answer is whole.
#[derive(Debug, Default)]
pub struct Fold {
    response: Response,
    open: Vec<OpenPart>,
    ended: bool,
    failure: Option<Failure>,
}

#[derive(Debug)]
struct OpenPart {
    index: u32,
    choice: u32,
    kind: PartKind,
    text: String,
    data: String,
    citations: Vec<Citation>,
    signature: Option<Signature>,
}

impl Fold {
    /// Takes the next event. Deltas of parts that are not open are left out.
    pub fn push(&mut self, event: Event) {
        match event {
            Event::Start { id, model, created, usage, service_tier, fingerprint } => {
                let response = &mut self.response;
                (response.id, response.model) = (id, model);
                (response.created, response.usage) = (created, usage);
                (response.service_tier, response.fingerprint) = (service_tier, fingerprint);
            }
            Event::PartStart { part, choice, kind } => self.open.push(OpenPart {
                index: part,
                choice,
                kind,
                text: String::new(),
                data: String::new(),
                citations: Vec::new(),
                signature: None,
            }),
            Event::Text { part, text }
            | Event::Thinking { part, text }
            | Event::ToolInput { part, text }
            | Event::Refusal { part, text } => self.with(part, |open| open.text.push_str(&text)),
            Event::ThinkingBreak { part } => self.with(part, |open| open.text.push_str("\n\n")),
            Event::Signature { part, signature } => {
                self.with(part, |open| open.signature = Some(signature));
            }
            Event::Citation { part, citation } => {
                self.with(part, |open| open.citations.push(*citation));
            }
            Event::Audio { part, data, transcript } => self.with(part, |open| {
                open.data.push_str(&data);
                open.text.push_str(&transcript);
            }),
            Event::Logprobs { part, tokens } => {
                let choice = self.open.iter().find(|open| open.index == part).map(|o| o.choice);
                if let Some(choice) = choice {
                    self.choice(choice).logprobs.extend(tokens);
                }
            }
            Event::PartStop { part, full } => self.close(part, full.map(|full| *full)),
            Event::Usage(usage) => self.response.usage = Some(usage),
            Event::Finish { choice, finish, reason, stop_sequence, details } => {
                let choice = self.choice(choice);
                choice.finish = finish;
                choice.reason = reason;
                choice.stop_sequence = stop_sequence;
                choice.details = details;
            }
            Event::Ping => {}
            Event::End => self.ended = true,
            Event::Failed(failure) => self.failure = Some(*failure),
        }
    }

    /// The whole answer.
    ///
    /// # Errors
    /// The failure that the events tell of; [`Failure::Truncated`] when the end never came.
    pub fn finish(mut self) -> Result<Response, Failure> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        if !self.ended {
            return Err(Failure::Truncated);
        }
        for part in self.open.iter().map(|open| open.index).collect::<Vec<_>>() {
            self.close(part, None);
        }
        self.response.choices.sort_by_key(|choice| choice.index);
        Ok(self.response)
    }

    fn with(&mut self, part: u32, change: impl FnOnce(&mut OpenPart)) {
        if let Some(open) = self.open.iter_mut().find(|open| open.index == part) {
            change(open);
        }
    }

    fn close(&mut self, part: u32, full: Option<Part>) {
        let Some(at) = self.open.iter().position(|open| open.index == part) else { return };
        let open = self.open.remove(at);
        let index = open.choice;
        let part = full.unwrap_or_else(|| open.into_part());
        let choice = self.choice(index);
        if matches!(part, Part::ToolUse(_)) && choice.finish == Finish::Stop {
            // Until the source says why it stopped, a call is the best guess.
            choice.finish = Finish::ToolUse;
        }
        choice.parts.push(part);
    }

    fn choice(&mut self, index: u32) -> &mut Choice {
        let choices = &mut self.response.choices;
        let at = choices.iter().position(|choice| choice.index == index).unwrap_or_else(|| {
            choices.push(Choice::new(index));
            choices.len().saturating_sub(1)
        });
        #[expect(clippy::indexing_slicing, reason = "`at` was found or made on the lines above")]
        &mut choices[at]
    }
}

impl OpenPart {
    fn into_part(self) -> Part {
        let text = Str::from(self.text);
        match self.kind {
            PartKind::Text { phase } => Part::Text(TextPart {
                text,
                phase,
                citations: self.citations,
                signature: self.signature,
                ..TextPart::default()
            }),
            PartKind::Thinking { summary, item_id } => Part::Thinking(Thinking {
                text,
                signature: self.signature,
                summary,
                item_id,
                ..Thinking::default()
            }),
            PartKind::Redacted { seal, item_id } => Part::Redacted { seal, item_id },
            PartKind::ToolUse { id, name, kind, namespace, signature } => Part::ToolUse(ToolUse {
                id,
                name,
                input: tool_input(&kind, text),
                kind,
                namespace,
                signature: self.signature.or(signature),
                cache: None,
                ext: crate::ir::Ext::default(),
            }),
            PartKind::Image { source, signature } => Part::Image {
                source,
                detail: None,
                cache: None,
                signature,
                ext: crate::ir::Ext::default(),
            },
            PartKind::Audio { id, format } => Part::Audio {
                source: MediaSource::Base64 {
                    mime: Str::from(format!("audio/{format}")),
                    data: Str::from(self.data),
                },
                format,
                transcript: (!text.is_empty()).then_some(text),
                id,
            },
            PartKind::ServerTool(call) => Part::ServerTool(*call),
            PartKind::Refusal => Part::Refusal { text },
            PartKind::Opaque { dialect, raw } => Part::Opaque { dialect, raw },
        }
    }
}

/// Arguments of a call as streamed: no bytes at all mean no arguments (T137).
pub fn tool_input(kind: &ToolKind, text: Str) -> ToolInput {
    if *kind == ToolKind::Custom {
        return ToolInput::Text(text);
    }
    let written = if text.trim().is_empty() { "{}" } else { text.trim() };
    match RawJson::parse(written) {
        Ok(json) if json.is_object() => ToolInput::Json(json),
        Ok(_) | Err(_) => ToolInput::Text(text),
    }
}

/// Free text as the arguments of a function, where calls have no free text (§2.4, item 11).
pub fn free_text_input(text: &str) -> RawJson {
    RawJson::from(serde_json::json!({ "input": text }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::Ext;
    use crate::translate::unfold::{PIECE_BYTES, unfold};

    fn response(parts: Vec<Part>, finish: Finish) -> Response {
        let choice = Choice { parts, finish, ..Choice::new(0) };
        Response {
            id: "r1".into(),
            model: "m1".into(),
            choices: vec![choice],
            ..Response::default()
        }
    }

    fn folded(events: impl IntoIterator<Item = Event>) -> Result<Response, Failure> {
        let mut fold = Fold::default();
        events.into_iter().for_each(|event| fold.push(event));
        fold.finish()
    }

    fn call(kind: ToolKind, input: ToolInput) -> Part {
        Part::ToolUse(ToolUse {
            id: "call_1".into(),
            name: "f".into(),
            input,
            kind,
            namespace: None,
            signature: None,
            cache: None,
            ext: Ext::default(),
        })
    }

    #[test]
    fn t160_fold_undoes_unfold() {
        let json = |text: &str| ToolInput::Json(RawJson::parse(text).unwrap());
        let mut thinking = Thinking { text: "a\n\nb".into(), ..Thinking::default() };
        thinking.ext.push(crate::Dialect::Anth, "x", RawJson::parse("1").unwrap());
        let sound = MediaSource::Base64 { mime: "audio/wav".into(), data: "AAAA".into() };
        for parts in [
            vec![],
            vec![Part::text("Hi")],
            vec![Part::text("é🙂".repeat(PIECE_BYTES))],
            vec![Part::Thinking(thinking), Part::text("x"), Part::text("y")],
            vec![call(ToolKind::Function, json(r#"{ "id":12345678901234567890}"#))],
            vec![call(ToolKind::Function, json("{}"))],
            vec![call(ToolKind::Function, ToolInput::Text("{bad".into()))],
            vec![call(ToolKind::Custom, ToolInput::Text("x\ny".into()))],
            vec![Part::Refusal { text: "no".into() }],
            vec![Part::Audio {
                source: sound,
                format: "wav".into(),
                transcript: Some("hello".into()),
                id: Some("audio_1".into()),
            }],
        ] {
            let whole = response(parts, Finish::Length);
            assert_eq!(folded(unfold(whole.clone())), Ok(whole));
        }
    }

    #[test]
    fn alternatives_keep_their_parts() {
        let mut whole = response(vec![Part::text("a")], Finish::Stop);
        whole.choices.push(Choice { parts: vec![Part::text("b")], ..Choice::new(1) });
        assert_eq!(folded(unfold(whole.clone())), Ok(whole));
    }

    #[test]
    fn what_the_source_repeats_wins_over_the_deltas() {
        let mut events = unfold(response(vec![Part::text("draft")], Finish::Stop));
        for event in &mut events {
            if let Event::PartStop { full, .. } = event {
                *full = Some(Box::new(Part::text("final")));
            }
        }
        let whole = folded(events).unwrap();
        assert_eq!(whole.choices[0].parts, [Part::text("final")]);
    }

    #[test]
    fn broken_answers_are_failures() {
        let mut events = unfold(response(vec![Part::text("a")], Finish::Stop));
        events.pop();
        assert_eq!(folded(events.clone()), Err(Failure::Truncated));
        events.push(Event::Failed(Box::new(Failure::Spliced)));
        assert_eq!(folded(events), Err(Failure::Spliced));
    }

    #[test]
    fn a_call_without_a_finish_is_one_for_tools() {
        let part = call(ToolKind::Function, ToolInput::Json(RawJson::parse("{}").unwrap()));
        let events = unfold(response(vec![part], Finish::Stop));
        let whole = folded(events.into_iter().filter(|e| !matches!(e, Event::Finish { .. })));
        assert_eq!(whole.unwrap().choices[0].finish, Finish::ToolUse);
    }
}
