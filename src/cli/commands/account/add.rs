//! `ninerouter account add`: which way a provider's accounts get their credential, and the way by key.

use serde_json::{Map, Value};

use super::columns;
use crate::cli::args::AccountAddArgs;
use crate::cli::client::{Client, Failed, account_name};
use crate::cli::commands::{Session, provider, sign_in};
use crate::cli::fields::Fields;
use crate::cli::input;
use crate::cli::output::Output;
use crate::secret::Secret;

pub(super) fn add(session: &Session, client: &Client, args: &AccountAddArgs) -> Result<(), Failed> {
    let provider = provider::find(client, &args.provider)?;
    let way = Way::of(&provider, args)?;
    tell_risk(session.out, &provider);
    match way {
        Way::Scan => sign_in::scan(session, client, &provider),
        Way::Import => sign_in::import(session, client, &provider, args),
        Way::SignIn => {
            refuse_retired(&provider)?;
            sign_in::sign_in(session, client, &provider, args)
        }
        Way::Key => add_with_key(session, client, &provider, args),
        Way::Nothing => create(session, client, &provider, args, None),
    }
}

/// How a new account gets its credential.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    Scan,
    Import,
    SignIn,
    Key,
    Nothing,
}

impl Way {
    fn of(provider: &Value, args: &AccountAddArgs) -> Result<Self, Failed> {
        let kinds = provider.texts("/auth");
        let name = provider.text("/name");
        let offers = |way: &str, kind: &str| {
            if kinds.contains(&kind) {
                return Ok(());
            }
            Err(Failed::Usage(format!("{name} has no accounts {way}\n  {}", ways(provider))))
        };
        if args.scan || args.import.is_some() {
            offers("that can be imported", "import")?;
            return Ok(if args.scan { Self::Scan } else { Self::Import });
        }
        if args.key_stdin {
            offers("with a key", "api_key")?;
            return Ok(Self::Key);
        }
        if args.means.device {
            offers("that sign in by a code", "oauth_device")?;
            return Ok(Self::SignIn);
        }
        match kinds.first().copied() {
            Some("oauth_pkce" | "oauth_device") => Ok(Self::SignIn),
            Some("api_key") => Ok(Self::Key),
            Some("none") => Ok(Self::Nothing),
            Some("import") => Ok(Self::Import),
            _ => Err(Failed::Usage(format!("{name} takes no accounts"))),
        }
    }
}

/// The commands that add an account of this provider.
pub(in crate::cli::commands) fn ways(provider: &Value) -> String {
    let id = provider.text("/id");
    let mut ways: Vec<String> = Vec::new();
    let kinds = provider.texts("/auth");
    // What comes first is what `account add` does by itself.
    let asks_for_a_key = kinds.first() == Some(&"api_key");
    for kind in kinds {
        let way = match kind {
            "oauth_device" if asks_for_a_key => format!("ninerouter account add {id} --device"),
            "oauth_pkce" | "oauth_device" => format!("ninerouter account add {id}"),
            "api_key" => format!("ninerouter account add {id} --key-stdin"),
            "import" => format!("ninerouter account add {id} --import"),
            _ => format!("ninerouter account add {id}"),
        };
        if !ways.contains(&way) {
            ways.push(way);
        }
    }
    format!("Add one with: {}", ways.join("   or   "))
}

/// What the operator should know before an account is used here (accounts §0.5).
fn tell_risk(out: Output, provider: &Value) {
    let name = provider.text("/name");
    match provider.text("/upstream_status") {
        "limited" | "restricted" | "retired" => {
            let state = match provider.text("/upstream_status") {
                "retired" => "closed by the vendor",
                "limited" => "limited by the vendor",
                _ => "restricted by the vendor",
            };
            let why = provider.text("/status_note");
            let why = if why.is_empty() { String::new() } else { format!(": {why}") };
            out.note(&format!("{name} is {state}{why}\n"));
        }
        _ => {}
    }
    let risk = provider.text("/risk_notice");
    if !risk.is_empty() {
        out.note(&format!("Please note: {risk}\n"));
    }
}

fn refuse_retired(provider: &Value) -> Result<(), Failed> {
    if provider.text("/upstream_status") != "retired" {
        return Ok(());
    }
    let id = provider.text("/id");
    let keys = if provider.texts("/auth").contains(&"api_key") {
        format!(
            "\n  A key that you still have can be tried: ninerouter account add {id} --key-stdin"
        )
    } else {
        String::new()
    };
    Err(Failed::Usage(format!(
        "the vendor has closed the sign-in of {}{keys}\n  Other providers: ninerouter provider list",
        provider.text("/name")
    )))
}

