//! `standfast check`, `standfast keywords`, and Keepalived's `-t`.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use config::checks::{Elsewhere, Environment};
use config::diagnostic::{Class, Code, Diagnostic, Severity};
use config::files::{FileSystem as _, RealFiles};
use config::keywords::{self, Keyword, Standing};
use config::render::{self, Style};
use config::{Loaded, verdict};
use failover::load::MachineNames;

use crate::cli::keepalived::Options;
use crate::cli::standfast::{Color, Format};
use crate::machine::ThisMachine;
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

/// Exit status of a check that found errors.
const FOUND: u8 = 2;
/// Exit status of a strict check that found warnings only.
const WARNED: u8 = 1;
/// Exit status when a file cannot be read.
const UNREADABLE: u8 = 6;

/// A file that was checked.
pub(crate) struct Checked {
    pub(crate) loaded: Loaded,
    pub(crate) model: config::model::Model,
    pub(crate) findings: Vec<Diagnostic>,
}

/// `standfast check`.
pub(crate) fn run(request: &Request) -> u8 {
    if let Some(code) = &request.explain {
        return explain(code);
    }
    if request.pair && request.files.len() < 2 {
        eprintln!("--pair compares the files of two nodes or more");
        return FOUND;
    }
    let mut checked = Vec::new();
    for path in &request.files {
        if let Err(error) = RealFiles.read(path) {
            eprintln!("{}: {error}", path.display());
            return UNREADABLE;
        }
        let options = reading::load_options(request.config_id.as_deref(), false);
        // The files of several nodes cannot all belong to this machine.
        let environment: &dyn Environment =
            if request.elsewhere || request.pair { &Elsewhere } else { &ThisMachine::default() };
        checked.push(check(path, &options, environment));
    }
    let compared = if request.pair { compare(&checked) } else { Vec::new() };
    let colour = match request.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => std::io::stdout().is_terminal(),
    };
    let out = match request.format {
        Format::Json => json(&checked, &compared),
        Format::Text => text(&checked, &compared, Style { colour, ..Style::default() }),
    };
    // A reader that went away (`| head`) is no error.
    let _ = std::io::stdout().lock().write_all(out.as_bytes());
    let worst = checked
        .iter()
        .flat_map(|c| &c.findings)
        .map(|d| d.severity)
        .chain(compared.iter().map(|f| f.severity))
        .max();
    match worst {
        Some(Severity::Error) => FOUND,
        Some(Severity::Warning | Severity::Deprecated) if request.strict => WARNED,
        _ => 0,
    }
}

/// Reads and checks one file.
fn check(path: &Path, options: &config::Options, environment: &dyn Environment) -> Checked {
    let loaded = config::load(&RealFiles, path, options);
    let lowered = config::lower::lower(&loaded.tree, &MachineNames::load());
    let mut findings = loaded.diagnostics.clone();
    findings.extend(lowered.diagnostics);
    findings.extend(config::checks::check(
        &loaded.tree,
        &lowered.model,
        &loaded.sources,
        environment,
    ));
    render::sort(&mut findings, &loaded.sources);
    Checked { loaded, model: lowered.model, findings }
}

/// A finding of the comparison, ready to be shown: its places are in several files.
struct Compared {
    severity: Severity,
    text: Box<dyn Fn(Style) -> String>,
    json: serde_json::Value,
}

fn text(checked: &[Checked], compared: &[Compared], style: Style) -> String {
    let mut out = String::new();
    for file in checked {
        for finding in &file.findings {
            out.push_str(&render::text(finding, &file.loaded.sources, style));
            out.push_str("\n\n");
        }
    }
    for finding in compared {
        out.push_str(&(finding.text)(style));
        out.push_str("\n\n");
    }
    for file in checked {
        let path = file.loaded.bundle.path.display();
        // Writing to a String cannot fail.
        let _ = match render::summary(&file.findings).as_str() {
            "" => writeln!(out, "{path}: nothing found"),
            summary => writeln!(out, "{path}: {summary}"),
        };
    }
    if !compared.is_empty() {
        let _ = writeln!(out, "together: {} disagreements", compared.len());
    } else if checked.len() > 1 {
        let _ = writeln!(out, "together: they agree");
    }
    out
}

