//! Configurations from the wild: the keywords that Keepalived does not know are those that we do
//! not know.
//!
//! The files are third-party data beside the repository (`STANDFAST_CONFIGS` or
//! `../shared/configs`); without them the test says so and passes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use config::diagnostic::{Code, Language};
use config::files::RealFiles;
use config::lower::{BuiltinNames, lower};
use config::{Options, load};

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

/// Line and word of each `(Line N) Unknown keyword 'x'`.
fn theirs(messages: &str) -> BTreeSet<(u32, String)> {
    messages
        .split(" | ")
        .filter_map(|message| {
            let (line, word) =
                message.trim().strip_prefix("(Line ")?.split_once(") Unknown keyword '")?;
            let word = word.strip_suffix('\'').unwrap_or(word);
            Some((line.parse().ok()?, word.to_owned()))
        })
        .collect()
}

fn ours(path: &Path) -> BTreeSet<(u32, String)> {
    let options = Options { config_id: "host".to_owned(), ..Options::default() };
    let loaded = load(&RealFiles, path, &options);
    let lowered = lower(&loaded.tree, &BuiltinNames);
    let unknown =
        lowered.diagnostics.iter().filter(|d| d.code == Code::Language(Language::UnknownKeyword));
    unknown
        .filter_map(|d| d.primary.as_ref())
        .map(|label| {
            let text = loaded.sources.text(label.span).to_owned();
            (loaded.sources.location(label.span).line, text)
        })
        .collect()
}

/// Keepalived stops reading at a missing argument, and reads on in the wrong block after an
/// unknown block or a brace too many or too few: there only the first word can be compared.
fn derailed(messages: &str) -> bool {
    ["Unexpected '{'", "Extra '}'", "missing '}'", "Missing '{'", "is missing a parameter"]
        .iter()
        .any(|sign| messages.contains(sign))
}

/// `${NAME}` that stands for nothing: Keepalived takes the braces for a block and is lost; we take
/// it for a word that was not replaced.
const PLACEHOLDERS: [&str; 1] = ["117.conf"];

#[test]
fn the_same_words_are_unknown() {
    let Some(folder) = folder() else { return };
    let table = std::fs::read_to_string(folder.join("verdicts.tsv")).expect("verdicts.tsv");
    let (mut compared, mut words, mut wrong) = (0, 0, Vec::new());
    for line in table.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let (file, messages) = (columns[0], columns[7]);
        if PLACEHOLDERS.contains(&file) {
            continue;
        }
        let (theirs, ours) = (theirs(messages), ours(&folder.join(file)));
        let same = if derailed(messages) {
            // Of an unknown block we tell the head, and nothing of what follows from it.
            theirs
                .iter()
                .find(|(_, word)| word != "}")
                .is_none_or(|first| ours.contains(first) || messages.contains("Missing '{'"))
        } else {
            words += theirs.len();
            theirs == ours
        };
        compared += 1;
        if !same {
            wrong.push(format!("{file}: ours {ours:?}, theirs {theirs:?}"));
        }
    }
    println!("{compared} files, {words} unknown words");
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(words > 20, "the table was not understood");
}
