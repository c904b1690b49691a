//! `SSL`, `virtual_server_group`, `virtual_server`, `real_server`.

use super::BlockId as B;
use super::Role::{Balancer, Mail, Snmp};
use super::Value::{Block as Blk, Bool, Command, Flag, Path};
use super::{Block, Content, I32, Keyword, LONG, TEXT, U32, Value, int, seconds, special};

const fn kw(name: &'static str, value: Value, default: &'static str, doc: &'static str) -> Keyword {
    Keyword::new(name, value, default, Balancer, doc)
}

const METHOD: Value = special(
    "NAT | DR | TUN [type ipip | gue port N | gre] [nocsum | csum | remcsum]",
    "TUN type gue port 6080",
    "FNAT",
);
const ALGORITHM: Value = special(
    "rr | wrr | lc | wlc | lblc | sh | mh | dh | fo | ovf | lblcr | sed | nq | twos",
    "wrr",
    "round-robin",
);
const ENDPOINT: Value = special("IP [PORT]", "192.0.2.9 80", "192.0.2.999 80");
const DELAY: Value = seconds(0, LONG);
/// A delay that may not be zero.
const PERIOD: Value = super::micros(1, LONG * 1_000_000);
const RETRIES: Value = int(1, U32);

/// What a virtual server sets for its real servers, a real server for its checkers.
const INHERITED: &[Keyword] = &[
    kw("delay_loop", PERIOD, "60", "From the end of one check to the start of the next."),
    kw("retry", RETRIES, "by checker", "Failures that are forgiven."),
    kw("delay_before_retry", DELAY, "by checker", "How long to wait before trying again."),
    kw("warmup", DELAY, "delay_loop", "The first check is at a random time up to this."),
    kw("connect_timeout", PERIOD, "5", "How long a connection may take."),
    kw("virtualhost", TEXT, "", "Host header of web checks.").lenient(),
    Keyword::new("smtp_alert", Bool, "smtp_alert_checker", Mail, "Mail at every change."),
    Keyword::new("snmp_name", TEXT, "", Snmp, "Its name in SNMP.").lenient(),
];

const SERVICE: &[Keyword] = &[
    kw("ip_family", special("inet | inet6", "inet", "ipx"), "", "Family of a service by mark."),
    kw("lb_algo", ALGORITHM, "wlc", "How real servers are chosen."),
    kw("lvs_sched", ALGORITHM, "", "The same as `lb_algo`.").alias("lb_algo"),
    kw("lb_kind", METHOD, "NAT", "How packets reach real servers."),
    kw("lvs_method", METHOD, "", "The same as `lb_kind`.").alias("lb_kind"),
    kw("hashed", Flag, "", "Nothing.").ignored("it never did anything"),
    kw("flag-1", Flag, "", "First flag of the scheduler."),
    kw("flag-2", Flag, "", "Second flag of the scheduler."),
    kw("flag-3", Flag, "", "Third flag of the scheduler."),
    kw("sh-fallback", Flag, "", "sh: choose another server if the chosen one has weight 0."),
    kw("sh-port", Flag, "", "sh: the port counts too."),
    kw("mh-fallback", Flag, "", "mh: choose another server if the chosen one has weight 0."),
    kw("mh-port", Flag, "", "mh: the port counts too."),
    kw("ops", Flag, "", "Choose anew for every packet (UDP)."),
    kw("persistence_engine", TEXT, "", "What makes a client the same, such as sip."),
    kw(
        "persistence_timeout",
        special("[SECONDS]", "600", "2678401"),
        "none; alone: 360",
        "How long a client stays with a server, 1 s to 31 days.",
    ),
    kw(
        "persistence_granularity",
        special("MASK | PREFIX", "255.255.255.0", "255.0.255.0"),
        "a client",
        "Clients of one network stay together.",
    ),
    kw("protocol", special("TCP | UDP | SCTP", "TCP", "ICMP"), "UDP", "Transport."),
    kw("ha_suspend", Flag, "", "Check only while the address is on this node."),
    kw("alpha", Flag, "", "Real servers start down."),
    kw("omega", Flag, "", "Run notifiers at stop."),
    kw("quorum", int(1, U32), "1", "Least weight of the servers that are up."),
    kw("hysteresis", int(0, U32), "0", "Margin round the quorum; below it."),
    kw("quorum_up", Command, "", "Run on gaining the quorum."),
    kw("quorum_down", Command, "", "Run on losing the quorum."),
    kw("weight", int(1, I32), "1", "Default weight of real servers."),
    kw("inhibit_on_failure", Bool, "off", "A server that is down gets weight 0, and stays."),
    kw("sorry_server", ENDPOINT, "", "Serves while the quorum is lost."),
    kw("sorry_server_inhibit", Flag, "", "While it does not serve it stays, with weight 0."),
    kw("sorry_server_lvs_method", METHOD, "lb_kind", "How packets reach it.").lenient(),
    kw(
        "real_server",
        special("IP | NAME [PORT] { … }", "192.0.2.9 80", "192.0.2.999 80"),
        "",
        "A server.",
    ),
];

