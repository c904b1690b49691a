//! Reading a configuration for the daemon: text, model, findings, and whether it can be run.

use std::path::Path;

use config::diagnostic::{Class, Diagnostic, Severity};
use config::files::{FileSystem, ReadError, RealFiles};
use config::lower::NotActedOn;
use config::model::Model;
use config::source::SourceMap;
use config::{Bundle, Options as LoadOptions};
use failover::load::MachineNames;

use crate::cli::keepalived::Options;

/// A configuration as it was read.
pub(crate) struct Read {
    pub(crate) model: Model,
    pub(crate) sources: SourceMap,
    pub(crate) findings: Vec<Diagnostic>,
    pub(crate) not_acted_on: Vec<NotActedOn>,
    pub(crate) bundle: Bundle,
    /// There is no word in it.
    pub(crate) is_empty: bool,
}

impl Read {
    /// Why it cannot be run, if it cannot.
    pub(crate) fn fatal(&self) -> Option<&Diagnostic> {
        self.findings.iter().find(|d| d.is_fatal())
    }
}

/// How the command line wants files to be read.
pub(crate) fn load_options(config_id: Option<&str>, all_checks: bool) -> LoadOptions {
    let host = || {
        let name = sys::users::host_name();
        name.split('.').next().unwrap_or_default().to_owned()
    };
    LoadOptions {
        config_id: config_id.map_or_else(host, str::to_owned),
        all_checks,
        // `random_seed` is for tests; everything else may differ from run to run.
        seed: sys::clock::Clock::Boottime.now(),
    }
}

/// Reads a configuration.
///
/// # Errors
/// A sentence, if the main file cannot be read.
pub(crate) fn read(path: &Path, options: &Options) -> Result<Read, String> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    RealFiles.read(&absolute).map_err(|error: ReadError| {
        format!("Unable to read configuration file {}: {error}", path.display())
    })?;
    let load = load_options(options.config_id.as_deref(), options.all_includes);
    let loaded = config::load(&RealFiles, &absolute, &load);
    let lowered = config::lower::lower(&loaded.tree, &MachineNames::load());
    let mut findings = loaded.diagnostics;
    findings.extend(lowered.diagnostics);
    config::render::sort(&mut findings, &loaded.sources);
    Ok(Read {
        is_empty: loaded.tree.items.is_empty(),
        model: lowered.model,
        sources: loaded.sources,
        findings,
        not_acted_on: lowered.not_acted_on,
        bundle: loaded.bundle,
    })
}

/// A finding as a log line: `(FILE: Line N) message`, the form that scripts look for.
pub(crate) fn line(finding: &Diagnostic, sources: &SourceMap) -> String {
    match &finding.primary {
        None => finding.message.clone(),
        Some(label) => {
            let span = sources.outermost(label.span);
            let path = sources.file(span.file).path().display();
            let at = sources.location(span);
            format!("({path}: Line {}) {}", at.line, finding.message)
        }
    }
}

/// Logs what is wrong. Advice is for `standfast check`: a daemon's log is no place for it.
pub(crate) fn log_findings(read: &Read) {
    for finding in &read.findings {
        if finding.class == Class::Unnoticed && finding.severity == Severity::Advice {
            continue;
        }
        let text = line(finding, &read.sources);
        match finding.severity {
            Severity::Error => log::error!("{text}"),
            Severity::Warning | Severity::Deprecated => log::warn!("{text}"),
            Severity::Advice => log::info!("{text}"),
        }
    }
}

/// What the configuration asks for and this daemon does not do: a sentence for each missing part.
pub(crate) fn not_acted_on(read: &Read) -> Vec<String> {
    let mut out = Vec::new();
    let mut roles: Vec<_> = read.not_acted_on.iter().map(|item| item.role).collect();
    roles.sort_unstable();
    roles.dedup();
    for role in roles {
        let items: Vec<_> = read.not_acted_on.iter().filter(|item| item.role == role).collect();
        let Some(first) = items.first() else { continue };
        let at = read.sources.location(read.sources.outermost(first.span));
        let mut words: Vec<_> = items.iter().map(|item| item.keyword).collect();
        words.dedup();
        let more = words.len().saturating_sub(4);
        words.truncate(4);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        out.push(format!(
            "{}{more} (first in line {}) are read and checked but not acted on: this version has \
             no {} role",
            words.join(", "),
            at.line,
            role.word(),
        ));
    }
    out
}
