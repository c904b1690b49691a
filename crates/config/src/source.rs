//! Where every piece of text came from: files, byte spans, and the trail of expansions.
//!
//! A [`Span`] always points at characters that the user wrote in some file. When those characters
//! took part through `$DEF`, `~SEQ` or the like, the span also carries a [`TrailId`]: the chain of
//! places that asked for them, innermost first ([`SourceMap::trail`]).

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One reading of one file. A file that is included twice has two of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub(crate) u32);

/// A chain of expansions; [`TrailId::NONE`] for text that stands where it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct TrailId(pub(crate) u32);

impl TrailId {
    /// Text that stands where it is used.
    pub const NONE: Self = Self(0);
}

/// A range of bytes in a file, and how they came to take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// First byte, from 0.
    pub start: u32,
    /// One past the last byte; `start == end` is a place between two characters.
    pub end: u32,
    /// The expansions that brought the text in.
    pub trail: TrailId,
}

impl Span {
    /// The place of what came without its text.
    const NOWHERE: Self = Self::new(FileId(0), 0, 0);

    /// Bytes `start..end` of `file`, not expanded from anything.
    #[must_use]
    pub const fn new(file: FileId, start: u32, end: u32) -> Self {
        Self { file, start, end, trail: TrailId::NONE }
    }

    /// From the start of `self` to the end of `other` when both are in the same file and trail;
    /// otherwise `self`.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        if self.file == other.file && self.trail == other.trail {
            Self { start: self.start.min(other.start), end: self.end.max(other.end), ..self }
        } else {
            self
        }
    }

    /// The part of this span that begins `offset` bytes into it and is `length` bytes long,
    /// clipped to the span.
    #[must_use]
    pub fn part(self, offset: usize, length: usize) -> Self {
        let clip = |n: usize| {
            u32::try_from(n).unwrap_or(u32::MAX).min(self.end.saturating_sub(self.start))
        };
        Self {
            start: self.start + clip(offset),
            end: self.start + clip(offset.saturating_add(length)),
            ..self
        }
    }
}

/// Places are not passed on ([`crate::passing`]): they mean nothing without the text, and what is
/// written elsewhere in it, but the same, is then the same to the byte.
impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <()>::deserialize(deserializer).map(|()| Self::NOWHERE)
    }
}

/// What replaced text by other text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expander {
    /// `$NAME` or `${NAME}` of the user's own.
    Definition(Arc<str>),
    /// A round of `~SEQ`, `~SEQx` or `~LST`: what the variables were, as in `i=3`.
    Round(Arc<str>),
}

/// One step of a trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expansion {
    /// What was expanded.
    pub expander: Expander,
    /// The characters that asked for it; their own `trail` continues the chain.
    pub used_at: Span,
}

/// Line and column, both from 1. The column counts characters, a tab as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
}

/// A file as it was read.
#[derive(Clone, Debug)]
pub struct SourceFile {
    path: PathBuf,
    /// Not an `Arc<str>`: what was read becomes this without being copied.
    text: Arc<String>,
    /// Only who points at a place needs to know where lines start.
    line_starts: OnceLock<Vec<u32>>,
    included_from: Option<Span>,
}

impl SourceFile {
    fn line_starts(&self) -> &[u32] {
        self.line_starts.get_or_init(|| {
            let newlines = self.text.bytes().enumerate().filter(|(_, b)| *b == b'\n');
            std::iter::once(0).chain(newlines.map(|(i, _)| offset(i + 1))).collect()
        })
    }

    /// The path as it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The text. Bytes that are not UTF-8 have been replaced by U+FFFD.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The `include` line that asked for this file.
    #[must_use]
    pub fn included_from(&self) -> Option<Span> {
        self.included_from
    }

    /// How many lines there are; a final line without newline counts.
    #[must_use]
    pub fn line_count(&self) -> usize {
        let starts = self.line_starts();
        match starts.last() {
            Some(&last) if last as usize == self.text.len() => starts.len() - 1,
            _ => starts.len(),
        }
    }

    /// The bytes of line `line` (from 1) without its newline; `None` beyond the end.
    #[must_use]
    pub fn line_range(&self, line: u32) -> Option<std::ops::Range<usize>> {
        let index = (line as usize).checked_sub(1)?;
        let starts = self.line_starts();
        let start = *starts.get(index)? as usize;
        let end = starts.get(index + 1).map_or(self.text.len(), |&next| next as usize);
        let line = self.text.get(start..end)?;
        Some(start..start + line.trim_end_matches(['\n', '\r']).len())
    }

