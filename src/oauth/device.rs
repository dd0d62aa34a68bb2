//! Sign-ins by a code that a person enters elsewhere: asked for, then watched until it is entered (RFC 8628, SEC-OA-4).
//!
//! What is asked next, and when, is decided by `provider::oauth::connect::device`; here are the clock, the wire and the
//! row. Each sign-in is watched by one task of the desk, which a restart of the router starts again from the row.

use std::rc::Rc;
use std::time::Duration;

use tracing::{info, warn};

use super::desk::Inner;
use super::error::SignInError;
use crate::clock::UnixMs;
use crate::id::FlowId;
use crate::provider::catalog::Provider;
use crate::provider::oauth::connect::device::read_code;
use crate::provider::oauth::connect::{DeviceAsk, DeviceCode, Pace, Progress};
use crate::provider::oauth::{Client, Family};
use crate::routing::account::ProxyChoice;
use crate::secret::Secret;
use crate::store::oauth_flows::{self, Awaited, Claimed, End};

/// Pause before a store that failed is asked again to take what was bought.
const STORE_RETRY: Duration = Duration::from_secs(1);

/// What a person is shown of a code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShownCode {
    /// To be typed.
    pub user_code: String,
    /// Page where it is typed.
    pub verification_uri: String,
    /// The same page with the code filled in.
    pub verification_uri_complete: Option<String>,
    /// Unix ms.
    pub expires_at: UnixMs,
}

impl ShownCode {
    pub(super) fn of(code: &DeviceCode, expires_at: UnixMs) -> Self {
        Self {
            user_code: code.user_code.clone(),
            verification_uri: code.verification_uri.clone(),
            verification_uri_complete: code.verification_uri_complete.clone(),
            expires_at,
        }
    }
}

impl Inner {
    /// Asks the vendor for a code; with it, how long it lives, ms.
    pub(super) async fn device_code(
        &self,
        provider: &Provider,
        client: &Client,
        verifier: &Secret,
        way: &ProxyChoice,
    ) -> Result<(DeviceCode, i64), SignInError> {
        let no_way = || SignInError::invalid(format!("`{}` has no device sign-in", provider.id));
        let (oauth, family) = known(provider).ok_or_else(no_way)?;
        let call = DeviceAsk { oauth, client, verifier }.code().ok_or_else(no_way)?;
        let failed = |why: String| {
            let text = format!("`{}` gave no code to sign in with: {why}; try again", provider.id);
            SignInError::unavailable(text)
        };
        let answer = self.exchange(provider, way, call).await.map_err(failed)?;
        let answer = answer.as_token_answer(self.shared.clock.now_ms());
        read_code(family, &answer).map_err(|why| failed(why.to_string()))
    }

    /// Asks until the code is entered, refused, late, or nobody wants it any more.
    pub(super) async fn watch(self: Rc<Self>, id: FlowId) {
        let mut pace = match self.awaited(id).await {
            Ok(Some(awaited)) => Pace::new(awaited.device.interval_ms),
            Ok(None) => return,
            // The store may be back when the first question is due.
            Err(_) => Pace::new(0),
        };
        let mut pause = pace.interval_ms();
        loop {
            let clock = &self.shared.clock;
            clock.until(clock.now_ms().saturating_add(pause)).await;
            let progress = match self.awaited(id).await {
                Ok(Some(awaited)) => {
                    let progress = self.ask_once(&awaited).await;
                    match self.proceed(awaited, progress, pace).await {
                        Ok(None) => return,
                        Ok(Some(progress)) => progress,
                        Err(error) => Progress::Unclear(error.message),
                    }
                }
                Ok(None) => return,
                Err(error) => Progress::Unclear(error.message),
            };
            if let Progress::Unclear(why) = &progress {
                warn!(flow.id = %id, "no answer whether the code was entered; asking again: {why}");
            }
            pause = pace.after(&progress);
        }
    }

