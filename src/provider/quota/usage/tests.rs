//! Usage pages: the shapes of accounts §4.2, and what is read in them.

use serde_json::json;

use super::*;
use crate::provider::beside::BesideCx;
use crate::provider::catalog::Catalog;
use crate::provider::quota::window::{Status, Unit, Window};
use crate::provider::quota::{Credits, Reading};
use crate::routing::lock::Scope;

/// 2026-09-21T14:13:20Z
const NOW: UnixMs = 1_790_000_000_000;

fn try_read(id: &str, body: &Value) -> Result<Reading, NotUsage> {
    let catalog = Catalog::builtin().unwrap();
    let provider = catalog.by_id(id).unwrap();
    let style = Style::of(provider).unwrap_or_else(|| panic!("{id} has a usage page"));
    parse(style, provider, body.to_string().as_bytes(), NOW)
}

fn read(id: &str, body: &Value) -> Reading {
    try_read(id, body).unwrap_or_else(|_| panic!("{id}: {body}"))
}

fn window<'r>(reading: &'r Reading, name: &str) -> &'r Window {
    let found = reading.windows.iter().find(|window| window.name == name);
    found.unwrap_or_else(|| panic!("no {name} in {reading:?}"))
}

fn names(reading: &Reading) -> Vec<&str> {
    reading.windows.iter().map(|window| &*window.name).collect()
}

fn family(name: &str) -> Scope {
    Scope::Family(name.to_owned())
}

#[test]
fn claude_tells_the_session_the_week_and_families() {
    let reading = read(
        "claude",
        &json!({
            "five_hour": {"utilization": 37.0, "resets_at": "2026-09-21T15:00:00.1+00:00"},
            "seven_day": {"utilization": 61.0, "resets_at": "2026-09-25T00:00:00Z"},
            "seven_day_opus": null,
            "seven_day_sonnet": {"utilization": 4.0, "resets_at": null},
            "seven_day_oauth_apps": null,
            "seven_day_next": {"utilization": null, "resets_at": "2026-09-25T00:00:00Z"},
            "extra_usage": {"is_enabled": true, "monthly_limit": 50, "used_credits": 12.5, "utilization": 25.0},
            "something_else": {"utilization": 99.0},
        }),
    );
    assert_eq!(names(&reading), ["5h", "7d", "7d_sonnet", "7d_next"]);
    let session = window(&reading, "5h");
    assert_eq!((session.percent, session.window_seconds), (Some(37.0), Some(18_000)));
    assert_eq!(session.resets_at, Some(NOW + 2_800_100));
    assert_eq!((session.observed_at, session.source), (NOW, Source::Endpoint));
    assert_eq!(window(&reading, "7d_sonnet").scope, family("sonnet"));
    assert_eq!(window(&reading, "7d_next").status, Status::Unknown);
    assert_eq!(reading.credits.unwrap().amount, Some(37.5));
    // A percent, never a fraction: 0.4 is less than one.
    let little = read("claude", &json!({"five_hour": {"utilization": 0.4}}));
    assert_eq!(window(&little, "5h").percent, Some(0.4));
}

#[test]
fn codex_names_windows_by_length() {
    let reading = read(
        "codex",
        &json!({
            "plan_type": "plus",
            "rate_limit": {"allowed": true, "limit_reached": false,
                "primary_window": {"used_percent": 12, "limit_window_seconds": 18_000,
                    "reset_after_seconds": 900, "reset_at": NOW / 1_000 + 901},
                "secondary_window": {"used_percent": 40, "limit_window_seconds": 604_800,
                    "reset_after_seconds": 3_600}},
            "code_review_rate_limit": {"limit_reached": true,
                "primary_window": {"used_percent": 99, "limit_window_seconds": 604_800}},
            "additional_rate_limits": [{"limit_name": "example-spark", "metered_feature": "example",
                "rate_limit": {"limit_reached": false,
                    "primary_window": {"used_percent": 0, "limit_window_seconds": 18_000}}}],
            "credits": {"has_credits": false, "unlimited": false, "balance": "0"},
            "rate_limit_reset_credits": {"available_count": 0},
        }),
    );
    assert_eq!(names(&reading), ["5h", "7d", "7d_review", "5h_example-spark"]);
    assert_eq!(window(&reading, "5h").resets_at, Some(NOW + 901_000));
    assert_eq!(window(&reading, "7d").resets_at, Some(NOW + 3_600_000));
    let review = window(&reading, "7d_review");
    assert_eq!((&review.scope, review.status), (&family("review"), Status::Exhausted));
    assert_eq!(window(&reading, "5h_example-spark").scope, family("example-spark"));
    assert_eq!(reading.plan.as_deref(), Some("plus"));
    let none = Credits { amount: Some(0.0), unit: Unit::Credits, unlimited: false };
    assert_eq!(reading.credits, Some(none));
}

