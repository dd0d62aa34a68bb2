//! What one HTTP worker thread owns: its clients and its way to the router.

use std::sync::Arc;
use std::time::Duration;

use actix::{Addr, MailboxError};

use crate::actors::checkout::{Checked, Checkout, Journey};
use crate::actors::desk::RouterDesk;
use crate::actors::router::Router;
use crate::actors::shared::Shared;
use crate::net::Clients;

/// State of one worker thread.
#[derive(Debug)]
pub struct Worker {
    /// Process-wide state.
    pub shared: Arc<Shared>,
    /// Outbound clients of this thread.
    pub clients: Clients,
    /// This thread's copy of the router's address.
    router: std::cell::RefCell<Addr<Router>>,
    desk: Arc<RouterDesk>,
}

impl Worker {
    /// A worker's state, made on its own thread.
    #[must_use]
    pub fn new(shared: Arc<Shared>, desk: Arc<RouterDesk>) -> Self {
        let clients = Clients::new(Arc::clone(&shared.net));
        let router = std::cell::RefCell::new(desk.addr());
        Self { shared, clients, router, desk }
    }

    /// The router.
    #[must_use]
    pub fn router(&self) -> Addr<Router> {
        self.router.borrow().clone()
    }

    /// Asks the router for a lease; once more after it was started again.
    ///
    /// # Errors
    /// When the router cannot answer. The journey is lost with it.
    pub async fn checkout(
        &self,
        journey: Box<Journey>,
        deadline: std::time::Instant,
    ) -> Result<Checked, MailboxError> {
        let patience =
            deadline.saturating_duration_since(self.shared.clock.now()) + Duration::from_secs(1);
        if !self.router.borrow().connected() {
            let (shared, desk) = (Arc::clone(&self.shared), Arc::clone(&self.desk));
            let revived = tokio::task::spawn_blocking(move || desk.respawn(&shared)).await;
            if let Ok(Some(addr)) = revived {
                self.router.replace(addr);
            }
        }
        let router = self.router();
        router.send(Checkout { journey, deadline }).timeout(patience).await
    }
}
