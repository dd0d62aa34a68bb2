//! A token count by the upstream's own counter. It uses no lease, leaves no row, and what fails is no
//! account's fault: the caller has an estimate (translation §2.12).

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::Method;
use bytes::Bytes;
use ninerouter_dialect::translate::{PrepareCx, RequestTranslator, TranslateError};
use ninerouter_dialect::{Dialect, PeekError, SplicedBody, apply_edits, peek};
use tracing::debug;

use crate::actors::router::{Counting, ForCounting};
use crate::auth::candidate::query_without_key;
use crate::gateway::admission::{Door, Inside};
use crate::gateway::inference::joined;
use crate::gateway::route::Endpoint as Path;
use crate::net::{Destination, Initiator, NetError, Outgoing, Purpose, Route, wire_headers};
use crate::provider::catalog::{Endpoint, ModelFacts};
use crate::provider::count::{answer, prompt, request};
use crate::provider::endpoint;
use crate::provider::request::{Call, ShapeCx, ShapeError, Shaped, shape};
use crate::provider::translation::Upstream;
use crate::routing::resolve::{Resolved, resolve};
use crate::routing::target::Target;

/// Longest wait for a count; clients want it at once, and thirty of them.
const LIMIT: Duration = Duration::from_secs(5);
/// The largest answer that can be a count.
const ANSWER: usize = 64 << 10;

