//! Network-namespace laboratory for the demo, the tests and the benches.
#![forbid(unsafe_code)]
