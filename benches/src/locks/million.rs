//! A store with very many locks: what a lock takes of memory, and how long the store takes to reopen.
//!
//! A process of its own builds the store, and is killed; others open it again. So memory is what the system
//! gave a process that did nothing else, and the kill is a kill.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use clap::Args;
use lockstore::StoreOptions;
use serde::{Deserialize, Serialize};

use super::{Scale, live};
use crate::measure::{Series, float};
use crate::place::Place;
use crate::report::{Section, count, mebibytes, time};
use crate::{Result, bulk};

/// What the process of its own is to do.
#[derive(Debug, Args)]
pub(crate) struct Child {
    /// The store's file
    file: PathBuf,
    /// Build a store with so many locks, and wait for the end; without this, open it
    #[arg(long, value_name = "LOCKS")]
    build: Option<usize>,
}

/// Where the journal of the store at `path` is.
fn journal_of(path: &Path) -> PathBuf {
    let mut journal = path.as_os_str().to_owned();
    journal.push("-journal");
    journal.into()
}

/// What the process of its own has measured.
#[derive(Debug, Serialize, Deserialize)]
struct Found {
    locks: usize,
    /// How much memory the locks take: what the process has got since it began, but for redb's cache.
    bytes: u64,
    took_ns: f64,
    /// Which part of that lockstore took to make a table of the rows, when it opened them.
    recovery_ns: f64,
}

pub(super) fn run(place: &Place, scale: &Scale) -> Result<Section> {
    let (file, killed) = (place.file("million.lockstore"), place.file("million.killed"));
    let built = Child { file: killed.clone(), build: Some(scale.many) }.spawn()?;
    let file_bytes = fs::metadata(&killed)?.len();
    let mut reopened = Figures::default();
    for _ in 0..scale.rounds {
        for (killed, file) in [(&killed, &file), (&journal_of(&killed), &journal_of(&file))] {
            // The journal is there if its builder has left one.
            if killed.exists() {
                fs::copy(killed, file)?;
                fs::File::open(file)?.sync_all()?;
            }
        }
        let child = Child { file: file.clone(), build: None };
        let after_kill = child.spawn()?;
        let after_close = child.spawn()?;
        for found in [&after_kill, &after_close] {
            assert_eq!(found.locks, scale.many, "no lock is lost");
        }
        reopened.push(&after_kill, &after_close);
    }

    let mut section = Section::new(
        format!("million: a store with {} locks", count(scale.many)),
        &["what", "time", "of that ours", "memory of a lock"],
    );
    let built_bytes = float(built.bytes) / float(built.locks as u64);
    section.row([
        "acquired".into(),
        time(built.took_ns),
        String::new(),
        format!("{built_bytes:.0} bytes"),
    ]);
    let reopened_bytes = reopened.lock_bytes.median();
    for (what, took, ours) in [
        ("reopened after a kill", &reopened.killed_ns, &reopened.killed_recovery_ns),
        ("reopened", &reopened.clean_ns, &reopened.clean_recovery_ns),
    ] {
        section.row([
            what.into(),
            time(took.median()),
            time(ours.median()),
            format!("{reopened_bytes:.0} bytes"),
        ]);
    }
    section.note(format!(
        "the file has {}, and is cached by the system",
        mebibytes(float(file_bytes))
    ));
    section.figure("million.lock_bytes", built_bytes);
    section.figure("million.reopened_lock_bytes", reopened_bytes);
    section.figure("million.killed_ns", reopened.killed_ns.median());
    section.figure("million.clean_ns", reopened.clean_ns.median());
    section.figure("million.file_bytes", float(file_bytes));
    Ok(section)
}

#[derive(Debug, Default)]
struct Figures {
    killed_ns: Series,
    killed_recovery_ns: Series,
    clean_ns: Series,
    clean_recovery_ns: Series,
    lock_bytes: Series,
}

impl Figures {
    fn push(&mut self, after_kill: &Found, after_close: &Found) {
        self.killed_ns.push(after_kill.took_ns);
        self.killed_recovery_ns.push(after_kill.recovery_ns);
        self.clean_ns.push(after_close.took_ns);
        self.clean_recovery_ns.push(after_close.recovery_ns);
        self.lock_bytes.push(float(after_close.bytes) / float(after_close.locks as u64));
    }
}

impl Child {
    /// Starts a process that does this, reads what it has found, and kills it if it does not end.
    fn spawn(&self) -> Result<Found> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("million").arg(&self.file);
        command.args(self.build.map(|locks| format!("--build={locks}")));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        let output = child.stdout.take().ok_or("the child has no output")?;
        BufReader::new(output).read_line(&mut line)?;
        if self.build.is_some() {
            child.kill()?;
        }
        child.wait()?;
        Ok(serde_json::from_str(&line)?)
    }

    /// The process of its own.
    pub(crate) fn run(&self) -> Result {
        let (before, start) = (anonymous_bytes()?, Instant::now());
        let store = match self.build {
            // All of what redb caches would be counted, so it gets little to do so.
            Some(_) => StoreOptions::new().cache_bytes(BUILDER_CACHE_BYTES),
            None => StoreOptions::new().create(false).cache_bytes(live::CACHE_BYTES),
        }
        .open(&self.file)?;
        bulk::fill(&store, self.build.unwrap_or(0));
        let took_ns = start.elapsed().as_secs_f64() * 1e9;
        let stats = store.stats()?;
        let cached = u64::try_from(stats.cached_bytes)?;
        let found = Found {
            locks: stats.locks,
            bytes: anonymous_bytes()?.saturating_sub(before + cached),
            took_ns,
            recovery_ns: store.recovery()?.took.as_secs_f64() * 1e9,
        };
        println!("{}", serde_json::to_string(&found)?);
        if self.build.is_some() {
            // The kill comes before the end of this, which only comes if the parent ends first.
            std::io::stdin().read_line(&mut String::new())?;
        }
        Ok(store.close()?)
    }
}

/// How much memory this process has written to, files apart.
fn anonymous_bytes() -> Result<u64> {
    let text = fs::read_to_string(Path::new("/proc/self/smaps_rollup"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Anonymous:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kib.ok_or("smaps_rollup has no line `Anonymous`")?.parse::<u64>()? * 1024)
}

const BUILDER_CACHE_BYTES: usize = 4 << 20;
