//! From the process that reads the configuration to those that act on it: the checked model as
//! bytes.
//!
//! ```text
//!  supervisor: text ──► model ──► for_failover() ──► encode ──► memfd ──► decode ──► failover
//!                           └───► for_balancer() ──► encode ──► memfd ──► decode ──► balancer
//! ```
//!
//! Both ends are the same program, so the format (postcard: no names, small numbers in one byte)
//! needs no version. Places come along: a role can say where a value was written.

use crate::model::Model;

/// A model that cannot be passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassingError(postcard::Error);

impl std::fmt::Display for PassingError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the configuration cannot be passed on: {}", self.0)
    }
}

impl std::error::Error for PassingError {}

/// The model as bytes.
///
/// # Errors
/// When it contains a path that is no text.
pub fn encode(model: &Model) -> Result<Vec<u8>, PassingError> {
    postcard::to_stdvec(model).map_err(PassingError)
}

/// The model that was encoded.
///
/// # Errors
/// When the bytes are not the whole of an encoded model.
pub fn decode(bytes: &[u8]) -> Result<Model, PassingError> {
    match postcard::take_from_bytes(bytes) {
        Ok((model, [])) => Ok(model),
        Ok(_) => Err(PassingError(postcard::Error::DeserializeBadEncoding)),
        Err(error) => Err(PassingError(error)),
    }
}
