//! `ninerouter provider …`.

use serde_json::{Map, Value, json};

use super::Session;
use crate::cli::args::{ProviderCommand, ProviderListArgs, ProviderSetArgs};
use crate::cli::client::{Access, Client, Failed, escape, query};
use crate::cli::fields::Fields;
use crate::cli::output::{Align, Cell, Table, Tone, count};

/// The provider that `wanted` means: by id, prefix, or the prefix of a node.
///
/// # Errors
/// There is none; the router does not answer.
pub fn find(client: &Client, wanted: &str) -> Result<Value, Failed> {
    client.get(&format!("/api/providers/{}", escape(wanted)))
}

/// Runs one of them.
///
/// # Errors
/// Why it did not do its work.
pub fn run(session: &Session, command: ProviderCommand) -> Result<(), Failed> {
    let access =
        if matches!(command, ProviderCommand::Set(_)) { Access::Write } else { Access::Read };
    session.with(access, |client| match &command {
        ProviderCommand::List(args) => list(session, client, args),
        ProviderCommand::Show(args) => {
            let provider = find(client, &args.provider)?;
            session.out.result(&provider, || describe(&provider, session.out.has_colour()));
            Ok(())
        }
        ProviderCommand::Set(args) => set(session, client, args),
    })
}

fn list(session: &Session, client: &Client, args: &ProviderListArgs) -> Result<(), Failed> {
    let filter =
        query(&[("filter", args.connected.then_some("connected")), ("q", args.search.as_deref())]);
    let all = client.list(&format!("/api/providers{filter}"))?;
    session.out.result(&all, || {
        if all.list("/data").is_empty() {
            return "No provider fits.\n".to_owned();
        }
        let columns = [
            ("PROVIDER", Align::Left),
            ("PREFIX", Align::Left),
            ("NAME", Align::Left),
            ("TIER", Align::Left),
            ("CONNECT BY", Align::Left),
            ("ACCOUNTS", Align::Right),
            ("NOTE", Align::Left),
        ];
        let mut table = Table::new(&columns, session.out.has_colour());
        for provider in all.list("/data") {
            table.row([
                provider.text("/id").into(),
                provider.texts("/aliases").first().copied().unwrap_or_default().into(),
                provider.text("/name").into(),
                provider.text("/tier").into(),
                connect_by(provider).into(),
                accounts(provider).filter(|n| *n > 0).map(count).unwrap_or_default().into(),
                note(provider),
            ]);
        }
        format!("{table}\nAdd an account with: ninerouter account add PROVIDER\n")
    });
    Ok(())
}

/// How many accounts it has: a number, or one for each state.
fn accounts(provider: &Value) -> Option<i64> {
    match provider.get("accounts")? {
        Value::Number(n) => n.as_i64(),
        Value::Object(states) => match states.get("total").and_then(Value::as_i64) {
            Some(total) => Some(total),
            None => Some(states.values().filter_map(Value::as_i64).sum()),
        },
        _ => None,
    }
}

fn connect_by(provider: &Value) -> String {
    let word = |kind: &&str| match *kind {
        "oauth_pkce" => "sign-in",
        "oauth_device" => "sign-in (code)",
        "api_key" => "key",
        "import" => "import",
        "none" => "nothing",
        _ => "other",
    };
    provider.texts("/auth").iter().map(word).collect::<Vec<_>>().join(", ")
}

fn note(provider: &Value) -> Cell {
    if provider.pointer("/settings/enabled").and_then(Value::as_bool) == Some(false) {
        return Cell::new("off", Tone::Dim);
    }
    match provider.text("/upstream_status") {
        "" | "active" => Cell::default(),
        "retired" => Cell::new("closed by the vendor", Tone::Bad),
        status => Cell::new(format!("{status} by the vendor"), Tone::Warn),
    }
}

