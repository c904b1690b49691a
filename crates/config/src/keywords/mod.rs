//! The one table of keywords: every block, every keyword, declared once.
//!
//! ```text
//!                    ┌─► lowering (dispatch, ranges, defaults)   ─► model
//!  BLOCKS (const) ───┼─► diagnostics ("did you mean")
//!                    ├─► `standfast keywords`, docs/keywords.md
//!                    └─► tests (valid and out-of-range examples; nothing is forgotten)
//! ```
//!
//! The files beside this one hold the declarations, one per part of the language.

mod balancer;
mod bfd;
mod checker;
mod global;
mod instance;
mod lines;
mod reference;
mod root;
mod suggest;
mod track;

use std::sync::LazyLock;

use rustc_hash::FxHashMap;

pub use reference::reference_page;
pub use suggest::{Suggestion, suggest};
pub(crate) use suggest::{ascii_twin, closest, similar};

/// Who acts on a keyword.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// The supervisor and the surroundings of every role.
    Daemon,
    /// VRRP and everything tracked.
    Failover,
    /// BFD sessions.
    Bfd,
    /// IPVS and the checkers.
    Balancer,
    /// Mail.
    Mail,
    /// SNMP.
    Snmp,
    /// D-Bus.
    Dbus,
    /// Nobody: accepted so that files go on working, without meaning here.
    Nobody,
}

impl Role {
    /// The word for people.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Daemon => "daemon",
            Self::Failover => "failover",
            Self::Bfd => "bfd",
            Self::Balancer => "balancer",
            Self::Mail => "mail",
            Self::Snmp => "snmp",
            Self::Dbus => "dbus",
            Self::Nobody => "nobody",
        }
    }

    /// Whether the present daemon has the role at all.
    pub const fn exists(self) -> bool {
        !matches!(self, Self::Bfd | Self::Snmp | Self::Dbus)
    }
}

/// Whether a keyword has a life outside this table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// In use.
    Current,
    /// Works; another keyword says the same. Keepalived says nothing about it.
    Alias(&'static str),
    /// Works, with a complaint: what to write instead (a keyword or advice).
    Deprecated(&'static str),
    /// Accepted without any effect.
    Ignored(&'static str),
}

/// What [`Keyword::since`] says of a keyword that only Standfast knows.
pub const OURS: &str = "Standfast only";

/// The argument of a keyword.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// None; further words are ignored.
    Flag,
    /// `on off true false yes no`; absent is on.
    Bool,
    /// A whole number.
    Int {
        /// Least.
        min: i64,
        /// Greatest.
        max: i64,
        /// What is counted; may be empty.
        unit: &'static str,
    },
    /// Seconds with up to six decimals.
    Seconds {
        /// Least, microseconds.
        min: u64,
        /// Greatest, microseconds.
        max: u64,
    },
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A word or a quoted string of at most so many bytes.
    Text {
        /// Greatest length in bytes.
        max: usize,
    },
    /// A path.
    Path,
    /// The name of an interface, at most 15 bytes.
    Interface,
    /// An IP address.
    Address {
        /// `[4]`, `[6]` or both families.
        families: &'static [u8],
    },
    /// A program with its arguments, then `[USER [GROUP]]`.
    Command,
    /// A block without a name.
    Block(BlockId),
    /// A block with a name.
    Named(BlockId),
    /// Something of its own.
    Special {
        /// How it is written.
        grammar: &'static str,
        /// An example that is right, without the keyword.
        good: &'static str,
        /// An example that is wrong; empty if nothing is.
        bad: &'static str,
    },
}

/// A keyword, or an option of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keyword {
    /// As it is written.
    pub name: &'static str,
    /// What follows it.
    pub value: Value,
    /// The default, in words; empty if there is none.
    pub default: &'static str,
    /// Who acts on it.
    pub role: Role,
    /// One line.
    pub doc: &'static str,
    /// First version of Keepalived that has it, if later than 2.2.7; [`OURS`]; else empty.
    pub since: &'static str,
    /// Whether it is current.
    pub standing: Standing,
    /// Its role exists, but does not act on it yet.
    pub later: bool,
    /// It stands without its argument: Keepalived says so and goes on, instead of stopping.
    pub lenient: bool,
}

impl Keyword {
    /// A current keyword.
    pub const fn new(
        name: &'static str,
        value: Value,
        default: &'static str,
        role: Role,
        doc: &'static str,
    ) -> Self {
        Self {
            name,
            value,
            default,
            role,
            doc,
            since: "",
            standing: Standing::Current,
            later: false,
            lenient: false,
        }
    }

    /// First version that has it.
    pub const fn since(mut self, version: &'static str) -> Self {
        self.since = version;
        self
    }

