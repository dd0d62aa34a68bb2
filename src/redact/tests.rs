//! Every kind of secret, and what must stay readable.

use proptest::prelude::*;

use super::*;

/// One of each kind, put together at run time so that no scanner takes this file for a leak.
fn secrets() -> Vec<String> {
    let word = "Ab3_".repeat(12);
    let plain = "Ab34".repeat(12);
    let upper = "AB34".repeat(4);
    vec![
        format!("sk-{plain}"),
        format!("sk-proj-{word}"),
        ["sk", "ant", "api03", &word].join("-"),
        format!("sk-nr1-{}", plain.get(..38).unwrap()),
        format!("AIza{}", word.get(..35).unwrap()),
        format!("ya29.{word}"),
        format!("1//{word}"),
        format!("gho_{plain}"),
        format!("ghp_{plain}"),
        format!("ghu_{plain}"),
        format!("ghs_{plain}"),
        format!("ghr_{plain}"),
        format!("github_pat_{word}"),
        format!("glpat-{word}"),
        format!("xoxb-{plain}"),
        format!("AKIA{upper}"),
        format!("ASIA{upper}"),
        format!("eyJ{plain}.{plain}.{plain}"),
        format!("-----BEGIN RSA PRIVATE KEY-----\n{plain}\n-----END RSA PRIVATE KEY-----"),
        format!("-----BEGIN PRIVATE KEY-----\n{plain}"),
    ]
}

