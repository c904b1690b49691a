//! Which programs and FIFOs the configuration's lines mean, under its policy: resolved once for each
//! configuration.

use config::model::command::Fifo;
use config::model::{Command, Global, Model, ScriptUser};

use crate::security::{self, FileSystem, Policy, UserName};
use crate::settings::{FifoConfig, ScriptCommand};

/// Resolves script lines under the configuration's policy.
pub struct Resolver<'a> {
    policy: Policy,
    system: &'a dyn FileSystem,
}

impl<'a> Resolver<'a> {
    /// The policy of `global_defs`.
    pub fn new(model: &Model, system: &'a dyn FileSystem) -> Self {
        Self { policy: policy(&model.global), system }
    }

    /// What a line means; `None`, with a notice, if it must not or cannot be run.
    pub fn resolve(
        &self,
        what: &str,
        command: &Command,
        notices: &mut Vec<String>,
    ) -> Option<ScriptCommand> {
        let user = command.user.as_ref().map(user_name);
        let resolved = security::resolve(&command.words, user.as_ref(), &self.policy, self.system);
        for finding in &resolved.findings {
            if matches!(finding, security::Finding::RunsAsRoot) {
                continue;
            }
            let consequence = if finding.is_fatal() { "; it is not run" } else { "" };
            notices.push(format!("{what}: {finding}{consequence}. Remedy: {}", finding.remedy()));
        }
        resolved.command
    }

    fn owner(
        &self,
        user: Option<&ScriptUser>,
        what: &str,
        notices: &mut Vec<String>,
    ) -> Option<(u32, u32)> {
        let user = user?;
        let Some(entry) = self.system.user(&user.user) else {
            notices.push(format!("{what}: there is no user {}", user.user));
            return None;
        };
        let gid = match &user.group {
            None => entry.gid,
            Some(group) => match self.system.group(group) {
                Some(gid) => gid,
                None => {
                    notices.push(format!("{what}: there is no group {group}"));
                    entry.gid
                }
            },
        };
        Some((entry.uid, gid))
    }

    /// The worker's settings for a FIFO of the configuration.
    pub fn fifo(&self, model: &Model, fifo: &Fifo, notices: &mut Vec<String>) -> FifoConfig {
        let what = format!("notify FIFO {}", fifo.path.display());
        FifoConfig {
            owner: self.owner(fifo.user.as_ref(), &what, notices),
            mode: 0o666 & !model.global.umask.value,
            reader: fifo.script.as_ref().and_then(|script| self.resolve(&what, script, notices)),
            ..FifoConfig::new(fifo.path.clone())
        }
    }
}

/// The policy for scripts that `global_defs` sets.
pub fn policy(global: &Global) -> Policy {
    Policy {
        script_user: global.script_user.as_ref().map(user_name),
        script_security: global.script_security,
        use_symlink_paths: global.use_symlink_paths,
        supplementary_groups: global.supplementary_groups,
    }
}

/// A `USER [GROUP]` for [`security::resolve`].
pub fn user_name(user: &ScriptUser) -> UserName {
    UserName { user: Some(user.user.clone()), group: user.group.clone() }
}
