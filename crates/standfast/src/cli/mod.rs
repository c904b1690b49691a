//! The command line, with both faces: `standfast COMMAND` and, under the name `keepalived`,
//! Keepalived's own options.

mod getopt;
pub(crate) mod keepalived;
pub(crate) mod standfast;
