//! Which account of a provider serves next: eligibility and the five strategies (accounts §0.3, §7.2).

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use crate::clock::UnixMs;
use crate::id::AccountId;
use crate::provider::glob;
use crate::routing::account::{AccountView, AuthState};
use crate::routing::classify::Class;
use crate::routing::gate::{self, Held, Level, Reserve};
use crate::routing::ladder::REASON_QUOTA_UNKNOWN;
use crate::routing::target::Target;

/// How accounts of one priority group take turns.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum AccountStrategy {
    /// The smallest priority, ties by id.
    #[default]
    Priority,
    /// A ring.
    RoundRobin,
    /// Smooth weighted round-robin.
    Weighted,
    /// Fewest in flight, then least used window, then longest unused.
    LeastUsed,
    /// Most remaining quota; of nearly equal ones the one that resets sooner.
    QuotaBalanced,
}

impl AccountStrategy {
    /// The strategy of a setting's word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "priority" | "fill-first" => Some(Self::Priority),
            "round-robin" => Some(Self::RoundRobin),
            "weighted" => Some(Self::Weighted),
            "least-used" => Some(Self::LeastUsed),
            "quota-balanced" => Some(Self::QuotaBalanced),
            _ => None,
        }
    }

    /// The word of the setting.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Priority => "priority",
            Self::RoundRobin => "round-robin",
            Self::Weighted => "weighted",
            Self::LeastUsed => "least-used",
            Self::QuotaBalanced => "quota-balanced",
        }
    }
}

/// Why an account cannot serve now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ineligible {
    /// Switched off by the operator.
    Disabled,
    /// Only the operator can mend it.
    Dead,
    /// A lock covers the model.
    Locked {
        /// Unix ms.
        until: UnixMs,
        /// Class that set it.
        class: Class,
        /// Text of the lock.
        reason: Arc<str>,
        /// When it was set, Unix ms: locks of the request itself do not count for its answer.
        set_at: UnixMs,
    },
    /// Every permitted lease is out.
    Busy,
    /// What is left of a quota window is kept in reserve.
    Reserved {
        /// When the window resets, Unix ms; `None` = unknown.
        until: Option<UnixMs>,
    },
    /// A used-up window has just reset, and somebody is finding out whether it serves again.
    Probing {
        /// When the next may try, Unix ms; `None` = when the one under way has ended.
        next: Option<UnixMs>,
    },
    /// Its actor died too often; it is started again later.
    Faulted,
    /// The account's rules exclude the model.
    ModelNotAllowed,
    /// A mandatory parameter has no value.
    MissingParams,
    /// No valid token, and none to be had before `next_try`.
    ExpiredToken {
        /// Unix ms; `None` = no refresh path.
        next_try: Option<UnixMs>,
    },
    /// A spending limit of its own is reached.
    OverBudget {
        /// When it may spend again, Unix ms.
        until: UnixMs,
    },
    /// Not asked for: another account is pinned, a tag is missing, it was tried already, or its weight is 0.
    Excluded,
}

impl Ineligible {
    /// When it may serve again, Unix ms; `None` = nobody knows, or only the operator can tell.
    #[must_use]
    pub fn until(&self) -> Option<UnixMs> {
        match self {
            Self::Locked { until, .. } | Self::OverBudget { until } => Some(*until),
            Self::ExpiredToken { next_try } => *next_try,
            Self::Reserved { until } => *until,
            Self::Disabled
            | Self::Dead
            | Self::Busy
            | Self::Probing { .. }
            | Self::Faulted
            | Self::ModelNotAllowed
            | Self::MissingParams
            | Self::Excluded => None,
        }
    }
}

