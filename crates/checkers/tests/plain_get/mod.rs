//! A web check that wants nothing but an answer.

use config::model::Setting;
use config::model::checker::{Http, HttpProtocol, Url};

pub(crate) fn http(path: &str, protocol: HttpProtocol) -> Http {
    let url = Url {
        path: path.to_owned(),
        digest: None,
        status: Vec::new(),
        virtualhost: None,
        regex: None,
        tls_compliant: None,
    };
    Http {
        tls: false,
        virtualhost: None,
        protocol,
        enable_sni: false,
        sni_name: None,
        fast_recovery: false,
        tls_compliant: false,
        verify: Setting::default(),
        ca: None,
        urls: vec![url],
    }
}
