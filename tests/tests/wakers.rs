//! Wakers are other people's code: they run at once, own things, and break.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};

use lockstore::ReadError;
use lockstore::{AcquireError, LockGuard, Store, StoreError};
use lockstore_testkit::disk::{DiskOp, Fault};
use lockstore_tests::call::Call;
use lockstore_tests::machine::{Machine, secs};
use lockstore_tests::patience::eventually;
use lockstore_tests::task::Task;

/// A waker that does something, once.
struct Does(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl Wake for Does {
    fn wake(self: Arc<Self>) {
        let does = self.0.lock().unwrap().take();
        if let Some(does) = does {
            does();
        }
    }
}

fn waker(does: impl FnOnce() + Send + 'static) -> Waker {
    Waker::from(Arc::new(Does(Mutex::new(Some(Box::new(does))))))
}

fn await_waiters(store: &Store, key: &str, expected: u32) {
    eventually("the waiters have come", || {
        store.inspect(key).unwrap().map_or(0, |lock| lock.waiters) == expected
    });
}

/// An executor that polls where it is woken: the guard of each task is dropped inside the wake-up, which
/// hands the lock to the next, and so on.
#[test]
fn guards_dropped_inside_wakers_hand_on() {
    type Slot = Arc<Mutex<Option<Task<lockstore::AcquireFuture>>>>;
    for ttl in [None, Some(secs(60))] {
        let store = Store::in_memory().unwrap();
        let holder = store.lock("k").acquire().unwrap();
        let served = Arc::new(AtomicUsize::new(0));
        let mut tasks: Vec<Slot> = Vec::new();
        for i in 0..40 {
            let request = store.lock("k");
            let request = if let Some(ttl) = ttl { request.ttl(ttl) } else { request };
            let slot: Slot = Arc::new(Mutex::new(Some(Task::new(request.acquire_async()))));
            let (inside, served) = (Arc::clone(&slot), Arc::clone(&served));
            let waker = waker(move || {
                let mut task = inside.lock().unwrap().take().unwrap();
                let guard = task.poll();
                assert!(matches!(guard, std::task::Poll::Ready(Ok(_))), "{guard:?}");
                served.fetch_add(1, Ordering::SeqCst);
                drop((guard, task));
            });
            assert!(slot.lock().unwrap().as_mut().unwrap().poll_with(&waker).is_pending());
            await_waiters(&store, "k", i + 1);
            tasks.push(slot);
        }
        let release = Call::start(move || holder.release().unwrap());
        release.outcome();
        eventually("all are served", || served.load(Ordering::SeqCst) == 40);
        eventually("the last has released", || !store.is_locked("k").unwrap());
        assert!(store.check().unwrap().is_sound());
    }
}

/// A waker that panics is its own executor's mistake: others who were answered in the same batch are told.
#[test]
fn a_waker_that_panics_harms_nobody_else() {
    let machine = Machine::new();
    let store = machine.open();
    for by_background in [false, true] {
        let holder = store.lock("k").ttl(secs(60)).acquire().unwrap();
        let mut broken = Task::new(store.lock("k").shared().acquire_async());
        assert!(broken.poll_with(&waker(|| panic!("a broken waker"))).is_pending());
        await_waiters(&store, "k", 1);
        let asynchronous = Task::pending(store.lock("k").shared().acquire_async());
        await_waiters(&store, "k", 2);
        let other = store.clone();
        let blocked = Call::start(move || other.lock("k").shared().acquire().map(LockGuard::leak));
        await_waiters(&store, "k", 3);
        if by_background {
            drop(holder);
        } else {
            Call::start(move || catch_unwind(AssertUnwindSafe(|| drop(holder.release()))))
                .outcome()
                .ok();
        }
        let asynchronous = asynchronous.outcome().unwrap();
        let leaked = blocked.outcome().unwrap();
        store.release(&leaked.key, &leaked.holder, None).unwrap();
        drop(asynchronous);
        drop(broken);
        eventually("all have left", || !store.is_locked("k").unwrap());
        // The background thread lives.
        Task::new(store.lock("k").acquire_async()).outcome().unwrap().release().unwrap();
    }
}

/// A task is polled with another waker: the old one may own the very guard that the task waits for.
#[test]
fn a_waker_that_is_replaced_may_own_what_the_task_waits_for() {
    let store = Store::in_memory().unwrap();
    let replaced = Call::start(move || {
        let holder = store.lock("k").acquire().unwrap();
        let mut task = Task::new(store.lock("k").acquire_async());
        assert!(task.poll_with(&waker(move || drop(holder))).is_pending());
        await_waiters(&store, "k", 1);
        // The old waker goes, and the guard with it, and the lock to this task.
        let _ = task.poll();
        task.outcome().unwrap().release().unwrap();
    });
    replaced.outcome();
}

/// A task is dropped while its waker owns the guard of another lock, whose next waiter it is, too.
#[test]
fn a_waker_that_goes_with_its_task_may_own_a_guard() {
    let store = Store::in_memory().unwrap();
    let dropped = Call::start(move || {
        let _holder = store.lock("k").acquire().unwrap();
        let other = store.lock("other").acquire().unwrap();
        let mut task = Task::new(store.lock("k").acquire_async());
        assert!(task.poll_with(&waker(move || drop(other))).is_pending());
        drop(task);
        let guard = store.lock("other").acquire().unwrap();
        guard.release().unwrap();
    });
    dropped.outcome();
}

/// The last handle of a store goes with a task that is woken, in good times and when the store stops.
#[test]
fn the_last_handle_may_be_dropped_inside_a_waker() {
    for stops in [false, true] {
        let machine = Machine::new();
        let store = machine.open();
        // Its drop is served by the background thread.
        let holder = store.lock("k").ttl(secs(60)).acquire().unwrap();
        let slot = Arc::new(Mutex::new(None));
        let inside = Arc::clone(&slot);
        let waker = waker(move || drop(inside.lock().unwrap().take()));
        let mut task = Task::new(store.lock("k").acquire_async());
        assert!(task.poll_with(&waker).is_pending());
        await_waiters(&store, "k", 1);
        *slot.lock().unwrap() = Some((task, store));
        if stops {
            machine.disk.inject(Fault::io_error().on(DiskOp::Sync));
        }
        drop(holder);
        eventually("the store is closed", || {
            machine.options().open_backend(machine.disk.backend()).is_ok()
        });
        drop(waker);
    }
}

/// A task that moves to another waker is woken by the newest one only.
#[test]
fn the_newest_waker_is_the_one_that_is_woken() {
    let store = Store::in_memory().unwrap();
    let holder = store.lock("k").acquire().unwrap();
    let (old, new) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let count = |count: &Arc<AtomicUsize>| {
        let count = Arc::clone(count);
        waker(move || {
            count.fetch_add(1, Ordering::SeqCst);
        })
    };
    let mut future = Box::pin(store.lock("k").acquire_async());
    for waker in [count(&old), count(&old), count(&new)] {
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
    }
    await_waiters(&store, "k", 1);
    holder.release().unwrap();
    eventually("it is woken", || new.load(Ordering::SeqCst) == 1);
    assert_eq!(old.load(Ordering::SeqCst), 0);
    drop(future);
}

/// A waker may use the store: also one that has stopped, or is closed.
#[test]
fn a_waker_may_use_the_store() {
    for how in ["release", "stop", "close"] {
        let machine = Machine::new();
        let store = machine.open();
        let holder = store.lock("k").acquire().unwrap();
        let seen = Arc::new(Mutex::new(None));
        let (inside, told) = (store.clone(), Arc::clone(&seen));
        let waker = waker(move || {
            let locked = inside.is_locked("k").err();
            let acquired = inside.lock("other").try_acquire().map(LockGuard::leak).err();
            let checked = inside.check().err();
            let counted = inside.stats().err();
            *told.lock().unwrap() = Some((locked, acquired, checked, counted));
        });
        let mut task = Task::new(store.lock("k").acquire_async());
        assert!(task.poll_with(&waker).is_pending());
        await_waiters(&store, "k", 1);
        let call = Call::start({
            let disk = machine.disk.clone();
            move || match how {
                "release" => holder.release().unwrap(),
                "stop" => {
                    disk.inject(Fault::io_error().on(DiskOp::Sync));
                    holder.release().unwrap_err();
                }
                _ => {
                    holder.leak();
                    store.close().unwrap();
                }
            }
        });
        call.outcome();
        eventually("it was woken", || seen.lock().unwrap().is_some());
        let (locked, acquired, checked, counted) = seen.lock().unwrap().take().unwrap();
        let expected = |error: &StoreError| match how {
            "stop" => matches!(error, StoreError::Poisoned { .. }),
            _ => matches!(error, StoreError::Closed),
        };
        let locked = locked.map(|error| match error {
            ReadError::Store(error) => error,
            error => panic!("{error}"),
        });
        let errors = [locked, checked, counted];
        if how == "release" {
            assert!(errors.iter().all(Option::is_none) && acquired.is_none(), "{errors:?}");
        } else {
            assert!(errors.iter().flatten().filter(|e| expected(e)).count() == 3, "{errors:?}");
            assert!(
                matches!(&acquired, Some(AcquireError::Store(error)) if expected(error)),
                "{acquired:?}"
            );
        }
    }
}
