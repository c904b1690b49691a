//! Devices that a virtual router has of its own: the macvlan with the virtual MAC (`use_vmac`), or
//! an ipvlan (`use_ipvlan`), and the kernel settings that they need.

use std::collections::HashMap;

use config::model::Instance;
use config::model::Model;
use config::model::vrrp::{Family, IpvlanMode, OwnDevice};
use netlink::{AddMode, AddrGenMode, IpvlanFlags, MacvlanMode, Request};

use crate::kernel::KernelState;

/// The devices that exist because of us.
#[derive(Debug, Default)]
pub(crate) struct Devices {
    /// Device and the interface below it.
    created: HashMap<String, String>,
    /// Kernel settings and the values that they had, in the order in which they were changed.
    changed: Vec<(String, String)>,
}

impl Devices {
    /// Creates what the configuration wants, does not exist, and can exist now.
    pub(crate) fn create(
        &mut self,
        model: &Model,
        kernel: &mut KernelState,
        notices: &mut Vec<String>,
    ) {
        let mut news = false;
        for instance in &model.vrrp {
            let Some(device) = instance.own_device.as_ref().map(|d| &d.value) else { continue };
            let Some(parent) = instance.interface.as_deref() else { continue };
            let name = device.name();
            if kernel.index_of(name).is_some() {
                // Left by a life before ours, or by another instance that shares it.
                if !self.created.contains_key(name) && is_ours(kernel, name) {
                    self.created.insert(name.to_owned(), parent.to_owned());
                }
                continue;
            }
            let Some(parent_index) = kernel.index_of(parent) else { continue };
            let request = request(instance, device, parent_index);
            let refused = kernel.kernel().apply(&[request]).into_iter().find_map(Result::err);
            if let Some(error) = refused {
                notices.push(format!("({}) {name} on {parent}: {error}", instance.name));
                continue;
            }
            self.created.insert(name.to_owned(), parent.to_owned());
            news = true;
            self.settings(instance, name, parent);
            if let Err(error) = kernel.read_links() {
                notices.push(format!("netlink: {error}"));
            }
            if let Some(ifindex) = kernel.index_of(name) {
                let mut requests =
                    vec![Request::SetAddrGenMode { ifindex, mode: AddrGenMode::None }];
                requests.push(Request::SetLinkUp { ifindex });
                if let OwnDevice::Ipvlan { address: Some(own), .. } = device {
                    let address = netlink::Address::new(ifindex, own.address, own.prefix);
                    requests.push(Request::AddAddress { address, mode: AddMode::Replace });
                }
                for error in kernel.kernel().apply(&requests).into_iter().filter_map(Result::err) {
                    notices.push(format!("({}) {name}: {error}", instance.name));
                }
            }
        }
        // Now with their flags.
        if news && let Err(error) = kernel.read_links() {
            notices.push(format!("netlink: {error}"));
        }
    }

    /// ARP for the addresses must be answered by the device and by nothing else, and the packets
    /// that arrive with the parent's source address must be let in.
    fn settings(&mut self, instance: &Instance, device: &str, parent: &str) {
        if instance.family == Family::V6 {
            self.set(&format!("net/ipv6/conf/{device}/accept_ra"), "0", false);
            return;
        }
        for (key, value) in [
            ("arp_ignore", "1"),
            ("accept_local", "1"),
            ("rp_filter", "0"),
            ("promote_secondaries", "1"),
        ] {
            self.set(&format!("net/ipv4/conf/{device}/{key}"), value, false);
        }
        // Otherwise the device takes part in IPv6 with an address and reports of its own.
        let ipv6 = |a: &config::model::Address| a.dev.is_none() && a.family() == Family::V6;
        if !instance.all_addresses().any(ipv6) {
            self.set(&format!("net/ipv6/conf/{device}/disable_ipv6"), "1", false);
        }
        self.set(&format!("net/ipv4/conf/{parent}/arp_ignore"), "1", true);
        self.set(&format!("net/ipv4/conf/{parent}/arp_filter"), "1", true);
        // The greater of this one and the device's own counts.
        self.set("net/ipv4/conf/all/rp_filter", "0", true);
    }

