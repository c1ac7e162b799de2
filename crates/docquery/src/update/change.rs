//! Changes of a document, found first and written afterwards: what they do not touch is copied as bytes.

use super::storage::check_growth;
use crate::raw::{Element, Elements, Kind};
use crate::{Document, Result, Value, Writer};

/// What becomes of one value.
#[derive(Clone, Debug)]
pub(super) enum Change<'a> {
    /// It stays.
    Keep,
    /// It goes. Items behind it move up.
    Remove,
    /// Another takes its place.
    Set(Value<'a>),
    /// A document or an array is changed inside.
    Edit(Edit<'a>),
}

/// What becomes of the fields of a document, or the items of an array.
#[derive(Clone, Debug, Default)]
pub(super) struct Edit<'a> {
    /// What becomes of those that are there, by their places. What is not in it stays.
    pub(super) existing: Vec<(usize, Change<'a>)>,
    /// What comes behind them, in order.
    pub(super) added: Vec<Added<'a>>,
}

/// A new field or item.
#[derive(Clone, Copy, Debug)]
pub(super) enum Added<'a> {
    /// A field of a document.
    Field(&'a str, Value<'a>),
    /// The next item of an array.
    Next(Value<'a>),
    /// The item at a place of an array. Null comes before it where there is none.
    At(usize, Value<'a>),
}

impl<'a> Edit<'a> {
    /// The change that it is.
    pub(super) fn into_change(self) -> Change<'a> {
        if self.existing.is_empty() && self.added.is_empty() {
            Change::Keep
        } else {
            Change::Edit(self)
        }
    }

    /// Notes what becomes of what is at `place`.
    pub(super) fn change(&mut self, place: usize, change: Change<'a>) {
        match change {
            Change::Keep => {}
            Change::Remove | Change::Set(_) | Change::Edit(_) => {
                self.existing.push((place, change));
            }
        }
    }

    /// The bytes of `document` after the edit.
    ///
    /// # Errors
    ///
    /// It becomes too large.
    pub(super) fn apply(mut self, document: Document<'a>) -> Result<Vec<u8>> {
        let bytes = document.raw_bytes().unwrap_or(&[]);
        let mut writer = Writer::with_capacity(bytes.len() + bytes.len() / 8 + 64);
        self.write_fields(&mut writer, Elements::of(bytes))?;
        Ok(writer.finish())
    }

    fn write_fields(&mut self, writer: &mut Writer, elements: Elements<'a>) -> Result<()> {
        self.existing.sort_by_key(|(place, _)| *place);
        let mut changes = self.existing.drain(..).peekable();
        for (place, element) in elements.enumerate() {
            match take_at(&mut changes, place) {
                Change::Keep => writer.copy(&element),
                Change::Remove => {}
                Change::Set(value) => {
                    writer.field(element.name(), value);
                    check_growth(writer.len())?;
                }
                Change::Edit(edit) => {
                    if element.kind() == Kind::Array {
                        writer.open_array(element.name());
                    } else {
                        writer.open_document(element.name());
                    }
                    edit.write_inner(writer, &element)?;
                }
            }
        }
        for added in &self.added {
            if let Added::Field(name, value) = added {
                writer.field(name, *value);
                check_growth(writer.len())?;
            }
        }
        Ok(())
    }

    fn write_items(&mut self, writer: &mut Writer, elements: Elements<'a>) -> Result<()> {
        self.existing.sort_by_key(|(place, _)| *place);
        let mut changes = self.existing.drain(..).peekable();
        let mut length = 0;
        for (place, element) in elements.enumerate() {
            match take_at(&mut changes, place) {
                Change::Keep => writer.copy_item(&element),
                Change::Remove => continue,
                Change::Set(value) => {
                    writer.item(value);
                    check_growth(writer.len())?;
                }
                Change::Edit(edit) => {
                    if element.kind() == Kind::Array {
                        writer.open_array_item();
                    } else {
                        writer.open_document_item();
                    }
                    edit.write_inner(writer, &element)?;
                }
            }
            length += 1;
        }
        for added in &self.added {
            let value = match added {
                Added::Field(_, value) | Added::Next(value) => *value,
                Added::At(place, value) => {
                    while length < *place {
                        writer.item(Value::Null);
                        length += 1;
                        check_growth(writer.len())?;
                    }
                    *value
                }
            };
            writer.item(value);
            check_growth(writer.len())?;
            length += 1;
        }
        Ok(())
    }

    /// Writes the inside of `element`, which is open.
    fn write_inner(mut self, writer: &mut Writer, element: &Element<'a>) -> Result<()> {
        let elements = Elements::of(element.bytes());
        if element.kind() == Kind::Array {
            self.write_items(writer, elements)?;
        } else {
            self.write_fields(writer, elements)?;
        }
        writer.close();
        Ok(())
    }
}

/// What becomes of what is at `place`. Of several changes for one place the last counts.
fn take_at<'a>(
    changes: &mut std::iter::Peekable<std::vec::Drain<'_, (usize, Change<'a>)>>,
    place: usize,
) -> Change<'a> {
    let mut last = Change::Keep;
    while let Some((_, change)) = changes.next_if(|(at, _)| *at == place) {
        last = change;
    }
    last
}
