//! Mail to servers that are slow, moody, rude or gone. Each server is a script in this process.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::sleep;
use std::time::{Duration, Instant};

use config::model::Secret;
use config::model::global::MailSecurity;
use standfast_notify::event::State;
use standfast_notify::mail::{Mail, MailConfig, MailReport, Mailer, Pace, text};
use support::PATIENCE;

/// What a server says at each step; an empty text: it hangs up instead.
#[derive(Clone)]
struct Manners {
    greeting: &'static str,
    /// Lines of the answer to EHLO, without codes.
    ehlo: &'static [&'static str],
    starttls: &'static str,
    auth: &'static str,
    mail: &'static str,
    rcpt: fn(&str) -> &'static str,
    data: &'static str,
    end: &'static str,
}

const POLITE: Manners = Manners {
    greeting: "220 sink",
    ehlo: &["sink", "8BITMIME"],
    starttls: "454 not now",
    auth: "535 no",
    mail: "250 ok",
    rcpt: |_| "250 ok",
    data: "354 go on",
    end: "250 taken",
};

/// What a server has heard in one connection.
#[derive(Debug, Default)]
struct Heard {
    commands: Vec<String>,
    message: String,
    taken: bool,
}

struct Server {
    port: u16,
    heard: Receiver<Heard>,
}

impl Server {
    /// The nth connection meets the nth manners, later ones the last.
    fn start(manners: Vec<Manners>) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), manners)
    }

    fn on(listener: TcpListener, manners: Vec<Manners>) -> Self {
        let port = listener.local_addr().unwrap().port();
        let (tell, heard) = channel();
        std::thread::spawn(move || {
            for (n, stream) in listener.incoming().flatten().enumerate() {
                let manners = manners[n.min(manners.len() - 1)].clone();
                let tell = tell.clone();
                std::thread::spawn(move || serve(stream, &manners, &tell));
            }
        });
        Self { port, heard }
    }

    fn next(&self) -> Heard {
        self.heard.recv_timeout(PATIENCE).expect("a connection that has ended")
    }
}

fn serve(stream: TcpStream, manners: &Manners, tell: &Sender<Heard>) {
    let mut heard = Heard::default();
    let _ = converse(&stream, manners, &mut heard);
    drop(stream);
    let _ = tell.send(heard);
}

/// Ends with an error when somebody hangs up.
fn converse(stream: &TcpStream, manners: &Manners, heard: &mut Heard) -> std::io::Result<()> {
    let mut out = stream;
    let mut say = |text: &str| match text {
        "" => Err(std::io::ErrorKind::ConnectionAborted.into()),
        // One octet at a time, for ever: every single read is in time.
        "drip" => loop {
            out.write_all(b"2")?;
            sleep(Duration::from_millis(20));
        },
        "silence" => {
            let mut ignored = String::new();
            BufReader::new(stream).read_line(&mut ignored)?;
            Err(std::io::ErrorKind::ConnectionAborted.into())
        }
        "flood" => loop {
            out.write_all(&[b'2'; 4096])?;
        },
        text => out.write_all(format!("{text}\r\n").as_bytes()),
    };
    say(manners.greeting)?;
    let mut lines = BufReader::new(stream).lines();
    while let Some(line) = lines.next() {
        let line = line?;
        heard.commands.push(line.clone());
        let verb = line.split_whitespace().next().unwrap_or_default().to_uppercase();
        match verb.as_str() {
            "EHLO" => {
                let (last, first) = manners.ehlo.split_last().unwrap();
                for line in first {
                    say(&format!("250-{line}"))?;
                }
                say(&format!("250 {last}"))?;
            }
            "STARTTLS" => say(manners.starttls)?,
            "AUTH" => say(manners.auth)?,
            "MAIL" => say(manners.mail)?,
            "RCPT" => say((manners.rcpt)(&line))?,
            "DATA" => {
                say(manners.data)?;
                if !manners.data.starts_with('3') {
                    continue;
                }
                for line in lines.by_ref() {
                    let line = line?;
                    if line == "." {
                        break;
                    }
                    heard.message.push_str(&line);
                    heard.message.push('\n');
                }
                say(manners.end)?;
                heard.taken = manners.end.starts_with('2');
            }
            "QUIT" => {
                say("221 bye")?;
                return Ok(());
            }
            _ => say("500 what?")?,
        }
    }
    Ok(())
}

