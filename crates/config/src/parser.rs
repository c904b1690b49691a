//! The parser: from lines to the tree, through forgotten and surplus braces.
//!
//! The keyword table tells which words open a block, so that a brace that is missing can be told
//! from a line that never had one. Every mistake is reported once, and reading goes on.

use std::sync::Arc;

use smol_str::SmolStr;

use crate::diagnostic::{Diagnostic, Syntax};
use crate::keywords::{self, BlockId, Value};
use crate::lexer::{self, Piece};
use crate::preprocess::{Is, Line, Plain, Preprocessor, is_space};
use crate::source::{FileId, Span, TrailId};
use crate::tree::{Block, Item, Script, Token, Tree, Words};

/// Blocks within blocks; the language needs five.
const MOST_DEEP: usize = 32;

/// An open brace.
struct Open {
    /// Where in [`Parser::items`] the items of the block begin. Those behind an ignored brace belong
    /// to the block around it.
    first: usize,
    /// What opened it: it becomes the item once the block ends. `None` for an ignored brace.
    item: Option<Item>,
    brace: Span,
    /// Which block it is; `None` inside of what is unknown.
    kind: Option<BlockId>,
    /// Indentation of the line that opened it.
    indentation: Option<usize>,
}

/// A block whose end is not where it seems to be: the brace that closes it stands further left.
struct Suspect {
    opened: Span,
    closed: Span,
}

pub(crate) struct Parser<'p, 'f> {
    source: &'p mut Preprocessor<'f>,
    /// The items of the root level and, behind them, of each block that is open: one that ends
    /// takes its own from the end.
    items: Vec<Item>,
    open: Vec<Open>,
    /// The first word of the item that is being read, if there is one.
    keyword: Option<Token>,
    /// The words after it; kept for the room.
    args: Vec<Token>,
    /// Whether a `{` that comes now belongs to the last item.
    attachable: bool,
    suspects: Vec<Suspect>,
}

/// Reads everything.
pub(crate) fn parse(source: &mut Preprocessor<'_>) -> Tree {
    let mut parser = Parser {
        source,
        items: Vec::new(),
        open: Vec::new(),
        keyword: None,
        args: Vec::new(),
        attachable: false,
        suspects: Vec::new(),
    };
    let (mut line, mut pieces) = (Line::default(), Vec::new());
    let mut plain: Option<(FileId, Arc<String>)> = None;
    loop {
        if let Some(file) = parser.source.plain_line(&mut pieces) {
            let text = match &plain {
                Some((of, text)) if *of == file => text,
                _ => &plain.insert((file, parser.source.sources.shared_text(file))).1,
            };
            parser.plain(file, text, &pieces);
        } else if parser.source.next_line(&mut line) {
            parser.line(&line);
        } else {
            break;
        }
    }
    parser.end();
    Tree { items: parser.items }
}

impl Parser<'_, '_> {
    /// A line that stands in its file as it counts.
    fn plain(&mut self, file: FileId, text: &str, pieces: &[Plain]) {
        let mut words = Span::new(file, 0, 0);
        let mut first_on_line = true;
        for piece in pieces {
            let span = Span::new(file, piece.start, piece.end);
            match piece.is {
                Is::Word => {
                    words.end = span.end;
                    if self.keyword.is_none() {
                        words.start = span.start;
                    }
                    let text = &text[piece.start as usize..piece.end as usize];
                    self.word(Token { text: SmolStr::new(text), span, quoted: false });
                    continue;
                }
                Is::Open => {
                    self.finish_item(words, None, first_on_line);
                    self.open_brace(span);
                }
                Is::Close => {
                    let leads = first_on_line && self.keyword.is_none();
                    self.finish_item(words, None, first_on_line);
                    self.close_brace(span, leads);
                }
            }
            first_on_line = false;
        }
        self.finish_item(words, None, first_on_line);
    }

