//! Token counts of each dialect, in the spellings that upstreams send.

use serde_json::json;

use super::*;

fn usage(numbers: [u64; 6]) -> Usage {
    let [input, cached, cache_write_5m, cache_write_1h, output, reasoning] = numbers;
    Usage { input, cached, cache_write_5m, cache_write_1h, output, reasoning, exact: true }
}

#[test]
fn chat_variants_count_alike() {
    for (name, raw, want) in [
        (
            "OpenAI",
            r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,
                "prompt_tokens_details":{"cached_tokens":4},
                "completion_tokens_details":{"reasoning_tokens":2}}"#,
            [10, 4, 0, 0, 5, 2],
        ),
        (
            "xAI",
            r#"{"prompt_tokens":12,"completion_tokens":1,"total_tokens":303,
                "prompt_tokens_details":{"cached_tokens":11},
                "completion_tokens_details":{"reasoning_tokens":290}}"#,
            [12, 11, 0, 0, 291, 290],
        ),
        (
            "DeepSeek",
            r#"{"prompt_tokens":13,"completion_tokens":400,"prompt_cache_hit_tokens":7}"#,
            [13, 7, 0, 0, 400, 0],
        ),
        (
            "Kimi",
            r#"{"prompt_tokens":9,"completion_tokens":1,"cached_tokens":3}"#,
            [9, 3, 0, 0, 1, 0],
        ),
        (
            "OpenRouter",
            r#"{"prompt_tokens":20,"completion_tokens":5,
                "prompt_tokens_details":{"cached_tokens":0,"cache_write_tokens":8}}"#,
            [20, 0, 8, 0, 5, 0],
        ),
        (
            "T122",
            r#"{"prompt_tokens":3,"completion_tokens":1,"cached_tokens":9}"#,
            [3, 3, 0, 0, 1, 0],
        ),
        ("strings", r#"{"prompt_tokens":"7","completion_tokens":2.9}"#, [7, 0, 0, 0, 2, 0]),
    ] {
        assert_eq!(decode_full(Dialect::Chat, raw).unwrap().tokens, usage(want), "{name}");
    }
}