    /// Beyond Keepalived, which ignores it with a complaint.
    pub const fn ours(mut self) -> Self {
        self.since = OURS;
        self
    }

    /// Another name of `of`.
    pub const fn alias(mut self, of: &'static str) -> Self {
        self.standing = Standing::Alias(of);
        self
    }

    /// Deprecated in favour of `instead`.
    pub const fn deprecated(mut self, instead: &'static str) -> Self {
        self.standing = Standing::Deprecated(instead);
        self
    }

    /// Without effect, and why.
    pub const fn ignored(mut self, why: &'static str) -> Self {
        self.standing = Standing::Ignored(why);
        self.role = Role::Nobody;
        self
    }

    /// Its role does not act on it yet.
    pub const fn later(mut self) -> Self {
        self.later = true;
        self
    }

    /// A missing argument is a complaint only.
    pub const fn lenient(mut self) -> Self {
        self.lenient = true;
        self
    }

    /// Whether the present daemon honours it.
    pub const fn acted_on(&self) -> bool {
        self.role.exists() && !self.later
    }

    /// Whether a block follows it.
    pub fn opens_block(&self) -> bool {
        match self.value {
            Value::Block(_) | Value::Named(_) => true,
            Value::Special { grammar, .. } => grammar.ends_with("{ … }"),
            _ => false,
        }
    }

    /// How it is written, without its name.
    pub fn grammar(&self) -> String {
        match self.value {
            Value::Flag => String::new(),
            Value::Bool => "[BOOL]".to_owned(),
            Value::Int { .. } => "NUMBER".to_owned(),
            Value::Seconds { .. } => "SECONDS".to_owned(),
            Value::Choice(words) => words.join(" | "),
            Value::Text { .. } => "TEXT".to_owned(),
            Value::Path => "PATH".to_owned(),
            Value::Interface => "INTERFACE".to_owned(),
            Value::Address { families } => match families {
                [4] => "IPV4".to_owned(),
                [6] => "IPV6".to_owned(),
                _ => "IP".to_owned(),
            },
            Value::Command => "COMMAND [USER [GROUP]]".to_owned(),
            Value::Block(_) => "{ … }".to_owned(),
            Value::Named(_) => "NAME { … }".to_owned(),
            Value::Special { grammar, .. } => grammar.to_owned(),
        }
    }

    /// Its range in words; empty if it has none.
    pub fn range(&self) -> String {
        match self.value {
            Value::Int { min, max, unit } => {
                let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
                match (min, max) {
                    (i64::MIN, i64::MAX) => unit.trim().to_owned(),
                    (_, i64::MAX) => format!("{min} or more{unit}"),
                    _ => format!("{min} to {max}{unit}"),
                }
            }
            Value::Seconds { min, max } => {
                format!("{} to {} s", decimal(min), decimal(max))
            }
            Value::Text { max } if max != usize::MAX => format!("up to {max} bytes"),
            Value::Interface => "up to 15 bytes".to_owned(),
            _ => String::new(),
        }
    }
}

/// Microseconds as decimal seconds.
pub fn decimal(micros: u64) -> String {
    let (whole, rest) = (micros / 1_000_000, micros % 1_000_000);
    if rest == 0 {
        return whole.to_string();
    }
    format!("{whole}.{rest:06}").trim_end_matches('0').to_owned()
}

/// A kind of block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)] // The table says what each is.
pub enum BlockId {
    Root,
    GlobalDefs,
    NotificationEmail,
    LinkbeatInterfaces,
    InterfaceUpDownDelays,
    GarpGroup,
    GarpGroupInterfaces,
    TrackGroup,
    TrackGroupMembers,
    StaticAddresses,
    StaticRoutes,
    StaticRules,
    VrrpScript,
    VrrpTrackProcess,
    TrackFile,
    VrrpSyncGroup,
    SyncGroupMembers,
    TrackInterfaceList,
    TrackScriptList,
    TrackFileList,
    TrackProcessList,
    TrackBfdList,
    VrrpInstance,
    Authentication,
    AuthHmac,
    UnicastPeers,
    VirtualAddresses,
    ExcludedAddresses,
    VirtualRoutes,
    VirtualRules,
    BfdInstance,
    Ssl,
    VirtualServerGroup,
    VirtualServer,
    RealServer,
    TcpCheck,
    HttpGet,
    SslGet,
    Url,
    SmtpCheck,
    SmtpHost,
    DnsCheck,
    MiscCheck,
    UdpCheck,
    PingCheck,
    FileCheck,
    BfdCheck,
    AddressOptions,
    RouteOptions,
    EncapOptions,
    RuleOptions,
    TrackOptions,
    PeerOptions,
}

