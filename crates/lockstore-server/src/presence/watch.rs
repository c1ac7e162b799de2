//! The ends of processes, told by the kernel: one thread waits for the descriptors of them all.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use lockstore::presence::{Instance, Presence};
use rustix::buffer::spare_capacity;
use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use rustix::io::Errno;

use super::Clients;

/// The thread that waits. It ends when this is stopped or dropped.
#[derive(Debug)]
pub(super) struct Watch {
    clients: Arc<Clients>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// The processes that are waited for.
#[derive(Debug)]
pub(super) struct Watched {
    epoll: OwnedFd,
    /// Wakes the thread for its end.
    wake: OwnedFd,
    processes: Mutex<Processes>,
    stopping: AtomicBool,
}

/// Their descriptors, each by a number that the kernel tells.
#[derive(Debug, Default)]
struct Processes {
    numbers: HashMap<Instance, u64>,
    watched: HashMap<u64, (Instance, OwnedFd)>,
    last_number: u64,
}

impl Watched {
    pub(super) fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC)?;
        epoll::add(&epoll, &wake, epoll::EventData::new_u64(WAKE), epoll::EventFlags::IN)?;
        let processes = Mutex::default();
        Ok(Self { epoll, wake, processes, stopping: AtomicBool::new(false) })
    }

    /// Waits for the end of a client's process. Answers whether it does: it cannot where the process cannot be seen from here,
    /// or is dead.
    pub(super) fn add(&self, client: Presence) -> io::Result<bool> {
        let mut processes = self.processes();
        if processes.numbers.contains_key(&client.instance) {
            return Ok(true);
        }
        let watched = client.process.watch(client.process.boot_id);
        let Some(descriptor) = watched else { return Ok(false) };
        processes.last_number += 1;
        let number = processes.last_number;
        let data = epoll::EventData::new_u64(number);
        epoll::add(&self.epoll, &descriptor, data, epoll::EventFlags::IN)?;
        processes.numbers.insert(client.instance, number);
        processes.watched.insert(number, (client.instance, descriptor));
        Ok(true)
    }

    /// Waits for it no longer.
    pub(super) fn remove(&self, instance: Instance) {
        let mut processes = self.processes();
        if let Some(number) = processes.numbers.remove(&instance) {
            // The kernel forgets a descriptor that is closed.
            processes.watched.remove(&number);
        }
    }

    /// The clients whose processes are waited for.
    pub(super) fn instances(&self) -> Vec<Instance> {
        self.processes().numbers.keys().copied().collect()
    }

    /// The client whose process the kernel tells of, which is watched no longer.
    fn ended(&self, number: u64) -> Option<Instance> {
        let mut processes = self.processes();
        let (instance, _) = processes.watched.remove(&number)?;
        processes.numbers.remove(&instance);
        Some(instance)
    }

    fn processes(&self) -> MutexGuard<'_, Processes> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    pub(super) fn start(clients: &Arc<Clients>) -> io::Result<Self> {
        let thread = thread::Builder::new().name("lockstore-watch".into());
        let thread = thread.spawn({
            let clients = Arc::clone(clients);
            move || watch(&clients)
        })?;
        Ok(Self { clients: Arc::clone(clients), thread: Mutex::new(Some(thread)) })
    }

    pub(super) fn stop(&self) {
        let watched = &self.clients.watched;
        watched.stopping.store(true, Ordering::Release);
        if let Err(error) = rustix::io::write(&watched.wake, &1_u64.to_ne_bytes()) {
            tracing::warn!(%error, "the watch of processes was not woken");
        }
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the watch of processes panicked");
        }
    }
}

fn watch(clients: &Clients) {
    let watched = &clients.watched;
    let mut events = Vec::with_capacity(EVENTS_MAX);
    while !watched.stopping.load(Ordering::Acquire) {
        match epoll::wait(&watched.epoll, spare_capacity(&mut events), Some(&TIDY_EVERY)) {
            Ok(0) => clients.tidy(),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => {
                tracing::error!(%error, "the ends of processes are not told any more");
                return;
            }
        }
        for event in events.drain(..) {
            let data = event.data;
            if let Some(instance) = watched.ended(data.u64()) {
                clients.died(instance);
            }
        }
    }
}

/// Stands for no process.
const WAKE: u64 = 0;

/// How many ends are taken from the kernel at once.
const EVENTS_MAX: usize = 64;

/// How often it is looked, when nothing happens, whether a process need not be watched any more.
const TIDY_EVERY: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };
