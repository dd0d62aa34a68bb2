//! Chunks of all vendors, frame by frame.

use serde_json::{Value, json};

use super::*;
use crate::ir::{
    CitationSpan, EventOrder, MediaSource, Part, PartKind, Response, Signature, ToolInput,
};
use crate::profile::Profile;
use crate::translate::Fold;

fn source(profile: Profile) -> Source {
    Source { profile, ..Source::new(Dialect::Chat) }
}

/// The events of chunks and, with `done`, of the mark at the end; their order is checked.
fn events_of(source: &Source, chunks: &[Value], done: bool) -> Vec<Event> {
    let mut decoder = StreamDecoder::new(source);
    let mut out = Vec::new();
    for chunk in chunks {
        decoder.frame(chunk.to_string().as_bytes(), None, &mut out).unwrap();
    }
    if done {
        decoder.frame(b"[DONE]", None, &mut out).unwrap();
        let late = json!({"choices":[{"index":0,"delta":{"content":"late"}}]}).to_string();
        decoder.frame(late.as_bytes(), None, &mut out).unwrap();
    }
    decoder.finish(&mut out);
    let mut order = EventOrder::default();
    for event in &out {
        order.check(event).unwrap_or_else(|e| panic!("{e}: {event:?} in {out:#?}"));
    }
    assert!(order.is_ended());
    out
}

fn events(chunks: &[Value]) -> Vec<Event> {
    events_of(&source(Profile::default()), chunks, true)
}

fn fold(events: Vec<Event>) -> Result<Response, Failure> {
    let mut fold = Fold::default();
    events.into_iter().for_each(|event| fold.push(event));
    fold.finish()
}

fn answer(chunks: &[Value]) -> Response {
    fold(events(chunks)).unwrap()
}

fn parts(chunks: &[Value]) -> Vec<Part> {
    answer(chunks).choices.remove(0).parts
}

fn delta(delta: Value) -> Value {
    json!({"id":"c1","model":"m","created":7,"choices":[{"index":0,"delta":delta,"finish_reason":null}]})
}

fn finish(word: &str) -> Value {
    json!({"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":word}]})
}

/// A fragment of a call.
fn call(index: Value, id: Value, name: Value, arguments: Value) -> Value {
    let function = json!({"name":name,"arguments":arguments});
    delta(json!({"tool_calls":[{"index":index,"id":id,"type":"function","function":function}]}))
}

/// The calls of an answer: name, arguments, id.
fn calls(chunks: &[Value]) -> Vec<(String, String, String)> {
    let call = |part| match part {
        Part::ToolUse(call) => {
            let input = match call.input {
                ToolInput::Json(json) => json.get().to_owned(),
                ToolInput::Text(text) => text.to_string(),
            };
            Some((call.name.to_string(), input, call.id.to_string()))
        }
        _ => None,
    };
    parts(chunks).into_iter().filter_map(call).collect()
}

fn owned(calls: &[(&str, &str, &str)]) -> Vec<(String, String, String)> {
    calls.iter().map(|(a, b, c)| ((*a).into(), (*b).into(), (*c).into())).collect()
}

