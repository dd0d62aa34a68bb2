//! Combos: the list with its aliases, and who would serve a name.

use ninerouter_templates::Form as View;
use ninerouter_templates::combo::{
    Combos, Row, Simulation, Starter, answer_page, combos, row, simulation,
};
use ninerouter_templates::confirm::Confirm;
use ninerouter_templates::layout::Section;
use serde_json::{Value, json};

use crate::dashboard::assets;
use crate::dashboard::form::{is_objection, objected};
use crate::dashboard::json::Read;
use crate::dashboard::show::combo as shown;
use crate::dashboard::show::provider::Kind;
use crate::dashboard::stage::{self, About, Refused, Stage, good, mixed, undoable};
use crate::dashboard::visit::{Page, Visit};

/// Where the list is.
pub(super) const PATH: &str = "/dashboard/combos";
const ABOUT: About<'static> =
    About { section: Section::Combos, title: "Combos", feed: Some("shell,combo") };
/// Names offered for a target.
const TARGETS: usize = 500;

pub(super) async fn show(visit: &Visit) -> Result<Page, Refused> {
    list(visit, 200, View::default()).await
}

async fn list(visit: &Visit, status: u16, alias_form: View) -> Result<Page, Refused> {
    let stage = Stage::set(visit).await?;
    let all = visit.read("/api/combos?limit=500").await?;
    let aliases = visit.read("/api/aliases?limit=500").await?;
    let days = shown::days(&visit.read(shown::DAYS).await?);
    let rows: Vec<Row> =
        all.list("/data").iter().map(|one| shown::row(&stage.sight, one, &days)).collect();
    let alias = |one: &Value| (one.text("/alias").to_owned(), one.text("/target").to_owned());
    let view = Combos {
        csrf: visit.csrf.clone(),
        sentence: sentence(&rows),
        starters: if rows.is_empty() { starters(visit).await? } else { Vec::new() },
        combos: rows,
        aliases: aliases.list("/data").iter().map(alias).collect(),
        alias_form,
        targets: targets(visit).await?,
    };
    Ok(stage.page_with_status(status, visit, ABOUT, &combos(assets::urls(), &view)))
}

fn sentence(rows: &[Row]) -> String {
    let on = rows.iter().filter(|row| row.enabled);
    let stuck: Vec<&str> =
        on.filter(|row| row.serving.is_empty()).map(|row| row.name.as_str()).collect();
    match (rows.len(), stuck.is_empty()) {
        (0, _) => {
            "One name for several targets: when the first cannot serve, the next does.".to_owned()
        }
        (1, true) => "1 combo; it can serve.".to_owned(),
        (count, true) => format!("{count} combos; all that are on can serve."),
        (_, false) => format!("Nobody can serve {} now.", stuck.join(", ")),
    }
}

/// Names that can be a target: combos, and models of connected providers.
pub(super) async fn targets(visit: &Visit) -> Result<Vec<String>, Refused> {
    let combos = visit.read("/api/combos?limit=500").await?;
    let models = visit.read(&format!("/api/models?connected=true&limit={TARGETS}")).await?;
    let combos = combos.list("/data").iter().map(|combo| combo.text("/name").to_owned());
    let models = models.list("/data").iter().map(|model| model.text("/key").to_owned());
    Ok(combos.chain(models).collect())
}

