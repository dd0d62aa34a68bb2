//! Recorded Anthropic answers and requests through the codec. The recordings are named by the
//! environment variable `NINEROUTER_FIXTURES`; without it nothing runs.

#[cfg(test)]
mod fixtures;

#[cfg(test)]
mod recordings {
    use std::path::PathBuf;

    use ninerouter_dialect::Dialect;
    use ninerouter_dialect::anth::{
        StreamDecoder, decode_request, decode_response, encode_request,
    };
    use ninerouter_dialect::ir::{EventOrder, Failure, Part, RawJson, Response, ToolInput};
    use ninerouter_dialect::translate::{Fold, Source, Target, Warnings};
    use serde_json::Value;

    use super::fixtures::folders;

    fn json(path: &PathBuf) -> Value {
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }

    fn payloads(stream: &str) -> Vec<Value> {
        let data = stream.lines().filter_map(|line| line.strip_prefix("data:"));
        data.map(|data| serde_json::from_str(data).unwrap()).collect()
    }

    fn streamed(frames: &[Value]) -> Result<Response, Failure> {
        let mut decoder = StreamDecoder::new(&Source::new(Dialect::Anth));
        let mut events = Vec::new();
        for frame in frames {
            decoder.frame(frame.to_string().as_bytes(), None, &mut events).unwrap();
        }
        decoder.finish(&mut events);
        let mut order = EventOrder::default();
        let mut fold = Fold::default();
        for event in events {
            order.check(&event).unwrap_or_else(|broken| panic!("{broken}: {event:?}"));
            fold.push(event);
        }
        assert!(order.is_ended());
        fold.finish()
    }

    /// The message that a stream spells out, put together in the plainest way.
    fn whole_of(frames: &[Value]) -> Value {
        let of = |kind: &str| frames.iter().filter(move |f| f["type"] == *kind).collect::<Vec<_>>();
        let mut message = of("message_start")[0]["message"].clone();
        let mut content = Vec::new();
        for start in of("content_block_start") {
            let mut block = start["content_block"].clone();
            let mut arguments = String::new();
            let deltas = of("content_block_delta");
            for delta in deltas.iter().filter(|delta| delta["index"] == start["index"]) {
                let delta = &delta["delta"];
                let mut add = |key: &str| {
                    let known = block[key].as_str().unwrap_or_default().to_owned();
                    block[key] = (known + delta[key].as_str().unwrap()).into();
                };
                match delta["type"].as_str().unwrap() {
                    "text_delta" => add("text"),
                    "thinking_delta" => add("thinking"),
                    "signature_delta" => add("signature"),
                    "input_json_delta" => arguments += delta["partial_json"].as_str().unwrap(),
                    "citations_delta" => {
                        let mut citations =
                            block["citations"].as_array().cloned().unwrap_or_default();
                        citations.push(delta["citation"].clone());
                        block["citations"] = citations.into();
                    }
                    other => panic!("{other}"),
                }
            }
            if !arguments.is_empty() {
                block["input"] = serde_json::from_str(&arguments).unwrap();
            }
            content.push(block);
        }
        message["content"] = content.into();
        for delta in of("message_delta") {
            for (key, value) in delta["delta"].as_object().unwrap() {
                message[key] = value.clone();
            }
            for (key, value) in delta["usage"].as_object().unwrap() {
                message["usage"][key] = value.clone();
            }
        }
        message
    }

    /// All words of a message, by kind of block.
    fn words(message: &Value, kind: &str, key: &str) -> String {
        let blocks = message["content"].as_array().unwrap();
        let told = blocks.iter().filter(|block| block["type"] == kind);
        told.filter_map(|block| block[key].as_str()).collect()
    }

    fn assert_tells(response: &Response, message: &Value, name: &str) {
        let parts = &response.choices[0].parts;
        let mut text = String::new();
        let mut thinking = String::new();
        let mut calls = Vec::new();
        for part in parts {
            match part {
                Part::Text(part) => text += &part.text,
                Part::Thinking(part) => thinking += &part.text,
                Part::ToolUse(call) => calls.push(&*call.id),
                _ => {}
            }
        }
        assert_eq!(text, words(message, "text", "text"), "{name}");
        assert_eq!(thinking, words(message, "thinking", "thinking"), "{name}");
        assert_eq!(calls.concat(), words(message, "tool_use", "id"), "{name}");
        assert_eq!(
            response.choices[0].reason.as_deref(),
            message["stop_reason"].as_str(),
            "{name}"
        );
        let count = |key: &str| message["usage"][key].as_u64().unwrap_or(0);
        let tokens = response.usage.unwrap_or_default().tokens;
        assert_eq!(tokens.output, count("output_tokens"), "{name}");
        let cached = count("cache_read_input_tokens") + count("cache_creation_input_tokens");
        assert_eq!(tokens.input, count("input_tokens") + cached, "{name}");
    }

