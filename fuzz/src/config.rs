//! Any bytes through the configuration language: nothing panics or hangs, every finding can be
//! shown, the same text loads to the same, and a model that is passed on stays what it was.
//!
//! A NUL parts the bytes into `keepalived.conf` and the files `1.conf`, `2.conf`, … that it may
//! include.

use std::path::Path;

use config::checks::{Elsewhere, check};
use config::files::MemoryFiles;
use config::lower::{BuiltinNames, lower};
use config::{Options, passing, render};

/// Loads the bytes, makes a model of them, checks it, shows all findings, passes the model on.
pub fn run(data: &[u8]) {
    let path = Path::new("/keepalived.conf");
    let mut files = MemoryFiles::new();
    for (index, text) in data.split(|&byte| byte == 0).take(4).enumerate() {
        files = match index {
            0 => files.with(path, text),
            _ => files.with(format!("/{index}.conf"), text),
        };
    }
    let options = Options { config_id: "one".to_owned(), all_checks: false, seed: 1 };
    let loaded = config::load(&files, path, &options);

    let lowered = lower(&loaded.tree, &BuiltinNames);

    let mut findings = loaded.diagnostics.clone();
    findings.extend(lowered.diagnostics.iter().cloned());
    findings.extend(check(&loaded.tree, &lowered.model, &loaded.sources, &Elsewhere));
    render::sort(&mut findings, &loaded.sources);
    for finding in &findings {
        let shown = render::text(finding, &loaded.sources, render::Style::default());
        assert!(!shown.is_empty());
    }
    let _ = render::json(&findings, &loaded.sources);
    let _ = render::summary(&findings);

    let again = config::load(&files, path, &options);
    assert_eq!(format!("{:?}", again.tree), format!("{:?}", loaded.tree));
    assert_eq!(again.diagnostics.len(), loaded.diagnostics.len());
    let meaning = lower(&again.tree, &BuiltinNames);
    assert_eq!(format!("{:?}", meaning.model), format!("{:?}", lowered.model));

    let mut bytes = Vec::new();
    passing::encode(&meaning.model, passing::Share::Whole, &mut bytes).unwrap();
    assert_eq!(passing::decode(&bytes).unwrap(), meaning.model);
    // What never comes in must do no harm either.
    let _ = passing::decode(data);
}
