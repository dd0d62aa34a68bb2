//! Everything that is fixed at start: flags over environment over `.env` files, checked and typed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::tz::TimeZone;
use serde_json::Value;

use crate::config::environment::{Environment, Note, Source, Variable};
use crate::config::error::ConfigError;
use crate::config::keys::{Key, SETTINGS, Since};
use crate::config::kind::{self, Misfit};
use crate::config::listen::{self, Listen};
use crate::config::published;
use crate::config::settings::{Found, Settings};
use crate::config::variables::{VARIABLES, variable_key};
use crate::config::{data_dir, machine};
use crate::provider::node::NetworkPolicy;
use crate::provider::oauth::OperatorClient;
use crate::provider::overrides::EndpointOverride;
use crate::provider::proxy::{self, EnvironmentProxies, NoProxy, ProxyUrl};
use crate::secret::Secret;

/// Variables of 9router whose literal example values mean "unset" (cli-and-deploy §3).
const SEED_LITERALS: &[(&str, &str)] = &[
    ("NEXT_PUBLIC_BASE_URL", "http://localhost:3000"),
    ("NEXT_PUBLIC_CLOUD_URL", "https://9router.com"),
];

/// Variable of the admin socket's path.
const ADMIN_SOCKET: &str = "NINEROUTER_ADMIN_SOCKET";

/// What the command line said.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// `--env-file`, in order.
    pub env_files: Vec<PathBuf>,
    /// `--port`.
    pub port: Option<u16>,
    /// `--host`, in order.
    pub hosts: Vec<String>,
    /// `--require-api-key`.
    pub require_api_key: bool,
    /// `--log-level`.
    pub log_level: Option<String>,
    /// `--log-format`.
    pub log_format: Option<String>,
}

/// What the process was started with and in.
#[derive(Clone)]
pub struct Inputs {
    /// The command line.
    pub flags: Flags,
    /// The environment.
    pub env: Vec<(OsString, OsString)>,
    /// Current folder.
    pub cwd: PathBuf,
}

impl std::fmt::Debug for Inputs {
    /// Without the environment's values: some are secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.env.iter().map(|(name, _)| name).collect();
        f.debug_struct("Inputs")
            .field("flags", &self.flags)
            .field("env", &names)
            .field("cwd", &self.cwd)
            .finish()
    }
}

impl Inputs {
    /// The inputs of this process.
    #[must_use]
    pub fn of_process(flags: Flags) -> Self {
        let cwd = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        Self { flags, env: std::env::vars_os().collect(), cwd }
    }
}

/// Secrets from the environment. Absent = use the generated one.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// `NINEROUTER_MASTER_KEY`, as given.
    pub master_key: Option<Secret>,
    /// `JWT_SECRET`.
    pub jwt: Option<Secret>,
    /// `JWT_SECRET_PREVIOUS`.
    pub jwt_previous: Option<Secret>,
    /// `API_KEY_SECRET`.
    pub api_key: Option<Secret>,
    /// `API_KEY_SECRET_PREVIOUS`.
    pub api_key_previous: Option<Secret>,
    /// `MACHINE_ID_SALT`.
    pub machine_id_salt: Option<Secret>,
    /// `INITIAL_PASSWORD`.
    pub initial_password: Option<Secret>,
    /// Names of variables that hold a published value (B1); those values are not above.
    pub published: Vec<&'static str>,
}

/// The configuration of this start, except for what the database holds.
#[derive(Clone, Debug)]
pub struct Options {
    /// Absolute path.
    pub data_dir: PathBuf,
    /// Port of the TCP listeners; 0 = any free one.
    pub port: u16,
    /// Listeners, in order; not empty.
    pub listen: Vec<Listen>,
    /// HTTP workers.
    pub workers: usize,
    /// Settings fixed by flags and environment; they win over stored ones and cannot be edited.
    pub locked: BTreeMap<&'static str, Value>,
    /// Where each of those came from.
    pub sources: BTreeMap<&'static str, Source>,
    /// Secrets of the environment.
    pub secrets: Secrets,
    /// Endpoint overrides.
    pub endpoints: Vec<EndpointOverride>,
    /// Outbound proxies of the environment.
    pub proxies: EnvironmentProxies,
    /// OAuth clients, by provider as variables spell it (`GEMINI_CLI`).
    pub oauth_clients: BTreeMap<String, OperatorClient>,
    /// Network policy of new nodes.
    pub outbound_default: NetworkPolicy,
    /// The config file.
    pub config_file: Option<PathBuf>,
    /// Socket of the management API; `None` = none.
    pub admin_socket: Option<PathBuf>,
    /// The operator named the socket: the server does not start without it.
    pub admin_socket_named: bool,
    /// `.env` files that were loaded.
    pub env_files: Vec<PathBuf>,
    /// Defaults found on this machine.
    pub found: Found,
    /// Running in a container.
    pub container: bool,
    /// Started by a service manager that wants to be told.
    pub service_manager: bool,
    /// Bodies of all requests are captured from the start (`ENABLE_REQUEST_LOGS`).
    pub request_logs: bool,
    /// Something else starts the program again when it ends (`NINEROUTER_AUTO_RESTART`).
    pub auto_restart: bool,
    /// All variables, for references of the config file.
    pub environment: Environment,
    /// For the operator, in order.
    pub notes: Vec<Note>,
}

