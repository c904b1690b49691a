//! From the tree to the model: reads every line by the table of keywords, reports what is wrong,
//! and resolves defaults.
//!
//! ```text
//!  Tree ─► global_defs ─► blocks from top to bottom ─► what needs all of them ─► Model
//!                          (a name must be defined       (sync groups, duplicate
//!                           above its use)                router ids, VMAC names)
//! ```

mod address;
mod auth;
mod balancer;
mod bfd;
mod checker;
mod complete;
mod context;
mod forwarding;
mod global;
mod groups;
mod instance;
mod interfaces;
mod literal;
mod mail;
mod names;
mod route;
mod rule;
mod script;
mod server;
mod server_group;
mod strict;
mod track;
mod url;

pub use context::NotActedOn;
pub use names::{BuiltinNames, NameKind, NameTables};

use crate::diagnostic::Diagnostic;
use crate::keywords::{BlockId, Keyword};
use crate::model::vrrp::NotifyScripts;
use crate::model::{Command, Model, Name, Setting, SyncGroup, Weight};
use crate::tree::{Item, Tree};
use address::Place;
use context::Context;
use global::GlobalDraft;
use rule::RulePriorities;
use track::{Kind, Names};

/// What a tree means, and what is to be said about it.
#[derive(Clone, Debug, Default)]
pub struct Lowered {
    /// The model: what is wrong is left out of it, or replaced by a default.
    pub model: Model,
    /// Findings, in the order of the reading.
    pub diagnostics: Vec<Diagnostic>,
    /// Accepted keywords that the present daemon does not act on, each once per kind of block.
    pub not_acted_on: Vec<NotActedOn>,
}

/// Makes a model of a tree.
pub fn lower(tree: &Tree, names: &dyn NameTables) -> Lowered {
    let (mut lowering, mut cx, blocks) = Lowering::start(&tree.items, names);
    for (place, keyword) in blocks {
        lowering.block(&mut cx, &tree.items[place], keyword);
    }
    lowering.finish(cx)
}

/// Makes a model of a tree that nobody needs any more: the memory of what has been read is used
/// again.
pub fn consume(tree: Tree, names: &dyn NameTables) -> Lowered {
    let (mut lowering, mut cx, blocks) = Lowering::start(&tree.items, names);
    let mut blocks = blocks.into_iter().peekable();
    for (place, item) in tree.items.into_iter().enumerate() {
        if let Some((_, keyword)) = blocks.next_if(|(next, _)| *next == place) {
            lowering.block(&mut cx, &item, keyword);
        }
    }
    lowering.finish(cx)
}

