//! Backups of the database, and looking after its file (`api.md` §7).

use std::fs::File;
use std::io::Read as _;
use std::rc::Rc;

use bytes::Bytes;
use futures_util::stream;
use serde::Deserialize;
use serde_json::{Value, json};
use tracing::warn;

use crate::api::call::{Call, Parts, Reply};
use crate::api::error::ApiError;
use crate::api::jobs::Kind;
use crate::api::keys::no_more;
use crate::api::page::{self, found, page};
use crate::api::{Api, blocking};
use crate::auth::audit::{Event, EventName};
use crate::store::backup::{Backup, Reason};
use crate::store::{DATABASE, Store, StoreError};

const CHECK: Kind = Kind { name: "check_database", parallel: 1 };
const VACUUM: Kind = Kind { name: "vacuum_database", parallel: 1 };
/// Bytes that a download reads at a time.
const PART: usize = 256 * 1024;

pub(super) async fn list(api: &Api, call: Call) -> Result<Reply, ApiError> {
    call.only_query(&page::QUERY)?;
    let backups = api.files(|store| store.backups()).await?;
    let shown = backups.iter().filter(|backup| found(&call, &[&backup.name]));
    // Newest first.
    let key = |backup: &Backup| format!("{:020} {}", i64::MAX - backup.created_at, backup.name);
    page(&call, shown.map(|backup| (key(backup), object(backup))))
}

pub(super) async fn create(api: &Api, call: Call) -> Result<Reply, ApiError> {
    no_more(&call.object()?)?;
    let made = api.files(|store| store.back_up(&Reason::Manual)).await;
    let event = match &made {
        Ok(backup) => Event::ok(EventName::BackupCreated)
            .with("name", backup.name.as_str())
            .with("bytes", backup.bytes),
        Err(error) => Event::failed(EventName::BackupCreated).with("error", error.message.as_str()),
    };
    api.shared().audit.record(&call.caller, event);
    Ok(Reply::created(object(&made?)))
}

pub(super) async fn download(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let name = call.param("name").to_owned();
    let opened = api.files({
        let name = name.clone();
        move |store| {
            let path = store.backup_path(&name)?;
            File::open(&path).map_err(|source| StoreError::Io { path, source })
        }
    });
    let content_type = "application/vnd.sqlite3";
    Ok(Reply::stream(content_type, &name, parts(opened.await?)))
}

/// A file, part by part. What cannot be read ends it early: its length was not promised.
fn parts(file: File) -> Parts {
    Box::pin(stream::unfold(Some(file), |file| async move {
        let mut file = file?;
        let read = tokio::task::spawn_blocking(move || {
            let mut part = vec![0; PART];
            let length = file.read(&mut part)?;
            part.truncate(length);
            Ok::<_, std::io::Error>((part, file))
        });
        match read.await {
            Ok(Ok((part, _))) if part.is_empty() => None,
            Ok(Ok((part, file))) => Some((Bytes::from(part), Some(file))),
            Ok(Err(error)) => {
                warn!(%error, "a backup could not be read to its end");
                None
            }
            Err(error) => {
                warn!(%error, "a backup could not be read to its end");
                None
            }
        }
    }))
}

pub(super) async fn restore(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let name = call.param("name").to_owned();
    let staged = api
        .files({
            let name = name.clone();
            move |store| store.stage_restore(&name, env!("CARGO_PKG_VERSION"))
        })
        .await;
    let event = match &staged {
        Ok(schema) => Event::ok(EventName::BackupRestored).with("schema", *schema),
        Err(error) => {
            Event::failed(EventName::BackupRestored).with("error", error.message.as_str())
        }
    };
    api.shared().audit.record(&call.caller, event.with("name", name.as_str()));
    let schema = staged?;
    Ok(Reply::ok(json!({
        "name": name, "schema": schema, "staged": true,
        "message": "checked and laid ready: it takes the database's place at the next start; restart the server",
    })))
}

pub(super) async fn remove(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let name = call.param("name").to_owned();
    api.files(move |store| store.remove_backup(&name)).await?;
    Ok(Reply::gone())
}

pub(super) async fn check(api: &Api, call: Call) -> Result<Reply, ApiError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Depth {
        #[serde(default)]
        full: bool,
    }
    let Depth { full } = call.typed()?;
    let depth = if full { "every page" } else { "outline" };
    let title = format!("Check the database ({depth})");
    let pieces = vec![(DATABASE.to_owned(), full)];
    let work = |api: Rc<Api>, full: bool| async move {
        match api.files(move |store| store.faults(full)).await {
            Ok(faults) if faults.is_empty() => Ok(Some("no faults".to_owned())),
            Ok(faults) => Err(faults.join("; ")),
            Err(why) => Err(why.message),
        }
    };
    api.start_job(CHECK, depth.to_owned(), title, pieces, work).await
}

pub(super) async fn vacuum(api: &Api, call: Call) -> Result<Reply, ApiError> {
    no_more(&call.object()?)?;
    let pieces = vec![(DATABASE.to_owned(), ())];
    let work = |api: Rc<Api>, ()| async move {
        let sizes = api.files(|store| {
            let size = || std::fs::metadata(store.path()).map_or(0, |meta| meta.len());
            let before = size();
            store.vacuum()?;
            Ok((before, size()))
        });
        let (before, after) = sizes.await.map_err(|why| why.message)?;
        Ok(Some(format!("{before} bytes before, {after} bytes after")))
    };
    let title = "Write the database anew".to_owned();
    api.start_job(VACUUM, String::new(), title, pieces, work).await
}

fn object(backup: &Backup) -> Value {
    json!({
        "name": backup.name, "reason": backup.reason, "bytes": backup.bytes,
        "created_at": backup.created_at, "schema": backup.schema, "verified": backup.verified,
    })
}

impl Api {
    /// Work on the database's files, off this thread.
    async fn files<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let store = self.shared().store.clone();
        blocking(move || work(&store).map_err(ApiError::from)).await
    }
}
