//! Streams that break, begin twice or hold noise, of all dialects (T154–T158).

use ninerouter_dialect::Dialect::{Anth, Chat, Gem, Resp};
use ninerouter_dialect::{Framing, StreamEnd};
use serde_json::{Value, json};

use crate::pipeline::{
    DIALECTS, Source, chat_text, data, modest, plan, sse, stream_of, streamed, text, told,
};
use crate::streams_chat::{chunk, finish};
use crate::streams_gem::{fragment, last_fragment};
use crate::streams_resp::{completed, created, delta, item, message, opened};

/// The beginning of an answer in each dialect, and its whole.
pub(crate) fn answers() -> Vec<(ninerouter_dialect::Dialect, Vec<Value>, Vec<Value>)> {
    let start = json!({"type": "message_start", "message": {"id": "msg_1", "type": "message",
        "role": "assistant", "model": "m", "content": [], "usage": {"input_tokens": 3, "output_tokens": 1}}});
    let open = json!({"type": "content_block_start", "index": 0, "content_block": text("")});
    let said = json!({"type": "content_block_delta", "index": 0,
        "delta": {"type": "text_delta", "text": "a"}});
    vec![
        (Chat, vec![chunk(json!({"content": "a"}))], vec![finish("stop")]),
        (
            Resp,
            vec![created(), opened("m1"), delta("m1", "a")],
            vec![item(0, "done", message("m1", "a")), completed(json!([message("m1", "a")]))],
        ),
        (
            Anth,
            vec![start, open, said],
            vec![
                json!({"type": "content_block_stop", "index": 0}),
                json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"},
                    "usage": {"output_tokens": 2}}),
                json!({"type": "message_stop"}),
            ],
        ),
        (Gem, vec![fragment(json!([{"text": "a"}]))], vec![last_fragment(json!([{"text": ""}]))]),
    ]
}

#[test]
fn t154_a_cut_stream_never_looks_whole() {
    for (upstream, head, tail) in answers() {
        let begun: String = head.iter().map(|data| sse(upstream, data)).collect();
        let ended: String = tail.iter().map(|data| sse(upstream, data)).collect();
        for client in DIALECTS {
            let source = Source::new(upstream);
            // The end is said, but no mark follows: good enough.
            let whole = told(&source, &plan(client), Framing::Sse, &format!("{begun}{ended}"));
            assert_eq!(whole.end, StreamEnd::Complete, "{upstream:?}");
            for cut in [begun.clone(), format!("{begun}data: {{\"id\"")] {
                let mut told = told(&source, &plan(client), Framing::Sse, &cut);
                assert_eq!(told.end, StreamEnd::Truncated, "{upstream:?}");
                let failure = told.translator.failure().unwrap().clone();
                let error = ninerouter_dialect::translate::failure_for_client(&failure, "req_1");
                let mut out = Vec::new();
                told.translator.fail(&error, &mut out);
                let all = format!("{}{}", told.text, String::from_utf8(out.concat()).unwrap());
                let events = data(&all);
                let last = events.last().unwrap();
                match client {
                    Chat => assert!(last["error"]["message"].is_string(), "{all}"),
                    Resp => {
                        assert_eq!(last["type"], "response.failed");
                        assert_eq!(last["response"]["status"], "failed");
                        let before = &events[events.len() - 2];
                        assert_eq!(before["type"], "error");
                        assert!(
                            before["message"].is_string() && before["sequence_number"].is_u64()
                        );
                    }
                    Anth => assert_eq!(
                        (&last["type"], &last["error"]["type"]),
                        (&json!("error"), &json!("api_error"))
                    ),
                    Gem => assert_eq!(last["error"]["status"], "UNAVAILABLE"),
                }
                for fake in [
                    "[DONE]",
                    "message_stop",
                    "\"finish_reason\":\"",
                    "finishReason",
                    "response.completed",
                ] {
                    assert!(!all.contains(fake), "{client:?}: {fake} in {all}");
                }
            }
        }
    }
}

