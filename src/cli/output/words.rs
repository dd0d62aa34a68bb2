//! Numbers, money and times as people read them.

use jiff::Timestamp;
use jiff::tz::TimeZone;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// `1,234,567`.
#[must_use]
pub fn count(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if n < 0 {
        text.push('-');
    }
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 account`, `2 accounts`.
#[must_use]
pub fn counted(n: i64, noun: &str) -> String {
    format!("{} {noun}{}", count(n), if n == 1 { "" } else { "s" })
}

/// Tokens, short: `950`, `12.3k`, `4.56M`.
#[must_use]
pub fn tokens(n: i64) -> String {
    let scaled = |unit: i64, decimals: u32, mark: &str| {
        let scale = 10_i64.pow(decimals);
        let parts = n / (unit / scale);
        let (whole, rest) = (parts / scale, parts % scale);
        let width = usize::try_from(decimals).unwrap_or_default();
        format!("{whole}.{rest:0width$}{mark}")
    };
    match n {
        ..10_000 => count(n),
        10_000..1_000_000 => scaled(1_000, 1, "k"),
        1_000_000..1_000_000_000 => scaled(1_000_000, 2, "M"),
        _ => scaled(1_000_000_000, 2, "G"),
    }
}

/// Micro-USD: `$12.30`, and as many decimals as small amounts need.
#[must_use]
pub fn money(umicro: i64) -> String {
    let sign = if umicro < 0 { "-" } else { "" };
    let (whole, rest) = (umicro.unsigned_abs() / 1_000_000, umicro.unsigned_abs() % 1_000_000);
    let whole = count(i64::try_from(whole).unwrap_or(i64::MAX));
    if rest % 10_000 == 0 || umicro.unsigned_abs() >= 10_000_000 {
        return format!("{sign}${whole}.{:02}", rest / 10_000);
    }
    let decimals = format!("{rest:06}");
    format!("{sign}${whole}.{}", decimals.trim_end_matches('0'))
}

/// `42 %`.
#[must_use]
pub fn percent(share: f64) -> String {
    format!("{share:.0} %")
}

/// A span in its two largest units: `3 d 4 h`, `12 min`, `40 s`.
#[must_use]
pub fn duration(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let two = |big: i64, big_name: &str, small: i64, small_name: &str| {
        let (whole, rest) = (seconds / big, seconds % big / small);
        if rest == 0 {
            format!("{whole} {big_name}")
        } else {
            format!("{whole} {big_name} {rest} {small_name}")
        }
    };
    match seconds {
        DAY.. => two(DAY, "d", HOUR, "h"),
        HOUR..DAY => two(HOUR, "h", MINUTE, "min"),
        MINUTE..HOUR => format!("{} min", seconds / MINUTE),
        _ => format!("{seconds} s"),
    }
}

/// How far an instant is from now: `in 12 min`, `3 h ago`, `now`.
#[must_use]
pub fn relative(at_ms: i64, now_ms: i64) -> String {
    let seconds = at_ms.saturating_sub(now_ms) / 1_000;
    match seconds {
        0 => "now".to_owned(),
        1.. => format!("in {}", duration(seconds)),
        _ => format!("{} ago", duration(seconds.saturating_neg())),
    }
}

/// An instant on this computer's clock: `2026-11-29 22:14`.
#[must_use]
pub fn moment(at_ms: i64) -> String {
    let Ok(instant) = Timestamp::from_millisecond(at_ms) else { return "?".to_owned() };
    instant.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(
            [count(0), count(999), count(1_000), count(-1_234_567)],
            ["0", "999", "1,000", "-1,234,567"]
        );
        assert_eq!(count(i64::MIN), "-9,223,372,036,854,775,808");
        assert_eq!([tokens(9_999), tokens(12_345), tokens(4_567_000)], ["9,999", "12.3k", "4.56M"]);
        assert_eq!(tokens(7_000_000_000), "7.00G");
        assert_eq!([counted(1, "key"), counted(2_000, "key")], ["1 key", "2,000 keys"]);
    }

    #[test]
    fn amounts_keep_what_matters() {
        for (umicro, text) in [
            (0, "$0.00"),
            (1_234, "$0.001234"),
            (2_500_000, "$2.50"),
            (2_505_000, "$2.505"),
            (1_234_567_890, "$1,234.56"),
            (-20_000, "-$0.02"),
        ] {
            assert_eq!(money(umicro), text);
        }
    }

    #[test]
    fn spans_and_instants() {
        assert_eq!([duration(40), duration(750), duration(7_500)], ["40 s", "12 min", "2 h 5 min"]);
        assert_eq!([duration(90_000), duration(86_400), duration(-5)], ["1 d 1 h", "1 d", "0 s"]);
        assert_eq!(relative(60_000, 0), "in 1 min");
        assert_eq!(relative(0, 7_200_000), "2 h ago");
        assert_eq!(relative(500, 0), "now");
    }
}
