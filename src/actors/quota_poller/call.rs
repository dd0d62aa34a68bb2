//! One look at a usage endpoint.

use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use bytes::Bytes;
use ninerouter_dialect::SplicedBody;

use super::cadence::Looked;
use crate::actors::account::{Account, PollFailure, QuotaPolled, Show};
use crate::actors::shared::Shared;
use crate::net::{Clients, Destination, Method, NetError, Outgoing, wire_headers};
use crate::provider::catalog::Provider;
use crate::provider::proxy::Route;
use crate::provider::quota::usage::{NotUsage, UsageCx, UsageRequest, parse, usage_request};
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
        let shown = account.send(Show).timeout(ASK).await.ok().flatten()?;
        let generation = shown.credential.generation;
        let patience = self.shared.snapshot.load().settings.timeouts.quota;
        let read = tokio::time::timeout(patience, async {
            let request = {
                let snapshot = self.shared.snapshot.load();
                usage_request(&UsageCx {
                    provider,
                    account: &shown.account,
                    credential: &shown.credential,
                    extra_headers: snapshot.extra_headers(&provider.id),
                    moment: self.shared.moment(&snapshot),
                })?
            };
            let request = request.ok_or(Failure::NoEndpoint)?;
            let route = self.shared.snapshot.load().route(&shown.account.proxy, provider);
            self.read(provider, route, &request, patience).await
        });
        let outcome = read.await.unwrap_or(Err(Failure::Timeout));
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
