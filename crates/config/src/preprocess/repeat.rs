//! `~SEQ`, `~SEQx` and `~LST`: what they say, and the rounds that follow from it.

use std::ops::Range;

use super::comment::trim;

/// Which values the variables take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Values {
    /// One variable counts.
    Count {
        /// The next value; `None` after the last.
        next: Option<i64>,
        step: i64,
        end: i64,
        hexadecimal: bool,
    },
    /// One entry per round, one range of the line per variable.
    List {
        /// The rounds.
        rounds: Vec<Vec<Range<usize>>>,
    },
}

/// A parsed `~SEQ(…)` or `~LST(…)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Repeat {
    pub(super) variables: Vec<Range<usize>>,
    pub(super) values: Values,
    /// A tuple with too few or too many values, the first such.
    pub(super) uneven: Option<Range<usize>>,
}

/// What is wrong with a specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    NoClose,
    Form,
    Name,
    Number,
    Step,
    Negative,
    Space,
    NoValue,
}

impl Wrong {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::NoClose => "its parenthesis is not closed",
            Self::Form => "it takes a variable and one to three numbers",
            Self::Name => "a variable's name is letters, digits and underscores, no digit first",
            Self::Number => "this is not a number",
            Self::Step => "the step leads away from the end",
            Self::Negative => "hexadecimal counting does not go below zero",
            Self::Space => "white space cannot stand in a value",
            Self::NoValue => "there is no value",
        }
    }
}

/// Whether a line starts with a repetition, and how long the word before the parenthesis is.
pub(super) fn starts(text: &str) -> Option<usize> {
    let word = ["~SEQx", "~SEQ", "~LST"].into_iter().find(|word| text.starts_with(word))?;
    text[word.len()..].trim_ascii_start().starts_with('(').then_some(word.len())
}

/// Where the specification ends: behind its closing parenthesis.
pub(super) fn specification_end(text: &str) -> Option<usize> {
    text.find(')').map(|i| i + 1)
}

/// Reads a specification: `text` up to and including the parenthesis, `word` bytes of keyword.
pub(super) fn parse(text: &str, word: usize) -> Result<Repeat, (Wrong, Range<usize>)> {
    let whole = 0..text.len();
    let open = text.find('(').ok_or((Wrong::Form, whole.clone()))?;
    let close = text.rfind(')').ok_or((Wrong::NoClose, whole.clone()))?;
    let fields = split(text, open + 1..close);
    if &text[..word] == "~LST" {
        list(text, &fields, whole)
    } else {
        count(text, &fields, whole, &text[..word] == "~SEQx")
    }
}

fn count(
    text: &str,
    fields: &[Range<usize>],
    whole: Range<usize>,
    hexadecimal: bool,
) -> Result<Repeat, (Wrong, Range<usize>)> {
    let [variable, numbers @ ..] = fields else { return Err((Wrong::Form, whole)) };
    check_name(text, variable)?;
    let numbers = numbers
        .iter()
        .map(|field| number(&text[field.clone()]).ok_or((Wrong::Number, field.clone())))
        .collect::<Result<Vec<_>, _>>()?;
    let (start, step, end) = match numbers[..] {
        [end] if end < 0 => (-1, -1, end),
        [end] => (1, if end < 1 { -1 } else { 1 }, end),
        [start, end] => (start, if end < start { -1 } else { 1 }, end),
        [start, step, end] => (start, step, end),
        _ => return Err((Wrong::Form, whole)),
    };
    if step == 0 || (start < end && step < 0) || (start > end && step > 0) {
        return Err((Wrong::Step, whole));
    }
    if hexadecimal && (start < 0 || end < 0) {
        return Err((Wrong::Negative, whole));
    }
    let values = Values::Count { next: Some(start), step, end, hexadecimal };
    Ok(Repeat { variables: vec![variable.clone()], values, uneven: None })
}

fn list(
    text: &str,
    fields: &[Range<usize>],
    whole: Range<usize>,
) -> Result<Repeat, (Wrong, Range<usize>)> {
    let [names, entries @ ..] = fields else { return Err((Wrong::Form, whole)) };
    if entries.is_empty() {
        return Err((Wrong::NoValue, whole));
    }
    let variables = members(text, names);
    for variable in &variables {
        check_name(text, variable)?;
    }
    let mut uneven = None;
    let mut rounds = Vec::with_capacity(entries.len());
    for entry in entries {
        let mut round = if variables.len() > 1 || names_a_tuple(text, names) {
            members(text, entry)
        } else {
            vec![entry.clone()]
        };
        if let Some(value) = round.iter().find(|v| text[(*v).clone()].contains(char::is_whitespace))
        {
            return Err((Wrong::Space, value.clone()));
        }
        if round.len() != variables.len() {
            uneven.get_or_insert(entry.clone());
            round.resize(variables.len(), entry.end..entry.end);
        }
        rounds.push(round);
    }
    Ok(Repeat { variables, values: Values::List { rounds }, uneven })
}

fn names_a_tuple(text: &str, field: &Range<usize>) -> bool {
    text[field.clone()].starts_with('{')
}

