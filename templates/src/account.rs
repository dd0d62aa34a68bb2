//! One account: as a card on Overview, as a row on its provider's page. Both carry the id `acct-<id>`, and the feed sends
//! the one that its URL names (`view=card`, `view=row`).

use maud::{Markup, html};

use crate::assets::Assets;
use crate::moment::{Moment, time};
use crate::part::action::{Look, dialog_link, labelled, post, post_value};
use crate::part::badge::{Tone, badge, chip};
use crate::part::icon::{Monogram, icon, monogram};
use crate::part::order::{handle, steps_at};

/// The only words for how an account stands (dashboard §4.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// The operator turned it off.
    Off,
    /// The sign-in is dead.
    SignInAgain,
    /// A new token is asked for.
    TokenExpired,
    /// Locked as a whole.
    CoolingDown,
    /// A window of its plan is used up.
    OutOfQuota,
    /// Below its reserve.
    Reserved,
    /// Some models are locked.
    PartlyBlocked,
    /// The sign-in ends soon.
    ExpiresSoon,
    /// Little is left.
    Low,
    /// Errors of late.
    Unstable,
    /// Serves.
    Ready,
    /// Serves, never has.
    Unused,
}

impl Standing {
    /// Of `state.status` of the API.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "off" => Self::Off,
            "sign_in_again" => Self::SignInAgain,
            "token_expired" => Self::TokenExpired,
            "cooling_down" => Self::CoolingDown,
            "out_of_quota" => Self::OutOfQuota,
            "reserved" => Self::Reserved,
            "partly_blocked" => Self::PartlyBlocked,
            "expires_soon" => Self::ExpiresSoon,
            "low" => Self::Low,
            "unstable" => Self::Unstable,
            "ready" => Self::Ready,
            "unused" => Self::Unused,
            _ => return None,
        })
    }

    /// The words shown.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Off => "Off",
            Self::SignInAgain => "Sign in again",
            Self::TokenExpired => "Token expired",
            Self::CoolingDown => "Cooling down",
            Self::OutOfQuota => "Out of quota",
            Self::Reserved => "Kept in reserve",
            Self::PartlyBlocked => "Partly blocked",
            Self::ExpiresSoon => "Expires soon",
            Self::Low => "Low",
            Self::Unstable => "Unstable",
            Self::Ready => "Ready",
            Self::Unused => "Not used yet",
        }
    }

    /// Colour of its badge.
    #[must_use]
    pub fn tone(self) -> Tone {
        match self {
            Self::Off => Tone::Neutral,
            Self::SignInAgain | Self::TokenExpired | Self::CoolingDown | Self::OutOfQuota => {
                Tone::Bad
            }
            Self::Reserved
            | Self::PartlyBlocked
            | Self::ExpiresSoon
            | Self::Low
            | Self::Unstable => Tone::Warn,
            Self::Ready => Tone::Ok,
            Self::Unused => Tone::Info,
        }
    }
}

/// Everything cards, rows and the account's own page show of it.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its id.
    pub id: String,
    /// Id of its provider.
    pub provider: String,
    /// Mark of its provider.
    pub mark: Monogram,
    /// Label, or `Account 3` when names are hidden.
    pub label: String,
    /// Provider and plan: `Claude Code · Max 5x`.
    pub about: String,
    /// E-mail; empty when there is none or names are hidden.
    pub email: String,
    /// How it stands.
    pub standing: Standing,
    /// The line below the badge: reason, threshold, models.
    pub line: String,
    /// When that ends or is tried again.
    pub until: Option<Moment>,
    /// Turned on.
    pub enabled: bool,
    /// Windows of its plan, the tightest first.
    pub windows: Vec<Window>,
    /// Instead of windows: `No usage data from this provider`, or what its counters say.
    pub no_windows: String,
    /// Credits or overage in a line; empty when there are none.
    pub credits: String,
    /// What is locked, for how long.
    pub locks: Vec<LockLine>,
    /// Short facts: `priority 10`, `1.2M tokens today`, `$4.10 list price`.
    pub facts: Vec<String>,
    /// Running requests of how many: `2 of 8`.
    pub in_flight: String,
    /// Requests of the last 24 h: `310, 1.2 % failed`.
    pub day: String,
    /// When it last served.
    pub last_used: Option<Moment>,
    /// Age of the quota figures.
    pub as_of: Option<Moment>,
    /// They are older than an hour.
    pub stale: bool,
    /// Its sign-in can be renewed: offers Refresh token.
    pub refreshable: bool,
    /// Signed in through a vendor's page: offers Reconnect.
    pub signed_in: bool,
    /// Written by a config file: cannot be changed here.
    pub managed: bool,
    /// Its place in the list can be changed.
    pub movable: bool,
}

