//! What stands before pages and management calls: host, tunnel, address, session, source (security §2, §5, §6). A
//! request gets past each of them or ends here; what ends here is told to the audit log.

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderMap, USER_AGENT};
use url::Origin;

use crate::actors::shared::Shared;
use crate::actors::snapshot::Snapshot;
use crate::auth::address::Peer;
use crate::auth::arrival::Arrival;
use crate::auth::audit::{Authority, Caller, Event, EventName};
use crate::auth::csrf::{Forgery, check_source};
use crate::auth::host::BadHost;
use crate::auth::login::Knock;
use crate::auth::session::{Live, NoSession, SessionError, cookie};
use crate::gateway::local_ip;

/// Longest `User-Agent` that is kept, characters.
const AGENT: usize = 400;

/// A request past host, tunnel and address.
#[derive(Clone, Debug)]
pub(super) struct Entered {
    /// Where from; nobody yet.
    pub(super) caller: Caller,
    /// The same, for the sign-in.
    pub(super) knock: Knock,
    /// The place our own pages come from.
    pub(super) origin: Option<Origin>,
    /// The browser came by https.
    pub(super) is_https: bool,
    /// Cookies carry `Secure`.
    pub(super) is_secure: bool,
}

/// Why a request is stopped before it is anybody's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Stop {
    /// No request may have this host (SEC-HOST-1).
    BadHost(BadHost),
    /// Not among the hosts the operator listed (SEC-HOST-2).
    UnknownHost,
    /// Through a tunnel (SEC-TUN-1).
    Tunnel,
    /// The client's address is not admitted (SEC-IP-4).
    Address(IpAddr),
}

impl Stop {
    /// HTTP status.
    pub(super) fn status(&self) -> u16 {
        match self {
            Self::BadHost(_) => 400,
            Self::UnknownHost => 421,
            Self::Tunnel | Self::Address(_) => 403,
        }
    }

    /// Word for programs.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::BadHost(_) => "bad_host",
            Self::UnknownHost => "host_not_allowed",
            Self::Tunnel => "tunnel_denied",
            Self::Address(_) => "ip_denied",
        }
    }

    /// What is wrong.
    pub(super) fn cause(&self) -> String {
        match self {
            Self::BadHost(why) => why.to_string(),
            Self::UnknownHost => "this router does not answer to that host name".to_owned(),
            Self::Tunnel => "the dashboard is not served through tunnels".to_owned(),
            Self::Address(seen) => format!("the address {seen} is not admitted to the dashboard"),
        }
    }

    /// What to do about it.
    pub(super) fn remedy(&self) -> &'static str {
        match self {
            Self::BadHost(_) => "use the router's own address",
            Self::UnknownHost => "use a name of the setting `allowed_hosts`",
            Self::Tunnel => "the setting `tunnel_dashboard_access` allows it",
            Self::Address(_) => {
                "add it to `NINEROUTER_IP_WHITELIST` or the setting `ip_whitelist`; behind a reverse proxy, name \
                 the proxy in `NINEROUTER_TRUSTED_PROXIES`"
            }
        }
    }
}

/// Which checks a request has to pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Strictness {
    /// All of them.
    Admitted,
    /// All but the address: the form itself is public, what it sends is not.
    Shown,
}

