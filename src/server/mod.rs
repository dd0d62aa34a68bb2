//! The running server: listeners, workers, signals, reload, drain (REL-RUN-1, REL-RUN-3).

pub mod admin;
mod body;
mod dispatch;
mod guard;
mod inside;
mod management;
mod pages;
mod ui;
mod watch;

use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::dev::ServerHandle;
use actix_web::rt::net::TcpStream;
use actix_web::{App, HttpServer, web};
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use crate::actors::configured::{Adopted, Configured, Reread};
use crate::actors::desk::RouterDesk;
use crate::actors::discovery::{self, Discovery};
use crate::actors::quota_poller::{self, QuotaPoller};
use crate::actors::refresher::{self, Refresher};
use crate::actors::router::{FlushAll, Router};
use crate::actors::shared::Shared;
use crate::actors::snapshot::AccountSource;
use crate::actors::upkeep::Upkeep;
use crate::api::jobs::Jobs;
use crate::api::{About, Api, ModelTests, Service, alerts};
use crate::auth::audit::{Caller, Event, EventName};
use crate::config::listen::Listen;
use crate::config::options::Options;
use crate::gateway::LocalEnd;
use crate::gateway::signatures::SignatureStore;
use crate::gateway::worker::Worker;
use crate::oauth::{SignIns, Surroundings};
use crate::server::admin::AdminSocket;
pub use crate::server::watch::Fingerprint;
use crate::server::watch::Watch;

/// A head must arrive in this time (security §10).
const HEAD: Duration = Duration::from_secs(5);
/// Idle connections are closed after this.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// The library cuts this long after our own deadline.
const AFTER_DRAIN: Duration = Duration::from_secs(5);
/// What the second signal leaves for the last rows.
const SECOND_SIGNAL: Duration = Duration::from_secs(2);
/// What an ordinary stop leaves for them.
const LAST_FLUSH: Duration = Duration::from_secs(30);
/// A running token exchange is awaited this long, counted from the signal (REL-RUN-3).
const LONGEST_EXCHANGE: Duration = Duration::from_secs(30);
/// Pause between two looks at what still runs after a cut.
const CUT_PAUSE: Duration = Duration::from_millis(5);
const BACKLOG: u32 = 1_024;

/// A listener that is bound.
#[derive(Debug)]
pub enum Bound {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(std::os::unix::net::UnixListener),
}

/// A listener could not be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {listen:?}: {error}")]
pub struct BindError {
    /// Which one.
    pub listen: Listen,
    /// Why.
    pub error: io::Error,
}

/// Binds every listener, or none. Port 0 of the first one gives the port of the others.
///
/// # Errors
/// The first address that cannot be had; an optional one that the machine lacks is left out.
pub fn bind(listeners: &[Listen]) -> Result<Vec<(Listen, Bound)>, Box<BindError>> {
    let mut bound = Vec::new();
    let mut given_port = None;
    for listen in listeners {
        let failed = |error| Box::new(BindError { listen: listen.clone(), error });
        match listen {
            Listen::Tcp { addr, optional } => {
                let mut addr = *addr;
                if addr.port() == 0 {
                    addr.set_port(given_port.unwrap_or(0));
                }
                match bind_tcp(addr) {
                    Ok(socket) => {
                        let addr = socket.local_addr().map_err(failed)?;
                        given_port = given_port.or(Some(addr.port()));
                        let listen = Listen::Tcp { addr, optional: *optional };
                        bound.push((listen, Bound::Tcp(socket)));
                    }
                    Err(error) if *optional && is_absent(&error) => {}
                    Err(error) => return Err(failed(error)),
                }
            }
            Listen::Unix(path) => {
                bound.push((listen.clone(), Bound::Unix(bind_unix(path).map_err(failed)?)));
            }
        }
    }
    Ok(bound)
}

