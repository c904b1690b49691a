//! What each owner wants in the kernel, and the requests that lead there.

use std::collections::{HashMap, HashSet};

use netlink::Request;
use vrrp::Time;

use super::form::{Form, Key};
use super::repair::Budget;
use super::{Job, KernelState, Owner, Told};
use crate::kernel_form;
use crate::plan::Holding;
use crate::report::What;

/// Requests in one batch: small enough that timers are looked at in between.
const BATCH: usize = 512;

/// One line of a holding.
#[derive(Debug)]
pub(super) struct Piece {
    what: What,
    pub(super) text: String,
    /// Put back when somebody else removes it.
    pub(super) tracked: bool,
    /// The kernel's form as it was last put there; `None` while its interface does not exist.
    pub(super) form: Option<Form>,
    /// The kernel has it because of us.
    pub(super) set: bool,
    pub(super) repaired: u32,
    pub(super) budget: Budget,
    /// The last complaint, so that the same one is told once.
    complaint: Option<String>,
}

/// What an owner holds when it holds.
#[derive(Debug)]
pub(super) struct Slot {
    holding: Holding,
    pub(super) pieces: Vec<Piece>,
    pub(super) held: bool,
}

impl Slot {
    fn new(holding: Holding) -> Self {
        let pieces = pieces(&holding);
        Self { holding, pieces, held: false }
    }

    /// The kernel has removed everything on that interface.
    pub(super) fn interface_gone(&mut self, index: u32) {
        for piece in &mut self.pieces {
            if piece.form.as_ref().is_some_and(|form| form.uses(index)) {
                piece.set = false;
            }
        }
    }
}

impl KernelState {
    /// Says what an owner holds when it holds. If it holds now, the difference is made.
    pub(crate) fn define(&mut self, owner: Owner, holding: Holding) {
        if self.slots.get(&owner).is_some_and(|slot| slot.holding == holding) {
            return;
        }
        self.unlist(owner);
        let old = self.slots.insert(owner, Slot::new(holding));
        let Some(mut old) = old.filter(|old| old.held) else { return };
        // What is queued belongs to the old list; what it would have added is missing below.
        self.drop_additions(owner);
        self.repairs.retain(|(_, of, _)| *of != owner);
        self.resolve(owner);
        let mut additions = Vec::new();
        if let Some(slot) = self.slots.get_mut(&owner) {
            slot.held = true;
            let mut places = HashMap::new();
            for (index, piece) in old.pieces.iter().enumerate() {
                if let Some(form) = piece.form.as_ref().filter(|_| piece.set) {
                    places.insert(form.key(), index);
                }
            }
            // What is in both lists is carried over untouched.
            for (index, piece) in slot.pieces.iter_mut().enumerate() {
                let Some(form) = &piece.form else { continue };
                let known = places
                    .get(&form.key())
                    .and_then(|&place| old.pieces.get_mut(place))
                    .filter(|known| known.form.as_ref() == Some(form));
                match known {
                    Some(known) => {
                        known.form = None;
                        piece.set = true;
                        piece.repaired = known.repaired;
                        piece.budget = known.budget;
                    }
                    None => additions.push((index, form.clone())),
                }
            }
        }
        self.list(owner);
        // IPv4 lets one address have two prefixes for a moment: the new one comes before the old
        // one goes, and the address never blinks. The same is not possible with anything else.
        let (first, later) = additions
            .into_iter()
            .partition::<Vec<_>, _>(|(_, form)| matches!(form, Form::Address(a) if a.ip.is_ipv4()));
        let mut removals = Vec::new();
        for form in old.pieces.iter().filter(|p| p.set).filter_map(|p| p.form.as_ref()) {
            let kept = self.holders(form).any(|new| !new.needs_removal_of(form));
            if !kept {
                removals.push(form.clone());
            }
        }
        let leaving: HashSet<Key> = removals.iter().map(Form::key).collect();
        let (late, early) =
            first.into_iter().partition::<Vec<_>, _>(|(_, form)| leaving.contains(&form.key()));
        self.queue_additions(owner, early);
        self.queue.extend(removals.iter().map(|form| Job::removal(form.delete())));
        self.queue_additions(owner, late);
        self.queue_additions(owner, later);
    }

    fn queue_additions(&mut self, owner: Owner, forms: Vec<(usize, Form)>) {
        self.queue.extend(
            forms
                .into_iter()
                .map(|(index, form)| Job { request: form.add(), adds: Some((owner, index)) }),
        );
    }

    /// Forgets an owner, and takes away what it holds.
    pub(crate) fn forget(&mut self, owner: Owner) {
        self.withdraw(owner);
        self.slots.remove(&owner);
    }

