//! Workers share a queue of jobs: each job is done once, and the dearest first.
//!
//! `cargo run -p lockstore --example documents`

use std::thread;

use lockstore::bson::doc;
use lockstore::{Collection, DocumentError, IndexModel, ReturnDocument, Store};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct Job {
    #[serde(rename = "_id")]
    id: i32,
    state: State,
    cost: i32,
    worker: Option<i32>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    New,
    Running,
    Done,
}

/// Takes jobs and does them until there are none. What was taken is durable: after a crash it is known who had the job.
fn work(jobs: &Collection<Job>, worker: i32) -> Result<(), DocumentError> {
    let take = doc! { "$set": { "state": "running", "worker": worker } };
    while let Some(job) = jobs
        .find_one_and_update(doc! { "state": "new" }, &take)
        .sort(doc! { "cost": -1 })
        .return_document(ReturnDocument::After)
        .run()?
    {
        println!("worker {worker} has job {}, which costs {}", job.id, job.cost);
        jobs.update_one(doc! { "_id": job.id }, doc! { "$set": { "state": "done" } }).run()?;
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = Store::in_memory()?; // or Store::open("jobs.redb")?
    let jobs = store.database("factory").collection::<Job>("jobs");
    jobs.create_index(IndexModel::new(doc! { "state": 1, "cost": -1 }))?;
    let new = (1..=9).map(|id| Job { id, state: State::New, cost: id * 7 % 10, worker: None });
    jobs.insert_many(new).run()?;
    thread::scope(|scope| {
        let jobs = &jobs;
        let workers = [1, 2, 3].map(|worker| scope.spawn(move || work(jobs, worker)));
        workers.into_iter().try_for_each(|worker| worker.join().expect("no worker panics"))
    })?;
    assert_eq!(jobs.count_documents(doc! { "state": "done" }).run()?, 9);
    Ok(())
}
