//! A combo, flattened into the order in which its targets are tried (accounts §6.2, §6.3, §6.7).

use std::collections::HashSet;
use std::sync::Arc;

use ninerouter_dialect::Needs;

use crate::id::{AccountId, EntryId};
use crate::provider::catalog::{Cap, Catalog};
use crate::routing::account::Tier;
use crate::routing::combo::{Combo, Entry, Strategy};
use crate::routing::resolve::{Names, ResolveError, Resolved, Target, Wishes, resolve};
pub use crate::routing::rotation::Rotation;
use crate::routing::rotation::{Place, Turn};

/// Combos within combos at most.
pub(crate) const MAX_DEPTH: usize = 5;
/// Entries of a plan at most.
pub(crate) const MAX_ENTRIES: usize = 64;

/// One target to be tried.
#[derive(Clone, Debug)]
pub struct PlannedEntry {
    /// Place in the plan.
    pub index: u16,
    /// Stored entry it comes from; `None` when the client named the model itself.
    pub entry_id: Option<EntryId>,
    /// What to ask.
    pub target: Arc<Target>,
    /// Price class: the entry's own, else the provider's.
    pub tier: Tier,
    /// Price class the entry sets, which outranks account and provider.
    pub tier_override: Option<Tier>,
    /// Only this account.
    pub pin: Option<AccountId>,
    /// Only accounts with all of these tags.
    pub tags: Vec<String>,
    /// Share under the weighted strategy.
    pub weight: u16,
    /// Rotations that go on when this entry is reached: places in `Plan::turns`.
    turns: Vec<usize>,
}

/// The order in which targets are tried.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The combo that was asked for.
    pub combo: Option<Arc<Combo>>,
    /// Targets, first to last. Never empty.
    pub entries: Vec<Arc<PlannedEntry>>,
    /// Targets of entries that mean nothing at present (a model that left the catalog, a circle).
    pub unusable: Vec<String>,
    turns: Vec<Option<Turn>>,
}

impl Plan {
    /// Notes that the entry at `index` is tried: nested rotations go on only when a request reaches them
    /// (accounts §6.2). Those of the first entry went on when the plan was made. Idempotent.
    pub fn reached(&mut self, index: usize, rotation: &mut Rotation) {
        let Some(entry) = self.entries.get(index) else { return };
        for place in &entry.turns {
            if let Some(turn) = self.turns.get_mut(*place).and_then(Option::take) {
                rotation.advance(turn);
            }
        }
    }

    /// Puts entries that are known to lack something needed last, in their order (`capability_filter`).
    /// Call it before the first entry is tried.
    pub fn put_last(&mut self, lacks: impl Fn(&PlannedEntry) -> bool) {
        let (bad, good): (Vec<_>, Vec<_>) = self.entries.drain(..).partition(|e| lacks(e));
        self.entries = number(good.into_iter().chain(bad));
    }
}

/// True when the target is known not to do one of `needs`: the catalog lists the model without the capability,
/// or the upstream refuses schemas. A model nobody knows lacks nothing.
#[must_use]
pub fn lacks(catalog: &Catalog, target: &Target, needs: Needs) -> bool {
    let caps = [
        (needs.vision, Cap::Vision),
        (needs.pdf, Cap::Pdf),
        (needs.audio, Cap::AudioIn),
        (needs.tools, Cap::Tools),
    ];
    let facts = catalog.model_facts(&target.provider, &target.model).filter(|facts| facts.listed);
    let lacks = |(needed, cap)| needed && facts.is_some_and(|facts| !facts.caps.has(cap));
    (needs.json_schema && target.provider.profile.no_response_schema) || caps.into_iter().any(lacks)
}

/// The order for one request. Rotations of the combo itself, and of nested ones that are reached first,
/// go on here; the others with [`Plan::reached`].
///
/// `sticky` is the entry this conversation was last served by: it comes first while it is usable, and then no
/// rotation goes on. `usable` says whether an entry could serve now.
///
/// # Errors
/// When a combo has no entry that means anything.
pub fn plan(
    resolved: &Resolved,
    names: &Names,
    catalog: &Catalog,
    rotation: &mut Rotation,
    sticky: Option<EntryId>,
    usable: &dyn Fn(&PlannedEntry) -> bool,
) -> Result<Plan, ResolveError> {
    let mut plan = preview(resolved, names, catalog, rotation, usable)?;
    let keeps = plan.combo.as_ref().is_some_and(|combo| combo.is_sticky());
    let bound = sticky.filter(|_| keeps).and_then(|id| {
        plan.entries.iter().position(|entry| entry.entry_id == Some(id) && usable(entry))
    });
    match bound {
        Some(at) => {
            let mut entries = std::mem::take(&mut plan.entries);
            if let Some(upto) = entries.get_mut(..=at) {
                upto.rotate_right(1);
            }
            plan.entries = number(entries);
            // The conversation had its turn when it began.
            let held: Vec<usize> =
                plan.entries.first().map(|e| e.turns.clone()).unwrap_or_default();
            for place in held {
                if let Some(turn) = plan.turns.get_mut(place) {
                    *turn = None;
                }
            }
        }
        None => plan.reached(0, rotation),
    }
    Ok(plan)
}

