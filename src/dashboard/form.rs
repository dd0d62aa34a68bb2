//! Forms on their way to the management API and back: fields as JSON members, its objections beside the fields.

use ninerouter_templates::Form as View;
use serde_json::{Map, Value, json};

use crate::dashboard::json::Read;
use crate::dashboard::stage::Refused;
use crate::dashboard::visit::Form;

/// What was entered, as it is shown again; secrets never are.
pub(super) fn entered(form: &Form, secrets: &[&str]) -> View {
    let kept = form.iter().filter(|(name, _)| !secrets.contains(name));
    let values = kept.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    View { values, ..View::default() }
}

/// The same with what the API objected to.
pub(super) fn objected(form: &Form, secrets: &[&str], refused: &Refused) -> View {
    let fields = refused.error.part("/fields").as_object();
    let errors: Vec<(String, String)> = fields
        .into_iter()
        .flatten()
        .map(|(path, why)| (field_of(path), why.as_str().unwrap_or_default().to_owned()))
        .collect();
    let problem = errors.is_empty().then(|| refused.message());
    View { errors, problem, ..entered(form, secrets) }
}

/// Whether a form is the place to say it.
pub(super) fn is_objection(refused: &Refused) -> bool {
    matches!(refused.status, 400 | 403 | 409 | 422 | 501)
        && refused.code() != "password_change_required"
}

/// `params.region` is entered as such; `allowed_cidrs[2]` in the field of the list.
fn field_of(path: &str) -> String {
    path.split('[').next().unwrap_or(path).to_owned()
}

/// Builds the body of a call out of a form.
#[derive(Debug)]
pub(super) struct Body<'a> {
    form: &'a Form,
    members: Map<String, Value>,
}

impl<'a> Body<'a> {
    pub(super) fn of(form: &'a Form) -> Self {
        Self { form, members: Map::new() }
    }

    /// The way out: what is above decides, none, or a stored proxy.
    pub(super) fn proxy(self) -> Self {
        let proxy = match self.form.get("proxy").unwrap_or("inherit") {
            mode @ ("inherit" | "direct") => json!({"mode": mode, "id": null}),
            id => json!({"mode": "proxy", "id": id}),
        };
        self.with("proxy", proxy)
    }

    /// Texts that were sent; an empty one is `null`, the default.
    pub(super) fn texts(self, names: &[&str]) -> Self {
        self.each(names, |text| text.trim().into())
    }

    /// Numbers that were sent. What is none goes on as a text, and the API objects.
    pub(super) fn numbers(self, names: &[&str]) -> Self {
        self.each(names, |text| {
            let text = text.trim();
            text.parse::<i64>().map_or_else(|_no_number| text.into(), Value::from)
        })
    }

    /// Lists, one member in a line; an empty one is `null`: an empty list of addresses would admit nobody.
    pub(super) fn lists(mut self, names: &[&str]) -> Self {
        for name in names {
            let Some(text) = self.form.get(name) else { continue };
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            let lines = lines.map(Value::from).collect::<Vec<_>>();
            let list = if lines.is_empty() { Value::Null } else { lines.into() };
            self.members.insert((*name).to_owned(), list);
        }
        self
    }

    /// Switches: absent is off.
    pub(super) fn switches(mut self, names: &[&str]) -> Self {
        for name in names {
            let on = self.form.get(name).is_some_and(|value| matches!(value, "true" | "on" | "1"));
            self.members.insert((*name).to_owned(), on.into());
        }
        self
    }

    /// The revision that the form was filled from.
    pub(super) fn rev(self) -> Self {
        match self.form.get("rev").and_then(|text| text.parse::<i64>().ok()) {
            Some(rev) => self.with("rev", rev),
            None => self,
        }
    }

    /// One member more.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    pub(super) fn json(self) -> Value {
        Value::Object(self.members)
    }

    fn each(mut self, names: &[&str], read: impl Fn(&str) -> Value) -> Self {
        for name in names {
            let Some(text) = self.form.get(name) else { continue };
            let value = if text.trim().is_empty() { Value::Null } else { read(text) };
            self.members.insert((*name).to_owned(), value);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_becomes_the_members_it_was_sent_with() {
        let form = Form::parse(
            b"name=+x+&rpm=60&tpm=many&usd_day=&allowed_models=a%0D%0A%0D%0A+b&allowed_cidrs=+%0D%0A&on=true&rev=7",
        );
        let body = Body::of(&form)
            .texts(&["name", "usd_day", "notes"])
            .numbers(&["rpm", "tpm"])
            .lists(&["allowed_models", "allowed_cidrs"])
            .switches(&["on", "off"])
            .rev();
        let want = json!({
            "name": "x", "usd_day": null, "rpm": 60, "tpm": "many", "allowed_models": ["a", "b"],
            "allowed_cidrs": null,
            "on": true, "off": false, "rev": 7,
        });
        assert_eq!(body.json(), want);
    }

    #[test]
    fn objections_stand_beside_their_fields_and_secrets_are_not_shown_again() {
        let form = Form::parse(b"name=x&api_key=sk-secret");
        let error = json!({"message": "m", "fields": {"allowed_cidrs[2]": "is no network"}});
        let view = objected(&form, &["api_key"], &Refused { status: 422, error });
        assert_eq!(view.error("allowed_cidrs"), Some("is no network"));
        assert_eq!((view.value("name"), view.value("api_key")), ("x", ""));
        assert!(view.problem.is_none());
        let error = json!({"message": "it is taken"});
        let view = objected(&form, &[], &Refused { status: 409, error });
        assert_eq!(view.problem.as_deref(), Some("it is taken"));
    }
}
