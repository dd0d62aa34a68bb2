//! Fields of forms: label, hint, error, and the summary of errors above them.

use maud::{Markup, html};

/// What was entered and what is wrong with it. Names are those of the management API, so that its `fields` fit.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Form {
    /// Values by name; a name may come more than once.
    pub values: Vec<(String, String)>,
    /// What to do, by the name of the field; a path like `entries.0.target` belongs to the field of that name, else to
    /// the summary alone.
    pub errors: Vec<(String, String)>,
    /// What is wrong with the form as a whole.
    pub problem: Option<String>,
}

impl Form {
    /// The first value of a field, empty when there is none.
    #[must_use]
    pub fn value(&self, name: &str) -> &str {
        self.values.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// Whether a field holds `value`.
    #[must_use]
    pub fn holds(&self, name: &str, value: &str) -> bool {
        self.values.iter().any(|(key, held)| key == name && held == value)
    }

    /// What is wrong with a field.
    #[must_use]
    pub fn error(&self, name: &str) -> Option<&str> {
        self.errors.iter().find(|(key, _)| key == name).map(|(_, text)| text.as_str())
    }

    /// Sets a value.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.values.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// One field of the form `form`; `id` tells forms of a page apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<'a> {
    pub(crate) id: &'a str,
    pub(crate) name: &'a str,
    pub(crate) label: &'a str,
    pub(crate) hint: &'a str,
    pub(crate) required: bool,
    /// Says "optional" beside its label.
    marked: bool,
}

impl<'a> Field<'a> {
    pub(crate) fn new(id: &'a str, name: &'a str, label: &'a str) -> Self {
        Self { id, name, label, hint: "", required: false, marked: true }
    }

    pub(crate) fn hint(mut self, hint: &'a str) -> Self {
        self.hint = hint;
        self
    }

    pub(crate) fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// May be empty without saying so: forms of settings, where nothing has to be filled in.
    pub(crate) fn plain(mut self) -> Self {
        self.marked = false;
        self
    }

    fn input_id(&self) -> String {
        format!("{}-{}", self.id, self.name)
    }

    fn described(&self, form: &Form) -> Option<String> {
        let id = self.input_id();
        let hint = (!self.hint.is_empty()).then(|| format!("hint-{id}"));
        let error = form.error(self.name).map(|_| format!("err-{id}"));
        match (hint, error) {
            (Some(hint), Some(error)) => Some(format!("{hint} {error}")),
            (hint, error) => hint.or(error),
        }
    }

    fn framed(&self, form: &Form, control: &Markup) -> Markup {
        let id = self.input_id();
        html! {
            div.field {
                label for=(id) {
                    (self.label)
                    @if !self.required && self.marked { span.faint { " optional" } }
                }
                (control)
                (self.below(form))
            }
        }
    }

    fn below(&self, form: &Form) -> Markup {
        let id = self.input_id();
        html! {
            @if !self.hint.is_empty() { p.hint id={ "hint-" (id) } { (self.hint) } }
            @if let Some(error) = form.error(self.name) { p.err id={ "err-" (id) } { (error) } }
        }
    }
}

/// Kinds of one-line input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Input {
    Text,
    /// A text that reads only while somebody is in it.
    Veiled,
    Number,
    Date,
}

impl Input {
    fn kind(self) -> &'static str {
        match self {
            Self::Text | Self::Veiled => "text",
            Self::Number => "number",
            Self::Date => "date",
        }
    }
}

pub(crate) fn input(form: &Form, field: Field<'_>, kind: Input) -> Markup {
    let control = html! {
        input id=(field.input_id()) name=(field.name) type=(kind.kind()) value=(form.value(field.name))
            required[field.required] autocomplete="off" spellcheck="false"
            class=[(kind == Input::Veiled).then_some("veil")]
            min=[(kind == Input::Number).then_some("0")]
            aria-invalid=[form.error(field.name).map(|_| "true")] aria-describedby=[field.described(form)];
    };
    field.framed(form, &control)
}

pub(crate) fn textarea(form: &Form, field: Field<'_>, rows: u8) -> Markup {
    let control = html! {
        textarea id=(field.input_id()) name=(field.name) rows=(rows) required[field.required]
            autocomplete="off" spellcheck="false"
            aria-invalid=[form.error(field.name).map(|_| "true")] aria-describedby=[field.described(form)]
            { "\n" (form.value(field.name)) }
    };
    field.framed(form, &control)
}

/// A secret: never filled in by the server. `autocomplete` is `off`, `current-password` or `new-password`.
pub(crate) fn secret(form: &Form, field: Field<'_>, autocomplete: &str) -> Markup {
    let id = field.input_id();
    let control = html! {
        div.secret {
            input id=(id) name=(field.name) type="password" required[field.required]
                autocomplete=(autocomplete) spellcheck="false" autocapitalize="off"
                aria-invalid=[form.error(field.name).map(|_| "true")] aria-describedby=[field.described(form)];
            button.btn.small.quiet.js type="button" data-reveal=(id) aria-pressed="false" { "Show" }
        }
    };
    field.framed(form, &control)
}

/// One of `options` (value, words).
pub(crate) fn select(form: &Form, field: Field<'_>, options: &[(String, String)]) -> Markup {
    let control = html! {
        // Never `required`: one of the options is chosen, and an empty value is a choice too.
        select id=(field.input_id()) name=(field.name)
            aria-invalid=[form.error(field.name).map(|_| "true")] aria-describedby=[field.described(form)] {
            @for (value, words) in options {
                option value=(value) selected[form.value(field.name) == value] { (words) }
            }
        }
    };
    field.plain().framed(form, &control)
}

/// On or off. Without a tick the name is not sent.
pub(crate) fn check(form: &Form, field: Field<'_>) -> Markup {
    let id = field.input_id();
    html! {
        div.field.check {
            label for=(id) {
                input id=(id) name=(field.name) type="checkbox" value="true"
                    checked[form.holds(field.name, "true")] aria-describedby=[field.described(form)];
                span { (field.label) }
            }
            (field.below(form))
        }
    }
}

/// One choice of a group, with its effect in a line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Choice {
    /// What is sent.
    pub value: String,
    /// Its name.
    pub label: String,
    /// What it does, in a line.
    pub effect: String,
}

/// Radio cards.
pub(crate) fn radios(form: &Form, field: Field<'_>, choices: &[Choice]) -> Markup {
    let id = field.input_id();
    html! {
        fieldset.field id=(id) aria-describedby=[field.described(form)] {
            legend { (field.label) }
            div.choices {
                @for (at, choice) in choices.iter().enumerate() {
                    label.choice for={ (id) "-" (at) } {
                        input id={ (id) "-" (at) } type="radio" name=(field.name) value=(choice.value)
                            checked[form.holds(field.name, &choice.value)] required[field.required];
                        span { b { (choice.label) } span { (choice.effect) } }
                    }
                }
            }
            (field.below(form))
        }
    }
}

/// What is wrong, above the fields, with links to them. Empty when nothing is.
pub(crate) fn summary(id: &str, form: &Form) -> Markup {
    html! {
        @if form.problem.is_some() || !form.errors.is_empty() {
            div.errors role="alert" tabindex="-1" autofocus {
                @if let Some(problem) = &form.problem { p { (problem) } }
                @if !form.errors.is_empty() {
                    ul {
                        @for (name, text) in &form.errors {
                            li { a href={ "#" (id) "-" (name) } { (text) } }
                        }
                    }
                }
            }
        }
    }
}
