//! A client process: it works with all its threads, tells how far it is when asked, and stops when told.

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crate::work::{KINDS, Worker};

/// How many changes of each thread were acknowledged.
pub(crate) type Counts = [u64; KINDS.len()];

/// A client, as the test sees it.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) number: usize,
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Client {
    /// Starts one on the store at `path`; `folder` is where all clients keep their marks.
    pub(crate) fn start(path: &Path, folder: &Path, number: usize) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["client::a_client_process", "--exact", "--nocapture", "--include-ignored"]);
        command.env(STORE, path).env(FOLDER, folder).env(NUMBER, number.to_string());
        command.env("LOCKSTORE_PROGRAM", env!("CARGO_BIN_EXE_lockstore"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let orders = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { number, child, orders, answers }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How far it is.
    pub(crate) fn counts(&mut self) -> Counts {
        self.ask("counts")
    }

    /// Has it stop, and gives what was acknowledged in all.
    pub(crate) fn stop(mut self) -> Counts {
        let counts = self.ask("stop");
        assert!(self.child.wait().unwrap().success(), "client {} has failed", self.number);
        counts
    }

    /// The name of one of its threads.
    pub(crate) fn thread(number: usize, thread: usize) -> String {
        format!("{number}/{thread}")
    }

    fn ask(&mut self, order: &str) -> Counts {
        writeln!(self.orders, "{order}").unwrap_or_else(|_| self.has_failed());
        loop {
            let mut line = String::new();
            if self.answers.read_line(&mut line).unwrap() == 0 {
                self.has_failed();
            }
            // What the test runner prints stands between.
            if let Some((_, counts)) = line.split_once(ANSWER) {
                let counts: Vec<_> =
                    counts.split_whitespace().map(|count| count.parse().unwrap()).collect();
                return counts.try_into().unwrap();
            }
        }
    }

    fn has_failed(&mut self) -> ! {
        panic!("client {} has ended: {}", self.number, self.child.wait().unwrap());
    }
}

#[test]
#[ignore = "it is a process of the other tests"]
fn a_client_process() {
    let Some(path) = env::var_os(STORE) else { return };
    let (path, folder) = (PathBuf::from(path), PathBuf::from(env::var_os(FOLDER).unwrap()));
    let number = env::var(NUMBER).unwrap().parse().unwrap();
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // One thread that fails ends the process: its parent must not take it for one that works.
        told(panic);
        std::process::exit(101);
    }));
    let store = lockstore_server::connect(&path).expect("somebody serves the file");
    let (counts, stop) = ([const { AtomicU64::new(0) }; KINDS.len()], AtomicBool::new(false));
    let tell = || {
        let counts: Vec<_> =
            counts.iter().map(|count| count.load(Ordering::Relaxed).to_string()).collect();
        println!("\n{ANSWER}{}", counts.join(" "));
    };
    thread::scope(|scope| {
        for (thread, (kind, acknowledged)) in KINDS.into_iter().zip(&counts).enumerate() {
            let (store, folder, stop) = (&store, &*folder, &stop);
            let name = Client::thread(number, thread);
            let worker = Worker { store, folder, name, kind, acknowledged, stop };
            scope.spawn(move || worker.work());
        }
        for line in io::stdin().lines() {
            match &*line.expect("the test has its end open") {
                "stop" => break,
                _ => tell(),
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    tell();
    store.close().expect("the server is there");
}

const STORE: &str = "LOCKSTORE_TEST_STORE";
const FOLDER: &str = "LOCKSTORE_TEST_FOLDER";
const NUMBER: &str = "LOCKSTORE_TEST_NUMBER";
const ANSWER: &str = "counts: ";
