//! Providers (api §3.2) as tiles, as the head of their page, and what their accounts are asked for.

use std::collections::HashMap;

use ninerouter_templates::add::Param;
use ninerouter_templates::providers::Tile;
use ninerouter_templates::{Monogram, Tone};
use serde_json::Value;

use crate::dashboard::json::Read;

/// Counts of accounts: word of the API, tone, words.
const COUNTS: [(&str, Tone, &str); 5] = [
    ("ready", Tone::Ok, "ready"),
    ("low", Tone::Warn, "low"),
    ("out", Tone::Bad, "out of quota or cooling down"),
    ("attention", Tone::Bad, "in need of attention"),
    ("off", Tone::Neutral, "off"),
];

/// What a provider is listed under, and what the filter calls it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::dashboard) enum Kind {
    Subscription,
    Free,
    ApiKey,
    Local,
    Custom,
}

impl Kind {
    pub(in crate::dashboard) const ALL: [Self; 5] =
        [Self::Subscription, Self::Free, Self::ApiKey, Self::Local, Self::Custom];

    pub(in crate::dashboard) fn of(provider: &Value) -> Self {
        let local = |endpoint: &Value| {
            let url = endpoint.text("/url");
            ["://localhost", "://127.", "://[::1]"].iter().any(|host| url.contains(host))
        };
        if provider.is("/node") {
            Self::Custom
        } else if provider.list("/endpoints").iter().any(local) {
            Self::Local
        } else {
            match provider.text("/tier") {
                "subscription" => Self::Subscription,
                "free" => Self::Free,
                _ => Self::ApiKey,
            }
        }
    }

    /// Word of the filter.
    pub(in crate::dashboard) fn word(self) -> &'static str {
        match self {
            Self::Subscription => "subscription",
            Self::Free => "free",
            Self::ApiKey => "api_key",
            Self::Local => "local",
            Self::Custom => "custom",
        }
    }

    pub(in crate::dashboard) fn title(self) -> &'static str {
        match self {
            Self::Subscription => "Subscription",
            Self::Free => "Free",
            Self::ApiKey => "API key",
            Self::Local => "Local",
            Self::Custom => "Custom",
        }
    }
}

/// A tile; `days` are requests of the last day by provider.
pub(in crate::dashboard) fn tile(provider: &Value, days: &HashMap<String, i64>) -> Tile {
    let (id, name) = (provider.text("/id"), provider.text("/name"));
    let counts = counts(provider);
    let day = match days.get(id) {
        Some(1) => "1 request in 24 h".to_owned(),
        Some(many) => format!("{} requests in 24 h", ninerouter_templates::format::grouped(*many)),
        None => String::new(),
    };
    let takes_key = provider.texts("/auth").iter().any(|auth| auth == "api_key");
    Tile {
        id: id.to_owned(),
        mark: Monogram::new(id, name),
        name: name.to_owned(),
        prefix: prefix(provider),
        tier: provider.text("/tier").to_owned(),
        status: status(provider),
        day: if counts.is_empty() { String::new() } else { day },
        button: if takes_key { "Add key" } else { "Connect" }.to_owned(),
        button_url: String::new(),
        counts,
    }
}

/// The first of its names that models are asked for with.
pub(in crate::dashboard) fn prefix(provider: &Value) -> String {
    provider.texts("/aliases").into_iter().next().unwrap_or_else(|| provider.text("/id").to_owned())
}

/// What its vendor did to it.
pub(in crate::dashboard) fn status(provider: &Value) -> Option<(Tone, String)> {
    let note = provider.text("/status_note");
    let words = |word: &str| if note.is_empty() { word.to_owned() } else { note.to_owned() };
    match provider.text("/upstream_status") {
        "retired" => Some((Tone::Bad, words("closed by its vendor"))),
        "limited" => Some((Tone::Warn, words("limited by its vendor"))),
        "restricted" => Some((Tone::Warn, words("restricted by its vendor"))),
        _ => None,
    }
}

/// How many of its accounts stand how; none without accounts.
pub(in crate::dashboard) fn counts(provider: &Value) -> Vec<(Tone, String)> {
    let one = |(word, tone, words): (&str, Tone, &str)| {
        let count = provider.int(&format!("/accounts/{word}")).filter(|count| *count > 0)?;
        Some((tone, format!("{count} {words}")))
    };
    COUNTS.into_iter().filter_map(one).collect()
}

/// Requests by provider, out of `usage/table?by=provider`.
pub(in crate::dashboard) fn days(table: &Value) -> HashMap<String, i64> {
    let row = |row: &Value| (row.text("/id").to_owned(), row.int("/requests").unwrap_or_default());
    table.list("/data").iter().map(row).collect()
}

/// Its endpoints to choose from: name, and what is shown of it.
pub(in crate::dashboard) fn endpoints(provider: &Value) -> Vec<(String, String)> {
    let site = |one: &Value| {
        let name = one.text("/name").to_owned();
        (name.clone(), format!("{name}: {}", one.text("/url")))
    };
    provider.list("/endpoints").iter().map(site).collect()
}

/// What an account of it has to say beside its key.
pub(in crate::dashboard) fn params(provider: &Value) -> Vec<Param> {
    let param = |one: &Value| Param {
        name: one.text("/name").to_owned(),
        label: one.text("/label").to_owned(),
        required: one.is("/required") && one.text("/default").is_empty(),
    };
    provider.list("/params").iter().map(param).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_tile_tells_how_its_accounts_stand() {
        let provider = json!({
            "id": "claude", "name": "Claude Code", "aliases": ["cc"], "tier": "subscription", "auth": ["oauth"],
            "upstream_status": "restricted", "status_note": "", "accounts": {"ready": 2, "out": 1, "off": 0},
        });
        let tile = tile(&provider, &HashMap::from([("claude".to_owned(), 310)]));
        assert_eq!((tile.prefix.as_str(), tile.day.as_str()), ("cc", "310 requests in 24 h"));
        let counts: Vec<_> = tile.counts.iter().map(|(_, words)| words.as_str()).collect();
        assert_eq!(counts, ["2 ready", "1 out of quota or cooling down"]);
        assert_eq!(tile.status, Some((Tone::Warn, "restricted by its vendor".to_owned())));
        assert_eq!(Kind::of(&provider), Kind::Subscription);
    }

    #[test]
    fn what_runs_here_is_local_and_what_the_operator_made_is_custom() {
        let local = json!({"tier": "free", "endpoints": [{"url": "http://127.0.0.1:11434/v1/chat/completions"}]});
        assert_eq!(Kind::of(&local), Kind::Local);
        assert_eq!(Kind::of(&json!({"tier": "paid", "node": true})), Kind::Custom);
    }
}
