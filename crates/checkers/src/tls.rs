//! TLS for `SSL_GET`, by rustls.
//!
//! As Keepalived does, a check looks at no certificate unless it is told to: a load balancer's
//! concern is whether the server works. With `verify`, or with authorities configured, the
//! certificate must be valid for `sni_name`, or else the virtual host, or else the address.
//!
//! rustls speaks TLS 1.2 and 1.3 with ephemeral keys and authenticated encryption. A server that
//! knows nothing better than TLS 1.1, key exchange by RSA or CBC cannot be checked.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::http::Http;
use crate::outcome::Cause;
use crate::patience;
use crate::regex::Expressions;

/// After this, files of certificates are looked at again.
const FRESH: Duration = Duration::from_secs(60);
/// Settings that nobody uses are forgotten after this.
const KEEP: Duration = Duration::from_secs(3600);

/// What web checks share: the client side of TLS, made once for each distinct setting (and again
/// when its files change), and compiled expressions.
#[derive(Debug, Default)]
pub struct Clients {
    tls: RefCell<HashMap<Settings, Client>>,
    expressions: Expressions,
}

/// A TLS session failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TlsFailure {
    /// The handshake or a record, as rustls says it.
    #[error("TLS: {0}")]
    Session(rustls::Error),
    /// The connection was closed within the handshake.
    #[error("TLS: the connection was closed within the handshake")]
    Closed,
    /// `tls_compliant`: the connection was closed without close_notify.
    #[error("TLS: the connection was closed without close_notify")]
    NoCloseNotify,
    /// A certificate is to be verified for a name that no certificate can have.
    #[error("TLS: no certificate can be verified for the name {0}")]
    Name(String),
    /// A file cannot be read.
    #[error("TLS: cannot read {}: {error}", .file.display())]
    File {
        /// Its path.
        file: PathBuf,
        /// Why.
        error: io::ErrorKind,
    },
    /// A file is not what it should be.
    #[error("TLS: {} has no {wanted} in PEM", .file.display())]
    Content {
        /// Its path.
        file: PathBuf,
        /// What it should have.
        wanted: &'static str,
    },
    /// The key of our certificate needs a password. `openssl pkey -in KEY -out PLAIN` takes it off.
    #[error("TLS: the key in {} is encrypted, which is not supported", .0.display())]
    EncryptedKey(PathBuf),
    /// Nobody on this system is trusted.
    #[error("TLS: this system has no certificate authorities, and no `ca` is configured")]
    NoAuthorities,
}

impl TlsFailure {
    /// Whether the fault is on our side: the server was not even asked, or could not be judged.
    pub fn is_ours(&self) -> bool {
        match self {
            Self::Name(_)
            | Self::File { .. }
            | Self::Content { .. }
            | Self::EncryptedKey(_)
            | Self::NoAuthorities => true,
            Self::Session(_) | Self::Closed | Self::NoCloseNotify => false,
        }
    }

    /// What TLS says in an error of a connection.
    pub(crate) fn within(error: &io::Error) -> Option<Self> {
        let inner = error.get_ref()?.downcast_ref::<rustls::Error>()?;
        Some(Self::Session(inner.clone()))
    }
}

/// What makes one client differ from another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Settings {
    verify: bool,
    sni: bool,
    ca: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

#[derive(Debug)]
struct Client {
    config: Result<Arc<ClientConfig>, TlsFailure>,
    files: Vec<Stamp>,
    looked: Instant,
    used: Instant,
}

/// By what a changed file is told: when it was written, and its length.
type Stamp = Option<(SystemTime, u64)>;

/// The TLS handshake of a check.
pub(crate) async fn handshake(
    check: &Http,
    host: Option<&str>,
    tcp: TcpStream,
    clients: &Clients,
) -> Result<TlsStream<TcpStream>, Cause> {
    let settings = &check.settings;
    let within = check.target.timeout;
    let called = settings.sni_name.as_deref().or(host.map(without_port));
    let named = called.map(|name| ServerName::try_from(name.to_owned()));
    let name = match (named, called) {
        (Some(Ok(name)), _) => name,
        (Some(Err(_)), Some(name)) if settings.verify.value => {
            return Err(TlsFailure::Name(name.to_owned()).into());
        }
        _ => ServerName::from(check.target.to.ip()),
    };
    let config = clients.client(Settings {
        verify: settings.verify.value,
        sni: settings.enable_sni,
        ca: settings.ca.clone().filter(|_| settings.verify.value),
        certificate: check.ssl.certificate.clone(),
        key: check.ssl.key.clone(),
    })?;
    match patience::within(within, TlsConnector::from(config).connect(name, tcp)).await {
        Some(Ok(stream)) => Ok(stream),
        Some(Err(error)) => Err(match TlsFailure::within(&error) {
            Some(failure) => failure.into(),
            None if error.kind() == io::ErrorKind::UnexpectedEof => TlsFailure::Closed.into(),
            None => Cause::of(&error),
        }),
        None => Err(Cause::NoAnswer { within }),
    }
}

