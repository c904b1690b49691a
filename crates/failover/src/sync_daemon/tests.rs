//! The daemons on an IPVS in memory, and what a configuration makes of them.

use std::cell::RefCell;
use std::rc::Rc;

use netlink::KernelError;
use netlink::ipvs::{DestinationState, FakeIpvs, ServiceKey, ServiceState, Timeouts};

use super::*;

/// One IPVS, opened again and again.
#[derive(Clone, Default)]
struct Shared(Rc<RefCell<FakeIpvs>>);

impl IpvsKernel for Shared {
    fn apply(&mut self, requests: &[Request]) -> Vec<Result<(), KernelError>> {
        self.0.borrow_mut().apply(requests)
    }

    fn services(&mut self) -> Result<Vec<ServiceState>, KernelError> {
        self.0.borrow_mut().services()
    }

    fn destinations(&mut self, key: &ServiceKey) -> Result<Vec<DestinationState>, KernelError> {
        self.0.borrow_mut().destinations(key)
    }

    fn timeouts(&mut self) -> Result<Timeouts, KernelError> {
        self.0.borrow_mut().timeouts()
    }

    fn daemons(&mut self) -> Result<Vec<SyncDaemon>, KernelError> {
        self.0.borrow_mut().daemons()
    }
}

impl Shared {
    fn roles(&self) -> Vec<SyncRole> {
        let daemons = self.0.borrow_mut().daemons().unwrap();
        daemons.into_iter().map(|daemon| daemon.role).collect()
    }
}

fn model(text: &str) -> Model {
    let loaded = config::load_text(text, &config::Options::default());
    config::lower::lower(&loaded.tree, &config::lower::BuiltinNames).model
}

const INSTANCE: &str = "vrrp_instance VI_1 {\n interface eth0\n virtual_router_id 51\n \
                        virtual_ipaddress {\n 198.51.100.9\n }\n}\n";

fn global(words: &str) -> String {
    format!("global_defs {{\n lvs_sync_daemon {words}\n}}\n{INSTANCE}")
}

fn daemon(role: SyncRole) -> SyncDaemon {
    SyncDaemon::new(role, "eth0", 51)
}

#[test]
fn the_id_is_the_instance_s_unless_it_is_given() {
    let plain = settings(&model(&global("eth0 VI_1"))).unwrap();
    let expected = Settings { instance: "VI_1".into(), master: daemon(SyncRole::Master) };
    assert_eq!(plain, expected);
    let all = settings(&model(&global(
        "eth0 inst VI_1 id 7 maxlen 1000 port 9000 ttl 3 group 224.1.2.3",
    )));
    let expected = SyncDaemon {
        sync_id: 7,
        max_len: Some(1000),
        port: Some(9000),
        ttl: Some(3),
        group: Some([224, 1, 2, 3].into()),
        ..daemon(SyncRole::Master)
    };
    assert_eq!(all.unwrap().master, expected);
}

#[test]
fn what_is_not_tied_to_an_instance_is_the_balancer_s() {
    let untied = model(&global("eth0 id 5"));
    assert_eq!(settings(&untied), None);
    // Which runs for them alone, without any virtual server.
    assert!(belongs_to_the_balancer(&untied));
    assert!(!belongs_to_the_balancer(&model(&global("eth0 VI_1"))));
    assert_eq!(settings(&model(INSTANCE)), None);
}

#[test]
fn it_sends_as_master_and_receives_otherwise() {
    let kernel = Shared::default();
    let mut keeper = Keeper::new(|| Ok(kernel.clone()));
    for role in [SyncRole::Backup, SyncRole::Master, SyncRole::Backup] {
        assert_eq!(keeper.establish(Some(&daemon(role))), Some(LOOK));
        assert_eq!(kernel.roles(), [role]);
        let requests = kernel.0.borrow().counts().requests;
        assert_eq!(keeper.establish(Some(&daemon(role))), Some(LOOK));
        assert_eq!(kernel.0.borrow().counts().requests, requests, "it runs undisturbed");
    }
    assert_eq!(keeper.establish(None), None);
    assert_eq!(kernel.roles(), []);
}

