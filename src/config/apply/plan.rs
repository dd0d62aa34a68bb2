//! The difference between a file and the store: what people read before it is applied, and the writes that make it.

use std::fmt;

use serde_json::{Value, json};

use crate::config::apply::check;
use crate::config::apply::current::{Current, digest};
use crate::config::apply::desired::{Desired, DesiredText, Secrets};
use crate::config::apply::facts::{self, Facts};
use crate::config::apply::work::{Step, Work};
use crate::config::apply::{Surroundings, budgets, names};
use crate::config::file::{ConfigFile, FileError};
use crate::store::Owner;

/// What applying a file changes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// In the order of the file's sections.
    pub changes: Vec<Change>,
    /// Objects that are as the file says.
    pub unchanged: usize,
    /// Kind and name of objects an earlier file made and this one does not name; they stay.
    pub kept: Vec<(&'static str, String)>,
    /// Things that work, but have no effect, or not the one hoped for.
    pub warnings: Vec<FileError>,
}

/// One change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// What happens.
    pub action: Action,
    /// `setting`, `node`, `account` …
    pub kind: &'static str,
    /// What it is known by.
    pub name: String,
    /// Members that differ, for changes. Never their values.
    pub members: Vec<String>,
}

/// What happens to an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// It is made.
    Add,
    /// It gets other content, or a new owner.
    Change,
    /// It is removed.
    Remove,
}

impl Action {
    /// The word in plans.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Change => "change",
            Self::Remove => "remove",
        }
    }
}

impl Plan {
    /// True when nothing is to be done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The plan in one line: `2 added, 1 changed, 5 unchanged`.
    #[must_use]
    pub fn summary(&self) -> String {
        let count = |action| self.changes.iter().filter(|c| c.action == action).count();
        let mut parts: Vec<String> = [
            (count(Action::Add), "added"),
            (count(Action::Change), "changed"),
            (count(Action::Remove), "removed"),
            (self.kept.len(), "kept though no longer named"),
        ]
        .into_iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, what)| format!("{n} {what}"))
        .collect();
        parts.push(format!("{} unchanged", self.unchanged));
        parts.join(", ")
    }

    /// The plan for machines.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let change = |c: &Change| json!({"action": c.action.as_str(), "kind": c.kind, "name": c.name, "members": c.members});
        let kept = |(kind, name): &(&str, String)| json!({"kind": kind, "name": name});
        let warning = |w: &FileError| json!({"file": w.file, "line": w.line, "column": w.column, "message": w.message});
        json!({
            "changes": self.changes.iter().map(change).collect::<Vec<_>>(),
            "unchanged": self.unchanged,
            "kept": self.kept.iter().map(kept).collect::<Vec<_>>(),
            "warnings": self.warnings.iter().map(warning).collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for change in &self.changes {
            let Change { action, kind, name, members } = change;
            let members = members.join(", ");
            let line = format!("  {:<7} {kind:<9} {name:<24} {members}", action.as_str());
            writeln!(f, "{}", line.trim_end())?;
        }
        for (kind, name) in &self.kept {
            writeln!(f, "  keep    {kind:<9} {name:<24} no longer named; --prune removes it")?;
        }
        let changes = match self.changes.len() {
            0 => "no changes".to_owned(),
            1 => "1 change".to_owned(),
            n => format!("{n} changes"),
        };
        writeln!(f, "{changes}, {} unchanged", self.unchanged)
    }
}

/// Checks a file against the store and compares the two.
pub(super) fn make(
    file: &ConfigFile,
    current: &Current,
    around: &Surroundings<'_>,
) -> Result<(Plan, Work), Vec<FileError>> {
    let desired = check::check(file, current, around, Secrets::Need)?;
    let mut planner = Planner {
        plan: Plan { warnings: desired.warnings.clone(), ..Plan::default() },
        work: Work::default(),
        prune: file.prune || around.prune,
    };
    planner.settings(&desired, current);
    planner.objects(desired, current);
    Ok((planner.plan, planner.work))
}

struct Planner {
    plan: Plan,
    work: Work,
    prune: bool,
}

/// An object the file wants.
struct Want {
    name: String,
    facts: Facts,
    put: Step,
}

/// An object the store has.
struct Have {
    name: String,
    facts: Facts,
    managed: bool,
    drop: Step,
}

