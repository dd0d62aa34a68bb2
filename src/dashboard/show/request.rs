//! Requests (api §2 `inflight`, §5 rows) as lists show them.

use ninerouter_templates::Tone;
use ninerouter_templates::format::{elapsed, grouped, money};
use ninerouter_templates::request::{Row, Running, Step};
use serde_json::Value;

use crate::dashboard::json::Read;
use crate::dashboard::show::Sight;

const NOTHING: &str = "—";
/// Tools by their word in usage rows, and their names.
const TOOLS: [(&str, &str); 13] = [
    ("claude-code", "Claude Code"),
    ("codex", "Codex"),
    ("gemini-cli", "Gemini CLI"),
    ("qwen-code", "Qwen Code"),
    ("opencode", "OpenCode"),
    ("cursor", "Cursor"),
    ("cline", "Cline"),
    ("openclaw", "OpenClaw"),
    ("copilot", "Copilot"),
    ("openai-sdk", "OpenAI SDK"),
    ("anthropic-sdk", "Anthropic SDK"),
    ("google-sdk", "Google SDK"),
    ("ai-sdk", "AI SDK"),
];

/// A line of what runs.
pub(in crate::dashboard) fn running(sight: &Sight, request: &Value) -> Running {
    let tokens = request.int("/output_tokens").filter(|tokens| *tokens > 0);
    Running {
        id: request.text("/request_id").to_owned(),
        started: sight.now.ago(request.int("/started_at").unwrap_or_default()),
        asked: request.text("/requested_model").to_owned(),
        target: request.text("/target").to_owned(),
        account: account(sight, request),
        tokens: tokens.map(|tokens| format!("{} tokens", grouped(tokens))).unwrap_or_default(),
        cancellable: true,
    }
}

/// A row of the request log.
pub(in crate::dashboard) fn row(sight: &Sight, request: &Value) -> Row {
    let duration = |at| request.int(at).map_or_else(|| NOTHING.to_owned(), elapsed);
    Row {
        id: request.text("/id").to_owned(),
        at: sight.now.clock(request.int("/ts").unwrap_or_default()),
        tool: tool(request.text("/tool")).to_owned(),
        key: request.text("/api_key_name").to_owned(),
        asked: request.text("/requested_model").to_owned(),
        path: path(request),
        account: account(sight, request),
        outcome: outcome(request),
        tokens: tokens(request),
        cost: cost(request),
        first_token: duration("/ttft_ms"),
        total: duration("/total_ms"),
    }
}

/// The account that was asked; empty = none was.
fn account(sight: &Sight, request: &Value) -> String {
    match request.text("/account_label") {
        "" => String::new(),
        label => sight.account(request.text("/account_id"), label),
    }
}

fn tool(word: &str) -> &str {
    let known = TOOLS.iter().find(|(known, _)| *known == word);
    known.map_or(word, |(_, name)| name)
}

/// All but the last did not serve: they were passed over, or they failed.
fn path(request: &Value) -> Vec<Step> {
    let targets: Vec<&str> = request.list("/path").iter().filter_map(Value::as_str).collect();
    let last = targets.len().saturating_sub(1);
    let step = |(at, target): (usize, &&str)| {
        let (target, skipped) = match target.strip_prefix("skip:") {
            Some(target) => (target, Some("passed over")),
            None if at < last => (*target, Some("did not answer")),
            None => (*target, None),
        };
        Step { target: target.to_owned(), skipped: skipped.map(str::to_owned) }
    };
    targets.iter().enumerate().map(step).collect()
}

fn outcome(request: &Value) -> (Tone, String) {
    let status = request.int("/http_status").unwrap_or_default();
    let why = [request.text("/error_code"), request.text("/error_class")];
    let why = why.into_iter().find(|why| !why.is_empty()).unwrap_or_default().replace('_', " ");
    let told = |word: &str| format!("{status} {}", if why.is_empty() { word } else { &why });
    match request.text("/status") {
        "running" if request.is("/stream") => (Tone::Info, "streaming".to_owned()),
        "running" => (Tone::Info, "running".to_owned()),
        "ok" => (Tone::Ok, format!("{status} OK")),
        "client_cancelled" => (Tone::Neutral, "cancelled by the client".to_owned()),
        "rejected" => (Tone::Warn, told("refused")),
        _ if request.is("/incomplete") => (Tone::Bad, format!("broke off: {why}")),
        _ => (Tone::Bad, told("failed")),
    }
}

fn tokens(request: &Value) -> (String, String, String) {
    // A request that nobody answered has no tokens that could be counted.
    let unknown = matches!(request.text("/status"), "running" | "rejected")
        || request.int("/input_tokens").is_none_or(|tokens| tokens == 0)
            && request.int("/output_tokens").is_none_or(|tokens| tokens == 0);
    let of = |at| match request.int(at) {
        Some(tokens) if !unknown => grouped(tokens),
        _ => NOTHING.to_owned(),
    };
    (of("/input_tokens"), of("/cached_tokens"), of("/output_tokens"))
}

fn cost(request: &Value) -> String {
    match (request.text("/status"), request.int("/list_umicro")) {
        ("running" | "rejected", _) => NOTHING.to_owned(),
        (_, None) => "unpriced".to_owned(),
        (_, Some(_)) => money(request.int("/paid_umicro").unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use jiff::tz::TimeZone;
    use ninerouter_templates::moment::Now;
    use serde_json::json;

    use super::*;

    fn shown(request: Value) -> Row {
        let now = Now { unix_ms: 1_796_000_000_000, zone: TimeZone::UTC };
        row(&Sight { now, providers: HashMap::new(), hidden: None }, &request)
    }

    #[test]
    fn a_request_says_how_it_went() {
        let row = shown(json!({
            "id": "req_1", "ts": 1_796_000_000_000_i64, "tool": "codex", "requested_model": "m",
            "path": ["skip:cc/a", "glm/b"], "status": "ok", "http_status": 200, "input_tokens": 1_200,
            "cached_tokens": 1_000, "output_tokens": 12_345, "list_umicro": 5_000, "paid_umicro": 0,
            "ttft_ms": 340, "total_ms": 2_100,
        }));
        assert_eq!((row.tool.as_str(), row.outcome), ("Codex", (Tone::Ok, "200 OK".to_owned())));
        assert_eq!(row.path.len(), 2);
        assert!(row.path[0].skipped.is_some() && row.path[1].skipped.is_none());
        assert_eq!(row.tokens, ("1,200".to_owned(), "1,000".to_owned(), "12,345".to_owned()));
        assert_eq!((row.cost.as_str(), row.total.as_str()), ("$0.00", "2.10 s"));
    }

    #[test]
    fn what_is_not_known_yet_is_a_dash() {
        let row = shown(
            json!({"status": "running", "stream": true, "output_tokens": 5, "list_umicro": 0}),
        );
        assert_eq!(row.outcome, (Tone::Info, "streaming".to_owned()));
        assert_eq!((row.tokens.2.as_str(), row.cost.as_str(), row.total.as_str()), ("—", "—", "—"));
        let failed = shown(
            json!({"status": "error", "http_status": 502, "error_class": "upstream_5xx", "list_umicro": null}),
        );
        assert_eq!(failed.outcome, (Tone::Bad, "502 upstream 5xx".to_owned()));
        assert_eq!(failed.cost, "unpriced");
    }
}
