//! A bare reverse proxy to compare with: nginx, when the machine has it.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::support::until;

/// A running nginx that passes everything to one upstream, unbuffered, over kept connections.
pub(crate) struct Nginx {
    child: Child,
    pub(crate) address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Nginx {
    /// `None` when there is no nginx here.
    #[expect(clippy::disallowed_methods, reason = "benches compare with another program")]
    pub(crate) fn start(upstream: SocketAddr) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let prefix = folder.path().display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {prefix}/{name};\n"))
            .concat();
        let text = format!(
            "daemon off;\nworker_processes 2;\nworker_rlimit_nofile 20000;\n\
             pid {prefix}/pid;\nerror_log stderr crit;\n\
             events {{ worker_connections 16384; }}\n\
             http {{\naccess_log off;\n{temporary}keepalive_requests 1000000;\n\
             upstream sim {{ server {upstream}; keepalive 256; keepalive_requests 1000000; }}\n\
             server {{\nlisten {address};\nlocation / {{\nproxy_pass http://sim;\n\
             proxy_http_version 1.1;\nproxy_set_header Connection \"\";\nproxy_buffering off;\n\
             proxy_request_buffering off;\nclient_max_body_size 64m;\n\
             }}\n}}\n}}\n"
        );
        let file = folder.path().join("nginx.conf");
        std::fs::File::create(&file).unwrap().write_all(text.as_bytes()).unwrap();
        let child = Command::new("nginx")
            .args(["-e", "stderr", "-p"])
            .arg(folder.path())
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .spawn()
            .ok()?;
        until(Duration::from_secs(5), "nginx listens", || TcpStream::connect(address).ok());
        Some(Self { child, address, _folder: folder })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap();
    }
}
