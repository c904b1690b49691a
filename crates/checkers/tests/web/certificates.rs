//! Certificates, made by openssl.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A directory with an authority (`ca.pem`) and what it signed.
pub(crate) struct Certificates {
    directory: PathBuf,
    /// Removes it at the end, if it is ours.
    _guard: Option<tempfile::TempDir>,
}

impl Certificates {
    /// `good` for www.example.com and 127.0.0.1; `expired` for the same; `client`.
    pub(crate) fn new() -> Self {
        let guard = tempfile::tempdir().expect("a directory");
        let this = Self { directory: guard.path().to_owned(), _guard: Some(guard) };
        this.authority("ca");
        this.authority("other-ca");
        let names = "subjectAltName=DNS:www.example.com,IP:127.0.0.1";
        this.signed("good", "30", names);
        this.signed("expired", "-1", names);
        this.signed("client", "30", "extendedKeyUsage=clientAuth");
        this
    }

    /// Those that another process made.
    pub(crate) fn at(directory: PathBuf) -> Self {
        Self { directory, _guard: None }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn authority(&self, name: &str) {
        let (key, certificate) = (format!("{name}.key"), format!("{name}.pem"));
        let subject = format!("/CN=Test {name}");
        self.openssl(&[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            &key,
            "-out",
            &certificate,
            "-days",
            "30",
            "-subj",
            &subject,
        ]);
    }

    fn signed(&self, name: &str, days: &str, extension: &str) {
        let file = |end: &str| format!("{name}.{end}");
        std::fs::write(self.file(&file("ext")), format!("{extension}\n")).expect("written");
        self.openssl(&[
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            &file("key"),
            "-out",
            &file("csr"),
            "-subj",
            "/CN=www.example.com",
        ]);
        self.openssl(&[
            "x509",
            "-req",
            "-in",
            &file("csr"),
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            days,
            "-extfile",
            &file("ext"),
            "-out",
            &file("pem"),
        ]);
    }

    /// The same key under a password.
    pub(crate) fn encrypt(&self, key: &str, out: &str) {
        self.openssl(&["pkey", "-in", key, "-aes256", "-passout", "pass:secret", "-out", out]);
    }

    fn openssl(&self, args: &[&str]) {
        run(&self.directory, "openssl", args);
    }
}

fn run(directory: &Path, program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).current_dir(directory).output();
    let output = output.unwrap_or_else(|error| {
        panic!("{program} is missing ({error}): `tools/deps test` installs it")
    });
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
