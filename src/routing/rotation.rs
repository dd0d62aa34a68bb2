//! Where the rotations of combos stand: in memory, moved only when a request is dispatched (accounts §6.3).

use std::collections::HashMap;

use crate::id::{ComboId, EntryId};
use crate::routing::account::Tier;

/// What rotates: a combo, or one price class of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Place {
    pub(crate) combo: ComboId,
    pub(crate) tier: Option<Tier>,
}

/// A step a request takes when it reaches a rotation.
#[derive(Clone, Debug)]
pub(crate) enum Turn {
    RoundRobin { place: Place, ring: Vec<EntryId>, stay: u32 },
    Weighted { place: Place, shares: Vec<(EntryId, u16)> },
}

/// State of all rotations. Owned by the router.
#[derive(Clone, Debug, Default)]
pub struct Rotation {
    rings: HashMap<Place, Ring>,
    weights: HashMap<Place, HashMap<EntryId, i64>>,
}

#[derive(Clone, Debug)]
struct Ring {
    /// The entry that is first now. An id, not an index: entries may be switched on and off.
    at: EntryId,
    /// Requests it was first for.
    served: u32,
    entries: Vec<EntryId>,
}

impl Rotation {
    /// Forgets where a combo stands (it was edited or removed).
    pub fn reset(&mut self, combo: ComboId) {
        self.rings.retain(|place, _| place.combo != combo);
        self.weights.retain(|place, _| place.combo != combo);
    }

    /// Index of the entry that is first for the next request; `None` for an empty ring.
    pub(crate) fn start(&self, place: Place, entries: &[EntryId], stay: u32) -> Option<usize> {
        let last = entries.len().checked_sub(1)?;
        // Another set of entries is another combo: it begins at its first entry.
        let ring = self.rings.get(&place).filter(|ring| ring.entries == entries);
        let Some(ring) = ring else { return Some(0) };
        let at = entries.iter().position(|id| *id == ring.at)?;
        if ring.served < stay.max(1) {
            return Some(at);
        }
        Some(if at == last { 0 } else { at.saturating_add(1) })
    }

    /// The entry whose turn it is by weight. Ties go to the earlier one.
    pub(crate) fn heaviest(&self, place: Place, shares: &[(EntryId, u16)]) -> Option<EntryId> {
        let state = self.weights.get(&place);
        let score = |id: &EntryId, weight: u16| {
            let current = state.and_then(|s| s.get(id)).copied().unwrap_or(0);
            current.saturating_add(i64::from(weight))
        };
        // `max_by_key` takes the last of equals.
        let heaviest = shares.iter().rev().max_by_key(|(id, weight)| score(id, *weight));
        heaviest.map(|(id, _)| *id)
    }

    /// Takes a step.
    pub(crate) fn advance(&mut self, turn: Turn) {
        match turn {
            Turn::RoundRobin { place, ring, stay } => self.advance_ring(place, ring, stay),
            Turn::Weighted { place, shares } => self.advance_weights(place, &shares),
        }
    }

    fn advance_ring(&mut self, place: Place, entries: Vec<EntryId>, stay: u32) {
        let Some(at) = self.start(place, &entries, stay).and_then(|i| entries.get(i).copied())
        else {
            return;
        };
        let known = self.rings.get(&place).filter(|ring| ring.at == at && ring.entries == entries);
        // Coming round to itself (one entry) begins a new count.
        let served = match known {
            Some(ring) if ring.served < stay.max(1) => ring.served.saturating_add(1),
            Some(_) | None => 1,
        };
        self.rings.insert(place, Ring { at, served, entries });
    }

    fn advance_weights(&mut self, place: Place, shares: &[(EntryId, u16)]) {
        let Some(picked) = self.heaviest(place, shares) else { return };
        let total: i64 = shares.iter().map(|(_, weight)| i64::from(*weight)).sum();
        let state = self.weights.entry(place).or_default();
        for (id, weight) in shares {
            let cost = if *id == picked { total } else { 0 };
            let current = state.entry(*id).or_insert(0);
            *current = current.saturating_add(i64::from(*weight)).saturating_sub(cost);
        }
    }
}
