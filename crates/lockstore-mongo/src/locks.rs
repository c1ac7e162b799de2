//! Keyed locks on a replica set.
//!
//! A lock is one document, and a change of it one conditional write: [`look`] at it, let lockcore decide how it stands
//! ([`standing`]), write it if it is still as it was seen ([`transition`]). The primary gives out fencing [`tokens`] in that write. Time is
//! the primary's.
//!
//! | collection | what |
//! | --- | --- |
//! | `locks` | a document for each key: who holds it, who waits, what has changed last |
//! | `counters` | the last number of a session or a break |
//! | `sessions` | a document for each session: until when it lives |
//! | `audit` | a document for each break |

mod acquiring;
mod at_once;
mod attempts;
mod audit;
mod behind;
mod calls;
mod events;
mod following;
mod given_up;
mod heart;
mod in_time;
mod in_transactions;
mod indexes;
mod known;
mod lapsed;
mod lock_document;
mod log;
mod look;
mod reading;
mod seen;
mod sessions;
mod standing;
mod step;
mod stored;
mod subscribing;
mod together;
mod tokens;
mod transition;
mod turns;
mod upkeep;
mod watching;
mod written;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lockcore::Instant;
use lockstore::Clock;
use mongodb::options::{Acknowledgment, WriteConcern};
use mongodb::{Client, Collection, Database};
use tokio::sync::watch;

use crate::numbered::Numbered;
use crate::options::{Reads, ReplicaSetOptions};
pub(crate) use behind::pause;
pub(crate) use given_up::{GiveUp, GivenUp};
use heart::Heart;
use known::Known;
pub(crate) use lapsed::is_due;
use lock_document::LockDocument;
pub(crate) use lock_document::StoredGrant;
pub(crate) use log::Happened;
pub(crate) use look::Look;
pub(crate) use reading::{OWN_KEYS, behind_all};
pub(crate) use standing::Standing;
pub(crate) use stored::{number, number_of};
pub(crate) use transition::Audit;
use turns::Turns;
use watching::Watching;

/// The locks of a replica set, and what this process does for those that it holds and waits for.
#[derive(Debug)]
pub(crate) struct Locks {
    client: Client,
    database: Database,
    collection: Collection<LockDocument>,
    majority: WriteConcern,
    reads: Reads,
    /// What it is called in errors.
    address: Arc<Path>,
    clock: Arc<dyn Clock>,
    waiter_ttl: Duration,
    session_ttl: Duration,
    look_again: Duration,
    patience: Duration,
    watching: Watching,
    heart: Heart,
    turns: Turns,
    /// For what is written without a look.
    numbered: Arc<Numbered>,
    known: Known,
    /// The calls that were started and are not answered.
    under_way: watch::Sender<usize>,
    closing: watch::Sender<bool>,
}

impl Locks {
    pub(crate) fn new(
        client: Client,
        address: Arc<Path>,
        clock: Arc<dyn Clock>,
        options: &ReplicaSetOptions,
    ) -> Self {
        let database = client.database(&options.database);
        let majority = WriteConcern::builder()
            .w(Acknowledgment::Majority)
            .w_timeout(options.write_timeout)
            .build();
        Self {
            collection: database.collection(LOCKS),
            watching: Watching::new(database.clone()),
            client,
            database,
            majority,
            reads: options.reads,
            address,
            clock,
            waiter_ttl: options.waiter_ttl,
            session_ttl: options.session_ttl,
            look_again: options.look_again,
            patience: options.patience,
            heart: Heart::default(),
            turns: Turns::default(),
            numbered: Arc::default(),
            known: Known::default(),
            under_way: watch::Sender::new(0),
            closing: watch::Sender::new(false),
        }
    }

    /// The driver's client.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// How often whoever waits looks while nothing is told.
    pub(crate) fn look_again(&self) -> Duration {
        self.look_again
    }

    /// A call is started.
    pub(crate) fn begun(&self) {
        self.under_way.send_modify(|calls| *calls += 1);
    }

    /// It is answered.
    pub(crate) fn done(&self) {
        self.under_way.send_modify(|calls| *calls -= 1);
    }

    /// What a call is told by when its caller gives it up.
    pub(crate) fn given_up(&self) -> (GiveUp, GivenUp) {
        GivenUp::by_caller(self.closing.subscribe())
    }

    /// The same of a caller who does not give up.
    pub(crate) fn never_given_up(&self) -> GivenUp {
        GivenUp::never(self.closing.subscribe())
    }

    /// Ends what this process has open, once what it has started is done: releases that nobody waits for, and waits, which end as
    /// `Closed`.
    pub(crate) async fn close(self: &Arc<Self>) {
        self.closing.send_replace(true);
        let mut under_way = self.under_way.subscribe();
        let all_done = under_way.wait_for(|calls| *calls == 0);
        if tokio::time::timeout(CLOSE_PATIENCE, all_done).await.is_err() {
            tracing::warn!("a store is closed with calls under way");
        }
        self.close_sessions().await;
        self.watching.subscriptions().close_all();
    }

    /// Whether the store is being closed.
    fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// Our own time.
    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }
}

/// How long closing waits for calls that are under way, and then for its sessions to be ended.
const CLOSE_PATIENCE: Duration = Duration::from_secs(10);

/// The collection of locks.
pub(crate) const LOCKS: &str = "locks";
/// The collection of sessions.
pub(crate) const SESSIONS: &str = "sessions";
/// The collection of breaks.
pub(crate) const AUDIT: &str = "audit";
/// The collection of the counter.
pub(crate) const COUNTERS: &str = "counters";
