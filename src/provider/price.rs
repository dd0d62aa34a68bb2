//! Prices per million tokens and the cost of a reply, in micro-USD (providers §7).

use ninerouter_dialect::Usage;
use serde::{Deserialize, Deserializer};

/// Micro-USD in one USD.
const UMICRO_PER_USD: f64 = 1_000_000.0;
/// Tokens a price is for.
const TOKENS_PER_PRICE: i128 = 1_000_000;

/// Prices of one model in micro-USD per million tokens. `None` = not stated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Price {
    /// Prompt tokens.
    pub input: Option<i64>,
    /// Generated tokens, reasoning included.
    pub output: Option<i64>,
    /// Prompt tokens read from a cache; `None` = as input.
    pub cached: Option<i64>,
    /// Prompt tokens written to the 5-minute cache; `None` = as input.
    pub cache_write_5m: Option<i64>,
    /// Prompt tokens written to the 1-hour cache; `None` = twice the input where cache writes have a
    /// price, else as input.
    pub cache_write_1h: Option<i64>,
    /// Reasoning tokens; `None` = as output.
    pub reasoning: Option<i64>,
    /// Micro-USD per request.
    pub per_request: Option<i64>,
}

impl Price {
    /// These prices, with `base` where one is not stated (an operator's row over the catalog's).
    #[must_use]
    pub fn over(self, base: Self) -> Self {
        Self {
            input: self.input.or(base.input),
            output: self.output.or(base.output),
            cached: self.cached.or(base.cached),
            cache_write_5m: self.cache_write_5m.or(base.cache_write_5m),
            cache_write_1h: self.cache_write_1h.or(base.cache_write_1h),
            reasoning: self.reasoning.or(base.reasoning),
            per_request: self.per_request.or(base.per_request),
        }
    }
}

/// Micro-USD of an amount of USD; `None` when it is negative, not a number or beyond i64.
#[must_use]
pub fn umicro_of_usd(usd: f64) -> Option<i64> {
    let umicro = (usd * UMICRO_PER_USD).round();
    // 2^53: above it f64 has no exact integers, and no sum of money here comes near it
    if !(0.0..=9_007_199_254_740_992.0).contains(&umicro) {
        return None;
    }
    #[expect(clippy::as_conversions, reason = "an integer between 0 and 2^53")]
    Some(umicro as i64)
}

/// Price row of `providers.toml`, USD per million tokens.
#[derive(Deserialize)]
struct CatalogPrice {
    #[serde(rename = "in", deserialize_with = "usd")]
    input: i64,
    #[serde(rename = "out", deserialize_with = "usd")]
    output: i64,
    #[serde(default, deserialize_with = "some_usd")]
    cache_read: Option<i64>,
    #[serde(default, deserialize_with = "some_usd")]
    cache_write: Option<i64>,
}

impl<'de> Deserialize<'de> for Price {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let row = CatalogPrice::deserialize(d)?;
        Ok(Self {
            input: Some(row.input),
            output: Some(row.output),
            cached: row.cache_read,
            cache_write_5m: row.cache_write,
            ..Self::default()
        })
    }
}

fn usd<'de, D: Deserializer<'de>>(d: D) -> Result<i64, D::Error> {
    let usd = f64::deserialize(d)?;
    umicro_of_usd(usd).ok_or_else(|| {
        serde::de::Error::custom(format!("`{usd}` is no price; use a number ≥ 0 in USD"))
    })
}

fn some_usd<'de, D: Deserializer<'de>>(d: D) -> Result<Option<i64>, D::Error> {
    usd(d).map(Some)
}

/// Price of models that no list holds, by name.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct PricePattern {
    /// Pattern of ids, `*` for any run.
    #[serde(rename = "match")]
    pub pattern: String,
    /// The price.
    pub price: Price,
}

/// One kind of tokens and what they cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Share {
    /// Which tokens, in words.
    pub what: &'static str,
    /// How many.
    pub tokens: u64,
    /// Micro-USD per million; `None` = not known.
    pub per_million: Option<i64>,
}

/// The kinds of tokens a usage is made of, each counted once, with the price it has.
#[must_use]
pub fn shares(usage: &Usage, price: &Price) -> [Share; 6] {
    let cached = usage.cached.min(usage.input);
    let write_5m = usage.cache_write_5m.min(usage.input.saturating_sub(cached));
    let write_1h =
        usage.cache_write_1h.min(usage.input.saturating_sub(cached).saturating_sub(write_5m));
    let fresh =
        usage.input.saturating_sub(cached).saturating_sub(write_5m).saturating_sub(write_1h);
    // Output includes reasoning; it is charged once (providers §7).
    let reasoning = usage.reasoning.min(usage.output);
    let spoken = usage.output.saturating_sub(reasoning);
    let input = price.input;
    let long_write = match (price.cache_write_1h, price.cache_write_5m) {
        (Some(own), _) => Some(own),
        // Anthropic's 1-hour writes cost twice the input; the catalog holds the 5-minute price.
        (None, Some(_)) => input.map(|p| p.saturating_mul(2)),
        (None, None) => input,
    };
    let share = |what, tokens, per_million| Share { what, tokens, per_million };
    [
        share("input", fresh, input),
        share("cached", cached, price.cached.or(input)),
        share("written to the 5-minute cache", write_5m, price.cache_write_5m.or(input)),
        share("written to the 1-hour cache", write_1h, long_write),
        share("output", spoken, price.output),
        share("reasoning", reasoning, price.reasoning.or(price.output)),
    ]
}

