//! Charts as inline SVG: stacked bars over time, and shares of a whole (dashboard §3.5).
//!
//! Colours and sizes are classes and attributes: the content security policy forbids styles. Each chart of bars comes
//! in two sizes, of which the style sheet shows one, so that its text has the same size on a phone. Whoever cannot see
//! it, or wants the numbers, has them as a table below.

use maud::{Markup, html};

use crate::format::{compact, grouped};

/// Bars over time, each a stack of groups.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Bars {
    /// Unique on its page: part of ids.
    pub id: &'static str,
    /// What it shows: `Tokens per day`.
    pub title: String,
    /// What is counted: `tokens`.
    pub unit: &'static str,
    /// The groups, from the bottom up; at most eight.
    pub groups: Vec<Group>,
    /// The bars, oldest first.
    pub bars: Vec<Bar>,
}

/// One group: a colour with its name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// 1 to 8: its colour; 0 = the rest that has none.
    pub tint: u8,
}

/// One bar.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bar {
    /// In full: `Sat 21 Nov`.
    pub label: String,
    /// Below the bar: `21`.
    pub short: String,
    /// One number for each group, from 0 up.
    pub values: Vec<i64>,
    /// Its time is not over yet.
    pub so_far: bool,
    /// Nothing is known of it, or nothing happened: it is no bar of height 0.
    pub no_data: bool,
}

/// Parts of a whole.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Shares {
    /// Unique on its page: part of ids.
    pub id: &'static str,
    /// What it shows: `Tokens by tier`.
    pub title: String,
    /// Name, colour and amount.
    pub parts: Vec<(Group, i64)>,
}

/// One of the two sizes. All lengths are tenths of a pixel: whole numbers have no rounding of their own.
struct Size {
    class: &'static str,
    width: i64,
}

const WIDE: Size = Size { class: "chart wide", width: 7_200 };
const NARROW: Size = Size { class: "chart narrow", width: 3_400 };
const HEIGHT: i64 = 2_000;
/// Around the bars.
const LEFT: i64 = 420;
const RIGHT: i64 = 40;
const TOP: i64 = 100;
const BOTTOM: i64 = 240;
/// Labels below the bars are so far apart.
const APART: i64 = 440;
/// Widest bar.
const WIDEST: i64 = 360;
/// Lines of the scale above 0.
const MOST_TICKS: i64 = 4;

impl Bars {
    fn total(bar: &Bar) -> i64 {
        bar.values.iter().fold(0, |sum, value| sum.saturating_add((*value).max(0)))
    }

    /// Distance of the scale's lines, 1, 2 or 5 × 10ⁿ, and the value at its top.
    fn scale(&self) -> (i64, i64) {
        let most = self.bars.iter().map(Self::total).max().unwrap_or_default().max(1);
        let mut step = 1_i64;
        loop {
            for factor in [1, 2, 5] {
                let wide = step.saturating_mul(factor);
                let lines = most.div_euclid(wide) + i64::from(most.rem_euclid(wide) > 0);
                if lines <= MOST_TICKS {
                    return (wide, wide.saturating_mul(lines.max(1)));
                }
            }
            step = step.saturating_mul(10);
        }
    }

    /// `Sat 21 Nov: 68.1k tokens, Codex 14k`.
    fn words(&self, bar: &Bar) -> String {
        if bar.no_data {
            return format!("{}: no request", bar.label);
        }
        let so_far = if bar.so_far { " so far" } else { "" };
        let mut words =
            format!("{}{so_far}: {} {}", bar.label, compact(Self::total(bar)), self.unit);
        for (group, value) in self.groups.iter().zip(&bar.values).filter(|(_, value)| **value > 0) {
            words.push_str(&format!(", {} {}", group.name, compact(*value)));
        }
        words
    }
}

/// Chart, legend and table.
#[must_use]
pub fn bars(view: &Bars) -> Markup {
    html! {
        (drawn(view, &WIDE))
        (drawn(view, &NARROW))
        (legend(&view.groups))
        details.more {
            summary { "Show as table" }
            div.table tabindex="0" role="region" aria-label=(view.title) {
                table {
                    thead { tr {
                        th scope="col" { "When" }
                        @for group in &view.groups { th.n scope="col" { (group.name) } }
                        th.n scope="col" { "Together" }
                    } }
                    tbody { @for bar in &view.bars { (table_row(bar)) } }
                }
            }
        }
    }
}