/// A block: its keywords, or the lines that it holds.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// Which.
    pub id: BlockId,
    /// How it is called in the reference page and in diagnostics: its keyword, with those of the
    /// blocks round it where it needs them to be told apart.
    pub title: &'static str,
    /// One line.
    pub doc: &'static str,
    /// What it holds.
    pub content: Content,
}

/// What a block holds.
#[derive(Clone, Copy, Debug)]
pub enum Content {
    /// Lines that begin with a keyword.
    Keywords(&'static [&'static [Keyword]]),
    /// Lines of one shape.
    Lines {
        /// How a line is written.
        grammar: &'static str,
        /// The options of a line.
        options: Option<BlockId>,
        /// A line that is right.
        good: &'static str,
        /// A line that is wrong; empty if nothing is.
        bad: &'static str,
    },
    /// Not a block of the file: the options of lines of other blocks.
    Options(&'static [Keyword]),
}

impl Block {
    /// Every keyword of the block, in the order of the table.
    pub fn keywords(&self) -> impl Iterator<Item = &'static Keyword> {
        let lists: &'static [&'static [Keyword]] = match self.content {
            Content::Keywords(lists) => lists,
            Content::Options(_) | Content::Lines { .. } => &[],
        };
        let options: &'static [Keyword] = match self.content {
            Content::Options(options) => options,
            _ => &[],
        };
        lists.iter().copied().flatten().chain(options)
    }

    /// Finds a keyword by its exact name.
    pub fn find(&self, name: &str) -> Option<&'static Keyword> {
        INDEX.keywords[self.id as usize].get(name).copied()
    }
}

/// Every block, in the order of the reference page.
pub fn blocks() -> impl Iterator<Item = &'static Block> {
    [root::BLOCKS, global::BLOCKS, track::BLOCKS, instance::BLOCKS, bfd::BLOCKS]
        .into_iter()
        .chain([balancer::BLOCKS, checker::BLOCKS, lines::BLOCKS])
        .flatten()
}

/// The block of that kind.
pub fn block(id: BlockId) -> &'static Block {
    INDEX.blocks[id as usize]
}

/// Blocks that have a keyword of this name.
pub fn blocks_with(name: &str) -> &'static [BlockId] {
    INDEX.homes.get(name).map_or(&[], Vec::as_slice)
}

/// By `BlockId`, so that a look-up is an index and one cheap hash: there is one for every line.
struct Index {
    blocks: Vec<&'static Block>,
    keywords: Vec<FxHashMap<&'static str, &'static Keyword>>,
    homes: FxHashMap<&'static str, Vec<BlockId>>,
}

static INDEX: LazyLock<Index> = LazyLock::new(|| {
    let most = blocks().map(|block| block.id as usize).max().unwrap_or_default();
    let mut index = Index {
        blocks: vec![&root::ROOT; most + 1],
        keywords: Vec::new(),
        homes: FxHashMap::default(),
    };
    index.keywords.resize_with(most + 1, FxHashMap::default);
    for block in blocks() {
        index.blocks[block.id as usize] = block;
        let names = &mut index.keywords[block.id as usize];
        for keyword in block.keywords() {
            names.insert(keyword.name, keyword);
            if !matches!(block.content, Content::Options(_)) {
                index.homes.entry(keyword.name).or_default().push(block.id);
            }
        }
    }
    index
});

// Short forms for the declarations.
const ANY: usize = usize::MAX;
const BOTH: &[u8] = &[4, 6];
const TEXT: Value = Value::Text { max: ANY };
const IP: Value = Value::Address { families: BOTH };

const fn int(min: i64, max: i64) -> Value {
    Value::Int { min, max, unit: "" }
}

const fn count(min: i64, max: i64, unit: &'static str) -> Value {
    Value::Int { min, max, unit }
}

/// Seconds from `min` to `max` microseconds.
const fn micros(min: u64, max: u64) -> Value {
    Value::Seconds { min, max }
}

/// Whole seconds as bounds.
const fn seconds(min: u64, max: u64) -> Value {
    Value::Seconds { min: min * 1_000_000, max: max * 1_000_000 }
}

const fn special(grammar: &'static str, good: &'static str, bad: &'static str) -> Value {
    Value::Special { grammar, good, bad }
}

/// Greatest time that Keepalived holds in a timer of 32 bits of microseconds.
const U32_MICROS: u64 = u32::MAX as u64;
/// Greatest time that is taken at all, seconds.
const LONG: u64 = u32::MAX as u64;
const U32: i64 = u32::MAX as i64;
const I32: i64 = i32::MAX as i64;
