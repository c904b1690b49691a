//! keepalived.conf: from text to a checked model, with diagnostics. Reads files only.
#![forbid(unsafe_code)]

pub mod diagnostic;
pub mod keywords;
pub mod model;
pub mod source;
pub mod tree;
