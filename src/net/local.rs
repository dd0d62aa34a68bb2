//! A client for one server of this machine, by its socket: what the commands speak to the router with. It takes no
//! URL, resolves no name and follows nothing, so nothing here needs to be judged.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use actix_http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use actix_http::{Method, StatusCode, Uri};
use actix_service::{Service, fn_service};
use actix_tls::connect::{ConnectError, ConnectInfo, Connection};
use awc::error::{ConnectError as AwcConnectError, SendRequestError};
use awc::{Client, ClientResponse, Connector};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::net::{TcpStream, UnixStream};

/// Longest wait for the socket to take a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// Most bytes of an answer that is read whole.
const MOST: usize = 64 * 1024 * 1024;

/// Where the server listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// A Unix socket.
    Unix(PathBuf),
    /// A TCP address.
    Tcp(SocketAddr),
}

impl Place {
    /// The value of `Host`: what a server that checks it expects of a local client.
    fn host(&self) -> String {
        match self {
            Self::Unix(_) => "localhost".to_owned(),
            Self::Tcp(addr) => addr.to_string(),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Tcp(addr) => write!(f, "http://{addr}"),
        }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// No connection: nobody listens, or the system refuses.
    #[error("{0}")]
    Connect(io::Error),
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
    /// The connection ended before the answer was complete.
    #[error("the connection broke: {0}")]
    Broken(String),
}

impl LocalError {
    /// True when nobody listens there: no such socket, or one that is left over.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        use io::ErrorKind::{ConnectionRefused, NotFound};
        matches!(self, Self::Connect(error) if matches!(error.kind(), ConnectionRefused | NotFound))
    }

    /// True when the system does not let this user connect.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Connect(error) if error.kind() == io::ErrorKind::PermissionDenied)
    }
}

impl From<SendRequestError> for LocalError {
    fn from(error: SendRequestError) -> Self {
        match error {
            SendRequestError::Connect(AwcConnectError::Io(error)) => Self::Connect(error),
            SendRequestError::Connect(AwcConnectError::Timeout) | SendRequestError::Timeout => {
                Self::Timeout
            }
            other => Self::Broken(other.to_string()),
        }
    }
}

/// A client of one server.
#[derive(Clone)]
pub struct LocalClient {
    client: Client,
    place: Rc<Place>,
}

impl std::fmt::Debug for LocalClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalClient").field("place", &self.place).finish_non_exhaustive()
    }
}

type Dialing<T> = Pin<Box<dyn Future<Output = Result<Connection<Uri, T>, ConnectError>>>>;

impl LocalClient {
    /// A client of the server at `place`. Connects when the first request is sent. Must be used inside an actix system.
    #[must_use]
    pub fn new(place: Place) -> Self {
        let client = match &place {
            Place::Unix(path) => {
                let path: Rc<Path> = path.as_path().into();
                build(fn_service(move |info: ConnectInfo<Uri>| -> Dialing<UnixStream> {
                    let path = Rc::clone(&path);
                    Box::pin(async move {
                        let io = UnixStream::connect(&*path).await.map_err(ConnectError::Io)?;
                        Ok(Connection::new(info.request().clone(), io))
                    })
                }))
            }
            Place::Tcp(addr) => {
                let addr = *addr;
                build(fn_service(move |info: ConnectInfo<Uri>| -> Dialing<TcpStream> {
                    Box::pin(async move {
                        let io = TcpStream::connect(addr).await.map_err(ConnectError::Io)?;
                        io.set_nodelay(true).map_err(ConnectError::Io)?;
                        Ok(Connection::new(info.request().clone(), io))
                    })
                }))
            }
        };
        Self { client, place: Rc::new(place) }
    }

    /// Where it sends.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Connects and hangs up again: does anybody listen?
    ///
    /// # Errors
    /// Nobody does.
    pub async fn probe(&self) -> Result<(), LocalError> {
        let connected = async {
            match &*self.place {
                Place::Unix(path) => UnixStream::connect(path).await.map(drop),
                Place::Tcp(addr) => TcpStream::connect(addr).await.map(drop),
            }
        };
        match tokio::time::timeout(CONNECT, connected).await {
            Ok(done) => done.map_err(LocalError::Connect),
            Err(_elapsed) => Err(LocalError::Timeout),
        }
    }

    /// Sends one request and waits up to `head` for the head of the answer. `path` begins with `/` and may carry a query.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, HeaderValue)],
        body: Bytes,
        head: Duration,
    ) -> Result<LocalReply, LocalError> {
        let url = format!("http://{}{path}", self.place.host());
        let mut request = self.client.request(method, url).timeout(head);
        for (name, value) in headers {
            request = request.insert_header((name.clone(), value.clone()));
        }
        let sent = if body.is_empty() { request.send() } else { request.send_body(body) };
        let reply = sent.await?;
        let length = reply.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        let left = length.and_then(|length| length.trim().parse().ok());
        Ok(LocalReply { head: reply, left })
    }
}

