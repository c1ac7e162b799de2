//! The equality of a `$lookup`: what a document asks of the other collection.

use bson::RawDocumentBuf;

use crate::path::{Path, array_index};
use crate::pipeline::buffer;
use crate::{Document, Environment, Filter, Result, Value, Writer};

/// Documents whose `foreign` is equal to what stands at `local`.
#[derive(Clone, Debug)]
pub(crate) struct Join {
    local: Path,
    foreign: Path,
}

impl Join {
    pub(super) fn parse(local: &str, foreign: &str) -> Result<Self> {
        Ok(Self { local: Path::field(local)?, foreign: Path::field(foreign)? })
    }

    /// Whether a path has a number as a part, which may be a place in an array.
    pub(super) fn names_places(&self) -> bool {
        let mut parts = self.local.parts().chain(self.foreign.parts());
        parts.any(|part| array_index(part).is_some())
    }

    /// Documents whose `foreign` is equal to values that are known.
    pub(crate) fn to(foreign: &str) -> Result<Self> {
        Self::parse(foreign, foreign)
    }

    /// The filter for the documents that belong to `document`: their field is equal to the local value, or to one of
    /// several.
    pub(super) fn filter(&self, document: Document<'_>) -> Result<Filter> {
        self.filter_of(&values_at(document, &self.local))
    }

    /// The filter for the documents whose field is equal to one of `values`; without any, to null.
    pub(crate) fn filter_of(&self, values: &[Value<'_>]) -> Result<Filter> {
        if let [value] = values
            && !matches!(value, Value::Undefined)
        {
            return Filter::equal(self.foreign.as_str(), *value);
        }
        Filter::parse(&self.written(values)?, &Environment::default())
    }

    /// The filter, as it is written.
    fn written(&self, values: &[Value<'_>]) -> Result<RawDocumentBuf> {
        let mut writer = Writer::new();
        match *values {
            [] => equality(&mut writer, &self.foreign, Value::Null),
            [value] => equality(&mut writer, &self.foreign, value),
            // In an $in a regex would match strings, and an object could be taken for an operator.
            _ if values.iter().any(is_special) => {
                writer.open_array("$or");
                for value in values {
                    writer.open_document_item();
                    equality(&mut writer, &self.foreign, *value);
                    writer.close();
                }
                writer.close();
            }
            _ => {
                writer.open_document(self.foreign.as_str());
                writer.open_array("$in");
                for value in values {
                    writer.item(*value);
                }
                writer.close();
                writer.close();
            }
        }
        buffer(writer)
    }
}

fn is_special(value: &Value<'_>) -> bool {
    matches!(value, Value::Regex { .. } | Value::Document(_))
}

fn equality(writer: &mut Writer, path: &Path, value: Value<'_>) {
    writer.open_document(path.as_str());
    writer.field("$eq", value);
    writer.close();
}

/// The values at `path`: the items of an array at its end, and those in the documents of arrays on the way.
pub(crate) fn values_at<'a>(document: Document<'a>, path: &Path) -> Vec<Value<'a>> {
    let mut values = Vec::new();
    visit(document, path, 0, &mut values);
    values
}

/// Collects the values at the parts of `path` from `index` on: the items of an array at its end, and those in the documents of
/// arrays on the way. A number behind an array names a place in it.
fn visit<'a>(document: Document<'a>, path: &Path, mut index: usize, values: &mut Vec<Value<'a>>) {
    let mut value = document.get(path.part(index));
    index += 1;
    while index < path.len() {
        let (Value::Array(array), Some(place)) = (value, array_index(path.part(index))) else {
            break;
        };
        value = array.get(place);
        index += 1;
    }
    match value {
        Value::Missing => {}
        Value::Array(array) if index == path.len() => values.extend(array.iter()),
        value if index == path.len() => values.push(value),
        Value::Document(inner) => visit(inner, path, index, values),
        Value::Array(array) => {
            let documents = array.iter().filter_map(|item| item.as_document());
            documents.for_each(|inner| visit(inner, path, index, values));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use bson::{RawDocument, rawdoc};

    use super::*;

    #[track_caller]
    fn check(document: &RawDocument, expected: &RawDocument) {
        let join = Join::parse("a.b", "f").unwrap();
        let filter = join.written(&values_at(document.into(), &join.local)).unwrap();
        assert_eq!(&*filter, expected, "{document:?}");
    }

    #[test]
    fn a_document_asks_for_each_of_its_values() {
        check(&rawdoc! {"a": {"b": 1}}, &rawdoc! {"f": {"$eq": 1}});
        check(&rawdoc! {"a": {"b": [1, [2]]}}, &rawdoc! {"f": {"$in": [1, [2]]}});
        check(&rawdoc! {"a": [{"b": 1}, 5, {}, {"b": 2}]}, &rawdoc! {"f": {"$in": [1, 2]}});
    }

    #[test]
    fn no_value_is_null() {
        check(&rawdoc! {}, &rawdoc! {"f": {"$eq": null}});
        check(&rawdoc! {"a": {"b": []}}, &rawdoc! {"f": {"$eq": null}});
        check(&rawdoc! {"a": 5}, &rawdoc! {"f": {"$eq": null}});
    }

    #[test]
    fn a_regex_asks_for_an_equal_regex() {
        let regex =
            bson::Regex { pattern: "x".try_into().unwrap(), options: "".try_into().unwrap() };
        check(
            &rawdoc! {"a": {"b": [1, regex.clone()]}},
            &rawdoc! {"$or": [{"f": {"$eq": 1}}, {"f": {"$eq": regex}}]},
        );
    }
}
