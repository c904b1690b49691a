//! `global_defs` and the keywords outside every block.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::command::{Command, Fifo, ScriptUser};
use super::setting::{Name, Secret, Setting};
use super::vrrp::{Garp, GarpExtra, Version};

/// Process-wide settings. `Option` means: nothing was written and the default is the reader's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Global {
    /// `net_namespace`.
    pub net_namespace: Option<Name>,
    /// `net_namespace_ipvs`; an empty name is the default namespace.
    pub net_namespace_ipvs: Option<Name>,
    /// `namespace_with_ipsets`.
    pub namespace_with_ipsets: bool,
    /// `use_pid_dir`.
    pub use_pid_dir: bool,
    /// `instance`.
    pub instance: Option<Name>,
    /// `child_wait_time`; default 5 s.
    pub child_wait_time: Setting<Duration>,
    /// `linkbeat_use_polling`: poll all interfaces.
    pub linkbeat_polling: bool,

    /// `router_id`; `None`: the host's name.
    pub router_id: Option<String>,
    /// `random_seed`.
    pub random_seed: Option<u32>,
    /// `umask`; default 0o177.
    pub umask: Setting<u32>,
    /// `startup_script` and its time-out.
    pub startup_script: Option<(Command, Duration)>,
    /// `shutdown_script` and its time-out.
    pub shutdown_script: Option<(Command, Duration)>,
    /// `script_user`.
    pub script_user: Option<ScriptUser>,
    /// `enable_script_security`.
    pub script_security: bool,
    /// `use_symlink_paths`.
    pub use_symlink_paths: bool,
    /// `set_supplementary_groups`.
    pub supplementary_groups: bool,
    /// Names of the processes.
    pub process_names: ProcessNames,
    /// Scheduling of the failover role.
    pub vrrp_process: ProcessTuning,
    /// Scheduling of the balancer role.
    pub checker_process: ProcessTuning,
    /// Scheduling of BFD.
    pub bfd_process: ProcessTuning,
    /// `max_auto_priority`, −1..=99: real-time priority that may be taken when timers run late;
    /// 0: never.
    pub max_auto_priority: Setting<i8>,
    /// `min_auto_priority_delay`: lateness that triggers it; default 1 s.
    pub min_auto_priority_delay: Setting<Duration>,

    /// `dynamic_interfaces`.
    pub dynamic_interfaces: Option<DynamicInterfaces>,
    /// `default_interface`; default eth0. For static addresses without `dev`.
    pub default_interface: Setting<String>,
    /// `disable_local_igmp`.
    pub disable_local_igmp: bool,

    /// What concerns VRRP as a whole.
    pub vrrp: GlobalVrrp,
    /// `notify_fifo`: events of every role.
    pub notify_fifo: Option<Fifo>,
    /// `vrrp_notify_fifo`.
    pub vrrp_notify_fifo: Option<Fifo>,
    /// `lvs_notify_fifo`.
    pub lvs_notify_fifo: Option<Fifo>,
    /// `fifo_write_vrrp_states_on_reload`.
    pub fifo_write_states_on_reload: bool,

    /// Mail.
    pub mail: Mail,
    /// IPVS.
    pub lvs: GlobalLvs,
    /// Packet filter.
    pub firewall: Firewall,
    /// Netlink and process monitor buffers.
    pub buffers: Buffers,
    /// SNMP.
    pub snmp: Snmp,
    /// D-Bus.
    pub dbus: Dbus,
    /// Reload and its surroundings.
    pub reload: Reload,
    /// Dump files.
    pub dumps: Dumps,
    /// `iproute_usr_dir`: where tables of names are read, besides /etc.
    pub iproute_usr_dir: Option<PathBuf>,
    /// `iproute_etc_dir`.
    pub iproute_etc_dir: Option<PathBuf>,
    /// `tmp_config_directory`.
    pub tmp_config_directory: Option<PathBuf>,
    /// `config_save_dir`.
    pub config_save_dir: Option<PathBuf>,
}

/// Names of the processes (at most 15 bytes).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProcessNames {
    /// `process_names`: give each its own.
    pub distinct: bool,
    /// `process_name`: of the parent.
    pub parent: Option<String>,
    /// `vrrp_process_name`.
    pub vrrp: Option<String>,
    /// `checker_process_name`.
    pub checker: Option<String>,
    /// `bfd_process_name`.
    pub bfd: Option<String>,
}

/// Scheduling and memory of one process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessTuning {
    /// `…_priority`: nice value, −20..=19; default 0.
    pub nice: Setting<i8>,
    /// `…_no_swap`: lock memory.
    pub no_swap: bool,
    /// `…_rt_priority`: SCHED_RR priority, 1..=99.
    pub rt_priority: Option<u8>,
    /// `…_cpu_affinity`: CPU numbers; empty: all.
    pub cpus: Vec<u16>,
    /// `…_rlimit_rttime`; default 10 ms.
    pub rlimit_rttime: Setting<Duration>,
}

