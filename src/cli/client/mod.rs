//! The commands' way to the router: through its admin socket while it runs, else the same service in this process.

mod failed;
mod feed;
mod find;

use std::time::Duration;

use actix_web::rt::SystemRunner;
use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

pub use crate::cli::local::Access;
pub use failed::{Failed, INTERRUPTED, NO, Refusal};
pub use feed::Feed;
pub use find::{What, account_name, pick};

use crate::cli::fields::Fields;
use crate::cli::local::Local;
use crate::cli::start::StartError;
use crate::clock::Clock;
use crate::config::options::{Inputs, Options};
use crate::net::{LocalClient, LocalError, Place};
use crate::store::StoreError;

/// Longest wait for an answer: a test of an account asks its provider, which may take its time.
const ANSWER: Duration = Duration::from_secs(180);
/// A starting router holds the lock before it has its socket.
const STARTING: Duration = Duration::from_secs(3);
const STARTING_PAUSE: Duration = Duration::from_millis(100);
/// Objects per page of a list.
const PAGE: usize = 500;
/// Everything but what a path segment or a query value may hold as it is.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A connection to the service.
pub struct Client {
    door: Door,
    clock: Clock,
}

enum Door {
    Socket { runner: SystemRunner, client: LocalClient },
    Local(Local),
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("running", &self.is_running()).finish_non_exhaustive()
    }
}

/// A path segment or a query value.
#[must_use]
pub fn escape(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

/// A query of the values that are given, with its `?`; empty when none is.
#[must_use]
pub fn query(pairs: &[(&str, Option<&str>)]) -> String {
    let mut query = String::new();
    for (name, value) in pairs {
        if let Some(value) = value {
            query.push(if query.is_empty() { '?' } else { '&' });
            query.push_str(name);
            query.push('=');
            query.push_str(&escape(value));
        }
    }
    query
}

impl Client {
    /// Finds the running router, or opens the data folder.
    ///
    /// # Errors
    /// Neither can be had.
    pub fn open(options: &Options, inputs: &Inputs, access: Access) -> Result<Self, Failed> {
        let clock = Clock::System;
        let until = clock.now() + STARTING;
        loop {
            if let Some(door) = knock(options)? {
                return Ok(Self { door, clock });
            }
            refuse_foreign(options)?;
            match Local::open(options.clone(), inputs.clone(), Access::Write) {
                Ok(local) => return Ok(Self { door: Door::Local(local), clock }),
                Err(StartError::Store(StoreError::Locked { pid, .. })) => {
                    // Another command at work, or a router that is about to have its socket.
                    if clock.now() < until {
                        std::thread::park_timeout(STARTING_PAUSE);
                        continue;
                    }
                    if access == Access::Write {
                        return Err(Failed::NoSocket { pid });
                    }
                    let local = Local::open(options.clone(), inputs.clone(), Access::Read)?;
                    return Ok(Self { door: Door::Local(local), clock });
                }
                Err(other) => return Err(other.into()),
            }
        }
    }

    /// The running router, and nothing else.
    ///
    /// # Errors
    /// None runs.
    pub fn of_running(options: &Options) -> Result<Self, Failed> {
        let door = knock(options)?.ok_or(Failed::NotRunning)?;
        Ok(Self { door, clock: Clock::System })
    }

    /// True when a router runs and answers through its socket.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(self.door, Door::Socket { .. })
    }

    /// The source of time.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// One call of the API; the reply's object, null where there is none.
    ///
    /// # Errors
    /// The router refuses or does not answer.
    pub fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Failed> {
        let (status, body) = match &self.door {
            Door::Local(local) => {
                let reply = local.call(method, path, body);
                (reply.status, reply.into_json())
            }
            Door::Socket { runner, client } => {
                let silent = |error| Failed::Silent { place: client.place().clone(), error };
                let sent = runner.block_on(send(client, method, path, body)).map_err(silent)?;
                read(client.place(), sent)?
            }
        };
        match status {
            200..=299 => Ok(body.unwrap_or(Value::Null)),
            _ => Err(Failed::Refused(Box::new(Refusal::read(status, body)))),
        }
    }

    /// `GET`.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn get(&self, path: &str) -> Result<Value, Failed> {
        self.call("GET", path, None)
    }

    /// `POST`.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn post(&self, path: &str, body: &Value) -> Result<Value, Failed> {
        self.call("POST", path, Some(body))
    }

    /// `PATCH`.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn patch(&self, path: &str, body: &Value) -> Result<Value, Failed> {
        self.call("PATCH", path, Some(body))
    }

    /// `DELETE`.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn delete(&self, path: &str, body: Option<&Value>) -> Result<Value, Failed> {
        self.call("DELETE", path, body)
    }

    /// All pages of a list as one `{"data":[…],"next":null}`.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn list(&self, path: &str) -> Result<Value, Failed> {
        let mut all = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let more = if path.contains('?') { '&' } else { '?' };
            let next = cursor.map(|c| format!("&cursor={}", escape(&c))).unwrap_or_default();
            let mut page = self.get(&format!("{path}{more}limit={PAGE}{next}"))?;
            if let Some(Value::Array(items)) = page.get_mut("data") {
                all.append(items);
            }
            match page.text("/next") {
                "" => return Ok(json!({"data": all, "next": null})),
                next => cursor = Some(next.to_owned()),
            }
        }
    }

    /// Lets the service of this process go on by itself for a while.
    pub fn rest(&self, span: Duration) {
        match &self.door {
            Door::Socket { .. } => {}
            Door::Local(local) => local.rest(span),
        }
    }

    /// Ends the service of this process: everything is on the disk when this returns.
    pub fn close(self) {
        match self.door {
            Door::Socket { .. } => {}
            Door::Local(local) => local.close(),
        }
    }
}

