//! `standfast demo` and `standfast lab`: the laboratory of crate `lab`, with this very program on
//! its nodes.
use crate::cli::standfast::{LabAction, NodeFiles};

pub(crate) fn demo(_nodes: &NodeFiles) -> u8 {
    1
}
pub(crate) fn lab(_nodes: &NodeFiles, _action: Option<&LabAction>) -> u8 {
    1
}
