//! Long lists as files: one object a line, read page by page as the client takes them.

use bytes::Bytes;
use futures_util::stream;
use serde_json::{Value, json};
use tracing::warn;

use crate::api::call::Parts;
use crate::store::StoreError;

/// Media type of one JSON object a line.
pub(super) const NDJSON: &str = "application/x-ndjson";

/// Objects of a page, and where the next one begins; `None` = this is the last.
pub(super) type Page<C> = Result<(Vec<Value>, Option<C>), StoreError>;

/// A file of all pages. `fetch` blocks; it runs on the blocking pool, one page at a time, and no more once the client has
/// gone. A failure is told in the last line: the status has long been sent.
pub(super) fn pages<C, F>(first: C, fetch: F) -> Parts
where
    C: Send + 'static,
    F: FnMut(C) -> Page<C> + Send + 'static,
{
    Box::pin(stream::unfold(Some((first, fetch)), |state| async move {
        let (at, mut fetch) = state?;
        let read = tokio::task::spawn_blocking(move || (fetch(at), fetch)).await;
        match read {
            Ok((Ok((items, next)), fetch)) => Some((lines(&items), next.map(|at| (at, fetch)))),
            Ok((Err(error), _)) => {
                warn!(%error, "an export broke off");
                Some((broken(&error.to_string()), None))
            }
            Err(error) => {
                warn!(%error, "an export broke off");
                Some((broken("it failed inside the router"), None))
            }
        }
    }))
}

fn lines(items: &[Value]) -> Bytes {
    let mut text = String::new();
    for item in items {
        text.push_str(&item.to_string());
        text.push('\n');
    }
    text.into()
}

fn broken(why: &str) -> Bytes {
    let message = format!("the list breaks off here: {why}");
    lines(&[json!({"error": {"code": "incomplete", "message": message}})])
}
