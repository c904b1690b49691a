//! `DNS_CHECK` against a real name server (dnsmasq), which `tools/deps test` installs.

use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use config::model::checker::RecordType;
use standfast_checkers::Target;
use standfast_checkers::dns::{Dns, run};

struct NameServer {
    child: Child,
    address: Ipv4Addr,
}

const PORT: u16 = 28053;

impl NameServer {
    /// On a loopback address that no other process has.
    fn start(args: &[&str]) -> Self {
        let address = Ipv4Addr::from(0x7f00_0000 | (std::process::id() * 8 + 7) & 0xff_ffff);
        let child = Command::new("dnsmasq")
            .env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()))
            .args(["--keep-in-foreground", "--conf-file=/dev/null", "--pid-file="])
            .args(["--no-resolv", "--no-hosts", "--bind-interfaces", "--user=", "--group="])
            .arg(format!("--listen-address={address}"))
            .arg(format!("--port={PORT}"))
            .args(args)
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("dnsmasq is missing ({error}): `tools/deps test` installs dnsmasq-base")
            });
        let mut this = Self { child, address };
        let began = Instant::now();
        while TcpStream::connect((address, PORT)).is_err() {
            assert!(this.child.try_wait().expect("a child").is_none(), "dnsmasq ended");
            assert!(began.elapsed() < Duration::from_secs(60), "dnsmasq does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        this
    }

    /// What the check says, without the place and the time.
    fn says(&self, record: RecordType, name: &str, expected: &[&str]) -> String {
        let mut target = Target::new((self.address, PORT).into());
        target.timeout = Duration::from_secs(60);
        let expected = expected.iter().map(|text| (*text).to_owned()).collect();
        let check = Dns { record, name: name.to_owned(), expected, target };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        match runtime.expect("a runtime").block_on(run(&check)) {
            Ok(success) => success.detail.to_string(),
            Err(failure) => failure.cause.to_string(),
        }
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn records_errors_and_long_answers() {
    let part = "x".repeat(200);
    let long = format!("--txt-record=long.example.com,{part},{part},{part}");
    let server = NameServer::start(&[
        "--local=/example.com/",
        "--host-record=www.example.com,198.51.100.7,2001:db8::7",
        "--mx-host=example.com,mail.example.com,10",
        "--cname=web.example.com,www.example.com",
        "--txt-record=example.com,v=spf1 -all",
        "--edns-packet-max=512",
        &long,
    ]);
    let says = |record, name, expected: &[&str]| server.says(record, name, expected);
    assert_eq!(
        says(RecordType::A, "www.example.com", &["198.51.100.7"]),
        "DNS NOERROR, answers: 1"
    );
    assert_eq!(
        says(RecordType::Aaaa, "WWW.example.com.", &["2001:DB8:0::7"]),
        "DNS NOERROR, answers: 1"
    );
    assert_eq!(
        says(RecordType::Mx, "example.com", &["10 mail.example.com"]),
        "DNS NOERROR, answers: 1"
    );
    assert_eq!(
        says(RecordType::Txt, "example.com", &["\"v=spf1 -all\""]),
        "DNS NOERROR, answers: 1"
    );
    // The alias and what it leads to.
    assert_eq!(
        says(RecordType::A, "web.example.com", &["198.51.100.7", "www.example.com"]),
        "DNS NOERROR, answers: 2"
    );
    assert_eq!(
        says(RecordType::A, "www.example.com", &["198.51.100.8"]),
        "the DNS answer lacks 198.51.100.8; it has 198.51.100.7"
    );
    // No error and no answer.
    assert_eq!(says(RecordType::Mx, "www.example.com", &[]), "DNS NOERROR, answers: 0");
    assert_eq!(says(RecordType::A, "none.example.com", &[]), "DNS NXDOMAIN, wanted NOERROR");
    // It is nobody's, and there is nobody to be asked.
    assert_eq!(says(RecordType::Soa, ".", &[]), "DNS REFUSED, wanted NOERROR");
    // 600 bytes do not fit into a packet without EDNS.
    assert_eq!(
        says(RecordType::Txt, "long.example.com", &[&part.repeat(3)]),
        "DNS NOERROR, answers: 1 over TCP"
    );
}
