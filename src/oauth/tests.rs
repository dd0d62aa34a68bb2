//! Sign-ins and imports from end to end: real actors, a real store, a simulated vendor on a real socket.

mod device;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use url::Url;

use super::*;
use crate::actors::desk::RouterDesk;
use crate::actors::router::{Router, UsableAccounts};
use crate::actors::snapshot::Snapshot;
use crate::actors::testing::opened;
use crate::cli::start::share;
use crate::clock::Clock;
use crate::config::environment::Environment;
use crate::demo::authority::{Authority, Hold, Person, Place, Scripted};
use crate::id::AccountId;
use crate::provider::catalog::EndpointOverride;
use crate::routing::account::{AccountKind, Ownership};
use crate::store::accounts::{self, AccountRow};
use crate::store::hot_state::{self, HotState, StoredAuth};
use crate::store::oauth_flows::FlowStatus;
use crate::store::{Stamp, secrets};

const NOW: i64 = 1_790_000_000_000;
const PATIENCE: Duration = Duration::from_secs(20);
const MINUTE: Duration = Duration::from_secs(60);

struct World {
    folder: TempDir,
    clock: Clock,
    vendor: Arc<Authority>,
    shared: Arc<Shared>,
    configured: Arc<Configured>,
    desk: Arc<RouterDesk>,
    sign_ins: SignIns,
}

impl World {
    fn new() -> Self {
        Self::with(Some(20_128), false, &[])
    }

    fn with(own_port: Option<u16>, container: bool, vars: &[(&str, &str)]) -> Self {
        Self::reaching(own_port, container, vars, &[])
    }

    /// With further endpoints in place of the vendor's.
    fn reaching(
        own_port: Option<u16>,
        container: bool,
        vars: &[(&str, &str)],
        endpoints: &[EndpointOverride],
    ) -> Self {
        let clock = Clock::manual(NOW);
        let vendor = Arc::new(Authority::start(&clock).unwrap());
        let folder = tempfile::tempdir().unwrap();
        let endpoints = vendor.overrides().into_iter().chain(endpoints.iter().cloned()).collect();
        let (store, fixed) = opened(folder.path(), &clock, endpoints);
        let (snapshot, sources) = Snapshot::load(&store, &fixed).unwrap();
        let shared = share(store, snapshot, &sources, clock.clone()).unwrap();
        let arbiter = actix::Arbiter::current();
        let router = Router::start_on(&arbiter, Arc::clone(&shared), sources);
        let desk = Arc::new(RouterDesk::new(arbiter, router));
        let adopted = Box::new(|_: &crate::config::settings::Settings| ());
        let configured = Configured::new(Arc::clone(&shared), Arc::clone(&desk), None, adopted);
        let configured = Arc::new(configured);
        let vars = vars.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let homes = Homes::of(&Environment::of_process(vars, Path::new("/")));
        let surroundings = Surroundings { own_port, container, homes };
        let sign_ins = SignIns::launch(Arc::clone(&shared), Arc::clone(&configured), surroundings);
        Self { folder, clock, vendor, shared, configured, desk, sign_ins }
    }

    async fn start(&self) -> Started {
        self.sign_ins.start(ask()).await.unwrap()
    }

    /// The person at the browser agrees: where it is sent.
    fn agree(&self, started: &Started) -> String {
        let page = get(self.vendor.address(), path_of(url(started)), "vendor");
        let location = page.lines().find_map(|line| line.strip_prefix("location: "));
        location.unwrap_or_else(|| panic!("{page}")).to_owned()
    }

    async fn arrive(&self, location: &str) -> Page {
        self.arrive_at(None, location.split_once('?').map_or("", |(_, query)| query)).await
    }

    async fn arrive_at(&self, provider: Option<&str>, query: &str) -> Page {
        let query = Secret::new(query.to_owned());
        self.sign_ins.callback(Callback { provider: provider.map(str::to_owned), query }).await
    }

    async fn paste(&self, id: FlowId, text: &str) -> Result<Session, SignInError> {
        self.sign_ins.paste(id, Secret::new(text.to_owned())).await
    }

    async fn session(&self, started: &Started) -> Session {
        self.sign_ins.session(started.session_id).await.unwrap()
    }