impl Options {
    /// Resolves flags, environment and `.env` files.
    ///
    /// # Errors
    /// The first value, line or file that cannot be used; [`ConfigError::exit_code`] says how the program ends.
    pub fn resolve(inputs: Inputs) -> Result<Self, ConfigError> {
        let Inputs { flags, env, cwd } = inputs;
        let mut env = Environment::of_process(env, &cwd);
        for file in &flags.env_files {
            env.add_named_file(file, "--env-file")?;
        }
        env.add_file_if_any(&cwd.join(".env"))?;
        let data_dir = read_data_dir(&flags, &mut env, &cwd)?;
        let own_file = data_dir.join(".env");
        if let Some(note) = data_dir::tighten(&own_file) {
            env.note(note);
        }
        env.add_file_if_any(&own_file)?;
        env.warn_of_unknown();

        let mut locked = Locked::default();
        read_settings(&flags, &mut env, &mut locked)?;
        check_variables(&mut env)?;
        let port = read_port(&flags, &mut env)?;
        let listen = read_listeners(&flags, &mut env, port)?;
        let workers = locked.values.get("workers").and_then(Value::as_u64);
        let container = machine::is_container(&|name| env.is_set(name));
        let named_socket = env.get(ADMIN_SOCKET)?.map(|v| cwd.join(v.value));
        let options = Self {
            admin_socket_named: named_socket.is_some(),
            admin_socket: named_socket
                .or_else(|| (!env.is_blank(ADMIN_SOCKET)).then(|| data_dir.join("admin.sock"))),
            data_dir,
            port,
            listen,
            workers: workers
                .and_then(|n| usize::try_from(n).ok())
                .unwrap_or_else(machine::default_workers),
            locked: locked.values,
            sources: locked.sources,
            secrets: read_secrets(&mut env)?,
            endpoints: read_endpoints(&mut env)?,
            proxies: read_proxies(&mut env)?,
            oauth_clients: read_oauth_clients(&mut env)?,
            outbound_default: read_outbound_default(&mut env)?,
            config_file: env.get("NINEROUTER_CONFIG")?.map(|v| cwd.join(v.value)),
            env_files: env.files().to_vec(),
            found: found(&mut env, container)?,
            container,
            service_manager: env.is_set("NOTIFY_SOCKET"),
            request_logs: switch(&mut env, "ENABLE_REQUEST_LOGS")?,
            auto_restart: switch(&mut env, "NINEROUTER_AUTO_RESTART")?,
            notes: env.take_notes(),
            environment: env,
        };
        options.check_settings()?;
        Ok(options)
    }

    /// True when only this machine can reach the server.
    #[must_use]
    pub fn is_loopback_only(&self) -> bool {
        self.listen.iter().all(Listen::is_loopback)
    }

    /// Rules over several settings, as far as flags and environment alone break them.
    fn check_settings(&self) -> Result<(), ConfigError> {
        let (_, errors) = Settings::resolve(&BTreeMap::new(), &self.locked, &self.found);
        match errors.into_iter().next() {
            None => Ok(()),
            Some(error) => {
                let origin = self.sources.get(error.key()).map(ToString::to_string);
                Err(ConfigError::Setting { error, origin })
            }
        }
    }
}

#[derive(Default)]
struct Locked {
    values: BTreeMap<&'static str, Value>,
    sources: BTreeMap<&'static str, Source>,
}

impl Locked {
    fn set(&mut self, key: &'static str, value: Value, source: Source) {
        self.values.insert(key, value);
        self.sources.insert(key, source);
    }
}

