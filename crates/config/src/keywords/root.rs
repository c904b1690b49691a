//! Keywords outside every block, and the small blocks about interfaces and static configuration.

use super::BlockId as B;
use super::Role::{Balancer, Bfd, Daemon, Failover};
use super::{Block, Content, Keyword, LONG, TEXT, U32_MICROS, Value, micros, seconds, special};

const fn kw(
    name: &'static str,
    value: Value,
    default: &'static str,
    role: super::Role,
    doc: &'static str,
) -> Keyword {
    Keyword::new(name, value, default, role, doc)
}

pub(super) const ROOT: Block = Block {
    id: B::Root,
    title: "(top level)",
    doc: "Keywords outside every block, and the blocks themselves.",
    content: Content::Keywords(&[ROOT_KEYWORDS]),
};

const ROOT_KEYWORDS: &[Keyword] = &[
    kw("net_namespace", TEXT, "", Daemon, "Run in this network namespace.").lenient(),
    kw(
        "net_namespace_ipvs",
        special("[NAME]", "blue", ""),
        "",
        Balancer,
        "Network namespace of IPVS; without a name the default one.",
    ),
    kw(
        "namespace_with_ipsets",
        Value::Flag,
        "",
        Failover,
        "Allow ipsets in a network namespace on old kernels.",
    )
    .ignored("ipsets are not used"),
    kw("instance", TEXT, "", Daemon, "Name of this daemon, used in file names.").lenient(),
    kw("use_pid_dir", Value::Flag, "", Daemon, "Keep pid files in a directory of their own."),
    kw("child_wait_time", seconds(0, LONG), "5", Daemon, "How long to wait for roles to stop."),
    kw(
        "linkbeat_use_polling",
        Value::Flag,
        "",
        Failover,
        "Poll the link of every interface instead of waiting for the kernel to tell.",
    )
    .later(),
    kw("global_defs", Value::Block(B::GlobalDefs), "", Daemon, "Settings of the whole daemon."),
    kw(
        "linkbeat_interfaces",
        Value::Block(B::LinkbeatInterfaces),
        "",
        Failover,
        "Interfaces whose link is polled.",
    )
    .later(),
    kw(
        "interface_up_down_delays",
        Value::Block(B::InterfaceUpDownDelays),
        "",
        Failover,
        "How long a change of an interface must last to count.",
    ),
    kw(
        "garp_group",
        Value::Block(B::GarpGroup),
        "",
        Failover,
        "Interfaces that share one pacing of announcements.",
    ),
    kw(
        "track_group",
        Value::Named(B::TrackGroup),
        "",
        Failover,
        "Instances that depend on static addresses, routes and rules.",
    )
    .lenient()
    .lenient(),
    kw(
        "static_ipaddress",
        Value::Block(B::StaticAddresses),
        "",
        Failover,
        "Addresses that are held from start to stop.",
    ),
    kw(
        "static_routes",
        Value::Block(B::StaticRoutes),
        "",
        Failover,
        "Routes that are held from start to stop.",
    ),
    kw(
        "static_rules",
        Value::Block(B::StaticRules),
        "",
        Failover,
        "Policy rules that are held from start to stop.",
    ),
    kw("vrrp_script", Value::Named(B::VrrpScript), "", Failover, "A script that is tracked."),
    kw(
        "vrrp_track_process",
        Value::Named(B::VrrpTrackProcess),
        "",
        Failover,
        "Processes that are tracked.",
    ),
    kw("track_file", Value::Named(B::TrackFile), "", Failover, "A file whose number is tracked."),
    kw("vrrp_track_file", Value::Named(B::TrackFile), "", Failover, "The same as `track_file`.")
        .deprecated("track_file"),
    kw(
        "vrrp_sync_group",
        Value::Named(B::VrrpSyncGroup),
        "",
        Failover,
        "Instances that are MASTER together or not at all.",
    )
    .lenient()
    .lenient(),
    kw("vrrp_instance", Value::Named(B::VrrpInstance), "", Failover, "A virtual router.").lenient(),
    kw("bfd_instance", Value::Named(B::BfdInstance), "", Bfd, "A BFD session.").lenient(),
    kw("SSL", Value::Block(B::Ssl), "", Balancer, "The client side of TLS checks."),
    kw(
        "virtual_server_group",
        Value::Named(B::VirtualServerGroup),
        "",
        Balancer,
        "Addresses and marks that share one definition.",
    ),
    kw(
        "virtual_server",
        special("IP [PORT] | fwmark N | group NAME { … }", "192.0.2.1 80", "192.0.2.999 80"),
        "",
        Balancer,
        "A balanced service.",
    ),
];

