//! Sign-ins of official clients on this machine: found and read, never written (accounts §2.1, §2.2).

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::error::SignInError;
use crate::clock::UnixMs;
use crate::config::official::Homes;
use crate::provider::catalog::Provider;
use crate::provider::oauth::connect::{Identity, Object, OfficialCli, SignIn};
use crate::provider::oauth::{Followed, follow};
use crate::secret::Secret;

/// Larger files are no credential files.
const MOST_BYTES: u64 = 1 << 20;

/// A sign-in that can be imported. Holds no token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Candidate {
    /// To select it by.
    pub key: String,
    /// The file it is in; `None` = a variable.
    pub path: Option<String>,
    /// For people.
    pub label: String,
    /// As far as the files tell.
    pub email: Option<String>,
    /// As far as the files tell.
    pub plan: Option<String>,
    /// End of the access token, Unix ms.
    pub expires_at: Option<UnixMs>,
    /// There is a refresh token with it, which two programs must not share.
    pub has_refresh: bool,
}

/// A candidate with what it is made of.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) candidate: Candidate,
    pub(super) sign_in: Followed,
    pub(super) identity: Identity,
}

/// Looks for the official client's sign-ins.
pub(super) async fn scan(
    provider: &Provider,
    sign_in: &'static SignIn,
    homes: &Homes,
) -> Result<Vec<Found>, SignInError> {
    let cli = sign_in.cli.ok_or_else(|| {
        let message = format!("no official client of `{}` is known here", provider.id);
        SignInError::invalid(message)
    })?;
    let token = homes.variable(cli.token_variable).cloned();
    let (provider, homes) = (provider.clone(), homes.clone());
    let scan = tokio::task::spawn_blocking(move || {
        let of_file = look_into(&provider, &cli, &homes);
        let of_variable = token.map(|token| of_variable(&cli, token));
        of_file.into_iter().chain(of_variable).collect()
    });
    scan.await.map_err(|error| SignInError::unavailable(error.to_string()))
}

/// The client's folder, and the file beside or in it that tells whose the sign-in is.
fn places(cli: &OfficialCli, homes: &Homes) -> Option<(PathBuf, PathBuf)> {
    let own = homes.variable(cli.folder_variable).map(|text| PathBuf::from(text.expose()));
    if let Some(folder) = own.filter(|folder| folder.is_absolute()) {
        return Some((folder.join(cli.file), folder.join(cli.identity_file)));
    }
    let home = homes.home.as_ref()?;
    Some((home.join(cli.folder).join(cli.file), home.join(cli.identity_file)))
}

fn look_into(provider: &Provider, cli: &OfficialCli, homes: &Homes) -> Option<Found> {
    let (file, identity_file) = places(cli, homes)?;
    // A link may lead elsewhere in the same home, or in the folder the operator named.
    let root = homes.variable(cli.folder_variable).map(|text| PathBuf::from(text.expose()));
    let root = root.or_else(|| homes.home.clone())?;
    let bytes = read_below(&file, &root).ok()?;
    let sign_in = follow::parse(provider, &bytes).ok()?;
    let identity = read_below(&identity_file, &root).ok().and_then(|bytes| object(&bytes));
    let identity = identity.map(|object| (cli.identity)(&object)).unwrap_or_default();
    Some(found(cli, file.to_str()?, sign_in, identity))
}

/// One candidate of a file.
pub(super) fn found(cli: &OfficialCli, path: &str, sign_in: Followed, identity: Identity) -> Found {
    let plan = (cli.plan)(sign_in.plan.as_deref(), sign_in.rate_tier.as_deref());
    let identity = identity.or(Identity { plan, ..Identity::default() });
    let who = identity.email.clone().or_else(|| identity.organization.clone());
    let candidate = Candidate {
        key: format!("file:{path}"),
        path: Some(path.to_owned()),
        label: who.unwrap_or_else(|| cli.name.to_owned()),
        email: identity.email.clone(),
        plan: identity.plan.clone(),
        expires_at: sign_in.expires_at,
        has_refresh: sign_in.refresh_token.is_some(),
    };
    Found { candidate, sign_in, identity }
}

fn of_variable(cli: &OfficialCli, token: Secret) -> Found {
    let candidate = Candidate {
        key: format!("env:{}", cli.token_variable),
        path: None,
        label: format!("{} ({})", cli.name, cli.token_variable),
        email: None,
        plan: None,
        expires_at: None,
        has_refresh: false,
    };
    Found { candidate, sign_in: lone_token(token), identity: Identity::default() }
}

