//! The palette: one search over pages, providers, accounts, combos and models (dashboard §2).

use ninerouter_templates::layout::Section;
use ninerouter_templates::palette::{Hit, Palette, dialog, hits, page};
use serde_json::{Value, json};
use url::form_urlencoded::Serializer;

use crate::dashboard::assets;
use crate::dashboard::json::Read;
use crate::dashboard::stage::{About, Refused, Stage};
use crate::dashboard::visit::{Page, Visit};

/// Results at most.
const MOST: usize = 20;
/// Results of one kind at most, so that models leave room for the rest.
const OF_A_KIND: usize = 8;
/// Pages: name, URL, keys.
const PAGES: [(&str, &str, &str); 9] = [
    ("Overview", "/dashboard", "g o"),
    ("Endpoint", "/dashboard/endpoint", "g e"),
    ("Providers", "/dashboard/providers", "g p"),
    ("Combos", "/dashboard/combos", "g c"),
    ("Logs", "/dashboard/logs", "g l"),
    ("Audit", "/dashboard/logs?tab=audit", ""),
    ("New API key", "/dashboard/endpoint/keys/new", ""),
    ("New combo", "/dashboard/combos/new", ""),
    ("Add custom provider", "/dashboard/providers/new", ""),
];

/// The palette with what its query finds; sent off, it goes to the best of it.
pub(super) async fn show(visit: &Visit) -> Result<Page, Refused> {
    let stage = Stage::set(visit).await?;
    let view = view(visit, &stage).await?;
    let assets = assets::urls();
    if visit.query("go").is_some() {
        match view.hits.first() {
            Some(hit) => return Ok(go(visit, &hit.url)),
            None if visit.hx.is_fragment => return Ok(Page::html(200, hits(&view).into_string())),
            None => {}
        }
    }
    if visit.wants_dialog() {
        return Ok(Page::html(200, dialog(assets, &view).into_string()));
    }
    let about = About { section: Section::Overview, title: "Go to …", feed: None };
    Ok(stage.page(visit, about, &page(assets, &view)))
}

/// What a query finds, alone.
pub(super) async fn found(visit: &Visit) -> Result<Page, Refused> {
    let stage = Stage::set(visit).await?;
    Ok(Page::html(200, hits(&view(visit, &stage).await?).into_string()))
}

fn go(visit: &Visit, url: &str) -> Page {
    if !visit.hx.is_fragment {
        return Page::see_other(url);
    }
    let to = json!({"path": url, "target": "#main", "swap": "innerHTML show:window:top"});
    Page::empty(204).header("hx-location", to.to_string()).header("hx-trigger", "close-dialog")
}

async fn view(visit: &Visit, stage: &Stage) -> Result<Palette, Refused> {
    let query = visit.query("q").unwrap_or_default().trim().to_owned();
    let shortcuts = stage.settings.is("/settings/shortcuts");
    let mut found: Vec<Hit> = PAGES.iter().map(of_page).collect();
    if query.is_empty() {
        return Ok(Palette { query, hits: found, shortcuts });
    }
    let wanted = query.to_lowercase();
    found.retain(|hit| hit.name.to_lowercase().contains(&wanted));
    let asked = Serializer::new(String::new())
        .append_pair("q", &query)
        .append_pair("limit", &OF_A_KIND.to_string())
        .finish();
    let list = |what: &'static str| {
        let target = format!("/api/{what}{}{asked}", if what.contains('?') { "&" } else { "?" });
        async move { visit.read(&target).await }
    };
    found.extend(list("providers").await?.list("/data").iter().map(of_provider));
    found.extend(list("accounts").await?.list("/data").iter().map(|one| of_account(stage, one)));
    found.extend(list("combos").await?.list("/data").iter().map(of_combo));
    let models = list("models?connected=true").await?;
    found.extend(models.list("/data").iter().map(|one| of_model(stage, one)));
    Ok(Palette { query, hits: best(found, &wanted), shortcuts })
}

/// Names that begin with what is looked for come first; else pages before providers, and so on.
fn best(mut found: Vec<Hit>, wanted: &str) -> Vec<Hit> {
    found.sort_by_key(|hit| !hit.name.to_lowercase().starts_with(wanted));
    found.truncate(MOST);
    found
}

fn of_page((name, url, keys): &(&str, &str, &str)) -> Hit {
    Hit { keys: (*keys).to_owned(), ..hit(name, "Page".to_owned(), (*url).to_owned()) }
}

fn of_provider(provider: &Value) -> Hit {
    let url = format!("/dashboard/providers/{}", provider.text("/id"));
    hit(provider.text("/name"), "Provider".to_owned(), url)
}

fn of_account(stage: &Stage, account: &Value) -> Hit {
    let id = account.text("/id");
    let name = stage.sight.account(id, account.text("/label"));
    let about = format!("Account · {}", stage.sight.provider(account.text("/provider")));
    hit(&name, about, format!("/dashboard/accounts/{id}"))
}

fn of_combo(combo: &Value) -> Hit {
    let url = format!("/dashboard/combos/{}", combo.text("/id"));
    hit(combo.text("/name"), "Combo".to_owned(), url)
}

/// A model stands on its provider's page.
fn of_model(stage: &Stage, model: &Value) -> Hit {
    let provider = model.text("/provider");
    let query = Serializer::new(String::new()).append_pair("q", model.text("/model")).finish();
    let about = format!("Model · {}", stage.sight.provider(provider));
    hit(model.text("/key"), about, format!("/dashboard/providers/{provider}?{query}"))
}

fn hit(name: &str, about: String, url: String) -> Hit {
    Hit { name: name.to_owned(), about, url, keys: String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_like_the_query_comes_first() {
        let found =
            ["Open Logs", "logs", "Catalog"].map(|name| hit(name, String::new(), String::new()));
        let names: Vec<_> = best(found.to_vec(), "log").into_iter().map(|hit| hit.name).collect();
        assert_eq!(names, ["logs", "Open Logs", "Catalog"]);
        let many = vec![hit("x", String::new(), String::new()); MOST + 5];
        assert_eq!(best(many, "x").len(), MOST);
    }
}
