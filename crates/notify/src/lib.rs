//! Scripts, FIFOs and trackers: everything slow that the failover role must not wait for.
#![forbid(unsafe_code)]
