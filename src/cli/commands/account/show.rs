//! `ninerouter account list` and `show`: how accounts stand, in a line and whole.

use serde_json::Value;

use super::path;
use crate::cli::args::AccountListArgs;
use crate::cli::client::{Client, Failed, account_name, query};
use crate::cli::commands::{Session, provider};
use crate::cli::fields::Fields;
use crate::cli::output::{Align, Cell, Table, Tone, count, moment, percent, relative};

pub(super) fn list(
    session: &Session,
    client: &Client,
    args: &AccountListArgs,
) -> Result<(), Failed> {
    let provider = match &args.provider {
        Some(wanted) => Some(provider::find(client, wanted)?.text("/id").to_owned()),
        None => None,
    };
    let filter = query(&[
        ("provider", provider.as_deref()),
        ("status", args.status.as_deref()),
        ("tag", args.tag.as_deref()),
    ]);
    let all = client.list(&format!("/api/accounts{filter}"))?;
    session.out.result(&all, || {
        if all.list("/data").is_empty() {
            let more = "Add one with: ninerouter account add PROVIDER   (ninerouter provider list shows which)\n";
            return if filter.is_empty() { format!("There are no accounts yet. {more}") } else { "No account fits.\n".into() };
        }
        table(&all, client.clock().now_ms(), session.out.has_colour()).to_string()
    });
    Ok(())
}

fn table(all: &Value, now: i64, colour: bool) -> Table {
    let columns = [
        ("ACCOUNT", Align::Left),
        ("STATE", Align::Left),
        ("PLAN", Align::Left),
        ("QUOTA USED", Align::Left),
        ("REQUESTS 24H", Align::Right),
        ("PRIORITY", Align::Right),
        ("TAGS", Align::Left),
        ("ID", Align::Left),
    ];
    let mut table = Table::new(&columns, colour);
    let ids: Vec<&str> = all.list("/data").iter().map(|account| account.text("/id")).collect();
    for account in all.list("/data") {
        table.row([
            account_name(account).into(),
            state(account),
            account.text("/plan").into(),
            quota_short(account, now).into(),
            account.int("/stats_24h/requests").map(count).unwrap_or_default().into(),
            account.int("/priority").map(count).unwrap_or_default().into(),
            account.texts("/tags").join(",").into(),
            Cell::new(short_id(account.text("/id"), &ids), Tone::Dim),
        ]);
    }
    table
}

/// The shortest beginning of an id that no other one has, at least eight characters.
pub(in crate::cli::commands) fn short_id(id: &str, all: &[&str]) -> String {
    let unique = |length: usize| {
        let beginning = id.get(..length)?;
        let others = all.iter().filter(|other| **other != id);
        (!others.clone().any(|other| other.starts_with(beginning))).then_some(beginning)
    };
    (8..id.len()).find_map(unique).unwrap_or(id).to_owned()
}

/// Status in words, with the tone of its news.
pub(in crate::cli::commands) fn state(account: &Value) -> Cell {
    let status = account.text("/state/status");
    let tone = match status {
        "ready" | "unused" => Tone::Good,
        "off" => Tone::Dim,
        "sign_in_again" | "token_expired" | "out_of_quota" => Tone::Bad,
        _ => Tone::Warn,
    };
    let words = match account.text("/state/text") {
        "" => status.replace('_', " "),
        text => text.to_owned(),
    };
    Cell::new(words, tone)
}

/// The windows of the quota, short: `5h 42 %, week 10 %`.
fn quota_short(account: &Value, now: i64) -> String {
    let window = |window: &Value| {
        let used = window.number("/percent")?;
        let reset = window.int("/resets_at").filter(|at| used >= 100.0 && *at > now);
        let reset = reset.map(|at| format!(" ({})", relative(at, now))).unwrap_or_default();
        Some(format!("{} {}{reset}", window.text("/name"), percent(used)))
    };
    let windows: Vec<String> = account.list("/quota/windows").iter().filter_map(window).collect();
    windows.join(", ")
}

