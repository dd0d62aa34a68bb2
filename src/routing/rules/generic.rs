//! Step 6 of accounts §5.2: codes and phrases most vendors share (accounts §5.3).

use super::rule::{Rule, Then, When};
use crate::routing::classify::{Class, Next};
use crate::routing::facts::Facts;
use crate::routing::verdict::{Cooldown, PLAN_STEPS};

/// Statuses of a request that is itself wrong. 402 and 429 outrank a body that says otherwise.
const REQUEST: &[u16] = &[400, 404, 405, 406, 409, 411, 413, 415, 422];

/// Phrases for a prompt larger than the window.
pub(crate) const TOO_LONG: &[&str] = &[
    "prompt is too long",
    "maximum context length",
    "context window",
    "input too long",
    "input is too long",
    "too many tokens",
    "exceeds the maximum~token",
    "exceed the maximum~token",
    "exceeds the model~token",
    "exceed the model~token",
    "exceeds maximum~token",
    "exceeds model~token",
    "input token count exceeds",
];

/// Phrases that say a model cannot be had.
const MISSING: &[&str] = &[
    "not found",
    "not supported",
    "not available",
    "does not exist",
    "no access",
    "not have access",
    "unknown model",
    "invalid model",
];

/// Phrases that say another plan could have it.
pub(crate) const PLAN: &[&str] = &[
    "not available for your plan",
    "not available for your account",
    "not available on your plan",
    "not available in your plan",
    "not included in your plan",
    "not supported by your plan",
    "upgrade your plan",
];

/// The meaning of a model that only this account's plan lacks.
pub(crate) const fn plan() -> Then {
    Then::class(Class::ModelUnavailable)
        .cooldown(Cooldown::Steps(PLAN_STEPS))
        .next(Next::NextAccount)
}

pub(crate) const RULES: &[Rule] = &[
    Rule {
        id: "generic.banned.code",
        statuses: &[],
        when: &[When::Code(&["account_deactivated", "account_disabled", "account_suspended"])],
        then: Then::class(Class::AccountBanned),
    },
    Rule {
        id: "generic.banned.text",
        statuses: &[400, 401, 403, 423],
        when: &[When::Says(&[
            "account has been disabled",
            "account has been deactivated",
            "account has been suspended",
            "account is suspended",
            "account is disabled",
            "account was suspended",
            "organization has been disabled",
            "user id~temporarily is suspended",
        ])],
        then: Then::class(Class::AccountBanned),
    },
    Rule {
        // Only where the account is refused: a 400 of that wording is about the content.
        id: "generic.banned.terms",
        statuses: &[401, 403],
        when: &[When::Says(&["violates~terms", "violation~terms"])],
        then: Then::class(Class::AccountBanned),
    },
    Rule {
        id: "generic.payment.code",
        statuses: &[],
        when: &[When::Code(&[
            "insufficient_quota",
            "billing_hard_limit_reached",
            "insufficient_balance",
            "credit_balance_too_low",
            "billing_not_active",
            "billing_error",
        ])],
        then: Then::class(Class::PaymentRequired),
    },
    Rule {
        id: "generic.payment.text",
        statuses: &[400, 402, 403, 429],
        when: &[When::Says(&[
            "credit balance is too low",
            "insufficient balance",
            "insufficient credits",
            "insufficient account balance",
            "in arrears",
            "arrears",
        ])],
        then: Then::class(Class::PaymentRequired),
    },
    Rule {
        id: "generic.policy",
        statuses: &[200, 400, 403, 406, 409, 413, 415, 422, 451, 500],
        when: &[When::Code(&[
            "content_filter",
            "content_policy_violation",
            "cyber_policy",
            "moderation_blocked",
            "DataInspectionFailed",
            "data_inspection_failed",
            "PROHIBITED_CONTENT",
            "SAFETY",
            "ResponsibleAIPolicyViolation",
        ])],
        then: Then::class(Class::ContentPolicy),
    },
    Rule {
        // REL-UP-4: some gateways send it with 409 or 429.
        id: "generic.overloaded",
        statuses: &[],
        when: &[When::Code(&["overloaded_error", "server_is_overloaded", "engine_overloaded*"])],
        then: Then::class(Class::Overloaded),
    },
    Rule {
        id: "generic.context.code",
        statuses: &[200, 400, 404, 413, 422, 500],
        when: &[When::Code(&[
            "context_length_exceeded",
            "context_too_large",
            "request_too_large",
            "model_max_prompt_tokens_exceeded",
        ])],
        then: Then::class(Class::ContextTooLong),
    },
    Rule {
        id: "generic.context.text",
        statuses: &[400, 413, 422],
        when: &[When::Says(TOO_LONG)],
        then: Then::class(Class::ContextTooLong),
    },
    Rule {
        id: "generic.request.item",
        statuses: &[400, 404],
        when: &[When::Says(&["item with id~not found", "items are not persisted"])],
        then: Then::class(Class::BadRequest),
    },
    Rule {
        id: "generic.request.code",
        statuses: REQUEST,
        when: &[When::Code(&[
            "invalid_prompt",
            "previous_response_not_found",
            "message_too_big",
            "string_above_max_length",
            "invalid_encrypted_content",
            "invalid_image*",
        ])],
        then: Then::class(Class::BadRequest),
    },
    Rule {
        id: "generic.request.signature",
        statuses: REQUEST,
        when: &[When::Says(&["invalid signature in thinking block", "invalid `` in `` block"])],
        then: Then::class(Class::BadRequest),
    },
    Rule {
        id: "generic.model.plan",
        statuses: &[400, 403, 404, 422],
        when: &[When::Says(PLAN)],
        then: plan(),
    },
    Rule {
        id: "generic.model.code",
        statuses: &[200, 400, 403, 404, 422, 500, 503],
        when: &[When::Code(&[
            "model_not_found",
            "model_not_supported",
            "unknown_model",
            "does_not_exist",
            "model_not_available",
        ])],
        then: Then::class(Class::ModelUnavailable),
    },
    Rule {
        id: "generic.model.text",
        statuses: &[400, 404, 422],
        when: &[When::NamesModel, When::Says(MISSING)],
        then: Then::class(Class::ModelUnavailable),
    },
    Rule {
        id: "generic.request.type",
        statuses: REQUEST,
        when: &[
            When::Code(&[
                "invalid_request_error",
                "invalid_value",
                "unsupported_value",
                "unsupported_parameter",
            ]),
            When::Is(not_a_missing_path),
        ],
        then: Then::class(Class::BadRequest),
    },
];

/// A 404 without the model's name is a wrong address (accounts §5.5), whatever type the body claims.
fn not_a_missing_path(facts: &Facts<'_>) -> bool {
    facts.status != Some(404) || facts.field("param").is_some()
}

/// The window a `context_too_long` message names: `200000` in `203456 tokens > 200000 maximum`.
pub(crate) fn window_of(facts: &Facts<'_>, class: Class) -> Option<u64> {
    const MARKS: [&str; 6] = [
        " > ",
        "maximum context length is ",
        "maximum context length of ",
        "context window of ",
        "context limit of ",
        "maximum number of tokens allowed (",
    ];
    if class != Class::ContextTooLong {
        return None;
    }
    MARKS.iter().find_map(|mark| {
        let (_, rest) = facts.text.split_once(mark)?;
        let digits: String =
            rest.chars().filter(|c| *c != ',').take_while(char::is_ascii_digit).collect();
        digits.parse::<u64>().ok().filter(|tokens| *tokens > 0)
    })
}
