//! The owner of sign-ins under way: takes the calls, keeps the opened ports, lets what is late expire.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tracing::{debug, warn};

use super::error::SignInError;
use super::files::{self, Candidate};
use super::import::{ImportRequest, Imported};
use super::listener::Opened;
use super::page::Page;
use super::redeem::Session;
use super::start::{StartSignIn, Started};
use super::{Callback, Surroundings};
use crate::actors::configured::Configured;
use crate::actors::shared::Shared;
use crate::id::FlowId;
use crate::net::Clients;
use crate::provider::catalog::Provider;
use crate::provider::oauth::connect::SignIn;
use crate::secret::Secret;
use crate::store::{Connection, Sealer, StoreError, oauth_flows};

/// How often late sign-ins are looked for. Whether one is late is decided by its instant, not by this.
const SETTLE_EVERY: Duration = Duration::from_secs(10);

/// The actor. Lives on the control thread.
#[derive(Debug)]
pub(super) struct Desk(Rc<Inner>);

/// What the work of several calls at once shares.
pub(super) struct Inner {
    pub(super) shared: Arc<Shared>,
    pub(super) configured: Arc<Configured>,
    pub(super) surroundings: Surroundings,
    pub(super) clients: Clients,
    /// Ports opened for a browser to come back to.
    pub(super) opened: RefCell<HashMap<u16, Opened>>,
    /// Sign-ins whose account is stored and is being taken into use: they are done when it is.
    pub(super) settling: RefCell<HashSet<FlowId>>,
    /// For the servers on those ports.
    pub(super) desk: RefCell<Option<Addr<Desk>>>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").finish_non_exhaustive()
    }
}

impl Desk {
    pub(super) fn launch(
        shared: Arc<Shared>,
        configured: Arc<Configured>,
        surroundings: Surroundings,
    ) -> Addr<Self> {
        let clients = Clients::new(Arc::clone(&shared.net));
        let inner = Inner {
            shared,
            configured,
            surroundings,
            clients,
            opened: RefCell::default(),
            settling: RefCell::default(),
            desk: RefCell::default(),
        };
        Self(Rc::new(inner)).start()
    }
}

impl Inner {
    /// Runs `work` in one write transaction, off this thread.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection, &Sealer) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, SignInError> {
        let store = self.shared.store.clone();
        let done = tokio::task::spawn_blocking(move || {
            let sealer = store.sealer().clone();
            store.write(|conn| work(conn, &sealer))
        });
        // The work panicked; it changed nothing.
        let done = done.await.map_err(|error| SignInError::unavailable(error.to_string()))?;
        Ok(done?)
    }

    /// Runs `work` in one read transaction, off this thread.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, SignInError> {
        let store = self.shared.store.clone();
        let done = tokio::task::spawn_blocking(move || store.read(work));
        let done = done.await.map_err(|error| SignInError::unavailable(error.to_string()))?;
        Ok(done?)
    }

    /// A provider by id or prefix, with its sign-in.
    pub(super) fn provider(
        &self,
        name: &str,
    ) -> Result<(Arc<Provider>, &'static SignIn), SignInError> {
        let snapshot = self.shared.snapshot.load();
        let catalog = &snapshot.catalog;
        let found = catalog.by_id(name).or_else(|| catalog.by_prefix(name));
        let provider = found.ok_or_else(|| {
            SignInError::not_found(format!(
                "no provider `{name}`; `ninerouter provider list` shows those there are"
            ))
        })?;
        let sign_in = SignIn::of(provider).ok_or_else(|| {
            let other = match provider.takes_api_key() {
                true => "; add an account with an API key instead",
                false => "",
            };
            SignInError::invalid(format!("this router has no sign-in for `{}`{other}", provider.id))
        })?;
        Ok((Arc::clone(provider), sign_in))
    }

    /// Lets late sign-ins expire, and closes their ports.
    pub(super) async fn settle(&self) {
        let now = self.shared.clock.now_ms();
        self.opened.borrow_mut().retain(|_, opened| opened.expires_at > now);
        if let Err(error) = self.write(move |conn, _| oauth_flows::settle(conn, now)).await {
            // They expire by their instant all the same; a store that takes no write is told of elsewhere.
            debug!(%error, "old sign-ins could not be removed");
        }
    }

    /// Closes the port that was opened for a sign-in, once the reply that is under way has gone.
    pub(super) fn close_port(&self, flow: FlowId) {
        self.opened.borrow_mut().retain(|_, opened| opened.flow != flow);
    }
}

