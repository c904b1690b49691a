//! `BFD_CHECK`: a BFD session is up.

/// A `BFD_CHECK`.
#[derive(Clone, Debug, PartialEq)]
pub struct Bfd {
    /// `name`: the session's.
    pub session: Box<str>,
}
