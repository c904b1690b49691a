//! Scripts: whether they are there, who runs them, and what no shell will read.

use super::{Script, ScriptProblem, Subject};
use crate::diagnostic::{Class, Diagnostic, Scripts};
use crate::model::checker::CheckerKind;
use crate::model::{Command, Model};

/// What becomes of Keepalived when a script cannot be run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// Tracked or a checker: disabled, with a complaint.
    Check,
    /// A notification: dropped, with a line in the log.
    Notify,
}

pub(super) fn check(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    // One that could not be used counts too: it was meant to.
    let any_router = subject.tree.items.iter().any(|item| item.keyword.as_str() == "vrrp_instance");
    let commands = commands(subject.model, any_router);
    let mut as_root = Vec::new();
    for (command, used) in &commands {
        let program = command.program();
        shell_syntax(subject, command, found);
        if program.contains('/') && !program.starts_with('/') {
            found.push(
                Diagnostic::warning(Scripts::Relative, format!("{program} is a relative path"))
                    .unnoticed()
                    .at(
                        command.span,
                        "depends on where the daemon is started; for a service that is /",
                    )
                    .help("write its full path"),
            );
        }
        if let Some(script) = subject.environment.script(command, &subject.model.global) {
            let runs = report(subject.model, command, &script, *used, found);
            if runs && script.as_root {
                as_root.push(*command);
            }
        }
    }
    if let (false, Some(first)) = (subject.model.global.script_security, as_root.first()) {
        let count = as_root.len();
        let mut diagnostic = Diagnostic::warning(
            Scripts::NoSecurity,
            match count {
                1 => format!("{} runs as root without script security", first.program()),
                _ => format!("{count} scripts run as root without script security"),
            },
        )
        .class(Class::ScriptSecurity)
        .at(first.span, "as root");
        for other in as_root.iter().skip(1).take(3) {
            diagnostic = diagnostic.also(other.span, "as root too");
        }
        found.push(diagnostic.help(
            "in global_defs, write `script_user USER`, or `script_user root` and \
             `enable_script_security`",
        ));
    }
    for script in &subject.model.scripts {
        let (interval, timeout) = (script.interval.value, script.timeout.value);
        if let (true, Some(span)) = (timeout > interval, script.timeout.written_at()) {
            let mut diagnostic = Diagnostic::advice(
                Scripts::Timeout,
                format!("`{}` may run longer than its interval", script.name),
            )
            .at(span, format!("up to {} s", timeout.as_secs_f64()));
            if let Some(span) = script.interval.span() {
                diagnostic = diagnostic.also(span, format!("{} s", interval.as_secs_f64()));
            }
            found.push(diagnostic.help(
                "it is not started again while it runs, so a script that hangs is noticed after \
                 the time-out",
            ));
        }
    }
}

/// Every command that would be run.
fn commands(model: &Model, any_router: bool) -> Vec<(&Command, Use)> {
    let mut commands = Vec::new();
    // Keepalived looks at every script, tracked or not, once there is a virtual router.
    let scripts = model.scripts.iter().filter(|_| any_router);
    commands.extend(scripts.map(|s| (&s.script, Use::Check)));
    let notify = model
        .vrrp
        .iter()
        .map(|i| &i.notify)
        .chain(model.sync_groups.iter().map(|g| &g.notify))
        .flat_map(crate::model::vrrp::NotifyScripts::all);
    commands.extend(notify.map(|c| (c, Use::Notify)));
    let global = &model.global;
    let fifos = [&global.notify_fifo, &global.vrrp_notify_fifo, &global.lvs_notify_fifo];
    commands.extend(
        fifos.into_iter().flatten().filter_map(|f| f.script.as_ref()).map(|c| (c, Use::Notify)),
    );
    let once = [&global.startup_script, &global.shutdown_script];
    commands.extend(once.into_iter().flatten().map(|(c, _)| (c, Use::Notify)));
    for server in &model.virtual_servers {
        let quorum = [&server.quorum_up, &server.quorum_down];
        commands.extend(quorum.into_iter().flatten().map(|c| (&**c, Use::Notify)));
        for real in &server.real_servers {
            let notify = [&real.notify_up, &real.notify_down];
            commands.extend(notify.into_iter().flatten().map(|c| (&**c, Use::Notify)));
            for checker in &real.checkers {
                if let CheckerKind::Misc(misc) = &checker.kind {
                    commands.push((&misc.command, Use::Check));
                }
            }
        }
    }
    commands
}