pub(super) const BLOCKS: &[Block] = &[
    ROOT,
    Block {
        id: B::LinkbeatInterfaces,
        title: "linkbeat_interfaces",
        doc: "Interfaces whose link is polled; without a word MII, ETHTOOL and IOCTL are tried.",
        content: Content::Lines {
            grammar: "INTERFACE [MII | ETHTOOL | IOCTL]",
            options: None,
            good: "eth1 ETHTOOL",
            bad: "eth1 WHISTLE",
        },
    },
    Block {
        id: B::InterfaceUpDownDelays,
        title: "interface_up_down_delays",
        doc: "How long a change must last to count, 0 to 255 s; UP is 0 if it is not written.",
        content: Content::Lines {
            grammar: "INTERFACE DOWN [UP]",
            options: None,
            good: "eth1 1.5 2",
            bad: "eth1 256",
        },
    },
    Block {
        id: B::GarpGroup,
        title: "garp_group",
        doc: "Interfaces that share one pacing of announcements.",
        content: Content::Keywords(&[&[
            kw(
                "garp_interval",
                micros(1, U32_MICROS),
                "none",
                Failover,
                "Gap between gratuitous ARPs.",
            ),
            kw(
                "gna_interval",
                micros(1, U32_MICROS),
                "none",
                Failover,
                "Gap between unsolicited neighbour advertisements.",
            ),
            kw("interface", Value::Interface, "", Failover, "The one interface concerned."),
            kw(
                "interfaces",
                Value::Block(B::GarpGroupInterfaces),
                "",
                Failover,
                "The interfaces concerned together.",
            ),
        ]]),
    },
    Block {
        id: B::GarpGroupInterfaces,
        title: "garp_group interfaces",
        doc: "The interfaces, one or more per line.",
        content: Content::Lines {
            grammar: "INTERFACE …",
            options: None,
            good: "eth1 eth2",
            bad: "averyveryverylongname",
        },
    },
    Block {
        id: B::TrackGroup,
        title: "track_group",
        doc: "Instances that depend on static addresses, routes and rules.",
        content: Content::Keywords(&[&[kw(
            "group",
            Value::Block(B::TrackGroupMembers),
            "",
            Failover,
            "The instances.",
        )]]),
    },
    Block {
        id: B::TrackGroupMembers,
        title: "track_group group",
        doc: "Names of instances.",
        content: Content::Lines { grammar: "INSTANCE …", options: None, good: "V", bad: "" },
    },
    Block {
        id: B::StaticAddresses,
        title: "static_ipaddress",
        doc: "Addresses that are held from start to stop, and put back when somebody deletes them.",
        content: Content::Lines {
            grammar: "IP[/PREFIX] [OPTION …]",
            options: Some(B::AddressOptions),
            good: "192.0.2.1/24 dev eth0 scope link",
            bad: "192.0.2.1/33",
        },
    },
    Block {
        id: B::StaticRoutes,
        title: "static_routes",
        doc: "Routes that are held from start to stop.",
        content: Content::Lines {
            grammar: "[TYPE] DESTINATION [OPTION …]",
            options: Some(B::RouteOptions),
            good: "192.0.2.0/24 via 198.51.100.1 dev eth0",
            bad: "192.0.2.0/24 via nowhere",
        },
    },
    Block {
        id: B::StaticRules,
        title: "static_rules",
        doc: "Policy rules that are held from start to stop.",
        content: Content::Lines {
            grammar: "[OPTION …]",
            options: Some(B::RuleOptions),
            good: "from 192.0.2.0/24 table 5 priority 100",
            bad: "from 192.0.2./24 table 5",
        },
    },
];
