//! The order of a provider's accounts: dragged on its page, or moved by a place.

use ninerouter_templates::provider::account_list;
use ninerouter_templates::toast_fragment;
use serde_json::{Value, json};

use crate::dashboard::assets;
use crate::dashboard::form::is_objection;
use crate::dashboard::json::Read;
use crate::dashboard::names;
use crate::dashboard::provider::path;
use crate::dashboard::show::account::account;
use crate::dashboard::stage::{self, Refused, Stage, bad, good};
use crate::dashboard::visit::{Page, Visit};

/// Takes the order that the accounts of a page were dragged into, or moves one of them by a place.
pub(super) async fn take(visit: &Visit, id: &str) -> Result<Page, Refused> {
    let shown: Vec<&str> = visit.form.all("ids").collect();
    let mut ids = all_of(visit, id).await?;
    match shown.is_empty() {
        true => moved(&mut ids, visit.form.get("move").unwrap_or_default()),
        false => arrange(&mut ids, &shown),
    }
    let body = json!({"provider": id, "ids": ids});
    let toast = match visit.ask("POST", "/api/accounts/reorder", Some(&body)).await {
        Ok(_) => good("Order saved."),
        Err(refused) if is_objection(&refused) => bad(refused.message()),
        Err(refused) => return Err(refused),
    };
    if !visit.hx.is_fragment || shown.is_empty() {
        return Ok(stage::done(visit, &path(id), &toast));
    }
    // As it is stored: what was refused goes back to its place.
    let stage = Stage::set(visit).await?;
    let stored = names::all_accounts(visit, &format!("provider={id}")).await?;
    let on_page = |one: &&Value| shown.contains(&one.text("/id"));
    let accounts = stored.iter().filter(on_page).map(|one| account(&stage.sight, one));
    let accounts: Vec<_> = accounts.collect();
    let assets = assets::urls();
    let list = account_list(assets, id, &accounts, true).into_string();
    Ok(Page::html(200, list + &toast_fragment(assets, &toast).into_string()))
}

/// Those that are shown take the places that they have together, in the order in which they are shown.
fn arrange(ids: &mut [String], shown: &[&str]) {
    let mut next = shown
        .iter()
        .filter(|id| ids.iter().any(|own| own == *id))
        .copied()
        .collect::<Vec<_>>()
        .into_iter();
    for place in ids.iter_mut().filter(|own| shown.contains(&own.as_str())) {
        if let Some(id) = next.next() {
            id.clone_into(place);
        }
    }
}

/// `<id>:up` or `<id>:down`; at the end of the list nothing moves.
fn moved(ids: &mut [String], wish: &str) {
    let Some((id, way)) = wish.split_once(':') else { return };
    let Some(at) = ids.iter().position(|own| own == id) else { return };
    let to =
        if way == "up" { at.checked_sub(1) } else { Some(at + 1).filter(|to| *to < ids.len()) };
    if let Some(to) = to {
        ids.swap(at, to);
    }
}

/// Ids of all accounts of a provider, in the order in which they are asked.
async fn all_of(visit: &Visit, id: &str) -> Result<Vec<String>, Refused> {
    let accounts = names::all_accounts(visit, &format!("provider={id}")).await?;
    Ok(accounts.iter().map(|one| one.text("/id").to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accounts_of_a_page_are_arranged_among_themselves() {
        for (shown, want) in [
            (["d", "b"].as_slice(), "adcb"),
            (&["b", "d"], "abcd"),
            (&["c", "x", "a"], "cbad"),
            (&[], "abcd"),
        ] {
            let mut ids = ["a", "b", "c", "d"].map(str::to_owned);
            arrange(&mut ids, shown);
            assert_eq!(ids.concat(), want, "{shown:?}");
        }
    }

    #[test]
    fn an_account_moves_by_a_place() {
        for (wish, want) in [
            ("b:up", "bac"),
            ("b:down", "acb"),
            ("a:up", "abc"),
            ("c:down", "abc"),
            ("x:up", "abc"),
            ("", "abc"),
        ] {
            let mut ids = ["a", "b", "c"].map(str::to_owned);
            moved(&mut ids, wish);
            assert_eq!(ids.concat(), want, "{wish}");
        }
    }
}
