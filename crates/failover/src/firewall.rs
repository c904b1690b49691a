//! Packet filter rules: traffic to addresses that are not ours to use (`no_accept`, strict mode) is
//! dropped, and membership reports of a VMAC leave by the interface below it.
//!
//! The addresses are closed from start to stop, whether held or not: while another node holds them,
//! nothing here is sent to or from them anyway, and a takeover costs no rule.

use config::model::{Instance, Model};
use netlink::nftables::{Closed, Firewall as Wanted, Nftables, NftablesOptions, Vmac};
use netlink::{Family, KernelError};

use crate::kernel::KernelState;
use crate::kernel_form::device_of;

/// The rules that are there because of us.
#[derive(Debug, Default)]
pub(crate) struct Firewall {
    table: Option<(NftablesOptions, Nftables)>,
    /// The last complaint, so that the same one is told once.
    complaint: Option<String>,
    told_iptables: bool,
}

impl Firewall {
    /// Leads the rules to what the configuration wants on the interfaces that exist now.
    pub(crate) fn sync(&mut self, model: &Model, kernel: &KernelState) {
        let wanted = wanted(model, kernel);
        if wanted == Wanted::default() {
            self.remove();
            return;
        }
        let told = &model.global.firewall;
        if (told.iptables.is_some() || told.ipsets.is_some()) && !self.told_iptables {
            self.told_iptables = true;
            log::info!("vrrp_iptables and vrrp_ipsets: nftables does their work here");
        }
        let options = options(model);
        if self.table.as_ref().is_some_and(|(known, _)| *known != options) {
            self.remove();
        }
        if let Err(error) = self.apply(options, &wanted) {
            let error = error.to_string();
            if self.complaint.as_ref() != Some(&error) {
                log::error!("packet filter (nftables): {error}");
                if !wanted.closed.is_empty() {
                    log::error!("  traffic to addresses with no_accept is not dropped");
                }
                self.complaint = Some(error);
            }
        } else {
            self.complaint = None;
        }
    }

    fn apply(&mut self, options: NftablesOptions, wanted: &Wanted) -> Result<(), KernelError> {
        if self.table.is_none() {
            self.table = Some((options.clone(), Nftables::open(options)?));
        }
        match &mut self.table {
            Some((_, table)) => table.apply(wanted),
            None => Ok(()),
        }
    }

    /// Removes all rules.
    pub(crate) fn remove(&mut self) {
        if let Some((_, mut table)) = self.table.take()
            && let Err(error) = table.remove()
        {
            log::warn!("packet filter (nftables): {error}");
        }
    }
}

fn options(model: &Model) -> NftablesOptions {
    let told = &model.global.firewall;
    let default = NftablesOptions::default();
    NftablesOptions {
        table: told.nftables.clone().unwrap_or(default.table),
        priority: told.priority.unwrap_or(default.priority),
        counters: told.counters,
    }
}

/// What the configuration wants on the interfaces that exist now.
fn wanted(model: &Model, kernel: &KernelState) -> Wanted {
    let mut out = Wanted::default();
    for instance in &model.vrrp {
        if !instance.accept.value && !instance.is_owner() {
            out.closed.extend(closed(instance, kernel));
        }
        let device = instance.own_device.as_ref().map(|device| device.value.name());
        let device = device.and_then(|name| kernel.link(name));
        let parent = instance.interface.as_deref().and_then(|name| kernel.index_of(name));
        if let (Some(device), Some(parent)) = (device, parent)
            && matches!(device.kind, Some(netlink::LinkKind::Macvlan { .. }))
        {
            let family = match instance.family {
                config::model::Family::V4 => Family::V4,
                config::model::Family::V6 => Family::V6,
            };
            out.vmacs.insert(Vmac { family, ifindex: device.index, parent });
        }
    }
    out
}

fn closed(instance: &Instance, kernel: &KernelState) -> Vec<Closed> {
    let device = instance.own_device.as_ref().map(|device| device.value.name());
    instance
        .all_addresses()
        .filter_map(|address| {
            // A link-local address may be somebody else's on another link.
            let local = match address.ip() {
                std::net::IpAddr::V4(ip) => ip.is_link_local(),
                std::net::IpAddr::V6(ip) => ip.is_unicast_link_local(),
            };
            let ifindex = || device_of(address, device).and_then(|name| kernel.index_of(name));
            match local.then(ifindex) {
                Some(None) => None,
                Some(index) => Some(Closed { ip: address.ip(), ifindex: index }),
                None => Some(Closed { ip: address.ip(), ifindex: None }),
            }
        })
        .collect()
}
