//! `$unwind`: a document for each item of an array.

use std::sync::Arc;

use bson::RawDocumentBuf;

use super::streaming::Streaming;
use super::{Documents, Source, Visit};
use crate::path::Path;
use crate::raw::Elements;
use crate::{Arena, Document, Error, Result, Value, nested};

/// `$unwind`, parsed.
#[derive(Clone, Debug)]
pub(crate) struct Unwind {
    path: Path,
    index: Option<Path>,
    keeps_empty: bool,
}

impl Unwind {
    pub(crate) fn parse(spec: Value<'_>) -> Result<Self> {
        let mut path = "";
        let (mut index, mut keeps_empty) = (None, false);
        match spec {
            Value::String(text) => path = text,
            Value::Document(spec) => {
                for (name, value) in spec {
                    match (name, value) {
                        ("path", Value::String(text)) => path = text,
                        ("path", _) => return Err(wrong_type(28808, "path", "a string", value)),
                        ("preserveNullAndEmptyArrays", Value::Bool(truth)) => keeps_empty = truth,
                        ("preserveNullAndEmptyArrays", _) => {
                            return Err(wrong_type(28809, name, "a boolean", value));
                        }
                        ("includeArrayIndex", Value::String(text)) if text.starts_with('$') => {
                            let message = format!(
                                "includeArrayIndex of $unwind must not begin with '$': '{text}'"
                            );
                            return Err(Error::location(28822, message));
                        }
                        ("includeArrayIndex", Value::String(text)) if !text.is_empty() => {
                            index = Some(text);
                        }
                        ("includeArrayIndex", _) => {
                            return Err(wrong_type(
                                28810,
                                name,
                                "a string that is not empty",
                                value,
                            ));
                        }
                        _ => {
                            let message = format!(
                                "$unwind has no option '{name}'; it takes path, includeArrayIndex, preserveNullAndEmptyArrays"
                            );
                            return Err(Error::location(28811, message));
                        }
                    }
                }
            }
            _ => {
                let message =
                    format!("$unwind takes a string or an object, not {}", spec.type_name());
                return Err(Error::location(15981, message));
            }
        }
        if path.is_empty() {
            return Err(Error::location(28812, "$unwind needs a path"));
        }
        let Some(path) = path.strip_prefix('$') else {
            let message = format!("the path of $unwind begins with '$': '${path}', not '{path}'");
            return Err(Error::location(28818, message));
        };
        if path.contains('\0') {
            return Err(Error::location(16419, "a field path must not contain a null byte"));
        }
        let index = index.map(Path::field);
        Ok(Self { path: Path::field(path)?, index: index.transpose()?, keeps_empty })
    }

    /// Whether it unwinds the array at `path`.
    pub(crate) fn is_of(&self, path: &Path) -> bool {
        self.path == *path
    }

    /// What `document` gives whose `value` at the path has no items.
    fn without_items<'a>(
        &'a self,
        document: Document<'a>,
        value: Value<'a>,
        arena: &'a Arena,
    ) -> Result<Option<Document<'a>>> {
        let gone = matches!(value, Value::Array(_)).then_some(Value::Missing);
        if !self.keeps_empty && (gone.is_some() || value.is_nullish()) {
            return Ok(None);
        }
        self.document(document, gone, None, arena).map(Some)
    }

    /// `document` with `value` in the place of the array, and the place of the value in it.
    fn document<'a>(
        &'a self,
        document: Document<'a>,
        value: Option<Value<'a>>,
        index: Option<i64>,
        arena: &'a Arena,
    ) -> Result<Document<'a>> {
        let mut unwound = document;
        if let Some(value) = value {
            unwound = nested::set(unwound, &self.path, self.path.len(), value, arena)?;
        }
        if let Some(path) = &self.index {
            let index = index.map_or(Value::Null, Value::Int64);
            unwound = nested::set(unwound, path, path.len(), index, arena)?;
        }
        Ok(unwound)
    }
}

fn wrong_type(code: i32, option: &str, expected: &str, value: Value<'_>) -> Error {
    let message = format!("{option} of $unwind takes {expected}, not {}", value.type_name());
    Error::location(code, message)
}

/// The documents that come out of an `$unwind` and the streaming stages behind it, which work on what was unwound
/// before it is written.
#[derive(Debug)]
pub(crate) struct Unwinding {
    unwind: Arc<Unwind>,
    input: Documents,
    streaming: Streaming,
    arena: Arena,
    current: Option<Current>,
}

/// A document whose array is being unwound.
#[derive(Debug)]
struct Current {
    document: RawDocumentBuf,
    /// Where the next item of the array begins in the document, and where the array ends.
    next: usize,
    end: usize,
    index: i64,
}

impl Unwinding {
    pub(crate) fn new(unwind: Arc<Unwind>, input: Documents, streaming: Streaming) -> Self {
        Self { unwind, input, streaming, arena: Arena::new(), current: None }
    }

    /// What the next item of the current array gives; `None` when there is none left.
    fn next_item(&mut self) -> Option<Result<Option<RawDocumentBuf>>> {
        let current = self.current.as_mut()?;
        let array = &current.document.as_bytes()[current.next..current.end];
        let Some(element) = Elements::from_rest(array).next() else {
            self.current = None;
            return None;
        };
        current.next += element.whole().len();
        let index = current.index;
        current.index += 1;
        self.arena.reset();
        let root = Document::from(&*current.document);
        let unwound = self.unwind.document(root, Some(element.value()), Some(index), &self.arena);
        Some(unwound.and_then(|unwound| self.streaming.finish(unwound, &self.arena)))
    }

