//! Long work that was asked for: it runs on, whoever leaves, and what came of it is kept for a day (dashboard §4.5).

use std::collections::HashMap;
use std::future::Future;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::StreamExt;
use futures_util::stream;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::actors::live::LiveEvent;
use crate::api::Api;
use crate::api::call::{Call, Reply};
use crate::api::error::ApiError;
use crate::api::keys::no_more;
use crate::api::page::{self, found, page};
use crate::clock::{Clock, UnixMs};
use crate::id::JobId;
use crate::store::jobs::{self, JobRow};
use crate::store::{Store, StoreError};

const WHAT: &str = "job";
/// How long a job is kept.
const KEPT_MS: i64 = 24 * 60 * 60 * 1_000;
/// Jobs that are kept.
const MOST: usize = 200;
/// Pieces of work that are told one by one; beyond, only the numbers are.
const ITEMS: usize = 1_000;

/// A kind of long work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::api) struct Kind {
    /// The word in replies.
    pub(in crate::api) name: &'static str,
    /// Pieces that are worked on at a time.
    pub(in crate::api) parallel: usize,
}

/// What a job works on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::api) struct Subject {
    /// Work of one kind with the same key is the same work.
    pub(in crate::api) key: String,
    /// Id of the provider whose page shows it.
    pub(in crate::api) provider: Option<String>,
}

impl From<String> for Subject {
    fn from(key: String) -> Self {
        Self { key, provider: None }
    }
}

/// What came of one piece: a note, or why it failed.
pub(in crate::api) type Outcome = Result<Option<String>, String>;

/// Long work of this process, and what is kept of earlier work. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Jobs {
    inner: Arc<Mutex<Inner>>,
    store: Store,
    clock: Clock,
}

#[derive(Debug, Default)]
struct Inner {
    jobs: Vec<Job>,
}

#[derive(Clone, Debug)]
struct Job {
    row: JobRow,
    /// Work that is the same is not begun twice.
    subject: String,
    items: Vec<Item>,
    cancel: CancellationToken,
}

#[derive(Clone, Debug)]
struct Item {
    name: String,
    outcome: Option<Outcome>,
}

