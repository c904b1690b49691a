//! Health checks of real servers: one module per check, and the schedule that says when each runs.
#![forbid(unsafe_code)]
