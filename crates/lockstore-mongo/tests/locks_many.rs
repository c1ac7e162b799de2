//! Many who wait for one lock.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::env;
use std::thread;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use lockstore::{Store, Token};
use lockstore_mongo::ReplicaSetOptions;
use lockstore_testkit::replica_set::{ReplicaSet, new_database};

/// How many wait: 200, or as many as `LOCKSTORE_WAITERS` says.
fn waiters() -> usize {
    env::var("LOCKSTORE_WAITERS").map_or(200, |waiters| waiters.parse().unwrap())
}

fn store(locks: &str) -> Store {
    ReplicaSetOptions::new().database(locks).connect(&ReplicaSet::shared().uri()).unwrap()
}

#[test]
fn many_who_wait_are_queued_together_and_served_one_by_one() {
    for clients in [1, 5] {
        let locks = new_database();
        let first = store(&locks);
        let guard = first.lock("k").ttl(TTL).acquire().unwrap();
        guard.keep_alive();
        let start = Instant::now();
        let each = waiters() / clients;
        let mut tokens: Vec<Token> = thread::scope(|scope| {
            let served: Vec<_> = (0..clients)
                .map(|_| {
                    let locks = &locks;
                    scope.spawn(move || {
                        let store = store(locks);
                        let waits = (0..each).map(|_| async {
                            let guard = store.lock("k").ttl(TTL).acquire_async().await.unwrap();
                            let token = guard.token();
                            guard.release_async().await.unwrap();
                            token
                        });
                        let runtime = tokio::runtime::Builder::new_current_thread().build();
                        runtime.unwrap().block_on(join_all(waits))
                    })
                })
                .collect();
            while first.stats().unwrap().waiters < each * clients {
                assert!(start.elapsed() < PATIENCE, "{:?} wait", first.stats());
                thread::sleep(Duration::from_millis(5));
            }
            eprintln!(
                "{clients} clients: {} waiters queued in {:?}",
                each * clients,
                start.elapsed()
            );
            let released = Instant::now();
            guard.release().unwrap();
            let tokens: Vec<Token> =
                served.into_iter().flat_map(|served| served.join().unwrap()).collect();
            let all = released.elapsed();
            eprintln!("served in {all:?}, {:?} each", all / u32::try_from(tokens.len()).unwrap());
            tokens
        });
        assert_eq!(tokens.len(), each * clients);
        tokens.sort_unstable();
        tokens.dedup();
        assert_eq!(tokens.len(), each * clients, "each has a grant of its own");
    }
}

const TTL: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(100);