/// `www.example.com:8443` is called `www.example.com`; `[2001:db8::1]:443` is an address.
fn without_port(host: &str) -> &str {
    if let Some(address) = host.strip_prefix('[') {
        return address.split(']').next().unwrap_or(address);
    }
    match host.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') && port.bytes().all(|b| b.is_ascii_digit()) => {
            name
        }
        _ => host,
    }
}

impl Clients {
    /// The compiled expressions.
    pub(crate) fn expressions(&self) -> &Expressions {
        &self.expressions
    }

    fn client(&self, settings: Settings) -> Result<Arc<ClientConfig>, TlsFailure> {
        let now = Instant::now();
        let mut known = self.tls.borrow_mut();
        if let Some(client) = known.get_mut(&settings) {
            client.used = now;
            if now.duration_since(client.looked) < FRESH {
                return client.config.clone();
            }
            client.looked = now;
            if client.files == settings.stamps() {
                return client.config.clone();
            }
        }
        known.retain(|_, client| now.duration_since(client.used) < KEEP);
        let files = settings.stamps();
        let config = settings.config().map(Arc::new);
        known.insert(settings, Client { config: config.clone(), files, looked: now, used: now });
        config
    }
}

impl Settings {
    fn stamps(&self) -> Vec<Stamp> {
        let stamp = |path: &PathBuf| {
            let file = std::fs::metadata(path).ok()?;
            Some((file.modified().ok()?, file.len()))
        };
        [&self.ca, &self.certificate, &self.key].into_iter().flatten().map(stamp).collect()
    }

    fn config(&self) -> Result<ClientConfig, TlsFailure> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsFailure::Session)?
            .dangerous()
            .with_custom_certificate_verifier(self.verifier(provider)?);
        let mut config = match &self.certificate {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let chain = certificates(file)?;
                let key = private_key(self.key.as_ref().unwrap_or(file))?;
                builder.with_client_auth_cert(chain, key).map_err(TlsFailure::Session)?
            }
        };
        config.enable_sni = self.sni;
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    fn verifier(
        &self,
        provider: Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ServerCertVerifier>, TlsFailure> {
        if !self.verify {
            return Ok(Arc::new(Anybody));
        }
        let mut roots = RootCertStore::empty();
        match &self.ca {
            Some(file) => {
                if roots.add_parsable_certificates(certificates(file)?).0 == 0 {
                    let file = file.clone();
                    return Err(TlsFailure::Content { file, wanted: "usable certificate" });
                }
            }
            None => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map(|verifier| verifier as _)
            .map_err(|_| TlsFailure::NoAuthorities)
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFailure> {
    let wanted = "certificate";
    let found = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable(file, &error, wanted))?;
    match found.is_empty() {
        true => Err(TlsFailure::Content { file: file.to_owned(), wanted }),
        false => Ok(found),
    }
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsFailure> {
    let read = |error: io::Error| TlsFailure::File { file: file.to_owned(), error: error.kind() };
    let text = std::fs::read(file).map_err(read)?;
    let encrypted = ["BEGIN ENCRYPTED PRIVATE KEY", "Proc-Type: 4,ENCRYPTED"];
    let has = |mark: &str| text.windows(mark.len()).any(|part| part == mark.as_bytes());
    if encrypted.into_iter().any(has) {
        return Err(TlsFailure::EncryptedKey(file.to_owned()));
    }
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| unreadable(file, &error, "private key"))
}

fn unreadable(file: &Path, error: &pem::Error, wanted: &'static str) -> TlsFailure {
    let file = file.to_owned();
    match error {
        pem::Error::Io(error) => TlsFailure::File { file, error: error.kind() },
        _ => TlsFailure::Content { file, wanted },
    }
}

/// Accepts every certificate.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    /// Nothing is checked, so nothing need be refused.
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        use SignatureScheme as S;
        vec![
            S::ECDSA_NISTP256_SHA256,
            S::ECDSA_NISTP384_SHA384,
            S::ECDSA_NISTP521_SHA512,
            S::ED25519,
            S::ED448,
            S::RSA_PSS_SHA256,
            S::RSA_PSS_SHA384,
            S::RSA_PSS_SHA512,
            S::RSA_PKCS1_SHA256,
            S::RSA_PKCS1_SHA384,
            S::RSA_PKCS1_SHA512,
            S::ECDSA_SHA1_Legacy,
            S::RSA_PKCS1_SHA1,
        ]
    }
}
