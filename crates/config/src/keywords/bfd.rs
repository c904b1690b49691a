//! `bfd_instance`.

use super::BlockId as B;
use super::Role::Bfd;
use super::Value::{Bool, Flag};
use super::{Block, Content, I32, IP, Keyword, Value, count, int, special};

const fn kw(name: &'static str, value: Value, default: &'static str, doc: &'static str) -> Keyword {
    Keyword::new(name, value, default, Bfd, doc)
}

/// Greatest number of milliseconds whose microseconds fit the packet's field.
const MS: i64 = (u32::MAX / 1000) as i64;

pub(super) const BLOCKS: &[Block] = &[Block {
    id: B::BfdInstance,
    title: "bfd_instance",
    doc: "A BFD session (RFC 5880); its name has less than 32 bytes.",
    content: Content::Keywords(&[&[
        kw("neighbor_ip", IP, "", "The other side. Without it the block is void.").lenient(),
        kw("neighbour_ip", IP, "", "The same as `neighbor_ip`.").lenient().alias("neighbor_ip"),
        kw("source_ip", IP, "the kernel's choice", "Our address."),
        kw("min_rx", count(1, MS, "ms"), "10", "Least interval of packets that we take."),
        kw("min_tx", count(1, MS, "ms"), "10", "Least interval of packets that we send."),
        kw("idle_tx", count(1000, MS, "ms"), "1000", "Interval while the session is down."),
        kw("multiplier", int(1, 255), "5", "Packets missed before the session is down."),
        kw("passive", Flag, "", "Do not speak first."),
        kw("ttl", int(1, 255), "255; 64 for IPv6", "TTL or hop limit of our packets."),
        kw("hoplimit", int(1, 255), "", "The same as `ttl`.").alias("ttl"),
        kw("max_hops", int(-1, 255), "0", "Hops that packets may have made; −1: any number."),
        kw("multihop", Bool, "off", "Port 4784 instead of 3784.").since("2.3"),
        kw(
            "weight",
            special("NUMBER [reverse]", "-10", "254"),
            "0",
            "−253 to 253, as for a script.",
        ),
        kw("vrrp", Flag, "", "Tell VRRP (both if neither is written)."),
        kw("checker", Flag, "", "Tell the checkers."),
    ]]),
}];

const _: () = assert!(MS <= I32);