/// Why there is no native count.
#[derive(Debug, thiserror::Error)]
enum Uncounted {
    #[error("the model is unknown, or the key may not use it")]
    NoTarget,
    #[error("no account of the provider has a counter now")]
    NoCounter,
    #[error("the prompt names media by address")]
    Media,
    #[error("the prompt cannot be read: {0}")]
    Peek(#[from] PeekError),
    #[error("the prompt cannot be translated: {0}")]
    Translate(#[from] TranslateError),
    #[error("the call cannot be built: {0}")]
    Shape(#[from] ShapeError),
    #[error("{0}")]
    Net(#[from] NetError),
    #[error("the upstream answered with status `{0}`")]
    Status(u16),
    #[error("the upstream's answer is no count")]
    Answer,
    #[error("no count in time")]
    TooSlow,
}

/// One count under way.
struct Count<'a> {
    door: &'a Door,
    inside: &'a Inside,
    /// Dialect of the client.
    dialect: Dialect,
    target: Arc<Target>,
}

/// What the upstream counts for a client's counting call; `None` when it cannot be asked.
pub(super) async fn count(
    door: &Door,
    inside: &Inside,
    dialect: Dialect,
    body: &Bytes,
    estimate: u64,
) -> Option<u64> {
    let counted = ask(door, inside, dialect, body, estimate);
    let counted = tokio::time::timeout(LIMIT, counted).await.unwrap_or(Err(Uncounted::TooSlow));
    counted
        .inspect_err(|why| debug!(request.id = %door.request_id, "tokens are estimated: {why}"))
        .ok()
}

async fn ask(
    door: &Door,
    inside: &Inside,
    dialect: Dialect,
    body: &Bytes,
    estimate: u64,
) -> Result<u64, Uncounted> {
    let body = prompt(dialect, body);
    let model = match &door.matched.endpoint {
        Path::GemAction { model, .. } => model.clone(),
        _ => peek(dialect, &body)?.require_model()?.value.clone(),
    };
    let target = target(inside, &model).ok_or(Uncounted::NoTarget)?;
    let count = Count { door, inside, dialect, target };
    let counting = count.account().await.ok_or(Uncounted::NoCounter)?;
    let endpoint = count.endpoint(&counting).ok_or(Uncounted::NoCounter)?;
    let facts = count.facts();
    let upstream = &count.target.upstream_model;
    let upstream = Upstream::at(&count.target.provider, endpoint, upstream, facts);
    let upstream = upstream.ok_or(Uncounted::NoCounter)?;
    let (body, betas) = if upstream.dialect == dialect {
        (body, Vec::new())
    } else {
        count.translated(&upstream, &model, &body, estimate)?
    };
    let shaped = count.shaped(endpoint, &counting, upstream.dialect, &body, &betas)?;
    let body = joined(apply_edits(&body, &shaped.edits)?);
    let body = request(upstream.dialect, upstream.envelope, upstream.model, &body);
    let route = inside.snapshot.route(&counting.account.proxy, &count.target.provider);
    count.sent(upstream.dialect, shaped, body.ok_or(Uncounted::NoCounter)?, route).await
}

/// The first target that the caller may use: of a combo that, too, whose model will most often serve.
fn target(inside: &Inside, model: &str) -> Option<Arc<Target>> {
    let snapshot = &inside.snapshot;
    let unknown = snapshot.settings.unknown_model_provider.as_deref();
    let resolved = resolve(model, &snapshot.names, &snapshot.catalog, unknown).ok()?;
    let combo = match &resolved {
        Resolved::Target(_) => None,
        Resolved::Combo { combo, .. } => Some(&*combo.name),
    };
    let key = inside.caller().key();
    if let (Some(key), Some(_)) = (key, combo)
        && (!key.may_use_combo(combo) || snapshot.usable(key, &resolved).is_none())
    {
        return None;
    }
    let may = |target: &Arc<Target>| {
        key.is_none_or(|key| key.may_use(&target.provider.id, &target.key, combo))
    };
    snapshot.leaves(&resolved).into_iter().find(may)
}

impl Count<'_> {
    async fn account(&self) -> Option<Counting> {
        let ask = ForCounting { target: Arc::clone(&self.target), dialect: self.dialect };
        self.door.worker.router().await.send(ask).timeout(LIMIT).await.ok().flatten()
    }

    fn endpoint(&self, counting: &Counting) -> Option<&Endpoint> {
        let provider = &self.target.provider;
        let pinned = counting.account.endpoint.as_deref();
        endpoint::counter(provider, provider.model(&self.target.model), self.dialect, pinned)
    }

    fn facts(&self) -> Option<ModelFacts<'_>> {
        let target = &self.target;
        self.inside.snapshot.catalog.model_facts(&target.provider, &target.model)
    }

    fn translated(
        &self,
        upstream: &Upstream<'_>,
        model: &str,
        body: &[u8],
        estimated_input: u64,
    ) -> Result<(Bytes, Vec<&'static str>), Uncounted> {
        let mut translator = RequestTranslator::decode(self.dialect, body)?;
        translator.request_mut().model = model.to_owned().into();
        let key = self.inside.caller().key().map(|key| key.id);
        let memory = self.door.worker.signatures.reader(key);
        let now = self.door.worker.shared.clock.now_ms().div_euclid(1_000);
        let now = u64::try_from(now).unwrap_or(0);
        let cx = PrepareCx { signatures: &memory, now, estimated_input };
        let prepared = translator.prepare(&upstream.target(), &cx)?;
        if !prepared.wanted_media().is_empty() {
            // A count is not worth a download.
            return Err(Uncounted::Media);
        }
        let encoded = prepared.encode()?;
        Ok((encoded.body.into(), encoded.betas))
    }

    fn shaped(
        &self,
        endpoint: &Endpoint,
        counting: &Counting,
        dialect: Dialect,
        body: &[u8],
        betas: &[&'static str],
    ) -> Result<Shaped, Uncounted> {
        let (shared, snapshot) = (&self.door.worker.shared, &self.inside.snapshot);
        let query = query_without_key(self.door.http.query_string());
        Ok(shape(&ShapeCx {
            provider: &self.target.provider,
            endpoint,
            upstream_model: &self.target.upstream_model,
            facts: self.facts(),
            // How long it would think is no part of the prompt.
            effort: None,
            long_context: self.target.long_context,
            account: &counting.account,
            credential: &counting.credential,
            dialect,
            betas,
            call: Call::CountTokens,
            stream: false,
            client_headers: &|name| self.door.header(name),
            client_query: Some(&*query).filter(|_| dialect == self.dialect),
            peek: &peek(dialect, body)?,
            session_id: None,
            supports_stream_usage: false,
            extra_headers: snapshot.extra_headers(&self.target.provider.id),
            moment: shared.moment(snapshot),
        })?)
    }

    async fn sent(
        &self,
        upstream: Dialect,
        shaped: Shaped,
        body: Vec<u8>,
        route: Route,
    ) -> Result<u64, Uncounted> {
        let outgoing = Outgoing {
            method: Method::POST,
            headers: wire_headers(&shaped.headers),
            url: shaped.url,
            body: SplicedBody::whole(body.into()),
            dest: Destination::of(&self.target.provider),
            route,
            head_timeout: LIMIT,
            send_stall: LIMIT,
            initiator: Initiator::of(Purpose::CountTokens, &self.target.provider.id)
                .within(&self.door.request_id),
        };
        let reply = self.door.worker.clients.send(outgoing).await?;
        if reply.status != 200 {
            return Err(Uncounted::Status(reply.status));
        }
        let body = reply.body.collect(ANSWER, LIMIT).await?;
        answer(upstream, &body).ok_or(Uncounted::Answer)
    }
}
