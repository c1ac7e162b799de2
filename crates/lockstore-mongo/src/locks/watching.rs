//! Being told of changes: one change stream a process, for all that wait and all that subscribe.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bson::oid::ObjectId;
use bson::{DateTime, Uuid};
use mongodb::Database;
use serde::Deserialize;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::events::Subscriptions;
use super::following::{Event, follow};
use super::given_up::GivenUp;
use super::lock_document::TOUCHED;
use super::log::Page;
use super::{LOCKS, SESSIONS};

/// Who is told of which changes.
#[derive(Debug)]
pub(super) struct Watching {
    seen: Arc<Seen>,
    /// Follows the stream, once somebody is interested.
    follower: Mutex<Option<JoinHandle<()>>>,
    /// Ends leases that have run out, while somebody has subscribed.
    sweeper: Mutex<Option<JoinHandle<()>>>,
}

/// What is to be told of what the stream tells.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) database: Database,
    watched: Mutex<HashMap<String, Vec<Arc<Watched>>>>,
    pub(super) subscriptions: Arc<Subscriptions>,
    /// Whether the stream is open: nothing happens that it does not tell.
    pub(super) is_live: AtomicBool,
    pub(super) came_live: Notify,
}

/// One who watches a key. Dropping it ends that.
#[derive(Debug)]
pub(super) struct Watch {
    key: String,
    watched: Arc<Watched>,
    seen: Arc<Seen>,
}

#[derive(Debug)]
struct Watched {
    /// The call that waits for the lock; `None` if it only waits to see it free.
    request: Option<Uuid>,
    news: Notify,
    /// Whether it was seen free.
    freed: AtomicBool,
    /// When it sees to what runs out by then, in ms of the primary's time.
    sees_to_due_at: AtomicI64,
}

impl Watching {
    pub(super) fn new(database: Database) -> Self {
        let seen = Seen {
            database,
            watched: Mutex::default(),
            subscriptions: Arc::default(),
            is_live: AtomicBool::new(false),
            came_live: Notify::new(),
        };
        Self { seen: Arc::new(seen), follower: Mutex::default(), sweeper: Mutex::default() }
    }

    /// Watches a key from now on: for a call that waits for its lock, or to see it free. To be called on the driver's threads.
    pub(super) fn watch(&self, key: &str, request: Option<Uuid>) -> Watch {
        let (news, freed) = (Notify::new(), AtomicBool::new(false));
        let sees_to_due_at = AtomicI64::new(i64::MAX);
        let watched = Arc::new(Watched { request, news, freed, sees_to_due_at });
        lock(&self.seen.watched).entry(key.into()).or_default().push(Arc::clone(&watched));
        self.follow(&Handle::current());
        Watch { key: key.into(), watched, seen: Arc::clone(&self.seen) }
    }

    /// Whether somebody of this process waits for a lock, or to see it free.
    pub(super) fn is_watched(&self, key: &str) -> bool {
        lock(&self.seen.watched).contains_key(key)
    }

    /// Waits until everything that happens is told.
    pub(super) async fn live(&self) {
        loop {
            let came_live = self.seen.came_live.notified();
            if self.seen.is_live.load(Ordering::SeqCst) {
                return;
            }
            came_live.await;
        }
    }

    /// Does `step` again and again until it is `false`, and not what was done so before: that may have just found that nobody needs it any more.
    pub(super) fn sweep<F, S>(&self, step: S)
    where
        S: Fn() -> F + Send + 'static,
        F: Future<Output = bool> + Send,
    {
        let sweeper = tokio::spawn(async move { while step().await {} });
        if let Some(before) = lock(&self.sweeper).replace(sweeper) {
            before.abort();
        }
    }

    /// What is subscribed to.
    pub(super) fn subscriptions(&self) -> &Arc<Subscriptions> {
        &self.seen.subscriptions
    }

    /// Has the stream followed, if it is not already.
    pub(super) fn follow(&self, threads: &Handle) {
        let mut follower = lock(&self.follower);
        if follower.as_ref().is_none_or(JoinHandle::is_finished) {
            *follower = Some(threads.spawn(follow(Arc::clone(&self.seen))));
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        for task in [&self.follower, &self.sweeper] {
            if let Some(task) = lock(task).take() {
                task.abort();
            }
        }
    }
}

impl Watch {
    /// Whether every change is told: if not, it is worth looking now and then.
    pub(super) fn is_live(&self) -> bool {
        self.seen.is_live.load(Ordering::SeqCst)
    }