#[test]
fn provider_price_is_read() {
    let cost = |raw| decode_full(Dialect::Chat, raw).unwrap().cost_usd;
    assert_eq!(cost(r#"{"prompt_tokens":1,"cost":0.000837}"#), Some(0.000_837));
    assert_eq!(cost(r#"{"prompt_tokens":1,"cost":{"total_cost":0.5}}"#), Some(0.5));
    assert_eq!(cost(r#"{"prompt_tokens":1,"cost":-1}"#), None);
    assert_eq!(cost(r#"{"prompt_tokens":1,"cost":null}"#), None);
}

#[test]
fn f43_odd_numbers_are_corrected_and_flagged() {
    for (raw, input, exact) in [
        (r#"{"prompt_tokens":-5,"completion_tokens":1}"#, 0, false),
        (r#"{"prompt_tokens":99999999999999999999,"completion_tokens":1}"#, 0, false),
        (r#"{"prompt_tokens":1e400,"completion_tokens":1}"#, 0, true),
        (r#"{"prompt_tokens":1e300,"completion_tokens":1}"#, 0, false),
        (r#"{"prompt_tokens":null,"completion_tokens":1}"#, 0, true),
        (r#"{"prompt_tokens":{},"completion_tokens":1}"#, 0, true),
    ] {
        let got = decode_full(Dialect::Chat, raw).unwrap().tokens;
        assert_eq!((got.input, got.exact), (input, exact), "{raw}");
    }
    assert_eq!(decode_full(Dialect::Chat, r#"{"prompt_tokens":0}"#), None);
    assert_eq!(decode_full(Dialect::Chat, "null"), None);
}

#[test]
fn responses_usage_contains_cache_and_reasoning() {
    let raw = r#"{"input_tokens":10,"input_tokens_details":{"cached_tokens":4,"cache_write_tokens":2},
        "output_tokens":5,"output_tokens_details":{"reasoning_tokens":2},"total_tokens":15}"#;
    assert_eq!(decode_full(Dialect::Resp, raw).unwrap().tokens, usage([10, 4, 2, 0, 5, 2]));
}

#[test]
fn t119_messages_usage_adds_up_the_parts_of_the_prompt() {
    let raw = r#"{"input_tokens":6,"cache_read_input_tokens":4,"cache_creation_input_tokens":2,
        "output_tokens":5}"#;
    assert_eq!(decode_full(Dialect::Anth, raw).unwrap().tokens, usage([12, 4, 2, 0, 5, 0]));
    let raw = r#"{"input_tokens":1,"cache_creation_input_tokens":9,"output_tokens":3,
        "cache_creation":{"ephemeral_5m_input_tokens":4,"ephemeral_1h_input_tokens":5},
        "output_tokens_details":{"thinking_tokens":2}}"#;
    assert_eq!(decode_full(Dialect::Anth, raw).unwrap().tokens, usage([10, 0, 4, 5, 3, 2]));
}

#[test]
fn t157_later_snapshots_of_a_messages_stream_win_unless_they_say_less() {
    let merged = |parts: &[&str]| {
        let mut seen = AnthUsage::default();
        parts.iter().for_each(|raw| seen.merge(raw));
        seen.to_usage()
    };
    for (parts, want) in [
        (
            &[
                r#"{"input_tokens":43,"output_tokens":1}"#,
                r#"{"input_tokens":61,"output_tokens":2}"#,
            ][..],
            [61, 0, 0, 0, 2, 0],
        ),
        (
            &[
                r#"{"input_tokens":61,"output_tokens":1}"#,
                r#"{"input_tokens":43,"output_tokens":2}"#,
            ],
            [61, 0, 0, 0, 2, 0],
        ),
        (
            &[r#"{"input_tokens":17,"output_tokens":1}"#, r#"{"output_tokens":227}"#],
            [17, 0, 0, 0, 227, 0],
        ),
        (
            &[
                r#"{"input_tokens":17,"output_tokens":1}"#,
                r#"{"input_tokens":0,"output_tokens":9}"#,
            ],
            [17, 0, 0, 0, 9, 0],
        ),
        (
            &[r#"{"input_tokens":0,"output_tokens":0}"#, r#"{"input_tokens":5,"output_tokens":9}"#],
            [5, 0, 0, 0, 9, 0],
        ),
        (
            &[
                r#"{"input_tokens":2,"cache_creation_input_tokens":3068,
                    "cache_creation":{"ephemeral_5m_input_tokens":3068,"ephemeral_1h_input_tokens":0}}"#,
                r#"{"input_tokens":6,"cache_creation_input_tokens":3337,
                    "cache_read_input_tokens":6289,"output_tokens":198}"#,
            ],
            [9632, 6289, 3337, 0, 198, 0],
        ),
        (
            &[
                r#"{"input_tokens":9000,"output_tokens":1}"#,
                r#"{"input_tokens":10,"cache_read_input_tokens":8500,
                    "cache_creation_input_tokens":0,"output_tokens":3}"#,
            ],
            [8510, 8500, 0, 0, 3, 0],
        ),
        (
            &[r#"{"input_tokens":4,"output_tokens":1}"#, r#"{"input_tokens":null}"#],
            [4, 0, 0, 0, 1, 0],
        ),
    ] {
        assert_eq!(merged(parts), usage(want), "{parts:?}");
    }
}

#[test]
fn t120_gemini_usage_adds_thoughts_to_the_output() {
    for (raw, want) in [
        (
            r#"{"promptTokenCount":10,"cachedContentTokenCount":4,"candidatesTokenCount":3,
                "thoughtsTokenCount":2,"totalTokenCount":15}"#,
            [10, 4, 0, 0, 5, 2],
        ),
        (
            r#"{"promptTokenCount":15,"candidatesTokenCount":37,"totalTokenCount":1564,
                "toolUsePromptTokenCount":770,"thoughtsTokenCount":742}"#,
            [785, 0, 0, 0, 779, 742],
        ),
        (
            r#"{"promptTokenCount":15,"thoughtsTokenCount":2,"totalTokenCount":17}"#,
            [15, 0, 0, 0, 2, 2],
        ),
        (r#"{"prompt_token_count":5,"total_token_count":9}"#, [5, 0, 0, 0, 4, 0]),
        (r#"{"promptTokenCount":9,"totalTokenCount":3}"#, [9, 0, 0, 0, 0, 0]),
    ] {
        assert_eq!(decode_full(Dialect::Gem, raw).unwrap().tokens, usage(want), "{raw}");
    }
    assert_eq!(decode_full(Dialect::Gem, r#"{"trafficType":"ON_DEMAND"}"#), None);
}

#[test]
fn details_beside_the_billed_counts_are_read() {
    let chat = r#"{"prompt_tokens":10,"completion_tokens":9,
        "prompt_tokens_details":{"audio_tokens":3},
        "completion_tokens_details":{"audio_tokens":4,"accepted_prediction_tokens":2,
            "rejected_prediction_tokens":1}}"#;
    let detail = UsageDetail {
        audio_in: 3,
        audio_out: 4,
        accepted_prediction: 2,
        rejected_prediction: 1,
        ..UsageDetail::default()
    };
    assert_eq!(decode_full(Dialect::Chat, chat).unwrap().detail, detail);
    let anth =
        r#"{"input_tokens":1,"output_tokens":1,"server_tool_use":{"web_search_requests":2}}"#;
    assert_eq!(decode_full(Dialect::Anth, anth).unwrap().detail.web_searches, 2);
    let gem = r#"{"promptTokenCount":9,"toolUsePromptTokenCount":5,"candidatesTokenCount":2,
        "promptTokensDetails":[{"modality":"TEXT","tokenCount":1},{"modality":"AUDIO","tokenCount":8}],
        "candidatesTokensDetails":[{"modality":"IMAGE","tokenCount":2}]}"#;
    let detail = UsageDetail { audio_in: 8, tool_prompt: 5, ..UsageDetail::default() };
    assert_eq!(decode_full(Dialect::Gem, gem).unwrap().detail, detail);
}

/// T119 to T122: what one dialect counted, as another one spells it.
#[test]
fn t119_counts_are_spelled_in_each_dialect() {
    let spelled = |from, raw: &str, to| {
        let usage = decode_full(from, raw).unwrap();
        serde_json::to_value(encode(to, &usage)).unwrap()
    };
    let anth = r#"{"input_tokens":6,"cache_read_input_tokens":4,"cache_creation_input_tokens":2,
        "output_tokens":5}"#;
    let chat = json!({"prompt_tokens":12,"completion_tokens":5,"total_tokens":17,
        "prompt_tokens_details":{"cached_tokens":4,"cache_write_tokens":2},
        "completion_tokens_details":{"reasoning_tokens":0}});
    assert_eq!(spelled(Dialect::Anth, anth, Dialect::Chat), chat);
    let back = json!({"input_tokens":6,"cache_creation_input_tokens":2,
        "cache_read_input_tokens":4,"output_tokens":5});
    assert_eq!(spelled(Dialect::Chat, &chat.to_string(), Dialect::Anth), back);

    let gem = r#"{"promptTokenCount":10,"cachedContentTokenCount":4,"candidatesTokenCount":3,
        "thoughtsTokenCount":2,"totalTokenCount":15}"#;
    let anth = json!({"input_tokens":6,"cache_creation_input_tokens":0,
        "cache_read_input_tokens":4,"output_tokens":5});
    assert_eq!(spelled(Dialect::Gem, gem, Dialect::Anth), anth, "T120");
    let chat = spelled(Dialect::Gem, gem, Dialect::Chat);
    assert_eq!(chat["completion_tokens_details"]["reasoning_tokens"], 2, "T120");

    let bare = r#"{"prompt_tokens":3,"completion_tokens":1}"#;
    let resp = json!({"input_tokens":3,"input_tokens_details":{"cached_tokens":0},
        "output_tokens":1,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":4});
    assert_eq!(spelled(Dialect::Chat, bare, Dialect::Resp), resp, "T121");

    let absurd = r#"{"prompt_tokens":3,"completion_tokens":1,"cached_tokens":9}"#;
    assert_eq!(spelled(Dialect::Chat, absurd, Dialect::Anth)["input_tokens"], 0, "T122");

    let hour = r#"{"input_tokens":1,"cache_creation_input_tokens":9,"output_tokens":3,
        "cache_creation":{"ephemeral_5m_input_tokens":4,"ephemeral_1h_input_tokens":5}}"#;
    let split = json!({"ephemeral_5m_input_tokens":4,"ephemeral_1h_input_tokens":5});
    assert_eq!(spelled(Dialect::Anth, hour, Dialect::Anth)["cache_creation"], split);
    let tools = r#"{"promptTokenCount":15,"candidatesTokenCount":37,"totalTokenCount":1564,
        "toolUsePromptTokenCount":770,"thoughtsTokenCount":742}"#;
    let same: serde_json::Value = serde_json::from_str(tools).unwrap();
    assert_eq!(spelled(Dialect::Gem, tools, Dialect::Gem), same);
}
