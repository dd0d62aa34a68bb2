//! Redeeming a refresh token at the provider's endpoint (accounts §3.2, §3.4).

use std::time::Duration;

use bytes::Bytes;
use ninerouter_dialect::SplicedBody;
use tracing::warn;

use super::run::{Brought, Exchange, Held, New};
use super::{Unrenewed, Why};
use crate::net::{Destination, Initiator, Method, NetError, Outgoing, Purpose, wire_headers};
use crate::provider::oauth::refresh::{CLIENT_ID, SCOPE};
use crate::provider::oauth::{
    Client, Failure, FailureKind, Family, Refresh, TokenAnswer, TokenCall, Tokens, Variant, judge,
    reply,
};
use crate::redact::Known;
use crate::routing::freshness;
use crate::secret::Secret;

/// What people read when a refresh token is finished (accounts §3.2, §3.4).
const FINISHED: &str = "the refresh token was revoked, ran out, or was used by another program; or the router was killed \
                        before it could store its successor. Sign in again";

impl Exchange {
    /// Redeems the refresh token. Repeats after transient failures while a request waits.
    pub(super) async fn redeem(&self, held: &Held) -> Result<Brought, Unrenewed> {
        let snapshot = self.job.shared.snapshot.load_full();
        let provider = &self.job.provider;
        let (Some(family), Some(oauth)) = (Family::of(provider), &provider.oauth) else {
            return Err(Unrenewed::new(Why::NoWay, "tokens of this provider are not refreshed"));
        };
        let Some(refresh_token) = &held.refresh_token else {
            let text = "the account has no refresh token; sign in again";
            return Err(Unrenewed::new(Why::NoWay, text));
        };
        let own = held.credential.extra.get(CLIENT_ID).map(Secret::expose);
        let client = Client::of(provider, snapshot.oauth_client(&provider.id), own)
            .map_err(|error| Unrenewed::new(Why::Dead("client"), error.to_string()))?;
        let granted = held.credential.extra.get(SCOPE).map(Secret::expose);
        let refresh = Refresh { oauth, family, client: &client, refresh_token, granted };
        let patience = snapshot.settings.timeouts.refresh;
        // An endpoint that refuses a token may quote it.
        let own = [Some(refresh_token), client.secret.as_ref()].into_iter().flatten();
        let known = Known::new(own.map(Secret::expose));
        let mut variant = Variant::default();
        let mut failures = 0;
        loop {
            let Some(call) = refresh.call(variant) else {
                let text = "the token endpoint has no such path";
                return Err(Unrenewed::new(Why::Transient, text));
            };
            let failure = match self.ask(family, call, patience).await {
                Ok(tokens) => return Ok(Brought::Tokens(Box::new(tokens.into()))),
                Err(failure) => failure,
            };
            let failure = Failure { text: known.text(&failure.text).into_owned(), ..failure };
            match failure.kind {
                FailureKind::NoSuchPath => {
                    variant.addresses_tried += 1;
                    continue;
                }
                FailureKind::Ours if refresh.scope(variant).is_some() => {
                    variant.without_scope = true;
                    continue;
                }
                FailureKind::Permanent(_) | FailureKind::Configuration | FailureKind::Policy => {
                    return self.once_more(held, family, failure).await;
                }
                FailureKind::Throttled(until) => return Err(told(Why::Throttled(until), failure)),
                FailureKind::Ours | FailureKind::Transient => {}
            }
            if failure.kind == FailureKind::Ours {
                warn!(provider = %provider.id, "the token endpoint refuses the router's request: {}", failure.text);
            }
            failures += 1;
            let pause = freshness::repetition_ms(failures, self.job.shared.jitter());
            match pause.filter(|_| self.is_wanted()) {
                Some(pause) => {
                    tokio::time::sleep(Duration::from_millis(pause.unsigned_abs())).await;
                }
                None => return Err(told(Why::Transient, failure)),
            }
            if !self.is_wanted() {
                return Err(told(Why::Transient, failure));
            }
        }
    }

    /// A refusal that is meant for good: unless somebody else stored a newer credential meanwhile.
    async fn once_more(
        &self,
        held: &Held,
        family: &Family,
        failure: Failure,
    ) -> Result<Brought, Unrenewed> {
        let now = self.held().await?;
        if now.credential.generation > held.credential.generation {
            return Ok(Brought::Newer(now.credential));
        }
        Err(match failure.kind {
            FailureKind::Permanent(code) => {
                let help = family.finished_help.map(|help| format!(". {help}")).unwrap_or_default();
                let text = format!("{}: {FINISHED}{help}", failure.text);
                told(Why::Dead(code), Failure { text, ..failure })
            }
            FailureKind::Policy => {
                let help = "the account's organisation does not allow it; ask its administrator";
                let text = format!("{}: {help}", failure.text);
                told(Why::Dead("policy"), Failure { text, ..failure })
            }
            _ => {
                let id = &self.job.provider.id;
                let text = format!(
                    "{}: the OAuth client is refused. Check `oauth.{id}.client_id` and `oauth.{id}.client_secret`, or \
                     sign in again where the client's registration ran out",
                    failure.text
                );
                told(Why::Dead("client"), Failure { text, ..failure })
            }
        })
    }

    async fn ask(
        &self,
        family: &Family,
        call: TokenCall,
        patience: Duration,
    ) -> Result<Tokens, Failure> {
        let snapshot = self.job.shared.snapshot.load();
        let outgoing = Outgoing {
            method: Method::POST,
            route: snapshot.route(&self.job.account.proxy, &self.job.provider),
            url: call.url,
            headers: wire_headers(&call.headers),
            body: SplicedBody::whole(call.body),
            dest: Destination::of(&self.job.provider),
            head_timeout: patience,
            send_stall: patience,
            initiator: Initiator::of(Purpose::TokenRefresh, &self.job.provider.id),
        };
        let answered = async {
            let reply = self.job.clients.send(outgoing).await?;
            let header = |name: &str| {
                reply.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
            };
            let (after, after_ms) = (header("retry-after"), header("retry-after-ms"));
            // One byte more than an answer may have: it is then seen to be too long.
            let body = reply.body.collect(reply::MAX_BODY + 1, patience).await;
            let body = match body {
                // Of a refusal the status alone says enough.
                Err(_) if reply.status >= 300 => Bytes::new(),
                body => body?,
            };
            Ok::<_, NetError>((reply.status, after, after_ms, body))
        };
        let answered = tokio::time::timeout(patience, answered).await;
        let (status, after, after_ms, body) = match answered {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                return Err(Failure::unanswered(&format!("the token endpoint: {error}")));
            }
            Err(_elapsed) => {
                let text = format!("no answer of the token endpoint in {} s", patience.as_secs());
                return Err(Failure::unanswered(&text));
            }
        };
        judge(
            family,
            &TokenAnswer {
                status,
                retry_after: after.as_deref(),
                retry_after_ms: after_ms.as_deref(),
                body: &body,
                now: self.job.shared.clock.now_ms(),
            },
        )
    }
}

impl From<Tokens> for New {
    fn from(tokens: Tokens) -> Self {
        let Tokens { access_token, refresh_token, id_token, expires_at, scope } = tokens;
        Self { access_token, refresh_token, id_token, expires_at, scope }
    }
}

fn told(why: Why, failure: Failure) -> Unrenewed {
    Unrenewed { why, status: failure.status, text: failure.text }
}
