//! `ninerouter key …`: API keys of the router's own clients.

use serde_json::{Map, Value, json};

use super::Session;
use super::account::short_id;
use crate::cli::args::{KeyCommand, KeyCreateArgs, KeyRevokeArgs, KeyRotateArgs};
use crate::cli::client::{Access, Client, Failed, escape};
use crate::cli::fields::Fields;
use crate::cli::input;
use crate::cli::output::{Align, Cell, Table, Tone, count, duration, money, print, relative};

/// Longest life of a rotated key's old text (api.md §4).
const LONGEST_GRACE: i64 = 86_400;

/// Runs one of them.
///
/// # Errors
/// Why it did not do its work.
pub fn run(session: &Session, command: KeyCommand) -> Result<(), Failed> {
    let access = if matches!(command, KeyCommand::List) { Access::Read } else { Access::Write };
    session.with(access, |client| match &command {
        KeyCommand::Create(args) => create(session, client, args),
        KeyCommand::List => list(session, client),
        KeyCommand::Revoke(args) => revoke(session, client, args),
        KeyCommand::Rotate(args) => rotate(session, client, args),
    })
}

fn create(session: &Session, client: &Client, args: &KeyCreateArgs) -> Result<(), Failed> {
    let mut body = Map::new();
    body.insert("name".to_owned(), args.name.as_str().into());
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    };
    let list = |list: &[String]| (!list.is_empty()).then(|| json!(list));
    put("expires_at", args.expires.map(|until| until.at_ms(client.clock().now_ms()).into()));
    put("scopes", list(&args.scopes));
    put("allowed_models", list(&args.models));
    put("allowed_providers", list(&args.providers));
    put("allowed_combos", list(&args.combos));
    put("allowed_cidrs", list(&args.allow_cidrs));
    put("rpm", args.rpm.map(Value::from));
    put("tpm", args.tpm.map(Value::from));
    put("max_concurrent", args.max_concurrent.map(Value::from));
    put("usd_day_umicro", args.usd_day.map(|usd| usd.0.into()));
    put("usd_month_umicro", args.usd_month.map(|usd| usd.0.into()));
    put("usd_total_umicro", args.usd_total.map(|usd| usd.0.into()));
    put("capture_bodies", args.capture_bodies.then(|| true.into()));
    let made = client.post("/api/keys", &body.into())?;
    tell(session, &made, &format!("Key `{}` is made. Its text is shown this once:", args.name));
    Ok(())
}

/// The text alone on standard output, the words about it beside.
fn tell(session: &Session, made: &Value, words: &str) {
    if session.out.is_json() {
        session.out.json(made);
        return;
    }
    session.out.note(&format!("{words}\n"));
    print(&format!("{}\n", made.text("/text")));
    session.out.note(
        "Clients send it as `Authorization: Bearer …` or `x-api-key`; keep it where you keep passwords.\n",
    );
}

fn list(session: &Session, client: &Client) -> Result<(), Failed> {
    let all = client.list("/api/keys")?;
    session.out.result(&all, || {
        let keys = all.list("/data");
        if keys.is_empty() {
            return "There are no keys yet. Make one with: ninerouter key create NAME\n".to_owned();
        }
        let now = client.clock().now_ms();
        let ids: Vec<&str> = keys.iter().map(|key| key.text("/id")).collect();
        let columns = [
            ("KEY", Align::Left),
            ("TEXT", Align::Left),
            ("STATE", Align::Left),
            ("MAY USE", Align::Left),
            ("LIMITS", Align::Left),
            ("LAST USED", Align::Left),
            ("ID", Align::Left),
        ];
        let mut table = Table::new(&columns, session.out.has_colour());
        for key in keys {
            table.row([
                key.text("/name").into(),
                format!("{}…{}", key.text("/prefix"), key.text("/last4")).into(),
                state(key, now),
                allowed(key).into(),
                limits(key).into(),
                key.int("/last_used_at").map(|at| relative(at, now)).unwrap_or_default().into(),
                Cell::new(short_id(key.text("/id"), &ids), Tone::Dim),
            ]);
        }
        table.to_string()
    });
    Ok(())
}

