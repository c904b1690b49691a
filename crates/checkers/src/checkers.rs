//! All checks of a process: starts each look when it is due, takes its result, tells what changed.
//!
//! One task waits for the earliest look of all checks; each look is a short task of its own, except
//! those of `TCP_CHECK`, which this one task sees to. So a check that waits costs an entry in a queue
//! and no timer.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::future::{Future, pending};
use std::hash::{BuildHasherDefault, Hasher};
use std::os::fd::AsFd;
use std::rc::{Rc, Weak};
use std::time::Duration;

use sys::readiness::{Crowd, writable_now};
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::{AbortHandle, spawn_local, yield_now};
use tokio::time::{Instant, sleep_until};

use crate::outcome::{Change, CheckStatus, Event, Failure, State, Success, Weight};
use crate::schedule::{Schedule, Verdict};
use crate::spec::{Check, CheckId, CheckSpec, Kind, Start};
use crate::{bfd, dns, file, http, misc, ping, smtp, tcp, tls, udp};

/// What all checks share.
#[derive(Debug, Default)]
pub struct Environment {
    /// Seed of the random numbers that spread first looks; `None`: from the system.
    pub seed: Option<u64>,
}

/// So many looks begin before others get their turn.
const AT_ONCE: usize = 16;

/// Looks may begin so much late, if that is no more than a [`SHARE`] of their delay: those that are
/// due at nearly the same time begin together. Waking is dearer than looking.
const SLACK: Duration = Duration::from_millis(4);

const SHARE: u32 = 500;

/// All checks of a process. Everything ends when it is dropped.
pub struct Checkers {
    inner: Rc<RefCell<Inner>>,
    driver: AbortHandle,
}

struct Inner {
    /// The same, for tasks.
    this: Weak<RefCell<Inner>>,
    events: UnboundedSender<Event>,
    checks: HashMap<CheckId, Running, BuildHasherDefault<Spread>>,
    /// When each check that waits looks, and when each connection is given up.
    due: BTreeSet<(Instant, CheckId)>,
    /// What the driver waits for; `None`: to be woken.
    asleep_until: Option<Instant>,
    /// How late it may be.
    slack: Duration,
    /// Connections that have just begun, in no queue and no crowd yet.
    fresh: Vec<CheckId>,
    lobby: tcp::Lobby,
    wake: Rc<Notify>,
    random: fastrand::Rng,
    files: HashMap<Box<str>, i64>,
    sessions: HashMap<Box<str>, bool>,
    shared: Rc<Shared>,
}

/// What looks need beside their check.
struct Shared {
    tls: tls::Clients,
    processes: misc::Undertaker,
    ping: ping::Access,
}

struct Running {
    check: Rc<Check>,
    schedule: Schedule,
    look: Option<Looking>,
    /// What it said last about the weight; the outer `None`: an earlier process may know, we do not.
    weight: Option<Option<Weight>>,
    last: Option<(Instant, Result<Success, Failure>)>,
    failures: u32,
    runs: u64,
    failed: u64,
    /// The last look could not be made.
    hindered: bool,
}

/// A look that is going on.
enum Looking {
    Task(AbortHandle),
    Connection(Box<tcp::Connection>),
}

/// The hash of numbers that were given out one after another.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        // 2^64 divided by the golden ratio: neighbours come to lie far apart.
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// When the driver goes on.
enum Next {
    /// As soon as others have had their turn.
    Now,
    At(Instant),
    /// When it is woken.
    Never,
}