fn read_data_dir(flags: &Flags, env: &mut Environment, cwd: &Path) -> Result<PathBuf, ConfigError> {
    let home = env.get(if cfg!(windows) { "APPDATA" } else { "HOME" })?.map(|v| v.value);
    let given = match &flags.data_dir {
        Some(dir) => Some(dir.clone()),
        None => env.get("DATA_DIR")?.map(|v| PathBuf::from(v.value)),
    };
    let dir = match given {
        Some(dir) => match dir.strip_prefix("~") {
            Ok(rest) => PathBuf::from(home.ok_or(ConfigError::NoHome)?).join(rest),
            Err(_not_below_home) => dir,
        },
        None => {
            let home = PathBuf::from(home.ok_or(ConfigError::NoHome)?);
            home.join(if cfg!(windows) { "9router" } else { ".9router" })
        }
    };
    let joined = cwd.join(dir);
    // `a/./b` and `b/` are the same folder: messages and comparisons want one spelling.
    Ok(joined.components().collect())
}

fn read_settings(
    flags: &Flags,
    env: &mut Environment,
    locked: &mut Locked,
) -> Result<(), ConfigError> {
    for key in SETTINGS.iter().filter(|key| !matches!(key.name, "port" | "host")) {
        skip_seed_literals(key, env)?;
        let Some(variable) = env.first_of(key.env)? else { continue };
        let value = read_value(key, &variable)?;
        if variable.name.starts_with("NEXT_PUBLIC_") {
            let current = key.env.first().copied().unwrap_or_default();
            let text = format!("`{}` is an old name; use `{current}`", variable.name);
            env.note(Note::warning(text));
        }
        note_if_later(key, &variable, env);
        locked.set(key.name, value, variable.source.clone());
        if key.name == "trusted_proxies" {
            // Naming the proxies is the wish to trust them; there is no second variable to say so.
            locked.set("trusted_proxy_enabled", true.into(), variable.source);
        }
    }
    if flags.require_api_key {
        locked.set("require_api_key", true.into(), Source::Flag);
    }
    for (name, flag, given) in [
        ("log_level", "--log-level", &flags.log_level),
        ("log_format", "--log-format", &flags.log_format),
    ] {
        let key = SETTINGS.iter().find(|key| key.name == name);
        if let (Some(key), Some(text)) = (key, given) {
            let value = key.kind.read_text(text);
            let value =
                value.map_err(|misfit| ConfigError::Flag { flag, why: misfit.to_string() })?;
            locked.set(key.name, value, Source::Flag);
        }
    }
    Ok(())
}

fn skip_seed_literals(key: &Key, env: &mut Environment) -> Result<(), ConfigError> {
    for (name, literal) in SEED_LITERALS.iter().filter(|(name, _)| key.env.contains(name)) {
        let is_literal = |v: Variable| v.value.trim_end_matches('/') == *literal;
        if env.get(name)?.is_some_and(is_literal) {
            env.pass_over(name);
            let text = format!("`{name}` holds 9router's example value and is ignored");
            env.note(Note::info(text));
        }
    }
    Ok(())
}

fn read_value(key: &Key, variable: &Variable) -> Result<Value, ConfigError> {
    key.kind.read_text(&variable.value).map_err(|misfit| misfit_of(variable, misfit))
}

fn misfit_of(variable: &Variable, misfit: Misfit) -> ConfigError {
    ConfigError::Variable {
        name: variable.name.clone(),
        origin: variable.source.to_string(),
        misfit,
    }
}

fn note_if_later(key: &Key, variable: &Variable, env: &mut Environment) {
    if key.since == Since::Later {
        let text = format!(
            "`{}` ({}) has no effect: not supported yet by this version",
            variable.name, variable.source
        );
        env.note(Note::warning(text));
    }
}

/// Reads variables without a setting, so that a wrong one is named even when nothing uses it yet.
fn check_variables(env: &mut Environment) -> Result<(), ConfigError> {
    for key in VARIABLES.iter().filter(|key| key.name != "NINEROUTER_API_KEY") {
        let variable = if proxy::VARIABLES.contains(&key.name) {
            proxy_variable(env, key.name)?
        } else {
            env.get(key.name)?
        };
        if let Some(variable) = variable {
            read_value(key, &variable)?;
            note_if_later(key, &variable, env);
        }
    }
    Ok(())
}

