//! `global_defs` and the plain keywords outside every block.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::context::{Context, Words, Written, whole};
use super::interfaces;
use super::mail::MailDraft;
use crate::diagnostic::{Diagnostic, Language};
use crate::keywords::{BlockId, Keyword};
use crate::model::command::{Fifo, FifoSpan};
use crate::model::global::{
    Buffer, DynamicInterfaces, FlushOnStop, Iptables, LvsSyncDaemon, ProcessTuning, RxBufsPolicy,
};
use crate::model::vrrp::{GarpExtra, Version};
use crate::model::{Global, Linkbeat, Name, Setting};
use crate::source::Span;
use crate::tree::Item;

/// Puts a value that was read into its place; nothing read leaves the place alone.
pub(super) fn put<T>(place: &mut Setting<T>, read: Written<T>) {
    if let Some((value, span)) = read {
        *place = Setting::written(value, span);
    }
}

/// The same for a place that has no default.
pub(super) fn set<T>(place: &mut Option<T>, read: Written<T>) {
    if let Some((value, _)) = read {
        *place = Some(value);
    }
}

/// What `global_defs` says beyond [`Global`] while it is being read: scripts and FIFOs come in two
/// keywords each.
#[derive(Default)]
pub(super) struct GlobalDraft {
    pub(super) global: Global,
    pub(super) linkbeat: Vec<Linkbeat>,
    startup_timeout: Option<Duration>,
    shutdown_timeout: Option<Duration>,
    fifo_scripts: [Option<crate::model::Command>; 3],
    garp_lower_prio: (Written<Duration>, Written<u32>),
    mail: MailDraft,
}

impl GlobalDraft {
    /// A keyword outside every block that opens none.
    pub(super) fn root(&mut self, cx: &mut Context<'_>, item: &Item, keyword: &Keyword) {
        let global = &mut self.global;
        let name = |w: Written<String>| w.map(|(text, span)| Name::new(text, span));
        match keyword.name {
            "net_namespace" => global.net_namespace = name(cx.text(item, keyword)),
            "net_namespace_ipvs" => {
                let first = item.args.first();
                let span = first.map_or(item.keyword.span, |t| t.span);
                global.net_namespace_ipvs = Some(Name::new(first.map_or("", |t| &t.text), span));
            }
            "namespace_with_ipsets" => global.namespace_with_ipsets = true,
            "instance" => global.instance = name(cx.text(item, keyword)),
            "use_pid_dir" => global.use_pid_dir = true,
            "child_wait_time" => put(&mut global.child_wait_time, cx.seconds(item, keyword)),
            "linkbeat_use_polling" => global.linkbeat_polling = true,
            _ => cx.unhandled(keyword, item),
        }
    }

    /// A `global_defs` block.
    pub(super) fn block(&mut self, cx: &mut Context<'_>, items: &[Item]) {
        for item in items {
            if let Some(keyword) = cx.keyword(BlockId::GlobalDefs, item) {
                self.line(cx, item, keyword);
            }
        }
    }

    fn line(&mut self, cx: &mut Context<'_>, item: &Item, keyword: &Keyword) {
        let handled = self.daemon(cx, item, keyword)
            || self.processes(cx, item, keyword)
            || self.vrrp(cx, item, keyword)
            || self.mail.line(cx, item, keyword)
            || self.lvs(cx, item, keyword)
            || self.outside(cx, item, keyword);
        if !handled {
            cx.unhandled(keyword, item);
        }
    }