impl Planner {
    fn settings(&mut self, desired: &Desired, current: &Current) {
        let have = |key: &str| current.settings.get(key).filter(|row| row.value.is_some());
        for (key, value) in &desired.settings {
            match (value, have(key)) {
                // Null asks for the default, which is what an absent row means.
                (Value::Null, None) => self.plan.unchanged += 1,
                (Value::Null, Some(_)) => {
                    self.remove("setting", key, Step::DropSetting((*key).into()));
                }
                _ => {}
            }
        }
        let wants = desired.settings.iter().filter(|(_, value)| !value.is_null());
        let wants = wants.map(|(key, value)| Want {
            name: (*key).to_owned(),
            facts: facts::of_value(value),
            put: Step::PutSetting((*key).to_owned(), value.clone()),
        });
        let texts = desired.texts.iter().map(|(key, text)| match text {
            DesiredText::Plain(text) => Want {
                name: key.clone(),
                facts: facts::of_value(&text.as_str().into()),
                put: Step::PutSetting(key.clone(), text.as_str().into()),
            },
            DesiredText::Secret(secret) => Want {
                name: key.clone(),
                facts: facts::of_digest(Some(&digest(secret))),
                put: Step::PutSecretSetting(key.clone(), secret.clone()),
            },
        });
        let wants = wants.chain(texts);
        let reset = |key: &str| desired.settings.iter().any(|(k, v)| *k == key && v.is_null());
        let haves = current.settings.iter().filter(|(key, _)| !reset(key)).map(|(key, row)| Have {
            name: key.clone(),
            facts: match &row.value {
                Some(value) => facts::of_value(value),
                None => facts::of_digest(current.texts.get(key)),
            },
            managed: is_managed(row.managed_by),
            drop: Step::DropSetting(key.clone()),
        });
        self.compare("setting", wants.collect(), haves.collect());
    }

    fn objects(&mut self, desired: Desired, current: &Current) {
        let label = names::Labels::new(&desired.nodes, &current.nodes);
        let titles = budgets::Titles::new(&desired, current);
        let wants = desired.proxies.into_iter().map(|proxy| {
            let url = proxy.url.as_ref().map(|url| digest(&url.to_secret()));
            Want {
                name: proxy.name.clone(),
                facts: facts::of_proxy(url.as_ref(), &proxy.name, &proxy.no_proxy, proxy.enabled),
                put: Step::PutProxy(Box::new(proxy)),
            }
        });
        let haves = current.proxies.iter().map(|row| Have {
            name: row.name.clone(),
            facts: facts::of_proxy(
                current.urls.get(&row.id),
                &row.name,
                &row.no_proxy,
                row.enabled,
            ),
            managed: is_managed(row.managed_by),
            drop: Step::DropProxy(row.id),
        });
        self.compare("proxy", wants.collect(), haves.collect());

        let wants = desired.nodes.into_iter().map(|row| Want {
            name: row.node.prefix.clone(),
            facts: facts::of_node(&row),
            put: Step::PutNode(Box::new(row)),
        });
        let haves = current.nodes.iter().map(|row| Have {
            name: row.node.prefix.clone(),
            facts: facts::of_node(row),
            managed: is_managed(row.managed_by),
            drop: Step::DropNode(row.node.id.clone()),
        });
        self.compare("node", wants.collect(), haves.collect());

        let wants = desired.providers.into_iter().map(|row| Want {
            name: label.of(&row.provider),
            facts: facts::of_provider(&row),
            put: Step::PutProvider(Box::new(row)),
        });
        let haves = current.providers.iter().map(|row| Have {
            name: label.of(&row.provider),
            facts: facts::of_provider(row),
            managed: is_managed(row.managed_by),
            drop: Step::DropProvider(row.provider.clone()),
        });
        self.compare("provider", wants.collect(), haves.collect());

        let wants = desired.accounts.into_iter().map(|want| Want {
            name: format!("{}/{}", label.of(&want.config.provider), want.config.label),
            facts: facts::of_account(
                &want.config,
                want.secret.as_ref().map(digest).as_ref(),
                want.notes.as_deref(),
            ),
            put: Step::PutAccount(Box::new(want)),
        });
        let haves = current.accounts.iter().map(|row| Have {
            name: format!("{}/{}", label.of(&row.config.provider), row.config.label),
            facts: facts::of_account(
                &row.config,
                current.secrets.get(&row.config.id),
                row.about.notes.as_deref(),
            ),
            managed: is_managed(row.managed_by),
            drop: Step::DropAccount(row.config.id),
        });
        self.compare("account", wants.collect(), haves.collect());

        let wants = desired.models.into_iter().map(|row| Want {
            name: format!("{}/{}", label.of(&row.provider), row.model),
            facts: facts::of_model(&row),
            put: Step::PutModel(Box::new(row)),
        });
        let haves = current.models.iter().map(|row| Have {
            name: format!("{}/{}", label.of(&row.provider), row.model),
            facts: facts::of_model(row),
            managed: is_managed(row.managed_by),
            drop: Step::DropModel(row.provider.clone(), row.model.clone()),
        });
        self.compare("model", wants.collect(), haves.collect());

        let wants = desired.prices.into_iter().map(|row| Want {
            name: format!("{}/{}", label.of(&row.provider), row.model),
            facts: facts::of_price(&row),
            put: Step::PutPrice(Box::new(row)),
        });
        let haves = current.prices.iter().map(|row| Have {
            name: format!("{}/{}", label.of(&row.provider), row.model),
            facts: facts::of_price(row),
            managed: is_managed(row.managed_by),
            drop: Step::DropPrice(row.provider.clone(), row.model.clone()),
        });
        self.compare("price", wants.collect(), haves.collect());

        let wants = desired.combos.into_iter().map(|row| Want {
            name: row.combo.name.to_string(),
            facts: facts::of_combo(&row),
            put: Step::PutCombo(Box::new(row)),
        });
        let haves = current.combos.iter().map(|row| Have {
            name: row.combo.name.to_string(),
            facts: facts::of_combo(row),
            managed: is_managed(row.managed_by),
            drop: Step::DropCombo(row.combo.id),
        });
        self.compare("combo", wants.collect(), haves.collect());

        let wants = desired.aliases.into_iter().map(|(alias, target)| Want {
            facts: facts::of_value(&target.as_str().into()),
            name: alias.clone(),
            put: Step::PutAlias(alias, target),
        });
        let haves = current.aliases.iter().map(|row| Have {
            name: row.alias.clone(),
            facts: facts::of_value(&row.target.as_str().into()),
            managed: is_managed(row.managed_by),
            drop: Step::DropAlias(row.alias.clone()),
        });
        self.compare("alias", wants.collect(), haves.collect());

        let wants = desired.keys.into_iter().map(|row| Want {
            name: row.name.clone(),
            facts: facts::of_key(&row),
            put: Step::PutKey(Box::new(row)),
        });
        let haves = current.keys.iter().map(|row| Have {
            name: row.name.clone(),
            facts: facts::of_key(row),
            managed: is_managed(row.managed_by),
            drop: Step::DropKey(row.id),
        });
        self.compare("key", wants.collect(), haves.collect());

        let wants = desired.budgets.into_iter().map(|row| Want {
            name: titles.of(&row.budget),
            facts: facts::of_budget(&row),
            put: Step::PutBudget(Box::new(row)),
        });
        let haves = current.budgets.iter().map(|row| Have {
            name: titles.of(&row.budget),
            facts: facts::of_budget(row),
            managed: is_managed(row.managed_by),
            drop: Step::DropBudget(row.budget.id),
        });
        self.compare("budget", wants.collect(), haves.collect());
    }

