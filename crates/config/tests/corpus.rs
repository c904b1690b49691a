//! Configurations from the wild: nothing panics, and our `-t` agrees with Keepalived's, or the
//! difference is listed here with its reason.
//!
//! The files are third-party data beside the repository (`STANDFAST_CONFIGS` or
//! `../shared/configs`); without them the test says so and passes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use config::checks::{Environment, Interface, Script, ScriptFinding, ScriptProblem};
use config::files::RealFiles;
use config::lower::{BuiltinNames, lower};
use config::model::{Command, Global};
use config::{Options, checks, diagnostic::Diagnostic, load, render, verdict};

fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("STANDFAST_CONFIGS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/configs"),
        PathBuf::from,
    );
    let folder = folder.join("keepalived");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: {} is not there; set STANDFAST_CONFIGS", folder.display());
    None
}

/// The machine that the verdicts were taken on: every interface exists, and of scripts and users
/// either all or none.
struct Machine {
    scripts: bool,
    users: Vec<String>,
    stubs: Vec<String>,
    asked: RefCell<Vec<String>>,
}

/// Programs that were there anyway.
const INSTALLED: [&str; 17] = [
    "/bin/sh",
    "/bin/bash",
    "/usr/bin/bash",
    "/bin/true",
    "/usr/bin/true",
    "/bin/ping",
    "/bin/echo",
    "/bin/pidof",
    "/usr/bin/python",
    "/usr/bin/killall",
    "/etc/init.d/postgresql",
    "killall",
    "netstat",
    "pidof",
    "pgrep",
    "ping",
    "systemctl",
];

impl Environment for Machine {
    fn interface(&self, _name: &str) -> Interface {
        Interface::Unknown
    }

    fn script(&self, command: &Command, global: &Global) -> Option<Script> {
        let program = command.program();
        self.asked.borrow_mut().push(program.to_owned());
        let mut script = Script::default();
        let mut say = |problem, message: String| {
            script.findings.push(ScriptFinding { problem, message, remedy: String::new() });
        };
        let user = command.user.as_ref().or(global.script_user.as_ref()).map(|u| u.user.clone());
        let known = |user: &str| {
            matches!(user, "root" | "nobody" | "daemon") || self.users.iter().any(|u| u == user)
        };
        let fallback = self.users.iter().any(|u| u == "keepalived_script");
        match &user {
            Some(user) if !known(user) => {
                say(ScriptProblem::NoUser, format!("there is no user {user}"));
            }
            None if !fallback && global.script_security => {
                say(ScriptProblem::NoUser, "there is no user keepalived_script".to_owned());
            }
            _ => {}
        }
        let name = program.rsplit('/').next().unwrap_or_default();
        let there = INSTALLED.contains(&program)
            || (self.scripts
                && self.stubs.iter().any(|stub| stub.rsplit('/').next() == Some(name)));
        if !there {
            say(ScriptProblem::NotRunnable, format!("{program} does not exist"));
        }
        script.as_root = match user.as_deref() {
            None => !fallback,
            Some(user) => user == "root",
        };
        Some(script)
    }
}

struct Row {
    file: String,
    raw: u8,
    present: u8,
    stubs: Vec<String>,
    messages: String,
}

fn rows(folder: &Path) -> Vec<Row> {
    let table = std::fs::read_to_string(folder.join("verdicts.tsv")).expect("verdicts.tsv");
    table
        .lines()
        .skip(1)
        .map(|line| {
            let columns: Vec<&str> = line.split('\t').collect();
            Row {
                file: columns[0].to_owned(),
                raw: columns[1].parse().expect("an exit status"),
                present: columns[3].parse().expect("an exit status"),
                stubs: columns
                    .get(9)
                    .unwrap_or(&"")
                    .split_whitespace()
                    .map(str::to_owned)
                    .collect(),
                messages: columns[6..9].join(" | "),
            }
        })
        .collect()
}

fn findings(path: &Path, machine: &Machine) -> (Vec<Diagnostic>, config::source::SourceMap) {
    let options = Options { config_id: "host".to_owned(), ..Options::default() };
    let loaded = load(&RealFiles, path, &options);
    let lowered = lower(&loaded.tree, &BuiltinNames);
    let mut found = loaded.diagnostics;
    found.extend(lowered.diagnostics);
    found.extend(checks::check(&loaded.tree, &lowered.model, &loaded.sources, machine));
    render::sort(&mut found, &loaded.sources);
    (found, loaded.sources)
}

/// Files for which our status differs, and why. First with the scripts missing, then present.
const DIFFERENT: &[(&str, Option<u8>, Option<u8>, &str)] = &[
    ("036.conf", Some(5), Some(6), BRACES),
    ("055.conf", Some(6), Some(6), INTERFACE),
    ("071.conf", None, Some(6), INTERFACE),
    ("077.conf", None, Some(5), VOID),
];

const BRACES: &str = "`interface ${interface}` without such a definition: Keepalived takes the \
    braces for a block, so that the interface lacks its argument, and stops with 2. We take \
    `${interface}` for a word that was not replaced, report it and read on";
const INTERFACE: &str = "Keepalived stops at an interface that does not exist before it looks at the \
    scripts; here nobody looked at interfaces, so the scripts decide";
const VOID: &str =
    "the scripts of an instance without an interface are not examined: it cannot run";

#[test]
fn verdicts_agree_or_differ_for_a_reason() {
    let Some(folder) = folder() else { return };
    let explained: BTreeMap<&str, (Option<u8>, Option<u8>)> =
        DIFFERENT.iter().map(|(file, raw, present, _)| (*file, (*raw, *present))).collect();
    let mut wrong = Vec::new();
    let mut same = 0;
    for row in rows(&folder) {
        let (other_raw, other_present) =
            explained.get(row.file.as_str()).copied().unwrap_or((None, None));
        for (scripts, theirs, other) in
            [(false, row.raw, other_raw), (true, row.present, other_present)]
        {
            let users = row.stubs.iter().filter_map(|s| s.strip_prefix("u:")).map(str::to_owned);
            let machine = Machine {
                scripts,
                users: if scripts { users.collect() } else { Vec::new() },
                stubs: row.stubs.clone(),
                asked: RefCell::default(),
            };
            let (found, sources) = findings(&folder.join(&row.file), &machine);
            let ours = verdict::exit_status(&found);
            for diagnostic in &found {
                let shown = render::text(diagnostic, &sources, render::Style::default());
                assert!(shown.contains(diagnostic.code.id()));
            }
            if ours == other.unwrap_or(theirs) {
                same += 1;
                continue;
            }
            let counted: Vec<String> = found
                .iter()
                .filter(|d| d.class != config::diagnostic::Class::Unnoticed)
                .map(|d| format!("{} {}", d.code, d.message))
                .collect();
            wrong.push(format!(
                "{} scripts={scripts}: ours {ours}, theirs {theirs}\n    we: {}\n    they: {}\n    asked: {:?} stubs {:?}",
                row.file,
                counted.join("; "),
                row.messages,
                machine.asked.borrow(),
                row.stubs,
            ));
        }
    }
    println!("{same} verdicts agree or are explained");
    assert!(wrong.is_empty(), "{} verdicts differ:\n{}", wrong.len(), wrong.join("\n"));
}
