//! The syntax tree: what the text says before anybody asks what the keywords mean.
//!
//! ```text
//! vrrp_instance VI_1 {          Item { keyword, args: [VI_1], block: Some }
//!     virtual_ipaddress {           Item { keyword, args: [], block: Some }
//!         10.0.0.1/24 dev eth0          Item { keyword: 10.0.0.1/24, args: [dev, eth0] }
//!     }
//! }
//! ```
//!
//! Every token keeps its span, so that whoever finds fault with it can point at it.

use crate::source::Span;

/// A word of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The word as Keepalived sees it: expanded, without its quotes and escapes.
    pub text: Box<str>,
    /// The word as it is written, quotes included.
    pub span: Span,
    /// Whether it was written in double quotes.
    pub quoted: bool,
}

impl Token {
    /// The word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl std::ops::Deref for Token {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

/// A line with its words, and the block that it opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The first word.
    pub keyword: Token,
    /// The words after it, braces excluded.
    pub args: Vec<Token>,
    /// What stands between its braces.
    pub block: Option<Block>,
    /// From the first word to the last one.
    pub line_span: Span,
}

impl Item {
    /// The argument at `index`, from 0.
    #[must_use]
    pub fn arg(&self, index: usize) -> Option<&Token> {
        self.args.get(index)
    }

    /// The items of the block; none when there is no block.
    #[must_use]
    pub fn items(&self) -> &[Item] {
        self.block.as_ref().map_or(&[], |block| &block.items)
    }

    /// All words, the keyword first.
    pub fn words(&self) -> impl Iterator<Item = &Token> {
        std::iter::once(&self.keyword).chain(&self.args)
    }

    /// The place behind the last word, to point at something that is missing there.
    #[must_use]
    pub fn end(&self) -> Span {
        let last = self.args.last().unwrap_or(&self.keyword).span;
        Span { start: last.end, ..last }
    }
}

/// What stands between two braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The opening brace.
    pub open: Span,
    /// The closing brace; `None` when the text ended before it.
    pub close: Option<Span>,
    /// The lines between them.
    pub items: Vec<Item>,
}

/// A whole configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// The root level.
    pub items: Vec<Item>,
}
