//! `[[models]]`, `[[prices]]` and `[providers.<id>]` of a config file.

use serde::Deserialize;
use serde_json::Value;

use crate::config::file::account::TIERS;
use crate::config::file::document::Trail;
use crate::config::file::node::pairs;
use crate::config::file::object::{ModelObject, PriceObject, ProviderObject};
use crate::config::file::reader::Reader;
use crate::config::file::{ProviderSpec, proxy};
use crate::config::kind::class_of;
use crate::provider::header::extra_header;
use crate::provider::model::{Cap, ModelKind, Think};
use crate::store::models::{ModelOrigin, ModelRow};
use crate::store::prices::PriceRow;
use crate::store::provider_overrides::ProviderOverride;

/// A model; its provider as written.
pub(super) fn read_model(
    reader: &mut Reader,
    trail: &Trail,
    object: ModelObject,
) -> Option<ModelRow> {
    let kind = object.kind.unwrap_or_else(|| "chat".to_owned());
    known::<ModelKind>(reader, &trail.key("kind"), &kind, "kind of model");
    for (index, cap) in object.caps.iter().flatten().enumerate() {
        known::<Cap>(reader, &trail.key("caps").item(index), cap, "capability");
    }
    if let Some(think) = &object.think {
        known::<Think>(reader, &trail.key("think"), think, "way to think");
    }
    Some(ModelRow {
        provider: reader.line(&trail.key("provider"), &object.provider, 80),
        model: reader.line(&trail.key("id"), &object.id, 256),
        // Whether the catalog has it is known when the file is planned.
        source: ModelOrigin::Manual,
        enabled: object.enabled.unwrap_or(true),
        name: object.name.map(|name| reader.line(&trail.key("name"), &name, 120)),
        kind,
        ctx: object.ctx,
        max_output: object.max_output,
        caps: object.caps,
        think: object.think,
        managed_by: None,
        rev: 1,
    })
}

/// A price; its provider as written.
pub(super) fn read_price(
    reader: &mut Reader,
    trail: &Trail,
    object: PriceObject,
) -> Option<PriceRow> {
    let mut amount =
        |member: &str, value: &Option<Value>| money(reader, &trail.key(member), value.as_ref()?);
    let row = PriceRow {
        input: amount("input", &object.input),
        cached: amount("cached", &object.cached),
        cache_write_5m: amount("cache_write_5m", &object.cache_write_5m),
        cache_write_1h: amount("cache_write_1h", &object.cache_write_1h),
        output: amount("output", &object.output),
        reasoning: amount("reasoning", &object.reasoning),
        per_request: amount("per_request", &object.per_request),
        provider: String::new(),
        model: String::new(),
        note: None,
        managed_by: None,
        rev: 1,
    };
    Some(PriceRow {
        provider: reader.line(&trail.key("provider"), &object.provider, 80),
        model: reader.line(&trail.key("model"), &object.model, 256),
        note: object.note.map(|note| reader.line(&trail.key("note"), &note, 500)),
        ..row
    })
}

