//! Starting a server: options, keys, database, config file, audit, listeners, banner (REL-RUN-1).

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use arc_swap::ArcSwap;
use sha2::{Digest as _, Sha256};
use tracing::{info, warn};

use crate::actors::affinity::Affinity;
use crate::actors::audit::{Audit, AuditSettings};
use crate::actors::breakers::Breakers;
use crate::actors::budgets::Budgets;
use crate::actors::capture::{Capture, CaptureMode, Capturing};
use crate::actors::configured::{Adopted, Reread};
use crate::actors::discovery;
use crate::actors::exchanges::Exchanges;
use crate::actors::ledger::Ledger;
use crate::actors::live::LiveEvents;
use crate::actors::quota_poller::QuotaPolls;
use crate::actors::revoked::RevokedKeys;
use crate::actors::shared::{Drain, Shared, StreamUsage};
use crate::actors::snapshot::{AccountSource, Fixed, KeySecret, Snapshot, SnapshotError};
use crate::api::About;
use crate::auth::audit::{Caller, Event, EventName};
use crate::auth::failed::FailedKeys;
use crate::auth::key::KeyHasher;
use crate::auth::limits::{Limits, Spent};
use crate::auth::load::Capacity;
use crate::auth::login::{Login, LoginSecrets};
use crate::auth::session::SessionKeys;
use crate::cli::banner::{self, Banner, Run};
use crate::cli::port::{busy_text, find_holder};
use crate::cli::version;
use crate::clock::Clock;
use crate::config::apply::{ApplyError, Change, Plan, apply_file};
use crate::config::boot::{self, Facts, Finding};
use crate::config::data_dir;
use crate::config::error::{ConfigError, exit};
use crate::config::options::{Inputs, Options};
use crate::config::restart::{self, Restarts};
use crate::config::settings::Settings;
use crate::config::stored_settings;
use crate::config::watched::Watched;
use crate::dashboard::curl;
use crate::demo::DEMO_COMBO;
use crate::log;
use crate::net::NetShared;
use crate::server::admin::{AdminSocket, AdminSocketError};
use crate::server::{self, BindError, Ended, Server};
use crate::store::master_key::INFO_CSRF;
use crate::store::usage::key_spend;
use crate::store::{MasterKey, Store, StoreError, StoreOptions, auth_state};

