//! Crash-tests an application of one's own, a counter that a lock guards, at every sync of the disk below.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use lockstore::{Store, StoreOptions, Token};
use lockstore_testkit::clock::ManualClock;
use lockstore_testkit::disk::{PowerLoss, SimDisk};

/// The application: it takes no order from who has lost the lock, for it remembers the highest token.
#[derive(Default)]
struct Counter {
    value: u64,
    fence: Option<Token>,
}

impl Counter {
    fn add_one(&mut self, token: Token) {
        assert!(self.fence < Some(token), "{token} comes after {:?}", self.fence);
        (self.value, self.fence) = (self.value + 1, Some(token));
    }
}

/// Counts to five more under the lock, or until the power is lost.
fn count(counter: &mut Counter, disk: &SimDisk, clock: &ManualClock) -> Result<(), Box<dyn Error>> {
    let options = StoreOptions::new().clock(Arc::new(clock.clone()));
    let store: Store = options.open_backend(disk.backend())?;
    for _ in 0..5 {
        let guard = store.lock("counter").ttl(Duration::from_secs(60)).try_acquire()?;
        counter.add_one(guard.token());
        guard.release()?;
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    for sync in 1.. {
        let (disk, clock, mut counter) = (SimDisk::new(), ManualClock::new(), Counter::default());
        disk.lose_power_at_sync(sync);
        let finished = count(&mut counter, &disk, &clock).is_ok() && !disk.is_off();
        let before = counter.value;

        // The machine comes back after two minutes: the lease of whoever held the lock is over.
        clock.reboot(Duration::from_secs(120));
        let disk = disk.after_power_loss(&PowerLoss::seeded(sync));
        count(&mut counter, &disk, &clock)?;
        println!("power lost at sync {sync}: counted to {before}, and then to {}", counter.value);
        if finished {
            break;
        }
    }
    Ok(())
}