/// Settings of a provider; its id as written.
pub(super) fn read_provider(
    reader: &mut Reader,
    trail: &Trail,
    id: &str,
    object: ProviderObject,
) -> Option<ProviderSpec> {
    const STRATEGIES: &[(&str, &str)] = &[
        ("priority", "priority"),
        ("fill-first", "priority"),
        ("round-robin", "round-robin"),
        ("weighted", "weighted"),
        ("least-used", "least-used"),
        ("quota-balanced", "quota-balanced"),
    ];
    let proxy = proxy::choice(reader, trail, object.proxy.as_ref());
    let strategy = object.account_strategy.as_ref();
    let strategy = reader.optional_choice(&trail.key("account_strategy"), strategy, STRATEGIES);
    for (index, header) in object.headers.iter().enumerate() {
        if let Err(why) = extra_header(&header.name, &header.value, false) {
            reader.fail(&trail.key("headers").item(index), why);
        }
    }
    for (index, status) in object.retry_statuses.iter().flatten().enumerate() {
        reader.within(&trail.key("retry_statuses").item(index), *status, 400, 599);
    }
    let mut number = |member: &str, value: Option<u32>, min: u32, max: u32| {
        value.map(|n| reader.within(&trail.key(member), n, min, max))
    };
    let mut row = ProviderOverride::new(id.to_owned());
    row.sticky_count = number("sticky_count", object.sticky_count, 1, 1_000);
    row.affinity_ttl_s = number("affinity_ttl_s", object.affinity_ttl_s, 0, 604_800);
    row.cooldown_base_s = number("cooldown_base_s", object.cooldown_base_s, 1, 3_600);
    row.cooldown_max_s = number("cooldown_max_s", object.cooldown_max_s, 1, 86_400);
    row.max_in_flight = number("max_in_flight", object.max_in_flight, 1, 1_000_000);
    row.refresh_lead_s = number("refresh_lead_s", object.refresh_lead_s, 1, 86_400);
    row.min_remaining_percent = object
        .min_remaining_percent
        .map(|n| reader.within(&trail.key("min_remaining_percent"), n, 0, 99));
    row.enabled = object.enabled.unwrap_or(true);
    row.tier = reader.optional_choice(&trail.key("tier"), object.tier.as_ref(), TIERS);
    row.account_strategy = strategy.map(str::to_owned);
    row.headers = pairs(object.headers);
    row.retry_statuses = object.retry_statuses.map(Value::from);
    row.count_notional = object.count_notional;
    Some(ProviderSpec { row, proxy })
}

/// US dollars as decimal text or number, in micro-USD. Exact: no binary fractions on the way.
pub(super) fn money(reader: &mut Reader, trail: &Trail, value: &Value) -> Option<i64> {
    let text = match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let amount = text.as_deref().and_then(umicro);
    if amount.is_none() {
        let got = class_of(value);
        let want = "US dollars such as \"20.00\", at most 6 digits behind the point";
        reader.fail(trail, format!("got {got}, expected {want}"));
    }
    amount
}

fn umicro(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let has_point = whole.len() < text.len();
    if !digits(whole) || (has_point && !digits(fraction)) || fraction.len() > 6 {
        return None;
    }
    let micro: i64 = format!("{fraction:0<6}").parse().ok()?;
    whole.parse::<i64>().ok()?.checked_mul(1_000_000)?.checked_add(micro)
}

/// Checks that `word` is one of the catalog's words of type `T`.
fn known<'de, T: Deserialize<'de>>(reader: &mut Reader, trail: &Trail, word: &'de str, what: &str) {
    use serde::de::IntoDeserializer;
    use serde::de::value::{Error, StrDeserializer};
    let text: StrDeserializer<'de, Error> = word.into_deserializer();
    if let Err(why) = T::deserialize(text) {
        let why = why.to_string();
        let expected = why.split_once(", expected ").map_or("another", |(_, rest)| rest);
        let got = class_of(&word.into());
        reader.fail(trail, format!("unknown {what}: got {got}, expected {expected}"));
    }
}

/// The provider strategies of settings are checked by the same words.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_exact() {
        for (text, want) in [
            ("20.00", Some(20_000_000)),
            ("0.000001", Some(1)),
            ("0", Some(0)),
            ("3", Some(3_000_000)),
            ("1.5", Some(1_500_000)),
            ("9223372036854.775807", Some(i64::MAX)),
            ("9223372036854.775808", None),
            ("0.0000001", None),
            ("-1", None),
            ("1.", None),
            (".5", None),
            ("1e3", None),
            ("", None),
            ("1,5", None),
        ] {
            assert_eq!(umicro(text), want, "{text}");
        }
    }

    #[test]
    fn strategies_of_a_provider_are_those_of_the_setting() {
        let Some(crate::config::kind::Kind::Choice(words)) =
            crate::config::keys::setting("account_strategy").map(|k| k.kind)
        else {
            panic!("the setting is a choice");
        };
        for word in words {
            let text = format!("[providers.glm]\naccount_strategy = '{word}'\n");
            let path = std::path::Path::new("x.toml");
            let file = crate::config::file::parse(path, text.as_bytes(), Default::default());
            assert!(file.is_ok(), "{word}: {file:?}");
        }
    }
}