const SERVER: &[Keyword] = &[
    kw("weight", int(0, I32), "the service's", "Its share."),
    kw("lvs_method", METHOD, "lb_kind", "How packets reach it."),
    kw("uthreshold", int(0, U32), "0: none", "Connections above which it gets no more."),
    kw("lthreshold", int(0, U32), "0: none", "Connections below which it gets some again."),
    kw("inhibit_on_failure", Bool, "the service's", "It gets weight 0 when down, and stays."),
    kw("notify_up", Command, "", "Run when it comes up."),
    kw("notify_down", Command, "", "Run when it goes down."),
    kw("alpha", Bool, "the service's", "It starts down."),
    kw("TCP_CHECK", Blk(B::TcpCheck), "", "Connect."),
    kw("HTTP_GET", Blk(B::HttpGet), "", "Fetch pages."),
    kw("SSL_GET", Blk(B::SslGet), "", "Fetch pages by TLS."),
    kw("SMTP_CHECK", Blk(B::SmtpCheck), "", "Greet a mail server."),
    kw("DNS_CHECK", Blk(B::DnsCheck), "", "Ask a name server."),
    kw("MISC_CHECK", Blk(B::MiscCheck), "", "Run a script."),
    kw("UDP_CHECK", Blk(B::UdpCheck), "", "Send a packet."),
    kw("PING_CHECK", Blk(B::PingCheck), "", "Send an echo request."),
    kw("FILE_CHECK", Blk(B::FileCheck), "", "Read a number from a tracked file."),
    kw("BFD_CHECK", Blk(B::BfdCheck), "", "Follow a BFD session.").later(),
];

pub(super) const BLOCKS: &[Block] = &[
    Block {
        id: B::Ssl,
        title: "SSL",
        doc: "The client side of TLS checks.",
        content: Content::Keywords(&[&[
            kw("password", TEXT, "", "Password of the key.").lenient().later(),
            kw("ca", Path, "", "File of certificate authorities.").lenient(),
            kw("certificate", Path, "", "File of our certificate.").lenient(),
            kw("key", Path, "", "File of its key.").lenient(),
            kw("verify", Bool, "whether there is a `ca`", "SSL_GET verifies certificates.").ours(),
        ]]),
    },
    Block {
        id: B::VirtualServerGroup,
        title: "virtual_server_group",
        doc: "Addresses, ranges of them, and marks.",
        content: Content::Lines {
            grammar: "IP [PORT] | IP-LAST [PORT] | IP-IP [PORT] | IP/PREFIX [PORT] | fwmark N [inet | inet6]",
            options: None,
            good: "192.0.2.10-20 80",
            bad: "192.0.2.20-10 80",
        },
    },
    Block {
        id: B::VirtualServer,
        title: "virtual_server",
        doc: "A balanced service.",
        content: Content::Keywords(&[SERVICE, INHERITED]),
    },
    Block {
        id: B::RealServer,
        title: "real_server",
        doc: "A server of a service, and how it is checked.",
        content: Content::Keywords(&[SERVER, INHERITED]),
    },
];
