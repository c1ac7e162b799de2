//! One mongod, and the keeper that ends it.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lockstore::bson::oid::ObjectId;
use lockstore::bson::{RawDocument, RawDocumentBuf, rawdoc};

use super::{waited_for, wire};

/// A member of a replica set.
#[derive(Debug)]
pub(super) struct Member {
    port: u16,
    log: PathBuf,
    keeper: Mutex<Keeper>,
}

/// What a member says of itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hello {
    /// Of a primary, its election. Later ones are greater.
    pub(super) elected: Option<ObjectId>,
    /// It is a primary or a secondary.
    pub(super) takes_part: bool,
}

/// A shell whose child the mongod is. It does what it is told, and ends with us: the pipe is closed then, whatever ends us.
#[derive(Debug)]
struct Keeper {
    shell: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    Stopped,
    Killed,
}

impl Member {
    /// Starts a member with its files in a new folder in `folder`.
    pub(super) fn start(program: &OsStr, port: u16, folder: &Path) -> io::Result<Self> {
        let own = folder.join(port.to_string());
        fs::create_dir(&own)?;
        let log = own.join("mongod.log");
        let mut mongod = Command::new(program);
        mongod.args(["--replSet", super::NAME, "--bind_ip", "127.0.0.1", "--nounixsocket"]);
        mongod.args(["--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "64"]);
        mongod.args(["--setParameter", "diagnosticDataCollectionEnabled=false"]);
        // Tests have it fail where they want it to: `configureFailPoint`.
        mongod.args(["--setParameter", "enableTestCommands=1"]);
        mongod.arg("--port").arg(port.to_string()).arg("--dbpath").arg(&own);
        mongod.arg("--logpath").arg(&log).arg("--logappend");
        let keeper = Mutex::new(Keeper::start(&mongod, folder)?);
        Ok(Self { port, log, keeper })
    }

    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(super) fn is_running(&self) -> bool {
        self.keeper().state == State::Running
    }

    pub(super) fn kill(&self) -> io::Result<()> {
        self.keeper().change(&[State::Running, State::Stopped], "KILL", State::Killed)
    }

    pub(super) fn start_again(&self) -> io::Result<()> {
        self.keeper().change(&[State::Killed], "start", State::Running)?;
        self.wait_until_it_answers()
    }

    pub(super) fn stop(&self) -> io::Result<()> {
        self.keeper().change(&[State::Running], "STOP", State::Stopped)
    }

    pub(super) fn go_on(&self) -> io::Result<()> {
        self.keeper().change(&[State::Stopped], "CONT", State::Running)
    }

    pub(super) fn run(&self, command: &RawDocument) -> io::Result<RawDocumentBuf> {
        // A write may have to wait for the others.
        wire::run(self.port, command, super::PATIENCE)
    }

    /// `None` when it does not answer.
    pub(super) fn hello(&self) -> Option<Hello> {
        if !self.is_running() {
            return None;
        }
        let hello = rawdoc! { "hello": 1, "$db": "admin" };
        let reply = wire::run(self.port, &hello, SAYS_WITHIN).ok()?;
        let is_primary = reply.get_bool("isWritablePrimary").unwrap_or(false);
        let is_secondary = reply.get_bool("secondary").unwrap_or(false);
        let elected = if is_primary { reply.get_object_id("electionId").ok() } else { None };
        Some(Hello { elected, takes_part: is_primary || is_secondary })
    }

    pub(super) fn wait_until_it_answers(&self) -> io::Result<()> {
        waited_for("a mongod to answer", || self.hello()).map(drop).map_err(|error| {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            let last = log.lines().last().unwrap_or("it has logged nothing");
            io::Error::new(error.kind(), format!("{error}; the end of its log: {last}"))
        })
    }

    fn keeper(&self) -> MutexGuard<'_, Keeper> {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keeper {
    /// Has `mongod` started. Everything in `folder` is removed in the end.
    fn start(mongod: &Command, folder: &Path) -> io::Result<Self> {
        let mut shell = Command::new("sh");
        shell.args(["-c", SCRIPT]).arg(folder).arg(mongod.get_program()).args(mongod.get_args());
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        // The signals of a terminal are for the tests.
        shell.process_group(0);
        let mut shell = shell.spawn()?;
        let orders = shell.stdin.take();
        let answers = BufReader::new(shell.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?);
        let mut keeper = Self { shell, orders, answers, state: State::Killed };
        keeper.change(&[State::Killed], "start", State::Running)?;
        Ok(keeper)
    }

    /// Gives an order, and waits until it is carried out.
    fn change(&mut self, from: &[State], order: &str, to: State) -> io::Result<()> {
        if !from.contains(&self.state) {
            let sentence = format!("a member that is {:?} cannot be {to:?}", self.state);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, sentence));
        }
        let orders = self.orders.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        writeln!(orders, "{order}")?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        if answer.trim_end() != order {
            return Err(io::Error::other(format!("the order {order} was not carried out")));
        }
        self.state = to;
        Ok(())
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.orders = None;
        // It ends by itself now; there is nobody left to tell if it does not.
        self.shell.wait().ok();
    }
}

/// How long a member may take to say how it is.
const SAYS_WITHIN: Duration = Duration::from_secs(1);

/// Ports on which nobody listens, and which no connection of somebody else is likely to be given: those lie above.
pub(super) fn free_ports<const COUNT: usize>() -> io::Result<Vec<u16>> {
    // A port that was found is free until its mongod listens: this process finds no port twice.
    static NEXT: Mutex<u16> = Mutex::new(0);
    let mut next = NEXT.lock().unwrap_or_else(PoisonError::into_inner);
    if *next == 0 {
        // Of other processes that look at the same time, few begin at the same place.
        *next = u16::try_from(process::id() % 1_000).map_err(io::Error::other)? * 10 + 20_000;
    }
    let mut found = Vec::new();
    for port in *next..32_000 {
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            found.push(port);
        }
        if found.len() == COUNT {
            *next = port + 1;
            return Ok(found);
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "all ports are in use"))
}

/// It is given the folder that it removes, and the command line of the mongod.
const SCRIPT: &str = r#"
while read -r order; do
    case $order in
        start) "$@" >/dev/null 2>&1 & mongod=$! ;;
        KILL) kill -KILL "$mongod"; wait "$mongod"; mongod= ;;
        *) kill -"$order" "$mongod" ;;
    esac
    echo "$order"
done
[ -z "$mongod" ] || kill -KILL "$mongod"
wait
rm -rf "$0"
"#;
