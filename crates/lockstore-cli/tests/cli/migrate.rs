//! `lockstore migrate`.

use std::thread;
use std::time::Duration;

use lockstore::bson::{Document, RawDocumentBuf, doc};
use lockstore::{IndexModel, Store};
use lockstore_mongo::ReplicaSetOptions;
use lockstore_testkit::replica_set::{ReplicaSet, new_database};
use rustix::process::Signal;

use crate::support::{Running, Sandbox, stderr};

/// A file with a database of its own name, so that tests do not meet on the replica set.
struct Full {
    sandbox: Sandbox,
    database: String,
}

impl Full {
    fn new(documents: i32) -> Self {
        let full = Self { sandbox: Sandbox::with_store(), database: new_database() };
        let store = full.sandbox.open();
        let jobs = store.database(&full.database).collection::<Document>("jobs");
        jobs.create_index(IndexModel::new(doc! { "code": 1 }).unique(true)).unwrap();
        let text = "x".repeat(50);
        jobs.insert_many((0..documents).map(|id| doc! { "_id": id, "code": id, "text": &text }))
            .run()
            .unwrap();
        store.lock(&full.key()).holder("ada").acquire().unwrap().leak();
        store.close().unwrap();
        full
    }

    fn key(&self) -> String {
        format!("{}/lock", self.database)
    }

    fn documents(&self, store: &Store) -> Vec<RawDocumentBuf> {
        let jobs = store.database(&self.database).collection::<RawDocumentBuf>("jobs");
        let found = jobs.find(doc! {}).sort(doc! { "_id": 1 }).run().unwrap();
        found.collect::<Result<_, _>>().unwrap()
    }

    /// The target has what the source has.
    fn assert_moved(&self, target: &Store) {
        let source = self.sandbox.open();
        assert_eq!(self.documents(target), self.documents(&source));
        assert!(target.is_lock_holder(&self.key(), "ada").unwrap());
        let jobs = target.database(&self.database).collection::<Document>("jobs");
        assert!(jobs.list_indexes().unwrap().iter().any(|index| index.unique));
        source.close().unwrap();
    }

    /// A program that migrates, and is killed when it has worked for so long; whether it was.
    fn killed_after(&self, to: &str, time: Duration) -> bool {
        let migrating = ["migrate", "locks.redb", to, "--database", &self.database];
        let mut running = Running::start(&mut self.sandbox.command(&migrating));
        running.printed_some();
        thread::sleep(time);
        running.signal(Signal::KILL);
        running.ended().status.code().is_none()
    }

    /// Kills one after the other, later and later, until one comes to its end.
    fn killed_again_and_again(&self, to: &str, step: Duration) {
        let mut kills = 0;
        let migrating = ["migrate", "locks.redb", to, "--database", &self.database, "--json"];
        while kills < 5 && self.killed_after(to, step * kills) {
            kills += 1;
        }
        assert!(kills > 0, "it was too quick to be killed");
        let told = self.sandbox.json(&migrating);
        assert!(told["documents"] == 20_000 || told["finished_at"].is_string(), "{told}");
        let told = self.sandbox.json(&[&migrating[..], &["--verify"]].concat());
        assert_eq!(told["same"], true);
    }
}

#[test]
fn a_file_is_moved_to_another_and_that_is_told() {
    let full = Full::new(1_500);
    let sandbox = &full.sandbox;
    let plan = sandbox.ok(&["migrate", "locks.redb", "to.redb", "--plan"]);
    let jobs = format!("{}.jobs", full.database);
    assert!(
        plan.contains(&jobs) && plan.contains("1500") && plan.ends_with("locks held: 1\n"),
        "{plan}"
    );
    assert!(!sandbox.path("to.redb").exists());
    let told = sandbox.ok(&["migrate", "locks.redb", "to.redb"]);
    let lines = [
        plan.trim_end().to_owned(),
        format!("copying {jobs}"),
        format!("making indexes of {jobs}"),
        "acquiring locks".to_owned(),
        "comparing".to_owned(),
        "migrated and compared: documents 1500, collections 1, indexes 1, locks 1, locks of documents 0"
            .to_owned(),
        "tokens go on from 3".to_owned(),
    ];
    assert_eq!(told, lines.join("\n") + "\n");
    let again = sandbox.ok(&["migrate", "locks.redb", "to.redb"]);
    assert!(again.contains("nothing is left to do"), "{again}");
    let same = sandbox.ok(&["migrate", "locks.redb", "to.redb", "--verify"]);
    assert!(same.ends_with("both have the same: documents 1500, locks 1\n"), "{same}");
    let target = Store::open(sandbox.path("to.redb")).unwrap();
    full.assert_moved(&target);
    let jobs = target.database(&full.database).collection::<Document>("jobs");
    jobs.delete_one(doc! { "_id": 3 }).run().unwrap();
    target.close().unwrap();
    let verify = ["migrate", "locks.redb", "to.redb", "--verify", "--json"];
    sandbox.fails_with(1, &verify, &["_id 3 is missing", "to.redb is not as"]);
}