fn table_row(bar: &Bar) -> Markup {
    html! {
        tr {
            th scope="row" { (bar.label) @if bar.so_far { " so far" } }
            @for value in &bar.values { td.n { @if bar.no_data { "—" } @else { (grouped(*value)) } } }
            td.n { @if bar.no_data { "—" } @else { (grouped(Bars::total(bar))) } }
        }
    }
}

fn drawn(view: &Bars, size: &Size) -> Markup {
    let (step, top) = view.scale();
    let (id, hatch) =
        (format!("{}-{}", view.id, size.width), format!("{}-{}-no", view.id, size.width));
    let high = HEIGHT - TOP - BOTTOM;
    let y = |value: i64| {
        let share = i128::from(high) * i128::from(value.max(0)) / i128::from(top);
        HEIGHT - BOTTOM - i64::try_from(share).unwrap_or(high)
    };
    let count = i64::try_from(view.bars.len()).unwrap_or(i64::MAX).max(1);
    let slot = |at: i64| LEFT + (size.width - LEFT - RIGHT) * at / count;
    let wide = ((size.width - LEFT - RIGHT) * 7 / 10 / count).clamp(10, WIDEST);
    // Every n-th bar has a label; the newest has one, and the others are counted from it.
    let every = (APART * count / (size.width - LEFT - RIGHT) + 1).max(1);
    let lines = (0..=top / step).map(|line| line * step);
    html! {
        svg class=(size.class) viewBox={ "0 0 " (size.width / 10) " " (HEIGHT / 10) } role="img"
            aria-labelledby={ (id) "-t " (id) "-d" } {
            title id={ (id) "-t" } { (view.title) }
            desc id={ (id) "-d" } { (described(view)) }
            pattern id=(hatch) width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                line y2="6" {}
            }
            @for value in lines {
                line x1=(px(LEFT)) x2=(px(size.width - RIGHT)) y1=(px(y(value))) y2=(px(y(value))) {}
                text x=(px(LEFT - 60)) y=(px(y(value) + 40)) text-anchor="end" { (compact(value)) }
            }
            @for (at, bar) in (0_i64..).zip(&view.bars) {
                @let x = slot(at) + (slot(at + 1) - slot(at) - wide) / 2;
                g class=[bar.so_far.then_some("part")] {
                    title { (view.words(bar)) }
                    @if bar.no_data {
                        rect x=(px(x)) y=(px(TOP)) width=(px(wide)) height=(px(high)) fill={ "url(#" (hatch) ")" } {}
                    } @else {
                        (stack(view, bar, x, wide, &y))
                    }
                }
                @if (count - 1 - at) % every == 0 {
                    text x=(px(x + wide / 2)) y=(px(HEIGHT - 60)) text-anchor="middle" { (bar.short) }
                }
            }
        }
    }
}

/// The parts of one bar, from the bottom up.
fn stack(view: &Bars, bar: &Bar, x: i64, wide: i64, y: &impl Fn(i64) -> i64) -> Markup {
    let mut below = 0_i64;
    let parts = view.groups.iter().zip(&bar.values).map(|(group, value)| {
        let from = below;
        below = below.saturating_add((*value).max(0));
        (group.tint, y(from), y(below))
    });
    html! {
        @for (tint, bottom, top) in parts.filter(|(_, bottom, top)| bottom > top) {
            rect class={ "t" (tint) } x=(px(x)) y=(px(top)) width=(px(wide)) height=(px(bottom - top)) {}
        }
    }
}

/// One sentence for who cannot see the bars.
fn described(view: &Bars) -> String {
    let known = view.bars.iter().filter(|bar| !bar.no_data);
    match known.max_by_key(|bar| Bars::total(bar)) {
        Some(most) => {
            format!("The most: {}. The numbers are in the table below.", view.words(most))
        }
        None => "Nothing was counted.".to_owned(),
    }
}

/// Tenths of a pixel as pixels.
fn px(tenths: i64) -> String {
    match tenths.rem_euclid(10) {
        0 => (tenths.div_euclid(10)).to_string(),
        tenth => format!("{}.{tenth}", tenths.div_euclid(10)),
    }
}

fn legend(groups: &[Group]) -> Markup {
    html! { ul.legend { @for group in groups { li { i class={ "t" (group.tint) } {} (group.name) } } } }
}

