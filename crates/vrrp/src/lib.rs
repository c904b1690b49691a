//! The virtual router: state machine, election, timers, sync groups, priorities. No I/O.
#![forbid(unsafe_code)]
