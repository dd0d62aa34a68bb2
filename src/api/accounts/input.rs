//! What a caller says of an account: the columns of `api.md` §3.1, checked.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::api::call::typed;
use crate::api::error::ApiError;
use crate::provider::catalog::Provider;
use crate::provider::sign_in::AuthKind;
use crate::routing::account::{AccountConfig, AccountKind, ProxyChoice, Tier};

/// Characters of a label, and of an entry of a list.
const LABEL: usize = 80;
const ENTRY: usize = 256;
/// Characters of the operator's text.
const NOTES: usize = 2_000;

/// The columns a caller can set; absent = the default.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Columns {
    pub(super) label: String,
    #[serde(default = "one")]
    priority: u16,
    #[serde(default = "one")]
    weight: u16,
    #[serde(default = "on")]
    enabled: bool,
    #[serde(default)]
    tags: Vec<String>,
    max_concurrent: Option<u32>,
    proxy: Option<Proxy>,
    endpoint: Option<String>,
    #[serde(default)]
    params: BTreeMap<String, String>,
    tier: Option<String>,
    min_remaining_percent: Option<u8>,
    allow_overage: Option<bool>,
    #[serde(default)]
    allowed_models: Vec<String>,
    #[serde(default)]
    excluded_models: Vec<String>,
    #[serde(default = "on")]
    refresh_enabled: bool,
    notes: Option<String>,
}

/// `{mode, id}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Proxy {
    mode: Option<String>,
    id: Option<String>,
}

fn one() -> u16 {
    1
}

fn on() -> bool {
    true
}

impl Columns {
    /// Reads and checks the columns for an account of `provider`.
    ///
    /// # Errors
    /// 400 for unknown members, 422 for the first value that does not fit.
    pub(super) fn read(
        given: Map<String, Value>,
        provider: &Provider,
    ) -> Result<(Self, ProxyChoice), ApiError> {
        let mut columns: Self = typed(given)?;
        columns.label = columns.label.trim().to_owned();
        line("label", &columns.label, LABEL)?;
        within("priority", columns.priority, 1, 999)?;
        within("weight", columns.weight, 0, 1_000)?;
        if let Some(most) = columns.max_concurrent {
            within("max_concurrent", most, 1, 1_000_000)?;
        }
        if let Some(percent) = columns.min_remaining_percent {
            within("min_remaining_percent", percent, 0, 99)?;
        }
        for (name, list) in [
            ("tags", &columns.tags),
            ("allowed_models", &columns.allowed_models),
            ("excluded_models", &columns.excluded_models),
        ] {
            for (index, text) in list.iter().enumerate() {
                line(&format!("{name}[{index}]"), text, ENTRY)?;
            }
        }
        if let Some(notes) = &columns.notes
            && (notes.chars().count() > NOTES || notes.chars().any(|c| c.is_control() && c != '\n'))
        {
            return Err(ApiError::invalid("notes", format!("expected at most {NOTES} characters")));
        }
        columns.tier()?;
        columns.fits(provider)?;
        let proxy = proxy_choice(columns.proxy.as_ref())?;
        Ok((columns, proxy))
    }

    fn tier(&self) -> Result<Option<Tier>, ApiError> {
        let tiers = [Tier::Subscription, Tier::Cheap, Tier::Paid, Tier::Free];
        let read = |word: &String| {
            let found = tiers.into_iter().find(|tier| tier.as_str() == word);
            found.ok_or_else(|| {
                ApiError::invalid("tier", "expected subscription, cheap, paid or free")
            })
        };
        self.tier.as_ref().map(read).transpose()
    }

    /// Endpoint and parameters must be ones the provider has.
    fn fits(&self, provider: &Provider) -> Result<(), ApiError> {
        if let Some(name) = &self.endpoint
            && provider.endpoint(name).is_none()
        {
            let names: Vec<&str> = provider.endpoints.iter().map(|e| e.name.as_str()).collect();
            let why = format!("`{}` has the endpoints {}", provider.id, names.join(", "));
            return Err(ApiError::invalid("endpoint", why));
        }
        for (name, value) in &self.params {
            let known = provider.params.iter().any(|param| param.name == *name)
                || (name == "base_url" && provider.base_url_override);
            let path = format!("params.{name}");
            if !known {
                let names: Vec<&str> = provider.params.iter().map(|p| p.name.as_str()).collect();
                let names = if names.is_empty() { "none".into() } else { names.join(", ") };
                let why = format!("`{}` has no such parameter; it has: {names}", provider.id);
                return Err(ApiError::invalid(&path, why));
            }
            line(&path, value, 2_048)?;
        }
        let missing = provider.params.iter().find(|param| {
            param.required && param.default.is_empty() && !self.params.contains_key(&param.name)
        });
        match missing {
            Some(param) => {
                let path = format!("params.{}", param.name);
                Err(ApiError::invalid(&path, format!("is needed: {}", param.label)))
            }
            None => Ok(()),
        }
    }

