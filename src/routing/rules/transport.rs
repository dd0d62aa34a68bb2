//! Steps 1 to 3 of accounts §5.2: our client left, no HTTP status, a web page instead of an answer.

use crate::routing::classify::{Class, TransportFailure};
use crate::routing::facts::Facts;
use crate::routing::instant::SECOND;
use crate::routing::lock::Scope;
use crate::routing::verdict::{Cooldown, Retry, Verdict};

/// accounts §5.6: Cloudflare floor.
const CHALLENGE_FLOOR_MS: i64 = 10 * SECOND;

/// The decision of steps 1 to 3, if one of them applies.
pub(crate) fn transport(facts: &Facts<'_>) -> Option<(&'static str, Verdict)> {
    if let Some(failure) = facts.transport {
        return Some(below_http(failure, facts));
    }
    let body_is_html = facts.body.is_some_and(|body| body.is_html);
    let challenge = facts.header("cf-mitigated").is_some() || facts.says("challenge-platform");
    if challenge || body_is_html {
        return Some(page(facts, challenge));
    }
    match facts.http_status {
        None if facts.body.is_none() => {
            Some(("transport.none", Verdict::of(Class::Transient, facts.canonical)))
        }
        Some(_) | None => None,
    }
}

fn below_http(failure: TransportFailure, facts: &Facts<'_>) -> (&'static str, Verdict) {
    let transient = Verdict::of(Class::Transient, facts.canonical);
    match failure {
        TransportFailure::ClientGone => {
            ("transport.client_gone", Verdict::of(Class::ClientCancelled, facts.canonical))
        }
        // The proxy's fault is no account's fault: nothing of the account is locked.
        TransportFailure::Proxy => (
            "transport.proxy",
            Verdict { scope: None, cooldown: Cooldown::None, retry: Retry::No, ..transient },
        ),
        // Asking again cannot help: the destination is refused by our own rules.
        TransportFailure::Blocked => (
            "transport.blocked",
            Verdict {
                class: Class::Unknown,
                scope: None,
                cooldown: Cooldown::None,
                retry: Retry::No,
                ..transient
            },
        ),
        // REL-T-3: a time-out is never turned into a second charge on the same account.
        TransportFailure::ConnectTimeout
        | TransportFailure::SendStall
        | TransportFailure::HeadTimeout
        | TransportFailure::ContentTimeout => {
            ("transport.timeout", Verdict { retry: Retry::No, ..transient })
        }
        TransportFailure::Tls => ("transport.tls", Verdict { retry: Retry::No, ..transient }),
        // accounts §6.4: a quality failure goes to the next candidate; the same one would charge twice.
        TransportFailure::BadBody | TransportFailure::Empty | TransportFailure::Truncated => {
            ("transport.bad_answer", Verdict { retry: Retry::No, ..transient })
        }
        TransportFailure::Dns
        | TransportFailure::Connect
        | TransportFailure::Reset
        | TransportFailure::Protocol => ("transport.network", transient),
    }
}

fn page(facts: &Facts<'_>, challenge: bool) -> (&'static str, Verdict) {
    let transient = Verdict::of(Class::Transient, facts.canonical);
    // A gateway's own 5xx page is the `bad gateway HTML` of the table in §5.1: ladder B, like its JSON twin.
    let gateway = facts.http_status.is_some_and(|status| (500..600).contains(&status));
    if gateway && !challenge {
        return ("html.gateway", transient);
    }
    (
        "html.page",
        Verdict {
            scope: Some(Scope::All),
            cooldown: Cooldown::ThrottleFloor { floor_ms: CHALLENGE_FLOOR_MS },
            retry: Retry::No,
            ..transient
        },
    )
}