/// Why a server does not start. `Display` names cause and remedy.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Flags, environment, `.env`.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Catalog, overlay, node.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The config file.
    #[error(transparent)]
    ConfigFile(#[from] ApplyError),
    /// A listener is taken; the text says by whom.
    #[error("{0}")]
    Busy(String),
    /// A listener cannot be had for another reason.
    #[error("{0}; choose another address or port")]
    Bind(Box<BindError>),
    /// Anything of the system.
    #[error("{0}")]
    System(#[from] io::Error),
    /// The admin socket cannot be had.
    #[error(transparent)]
    Admin(#[from] AdminSocketError),
    /// TLS cannot be set up.
    #[error("{0}")]
    Net(#[from] crate::net::shared::NetSetupError),
}

impl StartError {
    /// Exit code of the program (REL-RUN-5).
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(error) => error.exit_code(),
            Self::Store(error) | Self::Snapshot(SnapshotError::Store(error)) => error.exit_code(),
            Self::ConfigFile(error) => error.exit_code(),
            Self::Snapshot(_) => exit::CONFIG,
            Self::Busy(_) => exit::ADDRESS_IN_USE,
            Self::Bind(bind) if bind.error.kind() == io::ErrorKind::PermissionDenied => {
                exit::PERMISSION
            }
            Self::Bind(_) | Self::Admin(_) => exit::CONFIG,
            Self::System(_) | Self::Net(_) => exit::INTERNAL,
        }
    }
}

impl From<Box<BindError>> for StartError {
    fn from(bind: Box<BindError>) -> Self {
        if bind.error.kind() == io::ErrorKind::AddrInUse {
            let holder = find_holder(&bind.listen, &Clock::System);
            return Self::Busy(busy_text(&bind.listen, &holder));
        }
        Self::Bind(bind)
    }
}

/// What differs between `serve` and `demo`.
#[derive(Clone, Debug, Default)]
pub struct Kind {
    /// Everything is simulated.
    pub demo: bool,
    /// Start empty after corruption.
    pub fresh: bool,
    /// No refresh, no polling, no pruning.
    pub no_background: bool,
    /// Print nothing but errors.
    pub quiet: bool,
    /// Change nothing: for a command beside a server that has no socket.
    pub read_only: bool,
}

/// An opened database with what start-up decided.
#[derive(Debug)]
pub struct Opened {
    /// The database.
    pub store: Store,
    /// For the life of the process.
    pub fixed: Arc<Fixed>,
    /// The options it came from.
    pub options: Options,
    /// What the options were read from: a reload reads it again.
    pub inputs: Inputs,
}

/// Opens keys and database for a configuration.
///
/// # Errors
/// See [`StartError`].
pub fn open(
    options: Options,
    inputs: Inputs,
    kind: &Kind,
    clock: &Clock,
) -> Result<Opened, StartError> {
    boot::refuse_published(&options)?;
    for note in data_dir::prepare(&options.data_dir, options.container && !kind.demo)? {
        note.log();
    }
    let secrets = &options.secrets;
    let key = MasterKey::load_or_create(&options.data_dir, secrets.master_key.as_ref())?;
    let store_options = StoreOptions {
        data_dir: options.data_dir.clone(),
        app_version: env!("CARGO_PKG_VERSION").to_owned(),
        clock: clock.clone(),
        read_only: kind.read_only,
        fresh: kind.fresh,
    };
    let store = Store::open(&store_options, &key)?;
    let previous = secrets.api_key_previous.as_ref().map(|secret| key.api_key_key(Some(secret)));
    let fixed = Fixed {
        locked: options.locked.clone(),
        found: options.found.clone(),
        endpoints: options.endpoints.clone(),
        proxies: options.proxies.clone(),
        oauth_clients: options.oauth_clients.clone(),
        data_dir: options.data_dir.clone(),
        loopback_only: options.is_loopback_only(),
        demo: kind.demo,
        key_secret: KeySecret { current: key.api_key_key(secrets.api_key.as_ref()), previous },
        login: LoginSecrets {
            keys: SessionKeys {
                current: key.session_key(secrets.jwt.as_ref()),
                previous: secrets.jwt_previous.as_ref().map(|old| key.session_key(Some(old))),
                csrf: key.derive(INFO_CSRF),
            },
            initial_password: secrets.initial_password.clone(),
        },
    };
    Ok(Opened { store, fixed: Arc::new(fixed), options, inputs })
}

/// Runs a server until a signal ends it.
///
/// # Errors
/// See [`StartError`].
pub fn run(opened: Opened, kind: &Kind, clock: Clock) -> Result<Ended, StartError> {
    let started = clock.now();
    let Opened { store, mut fixed, options, inputs } = opened;
    let applied = match &options.config_file {
        Some(file) => apply(&store, file, &options, &fixed)?,
        None => None,
    };
    let inherited = server::inherited()?;
    let socket_activated = !inherited.is_empty();
    if socket_activated {
        let loopback_only = inherited.iter().all(|(listen, _)| listen.is_loopback());
        fixed = Arc::new(Fixed { loopback_only, ..Fixed::clone(&fixed) });
    }
    let (snapshot, accounts) = Snapshot::load(&store, &fixed)?;
    if !kind.demo {
        log::set_level(&snapshot.settings.log_level);
    }
    let password_stored = store.read(auth_state::load)?.password_hash.is_some();
    let findings = audit(&options, &snapshot.settings, fixed.loopback_only, password_stored);
    boot::refuse_fatal(&findings)?;
    let bound = if socket_activated { inherited } else { server::bind(&options.listen)? };
    let (listeners, sockets): (Vec<_>, Vec<_>) = bound.into_iter().unzip();
    let banner = Banner {
        listeners,
        require_api_key: snapshot.settings.require_api_key,
        database: store.path().to_owned(),
        accounts: accounts.len(),
        combos: snapshot.names.combos.len(),
        workers: options.workers,
        run: run_kind(&options, socket_activated),
        pid: std::process::id(),
    };
    let admin = admin_socket(&options)?;
    let about = About {
        commit: version::COMMIT.to_owned(),
        started_at: clock.now_ms(),
        listeners: banner.listeners.iter().map(ToString::to_string).collect(),
        base_url: banner::base_url(&banner.listeners),
        runtime: banner.runtime(),
        mode: banner.mode().to_owned(),
        findings: findings.clone(),
    };
    let shared = share(store, snapshot, &accounts, clock.clone())?;
    note_start(&shared, &options, &findings, applied);
    if options.request_logs {
        capture_all(&shared);
    }
    let managed = options.service_manager;
    let fixed_options = Arc::new(options.clone());
    let workers = options.workers;
    let watched = Watched::new(&options, &inputs);
    let reread = reread(Arc::clone(&shared), fixed, options, inputs);
    let quiet = kind.quiet;
    let demo = kind.demo;
    let adopted: Adopted = Box::new(move |settings| {
        if !demo {
            log::set_level(&settings.log_level);
        }
    });
    let ready = Box::new(move || {
        let took = clock.now().duration_since(started);
        announce(&banner, &findings, took.as_millis(), quiet, demo);
    });
    let server = Server {
        shared,
        accounts,
        listeners: sockets,
        workers,
        admin,
        options: fixed_options,
        about,
        reread,
        adopted,
        fingerprint: Arc::new(move || watched.fingerprint()),
        ready,
        background: !kind.no_background,
        managed,
    };
    // A task of its own: what the runtime blocks on is polled again whenever any task of this thread is woken, which
    // is twice per request.
    let serving = async { actix_web::rt::spawn(server.run()).await };
    let ended = actix_web::rt::System::new().block_on(serving).map_err(io::Error::other)??;
    Ok(ended)
}

/// Changes of a config file that a row of the audit log names.
const NOTED_CHANGES: usize = 20;

/// What the audit log has to say of a start.
fn note_start(shared: &Shared, options: &Options, findings: &[Finding], applied: Option<Event>) {
    let record = |event| shared.audit.record(&Caller::system(), event);
    if let Some((from, to)) = shared.store.migrated() {
        record(Event::ok(EventName::MigrationApplied).with("from", from).with("to", to));
    }
    let started = Event::ok(EventName::ServerStarted).with("version", env!("CARGO_PKG_VERSION"));
    record(started.with("config_hash", config_hash(&shared.store, options)));
    if let Some(applied) = applied {
        record(applied);
    }
    let ids: Vec<_> = findings.iter().map(|finding| finding.id).collect();
    record(Event::ok(EventName::BootSecurityReport).with("findings", ids));
    if !shared.store.sealer().is_ready() {
        record(Event::failed(EventName::SecretsUnreadable));
    }
}

/// `ENABLE_REQUEST_LOGS`: bodies of all requests, for the time that the settings say.
fn capture_all(shared: &Shared) {
    let time = shared.snapshot.load().settings.request_log_time;
    let span = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    let until = shared.clock.now_ms().saturating_add(span);
    let event = Event::ok(EventName::DebugLoggingOn).with("mode", "all").with("until", until);
    shared.audit.record(&Caller::system(), event.with("source", "environment"));
    shared.capture.begin(Capturing { mode: CaptureMode::All, until });
    warn!(
        hours = time.as_secs() / 3_600,
        "bodies of all requests are captured in `logs/requests` (ENABLE_REQUEST_LOGS); prompts and answers lie there readable"
    );
}

/// Tells configurations apart: 16 hex digits over every setting as it is shown, secrets as their last characters.
fn config_hash(store: &Store, options: &Options) -> String {
    match stored_settings::view(store, options) {
        Ok(view) => {
            let text = view.get("settings").map(ToString::to_string).unwrap_or_default();
            let digest = Sha256::digest(text.as_bytes());
            digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
        }
        Err(error) => {
            warn!(%error, "the settings cannot be read for the audit log");
            String::new()
        }
    }
}

/// The socket of the commands. One in its usual place that cannot be had is told of and done without: the router
/// serves all the same.
fn admin_socket(options: &Options) -> Result<Option<AdminSocket>, StartError> {
    let Some(path) = &options.admin_socket else { return Ok(None) };
    match AdminSocket::bind(path) {
        Ok(socket) => Ok(Some(socket)),
        Err(why) if options.admin_socket_named => Err(why.into()),
        Err(why) => {
            warn!("commands cannot reach this server: {why}");
            Ok(None)
        }
    }
}

/// Brings the database into the state the config file describes.
fn apply(
    store: &Store,
    path: &Path,
    options: &Options,
    fixed: &Fixed,
) -> Result<Option<Event>, StartError> {
    let hasher = KeyHasher::new(&fixed.key_secret.current);
    let plan = apply_file(store, path, options, &hasher, false)?;
    if plan.is_empty() {
        info!(file = %path.display(), "config file: nothing to change");
    } else {
        info!(file = %path.display(), changes = plan.changes.len(), "config file applied");
    }
    for warning in &plan.warnings {
        warn!("{warning}");
    }
    Ok(noted(&plan))
}

/// What the audit log has to know of an applied file; `None` = it changed nothing.
fn noted(plan: &Plan) -> Option<Event> {
    if plan.changes.is_empty() {
        return None;
    }
    let told = |change: &Change| [change.action.as_str(), change.kind, &change.name].join(" ");
    let objects: Vec<String> = plan.changes.iter().take(NOTED_CHANGES).map(told).collect();
    let event = Event::ok(EventName::SettingsChanged).with("source", "config_file");
    Some(event.with("changes", plan.changes.len()).with("objects", objects))
}

fn audit(
    options: &Options,
    settings: &Settings,
    loopback_only: bool,
    password_stored: bool,
) -> Vec<Finding> {
    boot::audit(&Facts {
        options,
        settings,
        setting_errors: &[],
        loopback_only,
        password_stored,
        root: boot::is_root(),
    })
}

pub(crate) fn share(
    store: Store,
    mut snapshot: Snapshot,
    accounts: &[AccountSource],
    clock: Clock,
) -> Result<Arc<Shared>, StartError> {
    let live_models = discovery::restored(&store, accounts);
    snapshot.names.live = live_models.clone();
    let settings = &snapshot.settings;
    let net = NetShared::new(snapshot.net_settings())?;
    let limits = Limits::new();
    let now = clock.now_ms();
    for spend in store.read(|conn| key_spend(conn, now))? {
        let spent = Spent { day: spend.day, month: spend.month, total: spend.total };
        limits.seed(spend.key, spent, now);
    }
    let live = LiveEvents::of_process(now);
    let budgets = Budgets::new(live.clone());
    budgets.adopt(&snapshot, &store, now, || {})?;
    let writer = store.usage_writer(settings.timezone.clone())?;
    let fixed = &snapshot.fixed;
    let login = Login::new(store.clone(), clock.clone(), fixed.data_dir.clone(), &fixed.login);
    let capture = if store.is_read_only() {
        Capture::default()
    } else {
        Capture::start(&snapshot.fixed.data_dir, settings.request_log_bytes, clock.clone())?
    };
    let audit = if store.is_read_only() {
        Audit::default()
    } else {
        Audit::start(
            store.clone(),
            snapshot.fixed.data_dir.clone(),
            AuditSettings::of(settings),
            clock.clone(),
        )?
    };
    audit.listen_to(&net);
    let wide = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    Ok(Arc::new(Shared {
        ledger: Ledger::start(writer, clock.clone())?,
        affinity: Affinity::default(),
        login,
        in_flight: Capacity::new(wide(settings.limits.in_flight)),
        bodies: Capacity::new(wide(settings.limits.bodies_in_memory)),
        revoked: RevokedKeys::default(),
        failed_keys: FailedKeys::new(clock.clone()),
        breakers: Breakers::new(clock.clone()),
        exchanges: Exchanges::default(),
        live,
        audit,
        capture,
        budgets,
        quota_polls: QuotaPolls::default(),
        stream_usage: StreamUsage::default(),
        live_models,
        drain: Drain::default(),
        jitter_seed: AtomicU32::new(std::process::id()),
        snapshot: ArcSwap::from_pointee(snapshot),
        limits,
        net,
        store,
        clock,
    }))
}

/// Reads again what start-up decided: `.env` files, and the config file into the store (REL-RUN-4).
pub(super) fn reread(
    shared: Arc<Shared>,
    fixed: Arc<Fixed>,
    first: Options,
    inputs: Inputs,
) -> Reread {
    Arc::new(move || {
        let options = Options::resolve(inputs.clone()).map_err(|error| error.to_string())?;
        let fixed = Arc::new(Fixed {
            locked: options.locked.clone(),
            found: options.found.clone(),
            endpoints: options.endpoints.clone(),
            proxies: options.proxies.clone(),
            oauth_clients: options.oauth_clients.clone(),
            ..Fixed::clone(&fixed)
        });
        if let Some(file) = &options.config_file {
            let applied = apply(&shared.store, file, &options, &fixed);
            if let Some(event) = applied.map_err(|error| error.to_string())? {
                shared.audit.record(&Caller::system(), event);
            }
        }
        let cold = restart::cold_changes(&first, &options);
        if !cold.is_empty() {
            restart_for(&shared, &options, &fixed, &cold.join(", "));
        }
        Ok(Some(fixed))
    })
}

/// What changed is taken at the next start: that is now where somebody starts the program again.
fn restart_for(shared: &Shared, options: &Options, fixed: &Fixed, what: &str) {
    if !restart::is_supervised(options) {
        warn!("restart needed: {what} changed, and takes effect at the next start");
        return;
    }
    match Restarts::of(&fixed.data_dir).may_restart(shared.clock.now_ms()) {
        Ok(true) => {
            info!("restarting: {what} changed");
            shared.drain.ask_stop();
        }
        Ok(false) => warn!(
            "restart needed: {what} changed; restart it yourself, it did so three times in the last five minutes"
        ),
        Err(error) => warn!(
            %error,
            "restart needed: {what} changed; restart it yourself, because a restart of its own could not be noted"
        ),
    }
}

fn run_kind(options: &Options, socket_activated: bool) -> Run {
    match (socket_activated, options.container, options.service_manager) {
        (true, _, _) => Run::SocketActivated,
        (false, true, _) => Run::Container,
        (false, false, true) => Run::Systemd,
        (false, false, false) => Run::Foreground,
    }
}

/// Text on a terminal, log lines elsewhere (cli-and-deploy §2).
fn announce(banner: &Banner, findings: &[Finding], took_ms: u128, quiet: bool, demo: bool) {
    for finding in findings {
        warn!("{finding}");
    }
    if quiet {
        return;
    }
    let mut out = io::stdout().lock();
    if out.is_terminal() || demo {
        // Nobody may read the banner; the server runs all the same.
        drop(writeln!(out, "{banner}Ready in {took_ms} ms"));
        if demo {
            let curl = curl(&banner::base_url(&banner.listeners), DEMO_COMBO);
            drop(writeln!(
                out,
                "\nEverything here is simulated; no account is needed and no request leaves this computer.\nIn a second terminal:\n\n{curl}"
            ));
        }
    } else {
        drop(out);
        for (label, text) in banner.lines() {
            info!("{label:<11} {}", text.trim_end());
        }
        info!("ready in {took_ms} ms");
    }
}
