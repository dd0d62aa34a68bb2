//! Admission to the inference API: the table of security §7.3, keys, and what keyless callers
//! must bring along.

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::http::header::HeaderMap;

use super::address::{ClientAddr, Peer};
use super::arrival::Arrival;
use super::candidate::Candidates;
use super::failed::FailedKeys;
use super::host::{HostPolicy, RequestHost, is_cross_site, request_host};
use super::key::{KeyFault, KeyRecord, Scope, checksum_ok, has_key_form};
use super::keyring::KeyRing;
use super::policy::AdmitPolicy;
use super::refusal::Refusal;
use crate::clock::UnixMs;
use crate::config::settings::RequireApiKey;

/// One request at the door.
#[derive(Debug)]
pub struct AdmitCx<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Authority of an absolute-form target, if it had one.
    pub target_authority: Option<&'a str>,
    /// The query, on routes where `?key=` may hold the key (`Matched::accepts_query_key`).
    pub key_query: Option<&'a str>,
    /// POST: the one method with a body that a web page can send without asking first.
    pub is_post: bool,
    /// The scope a key needs for the route.
    pub scope: Scope,
    /// The other end of the socket.
    pub peer: Peer,
    /// Our end of the socket.
    pub local_ip: Option<IpAddr>,
    /// Every address the process listens on is loopback (or a Unix socket).
    pub listener_loopback_only: bool,
    /// Settings.
    pub policy: &'a AdmitPolicy,
    /// Keys.
    pub ring: &'a KeyRing,
    /// Failed keys.
    pub failed: &'a FailedKeys,
    /// Now.
    pub now: UnixMs,
}

/// Who is calling.
#[derive(Clone, Debug)]
pub enum Caller {
    /// Nobody in particular, where no key is needed: the identity `local`.
    Local,
    /// The holder of a valid key.
    Key(Arc<KeyRecord>),
}

impl Caller {
    /// The key, if there is one.
    #[must_use]
    pub fn key(&self) -> Option<&Arc<KeyRecord>> {
        match self {
            Self::Local => None,
            Self::Key(key) => Some(key),
        }
    }
}

/// Who may go on, and from where.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// Who is calling.
    pub caller: Caller,
    /// From where: both addresses, for rows and logs.
    pub addr: ClientAddr,
}

/// Decides on one inference request from its head alone, before any body is read.
///
/// Key limits (model, concurrency, rates, budget) come later, when the target is resolved:
/// `KeyRecord::may_use`, `Limits::reserve`.
///
/// # Errors
/// Why the request is turned away.
pub fn admit(cx: &AdmitCx<'_>) -> Result<Admitted, Refusal> {
    let arrival = Arrival::of(cx.peer, cx.headers, cx.target_authority, cx.policy)?;
    let addr = arrival.addr;
    let candidates = Candidates::of(cx.headers, cx.key_query);
    let caller = match try_keys(&candidates, cx) {
        Keys::Valid(key) => {
            check_listed(&cx.policy.hosts, &arrival.host, cx.local_ip)?;
            check_key(&key, addr.client, cx.scope)?;
            Caller::Key(key)
        }
        // Known and refused: not even a keyless caller gets in with it.
        Keys::Refused(fault) => return Err(count_failure(cx, addr, fault.into())),
        Keys::None { mistyped } => {
            admit_keyless(cx, &arrival, &candidates, mistyped)?;
            Caller::Local
        }
    };
    Ok(Admitted { caller, addr })
}

/// The host check of public routes: a host that can be one, and on the list if there is a list.
///
/// # Errors
/// [`Refusal::BadHost`], [`Refusal::UnsafeHost`].
pub fn check_public_host(
    headers: &HeaderMap,
    target_authority: Option<&str>,
    policy: &HostPolicy,
    local_ip: Option<IpAddr>,
) -> Result<(), Refusal> {
    let host = request_host(headers, target_authority)?;
    check_listed(policy, &host, local_ip)
}

/// `allowed_hosts` binds everybody once it has an entry (SEC-HOST-2).
fn check_listed(
    policy: &HostPolicy,
    host: &RequestHost<'_>,
    local_ip: Option<IpAddr>,
) -> Result<(), Refusal> {
    if policy.is_restricted() && !policy.is_safe(host, local_ip) {
        return Err(Refusal::UnsafeHost);
    }
    Ok(())
}

