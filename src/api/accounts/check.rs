//! Asks an upstream whether a credential is good (providers §4, §5).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ninerouter_dialect::SplicedBody;

use crate::actors::snapshot::Snapshot;
use crate::api::Api;
use crate::net::{Destination, Initiator, Method, NetError, Outgoing, Purpose, wire_headers};
use crate::provider::beside::BesideCx;
use crate::provider::catalog::Provider;
use crate::provider::credential::Credential;
use crate::provider::trial::{self, Verdict};
use crate::routing::account::AccountConfig;

/// A whole check (providers §2).
const PATIENCE: Duration = Duration::from_secs(15);
/// Bytes of an answer that are looked at; a model list may be long.
const ANSWER: usize = 256 << 10;

/// What a check came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Checked {
    pub(super) verdict: Verdict,
    /// How it was made: `probe`, `chat`, `models`, `none`.
    pub(super) method: &'static str,
    /// How long it took, ms; 0 = nobody was asked.
    pub(super) ms: u64,
}

impl Api {
    /// Never fails: what cannot be asked is an unknown credential.
    pub(super) async fn check(
        &self,
        provider: &Arc<Provider>,
        account: &AccountConfig,
        credential: &Credential,
    ) -> Checked {
        let snapshot = self.shared().snapshot.load_full();
        let ask = trial::ask(&BesideCx {
            provider,
            account,
            credential,
            extra_headers: snapshot.extra_headers(&provider.id),
            moment: self.shared().moment(&snapshot),
        });
        let ask = match ask {
            Ok(Ok(ask)) => ask,
            Ok(Err(verdict)) => return Checked { verdict, method: "none", ms: 0 },
            Err(why) => {
                let verdict = Verdict::Unknown(why.to_string());
                return Checked { verdict, method: "none", ms: 0 };
            }
        };
        let begun = self.shared().clock.now();
        let answer = tokio::time::timeout(PATIENCE, self.send(&snapshot, provider, account, &ask));
        let verdict = match answer.await {
            Ok(Ok((status, body))) => ask.judge(provider, status, &body),
            Ok(Err(why)) => Verdict::Unknown(why.to_string()),
            Err(_elapsed) => {
                Verdict::Unknown(format!("no answer in {} seconds", PATIENCE.as_secs()))
            }
        };
        let took = self.shared().clock.now().saturating_duration_since(begun);
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        Checked { verdict, method: ask.method, ms }
    }

    async fn send(
        &self,
        snapshot: &Snapshot,
        provider: &Provider,
        account: &AccountConfig,
        ask: &trial::Ask,
    ) -> Result<(u16, Bytes), NetError> {
        let method = if ask.body.is_some() { Method::POST } else { Method::GET };
        let outgoing = Outgoing {
            method,
            url: ask.url.clone(),
            headers: wire_headers(&ask.headers),
            body: SplicedBody::whole(ask.body.clone().unwrap_or_default()),
            dest: Destination::of(provider),
            route: snapshot.route(&account.proxy, provider),
            head_timeout: PATIENCE,
            send_stall: PATIENCE,
            initiator: Initiator::of(Purpose::AccountTest, &provider.id),
        };
        let reply = self.clients.send(outgoing).await?;
        let status = reply.status;
        // The status says enough where the rest is too long or breaks off.
        let body = reply.body.collect(ANSWER, PATIENCE).await.unwrap_or_default();
        Ok((status, body))
    }
}
