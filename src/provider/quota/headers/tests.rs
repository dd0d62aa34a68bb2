//! Headers of every family, and what is read in them.

use super::*;
use crate::provider::quota::window::{Rhythm, Status, Unit, Window};
use crate::routing::lock::Scope;

/// 2026-09-21T14:13:20Z
const NOW: UnixMs = 1_790_000_000_000;
const NOW_S: i64 = NOW / 1_000;

fn read_as(family: ErrorFamily, status: u16, headers: &[(&str, &str)]) -> Option<Reading> {
    let cx = HeadersCx { now: NOW, status, family, model: "m" };
    Told::of(headers.iter().copied())?.read(&cx)
}

fn read(headers: &[(&str, &str)]) -> Reading {
    read_as(ErrorFamily::Generic, 200, headers).expect("it tells something")
}

fn window<'r>(reading: &'r Reading, name: &str) -> &'r Window {
    let found = reading.windows.iter().find(|window| window.name == name);
    found.unwrap_or_else(|| panic!("no {name} in {reading:?}"))
}

fn family(name: &str) -> Scope {
    Scope::Family(name.to_owned())
}

fn unified<'h>(pairs: &[(&'h str, &'h str)]) -> Vec<(String, String)> {
    let name = |rest: &str| format!("anthropic-ratelimit-unified-{rest}");
    pairs.iter().map(|(rest, value)| (name(rest), (*value).to_owned())).collect()
}

fn read_unified(status: u16, pairs: &[(&str, &str)]) -> Reading {
    let pairs = unified(pairs);
    let headers: Vec<_> = pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    read_as(ErrorFamily::Anthropic, status, &headers).expect("it tells something")
}

#[test]
fn ordinary_headers_tell_nothing() {
    let ordinary = [
        "content-type",
        "date",
        "x-request-id",
        "request-id",
        "retry-after",
        "anthropic-organization-id",
        "openai-processing-ms",
        "server",
        "",
    ];
    for name in ordinary {
        assert!(!is_told_by(name), "{name}");
        assert!(Told::of([(name, "1")].into_iter()).is_none());
    }
}

#[test]
fn a_subscription_tells_its_windows() {
    let reset = (NOW_S + 3_600).to_string();
    let week = (NOW_S + 400_000).to_string();
    let reading = read_unified(
        200,
        &[
            ("status", "allowed"),
            ("reset", &reset),
            ("representative-claim", "five_hour"),
            ("5h-status", "allowed"),
            ("5h-utilization", "0.42"),
            ("5h-reset", &reset),
            ("7d-status", "allowed_warning"),
            ("7d-utilization", "0.1"),
            ("7d-reset", &week),
            ("7d_opus-status", "allowed"),
            ("7d_opus-utilization", "0.97"),
            ("7d_brand_new-utilization", "0.5"),
            ("fallback", "available"),
            ("fallback-percentage", "0.5"),
            ("overage-status", "rejected"),
            ("overage-disabled-reason", "org_level_disabled"),
            ("upgrade-paths", "upgrade_plan"),
        ],
    );
    assert_eq!(reading.windows.len(), 4, "{reading:?}");
    let session = window(&reading, "5h");
    assert_eq!((session.percent, session.status), (Some(42.0), Status::Ok));
    assert_eq!((session.resets_at, session.window_seconds), (Some(NOW + 3_600_000), Some(18_000)));
    assert_eq!((&session.scope, session.observed_at), (&Scope::All, NOW));
    assert_eq!(window(&reading, "7d").status, Status::Low, "a warning is at least low");
    let opus = window(&reading, "7d_opus");
    assert_eq!((&opus.scope, opus.status), (&family("opus"), Status::Critical));
    assert_eq!(window(&reading, "7d_brand_new").scope, family("brand_new"));
    assert_eq!(reading.overage, None);
}