#[test]
fn codex_is_read_in_its_variants() {
    let free = read(
        "codex",
        &json!({"rate_limits": {
        "primary": {"remaining_percent": "25", "window_minutes": 43_200, "resetAt": "2026-10-01T00:00:00Z"},
        "secondary": null}}),
    );
    assert_eq!(names(&free), ["30d"]);
    assert_eq!(window(&free, "30d").percent, Some(75.0));
    let by_id = read(
        "codex",
        &json!({"rate_limits_by_limit_id": {
        "codex": {"primary_window": {"percent_used": 3, "limit_window_seconds": 5_400}},
        "codex_other": {"primary_window": {"used_percent": 9, "limit_window_seconds": 18_000}}}}),
    );
    assert_eq!(names(&by_id), ["90m", "5h_other"]);
    // Reached, although no window says 100: the fullest one, and of equals the last to reset.
    let reached = read(
        "codex",
        &json!({"rate_limit": {"limit_reached": true,
        "primary_window": {"used_percent": 99, "limit_window_seconds": 18_000, "reset_after_seconds": 60},
        "secondary_window": {"used_percent": 99, "limit_window_seconds": 604_800, "reset_after_seconds": 600}}}),
    );
    assert_eq!(window(&reached, "5h").status, Status::Critical);
    assert_eq!(window(&reached, "7d").status, Status::Exhausted);
    // Credits pay for what is beyond the plan.
    let paid = read(
        "codex",
        &json!({"credits": {"has_credits": true, "balance": "7"},
        "rate_limit": {"primary_window": {"used_percent": 100, "limit_window_seconds": 18_000}}}),
    );
    assert!(window(&paid, "5h").overage);
}

#[test]
fn gemini_cli_tells_buckets_per_model() {
    let reading = read(
        "gemini-cli",
        &json!({"buckets": [
            {"modelId": "gemini-2.5-pro", "tokenType": "REQUESTS", "remainingFraction": 0.93,
                "remainingAmount": "930", "resetTime": "2026-09-22T00:00:00Z"},
            {"modelId": "gemini-2.5-flash", "tokenType": "TOKENS", "remainingFraction": "0.5"},
            {"modelId": "gone", "resetTime": "2026-09-22T00:00:00Z"},
            {"tokenType": "REQUESTS", "remainingFraction": 1},
            null,
        ]}),
    );
    assert_eq!(names(&reading), ["gemini-2.5-pro", "gemini-2.5-flash:tokens", "gone"]);
    let pro = window(&reading, "gemini-2.5-pro");
    assert!((pro.percent.unwrap() - 7.0).abs() < 1e-9);
    assert_eq!(pro.scope, Scope::Model("gemini-2.5-pro".to_owned()));
    assert_eq!(window(&reading, "gone").status, Status::Exhausted);
}

#[test]
fn antigravity_leaves_a_zero_out() {
    let reading = read(
        "antigravity",
        &json!({"models": {
        "a": {"displayName": "A", "quotaInfo": {"remainingFraction": 0.5, "resetTime": "2026-09-22T00:00:00Z"}},
        "b": {"quotaInfo": {"resetTime": "2026-09-22T00:00:00Z"}},
        "c": {"quotaInfo": {}},
        "d": {"quotaInfo": {"remainingFraction": 0.4, "isExhausted": true}},
        "e": {"isInternal": true, "quotaInfo": {"remainingFraction": 0.5}},
        "f": {"displayName": "no quota"},
    }, "paidTier": {"availableCredits": [{"creditType": "GOOGLE_ONE_AI", "creditAmount": "500"}]}}),
    );
    assert_eq!(names(&reading), ["a", "b", "c", "d"]);
    let statuses: Vec<_> = reading.windows.iter().map(|w| (w.percent, w.status)).collect();
    assert_eq!(
        statuses,
        [
            (Some(50.0), Status::Ok),
            (Some(100.0), Status::Exhausted),
            (None, Status::Unknown),
            (Some(60.0), Status::Exhausted),
        ]
    );
    assert_eq!(window(&reading, "a").label, "A");
    assert_eq!(reading.credits.unwrap().amount, Some(500.0));
}

