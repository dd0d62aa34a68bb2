//! Proxies of a file, the ways that accounts and providers go out, and settings that are secrets.

use crate::config::apply::check::Checker;
use crate::config::apply::current::same_name;
use crate::config::apply::desired::{DesiredText, Secrets};
use crate::config::apply::plan::is_managed;
use crate::config::file::{At, NamedText, ProxyAddress, ProxyName, ProxySpec, SecretRef, Trail};
use crate::id::ProxyId;
use crate::provider::proxy::ProxyUrl;
use crate::routing::account::ProxyChoice;
use crate::secret::Secret;
use crate::store::proxies::{NewProxy, ProxyRow};

/// Gives proxies their stored ids and their URLs.
pub(super) fn check(checker: &mut Checker<'_>) {
    let file = checker.file;
    for At { trail, value } in &file.proxies {
        let ProxySpec { name, address, no_proxy, enabled } = value.clone();
        let url = match address {
            ProxyAddress::Plain(url) => Some(url),
            ProxyAddress::Secret(reference) => {
                let trail = trail.key("url");
                let Some(text) = secret(checker, &trail, "url", &reference) else { continue };
                match text.map(|text| ProxyUrl::parse(text.expose().trim())).transpose() {
                    Ok(url) => url,
                    Err(bad) => {
                        checker.fail(&trail, format!("`url`: `{reference}`: {bad}"));
                        continue;
                    }
                }
            }
        };
        let known = checker.current.proxies.iter().find(|row| same_name(&row.name, &name));
        let id = known.map_or_else(ProxyId::new, |row| row.id);
        checker.desired.proxies.push(NewProxy { id, name, url, no_proxy, enabled });
    }
}

/// Looks up the settings that are secrets.
pub(super) fn check_texts(checker: &mut Checker<'_>) {
    let file = checker.file;
    for At { trail, value: (key, text) } in &file.texts {
        let text = match text {
            NamedText::Plain(text) => DesiredText::Plain(text.clone()),
            NamedText::Secret(reference) => match secret(checker, trail, key, reference) {
                Some(Some(secret)) => DesiredText::Secret(secret),
                Some(None) | None => continue,
            },
        };
        if let DesiredText::Secret(secret) = &text
            && let Some(declared) = crate::config::keys::setting(key)
            && let Err(misfit) = declared.kind.check(&secret.expose().into())
        {
            checker.fail(trail, format!("`{key}`: {misfit}"));
            continue;
        }
        checker.desired.texts.push((key.clone(), text));
    }
}

/// The secret behind a reference; the inner `None` = it is not looked up. The outer one = a mistake was noted.
pub(super) fn secret(
    checker: &mut Checker<'_>,
    trail: &Trail,
    member: &str,
    reference: &SecretRef,
) -> Option<Option<Secret>> {
    if checker.secrets == Secrets::Skip {
        // It need not be where the file is checked; but say so.
        if let Err(why) = reference.resolve(checker.around.lookup) {
            checker.warn(trail, format!("`{member}`: {why}"));
        }
        return Some(None);
    }
    match reference.resolve(checker.around.lookup) {
        Ok(secret) => Some(Some(secret)),
        Err(why) => {
            checker.fail(trail, format!("`{member}`: {why}"));
            None
        }
    }
}

/// The way out that an object names, in the state the file leads to.
pub(super) fn choice(checker: &mut Checker<'_>, trail: &Trail, name: &ProxyName) -> ProxyChoice {
    let name = match name {
        ProxyName::Inherit => return ProxyChoice::Inherit,
        ProxyName::Direct => return ProxyChoice::Direct,
        ProxyName::Proxy(name) => name,
    };
    let fits = |id: ProxyId, other: &str| same_name(other, name) || id.to_string() == *name;
    let desired = checker.desired.proxies.iter().map(|proxy| (proxy.id, proxy.name.as_str()));
    let stored = checker.current.proxies.iter().filter(|row| stays(checker, row));
    let stored = stored.map(|row| (row.id, row.name.as_str()));
    if let Some((id, _)) = desired.chain(stored).find(|(id, other)| fits(*id, other)) {
        return ProxyChoice::Proxy(id.to_string());
    }
    // A proxy whose own section is wrong was reported there.
    if !checker.file.proxies.iter().any(|proxy| same_name(&proxy.value.name, name)) {
        checker.fail(&trail.key("proxy"), format!("there is no proxy `{name}`"));
    }
    ProxyChoice::Inherit
}

fn stays(checker: &Checker<'_>, row: &ProxyRow) -> bool {
    !(checker.prune && is_managed(row.managed_by))
}

/// Proxies that go away although something goes through them.
pub(super) fn check_orphans(checker: &mut Checker<'_>) {
    let mut messages = Vec::new();
    for row in &checker.current.proxies {
        let named = checker.desired.proxies.iter().any(|proxy| proxy.id == row.id);
        if named || stays(checker, row) {
            continue;
        }
        let through = ProxyChoice::Proxy(row.id.to_string());
        let rewritten = |id| checker.desired.accounts.iter().any(|want| want.config.id == id);
        let accounts = checker.current.accounts.iter().filter(|account| {
            account.config.proxy == through
                && !rewritten(account.config.id)
                && !is_managed(account.managed_by)
        });
        let accounts =
            accounts.map(|a| format!("account `{}/{}`", a.config.provider, a.config.label));
        let rewritten = |id: &str| checker.desired.providers.iter().any(|row| row.provider == id);
        let providers = checker.current.providers.iter().filter(|provider| {
            provider.proxy == through
                && !rewritten(&provider.provider)
                && !is_managed(provider.managed_by)
        });
        let providers = providers.map(|p| format!("provider `{}`", p.provider));
        let users: Vec<String> = accounts.chain(providers).collect();
        if !users.is_empty() {
            messages.push(format!(
                "proxy `{}` is no longer named, but {} goes through it; change that first",
                row.name,
                users.join(", ")
            ));
        }
    }
    for message in messages {
        checker.fail(&Trail::default().key("proxies"), message);
    }
}
