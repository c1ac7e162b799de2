//! What was dropped is cleared away, in steps, also after a restart.

use super::*;
use crate::disk::JournalUse;
use crate::options::StoreOptions;

/// Waits until the background thread has cleared everything away.
fn wait_until_clear(store: &Store) {
    loop {
        let is_clear = store.engine().in_seat(|seat| !seat.writer.documents().has_to_clear());
        if is_clear {
            return;
        }
        std::thread::yield_now();
    }
}

fn fill(store: &Store) {
    create_index(store, rawdoc! { "a": 1 }, "a", &rawdoc! {}).unwrap();
    let mut rest: Vec<_> = (0..5_000).map(|id| rawdoc! { "_id": id, "a": [id, -id - 1] }).collect();
    while !rest.is_empty() {
        let insert =
            Insert { namespace: namespace(), create: None, documents: rest, ordered: true };
        rest = done(store.engine().insert(insert)).rest;
    }
}

fn drop_collection(store: &Store) {
    done(store.engine().define(Definition::DropCollection { namespace: namespace() }));
}

#[test]
fn the_rows_of_a_dropped_collection_go() {
    let store = Store::in_memory().unwrap();
    fill(&store);
    let stats = store.stats().unwrap();
    assert_eq!((stats.collections, stats.indexes), (1, 2));
    assert_eq!((stats.documents, stats.index_entries), (5_000, 15_000));
    drop_collection(&store);
    assert_eq!(store.stats().unwrap().collections, 0);
    // A namespace is free at once.
    insert(&store, rawdoc! { "_id": 1, "a": 1 });
    wait_until_clear(&store);
    check(&store);
    let stats = store.stats().unwrap();
    assert_eq!((stats.documents, stats.index_entries), (1, 1));
}

#[test]
fn the_rows_of_a_dropped_index_go_and_no_others() {
    let store = Store::in_memory().unwrap();
    fill(&store);
    let names = vec!["a".into()];
    done(store.engine().define(Definition::DropIndexes { namespace: namespace(), names }));
    wait_until_clear(&store);
    let stats = store.stats().unwrap();
    assert_eq!((stats.documents, stats.index_entries), (5_000, 5_000));
    check(&store);
}

#[test]
fn clearing_away_goes_on_after_a_restart() {
    let (folder, path) = place();
    // What is cleared away goes on while the file is copied, and two files could not be had of one moment.
    let store = StoreOptions::new().journal(JournalUse::Never).open(&path).unwrap();
    fill(&store);
    drop_collection(&store);
    // As a kill in this moment leaves the file.
    let killed = folder.path().join("killed");
    std::fs::copy(&path, &killed).unwrap();
    drop(store);
    for path in [path, killed] {
        let store = Store::open(path).unwrap();
        wait_until_clear(&store);
        let stats = store.stats().unwrap();
        assert_eq!((stats.documents, stats.index_entries), (0, 0));
        check(&store);
        insert(&store, rawdoc! { "_id": 1 });
    }
}

#[test]
fn a_check_in_the_midst_of_it_finds_nothing_wrong() {
    let store = Store::in_memory().unwrap();
    fill(&store);
    drop_collection(&store);
    while store.engine().in_seat(|seat| seat.writer.documents().has_to_clear()) {
        check(&store);
    }
    check(&store);
}
