//! `ninerouter route MODEL`: where a request would go now.

use serde_json::{Map, Value};

use super::Session;
use crate::cli::args::RouteArgs;
use crate::cli::client::{Access, Client, Failed, NO};
use crate::cli::fields::Fields;
use crate::cli::output::{Align, Cell, Table, Tone, relative};

/// Runs it; exit 1 when nothing would serve.
///
/// # Errors
/// Why it did not do its work.
pub fn run(session: &Session, args: &RouteArgs) -> Result<(), Failed> {
    session.with(Access::Read, |client| route(session, client, args))
}

fn route(session: &Session, client: &Client, args: &RouteArgs) -> Result<(), Failed> {
    let mut body = Map::new();
    body.insert("model".to_owned(), args.model.as_str().into());
    if let Some(dialect) = &args.dialect {
        body.insert("dialect".to_owned(), dialect.as_str().into());
    }
    if let Some(key) = &args.key {
        body.insert("api_key_id".to_owned(), client.key(key)?.text("/id").into());
    }
    let plan = client.post("/api/explain", &body.into())?;
    let now = client.clock().now_ms();
    session.out.result(&plan, || {
        describe(&plan, &args.model, args.explain, now, session.out.has_colour())
    });
    if served_by(&plan).is_some() { Ok(()) } else { Err(Failed::Said(NO)) }
}

/// What would serve: `would_serve` is a target, or the object of one.
fn served_by(plan: &Value) -> Option<String> {
    match plan.get("would_serve")? {
        Value::String(target) if !target.is_empty() => Some(target.clone()),
        Value::Object(_) => Some(plan.text("/would_serve/target").to_owned()),
        _ => None,
    }
}

fn describe(plan: &Value, model: &str, explain: bool, now: i64, colour: bool) -> String {
    let head = match served_by(plan) {
        Some(target) => {
            let account = plan.list("/order").iter().find(|candidate| candidate.flag("/eligible"));
            let account =
                account.map(|c| c.text("/account_label")).filter(|label| !label.is_empty());
            let account = account.map(|label| format!(", account {label}")).unwrap_or_default();
            format!("`{model}` would be served by {target}{account}.\n")
        }
        None => format!("Nothing can serve `{model}` now.\n"),
    };
    let shown: Vec<&Value> =
        plan.list("/order").iter().filter(|c| explain || c.flag("/eligible")).collect();
    if shown.is_empty() {
        let hint = if !explain && !plan.list("/order").is_empty() {
            "`--explain` tells why.\n"
        } else {
            ""
        };
        return format!("{head}{hint}");
    }
    let columns = [
        ("", Align::Right),
        ("MODEL", Align::Left),
        ("ACCOUNT", Align::Left),
        ("TIER", Align::Left),
        ("", Align::Left),
        ("UNTIL", Align::Left),
    ];
    let mut table = Table::new(&columns, colour);
    let mut place = 0;
    for candidate in shown {
        let eligible = candidate.flag("/eligible");
        let number = if eligible {
            place += 1;
            format!("{place}.")
        } else {
            "-".to_owned()
        };
        let verdict = if eligible {
            Cell::new("can serve", Tone::Good)
        } else {
            Cell::new(reason(candidate), Tone::Warn)
        };
        table.row([
            number.into(),
            candidate.text("/target").into(),
            candidate.text("/account_label").into(),
            candidate.text("/tier").into(),
            verdict,
            candidate.int("/until").map(|at| relative(at, now)).unwrap_or_default().into(),
        ]);
    }
    format!("{head}\n{table}")
}

/// Why a candidate is skipped; codes are read as words.
fn reason(candidate: &Value) -> String {
    let reason = candidate.text("/skip_reason");
    if reason.is_empty() {
        return "skipped".to_owned();
    }
    let is_code = reason.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    if is_code { reason.replace('_', " ") } else { reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plan() -> Value {
        json!({"would_serve": "glm/glm-4.7", "order": [
            {"target": "cc/claude-opus-4-6", "account_label": "work", "tier": "subscription", "eligible": false,
                "skip_reason": "out_of_quota", "until": 7_200_000},
            {"target": "glm/glm-4.7", "account_label": "plan", "tier": "cheap", "eligible": true}]})
    }

    #[test]
    fn the_order_is_told_with_its_reasons() {
        assert_eq!(
            describe(&plan(), "coding", true, 0, false),
            "`coding` would be served by glm/glm-4.7, account plan.\n\n    \
             MODEL               ACCOUNT  TIER                        UNTIL\n \
             -  cc/claude-opus-4-6  work     subscription  out of quota  in 2 h\n\
             1.  glm/glm-4.7         plan     cheap         can serve\n"
        );
        let short = describe(&plan(), "coding", false, 0, false);
        assert!(!short.contains("opus") && short.contains("1.  glm/glm-4.7"), "{short}");
    }

    #[test]
    fn nothing_left_is_said_so() {
        let plan = json!({"would_serve": null, "order": [{"target": "a/b", "eligible": false, "skip_reason": "no account"}]});
        assert_eq!(
            describe(&plan, "a/b", false, 0, false),
            "Nothing can serve `a/b` now.\n`--explain` tells why.\n"
        );
        assert!(describe(&plan, "a/b", true, 0, false).contains("-  a/b    no account"));
        assert_eq!(served_by(&plan), None);
    }
}