impl Default for ProcessTuning {
    fn default() -> Self {
        Self {
            nice: Setting::default_of(0),
            no_swap: false,
            rt_priority: None,
            cpus: Vec::new(),
            rlimit_rttime: Setting::default_of(Duration::from_millis(10)),
        }
    }
}

/// `dynamic_interfaces`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DynamicInterfaces {
    /// They may appear and vanish.
    Allow,
    /// `allow_if_changes`: also of another type.
    AllowTypeChanges,
}

/// What concerns VRRP as a whole. Values that instances inherit are resolved there; here they are
/// for showing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GlobalVrrp {
    /// `vrrp_mcast_group4`; default 224.0.0.18.
    pub mcast_group4: Setting<Ipv4Addr>,
    /// `vrrp_mcast_group6`; default ff02::12.
    pub mcast_group6: Setting<Ipv6Addr>,
    /// `vrrp_version`; default 2.
    pub version: Setting<Version>,
    /// The `vrrp_garp_…` family.
    pub garp: Garp,
    /// `vrrp_garp_interval`: gap between gratuitous ARPs on one interface; zero: none.
    pub garp_interval: Setting<Duration>,
    /// `vrrp_gna_interval`: gap between unsolicited neighbour advertisements; zero: none.
    pub gna_interval: Setting<Duration>,
    /// `vrrp_min_garp`.
    pub min_garp: Setting<bool>,
    /// `vrrp_down_timer_adverts`, 1..=100; default 3.
    pub down_timer_adverts: Setting<u8>,
    /// `vrrp_lower_prio_no_advert`.
    pub lower_prio_no_advert: Setting<bool>,
    /// `vrrp_higher_prio_send_advert`.
    pub higher_prio_send_advert: Setting<bool>,
    /// `vrrp_owner_ignore_adverts`; `None`: as strict mode says.
    pub owner_ignore_adverts: Setting<Option<bool>>,
    /// `v3_checksum_as_v2`.
    pub v3_checksum_as_v2: Setting<bool>,
    /// `vrrp_check_unicast_src`.
    pub check_unicast_src: Setting<bool>,
    /// `vrrp_skip_check_adv_addr`.
    pub skip_check_adv_addr: Setting<bool>,
    /// `vrrp_strict`.
    pub strict: Setting<bool>,
    /// `vrrp_startup_delay`.
    pub startup_delay: Setting<Duration>,
    /// `vrrp_delay_after_boot`: the longer of the two counts.
    pub delay_after_boot: Setting<Duration>,
    /// `log_unknown_vrids`.
    pub log_unknown_vrids: bool,
    /// `vrrp_rx_bufs_policy`.
    pub rx_bufs_policy: Option<RxBufsPolicy>,
    /// `vrrp_rx_bufs_multiplier`; default 3.
    pub rx_bufs_multiplier: Setting<u32>,
    /// `vrrp_notify_priority_changes`.
    pub notify_priority_changes: Setting<bool>,
    /// `vmac_prefix`; default `vrrp`.
    pub vmac_prefix: Setting<String>,
    /// `vmac_addr_prefix`; default: `vmac_prefix`.
    pub vmac_addr_prefix: Setting<String>,
    /// `lvs_sync_daemon`.
    pub lvs_sync_daemon: Option<LvsSyncDaemon>,
}

/// `vrrp_rx_bufs_policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RxBufsPolicy {
    /// `MTU`: by the interface's MTU.
    Mtu,
    /// `ADVERT`: by the size of adverts.
    Advert,
    /// So many bytes.
    Bytes(u32),
}

/// `lvs_sync_daemon`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LvsSyncDaemon {
    /// The interface.
    pub interface: Name,
    /// The instance whose state it follows; `None`: both daemons run.
    pub instance: Option<Name>,
    /// `id`, 0..=255.
    pub id: Option<u8>,
    /// `maxlen`, 1..=65507.
    pub max_len: Option<u16>,
    /// `port`.
    pub port: Option<u16>,
    /// `ttl`, 1..=255.
    pub ttl: Option<u8>,
    /// `group`: multicast address.
    pub group: Option<IpAddr>,
}

