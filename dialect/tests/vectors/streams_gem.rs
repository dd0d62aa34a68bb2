//! Streams of Gemini (T148–T151), and citations (T166).

use ninerouter_dialect::Dialect::{Anth, Chat, Gem, Resp};
use ninerouter_dialect::ir::SigFamily;
use ninerouter_dialect::{Framing, StreamEnd};
use serde_json::{Value, json};

use crate::pipeline::{DIALECTS, Source, blocks, data, modest, plan, stream_of, streamed, told};

pub(crate) fn fragment(parts: Value) -> Value {
    json!({"candidates": [{"content": {"role": "model", "parts": parts}, "index": 0}],
        "modelVersion": "m", "responseId": "r1"})
}

pub(crate) fn last_fragment(parts: Value) -> Value {
    let mut last = fragment(parts);
    last["candidates"][0]["finishReason"] = "STOP".into();
    last["usageMetadata"] =
        json!({"promptTokenCount": 5, "candidatesTokenCount": 2, "totalTokenCount": 7});
    last
}

#[test]
fn t148_gemini_for_chat() {
    let events = [
        fragment(json!([{"text": "a"}])),
        fragment(json!([{"text": "b"}])),
        last_fragment(json!([{"text": ""}])),
    ];
    let got = streamed(Gem, &plan(Chat), &events);
    let contents: Vec<&str> = got
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str())
        .filter(|content| !content.is_empty())
        .collect();
    assert_eq!(contents, ["a", "b"]);
    let reasons: Vec<&str> =
        got.iter().filter_map(|chunk| chunk["choices"][0]["finish_reason"].as_str()).collect();
    assert_eq!(reasons, ["stop"]);
    let usage = &got[got.len() - 2];
    assert_eq!((&usage["choices"], &usage["usage"]["total_tokens"]), (&json!([]), &json!(7)));
    assert_eq!(got.last().unwrap(), "[DONE]");
}

#[test]
fn t149_gemini_for_anthropic() {
    let call = json!({"functionCall": {"name": "f", "args": {"x": 1}}, "thoughtSignature": "U0lH"});
    let events = [
        fragment(json!([{"text": "why", "thought": true}])),
        fragment(json!([call])),
        last_fragment(json!([{"text": ""}])),
    ];
    let got = streamed(Gem, &plan(Anth), &events);
    let built = blocks(&got);
    let (last, thoughts) = built.split_last().unwrap();
    assert_eq!(last["name"], "f");
    assert_eq!(last["input"], "{\"x\":1}");
    assert!(thoughts.iter().all(|block| block["type"] == "thinking"), "{thoughts:?}");
    let words: Vec<&str> = thoughts.iter().filter_map(|block| block["thinking"].as_str()).collect();
    assert_eq!(words.concat(), "why");
    let proof: Vec<&str> =
        thoughts.iter().filter_map(|block| block["signature"].as_str()).collect();
    assert_eq!(proof.concat(), "U0lH");
    let ends = got.iter().find(|event| event["type"] == "message_delta").unwrap();
    assert_eq!(ends["delta"]["stop_reason"], "tool_use");

    let got = streamed(Gem, &modest(Anth), &events);
    let built = blocks(&got);
    assert_eq!(built.len(), 1, "{built:?}");
    assert_eq!(built[0]["type"], "tool_use");
    // A chat client carries the signature along with the call.
    let source = Source { family: SigFamily::Gemini, ..Source::new(Gem) };
    let carried = told(&source, &plan(Chat), Framing::Sse, &stream_of(Gem, &events));
    let extra = data(&carried.text).iter().find_map(|chunk| {
        chunk["choices"][0]["delta"]["tool_calls"][0].get("extra_content").cloned()
    });
    assert_eq!(extra.unwrap()["google"]["thought_signature"], "U0lH");
}

#[test]
fn t150_both_framings_of_gemini_tell_the_same() {
    let events = [
        fragment(json!([{"text": "a [{\"}] \\\" b"}])),
        fragment(json!([{"functionCall": {"name": "f", "args": {"x": "]}"}}}])),
        last_fragment(json!([{"text": ""}])),
    ];
    let elements: Vec<String> = events.iter().map(Value::to_string).collect();
    let array = Source { framing: Framing::JsonArray, ..Source::new(Gem) };
    for client in DIALECTS {
        let plan = plan(client);
        let want = told(&Source::new(Gem), &plan, Framing::Sse, &stream_of(Gem, &events));
        assert_eq!(want.end, StreamEnd::Complete);
        for body in [
            format!("[{}\r\n]", elements.join("\r\n,\r\n")),
            format!(" [ {} , ]\n", elements.join(",")),
        ] {
            let got = told(&array, &plan, Framing::Sse, &body);
            assert_eq!((got.text, got.end), (want.text.clone(), want.end), "{client:?}");
        }
    }
}

#[test]
fn t151_arguments_in_pieces() {
    let call = |call: Value| fragment(json!([{"functionCall": call}]));
    let piece = |value: &str, more: bool| {
        json!({"partialArgs": [{"jsonPath": "$.location", "stringValue": value, "willContinue": more}],
            "willContinue": true})
    };
    let events = [
        call(json!({"name": "get_weather", "willContinue": true})),
        call(piece("Bos", true)),
        call(piece("ton", false)),
        call(json!({})),
        last_fragment(json!([{"text": ""}])),
    ];
    let got = blocks(&streamed(Gem, &modest(Anth), &events));
    assert_eq!(got.len(), 1);
    assert_eq!(got[0]["name"], "get_weather");
    let args: Value = serde_json::from_str(got[0]["input"].as_str().unwrap()).unwrap();
    assert_eq!(args, json!({"location": "Boston"}));
}

#[test]
fn t166_citations() {
    let mut last = last_fragment(json!([{"text": ""}]));
    last["candidates"][0]["groundingMetadata"] = json!({
        "groundingChunks": [{"web": {"uri": "https://e.x", "title": "E"}}],
        "groundingSupports": [{"segment": {"startIndex": 3, "endIndex": 4, "text": "x"},
            "groundingChunkIndices": [0]}]});
    let got = streamed(Gem, &modest(Chat), &[fragment(json!([{"text": "é x"}])), last]);
    let cited =
        got.iter().find_map(|chunk| chunk["choices"][0]["delta"].get("annotations")).unwrap();
    assert_eq!(
        cited[0],
        json!({"type": "url_citation", "url_citation": {"url": "https://e.x", "title": "E",
            "start_index": 2, "end_index": 3}})
    );

    let (_, mut head, tail) = crate::streams_cut::answers().remove(2);
    head.push(
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "citations_delta",
        "citation": {"type": "web_search_result_location", "url": "https://e.x", "title": "E",
            "cited_text": "c", "encrypted_index": "i"}}}),
    );
    head.extend(tail);
    let got = streamed(Anth, &modest(Resp), &head);
    let added =
        got.iter().find(|event| event["type"] == "response.output_text.annotation.added").unwrap();
    assert_eq!(
        (&added["annotation"]["type"], &added["annotation"]["url"]),
        (&json!("url_citation"), &json!("https://e.x"))
    );
    assert_eq!((&added["output_index"], &added["annotation_index"]), (&json!(0), &json!(0)));
}