impl fmt::Display for Ineligible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disabled => "switched off",
            Self::Dead => "needs a new credential",
            Self::Locked { reason, .. } => reason,
            Self::Busy => "every place is taken",
            Self::Reserved { .. } => "reserved",
            Self::Probing { .. } => "trying whether its quota is back",
            Self::Faulted => "account does not answer",
            Self::ModelNotAllowed => "model not allowed for the account",
            Self::MissingParams => "account is missing a parameter",
            Self::ExpiredToken { .. } => "token expired",
            Self::OverBudget { .. } => "spending limit reached",
            Self::Excluded => "not asked for",
        })
    }
}

/// What is asked for, and of whom.
#[derive(Debug)]
pub struct ChooseCx<'a> {
    /// Unix ms.
    pub now: UnixMs,
    /// The accounts of the provider.
    pub views: &'a [AccountView],
    /// What is to be served.
    pub target: &'a Target,
    /// How accounts take turns.
    pub strategy: AccountStrategy,
    /// Dispatches in a row under round-robin.
    pub sticky_count: u32,
    /// Whose turn it is; moved when `tried` is empty.
    pub cursors: &'a mut Cursors,
    /// What is kept in reserve.
    pub reserve: Reserve,
    /// Accounts this request has tried.
    pub tried: &'a [AccountId],
    /// The account this conversation is bound to.
    pub affinity: Option<AccountId>,
    /// Only this account.
    pub pin: Option<AccountId>,
    /// Only accounts with all of these tags.
    pub tags: &'a [String],
    /// Accounts whose budget is used up, and until when, Unix ms.
    pub over_budget: &'a [(AccountId, UnixMs)],
}

/// The question without the parts that change.
#[derive(Clone, Copy)]
struct Ask<'a> {
    now: UnixMs,
    target: &'a Target,
    strategy: AccountStrategy,
    sticky_count: u32,
    reserve: Reserve,
    /// Nobody else is left: thin throttles and a soft reserve are used.
    last_resort: bool,
    tried: &'a [AccountId],
    affinity: Option<AccountId>,
    pin: Option<AccountId>,
    tags: &'a [String],
    over_budget: &'a [(AccountId, UnixMs)],
}

/// The result of a choice.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Choice {
    /// Ask this one for a lease.
    Account(AccountId),
    /// Nobody can serve; empty reasons = the provider has no account.
    None {
        /// Each account and why.
        reasons: Vec<(AccountId, Ineligible)>,
    },
}

/// Whether an account may serve the target now (accounts §0.3).
///
/// # Errors
/// The first reason against it.
pub fn eligible(now: UnixMs, view: &AccountView, target: &Target) -> Result<(), Ineligible> {
    let config = &view.config;
    if !config.enabled {
        return Err(Ineligible::Disabled);
    }
    match view.auth {
        AuthState::Dead => return Err(Ineligible::Dead),
        AuthState::Expired { next_try } if next_try.is_none_or(|at| at > now) => {
            return Err(Ineligible::ExpiredToken { next_try });
        }
        AuthState::Ok | AuthState::Expired { .. } => {}
    }
    if view.missing_params {
        return Err(Ineligible::MissingParams);
    }
    if !allows(&config.allowed_models, &config.excluded_models, target) {
        return Err(Ineligible::ModelNotAllowed);
    }
    if view.faulted {
        return Err(Ineligible::Faulted);
    }
    check_locks(now, view, target)?;
    if view.in_flight >= view.max_concurrent {
        return Err(Ineligible::Busy);
    }
    Ok(())
}

/// Whether [`eligible`] finds nothing against an account; what is cheap to see is looked at first.
#[must_use]
pub fn is_eligible(now: UnixMs, view: &AccountView, target: &Target) -> bool {
    let config = &view.config;
    let token = match view.auth {
        AuthState::Ok => true,
        AuthState::Expired { next_try } => next_try.is_some_and(|at| at <= now),
        AuthState::Dead => false,
    };
    config.enabled
        && token
        && !view.missing_params
        && !view.faulted
        && view.in_flight < view.max_concurrent
        && check_locks(now, view, target).is_ok()
        && allows(&config.allowed_models, &config.excluded_models, target)
}