#[test]
fn t_log_01_every_kind_is_found_in_every_surrounding() {
    for secret in secrets() {
        for text in [
            secret.clone(),
            format!("Incorrect API key provided: {secret}."),
            format!("authorization: Bearer {secret}"),
            format!(r#"{{"error":{{"message":"bad key {secret}"}}}}"#),
            format!("('{secret}',)"),
            format!("https://a.b/c?x=1&key={secret}&y=2"),
        ] {
            let redacted = redact_text(&text);
            let body = secret.lines().nth(1).unwrap_or(&secret);
            assert!(!redacted.contains(body), "{text} -> {redacted}");
            assert!(contains_secret(&text), "{text}");
        }
    }
}

#[test]
fn surroundings_stay() {
    let table = [
        ("https://user:pa55@host/x", "https://***@host/x"),
        ("http://u@h", "http://***@h"),
        ("https://h/x?key=abcdefghijkl&alt=sse", "https://h/x?key=[redacted]&alt=sse"),
        ("https://h/x?alt=sse&token=abc", "https://h/x?alt=sse&token=***"),
        ("/cb?code=4/0Abcdefghijkl&state=x", "/cb?code=[redacted]&state=x"),
        ("?sig=%2Babcdefghijk", "?sig=[redacted]"),
        ("?x-goog-api-key=abcdefghijkl", "?x-goog-api-key=[redacted]"),
        ("authorization: Bearer abcdefghijklmnop", "authorization: Bearer [redacted]"),
        ("BEARER   abcdefghijklmnop", "BEARER   [redacted]"),
        (
            r#"{"access_token":"abcdefghijkl","expires_in":5}"#,
            r#"{"access_token":"[redacted]","expires_in":5}"#,
        ),
        (r#"{"refresh_token" : "a\"b"}"#, r#"{"refresh_token" : "***"}"#),
        (r#"{"client_secret":"x"}"#, r#"{"client_secret":"***"}"#),
        (
            r#"{"body":"{\"api_key\":\"abcdefghijkl\"}"}"#,
            r#"{"body":"{\"api_key\":\"[redacted]\"}"}"#,
        ),
        ("x-api-key: abcdefghijkl, accept: */*", "x-api-key: [redacted], accept: */*"),
        ("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic [redacted]"),
        ("set-cookie: sid=abcdefghijkl; b=c\nnext", "set-cookie: [redacted]\nnext"),
        ("invalid cookie: too long", "invalid cookie: too long"),
        ("client_secret=abcdefghijkl&a=b", "client_secret=[redacted]&a=b"),
    ];
    for (text, want) in table {
        assert_eq!(redact_text(text), want);
    }
}

#[test]
fn ordinary_error_texts_stay_as_they_are() {
    for text in [
        "You exceeded your current quota, please check your plan",
        r#"{"error":{"message":"max_tokens is too large: 999999","type":"invalid_request_error","param":"max_tokens","code":"invalid_value"}}"#,
        r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_011CSHoEeqs5C35K2UUqR7Fy"}"#,
        "This model's maximum context length is 128000 tokens. However, your messages resulted in 140000 tokens",
        "Rate limit reached for gpt-4o in organization org-abc on tokens per min (TPM): Limit 30000",
        "task-force risk-assessment-of-a-long-name",
        "see https://platform.openai.com/account/api-keys?tab=all&page=2",
        "no such model `claude-sonnet-4-20250514`",
        "Incorrect API key provided: sk-proj-****abcd",
        "max_tokens=100 is more than input_tokens=7 allow",
        "missing header: authorization",
    ] {
        assert_eq!(redact_text(text), text);
        assert!(!contains_secret(text), "{text}");
    }
}

#[test]
fn json_loses_the_values_of_secret_names_and_keeps_its_numbers() {
    let value = serde_json::json!({"max_tokens": 7, "token": "hush", "deep": [{"cookie": {"sid": "hush"}}],
        "secret": ["hush", 5], "text": "see https://u:hush@h/", "code": "hush"});
    let clean = redact_json(value);
    assert!(!clean.to_string().contains("hush"), "{clean}");
    assert_eq!((&clean["max_tokens"], &clean["secret"][1]), (&7.into(), &5.into()));
    assert_eq!(redact_json(clean.clone()), clean);
}

#[test]
fn names_hide_whole_values() {
    for name in [
        "Authorization",
        "proxy-authorization",
        "Cookie",
        "set-cookie",
        "X-Api-Key",
        "x_api_key",
        "api-key",
        "x-goog-api-key",
        "x-csrf-token",
        "x-internal-anything",
        "anthropic-auth-token",
        "Client-Secret",
        "password",
        "passphrase",
        "x-credential-id",
        "private_key",
        "client_assertion",
        "code",
        "code_verifier",
        "device_code",
        "refresh_token",
        "id_token",
        "session_id",
        "SessionKey",
        "sas",
        "sig",
        "signature",
    ] {
        let shown = redact_header_value(name, "hush");
        assert!(shown.starts_with("[redacted:4:") && shown.len() == 21, "{name}: {shown}");
    }
    for name in ["content-type", "x-request-id", "retry-after", "key", "accept", "error-code"] {
        assert_eq!(redact_header_value(name, "hush"), "hush", "{name}");
    }
    assert!(is_secret_parameter("key") && is_secret_parameter("KEY"));
}

#[test]
fn equal_values_have_equal_marks_and_marks_stay() {
    let mark = redact_value("hush");
    assert_eq!(mark, redact_value("hush"));
    assert_ne!(mark, redact_value("hash"));
    assert_eq!(redact_header_value("authorization", &mark), mark);
    assert_ne!(redact_value("[redacted:evil]"), "[redacted:evil]");
}

#[test]
fn long_base64_is_cut_and_is_no_secret() {
    let long = "QUJD".repeat(50);
    let text = format!("image {long}== end");
    assert_eq!(redact_text(&text), "image [base64 cut] end");
    assert!(!contains_secret(&text));
    let text = format!("ü{long}ü{long}");
    assert_eq!(redact_text(&text), "ü[base64 cut]ü[base64 cut]");
    let just_below = "a".repeat(199);
    assert_eq!(redact_text(&just_below), just_below);
}

/// Hostile texts of a megabyte: a quadratic scan would not come back.
#[test]
fn t_log_02_hostile_texts_end() {
    for unit in [
        "a",
        "eyJ",
        "eyJAKIA0123456789ABCDEF",
        "://",
        "://x",
        "://xsk-aaaaaaaaaaaaaaaaaaaa,",
        "Bearer ",
        "sk-",
        "\"token\":\"",
        "-----BEGIN PRIVATE KEY-----",
        "?key=",
        "\"a\":\"\\",
        "ghp_aaaaaaaaaaaaaaaaaaaaa ",
        "\n",
    ] {
        let text = unit.repeat(1024 * 1024 / unit.len());
        let redacted = redact_text(&text);
        assert!(redacted.len() <= text.len() * 2, "{unit:?}");
    }
}

fn pieces() -> impl Strategy<Value = String> {
    let fixed = prop::sample::select(
        secrets()
            .into_iter()
            .chain(
                [
                    "?key=",
                    "&token=",
                    "://",
                    "@",
                    "Bearer ",
                    "\"",
                    "\\",
                    ":",
                    " ",
                    "\"api_key\":\"",
                    "[redacted]",
                    "***",
                    "-",
                    "ü",
                ]
                .map(str::to_owned),
            )
            .collect::<Vec<_>>(),
    );
    prop::collection::vec(prop_oneof![fixed, "[a-zA-Z0-9_./:@?&=\" -]{0,12}"], 0..12)
        .prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn t_log_02_redaction_is_idempotent_and_does_not_blow_up(text in pieces()) {
        let once = redact_text(&text).into_owned();
        prop_assert_eq!(redact_text(&once), once.as_str());
        prop_assert!(once.len() <= text.len() * 2, "{} -> {}", text, once);
        if !contains_secret(&text) {
            prop_assert!(!once.contains(MASK) || text.contains(MASK));
        }
    }

    #[test]
    fn any_text_survives(text in "\\PC{0,80}") {
        let once = redact_text(&text).into_owned();
        prop_assert_eq!(redact_text(&once), once.as_str());
    }
}