fn bind_tcp(addr: std::net::SocketAddr) -> io::Result<TcpListener> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
    let family = if addr.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if addr.is_ipv6() {
        // `::` must not take the port of `0.0.0.0`, which has a listener of its own.
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    rustix::net::bind(&socket, &addr)?;
    rustix::net::listen(&socket, i32::try_from(BACKLOG).unwrap_or(128))?;
    Ok(TcpListener::from(socket))
}

/// This machine has no such address (no IPv6).
fn is_absent(error: &io::Error) -> bool {
    let absent = [rustix::io::Errno::ADDRNOTAVAIL, rustix::io::Errno::AFNOSUPPORT];
    absent.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

fn bind_unix(path: &std::path::Path) -> io::Result<std::os::unix::net::UnixListener> {
    use std::os::unix::fs::FileTypeExt;
    use std::os::unix::net::{UnixListener, UnixStream};
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket());
    let refuses = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    // A socket that nobody answers on is left over from a process that was killed. Anything else
    // that has this name is not ours to remove.
    if is_socket && UnixStream::connect(path).is_err_and(refuses) {
        std::fs::remove_file(path)?;
    }
    let socket = UnixListener::bind(path)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The listeners of a socket unit, if the process was started by one (cli-and-deploy §7.2).
///
/// # Errors
/// When an inherited descriptor is no listening socket.
pub fn inherited() -> io::Result<Vec<(Listen, Bound)>> {
    let mut fds = listenfd::ListenFd::from_env();
    let mut bound = Vec::new();
    for at in 0..fds.len() {
        if let Ok(Some(socket)) = fds.take_tcp_listener(at) {
            socket.set_nonblocking(true)?;
            let addr = socket.local_addr()?;
            bound.push((Listen::Tcp { addr, optional: false }, Bound::Tcp(socket)));
        } else if let Some(socket) = fds.take_unix_listener(at)? {
            socket.set_nonblocking(true)?;
            let path = socket.local_addr()?.as_pathname().map(Into::into).unwrap_or_default();
            bound.push((Listen::Unix(path), Bound::Unix(socket)));
        }
    }
    Ok(bound)
}

/// How a server ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// By one signal: everything was finished.
    Drained,
    /// By a second signal: what still ran was cut.
    Cut,
    /// The database was found damaged; what could be finished was.
    Damaged,
}

/// What a server needs beside its shared state.
pub struct Server {
    /// Process-wide state.
    pub shared: Arc<Shared>,
    /// Accounts as loaded.
    pub accounts: Vec<AccountSource>,
    /// Bound listeners.
    pub listeners: Vec<Bound>,
    /// HTTP workers.
    pub workers: usize,
    /// The admin socket, when there is one.
    pub admin: Option<AdminSocket>,
    /// What start-up decided.
    pub options: Arc<Options>,
    /// What runs here, for people.
    pub about: About,
    /// Reads again what start-up decided; blocking.
    pub reread: Reread,
    /// For what only the caller knows of a new snapshot.
    pub adopted: Adopted,
    /// State of the files a reload reads.
    pub fingerprint: Fingerprint,
    /// Called once everything is up.
    pub ready: Box<dyn FnOnce()>,
    /// Refresh, polling and pruning run.
    pub background: bool,
    /// A service manager wants to be told how it stands.
    pub managed: bool,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("workers", &self.workers).finish_non_exhaustive()
    }
}

