//! `standfast status` and `standfast explain` as text for people: plain, at most 80 columns where
//! names allow it.

use std::fmt::Write as _;

use crate::snapshot::{Instance, Peer, State, Term};
use crate::{Snapshot, Timestamp};

pub mod balancing;

/// How many events of an instance `explain` shows.
const HISTORY_SHOWN: usize = 12;

/// The overview: one line an instance, then whatever needs attention. `local_time` prints an
/// instant in local time, as `2026-11-21 12:17:54`.
pub fn status(snapshot: &Snapshot, local_time: &dyn Fn(Timestamp) -> String) -> String {
    let mut out = String::new();
    let node = &snapshot.node;
    let _ = writeln!(
        out,
        "{}: {} (configuration {} of {})",
        node.router_id,
        node.config_file,
        node.config_generation,
        local_time(node.config_time),
    );
    if let Some(reason) = &node.reload_refused {
        let _ = writeln!(out, "! the last reload was refused: {reason}");
    }
    if node.restarts > 0 {
        let _ = writeln!(out, "! this role was restarted after a crash, {}", times(node.restarts));
    }
    if snapshot.instances.is_empty() {
        out.push_str("no vrrp_instance is configured\n");
    } else {
        let width = |text: fn(&Instance) -> usize, least: usize| {
            snapshot.instances.iter().map(text).max().unwrap_or(0).max(least)
        };
        let name = width(|i| i.name.chars().count(), 8);
        let place = width(|i| place(i).chars().count(), 9);
        let _ = writeln!(
            out,
            "{:name$}  {:place$}  {:>4}  {:6}  {:>4}  {:>9}  MASTER NOW",
            "INSTANCE", "INTERFACE", "VRID", "STATE", "PRIO", "SINCE"
        );
        for i in &snapshot.instances {
            let _ = writeln!(
                out,
                "{:name$}  {:place$}  {:>4}  {:6}  {:>4}  {:>9}  {}",
                i.name,
                self::place(i),
                i.vrid,
                i.state.word(),
                i.priority.effective,
                short_duration(i.since.until(snapshot.time)),
                master_now(i),
            );
        }
    }
    for group in &snapshot.groups {
        let _ =
            writeln!(out, "group {}: {} ({})", group.name, group.state, group.members.join(", "));
    }
    for i in &snapshot.instances {
        for fault in &i.faults {
            let _ = writeln!(out, "! {}: FAULT: {fault}", i.name);
        }
        for waiting in &i.waiting_for {
            let _ = writeln!(out, "! {}: waits for {waiting}", i.name);
        }
        if i.handed_over {
            let _ = writeln!(
                out,
                "! {0}: handed over; `standfast handover {0} --undo` takes part again",
                i.name
            );
        }
        for item in i.addresses.iter().chain(&i.routes).chain(&i.rules) {
            if i.state == State::Master && !item.set {
                let _ = writeln!(out, "! {}: {} could not be set", i.name, item.text);
            } else if item.repaired > 0 {
                let _ = writeln!(
                    out,
                    "! {}: {} was removed by somebody and put back, {}",
                    i.name,
                    item.text,
                    times(item.repaired)
                );
            }
        }
    }
    for notice in &snapshot.notices {
        let _ = writeln!(out, "! {notice}");
    }
    out
}