impl Jobs {
    /// Reads what is kept; what an earlier process left unfinished has failed. Blocking.
    ///
    /// # Errors
    /// The database fails.
    pub fn load(store: &Store, clock: &Clock) -> Result<Self, StoreError> {
        let now = clock.now_ms();
        if !store.is_read_only() {
            let most = i64::try_from(MOST).unwrap_or(i64::MAX);
            store.write(|conn| jobs::tidy(conn, now, now - KEPT_MS, most))?;
        }
        let rows = store.read(jobs::list)?;
        let jobs = rows.into_iter().rev().map(|row| Job {
            items: stored_items(&row.items),
            row,
            subject: String::new(),
            cancel: CancellationToken::new(),
        });
        let inner = Arc::new(Mutex::new(Inner { jobs: jobs.collect() }));
        Ok(Self { inner, store: store.clone(), clock: clock.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Numbers of jobs that run.
    #[must_use]
    pub fn running(&self) -> usize {
        self.lock().jobs.iter().filter(|job| job.row.finished_at.is_none()).count()
    }

    fn object(&self, id: JobId) -> Option<Value> {
        let now = self.clock.now_ms();
        self.lock().jobs.iter().find(|job| job.row.id == id).map(|job| object(job, now))
    }

    /// Registers a job, or finds the one that does the same already.
    fn begin(&self, kind: Kind, subject: Subject, title: String, names: Vec<String>) -> Begun {
        let Subject { key: subject, provider } = subject;
        let mut inner = self.lock();
        let same = |job: &&Job| {
            job.row.finished_at.is_none() && job.row.kind == kind.name && job.subject == subject
        };
        if let Some(job) = inner.jobs.iter().find(same) {
            return Begun::Running(job.row.id);
        }
        let now = self.clock.now_ms();
        // Only work that is over makes room.
        let over = |job: &Job| job.row.finished_at.is_some();
        inner.jobs.retain(|job| !over(job) || job.row.started_at > now - KEPT_MS);
        while inner.jobs.len() >= MOST {
            let Some(at) = inner.jobs.iter().position(over) else { break };
            inner.jobs.remove(at);
        }
        let items: Vec<Item> = names.into_iter().map(|name| Item { name, outcome: None }).collect();
        let job = Job {
            row: JobRow {
                id: JobId::new(),
                kind: kind.name.to_owned(),
                title,
                provider,
                state: "running".to_owned(),
                total: u32::try_from(items.len()).unwrap_or(u32::MAX),
                done: 0,
                ok: 0,
                failed: 0,
                items: Value::Array(Vec::new()),
                started_at: now,
                finished_at: None,
            },
            subject,
            items,
            cancel: CancellationToken::new(),
        };
        inner.jobs.push(job.clone());
        Begun::New(Box::new(job))
    }

    fn finished_piece(&self, id: JobId, at: usize, outcome: Outcome) {
        let mut inner = self.lock();
        let Some(job) = inner.jobs.iter_mut().find(|job| job.row.id == id) else { return };
        job.row.done += 1;
        match &outcome {
            Ok(_) => job.row.ok += 1,
            Err(_) => job.row.failed += 1,
        }
        if let Some(item) = job.items.get_mut(at) {
            item.outcome = Some(outcome);
        }
    }

    /// Ends a job and returns its row as it is to be kept.
    fn end(&self, id: JobId, cancelled: bool) -> Option<JobRow> {
        let now = self.clock.now_ms();
        let mut inner = self.lock();
        let job = inner.jobs.iter_mut().find(|job| job.row.id == id)?;
        job.row.finished_at = Some(now);
        let nothing_worked = job.row.ok == 0 && job.row.failed > 0;
        job.row.state = match (cancelled, nothing_worked) {
            (true, _) => "cancelled",
            (false, true) => "failed",
            (false, false) => "done",
        }
        .to_owned();
        job.row.items = items(&job.items);
        Some(job.row.clone())
    }
}

enum Begun {
    New(Box<Job>),
    Running(JobId),
}

impl Api {
    /// Has `work` done for every piece, on this thread and after this call; the reply is 202 with the job. The same
    /// work (`kind`, `subject`) that runs already is not begun again.
    pub(in crate::api) async fn start_job<T, F, R>(
        &self,
        kind: Kind,
        subject: impl Into<Subject>,
        title: String,
        pieces: Vec<(String, T)>,
        work: F,
    ) -> Result<Reply, ApiError>
    where
        T: 'static,
        F: Fn(Rc<Api>, T) -> R + 'static,
        R: Future<Output = Outcome> + 'static,
    {
        let jobs = self.service.jobs.clone();
        let (names, pieces): (Vec<String>, Vec<T>) = pieces.into_iter().unzip();
        let job = match jobs.begin(kind, subject.into(), title, names) {
            Begun::Running(id) => return Ok(accepted(jobs.object(id))),
            Begun::New(job) => job,
        };
        let id = job.row.id;
        save(&jobs, job.row.clone()).await;
        let api = Rc::new(Api::new(self.service.clone()));
        let cancel = job.cancel.clone();
        let doing = jobs.clone();
        let live = self.shared().live.clone();
        actix_rt::spawn(async move {
            let (doing, cancel, work) = (&doing, &cancel, &work);
            let tell = &|id: JobId| live.publish_with(|| LiveEvent::Job(id.to_string()));
            tell(id);
            let piece = |(at, piece): (usize, T)| {
                let api = Rc::clone(&api);
                async move {
                    if cancel.is_cancelled() {
                        return;
                    }
                    // What was sent is awaited: a call that is half done would leave nobody knowing.
                    let outcome = work(api, piece).await;
                    doing.finished_piece(id, at, outcome);
                    tell(id);
                }
            };
            let all = stream::iter(pieces.into_iter().enumerate()).map(piece);
            all.buffer_unordered(kind.parallel.max(1)).for_each(|()| async {}).await;
            if let Some(row) = doing.end(id, cancel.is_cancelled()) {
                save(doing, row).await;
                tell(id);
            }
        });
        Ok(accepted(jobs.object(id)))
    }
}

/// A job that cannot be kept runs all the same.
async fn save(jobs: &Jobs, row: JobRow) {
    let store = jobs.store.clone();
    let kept = tokio::task::spawn_blocking(move || store.write(|conn| jobs::save(conn, &row)));
    match kept.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => warn!(%error, "a job's state could not be kept"),
        Err(error) => warn!(%error, "a job's state could not be kept"),
    }
}

fn accepted(job: Option<Value>) -> Reply {
    Reply { status: 202, ..Reply::ok(json!({"job": job})) }
}

pub(super) async fn list(api: &Api, call: Call) -> Result<Reply, ApiError> {
    call.only_query(&page::QUERY)?;
    let now = api.shared().clock.now_ms();
    let jobs: Vec<Job> = api.service.jobs.lock().jobs.iter().rev().cloned().collect();
    let shown = jobs.iter().filter(|job| found(&call, &[&job.row.title, &job.row.kind]));
    page(&call, shown.map(|job| (job.row.id.to_string(), object(job, now))))
}

pub(super) async fn show(api: &Api, call: Call) -> Result<Reply, ApiError> {
    call.only_query(&[])?;
    let id: JobId = call.id(WHAT)?;
    let job = api.service.jobs.object(id);
    Ok(Reply::ok(job.ok_or_else(|| ApiError::not_found(WHAT, &id.to_string()))?))
}

/// What is being worked on is finished, nothing new is begun.
pub(super) async fn cancel(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let id: JobId = call.id(WHAT)?;
    no_more(&call.object()?)?;
    let jobs = &api.service.jobs;
    match jobs.lock().jobs.iter().find(|job| job.row.id == id) {
        None => return Err(ApiError::not_found(WHAT, &id.to_string())),
        Some(job) if job.row.finished_at.is_some() => {
            let message = format!("the job is over ({})", job.row.state);
            return Err(ApiError::new(409, "conflict", message));
        }
        Some(job) => job.cancel.cancel(),
    }
    Ok(Reply::ok(jobs.object(id).unwrap_or_default()))
}

pub(super) async fn report(api: &Api, call: Call) -> Result<Reply, ApiError> {
    call.only_query(&["format"])?;
    let id: JobId = call.id(WHAT)?;
    let found = api.service.jobs.lock().jobs.iter().find(|job| job.row.id == id).cloned();
    let job = found.ok_or_else(|| ApiError::not_found(WHAT, &id.to_string()))?;
    let (content_type, ending, text) = match call.query("format") {
        None | Some("json") => {
            let now = api.shared().clock.now_ms();
            ("application/json", "json", object(&job, now).to_string())
        }
        Some("csv") => ("text/csv; charset=utf-8", "csv", csv(&job.items)),
        Some(_) => return Err(ApiError::invalid("format", "expected `json` or `csv`")),
    };
    Ok(Reply::file(content_type, format!("{}-{id}.{ending}", job.row.kind), text.into()))
}

fn object(job: &Job, now: UnixMs) -> Value {
    let row = &job.row;
    json!({
        "id": row.id.to_string(),
        "kind": row.kind,
        "title": row.title,
        "provider": row.provider,
        "state": match row.finished_at {
            None if job.cancel.is_cancelled() => "cancelling",
            _ => row.state.as_str(),
        },
        "total": row.total,
        "done": row.done,
        "ok": row.ok,
        "failed": row.failed,
        "items": items(&job.items),
        "started": row.started_at,
        "finished": row.finished_at,
        "eta": eta(row, now),
    })
}

/// When it is over if it goes on as so far, Unix ms.
fn eta(row: &JobRow, now: UnixMs) -> Option<UnixMs> {
    if row.finished_at.is_some() || row.done == 0 {
        return None;
    }
    let left = i64::from(row.total.saturating_sub(row.done));
    let each = (now - row.started_at).max(0) / i64::from(row.done);
    Some(now.saturating_add(each.saturating_mul(left)))
}

/// Failed ones first; where there are too many, only those.
fn items(all: &[Item]) -> Value {
    let told = |item: &Item| {
        let (state, message) = match &item.outcome {
            None => ("queued", None),
            Some(Ok(note)) => ("ok", note.clone()),
            Some(Err(why)) => ("failed", Some(why.clone())),
        };
        json!({"name": item.name, "state": state, "message": message})
    };
    let is_failed = |item: &&Item| matches!(item.outcome, Some(Err(_)));
    let failed = all.iter().filter(is_failed);
    let rest = all.iter().filter(|item| !is_failed(item));
    failed.chain(rest).take(ITEMS).map(told).collect()
}

fn stored_items(items: &Value) -> Vec<Item> {
    let items = items.as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |item: &Value, name: &str| item.get(name).and_then(Value::as_str).map(str::to_owned);
    let read = |item: &Value| Item {
        name: text(item, "name").unwrap_or_default(),
        outcome: match item.get("state").and_then(Value::as_str) {
            Some("ok") => Some(Ok(text(item, "message"))),
            Some("failed") => Some(Err(text(item, "message").unwrap_or_default())),
            Some(_) | None => None,
        },
    };
    items.iter().map(read).collect()
}

fn csv(all: &[Item]) -> String {
    // A cell that begins like a formula is text all the same.
    let cell = |text: &str| {
        let guard = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
        format!("\"{guard}{}\"", text.replace('"', "\"\""))
    };
    let mut out = String::from("name,state,message\r\n");
    for item in all {
        let (state, message) = match &item.outcome {
            None => ("queued", ""),
            Some(Ok(note)) => ("ok", note.as_deref().unwrap_or_default()),
            Some(Err(why)) => ("failed", why.as_str()),
        };
        out.push_str(&[cell(&item.name), cell(state), cell(message)].join(","));
        out.push_str("\r\n");
    }
    out
}

/// Names told apart: a second one of the same text gets a number.
pub(in crate::api) fn distinct(names: Vec<String>) -> Vec<String> {
    let mut seen: HashMap<String, u32> = HashMap::new();
    names
        .into_iter()
        .map(|name| {
            let count = seen.entry(name.clone()).or_default();
            *count += 1;
            if *count == 1 { name } else { format!("{name} ({count})") }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(name: &str, outcome: Option<Outcome>) -> Item {
        Item { name: name.to_owned(), outcome }
    }

    #[test]
    fn failures_are_told_first_and_a_kept_list_is_read_as_it_was() {
        let all =
            [item("a", Some(Ok(None))), item("b", Some(Err("no \"key\"".into()))), item("c", None)];
        let told = items(&all);
        assert_eq!((&told[0]["name"], &told[0]["state"]), (&json!("b"), &json!("failed")));
        assert_eq!(items(&stored_items(&told)), told);
    }

    #[test]
    fn a_table_for_a_spreadsheet_holds_no_formula() {
        let all = [item("=cmd()", Some(Err("a \"b\", c".into())))];
        let want = "name,state,message\r\n\"'=cmd()\",\"failed\",\"a \"\"b\"\", c\"\r\n";
        assert_eq!(csv(&all), want);
    }

    #[test]
    fn the_end_is_reckoned_from_what_is_done() {
        let mut row = JobRow {
            id: JobId::new(),
            kind: "x".into(),
            title: "x".into(),
            provider: None,
            state: "running".into(),
            total: 10,
            done: 0,
            ok: 0,
            failed: 0,
            items: json!([]),
            started_at: 1_000,
            finished_at: None,
        };
        assert_eq!(eta(&row, 2_000), None);
        row.done = 5;
        assert_eq!(eta(&row, 2_000), Some(3_000));
        row.finished_at = Some(2_500);
        assert_eq!(eta(&row, 2_600), None);
    }
}
