//! A process of a contender's: it is told line by line what to do, and answers with what it has measured.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::documents::job::{Mark, Names};
use crate::measure::Latencies;
use crate::peers::{Address, SharedCaller};

/// What the process of its own is.
#[derive(Debug, Args)]
pub(crate) struct Child {
    /// Where the contender is, as JSON
    address: String,
    /// Its number among its fellows
    number: usize,
}

/// What it is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// Acquire and release locks of its own, for so many ms.
    Locks { for_ms: u64 },
    /// Update documents that no other does, of so many, for so many ms.
    Updates { documents: usize, processes: usize, for_ms: u64 },
    /// Acquire the one lock so many times, hold it for so many ms, and hand it on.
    HandOn { times: usize, hold_ms: u64 },
}

/// What it has measured.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Measured {
    /// How many calls have ended in time.
    pub(super) calls: u64,
    /// How often a call took so many ns.
    latencies: Vec<(u64, u64)>,
    /// Of hand-offs: when the lock came, and when its release began, in ns since the boot.
    pub(super) turns: Vec<(u64, u64)>,
}

impl Measured {
    pub(super) fn latencies(&self) -> Latencies {
        Latencies::of(&self.latencies)
    }
}

/// A process, as the one that has started it sees it. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: std::process::Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Process {
    /// Starts one, and waits until it is ready.
    pub(super) fn start(address: &Address, number: usize) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("shared-child").arg(serde_json::to_string(address)?).arg(number.to_string());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let orders = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().ok_or("the child has no output")?);
        let mut process = Self { child, orders, answers };
        process.answer::<String>()?;
        Ok(process)
    }

    pub(super) fn order(&mut self, order: &Order) -> Result {
        let orders = self.orders.as_mut().ok_or("it has ended")?;
        writeln!(orders, "{}", serde_json::to_string(order)?)?;
        Ok(())
    }

    pub(super) fn measured(&mut self) -> Result<Measured> {
        self.answer()
    }

    fn answer<T: for<'a> Deserialize<'a>>(&mut self) -> Result<T> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        if line.is_empty() {
            return Err(format!("a process has ended: {}", self.child.wait()?).into());
        }
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The end of its orders ends it.
        drop(self.orders.take());
        if let Err(error) = self.child.wait() {
            eprintln!("lockstore-benches: process {} was lost: {error}", self.child.id());
        }
    }
}

impl Child {
    /// The process of its own.
    pub(crate) fn run(&self) -> Result {
        let address: Address = serde_json::from_str(&self.address)?;
        let mut caller = address.call()?;
        let mut done = 0;
        println!("\"ready\"");
        for line in io::stdin().lines() {
            let measured = match serde_json::from_str(&line?)? {
                Order::Locks { for_ms } => self.locks(&mut *caller, for_ms),
                Order::Updates { documents, processes, for_ms } => {
                    self.updates(&mut *caller, (documents, processes), &mut done, for_ms)
                }
                Order::HandOn { times, hold_ms } => self.hand_on(&mut *caller, times, hold_ms),
            };
            println!("{}", serde_json::to_string(&measured)?);
        }
        Ok(())
    }

    fn locks(&self, caller: &mut dyn SharedCaller, for_ms: u64) -> Measured {
        let keys: Vec<_> =
            (0..KEYS).map(|key| format!("task/{:06}/{key:08}", self.number)).collect();
        let holder = self.holder();
        let mut keys = keys.iter().cycle();
        calls(for_ms, |time| {
            let key = keys.next().expect("it goes round");
            time(&mut || caller.acquire(key, &holder));
            time(&mut || caller.release());
        })
    }

    fn updates(
        &self,
        caller: &mut dyn SharedCaller,
        (documents, processes): (usize, usize),
        done: &mut usize,
        for_ms: u64,
    ) -> Measured {
        let names = Names::sample((self.number..documents).step_by(processes));
        let mut names = names.iter().cycle();
        calls(for_ms, |time| {
            let names = names.next().expect("it goes round");
            *done += 1;
            let mark = Mark::new(*done);
            time(&mut || caller.update(names, &mark));
        })
    }

    fn hand_on(&self, caller: &mut dyn SharedCaller, times: usize, hold_ms: u64) -> Measured {
        let holder = self.holder();
        let mut turns = Vec::with_capacity(times);
        for _ in 0..times {
            caller.acquire(BALL, &holder);
            let acquired = since_boot();
            // By the end of this the other one waits.
            std::thread::sleep(Duration::from_millis(hold_ms));
            let released = since_boot();
            caller.release();
            turns.push((acquired, released));
        }
        Measured { turns, ..Measured::default() }
    }

    fn holder(&self) -> String {
        format!("5f0c4f0e-6f3b-4b1e-9d0c-{:012x}", self.number)
    }
}

/// Has calls made until the time is over.
fn calls(for_ms: u64, mut round: impl FnMut(&mut dyn FnMut(&mut dyn FnMut()))) -> Measured {
    let end = Instant::now() + Duration::from_millis(for_ms);
    let (mut calls, mut latencies) = (0, Latencies::new());
    while Instant::now() < end {
        round(&mut |call| {
            let start = Instant::now();
            call();
            let took = start.elapsed();
            if start < end {
                latencies.record(took);
                calls += u64::from(start + took <= end);
            }
        });
    }
    Measured { calls, latencies: latencies.recorded(), turns: Vec::new() }
}

/// A clock that all processes share, in ns.
fn since_boot() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// How many locks a process has for itself.
const KEYS: usize = 64;

/// What is handed on.
const BALL: &str = "the ball";
