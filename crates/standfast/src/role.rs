//! The hidden command by which the supervisor starts a role: this very program, again.

use std::fs::File;

use serde::de::DeserializeOwned;
use status::control::{FromRole, LogOptions, fd};
use sys::channel::Channel;

use crate::supervisor::exit;
use crate::supervisor::kind::Kind;

/// The largest launch message, in bytes.
const MAX_LAUNCH: u64 = 1 << 20;

/// What a role inherits: the channel to the supervisor, the state store, its share of the
/// configuration, and the launch message, which is a type of the role's own.
struct Inherited<L> {
    channel: Channel,
    store: File,
    configuration: File,
    launch: L,
}

/// Runs a role on the descriptors that the supervisor left open.
pub(crate) fn run(kind: Kind) -> u8 {
    match kind {
        Kind::Failover => perform(
            kind,
            |launch: &failover::Launch| (&launch.options.log, launch.options.detail),
            |it| match failover::Role::new(it.launch, it.configuration, it.channel, it.store) {
                Ok(role) => role.run().map(drop).map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            },
        ),
        Kind::Balancer => perform(
            kind,
            |launch: &balancer::Launch| (&launch.options.log, launch.options.detail),
            |it| match balancer::Role::new(it.launch, it.configuration, it.channel, it.store) {
                Ok(role) => role.run().map(drop).map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            },
        ),
    }
}

fn perform<L: DeserializeOwned>(
    kind: Kind,
    logging: impl Fn(&L) -> (&LogOptions, u8),
    role: impl FnOnce(Inherited<L>) -> Result<(), String>,
) -> u8 {
    let inherited: Inherited<L> = match inherited() {
        Ok(all) => all,
        Err(error) => {
            eprintln!("this command is for the supervisor only ({error})");
            return exit::FATAL;
        }
    };
    // Scripts look for the process by the name that the supervisor gave it, not for `exe`.
    if let Some(name) = std::env::args().next() {
        sys::process::set_name(&name);
    }
    sys::limits::remember();
    let (log, detail) = logging(&inherited.launch);
    crate::logs::start(log, kind.ident(), detail);
    let farewell = inherited.channel.try_clone();
    let code = match role(inherited) {
        Ok(()) => exit::OK,
        Err(reason) => {
            log::error!("{reason}");
            // Starting again would not mend this; the supervisor must not try in a hurry.
            let last = FromRole::Fatal { reason };
            if let (Ok(channel), Ok(bytes)) = (farewell, serde_json::to_vec(&last)) {
                let _ = channel.send(&bytes, &[]);
            }
            exit::FATAL
        }
    };
    log::logger().flush();
    code
}

fn inherited<L: DeserializeOwned>() -> std::io::Result<Inherited<L>> {
    let channel = Channel::from_fd(sys::inherited::take(fd::CHANNEL)?)?;
    let store = File::from(sys::inherited::take(fd::STORE)?);
    let launch = File::from(sys::inherited::take(fd::LAUNCH)?);
    let bytes = sys::memfd::read_all(&launch, MAX_LAUNCH)?;
    let launch = serde_json::from_slice(&bytes).map_err(std::io::Error::other)?;
    let configuration = File::from(sys::inherited::take(fd::MODEL)?);
    Ok(Inherited { channel, store, configuration, launch })
}
