//! The simulated vendor's HTTP side.

use std::collections::HashMap;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::{Data, Query, ServiceConfig, get, post};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::device;
use super::grants::{Consent, Exchange, Granted, Refused, Standing};
use super::script::{Hold, Place};
use super::{Person, Shared, World};
use crate::demo::answer::Answer;
use crate::demo::ask::{Ask, Head};
use crate::demo::wire::{Framing, Wire, frames};

/// What the vendor calls itself in answers.
const NAME: &str = "authority";
/// The beta that allows OAuth tokens on the API.
const BETA: &str = "oauth-2025-04-20";
const PROFILE_SCOPE: &str = "user:profile";

pub(super) fn routes(app: &mut ServiceConfig, shared: Data<Shared>) {
    device::routes(app);
    app.app_data(shared)
        .route("/oauth/authorize", get().to(authorize))
        .route("/v1/oauth/token", post().to(token))
        .route("/api/oauth/profile", get().to(profile))
        .route("/api/oauth/usage", get().to(usage))
        .route("/v1/messages", post().to(messages))
        .route("/v1/messages/count_tokens", post().to(count_tokens))
        .route("/v1/models", get().to(models))
        .default_service(web::to(nowhere));
}

async fn nowhere() -> HttpResponse {
    api_error(StatusCode::NOT_FOUND, "not_found_error", "no such path")
}

async fn authorize(shared: Data<Shared>, query: Query<Vec<(String, String)>>) -> HttpResponse {
    shared.count(|c| c.authorizations += 1);
    let asked: HashMap<&str, &str> = query.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let get = |name: &str| asked.get(name).copied().unwrap_or_default();
    let mut world = shared.world();
    world.last_authorize.clone_from(&query);
    let needed = ["client_id", "redirect_uri", "scope", "state", "code_challenge"];
    let missing = needed.iter().find(|name| get(name).is_empty());
    if let Some(name) = missing {
        return HttpResponse::BadRequest().body(format!("invalid request: no {name}"));
    }
    if get("response_type") != "code" || get("code_challenge_method") != "S256" {
        return HttpResponse::BadRequest().body("invalid request: only code with S256");
    }
    let (redirect, state) = (get("redirect_uri"), get("state"));
    let is_loopback = redirect.starts_with("http://localhost:") && redirect.ends_with("/callback");
    if !is_loopback && !redirect.starts_with("https://") {
        return HttpResponse::BadRequest().body("invalid request: redirect_uri is not registered");
    }
    if std::mem::take(&mut world.declines) {
        return redirected(redirect, &[("error", "access_denied"), ("state", state)]);
    }
    let consent = Consent {
        person: world.at_browser.clone(),
        client_id: get("client_id").to_owned(),
        redirect_uri: redirect.to_owned(),
        challenge: get("code_challenge").to_owned(),
        scope: get("scope").to_owned(),
        state: state.to_owned(),
    };
    let code = world.grants.code(consent, shared.clock.now_ms());
    if is_loopback {
        return redirected(redirect, &[("code", &code), ("state", state)]);
    }
    HttpResponse::Ok().content_type("text/html").body(format!("<code>{code}#{state}</code>"))
}

