//! `vrrp_sync_group` and `vrrp_instance`.

use super::BlockId as B;
use super::Role::{Balancer, Failover, Mail};
use super::Value::{Block as Blk, Bool, Command, Flag, Interface};
use super::track::TRACK_BFD_ROLE;
use super::{
    ANY, Block, Content, I32, IP, Keyword, U32, Value, count, int, micros, seconds, special,
};

const fn kw(
    name: &'static str,
    value: Value,
    default: &'static str,
    role: super::Role,
    doc: &'static str,
) -> Keyword {
    Keyword::new(name, value, default, role, doc)
}

/// What an instance and a sync group have in common.
const SHARED: &[Keyword] = &[
    kw("track_interface", Blk(B::TrackInterfaceList), "", Failover, "Interfaces it depends on."),
    kw("track_script", Blk(B::TrackScriptList), "", Failover, "Scripts it depends on."),
    kw("track_file", Blk(B::TrackFileList), "", Failover, "Files it depends on."),
    kw("track_process", Blk(B::TrackProcessList), "", Failover, "Processes it depends on."),
    kw("track_bfd", Blk(B::TrackBfdList), "", TRACK_BFD_ROLE, "BFD sessions it depends on."),
    kw("notify_master", Command, "", Failover, "Run on becoming MASTER."),
    kw("notify_backup", Command, "", Failover, "Run on becoming BACKUP."),
    kw("notify_fault", Command, "", Failover, "Run on FAULT."),
    kw("notify_stop", Command, "", Failover, "Run when VRRP stops."),
    kw(
        "notify",
        Command,
        "",
        Failover,
        "Run at every change, with type, name, state and priority appended.",
    ),
    kw(
        "notify_priority_changes",
        Bool,
        "vrrp_notify_priority_changes",
        Failover,
        "Write changes of priority to the FIFOs.",
    ),
    kw("smtp_alert", Bool, "smtp_alert_vrrp", Mail, "Mail at every change."),
];

const GROUP: &[Keyword] = &[
    kw("group", Blk(B::SyncGroupMembers), "", Failover, "The instances."),
    kw(
        "sync_group_tracking_weight",
        Flag,
        "",
        Failover,
        "Weights of the members' own tracked things count.",
    ),
    kw("global_tracking", Flag, "", Failover, "The same as `sync_group_tracking_weight`.")
        .deprecated("track_interface, track_script, track_file of the group"),
];

