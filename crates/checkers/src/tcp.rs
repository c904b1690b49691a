//! `TCP_CHECK`: the connection is accepted.

use tokio::time::Instant;

use crate::connect::connect_tcp;
use crate::outcome::{Detail, Failure, Success};
use crate::target::Target;

/// Connects and closes at once.
pub(crate) async fn run(target: &Target) -> Result<Success, Failure> {
    let began = Instant::now();
    connect_tcp(target).await?;
    Ok(Success::new(Detail::Connected, began.elapsed()))
}