/// Mail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mail {
    /// `notification_email`.
    pub recipients: Vec<String>,
    /// `notification_email_from`; `None`: user@host.
    pub from: Option<String>,
    /// `smtp_server`: host and port (25).
    pub server: Option<(String, u16)>,
    /// `smtp_helo_name`; `None`: the host's name.
    pub helo: Option<String>,
    /// `smtp_connect_timeout`; default 30 s.
    pub timeout: Setting<Duration>,
    /// `smtp_alert`.
    pub alert: Setting<Option<bool>>,
    /// `smtp_alert_vrrp`.
    pub alert_vrrp: Setting<Option<bool>>,
    /// `smtp_alert_checker`.
    pub alert_checker: Setting<Option<bool>>,
    /// `no_email_faults`.
    pub no_faults: bool,
    /// `no_checker_emails`.
    pub no_checker: bool,
    /// `smtp_security`, beyond Keepalived; default: none, as Keepalived.
    pub security: MailSecurity,
    /// `smtp_login USER PASSWORD`, beyond Keepalived.
    pub login: Option<(String, Secret)>,
    /// `smtp_ca`, beyond Keepalived: file of certificate authorities; `None`: the system's.
    pub ca: Option<PathBuf>,
}

/// How mail is protected on its way to the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MailSecurity {
    /// `none`
    #[default]
    None,
    /// `starttls`: no mail is sent if the server does not offer it.
    StartTls,
    /// `tls`: TLS from the first byte (usually port 465).
    Tls,
}

impl Default for Mail {
    fn default() -> Self {
        Self {
            recipients: Vec::new(),
            from: None,
            server: None,
            helo: None,
            timeout: Setting::default_of(Duration::from_secs(30)),
            alert: Setting::default(),
            alert_vrrp: Setting::default(),
            alert_checker: Setting::default(),
            no_faults: false,
            no_checker: false,
            security: MailSecurity::None,
            login: None,
            ca: None,
        }
    }
}

/// IPVS as a whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GlobalLvs {
    /// `lvs_timeouts`: tcp.
    pub timeout_tcp: Option<Duration>,
    /// `lvs_timeouts`: tcpfin.
    pub timeout_tcp_fin: Option<Duration>,
    /// `lvs_timeouts`: udp.
    pub timeout_udp: Option<Duration>,
    /// `lvs_flush`.
    pub flush: bool,
    /// `lvs_flush_on_stop`.
    pub flush_on_stop: Option<FlushOnStop>,
    /// `checker_log_all_failures`.
    pub log_all_failures: Setting<bool>,
    /// `rs_init_notifies`.
    pub rs_init_notifies: bool,
}

/// `lvs_flush_on_stop [VS]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FlushOnStop {
    /// The whole table.
    All,
    /// `VS`: our virtual servers.
    Own,
}

/// Packet filter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Firewall {
    /// `vrrp_iptables`: chains for input and output.
    pub iptables: Option<Iptables>,
    /// `vrrp_ipsets`: names as written; empty list: do not use ipsets.
    pub ipsets: Option<Vec<String>>,
    /// `nftables`: the table.
    pub nftables: Option<String>,
    /// `nftables_priority`; default −1.
    pub priority: Option<i32>,
    /// `nftables_ifindex`.
    pub ifindex: bool,
    /// `nftables_counters`.
    pub counters: bool,
    /// `nftables_ipvs`: the table.
    pub ipvs_table: Option<String>,
    /// `nftables_ipvs_priority`; default −1.
    pub ipvs_priority: Option<i32>,
    /// `nftables_ipvs_start_fwmark`; default 1000.
    pub ipvs_start_fwmark: Option<u32>,
}

/// `vrrp_iptables [IN [OUT]]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Iptables {
    /// Chain for input.
    pub input: String,
    /// Chain for output; `None`: only input is filtered.
    pub output: Option<String>,
}

/// Receive buffers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Buffers {
    /// `vrrp_netlink_cmd_rcv_bufs`.
    pub vrrp_command: Buffer,
    /// `vrrp_netlink_monitor_rcv_bufs`.
    pub vrrp_monitor: Buffer,
    /// `lvs_netlink_cmd_rcv_bufs`.
    pub lvs_command: Buffer,
    /// `lvs_netlink_monitor_rcv_bufs`.
    pub lvs_monitor: Buffer,
    /// `process_monitor_rcv_bufs`.
    pub process_monitor: Buffer,
}

/// One receive buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Buffer {
    /// Bytes; `None`: the kernel's default.
    pub size: Option<u32>,
    /// `…_force`: beyond the kernel's limit.
    pub force: bool,
}

/// SNMP.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snmp {
    /// `snmp_socket`.
    pub socket: Option<String>,
    /// `enable_traps`.
    pub traps: bool,
    /// `enable_snmp_vrrp`.
    pub vrrp: bool,
    /// `enable_snmp_checker`.
    pub checker: bool,
    /// `enable_snmp_rfc`, `enable_snmp_rfcv2`.
    pub rfc_v2: bool,
    /// `enable_snmp_rfc`, `enable_snmp_rfcv3`.
    pub rfc_v3: bool,
    /// `snmp_vs_stats_update_interval`.
    pub vs_stats_interval: Option<Duration>,
    /// `snmp_rs_stats_update_interval`.
    pub rs_stats_interval: Option<Duration>,
}

