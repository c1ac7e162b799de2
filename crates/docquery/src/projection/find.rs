//! What only projections of `find` do: `$slice`, and the positional `$`.

use crate::path::Path;
use crate::{Arena, Array, Document, Error, Result, Value, nested};

/// What is done to a document once its fields are projected.
#[derive(Clone, Debug)]
pub(crate) enum Rewrite {
    /// `{"a.$": 1}`: the array at this path gets the one item that the filter of the command matched.
    Positional(Path),
    /// `{a: {$slice: ...}}`
    Slice(Path, FindSlice),
}

/// A part of an array.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FindSlice {
    /// How many items are left out in front; negative counts from the end.
    pub(crate) skip: Option<i64>,
    /// How many there may be at most; negative, without `skip`, takes the last.
    pub(crate) limit: i64,
}

impl Rewrite {
    /// `document` after it. `position` is the place in an array that the filter of the command matched.
    pub(crate) fn apply<'a>(
        &'a self,
        document: Document<'a>,
        position: Option<usize>,
        arena: &'a Arena,
    ) -> Result<Document<'a>> {
        match self {
            Self::Positional(path) => one_item(document, path, position, arena),
            Self::Slice(path, slice) => slice.document(document, path, 0, arena),
        }
    }
}

/// Puts the item at `position` in the place of the first array on the way along `path`.
fn one_item<'a>(
    document: Document<'a>,
    path: &'a Path,
    position: Option<usize>,
    arena: &'a Arena,
) -> Result<Document<'a>> {
    let mut inner = document;
    for index in 0..path.len() {
        match inner.get(path.part(index)) {
            Value::Array(array) => {
                let position = position.ok_or_else(|| {
                    let message =
                        format!("'{path}.$': the filter has matched no item of the array");
                    Error::location(51246, message)
                })?;
                let item = array.get(position);
                if item.is_missing() {
                    let message = format!(
                        "'{path}.$': the filter has matched item {position} of another array; this one has no such item"
                    );
                    return Err(Error::location(51247, message));
                }
                return nested::set(document, path, index + 1, arena.array(&[item])?, arena);
            }
            Value::Document(next) => inner = next,
            _ => {}
        }
    }
    Ok(document)
}

impl FindSlice {
    /// `document` with the array at `path` sliced, from the part at `index` on. Arrays on the way are entered, arrays
    /// in arrays are not.
    fn document<'a>(
        self,
        document: Document<'a>,
        path: &'a Path,
        index: usize,
        arena: &'a Arena,
    ) -> Result<Document<'a>> {
        let name = path.part(index);
        let last = index + 1 == path.len();
        let mut fields: Vec<_> = document.slots().collect();
        let Some((_, value)) = fields.iter_mut().find(|(key, _)| *key == name) else {
            return Ok(document);
        };
        *value = match *value {
            Value::Array(array) if last => self.array(array, arena)?,
            Value::Array(array) => {
                let items = array.iter().map(|item| match item {
                    Value::Document(inner) => {
                        self.document(inner, path, index + 1, arena).map(Value::Document)
                    }
                    item => Ok(item),
                });
                arena.array(&items.collect::<Result<Vec<_>>>()?)?
            }
            Value::Document(inner) if !last => {
                Value::Document(self.document(inner, path, index + 1, arena)?)
            }
            _ => return Ok(document),
        };
        arena.fields(&fields)
    }

    fn array<'a>(self, array: Array<'a>, arena: &'a Arena) -> Result<Value<'a>> {
        let items: Vec<_> = array.iter().collect();
        let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
        let start = match self.skip {
            None if self.limit < 0 => length + self.limit,
            None => 0,
            Some(skip) if skip < 0 => length + skip,
            Some(skip) => skip,
        };
        let start = start.clamp(0, length);
        let count = if self.limit < 0 { length } else { self.limit }.min(length - start);
        let part = usize::try_from(start).unwrap_or(0)..usize::try_from(start + count).unwrap_or(0);
        arena.array(&items[part])
    }
}