    fn set(&mut self, key: &str, value: &str, restore: bool) {
        match sys::sysctl::swap(key, value) {
            Ok(old) if restore && old != value => {
                if !self.changed.iter().any(|(known, _)| known == key) {
                    self.changed.push((key.to_owned(), old));
                }
            }
            Ok(_) => {}
            Err(error) => log::warn!("kernel setting {key} = {value}: {error}"),
        }
    }

    /// `promote_secondaries` of an instance's interface.
    pub(crate) fn promote_secondaries(&mut self, interface: &str) {
        self.set(&format!("net/ipv4/conf/{interface}/promote_secondaries"), "1", true);
    }

    /// Names of the devices.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.created.keys().cloned().collect();
        names.sort_unstable();
        names
    }

    /// Kernel settings that were changed, and what they were.
    pub(crate) fn changed(&self) -> &[(String, String)] {
        &self.changed
    }

    /// Takes over what an earlier life has changed.
    pub(crate) fn inherit(&mut self, changed: Vec<(String, String)>) {
        self.changed = changed;
    }

    /// Whether a device is ours.
    pub(crate) fn made(&self, name: &str) -> bool {
        self.created.contains_key(name)
    }

    /// Counts a device of an earlier life as ours.
    pub(crate) fn adopt(&mut self, name: &str) {
        self.created.insert(name.to_owned(), String::new());
    }

    /// Removes those that a new configuration no longer wants.
    pub(crate) fn retire(&mut self, model: &Model, kernel: &mut KernelState) {
        let wanted = |name: &str| {
            model.vrrp.iter().any(|i| i.own_device.as_ref().is_some_and(|d| d.value.name() == name))
        };
        let stale: Vec<_> = self.created.keys().filter(|n| !wanted(n)).cloned().collect();
        for name in stale {
            self.created.remove(&name);
            delete(kernel, &name);
        }
    }

    /// Removes all of them and puts the kernel settings back.
    pub(crate) fn remove(&mut self, kernel: &mut KernelState) {
        for (name, _) in self.created.drain() {
            delete(kernel, &name);
        }
        for (key, value) in self.changed.drain(..).rev() {
            if let Err(error) = sys::sysctl::swap(&key, &value) {
                log::debug!("kernel setting {key} = {value}: {error}");
            }
        }
    }
}

fn delete(kernel: &mut KernelState, name: &str) {
    if let Some(ifindex) = kernel.index_of(name) {
        for error in kernel
            .kernel()
            .apply(&[Request::DelLink { ifindex }])
            .into_iter()
            .filter_map(Result::err)
        {
            log::debug!("removing {name}: {error}");
        }
    }
}

fn is_ours(kernel: &KernelState, name: &str) -> bool {
    use netlink::LinkKind;
    kernel
        .link(name)
        .is_some_and(|l| matches!(l.kind, Some(LinkKind::Macvlan { .. } | LinkKind::Ipvlan { .. })))
}

fn request(instance: &Instance, device: &OwnDevice, parent: u32) -> Request {
    match device {
        OwnDevice::Vmac { name, mac, group, .. } => {
            // RFC 9568 §7.3.
            let family = if instance.family == Family::V4 { 1 } else { 2 };
            let own = [0, 0, 0x5e, 0, family, instance.vrid.value.get()];
            Request::CreateMacvlan {
                parent,
                name: name.clone(),
                mode: MacvlanMode::Private,
                mac: Some(mac.unwrap_or(own)),
                group: *group,
            }
        }
        OwnDevice::Ipvlan { name, mode, group, .. } => Request::CreateIpvlan {
            parent,
            name: name.clone(),
            mode: netlink::IpvlanMode::L2,
            flags: match mode {
                IpvlanMode::Bridge => IpvlanFlags::empty(),
                IpvlanMode::Private => IpvlanFlags::PRIVATE,
                IpvlanMode::Vepa => IpvlanFlags::VEPA,
            },
            group: *group,
        },
    }
}