impl Actor for Desk {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        *self.0.desk.borrow_mut() = Some(ctx.address());
        let (inner, started_at) = (Rc::clone(&self.0), self.0.shared.clock.now_ms());
        let recover = async move {
            const MESSAGE: &str = "the router stopped while it exchanged the code; start again";
            let recovered = inner.write(move |conn, _| {
                oauth_flows::fail_interrupted(conn, started_at, MESSAGE)?;
                oauth_flows::settle(conn, started_at)?;
                oauth_flows::all_awaited(conn, started_at)
            });
            recovered.await.unwrap_or_else(|error| {
                warn!(%error, "sign-ins of the last run could not be looked at");
                Vec::new()
            })
        };
        let watch_again = recover.into_actor(self).map(|awaited, act, ctx| {
            for id in awaited {
                ctx.spawn(Rc::clone(&act.0).watch(id).into_actor(act));
            }
        });
        ctx.wait(watch_again);
        ctx.run_interval(SETTLE_EVERY, |act, ctx| {
            let inner = Rc::clone(&act.0);
            ctx.spawn(async move { inner.settle().await }.into_actor(act));
        });
    }
}

/// See [`super::SignIns::start`].
#[derive(Debug, Message)]
#[rtype(result = "Result<Started, SignInError>")]
pub(super) struct Start(pub(super) StartSignIn);

/// Asks for the code of a sign-in until it is entered.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Watch(pub(super) FlowId);

/// See [`super::SignIns::session`].
#[derive(Debug, Message)]
#[rtype(result = "Result<Session, SignInError>")]
pub(super) struct Look(pub(super) FlowId);

/// See [`super::SignIns::paste`].
#[derive(Debug, Message)]
#[rtype(result = "Result<Session, SignInError>")]
pub(super) struct Paste {
    pub(super) id: FlowId,
    pub(super) input: Secret,
}

/// See [`super::SignIns::cancel`].
#[derive(Debug, Message)]
#[rtype(result = "Result<Session, SignInError>")]
pub(super) struct Cancel(pub(super) FlowId);

/// See [`super::SignIns::callback`].
#[derive(Debug, Message)]
#[rtype(result = "Page")]
pub(super) struct Arrived(pub(super) Callback);

/// See [`super::SignIns::scan`].
#[derive(Debug, Message)]
#[rtype(result = "Result<Vec<Candidate>, SignInError>")]
pub(super) struct Scan(pub(super) String);

/// See [`super::SignIns::import`].
#[derive(Debug, Message)]
#[rtype(result = "Result<Vec<Imported>, SignInError>")]
pub(super) struct Import(pub(super) ImportRequest);

// Each answer is a task of its own on this thread: it goes on when its caller leaves.

impl Handler<Start> for Desk {
    type Result = ResponseFuture<Result<Started, SignInError>>;

    fn handle(&mut self, Start(ask): Start, _: &mut Self::Context) -> Self::Result {
        let inner = Rc::clone(&self.0);
        Box::pin(async move { inner.start(ask).await })
    }
}

impl Handler<Watch> for Desk {
    type Result = ();

    fn handle(&mut self, Watch(id): Watch, ctx: &mut Self::Context) {
        ctx.spawn(Rc::clone(&self.0).watch(id).into_actor(self));
    }
}

impl Handler<Look> for Desk {
    type Result = ResponseFuture<Result<Session, SignInError>>;

    fn handle(&mut self, Look(id): Look, _: &mut Self::Context) -> Self::Result {
        let inner = Rc::clone(&self.0);
        Box::pin(async move { inner.session(id).await })
    }
}

impl Handler<Paste> for Desk {
    type Result = ResponseFuture<Result<Session, SignInError>>;

    fn handle(&mut self, Paste { id, input }: Paste, _: &mut Self::Context) -> Self::Result {
        let inner = Rc::clone(&self.0);
        Box::pin(async move { inner.paste(id, &input).await })
    }
}

impl Handler<Cancel> for Desk {
    type Result = ResponseFuture<Result<Session, SignInError>>;

    fn handle(&mut self, Cancel(id): Cancel, _: &mut Self::Context) -> Self::Result {
        let inner = Rc::clone(&self.0);
        Box::pin(async move { inner.cancel(id).await })
    }
}

impl Handler<Arrived> for Desk {
    type Result = ResponseFuture<Page>;

    fn handle(&mut self, Arrived(callback): Arrived, _: &mut Self::Context) -> Self::Result {
        let inner = Rc::clone(&self.0);
        Box::pin(async move { inner.callback(callback).await })
    }
}

impl Handler<Scan> for Desk {
    type Result = ResponseFuture<Result<Vec<Candidate>, SignInError>>;

    fn handle(&mut self, Scan(provider): Scan, _: &mut Self::Context) -> Self::Result {
        let inner = Rc::clone(&self.0);
        Box::pin(async move {
            let (provider, sign_in) = inner.provider(&provider)?;
            let found = files::scan(&provider, sign_in, &inner.surroundings.homes).await?;
            Ok(found.into_iter().map(|found| found.candidate).collect())
        })
    }
}

impl Handler<Import> for Desk {
    type Result = ResponseFuture<Result<Vec<Imported>, SignInError>>;

    fn handle(&mut self, Import(ask): Import, _: &mut Self::Context) -> Self::Result {
        let inner = Rc::clone(&self.0);
        Box::pin(async move { inner.import(ask).await })
    }
}
