//! The demonstration: a failover with real daemons, kernel addresses and packets, told in plain
//! words with what a client measured. Takes less than a minute and ends by itself.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::meter::Meter;
use crate::subject::Subject;
use crate::{Lab, LabError, Plan};

/// The two files in `examples/`.
pub const CONFIGS: [&str; 2] = [
    include_str!("../../../examples/n1/keepalived.conf"),
    include_str!("../../../examples/n2/keepalived.conf"),
];

/// The virtual IP of the two files.
pub const VIP: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 100);

/// The instance of the two files.
pub const INSTANCE: &str = "WEB";

/// Longer than anything in the demonstration should take.
const LIMIT: Duration = Duration::from_secs(12);

/// The client asks a thousand times a second.
const PACE: Duration = Duration::from_millis(1);

/// What the client measured.
#[derive(Debug, Clone, Copy)]
pub struct Report {
    /// Without an answer after the master's cable was pulled.
    pub cable: Duration,
    /// Without an answer while the old master took over again.
    pub comeback: Duration,
    /// Without an answer when the master was stopped as planned.
    pub stop: Duration,
}

/// Plays the demonstration with `first` on n1 and `second` on n2, and tells it to `out` in lines
/// of at most 80 columns. The process must be in an enclosure ([`crate::enter`]).
///
/// # Errors
///
/// When the laboratory cannot be built, or something does not happen in time.
pub fn run(first: &Subject, second: &Subject, out: &mut dyn Write) -> Result<Report, LabError> {
    let mut lab = Lab::build_for(Plan::default(), [first, second])?;
    Told { out }.play(&mut lab, first, second)
}

/// The teller.
struct Told<'a> {
    out: &'a mut dyn Write,
}

impl Told<'_> {
    fn play(
        &mut self,
        lab: &mut Lab,
        first: &Subject,
        second: &Subject,
    ) -> Result<Report, LabError> {
        let vip = IpAddr::from(VIP);
        self.line("Two nodes, a client and a switch, made of network namespaces:")?;
        self.line("")?;
        self.line("      n1 198.51.100.1          n2 198.51.100.2")?;
        self.line("           |                        |")?;
        self.line("           +-------- switch --------+")?;
        self.line("                       |")?;
        self.line("              client 198.51.100.9")?;
        self.line("")?;
        self.line(&format!("n1 runs {first}, n2 runs {second}; their files are in examples/."))?;
        self.line(&format!("The virtual IP is {VIP}. n1 has the higher priority."))?;

        self.step("Both start")?;
        let started = lab.now();
        lab.start(1, first, CONFIGS[0])?;
        lab.start(2, second, CONFIGS[1])?;
        let held = wait_holder(lab, 1, started)?;
        let meter = lab.meter(vip, PACE)?;
        answers(&meter, held)?;
        self.line(&format!("n1 heard nobody for {} and became master.", span(held - started)))?;
        self.line(&format!("{VIP} is on n1 and answers the client, which from now on"))?;
        self.line("asks 1,000 times a second and counts how long no answer comes.")?;

        self.step("The cable of n1 is pulled")?;
        let (pulled, taken) = {
            let pulled = lab.pull(1, 0)?;
            (pulled, wait_holder(lab, 2, pulled)?)
        };
        answers(&meter, taken)?;
        let cable = meter.outage_since(pulled).longest;
        self.line(&format!(
            "n2 missed three advertisements and took over after {}.",
            span(taken - pulled)
        ))?;
        self.line(&format!("The client was without an answer for {}.", span(cable)))?;

        self.step("The cable is put back")?;
        let plugged = lab.plug(1, 0)?;
        let back = wait_holder(lab, 1, plugged)?;
        lab.wait_address(2, vip, false, plugged, LIMIT)
            .ok_or_else(|| late("n2 gives the address up"))?;
        answers(&meter, back)?;
        let comeback = meter.outage_since(plugged).longest;
        self.line(&format!("n1 waited {}, then took the address back.", span(back - plugged)))?;
        self.line(&format!("The client was without an answer for {}.", span(comeback)))?;

        self.step("n1 is stopped as planned (SIGTERM)")?;
        let stopping = lab.now();
        let stopped = lab.daemon(1).stop(LIMIT);
        let taken = wait_holder(lab, 2, stopping)?;
        answers(&meter, taken)?;
        let stop = meter.outage_since(stopping).longest;
        self.line("n1 said farewell (priority 0), so n2 did not have to wait for its timer.")?;
        self.line(&format!("n2 took over after {}.", span(taken - stopping)))?;
        self.line(&format!("The client was without an answer for {}.", span(stop)))?;
        stopped.ok_or_else(|| late("n1 ends"))?;

        self.step("Who is master now, and why?")?;
        self.explain(lab, second)?;
        drop(meter);
        lab.daemon(2).stop(LIMIT);
        self.line("")?;
        self.line("Without an answer:   cable pulled   came back   planned stop")?;
        let row = [span(cable), span(comeback), span(stop)];
        self.line(&format!("                     {:<14} {:<11} {}", row[0], row[1], row[2]))?;
        self.line("")?;
        self.line("Everything is removed again. `standfast lab` keeps such a laboratory up")?;
        self.line("and gives you a shell on each node.")?;
        Ok(Report { cable, comeback, stop })
    }

    /// What n2 itself says about it.
    fn explain(&mut self, lab: &Lab, subject: &Subject) -> Result<(), LabError> {
        if !subject.is_standfast() {
            return self.line("n2: it heard n1's farewell, and nobody of higher priority is left.");
        }
        self.line(&format!("$ standfast explain {INSTANCE}     (on n2)"))?;
        let text = lab.node(2).command(&format!("/run/lab/standfast explain {INSTANCE}"))?;
        for line in text.lines() {
            self.line(line)?;
        }
        Ok(())
    }

    fn step(&mut self, title: &str) -> Result<(), LabError> {
        self.line("")?;
        self.line(&format!("== {title}"))
    }

    fn line(&mut self, text: &str) -> Result<(), LabError> {
        writeln!(self.out, "{text}")
            .and_then(|()| self.out.flush())
            .map_err(|source: io::Error| LabError::Io { what: "print".into(), source })
    }
}

/// Waits until `node` gets the virtual IP; tells when.
fn wait_holder(lab: &Lab, node: usize, since: Duration) -> Result<Duration, LabError> {
    lab.wait_address(node, VIP.into(), true, since, LIMIT).ok_or_else(|| {
        let log = lab.daemons().map(|(number, it)| format!("\nn{number}:\n{}", it.tail(12)));
        let log: String = log.collect();
        late(&format!("n{node} gets {VIP}{log}"))
    })
}

/// Waits until the client gets answers again, and for a while after, so that a second gap that
/// belongs to the same event is counted too.
fn answers(meter: &Meter, since: Duration) -> Result<(), LabError> {
    let after = since + Duration::from_millis(300);
    meter.wait_answer(after, LIMIT).map(drop).ok_or_else(|| late("the client gets an answer"))
}

fn late(what: &str) -> LabError {
    LabError::Late { what: what.to_owned(), limit: LIMIT }
}

/// A time in words that fit its size: `3.61 s`, `1.2 ms`.
fn span(time: Duration) -> String {
    if time >= Duration::from_secs(1) {
        format!("{:.2} s", time.as_secs_f64())
    } else {
        format!("{:.1} ms", time.as_secs_f64() * 1e3)
    }
}