fn add_with_key(
    session: &Session,
    client: &Client,
    provider: &Value,
    args: &AccountAddArgs,
) -> Result<(), Failed> {
    let name = provider.text("/name");
    let keys_at = provider.text("/key_url");
    if !keys_at.is_empty() && input::is_terminal() {
        session.out.note(&format!("Keys of {name} are made at {keys_at}\n"));
    }
    let key = input::secret(&format!("Key of {name} (not shown): "), args.key_stdin)?;
    create(session, client, provider, args, Some(&key))
}

fn create(
    session: &Session,
    client: &Client,
    provider: &Value,
    args: &AccountAddArgs,
    key: Option<&Secret>,
) -> Result<(), Failed> {
    let mut body = columns(client, &args.columns)?;
    body.insert("provider".into(), provider.text("/id").into());
    if let Some(label) = &args.label {
        body.insert("label".into(), label.as_str().into());
    }
    if let Some(key) = key {
        let key = key.expose();
        let member = if key.starts_with('{') { "service_account" } else { "api_key" };
        body.insert(member.into(), key.into());
    }
    let params: Map<String, Value> =
        args.params.iter().map(|p| (p.name.clone(), p.value.as_str().into())).collect();
    if !params.is_empty() {
        body.insert("params".into(), params.into());
    }
    if let Some(base_url) = &args.sign_in.base_url {
        body.insert("endpoint".into(), base_url.as_str().into());
    }
    body.insert("check".into(), (!args.no_check).into());
    let reply = match client.post("/api/accounts", &body.into()) {
        Err(Failed::Refused(refusal)) if refusal.error.flag("/save_anyway") => {
            if session.out.is_json() {
                return Err(Failed::Refused(refusal));
            }
            return Err(Failed::No(format!(
                "{refusal}\n  Nothing was stored. Check the key; --no-check stores it all the same."
            )));
        }
        reply => reply?,
    };
    if let warning @ [_, ..] = reply.text("/check/warning").as_bytes() {
        session.out.warn(&String::from_utf8_lossy(warning));
    }
    session.out.done(&reply, || {
        let account = reply.get("account").unwrap_or(&reply);
        let checked = if reply.flag("/check/valid") { ", its key is valid" } else { "" };
        format!("Account {} is added{checked}.\n", account_name(account))
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::args::{AccountCommand, Cli, Command};

    #[test]
    fn the_way_follows_the_provider_and_the_flags() {
        let args = |line: &str| {
            let (_, command) = Cli::read(line.split_whitespace()).unwrap();
            match command {
                Command::Account(AccountCommand::Add(args)) => *args,
                other => panic!("{other:?}"),
            }
        };
        let claude =
            json!({"id": "claude", "name": "Claude", "auth": ["oauth_pkce", "import", "api_key"]});
        let glm = json!({"id": "glm", "name": "GLM", "auth": ["api_key"]});
        let grok = json!({"id": "xai", "name": "Grok", "auth": ["api_key", "oauth_device"]});
        let local = json!({"id": "ollama", "name": "Ollama", "auth": ["none"]});
        for (provider, line, way) in [
            (&claude, "ninerouter account add claude", Way::SignIn),
            (&claude, "ninerouter account add claude --key-stdin", Way::Key),
            (&claude, "ninerouter account add claude --import", Way::Import),
            (&claude, "ninerouter account add claude --scan", Way::Scan),
            (&glm, "ninerouter account add glm", Way::Key),
            (&grok, "ninerouter account add xai", Way::Key),
            (&grok, "ninerouter account add xai --device", Way::SignIn),
            (&local, "ninerouter account add ollama", Way::Nothing),
        ] {
            assert_eq!(Way::of(provider, &args(line)).unwrap(), way, "{line}");
        }
        let refused = Way::of(&glm, &args("ninerouter account add glm --import")).unwrap_err();
        assert!(refused.to_string().contains("account add glm --key-stdin"), "{refused}");
        let refused = Way::of(&glm, &args("ninerouter account add glm --device")).unwrap_err();
        assert!(refused.to_string().contains("no accounts that sign in by a code"), "{refused}");
        assert!(ways(&grok).contains("account add xai --device"), "{}", ways(&grok));
    }
}