    /// The answer without the white space of arguments, which putting them together does not keep.
    fn plain(mut response: Response) -> Response {
        let spelled = |raw: &RawJson| RawJson::from(raw.to_value().unwrap());
        for part in response.choices.iter_mut().flat_map(|choice| &mut choice.parts) {
            match part {
                Part::ToolUse(call) => {
                    if let ToolInput::Json(json) = &mut call.input {
                        *json = spelled(json);
                    }
                }
                Part::ServerTool(call) => call.input = spelled(&call.input),
                _ => {}
            }
        }
        response
    }

    #[test]
    fn recorded_answers_are_read_whole_and_streamed_alike() {
        for folder in folders("anthropic_messages") {
            let name = folder.file_name().unwrap().display().to_string();
            let meta = json(&folder.join("meta.json"));
            if folder.join("stream.sse").exists() {
                let stream = std::fs::read_to_string(folder.join("stream.sse")).unwrap();
                let frames = payloads(&stream);
                if frames.iter().any(|frame| frame["type"] == "error") {
                    assert!(matches!(streamed(&frames), Err(Failure::Upstream(_))), "{name}");
                    continue;
                }
                let response = streamed(&frames).unwrap_or_else(|e| panic!("{name}: {e}"));
                let message = whole_of(&frames);
                assert_tells(&response, &message, &name);
                let body = message.to_string();
                let whole = decode_response(body.as_bytes(), &Source::new(Dialect::Anth));
                let mut whole = whole.unwrap_or_else(|e| panic!("{name}: {e}"));
                // Counts of the start are replaced field by field in a stream.
                whole.usage = response.usage;
                assert!(plain(response) == plain(whole), "{name}");
            } else {
                let body = std::fs::read(folder.join("response.json")).unwrap();
                let answer = decode_response(&body, &Source::new(Dialect::Anth));
                if meta["status"].as_u64() == Some(200) {
                    let answer = answer.unwrap_or_else(|e| panic!("{name}: {e}"));
                    assert_tells(&answer, &json(&folder.join("response.json")), &name);
                } else {
                    assert!(matches!(answer, Err(Failure::Upstream(_))), "{name}");
                }
            }
        }
    }

    /// Takes out what the encoder may write another way.
    fn settle(request: &mut Value) {
        request.as_object_mut().unwrap().retain(|key, value| {
            // Absent means the same.
            !(value.is_null() || key == "stream" && *value == Value::Bool(false))
        });
        if let Some(Value::String(system)) = request.get("system").cloned() {
            request["system"] = serde_json::json!([{"type": "text", "text": system}]);
        }
        for tool in request["tools"].as_array_mut().into_iter().flatten() {
            let tool = tool.as_object_mut().unwrap();
            let is_custom = tool.get("type").is_none_or(|kind| kind == "custom");
            if is_custom {
                tool.remove("type");
                tool.entry("description").or_insert_with(|| "".into());
            }
        }
        for message in request["messages"].as_array_mut().unwrap() {
            settle_content(message);
        }
    }

    fn settle_content(holder: &mut Value) {
        if let Some(Value::String(text)) = holder.get("content").cloned() {
            holder["content"] = serde_json::json!([{"type": "text", "text": text}]);
        }
        let Some(blocks) = holder["content"].as_array_mut() else { return };
        for block in blocks {
            let block_type = block["type"].as_str().unwrap_or_default().to_owned();
            if block_type == "tool_result" {
                settle_content(block);
                let block = block.as_object_mut().unwrap();
                block.retain(|key, value| !(key == "is_error" && *value == Value::Bool(false)));
            }
            if matches!(block_type.as_str(), "text" | "document" | "tool_use" | "tool_result") {
                block.as_object_mut().unwrap().retain(|_, value| !value.is_null());
            }
        }
    }

    #[test]
    fn t179_recorded_requests_come_out_as_they_came_in() {
        let mut seen = 0;
        for folder in
            folders("anthropic_messages").into_iter().filter(|f| f.join("request.json").exists())
        {
            let name = folder.file_name().unwrap().display().to_string();
            let mut want = json(&folder.join("request.json"));
            let body = std::fs::read(folder.join("request.json")).unwrap();
            let mut warnings = Warnings::default();
            let request = decode_request(&body, &mut warnings).unwrap();
            let target = Target::new(Dialect::Anth, request.model.clone());
            let encoded = encode_request(&request, &target, &mut warnings).unwrap();
            let mut got: Value = serde_json::from_slice(&encoded.body).unwrap();
            settle(&mut want);
            settle(&mut got);
            assert_eq!(got, want, "{name}");
            assert_eq!(warnings.as_slice(), [], "{name}");
            seen += 1;
        }
        println!("{seen} requests");
    }
}
