//! Each check against a server that fails and recovers in each way that it can.

use standfast_lab::journal::wait_until;

use crate::Scenario;
use crate::cases::{real, server};
use crate::play::{GLOBAL, LIMIT, Play};
use crate::server::{Manner, Tcp, Udp, http};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("tcp", tcp),
        Scenario::new("http_status", http_status),
        Scenario::new("http_body", http_body),
        Scenario::new("http_several_urls", http_urls),
        Scenario::new("http_regex", http_regex).standfast_only(),
        Scenario::new("http_no_regex", http_no_regex).standfast_only(),
        Scenario::new("http_connections", http_connections),
        Scenario::new("ssl", ssl),
        Scenario::new("smtp", smtp),
        Scenario::new("dns", dns),
        Scenario::new("udp", udp),
        Scenario::new("udp_with_reply", udp_reply),
        Scenario::new("ping", ping),
        Scenario::new("misc", misc),
        Scenario::new("misc_dynamic", misc_dynamic),
        Scenario::new("file", file),
        Scenario::new("two_checks_of_one_server", two_checks),
        Scenario::new("retries", retries),
        Scenario::new("elsewhere", elsewhere),
        Scenario::new("lenient", lenient).standfast_only(),
        Scenario::new("failure_is_explained", explained).standfast_only(),
    ]
}

/// One real server, looked at every second, dead until its first check.
struct Watched {
    downs: usize,
    ups: usize,
}

const RS: &str = "RS [203.0.113.11]:tcp:80 [198.51.100.100]:tcp:80";
const LINE: &str = "-r 203.0.113.11:80 -m -w 9";

impl Watched {
    /// Starts with `check` as the real server's checks; `before` stands before everything.
    fn begin(play: &mut Play, before: &str, check: &str) -> Self {
        Self::begin_with(play, "alpha", before, check)
    }

    /// As [`Watched::begin`], with this in place of `alpha`.
    fn begin_with(play: &mut Play, start: &str, before: &str, check: &str) -> Self {
        let block = format!(
            "weight 9\n    notify_up \"/run/tell.sh up 'a b' c\"\n    \
             notify_down \"/run/tell.sh down\"\n    {check}"
        );
        let settings = format!(
            "delay_loop 1\n  lb_algo rr\n  lb_kind NAT\n  protocol TCP\n  {start}\n  warmup 0"
        );
        let virtual_server =
            server("198.51.100.100 80", &settings, &real("203.0.113.11 80", &block));
        play.start(&format!("{GLOBAL}{before}{virtual_server}"));
        Self { downs: 0, ups: 0 }
    }

    /// The check passes now: the server joins.
    #[track_caller]
    fn returns(&mut self, play: &mut Play, why: &str) {
        self.ups += 1;
        play.told(&format!("{RS} UP"), self.ups);
        play.has(LINE);
        play.note(format!("up: {why}"));
    }

    /// The check fails now: the server leaves.
    #[track_caller]
    fn fails(&mut self, play: &mut Play, why: &str) {
        self.downs += 1;
        play.told(&format!("{RS} DOWN"), self.downs);
        play.has_no("203.0.113.11");
        play.note(format!("down: {why}"));
    }

    /// Neither: after some more looks it is as it was.
    #[track_caller]
    fn stays(&self, play: &mut Play, why: &str) {
        play.quiet();
        let fifo = play.fifo();
        let told = |end: &str| fifo.iter().filter(|line| **line == format!("{RS} {end}")).count();
        assert_eq!((told("UP"), told("DOWN")), (self.ups, self.downs), "{why}: stays as it was");
        play.note(format!("stays: {why}"));
    }

    /// Ends the program; notes what the FIFO and the scripts were told in all.
    fn finish(self, play: &mut Play) {
        // Loss and gain of the quorum have no scripts here: half of the lines.
        let mut sorted = play.called_about(self.ups + self.downs);
        sorted.sort();
        play.note_all("scripts, sorted", sorted);
        let fifo = play.fifo();
        play.note_all("FIFO", fifo);
        play.stop();
    }
}

