//! A server inside the test's process: real sockets, a clock that the test moves, actors that it can reach.

use std::net::SocketAddr;

use actix_http::header::{CONTENT_TYPE, HeaderValue};
use bytes::Bytes;
use ninerouter_dialect::SplicedBody;
use rustls::RootCertStore;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::actors::account::Account;
use crate::actors::router::{Find, Views};
use crate::actors::snapshot::Snapshot;
use crate::auth::key::KeyHasher;
use crate::cli::start::{Kind, Opened, open, share};
use crate::clock::Clock;
use crate::config::apply::apply_file;
use crate::config::options::{Flags, Inputs};
use crate::demo::chaos::Chaos;
use crate::net::resolve::{Resolve, SystemResolver};
use crate::net::{
    Clients, DestClass, Destination, Initiator, Method, NetSettings, NetShared, Outgoing, Purpose,
    Route,
};
use crate::provider::node::NetworkPolicy;
use crate::routing::account::AccountView;
use crate::store::audit::{AuditFilter, AuditRow, list};
use crate::store::usage::{Filter, RequestFilter, list_requests};

use super::*;

/// Longest wait for anything that is expected to happen.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// An answer of the house.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: u16,
    pub retry_after: Option<String>,
    pub body: Value,
}

/// The server.
pub(super) struct House {
    pub shared: Arc<Shared>,
    pub desk: Arc<RouterDesk>,
    address: SocketAddr,
    clients: Clients,
    handle: ServerHandle,
    _upkeep: actix::Addr<Upkeep>,
    _folder: TempDir,
}

/// A node of the Chat dialect with one account of its own.
pub(super) fn node(name: &str, upstream: &Chaos) -> String {
    node_at(name, &upstream.url("/v1"))
}

/// The same at any address.
pub(super) fn node_at(name: &str, base_url: &str) -> String {
    format!(
        "[[nodes]]\nname = \"{name}\"\nprefix = \"{name}\"\ntype = \"openai-compatible\"\napi_type = \"chat\"\n\
         base_url = \"{base_url}\"\nnetwork = \"loopback\"\n\
         [[accounts]]\nprovider = \"{name}\"\nlabel = \"{name}\"\napi_key = \"env:HOUSE_KEY\"\n"
    )
}

impl House {
    /// Starts one with this config file, on the runtime of the test.
    pub(super) fn start(clock: &Clock, config: &str) -> Self {
        Self::resolving(clock, config, Arc::new(SystemResolver))
    }

    /// The same, whose names are looked up like this.
    pub(super) fn resolving(clock: &Clock, config: &str, resolver: Arc<dyn Resolve>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (data_dir, file) = (folder.path().join("data"), folder.path().join("config.toml"));
        std::fs::write(&file, config).unwrap();
        let env = [
            ("DATA_DIR", data_dir.into_os_string()),
            ("NINEROUTER_CONFIG", file.clone().into_os_string()),
            ("HOUSE_KEY", "key-house".into()),
        ];
        let inputs = Inputs {
            flags: Flags { port: Some(0), hosts: vec!["127.0.0.1".to_owned()], ..Flags::default() },
            env: env.map(|(name, value)| (name.into(), value)).into(),
            cwd: folder.path().to_owned(),
        };
        let options = Options::resolve(inputs.clone()).unwrap();
        let opened = open(options, inputs, &Kind::default(), clock).unwrap();
        let Opened { store, fixed, options, .. } = opened;
        let hasher = KeyHasher::new(&fixed.key_secret.current);
        apply_file(&store, &file, &options, &hasher, false).unwrap();
        let (snapshot, accounts) = Snapshot::load(&store, &fixed).unwrap();
        let mut shared = share(store, snapshot, &accounts, clock.clone()).unwrap();
        let settings = NetSettings::clone(&shared.net.settings());
        let net = NetShared::with(settings, resolver, RootCertStore::empty()).unwrap();
        Arc::get_mut(&mut shared).expect("nobody else has it yet").net = net;
        let bound = bind(&options.listen).unwrap();
        let listeners: Vec<Bound> = bound.into_iter().map(|(_, bound)| bound).collect();
        let address = listeners.iter().find_map(|listener| match listener {
            Bound::Tcp(socket) => socket.local_addr().ok(),
            Bound::Unix(_) => None,
        });
        let arbiter = actix::Arbiter::current();
        let router = Router::start_on(&arbiter, Arc::clone(&shared), accounts);
        let desk = Arc::new(RouterDesk::new(arbiter, router));
        let upkeep = Upkeep::launch(Arc::clone(&shared), Arc::clone(&desk), false, false);
        let adopted: Adopted = Box::new(|_| {});
        let configured =
            Arc::new(Configured::new(Arc::clone(&shared), Arc::clone(&desk), None, adopted));
        let surroundings = Surroundings::of(&options, None);
        let sign_ins = SignIns::launch(Arc::clone(&shared), Arc::clone(&configured), surroundings);
        let signatures = SignatureStore::default();
        let service = Service {
            model_tests: ModelTests::default(),
            public: Some(inside::maker(&shared, &desk, &signatures)),
            jobs: Jobs::load(&shared.store, clock).unwrap(),
            shared: Arc::clone(&shared),
            desk: Arc::clone(&desk),
            configured,
            sign_ins,
            reread: Arc::new(|| Ok(None)),
            options: Arc::new(options),
            about: Arc::new(About::default()),
        };
        let server = http(&service, &signatures, listeners, 1).unwrap();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        shared.drain.set_ready(clock.now_ms());
        let clients = Clients::new(Arc::clone(&shared.net));
        let address = address.unwrap();
        Self { shared, desk, address, clients, handle, _upkeep: upkeep, _folder: folder }
    }

