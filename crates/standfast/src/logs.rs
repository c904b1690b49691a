//! The process's logger, set up as the command line asks.

use status::control::LogOptions;
use sys::logging::{self, Settings};

/// Starts logging under this name. Trouble with it is no reason not to run.
pub(crate) fn start(options: &LogOptions, name: &str, detail: u8) {
    let settings = Settings {
        ident: name.to_owned(),
        detail,
        console: options.console,
        syslog: options.syslog,
        facility: options.facility,
        file: options.file.clone(),
        flush: options.flush,
    };
    if let Err(error) = logging::install(settings) {
        let file = options.file.as_ref().map_or(String::new(), |f| f.display().to_string());
        eprintln!("cannot log to {file}: {error}");
        let plain = Settings { file: None, ..Settings::console(name) };
        let _ = logging::install(plain);
    }
}