    /// Takes up the next document. Gives what comes of it at once, if it has no array to unwind.
    fn next_document(&mut self, document: RawDocumentBuf) -> Result<Option<RawDocumentBuf>> {
        let root = Document::from(&*document);
        let value = nested::get(root, &self.unwind.path);
        if matches!(value, Value::Array(array) if !array.is_empty()) {
            if let Some(range) = range_of(&document, &self.unwind.path) {
                self.current =
                    Some(Current { next: range.start, end: range.end, document, index: 0 });
            }
            return Ok(None);
        }
        self.arena.reset();
        match self.unwind.without_items(root, value, &self.arena)? {
            Some(unwound) => self.streaming.finish(unwound, &self.arena),
            None => Ok(None),
        }
    }
}

impl Source for Unwinding {
    fn next(&mut self) -> Result<Option<RawDocumentBuf>> {
        loop {
            let found = match self.next_item() {
                Some(found) => found?,
                None => match self.input.next()? {
                    Some(document) => self.next_document(document)?,
                    None => return Ok(None),
                },
            };
            if found.is_some() {
                return Ok(found);
            }
        }
    }

    fn for_each(&mut self, visit: &mut Visit<'_>) -> Result<()> {
        while let Some(found) = self.next_item() {
            if let Some(found) = found? {
                visit(Document::from(&*found))?;
            }
        }
        let Self { unwind, input, streaming, arena, .. } = self;
        input.for_each(&mut |root| match nested::get(root, &unwind.path) {
            Value::Array(array) if !array.is_empty() => {
                for (index, item) in (0..).zip(array.iter()) {
                    arena.reset();
                    let unwound = unwind.document(root, Some(item), Some(index), arena)?;
                    streaming.show(unwound, arena, visit)?;
                }
                Ok(())
            }
            value => match unwind.without_items(root, value, arena)? {
                Some(unwound) => streaming.show(unwound, arena, visit),
                None => Ok(()),
            },
        })
    }
}

/// Where the elements of the array at `path` stand in the bytes of `document`, the 0 behind them included.
fn range_of(document: &RawDocumentBuf, path: &Path) -> Option<std::ops::Range<usize>> {
    let bytes = document.as_bytes();
    let mut range = 4..bytes.len();
    for part in path.parts() {
        let mut start = range.start;
        let mut elements = Elements::from_rest(&bytes[range.clone()]);
        let value = loop {
            let element = elements.next()?;
            start += element.whole().len();
            if element.name() == part {
                break element.bytes().len();
            }
        };
        range = start - value + 4..start;
    }
    Some(range)
}

#[cfg(test)]
mod tests {
    use bson::bson;

    use super::super::testing::{check, check_error};

    #[test]
    fn each_item_gives_a_document() {
        check(
            bson!([{"$unwind": "$a"}]),
            bson!([{"_id": 1, "a": [1, {"b": 2}], "c": 3}, {"_id": 2, "a": 5}]),
            bson!([{"_id": 1, "a": 1, "c": 3}, {"_id": 1, "a": {"b": 2}, "c": 3}, {"_id": 2, "a": 5}]),
        );
        check(
            bson!([{"$unwind": "$a.b"}, {"$match": {"a.b": 2}}, {"$set": {"c": "$a.b"}}]),
            bson!([{"x": [0], "a": {"z": 0, "b": [1, 2]}}]),
            bson!([{"x": [0], "a": {"z": 0, "b": 2}, "c": 2}]),
        );
    }

    #[test]
    fn nothing_to_unwind_gives_no_document_unless_it_is_kept() {
        let documents = bson!([{"_id": 1, "a": []}, {"_id": 2, "a": null}, {"_id": 3}]);
        check(bson!([{"$unwind": "$a"}]), documents.clone(), bson!([]));
        check(
            bson!([{"$unwind": {"path": "$a", "preserveNullAndEmptyArrays": true}}]),
            documents,
            bson!([{"_id": 1}, {"_id": 2, "a": null}, {"_id": 3}]),
        );
        check(bson!([{"$unwind": "$a.b"}]), bson!([{"a": [{"b": [1]}]}]), bson!([]));
    }

    #[test]
    fn places_are_longs_or_null() {
        check(
            bson!([{"$unwind": {"path": "$a", "includeArrayIndex": "i.j"}}]),
            bson!([{"a": ["x", "y"], "i": 1}, {"a": 5}]),
            bson!([{"a": "x", "i": {"j": 0_i64}}, {"a": "y", "i": {"j": 1_i64}}, {"a": 5, "i": {"j": null}}]),
        );
    }

    #[test]
    fn what_is_no_unwind_is_refused() {
        check_error(bson!([{"$unwind": 1}]), bson!([]), 15981);
        check_error(bson!([{"$unwind": {"path": 1}}]), bson!([]), 28808);
        check_error(bson!([{"$unwind": {}}]), bson!([]), 28812);
        check_error(bson!([{"$unwind": "a"}]), bson!([]), 28818);
        check_error(
            bson!([{"$unwind": {"path": "$a", "includeArrayIndex": "$i"}}]),
            bson!([]),
            28822,
        );
        check_error(bson!([{"$unwind": {"path": "$a", "other": 1}}]), bson!([]), 28811);
    }

    #[test]
    fn a_large_array_is_unwound_lazily() {
        let items: Vec<bson::Bson> = (0..100_000).map(|item| bson!(item)).collect();
        check(
            bson!([{"$unwind": "$a"}, {"$limit": 1}, {"$project": {"b": 0}}]),
            bson!([{"a": items, "b": "x".repeat(1_000_000)}]),
            bson!([{"a": 0}]),
        );
    }
}
