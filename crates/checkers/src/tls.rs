//! TLS for `SSL_GET`.

/// The client side of TLS, made once for each distinct setting and shared by all checks.
#[derive(Debug, Default)]
pub struct Clients {}

/// A TLS session failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TlsFailure {}
