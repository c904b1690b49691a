//! What is in the kernel because of us, and what should be: addresses, routes and rules of each
//! owner, put there and taken away in batches, and put back when somebody else removes them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use netlink::{AddMode, AddressFilter, Kernel, KernelError, Link, Request};
use vrrp::{RouterId, Time};

use crate::kernel_form;
use crate::plan::Holding;
use crate::report::What;

/// Whose addresses, routes and rules they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Owner {
    /// Held from start to stop.
    Static,
    /// Held while the router is MASTER.
    Router(RouterId),
}

/// Requests in one batch: small enough that timers are looked at in between.
const BATCH: usize = 512;
/// Repairs of one item at once; then one each [`REPAIR_PAUSE`], so that a quarrel with another
/// program does not eat the machine.
const REPAIRS_AT_ONCE: u32 = 10;
/// Pause between further repairs.
const REPAIR_PAUSE: Duration = Duration::from_secs(1);

/// The thing itself, in the kernel's form.
#[derive(Clone, Debug, PartialEq)]
enum Form {
    Address(netlink::Address),
    Route(netlink::Route, config::model::route::AddMode),
    Rule(netlink::Rule),
}

impl Form {
    fn add(&self) -> Request {
        use config::model::route::AddMode as Mode;
        match self {
            Self::Address(a) => Request::AddAddress { address: a.clone(), mode: AddMode::Replace },
            Self::Route(r, Mode::Add) => Request::AddRoute(r.clone()),
            Self::Route(r, Mode::Prepend) => Request::PrependRoute(r.clone()),
            Self::Route(r, Mode::Append) => Request::AppendRoute(r.clone()),
            Self::Rule(r) => Request::AddRule(r.clone()),
        }
    }

    fn delete(&self) -> Request {
        match self {
            Self::Address(a) => Request::DelAddress(a.clone()),
            Self::Route(r, _) => Request::DelRoute(r.clone()),
            Self::Rule(r) => Request::DelRule(r.clone()),
        }
    }

    /// Whether both are the same thing to the kernel.
    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Address(a), Self::Address(b)) => {
                (a.ifindex, a.ip, a.prefix_len) == (b.ifindex, b.ip, b.prefix_len)
            }
            (Self::Route(a, _), Self::Route(b, _)) => same_route(a, b),
            (Self::Rule(a), Self::Rule(b)) => same_rule(a, b),
            _ => false,
        }
    }
}

fn same_route(a: &netlink::Route, b: &netlink::Route) -> bool {
    let hop = |r: &netlink::Route| -> Vec<_> { r.hops.iter().map(|h| h.gateway).collect() };
    let table = |t: u32| if t == 0 { 254 } else { t };
    (a.kind, a.destination, table(a.table), a.tos) == (b.kind, b.destination, table(b.table), b.tos)
        && hop(a).into_iter().flatten().eq(hop(b).into_iter().flatten())
        && (a.metric.is_none() || a.metric == b.metric)
}

fn same_rule(a: &netlink::Rule, b: &netlink::Rule) -> bool {
    (a.family, a.priority, a.from, a.to, &a.iif, &a.oif, a.fwmark)
        == (b.family, b.priority, b.from, b.to, &b.iif, &b.oif, b.fwmark)
        && a.action == b.action
        && (a.table == b.table || a.l3mdev)
}

/// One line of a holding.
#[derive(Debug)]
struct Piece {
    what: What,
    text: String,
    tracked: bool,
    /// The kernel's form as it was last put there; `None` while its interface does not exist.
    form: Option<Form>,
    /// The kernel has it because of us.
    set: bool,
    repaired: u32,
    repair_budget: u32,
    repair_at: Option<Time>,
    /// The last complaint, so that the same one is told once.
    complaint: Option<String>,
}

#[derive(Debug)]
struct Slot {
    holding: Holding,
    pieces: Vec<Piece>,
    held: bool,
}

/// Something to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// The kernel refused something.
    Refused { owner: Owner, text: String, error: String },
    /// Somebody removed something of ours; it is being put back.
    Removed { owner: Owner, text: String, times: u32, slowed: bool },
}

#[derive(Debug)]
struct Job {
    request: Request,
    /// The piece it is about, if its fate matters.
    about: Option<(Owner, usize)>,
    adding: bool,
}