    /// Any line.
    fn line(&mut self, line: &Line) {
        let text = line.text();
        if !text.is_ascii() {
            self.odd_spaces(line);
        }
        let mut at = 0;
        let mut range = 0..0;
        let mut first_on_line = true;
        while let Some((piece, next)) = lexer::piece(text, at) {
            at = next;
            match piece {
                Piece::Word { text: word, written, quoted } => {
                    if self.keyword.is_none() {
                        range.start = written.start;
                    }
                    range.end = written.end;
                    let span = line.span(written, &self.source.sources);
                    self.word(Token { text: SmolStr::new(&text[word]), span, quoted });
                    continue;
                }
                Piece::Open(brace) => {
                    self.finish_item_of(line, range.clone(), first_on_line);
                    let span = line.span(brace..brace + 1, &self.source.sources);
                    self.open_brace(span);
                }
                Piece::Close(brace) => {
                    let leads = first_on_line && self.keyword.is_none();
                    self.finish_item_of(line, range.clone(), first_on_line);
                    let span = line.span(brace..brace + 1, &self.source.sources);
                    self.close_brace(span, leads);
                }
            }
            first_on_line = false;
        }
        self.finish_item_of(line, range, first_on_line);
    }

    fn word(&mut self, token: Token) {
        if self.keyword.is_none() {
            self.keyword = Some(token);
        } else {
            self.args.push(token);
        }
    }

    /// The item of the innermost block that was read last.
    fn last(&self) -> Option<&Item> {
        // An ignored brace has no items of its own.
        let holder = self.open.iter().rfind(|open| open.item.is_some());
        self.items[holder.map_or(0, |open| open.first)..].last()
    }

    fn kind(&self) -> Option<BlockId> {
        match self.open.iter().rev().find(|open| open.item.is_some()) {
            Some(open) => open.kind,
            None => Some(BlockId::Root),
        }
    }

    fn finish_item_of(&mut self, line: &Line, range: std::ops::Range<usize>, new_line: bool) {
        if self.keyword.is_none() {
            return;
        }
        let words = line.span(range.clone(), &self.source.sources);
        let quoting = |b: &u8| matches!(b, b'"' | b'\'' | b'\\');
        let script = line.text().as_bytes()[range.clone()]
            .iter()
            .any(quoting)
            .then(|| Box::new(self.script_words(line, range)));
        self.finish_item(words, script, new_line);
    }

    /// Makes an item of the words that were read, if there are any.
    fn finish_item(&mut self, line_span: Span, script: Option<Box<Script>>, new_line: bool) {
        let Some(keyword) = self.keyword.take() else { return };
        if new_line && self.attachable {
            self.expect_brace(&keyword);
        }
        let args = match self.args.len() {
            0 => Words::None,
            1 => self.args.pop().map_or(Words::None, Words::One),
            // Just as much room as they need: a large file has hundreds of thousands of items.
            count => {
                let mut args = Vec::with_capacity(count);
                args.append(&mut self.args);
                Words::Many(args.into_boxed_slice())
            }
        };
        self.items.push(Item { keyword, args, block: None, line_span, script });
        self.attachable = true;
    }

    fn script_words(&self, line: &Line, range: std::ops::Range<usize>) -> Script {
        let sources = &self.source.sources;
        match lexer::script_words(line.text(), range) {
            Ok(words) => Ok(words
                .into_iter()
                .skip(1)
                .map(|word| Token {
                    text: word.text.into(),
                    span: line.span(word.written, sources),
                    quoted: word.quoted,
                })
                .collect()),
            Err(at) => Err(line.span(at..at + 1, sources)),
        }
    }

    /// A line starts with `next`: if the last item should have opened a block, its brace is
    /// missing, unless `next` belongs to the block around it; then the block is, and lowering
    /// says so.
    fn expect_brace(&mut self, next: &str) {
        let kind = self.kind();
        let Some(item) = self.last() else { return };
        let Some(child) = child(kind, &item.keyword) else { return };
        let knows = |id: BlockId| keywords::block(id).find(next).is_some();
        if kind.is_some_and(knows) && !knows(child) {
            self.no_block();
            return;
        }
        let end = item.end();
        let message = format!("`{}` is not followed by `{{`", item.keyword.as_str());
        self.source.report(
            Diagnostic::error(Syntax::MissingBrace, message)
                .at(end, "expected here or at the start of the next line")
                .help("the lines up to the next `}` are taken as its block")
                .suggest(end, " {"),
        );
        self.push_open(end, Some(child));
    }