fn allows(allowed: &[String], excluded: &[String], target: &Target) -> bool {
    let fits = |pattern: &String| {
        glob::fits_model(pattern, &target.model)
            || glob::matches(pattern, &target.upstream_model)
            || glob::matches(pattern, &target.key)
    };
    (allowed.is_empty() || allowed.iter().any(fits)) && !excluded.iter().any(fits)
}

/// After a reset passed, one probe per this many milliseconds until a success (accounts §7.3.3).
const PROBE_GAP_MS: i64 = 250;

/// The lock that stays longest is the reason; a window that just reset lets one probe in at a time.
fn check_locks(now: UnixMs, view: &AccountView, target: &Target) -> Result<(), Ineligible> {
    /// What keeps requests away until `until`.
    struct Bar<'a> {
        until: UnixMs,
        class: Class,
        reason: &'a Arc<str>,
        set_at: UnixMs,
    }
    static SPENT: LazyLock<Arc<str>> = LazyLock::new(|| "quota exhausted".into());
    let locks = view.locks.iter().filter(|lock| target.is_covered(&lock.scope)).map(|lock| Bar {
        until: lock.until,
        class: lock.class,
        reason: &lock.reason,
        set_at: lock.set_at,
    });
    let spent =
        view.gates.iter().filter(|g| g.level == Level::Spent && target.is_covered(&g.scope));
    let gates = spent.filter_map(|gate| {
        let (class, reason) = (Class::QuotaExhausted, &*SPENT);
        Some(Bar { until: gate.resets_at?, class, reason, set_at: gate.since })
    });
    let mut longest: Option<Bar<'_>> = None;
    let mut probing = None;
    for bar in locks.chain(gates) {
        if bar.until > now {
            if longest.as_ref().is_none_or(|l| bar.until > l.until) {
                longest = Some(bar);
            }
        } else if bar.class == Class::QuotaExhausted {
            let unknown = **bar.reason == *REASON_QUOTA_UNKNOWN;
            probing = probing.or(probe(now, view, bar.until, unknown));
        }
    }
    if let Some(Bar { until, class, reason, set_at }) = longest {
        return Err(Ineligible::Locked { until, class, reason: Arc::clone(reason), set_at });
    }
    probing.map_or(Ok(()), Err)
}

/// Success removes the lock of a window that has reset at `until` and so opens the account; until then no herd: probes
/// keep their distance (accounts §7.3.3), and without a known reset one is in flight at a time (§5.6).
fn probe(now: UnixMs, view: &AccountView, until: UnixMs, unknown: bool) -> Option<Ineligible> {
    if unknown && view.in_flight > 0 && view.last_used_at >= until {
        return Some(Ineligible::Probing { next: None });
    }
    // A last use in the future belongs to another clock and says nothing.
    let since = now.saturating_sub(view.last_used_at);
    let next = view.last_used_at.saturating_add(PROBE_GAP_MS);
    (0..PROBE_GAP_MS).contains(&since).then_some(Ineligible::Probing { next: Some(next) })
}

/// Whether the request asks for this account at all; [`eligible`] says whether it may serve.
#[must_use]
pub fn is_wanted(
    view: &AccountView,
    strategy: AccountStrategy,
    tried: &[AccountId],
    pin: Option<AccountId>,
    tags: &[String],
) -> bool {
    let config = &view.config;
    pin.is_none_or(|pin| pin == config.id)
        && tags.iter().all(|tag| config.tags.contains(tag))
        && !tried.contains(&config.id)
        && !(strategy == AccountStrategy::Weighted && config.weight == 0 && pin != Some(config.id))
}

