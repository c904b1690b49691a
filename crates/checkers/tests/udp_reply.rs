//! What the fuzz target `udp_reply` does, over its seeds and changes of them, and over what
//! proptest makes.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

// By the name that the fuzz crate knows it by.
extern crate standfast_checkers as checkers;

#[allow(unreachable_pub, reason = "public in the fuzz crate, from where it is shared")]
#[path = "../../../fuzz/src/udp_reply.rs"]
mod udp_reply;

#[test]
fn seeds_pass() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/udp_reply");
    let mut seeds = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        for len in 0..=bytes.len() {
            udp_reply::run(&bytes[..len]);
        }
        for at in 0..bytes.len() {
            for value in 0..=255 {
                let mut changed = bytes.clone();
                changed[at] = value;
                udp_reply::run(&changed);
            }
        }
        seeds += 1;
    }
    assert!(seeds >= 7, "only {seeds} seeds found");
}

proptest! {
    #[test]
    fn any_bytes_pass(data in prop::collection::vec(any::<u8>(), 0..300)) {
        udp_reply::run(&data);
    }

    /// Few different bytes, so that much of it matches.
    #[test]
    fn similar_bytes_pass(
        max in 0..20_u8,
        pattern in prop::collection::vec((0..2_u8, prop_oneof![Just(0xff_u8), Just(0)]), 0..6),
        reply in prop::collection::vec(0..2_u8, 0..24),
    ) {
        let mut data = vec![0, 0, 0, max, pattern.len() as u8];
        data.extend(pattern.iter().flat_map(|&(value, mask)| [value, mask]));
        data.extend(reply);
        udp_reply::run(&data);
    }
}
