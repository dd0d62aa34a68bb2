//! Settings as people read and change them: the one service behind `ninerouter config` and `/api/settings` (api.md §6).

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::{Map, Value, json};

use crate::auth::policy::AdmitPolicy;
use crate::config::environment::Source;
use crate::config::keys::{self, Key, Preset, SETTINGS, Since};
use crate::config::options::Options;
use crate::config::settings::{self as typed, SettingError, Settings};
use crate::secret::Secret;
use crate::store::settings::{self, SettingRow};
use crate::store::{Connection, Owner, Sealer, Stamp, Store, StoreError};

/// Longest secret that is stored.
const LONGEST_SECRET: usize = 8_192;

/// Why settings were not changed. Nothing was.
#[derive(Debug, thiserror::Error)]
pub enum PatchError {
    /// No such setting.
    #[error("there is no setting `{key}`{}", .near.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    Unknown {
        /// As given.
        key: String,
        /// One with a like name.
        near: Option<&'static str>,
    },
    /// A flag or the environment sets it, and wins.
    #[error("`{key}` is set by the {by}; change it there")]
    Locked {
        /// Its name.
        key: &'static str,
        /// What sets it.
        by: Source,
    },
    /// The config file sets it.
    #[error("`{key}` is set by the config file; change it there")]
    Managed {
        /// Its name.
        key: String,
    },
    /// Values that do not fit: name and what is wrong.
    #[error("{}", lines(.0))]
    Invalid(Vec<(String, String)>),
    /// The dashboard would no longer admit whoever asks for the change (SEC-IP-7).
    #[error(
        "your own address {address} would no longer be admitted to the dashboard; add it, or send it as `confirm` \
         (`ninerouter admin reset-whitelist` brings the list back)"
    )]
    LockOut {
        /// As the whitelist sees it.
        address: IpAddr,
    },
    /// The dashboard would be open to the network (SEC-ROUTE-4).
    #[error(
        "`require_login` cannot be turned off while others than this computer reach the router; listen on loopback alone"
    )]
    OpenDashboard,
    /// Somebody changed settings in the meantime.
    #[error("settings were changed in the meantime; read them again")]
    Conflict,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn lines(errors: &[(String, String)]) -> String {
    let lines: Vec<String> = errors.iter().map(|(key, why)| format!("`{key}`: {why}")).collect();
    lines.join("\n")
}

/// Whoever changes settings, as far as a change may shut him out. The default is a command, which nothing shuts out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Requester {
    /// Client address, and the socket's peer.
    pub seen: Option<(IpAddr, IpAddr)>,
    /// The address he knows will be shut out.
    pub confirmed: Option<IpAddr>,
    /// Others than this computer reach the router.
    pub is_network_open: bool,
}

impl Requester {
    /// # Errors
    /// The settings would shut him out, or let everybody in.
    fn check(&self, keys: &[&str], settings: &Settings) -> Result<(), PatchError> {
        const ADMISSION: [&str; 5] = [
            "ip_whitelist",
            "ip_whitelist_strict",
            "trusted_proxy_enabled",
            "trusted_proxies",
            "trusted_proxy_header",
        ];
        if self.is_network_open && keys.contains(&"require_login") && !settings.require_login {
            return Err(PatchError::OpenDashboard);
        }
        let Some((client, peer)) = self.seen else { return Ok(()) };
        if !keys.iter().any(|key| ADMISSION.contains(key)) || self.confirmed == Some(client) {
            return Ok(());
        }
        let policy = AdmitPolicy::new(settings);
        // Behind a proxy that is no longer trusted only the proxy's own address is left, and that never counts.
        let is_known =
            client == peer || policy.proxy.enabled && policy.proxy.trusted.contains(peer);
        match is_known && policy.whitelist.contains(client) {
            true => Ok(()),
            false => Err(PatchError::LockOut { address: client }),
        }
    }
}

