//! The router's address as the process keeps it: it outlives the router (REL-ACT-1).

use std::sync::{Arc, Mutex, PoisonError};

use actix::{Addr, ArbiterHandle};
use tracing::error;

use crate::actors::router::Router;
use crate::actors::shared::Shared;
use crate::actors::snapshot::Snapshot;
use crate::auth::audit::{Caller, Event, EventName};

/// Address of the router that survives the router's death (REL-ACT-1). One per process.
#[derive(Debug)]
pub struct RouterDesk {
    arbiter: ArbiterHandle,
    current: Mutex<Addr<Router>>,
}

impl RouterDesk {
    /// Keeps `router`, which runs on `arbiter`.
    #[must_use]
    pub fn new(arbiter: ArbiterHandle, router: Addr<Router>) -> Self {
        Self { arbiter, current: Mutex::new(router) }
    }

    /// The present incarnation.
    #[must_use]
    pub fn addr(&self) -> Addr<Router> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces a router that died by one that starts from the store. Blocking.
    ///
    /// `None` when the store cannot be read.
    pub fn respawn(&self, shared: &Arc<Shared>) -> Option<Addr<Router>> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.connected() {
            return Some(current.clone());
        }
        error!("the router actor died; starting it again from the store");
        let loaded = Snapshot::load(&shared.store, &shared.snapshot.load().fixed);
        match loaded {
            Ok((_, accounts)) => {
                let event = Event::ok(EventName::ActorRestarted).with("actor", "router");
                shared.audit.record(&Caller::system(), event.with("why", "it died"));
                *current = Router::start_on(&self.arbiter, Arc::clone(shared), accounts);
                Some(current.clone())
            }
            Err(error) => {
                error!(%error, "the router cannot be started again");
                None
            }
        }
    }
}
