//! What the fuzz target `ipvs` does, over its seeds, their prefixes and small changes of them.

use std::fs;
use std::path::Path;

// By the name that the fuzz crate knows it by.
extern crate standfast_netlink as netlink;

#[allow(unreachable_pub, reason = "public in the fuzz crate, from where it is shared")]
#[path = "../../../fuzz/src/ipvs.rs"]
mod ipvs;

#[test]
fn seeds_pass() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/ipvs");
    let mut seeds = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        ipvs::run(&bytes);
        for len in 0..bytes.len() {
            ipvs::run(&bytes[..len]);
        }
        // Every byte takes a few other values; lengths and types are among them.
        for at in 0..bytes.len() {
            for value in [0x00, 0x01, 0x0a, 0x7f, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] = value;
                ipvs::run(&changed);
            }
        }
        seeds += 1;
    }
    assert!(seeds >= 7, "only {seeds} seeds found");
}
