//! A port opened for one sign-in: loopback only, one path, closed with it (SEC-OA-2).

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::time::Duration;

use actix::Addr;
use actix_web::dev::ServerHandle;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};

use super::Callback;
use super::desk::{Arrived, Desk};
use super::page::Page;
use crate::clock::UnixMs;
use crate::id::FlowId;
use crate::secret::Secret;

/// A head must arrive in this time.
const HEAD: Duration = Duration::from_secs(5);
/// What a reply that is under way gets when the port is closed.
const LAST_REPLY_S: u64 = 5;
/// Browsers open a few connections ahead.
const CONNECTIONS: usize = 16;

/// An open port. Dropping it lets a reply that is under way go, then closes it.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) flow: FlowId,
    pub(super) expires_at: UnixMs,
    /// Where it listens.
    pub(super) port: u16,
    handle: ServerHandle,
}

impl Opened {
    /// Closes it at once, and waits until the port is free.
    pub(super) async fn close(self) {
        self.handle.stop(false).await;
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        // The command is on its way once `stop` returns; its future only says when it is done.
        drop(self.handle.stop(true));
    }
}

/// What the server on the port knows.
#[derive(Clone)]
struct Door {
    port: u16,
    path: &'static str,
    desk: Addr<Desk>,
}

/// Opens `port` on both loopback addresses.
///
/// # Errors
/// Somebody else has it on one of them, or the system has no socket.
pub(super) fn open(
    port: u16,
    path: &'static str,
    flow: FlowId,
    expires_at: UnixMs,
    desk: Option<Addr<Desk>>,
) -> io::Result<Opened> {
    let desk = desk.ok_or_else(|| io::Error::other("the router is stopping"))?;
    let mut sockets = vec![TcpListener::bind((Ipv4Addr::LOCALHOST, port))?];
    match TcpListener::bind((Ipv6Addr::LOCALHOST, port)) {
        Ok(socket) => sockets.push(socket),
        // Whoever has the other half would get the browser that comes back.
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
        // No IPv6 on this machine.
        Err(_absent) => {}
    }
    let address = sockets.first().map(TcpListener::local_addr).transpose()?;
    let port = address.map_or(port, |address| address.port());
    let door = Door { port, path, desk };
    let mut server = HttpServer::new(move || {
        let door = door.clone();
        App::new().default_service(web::to(move |http| answer(door.clone(), http)))
    })
    .workers(1)
    .max_connections(CONNECTIONS)
    .client_request_timeout(HEAD)
    .keep_alive(actix_web::http::KeepAlive::Disabled)
    .disable_signals()
    .shutdown_timeout(LAST_REPLY_S);
    for socket in sockets {
        server = server.listen(socket)?;
    }
    let server = server.run();
    let handle = server.handle();
    // It ends with its handle's stop.
    drop(actix_web::rt::spawn(server));
    Ok(Opened { flow, expires_at, port, handle })
}

async fn answer(door: Door, http: HttpRequest) -> HttpResponse {
    let host = http.headers().get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
    let port = door.port;
    let named = [format!("localhost:{port}"), format!("127.0.0.1:{port}"), format!("[::1]:{port}")];
    // A name that resolves here is not one the browser was sent to (SEC-HOST-1).
    if !named.iter().any(|name| name.eq_ignore_ascii_case(host)) || http.path() != door.path {
        return Page::nothing().response();
    }
    if http.method() != actix_web::http::Method::GET {
        return HttpResponse::MethodNotAllowed().insert_header(("allow", "GET")).finish();
    }
    let query = Secret::new(http.query_string().to_owned());
    let page = door.desk.send(Arrived(Callback { provider: None, query })).await;
    page.unwrap_or_else(|_stopping| Page::unavailable()).response()
}
