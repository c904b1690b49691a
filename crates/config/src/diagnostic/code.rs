//! The closed list of codes, assembled from one enum per family.

use std::fmt;

/// What there is to know about a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeInfo {
    /// The stable identifier, as in `SF0101`.
    pub id: &'static str,
    /// The stable name, as in `unclosed-block`.
    pub name: &'static str,
    /// One paragraph for `--explain`.
    pub explanation: &'static str,
}

/// Declares the codes of a family:
/// `Variant = "SF0101" "the-name": "What it means, why it matters, what to do.";`.
macro_rules! family {
    ($(#[$meta:meta])* $family:ident { $($variant:ident = $id:literal $name:literal: $text:literal;)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $family {
            $(#[doc = concat!("`", $id, " ", $name, "`; [`Self::info`] explains it.")] $variant,)+
        }

        impl $family {
            /// Every code of the family.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Identifier, name and explanation.
            #[must_use]
            pub const fn info(self) -> $crate::diagnostic::CodeInfo {
                match self {
                    $(Self::$variant => $crate::diagnostic::CodeInfo {
                        id: $id,
                        name: $name,
                        explanation: $text,
                    },)+
                }
            }
        }
    };
}
pub(crate) use family;

/// Joins the families into one closed enum.
macro_rules! codes {
    ($($family:ident),+ $(,)?) => {
        /// A kind of finding: a stable identifier, a name and an explanation.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = concat!("See [`", stringify!($family), "`](super::", stringify!($family), ").")]
            $family(super::$family),)+
        }

        $(impl From<super::$family> for Code {
            fn from(code: super::$family) -> Self {
                Self::$family(code)
            }
        })+

        impl Code {
            /// Identifier, name and explanation.
            #[must_use]
            pub const fn info(self) -> CodeInfo {
                match self {
                    $(Self::$family(code) => code.info(),)+
                }
            }

            /// Every code there is, by family.
            pub fn all() -> impl Iterator<Item = Self> {
                std::iter::empty()
                    $(.chain(super::$family::ALL.iter().map(|code| Self::$family(*code))))+
            }
        }
    };
}

// A new family: a file beside this one with `family! {…}`, `mod` and `pub use` in mod.rs, and its
// name here.
codes!(
    Syntax, Preprocess, Language, Names, Election, Addresses, Scripts, Wording, Setup, Pair,
    Balancing
);

impl Code {
    /// The stable identifier, as in `SF0101`.
    #[must_use]
    pub const fn id(self) -> &'static str {
        self.info().id
    }

    /// The stable name, as in `unclosed-block`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.info().name
    }

    /// One paragraph for `--explain`.
    #[must_use]
    pub const fn explanation(self) -> &'static str {
        self.info().explanation
    }

    /// Finds a code by identifier or name, either case.
    #[must_use]
    pub fn find(text: &str) -> Option<Self> {
        Self::all().find(|code| {
            code.id().eq_ignore_ascii_case(text) || code.name().eq_ignore_ascii_case(text)
        })
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}
