//! Whether names of accounts are shown: the setting `hide_names`, and over it the choice of this browser
//! (dashboard §4.10).

use ninerouter_templates::Names;
use serde_json::Value;
use url::form_urlencoded::Serializer;

use crate::dashboard::json::Read;
use crate::dashboard::show::hidden::Hidden;
use crate::dashboard::stage::Refused;
use crate::dashboard::visit::{Page, Visit, next_page};

/// The browser's choice: `1` hides, `0` shows.
const COOKIE: &str = "nr_hide";
/// A year, in seconds.
const LIFE: u32 = 31_536_000;

fn are_hidden(visit: &Visit, settings: &Value) -> bool {
    match visit.cookie(COOKIE) {
        Some("1") => true,
        Some("0") => false,
        _ => settings.is("/settings/hide_names"),
    }
}

/// What stands for accounts on this visit; `None` = their names do.
pub(super) async fn hidden(visit: &Visit, settings: &Value) -> Result<Option<Hidden>, Refused> {
    if !are_hidden(visit, settings) {
        return Ok(None);
    }
    Ok(Some(Hidden::of(&all_accounts(visit, "").await?)))
}

/// Every account that `filter` lets in, a query of the API; empty = all.
pub(super) async fn all_accounts(visit: &Visit, filter: &str) -> Result<Vec<Value>, Refused> {
    let target = format!("/api/accounts?{filter}&limit=500");
    let mut all = Vec::new();
    let mut page = visit.read(&target).await?;
    loop {
        all.extend_from_slice(page.list("/data"));
        let Some(next) = page.part("/next").as_str() else { return Ok(all) };
        let query = Serializer::new(String::new()).append_pair("cursor", next).finish();
        page = visit.read(&format!("{target}&{query}")).await?;
    }
}

/// The list of the API, with what stands for the accounts in place of their labels.
pub(super) async fn accounts(visit: &Visit) -> Result<Value, Refused> {
    let mut list = visit.read("/api/accounts?limit=500").await?;
    let settings = visit.read("/api/settings").await?;
    let Some(hidden) = hidden(visit, &settings).await? else { return Ok(list) };
    if let Some(Value::Array(accounts)) = list.get_mut("data") {
        for account in accounts {
            let name = hidden.name(account.text("/id"));
            if let Some(label) = account.get_mut("label") {
                *label = name.into();
            }
        }
    }
    Ok(list)
}

/// Name of one account, or what stands for it, where nothing else is shown.
pub(super) async fn name(visit: &Visit, account: &Value) -> Result<String, Refused> {
    let settings = visit.read("/api/settings").await?;
    Ok(match hidden(visit, &settings).await? {
        Some(hidden) => hidden.name(account.text("/id")),
        None => account.text("/label").to_owned(),
    })
}

/// The button that shows or hides them on the page that is visited.
pub(super) fn switch(visit: &Visit, hidden: bool) -> Names {
    let wish = if hidden { "0" } else { "1" };
    let query = Serializer::new(String::new())
        .append_pair("hide", wish)
        .append_pair("back", &visit.url())
        .finish();
    Names { hidden, url: format!("/dashboard/names?{query}") }
}

/// Takes the browser's choice and goes back to its page.
pub(super) fn turn(visit: &Visit) -> Page {
    let choice = if visit.query("hide").as_deref() == Some("1") { "1" } else { "0" };
    let secure = if visit.is_https() { "; Secure" } else { "" };
    let cookie = format!(
        "{COOKIE}={choice}; Path=/dashboard; Max-Age={LIFE}; HttpOnly; SameSite=Lax{secure}"
    );
    let page = match visit.hx.is_fragment {
        // Every part of the page and its feed change at once.
        true => Page::empty(204).header("hx-refresh", "true"),
        false => Page::see_other(next_page(visit.query("back").as_deref())),
    };
    page.header("set-cookie", cookie)
}