const ROUTER: &[Keyword] = &[
    kw(
        "state",
        special("MASTER | BACKUP", "MASTER", "SLAVE"),
        "BACKUP",
        Failover,
        "A hint. MASTER without `priority` means 255, and rules out `nopreempt`.",
    ),
    kw("interface", Interface, "", Failover, "Where it speaks; only unicast can do without."),
    kw("vrf", Interface, "", Failover, "The l3mdev that a router without interface speaks in.")
        .later(),
    kw("virtual_router_id", int(1, 255), "", Failover, "Number of the virtual router."),
    kw(
        "priority",
        int(1, 255),
        "100; 255 with `state MASTER`",
        Failover,
        "The highest is MASTER; 255 is the owner of the addresses.",
    ),
    kw("version", int(2, 3), "vrrp_version", Failover, "Version of the protocol."),
    kw(
        "advert_int",
        micros(10_000, 255_000_000),
        "1",
        Failover,
        "Interval of adverts: whole seconds in v2, hundredths up to 40.95 in v3.",
    ),
    kw(
        "virtual_ipaddress",
        Blk(B::VirtualAddresses),
        "",
        Failover,
        "Addresses that it holds while MASTER.",
    ),
    kw(
        "virtual_ipaddress_excluded",
        Blk(B::ExcludedAddresses),
        "",
        Failover,
        "More of them that adverts do not list; of either family.",
    ),
    kw("no_virtual_ipaddress", Flag, "", Failover, "There are no addresses, on purpose.")
        .since("2.3"),
    kw("virtual_routes", Blk(B::VirtualRoutes), "", Failover, "Routes that it holds while MASTER."),
    kw("virtual_rules", Blk(B::VirtualRules), "", Failover, "Rules that it holds while MASTER."),
    kw(
        "promote_secondaries",
        Flag,
        "",
        Failover,
        "Removing an address does not remove others of its subnet.",
    ),
    kw("preempt", Flag, "", Failover, "Take over from a lower priority (the default)."),
    kw("nopreempt", Flag, "", Failover, "Do not take over from a lower priority."),
    kw(
        "preempt_delay",
        seconds(0, 1000),
        "0",
        Failover,
        "How long to leave a lower-priority master alone.",
    ),
    kw(
        "use_vmac",
        special(
            "[[name] INTERFACE] [MAC] [netlink_notify_msg] [group N]",
            "vrrp.5",
            "averyveryverylongname",
        ),
        "",
        Failover,
        "Hold the addresses on an interface with the virtual router's MAC.",
    ),
    kw("use_vmac_addr", Flag, "", Failover, "The same for addresses on other interfaces.").later(),
    kw("vmac_xmit_base", Flag, "", Failover, "Adverts go by the interface below the VMAC."),
    kw(
        "use_ipvlan",
        special(
            "[[name] INTERFACE] [IP] [bridge | private | vepa] [group N]",
            "ipv.5 192.0.2.9 vepa",
            "averyveryverylongname",
        ),
        "",
        Failover,
        "Hold the addresses on an ipvlan.",
    ),
    kw(
        "unicast_peer",
        Blk(B::UnicastPeers),
        "",
        Failover,
        "Send adverts to these instead of to everybody.",
    ),
    kw("unicast_src_ip", IP, "the interface's", Failover, "Source address of adverts."),
    kw("mcast_src_ip", IP, "the interface's", Failover, "Source address of adverts."),
    kw("unicast_ttl", int(0, 255), "255", Failover, "TTL or hop limit of unicast adverts."),
    kw("unicast_fault_no_peer", Flag, "", Failover, "Without peers: FAULT, not multicast."),
    kw(
        "check_unicast_src",
        Flag,
        "vrrp_check_unicast_src",
        Failover,
        "Unicast adverts must come from a configured peer.",
    ),
    kw("mcast_dst_ip", IP, "vrrp_mcast_group4/6", Failover, "Multicast group of its adverts."),
    kw("track_src_ip", Flag, "", Failover, "FAULT while the source address is missing."),
    kw(
        "old_unicast_checksum",
        special("[never]", "never", "always"),
        "",
        Failover,
        "Checksum of Keepalived before 1.3.7 for v3 unicast: use it; never accept it.",
    ),
    kw(
        "v3_checksum_as_v2",
        Bool,
        "v3_checksum_as_v2 of global_defs",
        Failover,
        "No pseudo-header in the checksum of v3 over IPv4.",
    )
    .since("2.3"),
    kw("native_ipv6", Flag, "", Failover, "IPv6; the addresses say so themselves.")
        .ignored("the first address decides the family"),
    kw("dont_track_primary", Flag, "", Failover, "Ignore the state of its own interface."),
    kw("accept", Flag, "", Failover, "Traffic to the addresses is let through."),
    kw("no_accept", Flag, "", Failover, "Traffic to the addresses is dropped unless owner."),
    kw("authentication", Blk(B::Authentication), "", Failover, "Authentication of v2."),
    kw("auth_hmac", Blk(B::AuthHmac), "", Failover, "Authentication by keyed hash.").since("2.4"),
    kw(
        "garp_master_delay",
        count(0, U32, "s"),
        "vrrp_garp_master_delay",
        Failover,
        "From becoming MASTER to the second set of announcements.",
    ),
    kw(
        "garp_master_repeat",
        int(1, U32),
        "vrrp_garp_master_repeat",
        Failover,
        "Announcements in each set.",
    ),
    kw(
        "garp_master_refresh",
        count(0, U32, "s"),
        "vrrp_garp_master_refresh",
        Failover,
        "Period of announcements while MASTER.",
    ),
    kw(
        "garp_master_refresh_repeat",
        int(1, U32),
        "vrrp_garp_master_refresh_repeat",
        Failover,
        "Announcements in each of these.",
    ),
    kw(
        "garp_lower_prio_delay",
        count(0, U32, "s"),
        "vrrp_garp_lower_prio_delay",
        Failover,
        "From an advert of lower priority to the second set.",
    ),
    kw(
        "garp_lower_prio_repeat",
        int(0, U32),
        "vrrp_garp_lower_prio_repeat",
        Failover,
        "Announcements in each set after an advert of lower priority.",
    ),
    kw(
        "garp_extra_if",
        special("[all] SECONDS", "all 60", "86401"),
        "vrrp_garp_extra_if",
        Failover,
        "Period of announcements on other interfaces of VIPs; 0: none.",
    )
    .lenient(),
    kw(
        "vmac_garp_intvl",
        special("[all] SECONDS", "all 60", "86401"),
        "",
        Failover,
        "The same as `garp_extra_if`.",
    )
    .lenient()
    .deprecated("garp_extra_if"),
    kw(
        "down_timer_adverts",
        int(1, 100),
        "vrrp_down_timer_adverts",
        Failover,
        "Adverts missed before a master counts as down.",
    ),
    kw(
        "lower_prio_no_advert",
        Bool,
        "vrrp_lower_prio_no_advert",
        Failover,
        "Do not answer an advert of lower priority.",
    ),
    kw(
        "higher_prio_send_advert",
        Bool,
        "vrrp_higher_prio_send_advert",
        Failover,
        "Send one advert before yielding to a higher priority.",
    ),
    kw(
        "owner_ignore_adverts",
        Bool,
        "vrrp_owner_ignore_adverts",
        Failover,
        "An owner ignores adverts of others.",
    )
    .since("2.4"),
    kw(
        "timer_expired_backup",
        special("[NUMBER]", "100", "255"),
        "254",
        Failover,
        "A late master with `nopreempt` yields to a rival of this priority (1 to 254).",
    )
    .since("2.3"),
    kw(
        "thread_timer_expired",
        special("[NUMBER]", "100", "255"),
        "",
        Failover,
        "The same as `timer_expired_backup`.",
    )
    .deprecated("timer_expired_backup")
    .since("2.3"),
    kw(
        "skip_check_adv_addr",
        Bool,
        "vrrp_skip_check_adv_addr",
        Failover,
        "Do not compare the address list of adverts from the known master.",
    ),
    kw("strict_mode", Bool, "vrrp_strict", Failover, "Keep to the letter of the RFC."),
    kw(
        "notify_deleted",
        special("[COMMAND [USER [GROUP]]]", "/bin/true root", ""),
        "",
        Failover,
        "Tell DELETED, not FAULT, when a reload removes it; and run this.",
    ),
    kw(
        "notify_master_rx_lower_pri",
        Command,
        "",
        Failover,
        "Run when a MASTER hears a lower priority.",
    ),
    kw(
        "kernel_rx_buf_size",
        count(1, I32, "bytes"),
        "the kernel's",
        Failover,
        "Receive buffer of its socket.",
    )
    .lenient(),
    kw("debug", int(0, 4), "0", Failover, "Level of debugging.").ignored("it never did anything"),
    kw("linkbeat_use_polling", Flag, "", Failover, "Poll the link of its interface.")
        .later()
        .deprecated("linkbeat_interfaces"),
    kw(
        "lvs_sync_daemon_interface",
        Interface,
        "",
        Balancer,
        "Send connections to the other node by this interface.",
    )
    .deprecated("lvs_sync_daemon in global_defs"),
];

