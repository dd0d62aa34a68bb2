//! What an address would answer as a node: asked before it is saved, with the key typed in and no other (SEC-OUT-2).

use std::time::Duration;

use bytes::Bytes;
use ninerouter_dialect::SplicedBody;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::api::Api;
use crate::api::accounts::change::secret_of;
use crate::api::call::{Call, Reply, typed};
use crate::api::error::ApiError;
use crate::net::error::{ConnectFailure, NetError};
use crate::net::url::UrlRefusal;
use crate::net::{Destination, Initiator, Method, Outgoing, Purpose, wire_headers};
use crate::provider::base_url::canonical;
use crate::provider::beside::BesideCx;
use crate::provider::catalog::Provider;
use crate::provider::credential::Credential;
use crate::provider::node::Node;
use crate::provider::node::trial::{self, Finding, Question};
use crate::provider::request::ShapeError;
use crate::redact::Known;
use crate::routing::account::{AccountConfig, AccountKind};
use crate::secret::Secret;

/// The whole check (providers §4).
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer that are looked at; a model list may be long.
const ANSWER: usize = 1 << 20;
/// Stands for name and prefix, which a check does not need.
const UNNAMED: &str = "unnamed";

/// What is asked for beside the node.
#[derive(Deserialize)]
struct Wish {
    api_key: Option<String>,
    model_id: Option<String>,
}

pub(in crate::api) async fn validate(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let mut given = call.object()?;
    given.retain(|_, value| !value.is_null());
    let mut own = Map::new();
    for name in ["api_key", "model_id"] {
        own.extend(given.remove(name).map(|value| (name.to_owned(), value)));
    }
    let wish: Wish = typed(own)?;
    for name in ["name", "prefix"] {
        given.entry(name).or_insert_with(|| UNNAMED.into());
    }
    let row = api.read_node(given)?;
    let blank = |text: &String| text.trim().is_empty();
    let key = wish.api_key.filter(|key| !blank(key)).map(secret_of).transpose()?;
    let model = wish.model_id.map(|id| id.trim().to_owned()).filter(|id| !id.is_empty());
    Ok(Reply::ok(examine(api, row.node, key, model).await))
}

async fn examine(api: &Api, node: Node, key: Option<Secret>, model: Option<String>) -> Value {
    let base_url = match canonical(&node.base_url) {
        Ok(url) => url,
        Err(why) => return Told::failed("invalid_url", why.to_string()).to_json(),
    };
    let provider =
        Node { base_url: base_url.clone(), id: UNNAMED.to_owned(), ..node }.to_provider();
    let (dest, initiator) = (Destination::of(&provider), Initiator::new(Purpose::NodeTest));
    match api.clients.judge(&base_url, dest, &initiator) {
        Ok(_) => {}
        Err(why @ (UrlRefusal::Address(_) | UrlRefusal::LocalName | UrlRefusal::MetadataName)) => {
            return Told::failed("address_not_allowed", why.to_string()).to_json();
        }
        Err(why) => return Told::failed("invalid_url", why.to_string()).to_json(),
    }
    let kind = if key.is_some() { AccountKind::ApiKey } else { AccountKind::None };
    let account = AccountConfig::new(provider.id.clone(), kind, UNNAMED.to_owned());
    let credential = Credential { api_key: key, ..Credential::default() };
    let clock = api.shared().clock.clone();
    let begun = clock.now();
    let exam = Exam { api, provider: &provider, account: &account, credential: &credential };
    let mut told = match tokio::time::timeout(PATIENCE, exam.run(model.as_deref())).await {
        Ok(told) => told,
        Err(_elapsed) => {
            let seconds = PATIENCE.as_secs();
            Told::failed("timeout", format!("no answer in {seconds} seconds"))
        }
    };
    let took = clock.now().saturating_duration_since(begun).as_millis();
    told.ms = u64::try_from(took).unwrap_or(u64::MAX);
    told.to_json()
}

/// One check on its way.
struct Exam<'a> {
    api: &'a Api,
    provider: &'a Provider,
    account: &'a AccountConfig,
    credential: &'a Credential,
}

