//! Large tables: parts, shares, and what is told of many refusals.

use std::sync::Mutex;

use netlink::Family;
use netlink::ipvs::{Destination, Entry, FakeIpvs, Forwarding};

use super::*;

/// More than a look reads at a time.
const MANY: u32 = 600;

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<FakeIpvs>>);

impl IpvsKernel for Shared {
    fn apply(&mut self, requests: &[Request]) -> Vec<Result<(), KernelError>> {
        self.0.lock().unwrap().apply(requests)
    }
    fn services(&mut self) -> Result<Vec<ServiceState>, KernelError> {
        self.0.lock().unwrap().services()
    }
    fn destinations(&mut self, key: &ServiceKey) -> Result<Vec<DestinationState>, KernelError> {
        self.0.lock().unwrap().destinations(key)
    }
    fn timeouts(&mut self) -> Result<Timeouts, KernelError> {
        self.0.lock().unwrap().timeouts()
    }
    fn daemons(&mut self) -> Result<Vec<SyncDaemon>, KernelError> {
        self.0.lock().unwrap().daemons()
    }
}

fn key(n: u32) -> ServiceKey {
    ServiceKey::mark(Family::V4, n + 1)
}

fn server(n: u8) -> SocketAddr {
    SocketAddr::from(([203, 0, 113, n], 80))
}

fn wanted(scheduler: &str) -> Table {
    let mut table = Table::new();
    for n in 0..MANY {
        let mut entry = Entry::new(Service::new(scheduler));
        for host in [3, 1, 2] {
            entry.insert(server(host), Destination::new(Forwarding::Nat, 1));
        }
        table.put(key(n), Arc::new(entry));
    }
    table
}

fn opened() -> (Kernel, Shared) {
    let shared = Shared::default();
    let mut kernel = Kernel::new(Held::new());
    kernel.open(Box::new(shared.clone()));
    (kernel, shared)
}

#[test]
fn a_large_table_comes_in_parts_and_the_mirror_is_the_kernel() {
    let (mut kernel, shared) = opened();
    let table = wanted("rr");
    let mut outcome = kernel.bring_all(&table);
    assert_eq!(outcome.take_refused().count(), 0);
    assert_eq!((shared.0.lock().unwrap().contents(), kernel.mirror()), (&table, &table));
    let requests = shared.0.lock().unwrap().counts().requests;
    assert_eq!(requests, MANY as usize * 4);
    kernel.bring_all(&Table::new());
    assert!(shared.0.lock().unwrap().contents().is_empty() && kernel.mirror().is_empty());
    assert!(!kernel.holds_something());
}

#[test]
fn of_many_refusals_the_first_are_told_and_the_rest_is_counted() {
    let (mut kernel, shared) = opened();
    shared.0.lock().unwrap().without_scheduler("rr");
    let mut outcome = kernel.bring_all(&wanted("rr"));
    let told: Vec<String> = outcome.take_refused().collect();
    assert_eq!(told.len(), REPORTED + 1);
    let more = MANY as usize - REPORTED;
    assert_eq!(told[REPORTED], format!("{more} more requests were refused"));
}

#[test]
fn somebodys_change_anywhere_is_found_in_a_few_looks() {
    let (mut kernel, shared) = opened();
    let table = wanted("rr");
    kernel.bring_all(&table);
    for (n, request) in [
        Request::DelDestination(key(MANY - 1), server(2)),
        Request::SetDestination(key(MANY / 2), server(1), Destination::new(Forwarding::Nat, 9)),
        Request::NewDestination(key(0), server(9), Destination::new(Forwarding::Nat, 1)),
        Request::DelService(key(1)),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(shared.0.lock().unwrap().apply(&[request]), [Ok(())]);
        let mut looks = 0;
        // However long one look may take, a round ends.
        while kernel.repaired() == n as u64 {
            looks += 1;
            assert!(looks <= MANY, "{n} is not found");
            assert!(kernel.look(&table).lost.is_none());
        }
        assert_eq!(shared.0.lock().unwrap().contents(), &table);
    }
    let before = shared.0.lock().unwrap().counts().requests;
    while kernel.is_looking() {
        kernel.look(&table);
    }
    kernel.look(&table);
    assert_eq!(shared.0.lock().unwrap().counts().requests, before);
}