#[test]
fn a_file_is_moved_to_a_replica_set_and_back() {
    let full = Full::new(300);
    let sandbox = &full.sandbox;
    let uri = ReplicaSet::shared().uri();
    let migrate = |from: &str, to: &str| {
        let arguments = ["migrate", from, to, "--database", &full.database, "--json"];
        let output = sandbox.command(&arguments).env("SET", &uri).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let told = migrate("locks.redb", "env:SET");
    assert_eq!((&told["documents"], &told["locks"]), (&300.into(), &1.into()), "{told}");
    assert!(!told["to"].as_str().unwrap().contains("replicaSet"), "{told}");
    let set = ReplicaSetOptions::new().connect(&uri).unwrap();
    full.assert_moved(&set);
    let first = told["next_token"].as_u64().unwrap();
    let told = migrate("env:SET", "back.redb");
    assert!(told["next_token"].as_u64().unwrap() > first, "{told}");
    full.assert_moved(&Store::open(sandbox.path("back.redb")).unwrap());
}

#[test]
fn one_that_is_killed_goes_on_in_a_file() {
    let full = Full::new(20_000);
    full.killed_again_and_again("to.redb", Duration::from_millis(60));
    full.assert_moved(&Store::open(full.sandbox.path("to.redb")).unwrap());
}

#[test]
fn one_that_is_killed_goes_on_on_a_replica_set() {
    let full = Full::new(20_000);
    let uri = ReplicaSet::shared().uri();
    full.killed_again_and_again(&uri, Duration::from_millis(150));
    full.assert_moved(&ReplicaSetOptions::new().connect(&uri).unwrap());
}

#[test]
fn one_that_is_interrupted_says_how_it_goes_on() {
    let full = Full::new(20_000);
    let migrating = ["migrate", "locks.redb", "to.redb"];
    let mut running = Running::start(&mut full.sandbox.command(&migrating));
    running.printed(&format!("copying {}.jobs", full.database));
    running.signal(Signal::TERM);
    let ended = running.ended();
    assert_eq!(ended.status.code(), Some(143));
    assert!(stderr(&ended).contains("run it again to go on"), "{}", stderr(&ended));
    let told = full.sandbox.ok(&migrating);
    assert!(told.contains("it goes on where it was ended"), "{told}");
}

#[test]
fn the_locks_of_a_program_that_runs_are_refused_or_left_behind() {
    let full = Full::new(3);
    let mut running =
        full.sandbox.start(&["run", "theirs", "--", "sh", "-c", "echo up; read -r _; exit 7"]);
    running.printed("up");
    let migrate = ["migrate", "locks.redb", "to.redb"];
    full.sandbox.fails_with(1, &migrate, &["is in use", "theirs", "leave behind"]);
    let plan = full.sandbox.ok(&["migrate", "locks.redb", "to.redb", "--plan"]);
    assert!(plan.contains("cannot be moved: the lock of \"theirs\""), "{plan}");
    let told = full.sandbox.ok(&["migrate", "locks.redb", "to.redb", "--force"]);
    assert!(told.contains("left behind: the lock of \"theirs\""), "{told}");
    assert_eq!(running.ended().status.code(), Some(7), "it keeps its lock");
}

#[test]
fn what_cannot_be_is_refused() {
    let full = Full::new(3);
    let sandbox = &full.sandbox;
    sandbox.fails_with(2, &["migrate", "locks.redb", "./locks.redb"], &["not to itself"]);
    sandbox.fails_with(2, &["migrate", "env:NO_SUCH_VARIABLE", "to.redb"], &["NO_SUCH_VARIABLE"]);
    sandbox.fails_with(4, &["migrate", "missing.redb", "to.redb"], &["there is no store at"]);
    assert!(!sandbox.path("to.redb").exists());
    sandbox.fails_with(
        1,
        &["migrate", "locks.redb", "to.redb", "--database", "nowhere"],
        &["no database \"nowhere\""],
    );
    sandbox.ok(&[
        "doc",
        "insert",
        "--store",
        "to.redb",
        &format!("{}.jobs", full.database),
        "{a: 1}",
    ]);
    sandbox.fails_with(1, &["migrate", "locks.redb", "to.redb"], &["has other documents in"]);
    let told = sandbox.ok(&["migrate", "locks.redb", "to.redb", "--locks-only"]);
    assert!(told.contains("documents 0, collections 0, indexes 0, locks 1"), "{told}");
    let secret = "mongodb://user:secret@127.0.0.1:1/?replicaSet=rs0";
    let silent = sandbox.fails(4, &["migrate", "locks.redb", secret, "--store-timeout", "100ms"]);
    assert!(!silent.contains("secret") && silent.contains("127.0.0.1:1"), "{silent}");
}
