//! Several clients on one file, and what must be found there when they have stopped.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use lockstore::Store;
use lockstore::bson::{Document, doc};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::client::{Client, Counts};
use crate::work::{KINDS, Kind, WANTED};

/// Client processes that all work on one file.
pub(crate) struct Crowd {
    folder: TempDir,
    pub(crate) clients: Vec<Client>,
    /// What the clients were acknowledged that have stopped.
    stopped: Vec<(usize, Counts)>,
}

impl Crowd {
    /// Starts so many, all at once, on a new file.
    pub(crate) fn start(clients: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shared.redb");
        let store = Store::open(&path).unwrap();
        let jobs = store.database("proof").collection::<Document>("jobs");
        let ids = 0..i32::try_from(WANTED).unwrap();
        jobs.insert_many(ids.map(|id| doc! { "_id": id, "done": 0 })).run().unwrap();
        store.close().unwrap();
        let clients =
            (0..clients).map(|number| Client::start(&path, folder.path(), number)).collect();
        Self { folder, clients, stopped: Vec::new() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("shared.redb")
    }

    /// The process that serves the file now. Waits for one.
    pub(crate) fn server(&self) -> u32 {
        let start = Instant::now();
        loop {
            match servers_of(&self.path())[..] {
                [server] => return server,
                _ if start.elapsed() > PATIENCE => panic!("the file has not one server"),
                _ => thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Waits until every thread of every client has had something acknowledged from now on.
    pub(crate) fn wait_for_progress(&mut self) {
        let before: Vec<_> = self.clients.iter_mut().map(Client::counts).collect();
        let start = Instant::now();
        loop {
            let now: Vec<_> = self.clients.iter_mut().map(Client::counts).collect();
            let mut pairs = now.iter().flatten().zip(before.iter().flatten());
            if pairs.all(|(now, before)| now > before) {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "somebody does not go on: {before:?}, {now:?}");
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Has all of them stop, and compares what they were acknowledged with what is there.
    pub(crate) fn stop_and_check(mut self) {
        for client in std::mem::take(&mut self.clients) {
            self.stopped.push((client.number, client.stop()));
        }
        let store = lockstore_server::connect(self.path()).unwrap();
        let proof = store.database("proof");
        let sum = |collection: &str, name: &str| {
            let sums = proof.collection::<Document>(collection);
            let found = sums.find_one(doc! { "_id": name }).run().unwrap();
            found.map_or(0, |sum| u64::try_from(sum.get_i32("n").unwrap()).unwrap())
        };
        let mut released = 0;
        for (number, counts) in &self.stopped {
            for (thread, (kind, &count)) in KINDS.into_iter().zip(counts).enumerate() {
                let name = Client::thread(*number, thread);
                let found = match kind {
                    Kind::Adds => sum("sums", &name),
                    Kind::Transacts => {
                        assert_eq!(sum("sums", &name), sum("mirror", &name), "{name}");
                        sum("sums", &name)
                    }
                    Kind::Inserts => {
                        let inserted = proof.collection::<Document>("inserted");
                        inserted.count_documents(doc! { "by": &name }).run().unwrap()
                    }
                    Kind::LocksDocuments => {
                        released += count;
                        continue;
                    }
                    Kind::Locks => continue,
                };
                assert_eq!(found, count, "{name} ({kind:?}): each change is there once");
            }
        }
        let jobs = proof.collection::<Document>("jobs").find(doc! {}).run().unwrap();
        let done = jobs.map(|job| u64::try_from(job.unwrap().get_i32("done").unwrap()).unwrap());
        assert_eq!(done.sum::<u64>(), released, "each release is there once");
        assert_eq!(store.list("", None, 10).unwrap(), [], "everything was released");
        assert_eq!(store.check().unwrap().problems, <[String; 0]>::default());
        store.close().unwrap();
    }
}

/// The server processes of the file at `path`.
pub(crate) fn servers_of(path: &Path) -> Vec<u32> {
    let path = fs::canonicalize(path).unwrap();
    let path = path.as_os_str().as_encoded_bytes();
    let is_server = |pid: &u32| {
        // One that has ended meanwhile has no command line.
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut arguments = line.split(|byte| *byte == 0);
        arguments.any(|argument| argument == b"serve") && arguments.any(|argument| argument == path)
    };
    let processes = fs::read_dir("/proc").unwrap();
    let pids = processes.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    pids.filter(is_server).collect()
}

/// Kills the servers of the file at `path`, if it is there and has any.
pub(crate) fn kill_servers_of(path: &Path) {
    let servers = if path.exists() { servers_of(path) } else { Vec::new() };
    for server in servers {
        // One that has ended by itself meanwhile is gone too.
        let _ = kill_process(Pid::from_raw(i32::try_from(server).unwrap()).unwrap(), Signal::KILL);
    }
}

/// How long anything may take on a busy machine before it counts as hung.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);
