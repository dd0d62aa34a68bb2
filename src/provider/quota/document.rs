//! The canonical form of an account's quota (accounts §4.1): what is stored, shown and sent to dashboards.
//!
//! Beside the members of the specification a window carries, only where they say something: `pace`
//! ([`Pace`]), `overage` (true when the vendor bills for use beyond it), `rhythm` (`"throttle"` for rate limits that
//! refill), and `observed_at` and `source` where they differ from the document's.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::clock::UnixMs;
use crate::id::AccountId;
use crate::provider::quota::pace::Pace;
use crate::provider::quota::window::{Rhythm, Status, Unit, Window};
use crate::routing::lock::Scope;

/// Who told a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Headers of a response.
    #[default]
    Headers,
    /// A usage endpoint.
    Endpoint,
    /// An error that said so.
    Error,
    /// Own counters.
    Estimate,
}

/// Money or credits left beside the windows.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Credits {
    /// How many; `None` = unknown.
    pub amount: Option<f64>,
    /// What it counts.
    pub unit: Unit,
    /// No end to them.
    pub unlimited: bool,
}

/// Everything known of one account's quota.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(from = "Text", into = "Text")]
pub struct Document {
    /// The account.
    pub account_id: Option<AccountId>,
    /// Its provider's id.
    pub provider: String,
    /// Name of the plan, when told.
    pub plan: Option<String>,
    /// Who told most lately.
    pub source: Source,
    /// When, Unix ms.
    pub observed_at: UnixMs,
    /// The last look at the usage endpoint failed.
    pub stale: bool,
    /// The windows.
    pub windows: Vec<Window>,
    /// Credits.
    pub credits: Option<Credits>,
    /// For people: why it is stale.
    pub message: Option<String>,
}

impl Document {
    /// Nothing known yet.
    #[must_use]
    pub fn empty(account: AccountId, provider: &str) -> Self {
        Self {
            account_id: Some(account),
            provider: provider.to_owned(),
            plan: None,
            source: Source::default(),
            observed_at: 0,
            stale: false,
            windows: Vec::new(),
            credits: None,
            message: None,
        }
    }

    /// What was stored; `None` when it says nothing that can be read.
    #[must_use]
    pub fn of_stored(stored: &Value) -> Option<Self> {
        Self::deserialize(stored).ok()
    }

    /// What is worth a write: without windows that are over in a minute.
    #[must_use]
    pub fn to_store(&self) -> Value {
        let mut kept = self.clone();
        kept.windows.retain(|window| !window.is_momentary());
        // A document of texts and numbers always is JSON.
        serde_json::to_value(kept).unwrap_or_default()
    }

    /// The document as it reads at `now`: a window whose reset has passed is unknown until it is seen again.
    #[must_use]
    pub fn as_of(&self, now: UnixMs) -> Self {
        let mut seen = self.clone();
        for window in seen.windows.iter_mut().filter(|window| window.has_reset(now)) {
            window.forget();
        }
        seen
    }

    /// How the account stands: its worst plan window that has not reset.
    #[must_use]
    pub fn status(&self, now: UnixMs) -> Status {
        let told = self.windows.iter().filter(|w| w.rhythm == Rhythm::Plan && !w.has_reset(now));
        told.map(|window| window.status).max().unwrap_or(Status::Unknown)
    }
}

/// The document as written.
#[derive(Serialize, Deserialize)]
struct Text {
    #[serde(default, with = "account_text")]
    account_id: Option<AccountId>,
    #[serde(default)]
    provider: String,
    plan: Option<String>,
    source: Source,
    observed_at: UnixMs,
    #[serde(default)]
    stale: bool,
    #[serde(default)]
    windows: Vec<WindowText>,
    credits: Option<Credits>,
    message: Option<String>,
}