/// Picks the account to ask for a lease. A choice for a request that has tried nobody yet moves the cursors.
///
/// The order among accounts: affinity, then valid tokens before ones to be refreshed, then priority groups,
/// then the strategy within the best group.
#[must_use]
pub fn choose(cx: ChooseCx<'_>) -> Choice {
    let ChooseCx {
        now,
        views,
        target,
        strategy,
        sticky_count,
        reserve,
        cursors,
        tried,
        affinity,
        pin,
        tags,
        over_budget,
    } = cx;
    let last_resort = false;
    let ask = Ask {
        now,
        target,
        strategy,
        sticky_count,
        reserve,
        last_resort,
        tried,
        affinity,
        pin,
        tags,
        over_budget,
    };
    choose_among(views, &ask, cursors)
}

/// First among those with something to spare, then among all.
fn choose_among(views: &[AccountView], ask: &Ask<'_>, cursors: &mut Cursors) -> Choice {
    let last = Ask { last_resort: true, ..*ask };
    // Whoever was passed over has a gate.
    let spared = || views.iter().any(|view| !view.gates.is_empty());
    let first = pick_among(views, ask, cursors);
    let picked = first.or_else(|| spared().then(|| pick_among(views, &last, cursors)).flatten());
    picked.map_or_else(|| none(views, &last), |view| Choice::Account(view.config.id))
}

/// What is cheap to compare comes first, and only those who would win are asked whether they can serve: of a thousand
/// accounts few are.
fn pick_among<'a>(
    views: &'a [AccountView],
    ask: &Ask<'_>,
    cursors: &mut Cursors,
) -> Option<&'a AccountView> {
    let bound = ask.affinity.and_then(|id| views.iter().find(|view| view.config.id == id));
    if let Some(bound) = bound.filter(|view| is_able(view, ask)) {
        return Some(bound);
    }
    let leader = least(views.iter(), rank, ask)?;
    let best = rank(leader);
    let group = views.iter().filter(|view| rank(view) == best);
    let picked = match ask.strategy {
        AccountStrategy::Priority => least(group, |view| view.config.id, ask),
        AccountStrategy::RoundRobin => round_robin(group, ask, cursors),
        AccountStrategy::Weighted => weighted(group, ask, cursors),
        AccountStrategy::LeastUsed => {
            let used = |view: &AccountView| {
                (view.in_flight, Reverse(binding(view, ask).0), view.last_used_at, view.config.id)
            };
            least(group, used, ask)
        }
        AccountStrategy::QuotaBalanced => quota_balanced(group, ask),
    };
    // A group is never empty: its leader is one of its members.
    Some(picked.unwrap_or(leader))
}

/// The account with the smallest key among those that can serve.
fn least<'a, K: Ord>(
    views: impl Iterator<Item = &'a AccountView>,
    key: impl Fn(&AccountView) -> K,
    ask: &Ask<'_>,
) -> Option<&'a AccountView> {
    let mut best: Option<(K, &AccountView)> = None;
    for view in views {
        let key = key(view);
        if best.as_ref().is_none_or(|(least, _)| key < *least) && is_able(view, ask) {
            best = Some((key, view));
        }
    }
    best.map(|(_, view)| view)
}

fn is_able(view: &AccountView, ask: &Ask<'_>) -> bool {
    is_wanted(view, ask.strategy, ask.tried, ask.pin, ask.tags)
        && over_budget(ask.over_budget, view).is_none()
        && is_eligible(ask.now, view, ask.target)
        && hold(view, ask).is_none()
}

/// Why the account is passed over although it could serve.
fn hold(view: &AccountView, ask: &Ask<'_>) -> Option<Ineligible> {
    let own = view.config.min_remaining_percent;
    match gate::held(ask.now, &view.gates, ask.target, own, ask.reserve)? {
        Held::Reserved(until) => {
            (!ask.last_resort || !ask.reserve.soft).then_some(Ineligible::Reserved { until })
        }
        Held::Thin(until) => {
            (!ask.last_resort).then_some(Ineligible::Reserved { until: Some(until) })
        }
    }
}

