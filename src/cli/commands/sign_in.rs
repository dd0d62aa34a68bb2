//! Signing in from a terminal, and importing what another program has signed in (accounts §1.1, §2).

use std::sync::mpsc::Receiver;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::Session;
use super::account::{columns, state};
use crate::cli::args::{AccountAddArgs, Browser, Means};
use crate::cli::client::{Client, Failed, account_name, escape};
use crate::cli::fields::Fields;
use crate::cli::input::{self, Event};
use crate::cli::output::{Align, Table, moment, relative};

/// Pause between two looks at a sign-in that the router runs.
const LOOK: Duration = Duration::from_millis(500);
/// The same for one that runs in this process: what is typed meanwhile waits as long.
const LOOK_HERE: Duration = Duration::from_millis(100);

/// Signs in to a new account.
///
/// # Errors
/// The sign-in ends without one.
pub fn sign_in(
    session: &Session,
    client: &Client,
    provider: &Value,
    args: &AccountAddArgs,
) -> Result<(), Failed> {
    let mut body = Map::new();
    let chosen = [
        ("label", &args.label),
        ("region", &args.sign_in.region),
        ("base_url", &args.sign_in.base_url),
        ("start_url", &args.sign_in.start_url),
        ("client_id", &args.sign_in.client_id),
        ("project", &args.sign_in.project),
    ];
    for (name, value) in chosen {
        if let Some(value) = value {
            body.insert(name.to_owned(), value.as_str().into());
        }
    }
    body.extend(means(session, args.means));
    let mut later = columns(client, &args.columns)?;
    if let Some(id) = later.get("proxy").map(|proxy| proxy.text("/id").to_owned()) {
        // The sign-in itself goes that way too.
        body.insert("proxy_id".to_owned(), id.into());
    }
    let start = format!("/api/accounts/connect/{}/start", escape(provider.text("/id")));
    let flow = client.post(&start, &body.into())?;
    let (account, existed) = follow(session, client, provider.text("/name"), &flow)?;
    let account = if later.is_empty() {
        account
    } else {
        let path = format!("/api/accounts/{}", escape(account.text("/id")));
        client.patch(&path, &Value::Object(std::mem::take(&mut later)))?
    };
    finish(session, &account, existed);
    Ok(())
}

/// How the sign-in goes, as the API takes it. Over ssh the browser is somewhere else.
fn means(session: &Session, chosen: Means) -> Map<String, Value> {
    let over_ssh = session.options.environment.is_set("SSH_CONNECTION");
    let browser = chosen.browser.or_else(|| over_ssh.then_some(Browser::Elsewhere));
    let mut body = Map::new();
    if chosen.device {
        body.insert("prefer".to_owned(), "device".into());
    }
    if let Some(browser) = browser {
        body.insert("browser".to_owned(), browser.as_str().into());
    }
    body
}

/// Signs in again to an account that exists.
///
/// # Errors
/// The sign-in ends without success.
pub fn reconnect(
    session: &Session,
    client: &Client,
    account: &Value,
    chosen: Means,
) -> Result<(), Failed> {
    let body = Value::Object(means(session, chosen));
    let path = format!("/api/accounts/{}/reconnect", escape(account.text("/id")));
    let flow = client.post(&path, &body)?;
    let (account, _) = follow(session, client, &account_name(account), &flow)?;
    finish(session, &account, false);
    Ok(())
}

fn finish(session: &Session, account: &Value, existed: bool) {
    session.out.done(account, || {
        let who = match (account.text("/email"), account.text("/plan")) {
            ("", "") => String::new(),
            ("", plan) => format!(" ({plan})"),
            (email, "") => format!(" as {email}"),
            (email, plan) => format!(" as {email} ({plan})"),
        };
        let known = if existed { " It was known already and has new tokens." } else { "" };
        format!("Signed in{who}.{known}\nAccount {}: {}\n", account_name(account), state(account))
    });
}

/// Tells the person what to do, and waits until the sign-in is over: by the browser's return, by what is pasted, or by Ctrl+C.
fn follow(
    session: &Session,
    client: &Client,
    name: &str,
    flow: &Value,
) -> Result<(Value, bool), Failed> {
    let id = escape(flow.text("/session_id"));
    let base = format!("/api/accounts/connect/sessions/{id}");
    let events = input::events()?;
    if !flow.text("/note").is_empty() {
        session.out.instruct(&format!("{}\n\n", flow.text("/note")));
    }
    session.out.instruct(&instructions(name, flow, client.clock().now_ms()));
    let done = wait(session, client, &base, flow, &events);
    if matches!(done, Err(Failed::Interrupted)) {
        // The sign-in ends by itself too, later.
        drop(client.post(&format!("{base}/cancel"), &json!({})));
    }
    done
}

