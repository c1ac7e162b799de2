//! Sessions, and what ends with them.

use lockstore::SessionError;
use lockstore::{AcquireError, EndCause, Event, EventKind, LeaveCause, LockGuard, RenewError};
use lockstore_tests::call::Call;
use lockstore_tests::deployment::{on_all_deployments, on_all_machines};
use lockstore_tests::machine::{Machine, secs};
use lockstore_tests::patience::{PATIENCE, eventually};
use lockstore_tests::task::Task;

#[test]
fn the_end_of_a_session_ends_its_locks_and_its_waits() {
    on_all_machines(|deployment| {
        let store = Machine::on(deployment).open();
        let session = store.session().unwrap();
        let guard = store.lock("held").session(&session).ttl(secs(60)).acquire().unwrap();
        let _other = store.lock("busy").acquire().unwrap();
        let blocked = Call::start_asleep({
            let (store, session) = (store.clone(), store.session().unwrap());
            move || (store.lock("busy").session(&session).acquire().map(LockGuard::leak), session)
        });
        let waiting = Task::pending(store.lock("busy").session(&session).acquire_async());
        let next = Task::pending(store.lock("held").acquire_async());
        eventually("all wait", || store.stats().unwrap().waiters == 3);
        assert_eq!(store.inspect("held").unwrap().unwrap().holders[0].session, Some(session.id()));

        session.end().unwrap();
        let successor = next.outcome().unwrap();
        assert!(successor.token() > guard.token());
        assert!(matches!(waiting.outcome(), Err(AcquireError::SessionEnded)));
        assert!(matches!(guard.renew(), Err(RenewError::LeaseLost { .. })));
        assert!(guard.is_lost());
        drop(guard);
        assert!(!successor.is_lost() && store.is_locked("held").unwrap());
        assert!(blocked.is_pending(), "another session's wait goes on");
    });
}

#[test]
fn a_session_that_has_ended_is_given_nothing() {
    on_all_deployments(|deployment| {
        let store = deployment.in_memory();
        let session = store.session().unwrap();
        let request = store.lock("k").session(&session);
        let (early, late) = (request.clone().acquire_async(), request.clone());
        session.end().unwrap();
        assert!(matches!(late.acquire(), Err(AcquireError::SessionEnded)));
        assert!(matches!(Task::new(early).outcome(), Err(AcquireError::SessionEnded)));
        assert!(!store.is_locked("k").unwrap());
    });
}

#[test]
fn a_dropped_session_has_ended() {
    on_all_deployments(|deployment| {
        let store = deployment.in_memory();
        let session = store.session().unwrap();
        store.lock("k").session(&session).acquire().unwrap().leak();
        drop(session);
        assert!(!store.is_locked("k").unwrap());
        assert_eq!(store.stats().unwrap().sessions, 0);
    });
}

/// More than one batch can end: others are served in between, the session is given nothing meanwhile, and
/// when its end returns all is over and told in order.
#[test]
fn a_session_with_a_thousand_locks_ends_in_steps() {
    on_all_machines(|deployment| {
        const LOCKS: usize = 1_000;
        let machine = Machine::on(deployment);
        let store = machine.open_with(machine.options().events_max(10 * LOCKS));
        let session = store.session().unwrap();
        let guards: Vec<_> = (0..LOCKS)
            .map(|i| {
                let key = format!("k{i:04}");
                Task::new(store.lock(&key).session(&session).acquire_async()).outcome().unwrap()
            })
            .collect();
        let busy = store.lock("busy").acquire().unwrap();
        let waits: Vec<_> = (0..300)
            .map(|_| Task::pending(store.lock("busy").session(&session).acquire_async()))
            .collect();
        let successors: Vec<_> = (0..LOCKS)
            .step_by(100)
            .map(|i| Task::pending(store.lock(&format!("k{i:04}")).acquire_async()))
            .collect();
        eventually("all wait", || store.stats().unwrap().waiters == 310);
        let events = store.subscribe("").unwrap();
        let id = session.id();
        let request = store.lock("late").session(&session);
        let late = Task::new(request.acquire_async());
        let ending = Call::start(move || session.end());
        store.lock("other").acquire().unwrap().release().unwrap();
        ending.outcome().unwrap();
        assert!(matches!(late.outcome(), Err(AcquireError::SessionEnded)));
        for wait in waits {
            assert!(matches!(wait.outcome(), Err(AcquireError::SessionEnded)));
        }
        let held: Vec<_> = successors.into_iter().map(|task| task.outcome().unwrap()).collect();
        assert_eq!(store.stats().unwrap().locks, held.len() + 1);
        assert!(guards.iter().all(|guard| guard.renew().is_err()));
        busy.release().unwrap();

        let (mut ended, mut left, mut most, mut in_batch) = (0, 0, 0, (0, 0));
        loop {
            let Event { sequence, kind } = events.recv_timeout(PATIENCE).unwrap();
            match kind {
                EventKind::Ended { cause: EndCause::SessionEnded, .. } => ended += 1,
                EventKind::Left { cause: LeaveCause::SessionEnded, .. } => {
                    assert_eq!(ended, 0, "waits end before locks");
                    left += 1;
                }
                EventKind::SessionClosed { session } => {
                    assert_eq!(session, id);
                    break;
                }
                _ => continue,
            }
            in_batch =
                if in_batch.0 == sequence { (sequence, in_batch.1 + 1) } else { (sequence, 1) };
            most = most.max(in_batch.1);
        }
        assert_eq!((ended, left), (LOCKS, 300));
        // The dead at the head of one line leave together; all else is bounded.
        assert!(most <= 300 + 256, "one batch ended {most}");
        assert!(store.check().unwrap().is_sound());
    });
}

#[test]
fn sessions_that_end_at_once_do_not_stop_each_other() {
    on_all_deployments(|deployment| {
        let store = deployment.in_memory();
        let calls: Vec<_> = (0..6)
            .map(|i| {
                let store = store.clone();
                Call::start(move || {
                    for round in 0..10 {
                        let session = store.session().unwrap();
                        for n in 0..40 {
                            let key = format!("{i} {n}");
                            let guard = store.lock(&key).session(&session).acquire().unwrap();
                            if n % 2 == round % 2 {
                                guard.leak();
                            }
                        }
                        session.end().unwrap();
                        assert_eq!(store.list(&format!("{i} "), None, 100).unwrap(), []);
                    }
                })
            })
            .collect();
        calls.into_iter().for_each(Call::outcome);
        let stats = store.stats().unwrap();
        assert_eq!((stats.locks, stats.sessions), (0, 0));
        deployment.assert_sound(&store);
    });
}

#[test]
fn sessions_are_bounded() {
    on_all_machines(|deployment| {
        let machine = Machine::on(deployment);
        let limits = lockstore::Limits { sessions_max: 2, ..Default::default() };
        let store = machine.open_with(machine.options().limits(limits));
        let (first, _second) = (store.session().unwrap(), store.session().unwrap());
        assert!(matches!(store.session(), Err(SessionError::LimitReached { max: 2 })));
        first.end().unwrap();
        let third = store.session().unwrap();
        third.end().unwrap();
    });
}
