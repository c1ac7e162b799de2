//! Time that moves only when a test moves it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lockstore::{BootId, Clock, Instant, WallTime};

/// A clock that stands still until it is moved. Clones are handles of the same clock.
///
/// It starts one hour after the boot of its machine, on 2026-01-01 at 00:00 UTC. Each change tells
/// everybody who asked with [`Clock::on_jump`], on the thread that makes the change and after it is
/// visible.
///
/// ```
/// use lockstore_testkit::clock::ManualClock;
/// use lockstore::{Clock, Instant};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let start = clock.now();
/// clock.advance(Duration::from_secs(10));
/// assert_eq!(clock.now().saturating_since(start), Duration::from_secs(10));
///
/// let boot = clock.boot_id();
/// clock.reboot(Duration::from_secs(60));
/// assert_ne!(clock.boot_id(), boot);
/// assert!(clock.now() < start);
/// ```
#[derive(Clone)]
pub struct ManualClock {
    state: Arc<Mutex<State>>,
}

impl ManualClock {
    /// A clock at the documented start.
    pub fn new() -> Self {
        Self::starting_at(Instant::ZERO.saturating_add(UPTIME_AT_START), WALL_AT_START)
    }

    /// A clock that shows the given times.
    pub fn starting_at(now: Instant, wall: WallTime) -> Self {
        let state = State { now, wall, wall_rest: Duration::ZERO, boots: 1, wakers: Vec::new() };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Time passes, for both clocks.
    pub fn advance(&self, duration: Duration) {
        self.change(|state| {
            state.now = state.now.saturating_add(duration);
            state.pass_wall(duration);
        });
    }

    /// Sets the wall clock, as an administrator or a time server does. The time since boot goes on undisturbed.
    pub fn set_wall(&self, wall: WallTime) {
        self.change(|state| {
            state.wall = wall;
            state.wall_rest = Duration::ZERO;
        });
    }

    /// The wall clock jumps forward; the time since boot does not.
    pub fn jump_wall_forward(&self, duration: Duration) {
        self.change(|state| state.pass_wall(duration));
    }

    /// The wall clock jumps back, at most to 1970; the time since boot does not.
    pub fn jump_wall_back(&self, duration: Duration) {
        self.change(|state| {
            let wall = state.wall.as_millis().saturating_sub(millis(duration));
            state.wall = WallTime::from_millis(wall);
        });
    }

    /// The machine was off for `downtime` and has just booted: a new boot id, the time since boot
    /// starts again at zero, and the wall clock went on.
    ///
    /// Close or crash every store that uses the clock first: a clock never goes back while a store
    /// is open. A boot ends every process, so those who asked to be told of changes are forgotten.
    pub fn reboot(&self, downtime: Duration) {
        let mut state = self.lock();
        state.now = Instant::ZERO;
        state.boots += 1;
        state.pass_wall(downtime);
        let forgotten = std::mem::take(&mut state.wakers);
        drop(state);
        drop(forgotten);
    }

    /// Changes the time, then wakes: outside the mutex, because those who are woken read the clock.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        let wakers = state.wakers.clone();
        drop(state);
        for wake in wakers {
            wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        self.lock().now
    }

    fn wall(&self) -> WallTime {
        self.lock().wall
    }

    fn boot_id(&self) -> BootId {
        BootId(self.lock().boots.to_be_bytes())
    }

    fn on_jump(&self, wake: Arc<dyn Fn() + Send + Sync>) {
        self.lock().wakers.push(wake);
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("ManualClock")
            .field("now", &state.now)
            .field("wall", &state.wall)
            .field("boots", &state.boots)
            .finish_non_exhaustive()
    }
}

struct State {
    now: Instant,
    wall: WallTime,
    /// What of the wall clock's passing is less than its unit, so that small steps add up.
    wall_rest: Duration,
    boots: u128,
    wakers: Vec<Arc<dyn Fn() + Send + Sync>>,
}

impl State {
    fn pass_wall(&mut self, duration: Duration) {
        let passed = self.wall_rest.saturating_add(duration);
        self.wall_rest = Duration::from_nanos(u64::from(passed.subsec_nanos() % 1_000_000));
        let wall = self.wall.as_millis().saturating_add(millis(passed));
        self.wall = WallTime::from_millis(wall);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

const UPTIME_AT_START: Duration = Duration::from_secs(60 * 60);
/// 2026-01-01 00:00 UTC.
const WALL_AT_START: WallTime = WallTime::from_millis(1_767_225_600_000);

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn both_clocks_pass_together_and_small_steps_add_up() {
        let clock = ManualClock::new();
        let (now, wall) = (clock.now(), clock.wall());
        for _ in 0..10_000 {
            clock.advance(Duration::from_micros(100));
        }
        assert_eq!(clock.now().saturating_since(now), Duration::from_secs(1));
        assert_eq!(clock.wall().as_millis() - wall.as_millis(), 1_000);
    }

    #[test]
    fn the_wall_clock_jumps_alone() {
        let clock = ManualClock::new();
        let (now, wall) = (clock.now(), clock.wall());
        clock.jump_wall_back(Duration::from_secs(3_600));
        assert_eq!(wall.as_millis() - clock.wall().as_millis(), 3_600_000);
        clock.jump_wall_forward(Duration::from_secs(3_601));
        assert_eq!(clock.wall().as_millis() - wall.as_millis(), 1_000);
        clock.set_wall(WallTime::from_millis(5));
        clock.jump_wall_back(Duration::MAX);
        assert_eq!(clock.wall(), WallTime::from_millis(0));
        assert_eq!(clock.now(), now);
    }

    #[test]
    fn a_reboot_starts_over_and_forgets_the_dead() {
        let clock = ManualClock::new();
        let wall = clock.wall();
        let told = Arc::new(AtomicU64::new(0));
        let teller = told.clone();
        clock.on_jump(Arc::new(move || {
            teller.fetch_add(1, Ordering::SeqCst);
        }));
        let boot = clock.boot_id();
        clock.reboot(Duration::from_secs(30));
        assert_eq!(clock.now(), Instant::ZERO);
        assert_eq!(clock.wall().as_millis() - wall.as_millis(), 30_000);
        assert_ne!(clock.boot_id(), boot);
        clock.advance(Duration::from_secs(1));
        assert_eq!(told.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn those_who_are_told_see_the_new_time_and_may_use_the_clock() {
        let clock = ManualClock::new();
        let seen = Arc::new(AtomicU64::new(0));
        let (reader, writer) = (clock.clone(), seen.clone());
        clock.on_jump(Arc::new(move || {
            writer.store(reader.now().as_nanos(), Ordering::SeqCst);
        }));
        clock.advance(Duration::from_secs(1));
        assert_eq!(seen.load(Ordering::SeqCst), clock.now().as_nanos());
    }
}