/// A window as written.
#[derive(Serialize, Deserialize)]
struct WindowText {
    name: String,
    label: String,
    #[serde(with = "scope_text")]
    scope: Scope,
    unit: Unit,
    used: Option<f64>,
    limit: Option<f64>,
    percent: Option<f64>,
    resets_at: Option<UnixMs>,
    window_seconds: Option<u64>,
    #[serde(default)]
    unlimited: bool,
    status: Status,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pace: Option<Pace>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    overage: bool,
    #[serde(default, skip_serializing_if = "is_plan")]
    rhythm: Rhythm,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    observed_at: Option<UnixMs>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<Source>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_plan(rhythm: &Rhythm) -> bool {
    *rhythm == Rhythm::Plan
}

impl From<Document> for Text {
    fn from(document: Document) -> Self {
        let Document {
            account_id,
            provider,
            plan,
            source,
            observed_at,
            stale,
            windows,
            credits,
            message,
        } = document;
        let written = |window: Window| WindowText {
            pace: window.pace(),
            name: window.name,
            label: window.label,
            scope: window.scope,
            unit: window.unit,
            used: window.used,
            limit: window.limit,
            percent: window.percent,
            resets_at: window.resets_at,
            window_seconds: window.window_seconds,
            unlimited: window.unlimited,
            status: window.status,
            overage: window.overage,
            rhythm: window.rhythm,
            observed_at: (window.observed_at != observed_at).then_some(window.observed_at),
            source: (window.source != source).then_some(window.source),
        };
        let windows = windows.into_iter().map(written).collect();
        Self { account_id, provider, plan, source, observed_at, stale, windows, credits, message }
    }
}

impl From<Text> for Document {
    fn from(text: Text) -> Self {
        let (source, observed_at) = (text.source, text.observed_at);
        let read = |window: WindowText| Window {
            name: window.name,
            label: window.label,
            scope: window.scope,
            unit: window.unit,
            used: window.used,
            limit: window.limit,
            percent: window.percent,
            resets_at: window.resets_at,
            window_seconds: window.window_seconds,
            unlimited: window.unlimited,
            status: window.status,
            overage: window.overage,
            rhythm: window.rhythm,
            observed_at: window.observed_at.unwrap_or(observed_at),
            source: window.source.unwrap_or(source),
        };
        Self {
            account_id: text.account_id,
            provider: text.provider,
            plan: text.plan,
            source,
            observed_at,
            stale: text.stale,
            windows: text.windows.into_iter().map(read).collect(),
            credits: text.credits,
            message: text.message,
        }
    }
}

/// Scopes are written as locks write them: `*`, `family:opus`.
mod scope_text {
    use super::{Deserialize, Deserializer, Scope, Serializer};

    pub(super) fn serialize<S: Serializer>(scope: &Scope, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(scope)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Scope, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

mod account_text {
    use super::{AccountId, Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        id: &Option<AccountId>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match id {
            Some(id) => to.collect_str(id),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<AccountId>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        Ok(text.and_then(|text| text.parse().ok()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

    fn document() -> Document {
        let mut window = Window::new("5h", "Session (5 h)", Scope::All)
            .percent(Some(42.0))
            .resets(Some(1_790_005_000_000))
            .lasts(Some(18_000));
        window.observed_at = 1_790_000_000_000;
        Document {
            plan: Some("max_5x".to_owned()),
            observed_at: 1_790_000_000_000,
            windows: vec![window],
            credits: Some(Credits { amount: Some(12.5), unit: Unit::Usd, unlimited: false }),
            ..Document::empty(ID.parse().unwrap(), "claude")
        }
    }

    #[test]
    fn the_canonical_form_is_that_of_the_specification() {
        let mut written = serde_json::to_value(document()).unwrap();
        let window = written["windows"][0].as_object_mut().unwrap();
        let pace = window.remove("pace").unwrap();
        assert_eq!(
            written,
            json!({"account_id": ID, "provider": "claude", "plan": "max_5x", "source": "headers",
                "observed_at": 1_790_000_000_000_i64, "stale": false,
                "windows": [{"name": "5h", "label": "Session (5 h)", "scope": "*",
                    "unit": "percent", "used": 42.0, "limit": 100.0, "percent": 42.0,
                    "resets_at": 1_790_005_000_000_i64, "window_seconds": 18_000,
                    "unlimited": false, "status": "ok"}],
                "credits": {"amount": 12.5, "unit": "usd", "unlimited": false}, "message": null})
        );
        assert_eq!(
            pace,
            json!({"elapsed_percent": 72.2, "ahead_percent": -30.2, "runs_out_at": null})
        );
    }

    #[test]
    fn what_is_stored_is_read_again() {
        let mut document = document();
        let mut family =
            Window::new("7d_opus", "Week, Opus", Scope::Family("opus".into())).percent(Some(100.0));
        (family.observed_at, family.source, family.overage) = (7, Source::Error, true);
        document.windows.push(family);
        assert_eq!(Document::of_stored(&document.to_store()), Some(document.clone()));
        let mut momentary = Window::new("requests", "Requests", Scope::Model("m".into()));
        momentary.rhythm = Rhythm::Throttle;
        let mut with = document.clone();
        with.windows.push(momentary);
        assert_eq!(Document::of_stored(&with.to_store()), Some(document));
    }

    #[test]
    fn nonsense_in_the_store_is_nothing() {
        for stored in [json!(null), json!({}), json!([]), json!({"source": "x"}), json!("5h")] {
            assert_eq!(Document::of_stored(&stored), None, "{stored}");
        }
    }

    #[test]
    fn a_window_whose_reset_passed_reads_as_unknown() {
        let later = document().as_of(1_790_005_000_000);
        assert_eq!(later.windows[0].status, Status::Unknown);
        assert_eq!(later.status(1_790_005_000_000), Status::Unknown);
        assert_eq!(document().as_of(1_790_004_999_999), document());
    }
}
