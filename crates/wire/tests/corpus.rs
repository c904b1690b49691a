//! What the fuzz target `packet` does, over its seeds and over every prefix of them.

use std::fs;
use std::path::Path;

#[allow(unreachable_pub, reason = "public in the fuzz crate, from where it is shared")]
#[path = "../../../fuzz/src/packet.rs"]
mod packet;

#[test]
fn seeds_pass() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/packet");
    let mut seeds = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        for len in 0..=bytes.len() {
            packet::run(&bytes[..len]);
        }
        // Every byte takes a few other values; lengths and types are among them.
        for at in 0..bytes.len() {
            for value in [0x00, 0x01, 0x45, 0x7f, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] = value;
                packet::run(&changed);
            }
        }
        seeds += 1;
    }
    assert!(seeds >= 15, "only {seeds} seeds found");
}
