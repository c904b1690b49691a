//! `HTTP_GET` and `SSL_GET`: asks for one url and looks at the answer.

use std::fmt;

use config::model::balancer::Ssl;
use config::model::checker;

use crate::outcome::{Failure, Success};
use crate::target::Target;
use crate::tls::Clients;

/// An `HTTP_GET` or `SSL_GET`.
#[derive(Clone, Debug, PartialEq)]
pub struct Http {
    /// As configured; `virtualhost` is filled with the real or the virtual server's where the
    /// check has none.
    pub settings: checker::Http,
    /// Where.
    pub target: Target,
    /// The global `SSL` block: client certificate, default authorities.
    pub ssl: Ssl,
}

/// What a url answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTTP {}", self.status)
    }
}

/// The answer is not the one wanted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum HttpFailure {}

/// Asks for `check.settings.urls[url]`.
///
/// # Errors
/// What was wanted and what came.
pub async fn run(check: &Http, url: usize, tls: &Clients) -> Result<Success, Failure> {
    let _ = (check, url, tls);
    std::future::pending().await
}