impl Checkers {
    /// No checks yet. Events are sent to `events`.
    ///
    /// # Panics
    /// Outside a tokio `LocalRuntime` or `LocalSet` that has I/O and time.
    pub fn new(events: UnboundedSender<Event>, environment: Environment) -> Self {
        let wake = Rc::new(Notify::new());
        let shared = Shared {
            tls: tls::Clients::default(),
            processes: misc::Undertaker::new(),
            ping: ping::Access::default(),
        };
        let inner = Rc::new_cyclic(|this| {
            RefCell::new(Inner {
                this: this.clone(),
                events,
                checks: HashMap::default(),
                due: BTreeSet::new(),
                asleep_until: None,
                slack: SLACK,
                fresh: Vec::new(),
                lobby: tcp::Lobby::default(),
                wake: wake.clone(),
                random: environment.seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed),
                files: HashMap::new(),
                sessions: HashMap::new(),
                shared: Rc::new(shared),
            })
        });
        let driver = spawn_local(drive(Rc::downgrade(&inner), wake)).abort_handle();
        Self { inner, driver }
    }

    /// Begins a check. One that runs under the same id is replaced without a word.
    pub fn start(&self, spec: CheckSpec) {
        self.inner.borrow_mut().start(spec);
    }

    /// Ends a check: no event of it comes any more. Its script, if one runs, is terminated.
    pub fn stop(&self, id: CheckId) {
        self.inner.borrow_mut().stop(id);
    }

    /// `ha_suspend`: the check does not look until it is resumed. Its state stays as it is, but for a
    /// tracked file, whose value counts at any time.
    pub fn suspend(&self, id: CheckId) {
        self.inner.borrow_mut().suspend(id);
    }

    /// The check looks again, first within its warm-up.
    pub fn resume(&self, id: CheckId) {
        self.inner.borrow_mut().resume(id);
    }

    /// A tracked file has this value now. The last value of each file is remembered for checks that
    /// start later.
    pub fn file_value(&self, name: &str, value: i64) {
        let mut inner = self.inner.borrow_mut();
        inner.files.insert(name.into(), value);
        inner.told(|kind| matches!(kind, Kind::File(check) if &*check.file == name));
    }

    /// A BFD session is up or down now. Remembered, as the values of files.
    pub fn bfd_state(&self, name: &str, up: bool) {
        let mut inner = self.inner.borrow_mut();
        inner.sessions.insert(name.into(), up);
        inner.told(|kind| matches!(kind, Kind::Bfd(check) if &*check.session == name));
    }

    /// Ends all checks, and waits until none of their scripts is left: those that ignore SIGTERM are
    /// killed 2 s later. Whoever does not wait so long leaves nothing behind either: what is left is
    /// killed with the runtime.
    pub async fn end(&self) {
        let shared = {
            let mut inner = self.inner.borrow_mut();
            let ids: Vec<CheckId> = inner.checks.keys().copied().collect();
            ids.into_iter().for_each(|id| inner.stop(id));
            inner.shared.clone()
        };
        shared.processes.all_ended().await;
    }

    /// How a check stands; `None` if there is none of that id.
    pub fn status(&self, id: CheckId) -> Option<CheckStatus> {
        let inner = self.inner.borrow();
        let running = inner.checks.get(&id)?;
        Some(CheckStatus {
            state: running.schedule.state(),
            failures: running.failures,
            runs: running.runs,
            failed: running.failed,
            last: running.last.clone(),
            next: running.schedule.poll_timeout().filter(|_| !running.check.kind.is_told()),
            suspended: running.schedule.is_suspended(),
        })
    }
}

impl Drop for Checkers {
    fn drop(&mut self) {
        self.driver.abort();
        for running in self.inner.borrow_mut().checks.values_mut() {
            running.end_look();
        }
    }
}

impl fmt::Debug for Checkers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkers").field("checks", &self.inner.borrow().checks.len()).finish()
    }
}

/// Waits for the earliest look, until the checks are dropped.
async fn drive(inner: Weak<RefCell<Inner>>, wake: Rc<Notify>) {
    loop {
        let (next, crowd) = {
            let Some(inner) = inner.upgrade() else { return };
            let mut inner = inner.borrow_mut();
            (inner.turn(), inner.lobby.crowd().cloned())
        };
        match next {
            Next::Now => yield_now().await,
            Next::At(at) => tokio::select! {
                () = sleep_until(at) => {}
                () = wake.notified() => {}
                () = connected(crowd.as_deref()) => {}
            },
            Next::Never => tokio::select! {
                () = wake.notified() => {}
                () = connected(crowd.as_deref()) => {}
            },
        }
    }
}

/// Waits until a connection has ended.
async fn connected(crowd: Option<&Crowd>) {
    match crowd {
        // A runtime that is shutting down asks nobody again.
        Some(crowd) if crowd.writable().await.is_ok() => {}
        _ => pending().await,
    }
}