/// A window of a plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Window {
    /// `Session (5 h)`.
    pub label: String,
    /// Percent **left**, 0 to 100; `None` = unknown, drawn without a bar.
    pub left_percent: Option<u8>,
    /// `62% left`, `62% left · 310 of 500`, `unlimited`, `unknown`.
    pub text: String,
    /// When it starts anew.
    pub resets: Option<Moment>,
    /// `at this pace empty in 1 h 20 m`; empty when it lasts.
    pub pace: String,
}

/// A lock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LockLine {
    /// As the API takes it: `*`, `model:x`.
    pub scope: String,
    /// What is locked, in words.
    pub words: String,
    /// Why.
    pub reason: String,
    /// Until when.
    pub until: Moment,
}

impl Account {
    fn url(&self) -> String {
        format!("/dashboard/accounts/{}", self.id)
    }
}

/// The account as a card.
#[must_use]
pub fn card(assets: &Assets, account: &Account) -> Markup {
    let id = format!("acct-{}", account.id);
    html! {
        article.card.acct id=(id) sse-swap=(id) hx-swap="outerHTML" aria-labelledby={ (id) "-t" } {
            div.head {
                (monogram(&account.mark))
                div.t {
                    b id={ (id) "-t" } { a href=(account.url()) { (account.label) } }
                    span { (account.about) }
                }
                (badge(account.standing.tone(), account.standing.words()))
            }
            (line(account))
            (windows(account))
            @if !account.credits.is_empty() { p.meta { (account.credits) } }
            div.meta {
                @for fact in &account.facts { span { (fact) } }
                @if !account.in_flight.is_empty() { span { (account.in_flight) " in flight" } }
                (as_of(account))
            }
            @if account.standing == Standing::SignInAgain {
                div.actions { (reconnect(assets, account)) }
            }
        }
    }
}

/// The account as a row of its provider's list.
#[must_use]
pub fn row(assets: &Assets, account: &Account) -> Markup {
    let id = format!("acct-{}", account.id);
    html! {
        li.acct-row id=(id) sse-swap=(id) hx-swap="outerHTML" data-id=(account.id)
            data-name=(account.label) {
            @if account.movable { (handle(assets, &account.label)) }
            label.sr for={ "tick-" (account.id) } { "Choose " (account.label) }
            input id={ "tick-" (account.id) } type="checkbox" name="ids" value=(account.id) form="batch";
            div.t {
                b { a href=(account.url()) { (account.label) } }
                span { (account.about) @if !account.email.is_empty() { " · " (account.email) } }
            }
            div.state { (badge(account.standing.tone(), account.standing.words())) (line(account)) }
            div.mini { (windows(account)) }
            div.meta {
                @if !account.in_flight.is_empty() { span { (account.in_flight) " in flight" } }
                @if !account.day.is_empty() { span { (account.day) } }
                @if let Some(used) = &account.last_used { span { "used " (time(used)) } }
            }
            @if account.movable {
                (steps_at(assets, &format!("/dashboard/providers/{}/accounts/reorder", account.provider), &account.id, &account.label))
            }
            (menu(assets, account))
        }
    }
}

