//! Which programs the configuration's script lines mean: resolved once for each configuration,
//! and the worker's settings made from them.

use config::model::Model;
use config::model::track::ParamMatch;
use config::model::vrrp::NotifyScripts;
use notify::resolve::Resolver;
use notify::settings::{
    FileTrackerConfig, InitFile, ProcessTrackerConfig, ScriptCommand, ScriptTrackerConfig,
    WorkerConfig,
};

/// The notify scripts of an instance or group, resolved.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scripts {
    pub(crate) any: Option<ScriptCommand>,
    pub(crate) master: Option<ScriptCommand>,
    pub(crate) backup: Option<ScriptCommand>,
    pub(crate) fault: Option<ScriptCommand>,
    pub(crate) stop: Option<ScriptCommand>,
    pub(crate) deleted: Option<ScriptCommand>,
    pub(crate) master_rx_lower_pri: Option<ScriptCommand>,
    /// Key in `keepalived.json` and command line of those that are configured.
    pub(crate) listed: Vec<(String, String)>,
}

impl Scripts {
    /// Resolves all of them.
    pub(crate) fn of(
        from: &NotifyScripts,
        resolver: &Resolver<'_>,
        subject: &str,
        notices: &mut Vec<String>,
    ) -> Self {
        let mut out = Self::default();
        for (key, keyword, command, slot) in [
            ("script_backup", "notify_backup", &from.backup, &mut out.backup),
            ("script_master", "notify_master", &from.master, &mut out.master),
            ("script_fault", "notify_fault", &from.fault, &mut out.fault),
            ("script_stop", "notify_stop", &from.stop, &mut out.stop),
            ("script_deleted", "notify_deleted", &from.deleted, &mut out.deleted),
            ("script", "notify", &from.any, &mut out.any),
            (
                "script_master_rx_lower_pri",
                "notify_master_rx_lower_pri",
                &from.master_rx_lower_pri,
                &mut out.master_rx_lower_pri,
            ),
        ] {
            if let Some(command) = command {
                let what = format!("({subject}) {keyword} {}", command.program());
                *slot = resolver.resolve(&what, command, notices);
                out.listed.push((key.to_owned(), command.words.join(" ")));
            }
        }
        out
    }
}

/// The worker's settings. Trackers that nothing tracks are left out: they cost a process a second
/// for nothing.
pub(crate) fn worker_config(
    model: &Model,
    resolver: &Resolver<'_>,
    notices: &mut Vec<String>,
) -> WorkerConfig {
    let mut out = WorkerConfig {
        process_events_buffer: model.global.buffers.process_monitor.size.map(|n| n as usize),
        ..WorkerConfig::default()
    };
    let all =
        || model.vrrp.iter().map(|i| &i.tracks).chain(model.sync_groups.iter().map(|g| &g.tracks));
    for fifo in [&model.global.notify_fifo, &model.global.vrrp_notify_fifo].into_iter().flatten() {
        out.fifos.push(resolver.fifo(model, fifo, notices));
    }
    for script in &model.scripts {
        if !all().any(|t| t.scripts.iter().any(|s| s.name == script.name)) {
            continue;
        }
        let what = format!("vrrp_script {}", script.name);
        match resolver.resolve(&what, &script.script, notices) {
            Some(command) => out.scripts.push(ScriptTrackerConfig {
                interval: script.interval.value,
                timeout: script.timeout.value,
                rise: script.rise.value,
                fall: script.fall.value,
                init_fail: script.init_fail,
                ..ScriptTrackerConfig::new(script.name.text.clone(), command)
            }),
            None => notices
                .push(format!("Disabling track script {} since not found/accessible", script.name)),
        }
    }
    for file in &model.track_files {
        if all().any(|t| t.files.iter().any(|f| f.name == file.name)) {
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
    for process in &model.track_processes {
        if all().any(|t| t.processes.iter().any(|p| p.name == process.name)) {
            out.processes.push(ProcessTrackerConfig {
                name: process.name.text.clone(),
                process: process.process.clone(),
                args: process.params.clone(),
                param_match: match process.param_match {
                    None => notify::settings::ParamMatch::Any,
                    Some(ParamMatch::Exact) => notify::settings::ParamMatch::Exact,
                    Some(ParamMatch::Initial) => notify::settings::ParamMatch::Initial,
                    Some(ParamMatch::Partial) => notify::settings::ParamMatch::Partial,
                },
                full_command: process.full_command,
                quorum: process.quorum.value,
                quorum_max: process.quorum_max.value,
                terminate_delay: process.terminate_delay.value,
                fork_delay: process.fork_delay.value,
            });
        }
    }
    out
}
