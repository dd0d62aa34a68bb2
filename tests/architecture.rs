//! The arrows between the folders of `src/`, checked on the source: who may name whom (design §2).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Folder or file of `src/`, and what of the crate it may name. Small vocabulary (`clock`, `id`, `secret`,
/// `redact`, `rotating`) is open to all and names nothing itself.
const ARROWS: [(&str, &[&str]); 15] = [
    ("log", &[]),
    ("routing", &["provider"]),
    ("provider", &["routing"]),
    ("demo", &["provider", "routing"]),
    ("net", &["provider"]),
    ("store", &["provider", "routing"]),
    ("auth", &["config", "store"]),
    ("config", &["auth", "net", "provider", "routing", "store"]),
    ("actors", &["auth", "config", "log", "net", "provider", "routing", "store"]),
    ("gateway", &["actors", "auth", "net", "provider", "routing", "store"]),
    ("api", &["actors", "auth", "config", "log", "net", "oauth", "provider", "routing", "store"]),
    ("dashboard", &["actors", "api", "auth"]),
    ("oauth", &["actors", "auth", "config", "net", "provider", "routing", "store"]),
    ("server", &["actors", "api", "auth", "config", "dashboard", "gateway", "oauth"]),
    (
        "cli",
        &[
            "actors",
            "api",
            "auth",
            "config",
            "dashboard",
            "demo",
            "log",
            "net",
            "oauth",
            "server",
            "store",
        ],
    ),
];
const VOCABULARY: [&str; 5] = ["clock", "id", "redact", "rotating", "secret"];
/// Pairs that need each other: account facts and provider facts; settings and the keys they describe.
const MUTUAL: [(&str, &str); 2] = [("routing", "provider"), ("auth", "config")];

/// Words of libraries, and the only places that may say them.
const LIBRARIES: [(&[&str], &[&str]); 4] = [
    (&["diesel::", "diesel_migrations::", "libsqlite3_sys::"], &["store"]),
    (&["awc::", "actix_tls::", "tokio_rustls::", "tokio_socks::"], &["net"]),
    (
        &["actix_web::", "actix_http::"],
        &["auth", "cli", "dashboard", "demo", "gateway", "net", "oauth", "server"],
    ),
    (&["ninerouter_templates::"], &["dashboard"]),
];
/// What the pure folders must not know (style §C 6).
const IMPURE: [&str; 9] = [
    "actix",
    "awc::",
    "diesel::",
    "tokio::",
    "std::fs",
    "std::net::Tcp",
    "std::thread",
    "Instant::now",
    "SystemTime",
];
/// Files beside `config/` that may name `std::env`: the demo's folder, the path of this binary for units,
/// and constants of the build.
const ENVIRONMENT: [&str; 4] = ["cli/demo.rs", "cli/run.rs", "cli/service.rs", "provider/value.rs"];

/// A product source file: path below `src/`, its folder (or file stem), its code without tests and comments.
struct Source {
    path: String,
    folder: String,
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut open = vec![root.clone()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                if name != "tests" && name != "snapshots" {
                    open.push(path);
                }
            } else if name.ends_with(".rs") && name != "tests.rs" {
                let below = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                let folder = below.split('/').next().unwrap().trim_end_matches(".rs").to_owned();
                let code = product_code(&fs::read_to_string(&path).unwrap());
                found.push(Source { path: below, folder, code });
            }
        }
    }
    assert!(found.len() > 100, "only {} files found", found.len());
    found
}

/// Without comments, and without what follows the first test-only module.
fn product_code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap();
    let text = text.split("#[cfg(test)]\npub(crate) mod ").next().unwrap();
    let lines = text.lines().map(|line| line.split("//").next().unwrap());
    lines.collect::<Vec<_>>().join("\n")
}

/// Every `x` of `crate::x`, also in `use crate::{x, y}`.
fn named(code: &str) -> BTreeSet<String> {
    let word = |text: &str| -> String {
        text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
    };
    let mut out = BTreeSet::new();
    for tail in code.split("crate::").skip(1) {
        match tail.strip_prefix('{') {
            None => {
                out.insert(word(tail));
            }
            Some(list) => {
                let mut depth = 0_i32;
                let mut at_start = true;
                for (at, c) in list.char_indices() {
                    if at_start && c.is_ascii_alphabetic() && depth == 0 {
                        out.insert(word(list.get(at..).unwrap()));
                        at_start = false;
                    }
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => at_start = true,
                        _ => {}
                    }
                }
            }
        }
    }
    out
}

