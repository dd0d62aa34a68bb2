//! The management API: what the operator does to a router, as JSON resources (`api.md`).
//!
//! Who may call it is the transport's business: the admin socket checks the peer (`server::admin`), a command
//! without a running server calls it in its own process. Behind both is [`Api::call`]: route → handler → service
//! function. A handler reads the call and shapes the reply; what it does to the store and the actors, it does through
//! functions that know no HTTP. Every change goes to the store first and is then taken into use by
//! [`Configured::reload`].
//!
//! | file | resource |
//! |---|---|
//! | `routes` | every route with its class |
//! | `call`, `error`, `page`, `merge` | conventions of `api.md` §1 |
//! | `auth` | the caller's session |
//! | `openapi` | all of this as an OpenAPI document |
//! | `jobs`, `alerts` | long work; what needs the operator |
//! | `status`, `server` | what runs here, and reading its files again |
//! | `accounts/` | accounts |
//! | `combos`, `aliases`, `explain` | names, and what a request for one would meet |
//! | `keys` | router keys |
//! | `providers`, `models`, `prices` | the catalog and what the operator says over it |
//! | `price_table`, `reprice` | prices as CSV; the request log at other prices |
//! | `model_work` | many models at once: fetched, tested, switched |
//! | `usage`, `period`, `series`, `report`, `csv` | what was used: in sum, over time, month by month, as a table to take away |
//! | `audit`, `recorded` | who did what, and which call leaves which event |
//! | `requests`, `bodies` | the request log, and captured bodies |
//! | `own`, `replay`, `trial` | real requests in the operator's name: the way to send one, one of the log again, one to a combo |
//! | `logs` | the operational log |
//! | `export` | long lists as files |
//! | `nodes/` | custom nodes, and what one would answer |
//! | `budgets`, `proxies` | spending limits; ways out |
//! | `settings`, `config_file` | settings one by one, and the config file |

mod accounts;
pub mod alerts;
mod aliases;
mod audit;
mod auth;
mod backups;
mod bodies;
mod budgets;
mod call;
mod combos;
mod config_file;
mod csv;
mod dialect;
mod error;
pub mod events;
mod explain;
mod export;
pub mod jobs;
mod keys;
mod logs;
mod merge;
mod model_work;
mod models;
mod nodes;
mod openapi;
mod own;
mod page;
mod period;
mod price_table;
mod prices;
mod providers;
mod proxies;
mod recorded;
mod replay;
mod report;
mod reprice;
mod requests;
mod routes;
mod series;
mod server;
mod settings;
mod status;
mod translate;
mod trial;
mod usage;

use std::cell::OnceCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::dev::ToEnvelope;
use actix::{Addr, Handler, Message};
use tracing::error;

pub use crate::api::call::{Body, Call, Parts, Reply, Request};
pub use crate::api::error::ApiError;
pub use crate::api::model_work::ModelTests;
pub use crate::api::own::{BodyCut, MakePublicApi, OwnReply, OwnRequest, PublicApi};
pub use crate::api::routes::{Class, ROUTES, Route};
pub use crate::api::status::About;

use crate::actors::configured::{Configured, Reread};
use crate::actors::desk::RouterDesk;
use crate::actors::router::Router;
use crate::actors::shared::Shared;
use crate::api::jobs::Jobs;
use crate::api::recorded::Noted;
use crate::api::routes::Found;
use crate::auth::audit::{Authority, Caller};
use crate::clock::Clock;
use crate::config::options::Options;
use crate::net::Clients;
use crate::oauth::SignIns;
use crate::store::{Connection, Owner, StoreError};

/// Longest wait for an answer of the router or an account that needs no upstream.
const ASK: Duration = Duration::from_secs(5);

/// What every thread that serves the API has in common. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    /// Process-wide state.
    pub shared: Arc<Shared>,
    /// The way to the router.
    pub desk: Arc<RouterDesk>,
    /// Takes what was stored into use.
    pub configured: Arc<Configured>,
    /// Sign-ins under way, and imports.
    pub sign_ins: SignIns,
    /// Reads again what start-up read: `.env` files, the config file.
    pub reread: Reread,
    /// What start-up found and decided.
    pub options: Arc<Options>,
    /// Long work.
    pub jobs: Jobs,
    /// What runs here, for people.
    pub about: Arc<About>,
    /// What came of testing models.
    pub model_tests: ModelTests,
    /// The way to send a request of one's own; `None` = no router runs here.
    pub public: Option<MakePublicApi>,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("about", &self.about).finish_non_exhaustive()
    }
}

/// The API on one thread: its outbound clients do not leave it.
#[derive(Debug)]
pub struct Api {
    service: Service,
    clients: Clients,
    /// Made when it is needed for the first time.
    public: OnceCell<Rc<dyn PublicApi>>,
}

impl Api {
    /// The API for the calling thread.
    #[must_use]
    pub fn new(service: Service) -> Self {
        let clients = Clients::new(Arc::clone(&service.shared.net));
        Self { service, clients, public: OnceCell::new() }
    }

    /// Answers one call. `request_id` names it in errors and in the log.
    pub async fn call(&self, request: Request, request_id: &str) -> Reply {
        match self.answer(request).await {
            Ok(reply) => reply,
            Err(error) => Reply::refused(&error, request_id),
        }
    }

