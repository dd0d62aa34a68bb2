//! The simulated vendor's sign-in by code (RFC 8628), in the shape of xAI's: codes, questions, and the page for people.

use std::collections::HashMap;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Query, ServiceConfig, get, post};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde_json::{Value, json};

use super::grants::{Granted, Refused, Standing};
use super::serve::{oauth_error, staged};
use super::{Place, Shared, World};
use crate::clock::UnixMs;
use crate::demo::answer::Answer;
use crate::demo::ask::{Ask, Head};
use crate::demo::wire::{Framing, Wire, frames};

/// What the vendor calls itself in answers.
const NAME: &str = "authority";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// Each question that comes too early adds this.
const SLOWER_BY_MS: i64 = 5_000;

/// Codes and how they are handed out.
#[derive(Debug)]
pub(super) struct Devices {
    codes: HashMap<String, Code>,
    /// When it was asked whether a code was entered.
    pub(super) asked_at: Vec<UnixMs>,
    /// Life of a code, seconds.
    pub(super) expires_in_s: i64,
    /// Pause between questions, seconds.
    pub(super) interval_s: i64,
}

impl Default for Devices {
    fn default() -> Self {
        Self { codes: HashMap::new(), asked_at: Vec::new(), expires_in_s: 900, interval_s: 5 }
    }
}

#[derive(Debug)]
struct Code {
    user_code: String,
    client_id: String,
    scope: String,
    expires_at: UnixMs,
    interval_ms: i64,
    asked_at: UnixMs,
    decision: Option<Decision>,
    spent: bool,
}

/// What a person made of a code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Decision {
    /// This person agreed.
    Agreed(String),
    Declined,
}

impl Devices {
    /// Every device code so far: what a search for leaks looks for.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &String> {
        self.codes.keys()
    }

    /// Decides about a code. False when there is none that waits.
    pub(super) fn decide(&mut self, user_code: &str, decision: Decision) -> bool {
        let waiting = |code: &&mut Code| code.user_code == user_code && code.decision.is_none();
        let found = self.codes.values_mut().find(waiting);
        found.map(|code| code.decision = Some(decision)).is_some()
    }
}

pub(super) fn routes(app: &mut ServiceConfig) {
    app.route("/oauth2/device/code", post().to(code))
        .route("/oauth2/token", post().to(token))
        .route("/device", get().to(page))
        .route("/v1/chat/completions", post().to(chat));
}

fn form(body: &[u8]) -> HashMap<String, String> {
    url::form_urlencoded::parse(body).into_owned().collect()
}

async fn code(shared: Data<Shared>, request: HttpRequest, body: Bytes) -> HttpResponse {
    staged(&shared, Place::DeviceCode, || {
        let asked = form(&body);
        let get = |name: &str| asked.get(name).cloned().unwrap_or_default();
        if get("client_id").is_empty() {
            return oauth_error("invalid_client", "no client_id");
        }
        let host = request.headers().get("host").and_then(|host| host.to_str().ok());
        let host = host.unwrap_or("localhost").to_owned();
        let reply = hand_out(
            &mut shared.world(),
            &host,
            get("client_id"),
            get("scope"),
            shared.clock.now_ms(),
        );
        shared.count(|c| c.device_codes += 1);
        HttpResponse::Ok().json(reply)
    })
    .await
}

fn hand_out(world: &mut World, host: &str, client_id: String, scope: String, now: UnixMs) -> Value {
    let device_code = world.grants.text("device-sim-");
    let user_code = user_code(world.devices.codes.len());
    let devices = &mut world.devices;
    let (expires_in, interval) = (devices.expires_in_s, devices.interval_s);
    let code = Code {
        user_code: user_code.clone(),
        client_id,
        scope,
        expires_at: now + expires_in * 1_000,
        interval_ms: interval * 1_000,
        asked_at: now,
        decision: None,
        spent: false,
    };
    devices.codes.insert(device_code.clone(), code);
    json!({
        "device_code": device_code, "user_code": user_code, "expires_in": expires_in,
        "interval": interval, "verification_uri": format!("http://{host}/device"),
        "verification_uri_complete": format!("http://{host}/device?user_code={user_code}"),
    })
}

/// `SIMA-0001`: unlike those of earlier sign-ins, and easy to read in a test's output.
fn user_code(number: usize) -> String {
    format!("SIMA-{:04}", number + 1)
}

/// The page for people asks nobody: whoever [`super::Authority::sign_in_as`] named agrees.
async fn page(shared: Data<Shared>, query: Query<HashMap<String, String>>) -> HttpResponse {
    let code = query.get("user_code").cloned().unwrap_or_default();
    let mut world = shared.world();
    let decision = match std::mem::take(&mut world.declines) {
        true => Decision::Declined,
        false => Decision::Agreed(world.at_browser.clone()),
    };
    let found = world.devices.decide(&code, decision);
    let status = if found { StatusCode::OK } else { StatusCode::NOT_FOUND };
    HttpResponse::build(status).body(if found {
        "You can close this page."
    } else {
        "No such code."
    })
}

