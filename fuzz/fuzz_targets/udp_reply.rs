//! Replies to a `UDP_CHECK`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| standfast_fuzz::udp_reply::run(data));
