//! DNS names of real servers: asked as often as the answers' time to live says. A failed look-up is
//! told as such; whoever asked keeps the last good answer.
//!
//! The resolver is made anew for each look-up, from the system's configuration, so that a changed
//! `/etc/resolv.conf` or `/etc/hosts` counts from the next one on. Nothing is cached: the time to
//! live is kept by not asking earlier.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::rdata::SRV;
use hickory_resolver::proto::rr::{Name, RData};
use hickory_resolver::{TokioResolver, lookup};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::AbortHandle;

use crate::core::{Answer, Lookup};

/// The least time between two look-ups of a name, whatever its time to live.
const SOONEST: Duration = Duration::from_secs(1);
/// The longest time: names of `/etc/hosts` have no time to live.
const LATEST: Duration = Duration::from_secs(3600);
/// After the first failure.
const RETRY_FIRST: Duration = Duration::from_secs(5);
/// After many failures.
const RETRY_LAST: Duration = Duration::from_secs(60);
/// A look-up with all its retries, and all targets of an SRV record, may take so long.
const PATIENCE: Duration = Duration::from_secs(30);
/// More addresses than that are a mistake of somebody, or an attack.
const MOST_ANSWERS: usize = 512;
/// Targets of SRV records that are looked up.
const MOST_TARGETS: usize = 64;

/// What a look-up came to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Resolution {
    /// What was asked.
    pub(crate) lookup: Lookup,
    /// The answer, or why there is none.
    pub(crate) result: Result<Vec<Answer>, String>,
}

/// Where resolvers come from.
pub type Source = Rc<dyn Fn() -> Result<TokioResolver, NetError>>;

/// The system's configuration.
pub(crate) fn system() -> Source {
    Rc::new(|| {
        let mut builder = TokioResolver::builder_tokio()?;
        builder.options_mut().cache_size = 0;
        builder.build()
    })
}

/// The names that are asked for.
pub(crate) struct Names {
    source: Source,
    answers: UnboundedSender<Resolution>,
    running: HashMap<Lookup, AbortHandle>,
}

impl Names {
    /// Asks nothing yet. Answers go to `answers`.
    pub(crate) fn new(source: Source, answers: UnboundedSender<Resolution>) -> Self {
        Self { source, answers, running: HashMap::new() }
    }

    /// Asks at once, and again and again. Needs a `LocalRuntime`.
    pub(crate) fn start(&mut self, lookup: Lookup) {
        let task = follow(lookup.clone(), Rc::clone(&self.source), self.answers.clone());
        let handle = tokio::task::spawn_local(task).abort_handle();
        if let Some(before) = self.running.insert(lookup, handle) {
            before.abort();
        }
    }

    /// Asks no more.
    pub(crate) fn stop(&mut self, lookup: &Lookup) {
        if let Some(handle) = self.running.remove(lookup) {
            handle.abort();
        }
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        self.running.values().for_each(AbortHandle::abort);
    }
}

async fn follow(lookup: Lookup, source: Source, answers: UnboundedSender<Resolution>) {
    let mut failures = 0;
    loop {
        let asked = tokio::time::timeout(PATIENCE, ask(&lookup, &source)).await;
        let (result, pause) = match asked.unwrap_or(Err(Trouble::TooSlow)) {
            Ok((answers, until)) => {
                failures = 0;
                let live = until.saturating_duration_since(Instant::now());
                (Ok(answers), live.clamp(SOONEST, LATEST))
            }
            Err(trouble) => {
                failures += 1;
                (Err(trouble.to_string()), retry_after(failures))
            }
        };
        if answers.send(Resolution { lookup: lookup.clone(), result }).is_err() {
            return;
        }
        tokio::time::sleep(pause).await;
    }
}

/// 5, 10, 20, 40, 60, 60, … seconds.
fn retry_after(failures: u32) -> Duration {
    let doubled = RETRY_FIRST.saturating_mul(1 << failures.saturating_sub(1).min(8));
    doubled.min(RETRY_LAST)
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("no answer within {} s", PATIENCE.as_secs())]
    TooSlow,
    #[error("the name has no {0}")]
    None(&'static str),
    #[error("the name does not exist")]
    NoName,
    #[error("the domain says that the service is not offered")]
    NotOffered,
    #[error("{0} answers, more than {MOST_ANSWERS}: too many")]
    TooMany(usize),
    #[error("{0}")]
    Resolver(String),
}

