//! `[[accounts]]` of a config file.

use crate::config::file::document::Trail;
use crate::config::file::object::AccountObject;
use crate::config::file::reader::Reader;
use crate::config::file::{AccountSpec, proxy};
use crate::routing::account::{AccountConfig, AccountKind, Tier};

pub(super) const TIERS: &[(&str, Tier)] = &[
    ("subscription", Tier::Subscription),
    ("cheap", Tier::Cheap),
    ("paid", Tier::Paid),
    ("free", Tier::Free),
];

/// Kinds a file may hold: sign-ins are runtime data (cli-and-deploy §7.5).
const KINDS: &[(&str, AccountKind)] = &[
    ("api_key", AccountKind::ApiKey),
    ("service_account", AccountKind::ServiceAccount),
    ("none", AccountKind::None),
];

/// An account; its provider as written, its id a new one.
pub(super) fn read(
    reader: &mut Reader,
    trail: &Trail,
    object: AccountObject,
) -> Option<AccountSpec> {
    let label = reader.line(&trail.key("label"), &object.label, 80);
    let provider = reader.line(&trail.key("provider"), &object.provider, 80);
    let proxy = proxy::choice(reader, trail, object.proxy.as_ref());
    let notes = object.notes.as_deref().map(str::trim).filter(|text| !text.is_empty());
    let notes = notes.map(|text| notes_of(reader, &trail.key("notes"), text));
    let credential = credential(reader, trail, &object);
    let tier = reader.optional_choice(&trail.key("tier"), object.tier.as_ref(), TIERS);
    let priority = object.priority.map_or(1, |n| reader.within(&trail.key("priority"), n, 1, 999));
    let weight = object.weight.map_or(1, |n| reader.within(&trail.key("weight"), n, 0, 1_000));
    let most = trail.key("max_concurrent");
    let max_concurrent = object.max_concurrent.map(|n| reader.within(&most, n, 1, 1_000_000));
    let reserve = trail.key("min_remaining_percent");
    let min_remaining_percent =
        object.min_remaining_percent.map(|n| reader.within(&reserve, n, 0, 99));
    let tags = texts(reader, trail, "tags", &object.tags);
    let allowed_models = texts(reader, trail, "allowed_models", &object.allowed_models);
    let excluded_models = texts(reader, trail, "excluded_models", &object.excluded_models);
    let (kind, api_key) = credential?;
    let config = AccountConfig {
        priority,
        weight,
        enabled: object.enabled.unwrap_or(true),
        tags,
        allowed_models,
        excluded_models,
        max_concurrent,
        endpoint: object.endpoint,
        params: object.params.into_iter().collect(),
        tier,
        min_remaining_percent,
        allow_overage: object.allow_overage,
        refresh_enabled: object.refresh_enabled.unwrap_or(true),
        ..AccountConfig::new(provider.into(), kind, label)
    };
    Some(AccountSpec { config, api_key, proxy, notes })
}

/// The operator's text: several lines are fine.
fn notes_of(reader: &mut Reader, trail: &Trail, text: &str) -> String {
    const MOST: usize = 2_000;
    if text.chars().count() > MOST || text.chars().any(|c| c.is_control() && c != '\n') {
        reader.fail(trail, format!("expected a text of at most {MOST} characters"));
    }
    text.to_owned()
}

/// A list of one-line texts.
pub(super) fn texts(
    reader: &mut Reader,
    trail: &Trail,
    member: &str,
    list: &[String],
) -> Vec<String> {
    let trail = trail.key(member);
    let read = |(index, text): (usize, &String)| reader.line(&trail.item(index), text, 256);
    list.iter().enumerate().map(read).collect()
}

fn credential(
    reader: &mut Reader,
    trail: &Trail,
    object: &AccountObject,
) -> Option<(AccountKind, Option<super::SecretRef>)> {
    let kind = match &object.kind {
        Some(word) if matches!(word.as_str(), "oauth" | "imported") => {
            let message =
                "sign-ins are no part of a config file; connect the account in the dashboard";
            reader.fail(&trail.key("kind"), message);
            return None;
        }
        Some(word) => reader.choice(&trail.key("kind"), word, KINDS)?,
        None if object.api_key.is_some() => AccountKind::ApiKey,
        None if object.service_account.is_some() => AccountKind::ServiceAccount,
        None => {
            reader.fail(
                trail,
                "`api_key` is missing; for upstreams without a key write `kind` = \"none\"",
            );
            return None;
        }
    };
    match kind {
        AccountKind::ServiceAccount => {
            let member = if object.service_account.is_some() { "service_account" } else { "kind" };
            reader
                .fail(&trail.key(member), "service accounts are not supported yet by this version");
            None
        }
        AccountKind::None => {
            if object.api_key.is_some() {
                reader.fail(
                    &trail.key("api_key"),
                    "belongs to accounts of kind `api_key`; remove it",
                );
                return None;
            }
            Some((kind, None))
        }
        AccountKind::ApiKey | AccountKind::OAuth | AccountKind::Imported => {
            let Some(text) = &object.api_key else {
                reader.fail(trail, "`api_key` is missing");
                return None;
            };
            reader.secret(&trail.key("api_key"), text).map(|key| (kind, Some(key)))
        }
    }
}
