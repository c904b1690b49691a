//! The rtnetlink messages of each kind of object, both directions. One file per kind, same shape:
//! `put` writes the message of a request, `parse` reads what a dump or a notification carries.

pub(crate) mod address;
pub(crate) mod link;
pub(crate) mod request;
pub(crate) mod route;
pub(crate) mod rule;
