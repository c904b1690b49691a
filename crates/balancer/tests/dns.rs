//! Real servers by name, with a name server in this process.

mod support;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use standfast_balancer::Source;
use support::{Scene, Stage, eventually};

const VIP: &str = "TCP 198.51.100.1:80";

/// What the name server answers: records by name and type; names without any do not exist.
#[derive(Clone, Default)]
struct Zone(Arc<Mutex<Answers>>);

#[derive(Default)]
struct Answers {
    records: HashMap<(String, RecordType), Vec<RData>>,
    /// It answers nothing but SERVFAIL.
    sick: bool,
}

impl Zone {
    fn set(&self, name: &str, kind: RecordType, records: Vec<RData>) {
        self.0.lock().unwrap().records.insert((name.to_owned(), kind), records);
    }

    fn addresses(&self, name: &str, addresses: &[&str]) {
        let (v4, v6): (Vec<IpAddr>, Vec<IpAddr>) =
            addresses.iter().map(|text| text.parse::<IpAddr>().unwrap()).partition(IpAddr::is_ipv4);
        let data = |ip: IpAddr| match ip {
            IpAddr::V4(ip) => RData::A(A(ip)),
            IpAddr::V6(ip) => RData::AAAA(AAAA(ip)),
        };
        self.set(name, RecordType::A, v4.into_iter().map(data).collect());
        self.set(name, RecordType::AAAA, v6.into_iter().map(data).collect());
    }

    fn answer(&self, question: &Message) -> Message {
        let zone = self.0.lock().unwrap();
        let mut reply = Message::new(question.metadata.id, MessageType::Response, OpCode::Query);
        reply.metadata.recursion_available = true;
        let Some(query) = question.queries.first() else { return reply };
        reply.add_query(query.clone());
        if zone.sick {
            reply.metadata.response_code = ResponseCode::ServFail;
            return reply;
        }
        let name = query.name().to_ascii().to_lowercase();
        let known = zone.records.keys().any(|(known, _)| *known == name);
        if !known {
            reply.metadata.response_code = ResponseCode::NXDomain;
        }
        for data in zone.records.get(&(name, query.query_type())).into_iter().flatten() {
            reply.add_answer(Record::from_rdata(query.name().clone(), 1, data.clone()));
        }
        reply
    }

    /// Serves on a port of its own, as long as the process lives.
    fn serve(&self) -> SocketAddr {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = socket.local_addr().unwrap();
        let zone = self.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let Ok(question) = Message::from_vec(&buffer[..length]) else { continue };
                let reply = zone.answer(&question).to_vec().unwrap();
                let _ = socket.send_to(&reply, from);
            }
        });
        address
    }

    fn source(&self) -> Box<dyn FnOnce() -> Source + Send> {
        let server = self.serve();
        Box::new(move || {
            Rc::new(move || {
                let mut connection = ConnectionConfig::udp();
                connection.port = server.port();
                let server = NameServerConfig::new(server.ip(), true, vec![connection]);
                let config = ResolverConfig::from_name_servers(vec![server]);
                let runtime = TokioRuntimeProvider::default();
                let mut builder = TokioResolver::builder_with_config(config, runtime);
                let options = builder.options_mut();
                options.cache_size = 0;
                options.timeout = Duration::from_secs(2);
                options.attempts = 1;
                builder.build()
            })
        })
    }
}

