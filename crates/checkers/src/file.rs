//! `FILE_CHECK`: the value in a tracked file.

use std::time::Duration;

use config::model::checker::FileWeight;

use crate::outcome::{Detail, Failure, Success, Weight};

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

/// At this product of value and weight, or below it, the server is down.
const BOTTOM: i64 = -(i32::MAX as i64);

/// What the file's value means.
pub(crate) fn judge(check: &File, value: i64) -> Result<Success, Failure> {
    let FileWeight { value: weight, reverse } = check.weight;
    let reverse = reverse.unwrap_or(false);
    let failed = |failure: FileFailure| Err(Failure::local(failure, Duration::ZERO));
    if weight == 0 {
        if (value == 0) == reverse {
            return failed(FileFailure::Value { value, reverse });
        }
        return Ok(Success::new(Detail::FileValue(value), Duration::ZERO));
    }
    let product = value.saturating_mul(i64::from(weight));
    let product = if reverse { product.saturating_neg() } else { product };
    if product <= BOTTOM {
        return failed(FileFailure::Bottom { value, weight });
    }
    let contribution = product.min(i64::from(i32::MAX));
    Ok(Success {
        detail: Detail::FileValue(value),
        weight: (contribution != 0).then_some(Weight::Add(contribution)),
        took: Duration::ZERO,
    })
}
