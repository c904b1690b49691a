//! Options of address, route and rule lines.

use super::BlockId as B;
use super::Role::Failover;
use super::Value::{Flag, Interface};
use super::{BOTH, Block, Content, I32, IP, Keyword, TEXT, U32, Value, count, int, special};

const fn kw(name: &'static str, value: Value, default: &'static str, doc: &'static str) -> Keyword {
    Keyword::new(name, value, default, Failover, doc)
}

const SCOPE: Value =
    special("global | site | link | host | nowhere | 0 to 255", "link", "everywhere");
const TOS: Value = special("NUMBER | NAME", "0x10", "256");
const TABLE: Value = special("NUMBER | NAME", "5", "no_such_table");
const PROTOCOL: Value = special("NUMBER | NAME", "static", "256");
const NET: Value = special("IP[/PREFIX]", "192.0.2.0/24", "192.0.2.0/33");
const REALM: Value = special("[SOURCE/]DESTINATION", "1/2", "70000/2");
const GATEWAY: Value = special("[inet | inet6] IP", "198.51.100.1", "nowhere");
const BYTE: Value = int(0, 255);
const LOCKABLE: Value = special("[lock] NUMBER", "lock 1400", "lots");
const ENCAP: Value = special("ip | ip6 | mpls | ila …", "mpls 100/200", "gre");
const RANGE: Value = special("FIRST-LAST", "10-20", "20-10");

