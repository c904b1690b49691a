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

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use netlink::{FakeKernel, Kernel as _, MacvlanMode, Request};

    use super::*;

    fn kernel() -> KernelState {
        let mut kernel = FakeKernel::with_links(2);
        let vmac = Request::CreateMacvlan {
            parent: 1,
            name: "v51".into(),
            mode: MacvlanMode::Private,
            mac: None,
            group: None,
        };
        assert_eq!(kernel.apply(&[vmac]), [Ok(())]);
        KernelState::new(Box::new(kernel)).unwrap()
    }

    fn model(global: &str, lines: &str) -> Model {
        let text = format!(
            "global_defs {{\n vrrp_version 3\n{global}\n}}\nvrrp_instance A {{\n interface eth0
 virtual_router_id 51\n{lines}\n}}\n"
        );
        let loaded = config::load_text(&text, &config::Options::default());
        config::lower::lower(&loaded.tree, &config::lower::BuiltinNames).model
    }

    fn closed_addresses(model: &Model) -> Vec<(IpAddr, Option<u32>)> {
        wanted(model, &kernel()).closed.iter().map(|c| (c.ip, c.ifindex)).collect()
    }

    const VIPS: &str = " virtual_ipaddress {\n fe80::51/64\n 2001:db8::51/64\n }\n";

    #[test]
    fn without_need_there_is_no_rule() {
        assert_eq!(wanted(&model("", VIPS), &kernel()), Wanted::default());
    }

    #[test]
    fn addresses_with_no_accept_are_closed_and_local_ones_on_their_link_only() {
        let expected =
            [("fe80::51".parse().unwrap(), Some(1)), ("2001:db8::51".parse().unwrap(), None)];
        let mut found = closed_addresses(&model("", &format!(" no_accept\n{VIPS}")));
        found.sort_by_key(|(_, ifindex)| ifindex.is_none());
        assert_eq!(found, expected);
        assert_eq!(closed_addresses(&model(" vrrp_strict", VIPS)).len(), 2);
    }

    #[test]
    fn an_owner_is_never_closed() {
        let owner = format!(" no_accept\n priority 255\n{VIPS}");
        assert_eq!(closed_addresses(&model("", &owner)), []);
    }

    #[test]
    fn reports_of_a_vmac_leave_by_its_parent() {
        let vmacs = wanted(&model("", &format!(" use_vmac v51\n{VIPS}")), &kernel()).vmacs;
        let vmacs: Vec<_> = vmacs.iter().map(|v| (v.family, v.ifindex, v.parent)).collect();
        assert_eq!(vmacs, [(Family::V6, 3, 1)]);
        // Not yet there.
        let missing = wanted(&model("", &format!(" use_vmac other\n{VIPS}")), &kernel());
        assert_eq!(missing, Wanted::default());
    }

    #[test]
    fn the_table_is_as_configured() {
        let global = " nftables mine\n nftables_priority -7\n nftables_counters";
        let options = options(&model(global, VIPS));
        assert_eq!((options.table.as_str(), options.priority), ("mine", -7));
        assert!(options.counters);
    }
}