pub(super) const BLOCKS: &[Block] = &[
    Block {
        id: B::VrrpSyncGroup,
        title: "vrrp_sync_group",
        doc: "Instances that are MASTER together or not at all.",
        content: Content::Keywords(&[GROUP, SHARED]),
    },
    Block {
        id: B::SyncGroupMembers,
        title: "vrrp_sync_group group",
        doc: "Names of instances.",
        content: Content::Lines {
            grammar: "INSTANCE …", options: None, good: "V", bad: "Unknown"
        },
    },
    Block {
        id: B::VrrpInstance,
        title: "vrrp_instance",
        doc: "A virtual router.",
        content: Content::Keywords(&[ROUTER, SHARED]),
    },
    Block {
        id: B::Authentication,
        title: "authentication",
        doc: "Authentication of v2 over IPv4.",
        content: Content::Keywords(&[&[
            kw("auth_type", special("PASS | AH", "PASS", "MD5"), "", Failover, "Which kind."),
            kw(
                "auth_pass",
                Value::Text { max: ANY },
                "",
                Failover,
                "The password. Only its first 8 bytes count.",
            ),
        ]]),
    },
    Block {
        id: B::AuthHmac,
        title: "auth_hmac",
        doc: "Authentication by keyed hash: HMAC-SHA256, with protection against replay.",
        content: Content::Keywords(&[&[
            kw(
                "key",
                special(
                    "ID SECRET | hex:DIGITS | file:PATH",
                    "2 0123456789abcdef0123456789abcdef",
                    "3 short",
                ),
                "",
                Failover,
                "A key of 32 to 64 bytes and its number, 1 to 255.",
            )
            .since("2.4"),
            kw("active_key", int(1, 255), "the only key", Failover, "The key to sign with.")
                .since("2.4"),
            kw(
                "time_window",
                count(1, 300, "s"),
                "3 × advert_int, at least 5",
                Failover,
                "How far a sender's clock may be off.",
            )
            .since("2.4"),
            kw(
                "anti_replay",
                special("time | monotonic", "monotonic", "never"),
                "time",
                Failover,
                "What makes a repeated advert old.",
            )
            .since("2.4"),
            kw(
                "mode",
                special("enforce | permissive | receive-only", "permissive", "lax"),
                "enforce",
                Failover,
                "Whether to sign, and whether to insist.",
            )
            .since("2.4"),
        ]]),
    },
    Block {
        id: B::UnicastPeers,
        title: "unicast_peer",
        doc: "Addresses of the other nodes.",
        content: Content::Lines {
            grammar: "IP [min_ttl N] [max_ttl N]",
            options: Some(B::PeerOptions),
            good: "192.0.2.2 min_ttl 254",
            bad: "192.0.2.256",
        },
    },
    Block {
        id: B::PeerOptions,
        title: "options of a unicast peer",
        doc: "Words after the address.",
        content: Content::Options(&[
            kw("min_ttl", int(0, 255), "", Failover, "Least TTL that its adverts may have."),
            kw("max_ttl", int(0, 255), "", Failover, "Greatest TTL that its adverts may have."),
        ]),
    },
    Block {
        id: B::VirtualAddresses,
        title: "virtual_ipaddress",
        doc: "Addresses of one family that adverts list.",
        content: Content::Lines {
            grammar: "IP[/PREFIX] [OPTION …]",
            options: Some(B::AddressOptions),
            good: "192.0.2.7/24 dev eth0 label eth0:1",
            bad: "192.0.2.256/24",
        },
    },
    Block {
        id: B::ExcludedAddresses,
        title: "virtual_ipaddress_excluded",
        doc: "Addresses that adverts do not list.",
        content: Content::Lines {
            grammar: "IP[/PREFIX] [OPTION …]",
            options: Some(B::AddressOptions),
            good: "2001:db8::7/64 dev eth0",
            bad: "192.0.2.256/24",
        },
    },
    Block {
        id: B::VirtualRoutes,
        title: "virtual_routes",
        doc: "Routes that are held while MASTER.",
        content: Content::Lines {
            grammar: "[TYPE] DESTINATION [OPTION …]",
            options: Some(B::RouteOptions),
            good: "blackhole 192.0.2.0/24 metric 7",
            bad: "192.0.2.0/24 metric lots",
        },
    },
    Block {
        id: B::VirtualRules,
        title: "virtual_rules",
        doc: "Policy rules that are held while MASTER.",
        content: Content::Lines {
            grammar: "[OPTION …]",
            options: Some(B::RuleOptions),
            good: "from 192.0.2.0/24 lookup main priority 100",
            bad: "from 192.0.2.0/33 table 5",
        },
    },
];
