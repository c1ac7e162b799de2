//! Commands of many statements.
//!
//! MongoDB takes 48 MB of documents in one message, but 16 MiB in a command that is one document, as the driver sends those that it is
//! given. So a larger one becomes several, and their replies one.

use std::ops::{ControlFlow, Range};

use bson::{RawArrayBuf, RawDocument, RawDocumentBuf, cstr, rawdoc};
use lockstore::StoreError;
use lockstore::remote::serving;

use super::body::{code_of, has_field, has_succeeded, name_of, number, tells_of_failure};

/// An `insert`, `update` or `delete`, and its statements.
#[derive(Debug)]
pub(super) struct Batch<'c> {
    command: &'c RawDocument,
    /// The name of the array that they are in.
    list: &'static str,
    statements: Vec<&'c RawDocument>,
    /// Whether the first that fails is the last that is tried.
    pub(super) is_ordered: bool,
}

/// One reply made of those of parts of a batch.
#[derive(Debug)]
pub(super) struct Merged {
    is_ordered: bool,
    n: i64,
    modified: Option<i64>,
    upserted: Vec<RawDocumentBuf>,
    errors: Vec<RawDocumentBuf>,
    concern_error: Option<RawDocumentBuf>,
    /// The reply of the first part, if all of it was refused.
    refused: Option<RawDocumentBuf>,
}

impl<'c> Batch<'c> {
    /// The batch that a command is. What is not as it should be is none, which MongoDB is left to say.
    pub(super) fn of(command: &'c RawDocument) -> Option<Self> {
        let list = match name_of(command) {
            "insert" => "documents",
            "update" => "updates",
            "delete" => "deletes",
            _ => return None,
        };
        let items = command.get_array(list).ok()?.into_iter();
        let statements = items.map(|item| item.ok()?.as_document()).collect::<Option<_>>()?;
        let is_ordered = command.get_bool("ordered").unwrap_or(true);
        Some(Self { command, list, statements, is_ordered })
    }

    pub(super) fn len(&self) -> usize {
        self.statements.len()
    }

    /// Whether it has to be sent in parts.
    pub(super) fn is_too_large(&self) -> bool {
        self.command.as_bytes().len() > BYTES_MAX && self.len() > 1
    }

    /// The statements that fit into one command each, one at least.
    pub(super) fn parts(&self) -> Vec<Range<usize>> {
        let sizes = self.statements.iter().map(|it| it.as_bytes().len() + ITEM_BYTES);
        let head = self.command.as_bytes().len().saturating_sub(sizes.clone().sum());
        let (mut parts, mut first, mut bytes) = (Vec::new(), 0, head);
        for (index, size) in sizes.enumerate() {
            if index > first && bytes + size > BYTES_MAX {
                parts.push(first..index);
                (first, bytes) = (index, head);
            }
            bytes += size;
        }
        parts.push(first..self.len());
        parts
    }

    /// The command with some of the statements.
    pub(super) fn command(&self, part: Range<usize>) -> RawDocumentBuf {
        let mut command = RawDocumentBuf::new();
        for (name, value) in self.command.iter().flatten() {
            if name.as_str() != self.list {
                command.append(name, value);
                continue;
            }
            let mut statements = RawArrayBuf::new();
            for statement in &self.statements[part.clone()] {
                statements.push((*statement).to_owned());
            }
            command.append(name, statements);
        }
        command
    }
}

impl Merged {
    pub(super) fn new(batch: &Batch<'_>) -> Self {
        Self {
            is_ordered: batch.is_ordered,
            n: 0,
            modified: None,
            upserted: Vec::new(),
            errors: Vec::new(),
            concern_error: None,
            refused: None,
        }
    }

