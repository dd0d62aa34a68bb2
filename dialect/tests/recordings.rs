//! Recorded provider traffic through the tap, the body judge and the peek. The recordings are
//! named by the environment variable `NINEROUTER_FIXTURES`; without it nothing runs.

#[cfg(test)]
mod fixtures;

#[cfg(test)]
mod recordings {
    use std::path::PathBuf;

    use bytes::Bytes;
    use ninerouter_dialect::{
        BodyEdit, BodyVerdict, CompletionStream, Dialect, Framing, StreamEnd, StreamTap,
        TapOptions, TapSummary, apply_edits, chat_to_completion, error_status, estimate_tokens,
        judge_body, parse_error_body, peek, session_hints, splice_model,
    };
    use serde_json::Value;

    use super::fixtures::folders;

    const FORMATS: [(&str, Dialect); 4] = [
        ("openai_chat", Dialect::Chat),
        ("openai_responses", Dialect::Resp),
        ("anthropic_messages", Dialect::Anth),
        ("gemini", Dialect::Gem),
    ];

    struct Recording {
        name: String,
        dialect: Dialect,
        folder: PathBuf,
        meta: Value,
    }

    impl Recording {
        fn has(&self, feature: &str) -> bool {
            self.meta["features"].as_array().unwrap().iter().any(|f| f == feature)
        }

        fn file(&self, name: &str) -> Option<Vec<u8>> {
            let path = self.folder.join(name);
            path.exists().then(|| std::fs::read(path).unwrap())
        }
    }

    fn recordings() -> Vec<Recording> {
        let of_format = |(format, dialect): (&str, Dialect)| {
            let recording = move |folder: PathBuf| Recording {
                name: format!("{format}/{}", folder.file_name().unwrap().display()),
                dialect,
                meta: serde_json::from_slice(&std::fs::read(folder.join("meta.json")).unwrap())
                    .unwrap(),
                folder,
            };
            folders(format).into_iter().map(recording).collect::<Vec<_>>()
        };
        FORMATS.into_iter().flat_map(of_format).collect()
    }

    fn options(dialect: Dialect) -> TapOptions {
        TapOptions {
            dialect,
            framing: Framing::Sse,
            hide_usage_chunk: false,
            eof_is_end: false,
            unwrap: false,
            max_event_bytes: 16 << 20,
        }
    }

