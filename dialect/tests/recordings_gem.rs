//! Recorded answers of Gemini through its codec. The recordings are named by the environment variable
//! `NINEROUTER_FIXTURES`; without it nothing runs.

#[cfg(test)]
mod fixtures;

#[cfg(test)]
mod recordings {
    use ninerouter_dialect::gem::{StreamDecoder, StreamEncoder, decode_response, encode_response};
    use ninerouter_dialect::ir::{
        EventOrder, Failure, Part, Request, Response, SigFamily, ToolInput,
    };
    use ninerouter_dialect::translate::{Fold, ReplyPlan, Source};
    use ninerouter_dialect::{Dialect, Framing};
    use serde_json::Value;

    use super::fixtures::folders;

    fn source() -> Source {
        Source { family: SigFamily::Gemini, ..Source::new(Dialect::Gem) }
    }

    fn fragments(sse: &str) -> Vec<&str> {
        sse.lines().filter_map(|line| line.strip_prefix("data: ")).map(str::trim).collect()
    }

    fn decode(fragments: &[&str], name: &str) -> Result<Response, Failure> {
        let mut decoder = StreamDecoder::new(&source());
        let mut events = Vec::new();
        for fragment in fragments {
            decoder.frame(fragment.as_bytes(), None, &mut events).unwrap();
        }
        decoder.finish(&mut events);
        let mut order = EventOrder::default();
        let mut fold = Fold::default();
        for event in events {
            order.check(&event).unwrap_or_else(|broken| panic!("{name}: {broken}: {event:?}"));
            fold.push(event);
        }
        assert!(order.is_ended(), "{name}");
        fold.finish()
    }

    /// Text, thoughts and whole calls, found in the plainest way.
    fn plainly(bodies: &[Value]) -> (String, String, Vec<(String, Value)>) {
        let (mut text, mut thoughts, mut calls) = (String::new(), String::new(), Vec::new());
        for part in bodies
            .iter()
            .filter_map(|body| body.pointer("/candidates/0/content/parts")?.as_array())
            .flatten()
        {
            let said = part["text"].as_str().unwrap_or_default();
            if part["thought"] == true { &mut thoughts } else { &mut text }.push_str(said);
            let call = &part["functionCall"];
            if let Some(name) = call["name"].as_str() {
                let args = call.get("args").cloned().unwrap_or_else(|| serde_json::json!({}));
                calls.push((name.to_owned(), args));
            }
        }
        (text, thoughts, calls)
    }

    fn told(response: &Response) -> (String, String, Vec<(String, Value)>) {
        let (mut text, mut thoughts, mut calls) = (String::new(), String::new(), Vec::new());
        for part in response.choices.iter().flat_map(|choice| &choice.parts) {
            match part {
                Part::Text(part) => text.push_str(&part.text),
                Part::Thinking(part) => thoughts.push_str(&part.text),
                Part::ToolUse(call) => {
                    let ToolInput::Json(input) = &call.input else { panic!("{call:?}") };
                    calls.push((call.name.to_string(), input.to_value().unwrap()));
                }
                _ => {}
            }
        }
        (text, thoughts, calls)
    }

    /// Decodes what the encoder of a streaming client wrote.
    fn through_the_client_side(response: &Response, name: &str) -> Response {
        let request = Request::default();
        let plan = ReplyPlan {
            shows_thinking: true,
            model: response.model.clone(),
            ..ReplyPlan::new(Dialect::Gem, &request, 0)
        };
        let whole = decode_response(&encode_response(response, &plan), &source()).unwrap();
        let mut encoder = StreamEncoder::new(plan, Framing::Sse);
        let mut out = Vec::new();
        for event in ninerouter_dialect::translate::unfold(response.clone()) {
            encoder.event(&event, &mut out);
        }
        let out = String::from_utf8(out).unwrap();
        let streamed = decode(&fragments(&out), name).unwrap();
        assert_eq!(told(&streamed), told(&whole), "{name}");
        assert_eq!(streamed.usage, whole.usage, "{name}");
        streamed
    }

    #[test]
    fn t179_recorded_answers_decode_fold_and_survive_a_round_trip() {
        for folder in folders("gemini") {
            let name = folder.file_name().unwrap().display().to_string();
            let read = |file: &str| std::fs::read_to_string(folder.join(file)).ok();
            let meta: Value = serde_json::from_str(&read("meta.json").unwrap()).unwrap();
            let has = |tag: &str| meta["features"].as_array().unwrap().iter().any(|f| f == tag);
            let (response, bodies) = match (read("stream.sse"), read("response.json")) {
                (Some(sse), _) => {
                    let fragments = fragments(&sse);
                    let bodies: Vec<Value> =
                        fragments.iter().map(|f| serde_json::from_str(f).unwrap()).collect();
                    // The same fragments as one array are the same answer.
                    let array = format!("[{}]", fragments.join(","));
                    let streamed = decode(&fragments, &name);
                    assert_eq!(decode_response(array.as_bytes(), &source()), streamed, "{name}");
                    (streamed, bodies)
                }
                (None, Some(body)) => {
                    let parsed = serde_json::from_str(&body).unwrap();
                    (decode_response(body.as_bytes(), &source()), vec![parsed])
                }
                (None, None) => panic!("{name}: no answer"),
            };
            if has("error") {
                assert!(matches!(response, Err(Failure::Upstream(_))), "{name}: {response:?}");
                continue;
            }
            let response = response.unwrap_or_else(|failure| panic!("{name}: {failure}"));
            let mut plain = plainly(&bodies);
            let told_parts = told(&response);
            if has("partial_args") {
                // Arguments in fragments have a test of their own.
                plain.2.iter_mut().zip(&told_parts.2).for_each(|(plain, (_, told))| {
                    plain.1 = told.clone();
                });
            }
            assert_eq!(told_parts, plain, "{name}");
            assert_eq!(response.usage.is_none(), has("no_usage"), "{name}");
            assert!(!has("citations") || cited(&response) || !plainly_cited(&bodies), "{name}");

            let again = through_the_client_side(&response, &name);
            assert_eq!(told(&again), told_parts, "{name}");
            assert_eq!(again.choices[0].finish, response.choices[0].finish, "{name}");
            let (counted, recounted) = (response.usage, again.usage);
            assert_eq!(recounted.map(|u| u.tokens), counted.map(|u| u.tokens), "{name}");
            assert_eq!(cited(&again), cited(&response), "{name}");
        }
    }

    fn cited(response: &Response) -> bool {
        let parts = response.choices.iter().flat_map(|choice| &choice.parts);
        parts.into_iter().any(|part| matches!(part, Part::Text(t) if !t.citations.is_empty()))
    }

    fn plainly_cited(bodies: &[Value]) -> bool {
        bodies
            .iter()
            .any(|body| body.pointer("/candidates/0/groundingMetadata/groundingChunks").is_some())
    }

    #[test]
    fn t151_recorded_fragments_of_arguments_become_calls() {
        let Some(folder) = folders("gemini")
            .into_iter()
            .find(|f| f.ends_with("v-google-stream-tool-call-arguments-s"))
        else {
            return;
        };
        let sse = std::fs::read_to_string(folder.join("stream.sse")).unwrap();
        let response = decode(&fragments(&sse), "arguments").unwrap();
        let call = |city: &str| ("getWeather".to_owned(), serde_json::json!({"location": city}));
        assert_eq!(told(&response).2, [call("Boston"), call("San Francisco")]);
        let signed = response.choices[0]
            .parts
            .iter()
            .filter(|part| matches!(part, Part::ToolUse(call) if call.signature.is_some()));
        assert_eq!(signed.count(), 1);
    }
}