    /// Puts the columns into a configuration.
    pub(super) fn apply(self, proxy: ProxyChoice, config: &mut AccountConfig) -> Option<String> {
        // It was looked at when the columns were read.
        config.tier = self.tier().unwrap_or_default();
        config.label = self.label;
        config.priority = self.priority;
        config.weight = self.weight;
        config.enabled = self.enabled;
        config.tags = self.tags;
        config.max_concurrent = self.max_concurrent;
        config.proxy = proxy;
        config.endpoint = self.endpoint;
        config.params = self.params.into_iter().collect();
        config.min_remaining_percent = self.min_remaining_percent;
        config.allow_overage = self.allow_overage;
        config.allowed_models = self.allowed_models;
        config.excluded_models = self.excluded_models;
        config.refresh_enabled = self.refresh_enabled;
        self.notes.filter(|text| !text.trim().is_empty())
    }
}

/// Whether accounts of this kind can be made by hand.
///
/// # Errors
/// 422 with the way that works.
pub(super) fn takes(provider: &Provider, kind: AccountKind) -> Result<(), ApiError> {
    let takes = match kind {
        AccountKind::None => provider.auth.contains(&AuthKind::None),
        AccountKind::ApiKey => provider.takes_api_key(),
        AccountKind::OAuth | AccountKind::Imported | AccountKind::ServiceAccount => false,
    };
    if takes {
        return Ok(());
    }
    Err(match kind {
        AccountKind::None => {
            ApiError::invalid("api_key", format!("accounts of `{}` need a key", provider.id))
        }
        _ => {
            let why = format!(
                "`{0}` takes no API key; sign in with `ninerouter account add {0}`",
                provider.id
            );
            ApiError::invalid("api_key", why)
        }
    })
}

/// A way of going out; that a proxy with the id is there is looked at when it is written.
pub(in crate::api) fn proxy_of(value: &Value) -> Result<ProxyChoice, ApiError> {
    let proxy: Option<Proxy> = deserialized("proxy", value)?;
    proxy_choice(proxy.as_ref())
}

fn deserialized<T: DeserializeOwned>(path: &str, value: &Value) -> Result<T, ApiError> {
    // The library's text may quote the value.
    serde_json::from_value(value.clone()).map_err(|_odd| {
        ApiError::invalid(path, "expected {\"mode\": inherit, direct or proxy, \"id\"}")
    })
}

fn proxy_choice(proxy: Option<&Proxy>) -> Result<ProxyChoice, ApiError> {
    let Some(proxy) = proxy else { return Ok(ProxyChoice::Inherit) };
    match (proxy.mode.as_deref(), &proxy.id) {
        (None | Some("inherit"), None) => Ok(ProxyChoice::Inherit),
        (Some("direct"), None) => Ok(ProxyChoice::Direct),
        (None | Some("proxy"), Some(id)) => Ok(ProxyChoice::Proxy(id.clone())),
        (Some("proxy"), None) => Err(ApiError::invalid("proxy.id", "is missing: which proxy?")),
        (Some("inherit" | "direct"), Some(_)) => {
            Err(ApiError::invalid("proxy.id", "belongs to the mode `proxy` alone"))
        }
        (Some(_), _) => Err(ApiError::invalid("proxy.mode", "expected inherit, direct or proxy")),
    }
}

fn line(path: &str, text: &str, most: usize) -> Result<(), ApiError> {
    let fits = (1..=most).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if fits {
        return Ok(());
    }
    Err(ApiError::invalid(path, format!("expected one line of 1 to {most} characters")))
}

fn within<T: PartialOrd + std::fmt::Display>(
    path: &str,
    number: T,
    least: T,
    most: T,
) -> Result<(), ApiError> {
    if number >= least && number <= most {
        return Ok(());
    }
    Err(ApiError::invalid(path, format!("must be {least} to {most}")))
}
