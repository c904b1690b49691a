//! Sync groups: their members are MASTER together or not at all (§2.13 of the reference).

use crate::config::{GroupConfig, RouterId};
use crate::engine::Engine;
use crate::event::{EventKind, State};
use crate::io::NotifyKind;

/// A sync group.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) config: GroupConfig,
    pub(crate) members: Vec<RouterId>,
    /// As last notified.
    pub(crate) state: State,
}

impl Engine {
    /// The routers that change state together with this one: its group, or itself.
    pub(crate) fn unit(&self, id: RouterId) -> Vec<RouterId> {
        match self.routers[id].group {
            Some(group) => self.groups[group].members.clone(),
            None => vec![id],
        }
    }

    /// The unit with `lead` in front.
    pub(crate) fn unit_led_by(&self, lead: RouterId) -> Vec<RouterId> {
        let mut unit = self.unit(lead);
        if let Some(at) = unit.iter().position(|&id| id == lead) {
            unit[..=at].rotate_right(1);
        }
        unit
    }

    /// Members that keep the group from becoming MASTER: all must want it, unless one is already.
    pub(crate) fn held_back_by(&self, id: RouterId) -> Vec<RouterId> {
        let Some(group) = self.routers[id].group else { return Vec::new() };
        let members = &self.groups[group].members;
        if members.iter().any(|&member| self.routers[member].state == State::Master) {
            return Vec::new();
        }
        let wants = |member: RouterId| {
            let router = &self.routers[member];
            router.state == State::Backup && router.wants_master
        };
        members.iter().copied().filter(|&member| member != id && !wants(member)).collect()
    }

    /// Tells that the members of a group follow one of them. `lead` made it so.
    pub(crate) fn tell_group(&mut self, lead: RouterId, to: State) {
        let Some(group) = self.routers[lead].group else { return };
        if self.groups[group].state != to {
            let member = Some(self.routers[lead].config.name.clone());
            self.group_event(group, EventKind::GroupTransition { to, member });
        }
    }

    /// Notes the state of a group after (BACKUP at start: before) its members', and notifies.
    pub(crate) fn settle_group(&mut self, lead: RouterId, to: State) {
        let Some(group) = self.routers[lead].group else { return };
        if self.groups[group].state == to {
            return;
        }
        self.groups[group].state = to;
        let kind = match to {
            State::Master => NotifyKind::Master,
            State::Backup => NotifyKind::Backup,
            State::Fault => NotifyKind::Fault,
            State::Init => return,
        };
        self.notify_group(group, kind);
    }
}
