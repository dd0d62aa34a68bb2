//! NineRouter: one endpoint, many accounts, real fallback. This page is the map of the code.
//!
//! # Where things are
//!
//! | folder | holds | knows |
//! |---|---|---|
//! | [`cli`] | arguments, banner, and every command: spoken to the running server, or to the same service in its own process; what is printed for people and for programs | all but `gateway`, `provider`, `routing` |
//! | [`server`] | listeners, the admin socket, workers, signals, reload, drain; the front door that every request passes | `api`, `gateway`, `dashboard`, `actors`, `auth`, `config`, `oauth` |
//! | [`gateway`] | the data plane, `/v1` and `/v1beta`: admission, the relay loop, streaming bodies | `actors`, `auth`, `net`, `provider`, `routing`, `store` (row types), `ninerouter-dialect` |
//! | [`api`] | the management API: accounts, combos, keys, settings … as JSON resources, whoever carries the call | `actors`, `auth`, `config`, `net`, `oauth`, `provider`, `routing`, `store`, `ninerouter-dialect` |
//! | [`dashboard`] | pages, forms and the live feed in HTML: a client of the API in its own process; JSON → view model → `ninerouter-templates` | `actors`, `api`, `auth`, `config` |
//! | [`dashboard`] | pages, forms and the live feed in HTML: a client of the API in its own process; JSON → view model → `ninerouter-templates` | `actors`, `api`, `auth` |
//! | [`actors`] | owners of mutable state: router, accounts, Ledger, live events, audit log, captured bodies, the snapshot of everything configured | `net`, `provider`, `routing`, `store`, `auth`, `config`, `log` |
//! | [`routing`] | **pure**: model ids, combos, plans, choice of account, error classes, cool-downs | `provider` |
//! | [`provider`] | **pure**: the catalog, custom nodes, how one upstream call is shaped and which way out it takes | `routing` (vocabulary) |
//! | [`auth`] | who may call: API keys, sign-in and sessions, client address, host check, limits; what is worth an audit row | `config`, `store` |
//! | [`net`] | the only maker of HTTP clients: address verdict, connector, outbound proxies, TLS, pools, time-outs | `provider` |
//! | [`oauth`] | connecting accounts: sign-ins under way, their callbacks and pastes, import of official clients' files | `actors`, `auth`, `config`, `net`, `provider`, `routing`, `store` |
//! | [`store`] | the only user of diesel: one file per table, secrets at rest, migrations | row types of `routing`, `provider` |
//! | [`config`] | the only reader of the environment: flags, variables, `.env`, the config file | `auth`, `net` (address verdict), `provider`, `routing`, `store` |
//! | [`demo`] | simulated and misbehaving upstreams and a simulated OAuth vendor on real sockets, for `ninerouter demo`, tests and benches | `provider`, `routing` (vocabulary) |
//! | [`log`] | the operational log: lines that are redacted and inert, on standard error, in a file, in the console that people watch | |
//! | `dialect/` | **pure** package: wire formats of LLM APIs: splicing, SSE framing, usage arithmetic; the neutral form, the four codecs of translation, and the envelopes of single vendors | |
//! | `templates/` | **pure** package: maud views and their view models | |
//! | [`clock`], [`id`], [`secret`], [`redact`], [`rotating`] | small vocabulary that everybody may use | |
//!
//! `tests/architecture.rs` holds these arrows against the source.
//!
//! # A request's way
//!
//! 1. `server::dispatch` gives it an id and a place, and asks [`gateway::route`] which endpoint it means.
//! 2. `gateway::admission` decides from the head alone: overload, address, key, limits. Then the body is read, bounded.
//! 3. `gateway::inference` starts a `Recorder`, the usage row in the making, peeks at the body (one pass, no
//!    tree) and resolves the model id.
//! 4. `gateway::relay` loops: `Checkout` to the [`actors::router`] (which plans, and asks one [`actors::account`] for a
//!    [`actors::lease`]) → `gateway::attempt` has it translated where the upstream speaks another dialect (`gateway::translation`) and sends it through [`net`], `gateway::opening` waits until it is clear
//!    that the answer serves, `gateway::blame` and [`routing::classify`] say what a failure means → the next
//!    attempt, or the commit point.
//! 5. `gateway::stream` passes the answer on, chunk by chunk, as the client reads; a tap beside it counts tokens and
//!    sees whether it ends as its dialect demands.
//! 6. The lease is reported to its account, with what the answer's headers told of quota; the row goes to
//!    [`actors::ledger`].
//!
//! # What always holds
//!
//! * One message round trip to the router per attempt, none per chunk. The data path never waits for the disk and
//!   never parses same-dialect traffic into a tree.
//! * Until the first content byte has gone to the client a request may change account or entry; after it, never. A
//!   stream that breaks after it ends as an error of the client's dialect, never as a clean end.
//! * A failed attempt is reported before the next `Checkout`, so that a request sees the locks it caused.
//! * A lease dropped without a report says `Aborted`; a lease that leaks is reclaimed; an actor that panics is
//!   respawned from the store.
//! * Settings, nodes, combos, aliases, keys are one immutable snapshot, replaced as a whole. A request keeps the one it
//!   began with.
//! * A refresh token is redeemed by one exchange at a time ([`actors::exchanges`]), and what it bought is on the disk
//!   before anybody uses it. Neither a client that leaves nor an actor that dies ends an exchange.
//! * What is reported of a credential that was replaced since locks and kills nothing.
//! * A client's own mistake never locks an account.
//! * What is configured to go through a proxy goes through it or fails: `Snapshot::route` decides for every call, and
//!   nothing falls back to a direct connection.
//! * What a request may cost is set aside in its budgets before it is sent ([`actors::budgets`]), and given back when its
//!   usage row says what it did cost. The counters are those rows' sums.
//! * Credentials go only where their provider's entry says: each address is resolved, judged and pinned, redirects are
//!   not followed. A [`secret`] does not print.
//! * A route that changes or shows anything of the operator's has a class, looked up by its pattern; what the class
//!   asks for is checked in `server::guard` and in [`api::Api::call`], and nowhere else. An API key opens none of it.
//! * Who is calling is worked out in one place ([`auth::arrival`]); no header of a stranger changes the answer.
//! * Instants are `i64` Unix ms UTC, money is `i64` micro-USD, ids are UUIDv7. Time comes from [`clock`] alone.
//!
//! # Where a change belongs
//!
//! * A provider that speaks one of the four dialects: `assets/providers.toml`, no code.
//! * A vendor whose token endpoint differs: a file with one `Family` in [`provider::oauth`].
//! * A vendor's way to say "quota used up": a row in `routing::rules`.
//! * A vendor's way to tell how much is left: `provider::quota`, a file in `headers` or `usage`; what it means for a
//!   choice is `routing::gate`.
//! * A vendor's sign-in, by browser or by code: a file in `provider::oauth::connect` (and one in `provider::oauth` for its
//!   token endpoint).
//! * A setting: one declaration in `config::keys`; the README's table follows by a test.
//! * A table or column: a new folder in `migrations/`, then its file in [`store`].
//! * A path that clients send: `gateway::route`.
//! * A route of the management API: a line in `api::routes`, one in `assets/openapi.toml`, and its row in the table
//!   of `tests/service/guard.rs`.
//! * A management route that changes something: its event of the audit log in `api::recorded` (a test lists them all).
//! * What looks like a secret: a name or a pattern in [`redact`].
//! * A command: its arguments and help in `cli::args`, what it does in `cli::commands`.

pub mod actors;
pub mod api;
pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod dashboard;
pub mod demo;
pub mod gateway;
pub mod id;
pub mod log;
pub mod net;
pub mod oauth;
pub mod provider;
pub mod redact;
pub mod rotating;
pub mod routing;
pub mod secret;
pub mod server;
pub mod store;
