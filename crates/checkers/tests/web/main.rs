//! `HTTP_GET`, `SSL_GET` and genhash against a real web server (nginx) and against servers that do
//! as they please. Needs `nginx`, `openssl` and `genhash`, which `tools/deps test` installs.

mod certificates;
mod hostile;
mod nginx;
#[path = "../plain_get/mod.rs"]
mod plain_get;
mod tls;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use config::model::balancer::Ssl;
use config::model::checker::{HttpProtocol, Regex};
use config::model::setting::Setting;
use standfast_checkers::http::{self, Http};
use standfast_checkers::tls::Clients;
use standfast_checkers::{Failure, Success, Target};

/// A check of one url, to be adjusted.
struct Get {
    http: Http,
    clients: Clients,
}

fn get(to: SocketAddr, path: &str) -> Get {
    let mut target = Target::new(to);
    // Nothing here waits for it unless it is to fail; a busy machine must not make it fail.
    target.timeout = Duration::from_secs(60);
    let settings = plain_get::http(path, HttpProtocol::V10);
    Get { http: Http { settings, target, ssl: Ssl::default() }, clients: Clients::default() }
}

impl Get {
    fn protocol(mut self, protocol: HttpProtocol) -> Self {
        self.http.settings.protocol = protocol;
        self
    }

    fn virtualhost(mut self, name: &str) -> Self {
        self.http.settings.virtualhost = Some(name.to_owned());
        self
    }

    fn within(mut self, millis: u64) -> Self {
        self.http.target.timeout = Duration::from_millis(millis);
        self
    }

    fn tls(mut self) -> Self {
        self.http.settings.tls = true;
        self
    }

    fn sni(mut self, name: Option<&str>) -> Self {
        self.http.settings.enable_sni = true;
        self.http.settings.sni_name = name.map(str::to_owned);
        self
    }

    fn verified(mut self) -> Self {
        self.http.settings.verify = Setting::default_of(true);
        self
    }

    fn verified_by(self, ca: PathBuf) -> Self {
        let mut this = self.verified();
        this.http.settings.ca = Some(ca);
        this
    }

    fn orderly(mut self) -> Self {
        self.http.settings.tls_compliant = true;
        self
    }

    fn certificate(mut self, certificate: PathBuf, key: PathBuf) -> Self {
        self.http.ssl.certificate = Some(certificate);
        self.http.ssl.key = Some(key);
        self
    }

    fn status(mut self, first: u16, last: u16) -> Self {
        self.http.settings.urls[0].status = vec![(first, last)];
        self
    }

    fn digest(mut self, digits: &str) -> Self {
        let number = u128::from_str_radix(digits.trim(), 16).expect("32 digits");
        self.http.settings.urls[0].digest = Some(number.to_be_bytes());
        self
    }

    fn regex(mut self, pattern: &str) -> Self {
        self.http.settings.urls[0].regex = Some(Box::new(Regex {
            pattern: pattern.to_owned(),
            negate: false,
            options: Vec::new(),
            min_offset: 0,
            max_offset: None,
            stack: None,
        }));
        self
    }

    fn run(&self) -> Result<Success, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(http::run(&self.http, 0, &self.clients))
    }

    /// What came, without the place and the time.
    fn says(&self) -> String {
        match self.run() {
            Ok(success) => success.detail.to_string(),
            Err(failure) => failure.cause.to_string(),
        }
    }
}
