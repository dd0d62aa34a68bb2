//! One look at a usage endpoint.

use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use bytes::Bytes;
use ninerouter_dialect::SplicedBody;

use super::cadence::Looked;
use crate::actors::account::{Account, AuthFailed, PollFailure, QuotaPolled, RefreshNow, Show};
use crate::actors::router::Counting;
use crate::actors::shared::Shared;
use crate::net::{
    Clients, Destination, Initiator, Method, NetError, Outgoing, Purpose, wire_headers,
};
use crate::provider::beside::BesideCx;
use crate::provider::catalog::Provider;
use crate::provider::credential::Credential;
use crate::provider::proxy::Route;
use crate::provider::quota::usage::{NotUsage, UsageRequest, parse, usage_request};
use crate::provider::quota::{Document, Reading};
use crate::provider::request::ShapeError;

/// Largest usage page.
const MAX_BODY: usize = 1 << 20;
/// An account answers within this time (security §17, actor ask).
const ASK: Duration = Duration::from_secs(2);

/// Why a look brought nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("the usage page did not answer in time")]
    Timeout,
    #[error(
        "the usage page may not be read with this credential (status {0}); requests may work all the same"
    )]
    Refused(u16),
    #[error("the usage page is asked too often (status 429)")]
    Throttled,
    #[error("the usage page answered with status {0}")]
    Status(u16),
    #[error("the usage page says something that is not understood")]
    NotUsage(#[from] NotUsage),
    #[error("the usage page cannot be reached: {0}")]
    Net(#[from] NetError),
    #[error("the usage page cannot be asked: {0}")]
    Shape(#[from] ShapeError),
    #[error("the account has no usage page")]
    NoEndpoint,
}

/// What looking needs; independent of the actor, which answers meanwhile.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) shared: Arc<Shared>,
    pub(super) clients: Clients,
}

/// How a look ended.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) looked: Looked,
    /// The account's document afterwards; `None` when it has none, or is gone.
    pub(super) document: Option<Arc<Document>>,
}

impl Caller {
    /// Looks at the usage of one account and tells its actor.
    pub(super) async fn look(&self, provider: &Provider, account: &Addr<Account>) -> Option<Done> {
        let mut shown = self.credential(account).await?;
        let mut outcome = self.once(provider, &shown).await;
        if let Err(Failure::Refused(401)) = outcome
            && let Some(newer) = self.renewed(account, &shown).await
        {
            // Once: a page that refuses a fresh token, too, is not for this account (accounts §4.4).
            shown.credential = newer;
            outcome = self.once(provider, &shown).await;
        }
        let generation = shown.credential.generation;
        let looked = match &outcome {
            Ok(_) => Looked::Read,
            Err(Failure::Throttled) => Looked::Throttled,
            Err(_) => Looked::Failed,
        };
        let outcome = outcome.map_err(|failure| PollFailure {
            message: failure.to_string(),
            refused: matches!(failure, Failure::Refused(_)),
        });
        let told = account.send(QuotaPolled { generation, outcome }).timeout(ASK).await;
        Some(Done { looked, document: told.ok().flatten() })
    }

    /// The account's credential; one that ran out while nobody used it is renewed by the account first.
    async fn credential(&self, account: &Addr<Account>) -> Option<Counting> {
        let show = || async { account.send(Show).timeout(ASK).await.ok().flatten() };
        if let Some(shown) = show().await {
            return Some(shown);
        }
        let patience = self.shared.snapshot.load().settings.timeouts.refresh + ASK;
        let renewed = account.send(RefreshNow { force: false }).timeout(patience).await;
        renewed.ok()?.ok()?;
        show().await
    }

    /// A newer credential than the one that was refused.
    async fn renewed(
        &self,
        account: &Addr<Account>,
        refused: &Counting,
    ) -> Option<Arc<Credential>> {
        let generation = refused.credential.generation;
        let failed = AuthFailed { lease: None, generation };
        let renewal = account.send(failed).timeout(ASK).await.ok()?;
        let patience = self.shared.snapshot.load().settings.timeouts.refresh + ASK;
        renewal.wait(patience).await.filter(|newer| newer.generation > generation)
    }

    async fn once(&self, provider: &Provider, shown: &Counting) -> Result<Reading, Failure> {
        let patience = self.shared.snapshot.load().settings.timeouts.quota;
        let read = async {
            let (request, route) = {
                let snapshot = self.shared.snapshot.load();
                let request = usage_request(&BesideCx {
                    provider,
                    account: &shown.account,
                    credential: &shown.credential,
                    extra_headers: snapshot.extra_headers(&provider.id),
                    moment: self.shared.moment(&snapshot),
                })?;
                (request, snapshot.route(&shown.account.proxy, provider))
            };
            let request = request.ok_or(Failure::NoEndpoint)?;
            self.read(provider, route, &request, patience).await
        };
        tokio::time::timeout(patience, read).await.unwrap_or(Err(Failure::Timeout))
    }

    async fn read(
        &self,
        provider: &Provider,
        route: Route,
        request: &UsageRequest,
        patience: Duration,
    ) -> Result<Reading, Failure> {
        let asked_at = self.shared.clock.now_ms();
        let body = request.body.as_ref().map_or_else(Bytes::new, |body| body.clone().into());
        let out = Outgoing {
            method: if request.body.is_some() { Method::POST } else { Method::GET },
            url: request.url.clone(),
            headers: wire_headers(&request.headers),
            body: SplicedBody::whole(body),
            dest: Destination::of(provider),
            route,
            head_timeout: patience,
            send_stall: patience,
            initiator: Initiator::of(Purpose::Quota, &provider.id),
        };
        let reply = self.clients.send(out).await?;
        match reply.status {
            200..=299 => {
                let body = reply.body.collect(MAX_BODY, patience).await?;
                Ok(parse(request.style, provider, &body, asked_at)?)
            }
            429 => Err(Failure::Throttled),
            status @ (401 | 403) => Err(Failure::Refused(status)),
            status => Err(Failure::Status(status)),
        }
    }
}
