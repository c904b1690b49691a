//! (in progress)
use crate::Scenario;
pub(crate) fn scenarios() -> Vec<Scenario> { Vec::new() }
