//! Fields inside documents inside documents, at the end of a path that enters no array.

use crate::path::Path;
use crate::{Arena, Document, Result, Value};

/// The value at `path`; `Missing` if there is none.
pub(crate) fn get<'a>(document: Document<'a>, path: &Path) -> Value<'a> {
    path.parts().fold(Value::Document(document), |value, part| match value {
        Value::Document(document) => document.get(part),
        _ => Value::Missing,
    })
}

/// `document` with `value` at the end of the first `parts` parts of `path`. What is no document on the way gives way to
/// one; a `Missing` value takes the field away, and leaves what it stood in.
pub(crate) fn set<'a>(
    document: Document<'a>,
    path: &'a Path,
    parts: usize,
    value: Value<'a>,
    arena: &'a Arena,
) -> Result<Document<'a>> {
    set_part(document, path, 0..parts, value, arena)
}

/// `document` with `value` at `path`, which comes last at each level.
pub(crate) fn append<'a>(
    document: Document<'a>,
    path: &'a Path,
    value: Value<'a>,
    arena: &'a Arena,
) -> Result<Document<'a>> {
    append_part(document, path, 0, value, arena)
}

fn append_part<'a>(
    document: Document<'a>,
    path: &'a Path,
    index: usize,
    value: Value<'a>,
    arena: &'a Arena,
) -> Result<Document<'a>> {
    let name = path.part(index);
    let value = if index + 1 == path.len() {
        value
    } else {
        let inner = document.get(name).as_document().unwrap_or(Document::EMPTY);
        Value::Document(append_part(inner, path, index + 1, value, arena)?)
    };
    let mut fields: Vec<_> = document.iter().filter(|(key, _)| *key != name).collect();
    fields.push((name, value));
    arena.fields(&fields)
}

fn set_part<'a>(
    document: Document<'a>,
    path: &'a Path,
    parts: std::ops::Range<usize>,
    value: Value<'a>,
    arena: &'a Arena,
) -> Result<Document<'a>> {
    let name = path.part(parts.start);
    let mut fields: Vec<_> = document.slots().collect();
    let place = fields.iter().position(|(key, _)| *key == name);
    let value = if parts.len() == 1 {
        value
    } else {
        let inner = place.and_then(|place| fields[place].1.as_document());
        let inner = inner.unwrap_or(Document::EMPTY);
        Value::Document(set_part(inner, path, parts.start + 1..parts.end, value, arena)?)
    };
    match place {
        Some(place) => fields[place].1 = value,
        None => fields.push((name, value)),
    }
    arena.fields(&fields)
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    #[track_caller]
    fn check(
        document: &bson::RawDocument,
        path: &str,
        value: Value<'_>,
        expected: &bson::RawDocument,
    ) {
        let (arena, path) = (Arena::new(), Path::field(path).unwrap());
        let changed = set(document.into(), &path, path.len(), value, &arena).unwrap();
        assert_eq!(&*changed.to_raw(), expected, "{path} in {document:?}");
    }

    #[test]
    fn a_field_is_set_in_place_or_behind_the_others() {
        check(&rawdoc! {"a": 1, "b": 2}, "a", Value::Null, &rawdoc! {"a": null, "b": 2});
        check(&rawdoc! {"a": 1}, "c", Value::Null, &rawdoc! {"a": 1, "c": null});
        check(&rawdoc! {"a": {"b": 1}}, "a.c", Value::Null, &rawdoc! {"a": {"b": 1, "c": null}});
        check(&rawdoc! {"a": [{"b": 1}]}, "a.b", Value::Null, &rawdoc! {"a": {"b": null}});
        check(&rawdoc! {"a": {"b": 1}}, "a.b", Value::Missing, &rawdoc! {"a": {}});
    }

    #[test]
    fn no_array_is_entered() {
        let document = rawdoc! {"a": {"b": 1}, "c": [{"b": 1}]};
        let get = |path: &str| get((&*document).into(), &Path::field(path).unwrap());
        assert!(matches!(get("a.b"), Value::Int32(1)));
        assert!(get("c.b").is_missing());
        assert!(get("a.b.c").is_missing());
    }
}
