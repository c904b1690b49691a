//! What configurations come to.

use std::path::PathBuf;

use notify::security::{Metadata, UserEntry};

use super::*;

/// A machine with one interface and nobody but root.
struct Bench {
    sources: Vec<(&'static str, IpAddr)>,
}

impl Machine for Bench {
    fn mtu(&self, interface: &str) -> Option<u32> {
        (interface == "eth0").then_some(9000)
    }

    fn source(&self, interface: &str, family: Family) -> Option<IpAddr> {
        let of = |(name, ip): &&(&str, IpAddr)| *name == interface && Family::of(ip) == family;
        self.sources.iter().find(of).map(|(_, ip)| *ip)
    }

    fn has_address(&self, address: IpAddr) -> bool {
        self.sources.iter().any(|(_, ip)| *ip == address)
    }
}

struct NoFiles;

impl notify::security::FileSystem for NoFiles {
    fn lstat(&self, _: &std::path::Path) -> std::io::Result<Metadata> {
        Err(std::io::ErrorKind::NotFound.into())
    }
    fn user(&self, _: &str) -> Option<UserEntry> {
        None
    }
    fn group(&self, _: &str) -> Option<u32> {
        None
    }
    fn own_ids(&self) -> (u32, u32) {
        (0, 0)
    }
    fn current_dir(&self) -> PathBuf {
        "/".into()
    }
    fn search_path(&self) -> Vec<PathBuf> {
        Vec::new()
    }
}

fn plan_of(text: &str) -> (Model, Plan) {
    let loaded = config::load_text(text, &config::Options::default());
    let model = config::lower::lower(&loaded.tree, &config::lower::BuiltinNames).model;
    let machine = Bench {
        sources: vec![
            ("eth0", "198.51.100.1".parse().unwrap()),
            ("eth0", "fe80::1".parse().unwrap()),
        ],
    };
    let resolver = Resolver::new(&model, &NoFiles);
    let plan = plan(&model, &mut Ids::default(), &machine, &resolver);
    (model, plan)
}

fn instance(lines: &str) -> String {
    format!(
        "vrrp_instance A {{\n interface eth0\n virtual_router_id 51\n{lines}
 virtual_ipaddress {{\n 198.51.100.100/24\n }}\n}}\n"
    )
}

/// Kind, name, weight and direction of everything that the first router depends on.
fn tracks(plan: &Plan) -> Vec<(TrackKind, &str, Option<i32>, bool)> {
    plan.engine.routers[0]
        .tracks
        .iter()
        .map(|t| (t.kind, t.name.as_str(), t.weight, t.reverse))
        .collect()
}

#[test]
fn settings_of_an_instance_reach_the_engine() {
    let (_, plan) = plan_of(&instance(
        " priority 150\n version 3\n advert_int 0.25\n nopreempt\n down_timer_adverts 5
 lower_prio_no_advert\n garp_master_delay 2\n garp_master_repeat 3\n garp_master_refresh 60
 mcast_dst_ip 224.0.0.99",
    ));
    let router = &plan.engine.routers[0];
    assert_eq!((router.priority.get(), router.vrid.get()), (150, 51));
    assert_eq!(router.version, Version::V3);
    assert_eq!(router.advert_interval, Duration::from_millis(250));
    assert!(!router.preempt && router.lower_prio_no_advert);
    assert_eq!(router.down_timer_adverts, 5);
    assert_eq!(router.garp.delay, Duration::from_secs(2));
    assert_eq!((router.garp.repeat, router.garp.refresh.as_secs()), (3, 60));
    assert_eq!(router.transport, Transport::Multicast { group: [224, 0, 0, 99].into() });
    assert_eq!(router.source, Some([198, 51, 100, 1].into()));
    assert_eq!((router.mtu, router.ttl), (9000, 255));
    assert_eq!(router.addresses, [IpAddr::from([198, 51, 100, 100])]);
    assert_eq!(tracks(&plan), [(TrackKind::Interface, "eth0", None, false)]);
}

#[test]
fn secrets_reach_the_engine_and_a_missing_key_file_keeps_the_instance_back() {
    let (_, plan) =
        plan_of(&instance(" authentication {\n auth_type PASS\n auth_pass secret12\n }"));
    assert_eq!(plan.engine.routers[0].auth, Auth::Pass(Secret::new(*b"secret12")));
    let (_, plan) =
        plan_of(&instance(" version 3\n auth_hmac {\n key 1 file:/nonexistent/standfast-key\n }"));
    assert!(plan.engine.routers[0].broken.is_some());
    assert!(plan.notices.iter().any(|n| n.contains("auth_hmac")), "{:?}", plan.notices);
}

#[test]
fn a_unicast_instance_sends_with_its_own_ttl() {
    let (_, plan) = plan_of(&instance(
        " unicast_src_ip 198.51.100.9\n unicast_ttl 64
 unicast_peer {\n 198.51.100.2 min_ttl 60\n }",
    ));
    let router = &plan.engine.routers[0];
    assert_eq!((router.ttl, router.source), (64, Some([198, 51, 100, 9].into())));
    let Transport::Unicast { peers } = &router.transport else { panic!("{:?}", router.transport) };
    assert_eq!(peers[0].min_ttl, Some(60));
}

#[test]
fn a_missing_source_counts_only_where_it_is_tracked() {
    let lines = " mcast_src_ip 198.51.100.9\n";
    assert!(plan_of(&instance(lines)).1.engine.routers[0].source.is_some());
    let tracked = format!("{lines} track_src_ip");
    assert_eq!(plan_of(&instance(&tracked)).1.engine.routers[0].source, None);
}