    /// Where byte `position` is.
    #[must_use]
    pub fn location(&self, position: u32) -> Location {
        let starts = self.line_starts();
        let line = starts.partition_point(|&start| start <= position).max(1);
        let start = starts[line - 1] as usize;
        let upto = (position as usize).min(self.text.len());
        let before = self.text.as_bytes().get(start..upto).unwrap_or_default();
        let column = before.iter().filter(|&&b| b & 0xc0 != 0x80).count();
        Location { line: offset(line), column: offset(column + 1) }
    }
}

/// All files and expansions of one configuration.
#[derive(Clone, Debug, Default)]
pub struct SourceMap {
    files: Vec<SourceFile>,
    expansions: Vec<Expansion>,
}

impl SourceMap {
    /// An empty map.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file. `included_from` is the `include` line, `None` for the main file.
    pub fn add_file(
        &mut self,
        path: impl Into<PathBuf>,
        text: impl Into<String>,
        included_from: Option<Span>,
    ) -> FileId {
        let id = FileId(offset(self.files.len()));
        self.files.push(SourceFile {
            path: path.into(),
            text: Arc::new(text.into()),
            line_starts: OnceLock::new(),
            included_from,
        });
        id
    }

    /// Adds a step that leads from text to the place that asked for it.
    pub fn add_expansion(&mut self, expander: Expander, used_at: Span) -> TrailId {
        self.expansions.push(Expansion { expander, used_at });
        TrailId(offset(self.expansions.len()))
    }

    /// Takes over all files and expansions of another map, so that spans of both can stand in one
    /// finding.
    pub fn append(&mut self, other: &Self) -> Shift {
        let shift =
            Shift { files: offset(self.files.len()), trails: offset(self.expansions.len()) };
        let moved = |file: &SourceFile| SourceFile {
            included_from: file.included_from.map(|span| shift.span(span)),
            ..file.clone()
        };
        self.files.extend(other.files.iter().map(moved));
        self.expansions.extend(other.expansions.iter().map(|step| Expansion {
            expander: step.expander.clone(),
            used_at: shift.span(step.used_at),
        }));
        shift
    }

    /// The file of a span.
    ///
    /// # Panics
    /// When the id comes from another map.
    #[must_use]
    pub fn file(&self, id: FileId) -> &SourceFile {
        &self.files[id.0 as usize]
    }

    /// The text of a file, to hold on to while files are added.
    pub(crate) fn shared_text(&self, id: FileId) -> Arc<String> {
        Arc::clone(&self.file(id).text)
    }

    /// All files in the order they were read; the first is the main one.
    pub fn files(&self) -> impl ExactSizeIterator<Item = (FileId, &SourceFile)> {
        self.files.iter().enumerate().map(|(i, file)| (FileId(offset(i)), file))
    }

    /// The characters that a span covers, as the user wrote them.
    #[must_use]
    pub fn text(&self, span: Span) -> &str {
        self.file(span.file).text().get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    /// Where a span starts.
    #[must_use]
    pub fn location(&self, span: Span) -> Location {
        self.file(span.file).location(span.start)
    }

    /// One step of a trail; `None` for [`TrailId::NONE`].
    #[must_use]
    pub fn expansion(&self, trail: TrailId) -> Option<&Expansion> {
        self.expansions.get((trail.0 as usize).checked_sub(1)?)
    }

    /// The expansions that brought a span in, innermost first.
    pub fn trail(&self, span: Span) -> impl Iterator<Item = &Expansion> {
        let mut next = span.trail;
        std::iter::from_fn(move || {
            let step = self.expansion(next)?;
            next = step.used_at.trail;
            Some(step)
        })
    }

    /// The outermost characters behind a span: those that stand in the file where they are used.
    #[must_use]
    pub fn outermost(&self, span: Span) -> Span {
        self.trail(span).last().map_or(span, |step| step.used_at)
    }

    /// The `include` lines that led to the file of a span, innermost first.
    pub fn includes(&self, span: Span) -> impl Iterator<Item = Span> {
        let mut next = self.file(span.file).included_from();
        std::iter::from_fn(move || {
            let step = next?;
            next = self.file(step.file).included_from();
            Some(step)
        })
    }
}

/// How far the files of a map moved when it was appended to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shift {
    files: u32,
    trails: u32,
}

impl Shift {
    /// Where a span of the appended map is now.
    #[must_use]
    pub const fn span(&self, span: Span) -> Span {
        let trail = match span.trail.0 {
            0 => TrailId::NONE,
            trail => TrailId(trail + self.trails),
        };
        Span { file: FileId(span.file.0 + self.files), trail, ..span }
    }
}

/// Byte offsets and counts fit 32 bits: a file of 4 GiB is refused before it gets here.
pub(crate) fn offset(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
