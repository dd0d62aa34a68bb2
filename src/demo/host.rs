//! An HTTP server on a free loopback port, on a thread of its own: what every simulator stands on.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer, web};

/// Larger bodies than any client sends: the router's own limit is what tests look at.
const BODY_LIMIT: usize = 128 << 20;

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub(super) struct Host {
    address: SocketAddr,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl Host {
    /// Starts a server with the routes of `configure`, which runs once per worker.
    ///
    /// # Errors
    /// When the port or the thread cannot be had.
    pub(super) fn start(
        workers: usize,
        configure: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let (tell, told) = mpsc::sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("simulated-provider".to_owned())
            .spawn(move || run(listener, workers, configure, &tell))?;
        let handle = told
            .recv()
            .map_err(|_gone| io::Error::other("its thread ended before the server was up"))??;
        Ok(Self { address, handle, thread: Some(thread) })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // The command is on its way once `stop` returns; its future only says when it is done.
        drop(self.handle.stop(false));
        if let Some(thread) = self.thread.take() {
            // A panic of that thread has been reported by its own hook.
            let _ended = thread.join();
        }
    }
}

fn run(
    listener: TcpListener,
    workers: usize,
    configure: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
    tell: &mpsc::SyncSender<io::Result<ServerHandle>>,
) {
    let system = actix_web::rt::System::new();
    system.block_on(async move {
        let server = HttpServer::new(move || {
            App::new().app_data(web::PayloadConfig::new(BODY_LIMIT)).configure(configure.clone())
        })
        .workers(workers)
        .keep_alive(Duration::from_secs(75))
        .shutdown_timeout(0)
        .disable_signals()
        .tcp_nodelay(true)
        .listen(listener);
        match server {
            Ok(server) => {
                let server = server.run();
                // The starter waits for this; it cannot be gone.
                let _sent = tell.send(Ok(server.handle()));
                let _stopped = server.await;
            }
            Err(error) => {
                let _sent = tell.send(Err(error));
            }
        }
    });
}
