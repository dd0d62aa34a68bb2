//! Log probabilities: Gemini's `logprobsResult` and the elements of OpenAI's `logprobs.content` (§3.5).

use serde_json::{Value, json};

use super::wire::string;
use crate::ir::RawJson;
use crate::json;

/// The tokens of a `logprobsResult`, in OpenAI's form.
pub(super) fn decode(raw: &str) -> Vec<RawJson> {
    let mut alternatives = Vec::new();
    let top = json::member(raw, "topCandidates").or_else(|| json::member(raw, "top_candidates"));
    json::visit_elements(top.unwrap_or("[]"), |step| {
        let mut tokens = Vec::new();
        json::visit_elements(json::member(step, "candidates").unwrap_or("[]"), |candidate| {
            tokens.extend(token(candidate));
        });
        alternatives.push(tokens);
    });
    let chosen =
        json::member(raw, "chosenCandidates").or_else(|| json::member(raw, "chosen_candidates"));
    let mut alternatives = alternatives.into_iter();
    let mut out = Vec::new();
    json::visit_elements(chosen.unwrap_or("[]"), |candidate| {
        let top = alternatives.next().unwrap_or_default();
        if let Some(Value::Object(mut chosen)) = token(candidate) {
            chosen.insert("top_logprobs".into(), Value::Array(top));
            out.push(RawJson::from(Value::Object(chosen)));
        }
    });
    out
}

fn token(candidate: &str) -> Option<Value> {
    let text = json::member(candidate, "token").and_then(string)?;
    let probability = json::member(candidate, "logProbability")
        .or_else(|| json::member(candidate, "log_probability"))
        .and_then(|raw| raw.parse::<f64>().ok());
    Some(json!({
        "token": text,
        "logprob": probability.unwrap_or_default(),
        "bytes": text.as_bytes(),
    }))
}

/// A `logprobsResult` from tokens in OpenAI's form.
pub(super) fn encode(tokens: &[RawJson]) -> Value {
    let candidate = |token: &Value| {
        json!({
            "token": token.get("token").cloned().unwrap_or_default(),
            "logProbability": token.get("logprob").cloned().unwrap_or_default(),
        })
    };
    let mut chosen = Vec::new();
    let mut top = Vec::new();
    for token in tokens.iter().filter_map(|token| token.to_value().ok()) {
        chosen.push(candidate(&token));
        let alternatives = token.get("top_logprobs").and_then(Value::as_array);
        let alternatives: Vec<_> = alternatives.into_iter().flatten().map(candidate).collect();
        top.push(json!({ "candidates": alternatives }));
    }
    json!({ "chosenCandidates": chosen, "topCandidates": top })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_keep_their_probabilities_both_ways() {
        let raw = r#"{"topCandidates":[{"candidates":[{"token":"a","logProbability":-0.5},{"token":"b","logProbability":-1.5}]}],
            "chosenCandidates":[{"token":"a","tokenId":7,"logProbability":-0.5}]}"#;
        let tokens = decode(raw);
        let want = json!({"token":"a","logprob":-0.5,"bytes":[97],"top_logprobs":[
            {"token":"a","logprob":-0.5,"bytes":[97]},{"token":"b","logprob":-1.5,"bytes":[98]}]});
        assert_eq!(tokens, [RawJson::from(want)]);
        let again = encode(&tokens).to_string();
        assert_eq!(decode(&again), tokens);
        assert!(decode("[]").is_empty());
    }
}