#[test]
fn an_owner_may_speak_from_the_address_that_it_owns() {
    let alone = |priority: u8| {
        let text = format!(
            "vrrp_instance A {{\n interface eth7\n virtual_router_id 51\n priority {priority}
 virtual_ipaddress {{\n 203.0.113.1/24\n }}\n}}\n"
        );
        plan_of(&text).1.engine.routers[0].source
    };
    assert_eq!(alone(255), Some([203, 0, 113, 1].into()));
    assert_eq!(alone(254), None);
}

#[test]
fn interfaces_that_matter_are_those_that_are_used_or_tracked() {
    let (_, plan) = plan_of(
        "vrrp_instance A {\n interface eth0\n virtual_router_id 51
 track_interface {\n eth1\n eth2 weight -20\n eth0 weight 5\n }
 virtual_ipaddress {\n 198.51.100.100/24 dev eth3\n 198.51.100.101/24 dev eth4 no_track\n }
 virtual_routes {\n 203.0.113.0/24 dev eth5\n }\n}\n",
    );
    let faults: Vec<_> = tracks(&plan).into_iter().filter(|t| t.2.is_none()).map(|t| t.1).collect();
    assert_eq!(faults, ["eth0", "eth3", "eth5", "eth1"]);
    assert!(tracks(&plan).contains(&(TrackKind::Interface, "eth2", Some(-20), false)));
    let watched: Vec<_> = plan.interfaces.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(watched, ["eth0", "eth3", "eth5", "eth1", "eth2", "eth4"]);
    let (_, plan) = plan_of(&instance(" dont_track_primary"));
    assert!(tracks(&plan).is_empty());
}

#[test]
fn a_script_that_cannot_run_is_told_and_tracks_nothing() {
    let (_, plan) = plan_of(
        &("vrrp_script chk {\n script /nonexistent/check\n}\n".to_owned()
            + &instance(" track_script {\n chk\n }")),
    );
    assert_eq!(tracks(&plan).len(), 1);
    assert!(plan.worker.scripts.is_empty());
    assert!(plan.notices.iter().any(|n| n.contains("chk")), "{:?}", plan.notices);
}

#[test]
fn trackers_that_nobody_tracks_cost_nothing() {
    let files = "track_file used {\n file /tmp/a\n}\ntrack_file idle {\n file /tmp/b\n}\n";
    let (_, plan) =
        plan_of(&(files.to_owned() + &instance(" track_file {\n used weight 3 reverse\n }")));
    let names: Vec<_> = plan.worker.files.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(names, ["used"]);
    assert!(tracks(&plan).contains(&(TrackKind::File, "used", Some(3), true)));
}

#[test]
fn excluded_addresses_are_held_and_not_advertised() {
    let (_, plan) = plan_of(&instance(
        " virtual_ipaddress_excluded {\n 2001:db8::100/64\n 198.51.100.105/24\n }",
    ));
    let holding = &plan.routers[0].holding;
    assert_eq!((holding.addresses.len(), holding.advertised), (3, 1));
    assert_eq!(plan.engine.routers[0].addresses.len(), 1);
}

#[test]
fn a_vmac_sends_and_holds_unless_told_to_send_by_the_base() {
    let (_, plan) = plan_of(&instance(" use_vmac v51"));
    assert_eq!(plan.routers[0].transmit.as_deref(), Some("v51"));
    assert_eq!(plan.routers[0].holding.device.as_deref(), Some("v51"));
    let (_, plan) = plan_of(&instance(" use_vmac v51\n vmac_xmit_base"));
    assert_eq!(plan.routers[0].transmit, None);
    assert_eq!(plan.routers[0].holding.device.as_deref(), Some("v51"));
}

#[test]
fn an_ipvlan_speaks_from_its_own_address_if_it_has_one() {
    let (_, plan) = plan_of(&instance(" use_ipvlan ipv51 198.51.100.51/24"));
    assert_eq!(plan.engine.routers[0].source, Some([198, 51, 100, 51].into()));
    assert_eq!(plan.routers[0].holding.device.as_deref(), Some("ipv51"));
    let (_, plan) = plan_of(&instance(" use_ipvlan ipv51"));
    assert_eq!(plan.engine.routers[0].source, Some([198, 51, 100, 1].into()));
}

#[test]
fn groups_and_paces_are_taken_over() {
    let (_, plan) = plan_of(
        &("global_defs {\n vrrp_garp_interval 0.05\n}\n\
           garp_group {\n garp_interval 0.2\n interfaces {\n eth0\n eth1\n }\n}\n\
           vrrp_sync_group G {\n group {\n A\n }\n track_interface {\n eth9\n }\n}\n"
            .to_owned()
            + &instance("")),
    );
    assert_eq!(plan.gaps.garp, Duration::from_millis(50));
    let (lane, gaps) = plan.lanes["eth1"];
    assert_eq!((lane, gaps.garp), (Lane::Group(0), Duration::from_millis(200)));
    assert_eq!(plan.engine.groups[0].members, ["A"]);
    assert_eq!(plan.engine.groups[0].tracks[0].name, "eth9");
}

#[test]
fn priorities_are_told_to_fifos_and_not_to_scripts() {
    let command = notify::settings::ScriptCommand::new("/bin/told");
    let scripts = Scripts { any: Some(command), ..Scripts::default() };
    for kind in [vrrp::NotifyKind::MasterPriority(9), vrrp::NotifyKind::BackupPriority(9)] {
        assert!(scripts_for(&scripts, kind).is_empty());
    }
    assert_eq!(scripts_for(&scripts, vrrp::NotifyKind::Master).len(), 1);
}
