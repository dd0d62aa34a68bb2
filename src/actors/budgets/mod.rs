//! Budgets: one table of counters that admission and the router reserve in, and that finished requests charge
//! (accounts §6.8). Shared by every thread.
//!
//! A reservation is a guard: dropped, it gives back what it set aside. What a request really cost is read from its
//! usage row, so that the counters say after a restart, rebuilt from those rows, what they said before.

mod counters;
mod rebuild;

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use jiff::tz::TimeZone;
use tracing::{info, warn};

use crate::actors::budgets::counters::Counters;
pub use crate::actors::budgets::rebuild::Notional;
use crate::actors::live::{LiveEvent, LiveEvents};
use crate::clock::UnixMs;
use crate::id::{AccountId, BudgetId, ComboId, KeyId};
pub use crate::routing::budget::Amount;
use crate::routing::budget::{Budget, BudgetAction, BudgetScope, BudgetWindow};
use crate::store::usage::RequestRow;

/// The counters of all budgets. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct Budgets {
    table: Arc<ArcSwap<Table>>,
    live: LiveEvents,
}

/// A budget that lets nothing through now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Blocked {
    /// Whose spending it counts.
    pub scope: BudgetScope,
    /// Over which time.
    pub window: BudgetWindow,
    /// When it may let something through again, Unix ms.
    pub until: UnixMs,
}

/// How a budget stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// Spent in its window.
    pub spent: Amount,
    /// Set aside for running requests.
    pub reserved: Amount,
    /// When the window starts anew; of the last five hours, when all of it has passed. `None` = never.
    pub resets_at: Option<UnixMs>,
}

/// How large a request is taken to be before it is served, tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Estimate {
    /// What it sends.
    pub input: u64,
    /// What it may get.
    pub output: u64,
}

/// Budgets by what they count.
#[derive(Debug, Default)]
struct Table {
    all: Slots,
    providers: HashMap<String, Slots>,
    accounts: HashMap<AccountId, Slots>,
    combos: HashMap<ComboId, Slots>,
    keys: HashMap<KeyId, Slots>,
    by_id: HashMap<BudgetId, Arc<Slot>>,
    notional: Notional,
}

type Slots = Vec<Arc<Slot>>;

/// A budget with its counters. They outlive a change of the budget.
#[derive(Debug)]
struct Slot {
    budget: Budget,
    zone: TimeZone,
    counters: Shelf,
}

/// A mutex, not atomics: a reservation checks six numbers and changes three, all or nothing. It is held for
/// nanoseconds, never across an await.
#[derive(Clone, Debug)]
struct Shelf(Arc<Mutex<Counters>>);

impl Shelf {
    fn lock(&self) -> MutexGuard<'_, Counters> {
        // Counters are numbers: a panic elsewhere leaves none half written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Budgets {
    /// An empty table whose events go to `live`.
    #[must_use]
    pub fn new(live: LiveEvents) -> Self {
        Self { table: Arc::default(), live }
    }

    /// Sets aside what a request may cost, in the budgets that count it whatever serves it: of everything, of its key,
    /// of its combo. `estimate` is asked only when there is such a budget; `None` = there is none.
    ///
    /// # Errors
    /// A budget that blocks. Nothing is set aside then.
    pub fn reserve_request(
        &self,
        key: Option<KeyId>,
        combo: Option<ComboId>,
        estimate: impl FnOnce() -> Amount,
        now: UnixMs,
    ) -> Result<Option<Reservation>, Blocked> {
        let table = self.table.load();
        self.reserve(table.of_request(key, combo), estimate, now)
    }

    /// The same in the budgets of a provider and of one of its accounts.
    ///
    /// # Errors
    /// A budget that blocks. Nothing is set aside then.
    pub fn reserve_target(
        &self,
        provider: &str,
        account: AccountId,
        estimate: impl FnOnce() -> Amount,
        now: UnixMs,
    ) -> Result<Option<Reservation>, Blocked> {
        let table = self.table.load();
        self.reserve(table.of_target(provider, Some(account)), estimate, now)
    }