/// Whether changing a setting needs the password again. Unknown ones do not: they are refused anyway.
#[must_use]
pub fn needs_sudo(changes: &Map<String, Value>) -> bool {
    let changes: BTreeMap<String, Value> = changes.clone().into_iter().collect();
    typed::flatten(&changes).iter().any(|(name, _)| {
        typed::is_oauth_key(name) || keys::setting(name).is_some_and(|key| key.sudo)
    })
}

/// What a change of settings did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Patched {
    /// Settings whose stored value is another one now.
    pub changed: Vec<String>,
    /// Those of them that take effect at the next start.
    pub restart: Vec<String>,
    /// Those that this version does not use yet.
    pub without_effect: Vec<String>,
}

/// Every setting with its value and where that comes from: `{"settings":{key: value…},"meta":{key: {default, source,
/// env?, locked, restart, sudo, doc}},"rev": n}`. A secret shows as `{"set": bool, "last4"?: text}`. Blocking.
///
/// # Errors
/// The store failed.
pub fn view(store: &Store, options: &Options) -> Result<Value, StoreError> {
    let sealer = store.sealer();
    store.read(|conn| {
        let stored = settings::list(conn)?;
        let mut values = Map::new();
        let mut meta = Map::new();
        for key in SETTINGS {
            let row = stored.get(key.name);
            let value = match options.locked.get(key.name) {
                _ if key.is_secret() => secret(conn, sealer, key.name, row),
                Some(value) => value.clone(),
                None => row.and_then(|row| row.value.clone()).unwrap_or_else(|| preset(key, options)),
            };
            values.insert(key.name.to_owned(), value);
            meta.insert(key.name.to_owned(), about(key, row, options));
        }
        for (name, row) in stored.iter().filter(|(name, _)| typed::is_oauth_key(name)) {
            let value = match &row.value {
                Some(value) => value.clone(),
                None => secret(conn, sealer, name, Some(row)),
            };
            values.insert(name.clone(), value);
            let source = owner(Some(row));
            let doc = "Client of a provider's sign-in";
            let about = json!({"default": null, "source": source, "locked": row.managed_by.is_some(),
                "restart": false, "sudo": true, "doc": doc});
            meta.insert(name.clone(), about);
        }
        let rev = settings::revision(conn)?;
        Ok(json!({"settings": values, "meta": meta, "rev": rev}))
    })
}

fn about(key: &Key, row: Option<&SettingRow>, options: &Options) -> Value {
    let fixed = options.sources.get(key.name);
    let source = match fixed {
        Some(Source::Flag) => "flag",
        Some(Source::Process | Source::File(..)) => "env",
        None => owner(row),
    };
    let managed = row.is_some_and(|row| row.managed_by.is_some());
    let mut about = json!({
        "default": preset(key, options),
        "source": source,
        "locked": fixed.is_some() || managed || is_start_only(key),
        "restart": key.restart,
        "sudo": key.sudo,
        "doc": key.doc,
    });
    if let (Value::Object(about), Some(name)) = (&mut about, key.env.first()) {
        about.insert("env".to_owned(), (*name).into());
    }
    if let (Value::Object(about), Since::Later) = (&mut about, key.since) {
        about.insert("no_effect_yet".to_owned(), true.into());
    }
    about
}

fn owner(row: Option<&SettingRow>) -> &'static str {
    match row.map(|row| row.managed_by) {
        None => "default",
        Some(Some(Owner::ConfigFile)) => "config_file",
        Some(None) => "stored",
    }
}

/// The value when nothing sets it; what start-up finds out, as found.
fn preset(key: &Key, options: &Options) -> Value {
    match (key.preset, key.name) {
        (Preset::Found(_), "instance_name") => options.found.host_name.clone().into(),
        (Preset::Found(_), "timezone") => {
            options.found.timezone.iana_name().unwrap_or("UTC").into()
        }
        (Preset::Found(_), "workers") => options.workers.into(),
        (preset, _) => preset.to_json(),
    }
}

