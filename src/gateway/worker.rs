//! What one HTTP worker thread owns: its clients and its way to the router.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Addr, MailboxError};
use actix_web::http::header::HeaderValue;
use tokio_util::sync::CancellationToken;

use crate::actors::checkout::{Checked, Checkout, Journey};
use crate::actors::desk::RouterDesk;
use crate::actors::outbox::Outbox;
use crate::actors::reports;
use crate::actors::router::{Router, ServedProviders};
use crate::actors::shared::Shared;
use crate::gateway::answer::account_mark;
use crate::gateway::signatures::SignatureStore;
use crate::id::AccountId;
use crate::net::Clients;

/// Longest wait for an answer that needs no waiting.
const ASK: Duration = Duration::from_secs(5);

/// Longest wait for the database to take a write.
const PROBE: Duration = Duration::from_secs(2);
/// A refusal of the database is believed for so long.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// Marks of accounts remembered before all are forgotten.
const MARKS: usize = 1_024;

/// State of one worker thread.
#[derive(Debug)]
pub struct Worker {
    /// Process-wide state.
    pub shared: Arc<Shared>,
    /// Outbound clients of this thread.
    pub clients: Clients,
    /// Reasoning that the router passed on; all workers share it.
    pub signatures: SignatureStore,
    /// This thread's copy of the router's address.
    router: Rc<RefCell<Addr<Router>>>,
    outbox: Outbox,
    desk: Arc<RouterDesk>,
    /// When the database last failed to take a write on request.
    refused: tokio::sync::Mutex<Option<Instant>>,
    /// Marks of accounts, as header values.
    marks: RefCell<HashMap<AccountId, HeaderValue>>,
}

impl Worker {
    /// A worker's state, made on its own thread.
    #[must_use]
    pub fn new(shared: Arc<Shared>, desk: Arc<RouterDesk>, signatures: SignatureStore) -> Self {
        let clients = Clients::new(Arc::clone(&shared.net));
        let router = Rc::new(RefCell::new(desk.addr()));
        reports::hold_here();
        let outbox = Outbox::to(Rc::clone(&router));
        let (refused, marks) = (tokio::sync::Mutex::new(None), RefCell::default());
        Self { shared, clients, signatures, router, outbox, desk, refused, marks }
    }

    /// The mark of an account, for the header that names it (endpoints §1).
    #[must_use]
    pub(super) fn mark(&self, account: AccountId) -> Option<HeaderValue> {
        let mut marks = self.marks.borrow_mut();
        if let Some(known) = marks.get(&account) {
            return Some(known.clone());
        }
        let mark = HeaderValue::from_str(&account_mark(account)).ok()?;
        if marks.len() >= MARKS {
            marks.clear();
        }
        marks.insert(account, mark.clone());
        Some(mark)
    }

    /// The router, started again when it died (REL-ACT-1). A dead address when that fails.
    pub async fn router(&self) -> Addr<Router> {
        self.revive_router().await;
        self.router.borrow().clone()
    }

    async fn revive_router(&self) {
        if self.router.borrow().connected() {
            return;
        }
        let (shared, desk) = (Arc::clone(&self.shared), Arc::clone(&self.desk));
        let revived = tokio::task::spawn_blocking(move || desk.respawn(&shared)).await;
        if let Ok(Some(addr)) = revived {
            self.router.replace(addr);
        }
    }

    /// True while the router answers, or can be asked to.
    #[must_use]
    pub fn is_router_up(&self) -> bool {
        self.desk.addr().connected()
    }

    /// Whether the database took a write in the last 10 s (REL-RUN-2). One question at a time: probes from
    /// everywhere must not fill the blocking pool.
    pub async fn is_database_writable(&self) -> bool {
        let shared = &self.shared;
        if shared.ledger.wrote_lately() {
            return true;
        }
        let mut refused = self.refused.lock().await;
        let now = shared.clock.now();
        if shared.ledger.wrote_lately() {
            return true;
        }
        if refused.is_some_and(|at| now.saturating_duration_since(at) < PROBE_EVERY) {
            return false;
        }
        let asked = Arc::clone(shared);
        let takes = tokio::task::spawn_blocking(move || asked.ledger.takes_writes(PROBE)).await;
        let takes = takes.unwrap_or(false);
        *refused = (!takes).then(|| shared.clock.now());
        takes
    }

    /// Providers with an account that could serve.
    ///
    /// # Errors
    /// When the router does not answer in time.
    pub async fn served_providers(&self) -> Result<Vec<Arc<str>>, MailboxError> {
        self.router().await.send(ServedProviders).timeout(ASK).await
    }

    /// Asks the router for a lease; once more after it was started again.
    ///
    /// # Errors
    /// When the router cannot answer. The journey is lost with it.
    pub async fn checkout(
        &self,
        journey: Box<Journey>,
        deadline: Instant,
    ) -> Result<Checked, MailboxError> {
        let patience =
            deadline.saturating_duration_since(self.shared.clock.now()) + Duration::from_secs(1);
        self.revive_router().await;
        let caller = CancellationToken::new();
        let _leaves = caller.clone().drop_guard();
        self.outbox.ask(Checkout { journey, deadline, caller }, patience).await
    }
}