    /// It looks by itself when the next of what runs out does, so it need not be told of what runs out later.
    pub(super) fn sees_to(&self, due: Option<DateTime>) {
        let at = due.map_or(i64::MAX, DateTime::timestamp_millis);
        self.watched.sees_to_due_at.store(at, Ordering::SeqCst);
    }

    /// Whether nobody held the lock at some time since it is watched.
    pub(super) fn was_free(&self) -> bool {
        self.watched.freed.load(Ordering::SeqCst)
    }

    /// Waits until there is news, for `at_most`, or until the caller gives up.
    pub(super) async fn news(&mut self, at_most: Duration, given_up: &mut GivenUp) {
        tokio::select! {
            () = self.watched.news.notified() => {}
            () = given_up.given_up() => {}
            () = tokio::time::sleep(at_most) => {}
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watched = lock(&self.seen.watched);
        if let Some(here) = watched.get_mut(&self.key) {
            here.retain(|other| !Arc::ptr_eq(other, &self.watched));
            if here.is_empty() {
                watched.remove(&self.key);
            }
        }
    }
}

impl Seen {
    /// Whoever watches looks again.
    pub(super) fn wake_all(&self) {
        for watched in lock(&self.watched).values().flatten() {
            watched.news.notify_one();
        }
    }

    pub(super) fn take(&self, event: &Event) {
        let collection = event.ns.as_ref().and_then(|namespace| namespace.coll.as_deref());
        match collection {
            Some(LOCKS) => self.take_lock(event),
            Some(SESSIONS) => self.subscriptions.session_changed(event),
            _ => {}
        }
    }

    fn take_lock(&self, event: &Event) {
        let Some(key) = event.document_key.as_ref().and_then(|key| key.get_str("_id").ok()) else {
            return;
        };
        if has_only_touched(event) {
            return;
        }
        let page = page(event);
        if let Some(watched) = lock(&self.watched).get(key) {
            for (place, watched) in watched.iter().enumerate() {
                // The first here sees to what runs out.
                watched.take(page.as_ref(), place == 0);
            }
        }
        if let Some(page) = &page {
            self.subscriptions.lock_changed(event, key, page);
        }
    }
}

impl Watched {
    fn take(&self, page: Option<&Page>, is_first: bool) {
        // A document that was removed.
        let Some(page) = page else { return self.news.notify_one() };
        let concerns = match self.request {
            Some(request) => page.entries.iter().any(|entry| entry.request == Some(request)),
            None => page.is_free,
        };
        if page.is_free {
            self.freed.store(true, Ordering::SeqCst);
        }
        let runs_out_earlier = || {
            let planned = self.sees_to_due_at.load(Ordering::SeqCst);
            page.ends().any(|at| at.timestamp_millis() < planned)
        };
        if concerns || page.is_free || (is_first && runs_out_earlier()) {
            self.news.notify_one();
        }
    }
}

/// Whether a guarded write has only made sure that the lock is held.
fn has_only_touched(event: &Event) -> bool {
    event.update_description.as_ref().is_some_and(|update| {
        update.updated_fields.keys().all(|field| field == TOUCHED)
            && update.removed_fields.is_empty()
    })
}

/// What a write has put into a lock's log. MongoDB tells of a new field, or of all of the log or of the lock where that is shorter.
fn page(event: &Event) -> Option<Page> {
    if let Some(document) = &event.full_document {
        let lock: Logged = bson::deserialize_from_slice(document.as_bytes()).ok()?;
        return lock.last_page();
    }
    let fields = &event.update_description.as_ref()?.updated_fields;
    if let Some((_, page)) = fields.iter().find(|(field, _)| field.starts_with("log.")) {
        return bson::deserialize_from_bson(page.clone()).ok();
    }
    let fields: Logged = bson::deserialize_from_document(fields.clone()).ok()?;
    fields.last_page()
}

/// What is told of a lock whose log is told whole.
#[derive(Deserialize)]
struct Logged {
    rev: ObjectId,
    log: HashMap<String, Page>,
}

impl Logged {
    fn last_page(mut self) -> Option<Page> {
        self.log.remove(&self.rev.to_hex())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