type Answer = (u16, Vec<u8>);

async fn send(
    client: &LocalClient,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<Answer, LocalError> {
    use actix_web::http::Method;
    use actix_web::http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
    let json = HeaderValue::from_static("application/json");
    let headers = [(ACCEPT, json.clone()), (CONTENT_TYPE, json)];
    let method = Method::from_bytes(method.as_bytes()).unwrap_or(Method::GET);
    let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
    let headers = if body.is_empty() { headers.get(..1).unwrap_or_default() } else { &headers };
    let reply = client.send(method, path, headers, body, ANSWER).await?;
    let status = reply.status().as_u16();
    Ok((status, reply.body().await?))
}

fn read(place: &Place, (status, body): Answer) -> Result<(u16, Option<Value>), Failed> {
    if body.is_empty() {
        return Ok((status, None));
    }
    match serde_json::from_slice(&body) {
        Ok(value) => Ok((status, Some(value))),
        Err(error) => Err(Failed::Garbled {
            place: place.to_string(),
            why: format!("status {status}, {error}"),
        }),
    }
}

/// The running router, when one answers at the socket.
fn knock(options: &Options) -> Result<Option<Door>, Failed> {
    let Some(path) = &options.admin_socket else { return Ok(None) };
    let place = Place::Unix(path.clone());
    let runner = actix_web::rt::System::new();
    let client = runner.block_on(async { LocalClient::new(place.clone()) });
    match runner.block_on(client.probe()) {
        Ok(()) => Ok(Some(Door::Socket { runner, client })),
        Err(error) if error.is_absent() => Ok(None),
        Err(error) if error.is_forbidden() => {
            Err(Failed::Foreign { socket: path.clone(), owner: owner(path) })
        }
        Err(error) => Err(Failed::Silent { place, error }),
    }
}

/// What a command would create must belong to the user the router runs as.
pub(in crate::cli) fn refuse_foreign(options: &Options) -> Result<(), Failed> {
    use std::os::unix::fs::MetadataExt;
    let Ok(meta) = std::fs::metadata(&options.data_dir) else { return Ok(()) };
    if meta.uid() == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    Err(Failed::Foreign { socket: options.data_dir.clone(), owner: owner(&options.data_dir) })
}

/// Name of the user a file belongs to, or `#uid` as sudo takes it.
fn owner(path: &std::path::Path) -> String {
    use std::os::unix::fs::MetadataExt;
    let Ok(meta) = std::fs::metadata(path) else { return "USER".to_owned() };
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let uid = meta.uid().to_string();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| format!("'#{uid}'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type_cannot_leave_its_place_in_a_path() {
        assert_eq!(escape("a/b?c=d&é ..%"), "a%2Fb%3Fc%3Dd%26%C3%A9%20..%25");
        assert_eq!(escape("glm-4.7_x~"), "glm-4.7_x~");
        assert_eq!(query(&[("a", None), ("q", Some("x&y")), ("p", Some("1"))]), "?q=x%26y&p=1");
        assert_eq!(query(&[("a", None)]), "");
    }
}
