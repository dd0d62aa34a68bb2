//! Start-up security audit (security §3): findings of the resolved configuration, before a socket is bound.

use std::fmt;

use crate::config::error::{ConfigError, exit};
use crate::config::options::Options;
use crate::config::published;
use crate::config::settings::{RequireApiKey, SettingError, Settings};

/// One finding.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// Row of the table: `B1` …
    pub id: &'static str,
    /// What follows from it.
    pub severity: Severity,
    /// What is wrong and what to do, without values.
    pub text: String,
}

/// What follows from a finding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    /// Told.
    Warning,
    /// Told in the banner and kept on the dashboard.
    Critical,
    /// The program ends with this code.
    Fatal(u8),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.severity {
            Severity::Warning => "warning",
            Severity::Critical => "warning: critical",
            Severity::Fatal(_) => "error",
        };
        write!(f, "{word}: {} [{}]", self.text, self.id)
    }
}

/// What the audit looks at.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Configuration of this start.
    pub options: &'a Options,
    /// Settings in effect.
    pub settings: &'a Settings,
    /// Stored settings that could not be used.
    pub setting_errors: &'a [SettingError],
    /// Only this machine can reach the listeners; with inherited sockets that is not what the options say.
    pub loopback_only: bool,
    /// A dashboard password is stored.
    pub password_stored: bool,
    /// The process runs as root.
    pub root: bool,
}

/// Findings in the order of the table.
#[must_use]
pub fn audit(facts: &Facts<'_>) -> Vec<Finding> {
    let published = &facts.options.secrets.published;
    let mut findings = published_secrets(published, facts.loopback_only);
    findings.extend(passwords(facts));
    findings.extend(open_listeners(facts));
    findings.extend(broken_settings(facts.setting_errors));
    if facts.root && !facts.options.container {
        findings.push(warning("B8", "the server runs as root; give it a user of its own"));
    }
    findings
}

/// B1 alone: needs no settings, so that it can refuse before anything is opened (REL-RUN-1).
///
/// # Errors
/// A published secret on a listener that others can reach.
pub fn refuse_published(options: &Options) -> Result<(), ConfigError> {
    refuse_fatal(&published_secrets(&options.secrets.published, options.is_loopback_only()))
}

/// The first finding that forbids the start.
///
/// # Errors
/// That finding.
pub fn refuse_fatal(findings: &[Finding]) -> Result<(), ConfigError> {
    for finding in findings {
        if let Severity::Fatal(code) = finding.severity {
            return Err(ConfigError::Refused { text: finding.text.clone(), code });
        }
    }
    Ok(())
}

/// True when the process runs as root.
#[must_use]
pub fn is_root() -> bool {
    #[cfg(unix)]
    return rustix::process::geteuid().is_root();
    #[cfg(not(unix))]
    return false;
}

fn published_secrets(names: &[&'static str], loopback_only: bool) -> Vec<Finding> {
    let finding = |name: &&'static str| {
        if loopback_only {
            let text = format!(
                "`{name}` holds a published, placeholder or short value and is ignored; a generated secret is used instead"
            );
            return warning("B1", text);
        }
        Finding {
            id: "B1",
            severity: Severity::Fatal(exit::CONFIG),
            text: format!(
                "`{name}` holds a published, placeholder or short value, and the server would be reachable from \
                 the network; unset it, or set 16 random bytes or more"
            ),
        }
    };
    names.iter().map(finding).collect()
}

fn passwords(facts: &Facts<'_>) -> Option<Finding> {
    if facts.password_stored {
        return None; // INITIAL_PASSWORD no longer counts
    }
    let initial = facts.options.secrets.initial_password.as_ref();
    let is_common = initial.is_some_and(|p| published::is_common_password(p.expose()));
    match (facts.loopback_only, initial) {
        (true, Some(_)) if is_common => Some(warning(
            "B3",
            "`INITIAL_PASSWORD` is one everybody tries first; change it after the first sign-in",
        )),
        (true, _) => None,
        (false, Some(_)) if is_common => Some(warning(
            "B3",
            "`INITIAL_PASSWORD` is one everybody tries first and is not accepted while the server is reachable \
             from the network; the first sign-in needs the one-time set-up code",
        )),
        (false, Some(_)) => None,
        (false, None) => Some(warning(
            "B2",
            "no dashboard password is stored and `INITIAL_PASSWORD` is unset; the first sign-in needs the one-time \
             set-up code",
        )),
    }
}

fn open_listeners(facts: &Facts<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if facts.loopback_only {
        return findings;
    }
    if facts.settings.require_api_key == RequireApiKey::Never {
        findings.push(Finding {
            id: "B4",
            severity: Severity::Critical,
            text: "clients at admitted addresses need no API key and spend your accounts; \
                   set `REQUIRE_API_KEY=true`"
                .into(),
        });
    }
    if !facts.settings.trusted_proxy_enabled {
        let text = "passwords and API keys cross the network in clear; put a TLS reverse proxy in front and name \
                    it in `NINEROUTER_TRUSTED_PROXIES`";
        findings.push(warning("B7", text));
    }
    findings
}