    /// The last item stands without its block. Of most keywords lowering says so; a server it
    /// takes for one with nothing in it.
    fn no_block(&mut self) {
        if !self.attachable {
            return;
        }
        let kind = self.kind();
        let Some(item) = self.last() else { return };
        if !matches!(item.keyword.as_str(), "virtual_server" | "real_server")
            || child(kind, &item.keyword).is_none()
        {
            return;
        }
        let end = item.end();
        let message = format!("`{}` is not followed by `{{`", item.keyword.as_str());
        self.source
            .report(Diagnostic::error(Syntax::MissingBrace, message).at(end, "expected here"));
    }

    /// Makes the last item a block.
    fn push_open(&mut self, brace: Span, kind: Option<BlockId>) {
        self.attachable = false;
        let item = self.items.pop();
        let indentation = item.as_ref().and_then(|item| self.indentation(item.keyword.span));
        self.open.push(Open { first: self.items.len(), item, brace, kind, indentation });
    }

    fn open_brace(&mut self, brace: Span) {
        let kind = self.kind();
        let keyword = if self.attachable { self.last() } else { None };
        let Some(keyword) = keyword.map(|item| item.keyword.clone()) else {
            self.ignore_brace(brace, "no keyword stands before this brace");
            return;
        };
        if self.open.len() >= MOST_DEEP {
            self.ignore_brace(brace, "no block can stand so deep");
            return;
        }
        let mut child = child(kind, &keyword);
        if child.is_none() && !self.open.is_empty() {
            // A word that opens a block at the outermost level, and only there: the blocks
            // around it were forgotten to be closed.
            let here = kind.is_some_and(|kind| keywords::block(kind).find(&keyword).is_some());
            if let Some(outer) = self::child(Some(BlockId::Root), &keyword).filter(|_| !here) {
                let item = self.items.pop();
                self.unclosed(Some(keyword.span));
                self.items.extend(item);
                child = Some(outer);
            }
        }
        self.push_open(brace, child);
    }

    fn ignore_brace(&mut self, brace: Span, why: &str) {
        self.attachable = false;
        self.source.report(
            Diagnostic::error(Syntax::UnexpectedBrace, "unexpected `{`")
                .at(brace, why)
                .help("it and its `}` are ignored"),
        );
        let (first, item, kind, indentation) = (self.items.len(), None, None, None);
        self.open.push(Open { first, item, brace, kind, indentation });
    }

    fn close_brace(&mut self, brace: Span, leads: bool) {
        self.no_block();
        self.attachable = false;
        let Some(open) = self.open.pop() else {
            let before = self.items.last().and_then(|item| {
                item.block.as_ref().and_then(|b| b.close).map(|c| (item.keyword.to_string(), c))
            });
            let mut diagnostic = Diagnostic::error(Syntax::ExtraBrace, "extra `}`")
                .at(brace, "no block is open here")
                .help("ignored; perhaps an earlier block was closed too soon");
            if let Some((keyword, close)) = before {
                diagnostic = diagnostic.also(close, format!("`{keyword}` was closed here"));
            }
            self.source.report(diagnostic);
            return;
        };
        if leads
            && let (Some(opened), Some(closed)) = (open.indentation, self.indentation(brace))
            && closed < opened
            && let Some(item) = &open.item
        {
            self.suspects.push(Suspect { opened: item.keyword.span, closed: brace });
        }
        self.close(open, Some(brace));
        if self.open.is_empty() {
            self.suspects.clear();
        }
    }

    fn close(&mut self, open: Open, close: Option<Span>) {
        let Open { first, item, brace, .. } = open;
        if let Some(mut item) = item {
            let items = self.items.split_off(first).into_boxed_slice();
            item.block = Some(Box::new(Block { open: brace, close, items }));
            self.items.push(item);
        }
    }