/// Needed before any database is open: not stored.
fn is_start_only(key: &Key) -> bool {
    matches!(key.name, "port" | "host" | "workers")
}

fn secret(conn: &mut Connection, sealer: &Sealer, name: &str, row: Option<&SettingRow>) -> Value {
    if row.is_none() {
        return json!({"set": false});
    }
    let text = settings::secret(conn, sealer, name).ok().flatten();
    // Of a short secret four characters would be too much.
    let tail = text.as_ref().map(Secret::expose).filter(|text| text.len() >= 16);
    let last4 =
        tail.and_then(|text| text.char_indices().rev().nth(3).and_then(|(at, _)| text.get(at..)));
    json!({"set": true, "last4": last4})
}

/// One change that was checked.
enum Write {
    Default,
    Value(Value),
    Secret(Secret),
}

/// Changes settings, all or nothing. Keys in snake_case or camelCase, groups nested or dotted; null = back to the
/// default. `rev` of [`view`], when given, must still be the present one. Blocking; afterwards
/// `Configured::reload` brings the change into effect.
///
/// # Errors
/// See [`PatchError`].
pub fn patch(
    store: &Store,
    options: &Options,
    changes: &Map<String, Value>,
    rev: Option<i64>,
    requester: &Requester,
) -> Result<Patched, PatchError> {
    let writes = check(options, changes)?;
    let now = store.clock().now_ms();
    let sealer = store.sealer();
    store.write(|conn| {
        if rev.is_some_and(|rev| settings::revision(conn).is_ok_and(|now| now != rev)) {
            return Ok(Err(PatchError::Conflict));
        }
        let stored = settings::list(conn)?;
        let managed = writes.keys().find(|key| {
            stored.get(*key).is_some_and(|row| row.managed_by == Some(Owner::ConfigFile))
        });
        if let Some(key) = managed {
            return Ok(Err(PatchError::Managed { key: key.clone() }));
        }
        let settings = match together(options, &stored, &writes) {
            Ok(settings) => settings,
            Err(errors) => return Ok(Err(PatchError::Invalid(errors))),
        };
        let keys: Vec<&str> = writes.keys().map(String::as_str).collect();
        if let Err(why) = requester.check(&keys, &settings) {
            return Ok(Err(why));
        }
        let mut patched = Patched::default();
        for (key, write) in writes {
            let before = stored.get(&key);
            let changed = match write {
                Write::Default => settings::delete(conn, &key)?,
                Write::Value(value) => {
                    let differs = before.is_none_or(|row| row.value.as_ref() != Some(&value));
                    if differs {
                        settings::set(conn, &key, &value, Stamp::operator(now))?;
                    }
                    differs
                }
                Write::Secret(text) => {
                    settings::set_secret(conn, sealer, &key, &text, Stamp::operator(now))?;
                    true
                }
            };
            if changed {
                patched.note(key);
            }
        }
        Ok(Ok(patched))
    })?
}

impl Patched {
    fn note(&mut self, key: String) {
        if let Some(declared) = keys::setting(&key) {
            if declared.restart {
                self.restart.push(key.clone());
            }
            if declared.since == Since::Later {
                self.without_effect.push(key.clone());
            }
        }
        self.changed.push(key);
    }
}

