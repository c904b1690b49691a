//! The end of everything.

use super::engine::Core;
use super::event::{EventKind, Notice, Quorum};
use super::io::Output;
use notify::mail::text::{QuorumCause, ServerCause};

impl Core {
    /// Stops all checks and takes everything out of the table; `omega` tells of it. `keep` leaves
    /// the table as it is and tells nobody.
    pub(super) fn stop(&mut self, keep: bool) {
        self.stopping = true;
        self.deadlines.clear();
        let mut checks: Vec<_> = self.checks.drain().map(|(id, _)| id).collect();
        checks.sort_unstable();
        self.pending.extend(checks.into_iter().map(Output::StopCheck));
        let lookups = std::mem::take(&mut self.lookups);
        self.pending.extend(lookups.into_keys().map(Output::StopLookup));
        if !keep {
            for v in 0..self.virtual_servers.len() {
                self.shut_down(v);
                self.touch(v);
            }
            self.stopped = true;
        }
        self.pending.push_back(Output::Stopped);
    }

    fn shut_down(&mut self, v: usize) {
        let omega = self.virtual_servers[v].plan.omega;
        for s in 0..self.virtual_servers[v].servers.len() {
            let vs = &self.virtual_servers[v];
            let server = &vs.servers[s];
            let inhibited = !server.alive && vs.plan_of(server).settings.inhibit;
            let notice = (omega && server.alive).then(|| Notice {
                mail: self.server_mail(v, s, false, ServerCause::ShuttingDown),
                ..self.server_notice(v, s, false)
            });
            self.event(v, Some(s), EventKind::ServerShutDown { inhibited }, notice);
        }
        let vs = &self.virtual_servers[v];
        if omega && vs.up {
            self.virtual_server_down(v, true);
        }
    }

    /// A virtual server that was up ends, with all of its servers.
    pub(super) fn virtual_server_down(&mut self, v: usize, stopping: bool) {
        let vs = &mut self.virtual_servers[v];
        vs.up = false;
        let quorum = Quorum {
            have: 0,
            quorum: vs.plan.quorum,
            hysteresis: vs.plan.hysteresis,
            initial: false,
        };
        let cause = if stopping { QuorumCause::ShuttingDown } else { QuorumCause::Removed };
        let notice = self.service_notice(v, false, cause, 0);
        self.event(v, None, EventKind::VirtualServerDown { stopping, quorum }, Some(notice));
    }
}
