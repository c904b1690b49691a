//! `standfast check`, `standfast keywords`, and Keepalived's `-t`.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use config::checks::{Elsewhere, Environment};
use config::diagnostic::{Class, Code, Diagnostic, Severity};
use config::keywords::{self, Keyword, Standing};
use config::pair::{self, Paired};
use config::render::{self, Style};
use config::{Loaded, verdict};

use crate::cli::keepalived::{DEFAULT_CONFIG, Options};
use crate::cli::standfast::{Color, Format};
use crate::machine::{MachineNames, ThisMachine};
use crate::reading::{self, Opened};

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
    path: PathBuf,
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
    let mut unreadable = false;
    let default = [PathBuf::from(DEFAULT_CONFIG)];
    let files = if request.files.is_empty() { &default[..] } else { &request.files };
    for path in files {
        let opened = match Opened::new(path) {
            Ok(opened) => opened,
            Err(error) => {
                eprintln!("{}: {error}", path.display());
                unreadable = true;
                continue;
            }
        };
        let options = reading::load_options(request.config_id.as_deref(), false);
        // The files of several nodes cannot all belong to this machine.
        let environment: &dyn Environment =
            if request.elsewhere || request.pair { &Elsewhere } else { &ThisMachine::default() };
        checked.push(check(&opened, &options, environment));
    }
    let compared = (request.pair && !unreadable).then(|| compare(&checked));
    let colour = match request.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => std::io::stdout().is_terminal(),
    };
    let out = match request.format {
        Format::Json => json(&checked, compared.as_ref()),
        Format::Text => text(&checked, compared.as_ref(), Style { colour, ..Style::default() }),
    };
    crate::print(&out);
    if unreadable {
        return UNREADABLE;
    }
    let together = compared.iter().flat_map(|paired| &paired.diagnostics);
    let worst = checked.iter().flat_map(|c| &c.findings).chain(together).map(|d| d.severity).max();
    match worst {
        Some(Severity::Error) => FOUND,
        Some(Severity::Warning | Severity::Deprecated) if request.strict => WARNED,
        _ => 0,
    }
}

/// Reads and checks one file.
fn check(file: &Opened, options: &config::Options, environment: &dyn Environment) -> Checked {
    let loaded = file.load(options);
    let lowered = config::lower::lower(&loaded.tree, &MachineNames::default());
    let mut findings = loaded.diagnostics.clone();
    findings.extend(lowered.diagnostics);
    findings.extend(config::checks::check(
        &loaded.tree,
        &lowered.model,
        &loaded.sources,
        environment,
    ));
    render::sort(&mut findings, &loaded.sources);
    Checked { path: file.path().to_owned(), loaded, model: lowered.model, findings }
}

fn text(checked: &[Checked], compared: Option<&Paired>, style: Style) -> String {
    let mut out = String::new();
    for file in checked {
        for finding in &file.findings {
            out.push_str(&render::text(finding, &file.loaded.sources, style));
            out.push_str("\n\n");
        }
    }
    if let Some(paired) = compared {
        for finding in &paired.diagnostics {
            out.push_str(&render::text(finding, &paired.sources, style));
            out.push_str("\n\n");
        }
    }
    for file in checked {
        let path = file.path.display();
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{path}: {}", render::summary(&file.findings));
    }
    if let Some(paired) = compared {
        let _ = match paired.diagnostics.as_slice() {
            [] => writeln!(out, "together: they agree"),
            some => writeln!(out, "together: {}", render::summary(some)),
        };
    }
    out
}

fn json(checked: &[Checked], compared: Option<&Paired>) -> String {
    let own = checked.iter().flat_map(|file| {
        file.findings.iter().map(|finding| render::record(finding, &file.loaded.sources))
    });
    let together = compared.into_iter().flat_map(|paired| {
        paired.diagnostics.iter().map(|finding| render::record(finding, &paired.sources))
    });
    let all: Vec<render::Record> = own.chain(together).collect();
    // Records are text and numbers: they always can be written.
    serde_json::to_string_pretty(&all).unwrap_or_default() + "\n"
}

fn compare(checked: &[Checked]) -> Paired {
    let nodes: Vec<pair::Node<'_>> = checked
        .iter()
        .map(|file| pair::Node {
            sources: &file.loaded.sources,
            tree: &file.loaded.tree,
            model: &file.model,
        })
        .collect();
    pair::check(&nodes)
}

/// The widest line of an explanation.
const EXPLANATION_WIDTH: usize = 80;

/// `--explain CODE`.
fn explain(code: &str) -> u8 {
    match Code::find(code) {
        Some(code) => {
            let mut out = format!("{} {}\n\n", code.id(), code.name());
            let mut column = 0;
            for word in code.explanation().split(' ') {
                let length = word.chars().count();
                if column > 0 && column + 1 + length > EXPLANATION_WIDTH {
                    out.push('\n');
                    column = 0;
                } else if column > 0 {
                    out.push(' ');
                    column += 1;
                }
                out.push_str(word);
                column += length;
            }
            crate::print(&(out + "\n"))
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
    crate::print(&out)
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
    for text in options.not_honoured.iter() {
        let _ = writeln!(out, "{text}");
    }
    if !options.unexpected.is_empty() {
        let _ = writeln!(out, "Unexpected argument(s): {}", options.unexpected.join(" "));
    }
    let opened = match Opened::new(&options.config) {
        Ok(opened) => opened,
        Err(error) => {
            let _ = writeln!(out, "Unable to read {}: {error}", options.config.display());
            return verdict::SECURITY_OR_FILE;
        }
    };
    if let Some(name) = &options.namespace
        && let Err(error) = sys::netns::enter(name)
    {
        let _ = writeln!(out, "network namespace {name}: {error}");
        return verdict::CANNOT_RUN;
    }
    let load = reading::load_options(options.config_id.as_deref(), options.all_includes);
    let checked = check(&opened, &load, &ThisMachine::default());
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
    let status = verdict::exit_status(&checked.findings);
    // The process ends: handing a large tree back piece by piece would take as long as checking it.
    std::mem::forget(checked);
    status
}
