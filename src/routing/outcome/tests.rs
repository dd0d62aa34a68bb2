//! accounts §6.9, case by case.

use proptest::prelude::*;

use super::*;

const NOW: UnixMs = 1_782_907_200_000;
const MIN: i64 = MINUTE;

fn record(target: &str, cause: Cause, wait: Option<i64>) -> FailureRecord {
    FailureRecord { target: target.into(), cause, until: wait.map(|ms| NOW + ms) }
}

fn attempt(class: Class, status: u16) -> Cause {
    Cause::Attempt { class, status: Some(status), transport: None, message: "vendor".into() }
}

fn broken(transport: TransportFailure) -> Cause {
    Cause::Attempt {
        class: Class::Transient,
        status: None,
        transport: Some(transport),
        message: "m".into(),
    }
}

fn locked(class: Class) -> Cause {
    Cause::Locked { class, by_this_request: false }
}

fn own_lock(class: Class) -> Cause {
    Cause::Locked { class, by_this_request: true }
}

type Row = (Vec<(Cause, Option<i64>)>, u16, Option<&'static str>, Option<u64>);

#[test]
fn each_case_has_its_status_code_and_retry_after() {
    use Class::*;
    let unavailable = Some("all_targets_unavailable");
    let table: Vec<Row> = vec![
        // 1: the request's own fault is never hidden.
        (vec![(attempt(BadRequest, 400), None)], 400, None, None),
        (vec![(attempt(BadRequest, 404), None)], 404, None, None),
        (vec![(attempt(BadRequest, 422), None)], 422, None, None),
        (vec![(attempt(ContextTooLong, 413), None)], 413, None, None),
        (vec![(attempt(ContextTooLong, 200), None)], 400, None, None),
        (
            vec![(attempt(RateLimited, 429), Some(MIN)), (attempt(BadRequest, 400), None)],
            400,
            None,
            None,
        ),
        (
            vec![(attempt(ContextTooLong, 400), None), (attempt(QuotaExhausted, 429), Some(MIN))],
            400,
            None,
            None,
        ),
        (vec![(attempt(ContentPolicy, 403), None)], 403, Some("content_policy_violation"), None),
        // 1b: this client, feature or model is not wanted.
        (vec![(attempt(ClientNotPermitted, 400), None)], 403, None, None),
        (
            vec![(attempt(Entitlement, 429), None), (attempt(ModelUnavailable, 404), None)],
            403,
            None,
            None,
        ),
        (vec![(attempt(ModelUnavailable, 404), None)], 404, Some("model_not_found"), None),
        (vec![(locked(ModelUnavailable), Some(MIN))], 404, Some("model_not_found"), None),
        // 2: something recovers.
        (vec![(attempt(RateLimited, 429), Some(7_000))], 429, unavailable, Some(7)),
        (vec![(attempt(RateLimited, 429), None)], 429, unavailable, Some(2)),
        (vec![(attempt(QuotaExhausted, 429), None)], 429, unavailable, Some(900)),
        (vec![(locked(RateLimited), Some(1))], 429, unavailable, Some(1)),
        (vec![(locked(QuotaExhausted), Some(30 * DAY))], 429, unavailable, Some(86_400)),
        (
            vec![(locked(QuotaExhausted), Some(90_001)), (attempt(RateLimited, 429), Some(40_500))],
            429,
            unavailable,
            Some(41),
        ),
        (
            vec![(locked(QuotaExhausted), Some(MIN)), (attempt(Transient, 500), None)],
            503,
            unavailable,
            Some(60),
        ),
        (vec![(locked(Transient), Some(5_000))], 503, unavailable, Some(5)),
        (vec![(locked(AuthDead), Some(30 * MIN))], 503, unavailable, Some(1_800)),
        (vec![(Cause::BreakerOpen, Some(10_000))], 503, unavailable, Some(10)),
        (vec![(attempt(Overloaded, 503), Some(12_000))], 503, unavailable, Some(12)),
        // An account that needs the operator does not turn a rate limit into a 503.
        (
            vec![(Cause::Dead, None), (attempt(RateLimited, 429), Some(MIN))],
            429,
            unavailable,
            Some(60),
        ),
        (vec![(Cause::Budget, Some(MIN))], 429, Some("budget_exceeded"), Some(60)),
        (
            vec![(Cause::Budget, Some(MIN)), (locked(QuotaExhausted), Some(2 * MIN))],
            429,
            unavailable,
            Some(60),
        ),
        (vec![(Cause::Busy, None), (Cause::Busy, None)], 429, Some("router_busy"), Some(1)),
        // Locks this request set itself are no promise.
        (
            vec![(attempt(Transient, 500), None), (own_lock(Transient), Some(5_000))],
            500,
            Some("upstream_error"),
            None,
        ),
        (
            vec![(attempt(AuthDead, 401), None), (own_lock(AuthDead), Some(30 * MIN))],
            502,
            Some("upstream_auth_failed"),
            None,
        ),
        // 3: our credentials.
        (vec![(attempt(AuthExpired, 401), Some(MIN))], 502, Some("upstream_auth_failed"), None),
        (
            vec![(attempt(AuthDead, 401), None), (attempt(Transient, 500), None)],
            502,
            Some("upstream_auth_failed"),
            None,
        ),
        (vec![(Cause::Dead, None)], 503, Some("no_usable_account"), None),
        (vec![(attempt(PaymentRequired, 402), None)], 503, Some("no_usable_account"), None),
        (
            vec![(locked(PaymentRequired), Some(HOUR)), (Cause::Dead, None)],
            503,
            Some("no_usable_account"),
            None,
        ),
        (vec![(attempt(AccountBanned, 403), None)], 503, Some("no_usable_account"), None),
        (vec![(Cause::NoAccount, None)], 404, Some("no_credentials"), None),
        (vec![(Cause::NoAccount, None), (Cause::Dead, None)], 503, Some("no_usable_account"), None),
        (vec![(Cause::NoCandidate("switched off"), None)], 503, Some("no_usable_account"), None),
        (vec![(Cause::Silent, None)], 503, Some("all_targets_unavailable"), Some(1)),
        (vec![], 503, Some("no_usable_account"), None),
        // 4: the last upstream's trouble.
        (vec![(attempt(Transient, 500), None)], 500, Some("upstream_error"), None),
        (vec![(attempt(Overloaded, 529), None)], 529, Some("upstream_error"), None),
        (vec![(attempt(Transient, 524), None)], 524, Some("upstream_error"), None),
        (vec![(attempt(Unknown, 418), None)], 502, Some("upstream_error"), None),
        (vec![(broken(TransportFailure::HeadTimeout), None)], 504, Some("upstream_timeout"), None),
        (vec![(broken(TransportFailure::Tls), None)], 502, Some("upstream_unreachable"), None),
        (vec![(broken(TransportFailure::Dns), None)], 502, Some("upstream_unreachable"), None),
        (vec![(broken(TransportFailure::Blocked), None)], 502, Some("outbound_blocked"), None),
        (vec![(broken(TransportFailure::Empty), None)], 502, Some("upstream_empty"), None),
        (vec![(broken(TransportFailure::Truncated), None)], 502, Some("upstream_truncated"), None),
        (
            vec![(attempt(Transient, 500), None), (broken(TransportFailure::Connect), None)],
            502,
            Some("upstream_unreachable"),
            None,
        ),
    ];
    for (i, (causes, status, code, retry_after)) in table.into_iter().enumerate() {
        let events: Vec<_> = causes.into_iter().map(|(c, until)| record("p/m", c, until)).collect();
        let found = when_all_failed(&events, NOW);
        assert_eq!(
            (found.status, found.code, found.retry_after_s),
            (status, code, retry_after),
            "row {i}: {found:?}"
        );
        assert!(!found.message.is_empty(), "row {i}");
        assert_ne!(found.status, 401, "row {i}: the client's key is not meant");
    }
}

#[test]
fn the_message_lists_targets_and_humanised_waits() {
    let events = [
        record("cc/claude-opus-4-6", locked(Class::QuotaExhausted), Some(7_500_000)),
        record("glm/glm-4.7", attempt(Class::PaymentRequired, 402), None),
        record("glm/glm-4.7", attempt(Class::PaymentRequired, 402), None),
        record("or/x", broken(TransportFailure::HeadTimeout), None),
        record("or/y", attempt(Class::RateLimited, 429), Some(20_000)),
    ];
    assert_eq!(
        when_all_failed(&events, NOW).message,
        "1. cc/claude-opus-4-6 — quota exhausted, resets in 2h 5m; 2. glm/glm-4.7 — 402 balance; \
         3. or/x — no response from the upstream in time; 4. or/y — 429 rate limited, again in 20s"
    );
    let single = &events[..1];
    assert_eq!(
        when_all_failed(single, NOW).message,
        "cc/claude-opus-4-6 — quota exhausted, resets in 2h 5m"
    );
}

#[test]
fn at_most_eight_reasons_are_listed() {
    let events: Vec<_> = (0..11)
        .map(|i| record(&format!("p/m{i}"), locked(Class::RateLimited), Some(MIN)))
        .collect();
    let message = when_all_failed(&events, NOW).message;
    assert!(message.contains("8. p/m7") && !message.contains("9. "), "{message}");
    assert!(message.ends_with("; and 3 more"));
}

#[test]
fn the_vendors_own_words_are_handed_on_for_the_clients_own_trouble() {
    let bad = [
        record("p/m", attempt(Class::RateLimited, 429), None),
        record("p/n", attempt(Class::BadRequest, 400), None),
    ];
    let found = when_all_failed(&bad, NOW);
    assert_eq!((found.passthrough, found.message.as_str()), (Some(1), "vendor"));
    let refused = [record("p/m", attempt(Class::ClientNotPermitted, 400), None)];
    let found = when_all_failed(&refused, NOW);
    assert_eq!((found.passthrough, found.message.as_str()), (None, "vendor"), "the status differs");
    let one = [record("p/m", attempt(Class::Transient, 500), None)];
    assert_eq!(when_all_failed(&one, NOW).passthrough, Some(0));
    let over = [
        record("p/m", attempt(Class::Transient, 500), None),
        record("p/n", attempt(Class::Transient, 500), None),
    ];
    assert_eq!(when_all_failed(&over, NOW).passthrough, None, "the router failed over");
}

#[test]
fn clients_repeat_single_targets_only() {
    let table = [
        (vec![("p/m", attempt(Class::RateLimited, 429))], true),
        (vec![("p/m", attempt(Class::Transient, 500))], true),
        (vec![("p/m", attempt(Class::BadRequest, 400))], false),
        (vec![("p/m", attempt(Class::BadRequest, 409))], true),
        (
            vec![("p/m", attempt(Class::RateLimited, 429)), ("p/n", locked(Class::RateLimited))],
            false,
        ),
    ];
    for (causes, want) in table {
        let events: Vec<_> = causes.into_iter().map(|(t, c)| record(t, c, Some(MIN))).collect();
        assert_eq!(when_all_failed(&events, NOW).should_retry, want, "{events:?}");
    }
}

#[test]
fn durations_are_humanised_in_two_units() {
    let table = [
        (0, "1s"),
        (1, "1s"),
        (44_001, "45s"),
        (60_000, "1m"),
        (61_000, "1m 1s"),
        (3_600_000, "1h"),
        (3_603_000, "1h"),
        (7_500_000, "2h 5m"),
        (86_400_000, "1d"),
        (273_600_000, "3d 4h"),
        (-5, "1s"),
    ];
    for (ms, want) in table {
        assert_eq!(human_duration(ms), want, "{ms}");
    }
}

fn any_cause() -> impl Strategy<Value = Cause> {
    let class = (0..Class::ALL.len()).prop_map(|i| Class::ALL[i]);
    prop_oneof![
        (class.clone(), any::<Option<u16>>()).prop_map(|(class, status)| Cause::Attempt {
            class,
            status,
            transport: None,
            message: String::new()
        }),
        (class, any::<bool>())
            .prop_map(|(class, by_this_request)| Cause::Locked { class, by_this_request }),
        Just(Cause::Dead),
        Just(Cause::NoAccount),
        Just(Cause::Busy),
        Just(Cause::Budget),
        Just(Cause::BreakerOpen),
        Just(Cause::Silent),
        Just(Cause::NoCandidate("off")),
    ]
}

proptest! {
    #[test]
    fn every_set_of_failures_has_an_answer(
        causes in proptest::collection::vec((any_cause(), any::<Option<i64>>()), 0..12)
    ) {
        let events: Vec<_> = causes
            .into_iter()
            .map(|(cause, until)| FailureRecord { target: "p/m".into(), cause, until })
            .collect();
        let found = when_all_failed(&events, NOW);
        prop_assert!((400..600).contains(&found.status) && found.status != 401);
        prop_assert!(found.retry_after_s.is_none_or(|s| (1..=86_400).contains(&s)));
        prop_assert!(!found.message.is_empty());
        prop_assert!(found.passthrough.is_none_or(|at| at < events.len()));
    }
}
