//! The answer of a name server.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| standfast_fuzz::dns_reply::run(data));
