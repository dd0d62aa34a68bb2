//! Values of arguments that have a form of their own: amounts of money, spans, ends, `name=value`.

use std::str::FromStr;

/// `name=value`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pair {
    /// Before the first `=`.
    pub name: String,
    /// Behind it.
    pub value: String,
}

impl FromStr for Pair {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((name, value)) if !name.trim().is_empty() => {
                Ok(Self { name: name.trim().to_owned(), value: value.to_owned() })
            }
            Some(_) | None => Err("expected NAME=VALUE"),
        }
    }
}

/// An amount of money in micro-USD, written in US dollars with at most six decimals.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Micros(pub i64);

impl FromStr for Micros {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WANT: &str =
            "expected an amount in US dollars such as `5` or `2.50`, with at most six decimals";
        let text = text.trim().trim_start_matches('$');
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || fraction.len() > 6 {
            return Err(WANT);
        }
        if whole.is_empty() && fraction.is_empty() {
            return Err(WANT);
        }
        let number = |part: &str| if part.is_empty() { Ok(0) } else { part.parse::<i64>() };
        let whole = number(whole).map_err(|_too_large| WANT)?;
        let fraction = number(&format!("{fraction:0<6}")).map_err(|_too_large| WANT)?;
        let micros = whole.checked_mul(1_000_000).and_then(|w| w.checked_add(fraction));
        micros.map(Self).ok_or(WANT)
    }
}

/// A span of time in whole seconds: `90d`, `12h`, `30m`, `45s`, `2w`; several parts add up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// Seconds.
    pub seconds: i64,
}

impl FromStr for Span {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WANT: &str = "expected a span such as `90d`, `12h`, `30m` or `1d12h`";
        let mut seconds: i64 = 0;
        let mut number = String::new();
        for c in text.trim().chars() {
            if c.is_ascii_digit() {
                number.push(c);
                continue;
            }
            let unit = match c.to_ascii_lowercase() {
                's' => 1,
                'm' => 60,
                'h' => 3_600,
                'd' => 86_400,
                'w' => 604_800,
                _ => return Err(WANT),
            };
            let count: i64 = number.parse().map_err(|_no_number| WANT)?;
            number.clear();
            let part = count.checked_mul(unit).ok_or(WANT)?;
            seconds = seconds.checked_add(part).ok_or(WANT)?;
        }
        if !number.is_empty() || seconds == 0 {
            return Err(WANT);
        }
        Ok(Self { seconds })
    }
}

/// An end in time: after a span from now, or at an instant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Until {
    /// So long from now.
    After(Span),
    /// Unix ms.
    At(i64),
}

impl Until {
    /// The end in Unix ms, seen from `now_ms`.
    #[must_use]
    pub fn at_ms(self, now_ms: i64) -> i64 {
        match self {
            Self::After(span) => now_ms.saturating_add(span.seconds.saturating_mul(1_000)),
            Self::At(ms) => ms,
        }
    }
}

impl FromStr for Until {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if let Ok(span) = text.parse() {
            return Ok(Self::After(span));
        }
        if let Ok(instant) = text.parse::<jiff::Timestamp>() {
            return Ok(Self::At(instant.as_millisecond()));
        }
        // A bare date ends with that day, in UTC as the key's limits are.
        let date: jiff::civil::Date = text.parse().map_err(|_no_date| {
            "expected a span such as `90d`, a date such as `2027-01-31`, or an instant such as `2027-01-31T12:00:00Z`"
        })?;
        let next = date.tomorrow().map_err(|_last| "the date is too far away")?;
        let zoned =
            next.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_out| "the date is too far away")?;
        Ok(Self::At(zoned.timestamp().as_millisecond()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_exact() {
        for (text, micros) in [
            ("5", 5_000_000),
            ("2.50", 2_500_000),
            ("$0.000001", 1),
            (".5", 500_000),
            ("3.", 3_000_000),
            ("0", 0),
        ] {
            assert_eq!(text.parse(), Ok(Micros(micros)), "{text}");
        }
        for text in [
            "",
            ".",
            "-1",
            "1,5",
            "1e3",
            "0.0000001",
            "five",
            "9223372036854775808",
            "9223372036855",
        ] {
            assert!(text.parse::<Micros>().is_err(), "{text}");
        }
    }

    #[test]
    fn spans_add_up() {
        for (text, seconds) in [
            ("90d", 7_776_000),
            ("12h", 43_200),
            ("1d12h", 129_600),
            ("2W", 1_209_600),
            ("45s", 45),
        ] {
            assert_eq!(text.parse(), Ok(Span { seconds }), "{text}");
        }
        for text in [
            "",
            "90",
            "d",
            "0d",
            "1y",
            "-1d",
            "1d5",
            "99999999999999999999d",
            "9223372036854775807w",
        ] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn ends_are_spans_days_or_instants() {
        assert_eq!("1h".parse::<Until>().unwrap().at_ms(1_000), 3_601_000);
        assert_eq!(
            "1970-01-01".parse::<Until>().unwrap().at_ms(5),
            86_400_000,
            "the whole day counts"
        );
        assert_eq!("1970-01-01T00:00:01Z".parse::<Until>().unwrap().at_ms(5), 1_000);
        for text in ["soon", "2027-13-01", "90"] {
            assert!(text.parse::<Until>().is_err(), "{text}");
        }
    }

    #[test]
    fn pairs_split_at_the_first_sign() {
        let pair: Pair = "query=a=b".parse().unwrap();
        assert_eq!((pair.name.as_str(), pair.value.as_str()), ("query", "a=b"));
        assert!("=x".parse::<Pair>().is_err() && "x".parse::<Pair>().is_err());
    }
}