impl Server {
    /// Serves until a signal ends it. Must run inside an actix system: its thread is the control plane.
    ///
    /// # Errors
    /// When the listeners cannot be used or signals cannot be watched.
    pub async fn run(self) -> io::Result<Ended> {
        let Self {
            shared,
            accounts,
            listeners,
            workers,
            admin,
            options,
            about,
            reread,
            adopted,
            fingerprint,
            ready,
            background,
            managed,
        } = self;
        let mut signals = Signals::watch()?;
        let jobs = Jobs::load(&shared.store, &shared.clock).map_err(io::Error::other)?;
        let arbiter = actix::Arbiter::current();
        let router = Router::start_on(&arbiter, Arc::clone(&shared), accounts);
        let desk = Arc::new(RouterDesk::new(arbiter, router));
        let upkeep = Upkeep::launch(Arc::clone(&shared), Arc::clone(&desk), background, managed);
        let discovery =
            background.then(|| Discovery::launch(Arc::clone(&shared), Arc::clone(&desk)));
        let refresher =
            background.then(|| Refresher::launch(Arc::clone(&shared), Arc::clone(&desk)));
        let poller = QuotaPoller::launch(Arc::clone(&shared), Arc::clone(&desk), background);
        let configured = Arc::new(Configured::new(
            Arc::clone(&shared),
            Arc::clone(&desk),
            discovery.clone(),
            adopted,
        ));
        let surroundings = Surroundings::of(&options, loopback_port(&listeners));
        let sign_ins = SignIns::launch(Arc::clone(&shared), Arc::clone(&configured), surroundings);
        let signatures = SignatureStore::default();
        let service = Service {
            model_tests: ModelTests::default(),
            public: Some(inside::maker(&shared, &desk, &signatures)),
            shared: Arc::clone(&shared),
            desk: Arc::clone(&desk),
            configured: Arc::clone(&configured),
            sign_ins: sign_ins.clone(),
            reread: Arc::clone(&reread),
            options,
            jobs,
            about: Arc::new(about),
        };
        // Before the first request: who may choose the first password has to be told.
        if let Err(why) = shared.login.entry(shared.snapshot.load().fixed.loopback_only).await {
            error!("the first sign-in is not prepared: {why}");
        }
        let server = http(&service, &signatures, listeners, workers)?;
        let handle = server.handle();
        let serving = actix_web::rt::spawn(server);
        if background {
            actix_web::rt::spawn(alerts::watch(service.clone()));
        }
        let admin = admin.map(|socket| socket.serve(service)).transpose()?;
        shared.drain.set_ready(shared.clock.now_ms());
        ready();
        notify(&[NotifyState::Ready]);
        let mut watch = background.then(|| Watch::new(fingerprint));
        let asked = shared.drain.stop_token().clone();
        loop {
            let received = tokio::select! {
                received = signals.next_or_change(watch.as_mut()) => received,
                () = asked.cancelled() => Received::Stop,
            };
            match received {
                Received::Stop => break,
                Received::Reload => {
                    let (shared, reread) = (Arc::clone(&shared), Arc::clone(&reread));
                    let configured = Arc::clone(&configured);
                    // Beside the loop: a stop must not wait for a reload.
                    actix_web::rt::spawn(async move {
                        reconfigure(&shared, &configured, reread).await;
                    });
                }
                Received::Dump => dump(&shared),
            }
        }
        notify(&[NotifyState::Stopping]);
        shared.audit.record(&Caller::system(), Event::ok(EventName::ServerStopping));
        let signalled = shared.clock.now();
        if let Some(refresher) = &refresher {
            drop(refresher.try_send(refresher::Stop));
        }
        if let Some(admin) = admin {
            admin.stop().await;
        }
        let ended = drain(&shared, &handle, &mut signals).await;
        drop(upkeep.try_send(crate::actors::upkeep::Stop));
        if let Some(discovery) = &discovery {
            drop(discovery.try_send(discovery::Stop));
        }
        drop(poller.try_send(quota_poller::Stop));
        let ended = last_exchanges(&shared, &mut signals, ended, signalled).await;
        finish(&shared, &desk, ended).await;
        serving.abort();
        let damaged = shared.store.is_damaged() || shared.ledger.is_damaged();
        Ok(if damaged { Ended::Damaged } else { ended })
    }
}

/// The port a browser on this machine reaches the router at.
fn loopback_port(listeners: &[Bound]) -> Option<u16> {
    listeners.iter().find_map(|listener| {
        let Bound::Tcp(socket) = listener else { return None };
        let address = socket.local_addr().ok()?;
        let reaches = address.ip().is_loopback() || address.ip().is_unspecified();
        reaches.then_some(address.port())
    })
}

