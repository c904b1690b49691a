//! Loading: from a path to the tree.

use std::path::Path;

use crate::diagnostic::Diagnostic;
use crate::files::{FileSystem, MemoryFiles};
use crate::preprocess::Preprocessor;
use crate::source::SourceMap;
use crate::tree::Tree;

/// What decides, beside the files, how a configuration reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// What `@ID` is compared with, and `${_INSTANCE}`: option `-i`, by default the first label
    /// of the host's name.
    pub config_id: String,
    /// Option `-e`: every include insists that its files are there.
    pub all_checks: bool,
    /// Where `${_RANDOM}` starts from.
    pub seed: u64,
}

/// A loaded configuration.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What the text says.
    pub tree: Tree,
    /// Where it says it.
    pub sources: SourceMap,
    /// What is wrong with it so far: files, preprocessor, braces, quotes.
    pub diagnostics: Vec<Diagnostic>,
}

/// Loads the configuration at `path`. Whatever is wrong is told in the diagnostics, an unreadable
/// file among it; the tree holds what could be read.
#[must_use]
pub fn load(files: &dyn FileSystem, path: &Path, options: &Options) -> Loaded {
    let mut source = Preprocessor::open(files, options, path);
    let tree = crate::parser::parse(&mut source);
    source.finish();
    Loaded { tree, sources: source.sources, diagnostics: source.diagnostics }
}

/// Loads text that is in no file; includes find nothing.
#[must_use]
pub fn load_text(text: &str, options: &Options) -> Loaded {
    let path = Path::new("keepalived.conf");
    load(&MemoryFiles::new().with(path, text), path, options)
}
