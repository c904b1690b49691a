//! `RTM_NEWLINK` and `RTM_DELLINK`: `struct ifinfomsg` and its attributes.

use crate::codec::{Attributes, Message, Writer, u16_at, u32_at};
use crate::{
    AddrGenMode, IpvlanFlags, IpvlanMode, KernelError, Link, LinkFlags, LinkKind, MacvlanMode,
};

pub(crate) const RTM_NEWLINK: u16 = 16;
pub(crate) const RTM_DELLINK: u16 = 17;
pub(crate) const RTM_GETLINK: u16 = 18;

const FIXED: usize = 16;
const AF_INET6: u16 = 10;
const IFLA_ADDRESS: u16 = 1;
const IFLA_BROADCAST: u16 = 2;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_WIRELESS: u16 = 11;
const IFLA_OPERSTATE: u16 = 16;
const IFLA_LINKINFO: u16 = 18;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_GROUP: u16 = 27;
const IFLA_EXT_MASK: u16 = 29;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
/// Mode attribute of macvlan and of IPVLAN, id of a VLAN, table of a VRF: each is number 1.
const FIRST: u16 = 1;
const IFLA_IPVLAN_FLAGS: u16 = 2;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
/// Leave the interface's counters out of a dump.
const RTEXT_FILTER_SKIP_STATS: u32 = 8;
/// Longest interface name, without its NUL.
const MAX_NAME: usize = 15;

/// Refuses names that the kernel would refuse or cut.
pub(crate) fn check_name(name: &str) -> Result<(), KernelError> {
    if name.is_empty() || name.len() > MAX_NAME || name.bytes().any(|byte| byte == 0) {
        return Err(KernelError::Unsupported("interface name or label of 1 to 15 bytes needed"));
    }
    Ok(())
}

/// Writes the fixed part.
pub(crate) fn put_head(ifindex: u32, flags: LinkFlags, change: LinkFlags, writer: &mut Writer) {
    writer.put(&[0; 4]);
    writer.put_u32(ifindex);
    writer.put_u32(flags.bits());
    writer.put_u32(change.bits());
}

/// Writes the dump request.
pub(crate) fn put_dump(writer: &mut Writer) {
    put_head(0, LinkFlags::empty(), LinkFlags::empty(), writer);
    writer.attr_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
}

/// What a new interface on top of another one is made of.
pub(crate) struct Upper<'a> {
    pub(crate) parent: u32,
    pub(crate) name: &'a str,
    pub(crate) mac: Option<[u8; 6]>,
    pub(crate) group: Option<u32>,
    pub(crate) kind: UpperKind,
}

pub(crate) enum UpperKind {
    Macvlan(MacvlanMode),
    Ipvlan(IpvlanMode, IpvlanFlags),
}

/// Writes the request for an interface on top of another one.
pub(crate) fn put_upper(upper: &Upper<'_>, writer: &mut Writer) -> Result<(), KernelError> {
    check_name(upper.name)?;
    put_head(0, LinkFlags::empty(), LinkFlags::empty(), writer);
    writer.attr_u32(IFLA_LINK, upper.parent);
    writer.attr_str(IFLA_IFNAME, upper.name);
    if let Some(mac) = upper.mac {
        writer.attr(IFLA_ADDRESS, &mac);
    }
    if let Some(group) = upper.group {
        writer.attr_u32(IFLA_GROUP, group);
    }
    writer.nest(IFLA_LINKINFO, |info| match upper.kind {
        UpperKind::Macvlan(mode) => {
            info.attr_str(IFLA_INFO_KIND, "macvlan");
            info.nest(IFLA_INFO_DATA, |data| data.attr_u32(FIRST, macvlan_mode(mode)));
        }
        UpperKind::Ipvlan(mode, flags) => {
            info.attr_str(IFLA_INFO_KIND, "ipvlan");
            info.nest(IFLA_INFO_DATA, |data| {
                data.attr_u16(FIRST, ipvlan_mode(mode));
                data.attr_u16(IFLA_IPVLAN_FLAGS, flags.bits());
            });
        }
    });
    Ok(())
}

pub(crate) fn put_master(ifindex: u32, master: Option<u32>, writer: &mut Writer) {
    put_head(ifindex, LinkFlags::empty(), LinkFlags::empty(), writer);
    writer.attr_u32(IFLA_MASTER, master.unwrap_or(0));
}

pub(crate) fn put_addr_gen_mode(ifindex: u32, mode: AddrGenMode, writer: &mut Writer) {
    put_head(ifindex, LinkFlags::empty(), LinkFlags::empty(), writer);
    let value = match mode {
        AddrGenMode::Eui64 => 0,
        AddrGenMode::None => 1,
        AddrGenMode::StablePrivacy => 2,
        AddrGenMode::Random => 3,
    };
    writer.nest(IFLA_AF_SPEC, |spec| {
        spec.nest(AF_INET6, |inet6| inet6.attr_u8(IFLA_INET6_ADDR_GEN_MODE, value));
    });
}

pub(crate) fn put_mac(ifindex: u32, mac: [u8; 6], writer: &mut Writer) {
    put_head(ifindex, LinkFlags::empty(), LinkFlags::empty(), writer);
    writer.attr(IFLA_ADDRESS, &mac);
}

