//! Refusals of the management API, in the shape of `api.md` §1.

use serde_json::{Map, Value, json};
use tracing::error;

use crate::config::file::FileError;
use crate::store::StoreError;

/// Why a call was refused. Its text holds no secret.
#[derive(Clone, PartialEq, Debug)]
pub struct ApiError {
    /// HTTP status.
    pub status: u16,
    /// Word for programs.
    pub code: &'static str,
    /// Cause and remedy, for people.
    pub message: String,
    /// What goes beyond that.
    pub details: Box<Details>,
}

/// Parts of a refusal that few have.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Details {
    /// Path of a member, and what is wrong with it.
    pub fields: Map<String, Value>,
    /// Further members of the error object: `current`, `used_by`, `allow` …
    pub more: Map<String, Value>,
}

impl ApiError {
    /// A refusal without details.
    #[must_use]
    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { status, code, message, details: Box::default() }
    }

    /// The body is no JSON, or not of the expected shape at its top.
    #[must_use]
    pub fn invalid_json(message: impl Into<String>) -> Self {
        Self::new(400, "invalid_json", message)
    }

    /// A member nobody knows.
    #[must_use]
    pub fn unknown_field(path: &str, message: impl Into<String>) -> Self {
        Self::new(400, "unknown_field", message).field(path, "unknown member")
    }

    /// No such object.
    #[must_use]
    pub fn not_found(what: &str, id: &str) -> Self {
        Self::new(404, "not_found", format!("there is no {what} `{}`", shown(id)))
    }

    /// One member is wrong.
    #[must_use]
    pub fn invalid(path: &str, why: impl Into<String>) -> Self {
        let why = why.into();
        let place = if path.is_empty() { why.clone() } else { format!("`{path}`: {why}") };
        Self::new(422, "validation_failed", place).field(path, why)
    }

    /// Somebody else changed the object since it was read.
    #[must_use]
    pub fn conflict(current: Value) -> Self {
        Self::new(
            409,
            "conflict",
            "it was changed meanwhile; look at `current` and send your change again with its `rev`",
        )
        .with("current", current)
    }

    /// Other objects hang on it.
    #[must_use]
    pub fn in_use(message: impl Into<String>, used_by: Vec<Value>) -> Self {
        Self::new(409, "in_use", message).with("used_by", used_by.into())
    }

    /// The config file owns the object.
    #[must_use]
    pub fn managed(what: &str) -> Self {
        let message = format!(
            "this {what} is set by the config file; change it there and reload (`ninerouter config apply`)"
        );
        Self::new(403, "managed_by_config_file", message)
    }

    /// The password must be entered again first (class `Sudo`).
    #[must_use]
    pub fn sudo_required() -> Self {
        let message = "this changes who may do what: enter the password again (`POST /api/auth/sudo`), then repeat it";
        Self::new(428, "sudo_required", message)
    }

    /// The session began with a default password, and another one must be chosen first (security §5.2).
    #[must_use]
    pub fn password_change_required() -> Self {
        let message = "choose a password first (`POST /api/auth/password`, or the dashboard)";
        Self::new(403, "password_change_required", message)
    }

    /// Nobody is signed in.
    #[must_use]
    pub fn not_signed_in() -> Self {
        Self::new(401, "not_signed_in", "sign in at `/login`")
    }

    /// Our own pages did not send this (SEC-CSRF-1).
    #[must_use]
    pub fn csrf_failed() -> Self {
        let message = "this did not come from the dashboard of this router, or its page is out of date: reload it; \
                       scripts send the `csrf_token` of `GET /api/auth/session` as `X-CSRF-Token`";
        Self::new(403, "csrf_failed", message)
    }

    /// Too many attempts.
    #[must_use]
    pub fn rate_limited(retry_after_s: u32) -> Self {
        let message = format!("too many attempts; try again in {retry_after_s} s");
        Self::new(429, "rate_limited", message).with("retry_after_s", retry_after_s.into())
    }

    /// What would be done could not be noted in the audit log (SEC-AUD-6).
    #[must_use]
    pub fn audit_unavailable() -> Self {
        let message = "the audit log cannot be written now, and this must be noted there: nothing was changed; \
                       make room on the disk (see the server's log) and repeat it";
        Self::new(503, "audit_unavailable", message)
    }

    /// The service cannot do this now.
    #[must_use]
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(503, "unavailable", message)
    }

    /// Notes what is wrong with a member.
    #[must_use]
    pub fn field(mut self, path: &str, why: impl Into<String>) -> Self {
        self.details.fields.insert(path.to_owned(), Value::String(why.into()));
        self
    }

    /// Adds a member to the error object.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.details.more.insert(name.to_owned(), value);
        self
    }

    /// The body of the reply.
    #[must_use]
    pub fn to_json(&self, request_id: &str) -> Value {
        let mut error = Map::new();
        error.insert("code".to_owned(), self.code.into());
        error.insert("message".to_owned(), self.message.clone().into());
        if !self.details.fields.is_empty() {
            error.insert("fields".to_owned(), self.details.fields.clone().into());
        }
        error.extend(self.details.more.clone());
        error.insert("request_id".to_owned(), request_id.into());
        json!({ "error": error })
    }
}