/// A variable that is no setting and says yes or no.
fn switch(env: &mut Environment, name: &str) -> Result<bool, ConfigError> {
    let Some(key) = VARIABLES.iter().find(|key| key.name == name) else { return Ok(false) };
    let Some(variable) = env.get(name)? else { return Ok(false) };
    Ok(read_value(key, &variable)?.as_bool().unwrap_or_default())
}

fn read_port(flags: &Flags, env: &mut Environment) -> Result<u16, ConfigError> {
    const DEFAULT: u16 = 20_128;
    if let Some(port) = flags.port {
        return Ok(port);
    }
    let Some(key) = SETTINGS.iter().find(|key| key.name == "port") else { return Ok(DEFAULT) };
    match env.first_of(key.env)? {
        Some(variable) => {
            let port = read_value(key, &variable)?.as_u64().and_then(|n| u16::try_from(n).ok());
            Ok(port.unwrap_or(DEFAULT))
        }
        None => Ok(DEFAULT),
    }
}

const HOST_WANT: &str = "an IP address, `localhost`, `*` or `unix:/path` (the port is set apart)";

fn read_listeners(
    flags: &Flags,
    env: &mut Environment,
    port: u16,
) -> Result<Vec<Listen>, ConfigError> {
    let mut listeners = Vec::new();
    for name in flags.hosts.iter().flat_map(|hosts| hosts.split(',')) {
        let flag = "--host";
        let more = listen::read(name, port).ok_or_else(|| ConfigError::Flag {
            flag,
            why: format!("got a text of {} characters, expected {HOST_WANT}", name.len()),
        })?;
        listen::add(&mut listeners, more);
    }
    if listeners.is_empty()
        && let Some(variable) = env.get("NINEROUTER_HOST")?
    {
        for name in variable.value.split(',').filter(|name| !name.trim().is_empty()) {
            let misfit = || Misfit {
                got: format!("a text of {} characters", name.trim().len()),
                want: HOST_WANT.into(),
            };
            let more = listen::read(name, port).ok_or_else(|| misfit_of(&variable, misfit()))?;
            listen::add(&mut listeners, more);
        }
    }
    // Shells and containers put the machine's name into HOSTNAME: what is no address is passed over, layer by layer.
    while listeners.is_empty()
        && let Some(variable) = env.get("HOSTNAME")?
    {
        let mut ignored = false;
        for name in variable.value.split(',').filter(|name| !name.trim().is_empty()) {
            match listen::read(name, port) {
                Some(more) => listen::add(&mut listeners, more),
                None => ignored = true,
            }
        }
        if ignored {
            env.note(Note::info(format!(
                "`HOSTNAME` ({}) is not {HOST_WANT} and is ignored; to listen on the network set it to `0.0.0.0`",
                variable.source
            )));
        }
        if listeners.is_empty() {
            env.pass_over(&variable.name);
        }
    }
    if listeners.is_empty() {
        listeners = listen::loopback(port);
    }
    Ok(listeners)
}

fn read_secrets(env: &mut Environment) -> Result<Secrets, ConfigError> {
    let mut secrets = Secrets::default();
    let mut take = |name: &'static str, may_be_published: bool| {
        let Some(variable) = env.get(name)? else { return Ok(None) };
        if !may_be_published && published::is_published(&variable.value) {
            secrets.published.push(name);
            return Ok(None);
        }
        Ok::<_, ConfigError>(Some(Secret::new(variable.value)))
    };
    let jwt = take("JWT_SECRET", false)?;
    let jwt_previous = take("JWT_SECRET_PREVIOUS", false)?;
    let api_key = take("API_KEY_SECRET", false)?;
    let api_key_previous = take("API_KEY_SECRET_PREVIOUS", false)?;
    let machine_id_salt = take("MACHINE_ID_SALT", false)?;
    let master_key = take("NINEROUTER_MASTER_KEY", true)?;
    let initial_password = take("INITIAL_PASSWORD", true)?;
    Ok(Secrets {
        master_key,
        jwt,
        jwt_previous,
        api_key,
        api_key_previous,
        machine_id_salt,
        initial_password,
        published: secrets.published,
    })
}

fn read_endpoints(env: &mut Environment) -> Result<Vec<EndpointOverride>, ConfigError> {
    const PREFIX: &str = "NINEROUTER_ENDPOINT_";
    let mut endpoints = Vec::new();
    for name in env.names_under(PREFIX) {
        let Some(variable) = env.get(&name)? else { continue };
        let misfit = || Misfit {
            got: "a text that is no such address".into(),
            want: "an `http` or `https` address without user name and fragment".into(),
        };
        let url =
            kind::web_url(variable.value.trim()).ok_or_else(|| misfit_of(&variable, misfit()))?;
        let rest = name.strip_prefix(PREFIX).unwrap_or_default();
        match EndpointOverride::from_name(rest, url.as_str()) {
            Ok(found) => endpoints.push(found),
            Err(why) => env.note(Note::warning(format!("{why}; it is ignored"))),
        }
    }
    Ok(endpoints)
}