/// Whether the account may serve the target when nobody else can: it is eligible, and no firm reserve holds it back.
#[must_use]
pub fn may_serve(now: UnixMs, view: &AccountView, target: &Target, reserve: Reserve) -> bool {
    let own = view.config.min_remaining_percent;
    let firm = || {
        !reserve.soft
            && matches!(gate::held(now, &view.gates, target, own, reserve), Some(Held::Reserved(_)))
    };
    is_eligible(now, view, target) && !firm()
}

/// Until when the account's budget is used up.
#[must_use]
pub fn over_budget(over: &[(AccountId, UnixMs)], view: &AccountView) -> Option<UnixMs> {
    over.iter().find(|(id, _)| *id == view.config.id).map(|(_, until)| *until)
}

/// (token must be refreshed first, nobody knows yet whether it serves, priority): smaller is better.
type Rank = (bool, bool, u16);

fn rank(view: &AccountView) -> Rank {
    let expired = matches!(view.auth, AuthState::Expired { .. });
    (expired, is_sounded_out(view), view.config.priority)
}

/// Requests that go at the same time to an account that has never answered well.
const SOUNDING: u32 = 2;

/// A burst does not go to an account of which nothing good is known as long as another one has a place: two requests find
/// out how it stands, and the others need not fail with them.
fn is_sounded_out(view: &AccountView) -> bool {
    !view.has_served && view.in_flight.saturating_add(view.asked) >= SOUNDING
}

fn check(view: &AccountView, ask: &Ask<'_>) -> Result<(), Ineligible> {
    if !is_wanted(view, ask.strategy, ask.tried, ask.pin, ask.tags) {
        return Err(Ineligible::Excluded);
    }
    eligible(ask.now, view, ask.target)?;
    if let Some(until) = over_budget(ask.over_budget, view) {
        return Err(Ineligible::OverBudget { until });
    }
    hold(view, ask).map_or(Ok(()), Err)
}

fn none(views: &[AccountView], ask: &Ask<'_>) -> Choice {
    let reasons = views
        .iter()
        .filter_map(|view| check(view, ask).err().map(|reason| (view.config.id, reason)))
        .collect();
    Choice::None { reasons }
}

/// Percent left in the window that binds for the target, and its reset. An account without a known window is taken
/// for full: no snapshot must not mean no traffic.
fn binding(view: &AccountView, ask: &Ask<'_>) -> (u8, UnixMs) {
    let known = gate::binding(ask.now, &view.gates, ask.target);
    known.map_or((100, UnixMs::MAX), |(left, reset)| (left, reset.unwrap_or(UnixMs::MAX)))
}

/// Place in the ring. Kept in the cursor instead of an index, so that the ring may change under it.
type Place = (UnixMs, AccountId);

fn place(view: &AccountView) -> Place {
    (view.config.created_at, view.config.id)
}

fn round_robin<'a>(
    group: impl Iterator<Item = &'a AccountView>,
    ask: &Ask<'_>,
    cursors: &mut Cursors,
) -> Option<&'a AccountView> {
    let ring = cursors.ring(ask.target)?;
    let turn = *ring;
    let keeps = turn.is_some_and(|t| t.served < ask.sticky_count.max(1));
    let mut current: Option<&AccountView> = None;
    let mut next: Option<&AccountView> = None;
    let mut first: Option<&AccountView> = None;
    let earlier = |a: Option<&AccountView>, b: &AccountView| a.is_none_or(|a| place(b) < place(a));
    for view in group {
        let is_first = earlier(first, view);
        let is_current = turn.is_some_and(|turn| place(view) == turn.at);
        let is_next = turn.is_some_and(|turn| place(view) > turn.at) && earlier(next, view);
        if (is_first || is_current || is_next) && is_able(view, ask) {
            first = if is_first { Some(view) } else { first };
            current = if is_current { Some(view) } else { current };
            next = if is_next { Some(view) } else { next };
        }
    }
    let stays = current.filter(|_| keeps);
    let picked = stays.or(next).or(first)?;
    // A second choice of the same request stands in for the first: it takes nobody's turn.
    if ask.tried.is_empty() {
        let served = match (stays, turn) {
            (Some(_), Some(turn)) => turn.served.saturating_add(1),
            _ => 1,
        };
        *ring = Some(Turn { at: place(picked), served });
    }
    Some(picked)
}