    /// Sizes from 1 to 4096, different for each recording, the same in each run.
    fn pieces<'a>(bytes: &'a [u8], seed: &str) -> Vec<&'a [u8]> {
        let mut state = seed.bytes().fold(7_u64, |s, b| s.wrapping_mul(31).wrapping_add(b.into()));
        let mut out = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let size = 1 + usize::try_from(state >> 52).unwrap();
            let (head, tail) = rest.split_at(size.min(rest.len()));
            out.push(head);
            rest = tail;
        }
        out
    }

    fn through(options: TapOptions, chunks: &[&[u8]]) -> (Vec<u8>, StreamEnd, StreamTap) {
        let mut tap = StreamTap::new(options);
        let mut out = Vec::new();
        for chunk in chunks {
            tap.push(Bytes::copy_from_slice(chunk), &mut out).unwrap();
        }
        let end = tap.finish(&mut out);
        (out.concat(), end, tap)
    }

    /// The payloads of a stream, found in the plainest way.
    fn payloads(bytes: &[u8]) -> Vec<Value> {
        String::from_utf8_lossy(bytes)
            .lines()
            .filter_map(|line| serde_json::from_str(line.strip_prefix("data:")?.trim()).ok())
            .collect()
    }

    /// Prompt and output tokens as the last word of the stream, by the book of each dialect.
    fn expected_tokens(dialect: Dialect, events: &[Value]) -> Option<(u64, u64)> {
        let number = |v: &Value, key: &str| v[key].as_u64().unwrap_or(0);
        let last = |pointer: &str, key: &str| {
            events
                .iter()
                .rev()
                .filter_map(|e| e.pointer(pointer))
                .find(|u| u[key].is_u64())
                .cloned()
        };
        match dialect {
            Dialect::Chat => {
                let usage = last("/usage", "prompt_tokens")?;
                let output = number(&usage, "completion_tokens");
                let input = number(&usage, "prompt_tokens");
                let reasoning = number(&usage["completion_tokens_details"], "reasoning_tokens");
                let beside = number(&usage, "total_tokens") == input + output + reasoning;
                Some((input, if beside { output + reasoning } else { output }))
            }
            Dialect::Resp => {
                let usage = last("/response/usage", "input_tokens")?;
                Some((number(&usage, "input_tokens"), number(&usage, "output_tokens")))
            }
            Dialect::Anth => {
                let field = |key: &str| {
                    let own = last("/usage", key).or_else(|| last("/message/usage", key));
                    own.map_or(0, |usage| number(&usage, key))
                };
                let input = field("input_tokens")
                    + field("cache_read_input_tokens")
                    + field("cache_creation_input_tokens");
                Some((input, field("output_tokens")))
            }
            Dialect::Gem => {
                let usage = last("/usageMetadata", "promptTokenCount")?;
                Some((
                    number(&usage, "promptTokenCount") + number(&usage, "toolUsePromptTokenCount"),
                    number(&usage, "candidatesTokenCount") + number(&usage, "thoughtsTokenCount"),
                ))
            }
        }
    }

    #[test]
    fn every_stream_passes_verbatim_and_is_understood() {
        let mut streams = 0;
        for recording in recordings() {
            let Some(bytes) = recording.file("stream.sse") else { continue };
            streams += 1;
            let name = &recording.name;
            let (out, end, tap) = through(options(recording.dialect), &pieces(&bytes, name));
            assert_eq!(out, bytes, "{name}");
            let failed = recording.has("error");
            assert_eq!(end, if failed { StreamEnd::Failed } else { StreamEnd::Complete }, "{name}");
            assert_eq!(tap.error().is_some(), failed, "{name}");
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            let (out, same_end, same) = through(options(recording.dialect), &single);
            assert_eq!((out, same_end), (bytes.clone(), end), "{name}");
            assert_eq!(same.summary(), tap.summary(), "{name}");
            assert_eq!(same.content_count(), tap.content_count(), "{name}");

            let seen: &TapSummary = tap.summary();
            let events = payloads(&bytes);
            let tokens = seen.usage.map(|u| (u.input, u.output));
            assert_eq!(tokens, expected_tokens(recording.dialect, &events), "{name}");
            assert_eq!(
                tokens.is_none(),
                recording.has("no_usage") || (failed && tokens.is_none()),
                "{name}"
            );
            assert!(seen.response_id.is_some(), "{name}");
            assert!(seen.model.is_some(), "{name}");
            if !failed {
                assert!(tap.content_seen() && seen.finish_reason.is_some(), "{name}");
                assert!(tap.terminal_seen() && tap.at_boundary(), "{name}");
                assert!(seen.usage.is_none_or(|u| u.exact && u.input > 0), "{name}");
            }
            if tap.content_count() > 3 && !recording.has("image_output") {
                assert!(seen.content_bytes > 0, "{name}");
            }
        }
        assert!(streams > 0 || recordings().is_empty());
    }

    #[test]
    fn every_cut_before_the_last_event_is_noticed() {
        for recording in recordings() {
            let Some(bytes) = recording.file("stream.sse") else { continue };
            if recording.has("error") {
                continue;
            }
            let name = &recording.name;
            // Before the event that carries the terminal mark there is none.
            let mark: &[&str] = match recording.dialect {
                Dialect::Chat => &["\"finish_reason\":\""],
                Dialect::Anth => &["\"type\":\"message_stop\""],
                Dialect::Resp => {
                    &["\"type\":\"response.completed\"", "\"type\":\"response.incomplete\""]
                }
                Dialect::Gem => &["\"finishReason\""],
            };
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let at = mark.iter().filter_map(|m| text.find(m)).min().unwrap();
            for cut in [at, at / 2, text.get(..at).unwrap().rfind("\n\n").map_or(0, |n| n + 2)] {
                let (_, end, _) = through(options(recording.dialect), &[&text.as_bytes()[..cut]]);
                assert_eq!(end, StreamEnd::Truncated, "{name} cut at {cut} of {}", text.len());
            }
        }
    }

    #[test]
    fn hiding_takes_the_usage_only_chunk_and_nothing_else() {
        for recording in recordings() {
            let Some(bytes) = recording.file("stream.sse") else { continue };
            if recording.dialect != Dialect::Chat {
                continue;
            }
            let hide = TapOptions { hide_usage_chunk: true, ..options(Dialect::Chat) };
            let (out, _, tap) = through(hide, &pieces(&bytes, &recording.name));
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let want: String = text
                .split_inclusive("\n\n")
                .filter(|event| {
                    let data = event.trim_start_matches("data:").trim();
                    let value: Value = serde_json::from_str(data).unwrap_or_default();
                    let no_choices = value["choices"].as_array().is_some_and(Vec::is_empty);
                    !(no_choices && value["usage"].is_object())
                })
                .collect();
            assert_eq!(String::from_utf8_lossy(&out), want, "{}", recording.name);
            let (_, _, plain) = through(options(Dialect::Chat), &[&bytes]);
            assert_eq!(tap.summary(), plain.summary(), "{}", recording.name);
        }
    }

    #[test]
    fn every_whole_reply_is_judged() {
        for recording in recordings() {
            let Some(body) = recording.file("response.json") else { continue };
            let name = &recording.name;
            let status = u16::try_from(recording.meta["status"].as_u64().unwrap()).unwrap();
            if recording.has("error") || status >= 400 {
                let seen = parse_error_body(status, Some("application/json"), &body);
                let message = seen.message.clone().unwrap();
                assert!(message.len() > 5 && !message.starts_with('{'), "{name}: {message}");
                assert!(
                    matches!(judge_body(recording.dialect, &body), BodyVerdict::Error(_)),
                    "{name}"
                );
                if status >= 400 {
                    let kind = seen.kind(Some(status));
                    assert!(kind.http_status() >= 400, "{name}");
                }
                continue;
            }
            match judge_body(recording.dialect, &body) {
                BodyVerdict::Ok(seen) => {
                    assert!(seen.model.is_some(), "{name}");
                    assert!(seen.finish_reason.is_some(), "{name}");
                    // A usage object of zeros is no count: the estimate stands in.
                    let value: Value = serde_json::from_slice(&body).unwrap();
                    let zeros = value.pointer("/usage/total_tokens").is_some_and(|n| n == 0);
                    let uncounted = recording.has("no_usage") || zeros;
                    assert_eq!(seen.usage.is_none(), uncounted, "{name}");
                }
                other => panic!("{name}: {other:?}"),
            }
        }
    }

    #[test]
    fn every_request_is_peeked_spliced_and_counted() {
        for recording in recordings() {
            let Some(body) = recording.file("request.json").map(Bytes::from) else { continue };
            let (name, dialect) = (&recording.name, recording.dialect);
            let seen = peek(dialect, &body).unwrap_or_else(|e| panic!("{name}: {e}"));
            seen.require_turns(dialect).unwrap_or_else(|e| panic!("{name}: {e}"));
            let value: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(seen.stream, value["stream"] == true, "{name}");
            let tools = value["tools"].as_array().is_some_and(|tools| !tools.is_empty());
            assert_eq!(seen.tools, tools, "{name}");
            let estimate = estimate_tokens(dialect, &body).unwrap();
            assert!(estimate > 7, "{name}: {estimate}");
            session_hints(dialect, &body, &seen);
            if dialect == Dialect::Gem {
                continue;
            }
            let model = seen.require_model().unwrap();
            assert_eq!(value["model"], model.value.as_str(), "{name}");
            let spliced = splice_model(&body, model, &model.value).parts.concat();
            assert_eq!(spliced, body, "{name}");
            let edits = [
                BodyEdit::Set { key: "model".into(), json: "\"other\"".into() },
                BodyEdit::Remove { key: "stream".into() },
            ];
            let edited = apply_edits(&body, &edits).unwrap().parts.concat();
            let mut want = value;
            want["model"] = "other".into();
            want.as_object_mut().unwrap().shift_remove("stream");
            assert_eq!(serde_json::from_slice::<Value>(&edited).unwrap(), want, "{name}");
        }
    }

    #[test]
    fn chat_recordings_make_completions() {
        for recording in recordings() {
            if recording.dialect != Dialect::Chat || recording.has("error") {
                continue;
            }
            let name = &recording.name;
            if let Some(body) = recording.file("response.json") {
                let got: Value =
                    serde_json::from_slice(&chat_to_completion(&body).unwrap()).unwrap();
                assert_eq!(got["object"], "text_completion", "{name}");
                assert!(got["choices"][0]["text"].is_string(), "{name}");
            }
            if let Some(bytes) = recording.file("stream.sse") {
                let mut stream = CompletionStream::new(16 << 20);
                let mut out = Vec::new();
                for piece in pieces(&bytes, name) {
                    stream.push(piece, &mut out).unwrap();
                }
                stream.finish(&mut out);
                assert!(out.ends_with(b"data: [DONE]\n\n"), "{name}");
                let text = |events: &[Value], pointer: &str| -> String {
                    events.iter().filter_map(|e| e.pointer(pointer)?.as_str()).collect()
                };
                let plain = text(&payloads(&bytes), "/choices/0/delta/content");
                if !plain.is_empty() {
                    assert_eq!(text(&payloads(&out), "/choices/0/text"), plain, "{name}");
                }
            }
        }
    }

    #[test]
    fn statuses_of_recorded_errors_fit_their_kind() {
        for recording in recordings() {
            let status = recording.meta["status"].as_u64().unwrap();
            let Some(body) = recording.file("response.json").filter(|_| status >= 400) else {
                continue;
            };
            let status = u16::try_from(status).unwrap();
            let kind = parse_error_body(status, None, &body).kind(Some(status));
            let error = ninerouter_dialect::ApiError {
                kind,
                status: None,
                code: None,
                param: None,
                message: "m".into(),
                request_id: String::new(),
            };
            assert_eq!(
                error_status(recording.dialect.into(), &error),
                status,
                "{}",
                recording.name
            );
        }
    }
}