    fn daemon(&mut self, cx: &mut Context<'_>, item: &Item, keyword: &Keyword) -> bool {
        let path = |w: Written<PathBuf>| w.map(|(path, _)| path);
        let g = &mut self.global;
        match keyword.name {
            "router_id" => set(&mut g.router_id, cx.text(item, keyword)),
            "random_seed" => set(&mut g.random_seed, cx.number(item, keyword)),
            "umask" => put(&mut g.umask, umask(cx, item, keyword)),
            "startup_script" => {
                g.startup_script = cx.command(item, keyword).map(|c| (c, Duration::from_secs(10)));
            }
            "shutdown_script" => {
                g.shutdown_script = cx.command(item, keyword).map(|c| (c, Duration::from_secs(10)));
            }
            "startup_script_timeout" => set(&mut self.startup_timeout, cx.seconds(item, keyword)),
            "shutdown_script_timeout" => {
                set(&mut self.shutdown_timeout, cx.seconds(item, keyword));
            }
            "script_user" => {
                if cx.argument(item, keyword).is_some() {
                    g.script_user = cx.user(&item.args);
                }
            }
            "enable_script_security" => g.script_security = true,
            "use_symlink_paths" => flag(&mut g.use_symlink_paths, cx.boolean(item, keyword)),
            "set_supplementary_groups" => {
                flag(&mut g.supplementary_groups, cx.boolean(item, keyword));
            }
            "notify_fifo" => g.notify_fifo = fifo(cx, item, keyword),
            "vrrp_notify_fifo" => g.vrrp_notify_fifo = fifo(cx, item, keyword),
            "lvs_notify_fifo" => g.lvs_notify_fifo = fifo(cx, item, keyword),
            "notify_fifo_script" => self.fifo_scripts[0] = cx.command(item, keyword),
            "vrrp_notify_fifo_script" => self.fifo_scripts[1] = cx.command(item, keyword),
            "lvs_notify_fifo_script" => self.fifo_scripts[2] = cx.command(item, keyword),
            "fifo_write_vrrp_states_on_reload" => g.fifo_write_states_on_reload = true,
            "reload_check_config" => g.reload.check_config = optional_path(item, "/dev/null"),
            "reload_time_file" => g.reload.time_file = path(cx.path(item, keyword)),
            "reload_repeat" => g.reload.repeat = true,
            "reload_file" => g.reload.file = optional_path(item, "/run/keepalived.reload"),
            "config_save_dir" => g.config_save_dir = path(cx.path(item, keyword)),
            "tmp_config_directory" => g.tmp_config_directory = path(cx.path(item, keyword)),
            "data_use_instance" => flag(&mut g.dumps.use_instance, cx.boolean(item, keyword)),
            "json_version" => put(&mut g.dumps.json_version, cx.number(item, keyword)),
            "iproute_usr_dir" => g.iproute_usr_dir = path(cx.path(item, keyword)),
            "iproute_etc_dir" => g.iproute_etc_dir = path(cx.path(item, keyword)),
            "state_dump_file" => g.dumps.state = path(cx.path(item, keyword)),
            "stats_dump_file" => g.dumps.stats = path(cx.path(item, keyword)),
            "json_dump_file" => g.dumps.json = path(cx.path(item, keyword)),
            // The preprocessor has seen to it.
            "include_check" => {}
            _ => return false,
        }
        true
    }

    fn processes(&mut self, cx: &mut Context<'_>, item: &Item, keyword: &Keyword) -> bool {
        let g = &mut self.global;
        match keyword.name {
            "process_names" => g.process_names.distinct = true,
            "process_name" => set(&mut g.process_names.parent, cx.text(item, keyword)),
            "vrrp_process_name" => set(&mut g.process_names.vrrp, cx.text(item, keyword)),
            "checker_process_name" | "lvs_process_name" => {
                set(&mut g.process_names.checker, cx.text(item, keyword));
            }
            "bfd_process_name" => set(&mut g.process_names.bfd, cx.text(item, keyword)),
            "max_auto_priority" => put(
                &mut g.max_auto_priority,
                cx.optional_number(item, keyword, -1, 99, 99).map(|(v, s)| (v as i8, s)),
            ),
            "min_auto_priority_delay" => {
                let read: Written<u32> = cx.number(item, keyword);
                put(
                    &mut g.min_auto_priority_delay,
                    read.map(|(us, span)| (Duration::from_micros(us.into()), span)),
                );
            }
            name => {
                let (process, what) = if let Some(what) = name.strip_prefix("vrrp_") {
                    (&mut g.vrrp_process, what)
                } else if let Some(what) = name.strip_prefix("checker_") {
                    (&mut g.checker_process, what)
                } else if let Some(what) = name.strip_prefix("bfd_") {
                    (&mut g.bfd_process, what)
                } else {
                    return false;
                };
                return tuning(process, what, cx, item, keyword);
            }
        }
        true
    }

