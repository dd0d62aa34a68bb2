//! Blame: what a failure of an upstream means for its account, for the model and for the client.

use actix_web::http::header::HeaderMap;
use ninerouter_dialect::translate::TranslateError;
use ninerouter_dialect::{ApiError, StreamError, UpstreamErrorBody, parse_error_body};

use crate::auth::audit::{Event, EventName};
use crate::gateway::broken::Broken;
use crate::gateway::deadline::Deadline;
use crate::gateway::exchange::Exchange;
use crate::gateway::failure::{Failure, RawAnswer, Trouble};
use crate::gateway::noted;
use crate::gateway::reply::Refusal;
use crate::net::{NetError, Reply};
use crate::provider::credential::Credential;
use crate::redact::Known;
use crate::routing::classify::{
    Class, Classified, Failure as Symptom, Next, TransportFailure, classify,
};
use crate::routing::target::Target;
use crate::routing::verdict::Cooldown;

/// Error bodies are read up to here (accounts §5.2).
const ERROR_BODY: usize = 64 * 1024;
/// An error body that does not arrive in this time is judged without it.
const ERROR_BODY_TIME: std::time::Duration = std::time::Duration::from_secs(10);

/// Reads the failures of one attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blame<'a> {
    /// The client's request.
    pub exchange: &'a Exchange,
    /// Who was asked.
    pub target: &'a Target,
    /// The credential can be refreshed.
    pub oauth: bool,
    /// What the upstream was sent; `None` = nobody knows any more.
    pub credential: Option<&'a Credential>,
}

impl Blame<'_> {
    /// The upstream answered with an error status.
    pub(super) async fn refused(&self, reply: Reply) -> Box<Failure> {
        let (status, headers) = (reply.status, reply.headers);
        let kind = header(&headers, "content-type").map(str::to_owned);
        // A body that does not come is no reason to forget the status.
        let body = reply.body.collect(ERROR_BODY, ERROR_BODY_TIME).await.unwrap_or_default();
        let parsed = parse_error_body(status, kind.as_deref(), &body);
        let classified = self.classify(Some(status), &headers, Some(&parsed), None);
        // One that quotes our credential is told in our own words (SEC-LOG-4).
        let is_told = body.is_empty() || parsed.is_html || self.known().is_in(&body);
        let raw = (!is_told).then_some(RawAnswer { status, content_type: kind, body });
        let status = Some(status);
        Box::new(Failure { status, raw, ..Failure::of(classified, Trouble::Answer) })
    }

    /// An error under a success status: classified by what it says (REL-UP-4).
    pub(super) fn disguised(&self, headers: &HeaderMap, error: &UpstreamErrorBody) -> Box<Failure> {
        self.said(Some(200), headers, error)
    }

    /// An error event before any content.
    pub(super) fn event(&self, headers: &HeaderMap, error: &StreamError) -> Box<Failure> {
        self.said(error.status.or(Some(200)), headers, &error.body)
    }

    fn said(
        &self,
        status: Option<u16>,
        headers: &HeaderMap,
        error: &UpstreamErrorBody,
    ) -> Box<Failure> {
        let classified = self.classify(status, headers, Some(error), None);
        let status = classified.status;
        Box::new(Failure { status, ..Failure::of(classified, Trouble::Answer) })
    }

    /// A redirect; none is followed.
    pub(super) fn redirected(&self, status: u16) -> Box<Failure> {
        self.note(Event::denied(EventName::UpstreamRedirectRefused).with("status", status));
        let mut classified = self.classify(Some(status), &HeaderMap::new(), None, None);
        classified.message = format!(
            "upstream answered with redirect {status}, which is never followed; correct the base URL"
        );
        classified.code = Some("upstream_redirect".to_owned());
        let status = Some(status);
        Box::new(Failure { status, ..Failure::of(classified, Trouble::BadAnswer) })
    }

    /// A failure below HTTP.
    pub(super) fn transport(&self, error: NetError) -> Box<Failure> {
        let (what, trouble) = symptom(&error);
        self.without_status(what, trouble, error.code(), error.to_string())
    }

    /// An answer that is none of its dialect: the next candidate may do better (accounts §6.4).
    pub(super) fn unusable(
        &self,
        status: u16,
        what: TransportFailure,
        message: impl Into<String>,
    ) -> Box<Failure> {
        let code = match what {
            TransportFailure::Empty => "upstream_empty",
            TransportFailure::Truncated => "upstream_truncated",
            _ => "upstream_bad_body",
        };
        let failure = self.without_status(what, Trouble::BadAnswer, code, message.into());
        Box::new(Failure { status: Some(status), ..*failure })
    }

    /// A head came, and no content in time.
    pub(super) fn no_content(&self) -> Box<Failure> {
        let message = "no content in time".to_owned();
        self.without_status(
            TransportFailure::ContentTimeout,
            Trouble::Timeout,
            "content_timeout",
            message,
        )
    }

    /// The request's own limit passed in the middle of the attempt.
    pub(super) fn overdue(&self, deadline: Deadline) -> Box<Failure> {
        let trouble = if deadline.by_client { Trouble::ClientsLimit } else { Trouble::Timeout };
        let message = format!("cut at the request's limit of {} ms", deadline.limit.as_millis());
        let what = TransportFailure::ContentTimeout;
        let mut failure = self.without_status(what, trouble, "deadline", message);
        if deadline.by_client {
            failure.classified.scope = None;
            failure.classified.cooldown = Cooldown::None;
            failure.classified.penalize = false;
        }
        failure
    }

    /// The stream broke after its commit point.
    pub(super) fn broke(&self, why: Broken, event: Option<&StreamError>) -> Box<Failure> {
        let in_band = event.filter(|_| why == Broken::InBand);
        let what = why.transport();
        let mut classified = self.classify(
            in_band.and_then(|event| event.status),
            &HeaderMap::new(),
            in_band.map(|event| &event.body),
            in_band.is_none().then_some(what),
        );
        if in_band.is_none() {
            let told = why.to_error("");
            classified.code = told.code.map(|code| code.to_string());
            classified.message = told.message.to_string();
        }
        let transport = Some(what);
        Box::new(Failure { transport, ..Failure::of(classified, Trouble::BadAnswer) })
    }

    /// What the audit log has to know of this upstream.
    fn note(&self, event: Event) {
        let event = event.with("provider", &*self.target.provider.id);
        self.exchange.shared.audit.record(&noted::upstream(&self.exchange.request_id), event);
    }

    fn without_status(
        &self,
        what: TransportFailure,
        trouble: Trouble,
        code: &str,
        message: String,
    ) -> Box<Failure> {
        let transport = Some(what);
        let mut classified = self.classify(None, &HeaderMap::new(), None, transport);
        classified.message = message;
        classified.code = Some(code.to_owned());
        Box::new(Failure { transport, ..Failure::of(classified, trouble) })
    }

    fn classify(
        &self,
        status: Option<u16>,
        headers: &HeaderMap,
        body: Option<&UpstreamErrorBody>,
        transport: Option<TransportFailure>,
    ) -> Classified {
        let target = self.target;
        let symptom = Symptom {
            provider: &target.provider.id,
            family: target.provider.family,
            status,
            headers: &|name| header(headers, name),
            body,
            transport,
            requested_model: &self.exchange.ask.model,
            upstream_model: &target.upstream_model,
            canonical: &target.canonical,
            families: &target.families,
            oauth: self.oauth,
            now: self.exchange.shared.clock.now_ms(),
        };
        let classified = classify(&symptom, &self.exchange.snapshot.error_rules);
        Classified { message: self.known().text(&classified.message).into_owned(), ..classified }
    }

    fn known(&self) -> Known<'_> {
        self.credential.map(Credential::known).unwrap_or_default()
    }
}

