//! What is done with one account: turned off and on, tested, refreshed, deleted.

use ninerouter_templates::Toast;
use ninerouter_templates::confirm::Confirm;
use ninerouter_templates::format::elapsed;
use ninerouter_templates::layout::Section;
use serde_json::{Value, json};

use crate::dashboard::account;
use crate::dashboard::form::{Body, is_objection, objected};
use crate::dashboard::json::Read;
use crate::dashboard::names;
use crate::dashboard::stage::{self, Refused, bad, good, mixed, undoable};
use crate::dashboard::visit::{Form, Page, Visit};

/// Where an account's page is.
pub(super) fn path(id: &str) -> String {
    format!("/dashboard/accounts/{id}")
}

/// A button sends its one value alone, the form many.
pub(super) async fn change(visit: &Visit, id: &str) -> Result<Page, Refused> {
    match visit.form.get("label") {
        None => turn(visit, id, stage::switched_on(visit)).await,
        Some(_) => account::change(visit, id).await,
    }
}

/// Turns an account off or on.
async fn turn(visit: &Visit, id: &str, on: bool) -> Result<Page, Refused> {
    let label = match visit
        .ask("PATCH", &format!("/api/accounts/{id}"), Some(&json!({"enabled": on})))
        .await
    {
        Ok(account) => names::name(visit, &account).await?,
        Err(refused) => return Ok(refused.told(visit, &path(id)).await),
    };
    let words = if on {
        format!("“{label}” serves again.")
    } else {
        format!("“{label}” is off. Requests go elsewhere.")
    };
    let back = format!("{}?enabled={}", path(id), !on);
    Ok(stage::told(visit, &path(id), &undoable(words, back)))
}

/// Has an account do something that its card or row shows when it is done.
pub(super) async fn act(visit: &Visit, id: &str, action: &str) -> Result<Page, Refused> {
    let scope = visit.form.get("scope").map(|scope| json!({"scope": scope}));
    let body = scope.filter(|_| action == "clear-locks").unwrap_or_else(|| json!({}));
    let answer = visit.ask("POST", &format!("/api/accounts/{id}/{action}"), Some(&body)).await;
    let toast = match answer {
        Ok(answer) => outcome(action, &answer),
        Err(refused) => return Ok(refused.told(visit, &path(id)).await),
    };
    Ok(stage::told(visit, &path(id), &toast))
}

fn outcome(action: &str, answer: &Value) -> Toast {
    match action {
        "test" => tested(answer),
        "refresh" => good("The sign-in has a new token."),
        "try-again" => good("The account is tried again."),
        "quota/refresh" => good("Its quota is up to date."),
        "clear-locks" => match answer.int("/cleared") {
            Some(0) => good("There was nothing to clear."),
            _ => good("Cool-downs cleared. It can serve at once."),
        },
        _ => good("Done."),
    }
}

fn tested(answer: &Value) -> Toast {
    let message = answer.text("/message");
    let took = answer.int("/ms").map(elapsed).unwrap_or_default();
    if answer.is("/ok") {
        return match message {
            "" => good(format!("The provider takes the credential ({took}).")),
            warning => mixed(format!("The provider takes the credential. {warning}")),
        };
    }
    match answer.text("/class") {
        "unverified" => mixed(format!("It could not be checked: {message}")),
        _ => bad(format!("The provider refuses the credential: {message}")),
    }
}

/// The question before an account is deleted.
pub(super) async fn ask_delete(visit: &Visit, id: &str) -> Result<Page, Refused> {
    let account = visit.read(&format!("/api/accounts/{id}")).await?;
    let name = names::name(visit, &account).await?;
    stage::confirmed(visit, Section::Providers, 200, question(visit, &account, &name, None)).await
}