pub(super) fn show(session: &Session, client: &Client, wanted: &str) -> Result<(), Failed> {
    let id = client.account(wanted)?;
    let account = client.get(&path(&id, ""))?;
    session
        .out
        .result(&account, || describe(&account, client.clock().now_ms(), session.out.has_colour()));
    Ok(())
}

/// An account, whole.
fn describe(account: &Value, now: i64, colour: bool) -> String {
    let mut facts = Table::new(&[("", Align::Left), ("", Align::Left)], colour);
    let mut fact = |name: &str, value: String| {
        if !value.is_empty() {
            facts.row([Cell::new(name, Tone::Dim), value.into()]);
        }
    };
    let at = |pointer: &str| {
        account
            .int(pointer)
            .map(|at| format!("{} ({})", moment(at), relative(at, now)))
            .unwrap_or_default()
    };
    let number = |pointer: &str| account.int(pointer).map(count).unwrap_or_default();
    fact("account", account_name(account));
    fact("id", account.text("/id").to_owned());
    let state = state(account);
    fact("state", state.to_string());
    fact("kind", account.text("/kind").replace('_', " "));
    fact("e-mail", account.text("/email").to_owned());
    fact("plan", account.text("/plan").to_owned());
    fact("last error", last_error(account, now));
    fact(
        "key",
        account
            .pointer("/secrets/api_key/last4")
            .and_then(Value::as_str)
            .map(|last4| format!("…{last4}"))
            .unwrap_or_default(),
    );
    fact("token ends", at("/secrets/access_token_expires_at"));
    fact("last refresh", at("/secrets/last_refresh_at"));
    fact("refreshed by", refreshed_by(account));
    fact("last used", at("/state/last_used_at"));
    fact("in flight", number("/state/in_flight"));
    fact("priority", number("/priority"));
    fact("weight", number("/weight"));
    fact("at one time", number("/max_concurrent"));
    fact("tier", account.text("/tier").to_owned());
    fact("tags", account.texts("/tags").join(", "));
    fact("only models", account.texts("/allowed_models").join(", "));
    fact("not models", account.texts("/excluded_models").join(", "));
    fact(
        "keeps back",
        account
            .int("/min_remaining_percent")
            .map(|n| format!("{n} % of its quota"))
            .unwrap_or_default(),
    );
    fact("overage", if account.flag("/allow_overage") { "allowed".into() } else { String::new() });
    fact(
        "proxy",
        if account.text("/proxy/mode") == "inherit" {
            String::new()
        } else {
            account.text("/proxy/mode").to_owned()
        },
    );
    fact("notes", account.text("/notes").to_owned());
    fact("set by", account.text("/managed_by").replace('_', " "));
    let mut text = facts.without_heads();
    text.push_str(&quota_table(account, now, colour));
    text.push_str(&lock_table(account, now, colour));
    text
}

fn last_error(account: &Value, now: i64) -> String {
    let Some(error) = account.pointer("/state/last_error").filter(|e| !e.is_null()) else {
        return String::new();
    };
    let words = error.as_str().unwrap_or_else(|| error.text("/message"));
    let when = error.int("/at").map(|at| format!(" ({})", relative(at, now))).unwrap_or_default();
    format!("{words}{when}")
}

fn refreshed_by(account: &Value) -> String {
    match (account.text("/ownership"), account.flag("/secrets/refreshable")) {
        ("follow", _) => "the vendor's program; its file is read".to_owned(),
        (_, true) => "the router".to_owned(),
        _ => String::new(),
    }
}