#[test]
fn copilot_tells_what_is_left_paid_and_free() {
    let paid = read(
        "github",
        &json!({"copilot_plan": "individual", "quota_reset_date": "2026-10-01",
        "quota_snapshots": {
            "premium_interactions": {"entitlement": 300, "remaining": 250, "quota_remaining": 250.4,
                "percent_remaining": 83.3, "unlimited": false, "overage_count": 0, "overage_permitted": false},
            "chat": {"unlimited": true}, "completions": {"unlimited": true}}}),
    );
    let premium = window(&paid, "premium_interactions");
    assert_eq!(premium.scope, family("premium"));
    assert!((premium.used.unwrap() - 49.6).abs() < 1e-9);
    assert_eq!(premium.resets_at, Some(1_790_812_800_000));
    assert!(window(&paid, "chat").unlimited);
    assert_eq!(window(&paid, "completions").scope, Scope::Feature("completions".to_owned()));
    let free = read(
        "github",
        &json!({"access_type_sku": "free_limited_copilot",
        "monthly_quotas": {"chat": 500, "completions": 4000},
        "limited_user_quotas": {"chat": 480, "completions": 3990},
        "limited_user_reset_date": "2026-10-01"}),
    );
    let chat = window(&free, "chat");
    assert_eq!(
        (chat.used, chat.percent),
        (Some(20.0), Some(4.0)),
        "what is told is left, not used"
    );
    assert_eq!(free.plan.as_deref(), Some("free_limited_copilot"));
    let over = read(
        "github",
        &json!({"quota_snapshots": {"premium_interactions":
        {"entitlement": 300, "quota_remaining": 0, "overage_permitted": true}}}),
    );
    assert!(window(&over, "premium_interactions").overage);
}

#[test]
fn kiro_is_used_up_when_every_pot_is() {
    let kiro = |base: f64, trial: &str, bonus: f64, overage: &str| {
        read(
            "kiro",
            &json!({"usageBreakdownList": [{"resourceType": "CREDIT",
            "currentUsageWithPrecision": base, "usageLimitWithPrecision": 50,
            "freeTrialInfo": {"currentUsageWithPrecision": 500, "usageLimitWithPrecision": 500,
                "freeTrialStatus": trial, "freeTrialExpiry": NOW / 1_000 + 1},
            "bonuses": [{"currentUsage": bonus, "usageLimit": 10, "status": "ACTIVE"}]}],
            "nextDateReset": f64::from(u32::try_from(NOW / 1_000).unwrap()) + 60.0,
            "subscriptionInfo": {"subscriptionTitle": "KIRO FREE"},
            "overageConfiguration": {"overageStatus": overage}}),
        )
    };
    let some = kiro(12.5, "ACTIVE", 10.0, "DISABLED");
    let credit = window(&some, "credit");
    assert_eq!((credit.used, credit.limit), (Some(522.5), Some(560.0)));
    assert_eq!((credit.unit, credit.resets_at), (Unit::Credits, Some(NOW + 60_000)));
    assert_eq!(some.plan.as_deref(), Some("KIRO FREE"));
    let expired = kiro(12.5, "EXPIRED", 0.0, "DISABLED");
    assert_eq!(window(&expired, "credit").limit, Some(60.0));
    let bonus_left = kiro(50.0, "ACTIVE", 9.0, "DISABLED");
    assert_ne!(window(&bonus_left, "credit").status, Status::Exhausted);
    let spent = kiro(50.0, "ACTIVE", 10.0, "DISABLED");
    let spent = window(&spent, "credit");
    assert_eq!((spent.status, spent.overage), (Status::Exhausted, false));
    assert!(window(&kiro(50.0, "ACTIVE", 10.0, "ENABLED"), "credit").overage);
}