    fn vrrp(&mut self, cx: &mut Context<'_>, item: &Item, keyword: &Keyword) -> bool {
        let g = &mut self.global;
        let v = &mut g.vrrp;
        match keyword.name {
            "dynamic_interfaces" => g.dynamic_interfaces = dynamic_interfaces(cx, item),
            "default_interface" => {
                if let Some(token) = cx.argument(item, keyword)
                    && let Some(name) = cx.interface(token, keyword.name)
                {
                    g.default_interface = Setting::written(name.text, token.span);
                }
            }
            "disable_local_igmp" => g.disable_local_igmp = true,
            "linkbeat_interfaces" => {
                self.linkbeat.extend(interfaces::linkbeat(cx, item.items()));
            }
            "vrrp_mcast_group4" => {
                if let Some((IpAddr::V4(ip), span)) = cx.multicast(item, keyword) {
                    v.mcast_group4 = Setting::written(ip, span);
                }
            }
            "vrrp_mcast_group6" => {
                if let Some((IpAddr::V6(ip), span)) = cx.multicast(item, keyword) {
                    v.mcast_group6 = Setting::written(ip, span);
                }
            }
            "vrrp_version" => put(&mut v.version, version(cx, item, keyword)),
            "vrrp_garp_master_delay" => put(&mut v.garp.delay, cx.seconds(item, keyword)),
            "vrrp_garp_master_repeat" => put(&mut v.garp.repeat, cx.repeat(item, keyword)),
            "vrrp_garp_master_refresh" => put(&mut v.garp.refresh, cx.seconds(item, keyword)),
            "vrrp_garp_master_refresh_repeat" => {
                put(&mut v.garp.refresh_repeat, cx.repeat(item, keyword));
            }
            "vrrp_garp_lower_prio_delay" => {
                self.garp_lower_prio.0 = cx.seconds(item, keyword).or(self.garp_lower_prio.0);
            }
            "vrrp_garp_lower_prio_repeat" => {
                self.garp_lower_prio.1 = cx.number(item, keyword).or(self.garp_lower_prio.1);
            }
            "vrrp_garp_interval" => put(&mut v.garp_interval, cx.gap(item, keyword)),
            "vrrp_gna_interval" => put(&mut v.gna_interval, cx.gap(item, keyword)),
            "vrrp_min_garp" => put(&mut v.min_garp, cx.boolean(item, keyword)),
            "vrrp_garp_extra_if" | "vrrp_vmac_garp_intvl" => {
                put(&mut v.garp.extra, garp_extra(cx, item, keyword));
            }
            "vrrp_down_timer_adverts" => put(&mut v.down_timer_adverts, cx.number(item, keyword)),
            "vrrp_lower_prio_no_advert" => {
                put(&mut v.lower_prio_no_advert, cx.boolean(item, keyword));
            }
            "vrrp_higher_prio_send_advert" => {
                put(&mut v.higher_prio_send_advert, cx.boolean(item, keyword));
            }
            "vrrp_owner_ignore_adverts" => {
                let read = cx.boolean(item, keyword).map(|(on, span)| (Some(on), span));
                put(&mut v.owner_ignore_adverts, read);
            }
            "v3_checksum_as_v2" => put(&mut v.v3_checksum_as_v2, cx.boolean(item, keyword)),
            "vrrp_check_unicast_src" => put(&mut v.check_unicast_src, cx.boolean(item, keyword)),
            "vrrp_skip_check_adv_addr" => {
                put(&mut v.skip_check_adv_addr, cx.boolean(item, keyword));
            }
            "vrrp_strict" => put(&mut v.strict, cx.boolean(item, keyword)),
            "vrrp_notify_priority_changes" => {
                put(&mut v.notify_priority_changes, cx.boolean(item, keyword));
            }
            "vrrp_startup_delay" => put(&mut v.startup_delay, cx.seconds(item, keyword)),
            "vrrp_delay_after_boot" => put(&mut v.delay_after_boot, cx.seconds(item, keyword)),
            "log_unknown_vrids" => v.log_unknown_vrids = true,
            "vrrp_rx_bufs_policy" => v.rx_bufs_policy = rx_policy(cx, item, keyword),
            "vrrp_rx_bufs_multiplier" => put(&mut v.rx_bufs_multiplier, cx.number(item, keyword)),
            "vmac_prefix" => put(&mut v.vmac_prefix, cx.text(item, keyword)),
            "vmac_addr_prefix" => put(&mut v.vmac_addr_prefix, cx.text(item, keyword)),
            "lvs_sync_daemon" => v.lvs_sync_daemon = sync_daemon(cx, item, keyword),
            _ => return false,
        }
        true
    }

