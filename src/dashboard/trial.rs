//! A real request to a combo from its page, with the targets it met (api §4, `combos/{id}/test`).

use futures_util::StreamExt;
use ninerouter_templates::Tone;
use ninerouter_templates::combo::{Attempt, Trial, answer_page, trial};
use ninerouter_templates::format::{compact, elapsed, money};
use ninerouter_templates::layout::Section;
use serde_json::{Value, json};

use crate::api::{Body, Reply};
use crate::dashboard::form::is_objection;
use crate::dashboard::json::Read;
use crate::dashboard::show::Sight;
use crate::dashboard::stage::{About, Refused, Stage};
use crate::dashboard::visit::{Page, Visit};

/// Largest test that is read, bytes: attempts, and an answer that the API cuts at 64 KiB.
const LARGEST: usize = 1 << 20;

/// Sends the message and shows what came of it.
pub(super) async fn run(visit: &Visit, id: &str) -> Result<Page, Refused> {
    let message = visit.form.get("message").unwrap_or_default().trim();
    let dialect = visit.form.get("dialect").unwrap_or("openai");
    let body = json!({"message": message, "dialect": dialect});
    let reply = visit.call("POST", &format!("/api/combos/{id}/test"), Some(&body)).await;
    let stage = Stage::set(visit).await?;
    let view = match read(reply).await {
        Ok(told) => shown(&stage.sight, &told),
        Err(refused) if is_objection(&refused) => {
            Trial { problem: refused.message(), ..Trial::default() }
        }
        Err(refused) => return Err(refused),
    };
    let html = trial(&view);
    if visit.hx.is_fragment {
        return Ok(Page::html(200, html.into_string()));
    }
    let back = ("The combo", format!("/dashboard/combos/{id}"));
    let about = About { section: Section::Combos, title: "Test", feed: None };
    Ok(stage.page(visit, about, &answer_page("Test", (back.0, &back.1), &html)))
}

/// The events of the test by name, to its end. Whoever leaves meanwhile ends it.
async fn read(reply: Reply) -> Result<Vec<(String, Value)>, Refused> {
    let status = reply.status;
    let mut parts = match reply.body {
        Body::Stream { parts, .. } if status == 200 => parts,
        body => {
            let error = if let Body::Json(error) = body { error } else { Value::Null };
            return Err(Refused { status, error: error.part("/error").clone() });
        }
    };
    let mut text = Vec::new();
    while let Some(part) = parts.next().await {
        if text.len() + part.len() <= LARGEST {
            text.extend_from_slice(&part);
        }
    }
    Ok(events(&String::from_utf8_lossy(&text)))
}

/// Events of the API: a name and one line of JSON each.
fn events(text: &str) -> Vec<(String, Value)> {
    let event = |block: &str| {
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
        let data = serde_json::from_str(field("data: ")?).ok()?;
        Some((field("event: ")?.to_owned(), data))
    };
    text.split("\n\n").filter_map(event).collect()
}

fn shown(sight: &Sight, told: &[(String, Value)]) -> Trial {
    let of = |wanted: &'static str| {
        told.iter().filter(move |(name, _)| name == wanted).map(|(_, data)| data)
    };
    let Some(result) = of("result").next_back() else {
        let problem = "The test was cut off before it ended.".to_owned();
        return Trial { problem, ..Trial::default() };
    };
    let request = result.part("/request");
    let status = result.int("/http_status").unwrap_or_default();
    let outcome = match result.is("/ok") {
        true => (Tone::Ok, format!("Answered by {}", request.text("/model_key"))),
        false => (Tone::Bad, format!("Not answered: {status}")),
    };
    Trial {
        outcome,
        // One that is over was told as running before.
        attempts: of("attempt")
            .filter(|attempt| attempt.text("/outcome") != "running")
            .map(|one| attempt(sight, one))
            .collect(),
        answer: answer(sight, result.part("/answer")),
        facts: facts(request),
        problem: String::new(),
    }
}

fn attempt(sight: &Sight, object: &Value) -> Attempt {
    let outcome = match object.text("/outcome") {
        "ok" => (Tone::Ok, "answered"),
        "skipped" => (Tone::Neutral, "passed over"),
        "aborted" => (Tone::Neutral, "given up"),
        _ => (Tone::Bad, "failed"),
    };
    let status = object.int("/upstream_status").map(|status| status.to_string());
    let why = match object.text("/outcome") {
        "ok" => Vec::new(),
        _ => {
            [status.as_deref().unwrap_or_default(), object.text("/class"), object.text("/message")]
                .into_iter()
                .filter(|part| !part.is_empty())
                .map(|part| part.replace('_', " "))
                .collect()
        }
    };
    Attempt {
        target: object.text("/target").to_owned(),
        account: match object.text("/account_label") {
            "" => String::new(),
            label => sight.account(object.text("/account_id"), label),
        },
        outcome,
        why: sight.said(&why.join(" · ")),
        took: object.int("/total_ms").map(elapsed).unwrap_or_default(),
    }
}