/// The kernel as we see it and as we want it.
pub(crate) struct KernelState {
    kernel: Box<dyn Kernel>,
    links: HashMap<u32, Link>,
    names: HashMap<String, u32>,
    addresses: HashMap<u32, Vec<netlink::Address>>,
    slots: HashMap<Owner, Slot>,
    /// Addresses that routers may hold: never a source for adverts.
    virtuals: HashSet<IpAddr>,
    queue: VecDeque<Job>,
    told: Vec<Told>,
}

impl KernelState {
    /// Reads links and addresses.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub(crate) fn new(mut kernel: Box<dyn Kernel>) -> Result<Self, KernelError> {
        let links = kernel.links()?;
        let addresses = kernel.addresses(AddressFilter::default())?;
        let mut out = Self {
            kernel,
            links: HashMap::new(),
            names: HashMap::new(),
            addresses: HashMap::new(),
            slots: HashMap::new(),
            virtuals: HashSet::new(),
            queue: VecDeque::new(),
            told: Vec::new(),
        };
        for link in links {
            out.link_changed(link);
        }
        for address in addresses {
            out.address_added(address);
        }
        Ok(out)
    }

    /// The kernel itself, for requests that are not about a holding.
    pub(crate) fn kernel(&mut self) -> &mut dyn Kernel {
        &mut *self.kernel
    }

    // ---- what is ----------------------------------------------------------------------------

    /// The index of an interface.
    pub(crate) fn index_of(&self, name: &str) -> Option<u32> {
        self.names.get(name).copied()
    }

    /// An interface by name.
    pub(crate) fn link(&self, name: &str) -> Option<&Link> {
        self.links.get(&self.index_of(name)?)
    }

    /// An interface by index.
    pub(crate) fn link_at(&self, index: u32) -> Option<&Link> {
        self.links.get(&index)
    }

    /// The addresses of an interface, in the kernel's order.
    pub(crate) fn addresses_of(&self, name: &str) -> &[netlink::Address] {
        self.index_of(name).and_then(|index| self.addresses.get(&index)).map_or(&[], Vec::as_slice)
    }

    /// Whether any interface has this address.
    pub(crate) fn has_address(&self, ip: IpAddr) -> bool {
        self.addresses.values().flatten().any(|a| a.ip == ip)
    }

    /// Whether a router may hold this address, now or later.
    pub(crate) fn is_virtual(&self, ip: IpAddr) -> bool {
        self.virtuals.contains(&ip)
    }

    /// Takes note of addresses that routers may hold.
    pub(crate) fn note_virtual(&mut self, addresses: impl Iterator<Item = IpAddr>) {
        self.virtuals.extend(addresses);
    }

    /// Forgets them, before a new configuration names its own.
    pub(crate) fn clear_virtual(&mut self) {
        self.virtuals.clear();
    }

    /// A link is new or changed. Returns the name that it had before, if that was another.
    pub(crate) fn link_changed(&mut self, link: Link) -> Option<String> {
        let index = link.index;
        let renamed =
            self.links.get(&index).map(|old| old.name.clone()).filter(|name| *name != link.name);
        if let Some(old) = &renamed
            && self.names.get(old) == Some(&index)
        {
            self.names.remove(old);
        }
        self.names.insert(link.name.clone(), index);
        self.links.insert(index, link);
        renamed
    }

    /// A link is gone. Returns its name.
    pub(crate) fn link_removed(&mut self, index: u32) -> Option<String> {
        let link = self.links.remove(&index)?;
        if self.names.get(&link.name) == Some(&index) {
            self.names.remove(&link.name);
        }
        self.addresses.remove(&index);
        for slot in self.slots.values_mut() {
            for piece in &mut slot.pieces {
                if piece.form.as_ref().is_some_and(|form| uses(form, index)) {
                    piece.set = false;
                }
            }
        }
        Some(link.name)
    }

    /// An address is there.
    pub(crate) fn address_added(&mut self, address: netlink::Address) {
        let list = self.addresses.entry(address.ifindex).or_default();
        match list.iter_mut().find(|a| a.ip == address.ip && a.prefix_len == address.prefix_len) {
            Some(known) => *known = address,
            None => list.push(address),
        }
    }

    /// An address is gone; one that we hold is put back.
    pub(crate) fn address_removed(&mut self, address: &netlink::Address, now: Time) {
        if let Some(list) = self.addresses.get_mut(&address.ifindex) {
            list.retain(|a| a.ip != address.ip || a.prefix_len != address.prefix_len);
        }
        self.removed(now, |form| {
            matches!(form, Form::Address(a)
                if (a.ifindex, a.ip, a.prefix_len)
                    == (address.ifindex, address.ip, address.prefix_len))
        });
    }

    /// A route is gone; one that we hold is put back.
    pub(crate) fn route_removed(&mut self, route: &netlink::Route, now: Time) {
        self.removed(now, |form| matches!(form, Form::Route(r, _) if same_route(r, route)));
    }

    /// A rule is gone; one that we hold is put back.
    pub(crate) fn rule_removed(&mut self, rule: &netlink::Rule, now: Time) {
        self.removed(now, |form| matches!(form, Form::Rule(r) if same_rule(r, rule)));
    }

    fn removed(&mut self, now: Time, matches: impl Fn(&Form) -> bool) {
        for (&owner, slot) in self.slots.iter_mut().filter(|(_, slot)| slot.held) {
            for (index, piece) in slot.pieces.iter_mut().enumerate() {
                let Some(form) = &piece.form else { continue };
                if !piece.set || !matches(form) {
                    continue;
                }
                piece.set = false;
                if !piece.tracked {
                    continue;
                }
                // The interface itself is gone or down: that is another story, told elsewhere.
                let place = match form {
                    Form::Address(a) => Some(a.ifindex),
                    Form::Route(r, _) => r.hops.first().and_then(|h| h.ifindex),
                    Form::Rule(_) => None,
                };
                if place.is_some_and(|i| {
                    self.links.get(&i).is_none_or(|l| !l.flags.contains(netlink::LinkFlags::UP))
                }) {
                    continue;
                }
                piece.repaired += 1;
                let slowed = piece.repair_budget == 0;
                if slowed {
                    piece.repair_at = Some(now + REPAIR_PAUSE);
                } else {
                    piece.repair_budget -= 1;
                    self.queue.push_back(Job {
                        request: form.add(),
                        about: Some((owner, index)),
                        adding: true,
                    });
                }
                self.told.push(Told::Removed {
                    owner,
                    text: piece.text.clone(),
                    times: piece.repaired,
                    slowed,
                });
            }
        }
    }

    /// When a repair that was put off is due.
    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        self.slots.values().flat_map(|s| &s.pieces).filter_map(|p| p.repair_at).min()
    }

    /// Does the repairs that are due.
    pub(crate) fn handle_timeout(&mut self, now: Time) {
        for (&owner, slot) in &mut self.slots {
            for (index, piece) in slot.pieces.iter_mut().enumerate() {
                if piece.repair_at.is_none_or(|at| at > now) {
                    continue;
                }
                piece.repair_at = None;
                if let (true, false, Some(form)) = (slot.held, piece.set, &piece.form) {
                    let request = form.add();
                    self.queue.push_back(Job {
                        request,
                        about: Some((owner, index)),
                        adding: true,
                    });
                }
            }
        }
    }

    /// Reads links and addresses anew after events were lost, and puts back what is missing.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub(crate) fn read_again(&mut self, now: Time) -> Result<(), KernelError> {
        let links = self.kernel.links()?;
        let addresses = self.kernel.addresses(AddressFilter::default())?;
        let gone: Vec<u32> =
            self.links.keys().filter(|i| !links.iter().any(|l| l.index == **i)).copied().collect();
        for index in gone {
            self.link_removed(index);
        }
        for link in links {
            self.link_changed(link);
        }
        let there: HashSet<_> = addresses.iter().map(|a| (a.ifindex, a.ip, a.prefix_len)).collect();
        let lost: Vec<_> = self
            .addresses
            .values()
            .flatten()
            .filter(|a| !there.contains(&(a.ifindex, a.ip, a.prefix_len)))
            .cloned()
            .collect();
        self.addresses.clear();
        for address in addresses {
            self.address_added(address);
        }
        for address in lost {
            self.address_removed(&address, now);
        }
        // Routes and rules cannot be told apart from look-alikes cheaply: adding what is there
        // already is refused without harm.
        for (&owner, slot) in self.slots.iter().filter(|(_, slot)| slot.held) {
            for (index, piece) in slot.pieces.iter().enumerate() {
                if let Some(form @ (Form::Route(..) | Form::Rule(_))) = &piece.form {
                    let request = form.add();
                    self.queue.push_back(Job {
                        request,
                        about: Some((owner, index)),
                        adding: true,
                    });
                }
            }
        }
        Ok(())
    }

    // ---- what should be ---------------------------------------------------------------------

    /// Says what an owner holds when it holds. If it holds now, the difference is made.
    pub(crate) fn define(&mut self, owner: Owner, holding: Holding) {
        let pieces = pieces(&holding);
        let Some(slot) = self.slots.get_mut(&owner) else {
            self.slots.insert(owner, Slot { holding, pieces, held: false });
            return;
        };
        if slot.holding == holding {
            return;
        }
        let held = slot.held;
        let mut old = std::mem::replace(slot, Slot { holding, pieces, held: false });
        if !held {
            return;
        }
        // What is in both lists is carried over untouched.
        self.resolve(owner);
        let Some(slot) = self.slots.get_mut(&owner) else { return };
        slot.held = true;
        let mut additions = Vec::new();
        for (index, piece) in slot.pieces.iter_mut().enumerate() {
            let Some(form) = &piece.form else { continue };
            let known = old.pieces.iter_mut().find(|o| o.set && o.form.as_ref() == Some(form));
            match known {
                Some(known) => {
                    known.form = None;
                    piece.set = true;
                    piece.repaired = known.repaired;
                }
                None => additions.push((index, form.add())),
            }
        }
        // First away with the old: the new may be the same address with another prefix.
        let removals: Vec<_> =
            old.pieces.iter().filter(|p| p.set).filter_map(|p| p.form.clone()).collect();
        for form in removals {
            // A change of label or lifetime replaces in place.
            let replaced =
                self.slots.values().filter(|s| s.held).flat_map(|s| &s.pieces).any(|p| {
                    p.form.as_ref().is_some_and(|f| f.same(&form) && !needs_removal(f, &form))
                });
            if !replaced {
                self.queue.push_back(Job { request: form.delete(), about: None, adding: false });
            }
        }
        for (index, request) in additions {
            self.queue.push_back(Job { request, about: Some((owner, index)), adding: true });
        }
    }

    /// Forgets an owner, and takes away what it holds.
    pub(crate) fn forget(&mut self, owner: Owner) {
        self.withdraw(owner);
        self.slots.remove(&owner);
    }

    /// From now on the owner's things must be there.
    pub(crate) fn hold(&mut self, owner: Owner) {
        self.resolve(owner);
        let Some(slot) = self.slots.get_mut(&owner) else { return };
        slot.held = true;
        for (index, piece) in slot.pieces.iter_mut().enumerate() {
            piece.repair_budget = REPAIRS_AT_ONCE;
            if let (Some(form), false) = (&piece.form, piece.set) {
                let request = form.add();
                self.queue.push_back(Job { request, about: Some((owner, index)), adding: true });
            }
        }
    }

    /// From now on the owner's things must not be there.
    pub(crate) fn withdraw(&mut self, owner: Owner) {
        let Some(slot) = self.slots.get_mut(&owner) else { return };
        slot.held = false;
        let mut gone = Vec::new();
        // Rules and routes first, as they lean on the addresses.
        for piece in slot.pieces.iter_mut().rev() {
            piece.repair_at = None;
            if std::mem::take(&mut piece.set)
                && let Some(form) = &piece.form
            {
                gone.push(form.clone());
            }
        }
        // What is queued and not yet sent must not arrive after its removal.
        self.queue.retain(|job| !(job.adding && job.about.is_some_and(|(o, _)| o == owner)));
        for form in gone {
            if !self.held_by_other(owner, &form) {
                self.queue.push_back(Job { request: form.delete(), about: None, adding: false });
            }
        }
    }

    /// Takes away what an earlier life may have left of an owner that does not hold.
    pub(crate) fn sweep(&mut self, owner: Owner) {
        self.resolve(owner);
        let Some(slot) = self.slots.get(&owner) else { return };
        if slot.held {
            return;
        }
        let mut found = Vec::new();
        for form in slot.pieces.iter().rev().filter_map(|p| p.form.as_ref()) {
            let there = match form {
                Form::Address(a) => self.addresses.get(&a.ifindex).is_some_and(|list| {
                    list.iter().any(|known| (known.ip, known.prefix_len) == (a.ip, a.prefix_len))
                }),
                // Deleting a route or rule that is not there costs one refused request.
                Form::Route(..) | Form::Rule(_) => true,
            };
            if there && !self.held_by_other(owner, form) {
                found.push(form.delete());
            }
        }
        for request in found {
            self.queue.push_back(Job { request, about: None, adding: false });
        }
    }

    /// An interface came (back): what is held there and missing is put there.
    pub(crate) fn restore(&mut self, index: u32) {
        let owners: Vec<_> =
            self.slots.iter().filter(|(_, s)| s.held).map(|(owner, _)| *owner).collect();
        for owner in owners {
            self.resolve(owner);
            let Some(slot) = self.slots.get_mut(&owner) else { continue };
            for (place, piece) in slot.pieces.iter_mut().enumerate() {
                let Some(form) = &piece.form else { continue };
                let lost = match form {
                    Form::Address(a) => a.ifindex == index && !piece.set,
                    // The kernel drops routes of an interface that goes down without a word.
                    Form::Route(..) => uses(form, index),
                    Form::Rule(_) => false,
                };
                if lost {
                    let request = form.add();
                    self.queue.push_back(Job {
                        request,
                        about: Some((owner, place)),
                        adding: true,
                    });
                }
            }
        }
    }

    fn held_by_other(&self, owner: Owner, form: &Form) -> bool {
        self.slots.iter().any(|(o, s)| {
            *o != owner
                && s.held
                && s.pieces.iter().any(|p| p.form.as_ref().is_some_and(|f| f.same(form)))
        })
    }

    /// Looks up the interfaces of an owner's pieces anew.
    fn resolve(&mut self, owner: Owner) {
        let Some(slot) = self.slots.get_mut(&owner) else { return };
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
                piece.form = form;
                piece.set = false;
            }
        }
    }

    // ---- doing it ---------------------------------------------------------------------------

    /// Whether requests wait.
    pub(crate) fn has_work(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Sends one batch. Call again while [`Self::has_work`].
    pub(crate) fn flush(&mut self) {
        let count = self.queue.len().min(BATCH);
        if count == 0 {
            return;
        }
        let jobs: Vec<Job> = self.queue.drain(..count).collect();
        let (requests, about): (Vec<_>, Vec<_>) =
            jobs.into_iter().map(|job| (job.request, (job.about, job.adding))).unzip();
        let answers = self.kernel.apply(&requests);
        for ((answer, request), (about, adding)) in answers.into_iter().zip(&requests).zip(about) {
            let fine = match &answer {
                Ok(()) => true,
                Err(error) if adding => error.already_exists(),
                Err(error) => error.already_gone(),
            };
            if let (true, Request::DelAddress(address)) = (fine, request)
                && let Some(list) = self.addresses.get_mut(&address.ifindex)
            {
                list.retain(|a| a.ip != address.ip || a.prefix_len != address.prefix_len);
            }
            let Some((owner, index)) = about else { continue };
            let piece = self.slots.get_mut(&owner).and_then(|s| s.pieces.get_mut(index));
            let Some(piece) = piece else { continue };
            piece.set = fine;
            if let (false, Err(error)) = (fine, answer) {
                let error = error.to_string();
                if piece.complaint.as_ref() != Some(&error) {
                    piece.complaint = Some(error.clone());
                    self.told.push(Told::Refused { owner, text: piece.text.clone(), error });
                }
            } else {
                piece.complaint = None;
            }
        }
    }

    /// What happened since the last call.
    pub(crate) fn told(&mut self) -> Vec<Told> {
        std::mem::take(&mut self.told)
    }

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

    /// The addresses that an owner holds, in the kernel's form, those that are new since the last
    /// [`Self::define`] if `only_new`.
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

/// Whether going from one to the other takes a removal: IPv4 labels cannot be changed in place.
fn needs_removal(new: &Form, old: &Form) -> bool {
    match (new, old) {
        (Form::Address(new), Form::Address(old)) => {
            (&new.label, new.scope, new.broadcast, new.peer)
                != (&old.label, old.scope, old.broadcast, old.peer)
        }
        (new, old) => new != old,
    }
}

fn uses(form: &Form, index: u32) -> bool {
    match form {
        Form::Address(a) => a.ifindex == index,
        Form::Route(r, _) => r.hops.iter().any(|h| h.ifindex == Some(index)),
        Form::Rule(_) => false,
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
        repair_budget: REPAIRS_AT_ONCE,
        repair_at: None,
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
