//! Requests: instructions and turns (T016–T033).

use ninerouter_dialect::Dialect::{Anth, Chat, Gem, Resp};
use ninerouter_dialect::profile::Profile;
use ninerouter_dialect::translate::Target;
use serde_json::json;

use crate::pipeline::{call, model, plain, refused, sent, text, turns};

const NOTE: &str = "<system-reminder>\nN\n</system-reminder>";

#[test]
fn t016_leading_instructions_are_the_system_prompt_in_order() {
    let body = turns(
        Chat,
        json!([
            {"role": "system", "content": "A"}, {"role": "developer", "content": "B"},
            {"role": "user", "content": "hi"},
        ]),
    );
    let got = sent(Chat, &plain(Anth), &body);
    assert_eq!(got["system"], json!([text("A"), text("B")]));
    assert_eq!(got["messages"], json!([{"role": "user", "content": [text("hi")]}]));
}

#[test]
fn t017_a_later_instruction_stays_in_its_place() {
    let body = turns(
        Chat,
        json!([
            {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"},
            {"role": "system", "content": "N"}, {"role": "user", "content": "x"},
        ]),
    );
    let got = sent(Chat, &plain(Anth), &body);
    let third = json!({"role": "user", "content": [text(NOTE), text("x")]});
    assert_eq!(got["messages"][2], third);
    assert_eq!(got["messages"].as_array().unwrap().len(), 3);
    assert!(got.get("system").is_none(), "{got}");
    // The same for targets whose profile takes such a message, and for Responses.
    let mut target = plain(Chat);
    let user = json!({"role": "user", "content": NOTE});
    assert_eq!(sent(Chat, &target, &body)["messages"][2], user);
    target.profile.mid_system_ok = true;
    let system = json!({"role": "system", "content": "N"});
    assert_eq!(sent(Chat, &target, &body)["messages"][2], system);
    let got = sent(Chat, &plain(Resp), &body);
    let item = json!({"type": "message", "role": "developer",
        "content": [{"type": "input_text", "text": "N"}]});
    assert_eq!(got["input"][2], item);
}

#[test]
fn t018_t019_system_prompts_of_other_targets() {
    let mut body = turns(Anth, json!([{"role": "user", "content": "q"}]));
    body["system"] = json!([text("A"), text("B")]);
    let got = sent(Anth, &plain(Chat), &body);
    assert_eq!(
        got["messages"],
        json!([{"role": "system", "content": "A\n\nB"}, {"role": "user", "content": "q"}])
    );
    let got = sent(Anth, &model(Chat, "gpt-5"), &body);
    assert_eq!(got["messages"][0], json!({"role": "developer", "content": "A\n\nB"}));
    assert_eq!(sent(Anth, &plain(Resp), &body)["instructions"], "A\n\nB");

    let body =
        turns(Chat, json!([{"role": "system", "content": "S"}, {"role": "user", "content": "q"}]));
    let got = sent(Chat, &plain(Gem), &body);
    assert_eq!(got["systemInstruction"], json!({"parts": [{"text": "S"}]}));
    assert_eq!(got["contents"], json!([{"role": "user", "parts": [{"text": "q"}]}]));
}

#[test]
fn t020_instructions_alone_become_the_first_message() {
    let body = turns(Chat, json!([{"role": "system", "content": "S"}]));
    let got = sent(Chat, &plain(Anth), &body);
    assert_eq!(got["messages"], json!([{"role": "user", "content": [text("S")]}]));
    assert!(got.get("system").is_none());
    let got = sent(Chat, &plain(Gem), &body);
    assert_eq!(got["contents"], json!([{"role": "user", "parts": [{"text": "S"}]}]));
    let got = sent(Chat, &plain(Resp), &body);
    assert_eq!(got["input"][0]["content"], json!([{"type": "input_text", "text": "S"}]));
}

#[test]
fn t021_t022_messages_of_one_side_are_joined_where_the_target_wants_it() {
    let two = json!([{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]);
    let got = sent(Chat, &plain(Anth), &turns(Chat, two.clone()));
    assert_eq!(got["messages"], json!([{"role": "user", "content": [text("a"), text("b")]}]));
    let got = sent(Chat, &plain(Gem), &turns(Chat, two.clone()));
    assert_eq!(got["contents"], json!([{"role": "user", "parts": [{"text": "a"}, {"text": "b"}]}]));
    assert_eq!(sent(Anth, &plain(Chat), &turns(Anth, two.clone()))["messages"], two);
}

#[test]
fn t023_t024_empty_messages_go() {
    let said = |role: &str, text: &str| json!({"role": role, "content": text});
    let body = turns(
        Chat,
        json!([
            said("user", "q"),
            said("assistant", "a"),
            said("user", ""),
            said("assistant", "b"),
            said("user", "r")
        ]),
    );
    let got = sent(Chat, &plain(Anth), &body);
    assert_eq!(
        got["messages"],
        json!([
            {"role": "user", "content": [text("q")]},
            {"role": "assistant", "content": [text("a"), text("b")]},
            {"role": "user", "content": [text("r")]},
        ])
    );
    let body = turns(Chat, json!([said("user", "  \n"), said("user", "q")]));
    let got = sent(Chat, &plain(Anth), &body);
    assert_eq!(got["messages"], json!([{"role": "user", "content": [text("q")]}]));
    let message = refused(Chat, &plain(Anth), &turns(Chat, json!([said("user", "  \n")])));
    assert!(message.contains("at least one message"), "{message}");
}

#[test]
fn t025_t026_an_unfinished_answer_is_never_lost() {
    let body = turns(
        Chat,
        json!([{"role": "user", "content": "q"}, {"role": "assistant", "content": "Sure: "}]),
    );
    let mut target = plain(Anth);
    target.caps.prefill = Some(true);
    let got = sent(Chat, &target, &body);
    assert_eq!(got["messages"][1], json!({"role": "assistant", "content": [text("Sure:")]}));
    assert_eq!(got["messages"].as_array().unwrap().len(), 2);
    target.caps.prefill = Some(false);
    let messages = &sent(Chat, &target, &body)["messages"];
    assert_eq!(messages[1], json!({"role": "assistant", "content": [text("Sure: ")]}));
    assert_eq!(messages[2], json!({"role": "user", "content": [text("Continue.")]}));
    let contents = &sent(Chat, &plain(Gem), &body)["contents"];
    assert_eq!(contents[2], json!({"role": "user", "parts": [{"text": "Continue."}]}));
}

#[test]
fn t027_a_conversation_begins_with_the_user() {
    let body = turns(
        Chat,
        json!([{"role": "assistant", "content": "a"}, {"role": "user", "content": "q"}]),
    );
    let contents = &sent(Chat, &plain(Gem), &body)["contents"];
    assert_eq!(contents[0], json!({"role": "user", "parts": [{"text": "…"}]}));
    assert_eq!(contents[1]["role"], "model");
}

#[test]
fn t028_t029_short_forms_of_responses() {
    let body = json!({"model": "m", "input": "hi", "instructions": "I"});
    assert_eq!(
        sent(Resp, &plain(Chat), &body)["messages"],
        json!([{"role": "system", "content": "I"}, {"role": "user", "content": "hi"}])
    );
    let body = turns(Resp, json!([{"role": "user", "content": "q"}]));
    assert_eq!(
        sent(Resp, &plain(Chat), &body)["messages"],
        json!([{"role": "user", "content": "q"}])
    );
}

#[test]
fn t030_items_of_one_answer_are_one_message() {
    let call_item =
        |id: &str| json!({"type": "function_call", "call_id": id, "name": "f", "arguments": "{}"});
    let output = |id: &str| json!({"type": "function_call_output", "call_id": id, "output": "o"});
    let body = turns(
        Resp,
        json!([
            {"role": "user", "content": "q"},
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "why"}]},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a"}]},
            call_item("c1"), call_item("c2"), output("c1"), output("c2"),
        ]),
    );
    let message = |reasoning: Option<&str>| {
        let mut message = json!({"role": "assistant", "content": "a",
            "tool_calls": [call("c1", "f", "{}"), call("c2", "f", "{}")]});
        if let Some(reasoning) = reasoning {
            message["reasoning_content"] = reasoning.into();
        }
        message
    };
    let messages = &sent(Resp, &plain(Chat), &body)["messages"];
    assert_eq!(messages[1], message(None));
    assert_eq!(messages.as_array().unwrap().len(), 4);
    let profile = Profile { reasoning_history: true, ..Profile::default() };
    let target = Target { profile, ..plain(Chat) };
    assert_eq!(sent(Resp, &target, &body)["messages"][1], message(Some("why")));
}