/// Lets a request past host, tunnel and address, or says why not.
pub(super) fn enter(
    shared: &Shared,
    snapshot: &Snapshot,
    http: &HttpRequest,
    request_id: &str,
    strictness: Strictness,
) -> Result<Entered, Stop> {
    let settings = &snapshot.settings;
    let headers = http.headers();
    let peer = http.peer_addr().map_or(Peer::Unix, Peer::Tcp);
    let authority = http.uri().authority().map(|authority| authority.as_str());
    let arrival = Arrival::of(peer, headers, authority, &snapshot.admit).map_err(Stop::BadHost)?;
    let caller = caller(http, &arrival, request_id);
    let record = |event: Event| shared.audit.record(&caller, event);
    if arrival.has_ignored_forwarding() {
        record(Event::ok(EventName::ProxyHeaderIgnored));
    }
    let hosts = &snapshot.admit.hosts;
    if hosts.is_restricted() && !hosts.is_safe(&arrival.host, local_ip(http)) {
        record(Event::denied(EventName::HostRejected));
        return Err(Stop::UnknownHost);
    }
    if arrival.is_tunnelled() && !settings.tunnel_dashboard_access {
        let host = arrival.host.name().map_or("", |host| host.name);
        let event = Event::denied(EventName::TunnelAccessAttempt);
        record(event.with("host", host).with("allowed", false));
        return Err(Stop::Tunnel);
    }
    if strictness == Strictness::Admitted && !arrival.is_whitelisted() {
        record(Event::denied(EventName::IpDenied));
        if arrival.has_ignored_forwarding() {
            let event = Event::denied(EventName::AuthBypassAttempt);
            record(event.with("why", "spoofed_address"));
        }
        return Err(Stop::Address(arrival.addr.client));
    }
    let knock = Knock {
        client: arrival.addr.client,
        is_local: arrival.is_local(),
        is_loopback_only: snapshot.fixed.loopback_only,
        user_agent: caller.user_agent.as_deref().unwrap_or_default().to_owned(),
    };
    let is_https = arrival.is_https();
    let origin = arrival.own_origin(settings.base_url.as_ref());
    let is_secure = settings.auth_cookie_secure || is_https;
    Ok(Entered { caller, knock, origin, is_https, is_secure })
}

fn caller(http: &HttpRequest, arrival: &Arrival<'_>, request_id: &str) -> Caller {
    let is_unix = arrival.peer == Peer::Unix && !arrival.addr.derived;
    let agent = http.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok());
    let agent = agent.map(|agent| agent.chars().take(AGENT).collect::<String>());
    Caller {
        authority: Authority::Anonymous,
        client_ip: (!is_unix).then_some(arrival.addr.client),
        peer_ip: (arrival.peer != Peer::Unix).then_some(arrival.addr.peer),
        user_agent: agent.map(Into::into),
        method: Some(http.method().as_str().into()),
        path: Some(http.uri().path().into()),
        request_id: Some(request_id.into()),
    }
}

impl Entered {
    /// The same caller, known by his session.
    pub(super) fn known_by(&self, live: &Live) -> Caller {
        let authority = Authority::Session(live.session.clone());
        Caller { authority, ..self.caller.clone() }
    }

    /// What the address bar shows, for text.
    pub(super) fn origin_text(&self) -> String {
        self.origin.as_ref().map(Origin::ascii_serialization).unwrap_or_default()
    }

    /// Whether our own pages made the browser send this; the token is looked at by who has it.
    pub(super) fn check_source(&self, headers: &HeaderMap) -> Result<(), Forgery> {
        check_source(headers, self.origin.as_ref())
    }
}

/// The session of a request that has entered.
///
/// # Errors
/// Sessions cannot be read (outer), or there is none (inner).
pub(super) async fn session(
    shared: &Shared,
    entered: &Entered,
    headers: &HeaderMap,
) -> Result<Result<Live, NoSession>, SessionError> {
    let found = shared.login.sessions.find(cookie::session_tokens(headers)).await?;
    if let Err(why) = found {
        let event = match why {
            NoSession::NoCookie => None,
            NoSession::Expired => Some(Event::denied(EventName::SessionExpired)),
            NoSession::BadToken(_) | NoSession::Ended => {
                Some(Event::denied(EventName::SessionInvalid).with("why", why.to_string()))
            }
        };
        if let Some(event) = event {
            shared.audit.record(&entered.caller, event);
        }
    }
    Ok(found)
}

/// Tells the audit log of a request that our own pages did not send.
pub(super) fn forged(shared: &Shared, caller: &Caller, why: Forgery) {
    let event = Event::denied(EventName::CsrfFailed);
    shared.audit.record(caller, event.with("why", why.to_string()));
}

/// True for methods that may change something.
pub(super) fn is_unsafe(method: &str) -> bool {
    !matches!(method, "GET" | "HEAD" | "OPTIONS")
}

/// The token that a script sends along.
pub(super) fn header_token(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-csrf-token").and_then(|token| token.to_str().ok())
}