/// An answer of the address.
struct Answer {
    status: u16,
    body: Bytes,
}

impl Exam<'_> {
    async fn run(&self, model: Option<&str>) -> Told {
        match self.try_run(model).await {
            Ok(told) => told,
            Err(told) => *told,
        }
    }

    /// Both results are an outcome; an error is one that ends the check at once.
    async fn try_run(&self, model: Option<&str>) -> Result<Told, Box<Told>> {
        let listed = self.question(trial::list)?;
        let mut hint = None;
        let mut last = None;
        if let Some(question) = listed {
            let answer = self.ask(&question).await?;
            match trial::read_list(answer.status, &answer.body) {
                Finding::Valid { models, .. } => {
                    let mut told = Told::valid("models", &question.url, answer.status);
                    told.models = Some(models);
                    return Ok(told);
                }
                Finding::Unauthorized => {
                    return Err(Box::new(Told::refused(
                        "unauthorized",
                        REFUSED,
                        &question.url,
                        &answer,
                    )));
                }
                _ if answer.status == 404 => hint = self.versioned(&question).await,
                _ => {}
            }
            last = Some((question.url, answer));
        }
        let mut told = match model {
            Some(model) => self.call(model).await?,
            None => unlisted(last),
        };
        told.did_you_mean = hint;
        Ok(told)
    }

    async fn call(&self, model: &str) -> Result<Told, Box<Told>> {
        let mut question = self.question(|cx| trial::call(cx, model, false))?;
        let mut answer = self.ask(&question).await?;
        let mut finding = trial::read_call(answer.status, &answer.body, model);
        if finding == Finding::OtherTokenName {
            question = self.question(|cx| trial::call(cx, model, true))?;
            answer = self.ask(&question).await?;
            finding = trial::read_call(answer.status, &answer.body, model);
        }
        let url = question.url.as_str();
        let method = if self.provider.endpoints.is_empty() { "embeddings" } else { "chat" };
        Ok(match finding {
            Finding::Valid { dimensions, .. } => {
                Told { dimensions, ..Told::valid(method, url, answer.status) }
            }
            Finding::Unauthorized => Told::refused("unauthorized", REFUSED, url, &answer),
            Finding::ModelRejected => {
                let text = "the key works, but the address does not have this model";
                Told::refused("model_rejected", text, url, &answer)
            }
            Finding::ServerError => Told::refused("server_error", FAILED, url, &answer),
            Finding::NotThere | Finding::OtherTokenName => {
                let text =
                    "the address does not answer as an API of this type; check type and base URL";
                Told::refused("not_an_api", text, url, &answer)
            }
        })
    }

    /// `{base}/v1`, if the list is there: the base URL lacks its version.
    async fn versioned(&self, question: &Question) -> Option<String> {
        let base = question.url.strip_suffix("/models").filter(|base| !base.ends_with("/v1"))?;
        let url = format!("{base}/v1/models");
        let answer = self.ask(&Question { url, ..question.clone() }).await.ok()?;
        let found = trial::read_list(answer.status, &answer.body);
        matches!(found, Finding::Valid { .. }).then(|| format!("{base}/v1"))
    }

    fn question<T>(
        &self,
        ask: impl FnOnce(&BesideCx<'_>) -> Result<T, ShapeError>,
    ) -> Result<T, Box<Told>> {
        let snapshot = self.api.shared().snapshot.load();
        let cx = BesideCx {
            provider: self.provider,
            account: self.account,
            credential: self.credential,
            extra_headers: &[],
            moment: self.api.shared().moment(&snapshot),
        };
        ask(&cx).map_err(|why| Box::new(Told::failed("invalid_url", why.to_string())))
    }

    async fn ask(&self, question: &Question) -> Result<Answer, Box<Told>> {
        let snapshot = self.api.shared().snapshot.load_full();
        let outgoing = Outgoing {
            method: if question.body.is_some() { Method::POST } else { Method::GET },
            url: question.url.clone(),
            headers: wire_headers(&question.headers),
            body: SplicedBody::whole(question.body.clone().unwrap_or_default()),
            dest: Destination::of(self.provider),
            route: snapshot.route(&self.account.proxy, self.provider),
            head_timeout: PATIENCE,
            send_stall: PATIENCE,
            initiator: Initiator::new(Purpose::NodeTest),
        };
        let unreached = |why: NetError| {
            let told = Told::failed(network_code(&why), why.to_string());
            Box::new(Told { url: Some(question.url.clone()), ..told })
        };
        let reply = self.api.clients.send(outgoing).await.map_err(unreached)?;
        let status = reply.status;
        // The status says enough where the rest is too long or breaks off.
        let body = reply.body.collect(ANSWER, PATIENCE).await.unwrap_or_default();
        let known = Known::of_headers(question.headers.iter().map(|(name, it)| (&**name, &**it)));
        let body = match known.is_in(&body) {
            // Words that quote the key are told without it.
            true => known.text(&String::from_utf8_lossy(&body)).into_owned().into(),
            false => body,
        };
        Ok(Answer { status, body })
    }
}