impl Inner {
    fn start(&mut self, spec: CheckSpec) {
        self.stop(spec.id);
        let now = Instant::now();
        let schedule = Schedule::new(spec.check.schedule, spec.start, self.random.f64(), now);
        let first = schedule.poll_timeout().unwrap_or(now);
        let (is_told, delay) = (spec.check.kind.is_told(), spec.check.schedule.delay_loop);
        let weight = match spec.start {
            Start::Resumed { up: true } if spec.check.kind.weighs() => None,
            _ => Some(None),
        };
        self.checks.insert(
            spec.id,
            Running {
                check: spec.check,
                schedule,
                look: None,
                weight,
                last: None,
                failures: 0,
                runs: 0,
                failed: 0,
                hindered: false,
            },
        );
        if is_told {
            self.hear(spec.id);
        } else {
            self.slack = self.slack.min(delay / SHARE);
            self.enqueue(first, spec.id);
        }
    }

    fn stop(&mut self, id: CheckId) {
        if let Some(mut running) = self.checks.remove(&id) {
            if let Some(at) = running.poll_timeout() {
                self.due.remove(&(at, id));
            }
            running.end_look();
        }
    }

    fn suspend(&mut self, id: CheckId) {
        if let Some(running) = self.checks.get_mut(&id) {
            if let Some(at) = running.poll_timeout() {
                self.due.remove(&(at, id));
            }
            running.end_look();
            running.schedule.suspend();
        }
    }

    fn resume(&mut self, id: CheckId) {
        let spread = self.random.f64();
        let Some(running) = self.checks.get_mut(&id) else { return };
        if running.schedule.is_suspended() {
            running.schedule.resume(spread, Instant::now());
            if running.check.kind.is_told() {
                self.hear(id);
            } else if let Some(at) = running.poll_timeout() {
                self.enqueue(at, id);
            }
        }
    }

    /// Puts a check into the queue; wakes the driver if that is sooner than it would wake.
    fn enqueue(&mut self, at: Instant, id: CheckId) {
        self.due.insert((at, id));
        if self.asleep_until.is_none_or(|until| at < until) {
            self.wake.notify_one();
        }
    }

    /// Does what is due.
    fn turn(&mut self) -> Next {
        let now = Instant::now();
        // Nobody need wake the driver now.
        self.asleep_until = Some(now);
        // What has come counts, also if this process is so late that its time is over.
        if let Some(crowd) = self.lobby.crowd().cloned() {
            crowd.take(|told| self.connection_ended(CheckId(told.token), told.failed));
        }
        let mut done = 0;
        while let Some(&(at, id)) = self.due.first()
            && at <= now
            && done < AT_ONCE
        {
            self.due.pop_first();
            self.do_due(id);
            done += 1;
        }
        self.see_to_fresh();
        self.asleep_until = self.due.first().map(|&(at, _)| at);
        match self.asleep_until {
            Some(at) if at <= now => Next::Now,
            Some(at) => Next::At(at + self.slack),
            None => Next::Never,
        }
    }

    /// Begins the look of a check, or gives its connection up.
    fn do_due(&mut self, id: CheckId) {
        let now = Instant::now();
        let Some(running) = self.checks.get_mut(&id) else { return };
        if let (Some(Looking::Connection(connection)), Kind::Tcp(target)) =
            (&mut running.look, &running.check.kind)
        {
            if connection.prolong(now) {
                self.due.insert((connection.until(), id));
            } else if let Some(Looking::Connection(connection)) = running.look.take() {
                let failure = connection.give_up(target, now);
                self.finish(id, Err(failure), now);
            }
            return;
        }
        let Some(step) = running.schedule.handle_timeout(now) else { return };
        let Kind::Tcp(target) = &running.check.kind else {
            let look = Look { id, inner: self.this.clone() };
            let look = look.begin(&running.check, step as usize, &self.shared);
            running.look = look.map(Looking::Task);
            return;
        };
        match tcp::Connection::begin(target) {
            Ok(connection) => {
                running.look = Some(Looking::Connection(Box::new(connection)));
                self.fresh.push(id);
            }
            Err(failure) => self.finish(id, Err(failure), now),
        }
    }

