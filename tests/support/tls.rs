//! TLS in front of a plain upstream, with certificates good and bad.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio_rustls::TlsAcceptor;

/// What is wrong with a server's certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flaw {
    None,
    Expired,
    OtherName,
    SelfSigned,
}

/// A certificate authority that only the test's router trusts.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// Its certificate, for `SSL_CERT_FILE`.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// Terminates TLS for `localhost` on a free port and passes the bytes on to `plain`. It runs
    /// as long as the test process.
    pub(crate) fn front(&self, plain: SocketAddr, flaw: Flaw) -> u16 {
        let name = if flaw == Flaw::OtherName { "other.example" } else { "localhost" };
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        if flaw == Flaw::Expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = match flaw {
            Flaw::SelfSigned => params.self_signed(&key).unwrap(),
            Flaw::None | Flaw::Expired | Flaw::OtherName => {
                params.signed_by(&key, &self.0).unwrap()
            }
        };
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let mut config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        listener.set_nonblocking(true).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        std::thread::spawn(move || {
            let system = actix_web::rt::System::new();
            system.block_on(serve(listener, acceptor, plain));
        });
        port
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, plain: SocketAddr) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    while let Ok((socket, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        drop(actix_web::rt::spawn(async move {
            // A client that refuses the certificate ends here.
            let Ok(mut tls) = acceptor.accept(socket).await else { return };
            let Ok(mut plain) = tokio::net::TcpStream::connect(plain).await else { return };
            // Either side may break off.
            let _copied = tokio::io::copy_bidirectional(&mut tls, &mut plain).await;
        }));
    }
}
