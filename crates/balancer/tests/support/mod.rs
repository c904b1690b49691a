//! A balancer role in a thread of this process, on a kernel in memory that the test sees too.
#![allow(dead_code, reason = "each test program uses its part")]

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use netlink::KernelError;
use netlink::ipvs::{
    DestinationState, FakeIpvs, IpvsKernel, Request, ServiceKey, ServiceState, SyncDaemon, Timeouts,
};
use standfast_balancer::{
    BoxedIpvs, Ended, Ground, Launch, Opener, Options, Role, Source, Unavailable,
};
use status::Balancing;
use status::api::{Reply, Request as Ask, ServerOrder};
use status::control::{FromRole, ToRole};
use sys::channel::{Channel, Incoming};

/// A test that takes longer has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A kernel that role and test share.
#[derive(Clone, Default)]
pub(crate) struct Shared(Arc<Mutex<FakeIpvs>>);

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, FakeIpvs> {
        self.0.lock().unwrap()
    }
}

impl IpvsKernel for Shared {
    fn apply(&mut self, requests: &[Request]) -> Vec<Result<(), KernelError>> {
        self.lock().apply(requests)
    }
    fn services(&mut self) -> Result<Vec<ServiceState>, KernelError> {
        self.lock().services()
    }
    fn destinations(&mut self, key: &ServiceKey) -> Result<Vec<DestinationState>, KernelError> {
        self.lock().destinations(key)
    }
    fn timeouts(&mut self) -> Result<Timeouts, KernelError> {
        self.lock().timeouts()
    }
    fn daemons(&mut self) -> Result<Vec<SyncDaemon>, KernelError> {
        self.lock().daemons()
    }
}

/// What a role in a test begins with.
pub(crate) struct Scene {
    pub(crate) text: String,
    pub(crate) kernel: Shared,
    /// Whether the kernel has IPVS.
    pub(crate) ipvs: Arc<AtomicBool>,
    pub(crate) keep_services: bool,
    pub(crate) restarts: u32,
    pub(crate) directory: Arc<tempfile::TempDir>,
    pub(crate) names: Option<Box<dyn FnOnce() -> Source + Send>>,
}

impl Scene {
    pub(crate) fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            kernel: Shared::default(),
            ipvs: Arc::new(AtomicBool::new(true)),
            keep_services: false,
            restarts: 0,
            directory: Arc::new(tempfile::tempdir().unwrap()),
            names: None,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Starts the role and waits until it works.
    pub(crate) fn start(self) -> Stage {
        let (ours, theirs) = Channel::pair().unwrap();
        let store = self.path("store");
        let mut file = OpenOptions::new();
        let store = file.read(true).write(true).create(true).truncate(false).open(store).unwrap();
        let socket = self.path("balancer.sock");
        let launch = Launch {
            generation: 1,
            restarts: self.restarts,
            release: false,
            options: Options {
                dump_dir: self.directory.path().to_owned(),
                socket: Some(socket.clone()),
                keep_services: self.keep_services,
                ..Options::default()
            },
            config_file: "keepalived.conf".into(),
        };
        let configuration = passed(&self.text);
        let (kernel, there) = (self.kernel.clone(), Arc::clone(&self.ipvs));
        let opener: Opener = Arc::new(move |_| match there.load(Ordering::SeqCst) {
            true => Ok(Box::new(kernel.clone()) as BoxedIpvs),
            false => Err(Unavailable {
                problem: "the kernel has no IPVS".to_owned(),
                remedy: "modprobe ip_vs".to_owned(),
            }),
        });
        let names = self.names;
        let thread = std::thread::spawn(move || {
            let ground = Ground { ipvs: Some(opener), names: names.map(|names| names()) };
            Role::on(ground, launch, configuration, theirs, store).unwrap().run().unwrap()
        });
        let stage = Stage {
            kernel: self.kernel,
            ipvs: self.ipvs,
            directory: self.directory,
            socket,
            channel: Some(ours),
            thread: Some(thread),
        };
        stage.await_word(&FromRole::Ready);
        stage
    }
}