/// Cost of a reply in micro-USD, rounded half up once; `None` when a price it needs is unknown or
/// the sum does not fit.
///
/// # Examples
/// ```
/// use ninerouter::provider::price::{Price, cost_umicro};
/// use ninerouter_dialect::Usage;
/// let price = Price { input: Some(5_000_000), output: Some(25_000_000), ..Price::default() };
/// let usage = Usage { input: 1_000, output: 10, ..Usage::default() };
/// assert_eq!(cost_umicro(&usage, &price), Some(5_250));
/// ```
#[must_use]
pub fn cost_umicro(usage: &Usage, price: &Price) -> Option<i64> {
    let mut sum = i128::from(price.per_request.unwrap_or(0)).checked_mul(TOKENS_PER_PRICE)?;
    for Share { tokens, per_million, .. } in shares(usage, price) {
        if tokens > 0 {
            let part = i128::from(tokens).checked_mul(i128::from(per_million?))?;
            sum = sum.checked_add(part)?;
        }
    }
    if price.input.is_none() && price.output.is_none() && price.per_request.is_none() {
        return None;
    }
    let rounded = sum.checked_add(TOKENS_PER_PRICE / 2)?.checked_div(TOKENS_PER_PRICE)?;
    i64::try_from(rounded).ok()
}

/// Where a cost comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CostSource {
    /// The operator's price.
    Operator,
    /// The reply named it.
    Reply,
    /// The catalog's price.
    Catalog,
    /// The price in the provider's own list of models.
    Live,
    /// A price by name.
    Pattern,
}

/// A cost and where it comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cost {
    /// Micro-USD.
    pub umicro: i64,
    /// Where it comes from.
    pub source: CostSource,
}

/// What may tell the cost of a reply. `None` = says nothing.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct CostFacts {
    /// The operator's price of this provider and model; what it leaves open is taken from below.
    pub operator: Option<Price>,
    /// `usage.cost` of the reply, USD.
    pub reply_usd: Option<f64>,
    /// The catalog's price.
    pub catalog: Option<Price>,
    /// The live list's price.
    pub live: Option<Price>,
    /// The price by name.
    pub pattern: Option<Price>,
}