#[test]
fn utilization_is_a_fraction_unless_it_can_only_be_a_percent() {
    let table = [
        ("0", Some(0.0)),
        ("0.5", Some(50.0)),
        ("1.0", Some(100.0)),
        ("1.03", Some(100.0)),
        ("2", Some(100.0)),
        ("2.5", Some(2.5)),
        ("37", Some(37.0)),
        ("250", Some(100.0)),
        ("-1", None),
        ("NaN", None),
        ("much", None),
        ("", None),
    ];
    for (text, want) in table {
        let reading = read_unified(200, &[("5h-utilization", text)]);
        assert_eq!(window(&reading, "5h").percent, want, "{text}");
    }
}

#[test]
fn the_vendors_word_stands_before_the_numbers() {
    for word in ["rejected", "REJECTED", "throttled"] {
        let reading = read_unified(429, &[("5h-status", word), ("5h-utilization", "0.9")]);
        assert_eq!(window(&reading, "5h").status, Status::Exhausted, "{word}");
        assert_eq!(reading.overage, None, "nothing was served");
    }
    // The whole is rejected and the claim says which window that is.
    let reset = (NOW_S + 60).to_string();
    let reading = read_unified(
        429,
        &[
            ("status", "rejected"),
            ("reset", &reset),
            ("representative-claim", "seven_day_opus"),
            ("5h-status", "allowed"),
            ("7d_opus-utilization", "0.99"),
        ],
    );
    assert_eq!(window(&reading, "5h").status, Status::Unknown);
    let opus = window(&reading, "7d_opus");
    assert_eq!((opus.status, opus.resets_at), (Status::Exhausted, Some(NOW + 60_000)));
}

#[test]
fn use_beyond_the_plan_shows_on_a_success_alone() {
    let reset = (NOW_S + 60).to_string();
    let spent = [
        ("status", "allowed"),
        ("5h-status", "rejected"),
        ("5h-reset", &reset),
        ("7d-status", "allowed"),
        ("overage-status", "allowed"),
    ];
    let overage = read_unified(200, &spent).overage.expect("it is billed");
    assert_eq!((overage.scope, overage.until), (Scope::All, Some(NOW + 60_000)));
    assert!(window(&read_unified(200, &spent), "5h").overage);
    assert_eq!(read_unified(429, &spent).overage, None);
    // The last request of a window is not beyond it.
    let last = read_unified(
        200,
        &[("5h-status", "allowed_warning"), ("5h-utilization", "1"), ("overage-status", "allowed")],
    );
    assert_eq!(last.overage, None);
    assert!(window(&last, "5h").overage, "the next one would be");
    // Allowed, but not used.
    let left = read_unified(200, &[("5h-status", "allowed"), ("overage-status", "allowed")]);
    assert_eq!(left.overage, None);
    let family_only =
        read_unified(200, &[("7d_opus-status", "rejected"), ("overage-status", "allowed_warning")]);
    assert_eq!(family_only.overage.map(|o| o.scope), Some(family("opus")));
    // The flag alone.
    let flag = read_unified(200, &[("overage-in-use", "true"), ("reset", &reset)]).overage;
    assert_eq!(flag.map(|o| (o.scope, o.until)), Some((Scope::All, Some(NOW + 60_000))));
}

#[test]
fn a_key_tells_rate_limits_per_minute() {
    let reading = read(&[
        ("anthropic-ratelimit-requests-limit", "50"),
        ("anthropic-ratelimit-requests-remaining", "0"),
        ("anthropic-ratelimit-requests-reset", "2026-09-21T14:13:50Z"),
        ("anthropic-ratelimit-input-tokens-limit", "40000"),
        ("anthropic-ratelimit-input-tokens-remaining", "30000"),
        ("anthropic-ratelimit-output-tokens-reset", "2026-09-21T14:13:50Z"),
        ("anthropic-organization-id", "x"),
    ]);
    assert_eq!(reading.windows.len(), 2, "{reading:?}");
    let requests = window(&reading, "requests");
    assert_eq!((requests.used, requests.limit), (Some(50.0), Some(50.0)));
    assert_eq!((requests.status, requests.rhythm), (Status::Exhausted, Rhythm::Throttle));
    assert_eq!(requests.resets_at, Some(NOW + 30_000));
    assert_eq!(requests.scope, Scope::Model("m".to_owned()), "limits are per model");
    assert!(requests.is_momentary());
    assert_eq!(window(&reading, "input-tokens").percent, Some(25.0));
}