/// Why an instance is what it is. `None` when there is no instance of that name.
pub fn explain(
    snapshot: &Snapshot,
    name: &str,
    local_time: &dyn Fn(Timestamp) -> String,
) -> Option<String> {
    let i = snapshot.instances.iter().find(|i| i.name == name)?;
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{} is {} since {} ({})",
        i.name,
        i.state,
        local_time(i.since),
        long_duration(i.since.until(snapshot.time)),
    );
    let mut row = |label: &str, text: &str| wrap(&mut out, label, text);
    if !i.cause.is_empty() {
        row("because", &i.cause);
    }
    for fault in &i.faults {
        row("fault", fault);
    }
    for waiting in &i.waiting_for {
        row("waits for", waiting);
    }
    if let Some(group) = &i.group {
        row("group", &format!("{group}: its members change state together"));
    }
    if i.yielding {
        row("yielding", "its end is announced; it answers until the successor is heard");
    }
    if i.handed_over {
        row("handed over", "by an operator: it stays BACKUP while another router is master");
    }
    row("priority", &sum(i));
    for term in &i.priority.terms {
        row("", &term_text(term));
    }
    let place = format!(
        "VRID {} on {}, VRRPv{} over IPv{}{}",
        i.vrid,
        place(i),
        i.version,
        i.ip_version,
        i.source.map_or(String::new(), |s| format!(", from {s}")),
    );
    row("speaks", &place);
    row(
        "timers",
        &format!(
            "an advert every {} s; the master counts as down after {:.3} s of silence{}",
            i.master_interval,
            i.master_down,
            i.master_down_in.map_or(String::new(), |s| format!(", in {s:.2} s from now")),
        ),
    );
    match (&i.master, i.state) {
        (_, State::Master) => row("master", "this node"),
        (Some(master), _) => row("master", &peer_text(master)),
        (None, _) => row("master", "nobody is heard"),
    }
    if i.peers.is_empty() {
        row("others", "no other router has been heard for this VRID");
    }
    for (index, peer) in i.peers.iter().enumerate() {
        row(if index == 0 { "others" } else { "" }, &peer_text(peer));
    }
    for (index, address) in i.addresses.iter().enumerate() {
        let state = if address.set { "set" } else { "not set" };
        row(if index == 0 { "addresses" } else { "" }, &format!("{} ({state})", address.text));
    }
    for (label, list) in [("routes", &i.routes), ("rules", &i.rules)] {
        for (index, item) in list.iter().enumerate() {
            let state = if item.set { "set" } else { "not set" };
            row(if index == 0 { label } else { "" }, &format!("{} ({state})", item.text));
        }
    }
    if !i.history.is_empty() {
        let left_out = i.history.len().saturating_sub(HISTORY_SHOWN);
        out.push_str("what happened\n");
        if left_out > 0 {
            let _ = writeln!(out, "  ({left_out} earlier events: --json shows all)");
        }
        for record in i.history.iter().skip(left_out) {
            let what = match (&record.from, &record.to) {
                (Some(from), Some(to)) => format!("{from} -> {to}"),
                _ => record.message.clone(),
            };
            let text = match &record.cause {
                Some(cause) => format!("{what}: {cause}"),
                None => what,
            };
            wrap(&mut out, &local_time(record.time), &text);
            if let Some(hint) = &record.hint {
                wrap(&mut out, "", &format!("hint: {hint}"));
            }
        }
    }
    Some(out)
}

fn place(i: &Instance) -> String {
    i.interface.clone().unwrap_or_else(|| "unicast".to_owned())
}

fn master_now(i: &Instance) -> String {
    match (&i.master, i.state) {
        (_, State::Master) => "this node".to_owned(),
        (Some(master), _) => match master.priority {
            Some(priority) => format!("{} (prio {priority})", master.address),
            None => master.address.to_string(),
        },
        (None, _) => "-".to_owned(),
    }
}

fn sum(i: &Instance) -> String {
    let p = &i.priority;
    let mut text = format!("{} = {} configured", p.effective, p.base);
    for term in p.terms.iter().filter(|t| t.adds != 0) {
        let sign = if term.adds < 0 { '-' } else { '+' };
        let _ = write!(text, " {sign} {} ({} {})", term.adds.abs(), term.kind, term.name);
    }
    if p.total != i64::from(p.effective) {
        let _ = write!(text, "; the sum {} is held within 1 to 254", p.total);
    }
    if p.base == 255 {
        text.push_str("; 255 is the address owner, which no weight changes");
    }
    text
}

fn term_text(term: &Term) -> String {
    let effect = match term.weight {
        None => "its failure means FAULT".to_owned(),
        Some(weight) => {
            format!("weight {weight}{}", if term.reverse { " reverse" } else { "" })
        }
    };
    format!("{} {} is {}: adds {} ({effect})", term.kind, term.name, term.state, term.adds)
}

fn peer_text(peer: &Peer) -> String {
    let mut text = peer.address.to_string();
    if let Some(priority) = peer.priority {
        let _ = write!(text, ", priority {priority}");
    }
    match peer.heard_ago {
        Some(ago) => {
            let _ = write!(text, ", last heard {} ago", long_duration(ago));
        }
        None => text.push_str(", not heard so far"),
    }
    if peer.configured {
        text.push_str(", configured peer");
    }
    text
}

const LABEL: usize = 13;
const COLUMNS: usize = 80;

