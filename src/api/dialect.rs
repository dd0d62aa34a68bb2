//! Dialects as the management API spells them.

use ninerouter_dialect::Dialect;

use crate::api::error::ApiError;

/// The dialect with this name. `path` is the member that holds it.
///
/// # Errors
/// 422 when there is no such dialect.
pub(super) fn named(path: &str, word: &str) -> Result<Dialect, ApiError> {
    match word {
        "openai" | "chat" => Ok(Dialect::Chat),
        "responses" | "resp" => Ok(Dialect::Resp),
        "anthropic" | "anth" => Ok(Dialect::Anth),
        "gemini" | "gem" => Ok(Dialect::Gem),
        _ => {
            let why = "expected one of `openai`, `responses`, `anthropic`, `gemini`";
            Err(ApiError::invalid(path, why))
        }
    }
}

/// Its name in replies.
pub(super) fn name(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Chat => "openai",
        Dialect::Resp => "responses",
        Dialect::Anth => "anthropic",
        Dialect::Gem => "gemini",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dialect_goes_by_its_name_and_nothing_else_is_one() {
        for dialect in [Dialect::Chat, Dialect::Resp, Dialect::Anth, Dialect::Gem] {
            assert_eq!(named("to", name(dialect)), Ok(dialect));
            assert_eq!(named("to", dialect.as_str()), Ok(dialect));
        }
        assert_eq!(named("to", "ollama").unwrap_err().status, 422);
    }
}
