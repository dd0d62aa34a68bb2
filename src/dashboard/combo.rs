//! The editor of one combo: a form that is sent as a whole, and buttons that change it without saving.

use ninerouter_templates::combo::{Editor, Entry, editor, editor_form};
use ninerouter_templates::layout::Section;
use ninerouter_templates::{Choice, Form as View};
use serde_json::{Map, Value, json};

use crate::dashboard::assets;
use crate::dashboard::combos::{PATH, starters, targets};
use crate::dashboard::form::{Body, entered, is_objection, objected};
use crate::dashboard::json::Read;
use crate::dashboard::names;
use crate::dashboard::show::combo::{STRATEGIES, standing};
use crate::dashboard::show::series::requests_by_model;
use crate::dashboard::stage::{self, About, Refused, Stage, good, mixed};
use crate::dashboard::visit::{Form, Page, Visit};

/// Names of the switches of a combo.
const SWITCHES: [&str; 3] = ["enabled", "fallback_on_policy", "capability_filter"];
const NUMBERS: [&str; 3] = ["rr_sticky_count", "max_attempts", "deadline_ms"];
/// Entries of one combo that the form takes.
const MOST: usize = 64;

/// An entry as the form holds it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Line {
    /// Its id, or `new-<n>`.
    key: String,
    target: String,
    weight: String,
    account: String,
    enabled: bool,
}

/// A new combo: empty, a copy (`?from=`), or from a template.
pub(super) async fn new(visit: &Visit) -> Result<Page, Refused> {
    if let Some(template) = visit.form.get("template") {
        let all = starters(visit).await?;
        let chosen = all.into_iter().find(|one| one.template == template);
        let targets = chosen.map(|one| one.targets).unwrap_or_default();
        let lines = targets.into_iter().enumerate().map(|(at, target)| fresh(at, target)).collect();
        let form = defaults().with("name", template);
        return draw(visit, 200, None, form, lines).await;
    }
    let Some(from) = visit.query("from") else {
        return draw(visit, 200, None, defaults(), Vec::new()).await;
    };
    let combo = visit.read(&format!("/api/combos/{from}")).await?;
    let lines = lines_of(&combo).into_iter().enumerate();
    let lines = lines.map(|(at, line)| Line { key: format!("new-{at}"), ..line }).collect();
    let mut form = values_of(&combo);
    for (name, value) in &mut form.values {
        if name == "name" {
            value.push_str("-copy");
        }
    }
    draw(visit, 200, None, form, lines).await
}

pub(super) async fn show(visit: &Visit, id: &str) -> Result<Page, Refused> {
    let combo = visit.read(&format!("/api/combos/{id}")).await?;
    let (form, lines) = (values_of(&combo), lines_of(&combo));
    draw(visit, 200, Some(&combo), form, lines).await
}

/// Makes a combo, or changes one; a button that does not save gives the form again.
pub(super) async fn save(visit: &Visit, id: Option<&str>) -> Result<Page, Refused> {
    let current = match id {
        Some(id) => Some(visit.read(&format!("/api/combos/{id}")).await?),
        None => None,
    };
    let mut lines = lines_sent(&visit.form);
    if step(&visit.form, &mut lines) {
        return draw(visit, 200, current.as_ref(), entered(&visit.form, &[]), lines).await;
    }
    // What stands in the field for another entry is meant, although nobody pressed its button.
    add(&visit.form, &mut lines);
    let body = body(&visit.form, &lines, current.as_ref());
    let answer = match id {
        Some(id) => visit.ask("PATCH", &format!("/api/combos/{id}"), Some(&body)).await,
        None => visit.ask("POST", "/api/combos", Some(&body)).await,
    };
    match answer {
        Ok(combo) => {
            let name = combo.text("/name");
            let toast = match combo.texts("/warnings").as_slice() {
                [] => good(format!("“{name}” is saved.")),
                warnings => mixed(format!("“{name}” is saved. {}", warnings.join(" "))),
            };
            let page = format!("{PATH}/{}", combo.text("/id"));
            Ok(stage::done(visit, &page, &toast))
        }
        Err(refused) if is_objection(&refused) => {
            let status = if refused.status == 409 { 409 } else { 422 };
            let form = objected_here(&visit.form, &refused);
            draw_objected(visit, status, current.as_ref(), form, lines, &refused).await
        }
        Err(refused) => Err(refused),
    }
}