#[test]
fn kimi_tells_a_week_and_windows_by_duration() {
    let reading = read(
        "kimi-coding",
        &json!({
        "usage": {"limit": "1000", "used": "20", "remaining": "980", "resetTime": "2026-09-28T00:00:00Z"},
        "limits": [{"window": {"duration": 300, "timeUnit": "TIME_UNIT_MINUTE"},
            "detail": {"limit": "200", "remaining": "50", "resetTime": "2026-09-21T16:00:00Z"}},
            {"window": {"duration": 7, "timeUnit": "TIME_UNIT_DAY"}, "detail": {"limit": 1}},
            {"window": null, "detail": {"limit": "5", "remaining": "0"}}],
        "user": {"membership": {"level": "LEVEL_BASIC"}}}),
    );
    assert_eq!(names(&reading), ["7d", "5h", "limit"]);
    assert_eq!(window(&reading, "7d").percent, Some(2.0));
    let session = window(&reading, "5h");
    assert_eq!((session.percent, session.window_seconds), (Some(75.0), Some(18_000)));
    assert_eq!(window(&reading, "limit").status, Status::Exhausted);
    assert_eq!(reading.plan.as_deref(), Some("LEVEL_BASIC"));
}

#[test]
fn zai_tells_hours_weeks_and_tools() {
    let reading = read(
        "glm",
        &json!({"code": 200, "data": {"level": "pro", "limits": [
        {"type": "TOKENS_LIMIT", "unit": 3, "number": 5, "percentage": 40, "nextResetTime": NOW + 60_000},
        {"type": "TOKENS_LIMIT", "unit": 6, "number": 1, "percentage": "100"},
        {"type": "TIME_LIMIT", "unit": 5, "number": 1, "percentage": 100},
        {"unit": 3}]}}),
    );
    assert_eq!(names(&reading), ["5h", "7d", "tools"]);
    let session = window(&reading, "5h");
    assert_eq!((session.percent, session.resets_at), (Some(40.0), Some(NOW + 60_000)));
    assert_eq!(window(&reading, "7d").status, Status::Exhausted);
    assert_eq!(window(&reading, "tools").scope, Scope::Feature("tools".to_owned()));
    assert_eq!(reading.plan.as_deref(), Some("pro"));
}

#[test]
fn minimax_counts_mean_the_opposite_on_its_two_pages() {
    let body = json!({"base_resp": {"status_code": 0}, "model_remains": [
        {"model_name": "MiniMax-M*", "start_time": NOW - 3_600_000, "end_time": NOW + 14_400_000,
            "remains_time": 14_400_000, "current_interval_total_count": 1500,
            "current_interval_usage_count": 1490, "current_weekly_total_count": 0},
        {"model_name": "image-01", "current_interval_total_count": 10,
            "current_interval_usage_count": 10, "remains_time": 60_000}]});
    let used = |id: &str| window(&read(id, &body), "5h").used;
    assert_eq!(used("minimax"), Some(1490.0));
    assert_eq!(used("minimax-cn"), Some(10.0));
    let reading = read("minimax", &body);
    assert_eq!(names(&reading), ["5h", "interval_image-01"]);
    let image = window(&reading, "interval_image-01");
    assert_eq!(
        (&image.scope, image.resets_at),
        (&Scope::Feature("image-01".to_owned()), Some(NOW + 60_000))
    );
    let told = json!({"model_remains": [{"model_name": "MiniMax-M*",
        "current_interval_total_count": 1500, "current_interval_usage_count": 1490,
        "current_interval_remaining_percent": 20, "current_weekly_remaining_percent": 70}]});
    for id in ["minimax", "minimax-cn"] {
        let reading = read(id, &told);
        assert_eq!(window(&reading, "interval").percent, Some(80.0), "{id}");
        assert_eq!(window(&reading, "7d").percent, Some(30.0), "{id}");
    }
    let refused = json!({"base_resp": {"status_code": 1004}, "model_remains": []});
    assert_eq!(try_read("minimax", &refused), Err(NotUsage));
}

