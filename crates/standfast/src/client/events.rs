//! `standfast events`: what happened in both roles, in the order of time.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use status::api::{Reply, Request};
use status::{Balancing, Record};

use super::{Client, Error, Sockets, local_time, server_names};
use crate::supervisor::kind::Kind;

/// How long a role that went away may stay away, and how often it is looked for meanwhile.
const AWAY: (Duration, u32) = (Duration::from_millis(200), 100);

/// Prints what is kept, and with `follow` what happens, until interrupted. With a name, only what
/// is about it: an instance, a sync group, a virtual server or a real server.
pub(crate) fn events(
    sockets: &Sockets,
    name: Option<&str>,
    follow: bool,
    json: bool,
    out: &mut dyn io::Write,
) -> Result<(), Error> {
    // The streams begin before the past is read: nothing falls between them.
    let (sender, records) = channel();
    if follow {
        // Somebody has to listen.
        sockets.connect()?;
        for kind in Kind::ALL {
            if let Some(path) = sockets.of(kind) {
                let (path, sender) = (path.to_owned(), sender.clone());
                thread::spawn(move || stream(kind, &path, &sender));
            }
        }
    }
    drop(sender);
    let mut roles = sockets.connect()?;
    let mut past = Vec::new();
    for client in [&mut roles.failover, &mut roles.balancer].into_iter().flatten() {
        let subject = name.map(str::to_owned);
        if let Reply::Records(records) = client.ask(&Request::History { subject })? {
            past.extend(records);
        }
    }
    past.sort_by_key(|record| record.time);
    let filter = match name {
        None => Filter::default(),
        Some(name) => {
            let (failover, balancing) = roles.snapshots()?;
            let mut known: Vec<String> = Vec::new();
            if let Some(snapshot) = &failover {
                known.extend(snapshot.instances.iter().map(|i| i.name.clone()));
                known.extend(snapshot.groups.iter().map(|g| g.name.clone()));
            }
            let filter = Filter::of(name, balancing.as_ref());
            // One that is gone from the configuration may have a past.
            if past.is_empty() && filter.servers.is_empty() && !known.iter().any(|it| it == name) {
                known.extend(balancing.iter().flat_map(server_names));
                let wanted = "instance, sync group, virtual or real server";
                return Err(Error::Unknown { wanted, name: name.to_owned(), known });
            }
            filter
        }
    };
    let mut printed = HashSet::new();
    for record in past {
        print_record(&record, json, out)?;
        printed.insert((record.time, record.seq, record.message));
    }
    drop(roles);
    // Without `follow` nobody sends.
    for record in records {
        let known = printed.contains(&(record.time, record.seq, record.message.clone()));
        if !known && filter.wants(&record) {
            print_record(&record, json, out)?;
        }
    }
    if follow {
        return Err(Error::InVain("the daemon has gone away".to_owned()));
    }
    Ok(())
}

/// Passes the records of a role on, also of its next lives, until nobody listens here or the role
/// stays away.
fn stream(kind: Kind, path: &Path, to: &Sender<Record>) {
    let (pause, tries) = AWAY;
    let mut left = tries;
    while left > 0 {
        left -= 1;
        if let Ok(mut client) = Client::connect(kind, path)
            && client.stream.set_read_timeout(None).is_ok()
            && client.say(&Request::Events).is_ok()
        {
            left = tries;
            while let Ok(reply) = client.reply() {
                if let Reply::Event(record) = reply
                    && to.send(record).is_err()
                {
                    return;
                }
            }
        }
        thread::sleep(pause);
    }
}

/// Which records are wanted. Without a name: all.
#[derive(Default)]
struct Filter {
    name: Option<String>,
    /// What the name means to the balancer: virtual servers, and real servers of one.
    servers: Vec<Server>,
}

struct Server {
    virtual_server: String,
    real_server: Option<String>,
}

impl Filter {
    fn of(name: &str, balancing: Option<&Balancing>) -> Self {
        let mut servers = Vec::new();
        for v in balancing.iter().flat_map(|all| &all.virtual_servers) {
            if v.answers_to(name) {
                servers.push(Server { virtual_server: v.name.clone(), real_server: None });
            }
            for r in v.real_servers.iter().filter(|r| r.answers_to(name)) {
                servers.push(Server {
                    virtual_server: v.name.clone(),
                    real_server: Some(r.name.clone()),
                });
            }
        }
        Self { name: Some(name.to_owned()), servers }
    }

    fn wants(&self, record: &Record) -> bool {
        let Some(name) = &self.name else { return true };
        let Some(subject) = &record.subject else { return false };
        subject == name
            || self.servers.iter().any(|server| match &server.real_server {
                // What happens to its real servers is about `REAL of VIRTUAL`.
                None => {
                    let of_it = subject.strip_suffix(server.virtual_server.as_str());
                    of_it.is_some_and(|rest| rest.is_empty() || rest.ends_with(" of "))
                }
                Some(real) => *subject == format!("{real} of {}", server.virtual_server),
            })
    }
}

fn print_record(record: &Record, json: bool, out: &mut dyn io::Write) -> Result<(), Error> {
    if json {
        writeln!(out, "{}", serde_json::to_string(record)?)?;
    } else {
        writeln!(out, "{}  {}", local_time(record.time), record.message)?;
        for (label, text) in [("because", &record.cause), ("hint", &record.hint)] {
            if let Some(text) = text {
                writeln!(out, "    {label}: {text}")?;
            }
        }
    }
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use status::balancing::{RealServer, Settings, VirtualServer};
    use status::{Severity, Timestamp};

    use super::*;

    fn record(subject: Option<&str>, message: &str) -> Record {
        Record {
            seq: 1,
            time: Timestamp::from_micros(1),
            severity: Severity::Info,
            subject: subject.map(str::to_owned),
            kind: "k".into(),
            from: None,
            to: None,
            message: message.into(),
            cause: None,
            hint: None,
        }
    }

    fn farm() -> Balancing {
        let real = |host: u8| RealServer {
            name: format!("[10.0.0.{host}]:tcp:80"),
            address: Some(([10, 0, 0, host], 80).into()),
            ..RealServer::default()
        };
        let web = VirtualServer {
            name: "[198.51.100.1]:tcp:80".into(),
            protocol: "tcp".into(),
            settings: Settings {
                address: Some(([198, 51, 100, 1], 80).into()),
                ..Settings::default()
            },
            real_servers: vec![real(2), real(3)],
            ..VirtualServer::default()
        };
        Balancing { virtual_servers: vec![web], ..Balancing::default() }
    }

    #[test]
    fn without_a_name_everything_is_wanted() {
        let filter = Filter::default();
        assert!(filter.wants(&record(None, "started")) && filter.wants(&record(Some("A"), "x")));
    }

    #[test]
    fn a_name_means_its_subject_in_any_way_of_writing() {
        let filter = Filter::of("A", Some(&farm()));
        assert!(filter.wants(&record(Some("A"), "x")) && !filter.wants(&record(Some("B"), "x")));
        assert!(!filter.wants(&record(None, "A")));
        let web = record(Some("[198.51.100.1]:tcp:80"), "quorum lost");
        let real = record(Some("[10.0.0.2]:tcp:80 of [198.51.100.1]:tcp:80"), "down");
        let filter = |name| Filter::of(name, Some(&farm()));
        assert!(filter("198.51.100.1:80").wants(&web) && filter("198.51.100.1:80").wants(&real));
        assert!(filter("10.0.0.2").wants(&real) && !filter("10.0.0.2").wants(&web));
        assert!(!filter("10.0.0.3").wants(&real) && !filter("198.51.100.2").wants(&web));
    }
}
