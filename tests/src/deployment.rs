//! Where the store of a scenario is. A scenario is written once, and runs on each: by [`on_all_deployments`], [`on_all_files`] or [`on_all_machines`], or, a whole file of them, taken
//! by several modules of a test, each called after the deployment on which it runs:
//!
//! ```text
//! #[path = "documents_typed/scenarios.rs"]
//! mod embedded;
//! #[path = "documents_typed/scenarios.rs"]
//! mod commands;
//! #[path = "documents_typed/scenarios.rs"]
//! mod replica_set;
//! #[path = "documents_typed/scenarios.rs"]
//! mod socket;
//! ```

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

use lockstore::{Store, StoreOptions};
use lockstore_testkit::loopback::Loopback;

#[cfg(feature = "replica-set")]
use crate::replicated::{replicated, replicated_as};
use crate::served::served;

/// Where a store is, as seen by who uses it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Deployment {
    /// In the same process.
    #[default]
    Embedded,
    /// Behind its commands.
    Commands,
    /// Behind the socket of a server, by the clock of this computer.
    Socket,
    /// On a replica set, by the clock of its primary.
    #[cfg(feature = "replica-set")]
    ReplicaSet,
}

/// Runs a scenario on a store of each kind. A failure tells on which.
///
/// # Panics
///
/// When the scenario does.
#[cfg(feature = "replica-set")]
pub fn on_all_deployments(scenario: impl Fn(Deployment)) {
    on_all_files(&scenario);
    on_all(&[Deployment::ReplicaSet], scenario);
}

/// The same with those kinds of stores that are a file: it is copied, checked, or opened again after a kill.
///
/// # Panics
///
/// When the scenario does.
pub fn on_all_files(scenario: impl Fn(Deployment)) {
    on_all(&[Deployment::Embedded, Deployment::Commands, Deployment::Socket], scenario);
}

/// The same with those kinds of stores that a [`Machine`](crate::machine::Machine) can have, whose clock is the test's.
///
/// # Panics
///
/// When the scenario does.
pub fn on_all_machines(scenario: impl Fn(Deployment)) {
    on_all(&[Deployment::Embedded, Deployment::Commands], scenario);
}

fn on_all(deployments: &[Deployment], scenario: impl Fn(Deployment)) {
    for deployment in deployments {
        if let Err(failure) = catch_unwind(AssertUnwindSafe(|| scenario(*deployment))) {
            eprintln!("that was on a store that is {deployment:?}");
            resume_unwind(failure);
        }
    }
}

impl Deployment {
    /// The one that the module is called after whose `module_path!()` this is.
    ///
    /// # Panics
    ///
    /// It is called after none.
    pub fn of(module: &str) -> Self {
        match module.rsplit("::").next() {
            Some("embedded") => Self::Embedded,
            Some("commands") => Self::Commands,
            Some("socket") => Self::Socket,
            #[cfg(feature = "replica-set")]
            Some("replica_set") => Self::ReplicaSet,
            _ => panic!("{module} is not called after a deployment"),
        }
    }

    /// A new store, in memory where that can be.
    ///
    /// # Panics
    ///
    /// When it cannot be opened.
    #[track_caller]
    pub fn in_memory(self) -> Store {
        match self {
            #[cfg(feature = "replica-set")]
            Self::ReplicaSet => replicated(),
            _ => self.reach(Store::in_memory().expect("the store opens"), false),
        }
    }

    /// The store at `path`, opened with `options`. On a replica set it is what was last there under that name, without options.
    ///
    /// # Panics
    ///
    /// When it cannot be opened.
    #[track_caller]
    pub fn open(self, path: impl AsRef<Path>, options: StoreOptions) -> Store {
        match self {
            #[cfg(feature = "replica-set")]
            Self::ReplicaSet => replicated_as(path.as_ref()),
            _ => self.reach(options.open(path).expect("the store opens"), false),
        }
    }

    /// How often something is done over and over that is done `rounds` times on a store in a file. A write that most members of a replica set
    /// have takes a hundred times as long as one in memory.
    pub fn rounds(self, rounds: usize) -> usize {
        match self {
            #[cfg(feature = "replica-set")]
            Self::ReplicaSet => rounds.div_ceil(5),
            _ => rounds,
        }
    }

    /// Whether documents are MongoDB's own affair. Its collections and transactions then differ from those of a file in this, and in nothing
    /// else that is tested:
    ///
    /// - A command that fails ends its transaction: what comes then is told that it is aborted.
    /// - Of two that change a document, in a transaction or not, the first to change it wins, and not the first to commit. A transaction that
    ///   comes second has a conflict at once; a write outside of transactions waits until the transaction is over.
    /// - So does whoever drops a collection, or makes one or an index, which a transaction has changed. A transaction that reads a collection
    ///   which is younger than itself is lost.
    /// - Locks that are acquired in one commit may get the same token.
    /// - An update that unlocks a document leaves what stood behind its lock, which counts for nothing: the grant, and the fields that show it.
    /// - Upserts at the same time may all insert, unless a unique index says otherwise.
    /// - An update of many that fails on the way does not say what it has done; whoever drops a database is not told whether it was there.
    pub fn is_mongodb(self) -> bool {
        match self {
            #[cfg(feature = "replica-set")]
            Self::ReplicaSet => true,
            _ => false,
        }
    }

    /// How many commits of the store a commit is, as its figures count them: MongoDB's are not counted.
    pub fn commits(self) -> u64 {
        u64::from(!self.is_mongodb())
    }

    /// Compares all that is in a store of this kind with everything. What a replica set has in its files is its own affair.
    ///
    /// # Panics
    ///
    /// When something is not as it should be.
    #[track_caller]
    pub fn assert_sound(self, store: &Store) {
        match self {
            #[cfg(feature = "replica-set")]
            Self::ReplicaSet => {}
            _ => assert!(store.check().expect("it is checked").is_sound()),
        }
    }

    /// A store that was opened here, as it is used there, by managers that are
    /// [strict](StoreOptions::strict_release) or not.
    ///
    /// # Panics
    ///
    /// When there is no thread for it, and on a replica set, which has stores of its own only.
    #[must_use]
    pub fn reach(self, store: Store, strict_release: bool) -> Store {
        match self {
            Self::Embedded => store,
            Self::Commands => {
                let loopback = Loopback::new(store).expect("a thread starts");
                loopback.strict_release(strict_release).into_store()
            }
            Self::Socket => served(store),
            #[cfg(feature = "replica-set")]
            Self::ReplicaSet => panic!("no store of this process is one of a replica set"),
        }
    }
}