fn http(
    service: &Service,
    signatures: &SignatureStore,
    listeners: Vec<Bound>,
    workers: usize,
) -> io::Result<actix_web::dev::Server> {
    let service = service.clone();
    let shared = Arc::clone(&service.shared);
    let (settings, drain) = {
        let snapshot = shared.snapshot.load();
        (snapshot.settings.limits, snapshot.settings.drain)
    };
    let stall = shared.snapshot.load().settings.timeouts.client_stall;
    let signatures = signatures.clone();
    let factory = move || {
        let (shared, desk) = (Arc::clone(&service.shared), Arc::clone(&service.desk));
        let worker = Rc::new(Worker::new(shared, desk, signatures.clone()));
        let sign_ins = Rc::new(service.sign_ins.clone());
        let api = Rc::new(Api::new(service.clone()));
        App::new().default_service(web::to(move |http, payload| {
            let (worker, sign_ins) = (Rc::clone(&worker), Rc::clone(&sign_ins));
            dispatch::dispatch(worker, sign_ins, Rc::clone(&api), http, payload)
        }))
    };
    let mut server = HttpServer::new(factory)
        .workers(workers)
        .backlog(BACKLOG)
        .max_connections(settings.connections_per_worker)
        .client_request_timeout(HEAD)
        .keep_alive(KEEP_ALIVE)
        // Nagle against delayed ACK costs 40 ms a stream (design §7).
        .tcp_nodelay(true)
        // REL-CAN-2: else a client that leaves is not noticed while we wait for the upstream.
        .h1_allow_half_closed(false)
        .on_connect(move |socket, data| {
            if let Some(socket) = socket.downcast_ref::<TcpStream>() {
                harden(socket, stall);
                if let Ok(local) = socket.local_addr() {
                    data.insert(LocalEnd(local.ip()));
                }
            }
        })
        .disable_signals()
        .shutdown_timeout((drain + AFTER_DRAIN).as_secs());
    for listener in listeners {
        server = match listener {
            Bound::Tcp(socket) => server.listen(socket)?,
            Bound::Unix(socket) => server.listen_uds(socket)?,
        };
    }
    Ok(server.run())
}

/// A client that accepts no byte for this long is cut by the system: while it does, the body is not
/// polled, so no timer of ours would run (security §26).
fn harden(socket: &TcpStream, stall: Duration) {
    let millis = u32::try_from(stall.as_millis()).unwrap_or(u32::MAX);
    if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(socket, millis) {
        warn!(%error, "a client connection has no write time-out");
    }
}

async fn reconfigure(shared: &Shared, configured: &Configured, reread: Reread) {
    announce_reload();
    match configured.reload_after(move || reread()).await {
        Ok(()) => info!("configuration reloaded"),
        // REL-RUN-4: the old configuration stays.
        Err(error) => error!("configuration not reloaded, the old one stays: {error}"),
    }
    if !shared.drain.is_draining() {
        notify(&[NotifyState::Ready]);
    }
}

/// The service manager wants the time with it, to tell this reload from the one before.
fn announce_reload() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => warn!(%error, "the service manager is not told of the reload"),
    }
}

/// Stops accepting, lets what runs finish, ends it at the deadline.
async fn drain(shared: &Shared, handle: &ServerHandle, signals: &mut Signals) -> Ended {
    shared.drain.begin();
    let patience = shared.snapshot.load().settings.drain;
    info!(seconds = patience.as_secs(), in_flight = shared.in_flight.used(), "stopping");
    let stopped = handle.stop(true);
    tokio::pin!(stopped);
    let deadline = tokio::time::sleep(patience);
    tokio::pin!(deadline);
    let mut cut = false;
    loop {
        tokio::select! {
            () = &mut stopped => return Ended::Drained,
            () = &mut deadline, if !cut => {
                cut = true;
                shared.drain.cut();
            }
            received = signals.next() => {
                if received == Received::Stop {
                    shared.drain.cut();
                    return Ended::Cut;
                }
            }
        }
    }
}