fn wait(
    session: &Session,
    client: &Client,
    base: &str,
    flow: &Value,
    events: &Receiver<Event>,
) -> Result<(Value, bool), Failed> {
    loop {
        match next(client, events) {
            Some(Event::Interrupted) => return Err(Failed::Interrupted),
            Some(Event::Line(line)) if line.trim().is_empty() => continue,
            Some(Event::Line(line)) if flow.flag("/paste_allowed") => {
                match client.post(&format!("{base}/paste"), &json!({"input": line.trim()})) {
                    // Not what was wanted: the sign-in is still open.
                    Err(Failed::Refused(refusal))
                        if refusal.status == 422 || refusal.status == 400 =>
                    {
                        session.out.instruct(&format!("{refusal}\nTry again, or Ctrl+C.\n"));
                        continue;
                    }
                    other => drop(other?),
                }
            }
            Some(Event::Line(_)) => {
                session.out.instruct(
                    "Nothing needs to be pasted here; finish the sign-in in the browser.\n",
                );
            }
            None => {}
        }
        let state = client.get(base)?;
        let message = state.text("/message");
        match state.text("/status") {
            "pending" | "exchanging" => {}
            "done" => {
                let path = format!("/api/accounts/{}", escape(state.text("/account_id")));
                return Ok((client.get(&path)?, state.flag("/existed")));
            }
            "cancelled" => return Err(Failed::No(or(message, "the sign-in was cancelled"))),
            "expired" => {
                return Err(Failed::No(or(
                    message,
                    "the sign-in was not finished in time; start it again",
                )));
            }
            _ => return Err(Failed::No(or(message, "the sign-in failed"))),
        }
    }
}

/// What happens within one pause. A service of this process must run meanwhile: it may be called back.
fn next(client: &Client, events: &Receiver<Event>) -> Option<Event> {
    if client.is_running() {
        return events.recv_timeout(LOOK).ok();
    }
    client.rest(LOOK_HERE);
    events.try_recv().ok()
}

fn or(message: &str, otherwise: &str) -> String {
    if message.is_empty() { otherwise.to_owned() } else { message.to_owned() }
}

/// What to do, step by step (accounts §1.1).
fn instructions(name: &str, flow: &Value, now: i64) -> String {
    let ends = flow.int("/expires_at").or_else(|| flow.int("/device/expires_at"));
    let ends =
        ends.map(|at| format!(" until {} ({})", moment(at), relative(at, now))).unwrap_or_default();
    if flow.get("device").is_some_and(Value::is_object) {
        let url = match flow.text("/device/verification_uri_complete") {
            "" => flow.text("/device/verification_uri"),
            complete => complete,
        };
        return format!(
            "Sign in to {name}\n\n\
             1. Open this address in a browser, on any computer:\n\n   {url}\n\n\
             2. Enter this code there, and approve:\n\n   {}\n\n\
             Waiting{ends}; Ctrl+C cancels.\n",
            flow.text("/device/user_code")
        );
    }
    let redirect = flow.text("/redirect_uri");
    let second = if !flow.flag("/paste_allowed") {
        "2. Approve. The browser then returns to the router by itself.".to_owned()
    } else if is_loopback(redirect) {
        let port =
            redirect.split(':').nth(2).and_then(|rest| rest.split('/').next()).unwrap_or_default();
        format!(
            "2. Approve. If the browser runs on this computer, that is all.\n   \
             On another computer it may show \"This site can't be reached\" at an address that starts with\n   \
             {redirect} : that is expected. Copy the whole address from the\n   \
             address bar and paste it here.\n   \
             (Or let it reach this computer: ssh -L {port}:127.0.0.1:{port} user@server)"
        )
    } else {
        "2. Approve. Copy the code that the page shows, and paste it here.".to_owned()
    };
    format!(
        "Sign in to {name}\n\n\
         1. Open this address in a browser, on any computer:\n\n   {}\n\n{second}\n\n\
         Waiting{ends}; Ctrl+C cancels.\n{}",
        flow.text("/authorize_url"),
        if flow.flag("/paste_allowed") { "Address or code: " } else { "" }
    )
}

fn is_loopback(redirect: &str) -> bool {
    ["http://localhost:", "http://127.0.0.1:", "http://[::1]:"]
        .iter()
        .any(|p| redirect.starts_with(p))
}

// ---- import

