//! The power is lost at every sync of a script that does everything a store can do, and again at every sync
//! of the opening after it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use lockstore::{Clock, Instant, StoreOptions};
use lockstore_testkit::clock::ManualClock;
use lockstore_testkit::disk::{PowerLoss, SimDisk};
use lockstore_tests::script::{Played, Script, open};
use lockstore_tests::storage::Storage;

#[test]
fn nothing_acknowledged_is_lost_when_the_power_is_lost_at_any_sync() {
    check_every_sync(Storage::Plain);
}

#[test]
fn nothing_acknowledged_is_lost_with_a_journal_when_the_power_is_lost_at_any_sync() {
    check_every_sync(Storage::Journalled);
}

fn check_every_sync(storage: Storage) {
    let done: Vec<_> = thread::scope(|scope| {
        let half = |first| scope.spawn(move || cut_every_second_sync(storage, first));
        [half(1), half(2)].map(|half| half.join().expect("see above")).into()
    });
    let (cuts, openings) = (done[0].0 + done[1].0, done[0].1 + done[1].1);
    eprintln!("{cuts} syncs cut, {openings} openings");
    assert!(cuts > 80, "the script has only {cuts} syncs");
}

/// Returns the number of syncs that were cut, and of openings that were checked.
fn cut_every_second_sync(storage: Storage, first: u64) -> (u64, u64) {
    let (mut cuts, mut openings) = (0, 0);
    for sync in (first..).step_by(2) {
        let mut script = Script::on(storage);
        script.disk.lose_power_at_sync(sync);
        let played = script.play();
        if !script.disk.is_off() {
            assert!(matches!(played, Played::Whole), "{played:?}");
            break;
        }
        assert!(!matches!(played, Played::Whole), "sync {sync} was cut, and nobody noticed");
        drop(played);
        cuts += 1;
        let seeds = [sync, sync + 1_000_000].map(PowerLoss::seeded);
        for loss in [PowerLoss::nothing_unsynced(), PowerLoss::everything()].iter().chain(&seeds) {
            let crash = format!("power lost at sync {sync}, {loss:?}");
            let disk = script.disk.after_power_loss(loss);
            openings += check_every_opening(&script, &disk, sync, &crash);
        }
    }
    (cuts, openings)
}

/// The moment at which a store is opened after a crash.
struct Later {
    clock: ManualClock,
    /// The same moment, by the clock of what was answered before.
    now: Instant,
}

/// Opens what a crash has left, and before that crashes again at each sync of this opening.
fn check_every_opening(script: &Script, disk: &SimDisk, seed: u64, crash: &str) -> u64 {
    let later = Later::of(script, (seed / 2).is_multiple_of(2));
    let mut openings = 1;
    for sync in 1.. {
        let again = disk.after_kill();
        again.lose_power_at_sync(sync);
        let opened = open(script.storage, &again, &later.clock);
        if !again.is_off() {
            opened.unwrap_or_else(|error| panic!("{crash}: {error}"));
            break;
        }
        drop(opened);
        for loss in [PowerLoss::nothing_unsynced(), PowerLoss::seeded(seed ^ (sync << 32))] {
            let crash = format!("{crash}; and in opening at sync {sync}, {loss:?}");
            check(script, &again.after_power_loss(&loss), &later, &crash);
            openings += 1;
        }
    }
    check(script, disk, &later, crash);
    openings
}

/// Whether what was answered is on the disk.
fn check(script: &Script, disk: &SimDisk, later: &Later, crash: &str) {
    let store =
        open(script.storage, disk, &later.clock).unwrap_or_else(|error| panic!("{crash}: {error}"));
    let verdict = catch_unwind(AssertUnwindSafe(|| {
        let mut account = script.account.clone();
        account.check(&store, || later.now);
        account.check_next_token(&store);
    }));
    assert!(verdict.is_ok(), "after {crash}: see above");
    store.close().unwrap_or_else(|error| panic!("{crash}: {error}"));
}

impl Later {
    /// At once and in the same boot, as when the process was killed; or after the machine was off for a while.
    fn of(script: &Script, off: bool) -> Self {
        let (now, wall) = (script.clock.now(), script.clock.wall());
        let clock = ManualClock::starting_at(now, wall);
        if !off {
            return Self { clock, now };
        }
        clock.reboot(DOWNTIME);
        Self { clock, now: now.saturating_add(DOWNTIME) }
    }
}

const DOWNTIME: Duration = Duration::from_secs(30);

#[test]
fn a_restart_loop_extends_a_lease_by_one_grace_at_most() {
    for grace in [Duration::ZERO, Duration::from_millis(500)] {
        for storage in Storage::ALL {
            check_restart_loop(storage, grace, |clock| {
                clock.advance(Duration::from_micros(13_400));
            });
        }
    }
}

#[test]
fn a_loop_of_reboots_extends_a_lease_by_one_grace_at_most() {
    for grace in [Duration::ZERO, Duration::from_millis(500)] {
        check_restart_loop(Storage::Journalled, grace, |clock| {
            clock.reboot(Duration::from_millis(13));
            clock.advance(Duration::from_micros(400));
        });
    }
}

/// Crashes again and again, each time for 13.4 ms, until the lease is over.
fn check_restart_loop(storage: Storage, grace: Duration, be_down: fn(&ManualClock)) {
    const TTL: Duration = Duration::from_secs(2);
    let (mut disk, clock) = (SimDisk::new(), ManualClock::new());
    let open = |disk: &SimDisk| {
        let options = StoreOptions::new().restart_grace(grace).clock(Arc::new(clock.clone()));
        storage.open(options, disk).expect("the store opens")
    };
    let mut store = open(&disk);
    let guard = store.lock("k").holder("h").ttl(TTL).try_acquire().expect("nobody holds it");
    drop(guard.leak());
    for crashes in 1.. {
        disk.lose_power();
        drop(store);
        disk = disk.after_power_loss(&PowerLoss::seeded(u64::from(crashes)));
        be_down(&clock);
        store = open(&disk);
        let elapsed = Duration::from_micros(13_400) * crashes;
        let held = store.is_locked("k").expect("the store serves");
        if elapsed < TTL {
            assert!(held, "the lease is over after {elapsed:?} and {crashes} crashes, and early");
        } else if elapsed >= TTL + grace {
            assert!(!held, "{crashes} crashes extended a lease by more than {grace:?}");
            return;
        }
    }
}