impl From<NetError> for Trouble {
    fn from(error: NetError) -> Self {
        match &error {
            NetError::Dns(DnsError::ResponseCode(code)) => Self::Resolver(format!("{code}")),
            NetError::Dns(DnsError::NoRecordsFound(none)) => {
                Self::Resolver(none.response_code.to_string())
            }
            error => Self::Resolver(error.to_string()),
        }
    }
}

async fn ask(lookup: &Lookup, source: &Source) -> Result<(Vec<Answer>, Instant), Trouble> {
    let resolver = source()?;
    let mut all = Collected::default();
    if lookup.is_srv() {
        for service in services(&resolver, lookup, &mut all).await? {
            // A weight of 0 is "a very small chance" (RFC 2782), and here nobody at all.
            let weight = Some(service.weight.max(1));
            for ip in addresses(&resolver, &service.target, lookup, &mut all).await? {
                all.answers.insert(Answer { ip, port: Some(service.port), weight });
            }
        }
    } else {
        let name = Name::from_utf8(&lookup.name).map_err(|e| Trouble::Resolver(e.to_string()))?;
        for ip in addresses(&resolver, &name, lookup, &mut all).await? {
            all.answers.insert(Answer::address(ip));
        }
    }
    match (all.answers.len(), all.until) {
        (0, _) | (_, None) if all.no_name => Err(Trouble::NoName),
        (0, _) | (_, None) => Err(Trouble::None("address")),
        (many, _) if many > MOST_ANSWERS => Err(Trouble::TooMany(many)),
        (_, Some(until)) => Ok((all.answers.into_iter().collect(), until)),
    }
}

/// What has been found so far.
#[derive(Default)]
struct Collected {
    answers: BTreeSet<Answer>,
    /// The earliest end of a record's time to live.
    until: Option<Instant>,
    /// Somebody said that a name does not exist.
    no_name: bool,
}

impl Collected {
    fn note(&mut self, lookup: &lookup::Lookup) {
        let until = lookup.valid_until();
        self.until = Some(self.until.map_or(until, |before| before.min(until)));
    }

    /// An answer without records is an answer; everything else that went wrong is trouble.
    fn sort_out(
        &mut self,
        result: Result<lookup::Lookup, NetError>,
    ) -> Result<Option<lookup::Lookup>, Trouble> {
        match result {
            Ok(lookup) => {
                self.note(&lookup);
                Ok(Some(lookup))
            }
            Err(NetError::Dns(DnsError::NoRecordsFound(none)))
                if matches!(none.response_code, ResponseCode::NoError | ResponseCode::NXDomain) =>
            {
                self.no_name |= none.response_code == ResponseCode::NXDomain;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// The SRV records of the lowest priority number: those that RFC 2782 has a client try first.
async fn services(
    resolver: &TokioResolver,
    lookup: &Lookup,
    all: &mut Collected,
) -> Result<Vec<SRV>, Trouble> {
    let Some(found) = all.sort_out(resolver.srv_lookup(lookup.name.as_str()).await)? else {
        return Err(if all.no_name { Trouble::NoName } else { Trouble::None("SRV record") });
    };
    let mut services: Vec<SRV> = found
        .answers()
        .iter()
        .filter_map(|record| match &record.data {
            RData::SRV(service) => Some(service.clone()),
            _ => None,
        })
        .collect();
    let first = services.iter().map(|service| service.priority).min();
    services.retain(|service| Some(service.priority) == first);
    if services.iter().any(|service| service.target.is_root()) {
        return Err(Trouble::NotOffered);
    }
    services.truncate(MOST_TARGETS);
    Ok(services)
}

/// All addresses of a name in the families that are of use. Trouble in one family is trouble: its
/// servers must not vanish because a name server stumbled.
async fn addresses(
    resolver: &TokioResolver,
    name: &Name,
    lookup: &Lookup,
    all: &mut Collected,
) -> Result<Vec<IpAddr>, Trouble> {
    let mut found = Vec::new();
    if lookup.ipv4 {
        let answer = resolver.ipv4_lookup(name.clone()).await;
        found.extend(all.sort_out(answer)?);
    }
    if lookup.ipv6 {
        let answer = resolver.ipv6_lookup(name.clone()).await;
        found.extend(all.sort_out(answer)?);
    }
    let records = found.iter().flat_map(lookup::Lookup::answers);
    Ok(records.filter_map(|record| record.data.ip_addr()).filter(|ip| is_host(*ip)).collect())
}

/// Whether a server can have that address. Filters of unwanted names answer 0.0.0.0, and a check of
/// that would look at this host.
fn is_host(ip: IpAddr) -> bool {
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    !(ip.is_unspecified() || ip.is_multicast() || broadcast)
}
