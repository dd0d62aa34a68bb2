//! The question a worker asks the router before each attempt, and the state that travels with it.
//!
//! The state belongs to the request: it goes to the router inside [`Checkout`] and comes back with the
//! answer, so the router keeps nothing per request.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use actix::Message;
use ninerouter_dialect::{Dialect, Needs};
use tokio_util::sync::CancellationToken;

use crate::actors::lease::Lease;
use crate::auth::key::KeyRecord;
use crate::clock::UnixMs;
use crate::id::AccountId;
use crate::provider::proxy::Hop;
use crate::routing::affinity::SessionKeys;
use crate::routing::choose::Ineligible;
use crate::routing::combo::Combo;
use crate::routing::plan::{Plan, PlannedEntry};
use crate::routing::resolve::Resolved;

/// Why an entry or an account was passed over without a call.
#[derive(Clone, Debug)]
pub enum SkipReason {
    /// The provider's breaker for this model is open.
    BreakerOpen,
    /// The provider has no account.
    NoAccount,
    /// An account may not be used now.
    Ineligible(Ineligible),
    /// Every place of the provider is taken.
    Busy,
    /// The upstream speaks a protocol of its own that the router does not.
    PrivateProtocol {
        /// Wire of the upstream, in words.
        wire: &'static str,
    },
    /// The prompt is known to be larger than the model's window.
    ContextTooSmall,
    /// The caller's key may not use it.
    Forbidden,
    /// The account's actor did not answer.
    Unavailable,
    /// Its calls go through a proxy that failed for this request.
    ProxyFailed,
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BreakerOpen => f.write_str("failing for everybody, tried again soon"),
            Self::NoAccount => f.write_str("no account"),
            Self::Ineligible(why) => write!(f, "{why}"),
            Self::Busy => f.write_str("every place is taken"),
            Self::PrivateProtocol { wire } => write!(f, "protocol not supported yet ({wire})"),
            Self::ContextTooSmall => f.write_str("context window too small"),
            Self::Forbidden => f.write_str("not allowed for this API key"),
            Self::Unavailable => f.write_str("account does not answer"),
            Self::ProxyFailed => f.write_str("its outbound proxy failed"),
        }
    }
}

/// One entry or account passed over.
#[derive(Clone, Debug)]
pub struct Skip {
    /// Place of the entry in the plan.
    pub entry: usize,
    /// Account, when one was looked at.
    pub account: Option<AccountId>,
    /// Its label, for the operator's pages.
    pub label: Option<String>,
    /// Why.
    pub reason: SkipReason,
    /// When it may be used again, Unix ms.
    pub until: Option<UnixMs>,
    /// When it was passed over, Unix ms.
    pub at: UnixMs,
}

/// A proxy that failed for a request.
#[derive(Debug)]
struct FailedHop {
    hop: Hop,
    /// `None` = whatever lies behind it.
    provider: Option<Arc<str>>,
}

/// State of one request's way through the plan.
#[derive(Debug)]
pub struct Journey {
    /// What the client's model id means.
    pub resolved: Resolved,
    /// Dialect of the client.
    pub dialect: Dialect,
    /// What the current turn asks of a model; entries that are known to lack it come last.
    pub needs: Needs,
    /// Conversation, when one is known: keeps the prompt cache warm.
    pub session: SessionKeys,
    /// Entries in order; made at the first checkout.
    pub plan: Option<Plan>,
    /// Entry that is tried now.
    pub position: usize,
    /// Accounts that were tried, with the entry they were tried for: an account that failed with one
    /// model may serve another (accounts §6.4).
    tried: Vec<(usize, AccountId)>,
    /// Accounts not to be looked at for this entry: those tried, and those that refused in this walk.
    pub excluded: Vec<AccountId>,
    /// Accounts tried at this entry.
    pub tried_here: u32,
    /// Only this account may serve next (same-account retry).
    pub pinned: Option<AccountId>,
    /// Entries whose known window is not larger than this are passed over.
    pub context_over: Option<u32>,
    /// Entries whose window is unknown are passed over too: one of them was tried already.
    pub unknown_context_tried: bool,
    /// Proxies that failed: accounts behind them are passed over (F63).
    failed_hops: Vec<FailedHop>,
    /// Entries this key may not use are passed over (`skip_forbidden_entries`).
    pub key: Option<Arc<KeyRecord>>,
    /// What was passed over, in order.
    pub skips: Vec<Skip>,
}

