//! Following the credential file of an official CLI: its token is taken, never redeemed (accounts §2.1, §3.2).

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::run::{Brought, Exchange, Held, New};
use super::{Unrenewed, Why};
use crate::clock::UnixMs;
use crate::provider::credential::Credential;
use crate::provider::oauth::{Followed, follow};

/// Larger files are no credential files (accounts §2.1).
const MAX_FILE: u64 = 1 << 20;
/// What people read when the file holds nothing newer.
const STALE: &str = "the followed file holds no newer token; run the official CLI once, or sign in";

impl Exchange {
    /// Reads the followed file again, and takes its token when it is another one that still lives.
    pub(super) async fn read_file(&self, held: &Held) -> Result<Brought, Unrenewed> {
        let Some(path) = self.job.account.follow_path.clone() else {
            let text = "the account follows a file, and none is named; sign in again";
            return Err(Unrenewed::new(Why::NoWay, text));
        };
        let shown = path.clone();
        let read = tokio::task::spawn_blocking(move || read(Path::new(&path)));
        let stale = |why: String| {
            Unrenewed::new(
                Why::FileIsStale,
                format!("`{shown}`: {why}; run the official CLI once, or sign in"),
            )
        };
        let bytes = match read.await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(error)) => return Err(stale(error.to_string())),
            Err(error) => return Err(stale(error.to_string())),
        };
        let found =
            follow::parse(&self.job.provider, &bytes).map_err(|error| stale(error.to_string()))?;
        if !is_news(&found, &held.credential, self.job.shared.clock.now_ms()) {
            return Err(Unrenewed::new(Why::FileIsStale, STALE));
        }
        let Followed { access_token, expires_at, scope, .. } = found;
        // The refresh token stays where it is: it is the other program's.
        let new = New { access_token, refresh_token: None, id_token: None, expires_at, scope };
        Ok(Brought::Tokens(Box::new(new)))
    }
}

/// Another token that lives, and that does not end before the one in use.
fn is_news(found: &Followed, held: &Credential, now: UnixMs) -> bool {
    let same = held.access_token.as_ref() == Some(&found.access_token);
    let lives = found.expires_at.is_none_or(|end| end > now);
    let older = found.expires_at.zip(held.expires_at).is_some_and(|(new, old)| new < old);
    !same && lives && !older
}

/// A bounded read of a regular file.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    // Looked at before it is opened: opening a pipe would wait for whoever writes into it.
    let meta = std::fs::metadata(path)?;
    if !meta.is_file() || meta.len() > MAX_FILE {
        return Err(io::Error::other("no regular file of at most 1 MiB"));
    }
    let file = File::open(path)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn only_another_living_token_is_news() {
        let held = Credential {
            access_token: Some(Secret::new("old".into())),
            expires_at: Some(1_000),
            ..Credential::default()
        };
        let found = |token: &str, expires_at| Followed {
            access_token: Secret::new(token.into()),
            refresh_token: None,
            expires_at,
            scope: None,
            plan: None,
            rate_tier: None,
        };
        for (token, end, want) in [
            ("old", Some(9_000), false),
            ("new", Some(9_000), true),
            ("new", None, true),
            ("new", Some(400), false),
            ("new", Some(900), false),
        ] {
            assert_eq!(is_news(&found(token, end), &held, 500), want, "{token} {end:?}");
        }
    }

    #[test]
    fn folders_and_large_files_are_not_read() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read(dir.path()).is_err());
        let large = dir.path().join("large");
        File::create(&large).unwrap().set_len(MAX_FILE + 1).unwrap();
        assert!(read(&large).is_err());
        let small = dir.path().join("small");
        std::fs::write(&small, "{}").unwrap();
        assert_eq!(read(&small).unwrap(), b"{}");
    }
}
