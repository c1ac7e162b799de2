//! A server that is killed: how long until its locks are served again.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use lockstore::Store;

use super::Scale;
use super::servers;
use crate::measure::Series;
use crate::place::Place;
use crate::report::{Section, count, time};
use crate::{Result, bulk};

pub(super) fn run(place: &Place, scale: &Scale) -> Result<Section> {
    let file = place.file("restart.lockstore");
    let store = Store::open(&file)?;
    bulk::fill(&store, scale.locks);
    store.close()?;

    let store = servers::connect(&file)?;
    let last = bulk::key(scale.locks - 1);
    let (mut read, mut granted) = (Series::default(), Series::default());
    for round in 0..scale.rounds {
        assert!(store.is_locked(&last)?, "no lock is lost");
        let killed = kill_server(&file)?;
        assert!(store.is_locked(&last)?, "no lock is lost");
        read.push(killed.elapsed().as_secs_f64() * 1e9);
        let guard = store.lock(&format!("new/{round}")).ttl(bulk::TTL).try_acquire()?;
        granted.push(killed.elapsed().as_secs_f64() * 1e9);
        guard.release()?;
    }
    store.close()?;

    let mut section = Section::new(
        format!("restart: a killed server's file with {} locks", count(scale.locks)),
        &["from the kill to", "median"],
    );
    section.row(["the answer to who holds a lock".into(), time(read.median())]);
    section.row(["a new lock, durable".into(), time(granted.median())]);
    section.figure("restart.read_ns", read.median());
    section.figure("restart.granted_ns", granted.median());
    Ok(section)
}

/// Kills the server of the file at `path`, and tells when.
fn kill_server(path: &Path) -> Result<Instant> {
    let path = path.as_os_str().as_encoded_bytes();
    for process in fs::read_dir("/proc")? {
        let process = process?;
        let Ok(pid) = process.file_name().to_string_lossy().parse::<u32>() else { continue };
        // One that has ended meanwhile has no command line.
        let arguments = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let mut arguments = arguments.split(|byte| *byte == 0);
        if arguments.any(|argument| argument == b"serve")
            && arguments.any(|argument| argument == path)
        {
            let killed = Instant::now();
            Command::new("kill").arg("-KILL").arg(pid.to_string()).status()?;
            return Ok(killed);
        }
    }
    Err("the file has no server".into())
}
