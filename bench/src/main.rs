//! Standfast and Keepalived side by side, in one run, over the whole process tree. Prints what was
//! reached, also where it falls short; asserts nothing.

mod balancing;
mod cost;
mod outage;
mod scale;
mod table;
mod takeover;

use std::process::ExitCode;

use lab::LabError;
use lab::subject::Subject;

use crate::table::{Goal, Row, Unit};

/// Something to measure: one or more numbers, in the order of `rows`.
struct Measure {
    name: &'static str,
    rows: &'static [Row],
    run: fn(&Subject) -> Result<Vec<f64>, LabError>,
}

const MEASURES: &[Measure] = &[
    Measure {
        name: "stop",
        rows: &[Row::new("planned stop: outage", Unit::Time, Goal::Below(0.005))],
        run: outage::planned_stop,
    },
    Measure {
        name: "kill",
        rows: &[
            Row::new("kill -9 of VRRP: lost packets", Unit::Count, Goal::Below(0.0)),
            Row::new("kill -9 of VRRP: moves elsewhere", Unit::Count, Goal::Below(0.0)),
        ],
        run: outage::kill,
    },
    Measure {
        name: "takeover",
        rows: &[
            Row::new("takeover, 10 ms adverts: median", Unit::Time, Goal::Below(0.003)),
            Row::new("takeover, 10 ms adverts: worst", Unit::Time, Goal::Below(0.003)),
        ],
        run: takeover::idle,
    },
    Measure {
        name: "busy",
        rows: &[
            Row::new("takeover, cores busy: median", Unit::Time, Goal::Below(0.003)),
            Row::new("takeover, cores busy: worst", Unit::Time, Goal::Below(0.003)),
        ],
        run: takeover::busy,
    },
    Measure {
        name: "instances",
        rows: &[Row::new("1,000 instances: last VIP late by", Unit::Time, Goal::Below(0.3))],
        run: scale::instances,
    },
    Measure {
        name: "addresses",
        rows: &[
            Row::new("5,000 VIPs, IPv4, twenty links", Unit::Time, Goal::Ratio(0.5)),
            Row::new("5,000 VIPs, IPv6, one link", Unit::Time, Goal::Ratio(0.5)),
        ],
        run: scale::addresses,
    },
    Measure {
        name: "cpu",
        rows: &[Row::new("CPU, 255 x 10 adverts/s, 10 s", Unit::Time, Goal::Ratio(0.7))],
        run: cost::cpu,
    },
    Measure {
        name: "memory",
        rows: &[Row::new("memory (PSS), one instance", Unit::Bytes, Goal::Below(8e6))],
        run: cost::memory,
    },
    Measure {
        name: "test",
        rows: &[Row::new("-t on 5,000 x 10 servers", Unit::Time, Goal::Ratio(1.0))],
        run: cost::config_test,
    },
];

/// Where the kernel has IPVS, when the first argument says `balancing`.
const BALANCING: &[Measure] = &[
    Measure {
        name: "1000",
        rows: &[
            Row::new("1,000 x 10: start to the table", Unit::Time, Goal::Ratio(0.5)),
            Row::new("1,000 x 10: reload, one changed", Unit::Time, Goal::Ratio(0.5)),
            Row::new("1,000 x 10: memory per server", Unit::Bytes, Goal::Ratio(1.0)),
        ],
        run: balancing::thousand,
    },
    Measure {
        name: "4000",
        rows: &[
            Row::new("4,000 x 10: start to the table", Unit::Time, Goal::Ratio(0.5)),
            Row::new("4,000 x 10: reload, one changed", Unit::Time, Goal::Ratio(0.5)),
            Row::new("4,000 x 10: memory per server", Unit::Bytes, Goal::Ratio(1.0)),
        ],
        run: balancing::four_thousand,
    },
    Measure {
        name: "checks",
        rows: &[
            Row::new("CPU, 1,000 TCP checks, saturated", Unit::Time, Goal::Ratio(1.0)),
            Row::new("checks a second, 5,000 wanted", Unit::Count, Goal::AtLeast(1.0)),
            Row::new("CPU, 500 checks/s, 10 s", Unit::Time, Goal::Ratio(1.0)),
            Row::new("500 checks/s: late by (p99)", Unit::Time, Goal::Ratio(1.0)),
        ],
        run: balancing::checks,
    },
];

fn main() -> ExitCode {
    if let Err(error) = lab::enter() {
        eprintln!("bench: {error}");
        return ExitCode::FAILURE;
    }
    let mut wanted: Vec<String> = std::env::args().skip(1).collect();
    let measures = if wanted.first().is_some_and(|word| word == "balancing") {
        wanted.remove(0);
        BALANCING
    } else {
        MEASURES
    };
    let chosen: Vec<&Measure> = measures
        .iter()
        .filter(|it| wanted.is_empty() || wanted.iter().any(|word| it.name.starts_with(word)))
        .collect();
    if chosen.is_empty() {
        let names: Vec<&str> = measures.iter().map(|it| it.name).collect();
        eprintln!("bench: choose from {}", names.join(", "));
        return ExitCode::FAILURE;
    }
    let subjects = [Subject::keepalived(), Subject::standfast()];
    for (name, subject) in ["keepalived", "standfast"].iter().zip(&subjects) {
        if subject.is_none() {
            eprintln!("bench: there is no {name}; its column stays empty");
        }
    }
    table::head();
    let mut failed = false;
    for measure in chosen {
        let mut values = Vec::new();
        for subject in &subjects {
            let result = subject.as_ref().map(|subject| (measure.run)(subject)).transpose();
            values.push(result.unwrap_or_else(|error| {
                eprintln!("bench: {}: {error}", measure.name);
                failed = true;
                None
            }));
        }
        for (index, row) in measure.rows.iter().enumerate() {
            let value =
                |column: usize| values[column].as_ref().and_then(|it| it.get(index)).copied();
            table::line(row, value(0), value(1));
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
