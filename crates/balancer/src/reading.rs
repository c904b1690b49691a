//! From the model that the supervisor passes on to what the role works by.
//!
//! Virtual servers are decoded one by one, and at a reload only those that are not, byte for byte,
//! what they were: of ten thousand real servers one has another weight.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;

use config::model::{Command, Global};
use config::passing::{EncodedServer, Passed};
use notify::resolve::Resolver;
use notify::security::RealSystem;
use notify::settings::WorkerConfig;
use sys::memfd::Mapped;
use sys::memory::LargeSteps;

use crate::core::{Core, Plan, Planner, ScriptId, VsPlan};
use crate::scripts::{self, Reading, Scripts};

/// A configuration, taken apart for the role.
pub(crate) struct Configuration {
    pub(crate) global: Global,
    pub(crate) plan: Plan,
    pub(crate) worker: WorkerConfig,
    pub(crate) notices: Vec<String>,
}

/// Takes the model apart. `before`: the one that runs, and the core that runs by it.
///
/// # Errors
/// When it cannot be read, or is no model: a fault of ours or of the machine.
pub(crate) fn read(
    configuration: &File,
    before: Option<(&File, &Core)>,
    scripts: &mut Scripts,
) -> Result<Configuration, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let bytes = Mapped::of(configuration).map_err(|error| text(&error))?;
    let _steps = LargeSteps::to_read(bytes.len());
    let passed = Passed::open(&bytes).map_err(|error| text(&error))?;
    let model = passed.model().map_err(|error| text(&error))?;
    let resolver = Resolver::new(&model, &RealSystem);
    let mut reading = Reading::new(scripts, &resolver);
    let mut planner = Planner::new(&model, |command| reading.resolve(command));
    let old = before.and_then(|(file, core)| Some((Mapped::of(file).ok()?, core)));
    let earlier = old.as_ref().and_then(|(bytes, core)| Earlier::of(bytes, core, &passed));
    fill(&mut planner, &passed, earlier)?;
    let mut plan = planner.finish();
    let mut notices = std::mem::take(&mut reading.notices);
    let worker = scripts::worker_config(&model, &plan, &resolver, &mut notices);
    notices.append(&mut plan.notes);
    Ok(Configuration { plan, worker, notices, global: model.global })
}

fn fill<S: FnMut(&Command) -> Option<ScriptId>>(
    planner: &mut Planner<'_, S>,
    passed: &Passed<'_>,
    mut earlier: Option<Earlier<'_>>,
) -> Result<(), String> {
    planner.reserve(passed.virtual_servers.len());
    for (place, encoded) in passed.virtual_servers.iter().enumerate() {
        match earlier.as_mut().and_then(|earlier| earlier.same(place, encoded)) {
            Some(plan) => planner.keep(plan),
            None => planner.add(encoded.decode().map_err(|error| error.to_string())?),
        }
    }
    Ok(())
}

/// The virtual servers of the configuration that runs.
struct Earlier<'a> {
    servers: Vec<EncodedServer<'a>>,
    plans: Vec<&'a Arc<VsPlan>>,
    /// Where they are; made when one is elsewhere than before.
    places: Option<HashMap<EncodedServer<'a>, usize>>,
}

impl<'a> Earlier<'a> {
    /// `None` if nothing can be kept: something is another that all virtual servers depend on.
    fn of(bytes: &'a [u8], core: &'a Core, new: &Passed<'_>) -> Option<Self> {
        let old = Passed::open(bytes).ok().filter(|old| old.head == new.head)?;
        let plans: Vec<_> = core.plans().collect();
        let (servers, places) = (old.virtual_servers, None);
        (servers.len() == plans.len()).then_some(Self { servers, plans, places })
    }

