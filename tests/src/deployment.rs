//! Where the store of a scenario lives. A scenario is written once, and runs on each.
//!
//! A file of scenarios is taken by several modules of a test, each called after the deployment on which it runs:
//!
//! ```text
//! #[path = "documents_typed/scenarios.rs"]
//! mod embedded;
//! #[path = "documents_typed/scenarios.rs"]
//! mod loopback;
//! ```

use std::sync::Arc;

use lockstore::{Store, SystemClock};

use crate::loopback::Loopback;

/// Where a store lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deployment {
    /// In the process.
    Embedded,
    /// Behind commands, which another store in the same process runs.
    Loopback,
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
            Some("loopback") => Self::Loopback,
            _ => panic!("{module} is not called after a deployment"),
        }
    }

    /// A new store in memory.
    ///
    /// # Panics
    ///
    /// It cannot be made.
    pub fn store(self) -> Store {
        self.reach(&Store::in_memory().expect("memory is there"))
    }

    /// The way to `store`, whose clock is the system's, that programs take here.
    ///
    /// # Panics
    ///
    /// There is no clock, or no thread.
    pub fn reach(self, store: &Store) -> Store {
        match self {
            Self::Embedded => store.clone(),
            Self::Loopback => {
                let clock = Arc::new(SystemClock::new().expect("the boot id can be read"));
                Store::remote(Arc::new(Loopback::new(store.clone(), clock)))
            }
        }
    }
}