    async fn signed_in(&self) -> AccountRow {
        let started = self.start().await;
        let page = self.arrive(&self.agree(&started)).await;
        assert_eq!(page.status, 200, "{page:?}");
        self.account(self.session(&started).await.account_id.unwrap())
    }

    fn account(&self, id: AccountId) -> AccountRow {
        self.shared.store.read(|conn| accounts::find(conn, id)).unwrap().unwrap()
    }

    fn accounts(&self) -> Vec<AccountRow> {
        self.shared.store.read(accounts::list).unwrap()
    }

    fn refresh_token(&self, id: AccountId) -> Option<Secret> {
        let store = &self.shared.store;
        store.read(|conn| secrets::refresh_token(conn, store.sealer(), id)).unwrap()
    }

    async fn wait_for_token_calls(&self, calls: u32) {
        let vendor = Arc::clone(&self.vendor);
        let waited =
            tokio::task::spawn_blocking(move || vendor.wait(PATIENCE, |c| c.token_calls == calls));
        assert!(waited.await.unwrap());
    }
}

fn ask() -> StartSignIn {
    StartSignIn { provider: "cc".to_owned(), ..StartSignIn::default() }
}

/// Where the browser is sent.
fn url(started: &Started) -> &str {
    started.authorize_url.as_deref().unwrap()
}

fn path_of(url: &str) -> &str {
    url.split_at(url.match_indices('/').nth(2).unwrap().0).1
}

fn get(address: SocketAddr, path: &str, host: &str) -> String {
    let mut socket = TcpStream::connect(address).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).unwrap();
    let mut reply = String::new();
    socket.read_to_string(&mut reply).unwrap();
    reply
}

fn parameter(url: &str, name: &str) -> String {
    let url = Url::parse(url).unwrap();
    url.query_pairs().find(|(n, _)| n == name).unwrap().1.into_owned()
}

/// Every file of the data folder, as bytes.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut out = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            out.extend(contents(&path));
        } else if path.is_file() {
            out.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
    out
}

fn assert_nowhere(folder: &Path, needles: &[String]) {
    let files = contents(folder);
    assert!(files.iter().any(|(name, _)| name.ends_with("ninerouter.sqlite")));
    for (name, bytes) in files {
        for needle in needles {
            let found = memchr::memmem::find(&bytes, needle.as_bytes());
            assert!(found.is_none(), "`{needle}` is in {name}");
        }
    }
}

#[actix_rt::test]
async fn browser_comes_back_and_the_account_is_in_use() {
    let world = World::new();
    let started = world.start().await;
    assert_eq!((started.mode, started.paste_allowed), ("loopback_path", true));
    assert_eq!(started.redirect_uri.as_deref(), Some("http://localhost:20128/callback"));
    assert_eq!(world.session(&started).await.status, FlowStatus::Pending);
    let location = world.agree(&started);
    let names: Vec<_> = world.vendor.last_authorize().into_iter().map(|(name, _)| name).collect();
    let listed = ["code", "client_id", "response_type", "redirect_uri", "scope", "code_challenge"];
    assert_eq!(names, [&listed[..], &["code_challenge_method", "state"]].concat());

    let page = world.arrive(&location).await;
    assert_eq!(page.status, 200, "{page:?}");
    let session = world.session(&started).await;
    assert_eq!((session.status, session.existed), (FlowStatus::Done, false));
    let ada = Person::new("ada");
    let row = world.account(session.account_id.unwrap());
    assert_eq!((row.config.kind, &*row.config.label), (AccountKind::OAuth, "ada@example.com"));
    assert_eq!(row.about.identity_key, Some(ada.key()));
    assert_eq!(row.about.plan.as_deref(), Some("max_5x"));
    assert_eq!(row.about.validation.as_deref(), Some("verified"));
    let credential = world.shared.store.credential(row.config.id).unwrap();
    assert_eq!(credential.expires_at, Some(NOW + 28_800_000));
    let token = world.refresh_token(row.config.id).unwrap();
    assert!(world.vendor.secrets().iter().any(|secret| secret == token.expose()));
    let usable = world.desk.addr().send(UsableAccounts).await.unwrap();
    assert!(usable.iter().any(|account| account.id == row.config.id));

    assert_eq!(world.arrive(&location).await.status, 400, "a callback works once");
    assert_eq!((world.vendor.counts().token_calls, world.vendor.counts().exchanges), (1, 1));
    let mut needles = world.vendor.secrets();
    needles.push(parameter(url(&started), "state"));
    assert_nowhere(&world.folder.path().join("data"), &needles);
    for text in [format!("{started:?}"), format!("{session:?}"), page.html()] {
        assert!(world.vendor.secrets().iter().all(|secret| !text.contains(secret)), "{text}");
    }
}

