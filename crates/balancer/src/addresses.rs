//! Addresses of this host, for `ha_suspend`: which there are, and which come and go.

use std::collections::HashSet;
use std::net::IpAddr;

use netlink::{
    AddressFilter, Groups, Kernel as _, KernelError, Monitor, MonitorEvent, MonitorOptions, Netlink,
};

/// Events taken in one turn.
const AT_ONCE: usize = 4096;

/// An address that came (`true`) or left.
pub(crate) type News = (IpAddr, bool);

/// The addresses of the network namespace.
pub(crate) struct Addresses {
    monitor: Monitor,
    /// Interface and address: two interfaces may have the same one.
    here: HashSet<(u32, IpAddr)>,
}

impl Addresses {
    /// Begins to watch; every address that is here now is news.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn watch(options: MonitorOptions) -> Result<(Self, Vec<News>), KernelError> {
        let options = MonitorOptions { groups: Groups::ADDRESSES, ..options };
        // The monitor first: what changes between the two is not lost.
        let monitor = Monitor::with(&options)?;
        let mut addresses = Self { monitor, here: HashSet::new() };
        let news = addresses.read()?;
        Ok((addresses, news))
    }

    /// What to wait for.
    pub(crate) fn monitor(&self) -> &Monitor {
        &self.monitor
    }

    /// What has changed.
    pub(crate) fn news(&mut self) -> Vec<News> {
        let mut news = Vec::new();
        for _ in 0..AT_ONCE {
            match self.monitor.next() {
                None => break,
                Some(MonitorEvent::AddressAdded(address)) => {
                    let before = self.has(address.ip);
                    self.here.insert((address.ifindex, address.ip));
                    if !before {
                        news.push((address.ip, true));
                    }
                }
                Some(MonitorEvent::AddressRemoved(address)) => {
                    let before = self.has(address.ip);
                    self.here.remove(&(address.ifindex, address.ip));
                    if before && !self.has(address.ip) {
                        news.push((address.ip, false));
                    }
                }
                Some(MonitorEvent::Overrun) => match self.read() {
                    Ok(changes) => news.extend(changes),
                    Err(error) => log::warn!("addresses cannot be read: {error}"),
                },
                Some(_) => {}
            }
        }
        news
    }

    fn has(&self, ip: IpAddr) -> bool {
        self.here.iter().any(|(_, other)| *other == ip)
    }

    fn read(&mut self) -> Result<Vec<News>, KernelError> {
        let found = Netlink::open()?.addresses(AddressFilter::default())?;
        let found: HashSet<_> = found.into_iter().map(|a| (a.ifindex, a.ip)).collect();
        let ips = |set: &HashSet<(u32, IpAddr)>| -> HashSet<IpAddr> {
            set.iter().map(|(_, ip)| *ip).collect()
        };
        let (before, now) = (ips(&self.here), ips(&found));
        self.here = found;
        let gone = before.difference(&now).map(|ip| (*ip, false));
        Ok(gone.chain(now.difference(&before).map(|ip| (*ip, true))).collect())
    }
}