fn build<S, Io>(dial: S) -> Client
where
    S: Service<ConnectInfo<Uri>, Response = Connection<Uri, Io>, Error = ConnectError>
        + Clone
        + 'static,
    Io: actix_rt::net::ActixStream + std::fmt::Debug + 'static,
{
    let connector = Connector::new().connector(dial).timeout(CONNECT);
    Client::builder().connector(connector).disable_redirects().no_default_headers().finish()
}

/// An answer whose head has arrived.
pub struct LocalReply {
    head: ClientResponse,
    /// Bytes that are still to come, where the length was declared: the library ends a body that was cut as if it were
    /// whole.
    left: Option<u64>,
}

impl std::fmt::Debug for LocalReply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalReply").field("status", &self.head.status()).finish_non_exhaustive()
    }
}

impl LocalReply {
    /// Its status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.head.status()
    }

    /// Its headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.head.headers()
    }

    /// The next bytes of the body; `None` at its end.
    ///
    /// # Errors
    /// The connection broke before the end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, LocalError> {
        match self.head.next().await {
            None if self.left.is_some_and(|left| left > 0) => {
                Err(LocalError::Broken("the answer ends in the middle".to_owned()))
            }
            None => Ok(None),
            Some(Ok(bytes)) => {
                let had = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                self.left = self.left.map(|left| left.saturating_sub(had));
                Ok(Some(bytes))
            }
            Some(Err(error)) => Err(LocalError::Broken(error.to_string())),
        }
    }

    /// The whole body.
    ///
    /// # Errors
    /// The connection broke before the end, or the body is larger than any answer of the router.
    pub async fn body(mut self) -> Result<Vec<u8>, LocalError> {
        let mut body = Vec::new();
        while let Some(bytes) = self.chunk().await? {
            if body.len() + bytes.len() > MOST {
                return Err(LocalError::Broken("the answer is too long".to_owned()));
            }
            body.extend_from_slice(&bytes);
        }
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixListener;
    use std::thread;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn run<T>(work: impl Future<Output = T>) -> T {
        actix_rt::System::new().block_on(work)
    }

    fn socket() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        (folder, path)
    }

    /// Takes one connection, answers it with `answer` and gives what it was asked.
    fn serve(listener: UnixListener, answer: &'static str) -> thread::JoinHandle<String> {
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 4096];
            let n = stream.read(&mut buffer).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&buffer[..n]).into_owned()
        })
    }

    #[test]
    fn a_request_goes_over_the_socket_and_the_answer_comes_back() {
        let (_folder, path) = socket();
        let server = serve(
            UnixListener::bind(&path).unwrap(),
            "HTTP/1.1 201 Created\r\ncontent-length: 4\r\n\r\ntrue",
        );
        let (status, body) = run(async {
            let client = LocalClient::new(Place::Unix(path));
            let body = Bytes::from_static(b"{}");
            let reply = client.send(Method::POST, "/api/x?y=1", &[], body, PATIENCE).await.unwrap();
            (reply.status(), reply.body().await.unwrap())
        });
        assert_eq!((status, body.as_slice()), (StatusCode::CREATED, &b"true"[..]));
        let asked = server.join().unwrap();
        assert!(
            asked.starts_with("POST /api/x?y=1 HTTP/1.1\r\n") && asked.ends_with("{}"),
            "{asked}"
        );
        assert!(asked.contains("\r\nhost: localhost\r\n"), "{asked}");
    }

    #[test]
    fn nobody_there_is_told_apart_from_a_broken_answer() {
        let (_folder, path) = socket();
        let ask = |path: PathBuf| {
            run(async move {
                let client = LocalClient::new(Place::Unix(path));
                let reply = client.send(Method::GET, "/", &[], Bytes::new(), PATIENCE).await?;
                reply.body().await
            })
            .unwrap_err()
        };
        assert!(ask(path.clone()).is_absent(), "no such file");
        drop(UnixListener::bind(&path).unwrap());
        assert!(ask(path.clone()).is_absent(), "left over");
        std::fs::remove_file(&path).unwrap();
        let cut = "HTTP/1.1 200 OK\r\ncontent-length: 40\r\n\r\n{";
        let server = serve(UnixListener::bind(&path).unwrap(), cut);
        let error = ask(path);
        assert!(matches!(error, LocalError::Broken(_)), "{error}");
        server.join().unwrap();
    }
}
