//! Any bytes through every codec of `wire`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| standfast_fuzz::packet::run(data));
