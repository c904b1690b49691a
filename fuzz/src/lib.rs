//! What each fuzz target does with its bytes. The crates' own tests run the same functions over
//! `seeds/`, so that `make test` notices at once when one of them breaks.
#![forbid(unsafe_code)]

pub mod config;
pub mod dns_reply;
pub mod engine;
pub mod expression;
pub mod http_response;
pub mod ipvs;
pub mod packet;
pub mod smtp_reply;
pub mod udp_reply;