#[test]
fn what_an_earlier_life_left_is_taken_over() {
    let kernel = Shared::default();
    let left = [SyncRole::Master, SyncRole::Backup].map(|role| Request::StartDaemon(daemon(role)));
    kernel.clone().apply(&left);
    let mut keeper = Keeper::new(|| Ok(kernel.clone()));
    keeper.establish(Some(&daemon(SyncRole::Master)));
    assert_eq!(kernel.roles(), [SyncRole::Master]);
    assert_eq!(kernel.0.borrow().counts().requests, 3, "the master was not touched");
    // Other settings: it is started again.
    let other = SyncDaemon { sync_id: 9, ..daemon(SyncRole::Master) };
    keeper.establish(Some(&other));
    assert_eq!(kernel.clone().daemons().unwrap()[0].sync_id, 9);
}

#[test]
fn what_somebody_stopped_is_started_at_the_next_look() {
    let kernel = Shared::default();
    let mut keeper = Keeper::new(|| Ok(kernel.clone()));
    let wanted = daemon(SyncRole::Backup);
    assert_eq!(keeper.establish(Some(&wanted)), Some(LOOK));
    kernel.clone().apply(&[Request::StopDaemon(SyncRole::Backup)]);
    assert_eq!(keeper.establish(Some(&wanted)), Some(LOOK));
    assert_eq!(kernel.roles(), [SyncRole::Backup]);
}

#[test]
fn a_refusal_is_told_once_and_tried_again() {
    let kernel = Shared::default();
    kernel.0.borrow_mut().with_interfaces([]);
    let mut keeper = Keeper::new(|| Ok(kernel.clone()));
    assert_eq!(keeper.establish(Some(&daemon(SyncRole::Master))), Some(RETRY));
    let complaint = keeper.complaint.clone().unwrap();
    let expected = "start master sync daemon on eth0, id 51: No such device\n  \
                    hint: there is no interface eth0";
    assert_eq!(complaint, expected);
    kernel.0.borrow_mut().with_interfaces(["eth0"]);
    assert_eq!(keeper.establish(Some(&daemon(SyncRole::Master))), Some(LOOK));
    assert_eq!(keeper.complaint, None);
    assert_eq!(kernel.roles(), [SyncRole::Master]);
}

#[test]
fn a_kernel_without_ipvs_is_no_trouble() {
    let mut keeper = Keeper::<FakeIpvs, _>::new(|| Err(OpenError::Missing(None)));
    assert_eq!(keeper.establish(Some(&daemon(SyncRole::Master))), Some(RETRY_MISSING));
    let complaint = keeper.complaint.clone().unwrap();
    assert!(
        complaint.starts_with("the kernel has no IPVS\n  hint: run `modprobe ip_vs`"),
        "{complaint}"
    );
    assert_eq!(keeper.establish(None), None, "nothing need be stopped");
}

#[test]
fn only_the_latest_order_counts_and_the_end_is_the_end() {
    let (orders, inbox) = mpsc::channel();
    let kernel = Shared::default();
    for role in [SyncRole::Backup, SyncRole::Master, SyncRole::Backup, SyncRole::Master] {
        orders.send(Some(daemon(role))).unwrap();
    }
    drop(orders);
    Keeper::new(|| Ok(kernel.clone())).run(&inbox);
    assert_eq!(kernel.roles(), [SyncRole::Master]);
    assert_eq!(kernel.0.borrow().counts().requests, 1);
}

#[test]
fn the_thread_is_told_what_changed_only() {
    let (orders, inbox) = mpsc::channel();
    let (_end, ended) = mpsc::channel();
    let mut daemons = SyncDaemons {
        settings: settings(&model(&global("eth0 VI_1"))),
        thread: Some(Thread { orders, ended }),
        told: None,
    };
    for holds in [false, false, true, true, false] {
        daemons.follow(holds);
    }
    daemons.settings = settings(&model(&global("eth0 VI_1 id 9")));
    daemons.follow(false);
    daemons.configure(&model(INSTANCE));
    daemons.follow(true);
    daemons.settings = settings(&model(&global("eth0 VI_1")));
    daemons.follow(true);
    daemons.let_go();
    daemons.follow(false);
    let told: Vec<_> = inbox.iter().map(|it| it.map(|it| (it.role, it.sync_id))).collect();
    let expected = [
        Some((SyncRole::Backup, 51)),
        Some((SyncRole::Master, 51)),
        Some((SyncRole::Backup, 51)),
        Some((SyncRole::Backup, 9)),
        None,
        Some((SyncRole::Master, 51)),
    ];
    assert_eq!(told, expected);
}