fn config(port: u16) -> MailConfig {
    MailConfig {
        router_id: "LVS_ONE".into(),
        recipients: vec!["ops@example.org".into(), "Night Watch <night@example.org>".into()],
        from: "daemon@example.org".into(),
        server: ("127.0.0.1".into(), port),
        helo: "lb1.example.org".into(),
        timeout: Duration::from_secs(10),
        security: MailSecurity::None,
        login: None,
        ca: None,
        pace: Pace {
            window: Duration::from_millis(50),
            first_retry: Duration::from_millis(50),
            longest_retry: Duration::from_millis(400),
            ..Pace::default()
        },
    }
}

struct Post {
    mailer: Mailer,
    woken: Receiver<()>,
}

impl Post {
    fn start(config: MailConfig) -> Self {
        let (wake, woken) = channel();
        let mailer = Mailer::start(config, Box::new(move || _ = wake.send(()))).unwrap();
        Self { mailer, woken }
    }

    /// The next report that the function picks; others are passed over.
    fn pick<T>(&self, picks: impl Fn(&MailReport) -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            while let Some(report) = self.mailer.try_report() {
                if let Some(picked) = picks(&report) {
                    return picked;
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            self.woken.recv_timeout(left).expect("the awaited report did not come");
        }
    }

    fn delivered(&self) -> (usize, usize) {
        self.pick(|report| match report {
            MailReport::Delivered { alerts, recipients } => Some((*alerts, *recipients)),
            _ => None,
        })
    }

    fn failed(&self) -> String {
        self.pick(|report| match report {
            MailReport::Failed { why, .. } => Some(why.clone()),
            _ => None,
        })
    }
}

fn alert(name: &str) -> Mail {
    Mail::new(format!("VRRP Instance {name} - Entering MASTER state"), "=> text <=")
}

/// A first server of these manners, a polite one afterwards; the alert arrives, and this is why it
/// did not at first.
fn recovers_from(first: Manners, adjust: impl FnOnce(&mut MailConfig)) -> String {
    let server = Server::start(vec![first, POLITE]);
    let mut config = config(server.port);
    adjust(&mut config);
    let post = Post::start(config);
    post.mailer.send(alert("A"));
    let why = post.failed();
    assert_eq!(post.delivered(), (1, 2), "{why}");
    why
}

#[test]
fn one_alert_is_keepalived_s_conversation_and_message() {
    let server = Server::start(vec![POLITE]);
    let post = Post::start(config(server.port));
    post.mailer.send(text::instance("A", State::Master));
    assert_eq!(post.delivered(), (1, 2));
    let heard = server.next();
    assert_eq!(
        heard.commands,
        [
            "EHLO lb1.example.org",
            "MAIL FROM:<daemon@example.org>",
            "RCPT TO:<ops@example.org>",
            // Keepalived sends the name too, which no server understands.
            "RCPT TO:<night@example.org>",
            "DATA",
            "QUIT"
        ]
    );
    let kept: Vec<&str> = (heard.message.lines())
        .filter(|line| !line.starts_with("Date: ") && !line.starts_with("Message-ID: <"))
        .collect();
    assert_eq!(
        kept,
        [
            "From: daemon@example.org",
            "Subject: [LVS_ONE] VRRP Instance A - Entering MASTER state",
            "X-Mailer: Keepalived",
            "To: ops@example.org, Night Watch <night@example.org>",
            "",
            "=> VRRP Instance is now owning VRRP VIPs <=",
            "",
        ]
    );
}

#[test]
fn a_burst_is_one_message() {
    let server = Server::start(vec![POLITE]);
    let mut config = config(server.port);
    config.pace.window = Duration::from_millis(500);
    let post = Post::start(config);
    for n in 0..200 {
        post.mailer.send(alert(&n.to_string()));
    }
    assert_eq!(post.delivered(), (200, 2));
    let message = server.next().message;
    assert!(message.contains("Subject: [LVS_ONE] 200 alerts, the last: VRRP Instance 199"));
    let listed = message.lines().filter(|l| l.contains("+0000 VRRP Instance ")).count();
    assert_eq!(listed, 200, "{message}");
}

#[test]
fn a_dot_at_the_beginning_of_a_line_ends_nothing() {
    let server = Server::start(vec![POLITE]);
    let post = Post::start(config(server.port));
    post.mailer.send(Mail::new("dots", ".\n..\nRCPT TO:<x@y>"));
    post.delivered();
    let heard = server.next();
    assert!(heard.message.contains("\n..\n...\nRCPT TO:<x@y>\n"), "{heard:?}");
}

#[test]
fn a_server_that_hangs_up_is_tried_again() {
    let hang_up = [
        Manners { greeting: "", ..POLITE },
        Manners { mail: "", ..POLITE },
        Manners { rcpt: |_| "", ..POLITE },
        Manners { data: "", ..POLITE },
        Manners { end: "", ..POLITE },
    ];
    for manners in hang_up {
        recovers_from(manners, |_| {});
    }
}

#[test]
fn a_server_that_says_later_is_tried_again() {
    let later = [
        Manners { greeting: "421 too busy", ..POLITE },
        Manners { mail: "451 later", ..POLITE },
        Manners { rcpt: |_| "421 closing", ..POLITE },
        Manners { data: "452 disk full", ..POLITE },
        Manners { end: "451 local error", ..POLITE },
        // A greeting of 554 is about the server, not about the message.
        Manners { greeting: "554 no service", ..POLITE },
    ];
    for manners in later {
        let why = recovers_from(manners, |_| {});
        assert!(why.contains("127.0.0.1 port") && why.contains(['4', '5']), "{why}");
    }
}

#[test]
fn silence_dripping_and_floods_end() {
    let quick = |config: &mut MailConfig| config.timeout = Duration::from_millis(300);
    let why = recovers_from(Manners { greeting: "silence", ..POLITE }, quick);
    assert!(why.contains("did not answer in time"), "{why}");
    recovers_from(Manners { greeting: "flood", ..POLITE }, |_| {});
    recovers_from(Manners { end: "flood", ..POLITE }, |_| {});
    let short = |config: &mut MailConfig| config.pace.attempt = Duration::from_millis(500);
    let why = recovers_from(Manners { mail: "drip", ..POLITE }, short);
    assert!(why.contains("takes too long"), "{why}");
}

#[test]
fn who_is_put_off_gets_it_later_and_nobody_gets_it_twice() {
    fn grey(command: &str) -> &'static str {
        if command.contains("night") { "450 greylisted" } else { "250 ok" }
    }
    let server = Server::start(vec![Manners { rcpt: grey, ..POLITE }, POLITE]);
    let post = Post::start(config(server.port));
    post.mailer.send(alert("A"));
    assert_eq!(post.delivered(), (1, 1));
    assert_eq!(post.delivered(), (1, 1));
    server.next();
    let second = server.next();
    let rcpt: Vec<&String> = second.commands.iter().filter(|c| c.starts_with("RCPT")).collect();
    assert_eq!(rcpt, ["RCPT TO:<night@example.org>"]);
    assert!(second.message.contains("To: ops@example.org, Night Watch"));
}

