//! What a configuration means: defaults, what settings demand of one another, and what is said.

use std::net::IpAddr;
use std::time::Duration;

use config::diagnostic::{Class, Code, Language};
use config::lower::{BuiltinNames, Lowered, NameKind, NameTables, lower};
use config::model::route::{AddMode, RouteType};
use config::model::rule::RuleAction;
use config::model::vrrp::{Auth, InitialState, OwnDevice, Transport, Version};
use config::model::{Family, Instance, Lifetime, Origin};
use config::{Options, load_text};

fn read(text: &str) -> Lowered {
    let loaded = load_text(text, &Options::default());
    assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
    lower(&loaded.tree, &BuiltinNames)
}

/// A router on eth0 with an address and these lines.
fn router(lines: &str) -> String {
    format!(
        "vrrp_instance V {{\n interface eth0\n virtual_router_id 5\n {lines}\n \
         virtual_ipaddress {{\n 192.0.2.1/24\n }}\n}}\n"
    )
}

fn instance(lines: &str) -> (Instance, Vec<Language>) {
    let lowered = read(&router(lines));
    let codes = codes(&lowered);
    (lowered.model.vrrp.into_iter().next().expect("an instance"), codes)
}

/// What was said, advice left out.
fn codes(lowered: &Lowered) -> Vec<Language> {
    lowered
        .diagnostics
        .iter()
        .filter(|d| d.class != Class::Unnoticed)
        .filter_map(|d| match d.code {
            Code::Language(code) => Some(code),
            _ => None,
        })
        .collect()
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn defaults() {
    let (i, said) = instance("");
    assert_eq!(said, []);
    assert_eq!(
        (i.priority.get(), *i.version, *i.state, *i.preempt),
        (100, Version::V2, InitialState::Backup, true)
    );
    assert_eq!(*i.advert_interval, ms(1000));
    assert_eq!(i.transport, Transport::Multicast { group: "224.0.0.18".parse().unwrap() });
    assert_eq!((i.ttl, *i.down_timer_adverts, *i.accept), (255, 3, true));
    assert_eq!((*i.garp.delay, *i.garp.repeat, *i.garp.lower_prio_repeat), (ms(5000), 5, 5));
    assert_eq!(i.vips[0].interface.as_deref(), Some("eth0"));
    assert!(i.priority.is_default() && i.vrid.written_at().is_some());
}

#[test]
fn state_master_without_priority_is_the_owner() {
    assert_eq!(instance("state MASTER").0.priority.get(), 255);
    assert_eq!(instance("state MASTER\npriority 150").0.priority.get(), 150);
    let (i, said) = instance("state MASTER\npriority 300");
    assert_eq!((i.priority.get(), said), (100, vec![Language::OutOfRange]));
}

#[test]
fn wrong_values_become_their_defaults() {
    for (line, code) in [
        ("priority 0", Language::OutOfRange),
        ("priority 12a", Language::BadNumber),
        ("priority 0x10", Language::BadNumber),
        ("state SLAVE", Language::UnknownWord),
        ("version 4", Language::OutOfRange),
        ("advert_int 1x", Language::BadNumber),
        ("advert_int 300", Language::OutOfRange),
        ("advert_int -1", Language::BadNumber),
        ("smtp_alert TRUE", Language::BadBoolean),
        ("unicast_src_ip host.example", Language::BadAddress),
        ("mcast_dst_ip 192.0.2.1", Language::BadAddress),
        ("unknown_word 5", Language::UnknownKeyword),
    ] {
        let (i, said) = instance(line);
        assert!(said.contains(&code), "{line}: {said:?}");
        assert_eq!((i.priority.get(), *i.version), (100, Version::V2), "{line}");
        assert_eq!(*i.advert_interval, ms(1000), "{line}");
    }
    let (i, said) = instance("priority +5");
    assert_eq!((i.priority.get(), said), (5, vec![]));
}

#[test]
fn a_missing_argument_is_fatal() {
    let lowered = read(&router("priority"));
    let fatal: Vec<_> = lowered.diagnostics.iter().filter(|d| d.is_fatal()).collect();
    assert_eq!(fatal.len(), 1);
    assert_eq!(fatal[0].code, Code::Language(Language::MissingArgument));
    // Some keywords only complain.
    let lowered = read("global_defs {\n router_id\n}\n");
    assert!(lowered.diagnostics.iter().all(|d| d.class == Class::Complaint));
}

#[test]
fn intervals_are_rounded_to_what_a_packet_can_say() {
    for (lines, interval, told) in [
        ("advert_int 2", 2000, false),
        ("advert_int 1.4", 1000, true),
        ("advert_int 1.5", 2000, true),
        ("advert_int 0.3", 1000, true),
        ("version 3\nadvert_int 0.5", 500, false),
        ("version 3\nadvert_int 1.234", 1230, true),
        ("version 3\nadvert_int 50", 40_950, true),
        ("advert_int 1.0000000", 1000, true),
    ] {
        let (i, said) = instance(lines);
        assert_eq!(*i.advert_interval, ms(interval), "{lines}");
        assert_eq!(!said.is_empty(), told, "{lines}: {said:?}");
    }
}

#[test]
fn nopreempt_and_its_enemies() {
    let preempt = |lines: &str| {
        let (i, said) = instance(lines);
        (*i.preempt, *i.preempt_delay, said.len())
    };
    assert_eq!(preempt("nopreempt"), (false, ms(0), 0));
    assert_eq!(preempt("nopreempt\npreempt"), (true, ms(0), 0));
    assert_eq!(preempt("preempt_delay 4.5"), (true, ms(4500), 0));
    assert_eq!(preempt("state MASTER\npriority 100\nnopreempt"), (true, ms(0), 1));
    assert_eq!(preempt("priority 255\nnopreempt"), (true, ms(0), 1));
    assert_eq!(preempt("nopreempt\npreempt_delay 5"), (false, ms(0), 1));
    assert_eq!(preempt("state MASTER\npriority 100\npreempt_delay 5"), (true, ms(0), 1));
}

#[test]
fn global_settings_are_inherited_wherever_they_stand() {
    let text = router("garp_master_delay 7")
        + "global_defs {\n vrrp_version 3\n vrrp_garp_master_repeat 2\n vrrp_garp_master_delay 9\n \
           vrrp_garp_lower_prio_delay 4\n vrrp_mcast_group4 224.0.0.99\n}\n\
           global_defs {\n vrrp_garp_master_repeat 3\n smtp_alert\n smtp_alert_vrrp off\n}\n";
    let i = &read(&text).model.vrrp[0];
    assert_eq!(*i.version, Version::V3);
    assert!(matches!(i.version.origin, Origin::Inherited(_)));
    assert_eq!((*i.garp.delay, *i.garp.repeat), (ms(7000), 3));
    assert_eq!((*i.garp.lower_prio_delay, *i.garp.lower_prio_repeat), (ms(4000), 3));
    // What follows a lower priority does not follow the instance's own settings.
    let own = instance("garp_master_delay 2\ngarp_master_repeat 9").0;
    assert_eq!((*own.garp.lower_prio_delay, *own.garp.lower_prio_repeat), (ms(5000), 5));
    assert_eq!(i.transport, Transport::Multicast { group: "224.0.0.99".parse().unwrap() });
    assert!(!*i.smtp_alert);
}

#[test]
fn min_garp_spares_what_is_written() {
    let text = "global_defs {\n vrrp_min_garp\n vrrp_garp_master_repeat 4\n}\n".to_owned();
    let i = &read(&(text + &router(""))).model.vrrp[0];
    assert_eq!((*i.garp.delay, *i.garp.repeat), (ms(0), 4));
}

#[test]
fn the_first_address_decides_the_family() {
    let text = "vrrp_instance V {\n interface eth0\n virtual_router_id 5\n virtual_ipaddress {\n \
                2001:db8::1/64\n 192.0.2.1/24\n }\n virtual_ipaddress_excluded {\n 192.0.2.2\n }\n}\n";
    let lowered = read(text);
    assert_eq!(codes(&lowered), [Language::FamilyMismatch]);
    let i = &lowered.model.vrrp[0];
    assert_eq!((i.family, *i.version, i.vips.len()), (Family::V6, Version::V3, 1));
    assert_eq!(i.excluded[0].ip(), "192.0.2.2".parse::<IpAddr>().unwrap());
    assert_eq!(i.transport, Transport::Multicast { group: "ff02::12".parse().unwrap() });
    // The source address was there before the addresses.
    let (i, said) = instance("unicast_src_ip 2001:db8::9");
    assert_eq!(i.family, Family::V6);
    assert!(said.contains(&Language::FamilyMismatch) && i.vips.is_empty() && i.fault.is_some());
}

#[test]
fn ipv6_is_version_2_only_in_so_many_words() {
    let text = "vrrp_instance V {\n interface eth0\n version 2\n virtual_router_id 5\n \
                virtual_ipaddress {\n fe80::5\n }\n}\n";
    let lowered = read(text);
    assert_eq!(*lowered.model.vrrp[0].version, Version::V2);
    // Keepalived has nothing to say about it, we have.
    assert_eq!(codes(&lowered), []);
    assert_eq!(lowered.diagnostics[0].code, Language::Conflict.into());
    let lowered = read(&text.replace(" version 2\n", ""));
    assert_eq!(*lowered.model.vrrp[0].version, Version::V3);
    assert!(lowered.diagnostics.is_empty());
}

#[test]
fn version_3_needs_an_address() {
    let bare = |version: u8, more: &str| {
        let text = format!(
            "vrrp_instance V {{\n interface eth0\n virtual_router_id 5\n version {version}\n {more}\n}}\n"
        );
        let lowered = read(&text);
        (lowered.model.vrrp[0].fault.is_some(), lowered.diagnostics.len())
    };
    assert_eq!(bare(2, ""), (false, 1));
    assert_eq!(bare(3, ""), (true, 1));
    assert_eq!(bare(3, "no_virtual_ipaddress"), (false, 0));
}

#[test]
fn what_nothing_can_replace() {
    let lowered = read("vrrp_instance V {\n interface eth0\n}\n");
    assert!(lowered.model.vrrp.is_empty());
    assert_eq!(codes(&lowered), [Language::Incomplete]);
    let lowered = read("vrrp_instance V {\n interface eth0\n virtual_router_id 300\n}\n");
    assert_eq!(codes(&lowered), [Language::OutOfRange, Language::Incomplete]);
    let lowered = read("vrrp_instance V {\n virtual_router_id 3\n}\n");
    assert_eq!(codes(&lowered), [Language::Incomplete]);
    let lowered = read("vrrp_instance V {\n interface lo\n virtual_router_id 3\n}\n");
    assert!(lowered.model.vrrp.is_empty());
    assert_eq!(codes(&lowered), [Language::NoEffect, Language::Incomplete]);
    let lowered = read(
        "vrrp_instance V {\n virtual_router_id 3\n unicast_peer {\n 192.0.2.2\n }\n \
         virtual_ipaddress {\n 192.0.2.7 dev eth1\n 192.0.2.8\n }\n}\n",
    );
    assert_eq!(lowered.model.vrrp[0].vips.len(), 1, "the one without dev has no interface");
    assert_eq!(codes(&lowered), [Language::Incomplete]);
}

#[test]
fn more_addresses_than_an_advert_lists() {
    let list: String = (0..300).map(|n| format!("10.0.{}.{}/32\n", n / 200, n % 200)).collect();
    let text = format!(
        "vrrp_instance V {{\n interface eth0\n virtual_router_id 5\n virtual_ipaddress {{\n{list}}}\n \
         virtual_ipaddress_excluded {{\n 10.9.9.9\n }}\n}}\n"
    );
    let lowered = read(&text);
    let i = &lowered.model.vrrp[0];
    assert_eq!((i.vips.len(), i.excluded.len()), (255, 46));
    assert_eq!(i.excluded[0].ip(), "10.0.1.55".parse::<IpAddr>().unwrap());
    assert_eq!(codes(&lowered), [Language::OutOfRange]);
}

#[test]
fn addresses_and_their_options() {
    let text = "static_ipaddress {\n 192.0.2.1\n 192.0.2.2/24 brd + dev eth1 scope link label eth1:v\n \
                2001:db8::1\n 2001:db8::2/64 home preferred_lft 60 noprefixroute\n 192.0.2.3/33\n \
                192.0.2.4/24 wobble\n host/24\n 2001:db8::3/128 preferred_lft forever\n}\n";
    let lowered = read(text);
    let a = &lowered.model.static_addresses;
    assert_eq!(
        codes(&lowered),
        [Language::OutOfRange, Language::UnknownOption, Language::BadAddress]
    );
    assert_eq!(a[0].to_string_for_test(), "192.0.2.1/32 eth0");
    assert_eq!(a[1].to_string_for_test(), "192.0.2.2/24 eth1");
    assert_eq!((a[1].scope, a[1].label.as_deref()), (Some(253), Some("eth1:v")));
    assert_eq!(a[2].preferred_lifetime(), Lifetime::Seconds(0), "a /128 is no source address");
    assert_eq!(a[3].preferred_lifetime(), Lifetime::Seconds(60));
    assert_eq!(a[4].network.prefix, 32);
    assert_eq!((a.len(), a[6].preferred_lifetime()), (7, Lifetime::Forever));
}

#[test]
fn a_broadcast_address_needs_host_bits() {
    let lowered = read(
        "static_ipaddress {\n 192.0.2.1 brd +\n 192.0.2.2/31 brd -\n 192.0.2.4/30 brd +\n \
         192.0.2.9 brd 192.0.2.255\n}\n",
    );
    let broadcasts: Vec<_> =
        lowered.model.static_addresses.iter().map(|a| a.broadcast.is_some()).collect();
    assert_eq!(broadcasts, [false, false, true, true]);
    assert_eq!(codes(&lowered), [Language::NoEffect, Language::NoEffect]);
}

trait ForTest {
    fn to_string_for_test(&self) -> String;
}

impl ForTest for config::model::Address {
    fn to_string_for_test(&self) -> String {
        format!("{} {}", self.network, self.interface.as_deref().unwrap_or("-"))
    }
}

#[test]
fn authentication() {
    let auth = |lines: &str| {
        let (i, said) = instance(lines);
        (i.auth, said)
    };
    let block =
        |t: &str, p: &str| format!("authentication {{\n auth_type {t}\n auth_pass {p}\n }}");
    let (pass, said) = auth(&block("PASS", "12345678"));
    assert!(matches!(&pass, Auth::Pass(s) if s.bytes() == b"12345678"));
    assert_eq!(said, []);
    assert!(!format!("{pass:?}").contains("1234"), "a secret is not shown");
    let (pass, said) = auth(&block("PASS", "123456789"));
    assert!(matches!(pass, Auth::Pass(s) if s.bytes() == b"12345678"));
    assert_eq!(said, [Language::PasswordTruncated]);
    assert!(matches!(auth(&block("AH", "x")).0, Auth::Ah(_)));
    assert_eq!(
        auth("authentication {\n auth_type PASS\n }"),
        (Auth::None, vec![Language::Incomplete])
    );
    assert_eq!(auth(&block("MD5", "x")), (Auth::None, vec![Language::UnknownWord]));
    assert_eq!(
        auth(&format!("version 3\n{}", block("PASS", "x"))),
        (Auth::None, vec![Language::Conflict])
    );
    let (i, _) = instance(&format!("state MASTER\npriority 100\n{}", block("AH", "x")));
    assert_eq!(*i.state, InitialState::Backup, "sequence numbers are learnt first");
}

#[test]
fn auth_hmac() {
    let key = "0123456789abcdef0123456789abcdef";
    let (i, said) = instance(&format!(
        "advert_int 4\nauth_hmac {{\n key 1 {key}\n key 2 hex:{key}{key}\n active_key 2\n mode permissive\n }}"
    ));
    assert_eq!(said, []);
    let Auth::Hmac(hmac) = i.auth else { panic!("hmac") };
    assert_eq!((hmac.active_key.get(), *hmac.time_window), (2, ms(12_000)));
    let (i, said) = instance("auth_hmac {\n key 1 short\n }");
    assert_eq!((i.auth, said), (Auth::None, vec![Language::OutOfRange, Language::Incomplete]));
}

#[test]
fn strict_mode() {
    let (i, said) = instance(
        "strict_mode\nstate MASTER\npriority 100\npreempt_delay 5\ndown_timer_adverts 5\naccept\n\
         garp_lower_prio_repeat 3\nlower_prio_no_advert off\nauthentication {\n auth_type PASS\n auth_pass x\n }",
    );
    assert!(said.iter().all(|c| matches!(c, Language::Strict | Language::Conflict)), "{said:?}");
    assert_eq!(said.len(), 7);
    assert_eq!(
        (*i.state, *i.preempt_delay, *i.down_timer_adverts),
        (InitialState::Backup, ms(0), 3)
    );
    assert_eq!((*i.accept, *i.garp.lower_prio_repeat, *i.lower_prio_no_advert), (false, 0, true));
    assert!(*i.owner_ignore_adverts && i.auth == Auth::None);
    let (i, said) = instance("strict_mode\nstate MASTER");
    assert_eq!((said, i.is_owner(), *i.accept), (vec![], true, true));
}

#[test]
fn unicast() {
    let (i, said) = instance(
        "unicast_src_ip 192.0.2.9\nunicast_ttl 5\nunicast_peer {\n 192.0.2.2\n 192.0.2.3 min_ttl 254\n }",
    );
    assert_eq!(said, []);
    let Transport::Unicast { peers } = &i.transport else { panic!("unicast") };
    assert_eq!((peers.len(), peers[1].min_ttl, i.ttl), (2, Some(254), 5));
    assert_eq!(*i.source, Some("192.0.2.9".parse().unwrap()));
    assert!(*i.check_unicast_src, "a TTL limit implies it");
    let (i, said) = instance("unicast_src_ip 192.0.2.9");
    assert!(!i.transport.is_unicast());
    assert_eq!(said, [Language::Conflict]);
    let (i, _) = instance("unicast_src_ip 192.0.2.9\nunicast_fault_no_peer");
    assert_eq!(i.transport, Transport::Unicast { peers: vec![] });
    let (i, said) = instance("use_vmac\nunicast_peer {\n 192.0.2.2\n }");
    assert_eq!((*i.vmac_xmit_base, said), (true, vec![Language::Conflict]));
}

#[test]
fn vmac_names_and_macs() {
    let text = "vrrp_instance A {\n interface eth0\n virtual_router_id 5\n use_vmac\n virtual_ipaddress {\n 192.0.2.1\n }\n}\n\
                vrrp_instance B {\n interface eth0\n virtual_router_id 5\n use_vmac\n virtual_ipaddress {\n fe80::1\n }\n}\n\
                vrrp_instance C {\n interface eth0\n virtual_router_id 6\n use_vmac vip 02:00:00:00:01\n virtual_ipaddress {\n 192.0.2.2\n }\n}\n";
    let lowered = read(text);
    let device = |n: usize| lowered.model.vrrp[n].own_device.as_deref().expect("a device");
    assert_eq!(
        (device(0).name(), device(1).name(), device(2).name()),
        ("vrrp.5", "vrrp6.5", "vip")
    );
    assert!(matches!(device(2), OwnDevice::Vmac { mac: Some([2, 0, 0, 0, 1, 6]), .. }));
}

#[test]
fn definition_before_use() {
    let script = "vrrp_script chk {\n script /bin/true\n weight 5\n}\n";
    let early = read(&(script.to_owned() + &router("track_script {\n chk\n }")));
    let tracked = &early.model.vrrp[0].tracks.scripts;
    assert_eq!((tracked.len(), tracked[0].weight.value.value), (1, 5));
    let late = read(&(router("track_script {\n chk\n }") + script));
    assert_eq!(codes(&late), [Language::DefinedLater]);
    assert!(late.model.vrrp[0].tracks.scripts.is_empty());
    assert_eq!(late.diagnostics[0].secondary.len(), 1, "it shows the definition");
    let near = read(&(script.to_owned() + &router("track_script {\n chkk\n }")));
    assert_eq!(codes(&near), [Language::UnknownName]);
    assert_eq!(near.diagnostics[0].suggestion.as_ref().unwrap().replacement, "chk");
}

#[test]
fn weights_of_references() {
    let text = "vrrp_script a {\n script /bin/true\n weight 5 reverse\n}\n".to_owned()
        + &router(
            "track_script {\n a weight -9\n }\ntrack_interface {\n eth1 weight 500\n eth2 weight 4 reverse\n eth0\n eth3 weight=5\n }",
        );
    let lowered = read(&text);
    let tracks = &lowered.model.vrrp[0].tracks;
    let script = tracks.scripts[0].weight.value;
    assert_eq!((script.value, script.reverse), (-9, false));
    let names: Vec<_> =
        tracks.interfaces.iter().map(|t| (&*t.name, t.weight.value.value)).collect();
    assert_eq!(names, [("eth1", 0), ("eth2", 4), ("eth3", 0)]);
    assert_eq!(
        codes(&lowered),
        [Language::OutOfRange, Language::UnknownOption, Language::NoEffect]
    );
}

#[test]
fn an_owner_and_a_sync_group_ignore_weights() {
    let script = "vrrp_script a {\n script /bin/true\n weight 5\n}\n".to_owned();
    let track = "track_script {\n a\n }\ntrack_interface {\n eth1 weight 5\n }";
    let lowered = read(&(script.clone() + &router(&format!("priority 255\n{track}"))));
    assert!(lowered.model.vrrp[0].tracks.is_empty());
    let group = |more: &str| {
        let second = router("").replace("instance V", "instance W").replace("_id 5", "_id 6");
        let text = format!(
            "{script}vrrp_sync_group G {{\n group {{\n V\n W\n nope\n }}\n{more}\n}}\n{}{second}",
            router(track)
        );
        read(&text).model
    };
    let plain = group("");
    assert_eq!(plain.sync_groups[0].members.len(), 2);
    let tracks = &plain.vrrp[0].tracks;
    assert_eq!((tracks.scripts.len(), tracks.interfaces[0].weight.value.value), (0, 0));
    let weighted = group("sync_group_tracking_weight");
    assert_eq!(weighted.vrrp[0].tracks.scripts.len(), 1);
}

#[test]
fn duplicates() {
    let lowered = read(&(router("") + &router("priority 9")));
    assert_eq!((lowered.model.vrrp.len(), codes(&lowered)), (1, vec![Language::DuplicateName]));
    let other = router("").replace("instance V", "instance W");
    let lowered = read(&(router("") + &other));
    assert_eq!(codes(&lowered), [Language::DuplicateVrid]);
    let faults: Vec<_> = lowered.model.vrrp.iter().map(|i| i.fault.is_some()).collect();
    assert_eq!(faults, [false, true]);
    let elsewhere = other.replace("eth0", "eth1");
    assert_eq!(codes(&read(&(router("") + &elsewhere))), []);
    let (i, said) = instance("notify_master /bin/a\nnotify_master /bin/b");
    assert_eq!(said, [Language::DuplicateEntry]);
    assert_eq!(i.notify.master.unwrap().program(), "/bin/a");
}

#[test]
fn scripts_and_their_users() {
    let text = "global_defs {\n script_user nobody:nogroup\n}\n".to_owned()
        + &router("notify \"/bin/x 'a b' c\" root\nnotify_stop /bin/y");
    let lowered = read(&text);
    let notify = &lowered.model.vrrp[0].notify;
    assert_eq!(notify.any.as_ref().unwrap().words, ["/bin/x", "a b", "c"]);
    assert_eq!(notify.any.as_ref().unwrap().user.as_ref().unwrap().user, "root");
    let inherited = notify.stop.as_ref().unwrap().user.as_ref().unwrap();
    assert_eq!((&*inherited.user, inherited.group.as_deref()), ("nobody", Some("nogroup")));
    let (i, _) = instance("notify_master \"/bin/x 'a\"");
    assert!(i.notify.master.is_none());
}

#[test]
fn routes() {
    let lowered = read(
        "static_routes {\n 10.1.0.0/16 via 192.0.2.1 dev eth0 table 77 metric 5 src 192.0.2.9\n \
         blackhole 10.2.0.0/16\n default via fe80::1 dev eth0\n inet6 default dev eth0\n \
         10.3.0.0/16 via 192.0.2.1 or 192.0.2.2 dev eth0\n 10.4.0.0/16 via nowhere\n \
         10.5.0.0/16 table nosuch\n 2001:db8::/64 src 192.0.2.1 dev eth0\n dev eth0\n \
         10.6.0.0/16 dev eth0 mtu lock 1400 append scope host protocol static\n \
         10.7.0.0/16 nexthop via 192.0.2.1 weight 2 nexthop dev eth1 onlink\n 10.8.0.0/16 dev eth0 what\n}\n",
    );
    let r = &lowered.model.static_routes;
    assert_eq!(r.len(), 7);
    assert_eq!(
        (r[0].table, r[0].metric, r[0].via),
        (Some(77), Some(5), Some("192.0.2.1".parse().unwrap()))
    );
    assert_eq!(
        (r[1].kind, r[1].destination.to_string()),
        (RouteType::Blackhole, "10.2.0.0/16".to_owned())
    );
    assert_eq!((r[2].family, r[3].family), (Family::V6, Family::V6));
    let hops: Vec<_> = r[4]
        .nexthops
        .iter()
        .map(|n| (n.via.unwrap().to_string(), n.interface.as_deref()))
        .collect();
    assert_eq!(
        hops,
        [("192.0.2.1".to_owned(), Some("eth0")), ("192.0.2.2".to_owned(), Some("eth0"))]
    );
    assert_eq!((r[5].mode, r[5].scope, r[5].protocol), (AddMode::Append, Some(254), Some(4)));
    assert!(r[5].metrics.mtu.unwrap().lock && !r[5].is_exotic());
    assert_eq!(
        (r[6].nexthops.len(), r[6].nexthops[0].weight, r[6].nexthops[1].onlink),
        (2, 2, true)
    );
}

#[test]
fn rules() {
    let lowered = read(
        "static_rules {\n from 10.0.0.0/8 table 5\n to 10.0.0.0/8 lookup main priority 7\n \
         from 10.0.0.0/8 priority 5 goto 3\n from 10.0.0.0/8\n fwmark 5/0xff iif eth0 table 9 priority 1\n \
         from 10.0.0.0/8 l3mdev table 4\n from 10.2./16 table 5\n sport 80 table 5 priority 6\n \
         to 2001:db8::/32 from 10.0.0.0/8 table 4\n from all blackhole\n}\n",
    );
    let r = &lowered.model.static_rules;
    let priorities: Vec<_> = r.iter().map(|r| (r.priority, r.priority_assigned)).collect();
    assert_eq!(priorities, [(16384, true), (7, false), (1, false), (6, false), (16383, true)]);
    assert_eq!(r[1].action, RuleAction::Lookup(254));
    assert_eq!((r[2].fwmark, r[2].iif.as_deref()), (Some((5, 255)), Some("eth0")));
    assert_eq!(r[3].source_ports, Some(80..=80), "a single port is a range of one");
    assert_eq!(r[4].action, RuleAction::Blackhole);
}

#[test]
fn names_of_the_machine() {
    struct Machine;
    impl NameTables for Machine {
        fn lookup(&self, kind: NameKind, name: &str) -> Option<u32> {
            (kind == NameKind::Table && name == "blue").then_some(1234)
        }
    }
    let loaded =
        load_text("static_routes {\n 10.0.0.0/8 dev eth0 table blue\n}\n", &Options::default());
    assert_eq!(lower(&loaded.tree, &Machine).model.static_routes[0].table, Some(1234));
    assert_eq!(codes(&lower(&loaded.tree, &BuiltinNames)), [Language::UnknownName]);
}

#[test]
fn an_unknown_block_is_skipped_as_a_whole() {
    let lowered = read(&router("foo {\n bar 1\n priority 7\n }\nadvert_int 3"));
    assert_eq!(codes(&lowered), [Language::UnknownKeyword]);
    let i = &lowered.model.vrrp[0];
    assert_eq!((i.priority.get(), *i.advert_interval, i.vips.len()), (100, ms(3000), 1));
}

#[test]
fn keywords_of_long_ago_and_of_elsewhere() {
    let help =
        |text: &str| read(text).diagnostics.iter().flat_map(|d| d.help.clone()).collect::<String>();
    assert!(help("vvrp_script a {\n}\n").contains("vrrp_script"));
    let assigned = read("vrrp_script a {\n script /bin/true\n weight=5\n}\n");
    assert_eq!(assigned.diagnostics[0].suggestion.as_ref().unwrap().replacement, "weight 5");
    assert!(help(&router("prеempt")).contains("another alphabet"));
    assert!(help("delay_loop 5\n").contains("virtual_server"));
    assert!(
        help("virtual_server 192.0.2.1 80 {\n nat_mask 255.0.0.0\n}\n").contains("leave it out")
    );
}
