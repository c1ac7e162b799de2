//! What went wrong in other lock systems and is decided in lockcore here: one test for each story.
//!
//! Each step is compared with the model too, and the table's invariants are checked after it.

use std::time::Duration;

use lockcore::{
    Acquire, Change, Command, Conflict, EndCause, Grant, Holder, Instant, Key, LeaveCause, Limits,
    Mode, Outcome, Poll, Refusal, Release, Renew, Session, SessionId, Standing, Table, Token,
    Transition, Ttl, Wait, WaiterId,
};
use lockstore_testkit::commands::Driver;

#[test]
fn a_paused_holder_is_told_apart_from_its_successor_by_a_higher_token() {
    let mut scene = Scene::new();
    let paused = scene.holds(&acquire("a", "h1").lease(10));
    scene.after(10);
    assert_eq!(scene.driver.settle(), 1);
    let successor = scene.holds(&acquire("a", "h2"));
    let again = scene.holds(&acquire("b", "h1"));
    assert!(paused < successor && successor < again, "{paused}, {successor}, {again}");
    let refusal = scene.refused(&renew("a", "h1", Some(paused)));
    assert!(matches!(refusal, Refusal::HeldByOther(by) if by.token == successor));
}

#[test]
fn a_waiter_is_not_granted_after_its_session_ended() {
    let mut scene = Scene::new();
    let session = scene.session();
    scene.holds(&acquire("a", "h1"));
    scene.holds(&acquire("b", "h1"));
    scene.waits(&acquire("a", "h2").bound(session));
    let dead = scene.waits(&acquire("b", "h2").bound(session));
    let alive = scene.waits(&acquire("b", "h3"));
    // The first step ends the wait for `a`; the one for `b` still stands in its queue.
    assert_eq!(scene.done(&Command::CloseSession { session }).outcome, Outcome::SessionClosing);
    let released = scene.done(&release("b", "h1", None));
    assert_eq!(left(&released), [(dead, LeaveCause::SessionEnded)]);
    assert_eq!(handed_on(&released), [alive]);
}

#[test]
fn a_session_that_is_ending_gets_nothing_more() {
    let mut scene = Scene::new();
    let session = scene.session();
    scene.holds(&acquire("a", "h1").bound(session));
    scene.holds(&acquire("b", "h1").bound(session));
    scene.done(&Command::CloseSession { session });
    let refusal = scene.refused(&acquire("c", "h1").bound(session).command());
    assert_eq!(refusal, Refusal::UnknownSession);
}

#[test]
fn a_renewal_that_comes_after_the_expiry_revives_nothing() {
    let mut scene = Scene::new();
    let token = scene.holds(&acquire("a", "h1").lease(10));
    scene.after(10);
    assert_eq!(scene.driver.settle(), 1);
    assert_eq!(scene.refused(&renew("a", "h1", Some(token))), Refusal::NotHeld);
}

#[test]
fn a_renewal_that_comes_before_the_expiry_wins() {
    let mut scene = Scene::new();
    let token = scene.holds(&acquire("a", "h1").lease(10));
    scene.after(10);
    let expire = Command::Expire { key: key("a"), holder: holder("h1"), token };
    let decided = scene.driver.table().decide(scene.driver.now(), &expire);
    assert!(decided.is_ok(), "the lease has run out: {decided:?}");
    scene.done(&renew("a", "h1", Some(token)));
    assert_eq!(scene.refused(&expire), Refusal::NotDue);
    assert_eq!(scene.driver.settle(), 0);
}

#[test]
fn an_expiry_whose_commit_failed_is_not_dropped() {
    let mut table = Table::new(Limits::default(), 0, Instant::ZERO);
    take(&mut table, Instant::ZERO, &acquire("a", "h1").lease(10));
    let now = Instant::from_millis(300);
    let shown = |table: &mut Table| format!("{:?}", table.poll(now, &mut 8));
    let due = shown(&mut table);
    assert!(due.starts_with("Due(Expire"), "{due}");
    take(&mut table, now, &acquire("b", "h1").lease(10));
    assert_eq!(shown(&mut table), due, "it was never applied, so it is still due");
    assert_eq!(table.next_deadline(), Some(Instant::from_millis(10)));
}

