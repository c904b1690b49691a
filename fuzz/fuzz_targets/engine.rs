//! A sequence of hostile datagrams, with pauses, through the VRRP engine.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| standfast_fuzz::engine::run(data));
