//! `ninerouter logs`: the newest lines of the running router's log, and with `-f` those that follow.

use serde_json::Value;

use super::Session;
use crate::cli::args::LogsArgs;
use crate::cli::client::{Client, Failed, query};
use crate::cli::fields::Fields;
use crate::cli::output::moment;

/// Runs it.
///
/// # Errors
/// No router runs, or it does not answer.
pub fn run(session: &Session, args: &LogsArgs) -> Result<(), Failed> {
    let client = Client::of_running(&session.options)?;
    let from = args.since.map(|span| {
        let ms = span.seconds.saturating_mul(1_000);
        client.clock().now_ms().saturating_sub(ms).to_string()
    });
    let lines = args.lines.to_string();
    let wanted = query(&[
        ("level", args.level.as_deref()),
        ("q", args.text.as_deref()),
        ("target", args.target.as_deref()),
        ("from", from.as_deref()),
        ("limit", Some(&lines)),
    ]);
    let list = || client.get(&format!("/api/logs{wanted}"));
    if !args.follow {
        let page = list()?;
        session.out.result(&page, || page.list("/data").iter().rev().map(text).collect());
        return Ok(());
    }
    // The feed first, so that nothing is missed between the two; what both tell is shown once.
    let mut feed = client.feed("log")?;
    let mut told: Vec<Value> = list()?.list("/data").to_vec();
    for line in told.iter_mut().rev() {
        show(session, line);
        if let Value::Object(members) = line {
            members.shift_remove("id");
        }
    }
    while let Some((event, data)) = client.next_event(&mut feed)? {
        let Ok(line) = serde_json::from_str::<Value>(&data) else { continue };
        if event != "log" || !fits(&line, args) {
            continue;
        }
        match told.iter().position(|known| *known == line) {
            Some(at) => drop(told.swap_remove(at)),
            None => show(session, &line),
        }
    }
    Ok(())
}

/// Each line by itself: a follower has no end at which one document could close.
fn show(session: &Session, line: &Value) {
    let shown = if session.out.is_json() { format!("{line}\n") } else { text(line) };
    session.out.part(&shown);
}

/// The filters of the list, for lines that come later.
fn fits(line: &Value, args: &LogsArgs) -> bool {
    const GRAVE: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
    let rank = |word: &str| GRAVE.iter().position(|level| *level == word);
    let whole = line.to_string().to_lowercase();
    args.level.as_deref().is_none_or(|level| rank(line.text("/level")) <= rank(level))
        && args.target.as_deref().is_none_or(|target| line.text("/component").starts_with(target))
        && args.text.as_deref().is_none_or(|text| whole.contains(&text.to_lowercase()))
}

fn text(line: &Value) -> String {
    let at = line.int("/ts").map(moment).unwrap_or_default();
    let level = line.text("/level").to_ascii_uppercase();
    let mut text =
        format!("{at} {level:>5} {}: {}", line.text("/component"), line.text("/message"));
    let fields = line.pointer("/fields").and_then(Value::as_object).into_iter().flatten();
    for (name, value) in fields {
        match value {
            Value::String(value) if !value.is_empty() && !value.contains([' ', '"', '=']) => {
                text.push_str(&format!(" {name}={value}"));
            }
            other => text.push_str(&format!(" {name}={other}")),
        }
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_is_shown_with_its_fields() {
        let line = json!({"id": 3, "ts": 1_795_545_086_000_i64, "level": "warn", "component": "server",
            "message": "stopping", "fields": {"n": 1, "why": "no reason", "id": "req_1"}});
        assert!(text(&line).ends_with(" WARN server: stopping n=1 why=\"no reason\" id=req_1\n"));
        let args = |level: &str, target: &str| LogsArgs {
            level: Some(level.to_owned()),
            target: Some(target.to_owned()),
            ..LogsArgs::default()
        };
        assert!(fits(&line, &args("warn", "ser")) && fits(&line, &args("info", "")));
        assert!(!fits(&line, &args("error", "ser")) && !fits(&line, &args("warn", "gateway")));
    }
}
