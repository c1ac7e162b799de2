use std::collections::BTreeSet;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use lockstore::bson::rawdoc;

use super::{MemberNumber, ReplicaSet, waited_for};
use crate::crash::{CrashTest, Ledger};

/// Inserts a document that a majority has in its journals.
fn insert(set: &ReplicaSet, id: i32) {
    let command = rawdoc! {
        "insert": "numbers",
        "documents": [{ "_id": id }],
        "writeConcern": { "w": "majority" },
        "$db": "test",
    };
    let reply = set.run(set.primary().unwrap(), &command).unwrap();
    assert_eq!(reply.get_i32("n").ok(), Some(1), "{reply:?}");
}

fn count(set: &ReplicaSet, member: MemberNumber) -> usize {
    let command = rawdoc! {
        "find": "numbers",
        "readConcern": { "level": "majority" },
        "$db": "test",
        "$readPreference": { "mode": "secondaryPreferred" },
    };
    let reply = set.run(member, &command).unwrap();
    reply.get_document("cursor").unwrap().get_array("firstBatch").unwrap().into_iter().count()
}

#[test]
fn what_a_majority_has_survives_its_primary_and_nothing_is_left_in_the_end() {
    let set = ReplicaSet::start().unwrap();
    insert(&set, 0);
    let killed = set.primary().unwrap();
    set.kill(killed).unwrap();
    set.kill(killed).unwrap_err();
    let stopped = set.primary().unwrap();
    assert_ne!(stopped, killed);
    insert(&set, 1);
    set.restart(killed).unwrap();

    set.stop(stopped).unwrap();
    let third = set.primary().unwrap();
    assert_ne!(third, stopped);
    insert(&set, 2);
    set.go_on(stopped).unwrap();
    set.wait_until_whole().unwrap();
    assert_eq!(set.members().collect::<BTreeSet<_>>().len(), 3);
    assert_eq!(count(&set, set.primary().unwrap()), 3);

    let folder = set.folder.clone();
    assert!(folder.exists());
    set.kill(third).unwrap();
    drop(set);
    assert!(!Path::new(&folder).exists());
}

#[test]
fn a_test_that_is_killed_leaves_no_mongod_and_no_files_behind() {
    if let Some(ledger) = Ledger::from_env() {
        let set = ReplicaSet::shared();
        set.stop(0).unwrap();
        ledger.acknowledge(&set.folder.display().to_string()).unwrap();
        for member in &set.members {
            ledger.acknowledge(&member.address()).unwrap();
        }
        std::thread::sleep(Duration::from_secs(600));
    }
    let name = "replica_set::tests::a_test_that_is_killed_leaves_no_mongod_and_no_files_behind";
    let mut test = CrashTest::this_test(name).unwrap().after_records(4..5);
    let killed = test.round::<String>().unwrap();
    let (folder, addresses) = killed.records.split_first().unwrap();
    assert_eq!(addresses.len(), 3);
    // They are ended by others, which have not necessarily done so yet.
    waited_for("the end of all members", || {
        let is_gone = |address: &String| TcpStream::connect(address).is_err();
        (addresses.iter().all(is_gone) && !Path::new(folder).exists()).then_some(())
    })
    .unwrap();
}
