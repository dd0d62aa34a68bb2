//! Numbers, money and durations as the dashboard writes them (one way, everywhere).

/// A count with thousands separators: `1,380,221`.
#[must_use]
pub fn grouped(count: i64) -> String {
    let digits = count.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if count < 0 {
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

/// A count in little room: exact below 10,000, else with at most one decimal: `9,999`, `12.4k`, `200k`, `47.2M`.
#[must_use]
pub fn compact(count: i64) -> String {
    const UNITS: [(i64, &str); 4] =
        [(1_000_000_000_000, "T"), (1_000_000_000, "B"), (1_000_000, "M"), (1_000, "k")];
    if count.unsigned_abs() < 10_000 {
        return grouped(count);
    }
    for (unit, letter) in UNITS {
        // Rounded down: 999,999 is 999.9k and never 1000.0k.
        if count.unsigned_abs() >= unit.unsigned_abs() {
            let tenths = count / (unit / 10);
            let whole = grouped(tenths / 10);
            return match (tenths % 10).abs() {
                0 => format!("{whole}{letter}"),
                tenth => format!("{whole}.{tenth}{letter}"),
            };
        }
    }
    grouped(count)
}

/// Micro-dollars: two decimals, four below one cent: `$12.40`, `$0.0031`.
#[must_use]
pub fn money(umicro: i64) -> String {
    let sign = if umicro < 0 { "-" } else { "" };
    let amount = umicro.unsigned_abs();
    if amount == 0 {
        return "$0.00".to_owned();
    }
    if amount < 10_000 {
        // Half up; what rounds to a full cent is one.
        let parts = amount.saturating_add(50) / 100;
        return if parts == 0 { format!("{sign}<$0.0001") } else { format!("{sign}$0.{parts:04}") };
    }
    let cents = amount.saturating_add(5_000) / 10_000;
    let dollars = i64::try_from(cents / 100).unwrap_or(i64::MAX);
    format!("{sign}${}.{:02}", grouped(dollars), cents % 100)
}

/// A span in seconds: `12 s`, `48 m`, `2 h 05 m`, `4 d 6 h`. A negative one is `0 s`.
#[must_use]
pub fn span(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    if days > 0 {
        format!("{days} d {} h", hours % 24)
    } else if hours > 0 {
        format!("{hours} h {:02} m", minutes % 60)
    } else if minutes > 0 {
        format!("{minutes} m")
    } else {
        format!("{seconds} s")
    }
}

/// A duration in milliseconds: `85 ms`, `1.42 s`, `2 m 05 s`.
#[must_use]
pub fn elapsed(ms: i64) -> String {
    let ms = ms.max(0);
    if ms < 1_000 {
        format!("{ms} ms")
    } else if ms < 60_000 {
        format!("{}.{:02} s", ms / 1_000, ms % 1_000 / 10)
    } else {
        format!("{} m {:02} s", ms / 60_000, ms % 60_000 / 1_000)
    }
}

/// Bytes in binary units: `512 B`, `1.5 MiB`.
#[must_use]
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1_024 {
        return format!("{count} B");
    }
    let mut tenths = count.saturating_mul(10) / 1_024;
    let mut unit = "KiB";
    for next in UNITS.iter().skip(1) {
        if tenths < 10_240 {
            break;
        }
        tenths /= 1_024;
        unit = next;
    }
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        for (count, want) in [
            (0, "0"),
            (999, "999"),
            (9_999, "9,999"),
            (10_000, "10k"),
            (200_000, "200k"),
            (12_449, "12.4k"),
            (999_999, "999.9k"),
            (47_230_000, "47.2M"),
            (-12_449, "-12.4k"),
            (i64::MAX, "9,223,372T"),
        ] {
            assert_eq!(compact(count), want);
        }
        assert_eq!(grouped(i64::MIN), "-9,223,372,036,854,775,808");
    }

    #[test]
    fn amounts() {
        for (umicro, want) in [
            (0, "$0.00"),
            (20, "<$0.0001"),
            (3_100, "$0.0031"),
            (9_949, "$0.0099"),
            (10_000, "$0.01"),
            (12_400_000, "$12.40"),
            (1_234_567_890_000, "$1,234,567.89"),
            (-50_000, "-$0.05"),
        ] {
            assert_eq!(money(umicro), want);
        }
    }

    #[test]
    fn spans() {
        for (seconds, want) in
            [(-5, "0 s"), (12, "12 s"), (2_880, "48 m"), (7_500, "2 h 05 m"), (367_200, "4 d 6 h")]
        {
            assert_eq!(span(seconds), want);
        }
        for (ms, want) in [(85, "85 ms"), (1_420, "1.42 s"), (125_000, "2 m 05 s")] {
            assert_eq!(elapsed(ms), want);
        }
        for (count, want) in [(512, "512 B"), (1_536, "1.5 KiB"), (1_572_864, "1.5 MiB")] {
            assert_eq!(bytes(count), want);
        }
    }
}
