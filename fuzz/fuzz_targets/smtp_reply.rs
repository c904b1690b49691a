//! The replies of a mail server.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| standfast_fuzz::smtp_reply::run(data));
