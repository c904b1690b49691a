//! Against nginx.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use config::model::checker::HttpProtocol;
use standfast_checkers::genhash::genhash;

use crate::certificates::Certificates;
use crate::get;

struct Nginx {
    child: Child,
    directory: tempfile::TempDir,
    certificates: Certificates,
    address: Ipv4Addr,
}

const PLAIN: u16 = 28080;
const TLS: u16 = 28443;
const EXPIRED: u16 = 28444;
const CLIENTS: u16 = 28445;

impl Nginx {
    /// On a loopback address that no other test process has; `tag` tells apart those of this one.
    fn start(tag: u32) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let certificates = Certificates::new();
        let address = Ipv4Addr::from(0x7f00_0000 | (std::process::id() * 8 + tag) & 0xff_ffff);
        let path = directory.path();
        let at = path.display();
        std::fs::create_dir(path.join("www")).expect("a directory");
        std::fs::write(path.join("www/page"), "<html>status: fine</html>\n").expect("a page");
        std::fs::write(path.join("www/big"), vec![b'x'; 300_000]).expect("a page");
        std::fs::write(path.join("www/page.shtml"), "<!--# echo var=\"host\" -->: fine\n")
            .expect("a page");
        let file = |name: &str| certificates.file(name).display().to_string();
        let server = |port: u16, more: String| {
            format!(
                "server {{ listen {address}:{port}; root {at}/www; ssi on; {more}\n\
                 location /empty {{ return 204; }}\n\
                 location /broken {{ return 503; }}\n\
                 location /moved {{ return 301 http://www.example.com/; }}\n\
                 location /cut {{ return 444; }} }}\n"
            )
        };
        let ssl = |name: &str, more: &str| {
            let (pem, key) = (file(&format!("{name}.pem")), file(&format!("{name}.key")));
            format!("ssl_certificate {pem}; ssl_certificate_key {key}; {more}")
        };
        let tls = |port: u16, name: &str, more: &str| {
            let ssl = ssl(name, more);
            server(port, ssl).replace(&format!(":{port};"), &format!(":{port} ssl;"))
        };
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|kind| format!("{kind}_temp_path {at}/{kind};\n"))
            .collect();
        let clients = format!("ssl_client_certificate {}; ssl_verify_client on;", file("ca.pem"));
        let text = format!(
            "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log;\n\
             events {{}}\n\
             http {{ access_log off; types {{ text/html shtml; }} default_type text/plain; {temporary}\n{}{}{}{} }}\n",
            server(PLAIN, String::new()),
            tls(TLS, "good", ""),
            tls(EXPIRED, "expired", ""),
            tls(CLIENTS, "good", &clients),
        );
        std::fs::write(path.join("nginx.conf"), text).expect("written");
        let child = Command::new("nginx")
            .args(["-c", &format!("{at}/nginx.conf"), "-p", &at.to_string()])
            .args(["-e", &format!("{at}/error.log")])
            .env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()))
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("nginx is missing ({error}): `tools/deps test` installs it")
            });
        let mut this = Self { child, directory, certificates, address };
        this.wait();
        this
    }

    fn at(&self, port: u16) -> SocketAddr {
        (self.address, port).into()
    }

    fn wait(&mut self) {
        let began = Instant::now();
        while TcpStream::connect(self.at(CLIENTS)).is_err() {
            let log = std::fs::read_to_string(self.directory.path().join("error.log"));
            let log = log.unwrap_or_default();
            assert!(self.child.try_wait().expect("a child").is_none(), "nginx ended: {log}");
            assert!(began.elapsed() < Duration::from_secs(60), "nginx does not listen: {log}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A part of a digest that nothing here has.
const WRONG: &str = "f3e5b0a1";

/// What Debian's genhash prints.
fn keepalived_genhash(to: SocketAddr, args: &[&str]) -> String {
    let output = Command::new("genhash")
        .args(["-s", &to.ip().to_string(), "-p", &to.port().to_string()])
        .args(args)
        .output()
        .unwrap_or_else(|error| {
            panic!("genhash is missing ({error}): `tools/deps test` installs keepalived")
        });
    String::from_utf8(output.stdout).expect("text")
}

fn our_genhash(to: SocketAddr, args: &[&str]) -> String {
    let (ip, port) = (to.ip().to_string(), to.port().to_string());
    let args = [&["-s", &ip, "-p", &port], args].concat();
    let args: Vec<String> = args.into_iter().map(str::to_owned).collect();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let status = genhash(&args, &mut out, &mut err);
    assert_eq!((status, String::from_utf8_lossy(&err)), (0, "".into()), "{args:?}");
    String::from_utf8(out).expect("text")
}

#[test]
fn plain() {
    let nginx = Nginx::start(0);
    let to = nginx.at(PLAIN);
    for protocol in
        [HttpProtocol::V10, HttpProtocol::V10Close, HttpProtocol::V11, HttpProtocol::V11Close]
    {
        let get = |path: &str| get(to, path).protocol(protocol);
        assert_eq!(get("/page").says(), "HTTP 200, 26 bytes");
        assert_eq!(get("/page").regex("status: (fine|well)<").says(), "HTTP 200, 26 bytes");
        assert_eq!(get("/page").regex("ill").says(), "no match for /ill/ in 26 bytes");
        assert_eq!(get("/big").regex("x$").says(), "HTTP 200, 300,000 bytes");
        assert_eq!(get("/empty").says(), "HTTP 204, 0 bytes");
        assert_eq!(get("/broken").says(), "HTTP 503, wanted 200-299");
        assert_eq!(get("/moved").status(301, 302).says(), "HTTP 301, 169 bytes");
        assert_eq!(get("/none").says(), "HTTP 404, wanted 200-299");
        assert_eq!(get("/cut").says(), "connection closed without a response");
        // A page with server-side includes comes in chunks to those who speak HTTP/1.1.
        let named = get("/page.shtml").virtualhost("www.example.com");
        assert_eq!(named.regex("^www.example.com: fine$").says(), "HTTP 200, 22 bytes");
    }
    let refused = get((nginx.address, 1).into(), "/").run().expect_err("nobody is there");
    let text = refused.to_string();
    assert!(
        text.starts_with(&format!("connection refused by {}:1 after ", nginx.address)),
        "{text}"
    );
    let text = get(to, "/broken").run().expect_err("it is broken").to_string();
    let place = format!("HTTP 503, wanted 200-299, from {to} after ");
    assert!(text.starts_with(&place) && text.ends_with(" ms"), "{text}");
}

#[test]
fn digests_are_those_of_keepalived_s_genhash() {
    let nginx = Nginx::start(1);
    let (plain, tls) = (nginx.at(PLAIN), nginx.at(TLS));
    let host = ["-u", "/page.shtml", "-V", "www.example.com"];
    for (to, args) in [
        (plain, &["-u", "/page"][..]),
        (plain, &["-u", "/page", "-P", "1.1"]),
        (plain, &["-u", "/big", "-P", "1.0c"]),
        (plain, &["-u", "/none"]),
        (plain, &host),
        (tls, &["-u", "/page", "-S"]),
        (tls, &["-u", "/page", "-S", "-I", "-V", "www.example.com"]),
    ] {
        let ours = our_genhash(to, args);
        assert_eq!(ours.trim().len(), 32, "{ours}");
        assert_eq!(ours, keepalived_genhash(to, args), "{args:?}");
    }
    let headers = |text: String| -> String {
        // The date changes, and so do the lines of its dump.
        let ascii = text.split("HTML Buffer").nth(1).expect("a page");
        ascii.split("Global").next().unwrap_or_default().to_owned()
    };
    let args = ["-u", "/page", "-v"];
    assert_eq!(headers(our_genhash(plain, &args)), headers(keepalived_genhash(plain, &args)));

    let digest = keepalived_genhash(plain, &["-u", "/page"]);
    assert_eq!(get(plain, "/page").digest(&digest).says(), "HTTP 200, 26 bytes");
    let wrong = WRONG.repeat(4);
    assert_eq!(
        get(plain, "/page").digest(&wrong).says(),
        format!("digest {}, wanted {wrong}", digest.trim())
    );
    // What Keepalived's genhash prints for a page in chunks is in somebody's configuration.
    let chunked = [&host[..], &["-P", "1.1"]].concat();
    for digest in [keepalived_genhash(plain, &chunked), our_genhash(plain, &chunked)] {
        let get = get(plain, "/page.shtml").virtualhost("www.example.com");
        assert_eq!(get.protocol(HttpProtocol::V11).digest(&digest).says(), "HTTP 200, 22 bytes");
    }
}

#[test]
fn tls() {
    let nginx = Nginx::start(2);
    let file = |name: &str| nginx.certificates.file(name);
    let good = || get(nginx.at(TLS), "/page").tls();
    assert_eq!(good().says(), "HTTP 200, 26 bytes");
    assert_eq!(good().orderly().says(), "HTTP 200, 26 bytes");
    assert_eq!(good().virtualhost("www.example.com").sni(None).says(), "HTTP 200, 26 bytes");
    // Nobody looks at the certificate, unless told to.
    let expired = || get(nginx.at(EXPIRED), "/page").tls();
    assert_eq!(expired().says(), "HTTP 200, 26 bytes");
    let verified = || good().virtualhost("www.example.com").verified_by(file("ca.pem"));
    assert_eq!(verified().says(), "HTTP 200, 26 bytes");
    assert_eq!(verified().virtualhost("www.example.com:443").says(), "HTTP 200, 26 bytes");
    let says = verified().virtualhost("www.example.net").says();
    assert!(
        says.starts_with("TLS: invalid peer certificate: ") && says.contains("www.example.net"),
        "{says}"
    );
    let says = expired().virtualhost("www.example.com").verified_by(file("ca.pem")).says();
    assert!(
        says.starts_with("TLS: invalid peer certificate: ") && says.contains("xpired"),
        "{says}"
    );
    let says = good().virtualhost("www.example.com").verified_by(file("other-ca.pem")).says();
    assert!(says.starts_with("TLS: invalid peer certificate: "), "{says}");

    let asked = || get(nginx.at(CLIENTS), "/page").tls();
    assert_eq!(asked().says(), "HTTP 400, wanted 200-299");
    let shown = asked().certificate(file("client.pem"), file("client.key"));
    assert_eq!(shown.says(), "HTTP 200, 26 bytes");
    // HTTP to a port that speaks TLS, and the reverse.
    assert_eq!(get(nginx.at(TLS), "/page").says(), "HTTP 400, wanted 200-299");
    let says = get(nginx.at(PLAIN), "/page").tls().says();
    assert!(says.starts_with("TLS: "), "{says}");
}
