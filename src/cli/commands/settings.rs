//! `ninerouter config show|get|set|unset`: settings one by one.

use std::path::Path;

use serde_json::{Map, Value};

use super::Session;
use crate::cli::args::{SetArgs, ShowArgs};
use crate::cli::client::{Access, Client, Failed};
use crate::cli::fields::Fields;
use crate::cli::input;
use crate::cli::output::{Align, Cell, Table, Tone, print};
use crate::config::keys::{nearest_setting, setting};
use crate::config::kind::Kind;

/// `config show`.
///
/// # Errors
/// Why it did not do its work.
pub fn show(session: &Session, args: &ShowArgs) -> Result<(), Failed> {
    session.with(Access::Read, |client| {
        let all = client.get("/api/settings")?;
        session.out.result(&all, || table(&all, args.all, session.out.has_colour()));
        Ok(())
    })
}

fn table(all: &Value, with_defaults: bool, colour: bool) -> String {
    let columns = [("SETTING", Align::Left), ("VALUE", Align::Left), ("FROM", Align::Left)];
    let mut table = Table::new(&columns, colour);
    let mut shown = 0;
    let settings = all.get("settings").and_then(Value::as_object).into_iter().flatten();
    for (name, value) in settings {
        let meta = all.get("meta").and_then(|meta| meta.get(name)).unwrap_or(&Value::Null);
        let source = meta.text("/source");
        let is_default = matches!(source, "" | "default");
        if is_default && !with_defaults {
            continue;
        }
        shown += 1;
        let from = match (source, meta.text("/env")) {
            ("env", variable) if !variable.is_empty() => format!("environment ({variable})"),
            ("env", _) => "environment".to_owned(),
            (source, _) => source.replace('_', " "),
        };
        let restart = if meta.flag("/restart") { ", at the next start" } else { "" };
        table.row([
            name.as_str().into(),
            words(value).into(),
            Cell::new(format!("{from}{restart}"), if is_default { Tone::Dim } else { Tone::Plain }),
        ]);
    }
    if shown == 0 {
        return "Every setting has its default; `ninerouter config show --all` lists them.\n"
            .to_owned();
    }
    table.to_string()
}

/// A value as it is typed.
fn words(value: &Value) -> String {
    match value {
        Value::Null => "unset".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) if list.is_empty() => "none".to_owned(),
        Value::Array(list) if list.iter().all(|item| !item.is_object()) => {
            list.iter().map(words).collect::<Vec<_>>().join(", ")
        }
        Value::Object(secret) if secret.contains_key("set") => match value.text("/last4") {
            _ if !value.flag("/set") => "unset".to_owned(),
            "" => "set, not shown".to_owned(),
            last4 => format!("set, ends with {last4}"),
        },
        other => other.to_string(),
    }
}

/// A setting that can be named: one of the declared ones, or the operator's OAuth client of a provider.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Named {
    name: String,
    kind: Kind,
    is_secret: bool,
    restart: bool,
    default: String,
}

impl Named {
    fn find(name: &str) -> Result<Self, Failed> {
        if let Some(key) = setting(name) {
            return Ok(Self {
                name: key.name.to_owned(),
                kind: key.kind,
                is_secret: key.is_secret(),
                restart: key.restart,
                default: key.preset.label(),
            });
        }
        if let Some(kind) = oauth_client(name) {
            let default = "that of the catalog".to_owned();
            let is_secret = kind == Kind::Secret;
            return Ok(Self { name: name.to_owned(), kind, is_secret, restart: false, default });
        }
        let near = nearest_setting(name).map(|near| format!("; did you mean `{near}`?"));
        Err(Failed::Usage(format!(
            "there is no setting `{name}`{}\n  `ninerouter config show --all` lists them.",
            near.unwrap_or_default()
        )))
    }
}

/// `oauth.<provider>.client_id` and `oauth.<provider>.client_secret` (api.md §6).
fn oauth_client(name: &str) -> Option<Kind> {
    let (provider, member) = name.strip_prefix("oauth.")?.rsplit_once('.')?;
    match member {
        _ if provider.is_empty() => None,
        "client_id" => Some(Kind::Text { max: 500 }),
        "client_secret" => Some(Kind::Secret),
        _ => None,
    }
}

