//! The standfast program: command line and supervisor.
#![forbid(unsafe_code)]
fn main() {}