/// Ready-made combos of what is connected. Each takes the first model of a provider of its kind.
pub(super) async fn starters(visit: &Visit) -> Result<Vec<Starter>, Refused> {
    let providers = visit.read("/api/providers?filter=connected&limit=500").await?;
    let models = visit.read(&format!("/api/models?connected=true&limit={TARGETS}")).await?;
    let first = |kinds: &[Kind]| {
        let of_kind = |provider: &&Value| kinds.contains(&Kind::of(provider));
        providers.list("/data").iter().filter(of_kind).find_map(|provider| {
            let own = |model: &&Value| {
                model.text("/provider") == provider.text("/id") && model.text("/kind") == "chat"
            };
            models.list("/data").iter().find(own).map(|model| model.text("/key").to_owned())
        })
    };
    let subscription = first(&[Kind::Subscription]);
    let key = first(&[Kind::ApiKey, Kind::Custom]);
    let free = first(&[Kind::Free, Kind::Local]);
    let starter =
        |template: &str, title: &str, effect: &str, wanted: &[(&str, &Option<String>)]| {
            let missing = wanted.iter().filter(|(_, model)| model.is_none());
            Starter {
                title: title.to_owned(),
                effect: effect.to_owned(),
                targets: wanted.iter().filter_map(|(_, model)| (*model).clone()).collect(),
                missing: missing.map(|(words, _)| (*words).to_owned()).collect(),
                template: template.to_owned(),
            }
        };
    Ok(vec![
        starter(
            "max-subscription",
            "Maximise subscription",
            "Your subscription first; pay by token only while it is used up.",
            &[("a subscription", &subscription), ("a provider with an API key", &key)],
        ),
        starter(
            "zero-cost",
            "Zero cost",
            "Your subscription, then what is free; nothing is ever paid by token.",
            &[("a subscription", &subscription), ("a free or local provider", &free)],
        ),
        starter(
            "always-on",
            "Always on",
            "Whatever can answer: paid by token, then free.",
            &[("a provider with an API key", &key), ("a free or local provider", &free)],
        ),
    ])
}

/// Turns a combo on or off.
pub(super) async fn turn(visit: &Visit, id: &str) -> Result<Page, Refused> {
    let on = stage::switched_on(visit);
    let changed =
        visit.ask("PATCH", &format!("/api/combos/{id}"), Some(&json!({"enabled": on}))).await;
    let combo = match changed {
        Ok(combo) => combo,
        Err(refused) => return Ok(refused.told(visit, PATH).await),
    };
    let name = combo.text("/name");
    let words = if on {
        format!("“{name}” is on.")
    } else {
        format!("“{name}” is off: requests for it fail.")
    };
    let toast = undoable(words, format!("{PATH}/{id}/enabled?enabled={}", !on));
    if !visit.hx.is_fragment {
        return Ok(stage::done(visit, PATH, &toast));
    }
    let stage = Stage::set(visit).await?;
    let assets = assets::urls();
    let days = shown::days(&visit.read(shown::DAYS).await?);
    let html = row(assets, &shown::row(&stage.sight, &combo, &days)).into_string();
    // A button in a row takes nothing into itself: the row comes out of band.
    let html = html.replacen("<li ", "<li hx-swap-oob=\"true\" ", 1);
    let toast = ninerouter_templates::toast_fragment(assets, &toast).into_string();
    Ok(Page::html(200, html + &toast))
}

/// The question before a combo is deleted.
pub(super) async fn ask_delete(visit: &Visit, id: &str) -> Result<Page, Refused> {
    let combo = visit.read(&format!("/api/combos/{id}")).await?;
    stage::confirmed(visit, Section::Combos, 200, question(visit, &combo, None)).await
}

pub(super) async fn delete(visit: &Visit, id: &str) -> Result<Page, Refused> {
    let combo = visit.read(&format!("/api/combos/{id}")).await?;
    let force = visit.form.get("force") == Some("true");
    match visit.ask("DELETE", &format!("/api/combos/{id}"), Some(&json!({"force": force}))).await {
        Ok(_) => {
            Ok(stage::done(visit, PATH, &good(format!("“{}” is deleted.", combo.text("/name")))))
        }
        Err(refused) if is_objection(&refused) => {
            stage::confirmed(
                visit,
                Section::Combos,
                refused.status,
                question(visit, &combo, Some(&refused)),
            )
            .await
        }
        Err(refused) => Err(refused),
    }
}

