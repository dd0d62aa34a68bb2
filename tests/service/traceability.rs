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

/// Families of tests that security names, and how many each has.
const DEMANDED: &[(&str, u32)] = &[
    ("ROUTE", 5),
    ("BOOT", 10),
    ("KEY", 8),
    ("PW", 3),
    ("FIRST", 8),
    ("SES", 6),
    ("CSRF", 4),
    ("LIM", 7),
    ("IP", 14),
    ("HOST", 3),
    ("TUN", 2),
    ("AK", 9),
    ("CORS", 2),
    ("HDR", 2),
    ("CSP", 2),
    ("OUT", 13),
    ("RES", 24),
    ("LOG", 5),
    ("EXP", 2),
    ("IMP", 3),
    ("SYN", 2),
    ("OA", 7),
    ("AUD", 8),
    ("BUG", 19),
    ("CAN", 5),
    ("DB", 9),
    ("CLK", 1),
    ("ACT", 5),
    ("RUN", 6),
];

/// What no test shows, and why not.
const UNSHOWN: &[(&str, &str)] = &[
    ("T-KEY-03", "keys at rest are not rotated yet"),
    ("T-KEY-04", "keys at rest are not rotated yet"),
    ("T-EXP-01", "there is no encrypted export yet"),
    ("T-EXP-02", "there is no encrypted export yet"),
    ("T-IMP-01", "there is no import of bundles yet"),
    ("T-IMP-02", "there is no import of bundles yet"),
    ("T-IMP-03", "there is no import of bundles yet"),
    ("T-SYN-01", "there is no cloud sync"),
    ("T-SYN-02", "there is no cloud sync"),
    ("T-CAN-05", "HTTP/2 is not offered to clients"),
    ("T-BUG-04", "nothing is answered without an upstream"),
    ("T-BUG-14", "there is no import of bundles yet"),
    ("T-BUG-15", "there is no encrypted export yet"),
    ("T-BUG-19", "a matter of time alone: `cargo bench`"),
    ("T-DB-07", "a matter of time alone: `cargo bench`"),
    ("T-ACT-04", "no thread can be killed from outside its process"),
    ("T-RES-16", "the server library's own limit"),
];

/// Every test that security names is named by a test, or it is said here why there is none.
#[test]
fn every_demanded_test_is_named_by_one() {
    let tests = tests();
    let shows = |family: &str, number: u32| {
        let said = format!("T-{family}-{number:02}");
        tests.iter().any(|test| test.text.contains(&said) || named(&test.name, family, number))
    };
    let mut missing = Vec::new();
    for (family, most) in DEMANDED {
        for number in 1..=*most {
            let id = format!("T-{family}-{number:02}");
            let is_unshown = UNSHOWN.iter().any(|(unshown, _)| *unshown == id);
            match (shows(family, number), is_unshown) {
                (true, true) => panic!("{id} is shown after all: take it out of the list"),
                (false, false) => missing.push(id),
                (true, false) | (false, true) => {}
            }
        }
    }
    assert!(missing.is_empty(), "no test names {missing:?}");
}

/// `t_route_02_to_04_…`, `t_ses_02_03_and_06_…`.
fn named(name: &str, family: &str, number: u32) -> bool {
    let mark = format!("t_{}_", family.to_lowercase());
    let Some(at) = name.find(&mark).filter(|at| *at == 0 || name[..*at].ends_with('_')) else {
        return false;
    };
    let mut last = None;
    let mut is_range = false;
    for word in name[at + mark.len()..].split('_') {
        match (word, word.parse::<u32>()) {
            ("and", _) => {}
            ("to", _) => is_range = true,
            (word, Ok(found)) if word.len() == 2 => {
                let first = last.filter(|_| is_range).unwrap_or(found);
                if (first..=found).contains(&number) {
                    return true;
                }
                (last, is_range) = (Some(found), false);
            }
            _ => return false,
        }
    }
    false
}