#[actix_rt::test]
async fn t_oa_01_foreign_states_are_all_told_the_same() {
    let world = World::new();
    let started = world.start().await;
    let location = world.agree(&started);
    let (code, state) = (parameter(&location, "code"), parameter(&location, "state"));
    let foreign = "A".repeat(43);
    for query in [
        format!("code={code}"),
        format!("code={code}&state="),
        format!("code={code}&state={foreign}"),
        format!("state={state}"),
        String::new(),
    ] {
        let page = world.arrive_at(None, &query).await;
        assert_eq!(page, Page::no_longer_valid(), "{query}");
    }
    let good = format!("code={code}&state={state}");
    assert_eq!(world.arrive_at(Some("codex"), &good).await, Page::no_longer_valid());
    assert_eq!(world.vendor.counts().token_calls, 0);
    assert_eq!(world.session(&started).await.status, FlowStatus::Pending, "it still waits");
    world.clock.advance(10 * MINUTE);
    assert_eq!(world.arrive_at(None, &good).await, Page::no_longer_valid(), "late");
    assert_eq!(world.session(&started).await.status, FlowStatus::Expired);
    assert!(world.paste(started.session_id, &location).await.is_err());
    assert_eq!((world.vendor.counts().token_calls, world.accounts().len()), (0, 0));
}

#[actix_rt::test]
async fn t_oa_02_parallel_callbacks_make_one_exchange() {
    let world = World::new();
    let started = world.start().await;
    let location = world.agree(&started);
    let (first, second, pasted) = tokio::join!(
        world.arrive(&location),
        world.arrive(&location),
        world.paste(started.session_id, &location),
    );
    let served = [&first, &second].iter().filter(|page| page.status == 200).count();
    assert!(served <= 1, "{first:?} {second:?} {pasted:?}");
    assert_eq!(world.vendor.counts().token_calls, 1);
    world.wait_for_token_calls(1).await;
    assert_eq!(world.accounts().len(), 1);
    assert_eq!(world.session(&started).await.status, FlowStatus::Done);
}

#[actix_rt::test]
async fn t_oa_03_the_code_of_somebody_else_buys_nothing() {
    let world = World::new();
    let victim = world.start().await;
    // An attacker agreed with an account of their own, in a sign-in of their own.
    world.vendor.sign_in_as(&Person::new("mallory"));
    let other = World::new();
    let attack = other.start().await;
    let moved = url(&attack).replace(&other.vendor.url(""), &world.vendor.url(""));
    let page = get(world.vendor.address(), path_of(&moved), "vendor");
    let location = page.lines().find_map(|line| line.strip_prefix("location: ")).unwrap();
    assert_eq!(world.arrive(location).await, Page::no_longer_valid());
    // Even with the victim's state, the verifier does not fit the code.
    let state = parameter(url(&victim), "state");
    let forged = format!("code={}&state={state}", parameter(location, "code"));
    let page = world.arrive_at(None, &forged).await;
    assert_eq!((page.status, world.accounts().len()), (400, 0), "{page:?}");
    assert_eq!(world.session(&victim).await.status, FlowStatus::Error);
}

#[actix_rt::test]
async fn t_oa_06_refusals_of_the_vendor_are_text() {
    let world = World::new();
    let started = world.start().await;
    world.vendor.decline_next();
    let page = world.arrive(&world.agree(&started)).await;
    assert_eq!(page.title, "You declined");
    let session = world.session(&started).await;
    assert_eq!(session.status, FlowStatus::Error);
    assert!(session.message.unwrap().contains("you declined"));

    let started = world.start().await;
    let state = parameter(url(&started), "state");
    let query = format!(
        "error=server_error&error_description=%3Cscript%3Ealert(1)%3C/script%3E&state={state}"
    );
    let page = world.arrive_at(None, &query).await;
    assert!(page.status == 400 && !page.html().contains("<script"), "{}", page.html());
    assert!(page.html().contains("&lt;script&gt;"));
    assert!(world.session(&started).await.message.unwrap().contains("server_error"));
}

