//! Recorded answers of Responses through its codec. The recordings are named by the environment
//! variable `NINEROUTER_FIXTURES`; without it nothing runs.

#[cfg(test)]
mod fixtures;

#[cfg(test)]
mod recordings {
    use std::path::Path;

    use ninerouter_dialect::ir::{
        Event, EventOrder, Failure, Part, Request, Response, SigFamily, ToolInput,
    };
    use ninerouter_dialect::resp::{
        StreamDecoder, StreamEncoder, decode_request, decode_response, encode_request,
        encode_response,
    };
    use ninerouter_dialect::translate::{Fold, ReplyPlan, Source, Target, Warnings, unfold};
    use ninerouter_dialect::{Dialect, Framing};
    use serde_json::Value;

    use super::fixtures::folders;

    fn read(folder: &Path, file: &str) -> Option<String> {
        std::fs::read_to_string(folder.join(file)).ok()
    }

    fn source() -> Source {
        Source { family: SigFamily::OpenAi, ..Source::new(Dialect::Resp) }
    }

    fn frames(sse: &str) -> Vec<&str> {
        sse.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim).collect()
    }

    fn decode(frames: &[&str], name: &str) -> Result<Response, Failure> {
        let mut decoder = StreamDecoder::new(&source());
        let mut events: Vec<Event> = Vec::new();
        for frame in frames {
            decoder.frame(frame.as_bytes(), None, &mut events).unwrap();
        }
        decoder.finish(&mut events);
        let (mut order, mut fold) = (EventOrder::default(), Fold::default());
        for event in events {
            order.check(&event).unwrap_or_else(|broken| panic!("{name}: {broken}: {event:?}"));
            fold.push(event);
        }
        assert!(order.is_ended(), "{name}");
        fold.finish()
    }

    /// Text, calls and reasoning.
    type Told = (String, Vec<(String, String, String)>, String);

    /// What a body says, found in the plainest way.
    fn plainly(body: &Value) -> Told {
        let (mut text, mut calls, mut reasoning) = (String::new(), Vec::new(), Vec::new());
        for item in body["output"].as_array().into_iter().flatten() {
            let string = |key: &str| item[key].as_str().unwrap_or_default().to_owned();
            match item["type"].as_str().unwrap() {
                "message" => {
                    for part in item["content"].as_array().unwrap() {
                        text.push_str(part["text"].as_str().unwrap_or_default());
                    }
                }
                "function_call" => {
                    calls.push((string("call_id"), string("name"), string("arguments")));
                }
                "reasoning" => {
                    let summary = item["summary"].as_array().filter(|list| !list.is_empty());
                    let list = summary.or(item["content"].as_array());
                    let texts = list.into_iter().flatten().filter_map(|part| part["text"].as_str());
                    reasoning.extend(texts.map(str::to_owned));
                }
                _ => {}
            }
        }
        (text, calls, reasoning.join("\n\n"))
    }

    fn told(response: &Response) -> Told {
        let (mut text, mut calls, mut reasoning) = (String::new(), Vec::new(), Vec::new());
        for part in response.choices.iter().flat_map(|choice| &choice.parts) {
            match part {
                Part::Text(part) => text.push_str(&part.text),
                Part::Thinking(part) => reasoning.push(part.text.to_string()),
                Part::ToolUse(call) if call.kind == ninerouter_dialect::ir::ToolKind::Function => {
                    let input = match &call.input {
                        ToolInput::Json(json) => json.get().to_owned(),
                        ToolInput::Text(text) => text.to_string(),
                    };
                    calls.push((call.id.to_string(), call.name.to_string(), input));
                }
                _ => {}
            }
        }
        (text, calls, reasoning.join("\n\n"))
    }

    /// The answer's object in the last event of a stream.
    fn last_object(frames: &[&str]) -> Option<Value> {
        let events = frames.iter().filter_map(|frame| serde_json::from_str::<Value>(frame).ok());
        events.rev().find(|event| event["type"] == "response.completed").map(|mut event| {
            // Some servers leave it empty: then the items are those that were done.
            let done = frames.iter().filter_map(|frame| serde_json::from_str::<Value>(frame).ok());
            let done = done.filter(|event| event["type"] == "response.output_item.done");
            let items: Vec<Value> = done.map(|mut event| event["item"].take()).collect();
            if event["response"]["output"].as_array().is_none_or(Vec::is_empty) {
                event["response"]["output"] = items.into();
            }
            event["response"].take()
        })
    }

    /// Decodes what the encoders wrote for a client of this dialect.
    fn through_the_client_side(response: &Response, name: &str) {
        let plan = ReplyPlan {
            shows_encrypted: true,
            model: response.model.clone(),
            ..ReplyPlan::new(Dialect::Resp, &Request::default(), 0)
        };
        let whole = decode_response(&encode_response(response, &plan), &source()).unwrap();
        let mut encoder = StreamEncoder::new(plan, Framing::Sse);
        let mut out = Vec::new();
        for event in unfold(response.clone()) {
            encoder.event(&event, &mut out);
        }
        let streamed = decode(&frames(&String::from_utf8(out).unwrap()), name).unwrap();
        for seen in [&whole, &streamed] {
            assert_eq!(told(seen), told(response), "{name}");
            assert_eq!(seen.choices[0].finish, response.choices[0].finish, "{name}");
            assert_eq!(seen.choices[0].parts.len(), response.choices[0].parts.len(), "{name}");
        }
        // What a provider charges the router is not for the client.
        let counts = |response: &Response| response.usage.map(|usage| usage.tokens);
        assert_eq!(counts(&whole), counts(response), "{name}");
        assert_eq!(counts(&streamed), counts(response), "{name}");
    }

    #[test]
    fn t179_recorded_answers_decode_fold_and_survive_a_round_trip() {
        for folder in folders("openai_responses") {
            let name = folder.file_name().unwrap().display().to_string();
            let meta: Value = serde_json::from_str(&read(&folder, "meta.json").unwrap()).unwrap();
            let features = meta["features"].as_array().unwrap();
            let fails = features.iter().any(|tag| tag == "error");
            let (response, plain) =
                match (read(&folder, "stream.sse"), read(&folder, "response.json")) {
                    (Some(sse), _) => {
                        let frames = frames(&sse);
                        (decode(&frames, &name), last_object(&frames))
                    }
                    (None, Some(body)) => {
                        let plain = serde_json::from_str(&body).unwrap();
                        (decode_response(body.as_bytes(), &source()), Some(plain))
                    }
                    (None, None) => panic!("{name}: no answer"),
                };
            if fails {
                assert!(matches!(response, Err(Failure::Upstream(_))), "{name}: {response:?}");
                continue;
            }
            let response = response.unwrap_or_else(|failure| panic!("{name}: {failure}"));
            let plain = plain.unwrap_or_else(|| panic!("{name}: no last event"));
            assert_eq!(told(&response), plainly(&plain), "{name}");
            let input = plain.pointer("/usage/input_tokens").and_then(Value::as_u64);
            let input = input.filter(|count| *count > 0);
            assert_eq!(response.usage.map(|usage| usage.tokens.input), input, "{name}");
            through_the_client_side(&response, &name);
        }
    }

    #[test]
    fn t179_recorded_requests_survive_a_round_trip() {
        for folder in folders("openai_responses") {
            let name = folder.file_name().unwrap().display().to_string();
            let Some(body) = read(&folder, "request.json") else { continue };
            let mut warnings = Warnings::default();
            let request = decode_request(body.as_bytes(), &mut warnings)
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            let target = Target::new(Dialect::Resp, request.model.clone());
            let encoded = encode_request(&request, &target, &mut warnings).unwrap();
            assert_eq!(warnings.as_slice(), [], "{name}");
            // The same members, and whatever the client wrote as a list of items still is one.
            let (sent, got): (Value, Value) = (
                serde_json::from_str(&body).unwrap(),
                serde_json::from_slice(&encoded.body).unwrap(),
            );
            for (key, value) in sent.as_object().unwrap() {
                let is_list = matches!(key.as_str(), "input" | "tools");
                match value.as_array().filter(|_| is_list) {
                    Some(list) if !list.is_empty() => {
                        assert_eq!(got[key].as_array().unwrap().len(), list.len(), "{name} {key}");
                    }
                    _ if value.is_null() || value == false || value == "" || is_list => {}
                    _ => assert_eq!(&got[key], value, "{name} {key}"),
                }
            }
            let again = decode_request(&encoded.body, &mut warnings).unwrap();
            let twice = encode_request(&again, &target, &mut warnings).unwrap();
            let twice: Value = serde_json::from_slice(&twice.body).unwrap();
            assert_eq!(twice, got, "{name}");
        }
    }
}
