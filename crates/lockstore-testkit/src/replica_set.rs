//! A MongoDB replica set on this machine, whose members are killed and stopped by tests.
//!
//! It runs the mongod that the environment variable `MONGOD` names; in the repository of lockstore `MONGOD=$(cargo xtask mongod)` gives one,
//! and `cargo xtask test` sets it.

mod fail_point;
mod member;
mod wire;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, io, process, thread};

use lockstore::bson::oid::ObjectId;
use lockstore::bson::{RawArrayBuf, RawDocumentBuf, rawdoc};

pub use self::fail_point::FailPoint;
use self::member::Member;

/// Three members on the loopback interface, with ports and folders of their own.
///
/// They end with this, and when the process ends, however it does: one that is killed leaves no mongod behind, and no files.
///
/// ```no_run
/// use lockstore_testkit::replica_set::ReplicaSet;
///
/// let set = ReplicaSet::start()?;
/// let first = set.primary()?;
/// set.kill(first)?; // as a power failure does it
/// assert_ne!(set.primary()?, first); // waits for the election
/// set.restart(first)?;
/// println!("{}", set.uri());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct ReplicaSet {
    members: Vec<Member>,
    folder: PathBuf,
}

/// A member, by its number from 0.
pub type MemberNumber = usize;

impl ReplicaSet {
    /// Starts three members, and waits until they have a primary and have its data.
    ///
    /// # Errors
    ///
    /// `MONGOD` names no mongod, or it does not start.
    pub fn start() -> io::Result<Self> {
        let program = program()?;
        let folder = new_folder()?;
        let mut members = Vec::new();
        for port in member::free_ports::<MEMBERS>()? {
            members.push(Member::start(&program, port, &folder)?);
        }
        let set = Self { members, folder };
        set.members.iter().try_for_each(Member::wait_until_it_answers)?;
        set.initiate()?;
        set.wait_until_whole()?;
        Ok(set)
    }

