//! Calls to a vendor during a sign-in: bounded in time and length, no redirects, once more only without a connection.

use std::time::Duration;

use bytes::Bytes;
use ninerouter_dialect::SplicedBody;
use serde_json::Value;

use super::desk::Inner;
use crate::net::{Destination, Initiator, Method, NetError, Outgoing, Purpose, wire_headers};
use crate::provider::catalog::{Provider, Role};
use crate::provider::oauth::connect::{Object, SignIn};
use crate::provider::oauth::reply::MAX_BODY;
use crate::provider::oauth::{TokenAnswer, TokenCall};
use crate::routing::account::ProxyChoice;
use crate::secret::Secret;

/// A whole exchange, its one repetition included (accounts §1.1).
const EXCHANGE: Duration = Duration::from_secs(30);
/// Calls that only look something up.
const LOOK_UP: Duration = Duration::from_secs(10);

/// What came of an exchange call.
#[derive(Debug)]
pub(super) struct Answer {
    status: u16,
    retry_after: Option<String>,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn as_token_answer(&self, now: i64) -> TokenAnswer<'_> {
        TokenAnswer {
            status: self.status,
            retry_after: self.retry_after.as_deref(),
            retry_after_ms: None,
            body: &self.body,
            now,
        }
    }
}

/// What a look-up with an access token came to.
#[derive(Debug)]
pub(super) enum LookUp {
    /// Status 200 and a JSON object.
    Found(Object),
    /// The vendor does not take the token: status.
    Refused(u16),
    /// Nobody knows: why.
    Unknown(String),
}

impl Inner {
    /// Sends an exchange.
    ///
    /// # Errors
    /// What went wrong, for people, when no whole answer came.
    pub(super) async fn exchange(
        &self,
        provider: &Provider,
        way: &ProxyChoice,
        call: TokenCall,
    ) -> Result<Answer, String> {
        let work = async {
            match self.post(provider, way, &call).await {
                // Nothing was sent: the code is as good as before.
                Err(error) if is_without_connection(&error) => {
                    self.post(provider, way, &call).await
                }
                other => other,
            }
        };
        let failed = |error: NetError| format!("the token endpoint: {error}");
        match tokio::time::timeout(EXCHANGE, work).await {
            Ok(answer) => answer.map_err(failed),
            Err(_elapsed) => Err(unanswered()),
        }
    }

    /// Sends one question, and does not repeat it.
    ///
    /// # Errors
    /// What went wrong, for people, when no whole answer came.
    pub(super) async fn ask(
        &self,
        provider: &Provider,
        way: &ProxyChoice,
        call: &TokenCall,
    ) -> Result<Answer, String> {
        match tokio::time::timeout(EXCHANGE, self.post(provider, way, call)).await {
            Ok(answer) => answer.map_err(|error| format!("the token endpoint: {error}")),
            Err(_elapsed) => Err(unanswered()),
        }
    }

    async fn post(
        &self,
        provider: &Provider,
        way: &ProxyChoice,
        call: &TokenCall,
    ) -> Result<Answer, NetError> {
        let outgoing = Outgoing {
            method: Method::POST,
            url: call.url.clone(),
            headers: wire_headers(&call.headers),
            body: SplicedBody::whole(call.body.clone()),
            dest: Destination::of(provider),
            route: self.shared.snapshot.load().route(way, provider),
            head_timeout: EXCHANGE,
            send_stall: EXCHANGE,
            initiator: Initiator::of(Purpose::SignIn, &provider.id),
        };
        let reply = self.clients.send(outgoing).await?;
        let retry_after = reply.headers.get("retry-after").and_then(|v| v.to_str().ok());
        let (status, retry_after) = (reply.status, retry_after.map(str::to_owned));
        // One byte more than an answer may have: it is then seen to be too long.
        let body = match reply.body.collect(MAX_BODY + 1, EXCHANGE).await {
            // Of a refusal the status alone says enough.
            Err(_) if status >= 300 => Bytes::new(),
            body => body?,
        };
        Ok(Answer { status, retry_after, body })
    }

    /// Asks the vendor whose token it is.
    pub(super) async fn profile(
        &self,
        provider: &Provider,
        way: &ProxyChoice,
        sign_in: &SignIn,
        token: &Secret,
    ) -> LookUp {
        let Some(profile) = &sign_in.profile else {
            return LookUp::Unknown("the vendor has no call that says whose a token is".to_owned());
        };
        let own = provider.role_urls.iter().find(|(role, _)| *role == Role::Profile);
        let listed = provider.oauth.as_ref().and_then(|oauth| oauth.userinfo_url.as_deref());
        let url = own.map(|(_, url)| url.as_str()).or(listed).unwrap_or(profile.url);
        self.look_up(provider, way, profile.headers, url, token).await
    }

    /// Asks the vendor for its models: the cheapest call that every token is good for.
    pub(super) async fn models(
        &self,
        provider: &Provider,
        way: &ProxyChoice,
        sign_in: &SignIn,
        token: &Secret,
    ) -> LookUp {
        match &provider.apis.models {
            Some(url) => {
                let headers = sign_in.profile.map_or(&[][..], |profile| profile.headers);
                self.look_up(provider, way, headers, url, token).await
            }
            None => LookUp::Unknown("there is no cheap call to check the token with".to_owned()),
        }
    }

    async fn look_up(
        &self,
        provider: &Provider,
        way: &ProxyChoice,
        headers: &[(&'static str, &'static str)],
        url: &str,
        token: &Secret,
    ) -> LookUp {
        let bearer = format!("Bearer {}", token.expose());
        let fixed = headers.iter().map(|(name, value)| (*name, *value));
        let agent = [("user-agent", crate::provider::header::USER_AGENT)];
        let headers: Vec<(String, String)> = fixed
            .chain(agent)
            .chain([("authorization", bearer.as_str())])
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let outgoing = Outgoing {
            method: Method::GET,
            url: url.to_owned(),
            headers: wire_headers(&headers),
            body: SplicedBody::whole(Bytes::new()),
            dest: Destination::of(provider),
            route: self.shared.snapshot.load().route(way, provider),
            head_timeout: LOOK_UP,
            send_stall: LOOK_UP,
            initiator: Initiator::of(Purpose::SignIn, &provider.id),
        };
        let work = async {
            let reply = self.clients.send(outgoing).await?;
            let status = reply.status;
            let body = reply.body.collect(1 << 20, LOOK_UP).await?;
            Ok::<_, NetError>((status, body))
        };
        let (status, body) = match tokio::time::timeout(LOOK_UP, work).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return LookUp::Unknown(error.to_string()),
            Err(_elapsed) => {
                return LookUp::Unknown(format!("no answer in {} s", LOOK_UP.as_secs()));
            }
        };
        match (status, serde_json::from_slice(&body)) {
            (200, Ok(Value::Object(object))) => LookUp::Found(object),
            (401 | 403, _) => LookUp::Refused(status),
            (200, _) => LookUp::Unknown("the answer is no JSON object".to_owned()),
            (status, _) => LookUp::Unknown(format!("the vendor answered {status}")),
        }
    }
}

fn unanswered() -> String {
    format!("no answer of the token endpoint in {} s", EXCHANGE.as_secs())
}

/// True when the request cannot have reached anybody.
fn is_without_connection(error: &NetError) -> bool {
    matches!(
        error,
        NetError::Dns(_) | NetError::Connect(_) | NetError::Tls(_) | NetError::ConnectTimeout
    )
}