    async fn awaited(&self, id: FlowId) -> Result<Option<Awaited>, SignInError> {
        let now = self.shared.clock.now_ms();
        let sealer = self.shared.store.sealer().clone();
        self.read(move |conn| oauth_flows::awaited(conn, &sealer, id, now)).await
    }

    /// One question. The reply goes with it, for what it says of the account.
    async fn ask_once(&self, awaited: &Awaited) -> (Progress, bytes::Bytes) {
        let ended = |why: String| (Progress::Ended(why), bytes::Bytes::new());
        let (provider, _) = match self.provider(&awaited.row.provider) {
            Ok(found) => found,
            Err(error) => return ended(error.message),
        };
        let client = match self.client(&provider, awaited.options.client_id.as_deref()) {
            Ok(client) => client,
            Err(error) => return ended(error.message),
        };
        let Some((oauth, family)) = known(&provider) else {
            return ended(format!("`{}` has no device sign-in", provider.id));
        };
        let ask = DeviceAsk { oauth, client: &client, verifier: &awaited.verifier };
        let call = ask.token(&awaited.device.device_code);
        match self.ask(&provider, &awaited.way, &call).await {
            Ok(answer) => {
                let now = self.shared.clock.now_ms();
                (Progress::read(family, &answer.as_token_answer(now)), answer.body)
            }
            Err(why) => (Progress::Unclear(why), bytes::Bytes::new()),
        }
    }

    /// Takes the sign-in for the tokens in hand. The code is spent: a store that fails is asked again while it can help.
    async fn claim_granted(&self, awaited: &Awaited) -> Result<Option<Claimed>, SignInError> {
        loop {
            match self.claim(awaited.row.id).await {
                Err(error) if self.shared.clock.now_ms() < awaited.row.expires_at => {
                    warn!(flow.id = %awaited.row.id, "a finished sign-in waits for the store: {error}");
                    tokio::time::sleep(STORE_RETRY).await;
                }
                claimed => return claimed,
            }
        }
    }

    /// Does what an answer demands. `None` = the sign-in is over.
    async fn proceed(
        &self,
        awaited: Awaited,
        (progress, body): (Progress, bytes::Bytes),
        mut pace: Pace,
    ) -> Result<Option<Progress>, SignInError> {
        let id = awaited.row.id;
        match progress {
            Progress::Granted(tokens) => {
                let (provider, sign_in) = self.provider(&awaited.row.provider)?;
                // Cancelled while the question was under way: what it brought is nobody's.
                let Some(claimed) = self.claim_granted(&awaited).await? else {
                    info!(provider = %provider.id, flow.id = %id, "{}", super::redeem::ENDED);
                    return Ok(None);
                };
                let granted = self.owned(&provider, &claimed.way, sign_in, *tokens, &body).await;
                self.conclude(claimed, &provider, Ok(granted)).await?;
                Ok(None)
            }
            Progress::Ended(why) => {
                warn!(provider = %awaited.row.provider, flow.id = %id, "a sign-in failed: {why}");
                self.end(id, End::Failed(why), self.shared.clock.now_ms()).await?;
                Ok(None)
            }
            Progress::SlowDown(_) => {
                pace.after(&progress);
                let device = DeviceCode { interval_ms: pace.interval_ms(), ..awaited.device };
                let kept = self
                    .write(move |conn, sealer| oauth_flows::set_device(conn, sealer, id, &device));
                if let Err(error) = kept.await {
                    // It counts all the same, unless the router is started again.
                    warn!(flow.id = %id, %error, "a longer pause could not be stored");
                }
                Ok(Some(progress))
            }
            Progress::Pending | Progress::Unclear(_) => Ok(Some(progress)),
        }
    }
}

fn known(provider: &Provider) -> Option<(&crate::provider::catalog::OAuth, &'static Family)> {
    Some((provider.oauth.as_ref()?, Family::of(provider)?))
}