/// The order the next request would get, without moving any rotation.
///
/// # Errors
/// As [`plan`].
pub fn preview(
    resolved: &Resolved,
    names: &Names,
    catalog: &Catalog,
    rotation: &Rotation,
    usable: &dyn Fn(&PlannedEntry) -> bool,
) -> Result<Plan, ResolveError> {
    let (combo, wishes) = match resolved {
        Resolved::Target(target) => return Ok(single(target)),
        Resolved::Combo { combo, wishes } => (combo, *wishes),
    };
    let mut builder = Builder {
        names,
        catalog,
        rotation,
        usable,
        path: vec![Arc::clone(&combo.name)],
        turns: Vec::new(),
        unusable: Vec::new(),
    };
    let outer = Outer { wishes, pin: None, tags: &[], tier: None };
    let leaves = builder.combo(combo, &outer);
    let mut seen = HashSet::new();
    let mut fresh = |leaf: &PlannedEntry| {
        seen.insert((Arc::clone(&leaf.target.provider.id), leaf.target.model.clone(), leaf.pin))
    };
    let kept = leaves.into_iter().filter(|leaf| fresh(leaf)).take(MAX_ENTRIES);
    let entries = number(kept.map(Arc::new));
    if entries.is_empty() {
        return Err(ResolveError::EmptyCombo { name: Arc::clone(&combo.name) });
    }
    let turns = builder.turns.into_iter().map(Some).collect();
    Ok(Plan { combo: Some(Arc::clone(combo)), entries, unusable: builder.unusable, turns })
}

/// Every target a request may reach, without any rotation.
#[must_use]
pub fn leaves(resolved: &Resolved, names: &Names, catalog: &Catalog) -> Vec<Arc<Target>> {
    let all = preview(resolved, names, catalog, &Rotation::default(), &|_| true);
    // A combo without a usable entry reaches nothing; planning it says so.
    let entries = all.map(|plan| plan.entries).unwrap_or_default();
    entries.iter().map(|entry| Arc::clone(&entry.target)).collect()
}

fn single(target: &Arc<Target>) -> Plan {
    let entry = PlannedEntry {
        index: 0,
        entry_id: None,
        tier: target.provider.tier,
        tier_override: None,
        target: Arc::clone(target),
        pin: None,
        tags: Vec::new(),
        weight: 1,
        turns: Vec::new(),
    };
    Plan { combo: None, entries: vec![Arc::new(entry)], unusable: Vec::new(), turns: Vec::new() }
}

fn number(entries: impl IntoIterator<Item = Arc<PlannedEntry>>) -> Vec<Arc<PlannedEntry>> {
    let renumbered = entries.into_iter().zip(0_u16..).map(|(mut entry, index)| {
        if entry.index != index {
            Arc::make_mut(&mut entry).index = index;
        }
        entry
    });
    renumbered.collect()
}

impl Combo {
    /// True when a conversation stays on the entry that served it (accounts §6.5). Rotating strategies do so
    /// unless told otherwise: every turn on another entry would lose the prompt cache.
    #[must_use]
    pub fn is_sticky(&self) -> bool {
        self.sticky_enabled.unwrap_or(match self.strategy {
            Strategy::RoundRobin | Strategy::Weighted => true,
            Strategy::Fallback | Strategy::Tier => false,
        })
    }
}

/// What an outer entry hands down to the entries of the combo it names.
struct Outer<'a> {
    wishes: Wishes,
    pin: Option<AccountId>,
    tags: &'a [String],
    tier: Option<Tier>,
}

/// An entry of a combo with the targets behind it.
struct Block {
    id: EntryId,
    weight: u16,
    tier: Tier,
    leaves: Vec<PlannedEntry>,
}

struct Builder<'a> {
    names: &'a Names,
    catalog: &'a Catalog,
    rotation: &'a Rotation,
    usable: &'a dyn Fn(&PlannedEntry) -> bool,
    /// Combos we are inside of.
    path: Vec<Arc<str>>,
    turns: Vec<Turn>,
    unusable: Vec<String>,
}

