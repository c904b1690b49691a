//! SF01xx: braces, quotes, comments and characters.

use super::code::family;

family! {
    /// Braces, quotes, comments and characters.
    Syntax {
        UnclosedBlock = "SF0101" "unclosed-block":
            "A `{` has no `}` before the end of the configuration. Everything after the place where the brace was forgotten is read as part of that block, so keywords there are reported as unknown or are silently given to the wrong block. Close the block where it ends.";
        ExtraBrace = "SF0102" "extra-brace":
            "A `}` stands where no block is open. Keepalived reports it and reads on, so usually some earlier block was closed too soon and its last lines were read at the wrong level.";
    }
}
