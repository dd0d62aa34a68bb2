//! Usage windows of a person's plan: what a request costs, when it is refused, and how the vendor says so.

use serde_json::{Map, Value, json};

use crate::clock::UnixMs;

const HOUR_MS: i64 = 3_600_000;
const SESSION_MS: i64 = 5 * HOUR_MS;
const WEEK_MS: i64 = 7 * 24 * HOUR_MS;
/// From this share of a window on, the vendor warns.
const WARNING: f64 = 0.8;

/// How many requests a plan allows per window; every request counts as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests in five hours, all models.
    pub session: u32,
    /// Requests in seven days, all models.
    pub week: u32,
    /// Requests in seven days of models whose id contains the name (`opus`).
    pub families: Vec<(String, u32)>,
    /// Requests beyond a window are served and billed.
    pub overage: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self { session: 1_000, week: 10_000, families: Vec::new(), overage: false }
    }
}

/// One window. It begins with the first request that counts in it.
#[derive(Clone, Debug)]
struct Window {
    /// `5h`, `7d`, `7d_opus`, as in header names.
    name: String,
    limit: u32,
    used: u32,
    length_ms: i64,
    resets_at: Option<UnixMs>,
}

impl Window {
    fn new(name: &str, limit: u32, length_ms: i64) -> Self {
        Self { name: name.to_owned(), limit, used: 0, length_ms, resets_at: None }
    }

    fn covers(&self, model: &str) -> bool {
        self.name.strip_prefix("7d_").is_none_or(|family| model.contains(family))
    }

    fn utilization(&self) -> f64 {
        if self.limit == 0 { 1.0 } else { f64::from(self.used) / f64::from(self.limit) }
    }

    fn is_used_up(&self) -> bool {
        self.used >= self.limit
    }

    fn resets_at(&self, now: UnixMs) -> UnixMs {
        self.resets_at.unwrap_or(now + self.length_ms)
    }

    fn status(&self) -> &'static str {
        match self.utilization() {
            _ if self.is_used_up() => "rejected",
            used if used >= WARNING => "allowed_warning",
            _ => "allowed",
        }
    }

    /// `five_hour`, `seven_day`, `seven_day_opus`, as in claims and the usage report.
    fn claim(&self) -> String {
        match self.name.as_str() {
            "5h" => "five_hour".to_owned(),
            name => name.replacen("7d", "seven_day", 1),
        }
    }
}

/// All windows of one person.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    windows: Vec<Window>,
    overage: bool,
}

/// What became of a request, with the headers that say so.
#[derive(Debug)]
pub(super) struct Counted {
    /// Seconds to wait, when it is refused.
    pub(super) refused_for_s: Option<i64>,
    pub(super) headers: Vec<(String, String)>,
}

impl Plan {
    pub(super) fn new(limits: &Limits) -> Self {
        let mut windows = vec![
            Window::new("5h", limits.session, SESSION_MS),
            Window::new("7d", limits.week, WEEK_MS),
        ];
        let families = limits.families.iter();
        windows.extend(families.map(|(f, limit)| Window::new(&format!("7d_{f}"), *limit, WEEK_MS)));
        Self { windows, overage: limits.overage }
    }

    /// Sets how much of a window is used, in percent, and when it resets; a window with a new name
    /// (`7d_sonnet`) comes into being with room for 100 requests.
    pub(super) fn set_window(&mut self, name: &str, percent: u32, resets_at: UnixMs) {
        if !self.windows.iter().any(|w| w.name == name) {
            self.windows.push(Window::new(name, 100, WEEK_MS));
        }
        for window in self.windows.iter_mut().filter(|w| w.name == name) {
            let used = u64::from(window.limit) * u64::from(percent) / 100;
            window.used = u32::try_from(used).unwrap_or(u32::MAX);
            window.resets_at = Some(resets_at);
        }
    }

    /// Counts a request of `model`, or refuses it.
    pub(super) fn count(&mut self, model: &str, now: UnixMs) -> Counted {
        self.roll(now);
        let refusing = self.windows.iter().filter(|w| w.covers(model) && w.is_used_up());
        let until = refusing.map(|w| w.resets_at(now)).max();
        if until.is_none() || self.overage {
            for window in self.windows.iter_mut().filter(|w| w.covers(model)) {
                window.used = window.used.saturating_add(1);
                window.resets_at.get_or_insert(now + window.length_ms);
            }
        }
        let refused_for_s =
            until.filter(|_| !self.overage).map(|until| ((until - now).max(1) + 999) / 1000);
        // A request that used the last of a window was served: its headers say what was true before it.
        Counted { refused_for_s, headers: self.headers(model, until.is_some(), now) }
    }