    /// The plan of an equal virtual server.
    fn same(&mut self, place: usize, encoded: &EncodedServer<'_>) -> Option<Arc<VsPlan>> {
        let found = if self.servers.get(place) == Some(encoded) {
            place
        } else {
            let all = || self.servers.iter().enumerate().map(|(at, it)| (*it, at)).collect();
            *self.places.get_or_insert_with(all).get(encoded)?
        };
        let plan = self.plans.get(found)?;
        plan.lasting.then(|| Arc::clone(plan))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::core::{Input, Now};

    fn passed(text: &str) -> File {
        let loaded = config::load_text(text, &config::Options::default());
        let model = config::lower::lower(&loaded.tree, &config::lower::BuiltinNames).model;
        let share = config::passing::Share::Balancer;
        sys::memfd::sealed_by("test", |to| config::passing::encode(&model, share, to)).unwrap()
    }

    fn virtual_server(port: u16, more: &str) -> String {
        format!(
            "virtual_server 198.51.100.1 {port} {{\n protocol TCP\n {more}\n real_server \
             203.0.113.1 80 {{\n }}\n}}\n"
        )
    }

    /// Which virtual servers of `new` are those of `old`, by ports.
    fn kept(old: &str, new: &str) -> Vec<u16> {
        let (old, new) = (passed(old), passed(new));
        let mut scripts = Scripts::default();
        let plan = read(&old, None, &mut scripts).unwrap().plan;
        let core = Core::new(plan, &[], Now::default());
        let all = read(&new, None, &mut scripts).unwrap();
        let some = read(&new, Some((&old, &core)), &mut scripts).unwrap();
        assert_eq!((&some.plan, &some.notices), (&all.plan, &all.notices));
        let same = |plan: &&Arc<VsPlan>| core.plans().any(|old| Arc::ptr_eq(old, plan));
        let port = |plan: &Arc<VsPlan>| match plan.key {
            crate::core::VsKey::Address { address, .. } => address.port(),
            _ => 0,
        };
        some.plan.virtual_servers.iter().filter(same).map(port).collect()
    }

    #[test]
    fn what_did_not_change_is_kept_wherever_it_moved() {
        let [a, b, c] = [1, 2, 3].map(|port| virtual_server(port, ""));
        let changed = virtual_server(2, "lb_algo rr");
        assert_eq!(kept(&format!("{a}{b}{c}"), &format!("{a}{b}{c}")), [1, 2, 3]);
        assert_eq!(kept(&format!("{a}{b}{c}"), &format!("{a}\n\n{changed}{c}")), [1, 3]);
        assert_eq!(kept(&format!("{a}{b}{c}"), &format!("{c}{b}")), [3, 2]);
        assert_eq!(kept(&a, &format!("{b}{a}")), [1]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn one_reload_after_another_keeps_the_right_ones(
            files in prop::collection::vec(
                (Just((1..=6).collect::<Vec<u16>>()).prop_shuffle(), 0..=6_usize, any::<u8>()),
                2..8,
            ),
        ) {
            let mut scripts = Scripts::default();
            let mut running: Option<(File, Core)> = None;
            for (ports, count, changed) in files {
                let text: String = ports[..count]
                    .iter()
                    .map(|port| match changed >> port & 1 {
                        0 => virtual_server(*port, ""),
                        _ => virtual_server(*port, "lb_algo rr"),
                    })
                    .collect();
                let next = passed(&text);
                let anew = read(&next, None, &mut scripts).unwrap().plan;
                let core = match running {
                    None => Core::new(anew, &[], Now::default()),
                    Some((file, mut core)) => {
                        let kept = read(&next, Some((&file, &core)), &mut scripts).unwrap().plan;
                        prop_assert_eq!(&kept, &anew);
                        core.handle(Input::Reload(Box::new(kept)), Now::default());
                        core
                    }
                };
                running = Some((next, core));
            }
        }
    }

    #[test]
    fn a_script_is_looked_at_again_and_a_group_is_counted_again() {
        let script = virtual_server(1, "quorum_up /nowhere/script");
        let group = "virtual_server_group web {\n 198.51.100.1 80\n}\nvirtual_server group web {\n \
                     protocol TCP\n real_server 203.0.113.1 80 {\n }\n}\n";
        let text = format!("{script}{group}{}", virtual_server(2, ""));
        assert_eq!(kept(&text, &text), [2]);
    }

    #[test]
    fn nothing_is_kept_when_all_of_it_may_mean_something_else() {
        let a = virtual_server(1, "");
        let other = format!("global_defs {{\n rs_init_notifies\n}}\n{a}");
        assert_eq!(kept(&a, &other), [0; 0]);
    }
}
