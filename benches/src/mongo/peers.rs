//! Locks for several machines that people use from Python today, each in a process that measures itself.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use lockstore_testkit::replica_set::new_database;
use serde::Deserialize;

use super::members;
use crate::Result;
use crate::measure::{Latencies, float};
use crate::pace::Pace;

/// One of them.
#[derive(Debug)]
pub(super) struct Peer {
    kind: &'static Kind,
    process: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

#[derive(Debug)]
pub(super) struct Kind {
    name: &'static str,
    key: &'static str,
}

/// Those that can be measured here.
#[derive(Debug)]
pub(super) struct Peers {
    running: Vec<Peer>,
    has_python: bool,
}

/// What a process has measured, in ns.
#[derive(Debug, Deserialize)]
struct Measured {
    took: Vec<u64>,
}

impl Peers {
    /// Starts those for which there is a Python, and a redis-server.
    pub(super) fn start() -> Result<Self> {
        let Some(python) = std::env::var_os("PEERS_PYTHON") else {
            return Ok(Self { running: Vec::new(), has_python: false });
        };
        let (uri, database) = (members().uri(), new_database());
        let mut running = Vec::new();
        for kind in &Peer::ALL {
            let mut command = Command::new(&python);
            command.args(["-c", PROGRAM, kind.key, &uri, &database]);
            let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
            let orders = process.stdin.take();
            let answers = BufReader::new(process.stdout.take().ok_or("it has no output")?);
            let mut peer = Peer { kind, process, orders, answers };
            if peer.line()?.trim() == "ready" {
                running.push(peer);
            }
        }
        Ok(Self { running, has_python: true })
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Peer> {
        self.running.iter_mut()
    }

    /// What is to be known of them.
    pub(super) fn notes(&self) -> Vec<String> {
        if !self.has_python {
            return vec!["PEERS_PYTHON names no Python: nobody who polls is measured".to_owned()];
        }
        let mut notes = vec![
            "MongoLock is jobflow-remote's own, by pymongo with majority writes, and looks every 100 ms (its users say how often, in whole \
             seconds as a rule)"
                .to_owned(),
        ];
        notes.push(if self.running.len() == Peer::ALL.len() {
            "RedisLockManager is Prefect's, on a redis that writes nothing to a disk; it looks every 100 ms".to_owned()
        } else {
            "RedisLockManager is not measured, as there is no redis-server".to_owned()
        });
        notes
    }
}

impl Peer {
    pub(super) const ALL: [Kind; 2] = [
        Kind { name: "MongoLock of jobflow-remote", key: "jobflow" },
        Kind { name: "RedisLockManager of Prefect", key: "redis" },
    ];

    /// What it is called in tables.
    pub(super) fn name(&self) -> &'static str {
        self.kind.name
    }

    /// What it is called in figures.
    pub(super) fn key(&self) -> &'static str {
        self.kind.key
    }

    /// A round of acquisitions with their releases, from one thread.
    pub(super) fn pairs(&mut self, length: Duration, pace: &mut Pace) -> Result {
        let took = self.measure(&format!("pairs {}", length.as_millis()))?;
        pace.calls_per_s.push(float(took.len()) / length.as_secs_f64());
        let took = latencies(took);
        pace.p50_ns.push(took.quantile(0.5));
        pace.p99_ns.push(took.quantile(0.99));
        Ok(())
    }

    /// So many hand-offs between two clients in that process.
    pub(super) fn handoffs(&mut self, times: usize) -> Result<Latencies> {
        Ok(latencies(self.measure(&format!("handoffs {times}"))?))
    }

    fn measure(&mut self, order: &str) -> Result<Vec<u64>> {
        writeln!(self.orders.as_mut().ok_or("it has ended")?, "{order}")?;
        let measured: Measured = serde_json::from_str(&self.line()?)?;
        Ok(measured.took)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        if line.is_empty() {
            return Err(format!("{} has ended: {}", self.kind.name, self.process.wait()?).into());
        }
        Ok(line)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // The end of its orders ends it.
        drop(self.orders.take());
        if let Err(error) = self.process.wait() {
            eprintln!("lockstore-benches: {} was lost: {error}", self.kind.name);
        }
    }
}

fn latencies(took: Vec<u64>) -> Latencies {
    let mut latencies = Latencies::new();
    for nanos in took {
        latencies.record(Duration::from_nanos(nanos));
    }
    latencies
}

const PROGRAM: &str = include_str!("peers.py");