#[test]
fn openai_like_hosts_tell_requests_and_tokens_with_any_suffix() {
    let reading = read(&[
        ("x-ratelimit-limit-requests", "60"),
        ("x-ratelimit-remaining-requests", "59"),
        ("x-ratelimit-reset-requests", "1.2s"),
        ("x-ratelimit-remaining-tokens", "149984"),
        ("x-ratelimit-limit-tokens", "150000"),
        ("x-ratelimit-reset-tokens", "6m0s"),
        ("x-ratelimit-limit-requests-day", "1000"),
        ("x-ratelimit-remaining-requests-day", "250"),
        ("x-ratelimit-limit-tokens-minute", "60000"),
        ("x-ratelimit-remaining-tokens-minute", "60000"),
        ("x-ratelimit-reset-project-quota", "3"),
    ]);
    assert_eq!(reading.windows.len(), 4, "{reading:?}");
    let requests = window(&reading, "requests");
    assert_eq!((requests.unit, requests.resets_at), (Unit::Requests, Some(NOW + 1_200)));
    assert_eq!(window(&reading, "tokens").resets_at, Some(NOW + 360_000));
    let day = window(&reading, "requests-day");
    assert_eq!((day.percent, day.window_seconds), (Some(75.0), Some(86_400)));
    assert_eq!(day.label, "Requests per day");
    assert!(!day.is_momentary() && window(&reading, "tokens-minute").is_momentary());
}

#[test]
fn groqs_names_stand_for_a_day_and_a_minute() {
    let headers = [
        ("x-ratelimit-limit-requests", "14400"),
        ("x-ratelimit-remaining-requests", "14370"),
        ("x-ratelimit-limit-tokens", "18000"),
        ("x-ratelimit-remaining-tokens", "17997"),
    ];
    let lengths = |family| {
        let reading = read_as(family, 200, &headers).unwrap();
        ["requests", "tokens"].map(|name| window(&reading, name).window_seconds)
    };
    assert_eq!(lengths(ErrorFamily::Groq), [Some(86_400), Some(60)]);
    assert_eq!(lengths(ErrorFamily::OpenAi), [None, None]);
}

#[test]
fn codex_windows_are_named_by_length_and_limits_by_id() {
    let reset = (NOW_S + 900).to_string();
    let reading = read(&[
        ("x-codex-plan-type", "plus"),
        ("x-codex-primary-used-percent", "12.5"),
        ("x-codex-primary-window-minutes", "300"),
        ("x-codex-primary-reset-at", &reset),
        ("x-codex-secondary-used-percent", "40"),
        ("x-codex-secondary-window-minutes", "10080"),
        ("x-codex-secondary-reset-after-seconds", "3600"),
        ("x-codex-primary-over-secondary-limit-percent", "30"),
        ("x-codex-codex_review-primary-used-percent", "100"),
        ("x-codex-codex_review-primary-window-minutes", "10080"),
        ("x-codex-credits-has-credits", "false"),
        ("x-codex-credits-balance", "0"),
        ("x-codex-active-limit", "codex"),
    ]);
    assert_eq!(reading.plan.as_deref(), Some("plus"));
    assert_eq!(reading.windows.len(), 3, "{reading:?}");
    let session = window(&reading, "5h");
    assert_eq!((session.percent, session.resets_at), (Some(12.5), Some(NOW + 900_000)));
    assert_eq!(window(&reading, "7d").resets_at, Some(NOW + 3_600_000));
    let review = window(&reading, "7d_review");
    assert_eq!((&review.scope, review.status), (&family("review"), Status::Exhausted));
    assert_eq!(reading.overage, None);
    assert_eq!(reading.credits.map(|c| c.amount), Some(Some(0.0)));
}

