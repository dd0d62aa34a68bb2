//! The instant after which a request waits for no first content any more (security §17, accounts §6.4).

use std::time::{Duration, Instant};

/// Header with which a client lowers the limit (REL-T-4).
pub(super) const CLIENT_HEADER: &str = "x-request-timeout-ms";

/// The smallest of the limits that hold for a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Deadline {
    /// Nothing waits beyond it.
    pub at: Instant,
    /// How long after the request came that is.
    pub limit: Duration,
    /// The client's own wish, tighter than what the operator allows: its expiry is nobody's fault.
    pub by_client: bool,
}

impl Deadline {
    /// Of the client's header, the combo's limit and the router's total, counted from `started`. A client
    /// can lower the total, never raise it.
    #[must_use]
    pub(super) fn of(
        started: Instant,
        client: Option<&str>,
        combo: Option<Duration>,
        total: Option<Duration>,
    ) -> Option<Self> {
        let operator = [combo, total].into_iter().flatten().min();
        let client = client.and_then(|text| text.trim().parse().ok()).filter(|ms| *ms > 0);
        let client = client.map(Duration::from_millis);
        let by_client = client.is_some_and(|own| operator.is_none_or(|limit| own < limit));
        let limit = if by_client { client } else { operator }?;
        // A limit beyond the end of time is none.
        Some(Self { at: started.checked_add(limit)?, limit, by_client })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn the_smallest_limit_holds_and_the_client_can_only_lower_it() {
        let started = Clock::System.now();
        let ms = Duration::from_millis;
        let cases = [
            (None, None, None, None),
            (None, Some(5), Some(9), Some((5, false))),
            (None, Some(9), Some(5), Some((5, false))),
            (Some("3"), Some(5), Some(9), Some((3, true))),
            (Some(" 3 "), None, None, Some((3, true))),
            (Some("7"), Some(5), None, Some((5, false))),
            (Some("0"), None, Some(9), Some((9, false))),
            (Some("-1"), None, Some(9), Some((9, false))),
            (Some("soon"), None, None, None),
            (Some("18446744073709551615"), Some(5), None, Some((5, false))),
            (Some("18446744073709551616"), None, None, None),
        ];
        for (client, combo, total, want) in cases {
            let got = Deadline::of(started, client, combo.map(ms), total.map(ms));
            let want = want.map(|(limit, by_client)| Deadline {
                at: started + ms(limit),
                limit: ms(limit),
                by_client,
            });
            assert_eq!(got, want, "{client:?} {combo:?} {total:?}");
        }
    }
}