    /// The one that all tests of a process share, each with a database of its own: see [`new_database`]. It is started for the first
    /// that asks.
    ///
    /// # Panics
    ///
    /// When it cannot be started: a test that needs a replica set fails where there is none.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<io::Result<ReplicaSet>> = OnceLock::new();
        match SHARED.get_or_init(Self::start) {
            Ok(set) => set,
            Err(error) => panic!("{error}"),
        }
    }

    /// Its address, with all members.
    pub fn uri(&self) -> String {
        let members: Vec<_> = self.members.iter().map(Member::address).collect();
        format!("mongodb://{}/?replicaSet={NAME}", members.join(","))
    }

    /// The members' numbers.
    pub fn members(&self) -> impl Iterator<Item = MemberNumber> + use<> {
        0..self.members.len()
    }

    /// The primary. Waits until there is one: an election takes about two seconds.
    ///
    /// # Errors
    ///
    /// There is none in a minute.
    pub fn primary(&self) -> io::Result<MemberNumber> {
        waited_for("a primary", || self.primary_now())
    }

    /// Ends a member with `SIGKILL`. What it had acknowledged is in its journal. Returns when it is gone.
    ///
    /// # Errors
    ///
    /// It is not running.
    pub fn kill(&self, member: MemberNumber) -> io::Result<()> {
        self.member(member)?.kill()
    }

    /// Starts a member that was killed, and waits until it has caught up.
    ///
    /// # Errors
    ///
    /// It was not killed, or does not come back in a minute.
    pub fn restart(&self, member: MemberNumber) -> io::Result<()> {
        self.member(member)?.start_again()?;
        self.wait_until_whole()
    }

    /// Stops a member with `SIGSTOP`: its connections stay open, and nothing answers.
    ///
    /// # Errors
    ///
    /// It is not running.
    pub fn stop(&self, member: MemberNumber) -> io::Result<()> {
        self.member(member)?.stop()
    }

    /// Lets a member go on that was stopped.
    ///
    /// # Errors
    ///
    /// It was not stopped.
    pub fn go_on(&self, member: MemberNumber) -> io::Result<()> {
        self.member(member)?.go_on()
    }

    /// Waits until there is a primary and every member that is neither killed nor stopped follows it.
    ///
    /// # Errors
    ///
    /// It is not so in a minute.
    pub fn wait_until_whole(&self) -> io::Result<()> {
        waited_for("all members of the replica set", || {
            self.primary_now()?;
            let mut running = self.members.iter().filter(|member| member.is_running());
            running.all(|member| member.hello().is_some_and(|hello| hello.takes_part)).then_some(())
        })
    }

    /// Runs a command on a member, which names its database in `$db`. Gives the reply, which may tell of an error.
    ///
    /// # Errors
    ///
    /// The member does not answer.
    pub fn run(
        &self,
        member: MemberNumber,
        command: &RawDocumentBuf,
    ) -> io::Result<RawDocumentBuf> {
        self.member(member)?.run(command)
    }

    fn member(&self, number: MemberNumber) -> io::Result<&Member> {
        self.members.get(number).ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("there is no member {number}"))
        })
    }

    /// Of two that say so, the one that was elected last: the other was cut off, and has not found out yet.
    fn primary_now(&self) -> Option<MemberNumber> {
        let elected = self.members.iter().enumerate().filter_map(|(number, member)| {
            let election: ObjectId = member.hello()?.elected?;
            Some((election, number))
        });
        elected.max().map(|(_, number)| number)
    }

    fn initiate(&self) -> io::Result<()> {
        let mut members = RawArrayBuf::new();
        for (id, member) in (0_i32..).zip(&self.members) {
            members.push(rawdoc! { "_id": id, "host": member.address() });
        }
        let command = rawdoc! {
            "replSetInitiate": {
                "_id": NAME,
                "members": members,
                "settings": {
                    "electionTimeoutMillis": ELECTION_TIMEOUT_MS,
                    "heartbeatIntervalMillis": HEARTBEAT_MS,
                },
            },
            "$db": "admin",
        };
        // On a busy machine a member may not answer the first in the time that it gives it.
        let mut refused = None;
        let initiated = waited_for("the replica set to be initiated", || {
            let reply = self.run(0, &command).ok()?;
            if matches!(reply.get_f64("ok"), Ok(1.0)) {
                return Some(());
            }
            refused = Some(reply);
            None
        });
        initiated.map_err(|error| io::Error::new(error.kind(), format!("{error}: {refused:?}")))
    }
}

impl Drop for ReplicaSet {
    fn drop(&mut self) {
        self.members.clear();
        // The members' keepers have removed it already, unless all of them were killed too.
        fs::remove_dir_all(&self.folder).ok();
    }
}

/// A name that no other database has, in this process and in others.
pub fn new_database() -> String {
    static LAST: AtomicU64 = AtomicU64::new(0);
    format!("test_{}_{}", process::id(), LAST.fetch_add(1, Ordering::Relaxed))
}

fn program() -> io::Result<OsString> {
    env::var_os("MONGOD").ok_or_else(|| {
        let sentence = "the environment variable MONGOD names no mongod, which this test needs; \
                        `export MONGOD=$(cargo xtask mongod)` fetches one";
        io::Error::new(io::ErrorKind::NotFound, sentence)
    })
}

/// A folder that is new.
fn new_folder() -> io::Result<PathBuf> {
    static LAST: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let folder = env::temp_dir().join(format!("replica-set-{}-{number}", process::id()));
        match fs::create_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
            Ok(()) => return Ok(folder),
        }
    }
}

fn waited_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> io::Result<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if start.elapsed() > PATIENCE {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("waited too long for {what}"),
            ));
        }
        thread::sleep(LOOK_AGAIN);
    }
}

/// The name of each replica set.
const NAME: &str = "lockstore";

/// A majority of them can be lost once.
const MEMBERS: usize = 3;

/// How long the members hear nothing of a primary before they elect another.
const ELECTION_TIMEOUT_MS: i32 = 2_000;

/// How often the members hear of each other.
const HEARTBEAT_MS: i32 = 200;

const LOOK_AGAIN: Duration = Duration::from_millis(20);

const PATIENCE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