const REFUSED: &str = "the address refuses the key";
const FAILED: &str = "the address answers with an error of its own; try again later";

/// No model was named, and the list did not show what it is.
fn unlisted(last: Option<(String, Answer)>) -> Told {
    match last {
        Some((url, answer)) if answer.status >= 500 => {
            Told::refused("server_error", FAILED, &url, &answer)
        }
        Some((url, answer)) => {
            let text = "the address has no list of models; give a model id, and the check calls it";
            Told::refused("models_endpoint_missing", text, &url, &answer)
        }
        None => Told::failed("models_endpoint_missing", "give a model id, and the check calls it"),
    }
}

fn network_code(why: &NetError) -> &'static str {
    match why {
        NetError::Blocked { .. } => "address_not_allowed",
        NetError::Dns(_) => "dns_failed",
        NetError::Connect(ConnectFailure::Refused) => "connection_refused",
        NetError::Connect(_) => "connection_failed",
        NetError::Proxy { .. } => "proxy_failed",
        NetError::Tls(_) => "tls_failed",
        NetError::ConnectTimeout | NetError::HeadTimeout | NetError::SendStall | NetError::Idle => {
            "timeout"
        }
        NetError::Unsendable(_) => "invalid_url",
        NetError::BrokeWhileSending
        | NetError::Reset { .. }
        | NetError::Protocol(_)
        | NetError::Truncated
        | NetError::BodyTooLarge(_)
        | NetError::BadEncoding(_) => "connection_broke",
    }
}

/// The outcome, for people and programs.
#[derive(Default)]
struct Told {
    method: Option<&'static str>,
    error: Option<&'static str>,
    message: Option<String>,
    url: Option<String>,
    status: Option<u16>,
    detail: Option<String>,
    models: Option<Vec<String>>,
    dimensions: Option<usize>,
    did_you_mean: Option<String>,
    ms: u64,
}

impl Told {
    fn valid(method: &'static str, url: &str, status: u16) -> Self {
        let (url, status) = (Some(url.to_owned()), Some(status));
        Self { method: Some(method), url, status, ..Self::default() }
    }

    fn failed(error: &'static str, message: impl Into<String>) -> Self {
        Self { error: Some(error), message: Some(message.into()), ..Self::default() }
    }

    fn refused(error: &'static str, message: &str, url: &str, answer: &Answer) -> Self {
        let detail = trial::words(&answer.body);
        let (url, status) = (Some(url.to_owned()), Some(answer.status));
        Self { url, status, detail, ..Self::failed(error, message) }
    }

    fn to_json(&self) -> Value {
        json!({
            "valid": self.method.is_some(),
            "method": self.method,
            "error": self.error,
            "message": self.message,
            "detail": self.detail,
            "url": self.url,
            "status": self.status,
            "ms": self.ms,
            "models": self.models,
            "dimensions": self.dimensions,
            "did_you_mean": self.did_you_mean,
        })
    }
}
