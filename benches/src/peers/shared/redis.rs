//! Redis: a lock is a key that `SET NX PX` makes, and a script deletes if it still has the holder's value.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::SharedCaller;
use crate::documents::job::{Mark, Names};
use crate::peers::POLL;
use crate::{Result, bulk};

/// A server with an append-only file, started for this run; it ends with this.
#[derive(Debug)]
pub(crate) struct RedisServer {
    process: Child,
    socket: PathBuf,
}

impl RedisServer {
    /// The program of the environment, or the one on PATH.
    pub(crate) fn program() -> Option<PathBuf> {
        if let Some(program) = std::env::var_os("REDIS_SERVER") {
            return Some(program.into());
        }
        let path = std::env::var_os("PATH")?;
        let programs = std::env::split_paths(&path).map(|folder| folder.join("redis-server"));
        programs.into_iter().find(|program| program.is_file())
    }

    /// Starts `program` in a new `folder`. `fsync` is when its file is synced: `always`, before it answers, or `everysec`.
    pub(crate) fn start(program: &Path, folder: &Path, fsync: &str) -> Result<Self> {
        fs::create_dir(folder)?;
        let socket = folder.join("redis.sock");
        let mut command = Command::new(program);
        command.args(["--port", "0", "--save", "", "--appendonly", "yes", "--appendfsync", fsync]);
        command.arg("--unixsocket").arg(&socket).arg("--dir").arg(folder);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command
            .spawn()
            .map_err(|error| format!("cannot run {}: {error}", program.display()))?;
        let server = Self { process, socket };
        let start = Instant::now();
        while UnixStream::connect(&server.socket).is_err() {
            if start.elapsed() > STARTING_MAX {
                return Err("redis takes no connections".into());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // Its folder is gone with this run, so it has nothing to put in order.
        if let Err(error) = self.process.kill().and_then(|()| self.process.wait()) {
            eprintln!("lockstore-benches: redis ({}) was not stopped: {error}", self.process.id());
        }
    }
}

pub(super) struct Caller {
    stream: BufReader<UnixStream>,
    ttl_ms: String,
    /// Key and holder.
    held: Option<(String, String)>,
}

impl Caller {
    pub(super) fn new(socket: &Path) -> Result<Self> {
        let stream = BufReader::new(UnixStream::connect(socket)?);
        Ok(Self { stream, ttl_ms: bulk::TTL.as_millis().to_string(), held: None })
    }

    /// Sends a command, and gives the first line of the reply, of which there is no other.
    fn run(&mut self, arguments: &[&str]) -> std::io::Result<String> {
        let mut command = Vec::new();
        write!(command, "*{}\r\n", arguments.len())?;
        for argument in arguments {
            write!(command, "${}\r\n{argument}\r\n", argument.len())?;
        }
        self.stream.get_mut().write_all(&command)?;
        let mut line = String::new();
        self.stream.by_ref().take(LINE_MAX).read_line(&mut line)?;
        assert!(!line.starts_with('-'), "redis refuses: {line}");
        Ok(line)
    }
}

impl SharedCaller for Caller {
    fn acquire(&mut self, key: &str, holder: &str) {
        let ttl_ms = self.ttl_ms.clone();
        loop {
            let reply = self.run(&["SET", key, holder, "NX", "PX", &ttl_ms]);
            if reply.expect("redis answers").starts_with("+OK") {
                break;
            }
            thread::sleep(POLL);
        }
        self.held = Some((key.to_owned(), holder.to_owned()));
    }

    fn release(&mut self) {
        let (key, holder) = self.held.take().expect("a lock is held");
        let reply = self.run(&["EVAL", RELEASE, "1", &key, &holder]).expect("redis answers");
        assert!(reply.starts_with(":1"), "it is held: {reply}");
    }

    fn update(&mut self, _: &Names, _: &Mark) {
        unreachable!("a redis without modules has no documents")
    }
}

/// What redis-py's `Lock` releases with.
const RELEASE: &str = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end";

/// How long a server may take to start.
const STARTING_MAX: Duration = Duration::from_secs(10);

/// The longest line of a reply.
const LINE_MAX: u64 = 1_024;