/// Objections to entries stand beside the entries, not in the summary.
fn objected_here(form: &Form, refused: &Refused) -> View {
    let mut view = objected(form, &[], refused);
    view.errors.retain(|(name, _)| name != "entries" || !has_places(refused));
    if view.errors.is_empty() && view.problem.is_none() {
        view.problem = Some("An entry is not right; see below.".to_owned());
    }
    view
}

fn has_places(refused: &Refused) -> bool {
    places(refused).next().is_some()
}

/// Objections by the place of their entry.
fn places(refused: &Refused) -> impl Iterator<Item = (usize, &str)> {
    let fields = refused.error.part("/fields").as_object();
    fields.into_iter().flatten().filter_map(|(path, why)| {
        let place = path.strip_prefix("entries[")?.split(']').next()?.parse().ok()?;
        Some((place, why.as_str()?))
    })
}

fn fresh(at: usize, target: String) -> Line {
    Line {
        key: format!("new-{at}"),
        target,
        weight: "1".to_owned(),
        account: String::new(),
        enabled: true,
    }
}

/// A form with what a new combo has.
fn defaults() -> View {
    View::default()
        .with("strategy", "fallback")
        .with("enabled", "true")
        .with("capability_filter", "true")
        .with("max_attempts", "")
}

fn values_of(combo: &Value) -> View {
    let mut form = View::default()
        .with("name", combo.text("/name"))
        .with("description", combo.text("/description"))
        .with("strategy", combo.text("/strategy"));
    for name in SWITCHES {
        if combo.is(&format!("/{name}")) {
            form = form.with(name, "true");
        }
    }
    if sticks(combo) {
        form = form.with("sticky", "true");
    }
    if combo.is("/report_real_model") {
        form = form.with("report_real_model", "true");
    }
    for name in NUMBERS {
        if let Some(number) = combo.int(&format!("/{name}")) {
            form = form.with(name, &number.to_string());
        }
    }
    match combo.int("/sticky/ttl_s") {
        Some(seconds) => form.with("sticky_ttl_s", &seconds.to_string()),
        None => form,
    }
}

/// Whether a conversation stays on its entry: as set, else as the strategy has it.
fn sticks(combo: &Value) -> bool {
    let usual = matches!(combo.text("/strategy"), "round-robin" | "weighted");
    combo.part("/sticky/enabled").as_bool().unwrap_or(usual)
}

fn lines_of(combo: &Value) -> Vec<Line> {
    let line = |entry: &Value| Line {
        key: entry.text("/id").to_owned(),
        target: entry.text("/target").to_owned(),
        weight: entry.int("/weight").unwrap_or(1).to_string(),
        account: entry.text("/account_id").to_owned(),
        enabled: entry.is("/enabled"),
    };
    combo.list("/entries").iter().map(line).collect()
}

/// Entries as they were sent, in their order. Every field comes once for each entry.
fn lines_sent(form: &Form) -> Vec<Line> {
    let mut rest = [
        form.all("entry_target").collect::<Vec<_>>(),
        form.all("entry_weight").collect(),
        form.all("entry_account").collect(),
        form.all("entry_enabled").collect(),
    ]
    .map(Vec::into_iter);
    let [targets, weights, accounts, uses] = &mut rest;
    form.all("entry_key")
        .take(MOST)
        .map(|key| {
            let next = |values: &mut std::vec::IntoIter<&str>| {
                values.next().unwrap_or_default().trim().to_owned()
            };
            Line {
                key: key.to_owned(),
                target: next(targets),
                weight: next(weights),
                account: next(accounts),
                enabled: next(uses) != "false",
            }
        })
        .collect()
}