fn broken_settings(errors: &[SettingError]) -> Vec<Finding> {
    let finding = |error: &SettingError| {
        let id = if error.key().starts_with("trusted_prox") { "B6" } else { "settings" };
        warning(id, format!("stored {error}; the default is used"))
    };
    errors.iter().map(finding).collect()
}

fn warning(id: &'static str, text: impl Into<String>) -> Finding {
    Finding { id, severity: Severity::Warning, text: text.into() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::ffi::OsString;
    use std::path::PathBuf;

    use serde_json::json;

    use super::*;
    use crate::config::options::{Flags, Inputs};
    use crate::config::settings::Found;

    fn options(env: &[(&str, &str)]) -> Options {
        let mut vars: Vec<(OsString, OsString)> =
            env.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        vars.push(("HOME".into(), "/nonexistent".into()));
        let cwd = PathBuf::from("/nonexistent");
        let mut options =
            Options::resolve(Inputs { flags: Flags::default(), env: vars, cwd }).unwrap();
        options.container = false;
        options
    }

    fn ids(options: &Options, change: impl Fn(&mut Facts<'_>)) -> Vec<String> {
        let (settings, setting_errors) =
            Settings::resolve(&BTreeMap::new(), &options.locked, &Found::default());
        let mut facts = Facts {
            options,
            settings: &settings,
            setting_errors: &setting_errors,
            loopback_only: options.is_loopback_only(),
            password_stored: false,
            root: false,
        };
        change(&mut facts);
        audit(&facts).iter().map(|f| format!("{} {:?}", f.id, f.severity)).collect()
    }

    const OPEN: (&str, &str) = ("HOSTNAME", "0.0.0.0");

    #[test]
    fn c07_published_secrets_refuse_the_network_and_warn_on_loopback() {
        for name in ["JWT_SECRET", "API_KEY_SECRET", "MACHINE_ID_SALT"] {
            let local = options(&[(name, "changeme")]);
            assert_eq!(ids(&local, |_| {}), ["B1 Warning"]);
            let open = options(&[(name, "changeme"), OPEN]);
            assert_eq!(ids(&open, |_| {})[0], "B1 Fatal(78)");
            assert_eq!(refuse_published(&open).unwrap_err().exit_code(), 78);
            assert!(refuse_published(&local).is_ok());
            let fine = options(&[(name, "0123456789abcdef0123"), OPEN]);
            assert!(!ids(&fine, |_| {}).iter().any(|f| f.starts_with("B1")));
        }
    }

    #[test]
    fn t_boot_02_and_03_passwords() {
        let weak = [("INITIAL_PASSWORD", "123456")];
        let strong = [("INITIAL_PASSWORD", "correct horse battery"), OPEN];
        assert_eq!(ids(&options(&[]), |_| {}), [""; 0]);
        assert_eq!(ids(&options(&weak), |_| {}), ["B3 Warning"]);
        assert_eq!(ids(&options(&[weak[0], OPEN]), |_| {}), ["B3 Warning", "B7 Warning"]);
        assert_eq!(ids(&options(&[OPEN]), |_| {}), ["B2 Warning", "B7 Warning"]);
        assert_eq!(ids(&options(&strong), |_| {}), ["B7 Warning"]);
        assert_eq!(ids(&options(&[OPEN]), |f| f.password_stored = true), ["B7 Warning"]);
    }

    #[test]
    fn t_boot_04_keyless_network_is_critical() {
        let open = options(&[("REQUIRE_API_KEY", "false"), OPEN]);
        assert_eq!(ids(&open, |f| f.password_stored = true), ["B4 Critical", "B7 Warning"]);
        let local = options(&[("REQUIRE_API_KEY", "false")]);
        assert_eq!(ids(&local, |_| {}), [""; 0]);
    }

    #[test]
    fn t_boot_06_07_08_the_rest() {
        let proxied = options(&[("NINEROUTER_TRUSTED_PROXIES", "10.0.0.1"), OPEN]);
        assert_eq!(ids(&proxied, |f| f.password_stored = true), [""; 0]);
        assert_eq!(ids(&options(&[]), |f| f.root = true), ["B8 Warning"]);
        let stored = BTreeMap::from([
            ("trusted_proxy_enabled".to_owned(), json!(true)),
            ("trusted_proxies".to_owned(), json!(["0.0.0.0/0"])),
        ]);
        let (_, errors) = Settings::resolve(&stored, &BTreeMap::new(), &Found::default());
        let findings = broken_settings(&errors);
        assert_eq!(findings[0].id, "B6");
        assert!(findings[0].to_string().starts_with("warning: stored setting `trusted_proxies`"));
    }
}
