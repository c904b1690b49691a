//! A reply to a `UDP_CHECK`, and what is wanted of it: nothing panics, a mismatch is true and can be
//! told, and what is accepted is what was wanted.
//!
//! The bytes: the lengths allowed (two each), the length of the pattern, the pattern (value and
//! mask in turn), and the reply.

use checkers::udp::{Mismatch, matches};
use config::model::checker::UdpReply;

pub fn run(data: &[u8]) {
    let Some((&[a, b, c, d, pattern], rest)) = data.split_first_chunk() else { return };
    let (pattern, reply) = rest.split_at(rest.len().min(usize::from(pattern) * 2));
    let (pattern, _) = pattern.as_chunks::<2>();
    let wanted = UdpReply {
        pattern: pattern.iter().map(|&[value, mask]| (value, mask)).collect(),
        min_length: u16::from_be_bytes([a, b]),
        max_length: u16::from_be_bytes([c, d]),
    };
    let in_range =
        (usize::from(wanted.min_length)..=usize::from(wanted.max_length)).contains(&reply.len());
    let agrees = |at: usize| {
        let (value, mask) = wanted.pattern[at];
        reply[at] & mask == value & mask
    };
    match matches(&wanted, reply) {
        Ok(()) => {
            assert!(in_range && reply.len() >= wanted.pattern.len());
            assert!((0..wanted.pattern.len()).all(agrees));
        }
        Err(mismatch) => {
            assert!(!mismatch.to_string().is_empty());
            match mismatch {
                Mismatch::Length { .. } => assert!(!in_range),
                Mismatch::Short { .. } => assert!(reply.len() < wanted.pattern.len()),
                Mismatch::Byte { at, came, .. } => {
                    assert!(!agrees(at) && reply[at] == came && (0..at).all(agrees));
                }
            }
        }
    }
}