/// Whether the machine answers packets of `protocol` at all.
fn deaf(play: &Play, deaf: bool) {
    let rules = if deaf {
        "table inet deaf {\n chain in {\n  type filter hook input priority 0;\n  \
         iifname back meta l4proto { tcp, udp, icmp } drop\n }\n}\n"
    } else {
        "delete table inet deaf\n"
    };
    play.farm().real(1).feed(&["nft", "-f", "-"], rules).expect("nft");
}

fn tcp(play: &mut Play) {
    play.build(1);
    let port = Tcp::serve(play.farm().real(1), "0.0.0.0:80", Manner::Closes);
    let mut watched = Watched::begin(play, "", "TCP_CHECK {\n connect_timeout 4\n }");
    watched.returns(play, "the port is open");
    drop(port);
    watched.fails(play, "connection refused");
    let port = Tcp::serve(play.farm().real(1), "0.0.0.0:80", Manner::Resets);
    watched.returns(play, "the port is open, although connections are reset");
    deaf(play, true);
    watched.fails(play, "no answer");
    deaf(play, false);
    watched.returns(play, "answers again");
    play.farm().real(1).command("ip addr del 203.0.113.11/24 dev back").expect("ip");
    play.run("ip neigh flush dev back");
    watched.fails(play, "the host is gone");
    play.farm().real(1).command("ip addr add 203.0.113.11/24 dev back").expect("ip");
    watched.returns(play, "the host is back");
    watched.finish(play);
    drop(port);
}

fn http_status(play: &mut Play) {
    play.build(1);
    let good = http("200 OK", "hello");
    let server = Tcp::serve(play.farm().real(1), "0.0.0.0:80", Manner::Answers(good.clone()));
    let check = "HTTP_GET {\n url {\n path /\n }\n connect_timeout 4\n retry 0\n }";
    let mut watched = Watched::begin(play, "", check);
    watched.returns(play, "200");
    for status in ["503 Service Unavailable", "404 Not Found", "302 Found"] {
        server.becomes(Manner::Answers(http(status, "")));
        watched.fails(play, status);
        server.becomes(Manner::Answers(good.clone()));
        watched.returns(play, "200 again");
    }
    server.becomes(Manner::Answers(http("204 No Content", "")));
    watched.stays(play, "204");
    watched.finish(play);
}

/// What Keepalived 2.2.7 takes for a failure.
fn lenient(play: &mut Play) {
    play.build(1);
    let spare = Manner::Answers(b"HTTP/1.0 200\r\n\r\n".to_vec());
    let server = Tcp::serve(play.farm().real(1), "0.0.0.0:80", spare);
    let several = vec!["220-mail.example.test\r\n220 ESMTP", "250-hello\r\n250 SIZE", "221 bye"];
    let mail = Tcp::serve(play.farm().real(1), "0.0.0.0:25", Manner::Talks(several));
    let check = "HTTP_GET {\n url {\n path /\n }\n connect_timeout 4\n }\n    \
                 SMTP_CHECK {\n connect_port 25\n connect_timeout 4\n }";
    let mut watched = Watched::begin(play, "", check);
    watched.returns(play, "200 without a reason, replies of several lines");
    watched.stays(play, "the same");
    watched.finish(play);
    assert!(server.count() > 1 && mail.count() > 1, "both were asked");
}

fn http_body(play: &mut Play) {
    play.build(1);
    let good = http("201 Created", "all is well");
    let server = Tcp::serve(play.farm().real(1), "0.0.0.0:80", Manner::Answers(good.clone()));
    // The MD5 of "all is well".
    let digest = md5(play, "all is well");
    let check = format!(
        "HTTP_GET {{\n http_protocol 1.1\n url {{\n path /digest\n digest {digest}\n \
         status_code 201\n }}\n connect_timeout 4\n retry 0\n }}"
    );
    let mut watched = Watched::begin(play, "", &check);
    watched.returns(play, "the digest is right");
    server.becomes(Manner::Answers(http("201 Created", "all is bad")));
    watched.fails(play, "another digest");
    server.becomes(Manner::Answers(good.clone()));
    watched.returns(play, "the digest is right again");
    server.becomes(Manner::Answers(http("200 OK", "all is well")));
    watched.fails(play, "another status");
    server.becomes(Manner::Answers(good));
    watched.returns(play, "the status is right again");
    watched.finish(play);
}

