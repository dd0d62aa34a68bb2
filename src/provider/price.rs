//! Prices per million tokens and the cost of a reply, in micro-USD (providers §7).

use serde::{Deserialize, Deserializer};

use crate::provider::glob;

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

impl PricePattern {
    /// The price of the first pattern that fits `model`.
    #[must_use]
    pub fn find(patterns: &[Self], model: &str) -> Option<Price> {
        patterns.iter().find(|p| glob::fits_model(&p.pattern, model)).map(|p| p.price)
    }
}