/// Waits for token exchanges that run, and for tokens that are not written yet (REL-RUN-3). A second signal ends it.
async fn last_exchanges(
    shared: &Shared,
    signals: &mut Signals,
    ended: Ended,
    signalled: Instant,
) -> Ended {
    let deadline = match ended {
        Ended::Drained | Ended::Damaged => signalled + LONGEST_EXCHANGE,
        Ended::Cut => shared.clock.now() + SECOND_SIGNAL / 4,
    };
    let settled = shared.exchanges.settle(deadline);
    tokio::pin!(settled);
    let (settled, ended) = loop {
        tokio::select! {
            settled = &mut settled => break (settled, ended),
            received = signals.next() => {
                if received == Received::Stop {
                    break (false, Ended::Cut);
                }
            }
        }
    };
    if !settled {
        let unsaved = shared.exchanges.unsaved_accounts().len();
        error!(
            unsaved,
            "token exchanges were still open at the stop; an account whose new token is lost needs a new sign-in"
        );
    }
    ended
}

/// Account state, usage rows, checkpoint.
async fn finish(shared: &Arc<Shared>, desk: &RouterDesk, ended: Ended) {
    let patience = match ended {
        Ended::Drained | Ended::Damaged => LAST_FLUSH,
        Ended::Cut => SECOND_SIGNAL * 3 / 4,
    };
    let deadline = shared.clock.now() + patience;
    let left = |shared: &Shared| deadline.saturating_duration_since(shared.clock.now());
    // What was cut on the worker threads writes its row when it is dropped there.
    let all_over = async {
        while shared.in_flight.used() > 0 {
            tokio::time::sleep(CUT_PAUSE).await;
        }
    };
    if tokio::time::timeout(patience / 4, all_over).await.is_err() {
        warn!(in_flight = shared.in_flight.used(), "requests still run; their rows are lost");
    }
    let flush = desk.addr().send(FlushAll);
    if tokio::time::timeout(left(shared) / 2, flush).await.is_err() {
        warn!("accounts did not save their state in time");
    }
    let rows = left(shared);
    let shared = Arc::clone(shared);
    let flushed = tokio::task::spawn_blocking(move || {
        if let Err(error) = shared.audit.stop(rows / 2) {
            warn!(%error, "rows of the audit log were not all written before the stop");
        }
        let flushed = shared.ledger.stop(rows);
        if let Err(error) = shared.store.close() {
            warn!(%error, "the database was not closed cleanly");
        }
        flushed
    });
    match flushed.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => error!(%error, "usage rows were not all written before the stop"),
        Err(error) => error!(%error, "usage rows were not all written before the stop"),
    }
}

fn dump(shared: &Shared) {
    info!(
        in_flight = shared.in_flight.used(),
        body_bytes = shared.bodies.used(),
        ledger_waiting = shared.ledger.waiting(),
        ledger_folded = shared.ledger.folded(),
        "status"
    );
}

/// Tells the service manager, if there is one.
pub fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        warn!(%error, "the service manager could not be told");
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Received {
    Stop,
    Reload,
    Dump,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    user: Signal,
}

impl Signals {
    fn watch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            user: signal(SignalKind::user_defined1())?,
        })
    }

    /// The next signal; a change of the watched files counts as SIGHUP.
    async fn next_or_change(&mut self, watch: Option<&mut Watch>) -> Received {
        let Some(watch) = watch else { return self.next().await };
        tokio::select! {
            received = self.next() => received,
            () = watch.changed() => {
                info!("configuration changed on disk");
                Received::Reload
            }
        }
    }

    async fn next(&mut self) -> Received {
        tokio::select! {
            _ = self.terminate.recv() => Received::Stop,
            _ = self.interrupt.recv() => Received::Stop,
            _ = self.hangup.recv() => Received::Reload,
            _ = self.user.recv() => Received::Dump,
        }
    }
}

#[cfg(test)]
mod tests;
