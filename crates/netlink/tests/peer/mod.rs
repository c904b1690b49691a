//! Another network namespace, kept by a thread that carries out what it is given.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use nix::unistd::{Pid, gettid};

use crate::namespace;

type Job = Box<dyn FnOnce() + Send>;

/// A thread in a namespace of its own; it ends, and the namespace with it, when this is dropped.
pub(crate) struct Peer {
    jobs: Sender<Job>,
    tid: Pid,
}

impl Peer {
    pub(crate) fn new() -> Self {
        let (jobs, todo): (Sender<Job>, Receiver<Job>) = channel();
        let (ready, started) = channel();
        thread::spawn(move || {
            namespace::fresh();
            ready.send(gettid()).expect("the test waits");
            for job in todo {
                job();
            }
        });
        let tid = started.recv().expect("the peer has its namespace");
        Self { jobs, tid }
    }

    /// Runs something in the peer's namespace and returns its result.
    pub(crate) fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = channel();
        let job = Box::new(move || {
            let _ = done.send(job());
        });
        self.jobs.send(job).expect("the peer lives");
        result.recv().expect("the peer has carried it out")
    }

    /// Moves an interface of this namespace to the peer.
    pub(crate) fn takes(&self, interface: &str) {
        namespace::run(&format!("ip link set {interface} netns {}", self.tid));
    }
}