#[test]
fn folders_name_only_what_their_arrows_allow() {
    let mut wrong = Vec::new();
    for source in sources() {
        if matches!(source.folder.as_str(), "lib" | "main") {
            continue;
        }
        let allowed: Vec<&str> = match ARROWS.iter().find(|(folder, _)| *folder == source.folder) {
            Some((folder, more)) => {
                more.iter().chain(&VOCABULARY).chain([folder]).copied().collect()
            }
            None if VOCABULARY.contains(&source.folder.as_str()) => vec![source.folder.as_str()],
            None => panic!("`{}` has no row in ARROWS", source.folder),
        };
        for name in named(&source.code) {
            if !allowed.contains(&name.as_str()) {
                wrong.push(format!("{} names `crate::{name}`", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn arrows_make_no_circle_but_the_two_known_ones() {
    let arrows = |from: &str| ARROWS.iter().find(|(f, _)| *f == from).map_or(&[][..], |(_, to)| to);
    for (start, _) in ARROWS {
        let mut seen = BTreeSet::new();
        let mut open = vec![start];
        while let Some(at) = open.pop() {
            for to in arrows(at) {
                let mutual = MUTUAL.contains(&(at, to)) || MUTUAL.contains(&(to, at));
                assert!(mutual || *to != start, "a circle through `{start}` and `{at}`");
                if !mutual && seen.insert(*to) {
                    open.push(to);
                }
            }
        }
    }
}

#[test]
fn libraries_are_named_where_they_belong() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (words, places) in LIBRARIES {
            for word in words.iter().filter(|word| names_path(&source.code, word)) {
                if !places.contains(&source.folder.as_str()) {
                    wrong.push(format!("{} names `{word}`", source.path));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn routing_and_provider_are_pure() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|s| matches!(s.folder.as_str(), "routing" | "provider")) {
        for word in IMPURE.iter().filter(|word| names_path(&source.code, word)) {
            wrong.push(format!("{} names `{word}`", source.path));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_config_reads_the_environment() {
    let mut wrong = Vec::new();
    for source in sources() {
        let reads = names_path(&source.code, "std::env") || names_path(&source.code, "env::var");
        if reads && source.folder != "config" && !ENVIRONMENT.contains(&source.path.as_str()) {
            wrong.push(source.path);
        } else if ENVIRONMENT.contains(&source.path.as_str()) {
            for word in ["env::var", "env::set", "env::remove"] {
                assert!(!source.code.contains(word), "{} uses `{word}`", source.path);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// True when `word` begins somewhere in the code as a path, not inside a longer word.
fn names_path(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let before = code.get(..at).unwrap().chars().next_back();
        // Right behind a comma stands a directive of a log filter: code has a blank there.
        !before.is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ','))
    })
}

#[test]
fn the_scanner_sees_what_it_should() {
    let code = "use crate::{a::B, c::{d, e}, f};\nlet x = crate::g::h();";
    let names: Vec<_> = named(code).into_iter().collect();
    assert_eq!(names, ["a", "c", "f", "g"]);
    assert!(names_path("use awc::Client;", "awc::") && !names_path("use lawc::X;", "awc::"));
    assert!(!names_path("\"info,awc::pool=off\"", "awc::"));
    assert_eq!(product_code("a // crate::x\nb\n#[cfg(test)]\nmod tests {}"), "a \nb");
}

/// T-IP-14: limiter, audit log, whitelist and admission see the same address, because there is one place that derives
/// it.
#[test]
fn one_place_derives_the_clients_address() {
    let calls = |source: &Source| source.code.matches("client_addr(").count();
    let places: Vec<(String, usize)> = sources()
        .iter()
        .filter(|source| source.path != "auth/address.rs" && calls(source) > 0)
        .map(|source| (source.path.clone(), calls(source)))
        .collect();
    assert_eq!(places, [("auth/arrival.rs".to_owned(), 1)]);
}
