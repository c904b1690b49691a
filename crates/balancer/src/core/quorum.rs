//! Quorum: when a virtual server is up, and when the sorry server answers in its place.

use super::engine::Core;
use super::event::{EventKind, Notice, Quorum};
use super::server::{Ck, Vs};
use super::text;
use config::model::checker::CheckerKind;
use notify::event::Subject;
use notify::mail;
use notify::mail::text::QuorumCause;

impl Core {
    /// Judges the quorum of a virtual server. `initial`: at the start or after a reload.
    ///
    /// It is gained at `quorum + hysteresis` and lost below `quorum - hysteresis`, or when nothing
    /// weighs anything. While nothing is known of a DNS name or a tracked file ([`Core::awaits`]) it
    /// stays as it is: otherwise a start, or a reload that puts a name in place of addresses, would
    /// begin with the sorry server, or with a quorum that the file takes away at once.
    pub(super) fn judge(&mut self, v: usize, initial: bool) {
        let vs = &self.virtual_servers[v];
        let awaited = self.awaits(vs);
        if awaited && !vs.begun {
            return;
        }
        let have = vs.weight();
        let (quorum, hysteresis) = (vs.plan.quorum, vs.plan.hysteresis);
        let needed = Quorum { have, quorum, hysteresis, initial };
        let gained = !awaited && !vs.up && have >= u64::from(quorum) + u64::from(hysteresis);
        let lost = !awaited && vs.up && (have == 0 || have < u64::from(quorum - hysteresis));
        let first = !vs.begun;
        let vs = &mut self.virtual_servers[v];
        vs.begun = true;
        if gained {
            vs.up = true;
            self.tell_quorum(v, needed, true);
        } else if lost {
            vs.up = false;
            self.tell_quorum(v, needed, false);
        } else if initial && vs.is_sorry() && vs.shown_sorry.is_none() {
            self.tell_quorum(v, needed, false);
        }
        if self.tell_sorry(v) || first || gained || lost {
            self.touch(v);
        }
    }

    /// Whether something about its servers will be known in a moment: the addresses of a name, or
    /// the value in the file of a `FILE_CHECK`, which is told without any look at the server, but not
    /// while `ha_suspend` makes the check wait.
    pub(super) fn awaits(&self, vs: &Vs) -> bool {
        let file = |check: &Ck| {
            !check.has_run && matches!(check.plan.checker.kind, CheckerKind::File { .. })
        };
        vs.plan.named && vs.plan.servers.iter().any(|server| self.is_awaited(server))
            || vs.plan.suspend_without.is_none()
                && vs.servers.iter().any(|server| server.checks.iter().any(file))
    }

    fn tell_quorum(&mut self, v: usize, needed: Quorum, up: bool) {
        let kind = if up { EventKind::QuorumGained(needed) } else { EventKind::QuorumLost(needed) };
        let cause = if needed.initial { QuorumCause::Starting } else { QuorumCause::Changed };
        let notice = self.service_notice(v, up, cause, needed.have);
        let now = self.now;
        let vs = &mut self.virtual_servers[v];
        vs.since = now;
        vs.cause = text::quorum_cause(&needed, up);
        self.event(v, None, kind, Some(notice));
    }

    /// Tells of a sorry server that came or went. Whether one did.
    fn tell_sorry(&mut self, v: usize) -> bool {
        let vs = &mut self.virtual_servers[v];
        let sorry = vs.plan.sorry.as_ref().filter(|_| vs.is_sorry());
        let sorry = sorry.map(|sorry| (sorry.name.clone(), sorry.inhibit));
        if sorry.as_ref().map(|(name, _)| name) == vs.shown_sorry.as_ref().map(|(name, _)| name) {
            return false;
        }
        let before = std::mem::replace(&mut vs.shown_sorry, sorry.clone());
        let replaced = before.is_some() && sorry.is_some();
        if let Some((sorry, inhibit)) = before {
            let sorry = sorry.to_string();
            self.event(v, None, EventKind::SorryServerOut { sorry, inhibit }, None);
            if !replaced {
                self.event(v, None, EventKind::PoolAdded, None);
            }
        }
        if let Some((sorry, inhibit)) = sorry {
            let sorry = sorry.to_string();
            self.event(v, None, EventKind::SorryServerIn { sorry, inhibit }, None);
            if !replaced {
                self.event(v, None, EventKind::PoolRemoved, None);
            }
        }
        true
    }

    /// Whom to tell when a virtual server is up or down.
    pub(super) fn service_notice(
        &self,
        v: usize,
        up: bool,
        cause: QuorumCause,
        have: u64,
    ) -> Notice {
        let plan = &self.virtual_servers[v].plan;
        let have = i64::try_from(have).unwrap_or(i64::MAX);
        let mail = plan.mail.then(|| {
            let (quorum, hysteresis) = (plan.quorum, plan.hysteresis);
            mail::text::virtual_server(&plan.name, up, cause, quorum, hysteresis, have)
        });
        Notice {
            subject: Subject::VirtualServer(plan.name.to_string()),
            up,
            script: if up { plan.quorum_up } else { plan.quorum_down },
            fifo: true,
            mail,
        }
    }
}
