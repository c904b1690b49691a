//! One program on one farm, and the sentences that a scenario is written in.

use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use standfast_lab::farm::Farm;
use standfast_lab::subject::Subject;

use crate::fifo::Fifo;

/// How long anything may take: the machine is emulated and other scenarios run beside.
pub(crate) const LIMIT: Duration = Duration::from_secs(90);

/// Between two looks at something that nobody announces.
const PAUSE: Duration = Duration::from_millis(50);

/// Nothing has changed for so long: at rest.
pub(crate) const REST: Duration = Duration::from_millis(600);

/// Long enough for something that should not happen to have happened: two turns of checks that
/// are a second apart.
pub(crate) const QUIET: Duration = Duration::from_millis(2500);

/// The FIFO and the scripts of all scenarios; `script_user` keeps both programs content.
pub(crate) const GLOBAL: &str =
    "global_defs {\n  script_user root\n  lvs_notify_fifo /run/fifo\n}\n";

/// A program that is given a configuration, and what became of it.
pub(crate) struct Play {
    subject: Subject,
    fifo: Option<Fifo>,
    farm: Option<Farm>,
    notes: Vec<String>,
}

impl Play {
    pub(crate) fn new(subject: &Subject) -> Self {
        Self { subject: subject.clone(), fifo: None, farm: None, notes: Vec::new() }
    }

    /// Ours, not Keepalived.
    pub(crate) fn standfast(&self) -> bool {
        self.subject.is_standfast()
    }

    /// Only a director.
    pub(crate) fn director_only(&mut self) {
        self.equip(Farm::director_only().expect("a director"));
    }

    /// A farm with this many real servers.
    pub(crate) fn build(&mut self, reals: usize) {
        self.equip(Farm::build(reals).expect("a farm"));
    }

    fn equip(&mut self, farm: Farm) {
        self.fifo = Some(Fifo::make(farm.director(), "/run/fifo"));
        farm.director()
            .write("/run/tell.sh", "#!/bin/sh\necho \"$*\" >> /run/told\n")
            .expect("a script");
        self.farm = Some(farm);
    }

    pub(crate) fn farm(&self) -> &Farm {
        self.farm.as_ref().expect("built")
    }

    /// Starts the program without its VRRP half.
    #[track_caller]
    pub(crate) fn start(&mut self, config: &str) {
        self.start_with(config, &["-D", "-C"]);
    }

    #[track_caller]
    pub(crate) fn start_with(&mut self, config: &str, arguments: &[&str]) {
        let farm = self.farm.as_mut().expect("built");
        farm.start(&self.subject, config, arguments).expect("the daemon");
    }

    #[track_caller]
    pub(crate) fn reload(&self, config: &str) {
        self.farm().reload(config).expect("write the configuration");
    }

    /// Ends the program with SIGTERM; it must end well.
    #[track_caller]
    pub(crate) fn stop(&self) {
        let (status, _) = self.farm().daemon().stop(LIMIT).expect("ends after SIGTERM");
        assert!(status.success(), "ended with {status}");
    }

    /// The process that holds the table.
    #[track_caller]
    pub(crate) fn balancer(&self) -> i32 {
        // Started with -C there is one child.
        let roles = self.farm().daemon().roles();
        assert_eq!(roles.len(), 1, "one child");
        roles[0]
    }

