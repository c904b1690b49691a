//! Mail to a real mail server, Debian's Exim: STARTTLS, TLS, authentication, and a restart while
//! mail waits. The server is a private instance with its own configuration, spool and mailbox.

mod support;

use std::fs::{self, Permissions};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use config::model::Secret;
use config::model::global::MailSecurity;
use standfast_notify::event::State;
use standfast_notify::mail::{MailConfig, MailReport, Mailer, Pace, text};
use support::{PATIENCE, await_true};

const PROGRAM: &str = "/usr/sbin/exim4";

struct Exim {
    dir: tempfile::TempDir,
    /// STARTTLS and authentication after it.
    port: u16,
    /// TLS from the first octet.
    tls_port: u16,
    daemon: Option<Child>,
}

impl Exim {
    /// `None`, with a word on the terminal, where it cannot be.
    fn start() -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("NOT TESTED: a private Exim wants root");
            return None;
        }
        let user = nix::unistd::User::from_name("Debian-exim").ok().flatten();
        let (Some(user), true) = (user, Path::new(PROGRAM).exists()) else {
            eprintln!("NOT TESTED: no Exim here: tools/deps test");
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        for name in ["spool", "log", "mail"] {
            let path = dir.path().join(name);
            fs::create_dir(&path).unwrap();
            chown(&path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
        }
        certificates(dir.path());
        let (port, tls_port) = (free_port(), free_port());
        fs::write(dir.path().join("conf"), configuration(dir.path(), port, tls_port)).unwrap();
        let mut exim = Self { dir, port, tls_port, daemon: None };
        exim.run();
        Some(exim)
    }

    fn run(&mut self) {
        let daemon = Command::new(PROGRAM)
            .arg("-C")
            .arg(self.path("conf"))
            .arg("-bdf")
            .stdin(Stdio::null())
            // What there is to say is in its log.
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.daemon = Some(daemon);
        let port = self.port;
        await_true("Exim listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    }

    fn end(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }

    /// Processes of this instance: each has the path of its configuration in its command line.
    fn processes(&self) -> Vec<nix::unistd::Pid> {
        let conf = self.path("conf");
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        ids.filter(|id| {
            let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0).any(|word| word == conf.as_os_str().as_encoded_bytes())
        })
        .map(nix::unistd::Pid::from_raw)
        .collect()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn mailbox(&self) -> String {
        fs::read_to_string(self.path("mail/all")).unwrap_or_default()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log/mainlog")).unwrap_or_default()
    }

    /// Settings with which it takes mail.
    fn config(&self) -> MailConfig {
        MailConfig {
            router_id: "LVS_ONE".into(),
            recipients: vec!["ops@example.org".into(), "Night Watch <night@example.org>".into()],
            from: "daemon@example.org".into(),
            server: ("localhost".into(), self.port),
            helo: "lb1.example.org".into(),
            timeout: Duration::from_secs(20),
            security: MailSecurity::StartTls,
            login: Some(("lb".into(), Secret::new("hunter2"))),
            ca: Some(self.path("ca.pem")),
            pace: Pace {
                window: Duration::from_millis(50),
                first_retry: Duration::from_millis(100),
                longest_retry: Duration::from_secs(1),
                ..Pace::default()
            },
        }
    }
}

impl Drop for Exim {
    fn drop(&mut self) {
        self.end();
        // A delivery under way would write into the directory while it is removed.
        let begin = Instant::now();
        while !self.processes().is_empty() && begin.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(20));
        }
        for process in self.processes() {
            let _ = nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGKILL);
        }
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// An authority, and a certificate for this host that it has signed.
fn certificates(dir: &Path) {
    let openssl = |arguments: &str| {
        let status = Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(dir)
            .stderr(Stdio::null())
            .status()
            .expect("openssl is there");
        assert!(status.success(), "openssl {arguments}");
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!("req -x509 {key} -days 2 -subj /CN=authority -keyout ca.key -out ca.pem"));
    openssl(&format!("req {key} -subj /CN=localhost -keyout key.pem -out request.pem"));
    let names = "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n";
    fs::write(dir.join("names"), names).unwrap();
    openssl(
        "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
         -extfile names -out cert.pem",
    );
    for file in ["cert.pem", "key.pem"] {
        fs::set_permissions(dir.join(file), Permissions::from_mode(0o644)).unwrap();
    }
}

fn configuration(dir: &Path, port: u16, tls_port: u16) -> String {
    let dir = dir.display();
    format!(
        "primary_hostname = mx.example.org
spool_directory = {dir}/spool
log_file_path = {dir}/log/%slog
pid_file_path = {dir}/spool/pid
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port} : {tls_port}
tls_on_connect_ports = {tls_port}
tls_advertise_hosts = *
tls_certificate = {dir}/cert.pem
tls_privatekey = {dir}/key.pem
auth_advertise_hosts = ${{if eq{{$tls_in_cipher}}{{}}{{}}{{*}}}}
acl_smtp_rcpt = rcpt
keep_environment =
deliver_drop_privilege
begin acl
rcpt:
  accept authenticated = *
  deny message = authenticate first
begin routers
all:
  driver = accept
  transport = file
begin transports
file:
  driver = appendfile
  file = {dir}/mail/all
  envelope_to_add
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{lb}}}}{{eq{{$auth3}}{{hunter2}}}}}}}}
  server_set_id = $auth2
