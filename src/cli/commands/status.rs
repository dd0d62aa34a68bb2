//! `ninerouter status`: what the router is doing.

use serde_json::Value;

use super::Session;
use crate::cli::client::{Client, Failed};
use crate::cli::fields::Fields;
use crate::cli::output::{Align, Cell, Table, Tone, count, counted, duration};

/// Runs it; without a running router it says so.
///
/// # Errors
/// No router runs, or it does not answer.
pub fn run(session: &Session) -> Result<(), Failed> {
    let client = Client::of_running(&session.options)?;
    let status = client.get("/api/status")?;
    session.out.result(&status, || describe(&status, session.out.has_colour()));
    Ok(())
}

fn describe(status: &Value, colour: bool) -> String {
    let mut facts = Table::new(&[("", Align::Left), ("", Align::Left)], colour);
    let mut fact = |name: &str, value: Cell| facts.row([Cell::new(name, Tone::Dim), value]);
    let version = match status.text("/commit") {
        "" => status.text("/version").to_owned(),
        commit => format!("{} ({commit})", status.text("/version")),
    };
    fact("version", version.into());
    let up = status.int("/uptime_s").map(duration).unwrap_or_default();
    fact(
        "up for",
        match status.text("/runtime") {
            "" => up.into(),
            runtime => format!("{up}, {runtime}").into(),
        },
    );
    if !status.text("/mode").is_empty() {
        fact("mode", status.text("/mode").into());
    }
    for listener in listeners(status) {
        fact("listens on", listener.into());
    }
    for (name, at) in [
        ("OpenAI clients", "/base_urls/openai"),
        ("Claude clients", "/base_urls/anthropic"),
        ("Gemini clients", "/base_urls/gemini"),
    ] {
        if !status.text(at).is_empty() {
            fact(name, status.text(at).into());
        }
    }
    fact("accounts", accounts(status));
    fact("in flight", counted(in_flight(status), "request").into());
    if let Some(bytes) = status.int("/db/bytes") {
        fact("database", size(bytes).into());
    }
    let alerts = status.int("/alerts").unwrap_or_default();
    if alerts > 0 {
        fact("alerts", Cell::new(count(alerts), Tone::Warn));
    }
    let mut text = facts.without_heads();
    for finding in status.list("/boot_findings") {
        text.push_str(&format!(
            "{}: {} [{}]\n",
            finding.text("/severity"),
            finding.text("/text"),
            finding.text("/id")
        ));
    }
    text
}

/// Addresses the router listens on.
#[must_use]
pub fn listeners(status: &Value) -> Vec<String> {
    let of = |listener: &Value| match listener.as_str() {
        Some(text) => text.to_owned(),
        None => [listener.text("/address"), listener.text("/addr"), listener.text("/url")]
            .into_iter()
            .find(|text| !text.is_empty())
            .unwrap_or_default()
            .to_owned(),
    };
    status.list("/listeners").iter().map(of).filter(|text| !text.is_empty()).collect()
}

fn in_flight(status: &Value) -> i64 {
    match status.get("in_flight") {
        Some(Value::Array(list)) => i64::try_from(list.len()).unwrap_or_default(),
        _ => status.int("/in_flight").unwrap_or_default(),
    }
}

/// `3 ready, 1 out of quota`; the word that matters most gives the tone.
fn accounts(status: &Value) -> Cell {
    let words = [
        ("/accounts/ready", "ready", Tone::Good),
        ("/accounts/low", "low on quota", Tone::Warn),
        ("/accounts/out", "out of quota", Tone::Warn),
        ("/accounts/attention", "need attention", Tone::Bad),
        ("/accounts/off", "off", Tone::Dim),
    ];
    let mut parts = Vec::new();
    let mut tone = Tone::Plain;
    for (at, word, news) in words {
        let n = status.int(at).unwrap_or_default();
        if n > 0 {
            parts.push(format!("{} {word}", count(n)));
            if news != Tone::Dim {
                tone = news;
            }
        }
    }
    if parts.is_empty() {
        return Cell::new("none; add one with: ninerouter account add PROVIDER", Tone::Warn);
    }
    Cell::new(parts.join(", "), tone)
}

/// Bytes in the unit that keeps the number short.
#[must_use]
pub fn size(bytes: i64) -> String {
    const UNITS: [(i64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    for (unit, name) in UNITS {
        if bytes >= unit {
            return format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit);
        }
    }
    format!("{bytes} bytes")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_status_is_read_at_a_glance() {
        let status = json!({"version": "0.1.0", "commit": "abc", "uptime_s": 7_260, "runtime": "foreground",
            "mode": "local only, no API key needed on this computer", "listeners": ["127.0.0.1:20128"],
            "base_urls": {"openai": "http://localhost:20128/v1"}, "accounts": {"ready": 2, "attention": 1},
            "in_flight": 1, "db": {"bytes": 1_572_864}, "alerts": 0,
            "boot_findings": [{"id": "B8", "severity": "warning", "text": "the server runs as root"}]});
        assert_eq!(
            describe(&status, false),
            "version         0.1.0 (abc)\nup for          2 h 1 min, foreground\n\
             mode            local only, no API key needed on this computer\n\
             listens on      127.0.0.1:20128\nOpenAI clients  http://localhost:20128/v1\n\
             accounts        2 ready, 1 need attention\nin flight       1 request\ndatabase        1.5 MiB\n\
             warning: the server runs as root [B8]\n"
        );
        assert!(accounts(&json!({})).to_string().contains("account add"));
    }
}