fn proxy_variable(
    env: &mut Environment,
    upper: &'static str,
) -> Result<Option<Variable>, ConfigError> {
    let names = EnvironmentProxies::names(upper, env.is_set("REQUEST_METHOD"));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    env.first_of(&names)
}

/// A proxy that cannot be understood ends the start: going on without it would be a direct connection.
fn read_proxies(env: &mut Environment) -> Result<EnvironmentProxies, ConfigError> {
    let mut url = |name| {
        let Some(variable) = proxy_variable(env, name)? else { return Ok(None) };
        let misfit = |bad: proxy::BadProxyUrl| {
            let got = format!("a text of {} characters", variable.value.chars().count());
            misfit_of(&variable, Misfit { got, want: bad.to_string() })
        };
        ProxyUrl::parse(&variable.value).map(|url| Some(Arc::new(url))).map_err(misfit)
    };
    let (https, http, all) = (url("HTTPS_PROXY")?, url("HTTP_PROXY")?, url("ALL_PROXY")?);
    let mut no_proxy = NoProxy::default();
    if let Some(variable) = proxy_variable(env, "NO_PROXY")? {
        let (rules, bad) = NoProxy::parse(&variable.value);
        no_proxy = rules;
        for entry in bad {
            let text = format!(
                "`{}` ({}): `{entry}` is no host, suffix, address or range and is passed over",
                variable.name, variable.source
            );
            env.note(Note::warning(text));
        }
    }
    Ok(EnvironmentProxies { https, http, all, no_proxy })
}

/// `NINEROUTER_OAUTH_<PROVIDER>_CLIENT_ID` and `…_CLIENT_SECRET` (accounts §1.1).
fn read_oauth_clients(
    env: &mut Environment,
) -> Result<BTreeMap<String, OperatorClient>, ConfigError> {
    const PREFIX: &str = "NINEROUTER_OAUTH_";
    let mut clients: BTreeMap<String, OperatorClient> = BTreeMap::new();
    for name in env.names_under(PREFIX) {
        let Some(variable) = env.get(&name)? else { continue };
        let rest = name.strip_prefix(PREFIX).unwrap_or_default();
        let value = variable.value.trim().to_owned();
        if let Some(provider) = rest.strip_suffix("_CLIENT_ID") {
            clients.entry(provider.to_owned()).or_default().client_id = Some(value);
        } else if let Some(provider) = rest.strip_suffix("_CLIENT_SECRET") {
            let client = clients.entry(provider.to_owned()).or_default();
            client.client_secret = Some(Secret::new(value));
        } else {
            let text =
                format!("`{name}` ends in neither _CLIENT_ID nor _CLIENT_SECRET; it is ignored");
            env.note(Note::warning(text));
        }
    }
    Ok(clients)
}

fn read_outbound_default(env: &mut Environment) -> Result<NetworkPolicy, ConfigError> {
    const NAME: &str = "NINEROUTER_OUTBOUND_DEFAULT";
    let (Some(variable), Some(key)) = (env.get(NAME)?, variable_key(NAME)) else {
        return Ok(NetworkPolicy::Public);
    };
    Ok(match read_value(key, &variable)?.as_str() {
        Some("private") => NetworkPolicy::Private,
        Some("loopback") => NetworkPolicy::Loopback,
        _ => NetworkPolicy::Public,
    })
}

fn found(env: &mut Environment, container: bool) -> Result<Found, ConfigError> {
    let timezone = match env.get("TZ")? {
        None => TimeZone::system(),
        Some(tz) => {
            let name = tz.value.trim_start_matches(':');
            let zone = TimeZone::get(name).or_else(|_| TimeZone::posix(name));
            zone.unwrap_or_else(|_| {
                let text = format!("`TZ` ({}) names no known time zone; UTC is used", tz.source);
                env.note(Note::warning(text));
                TimeZone::UTC
            })
        }
    };
    let container_networks = if container { machine::own_networks() } else { Vec::new() };
    Ok(Found { host_name: machine::host_name(), timezone, container_networks })
}

#[cfg(test)]
mod tests;