/// Lists what could be imported.
///
/// # Errors
/// The router refuses or does not answer.
pub fn scan(session: &Session, client: &Client, provider: &Value) -> Result<(), Failed> {
    let found = client.post(&import_path(provider), &json!({"source": "scan"}))?;
    session.out.result(&found, || {
        let candidates = found.list("/candidates");
        if candidates.is_empty() {
            return format!("Nothing of {} was found on this computer.\n", provider.text("/name"));
        }
        let columns = [
            ("FILE", Align::Left),
            ("WHO", Align::Left),
            ("PLAN", Align::Left),
            ("TOKEN ENDS", Align::Left),
        ];
        let mut table = Table::new(&columns, session.out.has_colour());
        let now = client.clock().now_ms();
        for candidate in candidates {
            let who = match candidate.text("/email") {
                "" => candidate.text("/label"),
                email => email,
            };
            table.row([
                candidate.text("/path").into(),
                who.into(),
                candidate.text("/plan").into(),
                candidate.int("/expires_at").map(|at| relative(at, now)).unwrap_or_default().into(),
            ]);
        }
        format!("{table}\nImport with: ninerouter account add {} --import\n", provider.text("/id"))
    });
    Ok(())
}

fn import_path(provider: &Value) -> String {
    format!("/api/accounts/import/{}", escape(provider.text("/id")))
}

/// Imports a credential file.
///
/// # Errors
/// There is nothing to import, or it is refused.
pub fn import(
    session: &Session,
    client: &Client,
    provider: &Value,
    args: &AccountAddArgs,
) -> Result<(), Failed> {
    let path = import_path(provider);
    let mut body = match args.import.as_ref().and_then(Option::as_ref) {
        Some(file) => {
            let data = input::file(file)?;
            let mut body = json!({"source": "upload", "data": data});
            if file.as_os_str() != "-"
                && let (Ok(file), Some(members)) = (std::path::absolute(file), body.as_object_mut())
            {
                members.insert("path".to_owned(), file.to_string_lossy().into());
            }
            body
        }
        None => {
            let found = client.post(&path, &json!({"source": "scan"}))?;
            let keys: Vec<&str> =
                found.list("/candidates").iter().map(|c| c.text("/key")).collect();
            if keys.is_empty() {
                return Err(Failed::Usage(format!(
                    "nothing of {} was found where its program keeps it\n  \
                     Name the file: ninerouter account add {} --import FILE",
                    provider.text("/name"),
                    provider.text("/id")
                )));
            }
            json!({"source": "scan", "select": keys})
        }
    };
    if let Some(members) = body.as_object_mut() {
        if let Some(ownership) = args.ownership {
            members.insert("ownership".to_owned(), ownership.as_str().into());
        }
        if let Some(label) = &args.label {
            members.insert("label".to_owned(), label.as_str().into());
        }
    }
    let reply = client.post(&path, &body)?;
    let later = columns(client, &args.columns)?;
    for account in reply.list("/accounts").iter().filter(|_| !later.is_empty()) {
        let path = format!("/api/accounts/{}", escape(account.text("/id")));
        client.patch(&path, &later.clone().into())?;
    }
    for check in reply.list("/checks") {
        for at in ["/warning", "/message"] {
            if !check.text(at).is_empty() {
                session.out.warn(check.text(at));
            }
        }
    }
    session.out.done(&reply, || {
        let line = |imported: &Value| {
            let path = format!("/api/accounts/{}", escape(imported.text("/id")));
            // The state is told where it can be had; the import is done either way.
            let account = client.get(&path).unwrap_or_else(|_| imported.clone());
            let follows = if imported.text("/ownership") == "follow" {
                "\n  The vendor's program goes on refreshing it; the router reads its file."
            } else {
                ""
            };
            format!("Account {}: {}{follows}\n", account_name(&account), state(&account))
        };
        format!("Imported.\n{}", reply.list("/accounts").iter().map(line).collect::<String>())
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loopback_sign_in_tells_of_the_page_that_cannot_be_reached() {
        let flow = json!({"authorize_url": "https://vendor.example/authorize?x=1", "paste_allowed": true,
            "redirect_uri": "http://localhost:54545/callback", "expires_at": 600_000});
        let text = instructions("Claude", &flow, 0);
        for part in [
            "\n   https://vendor.example/authorize?x=1\n",
            "This site can't be reached",
            "http://localhost:54545/callback",
            "ssh -L 54545:127.0.0.1:54545 user@server",
            "(in 10 min)",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert!(text.ends_with("Address or code: "));
    }

    #[test]
    fn hosted_pages_and_device_codes_have_words_of_their_own() {
        let hosted = json!({"authorize_url": "https://v.example/a", "paste_allowed": true,
            "redirect_uri": "https://v.example/callback"});
        assert!(instructions("X", &hosted, 0).contains("Copy the code that the page shows"));
        let device = json!({"device": {"user_code": "ABCD-1234", "verification_uri": "https://v.example/d"}});
        let text = instructions("X", &device, 0);
        assert!(text.contains("ABCD-1234") && text.contains("https://v.example/d"), "{text}");
        assert!(!text.contains("paste"), "{text}");
    }
}