/// Deletes it. What hangs on it is named first; the second time it goes all the same.
pub(super) async fn delete(visit: &Visit, id: &str) -> Result<Page, Refused> {
    let account = visit.read(&format!("/api/accounts/{id}")).await?;
    let name = names::name(visit, &account).await?;
    let force = visit.form.get("force") == Some("true");
    let target = format!("/api/accounts/{id}");
    match visit.ask("DELETE", &target, Some(&json!({"force": force}))).await {
        Ok(_) => {
            let provider = format!("/dashboard/providers/{}", account.text("/provider"));
            Ok(stage::done(visit, &provider, &good(format!("“{name}” is deleted."))))
        }
        Err(refused) if is_objection(&refused) => {
            stage::confirmed(
                visit,
                Section::Providers,
                refused.status,
                question(visit, &account, &name, Some(&refused)),
            )
            .await
        }
        Err(refused) => Err(refused),
    }
}

fn question(visit: &Visit, account: &Value, name: &str, refused: Option<&Refused>) -> Confirm {
    let id = account.text("/id");
    let mut consequences =
        vec!["Its credential is erased. What it used stays in the statistics.".to_owned()];
    let mut values = Vec::new();
    let mut form = ninerouter_templates::Form::default();
    if let Some(refused) = refused {
        if refused.code() == "in_use" {
            let names: Vec<&str> =
                refused.error.list("/used_by").iter().map(|user| user.text("/name")).collect();
            consequences
                .push(format!("Used by {}: entries that name it go without it.", names.join(", ")));
            values.push(("force".to_owned(), "true".to_owned()));
        } else {
            form = objected(&visit.form, &[], refused);
        }
    }
    Confirm {
        csrf: visit.csrf.clone(),
        question: format!("Delete the account “{name}”?"),
        consequences,
        verb: "Delete account".to_owned(),
        url: format!("{}/delete", path(id)),
        values,
        back: (name.to_owned(), path(id)),
        form,
        ..Confirm::default()
    }
}

/// What can be done with several accounts at once: word of the API, and of its outcome for one and for many.
const BATCH: [(&str, &str, &str); 5] = [
    ("enable", "1 account serves again.", "accounts serve again."),
    ("disable", "1 account is off.", "accounts are off."),
    ("test", "1 account is being tested.", "accounts are being tested."),
    ("delete", "1 account is deleted.", "accounts are deleted."),
    ("set", "1 account is changed.", "accounts are changed."),
];

/// Does the same with every ticked account of a provider; deleting is asked about first.
pub(super) async fn batch(visit: &Visit, provider: &str) -> Result<Page, Refused> {
    let page = format!("/dashboard/providers/{provider}");
    let ids: Vec<&str> = visit.form.all("ids").collect();
    let word = visit.form.get("action").unwrap_or_default();
    let Some((action, one, many)) = BATCH.iter().find(|(action, ..)| *action == word) else {
        return Ok(stage::told(visit, &page, &bad("That cannot be done with several accounts.")));
    };
    if ids.is_empty() {
        return Ok(stage::told(visit, &page, &bad("Tick the accounts that are meant first.")));
    }
    if *action == "delete" && visit.form.get("sure").is_none() {
        let view = sure(visit, &ids, &page);
        return stage::confirmed(visit, Section::Providers, 200, view).await;
    }
    let mut body =
        json!({"ids": ids, "action": action, "force": visit.form.get("force").is_some()});
    if let ("set", Value::Object(body)) = (*action, &mut body) {
        body.insert("set".to_owned(), to_set(&visit.form));
    }
    let answer = match visit.ask("POST", "/api/accounts/batch", Some(&body)).await {
        Ok(answer) => answer,
        Err(refused) => return Ok(refused.told(visit, &page).await),
    };
    Ok(stage::done(visit, &page, &of_batch(&answer, ids.len(), one, many)))
}

/// What is set for all of them: what was entered, and nothing else.
fn to_set(form: &Form) -> Value {
    let asked = |name: &str| form.get(name).is_some_and(|text| !text.trim().is_empty());
    let body = Body::of(form);
    let body = if asked("priority") { body.numbers(&["priority"]) } else { body };
    let body = if asked("proxy") { body.proxy() } else { body };
    body.json()
}