    /// Reports the blocks that are open, and closes them. `next` is the block that shows it.
    fn unclosed(&mut self, next: Option<Span>) {
        let mut inner = true;
        let mut diagnostic: Option<Diagnostic> = None;
        let suspect = self.suspects.drain(..).next();
        while let Some(open) = self.open.pop() {
            let (at, what) = match &open.item {
                Some(item) => (item.line_span.to(open.brace), item.keyword.to_string()),
                None => (open.brace, "{".to_owned()),
            };
            diagnostic = Some(match diagnostic {
                None => Diagnostic::error(
                    Syntax::UnclosedBlock,
                    match &suspect {
                        None => format!("`{what}` is not closed"),
                        Some(_) => "a `}` is missing".to_owned(),
                    },
                )
                .at(at, "this block is open"),
                Some(d) => d.also(at, "still open as well"),
            });
            inner = false;
            self.close(open, None);
        }
        debug_assert!(!inner, "called with nothing open");
        let Some(mut diagnostic) = diagnostic else { return };
        if let Some(suspect) = suspect {
            diagnostic = diagnostic
                .also(suspect.opened, "probably this block lacks its `}`")
                .also(suspect.closed, "this one closes it, though it is indented further left");
        }
        diagnostic = match next {
            Some(span) => diagnostic
                .also(span, "this block can only stand outside all others")
                .help("write a `}` before it; it is read as if there were one"),
            None => diagnostic.help("write a `}` where it ends"),
        };
        self.source.report(diagnostic);
    }

    fn end(&mut self) {
        self.no_block();
        if !self.open.is_empty() {
            self.unclosed(None);
        }
    }

    /// How far the first word of a line is from the margin, if `span` is that word and stands in
    /// the line by itself. A tab counts as eight.
    fn indentation(&self, span: Span) -> Option<usize> {
        if span.trail != TrailId::NONE {
            return None;
        }
        let text = self.source.sources.file(span.file).text().as_bytes();
        let mut columns = 0;
        for byte in text.get(..span.start as usize)?.iter().rev() {
            match byte {
                b' ' => columns += 1,
                b'\t' => columns += 8,
                b'\n' => break,
                _ => return None,
            }
        }
        Some(columns)
    }

    /// Characters that look like white space and are none.
    fn odd_spaces(&mut self, line: &Line) {
        let text = line.text();
        let odd = |c: char| {
            !c.is_ascii()
                && (c.is_whitespace()
                    || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{ad}'))
        };
        let Some((at, c)) = text.char_indices().find(|(_, c)| odd(*c)) else { return };
        if text[..at].matches('"').count() % 2 == 1 {
            return;
        }
        let span = line.span(at..at + c.len_utf8(), &self.source.sources);
        let word = text[..at].rfind(is_space).map_or(0, |i| i + 1);
        let end = text[at..].find(is_space).map_or(text.len(), |i| at + i);
        let word = line.span(word..end, &self.source.sources);
        let name = match c {
            '\u{a0}' => "a no-break space".to_owned(),
            '\u{200b}' => "a zero-width space".to_owned(),
            '\u{feff}' => "a byte order mark".to_owned(),
            other => format!("the invisible character U+{:04X}", u32::from(other)),
        };
        self.source.report(
            Diagnostic::warning(Syntax::OddSpace, format!("this line holds {name}"))
                .unnoticed()
                .at(span, "not white space to the parser")
                .also(word, "so this is one word")
                .help("replace it by a normal space")
                .suggest(span, " "),
        );
    }
}

/// The block that `keyword` opens within `parent`, if it opens one.
pub(crate) fn child(parent: Option<BlockId>, keyword: &str) -> Option<BlockId> {
    match keywords::block(parent?).find(keyword)?.value {
        Value::Block(id) | Value::Named(id) => Some(id),
        Value::Special { .. } => match keyword {
            "virtual_server" => Some(BlockId::VirtualServer),
            "real_server" => Some(BlockId::RealServer),
            _ => None,
        },
        _ => None,
    }
}