fn describe(provider: &Value, colour: bool) -> String {
    let mut facts = Table::new(&[("", Align::Left), ("", Align::Left)], colour);
    let mut fact = |name: &str, value: String| {
        if !value.is_empty() {
            facts.row([Cell::new(name, Tone::Dim), value.into()]);
        }
    };
    fact("provider", provider.text("/id").to_owned());
    fact("name", provider.text("/name").to_owned());
    fact("prefixes", provider.texts("/aliases").join(", "));
    fact("tier", provider.text("/tier").to_owned());
    fact("state", note(provider).to_string());
    fact("", provider.text("/status_note").to_owned());
    fact("please note", provider.text("/risk_notice").to_owned());
    fact("serves", provider.texts("/kinds").join(", "));
    fact("connect by", connect_by(provider));
    for param in provider.list("/params") {
        let need = if param.flag("/required") { "needed" } else { "optional" };
        fact("parameter", format!("{} ({need}): {}", param.text("/name"), param.text("/label")));
    }
    for endpoint in provider.list("/endpoints") {
        let overridden =
            if endpoint.flag("/overridden") { " (set by the environment)" } else { "" };
        let words = format!("{}  {}{overridden}", endpoint.text("/wire"), endpoint.text("/url"));
        fact("endpoint", words);
    }
    if provider.flag("/client_secret/required") {
        let set = if provider.flag("/client_secret/set") {
            "set".to_owned()
        } else {
            format!(
                "missing; set it with: ninerouter config set oauth.{}.client_secret",
                provider.text("/id")
            )
        };
        fact("client secret", set);
    }
    fact("accounts", accounts(provider).map(count).unwrap_or_default());
    let mut text = facts.without_heads();
    if let Some(settings) = provider.get("settings").and_then(Value::as_object) {
        let mut table = Table::new(&[("SETTING", Align::Left), ("VALUE", Align::Left)], colour);
        for (name, value) in settings {
            let value = match value {
                Value::Null => continue,
                Value::String(text) => text.clone(),
                Value::Array(list) if list.is_empty() => continue,
                Value::Object(way) if way.contains_key("mode") => match value.text("/mode") {
                    "inherit" => continue,
                    mode => mode.to_owned(),
                },
                other => other.to_string(),
            };
            table.row([name.as_str().into(), value.into()]);
        }
        text.push_str(&format!("\n{table}"));
    }
    text.push_str(&format!("\n{}\n", super::account::ways(provider)));
    text
}

fn set(session: &Session, client: &Client, args: &ProviderSetArgs) -> Result<(), Failed> {
    let provider = find(client, &args.provider.provider)?;
    let mut body = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    };
    put("enabled", args.enabled.map(Value::from));
    put("account_strategy", args.account_strategy.as_deref().map(Value::from));
    put("sticky_count", args.sticky_count.map(Value::from));
    put("affinity_ttl_s", args.affinity_ttl.map(|span| span.seconds.into()));
    put("max_in_flight", args.max_in_flight.map(Value::from));
    put("refresh_lead_s", args.refresh_lead.map(|span| span.seconds.into()));
    put("min_remaining_percent", args.min_remaining.map(Value::from));
    put("tier", args.tier.as_deref().map(Value::from));
    if let Some(choice) = &args.proxy {
        put("proxy", Some(super::proxy::choice(client, choice)?));
    }
    for name in &args.unset {
        put(name, Some(json!(null)));
    }
    let path = format!("/api/providers/{}", escape(provider.text("/id")));
    let changed = client.patch(&path, &body.into())?;
    session.out.done(&changed, || format!("Provider {} is changed.\n", provider.text("/id")));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_described_with_the_command_that_connects_it() {
        let provider = json!({"id": "glm", "name": "GLM Coding", "aliases": ["glm"], "tier": "cheap",
            "upstream_status": "active", "auth": ["api_key"], "accounts": {"ready": 2, "off": 1},
            "endpoints": [{"name": "default", "wire": "openai_chat", "url": "https://glm.example/v4", "overridden": true}],
            "settings": {"enabled": true, "headers": [], "sticky_count": 3, "proxy": null}});
        let text = describe(&provider, false);
        for part in [
            "accounts    3\n",
            "https://glm.example/v4 (set by the environment)",
            "sticky_count  3\n",
            "Add one with: ninerouter account add glm --key-stdin\n",
        ] {
            assert!(text.contains(part), "{part:?} in\n{text}");
        }
        assert!(!text.contains("headers") && !text.contains("null"), "{text}");
    }
}