/// The digest by which Debian's tool would call the text.
fn md5(play: &Play, text: &str) -> String {
    let sum = play.farm().director().feed(&["md5sum"], text).expect("md5sum");
    sum.split_whitespace().next().expect("a sum").to_owned()
}

fn http_urls(play: &mut Play) {
    play.build(1);
    let (yes, no) = (http("200 OK", "fine"), http("500 Broken", ""));
    let answers =
        |a: &[u8], b: &[u8]| Manner::AnswersPaths(vec![("/a", a.to_vec()), ("/b", b.to_vec())]);
    let server = Tcp::serve(play.farm().real(1), "0.0.0.0:80", answers(&yes, &no));
    let check = "HTTP_GET {\n url {\n path /a\n status_code 200\n }\n \
                 url {\n path /b\n status_code 500-599\n }\n connect_timeout 4\n retry 0\n }";
    let mut watched = Watched::begin(play, "", check);
    watched.returns(play, "both are right");
    server.becomes(answers(&no, &no));
    watched.fails(play, "the first is wrong");
    server.becomes(answers(&yes, &no));
    watched.returns(play, "the first is right");
    server.becomes(answers(&yes, &yes));
    watched.fails(play, "the second is wrong");
    server.becomes(answers(&yes, &no));
    watched.returns(play, "both are right again");
    watched.finish(play);
}

fn http_regex(play: &mut Play) {
    play.build(1);
    let server =
        Tcp::serve(play.farm().real(1), "0.0.0.0:80", Manner::Answers(http("200 OK", "fine: 42")));
    let check = "HTTP_GET {\n url {\n path /\n regex \"fine: [0-9]+\"\n }\n \
                 connect_timeout 4\n retry 0\n }";
    let mut watched = Watched::begin(play, "", check);
    watched.returns(play, "matches");
    server.becomes(Manner::Answers(http("200 OK", "fine: none")));
    watched.fails(play, "does not match");
    server.becomes(Manner::Answers(http("200 OK", "now fine: 7")));
    watched.returns(play, "matches again");
    watched.finish(play);
}

fn http_no_regex(play: &mut Play) {
    play.build(1);
    let server =
        Tcp::serve(play.farm().real(1), "0.0.0.0:80", Manner::Answers(http("200 OK", "fine")));
    let check = "HTTP_GET {\n url {\n path /\n regex broken\n regex_no_match\n }\n \
                 connect_timeout 4\n retry 0\n }";
    let mut watched = Watched::begin(play, "", check);
    watched.returns(play, "does not match");
    server.becomes(Manner::Answers(http("200 OK", "is broken")));
    watched.fails(play, "matches");
    server.becomes(Manner::Answers(http("200 OK", "is mended")));
    watched.returns(play, "does not match again");
    watched.finish(play);
}

fn http_connections(play: &mut Play) {
    play.build(1);
    let good = Manner::Answers(http("200 OK", "hello"));
    let server = Tcp::serve(play.farm().real(1), "0.0.0.0:80", good.clone());
    let check = "HTTP_GET {\n url {\n path /\n }\n connect_timeout 4\n retry 0\n }";
    let mut watched = Watched::begin(play, "", check);
    watched.returns(play, "200");
    for (why, manner) in [
        ("closes without an answer", Manner::Closes),
        ("resets", Manner::Resets),
        ("never answers", Manner::Silent),
        ("answers something else", Manner::Says(b"SSH-2.0-nonsense\r\n".to_vec())),
    ] {
        server.becomes(manner);
        watched.fails(play, why);
        server.becomes(good.clone());
        watched.returns(play, "200 again");
    }
    drop(server);
    watched.fails(play, "connection refused");
    let server = Tcp::serve(play.farm().real(1), "0.0.0.0:80", good);
    watched.returns(play, "200 at last");
    watched.finish(play);
    drop(server);
}

