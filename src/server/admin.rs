//! The admin socket: the management API for commands of the server's own user (SEC-ROUTE-5).

use std::convert::Infallible;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::http::header::{self, ContentDisposition, HeaderMap};
use actix_web::rt::net;
use actix_web::web::{self, Payload};
use actix_web::{App, HttpRequest, HttpResponse, HttpResponseBuilder, HttpServer};
use futures_util::{FutureExt, StreamExt};
use rustix::fs::Mode;
use tracing::{error, warn};

use crate::api::{Api, ApiError, Body, Reply, Request, Service, too_large};
use crate::auth::audit::Caller;
use crate::id::request::request_id;

/// Longest path the system takes for a socket, bytes.
pub const LONGEST_PATH: usize = 107;
/// A head, and each part of a body, must arrive in this time.
const SILENCE: Duration = Duration::from_secs(10);
/// Commands at a time.
const CONNECTIONS: usize = 64;
/// What running calls get at a stop.
const LAST_CALLS: u64 = 5;

/// The socket cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum AdminSocketError {
    /// The path is too long for the system.
    #[error(
        "the path of the admin socket has {0} bytes, the system takes {LONGEST_PATH}; set \
         `NINEROUTER_ADMIN_SOCKET` to a shorter path (empty = no socket)"
    )]
    TooLong(usize),
    /// Something that is no socket has this name.
    #[error(
        "`{}` exists and is no socket; remove it, or set `NINEROUTER_ADMIN_SOCKET` to another path",
        .0.display()
    )]
    NotASocket(PathBuf),
    /// Another process listens there.
    #[error(
        "another process answers on the admin socket `{}`; stop it, or set \
         `NINEROUTER_ADMIN_SOCKET` to another path",
        .0.display()
    )]
    Taken(PathBuf),
    /// The system refuses.
    #[error(
        "cannot make the admin socket `{}`: {error}; set `NINEROUTER_ADMIN_SOCKET` to another path \
         (empty = no socket)",
        path.display()
    )]
    System {
        /// Where.
        path: PathBuf,
        /// Its reason.
        error: io::Error,
    },
}

/// A bound socket; its file goes when it is dropped.
#[derive(Debug)]
pub struct AdminSocket {
    listener: UnixListener,
    file: SocketFile,
}

/// The name in the file system. Removed only while it is still this socket's.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    inode: Option<(u64, u64)>,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.inode.is_some() && inode(&self.path) == self.inode {
            // It is gone or it stays and is replaced at the next start.
            drop(fs::remove_file(&self.path));
        }
    }
}

