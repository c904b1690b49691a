//! Packet codecs: VRRP, its authentications, ARP, neighbour advertisements, checksums. No I/O.
//!
//! ```text
//!   &[u8] ──► Packet::new_checked ──► total accessors ──► Repr::parse ──► Repr
//!             (the one fallible step)  (verify_…, check)                    │
//!   Vec<u8> ◄──────────────── Repr::emit (appends buffer_len() bytes) ◄─────┘
//! ```
//!
//! Each format has a module with the same two types. A `Packet` is a view over borrowed bytes: once
//! [`new_checked`](ipv4::Packet::new_checked) has accepted the bytes no accessor can fail or panic,
//! and code points that we do not know are shown as they are. A `Repr` is what a well-formed packet
//! means: it can be parsed from a view and emitted, and emitting what was parsed gives it back.
//! `emit` appends to a `Vec`, so that a caller can build one datagram from several layers, and
//! reuse its buffer.
//!
//! A whole advert to the multicast group:
//!
//! ```
//! use std::net::Ipv4Addr;
//! use wire::{Family, ipv4, vrrp};
//!
//! let source = Ipv4Addr::new(198, 51, 100, 1);
//! let advert = vrrp::Repr {
//!     vrid: 53,
//!     priority: 100,
//!     addresses: vrrp::Addresses::new(Family::V4, ["198.51.100.103".parse()?])?,
//!     body: vrrp::Body::V3 { max_adver_int: vrrp::Centiseconds::from_secs(1).unwrap() },
//! };
//! let header = ipv4::Repr {
//!     tos: vrrp::TRAFFIC_CLASS,
//!     identification: 1,
//!     dont_fragment: false,
//!     ttl: vrrp::TTL,
//!     protocol: vrrp::PROTOCOL,
//!     source,
//!     destination: vrrp::MULTICAST_V4,
//!     payload_len: advert.buffer_len(),
//! };
//! let mut datagram = Vec::new();
//! header.emit(&mut datagram)?;
//! let sum = vrrp::ChecksumForm::PseudoHeader;
//! advert.emit(sum, source.into(), vrrp::MULTICAST_V4.into(), &mut datagram);
//!
//! let ip = ipv4::Packet::new_checked(&datagram)?;
//! let heard = vrrp::Packet::new_checked(ip.payload(), Family::V4)?;
//! assert!(heard.verify_checksum(sum, ip.source().into(), ip.destination().into()));
//! assert_eq!(vrrp::Repr::parse(&heard)?, advert);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

pub mod ah;
pub mod arp;
pub mod checksum;
mod constant_time;
mod error;
pub mod ethernet;
mod family;
mod hardware;
pub mod hmac_ext;
pub mod ipv4;
pub mod ipv6;
pub mod ndp;
pub mod pcap;
pub mod pretty;
pub mod vrrp;

pub use error::{Error, Format};
pub use family::Family;
pub use hardware::HardwareAddress;
