//! Opens files and takes lines from whatever is open.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use super::line::Line;
use super::{Frame, LONGEST_LINE, Preprocessor, comment, define, is_space, is_space_byte, tidy};
use crate::diagnostic::{Diagnostic, Preprocess, Syntax};
use crate::source::{FileId, Span, offset};

/// What a byte is in a line that the preprocessor leaves alone, but for its comment.
#[derive(Clone, Copy)]
enum Class {
    Word,
    Space,
    Open,
    Close,
    Newline,
    Comment,
    /// It means something to the preprocessor or the lexer, or is not ASCII.
    Sign,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Word; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'\n' => Class::Newline,
            b'{' => Class::Open,
            b'}' => Class::Close,
            b'#' | b'!' => Class::Comment,
            0 | b'"' | b'\'' | b'\\' | b'$' | 0x80.. => Class::Sign,
            b if is_space_byte(b) => Class::Space,
            _ => Class::Word,
        };
        byte += 1;
    }
    classes
};

/// What a piece of a plain line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Is {
    Word,
    Open,
    Close,
}

/// A piece of a line that stands in its file as it counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plain {
    pub(crate) is: Is,
    /// Its first byte in the file.
    pub(crate) start: u32,
    /// One past its last byte.
    pub(crate) end: u32,
}

