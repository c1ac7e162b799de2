//! A mongod: locks as documents that a `findAndModify` takes and an `update` gives back, journalled.

use std::thread;

use bson::{RawDocumentBuf, rawdoc};

use super::SharedCaller;
use crate::Result;
use crate::documents::job::{Mark, Names};
use crate::peers::POLL;
use crate::peers::documents::{Connection, marking};

pub(super) struct Caller {
    connection: Connection,
    /// Key and holder.
    held: Option<(String, String)>,
}

impl Caller {
    pub(super) fn new(port: u16) -> Result<Self> {
        Ok(Self { connection: Connection::new(port)?, held: None })
    }

    /// The `value` of the reply to a `findAndModify`; `None` when nothing matched.
    fn find_and_modify(&mut self, command: RawDocumentBuf) -> Option<RawDocumentBuf> {
        let reply = self.connection.run(&addressed(command)).expect("mongod commits");
        reply.get_document("value").ok().map(ToOwned::to_owned)
    }

    /// Makes the document of a lock, which stays.
    fn make(&mut self, key: &str) {
        self.find_and_modify(rawdoc! {
            "findAndModify": "locks",
            "query": { "_id": key },
            "update": { "$setOnInsert": { "lock_id": null } },
            "upsert": true,
            "writeConcern": { "w": 1, "j": true },
        });
    }
}

impl SharedCaller for Caller {
    fn acquire(&mut self, key: &str, holder: &str) {
        loop {
            let taken = self.find_and_modify(rawdoc! {
                "findAndModify": "locks",
                "query": { "_id": key },
                "update": [{ "$set": { "lock_id": { "$ifNull": ["$lock_id", holder] } } }],
                "new": true,
                "writeConcern": { "w": 1, "j": true },
            });
            match taken {
                Some(lock) if lock.get_str("lock_id").ok() == Some(holder) => break,
                Some(_) => thread::sleep(POLL),
                None => self.make(key),
            }
        }
        self.held = Some((key.to_owned(), holder.to_owned()));
    }

    fn release(&mut self) {
        let (key, holder) = self.held.take().expect("a lock is held");
        let command = addressed(rawdoc! {
            "update": "locks",
            "updates": [{ "q": { "_id": key, "lock_id": holder }, "u": { "$set": { "lock_id": null } } }],
            "writeConcern": { "w": 1, "j": true },
        });
        let reply = self.connection.run(&command).expect("mongod commits");
        assert_eq!(reply.get_i32("n").expect("a count"), 1, "it is held");
    }

    fn update(&mut self, names: &Names, mark: &Mark) {
        let found = self.find_and_modify(rawdoc! {
            "findAndModify": "jobs",
            "query": { "db_id": &*names.db_id },
            "update": marking(mark),
            "writeConcern": { "w": 1, "j": true },
        });
        found.expect("there is such a job");
    }
}

fn addressed(mut command: RawDocumentBuf) -> RawDocumentBuf {
    command.append(bson::cstr!("$db"), "bench");
    command
}
