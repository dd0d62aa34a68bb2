//! The cookies of the dashboard: their names, their attributes, and how a request's are read (SEC-SES-2).

use std::time::Duration;

use actix_web::http::header::HeaderMap;

use crate::secret::Secret;

/// Holds the session's token.
const SESSION: &str = "auth_token";
/// The same over https: a browser takes it from this host alone.
const SESSION_SECURE: &str = "__Host-auth_token";
/// Half of the sign-in form's double submit (SEC-CSRF-3).
const PRE_SESSION: &str = "nr_pre";

/// Values of a request that may be a session's token, the ones only this host can have set first. Another site of the
/// same domain can add cookies of its own: whoever asks takes the first that is valid (T-SES-05).
pub fn session_tokens(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    values(headers, SESSION_SECURE).chain(values(headers, SESSION))
}

/// Values of a request that may be the sign-in form's own.
pub fn pre_session(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    values(headers, PRE_SESSION)
}

/// `Set-Cookie` for a session's token.
#[must_use]
pub fn set_session(token: &Secret, life: Duration, secure: bool) -> String {
    let (name, attribute) = named(secure);
    let (token, life) = (token.expose(), life.as_secs());
    format!("{name}={token}; Path=/; Max-Age={life}; HttpOnly; SameSite=Lax{attribute}")
}

/// `Set-Cookie` lines that make a browser forget the session, under both names (SEC-SES-4).
#[must_use]
pub fn clear_session() -> [String; 2] {
    let plain = format!("{SESSION}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
    // A browser takes the prefixed name only together with `Secure`.
    let secure = format!("{SESSION_SECURE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure");
    [plain, secure]
}

/// `Set-Cookie` for the sign-in form.
#[must_use]
pub fn set_pre_session(value: &str, life: Duration, secure: bool) -> String {
    let attribute = if secure { "; Secure" } else { "" };
    let life = life.as_secs();
    format!("{PRE_SESSION}={value}; Path=/; Max-Age={life}; HttpOnly; SameSite=Strict{attribute}")
}

fn named(secure: bool) -> (&'static str, &'static str) {
    if secure { (SESSION_SECURE, "; Secure") } else { (SESSION, "") }
}

/// Values of every cookie with this name, in the order they were sent. Other cookies may be as broken as they like.
fn values<'a>(headers: &'a HeaderMap, name: &'static str) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all("cookie").filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
    pairs.filter(move |(found, _)| found.trim() == name).map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::candidate::tests::headers;

    #[test]
    fn t_ses_05_every_cookie_of_the_name_is_looked_at() {
        let sent = headers(&[
            ("cookie", "theme=dark; auth_token=one; broken; =; auth_token = two"),
            ("cookie", "__Host-auth_token=three;;auth_token="),
            ("cookie", "my_auth_token=four; AUTH_TOKEN=five"),
        ]);
        assert_eq!(session_tokens(&sent).collect::<Vec<_>>(), ["three", "one", "two", ""]);
        assert_eq!(session_tokens(&headers(&[])).count(), 0);
    }

    #[test]
    fn t_ses_04_name_and_attributes_follow_the_connection() {
        let token = Secret::new("a.b.c".into());
        let day = Duration::from_secs(86_400);
        assert_eq!(
            set_session(&token, day, false),
            "auth_token=a.b.c; Path=/; Max-Age=86400; HttpOnly; SameSite=Lax"
        );
        assert_eq!(
            set_session(&token, day, true),
            "__Host-auth_token=a.b.c; Path=/; Max-Age=86400; HttpOnly; SameSite=Lax; Secure"
        );
        let pre = set_pre_session("x", Duration::from_secs(600), false);
        assert_eq!(pre, "nr_pre=x; Path=/; Max-Age=600; HttpOnly; SameSite=Strict");
        for line in clear_session() {
            assert!(line.contains("=; Path=/; Max-Age=0;") && !line.contains("Domain"), "{line}");
        }
    }
}
