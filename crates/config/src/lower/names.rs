//! Names of routing tables, protocols, scopes and the like.

/// Kinds of names that stand for numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NameKind {
    /// Routing tables (`rt_tables`).
    Table,
    /// Who installed a route (`rt_protos`).
    Protocol,
    /// Scopes (`rt_scopes`).
    Scope,
    /// Types of service (`rt_dsfield`).
    TypeOfService,
    /// Realms (`rt_realms`).
    Realm,
    /// Groups of interfaces (`group`).
    Group,
    /// IP protocols (`/etc/protocols`).
    IpProtocol,
}

impl NameKind {
    /// The word for people.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Table => "routing table",
            Self::Protocol => "routing protocol",
            Self::Scope => "scope",
            Self::TypeOfService => "type of service",
            Self::Realm => "realm",
            Self::Group => "interface group",
            Self::IpProtocol => "IP protocol",
        }
    }
}

/// Looks up names that the administrator of the machine has given (`/etc/iproute2/rt_tables` and
/// its kind). Numbers and the names that every machine knows never get here.
pub trait NameTables {
    /// The number behind a name.
    fn lookup(&self, kind: NameKind, name: &str) -> Option<u32>;
}

/// Only the names that every machine knows.
#[derive(Clone, Copy, Debug, Default)]
pub struct BuiltinNames;

impl NameTables for BuiltinNames {
    fn lookup(&self, _: NameKind, _: &str) -> Option<u32> {
        None
    }
}

/// The names that every machine knows, whatever its files say.
pub(super) fn builtin(kind: NameKind, name: &str) -> Option<u32> {
    let known: &[(&str, u32)] = match kind {
        NameKind::Table => &[("unspec", 0), ("default", 253), ("main", 254), ("local", 255)],
        NameKind::Protocol => {
            &[("unspec", 0), ("redirect", 1), ("kernel", 2), ("boot", 3), ("static", 4)]
        }
        NameKind::Scope => &[
            ("global", 0),
            ("universe", 0),
            ("site", 200),
            ("link", 253),
            ("host", 254),
            ("nowhere", 255),
        ],
        NameKind::TypeOfService | NameKind::Realm => &[],
        NameKind::Group => &[("default", 0)],
        NameKind::IpProtocol => &[
            ("icmp", 1),
            ("igmp", 2),
            ("tcp", 6),
            ("udp", 17),
            ("gre", 47),
            ("esp", 50),
            ("ah", 51),
            ("ipv6-icmp", 58),
            ("icmpv6", 58),
            ("ospf", 89),
            ("vrrp", 112),
            ("sctp", 132),
        ],
    };
    known.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|(_, number)| *number)
}
