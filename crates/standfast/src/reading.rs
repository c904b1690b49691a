//! Reading a configuration for the daemon: text, model, findings, and whether it can be run.

use std::cell::Cell;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

use config::diagnostic::{Class, Code, Diagnostic, Language, Severity};
use config::files::{FileSystem, ReadError, RealFiles};
use config::lower::NotActedOn;
use config::model::Model;
use config::source::SourceMap;
use config::{Loaded, Options as LoadOptions};
use sys::memory::LargeSteps;

use crate::cli::keepalived::Options;
use crate::machine::MachineNames;

/// A configuration as it was read.
pub(crate) struct Read {
    pub(crate) model: Model,
    pub(crate) sources: SourceMap,
    pub(crate) findings: Vec<Diagnostic>,
    pub(crate) not_acted_on: Vec<NotActedOn>,
    /// There is no word in it.
    pub(crate) is_empty: bool,
    /// Virtual routers that are in the text and too incomplete for the model.
    unusable: Vec<String>,
}

impl Read {
    /// Why it cannot be run, if it cannot. Keepalived stops with status 2 in these cases.
    pub(crate) fn refusal(&self) -> Option<String> {
        let stops = |finding: &&Diagnostic| {
            finding.is_fatal()
                || finding.class == Class::Unreadable
                || finding.code == Code::Language(Language::DuplicateVrid)
        };
        let finding = self.findings.iter().find(stops).map(|finding| line(finding, &self.sources));
        finding.or_else(|| Some(format!("vrrp_instance {} cannot be used", self.unusable.first()?)))
    }

    /// Whether a file is missing that an include insists on: Keepalived has a status for that.
    pub(crate) fn lacks_a_file(&self) -> bool {
        self.findings.iter().any(|finding| finding.class == Class::Unreadable)
    }

    /// What is wrong with it, without the places: a reload must not add to these. A word that is
    /// unknown is not among them; Keepalived takes the rest of such a file over, and so do we.
    pub(crate) fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.findings.iter().filter(|finding| {
            finding.severity == Severity::Error
                && finding.class != Class::Unnoticed
                && finding.code != Code::Language(Language::UnknownKeyword)
        })
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
        seed: sys::clock::Clock::Boottime.now(),
    }
}

/// The running system's files, of which the main one has been read already: whether that is
/// possible decides more than what it says.
pub(crate) struct Opened {
    path: PathBuf,
    main: Cell<Option<Vec<u8>>>,
    /// A large one needs much memory for as long as it is read.
    _steps: Option<LargeSteps>,
}

impl Opened {
    /// Reads the main file.
    pub(crate) fn new(path: &Path) -> Result<Self, ReadError> {
        let text = RealFiles.read(path)?;
        let steps = LargeSteps::to_read(text.len());
        Ok(Self { path: path.to_owned(), main: Cell::new(Some(text)), _steps: steps })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Loads the configuration.
    pub(crate) fn load(&self, options: &LoadOptions) -> Loaded {
        config::load(self, &self.path, options)
    }
}

impl FileSystem for Opened {
    fn read(&self, path: &Path) -> Result<Vec<u8>, ReadError> {
        if path == self.path
            && let Some(bytes) = self.main.take()
        {
            return Ok(bytes);
        }
        RealFiles.read(path)
    }

    fn glob(&self, pattern: &str) -> Vec<PathBuf> {
        RealFiles.glob(pattern)
    }

    fn variable(&self, name: &str) -> Option<String> {
        RealFiles.variable(name)
    }

    fn current_dir(&self) -> PathBuf {
        RealFiles.current_dir()
    }
}

/// Reads a configuration.
///
/// # Errors
/// A sentence, if the main file cannot be read.
pub(crate) fn read(path: &Path, options: &Options) -> Result<Read, String> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let opened = Opened::new(&absolute).map_err(|error| {
        format!("Unable to read configuration file {}: {error}", path.display())
    })?;
    let mut load = load_options(options.config_id.as_deref(), options.all_includes);
    let names = MachineNames::default();
    let mut read = once(&opened, &load, &names);
    if let Some(seed) = read.model.global.random_seed {
        // Now that it is known where chance starts from, once more.
        load.seed = u64::from(seed);
        read = once(&opened, &load, &names);
    }
    config::render::sort(&mut read.findings, &read.sources);
    Ok(read)
}

fn once(opened: &Opened, options: &LoadOptions, names: &MachineNames) -> Read {
    let Loaded { tree, sources, diagnostics: mut findings } = opened.load(options);
    let is_empty = tree.items.is_empty();
    let routers = tree.items.iter().filter(|item| item.keyword.as_str() == "vrrp_instance");
    // One without a name is reported and left out, and the others run.
    let mut unusable: Vec<String> = routers.filter_map(|r| Some(r.arg(0)?.to_string())).collect();
    let lowered = config::lower::consume(tree, names);
    let usable: HashSet<&str> = lowered.model.vrrp.iter().map(|r| r.name.text.as_str()).collect();
    unusable.retain(|name| !usable.contains(name.as_str()));
    findings.extend(lowered.diagnostics);
    Read {
        model: lowered.model,
        sources,
        findings,
        not_acted_on: lowered.not_acted_on,
        is_empty,
        unusable,
    }
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
        let lacks = if role.exists() {
            "these parts are".to_owned()
        } else {
            format!("the {} role is", role.word())
        };
        out.push(format!(
            "{}{more} (first in line {}) are read and checked but not acted on: {lacks} not in \
             this version",
            words.join(", "),
            at.line,
        ));
    }
    out
}