    /// From now on the owner's things must be there.
    pub(crate) fn hold(&mut self, owner: Owner) {
        self.unlist(owner);
        self.resolve(owner);
        let Some(slot) = self.slots.get_mut(&owner) else { return };
        slot.held = true;
        for (index, piece) in slot.pieces.iter_mut().enumerate() {
            piece.budget = Budget::default();
            // A life before ours may have put it there.
            if let Some(Form::Address(address)) = &piece.form {
                piece.set |= self.addresses.is_set(address);
            }
            if let (Some(form), false) = (&piece.form, piece.set) {
                self.queue.push_back(Job { request: form.add(), adds: Some((owner, index)) });
            }
        }
        self.list(owner);
    }

    /// From now on the owner's things must not be there.
    pub(crate) fn withdraw(&mut self, owner: Owner) {
        self.unlist(owner);
        // What is queued and not yet sent must not arrive after its removal.
        self.drop_additions(owner);
        self.repairs.retain(|(_, of, _)| *of != owner);
        let Some(slot) = self.slots.get_mut(&owner) else { return };
        slot.held = false;
        let mut gone = Vec::new();
        // Rules and routes first, as they lean on the addresses.
        for piece in slot.pieces.iter_mut().rev() {
            if std::mem::take(&mut piece.set)
                && let Some(form) = &piece.form
            {
                gone.push(form.clone());
            }
        }
        for form in gone {
            if self.holders(&form).next().is_none() {
                self.queue.push_back(Job::removal(form.delete()));
            }
        }
    }

    fn drop_additions(&mut self, owner: Owner) {
        self.queue.retain(|job| job.adds.is_none_or(|(of, _)| of != owner));
    }

    /// Takes away what an earlier life may have left of an owner that does not hold.
    pub(crate) fn sweep(&mut self, owner: Owner) {
        self.resolve(owner);
        let Some(slot) = self.slots.get(&owner).filter(|slot| !slot.held) else { return };
        let mut found = Vec::new();
        for form in slot.pieces.iter().rev().filter_map(|piece| piece.form.as_ref()) {
            let there = match form {
                Form::Address(a) => self.addresses.contains(a.ifindex, a.ip, a.prefix_len),
                // Deleting a route or rule that is not there costs one refused request.
                Form::Route(..) | Form::Rule(_) => true,
            };
            if there && self.holders(form).next().is_none() {
                found.push(Job::removal(form.delete()));
            }
        }
        self.queue.extend(found);
    }

    /// An interface came (back): what is held there and missing is put there.
    pub(crate) fn restore(&mut self, index: u32) {
        let owners: Vec<_> =
            self.slots.iter().filter(|(_, slot)| slot.held).map(|(owner, _)| *owner).collect();
        for owner in owners {
            self.unlist(owner);
            self.resolve(owner);
            self.list(owner);
            let Some(slot) = self.slots.get_mut(&owner) else { continue };
            for (place, piece) in slot.pieces.iter_mut().enumerate() {
                let Some(form) = &piece.form else { continue };
                let lost = match form {
                    Form::Address(a) => a.ifindex == index && !piece.set,
                    // The kernel drops routes of an interface that goes down without a word.
                    Form::Route(..) => form.uses(index),
                    Form::Rule(_) => false,
                };
                if lost {
                    self.queue.push_back(Job { request: form.add(), adds: Some((owner, place)) });
                }
            }
        }
    }

    /// After events were lost. Routes and rules cannot be told apart from look-alikes cheaply:
    /// adding what is there already is refused without harm.
    pub(super) fn add_routes_and_rules_again(&mut self) {
        for (&owner, slot) in self.slots.iter().filter(|(_, slot)| slot.held) {
            for (index, piece) in slot.pieces.iter().enumerate() {
                if let Some(form @ (Form::Route(..) | Form::Rule(_))) = &piece.form {
                    self.queue.push_back(Job { request: form.add(), adds: Some((owner, index)) });
                }
            }
        }
    }

    // ---- who holds what ---------------------------------------------------------------------

    /// The forms of owners that hold the same thing.
    fn holders<'a>(&'a self, form: &'a Form) -> impl Iterator<Item = &'a Form> {
        self.held.get(&form.key()).into_iter().flatten().filter_map(move |(owner, index)| {
            let held = self.slots.get(owner)?.pieces.get(*index)?.form.as_ref()?;
            held.same(form).then_some(held)
        })
    }

    fn list(&mut self, owner: Owner) {
        let Some(slot) = self.slots.get(&owner).filter(|slot| slot.held) else { return };
        for (index, piece) in slot.pieces.iter().enumerate() {
            if let Some(form) = &piece.form {
                self.held.entry(form.key()).or_default().push((owner, index));
            }
        }
    }

    fn unlist(&mut self, owner: Owner) {
        let Some(slot) = self.slots.get(&owner).filter(|slot| slot.held) else { return };
        for form in slot.pieces.iter().filter_map(|piece| piece.form.as_ref()) {
            let key = form.key();
            if let Some(list) = self.held.get_mut(&key) {
                list.retain(|(of, _)| *of != owner);
                if list.is_empty() {
                    self.held.remove(&key);
                }
            }
        }
    }

