//! `ninerouter config validate|diff|apply`: the config file (cli-and-deploy §7.5).

use std::path::Path;

use serde_json::{Value, json};

use super::Session;
use crate::auth::key::KeyHasher;
use crate::cli::args::{ApplyArgs, ConfigCommand, DiffArgs, ValidateArgs};
use crate::cli::client::{Access, Client, Failed};
use crate::cli::fields::Fields;
use crate::cli::input;
use crate::cli::output::{Output, counted, print, print_error};
use crate::config::apply::{self, ApplyError};
use crate::config::error::exit;
use crate::config::file::FileError;
use crate::store::DATABASE;

/// Runs a command of settings and config files.
///
/// # Errors
/// Why it did not do its work.
pub fn run(session: &Session, command: &ConfigCommand) -> Result<(), Failed> {
    use super::settings;
    match command {
        ConfigCommand::Show(args) => settings::show(session, args),
        ConfigCommand::Get(args) => settings::get(session, &args.setting),
        ConfigCommand::Set(args) => settings::set(session, args),
        ConfigCommand::Unset(args) => settings::unset(session, &args.setting),
        ConfigCommand::Validate(args) => validate(session, args),
        ConfigCommand::Diff(args) => diff(session, args),
        ConfigCommand::Apply(args) => apply_file(session, args),
        ConfigCommand::Export => settings::export(session),
    }
}

/// Needs neither database nor router: what a file refers to is not looked up.
fn validate(session: &Session, args: &ValidateArgs) -> Result<(), Failed> {
    let checked = apply::validate_file(&args.file, &session.options);
    let (errors, warnings) = match &checked {
        Ok(warnings) => (&[][..], warnings.as_slice()),
        Err(errors) => (errors.as_slice(), &[][..]),
    };
    let result = json!({
        "ok": checked.is_ok(),
        "errors": errors.iter().map(mistake).collect::<Vec<_>>(),
        "warnings": warnings.iter().map(mistake).collect::<Vec<_>>(),
    });
    if session.out.is_json() {
        session.out.json(&result);
    } else {
        tell_mistakes("warning", result.list("/warnings"));
        tell_mistakes("error", result.list("/errors"));
        if checked.is_ok() {
            session.out.done(&result, || format!("{}: ok\n", args.file.display()));
        }
    }
    if checked.is_ok() { Ok(()) } else { Err(Failed::Said(exit::CONFIG)) }
}

fn diff(session: &Session, args: &DiffArgs) -> Result<(), Failed> {
    if is_new(session) {
        let plan = preview_of_nothing(session, args)?;
        tell(session.out, &plan, "would change");
        return Ok(());
    }
    let done = session.with(Access::Read, |client| send(client, "diff", &args.file, args.prune));
    let plan = done.or_else(|failed| mistakes(session.out, failed))?;
    tell(session.out, &plan, "would change");
    Ok(())
}

fn apply_file(session: &Session, args: &ApplyArgs) -> Result<(), Failed> {
    if args.dry_run {
        return diff(session, &DiffArgs { file: args.file.clone(), prune: args.prune });
    }
    let done = session.with(Access::Write, |client| send(client, "apply", &args.file, args.prune));
    let plan = done.or_else(|failed| mistakes(session.out, failed))?;
    tell(session.out, &plan, "changed");
    Ok(())
}

/// The router reads what the text refers to: its environment and its files count, not this command's.
fn send(client: &Client, action: &str, file: &Path, prune: bool) -> Result<Value, Failed> {
    let text = input::file(file)?;
    let name = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let body = json!({"text": text, "name": name.to_string_lossy(), "prune": prune});
    client.post(&format!("/api/config/{action}"), &body)
}

/// There is no database and nobody who would make one: looking makes none either.
fn is_new(session: &Session) -> bool {
    !session.options.data_dir.join(DATABASE).exists()
}

fn preview_of_nothing(session: &Session, args: &DiffArgs) -> Result<Value, Failed> {
    let unused = KeyHasher::new(&[0; 32]);
    match apply::preview_file(None, &args.file, &session.options, &unused, args.prune) {
        Ok(plan) => Ok(plan.to_json()),
        Err(ApplyError::Store(error)) => Err(error.into()),
        Err(ApplyError::File(errors)) => {
            let errors: Vec<Value> = errors.iter().map(mistake).collect();
            Err(tell_file(session.out, &json!({"errors": errors})))
        }
    }
}

fn mistake(error: &FileError) -> Value {
    json!({"file": error.file, "line": error.line, "column": error.column, "message": error.message})
}

/// A file with mistakes is refused with the list of them.
fn mistakes(out: Output, failed: Failed) -> Result<Value, Failed> {
    match failed {
        Failed::Refused(refusal) if !refusal.error.list("/errors").is_empty() => {
            Err(tell_file(out, &refusal.error))
        }
        other => Err(other),
    }
}

fn tell_file(out: Output, error: &Value) -> Failed {
    if out.is_json() {
        out.json(&json!({ "error": error }));
    } else {
        tell_mistakes("error", error.list("/errors"));
    }
    Failed::Said(exit::CONFIG)
}

fn tell_mistakes(word: &str, mistakes: &[Value]) {
    for mistake in mistakes {
        let mut place = mistake.text("/file").to_owned();
        for at in ["/line", "/column"] {
            if let Some(n) = mistake.int(at) {
                place.push_str(&format!(":{n}"));
            }
        }
        print_error(&format!("{word}: {place}: {}\n", mistake.text("/message")));
    }
}

fn tell(out: Output, plan: &Value, head: &str) {
    if out.is_json() {
        out.json(plan);
        return;
    }
    tell_mistakes("warning", plan.list("/warnings"));
    if !out.is_quiet() {
        print(&describe(plan, head));
    }
}

fn describe(plan: &Value, head: &str) -> String {
    let changes = plan.list("/changes");
    let mut text = if changes.is_empty() { String::new() } else { format!("{head}:\n") };
    for change in changes {
        let line = format!(
            "  {:<7} {:<9} {:<24} {}",
            change.text("/action"),
            change.text("/kind"),
            change.text("/name"),
            change.texts("/members").join(", ")
        );
        text.push_str(line.trim_end());
        text.push('\n');
    }
    for kept in plan.list("/kept") {
        text.push_str(&format!(
            "  keep    {:<9} {:<24} no longer named; --prune removes it\n",
            kept.text("/kind"),
            kept.text("/name")
        ));
    }
    let count = match changes.len() {
        0 => "no changes".to_owned(),
        n => counted(i64::try_from(n).unwrap_or(i64::MAX), "change"),
    };
    let unchanged = plan.int("/unchanged").unwrap_or_default();
    text.push_str(&format!("{count}, {unchanged} unchanged\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_told_line_by_line() {
        let plan = json!({"changes": [{"action": "add", "kind": "combo", "name": "coding", "members": []},
            {"action": "change", "kind": "account", "name": "glm/plan", "members": ["priority", "tags"]}],
            "kept": [{"kind": "key", "name": "old"}], "unchanged": 3});
        assert_eq!(
            describe(&plan, "changed"),
            "changed:\n  add     combo     coding\n  change  account   glm/plan                 priority, tags\n  \
             keep    key       old                      no longer named; --prune removes it\n2 changes, 3 unchanged\n"
        );
        assert_eq!(describe(&json!({"unchanged": 1}), "changed"), "no changes, 1 unchanged\n");
    }
}