/// What the candidates turned out to be.
enum Keys {
    Valid(Arc<KeyRecord>),
    Refused(KeyFault),
    None { mistyped: bool },
}

fn try_keys(candidates: &Candidates<'_>, cx: &AdmitCx<'_>) -> Keys {
    let mut fault = None;
    let mut mistyped = false;
    for text in candidates.iter() {
        match cx.ring.find(text) {
            Some(key) => match key.check_valid(cx.now) {
                Ok(()) => return Keys::Valid(key),
                Err(why) => fault = fault.or(Some(why)),
            },
            None => mistyped |= has_key_form(text) && !checksum_ok(text),
        }
    }
    fault.map_or(Keys::None { mistyped }, Keys::Refused)
}

/// SEC-AK-5: after enabled and expiry come address and scope.
fn check_key(key: &KeyRecord, client: IpAddr, scope: Scope) -> Result<(), Refusal> {
    if key.allowed_cidrs.as_ref().is_some_and(|set| !set.contains(client)) {
        return Err(Refusal::AddressNotAllowed);
    }
    if !key.scopes.contains(scope) {
        return Err(Refusal::ScopeMissing(scope));
    }
    Ok(())
}

fn admit_keyless(
    cx: &AdmitCx<'_>,
    arrival: &Arrival<'_>,
    candidates: &Candidates<'_>,
    mistyped: bool,
) -> Result<(), Refusal> {
    let (host, addr) = (&arrival.host, arrival.addr);
    let needs_key = || match (candidates.offered, mistyped) {
        (false, _) => Refusal::KeyMissing,
        (true, false) => count_failure(cx, addr, Refusal::KeyUnknown),
        (true, true) => count_failure(cx, addr, Refusal::KeyMistyped),
    };
    let place = keyless_place(cx, arrival);
    // The key holder's own view makes no sense without a key (endpoints §4.10).
    if place == Place::Nowhere || candidates.in_query || cx.scope == Scope::UsageOwn {
        return Err(needs_key());
    }
    if cx.peer != Peer::Unix && !cx.policy.hosts.is_safe(host, cx.local_ip) {
        return Err(Refusal::UnsafeHost);
    }
    if is_cross_site(cx.headers, host) {
        return Err(Refusal::ForeignOrigin);
    }
    if place == Place::IfLocal && !arrival.is_local() {
        return Err(needs_key());
    }
    if cx.is_post && !is_json(cx.headers) {
        return Err(Refusal::NotJson);
    }
    Ok(())
}

/// Where a request stands, by its addresses alone; host and origin are judged afterwards, so that
/// a rebinding page gets 421 and a foreign one 403, not a hint that a key would help.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// A key is needed whatever else it says.
    Nowhere,
    /// No key, if it is local in every respect.
    IfLocal,
    /// No key, from an admitted address.
    Admitted,
}

/// The table of security §7.3.
fn keyless_place(cx: &AdmitCx<'_>, arrival: &Arrival<'_>) -> Place {
    if arrival.is_tunnelled() {
        return Place::Nowhere;
    }
    let near = arrival.addr.peer.is_loopback() && !arrival.is_forwarded();
    let near = if near { Place::IfLocal } else { Place::Nowhere };
    match (cx.policy.require, cx.listener_loopback_only) {
        (RequireApiKey::Always, _) | (RequireApiKey::Auto, false) => Place::Nowhere,
        (RequireApiKey::Auto | RequireApiKey::Never, true) => near,
        (RequireApiKey::Never, false) if arrival.is_whitelisted() => Place::Admitted,
        (RequireApiKey::Never, false) => near,
    }
}

/// Only attempts that fail are limited: a valid key is never looked at here (SEC-AK-7).
fn count_failure(cx: &AdmitCx<'_>, addr: ClientAddr, refusal: Refusal) -> Refusal {
    match cx.failed.count(addr.client) {
        Ok(()) => refusal,
        Err(retry_after_s) => Refusal::TooManyFailures { retry_after_s },
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all("content-type");
    let (Some(line), None) = (lines.next(), lines.next()) else { return false };
    line.to_str().is_ok_and(|text| {
        let essence = text.split_once(';').map_or(text, |(essence, _parameters)| essence);
        essence.trim().eq_ignore_ascii_case("application/json")
    })
}

#[cfg(test)]
mod tests;