    fn lvs(&mut self, cx: &mut Context<'_>, item: &Item, keyword: &Keyword) -> bool {
        let g = &mut self.global;
        match keyword.name {
            "checker_log_all_failures" => {
                put(&mut g.lvs.log_all_failures, cx.boolean(item, keyword));
            }
            "lvs_timeouts" => lvs_timeouts(cx, item, keyword, g),
            "lvs_flush" => g.lvs.flush = true,
            "lvs_flush_on_stop" | "lvs_flush_onstop" => {
                g.lvs.flush_on_stop = match item.args.first() {
                    None => Some(FlushOnStop::All),
                    Some(word) if &**word == "VS" => Some(FlushOnStop::Own),
                    Some(word) => {
                        cx.unknown_word(word, keyword.name, &["VS"], "the line is ignored");
                        g.lvs.flush_on_stop
                    }
                };
            }
            "rs_init_notifies" => flag(&mut g.lvs.rs_init_notifies, cx.boolean(item, keyword)),
            _ => return false,
        }
        true
    }

    fn outside(&mut self, cx: &mut Context<'_>, item: &Item, keyword: &Keyword) -> bool {
        let g = &mut self.global;
        let f = &mut g.firewall;
        let word = |at: usize| item.args.get(at).map(|t| t.to_string());
        match keyword.name {
            "vrrp_iptables" => {
                let input = word(0).unwrap_or_else(|| "INPUT".to_owned());
                let output = if item.args.is_empty() { Some("OUTPUT".to_owned()) } else { word(1) };
                f.iptables = Some(Iptables { input, output });
            }
            "vrrp_ipsets" => f.ipsets = Some(item.args.iter().map(|t| t.to_string()).collect()),
            "nftables" => f.nftables = Some(word(0).unwrap_or_else(|| "keepalived".to_owned())),
            "nftables_priority" => set(&mut f.priority, cx.number(item, keyword)),
            "nftables_ifindex" => f.ifindex = true,
            "nftables_counters" => f.counters = true,
            "nftables_ipvs" => {
                f.ipvs_table = Some(word(0).unwrap_or_else(|| "keepalived_ipvs".to_owned()));
            }
            "nftables_ipvs_priority" => set(&mut f.ipvs_priority, cx.number(item, keyword)),
            "nftables_ipvs_start_fwmark" => {
                set(&mut f.ipvs_start_fwmark, cx.number(item, keyword));
            }
            "snmp_socket" => set(&mut g.snmp.socket, cx.text(item, keyword)),
            "enable_traps" => g.snmp.traps = true,
            "enable_snmp_vrrp" => g.snmp.vrrp = true,
            "enable_snmp_checker" => g.snmp.checker = true,
            "enable_snmp_rfc" => (g.snmp.rfc_v2, g.snmp.rfc_v3) = (true, true),
            "enable_snmp_rfcv2" => g.snmp.rfc_v2 = true,
            "enable_snmp_rfcv3" => g.snmp.rfc_v3 = true,
            "enable_snmp_keepalived" => (g.snmp.vrrp, g.snmp.checker) = (true, true),
            "snmp_vs_stats_update_interval" => {
                set(&mut g.snmp.vs_stats_interval, cx.seconds(item, keyword));
            }
            "snmp_rs_stats_update_interval" => {
                set(&mut g.snmp.rs_stats_interval, cx.seconds(item, keyword));
            }
            "enable_dbus" => g.dbus.enabled = true,
            "dbus_service_name" => set(&mut g.dbus.service_name, cx.text(item, keyword)),
            "dbus_no_interface_name" => set(&mut g.dbus.no_interface_name, cx.text(item, keyword)),
            name => {
                let (name, force) = match name.strip_suffix("_force") {
                    Some(name) => (name, true),
                    None => (name, false),
                };
                let b = &mut g.buffers;
                let buffer: &mut Buffer = match name {
                    "vrrp_netlink_cmd_rcv_bufs" => &mut b.vrrp_command,
                    "vrrp_netlink_monitor_rcv_bufs" => &mut b.vrrp_monitor,
                    "lvs_netlink_cmd_rcv_bufs" => &mut b.lvs_command,
                    "lvs_netlink_monitor_rcv_bufs" => &mut b.lvs_monitor,
                    "process_monitor_rcv_bufs" => &mut b.process_monitor,
                    _ => return false,
                };
                if force {
                    flag(&mut buffer.force, cx.boolean(item, keyword));
                } else {
                    set(&mut buffer.size, cx.number(item, keyword));
                }
            }
        }
        true
    }

