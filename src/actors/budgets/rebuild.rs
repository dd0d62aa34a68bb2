//! Budgets as configured, with counters from the usage tables: at start, and when configuration changes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use jiff::tz::TimeZone;

use crate::actors::budgets::counters::Counters;
use crate::actors::budgets::{Amount, Budgets, Shelf, Slot, Table};
use crate::actors::snapshot::Snapshot;
use crate::clock::UnixMs;
use crate::routing::budget::{Budget, BudgetWindow, FIVE_HOURS};
use crate::store::usage::{Spend, spend_by_minute, spend_ever, spend_since};
use crate::store::{Store, StoreError};

/// Providers whose flat plans count at list price (setting `count_notional` and its overrides).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Notional {
    /// Of every other provider.
    pub usual: bool,
    /// Providers with a word of their own.
    pub own: BTreeMap<String, bool>,
}

impl Notional {
    /// Whether plans of `provider` count.
    #[must_use]
    pub fn counts(&self, provider: &str) -> bool {
        self.own.get(provider).copied().unwrap_or(self.usual)
    }
}

impl Budgets {
    /// Takes the budgets of a new snapshot: see [`Budgets::replace`].
    ///
    /// # Errors
    /// The usage tables cannot be read. The old set stays.
    pub fn adopt(
        &self,
        snapshot: &Snapshot,
        store: &Store,
        now: UnixMs,
        flush: impl FnOnce(),
    ) -> Result<(), StoreError> {
        let zone = &snapshot.settings.timezone;
        self.replace(&snapshot.budgets, zone, &snapshot.notional(), store, now, flush)
    }

    /// Takes a new set of budgets. Those that count as before keep what they counted; the others begin with what the
    /// usage tables say. Running requests keep what is set aside for them. Blocking.
    ///
    /// `zone` is that of budgets that name none; `flush` brings usage rows that wait to the database, and is called
    /// only when something is to be read there.
    ///
    /// # Errors
    /// The usage tables cannot be read. The old set stays.
    pub fn replace(
        &self,
        budgets: &[Budget],
        zone: &TimeZone,
        notional: &Notional,
        store: &Store,
        now: UnixMs,
        flush: impl FnOnce(),
    ) -> Result<(), StoreError> {
        let old = self.table.load_full();
        let mut kept = Vec::new();
        let mut anew = Vec::new();
        for budget in budgets.iter().filter(|budget| budget.enabled) {
            let own = budget.tz.as_deref().and_then(|name| TimeZone::get(name).ok());
            let zone = own.unwrap_or_else(|| zone.clone());
            let before = old.by_id.get(&budget.id);
            let counts_as_before = before.is_some_and(|slot| {
                slot.budget.scope == budget.scope
                    && slot.budget.window == budget.window
                    && slot.zone == zone
                    && old.notional == *notional
            });
            let slot = Slot {
                counters: before.map_or_else(
                    || Shelf(Arc::new(Mutex::new(Counters::new(budget.window, &zone, now)))),
                    |slot| slot.counters.clone(),
                ),
                budget: budget.clone(),
                zone,
            };
            if counts_as_before { kept.push(slot) } else { anew.push(slot) }
        }
        if !anew.is_empty() {
            flush();
            let counted = store.read(|conn| {
                anew.iter()
                    .map(|slot| {
                        let spent = read(conn, slot, now)?;
                        Ok(count(slot, &spent, notional, now))
                    })
                    .collect::<Result<Vec<_>, StoreError>>()
            })?;
            for (slot, counted) in anew.iter().zip(counted) {
                slot.counters.lock().take_spent(counted);
            }
        }
        let mut table = Table { notional: notional.clone(), ..Table::default() };
        for slot in kept.into_iter().chain(anew) {
            let before = old.by_id.get(&slot.budget.id);
            if before.is_none_or(|before| before.budget != slot.budget) {
                slot.open(now).forget_told(&slot.budget, now);
            }
            table.put(slot);
        }
        self.table.store(Arc::new(table));
        Ok(())
    }
}

fn read(
    conn: &mut crate::store::Connection,
    slot: &Slot,
    now: UnixMs,
) -> Result<Vec<Spend>, StoreError> {
    let Budget { scope, window, .. } = &slot.budget;
    match (window, window.calendar(now, &slot.zone)) {
        (_, Some(window)) => spend_since(conn, scope, window.start),
        (BudgetWindow::Total, None) => spend_ever(conn, scope),
        (_, None) => spend_by_minute(conn, scope, now.saturating_sub(FIVE_HOURS)),
    }
}

fn count(slot: &Slot, spent: &[Spend], notional: &Notional, now: UnixMs) -> Counters {
    let mut counters = Counters::new(slot.budget.window, &slot.zone, now);
    for part in spent {
        let umicro = if notional.counts(&part.provider) { part.list } else { part.paid };
        let amount = Amount { umicro, tokens: part.tokens, requests: part.requests };
        counters.add(part.at, amount);
    }
    counters
}
