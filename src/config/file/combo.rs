//! `[[combos]]` of a config file.

use serde_json::Value;

use crate::config::file::ComboSpec;
use crate::config::file::account::{TIERS, texts};
use crate::config::file::document::Trail;
use crate::config::file::object::{ComboObject, EntryObject};
use crate::config::file::reader::Reader;
use crate::config::kind::class_of;
use crate::id::{ComboId, EntryId};
use crate::routing::combo::{Combo, Entry, Strategy};
use crate::store::combos::ComboRow;

/// Most entries of a combo (accounts §6.2).
const MOST_ENTRIES: usize = 64;

const STRATEGIES: &[(&str, Strategy)] = &[
    ("fallback", Strategy::Fallback),
    ("priority", Strategy::Fallback),
    ("round-robin", Strategy::RoundRobin),
    ("weighted", Strategy::Weighted),
    ("tier", Strategy::Tier),
];

/// Strategies the specification names and this version does not have.
const LATER: &[&str] = &[
    "random",
    "shuffle-deck",
    "least-used",
    "p2c",
    "cheapest",
    "fastest",
    "largest-context",
    "quota-aware",
];

/// A combo with new ids. What it refers to is checked when the file is planned.
pub(super) fn read(reader: &mut Reader, trail: &Trail, object: ComboObject) -> Option<ComboSpec> {
    let name = object.name.trim();
    if !is_name(name) {
        reader.fail(&trail.key("name"), "use 1 to 64 of letters, digits, dot, underscore and dash");
    }
    let strategy = strategy(reader, &trail.key("strategy"), object.strategy.as_ref());
    let inner = strategy_inside(reader, &trail.key("tier_inner"), object.tier_inner.as_ref());
    let entries = entries(reader, &trail.key("entries"), &object.entries);
    let sticky_ttl = object.sticky.as_ref().and_then(|s| s.ttl_s);
    let sticky_ttl_s = sticky_ttl
        .map_or(3_600, |n| reader.within(&trail.key("sticky").key("ttl_s"), n, 1, 604_800));
    let rr_sticky_count = object
        .rr_sticky_count
        .map_or(1, |n| reader.within(&trail.key("rr_sticky_count"), n, 1, 1_000));
    let max_attempts =
        object.max_attempts.map_or(12, |n| reader.within(&trail.key("max_attempts"), n, 1, 1_000));
    let deadline = trail.key("deadline_ms");
    let deadline_ms = object.deadline_ms.map(|n| reader.within(&deadline, n, 1, 86_400_000));
    let description = trail.key("description");
    let description = object.description.map(|text| reader.line(&description, &text, 500));
    let combo = Combo {
        id: ComboId::new(),
        name: name.into(),
        enabled: object.enabled.unwrap_or(true),
        strategy: strategy?,
        tier_inner: inner?,
        entries: entries?,
        sticky_enabled: object.sticky.and_then(|s| s.enabled),
        sticky_ttl_s,
        rr_sticky_count,
        max_attempts,
        deadline_ms,
        fallback_on_policy: object.fallback_on_policy,
        capability_filter: object.capability_filter.unwrap_or(true),
    };
    let report_real_model = object.report_real_model;
    let row = ComboRow { description, report_real_model, ..ComboRow::new(combo) };
    Some(ComboSpec { row, default_strategy: object.strategy.is_none() })
}

/// `[A-Za-z0-9._-]{1,64}`.
fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// Absent = fallback, until the setting is known.
fn strategy(reader: &mut Reader, trail: &Trail, word: Option<&String>) -> Option<Strategy> {
    let Some(word) = word else { return Some(Strategy::Fallback) };
    if LATER.contains(&word.as_str()) {
        reader.fail(trail, "this strategy is not supported yet by this version");
        return None;
    }
    reader.choice(trail, word, STRATEGIES)
}

fn strategy_inside(reader: &mut Reader, trail: &Trail, word: Option<&String>) -> Option<Strategy> {
    let strategy = strategy(reader, trail, word)?;
    if strategy == Strategy::Tier {
        reader.fail(trail, "inside a tier use `fallback`, `round-robin` or `weighted`");
        return None;
    }
    Some(strategy)
}

fn entries(reader: &mut Reader, trail: &Trail, list: &[Value]) -> Option<Vec<Entry>> {
    if list.is_empty() || list.len() > MOST_ENTRIES {
        let message = format!("a combo has 1 to {MOST_ENTRIES} entries");
        reader.fail(trail, message);
        return None;
    }
    let read = |(index, value): (usize, &Value)| entry(reader, &trail.item(index), value);
    let entries: Vec<Option<Entry>> = list.iter().enumerate().map(read).collect();
    entries.into_iter().collect()
}

fn entry(reader: &mut Reader, trail: &Trail, value: &Value) -> Option<Entry> {
    let object = match value {
        Value::String(target) => EntryObject {
            target: target.clone(),
            weight: None,
            tier: None,
            enabled: None,
            account_id: None,
            tags: Vec::new(),
        },
        Value::Object(_) => reader.object(trail, value)?,
        other => {
            let got = class_of(other);
            reader.fail(trail, format!("got {got}, expected a model id or a table with `target`"));
            return None;
        }
    };
    let target = reader.line(&trail.key("target"), &object.target, 256);
    let account_id = match object.account_id.as_deref().map(str::parse) {
        None => None,
        Some(Ok(id)) => Some(id),
        Some(Err(_no_uuid)) => {
            reader.fail(&trail.key("account_id"), "is no id; `tags` can pin an entry as well");
            return None;
        }
    };
    Some(Entry {
        id: EntryId::new(),
        target,
        weight: object.weight.map_or(1, |n| reader.within(&trail.key("weight"), n, 0, 1_000)),
        tier: reader.optional_choice(&trail.key("tier"), object.tier.as_ref(), TIERS),
        enabled: object.enabled.unwrap_or(true),
        account_id,
        tags: texts(reader, trail, "tags", &object.tags),
    })
}
