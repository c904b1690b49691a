//! Kernel adapters other than netlink: raw sockets, timers, processes, limits, logging.
//!
//! Thin and safe: each module wraps one thing of the kernel, keeps no policy, and returns
//! [`std::io::Error`] unless more can be said. `unsafe` lives in the few modules that speak to libc
//! directly (`ffi`, `mmsg`, `signals`, `channel`), one reason per block.
//!
//! | to | see |
//! |---|---|
//! | wait for descriptors, a deadline, other threads | [`event_loop`], [`clock`], [`signals`] |
//! | speak VRRP, ARP and ND | [`vrrp_socket`], [`arp`] |

pub mod arp;
pub mod channel;
pub mod clock;
pub mod daemon;
pub mod event_loop;
mod ffi;
pub mod fsafe;
pub mod inherited;
pub mod limits;
pub mod logging;
pub mod memfd;
mod mmsg;
pub mod pidfile;
pub mod process;
pub mod signals;
pub mod sysctl;
pub mod users;
pub mod vrrp_socket;
