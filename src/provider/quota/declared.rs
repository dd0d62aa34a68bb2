//! Quota windows as the catalog declares them.

use serde::Deserialize;

/// Rhythm of a quota window.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuotaKind {
    /// From first use, for some hours.
    Rolling,
    /// Every day at one time.
    Daily,
    /// Every week.
    Weekly,
    /// Every month.
    Monthly,
    /// A balance that runs out.
    Balance,
    /// Told by response headers.
    Headers,
    /// None.
    None,
}

/// What a quota counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuotaUnit {
    /// Requests.
    Requests,
    /// Tokens.
    Tokens,
    /// Percent.
    Percent,
    /// Credits.
    Credits,
    /// Money.
    Currency,
    /// Neurons.
    Neurons,
}

/// Where the state of a quota is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuotaSource {
    /// The usage URL.
    Api,
    /// Response headers.
    Headers,
    /// A calendar.
    Schedule,
    /// A documented number, for display only.
    Estimate,
}

/// One quota window.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Quota {
    /// Rhythm.
    pub kind: QuotaKind,
    /// What it counts.
    pub unit: Option<QuotaUnit>,
    /// Length of a rolling window.
    pub hours: Option<u32>,
    /// Allowance.
    pub limit: Option<u64>,
    /// What it covers; absent = the whole account.
    pub scope: Option<String>,
    /// Where its state is read.
    pub source: Option<QuotaSource>,
    /// Time of day of the reset, `HH:MM`.
    pub at: Option<String>,
    /// IANA zone, `UTC` or `local`.
    pub tz: Option<String>,
    /// Day of the month.
    pub day: Option<u8>,
    /// Text for people.
    pub note: Option<String>,
}