#[actix_rt::test]
async fn t_oa_07_a_token_endpoint_that_is_none_fails_the_sign_in() {
    let world = World::new();
    for (reply, says) in [
        (Scripted::reply(200, "<html>").header("content-type", "text/html"), "JSON object"),
        (Scripted::reply(302, "").header("location", "http://127.0.0.1:1/x"), "302"),
        (Scripted::reply(200, "x".repeat(100_000)), ""),
        (Scripted::reply(200, "{}"), "no access token"),
        (Scripted::reply(500, ""), "500"),
        (Scripted::reply(404, ""), "no such path"),
    ] {
        let started = world.start().await;
        let location = world.agree(&started);
        let calls = world.vendor.counts().token_calls;
        world.vendor.script(Place::Token, [reply]);
        let page = world.arrive(&location).await;
        assert_eq!(page.status, 400, "{page:?}");
        let session = world.session(&started).await;
        assert_eq!(session.status, FlowStatus::Error);
        assert!(session.message.as_ref().unwrap().contains(says), "{session:?}");
        assert_eq!(world.vendor.counts().token_calls, calls + 1, "a status is never tried again");
    }
    assert!(world.accounts().is_empty());
}

#[actix_rt::test]
async fn profile_is_advice_alone() {
    let world = World::new();
    world.vendor.script(Place::Profile, [Scripted::reply(500, "")]);
    let row = world.signed_in().await;
    assert_eq!(row.about.identity_key, Some(Person::new("ada").key()), "as in the token reply");
    assert_eq!(row.about.plan, None);
}

#[actix_rt::test]
async fn pasted_forms_finish_and_wrong_ones_leave_it_pending() {
    let world = World::new();
    let full = |location: &str| location.to_owned();
    let bare = |location: &str| parameter(location, "code");
    let hashed = |l: &str| format!("{}#{}", parameter(l, "code"), parameter(l, "state"));
    let forms: [fn(&str) -> String; 3] = [full, bare, hashed];
    for form in forms {
        let started = world.start().await;
        let session = world.paste(started.session_id, &form(&world.agree(&started))).await.unwrap();
        assert_eq!(session.status, FlowStatus::Done, "{session:?}");
    }
    assert_eq!(world.accounts().len(), 1, "the same person each time");
    let started = world.start().await;
    let other = world.start().await;
    for (text, says) in [
        (url(&started), "sign-in link"),
        (&*world.agree(&other), "another sign-in attempt"),
        ("https://claude.ai/", "no code"),
        ("", "nothing was pasted"),
    ] {
        let error = world.paste(started.session_id, text).await.unwrap_err();
        assert_eq!(error.status(), 422);
        assert!(error.message.contains(says), "{error}");
    }
    assert_eq!(world.session(&started).await.status, FlowStatus::Pending);
    assert!(world.session(&other).await.status == FlowStatus::Pending);
    let gone = world.paste(FlowId::new(), "x").await.unwrap_err();
    assert_eq!(gone.status(), 404);
}

#[actix_rt::test]
async fn long_lived_token_can_be_pasted() {
    let world = World::new();
    let token = world.vendor.issue_setup_token(&Person::new("ada"));
    for existed in [false, true] {
        let started = world.start().await;
        let session = world.paste(started.session_id, &format!(" {token}\n")).await.unwrap();
        assert_eq!((session.status, session.existed), (FlowStatus::Done, existed), "{session:?}");
        world.clock.advance(MINUTE);
    }
    let row = &world.accounts()[0];
    assert_eq!(row.config.kind, AccountKind::Imported);
    assert_eq!(row.about.validation.as_deref(), Some("verified"));
    assert_eq!(world.shared.store.credential(row.config.id).unwrap().expires_at, None);
    let started = world.start().await;
    let session = world.paste(started.session_id, "sk-ant-oat01-wrong").await.unwrap();
    assert_eq!(session.status, FlowStatus::Error);
    assert!(session.message.unwrap().contains("401"));
}