#[test]
fn balances_are_credits() {
    let deepseek = |available: bool| {
        read(
            "deepseek",
            &json!({"is_available": available, "balance_infos": [
            {"currency": "CNY", "total_balance": "0.00"}, {"currency": "USD", "total_balance": "12.50"}]}),
        )
    };
    let credits = Credits { amount: Some(12.5), unit: Unit::Usd, unlimited: false };
    assert_eq!(deepseek(true).credits, Some(credits));
    assert_eq!(window(&deepseek(true), "balance").status, Status::Ok);
    assert_eq!(window(&deepseek(false), "balance").status, Status::Exhausted);
    let router = read("openrouter", &json!({"data": {"total_credits": 10.0, "total_usage": 12.0}}));
    assert_eq!(router.credits.unwrap().amount, Some(-2.0));
    assert!(router.windows.is_empty(), "free models need no credits");
    let key = read(
        "openrouter",
        &json!({"data": {"limit": 20, "limit_remaining": 5, "usage": 15,
        "is_free_tier": true, "rate_limit": {}}}),
    );
    assert_eq!((window(&key, "key").percent, key.plan.as_deref()), (Some(75.0), Some("free")));
    let endless =
        read("openrouter", &json!({"data": {"limit": null, "limit_remaining": null, "usage": 3}}));
    assert!(endless.windows.is_empty());
    let moonshot = read("moonshot", &json!({"data": {"available_balance": 49.5}}));
    assert_eq!(moonshot.credits.unwrap().amount, Some(49.5));
    let vercel = read("vercel-ai-gateway", &json!({"balance": "95.50", "total_used": "4.50"}));
    assert_eq!(vercel.credits.unwrap().amount, Some(95.5));
    let ollama =
        read("ollama", &json!({"limits": {"session": {"usage": 0.25}, "weekly": {"usage": 1}}}));
    assert_eq!(window(&ollama, "session").percent, Some(25.0));
    assert_eq!(window(&ollama, "7d").status, Status::Exhausted);
}

/// Every provider with a page.
fn all() -> Vec<String> {
    let catalog = Catalog::builtin().unwrap();
    let with = |p: &&std::sync::Arc<Provider>| has_usage(p);
    catalog.providers().filter(with).map(|p| p.id.to_string()).collect()
}

#[test]
fn what_is_no_usage_page_is_refused_and_nothing_panics() {
    let providers = all();
    assert!(providers.len() >= 14, "{providers:?}");
    let odd = [
        json!(null),
        json!(true),
        json!(3),
        json!("text"),
        json!([]),
        json!({}),
        json!({"error": {"message": "no"}}),
        json!({"data": null}),
        json!({"data": {"limits": 3}}),
        json!({"five_hour": 3}),
        json!({"rate_limit": []}),
        json!({"models": {"a": null, "b": {"quotaInfo": []}}}),
        json!({"buckets": [null, 1, {}]}),
        json!({"usageBreakdownList": [null, {}, {"bonuses": [null]}]}),
        json!({"usage": {"limit": "NaN", "used": -3}, "limits": [null, {"detail": 3}]}),
        json!({"model_remains": [null, {"current_interval_total_count": "x"}]}),
        json!({"quota_snapshots": {"chat": null}, "limited_user_quotas": {"chat": "many"}}),
        json!({"balance_infos": [null, {"currency": 3}], "balance": [], "limits": {"session": 3}}),
    ];
    for id in &providers {
        for body in &odd {
            if let Ok(reading) = try_read(id, body) {
                for window in reading.windows {
                    let sane = window.percent.is_none_or(|p| (0.0..=100.0).contains(&p));
                    assert!(sane, "{id} {body}");
                }
            }
        }
        for body in [json!(null), json!(3), json!([]), json!({}), json!({"error": "no"})] {
            assert_eq!(try_read(id, &body), Err(NotUsage), "{id} {body}");
        }
        let catalog = Catalog::builtin().unwrap();
        let provider = catalog.by_id(id).unwrap();
        let style = Style::of(provider).unwrap();
        assert_eq!(parse(style, provider, b"<html>", NOW), Err(NotUsage), "{id}");
    }
}

mod requests {
    use super::*;
    use crate::provider::credential::Credential;
    use crate::provider::request::{Moment, ShapeError};
    use crate::routing::account::{AccountConfig, AccountKind};
    use crate::secret::Secret;

    fn request(id: &str, credential: &Credential) -> Result<Option<UsageRequest>, ShapeError> {
        let catalog = Catalog::builtin().unwrap();
        let provider = catalog.by_id(id).unwrap();
        let account = AccountConfig {
            params: vec![
                ("account_id".to_owned(), "acc-1".to_owned()),
                ("project".to_owned(), "p-1".to_owned()),
                ("profile_arn".to_owned(), "arn:aws:x/y".to_owned()),
                ("device_id".to_owned(), "device".to_owned()),
            ],
            ..AccountConfig::new(provider.id.clone(), AccountKind::OAuth, "a".to_owned())
        };
        let moment = Moment { now: NOW, nonce: [7; 16], public_url: None, hostname: Some("host") };
        usage_request(&BesideCx {
            provider,
            account: &account,
            credential,
            extra_headers: &[],
            moment,
        })
    }

