//! This machine, as a configuration sees it: the names that it gives to numbers, and for the checks
//! its interfaces, users and scripts.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use config::checks::{Environment, Interface, Script, ScriptFinding, ScriptProblem};
use config::lower::{NameKind, NameTables};
use config::model::checker::Regex;
use config::model::{Command, Global, Network, ScriptUser};
use netlink::names::{Kind, Names};
use netlink::{ADDRESS_PROTO, AddressFilter, Kernel as _, Netlink};
use notify::security::{self, Finding, Policy, RealSystem, UserName};

/// The policy for scripts that `global_defs` sets.
pub(crate) fn script_policy(global: &Global) -> Policy {
    Policy {
        script_user: global.script_user.as_ref().map(user_name),
        script_security: global.script_security,
        use_symlink_paths: global.use_symlink_paths,
        supplementary_groups: global.supplementary_groups,
    }
}

/// A `USER [GROUP]` for [`security::resolve`].
pub(crate) fn user_name(user: &ScriptUser) -> UserName {
    UserName { user: Some(user.user.clone()), group: user.group.clone() }
}

/// Names that the administrator of this machine has given to routing tables, protocols and the like
/// (`rt_tables` and its kind), from the directories of iproute2. They are read when one is first
/// asked for: few configurations do.
#[derive(Default)]
pub(crate) struct MachineNames(OnceCell<Names>);

/// Where iproute2 keeps its tables; later ones win.
const DIRECTORIES: [&str; 3] = ["/usr/lib/iproute2", "/usr/share/iproute2", "/etc/iproute2"];

impl MachineNames {
    /// The tables. What cannot be read is left out.
    fn names(&self) -> &Names {
        self.0.get_or_init(|| {
            let (names, problems) = Names::load(&DIRECTORIES);
            for problem in problems {
                log::debug!("{problem:?}");
            }
            names
        })
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
        self.names().number(kind, name)
    }
}

/// The running machine. Interfaces are read when they are first asked for.
#[derive(Default)]
pub(crate) struct ThisMachine {
    interfaces: OnceCell<Option<HashMap<String, Vec<Network>>>>,
}

impl Environment for ThisMachine {
    fn interface(&self, name: &str) -> Interface {
        match self.interfaces.get_or_init(interfaces) {
            None => Interface::Unknown,
            Some(all) => match all.get(name) {
                None => Interface::Missing,
                Some(addresses) => Interface::Present { addresses: addresses.clone() },
            },
        }
    }

    fn script(&self, command: &Command, global: &Global) -> Option<Script> {
        let user = command.user.as_ref().map(user_name);
        let resolved =
            security::resolve(&command.words, user.as_ref(), &script_policy(global), &RealSystem);
        let findings = resolved
            .findings
            .iter()
            .map(|finding| ScriptFinding {
                problem: problem(finding),
                message: finding.to_string(),
                remedy: finding.remedy(),
            })
            .collect();
        Some(Script { as_root: resolved.runs_as_root(), findings })
    }

    fn regex(&self, regex: &Regex) -> Option<String> {
        checkers::regex::objection(regex)
    }

    fn mode(&self, path: &Path) -> Option<u32> {
        Some(std::fs::metadata(path).ok()?.permissions().mode() & 0o7777)
    }
}

fn problem(finding: &Finding) -> ScriptProblem {
    match finding {
        Finding::UnknownUser(_) | Finding::UnknownGroup(_) => ScriptProblem::NoUser,
        Finding::Unsafe { .. } => ScriptProblem::Insecure,
        Finding::Relative(_) => ScriptProblem::Relative,
        Finding::ShellSyntax { .. } => ScriptProblem::ShellSyntax,
        finding if finding.is_fatal() => ScriptProblem::NotRunnable,
        _ => ScriptProblem::Remark,
    }
}

/// Interfaces and their own addresses: those that a virtual router has put there do not count.
fn interfaces() -> Option<HashMap<String, Vec<Network>>> {
    let mut kernel = Netlink::open().ok()?;
    let links = kernel.links().ok()?;
    let addresses = kernel.addresses(AddressFilter::default()).ok()?;
    let own = |index: u32| {
        addresses
            .iter()
            .filter(|a| a.ifindex == index && a.proto != ADDRESS_PROTO)
            // A single address says nothing about a subnet, and is most likely somebody's VIP.
            .filter(|a| a.prefix_len < if matches!(a.ip, IpAddr::V4(_)) { 32 } else { 128 })
            .map(|a| Network { address: a.ip, prefix: a.prefix_len })
            .collect()
    };
    Some(links.into_iter().map(|link| (link.name, own(link.index))).collect())
}
