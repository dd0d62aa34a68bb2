//! Views of the dashboard: maud functions over view models. No I/O, no product types.
//!
//! One page per file; shared parts beside them. A view gets display-ready values and decides nothing. A handler builds
//! the view model of a page, renders its content, and puts it into the frame:
//! `layout::page` for a browser that navigates, `layout::fragment` for htmx. What changes live is a function of its own
//! (named below); page and feed render it by the same call, with the same id.
//!
//! | file | what | live |
//! |---|---|---|
//! | [`layout`] | frame: rail, top bar, feed, dialogs, toasts | [`layout::shell_fragment`], [`toast_fragment`] |
//! | [`login`] | sign-in, first run, change of the password | |
//! | [`sudo`] | the password once more (428) | |
//! | [`overview`] | figures, accounts, running and latest requests | [`overview::stats`], [`overview::alerts`] |
//! | [`account`] | one account as card, as row | [`account::card`], [`account::row`] |
//! | [`account_page`] | one account on its page, its forms | [`account_page::state`] |
//! | [`chart`] | bars over time, shares of a whole | |
//! | [`request`] | requests: running ones, the feed's rows | [`request::running`], [`request::rows`] |
//! | [`endpoint`] | addresses, snippets, who needs a key | |
//! | [`remote`] | ways to the router from elsewhere | |
//! | [`job`] | long work | [`job::card`] |
//! | [`key`] | API keys: list, form, the text once | |
//! | [`providers`] | what is connected, and the catalog | [`providers::tile`] |
//! | [`provider`] | one provider: accounts, models, routing | |
//! | [`add`] | forms for an account by key, many keys, a model | |
//! | [`connect`] | a sign-in: start, progress | [`connect::progress`] |
//! | [`import`] | sign-ins of an official client taken over | |
//! | [`node`] | an operator's own provider | |
//! | [`combo`] | combos: list, aliases, editor, who would serve | [`combo::row`] |
//! | [`logs`] | console and audit | [`logs::lines`] |
//! | [`palette`] | the search over everything that has a page | |
//! | [`confirm`] | the question before what cannot be undone | |
//! | [`error_page`] | 403, 404, 409, 429, 500, 503 | |
//! | [`format`](mod@format), [`moment`] | numbers, money, spans, instants as text | |
//! | [`assets`] | URLs of style, script and icons | |

pub mod account;
pub mod account_page;
pub mod add;
pub mod assets;
pub mod chart;
pub mod combo;
pub mod confirm;
pub mod connect;
pub mod endpoint;
pub mod error_page;
pub mod format;
pub mod import;
pub mod job;
pub mod key;
pub mod layout;
pub mod login;
pub mod logs;
pub mod moment;
pub mod node;
pub mod overview;
pub mod palette;
mod part;
pub mod provider;
pub mod providers;
pub mod remote;
pub mod request;
pub mod sudo;

pub use maud::Markup;
pub use part::badge::Tone;
pub use part::code::Snippet;
pub use part::field::{Choice, Form};
pub use part::icon::Monogram;
pub use part::names::Names;
pub use part::notice::{Toast, toast_fragment};
pub use part::stat::Stat;
pub use part::tabs::Tab;
