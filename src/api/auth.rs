//! The caller's own session: what it is, the password once more, another password, the ways out (`api.md` §2).

use std::net::IpAddr;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::Api;
use crate::api::call::{Call, Reply};
use crate::api::error::ApiError;
use crate::auth::audit::{Authority, Caller, Event, EventName, Session};
use crate::auth::login::{Knock, Proof, Refused};
use crate::auth::password::Unfit;
use crate::auth::session::{Listed, SessionChange, SessionError};
use crate::secret::Secret;

/// A browser's address when it has none: it came through a Unix socket.
const THIS_COMPUTER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

pub(super) async fn session(api: &Api, call: Call) -> Result<Reply, ApiError> {
    call.only_query(&[])?;
    let session = own(&call.caller)?;
    let row = find(api, &session.id).await?.row;
    let ip = |ip: Option<IpAddr>| ip.map(|ip| ip.to_string());
    Ok(Reply::ok(json!({
        "id": &*session.id,
        "expires_at": row.expires_at,
        "must_change": row.must_change,
        "sudo_until": row.sudo_until.filter(|until| *until > api.shared().clock.now_ms()),
        "csrf_token": session.csrf.expose(),
        "ip": ip(call.caller.client_ip),
        "peer_ip": ip(call.caller.peer_ip),
    })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sudo {
    password: String,
}

pub(super) async fn sudo(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let session = own(&call.caller)?.clone();
    if session.must_change {
        return Err(ApiError::password_change_required());
    }
    let Sudo { password } = call.typed()?;
    let shared = api.shared();
    let record = |event: Event| shared.audit.record(&call.caller, event);
    let knock = knock(api, &call.caller);
    let granted =
        shared.login.enter_again(&knock, &session.id, Secret::new(password), &record).await;
    let (issued, until) = granted.map_err(|why| refused(&why, "password"))?;
    shared.live.channel().move_session(&session.id, &issued.session.id);
    let body = json!({"sudo_until": until, "csrf_token": issued.session.csrf.expose()});
    Ok(Reply::ok(body).session(SessionChange::Began(issued)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Password {
    current: Option<String>,
    new: String,
}

/// Class `Sudo`, but a session that began with a default password may take it, and the present password is as good as
/// having entered it (`Route::admits`).
pub(super) async fn password(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let Password { current, new } = call.typed()?;
    let proof = match (&call.caller.authority, current) {
        (_, Some(current)) => Proof::Current(Secret::new(current)),
        (Authority::Command | Authority::System, None) => Proof::Command,
        (Authority::Session(session), None) if session.must_change => Proof::FirstRun,
        (Authority::Session(session), None) if session.is_sudo => Proof::Sudo,
        (Authority::Session(_) | Authority::Anonymous, None) => {
            return Err(ApiError::sudo_required());
        }
    };
    let shared = api.shared();
    let record = |event: Event| shared.audit.record(&call.caller, event);
    let knock = knock(api, &call.caller);
    let former = shared.login.sessions.list().await.map_err(unavailable)?;
    let changed = shared.login.change_password(&knock, proof, Secret::new(new), &record).await;
    let issued = changed.map_err(|why| refused(&why, "current"))?;
    // The browser that changed it stays, under another id; every other one is signed out.
    if let (Some(issued), Ok(own)) = (&issued, own(&call.caller)) {
        shared.live.channel().move_session(&own.id, &issued.session.id);
    }
    end_feeds(api, &former);
    let reply = Reply::gone();
    Ok(match issued.filter(|_| matches!(call.caller.authority, Authority::Session(_))) {
        Some(issued) => reply.session(SessionChange::Began(issued)),
        None => reply,
    })
}

pub(super) async fn logout(api: &Api, call: Call) -> Result<Reply, ApiError> {
    crate::api::keys::no_more(&call.object()?)?;
    let session = own(&call.caller)?;
    let shared = api.shared();
    shared.login.sessions.end(&session.id).await.map_err(unavailable)?;
    shared.live.channel().end_session(&session.id);
    shared.audit.record(&call.caller, Event::ok(EventName::Logout));
    Ok(Reply::gone().session(SessionChange::Ended))
}

pub(super) async fn logout_all(api: &Api, call: Call) -> Result<Reply, ApiError> {
    crate::api::keys::no_more(&call.object()?)?;
    let shared = api.shared();
    let former = shared.login.sessions.list().await.map_err(unavailable)?;
    shared.login.sessions.end_all().await.map_err(unavailable)?;
    end_feeds(api, &former);
    shared.audit.record(&call.caller, Event::ok(EventName::LogoutAll));
    Ok(Reply::gone().session(SessionChange::Ended))
}

pub(super) async fn unlock_login(api: &Api, call: Call) -> Result<Reply, ApiError> {
    crate::api::keys::no_more(&call.object()?)?;
    let shared = api.shared();
    shared.login.limit.clear_all();
    let event = Event::ok(EventName::SettingsChanged).with("object", "login_limit");
    shared.audit.record(&call.caller, event.with("change", "cleared"));
    Ok(Reply::gone())
}

pub(super) async fn sessions(api: &Api, call: Call) -> Result<Reply, ApiError> {
    call.only_query(&[])?;
    let own = own(&call.caller).ok().map(|session| session.id.clone());
    let listed = api.shared().login.sessions.list().await.map_err(unavailable)?;
    let total = listed.len();
    let shown = listed.iter().map(|listed| shown(listed, own.as_ref() == Some(&listed.id)));
    let data: Vec<Value> = shown.collect();
    Ok(Reply::ok(json!({"data": data, "next": null, "total": total})))
}

pub(super) async fn end_session(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let id = call.param("id");
    let shared = api.shared();
    if !shared.login.sessions.revoke(id).await.map_err(unavailable)? {
        return Err(ApiError::not_found("session", id));
    }
    shared.live.channel().end_session(id);
    shared.audit.record(&call.caller, Event::ok(EventName::Logout).with("session", id));
    let is_own = own(&call.caller).is_ok_and(|session| &*session.id == id);
    let reply = Reply::gone();
    Ok(if is_own { reply.session(SessionChange::Ended) } else { reply })
}

/// Live feeds do not outlive their sessions.
fn end_feeds(api: &Api, sessions: &[Listed]) {
    for session in sessions {
        api.shared().live.channel().end_session(&session.id);
    }
}

fn shown(listed: &Listed, is_own: bool) -> Value {
    json!({
        "id": &*listed.id,
        "ip": listed.row.ip,
        "ua_family": listed.row.ua_family,
        "created_at": listed.row.created_at,
        "last_seen_at": listed.row.last_seen_at,
        "current": is_own,
    })
}

/// The caller's session. A command has none.
fn own(caller: &Caller) -> Result<&Session, ApiError> {
    match &caller.authority {
        Authority::Session(session) => Ok(session),
        Authority::Command | Authority::System => {
            let message = "a command of the server's own user has no session and needs none";
            Err(ApiError::new(404, "not_found", message))
        }
        Authority::Anonymous => Err(ApiError::not_signed_in()),
    }
}

async fn find(api: &Api, id: &str) -> Result<Listed, ApiError> {
    let listed = api.shared().login.sessions.list().await.map_err(unavailable)?;
    let found = listed.into_iter().find(|listed| &*listed.id == id);
    found.ok_or_else(ApiError::not_signed_in)
}

fn knock(api: &Api, caller: &Caller) -> Knock {
    let client = caller.client_ip.unwrap_or(THIS_COMPUTER);
    Knock {
        client,
        // Of the global limit alone, which spares this computer: a session was admitted already.
        is_local: client.is_loopback(),
        is_loopback_only: api.shared().snapshot.load().fixed.loopback_only,
        user_agent: caller.user_agent.as_deref().unwrap_or_default().to_owned(),
    }
}

/// `given` is the member with the password that was looked at.
fn refused(why: &Refused, given: &str) -> ApiError {
    match why {
        Refused::Limited(seconds) => ApiError::rate_limited(*seconds),
        Refused::Wrong => ApiError::invalid(given, "is not the password"),
        Refused::TooLong => {
            ApiError::new(400, "validation_failed", format!("`{given}`: {}", Unfit::Long))
                .field(given, Unfit::Long.to_string())
        }
        Refused::Unfit(unfit) => ApiError::invalid("new", unfit.to_string()),
        Refused::Busy => ApiError::unavailable(why.to_string()).with("retry_after_s", 2.into()),
        Refused::Unavailable => ApiError::new(503, "db_unavailable", why.to_string()),
        Refused::Over => ApiError::not_signed_in(),
    }
}

fn unavailable(why: SessionError) -> ApiError {
    match why {
        SessionError::Store(why) => why.into(),
        SessionError::Unusable(_) | SessionError::Lost => ApiError::unavailable(why.to_string()),
    }
}