fn json(checked: &[Checked], compared: &[Compared]) -> String {
    let own = checked.iter().flat_map(|file| {
        file.findings.iter().map(|finding| {
            serde_json::to_value(render::record(finding, &file.loaded.sources)).unwrap_or_default()
        })
    });
    let all: Vec<_> = own.chain(compared.iter().map(|f| f.json.clone())).collect();
    serde_json::to_string_pretty(&all).unwrap_or_default() + "\n"
}

fn compare(_checked: &[Checked]) -> Vec<Compared> {
    Vec::new()
}

/// `--explain CODE`.
fn explain(code: &str) -> u8 {
    match Code::find(code) {
        Some(code) => {
            println!("{} {}\n\n{}", code.id(), code.name(), code.explanation());
            0
        }
        None => {
            eprintln!("there is no finding {code}; they look like SF0101 or unknown-keyword");
            FOUND
        }
    }
}

/// `standfast keywords [WORD]`: every keyword, or those whose name contains the word.
pub(crate) fn keywords(word: Option<&str>) -> u8 {
    let mut out = String::new();
    let mut any = false;
    for block in keywords::blocks() {
        let found: Vec<_> =
            block.keywords().filter(|k| word.is_none_or(|word| k.name.contains(word))).collect();
        if found.is_empty() {
            continue;
        }
        any = true;
        let _ = writeln!(out, "{}", block.title);
        for keyword in found {
            describe(keyword, word.is_some(), &mut out);
        }
        out.push('\n');
    }
    if !any {
        eprintln!("no keyword contains {}", word.unwrap_or_default());
        return 1;
    }
    let _ = std::io::stdout().lock().write_all(out.as_bytes());
    0
}

fn describe(keyword: &Keyword, wide: bool, out: &mut String) {
    let _ = writeln!(out, "  {} {}", keyword.name, keyword.grammar());
    let _ = writeln!(out, "      {}", keyword.doc);
    if !wide {
        return;
    }
    for (what, text) in [
        ("range", keyword.range()),
        ("default", keyword.default.to_owned()),
        ("since Keepalived", keyword.since.to_owned()),
    ] {
        if !text.is_empty() {
            let _ = writeln!(out, "      {what}: {text}");
        }
    }
    match keyword.standing {
        Standing::Deprecated(instead) => {
            let _ = writeln!(out, "      deprecated: {instead}");
        }
        Standing::Alias(of) => {
            let _ = writeln!(out, "      the same as {of}");
        }
        _ => {}
    }
    if !keyword.acted_on() {
        let _ = writeln!(out, "      not acted on by this version");
    }
}

/// `-t`: messages in the form that scripts know, and the exit status that Keepalived documents.
pub(crate) fn config_test(options: &Options, log: Option<&Path>) -> u8 {
    let mut out: Box<dyn Write> = match log {
        None => Box::new(std::io::stderr().lock()),
        Some(path) => match sys::fsafe::append(path, 0o644) {
            Ok(file) => Box::new(file),
            Err(error) => {
                eprintln!("{}: {error}", path.display());
                return crate::supervisor::exit::FATAL;
            }
        },
    };
    if let Err(error) = RealFiles.read(&options.config) {
        let _ = writeln!(out, "Unable to read {}: {error}", options.config.display());
        return verdict::SECURITY_OR_FILE;
    }
    if let Some(name) = &options.namespace
        && let Err(error) = sys::netns::enter(name)
    {
        let _ = writeln!(out, "network namespace {name}: {error}");
        return verdict::CANNOT_RUN;
    }
    let load = reading::load_options(options.config_id.as_deref(), options.all_includes);
    let checked = check(&options.config, &load, &ThisMachine::default());
    for finding in checked.findings.iter().filter(|f| f.class != Class::Unnoticed) {
        let _ = writeln!(out, "{}", reading::line(finding, &checked.loaded.sources));
    }
    let advice = checked.findings.iter().filter(|f| f.class == Class::Unnoticed).count();
    if advice > 0 && log.is_none() {
        let _ = writeln!(
            out,
            "standfast check {} has more to say ({advice})",
            options.config.display()
        );
    }
    verdict::exit_status(&checked.findings)
}