    /// Joins what came in two keywords, and applies defaults that depend on other values.
    pub(super) fn finish(mut self) -> (Global, Vec<Linkbeat>) {
        let g = &mut self.global;
        if let (Some((_, timeout)), Some(written)) = (&mut g.startup_script, self.startup_timeout) {
            *timeout = written;
        }
        if let (Some((_, timeout)), Some(written)) = (&mut g.shutdown_script, self.shutdown_timeout)
        {
            *timeout = written;
        }
        let fifos = [&mut g.notify_fifo, &mut g.vrrp_notify_fifo, &mut g.lvs_notify_fifo];
        for (fifo, script) in fifos.into_iter().zip(self.fifo_scripts) {
            if let Some(fifo) = fifo {
                fifo.script = script;
            }
        }
        g.mail = self.mail.finish();
        let v = &mut g.vrrp;
        if v.vmac_addr_prefix.is_default() {
            v.vmac_addr_prefix = v.vmac_prefix.clone();
        }
        if v.min_garp.value {
            let span = v.min_garp.span();
            minimal(&mut v.garp.delay, Duration::ZERO, span);
            minimal(&mut v.garp.repeat, 1, span);
        }
        v.garp.lower_prio_delay = v.garp.delay;
        v.garp.lower_prio_repeat = v.garp.repeat;
        put(&mut v.garp.lower_prio_delay, self.garp_lower_prio.0);
        put(&mut v.garp.lower_prio_repeat, self.garp_lower_prio.1);
        let user = g.script_user.clone();
        let commands = [
            g.startup_script.as_mut().map(|(command, _)| command),
            g.shutdown_script.as_mut().map(|(command, _)| command),
            g.notify_fifo.as_mut().and_then(|f| f.script.as_mut()),
            g.vrrp_notify_fifo.as_mut().and_then(|f| f.script.as_mut()),
            g.lvs_notify_fifo.as_mut().and_then(|f| f.script.as_mut()),
        ];
        for command in commands.into_iter().flatten() {
            command.user = command.user.take().or_else(|| user.clone());
        }
        (self.global, self.linkbeat)
    }
}

fn minimal<T>(setting: &mut Setting<T>, value: T, span: Option<Span>) {
    if let (true, Some(span)) = (setting.is_default(), span) {
        *setting = Setting::written(value, span);
    }
}

fn flag(place: &mut bool, read: Written<bool>) {
    if let Some((on, _)) = read {
        *place = on;
    }
}

fn optional_path(item: &Item, default: &str) -> Option<PathBuf> {
    Some(PathBuf::from(item.args.first().map_or(default, |t| &t.text)))
}

