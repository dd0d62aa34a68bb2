//! What the specification of security and reliability demands, and which test shows it: nothing may be added there, or in
//! the product, without its test.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ninerouter::auth::audit::EventName;

/// A test's source: its name, and its text from there to the next one.
struct Test {
    file: String,
    name: String,
    text: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below `folder` with its path below the root, and its text.
fn sources(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open = vec![root().join(folder)];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let below = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
                found.push((below, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(!found.is_empty(), "{}", folder.display());
    found
}

/// Every function behind a `test` attribute, with the comments over it.
fn tests() -> Vec<Test> {
    let mut found = Vec::new();
    for folder in ["tests", "src", "dialect", "templates"] {
        for (file, text) in sources(Path::new(folder)) {
            if file == "tests/service/traceability.rs" {
                continue;
            }
            // What stands over an attribute belongs to the piece before it.
            let mut above = "";
            for piece in text.split("test]\n") {
                let after = piece.split("fn ").nth(1).filter(|_| !above.is_empty());
                if let Some(rest) = after {
                    let name = rest.split(['(', '<']).next().unwrap().to_owned();
                    let comment = above.rsplit("\n}\n").next().unwrap();
                    found.push(Test {
                        file: file.clone(),
                        name,
                        text: format!("{comment}{piece}"),
                    });
                }
                above = piece;
            }
        }
    }
    assert!(found.len() > 1_000, "only {} tests found", found.len());
    found
}

/// Events of security §15, and the file whose test named `t_aud_01…` provokes each and looks at its row.
const PROVOKED: &[(EventName, &str)] = &[
    (EventName::LoginAttempt, "login"),
    (EventName::LoginRateLimited, "login"),
    (EventName::Logout, "login"),
    (EventName::LogoutAll, "audit"),
    (EventName::SessionExpired, "audit"),
    (EventName::SessionInvalid, "login"),
    (EventName::PasswordChanged, "login"),
    (EventName::PasswordDefaultUsed, "audit"),
    (EventName::SetupCodeUsed, "audit"),
    (EventName::SetupCodeFailed, "audit"),
    (EventName::SudoGranted, "login"),
    (EventName::SudoFailed, "login"),
    (EventName::CsrfFailed, "login"),
    (EventName::AuthBypassAttempt, "login"),
    (EventName::IpDenied, "login"),
    (EventName::HostRejected, "login"),
    (EventName::TunnelAccessAttempt, "login"),
    (EventName::ProxyHeaderIgnored, "login"),
    (EventName::ApiKeyCreated, "record"),
    (EventName::ApiKeyUpdated, "audit"),
    (EventName::ApiKeyRevoked, "record"),
    (EventName::ApiKeyExpired, "audit"),
    (EventName::ApiAuthFailed, "record"),
    (EventName::ApiKeyLimit, "audit"),
    (EventName::KeylessDenied, "record"),
    (EventName::RateLimitExceeded, "audit"),
    (EventName::ProviderAccountAdded, "audit"),
    (EventName::ProviderAccountUpdated, "audit"),
    (EventName::ProviderAccountRemoved, "audit"),
    (EventName::ProviderAccountReauthNeeded, "audit"),
    (EventName::ProviderAccountTokenRefreshed, "audit"),
    (EventName::OauthStarted, "audit"),
    (EventName::OauthCompleted, "audit"),
    (EventName::OauthFailed, "audit"),
    (EventName::NodeBaseUrlChanged, "audit"),
    (EventName::NodePolicyChanged, "audit"),
    (EventName::OutboundBlocked, "audit"),
    (EventName::UpstreamRedirectRefused, "record"),
    (EventName::SettingsChanged, "record"),
    (EventName::WhitelistChanged, "record"),
    (EventName::TrustedProxiesChanged, "audit"),
    (EventName::BackupCreated, "audit"),
    (EventName::BackupRestored, "audit"),
    (EventName::SecretsUnreadable, "audit"),
    (EventName::DebugLoggingOn, "record"),
    (EventName::DebugLoggingOff, "record"),
    (EventName::LogsExported, "record"),
    (EventName::BootSecurityReport, "record"),
    (EventName::ServerStarted, "record"),
    (EventName::ServerStopping, "record"),
    (EventName::MigrationApplied, "audit"),
    (EventName::ActorRestarted, "src/server/tests.rs"),
    (EventName::AuditEnabled, "record"),
    (EventName::AuditDisabled, "record"),
    (EventName::AuditPruned, "src/server/tests.rs"),
    (EventName::AuditLost, "audit"),
    (EventName::ClockJump, "src/server/tests.rs"),
];

/// Events of features that are not built.
const UNBUILT: &[EventName] = &[
    EventName::SecretsExported,
    EventName::SecretRevealed,
    EventName::ImportApplied,
    EventName::SyncEnabled,
    EventName::SyncDisabled,
    EventName::SyncForged,
    EventName::SyncRollback,
    EventName::MasterKeyRotated,
    EventName::DekRotated,
];

#[test]
fn t_aud_01_every_event_is_provoked_by_a_test() {
    let tests = tests();
    for event in EventName::ALL {
        let listed = PROVOKED.iter().filter(|(name, _)| name == event).count();
        let unbuilt = UNBUILT.iter().filter(|name| *name == event).count();
        assert_eq!(listed + unbuilt, 1, "{event:?} has its test here once, or is not built");
    }
    for (event, place) in PROVOKED {
        let file = match place.contains('/') {
            true => (*place).to_owned(),
            false => format!("tests/service/{place}.rs"),
        };
        let word = format!("\"{}\"", event.as_str());
        let provokes = |test: &Test| test.file == file && test.text.contains(&word);
        assert!(tests.iter().any(provokes), "no test in {file} looks for {word}");
    }
    for (file, text) in sources(Path::new("src")) {
        for event in UNBUILT.iter().filter(|_| file != "src/auth/audit.rs") {
            assert!(!text.contains(&format!("{event:?}")), "{event:?} is recorded in {file}");
        }
    }
}

/// Faults of security §23 whose feature does not exist: HTTP/2 clients, Redis, cloud sync.
const FAULTS_UNBUILT: [u32; 3] = [51, 64, 65];

/// Every fault has a test whose name, or the name of whose case, carries its number.
#[test]
fn every_fault_has_a_test_with_its_number() {
    let mut seen = BTreeSet::new();
    let number = |text: &str| -> Option<u32> {
        let digits = text.get(1..3)?;
        let ends = text.get(3..).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '));
        digits.parse().ok().filter(|_| ends)
    };
    for test in tests() {
        let mut words = test.name.split('_').peekable();
        while let Some(word) = words.next() {
            let Some(first) = Some(word).filter(|word| word.starts_with('f')).and_then(number)
            else {
                continue;
            };
            seen.insert(first);
            // `f39_to_f45`
            let mut ahead = words.clone();
            if ahead.next() == Some("to")
                && let Some(last) =
                    ahead.next().filter(|word| word.starts_with('f')).and_then(number)
            {
                seen.extend(first..=last);
            }
        }
    }
    for (file, text) in sources(Path::new("tests/service")) {
        if file.ends_with("faults.rs") {
            seen.extend(
                text.split("\"F")
                    .skip(1)
                    .filter_map(|rest| number(&format!("F{}", rest.split('"').next()?))),
            );
        }
    }
    let wanted: BTreeSet<u32> = (1..=70).filter(|fault| !FAULTS_UNBUILT.contains(fault)).collect();
    let missing: Vec<_> = wanted.difference(&seen).collect();
    assert!(missing.is_empty(), "no test carries the number of {missing:?}");
}
