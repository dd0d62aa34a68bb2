//! Every row of every error table, hit and narrowly missed; the vectors of accounts §5.7.

use std::collections::BTreeSet;

use ninerouter_dialect::{UpstreamErrorBody, parse_error_body};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::clock::UnixMs;
use crate::routing::classify::{Class, Classified, Failure, Next, TransportFailure, classify};
use crate::routing::error_rule::ErrorRule;
use crate::routing::instant::{DAY, HOUR, MINUTE};
use crate::routing::lock::Scope;
use crate::routing::verdict::{Cooldown, Dead};

/// 2026-07-01T12:00:00Z
const T: UnixMs = 1_782_907_200_000;

/// An answer to be classified.
#[derive(Clone)]
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
    oauth: bool,
    model: &'static str,
    families: &'static [&'static str],
}

fn answer(status: u16, body: impl ToString) -> Answer {
    Answer {
        status,
        headers: Vec::new(),
        body: body.to_string(),
        oauth: false,
        model: "claude-opus-4-6",
        families: &["opus", "premium"],
    }
}

impl Answer {
    fn header(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    fn oauth(mut self) -> Self {
        self.oauth = true;
        self
    }

    fn model(mut self, model: &'static str) -> Self {
        self.model = model;
        self
    }

    fn classify(&self, family: ErrorFamily) -> Classified {
        self.classify_with(family, &[])
    }

    fn classify_with(&self, family: ErrorFamily, rules: &[ErrorRule]) -> Classified {
        let body = parse_error_body(self.status, None, self.body.as_bytes());
        let families: Vec<String> = self.families.iter().map(|f| (*f).to_owned()).collect();
        let headers = |name: &str| {
            self.headers.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_str())
        };
        classify(
            &Failure {
                provider: "p",
                family,
                status: Some(self.status),
                headers: &headers,
                body: Some(&body),
                transport: None,
                requested_model: "my-combo",
                upstream_model: self.model,
                canonical: self.model,
                families: &families,
                oauth: self.oauth,
                now: T,
            },
            rules,
        )
    }
}

/// `{"error":{"message":…}}`
fn says(text: &str) -> String {
    json!({"error": {"message": text}}).to_string()
}

/// `{"error":{"type":…,"message":"…"}}`
fn typed(name: &str, text: &str) -> String {
    json!({"error": {"type": name, "message": text}}).to_string()
}

/// `{"error":{"code":…,"message":"…"}}`
fn coded(code: &str) -> String {
    json!({"error": {"code": code, "message": "no"}}).to_string()
}

fn google(code: u16, status: &str, text: &str, details: &serde_json::Value) -> Answer {
    answer(
        code,
        json!({"error": {"code": code, "status": status, "message": text, "details": details}}),
    )
}

fn google_reason(code: u16, status: &str, reason: &str) -> Answer {
    google(code, status, "no", &json!([{"@type": "ErrorInfo", "reason": reason}]))
}

fn minimax(code: u16) -> Answer {
    answer(200, json!({"base_resp": {"status_code": code, "status_msg": "no"}}))
}

