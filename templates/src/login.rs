//! Sign-in, set-up code, and the choice of a password. Pages outside the frame; they work without script.

use maud::{Markup, html};

use crate::assets::Assets;
use crate::layout::{Theme, bare};
use crate::moment::{Moment, time};
use crate::part::field::{Field, Form, secret, summary};

/// The sign-in.
#[derive(Clone, Debug, Default)]
pub struct Login {
    /// Colours.
    pub theme: Theme,
    /// CSRF token of the form.
    pub csrf: String,
    /// Where to go afterwards, checked by SEC-HDR-2; empty = `/dashboard`.
    pub next: String,
    /// Why the operator is here: `Your session ended.`
    pub reason: String,
    /// Errors of the form; all failures read the same.
    pub form: Form,
    /// Too many attempts: when the next one is heard.
    pub wait: Option<Moment>,
    /// No password is stored and the set-up code is asked for with it.
    pub set_up: bool,
}

/// `GET /login`.
#[must_use]
pub fn login(assets: &Assets, view: &Login) -> Markup {
    let title = if view.set_up { "Set up" } else { "Sign in" };
    let content = html! {
        h1 { (title) }
        @if !view.reason.is_empty() { p.faint { (view.reason) } }
        @if let Some(until) = &view.wait {
            p.err role="alert" { "Too many attempts. Try again " (time(until)) "." }
        }
        (summary("login", &view.form))
        form method="post" action="/login" {
            input type="hidden" name="_csrf" value=(view.csrf);
            @if !view.next.is_empty() { input type="hidden" name="next" value=(view.next); }
            @if view.set_up {
                (secret(&view.form, Field::new("login", "code", "Set-up code").required()
                    .hint("It is printed in the server's log."), "off"))
                (new_password(&view.form, "login"))
            } @else {
                (secret(&view.form, Field::new("login", "password", "Password").required(), "current-password"))
            }
            button.btn.primary type="submit" { (title) }
        }
    };
    bare(assets, view.theme, title, None, &content)
}

/// The choice of a password: after the first sign-in, or when a change is demanded.
#[derive(Clone, Debug, Default)]
pub struct FirstRun {
    /// Colours.
    pub theme: Theme,
    /// CSRF token of the session.
    pub csrf: String,
    /// Why: `Choose a password before anything else.`
    pub reason: String,
    /// Errors of the form.
    pub form: Form,
    /// The password so far is asked for.
    pub ask_current: bool,
    /// It may be put off: only this computer reaches the router.
    pub may_skip: bool,
}

/// `GET /dashboard/first-run`.
#[must_use]
pub fn first_run(assets: &Assets, view: &FirstRun) -> Markup {
    let content = html! {
        h1 { "Choose a password" }
        @if !view.reason.is_empty() { p.faint { (view.reason) } }
        (summary("password", &view.form))
        form method="post" action="/dashboard/first-run" {
            input type="hidden" name="_csrf" value=(view.csrf);
            @if view.ask_current {
                (secret(&view.form, Field::new("password", "current", "Password so far").required(), "current-password"))
            }
            (new_password(&view.form, "password"))
            button.btn.primary type="submit" { "Save password" }
        }
        @if view.may_skip {
            form.skip-form method="post" action="/dashboard/first-run" {
                input type="hidden" name="_csrf" value=(view.csrf);
                button.btn.quiet type="submit" name="skip" value="true" { "Later" }
                p.hint { "Only this computer reaches the router. Choose a password before you open it to others." }
            }
        }
        form.skip-form method="post" action="/logout" {
            input type="hidden" name="_csrf" value=(view.csrf);
            button.btn.quiet type="submit" { "Sign out" }
        }
    };
    bare(assets, view.theme, "Choose a password", None, &content)
}

fn new_password(form: &Form, id: &str) -> Markup {
    html! {
        (secret(form, Field::new(id, "new", "New password").required()
            .hint("At least 8 characters. Length counts; a sentence is fine."), "new-password"))
        (secret(form, Field::new(id, "repeat", "New password again").required(), "new-password"))
    }
}
