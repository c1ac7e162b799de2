//! What a filter asks, as a tree that others may read: the planner of indexes, and upserts.

use super::bits::BitTest;
use super::in_list::InList;
use super::object::ObjectPredicate;
use super::types::TypeSet;
use crate::path::Path;
use crate::regex::Regex;
use crate::{Expression, OwnedValue};

/// A question about a document.
///
/// The parser has simplified it: no `And` stands directly in an `And`, no `Or` in an `Or`, neither has fewer than two
/// parts (but for the empty `And` of the filter `{}`), `$in` with one value is `Equal`, and `$or` of equalities of one
/// path is `In`. The parts of an `And` are ordered as MongoDB's planner orders them: by operator, then by path.
#[derive(Clone, Debug)]
pub enum Predicate {
    /// All hold.
    And(Vec<Predicate>),
    /// One holds.
    Or(Vec<Predicate>),
    /// None holds.
    Nor(Vec<Predicate>),
    /// It does not hold: `$not`, `$ne`, `$nin`, `{$exists: false}`.
    Not(Box<Predicate>),
    /// A value that a path leads to passes a test.
    Field(FieldPredicate),
    /// `$expr`: the expression is true.
    Expression(Expression),
    /// Always true, or never.
    Always(bool),
}

/// A test of what a path leads to: it holds if one of the values passes.
///
/// A path goes into documents, and into the documents that are items of an array. At the end of the path an array's items
/// are tested, and then the array itself; but `Size`, `ElementObject` and `ElementValue` test only the array itself.
/// Where there is no value, `Missing` is tested.
#[derive(Clone, Debug)]
pub struct FieldPredicate {
    pub(super) path: Path,
    /// Which of the names in [`ObjectPredicate`] the path begins with.
    pub(super) head: u8,
    /// Its place among the parts of the filter as they were written.
    pub(super) order: u32,
    pub(super) test: Test,
}

/// A test of one value.
#[derive(Clone, Debug)]
pub enum Test {
    /// `$eq`, `$lt`, `$lte`, `$gt`, `$gte`. Values of another type never pass, but for those that `MinKey` and `MaxKey` are
    /// compared with. Null is equal to undefined and to what is missing.
    Compare(Comparison, OwnedValue),
    /// `$in`.
    In(InList),
    /// `$regex`.
    Regex(Regex),
    /// `$mod`: the remainder of the division, which is truncated.
    Mod {
        /// By what is divided; not 0.
        divisor: i64,
        /// What must remain.
        remainder: i64,
    },
    /// `$exists: true`.
    Exists,
    /// `$type`.
    Type(TypeSet),
    /// `$size`.
    Size(u32),
    /// `$bitsAllSet` and the like.
    Bits(BitTest),
    /// `$elemMatch` with a filter: an item is a document, or an array, that matches.
    ElementObject(Box<ObjectPredicate>),
    /// `$elemMatch` with operators: an item passes all these tests. Paths in them are empty and mean the item itself.
    ElementValue(Vec<Predicate>),
}

/// How a value is compared with the operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `$eq`
    Equal,
    /// `$lt`
    Less,
    /// `$lte`
    LessOrEqual,
    /// `$gt`
    Greater,
    /// `$gte`
    GreaterOrEqual,
}

impl Comparison {
    /// The same with its sides exchanged.
    pub(crate) fn turned(self) -> Self {
        match self {
            Self::Equal => Self::Equal,
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
        }
    }
}

impl FieldPredicate {
    pub(super) fn new(path: &str, test: Test) -> Self {
        Self { path: Path::new(path), head: u8::MAX, order: 0, test }
    }

    /// Where the value is looked for.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it must be.
    pub fn test(&self) -> &Test {
        &self.test
    }
}

impl Predicate {
    pub(super) fn field(path: &str, test: Test) -> Self {
        Self::Field(FieldPredicate::new(path, test))
    }

    pub(super) fn not(self) -> Self {
        Self::Not(Box::new(self))
    }

    /// The parts it is made of; none for what has no parts.
    pub fn parts(&self) -> &[Predicate] {
        match self {
            Self::And(parts) | Self::Or(parts) | Self::Nor(parts) => parts,
            Self::Not(part) => std::slice::from_ref(part),
            Self::Field(_) | Self::Expression(_) | Self::Always(_) => &[],
        }
    }

    /// Whether there is a `$expr` in it.
    pub(super) fn has_expression(&self) -> bool {
        matches!(self, Self::Expression(_)) || self.parts().iter().any(Self::has_expression)
    }
}

impl Test {
    /// Whether it asks an array's items as well as the array.
    pub(super) fn asks_items(&self) -> bool {
        match self {
            Self::Size(_) | Self::ElementObject(_) | Self::ElementValue(_) => false,
            Self::Compare(..)
            | Self::In(_)
            | Self::Regex(_)
            | Self::Mod { .. }
            | Self::Exists
            | Self::Type(_)
            | Self::Bits(_) => true,
        }
    }
}
