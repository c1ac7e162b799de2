//! A predicate about a document, and how the fields of the document are found: in one walk over its bytes, which
//! goes only as far as it must.

use super::predicate::Predicate;
use crate::raw::Elements;
use crate::{Document, Value};

/// A predicate, and the names of the fields of a document that it looks at.
#[derive(Clone, Debug)]
pub struct ObjectPredicate {
    root: Predicate,
    /// The first parts of the paths, each once; not more than [`HEADS_MAX`]. Paths that begin otherwise search for
    /// themselves.
    heads: Box<[Box<str>]>,
    /// The [`mark`]s of the heads.
    marks: u64,
}

/// How many fields are found in one walk.
const HEADS_MAX: usize = 8;

impl ObjectPredicate {
    pub(super) fn new(mut root: Predicate) -> Self {
        let mut heads = Vec::new();
        assign_heads(&mut root, &mut heads);
        let marks = heads.iter().fold(0, |marks, head| marks | mark(head.as_bytes()));
        Self { root, heads: heads.into(), marks }
    }

    /// What is asked.
    pub fn root(&self) -> &Predicate {
        &self.root
    }

    pub(super) fn fields<'a>(&'a self, document: Document<'a>) -> FieldFinder<'a> {
        FieldFinder {
            document,
            heads: &self.heads,
            marks: self.marks,
            rest: document.raw_bytes().map(Elements::of),
            found: [Value::Missing; HEADS_MAX],
            known: 0,
        }
    }
}

/// One of 64 bits that tell most names apart: by their first byte and length.
fn mark(name: &[u8]) -> u64 {
    let first = name.first().copied().unwrap_or_default();
    1 << ((usize::from(first) + 8 * name.len()) % 64)
}

fn assign_heads(predicate: &mut Predicate, heads: &mut Vec<Box<str>>) {
    match predicate {
        Predicate::And(parts) | Predicate::Or(parts) | Predicate::Nor(parts) => {
            for part in parts {
                assign_heads(part, heads);
            }
        }
        Predicate::Not(part) => assign_heads(part, heads),
        Predicate::Field(field) => {
            let name = field.path.part(0);
            let place = heads.iter().position(|head| **head == *name).unwrap_or_else(|| {
                if heads.len() < HEADS_MAX {
                    heads.push(name.into());
                    heads.len() - 1
                } else {
                    HEADS_MAX
                }
            });
            field.head = u8::try_from(place).expect("there are few heads");
        }
        Predicate::Expression(_) | Predicate::Always(_) => {}
    }
}

/// Finds the fields of one document.
pub(super) struct FieldFinder<'a> {
    pub(super) document: Document<'a>,
    heads: &'a [Box<str>],
    marks: u64,
    /// What has not been walked over; nothing for a document that was built.
    rest: Option<Elements<'a>>,
    found: [Value<'a>; HEADS_MAX],
    /// Which of `found` are known: one bit for each.
    known: u8,
}

impl<'a> FieldFinder<'a> {
    /// The value of the field `name`, which is the head `head`.
    pub(super) fn get(&mut self, head: u8, name: &str) -> Value<'a> {
        let head = usize::from(head);
        let Some(rest) = &mut self.rest else { return self.document.get(name) };
        if head >= self.heads.len() {
            return self.document.get(name);
        }
        if self.known & 1 << head != 0 {
            return self.found[head];
        }
        for element in rest.by_ref() {
            let bytes = element.name_bytes();
            if self.marks & mark(bytes) == 0 {
                continue;
            }
            let Some(place) = self.heads.iter().position(|head| head.as_bytes() == bytes) else {
                continue;
            };
            // Of fields with one name the first counts.
            if self.known & 1 << place == 0 {
                self.known |= 1 << place;
                self.found[place] = element.value();
                if place == head {
                    return self.found[head];
                }
            }
        }
        self.known = u8::MAX;
        Value::Missing
    }
}
