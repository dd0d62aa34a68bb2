//! `ninerouter backup` and `ninerouter restore`.

use std::fs::File;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::Session;
use crate::cli::args::{BackupArgs, RestoreArgs};
use crate::cli::client::{Access, Client, Failed, escape, refuse_foreign};
use crate::cli::fields::Fields;
use crate::cli::input;
use crate::cli::output::{Align, Cell, Table, Tone, moment, relative};
use crate::clock::Clock;
use crate::store::backup::{self, Restored};
use crate::store::{StoreError, StoreOptions};

/// Makes a backup, or lists those there are.
///
/// # Errors
/// It cannot be made.
pub fn run(session: &Session, args: &BackupArgs) -> Result<(), Failed> {
    if let Some(file) = &args.file {
        return copy_out(session, file);
    }
    if args.list {
        return session.with(Access::Read, |client| list(session, client));
    }
    session.with(Access::Write, |client| {
        let made = client.post("/api/backups", &json!({}))?;
        session.out.done(&made, || {
            let path = session.options.data_dir.join("backups").join(made.text("/name"));
            format!(
                "Backup {} ({} bytes)\n",
                path.display(),
                made.int("/bytes").unwrap_or_default()
            )
        });
        Ok(())
    })
}

/// Copies the database itself: works beside a running router as well.
fn copy_out(session: &Session, file: &Path) -> Result<(), Failed> {
    if file.exists() {
        let text =
            format!("`{}` exists already\n  Name a new file; nothing was changed.", file.display());
        return Err(Failed::Usage(text));
    }
    let schema =
        backup::copy_out(&session.options.data_dir, file).map_err(|error| match error {
            StoreError::NotFound { .. } => Failed::No(format!(
                "there is no database in `{}`\n  Name the data folder with --data-dir.",
                session.options.data_dir.display()
            )),
            other => other.into(),
        })?;
    let bytes = std::fs::metadata(file).map_or(0, |meta| meta.len());
    let made = json!({"file": file.display().to_string(), "bytes": bytes, "schema": schema, "verified": true});
    session.out.done(&made, || {
        format!(
            "Backup {} ({bytes} bytes)\nIts credentials need the same master key: keep `{}` too.\n",
            file.display(),
            session.options.data_dir.join("master.key").display()
        )
    });
    Ok(())
}

fn list(session: &Session, client: &Client) -> Result<(), Failed> {
    let found = client.list("/api/backups")?;
    session.out.result(&found, || {
        let backups = found.list("/data");
        if backups.is_empty() {
            return "There are no backups yet. Make one with: ninerouter backup\n".to_owned();
        }
        let columns = [
            ("NAME", Align::Left),
            ("MADE", Align::Left),
            ("BYTES", Align::Right),
            ("", Align::Left),
        ];
        let mut table = Table::new(&columns, session.out.has_colour());
        let now = client.clock().now_ms();
        for backup in backups {
            let made = backup.int("/created_at").unwrap_or_default();
            let damaged = match backup.flag("/verified") {
                true => Cell::from(""),
                false => Cell::new("damaged", Tone::Bad),
            };
            table.row([
                backup.text("/name").into(),
                format!("{} ({})", moment(made), relative(made, now)).into(),
                backup.int("/bytes").unwrap_or_default().to_string().into(),
                damaged,
            ]);
        }
        table.to_string()
    });
    Ok(())
}

/// Puts a backup in the database's place.
///
/// # Errors
/// A router runs, the file cannot be restored, or the answer to the question is no.
pub fn restore(session: &Session, args: &RestoreArgs) -> Result<(), Failed> {
    if args.via_server {
        return lay_ready(session, &args.file);
    }
    let options = StoreOptions {
        data_dir: session.options.data_dir.clone(),
        app_version: env!("CARGO_PKG_VERSION").to_owned(),
        clock: Clock::System,
        read_only: false,
        fresh: false,
    };
    refuse_foreign(&session.options)?;
    let file = found(session, &args.file)?;
    // What is wrong with the file is told before anything is asked.
    backup::verify(&file, &options.app_version)?;
    let question = format!(
        "Put {} in the place of the database in {}? The present one is kept as a backup.",
        file.display(),
        options.data_dir.display()
    );
    input::confirm(&question, session.yes)?;
    let restored = backup::restore(&options, &file).map_err(|error| match error {
        StoreError::Locked { pid, .. } => Failed::InUse { pid },
        other => other.into(),
    })?;
    let Restored { schema, earlier } = restored;
    let earlier = earlier.map(|path| path.display().to_string());
    let done = json!({"file": file.display().to_string(), "schema": schema, "earlier": earlier});
    session.out.done(&done, || {
        let kept =
            earlier.map(|path| format!("\nThe earlier one is kept: {path}")).unwrap_or_default();
        format!(
            "The database is restored from {}.{kept}\nStart the router: ninerouter\n",
            file.display()
        )
    });
    Ok(())
}

/// The file, or the backup of that name.
fn found(session: &Session, file: &Path) -> Result<PathBuf, Failed> {
    if file.exists() {
        return Ok(file.to_owned());
    }
    let named = session.options.data_dir.join("backups").join(file);
    if file.components().count() == 1 && named.exists() {
        return Ok(named);
    }
    // The error of the system says which of the reasons it is.
    match File::open(file) {
        Err(error) => Err(Failed::Input { what: format!("`{}`", file.display()), error }),
        Ok(_) => Ok(file.to_owned()),
    }
}

fn lay_ready(session: &Session, file: &Path) -> Result<(), Failed> {
    let backups = session.options.data_dir.join("backups");
    let inside = file.parent().is_some_and(|dir| dir.as_os_str().is_empty() || dir == backups);
    let name = file.file_name().and_then(|name| name.to_str()).filter(|_| inside);
    let name = name.ok_or_else(|| {
        Failed::Usage(format!(
            "--via-server takes the name of a backup in `{}`\n  They are listed by: ninerouter backup --list",
            backups.display()
        ))
    })?;
    let client = Client::of_running(&session.options)?;
    let question = format!("Put {name} in the place of the database when the router starts again?");
    input::confirm(&question, session.yes)?;
    let path = format!("/api/backups/{}/restore", escape(name));
    let ready: Value = client.post(&path, &json!({}))?;
    session.out.done(&ready, || {
        format!("{name} is checked and laid ready. Restart the router to put it in the database's place.\n")
    });
    Ok(())
}
