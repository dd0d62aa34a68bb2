//! Forms that add to a provider: an account by API key, many of them, a model that no catalog lists.

use maud::{Markup, html};

use crate::assets::Assets;
use crate::part::dialog::{dialog_body, own_page};
use crate::part::field::{Field, Form, Input, check, input, secret, select, summary, textarea};
use crate::part::icon::icon;
use crate::provider::element_id;

/// The form for an API key, or for many.
///
/// Names of its values: `label, api_key, endpoint, check, params.<name>`; many: `keys` (one per line, `name|key` or
/// `key`).
#[derive(Clone, Debug, Default)]
pub struct KeyForm {
    /// CSRF token of the session.
    pub csrf: String,
    /// Id of the provider.
    pub provider: String,
    /// Its name.
    pub name: String,
    /// Values and errors.
    pub form: Form,
    /// Sites or regions: value and words; shown when there are several.
    pub endpoints: Vec<(String, String)>,
    /// What else an account needs.
    pub params: Vec<Param>,
    /// Where a key is made, `https:` only.
    pub key_url: Option<String>,
    /// The check failed: offers to save without it.
    pub save_anyway: bool,
    /// Several keys at once.
    pub many: bool,
    /// A service-account file is pasted instead of a key.
    pub service_account: bool,
}

/// A value of an account that its provider needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Param {
    /// Its name.
    pub name: String,
    /// Its label.
    pub label: String,
    /// It must have a value.
    pub required: bool,
}

/// The form as a dialog.
#[must_use]
pub fn key_dialog(assets: &Assets, view: &KeyForm) -> Markup {
    dialog_body(assets, &key_title(view), &key_form(assets, view))
}

/// The form as a page.
#[must_use]
pub fn key_page(assets: &Assets, view: &KeyForm) -> Markup {
    let back = format!("/dashboard/providers/{}", view.provider);
    own_page(&key_title(view), (&view.name, &back), &key_form(assets, view))
}

fn key_title(view: &KeyForm) -> String {
    let what = if view.many {
        "Add many keys"
    } else if view.service_account {
        "Add service account"
    } else {
        "Add API key"
    };
    format!("{what}: {}", view.name)
}

fn key_form(assets: &Assets, view: &KeyForm) -> Markup {
    let form = &view.form;
    let back = format!("/dashboard/providers/{}", view.provider);
    let url = format!("{back}/keys");
    let field = |name, label| Field::new("account", name, label);
    html! {
        form method="post" action=(url) hx-post=(url) hx-target="#dialog-body" hx-swap="innerHTML"
            hx-disabled-elt="find button[type=submit]" data-guard {
            input type="hidden" name="_csrf" value=(view.csrf);
            (summary("account", form))
            @if view.many {
                (textarea(form, field("keys", "Keys").required().hint("One per line: the key alone, or name|key."), 8))
            } @else {
                (input(form, field("label", "Name").hint("For you, to tell accounts apart."), Input::Text))
                @if view.service_account {
                    (textarea(form, field("service_account", "Service account").required().hint("The JSON file as Google gives it."), 6))
                } @else {
                    (secret(form, field("api_key", "API key").required(), "off"))
                }
            }
            @if let Some(key_url) = &view.key_url {
                p.hint {
                    a href=(key_url) rel="noopener noreferrer" target="_blank" {
                        "Get a key from " (view.name) span.sr { " (opens in a new tab)" }
                    } " " (icon(assets, "external"))
                }
            }
            @if view.endpoints.len() > 1 { (select(form, field("endpoint", "Site"), &view.endpoints)) }
            @for param in &view.params {
                @let name = format!("params.{}", param.name);
                @let place = Field::new("account", &name, &param.label);
                (input(form, if param.required { place.required() } else { place }, Input::Text))
            }
            (check(form, field("check", "Check before saving").required().hint("Asks the provider whether it takes the key.")))
            div.actions {
                a.btn.quiet href=(back) data-close="dialog" { "Cancel" }
                @if view.save_anyway { button.btn type="submit" name="save_anyway" value="true" { "Save anyway" } }
                button.btn.primary type="submit" { @if view.many { "Add keys" } @else { "Add account" } }
            }
        }
    }
}

/// The form for a model that no catalog lists.
///
/// Names of its values: `id, name, ctx, max_output, caps` (repeated).
#[derive(Clone, Debug, Default)]
pub struct ModelForm {
    /// CSRF token of the session.
    pub csrf: String,
    /// Id of the provider.
    pub provider: String,
    /// Its name.
    pub provider_name: String,
    /// Values and errors.
    pub form: Form,
    /// Capabilities: value and words.
    pub capabilities: Vec<(String, String)>,
}

/// The form as a dialog.
#[must_use]
pub fn model_dialog(assets: &Assets, view: &ModelForm) -> Markup {
    dialog_body(assets, "Add model", &model_form(view))
}

/// The form as a page.
#[must_use]
pub fn model_page(view: &ModelForm) -> Markup {
    let back = format!("/dashboard/providers/{}", view.provider);
    own_page("Add model", (&view.provider_name, &back), &model_form(view))
}

fn model_form(view: &ModelForm) -> Markup {
    let form = &view.form;
    let back = format!("/dashboard/providers/{}", view.provider);
    let url = format!("{back}/models");
    let field = |name, label| Field::new("model", name, label);
    html! {
        form method="post" action=(url) hx-post=(url) hx-target="#dialog-body" hx-swap="innerHTML"
            hx-disabled-elt="find button[type=submit]" data-guard {
            input type="hidden" name="_csrf" value=(view.csrf);
            (summary("model", form))
            (input(form, field("id", "Id").required().hint("As the provider writes it, without prefix."), Input::Text))
            (input(form, field("name", "Name"), Input::Text))
            div.g2 {
                (input(form, field("ctx", "Context, tokens"), Input::Number))
                (input(form, field("max_output", "Longest answer, tokens"), Input::Number))
            }
            fieldset {
                legend { "Can" }
                div.ticks {
                    @for (value, words) in &view.capabilities {
                        @let id = element_id("model-cap", value);
                        label for=(id) {
                            input id=(id) type="checkbox" name="caps" value=(value) checked[form.holds("caps", value)];
                            span { (words) }
                        }
                    }
                }
            }
            div.actions {
                a.btn.quiet href=(back) data-close="dialog" { "Cancel" }
                button.btn.primary type="submit" { "Add model" }
            }
        }
    }
}