#[test]
fn t031_t032_loose_forms_of_gemini() {
    let contents = json!([{"parts": [{"text": "q"}]}]);
    for system in [
        json!({"systemInstruction": "S"}),
        json!({"system_instruction": {"parts": [{"text": "S"}]}}),
        json!({"systemInstruction": {"role": "user", "parts": [{"text": "S"}]}}),
    ] {
        let mut body = system;
        body["contents"] = contents.clone();
        let got = sent(Gem, &plain(Anth), &body);
        assert_eq!(got["system"], json!([text("S")]));
        assert_eq!(
            sent(Gem, &plain(Chat), &body)["messages"],
            json!([{"role": "system", "content": "S"}, {"role": "user", "content": "q"}])
        );
    }
}

#[test]
fn t033_a_note_comes_after_results() {
    let body = turns(
        Anth,
        json!([
            {"role": "user", "content": "q"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]},
            {"role": "system", "content": "N"},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "o"}]},
        ]),
    );
    let contents = &sent(Anth, &plain(Gem), &body)["contents"];
    assert_eq!(
        contents[2],
        json!({"role": "user", "parts": [
            {"functionResponse": {"id": "a", "name": "f", "response": {"result": "o"}}},
            {"text": NOTE},
        ]})
    );
    assert_eq!(contents.as_array().unwrap().len(), 3);
}
