//! `[[keys]]` of a config file.

use serde_json::Value;

use crate::clock::UnixMs;
use crate::config::file::KeySpec;
use crate::config::file::account::texts;
use crate::config::file::document::Trail;
use crate::config::file::model::money;
use crate::config::file::object::KeyObject;
use crate::config::file::reader::Reader;
use crate::config::kind::{self, class_of};
use crate::id::KeyId;
use crate::store::api_keys::ApiKeyRow;

const SCOPES: &[(&str, &str)] =
    &[("inference", "inference"), ("models", "models"), ("usage:own", "usage:own")];

/// A key with a new id; look-up and shown parts are filled in when its text is known.
pub(super) fn read(reader: &mut Reader, trail: &Trail, object: &KeyObject) -> Option<KeySpec> {
    let Some(text) = &object.key else {
        reader.fail(trail, "`key` is missing");
        return None;
    };
    let text = reader.secret(&trail.key("key"), text);
    let row = row(reader, trail, object);
    text.map(|text| KeySpec { row, text })
}

/// A key whose text the router makes.
pub(super) fn read_without_text(
    reader: &mut Reader,
    trail: &Trail,
    object: &KeyObject,
) -> Option<ApiKeyRow> {
    if object.key.is_some() {
        reader.fail(&trail.key("key"), "is made by the router; leave it out");
        return None;
    }
    Some(row(reader, trail, object))
}

fn row(reader: &mut Reader, trail: &Trail, object: &KeyObject) -> ApiKeyRow {
    let name = reader.line(&trail.key("name"), &object.name, 80);
    let mut row = ApiKeyRow::new(KeyId::new(), name, [0; 32], String::new(), String::new());
    row.enabled = object.enabled.unwrap_or(true);
    row.capture_bodies = object.capture_bodies.unwrap_or(false);
    row.expires_at = expiry(reader, &trail.key("expires_at"), object.expires_at.as_ref());
    if let Some(scopes) = &object.scopes {
        row.scopes = scope_names(reader, &trail.key("scopes"), scopes);
    }
    let mut list = |member, list: &Option<Vec<String>>| {
        list.as_ref().map(|list| texts(reader, trail, member, list))
    };
    row.allowed_models = list("allowed_models", &object.allowed_models);
    row.allowed_providers = list("allowed_providers", &object.allowed_providers);
    row.allowed_combos = list("allowed_combos", &object.allowed_combos);
    row.allowed_cidrs = cidrs(reader, &trail.key("allowed_cidrs"), object.allowed_cidrs.as_ref());
    let mut limit = |member: &str, number: Option<u32>| {
        number.map(|n| i64::from(reader.within(&trail.key(member), n, 1, u32::MAX)))
    };
    row.rpm = limit("rpm", object.rpm);
    row.tpm = limit("tpm", object.tpm);
    row.max_concurrent = limit("max_concurrent", object.max_concurrent);
    let mut money = |usd, umicro, text: &Option<Value>, number| {
        amount(reader, trail, (usd, umicro), text, number)
    };
    row.usd_day = money("usd_day", "usd_day_umicro", &object.usd_day, object.usd_day_umicro);
    row.usd_month =
        money("usd_month", "usd_month_umicro", &object.usd_month, object.usd_month_umicro);
    row.usd_total =
        money("usd_total", "usd_total_umicro", &object.usd_total, object.usd_total_umicro);
    row
}

/// Unix ms, or an RFC 3339 instant.
fn expiry(reader: &mut Reader, trail: &Trail, value: Option<&Value>) -> Option<UnixMs> {
    let value = value?;
    let read = match value {
        Value::Number(n) => n.as_i64().filter(|ms| *ms > 0),
        Value::String(text) => {
            text.parse::<jiff::Timestamp>().ok().map(|instant| instant.as_millisecond())
        }
        _ => None,
    };
    if read.is_none() {
        let got = class_of(value);
        let want = "Unix milliseconds or an instant such as `2027-01-31T12:00:00Z`";
        reader.fail(trail, format!("got {got}, expected {want}"));
    }
    read
}

fn scope_names(reader: &mut Reader, trail: &Trail, list: &[String]) -> Vec<String> {
    if list.is_empty() {
        reader.fail(
            trail,
            "a key without any scope is good for nothing; remove the member or name one",
        );
    }
    let read = |(index, word): (usize, &String)| reader.choice(&trail.item(index), word, SCOPES);
    list.iter().enumerate().filter_map(read).map(str::to_owned).collect()
}

fn cidrs(reader: &mut Reader, trail: &Trail, list: Option<&Vec<String>>) -> Option<Vec<String>> {
    let list = list?;
    let mut nets = Vec::with_capacity(list.len());
    for (index, text) in list.iter().enumerate() {
        match kind::range(text.trim()) {
            Some(net) => nets.push(net.to_string()),
            None => {
                reader.fail(
                    &trail.item(index),
                    "is neither an address nor a range such as `10.0.0.0/8`",
                );
            }
        }
    }
    Some(nets)
}

/// An amount in US dollars (decimal text) under the first name, or in micro-USD under the second.
pub(super) fn amount(
    reader: &mut Reader,
    trail: &Trail,
    (member, in_micro): (&str, &str),
    usd: &Option<Value>,
    umicro: Option<i64>,
) -> Option<i64> {
    match (usd, umicro) {
        (Some(_), Some(_)) => {
            let message = format!("stands beside `{in_micro}`; keep one");
            reader.fail(&trail.key(member), message);
            None
        }
        (Some(usd), None) => money(reader, &trail.key(member), usd),
        (None, Some(umicro)) => Some(reader.within(&trail.key(in_micro), umicro, 0, i64::MAX)),
        (None, None) => None,
    }
}
