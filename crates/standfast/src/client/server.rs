//! `standfast server`: what an operator sees of virtual and real servers, and orders for them.

use std::io::Write;
use std::thread;
use std::time::Duration;

use status::Balancing;
use status::api::{Reply, Request, ServerOrder};
use status::balancing::{self, ALL};

use super::{Client, Error, Sockets, unexpected};
use crate::supervisor::kind::Kind;

/// How often the open connections are looked at while a drain is waited for.
const LOOK: Duration = Duration::from_millis(500);

/// An order and for whom.
pub(crate) struct Order<'a> {
    pub(crate) virtual_server: &'a str,
    pub(crate) real_server: &'a str,
    pub(crate) order: ServerOrder,
    /// Whether to stay until a drain has ended.
    pub(crate) wait: bool,
}

/// `standfast server list [VS]`.
pub(crate) fn list(
    sockets: &Sockets,
    virtual_server: Option<&str>,
    json: bool,
) -> Result<String, Error> {
    let virtual_server = virtual_server.filter(|name| *name != ALL);
    let shown = servers(&mut sockets.connect_to(Kind::Balancer)?, virtual_server)?;
    if json {
        return Ok(serde_json::to_string_pretty(&shown)? + "\n");
    }
    Ok(status::text::balancing::servers(&shown))
}

fn servers(client: &mut Client, virtual_server: Option<&str>) -> Result<Balancing, Error> {
    let virtual_server = virtual_server.map(str::to_owned);
    match client.ask(&Request::Servers { virtual_server })? {
        Reply::Balancing(shown) => Ok(*shown),
        other => Err(unexpected(&other)),
    }
}

/// `standfast server retry`.
pub(crate) fn retry(sockets: &Sockets) -> Result<String, Error> {
    sockets.connect_to(Kind::Balancer)?.order(&Request::Retry)
}

/// `standfast server weight|drain|disable|enable VS RS`.
pub(crate) fn order(
    sockets: &Sockets,
    order: &Order<'_>,
    out: &mut dyn Write,
) -> Result<String, Error> {
    let mut client = sockets.connect_to(Kind::Balancer)?;
    let request = Request::Server {
        virtual_server: order.virtual_server.to_owned(),
        real_server: order.real_server.to_owned(),
        order: order.order,
    };
    let told = client.order(&request)?;
    if !order.wait {
        return Ok(told);
    }
    out.write_all(told.as_bytes())?;
    wait_drained(&mut client, order, out)
}

/// Shows the connections that are still open until there are none or the deadline has passed.
fn wait_drained(
    client: &mut Client,
    order: &Order<'_>,
    out: &mut dyn Write,
) -> Result<String, Error> {
    let virtual_server = Some(order.virtual_server).filter(|name| *name != ALL);
    let mut before = None;
    loop {
        let left = Left::of(&servers(client, virtual_server)?, order.real_server);
        match left.verdict() {
            Verdict::Drained => return Ok("drained\n".to_owned()),
            Verdict::Ended(name) => {
                return Err(Error::InVain(format!(
                    "{name} is not draining any more: somebody has given another order"
                )));
            }
            Verdict::Waits if before != Some(left.open) => {
                let Open { active, inactive } = left.open;
                // As `ipvsadm` tells them apart: the latter are closing, or without a protocol
                // that says when they end.
                writeln!(out, "{active} active and {inactive} inactive connections")?;
                out.flush()?;
                before = Some(left.open);
            }
            Verdict::Waits => {}
        }
        thread::sleep(LOOK);
    }
}

/// Connections, counted by the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Open {
    active: u64,
    inactive: u64,
}

/// How far a drain has come.
#[derive(Debug, Default, PartialEq)]
struct Left {
    /// Connections of servers that are being drained.
    open: Open,
    /// How many servers that is.
    draining: usize,
    /// One that has another order, or none.
    other: Option<String>,
}

#[derive(Debug, PartialEq)]
enum Verdict<'a> {
    /// No connection is open, or the deadline has passed. So it is with a server that a reload has
    /// removed.
    Drained,
    /// It goes on.
    Waits,
    /// That server is not being drained.
    Ended(&'a str),
}

