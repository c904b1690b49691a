//! From the process that reads the configuration to those that act on it: the checked model as
//! bytes.
//!
//! ```text
//!  supervisor                                      role
//!  text ─► model ─► encode(model, Share) ─► memfd ─► Passed: the model without virtual servers,
//!                                                    and each of these, still encoded
//! ```
//!
//! Each role gets its [`Share`] only. The places of words stay behind with the text. Both ends are
//! the same program, so the format needs no version: the number of virtual servers, then the head
//! and each of them in postcard (no names, small numbers in one byte) after its length.

use std::borrow::Cow;
use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

use crate::model::balancer::{Ssl, VirtualServer, VirtualServerGroup};
use crate::model::{
    Address, BfdInstance, GarpGroup, Global, Instance, InterfaceDelay, Linkbeat, Model, Route,
    Rule, SyncGroup, TrackFile, TrackGroup, TrackProcess, TrackScript,
};

/// What of a model is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// All of it.
    Whole,
    /// All but the virtual servers, their groups and `SSL`.
    Failover,
    /// `global_defs`, the virtual servers and what their checks refer to.
    Balancer,
}

/// Bytes that are no model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassingError(postcard::Error);

impl fmt::Display for PassingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "what was passed on is no configuration: {}", self.0)
    }
}

impl std::error::Error for PassingError {}

/// Writes a share of the model.
///
/// # Errors
/// When writing fails, or a path of the model is no text.
pub fn encode(model: &Model, share: Share, mut to: impl io::Write) -> io::Result<()> {
    let servers = if share == Share::Failover { &[][..] } else { &model.virtual_servers };
    let mut frame = Vec::new();
    to.write_all(&length(servers.len())?)?;
    write_frame(&mut to, &mut frame, &Head::of(model, share))?;
    for server in servers {
        write_frame(&mut to, &mut frame, server)?;
    }
    Ok(())
}

/// The length goes first. `frame` is memory to be used again.
fn write_frame(
    to: &mut impl io::Write,
    frame: &mut Vec<u8>,
    value: &impl Serialize,
) -> io::Result<()> {
    frame.clear();
    frame.extend([0; LENGTH]);
    *frame = postcard::to_extend(value, std::mem::take(frame)).map_err(io::Error::other)?;
    let length = length(frame.len() - LENGTH)?;
    frame[..LENGTH].copy_from_slice(&length);
    to.write_all(frame)
}

/// Bytes that say how long a frame is, or how many there are.
const LENGTH: usize = size_of::<u32>();

fn length(length: usize) -> io::Result<[u8; LENGTH]> {
    Ok(u32::try_from(length).map_err(io::Error::other)?.to_le_bytes())
}

/// The model that was encoded; what was not in the share is empty.
///
/// # Errors
/// When the bytes are not the whole of an encoded model.
pub fn decode(bytes: &[u8]) -> Result<Model, PassingError> {
    let passed = Passed::open(bytes)?;
    let mut model = passed.model()?;
    model.virtual_servers.reserve(passed.virtual_servers.len());
    for server in &passed.virtual_servers {
        model.virtual_servers.push(server.decode()?);
    }
    Ok(model)
}

/// An encoded model. Its virtual servers are decoded one by one, so that many thousands need never
/// be in memory together; and since those of two models are equal if their bytes are, a reload need
/// not decode what did not change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed<'a> {
    /// Everything but the virtual servers.
    pub head: EncodedHead<'a>,
    /// The virtual servers, in the order of the file.
    pub virtual_servers: Vec<EncodedServer<'a>>,
}

/// Everything but the virtual servers, encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EncodedHead<'a>(&'a [u8]);

/// A virtual server, encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EncodedServer<'a>(&'a [u8]);

impl<'a> Passed<'a> {
    /// Finds the parts.
    ///
    /// # Errors
    /// When the bytes are no encoded model.
    pub fn open(bytes: &'a [u8]) -> Result<Self, PassingError> {
        let (count, rest) = bytes.split_first_chunk().ok_or(CUT)?;
        let count = u32::from_le_bytes(*count) as usize;
        let (head, mut rest) = frame(rest).ok_or(CUT)?;
        // A false count must not ask for much memory.
        let mut virtual_servers = Vec::with_capacity(count.min(rest.len() / LENGTH));
        for _ in 0..count {
            let (server, after) = frame(rest).ok_or(CUT)?;
            virtual_servers.push(EncodedServer(server));
            rest = after;
        }
        if !rest.is_empty() {
            return Err(PassingError(postcard::Error::DeserializeBadEncoding));
        }
        Ok(Self { head: EncodedHead(head), virtual_servers })
    }

