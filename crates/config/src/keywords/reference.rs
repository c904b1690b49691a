//! The reference page, written from the table.

use std::fmt::Write;

use super::{Block, Content, Keyword, Standing, blocks};

/// docs/keywords.md.
pub fn reference_page() -> String {
    let mut page = String::from(
        "# Keywords of keepalived.conf\n\n\
         Every block and every keyword that Standfast reads, with range, default and the role that\n\
         acts on it. This page is written from the table in `crates/config/src/keywords`; do not\n\
         edit it (`STANDFAST_WRITE_DOCS=1 cargo test -p standfast-config --test keywords`).\n\n\
         *Later* in the last column: read and checked, and not acted on yet.\n",
    );
    for block in blocks() {
        section(&mut page, block);
    }
    page
}

fn section(page: &mut String, block: &Block) {
    // Writing to a string cannot fail.
    let _ = writeln!(page, "\n## {}\n\n{}", escape(block.title), escape(block.doc));
    if let Content::Lines { grammar, options, .. } = block.content {
        let _ = writeln!(page, "\nEach line: `{grammar}`");
        if let Some(options) = options {
            let title = super::block(options).title;
            let _ = writeln!(page, "\nOptions: [{title}](#{})", anchor(title));
        }
        return;
    }
    page.push_str("\n| keyword | argument | default | | acted on by |\n|---|---|---|---|---|\n");
    for keyword in block.keywords() {
        row(page, keyword);
    }
}

fn row(page: &mut String, keyword: &Keyword) {
    let mut argument = code(&keyword.grammar());
    let range = keyword.range();
    if !range.is_empty() {
        let _ = write!(argument, " {range}");
    }
    let mut doc = keyword.doc.to_owned();
    match keyword.standing {
        Standing::Current => {}
        Standing::Alias(of) => {
            let _ = write!(doc, " (Another name of `{of}`.)");
        }
        Standing::Deprecated(instead) => {
            let _ = write!(doc, " *Deprecated*: write {instead}.");
        }
        Standing::Ignored(why) => {
            let _ = write!(doc, " *Without effect*: {why}.");
        }
    }
    if keyword.since == super::OURS {
        doc.push_str(" Keepalived does not know it.");
    } else if !keyword.since.is_empty() {
        let _ = write!(doc, " Since {}.", keyword.since);
    }
    let role = match (keyword.standing, keyword.acted_on()) {
        (Standing::Ignored(_), _) => "–".to_owned(),
        (_, true) => keyword.role.word().to_owned(),
        (_, false) => format!("{}, *later*", keyword.role.word()),
    };
    let _ = writeln!(
        page,
        "| `{}` | {} | {} | {} | {role} |",
        keyword.name,
        argument.replace('|', "\\|"),
        escape(keyword.default),
        escape(&doc),
    );
}

fn code(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("`{text}`") }
}

fn escape(text: &str) -> String {
    text.replace('|', "\\|")
}

/// The anchor that a heading gets.
fn anchor(title: &str) -> String {
    title.to_lowercase().replace(' ', "-")
}
