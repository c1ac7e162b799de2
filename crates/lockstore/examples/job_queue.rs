//! A queue that survives crashes: workers lock jobs, and a job whose worker was killed is done by another.
//!
//! `cargo run -p lockstore --example job_queue`

use std::error::Error;
use std::thread;
use std::time::Duration;

use lockstore::bson::{Document, doc};
use lockstore::{Collection, IndexModel, Session, Store};

type Failure = Box<dyn Error + Send + Sync>;

/// Does jobs until all are done.
fn work(jobs: &Collection<Document>, session: &Session) -> Result<(), Failure> {
    let next = || {
        jobs.lock_document(doc! { "state": "todo" })
            .sort(doc! { "cost": -1 })
            .update(doc! { "$inc": { "attempts": 1 } }) // in the same step
            .session(session) // a process that is killed leaves nothing locked
            .ttl(Duration::from_secs(60)) // nor does one that hangs
    };
    loop {
        let mut lock = next().acquire()?; // what others have locked is passed over
        if !lock.holds() {
            lock = next().sleep(Duration::from_secs(1)).acquire()?; // somebody may yet give up
        }
        let Some(job) = lock.locked_document() else { return Ok(()) };
        lock.keep_alive(); // renewed in the background for as long as it takes
        println!("job {} with token {:?}", job.get_i32("_id")?, lock.token());
        lock.set_update_on_release(doc! { "$set": { "state": "done" } })?;
        lock.release()?; // done and unlocked in one commit, or an error if the lock was lost
    }
}

fn main() -> Result<(), Failure> {
    let path = std::env::temp_dir().join(format!("job-queue-{}.redb", std::process::id()));
    let jobs_in = |store: &Store| store.database("factory").collection::<Document>("jobs");

    // The first run takes a job and dies: nobody releases it, or ends the session.
    let store = Store::open(&path)?;
    let (jobs, session) = (jobs_in(&store), store.session()?);
    jobs.create_index(IndexModel::new(doc! { "state": 1, "cost": -1 }))?;
    let todo = (1..=9).map(|id| doc! { "_id": id, "state": "todo", "cost": id * 7 % 10 });
    jobs.insert_many(todo).run()?;
    let taken = jobs.lock_document(doc! { "state": "todo" }).session(&session).acquire()?;
    std::mem::forget((taken, session));
    store.close()?;

    let store = Store::open(&path)?;
    let (jobs, session) = (jobs_in(&store), store.session()?);
    thread::scope(|scope| {
        let workers = [(); 3].map(|()| scope.spawn(|| work(&jobs, &session)));
        workers.into_iter().try_for_each(|worker| worker.join().expect("no worker panics"))
    })?;
    assert_eq!(jobs.count_documents(doc! { "state": "done", "lock_id": null }).run()?, 9);
    Ok(std::fs::remove_file(&path)?)
}