impl Builder<'_> {
    fn combo(&mut self, combo: &Combo, outer: &Outer<'_>) -> Vec<PlannedEntry> {
        let enabled = combo.entries.iter().filter(|entry| entry.enabled);
        let blocks: Vec<Block> = enabled.filter_map(|entry| self.block(entry, outer)).collect();
        match combo.strategy {
            Strategy::Fallback | Strategy::RoundRobin | Strategy::Weighted => {
                self.order(combo, None, combo.strategy, blocks)
            }
            Strategy::Tier => self.by_tier(combo, blocks),
        }
    }

    fn block(&mut self, entry: &Entry, outer: &Outer<'_>) -> Option<Block> {
        let pin = entry.account_id.or(outer.pin);
        let tags: Vec<String> = entry.tags.iter().chain(outer.tags).cloned().collect();
        let tier = entry.tier.or(outer.tier);
        let leaves = match self.meaning(&entry.target)? {
            Resolved::Target(target) => {
                let target = with_wishes(target, outer.wishes);
                vec![PlannedEntry {
                    index: 0,
                    entry_id: Some(entry.id),
                    tier: tier.unwrap_or(target.provider.tier),
                    tier_override: tier,
                    target,
                    pin,
                    tags,
                    weight: entry.weight,
                    turns: Vec::new(),
                }]
            }
            Resolved::Combo { combo, wishes } => {
                self.path.push(Arc::clone(&combo.name));
                let wishes = wishes.or(outer.wishes);
                let leaves = self.combo(&combo, &Outer { wishes, pin, tags: &tags, tier });
                self.path.pop();
                leaves
            }
        };
        // A nested combo is as dear as the first thing it would ask.
        let tier = leaves.first()?.tier;
        Some(Block { id: entry.id, weight: entry.weight, tier, leaves })
    }

    /// What an entry names; nothing when it is unknown, too deep, or leads back to a combo we are in.
    fn meaning(&mut self, target: &str) -> Option<Resolved> {
        let named = target.strip_prefix("combo:");
        let found = match named {
            Some(name) => {
                let (name, wishes) = Wishes::split(name);
                let combo = self.names.combo(name).map(Arc::clone);
                combo.map(|combo| Resolved::Combo { combo, wishes })
            }
            // No default for unknown ids: a combo says what it means.
            None => resolve(target, self.names, self.catalog, None).ok(),
        };
        let fits = found.filter(|resolved| match resolved {
            Resolved::Target(_) => true,
            Resolved::Combo { combo, .. } => {
                self.path.len() < MAX_DEPTH && !self.path.contains(&combo.name)
            }
        });
        if fits.is_none() {
            self.unusable.push(target.to_owned());
        }
        fits
    }

    /// Price classes in their order, each a fallback to the one before (accounts §6.7).
    fn by_tier(&mut self, combo: &Combo, blocks: Vec<Block>) -> Vec<PlannedEntry> {
        let order = self.names.tier_order.clone();
        let rank = |block: &Block| order.iter().position(|tier| *tier == block.tier);
        let mut groups: Vec<(Option<usize>, Vec<Block>)> = Vec::new();
        for block in blocks {
            let rank = rank(&block);
            match groups.iter_mut().find(|(known, _)| *known == rank) {
                Some((_, group)) => group.push(block),
                None => groups.push((rank, vec![block])),
            }
        }
        groups.sort_by_key(|(rank, _)| rank.unwrap_or(usize::MAX));
        let mut out = Vec::new();
        for (_, group) in groups {
            let tier = group.first().map(|block| block.tier);
            out.extend(self.order(combo, tier, combo.tier_inner, group));
        }
        out
    }

    fn order(
        &mut self,
        combo: &Combo,
        tier: Option<Tier>,
        strategy: Strategy,
        mut blocks: Vec<Block>,
    ) -> Vec<PlannedEntry> {
        let place = Place { combo: combo.id, tier };
        let turn = match strategy {
            // `tier` inside a tier has nothing left to order.
            Strategy::Fallback | Strategy::Tier => None,
            Strategy::RoundRobin => self.round_robin(place, combo.rr_sticky_count, &mut blocks),
            Strategy::Weighted => self.weighted(place, &mut blocks),
        };
        let mut leaves: Vec<PlannedEntry> = blocks.into_iter().flat_map(|b| b.leaves).collect();
        if let Some(turn) = turn {
            let at = self.turns.len();
            self.turns.push(turn);
            leaves.iter_mut().for_each(|leaf| leaf.turns.push(at));
        }
        leaves
    }

    fn round_robin(&self, place: Place, stay: u32, blocks: &mut [Block]) -> Option<Turn> {
        let ring: Vec<EntryId> = blocks.iter().map(|block| block.id).collect();
        let start = self.rotation.start(place, &ring, stay)?;
        blocks.rotate_left(start);
        Some(Turn::RoundRobin { place, ring, stay })
    }

    /// The first by smooth weighted round-robin over those that can serve, the rest by weight.
    fn weighted(&self, place: Place, blocks: &mut [Block]) -> Option<Turn> {
        let usable = |block: &Block| block.leaves.iter().any(|leaf| (self.usable)(leaf));
        let shares: Vec<(EntryId, u16)> = blocks
            .iter()
            .filter(|block| block.weight > 0 && usable(block))
            .map(|block| (block.id, block.weight))
            .collect();
        blocks.sort_by_key(|block| std::cmp::Reverse(block.weight));
        let first = self.rotation.heaviest(place, &shares)?;
        let at = blocks.iter().position(|block| block.id == first)?;
        blocks.get_mut(..=at)?.rotate_right(1);
        Some(Turn::Weighted { place, shares })
    }
}

/// The suffix on the combo's name applies to entries without an own one.
fn with_wishes(target: Arc<Target>, wishes: Wishes) -> Arc<Target> {
    let own = Wishes { effort: target.effort, long_context: target.long_context };
    let both = own.or(wishes);
    if both == own {
        return target;
    }
    let mut changed = (*target).clone();
    (changed.effort, changed.long_context) = (both.effort, both.long_context);
    Arc::new(changed)
}

#[cfg(test)]
mod tests;
