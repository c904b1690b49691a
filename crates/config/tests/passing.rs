//! A model that is passed on comes through unharmed, in shares, and a damaged one is refused.

mod common;

use common::{assert_passes, encoded};
use config::Options;
use config::lower::{BuiltinNames, lower};
use config::model::Model;
use config::passing::{Passed, Share, decode};
use proptest::prelude::*;

const BOTH: &str = "
global_defs {
    router_id here
    smtp_server 192.0.2.25
    notification_email {
        root@example.net
    }
    smtp_login postmaster secret
}
SSL {
    ca /etc/ca.pem
}
track_file load {
    file /run/load
}
vrrp_script up {
    script \"/bin/true --now\" nobody
    weight -20
}
vrrp_instance V {
    interface eth0
    virtual_router_id 7
    priority 150
    auth_hmac {
        key 1 0123456789abcdef0123456789abcdef
    }
    virtual_ipaddress {
        192.0.2.1/24 dev eth1 label eth1:v
    }
    track_script {
        up weight 10
    }
}
virtual_server_group web {
    198.51.100.1-9 80
    fwmark 5
}
virtual_server group web {
    protocol TCP
    quorum_up \"/bin/echo up\"
    real_server 203.0.113.1 80 {
        weight 3
        HTTP_GET {
            url {
                path /
                status_code 200-204
                regex \"^ok$\"
            }
        }
    }
    real_server host.example.net 80 {
        FILE_CHECK {
            track_file load
        }
    }
}
virtual_server 198.51.100.20 53 {
    protocol UDP
    real_server 203.0.113.1 53 {
        UDP_CHECK {
            payload 00ff
            require_reply 0X
        }
    }
}
";

fn model(text: &str) -> Model {
    let loaded = config::load_text(text, &Options::default());
    let lowered = lower(&loaded.tree, &BuiltinNames);
    for finding in loaded.diagnostics.iter().chain(&lowered.diagnostics) {
        assert!(!finding.is_fatal(), "{}", finding.message);
    }
    lowered.model
}

#[test]
fn nothing_is_lost() {
    let model = model(BOTH);
    assert_eq!((model.vrrp.len(), model.virtual_servers.len()), (1, 2));
    assert_passes(&model);
    assert_passes(&Model::default());
}

#[test]
fn each_role_gets_its_share() {
    let whole = model(BOTH);
    let failover = decode(&encoded(&whole, Share::Failover)).unwrap();
    let expected = Model {
        ssl: None,
        virtual_server_groups: Vec::new(),
        virtual_servers: Vec::new(),
        ..whole.clone()
    };
    assert_eq!(failover, expected);
    let balancer = decode(&encoded(&whole, Share::Balancer)).unwrap();
    let expected = Model { scripts: Vec::new(), vrrp: Vec::new(), ..whole.clone() };
    assert_eq!(balancer, expected);
}

#[test]
fn virtual_servers_are_the_same_to_the_byte_wherever_they_stand() {
    let before = encoded(&model(BOTH), Share::Balancer);
    let moved = BOTH.replace("vrrp_script up", "\n# A comment.\nvrrp_script up");
    let after = encoded(&model(&moved), Share::Balancer);
    assert_eq!(before, after);

    let changed = encoded(&model(&BOTH.replace("weight 3", "weight 4")), Share::Balancer);
    let (before, changed) = (Passed::open(&before).unwrap(), Passed::open(&changed).unwrap());
    assert_eq!(before.head, changed.head);
    assert_ne!(before.virtual_servers[0], changed.virtual_servers[0]);
    assert_eq!(before.virtual_servers[1], changed.virtual_servers[1]);
    let weight = |passed: &Passed<'_>| {
        passed.virtual_servers[0].decode().unwrap().real_servers[0].weight.value
    };
    assert_eq!((weight(&before), weight(&changed)), (3, 4));
}

#[test]
fn what_is_cut_short_or_goes_on_is_refused() {
    let bytes = encoded(&model(BOTH), Share::Whole);
    for length in 0..bytes.len() {
        assert!(decode(&bytes[..length]).is_err(), "{length}");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    let error = decode(&longer).unwrap_err().to_string();
    assert!(error.starts_with("what was passed on is no configuration: "), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_are_too_strange(
        place in any::<prop::sample::Index>(),
        wrong in prop::collection::vec(any::<u8>(), 1..20),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = encoded(&model(BOTH), Share::Whole);
        let at = place.index(bytes.len());
        for (byte, wrong) in bytes[at..].iter_mut().zip(&wrong) {
            *byte = *wrong;
        }
        // Either is right, but for a panic.
        let _ = decode(&bytes);
        let _ = decode(&bytes[..cut.index(bytes.len())]);
        let _ = decode(&wrong);
    }
}