/// Does what a button that does not save asks for; false when it was none.
fn step(form: &Form, lines: &mut Vec<Line>) -> bool {
    if form.get("add").is_some() {
        add(form, lines);
        return true;
    }
    if let Some(key) = form.get("drop") {
        lines.retain(|line| line.key != key);
        return true;
    }
    let Some((key, way)) = form.get("move").and_then(|wish| wish.split_once(':')) else {
        return false;
    };
    if let Some(at) = lines.iter().position(|line| line.key == key) {
        let to = if way == "up" {
            at.checked_sub(1)
        } else {
            Some(at + 1).filter(|to| *to < lines.len())
        };
        if let Some(to) = to {
            lines.swap(at, to);
        }
    }
    true
}

fn add(form: &Form, lines: &mut Vec<Line>) {
    let target = form.get("new_target").unwrap_or_default().trim();
    if target.is_empty() || lines.len() >= MOST {
        return;
    }
    // A key that no line has.
    let taken = |at: usize| lines.iter().any(|line| line.key == format!("new-{at}"));
    let at = (0..=lines.len()).find(|at| !taken(*at)).unwrap_or_default();
    lines.push(fresh(at, target.to_owned()));
}

/// The combo as the API takes it. What the form does not show of an entry stays as it is stored.
fn body(form: &Form, lines: &[Line], current: Option<&Value>) -> Value {
    let stored = current.map(|combo| combo.list("/entries")).unwrap_or_default();
    let entry = |line: &Line| {
        let mut entry = Map::new();
        if let Some(old) = stored.iter().find(|old| old.text("/id") == line.key) {
            for name in ["id", "tier", "tags"] {
                entry.insert(name.to_owned(), old.part(&format!("/{name}")).clone());
            }
        }
        let account = Some(line.account.as_str()).filter(|id| !id.is_empty());
        let weight = match line.weight.as_str() {
            "" => json!(1),
            text => text.parse::<i64>().map_or_else(|_no_number| text.into(), Value::from),
        };
        entry.insert("target".to_owned(), line.target.as_str().into());
        entry.insert("weight".to_owned(), weight);
        entry.insert("enabled".to_owned(), line.enabled.into());
        entry.insert("account_id".to_owned(), account.into());
        entry.retain(|_, value| !value.is_null());
        Value::Object(entry)
    };
    let is_on = |name: &str| form.get(name) == Some("true");
    // A switch that nobody touched stays at its default.
    let touched = |now: bool, shown: bool, stored: &Value| match stored.is_null() && now == shown {
        true => Value::Null,
        false => now.into(),
    };
    let nothing = Value::Null;
    let combo = current.unwrap_or(&nothing);
    let sticky = touched(is_on("sticky"), sticks(combo), combo.part("/sticky/enabled"));
    let real = touched(is_on("report_real_model"), false, combo.part("/report_real_model"));
    let ttl = form.get("sticky_ttl_s").and_then(|text| text.trim().parse::<i64>().ok());
    let mut binding = Map::new();
    binding.insert("enabled".to_owned(), sticky);
    binding.insert("ttl_s".to_owned(), ttl.into());
    binding.retain(|_, value| !value.is_null());
    let binding = if binding.is_empty() { Value::Null } else { Value::Object(binding) };
    let entries: Vec<Value> = lines.iter().map(entry).collect();
    Body::of(form)
        .texts(&["name", "description", "strategy"])
        .numbers(&NUMBERS)
        .switches(&SWITCHES)
        .rev()
        .with("sticky", binding)
        .with("report_real_model", real)
        .with("entries", entries)
        .json()
}

async fn draw(
    visit: &Visit,
    status: u16,
    current: Option<&Value>,
    form: View,
    lines: Vec<Line>,
) -> Result<Page, Refused> {
    let view = view(visit, current, form, lines).await?;
    answer(visit, status, &view).await
}

