//! The scripts and FIFOs of the configuration, resolved under its policy.
//!
//! The core knows commands by numbers. A number means the same command for the whole life of the
//! role, and equal commands have equal numbers, so that a reload can compare plans.

use std::collections::HashMap;

use config::model::checker::CheckerKind;
use config::model::{Command, Model};
use notify::resolve::Resolver;
use notify::settings::{FileTrackerConfig, InitFile, ScriptCommand, WorkerConfig};

use crate::core::{Plan, ScriptId};

/// All commands that any configuration of this life has named.
#[derive(Debug, Default)]
pub(crate) struct Scripts {
    commands: Vec<ScriptCommand>,
    numbers: HashMap<ScriptCommand, ScriptId>,
}

impl Scripts {
    /// The command of a number.
    pub(crate) fn get(&self, id: ScriptId) -> Option<&ScriptCommand> {
        self.commands.get(usize::try_from(id.0).ok()?)
    }

    fn number(&mut self, command: ScriptCommand) -> ScriptId {
        if let Some(known) = self.numbers.get(&command) {
            return *known;
        }
        let id = ScriptId(u32::try_from(self.commands.len()).unwrap_or(u32::MAX));
        self.commands.push(command.clone());
        self.numbers.insert(command, id);
        id
    }
}

/// The words of a command, and the user and group that it names.
type Line = (Vec<String>, Option<(String, Option<String>)>);

/// Resolves the commands of one configuration. Thousands of servers may name the same one: it is
/// looked at once, and complained about once.
pub(crate) struct Reading<'a> {
    scripts: &'a mut Scripts,
    resolver: &'a Resolver<'a>,
    known: HashMap<Line, Option<ScriptId>>,
    /// What was said about commands that cannot or must not be run.
    pub(crate) notices: Vec<String>,
}

impl<'a> Reading<'a> {
    pub(crate) fn new(scripts: &'a mut Scripts, resolver: &'a Resolver<'a>) -> Self {
        Self { scripts, resolver, known: HashMap::new(), notices: Vec::new() }
    }

    /// The number of a command; `None` if it cannot or must not be run.
    pub(crate) fn resolve(&mut self, command: &Command) -> Option<ScriptId> {
        let user = command.user.as_ref().map(|user| (user.user.clone(), user.group.clone()));
        let key = (command.words.clone(), user);
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let what = format!("script {}", command.program());
        let resolved = self.resolver.resolve(&what, command, &mut self.notices);
        let id = resolved.map(|command| self.scripts.number(command));
        self.known.insert(key, id);
        id
    }
}

/// The worker's settings: FIFOs, and the files that checks look at.
pub(crate) fn worker_config(
    model: &Model,
    plan: &Plan,
    resolver: &Resolver<'_>,
    notices: &mut Vec<String>,
) -> WorkerConfig {
    let global = &model.global;
    let mut out = WorkerConfig::default();
    for fifo in [&global.notify_fifo, &global.lvs_notify_fifo].into_iter().flatten() {
        out.fifos.push(resolver.fifo(model, fifo, notices));
    }
    for file in &model.track_files {
        if tracked(plan, &file.name) {
            out.files.push(FileTrackerConfig {
                name: file.name.text.clone(),
                path: file.path.clone(),
                init: file.init.map(|init| InitFile {
                    value: i32::try_from(init.value).unwrap_or(if init.value < 0 {
                        i32::MIN
                    } else {
                        i32::MAX
                    }),
                    overwrite: init.overwrite,
                }),
            });
        }
    }
    out
}

/// Whether a check looks at that file.
fn tracked(plan: &Plan, name: &str) -> bool {
    let servers = plan.virtual_servers.iter().flat_map(|vs| &vs.servers);
    servers.flat_map(|server| &server.checks).any(
        |check| matches!(&check.checker.kind, CheckerKind::File { file, .. } if **file == *name),
    )
}
