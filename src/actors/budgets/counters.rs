//! What one budget has counted: spent in its window, set aside for running requests, and told to people.

use std::collections::VecDeque;
use std::ops::Range;

use jiff::tz::TimeZone;

use crate::clock::UnixMs;
use crate::routing::budget::{Amount, BUCKET, Budget, BudgetWindow, FIVE_HOURS};
use crate::routing::instant::DAY;

/// A total does not come back by itself; the operator may raise it, so ask again tomorrow.
const TOTAL_RETRY: i64 = DAY;
/// When running requests alone fill a budget: what they leave of their estimates is soon there again.
const SETTLES: i64 = 2_000;

/// The counters of one budget.
#[derive(Debug)]
pub(super) struct Counters {
    spent: Spent,
    reserved: Amount,
    /// Percents that were told, and until when they are not told again.
    told: Vec<(u8, UnixMs)>,
    /// Until when nobody is told again that it blocks.
    block_told: UnixMs,
}

#[derive(Debug)]
enum Spent {
    Calendar { window: Range<UnixMs>, sum: Amount },
    Rolling { minutes: VecDeque<(i64, Amount)>, sum: Amount },
    Total(Amount),
}

impl Counters {
    /// Nothing spent yet.
    pub(super) fn new(window: BudgetWindow, zone: &TimeZone, now: UnixMs) -> Self {
        let spent = match (window, window.calendar(now, zone)) {
            (_, Some(window)) => Spent::Calendar { window, sum: Amount::default() },
            (BudgetWindow::Total, None) => Spent::Total(Amount::default()),
            (_, None) => Spent::Rolling { minutes: VecDeque::new(), sum: Amount::default() },
        };
        Self { spent, reserved: Amount::default(), told: Vec::new(), block_told: UnixMs::MIN }
    }

    /// Takes what another one counted as spent; what is set aside stays.
    pub(super) fn take_spent(&mut self, other: Self) {
        self.spent = other.spent;
    }

    /// Opens the window of `now`. A clock that steps back keeps the later window: a budget is never granted twice.
    pub(super) fn roll(&mut self, window: BudgetWindow, zone: &TimeZone, now: UnixMs) {
        match &mut self.spent {
            Spent::Calendar { window: open, sum } => {
                if now >= open.end
                    && let Some(next) = window.calendar(now, zone)
                {
                    (*open, *sum) = (next, Amount::default());
                }
            }
            Spent::Rolling { minutes, sum } => {
                while let Some((minute, amount)) = minutes.front().copied() {
                    if leaves_at(minute) > now {
                        break;
                    }
                    minutes.pop_front();
                    *sum = sum.minus(amount);
                }
            }
            Spent::Total(_) => {}
        }
    }

    /// Adds what a request of `ts` cost. One that began in an earlier window belongs there.
    pub(super) fn add(&mut self, ts: UnixMs, amount: Amount) {
        match &mut self.spent {
            Spent::Calendar { window, sum } => {
                if ts >= window.start {
                    *sum = sum.plus(amount);
                }
            }
            Spent::Rolling { minutes, sum } => {
                *sum = sum.plus(amount);
                let minute = ts.div_euclid(BUCKET);
                // Requests end out of the order in which they began, by a little.
                let before = minutes.iter().rposition(|(at, _)| *at <= minute);
                match before.and_then(|at| Some((at, minutes.get_mut(at)?))) {
                    Some((_, (at, sum))) if *at == minute => *sum = sum.plus(amount),
                    Some((at, _)) => minutes.insert(at + 1, (minute, amount)),
                    None => minutes.push_front((minute, amount)),
                }
            }
            Spent::Total(sum) => *sum = sum.plus(amount),
        }
    }

    /// Spent in the window.
    pub(super) fn spent(&self) -> Amount {
        match &self.spent {
            Spent::Calendar { sum, .. } | Spent::Rolling { sum, .. } | Spent::Total(sum) => *sum,
        }
    }

    /// Set aside for running requests.
    pub(super) fn reserved(&self) -> Amount {
        self.reserved
    }

    pub(super) fn set_aside(&mut self, amount: Amount) {
        self.reserved = self.reserved.plus(amount);
    }

    pub(super) fn give_back(&mut self, amount: Amount) {
        self.reserved = self.reserved.minus(amount);
    }

    /// When all that counts now has left the window; `None` where nothing leaves, or nothing is there.
    pub(super) fn resets_at(&self) -> Option<UnixMs> {
        match &self.spent {
            Spent::Calendar { window, .. } => Some(window.end),
            Spent::Rolling { minutes, .. } => minutes.back().map(|(minute, _)| leaves_at(*minute)),
            Spent::Total(_) => None,
        }
    }

    /// When a budget blocks: the instant from which it may let something through again. Unlike what is spent, what is
    /// set aside may come back before the window ends.
    pub(super) fn blocked_until(&self, budget: &Budget, now: UnixMs) -> Option<UnixMs> {
        if !budget.limits.are_reached(self.spent().plus(self.reserved)) {
            return None;
        }
        if !budget.limits.are_reached(self.spent()) {
            return Some(now.saturating_add(SETTLES));
        }
        Some(match &self.spent {
            Spent::Calendar { window, .. } => window.end,
            Spent::Total(_) => now.saturating_add(TOTAL_RETRY),
            Spent::Rolling { minutes, sum } => {
                let mut left = *sum;
                let enough_left = minutes.iter().find(|(_, amount)| {
                    left = left.minus(*amount);
                    !budget.limits.are_reached(left)
                });
                // A limit of 0 never lets anything through.
                enough_left.map_or(now.saturating_add(FIVE_HOURS), |(minute, _)| leaves_at(*minute))
            }
        })
    }

    /// Percents that have just been crossed, ascending; each is told once per window.
    pub(super) fn crossed(&mut self, budget: &Budget, now: UnixMs) -> Vec<u8> {
        let percent = budget.limits.percent(self.spent());
        let quiet_until = self.quiet_until(now);
        self.told.retain(|(_, until)| *until > now);
        let told = &mut self.told;
        let passed = budget.notify_at.iter().copied().filter(|at| u32::from(*at) <= percent);
        let new: Vec<u8> = passed.filter(|at| !told.iter().any(|(one, _)| one == at)).collect();
        told.extend(new.iter().map(|at| (*at, quiet_until)));
        new
    }

    /// True once per window: people are to be told that the budget blocks.
    pub(super) fn tells_block(&mut self, now: UnixMs) -> bool {
        let tells = now >= self.block_told;
        if tells {
            self.block_told = self.quiet_until(now);
        }
        tells
    }

    /// What lies behind already is nothing new: after a start, and after a change of the budget.
    pub(super) fn forget_told(&mut self, budget: &Budget, now: UnixMs) {
        self.told.clear();
        let _known = self.crossed(budget, now);
        self.block_told = match self.blocked_until(budget, now) {
            Some(_) => self.quiet_until(now),
            None => UnixMs::MIN,
        };
    }

    fn quiet_until(&self, now: UnixMs) -> UnixMs {
        match &self.spent {
            Spent::Calendar { window, .. } => window.end,
            Spent::Rolling { .. } => now.saturating_add(FIVE_HOURS),
            Spent::Total(_) => UnixMs::MAX,
        }
    }
}

/// When spending of a minute is no longer of the last five hours.
fn leaves_at(minute: i64) -> UnixMs {
    minute.saturating_add(1).saturating_mul(BUCKET).saturating_add(FIVE_HOURS)
}