#[actix_rt::test]
async fn cancelling_during_the_exchange_saves_nothing() {
    let world = World::new();
    let started = world.start().await;
    let location = world.agree(&started);
    world.vendor.hold(Place::Token, Hold::Reply);
    let arriving = world.arrive(&location);
    let cancelling = async {
        world.wait_for_token_calls(1).await;
        let session = world.sign_ins.cancel(started.session_id).await.unwrap();
        assert_eq!(session.status, FlowStatus::Cancelled);
        world.vendor.hold(Place::Token, Hold::Off);
    };
    let (page, ()) = tokio::join!(arriving, cancelling);
    assert_eq!(page, Page::no_longer_valid());
    assert!(world.accounts().is_empty());
    assert_eq!(world.session(&started).await.status, FlowStatus::Cancelled);
    world.clock.advance(3 * MINUTE);
    world.start().await;
    assert_eq!(world.sign_ins.session(started.session_id).await.unwrap_err().status(), 404);
}

#[actix_rt::test]
async fn pending_sign_in_outlives_a_restart_and_a_cut_exchange_does_not() {
    let world = World::new();
    let (waiting, cut) = (world.start().await, world.start().await);
    let location = world.agree(&waiting);
    let store = world.shared.store.clone();
    let (id, sealer) = (cut.session_id, store.sealer().clone());
    let claimed = store.write(|c| crate::store::oauth_flows::claim(c, &sealer, id, NOW));
    let verifier = claimed.unwrap().unwrap().verifier.expose().to_owned();
    assert_nowhere(&world.folder.path().join("data"), &[verifier]);
    world.clock.advance(MINUTE);
    let again = SignIns::launch(
        Arc::clone(&world.shared),
        Arc::clone(&world.configured),
        Surroundings::default(),
    );
    let session = again.session(cut.session_id).await.unwrap();
    assert_eq!(session.status, FlowStatus::Error);
    assert!(session.message.unwrap().contains("stopped"));
    let session = again.paste(waiting.session_id, Secret::new(location)).await.unwrap();
    assert_eq!(session.status, FlowStatus::Done);
}

#[actix_rt::test]
async fn signing_in_again_keeps_what_the_operator_set() {
    let world = World::new();
    let row = world.signed_in().await;
    let id = row.config.id;
    let mut config = row.config.clone();
    config.label = "mine".to_owned();
    config.priority = 7;
    config.tags = vec!["work".to_owned()];
    let dead = StoredAuth::Dead { reason: "revoked".to_owned(), since: NOW };
    let store = &world.shared.store;
    store
        .write(|conn| {
            accounts::upsert(conn, store.sealer(), &config, None, Stamp::operator(NOW))?;
            let hot = HotState { auth: dead.clone(), ..HotState::default() };
            hot_state::save(conn, id, &[], &hot, NOW)
        })
        .unwrap();
    let before = store.credential(id).unwrap().generation;
    world.clock.advance(MINUTE);
    let reconnect = StartSignIn { account: Some(id), ..ask() };
    let started = world.sign_ins.start(reconnect.clone()).await.unwrap();
    world.arrive(&world.agree(&started)).await;
    let session = world.session(&started).await;
    assert_eq!((session.status, session.existed), (FlowStatus::Done, true), "{session:?}");
    let row = world.account(id);
    assert_eq!((&*row.config.label, row.config.priority), ("mine", 7));
    assert_eq!(row.config.tags, ["work"]);
    assert!(store.credential(id).unwrap().generation > before);
    let (hot, _) = store.read(|conn| hot_state::load_one(conn, id, NOW)).unwrap();
    assert_ne!(hot.auth, dead);

    world.vendor.sign_in_as(&Person::new("bob"));
    let started = world.sign_ins.start(reconnect.clone()).await.unwrap();
    let page = world.arrive(&world.agree(&started)).await;
    assert_eq!(page.status, 400);
    let message = world.session(&started).await.message.unwrap();
    assert!(
        message.contains("different account") && message.contains("bob@example.com"),
        "{message}"
    );
    assert_eq!(world.account(id).about.identity_key, Some(Person::new("ada").key()));
    let replacing = StartSignIn { replace: true, ..reconnect };
    let started = world.sign_ins.start(replacing).await.unwrap();
    world.arrive(&world.agree(&started)).await;
    assert_eq!(world.account(id).about.identity_key, Some(Person::new("bob").key()));
    assert_eq!(world.accounts().len(), 1);
}