/// `config get`.
///
/// # Errors
/// There is no such setting, or why it did not do its work.
pub fn get(session: &Session, name: &str) -> Result<(), Failed> {
    let named = Named::find(name)?;
    session.with(Access::Read, |client| {
        let all = client.get("/api/settings")?;
        let value = all
            .get("settings")
            .and_then(|settings| settings.get(&named.name))
            .unwrap_or(&Value::Null);
        session.out.result(value, || format!("{}\n", words(value)));
        Ok(())
    })
}

/// `config set`.
///
/// # Errors
/// The value does not fit, or why it did not do its work.
pub fn set(session: &Session, args: &SetArgs) -> Result<(), Failed> {
    let named = Named::find(&args.setting.setting)?;
    let text = match &args.value {
        Some(_) if named.is_secret => {
            return Err(Failed::Usage(format!(
                "`{}` is a secret, and arguments can be read in the process list\n  \
                 Leave the value out: it is asked for, or read from standard input.",
                named.name
            )));
        }
        Some(value) => value.clone(),
        None if named.is_secret => {
            let question = format!("Value of {} (not shown): ", named.name);
            input::secret(&question, true)?.expose().to_owned()
        }
        None => input::file(Path::new("-"))?.trim_end_matches(['\r', '\n']).to_owned(),
    };
    let value = named
        .kind
        .read_text(&text)
        .map_err(|misfit| Failed::Usage(format!("`{}`: {misfit}", named.name)))?;
    change(session, &named, value)
}

/// `config unset`.
///
/// # Errors
/// There is no such setting, or why it did not do its work.
pub fn unset(session: &Session, name: &str) -> Result<(), Failed> {
    change(session, &Named::find(name)?, Value::Null)
}

fn change(session: &Session, named: &Named, value: Value) -> Result<(), Failed> {
    session.with(Access::Write, |client| {
        let body = Map::from_iter([(named.name.clone(), value.clone())]);
        let all = client.patch("/api/settings", &body.into())?;
        session.out.done(&all, || told(client, named, &value));
        Ok(())
    })
}

fn told(client: &Client, named: &Named, value: &Value) -> String {
    let now = match value {
        Value::Null => format!("has its default again ({})", named.default),
        _ if named.is_secret => "is set".to_owned(),
        value => format!("is now {}", words(value)),
    };
    let restart = if named.restart && client.is_running() {
        " It takes effect at the next start."
    } else {
        ""
    };
    format!("Setting `{}` {now}.{restart}\n", named.name)
}

/// `config export`.
///
/// # Errors
/// Why it did not do its work.
pub fn export(session: &Session) -> Result<(), Failed> {
    session.with(Access::Read, |client| {
        let exported = client.get("/api/config/export")?;
        if session.out.is_json() {
            session.out.json(&exported);
        } else {
            print(exported.as_str().unwrap_or_else(|| exported.text("/text")));
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_are_listed_with_their_source() {
        let all = json!({"settings": {"port": 3000, "auto_combo": false, "outbound_proxy_url": {"set": true, "last4": "1080"}},
            "meta": {"port": {"source": "env", "env": "PORT", "restart": true}, "auto_combo": {"source": "default"},
                "outbound_proxy_url": {"source": "stored"}}});
        assert_eq!(
            table(&all, false, false),
            "SETTING             VALUE                FROM\n\
             port                3000                 environment (PORT), at the next start\n\
             outbound_proxy_url  set, ends with 1080  stored\n"
        );
        assert!(table(&all, true, false).contains("auto_combo"));
        assert!(
            table(&json!({"settings": {}}), false, false)
                .starts_with("Every setting has its default")
        );
    }

    #[test]
    fn clients_of_the_operator_are_settings_too() {
        assert!(Named::find("oauth.gemini-cli.client_secret").unwrap().is_secret);
        assert!(!Named::find("oauth.claude.client_id").unwrap().is_secret);
        assert!(
            Named::find("oauth.claude.token").is_err() && Named::find("oauth..client_id").is_err()
        );
    }

    #[test]
    fn values_read_as_they_are_typed() {
        for (value, text) in [
            (json!(["a", "b"]), "a, b"),
            (json!([]), "none"),
            (json!(null), "unset"),
            (json!(true), "true"),
            (json!({"set": false}), "unset"),
            (json!({"set": true}), "set, not shown"),
        ] {
            assert_eq!(words(&value), text);
        }
        let failed = Named::find("combo_strategy_defualt").unwrap_err().to_string();
        assert!(failed.contains("did you mean `combo_strategy_default`?"), "{failed}");
    }
}
