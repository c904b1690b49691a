//! What the fuzz target `config` does, over its seeds and over every prefix of them.

use std::fs;
use std::path::Path;

#[allow(unreachable_pub, reason = "public in the fuzz crate, from where it is shared")]
#[path = "../../../fuzz/src/config.rs"]
mod language;

#[test]
fn seeds_pass() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/config");
    let mut seeds = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        for len in (0..bytes.len()).step_by(7).chain([bytes.len()]) {
            language::run(&bytes[..len]);
        }
        seeds += 1;
    }
    assert!(seeds >= 9, "only {seeds} seeds found");
}