fn question(visit: &Visit, combo: &Value, refused: Option<&Refused>) -> Confirm {
    let name = combo.text("/name");
    let mut consequences = vec![format!("Tools that ask for “{name}” get an error.")];
    let mut values = Vec::new();
    let mut form = View::default();
    match refused {
        Some(refused) if refused.code() == "in_use" => {
            let users = refused.error.list("/used_by");
            let users: Vec<&str> = users.iter().map(|user| user.text("/name")).collect();
            consequences.push(format!("Used by {}: they skip it then.", users.join(", ")));
            values.push(("force".to_owned(), "true".to_owned()));
        }
        Some(refused) => form = objected(&visit.form, &[], refused),
        None => {}
    }
    Confirm {
        csrf: visit.csrf.clone(),
        question: format!("Delete the combo “{name}”?"),
        consequences,
        verb: "Delete combo".to_owned(),
        url: format!("{PATH}/{}/delete", combo.text("/id")),
        values,
        back: ("Combos".to_owned(), PATH.to_owned()),
        form,
        ..Confirm::default()
    }
}

/// Adds an alias, or leads one elsewhere.
pub(super) async fn put_alias(visit: &Visit) -> Result<Page, Refused> {
    let alias = visit.form.get("alias").unwrap_or_default().trim();
    let target = visit.form.get("target").unwrap_or_default().trim();
    let body = json!({"target": target});
    match visit.ask("PUT", &alias_path(alias), Some(&body)).await {
        Ok(made) => {
            let toast = match made.texts("/warnings").first() {
                Some(warning) => mixed(format!("“{alias}” is added. {warning}")),
                None => good(format!("“{alias}” is added.")),
            };
            Ok(stage::done(visit, PATH, &toast))
        }
        // An empty name is no path of the API.
        Err(refused) if is_objection(&refused) || refused.status == 404 => {
            let form = if alias.is_empty() {
                let errors = vec![("alias".to_owned(), "Give it a name.".to_owned())];
                View { errors, ..crate::dashboard::form::entered(&visit.form, &[]) }
            } else {
                objected(&visit.form, &[], &refused)
            };
            list(visit, 422, form).await
        }
        Err(refused) => Err(refused),
    }
}

pub(super) async fn delete_alias(visit: &Visit) -> Result<Page, Refused> {
    let alias = visit.form.get("alias").unwrap_or_default();
    match visit.ask("DELETE", &alias_path(alias), None).await {
        Ok(_) => Ok(stage::done(visit, PATH, &good(format!("“{alias}” is deleted.")))),
        Err(refused) => Ok(refused.told(visit, PATH).await),
    }
}

fn alias_path(alias: &str) -> String {
    let encoded = |part: &str| {
        percent_encoding::utf8_percent_encode(part, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let parts: Vec<String> = alias.split('/').map(encoded).collect();
    format!("/api/aliases/{}", parts.join("/"))
}

/// Who would serve a name.
pub(super) async fn explain(visit: &Visit) -> Result<Page, Refused> {
    let model = visit.form.get("model").unwrap_or_default().trim().to_owned();
    let answer = visit.ask("POST", "/api/explain", Some(&json!({"model": model}))).await;
    simulated(visit, &model, answer).await
}

/// Who would serve a combo, with some accounts out.
pub(super) async fn simulate(visit: &Visit, id: &str) -> Result<Page, Refused> {
    let combo = visit.read(&format!("/api/combos/{id}")).await?;
    let out: Vec<&str> = visit.form.all("pretend_out").collect();
    let body = json!({"pretend_out": out});
    let answer = visit.ask("POST", &format!("/api/combos/{id}/simulate"), Some(&body)).await;
    simulated(visit, combo.text("/name"), answer).await
}

async fn simulated(
    visit: &Visit,
    model: &str,
    answer: Result<Value, Refused>,
) -> Result<Page, Refused> {
    let stage = Stage::set(visit).await?;
    let view = match answer {
        Ok(answer) => shown::simulation(&stage.sight, model, &answer),
        Err(refused) if is_objection(&refused) => {
            Simulation { problem: refused.message(), ..Simulation::default() }
        }
        Err(refused) => return Err(refused),
    };
    let html = simulation(&view);
    if visit.hx.is_fragment {
        return Ok(Page::html(200, html.into_string()));
    }
    let title = "Who would serve?";
    let html = answer_page(title, ("Combos", PATH), &html);
    Ok(stage.page(visit, About { feed: None, title, ..ABOUT }, &html))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_with_slashes_and_signs_is_one_path() {
        assert_eq!(alias_path("my/gpt 4?"), "/api/aliases/my/gpt%204%3F");
    }
}
