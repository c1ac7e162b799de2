//! A machine in memory: a disk, a clock, and one store on them.

use std::sync::Arc;
use std::time::Duration;

use lockstore::{Store, StoreOptions};
use lockstore_testkit::clock::ManualClock;
use lockstore_testkit::disk::{PowerLoss, SimDisk};

use crate::deployment::Deployment;

/// Where a store lives whose time and disk a test commands.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    /// Its clock.
    pub clock: ManualClock,
    /// Its disk.
    pub disk: SimDisk,
    /// Where its store is, as seen by who uses it.
    pub deployment: Deployment,
}

impl Machine {
    /// A machine without a store.
    pub fn new() -> Self {
        Self::default()
    }

    /// A machine without a store, whose store will be used as `deployment` says.
    pub fn on(deployment: Deployment) -> Self {
        Self { deployment, ..Self::default() }
    }

    /// Options with the machine's clock, and no restart grace.
    pub fn options(&self) -> StoreOptions {
        StoreOptions::new().clock(Arc::new(self.clock.clone())).restart_grace(Duration::ZERO)
    }

    /// Opens its store, or makes it.
    ///
    /// # Panics
    ///
    /// When that fails.
    #[track_caller]
    pub fn open(&self) -> Store {
        self.open_with(self.options())
    }

    /// Opens its store with `options`.
    ///
    /// # Panics
    ///
    /// When that fails.
    #[track_caller]
    pub fn open_with(&self, options: StoreOptions) -> Store {
        self.open_strictly(options, false)
    }

    /// Opens its store with `options`, for managers that are [strict](StoreOptions::strict_release) or not.
    ///
    /// # Panics
    ///
    /// When that fails.
    #[track_caller]
    pub fn open_strictly(&self, options: StoreOptions, strict: bool) -> Store {
        let options = options.strict_release(strict);
        let store = options.open_backend(self.disk.backend()).expect("the store opens");
        self.deployment.reach(store, strict)
    }

    /// The machine as the next process finds it when this moment's process is killed. What that
    /// process still does happens on a disk of its own.
    #[must_use]
    pub fn after_kill(&self) -> Self {
        Self { disk: self.disk.after_kill(), ..self.clone() }
    }

    /// The machine when it boots after it lost power and was off for `downtime`, with nothing on its
    /// disk but what was synced. `store` is gone.
    #[must_use]
    pub fn after_power_loss(&self, store: Store, downtime: Duration) -> Self {
        let disk = self.disk.after_power_loss(&PowerLoss::nothing_unsynced());
        drop(store);
        self.clock.reboot(downtime);
        Self { disk, ..self.clone() }
    }
}

/// A duration in seconds, which most tests count in.
pub const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
