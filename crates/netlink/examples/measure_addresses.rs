//! Adds and removes many addresses in the current network namespace and prints the times.
//! Run it inside one of its own: `unshare -rn cargo run --release --example measure_addresses`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use standfast_netlink as netlink;

use netlink::{
    AddMode, Address, AddressFilter, AddressFlags, Kernel as _, Monitor, Netlink, Request,
};

fn main() -> Result<(), netlink::KernelError> {
    let count: u32 = std::env::args().nth(1).and_then(|word| word.parse().ok()).unwrap_or(5000);
    let name = std::env::args().nth(2).unwrap_or_else(|| "lo".into());
    let mut kernel = Netlink::open()?;
    let Some(link) = kernel.links()?.into_iter().find(|link| link.name == name) else {
        println!("no interface {name}");
        return Ok(());
    };
    let up = Request::SetLinkUp { ifindex: link.index };
    for result in kernel.apply(&[up]) {
        result?;
    }
    let mut monitor = Monitor::open()?;
    for family in ["IPv4", "IPv6"] {
        let addresses: Vec<Address> = (0..count)
            .map(|n| {
                let ip: IpAddr = if family == "IPv4" {
                    Ipv4Addr::from_bits(0xcb00_7100 + n).into()
                } else {
                    Ipv6Addr::from_bits((0x2001_0db8 << 96) + u128::from(n) + 1).into()
                };
                let mut address = Address::new(link.index, ip, if ip.is_ipv4() { 32 } else { 128 });
                if ip.is_ipv6() {
                    address.flags |= AddressFlags::NODAD;
                }
                address
            })
            .collect();
        let adds: Vec<_> = addresses
            .iter()
            .map(|address| Request::AddAddress { address: address.clone(), mode: AddMode::Replace })
            .collect();
        let deletes: Vec<_> = addresses.iter().cloned().map(Request::DelAddress).collect();
        measure(&mut kernel, &format!("{family}: add {count}"), &adds);
        measure(&mut kernel, &format!("{family}: add {count} again"), &adds);
        let start = Instant::now();
        let dumped = kernel.addresses(AddressFilter::default())?.len();
        println!("{family}: dump {dumped}: {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
        measure(&mut kernel, &format!("{family}: delete {count}"), &deletes);
    }
    let start = Instant::now();
    let events = monitor.by_ref().count();
    println!("monitor: {events} events read in {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
    Ok(())
}

fn measure(kernel: &mut Netlink, what: &str, requests: &[Request]) {
    let start = Instant::now();
    let results = kernel.apply(requests);
    let elapsed = start.elapsed().as_secs_f64() * 1e3;
    let failed = results.iter().filter(|result| result.is_err()).count();
    let first = results.into_iter().find_map(Result::err);
    println!(
        "{what}: {elapsed:.1} ms, {failed} failed {}",
        first.map_or(String::new(), |e| e.to_string())
    );
}