fn scene(zone: &Zone, family: &str, servers: &str) -> Stage {
    let vip = if family == "6" { "2001:db8::1" } else { "198.51.100.1" };
    let text = format!("virtual_server {vip} 80 {{\n protocol TCP\n lb_algo rr\n {servers}\n}}\n");
    let mut scene = Scene::new(&text);
    scene.names = Some(zone.source());
    scene.start()
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn destinations_come_and_go_with_the_answer() {
    let zone = Zone::default();
    zone.addresses("web.example.com.", &["203.0.113.1", "203.0.113.2", "2001:db8::9"]);
    let stage = scene(&zone, "4", "real_server web.example.com 8080 {\n weight 5\n }");
    stage.await_table(VIP, &[(at("203.0.113.1:8080"), 5), (at("203.0.113.2:8080"), 5)]);
    zone.addresses("web.example.com.", &["203.0.113.2", "203.0.113.3"]);
    stage.await_table(VIP, &[(at("203.0.113.2:8080"), 5), (at("203.0.113.3:8080"), 5)]);
    let status = stage.status();
    let real = &status.virtual_servers[0].real_servers[0];
    assert_eq!(real.found_by.as_deref(), Some("web.example.com:8080"));
}

fn keeps_the_last_good_answer(break_it: fn(&Zone), wanted: &str) {
    let zone = Zone::default();
    zone.addresses("web.example.com.", &["203.0.113.1"]);
    let stage = scene(&zone, "4", "real_server web.example.com 80 {\n }");
    stage.await_table(VIP, &[(at("203.0.113.1:80"), 1)]);
    break_it(&zone);
    let told = eventually("the failure is told", || {
        history(&stage).into_iter().find(|record| record.kind == "name-failed")
    });
    assert!(told.message.contains(wanted), "{told:?}");
    assert_eq!(stage.table(VIP), Some(vec![("203.0.113.1:80".to_owned(), 1)]));
}

#[test]
fn a_sick_name_server_takes_no_server_away() {
    keeps_the_last_good_answer(|zone| zone.0.lock().unwrap().sick = true, "Server Failure");
}

#[test]
fn a_name_that_is_gone_takes_no_server_away() {
    keeps_the_last_good_answer(
        |zone| zone.0.lock().unwrap().records.clear(),
        "the name does not exist",
    );
}

#[test]
fn what_is_no_address_of_a_server_takes_no_server_away() {
    keeps_the_last_good_answer(
        |zone| {
            zone.addresses("web.example.com.", &["0.0.0.0", "255.255.255.255", "224.0.0.1"]);
        },
        "the name has no address",
    );
}

fn history(stage: &Stage) -> Vec<status::Record> {
    match stage.ask(&status::api::Request::History { subject: None }) {
        status::api::Reply::Records(records) => records,
        other => panic!("{other:?}"),
    }
}

#[test]
fn srv_records_give_port_and_weight() {
    let zone = Zone::default();
    let target = |name: &str| Name::from_ascii(name).unwrap();
    zone.addresses("a.example.com.", &["203.0.113.1"]);
    zone.addresses("b.example.com.", &["203.0.113.2"]);
    zone.addresses("c.example.com.", &["203.0.113.3"]);
    zone.set(
        "_web._tcp.example.com.",
        RecordType::SRV,
        vec![
            RData::SRV(SRV::new(10, 7, 8001, target("a.example.com."))),
            RData::SRV(SRV::new(10, 0, 8002, target("b.example.com."))),
            RData::SRV(SRV::new(20, 9, 8003, target("c.example.com."))),
        ],
    );
    let stage = scene(&zone, "4", "real_server _web._tcp.example.com {\n }");
    // The second priority is for clients that cannot reach the first; weight 0 is a small one.
    stage.await_table(VIP, &[(at("203.0.113.1:8001"), 7), (at("203.0.113.2:8002"), 1)]);
    let found_by = stage.status().virtual_servers[0].real_servers[0].found_by.clone();
    assert_eq!(
        found_by.as_deref(),
        Some("_web._tcp.example.com"),
        "the port comes from the record"
    );
}

#[test]
fn an_ipv6_service_asks_for_ipv6_addresses() {
    let zone = Zone::default();
    zone.addresses("web.example.com.", &["203.0.113.1", "2001:db8::9"]);
    let stage = scene(&zone, "6", "real_server web.example.com 80 {\n }");
    stage.await_table("TCP [2001:db8::1]:80", &[(at("[2001:db8::9]:80"), 1)]);
}

#[test]
fn a_name_without_an_answer_has_no_servers_and_says_so() {
    let zone = Zone::default();
    let stage = scene(&zone, "4", "real_server web.example.com 80 {\n }");
    eventually("the failure is told", || {
        let records = history(&stage);
        let told = records.iter().find(|record| record.kind == "name-failed")?;
        assert!(told.message.contains("the name does not exist"), "{told:?}");
        Some(())
    });
    assert_eq!(stage.table(VIP), Some(Vec::new()));
    assert_eq!(stage.status().virtual_servers[0].real_servers[0].name, "web.example.com:80");
}
