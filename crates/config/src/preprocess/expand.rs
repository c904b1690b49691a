//! Replaces `$NAME`, `${NAME}` and the predefined names in a line.

use std::sync::Arc;

use super::line::Line;
use super::{Body, Frame, LONGEST_EXPANDED, MOST_EXPANSIONS_DEEP, Preprocessor, define, is_space};
use crate::diagnostic::{Diagnostic, Preprocess};
use crate::source::{Expander, TrailId};

/// How expansion ended.
pub(super) enum Expanded {
    /// Nothing is left to expand.
    Done,
    /// The line starts differently now: perhaps it is a condition, a sequence or an include.
    HeadChanged,
    /// The budget is spent.
    Stopped,
}

impl Preprocessor<'_> {
    pub(super) fn expand(&mut self, line: &mut Line) -> Expanded {
        self.expand_from(line, 0)
    }

    /// Replaces every `$NAME` and `${NAME}` from byte `from` on, what they expand to included.
    pub(super) fn expand_from(&mut self, line: &mut Line, from: usize) -> Expanded {
        let mut at = from;
        while let Some(found) = line.text().get(at..).and_then(|rest| rest.find('$')) {
            at += found;
            let text = line.text();
            let Some(reference) = define::reference(text, at).filter(|r| r.complete) else {
                at += 1;
                continue;
            };
            let name = &text[reference.name.clone()];
            let Some(definition) = self.definitions.get_mut(name) else {
                match self.builtin(line, &reference) {
                    Some(value) => {
                        let origin = line.span(reference.range.clone(), &self.sources);
                        line.replace_computed(reference.range.clone(), &value, origin);
                        if !self.spend(line.text().len()) {
                            return Expanded::Stopped;
                        }
                        at += value.len();
                    }
                    None => at = reference.range.end,
                }
                continue;
            };
            definition.used = true;
            let body = definition.body.clone();
            let defined = definition.at;
            match body {
                Body::Number(value) => {
                    let origin = line.span(reference.range.clone(), &self.sources);
                    line.replace_computed(reference.range.clone(), &value, origin);
                    at += value.len();
                }
                Body::Lines(lines) => {
                    let name: Arc<str> = Arc::from(name);
                    let used_at = line.span(reference.range.clone(), &self.sources);
                    if self.recursive(line.trail_at(reference.range.start), &name) {
                        self.report(
                            Diagnostic::error(
                                Preprocess::Recursion,
                                format!("${name} leads back to itself"),
                            )
                            .at(used_at, "left as it is")
                            .also(defined, "defined here"),
                        );
                        at = reference.range.end;
                        continue;
                    }
                    if lines.len() > 1 && reference.range.end < line.text().len() {
                        let rest = line.span(reference.range.end..line.text().len(), &self.sources);
                        self.report(
                            Diagnostic::error(
                                Preprocess::MultiLine,
                                format!("text follows ${name}, a definition of several lines"),
                            )
                            .at(rest, "nothing may follow it")
                            .also(defined, "defined here")
                            .help("put what follows on a line of its own"),
                        );
                        at = reference.range.end;
                        continue;
                    }
                    let trail = self.sources.add_expansion(Expander::Definition(name), used_at);
                    line.replace(reference.range.clone(), &lines[0], trail);
                    if lines.len() > 1 {
                        self.frames.push(Frame::Lines { lines, at: 1, trail });
                    }
                    if !self.spend(line.text().len()) {
                        return Expanded::Stopped;
                    }
                    if line.text().len() > LONGEST_EXPANDED {
                        self.stop();
                        return Expanded::Stopped;
                    }
                    // What a line starts with decides what it is.
                    let head = &line.text()[..at.min(line.text().len())];
                    if from == 0 && head.trim_start_matches(is_space).is_empty() {
                        return Expanded::HeadChanged;
                    }
                }
            }
        }
        Expanded::Done
    }

    /// Whether `trail` goes through the definition `name`, or is too deep to go on.
    fn recursive(&self, trail: TrailId, name: &str) -> bool {
        let mut next = trail;
        let mut deep = 0;
        while let Some(step) = self.sources.expansion(next) {
            if matches!(&step.expander, Expander::Definition(outer) if **outer == *name) {
                return true;
            }
            next = step.used_at.trail;
            deep += 1;
        }
        deep > MOST_EXPANSIONS_DEEP
    }

    /// The value of a predefined name; `None` when there is no such name.
    fn builtin(&mut self, line: &Line, reference: &define::Reference) -> Option<String> {
        let text = line.text();
        let arguments: Vec<&str> = text[reference.arguments.clone()].split_whitespace().collect();
        let name = &text[reference.name.clone()];
        Some(match (name, &arguments[..]) {
            ("_PWD", []) => self.directory().to_string_lossy().into_owned(),
            ("_INSTANCE", []) => self.options.config_id.clone(),
            ("_HASH", []) => "#".to_owned(),
            ("_BANG", []) => "!".to_owned(),
            ("_ENV", [variable]) => self.files.variable(variable)?,
            ("_RANDOM", limits) => {
                let parsed: Option<Vec<u32>> = limits.iter().map(|n| n.parse().ok()).collect();
                let (least, most) = match parsed.as_deref() {
                    Some([]) => (0, 32_767),
                    Some(&[least]) if least <= 32_767 => (least, 32_767),
                    Some(&[least, most]) if least <= most => (least, most),
                    _ => {
                        let span = line.span(reference.range.clone(), &self.sources);
                        self.report(
                            Diagnostic::error(Preprocess::RandomRange, "not a range of numbers")
                                .at(span, "left as it is")
                                .help("`${_RANDOM}`, `${_RANDOM MIN}` or `${_RANDOM MIN MAX}`; without limits 0 to 32767"),
                        );
                        return None;
                    }
                };
                let size = u64::from(most - least) + 1;
                (u64::from(least) + self.random() % size).to_string()
            }
            _ => return None,
        })
    }

    /// The next number of splitmix64: chance comes from the seed in the options alone.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