    /// The route of a call, for transports that must know its class or the size of its body first.
    ///
    /// # Errors
    /// 400, 404 or 405, as [`Api::call`] would answer.
    pub fn route(method: &str, target: &str) -> Result<&'static Route, ApiError> {
        found(method, target).map(|(route, _)| route)
    }

    async fn answer(&self, request: Request) -> Result<Reply, ApiError> {
        let (route, call) = found(&request.method, &request.target)?;
        if request.body.len() > route.body {
            return Err(too_large(route));
        }
        if request.caller.authority == Authority::Anonymous && route.method != "GET" {
            return Err(ApiError::not_signed_in());
        }
        if route.class == Class::Sudo {
            match route.is_own_judge() {
                true => self.require_audit()?,
                false => self.require_sudo(&request.caller)?,
            }
        }
        let Request { body, if_match, last_event_id, caller, .. } = request;
        let call = Call { body, if_match, last_event_id, caller, ..call };
        let (noted, caller) = (Noted::of(route, &call), call.caller.clone());
        let reply = route.run(self, call).await?;
        if let Some(event) = noted.and_then(|noted| noted.after(&reply)) {
            self.shared().audit.record(&caller, event);
        }
        Ok(reply)
    }

    /// Refuses who may not do what needs the password again.
    fn require_sudo(&self, caller: &Caller) -> Result<(), ApiError> {
        if caller.is_sudo() { self.require_audit() } else { Err(ApiError::sudo_required()) }
    }

    /// Refuses what must be noted while nothing can be (SEC-AUD-6).
    fn require_audit(&self) -> Result<(), ApiError> {
        match self.shared().audit.is_available() {
            true => Ok(()),
            false => Err(ApiError::audit_unavailable()),
        }
    }

    /// The router's clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.service.shared.clock
    }

    fn sign_ins(&self) -> &SignIns {
        &self.service.sign_ins
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.service.shared
    }

    /// Runs a read transaction on the blocking pool.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let store = self.shared().store.clone();
        blocking(move || store.read(work).map_err(ApiError::from)).await
    }

    /// Runs a write transaction on the blocking pool. A refusal of `work` itself must come before its first write:
    /// only an error of the store rolls back.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<Result<T, ApiError>, StoreError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let store = self.shared().store.clone();
        blocking(move || store.write(work).map_err(ApiError::from)).await?
    }

    /// Takes what was stored into use.
    async fn reload(&self) -> Result<(), ApiError> {
        self.service.configured.reload().await.map_err(|error| {
            error!(%error, "a stored change is not in use");
            ApiError::unavailable(format!(
                "the change is stored, but could not be taken into use: {error}; reload, or restart the server"
            ))
        })
    }

    /// The router, started again when it died.
    async fn router(&self) -> Result<Addr<Router>, ApiError> {
        let known = self.service.desk.addr();
        if known.connected() {
            return Ok(known);
        }
        let (desk, shared) = (Arc::clone(&self.service.desk), Arc::clone(self.shared()));
        let revived = blocking(move || Ok(desk.respawn(&shared))).await?;
        revived
            .ok_or_else(|| ApiError::unavailable("the router does not run; see the server's log"))
    }

    /// Asks the router.
    async fn ask<M>(&self, message: M) -> Result<M::Result, ApiError>
    where
        M: Message + Send + 'static,
        M::Result: Send,
        Router: Handler<M>,
        actix::Context<Router>: ToEnvelope<Router, M>,
    {
        let answer = self.router().await?.send(message).timeout(ASK).await;
        answer.map_err(|_gone| ApiError::unavailable("the router does not answer; try again"))
    }
}

fn found(method: &str, target: &str) -> Result<(&'static Route, Call), ApiError> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    match routes::find(method, path)? {
        Found::Route(route, params) => {
            let query = call::parse_query(query)?;
            Ok((route, Call { params, query, ..Call::default() }))
        }
        Found::Methods(methods) => {
            let allow = methods.join(", ");
            let message =
                format!("method {} is not allowed here; use {allow}", error::shown(method));
            Err(ApiError::new(405, "method_not_allowed", message).with("allow", allow.into()))
        }
        Found::Nothing => {
            let message =
                format!("no such route: `{} {}`", error::shown(method), error::shown(path));
            Err(ApiError::new(404, "not_found", message))
        }
    }
}

/// The refusal of a body that is larger than the route takes.
#[must_use]
pub fn too_large(route: &Route) -> ApiError {
    let message = format!("the body is larger than {} bytes", route.body);
    ApiError::new(413, "body_too_large", message)
}

/// Refuses a change of what the config file owns.
fn managed(what: &str, owner: Option<Owner>) -> Result<(), ApiError> {
    match owner {
        None => Ok(()),
        Some(Owner::ConfigFile) => Err(ApiError::managed(what)),
    }
}

/// Runs blocking work off this thread.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(why) => {
            error!(%why, "a management call ended before its time");
            Err(ApiError::new(500, "internal", "the call failed inside the router; see its log"))
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Admin => "Admin",
            Self::Sudo => "Sudo",
        })
    }
}
