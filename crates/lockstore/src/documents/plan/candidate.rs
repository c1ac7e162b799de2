//! An index that may serve a condition, and how well.

use std::cmp::Reverse;
use std::sync::Arc;

use docquery::key::{self, Bounds, KeyRanges};
use docquery::path::array_index;

use super::condition::{Condition, Element, Leaf};
use super::order;
use super::scan::IndexScan;
use crate::disk::Direction;
use crate::documents::Index;

/// A way to find documents with one index, or with one for each branch of a `$or`.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) scans: Vec<IndexScan>,
    pub(super) rank: Rank,
    /// Whether the documents come in the order of the sort.
    pub(super) gives_order: bool,
    /// Whether every document that is found matches.
    pub(super) is_exact: bool,
}

/// How good a candidate is; the greatest is the best. There are no statistics: what counts is how much of the index the
/// bounds leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    /// At most one document is found.
    is_unique: bool,
    /// How many fields in front are bound to single values.
    equal_fields: usize,
    /// Whether the field behind them has bounds.
    is_ranged: bool,
    gives_order: bool,
    /// How many fields further behind have bounds.
    checked_fields: usize,
    /// The shorter index is the better.
    fields: Reverse<usize>,
}

impl Rank {
    /// Whether bounds leave a part of the index in front.
    pub(super) fn is_bound(&self) -> bool {
        self.equal_fields > 0 || self.is_ranged
    }
}

/// The best candidate of several; of those that are equally good the first.
pub(super) fn best(candidates: impl Iterator<Item = Candidate>) -> Option<Candidate> {
    let mut best: Option<Candidate> = None;
    for candidate in candidates {
        if best.as_ref().is_none_or(|best| candidate.rank > best.rank) {
            // Nothing is better than one document at most.
            let is_unique = candidate.rank.is_unique;
            best = Some(candidate);
            if is_unique {
                break;
            }
        }
    }
    best
}

/// All candidates for `condition`. Each finds all documents that it is true for.
pub(super) fn candidates<'c>(
    indexes: &'c [&'c Arc<Index>],
    condition: &'c Condition<'_>,
    sort: Option<&'c [(&'c str, key::Direction)]>,
) -> impl Iterator<Item = Candidate> + 'c {
    let useful = indexes.iter().filter(|index| condition.binds(leading_path(index)));
    let single = useful.filter_map(move |index| {
        let bound = Bound::new(index, condition);
        (bound.leaves_out() && bound.finds_all(index, condition))
            .then(|| bound.candidate(index, sort))
    });
    let many = condition.choices.iter().filter_map(|branches| union(indexes, condition, branches));
    single.chain(many)
}

/// The path of the first field: without bounds for it, bounds leave no part of the index in front.
fn leading_path(index: &Index) -> &str {
    index.pattern().fields()[0].path().as_str()
}

/// The candidate for a sort alone: an index that gives its order.
pub(super) fn in_order(
    indexes: &[&Arc<Index>],
    condition: &Condition<'_>,
    sort: &[(&str, key::Direction)],
) -> Option<Candidate> {
    let ordered = indexes.iter().filter_map(|index| {
        let bound = Bound::new(index, condition);
        let finds_all = bound.finds_all(index, condition);
        let candidate = bound.candidate(index, Some(sort));
        (candidate.gives_order && finds_all).then_some(candidate)
    });
    best(ordered)
}

/// The candidate that uses `index`, whether it finds all documents or not.
pub(super) fn hinted(
    index: &Arc<Index>,
    condition: &Condition<'_>,
    sort: Option<&[(&str, key::Direction)]>,
) -> Candidate {
    Bound::new(index, condition).candidate(index, sort)
}

