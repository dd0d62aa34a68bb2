//! Style, script and icons: budgets (dashboard §1.1), pinned hashes, contrast of the tokens (dashboard §3.2), icons.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use sha2::{Digest as _, Sha384};

const OWN: [&str; 3] = ["app.js", "live.js", "order.js"];
const VENDOR: [&str; 2] = ["vendor/htmx-2.0.11.min.js", "vendor/htmx-ext-sse-2.2.4.min.js"];

fn read(name: &str) -> String {
    fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../assets").join(name))
        .unwrap()
}

#[test]
fn a_page_loads_little() {
    let own: usize = OWN.iter().map(|name| read(name).len()).sum();
    let vendor: usize = VENDOR.iter().map(|name| read(name).len()).sum();
    let css = read("app.css").len();
    assert!(css <= 24 * 1_024, "style: {css}");
    assert!(own <= 14 * 1_024, "own script: {own}");
    assert!(own + vendor + css <= 110 * 1_024, "together: {}", own + vendor + css);
    for name in OWN {
        let lines = read(name).lines().count();
        assert!(lines <= 150, "{name}: {lines} lines");
    }
}

#[test]
fn vendored_scripts_are_what_was_reviewed() {
    let notes = read("vendor/README.md");
    for name in VENDOR {
        let digest = base64::engine::general_purpose::STANDARD.encode(Sha384::digest(read(name)));
        let file = name.strip_prefix("vendor/").unwrap();
        let row = notes.lines().find(|line| line.contains(file)).unwrap();
        assert!(row.contains(&format!("`sha384-{digest}`")), "{name} is sha384-{digest}");
        assert!(row.contains("0BSD"), "{name} has no licence");
    }
}

#[test]
fn nothing_comes_from_another_host() {
    for name in ["app.css", "icons.svg"].iter().chain(&OWN) {
        let text = read(name).replace("http://www.w3.org/2000/svg", "");
        assert!(
            !text.contains("//cdn") && !text.contains("http:") && !text.contains("https:"),
            "{name}"
        );
        assert!(!text.contains("url(") && !text.contains("@import"), "{name}");
    }
}

#[test]
fn script_makes_no_markup_and_evaluates_nothing() {
    for name in OWN {
        let text = read(name);
        for forbidden in [
            "innerHTML =",
            "outerHTML =",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "fetch(",
        ] {
            assert!(!text.contains(forbidden), "{name}: {forbidden}");
        }
    }
}

#[test]
fn every_icon_asked_for_exists_and_none_lies_about() {
    let sprite = read("icons.svg");
    let there: BTreeSet<&str> =
        sprite.split("<symbol id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src");
    let folders = ["", "part", "combo"].map(|name| fs::read_dir(source.join(name)).unwrap());
    let mut text = String::new();
    for entry in folders.into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_file() {
            text.push_str(&fs::read_to_string(path).unwrap());
        }
    }
    // Names are literals of `icon` and `labelled`, however the formatter breaks the lines, or come from data listed here.
    let text: String = text.split_whitespace().collect();
    let data =
        ["overview", "plug", "layers", "route", "terminal", "check", "alert", "info", "upload"];
    let mut asked = BTreeSet::from(data);
    for call in ["icon(assets,\"", "labelled(assets,\""] {
        asked.extend(text.split(call).skip(1).map(|rest| rest.split('"').next().unwrap()));
    }
    assert_eq!(
        asked.difference(&there).collect::<Vec<_>>(),
        Vec::<&&str>::new(),
        "missing in the sprite"
    );
    assert_eq!(there.difference(&asked).collect::<Vec<_>>(), Vec::<&&str>::new(), "nobody uses");
}

/// Red, green, blue, alpha, 0 to 1.
type Colour = [f64; 4];

fn colour(text: &str) -> Colour {
    let digits = text.strip_prefix('#').unwrap();
    let channel = |at: usize| {
        digits
            .get(at..at + 2)
            .map_or(1.0, |two| f64::from(u8::from_str_radix(two, 16).unwrap()) / 255.0)
    };
    [channel(0), channel(2), channel(4), channel(6)]
}

/// Light and dark value of a token.
fn token(css: &str, name: &str) -> [Colour; 2] {
    let value =
        css.split(&format!("--{name}:light-dark(")).nth(1).unwrap_or_else(|| panic!("--{name}"));
    let (light, dark) = value.split(')').next().unwrap().split_once(',').unwrap();
    [colour(light), colour(dark)]
}

fn over(top: Colour, below: Colour) -> Colour {
    let mix = |at: usize| top[at] * top[3] + below[at] * (1.0 - top[3]);
    [mix(0), mix(1), mix(2), 1.0]
}

fn luminance(colour: Colour) -> f64 {
    let linear = |c: f64| if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) };
    0.2126 * linear(colour[0]) + 0.7152 * linear(colour[1]) + 0.0722 * linear(colour[2])
}

fn contrast(a: Colour, b: Colour) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

/// The surface over the canvas and over each light behind it.
fn grounds(css: &str, theme: usize, tint: Option<&str>) -> Vec<Colour> {
    let canvas = token(css, "canvas")[theme];
    ["blob-a", "blob-b", "blob-c"]
        .iter()
        .map(|blob| over(token(css, blob)[theme], canvas))
        .chain([canvas])
        .map(|ground| over(token(css, "surface")[theme], ground))
        .map(|ground| tint.map_or(ground, |tint| over(token(css, tint)[theme], ground)))
        .collect()
}

#[test]
fn words_can_be_read_on_every_ground_of_both_themes() {
    let css = read("app.css");
    let on_panel = [
        ("text", 7.0),
        ("muted", 4.5),
        ("faint", 4.5),
        ("accent", 4.5),
        ("ok", 4.5),
        ("warn", 4.5),
        ("bad", 4.5),
        ("info", 4.5),
        ("field-edge", 3.0),
        ("s1", 3.0),
        ("s2", 3.0),
        ("s3", 3.0),
        ("s4", 3.0),
        ("s5", 3.0),
        ("s6", 3.0),
        ("s7", 3.0),
        ("s8", 3.0),
    ];
    let on_tint = [
        ("text", "surface-3", 7.0),
        ("text", "accent-soft", 7.0),
        ("muted", "surface-2", 4.5),
        ("ok", "ok-soft", 4.5),
        ("warn", "warn-soft", 4.5),
        ("bad", "bad-soft", 4.5),
        ("info", "info-soft", 4.5),
    ];
    for (theme, name) in ["light", "dark"].iter().enumerate() {
        let all = on_panel
            .iter()
            .map(|(word, least)| (*word, None, *least))
            .chain(on_tint.iter().map(|(word, tint, least)| (*word, Some(*tint), *least)));
        for (word, tint, least) in all {
            let worst = grounds(&css, theme, tint)
                .into_iter()
                .map(|ground| contrast(token(&css, word)[theme], ground))
                .fold(f64::MAX, f64::min);
            assert!(worst >= least, "{name}: {word} on {tint:?} has {worst:.2}, needs {least}");
        }
        let button = contrast(token(&css, "on-accent")[theme], token(&css, "accent")[theme]);
        assert!(button >= 4.5, "{name}: button {button:.2}");
    }
}
