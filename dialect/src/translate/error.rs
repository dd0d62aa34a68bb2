//! Why a request cannot be translated, and what was lost where it can.

use std::borrow::Cow;

use crate::ir::Str;
use crate::{ApiError, ErrorKind, PeekError};

/// Why a request cannot be translated. Always found before any upstream call (translation §2.8).
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TranslateError {
    /// The body is no request of the client's dialect.
    #[error(transparent)]
    Body(#[from] PeekError),
    /// A field has a type or value that no target takes.
    #[error("{message}")]
    Invalid {
        /// The field.
        param: Cow<'static, str>,
        /// What is wrong with it.
        message: String,
    },
    /// The request is larger than the target takes; another one may take it.
    #[error("prompt is too long: {bytes} bytes, this route takes {limit}")]
    TooLong {
        /// Its size, bytes.
        bytes: usize,
        /// What the target takes, bytes.
        limit: usize,
    },
    /// The target cannot do this; another one may.
    #[error("{message}")]
    Unsupported {
        /// The field.
        param: Cow<'static, str>,
        /// Why, and what to do instead.
        message: String,
    },
}

impl TranslateError {
    /// Whether another target may take the request: a combo then goes on to its next member.
    pub const fn is_target_specific(&self) -> bool {
        matches!(self, Self::Unsupported { .. } | Self::TooLong { .. })
    }

    /// The answer for the client: 400 in every dialect.
    pub fn to_api_error(&self, request_id: impl Into<String>) -> ApiError {
        let (kind, param, code) = match self {
            Self::Body(error) => return error.to_api_error(request_id),
            Self::Invalid { param, .. } => (ErrorKind::InvalidRequest, Some(param), None),
            Self::TooLong { .. } => (ErrorKind::ContextLength, None, None),
            Self::Unsupported { param, .. } => {
                (ErrorKind::InvalidRequest, Some(param), Some("unsupported_parameter"))
            }
        };
        ApiError {
            kind,
            status: None,
            code: code.map(Cow::Borrowed),
            param: param.map(|param| param.clone().into_owned()),
            message: self.to_string(),
            request_id: request_id.into(),
        }
    }
}

/// Something that did not survive translation unchanged. Recorded with the request.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Warning {
    /// What happened to it.
    pub kind: WarningKind,
    /// The field, as a path in the client's spelling (`top_k`, `tools[3].input_schema`).
    pub field: Str,
    /// From what to what, or why; never any content of the conversation.
    pub note: Cow<'static, str>,
}

/// What happened to a field.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum WarningKind {
    /// It was left out.
    Dropped,
    /// It goes by another name.
    Renamed,
    /// Its value was moved into the range that the target takes.
    Clamped,
    /// It was put another way, with some loss.
    Changed,
    /// Something was put in that the target needs and the client did not give.
    Added,
}

impl WarningKind {
    /// The word in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dropped => "dropped",
            Self::Renamed => "renamed",
            Self::Clamped => "clamped",
            Self::Changed => "changed",
            Self::Added => "added",
        }
    }
}

/// Warnings of one translation.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Warnings(Vec<Warning>);

impl Warnings {
    /// More of them tell nothing new; a request with ten thousand odd parts must not fill memory.
    const LIMIT: usize = 64;

    /// Notes one; repeated ones and those beyond the limit are forgotten.
    pub fn push(
        &mut self,
        kind: WarningKind,
        field: impl Into<Str>,
        note: impl Into<Cow<'static, str>>,
    ) {
        let warning = Warning { kind, field: field.into(), note: note.into() };
        if self.0.len() < Self::LIMIT && !self.0.contains(&warning) {
            self.0.push(warning);
        }
    }

    /// The warnings, in the order in which they came up.
    pub fn as_slice(&self) -> &[Warning] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_target_takes_is_told_apart_from_what_this_one_does_not() {
        let unsupported = TranslateError::Unsupported {
            param: "n".into(),
            message: "`n` above 1 is not supported by this route".into(),
        };
        assert!(unsupported.is_target_specific());
        let error = unsupported.to_api_error("req_1");
        assert_eq!(error.code.as_deref(), Some("unsupported_parameter"));
        assert_eq!(error.param.as_deref(), Some("n"));

        let invalid = TranslateError::from(PeekError::NoTurns("messages"));
        assert!(!invalid.is_target_specific());
        assert_eq!(invalid.to_api_error("req_1").param.as_deref(), Some("messages"));
    }

    #[test]
    fn warnings_are_few_and_differ() {
        let mut warnings = Warnings::default();
        for i in 0..200 {
            warnings.push(WarningKind::Dropped, format!("messages[{i}].x"), "unknown");
            warnings.push(WarningKind::Clamped, "temperature", "1.7 to 1");
        }
        assert_eq!(warnings.as_slice().len(), Warnings::LIMIT);
        let clamped = warnings.as_slice().iter().filter(|w| w.kind == WarningKind::Clamped);
        assert_eq!(clamped.count(), 1);
    }
}