#[actix_rt::test]
async fn several_accounts_have_names_of_their_own() {
    let world = World::new();
    let mut twin = Person::new("ada2");
    twin.email = "ada@example.com".to_owned();
    twin.organization_name = "Acme".to_owned();
    world.signed_in().await;
    world.vendor.sign_in_as(&twin);
    world.signed_in().await;
    let named = StartSignIn { label: Some("Third".to_owned()), ..ask() };
    world.vendor.sign_in_as(&Person::new("carol"));
    let started = world.sign_ins.start(named.clone()).await.unwrap();
    world.arrive(&world.agree(&started)).await;
    let mut labels: Vec<_> = world.accounts().into_iter().map(|row| row.config.label).collect();
    labels.sort();
    assert_eq!(labels, ["Third", "ada@example.com", "ada@example.com (Acme)"]);
    let error = world.sign_ins.start(named).await.unwrap_err();
    assert_eq!(error.status(), 409, "{error}");
}

#[actix_rt::test]
async fn sign_ins_that_cannot_be_are_refused_at_the_start() {
    let world = World::new();
    for (provider, status) in [("nowhere", 404), ("openai", 422), ("codex", 422)] {
        let ask = StartSignIn { provider: provider.to_owned(), ..StartSignIn::default() };
        let error = world.sign_ins.start(ask).await.unwrap_err();
        assert_eq!(error.status(), status, "{provider}: {error}");
    }
    let unknown = StartSignIn { account: Some(AccountId::new()), ..ask() };
    assert_eq!(world.sign_ins.start(unknown).await.unwrap_err().status(), 404);
    let long = StartSignIn { label: Some("x".repeat(81)), ..ask() };
    assert_eq!(world.sign_ins.start(long).await.unwrap_err().status(), 422);
}

#[actix_rt::test]
async fn browsers_elsewhere_are_shown_the_code() {
    let world = World::new();
    let elsewhere = StartSignIn { browser: Browser::Elsewhere, ..ask() };
    let started = world.sign_ins.start(elsewhere).await.unwrap();
    assert_eq!(started.mode, "hosted_page");
    let page = get(world.vendor.address(), path_of(url(&started)), "vendor");
    let (_, shown) = page.split_once("<code>").unwrap();
    let (shown, _) = shown.split_once("</code>").unwrap();
    let session = world.paste(started.session_id, shown).await.unwrap();
    assert_eq!(session.status, FlowStatus::Done);
    let container = World::with(Some(20_128), true, &[]);
    assert_eq!(container.start().await.mode, "hosted_page");
}

#[actix_rt::test]
async fn busy_port_is_said_and_left_alone() {
    let world = World::with(None, false, &[]);
    // Taken by somebody else already: just as well.
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 54_545));
    let started = world.start().await;
    assert_eq!(started.mode, "hosted_page");
    assert!(started.note.as_ref().unwrap().contains("port 54545"), "{started:?}");
    drop(taken);
}

#[actix_rt::test]
async fn opened_port_takes_one_path_of_its_own_names() {
    let world = World::new();
    let desk = world.sign_ins.0.clone();
    let opened = listener::open(0, "/callback", FlowId::new(), NOW, Some(desk)).unwrap();
    let port = opened.port;
    let address: SocketAddr = (Ipv4Addr::LOCALHOST, port).into();
    let asked = |path: &'static str, host: String| async move {
        tokio::task::spawn_blocking(move || get(address, path, &host)).await.unwrap()
    };
    let own = format!("localhost:{port}");
    let reply = asked("/callback?code=c&state=s", own.clone()).await;
    assert!(reply.starts_with("HTTP/1.1 400") && reply.contains("no longer valid"), "{reply}");
    assert!(reply.contains("content-security-policy: default-src 'none'"), "{reply}");
    for (path, host) in [("/", own), ("/callback?state=s", "evil.example".to_owned())] {
        assert!(asked(path, host).await.starts_with("HTTP/1.1 404"), "{path}");
    }
    opened.close().await;
    assert!(TcpStream::connect(address).is_err());
}

