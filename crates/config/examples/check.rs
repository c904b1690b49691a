//! Checks files as `standfast check` does, without looking at this machine, and tells how long it
//! took: `cargo run -p standfast-config --example check FILE…`.

use std::path::PathBuf;
use std::time::Instant;

use config::files::RealFiles;
use config::lower::{BuiltinNames, lower};
use config::render::{self, Style};
use config::{Options, checks, load, verdict};

#[expect(clippy::disallowed_methods, reason = "the example takes the time, the crate does not")]
fn main() {
    for path in std::env::args_os().skip(1).map(PathBuf::from) {
        let start = Instant::now();
        let loaded = load(&RealFiles, &path, &Options::default());
        let read = start.elapsed();
        let lowered = lower(&loaded.tree, &BuiltinNames);
        let made = start.elapsed() - read;
        let mut found = loaded.diagnostics;
        found.extend(lowered.diagnostics);
        found.extend(checks::check(
            &loaded.tree,
            &lowered.model,
            &loaded.sources,
            &checks::Elsewhere,
        ));
        let all = start.elapsed();
        render::sort(&mut found, &loaded.sources);
        for diagnostic in &found {
            println!("{}\n", render::text(diagnostic, &loaded.sources, Style::default()));
        }
        println!(
            "{}: {}; -t returns {}; read in {read:?}, understood in {made:?}, all in {all:?}",
            path.display(),
            render::summary(&found),
            verdict::exit_status(&found)
        );
    }
}