async fn draw_objected(
    visit: &Visit,
    status: u16,
    current: Option<&Value>,
    form: View,
    lines: Vec<Line>,
    refused: &Refused,
) -> Result<Page, Refused> {
    // Somebody else's change: the form keeps what was entered, and saves over the state that is now known.
    let current = match refused.error.part("/current") {
        Value::Null => current,
        newer => Some(newer),
    };
    let mut view = view(visit, current, form, lines).await?;
    for (place, why) in places(refused) {
        if let Some(entry) = view.entries.get_mut(place) {
            why.clone_into(&mut entry.error);
        }
    }
    answer(visit, status, &view).await
}

async fn answer(visit: &Visit, status: u16, view: &Editor) -> Result<Page, Refused> {
    let assets = assets::urls();
    if visit.hx.is_fragment && visit.method != "GET" {
        return Ok(Page::html(status, editor_form(assets, view).into_string()));
    }
    let stage = Stage::set(visit).await?;
    let title = view.existing.as_ref().map_or("New combo", |(_, name, _)| name.as_str());
    let about = About { section: Section::Combos, title, feed: Some("shell") };
    Ok(stage.page_with_status(status, visit, about, &editor(assets, view)))
}

async fn view(
    visit: &Visit,
    current: Option<&Value>,
    form: View,
    lines: Vec<Line>,
) -> Result<Editor, Refused> {
    let accounts = names::accounts(visit).await?;
    let served = match current {
        Some(combo) => {
            let id = combo.text("/id");
            let target = format!("/api/usage/table?by=model&combo_id={id}&period=24h&limit=8");
            requests_by_model(&visit.read(&target).await?)
        }
        None => None,
    };
    let models = visit.read("/api/models?connected=true&limit=500").await?;
    let providers = visit.read("/api/providers?filter=connected&limit=500").await?;
    let stored = current.map(|combo| combo.list("/entries")).unwrap_or_default();
    let entry = |line: Line| {
        let old = stored.iter().find(|old| old.text("/id") == line.key);
        let state = old.filter(|old| old.text("/target") == line.target);
        let model = models.list("/data").iter().find(|model| model.text("/key") == line.target);
        Entry {
            accounts: pins(&line.target, accounts.list("/data"), providers.list("/data")),
            state: state.map(|old| standing(old.part("/state"))),
            facts: model.map(facts).unwrap_or_default(),
            key: line.key,
            target: line.target,
            weight: line.weight,
            enabled: line.enabled,
            account: line.account,
            error: String::new(),
        }
    };
    let choice = |(value, label, effect): (&str, &str, &str)| Choice {
        value: value.to_owned(),
        label: label.to_owned(),
        effect: effect.to_owned(),
    };
    let existing = current.map(|combo| {
        let rev = combo.int("/rev").unwrap_or_default();
        (combo.text("/id").to_owned(), combo.text("/name").to_owned(), rev)
    });
    let label = |account: &Value| {
        let id = account.text("/provider");
        let provider = providers.list("/data").iter().find(|provider| provider.text("/id") == id);
        let name = provider.map_or(id, |provider| provider.text("/name"));
        (account.text("/id").to_owned(), format!("{} ({name})", account.text("/label")))
    };
    Ok(Editor {
        csrf: visit.csrf.clone(),
        weighted: form.value("strategy") == "weighted",
        existing,
        strategies: STRATEGIES.into_iter().map(choice).collect(),
        entries: lines.into_iter().map(entry).collect(),
        warnings: Vec::new(),
        targets: targets(visit).await?,
        pretend: accounts.list("/data").iter().map(label).collect(),
        served,
        managed: current.is_some_and(|combo| !combo.part("/managed_by").is_null()),
        form,
    })
}

/// Accounts that an entry can be pinned to: those of its target's provider.
fn pins(target: &str, accounts: &[Value], providers: &[Value]) -> Vec<(String, String)> {
    let prefix = target.split('/').next().unwrap_or_default();
    let named = |provider: &&Value| {
        provider.text("/id") == prefix || provider.texts("/aliases").iter().any(|own| own == prefix)
    };
    let provider = providers.iter().find(named).map(|provider| provider.text("/id"));
    let own = accounts.iter().filter(|account| Some(account.text("/provider")) == provider);
    let any = (String::new(), "Any account".to_owned());
    let pin = |account: &Value| (account.text("/id").to_owned(), account.text("/label").to_owned());
    std::iter::once(any).chain(own.map(pin)).collect()
}