#[test]
fn t155_an_error_before_and_after_the_first_word() {
    let error = json!({"error": {"message": "slow down", "type": "rate_limit_error", "code": "rate_limit_exceeded"}});
    for (upstream, head, _) in answers() {
        let failure = match upstream {
            Anth => {
                json!({"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}})
            }
            Resp => json!({"type": "error", "code": "rate_limit_exceeded", "message": "slow down"}),
            Gem => {
                json!({"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}})
            }
            Chat => error.clone(),
        };
        let failure = sse(upstream, &failure);
        let begun: String = head.iter().map(|data| sse(upstream, data)).collect();
        for client in DIALECTS {
            let source = Source::new(upstream);
            let first = told(&source, &plan(client), Framing::Sse, &failure);
            assert_eq!((first.end, &*first.text), (StreamEnd::Failed, ""), "{upstream:?}");
            assert!(!first.translator.content_seen());
            let seen = first.translator.failure().unwrap();
            let told_error = ninerouter_dialect::translate::failure_for_client(seen, "req_1");
            let status =
                ninerouter_dialect::error_status(ninerouter_dialect::ErrorShape::Chat, &told_error);
            assert_eq!(status, 429, "{upstream:?}");
            let later = told(&source, &plan(client), Framing::Sse, &format!("{begun}{failure}"));
            assert_eq!(later.end, StreamEnd::Failed);
            assert!(later.translator.content_seen() && later.text.contains("\"a\""));
        }
    }
}

#[test]
fn t156_t157_starts_and_counts_of_anthropic() {
    let (_, head, tail) = answers().remove(2);
    let start = |id: &str, input: u8| {
        json!({"type": "message_start", "message": {"id": id, "type": "message", "role": "assistant",
            "model": "m", "content": [], "usage": {"input_tokens": input, "output_tokens": 1}}})
    };
    let all = |second: Value| -> Vec<Value> {
        let (first, rest) = head.split_first().unwrap();
        let mut events = vec![first.clone()];
        events.extend(rest.iter().cloned());
        events.push(second);
        events.extend(tail.iter().cloned());
        events
    };
    assert_eq!(chat_text(&streamed(Anth, &modest(Chat), &all(start("msg_1", 3)))), "a");
    let spliced = stream_of(Anth, &all(start("msg_2", 3)));
    let told = told(&Source::new(Anth), &modest(Chat), Framing::Sse, &spliced);
    assert_eq!(told.end, StreamEnd::Failed);

    for (at_start, at_end, want) in [(43, None, 43), (43, Some(61), 61), (61, Some(43), 61)] {
        let mut usage = json!({"output_tokens": 2});
        if let Some(input) = at_end {
            usage["input_tokens"] = json!(input);
        }
        let events = [
            start("msg_1", at_start),
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage}),
            json!({"type": "message_stop"}),
        ];
        let got = streamed(Anth, &plan(Chat), &events);
        let usage = got.iter().find_map(|chunk| chunk.get("usage")).unwrap();
        assert_eq!(usage["prompt_tokens"], want);
    }
}

#[test]
fn t158_noise_is_passed_over() {
    for (upstream, head, tail) in answers() {
        let begun: String = head.iter().map(|data| sse(upstream, data)).collect();
        let ended = stream_of(upstream, &tail);
        let noise = "data: null\n\nevent: odd\ndata: {\"type\":\"never.heard.of\"}\n\ndata:\n\n";
        let stream = format!("{begun}{noise}{ended}data: {{\"late\":1}}\n\nnonsense\n\n");
        let clean = format!("{begun}{ended}");
        for client in DIALECTS {
            let source = Source::new(upstream);
            let want = told(&source, &plan(client), Framing::Sse, &clean);
            let got = told(&source, &plan(client), Framing::Sse, &stream);
            assert_eq!((got.text, got.end), (want.text, StreamEnd::Complete), "{upstream:?}");
        }
    }
}
