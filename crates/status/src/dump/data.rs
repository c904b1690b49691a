//! `keepalived.data`: the sections and labels that exporters and scripts look for.

use std::fmt::Write as _;

use super::address_text;
use crate::snapshot::{Group, Instance, Interface, State, Tracker};
use crate::{Snapshot, Timestamp};

/// The text of `keepalived.data`. `local_time` prints an instant in local time, as
/// `Sat Nov 21 12:17:54.242479 2026`; `globals` are the lines of the first section.
pub fn data(
    snapshot: &Snapshot,
    globals: &[String],
    local_time: &dyn Fn(Timestamp) -> String,
) -> String {
    let mut out = String::with_capacity(2048 + 2048 * snapshot.instances.len());
    line(&mut out, "------< Global definitions >------");
    for global in globals {
        let _ = writeln!(out, " {global}");
    }
    if !snapshot.instances.is_empty() {
        line(&mut out, "------< VRRP Topology >------");
        for item in &snapshot.instances {
            instance(&mut out, item, snapshot.time, local_time);
        }
    }
    if !snapshot.groups.is_empty() {
        line(&mut out, "------< VRRP Sync groups >------");
        for item in &snapshot.groups {
            group(&mut out, item);
        }
    }
    for (title, kind) in [
        ("------< VRRP Scripts >------", "script"),
        ("------< Track files >------", "file"),
        ("------< VRRP Track processes >------", "process"),
    ] {
        let mut found = snapshot.trackers.iter().filter(|t| t.kind == kind).peekable();
        if found.peek().is_some() {
            line(&mut out, title);
            found.for_each(|item| tracker(&mut out, item));
        }
    }
    if !snapshot.interfaces.is_empty() {
        line(&mut out, "------< Interfaces >------");
        for item in &snapshot.interfaces {
            interface(&mut out, item);
        }
    }
    out
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

// Writing to a String cannot fail: the results of `writeln!` are dropped on purpose.
macro_rules! put {
    ($out:expr, $($arg:tt)*) => {{ let _ = writeln!($out, $($arg)*); }};
}

fn instance(
    out: &mut String,
    i: &Instance,
    now: Timestamp,
    local_time: &dyn Fn(Timestamp) -> String,
) {
    let s = &i.settings;
    put!(out, " VRRP Instance = {}", i.name);
    put!(out, "   VRRP Version = {}", i.version);
    if i.ip_version == 6 {
        put!(out, "   Using Native IPv6");
    }
    if let Some(group) = &i.group {
        put!(out, "   Sync group = {group}");
    }
    put!(out, "   State = {}", i.state);
    if i.state != State::Master
        && let Some(master) = &i.master
    {
        put!(out, "   Master router = {}", master.address);
        put!(out, "   Master priority = {}", master.priority.unwrap_or(0));
        if i.version == 3 {
            put!(out, "   Master advert interval = {} milli-sec", milliseconds(i.master_interval));
        }
    }
    put!(out, "   Flags: none");
    put!(out, "   Wantstate = {}", i.wanted);
    put!(out, "   Number of config faults = 0");
    put!(out, "   Number of interface and track script faults = {}", i.faults.len());
    put!(out, "   Number of track scripts init = {}", i.waiting_for.len());
    put!(out, "   Last transition = {} ({})", epoch(i.since), local_time(i.since));
    let read_timeout = i
        .master_down_in
        .map_or(now, |secs| Timestamp::from_micros(now.micros + (secs.max(0.0) * 1e6) as u64));
    put!(out, "   Read timeout = {} ({})", epoch(read_timeout), local_time(read_timeout));
    put!(out, "   Master down timer = {} usecs", (i.master_down * 1e6).round() as u64);
    if let Some(interface) = &i.interface {
        put!(out, "   Interface = {interface}");
    }
    if !s.vmac_interface.is_empty() {
        put!(out, "   VMAC interface = {}", s.vmac_interface);
    }
    if s.dont_track_primary {
        put!(out, "   Tracking disabled on own interface");
    }
    if s.skip_check_adv_addr {
        put!(out, "   Skip checking advert IP addresses");
    }
    if s.strict {
        put!(out, "   Enforcing strict VRRP compliance");
    }
    if let Some(source) = i.source {
        put!(out, "   Using src_ip = {source}");
    }
    match s.multicast {
        Some(group) => put!(out, "   Multicast address {group}"),
        None => {
            let peers: Vec<_> = i.peers.iter().filter(|p| p.configured).collect();
            put!(out, "   Unicast Peers ({}) :", peers.len());
            for peer in peers {
                put!(out, "     {}", peer.address);
            }
        }
    }
    put!(out, "   Gratuitous ARP delay = {}", s.garp_delay);
    put!(out, "   Gratuitous ARP repeat = {}", s.garp_repeat);
    put!(out, "   Gratuitous ARP refresh = {}", s.garp_refresh);
    put!(out, "   Gratuitous ARP refresh repeat = {}", s.garp_refresh_repeat);
    put!(out, "   Gratuitous ARP lower priority delay = {}", s.garp_lower_prio_delay);
    put!(out, "   Gratuitous ARP lower priority repeat = {}", s.garp_lower_prio_repeat);
    put!(out, "   Down timer adverts = {}", s.down_timer_adverts);
    put!(out, "   Send advert after receive lower priority advert = {}", !s.lower_prio_no_advert);
    put!(
        out,
        "   Send advert after receive higher priority advert = {}",
        s.higher_prio_send_advert
    );
    put!(out, "   Virtual Router ID = {}", i.vrid);
    put!(out, "   Priority = {}", i.priority.base);
    put!(out, "   Effective priority = {}", i.priority.effective);
    put!(out, "   Total priority = {}", i.priority.total);
    if i.advert_interval.fract() == 0.0 {
        put!(out, "   Advert interval = {} sec", i.advert_interval);
    } else {
        put!(out, "   Advert interval = {} milli-sec", milliseconds(i.advert_interval));
    }
    put!(out, "   Accept = {}", enabled(s.accept));
    put!(out, "   Preempt = {}", enabled(!s.nopreempt));
    if s.preempt_delay > 0.0 {
        put!(out, "   Preempt delay = {} secs", s.preempt_delay);
    }
    put!(out, "   Promote_secondaries = {}", enabled(s.promote_secondaries));
    match s.auth_type {
        1 => put!(out, "   Authentication type = SIMPLE_PASSWORD"),
        2 => put!(out, "   Authentication type = IPSEC_AH"),
        _ => {}
    }
    if s.auth_type != 0 {
        put!(out, "   Password = ********");
    }
    if s.auth_hmac {
        put!(out, "   Authentication extension = HMAC-SHA256");
    }
    let (excluded, advertised): (Vec<_>, Vec<_>) = i.addresses.iter().partition(|a| a.excluded);
    if !s.track_interfaces.is_empty() {
        put!(out, "   Tracked interfaces :");
        s.track_interfaces.iter().for_each(|name| put!(out, "     {name}"));
    }
    let terms =
        |kind: &str| -> Vec<_> { i.priority.terms.iter().filter(|t| t.kind == kind).collect() };
    for (title, kind) in
        [("Tracked scripts", "script"), ("Tracked files", "file"), ("Tracked processes", "process")]
    {
        let found = terms(kind);
        if !found.is_empty() {
            put!(out, "   {title} :");
            for term in found {
                put!(
                    out,
                    "     {} weight {}{}",
                    term.name,
                    term.weight.unwrap_or(0),
                    if term.reverse { " reverse" } else { "" }
                );
            }
        }
    }
    put!(out, "   Virtual IP ({}):", advertised.len());
    for address in advertised {
        put!(out, "     {}", address_text(address));
    }
    if !excluded.is_empty() {
        put!(out, "   Virtual IP Excluded :");
        for address in excluded {
            put!(out, "     {}", address_text(address));
        }
    }
    if !i.routes.is_empty() {
        put!(out, "   Virtual Routes :");
        i.routes.iter().for_each(|route| put!(out, "     {}", route.text));
    }
    if !i.rules.is_empty() {
        put!(out, "   Virtual Rules :");
        i.rules.iter().for_each(|rule| put!(out, "     {}", rule.text));
    }
    for (key, command) in &s.scripts {
        let label = match key.as_str() {
            "script_backup" => "Backup state transition script",
            "script_master" => "Master state transition script",
            "script_fault" => "Fault state transition script",
            "script_stop" => "Stop state transition script",
            "script_deleted" => "Deleted state transition script",
            "script_master_rx_lower_pri" => "Master rx lower priority script",
            _ => "Generic state transition script",
        };
        put!(out, "   {label} = {command}");
    }
    put!(out, "   Using smtp notification = {}", if s.smtp_alert { "yes" } else { "no" });
    put!(out, "   Notify deleted = {}", if s.notify_deleted { "Deleted" } else { "Fault" });
    put!(out, "   Notify priority changes = {}", s.notify_priority_changes);
}

fn group(out: &mut String, g: &Group) {
    put!(out, " VRRP Sync Group = {}, {}", g.name, g.state);
    put!(out, "   Num member fault {}, num member init {}", g.members_fault, g.members_init);
    put!(out, "   VRRP member instances :");
    g.members.iter().for_each(|name| put!(out, "     {name}"));
    put!(out, "   Using smtp notification = {}", if g.smtp_alert { "yes" } else { "no" });
}

fn tracker(out: &mut String, t: &Tracker) {
    match t.kind.as_str() {
        "script" => put!(out, " VRRP Script = {}", t.name),
        "file" => put!(out, " Track file = {}", t.name),
        _ => put!(out, " VRRP Track process = {}", t.name),
    }
    put!(out, "   Status = {}", t.state);
    if !t.detail.is_empty() {
        put!(out, "   Detail = {}", t.detail);
    }
}

fn interface(out: &mut String, i: &Interface) {
    put!(out, " Name = {}", i.name);
    put!(out, "   index = {}", i.index.unwrap_or(0));
    let or_none = |a: Option<std::net::IpAddr>| a.map_or("(none)".to_owned(), |a| a.to_string());
    put!(out, "   IPv4 address = {}", or_none(i.ipv4));
    put!(out, "   IPv6 address = {}", or_none(i.ipv6));
    if !i.mac.is_empty() {
        put!(out, "   MAC = {}", i.mac);
    }
    put!(out, "   State = {}", if i.up { "UP, RUNNING" } else { "DOWN" });
    put!(out, "   MTU = {}", i.mtu);
    if !i.instances.is_empty() {
        put!(out, "   Tracking VRRP instances :");
        i.instances.iter().for_each(|name| put!(out, "     {name}, weight 0"));
    }
}

fn epoch(time: Timestamp) -> String {
    format!("{}.{:06}", time.secs(), time.subsec_micros())
}

fn milliseconds(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e3
}

const fn enabled(yes: bool) -> &'static str {
    if yes { "enabled" } else { "disabled" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_labels_that_exporters_read_are_there() {
        let instance = Instance {
            name: "V4".into(),
            version: 2,
            ip_version: 4,
            state: State::Master,
            wanted: State::Master,
            since: Timestamp::from_micros(1_795_263_474_242_479),
            vrid: 51,
            interface: Some("k0".into()),
            advert_interval: 0.5,
            master_down: 3.414_062,
            ..Instance::default()
        };
        let snapshot = Snapshot { instances: vec![instance], ..Snapshot::default() };
        let text = data(&snapshot, &["Router ID = lb1".into()], &|_| "then".into());
        for expected in [
            "------< Global definitions >------\n Router ID = lb1\n",
            "------< VRRP Topology >------\n VRRP Instance = V4\n",
            "\n   State = MASTER\n",
            "\n   Last transition = 1795263474.242479 (then)\n",
            "\n   Master down timer = 3414062 usecs\n",
            "\n   Virtual Router ID = 51\n",
            "\n   Advert interval = 500 milli-sec\n",
            "\n   Virtual IP (0):\n",
        ] {
            assert!(text.contains(expected), "{expected:?} is missing in\n{text}");
        }
    }
}