#[test]
fn who_is_refused_is_told_and_the_others_get_it() {
    fn unknown(command: &str) -> &'static str {
        if command.contains("ops") { "550 no such user" } else { "250 ok" }
    }
    let server = Server::start(vec![Manners { rcpt: unknown, ..POLITE }]);
    let post = Post::start(config(server.port));
    post.mailer.send(alert("A"));
    let (recipient, why) = post.pick(|report| match report {
        MailReport::Refused { recipient, why, .. } => Some((recipient.clone(), why.clone())),
        _ => None,
    });
    assert_eq!(recipient.as_deref(), Some("ops@example.org"));
    assert_eq!(why, "550 no such user");
    assert_eq!(post.delivered(), (1, 1));
    assert!(server.next().taken);
}

#[test]
fn a_server_that_was_away_gets_what_happened_meanwhile() {
    // An address of its own: the port must stay free until its time comes.
    let listener = TcpListener::bind("127.0.0.77:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let server = (address.ip().to_string(), address.port());
    let post = Post::start(MailConfig { server, ..config(0) });
    post.mailer.send(alert("A"));
    let why = post.failed();
    assert!(why.contains("Connection refused"), "{why}");
    post.mailer.send(alert("B"));
    post.failed();
    let server = Server::on(TcpListener::bind(address).unwrap(), vec![POLITE]);
    assert_eq!(post.delivered(), (2, 2));
    assert!(server.next().message.contains("2 alerts"));
}

/// What is demanded and not offered is never done without.
#[test]
fn without_starttls_nothing_goes_in_clear() {
    let offers = &["sink", "STARTTLS", "AUTH PLAIN LOGIN"];
    let rude = [
        Manners { ehlo: &["sink", "AUTH PLAIN LOGIN"], ..POLITE },
        Manners { ehlo: offers, starttls: "454 not now", ..POLITE },
        // It says yes and goes on in clear.
        Manners { ehlo: offers, starttls: "220 go\r\n250 sink", ..POLITE },
        Manners { ehlo: offers, starttls: "", ..POLITE },
    ];
    for manners in rude {
        let server = Server::start(vec![manners]);
        let mut config = config(server.port);
        config.security = MailSecurity::StartTls;
        config.login = Some(("lb".into(), Secret::new("hunter2")));
        config.timeout = Duration::from_secs(1);
        let post = Post::start(config);
        post.mailer.send(alert("A"));
        post.failed();
        let heard = server.next();
        // Octets of a handshake may follow; no word of a mail may.
        let all = heard.commands.join("\n");
        assert!(!all.contains("MAIL") && !all.contains("AUTH"), "{all}");
        assert!(!heard.taken);
    }
}

#[test]
fn tls_from_the_first_octet_says_nothing_in_clear() {
    let server = Server::start(vec![POLITE]);
    let mut config = config(server.port);
    config.security = MailSecurity::Tls;
    config.timeout = Duration::from_secs(1);
    let post = Post::start(config);
    post.mailer.send(alert("A"));
    post.failed();
    let heard = server.next();
    assert!(!heard.commands.join("\n").contains("EHLO"), "{heard:?}");
}

#[test]
fn a_password_is_not_in_any_report() {
    // The server repeats what it was sent: that would be in the log.
    let echo = Manners { ehlo: &["sink", "AUTH PLAIN"], auth: "535 AGxiAGh1bnRlcjI=", ..POLITE };
    let why = {
        let server = Server::start(vec![echo]);
        let mut config = config(server.port);
        config.login = Some(("lb".into(), Secret::new("hunter2")));
        let post = Post::start(config);
        post.mailer.send(alert("A"));
        let why = post.failed();
        assert!(server.next().commands.iter().any(|c| c == "AUTH PLAIN AGxiAGh1bnRlcjI="));
        why
    };
    assert!(why.contains("535") && !why.contains("AGxi") && !why.contains("hunter2"), "{why}");
}

#[test]
fn a_stop_sends_what_waits_and_ends_in_time() {
    let server = Server::start(vec![POLITE]);
    let mut patient = config(server.port);
    patient.pace.window = Duration::from_secs(3_600);
    let post = Post::start(patient);
    post.mailer.send(alert("A"));
    post.mailer.stop(PATIENCE);
    let reports = post.mailer.join();
    assert_eq!(reports.last(), Some(&MailReport::Stopped { unsent: 0 }), "{reports:?}");
    assert!(server.next().taken);
    // A server that never answers does not hold it.
    let server = Server::start(vec![Manners { greeting: "silence", ..POLITE }]);
    let post = Post::start(config(server.port));
    post.mailer.send(alert("A"));
    let begun = Instant::now();
    post.mailer.stop(Duration::from_millis(300));
    let reports = post.mailer.join();
    assert_eq!(reports.last(), Some(&MailReport::Stopped { unsent: 1 }));
    assert!(begun.elapsed() < Duration::from_secs(8), "the server's time-out is 10 s");
}

#[test]
fn new_settings_reach_what_waits() {
    let silent = Server::start(vec![Manners { greeting: "554 no service", ..POLITE }]);
    let server = Server::start(vec![POLITE]);
    let mut old = config(silent.port);
    old.pace.longest_retry = Duration::from_secs(3_600);
    old.pace.first_retry = Duration::from_secs(3_600);
    let post = Post::start(old);
    post.mailer.send(alert("A"));
    post.failed();
    post.mailer.reload(MailConfig { recipients: vec!["root".into()], ..config(server.port) });
    assert_eq!(post.delivered(), (1, 1));
    assert!(server.next().commands.contains(&"RCPT TO:<root>".to_owned()));
}
