//! `ninerouter proxy …`: proxies towards providers.

use serde_json::{Map, Value, json};

use super::Session;
use super::account::{short_id, verdict};
use crate::cli::args::{ProxyAddArgs, ProxyCommand};
use crate::cli::client::{Access, Client, Failed, NO, escape};
use crate::cli::fields::Fields;
use crate::cli::input;
use crate::cli::output::{Align, Cell, Table, Tone, print, relative};

/// Runs one of them.
///
/// # Errors
/// Why it did not do its work.
pub fn run(session: &Session, command: ProxyCommand) -> Result<(), Failed> {
    let access = if matches!(command, ProxyCommand::List) { Access::Read } else { Access::Write };
    session.with(access, |client| match &command {
        ProxyCommand::List => list(session, client),
        ProxyCommand::Add(args) => add(session, client, args),
        ProxyCommand::Rm(args) => remove(session, client, &args.proxy),
        ProxyCommand::Test(args) => test(session, client, &args.proxy),
    })
}

/// A way to a provider, as the API takes it.
///
/// # Errors
/// There is no proxy of that name.
pub fn choice(client: &Client, given: &str) -> Result<Value, Failed> {
    match given {
        "direct" | "inherit" => Ok(json!({ "mode": given })),
        name => Ok(json!({"mode": "proxy", "id": client.proxy(name)?.text("/id")})),
    }
}

fn list(session: &Session, client: &Client) -> Result<(), Failed> {
    let all = client.list("/api/proxies")?;
    session.out.result(&all, || {
        let proxies = all.list("/data");
        if proxies.is_empty() {
            return "There are no proxies. Add one with: ninerouter proxy add NAME\n".to_owned();
        }
        let columns = [
            ("PROXY", Align::Left),
            ("ADDRESS", Align::Left),
            ("NOT FOR", Align::Left),
            ("LAST TEST", Align::Left),
            ("USED BY", Align::Left),
            ("ID", Align::Left),
        ];
        let mut table = Table::new(&columns, session.out.has_colour());
        let now = client.clock().now_ms();
        let ids: Vec<&str> = proxies.iter().map(|proxy| proxy.text("/id")).collect();
        for proxy in proxies {
            table.row([
                proxy.text("/name").into(),
                proxy.text("/display_url").into(),
                not_for(proxy).into(),
                last_test(proxy, now),
                users(proxy).into(),
                Cell::new(short_id(proxy.text("/id"), &ids), Tone::Dim),
            ]);
        }
        table.to_string()
    });
    Ok(())
}

fn not_for(proxy: &Value) -> String {
    match proxy.get("no_proxy") {
        Some(Value::String(text)) => text.clone(),
        _ => proxy.texts("/no_proxy").join(","),
    }
}

fn last_test(proxy: &Value, now: i64) -> Cell {
    let Some(at) = proxy.int("/last_test/at") else { return Cell::default() };
    let (word, tone) =
        if proxy.flag("/last_test/ok") { ("works", Tone::Good) } else { ("failed", Tone::Bad) };
    Cell::new(format!("{word} ({})", relative(at, now)), tone)
}

fn users(proxy: &Value) -> String {
    match proxy.get("used_by") {
        Some(Value::Number(n)) => n.to_string(),
        _ => {
            let names = proxy.list("/used_by").iter().map(|user| match user.as_str() {
                Some(name) => name,
                None => user.text("/name"),
            });
            names.collect::<Vec<_>>().join(", ")
        }
    }
}

fn add(session: &Session, client: &Client, args: &ProxyAddArgs) -> Result<(), Failed> {
    let question = "Address, such as socks5h://user:password@host:1080 (not shown): ";
    let url = input::secret(question, true)?;
    let mut body = Map::new();
    body.insert("name".to_owned(), args.name.as_str().into());
    body.insert("url".to_owned(), url.expose().into());
    if !args.no_proxy.is_empty() {
        body.insert("no_proxy".to_owned(), args.no_proxy.join(",").into());
    }
    let proxy = client.post("/api/proxies", &body.into())?;
    session.out.done(&proxy, || {
        format!(
            "Proxy `{0}` is added ({1}).\nTry it with: ninerouter proxy test {0}\nUse it with: ninerouter account set ACCOUNT --proxy {0}\n",
            args.name,
            proxy.text("/display_url")
        )
    });
    Ok(())
}

fn remove(session: &Session, client: &Client, wanted: &str) -> Result<(), Failed> {
    let proxy = client.proxy(wanted)?;
    let name = proxy.text("/name");
    input::confirm(&format!("Remove the proxy `{name}`?"), session.yes)?;
    client.delete(&format!("/api/proxies/{}", escape(proxy.text("/id"))), None)?;
    session.out.done(&proxy, || format!("Proxy `{name}` is removed.\n"));
    Ok(())
}

fn test(session: &Session, client: &Client, wanted: &str) -> Result<(), Failed> {
    let proxy = client.proxy(wanted)?;
    let path = format!("/api/proxies/{}/test", escape(proxy.text("/id")));
    let result = client.post(&path, &json!({}))?;
    if session.out.is_json() {
        session.out.json(&result);
    } else {
        let exit = match result.text("/exit_ip") {
            "" => String::new(),
            ip => format!(", seen outside as {ip}"),
        };
        print(&format!("{}: {}{exit}\n", proxy.text("/name"), verdict(&result)));
    }
    if result.flag("/ok") { Ok(()) } else { Err(Failed::Said(NO)) }
}