fn ssl(play: &mut Play) {
    play.build(1);
    let good = Manner::AnswersSecurely(http("200 OK", "hello"));
    let server = Tcp::serve(play.farm().real(1), "0.0.0.0:80", good.clone());
    let check = "SSL_GET {\n enable_sni\n url {\n path /\n virtualhost www.example.test\n }\n \
                 connect_timeout 5\n retry 0\n }";
    let mut watched = Watched::begin(play, "", check);
    watched.returns(play, "200");
    for (why, manner) in [
        ("503", Manner::AnswersSecurely(http("503 Busy", ""))),
        ("does not speak TLS", Manner::Says(b"HTTP/1.0 200 OK\r\n\r\n".to_vec())),
        ("closes", Manner::Closes),
    ] {
        server.becomes(manner);
        watched.fails(play, why);
        server.becomes(good.clone());
        watched.returns(play, "200 again");
    }
    watched.finish(play);
}

fn smtp(play: &mut Play) {
    play.build(1);
    let good = Manner::Talks(vec!["220 mail.example.test ESMTP", "250 hello", "221 bye"]);
    let server = Tcp::serve(play.farm().real(1), "0.0.0.0:80", good.clone());
    let check = "SMTP_CHECK {\n helo_name me.example.test\n connect_timeout 4\n retry 0\n }";
    let mut watched = Watched::begin(play, "", check);
    watched.returns(play, "220, 250");
    for (why, manner) in [
        ("554 instead of a greeting", Manner::Talks(vec!["554 no service"])),
        ("HELO refused", Manner::Talks(vec!["220 hello", "550 who are you", "221 bye"])),
        ("closes", Manner::Closes),
        ("says nothing", Manner::Silent),
    ] {
        server.becomes(manner);
        watched.fails(play, why);
        server.becomes(good.clone());
        watched.returns(play, "220, 250 again");
    }
    watched.finish(play);
}

/// An answer to the question with this code; the question itself stays in.
fn dns_answer(question: &[u8], code: u8) -> Option<Vec<u8>> {
    let mut answer = question.to_vec();
    *answer.get_mut(2)? |= 0x80;
    *answer.get_mut(3)? = 0x80 | code;
    Some(answer)
}

fn dns(play: &mut Play) {
    play.build(1);
    let server = Udp::serve(play.farm().real(1), "0.0.0.0:53", |it| dns_answer(it, 0));
    let check = "DNS_CHECK {\n type A\n name www.example.test\n connect_port 53\n \
                 connect_timeout 4\n retry 0\n }";
    let mut watched = Watched::begin(play, "", check);
    watched.returns(play, "an answer");
    server.becomes(|it| dns_answer(it, 2));
    watched.fails(play, "SERVFAIL");
    server.becomes(|it| dns_answer(it, 0));
    watched.returns(play, "an answer again");
    server.becomes(|it| dns_answer(it, 3));
    watched.fails(play, "NXDOMAIN");
    server.becomes(|it| dns_answer(it, 0));
    watched.returns(play, "an answer once more");
    server.becomes(|_| None);
    watched.fails(play, "no answer");
    server.becomes(|it| dns_answer(it, 0));
    watched.returns(play, "an answer at last");
    drop(server);
    watched.fails(play, "the port is closed");
    watched.finish(play);
}

fn udp(play: &mut Play) {
    play.build(1);
    let server = Udp::serve(play.farm().real(1), "0.0.0.0:5000", |_| None);
    let check = "UDP_CHECK {\n connect_port 5000\n connect_timeout 4\n retry 0\n }";
    let mut watched = Watched::begin(play, "", check);
    watched.returns(play, "nobody objects");
    drop(server);
    watched.fails(play, "the port is closed");
    let server = Udp::serve(play.farm().real(1), "0.0.0.0:5000", |_| None);
    watched.returns(play, "nobody objects again");
    assert!(server.count() > 0, "a datagram came");
    watched.finish(play);
}