    /// Takes the results of connections that were made at once; the others wait.
    fn see_to_fresh(&mut self) {
        if self.fresh.is_empty() {
            return;
        }
        let mut fresh = std::mem::take(&mut self.fresh);
        // Each of them is looking: nobody else had a turn since it began.
        let connections = fresh.iter().filter_map(|id| self.checks.get(id)?.connection());
        let told = writable_now(connections.map(AsFd::as_fd));
        for (id, told) in fresh.drain(..).zip(told) {
            match told {
                Some(failed) => self.connection_ended(id, failed),
                None => self.wait_for_connection(id),
            }
        }
        self.fresh = fresh;
    }

    fn wait_for_connection(&mut self, id: CheckId) {
        let Some(running) = self.checks.get_mut(&id) else { return };
        let (Some(Looking::Connection(mut connection)), Kind::Tcp(target)) =
            (running.look.take(), &running.check.kind)
        else {
            return;
        };
        match self.lobby.admit(&mut connection, id.0) {
            Ok(()) => {
                self.due.insert((connection.until(), id));
                running.look = Some(Looking::Connection(connection));
            }
            Err(cause) => {
                let failure = connection.fail(target, cause);
                self.finish(id, Err(failure), Instant::now());
            }
        }
    }

    /// A connection stands or has failed.
    fn connection_ended(&mut self, id: CheckId, failed: bool) {
        let now = Instant::now();
        let Some(running) = self.checks.get_mut(&id) else { return };
        let (Some(Looking::Connection(connection)), Kind::Tcp(target)) =
            (running.look.take(), &running.check.kind)
        else {
            return;
        };
        if connection.is_waited_for() {
            self.due.remove(&(connection.until(), id));
        }
        let result = connection.end(target, failed, now);
        self.finish(id, result, now);
    }

    /// A look has ended.
    fn finish(&mut self, id: CheckId, result: Result<Success, Failure>, now: Instant) {
        let Some(running) = self.checks.get_mut(&id) else { return };
        running.look = None;
        let change = running.take_result(result, now);
        if let Some(at) = running.poll_timeout() {
            self.enqueue(at, id);
        }
        self.tell(id, now, change);
    }

    /// Takes what others tell about the checks that wait for it.
    fn told(&mut self, concerned: impl Fn(&Kind) -> bool) {
        let mut ids: Vec<CheckId> = self
            .checks
            .iter()
            .filter(|(_, running)| concerned(&running.check.kind))
            .map(|(id, _)| *id)
            .collect();
        ids.sort_unstable();
        for id in ids {
            self.hear(id);
        }
    }

    /// Judges a check by what was told last, if anything was.
    fn hear(&mut self, id: CheckId) {
        let Some(running) = self.checks.get_mut(&id) else { return };
        let result = match &running.check.kind {
            Kind::File(check) => {
                self.files.get(&check.file).map(|value| file::judge(check, *value))
            }
            Kind::Bfd(check) => self.sessions.get(&check.session).map(|up| bfd::judge(check, *up)),
            _ => None,
        };
        let Some(result) = result else { return };
        // What a file says counts also then, as with Keepalived.
        let file = matches!(running.check.kind, Kind::File(_));
        if running.schedule.is_suspended() && !file {
            return;
        }
        let now = Instant::now();
        let change = running.take_told(result, now);
        self.tell(id, now, change);
    }

    fn tell(&self, id: CheckId, at: Instant, change: Option<Change>) {
        if let Some(change) = change {
            // Nobody listens any more: the owner is about to drop us.
            let _ = self.events.send(Event { id, at, change });
        }
    }
}

impl Running {
    /// The connection that is being made.
    fn connection(&self) -> Option<&tcp::Connection> {
        match &self.look {
            Some(Looking::Connection(connection)) => Some(connection),
            _ => None,
        }
    }

    /// When there is something to do: to look, or to give a connection up.
    fn poll_timeout(&self) -> Option<Instant> {
        match self.connection() {
            Some(connection) => Some(connection.until()),
            None => self.schedule.poll_timeout(),
        }
    }