/// One index for each branch of a `$or`, together with all else that must hold.
fn union(
    indexes: &[&Arc<Index>],
    condition: &Condition<'_>,
    branches: &[Condition<'_>],
) -> Option<Candidate> {
    if branches.len() > BRANCHES_MAX {
        return None;
    }
    let leaves = condition.leaves.iter().take(SHARED_LEAVES_MAX).cloned().collect();
    let outer = Condition { leaves, complete: false, ..Condition::default() };
    let mut scans = Vec::new();
    let mut rank: Option<Rank> = None;
    for branch in branches.iter().filter(|branch| !branch.never) {
        let branch = branch.and(&outer);
        let best = best(candidates(indexes, &branch, None))?;
        rank = Some(rank.map_or(best.rank, |rank| rank.min(best.rank)));
        scans.extend(best.scans);
    }
    let rank = Rank { is_unique: false, ..rank? };
    Some(Candidate { scans, rank, gives_order: false, is_exact: false })
}

/// How many branches of a `$or` may each have an index of its own.
const BRANCHES_MAX: usize = 1_000;

/// How much of what stands beside a `$or` may help to find an index for each branch.
const SHARED_LEAVES_MAX: usize = 64;

/// The bounds that a condition sets in an index.
struct Bound {
    /// One for each field.
    bounds: Vec<Bounds>,
    /// Whether the bounds say all that the condition does.
    is_exact: bool,
}

impl Bound {
    fn new(index: &Index, condition: &Condition<'_>) -> Self {
        let fields = index.pattern().fields();
        let is_multikey = |place: usize| index.multikey() >> place & 1 == 1;
        let head = |place: usize| fields[place].path().part(0);
        let mut bounds = Vec::with_capacity(fields.len());
        let mut used = 0;
        // Of the fields that may meet one array: what stands in the `$elemMatch` of the first that is bound.
        let mut arrays: Vec<(&str, Option<&Element>)> = Vec::new();
        let mut are_exact = true;
        for (place, field) in fields.iter().enumerate() {
            let path = field.path();
            let names_place = path.parts().any(|part| array_index(part).is_some());
            let mut leaves = condition.leaves.iter().filter(|leaf| leaf.path == path.as_str());
            let of_field = if is_multikey(place) || names_place {
                let may_share = |leaf: &&Leaf<'_>| {
                    let mut others = arrays.iter().filter(|(array, _)| *array == head(place));
                    others.all(|(_, other)| match (other, &leaf.element) {
                        (Some(other), Some(element)) => element.shares_a_key_with(other),
                        (Some(_) | None, _) => false,
                    })
                };
                let leaf = best_leaf(leaves.filter(may_share));
                if let Some(leaf) = leaf {
                    used += 1;
                    arrays.push((head(place), leaf.element.as_ref()));
                }
                leaf.map(|leaf| leaf.bounds(true).clone())
            } else {
                leaves.next().map(|first| {
                    used += 1;
                    let first = first.bounds(false).clone();
                    leaves.fold(first, |bounds, leaf| {
                        used += 1;
                        bounds.intersection(leaf.bounds(false))
                    })
                })
            };
            let of_field =
                of_field.map(|bounds| if names_place { bounds.of_place() } else { bounds });
            are_exact &= of_field.as_ref().is_none_or(Bounds::is_exact);
            bounds.push(of_field.unwrap_or_else(Bounds::all));
        }
        let is_exact =
            condition.complete && !condition.never && are_exact && used == condition.leaves.len();
        Self { bounds, is_exact }
    }

    /// Whether the bounds of the first field leave something out, be it documents that the index does not have.
    fn leaves_out(&self) -> bool {
        !self.bounds[0].is_all() || !self.bounds[0].holds_missing()
    }

    /// Whether the index has every document that the condition is true for.
    fn finds_all(&self, index: &Index, condition: &Condition<'_>) -> bool {
        let in_sparse =
            !index.is_sparse() || self.bounds.iter().any(|bounds| !bounds.holds_missing());
        let in_partial =
            index.partial_filter().is_none_or(|filter| condition.implies(filter.predicates()));
        in_sparse && in_partial
    }

    fn candidate(self, index: &Arc<Index>, sort: Option<&[(&str, key::Direction)]>) -> Candidate {
        let pattern = index.pattern();
        let direction = sort
            .and_then(|sort| order::scan_direction(pattern, index.multikey(), &self.bounds, sort));
        let equal_fields = self.bounds.iter().take_while(|bounds| bounds.is_points()).count();
        let mut behind = self.bounds[equal_fields..].iter().map(|bounds| !bounds.is_all());
        let rank = Rank {
            is_unique: index.is_unique_point(&self.bounds),
            equal_fields,
            is_ranged: behind.next().unwrap_or(false),
            gives_order: direction.is_some(),
            checked_fields: behind.filter(|is_bound| *is_bound).count(),
            fields: Reverse(pattern.fields().len()),
        };
        let scan = IndexScan::new(
            Arc::clone(index),
            KeyRanges::new(pattern, &self.bounds),
            self.bounds,
            direction.unwrap_or(Direction::Forward),
        );
        let gives_order = direction.is_some();
        Candidate { scans: vec![scan], rank, gives_order, is_exact: self.is_exact }
    }
}

impl Index {
    /// Whether no more than one document can have a key within `bounds`.
    fn is_unique_point(&self, bounds: &[Bounds]) -> bool {
        (self.is_unique() || self.is_id()) && bounds.iter().all(Bounds::is_point)
    }
}

/// The leaf that leaves the least: one with single values if there is one, else the first that has bounds.
fn best_leaf<'l, 'f>(leaves: impl Iterator<Item = &'l Leaf<'f>>) -> Option<&'l Leaf<'f>>
where
    'f: 'l,
{
    leaves.min_by_key(|leaf| {
        let bounds = leaf.bounds(true);
        if bounds.is_points() {
            0
        } else if bounds.is_all() {
            2
        } else {
            1
        }
    })
}