fn udp_reply(play: &mut Play) {
    play.build(1);
    let server = Udp::serve(play.farm().real(1), "0.0.0.0:5000", |_| Some(vec![1, 2, 0x3f, 4]));
    let check = "UDP_CHECK {\n connect_port 5000\n payload 00ff10\n require_reply 01 02 XF 04\n \
                 min_reply_length 4\n max_reply_length 8\n connect_timeout 4\n retry 0\n }";
    let mut watched = Watched::begin(play, "", check);
    watched.returns(play, "the reply matches");
    let bad: [(&str, crate::server::Reply); 4] = [
        ("another reply", |_| Some(vec![1, 3, 0x3f, 4])),
        ("a reply that is too short", |_| Some(vec![1, 2])),
        ("a reply that is too long", |_| Some(vec![1, 2, 0x3f, 4, 5, 6, 7, 8, 9, 10])),
        ("no reply", |_| None),
    ];
    for (why, reply) in bad {
        server.becomes(reply);
        watched.fails(play, why);
        server.becomes(|sent| (sent == [0, 0xff, 0x10]).then(|| vec![1, 2, 0x7f, 4]));
        watched.returns(play, "the reply matches again");
    }
    watched.finish(play);
}

fn ping(play: &mut Play) {
    play.build(1);
    let mut watched = Watched::begin(play, "", "PING_CHECK {\n connect_timeout 4\n retry 0\n }");
    watched.returns(play, "answers");
    deaf(play, true);
    watched.fails(play, "does not answer");
    deaf(play, false);
    watched.returns(play, "answers again");
    watched.finish(play);
}

/// A check that is a script: it ends with what the file says, or hangs.
fn scripted(play: &Play, first: &str) {
    let director = play.farm().director();
    let script = "#!/bin/sh\nread code </run/code\n[ $code = hang ] && exec sleep 60\nexit $code\n";
    director.write("/run/look.sh", script).expect("a script");
    director.write("/run/code", &format!("{first}\n")).expect("a file");
}

fn code(play: &Play, code: &str) {
    play.farm().director().write("/run/code", &format!("{code}\n")).expect("a file");
}

fn misc(play: &mut Play) {
    play.build(1);
    scripted(play, "0");
    let check =
        "MISC_CHECK {\n misc_path \"/run/look.sh 'an argument'\"\n misc_timeout 8\n retry 0\n }";
    let mut watched = Watched::begin(play, "", check);
    watched.returns(play, "0");
    for bad in ["1", "2", "77", "hang"] {
        code(play, bad);
        watched.fails(play, bad);
        code(play, "0");
        watched.returns(play, "0 again");
    }
    watched.finish(play);
}

fn misc_dynamic(play: &mut Play) {
    play.build(1);
    scripted(play, "0");
    let check =
        "MISC_CHECK {\n misc_path /run/look.sh\n misc_timeout 8\n misc_dynamic\n retry 0\n }";
    let mut watched = Watched::begin(play, "", check);
    watched.returns(play, "0");
    for (status, weight) in [("12", 10), ("2", 0), ("255", 253), ("0", 9)] {
        code(play, status);
        play.has(&format!("-r 203.0.113.11:80 -m -w {weight}"));
        play.note(format!("status {status}: weight {weight}"));
    }
    code(play, "1");
    watched.fails(play, "1");
    code(play, "0");
    watched.returns(play, "0 again");
    watched.finish(play);
}

