//! Kernel adapters other than netlink: raw sockets, timers, processes, limits, logging.
//!
//! Thin and safe: each module wraps one thing of the kernel, keeps no policy, and returns
//! [`std::io::Error`] unless more can be said. `unsafe` is confined to calls that nix does not wrap
//! as we need them, one reason per block; most of it is in `ffi`, `mmsg` and `process::spawn`.
//!
//! | to | see |
//! |---|---|
//! | wait for descriptors, a deadline, other threads | [`event_loop`], [`clock`], [`signals`] |
//! | speak VRRP, ARP and ND | [`vrrp_socket`], [`arp`] |
//! | start programs, and ourselves again | [`process`], [`inherited`], [`users`], [`daemon`] |
//! | talk and share memory between our processes | [`channel`], [`memfd`] |
//! | change what we may and how we are scheduled | [`caps`], [`sched`], [`limits`], [`memory`], [`netns`] |
//! | read and write kernel settings | [`sysctl`] |
//! | wait for descriptors in a tokio runtime | [`readiness`] |
//! | hear of other processes | [`proc_events`] |
//! | write files and logs safely | [`pidfile`], [`fsafe`], [`logging`] |

pub mod arp;
pub mod caps;
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
pub mod memory;
mod mmsg;
pub mod netns;
pub mod pidfile;
pub mod proc_events;
pub mod process;
pub mod readiness;
pub mod sched;
pub mod signals;
pub mod sysctl;
pub mod users;
pub mod vrrp_socket;
