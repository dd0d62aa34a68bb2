//! The management API inside this process, for commands while no server runs: the same service, without listeners and
//! without background work.

use std::sync::Arc;
use std::time::Duration;

use actix::Arbiter;
use actix_web::rt::{System, SystemRunner};
use serde_json::Value;
use tracing::warn;

use crate::actors::configured::Configured;
use crate::actors::desk::RouterDesk;
use crate::actors::quota_poller::QuotaPoller;
use crate::actors::router::{FlushAll, Router};
use crate::actors::shared::Shared;
use crate::actors::snapshot::Snapshot;
use crate::api::jobs::Jobs;
use crate::api::{About, Api, ModelTests, Reply, Request, Service};
use crate::auth::audit::Caller;
use crate::cli::start::{Kind, Opened, StartError, open, reread, share};
use crate::cli::version;
use crate::clock::Clock;
use crate::config::options::{Inputs, Options};
use crate::id::request::request_id;
use crate::oauth::{SignIns, Surroundings};

/// A running token exchange is awaited this long (REL-RUN-3).
const LAST_EXCHANGE: Duration = Duration::from_secs(30);
/// What unwritten state gets at the end of a command.
const LAST_WRITES: Duration = Duration::from_secs(5);

/// What a command is going to do with the data folder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Look only: needs no lock, and works beside a server that has no socket.
    Read,
    /// Change something: needs the lock.
    Write,
}

/// The service of this process. Holds the data folder's lock until [`Local::close`].
pub struct Local {
    runner: SystemRunner,
    api: Api,
    shared: Arc<Shared>,
    desk: Arc<RouterDesk>,
    access: Access,
}

impl std::fmt::Debug for Local {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Local").field("api", &self.api).finish_non_exhaustive()
    }
}

impl Local {
    /// Opens the data folder and starts router and accounts in it. The config file is not applied: a command sees
    /// what is stored.
    ///
    /// # Errors
    /// As the start of a server; a running one holds the lock ([`crate::store::StoreError::Locked`]).
    pub fn open(options: Options, inputs: Inputs, access: Access) -> Result<Self, StartError> {
        let clock = Clock::System;
        let kind = Kind { read_only: access == Access::Read, ..Kind::default() };
        let opened = open(options, inputs, &kind, &clock)?;
        let Opened { store, fixed, options, inputs } = opened;
        let (snapshot, accounts) = Snapshot::load(&store, &fixed)?;
        let jobs = Jobs::load(&store, &clock)?;
        let shared = share(store, snapshot, &accounts, clock.clone())?;
        let runner = System::new();
        let (about, started) = (about(&clock), Arc::clone(&shared));
        let (api, desk) = runner.block_on(async move {
            let arbiter = Arbiter::current();
            let router = Router::start_on(&arbiter, Arc::clone(&started), accounts);
            let desk = Arc::new(RouterDesk::new(arbiter, router));
            let configured =
                Configured::new(Arc::clone(&started), Arc::clone(&desk), None, Box::new(|_| {}));
            let configured = Arc::new(configured);
            // It lives as long as the runtime: it waits for questions.
            drop(QuotaPoller::launch(Arc::clone(&started), Arc::clone(&desk), false));
            let surroundings = Surroundings::of(&options, None);
            let sign_ins =
                SignIns::launch(Arc::clone(&started), Arc::clone(&configured), surroundings);
            let reread = reread(Arc::clone(&started), fixed, options.clone(), inputs);
            let service = Service {
                model_tests: ModelTests::default(),
                public: None,
                shared: started,
                desk: Arc::clone(&desk),
                configured,
                sign_ins,
                reread,
                options: Arc::new(options),
                jobs,
                about: Arc::new(about),
            };
            (Api::new(service), desk)
        });
        Ok(Self { runner, api, shared, desk, access })
    }

    /// Answers one call. `target` is path and query.
    pub fn call(&self, method: &str, target: &str, body: Option<&Value>) -> Reply {
        let request = Request::new(method, target, Caller::command());
        let request = match body {
            Some(body) => request.with(body),
            None => request,
        };
        let id = request_id(None);
        self.runner.block_on(self.api.call(request, &id))
    }

    /// Lets router, accounts and sign-ins go on by themselves for a while.
    pub fn rest(&self, span: Duration) {
        // A timer is made inside the runtime that drives it.
        self.runner.block_on(async { tokio::time::sleep(span).await });
    }

    /// Writes what is not written yet and frees the data folder.
    pub fn close(self) {
        let Self { runner, api, shared, desk, access } = self;
        drop(api);
        if access == Access::Read {
            return;
        }
        runner.block_on(async {
            if !shared.exchanges.settle(shared.clock.now() + LAST_EXCHANGE).await {
                warn!("a new token could not be stored; sign in to its account again");
            }
            let flushed = tokio::time::timeout(LAST_WRITES, desk.addr().send(FlushAll)).await;
            if flushed.is_err() {
                warn!("accounts did not save their state in time");
            }
        });
        if let Err(error) = shared.audit.stop(LAST_WRITES) {
            warn!(%error, "rows of the audit log were not all written");
        }
        if let Err(error) = shared.ledger.stop(LAST_WRITES) {
            warn!(%error, "usage rows were not all written");
        }
        if let Err(error) = shared.store.close() {
            warn!(%error, "the database was not closed cleanly");
        }
    }
}

fn about(clock: &Clock) -> About {
    About {
        commit: version::COMMIT.to_owned(),
        started_at: clock.now_ms(),
        runtime: "no server runs; this command works on the data folder itself".to_owned(),
        mode: "not serving".to_owned(),
        ..About::default()
    }
}
