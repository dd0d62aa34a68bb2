//! The least that our framework can do: a pass-through of actix-web and awc that looks at nothing.
//!
//! It runs as a process of its own, this program started again with [`ARGUMENT`] and the upstream's address.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use actix_http::body::SizedStream;
use actix_web::web::{Data, Payload};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};

/// Makes this program the pass-through.
pub(crate) const ARGUMENT: &str = "--bare";

/// A running pass-through.
pub(crate) struct Bare {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Bare {
    #[expect(clippy::disallowed_methods, reason = "benches compare with another program")]
    pub(crate) fn start(upstream: SocketAddr) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([ARGUMENT, &upstream.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, address: line.trim().parse().unwrap() }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// The process itself; it ends with its parent's signal.
pub(crate) fn run(upstream: &str) {
    let base = format!("http://{upstream}");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    println!("{}", listener.local_addr().unwrap());
    let server = HttpServer::new(move || {
        let connector = awc::Connector::new().limit(0);
        let client = awc::Client::builder()
            .connector(connector)
            .no_default_headers()
            .disable_redirects()
            .timeout(Duration::from_secs(600))
            .finish();
        App::new()
            .app_data(Data::new(client))
            .app_data(Data::new(base.clone()))
            .default_service(web::to(forward))
    });
    let server = server.workers(2).tcp_nodelay(true).listen(listener).unwrap().run();
    actix_web::rt::System::new().block_on(server).unwrap();
}

async fn forward(
    from: HttpRequest,
    body: Payload,
    client: Data<awc::Client>,
    base: Data<String>,
) -> HttpResponse {
    let mut to = client.request(from.method().clone(), format!("{}{}", **base, from.uri()));
    for (name, value) in from.headers() {
        if !["host", "content-length", "connection"].contains(&name.as_str()) {
            to = to.append_header((name.clone(), value.clone()));
        }
    }
    let length = from.headers().get("content-length").and_then(|v| v.to_str().ok()?.parse().ok());
    let reply = to.send_body(SizedStream::new(length.unwrap_or(0), body)).await.unwrap();
    let mut head = HttpResponse::build(reply.status());
    for (name, value) in reply.headers() {
        if !["content-length", "transfer-encoding", "connection"].contains(&name.as_str()) {
            head.append_header((name.clone(), value.clone()));
        }
    }
    let length = reply.headers().get("content-length").and_then(|v| v.to_str().ok()?.parse().ok());
    match length {
        Some(length) => head.no_chunking(length).streaming(reply),
        None => head.streaming(reply),
    }
}
