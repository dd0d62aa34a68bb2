//! `[[proxies]]` of a config file, and which of them accounts and providers go through.

use serde_json::Value;

use crate::config::file::document::Trail;
use crate::config::file::object::{ProxyChoiceObject, ProxyObject};
use crate::config::file::reader::Reader;
use crate::config::file::{ProxyAddress, ProxyName, ProxySpec};
use crate::config::kind::class_of;
use crate::provider::proxy::{NoProxy, ProxyUrl};

/// Words that stand for a way, not for a proxy of that name.
const WAYS: [&str; 2] = ["inherit", "direct"];

/// A proxy; its secret is looked up when the file is planned.
pub(super) fn read(reader: &mut Reader, trail: &Trail, object: ProxyObject) -> Option<ProxySpec> {
    let name = reader.line(&trail.key("name"), &object.name, 80);
    if WAYS.iter().any(|way| name.eq_ignore_ascii_case(way)) {
        reader.fail(&trail.key("name"), "stands for a way of going out; choose another name");
    }
    let address = address(reader, &trail.key("url"), &object.url);
    let no_proxy = no_proxy(reader, &trail.key("no_proxy"), object.no_proxy.as_ref());
    Some(ProxySpec { name, address: address?, no_proxy, enabled: object.enabled.unwrap_or(true) })
}

/// A URL without user and password is no secret and may stand in the file.
fn address(reader: &mut Reader, trail: &Trail, text: &str) -> Option<ProxyAddress> {
    let is_reference = text.starts_with("env:") || text.starts_with("file:");
    if is_reference {
        return reader.secret(trail, text).map(ProxyAddress::Secret);
    }
    match ProxyUrl::parse(text.trim()) {
        Ok(url) if url.login().is_some() => {
            let message = "a URL with user or password is a secret: write `env:NAME` or `file:/path` here and the URL \
                           there";
            reader.fail(trail, message);
            None
        }
        Ok(url) => Some(ProxyAddress::Plain(url)),
        Err(bad) => {
            reader.fail(trail, bad);
            None
        }
    }
}

/// A list, or a text with commas, in the form in which it is stored.
fn no_proxy(reader: &mut Reader, trail: &Trail, value: Option<&Value>) -> String {
    let entries: Vec<String> = match value {
        None => Vec::new(),
        Some(Value::String(text)) => text.split(',').map(str::to_owned).collect(),
        Some(Value::Array(list)) if list.iter().all(Value::is_string) => {
            list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        Some(other) => {
            let got = class_of(other);
            reader.fail(trail, format!("got {got}, expected a list of hosts"));
            Vec::new()
        }
    };
    let entries: Vec<&str> = entries.iter().map(|e| e.trim()).filter(|e| !e.is_empty()).collect();
    let (_, bad) = NoProxy::of(entries.iter().copied());
    if !bad.is_empty() {
        let message = "holds something that is no host name, `.suffix`, address, CIDR range or `*`";
        reader.fail(trail, message);
    }
    entries.join(",")
}

/// `"name"`, `"direct"`, `"inherit"`, or the object of `api.md`: `{mode, id}`, `{mode, name}`.
pub(super) fn choice(reader: &mut Reader, trail: &Trail, value: Option<&Value>) -> ProxyName {
    let trail = trail.key("proxy");
    match value {
        None => ProxyName::Inherit,
        Some(Value::String(word)) => match word.trim() {
            "inherit" => ProxyName::Inherit,
            "direct" => ProxyName::Direct,
            name => ProxyName::Proxy(reader.line(&trail, name, 80)),
        },
        Some(value) => {
            let Some(object) = reader.object::<ProxyChoiceObject>(&trail, value) else {
                return ProxyName::Inherit;
            };
            let named = object.name.or(object.id);
            match (object.mode.as_deref(), named) {
                (Some("inherit"), None) => ProxyName::Inherit,
                (Some("direct"), None) => ProxyName::Direct,
                (Some("proxy") | None, Some(name)) => {
                    ProxyName::Proxy(reader.line(&trail.key("name"), &name, 80))
                }
                (Some("proxy") | None, None) => {
                    reader.fail(&trail, "`name` is missing: through which proxy?");
                    ProxyName::Inherit
                }
                (Some("inherit" | "direct"), Some(_)) => {
                    reader.fail(&trail, "names a proxy that is not used; remove it or the mode");
                    ProxyName::Inherit
                }
                (Some(_), _) => {
                    let message = "expected one of `inherit`, `direct`, `proxy`";
                    reader.fail(&trail.key("mode"), message);
                    ProxyName::Inherit
                }
            }
        }
    }
}
