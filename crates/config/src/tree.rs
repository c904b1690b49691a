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

use std::fmt;

use smol_str::SmolStr;

use crate::source::Span;

/// A word of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The word as Keepalived sees it: expanded, without its quotes and escapes.
    /// Nearly all words are short enough to need no memory of their own.
    pub text: SmolStr,
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

/// The words after a keyword. A single one, as most keywords have, needs no memory of its own.
#[derive(Clone, Debug)]
pub enum Words {
    /// There are none.
    None,
    /// There is one.
    One(Token),
    /// There are more.
    Many(Box<[Token]>),
}

impl std::ops::Deref for Words {
    type Target = [Token];

    fn deref(&self) -> &[Token] {
        match self {
            Self::None => &[],
            Self::One(word) => std::slice::from_ref(word),
            Self::Many(words) => words,
        }
    }
}

impl<'a> IntoIterator for &'a Words {
    type Item = &'a Token;
    type IntoIter = std::slice::Iter<'a, Token>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl PartialEq for Words {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Words {}

/// The words after a keyword as one that takes a command reads them, or a quote that is not closed.
pub(crate) type Script = Result<Vec<Token>, Span>;

/// A line with its words, and the block that it opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The first word.
    pub keyword: Token,
    /// The words after it, braces excluded.
    pub args: Words,
    /// What stands between its braces.
    pub block: Option<Box<Block>>,
    /// From the first word to the last one.
    pub line_span: Span,
    /// The words as keywords that take a command read them, where that makes a difference.
    pub(crate) script: Option<Box<Script>>,
}

// A large file has hundreds of thousands of them.
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Token>() == 48 && size_of::<Item>() == 128);

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

    /// The words after the keyword as the keywords that take a command read them: `'…'` and `"…"`
    /// group words and may be glued to other text, and backslash escapes count. The first one is
    /// the command, which is split the same way once more when it is run.
    ///
    /// # Errors
    /// The place of a quote that is not closed.
    pub fn script_args(&self) -> Result<&[Token], Span> {
        match self.script.as_deref() {
            None => Ok(&self.args),
            Some(Ok(words)) => Ok(words),
            Some(Err(quote)) => Err(*quote),
        }
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
    pub items: Box<[Item]>,
}

/// A whole configuration.
///
/// Its `Display` writes it out again, one item a line. That text, loaded, gives the same tree, save
/// for spans, as long as no word holds a backslash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// The root level.
    pub items: Vec<Item>,
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_items(f, &self.items, 0)
    }
}

fn write_items(f: &mut fmt::Formatter<'_>, items: &[Item], depth: usize) -> fmt::Result {
    for item in items {
        write!(f, "{:1$}", "", depth * 4)?;
        write_word(f, &item.keyword)?;
        for arg in &item.args {
            f.write_str(" ")?;
            write_word(f, arg)?;
        }
        match &item.block {
            None => f.write_str("\n")?,
            Some(block) => {
                f.write_str(" {\n")?;
                write_items(f, &block.items, depth + 1)?;
                writeln!(f, "{:1$}}}", "", depth * 4)?;
            }
        }
    }
    Ok(())
}

fn write_word(f: &mut fmt::Formatter<'_>, word: &Token) -> fmt::Result {
    let special = |c: char| {
        matches!(c, '{' | '}' | '#' | '!' | '$' | '@' | '~' | '\u{feff}') || c.is_whitespace()
    };
    let directive = word.text.starts_with("include");
    if word.quoted || directive || word.text.is_empty() || word.text.contains(special) {
        write!(f, "\"{}\"", word.text)
    } else {
        f.write_str(&word.text)
    }
}
