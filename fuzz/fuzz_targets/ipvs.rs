//! Any bytes as what the kernel's IPVS says.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| standfast_fuzz::ipvs::run(data));
