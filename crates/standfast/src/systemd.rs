//! What the service manager is told, where there is one.

use sd_notify::NotifyState;

/// The daemon works.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// A reload begins; [`ready`] ends it.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(stamp) => tell(&[NotifyState::Reloading, stamp]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// The daemon ends.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// One line for `systemctl status`.
pub(crate) fn status(text: &str) {
    tell(&[NotifyState::Status(text)]);
}

fn tell(states: &[NotifyState<'_>]) {
    // Without a service manager there is nobody to tell, and that is fine.
    if let Err(error) = sd_notify::notify(states) {
        log::debug!("sd_notify: {error}");
    }
}