impl Left {
    fn of(shown: &Balancing, real_server: &str) -> Self {
        let mut left = Self::default();
        let all = shown.virtual_servers.iter().flat_map(|v| &v.real_servers);
        for r in all.filter(|r| real_server == ALL || r.answers_to(real_server)) {
            match r.order {
                Some(balancing::Order::Drain { finished: true, .. }) => {}
                Some(balancing::Order::Drain { .. }) => {
                    left.draining += 1;
                    left.open.active += r.connections.active;
                    left.open.inactive += r.connections.inactive;
                }
                _ => left.other = Some(r.name.clone()),
            }
        }
        left
    }

    fn verdict(&self) -> Verdict<'_> {
        match &self.other {
            _ if self.draining > 0 => Verdict::Waits,
            Some(name) => Verdict::Ended(name),
            None => Verdict::Drained,
        }
    }
}

/// Reads `30s`, `500ms`, `5m`, `1h`; a number alone is seconds.
///
/// # Errors
/// A sentence.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale = match unit.trim() {
        "ms" => 1,
        "" | "s" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => return Err("a time is written 30s, 500ms, 5m or 1h".to_owned()),
    };
    let milliseconds = number.parse::<u64>().ok().and_then(|n| n.checked_mul(scale));
    match milliseconds.map(Duration::from_millis) {
        Some(time) if time <= LONGEST => Ok(time),
        Some(_) => Err("the longest time is 365 days".to_owned()),
        None => Err("a time is written 30s, 500ms, 5m or 1h".to_owned()),
    }
}

/// The longest deadline that is taken.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// Reads a weight; `default` is the configured one.
///
/// # Errors
/// A sentence.
pub(crate) fn weight(text: &str) -> Result<Option<u32>, String> {
    match text.parse::<i32>() {
        _ if text == "default" => Ok(None),
        Ok(number) => u32::try_from(number).map(Some).map_err(|_| "0 is the least".to_owned()),
        Err(_) => Err(format!("a number from 0 to {} or `default`", i32::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use status::balancing::{Connections, RealServer, VirtualServer};

    use super::*;

    fn real(host: u8, order: Option<balancing::Order>) -> RealServer {
        RealServer {
            name: format!("[10.0.0.{host}]:tcp:80"),
            address: Some(([10, 0, 0, host], 80).into()),
            order,
            connections: Connections { active: 2, inactive: 1, persistent: 7 },
            ..RealServer::default()
        }
    }

    fn farm(real_servers: Vec<RealServer>) -> Balancing {
        let web = VirtualServer { real_servers, ..VirtualServer::default() };
        Balancing { virtual_servers: vec![web], ..Balancing::default() }
    }

    const DRAINING: Option<balancing::Order> =
        Some(balancing::Order::Drain { deadline_in: None, finished: false });
    const DRAINED: Option<balancing::Order> =
        Some(balancing::Order::Drain { deadline_in: None, finished: true });

    #[test]
    fn a_drain_is_waited_for_until_the_last_server_is_done() {
        let both = farm(vec![real(2, DRAINING), real(3, DRAINED)]);
        let left = Left::of(&both, "all");
        assert_eq!(left.open, Open { active: 2, inactive: 1 });
        assert_eq!(left.verdict(), Verdict::Waits);
        assert_eq!(Left::of(&both, "10.0.0.3").verdict(), Verdict::Drained);
        // One that a reload has removed has no connections of ours.
        assert_eq!(Left::of(&both, "10.0.0.4").verdict(), Verdict::Drained);
    }

    #[test]
    fn another_order_ends_the_waiting() {
        let all = farm(vec![real(2, None)]);
        let left = Left::of(&all, "10.0.0.2:80");
        assert_eq!(left.verdict(), Verdict::Ended("[10.0.0.2]:tcp:80"));
    }

    #[test]
    fn times_and_weights_are_read() {
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("30"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("1h"), Ok(Duration::from_secs(3600)));
        for wrong in ["", "s", "1d", "-1s", "1.5s", "99999999999999999999s", "9999999h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        assert_eq!(weight("0"), Ok(Some(0)));
        assert_eq!(weight("default"), Ok(None));
        for wrong in ["-1", "x", "", "2147483648"] {
            assert!(weight(wrong).is_err(), "{wrong}");
        }
    }
}
