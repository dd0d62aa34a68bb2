//! Codes and tokens of the simulated vendor: single use, PKCE, rotation, reuse revokes the family.

use std::collections::{HashMap, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::clock::UnixMs;

/// How long a code can be exchanged.
const CODE_LIFE_MS: i64 = 10 * 60 * 1000;

/// What a person agreed to at the authorize page.
#[derive(Clone, Debug)]
pub(super) struct Consent {
    pub(super) person: String,
    pub(super) client_id: String,
    pub(super) redirect_uri: String,
    pub(super) challenge: String,
    pub(super) scope: String,
    pub(super) state: String,
}

/// What a client sends to exchange a code.
#[derive(Clone, Debug, Default)]
pub(super) struct Exchange {
    pub(super) code: String,
    pub(super) client_id: String,
    pub(super) redirect_uri: String,
    pub(super) verifier: String,
    pub(super) state: String,
}

#[derive(Debug)]
struct Code {
    consent: Consent,
    expires_at: UnixMs,
    spent: bool,
}

/// All tokens that came from one sign-in.
#[derive(Debug)]
struct Family {
    person: String,
    client_id: String,
    scope: String,
    /// The one refresh token that is good; absent for a token that cannot be refreshed.
    refresh: Option<String>,
    spent: HashSet<String>,
    revoked: bool,
}

#[derive(Debug)]
struct Access {
    family: usize,
    expires_at: UnixMs,
}

/// Tokens as they are handed out.
#[derive(Clone, Debug)]
pub(super) struct Granted {
    pub(super) person: String,
    pub(super) scope: String,
    pub(super) access: String,
    pub(super) refresh: Option<String>,
}

/// Why a code or a refresh token is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Unknown, expired, of another client, or with a wrong verifier.
    Invalid(&'static str),
    /// Used before; its family is revoked now.
    Reused,
}

/// What an access token is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Live { person: String, scope: String },
    Expired,
    Revoked,
    Unknown,
}

/// Everything handed out so far.
#[derive(Debug)]
pub(super) struct Grants {
    seed: [u8; 32],
    made: u64,
    codes: HashMap<String, Code>,
    families: Vec<Family>,
    access: HashMap<String, Access>,
}

impl Grants {
    /// `seed` makes the tokens of this vendor unlike those of any other.
    pub(super) fn new(seed: [u8; 32]) -> Self {
        let (codes, access) = (HashMap::new(), HashMap::new());
        Self { seed, made: 0, codes, families: Vec::new(), access }
    }

    pub(super) fn code(&mut self, consent: Consent, now: UnixMs) -> String {
        let code = self.text("code-sim-");
        let expires_at = now + CODE_LIFE_MS;
        self.codes.insert(code.clone(), Code { consent, expires_at, spent: false });
        code
    }

    pub(super) fn exchange(
        &mut self,
        ask: &Exchange,
        now: UnixMs,
        life_ms: i64,
    ) -> Result<Granted, Refused> {
        let Some(code) = self.codes.get_mut(&ask.code) else {
            return Err(Refused::Invalid("Invalid authorization code"));
        };
        if code.spent {
            return Err(Refused::Reused);
        }
        // A wrong try spends the code too.
        code.spent = true;
        let consent = code.consent.clone();
        let wrong = [
            (code.expires_at <= now, "Authorization code has expired"),
            (consent.client_id != ask.client_id, "Wrong client"),
            (consent.redirect_uri != ask.redirect_uri, "redirect_uri differs"),
            (consent.state != ask.state, "state differs"),
            (consent.challenge != challenge(&ask.verifier), "code_verifier does not match"),
        ];
        if let Some((_, why)) = wrong.iter().find(|(wrong, _)| *wrong) {
            return Err(Refused::Invalid(why));
        }
        let Consent { person, client_id, scope, .. } = consent;
        Ok(self.issue(person, client_id, scope, true, now + life_ms))
    }

    pub(super) fn refresh(
        &mut self,
        token: &str,
        client_id: &str,
        now: UnixMs,
        life_ms: i64,
    ) -> Result<Granted, Refused> {
        if let Some(family) = self.families.iter_mut().find(|f| f.spent.contains(token)) {
            family.revoked = true;
            return Err(Refused::Reused);
        }
        let known = |f: &Family| f.refresh.as_deref() == Some(token) && f.client_id == client_id;
        let Some(at) = self.families.iter().position(known) else {
            return Err(Refused::Invalid("Refresh token not found or invalid"));
        };
        let next = self.text("sk-ant-ort01-sim-");
        let access = self.text("sk-ant-oat01-sim-");
        let Some(family) = self.families.get_mut(at).filter(|f| !f.revoked) else {
            return Err(Refused::Invalid("Refresh token has been revoked"));
        };
        family.spent.insert(token.to_owned());
        family.refresh = Some(next.clone());
        let (person, scope) = (family.person.clone(), family.scope.clone());
        self.access.insert(access.clone(), Access { family: at, expires_at: now + life_ms });
        Ok(Granted { person, scope, access, refresh: Some(next) })
    }