fn tuning(
    process: &mut ProcessTuning,
    what: &str,
    cx: &mut Context<'_>,
    item: &Item,
    keyword: &Keyword,
) -> bool {
    match what {
        "priority" => put(&mut process.nice, cx.number(item, keyword)),
        "no_swap" => process.no_swap = true,
        "rt_priority" => set(&mut process.rt_priority, cx.number(item, keyword)),
        "cpu_affinity" => {
            if cx.argument(item, keyword).is_some() {
                process.cpus.clear();
                for token in &item.args {
                    if let Some((cpu, _)) = cx.integer_token(token, keyword.name, 0, 8191) {
                        process.cpus.extend(u16::try_from(cpu));
                    }
                }
            }
        }
        "rlimit_rttime" | "rlimit_rtime" => {
            let read: Written<u32> = cx.number(item, keyword);
            put(
                &mut process.rlimit_rttime,
                read.map(|(us, span)| (Duration::from_micros(us.into()), span)),
            );
        }
        _ => return false,
    }
    true
}

pub(super) fn version(cx: &mut Context<'_>, item: &Item, keyword: &Keyword) -> Written<Version> {
    let (number, span) = cx.integer(item, keyword)?;
    Some((if number == 3 { Version::V3 } else { Version::V2 }, span))
}

/// `[all] SECONDS`, 0 for none.
pub(super) fn garp_extra(
    cx: &mut Context<'_>,
    item: &Item,
    keyword: &Keyword,
) -> Written<Option<GarpExtra>> {
    let first = cx.argument(item, keyword)?;
    let all = &**first == "all";
    let token = if all { item.args.get(1) } else { Some(first) };
    let Some(token) = token else {
        cx.missing(item, keyword);
        return None;
    };
    let (seconds, span) = cx.integer_token(token, keyword.name, 0, 86_400)?;
    let period = Duration::from_secs(seconds.unsigned_abs());
    Some(((seconds > 0).then_some(GarpExtra { all, period }), span))
}

fn dynamic_interfaces(cx: &mut Context<'_>, item: &Item) -> Option<DynamicInterfaces> {
    match item.args.first() {
        Some(word) if &**word == "allow_if_changes" => Some(DynamicInterfaces::AllowTypeChanges),
        Some(word) => {
            cx.unknown_word(
                word,
                "dynamic_interfaces",
                &["allow_if_changes"],
                "interfaces may appear and vanish, and keep their type",
            );
            Some(DynamicInterfaces::Allow)
        }
        None => Some(DynamicInterfaces::Allow),
    }
}

fn rx_policy(cx: &mut Context<'_>, item: &Item, keyword: &Keyword) -> Option<RxBufsPolicy> {
    let token = cx.argument(item, keyword)?;
    match (&**token, whole(token)) {
        ("MTU" | "mtu", _) => Some(RxBufsPolicy::Mtu),
        ("ADVERT" | "advert", _) => Some(RxBufsPolicy::Advert),
        (_, Ok(bytes)) if (1..=i64::from(i32::MAX)).contains(&bytes) => {
            u32::try_from(bytes).ok().map(RxBufsPolicy::Bytes)
        }
        (_, Ok(_)) => {
            cx.out_of_range(token, keyword.name, "1", &i32::MAX.to_string());
            None
        }
        _ => {
            let known = ["MTU", "ADVERT", "a number of bytes"];
            cx.unknown_word(token, keyword.name, &known, "the kernel's default stays");
            None
        }
    }
}

fn fifo(cx: &mut Context<'_>, item: &Item, keyword: &Keyword) -> Option<Fifo> {
    let path = cx.argument(item, keyword)?;
    Some(Fifo {
        path: PathBuf::from(&**path),
        user: cx.user(item.args.get(1..).unwrap_or_default()),
        script: None,
        span: FifoSpan(path.span),
    })
}

/// 31 days, which is all that IPVS can count.
const LVS_MAX: i64 = 31 * 24 * 3600;

fn lvs_timeouts(cx: &mut Context<'_>, item: &Item, keyword: &Keyword, global: &mut Global) {
    if cx.argument(item, keyword).is_none() {
        return;
    }
    let mut words = Words::after(item);
    while let Some(word) = words.next() {
        let place = match &**word {
            "tcp" => &mut global.lvs.timeout_tcp,
            "tcpfin" => &mut global.lvs.timeout_tcp_fin,
            "udp" => &mut global.lvs.timeout_udp,
            _ => {
                cx.unknown_word(
                    word,
                    keyword.name,
                    &["tcp", "tcpfin", "udp"],
                    "the word is ignored",
                );
                continue;
            }
        };
        let Some(value) = words.next() else {
            cx.missing(item, keyword);
            return;
        };
        if let Some((seconds, _)) = cx.integer_token(value, keyword.name, 0, LVS_MAX) {
            *place = Some(Duration::from_secs(seconds.unsigned_abs()));
        }
    }
}