fn unified(rows: &[(&'static str, String)]) -> Answer {
    let mut out = answer(429, typed("rate_limit_error", "no"));
    for (name, value) in rows {
        out = out.header(name, value);
    }
    out
}

fn seconds(at: UnixMs) -> String {
    (at / 1_000).to_string()
}

/// (table, row id, an answer it is for, an answer it is barely not for)
#[expect(clippy::too_many_lines, reason = "one line or two per row of the tables")]
fn rows() -> Vec<(ErrorFamily, &'static str, Answer, Answer)> {
    use ErrorFamily::*;
    let retry = |ms: &str| json!([{"@type": "RetryInfo", "retryDelay": ms}]);
    let limit = |ms: &str| json!([{"@type": "ErrorInfo", "reason": "RATE_LIMIT_EXCEEDED"}, {"retryDelay": ms}]);
    let quota = |id: &str| json!([{"violations": [{"quotaId": id}]}, {"retryDelay": "31s"}]);
    let cursor = |code: &str| {
        answer(
            429,
            json!({"error": {"code": "resource_exhausted", "message": "Error",
                "details": [{"debug": {"error": code}}]}}),
        )
    };
    vec![
        // Anthropic
        (
            Anthropic,
            "anthropic.legacy.usage",
            answer(429, says("Claude AI usage limit reached|1782910800")),
            answer(429, says("Claude AI usage limit is near")),
        ),
        (
            Anthropic,
            "anthropic.401.expired",
            answer(401, typed("authentication_error", "OAuth token has expired.")).oauth(),
            answer(401, typed("authentication_error", "no")).oauth(),
        ),
        (
            Anthropic,
            "anthropic.401.key",
            answer(401, typed("authentication_error", "invalid x-api-key")),
            answer(400, typed("invalid_request_error", "invalid x-api-key")),
        ),
        (
            Anthropic,
            "anthropic.403.revoked",
            answer(403, typed("permission_error", "OAuth token has been revoked.")).oauth(),
            answer(403, typed("permission_error", "OAuth token is odd")).oauth(),
        ),
        (
            Anthropic,
            "anthropic.403.model",
            answer(403, typed("permission_error", "no access to claude-opus-4-6")),
            answer(403, typed("permission_error", "no access to claude-opus-4-6-fast")),
        ),
        (
            Anthropic,
            "anthropic.429.entitlement",
            answer(
                429,
                typed("rate_limit_error", "Extra usage is required for long context requests"),
            ),
            answer(429, typed("rate_limit_error", "Extra usage is on")),
        ),
        (
            Anthropic,
            "anthropic.429.long",
            answer(429, says("slow")).header("retry-after", "301"),
            answer(429, says("slow")).header("retry-after", "300"),
        ),
        (
            Anthropic,
            "anthropic.429.short",
            answer(429, says("slow")).header("retry-after", "300"),
            answer(429, says("slow")).header("retry-after", "0"),
        ),
        (
            Anthropic,
            "anthropic.400.client",
            answer(
                400,
                typed(
                    "invalid_request_error",
                    "Third-party apps now draw from your extra usage, not your plan limits.",
                ),
            ),
            answer(400, typed("invalid_request_error", "Third-party apps are nice")),
        ),
        (
            Anthropic,
            "anthropic.400.balance",
            answer(400, typed("invalid_request_error", "Your credit balance is too low to access")),
            answer(400, typed("invalid_request_error", "Your credit balance is fine")),
        ),
        (
            Anthropic,
            "anthropic.400.prompt",
            answer(
                400,
                typed(
                    "invalid_request_error",
                    "prompt is too long: 203456 tokens > 200000 maximum",
                ),
            ),
            answer(400, typed("invalid_request_error", "prompt is too short")),
        ),
        (
            Anthropic,
            "anthropic.404.model",
            answer(404, typed("not_found_error", "model: claude-9")),
            answer(404, typed("not_found_error", "no such page")),
        ),
        (
            Anthropic,
            "anthropic.529",
            answer(529, typed("overloaded_error", "Overloaded")),
            answer(529, typed("other_error", "Overloaded")),
        ),
        (
            Anthropic,
            "anthropic.500",
            answer(500, typed("api_error", "Internal server error")),
            answer(502, typed("api_error", "Internal server error")),
        ),
        // Codex
        (
            Codex,
            "codex.usage_limit",
            answer(400, typed("usage_limit_reached", "limit")),
            answer(400, typed("usage_limit_near", "limit")),
        ),
        (
            Codex,
            "codex.not_included",
            answer(429, typed("usage_not_included", "no")),
            answer(403, typed("usage_included", "no")),
        ),
        (
            Codex,
            "codex.capacity",
            answer(400, says("Selected model is at capacity. Try another.")),
            answer(400, says("Selected model is at its best")),
        ),
        (
            Codex,
            "codex.overloaded",
            answer(
                200,
                json!({"type": "response.failed", "response": {"error": {"code": "server_is_overloaded", "message": "x"}}}),
            ),
            answer(
                200,
                json!({"type": "response.failed", "response": {"error": {"code": "server_is_odd", "message": "x"}}}),
            ),
        ),
        (
            Codex,
            "codex.rate_limit",
            answer(429, typed("rate_limit_exceeded", "Please try again in 1.2s.")),
            answer(429, typed("rate_limited", "Please try again in 1.2s.")),
        ),
        (
            Codex,
            "codex.401.revoked",
            answer(401, coded("token_revoked")).oauth(),
            answer(401, coded("token_rejected")).oauth(),
        ),
        (
            Codex,
            "codex.401.expired",
            answer(401, coded("token_expired")).oauth(),
            answer(400, coded("token_expired")).oauth(),
        ),
        (
            Codex,
            "codex.402.workspace",
            answer(402, json!({"detail": {"code": "deactivated_workspace"}})),
            answer(402, coded("activated_workspace")),
        ),
        (
            Codex,
            "codex.400.plan",
            answer(
                400,
                says("The 'gpt-9' model is not supported when using Codex with a ChatGPT account."),
            ),
            answer(400, says("The 'gpt-9' model is supported when using Codex")),
        ),
        // Google
        (
            Google,
            "google.capacity",
            google_reason(429, "RESOURCE_EXHAUSTED", "MODEL_CAPACITY_EXHAUSTED"),
            google_reason(429, "RESOURCE_EXHAUSTED", "CAPACITY"),
        ),
        (
            Google,
            "google.503",
            google(503, "UNAVAILABLE", "later", &json!([])),
            google(500, "INTERNAL", "later", &json!([])),
        ),
        (
            Google,
            "google.429.credits",
            google_reason(429, "RESOURCE_EXHAUSTED", "INSUFFICIENT_G1_CREDITS_BALANCE"),
            google_reason(429, "RESOURCE_EXHAUSTED", "INSUFFICIENT"),
        ),
        (
            Google,
            "google.429.day",
            google(429, "RESOURCE_EXHAUSTED", "q", &quota("GenerateRequestsPerDayPerProject")),
            google(429, "RESOURCE_EXHAUSTED", "q", &quota("GenerateRequestsPerMinute")),
        ),
        (
            Google,
            "google.429.quota",
            google_reason(429, "RESOURCE_EXHAUSTED", "QUOTA_EXHAUSTED"),
            google_reason(403, "PERMISSION_DENIED", "QUOTA_EXHAUSTED"),
        ),
        (
            Google,
            "google.429.long",
            google(429, "RESOURCE_EXHAUSTED", "q", &retry("300s")),
            google(429, "RESOURCE_EXHAUSTED", "q", &retry("299s")),
        ),
        (
            Google,
            "google.429.short",
            google(429, "RESOURCE_EXHAUSTED", "q", &limit("2.9s")),
            google(429, "RESOURCE_EXHAUSTED", "q", &limit("3s")),
        ),
        (
            Google,
            "google.429.minute",
            google(429, "RESOURCE_EXHAUSTED", "q", &limit("3s")),
            google(429, "RESOURCE_EXHAUSTED", "q", &json!([{"reason": "RATE_LIMIT_EXCEEDED"}])),
        ),
        (
            Google,
            "google.429.soft",
            google(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted", &json!([])),
            google_reason(429, "RESOURCE_EXHAUSTED", "OTHER"),
        ),
        (
            Google,
            "google.400.key",
            google_reason(400, "INVALID_ARGUMENT", "API_KEY_INVALID"),
            google_reason(400, "INVALID_ARGUMENT", "API_KEY_FINE"),
        ),
        (
            Google,
            "google.400.location",
            google(
                400,
                "FAILED_PRECONDITION",
                "User location is not supported for the API use.",
                &json!([]),
            ),
            google(400, "FAILED_PRECONDITION", "User location is fine", &json!([])),
        ),
        (
            Google,
            "google.400.tokens",
            google(
                400,
                "INVALID_ARGUMENT",
                "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
                &json!([]),
            ),
            google(400, "INVALID_ARGUMENT", "The input token count is odd", &json!([])),
        ),
        (
            Google,
            "google.400.argument",
            google(400, "INVALID_ARGUMENT", "bad field", &json!([])),
            google(400, "FAILED_PRECONDITION", "bad field", &json!([])),
        ),
        (
            Google,
            "google.403.service",
            google_reason(403, "PERMISSION_DENIED", "SERVICE_DISABLED"),
            google_reason(403, "PERMISSION_DENIED", "SERVICE_ENABLED"),
        ),
        (
            Google,
            "google.403.verify",
            google_reason(403, "PERMISSION_DENIED", "VALIDATION_REQUIRED"),
            google_reason(403, "PERMISSION_DENIED", "VALIDATION_DONE"),
        ),
        (
            Google,
            "google.403.banned",
            google(
                403,
                "PERMISSION_DENIED",
                "Gemini is disabled in this account for violation of terms",
                &json!([]),
            ),
            google(403, "PERMISSION_DENIED", "Gemini is disabled in this account", &json!([])),
        ),
        (
            Google,
            "google.403.token",
            google(403, "PERMISSION_DENIED", "Invalid credentials", &json!([])).oauth(),
            google(403, "PERMISSION_DENIED", "Invalid credentials", &json!([])),
        ),
        // Copilot
        (
            Copilot,
            "copilot.401.expired",
            answer(401, says("IDE token expired: unauthorized")).oauth(),
            answer(401, says("unauthorized")).oauth(),
        ),
        (
            Copilot,
            "copilot.quota",
            answer(402, says("You exceeded the additional usage limit for your plan")),
            answer(403, says("You exceeded the additional usage limit")),
        ),
        (
            Copilot,
            "copilot.429.quota",
            answer(429, coded("quota_exceeded")),
            answer(429, coded("quota_low")),
        ),
        (
            Copilot,
            "copilot.429.global",
            answer(429, coded("user_global_rate_limited:pro")),
            answer(429, coded("user_model_rate_limited")),
        ),
        (
            Copilot,
            "copilot.403.policy",
            answer(403, coded("feature_flag_blocked")),
            answer(403, coded("feature_flag")),
        ),
        (
            Copilot,
            "copilot.400.endpoint",
            answer(400, says("model x is not accessible via the /chat/completions endpoint")),
            answer(400, says("model x is accessible via the /chat/completions endpoint")),
        ),
        (
            Copilot,
            "copilot.400.model",
            answer(400, coded("model_not_supported")),
            answer(403, coded("model_not_supported")),
        ),
        (
            Copilot,
            "copilot.400.prompt",
            answer(400, coded("model_max_prompt_tokens_exceeded")),
            answer(400, coded("model_max_tokens")),
        ),
        (Copilot, "copilot.466", answer(466, says("upgrade")), answer(467, says("upgrade"))),
        // Kiro
        (
            Kiro,
            "kiro.banned",
            answer(423, json!({"message": "x", "reason": "TEMPORARILY_SUSPENDED"})),
            answer(423, json!({"message": "x", "reason": "SUSPENDED"})),
        ),
        (
            Kiro,
            "kiro.month",
            answer(402, json!({"message": "x", "reason": "MONTHLY_REQUEST_COUNT"})),
            answer(402, json!({"message": "x", "reason": "DAILY_REQUEST_COUNT"})),
        ),
        (
            Kiro,
            "kiro.capacity",
            answer(429, json!({"message": "x", "reason": "INSUFFICIENT_MODEL_CAPACITY"})),
            answer(429, json!({"message": "x", "reason": "INSUFFICIENT_CAPACITY"})),
        ),
        (
            Kiro,
            "kiro.suspicious",
            answer(
                429,
                json!({"message": "Due to suspicious activity, we have set temporary limits"}),
            ),
            answer(429, json!({"message": "we have set temporary limits"})),
        ),
        (
            Kiro,
            "kiro.throttle",
            answer(400, json!({"__type": "com.amazon#ThrottlingException", "message": "slow"})),
            answer(400, json!({"__type": "com.amazon#ValidationException", "message": "slow"})),
        ),
        (
            Kiro,
            "kiro.token",
            answer(403, json!({"message": "The bearer token included in the request is invalid."}))
                .oauth(),
            answer(403, json!({"message": "The bearer of bad news"})).oauth(),
        ),
        (
            Kiro,
            "kiro.prompt",
            answer(
                400,
                json!({"message": "Input is too long.", "reason": "CONTENT_LENGTH_EXCEEDS_THRESHOLD"}),
            ),
            answer(400, json!({"message": "Input is long."})),
        ),
        (
            Kiro,
            "kiro.model",
            answer(400, json!({"message": "x", "reason": "INVALID_MODEL_ID"})),
            answer(400, json!({"message": "x", "reason": "INVALID_MODEL"})),
        ),
        (
            Kiro,
            "kiro.request",
            answer(400, json!({"message": "Improperly formed request."})),
            answer(403, json!({"message": "Improperly formed request."})),
        ),
        (
            Kiro,
            "kiro.402",
            answer(402, json!({"message": "pay"})),
            answer(403, json!({"message": "pay"})),
        ),
        // Qwen
        (
            Qwen,
            "qwen.401.retired",
            answer(401, says("invalid access token or token expired")).oauth(),
            answer(401, says("invalid access token or token expired")),
        ),
        (
            Qwen,
            "qwen.quota",
            answer(429, says("Free allocated quota exceeded.")),
            answer(400, says("Free allocated quota exceeded.")),
        ),
        (Qwen, "qwen.arrears", answer(400, coded("Arrearage")), answer(400, coded("Arrears"))),
        (
            Qwen,
            "qwen.policy",
            answer(400, coded("DataInspectionFailed")),
            answer(400, coded("DataInspection")),
        ),
        (Qwen, "qwen.429", answer(429, says("slow")), answer(430, says("slow"))),
        // iFlow
        (
            IFlow,
            "iflow.449",
            answer(200, json!({"status": "449", "msg": "slow"})),
            answer(200, json!({"status": "450", "msg": "slow"})),
        ),
        (
            IFlow,
            "iflow.token",
            answer(200, json!({"status": "439", "msg": "x"})).oauth(),
            answer(200, json!({"status": "438", "msg": "x"})).oauth(),
        ),
        (
            IFlow,
            "iflow.key",
            answer(200, json!({"status": "434", "msg": "x"})),
            answer(200, json!({"status": "434", "msg": "x"})).oauth(),
        ),
        (
            IFlow,
            "iflow.model",
            answer(200, json!({"status": "435", "msg": "x"})),
            answer(200, json!({"status": "436", "msg": "x"})),
        ),
        // Cursor
        (Cursor, "cursor.usage", cursor("ERROR_USAGE_PRICING_REQUIRED"), cursor("ERROR_USAGE")),
        (Cursor, "cursor.rate", cursor("ERROR_USER_RATE_LIMIT_EXCEEDED"), cursor("ERROR_LIMIT")),
        (Cursor, "cursor.login", cursor("ERROR_NOT_LOGGED_IN"), cursor("ERROR_LOGGED_IN")),
        (Cursor, "cursor.client", cursor("ERROR_OUTDATED_CLIENT"), cursor("ERROR_CLIENT")),
        // Z.ai
        (Zai, "zai.1003", answer(401, coded("1003")).oauth(), answer(401, coded("1003"))),
        (Zai, "zai.auth", answer(401, coded("1001")), answer(401, coded("1005"))),
        (Zai, "zai.inactive", answer(429, coded("1121")), answer(429, coded("1122"))),
        (Zai, "zai.payment", answer(429, coded("1113")), answer(429, coded("1114"))),
        (Zai, "zai.1211", answer(400, coded("1211")), answer(400, coded("1216"))),
        (Zai, "zai.request", answer(400, coded("1210")), answer(429, coded("1210"))),
        (Zai, "zai.plan", answer(429, coded("1311")), answer(429, coded("1312"))),
        (Zai, "zai.1261", answer(400, coded("1261")), answer(400, coded("1262"))),
        (Zai, "zai.policy", answer(400, coded("1301")), answer(400, coded("1299"))),
        (Zai, "zai.rate", answer(429, coded("1302")), answer(429, coded("1306"))),
        (Zai, "zai.1305", answer(429, coded("1305")), answer(429, coded("1306"))),
        (Zai, "zai.1304", answer(429, coded("1304")), answer(429, coded("1306"))),
        (Zai, "zai.window", answer(429, coded("1308")), answer(429, coded("1307"))),
        (Zai, "zai.1313", answer(429, coded("1313")), answer(429, coded("1314"))),
        // MiniMax
        (MiniMax, "minimax.transient", minimax(1_000), minimax(1_003)),
        (MiniMax, "minimax.rate", minimax(1_002), minimax(1_003)),
        (MiniMax, "minimax.1041", minimax(1_041), minimax(1_042)),
        (MiniMax, "minimax.auth", minimax(1_004), minimax(1_005)),
        (MiniMax, "minimax.payment", minimax(1_008), minimax(1_009)),
        (MiniMax, "minimax.policy", minimax(1_026), minimax(1_025)),
        (
            MiniMax,
            "minimax.2013.prompt",
            answer(
                200,
                json!({"base_resp": {"status_code": 2013, "status_msg": "context window exceeds limit"}}),
            ),
            answer(
                200,
                json!({"base_resp": {"status_code": 2013, "status_msg": "invalid params"}}),
            ),
        ),
        (MiniMax, "minimax.2013", minimax(2_013), minimax(2_014)),
        (MiniMax, "minimax.2056", minimax(2_056), minimax(2_057)),
        // Kimi
        (
            Kimi,
            "kimi.quota",
            answer(429, typed("exceeded_current_quota_error", "You've reached your usage limit")),
            answer(429, typed("exceeded_current_quota_error", "check your plan and billing")),
        ),
        (
            Kimi,
            "kimi.payment",
            answer(429, typed("exceeded_current_quota_error", "check your billing")),
            answer(429, typed("exceeded_quota_error", "check your billing")),
        ),
        (
            Kimi,
            "kimi.overloaded",
            answer(429, typed("engine_overloaded_error", "busy")),
            answer(429, typed("engine_error", "busy")),
        ),
        (
            Kimi,
            "kimi.rate",
            answer(429, typed("rate_limit_reached_error", "slow")),
            answer(429, typed("rate_limit", "slow")),
        ),
        (
            Kimi,
            "kimi.401",
            answer(401, typed("invalid_authentication_error", "no")),
            answer(401, typed("invalid_authentication_error", "no")).oauth(),
        ),
        (
            Kimi,
            "kimi.403.ended",
            answer(403, typed("access_terminated_error", "Your subscription has ended")),
            answer(403, typed("access_terminated_error", "only for coding agents")),
        ),
        (
            Kimi,
            "kimi.403.client",
            answer(403, typed("access_terminated_error", "only for coding agents")),
            answer(403, typed("access_error", "only for coding agents")),
        ),
        // OpenAI dialect
        (
            OpenAi,
            "openai.quota",
            answer(429, coded("insufficient_quota")),
            answer(429, coded("quota")),
        ),
        (
            OpenAi,
            "openai.rate",
            answer(429, coded("rate_limit_exceeded")),
            answer(429, coded("rate_limit")),
        ),
        (
            OpenAi,
            "openai.401",
            answer(401, coded("invalid_api_key")),
            answer(401, coded("invalid_key")),
        ),
        (
            OpenAi,
            "openai.403.country",
            answer(403, coded("unsupported_country_region_territory")),
            answer(403, coded("unsupported_country")),
        ),
        (
            OpenAi,
            "openai.verified",
            answer(403, says("Your organization must be verified to use the model")),
            answer(403, says("Your organization is verified")),
        ),
        (DeepSeek, "deepseek.402", answer(402, says("x")), answer(403, says("x"))),
        (DeepSeek, "deepseek.401", answer(401, says("x")).oauth(), answer(403, says("x"))),
        (DeepSeek, "deepseek.503", answer(503, says("x")), answer(500, says("x"))),
        (OpenRouter, "openrouter.402", answer(402, says("x")), answer(403, says("x"))),
        (
            OpenRouter,
            "openrouter.403.moderation",
            answer(
                403,
                json!({"error": {"code": 403, "message": "x", "metadata": {"reasons": ["a"]}}}),
            ),
            answer(
                403,
                json!({"error": {"code": 403, "message": "x", "metadata": {"why": ["a"]}}}),
            ),
        ),
        (OpenRouter, "openrouter.upstream", answer(502, says("x")), answer(504, says("x"))),
        (
            XAi,
            "xai.token",
            answer(403, coded("unauthenticated:bad-credentials")).oauth(),
            answer(403, coded("unauthenticated:good-credentials")).oauth(),
        ),
        (
            XAi,
            "xai.key",
            answer(400, says("Incorrect API key provided: x***y.")),
            answer(400, says("Incorrect API call")),
        ),
        (
            XAi,
            "xai.free_usage",
            answer(429, coded("personal:free-usage-exhausted")),
            answer(429, coded("personal:usage-exhausted")),
        ),
        (
            Groq,
            "groq.413.minute",
            answer(413, says("Request too large for model on tokens per minute (TPM): Limit 6000")),
            answer(413, says("Request too large for model")),
        ),
        (Groq, "groq.498", answer(498, says("x")), answer(497, says("x"))),
        (
            Azure,
            "azure.deployment",
            answer(404, coded("DeploymentNotFound")),
            answer(404, coded("NotFound")),
        ),
        (
            Azure,
            "azure.filter",
            answer(
                400,
                json!({"error": {"code": "x", "message": "no", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}),
            ),
            answer(
                400,
                json!({"error": {"code": "x", "message": "no", "innererror": {"code": "Y"}}}),
            ),
        ),
        (Azure, "azure.429", answer(429, says("x")), answer(430, says("x"))),
        // Generic codes
        (
            Generic,
            "generic.banned.code",
            answer(401, coded("account_deactivated")),
            answer(401, coded("account_activated")),
        ),
        (
            Generic,
            "generic.banned.text",
            answer(400, says("This organization has been disabled.")),
            answer(400, says("messages.0: 'This organization has been disabled.' is no JSON")),
        ),
        (
            Generic,
            "generic.banned.terms",
            answer(403, says("Your account violates our terms of service")),
            answer(400, says("This content violates our terms of service")),
        ),
        (
            Generic,
            "generic.payment.code",
            answer(429, coded("billing_hard_limit_reached")),
            answer(429, coded("billing_soft_limit_reached")),
        ),
        (
            Generic,
            "generic.payment.text",
            answer(403, says("Insufficient Balance")),
            answer(403, says("Sufficient balance")),
        ),
        (
            Generic,
            "generic.policy",
            answer(400, coded("content_policy_violation")),
            answer(400, coded("content_policy")),
        ),
        (
            Generic,
            "generic.overloaded",
            answer(409, coded("overloaded_error")),
            answer(409, coded("loaded_error")),
        ),
        (
            Generic,
            "generic.context.code",
            answer(400, coded("context_length_exceeded")),
            answer(429, coded("context_length_exceeded")),
        ),
        (
            Generic,
            "generic.context.text",
            answer(400, says("This model's maximum context length is 128000 tokens.")),
            answer(429, says("This model's maximum context length is 128000 tokens.")),
        ),
        (
            Generic,
            "generic.request.item",
            answer(
                404,
                says(
                    "Item with id 'rs_x' not found. Items are not persisted when `store` is set to false.",
                ),
            ),
            answer(404, says("Item not found")),
        ),
        (
            Generic,
            "generic.request.code",
            answer(400, coded("invalid_image_format")),
            answer(400, coded("image_format")),
        ),
        (
            Generic,
            "generic.request.signature",
            answer(400, says("messages.1.content.0: Invalid `signature` in `thinking` block")),
            answer(400, says("messages.1.content.0: Valid `signature` in `thinking` block")),
        ),
        (
            Generic,
            "generic.model.plan",
            answer(400, says("claude-opus-4-6 is not available for your plan")),
            answer(400, says("claude-opus-4-6 is part of your plan")),
        ),
        (
            Generic,
            "generic.model.code",
            answer(404, coded("model_not_found")),
            answer(404, coded("page_not_found")),
        ),
        (
            Generic,
            "generic.model.text",
            answer(404, says("The model `claude-opus-4-6` does not exist")),
            answer(404, says("The model `claude-opus-4-7` does not exist")),
        ),
        (
            Generic,
            "generic.request.type",
            answer(400, typed("invalid_request_error", "x")),
            answer(429, typed("invalid_request_error", "x")),
        ),
    ]
}

#[test]
fn every_row_is_hit_by_its_answer_and_missed_by_its_neighbour() {
    for (family, id, hit, miss) in rows() {
        assert_eq!(hit.classify(family).rule, id, "{family:?} hit");
        assert_ne!(miss.classify(family).rule, id, "{family:?} near miss of {id}");
    }
}

#[test]
fn no_row_is_without_a_vector() {
    use ErrorFamily::*;
    let families = [
        Anthropic, Codex, Google, Copilot, Kiro, Qwen, IFlow, Cursor, Zai, MiniMax, Kimi, OpenAi,
        DeepSeek, OpenRouter, XAi, Groq, Azure, Generic,
    ];
    let mut ids: Vec<&str> = families.into_iter().flat_map(table).map(|rule| rule.id).collect();
    ids.extend(generic::RULES.iter().map(|rule| rule.id));
    let tested: BTreeSet<&str> = rows().iter().map(|(_, id, _, _)| *id).collect();
    let known: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(known.len(), ids.len(), "two rows share an id");
    assert_eq!(known, tested);
}

/// (answer, family, class, scope, seconds until recovery at the least and at the most)
type Vector = (Answer, ErrorFamily, Class, Option<Scope>, Option<(i64, i64)>);

#[test]
fn accounts_5_7_vectors() {
    use ErrorFamily::*;
    let all = Some(Scope::All);
    let model = || Some(Scope::Model("claude-opus-4-6".into()));
    let u = |name: &str| -> &'static str {
        Box::leak(format!("anthropic-ratelimit-unified-{name}").into_boxed_str())
    };
    let five_hours = unified(&[
        (u("status"), "rejected".into()),
        (u("5h-status"), "rejected".into()),
        (u("5h-reset"), seconds(T + HOUR)),
        (u("7d-status"), "allowed".into()),
        (u("7d-reset"), seconds(T + 400_000_000)),
    ]);
    let opus = unified(&[
        (u("status"), "rejected".into()),
        (u("5h-status"), "allowed".into()),
        (u("7d-status"), "allowed".into()),
        (u("7d_opus-status"), "rejected".into()),
        (u("7d_opus-reset"), seconds(T + 9_000_000)),
    ]);
    let day = json!([
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations":
            [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "31s"}
    ]);
    let short = json!([
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "RATE_LIMIT_EXCEEDED"},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.2s"}
    ]);
    let table: Vec<Vector> = vec![
        (five_hours, Anthropic, Class::QuotaExhausted, all.clone(), Some((3_600, 3_600))),
        (
            opus,
            Anthropic,
            Class::QuotaExhausted,
            Some(Scope::Family("opus".into())),
            Some((9_000, 9_000)),
        ),
        (
            answer(
                429,
                json!({"error": {"type": "usage_limit_reached", "resets_in_seconds": 120}}),
            ),
            Codex,
            Class::QuotaExhausted,
            all.clone(),
            Some((120, 120)),
        ),
        // 12:00 UTC is 05:00 in Los Angeles: 19 hours to midnight, whatever RetryInfo says.
        (
            google(429, "RESOURCE_EXHAUSTED", "q", &day),
            Google,
            Class::QuotaExhausted,
            model(),
            Some((19 * 3_600, 19 * 3_600)),
        ),
        (
            google(429, "RESOURCE_EXHAUSTED", "q", &short),
            Google,
            Class::RateLimited,
            model(),
            Some((1, 2)),
        ),
        (
            answer(429, coded("insufficient_quota")),
            OpenAi,
            Class::PaymentRequired,
            all.clone(),
            None,
        ),
        (
            answer(
                402,
                json!({"error": {"code": "invalid_request_error", "message": "Insufficient Balance"}}),
            ),
            DeepSeek,
            Class::PaymentRequired,
            all.clone(),
            None,
        ),
        (
            answer(
                401,
                json!({"error": {"type": "authentication_error", "code": "invalid_request_error"}}),
            ),
            DeepSeek,
            Class::AuthDead,
            all.clone(),
            None,
        ),
        (
            answer(
                429,
                json!({"error": {"code": "1308", "message": "… reset at 2026-07-02 07:41:44"}}),
            ),
            Zai,
            Class::QuotaExhausted,
            all.clone(),
            Some((42_104, 42_104)),
        ),
        (
            answer(200, json!({"base_resp": {"status_code": 1008}})),
            MiniMax,
            Class::PaymentRequired,
            all.clone(),
            None,
        ),
        (
            answer(403, "<!DOCTYPE html><title>Just a moment...</title>"),
            Generic,
            Class::Transient,
            all,
            None,
        ),
        (
            answer(
                404,
                json!({"error": {"message": "Item with id 'rs_x' not found. Items are not persisted when `store` is set to false"}}),
            ),
            Codex,
            Class::BadRequest,
            None,
            None,
        ),
        (answer(429, "").header("retry-after", "0"), Generic, Class::RateLimited, model(), None),
    ];
    for (i, (answer, family, class, scope, until)) in table.into_iter().enumerate() {
        let found = answer.classify(family);
        assert_eq!((found.class, &found.scope), (class, &scope), "vector {i}: {found:?}");
        match (until, found.until) {
            (None, None) => {}
            (Some((low, high)), Some(at)) => {
                let ahead = (at - T + 999) / 1_000;
                assert!((low..=high).contains(&ahead), "vector {i}: {ahead} s");
            }
            (want, got) => panic!("vector {i}: {want:?} {got:?}"),
        }
    }
}

#[test]
fn a_prompt_echoed_in_an_error_decides_nothing() {
    let body = json!({"error": {"message": "messages.3: text contains 'rate limit exceeded, quota, capacity'",
        "type": "invalid_request_error"}});
    for family in [ErrorFamily::Generic, ErrorFamily::OpenAi, ErrorFamily::Anthropic] {
        let found = answer(400, &body).classify(family);
        assert_eq!((found.class, found.scope, found.next), (Class::BadRequest, None, Next::Return));
        assert!(!found.penalize);
    }
}

#[test]
fn a_short_throttle_waits_on_the_same_account() {
    let details = json!([{"reason": "RATE_LIMIT_EXCEEDED"}, {"retryDelay": "1.2s"}]);
    let found = google(429, "RESOURCE_EXHAUSTED", "q", &details).classify(ErrorFamily::Google);
    assert_eq!((found.retry_same_after_ms, found.retry_same_max), (Some(1_200), 2));
    assert_eq!(found.next, Next::SameAccount);
    let table = [("3", Some(3_000), Next::SameAccount), ("4", None, Next::NextAccount)];
    for (wait, retry, next) in table {
        let found = answer(429, "").header("retry-after", wait).classify(ErrorFamily::Generic);
        assert_eq!((found.retry_same_after_ms, found.next), (retry, next), "{wait}");
    }
}

#[test]
fn a_challenge_page_locks_the_account_for_ten_seconds_at_least() {
    let pages = [
        answer(403, "<html><title>Attention</title></html>"),
        answer(200, "<html></html>"),
        answer(503, "{}").header("cf-mitigated", "challenge"),
    ];
    for page in pages {
        let found = page.classify(ErrorFamily::Anthropic);
        assert_eq!((found.class, found.scope), (Class::Transient, Some(Scope::All)));
        assert_eq!(found.cooldown, Cooldown::ThrottleFloor { floor_ms: 10_000 });
        assert_eq!(found.retry_same_after_ms, None);
    }
    let gateway = answer(502, "<html>Bad gateway</html>").classify(ErrorFamily::Anthropic);
    assert_eq!(gateway.scope, Some(Scope::Model("claude-opus-4-6".into())));
    assert_eq!(gateway.cooldown, Cooldown::Transient);
}

#[test]
fn transport_failures_are_transient_but_the_routers_own_are_not_the_accounts() {
    let classify_transport = |failure| {
        classify(
            &Failure {
                provider: "p",
                family: ErrorFamily::Generic,
                status: None,
                headers: &|_| None,
                body: None,
                transport: Some(failure),
                requested_model: "m",
                upstream_model: "m",
                canonical: "m",
                families: &[],
                oauth: false,
                now: T,
            },
            &[],
        )
    };
    let model = Some(Scope::Model("m".into()));
    let table = [
        (TransportFailure::Reset, Class::Transient, model.clone(), true),
        (TransportFailure::Connect, Class::Transient, model.clone(), true),
        (TransportFailure::HeadTimeout, Class::Transient, model.clone(), false),
        (TransportFailure::Empty, Class::Transient, model, false),
        (TransportFailure::Proxy, Class::Transient, None, false),
        (TransportFailure::Blocked, Class::Unknown, None, false),
        (TransportFailure::ClientGone, Class::ClientCancelled, None, false),
    ];
    for (failure, class, scope, retries) in table {
        let found = classify_transport(failure);
        assert_eq!((found.class, &found.scope), (class, &scope), "{failure:?}");
        assert_eq!(found.retry_same_after_ms.is_some(), retries, "{failure:?}");
        assert!(!found.message.is_empty());
    }
    let wait = classify_transport(TransportFailure::Reset).retry_same_after_ms.unwrap();
    assert!((500..=1_000).contains(&wait));
}

#[test]
fn statuses_without_any_words_have_their_default() {
    let table: [(u16, Class); 27] = [
        (400, Class::BadRequest),
        (401, Class::AuthDead),
        (402, Class::PaymentRequired),
        (403, Class::Unknown),
        (404, Class::Unknown),
        (405, Class::BadRequest),
        (406, Class::BadRequest),
        (408, Class::Transient),
        (409, Class::BadRequest),
        (411, Class::BadRequest),
        (413, Class::ContextTooLong),
        (415, Class::BadRequest),
        (418, Class::Unknown),
        (422, Class::BadRequest),
        (425, Class::Transient),
        (429, Class::RateLimited),
        (451, Class::ContentPolicy),
        (499, Class::ClientCancelled),
        (500, Class::Transient),
        (501, Class::Transient),
        (502, Class::Transient),
        (503, Class::Overloaded),
        (504, Class::Transient),
        (524, Class::Transient),
        (529, Class::Overloaded),
        (302, Class::Unknown),
        (200, Class::Transient),
    ];
    for (status, class) in table {
        let found = answer(status, "{}").classify(ErrorFamily::Generic);
        assert_eq!(found.class, class, "{status}");
    }
    assert_eq!(answer(401, "{}").oauth().classify(ErrorFamily::Generic).class, Class::AuthExpired);
    let forbidden = answer(403, "{}").classify(ErrorFamily::Generic);
    assert_eq!(forbidden.scope, Some(Scope::All));
    let lost = answer(404, "{}").classify(ErrorFamily::Generic);
    assert_eq!(
        (lost.scope, lost.cooldown),
        (None, Cooldown::None),
        "a wrong base URL locks nothing"
    );
}

#[test]
fn overload_is_waited_for_only_by_the_last_candidate() {
    let found = answer(503, "{}").classify(ErrorFamily::Generic);
    assert_eq!((found.next, found.scope, found.retry_same_max), (Next::NextAccount, None, 1));
    assert!((1_000..=2_000).contains(&found.retry_same_after_ms.unwrap()));
    assert_eq!(found.class.other_accounts(), 1);
}

#[test]
fn an_error_inside_a_200_is_judged_by_what_it_says() {
    let table = [
        (typed("overloaded_error", "x"), Class::Overloaded),
        (typed("rate_limit_error", "x"), Class::RateLimited),
        (typed("invalid_request_error", "x"), Class::BadRequest),
        (typed("api_error", "x"), Class::Transient),
        (json!({"error": {"code": 503, "message": "x"}}).to_string(), Class::Overloaded),
        (
            json!([{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "x"}}])
                .to_string(),
            Class::RateLimited,
        ),
        (typed("something_else", "x"), Class::Transient),
        ("null".to_owned(), Class::Transient),
    ];
    for (body, class) in table {
        assert_eq!(answer(200, &body).classify(ErrorFamily::Generic).class, class, "{body}");
    }
}

#[test]
fn every_window_of_a_subscription_counts() {
    let u = |name: &str| -> &'static str {
        Box::leak(format!("anthropic-ratelimit-unified-{name}").into_boxed_str())
    };
    let until = |rows: &[(&'static str, String)]| {
        let found = unified(rows).classify(ErrorFamily::Anthropic);
        (found.class, found.scope.map(|s| s.to_string()), found.until.map(|at| (at - T) / 1_000))
    };
    let rejected = || "rejected".to_owned();
    let star = Some("*".to_owned());
    // The latest of the rejected windows counts, not the first.
    let both = until(&[
        (u("5h-status"), rejected()),
        (u("5h-reset"), seconds(T + HOUR)),
        (u("7d-status"), rejected()),
        (u("7d-reset"), seconds(T + 3 * DAY)),
    ]);
    assert_eq!(both, (Class::QuotaExhausted, star.clone(), Some(259_200)));
    // The older word, and only an overall reset.
    let old = until(&[(u("status"), "throttled".into()), (u("reset"), seconds(T + HOUR))]);
    assert_eq!(old, (Class::QuotaExhausted, star.clone(), Some(3_600)));
    // No reset at all: the ladder decides.
    assert_eq!(until(&[(u("5h-status"), rejected())]), (Class::QuotaExhausted, star, None));
    // A family this model does not belong to locks this model alone, or the next request would be refused again.
    let odd = until(&[
        (u("status"), rejected()),
        (u("7d_oi-status"), rejected()),
        (u("7d_oi-reset"), seconds(T + HOUR)),
    ]);
    let model = Some("model:claude-opus-4-6".to_owned());
    assert_eq!(odd, (Class::QuotaExhausted, model, Some(3_600)));
    // Allowed windows are no refusal of the plan: a plain throttle.
    let allowed = until(&[(u("status"), "allowed".into()), ("retry-after", "20".into())]);
    assert_eq!(allowed.0, Class::RateLimited);
    // Features outside the plan lock nobody.
    let fast = answer(429, says("fast mode: usage credits are required"))
        .header("anthropic-ratelimit-unified-status", "rejected")
        .classify(ErrorFamily::Anthropic);
    assert_eq!((fast.class, fast.scope), (Class::Entitlement, None));
}

#[test]
fn resets_come_from_where_each_vendor_hides_them() {
    use ErrorFamily::*;
    let metadata =
        |key: &str, value: &str| json!([{"reason": "QUOTA_EXHAUSTED", "metadata": {key: value}}]);
    let june = 30 * 86_400 + 12 * 3_600;
    let table = [
        (
            answer(
                429,
                json!({"error": {"type": "usage_limit_reached", "resets_at": (T + HOUR) / 1_000}}),
            ),
            Codex,
            3_600,
        ),
        (
            answer(429, typed("usage_limit_reached", "x"))
                .header("x-codex-primary-used-percent", "100")
                .header("x-codex-primary-reset-after-seconds", "60")
                .header("x-codex-secondary-used-percent", "100.0")
                .header("x-codex-secondary-reset-at", seconds(T + DAY)),
            Codex,
            86_400,
        ),
        (
            answer(429, typed("usage_limit_reached", "x"))
                .header("x-codex-primary-used-percent", "100")
                .header("x-codex-primary-reset-after-seconds", "60")
                .header("x-codex-secondary-used-percent", "40")
                .header("x-codex-secondary-reset-at", seconds(T + DAY)),
            Codex,
            60,
        ),
        (
            google(429, "RESOURCE_EXHAUSTED", "q", &metadata("quotaResetDelay", "2h7m23s")),
            Google,
            7_643,
        ),
        (
            google(
                429,
                "RESOURCE_EXHAUSTED",
                "q",
                &metadata("quotaResetTimeStamp", "2026-07-01T13:00:00Z"),
            ),
            Google,
            3_600,
        ),
        (
            google(
                429,
                "RESOURCE_EXHAUSTED",
                "Your quota will reset after 2h7m23s.",
                &json!([{"reason": "QUOTA_EXHAUSTED"}]),
            ),
            Google,
            7_643,
        ),
        (google(429, "RESOURCE_EXHAUSTED", "Please retry in 31.5s.", &json!([])), Google, 31),
        (answer(402, says("x")), Copilot, june),
        (
            answer(402, json!({"error": {"message": "x"}, "quota_reset_date": "2026-07-03"})),
            Copilot,
            129_600,
        ),
        (
            answer(429, coded("user_global_rate_limited"))
                .header("x-ratelimit-user-retry-after", "90"),
            Copilot,
            90,
        ),
        (
            answer(
                402,
                json!({"reason": "MONTHLY_REQUEST_COUNT", "message": "x", "nextDateReset": (T + DAY) / 1_000}),
            ),
            Kiro,
            86_400,
        ),
        (answer(429, coded("quota_exceeded")), Qwen, 4 * 3_600),
        (cursor_usage(), Cursor, 3_600),
        (answer(429, coded("1304")), Zai, 4 * 3_600),
        (minimax(2_056), MiniMax, 3_600),
        (answer(429, coded("x:free-usage-exhausted")), XAi, 86_400),
        (
            answer(429, says("x")).header("retry-after-ms", "1500").header("retry-after", "9"),
            Azure,
            1,
        ),
        (
            answer(429, coded("rate_limit_exceeded"))
                .header("x-ratelimit-remaining-requests", "0")
                .header("x-ratelimit-reset-requests", "6m0s")
                .header("x-ratelimit-remaining-tokens", "10")
                .header("x-ratelimit-reset-tokens", "20m"),
            OpenAi,
            360,
        ),
        (
            answer(
                429,
                json!({"error": {"code": "rate_limit_exceeded", "message": "Please try again in 6.5s."}}),
            ),
            OpenAi,
            6,
        ),
        (
            answer(429, says("x"))
                .header("anthropic-ratelimit-requests-remaining", "0")
                .header("anthropic-ratelimit-requests-reset", "2026-07-01T12:00:30Z"),
            Anthropic,
            30,
        ),
        (
            answer(
                429,
                json!({"error": {"code": 429, "message": "x", "metadata": {"headers": {"X-RateLimit-Reset": (T + MINUTE).to_string(), "X-RateLimit-Remaining": "0"}}}}),
            ),
            OpenRouter,
            60,
        ),
        (answer(429, says("x")).header("x-ratelimit-reset-after", "12"), Generic, 12),
        (answer(429, says("x")).header("ratelimit-reset", "12"), Generic, 12),
        (answer(429, says("x")).header("ratelimit", "limit=5, remaining=0, reset=12"), Generic, 12),
        (answer(503, says("x")).header("retry-after", "12"), Generic, 12),
    ];
    for (i, (answer, family, want)) in table.into_iter().enumerate() {
        let found = answer.classify(family);
        assert_eq!(found.until.map(|at| (at - T) / 1_000), Some(want), "row {i}: {found:?}");
    }
}

fn cursor_usage() -> Answer {
    answer(
        429,
        json!({"error": {"code": "resource_exhausted", "message": "Error",
            "details": [{"debug": {"error": "ERROR_USAGE_PRICING_REQUIRED"}}]}}),
    )
}

#[test]
fn further_limits_of_codex_do_not_close_the_account() {
    let limited = |limit: &'static str, families: &'static [&'static str]| {
        let mut out = answer(429, typed("usage_limit_reached", "x")).model("gpt-5.5");
        out.families = families;
        out.header("x-codex-active-limit", limit).classify(ErrorFamily::Codex).scope
    };
    assert_eq!(limited("codex", &[]), Some(Scope::All));
    assert_eq!(limited("codex_review", &["review"]), Some(Scope::Family("review".into())));
    assert_eq!(limited("codex_other", &[]), Some(Scope::Model("gpt-5.5".into())));
}

#[test]
fn dead_credentials_say_why() {
    use ErrorFamily::*;
    let revoked = typed("permission_error", "OAuth token has been revoked");
    let table = [
        (answer(403, revoked).oauth(), Anthropic, Cooldown::Dead(Dead::Revoked)),
        (answer(401, coded("token_revoked")), Codex, Cooldown::Dead(Dead::Revoked)),
        (
            google_reason(403, "PERMISSION_DENIED", "VALIDATION_REQUIRED"),
            Google,
            Cooldown::Dead(Dead::Verify),
        ),
        (answer(401, coded("account_deactivated")), OpenAi, Cooldown::Dead(Dead::Banned)),
        (answer(429, coded("1313")), Zai, Cooldown::Steps(&[24 * HOUR])),
    ];
    for (answer, family, want) in table {
        assert_eq!(answer.classify(family).cooldown, want);
    }
}

#[test]
fn a_too_long_prompt_teaches_the_window() {
    let table = [
        ("prompt is too long: 203456 tokens > 200000 maximum", Some(200_000)),
        ("This model's maximum context length is 128,000 tokens. However", Some(128_000)),
        ("exceeds the maximum number of tokens allowed (1048576)", Some(1_048_576)),
        ("input is too long", None),
    ];
    for (text, want) in table {
        let found = answer(400, says(text)).classify(ErrorFamily::Generic);
        assert_eq!((found.class, found.learned_window), (Class::ContextTooLong, want), "{text}");
    }
}

#[test]
fn operator_rules_outrank_the_tables() {
    let rules = |value: serde_json::Value| ErrorRule::parse_list(&value).unwrap();
    let teapot = answer(400, typed("invalid_request_error", "tenant asleep"));
    let run = |answer: &Answer, value| {
        let found = answer.classify_with(ErrorFamily::Generic, &rules(value));
        (found.class, found.next, found.scope.is_some(), found.rule)
    };
    let of = |action: &str| json!([{"status": 400, "match": ["Tenant ASLEEP"], "action": action}]);
    assert_eq!(
        run(&teapot, of("next")),
        (Class::Unknown, Next::NextAccount, false, "operator.next")
    );
    assert_eq!(
        run(&teapot, of("next_and_lock")),
        (Class::Unknown, Next::NextAccount, true, "operator.next_and_lock")
    );
    let busy = answer(429, says("go away"));
    let of = |action: &str| json!([{"provider": "p", "regex": "go\\s+away", "action": action}]);
    assert_eq!(run(&busy, of("stop")), (Class::RateLimited, Next::Return, false, "operator.stop"));
    assert_eq!(
        run(&busy, of("stop_and_lock")),
        (Class::RateLimited, Next::Return, true, "operator.stop_and_lock")
    );
    // Another provider, status or text: our own tables decide.
    for value in [
        json!([{"provider": "q", "status": 429, "action": "stop"}]),
        json!([{"status": [430, 431], "action": "stop"}]),
        json!([{"match": "stay", "regex": "^here$", "action": "stop"}]),
    ] {
        assert_eq!(run(&busy, value).3, "status.429");
    }
}

#[test]
fn operator_rules_that_cannot_be_read_are_refused() {
    let table = [
        (json!({}), "must be a list"),
        (json!([1]), "must be a list"),
        (json!([{"status": 429}]), "`action`"),
        (json!([{"status": 429, "action": "run"}]), "`action`"),
        (json!([{"status": 9999, "action": "stop"}]), "`status`"),
        (json!([{"match": "", "action": "stop"}]), "`match`"),
        (json!([{"regex": "(", "action": "stop"}]), "regular expression `(`"),
        (json!([{"action": "stop"}]), "no condition"),
        (json!([{"status": 1, "action": "stop", "x": 1}]), "`status`"),
        (json!([{"status": 429, "action": "stop", "x": 1}]), "`x`"),
    ];
    for (value, want) in table {
        let error = ErrorRule::parse_list(&value).unwrap_err().to_string();
        assert!(error.contains(want), "{value}: {error}");
    }
}

#[test]
fn the_message_is_cut_and_clean() {
    let found =
        answer(500, says(&format!("a\u{7}b{}", "é".repeat(900)))).classify(ErrorFamily::Generic);
    assert!(found.message.starts_with("abé") && found.message.chars().count() == 500);
}

fn any_family() -> impl Strategy<Value = ErrorFamily> {
    use ErrorFamily::*;
    proptest::sample::select(vec![
        Anthropic, Codex, Google, Copilot, Kiro, Qwen, IFlow, Cursor, Zai, MiniMax, Kimi, OpenAi,
        DeepSeek, OpenRouter, XAi, Groq, Azure, Generic,
    ])
}

/// Words of the tables in random places: more likely to meet a rule than random text.
fn any_body() -> impl Strategy<Value = String> {
    let word = proptest::sample::select(vec![
        "invalid_request_error",
        "1210",
        "2013",
        "INVALID_ARGUMENT",
        "rate_limit_error",
        "prompt is too long",
        "content_filter",
        "model_not_found",
        "claude-opus-4-6 not found",
        "account has been disabled",
        "insufficient_quota",
        "QUOTA_EXHAUSTED",
        "429",
        "improperly formed request",
        "invalid_prompt",
    ]);
    let made = (word.clone(), word.clone(), word).prop_map(|(code, kind, message)| {
        json!({"error": {"code": code, "type": kind, "status": code, "message": message,
            "details": [{"reason": kind, "retryDelay": "99999999h"}]}, "base_resp": {"status_code": code}})
        .to_string()
    });
    prop_oneof![made, ".{0,200}", "[\\[{\"a:1,}\\]]{0,60}"]
}

proptest! {
    #[test]
    fn the_classifier_ends_and_402_and_429_are_never_the_clients_fault(
        family in any_family(), status in 100_u16..1000, body in any_body(), oauth in any::<bool>(),
        header in ".{0,20}",
    ) {
        let mut answer = answer(status, body).header("retry-after", &header).header("x-ratelimit-reset", &header);
        answer.oauth = oauth;
        let found = answer.classify(family);
        if status == 402 || status == 429 {
            prop_assert_ne!(found.class, Class::BadRequest);
            prop_assert_ne!(found.class, Class::ContextTooLong);
        }
        prop_assert!(found.until.is_none_or(|at| at > T));
        prop_assert!(found.retry_same_after_ms.is_none_or(|ms| ms <= 3_000));
        prop_assert_eq!(found.retry_same_after_ms.is_some(), found.retry_same_max > 0);
    }

    #[test]
    fn any_parsed_body_is_survived(family in any_family(), raw in any_value(), status in any::<Option<u16>>()) {
        let body = UpstreamErrorBody { raw: raw.clone(), details: Some(raw), ..UpstreamErrorBody::default() };
        let failure = Failure {
            provider: "p", family, status, headers: &|_| None, body: Some(&body), transport: None,
            requested_model: "é/", upstream_model: "é", canonical: "é", families: &[], oauth: false, now: T,
        };
        drop(classify(&failure, &[]));
    }
}

fn any_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<i64>().prop_map(|n| json!(n)),
        any::<f64>().prop_map(|n| json!(n)),
        ".{0,12}".prop_map(|s| json!(s)),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        let key = proptest::sample::select(vec![
            "error",
            "details",
            "metadata",
            "violations",
            "retryDelay",
            "headers",
            "code",
            "response",
        ]);
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(|v| json!(v)),
            proptest::collection::vec((key, inner), 0..4)
                .prop_map(|pairs| pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
        ]
    })
}