#[test]
fn a_renewal_does_not_revive_a_lock_that_was_released() {
    let mut scene = Scene::new();
    let first = scene.holds(&acquire("a", "h1").lease(10));
    scene.done(&release("a", "h1", Some(first)));
    assert_eq!(scene.refused(&renew("a", "h1", Some(first))), Refusal::NotHeld);
    // Nor does the renewal of an earlier grant keep a later one of the same holder alive.
    let second = scene.holds(&acquire("a", "h1").lease(10));
    let refusal = scene.refused(&renew("a", "h1", Some(first)));
    assert_eq!(refusal, Refusal::OtherToken { token: second });
    scene.after(10);
    assert_eq!(scene.driver.settle(), 1);
}

#[test]
fn dead_waiters_do_not_block_a_fair_queue() {
    let mut scene = Scene::new();
    let session = scene.session();
    let token = scene.holds(&acquire("a", "h1"));
    let late = scene.waits(&acquire("a", "h2").until(Instant::from_millis(10)));
    let gone = scene.waits(&acquire("a", "h3").bound(session));
    let alive = scene.waits(&acquire("a", "h4"));
    scene.done(&Command::CloseSession { session });
    scene.after(10);
    // Nobody has polled: the release itself finds that the first is too late.
    let released = scene.done(&release("a", "h1", Some(token)));
    assert_eq!(left(&released), [(late, LeaveCause::TimedOut)]);
    assert_eq!(handed_on(&released), [alive]);
    assert_eq!(scene.refused(&Command::Cancel { waiter: gone }), Refusal::UnknownWaiter);
}

#[test]
fn a_dead_writer_in_the_queue_does_not_turn_readers_away() {
    let mut scene = Scene::new();
    scene.holds(&acquire("a", "h1").shared());
    scene.waits(&acquire("a", "h2").until(Instant::from_millis(10)));
    scene.after(10);
    // As a caller does who is about to say that the lock is held.
    assert_eq!(scene.driver.expire_overdue("a"), 1);
    scene.holds(&acquire("a", "h3").shared());
}

#[test]
fn a_cancelled_waiter_does_not_swallow_the_wake_up() {
    let mut scene = Scene::new();
    scene.holds(&acquire("a", "h1").shared());
    let writer = scene.waits(&acquire("a", "h2"));
    let readers = ["h3", "h4"].map(|reader| scene.waits(&acquire("a", reader).shared()));
    // The writer gives up, and those behind it have nobody to wait for.
    let cancelled = scene.done(&Command::Cancel { waiter: writer });
    assert_eq!(handed_on(&cancelled), readers);
}

#[test]
fn a_waiter_that_gives_up_after_it_was_granted_hands_on() {
    let mut scene = Scene::new();
    scene.holds(&acquire("a", "h1"));
    let quitter = scene.waits(&acquire("a", "h2"));
    let next = scene.waits(&acquire("a", "h3"));
    let released = scene.done(&release("a", "h1", None));
    assert_eq!(handed_on(&released), [quitter]);
    // The cancellation comes too late and says so; the caller then releases what it was granted.
    assert_eq!(scene.refused(&Command::Cancel { waiter: quitter }), Refusal::UnknownWaiter);
    let handed = scene.done(&release("a", "h2", None));
    assert_eq!(handed_on(&handed), [next]);
}

