//! Dashboard handlers: read, view model, template. One file per page.
//!
//! The dashboard is a client of the management API in its own process: a page reads with `GET /api/…`, a form writes
//! with the call that its name says, as the same caller, and `show` turns the JSON into view models. Nothing of the
//! router's state is read around the API. The live feed draws the events of `GET /api/events` by the same functions.
//!
//! | file | what |
//! |---|---|
//! | `pages` | which page answers a request |
//! | `visit`, `stage` | the request that the guard let in; what surrounds a page; the ways to answer |
//! | `form`, `json` | forms to and from the API; reading its objects |
//! | `flash`, `signed`, `assets` | messages over a redirect; what a browser keeps for us; files |
//! | `login`, `first_run`, `problem` | before a session |
//! | `overview`, `endpoint`, `keys`, `remote` | Overview; addresses, API keys, ways in from elsewhere |
//! | `providers`, `provider`, `node`, `connect`, `import` | the catalog, one provider, custom ones, sign-ins begun or taken over |
//! | `add`, `order`, `models` | accounts by key, their order; models of a provider |
//! | `accounts`, `account` | what is done with an account; its page and forms |
//! | `combos`, `combo`, `trial` | the list, the editor, a real request to one |
//! | `logs` | console and audit |
//! | `palette`, `names` | the search over everything; accounts shown as numbers |
//! | `live` | the feed |
//! | `show/` | objects of the API as view models |

mod account;
mod accounts;
mod add;
pub mod assets;
mod combo;
mod combos;
mod connect;
mod endpoint;
pub mod first_run;
mod flash;
mod form;
mod import;
mod json;
mod keys;
mod live;
pub mod login;
mod logs;
mod models;
mod names;
mod node;
mod order;
mod overview;
mod pages;
mod palette;
pub mod problem;
mod provider;
mod providers;
mod remote;
mod show;
mod signed;
mod stage;
pub mod sudo;
mod trial;
pub mod visit;

pub use endpoint::curl;
pub use pages::page;
pub use visit::{Content, Form, Hx, Page, Visit};