/// The model while it grows.
struct Lowering {
    names: Names,
    model: Model,
    groups: Vec<SyncGroup>,
    /// Instances that are void, and why.
    void: Vec<(Name, &'static str)>,
    priorities: RulePriorities,
}

/// Blocks that are left to read: their places and keywords, in the order of the file.
type Blocks = Vec<(usize, &'static Keyword)>;

impl Lowering {
    /// Reads the settings of the whole daemon, which count wherever they stand.
    fn start<'a>(items: &[Item], names: &'a dyn NameTables) -> (Self, Context<'a>, Blocks) {
        let mut cx = Context::new(names);
        let mut lowering = Self {
            names: Names::scan(items),
            model: Model::default(),
            groups: Vec::new(),
            void: Vec::new(),
            priorities: RulePriorities::default(),
        };
        let mut global = GlobalDraft::default();
        for item in items {
            if &*item.keyword == "global_defs" && item.block.is_some() {
                global.block(&mut cx, item.items());
            }
        }
        let mut blocks = Vec::with_capacity(items.len());
        for (place, item) in items.iter().enumerate() {
            let Some(keyword) = cx.keyword(BlockId::Root, item) else { continue };
            match (keyword.name, &item.block) {
                ("global_defs", _) => {}
                (_, Some(_)) if keyword.opens_block() => blocks.push((place, keyword)),
                _ => global.root(&mut cx, item, keyword),
            }
        }
        let (global, linkbeat) = global.finish();
        lowering.model.global = global;
        lowering.model.linkbeat = linkbeat;
        let servers = blocks.iter().filter(|(_, keyword)| keyword.name == "virtual_server");
        lowering.model.virtual_servers.reserve_exact(servers.count());
        (lowering, cx, blocks)
    }

    fn finish(mut self, mut cx: Context<'_>) -> Lowered {
        self.settle(&mut cx);
        let Context { diagnostics, not_acted_on, .. } = cx;
        Lowered { model: self.model, diagnostics, not_acted_on }
    }

    fn block(&mut self, cx: &mut Context<'_>, item: &Item, keyword: &'static Keyword) {
        let model = &mut self.model;
        match keyword.name {
            "linkbeat_interfaces" => {
                model.linkbeat.extend(interfaces::linkbeat(cx, item.items()));
            }
            "interface_up_down_delays" => {
                interfaces::delays(cx, item.items(), &mut model.interface_delays);
            }
            "garp_group" => model.garp_groups.extend(interfaces::garp_group(cx, item)),
            "track_group" => {
                let group = cx.track_group(item, keyword, &model.track_groups);
                model.track_groups.extend(group);
            }
            "static_ipaddress" => {
                for line in item.items() {
                    if let Some(mut address) = cx.address(line, Place::Static) {
                        let default = &model.global.default_interface.value;
                        address.interface.get_or_insert_with(|| default.clone());
                        model.static_addresses.push(address);
                    }
                }
            }
            "static_routes" => {
                for line in item.items() {
                    model.static_routes.extend(cx.route(line, true));
                }
            }
            "static_rules" => {
                for line in item.items() {
                    model.static_rules.extend(cx.rule(line, true, &mut self.priorities));
                }
            }
            "vrrp_script" | "vrrp_track_process" | "track_file" | "vrrp_track_file" => {
                self.tracked(cx, item, keyword);
            }
            "vrrp_sync_group" => {
                let global = &model.global;
                let group = cx.sync_group(item, keyword, &self.names, global, &self.groups);
                self.groups.extend(group);
            }
            "vrrp_instance" => self.instance(cx, item, keyword),
            _ => self.elsewhere(cx, item, keyword),
        }
    }

    fn tracked(&mut self, cx: &mut Context<'_>, item: &Item, keyword: &'static Keyword) {
        let kind = match keyword.name {
            "vrrp_script" => Kind::Script,
            "vrrp_track_process" => Kind::Process,
            _ => Kind::File,
        };
        let Some(name) = cx.block_name(item, keyword, &self.names, kind) else { return };
        let defined = match kind {
            Kind::Script => cx.script(item, name.clone()).map(|mut script| {
                let user = &mut script.script.user;
                *user = user.take().or_else(|| self.model.global.script_user.clone());
                let weight = script.weight;
                self.model.scripts.push(script);
                weight
            }),
            Kind::Process => cx.process(item, name.clone()).map(|process| {
                let weight = process.weight;
                self.model.track_processes.push(process);
                weight
            }),
            _ => cx.file(item, name.clone()).map(|file| {
                let weight = file.weight;
                self.model.track_files.push(file);
                weight
            }),
        };
        self.define(kind, item, &name, defined);
    }

    fn define(&mut self, kind: Kind, item: &Item, name: &Name, weight: Option<Setting<Weight>>) {
        match (weight, item.args.first()) {
            (Some(weight), _) => self.names.define(kind, name, weight),
            (None, Some(token)) => self.names.void(kind, token),
            (None, None) => {}
        }
    }

    fn instance(&mut self, cx: &mut Context<'_>, item: &Item, keyword: &'static Keyword) {
        let Some(name) = cx.block_name(item, keyword, &self.names, Kind::Instance) else { return };
        let mut draft = cx.instance(item, &self.names, &mut self.priorities);
        if let Some(interface) = draft.sync_daemon.take()
            && self.model.global.vrrp.lvs_sync_daemon.is_none()
        {
            self.model.global.vrrp.lvs_sync_daemon = Some(crate::model::global::LvsSyncDaemon {
                interface,
                instance: Some(name.clone()),
                id: None,
                max_len: None,
                port: None,
                ttl: None,
                group: None,
            });
        }
        self.names.define(Kind::Instance, &name, Setting::default());
        match cx.complete(name.clone(), draft, &self.model.global) {
            Some(instance) => self.model.vrrp.push(instance),
            None => self.void.push((name, "this instance is void")),
        }
    }

    /// BFD and the balancer.
    fn elsewhere(&mut self, cx: &mut Context<'_>, item: &Item, keyword: &'static Keyword) {
        match keyword.name {
            "bfd_instance" => {
                let names = &self.names;
                let Some(name) = cx.block_name(item, keyword, names, Kind::Bfd) else { return };
                let bfd = cx.bfd(item, name.clone(), &self.model.bfd_instances);
                let weight = bfd.as_ref().map(|bfd| bfd.weight);
                self.model.bfd_instances.extend(bfd);
                self.define(Kind::Bfd, item, &name, weight);
            }
            "SSL" => self.model.ssl = Some(cx.ssl(item)),
            "virtual_server_group" => {
                let names = &self.names;
                let Some(name) = cx.block_name(item, keyword, names, Kind::Group) else { return };
                self.names.define(Kind::Group, &name, Setting::default());
                let group = cx.server_group(item, name);
                self.names.define_family(&group);
                self.model.virtual_server_groups.push(group);
            }
            "virtual_server" => {
                let server = cx.virtual_server(item, keyword, &self.names, &self.model);
                self.model.virtual_servers.extend(server);
            }
            _ => cx.unhandled(keyword, item),
        }
    }

    /// What needs all blocks.
    fn settle(&mut self, cx: &mut Context<'_>) {
        let model = &mut self.model;
        checker::settle_verification(model.ssl.as_ref(), &mut model.virtual_servers);
        server_group::check_groups(cx, model);
        cx.duplicate_vrids(&mut model.vrrp);
        let prefix = model.global.vrrp.vmac_prefix.value.clone();
        cx.device_names(&mut model.vrrp, &prefix);
        let groups = std::mem::take(&mut self.groups);
        model.sync_groups = cx.settle_groups(groups, &mut model.vrrp, &self.void);
        cx.settle_track_groups(&mut model.track_groups, &model.vrrp, &self.void);
        let groups = &model.track_groups;
        for address in &mut model.static_addresses {
            cx.check_track_group(&mut address.track_group, groups);
        }
        for route in &mut model.static_routes {
            cx.check_track_group(&mut route.track_group, groups);
        }
        for rule in &mut model.static_rules {
            cx.check_track_group(&mut rule.track_group, groups);
        }
    }
}

/// Every script of a set.
fn notify_commands(notify: &mut NotifyScripts) -> impl Iterator<Item = &mut Command> {
    let NotifyScripts { any, master, backup, fault, stop, deleted, master_rx_lower_pri } = notify;
    [any, master, backup, fault, stop, deleted, master_rx_lower_pri].into_iter().flatten()
}
