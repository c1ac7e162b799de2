//! Sessions, transactions, writes that come twice, and our own commands.

use mongodb::bson::{Document, doc};
use mongodb::error::{TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT};

use crate::forgetful::Forgetful;
use crate::served::{Served, client_by, jobs};

#[test]
fn a_transaction_is_there_as_a_whole_or_not_at_all() {
    let served = Served::start();
    let client = served.client();
    let jobs = jobs(&client);
    let mut session = client.start_session().run().unwrap();
    session.start_transaction().run().unwrap();
    jobs.insert_one(doc! { "_id": 1 }).session(&mut session).run().unwrap();
    jobs.insert_one(doc! { "_id": 2 }).session(&mut session).run().unwrap();
    assert_eq!(jobs.count_documents(doc! {}).session(&mut session).run().unwrap(), 2);
    assert_eq!(jobs.count_documents(doc! {}).run().unwrap(), 0, "nobody else sees it");
    session.commit_transaction().run().unwrap();
    assert_eq!(jobs.count_documents(doc! {}).run().unwrap(), 2);
    session.start_transaction().run().unwrap();
    jobs.delete_many(doc! {}).session(&mut session).run().unwrap();
    session.abort_transaction().run().unwrap();
    assert_eq!(jobs.count_documents(doc! {}).run().unwrap(), 2);
}

#[test]
fn transactions_that_conflict_are_run_again_by_the_driver() {
    let served = Served::start();
    let client = served.client();
    let sums = client.database("factory").collection::<Document>("sums");
    sums.insert_one(doc! { "_id": 1, "n": 0 }).run().unwrap();
    let one = || doc! { "$inc": { "n": 1 } };

    let [mut first, mut second] = [(); 2].map(|()| client.start_session().run().unwrap());
    for session in [&mut first, &mut second] {
        session.start_transaction().run().unwrap();
        sums.update_one(doc! { "_id": 1 }, one()).session(session).run().unwrap();
    }
    first.commit_transaction().run().unwrap();
    let conflict = second.commit_transaction().run().unwrap_err();
    assert!(conflict.contains_label(TRANSIENT_TRANSACTION_ERROR), "{conflict:?}");
    assert!(!conflict.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT), "{conflict:?}");

    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut session = client.start_session().run().unwrap();
                for _ in 0..10 {
                    let transaction = session.start_transaction();
                    let added = transaction.and_run(|session| {
                        sums.update_one(doc! { "_id": 1 }, one()).session(session).run()
                    });
                    added.unwrap();
                }
            });
        }
    });
    let sum = sums.find_one(doc! {}).run().unwrap().unwrap();
    assert_eq!(sum.get_i32("n").unwrap(), 41);
}

#[test]
fn a_write_whose_reply_is_lost_comes_again_and_is_done_once() {
    let served = Served::start();
    let between = Forgetful::before(served.path("jobs.redb.sock"), served.path("between.sock"));
    let client = client_by(&between.path);
    let jobs = jobs(&client);
    between.lose(&["insert", "txnNumber"]);
    jobs.insert_one(doc! { "_id": 1, "n": 0 }).run().unwrap();
    assert!(between.has_lost());
    between.lose(&["update", "txnNumber"]);
    let changed = jobs.update_one(doc! { "_id": 1 }, doc! { "$inc": { "n": 1 } }).run().unwrap();
    assert!(between.has_lost());
    assert_eq!(changed.modified_count, 1, "the second reply is that of the first");
    between.lose(&["findAndModify", "txnNumber"]);
    let changed = jobs.find_one_and_update(doc! { "_id": 1 }, doc! { "$inc": { "n": 1 } });
    assert_eq!(changed.run().unwrap().unwrap().get_i32("n").unwrap(), 1);
    assert!(between.has_lost());
    let job = jobs.find_one(doc! { "_id": 1 }).run().unwrap().unwrap();
    assert_eq!(job.get_i32("n").unwrap(), 2);

    let mut session = client.start_session().run().unwrap();
    session.start_transaction().run().unwrap();
    let one = doc! { "$inc": { "n": 1 } };
    jobs.update_one(doc! { "_id": 1 }, one).session(&mut session).run().unwrap();
    between.lose(&["commitTransaction"]);
    session.commit_transaction().run().unwrap();
    assert!(between.has_lost());
    let job = jobs.find_one(doc! { "_id": 1 }).run().unwrap().unwrap();
    assert_eq!(job.get_i32("n").unwrap(), 3);
}

#[test]
fn a_client_goes_on_with_the_server_that_comes_after_one_that_was_killed() {
    let mut served = Served::start();
    let client = served.client();
    let jobs = jobs(&client);
    for id in 0..3 {
        jobs.insert_one(doc! { "_id": id }).run().unwrap();
        served.kill_and_start_anew();
        assert_eq!(jobs.count_documents(doc! {}).run().unwrap(), u64::try_from(id + 1).unwrap());
    }
}

#[test]
fn our_lock_commands_are_there_beside_mongodbs() {
    let served = Served::start();
    let admin = served.client().database("admin");
    let acquire =
        |holder: &str| admin.run_command(doc! { "lockAcquire": "gpu-0", "holder": holder }).run();
    let token = acquire("a").unwrap().get_i64("token").unwrap();
    let held = acquire("b").unwrap_err();
    let mongodb::error::ErrorKind::Command(ref error) = *held.kind else { panic!("{held:?}") };
    assert_eq!(error.code_name, "LockHeld");
    admin
        .run_command(doc! { "lockRelease": "gpu-0", "holder": "a", "token": token })
        .run()
        .unwrap();
    assert!(acquire("b").unwrap().get_i64("token").unwrap() > token, "tokens rise");
}
