//! Local references: `#/$defs/X` and any other JSON pointer into the same schema.

use percent_encoding::percent_decode_str;
use serde_json::Value;

/// What a local reference points at.
pub(super) fn resolve<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    let fragment = reference.strip_prefix('#')?;
    let pointer = percent_decode_str(fragment).decode_utf8().ok()?;
    root.pointer(&pointer)
}

/// The last word of a reference, for people.
pub(super) fn name(reference: &str) -> &str {
    let last = reference.rsplit(['/', '#']).next().unwrap_or_default();
    if last.is_empty() { "root" } else { last }
}