"
    )
}

fn report(mailer: &Mailer, picks: impl Fn(&MailReport) -> bool) -> MailReport {
    let until = Instant::now() + PATIENCE;
    loop {
        match mailer.try_report() {
            Some(report) if picks(&report) => return report,
            Some(_) => {}
            None => {
                assert!(Instant::now() < until, "the awaited report did not come");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

fn delivered(report: &MailReport) -> bool {
    matches!(report, MailReport::Delivered { .. })
}

fn failed(report: &MailReport) -> bool {
    matches!(report, MailReport::Failed { .. })
}

fn post(config: MailConfig) -> Mailer {
    Mailer::start(config, Box::new(|| {})).unwrap()
}

#[test]
fn it_is_delivered_over_starttls_and_over_tls_with_a_login() {
    let Some(exim) = Exim::start() else { return };
    let mailer = post(exim.config());
    mailer.send(text::instance("Zürich", State::Master));
    report(&mailer, delivered);
    mailer.reload(MailConfig {
        security: MailSecurity::Tls,
        server: ("127.0.0.1".into(), exim.tls_port),
        ..exim.config()
    });
    mailer.send(text::group("G1", State::Fault));
    report(&mailer, delivered);
    await_true("both in the mailbox", || {
        let mailbox = exim.mailbox();
        mailbox.contains("Subject: [LVS_ONE] VRRP Group G1 - Entering FAULT state")
            && mailbox.contains("=?utf-8?") // Zürich
    });
    let mailbox = exim.mailbox();
    assert!(mailbox.contains("To: ops@example.org, Night Watch <night@example.org>\n"));
    assert!(mailbox.contains("Envelope-to: night@example.org"), "{mailbox}");
    assert!(mailbox.contains("X-Mailer: Keepalived\n"), "{mailbox}");
    assert!(mailbox.contains("=> VRRP Instance is now owning VRRP VIPs <=\n"), "{mailbox}");
    let log = exim.log();
    assert_eq!(log.matches("P=esmtpsa").count(), 2, "encrypted and authenticated: {log}");
    assert_eq!(log.matches("A=plain:lb").count(), 2, "{log}");
}

#[test]
fn mail_that_waits_survives_the_server_s_restart() {
    let Some(mut exim) = Exim::start() else { return };
    exim.end();
    let mailer = post(exim.config());
    mailer.send(text::instance("A", State::Master));
    let MailReport::Failed { why, .. } = report(&mailer, failed) else { unreachable!() };
    assert!(why.contains("Connection refused"), "{why}");
    mailer.send(text::instance("B", State::Backup));
    report(&mailer, failed);
    exim.run();
    report(&mailer, delivered);
    await_true("all in the mailbox", || {
        let mailbox = exim.mailbox();
        mailbox.contains("VRRP Instance A - Entering MASTER state")
            && mailbox.contains("VRRP Instance B - Entering BACKUP state")
    });
}

#[test]
fn what_is_not_as_demanded_is_not_used() {
    let Some(exim) = Exim::start() else { return };
    let wrong = [
        // Nobody that this machine trusts has signed the certificate.
        (MailConfig { ca: None, ..exim.config() }, "certificate"),
        (
            MailConfig { server: ("127.0.0.2".into(), exim.port), ..exim.config() },
            "Connection refused",
        ),
        (
            MailConfig { login: Some(("lb".into(), Secret::new("wrong"))), ..exim.config() },
            "smtp_login (535",
        ),
        // It takes no mail from strangers.
        (MailConfig { login: None, ..exim.config() }, "authenticate first"),
    ];
    for (config, wanted) in wrong {
        let mailer = post(config);
        mailer.send(text::instance("A", State::Master));
        let report = report(&mailer, |report| {
            matches!(report, MailReport::Failed { .. } | MailReport::Refused { .. })
        });
        assert!(report.to_string().contains(wanted), "{report}, wanted {wanted}");
    }
    assert_eq!(exim.mailbox(), "");
    assert!(!exim.log().contains("<= "), "{}", exim.log());
}