/// Each change by itself.
fn check(
    options: &Options,
    changes: &Map<String, Value>,
) -> Result<BTreeMap<String, Write>, PatchError> {
    let changes: BTreeMap<String, Value> = changes.clone().into_iter().collect();
    let mut writes = BTreeMap::new();
    let mut invalid = Vec::new();
    for (name, value) in typed::flatten(&changes) {
        let snake = keys::snake_case(&name);
        if typed::is_oauth_key(&name) {
            match client(&snake, &value) {
                Ok(write) => drop(writes.insert(snake, write)),
                Err(why) => invalid.push((snake, why)),
            }
            continue;
        }
        let Some(key) = keys::setting(&name) else {
            return Err(PatchError::Unknown { near: keys::nearest_setting(&name), key: name });
        };
        if let Some(source) = options.sources.get(key.name) {
            return Err(PatchError::Locked { key: key.name, by: source.clone() });
        }
        if writes.contains_key(key.name) {
            invalid.push((name, "is given twice; keep one spelling".to_owned()));
            continue;
        }
        let write = match value {
            _ if is_start_only(key) => {
                let by = if key.name == "workers" { "" } else { "a flag or " };
                Err(format!(
                    "is set by {by}the environment: it is needed before any setting is read"
                ))
            }
            Value::Null => Ok(Write::Default),
            value if key.is_secret() => secret_value(key, &value),
            // What equals the default is not stored (storage §3.7).
            value if value == key.preset.to_json() => Ok(Write::Default),
            value => match key.kind.check(&value) {
                Ok(value) if value == key.preset.to_json() => Ok(Write::Default),
                Ok(value) => Ok(Write::Value(value)),
                Err(misfit) => Err(misfit.to_string()),
            },
        };
        match write {
            Ok(write) => drop(writes.insert(key.name.to_owned(), write)),
            Err(why) => invalid.push((key.name.to_owned(), why)),
        }
    }
    if invalid.is_empty() { Ok(writes) } else { Err(PatchError::Invalid(invalid)) }
}

/// `oauth.<provider>.client_id` is no secret, `.client_secret` is.
fn client(key: &str, value: &Value) -> Result<Write, String> {
    match value {
        Value::Null => Ok(Write::Default),
        Value::String(text) => {
            let text = secret_of(text.clone())?;
            if key.ends_with(".client_secret") {
                return Ok(Write::Secret(text));
            }
            Ok(Write::Value(text.expose().into()))
        }
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Err("expected a text".to_owned())
        }
    }
}

/// A secret that fits its setting. What is told about one that does not fit never holds it.
fn secret_value(key: &Key, value: &Value) -> Result<Write, String> {
    key.kind.check(value).map_err(|misfit| misfit.to_string())?;
    let text = value.as_str().unwrap_or_default().trim().to_owned();
    secret_of(text).map(Write::Secret)
}

fn secret_of(text: String) -> Result<Secret, String> {
    if text.is_empty() || text.len() > LONGEST_SECRET || text.chars().any(char::is_control) {
        return Err(format!("expected a text of one line, 1 to {LONGEST_SECRET} bytes"));
    }
    Ok(Secret::new(text))
}

/// The settings that the changes lead to. Mistakes that were there before are not held against them.
fn together(
    options: &Options,
    stored: &BTreeMap<String, SettingRow>,
    writes: &BTreeMap<String, Write>,
) -> Result<Settings, Vec<(String, String)>> {
    let mut values: BTreeMap<String, Value> =
        stored.iter().filter_map(|(key, row)| Some((key.clone(), row.value.clone()?))).collect();
    let resolve = |values: &BTreeMap<String, Value>| {
        Settings::resolve(values, &options.locked, &options.found)
    };
    let before: Vec<SettingError> = resolve(&values).1;
    for (key, write) in writes {
        match write {
            Write::Default => drop(values.remove(key)),
            Write::Value(value) => drop(values.insert(key.clone(), value.clone())),
            Write::Secret(_) => {}
        }
    }
    let (settings, errors) = resolve(&values);
    let new = errors.into_iter().filter(|error| !before.contains(error));
    let new: Vec<(String, String)> = new
        .map(|error| {
            let told = error.to_string();
            let prefix = format!("setting `{}`: ", error.key());
            let why = told.strip_prefix(&prefix).unwrap_or(&told).to_owned();
            (error.key().to_owned(), why)
        })
        .collect();
    if new.is_empty() { Ok(settings) } else { Err(new) }
}

#[cfg(test)]
mod tests;