impl Preprocessor<'_> {
    pub(super) fn push_file(
        &mut self,
        path: &Path,
        mut bytes: Vec<u8>,
        included_from: Option<Span>,
    ) {
        const MARK: &[u8] = b"\xef\xbb\xbf";
        let marked = bytes.starts_with(MARK);
        if marked {
            bytes.drain(..MARK.len());
        }
        let (text, wrong) = match String::from_utf8(bytes) {
            Ok(text) => (text, None),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                (String::from_utf8_lossy(error.as_bytes()).into_owned(), Some(at))
            }
        };
        let id = self.sources.add_file(path, text, included_from);
        let text = self.sources.shared_text(id);
        if marked {
            self.report(
                Diagnostic::warning(
                    Syntax::ByteOrderMark,
                    "the file starts with a byte order mark",
                )
                .at(Span::new(id, 0, 0), "before this")
                .help("save the file without it; Keepalived takes it for part of the first word"),
            );
        }
        if let Some(at) = wrong {
            let span =
                Span::new(id, offset(at), offset(at + char::REPLACEMENT_CHARACTER.len_utf8()));
            self.report(
                Diagnostic::warning(Syntax::NotUtf8, "the file is not UTF-8 text")
                    .unnoticed()
                    .at(span, "the first byte that is not")
                    .help("save the file as UTF-8"),
            );
        }
        let whole = self.files.current_dir().join(path);
        let directory = whole.parent().unwrap_or(Path::new("/"));
        let directory = Rc::from(tidy(directory));
        self.frames.push(Frame::File { id, text, at: 0, directory });
    }

    /// Takes the next line of a file, cut into pieces, if it is one that no stage does anything with,
    /// as nearly all lines of a large file are. `None`: nothing was taken, and the stages have to
    /// look.
    pub(crate) fn plain_line(&mut self, pieces: &mut Vec<Plain>) -> Option<FileId> {
        let Some(Frame::File { id, text, at, .. }) = self.frames.last_mut() else { return None };
        let bytes = text.as_bytes();
        loop {
            pieces.clear();
            let mut end = *at;
            // A last line without a newline is for the others as well.
            loop {
                let byte = *bytes.get(end)?;
                let start = end;
                end += 1;
                let is = match CLASSES[usize::from(byte)] {
                    Class::Word => {
                        let word = |b: &u8| matches!(CLASSES[usize::from(*b)], Class::Word);
                        while bytes.get(end).is_some_and(word) {
                            end += 1;
                        }
                        Is::Word
                    }
                    Class::Space => continue,
                    // It may open a template.
                    Class::Open if matches!(bytes.get(end), Some(b'{' | b'%')) => return None,
                    Class::Open => Is::Open,
                    Class::Close => Is::Close,
                    Class::Newline => break,
                    Class::Comment => {
                        let glued = start > *at && !bytes[start - 1].is_ascii_whitespace();
                        let length = bytes[end..]
                            .iter()
                            .position(|b| !(1..0x80).contains(b) || *b == b'\n')?;
                        end += length + 1;
                        if glued || bytes[end - 1] != b'\n' {
                            return None;
                        }
                        break;
                    }
                    Class::Sign => return None,
                };
                pieces.push(Plain { is, start: offset(start), end: offset(end) });
            }
            if end - 1 - *at > LONGEST_LINE {
                return None;
            }
            if let Some(first) = pieces.first() {
                match &bytes[first.start as usize..] {
                    [b'@' | b'~', ..] => return None,
                    [b'i', rest @ ..] if rest.starts_with(b"nclude") => return None,
                    _ => {}
                }
            }
            *at = end;
            if !pieces.is_empty() {
                return Some(*id);
            }
        }
    }

    /// Takes the next raw line, comments off, from the innermost frame.
    pub(super) fn fetch(&mut self, out: &mut Line) -> bool {
        out.clear();
        loop {
            match self.frames.last_mut() {
                None => return false,
                Some(Frame::File { .. }) => {
                    if self.fetch_from_file(out).is_some() {
                        return true;
                    }
                    self.frames.pop();
                }
                Some(Frame::Lines { lines, at, trail }) => {
                    if let Some(line) = lines.get(*at) {
                        *at += 1;
                        out.push_expanded(line, *trail);
                        return self.spend(out.text().len());
                    }
                    self.frames.pop();
                }
                Some(Frame::Loop { .. }) => {
                    if !self.next_round() {
                        self.frames.pop();
                    }
                    if !self.spend(1) {
                        return false;
                    }
                }
            }
        }
    }

    /// Reads a line of a file: `None` at its end, else whether a definition goes on after it.
    pub(super) fn fetch_from_file(&mut self, out: &mut Line) -> Option<bool> {
        let Some(Frame::File { id, text, at, .. }) = self.frames.last_mut() else { return None };
        let (id, start) = (*id, *at);
        let text = Arc::clone(text);
        if start >= text.len() {
            return None;
        }
        let end = text[start..].find('\n').map_or(text.len(), |i| start + i);
        *at = end + 1;
        let mut raw = &text[start..end];
        if let Some(nul) = raw.find('\0') {
            raw = &raw[..nul];
            let at = Span::new(id, offset(start + nul), offset(start + nul + 1));
            self.report(
                Diagnostic::error(Syntax::NulByte, "a NUL byte ends this line")
                    .at(at, "everything behind it is dropped")
                    .help("the file may be UTF-16, binary or damaged"),
            );
        }
        let stripped = comment::strip(raw);
        if let Some(quote) = stripped.open_quote {
            let span = Span::new(id, offset(start + quote), offset(start + stripped.text.end));
            self.report(
                Diagnostic::error(Syntax::UnclosedQuote, "this quote is not closed on its line")
                    .at(span, "all of this is taken as the quoted text")
                    .help("close it with a second `\"`; a quoted text cannot reach over several lines"),
            );
        }
        if stripped.text.end > LONGEST_LINE {
            let cut = floor(raw, LONGEST_LINE);
            let span = Span::new(id, offset(start + cut), offset(start + stripped.text.end));
            self.report(
                Diagnostic::warning(
                    Preprocess::LongLine,
                    format!("this line is longer than {LONGEST_LINE} characters"),
                )
                .at(span, "Keepalived takes this for a new line")
                .help("break the line; within a definition a `\\` at the end continues it"),
            );
        }
        let mut range = stripped.text.clone();
        if let Some(sign) = stripped.glued.filter(|_| !range.is_empty()) {
            let word = raw[..sign].rfind(is_space).map_or(0, |i| i + 1);
            let span = Span::new(id, offset(start + word), offset(start + range.end));
            let rest = Span::new(id, offset(start + sign), offset(end));
            self.report(
                Diagnostic::advice(
                    Syntax::GluedComment,
                    "a comment starts directly behind a value",
                )
                .at(span, "the value ends here")
                .also(rest, "this is a comment")
                .help(
                    "write a space before the comment; if the sign belongs to the value, put \
                         the value in double quotes or write a backslash before the sign",
                ),
            );
        }
        let continued = stripped.continued;
        if raw[range.clone()].ends_with('\\') {
            // Whether it is a continuation is for the caller to know; a word it never is.
            range = comment::trim(raw, range.start..range.end - 1);
        }
        let mut from = range.start;
        for escape in stripped.escapes.into_iter().filter(|i| range.contains(i)) {
            out.push_source(&raw[from..escape], id, start + from);
            from = escape + 1;
        }
        out.push_source(&raw[from..range.end], id, start + from);
        Some(continued)
    }

    /// A backslash at the end of a line of a file counts within definitions only.
    pub(super) fn stray_backslash(&mut self, line: &Line) {
        let Some(Frame::File { id, text, at, .. }) = self.frames.last() else { return };
        if line.is_empty() || !self.continues() || define::definition(line.text()).is_some() {
            return;
        }
        let Some(backslash) = text[..at - 1].rfind('\\') else { return };
        // The backslash of a comment is nobody's.
        let last = line.span(line.text().len()..line.text().len(), &self.sources).start;
        let between = text.get(last as usize..backslash).unwrap_or("#");
        if between.trim_matches(is_space).is_empty() && !line.text().starts_with('@') {
            let span = Span::new(*id, offset(backslash), offset(backslash + 1));
            self.report(
                Diagnostic::warning(
                    Preprocess::Backslash,
                    "a line goes on only within a definition",
                )
                .unnoticed()
                .at(span, "left out; Keepalived takes it for a part of the line")
                .help("write all of it on one line"),
            );
        }
    }

    /// Whether the line of the file that was read last ends with a backslash.
    pub(super) fn continues(&self) -> bool {
        let Some(Frame::File { text, at, .. }) = self.frames.last() else { return false };
        let end = at.saturating_sub(1).min(text.len());
        // A last line without a newline has nothing to go on with.
        end < text.len() && text[..end].trim_end_matches(is_space_but_newline).ends_with('\\')
    }
}

fn is_space_but_newline(c: char) -> bool {
    c != '\n' && is_space(c)
}

/// The greatest character boundary that is not above `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0)
}
