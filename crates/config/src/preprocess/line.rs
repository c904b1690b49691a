//! A line of text that knows, byte by byte, where it came from.

use crate::source::{FileId, SourceMap, Span, TrailId, offset};

/// A run of bytes of a [`Line`] with one origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    /// Where in the line it starts; it ends where the next one starts.
    start: u32,
    /// The characters that the user wrote.
    origin: Span,
    /// Whether the run is those very characters; otherwise it was computed from them, as a
    /// random number is, and only the whole origin can be pointed at.
    verbatim: bool,
}

/// Text with origins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    text: String,
    segments: Vec<Segment>,
}

impl Line {
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.segments.clear();
    }

    /// Appends bytes of a file.
    pub(crate) fn push_source(&mut self, text: &str, file: FileId, start: usize) {
        let origin = Span::new(file, offset(start), offset(start + text.len()));
        self.push(text, origin, true);
    }

    /// Appends text that was computed from the characters at `origin`.
    pub(crate) fn push_computed(&mut self, text: &str, origin: Span) {
        self.push(text, origin, false);
    }

    fn push(&mut self, text: &str, origin: Span, verbatim: bool) {
        if !text.is_empty() {
            self.segments.push(Segment { start: offset(self.text.len()), origin, verbatim });
            self.text.push_str(text);
        }
    }

    /// Appends a part of another line.
    pub(crate) fn push_part(&mut self, other: &Self, range: std::ops::Range<usize>) {
        self.push_part_with(other, range, |trail| trail);
    }

    /// Appends another line as the result of the expansion `trail`.
    pub(crate) fn push_expanded(&mut self, other: &Self, trail: TrailId) {
        self.push_part_with(other, 0..other.text.len(), |_| trail);
    }

    fn push_part_with(
        &mut self,
        other: &Self,
        range: std::ops::Range<usize>,
        trail: impl Fn(TrailId) -> TrailId,
    ) {
        for (run, segment) in other.runs(&range) {
            let mut origin = segment.origin;
            if segment.verbatim {
                origin = origin.part(run.start - segment.start as usize, run.len());
            }
            origin.trail = trail(origin.trail);
            self.push(&other.text[run], origin, segment.verbatim);
        }
    }

    /// The runs of one origin that overlap `range`, clipped to it.
    fn runs(
        &self,
        range: &std::ops::Range<usize>,
    ) -> impl Iterator<Item = (std::ops::Range<usize>, Segment)> {
        let first =
            self.segments.partition_point(|s| s.start as usize <= range.start).saturating_sub(1);
        let (from, to) = (range.start, range.end);
        self.segments[first.min(self.segments.len())..]
            .iter()
            .enumerate()
            .take_while(move |(_, s)| (s.start as usize) < to)
            .filter_map(move |(i, s)| {
                let end = self
                    .segments
                    .get(first + i + 1)
                    .map_or(self.text.len(), |next| next.start as usize);
                let run = from.max(s.start as usize)..to.min(end);
                (!run.is_empty()).then_some((run, *s))
            })
    }

    /// Keeps only `range`.
    pub(crate) fn keep(&mut self, range: std::ops::Range<usize>) {
        if range == (0..self.text.len()) {
            return;
        }
        let mut kept = Self::default();
        kept.push_part(self, range);
        *self = kept;
    }

    /// Puts `with`, as the result of `trail`, in place of `range`.
    pub(crate) fn replace(&mut self, range: std::ops::Range<usize>, with: &Self, trail: TrailId) {
        let mut result = Self::default();
        result.push_part(self, 0..range.start);
        result.push_expanded(with, trail);
        result.push_part(self, range.end..self.text.len());
        *self = result;
    }

    /// Puts computed text in place of `range`.
    pub(crate) fn replace_computed(
        &mut self,
        range: std::ops::Range<usize>,
        with: &str,
        origin: Span,
    ) {
        let mut result = Self::default();
        result.push_part(self, 0..range.start);
        result.push_computed(with, origin);
        result.push_part(self, range.end..self.text.len());
        *self = result;
    }

    /// The trail of the byte at `position`.
    pub(crate) fn trail_at(&self, position: usize) -> TrailId {
        self.runs(&(position..position + 1)).next().map_or(TrailId::NONE, |(_, s)| s.origin.trail)
    }

    /// The user's characters behind `range`.
    ///
    /// Text from one place gives that place. Text composed from several gives the characters, at
    /// the level where it was composed, that cover them all.
    #[inline]
    pub(crate) fn span(&self, range: std::ops::Range<usize>, sources: &SourceMap) -> Span {
        // Nearly always the whole line was taken from a file as it stands there.
        if let [Segment { origin, verbatim: true, .. }] = &self.segments[..]
            && range.start < range.end
            && range.end <= self.text.len()
        {
            let at = |n: usize| origin.start + n as u32;
            return Span { start: at(range.start), end: at(range.end), ..*origin };
        }
        self.composed_span(range, sources)
    }

    fn composed_span(&self, range: std::ops::Range<usize>, sources: &SourceMap) -> Span {
        // An empty range points between characters: behind the byte before it, if there is one.
        if range.is_empty() {
            let Some(last) = self.segments.last() else {
                return Span::new(FileId(0), 0, 0);
            };
            if range.start >= self.text.len() {
                return Span { start: last.origin.end, ..last.origin };
            }
            let next = self.span(range.start..range.start + 1, sources);
            return Span { end: next.start, ..next };
        }
        let mut result: Option<Span> = None;
        for (run, segment) in self.runs(&range) {
            let span = if segment.verbatim {
                segment.origin.part(run.start - segment.start as usize, run.len())
            } else {
                segment.origin
            };
            result = Some(match result {
                None => span,
                Some(before) => cover(before, span, sources),
            });
        }
        result.unwrap_or(Span::new(FileId(0), 0, 0))
    }
}

/// The narrowest characters that stand behind both spans.
fn cover(mut a: Span, mut b: Span, sources: &SourceMap) -> Span {
    // An expansion is recorded after the one that it happened in: the greater trail is the
    // inner one, so climbing it first meets at the innermost common level.
    while a.trail != b.trail {
        let inner = if a.trail > b.trail { &mut a } else { &mut b };
        match sources.expansion(inner.trail) {
            Some(step) => *inner = step.used_at,
            None => return a,
        }
    }
    if a.file == b.file {
        return a.to(b);
    }
    // Two definitions in different files that take part through one expansion.
    match (sources.expansion(a.trail), sources.expansion(b.trail)) {
        (Some(step), Some(_)) => step.used_at,
        _ => a,
    }
}