/// The members of `{a,b}`, or the field itself.
fn members(text: &str, field: &Range<usize>) -> Vec<Range<usize>> {
    let value = &text[field.clone()];
    if value.len() >= 2 && value.starts_with('{') && value.ends_with('}') {
        split(text, field.start + 1..field.end - 1)
    } else {
        vec![field.clone()]
    }
}

/// Splits at commas outside braces; white space around a field does not count.
fn split(text: &str, range: Range<usize>) -> Vec<Range<usize>> {
    let mut fields = Vec::new();
    let mut start = range.start;
    let mut depth = 0usize;
    for (i, byte) in text.as_bytes()[range.clone()].iter().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                fields.push(trim(text, start..range.start + i));
                start = range.start + i + 1;
            }
            _ => {}
        }
    }
    fields.push(trim(text, start..range.end));
    fields
}

fn check_name(text: &str, field: &Range<usize>) -> Result<(), (Wrong, Range<usize>)> {
    if super::define::name_length(&text[field.clone()]) == field.len() && !field.is_empty() {
        Ok(())
    } else {
        Err((Wrong::Name, field.clone()))
    }
}

/// A number as C's strtol reads it with base 0, within ±2³¹.
fn number(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let magnitude = if let Some(hex) = lower.strip_prefix("0x") {
        i64::from_str_radix(hex, 16)
    } else if digits.len() > 1 && digits.starts_with('0') {
        i64::from_str_radix(digits, 8)
    } else {
        digits.parse()
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let magnitude = magnitude.ok().filter(|n| *n <= 1 << 31)?;
    Some(if negative { -magnitude } else { magnitude })
}

impl Values {
    /// The next value of a count; `None` when it is over or this is a list.
    pub(super) fn next_count(&mut self) -> Option<String> {
        let Self::Count { next, step, end, hexadecimal } = self else { return None };
        let value = next.take()?;
        let following = value + *step;
        if (*step > 0 && following <= *end) || (*step < 0 && following >= *end) {
            *next = Some(following);
        }
        Some(if *hexadecimal { format!("{value:x}") } else { value.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(text: &str) -> Result<Vec<String>, Wrong> {
        let word = starts(text).unwrap_or(0);
        let mut repeat = parse(text, word).map_err(|(wrong, _)| wrong)?;
        Ok(std::iter::from_fn(|| repeat.values.next_count()).collect())
    }

    #[test]
    fn counting_as_keepalived_does() {
        assert_eq!(counted("~SEQ(v,3)").unwrap(), ["1", "2", "3"]);
        assert_eq!(counted("~SEQ(v,3,1)").unwrap(), ["3", "2", "1"]);
        assert_eq!(counted("~SEQ(v,1,2,6)").unwrap(), ["1", "3", "5"]);
        assert_eq!(counted("~SEQ(v,-2)").unwrap(), ["-1", "-2"]);
        assert_eq!(counted("~SEQ(v,0)").unwrap(), ["1", "0"]);
        assert_eq!(counted("~SEQ(v,-3,0)").unwrap(), ["-3", "-2", "-1", "0"]);
        assert_eq!(counted("~SEQ(v,5,5)").unwrap(), ["5"]);
        assert_eq!(counted("~SEQ ( v , 0x10 , 0x11 )").unwrap(), ["16", "17"]);
        assert_eq!(counted("~SEQx(v,0x90,0x10,0xc0)").unwrap(), ["90", "a0", "b0", "c0"]);
        assert_eq!(counted("~SEQ(v,2,1,1)"), Err(Wrong::Step));
        assert_eq!(counted("~SEQ(v,1,0,5)"), Err(Wrong::Step));
        assert_eq!(counted("~SEQ(v)"), Err(Wrong::Form));
        assert_eq!(counted("~SEQ(v,1,x)"), Err(Wrong::Number));
        assert_eq!(counted("~SEQ(v,1,2"), Err(Wrong::NoClose));
        assert_eq!(counted("~SEQx(v,-2,2)"), Err(Wrong::Negative));
        assert_eq!(counted("~SEQ(1v,2)"), Err(Wrong::Name));
    }

    #[test]
    fn lists_single_and_tuple() {
        let rounds = |text: &str| match parse(text, 4).map(|r| r.values) {
            Ok(Values::List { rounds }) => Ok(rounds
                .into_iter()
                .map(|r| r.into_iter().map(|v| text[v].to_owned()).collect::<Vec<_>>())
                .collect::<Vec<_>>()),
            Ok(Values::Count { .. }) => unreachable!("a list was asked for"),
            Err((wrong, _)) => Err(wrong),
        };
        assert_eq!(rounds("~LST(v, p,q , r)").unwrap(), [["p"], ["q"], ["r"]]);
        assert_eq!(rounds("~LST({v, w}, {a,b},{c,d})").unwrap(), [["a", "b"], ["c", "d"]]);
        assert_eq!(rounds("~LST({v,w},{a,b},{c})").unwrap(), [["a", "b"], ["c", ""]]);
        assert_eq!(rounds("~LST(v,,z)").unwrap(), [[""], ["z"]]);
        assert_eq!(rounds("~LST(v,x y,z)"), Err(Wrong::Space));
        assert_eq!(rounds("~LST(v)"), Err(Wrong::NoValue));
    }
}
