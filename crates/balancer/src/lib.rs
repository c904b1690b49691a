//! The balancer role: joins health checks, quorum, kernel IPVS and notifications.
#![forbid(unsafe_code)]

pub mod core;
pub mod launch;

pub use launch::{Launch, LogOptions, Options};