/// Reports what the surroundings say of a script; whether it is run at all.
fn report(
    model: &Model,
    command: &Command,
    script: &Script,
    used: Use,
    found: &mut Vec<Diagnostic>,
) -> bool {
    let mut runs = true;
    for finding in &script.findings {
        let stops = matches!(finding.problem, ScriptProblem::NotRunnable | ScriptProblem::NoUser)
            || (finding.problem == ScriptProblem::Insecure && model.global.script_security);
        let code = match finding.problem {
            ScriptProblem::NotRunnable | ScriptProblem::NoUser => Scripts::NotRunnable,
            ScriptProblem::Insecure => Scripts::Insecure,
            // Said already, whatever machine the file is for.
            ScriptProblem::Relative | ScriptProblem::ShellSyntax => continue,
            ScriptProblem::Remark => Scripts::Unknown,
        };
        let complaint =
            stops && (used == Use::Check || finding.problem != ScriptProblem::NotRunnable);
        let mut diagnostic = if stops && used == Use::Check {
            Diagnostic::error(code, finding.message.clone())
                .at(command.span, "not run, so nothing is guarded by it")
        } else if stops {
            Diagnostic::warning(code, finding.message.clone()).at(command.span, "not run")
        } else if finding.problem == ScriptProblem::Insecure {
            Diagnostic::warning(code, finding.message.clone()).at(command.span, "run by root")
        } else {
            Diagnostic::advice(code, finding.message.clone()).at(command.span, "")
        };
        if !complaint {
            diagnostic = diagnostic.unnoticed();
        }
        if !finding.remedy.is_empty() {
            diagnostic = diagnostic.help(finding.remedy.clone());
        }
        found.push(diagnostic);
        runs &= !stops;
    }
    runs
}

fn shell_syntax(subject: &Subject<'_>, command: &Command, found: &mut Vec<Diagnostic>) {
    let program = command.program();
    let name = program.rsplit('/').next().unwrap_or(program);
    let shell = matches!(name, "sh" | "bash" | "dash" | "ash" | "ksh" | "zsh" | "busybox" | "env");
    if shell && command.args().iter().any(|arg| arg.starts_with('-') && arg.contains('c')) {
        return;
    }
    const WORDS: [&str; 8] = ["if", "[", "[[", "while", "for", "test", "exit", "!"];
    let word = if WORDS.contains(&name) && name != "test" {
        Some(program)
    } else {
        command.args().iter().map(String::as_str).find(|word| is_shell_syntax(word))
    };
    let Some(word) = word else { return };
    // The word itself, where it stands as it is written.
    let written = subject.sources.text(command.span);
    let span = match written.find(&format!(" {word}")) {
        Some(at) => command.span.part(at + 1, word.len()),
        None => command.span,
    };
    let label = match WORDS.contains(&word) {
        true => "no program".to_owned(),
        false => format!("an argument of `{name}`"),
    };
    found.push(
        Diagnostic::warning(Scripts::ShellSyntax, format!("no shell reads this line: `{word}`"))
            .unnoticed()
            .at(span, label)
            .help("put the line into a script file, or write /bin/sh -c '…'"),
    );
}

fn is_shell_syntax(word: &str) -> bool {
    const SIGNS: [&str; 13] =
        ["|", "||", "&", "&&", ";", ">", ">>", "<", "<<", "2>&1", "&>", "2>", "then"];
    SIGNS.contains(&word)
        || word.starts_with(">/")
        || word.starts_with("2>/")
        || word.starts_with("&>/")
        || word.starts_with("$(")
        || (word.starts_with('`') && word.len() > 1)
        || (word.len() > 1 && word.ends_with(';'))
        || word
            .strip_prefix('$')
            .is_some_and(|rest| rest.starts_with(|c: char| c == '{' || c.is_ascii_alphabetic()))
}