/// First value of a header, when it is text.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn symptom(error: &NetError) -> (TransportFailure, Trouble) {
    match error {
        NetError::Blocked { .. } => (TransportFailure::Blocked, Trouble::Blocked),
        NetError::Dns(_) => (TransportFailure::Dns, Trouble::Unreachable),
        NetError::Connect(_) => (TransportFailure::Connect, Trouble::Unreachable),
        NetError::Proxy { why, .. } => {
            (TransportFailure::Proxy, Trouble::Proxy { down: why.is_its_own() })
        }
        NetError::Tls(_) => (TransportFailure::Tls, Trouble::Unreachable),
        NetError::ConnectTimeout => (TransportFailure::ConnectTimeout, Trouble::Timeout),
        NetError::HeadTimeout => (TransportFailure::HeadTimeout, Trouble::Timeout),
        NetError::SendStall => (TransportFailure::SendStall, Trouble::Timeout),
        NetError::Idle => (TransportFailure::ContentTimeout, Trouble::Timeout),
        NetError::BrokeWhileSending | NetError::Reset { .. } => {
            (TransportFailure::Reset, Trouble::BadAnswer)
        }
        NetError::Protocol(_) => (TransportFailure::Protocol, Trouble::BadAnswer),
        NetError::Truncated => (TransportFailure::Truncated, Trouble::BadAnswer),
        NetError::BodyTooLarge(_) | NetError::BadEncoding(_) => {
            (TransportFailure::BadBody, Trouble::BadAnswer)
        }
        NetError::Unsendable(_) => (TransportFailure::Protocol, Trouble::NotBuilt),
    }
}

/// The request could not be built for this account.
pub(super) fn not_built(message: String) -> Box<Failure> {
    let classified = Classified {
        class: Class::Unknown,
        scope: None,
        until: None,
        retry_same_after_ms: None,
        retry_same_max: 0,
        next: Next::NextAccount,
        penalize: false,
        cooldown: Cooldown::None,
        lower_concurrency: false,
        learned_window: None,
        rule: "request.not_built",
        status: None,
        code: None,
        message,
    };
    Box::new(Failure::of(classified, Trouble::NotBuilt))
}

/// The request cannot be said in the upstream's dialect, or in none. No account is to blame.
pub(super) fn untranslatable(error: TranslateError) -> Box<Failure> {
    let next = if error.is_target_specific() { Next::NextEntry } else { Next::Return };
    incompatible(error.to_api_error(""), next, "request.untranslatable")
}

/// What the request names by address cannot be had. An upstream that reads addresses itself may serve.
pub(super) fn unfetched(refusal: Refusal) -> Box<Failure> {
    incompatible(refusal.error, Next::NextEntry, "request.media")
}

/// Nothing was sent, and no account is to blame.
fn incompatible(told: ApiError, next: Next, rule: &'static str) -> Box<Failure> {
    let mut failure = not_built(told.message.clone());
    let class = Class::BadRequest;
    let code = Some("incompatible".to_owned());
    failure.classified = Classified { class, next, rule, code, ..failure.classified };
    failure.untranslatable = Some(Box::new(told));
    failure
}