    /// The model without its virtual servers.
    ///
    /// # Errors
    /// When the bytes are no encoded model.
    pub fn model(&self) -> Result<Model, PassingError> {
        whole::<Head<'_>>(self.head.0).map(Head::into_model)
    }
}

impl EncodedServer<'_> {
    /// The virtual server.
    ///
    /// # Errors
    /// When the bytes are no virtual server.
    pub fn decode(&self) -> Result<VirtualServer, PassingError> {
        whole(self.0)
    }
}

/// Something is cut short.
const CUT: PassingError = PassingError(postcard::Error::DeserializeUnexpectedEnd);

/// The first frame, and what follows it.
fn frame(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH>()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}

/// A value that takes all of the bytes.
fn whole<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, PassingError> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok(_) => Err(PassingError(postcard::Error::DeserializeBadEncoding)),
        Err(error) => Err(PassingError(error)),
    }
}

/// Everything but the virtual servers.
#[derive(Serialize, Deserialize)]
struct Head<'a> {
    global: Cow<'a, Global>,
    linkbeat: Cow<'a, [Linkbeat]>,
    interface_delays: Cow<'a, [InterfaceDelay]>,
    garp_groups: Cow<'a, [GarpGroup]>,
    static_addresses: Cow<'a, [Address]>,
    static_routes: Cow<'a, [Route]>,
    static_rules: Cow<'a, [Rule]>,
    track_groups: Cow<'a, [TrackGroup]>,
    scripts: Cow<'a, [TrackScript]>,
    track_files: Cow<'a, [TrackFile]>,
    track_processes: Cow<'a, [TrackProcess]>,
    bfd_instances: Cow<'a, [BfdInstance]>,
    vrrp: Cow<'a, [Instance]>,
    sync_groups: Cow<'a, [SyncGroup]>,
    ssl: Cow<'a, Option<Ssl>>,
    virtual_server_groups: Cow<'a, [VirtualServerGroup]>,
}

impl<'a> Head<'a> {
    fn of(model: &'a Model, share: Share) -> Self {
        // All fields by name: one that is added cannot be forgotten.
        let Model {
            global,
            linkbeat,
            interface_delays,
            garp_groups,
            static_addresses,
            static_routes,
            static_rules,
            track_groups,
            scripts,
            track_files,
            track_processes,
            bfd_instances,
            vrrp,
            sync_groups,
            ssl,
            virtual_server_groups,
            virtual_servers: _,
        } = model;
        fn part<T: Clone>(list: &[T], wanted: bool) -> Cow<'_, [T]> {
            Cow::Borrowed(if wanted { list } else { &[] })
        }
        let failover = share != Share::Balancer;
        let balancer = share != Share::Failover;
        Self {
            global: Cow::Borrowed(global),
            linkbeat: part(linkbeat, failover),
            interface_delays: part(interface_delays, failover),
            garp_groups: part(garp_groups, failover),
            static_addresses: part(static_addresses, failover),
            static_routes: part(static_routes, failover),
            static_rules: part(static_rules, failover),
            track_groups: part(track_groups, failover),
            scripts: part(scripts, failover),
            track_files: part(track_files, true),
            track_processes: part(track_processes, failover),
            bfd_instances: part(bfd_instances, true),
            vrrp: part(vrrp, failover),
            sync_groups: part(sync_groups, failover),
            ssl: if balancer { Cow::Borrowed(ssl) } else { Cow::Owned(None) },
            virtual_server_groups: part(virtual_server_groups, balancer),
        }
    }

    fn into_model(self) -> Model {
        Model {
            global: self.global.into_owned(),
            linkbeat: self.linkbeat.into_owned(),
            interface_delays: self.interface_delays.into_owned(),
            garp_groups: self.garp_groups.into_owned(),
            static_addresses: self.static_addresses.into_owned(),
            static_routes: self.static_routes.into_owned(),
            static_rules: self.static_rules.into_owned(),
            track_groups: self.track_groups.into_owned(),
            scripts: self.scripts.into_owned(),
            track_files: self.track_files.into_owned(),
            track_processes: self.track_processes.into_owned(),
            bfd_instances: self.bfd_instances.into_owned(),
            vrrp: self.vrrp.into_owned(),
            sync_groups: self.sync_groups.into_owned(),
            ssl: self.ssl.into_owned(),
            virtual_server_groups: self.virtual_server_groups.into_owned(),
            virtual_servers: Vec::new(),
        }
    }
}