/// D-Bus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Dbus {
    /// `enable_dbus`.
    pub enabled: bool,
    /// `dbus_service_name`.
    pub service_name: Option<String>,
    /// `dbus_no_interface_name`.
    pub no_interface_name: Option<String>,
}

/// Reload and its surroundings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reload {
    /// `reload_check_config`: log file of the check.
    pub check_config: Option<PathBuf>,
    /// `reload_time_file`.
    pub time_file: Option<PathBuf>,
    /// `reload_repeat`.
    pub repeat: bool,
    /// `reload_file`.
    pub file: Option<PathBuf>,
}

/// Dump files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dumps {
    /// `data_use_instance`.
    pub use_instance: bool,
    /// `json_version`, 1 or 2; default 1.
    pub json_version: Setting<u8>,
    /// `state_dump_file`.
    pub state: Option<PathBuf>,
    /// `stats_dump_file`.
    pub stats: Option<PathBuf>,
    /// `json_dump_file`.
    pub json: Option<PathBuf>,
}

impl Default for Dumps {
    fn default() -> Self {
        Self {
            use_instance: false,
            json_version: Setting::default_of(1),
            state: None,
            stats: None,
            json: None,
        }
    }
}

impl Default for Garp {
    fn default() -> Self {
        let five = Duration::from_secs(5);
        Self {
            delay: Setting::default_of(five),
            repeat: Setting::default_of(5),
            refresh: Setting::default_of(Duration::ZERO),
            refresh_repeat: Setting::default_of(1),
            lower_prio_delay: Setting::default_of(five),
            lower_prio_repeat: Setting::default_of(5),
            extra: Setting::default_of(None::<GarpExtra>),
        }
    }
}

impl Default for GlobalVrrp {
    fn default() -> Self {
        Self {
            mcast_group4: Setting::default_of(Ipv4Addr::new(224, 0, 0, 18)),
            mcast_group6: Setting::default_of(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12)),
            version: Setting::default(),
            garp: Garp::default(),
            garp_interval: Setting::default(),
            gna_interval: Setting::default(),
            min_garp: Setting::default(),
            down_timer_adverts: Setting::default_of(3),
            lower_prio_no_advert: Setting::default(),
            higher_prio_send_advert: Setting::default(),
            owner_ignore_adverts: Setting::default(),
            v3_checksum_as_v2: Setting::default(),
            check_unicast_src: Setting::default(),
            skip_check_adv_addr: Setting::default(),
            strict: Setting::default(),
            startup_delay: Setting::default(),
            delay_after_boot: Setting::default(),
            log_unknown_vrids: false,
            rx_bufs_policy: None,
            rx_bufs_multiplier: Setting::default_of(3),
            notify_priority_changes: Setting::default(),
            vmac_prefix: Setting::default_of("vrrp".to_owned()),
            vmac_addr_prefix: Setting::default_of("vrrp".to_owned()),
            lvs_sync_daemon: None,
        }
    }
}

impl Default for Global {
    fn default() -> Self {
        Self {
            net_namespace: None,
            net_namespace_ipvs: None,
            namespace_with_ipsets: false,
            use_pid_dir: false,
            instance: None,
            child_wait_time: Setting::default_of(Duration::from_secs(5)),
            linkbeat_polling: false,
            router_id: None,
            random_seed: None,
            umask: Setting::default_of(0o177),
            startup_script: None,
            shutdown_script: None,
            script_user: None,
            script_security: false,
            use_symlink_paths: false,
            supplementary_groups: false,
            process_names: ProcessNames::default(),
            vrrp_process: ProcessTuning::default(),
            checker_process: ProcessTuning::default(),
            bfd_process: ProcessTuning::default(),
            max_auto_priority: Setting::default_of(0),
            min_auto_priority_delay: Setting::default_of(Duration::from_secs(1)),
            dynamic_interfaces: None,
            default_interface: Setting::default_of("eth0".to_owned()),
            disable_local_igmp: false,
            vrrp: GlobalVrrp::default(),
            notify_fifo: None,
            vrrp_notify_fifo: None,
            lvs_notify_fifo: None,
            fifo_write_states_on_reload: false,
            mail: Mail::default(),
            lvs: GlobalLvs::default(),
            firewall: Firewall::default(),
            buffers: Buffers::default(),
            snmp: Snmp::default(),
            dbus: Dbus::default(),
            reload: Reload::default(),
            dumps: Dumps::default(),
            iproute_usr_dir: None,
            iproute_etc_dir: None,
            tmp_config_directory: None,
            config_save_dir: None,
        }
    }
}