/// Recorded error answers of real providers, when they are at hand.
#[test]
#[expect(clippy::disallowed_methods, reason = "the environment says where the recordings are")]
fn recorded_errors_are_classified_as_people_would() {
    use ErrorFamily::*;
    let Ok(root) = std::env::var("NINEROUTER_FIXTURES") else { return };
    let missing = Class::ModelUnavailable;
    let table = [
        ("openai_chat/otv-async-chat-completion-404", OpenAi, missing),
        ("openai_chat/olo-chat-reasoning-2", Azure, missing),
        (
            "openai_responses/pa-deepseek-responses-rejects-interleaved-functio",
            DeepSeek,
            Class::BadRequest,
        ),
        (
            "anthropic_messages/pa-explicit-effort-xhigh-unsupported-model-errors",
            Anthropic,
            Class::BadRequest,
        ),
        ("gemini/v-google-429-retry-info", Google, Class::RateLimited),
        ("embeddings/olo-azure-openai-embeddings-3", Azure, Class::AuthDead),
        ("images/v-gpt-image-response-format-error", OpenAi, Class::BadRequest),
        ("gemini_embeddings/pa-testgoogle-test-embed-error", Google, missing),
        ("anthropic_count_tokens/pa-count-tokens-error", Anthropic, missing),
    ];
    for (slug, family, class) in table {
        let read = |file: &str| std::fs::read(format!("{root}/{slug}/{file}")).unwrap();
        let meta: serde_json::Value = serde_json::from_slice(&read("meta.json")).unwrap();
        let status = u16::try_from(meta["status"].as_u64().unwrap()).unwrap();
        let mut recorded = answer(status, String::from_utf8_lossy(&read("response.json")));
        recorded.model = meta["model"].as_str().unwrap_or("m").to_owned().leak();
        assert_eq!(recorded.classify(family).class, class, "{slug}");
    }
}
