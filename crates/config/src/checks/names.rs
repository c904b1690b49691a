//! Names that nobody refers to, and addresses that two virtual routers hold.

use std::collections::{HashMap, HashSet};

use super::Subject;
use crate::diagnostic::{Diagnostic, Names};
use crate::model::balancer::Service;
use crate::model::checker::CheckerKind;
use crate::model::{Name, Tracks};
use crate::source::Span;
use crate::tree::Item;

pub(super) fn check(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    unused(subject, found);
    shared_addresses(subject, found);
}

/// Words that stand anywhere in a block of the given kinds: references that lowering dropped for
/// another reason still count as uses.
fn mentioned<'a>(items: &'a [Item], inside: bool, words: &mut HashSet<&'a str>) {
    const LISTS: [&str; 6] =
        ["track_script", "track_file", "track_process", "track_bfd", "track_interface", "group"];
    for item in items {
        let inside = inside || LISTS.contains(&item.keyword.as_str());
        if inside {
            words.extend(item.words().map(crate::tree::Token::as_str));
        }
        mentioned(item.items(), inside, words);
    }
}

fn unused(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    let model = subject.model;
    let mut words = HashSet::new();
    for item in &subject.tree.items {
        if matches!(item.keyword.as_str(), "vrrp_instance" | "vrrp_sync_group") {
            mentioned(item.items(), false, &mut words);
        }
    }
    let tracked = |pick: fn(&Tracks) -> &Vec<crate::model::Tracked>| -> HashSet<&str> {
        let instances = model.vrrp.iter().map(|i| &i.tracks);
        let groups = model.sync_groups.iter().map(|g| &g.tracks);
        instances.chain(groups).flat_map(|t| pick(t).iter().map(|t| &*t.name)).collect()
    };
    let checkers =
        || model.virtual_servers.iter().flat_map(|vs| &vs.real_servers).flat_map(|rs| &rs.checkers);
    let mut say = |name: &Name, keyword: &str, what: &str| {
        found.push(
            Diagnostic::warning(Names::Unused, format!("`{keyword} {name}` is never used"))
                .unnoticed()
                .at(name.span, what.to_owned()),
        );
    };
    let scripts = tracked(|t| &t.scripts);
    // A misspelt reference was reported, with the name that was meant.
    let meant: HashSet<&str> = words
        .iter()
        .filter(|word| model.script(word).is_none())
        .filter_map(|word| crate::keywords::closest(word, model.scripts.iter().map(|s| &*s.name)))
        .collect();
    for script in &model.scripts {
        let name = &*script.name;
        if !scripts.contains(name) && !words.contains(name) && !meant.contains(name) {
            say(&script.name, "vrrp_script", "no track_script names it, so it is never run");
        }
    }
    let mut files = tracked(|t| &t.files);
    files.extend(checkers().filter_map(|c| match &c.kind {
        CheckerKind::File { file, .. } => Some(&***file),
        _ => None,
    }));
    for file in &model.track_files {
        if !files.contains(&*file.name) && !words.contains(&*file.name) {
            say(&file.name, "track_file", "nothing tracks it");
        }
    }
    let processes = tracked(|t| &t.processes);
    for process in &model.track_processes {
        if !processes.contains(&*process.name) && !words.contains(&*process.name) {
            say(&process.name, "vrrp_track_process", "no track_process names it");
        }
    }
    let served: HashSet<&str> = model
        .virtual_servers
        .iter()
        .filter_map(|vs| match &vs.service {
            Service::Group(name) => Some(&**name),
            _ => None,
        })
        .collect();
    for group in &model.virtual_server_groups {
        if !served.contains(&*group.name) {
            say(&group.name, "virtual_server_group", "no virtual_server names it");
        }
    }
}

fn shared_addresses(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    let mut first: HashMap<std::net::IpAddr, (&Name, Span)> = HashMap::new();
    for instance in &subject.model.vrrp {
        for address in instance.all_addresses() {
            match first.get(&address.ip()) {
                Some((name, span)) if **name != instance.name => found.push(
                    Diagnostic::warning(
                        Names::SharedAddress,
                        format!("{} is held by two virtual routers", address.ip()),
                    )
                    .unnoticed()
                    .at(address.span, format!("held by `{}`", instance.name))
                    .also(*span, format!("and by `{name}`"))
                    .help("list it in one of them only"),
                ),
                Some(_) => {}
                None => {
                    first.insert(address.ip(), (&instance.name, address.span));
                }
            }
        }
    }
}
