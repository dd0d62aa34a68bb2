//! What is done with many models at once: their lists fetched, each of them tried, switched on and off.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use ninerouter_dialect::{Dialect, Needs};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::actors::discovery::fetch_now;
use crate::actors::router::{Explain, UsableAccounts};
use crate::api::Api;
use crate::api::call::{Call, Reply};
use crate::api::error::ApiError;
use crate::api::jobs::{Kind, Outcome, Subject, distinct};
use crate::api::keys::no_more;
use crate::api::models;
use crate::api::own::{OwnRequest, endpoint};
use crate::api::providers::provider_named;
use crate::id::request::request_id;
use crate::provider::endpoint::pick;
use crate::provider::models::has_list;
use crate::provider::trial::{said, smallest};
use crate::routing::resolve::{Resolved, resolve};

const FETCH: Kind = Kind { name: "fetch_models", parallel: 4 };
const TEST: Kind = Kind { name: "test_models", parallel: 3 };
/// Models of one call.
const MOST: usize = 500;
/// Accounts whose lists are fetched: pools of hundreds of keys see one and the same.
const ACCOUNTS: usize = 16;
/// Bytes of an answer that are looked at.
const ANSWER: usize = 64 << 10;
/// Results of tests that are kept.
const KEPT: usize = 5_000;

/// What came of the last test of each model, by `prefix/model`, as long as the router runs. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct ModelTests(Arc<Mutex<HashMap<String, Value>>>);

impl ModelTests {
    /// The last test of a model; null = it was not tested since the start.
    pub(super) fn of(&self, key: &str) -> Value {
        let tests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tests.get(key).cloned().unwrap_or_default()
    }

    fn keep(&self, key: &str, result: Value) {
        let mut tests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tests.len() < KEPT || tests.contains_key(key) {
            tests.insert(key.to_owned(), result);
        }
    }
}