#[test]
fn breaking_a_stale_lock_does_not_hit_its_successor() {
    let mut scene = Scene::new();
    let stale = scene.holds(&acquire("a", "h1"));
    let next = scene.waits(&acquire("a", "h2"));
    let broken = scene.done(&Command::Break { key: key("a"), token: stale });
    assert!(matches!(broken.changes[0], Change::Ended { cause: EndCause::Broken, .. }));
    assert_eq!(handed_on(&broken), [next]);
    // Somebody else who saw the same stale lock breaks it as well.
    let refusal = scene.refused(&Command::Break { key: key("a"), token: stale });
    assert!(matches!(refusal, Refusal::HeldByOther(by) if &*by.holder == "h2"));
    let refusal = scene.refused(&release("a", "h1", Some(stale)));
    assert!(matches!(refusal, Refusal::HeldByOther(_)));
}

#[test]
fn one_release_wakes_one_waiter_of_a_hundred() {
    let mut scene = Scene::new();
    scene.holds(&acquire("a", "h1"));
    let names = (0..100).map(|number| format!("w{number}"));
    let waiters: Vec<_> = names.map(|name| scene.waits(&acquire("a", &name))).collect();
    let released = scene.done(&release("a", "h1", None));
    assert_eq!(handed_on(&released), waiters[..1]);
    assert_eq!(released.changes.len(), 2, "one end and one grant: {:?}", released.changes);
}

#[test]
fn a_thousand_leases_that_expire_at_once_are_done_in_bounded_steps() {
    const LEASES: usize = 1_000;
    const BUDGET: u32 = 100;
    let mut table = Table::new(Limits::default(), 0, Instant::ZERO);
    for number in 0..LEASES {
        take(&mut table, Instant::ZERO, &acquire(&format!("k{number}"), "h1").lease(70_000));
    }
    let now = Instant::from_millis(70_000);
    let (mut expired, mut pauses) = (Vec::new(), 0);
    loop {
        let mut budget = BUDGET;
        match table.poll(now, &mut budget) {
            Poll::Due(command) => {
                let transition = table.decide(now, &command).unwrap();
                assert_eq!(transition.changes.len(), 1, "one expiry is one small step");
                table.apply(&transition);
                let Command::Expire { key, .. } = command else { panic!("{command:?}") };
                expired.push(key.to_string());
            }
            Poll::Unfinished => {
                pauses += 1;
                // Others are served in between, and they find an overdue lock free if they ask for it.
                let asked = format!("k{}", LEASES - pauses);
                let overdue = table.overdue(&asked, now).expect("it has run out");
                let transition = table.decide(now, &overdue).unwrap();
                table.apply(&transition);
                take(&mut table, now, &acquire(&asked, "h2"));
            }
            Poll::Idle(next) => {
                assert_eq!(next, None);
                break;
            }
        }
    }
    assert!(pauses >= LEASES / BUDGET as usize, "{pauses} pauses");
    let expected: Vec<_> = (0..LEASES - pauses).map(|number| format!("k{number}")).collect();
    assert_eq!(expired, expected, "in the order in which they were set");
    table.check_invariants();
}

#[test]
fn readers_do_not_starve_a_writer() {
    let mut scene = Scene::new();
    scene.holds(&acquire("a", "h1").shared());
    let writer = scene.waits(&acquire("a", "h2"));
    // A reader that comes later stands behind the writer, though it would fit beside the first.
    let refusal = scene.refused(&acquire("a", "h3").shared().at_once().command());
    assert!(matches!(refusal, Refusal::Held(_)));
    let reader = scene.waits(&acquire("a", "h3").shared());
    let released = scene.done(&release("a", "h1", None));
    assert_eq!(handed_on(&released), [writer]);
    let released = scene.done(&release("a", "h2", None));
    assert_eq!(handed_on(&released), [reader]);
}

#[test]
fn a_command_whose_answer_was_lost_can_be_sent_again() {
    let mut scene = Scene::new();
    let token = scene.holds(&acquire("a", "h1").lease(10));
    assert_eq!(scene.holds(&acquire("a", "h1").lease(10)), token);
    for _ in 0..2 {
        scene.after(5);
        scene.done(&renew("a", "h1", Some(token)));
    }
    scene.done(&release("a", "h1", Some(token)));
    assert_eq!(scene.refused(&release("a", "h1", Some(token))), Refusal::NotHeld);
}

