//! Runs `~SEQ`, `~SEQx` and `~LST`: sets the variables round by round.

use std::ops::Range;
use std::rc::Rc;

use super::expand::Expanded;
use super::line::Line;
use super::repeat::{self, Values};
use super::{Body, Definition, Frame, Preprocessor, comment};
use crate::diagnostic::{Diagnostic, Preprocess};
use crate::source::{Expander, Span};

impl Preprocessor<'_> {
    pub(super) fn repeat(&mut self, line: &mut Line, word: usize) {
        let Some(mut end) = repeat::specification_end(line.text()) else {
            let whole = 0..line.text().len();
            self.bad_repeat(line, repeat::Wrong::NoClose, whole);
            return;
        };
        if line.text()[..end].contains("${") {
            // `~SEQ(i,${COUNT})`: the numbers may be definitions.
            let mut specification = Line::default();
            specification.push_part(line, 0..end);
            if matches!(self.expand_from(&mut specification, word), Expanded::Stopped) {
                return;
            }
            let length = specification.text().len();
            specification.push_part(line, end..line.text().len());
            *line = specification;
            end = length;
        }
        match repeat::parse(&line.text()[..end], word) {
            Err((wrong, at)) => self.bad_repeat(line, wrong, at),
            Ok(repeat) => {
                if let Some(at) = &repeat.uneven {
                    let span = line.span(at.clone(), &self.sources);
                    let text = format!("{} variables", repeat.variables.len());
                    let names = line.span(0..end, &self.sources);
                    self.report(
                        Diagnostic::warning(
                            Preprocess::LoopValues,
                            "not as many values as there are variables",
                        )
                        .unnoticed()
                        .at(span, "")
                        .also(names, text)
                        .help("missing values are empty, surplus ones are ignored"),
                    );
                }
                let used_at = line.span(0..end, &self.sources);
                let mut specification = Line::default();
                specification.push_part(line, 0..end);
                let text = line.text();
                let mut body = Line::default();
                body.push_part(line, comment::trim(text, end..text.len()));
                let body = Rc::from([body]);
                self.frames.push(Frame::Loop { repeat, round: 0, specification, body, used_at });
            }
        }
    }

    fn bad_repeat(&mut self, line: &Line, wrong: repeat::Wrong, at: Range<usize>) {
        let span = line.span(at, &self.sources);
        self.report(
            Diagnostic::error(Preprocess::Sequence, "this sequence cannot be read")
                .at(span, wrong.text())
                .help(
                    "`~SEQ(NAME, END)`, `~SEQ(NAME, START, END)` or `~SEQ(NAME, START, STEP, END)`",
                )
                .help("`~LST(NAME, A, B, …)` or `~LST({X, Y}, {A, B}, {C, D}, …)`"),
        );
    }

    /// Sets the variables of the next round and puts its text on the stack; `false` at the end.
    pub(super) fn next_round(&mut self) -> bool {
        let Some(Frame::Loop { repeat, round, specification, body, used_at }) =
            self.frames.last_mut()
        else {
            return false;
        };
        let text = specification.text();
        let mut told = String::new();
        let mut assigned: Vec<(Rc<str>, Body, Span)> = Vec::new();
        if matches!(repeat.values, Values::Count { .. }) {
            let Some(value) = repeat.values.next_count() else { return false };
            let variable = repeat.variables[0].clone();
            let name: Rc<str> = Rc::from(&text[variable.clone()]);
            told = format!("{name}={value}");
            let at = specification.span(variable, &self.sources);
            assigned.push((name, Body::Number(value.into()), at));
        } else if let Values::List { rounds } = &repeat.values {
            let Some(values) = rounds.get(*round) else { return false };
            for (variable, value) in repeat.variables.iter().zip(values) {
                let name: Rc<str> = Rc::from(&text[variable.clone()]);
                if !told.is_empty() {
                    told.push_str(", ");
                }
                told.push_str(&format!("{name}={}", &text[value.clone()]));
                let mut line = Line::default();
                line.push_part(specification, value.clone());
                let at = specification.span(variable.clone(), &self.sources);
                assigned.push((name, Body::Lines(Rc::from([line])), at));
            }
        }
        *round += 1;
        let (lines, used_at) = (Rc::clone(body), *used_at);
        for (name, body, at) in assigned {
            let mut used = false;
            if let Some(old) = self.definitions.get(&name) {
                used = old.used;
                if !old.variable {
                    let old = old.at;
                    self.report(
                        Diagnostic::advice(
                            Preprocess::ShadowedName,
                            format!("the sequence changes ${name}, which is a definition"),
                        )
                        .at(at, "the same name")
                        .also(old, "defined here")
                        .help("use another name for the variable of the sequence"),
                    );
                }
            }
            self.definitions.insert(name, Definition { body, at, used, variable: true });
        }
        let trail = self.sources.add_expansion(Expander::Round(told.into()), used_at);
        self.frames.push(Frame::Lines { lines, at: 0, trail });
        true
    }
}