/// What is worth knowing of a model beside its name.
fn facts(model: &Value) -> Vec<String> {
    let mut facts = Vec::new();
    if let Some(ctx) = model.int("/ctx") {
        facts.push(format!("{} tokens of context", ninerouter_templates::format::compact(ctx)));
    }
    let caps = model.texts("/caps");
    if !caps.is_empty() {
        facts.push(caps.join(", "));
    }
    if let Some(price) = model.part("/price/input").as_str() {
        facts.push(format!("${price} in per 1M"));
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: &[u8] = b"name=daily&strategy=fallback&enabled=true&entry_key=a&entry_target=cc%2Fx&entry_weight=2&entry_account=&entry_enabled=true&entry_key=new-0&entry_target=glm%2Fy&entry_weight=&entry_account=acc&entry_enabled=false";

    fn sent(more: &str) -> Form {
        Form::parse(&[SENT, more.as_bytes()].concat())
    }

    fn keys(lines: &[Line]) -> Vec<&str> {
        lines.iter().map(|line| line.key.as_str()).collect()
    }

    #[test]
    fn buttons_change_the_form_without_saving() {
        for (button, want) in [
            ("&add=1&new_target=if/z", vec!["a", "new-0", "new-1"]),
            ("&add=1&new_target=+", vec!["a", "new-0"]),
            ("&drop=a", vec!["new-0"]),
            ("&move=new-0:up", vec!["new-0", "a"]),
            ("&move=a:down", vec!["new-0", "a"]),
            ("&move=a:up", vec!["a", "new-0"]),
            ("&move=nobody:up", vec!["a", "new-0"]),
        ] {
            let form = sent(button);
            let mut lines = lines_sent(&form);
            assert!(step(&form, &mut lines), "{button}");
            assert_eq!(keys(&lines), want, "{button}");
        }
        let form = sent("&new_target=if/z");
        assert!(!step(&form, &mut lines_sent(&form)), "saving is no step");
    }

    #[test]
    fn what_the_form_does_not_show_stays_as_it_is_stored() {
        let current = json!({
            "strategy": "fallback", "sticky": {"enabled": null, "ttl_s": 3_600}, "report_real_model": null,
            "entries": [{"id": "a", "target": "cc/x", "tier": "free", "tags": ["work"]}],
        });
        let form = sent("&sticky_ttl_s=3600&rev=4");
        let body = body(&form, &lines_sent(&form), Some(&current));
        assert_eq!(
            body["entries"],
            json!([
                {"id": "a", "tier": "free", "tags": ["work"], "target": "cc/x", "weight": 2, "enabled": true},
                {"target": "glm/y", "weight": 1, "enabled": false, "account_id": "acc"},
            ])
        );
        assert_eq!(body["sticky"], json!({"ttl_s": 3_600}));
        assert_eq!((&body["report_real_model"], &body["rev"]), (&Value::Null, &json!(4)));
        assert_eq!(body["capability_filter"], json!(false));
        let form = sent("&sticky=true");
        assert_eq!(super::body(&form, &[], Some(&current))["sticky"]["enabled"], json!(true));
    }

    #[test]
    fn a_pin_is_an_account_of_the_targets_provider() {
        let accounts = [
            json!({"id": "1", "provider": "claude", "label": "work"}),
            json!({"id": "2", "provider": "x", "label": "y"}),
        ];
        let providers = [json!({"id": "claude", "aliases": ["cc"]})];
        let ids = |target| {
            pins(target, &accounts, &providers).into_iter().map(|(id, _)| id).collect::<Vec<_>>()
        };
        assert_eq!(ids("cc/m"), ["", "1"]);
        assert_eq!(ids("nobody/m"), [""]);
    }
}