    fn reserve<'t>(
        &self,
        slots: impl Iterator<Item = &'t Arc<Slot>>,
        estimate: impl FnOnce() -> Amount,
        now: UnixMs,
    ) -> Result<Option<Reservation>, Blocked> {
        let mut slots = slots.peekable();
        if slots.peek().is_none() {
            return Ok(None);
        }
        let mut held = Reservation { amount: estimate(), shelves: Vec::new() };
        for slot in slots {
            let mut counters = slot.open(now);
            if let Some(until) = slot.blocked_until(&counters, now) {
                let tells = counters.tells_block(now);
                drop(counters);
                if tells {
                    self.tell_block(&slot.budget);
                }
                return Err(slot.blocked(until));
            }
            counters.set_aside(held.amount);
            drop(counters);
            held.shelves.push(slot.counters.clone());
        }
        Ok(Some(held))
    }

    /// The budget of a provider that lets nothing through now.
    #[must_use]
    pub fn provider_blocked(&self, provider: &str, now: UnixMs) -> Option<Blocked> {
        self.table.load().of_target(provider, None).find_map(|slot| slot.look(now))
    }

    /// Accounts whose own budget lets nothing through now, and until when.
    #[must_use]
    pub fn blocked_accounts(&self, now: UnixMs) -> Vec<(AccountId, UnixMs)> {
        let table = self.table.load();
        let over = |(id, slots): (&AccountId, &Slots)| {
            let until = slots.iter().filter_map(|slot| slot.look(now)).map(|b| b.until).max()?;
            Some((*id, until))
        };
        table.accounts.iter().filter_map(over).collect()
    }

    /// Charges what a finished request cost. Every usage row comes by here once, before its reservation ends: in
    /// between nobody else can pass.
    pub fn charge(&self, row: &RequestRow, now: UnixMs) {
        let table = self.table.load();
        if table.is_empty() {
            return;
        }
        // Without a provider no upstream was asked.
        let Some(provider) = &row.provider else { return };
        let umicro = if row.notional { row.list_cost } else { row.paid_cost };
        let tokens = row.input_tokens.saturating_add(row.output_tokens);
        let amount = Amount {
            umicro: umicro.unwrap_or(0),
            tokens: i64::try_from(tokens).unwrap_or(i64::MAX),
            requests: 1,
        };
        let request = table.of_request(row.api_key_id, row.combo_id);
        for slot in request.chain(table.of_target(provider, row.account_id)) {
            let mut counters = slot.open(now);
            counters.add(row.ts, amount);
            let crossed = counters.crossed(&slot.budget, now);
            drop(counters);
            for percent in crossed {
                self.tell_threshold(&slot.budget, percent);
            }
        }
    }

    /// How a budget stands; `None` = it is switched off, or not known.
    #[must_use]
    pub fn standing(&self, id: BudgetId, now: UnixMs) -> Option<Standing> {
        let table = self.table.load();
        table.by_id.get(&id).map(|slot| slot.standing(now))
    }

    /// The budgets of a key, and how they stand.
    #[must_use]
    pub fn of_key(&self, key: KeyId, now: UnixMs) -> Vec<(Budget, Standing)> {
        let table = self.table.load();
        let slots = table.keys.get(&key).into_iter().flatten();
        slots.map(|slot| (slot.budget.clone(), slot.standing(now))).collect()
    }

    fn tell_threshold(&self, budget: &Budget, percent: u8) {
        let (scope, window) = (budget.scope.as_str(), budget.window.as_str());
        info!(budget.id = %budget.id, scope, id = %budget.scope.id(), window, percent, "budget: threshold crossed");
        self.live.publish_with(|| LiveEvent::BudgetThreshold { budget: budget.id, percent });
    }

    fn tell_block(&self, budget: &Budget) {
        let (scope, window) = (budget.scope.as_str(), budget.window.as_str());
        warn!(
            budget.id = %budget.id, scope, id = %budget.scope.id(), window,
            "budget: used up; what it counts is refused until it starts anew or is raised"
        );
        self.live.publish_with(|| LiveEvent::BudgetBlocked { budget: budget.id });
    }
}