    fn token() -> Credential {
        Credential { access_token: Some(Secret::new("tok".to_owned())), ..Credential::default() }
    }

    fn key(text: &str) -> Credential {
        Credential { api_key: Some(Secret::new(text.to_owned())), ..Credential::default() }
    }

    fn asked(id: &str, credential: &Credential) -> UsageRequest {
        request(id, credential).unwrap().unwrap_or_else(|| panic!("{id} has a usage page"))
    }

    fn header<'r>(request: &'r UsageRequest, name: &str) -> Option<&'r str> {
        let mut found = request.headers.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str());
        let first = found.next();
        assert_eq!(found.next(), None, "{name} twice");
        first
    }

    #[test]
    fn each_page_is_asked_at_its_address_with_its_credential() {
        let table = [
            ("claude", "https://api.anthropic.com/api/oauth/usage", "Bearer tok"),
            ("codex", "https://chatgpt.com/backend-api/wham/usage", "Bearer tok"),
            (
                "gemini-cli",
                "https://cloudcode-pa.googleapis.com/v1internal:retrieveUserQuota",
                "Bearer tok",
            ),
            (
                "antigravity",
                "https://daily-cloudcode-pa.googleapis.com/v1internal:fetchAvailableModels",
                "Bearer tok",
            ),
            ("github", "https://api.github.com/copilot_internal/user", "Token tok"),
            (
                "kiro",
                "https://codewhisperer.us-east-1.amazonaws.com/getUsageLimits?origin=AI_EDITOR&resourceType=AGENTIC_REQUEST&isEmailRequired=true&profileArn=arn%3Aaws%3Ax%2Fy",
                "Bearer tok",
            ),
            ("kimi-coding", "https://api.kimi.com/coding/v1/usages", "Bearer tok"),
            ("glm", "https://api.z.ai/api/monitor/usage/quota/limit", "tok"),
            ("minimax", "https://www.minimax.io/v1/token_plan/remains", "Bearer tok"),
            ("deepseek", "https://api.deepseek.com/user/balance", "Bearer tok"),
            ("openrouter", "https://openrouter.ai/api/v1/credits", "Bearer tok"),
        ];
        for (id, url, authorization) in table {
            let request = asked(id, &token());
            assert_eq!(request.url, url);
            assert_eq!(header(&request, "authorization"), Some(authorization), "{id}");
            assert_eq!(header(&request, "accept"), Some("application/json"), "{id}");
            assert_eq!(header(&request, "x-api-key"), None, "{id}");
            let posts = matches!(id, "gemini-cli" | "antigravity");
            assert_eq!(request.body.as_deref(), posts.then_some(r#"{"project":"p-1"}"#), "{id}");
            assert_eq!(header(&request, "content-type").is_some(), posts, "{id}");
            assert!(!format!("{request:?}").contains("tok\""), "the credential is not printed");
        }
    }

    #[test]
    fn what_a_page_needs_beside_the_credential_is_sent() {
        let claude = asked("claude", &token());
        assert_eq!(header(&claude, "anthropic-beta"), Some("oauth-2025-04-20"));
        assert_eq!(header(&claude, "anthropic-version"), Some("2023-06-01"));
        let codex = asked("codex", &token());
        assert_eq!(header(&codex, "chatgpt-account-id"), Some("acc-1"));
        let antigravity = asked("antigravity", &token());
        assert!(header(&antigravity, "user-agent").unwrap().starts_with("antigravity/"));
    }

    #[test]
    fn a_key_of_anthropic_has_no_usage_page() {
        assert_eq!(request("claude", &key("sk-ant-api03-x")), Ok(None));
        assert_eq!(request("openai", &key("sk-x")), Ok(None));
        let setup = asked("claude", &key("sk-ant-oat01-x"));
        assert_eq!(header(&setup, "authorization"), Some("Bearer sk-ant-oat01-x"));
    }

    #[test]
    fn without_a_credential_nothing_is_asked() {
        assert!(matches!(
            request("codex", &Credential::default()),
            Err(ShapeError::MissingCredential(_))
        ));
    }
}
