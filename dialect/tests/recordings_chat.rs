//! Recorded chat traffic through the codec. The recordings are named by the environment variable
//! `NINEROUTER_FIXTURES`; without it nothing runs.

#[cfg(test)]
mod fixtures;

#[cfg(test)]
mod recordings {
    use std::path::PathBuf;

    use ninerouter_dialect::chat::{decode_request, decode_response, encode_request};
    use ninerouter_dialect::ir::{Event, EventOrder, Failure, Part, Response};
    use ninerouter_dialect::profile::Quirk;
    use ninerouter_dialect::translate::{EventReader, Fold, Source, Target, Warnings, unfold};
    use ninerouter_dialect::{BodyVerdict, Dialect, judge_body};
    use serde_json::Value;

    use super::fixtures::folders;

    struct Recording {
        name: String,
        folder: PathBuf,
        meta: Value,
    }

    impl Recording {
        fn file(&self, name: &str) -> Option<Vec<u8>> {
            let path = self.folder.join(name);
            path.exists().then(|| std::fs::read(path).unwrap())
        }

        fn status(&self) -> u64 {
            self.meta["status"].as_u64().unwrap_or(200)
        }
    }

    fn recordings() -> Vec<Recording> {
        let recording = |folder: PathBuf| Recording {
            name: folder.file_name().unwrap().display().to_string(),
            meta: serde_json::from_slice(&std::fs::read(folder.join("meta.json")).unwrap())
                .unwrap(),
            folder,
        };
        folders("openai_chat").into_iter().map(recording).collect()
    }

    fn read(stream: &[u8], piece: usize) -> Vec<Event> {
        let mut reader = EventReader::new(Source::new(Dialect::Chat), 16 << 20);
        let mut out = Vec::new();
        stream.chunks(piece).for_each(|chunk| reader.push(chunk, &mut out));
        reader.finish(&mut out);
        out.retain(|event| *event != Event::Ping);
        out
    }

    fn fold(events: Vec<Event>) -> Result<Response, Failure> {
        let mut fold = Fold::default();
        events.into_iter().for_each(|event| fold.push(event));
        fold.finish()
    }

    /// What the chunks of a stream say, put together in the plainest way.
    fn plain(stream: &[u8]) -> (String, String, Vec<String>) {
        let (mut text, mut reasoning, mut calls) = (String::new(), String::new(), Vec::new());
        let stream = String::from_utf8_lossy(stream).into_owned();
        let data = stream.lines().filter_map(|line| line.strip_prefix("data:"));
        for chunk in data.filter_map(|data| serde_json::from_str::<Value>(data.trim()).ok()) {
            for choice in chunk["choices"].as_array().into_iter().flatten() {
                let delta = &choice["delta"];
                text.push_str(delta["content"].as_str().unwrap_or_default());
                for part in delta["content"].as_array().into_iter().flatten() {
                    text.push_str(part["text"].as_str().unwrap_or_default());
                    for thought in part["thinking"].as_array().into_iter().flatten() {
                        reasoning.push_str(thought["text"].as_str().unwrap_or_default());
                    }
                }
                let said = ["reasoning_content", "reasoning"].map(|key| delta[key].as_str());
                reasoning.push_str(said.into_iter().flatten().next().unwrap_or_default());
                for call in delta["tool_calls"].as_array().into_iter().flatten() {
                    calls.extend(call["function"]["name"].as_str().map(str::to_owned));
                }
            }
        }
        calls.retain(|name| !name.is_empty());
        (text, reasoning, calls)
    }

    #[test]
    fn recorded_streams_say_what_their_chunks_say() {
        for recording in recordings() {
            let Some(stream) = recording.file("stream.sse") else { continue };
            let name = &recording.name;
            let events = read(&stream, stream.len());
            for piece in [1, 7, 1000] {
                assert_eq!(read(&stream, piece), events, "{name} in pieces of {piece}");
            }
            let mut order = EventOrder::default();
            for event in &events {
                order.check(event).unwrap_or_else(|e| panic!("{name}: {e}: {event:?}"));
            }
            assert!(order.is_ended(), "{name}");
            let response = match fold(events) {
                Ok(response) => response,
                Err(failure) => {
                    let told = matches!(failure, Failure::Upstream(_));
                    assert!(told, "{name}: {failure:?}");
                    continue;
                }
            };
            let (mut text, mut reasoning, mut calls) = (String::new(), String::new(), Vec::new());
            for part in response.choices.iter().flat_map(|choice| &choice.parts) {
                match part {
                    Part::Text(part) => text.push_str(&part.text),
                    Part::Thinking(part) => reasoning.push_str(&part.text),
                    Part::ToolUse(call) => calls.push(call.name.to_string()),
                    _ => {}
                }
            }
            assert_eq!((text, reasoning, calls), plain(&stream), "{name}");
        }
    }

    #[test]
    fn recorded_answers_are_read_like_streams_of_one_piece() {
        for recording in recordings() {
            let Some(body) = recording.file("response.json") else { continue };
            let name = &recording.name;
            let verdict = judge_body(Dialect::Chat, &body);
            let got = decode_response(&body, &Source::new(Dialect::Chat));
            if recording.status() >= 400 || !matches!(verdict, BodyVerdict::Ok(_)) {
                assert!(got.is_err(), "{name}");
                continue;
            }
            let response = got.unwrap_or_else(|e| panic!("{name}: {e}"));
            let wire: Value = serde_json::from_slice(&body).unwrap();
            let message = &wire["choices"][0]["message"];
            let text: String = response.choices[0]
                .parts
                .iter()
                .filter_map(|part| match part {
                    Part::Text(part) => Some(&*part.text),
                    _ => None,
                })
                .collect();
            assert_eq!(text, message["content"].as_str().unwrap_or_default(), "{name}");
            let calls = response.choices[0].parts.iter();
            let calls = calls.filter(|part| matches!(part, Part::ToolUse(_))).count();
            let want = message["tool_calls"].as_array().map_or(0, Vec::len);
            assert_eq!(calls, want, "{name}");
            assert_eq!(fold(unfold(response.clone())), Ok(response), "{name}");
        }
    }

    #[test]
    fn recorded_requests_survive_the_neutral_form() {
        for recording in recordings() {
            let Some(body) = recording.file("request.json") else { continue };
            let name = &recording.name;
            let mut warnings = Warnings::default();
            let request = decode_request(&body, &mut warnings).unwrap();
            assert!(warnings.as_slice().is_empty(), "{name}: {warnings:?}");
            let mut target = Target::new(Dialect::Chat, request.model.clone());
            target.quirks = vec![Quirk::KeepCacheControl];
            let encoded = encode_request(&request, &target, &mut warnings).unwrap();
            let again = decode_request(&encoded.body, &mut warnings).unwrap();
            assert_eq!(again.turns.len(), request.turns.len(), "{name}");
            assert_eq!(again.tools, request.tools, "{name}");
            assert_eq!(again.tool_choice, request.tool_choice, "{name}");
            assert_eq!(again.output, request.output, "{name}");
        }
    }
}