impl Slot {
    /// The counters in the window of `now`.
    fn open(&self, now: UnixMs) -> MutexGuard<'_, Counters> {
        let mut counters = self.counters.lock();
        counters.roll(self.budget.window, &self.zone, now);
        counters
    }

    fn blocked_until(&self, counters: &Counters, now: UnixMs) -> Option<UnixMs> {
        match self.budget.action {
            BudgetAction::Block => counters.blocked_until(&self.budget, now),
            BudgetAction::Warn => None,
        }
    }

    fn look(&self, now: UnixMs) -> Option<Blocked> {
        let counters = self.open(now);
        self.blocked_until(&counters, now).map(|until| self.blocked(until))
    }

    fn blocked(&self, until: UnixMs) -> Blocked {
        Blocked { scope: self.budget.scope.clone(), window: self.budget.window, until }
    }

    fn standing(&self, now: UnixMs) -> Standing {
        let counters = self.open(now);
        Standing {
            spent: counters.spent(),
            reserved: counters.reserved(),
            resets_at: counters.resets_at(),
        }
    }
}

impl Table {
    fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    fn put(&mut self, slot: Slot) {
        let slot = Arc::new(slot);
        self.by_id.insert(slot.budget.id, Arc::clone(&slot));
        match &slot.budget.scope {
            BudgetScope::All => self.all.push(slot),
            BudgetScope::Provider(id) => {
                self.providers.entry(id.clone()).or_default().push(slot);
            }
            BudgetScope::Account(id) => self.accounts.entry(*id).or_default().push(slot),
            BudgetScope::Combo(id) => self.combos.entry(*id).or_default().push(slot),
            BudgetScope::ApiKey(id) => self.keys.entry(*id).or_default().push(slot),
        }
    }

    fn of_request(
        &self,
        key: Option<KeyId>,
        combo: Option<ComboId>,
    ) -> impl Iterator<Item = &Arc<Slot>> {
        self.all.iter().chain(of(&self.keys, key.as_ref())).chain(of(&self.combos, combo.as_ref()))
    }

    fn of_target<'t>(
        &'t self,
        provider: &str,
        account: Option<AccountId>,
    ) -> impl Iterator<Item = &'t Arc<Slot>> + use<'t> {
        // A switch of an empty map costs no hash.
        let provider = if self.providers.is_empty() { None } else { self.providers.get(provider) };
        provider.into_iter().flatten().chain(of(&self.accounts, account.as_ref()))
    }
}

fn of<'m, K: Eq + Hash>(
    map: &'m HashMap<K, Slots>,
    key: Option<&K>,
) -> impl Iterator<Item = &'m Arc<Slot>> + use<'m, K> {
    let found = if map.is_empty() { None } else { key.and_then(|key| map.get(key)) };
    found.into_iter().flatten()
}

/// What is set aside for one request. Dropped, it is given back: the request's usage row says what it cost.
#[derive(Debug)]
#[must_use = "dropping it gives everything back at once"]
pub struct Reservation {
    amount: Amount,
    shelves: Vec<Shelf>,
}

impl Reservation {
    /// Sets aside what another target may cost instead.
    pub fn re_estimate(&mut self, amount: Amount) {
        for shelf in &self.shelves {
            let mut counters = shelf.lock();
            counters.give_back(self.amount);
            counters.set_aside(amount);
        }
        self.amount = amount;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        for shelf in &self.shelves {
            shelf.lock().give_back(self.amount);
        }
    }
}

#[cfg(test)]
mod tests;
