//! Who becomes MASTER, and when: weights, preemption, owners, intervals.

use std::time::Duration;

use super::Subject;
use crate::diagnostic::{Diagnostic, Election};
use crate::model::vrrp::InitialState;
use crate::model::{Instance, Model, SyncGroup, Tracked};
use crate::source::Span;

/// What the base priority can become.
pub(crate) struct Reach {
    /// Everything that can fail has failed, 1 at least.
    pub(crate) least: i32,
    /// Nothing has failed, 254 at most.
    pub(crate) most: i32,
    /// The terms as text, as in `100 - 2 - 30`.
    pub(crate) least_terms: String,
}

pub(super) fn check(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    for instance in &subject.model.vrrp {
        weights(instance, found);
        owner(instance, found);
        slow(instance, found);
    }
    for group in &subject.model.sync_groups {
        sync_group(group, subject.model, found);
    }
}

/// The weights that count for an instance: -w while down, +w while up; `reverse` turns the sign.
fn swing(tracked: &Tracked) -> (i32, i32) {
    let weight = tracked.weight.value;
    let value = i32::from(weight.value);
    let adds = if weight.reverse { -value } else { value };
    // (when it fails, when it is well)
    if value < 0 { (adds, 0) } else { (0, adds) }
}

/// How far weights can move the priority of an instance.
pub(crate) fn reach(instance: &Instance) -> Reach {
    let base = i32::from(instance.priority.value.get());
    let mut reach = Reach { least: base, most: base, least_terms: base.to_string() };
    if instance.is_owner() {
        return reach;
    }
    let tracks = &instance.tracks;
    // A file's value is multiplied by its weight: any priority can come of it.
    if tracks.files.iter().any(|t| t.weight.value.value != 0) {
        return Reach { least: 1, most: 254, least_terms: "a file's value".to_owned() };
    }
    for tracked in tracks.all() {
        let (failed, well) = swing(tracked);
        let least = failed.min(well);
        reach.least += least;
        reach.most += failed.max(well);
        if least < 0 {
            reach.least_terms.push_str(&format!(" - {}", -least));
        }
    }
    reach.least = reach.least.clamp(1, 254);
    reach.most = reach.most.clamp(1, 254);
    reach
}

/// The place of a weight: where it was written, else the name that is tracked.
pub(crate) fn weight_span(tracked: &Tracked) -> Span {
    tracked.weight.written_at().unwrap_or(tracked.name.span)
}

fn weights(instance: &Instance, found: &mut Vec<Diagnostic>) {
    let weighted: Vec<&Tracked> =
        instance.tracks.all().filter(|t| t.weight.value.value != 0).collect();
    let Some(first) = weighted.first() else { return };
    if let (false, Some(nopreempt)) = (instance.preempt.value, instance.preempt.span()) {
        let mut diagnostic = Diagnostic::warning(
            Election::WeightWithoutPreemption,
            format!("with nopreempt, the weight of `{}` never moves `{}`", first.name, instance.name),
        )
        .unnoticed()
        .at(weight_span(first), "changes the priority only")
        .also(nopreempt, "and a priority alone never makes a MASTER step down")
        .help("leave the weight out (or write `weight 0`): then a failure is a FAULT, and another takes over")
        .help("or remove nopreempt on all nodes");
        for other in weighted.iter().skip(1) {
            diagnostic = diagnostic.also(weight_span(other), "likewise");
        }
        found.push(diagnostic);
    }
    let base = i32::from(instance.priority.value.get());
    if instance.is_owner() || !instance.tracks.files.is_empty() {
        return;
    }
    for tracked in weighted {
        let (failed, well) = swing(tracked);
        let unclamped = base + failed + well;
        if (1..=254).contains(&unclamped) {
            continue;
        }
        let limit = unclamped.clamp(1, 254);
        let mut diagnostic = Diagnostic::warning(
            Election::WeightClamped,
            format!(
                "priority {base} and weight {:+} give {unclamped}, which becomes {limit}",
                failed + well
            ),
        )
        .unnoticed()
        .at(
            weight_span(tracked),
            if limit == base {
                "so this weight changes nothing".to_owned()
            } else {
                format!("only {} of it counts", (limit - base).abs())
            },
        );
        if let Some(span) = instance.priority.span() {
            diagnostic = diagnostic.also(span, "the priority");
        }
        found.push(diagnostic.help("an effective priority is between 1 and 254"));
    }
}

fn owner(instance: &Instance, found: &mut Vec<Diagnostic>) {
    let (true, InitialState::Master) = (instance.is_owner(), instance.state.value) else { return };
    // Written as a number it is meant.
    if instance.priority.written_at().is_none()
        && let Some(state) = instance.state.span()
    {
        found.push(
            Diagnostic::warning(
                Election::MasterWithoutPriority,
                format!("`{}` has `state MASTER` and no priority", instance.name),
            )
            .unnoticed()
            .at(state, "so its priority is 255, that of the owner of the addresses")
            .help("write a priority, for example `priority 150`"),
        );
    }
}

/// Above this a failover takes half a minute.
const SLOW: Duration = Duration::from_secs(10);

fn slow(instance: &Instance, found: &mut Vec<Diagnostic>) {
    let interval = instance.advert_interval.value;
    if interval < SLOW {
        return;
    }
    let Some(span) = instance.advert_interval.span() else { return };
    let down = interval * u32::from(instance.down_timer_adverts.value);
    found.push(
        Diagnostic::advice(
            Election::SlowAdverts,
            format!("a failed MASTER is noticed after {} s only", down.as_secs()),
        )
        .at(
            span,
            format!("{} adverts of {} s", instance.down_timer_adverts.value, interval.as_secs()),
        ),
    );
}

fn sync_group(group: &SyncGroup, model: &Model, found: &mut Vec<Diagnostic>) {
    let members: Vec<&Instance> =
        group.members.iter().filter_map(|name| model.instance(name)).collect();
    let Some((first, others)) = members.split_first() else { return };
    for other in others {
        if other.advert_interval != first.advert_interval {
            let at = other.advert_interval.span().unwrap_or(other.name.span);
            let also = first.advert_interval.span().unwrap_or(first.name.span);
            found.push(
                Diagnostic::warning(
                    Election::SyncGroupTiming,
                    format!(
                        "`{}` and `{}` are in one sync group and advertise at different intervals",
                        first.name, other.name
                    ),
                )
                .unnoticed()
                .at(at, seconds(other.advert_interval.value))
                .also(also, seconds(first.advert_interval.value))
                .also(group.name.span, "the group")
                .help("the group fails over as slowly as its slowest member"),
            );
        }
        if other.preempt != first.preempt {
            let at = other.preempt.span().unwrap_or(other.name.span);
            let also = first.preempt.span().unwrap_or(first.name.span);
            let word = |i: &Instance| if i.preempt.value { "preempts" } else { "does not preempt" };
            found.push(
                Diagnostic::warning(
                    Election::SyncGroupTiming,
                    format!(
                        "`{}` and `{}` are in one sync group, and one of them preempts",
                        first.name, other.name
                    ),
                )
                .unnoticed()
                .at(at, format!("`{}` {}", other.name, word(other)))
                .also(also, format!("`{}` {}", first.name, word(first)))
                .help("write the same in all members of a group"),
            );
        }
    }
}

fn seconds(interval: Duration) -> String {
    let micros = u64::try_from(interval.as_micros()).unwrap_or(u64::MAX);
    format!("{} s", crate::keywords::decimal(micros))
}
