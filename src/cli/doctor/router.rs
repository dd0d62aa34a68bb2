//! The router itself: is it running, does it answer, how do its accounts stand; else whether its ports are free.

use std::net::TcpListener;

use serde_json::{Value, json};

use super::{Check, Patient, words};
use crate::cli::client::{Access, Client, Failed, account_name, escape};
use crate::cli::fields::Fields;
use crate::cli::healthcheck;
use crate::cli::port::{Holder, find_holder};
use crate::config::listen::Listen;
use crate::store::DATABASE;

pub(super) fn checks(patient: &Patient<'_>) -> Vec<Check> {
    let mut checks: Vec<Check> =
        patient.options.listen.iter().filter_map(|listen| listener(patient, listen)).collect();
    match Client::of_running(patient.options) {
        Ok(client) => {
            checks.push(Check::ok(
                "router",
                "a router runs on this data folder and answers at its socket",
            ));
            checks.extend(accounts(patient, &client));
        }
        Err(Failed::NotRunning) => {
            checks.push(Check::ok("router", "no router runs on this data folder"));
            checks.extend(stored_accounts(patient));
        }
        Err(failed) => {
            let remedy = "see the router's log: journalctl -u ninerouter, or its terminal";
            checks.push(Check::fail("router", words(&failed), remedy));
        }
    }
    checks
}

/// The port is ours and answers, or is free; else who holds it.
fn listener(patient: &Patient<'_>, listen: &Listen) -> Option<Check> {
    let name = match listen {
        Listen::Tcp { addr, .. } if addr.port() == 0 => return None,
        Listen::Tcp { addr, .. } => addr.to_string(),
        Listen::Unix(path) => path.display().to_string(),
    };
    if healthcheck::check(std::slice::from_ref(listen), "/healthz", patient.clock).is_ok() {
        let holder = find_holder(listen, patient.clock);
        if holder.ninerouter.is_some() {
            return Some(Check::ok("address", format!("{name}: a NineRouter answers")));
        }
        return Some(taken(&name, &holder));
    }
    let Listen::Tcp { addr, .. } = listen else { return None };
    match TcpListener::bind(addr) {
        Ok(_free) => Some(Check::ok("address", format!("{name}: free"))),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            Some(taken(&name, &find_holder(listen, patient.clock)))
        }
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Some(Check::fail(
            "address",
            format!("{name}: not allowed ({error})"),
            "use a port from 1024 on, or the socket unit: ninerouter service print --socket",
        )),
        // No IPv6 here: the server leaves such a half of `localhost` out.
        Err(error) if matches!(listen, Listen::Tcp { optional: true, .. }) => {
            Some(Check::ok("address", format!("{name}: not on this computer ({error})")))
        }
        Err(error) => Some(Check::fail(
            "address",
            format!("{name}: {error}"),
            "name an address of this computer with --host or `NINEROUTER_HOST`",
        )),
    }
}

fn taken(name: &str, holder: &Holder) -> Check {
    let (by, remedy) = match &holder.process {
        Some(process) if process.is_9router => (
            format!("9router (pid {})", process.pid),
            format!("stop it (kill {}), or use another port: ninerouter --port 3000", process.pid),
        ),
        Some(process) => (
            format!("\"{}\" (pid {})", process.name, process.pid),
            "stop it, or use another port: ninerouter --port 3000".to_owned(),
        ),
        None => (
            "another process".to_owned(),
            "see who it is (ss -ltnp), or use another port: ninerouter --port 3000".to_owned(),
        ),
    };
    Check::fail("address", format!("{name}: held by {by}"), remedy)
}

/// Accounts of a database that no router has open now.
fn stored_accounts(patient: &Patient<'_>) -> Vec<Check> {
    let exists = patient.options.data_dir.join(DATABASE).exists();
    if !exists || !patient.args.accounts {
        return Vec::new();
    }
    match Client::open(patient.options, patient.inputs, Access::Write) {
        Ok(client) => {
            let checks = accounts(patient, &client);
            client.close();
            checks
        }
        Err(failed) => vec![Check::fail("accounts", words(&failed), "")],
    }
}

fn accounts(patient: &Patient<'_>, client: &Client) -> Vec<Check> {
    let all = match client.list("/api/accounts") {
        Ok(all) => all,
        Err(failed) => return vec![Check::fail("accounts", words(&failed), "")],
    };
    let accounts = all.list("/data");
    if accounts.is_empty() {
        let remedy = "add one: ninerouter account add PROVIDER";
        return vec![Check::warn(
            "accounts",
            "there are no accounts, so nothing can be served",
            remedy,
        )];
    }
    let mut checks: Vec<Check> = accounts.iter().filter_map(standing).collect();
    if checks.is_empty() {
        checks.push(Check::ok("accounts", "every account that is on can be used"));
    }
    if patient.args.accounts {
        let on = accounts.iter().filter(|account| account.text("/state/status") != "off");
        checks.extend(on.map(|account| test(client, account)));
    }
    checks
}

/// What an operator has to do about an account (cli-and-deploy §11).
fn standing(account: &Value) -> Option<Check> {
    let name = account_name(account);
    let text = match account.text("/state/text") {
        "" => account.text("/state/status").replace('_', " "),
        text => text.to_owned(),
    };
    let remedy = match account.text("/state/status") {
        "sign_in_again" => format!(
            "ninerouter account reconnect {name}   (stop the other program that uses the same sign-in)"
        ),
        "token_expired" => format!("ninerouter account refresh {name}"),
        "out_of_quota" => {
            "wait for the reset, add a second account, or put a fallback into a combo: ninerouter combo set …".to_owned()
        }
        "unstable" => format!("ninerouter account test {name}"),
        _ => return None,
    };
    Some(Check::warn("account", format!("account {name}: {text}"), remedy))
}

fn test(client: &Client, account: &Value) -> Check {
    let name = account_name(account);
    let path = format!("/api/accounts/{}/test", escape(account.text("/id")));
    match client.post(&path, &json!({})) {
        Ok(result) if result.flag("/ok") => {
            Check::ok("account_test", format!("account {name}: tested, works"))
        }
        Ok(result) => Check::fail(
            "account_test",
            format!("account {name}: {}", crate::cli::commands::account::verdict(&result)),
            format!("ninerouter account show {name}"),
        ),
        Err(failed) => {
            Check::fail("account_test", format!("account {name}: {}", words(&failed)), "")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::port::Process;

    #[test]
    fn accounts_that_need_somebody_are_told_with_the_command() {
        let account = |status: &str| json!({"provider": "claude", "label": "work", "state": {"status": status, "text": ""}});
        assert_eq!(standing(&account("ready")), None);
        assert_eq!(standing(&account("cooling_down")), None, "that passes by itself");
        let dead = standing(&account("sign_in_again")).unwrap();
        assert!(dead.remedy.unwrap().starts_with("ninerouter account reconnect claude/work"));
    }

    #[test]
    fn a_taken_port_names_its_holder() {
        let process = Process { name: "node".into(), pid: 7, is_9router: true };
        let check = taken("127.0.0.1:20128", &Holder { process: Some(process), ninerouter: None });
        assert_eq!(check.text, "127.0.0.1:20128: held by 9router (pid 7)");
        assert!(check.remedy.unwrap().contains("kill 7"));
        assert!(taken("x", &Holder::default()).text.contains("another process"));
    }
}