    /// Ends that process with SIGKILL and waits for its successor.
    #[track_caller]
    pub(crate) fn kill_balancer(&self) -> i32 {
        let victim = self.balancer();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(victim), Signal::SIGKILL).expect("kill");
        self.until("a successor", || {
            let roles = self.farm().daemon().roles();
            roles.into_iter().find(|pid| *pid != victim)
        })
    }

    /// The kernel's table now.
    #[track_caller]
    pub(crate) fn table(&self) -> Vec<String> {
        self.farm().table().expect("ipvsadm")
    }

    /// Waits until the table is as `wanted` says.
    #[track_caller]
    pub(crate) fn table_until(
        &self,
        what: &str,
        wanted: impl Fn(&[String]) -> bool,
    ) -> Vec<String> {
        let deadline = Instant::now() + LIMIT;
        let (mut seen, mut last) = (None, Vec::new());
        loop {
            // To run ipvsadm is dear here; to look whether it is worthwhile is not.
            let glimpse = self.farm().glimpse();
            if seen.as_ref() != Some(&glimpse) {
                last = self.table();
                seen = Some(glimpse);
                if wanted(&last) {
                    return last;
                }
            }
            assert!(
                Instant::now() < deadline,
                "the table never had {what}; it is:\n{}",
                last.join("\n")
            );
            thread::sleep(PAUSE);
        }
    }

    /// Waits until the table has a line with `text`.
    #[track_caller]
    pub(crate) fn has(&self, text: &str) {
        self.table_until(text, |lines| lines.iter().any(|line| line.contains(text)));
    }

    /// Waits until the table has no line with `text`.
    #[track_caller]
    pub(crate) fn has_no(&self, text: &str) {
        let none = |lines: &[String]| !lines.iter().any(|line| line.contains(text));
        self.table_until(&format!("no {text}"), none);
    }

    /// Waits until `probe` answers.
    #[track_caller]
    pub(crate) fn until<R>(&self, what: &str, mut probe: impl FnMut() -> Option<R>) -> R {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(found) = probe() {
                return found;
            }
            assert!(Instant::now() < deadline, "waited in vain: {what}");
            thread::sleep(PAUSE);
        }
    }

    /// Waits until the FIFO has told `count` lines that contain `text` since the start.
    #[track_caller]
    pub(crate) fn told(&self, text: &str, count: usize) {
        let lines = &self.fifo.as_ref().expect("built").lines;
        let found = lines.wait(LIMIT, |all| {
            (all.iter().filter(|line| line.contains(text)).count() >= count).then_some(())
        });
        assert!(found.is_some(), "the FIFO told {:?}, not {count} x {text}", lines.entries());
    }

    /// All lines of the FIFO so far.
    pub(crate) fn fifo(&self) -> Vec<String> {
        self.fifo.as_ref().expect("built").lines.entries()
    }

    /// What the notify scripts were called with so far.
    pub(crate) fn scripts(&self) -> Vec<String> {
        self.farm().director().read("/run/told").lines().map(str::to_owned).collect()
    }

    /// The calls of notify scripts once there are `count` of them, or after some patience.
    pub(crate) fn called_about(&self, count: usize) -> Vec<String> {
        let deadline = Instant::now() + LIMIT / 10;
        while self.scripts().len() < count && Instant::now() < deadline {
            thread::sleep(PAUSE);
        }
        self.scripts()
    }

    /// What `look` sees once it has not changed for a while.
    pub(crate) fn rest<R: PartialEq>(&self, look: impl Fn(&Self) -> R) -> R {
        let (mut last, mut since) = (look(self), Instant::now());
        let deadline = Instant::now() + LIMIT;
        while since.elapsed() < REST && Instant::now() < deadline {
            thread::sleep(PAUSE);
            let now = look(self);
            if now != last {
                (last, since) = (now, Instant::now());
            }
        }
        last
    }

    /// Waits for a line of the log that contains `text`.
    #[track_caller]
    pub(crate) fn log(&self, text: &str) {
        let found = self.farm().daemon().wait_line(text, Duration::ZERO, LIMIT);
        assert!(found.is_some(), "never logged {text:?}");
    }

    /// The lines of the log that contain one of `words`, without what stands before the word.
    pub(crate) fn log_of(&self, words: &[&str]) -> Vec<String> {
        let log = self.farm().daemon().log();
        let cut = |line: &str| {
            words.iter().filter_map(|word| line.find(word)).min().map(|at| line[at..].to_owned())
        };
        log.iter().filter_map(|line| cut(&line.text)).collect()
    }

    /// Runs a command line on the director.
    #[track_caller]
    pub(crate) fn run(&self, line: &str) -> String {
        self.farm().director().command(line).expect("the command")
    }

    /// Runs a command of ours on the director: `server list`.
    #[track_caller]
    pub(crate) fn command(&self, words: &str) -> String {
        self.run(&format!("/run/lab/standfast {words}"))
    }

    /// As [`Play::command`], when it may fail.
    pub(crate) fn try_command(&self, words: &str) -> Option<String> {
        self.farm().director().command(&format!("/run/lab/standfast {words}")).ok()
    }

    /// Lets time pass, for what must not happen.
    pub(crate) fn quiet(&self) {
        thread::sleep(QUIET);
    }

    /// Notes a fact, in which both programs must agree.
    pub(crate) fn note(&mut self, fact: impl Into<String>) {
        self.notes.push(fact.into());
    }

    /// Notes several.
    pub(crate) fn note_all(&mut self, title: &str, facts: impl IntoIterator<Item = String>) {
        self.note(format!("{title}:"));
        self.notes.extend(facts.into_iter().map(|fact| format!("  {fact}")));
    }

    pub(crate) fn into_notes(self) -> Vec<String> {
        self.notes
    }

    /// What happened, for a report about a failure.
    pub(crate) fn story(&self) -> String {
        let Some(farm) = &self.farm else { return String::new() };
        let table = farm.table().unwrap_or_else(|error| vec![error.to_string()]);
        let log = farm.story();
        format!(
            "notes:\n{}\nFIFO: {:?}\nscripts: {:?}\ntable:\n{}\nlog:\n{log}",
            self.notes.join("\n"),
            self.fifo(),
            self.scripts(),
            table.join("\n"),
        )
    }
}