fn state(key: &Value, now: i64) -> Cell {
    let revoked = key.int("/revoked_at");
    let expires = key.int("/expires_at");
    match (revoked, expires) {
        (Some(at), _) if at <= now => {
            Cell::new(format!("revoked {}", relative(at, now)), Tone::Dim)
        }
        (Some(at), _) => Cell::new(format!("ends {}", relative(at, now)), Tone::Warn),
        (_, Some(at)) if at <= now => {
            Cell::new(format!("expired {}", relative(at, now)), Tone::Bad)
        }
        _ if !key.pointer("/enabled").and_then(Value::as_bool).unwrap_or(true) => {
            Cell::new("off", Tone::Dim)
        }
        _ if key.int("/former/until").is_some_and(|until| until > now) => {
            let until = key.int("/former/until").unwrap_or_default();
            Cell::new(format!("valid; its old text ends {}", relative(until, now)), Tone::Good)
        }
        (_, Some(at)) => Cell::new(format!("valid, ends {}", relative(at, now)), Tone::Good),
        _ => Cell::new("valid", Tone::Good),
    }
}

fn allowed(key: &Value) -> String {
    let mut parts = Vec::new();
    for (member, word) in [
        ("/allowed_models", "models"),
        ("/allowed_providers", "providers"),
        ("/allowed_combos", "combos"),
        ("/allowed_cidrs", "from"),
    ] {
        let list = key.texts(member);
        if !list.is_empty() {
            parts.push(format!("{word} {}", list.join(",")));
        }
    }
    parts.join("; ")
}

fn limits(key: &Value) -> String {
    let mut parts = Vec::new();
    for (member, unit) in
        [("/rpm", "requests/min"), ("/tpm", "tokens/min"), ("/max_concurrent", "at once")]
    {
        if let Some(n) = key.int(member) {
            parts.push(format!("{} {unit}", count(n)));
        }
    }
    for (member, span) in [
        ("/usd_day_umicro", "/day"),
        ("/usd_month_umicro", "/month"),
        ("/usd_total_umicro", " in all"),
    ] {
        if let Some(umicro) = key.int(member) {
            parts.push(format!("{}{span}", money(umicro)));
        }
    }
    if key.flag("/capture_bodies") {
        parts.push("bodies are kept".to_owned());
    }
    parts.join(", ")
}

fn revoke(session: &Session, client: &Client, args: &KeyRevokeArgs) -> Result<(), Failed> {
    let key = client.key(&args.key.key)?;
    let name = key.text("/name");
    input::confirm(
        &format!("Revoke the key `{name}`? Clients that use it are refused from then on."),
        session.yes,
    )?;
    let path = format!("/api/keys/{}/revoke", escape(key.text("/id")));
    let done = client.post(&path, &json!({"now": args.now}))?;
    session.out.done(&done, || format!("Key `{name}` is revoked.\n"));
    Ok(())
}

fn rotate(session: &Session, client: &Client, args: &KeyRotateArgs) -> Result<(), Failed> {
    let grace = args.grace.seconds;
    if grace > LONGEST_GRACE {
        return Err(Failed::Usage(
            "--grace: the old text can stay valid for a day at most".to_owned(),
        ));
    }
    let key = client.key(&args.key.key)?;
    let path = format!("/api/keys/{}/rotate", escape(key.text("/id")));
    let made = client.post(&path, &json!({"grace_s": grace}))?;
    let words = format!(
        "Key `{}` has a new text, shown this once. The old one stays valid for {}.",
        key.text("/name"),
        duration(grace)
    );
    tell(session, &made, &words);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_of_a_key() {
        let now = 1_000_000;
        for (key, want) in [
            (json!({"enabled": true}), "valid"),
            (json!({"enabled": false}), "off"),
            (json!({"enabled": true, "expires_at": now + 7_200_000}), "valid, ends in 2 h"),
            (json!({"enabled": true, "expires_at": now - 60_000}), "expired 1 min ago"),
            (json!({"enabled": true, "revoked_at": now - 60_000}), "revoked 1 min ago"),
            (json!({"enabled": true, "revoked_at": now + 60_000}), "ends in 1 min"),
        ] {
            assert_eq!(state(&key, now).to_string(), want);
        }
    }

    #[test]
    fn limits_are_told_with_their_units() {
        let key = json!({"rpm": 60, "usd_month_umicro": 5_000_000, "allowed_models": ["glm/*"],
            "allowed_cidrs": ["10.0.0.0/8"]});
        assert_eq!(limits(&key), "60 requests/min, $5.00/month");
        assert_eq!(allowed(&key), "models glm/*; from 10.0.0.0/8");
    }
}
