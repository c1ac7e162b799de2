//! Random interleavings of two transactions and of writes beside them, compared with a naive model: maps that are copied, and of
//! two that change the same thing the first to commit wins.

use std::collections::BTreeMap;

use bson::{Document, doc};
use lockstore::{Collection, DocumentError, IndexModel, Store, Transaction};
use lockstore_tests::patience::patient;
use proptest::prelude::*;

/// What somebody does. Documents have an `_id`, and a number `n` that no two have.
#[derive(Clone, Copy, Debug)]
enum Op {
    Insert {
        id: i32,
        n: i32,
    },
    Set {
        id: i32,
        n: i32,
    },
    Move {
        from: i32,
        to: i32,
    },
    Upsert {
        id: i32,
        n: i32,
    },
    Delete {
        id: i32,
    },
    /// Two exchange their numbers, by way of a third.
    Swap {
        one: i32,
        other: i32,
    },
    Begin,
    Commit,
    Abort,
}

/// Who does it: one of the transactions, or somebody beside them.
#[derive(Clone, Copy, Debug)]
enum Who {
    Transaction(usize),
    Outside,
}

/// Documents by what tells them apart whatever they hold: their `_id` and `n`.
type Documents = BTreeMap<u32, (i32, i32)>;

/// How documents are shown: in the order of insertion, by the index on `n`, and counted.
type Shown = (Vec<(i32, i32)>, Vec<(i32, i32)>, u64);

#[derive(Debug, Default)]
struct Model {
    committed: Documents,
    open: [Option<Open>; 2],
    next: u32,
}

#[derive(Debug)]
struct Open {
    began_with: Documents,
    now: Documents,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Changed(u64),
    Duplicate,
    Conflict,
}

fn is_free(documents: &Documents, id: Option<i32>, n: Option<i32>) -> bool {
    documents.values().all(|(other_id, other_n)| Some(*other_id) != id && Some(*other_n) != n)
}

impl Model {
    fn write(documents: &mut Documents, next: &mut u32, op: Op) -> Told {
        let place = |documents: &Documents, id: i32| {
            documents.iter().find(|(_, document)| document.0 == id).map(|(place, _)| *place)
        };
        match op {
            Op::Insert { id, n } => {
                if !is_free(documents, Some(id), Some(n)) {
                    return Told::Duplicate;
                }
                *next += 1;
                documents.insert(*next, (id, n));
                Told::Changed(1)
            }
            Op::Upsert { id, n } => match place(documents, id) {
                Some(_) => Self::write(documents, next, Op::Set { id, n }),
                None => Self::write(documents, next, Op::Insert { id, n }),
            },
            Op::Set { id, n } => {
                let Some(place) = place(documents, id) else { return Told::Changed(0) };
                if documents[&place].1 == n {
                    return Told::Changed(0);
                }
                if !is_free(documents, None, Some(n)) {
                    return Told::Duplicate;
                }
                documents.insert(place, (id, n));
                Told::Changed(1)
            }
            Op::Move { from, to } => {
                let moved = documents.values().find(|document| document.1 == from).copied();
                moved.map_or(Told::Changed(0), |(id, _)| {
                    Self::write(documents, next, Op::Set { id, n: to })
                })
            }
            Op::Delete { id } => {
                let place = place(documents, id);
                Told::Changed(u64::from(place.and_then(|place| documents.remove(&place)).is_some()))
            }
            Op::Swap { .. } | Op::Begin | Op::Commit | Op::Abort => {
                unreachable!("these are not one write")
            }
        }
    }

    fn commit(&mut self, number: usize) -> Told {
        let Open { began_with, now } = self.open[number].take().expect("it is open");
        let mut merged = self.committed.clone();
        for (place, before) in &began_with {
            let after = now.get(place);
            if after == Some(before) {
                continue;
            }
            if self.committed.get(place) != Some(before) {
                return Told::Conflict;
            }
            match after {
                Some(after) => merged.insert(*place, *after),
                None => merged.remove(place),
            };
        }
        // What it has inserted comes behind what is there by now.
        for inserted in now.iter().filter(|(place, _)| !began_with.contains_key(*place)) {
            self.next += 1;
            merged.insert(self.next, *inserted.1);
        }
        let mut ids: Vec<_> = merged.values().map(|document| document.0).collect();
        let mut numbers: Vec<_> = merged.values().map(|document| document.1).collect();
        for keys in [&mut ids, &mut numbers] {
            keys.sort_unstable();
            keys.dedup();
        }
        if ids.len() < merged.len() || numbers.len() < merged.len() {
            return Told::Conflict;
        }
        self.committed = merged;
        Told::Changed(0)
    }
}

fn write(items: &Collection, op: Op) -> Told {
    let set = |n: i32| doc! { "$set": { "n": n } };
    let told = match op {
        Op::Insert { id, n } => items.insert_one(doc! { "_id": id, "n": n }).map(|_| 1),
        Op::Set { id, n } => {
            items.update_one(doc! { "_id": id }, set(n)).run().map(|done| done.modified_count)
        }
        Op::Upsert { id, n } => {
            let done = items.update_one(doc! { "_id": id }, set(n)).upsert(true).run();
            done.map(|done| done.modified_count + u64::from(done.upserted_id.is_some()))
        }
        Op::Move { from, to } => {
            items.update_one(doc! { "n": from }, set(to)).run().map(|done| done.modified_count)
        }
        Op::Delete { id } => {
            items.delete_one(doc! { "_id": id }).run().map(|done| done.deleted_count)
        }
        Op::Swap { .. } | Op::Begin | Op::Commit | Op::Abort => {
            unreachable!("these are not one write")
        }
    };
    match told {
        Ok(changed) => Told::Changed(changed),
        Err(DocumentError::DuplicateKey(_)) => Told::Duplicate,
        Err(error) => panic!("{op:?}: {error}"),
    }
}

