//! `ninerouter config validate` and `config apply`: config files without a running server.

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::auth::key::KeyHasher;
use crate::cli::args::{AddressArgs, ApplyArgs, ConfigCommand, GlobalArgs, ValidateArgs};
use crate::cli::run::complain;
use crate::cli::version;
use crate::clock::Clock;
use crate::config::apply::{self, ApplyError, Plan};
use crate::config::data_dir;
use crate::config::environment::Level;
use crate::config::error::{ConfigError, exit};
use crate::config::file::FileError;
use crate::config::options::{Inputs, Options};
use crate::store::{MasterKey, Store, StoreError, StoreOptions};

/// Why a command ended without doing its work.
#[derive(Debug, thiserror::Error)]
enum Failed {
    /// Flags, environment, `.env`, data folder.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The file or the store.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// Opening the store.
    #[error("{}", in_words(.0))]
    Store(#[from] StoreError),
}

impl Failed {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Config(error) => error.exit_code(),
            Self::Apply(error) => error.exit_code(),
            Self::Store(error) => error.exit_code(),
        }
    }
}

/// A running server holds the lock: say how its configuration is changed.
fn in_words(error: &StoreError) -> String {
    match error {
        StoreError::Locked { pid, .. } => {
            let pid = pid.map_or_else(|| "PID".to_owned(), |pid| pid.to_string());
            format!(
                "a running server holds the database (pid {pid})\n  it applies the file named by \
                 `NINEROUTER_CONFIG` at start and on: kill -HUP {pid}\n  or stop it and run this \
                 command again; --dry-run works beside it"
            )
        }
        other => other.to_string(),
    }
}

/// Runs the command and gives its exit code.
#[must_use]
pub fn run(global: &GlobalArgs, command: ConfigCommand) -> u8 {
    let done = match command {
        ConfigCommand::Validate(args) => validate(global, &args),
        ConfigCommand::Apply(args) => apply_file(global, &args),
    };
    match done {
        Ok(code) => code,
        Err(failed) => {
            complain(&failed.to_string());
            failed.exit_code()
        }
    }
}

fn validate(global: &GlobalArgs, args: &ValidateArgs) -> Result<u8, Failed> {
    let options = options(global)?;
    let checked = apply::validate_file(&args.file, &options);
    let (errors, warnings) = match &checked {
        Ok(warnings) => (&[][..], warnings.as_slice()),
        Err(errors) => (errors.as_slice(), &[][..]),
    };
    if args.json {
        let result = json!({
            "ok": checked.is_ok(),
            "errors": errors.iter().map(for_machines).collect::<Vec<_>>(),
            "warnings": warnings.iter().map(for_machines).collect::<Vec<_>>(),
        });
        print(&format!("{result:#}\n"));
    } else {
        print_mistakes("warning", warnings);
        print_mistakes("error", errors);
        if checked.is_ok() && !global.quiet {
            print(&format!("{}: ok\n", args.file.display()));
        }
    }
    Ok(if checked.is_ok() { 0 } else { exit::CONFIG })
}

fn apply_file(global: &GlobalArgs, args: &ApplyArgs) -> Result<u8, Failed> {
    let options = options(global)?;
    let made = if args.dry_run { preview(&options, args) } else { change(&options, args) };
    match made {
        Ok(plan) => {
            show(&plan, global, args);
            Ok(0)
        }
        Err(Failed::Apply(ApplyError::File(errors))) => {
            if args.json {
                let errors: Vec<Value> = errors.iter().map(for_machines).collect();
                print(&format!("{:#}\n", json!({"ok": false, "errors": errors})));
            } else {
                print_mistakes("error", &errors);
            }
            Ok(exit::CONFIG)
        }
        Err(other) => Err(other),
    }
}

fn change(options: &Options, args: &ApplyArgs) -> Result<Plan, Failed> {
    for note in data_dir::prepare(&options.data_dir, options.container)? {
        warn(&note.text);
    }
    let secrets = &options.secrets;
    let key = MasterKey::load_or_create(&options.data_dir, secrets.master_key.as_ref())?;
    let store = Store::open(&store_options(options, false), &key)?;
    let hasher = KeyHasher::new(&key.api_key_key(secrets.api_key.as_ref()));
    let plan = apply::apply_file(&store, &args.file, options, &hasher, args.prune);
    store.close()?;
    Ok(plan?)
}

/// Beside a running server as well: nothing is locked, nothing is made.
fn preview(options: &Options, args: &ApplyArgs) -> Result<Plan, Failed> {
    let file = &args.file;
    let store_options = store_options(options, true);
    let is_new = !options.data_dir.join("ninerouter.sqlite").exists();
    if is_new {
        let unused = KeyHasher::new(&[0; 32]);
        return Ok(apply::preview_file(None, file, options, &unused, args.prune)?);
    }
    let secrets = &options.secrets;
    let key = MasterKey::load_or_create(&options.data_dir, secrets.master_key.as_ref())?;
    let store = Store::open(&store_options, &key)?;
    let hasher = KeyHasher::new(&key.api_key_key(secrets.api_key.as_ref()));
    Ok(apply::preview_file(Some(&store), file, options, &hasher, args.prune)?)
}

fn store_options(options: &Options, read_only: bool) -> StoreOptions {
    StoreOptions {
        data_dir: options.data_dir.clone(),
        app_version: version::VERSION.to_owned(),
        clock: Clock::System,
        read_only,
        fresh: false,
    }
}

fn options(global: &GlobalArgs) -> Result<Options, ConfigError> {
    let flags = global.flags(&AddressArgs::default(), false);
    let options = Options::resolve(Inputs::of_process(flags))?;
    for note in options.notes.iter().filter(|note| note.level == Level::Warning) {
        warn(&note.text);
    }
    Ok(options)
}

fn show(plan: &Plan, global: &GlobalArgs, args: &ApplyArgs) {
    if args.json {
        let mut result = plan.to_json();
        if let Value::Object(members) = &mut result {
            members.insert("ok".to_owned(), true.into());
            members.insert("applied".to_owned(), (!args.dry_run).into());
        }
        print(&format!("{result:#}\n"));
        return;
    }
    print_mistakes("warning", &plan.warnings);
    if global.quiet {
        return;
    }
    let head = if args.dry_run { "would change" } else { "changed" };
    if !plan.is_empty() {
        print(&format!("{head}:\n"));
    }
    print(&plan.to_string());
}

fn for_machines(error: &FileError) -> Value {
    json!({
        "file": error.file,
        "line": error.line,
        "column": error.column,
        "message": error.message,
    })
}

fn print_mistakes(word: &str, mistakes: &[FileError]) {
    for mistake in mistakes {
        // Nobody reads standard error: the exit code has to do.
        drop(writeln!(io::stderr().lock(), "{word}: {mistake}"));
    }
}

fn warn(text: &str) {
    drop(writeln!(io::stderr().lock(), "warning: {text}"));
}

fn print(text: &str) {
    // A closed pipe is the reader's wish.
    drop(io::stdout().lock().write_all(text.as_bytes()));
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_locked_database_says_how_to_change_a_running_server() {
        let text = in_words(&StoreError::Locked { path: Path::new("/d").into(), pid: Some(7) });
        assert!(text.contains("kill -HUP 7") && text.contains("NINEROUTER_CONFIG"), "{text}");
        assert_eq!(StoreError::Locked { path: Path::new("/d").into(), pid: None }.exit_code(), 75);
    }
}
