//! What surrounds the router: its variables, proxies, trust roots, the providers' hosts, the tools of this shell.

use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::{Check, Patient, folder, words};
use crate::cli::banner::base_url;
use crate::cli::client::{Access, Client};
use crate::cli::fields::Fields;
use crate::config::boot::{self, Facts, Severity};
use crate::config::environment::Level as NoteLevel;
use crate::config::settings::Settings;
use crate::net::tls::system_roots;
use crate::store::DATABASE;

/// Longest wait for a provider's host.
const CONNECT: Duration = Duration::from_secs(5);
const PROXY_VARIABLES: [&str; 6] =
    ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy"];
/// Where coding tools of this shell are sent.
const TOOL_VARIABLES: [(&str, &str); 4] = [
    ("ANTHROPIC_BASE_URL", "Claude Code"),
    ("OPENAI_BASE_URL", "OpenAI clients"),
    ("OPENAI_API_BASE", "OpenAI clients"),
    ("GOOGLE_GEMINI_BASE_URL", "Gemini CLI"),
];

/// Variables, files and settings as a start would take them.
pub(super) fn configuration(patient: &Patient<'_>) -> Vec<Check> {
    let options = patient.options;
    let mut checks = Vec::new();
    let remedy = "unset it, or correct its name or value";
    for note in options.notes.iter().filter(|note| note.level == NoteLevel::Warning) {
        checks.push(Check::warn("variables", note.text.clone(), remedy));
    }
    // Of a database that cannot be read nothing is claimed.
    let stored = folder::stored(patient);
    let password_stored = stored.as_ref().is_none_or(|stored| stored.password);
    let stored = stored.unwrap_or_default();
    let (settings, setting_errors) =
        Settings::resolve(&stored.settings, &options.locked, &options.found);
    let findings = boot::audit(&Facts {
        options,
        settings: &settings,
        setting_errors: &setting_errors,
        loopback_only: options.is_loopback_only(),
        password_stored,
        root: boot::is_root(),
    });
    for finding in findings {
        let text = format!("{} [{}]", finding.text, finding.id);
        checks.push(match finding.severity {
            Severity::Fatal(_) => Check::fail("start", text, "the router does not start like this"),
            Severity::Warning | Severity::Critical => Check::warn("start", text, ""),
        });
    }
    if let Some(file) = &options.config_file
        && let Err(errors) = crate::config::apply::validate_file(file, options)
    {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        checks.push(Check::fail(
            "config_file",
            lines.join("\n"),
            "correct the file; a running router keeps the last state that was right",
        ));
    }
    if checks.is_empty() {
        checks.push(Check::ok("variables", "variables and configuration can be used"));
    }
    checks
}

pub(super) fn checks(patient: &Patient<'_>) -> Vec<Check> {
    let mut checks = vec![proxies(patient), roots()];
    checks.extend(tools(patient));
    if patient.args.net {
        checks.extend(hosts(patient));
    }
    checks
}

fn proxies(patient: &Patient<'_>) -> Check {
    let set: Vec<&str> = PROXY_VARIABLES
        .into_iter()
        .filter(|name| patient.options.environment.is_set(name))
        .collect();
    if set.is_empty() {
        return Check::ok("proxy", "no outbound proxy in the environment");
    }
    Check::ok("proxy", format!("outbound proxy from {}", set.join(", ")))
}

fn roots() -> Check {
    let roots = system_roots().len();
    if roots > 0 {
        return Check::ok("tls", format!("{roots} certificate authorities are trusted"));
    }
    Check::fail("tls", "no certificate authority is trusted", "install the package ca-certificates")
}

/// A tool of this shell that is sent elsewhere does not use this router.
fn tools(patient: &Patient<'_>) -> Vec<Check> {
    let ours = base_url(&patient.options.listen);
    let port = |url: &str| url.trim_end_matches('/').split(['/', '?']).nth(2).map(str::to_owned);
    let here = |url: &str| {
        let host = port(url).unwrap_or_default().replace("127.0.0.1", "localhost");
        Some(host) == port(&ours)
    };
    let mut environment = patient.options.environment.clone();
    let mut checks = Vec::new();
    for (name, tool) in TOOL_VARIABLES {
        let Ok(Some(variable)) = environment.get(name) else { continue };
        if here(&variable.value) {
            checks
                .push(Check::ok("tools", format!("{tool} in this shell use this router ({name})")));
        } else {
            checks.push(Check::warn(
                "tools",
                format!("`{name}` sends {tool} in this shell elsewhere than {ours}"),
                format!("unset it, or: export {name}={ours}"),
            ));
        }
    }
    checks
}

/// Hosts of providers that have accounts: resolved, and reached where no proxy stands between.
fn hosts(patient: &Patient<'_>) -> Vec<Check> {
    if !patient.options.data_dir.join(DATABASE).exists() {
        return vec![Check::ok("hosts", "no accounts yet, so no host to look for")];
    }
    let found = Client::open(patient.options, patient.inputs, Access::Read).and_then(|client| {
        let accounts = client.list("/api/accounts");
        let providers = client.list("/api/providers");
        client.close();
        Ok((accounts?, providers?))
    });
    let (accounts, providers) = match found {
        Ok(found) => found,
        Err(failed) => return vec![Check::fail("hosts", words(&failed), "")],
    };
    let used: Vec<&str> = accounts.list("/data").iter().map(|a| a.text("/provider")).collect();
    let mut urls: Vec<url::Url> = providers
        .list("/data")
        .iter()
        .filter(|provider| used.contains(&provider.text("/id")))
        .flat_map(|provider| provider.list("/endpoints").iter().take(1))
        .filter_map(|endpoint| url::Url::parse(endpoint.text("/url")).ok())
        .collect();
    urls.sort();
    urls.dedup_by(|a, b| a.host_str() == b.host_str() && a.port() == b.port());
    let proxied = PROXY_VARIABLES.iter().any(|name| patient.options.environment.is_set(name));
    urls.iter().filter_map(|url| host(url, proxied)).collect()
}

fn host(url: &url::Url, proxied: bool) -> Option<Check> {
    let name = url.host_str()?;
    let port = url.port_or_known_default()?;
    let addresses: Vec<_> = match (name.trim_matches(['[', ']']), port).to_socket_addrs() {
        Ok(addresses) => addresses.collect(),
        Err(error) if proxied => {
            let text = format!("{name}: not resolved here ({error}); the proxy may");
            return Some(Check::ok("hosts", text));
        }
        Err(error) => {
            let remedy = "check the resolver (/etc/resolv.conf) and the network";
            return Some(Check::fail("hosts", format!("{name}: no address ({error})"), remedy));
        }
    };
    if proxied {
        return Some(Check::ok("hosts", format!("{name}: resolved")));
    }
    let reached = addresses.iter().any(|addr| TcpStream::connect_timeout(addr, CONNECT).is_ok());
    Some(if reached {
        Check::ok("hosts", format!("{name}: reached"))
    } else {
        Check::fail(
            "hosts",
            format!("{name}: resolved, but port {port} cannot be reached"),
            "check firewall and network; behind a proxy: ninerouter proxy add, or HTTPS_PROXY",
        )
    })
}