/// What there is.
fn read(items: &Collection) -> Shown {
    let pairs = |found: lockstore::Cursor<Document>| {
        let pair = |item: Document| (item.get_i32("_id").unwrap(), item.get_i32("n").unwrap());
        found.map(|item| pair(item.unwrap())).collect::<Vec<_>>()
    };
    let natural = pairs(items.find(doc! {}).run().unwrap());
    let by_n = pairs(items.find(doc! { "n": { "$gte": 0 } }).sort(doc! { "n": -1 }).run().unwrap());
    (natural, by_n, items.estimated_document_count().unwrap())
}

fn expected(documents: &Documents) -> Shown {
    let natural: Vec<_> = documents.values().copied().collect();
    let mut by_n = natural.clone();
    by_n.sort_by_key(|(_, n)| -n);
    (natural, by_n, documents.len() as u64)
}

fn op() -> impl Strategy<Value = Op> {
    let (id, n) = (0..5_i32, 0..6_i32);
    prop_oneof![
        3 => (id.clone(), n.clone()).prop_map(|(id, n)| Op::Insert { id, n }),
        3 => (id.clone(), n.clone()).prop_map(|(id, n)| Op::Set { id, n }),
        1 => (n.clone(), n.clone()).prop_map(|(from, to)| Op::Move { from, to }),
        2 => (id.clone(), n).prop_map(|(id, n)| Op::Upsert { id, n }),
        3 => id.clone().prop_map(|id| Op::Delete { id }),
        2 => (id.clone(), id).prop_map(|(one, other)| Op::Swap { one, other }),
        3 => Just(Op::Begin),
        2 => Just(Op::Commit),
        1 => Just(Op::Abort),
    ]
}

fn who() -> impl Strategy<Value = Who> {
    prop_oneof![
        3 => (0..2_usize).prop_map(Who::Transaction),
        1 => Just(Who::Outside),
    ]
}

/// The single writes of an operation.
fn writes(op: Op, documents: &Documents) -> Vec<Op> {
    let Op::Swap { one, other } = op else { return vec![op] };
    let number = |id: i32| documents.values().find(|document| document.0 == id).map(|(_, n)| *n);
    match (number(one), number(other)) {
        (Some(n), Some(m)) if one != other => {
            let set = |id, n| Op::Set { id, n };
            vec![set(one, SPARE), set(other, n), set(one, m)]
        }
        _ => Vec::new(),
    }
}

/// A number that nobody has for long.
const SPARE: i32 = 99;

/// Runs the steps against the store and the model.
fn run(steps: &[(Who, Op)]) {
    let store = Store::in_memory().unwrap();
    let items = store.database("test").collection::<Document>("items");
    items.create_index(IndexModel::new(doc! { "n": 1 }).unique(true)).unwrap();
    let mut open: [Option<Transaction>; 2] = [None, None];
    let mut model = Model::default();
    for (index, (who, op)) in steps.iter().enumerate() {
        let context = format!("step {index}: {who:?} {op:?}");
        match (*who, *op) {
            (Who::Outside, Op::Begin | Op::Commit | Op::Abort) => continue,
            (Who::Outside, op) => {
                for op in writes(op, &model.committed) {
                    let told = Model::write(&mut model.committed, &mut model.next, op);
                    assert_eq!(write(&items, op), told, "{context}");
                }
            }
            (Who::Transaction(number), Op::Begin) if open[number].is_none() => {
                open[number] = Some(store.begin_transaction_with(&patient()).unwrap());
                let now = model.committed.clone();
                model.open[number] = Some(Open { began_with: now.clone(), now });
            }
            (Who::Transaction(_), Op::Begin) => continue,
            (Who::Transaction(number), op) => {
                let Some(transaction) = open[number].take() else { continue };
                match op {
                    Op::Abort => {
                        transaction.abort();
                        model.open[number] = None;
                    }
                    Op::Commit => {
                        let told = match transaction.commit() {
                            Ok(()) => Told::Changed(0),
                            Err(DocumentError::WriteConflict { .. }) => Told::Conflict,
                            Err(error) => panic!("{context}: {error}"),
                        };
                        assert_eq!(told, model.commit(number), "{context}");
                    }
                    op => {
                        let inside = items.in_transaction(&transaction);
                        let now = &mut model.open[number].as_mut().expect("it is open").now;
                        for op in writes(op, now) {
                            let told = Model::write(now, &mut model.next, op);
                            assert_eq!(write(&inside, op), told, "{context}");
                        }
                        open[number] = Some(transaction);
                    }
                }
            }
        }
        for (transaction, model) in open.iter().zip(&model.open) {
            if let (Some(transaction), Some(model)) = (transaction, model) {
                let inside = items.in_transaction(transaction);
                assert_eq!(read(&inside), expected(&model.now), "{context}");
            }
        }
        assert_eq!(read(&items), expected(&model.committed), "{context}");
    }
    drop(open);
    assert_eq!(store.check().unwrap().problems, Vec::<String>::new());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn two_transactions_and_writes_beside_them_do_what_the_model_does(
        steps in prop::collection::vec((who(), op()), 1..60),
    ) {
        run(&steps);
    }
}
