//! The table of requests that run: who asked for what, who answers, how much has come.
//!
//! A request enters when it is known what it asks for and leaves when its usage row is written. That costs one short
//! lock each time, on one of several shards; what it has got so far is an atomic.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;

use crate::auth::key::KeyRecord;
use crate::clock::UnixMs;
use crate::id::AccountId;
use crate::routing::plan::PlannedEntry;
use crate::store::usage::InboundDialect;

/// Locks that requests are spread over.
const SHARDS: u64 = 8;

/// The table. Clones share one.
#[derive(Clone, Debug, Default)]
pub struct Running(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    next: AtomicU64,
    shards: [Shard; 8],
}

type Shard = Mutex<HashMap<u64, Arc<RunningRequest>>>;

/// A request that runs.
#[derive(Debug)]
pub struct RunningRequest {
    /// Id of the usage row in the making.
    pub request_id: String,
    /// When it came, Unix ms.
    pub started_at: UnixMs,
    /// Family of the user agent.
    pub tool: String,
    /// Key of the caller.
    pub key: Option<Arc<KeyRecord>>,
    /// What the client speaks.
    pub dialect: InboundDialect,
    /// A stream was asked for.
    pub stream: bool,
    /// Model as the client wrote it.
    pub requested_model: String,
    output_tokens: AtomicU64,
    asked: Mutex<Option<Asked>>,
    cancelled: AtomicBool,
    /// Whoever drives the request: one task at a time.
    driver: AtomicWaker,
}

/// Who is asked now.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Where it leads.
    pub entry: Arc<PlannedEntry>,
    /// The account.
    pub account: AccountId,
    /// Its label.
    pub label: String,
    /// Which attempt this is; 1 is the first.
    pub attempt: u16,
}

/// A request's place in the table; given back on drop.
#[derive(Debug)]
pub struct Place {
    table: Running,
    id: u64,
    request: Arc<RunningRequest>,
}

/// What is known of a request when it enters.
#[derive(Debug)]
pub struct Entrant {
    /// See [`RunningRequest::request_id`].
    pub request_id: String,
    /// See [`RunningRequest::started_at`].
    pub started_at: UnixMs,
    /// See [`RunningRequest::tool`].
    pub tool: String,
    /// See [`RunningRequest::key`].
    pub key: Option<Arc<KeyRecord>>,
    /// See [`RunningRequest::dialect`].
    pub dialect: InboundDialect,
    /// See [`RunningRequest::stream`].
    pub stream: bool,
    /// See [`RunningRequest::requested_model`].
    pub requested_model: String,
}

impl Running {
    /// Enters a request.
    #[must_use]
    pub fn enter(&self, entrant: Entrant) -> Place {
        let Entrant { request_id, started_at, tool, key, dialect, stream, requested_model } =
            entrant;
        let request = Arc::new(RunningRequest {
            request_id,
            started_at,
            tool,
            key,
            dialect,
            stream,
            requested_model,
            output_tokens: AtomicU64::new(0),
            asked: Mutex::new(None),
            cancelled: AtomicBool::new(false),
            driver: AtomicWaker::new(),
        });
        let id = self.0.next.fetch_add(1, Ordering::Relaxed);
        self.shard(id).insert(id, Arc::clone(&request));
        Place { table: self.clone(), id, request }
    }

    /// What runs now, the oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<RunningRequest>> {
        let mut all = Vec::new();
        for shard in &self.0.shards {
            all.extend(locked(shard).iter().map(|(id, request)| (*id, Arc::clone(request))));
        }
        all.sort_unstable_by_key(|(id, _)| *id);
        all.into_iter().map(|(_, request)| request).collect()
    }

    /// Ends a request that runs. False = there is none of this id.
    #[must_use]
    pub fn cancel(&self, request_id: &str) -> bool {
        let found = self.list().into_iter().find(|request| request.request_id == request_id);
        let Some(request) = found else { return false };
        request.cancelled.store(true, Ordering::Release);
        request.driver.wake();
        true
    }

    fn shard(&self, id: u64) -> MutexGuard<'_, HashMap<u64, Arc<RunningRequest>>> {
        let [first, rest @ ..] = &self.0.shards;
        let at = usize::try_from(id % SHARDS).unwrap_or(0);
        locked(at.checked_sub(1).and_then(|at| rest.get(at)).unwrap_or(first))
    }
}

impl RunningRequest {
    /// Tokens of the answer so far, roughly.
    #[must_use]
    pub fn output_tokens(&self) -> u64 {
        self.output_tokens.load(Ordering::Relaxed)
    }

    /// True once the operator has ended the request.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    /// Ready once the operator has ended the request. The task that asked last is woken.
    pub fn poll_cancelled(&self, cx: &Context<'_>) -> Poll<()> {
        self.driver.register(cx.waker());
        if self.is_cancelled() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Who is asked now; `None` before the first attempt.
    #[must_use]
    pub fn asked(&self) -> Option<Asked> {
        locked(&self.asked).clone()
    }
}

impl Place {
    /// The request, for whoever waits for its end.
    #[must_use]
    pub fn request(&self) -> &Arc<RunningRequest> {
        &self.request
    }

    /// An attempt begins.
    pub fn asks(&self, asked: Asked) {
        *locked(&self.request.asked) = Some(asked);
    }

    /// So much has come.
    pub fn got(&self, output_tokens: u64) {
        self.request.output_tokens.store(output_tokens, Ordering::Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.table.shard(self.id).remove(&self.id);
    }
}

/// Nothing panics while one of these locks is held.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entrant(id: &str) -> Entrant {
        Entrant {
            request_id: id.to_owned(),
            started_at: 1,
            tool: "codex".to_owned(),
            key: None,
            dialect: InboundDialect::Chat,
            stream: true,
            requested_model: "m".to_owned(),
        }
    }

    #[test]
    fn a_request_stands_in_the_table_until_its_place_is_dropped() {
        let table = Running::default();
        let places: Vec<_> = (0..20).map(|n| table.enter(entrant(&format!("r{n}")))).collect();
        let ids: Vec<_> = table.list().iter().map(|r| r.request_id.clone()).collect();
        assert_eq!(ids, (0..20).map(|n| format!("r{n}")).collect::<Vec<_>>(), "oldest first");
        places[3].got(17);
        assert_eq!(table.list()[3].output_tokens(), 17);
        assert!(table.list()[3].asked().is_none());
        drop(places);
        assert!(table.list().is_empty());
        assert!(!table.cancel("r3"));
    }

    #[test]
    fn a_request_that_is_cancelled_learns_of_it() {
        let table = Running::default();
        let place = table.enter(entrant("r1"));
        let cx = Context::from_waker(std::task::Waker::noop());
        assert!(place.request().poll_cancelled(&cx).is_pending());
        assert!(table.cancel("r1") && !table.cancel("r2"));
        assert!(place.request().poll_cancelled(&cx).is_ready());
    }
}
