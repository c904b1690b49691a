//! From the text that the supervisor passed to the model, and the names that this machine gives to
//! numbers of tables, protocols and the like.

use config::Bundle;
use config::lower::{NameKind, NameTables};
use config::model::Model;
use netlink::names::{Kind, Names};

/// Names that the administrator of this machine has given (`rt_tables` and its kind), from the
/// directories of iproute2.
#[derive(Debug)]
pub struct MachineNames(Names);

/// Where iproute2 keeps its tables; later ones win.
const DIRECTORIES: [&str; 3] = ["/usr/lib/iproute2", "/usr/share/iproute2", "/etc/iproute2"];

impl MachineNames {
    /// Reads the tables. What cannot be read is left out.
    pub fn load() -> Self {
        let (names, problems) = Names::load(&DIRECTORIES);
        for problem in problems {
            log::debug!("{problem:?}");
        }
        Self(names)
    }
}

impl NameTables for MachineNames {
    fn lookup(&self, kind: NameKind, name: &str) -> Option<u32> {
        let kind = match kind {
            NameKind::Table => Kind::Table,
            NameKind::Protocol => Kind::Protocol,
            NameKind::Scope => Kind::Scope,
            NameKind::TypeOfService => Kind::DsField,
            NameKind::Realm => Kind::Realm,
            NameKind::Group => Kind::Group,
            NameKind::IpProtocol => return None,
        };
        self.0.number(kind, name)
    }
}

/// The model of a configuration that was checked before.
///
/// # Errors
/// When it has fatal mistakes all the same.
pub(crate) fn model(bundle: &Bundle) -> Result<Model, String> {
    let loaded = config::load_bundle(bundle);
    let lowered = config::lower::lower(&loaded.tree, &MachineNames::load());
    let all = loaded.diagnostics.iter().chain(&lowered.diagnostics);
    match all.into_iter().find(|d| d.is_fatal()) {
        Some(fatal) => Err(fatal.message.clone()),
        None => Ok(lowered.model),
    }
}