/// A running role.
pub(crate) struct Stage {
    pub(crate) kernel: Shared,
    pub(crate) ipvs: Arc<AtomicBool>,
    pub(crate) directory: Arc<tempfile::TempDir>,
    pub(crate) socket: PathBuf,
    channel: Option<Channel>,
    thread: Option<JoinHandle<Ended>>,
}

/// A configuration as the supervisor passes it on.
pub(crate) fn passed(text: &str) -> File {
    let loaded = config::load_text(text, &config::Options::default());
    let model = config::lower::lower(&loaded.tree, &config::lower::BuiltinNames).model;
    let share = config::passing::Share::Balancer;
    sys::memfd::sealed_by("test", |to| config::passing::encode(&model, share, to)).unwrap()
}

/// Waits until something is so.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

impl Stage {
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn order(&self, order: &ToRole, file: Option<&File>) {
        use std::os::fd::AsFd as _;
        let bytes = serde_json::to_vec(order).unwrap();
        let files: Vec<_> = file.iter().map(|file| file.as_fd()).collect();
        self.channel.as_ref().unwrap().send(&bytes, &files).unwrap();
    }

    pub(crate) fn await_word(&self, wanted: &FromRole) {
        let channel = self.channel.as_ref().unwrap();
        eventually(&format!("{wanted:?}"), || match channel.receive().unwrap() {
            Incoming::Message { bytes, .. } => {
                (serde_json::from_slice::<FromRole>(&bytes).unwrap() == *wanted).then_some(())
            }
            Incoming::Empty => None,
            Incoming::Closed => panic!("the role is gone"),
        });
    }

    pub(crate) fn reload(&self, text: &str, generation: u64) {
        self.order(&ToRole::Reload { generation }, Some(&passed(text)));
        self.await_word(&FromRole::Reloaded { generation });
    }

    pub(crate) fn ask(&self, request: &Ask) -> Reply {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut line = serde_json::to_string(request).unwrap();
        line.push('\n');
        stream.write_all(line.as_bytes()).unwrap();
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    pub(crate) fn status(&self) -> Balancing {
        match self.ask(&Ask::Status) {
            Reply::Balancing(status) => *status,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn server(
        &self,
        order: ServerOrder,
        virtual_server: &str,
        real_server: &str,
    ) -> Reply {
        let (virtual_server, real_server) = (virtual_server.to_owned(), real_server.to_owned());
        self.ask(&Ask::Server { virtual_server, real_server, order })
    }

    /// Destinations of a service in the kernel with their weights; `None`: no such service.
    pub(crate) fn table(&self, service: &str) -> Option<Vec<(String, u32)>> {
        let kernel = self.kernel.lock();
        let entry = kernel.contents().get(&service.parse().unwrap())?;
        Some(entry.destinations().map(|(at, to)| (at.to_string(), to.weight)).collect())
    }

    /// Waits until the destinations of a service are these.
    pub(crate) fn await_table(&self, service: &str, wanted: &[(SocketAddr, u32)]) {
        let mut wanted: Vec<_> = wanted.iter().map(|(at, weight)| (*at, *weight)).collect();
        wanted.sort_unstable();
        let wanted: Vec<_> = wanted.iter().map(|(at, weight)| (at.to_string(), *weight)).collect();
        let begun = Instant::now();
        while self.table(service).as_ref() != Some(&wanted) {
            assert!(
                begun.elapsed() < PATIENCE,
                "{service}: wanted {wanted:?}, there is {:?}\n{:#?}",
                self.table(service),
                self.status().virtual_servers
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// What somebody else does to the table.
    pub(crate) fn somebody(&self, request: Request) {
        assert_eq!(self.kernel.lock().apply(&[request]), [Ok(())]);
    }

    /// Stops the role; the kernel is left as it leaves it.
    pub(crate) fn stop(mut self) -> Shared {
        self.order(&ToRole::Stop, None);
        self.thread.take().unwrap().join().unwrap();
        self.kernel.clone()
    }

    /// The supervisor goes away without a word.
    pub(crate) fn orphan(mut self) -> Shared {
        self.channel = None;
        self.thread.take().unwrap().join().unwrap();
        self.kernel.clone()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // The channel's end ends the role, also when a test fails.
        self.channel = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