pub(crate) fn put_name(ifindex: u32, name: &str, writer: &mut Writer) -> Result<(), KernelError> {
    check_name(name)?;
    put_head(ifindex, LinkFlags::empty(), LinkFlags::empty(), writer);
    writer.attr_str(IFLA_IFNAME, name);
    Ok(())
}

/// Reads an interface. None for messages about bridge ports (another family; their "removed"
/// only means that a port left its bridge) and about wireless events (they carry no state).
pub(crate) fn parse(message: &Message<'_>) -> Option<Link> {
    let (head, attributes) = message.split(FIXED)?;
    if head[0] != 0 {
        return None;
    }
    let mut link = Link {
        index: u32_at(head, 4)?,
        name: String::new(),
        flags: LinkFlags::from_bits_retain(u32_at(head, 8)?),
        mtu: 0,
        hw_type: u16_at(head, 2)?,
        hw_address: Vec::new(),
        hw_broadcast: Vec::new(),
        kind: None,
        master: None,
        parent: None,
        parent_elsewhere: false,
        group: 0,
        oper_state: 0,
        addr_gen_mode: None,
    };
    for attribute in attributes {
        match attribute.kind {
            IFLA_ADDRESS => link.hw_address = attribute.data.to_vec(),
            IFLA_BROADCAST => link.hw_broadcast = attribute.data.to_vec(),
            IFLA_IFNAME => link.name = attribute.text(),
            IFLA_MTU => link.mtu = attribute.u32().unwrap_or(0),
            // A tunnel's "none" is its own index or 0.
            IFLA_LINK => {
                link.parent = attribute.u32().filter(|index| *index != 0 && *index != link.index);
            }
            IFLA_MASTER => link.master = attribute.u32().filter(|index| *index != 0),
            IFLA_WIRELESS => return None,
            IFLA_OPERSTATE => link.oper_state = attribute.u8().unwrap_or(0),
            IFLA_LINKINFO => link.kind = parse_kind(attribute.nested()),
            IFLA_AF_SPEC => link.addr_gen_mode = parse_addr_gen_mode(attribute.nested()),
            IFLA_GROUP => link.group = attribute.u32().unwrap_or(0),
            IFLA_LINK_NETNSID => link.parent_elsewhere = true,
            _ => {}
        }
    }
    (link.index != 0 && !link.name.is_empty()).then_some(link)
}

fn parse_kind(info: Attributes<'_>) -> Option<LinkKind> {
    let mut name = None;
    let mut data = Attributes(&[]);
    for attribute in info {
        match attribute.kind {
            IFLA_INFO_KIND => name = Some(attribute.text()),
            IFLA_INFO_DATA => data = attribute.nested(),
            _ => {}
        }
    }
    let name = name?;
    let find = |kind: u16| data.clone().find(|attribute| attribute.kind == kind);
    let first = find(FIRST);
    Some(match name.as_str() {
        "vlan" => LinkKind::Vlan { id: first.and_then(|id| id.u16()).unwrap_or(0) },
        "macvlan" => LinkKind::Macvlan {
            mode: match first.and_then(|mode| mode.u32()).unwrap_or(0) {
                1 => MacvlanMode::Private,
                2 => MacvlanMode::Vepa,
                4 => MacvlanMode::Bridge,
                8 => MacvlanMode::Passthru,
                16 => MacvlanMode::Source,
                other => MacvlanMode::Other(other),
            },
        },
        "ipvlan" => LinkKind::Ipvlan {
            mode: match first.and_then(|mode| mode.u16()).unwrap_or(0) {
                0 => IpvlanMode::L2,
                1 => IpvlanMode::L3,
                2 => IpvlanMode::L3s,
                other => IpvlanMode::Other(other),
            },
            flags: IpvlanFlags::from_bits_retain(
                find(IFLA_IPVLAN_FLAGS).and_then(|flags| flags.u16()).unwrap_or(0),
            ),
        },
        "vrf" => LinkKind::Vrf { table: first.and_then(|table| table.u32()).unwrap_or(0) },
        "bridge" => LinkKind::Bridge,
        "bond" => LinkKind::Bond,
        "veth" => LinkKind::Veth,
        _ => LinkKind::Other(name),
    })
}

fn parse_addr_gen_mode(mut spec: Attributes<'_>) -> Option<AddrGenMode> {
    let inet6 = spec.find(|attribute| attribute.kind == AF_INET6)?;
    let mode = inet6.nested().find(|attribute| attribute.kind == IFLA_INET6_ADDR_GEN_MODE)?;
    match mode.u8()? {
        0 => Some(AddrGenMode::Eui64),
        1 => Some(AddrGenMode::None),
        2 => Some(AddrGenMode::StablePrivacy),
        3 => Some(AddrGenMode::Random),
        _ => None,
    }
}

fn macvlan_mode(mode: MacvlanMode) -> u32 {
    match mode {
        MacvlanMode::Private => 1,
        MacvlanMode::Vepa => 2,
        MacvlanMode::Bridge => 4,
        MacvlanMode::Passthru => 8,
        MacvlanMode::Source => 16,
        MacvlanMode::Other(mode) => mode,
    }
}

fn ipvlan_mode(mode: IpvlanMode) -> u16 {
    match mode {
        IpvlanMode::L2 => 0,
        IpvlanMode::L3 => 1,
        IpvlanMode::L3s => 2,
        IpvlanMode::Other(mode) => mode,
    }
}
