//! Accounts out of an official client's sign-in: what is found on the router's computer, a pasted or an uploaded file.

use ninerouter_templates::Form as View;
use ninerouter_templates::Toast;
use ninerouter_templates::import::{Candidate, Import, dialog, page};
use ninerouter_templates::layout::Section;
use serde_json::{Value, json};

use crate::dashboard::assets;
use crate::dashboard::form::{entered, is_objection, objected};
use crate::dashboard::json::Read;
use crate::dashboard::stage::{self, About, Refused, Stage, good, mixed};
use crate::dashboard::visit::{Form, Page, Visit};

/// Fields that are never shown again.
const SECRETS: [&str; 1] = ["data"];

/// The form, with what is found.
pub(super) async fn ask(visit: &Visit, id: &str) -> Result<Page, Refused> {
    shown(visit, id, 200, View::default()).await
}

/// Imports what was ticked, or what was pasted.
pub(super) async fn take(visit: &Visit, id: &str) -> Result<Page, Refused> {
    let Some(body) = wish(&visit.form) else {
        let problem = "Tick a sign-in, or paste its file.".to_owned();
        let form = View { problem: Some(problem), ..entered(&visit.form, &SECRETS) };
        return shown(visit, id, 422, form).await;
    };
    match visit.ask("POST", &route(id), Some(&body)).await {
        Ok(done) => {
            let provider = format!("/dashboard/providers/{id}");
            Ok(stage::done(visit, &provider, &outcome(&done)))
        }
        Err(refused) if is_objection(&refused) || refused.status == 404 => {
            shown(visit, id, 422, objected(&visit.form, &SECRETS, &refused)).await
        }
        Err(refused) => Err(refused),
    }
}

fn route(id: &str) -> String {
    format!("/api/accounts/import/{id}")
}

/// A text that was pasted goes before what was ticked; `None` = there is neither. (Without a choice the API would take
/// all that is found.)
fn wish(form: &Form) -> Option<Value> {
    let text = |name: &str| form.get(name).map(str::trim).filter(|text| !text.is_empty());
    let mut wish = match text("data") {
        Some(data) => json!({"source": "paste", "data": data}),
        None => {
            let select: Vec<&str> = form.all("select").collect();
            if select.is_empty() {
                return None;
            }
            json!({"source": "scan", "select": select})
        }
    };
    if let Value::Object(members) = &mut wish {
        for name in ["ownership", "label"] {
            if let Some(value) = text(name) {
                members.insert(name.to_owned(), value.into());
            }
        }
    }
    Some(wish)
}

/// What came of it, with what the operator should know of it.
fn outcome(done: &Value) -> Toast {
    let all = done.list("/accounts").len();
    let renewed = done.list("/existed").len();
    let text = match (all, renewed) {
        (1, 0) => "The account is added and serves from now on.".to_owned(),
        (1, _) => "This account was here already. Its sign-in is renewed.".to_owned(),
        (all, 0) => format!("{all} accounts are added and serve from now on."),
        (all, renewed) => format!("{all} accounts; {renewed} of them were here already."),
    };
    let notes: Vec<&str> = done
        .list("/checks")
        .iter()
        .flat_map(|check| [check.text("/message"), check.text("/warning")])
        .filter(|note| !note.is_empty())
        .collect();
    if notes.is_empty() { good(text) } else { mixed(format!("{text} {}.", notes.join(". "))) }
}

async fn shown(visit: &Visit, id: &str, status: u16, form: View) -> Result<Page, Refused> {
    let stage = Stage::set(visit).await?;
    let provider = visit.read(&format!("/api/providers/{id}")).await?;
    let (candidates, nothing) =
        match visit.ask("POST", &route(id), Some(&json!({"source": "scan"}))).await {
            Ok(found) => (
                found.list("/candidates").iter().map(|one| candidate(&stage, one)).collect(),
                String::new(),
            ),
            // There is no client to look for, or its files cannot be read: a text can be pasted all the same.
            Err(refused) if is_objection(&refused) || refused.status == 404 => {
                (Vec::new(), refused.message())
            }
            Err(refused) => return Err(refused),
        };
    let view = Import {
        csrf: visit.csrf.clone(),
        provider: id.to_owned(),
        name: provider.text("/name").to_owned(),
        candidates,
        nothing,
        form,
    };
    let assets = assets::urls();
    if visit.wants_dialog() {
        return Ok(Page::html(status, dialog(assets, &view).into_string()));
    }
    let about = About { section: Section::Providers, title: "Import", feed: None };
    Ok(stage.page_with_status(status, visit, about, &page(&view)))
}

fn candidate(stage: &Stage, object: &Value) -> Candidate {
    let sight = &stage.sight;
    let whose = match object.text("/email") {
        "" => object.text("/label"),
        email => email,
    };
    Candidate {
        key: object.text("/key").to_owned(),
        name: if sight.hidden.is_some() { "A sign-in".to_owned() } else { whose.to_owned() },
        plan: object.text("/plan").replace('_', " "),
        place: match object.text("/path") {
            "" => "a variable of the router".to_owned(),
            path => path.to_owned(),
        },
        ends: object.int("/expires_at").map(|at| sight.now.until(at)),
    }
}

#[cfg(test)]
mod tests {
    use ninerouter_templates::Tone;

    use super::*;

    #[test]
    fn what_was_pasted_goes_before_what_was_ticked() {
        let of = |text: &str| wish(&Form::parse(text.as_bytes()));
        assert_eq!(
            of("select=a&select=b&data=+&ownership=follow&label="),
            Some(json!({"source": "scan", "select": ["a", "b"], "ownership": "follow"}))
        );
        assert_eq!(
            of("select=a&data=%7B%7D&label=work"),
            Some(json!({"source": "paste", "data": "{}", "label": "work"}))
        );
        assert_eq!(of("data=&label=work"), None, "nobody wants all of them by wanting none");
    }

    #[test]
    fn an_import_says_what_came_of_it() {
        let one = outcome(&json!({"accounts": [{}], "existed": [], "checks": [{"message": null}]}));
        assert_eq!(
            (one.tone, one.text.as_str()),
            (Tone::Ok, "The account is added and serves from now on.")
        );
        let two = outcome(&json!({
            "accounts": [{}, {}], "existed": ["1"], "checks": [{"message": "it could not be checked"}, {"warning": "w"}],
        }));
        assert_eq!(two.tone, Tone::Warn);
        assert_eq!(
            two.text,
            "2 accounts; 1 of them were here already. it could not be checked. w."
        );
    }
}