#[test]
fn who_is_refused_is_told_of_the_holder_that_stays_longest() {
    let mut scene = Scene::new();
    scene.holds(&acquire("a", "h1").shared().lease(10));
    let longest = scene.holds(&acquire("a", "h2").shared().lease(30));
    scene.holds(&acquire("a", "h3").shared().lease(20));
    let tried = acquire("a", "h4").at_once().command();
    let Refusal::Held(by) = scene.refused(&tried) else { panic!("it is held") };
    assert_eq!((by.token, by.expires_at), (longest, Some(Instant::from_millis(30))));
    let endless = scene.holds(&acquire("a", "h0").shared());
    let Refusal::Held(by) = scene.refused(&tried) else { panic!("it is held") };
    assert_eq!((by.token, by.expires_at), (endless, None));
}

#[test]
fn a_lost_session_goes_on_when_it_is_taken_up_and_ends_when_it_is_not() {
    let mut scene = Scene::new();
    let session = scene.session();
    scene.holds(&acquire("a", "h1").bound(session));
    scene.holds(&acquire("b", "h1").bound(session));
    let next = scene.waits(&acquire("b", "h2"));
    let lose = |millis| Command::LoseSession { session, ends_at: Instant::from_millis(millis) };
    scene.done(&lose(10));
    scene.after(9);
    assert_eq!(scene.driver.settle(), 0);
    scene.done(&Command::TakeUpSession { session });
    scene.after(5);
    assert_eq!(scene.driver.settle(), 0, "nothing has happened");
    scene.done(&lose(20));
    scene.done(&lose(30));
    scene.after(6);
    assert_eq!(scene.driver.settle(), 3, "two locks and itself, at the earlier time");
    assert!(scene.driver.table().lock("a").is_none());
    assert!(scene.driver.table().lock("b").unwrap().grant_of("h2").is_some(), "{next:?}");
    assert_eq!(scene.refused(&Command::TakeUpSession { session }), Refusal::UnknownSession);
}

/// As a renewal does: what counts is whether the end has begun.
#[test]
fn a_session_that_is_overdue_can_be_taken_up_until_its_end_has_begun() {
    let mut scene = Scene::new();
    let session = scene.session();
    scene.holds(&acquire("a", "h1").bound(session));
    scene.done(&Command::LoseSession { session, ends_at: Instant::from_millis(10) });
    scene.after(20);
    scene.done(&Command::TakeUpSession { session });
    assert_eq!(scene.driver.settle(), 0);
    scene.done(&Command::LoseSession { session, ends_at: Instant::from_millis(10) });
    scene.driver.poll(64);
    assert_eq!(scene.refused(&Command::TakeUpSession { session }), Refusal::UnknownSession);
}

#[test]
fn what_is_restored_stands_together_or_is_damaged() {
    let mut table = Table::new(Limits::default(), 0, Instant::ZERO);
    let (session, later) = (SessionId::new(5).unwrap(), SessionId::new(9).unwrap());
    let grant = |token, session| {
        Grant::new(holder("h1"), Token::new(token).unwrap(), Some(session), 0, None)
    };
    let ends_at = Instant::from_millis(10);
    table.restore_session(session, ends_at).unwrap();
    let twice = table.restore_session(session, ends_at).unwrap_err();
    assert_eq!(twice, Conflict::SessionTwice { session });
    table.restore(&key("a"), Mode::Exclusive, grant(7, session)).unwrap();
    let unknown = table.restore(&key("b"), Mode::Exclusive, grant(8, later)).unwrap_err();
    assert!(matches!(unknown, Conflict::UnknownSession { .. }), "{unknown}");
    let excluded = table.restore(&key("a"), Mode::Exclusive, grant(6, session)).unwrap_err();
    assert!(matches!(excluded, Conflict::Excluded { .. }), "{excluded}");
    table.restore_session(later, ends_at).unwrap();
    table.check_invariants();
    assert_eq!(table.session(session).map(Session::standing), Some(Standing::Lost { ends_at }));
    // The numbers of sessions and tokens go on behind all that were restored.
    assert_eq!(table.next_token().get(), 10);
}

