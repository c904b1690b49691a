//! keepalived.conf: from text to a checked model, with diagnostics. Reads files only.
//!
//! ```text
//!  path ──► files ──► preprocess ──► lexer ──► parser ──► tree ──► lower ──► model ──► checks
//!                     includes, @id,            │                    │         │         │
//!                     $DEF, ~SEQ                └──────── diagnostics ┴─────────┼─────────┘
//!                                                          │                   ▼
//!                                                    render, verdict        passing: as bytes
//! ```
//!
//! Start with [`load`]: it reads a file and everything that it includes into a
//! [`tree::Tree`] whose words know where they were written.
#![forbid(unsafe_code)]

pub mod checks;
pub mod diagnostic;
pub mod files;
pub mod keywords;
mod lexer;
mod load;
pub mod lower;
pub mod model;
pub mod pair;
mod parser;
pub mod passing;
mod preprocess;
pub mod render;
pub mod source;
pub mod tree;
pub mod verdict;

pub use load::{Loaded, Options, load, load_text};
