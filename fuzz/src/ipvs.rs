//! Any bytes as what the kernel's IPVS says: nothing panics, everything prints, and what is
//! understood can be said to the kernel and is understood again in the same way.

use netlink::ipvs::{Reply, Request, ServiceKey, decode, encode};

/// The bytes as a datagram, once for a service of each family.
pub fn run(data: &[u8]) {
    for key in ["TCP 198.51.100.1:80", "FWM 1 IPv6"] {
        let key: ServiceKey = key.parse().expect("a service");
        for reply in decode(data, &key) {
            let _ = format!("{reply:?}");
            again(reply, &key);
        }
    }
}

fn again(reply: Reply, key: &ServiceKey) {
    let (request, expected) = match reply {
        Reply::Service(mut state) => {
            assert_eq!(state.key.to_string().parse(), Ok(state.key), "shown and read");
            state.counters = Default::default();
            (Request::NewService(state.key, state.service.clone()), Reply::Service(state))
        }
        Reply::Destination(mut state) => {
            let _ = state.destination.forwarding.to_string();
            (state.active, state.inactive, state.persistent) = (0, 0, 0);
            state.counters = Default::default();
            let request = Request::NewDestination(state.service, state.address, state.destination);
            (request, Reply::Destination(state))
        }
        Reply::Daemon(daemon) => (Request::StartDaemon(daemon.clone()), Reply::Daemon(daemon)),
        Reply::Timeouts(timeouts) => (Request::SetTimeouts(timeouts), Reply::Timeouts(timeouts)),
        Reply::Info(_) => return,
    };
    // Names that are too long for the kernel are all that it can say and we cannot.
    let Ok(bytes) = encode(&request) else { return };
    assert_eq!(decode(&bytes, key), [expected], "{request:?}");
}