fn redirected(to: &str, parameters: &[(&str, &str)]) -> HttpResponse {
    match url::Url::parse_with_params(to, parameters) {
        Ok(url) => HttpResponse::Found().insert_header(("location", String::from(url))).finish(),
        Err(_) => HttpResponse::BadRequest().body("invalid request: redirect_uri is no URL"),
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct TokenRequest {
    grant_type: String,
    client_id: String,
    code: String,
    redirect_uri: String,
    code_verifier: String,
    state: String,
    refresh_token: String,
}

async fn token(shared: Data<Shared>, body: Bytes) -> HttpResponse {
    {
        let mut world = shared.world();
        world.token_calls_now += 1;
        world.counts.token_peak = world.counts.token_peak.max(world.token_calls_now);
    }
    // A client that leaves drops this future at one of its waits.
    let _present = Present(shared.clone());
    shared.count(|c| c.token_calls += 1);
    staged(&shared, Place::Token, || answer_token(&shared, &body)).await
}

struct Present(Data<Shared>);

impl Drop for Present {
    fn drop(&mut self) {
        self.0.world().token_calls_now -= 1;
    }
}

fn answer_token(shared: &Shared, body: &[u8]) -> HttpResponse {
    let Ok(ask) = serde_json::from_slice::<TokenRequest>(body) else {
        return oauth_error("invalid_request", "the body is not JSON");
    };
    let now = shared.clock.now_ms();
    let mut world = shared.world();
    let life_ms = world.life_ms();
    let is_exchange = ask.grant_type == "authorization_code";
    let granted = if is_exchange {
        let exchange = Exchange {
            code: ask.code,
            client_id: ask.client_id,
            redirect_uri: ask.redirect_uri,
            verifier: ask.code_verifier,
            state: ask.state,
        };
        world.grants.exchange(&exchange, now, life_ms)
    } else if ask.grant_type == "refresh_token" {
        world.grants.refresh(&ask.refresh_token, &ask.client_id, now, life_ms)
    } else {
        return oauth_error("unsupported_grant_type", "not a grant of this vendor");
    };
    let counts = &mut world.counts;
    match (&granted, is_exchange) {
        (Ok(_), true) => counts.exchanges += 1,
        (Ok(_), false) => counts.refreshes += 1,
        (Err(_), true) => counts.refused_exchanges += 1,
        (Err(_), false) => counts.refused_refreshes += 1,
    }
    if matches!(granted, Err(Refused::Reused)) {
        counts.reuses += 1;
    }
    shared.changed.notify_all();
    match granted {
        Ok(granted) => HttpResponse::Ok().json(token_reply(&world, granted)),
        Err(Refused::Reused) if is_exchange => {
            oauth_error("invalid_grant", "Authorization code was used before")
        }
        Err(Refused::Reused) => oauth_error("invalid_grant", "Refresh token was used before"),
        Err(Refused::Invalid(why)) => oauth_error("invalid_grant", why),
    }
}

fn token_reply(world: &World, granted: Granted) -> Value {
    let person = world.people.get(&granted.person).map(|(person, _)| person.in_token_reply());
    let (account, organization) = person.unwrap_or_default();
    let mut reply = json!({
        "token_type": "Bearer", "access_token": granted.access, "scope": granted.scope,
        "refresh_token": granted.refresh, "expires_in": world.expires_in_s,
        "account": account, "organization": organization,
    });
    if let Some(members) = reply.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
    reply
}

async fn profile(shared: Data<Shared>, request: HttpRequest) -> HttpResponse {
    shared.count(|c| c.profiles += 1);
    staged(&shared, Place::Profile, || match caller(&shared, &request, Some(PROFILE_SCOPE)) {
        Ok(person) => HttpResponse::Ok().json(person.profile()),
        Err(refused) => refused.response(),
    })
    .await
}

async fn usage(shared: Data<Shared>, request: HttpRequest) -> HttpResponse {
    shared.count(|c| c.usages += 1);
    staged(&shared, Place::Usage, || {
        if shared.world().usage_throttled {
            let mut refused = api_error(
                StatusCode::TOO_MANY_REQUESTS,
                "rate_limit_error",
                "Rate limited. Please try again later.",
            );
            let zero = HeaderValue::from_static("0");
            refused.headers_mut().insert(HeaderName::from_static("retry-after"), zero);
            return refused;
        }
        match caller(&shared, &request, Some(PROFILE_SCOPE)) {
            Ok(person) => {
                let now = shared.clock.now_ms();
                let mut world = shared.world();
                let fixed = world.usage.clone();
                let plan = world.people.get_mut(&person.key());
                let report = fixed.or_else(|| plan.map(|(_, plan)| plan.report(now)));
                HttpResponse::Ok().json(report)
            }
            Err(refused) => refused.response(),
        }
    })
    .await
}

async fn messages(shared: Data<Shared>, request: HttpRequest, body: Bytes) -> HttpResponse {
    staged(&shared, Place::Messages, || {
        let mut reply = answer_messages(&shared, &request, &body);
        for (name, value) in &shared.world().message_headers {
            let header = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value));
            if let (Ok(name), Ok(value)) = header {
                reply.headers_mut().insert(name, value);
            }
        }
        reply
    })
    .await
}

fn answer_messages(shared: &Shared, request: &HttpRequest, body: &[u8]) -> HttpResponse {
    let person = match caller(shared, request, None) {
        Ok(person) => person,
        Err(refused) => return refused.response(),
    };
    let (Ok(head), Ok(tree)) =
        (serde_json::from_slice::<Head>(body), serde_json::from_slice::<Value>(body))
    else {
        let (status, kind) = (StatusCode::BAD_REQUEST, "invalid_request_error");
        return api_error(status, kind, "the body is not JSON");
    };
    let model = head.model.unwrap_or_default();
    let now = shared.clock.now_ms();
    let (counted, number) = {
        let mut world = shared.world();
        let Some((_, plan)) = world.people.get_mut(&person.key()) else {
            return api_error(StatusCode::FORBIDDEN, "permission_error", "no plan");
        };
        let counted = plan.count(&model, now);
        let counts = &mut world.counts;
        match counted.refused_for_s {
            Some(_) => counts.out_of_quota += 1,
            None => counts.messages += 1,
        }
        (counted, counts.messages)
    };
    shared.changed.notify_all();
    let mut reply = if let Some(wait_s) = counted.refused_for_s {
        let why = "This request would exceed your account's rate limit. Please try again later.";
        let mut refused = api_error(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", why);
        refused.headers_mut().insert(HeaderName::from_static("retry-after"), wait_s.into());
        refused
    } else {
        let streamed = head.stream == Some(true);
        let framing =
            if streamed { Framing::Events { include_usage: false } } else { Framing::Whole };
        let ask = Ask::read(Wire::Messages, &tree);
        let answer = Answer::to(ask, NAME, model, number.into(), now / 1000);
        let body: Vec<u8> = frames(Wire::Messages, framing, &answer).concat();
        HttpResponse::Ok().content_type(framing.content_type()).body(body)
    };
    for (name, value) in counted.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            reply.headers_mut().insert(name, value);
        }
    }
    reply
}