    fn headers(&self, model: &str, beyond: bool, now: UnixMs) -> Vec<(String, String)> {
        let mut out = Vec::new();
        let mut say = |name: &str, value: String| {
            out.push((format!("anthropic-ratelimit-unified-{name}"), value));
        };
        let covering = || self.windows.iter().filter(|w| w.covers(model));
        let fullest = covering().max_by(|a, b| a.utilization().total_cmp(&b.utilization()));
        if let Some(window) = fullest {
            let status = match window.status() {
                "rejected" if !beyond => "allowed_warning",
                status => status,
            };
            say("status", status.to_owned());
            say("reset", seconds(window.resets_at(now)));
            say("representative-claim", window.claim());
        }
        // Windows of families are only named to those who ask one of their models.
        for window in covering() {
            let status = match window.status() {
                "rejected" if !beyond => "allowed_warning",
                status => status,
            };
            say(&format!("{}-status", window.name), status.to_owned());
            say(&format!("{}-utilization", window.name), window.utilization().to_string());
            say(&format!("{}-reset", window.name), seconds(window.resets_at(now)));
        }
        if self.overage {
            say("overage-status", "allowed".to_owned());
            if beyond {
                say("overage-in-use", "true".to_owned());
            }
        } else {
            say("overage-status", "rejected".to_owned());
            say("overage-disabled-reason", "org_level_disabled".to_owned());
        }
        out
    }

    /// The report of the usage endpoint.
    pub(super) fn report(&mut self, now: UnixMs) -> Value {
        self.roll(now);
        let mut report = Map::new();
        for name in ["five_hour", "seven_day", "seven_day_opus", "seven_day_sonnet"] {
            report.insert(name.to_owned(), Value::Null);
        }
        for window in &self.windows {
            let at = jiff::Timestamp::from_millisecond(window.resets_at(now)).ok();
            let used = (window.utilization() * 100.0).min(100.0);
            let resets_at = window.resets_at.and(at).map(|at| at.to_string());
            report.insert(window.claim(), json!({"utilization": used, "resets_at": resets_at}));
        }
        let extra = json!({"is_enabled": self.overage, "monthly_limit": null,
            "used_credits": null, "utilization": null});
        report.insert("extra_usage".to_owned(), extra);
        Value::Object(report)
    }

    /// Windows whose reset has come are empty again.
    fn roll(&mut self, now: UnixMs) {
        for window in &mut self.windows {
            if window.resets_at.is_some_and(|at| at <= now) {
                window.used = 0;
                window.resets_at = None;
            }
        }
    }
}

fn seconds(at: UnixMs) -> String {
    (at.saturating_add(999) / 1000).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = 1_790_000_000_000;

    fn header<'a>(counted: &'a Counted, name: &str) -> Option<&'a str> {
        let name = format!("anthropic-ratelimit-unified-{name}");
        counted.headers.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_str())
    }

    #[test]
    fn session_is_refused_when_used_up_and_comes_back_at_its_reset() {
        let mut plan = Plan::new(&Limits { session: 2, ..Limits::default() });
        let first = plan.count("claude-opus-5", NOW);
        assert_eq!((first.refused_for_s, header(&first, "status")), (None, Some("allowed")));
        let last = plan.count("claude-opus-5", NOW);
        assert_eq!(
            (last.refused_for_s, header(&last, "5h-status")),
            (None, Some("allowed_warning"))
        );
        let refused = plan.count("claude-opus-5", NOW + HOUR_MS);
        assert_eq!(refused.refused_for_s, Some(4 * 3600));
        assert_eq!(header(&refused, "status"), Some("rejected"));
        assert_eq!(header(&refused, "representative-claim"), Some("five_hour"));
        assert_eq!(header(&refused, "7d-status"), Some("allowed"));
        assert_eq!(header(&refused, "5h-reset"), Some(&*seconds(NOW + SESSION_MS)));
        assert_eq!(plan.count("claude-opus-5", NOW + SESSION_MS).refused_for_s, None);
    }

    #[test]
    fn family_window_refuses_its_own_models_alone() {
        let families = vec![("opus".to_owned(), 1)];
        let mut plan = Plan::new(&Limits { families, ..Limits::default() });
        assert_eq!(plan.count("claude-opus-5", NOW).refused_for_s, None);
        let refused = plan.count("claude-opus-5", NOW);
        assert_eq!(refused.refused_for_s, Some(7 * 24 * 3600));
        assert_eq!(header(&refused, "7d_opus-status"), Some("rejected"));
        assert_eq!(header(&refused, "5h-status"), Some("allowed"));
        let other = plan.count("claude-sonnet-5", NOW);
        assert_eq!((other.refused_for_s, header(&other, "7d_opus-status")), (None, None));
        let report = plan.report(NOW);
        assert_eq!(report["seven_day_opus"]["utilization"], 100.0);
        assert_eq!(report["seven_day_sonnet"], Value::Null);
    }

    #[test]
    fn overage_serves_beyond_the_window_and_says_so() {
        let mut plan = Plan::new(&Limits { session: 1, overage: true, ..Limits::default() });
        assert_eq!(header(&plan.count("m", NOW), "overage-in-use"), None);
        let beyond = plan.count("m", NOW);
        assert_eq!((beyond.refused_for_s, header(&beyond, "overage-in-use")), (None, Some("true")));
        assert_eq!(header(&beyond, "5h-status"), Some("rejected"));
    }

    #[test]
    fn window_can_be_set_by_hand() {
        let mut plan = Plan::new(&Limits::default());
        plan.set_window("5h", 100, NOW + 60_000);
        plan.set_window("7d_sonnet", 50, NOW + HOUR_MS);
        assert_eq!(plan.count("claude-sonnet-5", NOW).refused_for_s, Some(60));
        let back = plan.count("claude-sonnet-5", NOW + 60_000);
        assert_eq!(
            (back.refused_for_s, header(&back, "7d_sonnet-utilization")),
            (None, Some("0.51"))
        );
    }
}