/// A table beside its model, and short words for what happens to them.
struct Scene {
    driver: Driver,
}

impl Scene {
    fn new() -> Self {
        Self { driver: Driver::new(Limits::default(), 0, Instant::ZERO) }
    }

    #[track_caller]
    fn done(&mut self, command: &Command) -> Transition {
        self.driver.execute(command).unwrap()
    }

    #[track_caller]
    fn refused(&mut self, command: &Command) -> Refusal {
        self.driver.execute(command).unwrap_err()
    }

    #[track_caller]
    fn holds(&mut self, wish: &Wish) -> Token {
        match self.done(&wish.command()).outcome {
            Outcome::Granted(granted) => granted.token,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn waits(&mut self, wish: &Wish) -> WaiterId {
        match self.done(&wish.command()).outcome {
            Outcome::Waiting(waiter) => waiter,
            other => panic!("{other:?}"),
        }
    }

    fn session(&mut self) -> SessionId {
        match self.done(&Command::OpenSession).outcome {
            Outcome::SessionOpened(session) => session,
            other => panic!("{other:?}"),
        }
    }

    fn after(&mut self, millis: u64) {
        self.driver.advance(Duration::from_millis(millis));
    }
}

/// An acquire that is exclusive, endless, bound to nothing and waits for ever, unless it is told otherwise.
struct Wish(Acquire);

fn acquire(name: &str, by: &str) -> Wish {
    let (mode, wait) = (Mode::Exclusive, Wait::Forever);
    Wish(Acquire { key: key(name), holder: holder(by), mode, ttl: None, session: None, wait })
}

impl Wish {
    fn shared(mut self) -> Self {
        self.0.mode = Mode::Shared;
        self
    }

    fn lease(mut self, millis: u64) -> Self {
        self.0.ttl = Some(Ttl::from_millis(millis).unwrap());
        self
    }

    fn bound(mut self, session: SessionId) -> Self {
        self.0.session = Some(session);
        self
    }

    fn at_once(mut self) -> Self {
        self.0.wait = Wait::No;
        self
    }

    fn until(mut self, deadline: Instant) -> Self {
        self.0.wait = Wait::Until(deadline);
        self
    }

    fn command(&self) -> Command {
        Command::Acquire(self.0.clone())
    }
}

fn renew(name: &str, by: &str, token: Option<Token>) -> Command {
    Command::Renew(Renew { key: key(name), holder: holder(by), token, ttl: None })
}

fn release(name: &str, by: &str, token: Option<Token>) -> Command {
    Command::Release(Release { key: key(name), holder: holder(by), token })
}

/// Acquires in a table without a model.
#[track_caller]
fn take(table: &mut Table, now: Instant, wish: &Wish) {
    let transition = table.decide(now, &wish.command()).unwrap();
    assert!(matches!(transition.outcome, Outcome::Granted(_)), "{transition:?}");
    table.apply(&transition);
}

fn handed_on(transition: &Transition) -> Vec<WaiterId> {
    let waiter = |change: &Change| {
        let (Change::Granted { waiter, .. } | Change::Renewed { waiter, .. }) = change else {
            return None;
        };
        *waiter
    };
    transition.changes.iter().filter_map(waiter).collect()
}

fn left(transition: &Transition) -> Vec<(WaiterId, LeaveCause)> {
    let left = |change: &Change| {
        let Change::Left { waiter, cause, .. } = change else {
            return None;
        };
        Some((*waiter, *cause))
    };
    transition.changes.iter().filter_map(left).collect()
}

fn key(name: &str) -> Key {
    Key::new(name).unwrap()
}

fn holder(name: &str) -> Holder {
    Holder::new(name).unwrap()
}
