//! What the fuzz target `engine` does, over its seeds and over every prefix of them.

use std::fs;
use std::path::Path;

#[allow(unreachable_pub, reason = "public in the fuzz crate, from where it is shared")]
#[path = "../../../fuzz/src/engine.rs"]
mod engine;

#[test]
fn seeds_pass() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/engine");
    let mut seeds = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        for len in (0..bytes.len()).step_by(7).chain([bytes.len()]) {
            engine::run(&bytes[..len]);
        }
        seeds += 1;
    }
    assert!(seeds >= 15, "only {seeds} seeds found");
}