pub(crate) fn line(account: &Account) -> Markup {
    let until = match account.standing {
        Standing::TokenExpired => "next try",
        Standing::ExpiresSoon => "ends",
        Standing::Low | Standing::Reserved => "resets",
        Standing::Off
        | Standing::SignInAgain
        | Standing::CoolingDown
        | Standing::OutOfQuota
        | Standing::PartlyBlocked
        | Standing::Unstable
        | Standing::Ready
        | Standing::Unused => "back",
    };
    html! {
        @if !account.line.is_empty() || account.until.is_some() {
            p.line {
                (account.line)
                @if let Some(moment) = &account.until {
                    @if !account.line.is_empty() { " · " }
                    (until) " " (time(moment))
                }
            }
        }
    }
}

pub(crate) fn windows(account: &Account) -> Markup {
    html! {
        @for window in &account.windows { (meter(window)) }
        @if account.windows.is_empty() && !account.no_windows.is_empty() { p.faint { (account.no_windows) } }
    }
}

fn meter(window: &Window) -> Markup {
    html! {
        div.q {
            div.row { b { (window.label) } span { (window.text) } }
            @if let Some(left) = window.left_percent {
                meter min="0" max="100" low="15" high="40" optimum="100" value=(left)
                    aria-label={ (window.label) ": " (window.text) } {}
            }
            @if window.resets.is_some() || !window.pace.is_empty() {
                p.faint {
                    @if let Some(resets) = &window.resets { span { "resets " (time(resets)) } }
                    @if !window.pace.is_empty() { span.pace { (window.pace) } }
                }
            }
        }
    }
}

pub(crate) fn as_of(account: &Account) -> Markup {
    html! {
        @if let Some(moment) = &account.as_of {
            span.faint { "as of " (time(moment)) @if account.stale { " " (chip("stale")) } }
        }
    }
}

fn reconnect(assets: &Assets, account: &Account) -> Markup {
    if account.signed_in {
        return dialog_link(
            &labelled(assets, "key", "Reconnect"),
            &format!("{}/reconnect", account.url()),
            Look::Primary,
        );
    }
    dialog_link(
        &labelled(assets, "key", "Replace key"),
        &format!("{}/secret", account.url()),
        Look::Primary,
    )
}

/// What can be done with it; a disclosure, so that it opens without script.
pub(crate) fn menu(assets: &Assets, account: &Account) -> Markup {
    let url = account.url();
    let act = |label: &str, action: &str| {
        post(&html! { (label) }, &format!("{url}/{action}"), Look::Quiet)
    };
    html! {
        details.menu {
            summary.icon id={ "menu-" (account.id) } aria-label={ "Actions for " (account.label) } { (icon(assets, "more")) }
            div.pop {
                @if !account.managed {
                    @if account.enabled { (post_value(&html! { "Turn off" }, &url, Look::Quiet, "enabled", "false")) }
                    @else { (post_value(&html! { "Turn on" }, &url, Look::Quiet, "enabled", "true")) }
                    (dialog_link(&html! { "Edit" }, &format!("{url}/edit"), Look::Quiet))
                }
                (act("Test", "test"))
                @if account.refreshable { (act("Refresh token", "refresh")) }
                (act("Refresh quota", "quota/refresh"))
                @if !account.locks.is_empty() { (act("Clear cool-downs", "clear-locks")) }
                @if account.standing == Standing::SignInAgain { (act("Try again", "try-again")) }
                @if account.signed_in { (dialog_link(&html! { "Reconnect" }, &format!("{url}/reconnect"), Look::Quiet)) }
                @else if !account.managed {
                    (dialog_link(&html! { "Replace key" }, &format!("{url}/secret"), Look::Quiet))
                }
                @if !account.managed {
                    (dialog_link(&html! { "Delete" }, &format!("{url}/delete"), Look::Quiet))
                }
            }
        }
    }
}
