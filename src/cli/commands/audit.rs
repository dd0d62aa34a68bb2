//! `ninerouter audit`: what happened, and whether the record of it is whole.

use serde_json::Value;

use super::Session;
use crate::cli::args::{AuditCommand, AuditListArgs};
use crate::cli::client::{Access, Client, Failed, NO, query};
use crate::cli::fields::Fields;
use crate::cli::output::{Align, Cell, Table, Tone, counted, moment};

const DAY_MS: i64 = 86_400_000;

/// Runs it.
///
/// # Errors
/// Why it did not do its work.
pub fn run(session: &Session, command: &AuditCommand) -> Result<(), Failed> {
    session.with(Access::Read, |client| match command {
        AuditCommand::List(args) => list(session, client, args),
        AuditCommand::Verify => verify(session, client),
    })
}

fn list(session: &Session, client: &Client, args: &AuditListArgs) -> Result<(), Failed> {
    let now = client.clock().now_ms();
    let from = now.saturating_sub(i64::from(args.days).saturating_mul(DAY_MS)).to_string();
    let lines = args.lines.to_string();
    let wanted = query(&[
        ("from", Some(&from)),
        ("event", args.event.as_deref()),
        ("outcome", args.outcome.as_deref()),
        ("ip", args.ip.as_deref()),
        ("limit", Some(&lines)),
    ]);
    let page = client.get(&format!("/api/audit{wanted}"))?;
    session.out.result(&page, || table(page.list("/data"), session.out.has_colour()));
    Ok(())
}

/// The newest last, as logs are read.
fn table(rows: &[Value], colour: bool) -> String {
    if rows.is_empty() {
        return "Nothing was recorded.\n".to_owned();
    }
    let columns =
        ["TIME", "EVENT", "OUTCOME", "BY", "FROM", "DETAIL"].map(|head| (head, Align::Left));
    let mut table = Table::new(&columns, colour);
    for row in rows.iter().rev() {
        let tone = if row.text("/outcome") == "ok" { Tone::Plain } else { Tone::Warn };
        let times = row.int("/count").filter(|count| *count > 1);
        let event = match times {
            Some(count) => format!("{} ×{count}", row.text("/event")),
            None => row.text("/event").to_owned(),
        };
        table.row([
            row.int("/ts_ms").map(moment).unwrap_or_default().into(),
            event.into(),
            Cell::new(row.text("/outcome").to_owned(), tone),
            row.text("/actor").into(),
            row.text("/client_ip").into(),
            detail(row.pointer("/detail")).into(),
        ]);
    }
    table.to_string()
}

/// Members of the detail, as `name=value`.
fn detail(detail: Option<&Value>) -> String {
    let members = detail.and_then(Value::as_object).into_iter().flatten();
    let shown = members.map(|(name, value)| match value {
        Value::String(text) => format!("{name}={text}"),
        other => format!("{name}={other}"),
    });
    shown.collect::<Vec<_>>().join(" ")
}

fn verify(session: &Session, client: &Client) -> Result<(), Failed> {
    let found = client.post("/api/audit/verify", &Value::Object(serde_json::Map::new()))?;
    session.out.result(&found, || describe(&found));
    if found.flag("/ok") { Ok(()) } else { Err(Failed::Said(NO)) }
}

fn describe(found: &Value) -> String {
    let rows = counted(found.int("/rows").unwrap_or_default(), "row");
    let mut text = if found.flag("/ok") {
        format!("The audit log is whole: {rows}.\n")
    } else {
        format!("The audit log was changed ({rows}).\n")
    };
    if let Some(seq) = found.int("/first_broken_seq") {
        text.push_str(&format!("  first broken row: {seq}\n"));
    }
    for gap in found.list("/gaps") {
        let (from, to) = (gap.int("/from").unwrap_or_default(), gap.int("/to").unwrap_or_default());
        match from == to {
            true => text.push_str(&format!("  row {from} is missing\n")),
            false => text.push_str(&format!("  rows {from} to {to} are missing\n")),
        }
    }
    for difference in found.list("/file_differences") {
        let what = match difference.text("/kind") {
            "differs" => "is another one in audit.log",
            "missing_in_file" => "is missing in audit.log",
            "missing_in_table" => "stands in audit.log and not in the database",
            "out_of_order" => "stands in audit.log in the wrong place",
            _ => "of audit.log cannot be read",
        };
        match difference.int("/seq") {
            Some(seq) => text.push_str(&format!("  row {seq} {what}\n")),
            None => text.push_str(&format!("  a line {what}\n")),
        }
    }
    if let (Some(seq), mac @ [_, ..]) = (found.int("/last_seq"), found.text("/last_mac").as_bytes())
    {
        let mac = String::from_utf8_lossy(mac);
        text.push_str(&format!(
            "Last row {seq}, {mac}\nThe server's log names the last row every hour: compare it with this to see that no rows were cut off.\n"
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_verify_found_is_told_in_sentences() {
        let text = describe(&json!({"ok": false, "rows": 7, "first_broken_seq": 3,
            "gaps": [{"from": 3, "to": 3}, {"from": 5, "to": 6}],
            "file_differences": [{"seq": 4, "kind": "differs"}, {"seq": null, "kind": "unreadable"}],
            "last_seq": 9, "last_mac": "ab"}));
        assert_eq!(
            text,
            "The audit log was changed (7 rows).\n  first broken row: 3\n  row 3 is missing\n  \
             rows 5 to 6 are missing\n  row 4 is another one in audit.log\n  a line of audit.log cannot be read\n\
             Last row 9, ab\nThe server's log names the last row every hour: compare it with this to see that no rows were cut off.\n"
        );
    }

    #[test]
    fn events_are_listed_the_newest_last() {
        let rows = [
            json!({"ts_ms": 1_795_545_086_000_i64, "event": "logout", "outcome": "ok", "actor": "admin",
                "client_ip": "192.0.2.1", "count": 1, "detail": {}}),
            json!({"ts_ms": 1_795_545_080_000_i64, "event": "login_attempt", "outcome": "failed",
                "actor": "anonymous", "client_ip": null, "count": 7, "detail": {"reason": "wrong"}}),
        ];
        let text = table(&rows, false);
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[1].contains("login_attempt ×7") && lines[1].ends_with("reason=wrong"),
            "{text}"
        );
        assert!(lines[2].contains("192.0.2.1"), "{text}");
    }
}
