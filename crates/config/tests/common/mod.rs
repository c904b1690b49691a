//! What several test files look for: that a model comes through unharmed when it is passed on.

use config::model::Model;
use config::passing::{Share, decode, encode};

/// The bytes of a model.
pub(crate) fn encoded(model: &Model, share: Share) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(model, share, &mut bytes).unwrap();
    bytes
}

/// Encodes and decodes the model, and looks for a difference. Equality does not see everything that
/// a model holds (where a value came from), so that its debug output is compared as well, but for
/// the places, which are not passed on.
pub(crate) fn assert_passes(model: &Model) {
    let passed = decode(&encoded(model, Share::Whole)).unwrap();
    assert_eq!(passed, *model);
    assert_eq!(placeless(&format!("{passed:?}")), placeless(&format!("{model:?}")));
}

fn placeless(text: &str) -> String {
    const PLACE: &str = "Span { file";
    let mut parts = text.split(PLACE);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (_, rest) = part.split_once('}').unwrap();
        out.push_str("Span");
        out.push_str(rest);
    }
    out
}
