//! One row of an error table: what an answer must look like, and what it then means.

use crate::clock::UnixMs;
use crate::routing::classify::{Class, Next};
use crate::routing::facts::Facts;
use crate::routing::hints;
use crate::routing::instant::{self, Zone};
use crate::routing::lock::Scope;
use crate::routing::verdict::{Cooldown, Retry, Verdict};

/// A row. Rows are tried in order; the first whose conditions all hold decides.
pub(crate) struct Rule {
    /// `provider.status.what`, for logs.
    pub(crate) id: &'static str,
    /// Statuses it applies to; empty = any.
    pub(crate) statuses: &'static [u16],
    /// All of these must hold.
    pub(crate) when: &'static [When],
    /// What it means then.
    pub(crate) then: Then,
}

/// A condition.
pub(crate) enum When {
    /// One of these structured codes is present (`x*`: by prefix).
    Code(&'static [&'static str]),
    /// The provider's own message says one of these (lower case, `~` = a gap).
    Says(&'static [&'static str]),
    /// The message names the model that was asked for.
    NamesModel,
    /// The credential can be refreshed.
    OAuth,
    /// It cannot.
    Key,
    /// The hinted wait is at most this long, in ms. False without a hint.
    HintWithin(i64),
    /// The hinted wait is longer than this, in ms. False without a hint.
    HintOver(i64),
    /// Something only code can tell.
    Is(fn(&Facts<'_>) -> bool),
}

/// A meaning: the row of accounts §5.1 for `class`, with these changes.
pub(crate) struct Then {
    class: Class,
    scope: Option<To>,
    until: Until,
    next: Option<Next>,
    cooldown: Option<Cooldown>,
    retry: Option<Retry>,
    lower_concurrency: bool,
}

/// Scope of a row.
#[derive(Clone, Copy)]
pub(crate) enum To {
    All,
    Model,
    Family(&'static str),
    /// Something only code can tell.
    Read(fn(&Facts<'_>) -> Scope),
}

/// Where the instant of recovery comes from.
#[derive(Clone, Copy)]
pub(crate) enum Until {
    /// Nowhere: the ladder decides.
    Unknown,
    /// Whatever hint the answer carries.
    Hint,
    /// The next midnight of a zone, whatever shorter hint there is.
    Midnight(Zone),
    /// Hint, else this many ms from now.
    HintOrAfter(i64),
    /// Something only code can read; `None` falls back to the hint.
    Read(fn(&Facts<'_>) -> Option<UnixMs>),
}

impl Then {
    pub(crate) const fn class(class: Class) -> Self {
        let until = match class {
            Class::RateLimited | Class::QuotaExhausted | Class::Overloaded | Class::Transient => {
                Until::Hint
            }
            Class::AuthExpired
            | Class::AuthDead
            | Class::ModelUnavailable
            | Class::BadRequest
            | Class::ContextTooLong
            | Class::ContentPolicy
            | Class::ClientNotPermitted
            | Class::PaymentRequired
            | Class::AccountBanned
            | Class::Entitlement
            | Class::EndpointMismatch
            | Class::ClientCancelled
            | Class::Unknown => Until::Unknown,
        };
        Self {
            class,
            scope: None,
            until,
            next: None,
            cooldown: None,
            retry: None,
            lower_concurrency: false,
        }
    }

    pub(crate) const fn scope(mut self, to: To) -> Self {
        self.scope = Some(to);
        self
    }

    pub(crate) const fn until(mut self, until: Until) -> Self {
        self.until = until;
        self
    }

    pub(crate) const fn next(mut self, next: Next) -> Self {
        self.next = Some(next);
        self
    }

    pub(crate) const fn cooldown(mut self, cooldown: Cooldown) -> Self {
        self.cooldown = Some(cooldown);
        self
    }

    pub(crate) const fn retry(mut self, retry: Retry) -> Self {
        self.retry = Some(retry);
        self
    }

    pub(crate) const fn lower_concurrency(mut self) -> Self {
        self.lower_concurrency = true;
        self
    }
}

impl Rule {
    pub(crate) fn matches(&self, facts: &Facts<'_>) -> bool {
        let status = |s: u16| self.statuses.contains(&s);
        (self.statuses.is_empty() || facts.status.is_some_and(status))
            && self.when.iter().all(|condition| condition.holds(facts))
    }

    pub(crate) fn verdict(&self, facts: &Facts<'_>) -> Verdict {
        let then = &self.then;
        let mut verdict = Verdict::of(then.class, facts.canonical);
        if let Some(to) = then.scope {
            let scope = match to {
                To::All => Scope::All,
                To::Model => Scope::Model(facts.canonical.to_owned()),
                To::Family(name) => family_scope(facts, name),
                To::Read(read) => read(facts),
            };
            verdict.scope = Some(scope);
        }
        verdict.until = then.until.read(facts);
        verdict.next = then.next.unwrap_or(verdict.next);
        verdict.cooldown = then.cooldown.unwrap_or(verdict.cooldown);
        verdict.retry = then.retry.unwrap_or(verdict.retry);
        verdict.lower_concurrency = then.lower_concurrency;
        verdict
    }
}

/// `family:<name>` when the model belongs to that family; else the model alone: a lock must keep the very
/// request away that was just refused, and a family nobody can map would keep nobody away.
pub(crate) fn family_scope(facts: &Facts<'_>, name: &str) -> Scope {
    if facts.families.iter().any(|family| family.eq_ignore_ascii_case(name)) {
        Scope::Family(name.to_ascii_lowercase())
    } else {
        Scope::Model(facts.canonical.to_owned())
    }
}

impl When {
    fn holds(&self, facts: &Facts<'_>) -> bool {
        let hint = || hints::any(facts).and_then(|until| until.checked_sub(facts.now));
        match self {
            Self::Code(codes) => codes.iter().any(|code| facts.has_code(code)),
            Self::Says(patterns) => patterns.iter().any(|pattern| facts.says(pattern)),
            Self::NamesModel => facts.names_model(),
            Self::OAuth => facts.oauth,
            Self::Key => !facts.oauth,
            Self::HintWithin(ms) => hint().is_some_and(|wait| wait <= *ms),
            Self::HintOver(ms) => hint().is_some_and(|wait| wait > *ms),
            Self::Is(holds) => holds(facts),
        }
    }
}

impl Until {
    fn read(self, facts: &Facts<'_>) -> Option<UnixMs> {
        let hint = || hints::any(facts);
        let now = facts.now;
        match self {
            Self::Unknown => None,
            Self::Hint => hint(),
            Self::Midnight(zone) => instant::next_midnight(zone, now),
            Self::HintOrAfter(ms) => hint().or_else(|| instant::after(ms, now)),
            Self::Read(read) => {
                read(facts).and_then(|until| instant::sane(until, now)).or_else(hint)
            }
        }
    }
}