/// `  label      text`, the text wrapped at [`COLUMNS`].
fn wrap(out: &mut String, label: &str, text: &str) {
    let _ = write!(out, "  {label:LABEL$}");
    let indent = 2 + LABEL.max(label.chars().count());
    if label.chars().count() >= LABEL {
        out.push_str("  ");
    }
    let indent = if label.chars().count() >= LABEL { indent + 2 } else { indent };
    let mut column = indent;
    let mut first = true;
    for word in text.split_whitespace() {
        let width = word.chars().count();
        if !first && column + 1 + width > COLUMNS {
            let _ = write!(out, "\n{:indent$}", "");
            column = indent;
            first = true;
        }
        if !first {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += width;
        first = false;
    }
    while out.ends_with(' ') {
        out.pop();
    }
    out.push('\n');
}

fn times(n: u32) -> String {
    match n {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        n => format!("{n} times"),
    }
}

fn short_duration(seconds: f64) -> String {
    let s = seconds.max(0.0) as u64;
    match s {
        0..60 => format!("{s}s"),
        60..3600 => format!("{}m{:02}s", s / 60, s % 60),
        3600..86_400 => format!("{}h{:02}m", s / 3600, s % 3600 / 60),
        _ => format!("{}d{:02}h", s / 86_400, s % 86_400 / 3600),
    }
}

fn long_duration(seconds: f64) -> String {
    if seconds < 10.0 {
        return format!("{:.2} s", seconds.max(0.0));
    }
    let s = seconds as u64;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min {} s", s / 60, s % 60),
        3600..86_400 => format!("{} h {} min", s / 3600, s % 3600 / 60),
        _ => format!("{} d {} h", s / 86_400, s % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Record;
    use crate::record::Severity;
    use crate::snapshot::{Item, Priority};

    fn snapshot() -> Snapshot {
        let history = vec![Record {
            seq: 1,
            time: Timestamp::from_micros(100_000_000),
            severity: Severity::Info,
            subject: Some("VI_1".into()),
            kind: "transition".into(),
            from: Some("BACKUP".into()),
            to: Some("MASTER".into()),
            message: "(VI_1) Entering MASTER STATE".into(),
            cause: Some("no advert was heard for 3.41 s".into()),
            hint: None,
        }];
        let instance = Instance {
            name: "VI_1".into(),
            interface: Some("eth0".into()),
            vrid: 51,
            version: 2,
            ip_version: 4,
            state: State::Master,
            since: Timestamp::from_micros(100_000_000),
            cause: "no advert was heard for 3.41 s".into(),
            priority: Priority {
                base: 100,
                effective: 105,
                total: 105,
                terms: vec![Term {
                    kind: "script".into(),
                    name: "chk".into(),
                    state: "up".into(),
                    weight: Some(5),
                    reverse: false,
                    adds: 5,
                }],
            },
            addresses: vec![Item {
                text: "198.51.100.100/24 dev eth0 scope global".into(),
                set: true,
                repaired: 2,
                ..Item::default()
            }],
            history,
            ..Instance::default()
        };
        Snapshot {
            time: Timestamp::from_micros(165_000_000),
            instances: vec![instance],
            ..Snapshot::default()
        }
    }

    #[test]
    fn explain_tells_the_state_the_cause_and_the_sum() {
        let text = explain(&snapshot(), "VI_1", &|t| format!("t{}", t.secs())).unwrap();
        assert!(text.starts_with("VI_1 is MASTER since t100 (1 min 5 s)\n"), "{text}");
        assert!(text.contains("  because      no advert was heard for 3.41 s\n"), "{text}");
        assert!(text.contains("  priority     105 = 100 configured + 5 (script chk)\n"), "{text}");
        assert!(text.contains("BACKUP -> MASTER: no advert was heard"), "{text}");
        assert!(text.lines().all(|l| l.chars().count() <= 80), "{text}");
        assert!(explain(&snapshot(), "VI_2", &|_| String::new()).is_none());
    }

    #[test]
    fn status_is_a_table_with_what_needs_attention_below() {
        let text = status(&snapshot(), &|t| format!("t{}", t.secs()));
        assert!(
            text.contains("VI_1      eth0         51  MASTER   105      1m05s  this node\n"),
            "{text}"
        );
        assert!(text.contains("was removed by somebody and put back, twice"), "{text}");
    }
}
