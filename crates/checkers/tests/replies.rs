//! What the fuzz targets for replies do, over their seeds and changes of them.

use std::fs;
use std::path::Path;

// By the name that the fuzz crate knows it by.
extern crate standfast_checkers as checkers;

#[allow(unreachable_pub, reason = "public in the fuzz crate, from where it is shared")]
#[path = "../../../fuzz/src/dns_reply.rs"]
mod dns_reply;
#[allow(unreachable_pub, reason = "public in the fuzz crate, from where it is shared")]
#[path = "../../../fuzz/src/expression.rs"]
mod expression;
#[allow(unreachable_pub, reason = "public in the fuzz crate, from where it is shared")]
#[path = "../../../fuzz/src/http_response.rs"]
mod http_response;
#[allow(unreachable_pub, reason = "public in the fuzz crate, from where it is shared")]
#[path = "../../../fuzz/src/smtp_reply.rs"]
mod smtp_reply;

fn over_seeds(target: &str, least: usize, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let mut seeds = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        for len in 0..=bytes.len() {
            run(&bytes[..len]);
        }
        for at in 0..bytes.len() {
            for value in [0x00, 0x0a, 0x20, 0x28, 0x30, 0x5b, 0x7f, 0x80, 0xc0, 0xff] {
                let mut changed = bytes.clone();
                changed[at] = value;
                run(&changed);
            }
        }
        seeds += 1;
    }
    assert!(seeds >= least, "only {seeds} seeds found");
}

#[test]
fn web_servers() {
    over_seeds("http_response", 8, http_response::run);
}

#[test]
fn mail_servers() {
    over_seeds("smtp_reply", 5, smtp_reply::run);
}

#[test]
fn name_servers() {
    over_seeds("dns_reply", 5, dns_reply::run);
}

#[test]
fn expressions() {
    over_seeds("expression", 7, expression::run);
}
