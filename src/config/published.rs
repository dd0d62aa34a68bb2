//! Secrets anybody can look up (B1) and passwords everybody tries first (B3).

use crate::config::dotenv::is_name;

/// Values that were the default of a released program, or stand in its example files.
const PUBLISHED: &[&str] = &[
    "9router-default-secret-change-me",
    "endpoint-proxy-api-key-secret",
    "endpoint-proxy-salt",
    "changeme",
    "secret",
];

/// Shortest secret that is taken, in bytes.
const SHORTEST: usize = 16;

/// One password per line, lower case.
const COMMON_PASSWORDS: &str = include_str!("../../assets/common-passwords.txt");

/// True for a secret that protects nothing: published, a placeholder, or shorter than 16 bytes (B1).
#[must_use]
pub fn is_published(secret: &str) -> bool {
    let lower = secret.trim().to_ascii_lowercase();
    secret.len() < SHORTEST || PUBLISHED.contains(&lower.as_str()) || is_placeholder(&lower)
}

/// True for a password on the common list, case-insensitive (SEC-PW-2).
#[must_use]
pub fn is_common_password(password: &str) -> bool {
    let lower = password.trim().to_ascii_lowercase();
    let one_character = {
        let mut chars = lower.chars();
        let first = chars.next();
        chars.all(|c| Some(c) == first)
    };
    one_character || is_placeholder(&lower) || COMMON_PASSWORDS.lines().any(|line| line == lower)
}

/// `change-me…` and its spellings, and `${NAME}` that nothing filled in.
fn is_placeholder(lower: &str) -> bool {
    let squeezed: String = lower.chars().filter(char::is_ascii_alphanumeric).collect();
    let unfilled = lower.strip_prefix("${").and_then(|s| s.strip_suffix('}')).is_some_and(is_name);
    squeezed.starts_with("changeme") || unfilled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t_boot_01_published_values_are_found() {
        for secret in [
            "9router-default-secret-change-me",
            "endpoint-proxy-api-key-secret",
            "endpoint-proxy-salt",
            "changeme",
            "CHANGEME",
            "secret",
            "change-me-to-a-long-random-value",
            "CHANGE_ME_PLEASE_0123456789",
            "change me 0123456789 0123456789",
            "fifteen-bytes-x",
            "",
            "${JWT_SECRET_OF_ANOTHER_FILE}",
        ] {
            assert!(is_published(secret), "{secret}");
        }
        for secret in ["sixteen-bytes-xx", "3f0c9d1be44a4c0f9a6e", "please-do-not-change-me-again"]
        {
            assert!(!is_published(secret), "{secret}");
        }
    }

    #[test]
    fn t_boot_03_common_passwords_are_found() {
        assert!(COMMON_PASSWORDS.lines().count() >= 100);
        for password in
            ["123456", "password", "Password", "ninerouter", "9router", "aaaaaaaa", "CHANGEME", ""]
        {
            assert!(is_common_password(password), "{password}");
        }
        assert!(!is_common_password("correct horse battery"));
    }
}
