//! Packet codecs: VRRP, its authentications, ARP, neighbour advertisements, checksums. No I/O.
#![forbid(unsafe_code)]
