//! Regular expressions and texts.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| standfast_fuzz::expression::run(data));