async fn token(shared: Data<Shared>, body: Bytes) -> HttpResponse {
    let asked = form(&body);
    if asked.get("grant_type").is_some_and(|grant| grant == GRANT) {
        let now = shared.clock.now_ms();
        shared.world().devices.asked_at.push(now);
        shared.count(|c| c.device_polls += 1);
    }
    shared.count(|c| c.token_calls += 1);
    staged(&shared, Place::DeviceToken, || {
        let get = |name: &str| asked.get(name).map(String::as_str).unwrap_or_default();
        let reply = match get("grant_type") {
            GRANT => answer_question(
                &mut shared.world(),
                get("device_code"),
                get("client_id"),
                shared.clock.now_ms(),
            ),
            "refresh_token" => answer_refresh(
                &mut shared.world(),
                get("refresh_token"),
                get("client_id"),
                shared.clock.now_ms(),
            ),
            _ => oauth_error("unsupported_grant_type", "not a grant of this vendor"),
        };
        shared.changed.notify_all();
        reply
    })
    .await
}

fn answer_question(
    world: &mut World,
    device_code: &str,
    client_id: &str,
    now: UnixMs,
) -> HttpResponse {
    let life_ms = world.life_ms();
    let Some(code) = world.devices.codes.get_mut(device_code) else {
        return oauth_error("invalid_grant", "no such device code");
    };
    if code.client_id != client_id {
        return oauth_error("invalid_client", "another client's code");
    }
    if code.spent {
        world.counts.reuses += 1;
        return oauth_error("invalid_grant", "the device code was used before");
    }
    if code.expires_at <= now {
        return oauth_error("expired_token", "the code expired");
    }
    let early = now - code.asked_at < code.interval_ms;
    code.asked_at = now;
    if early {
        code.interval_ms += SLOWER_BY_MS;
        world.counts.early_polls += 1;
        return oauth_error("slow_down", "asked too early");
    }
    match code.decision.clone() {
        None => oauth_error("authorization_pending", "nobody entered the code yet"),
        Some(Decision::Declined) => oauth_error("access_denied", "declined"),
        Some(Decision::Agreed(person)) => {
            code.spent = true;
            let (client, scope) = (code.client_id.clone(), code.scope.clone());
            let granted = world.grants.issue(person, client, scope, true, now + life_ms);
            world.counts.exchanges += 1;
            HttpResponse::Ok().json(token_reply(world, granted))
        }
    }
}

fn answer_refresh(world: &mut World, token: &str, client_id: &str, now: UnixMs) -> HttpResponse {
    let life_ms = world.life_ms();
    match world.grants.refresh(token, client_id, now, life_ms) {
        Ok(granted) => {
            world.counts.refreshes += 1;
            HttpResponse::Ok().json(token_reply(world, granted))
        }
        Err(refused) => {
            world.counts.refused_refreshes += 1;
            match refused {
                Refused::Reused => {
                    world.counts.reuses += 1;
                    oauth_error("invalid_grant", "the refresh token was used before")
                }
                Refused::Invalid(why) => oauth_error("invalid_grant", why),
            }
        }
    }
}

fn token_reply(world: &World, granted: Granted) -> Value {
    let person = world.people.get(&granted.person).map(|(person, _)| person);
    let claims = person.map(|person| json!({"sub": person.account_uuid, "email": person.email}));
    let claims = URL_SAFE_NO_PAD.encode(claims.unwrap_or_default().to_string());
    json!({
        "token_type": "Bearer", "access_token": granted.access, "scope": granted.scope,
        "refresh_token": granted.refresh, "expires_in": world.life_ms() / 1_000,
        "id_token": format!("e30.{claims}.c2ln"),
    })
}

async fn chat(shared: Data<Shared>, request: HttpRequest, body: Bytes) -> HttpResponse {
    staged(&shared, Place::Messages, || {
        let bearer = request.headers().get("authorization").and_then(|value| value.to_str().ok());
        let token = bearer.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        let now = shared.clock.now_ms();
        if !matches!(shared.world().grants.standing(token, now), Standing::Live { .. }) {
            shared.count(|c| c.unauthorized += 1);
            return HttpResponse::Unauthorized()
                .json(json!({"code": "unauthenticated", "error": "the token is not taken"}));
        }
        let (Ok(head), Ok(tree)) =
            (serde_json::from_slice::<Head>(&body), serde_json::from_slice::<Value>(&body))
        else {
            return HttpResponse::BadRequest().json(json!({"error": "the body is not JSON"}));
        };
        shared.count(|c| c.messages += 1);
        let number = shared.world().counts.messages;
        let framing = match head.stream {
            Some(true) => Framing::Events { include_usage: true },
            _ => Framing::Whole,
        };
        let ask = Ask::read(Wire::Chat, &tree);
        let answer =
            Answer::to(ask, NAME, head.model.unwrap_or_default(), number.into(), now / 1000);
        let body: Vec<u8> = frames(Wire::Chat, framing, &answer).concat();
        HttpResponse::Ok().content_type(framing.content_type()).body(body)
    })
    .await
}
