//! Every page and fragment with typical, empty and hostile data: snapshots, and what must hold in all of them.

#![expect(clippy::expect_used, clippy::string_slice, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use ninerouter_templates::layout::Theme;
use sample::{HOSTILE, Kind, Sample};

#[path = "../examples/sample/mod.rs"]
mod sample;

const KINDS: [Kind; 3] = [Kind::Typical, Kind::Empty, Kind::Hostile];

fn of(kind: Kind) -> Sample {
    let assets = sample::assets("/assets", |name| format!("sha384-of-{name}"));
    Sample::new(kind, assets, Theme::Dark)
}

/// Name and text of all pages and fragments.
fn all() -> Vec<(String, String, bool)> {
    let mut all = Vec::new();
    for kind in KINDS {
        let sample = of(kind);
        for (name, page) in sample.pages() {
            all.push((format!("{kind:?} page {name}"), page.into_string(), true));
        }
        for (name, fragment) in sample.fragments() {
            all.push((format!("{kind:?} fragment {name}"), fragment.into_string(), false));
        }
    }
    all
}

/// One tag with its attributes; text and closing tags are left out.
struct Tag {
    name: String,
    attributes: Vec<(String, String)>,
}

impl Tag {
    fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// A reader of exactly what maud writes: lower-case tags, double quotes, `&quot; &amp; &lt; &gt;`.
fn tags(html: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    for piece in html.split('<').skip(1) {
        if piece.starts_with('/') || piece.starts_with('!') {
            continue;
        }
        let mut rest = piece;
        let end = rest.find(|c: char| c.is_whitespace() || c == '>').expect("a tag ends");
        let name = rest[..end].to_owned();
        rest = rest[end..].trim_start();
        let mut attributes = Vec::new();
        while !rest.starts_with('>') {
            let end = rest.find(['=', ' ', '>']).expect("an attribute ends");
            let key = rest[..end].to_owned();
            rest = &rest[end..];
            let mut value = String::new();
            if let Some(quoted) = rest.strip_prefix("=\"") {
                let end = quoted.find('"').expect("a value ends");
                value = quoted[..end].to_owned();
                rest = &quoted[end + 1..];
            }
            attributes.push((key, value));
            rest = rest.trim_start();
        }
        tags.push(Tag { name, attributes });
    }
    tags
}

#[test]
fn the_frame_looks_as_reviewed() {
    let pages = of(Kind::Typical).pages();
    let (_, combos) = pages.into_iter().find(|(name, _)| *name == "combos").unwrap();
    let page = combos.into_string();
    insta::assert_snapshot!("frame", lines(&page.replace(content(&page), "")));
}

#[test]
fn typical_pages_look_as_reviewed() {
    for (name, page) in of(Kind::Typical).pages() {
        insta::assert_snapshot!(format!("page-{name}"), lines(content(&page.into_string())));
    }
}

#[test]
fn empty_pages_say_what_to_do() {
    let told =
        ["overview", "endpoint", "providers", "provider", "combos", "combo", "logs", "audit"];
    for (name, page) in of(Kind::Empty).pages() {
        if told.contains(&name) {
            insta::assert_snapshot!(format!("empty-{name}"), lines(content(&page.into_string())));
        }
    }
}

/// Fragments that are no part of a page above.
#[test]
fn fragments_look_as_reviewed() {
    let own = [
        "fragment",
        "shell",
        "toast",
        "acct-row",
        "key-dialog",
        "created-dialog",
        "simulation",
        "trial",
        "verified",
        "connected",
    ];
    for (name, fragment) in of(Kind::Typical).fragments() {
        if own.contains(&name) {
            insta::assert_snapshot!(format!("fragment-{name}"), lines(&fragment.into_string()));
        }
    }
}

/// What stands in `<main>`.
fn content(page: &str) -> &str {
    let main = page.split("<main").nth(1).expect("a page has a main");
    main.split("</main>").next().unwrap_or_default()
}

/// One tag per line: a change shows where it is.
fn lines(html: &str) -> String {
    html.replace("><", ">\n<")
}

#[test]
fn nothing_inline_that_the_policy_forbids() {
    for (name, html, _) in all() {
        for tag in tags(&html) {
            assert!(
                tag.name != "style" && tag.name != "iframe" && tag.name != "base",
                "{name}: {}",
                tag.name
            );
            if tag.name == "script" {
                assert!(
                    tag.get("src").is_some() && tag.get("integrity").is_some(),
                    "{name}: inline script"
                );
            }
            for (key, value) in &tag.attributes {
                assert!(
                    key != "style" && !key.starts_with("on") && !key.starts_with("hx-on"),
                    "{name}: {key}"
                );
                if ["href", "src", "action", "formaction"].contains(&key.as_str())
                    || key.starts_with("hx-")
                {
                    assert!(
                        !value.trim_start().to_lowercase().starts_with("javascript:"),
                        "{name}: {key}={value}"
                    );
                    assert!(!value.starts_with("js:"), "{name}: {key}={value}");
                }
                if [
                    "hx-get",
                    "hx-post",
                    "hx-patch",
                    "hx-delete",
                    "action",
                    "formaction",
                    "sse-connect",
                ]
                .contains(&key.as_str())
                {
                    assert!(
                        value.starts_with('/') && !value.starts_with("//"),
                        "{name}: {key}={value}"
                    );
                }
            }
            assert!(
                tag.get("target").is_none() || tag.get("rel") == Some("noopener noreferrer"),
                "{name}: {:?}",
                tag.attributes
            );
        }
    }
}

#[test]
fn hostile_text_stays_text() {
    let mut seen = 0;
    for (name, html, _) in all() {
        for tag in tags(&html) {
            assert!(tag.name != "img", "{name}: <img>");
            assert!(
                tag.get("src").is_none_or(|src| src.starts_with("/assets/")),
                "{name}: {:?}",
                tag.attributes
            );
        }
        seen += html.matches("&lt;img src=x onerror=alert(1)&gt;").count();
        seen += html.matches("&lt;script&gt;").count();
    }
    assert!(seen > 20, "the hostile strings never came: {seen}");
    assert_eq!(HOSTILE.len(), 5);
}

#[test]
fn ids_are_unique_and_what_names_them_exists() {
    for (name, html, whole) in all() {
        let tags = tags(&html);
        let mut ids = BTreeSet::new();
        for tag in &tags {
            if let Some(id) = tag.get("id") {
                assert!(!id.is_empty() && !id.contains(char::is_whitespace), "{name}: id {id:?}");
                assert!(ids.insert(id), "{name}: twice {id}");
            }
        }
        for tag in &tags {
            let mut named = Vec::new();
            for key in ["aria-describedby", "aria-labelledby"] {
                named.extend(
                    tag.get(key).unwrap_or_default().split(' ').filter(|id| !id.is_empty()),
                );
            }
            named.extend(tag.get("for"));
            named.extend(tag.get("data-copy"));
            named.extend(tag.get("data-reveal"));
            if whole {
                named.extend(tag.get("list"));
                named.extend(tag.get("form"));
                named.extend(tag.get("hx-target").and_then(|target| target.strip_prefix('#')));
                named.extend(tag.get("href").and_then(|href| href.strip_prefix('#')));
            }
            for id in named {
                assert!(
                    ids.contains(id) || ["dialog-title", "sudo-title"].contains(&id),
                    "{name}: <{}> names #{id}, which is not there",
                    tag.name
                );
            }
        }
    }
}

#[test]
fn every_control_has_a_name() {
    for (name, html, _) in all() {
        let tags = tags(&html);
        let labelled: BTreeSet<&str> = tags
            .iter()
            .filter(|tag| tag.name == "label")
            .filter_map(|tag| tag.get("for"))
            .collect();
        for tag in &tags {
            let hidden = tag.get("type") == Some("hidden");
            if ["input", "select", "textarea"].contains(&tag.name.as_str()) && !hidden {
                let id = tag.get("id").unwrap_or_default();
                assert!(labelled.contains(id), "{name}: <{}> {id:?} has no label", tag.name);
            }
            // A browser would refuse an option with an empty value, and say so in its own words.
            assert!(
                tag.name != "select" || tag.get("required").is_none(),
                "{name}: {:?}",
                tag.attributes
            );
            if tag.name == "meter" || tag.name == "progress" {
                assert!(tag.get("aria-label").is_some(), "{name}: {} without a name", tag.name);
            }
            let icon_alone = tag
                .get("class")
                .is_some_and(|class| class.split(' ').any(|one| one == "icon" || one == "switch"));
            if icon_alone {
                assert!(
                    tag.get("aria-label").is_some(),
                    "{name}: <{}> {:?}",
                    tag.name,
                    tag.attributes
                );
            }
        }
        let pieces: Vec<&str> = html.split('<').collect();
        for pair in pieces.windows(2) {
            let opened = pair[0].split([' ', '>']).next().unwrap();
            let is_empty = pair[0].ends_with('>') && pair[1].starts_with(&format!("/{opened}>"));
            let needs_words = ["label", "a", "summary", "h1", "h2", "h3", "th"].contains(&opened);
            assert!(!is_empty || !needs_words, "{name}: empty <{opened}>");
        }
    }
}

#[test]
fn whole_pages_have_one_heading_and_a_language() {
    for (name, html, whole) in all() {
        if whole {
            assert_eq!(html.matches("<h1").count(), 1, "{name}");
            assert!(
                html.contains("<html lang=\"en\"")
                    && html.contains("</title>")
                    && html.contains("<main id=\"main\""),
                "{name}"
            );
            assert!(html.len() < 120 * 1_024, "{name}: {} bytes", html.len());
        }
    }
}

#[test]
fn what_the_feed_swaps_keeps_its_place_in_the_feed() {
    // Event name of each live fragment: the part on the page and the part sent carry the same id and the same event.
    let live: BTreeMap<&str, &str> = BTreeMap::from([
        ("alerts", "alerts"),
        ("stats", "stats"),
        ("inflight", "inflight"),
        ("acct-card", "acct-0199-aa01"),
        ("acct-row", "acct-0199-aa01"),
        ("account-state", "acct-0199-aa04"),
        ("prov", "prov-claude"),
        ("combo-row", "combo-c1"),
        ("connected", "connect-0199-cc01"),
        ("job", "job-0199-bb01"),
    ]);
    let fragments: BTreeMap<&str, String> = of(Kind::Typical)
        .fragments()
        .into_iter()
        .map(|(name, html)| (name, html.into_string()))
        .collect();
    for (name, event) in live {
        let first = tags(&fragments[name]).into_iter().next().unwrap();
        assert_eq!(first.get("sse-swap"), Some(event), "{name}");
        assert_eq!(first.get("hx-swap"), Some("outerHTML"), "{name}");
        let id = if name == "connected" { "connect" } else { event };
        assert_eq!(first.get("id"), Some(id), "{name}");
    }
    for (name, html, whole) in all().iter().filter(|(_, _, whole)| *whole) {
        let tags = tags(html);
        let connected = tags.iter().any(|tag| tag.get("sse-connect").is_some());
        for tag in &tags {
            if tag.get("sse-swap").is_some() {
                assert!(
                    tag.get("hx-swap").is_some() || tag.get("hidden").is_some(),
                    "{name}: {:?}",
                    tag.attributes
                );
            }
            // Inherited by every fragment below: never on these two.
            if tag.name == "body" || tag.name == "main" {
                assert!(tag.get("hx-target").is_none() && tag.get("hx-swap").is_none(), "{name}");
            }
        }
        assert!(*whole && (connected || !name.ends_with("page overview")), "{name}");
    }
}

#[test]
fn forms_carry_the_token_and_work_without_script() {
    for (name, html, _) in all() {
        for form in html.split("<form").skip(1) {
            let form = form.split("</form>").next().unwrap();
            let head = form.split('>').next().unwrap();
            if head.contains("method=\"post\"") {
                assert!(form.contains("name=\"_csrf\""), "{name}: form without a token: {head}");
                assert!(
                    head.contains("action=\"/") || head.contains("id=\"act\""),
                    "{name}: {head}"
                );
            } else {
                assert!(
                    head.contains("method=\"get\"") || head.contains("method=\"dialog\""),
                    "{name}: {head}"
                );
            }
        }
        for tag in tags(&html) {
            if tag.get("hx-post").is_some() && tag.name != "form" {
                assert!(
                    tag.get("formaction").is_some() && tag.get("form") == Some("act"),
                    "{name}: {:?}",
                    tag.attributes
                );
            }
            if tag.get("hx-get").is_some() && tag.name == "a" {
                assert!(
                    tag.get("href").is_some_and(|href| href.starts_with("/dashboard/")),
                    "{name}: {:?}",
                    tag.attributes
                );
            }
        }
    }
}

#[test]
fn live_fragments_hold_no_token_of_a_session() {
    for (name, fragment) in of(Kind::Typical).fragments() {
        let html = fragment.into_string();
        if html.contains("sse-swap")
            && !["account-state", "connected", "connect-failed"].contains(&name)
        {
            assert!(!html.contains("_csrf"), "{name}");
        }
        if ["account-state", "connected", "connect-failed", "log", "shell", "toast", "req"]
            .contains(&name)
        {
            assert!(!html.contains("_csrf"), "{name}");
        }
    }
}

#[test]
fn a_secret_is_never_sent_back_into_its_field() {
    for (name, html, _) in all() {
        for tag in tags(&html) {
            if tag.get("type") == Some("password") {
                assert!(tag.get("value").is_none(), "{name}");
            }
        }
    }
}
