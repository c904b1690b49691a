//! The hidden command by which the supervisor starts a role: this very program, again.

use std::fs::File;

use failover::launch::fd;
use failover::{Launch, Role, StartError};
use status::control::FromRole;
use sys::channel::Channel;

use crate::supervisor::exit;

/// The largest launch message, in bytes: the configuration's text is in it.
const MAX_LAUNCH: u64 = 1 << 30;

/// Runs the failover role on the descriptors that the supervisor left open.
pub(crate) fn failover() -> u8 {
    let (channel, store, launch) = match inherited() {
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
    crate::logs::start(&launch.options.log, "Keepalived_vrrp", launch.options.detail);
    let farewell = channel.try_clone();
    let ended = match Role::new(launch, channel, store) {
        Ok(role) => role.run().map(|_| exit::OK).map_err(StartError::Loop),
        Err(error) => Err(error),
    };
    let code = match ended {
        Ok(code) => code,
        Err(error) => {
            log::error!("{error}");
            // Starting again would not mend this; the supervisor must not try for ever.
            let last = FromRole::Fatal { reason: error.to_string() };
            if let (Ok(channel), Ok(bytes)) = (farewell, serde_json::to_vec(&last)) {
                let _ = channel.send(&bytes, &[]);
            }
            exit::FATAL
        }
    };
    log::logger().flush();
    code
}

fn inherited() -> std::io::Result<(Channel, File, Launch)> {
    let channel = Channel::from_fd(sys::inherited::take(fd::CHANNEL)?)?;
    let store = File::from(sys::inherited::take(fd::STORE)?);
    let launch = File::from(sys::inherited::take(fd::LAUNCH)?);
    let bytes = sys::memfd::read_all(&launch, MAX_LAUNCH)?;
    Ok((channel, store, serde_json::from_slice(&bytes).map_err(std::io::Error::other)?))
}