    /// Adds the reply to a part, and tells whether the next is to be tried.
    pub(super) fn add(&mut self, part: Range<usize>, reply: &RawDocument) -> ControlFlow<()> {
        if has_succeeded(reply) {
            self.add_done(part.start, reply);
        } else if part.start == 0 {
            self.refused = Some(reply.to_owned());
            return ControlFlow::Break(());
        } else {
            let failed =
                if self.is_ordered { part.start..=part.start } else { part.start..=part.end - 1 };
            self.errors.extend(failed.map(|index| failure_at(index, reply)));
        }
        if self.is_ordered && !self.errors.is_empty() {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    /// Adds what a part has come to, and tells whether the next is to be tried. Without a reply nothing is known of its statements, and those behind
    /// it are not tried: that is told of them, if others are done; else it is what all of the batch comes to.
    pub(super) fn take(
        &mut self,
        batch: &Batch<'_>,
        part: Range<usize>,
        came: Result<RawDocumentBuf, StoreError>,
    ) -> Result<ControlFlow<()>, StoreError> {
        match came {
            Ok(reply) => Ok(self.add(part, &reply)),
            Err(error) if part.start == 0 => Err(error),
            Err(error) => {
                let told = serving::failed(&error.into());
                let _ = self.add(part.start..batch.len(), &told);
                Ok(ControlFlow::Break(()))
            }
        }
    }

    fn add_done(&mut self, first: usize, reply: &RawDocument) {
        self.n += number(reply, "n").unwrap_or(0);
        if let Some(modified) = number(reply, "nModified") {
            *self.modified.get_or_insert(0) += modified;
        }
        for (name, to) in [("upserted", &mut self.upserted), ("writeErrors", &mut self.errors)] {
            let Ok(items) = reply.get_array(name) else { continue };
            let items = items.into_iter().flatten().filter_map(bson::RawBsonRef::as_document);
            to.extend(items.map(|item| moved(item, first)));
        }
        if let Ok(error) = reply.get_document("writeConcernError") {
            self.concern_error = Some(error.to_owned());
        }
    }

    /// The whole reply.
    pub(super) fn finish(self) -> RawDocumentBuf {
        if let Some(refused) = self.refused {
            return refused;
        }
        let mut reply = rawdoc! { "n": self.n };
        if let Some(modified) = self.modified {
            reply.append(cstr!("nModified"), modified);
        }
        for (name, items) in
            [(cstr!("upserted"), self.upserted), (cstr!("writeErrors"), self.errors)]
        {
            if !items.is_empty() {
                reply.append(name, RawArrayBuf::from_iter(items));
            }
        }
        if let Some(error) = self.concern_error {
            reply.append(cstr!("writeConcernError"), error);
        }
        reply.append(cstr!("ok"), 1.0);
        reply
    }
}

/// Which statement failed first, if a reply tells of one.
pub(super) fn first_failed(reply: &RawDocument) -> Option<usize> {
    let errors = reply.get_array("writeErrors").ok()?;
    let indexes = errors.into_iter().flatten().filter_map(|error| index_of(error.as_document()?));
    debug_assert!(tells_of_failure(reply));
    indexes.min()
}

fn index_of(item: &RawDocument) -> Option<usize> {
    number(item, "index").and_then(|index| usize::try_from(index).ok())
}

/// An item of a reply, whose statement stands behind `first` others.
fn moved(item: &RawDocument, first: usize) -> RawDocumentBuf {
    let mut moved = RawDocumentBuf::new();
    for (name, value) in item.iter().flatten() {
        match (name.as_str(), index_of(item)) {
            ("index", Some(index)) => moved.append(name, int(index + first)),
            _ => moved.append(name, value),
        }
    }
    moved
}

/// An item of `writeErrors` for a statement that was not tried, as its whole command was refused.
fn failure_at(index: usize, refused: &RawDocument) -> RawDocumentBuf {
    let message = refused.get_str("errmsg").unwrap_or("a failure without a reason");
    let mut failure = rawdoc! { "index": int(index), "code": code_of(refused).unwrap_or(1) };
    if has_field(refused, "errInfo")
        && let Ok(info) = refused.get_document("errInfo")
    {
        failure.append(cstr!("errInfo"), info.to_owned());
    }
    failure.append(cstr!("errmsg"), message);
    failure
}

fn int(index: usize) -> i32 {
    i32::try_from(index).unwrap_or(i32::MAX)
}

/// How large a command of several statements may be: MongoDB's 16 MiB and 16 KiB, but for some room for what the driver adds.
const BYTES_MAX: usize = (16 << 20) + (8 << 10);

/// What an item of an array has besides its value, at most: its type, and its index of five digits.
const ITEM_BYTES: usize = 7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_that_is_too_large_is_cut_where_it_fits() {
        let large = "x".repeat(5 << 20);
        let mut documents = RawArrayBuf::new();
        for id in 0..8 {
            documents.push(rawdoc! { "_id": id, "large": large.as_str() });
        }
        let command =
            rawdoc! { "insert": "c", "ordered": true, "documents": documents, "comment": 1 };
        let batch = Batch::of(&command).unwrap();
        assert!(batch.is_too_large());
        let parts = batch.parts();
        assert_eq!(parts, [0..3, 3..6, 6..8]);
        for part in parts {
            let one = batch.command(part.clone());
            assert!(one.as_bytes().len() <= BYTES_MAX);
            assert_eq!(one.get_i32("comment").unwrap(), 1);
            assert_eq!(Batch::of(&one).unwrap().len(), part.len());
        }
        let small = rawdoc! { "insert": "c", "documents": [{}, {}] };
        assert!(!Batch::of(&small).unwrap().is_too_large());
    }

    #[test]
    fn the_replies_of_the_parts_become_one() {
        let command = rawdoc! { "update": "c", "updates": [{}, {}, {}, {}], "ordered": false };
        let batch = Batch::of(&command).unwrap();
        let mut merged = Merged::new(&batch);
        let first =
            rawdoc! { "ok": 1.0, "n": 2, "nModified": 1, "upserted": [{ "index": 1, "_id": "a" }] };
        let second = rawdoc! { "ok": 1.0, "n": 1, "nModified": 1, "writeErrors": [{ "index": 0, "code": 11_000 }] };
        assert!(merged.add(0..2, &first).is_continue());
        assert!(merged.add(2..4, &second).is_continue());
        let expected = rawdoc! {
            "n": 3_i64, "nModified": 2_i64, "upserted": [{ "index": 1, "_id": "a" }],
            "writeErrors": [{ "index": 2, "code": 11_000 }], "ok": 1.0,
        };
        assert_eq!(merged.finish(), expected);
    }

    #[test]
    fn a_part_that_is_refused_after_others_were_done_is_told_by_statement() {
        let refused = rawdoc! { "ok": 0.0, "code": 50, "errmsg": "too late" };
        for (ordered, indexes) in [(true, vec![2]), (false, vec![2, 3])] {
            let command =
                rawdoc! { "delete": "c", "deletes": [{}, {}, {}, {}], "ordered": ordered };
            let mut merged = Merged::new(&Batch::of(&command).unwrap());
            assert!(merged.add(0..2, &rawdoc! { "ok": 1.0, "n": 2 }).is_continue());
            assert_eq!(merged.add(2..4, &refused).is_break(), ordered);
            let reply = merged.finish();
            let errors = reply.get_array("writeErrors").unwrap().into_iter().flatten();
            let told: Vec<_> =
                errors.map(|error| index_of(error.as_document().unwrap()).unwrap()).collect();
            assert_eq!(told, indexes);
        }
    }
}
