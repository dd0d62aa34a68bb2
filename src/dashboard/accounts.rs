//! What is done with one account: turned off and on, tested, refreshed, deleted.

use ninerouter_templates::Toast;
use ninerouter_templates::confirm::Confirm;
use ninerouter_templates::format::elapsed;
use ninerouter_templates::layout::Section;
use serde_json::{Value, json};

use crate::dashboard::account;
use crate::dashboard::form::{is_objection, objected};
use crate::dashboard::json::Read;
use crate::dashboard::names;
use crate::dashboard::stage::{self, Refused, bad, good, mixed};
use crate::dashboard::visit::{Page, Visit};

/// Where an account's page is.
pub(super) fn path(id: &str) -> String {
    format!("/dashboard/accounts/{id}")
}

/// A button sends its one value alone, the form many.
pub(super) async fn change(visit: &Visit, id: &str) -> Result<Page, Refused> {
    match visit.form.get("label") {
        None => turn(visit, id, visit.form.get("enabled") == Some("true")).await,
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
    let toast = if on {
        good(format!("“{label}” serves again."))
    } else {
        good(format!("“{label}” is off. Requests go elsewhere."))
    };
    Ok(stage::told(visit, &path(id), &toast))
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

#[cfg(test)]
mod tests {
    use ninerouter_templates::Tone;

    use super::*;

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