/// `POST /api/providers/{id}/models/fetch`: what the upstream lists now, for each account.
pub(super) async fn fetch(api: &Api, call: Call) -> Result<Reply, ApiError> {
    no_more(&call.object()?)?;
    let snapshot = api.shared().snapshot.load_full();
    let provider = Arc::clone(provider_named(&snapshot, call.param("id"))?);
    if !has_list(&provider) {
        let message = format!("{} has no list of models that could be fetched", provider.name);
        return Err(ApiError::new(409, "conflict", message));
    }
    let mut accounts = api.ask(UsableAccounts).await?;
    accounts.retain(|account| account.provider == provider.id);
    if accounts.is_empty() {
        let message =
            format!("{} has no account that could ask for the list; add one", provider.name);
        return Err(ApiError::new(409, "conflict", message));
    }
    let peers: HashSet<String> = accounts.iter().map(|account| account.id.to_string()).collect();
    let peers = Arc::new(peers);
    accounts.truncate(ACCOUNTS);
    let names = accounts.iter().map(|account| account.label.clone()).collect();
    let pieces = distinct(names).into_iter().zip(accounts).collect();
    let title = format!("Fetch the models of {}", provider.name);
    let subject = of_provider(&provider.id);
    api.start_job(FETCH, subject, title, pieces, move |api: Rc<Api>, account| {
        let (provider, peers) = (Arc::clone(&provider), Arc::clone(&peers));
        async move {
            let (shared, desk) = (api.shared(), &api.service.desk);
            match fetch_now(shared, desk, &api.clients, provider, account, peers).await {
                Ok(1) => Ok(Some("1 model".to_owned())),
                Ok(count) => Ok(Some(format!("{count} models"))),
                Err(why) => Err(why.to_string()),
            }
        }
    })
    .await
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Wish {
    /// Ids of the provider's models; absent = every chat model that is switched on.
    models: Option<Vec<String>>,
    /// Also those whose accounts are all locked.
    include_blocked: bool,
}

/// `POST /api/providers/{id}/models/test`: the smallest request to each of a provider's models.
pub(super) async fn test(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let wish: Wish = call.typed()?;
    let snapshot = api.shared().snapshot.load_full();
    let provider = provider_named(&snapshot, call.param("id"))?;
    let known = api.chat_models(provider).await?;
    let ids = match wish.models {
        None => known,
        Some(ids) => {
            for (at, id) in ids.iter().enumerate() {
                if provider.model(id).is_none()
                    && snapshot.names.live.model(&provider.id, id).is_none()
                {
                    let why = format!("{} has no such model", provider.name);
                    return Err(ApiError::invalid(&format!("models[{at}]"), why));
                }
            }
            ids
        }
    };
    let keys: Vec<String> = ids.iter().map(|id| format!("{}/{id}", provider.prefix())).collect();
    let title = format!("Test the models of {}", provider.name);
    let subject = of_provider(&provider.id);
    begin_tests(api, subject, title, keys, wish.include_blocked, &call).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch {
    keys: Vec<String>,
    action: Action,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    Enable,
    Disable,
    Test,
}

/// `POST /api/models/batch`: the same for several models; what one of them refuses leaves the others alone.
pub(super) async fn batch(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let wish: Batch = call.typed()?;
    let mut keys = wish.keys;
    keys.sort();
    keys.dedup();
    if keys.is_empty() || keys.len() > MOST {
        return Err(ApiError::invalid("keys", format!("name 1 to {MOST} models")));
    }
    let enabled = match wish.action {
        Action::Test => {
            let title = match keys.len() {
                1 => "Test 1 model".to_owned(),
                many => format!("Test {many} models"),
            };
            let subject = Subject { key: keys.join(" "), provider: provider_of(api, &keys) };
            return begin_tests(api, subject, title, keys, false, &call).await;
        }
        Action::Enable => true,
        Action::Disable => false,
    };
    let mut results = Vec::with_capacity(keys.len());
    for key in keys {
        let done = match key.split_once('/') {
            Some((provider, model)) => {
                models::change(api, switch(provider, model, enabled, &call)).await
            }
            None => Err(ApiError::not_found("model", &key)),
        };
        results.push(match done {
            Ok(_) => json!({"id": key, "ok": true}),
            Err(why) => json!({"id": key, "ok": false, "code": why.code, "message": why.message}),
        });
    }
    let ok = results.iter().filter(|result| result.get("ok") == Some(&Value::Bool(true))).count();
    Ok(Reply::ok(json!({"ok": ok, "failed": results.len() - ok, "results": results})))
}

/// The call that switches one model.
fn switch(provider: &str, model: &str, enabled: bool, call: &Call) -> Call {
    Call {
        params: [("provider", provider.to_owned()), ("model", model.to_owned())].into(),
        body: json!({ "enabled": enabled }).to_string().into_bytes(),
        caller: call.caller.clone(),
        ..Call::default()
    }
}

/// Work on all models of a provider.
fn of_provider(id: &str) -> Subject {
    Subject { key: id.to_owned(), provider: Some(id.to_owned()) }
}

/// The provider that all these models belong to.
fn provider_of(api: &Api, keys: &[String]) -> Option<String> {
    let mut prefixes: Vec<&str> = keys.iter().filter_map(|key| key.split('/').next()).collect();
    prefixes.dedup();
    let prefix = prefixes.pop().filter(|_| prefixes.is_empty())?;
    let snapshot = api.shared().snapshot.load();
    provider_named(&snapshot, prefix).ok().map(|provider| provider.id.to_string())
}

/// Begins the tests of these models as one job.
async fn begin_tests(
    api: &Api,
    subject: Subject,
    title: String,
    keys: Vec<String>,
    include_blocked: bool,
    call: &Call,
) -> Result<Reply, ApiError> {
    if keys.is_empty() {
        return Err(ApiError::new(409, "conflict", "there is no model to test"));
    }
    // Before anything is begun: without a router every test would fail for the same reason.
    api.public()?;
    let client = call.caller.client_ip;
    let pieces = keys.into_iter().map(|key| (key.clone(), key)).collect();
    api.start_job(TEST, subject, title, pieces, move |api: Rc<Api>, key: String| async move {
        let trial = Trial { api: &api, key: &key, client };
        trial.run(include_blocked).await
    })
    .await
}

/// The test of one model.
struct Trial<'a> {
    api: &'a Api,
    key: &'a str,
    client: Option<std::net::IpAddr>,
}

impl Trial<'_> {
    async fn run(&self, include_blocked: bool) -> Outcome {
        let snapshot = self.api.shared().snapshot.load_full();
        let resolved = resolve(self.key, &snapshot.names, &snapshot.catalog, None);
        let resolved = resolved.map_err(|why| why.to_string())?;
        // What is asked is what the upstream speaks: a translation would be tested along with it.
        let dialect = match &resolved {
            Resolved::Target(target) => {
                let model = target.provider.model(&target.model);
                let endpoint = pick(&target.provider, model, Dialect::Chat, None);
                endpoint.and_then(|endpoint| endpoint.speaks()).map(|(dialect, _)| dialect)
            }
            Resolved::Combo { .. } => None,
        };
        let dialect = dialect.unwrap_or(Dialect::Chat);
        if !include_blocked && let Some(why) = self.blocked(resolved, dialect).await? {
            return Ok(Some(format!("left out: {why}")));
        }
        let clock = self.api.shared().clock.clone();
        let started = clock.now();
        let outcome = self.asked(dialect).await;
        let ms = u64::try_from(clock.now().saturating_duration_since(started).as_millis());
        let ms = ms.unwrap_or(u64::MAX);
        let message = outcome.as_ref().err();
        let result =
            json!({"ok": outcome.is_ok(), "ms": ms, "message": message, "at": clock.now_ms()});
        self.api.service.model_tests.keep(self.key, result);
        outcome.map(|()| Some(format!("{ms} ms")))
    }

    /// Why nobody would serve it now; `None` = somebody would.
    async fn blocked(
        &self,
        resolved: Resolved,
        dialect: Dialect,
    ) -> Result<Option<String>, String> {
        let question = Explain {
            resolved,
            dialect,
            needs: Needs::default(),
            key: None,
            pretend_out: Vec::new(),
        };
        let explained = self.api.ask(question).await.map_err(|why| why.message)?;
        let order = explained.map_err(|why| why.to_string())?.order;
        if order.iter().any(|candidate| candidate.skip.is_none()) {
            return Ok(None);
        }
        let why = order.into_iter().find_map(|candidate| candidate.skip);
        Ok(Some(why.unwrap_or_else(|| "no account of its provider can be used".to_owned())))
    }

    /// A call of one token; of 16 where the dialect has no smaller one.
    async fn asked(&self, dialect: Dialect) -> Result<(), String> {
        let body = smallest(dialect, self.key);
        let (status, answer) = self.sent(dialect, body.clone()).await?;
        let (status, answer) = match newer_limit(status, &answer, &body) {
            Some(body) => self.sent(dialect, body).await?,
            None => (status, answer),
        };
        if (200..300).contains(&status) {
            return Ok(());
        }
        let said = said(&answer).map(|text| format!(": {text}")).unwrap_or_default();
        Err(format!("status {status}{said}"))
    }

    async fn sent(&self, dialect: Dialect, body: Bytes) -> Result<(u16, BytesMut), String> {
        let public = self.api.public().map_err(|why| why.message)?;
        let reply = public
            .send(OwnRequest {
                id: request_id(None),
                target: endpoint(dialect, self.key, false),
                headers: vec![OwnRequest::agent()],
                body,
                client: self.client,
                follower: None,
            })
            .await;
        let (status, mut parts) = (reply.status, reply.parts);
        let mut answer = BytesMut::new();
        while let Some(part) = parts.next().await {
            let part = part.map_err(|_cut| "the answer broke off".to_owned())?;
            let room = ANSWER.saturating_sub(answer.len());
            answer.extend_from_slice(part.get(..part.len().min(room)).unwrap_or_default());
        }
        Ok((status, answer))
    }
}

