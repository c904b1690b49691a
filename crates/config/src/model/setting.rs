//! The small wrappers that carry where a value came from: names, settings, secrets.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

use crate::source::Span;

/// A name that the user wrote, with its place. Two names are equal if their text is.
#[derive(Clone, Debug, Eq, Serialize, Deserialize)]
pub struct Name {
    /// The name.
    pub text: String,
    /// Where it was written.
    pub span: Span,
}

impl Name {
    /// A name at a place.
    pub fn new(text: impl Into<String>, span: Span) -> Self {
        Self { text: text.into(), span }
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        self.text == other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        self.text == *other
    }
}

impl std::hash::Hash for Name {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.text
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// How a setting got its value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// Nobody wrote it.
    #[default]
    Default,
    /// Written in an outer block (`global_defs`, the virtual server of a real server).
    Inherited(Span),
    /// Written in this block.
    Written(Span),
    /// Changed because something else demands it (`state MASTER` clears `nopreempt`, strict mode
    /// clears authentication); a diagnostic tells why. The place is that of the demand.
    Forced(Span),
}

/// A resolved value and how it came about. Two settings are equal if their values are: a comment
/// that moves lines changes nothing at reload.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Setting<T> {
    /// The value in force.
    pub value: T,
    /// Where it came from.
    pub origin: Origin,
}

impl<T> Setting<T> {
    /// A default.
    pub const fn default_of(value: T) -> Self {
        Self { value, origin: Origin::Default }
    }

    /// A value that was written in this block.
    pub const fn written(value: T, span: Span) -> Self {
        Self { value, origin: Origin::Written(span) }
    }

    /// A value that an outer block gives.
    pub const fn inherited(value: T, span: Span) -> Self {
        Self { value, origin: Origin::Inherited(span) }
    }

    /// Replaces the value because of what is written at `span`.
    pub fn force(&mut self, value: T, span: Span) {
        *self = Self { value, origin: Origin::Forced(span) };
    }

    /// Whether somebody wrote it, here or in an outer block.
    pub const fn is_default(&self) -> bool {
        matches!(self.origin, Origin::Default)
    }

    /// Where it was written in this very block, if it was.
    pub const fn written_at(&self) -> Option<Span> {
        match self.origin {
            Origin::Written(span) => Some(span),
            _ => None,
        }
    }

    /// Any place that explains the value.
    pub const fn span(&self) -> Option<Span> {
        match self.origin {
            Origin::Default => None,
            Origin::Inherited(span) | Origin::Written(span) | Origin::Forced(span) => Some(span),
        }
    }
}

impl<T: PartialEq> PartialEq for Setting<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Setting<T> {}

impl<T> Deref for Setting<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// Bytes that never appear in debug output. They are serialized for [`crate::passing`] alone, from
/// the supervisor to its roles.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Wraps the bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("********")
    }
}
