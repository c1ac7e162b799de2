//! Which order the keys of an index give documents in.

use bson::RawDocument;
use docquery::key::{Bounds, KeyPattern};
use docquery::path::array_index;
use docquery::{Document, Value, key};

use crate::disk::Direction;

/// The fields of a sort and their directions; `None` for one that asks for more than fields.
pub(super) fn sort_fields(sort: &RawDocument) -> Option<Vec<(&str, key::Direction)>> {
    let mut fields = Vec::new();
    for (name, value) in Document::from(sort) {
        let descends = match value {
            Value::Int32(number) => number < 0,
            Value::Int64(number) => number < 0,
            Value::Double(number) => number < 0.0,
            Value::Decimal(number) => number.is_sign_negative(),
            _ => return None,
        };
        let direction =
            if descends { key::Direction::Descending } else { key::Direction::Ascending };
        fields.push((name, direction));
    }
    Some(fields)
}

/// Which way a scan within `bounds`, one for each field, must go so that documents come in the order of `sort`; `None` if
/// neither does.
///
/// A field that is bound to one value may stand between those of the sort, and may be sorted by anywhere if it has
/// met no array. Where a document
/// has many keys its first in the direction of the scan must be the one that it is sorted by: so a
/// field of the sort that has met arrays must not be bound, and nor must others that meet the same array.
pub(super) fn scan_direction(
    pattern: &KeyPattern,
    multikey: u64,
    bounds: &[Bounds],
    sort: &[(&str, key::Direction)],
) -> Option<Direction> {
    let fields = pattern.fields();
    let is_multikey = |place: usize| multikey >> place & 1 == 1;
    let is_fixed = |place: usize| !is_multikey(place) && bounds[place].is_point();
    let mut direction = None;
    let mut place = 0;
    let mut sorted_by_array = false;
    for &(path, wanted) in sort {
        if path.split('.').any(|part| array_index(part).is_some()) {
            return None;
        }
        let fixed = |(place, field): (usize, &key::KeyField)| {
            field.path().as_str() == path && is_fixed(place)
        };
        if fields.iter().enumerate().any(fixed) {
            continue;
        }
        while fields.get(place)?.path().as_str() != path {
            if !bounds[place].is_point() {
                return None;
            }
            place += 1;
        }
        if is_multikey(place) {
            if !bounds[place].is_all() {
                return None;
            }
            sorted_by_array = true;
        }
        let way = if fields[place].direction() == wanted {
            Direction::Forward
        } else {
            Direction::Backward
        };
        if *direction.get_or_insert(way) != way {
            return None;
        }
        place += 1;
    }
    let bound_array = |place| is_multikey(place) && !Bounds::is_all(&bounds[place]);
    if sorted_by_array && (0..fields.len()).any(bound_array) {
        return None;
    }
    Some(direction.unwrap_or(Direction::Forward))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{RawDocumentBuf, rawdoc};
    use docquery::key::Comparison;

    fn one() -> Bounds {
        Bounds::equal(Value::Int32(1))
    }

    #[track_caller]
    fn check(
        pattern: &RawDocumentBuf,
        multikey: u64,
        bounds: &[Bounds],
        sort: &RawDocumentBuf,
        expected: Option<Direction>,
    ) {
        let pattern = KeyPattern::parse(pattern).unwrap();
        let mut bounds = bounds.to_vec();
        bounds.resize(pattern.fields().len(), Bounds::all());
        let sort = sort_fields(sort).unwrap();
        assert_eq!(
            scan_direction(&pattern, multikey, &bounds, &sort),
            expected,
            "{pattern:?} {sort:?}"
        );
    }

    #[test]
    fn an_index_gives_the_order_of_its_fields() {
        let (forward, backward) = (Some(Direction::Forward), Some(Direction::Backward));
        let ab = rawdoc! { "a": 1, "b": -1 };
        check(&ab, 0, &[], &rawdoc! { "a": 1 }, forward);
        check(&ab, 0, &[], &rawdoc! { "a": -1 }, backward);
        check(&ab, 0, &[], &rawdoc! { "a": 1, "b": -1 }, forward);
        check(&ab, 0, &[], &rawdoc! { "a": -1, "b": 1.0 }, backward);
        check(&ab, 0, &[], &rawdoc! { "a": 1, "b": 1 }, None);
        check(&ab, 0, &[], &rawdoc! { "b": 1 }, None);
        check(&ab, 0, &[], &rawdoc! { "a": 1, "b": -1, "c": 1 }, None);
        check(&ab, 0, &[one()], &rawdoc! { "b": 1 }, backward);
        check(&ab, 0, &[one()], &rawdoc! { "b": 1, "a": 1 }, backward);
        check(&ab, 0, &[one()], &rawdoc! { "a": 1, "b": 1 }, backward);
        let above = Bounds::compared(Comparison::Gt, Value::Int32(1));
        check(&ab, 0, std::slice::from_ref(&above), &rawdoc! { "a": 1 }, forward);
        check(&ab, 0, &[above], &rawdoc! { "b": 1 }, None);
        check(&ab, 0, &[one().union(Bounds::equal(Value::Int32(2)))], &rawdoc! { "b": 1 }, None);
    }

    #[test]
    fn arrays_take_the_order_away_where_they_are_bound() {
        let forward = Some(Direction::Forward);
        let ab = rawdoc! { "a": 1, "b": 1 };
        check(&ab, 1, &[], &rawdoc! { "a": 1 }, forward);
        check(&ab, 1, &[one()], &rawdoc! { "a": 1 }, None);
        check(&ab, 1, &[one()], &rawdoc! { "b": 1 }, forward);
        check(&ab, 2, &[one()], &rawdoc! { "b": 1 }, forward);
        check(&ab, 3, &[one()], &rawdoc! { "b": 1 }, None);
        check(&rawdoc! { "a.0": 1 }, 0, &[], &rawdoc! { "a.0": 1 }, None);
    }
}
