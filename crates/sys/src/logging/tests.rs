use std::os::unix::net::UnixDatagram;

use super::*;

struct Place {
    directory: tempfile::TempDir,
    paths: Paths,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let paths = Paths {
            journal: directory.path().join("journal"),
            syslog: directory.path().join("log"),
        };
        Self { directory, paths }
    }

    fn logger(&self, settings: Settings) -> Logger {
        Logger::open(settings, &self.paths).unwrap()
    }

    fn log(&self, logger: &Logger, level: Level, text: &str) {
        logger.log_to(
            &Record::builder().level(level).args(format_args!("{text}")).build(),
            &self.paths,
        );
    }
}

fn received(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 4096];
    socket.set_nonblocking(true).unwrap();
    let length = socket.recv(&mut buffer).unwrap();
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

#[test]
fn syslog_lines_look_as_those_of_the_c_library() {
    let place = Place::new();
    let receiver = UnixDatagram::bind(&place.paths.syslog).unwrap();
    let logger = place.logger(Settings { facility: 17, ..Settings::syslog("Keepalived_vrrp") });
    place.log(&logger, Level::Info, "(A) Entering MASTER STATE");
    let line = received(&receiver);
    let (head, text) = line.split_once(" Keepalived_vrrp[").unwrap();
    // local1 is 17; info is 6.
    assert!(head.starts_with("<142>") && head.len() == "<142>Nov 21 12:01:20".len(), "{line}");
    assert_eq!(text, format!("{}]: (A) Entering MASTER STATE", std::process::id()));
    place.log(&logger, Level::Error, "one\ntwo");
    assert!(received(&receiver).ends_with("]: one"));
    assert!(received(&receiver).starts_with("<139>"));
}

#[test]
fn the_journal_gets_fields() {
    let place = Place::new();
    let receiver = UnixDatagram::bind(&place.paths.journal).unwrap();
    let logger = place.logger(Settings::syslog("Keepalived_vrrp"));
    let values = [("instance", "A"), ("new state", "MASTER"), ("1", "x")];
    logger.log_to(
        &Record::builder()
            .level(Level::Warn)
            .key_values(&values)
            .args(format_args!("text"))
            .build(),
        &place.paths,
    );
    let pid = std::process::id();
    assert_eq!(
        received(&receiver),
        format!(
            "MESSAGE=text\nPRIORITY=4\nSYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER=Keepalived_vrrp\n\
             SYSLOG_PID={pid}\nINSTANCE=A\nNEW_STATE=MASTER\nF_1=x\n"
        )
    );
    place.log(&logger, Level::Debug, "one\ntwo");
    assert!(received(&receiver).starts_with("MESSAGE\n\x07\0\0\0\0\0\0\0one\ntwo\nPRIORITY=6\n"));
}

#[test]
fn a_receiver_that_is_full_or_gone_costs_lines_but_no_time() {
    let place = Place::new();
    let receiver = UnixDatagram::bind(&place.paths.syslog).unwrap();
    let logger = place.logger(Settings::syslog("test"));
    let long = "x".repeat(8_000);
    let mut sent = 0;
    while logger.lost() == 0 {
        place.log(&logger, Level::Info, &long);
        sent += 1;
        assert!(sent < 10_000, "the receiver's queue has no limit");
    }
    place.log(&logger, Level::Info, "lost too");
    assert_eq!(logger.lost(), 2);
    drop(receiver);
    place.log(&logger, Level::Info, "lost because nobody is there");
    std::fs::remove_file(&place.paths.syslog).unwrap();
    let receiver = UnixDatagram::bind(&place.paths.syslog).unwrap();
    place.log(&logger, Level::Info, "here again");
    assert!(
        received(&receiver).ends_with(": 3 log line(s) lost: the log did not take them in time")
    );
    assert!(received(&receiver).ends_with(": here again"));
    assert_eq!(logger.lost(), 3);
}

#[test]
fn a_file_gets_keepalived_s_lines_and_can_be_opened_anew() {
    let place = Place::new();
    let (path, moved) = (place.directory.path().join("k.log"), place.directory.path().join("k.1"));
    let settings = Settings {
        console: false,
        file: Some(path.clone()),
        flush: true,
        ..Settings::console("test")
    };
    let logger = place.logger(settings.clone());
    place.log(&logger, Level::Info, "first\nsecond \u{1b}[31m\r\0");
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let stamp = "Sat Nov 21 12:01:20 2026".len();
    assert_eq!(lines.len(), 2, "{text}");
    assert_eq!(&lines[0][stamp..], ": first");
    assert_eq!(&lines[1][stamp..], ": second \\x1b[31m\\x0d\\x00");
    std::fs::rename(&path, &moved).unwrap();
    logger.reopen().unwrap();
    place.log(&logger, Level::Info, "new file");
    assert!(std::fs::read_to_string(&path).unwrap().ends_with(": new file\n"));
    assert_eq!(std::fs::read_to_string(&moved).unwrap(), text);
    // A link is not followed.
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(&moved, &path).unwrap();
    assert!(logger.reopen().is_err());
    assert!(Logger::open(settings, &place.paths).is_err());
}

#[test]
fn a_full_pipe_is_not_waited_for() {
    let (_reader, writer) = nix::unistd::pipe().unwrap();
    let mut written = 0;
    while write_now(&writer, &[b'x'; 1000]) {
        written += 1;
        assert!(written < 100_000, "the pipe has no limit");
    }
    assert!(written > 1);
}

#[test]
fn levels_follow_the_detail() {
    assert_eq!(priority(Level::Trace), 7);
    let logger = Logger::open(Settings::console("x"), &Paths::default()).unwrap();
    let says =
        |target, level| logger.enabled(&Metadata::builder().target(target).level(level).build());
    let enabled = |level| says("standfast_checkers::tls", level);
    let others = |level| says("rustls::client", level);
    set_detail(0);
    assert!(enabled(Level::Info) && !enabled(Level::Debug));
    set_detail(1);
    assert!(enabled(Level::Debug) && !enabled(Level::Trace));
    assert!(!others(Level::Error));
    set_detail(7);
    assert!(enabled(Level::Trace) && others(Level::Trace));
}