    /// Sends one request.
    pub(super) async fn send(&self, method: Method, path: &str, body: &str) -> Answer {
        let out = Outgoing {
            method,
            url: format!("http://{}{path}", self.address),
            headers: vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))],
            body: SplicedBody::whole(Bytes::copy_from_slice(body.as_bytes())),
            dest: Destination {
                class: DestClass::Node,
                network: NetworkPolicy::Loopback,
                insecure_http: true,
                h2: false,
            },
            route: Route::Direct,
            head_timeout: PATIENCE,
            send_stall: PATIENCE,
            initiator: Initiator::new(Purpose::Inference),
        };
        let reply = self.clients.send(out).await.unwrap();
        let retry_after = reply.headers.get("retry-after").and_then(|after| after.to_str().ok());
        let (status, retry_after) = (reply.status, retry_after.map(str::to_owned));
        let body = reply.body.collect(1 << 20, PATIENCE).await.unwrap();
        Answer { status, retry_after, body: serde_json::from_slice(&body).unwrap_or_default() }
    }

    /// A client's question for `model`.
    pub(super) async fn ask(&self, model: &str) -> Answer {
        let body = json!({"model": model, "messages": [{"role": "user", "content": "hi"}]});
        self.send(Method::POST, "/v1/chat/completions", &body.to_string()).await
    }

    /// Every account, as routing sees it now.
    pub(super) async fn views(&self) -> Vec<AccountView> {
        self.desk.addr().send(Views).await.unwrap()
    }

    /// The account of this label.
    pub(super) async fn view(&self, label: &str) -> AccountView {
        let views = self.views().await;
        views.into_iter().find(|view| view.config.label == label).unwrap()
    }

    /// Its actor.
    pub(super) async fn actor(&self, label: &str) -> actix::Addr<Account> {
        let account = self.view(label).await.config.id;
        self.desk.addr().send(Find { account }).await.unwrap().unwrap()
    }

    /// Waits until `found` finds something; the house goes on meanwhile.
    pub(super) async fn until<T>(&self, what: &str, found: impl AsyncFn() -> Option<T>) -> T {
        let waiting = async {
            loop {
                if let Some(found) = found().await {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        waited.unwrap_or_else(|_elapsed| panic!("not in time: {what}"))
    }

    /// The rows of this event that are written, newest first.
    pub(super) fn rows(&self, event: &str) -> Vec<AuditRow> {
        self.shared.audit.flush(PATIENCE).unwrap();
        let filter = AuditFilter { events: vec![event.to_owned()], ..AuditFilter::default() };
        self.shared.store.read(|conn| list(conn, &filter, 100)).unwrap()
    }

    /// What the newest row of this event says, once there is one.
    pub(super) async fn row(&self, event: &str) -> Value {
        let newest = async || Some(self.rows(event).first()?.event.detail.clone());
        let detail = self.until(event, newest).await;
        serde_json::from_str(&detail).unwrap()
    }

    /// Outcomes of all requests that ended, as their usage rows tell.
    pub(super) fn outcomes(&self) -> Vec<String> {
        self.shared.ledger.flush(PATIENCE).unwrap();
        let usage = Filter { to: i64::MAX, ..Filter::default() };
        let filter = RequestFilter { usage, ..RequestFilter::default() };
        let rows = self.shared.store.read(|conn| list_requests(conn, &filter, 100)).unwrap();
        rows.into_iter().map(|listed| listed.row.status).collect()
    }

    /// Ends it.
    pub(super) async fn close(self) {
        self.handle.stop(false).await;
        self.shared.audit.stop(PATIENCE).unwrap();
        self.shared.ledger.stop(PATIENCE).unwrap();
    }
}
