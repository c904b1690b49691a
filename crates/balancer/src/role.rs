//! The role before it runs: everything that can fail while it is put together.

use std::fs::File;
use std::io;

use config::model::Global;
use netlink::ipvs::IpvsOptions;
use notify::settings::WorkerConfig;
use sys::channel::Channel;
use sys::signals::{Signal, Signals};
use tokio::runtime::LocalOptions;

use crate::balancer::Balancer;
use crate::core::{Core, Now};
use crate::kernel::{self, Kernel, Opener};
use crate::launch::Launch;
use crate::names::{self, Source};
use crate::reading::{Configuration, read};
use crate::scripts::Scripts;
use crate::store::Store;

/// Why the role cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The system refuses something essential.
    #[error("{what}: {error}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What came of it.
        error: io::Error,
    },
    /// The configuration cannot be read.
    #[error("the configuration: {0}")]
    Configuration(String),
    /// The event loop itself fails.
    #[error("event loop: {0}")]
    Loop(#[source] io::Error),
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> StartError {
    move |error| StartError::System { what, error }
}

/// How the role ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// As it was told.
    Stopped,
}

/// What the role stands on, for tests that bring their own.
#[derive(Default)]
pub struct Ground {
    /// The kernel's IPVS; `None`: the real one.
    pub ipvs: Option<Opener>,
    /// The DNS; `None`: as this system is configured.
    pub names: Option<Source>,
}

/// The role, ready to run.
pub struct Role {
    pub(crate) launch: Launch,
    pub(crate) global: Global,
    pub(crate) configuration: File,
    pub(crate) core: Core,
    pub(crate) scripts: Scripts,
    pub(crate) worker: WorkerConfig,
    pub(crate) notices: Vec<String>,
    pub(crate) kernel: Kernel,
    pub(crate) opener: Opener,
    pub(crate) source: Source,
    pub(crate) store: Store,
    /// An earlier life left its state.
    pub(crate) resumed: bool,
    pub(crate) channel: Channel,
    pub(crate) signals: Signals,
}

impl Role {
    /// Puts everything together; nothing is asked of the kernel yet.
    ///
    /// # Errors
    /// When the system does not allow the role to work at all. A kernel without IPVS is no such
    /// thing.
    pub fn new(
        launch: Launch,
        configuration: File,
        channel: Channel,
        store: File,
    ) -> Result<Self, StartError> {
        Self::on(Ground::default(), launch, configuration, channel, store)
    }

    /// Likewise, on a ground of the caller's.
    ///
    /// # Errors
    /// As [`Role::new`].
    pub fn on(
        ground: Ground,
        launch: Launch,
        configuration: File,
        channel: Channel,
        store: File,
    ) -> Result<Self, StartError> {
        let mut scripts = Scripts::default();
        let Configuration { global, plan, worker, notices } =
            read(&configuration, None, &mut scripts).map_err(StartError::Configuration)?;
        crate::tuning::drop_capabilities(&global);
        let (store, found) = Store::open(store).map_err(system("state store"))?;
        // Exporters and scripts send signals to this process too.
        let signals = Signals::block(&Signal::ALL).map_err(system("signals"))?;
        let resumed = found.is_some();
        let found = found.unwrap_or_default();
        let core = Core::new(plan, &found.services, now());
        let opener = ground.ipvs.unwrap_or_else(|| {
            let buffer = &global.buffers.lvs_command;
            let options = IpvsOptions {
                receive_buffer: buffer.size.map(|size| size as usize),
                force: buffer.size.is_none() || buffer.force,
                ..IpvsOptions::default()
            };
            let namespace = global.net_namespace_ipvs.as_ref();
            kernel::real(options, namespace.map(|name| name.text.clone()))
        });
        Ok(Self {
            core,
            scripts,
            worker,
            notices,
            kernel: Kernel::new(found.kept.held()),
            opener,
            source: ground.names.unwrap_or_else(names::system),
            store,
            resumed,
            channel,
            signals,
            global,
            configuration,
            launch,
        })
    }

    /// Runs until the end.
    ///
    /// # Errors
    /// Only if the event loop itself fails.
    pub fn run(self) -> io::Result<Ended> {
        // Not a `LocalSet` in an ordinary runtime: that rings its bell, a system call, for each
        // socket that becomes ready.
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().build_local(LocalOptions::default())?;
        let ended = runtime.block_on(async {
            let mut balancer = Balancer::new(self)?;
            balancer.run().await?;
            Ok(Ended::Stopped)
        });
        // A module loader that hangs is nobody's business any more.
        runtime.shutdown_background();
        ended
    }
}

/// What both clocks say.
pub(crate) fn now() -> Now {
    Now { mono: sys::clock::since_boot(), unix: sys::clock::unix_now() }
}
