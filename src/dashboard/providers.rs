//! Providers: those that are connected, and the catalog of those that can be.

use std::collections::HashMap;

use ninerouter_templates::Tab;
use ninerouter_templates::layout::Section;
use ninerouter_templates::providers::{Group, Providers, providers};
use serde_json::Value;

use crate::dashboard::assets;
use crate::dashboard::json::Read;
use crate::dashboard::show::provider::{Kind, days, tile};
use crate::dashboard::stage::{About, Refused, Stage};
use crate::dashboard::visit::{Page, Visit};

const PATH: &str = "/dashboard/providers";

pub(super) async fn show(visit: &Visit) -> Result<Page, Refused> {
    let stage = Stage::set(visit).await?;
    let all = visit.read("/api/providers?limit=500").await?;
    let table = visit.read("/api/usage/table?by=provider&period=24h&limit=500").await?;
    let query = visit.query("q").unwrap_or_default();
    let filter = visit.query("filter").unwrap_or_default();
    let filter =
        FILTERS.iter().map(|(word, _)| *word).find(|word| *word == filter).unwrap_or("all");
    let connected = all.list("/data").iter().filter(|provider| is_connected(provider)).count();
    let shown: Vec<&Value> = all
        .list("/data")
        .iter()
        .filter(|provider| fits(provider, filter) && matches(provider, &query))
        .collect();
    let view = Providers {
        sentence: format!(
            "{connected} connected, {} more to choose from.",
            all.list("/data").len().saturating_sub(connected)
        ),
        filters: FILTERS.iter().map(|(word, label)| tab(word, label, filter, &query)).collect(),
        groups: groups(&shown, &days(&table)),
        filter: filter.to_owned(),
        query,
    };
    let about = About { section: Section::Providers, title: "Providers", feed: Some("shell,prov") };
    Ok(stage.page(visit, about, &providers(assets::urls(), &view)))
}

/// Words of the filter and their names.
const FILTERS: [(&str, &str); 8] = [
    ("all", "All"),
    ("connected", "Connected"),
    ("attention", "Needs attention"),
    ("subscription", "Subscription"),
    ("free", "Free"),
    ("api_key", "API key"),
    ("local", "Local"),
    ("custom", "Custom"),
];

fn tab(word: &str, label: &str, current: &str, query: &str) -> Tab {
    let mut url = url::form_urlencoded::Serializer::new(String::new());
    if word != "all" {
        url.append_pair("filter", word);
    }
    if !query.is_empty() {
        url.append_pair("q", query);
    }
    let asked = url.finish();
    let url = if asked.is_empty() { PATH.to_owned() } else { format!("{PATH}?{asked}") };
    Tab { label: label.to_owned(), url, current: word == current }
}

fn is_connected(provider: &Value) -> bool {
    let counts = provider.part("/accounts").as_object();
    counts.into_iter().flatten().any(|(_, count)| count.as_i64().is_some_and(|count| count > 0))
}

fn fits(provider: &Value, filter: &str) -> bool {
    match filter {
        "connected" => is_connected(provider),
        "attention" => ["attention", "out"]
            .iter()
            .any(|word| provider.int(&format!("/accounts/{word}")).is_some_and(|count| count > 0)),
        "all" => true,
        word => Kind::of(provider).word() == word,
    }
}

fn matches(provider: &Value, query: &str) -> bool {
    let query = query.trim().to_lowercase();
    let names = [provider.text("/id"), provider.text("/name")];
    let mut names = names.into_iter().map(str::to_lowercase);
    query.is_empty()
        || names.any(|name| name.contains(&query))
        || provider.texts("/aliases").iter().any(|alias| alias.to_lowercase().contains(&query))
}

/// The connected ones first, those most used at their head; then the rest by kind.
fn groups(shown: &[&Value], days: &HashMap<String, i64>) -> Vec<Group> {
    let (mut connected, rest): (Vec<&Value>, Vec<&Value>) =
        shown.iter().copied().partition(|provider| is_connected(provider));
    let used = |provider: &Value| days.get(provider.text("/id")).copied().unwrap_or_default();
    connected.sort_by_key(|provider| std::cmp::Reverse(used(provider)));
    let tiles = |list: &[&Value]| list.iter().map(|provider| tile(provider, days)).collect();
    let mut groups = vec![Group { title: "Connected".to_owned(), tiles: tiles(&connected) }];
    for kind in Kind::ALL {
        let own: Vec<&Value> =
            rest.iter().copied().filter(|provider| Kind::of(provider) == kind).collect();
        groups.push(Group { title: kind.title().to_owned(), tiles: tiles(&own) });
    }
    groups.retain(|group| !group.tiles.is_empty());
    groups
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn connected_ones_come_first_the_most_used_at_their_head() {
        let all = [
            json!({"id": "a", "name": "A", "tier": "paid", "accounts": {"ready": 0}}),
            json!({"id": "b", "name": "B", "tier": "paid", "accounts": {"ready": 1}}),
            json!({"id": "c", "name": "C", "tier": "free", "accounts": {"off": 1}}),
        ];
        let shown: Vec<&Value> = all.iter().collect();
        let groups = groups(&shown, &HashMap::from([("c".to_owned(), 5)]));
        let told: Vec<(&str, Vec<&str>)> = groups
            .iter()
            .map(|group| {
                (group.title.as_str(), group.tiles.iter().map(|tile| tile.id.as_str()).collect())
            })
            .collect();
        assert_eq!(told, [("Connected", vec!["c", "b"]), ("API key", vec!["a"])]);
    }

    #[test]
    fn a_filter_keeps_what_is_searched_for() {
        let tab = tab("free", "Free", "all", "a&b c");
        assert_eq!(tab.url, "/dashboard/providers?filter=free&q=a%26b+c");
        assert!(matches(&json!({"id": "claude", "aliases": ["cc"]}), " CC"));
        assert!(!matches(&json!({"id": "claude"}), "codex"));
    }
}