fn quota_table(account: &Value, now: i64, colour: bool) -> String {
    let windows = account.list("/quota/windows");
    if windows.is_empty() {
        return String::new();
    }
    let columns = [
        ("QUOTA", Align::Left),
        ("USED", Align::Right),
        ("OF", Align::Right),
        ("RESETS", Align::Left),
        ("FOR", Align::Left),
    ];
    let mut table = Table::new(&columns, colour);
    for window in windows {
        let tone = match window.text("/status") {
            "exhausted" | "critical" => Tone::Bad,
            "low" => Tone::Warn,
            _ => Tone::Plain,
        };
        let used = window.number("/percent").map(percent).unwrap_or_else(|| "?".to_owned());
        let limit = match window.text("/unit") {
            "percent" | "" => String::new(),
            unit => window.number("/limit").map(|n| format!("{n} {unit}")).unwrap_or_default(),
        };
        let label = match window.text("/label") {
            "" => window.text("/name"),
            label => label,
        };
        let scope = window.text("/scope");
        table.row([
            label.into(),
            Cell::new(used, tone),
            limit.into(),
            window.int("/resets_at").map(|at| relative(at, now)).unwrap_or_default().into(),
            if scope == "*" { String::new() } else { scope.replace(':', " ") }.into(),
        ]);
    }
    let seen = account.int("/quota/observed_at");
    let seen = seen.map(|at| format!("as of {}\n", relative(at, now))).unwrap_or_default();
    format!("\n{table}{seen}")
}

fn lock_table(account: &Value, now: i64, colour: bool) -> String {
    let locks = account.list("/state/locks");
    if locks.is_empty() {
        return String::new();
    }
    let mut table =
        Table::new(&[("LOCK", Align::Left), ("WHY", Align::Left), ("ENDS", Align::Left)], colour);
    for lock in locks {
        let scope = if lock.text("/scope") == "*" { "whole account" } else { lock.text("/scope") };
        let ends = lock.int("/until").map(|at| relative(at, now)).unwrap_or_default();
        table.row([scope.into(), lock.text("/reason").replace('_', " ").into(), ends.into()]);
    }
    format!("\n{table}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn account() -> Value {
        json!({"id": "019a0001-1111", "provider": "claude", "label": "work", "kind": "oauth",
            "email": "me@example.org", "plan": "max_5x", "priority": 1, "ownership": "own", "enabled": true,
            "tags": ["a", "b"], "proxy": {"mode": "inherit", "id": null},
            "secrets": {"refreshable": true, "access_token_expires_at": 3_600_000},
            "state": {"status": "cooling_down", "text": "cooling down until 10:00",
                "locks": [{"scope": "*", "reason": "rate_limited", "until": 120_000}],
                "last_error": {"message": "429 from the vendor", "at": -60_000}},
            "quota": {"observed_at": 0, "windows": [
                {"name": "5h", "label": "Session (5 h)", "scope": "*", "unit": "percent", "percent": 100.0, "status": "exhausted", "resets_at": 3_600_000},
                {"name": "week", "label": "Week", "scope": "family:opus", "unit": "requests", "limit": 500.0, "percent": null}]}})
    }

    #[test]
    fn an_account_is_described_whole() {
        let text = describe(&account(), 0, false);
        for part in [
            "account       claude/work\n",
            "state         cooling down until 10:00\n",
            "last error    429 from the vendor (1 min ago)\n",
            "refreshed by  the router\n",
            "QUOTA           USED            OF  RESETS  FOR\n",
            "Session (5 h)  100 %",
            "in 1 h\n",
            "500 requests",
            "family opus",
            "LOCK           WHY           ENDS\nwhole account  rate limited  in 2 min\n",
        ] {
            assert!(text.contains(part), "{part:?} in\n{text}");
        }
        assert!(!text.contains("proxy") && !text.contains("notes"), "{text}");
    }

    #[test]
    fn the_list_names_what_is_typed() {
        let all = json!({"data": [account()]});
        let text = table(&all, 0, false).to_string();
        assert!(text.starts_with("ACCOUNT      STATE"), "{text}");
        assert!(text.contains("5h 100 % (in 1 h)") && text.contains("019a0001"), "{text}");
    }

    #[test]
    fn short_ids_are_unique() {
        let ids = ["019a0001-aa", "019a0001-ab", "019b0000-cc"];
        assert_eq!(short_id(ids[0], &ids), "019a0001-aa");
        assert_eq!(short_id(ids[2], &ids), "019b0000");
    }
}
