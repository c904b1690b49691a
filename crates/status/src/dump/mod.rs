//! Keepalived's dump files, written from a snapshot: exporters and scripts parse them, so labels,
//! keys and their order are Keepalived's (2.2.7, plus what 2.4 added).

use std::path::{Path, PathBuf};

mod check_data;
mod data;
mod json;
mod stats;

pub use check_data::check_data;
pub use data::data;
pub use json::{ProcessDump, json, json_v2};
pub use stats::stats;

/// An address as the dumps print it: with `set` behind it while it is in the kernel.
fn address_text(item: &crate::snapshot::Item) -> String {
    if item.set { format!("{} set", item.text) } else { item.text.clone() }
}

/// Where a dump file is: at its own place if it has one, else in `directory` by its name, which
/// that of the daemon's instance may be part of (`data_use_instance`).
pub fn path(directory: &Path, own: Option<&Path>, name: &str, instance: Option<&str>) -> PathBuf {
    if let Some(own) = own {
        return own.to_owned();
    }
    match (instance, name.split_once('.')) {
        (Some(instance), Some((stem, ending))) => {
            directory.join(format!("{stem}.{instance}.{ending}"))
        }
        _ => directory.join(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dump_files_are_where_exporters_look() {
        let at = |own: Option<&str>, instance| {
            path(Path::new("/tmp"), own.map(Path::new), "keepalived.json", instance)
        };
        assert_eq!(at(None, None), Path::new("/tmp/keepalived.json"));
        assert_eq!(at(Some("/run/x"), Some("a")), Path::new("/run/x"));
        assert_eq!(at(None, Some("a")), Path::new("/tmp/keepalived.a.json"));
    }
}
