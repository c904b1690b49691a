//! Health checkers of a real server.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::command::Command;
use super::setting::{Name, Setting};
use super::track::Weight;

/// A checker. As there may be tens of thousands of them, what is rare is boxed, and only of a
/// time-out is told where it came from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checker {
    /// What it does.
    pub kind: CheckerKind,
    /// When and how often.
    pub schedule: Schedule,
    /// Where it connects; `None` for MISC, FILE and BFD.
    pub connection: Option<Connection>,
    /// `alpha`: counts as down until it has succeeded.
    pub alpha: bool,
    /// `log_all_failures`; default from `checker_log_all_failures`.
    pub log_all_failures: bool,
}

/// When and how often a checker runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// `delay_loop`, from end to start.
    pub delay_loop: Duration,
    /// `retry`: failures that are forgiven.
    pub retry: u32,
    /// `delay_before_retry`.
    pub delay_before_retry: Duration,
    /// `warmup`: the first run is at a random time up to this; default: the delay loop.
    pub warmup: Duration,
}

/// Where a network checker connects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Connection {
    /// `connect_ip`; `None`: the real server's.
    pub ip: Option<IpAddr>,
    /// `connect_port`; `None`: the real server's.
    pub port: Option<u16>,
    /// `bindto`.
    pub bind_address: Option<IpAddr>,
    /// `bind_port`.
    pub bind_port: Option<u16>,
    /// `bind_if`.
    pub bind_interface: Option<Box<Name>>,
    /// `connect_timeout`; default 5 s.
    pub timeout: Setting<Duration>,
    /// `fwmark`.
    pub fwmark: Option<u32>,
}

impl Connection {
    /// Where it connects if the real server is at `real`.
    #[must_use]
    pub fn to(&self, real: SocketAddr) -> SocketAddr {
        SocketAddr::new(self.ip.unwrap_or(real.ip()), self.port.unwrap_or(real.port()))
    }
}

/// What a checker does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum CheckerKind {
    /// `TCP_CHECK`
    Tcp,
    /// `HTTP_GET`, `SSL_GET`
    Http(Box<Http>),
    /// `SMTP_CHECK`
    Smtp {
        /// `helo_name`.
        helo: Box<str>,
        /// `host { … }` (deprecated): further places to connect to.
        hosts: Box<[Connection]>,
    },
    /// `DNS_CHECK`
    Dns {
        /// `type`; default SOA.
        record: RecordType,
        /// `name`; default the root.
        name: Box<str>,
        /// `expect`, beyond Keepalived: data of records that must all be in the answer, as text
        /// (`198.51.100.7`, `10 mail.example.net.`). Empty: any answer without an error will do.
        expected: Box<[String]>,
    },
    /// `MISC_CHECK`
    Misc(Box<Misc>),
    /// `UDP_CHECK`
    Udp {
        /// `payload`; `None`: 32 filler bytes.
        payload: Option<Box<[u8]>>,
        /// `require_reply`.
        reply: Option<Box<UdpReply>>,
    },
    /// `PING_CHECK`
    Ping,
    /// `FILE_CHECK`
    File {
        /// `track_file`: one that exists.
        file: Box<Name>,
        /// `weight`, −2147483647..=2147483647; `None`: the file's own.
        weight: Option<FileWeight>,
    },
    /// `BFD_CHECK`
    Bfd {
        /// `name`: a BFD instance that exists.
        session: Box<Name>,
    },
}

/// `MISC_CHECK`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Misc {
    /// `misc_path`.
    pub command: Command,
    /// `misc_timeout`; default: the delay loop.
    pub timeout: Setting<Duration>,
    /// `misc_dynamic`: exit status is a weight.
    pub dynamic: bool,
}

/// `weight` of a `FILE_CHECK`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileWeight {
    /// Multiplier of the file's value; 0: any value but 0 is down.
    pub value: i32,
    /// `reverse` or `noreverse`, if written.
    pub reverse: Option<bool>,
}

impl From<Weight> for FileWeight {
    fn from(weight: Weight) -> Self {
        Self { value: i32::from(weight.value), reverse: Some(weight.reverse) }
    }
}

/// What a UDP check waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UdpReply {
    /// Bytes and, per byte, the bits that must agree (`X` wildcards clear four each).
    pub pattern: Vec<(u8, u8)>,
    /// `min_reply_length`; default 0.
    pub min_length: u16,
    /// `max_reply_length`; default 255.
    pub max_length: u16,
}

/// Record types of a `DNS_CHECK`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum RecordType {
    A,
    Ns,
    Cname,
    #[default]
    Soa,
    Mx,
    Txt,
    Aaaa,
    Rrsig,
    Dnskey,
}

/// `HTTP_GET`, `SSL_GET`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Http {
    /// `SSL_GET`.
    pub tls: bool,
    /// `virtualhost`; default: that of the real or virtual server.
    pub virtualhost: Option<String>,
    /// `http_protocol`; default 1.0.
    pub protocol: HttpProtocol,
    /// `enable_sni`.
    pub enable_sni: bool,
    /// `sni_name`.
    pub sni_name: Option<String>,
    /// `fast_recovery`.
    pub fast_recovery: bool,
    /// `tls_compliant`: insist on close_notify.
    pub tls_compliant: bool,
    /// `verify`, beyond Keepalived: whether the server's certificate is verified; default:
    /// `verify` of `SSL`, or whether there is a `ca` here or there.
    pub verify: Setting<bool>,
    /// `ca`, beyond Keepalived: file of certificate authorities; default: that of `SSL`; `None`:
    /// the system's.
    pub ca: Option<PathBuf>,
    /// At least one.
    pub urls: Vec<Url>,
}

/// `http_protocol`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum HttpProtocol {
    /// `1.0`
    #[default]
    V10,
    /// `1.0C`: with `Connection: close`.
    V10Close,
    /// `1.1`
    V11,
    /// `1.1C`: with `Connection: close`.
    V11Close,
}

/// `url`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Url {
    /// `path`; default `/`.
    pub path: String,
    /// `digest`: MD5 of the body.
    pub digest: Option<[u8; 16]>,
    /// `status_code`: ranges within 100..=599; empty: 200..=299.
    pub status: Vec<(u16, u16)>,
    /// `virtualhost`.
    pub virtualhost: Option<String>,
    /// `regex`.
    pub regex: Option<Box<Regex>>,
    /// `tls_compliant`.
    pub tls_compliant: Option<bool>,
}

/// `regex` and what belongs to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Regex {
    /// The expression, PCRE.
    pub pattern: String,
    /// `regex_no_match`: success is not to match.
    pub negate: bool,
    /// `regex_options`, as written.
    pub options: Vec<String>,
    /// `regex_min_offset`: the match may begin here.
    pub min_offset: u64,
    /// `regex_max_offset`: the match must begin before this.
    pub max_offset: Option<u64>,
    /// `regex_stack START MAX`, bytes.
    pub stack: Option<(u64, u64)>,
}