fn inode(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

impl AdminSocket {
    /// Binds the socket with mode 0600, in place of one that a killed process left behind.
    ///
    /// # Errors
    /// See [`AdminSocketError`].
    pub fn bind(path: &Path) -> Result<Self, AdminSocketError> {
        let length = path.as_os_str().len();
        if length > LONGEST_PATH {
            return Err(AdminSocketError::TooLong(length));
        }
        let system = |error| AdminSocketError::System { path: path.to_owned(), error };
        if let Ok(meta) = fs::symlink_metadata(path) {
            if !meta.file_type().is_socket() {
                return Err(AdminSocketError::NotASocket(path.to_owned()));
            }
            match UnixStream::connect(path) {
                Err(why) if why.kind() == io::ErrorKind::ConnectionRefused => {
                    fs::remove_file(path).map_err(system)?;
                }
                Ok(_answers) => return Err(AdminSocketError::Taken(path.to_owned())),
                Err(why) => return Err(system(why)),
            }
        }
        // Closed to others from its first moment on: a mode that is set afterwards comes too late. What another
        // thread makes meanwhile is closed as well, never open.
        let usual = rustix::process::umask(Mode::from_raw_mode(0o177));
        let bound = UnixListener::bind(path);
        rustix::process::umask(usual);
        let listener = bound.map_err(system)?;
        listener.set_nonblocking(true).map_err(system)?;
        let file = SocketFile { path: path.to_owned(), inode: inode(path) };
        Ok(Self { listener, file })
    }

    /// Serves the API on a thread of its own until [`AdminServer::stop`].
    ///
    /// # Errors
    /// When the listener cannot be used.
    pub fn serve(self, service: Service) -> io::Result<AdminServer> {
        let own = rustix::process::geteuid().as_raw();
        let factory = move || {
            let api = Rc::new(Api::new(service.clone()));
            App::new().default_service(web::to(move |http, payload| {
                dispatch(Rc::clone(&api), own, http, payload)
            }))
        };
        let server = HttpServer::new(factory)
            .workers(1)
            .max_connections(CONNECTIONS)
            .client_request_timeout(SILENCE)
            .on_connect(|socket, data| {
                if let Some(socket) = socket.downcast_ref::<net::UnixStream>() {
                    data.insert(Peer(socket.peer_cred().ok().map(|cred| cred.uid())));
                }
            })
            .disable_signals()
            .shutdown_timeout(LAST_CALLS)
            .listen_uds(self.listener)?
            .run();
        let handle = server.handle();
        let task = actix_web::rt::spawn(server);
        Ok(AdminServer { handle, task, _file: self.file })
    }
}

/// The socket while it is served.
#[derive(Debug)]
pub struct AdminServer {
    handle: actix_web::dev::ServerHandle,
    task: tokio::task::JoinHandle<io::Result<()>>,
    _file: SocketFile,
}

impl AdminServer {
    /// Takes no more calls, lets those that run end, and removes the socket.
    pub async fn stop(self) {
        self.handle.stop(true).await;
        self.task.abort();
    }
}

/// User id of the process at the other end, as the system knows it.
struct Peer(Option<u32>);

async fn dispatch(api: Rc<Api>, own: u32, http: HttpRequest, payload: Payload) -> HttpResponse {
    let id = request_id(http.headers().get("x-request-id").and_then(|v| v.to_str().ok()));
    let is_head = http.method() == Method::HEAD;
    let work = answer(api, own, http, payload, id.clone());
    let reply = match AssertUnwindSafe(work).catch_unwind().await {
        Ok(Ok(reply)) => reply,
        Ok(Err(refusal)) => Reply::refused(&refusal, &id),
        Err(_panic) => {
            error!(request.id = %id, "a management call panicked");
            let why = "the call failed inside the router; see its log";
            Reply::refused(&ApiError::new(500, "internal", why), &id)
        }
    };
    response(reply, is_head, &id)
}

async fn answer(
    api: Rc<Api>,
    own: u32,
    http: HttpRequest,
    payload: Payload,
    id: String,
) -> Result<Reply, ApiError> {
    let peer = http.conn_data::<Peer>().and_then(|peer| peer.0);
    if !is_admitted(peer, own) {
        warn!(uid = peer, "the admin socket refused a process of another user");
        let message = format!(
            "this socket serves user id {own} alone; run the command as the user that runs the server"
        );
        return Err(ApiError::new(403, "not_admitted", message));
    }
    let target = http.uri().path_and_query().map_or("/", |target| target.as_str()).to_owned();
    let limit = Api::route(http.method().as_str(), &target)?;
    let body = read(payload, limit.body).await?.ok_or_else(|| too_large(limit))?;
    if !body.is_empty() && !is_json(http.headers()) {
        let message = "send the body as `content-type: application/json`";
        return Err(ApiError::new(415, "unsupported_media_type", message));
    }
    let if_match = http.headers().get(header::IF_MATCH).and_then(|v| v.to_str().ok());
    let if_match = if_match.map(|tag| tag.trim_matches('"').to_owned());
    let method = http.method().as_str().to_owned();
    let path = http.uri().path();
    let caller = Caller {
        user_agent: http
            .headers()
            .get(header::USER_AGENT)
            .and_then(|v| v.to_str().ok())
            .map(Into::into),
        method: Some(method.as_str().into()),
        path: Some(path.into()),
        request_id: Some(id.as_str().into()),
        ..Caller::command()
    };
    let last_event_id = http.headers().get("last-event-id").and_then(|v| v.to_str().ok());
    let last_event_id = last_event_id.map(str::to_owned);
    let request = Request { method, target, body, if_match, last_event_id, caller };
    Ok(api.call(request, &id).await)
}

/// Nobody but the user the server runs as, root included: who may be everybody can become this user first.
fn is_admitted(peer: Option<u32>, own: u32) -> bool {
    peer == Some(own)
}

/// The whole body; `None` = it is larger than `limit`.
async fn read(mut payload: Payload, limit: usize) -> Result<Option<Vec<u8>>, ApiError> {
    let broken = || ApiError::invalid_json("the body did not arrive whole");
    let mut body = Vec::new();
    loop {
        let part = tokio::time::timeout(SILENCE, payload.next()).await.map_err(|_slow| broken())?;
        let Some(part) = part else { return Ok(Some(body)) };
        let part = part.map_err(|_gone| broken())?;
        if body.len() + part.len() > limit {
            return Ok(None);
        }
        body.extend_from_slice(&part);
    }
}

pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let named = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let essence = named.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

pub(super) fn response(reply: Reply, is_head: bool, id: &str) -> HttpResponse {
    let status = actix_web::http::StatusCode::from_u16(reply.status);
    let mut response = HttpResponse::build(status.unwrap_or_default());
    response.insert_header(("x-request-id", id)).insert_header((header::CACHE_CONTROL, "no-store"));
    if let Some(allow) = reply.allow {
        response.insert_header((header::ALLOW, allow));
    }
    match reply.body {
        Body::Json(body) => {
            response.content_type("application/json");
            if is_head { response.finish() } else { response.body(body.to_string()) }
        }
        Body::File { content_type, name, bytes } => {
            response.content_type(content_type);
            saved_as(&mut response, name);
            if is_head { response.finish() } else { response.body(bytes) }
        }
        Body::Stream { content_type, name, parts } => {
            response.content_type(content_type);
            saved_as(&mut response, name);
            let parts = parts.map(Ok::<_, Infallible>);
            if is_head { response.finish() } else { response.streaming(parts) }
        }
        Body::None => response.finish(),
    }
}

/// The name under which a browser saves it.
fn saved_as(response: &mut HttpResponseBuilder, name: Option<String>) {
    if let Some(name) = name {
        response.insert_header(ContentDisposition::attachment(name));
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn c22_only_the_servers_own_user_is_admitted() {
        assert!(is_admitted(Some(1_000), 1_000));
        for peer in [Some(1_001), Some(0), None] {
            assert!(!is_admitted(peer, 1_000), "{peer:?}");
        }
    }

    #[test]
    fn the_socket_is_private_and_replaces_a_stale_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        // Left behind: the file stays when only the descriptor goes.
        drop(UnixListener::bind(&path).unwrap());
        let socket = AdminSocket::bind(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(matches!(AdminSocket::bind(&path), Err(AdminSocketError::Taken(_))));
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn what_is_no_socket_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        fs::write(&path, "mine").unwrap();
        assert!(matches!(AdminSocket::bind(&path), Err(AdminSocketError::NotASocket(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }

    #[test]
    fn a_successors_socket_is_not_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let first = AdminSocket::bind(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let _second = AdminSocket::bind(&path).unwrap();
        drop(first);
        assert!(path.exists());
    }

    #[test]
    fn a_path_that_is_too_long_says_so() {
        let path = PathBuf::from(format!("/tmp/{}", "x".repeat(200)));
        let text = AdminSocket::bind(&path).unwrap_err().to_string();
        assert!(text.contains("205 bytes") && text.contains("NINEROUTER_ADMIN_SOCKET"), "{text}");
    }
}
