//! The forms of a log line: console and file, syslog (RFC 3164), journal.

use std::fmt::Write as _;

use log::Record;
use log::kv::{Error, Key, Value, VisitSource};

/// Console and file: each line of the text with a time before it, as Keepalived writes it.
pub(super) fn plain(stamp: &str, text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 32);
    for line in text.lines() {
        let _ = writeln!(out, "{stamp}: {line}");
    }
    out
}

/// Syslog, as the C library writes it to /dev/log.
pub(super) fn syslog(
    facility: u8,
    priority: u8,
    stamp: &str,
    ident: &str,
    pid: u32,
    text: &str,
) -> String {
    format!("<{}>{stamp} {ident}[{pid}]: {text}", u32::from(facility) * 8 + u32::from(priority))
}

/// The journal's own protocol: `NAME=value` lines.
pub(super) fn journal(
    ident: &str,
    facility: u8,
    priority: u8,
    text: &str,
    fields: &[(String, String)],
) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 128);
    field(&mut out, "MESSAGE", text);
    field(&mut out, "PRIORITY", &priority.to_string());
    field(&mut out, "SYSLOG_FACILITY", &facility.to_string());
    field(&mut out, "SYSLOG_IDENTIFIER", ident);
    field(&mut out, "SYSLOG_PID", &std::process::id().to_string());
    for (name, value) in fields {
        field(&mut out, name, value);
    }
    out
}

/// One field; a value of several lines goes with its length before it.
fn field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        out.push(b'\n');
        out.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        out.push(b'=');
    }
    out.extend_from_slice(value.as_bytes());
    out.push(b'\n');
}

/// The record's key-values as journal fields: `vrid = 5` becomes `VRID=5`.
pub(super) fn fields(record: &Record<'_>) -> Vec<(String, String)> {
    struct Collect(Vec<(String, String)>);
    impl<'kvs> VisitSource<'kvs> for Collect {
        fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
            self.0.push((field_name(key.as_str()), printable(&value.to_string())));
            Ok(())
        }
    }
    let mut fields = Collect(Vec::new());
    // Our visitor has no errors.
    let _ = record.key_values().visit(&mut fields);
    fields.0
}

/// Upper case letters, digits and underscores, first a letter, at most 64 bytes.
fn field_name(key: &str) -> String {
    let mut name = String::with_capacity(key.len());
    for character in key.chars().take(60) {
        match character {
            'a'..='z' | 'A'..='Z' | '0'..='9' => name.push(character.to_ascii_uppercase()),
            _ => name.push('_'),
        }
    }
    if name.starts_with(|first: char| first.is_ascii_uppercase()) {
        name
    } else {
        format!("F_{name}")
    }
}

/// The text with control characters made visible: what a peer or a script has said must not look
/// like another log line or change a terminal. Line feeds and tabs stay; no line is empty.
pub(super) fn printable(text: &str) -> String {
    let harmless = |character: char| !character.is_control() || matches!(character, '\n' | '\t');
    let mut out = String::with_capacity(text.len());
    for character in text.trim_end_matches('\n').chars() {
        if harmless(character) {
            out.push(character);
        } else {
            let _ = write!(out, "\\x{:02x}", u32::from(character));
        }
    }
    if out.is_empty() {
        out.push(' ');
    }
    out
}