    fn compare(&mut self, kind: &'static str, wants: Vec<Want>, haves: Vec<Have>) {
        let is_same = |a: &str, b: &str| {
            // Aliases and keys are told apart by case; the others are not (`NOCASE`).
            if matches!(kind, "alias" | "budget" | "key" | "setting" | "model" | "price") {
                a == b
            } else {
                a.eq_ignore_ascii_case(b)
            }
        };
        let mut wanted = vec![false; haves.len()];
        for want in wants {
            let found = haves.iter().position(|have| is_same(&have.name, &want.name));
            let Some((have, seen)) =
                found.and_then(|at| Some((haves.get(at)?, wanted.get_mut(at)?)))
            else {
                self.add(Action::Add, kind, want.name, Vec::new());
                self.work.steps.push(want.put);
                continue;
            };
            *seen = true;
            let mut members = facts::differing(&want.facts, &have.facts);
            if !have.managed {
                members.push("managed_by".to_owned());
            }
            if members.is_empty() {
                self.plan.unchanged += 1;
            } else {
                if kind == "account" && members.iter().any(|member| member == "kind") {
                    // The new credential must not find the old one's secrets.
                    self.work.steps.push(have.drop.clone());
                }
                self.add(Action::Change, kind, want.name, members);
                self.work.steps.push(want.put);
            }
        }
        for (have, wanted) in haves.into_iter().zip(wanted) {
            if wanted || !have.managed {
                continue;
            }
            if self.prune {
                self.remove(kind, &have.name, have.drop);
            } else {
                self.plan.kept.push((kind, have.name));
            }
        }
    }

    fn remove(&mut self, kind: &'static str, name: &str, step: Step) {
        self.add(Action::Remove, kind, name.to_owned(), Vec::new());
        self.work.steps.push(step);
    }

    fn add(&mut self, action: Action, kind: &'static str, name: String, members: Vec<String>) {
        self.plan.changes.push(Change { action, kind, name, members });
    }
}

pub(super) fn is_managed(owner: Option<Owner>) -> bool {
    owner == Some(Owner::ConfigFile)
}