/// A part of a request as an error repeats it: short, without control characters.
pub(super) fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

impl From<StoreError> for ApiError {
    fn from(store: StoreError) -> Self {
        match &store {
            StoreError::NotFound { .. } => {
                Self::new(404, "not_found", "it does not exist, or was removed meanwhile")
            }
            StoreError::Conflict { .. } | StoreError::Stale(_) => Self::new(
                409,
                "conflict",
                "it was changed meanwhile; read it again and repeat the change",
            ),
            StoreError::InUse { by, .. } => {
                let by = by.iter().map(|user| Value::from(user.as_str()));
                Self::in_use(store.to_string(), by.collect())
            }
            StoreError::Duplicate(columns) => {
                // `combos.name`: the column is the member's name.
                let member = columns.split(", ").last().unwrap_or(columns);
                let member = member.rsplit('.').next().unwrap_or(member);
                Self::invalid(member, "is taken; choose another")
            }
            StoreError::Constraint(_) | StoreError::Invalid { .. } => {
                Self::new(422, "validation_failed", format!("the database refused it: {store}"))
            }
            StoreError::DiskFull(_) => {
                Self::new(507, "storage_full", "the disk is full; make room and try again")
            }
            StoreError::NoRoom { .. } => Self::new(507, "storage_full", store.to_string()),
            StoreError::Unusable { .. } | StoreError::Newer { .. } => {
                Self::new(422, "validation_failed", store.to_string())
            }
            StoreError::SecretsUnreadable | StoreError::Unsealable { .. } => Self::new(
                503,
                "db_unavailable",
                "stored credentials cannot be read with this master key; put the right key back",
            ),
            _ => {
                error!(error = %store, "a management call could not use the database");
                Self::new(503, "db_unavailable", format!("the database cannot be used: {store}"))
            }
        }
    }
}

/// Mistakes in an object that the config file's reader found: an unknown member is 400, all else 422.
impl From<Vec<FileError>> for ApiError {
    fn from(mistakes: Vec<FileError>) -> Self {
        let first = mistakes.iter().find(|m| m.unknown_member).or(mistakes.first());
        let Some(first) = first else {
            return Self::new(422, "validation_failed", "the object is not valid");
        };
        let (status, code) = match first.unknown_member {
            true => (400, "unknown_field"),
            false => (422, "validation_failed"),
        };
        let mut error = Self::new(status, code, first.message.clone());
        for mistake in &mistakes {
            error = error.field(&mistake.path, mistake.message.clone());
        }
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_object_has_the_documented_members() {
        let error = ApiError::invalid("rpm", "must be 1 or more").to_json("req_1");
        assert_eq!(
            error,
            json!({"error": {"code": "validation_failed", "message": "`rpm`: must be 1 or more",
                "fields": {"rpm": "must be 1 or more"}, "request_id": "req_1"}})
        );
        let error = ApiError::conflict(json!({"rev": 4})).to_json("req_2");
        assert_eq!(error["error"]["current"]["rev"], 4);
        assert_eq!(error["error"].get("fields"), None);
    }

    #[test]
    fn a_taken_name_says_which_member() {
        let error = ApiError::from(StoreError::Duplicate("combos.name".into()));
        assert_eq!((error.status, error.code), (422, "validation_failed"));
        assert!(error.details.fields.contains_key("name"));
        let pair =
            ApiError::from(StoreError::Duplicate("accounts.provider, accounts.label".into()));
        assert!(pair.details.fields.contains_key("label"), "{pair:?}");
    }

    #[test]
    fn what_is_repeated_is_short_and_printable() {
        let long = format!("a\r\nb{}", "x".repeat(200));
        let error = ApiError::not_found("combo", &long);
        assert!(error.message.len() < 120 && !error.message.contains('\n'));
    }
}
