//! Where Standfast is meant to differ from Keepalived, as data. `docs/compatibility.md` tells the
//! reader about each; a scenario asks [`shows`] which behaviour it must expect.

use standfast_lab::subject::Subject;

/// A behaviour of Standfast that Keepalived 2.2.7 does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Difference {
    /// A virtual address that somebody deletes is put back at once. Keepalived says farewell,
    /// goes to BACKUP and elects itself again after its timer.
    PutsBack,
    /// The VRRP process is killed: the address stays, no other node notices. Keepalived's new
    /// process begins with removing the address.
    SurvivesKill,
    /// A planned stop keeps the address until the successor has it. Keepalived removes it first.
    MakesBeforeBreak,
}

/// Whether `subject` shows the behaviour.
pub(crate) fn shows(subject: &Subject, _difference: Difference) -> bool {
    subject.is_standfast()
}