/// The same call with the limit that newer models of OpenAI want, when that is what the answer asks for.
fn newer_limit(status: u16, answer: &[u8], body: &[u8]) -> Option<Bytes> {
    if status != 400 || memchr::memmem::find(answer, b"max_completion_tokens").is_none() {
        return None;
    }
    let mut body: Value = serde_json::from_slice(body).ok()?;
    let members = body.as_object_mut()?;
    let limit = members.remove("max_tokens")?;
    members.insert("max_completion_tokens".to_owned(), limit);
    Some(Bytes::from(body.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newer_name_of_the_limit_is_used_where_it_is_asked_for() {
        let body = smallest(Dialect::Chat, "oa/gpt");
        let asks = br#"{"error":{"message":"Use 'max_completion_tokens' instead."}}"#;
        let again: Value = serde_json::from_slice(&newer_limit(400, asks, &body).unwrap()).unwrap();
        assert_eq!((&again["max_completion_tokens"], again.get("max_tokens")), (&json!(1), None));
        assert_eq!(newer_limit(429, asks, &body), None);
        assert_eq!(newer_limit(400, b"{}", &body), None);
        // A dialect without that member is not asked again.
        assert_eq!(newer_limit(400, asks, &smallest(Dialect::Gem, "x")), None);
    }

    #[test]
    fn tests_are_kept_by_model() {
        let tests = ModelTests::default();
        assert_eq!(tests.of("a/b"), Value::Null);
        tests.keep("a/b", json!({"ok": false}));
        tests.keep("a/b", json!({"ok": true}));
        assert_eq!(tests.clone().of("a/b"), json!({"ok": true}));
    }
}