fn weighted<'a>(
    group: impl Iterator<Item = &'a AccountView>,
    ask: &Ask<'_>,
    cursors: &mut Cursors,
) -> Option<&'a AccountView> {
    let state = cursors.weights(ask.target)?;
    // Everybody's share counts, so everybody is asked.
    let group: Vec<&AccountView> = group.filter(|view| is_able(view, ask)).collect();
    let total: i64 = group.iter().map(|view| i64::from(view.config.weight)).sum();
    let score = |state: &HashMap<AccountId, i64>, view: &AccountView| {
        let current = state.get(&view.config.id).copied().unwrap_or(0);
        current.saturating_add(i64::from(view.config.weight))
    };
    // Ties go to the smaller id, so that the order is the same every time.
    let picked = *group.iter().max_by_key(|view| (score(state, view), Reverse(view.config.id)))?;
    if ask.tried.is_empty() {
        for view in group {
            let id = view.config.id;
            let cost = if id == picked.config.id { total } else { 0 };
            let current = score(state, view).saturating_sub(cost);
            state.insert(id, current);
        }
    }
    Some(picked)
}

fn quota_balanced<'a>(
    group: impl Iterator<Item = &'a AccountView> + Clone,
    ask: &Ask<'_>,
) -> Option<&'a AccountView> {
    /// Within this many percent the sooner reset decides.
    const NEARLY_EQUAL: u8 = 5;
    let left = |view: &AccountView| binding(view, ask).0;
    let fullest = least(group.clone(), |view| Reverse(left(view)), ask)?;
    let enough = left(fullest).saturating_sub(NEARLY_EQUAL);
    let sooner = |view: &AccountView| {
        (binding(view, ask).1, view.in_flight, view.last_used_at, view.config.id)
    };
    least(group.filter(|view| left(view) >= enough), sooner, ask)
}

/// Whose turn it is, per provider and canonical model. In memory only: a restart starts the rings anew.
#[derive(Clone, Debug, Default)]
pub struct Cursors {
    rings: HashMap<Arc<str>, HashMap<String, Option<Turn>>>,
    weights: HashMap<Arc<str>, HashMap<String, HashMap<AccountId, i64>>>,
}

#[derive(Clone, Copy, Debug)]
struct Turn {
    at: Place,
    served: u32,
}

/// Model names come from clients: the maps must not grow with them.
const MAX_MODELS: usize = 4_096;

impl Cursors {
    /// Forgets an account that was deleted.
    pub fn forget(&mut self, account: AccountId) {
        for state in self.weights.values_mut().flat_map(HashMap::values_mut) {
            state.remove(&account);
        }
    }

    fn ring(&mut self, target: &Target) -> Option<&mut Option<Turn>> {
        slot(&mut self.rings, target)
    }

    fn weights(&mut self, target: &Target) -> Option<&mut HashMap<AccountId, i64>> {
        slot(&mut self.weights, target)
    }
}

/// Allocates only the first time a model of a provider is seen. Always there: it was just put in.
fn slot<'m, T: Default>(
    map: &'m mut HashMap<Arc<str>, HashMap<String, T>>,
    target: &Target,
) -> Option<&'m mut T> {
    let models = map.entry(Arc::clone(&target.provider.id)).or_default();
    if !models.contains_key(&target.canonical) {
        if models.len() >= MAX_MODELS {
            models.clear();
        }
        models.insert(target.canonical.clone(), T::default());
    }
    models.get_mut(&target.canonical)
}

#[cfg(test)]
mod tests;