    fn end_look(&mut self) {
        // A connection is given up by being dropped.
        if let Some(Looking::Task(look)) = self.look.take() {
            look.abort();
        }
    }

    /// The result of a look: what changes by it.
    fn take_result(&mut self, result: Result<Success, Failure>, now: Instant) -> Option<Change> {
        if let Err(failure) = &result
            && failure.cause.is_ours()
        {
            self.schedule.hindered(now);
            let first = !std::mem::replace(&mut self.hindered, true);
            let change = first.then(|| Change::Hindered(failure.clone()));
            self.last = Some((now, result));
            return change;
        }
        self.hindered = false;
        let verdict = self.schedule.handle_result(result.is_ok(), now);
        self.keep(result, verdict, now)
    }

    /// What others told: there are no retries.
    fn take_told(&mut self, result: Result<Success, Failure>, now: Instant) -> Option<Change> {
        let verdict = self.schedule.handle_told(result.is_ok());
        self.keep(result, verdict, now)
    }

    fn keep(
        &mut self,
        result: Result<Success, Failure>,
        verdict: Verdict,
        now: Instant,
    ) -> Option<Change> {
        self.runs += 1;
        let weight = match &result {
            Ok(success) => {
                self.failures = 0;
                Some(success.weight)
            }
            Err(_) => {
                self.failed += 1;
                self.failures = self.failures.saturating_add(1);
                // A forgiven failure says nothing new about the weight.
                if matches!(verdict, Verdict::Attempt { .. }) { self.weight } else { Some(None) }
            }
        };
        let reweighted = std::mem::replace(&mut self.weight, weight) != weight;
        let change = match (&result, verdict) {
            (Ok(success), Verdict::Up) => Some(Change::Up(success.clone())),
            (Ok(success), _) if reweighted && self.schedule.state() == State::Up => {
                Some(Change::Weight(success.clone()))
            }
            (Err(failure), Verdict::Down { retries }) => {
                Some(Change::Down { failure: failure.clone(), retries })
            }
            (Err(failure), Verdict::Attempt { number }) => Some(Change::Attempt {
                number,
                of: self.check.schedule.retry,
                failure: failure.clone(),
            }),
            _ => None,
        };
        self.last = Some((now, result));
        change
    }
}

/// One look of a check, and where its result goes.
struct Look {
    id: CheckId,
    inner: Weak<RefCell<Inner>>,
}

impl Look {
    /// Starts it. Each kind is a task of its own type, so that the small ones are small.
    fn begin(self, check: &Rc<Check>, step: usize, shared: &Rc<Shared>) -> Option<AbortHandle> {
        /// A task that runs `$look` with what the check's kind holds.
        macro_rules! task {
            ($kind:ident, |$held:ident, $shared:ident| $look:expr) => {{
                let (check, $shared) = (check.clone(), shared.clone());
                Some(self.spawn(async move {
                    match &check.kind {
                        Kind::$kind($held) => Some($look.await),
                        _ => None,
                    }
                }))
            }};
        }
        match &check.kind {
            Kind::Udp(_) => task!(Udp, |udp, _shared| udp::run(udp)),
            Kind::Ping(_) => task!(Ping, |target, shared| ping::run(target, &shared.ping)),
            Kind::Http(_) => task!(Http, |http, shared| http::run(http, step, &shared.tls)),
            Kind::Smtp(_) => task!(Smtp, |smtp, _shared| smtp::run(smtp)),
            Kind::Dns(_) => task!(Dns, |dns, _shared| dns::run(dns)),
            Kind::Misc(_) => task!(Misc, |misc, shared| misc::run(misc, &shared.processes)),
            Kind::Tcp(_) | Kind::File(_) | Kind::Bfd(_) => None,
        }
    }

    fn spawn(
        self,
        look: impl Future<Output = Option<Result<Success, Failure>>> + 'static,
    ) -> AbortHandle {
        let task = async move {
            if let (Some(result), Some(inner)) = (look.await, self.inner.upgrade()) {
                inner.borrow_mut().finish(self.id, result, Instant::now());
            }
        };
        spawn_local(task).abort_handle()
    }
}

#[cfg(test)]
mod tests;