/// What came of doing the same to several: words for one of them, and for many behind their number.
pub(super) fn of_batch(answer: &Value, asked: usize, one: &str, many: &str) -> Toast {
    let failed = answer.int("/failed").unwrap_or_default();
    // Tests run on as a job, whose card tells how each went.
    let done = match answer.int("/ok") {
        Some(done) => usize::try_from(done).unwrap_or_default(),
        None => asked,
    };
    let text = match done {
        1 => one.to_owned(),
        done => format!("{done} {many}"),
    };
    let results = answer.list("/results").iter();
    let why = results.map(|result| result.text("/message")).find(|message| !message.is_empty());
    match (failed, why) {
        (0, _) => good(text),
        (failed, why) => mixed(format!(
            "{text} {failed} stayed as they were: {}",
            why.unwrap_or("no reason told")
        )),
    }
}

fn sure(visit: &Visit, ids: &[&str], page: &str) -> Confirm {
    let mut values = vec![("action", "delete"), ("sure", "true")];
    values.extend(ids.iter().map(|id| ("ids", *id)));
    let count = ids.len();
    let noun = if count == 1 { "account" } else { "accounts" };
    Confirm {
        csrf: visit.csrf.clone(),
        question: format!("Delete {count} {noun}?"),
        consequences: vec![
            "Their credentials are erased. What they used stays in the statistics.".to_owned(),
        ],
        verb: format!("Delete {count} {noun}"),
        url: format!("{page}/accounts/batch"),
        values: values.into_iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect(),
        choice: Some((
            "force".to_owned(),
            "Also those that combos are pinned to; their entries go without them".to_owned(),
        )),
        back: ("Accounts".to_owned(), page.to_owned()),
        ..Confirm::default()
    }
}

#[cfg(test)]
mod tests {
    use ninerouter_templates::Tone;

    use super::*;

    #[test]
    fn only_what_was_entered_is_set() {
        let of = |text: &str| to_set(&Form::parse(text.as_bytes()));
        assert_eq!(of("priority=&proxy="), json!({}));
        assert_eq!(of("priority=3&proxy="), json!({"priority": 3}));
        assert_eq!(of("priority=&proxy=direct"), json!({"proxy": {"mode": "direct", "id": null}}));
    }

    #[test]
    fn a_batch_says_how_many_and_why_not_the_others() {
        let (_, one, many) = BATCH[1];
        let of = |answer: Value, asked| {
            let toast = of_batch(&answer, asked, one, many);
            (toast.tone, toast.text)
        };
        assert_eq!(
            of(json!({"ok": 1, "failed": 0}), 1),
            (Tone::Ok, "1 account is off.".to_owned())
        );
        assert_eq!(of(json!({"job": {}}), 3), (Tone::Ok, "3 accounts are off.".to_owned()));
        let (tone, text) = of(
            json!({"ok": 2, "failed": 1, "results": [{"ok": true}, {"ok": false, "message": "in use"}]}),
            3,
        );
        assert_eq!(tone, Tone::Warn);
        assert_eq!(text, "2 accounts are off. 1 stayed as they were: in use");
    }

    #[test]
    fn a_test_says_what_the_provider_says() {
        let of = |answer: Value| (tested(&answer).tone, tested(&answer).text);
        let (tone, text) = of(json!({"ok": true, "ms": 85}));
        assert_eq!((tone, text.as_str()), (Tone::Ok, "The provider takes the credential (85 ms)."));
        assert_eq!(of(json!({"ok": true, "message": "No credit left."})).0, Tone::Warn);
        let (tone, text) = of(json!({"ok": false, "class": "refused", "message": "invalid key"}));
        assert!(tone == Tone::Bad && text.ends_with("invalid key"));
        assert_eq!(
            of(json!({"ok": false, "class": "unverified", "message": "time-out"})).0,
            Tone::Warn
        );
    }
}
