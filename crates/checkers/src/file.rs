//! `FILE_CHECK`: the value in a tracked file.

use config::model::checker::FileWeight;

/// A `FILE_CHECK`.
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    /// `track_file`: its name.
    pub file: Box<str>,
    /// `weight`.
    pub weight: FileWeight,
}

/// The value says that the server is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileFailure {
    /// Any value but 0 is down (or 0 is, with `reverse`).
    #[error("value {value}, wanted {}", if *.reverse { "not 0" } else { "0" })]
    Value {
        /// The file's value.
        value: i64,
        /// `reverse`.
        reverse: bool,
    },
    /// The value, multiplied by the weight, is at the bottom of the range: the server is to be
    /// down.
    #[error("value {value} with weight {weight} demands it")]
    Bottom {
        /// The file's value.
        value: i64,
        /// `weight`.
        weight: i32,
    },
}