pub(super) const BLOCKS: &[Block] = &[
    Block {
        id: B::AddressOptions,
        title: "options of an address",
        doc: "Words after an address.",
        content: Content::Options(&[
            kw("brd", special("IP | + | -", "192.0.2.255", "nowhere"), "", "Broadcast address."),
            kw("broadcast", special("IP | + | -", "+", "nowhere"), "", "The same as `brd`.")
                .alias("brd"),
            kw("dev", Interface, "the instance's", "Interface."),
            kw("scope", SCOPE, "by address", "Scope."),
            kw("label", Value::Text { max: 15 }, "", "Label of an IPv4 address."),
            kw("peer", NET, "", "Address of the other end of a point-to-point link."),
            kw("home", Flag, "", "A mobile home address (IPv6)."),
            kw("-nodad", Flag, "", "Duplicate address detection is done (IPv6)."),
            kw("mngtmpaddr", Flag, "", "The kernel makes temporary addresses (IPv6)."),
            kw("noprefixroute", Flag, "", "No route for the prefix."),
            kw("autojoin", Flag, "", "Join the multicast group by itself."),
            kw("no_track", Flag, "", "Its deletion is no concern."),
            kw(
                "preferred_lft",
                special("SECONDS | 0 | forever", "forever", "soon"),
                "forever; 0 for an IPv6 /128",
                "How long it may be chosen as source address.",
            ),
            kw("use_vmac", Flag, "", "On a VMAC of its interface (not for static addresses).")
                .later(),
            kw("track_group", TEXT, "", "Instances that depend on it (static addresses only)."),
            kw("default6", Flag, "", "Nothing.").ignored("it is deprecated"),
        ]),
    },
    Block {
        id: B::RouteOptions,
        title: "options of a route",
        doc: "Words before and after a destination.",
        content: Content::Options(&[
            kw("unicast", Flag, "", "Type: forward (the default)."),
            kw("local", Flag, "", "Type: deliver here."),
            kw("broadcast", Flag, "", "Type: deliver here as broadcast."),
            kw("multicast", Flag, "", "Type: multicast."),
            kw("throw", Flag, "", "Type: go on with the next rule."),
            kw("unreachable", Flag, "", "Type: answer that the host is unreachable."),
            kw("prohibit", Flag, "", "Type: answer that it is prohibited."),
            kw("blackhole", Flag, "", "Type: drop."),
            kw("nat", Flag, "", "Type: NAT (kernels before 2.6)."),
            kw("inet", Flag, "", "IPv4."),
            kw("inet6", Flag, "", "IPv6."),
            kw("src", IP, "", "Source address that is preferred."),
            kw("to", NET, "", "Destination."),
            kw("as", special("[to] IP[/PREFIX]", "192.0.2.0/24", "nowhere"), "", "Destination."),
            kw("via", GATEWAY, "", "Gateway."),
            kw("gw", GATEWAY, "", "The same as `via`.").deprecated("via"),
            kw("or", GATEWAY, "", "A second gateway.").deprecated("nexthop via"),
            kw("from", NET, "", "For packets from here only (IPv6)."),
            kw("tos", TOS, "0", "For packets with this type of service only."),
            kw("dsfield", TOS, "", "The same as `tos`.").alias("tos"),
            kw("table", TABLE, "main", "Table."),
            kw("protocol", PROTOCOL, "18", "Who installed it."),
            kw("scope", SCOPE, "by type", "Scope."),
            kw("metric", int(0, U32), "", "The least is taken."),
            kw("priority", int(0, U32), "", "The same as `metric`.").alias("metric"),
            kw("preference", int(0, U32), "", "The same as `metric`.").alias("metric"),
            kw("dev", Interface, "", "Interface."),
            kw("oif", Interface, "", "The same as `dev`.").alias("dev"),
            kw("onlink", Flag, "", "The gateway is on the link even if nothing says so."),
            kw("encap", ENCAP, "", "Put packets into a tunnel."),
            kw("expires", count(0, U32, "s"), "", "Gone after this (IPv6)."),
            kw("mtu", LOCKABLE, "", "MTU of the path, bytes."),
            kw("hoplimit", special("0 to 255", "64", "256"), "", "Hop limit of packets."),
            kw("advmss", LOCKABLE, "", "MSS that TCP announces."),
            kw("rtt", special("[lock] TIME", "100ms", "soon"), "", "First guess of TCP."),
            kw("rttvar", special("[lock] TIME", "100ms", "soon"), "", "Its variance."),
            kw("reordering", LOCKABLE, "", "Reordering that TCP expects."),
            kw("window", int(0, U32), "", "Greatest window that TCP announces."),
            kw("cwnd", LOCKABLE, "", "Clamp of the congestion window."),
            kw("ssthresh", LOCKABLE, "", "First slow start threshold."),
            kw("realms", REALM, "", "Realms."),
            kw("rto_min", special("[lock] TIME", "200ms", "soon"), "", "Least time-out."),
            kw("initcwnd", int(0, U32), "", "First congestion window."),
            kw("initrwnd", int(0, U32), "", "First receive window."),
            kw("features", special("ecn", "ecn", "magic"), "", "Features of TCP."),
            kw("quickack", int(0, 1), "", "Acknowledge at once."),
            kw("congctl", special("[lock] NAME", "reno", ""), "", "Congestion control."),
            kw(
                "pref",
                special("low | medium | high", "high", "highest"),
                "medium",
                "Preference of a router (IPv6).",
            ),
            kw(
                "ttl-propagate",
                special("enabled | disabled", "enabled", "maybe"),
                "",
                "MPLS: copy the TTL.",
            ),
            kw("fastopen_no_cookie", int(0, 1), "", "TCP fast open without cookie."),
            kw("add", Flag, "", "Fail if the same route exists."),
            kw("prepend", Flag, "", "Before others (the default)."),
            kw("append", Flag, "", "After others."),
            kw(
                "nexthop",
                special(
                    "[via IP] [dev INTERFACE] [weight N] [onlink] [encap …] [realms R] …",
                    "via 198.51.100.1 dev eth0 weight 2",
                    "via nowhere",
                ),
                "",
                "One of several ways.",
            ),
            kw("weight", int(1, 256), "1", "Share of a nexthop."),
            kw("no_track", Flag, "", "Its deletion is no concern."),
            kw("track_group", TEXT, "", "Instances that depend on it (static routes only)."),
            kw("vrf", Interface, "", "In the table of this device.").later(),
        ]),
    },
    Block {
        id: B::EncapOptions,
        title: "options of encap",
        doc: "Words after `encap` and its kind.",
        content: Content::Options(&[
            kw("id", int(0, i64::MAX), "", "Tunnel id (ip, ip6)."),
            kw("dst", Value::Address { families: BOTH }, "", "Other end (ip, ip6)."),
            kw("src", Value::Address { families: BOTH }, "", "Our end (ip, ip6)."),
            kw("tos", BYTE, "", "Type of service (ip)."),
            kw("tc", BYTE, "", "Traffic class (ip6)."),
            kw("ttl", BYTE, "", "TTL (ip, mpls)."),
            kw("hoplimit", BYTE, "", "Hop limit (ip6)."),
            kw("flags", int(0, 65_535), "", "Flags (ip, ip6)."),
        ]),
    },
    Block {
        id: B::RuleOptions,
        title: "options of a rule",
        doc: "Words of a policy rule.",
        content: Content::Options(&[
            kw("not", Flag, "", "The match is inverted."),
            kw("inet", Flag, "", "IPv4."),
            kw("inet6", Flag, "", "IPv6."),
            kw("from", NET, "all", "Source."),
            kw("to", NET, "all", "Destination."),
            kw("iif", Interface, "", "Interface that packets come in by."),
            kw("dev", Interface, "", "The same as `iif`.").alias("iif"),
            kw("oif", Interface, "", "Interface that packets of local sockets go out by."),
            kw("tos", TOS, "", "Type of service."),
            kw("dsfield", TOS, "", "The same as `tos`.").alias("tos"),
            kw("fwmark", special("N[/MASK]", "5/255", "x"), "", "Mark."),
            kw("priority", int(0, U32), "16384, 16383, …", "The least is looked at first."),
            kw("preference", int(0, U32), "", "The same as `priority`.").alias("priority"),
            kw("order", int(0, U32), "", "The same as `priority`.").alias("priority"),
            kw("table", TABLE, "", "Look the packet up there."),
            kw("lookup", TABLE, "", "The same as `table`.").alias("table"),
            kw("realms", REALM, "", "Realms."),
            kw(
                "suppress_prefixlength",
                int(0, 128),
                "",
                "Ignore routes whose prefix is this long or shorter.",
            ),
            kw("sup_pl", int(0, 128), "", "The same as `suppress_prefixlength`.")
                .alias("suppress_prefixlength"),
            kw(
                "suppress_ifgroup",
                special("NUMBER | NAME", "5", "no_such_group"),
                "",
                "Ignore routes by interfaces of this group.",
            ),
            kw(
                "sup_group",
                special("NUMBER | NAME", "5", "no_such_group"),
                "",
                "The same as `suppress_ifgroup`.",
            )
            .alias("suppress_ifgroup"),
            kw("tunnel-id", int(0, i64::MAX), "", "Tunnel that packets come by."),
            kw("uidrange", special("FIRST-LAST", "10-20", "20-10"), "", "Users."),
            kw("l3mdev", Flag, "", "Look the packet up in the table of its VRF."),
            kw("protocol", PROTOCOL, "18", "Who installed it."),
            kw("ipproto", special("NUMBER | NAME", "tcp", "carrier-pigeon"), "", "Protocol."),
            kw("ip_proto", special("NUMBER | NAME", "tcp", "carrier-pigeon"), "", "As `ipproto`.")
                .alias("ipproto"),
            kw("sport", RANGE, "", "Source ports; a single one is taken too."),
            kw("dport", RANGE, "", "Destination ports; a single one is taken too."),
            kw("goto", int(0, U32), "", "Go on at the rule of this priority."),
            kw("nop", Flag, "", "Do nothing."),
            kw("blackhole", Flag, "", "Drop."),
            kw("prohibit", Flag, "", "Answer that it is prohibited."),
            kw("unreachable", Flag, "", "Answer that it is unreachable."),
            kw("no_track", Flag, "", "Its deletion is no concern."),
            kw("track_group", TEXT, "", "Instances that depend on it (static rules only)."),
        ]),
    },
];

const _: () = assert!(I32 > 0);
