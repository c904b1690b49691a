//! The vocabulary shared by every role and client: snapshots, events, reasons.
#![forbid(unsafe_code)]
