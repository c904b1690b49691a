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

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(weight: i32, reverse: Option<bool>, value: i64) -> String {
        let check = File { file: "f".into(), weight: FileWeight { value: weight, reverse } };
        match judge(&check, value) {
            Ok(success) => match success.weight {
                None => "up".to_owned(),
                Some(Weight::Add(add)) => format!("up {add:+}"),
                Some(Weight::Set(_)) => panic!("a file never sets a weight"),
            },
            Err(failure) => format!("down: {failure}"),
        }
    }

    #[test]
    fn without_weight_anything_but_zero_is_down() {
        assert_eq!(judged(0, None, 0), "up");
        assert_eq!(judged(0, Some(false), 3), "down: value 3, wanted 0");
        assert_eq!(judged(0, Some(true), 3), "up");
        assert_eq!(judged(0, Some(true), 0), "down: value 0, wanted not 0");
    }

    #[test]
    fn the_value_is_multiplied_and_added() {
        assert_eq!(judged(2, None, 3), "up +6");
        assert_eq!(judged(2, Some(true), 3), "up -6");
        assert_eq!(judged(-2, None, 3), "up -6");
        assert_eq!(judged(2, None, 0), "up");
    }

    #[test]
    fn products_stay_in_their_range() {
        assert_eq!(judged(i32::MAX, None, i64::MAX), "up +2147483647");
        assert_eq!(judged(1, None, -2_147_483_646), "up -2147483646");
        assert_eq!(
            judged(1, None, -2_147_483_647),
            "down: value -2147483647 with weight 1 demands it"
        );
        assert!(judged(i32::MAX, None, i64::MIN).starts_with("down"));
        assert!(judged(i32::MIN, None, i64::MAX).starts_with("down"));
        assert_eq!(judged(1, Some(true), i64::MIN), "up +2147483647");
    }
}
