//! Against a TLS server of our own, which tells what it was asked.

use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ServerConfig;
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::LazyConfigAcceptor;

use crate::certificates::Certificates;
use crate::{Get, get};

/// Serves one connection and gives the name that was told in the handshake. `goodbye`: whether it
/// sends close_notify.
fn serve(
    certificates: &Certificates,
    versions: &'static [&'static rustls::SupportedProtocolVersion],
    goodbye: bool,
) -> (SocketAddr, JoinHandle<Option<String>>) {
    serve_with(certificates, versions, goodbye, || {})
}

/// The same, with a pause after the hello.
fn serve_with(
    certificates: &Certificates,
    versions: &'static [&'static rustls::SupportedProtocolVersion],
    goodbye: bool,
    pause: impl FnOnce() + Send + 'static,
) -> (SocketAddr, JoinHandle<Option<String>>) {
    let chain = CertificateDer::pem_file_iter(certificates.file("good.pem"))
        .expect("a file")
        .collect::<Result<Vec<_>, _>>()
        .expect("certificates");
    let key = PrivateKeyDer::from_pem_file(certificates.file("good.key")).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a certificate");
    let (tell, told) = mpsc::channel();
    let server = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a socket");
            tell.send(listener.local_addr().expect("an address")).expect("heard");
            let (tcp, _) = listener.accept().await.expect("a connection");
            let hello = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), tcp);
            let hello = hello.await.expect("a hello");
            let name = hello.client_hello().server_name().map(str::to_owned);
            pause();
            let Ok(mut stream) = hello.into_stream(Arc::new(config)).await else { return name };
            let (mut request, mut byte) = (Vec::new(), [0]);
            while !request.ends_with(b"\r\n\r\n") {
                assert_eq!(stream.read(&mut byte).await.expect("a request"), 1, "it is cut off");
                request.push(byte[0]);
            }
            stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nhello").await.expect("sent");
            stream.flush().await.expect("sent");
            if goodbye {
                stream.shutdown().await.expect("a good-bye");
            } else {
                // The end of TCP without that of TLS.
                stream.get_mut().0.shutdown().await.expect("an end");
            }
            let _ = stream.read(&mut byte).await;
            name
        })
    });
    (told.recv().expect("an address"), server)
}

const BOTH: &[&rustls::SupportedProtocolVersion] = &[&TLS12, &TLS13];

const OLD: &[&rustls::SupportedProtocolVersion] = &[&TLS12];

/// What the check says, and the name that the server was told.
fn meeting(
    certificates: &Certificates,
    adjust: impl FnOnce(Get) -> Get,
) -> (String, Option<String>) {
    let (to, server) = serve(certificates, BOTH, true);
    let says = adjust(get(to, "/").tls()).says();
    (says, server.join().expect("the server"))
}

#[test]
fn the_name_is_told_only_if_asked_for() {
    let certificates = Certificates::new();
    let fine = "HTTP 200, 5 bytes".to_owned();
    let name = |text: &str| Some(text.to_owned());
    let meeting = |adjust: fn(Get) -> Get| meeting(&certificates, adjust);
    assert_eq!(meeting(|get| get), (fine.clone(), None));
    assert_eq!(meeting(|get| get.virtualhost("www.example.com")), (fine.clone(), None));
    assert_eq!(
        meeting(|get| get.virtualhost("www.example.com").sni(None)),
        (fine.clone(), name("www.example.com"))
    );
    assert_eq!(
        meeting(|get| get.virtualhost("www.example.com:8443").sni(Some("sni.example"))),
        (fine.clone(), name("sni.example"))
    );
    // No name is known, or it is none that TLS could tell.
    assert_eq!(meeting(|get| get.sni(None)), (fine.clone(), None));
    assert_eq!(meeting(|get| get.virtualhost("not a name").sni(None)), (fine, None));
}

#[test]
fn the_address_is_verified_if_there_is_no_name() {
    let certificates = Certificates::new();
    let ca = certificates.file("ca.pem");
    let (says, _) = meeting(&certificates, |get| get.verified_by(ca));
    assert_eq!(says, "HTTP 200, 5 bytes");
}

/// Where the test within the next one finds its certificates.
const CERTIFICATES: &str = "CERTIFICATES_OF_THE_TEST";