    /// Looks up the interfaces of an owner's pieces anew. What is on an interface that has taken
    /// another name is taken away from there.
    fn resolve(&mut self, owner: Owner) {
        let Some(slot) = self.slots.get_mut(&owner) else { return };
        let mut stray = Vec::new();
        let names = &self.names;
        let index_of = |name: &str| names.get(name).copied();
        let holding = &slot.holding;
        let (mut addresses, mut routes, mut rules) =
            (holding.addresses.iter(), holding.routes.iter(), holding.rules.iter());
        for piece in &mut slot.pieces {
            let form = match piece.what {
                What::Address => addresses.next().and_then(|a| {
                    kernel_form::address(a, holding.device.as_deref(), &index_of).map(Form::Address)
                }),
                What::Route => routes.next().and_then(|r| {
                    kernel_form::route(r, &index_of).map(|form| Form::Route(form, r.mode))
                }),
                What::Rule => rules.next().map(|r| Form::Rule(kernel_form::rule(r))),
            };
            if form != piece.form {
                let old = std::mem::replace(&mut piece.form, form);
                if std::mem::take(&mut piece.set) {
                    stray.extend(old);
                }
            }
        }
        for form in stray {
            if self.holders(&form).next().is_none() {
                self.queue.push_back(Job::removal(form.delete()));
            }
        }
    }

    // ---- doing it ---------------------------------------------------------------------------

    /// Whether requests wait.
    pub(crate) fn has_work(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Sends one batch. Call again while [`Self::has_work`].
    pub(crate) fn flush(&mut self, now: Time) {
        let count = self.queue.len().min(BATCH);
        if count == 0 {
            return;
        }
        let (requests, adds): (Vec<Request>, Vec<_>) =
            self.queue.drain(..count).map(|job| (job.request, job.adds)).unzip();
        let answers = self.kernel.apply(&requests);
        for ((answer, request), adds) in answers.into_iter().zip(&requests).zip(adds) {
            let Some((owner, index)) = adds else {
                if answer.is_ok() {
                    self.taken_away(request, now);
                }
                continue;
            };
            let piece = self.slots.get_mut(&owner).and_then(|s| s.pieces.get_mut(index));
            let Some(piece) = piece else { continue };
            match answer {
                Err(error) if !error.already_exists() => {
                    piece.set = false;
                    let error = error.to_string();
                    if piece.complaint.as_ref() != Some(&error) {
                        piece.complaint = Some(error.clone());
                        self.told.push(Told::Refused { owner, text: piece.text.clone(), error });
                    }
                }
                _ => {
                    piece.set = true;
                    piece.complaint = None;
                    // Not to wait for the monitor: the next line may need to know. (IPv6 has to
                    // see its flags first.)
                    if let Request::AddAddress { address, .. } = request
                        && address.ip.is_ipv4()
                    {
                        self.addresses.insert(address.clone());
                    }
                }
            }
        }
    }

    fn taken_away(&mut self, request: &Request, now: Time) {
        if let Some(key) = Key::removed_by(request) {
            self.expect_removal(key, now);
            if let Key::Address(ifindex, ip, prefix_len) = key {
                self.addresses.remove(ifindex, ip, prefix_len);
            }
        }
    }

    // ---- looking ----------------------------------------------------------------------------

    /// Whether a piece is in the kernel, and how often it was put back.
    pub(crate) fn state_of(&self, owner: Owner, what: What, index: usize) -> (bool, u32) {
        let Some(slot) = self.slots.get(&owner) else { return (false, 0) };
        let (addresses, routes) = (slot.holding.addresses.len(), slot.holding.routes.len());
        let place = match what {
            What::Address => index,
            What::Route => addresses + index,
            What::Rule => addresses + routes + index,
        };
        slot.pieces.get(place).map_or((false, 0), |piece| (piece.set, piece.repaired))
    }

    /// The addresses that an owner holds, in the kernel's form.
    pub(crate) fn held_addresses(&self, owner: Owner) -> impl Iterator<Item = &netlink::Address> {
        self.slots
            .get(&owner)
            .filter(|slot| slot.held)
            .into_iter()
            .flat_map(|slot| &slot.pieces)
            .filter_map(|piece| match &piece.form {
                Some(Form::Address(address)) => Some(address),
                _ => None,
            })
    }
}

fn pieces(holding: &Holding) -> Vec<Piece> {
    let piece = |what, text, tracked| Piece {
        what,
        text,
        tracked,
        form: None,
        set: false,
        repaired: 0,
        budget: Budget::default(),
        complaint: None,
    };
    let device = holding.device.as_deref();
    let addresses = holding
        .addresses
        .iter()
        .map(|a| piece(What::Address, kernel_form::address_text(a, device), !a.no_track));
    let routes =
        holding.routes.iter().map(|r| piece(What::Route, kernel_form::route_text(r), !r.no_track));
    let rules =
        holding.rules.iter().map(|r| piece(What::Rule, kernel_form::rule_text(r), !r.no_track));
    addresses.chain(routes).chain(rules).collect()
}
