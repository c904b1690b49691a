//! `global_defs`.

use super::BlockId as B;
use super::Role::{Balancer, Bfd, Daemon, Dbus, Failover, Mail, Snmp};
use super::Value::{Bool, Command, Flag, Interface, Path};
use super::{
    Block, Content, I32, Keyword, LONG, TEXT, U32, U32_MICROS, Value, count, int, micros, seconds,
    special,
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

const COMM: Value = Value::Text { max: 15 };
const FIFO: Value = special("PATH [USER [GROUP]]", "/run/fifo root", "");
const CPUS: Value = special("CPU …", "0 1", "0 x");
const RTTIME: Value = count(1, U32, "µs");
const OPTIONAL_NAME: Value = special("[NAME]", "name", "");
const OPTIONAL_PATH: Value = special("[PATH]", "/tmp/x", "");

const DAEMON: &[Keyword] = &[
    kw("router_id", TEXT, "the host's name", Daemon, "How this node is called in mails and SNMP.")
        .lenient(),
    kw("random_seed", int(0, U32), "the time", Daemon, "Seed of `${_RANDOM}`."),
    kw(
        "umask",
        special("NUMBER | BIT[|BIT …]", "022", "rwx"),
        "0177",
        Daemon,
        "Permission bits that files we create do not get.",
    ),
    kw("startup_script", Command, "", Daemon, "Run before the roles start.").lenient(),
    kw(
        "startup_script_timeout",
        count(1, 1000, "s"),
        "10",
        Daemon,
        "How long the startup script may run.",
    )
    .lenient(),
    kw("shutdown_script", Command, "", Daemon, "Run after the roles have stopped.").lenient(),
    kw(
        "shutdown_script_timeout",
        count(1, 1000, "s"),
        "10",
        Daemon,
        "How long the shutdown script may run.",
    )
    .lenient(),
    kw(
        "script_user",
        special("USER [GROUP]", "root root", ""),
        "keepalived_script if it exists",
        Daemon,
        "Who runs scripts that do not say so themselves.",
    )
    .lenient(),
    kw(
        "enable_script_security",
        Flag,
        "",
        Daemon,
        "Refuse scripts run as root that others could change.",
    ),
    kw("use_symlink_paths", Bool, "off", Daemon, "Keep symbolic links in script paths."),
    kw(
        "set_supplementary_groups",
        Bool,
        "off",
        Daemon,
        "Scripts also get the supplementary groups of their user.",
    )
    .since("2.4.4"),
    kw("process_names", Flag, "", Daemon, "Give each process a name of its own."),
    kw("process_name", COMM, "", Daemon, "Name of the supervisor process."),
    kw("vrrp_process_name", COMM, "", Failover, "Name of the failover process."),
    kw("checker_process_name", COMM, "", Balancer, "Name of the balancer process."),
    kw("lvs_process_name", COMM, "", Balancer, "The same as `checker_process_name`.")
        .deprecated("checker_process_name"),
    kw("bfd_process_name", COMM, "", Bfd, "Name of the BFD process."),
    kw("vrrp_priority", int(-20, 19), "0", Failover, "Nice value of the failover process.")
        .lenient(),
    kw("checker_priority", int(-20, 19), "0", Balancer, "Nice value of the balancer process.")
        .lenient(),
    kw("bfd_priority", int(-20, 19), "0", Bfd, "Nice value of the BFD process.").lenient(),
    kw("vrrp_no_swap", Flag, "", Failover, "Lock the failover process into memory."),
    kw("checker_no_swap", Flag, "", Balancer, "Lock the balancer process into memory."),
    kw("bfd_no_swap", Flag, "", Bfd, "Lock the BFD process into memory."),
    kw("vrrp_rt_priority", int(1, 99), "none", Failover, "Real-time priority of failover.")
        .lenient(),
    kw("checker_rt_priority", int(1, 99), "none", Balancer, "Real-time priority of balancing.")
        .lenient(),
    kw("bfd_rt_priority", int(1, 99), "none", Bfd, "Real-time priority of BFD.").lenient(),
    kw("vrrp_cpu_affinity", CPUS, "all", Failover, "CPUs of the failover process.").lenient(),
    kw("checker_cpu_affinity", CPUS, "all", Balancer, "CPUs of the balancer process.").lenient(),
    kw("bfd_cpu_affinity", CPUS, "all", Bfd, "CPUs of the BFD process.").lenient(),
    kw("vrrp_rlimit_rttime", RTTIME, "10000", Failover, "Real-time budget between two waits."),
    kw("checker_rlimit_rttime", RTTIME, "10000", Balancer, "Real-time budget between two waits."),
    kw("bfd_rlimit_rttime", RTTIME, "10000", Bfd, "Real-time budget between two waits."),
    kw("vrrp_rlimit_rtime", RTTIME, "", Failover, "The same as `vrrp_rlimit_rttime`.")
        .deprecated("vrrp_rlimit_rttime"),
    kw("checker_rlimit_rtime", RTTIME, "", Balancer, "The same as `checker_rlimit_rttime`.")
        .deprecated("checker_rlimit_rttime"),
    kw("bfd_rlimit_rtime", RTTIME, "", Bfd, "The same as `bfd_rlimit_rttime`.")
        .deprecated("bfd_rlimit_rttime"),
    kw(
        "max_auto_priority",
        special("[NUMBER]", "50", "100"),
        "0",
        Failover,
        "Real-time priority (−1 to 99) that may be taken when timers run late; alone: 99.",
    ),
    kw(
        "min_auto_priority_delay",
        count(1, 10_000_000, "µs"),
        "1000000",
        Failover,
        "Lateness that makes `max_auto_priority` act.",
    )
    .lenient(),
    kw("notify_fifo", FIFO, "", Failover, "FIFO that every event is written to.").lenient(),
    kw("notify_fifo_script", Command, "", Failover, "Reader of `notify_fifo`.").lenient(),
    kw("vrrp_notify_fifo", FIFO, "", Failover, "FIFO that VRRP events are written to.").lenient(),
    kw("vrrp_notify_fifo_script", Command, "", Failover, "Reader of `vrrp_notify_fifo`.").lenient(),
    kw("lvs_notify_fifo", FIFO, "", Balancer, "FIFO that balancer events are written to.")
        .lenient(),
    kw("lvs_notify_fifo_script", Command, "", Balancer, "Reader of `lvs_notify_fifo`.").lenient(),
    kw(
        "fifo_write_vrrp_states_on_reload",
        Flag,
        "",
        Failover,
        "Write every state to the FIFOs again after a reload.",
    ),
    kw(
        "reload_check_config",
        OPTIONAL_PATH,
        "/dev/null",
        Daemon,
        "Check the files before a reload, and log the findings there.",
    ),
    kw("reload_time_file", Path, "", Daemon, "File that holds the time of the next reload.")
        .later()
        .lenient(),
    kw("reload_repeat", Flag, "", Daemon, "The time in `reload_time_file` holds every day.")
        .later(),
    kw(
        "reload_file",
        OPTIONAL_PATH,
        "/run/keepalived.reload",
        Daemon,
        "File that exists while the configuration is being read.",
    ),
    kw("config_save_dir", Path, "", Daemon, "Keep a copy of each configuration there."),
    kw("tmp_config_directory", Path, "", Daemon, "Where Keepalived keeps its copy of the text.")
        .lenient()
        .ignored("the checked model is handed on, not the text"),
    kw("data_use_instance", Bool, "off", Daemon, "Name dump files after the instance."),
    kw("json_version", int(1, 2), "1", Failover, "Shape of keepalived.json.").lenient(),
    kw("iproute_usr_dir", Path, "", Daemon, "Where names of tables and protocols are read.")
        .later()
        .lenient(),
    kw("iproute_etc_dir", Path, "", Daemon, "Where names of tables and protocols are read first.")
        .later()
        .lenient(),
    kw("state_dump_file", Path, "/tmp/keepalived.data", Daemon, "Where `SIGUSR1` writes.")
        .lenient(),
    kw("stats_dump_file", Path, "/tmp/keepalived.stats", Daemon, "Where `SIGUSR2` writes.")
        .lenient(),
    kw("json_dump_file", Path, "/tmp/keepalived.json", Daemon, "Where the JSON signal writes.")
        .lenient(),
    kw(
        "include_check",
        special("[[+|-]CHECK …]", "read match", ""),
        "",
        Daemon,
        "What later includes must find: read, match, wildcard_match, brace_match.",
    ),
];

const VRRP: &[Keyword] = &[
    kw(
        "dynamic_interfaces",
        special("[allow_if_changes]", "allow_if_changes", "perhaps"),
        "",
        Failover,
        "Interfaces may appear and vanish.",
    ),
    kw(
        "default_interface",
        Interface,
        "eth0",
        Failover,
        "Interface of static addresses without `dev`.",
    )
    .lenient(),
    kw(
        "disable_local_igmp",
        Flag,
        "",
        Failover,
        "Do not let the kernel join the multicast group on a VMAC.",
    )
    .later(),
    kw(
        "linkbeat_interfaces",
        Value::Block(B::LinkbeatInterfaces),
        "",
        Failover,
        "The same as at the top level.",
    )
    .later(),
    kw(
        "vrrp_mcast_group4",
        Value::Address { families: &[4] },
        "224.0.0.18",
        Failover,
        "Multicast group of IPv4 adverts.",
    ),
    kw(
        "vrrp_mcast_group6",
        Value::Address { families: &[6] },
        "ff02::12",
        Failover,
        "Multicast group of IPv6 adverts.",
    ),
    kw("vrrp_version", int(2, 3), "2", Failover, "Version of the protocol; IPv6 is always 3."),
    kw(
        "vrrp_garp_master_delay",
        count(0, U32, "s"),
        "5",
        Failover,
        "From becoming MASTER to the second set of announcements; 0: no second set.",
    ),
    kw("vrrp_garp_master_repeat", int(1, U32), "5", Failover, "Announcements in each set."),
    kw(
        "vrrp_garp_master_refresh",
        count(0, U32, "s"),
        "0",
        Failover,
        "Period of announcements while MASTER; 0: none.",
    ),
    kw(
        "vrrp_garp_master_refresh_repeat",
        int(1, U32),
        "1",
        Failover,
        "Announcements in each of these.",
    ),
    kw(
        "vrrp_garp_lower_prio_delay",
        count(0, U32, "s"),
        "vrrp_garp_master_delay",
        Failover,
        "From an advert of lower priority to the second set.",
    ),
    kw(
        "vrrp_garp_lower_prio_repeat",
        int(0, U32),
        "vrrp_garp_master_repeat",
        Failover,
        "Announcements in each set after an advert of lower priority; 0: none.",
    ),
    kw(
        "vrrp_garp_interval",
        micros(1, U32_MICROS),
        "none",
        Failover,
        "Gap between gratuitous ARPs on one interface.",
    ),
    kw(
        "vrrp_gna_interval",
        micros(1, U32_MICROS),
        "none",
        Failover,
        "Gap between unsolicited neighbour advertisements on one interface.",
    ),
    kw("vrrp_min_garp", Bool, "off", Failover, "One announcement only, unless written otherwise."),
    kw(
        "vrrp_garp_extra_if",
        special("[all] SECONDS", "all 60", "86401"),
        "none",
        Failover,
        "Period (1 to 86400 s) of announcements on other interfaces of VIPs.",
    )
    .lenient(),
    kw(
        "vrrp_vmac_garp_intvl",
        special("[all] SECONDS", "all 60", "86401"),
        "",
        Failover,
        "The same as `vrrp_garp_extra_if`.",
    )
    .lenient()
    .deprecated("vrrp_garp_extra_if"),
    kw(
        "vrrp_down_timer_adverts",
        int(1, 100),
        "3",
        Failover,
        "Adverts missed before a master counts as down.",
    ),
    kw(
        "vrrp_lower_prio_no_advert",
        Bool,
        "off",
        Failover,
        "Do not answer an advert of lower priority.",
    ),
    kw(
        "vrrp_higher_prio_send_advert",
        Bool,
        "off",
        Failover,
        "Send one advert before yielding to a higher priority.",
    ),
    kw(
        "vrrp_owner_ignore_adverts",
        Bool,
        "as strict mode",
        Failover,
        "An owner ignores adverts of others.",
    )
    .since("2.4"),
    kw(
        "v3_checksum_as_v2",
        Bool,
        "off",
        Failover,
        "No pseudo-header in the checksum of v3 over IPv4.",
    )
    .since("2.3"),
    kw(
        "vrrp_check_unicast_src",
        Bool,
        "off",
        Failover,
        "Unicast adverts must come from a configured peer.",
    ),
    kw(
        "vrrp_skip_check_adv_addr",
        Bool,
        "off",
        Failover,
        "Do not compare the address list of adverts from the known master.",
    ),
    kw("vrrp_strict", Bool, "off", Failover, "Keep to the letter of the RFC."),
    kw(
        "vrrp_notify_priority_changes",
        Bool,
        "off",
        Failover,
        "Write changes of priority to the FIFOs.",
    ),
    kw("vrrp_startup_delay", seconds(0, LONG), "0", Failover, "Wait so long before VRRP starts."),
    kw(
        "vrrp_delay_after_boot",
        seconds(0, LONG),
        "0",
        Failover,
        "The same, counted from the start of the machine.",
    )
    .since("2.3"),
    kw("log_unknown_vrids", Flag, "", Failover, "Tell about adverts of unknown virtual routers."),
    kw(
        "vrrp_rx_bufs_policy",
        special("MTU | ADVERT | BYTES", "ADVERT", "HUGE"),
        "the kernel's",
        Failover,
        "Receive buffer of advert sockets.",
    )
    .lenient(),
    kw("vrrp_rx_bufs_multiplier", int(1, U32), "3", Failover, "Adverts that fit the buffer.")
        .lenient(),
    kw("vmac_prefix", COMM, "vrrp", Failover, "How names of VMAC interfaces begin."),
    kw(
        "vmac_addr_prefix",
        COMM,
        "vmac_prefix",
        Failover,
        "The same for VMACs on other interfaces of VIPs.",
    )
    .later(),
    kw(
        "vrrp_iptables",
        special("[IN [OUT]]", "IN OUT", ""),
        "",
        Failover,
        "Chains for traffic that is not to be accepted; nftables is used instead.",
    )
    .deprecated("nftables"),
    kw("vrrp_ipsets", special("[SET …]", "a b", ""), "", Failover, "Names of ipsets.")
        .deprecated("nftables"),
    kw("nftables", OPTIONAL_NAME, "keepalived", Failover, "Table for packet filter rules."),
    kw("nftables_priority", int(-I32, I32), "−1", Failover, "Priority of its chains."),
    kw("nftables_ifindex", Flag, "", Failover, "Match interfaces by index, not name.").later(),
    kw("nftables_counters", Flag, "", Failover, "Rules count packets."),
    kw(
        "vrrp_netlink_cmd_rcv_bufs",
        count(1, I32, "bytes"),
        "the kernel's",
        Failover,
        "Receive buffer of netlink answers.",
    )
    .lenient(),
    kw("vrrp_netlink_cmd_rcv_bufs_force", Bool, "off", Failover, "Beyond the kernel's limit."),
    kw(
        "vrrp_netlink_monitor_rcv_bufs",
        count(1, I32, "bytes"),
        "the kernel's",
        Failover,
        "Receive buffer of netlink events.",
    )
    .lenient(),
    kw("vrrp_netlink_monitor_rcv_bufs_force", Bool, "off", Failover, "Beyond the kernel's limit."),
    kw(
        "process_monitor_rcv_bufs",
        count(1, I32, "bytes"),
        "the kernel's",
        Failover,
        "Receive buffer of process events.",
    )
    .lenient(),
    kw("process_monitor_rcv_bufs_force", Bool, "off", Failover, "Beyond the kernel's limit."),
];

const OTHERS: &[Keyword] = &[
    kw(
        "notification_email",
        Value::Block(B::NotificationEmail),
        "",
        Mail,
        "Who gets mail about changes.",
    ),
    kw("notification_email_from", TEXT, "USER@HOST", Mail, "Sender of the mail.").lenient(),
    kw(
        "smtp_server",
        special("HOST [PORT]", "192.0.2.25 25", "192.0.2.25 70000"),
        "",
        Mail,
        "Server that takes the mail; port 25.",
    ),
    kw("smtp_helo_name", TEXT, "the host's name", Mail, "How we greet the server.").lenient(),
    kw("smtp_connect_timeout", count(1, LONG as i64, "s"), "30", Mail, "How long to wait for it."),
    kw(
        "smtp_security",
        special("none | starttls | tls", "starttls", "ssl"),
        "none",
        Mail,
        "How mail is protected on its way.",
    )
    .ours(),
    kw(
        "smtp_login",
        special("USER PASSWORD", "alerts secret", ""),
        "",
        Mail,
        "How to log in at the mail server.",
    )
    .ours(),
    kw("smtp_ca", Value::Path, "the system's", Mail, "File of certificate authorities.").ours(),
    kw("smtp_alert", Bool, "unset", Mail, "Default of `smtp_alert` everywhere."),
    kw("smtp_alert_vrrp", Bool, "unset", Mail, "Default of `smtp_alert` of VRRP."),
    kw("smtp_alert_checker", Bool, "unset", Mail, "Default of `smtp_alert` of checkers."),
    kw("no_email_faults", Flag, "", Mail, "No mail about FAULT."),
    kw("no_checker_emails", Flag, "", Mail, "Mail about servers, not about each checker."),
    kw("checker_log_all_failures", Bool, "off", Balancer, "Log every failed attempt."),
    kw(
        "lvs_timeouts",
        special("[tcp SECONDS] [tcpfin SECONDS] [udp SECONDS]", "tcp 7200 udp 60", "tcp x"),
        "the kernel's",
        Balancer,
        "Time-outs of connections, up to 31 days.",
    )
    .lenient(),
    kw("lvs_flush", Flag, "", Balancer, "Empty the IPVS table at start."),
    kw(
        "lvs_flush_on_stop",
        special("[VS]", "VS", "XX"),
        "",
        Balancer,
        "Empty the IPVS table at stop; VS: only our services.",
    ),
    kw(
        "lvs_flush_onstop",
        special("[VS]", "VS", "XX"),
        "",
        Balancer,
        "The same as `lvs_flush_on_stop`.",
    )
    .deprecated("lvs_flush_on_stop"),
    kw(
        "lvs_sync_daemon",
        special(
            "INTERFACE [[inst] INSTANCE] [id N] [maxlen N] [port N] [ttl N] [group IP]",
            "eth0 V id 7",
            "eth0 V id 256",
        ),
        "",
        Balancer,
        "Send connections to the other node, as the instance's state says.",
    )
    .lenient(),
    kw(
        "nftables_ipvs",
        OPTIONAL_NAME,
        "keepalived_ipvs",
        Balancer,
        "Table that marks packets of virtual server groups.",
    )
    .later(),
    kw("nftables_ipvs_priority", int(-I32, I32), "−1", Balancer, "Priority of its chains.").later(),
    kw("nftables_ipvs_start_fwmark", int(1, U32), "1000", Balancer, "First mark that is used.")
        .later(),
    kw(
        "lvs_netlink_cmd_rcv_bufs",
        count(1, I32, "bytes"),
        "the kernel's",
        Balancer,
        "Receive buffer of netlink answers.",
    )
    .lenient(),
    kw("lvs_netlink_cmd_rcv_bufs_force", Bool, "off", Balancer, "Beyond the kernel's limit."),
    kw(
        "lvs_netlink_monitor_rcv_bufs",
        count(1, I32, "bytes"),
        "the kernel's",
        Balancer,
        "Receive buffer of netlink events.",
    )
    .lenient(),
    kw("lvs_netlink_monitor_rcv_bufs_force", Bool, "off", Balancer, "Beyond the kernel's limit."),
    kw("rs_init_notifies", Bool, "off", Balancer, "Run `notify_up` of servers that start up."),
    kw("snmp_socket", TEXT, "unix:/var/agentx/master", Snmp, "Where the SNMP master listens.")
        .lenient(),
    kw("enable_traps", Flag, "", Snmp, "Send traps."),
    kw("enable_snmp_vrrp", Flag, "", Snmp, "Serve the VRRP part of Keepalived's MIB."),
    kw("enable_snmp_checker", Flag, "", Snmp, "Serve the checker part of Keepalived's MIB."),
    kw("enable_snmp_rfc", Flag, "", Snmp, "Serve the MIBs of RFC 2787 and RFC 6527."),
    kw("enable_snmp_rfcv2", Flag, "", Snmp, "Serve the MIB of RFC 2787."),
    kw("enable_snmp_rfcv3", Flag, "", Snmp, "Serve the MIB of RFC 6527."),
    kw("enable_snmp_keepalived", Flag, "", Snmp, "Both parts of Keepalived's MIB.")
        .deprecated("enable_snmp_vrrp and enable_snmp_checker"),
    kw(
        "snmp_vs_stats_update_interval",
        micros(1_000, 30_000_000),
        "5",
        Snmp,
        "Age at which counters of virtual servers are read again.",
    ),
    kw(
        "snmp_rs_stats_update_interval",
        micros(0, 30_000_000),
        "0: as virtual servers",
        Snmp,
        "Age at which counters of real servers are read again.",
    ),
    kw("enable_dbus", Flag, "", Dbus, "Serve D-Bus."),
    kw("dbus_service_name", TEXT, "org.keepalived.Vrrp1", Dbus, "Our name on D-Bus.").lenient(),
    kw(
        "dbus_no_interface_name",
        TEXT,
        "none",
        Dbus,
        "Path element of instances without interface.",
    ),
];

pub(super) const BLOCKS: &[Block] = &[
    Block {
        id: B::GlobalDefs,
        title: "global_defs",
        doc: "Settings of the whole daemon. A second block adds to the first; the last word wins.",
        content: Content::Keywords(&[DAEMON, VRRP, OTHERS]),
    },
    Block {
        id: B::NotificationEmail,
        title: "notification_email",
        doc: "Addresses, one or more per line.",
        content: Content::Lines {
            grammar: "ADDRESS …",
            options: None,
            good: "root@example.net",
            bad: "",
        },
    },
];
