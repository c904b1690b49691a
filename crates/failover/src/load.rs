//! The configuration as the supervisor passed it on.

use std::fs::File;

use config::model::Model;
use sys::memfd::Mapped;

/// The role's share of the model, from the descriptor that it came in.
///
/// # Errors
/// When it cannot be read, or is no model: a fault of ours or of the machine.
pub(crate) fn model(configuration: &File) -> Result<Model, String> {
    let bytes = Mapped::of(configuration).map_err(|error| error.to_string())?;
    config::passing::decode(&bytes).map_err(|error| error.to_string())
}