impl CostFacts {
    /// The cost by the first source that knows it; `None` = unknown, shown as such.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> Option<Cost> {
        let listed = [
            (CostSource::Catalog, self.catalog),
            (CostSource::Live, self.live),
            (CostSource::Pattern, self.pattern),
        ];
        let base = listed.iter().find_map(|(_, price)| *price).unwrap_or_default();
        let operator = self
            .operator
            .and_then(|own| cost_umicro(usage, &own.over(base)))
            .map(|umicro| Cost { umicro, source: CostSource::Operator });
        let reply = || {
            let umicro = self.reply_usd.and_then(umicro_of_usd)?;
            Some(Cost { umicro, source: CostSource::Reply })
        };
        let by_list = || {
            listed.iter().find_map(|(source, price)| {
                let umicro = cost_umicro(usage, price.as_ref()?)?;
                Some(Cost { umicro, source: *source })
            })
        };
        operator.or_else(reply).or_else(by_list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPUS: Price = Price {
        input: Some(5_000_000),
        output: Some(25_000_000),
        cached: Some(500_000),
        cache_write_5m: Some(6_250_000),
        cache_write_1h: None,
        reasoning: None,
        per_request: None,
    };

    fn usage(input: u64, cached: u64, w5: u64, w1: u64, output: u64, reasoning: u64) -> Usage {
        Usage {
            input,
            cached,
            cache_write_5m: w5,
            cache_write_1h: w1,
            output,
            reasoning,
            exact: true,
        }
    }

    #[test]
    fn costs_by_table() {
        let flat = Price { input: Some(3_000_000), output: Some(15_000_000), ..Price::default() };
        let cases = [
            (usage(1_000_000, 0, 0, 0, 1_000_000, 0), OPUS, 30_000_000),
            (usage(1_000, 900, 0, 0, 10, 0), OPUS, 500 + 450 + 250),
            (usage(1_000, 0, 400, 100, 0, 0), OPUS, 2_500 + 2_500 + 1_000),
            (usage(100, 0, 0, 0, 50, 40), OPUS, 500 + 1_250),
            (usage(1_000, 500, 0, 0, 0, 0), flat, 3_000),
            (usage(1_000, 0, 500, 500, 0, 0), flat, 3_000),
            (usage(0, 0, 0, 0, 0, 0), OPUS, 0),
            // more cached than input: never below zero, never counted twice
            (usage(100, 500, 500, 500, 0, 0), OPUS, 50),
            (usage(10, 0, 0, 0, 5, 50), OPUS, 50 + 125),
        ];
        for (usage, price, want) in cases {
            assert_eq!(cost_umicro(&usage, &price), Some(want), "{usage:?}");
        }
    }

    #[test]
    fn a_cost_is_rounded_once_at_the_end() {
        let cheap = Price { input: Some(100_000), output: Some(400_000), ..Price::default() };
        // 0.1 + 0.4 = 0.5 micro-USD
        assert_eq!(cost_umicro(&usage(1, 0, 0, 0, 1, 0), &cheap), Some(1));
        assert_eq!(cost_umicro(&usage(4, 0, 0, 0, 0, 0), &cheap), Some(0));
        assert_eq!(cost_umicro(&usage(5, 0, 0, 0, 0, 0), &cheap), Some(1));
    }

    #[test]
    fn an_unknown_price_gives_no_cost_where_it_is_needed() {
        let half = Price { input: Some(1), ..Price::default() };
        assert_eq!(cost_umicro(&usage(1, 0, 0, 0, 1, 0), &half), None);
        assert_eq!(cost_umicro(&usage(1_000_000, 0, 0, 0, 0, 0), &half), Some(1));
        assert_eq!(cost_umicro(&usage(1, 0, 0, 0, 1, 0), &Price::default()), None);
        let each = Price { per_request: Some(2_000), ..Price::default() };
        assert_eq!(cost_umicro(&usage(0, 0, 0, 0, 0, 0), &each), Some(2_000));
        let dear = Price { input: Some(i64::MAX), ..Price::default() };
        assert_eq!(cost_umicro(&usage(u64::MAX, 0, 0, 0, 0, 0), &dear), None);
    }

    #[test]
    fn a_reasoning_price_of_its_own_is_used() {
        let own = Price { reasoning: Some(50_000_000), ..OPUS };
        assert_eq!(cost_umicro(&usage(0, 0, 0, 0, 50, 40), &own), Some(250 + 2_000));
    }

    #[test]
    fn the_first_source_that_knows_decides() {
        let usage = usage(1_000_000, 0, 0, 0, 0, 0);
        let price = |n| Some(Price { input: Some(n), output: Some(n), ..Price::default() });
        let all = CostFacts {
            operator: price(1),
            reply_usd: Some(0.000_002),
            catalog: price(3),
            live: price(4),
            pattern: price(5),
        };
        let cases = [
            (all, Some((1, CostSource::Operator))),
            (CostFacts { operator: None, ..all }, Some((2, CostSource::Reply))),
            (CostFacts { operator: None, reply_usd: None, ..all }, Some((3, CostSource::Catalog))),
            (
                CostFacts { live: price(4), pattern: price(5), ..CostFacts::default() },
                Some((4, CostSource::Live)),
            ),
            (
                CostFacts { pattern: price(5), ..CostFacts::default() },
                Some((5, CostSource::Pattern)),
            ),
            (CostFacts::default(), None),
            (
                CostFacts { reply_usd: Some(f64::NAN), pattern: price(5), ..CostFacts::default() },
                Some((5, CostSource::Pattern)),
            ),
        ];
        for (facts, want) in cases {
            assert_eq!(facts.cost(&usage).map(|c| (c.umicro, c.source)), want, "{facts:?}");
        }
    }

    #[test]
    fn what_the_operator_leaves_open_is_inherited() {
        let facts = CostFacts {
            operator: Some(Price { input: Some(0), ..Price::default() }),
            catalog: Some(OPUS),
            ..CostFacts::default()
        };
        let cost = facts.cost(&usage(1_000, 0, 0, 0, 10, 0)).unwrap();
        assert_eq!(cost, Cost { umicro: 250, source: CostSource::Operator });
    }

    #[test]
    fn dollars_become_micro_dollars_without_loss() {
        let cases = [
            (0.0, Some(0)),
            (0.0028, Some(2_800)),
            (1.1, Some(1_100_000)),
            (f64::NAN, None),
            (f64::INFINITY, None),
            (-0.1, None),
            (1e12, None),
        ];
        for (usd, want) in cases {
            assert_eq!(umicro_of_usd(usd), want, "{usd}");
        }
    }
}