#[test]
fn the_system_s_authorities_are_trusted_if_no_others_are_given() {
    let certificates = Certificates::new();
    let verdict = |authorities: &str| {
        let output = std::process::Command::new(std::env::current_exe().expect("ourselves"))
            .args(["--exact", "--ignored", "--nocapture", "tls::within_the_system"])
            .env("SSL_CERT_FILE", certificates.file(authorities))
            .env_remove("SSL_CERT_DIR")
            .env(CERTIFICATES, certificates.file(""))
            .output()
            .expect("a process");
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        out.lines().find_map(|line| Some(line.split_once("VERDICT ")?.1.to_owned())).expect(&out)
    };
    assert_eq!(verdict("ca.pem"), "HTTP 200, 5 bytes");
    assert_eq!(verdict("other-ca.pem"), "TLS: invalid peer certificate: UnknownIssuer");
    assert_eq!(
        verdict("none.pem"),
        "TLS: this system has no certificate authorities, and no `ca` is configured"
    );
}

#[test]
#[ignore = "the test above runs it, with other authorities of the system"]
fn within_the_system() {
    let directory = std::env::var_os(CERTIFICATES).expect("certificates");
    let certificates = Certificates::at(directory.into());
    let (to, server) = serve(&certificates, BOTH, true);
    println!("VERDICT {}", get(to, "/").tls().verified().says());
    // Without authorities nobody gets as far as the server.
    drop(server);
}

#[test]
fn versions() {
    let certificates = Certificates::new();
    for versions in [&[&TLS12][..], &[&TLS13]] {
        let versions: &'static [_] = Box::leak(versions.to_vec().into_boxed_slice());
        let (to, server) = serve(&certificates, versions, true);
        let ca = certificates.file("ca.pem");
        assert_eq!(get(to, "/").tls().verified_by(ca).says(), "HTTP 200, 5 bytes");
        server.join().expect("the server");
    }
}

/// A TLS 1.2 handshake takes two turns of the server's. What is sent for the second one has yet to
/// be answered when the time is over.
#[test]
fn a_handshake_goes_on_after_this_process_stood_still() {
    let certificates = Certificates::new();
    let limit = Duration::from_secs(2);
    let (hello, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let (go_on, gone_on) = mpsc::channel();
    let pause = move || {
        hello.send(()).expect("heard");
        gone_on.recv().expect("it goes on");
    };
    let (to, server) = serve_with(&certificates, OLD, true, pause);
    let get = get(to, "/").tls().within(2_000);
    let stand_still = async {
        heard.recv().await.expect("a hello");
        go_on.send(()).expect("the server waits");
        thread::sleep(2 * limit);
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let look = standfast_checkers::http::run(&get.http, 0, &get.clients);
    let both = async { tokio::join!(look, stand_still).0 };
    let success = runtime.expect("a runtime").block_on(both).expect("a web server that is well");
    assert_eq!(success.detail.to_string(), "HTTP 200, 5 bytes");
    server.join().expect("the server");
}

#[test]
fn close_notify_is_insisted_on_only_if_asked_for() {
    let certificates = Certificates::new();
    for (goodbye, orderly, wanted) in [
        (true, true, "HTTP 200, 5 bytes"),
        (false, false, "HTTP 200, 5 bytes"),
        (false, true, "TLS: the connection was closed without close_notify"),
    ] {
        let (to, server) = serve(&certificates, BOTH, goodbye);
        let get = get(to, "/").tls();
        let get = if orderly { get.orderly() } else { get };
        assert_eq!(get.says(), wanted, "{goodbye} {orderly}");
        server.join().expect("the server");
    }
}

#[test]
fn files_that_cannot_be_used_are_our_own_fault() {
    let certificates = Certificates::new();
    certificates.encrypt("client.key", "secret.key");
    let file = |name: &str| certificates.file(name);
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a socket");
    let to = listener.local_addr().expect("an address");
    let place = |name: &str| file(name).display().to_string();
    for (get, wanted) in [
        (
            get(to, "/").tls().verified_by(file("none.pem")),
            format!("TLS: cannot read {}: entity not found", place("none.pem")),
        ),
        (
            get(to, "/").tls().verified_by(file("client.ext")),
            format!("TLS: {} has no certificate in PEM", place("client.ext")),
        ),
        (
            get(to, "/").tls().certificate(file("client.pem"), file("client.ext")),
            format!("TLS: {} has no private key in PEM", place("client.ext")),
        ),
        (
            get(to, "/").tls().certificate(file("client.pem"), file("secret.key")),
            format!("TLS: the key in {} is encrypted, which is not supported", place("secret.key")),
        ),
        (
            get(to, "/").tls().virtualhost("not a name").verified_by(file("ca.pem")),
            "TLS: no certificate can be verified for the name not a name".to_owned(),
        ),
    ] {
        let failure = get.run().expect_err("it cannot be used");
        assert_eq!(failure.cause.to_string(), wanted);
        assert!(failure.cause.is_ours(), "{failure}");
    }
}
