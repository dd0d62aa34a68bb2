//! `ninerouter combo …` and `ninerouter alias …`.

use serde_json::{Map, Value, json};

use super::Session;
use crate::cli::args::{AliasCommand, ComboCommand, ComboSetArgs};
use crate::cli::client::{Access, Client, Failed, escape};
use crate::cli::fields::Fields;
use crate::cli::input;
use crate::cli::output::{Align, Cell, Table, Tone, count, relative};

/// Runs a command of combos.
///
/// # Errors
/// Why it did not do its work.
pub fn run(session: &Session, command: ComboCommand) -> Result<(), Failed> {
    let access = match command {
        ComboCommand::List | ComboCommand::Show(_) => Access::Read,
        ComboCommand::Set(_) | ComboCommand::Rm(_) => Access::Write,
    };
    session.with(access, |client| match &command {
        ComboCommand::List => list(session, client),
        ComboCommand::Show(args) => {
            let known = client.combo(&args.name)?;
            let combo = client.get(&path(&known))?;
            session.out.result(&combo, || {
                describe(&combo, client.clock().now_ms(), session.out.has_colour())
            });
            Ok(())
        }
        ComboCommand::Set(args) => set(session, client, args),
        ComboCommand::Rm(args) => {
            let combo = client.combo(&args.name)?;
            let name = combo.text("/name");
            input::confirm(&format!("Remove the combo `{name}`?"), session.yes)?;
            client.delete(&path(&combo), None)?;
            session.out.done(&combo, || format!("Combo `{name}` is removed.\n"));
            Ok(())
        }
    })
}

fn path(combo: &Value) -> String {
    format!("/api/combos/{}", escape(combo.text("/id")))
}

fn list(session: &Session, client: &Client) -> Result<(), Failed> {
    let all = client.list("/api/combos")?;
    session.out.result(&all, || {
        if all.list("/data").is_empty() {
            return "There are no combos yet. Make one with: ninerouter combo set NAME MODEL…\n"
                .to_owned();
        }
        let columns = [
            ("COMBO", Align::Left),
            ("STRATEGY", Align::Left),
            ("SERVES NOW", Align::Left),
            ("ENTRIES", Align::Left),
        ];
        let mut table = Table::new(&columns, session.out.has_colour());
        for combo in all.list("/data") {
            let on = combo.pointer("/enabled").and_then(Value::as_bool).unwrap_or(true);
            let now = match combo.text("/serving_now/target") {
                _ if !on => Cell::new("off", Tone::Dim),
                "" => Cell::new("nothing", Tone::Bad),
                target => Cell::new(target, Tone::Good),
            };
            let targets: Vec<&str> =
                combo.list("/entries").iter().map(|e| e.text("/target")).collect();
            table.row([
                combo.text("/name").into(),
                combo.text("/strategy").into(),
                now,
                targets.join(" → ").into(),
            ]);
        }
        table.to_string()
    });
    Ok(())
}

fn describe(combo: &Value, now: i64, colour: bool) -> String {
    let on = combo.pointer("/enabled").and_then(Value::as_bool).unwrap_or(true);
    let mut text = format!(
        "{}  {}{}\n",
        combo.text("/name"),
        combo.text("/strategy"),
        if on { "" } else { ", switched off" }
    );
    if !combo.text("/description").is_empty() {
        text.push_str(&format!("{}\n", combo.text("/description")));
    }
    let columns = [
        ("", Align::Right),
        ("ENTRY", Align::Left),
        ("WEIGHT", Align::Right),
        ("STATE", Align::Left),
        ("ENDS", Align::Left),
    ];
    let mut table = Table::new(&columns, colour);
    for (at, entry) in combo.list("/entries").iter().enumerate() {
        let status = entry.text("/state/status");
        let tone = match status {
            "ready" | "" => Tone::Good,
            "off" => Tone::Dim,
            "missing" => Tone::Bad,
            _ => Tone::Warn,
        };
        let words = match entry.text("/state/text") {
            "" => status.replace('_', " "),
            words => words.to_owned(),
        };
        let weighted = combo.text("/strategy") == "weighted";
        table.row([
            format!("{}.", at + 1).into(),
            entry.text("/target").into(),
            entry.int("/weight").filter(|_| weighted).map(count).unwrap_or_default().into(),
            Cell::new(words, tone),
            entry.int("/state/until").map(|until| relative(until, now)).unwrap_or_default().into(),
        ]);
    }
    text.push_str(&table.to_string());
    text
}