async fn count_tokens(shared: Data<Shared>, request: HttpRequest, body: Bytes) -> HttpResponse {
    staged(&shared, Place::Messages, || match caller(&shared, &request, None) {
        Ok(_) => {
            shared.count(|c| c.token_counts += 1);
            HttpResponse::Ok().json(json!({"input_tokens": body.len() / 4 + 1}))
        }
        Err(refused) => refused.response(),
    })
    .await
}

async fn models(shared: Data<Shared>, request: HttpRequest) -> HttpResponse {
    let model = |id: &str| json!({"type": "model", "id": id, "display_name": id});
    match caller(&shared, &request, None) {
        Ok(_) => HttpResponse::Ok().json(json!({"has_more": false,
            "data": [model("claude-opus-5"), model("claude-sonnet-5")]})),
        Err(refused) => refused.response(),
    }
}

/// Runs one request through the script and the gate of its place.
pub(super) async fn staged(
    shared: &Shared,
    place: Place,
    act: impl FnOnce() -> HttpResponse,
) -> HttpResponse {
    let script = shared.world().scripts.next(place);
    if !script.delay.is_zero() {
        actix_web::rt::time::sleep(script.delay).await;
    }
    wait_while(shared, place, Hold::Request).await;
    let genuine = script.takes_effect.then(act);
    wait_while(shared, place, Hold::Reply).await;
    match (script.reply, genuine) {
        (Some(fixed), _) => fixed.response(),
        (None, Some(reply)) => reply,
        (None, None) => HttpResponse::InternalServerError().finish(),
    }
}

async fn wait_while(shared: &Shared, place: Place, hold: Hold) {
    let mut gate = shared.gate(place).subscribe();
    // The sender lives as long as the server.
    let _open = gate.wait_for(|now| *now != hold).await;
}

/// A refusal of the API.
struct Refusal {
    status: StatusCode,
    kind: &'static str,
    why: &'static str,
}

impl Refusal {
    fn credential(why: &'static str) -> Self {
        Self { status: StatusCode::UNAUTHORIZED, kind: "authentication_error", why }
    }

    fn permission(why: &'static str) -> Self {
        Self { status: StatusCode::FORBIDDEN, kind: "permission_error", why }
    }

    fn response(&self) -> HttpResponse {
        api_error(self.status, self.kind, self.why)
    }
}

/// Whose token a request carries, or why it is not taken.
fn caller(shared: &Shared, request: &HttpRequest, scope: Option<&str>) -> Result<Person, Refusal> {
    let judged = judge(shared, request, scope);
    if judged.is_err() {
        shared.count(|c| c.unauthorized += 1);
    }
    judged
}

fn judge(shared: &Shared, request: &HttpRequest, scope: Option<&str>) -> Result<Person, Refusal> {
    let headers = request.headers();
    let betas = headers.get_all("anthropic-beta").filter_map(|value| value.to_str().ok());
    if !betas.flat_map(|list| list.split(',')).any(|beta| beta.trim() == BETA) {
        let why = "OAuth authentication is currently not supported.";
        return Err(Refusal::credential(why));
    }
    let bearer = headers.get("authorization").and_then(|value| value.to_str().ok());
    let token = bearer.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    let world = shared.world();
    match world.grants.standing(token, shared.clock.now_ms()) {
        Standing::Live { scope: granted, .. }
            if scope.is_some_and(|wanted| !granted.split(' ').any(|s| s == wanted)) =>
        {
            let why = "OAuth token does not meet scope requirement user:profile";
            Err(Refusal::permission(why))
        }
        Standing::Live { person, .. } => {
            let known = world.people.get(&person).map(|(person, _)| person.clone());
            known.ok_or_else(|| Refusal::permission("no such account"))
        }
        Standing::Expired => Err(Refusal::credential(
            "OAuth token has expired. Please obtain a new token or refresh your existing token.",
        )),
        Standing::Revoked => {
            Err(Refusal::permission("OAuth token has been revoked. Please obtain a new token."))
        }
        Standing::Unknown => Err(Refusal::credential("Invalid bearer token")),
    }
}

fn api_error(status: StatusCode, kind: &str, message: &str) -> HttpResponse {
    HttpResponse::build(status)
        .json(json!({"type": "error", "error": {"type": kind, "message": message}}))
}

pub(super) fn oauth_error(error: &str, description: &str) -> HttpResponse {
    HttpResponse::BadRequest().json(json!({"error": error, "error_description": description}))
}
