//! TLS for outgoing connections: trust roots, ALPN, and the reasons a handshake fails.

use std::io;
use std::sync::Arc;

use rustls::{AlertDescription, CertificateError, ClientConfig, Error, RootCertStore};

/// Why a TLS session did not come about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TlsFailure {
    /// `notAfter` has passed.
    #[error("the certificate has expired")]
    Expired,
    /// `notBefore` is ahead.
    #[error("the certificate is not valid yet")]
    NotYetValid,
    /// The names in it do not include the host.
    #[error("the certificate is for another host")]
    WrongHost,
    /// Self-signed, or signed by somebody this machine does not trust.
    #[error("the certificate is self-signed or its issuer is unknown")]
    UnknownIssuer,
    /// Taken back by its issuer.
    #[error("the certificate was revoked")]
    Revoked,
    /// Any other fault of the certificate.
    #[error("the certificate is invalid")]
    BadCertificate,
    /// Older than TLS 1.2, or nothing in common.
    #[error("the server offers no TLS version or cipher that is accepted")]
    Incompatible,
    /// The bytes that came back are no TLS, as of a plain http port.
    #[error("the server does not speak TLS on this port")]
    NotTls,
    /// The server sent an alert.
    #[error("the server refused the handshake")]
    Refused,
    /// The connection ended before the session was there.
    #[error("the server closed the connection during the handshake")]
    Closed,
    /// Anything else.
    #[error("the handshake failed")]
    Other,
}

impl TlsFailure {
    pub(super) fn from_io(error: &io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            Some(error) => Self::from_rustls(error),
            None => match error.kind() {
                io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::BrokenPipe => Self::Closed,
                _ => Self::Other,
            },
        }
    }

    fn from_rustls(error: &Error) -> Self {
        match error {
            Error::InvalidCertificate(error) => Self::from_certificate(error),
            Error::InvalidMessage(_) | Error::InappropriateMessage { .. } => Self::NotTls,
            Error::PeerIncompatible(_)
            | Error::NoApplicationProtocol
            | Error::AlertReceived(
                AlertDescription::ProtocolVersion
                | AlertDescription::HandshakeFailure
                | AlertDescription::InsufficientSecurity
                | AlertDescription::NoApplicationProtocol,
            ) => Self::Incompatible,
            Error::AlertReceived(_) => Self::Refused,
            Error::NoCertificatesPresented => Self::BadCertificate,
            _ => Self::Other,
        }
    }

    fn from_certificate(error: &CertificateError) -> Self {
        match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Self::NotYetValid
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Self::WrongHost
            }
            // A bad signature: an issuer of a trusted name, with another key.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::UnknownIssuer,
            CertificateError::Revoked => Self::Revoked,
            // An end-entity certificate that signs itself as an authority is a self-signed one.
            CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
                Self::UnknownIssuer
            }
            _ => Self::BadCertificate,
        }
    }
}

/// Client configurations, one per set of protocols offered.
#[derive(Clone, Debug)]
pub(super) struct TlsConfigs {
    pub(super) h1: Arc<ClientConfig>,
    pub(super) h2: Arc<ClientConfig>,
}

impl TlsConfigs {
    pub(super) fn new(roots: RootCertStore) -> Result<Self, Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut h1 = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        h1.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut h2 = h1.clone();
        h2.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { h1: Arc::new(h1), h2: Arc::new(h2) })
    }
}

/// The machine's trust roots (`SSL_CERT_FILE`, `SSL_CERT_DIR` honoured); the bundled ones when it has none.
#[must_use]
pub fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::debug!(%error, "a trust root could not be loaded");
    }
    let (added, ignored) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        // A scratch image has no certificates at all.
        tracing::info!(ignored, "no trust roots on this machine, using the bundled ones");
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}