#[test]
fn codex_credits_pay_when_the_window_is_full() {
    let reset = (NOW_S + 900).to_string();
    let headers = [
        ("x-codex-primary-used-percent", "100"),
        ("x-codex-primary-window-minutes", "300"),
        ("x-codex-primary-reset-at", reset.as_str()),
        ("x-codex-credits-has-credits", "true"),
        ("x-codex-credits-balance", "12.5"),
    ];
    let full = |status| read_as(ErrorFamily::Codex, status, &headers).unwrap();
    let overage = full(200).overage.map(|o| (o.scope, o.until));
    assert_eq!(overage, Some((Scope::All, Some(NOW + 900_000))));
    assert_eq!(full(429).overage, None);
    // The free plan has its week in the first place, and nothing in the second.
    let free = read(&[
        ("x-codex-primary-used-percent", "3"),
        ("x-codex-primary-window-minutes", "10080"),
        ("x-codex-secondary-used-percent", "0"),
    ]);
    assert_eq!(free.windows.iter().map(|w| &*w.name).collect::<Vec<_>>(), ["7d"]);
}

#[test]
fn copilot_tells_what_is_left() {
    let reading = read(&[
        (
            "x-quota-snapshot-premium_interactions",
            "ent=300&rem=83.3&ov=0.0&ovPerm=false&rst=2026-10-01T00%3A00%3A00Z",
        ),
        ("x-quota-snapshot-chat", "ent=-1&rem=100&ov=0&ovPerm=false&rst=2026-10-01T00%3A00%3A00Z"),
    ]);
    let premium = window(&reading, "premium_interactions");
    assert_eq!(premium.scope, family("premium"));
    assert!((premium.percent.unwrap() - 16.7).abs() < 1e-9);
    assert_eq!((premium.limit, premium.status), (Some(300.0), Status::Ok));
    assert_eq!(premium.resets_at, Some(1_790_812_800_000));
    let chat = window(&reading, "chat");
    assert!(chat.unlimited);
    assert_eq!((chat.percent, chat.status), (None, Status::Ok));
    let spent = |permits: bool| {
        let value = format!("ent=300&rem=0&ov=2&ovPerm={permits}");
        let headers = [("x-quota-snapshot-premium_models", value.as_str())];
        read_as(ErrorFamily::Copilot, 200, &headers).unwrap()
    };
    assert_eq!(spent(true).overage.map(|o| o.scope), Some(family("premium")));
    assert_eq!(spent(false).overage, None);
    assert_eq!(window(&spent(false), "premium_models").status, Status::Exhausted);
}

#[test]
fn a_single_limit_is_read_in_every_notation() {
    let ms = (NOW + 30_000).to_string();
    let table: [&[(&str, &str)]; 5] = [
        &[("x-ratelimit-limit", "100"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", &ms)],
        &[
            ("x-ratelimit-limit", "100"),
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset-after", "30"),
        ],
        &[
            ("ratelimit-limit", "100, 100;w=60"),
            ("ratelimit-remaining", "0"),
            ("ratelimit-reset", "30"),
        ],
        &[("ratelimit", "limit=100, remaining=0, reset=30")],
        &[("ratelimit", "\"default\";q=100;r=0;t=30")],
    ];
    for headers in table {
        let reading = read(headers);
        let requests = window(&reading, "requests");
        assert_eq!(requests.status, Status::Exhausted, "{headers:?}");
        assert_eq!(requests.resets_at, Some(NOW + 30_000), "{headers:?}");
        assert_eq!(requests.limit, Some(100.0), "{headers:?}");
    }
}

#[test]
fn the_first_value_of_a_duplicate_counts_and_nonsense_is_nothing() {
    let reading = read(&[
        ("x-ratelimit-limit-requests", "60"),
        ("x-ratelimit-limit-requests", "1"),
        ("x-ratelimit-remaining-requests", "30"),
    ]);
    assert_eq!(window(&reading, "requests").limit, Some(60.0));
    let nonsense: [&[(&str, &str)]; 6] = [
        &[("anthropic-ratelimit-unified-", "x")],
        &[("anthropic-ratelimit-unified-status", "allowed")],
        &[("anthropic-ratelimit-unified-éh-status", "x")],
        &[("x-codex-primary-used-percent", "NaN")],
        &[("x-quota-snapshot-", "%%%")],
        &[("x-ratelimit-limit-requests", "-1"), ("ratelimit", ";;==")],
    ];
    for headers in nonsense {
        let read = read_as(ErrorFamily::Generic, 200, headers);
        assert_eq!(read, None, "{headers:?}");
    }
}