/// A long-lived token that came alone.
pub(super) fn lone_token(token: Secret) -> Followed {
    Followed {
        access_token: token,
        refresh_token: None,
        expires_at: None,
        scope: None,
        plan: None,
        rate_tier: None,
    }
}

fn object(bytes: &[u8]) -> Option<Object> {
    match serde_json::from_slice(bytes).ok()? {
        Value::Object(object) => Some(object),
        _ => None,
    }
}

/// Reads a file whose real place lies below `root`.
fn read_below(path: &Path, root: &Path) -> io::Result<Vec<u8>> {
    let (real, root) = (fs::canonicalize(path)?, fs::canonicalize(root)?);
    if !real.starts_with(&root) {
        return Err(io::Error::other("a link leads out of the home folder"));
    }
    read_regular(&real)
}

/// Reads a regular file of at most 1 MiB.
pub(super) fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    let refused = || io::Error::other("it is no regular file of at most 1 MiB");
    // Looked at before it is opened: opening a pipe would wait for whoever writes into it.
    if !fs::metadata(path)?.is_file() {
        return Err(refused());
    }
    let file = fs::File::open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() || meta.len() > MOST_BYTES {
        return Err(refused());
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MOST_BYTES) {
        return Err(refused());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::environment::Environment;
    use crate::provider::catalog::Catalog;

    const FILE: &str = r#"{"claudeAiOauth":{"accessToken":"sk-ant-oat01-A","refreshToken":"sk-ant-ort01-R",
        "expiresAt":1790000000000,"scopes":["user:inference"],"subscriptionType":"max",
        "rateLimitTier":"default_claude_max_5x"}}"#;

    async fn scanned(vars: &[(&str, &str)]) -> Vec<Found> {
        let catalog = Catalog::builtin().unwrap();
        let provider = catalog.by_id("claude").unwrap();
        let vars = vars.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let homes = Homes::of(&Environment::of_process(vars, Path::new("/")));
        scan(provider, SignIn::of(provider).unwrap(), &homes).await.unwrap()
    }

    #[actix_rt::test]
    async fn candidates_come_from_the_file_its_neighbour_and_the_variable() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().to_str().unwrap();
        assert!(scanned(&[("HOME", path)]).await.is_empty());
        fs::create_dir(home.path().join(".claude")).unwrap();
        fs::write(home.path().join(".claude/.credentials.json"), FILE).unwrap();
        let account = r#"{"oauthAccount":{"accountUuid":"a","emailAddress":"ada@x.example"}}"#;
        fs::write(home.path().join(".claude.json"), account).unwrap();
        let vars = [("HOME", path), ("CLAUDE_CODE_OAUTH_TOKEN", "sk-ant-oat01-LONG")];
        let found = scanned(&vars).await;
        let candidate = &found[0].candidate;
        assert_eq!(candidate.label, "ada@x.example");
        assert_eq!(candidate.plan.as_deref(), Some("max_5x"));
        assert_eq!((candidate.expires_at, candidate.has_refresh), (Some(1_790_000_000_000), true));
        assert_eq!(found[1].candidate.key, "env:CLAUDE_CODE_OAUTH_TOKEN");
        assert!(!format!("{found:?}").contains("sk-ant"), "no token is ever printed");
    }

    #[actix_rt::test]
    async fn what_is_no_plain_small_file_of_this_home_is_passed_over() {
        let (home, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let path = home.path().to_str().unwrap();
        let file = home.path().join(".claude/.credentials.json");
        fs::create_dir(home.path().join(".claude")).unwrap();
        let outside = other.path().join("c.json");
        fs::write(&outside, FILE).unwrap();
        std::os::unix::fs::symlink(&outside, &file).unwrap();
        assert!(scanned(&[("HOME", path)]).await.is_empty(), "a link out of the home folder");
        let named = other.path().to_str().unwrap();
        fs::rename(&outside, other.path().join(".credentials.json")).unwrap();
        let vars = [("HOME", path), ("CLAUDE_CONFIG_DIR", named)];
        assert_eq!(scanned(&vars).await.len(), 1, "a folder that the operator named");
        fs::remove_file(&file).unwrap();
        fs::write(&file, format!("{FILE}{}", " ".repeat(1 << 20))).unwrap();
        assert!(scanned(&[("HOME", path)]).await.is_empty(), "too large");
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert!(scanned(&[("HOME", path)]).await.is_empty(), "a folder");
        fs::remove_dir(&file).unwrap();
        fs::write(&file, "{").unwrap();
        assert!(scanned(&[("HOME", path)]).await.is_empty(), "cut off");
    }
}
