//! A [`Request`] as a message: which command, which flags, which body.

use super::{address, link, route, rule};
use crate::codec::{
    NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, Writer,
};
use crate::{AddMode, KernelError, LinkFlags, Request};

/// Appends the message of a request, or says why it cannot be expressed; then nothing is appended.
pub(crate) fn put(request: &Request, seq: u32, writer: &mut Writer) -> Result<(), KernelError> {
    let (kind, extra) = command(request);
    writer.begin(kind, NLM_F_REQUEST | NLM_F_ACK | extra, seq);
    if let Err(error) = put_body(request, writer) {
        writer.abandon();
        return Err(error);
    }
    if writer.end() {
        Ok(())
    } else {
        Err(KernelError::Unsupported("more next hops than fit into one message"))
    }
}

fn command(request: &Request) -> (u16, u16) {
    match request {
        Request::AddAddress { mode: AddMode::Replace, .. } => {
            (address::RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE)
        }
        Request::AddAddress { mode: AddMode::Exclusive, .. } => {
            (address::RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL)
        }
        Request::DelAddress(_) => (address::RTM_DELADDR, 0),
        Request::AddRoute(_) => (route::RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL),
        Request::PrependRoute(_) => (route::RTM_NEWROUTE, NLM_F_CREATE),
        Request::AppendRoute(_) => (route::RTM_NEWROUTE, NLM_F_CREATE | NLM_F_APPEND),
        Request::ReplaceRoute(_) => (route::RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE),
        Request::DelRoute(_) => (route::RTM_DELROUTE, 0),
        Request::AddRule(_) => (rule::RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL),
        Request::DelRule(_) => (rule::RTM_DELRULE, 0),
        Request::CreateMacvlan { .. } | Request::CreateIpvlan { .. } => {
            (link::RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL)
        }
        Request::SetLinkUp { .. }
        | Request::SetLinkDown { .. }
        | Request::SetLinkMaster { .. }
        | Request::SetAddrGenMode { .. }
        | Request::SetLinkMac { .. }
        | Request::RenameLink { .. } => (link::RTM_NEWLINK, 0),
        Request::DelLink { .. } => (link::RTM_DELLINK, 0),
    }
}

fn put_body(request: &Request, writer: &mut Writer) -> Result<(), KernelError> {
    match request {
        Request::AddAddress { address, .. } => address::put(address, false, writer),
        Request::DelAddress(address) => address::put(address, true, writer),
        Request::AddRoute(route)
        | Request::PrependRoute(route)
        | Request::AppendRoute(route)
        | Request::ReplaceRoute(route) => route::put(route, false, writer),
        Request::DelRoute(route) => route::put(route, true, writer),
        Request::AddRule(rule) | Request::DelRule(rule) => rule::put(rule, writer),
        Request::CreateMacvlan { parent, name, mode, mac, group } => {
            let kind = link::UpperKind::Macvlan(*mode);
            let upper = link::Upper { parent: *parent, name, mac: *mac, group: *group, kind };
            link::put_upper(&upper, writer)
        }
        Request::CreateIpvlan { parent, name, mode, flags, group } => {
            let kind = link::UpperKind::Ipvlan(*mode, *flags);
            let upper = link::Upper { parent: *parent, name, mac: None, group: *group, kind };
            link::put_upper(&upper, writer)
        }
        Request::SetLinkUp { ifindex } => {
            link::put_head(*ifindex, LinkFlags::UP, LinkFlags::UP, writer);
            Ok(())
        }
        Request::SetLinkDown { ifindex } => {
            link::put_head(*ifindex, LinkFlags::empty(), LinkFlags::UP, writer);
            Ok(())
        }
        Request::SetLinkMaster { ifindex, master } => {
            link::put_master(*ifindex, *master, writer);
            Ok(())
        }
        Request::SetAddrGenMode { ifindex, mode } => {
            link::put_addr_gen_mode(*ifindex, *mode, writer);
            Ok(())
        }
        Request::SetLinkMac { ifindex, mac } => {
            link::put_mac(*ifindex, *mac, writer);
            Ok(())
        }
        Request::RenameLink { ifindex, name } => link::put_name(*ifindex, name, writer),
        Request::DelLink { ifindex } => {
            link::put_head(*ifindex, LinkFlags::empty(), LinkFlags::empty(), writer);
            Ok(())
        }
    }
}
