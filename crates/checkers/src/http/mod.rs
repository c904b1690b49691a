//! `HTTP_GET` and `SSL_GET`: asks for one url and looks at the answer.
//!
//! ```text
//!   request ─► connection (TLS) ─► response (parser) ─► expect (status, digest, text) ─► result
//! ```
//!
//! Only [`run`] does I/O. An answer counts as complete when its headers say so; Keepalived waits
//! until the connection closes, and times out if the server keeps it open.

mod expect;
mod request;
pub mod response;

use std::io;
use std::time::Duration;

use config::model::balancer::Ssl;
use config::model::checker;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout};

pub use expect::{Answer, HttpFailure, Judge, Search};
pub use request::request;

use crate::connect::connect_tcp;
use crate::outcome::{Cause, Detail, Failure, Success};
use crate::patience::{Patience, within};
use crate::target::Target;
use crate::tls::{self, Clients, TlsFailure};
use response::{End, Progress, Response};

/// A whole answer may take so many times the `connect_timeout`, which itself is for the connection,
/// for each step of TLS and for each pause within the answer. Keepalived has no such limit.
pub const PATIENCE: u32 = 10;

/// An `HTTP_GET` or `SSL_GET`.
#[derive(Clone, Debug, PartialEq)]
pub struct Http {
    /// As configured; `virtualhost` is filled with the real or the virtual server's where the
    /// check has none.
    pub settings: checker::Http,
    /// Where.
    pub target: Target,
    /// The global `SSL` block: client certificate.
    pub ssl: Ssl,
}

/// Asks for `check.settings.urls[url]`.
///
/// # Errors
/// What was wanted and what came.
pub async fn run(check: &Http, url: usize, clients: &Clients) -> Result<Success, Failure> {
    let began = Instant::now();
    let to = check.target.to;
    let fail = |cause: Cause| Failure::new(cause, to, began.elapsed());
    let settings = &check.settings;
    let Some(url) = settings.urls.get(url) else {
        return Err(fail(HttpFailure::NoUrl(url).into()));
    };
    let host = url.virtualhost.as_deref().or(settings.virtualhost.as_deref());
    let exchange = Exchange {
        request: request(settings.protocol, &url.path, host, to),
        url,
        clients,
        step: check.target.timeout,
        until: began + check.target.timeout * PATIENCE,
        orderly: settings.tls && url.tls_compliant.unwrap_or(settings.tls_compliant),
    };
    let tcp = connect_tcp(&check.target).await?;
    let answer = if settings.tls {
        match tls::handshake(check, host, tcp, clients).await {
            Ok(stream) => exchange.carry_out(stream).await,
            Err(cause) => Err(cause),
        }
    } else {
        exchange.carry_out(tcp).await
    };
    match answer {
        Ok(answer) => Ok(Success::new(Detail::Http(answer), began.elapsed())),
        Err(cause) => Err(fail(cause)),
    }
}

/// A request and its answer, on a connection that stands.
struct Exchange<'a> {
    request: Vec<u8>,
    url: &'a checker::Url,
    clients: &'a Clients,
    /// For each step.
    step: Duration,
    /// For the whole.
    until: Instant,
    /// Insist on an orderly end of TLS.
    orderly: bool,
}

impl Exchange<'_> {
    async fn carry_out(
        &self,
        mut stream: impl AsyncRead + AsyncWrite + Unpin,
    ) -> Result<Answer, Cause> {
        match within(self.step, send(&mut stream, &self.request)).await {
            Some(sent) => sent.map_err(|error| cause(&error))?,
            None => return Err(Cause::NoAnswer { within: self.step }),
        }
        let mut response = Response::new();
        let mut judge = Judge::new(self.url);
        let end = self.read(&mut stream, &mut response, &mut judge).await?;
        if self.orderly {
            self.read_to_the_end(&mut stream, &response).await?;
        }
        // Says good-bye (close_notify, FIN); whether that arrives is not our concern.
        let _ = timeout(self.step.min(Duration::from_secs(1)), stream.shutdown()).await;
        drop(stream);

        let status = response.status().unwrap_or_default();
        if let Some(Search { answer, head }) = judge.body(end)?
            && let Some(regex) = &self.url.regex
        {
            let expression = self.clients.expressions().get(regex);
            judge.found(expression.search(answer, head, self.step).await, end)?;
        }
        Ok(Answer { status, bytes: judge.bytes() })
    }

    /// Reads the answer. A status that is not wanted ends it at once.
    async fn read(
        &self,
        stream: &mut (impl AsyncRead + Unpin),
        response: &mut Response,
        judge: &mut Judge<'_>,
    ) -> Result<End, Cause> {
        let mut buffer = vec![0; 8192];
        let mut judged = false;
        loop {
            let Some(came) = self.portion(stream, &mut buffer, response).await? else {
                return Ok(response.end().map_err(HttpFailure::from)?);
            };
            let progress =
                response.take(came, &mut |piece| judge.take(&piece)).map_err(HttpFailure::from)?;
            if let (false, Some(status)) = (judged, response.status()) {
                judge.status(status)?;
                judged = true;
            }
            if progress == Progress::Complete {
                return Ok(End::Complete);
            }
        }
    }

    /// Reads until TLS ends in an orderly way.
    async fn read_to_the_end(
        &self,
        stream: &mut (impl AsyncRead + Unpin),
        response: &Response,
    ) -> Result<(), Cause> {
        let mut buffer = vec![0; 1024];
        while self.portion(stream, &mut buffer, response).await?.is_some() {}
        Ok(())
    }

    /// What comes next; `None` at the end of the connection.
    async fn portion<'b>(
        &self,
        stream: &mut (impl AsyncRead + Unpin),
        buffer: &'b mut [u8],
        response: &Response,
    ) -> Result<Option<&'b [u8]>, Cause> {
        let mut patience = Patience::new(self.step).and_until(self.until);
        let whole = patience.until() >= self.until;
        match patience.wait(stream.read(buffer)).await {
            Some(Ok(0)) => Ok(None),
            Some(Ok(count)) => Ok(buffer.get(..count)),
            Some(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                if self.orderly {
                    Err(TlsFailure::NoCloseNotify.into())
                } else {
                    Ok(None)
                }
            }
            Some(Err(error)) => Err(cause(&error)),
            None if response.taken() == 0 => Err(Cause::NoAnswer { within: self.step }),
            None if whole => {
                let within = self.step * PATIENCE;
                Err(HttpFailure::TooSlow { within, bytes: response.taken() }.into())
            }
            None => Err(HttpFailure::Stalled { within: self.step, bytes: response.taken() }.into()),
        }
    }
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

/// What an error of the connection means, TLS or not.
fn cause(error: &io::Error) -> Cause {
    match TlsFailure::within(error) {
        Some(failure) => failure.into(),
        None => Cause::of(error),
    }
}

#[cfg(test)]
mod tests;