    /// A new family of tokens.
    pub(super) fn issue(
        &mut self,
        person: String,
        client_id: String,
        scope: String,
        refreshable: bool,
        expires_at: UnixMs,
    ) -> Granted {
        let access = self.text("sk-ant-oat01-sim-");
        let refresh = refreshable.then(|| self.text("sk-ant-ort01-sim-"));
        self.access.insert(access.clone(), Access { family: self.families.len(), expires_at });
        self.families.push(Family {
            person: person.clone(),
            client_id,
            scope: scope.clone(),
            refresh: refresh.clone(),
            spent: HashSet::new(),
            revoked: false,
        });
        Granted { person, scope, access, refresh }
    }

    pub(super) fn standing(&self, access: &str, now: UnixMs) -> Standing {
        let Some(token) = self.access.get(access) else { return Standing::Unknown };
        match self.families.get(token.family) {
            None => Standing::Unknown,
            Some(family) if family.revoked => Standing::Revoked,
            Some(_) if token.expires_at <= now => Standing::Expired,
            Some(family) => {
                Standing::Live { person: family.person.clone(), scope: family.scope.clone() }
            }
        }
    }

    /// Makes every access token handed out so far expired; refresh tokens stay good.
    pub(super) fn expire_access(&mut self) {
        for token in self.access.values_mut() {
            token.expires_at = UnixMs::MIN;
        }
    }

    /// Makes every token of a person worthless.
    pub(super) fn revoke(&mut self, person: &str) {
        for family in self.families.iter_mut().filter(|f| f.person == person) {
            family.revoked = true;
        }
    }

    /// Every token and code so far: what a search for leaks looks for.
    pub(super) fn secrets(&self) -> Vec<String> {
        let refresh = self.families.iter().flat_map(|f| f.refresh.iter().chain(&f.spent));
        self.codes.keys().chain(self.access.keys()).chain(refresh).cloned().collect()
    }

    pub(super) fn text(&mut self, prefix: &str) -> String {
        self.made += 1;
        let mut hash = Sha256::new_with_prefix(self.seed);
        hash.update(self.made.to_le_bytes());
        format!("{prefix}{}", URL_SAFE_NO_PAD.encode(hash.finalize()))
    }
}

/// S256 of RFC 7636.
fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: i64 = 1_000;

    fn signed_in() -> (Grants, Exchange) {
        let mut grants = Grants::new([7; 32]);
        let consent = Consent {
            person: "p".into(),
            client_id: "c".into(),
            redirect_uri: "http://localhost:1/callback".into(),
            challenge: challenge("v"),
            scope: "s".into(),
            state: "st".into(),
        };
        let ask = Exchange {
            code: grants.code(consent, 0),
            client_id: "c".into(),
            redirect_uri: "http://localhost:1/callback".into(),
            verifier: "v".into(),
            state: "st".into(),
        };
        (grants, ask)
    }

    #[test]
    fn code_is_exchanged_once_and_only_with_everything_right() {
        let changes: [fn(&mut Exchange); 5] = [
            |a| a.client_id.push('x'),
            |a| a.redirect_uri.push('x'),
            |a| a.verifier.push('x'),
            |a| a.state.clear(),
            |a| a.code.push('x'),
        ];
        for change in changes {
            let (mut grants, mut ask) = signed_in();
            change(&mut ask);
            assert!(matches!(grants.exchange(&ask, 0, LIFE), Err(Refused::Invalid(_))), "{ask:?}");
        }
        let (mut grants, ask) = signed_in();
        assert!(grants.exchange(&ask, CODE_LIFE_MS, LIFE).is_err(), "expired");
        let (mut grants, ask) = signed_in();
        assert!(grants.exchange(&ask, 0, LIFE).is_ok());
        assert_eq!(grants.exchange(&ask, 0, LIFE).unwrap_err(), Refused::Reused);
    }

    #[test]
    fn refresh_rotates_and_a_reused_token_revokes_its_family() {
        let (mut grants, ask) = signed_in();
        let first = grants.exchange(&ask, 0, LIFE).unwrap();
        let old = first.refresh.unwrap();
        let second = grants.refresh(&old, "c", 0, LIFE).unwrap();
        let live = Standing::Live { person: "p".into(), scope: "s".into() };
        assert_eq!(grants.standing(&first.access, 0), live, "the old access token lives on");
        assert_eq!(grants.standing(&second.access, LIFE), Standing::Expired);
        assert_eq!(grants.refresh(&old, "c", 0, LIFE).unwrap_err(), Refused::Reused);
        assert_eq!(grants.standing(&second.access, 0), Standing::Revoked);
        let good = second.refresh.unwrap();
        assert!(matches!(grants.refresh(&good, "c", 0, LIFE), Err(Refused::Invalid(_))));
    }
}