#[actix_rt::test]
async fn import_follows_by_default_and_takes_over_when_told() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().to_str().unwrap().to_owned();
    let world = World::with(None, false, &[("HOME", &path)]);
    let issued = world.vendor.issue(&Person::new("ada"));
    fs::create_dir(home.path().join(".claude")).unwrap();
    let file = home.path().join(".claude/.credentials.json");
    fs::write(&file, world.vendor.credentials_file(&issued)).unwrap();
    let found = world.sign_ins.scan("claude".to_owned()).await.unwrap();
    assert_eq!((found.len(), found[0].has_refresh), (1, true));
    assert!(world.accounts().is_empty(), "a scan imports nothing");
    let import = |ownership| ImportRequest {
        provider: "claude".to_owned(),
        source: ImportSource::Scan { select: vec![found[0].key.clone()] },
        ownership,
        label: None,
    };
    let copy = world.sign_ins.import(import(Some(Ownership::Copy))).await.unwrap_err();
    assert_eq!(copy.status(), 422, "{copy}");
    let followed = world.sign_ins.import(import(None)).await.unwrap();
    let row = world.account(followed[0].account_id);
    assert_eq!(followed[0].validation, "verified");
    assert_eq!(row.config.ownership, Ownership::Follow);
    assert_eq!(row.config.follow_path.as_deref(), file.to_str());
    assert_eq!(row.about.identity_key, Some(Person::new("ada").key()));
    assert!(world.refresh_token(row.config.id).is_none(), "it is the other program's");

    let taken = world.sign_ins.import(import(Some(Ownership::Own))).await.unwrap();
    assert_eq!((taken[0].account_id, taken[0].existed), (row.config.id, true));
    assert!(taken[0].warning.as_ref().unwrap().contains("signed out"));
    let row = world.account(row.config.id);
    assert_eq!((row.config.ownership, &row.config.follow_path), (Ownership::Own, &None));
    let token = world.refresh_token(row.config.id).unwrap();
    assert_eq!(token.expose(), issued.refresh_token);
    assert_eq!(world.vendor.counts().token_calls, 0, "an import redeems nothing");
    assert_nowhere(&world.folder.path().join("data"), &world.vendor.secrets());
    let gone = ImportRequest {
        source: ImportSource::Scan { select: vec!["file:/x".to_owned()] },
        ..import(None)
    };
    assert_eq!(world.sign_ins.import(gone).await.unwrap_err().status(), 404);
}

#[actix_rt::test]
async fn import_of_a_text_says_what_it_needs_and_keeps_what_is_refused() {
    let world = World::new();
    let issued = world.vendor.issue(&Person::new("ada"));
    let text = |data: &str, path: Option<&Path>, ownership| ImportRequest {
        provider: "claude".to_owned(),
        source: ImportSource::Text {
            data: Secret::new(data.to_owned()),
            path: path.map(|path| path.display().to_string()),
        },
        ownership,
        label: None,
    };
    let data = world.vendor.credentials_file(&issued);
    for (ask, says) in [
        (text(&data, None, None), "who refreshes"),
        (text(&data, None, Some(Ownership::Follow)), "path"),
        (text("{}", None, Some(Ownership::Own)), "no sign-in"),
        (text("nonsense", None, Some(Ownership::Own)), "not a credential file"),
        (text("", Some(Path::new("relative")), None), "whole path"),
        (text("", Some(Path::new("/nowhere/at/all")), None), "cannot read"),
        (text(&data, Some(Path::new("/nowhere/at/all")), None), "choose `own`"),
    ] {
        let error = world.sign_ins.import(ask).await.unwrap_err();
        assert!(error.message.contains(says), "{error}");
    }
    world.vendor.expire_access_tokens();
    let refused = world.sign_ins.import(text(&data, None, Some(Ownership::Own))).await.unwrap();
    assert_eq!(refused[0].validation, "refused");
    assert!(refused[0].message.as_ref().unwrap().contains("401"));
    let row = world.account(refused[0].account_id);
    assert_eq!(row.about.validation.as_deref(), Some("refused"));
    let token = world.vendor.issue_setup_token(&Person::new("bob"));
    let imported = world.sign_ins.import(text(&token, None, None)).await.unwrap();
    assert_eq!(imported[0].validation, "verified");
    assert_eq!(world.account(imported[0].account_id).config.kind, AccountKind::Imported);

    world.clock.advance(Duration::from_secs(9 * 3600));
    let late = world.vendor.credentials_file(&issued);
    let late = world.sign_ins.import(text(&late, None, Some(Ownership::Own))).await.unwrap();
    assert_eq!(late[0].validation, "unverified", "{late:?}");
}