fn set(session: &Session, client: &Client, args: &ComboSetArgs) -> Result<(), Failed> {
    if !args.weights.is_empty() && args.weights.len() != args.models.len() {
        return Err(Failed::Usage(format!(
            "--weights: {} given for {}; one for each entry, in order",
            args.weights.len(),
            crate::cli::output::counted(
                i64::try_from(args.models.len()).unwrap_or_default(),
                "entry"
            )
            .replace("entrys", "entries")
        )));
    }
    let entry = |(at, target): (usize, &String)| match args.weights.get(at) {
        Some(weight) => json!({"target": target, "weight": weight}),
        None => json!({"target": target}),
    };
    let mut body = Map::new();
    body.insert("entries".to_owned(), args.models.iter().enumerate().map(entry).collect());
    if let Some(strategy) = &args.strategy {
        body.insert("strategy".to_owned(), strategy.as_str().into());
    }
    if let Some(description) = &args.description {
        body.insert("description".to_owned(), description.as_str().into());
    }
    if let Some(sticky) = args.sticky {
        body.insert("sticky".to_owned(), json!({"enabled": sticky}));
    }
    if let Some(attempts) = args.max_attempts {
        body.insert("max_attempts".to_owned(), attempts.into());
    }
    if let Some(on) = args.enabled {
        body.insert("enabled".to_owned(), on.into());
    }
    let all = client.list("/api/combos")?;
    let same = |combo: &&Value| combo.text("/name").eq_ignore_ascii_case(&args.name);
    let dry = if args.dry_run { "?dry_run=true" } else { "" };
    let known = all.list("/data").iter().find(same);
    let combo = match known {
        Some(known) => client.patch(&format!("{}{dry}", path(known)), &body.into())?,
        None => {
            body.insert("name".to_owned(), args.name.as_str().into());
            client.post(&format!("/api/combos{dry}"), &body.into())?
        }
    };
    session.out.done(&combo, || {
        let done = match (args.dry_run, known.is_some()) {
            (true, true) => "would be changed",
            (true, false) => "would be made",
            (false, true) => "is changed",
            (false, false) => "is made",
        };
        format!("Combo `{}` {done}: {}\n", args.name, args.models.join(" → "))
    });
    Ok(())
}

/// Runs a command of aliases.
///
/// # Errors
/// Why it did not do its work.
pub fn alias(session: &Session, command: AliasCommand) -> Result<(), Failed> {
    let access = if matches!(command, AliasCommand::List) { Access::Read } else { Access::Write };
    session.with(access, |client| match &command {
        AliasCommand::List => {
            let all = client.list("/api/aliases")?;
            session.out.result(&all, || {
                if all.list("/data").is_empty() {
                    return "There are no aliases yet. Make one with: ninerouter alias set ALIAS MODEL\n".to_owned();
                }
                let mut table = Table::new(
                    &[("ALIAS", Align::Left), ("STANDS FOR", Align::Left)],
                    session.out.has_colour(),
                );
                for alias in all.list("/data") {
                    table.row([alias.text("/alias").into(), alias.text("/target").into()]);
                }
                table.to_string()
            });
            Ok(())
        }
        AliasCommand::Set(args) => {
            let path = alias_path(&args.alias.alias);
            let alias = client.call("PUT", &path, Some(&json!({"target": args.target})))?;
            session
                .out
                .done(&alias, || format!("Alias `{}` stands for {}.\n", args.alias.alias, args.target));
            Ok(())
        }
        AliasCommand::Rm(args) => {
            client.delete(&alias_path(&args.alias), None)?;
            session.out.done(&json!({"alias": args.alias}), || {
                format!("Alias `{}` is removed.\n", args.alias)
            });
            Ok(())
        }
    })
}

/// An alias is the rest of its path: it may hold slashes, and they stay slashes.
fn alias_path(alias: &str) -> String {
    let parts: Vec<String> = alias.split('/').map(escape).collect();
    format!("/api/aliases/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_combo_is_described_entry_by_entry() {
        let combo = json!({"name": "coding", "strategy": "weighted", "enabled": true, "entries": [
            {"target": "cc/claude-opus-4-6", "weight": 3, "state": {"status": "out_of_quota", "text": "out of quota", "until": 7_200_000}},
            {"target": "glm/glm-4.7", "weight": 1, "state": {"status": "ready", "text": ""}}]});
        assert_eq!(
            describe(&combo, 0, false),
            "coding  weighted\n    ENTRY               WEIGHT  STATE         ENDS\n1.  cc/claude-opus-4-6       3  out of quota  in 2 h\n2.  glm/glm-4.7              1  ready\n"
        );
    }
}