/// Where the words of an answer are: Chat, Anthropic, Gemini.
const WORDS: [&str; 3] =
    ["/choices/0/message/content", "/content/0/text", "/candidates/0/content/parts/0/text"];

/// The words of an answer; the JSON of one that has none.
fn answer(sight: &Sight, answer: &Value) -> String {
    // Responses: reasoning and calls may stand before the message.
    let message = answer.list("/output").iter().map(|item| item.text("/content/0/text"));
    let words = WORDS.iter().map(|at| answer.text(at)).chain(message).find(|text| !text.is_empty());
    let words = words.unwrap_or_default();
    let error = answer.text("/error/message");
    match (words, error, answer) {
        ("", "", Value::Null) => String::new(),
        ("", "", Value::String(text)) => sight.said(text),
        ("", "", other) => sight.said(&serde_json::to_string_pretty(other).unwrap_or_default()),
        ("", error, _) => sight.said(error),
        (words, ..) => words.to_owned(),
    }
}

fn facts(request: &Value) -> Vec<String> {
    let tokens = match (request.int("/input_tokens"), request.int("/output_tokens")) {
        (Some(input), Some(output)) => {
            Some(format!("{} tokens in, {} out", compact(input), compact(output)))
        }
        _ => None,
    };
    let took = request.int("/total_ms").map(elapsed);
    let cost = request.int("/list_umicro").map(|list| format!("{} at list price", money(list)));
    [took, tokens, cost].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use jiff::tz::TimeZone;
    use ninerouter_templates::moment::Now;

    use super::*;

    fn of(text: &str) -> Trial {
        let now = Now { unix_ms: 0, zone: TimeZone::UTC };
        shown(&Sight { now, providers: HashMap::new(), hidden: None }, &events(text))
    }

    #[test]
    fn a_test_shows_the_way_it_went_and_the_answer() {
        let told = of(concat!(
            "event: request\ndata: {\"request_id\":\"r\"}\n\n",
            "event: attempt\ndata: {\"target\":\"a/1\",\"outcome\":\"running\"}\n\n",
            "event: attempt\ndata: {\"target\":\"a/1\",\"outcome\":\"failed\",\"upstream_status\":429,",
            "\"class\":\"rate_limited\",\"account_label\":\"work\",\"total_ms\":312}\n\n",
            "event: attempt\ndata: {\"target\":\"b/2\",\"outcome\":\"ok\",\"total_ms\":1420}\n\n",
            "event: result\ndata: {\"ok\":true,\"http_status\":200,\"answer\":{\"choices\":[{\"message\":",
            "{\"content\":\"ready\"}}]},\"request\":{\"model_key\":\"b/2\",\"input_tokens\":12,\"output_tokens\":1,",
            "\"total_ms\":1800}}\n\n",
        ));
        assert_eq!(told.outcome, (Tone::Ok, "Answered by b/2".to_owned()));
        let way: Vec<_> = told
            .attempts
            .iter()
            .map(|a| {
                (
                    a.target.as_str(),
                    a.account.as_str(),
                    a.outcome.1,
                    a.why.as_str(),
                    a.took.as_str(),
                )
            })
            .collect();
        assert_eq!(
            way,
            [
                ("a/1", "work", "failed", "429 · rate limited", "312 ms"),
                ("b/2", "", "answered", "", "1.42 s"),
            ]
        );
        assert_eq!((told.answer.as_str(), told.problem.as_str()), ("ready", ""));
        assert_eq!(told.facts, ["1.80 s", "12 tokens in, 1 out"]);
    }

    #[test]
    fn an_error_is_shown_in_its_words_and_a_cut_is_told() {
        let failed = of(
            "event: result\ndata: {\"ok\":false,\"http_status\":503,\"answer\":{\"error\":{\"message\":\"nobody\"}}}\n\n",
        );
        assert_eq!(failed.outcome.1, "Not answered: 503");
        assert_eq!(failed.answer, "nobody");
        for answer in [
            r#"{"content":[{"type":"text","text":"ready"}]}"#,
            r#"{"candidates":[{"content":{"parts":[{"text":"ready"}]}}]}"#,
            r#"{"output":[{"type":"reasoning"},{"type":"message","content":[{"text":"ready"}]}]}"#,
        ] {
            let told = of(&format!("event: result\ndata: {{\"ok\":true,\"answer\":{answer}}}\n\n"));
            assert_eq!(told.answer, "ready", "{answer}");
        }
        assert!(of("event: request\ndata: {}\n\n").problem.contains("cut off"));
    }
}