fn sync_daemon(cx: &mut Context<'_>, item: &Item, keyword: &Keyword) -> Option<LvsSyncDaemon> {
    let first = cx.argument(item, keyword)?;
    let interface = cx.interface(first, keyword.name)?;
    let mut daemon = LvsSyncDaemon {
        interface,
        instance: None,
        id: None,
        max_len: None,
        port: None,
        ttl: None,
        group: None,
    };
    let mut words = Words::after(item);
    words.next();
    while let Some(word) = words.next() {
        let range = match &**word {
            "id" => (0, 255),
            "maxlen" => (1, 65_507),
            "port" => (1, 65_535),
            "ttl" => (1, 255),
            "inst" | "group" => (0, 0),
            _ if daemon.instance.is_none() => {
                daemon.instance = Some(Name::new(&**word, word.span));
                continue;
            }
            _ => {
                let known = ["inst", "id", "maxlen", "port", "ttl", "group"];
                cx.unknown_word(word, keyword.name, &known, "the word is ignored");
                continue;
            }
        };
        let Some(value) = words.next() else {
            cx.missing(item, keyword);
            break;
        };
        match &**word {
            "inst" => daemon.instance = Some(Name::new(&**value, value.span)),
            "group" => {
                daemon.group = cx.ip_token(value, "group", &[4, 6]).map(|(ip, _)| ip);
            }
            what => {
                let Some((number, _)) = cx.integer_token(value, what, range.0, range.1) else {
                    continue;
                };
                match what {
                    "id" => daemon.id = u8::try_from(number).ok(),
                    "maxlen" => daemon.max_len = u16::try_from(number).ok(),
                    "port" => daemon.port = u16::try_from(number).ok(),
                    _ => daemon.ttl = u8::try_from(number).ok(),
                }
            }
        }
    }
    Some(daemon)
}

/// A number (octal with a leading 0, hexadecimal with 0x) or names of bits joined by `|`.
fn umask(cx: &mut Context<'_>, item: &Item, keyword: &Keyword) -> Written<u32> {
    let token = cx.argument(item, keyword)?;
    let text: String = item.args.iter().map(|t| &*t.text).collect();
    let number = if let Some(hex) = text.strip_prefix("0x") {
        u32::from_str_radix(hex, 16).ok()
    } else if text.len() > 1 && text.starts_with('0') {
        u32::from_str_radix(&text, 8).ok()
    } else if text.starts_with(|c: char| c.is_ascii_digit()) {
        text.parse().ok()
    } else {
        text.split('|').map(mode_bit).try_fold(0, |bits, bit| Some(bits | bit?))
    };
    match number {
        Some(mask) if mask <= 0o777 => Some((mask, token.span)),
        _ => {
            cx.report(
                Diagnostic::error(Language::OutOfRange, "`umask` takes permission bits")
                    .at(token.span, "0 to 0777, or names such as IWGRP|IRWXO")
                    .help("0177 stays"),
            );
            None
        }
    }
}

fn mode_bit(name: &str) -> Option<u32> {
    let name = name.trim().strip_prefix("S_").unwrap_or(name.trim()).strip_prefix('I')?;
    let (bits, who) = match name.strip_prefix("RWX") {
        Some(who) => (7, who),
        None => {
            let who = name.get(1..)?;
            match name.as_bytes().first()? {
                b'R' => (4, who),
                b'W' => (2, who),
                b'X' => (1, who),
                _ => return None,
            }
        }
    };
    match who {
        "USR" | "U" => Some(bits << 6),
        "GRP" | "G" => Some(bits << 3),
        "OTH" | "O" => Some(bits),
        _ => None,
    }
}
