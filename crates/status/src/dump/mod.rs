//! Keepalived's dump files, written from a snapshot: exporters and scripts parse them, so labels,
//! keys and their order are Keepalived's (2.2.7, plus what 2.4 added).

mod check_data;
mod data;
mod json;
mod stats;

pub use check_data::check_data;
pub use data::data;
pub use json::{ProcessDump, json, json_v2};
pub use stats::stats;

/// An address as the dumps print it: with `set` behind it while it is in the kernel.
fn address_text(item: &crate::snapshot::Item) -> String {
    if item.set { format!("{} set", item.text) } else { item.text.clone() }
}