#[test]
fn t133_usage_may_come_after_the_finish_reason() {
    let usage = json!({"id":"c1","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}});
    let got = answer(&[
        delta(json!({"role":"assistant","content":""})),
        delta(json!({"content":"Hel"})),
        delta(json!({"content":"lo"})),
        finish("stop"),
        usage,
    ]);
    assert_eq!((&*got.id, &*got.model, got.created), ("c1", "m", Some(7)));
    assert_eq!(got.choices[0].parts, [Part::text("Hello")]);
    assert_eq!(got.choices[0].finish, Finish::Stop);
    assert_eq!(got.usage.unwrap().tokens.total(), 5);
}

#[test]
fn t134_parallel_calls_come_one_after_the_other() {
    let want = owned(&[("f", "{\"a\":1}", "x"), ("g", "{\"b\":2}", "y")]);
    let none = Value::Null;
    let (a, b) = (json!(0), json!(1));
    let sequential = [
        call(a.clone(), json!("x"), json!("f"), json!("")),
        call(a.clone(), none.clone(), none.clone(), json!("{\"a\":1}")),
        call(b.clone(), json!("y"), json!("g"), json!("{\"b\":2}")),
        finish("tool_calls"),
    ];
    assert_eq!(calls(&sequential), want);
    let interleaved = [
        call(a.clone(), json!("x"), json!("f"), json!("{\"a\"")),
        call(b.clone(), json!("y"), json!("g"), json!("{\"b\"")),
        call(a, none.clone(), none.clone(), json!(":1}")),
        call(b, none.clone(), none, json!(":2}")),
        finish("stop"),
    ];
    assert_eq!(calls(&interleaved), want);
    assert_eq!(answer(&interleaved).choices[0].finish, Finish::ToolUse, "T116");
}

#[test]
fn a_call_that_is_whole_does_not_hold_up_the_next_one() {
    let mut decoder = StreamDecoder::new(&source(Profile::default()));
    let mut out = Vec::new();
    for chunk in [
        call(json!(0), json!("x"), json!("f"), json!("{}")),
        call(json!(1), json!("y"), json!("g"), json!("{\"b")),
    ] {
        decoder.frame(chunk.to_string().as_bytes(), None, &mut out).unwrap();
    }
    assert!(matches!(out.last(), Some(Event::ToolInput { part: 1, .. })), "{out:?}");
}

#[test]
fn t135_a_call_begins_once_its_name_is_known() {
    let got = calls(&[
        call(json!(0), json!("x"), json!(""), json!("{\"a\"")),
        call(json!(0), Value::Null, json!("f"), json!(":1")),
        call(json!(0), json!("x"), json!("f"), json!("}")),
        call(json!(1), json!("never"), json!(""), json!("{}")),
        finish("tool_calls"),
    ]);
    assert_eq!(got, owned(&[("f", "{\"a\":1}", "x")]));
}

#[test]
fn t136_calls_are_told_apart_by_id_where_the_index_lies() {
    for (first, second) in [(json!("x"), json!("y")), (Value::Null, Value::Null)] {
        for index in [json!(0), Value::Null] {
            let got = calls(&[
                call(index.clone(), first.clone(), json!("f"), json!("{\"a\":1}")),
                call(index.clone(), second.clone(), json!("f"), json!("{\"a\":2}")),
                finish("tool_calls"),
            ]);
            assert_eq!(got.len(), 2, "{index} {first}");
            assert_ne!(got[0].2, got[1].2, "{index} {first}");
            assert_eq!((&*got[0].1, &*got[1].1), ("{\"a\":1}", "{\"a\":2}"), "{index} {first}");
        }
    }
    let got = calls(&[
        call(json!(1), json!(""), json!("f"), json!("{")),
        call(json!(1), json!(""), Value::Null, json!("}")),
        finish("tool_calls"),
    ]);
    assert_eq!(got.len(), 1);
    assert!(got[0].2.starts_with("call_") && got[0].2.len() == 29, "{}", got[0].2);
}

#[test]
fn t137_arguments_come_in_many_forms() {
    for (arguments, want) in [
        (json!({"a": 1}), "{\"a\":1}"),
        (Value::Null, "{}"),
        (json!(""), "{}"),
        (json!("{bad"), "{bad"),
    ] {
        let got = calls(&[
            call(json!(0), json!("x"), json!("f"), arguments.clone()),
            finish("tool_calls"),
        ]);
        assert_eq!(got, owned(&[("f", want, "x")]), "{arguments}");
    }
    let function = delta(json!({"function_call":{"name":"f","arguments":"{\"a\""}}));
    let more = delta(json!({"function_call":{"arguments":":1}"}}));
    let got = calls(&[function, more, finish("function_call")]);
    assert_eq!((&*got[0].0, &*got[0].1), ("f", "{\"a\":1}"));
}

#[test]
fn t138_reasoning_comes_in_many_fields_and_is_said_once() {
    let thinking = PartKind::Thinking { summary: false, item_id: None };
    for said in [
        json!({"reasoning_content":"Plan.","content":""}),
        json!({"reasoning":"Plan."}),
        json!({"reasoning":"Plan.","reasoning_content":"Plan.",
               "reasoning_details":[{"type":"reasoning.text","text":"Plan."}]}),
        json!({"reasoning_details":[{"type":"reasoning.summary","summary":"Plan."}]}),
        json!({"content":[{"type":"thinking","thinking":[{"type":"text","text":"Plan."}]}]}),
    ] {
        let got = events(&[delta(said.clone()), delta(json!({"content":"Hi"})), finish("stop")]);
        let kinds: Vec<_> = got
            .iter()
            .filter_map(|event| match event {
                Event::PartStart { part, kind, .. } => Some((*part, kind.clone())),
                _ => None,
            })
            .collect();
        assert_eq!(kinds, [(0, thinking.clone()), (1, PartKind::Text { phase: None })], "{said}");
        assert!(got.contains(&Event::Thinking { part: 0, text: "Plan.".into() }), "{said}");
    }
}

#[test]
fn sealed_reasoning_keeps_its_maker() {
    let seal = |family, value: &str| Signature { family, value: Str::from(value) };
    let signed = json!({"reasoning_details":[
        {"type":"reasoning.text","text":"Plan.","signature":"S","format":"anthropic-claude-v1"}]});
    let sealed = json!({"reasoning_details":[
        {"type":"reasoning.encrypted","data":"D","format":"openai-responses-v1"}]});
    let got = parts(&[delta(sealed), delta(signed), delta(json!({"content":"x"})), finish("stop")]);
    let Part::Redacted { seal: redacted, .. } = &got[0] else { panic!("{got:?}") };
    assert_eq!(*redacted, seal(SigFamily::OpenAi, "D"));
    let Part::Thinking(thinking) = &got[1] else { panic!("{got:?}") };
    assert_eq!(thinking.signature, Some(seal(SigFamily::Claude, "S")));

    let google = json!({"google":{"thought_signature":"G"}});
    let got = parts(&[
        delta(json!({"tool_calls":[{"index":0,"id":"x","extra_content":google,
            "function":{"name":"f","arguments":"{}"}}]})),
        finish("stop"),
    ]);
    let Part::ToolUse(call) = &got[0] else { panic!("{got:?}") };
    assert_eq!(call.signature, Some(seal(SigFamily::Gemini, "G")));
}

#[test]
fn t154_an_end_without_a_mark_is_judged_by_what_came() {
    let lenient = Profile { eof_is_end: true, ..Profile::default() };
    let said = delta(json!({"content":"a"}));
    for (chunks, profile, done, whole) in [
        (vec![said.clone(), finish("stop")], Profile::default(), false, true),
        (vec![said.clone()], Profile::default(), false, false),
        (vec![said.clone()], Profile::default(), true, true),
        (vec![said], lenient.clone(), false, true),
        (vec![delta(json!({"content":""}))], lenient, false, false),
        (vec![delta(json!({"content":""}))], Profile::default(), true, false),
        (Vec::new(), Profile::default(), true, false),
        (vec![finish("stop")], Profile::default(), true, true),
    ] {
        let got = fold(events_of(&source(profile), &chunks, done));
        assert_eq!(got.is_ok(), whole, "{chunks:?} {done}");
        if !whole {
            assert_eq!(got, Err(Failure::Truncated), "{chunks:?}");
        }
    }
}

#[test]
fn t155_errors_end_the_answer() {
    for error in [
        json!({"error":{"message":"busy","type":"server_error","code":503}}),
        json!({"error":"busy"}),
        json!({"object":"error","message":"busy"}),
        json!({"detail":"busy"}),
        json!({"choices":[{"index":0,"error":{"message":"busy"},"delta":{}}]}),
        json!({"choices":[{"index":0,"delta":{},"finish_reason":"error"}]}),
    ] {
        for before in [vec![], vec![delta(json!({"content":"a"}))]] {
            let mut chunks = before;
            chunks.push(error.clone());
            let got = fold(events(&chunks));
            assert!(matches!(got, Err(Failure::Upstream(_))), "{error}: {got:?}");
        }
    }
    let mut decoder = StreamDecoder::new(&source(Profile::default()));
    assert_eq!(decoder.frame(b"<html>", None, &mut Vec::new()), Err(BadFrame));
}

#[test]
fn t124_copilots_choices_are_one_turn() {
    let copilot = Source { envelope: Envelope::Copilot, ..Source::new(Dialect::Chat) };
    let chunks = [
        json!({"id":"c1","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}),
        json!({"id":"c1","choices":[{"index":1,"finish_reason":"tool_calls","delta":{"tool_calls":[
            {"index":0,"id":"x","function":{"name":"f","arguments":"{}"}}]}}]}),
    ];
    let got = fold(events_of(&copilot, &chunks, true)).unwrap();
    assert_eq!(got.choices.len(), 1);
    assert_eq!((got.choices[0].parts.len(), &got.choices[0].finish), (2, &Finish::ToolUse));
}

#[test]
fn t159_choices_are_kept_apart() {
    let of = |index: u32, text: &str| json!({"id":"c1","choices":[{"index":index,"delta":{"content":text}}]});
    let end = json!({"choices":[{"index":1,"delta":{},"finish_reason":"length"},
        {"index":0,"delta":{},"finish_reason":"stop"}]});
    let got = answer(&[of(0, "a"), of(1, "b"), of(0, "c"), of(1, "d"), end]);
    let texts: Vec<_> = got.choices.iter().map(|choice| choice.parts.clone()).collect();
    assert_eq!(texts, [vec![Part::text("ac")], vec![Part::text("bd")]]);
    assert_eq!(got.choices[1].finish, Finish::Length);
}

#[test]
fn t165_what_a_filter_says_of_the_prompt_is_no_content() {
    let azure = json!({"id":"","model":"","created":0,"choices":[],
        "prompt_filter_results":[{"prompt_index":0}]});
    let got = events(&[azure, delta(json!({"content":"a"})), finish("stop")]);
    assert!(matches!(&got[0], Event::Start { id, .. } if *id == "c1"), "{got:?}");
    assert!(matches!(got[1], Event::PartStart { part: 0, .. }), "{got:?}");
}

#[test]
fn t167_think_tags_count_only_where_the_profile_says_so() {
    let chunks = ["<thi", "nk>a</th", "ink>b"].map(|content| delta(json!({ "content": content })));
    let said = |profile| {
        let mut all = chunks.to_vec();
        all.push(finish("stop"));
        fold(events_of(&source(profile), &all, true)).unwrap().choices.remove(0).parts
    };
    let tagged = said(Profile { think_tags: true, ..Profile::default() });
    let Part::Thinking(thinking) = &tagged[0] else { panic!("{tagged:?}") };
    assert_eq!((&*thinking.text, &tagged[1..]), ("a", &[Part::text("b")][..]));
    assert_eq!(said(Profile::default()), [Part::text("<think>a</think>b")]);
}

#[test]
fn citations_hang_on_the_text_wherever_they_come() {
    let note = json!({"type":"url_citation",
        "url_citation":{"url":"https://e.x","title":"T","start_index":0,"end_index":2}});
    let text = delta(json!({"content":"Hi"}));
    for chunks in [
        vec![text.clone(), delta(json!({"annotations":[note]}))],
        vec![delta(json!({"annotations":[note]})), text.clone()],
        vec![delta(json!({"content":"Hi","annotations":[note]}))],
    ] {
        let mut chunks = chunks;
        chunks.push(finish("stop"));
        let got = parts(&chunks);
        let Part::Text(text) = &got[0] else { panic!("{got:?}") };
        assert_eq!(text.citations[0].url.as_deref(), Some("https://e.x"));
        assert_eq!(text.citations[0].span, Some(CitationSpan { start: 0, end: 2 }));
    }
    let mut perplexity = finish("stop");
    perplexity["citations"] = json!(["https://a.x"]);
    perplexity["search_results"] = json!([{"title":"A","url":"https://a.x"}]);
    let got = parts(&[text, perplexity]);
    let Part::Text(text) = &got[0] else { panic!("{got:?}") };
    assert_eq!(text.citations[0].title.as_deref(), Some("A"));
}

#[test]
fn sound_images_refusals_and_probabilities_are_read() {
    let url = json!({"image_url":{"url":"data:image/png;base64,iVBORw=="}});
    let mut probable = delta(json!({"content":"Hi"}));
    probable["choices"][0]["logprobs"] = json!({"content":[{"token":"Hi","logprob":-0.5}]});
    let got = answer(&[
        probable,
        delta(json!({"images":[url]})),
        delta(json!({"audio":{"id":"a1","data":"AA=="}})),
        delta(json!({"audio":{"transcript":"Hm"}})),
        delta(json!({"refusal":"No."})),
        finish("stop"),
    ]);
    let choice = &got.choices[0];
    assert_eq!(choice.logprobs.len(), 1);
    assert_eq!(choice.parts[0], Part::text("Hi"));
    let png = MediaSource::Base64 { mime: "image/png".into(), data: "iVBORw==".into() };
    assert!(matches!(&choice.parts[1], Part::Image { source, .. } if *source == png));
    let Part::Audio { id, transcript, .. } = &choice.parts[2] else { panic!("{choice:?}") };
    assert_eq!((id.as_deref(), transcript.as_deref()), (Some("a1"), Some("Hm")));
    assert_eq!(choice.parts[3], Part::Refusal { text: "No.".into() });
    assert_eq!(choice.finish, Finish::Refusal, "chat has no word of its own for it");
}

#[test]
fn usage_is_found_wherever_vendors_put_it() {
    let usage = json!({"prompt_tokens":3,"completion_tokens":2});
    let mut groq = finish("stop");
    groq["x_groq"] = json!({ "usage": usage });
    let mut kimi = finish("stop");
    kimi["choices"][0]["usage"] = usage.clone();
    let mut none = finish("stop");
    none["usage"] = Value::Null;
    for (last, want) in [(groq, Some(5)), (kimi, Some(5)), (none, None)] {
        let got = answer(&[delta(json!({"content":"a"})), last.clone()]);
        assert_eq!(got.usage.map(|usage| usage.tokens.total()), want, "{last}");
    }
}

#[test]
fn the_text_that_ended_an_answer_is_told() {
    let mut vllm = finish("stop");
    vllm["choices"][0]["stop_reason"] = json!("END");
    let got = answer(&[delta(json!({"content":"a"})), vllm]);
    assert_eq!(got.choices[0].finish, Finish::StopSequence);
    assert_eq!(got.choices[0].stop_sequence.as_deref(), Some("END"));
}