fn file(play: &mut Play) {
    play.build(1);
    let director = play.farm().director();
    director.write("/run/value", "0\n").expect("a file");
    let track = "track_file F {\n  file /run/value\n  weight 1\n}\n";
    let check = "FILE_CHECK {\n track_file F\n weight 2\n }";
    // With alpha, Keepalived's server is up without having been told.
    let watched = Watched::begin_with(play, "", track, check);
    play.has("-r 203.0.113.11:80 -m -w 9");
    for (value, weight) in [("5", 19), ("-3", 3), ("-200", 0), ("1", 11), ("0", 9)] {
        // In place, not by renaming: that is how people write such files.
        let path = play.farm().director().outside("/run/value");
        std::fs::write(path, format!("{value}\n")).expect("write the file");
        play.has(&format!("-r 203.0.113.11:80 -m -w {weight}"));
        play.note(format!("value {value}: weight {weight}"));
    }
    watched.finish(play);
}

fn two_checks(play: &mut Play) {
    play.build(1);
    scripted(play, "0");
    let server = Tcp::serve(play.farm().real(1), "0.0.0.0:80", Manner::Closes);
    let check = "TCP_CHECK {\n connect_timeout 4\n retry 0\n }\n    \
                 MISC_CHECK {\n misc_path /run/look.sh\n misc_timeout 8\n retry 0\n }";
    let mut watched = Watched::begin(play, "", check);
    watched.returns(play, "both pass");
    code(play, "1");
    watched.fails(play, "one fails");
    drop(server);
    watched.stays(play, "both fail");
    code(play, "0");
    watched.stays(play, "the other fails");
    let server = Tcp::serve(play.farm().real(1), "0.0.0.0:80", Manner::Closes);
    watched.returns(play, "both pass again");
    watched.finish(play);
    drop(server);
}

fn retries(play: &mut Play) {
    play.build(1);
    let good = Manner::Answers(http("200 OK", ""));
    let server = Tcp::serve(play.farm().real(1), "0.0.0.0:80", good.clone());
    let check = "HTTP_GET {\n url {\n path /\n }\n connect_timeout 4\n retry 3\n \
                 delay_before_retry 1\n }";
    let mut watched = Watched::begin(play, "", check);
    watched.returns(play, "200");
    // A look may be under way while the server changes its mind.
    server.becomes(Manner::Answers(http("500 No", "")));
    let before = server.count();
    watched.fails(play, "500 four times");
    let looks = server.count() - before;
    assert!((4..=6).contains(&looks), "down after {looks} looks, not after four");
    server.becomes(good.clone());
    watched.returns(play, "200 once");
    let before = server.count();
    server.becomes(Manner::Answers(http("500 No", "")));
    let seen = wait_until(LIMIT, || (server.count() > before + 1).then_some(()));
    assert!(seen.is_some(), "looked twice");
    server.becomes(good);
    watched.stays(play, "500 twice, then 200");
    watched.finish(play);
}

fn elsewhere(play: &mut Play) {
    play.build(2);
    let server = Tcp::serve(play.farm().real(2), "203.0.113.12:8081", Manner::Closes);
    let check = "TCP_CHECK {\n connect_ip 203.0.113.12\n connect_port 8081\n \
                 bindto 203.0.113.1\n connect_timeout 4\n retry 0\n }";
    let mut watched = Watched::begin(play, "", check);
    watched.returns(play, "somebody else's port is open");
    drop(server);
    watched.fails(play, "somebody else's port is closed");
    watched.finish(play);
}

fn explained(play: &mut Play) {
    play.build(1);
    let server = Tcp::serve(play.farm().real(1), "0.0.0.0:80", Manner::Answers(http("200 OK", "")));
    let check = "HTTP_GET {\n url {\n path /\n }\n connect_timeout 4\n retry 0\n }";
    let mut watched = Watched::begin(play, "", check);
    watched.returns(play, "200");
    server.becomes(Manner::Answers(http("503 Busy", "")));
    watched.fails(play, "503");
    play.log("HTTP 503, wanted 200-299, from 203.0.113.11:80 after ");
    drop(server);
    play.until("the new reason is told", || {
        play.try_command("server list --json").filter(|list| list.contains("refused"))
    });
    watched.finish(play);
}