/// One bar of 100 %, with its parts in words.
#[must_use]
pub fn shares(view: &Shares) -> Markup {
    let amount = |value: i64| i128::from(value.max(0));
    let whole = view.parts.iter().map(|(_, value)| amount(*value)).sum::<i128>().max(1);
    let place = |value: i128| i64::try_from(value * 3_400 / whole).unwrap_or_default();
    // Half up: parts of a whole that add up to 99 puzzle.
    let percent = |value: i64| (amount(value) * 100 + whole / 2) / whole;
    let mut before = 0;
    let parts = view.parts.iter().map(|(group, value)| {
        let from = place(before);
        before += amount(*value);
        (group, *value, from, place(before))
    });
    html! {
        svg.chart viewBox="0 0 340 14" role="img" aria-labelledby={ (view.id) "-t" } {
            title id={ (view.id) "-t" } { (view.title) }
            @for (group, value, from, to) in parts {
                rect class={ "t" (group.tint) } x=(px(from)) width=(px(to - from)) height="14" {
                    title { (group.name) ": " (percent(value)) " %" }
                }
            }
        }
        dl.kv {
            @for (group, value) in &view.parts {
                dt.legend { i class={ "t" (group.tint) } {} (group.name) }
                dd { (percent(*value)) " % · " (compact(*value)) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(values: &[i64]) -> Bar {
        Bar {
            label: "Sat 21 Nov".to_owned(),
            short: "21".to_owned(),
            values: values.to_vec(),
            so_far: false,
            no_data: false,
        }
    }

    fn view(bars: Vec<Bar>) -> Bars {
        let group = |name: &str, tint| Group { name: name.to_owned(), tint };
        let groups = vec![group("Codex", 1), group("GLM", 2)];
        Bars { id: "x", title: "Tokens".to_owned(), unit: "tokens", groups, bars }
    }

    #[test]
    fn a_scale_has_round_steps_and_holds_the_highest_bar() {
        for (most, want) in [
            (0, (1, 1)),
            (1, (1, 1)),
            (4, (1, 4)),
            (5, (2, 6)),
            (68_100, (20_000, 80_000)),
            (100_000, (50_000, 100_000)),
            (400_001, (200_000, 600_000)),
        ] {
            assert_eq!(view(vec![bar(&[most, 0])]).scale(), want, "{most}");
        }
        let (step, top) = view(vec![bar(&[i64::MAX, i64::MAX])]).scale();
        assert!(step > 0 && top >= step);
    }

    #[test]
    fn parts_of_a_bar_stand_on_each_other_and_end_at_the_axis() {
        let html = bars(&view(vec![bar(&[30, 10])])).into_string();
        // Of 166 px for 40: 30 are 124.5, and 10 are 41.5 above them.
        assert!(html.contains(r#"y="51.5" width="36" height="124.5""#), "{html}");
        assert!(html.contains(r#"y="10" width="36" height="41.5""#), "{html}");
        assert!(html.contains("<title>Sat 21 Nov: 40 tokens, Codex 30, GLM 10</title>"), "{html}");
    }

    #[test]
    fn a_day_without_requests_is_no_bar_and_today_is_so_far() {
        let mut days = vec![bar(&[0, 0]), bar(&[5, 0])];
        days[0].no_data = true;
        days[1].so_far = true;
        let html = bars(&view(days)).into_string();
        assert_eq!(html.matches("fill=\"url(#x-7200-no)\"").count(), 1);
        assert!(
            html.contains("Sat 21 Nov: no request") && html.contains("Sat 21 Nov so far: 5 tokens")
        );
        assert!(html.contains("<td class=\"n\">—</td>"), "{html}");
    }

    #[test]
    fn labels_do_not_run_into_each_other() {
        let month = bars(&view((0..30).map(|_| bar(&[1, 1])).collect())).into_string();
        let (wide, narrow) = month.split_once("chart narrow").unwrap();
        let labels = |part: &str| part.matches(">21</text>").count();
        assert_eq!((labels(wide), labels(narrow)), (15, 6));
    }

    #[test]
    fn shares_of_nothing_are_none() {
        let part = |value| (Group { name: "free".to_owned(), tint: 1 }, value);
        let of =
            |parts| shares(&Shares { id: "s", title: "Tiers".to_owned(), parts }).into_string();
        assert!(of(vec![part(0)]).contains("0 % · 0"));
        let two = of(vec![part(1), part(3)]);
        assert!(
            two.contains(r#"x="0" width="85""#) && two.contains(r#"x="85" width="255""#),
            "{two}"
        );
        assert!(two.contains("25 % · 1") && two.contains("75 % · 3"));
    }
}
