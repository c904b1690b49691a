//! What an advert costs the engine, sent and received, with many routers.
//!
//! ```text
//! cargo run --release -p standfast-vrrp --example load -- 1000
//! ```
#![allow(clippy::disallowed_methods, reason = "it measures")]

use std::net::Ipv4Addr;
use std::num::NonZeroU8;
use std::time::{Duration, Instant};

use vrrp::{
    Config, Datagram, Engine, Family, Input, Interface, InterfaceId, Now, Output, RouterConfig,
    Time, Transmit, Version,
};

/// Virtual seconds.
const TIME: u64 = 20;

fn config(routers: u32, host: u8, priority: u8) -> Config {
    let router = |n: u32| {
        let interface = Interface { id: InterfaceId(n / 255), name: format!("eth{}", n / 255) };
        let vrid = NonZeroU8::new((n % 255) as u8 + 1).expect("1..=255");
        let name = format!("V{n}");
        let mut config = RouterConfig::new(&name, interface, Version::V3, Family::V4, vrid);
        config.priority = NonZeroU8::new(priority).expect("not zero");
        config.advert_interval = Duration::from_millis(100);
        config.source = Some(Ipv4Addr::new(198, 51, 100, host).into());
        config.addresses = vec![Ipv4Addr::from(0xcb00_7100 + n).into()];
        config
    };
    Config { routers: (0..routers).map(router).collect(), ..Config::default() }
}

fn drain(engine: &mut Engine, sent: &mut Vec<Transmit>) {
    while let Some(output) = engine.poll_output() {
        if let Output::Transmit(transmit) = output {
            sent.push(transmit);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the example measures the core from outside")]
fn main() {
    let routers = std::env::args().nth(1).and_then(|arg| arg.parse().ok()).unwrap_or(1000);
    let start = Now::default();
    let mut master = Engine::new(config(routers, 1, 200), start);
    let mut backup = Engine::new(config(routers, 2, 100), start);
    master.handle(Input::Start, start);
    backup.handle(Input::Start, start);
    let (mut sending, mut receiving) = (Duration::ZERO, Duration::ZERO);
    let (mut adverts, mut sent) = (0u64, Vec::new());
    while let Some(at) = master.poll_timeout().filter(|at| *at < Time::from_millis(TIME * 1000)) {
        let now = Now::new(at, Duration::from_nanos(at.0));
        let begin = Instant::now();
        master.handle_timeout(now);
        drain(&mut master, &mut sent);
        sending += begin.elapsed();
        adverts += sent.len() as u64;
        let begin = Instant::now();
        for packet in &sent {
            let datagram = Datagram::V4 { bytes: &packet.bytes };
            let interface = packet.interface.expect("multicast has one");
            backup.handle(Input::Packet { interface, datagram }, now);
        }
        backup.handle_timeout(now);
        receiving += begin.elapsed();
        for packet in sent.drain(..) {
            master.recycle(packet.bytes);
        }
        while backup.poll_output().is_some() {}
    }
    let each = |time: Duration| time.as_nanos() as u64 / adverts.max(1);
    println!(
        "{routers} routers, {adverts} adverts: {} ns to send one, {} ns to receive one",
        each(sending),
        each(receiving)
    );
}