impl Journey {
    /// A journey that has not started.
    #[must_use]
    pub fn new(resolved: Resolved, dialect: Dialect, session: SessionKeys) -> Self {
        Self {
            resolved,
            dialect,
            needs: Needs::default(),
            session,
            plan: None,
            position: 0,
            tried: Vec::new(),
            excluded: Vec::new(),
            tried_here: 0,
            pinned: None,
            context_over: None,
            unknown_context_tried: false,
            failed_hops: Vec::new(),
            key: None,
            skips: Vec::new(),
        }
    }

    /// The entry that is tried now.
    #[must_use]
    pub fn entry(&self) -> Option<&Arc<PlannedEntry>> {
        self.plan.as_ref()?.entries.get(self.position)
    }

    /// The combo that was asked for.
    #[must_use]
    pub fn combo(&self) -> Option<&Arc<Combo>> {
        match &self.resolved {
            Resolved::Combo { combo, .. } => Some(combo),
            Resolved::Target(_) => None,
        }
    }

    /// Goes back to an account that failed, for its one repetition.
    pub fn return_to(&mut self, entry: usize, account: AccountId) {
        self.tried.retain(|tried| *tried != (entry, account));
        self.pinned = Some(account);
        self.tried_here = 0;
        self.go_to(entry);
    }

    /// Begins another round: every account may be asked again.
    pub fn start_over(&mut self) {
        self.tried.clear();
        self.failed_hops.clear();
        self.pinned = None;
        self.tried_here = 0;
        self.go_to(0);
    }

    /// A proxy failed; `everywhere` = not only on its way to this provider.
    pub fn hop_failed(&mut self, hop: Hop, provider: &Arc<str>, everywhere: bool) {
        let provider = (!everywhere).then(|| Arc::clone(provider));
        self.failed_hops.push(FailedHop { hop, provider });
    }

    /// Some proxy failed.
    #[must_use]
    pub fn has_failed_hops(&self) -> bool {
        !self.failed_hops.is_empty()
    }

    /// Whether a proxy failed on its way to a provider.
    #[must_use]
    pub fn is_failed(&self, hop: &Hop, provider: &str) -> bool {
        let here = |failed: &FailedHop| {
            failed.provider.as_deref().is_none_or(|only| only == provider) && failed.hop == *hop
        };
        self.failed_hops.iter().any(here)
    }

    /// Leaves the present entry.
    pub fn next_entry(&mut self) {
        self.tried_here = 0;
        self.go_to(self.position + 1);
    }

    /// Stands at an entry as if its accounts had not been looked at; those tried stay excluded.
    pub fn go_to(&mut self, entry: usize) {
        self.position = entry;
        self.excluded = self.tried_at(entry);
    }

    /// An account of the present entry is tried now.
    pub fn takes(&mut self, account: AccountId) {
        self.tried_here += 1;
        self.tried.push((self.position, account));
        self.excluded.push(account);
    }

    /// Accounts that were tried for an entry.
    #[must_use]
    pub fn tried_at(&self, entry: usize) -> Vec<AccountId> {
        self.tried.iter().filter(|(at, _)| *at == entry).map(|(_, id)| *id).collect()
    }
}

/// Asks the router for the next lease of a request.
#[derive(Debug, Message)]
#[rtype(result = "Checked")]
pub struct Checkout {
    /// State of the request.
    pub journey: Box<Journey>,
    /// Nothing is waited for beyond this instant.
    pub deadline: Instant,
    /// Cancelled when nobody waits for the answer any more: a dropped question does not end its handler (REL-CAN-3).
    pub caller: CancellationToken,
}

/// The router's answer. The journey comes back in every case.
#[derive(Debug)]
pub struct Checked {
    /// State of the request.
    pub journey: Box<Journey>,
    /// What became of the question.
    pub verdict: Verdict,
}

/// What became of a checkout.
#[derive(Debug)]
pub enum Verdict {
    /// Use this account for `journey.entry()`.
    Lease(Box<Lease>),
    /// Nobody is left to ask; `journey.skips` says why.
    Exhausted,
    /// Every place was taken for too long.
    Busy,
    /// The plan cannot be made (aliases that turn in a circle, an empty combo).
    NoPlan(crate::routing::resolve::ResolveError),
}
