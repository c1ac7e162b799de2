//! What a walk checks before a value is changed or created.

use super::{Gap, ID, Purpose, Walk};
use crate::update::find::place_in_array;
use crate::update::storage::{check_level, check_top_level_name};
use crate::{Error, ErrorCode, Result, Value};

impl<'a> Walk<'a> {
    /// Checks a change of what is there.
    pub(super) fn check_changed(&self, removed: bool, depth: usize) -> Result<()> {
        if self.path.first() == Some(&ID) {
            return Err(Self::immutable(&self.site().to_string()));
        }
        if removed || self.purpose == Purpose::Insert {
            return Ok(());
        }
        if let [name] = self.path[..] {
            check_top_level_name(name)?;
        }
        check_level(self.path.len(), depth)
    }

    /// Checks a new field, with all documents on the way to it that are new too.
    pub(super) fn check_created(&mut self, depth: usize) -> Result<()> {
        if self.purpose == Purpose::Update {
            check_level(self.path.len(), depth)?;
            if self.present == 0 {
                check_top_level_name(self.path.first().unwrap_or(&""))?;
            }
        }
        if self.path.first() == Some(&ID) {
            if self.present > 0 || self.id_extended {
                return Err(Self::immutable(&self.site().to_string()));
            }
            self.id_extended = true;
        }
        Ok(())
    }

    /// Checks that a field can be created in the last value on the path.
    pub(super) fn check_creatable(&self, gap: Gap<'a>) -> Result<()> {
        let creatable = match gap.value {
            Value::Document(_) => true,
            Value::Array(_) => gap.part.bytes().all(|byte| byte.is_ascii_digit()),
            _ => false,
        };
        if !creatable {
            return Err(self.not_viable(gap));
        }
        if matches!(gap.value, Value::Array(_)) && place_in_array(gap.part).is_none() {
            // Its digits are more than any array has items.
            return Err(self.too_much_padding());
        }
        Ok(())
    }

    /// Checks a path that leads nowhere, for operators that create nothing.
    pub(super) fn check_viable(&self, gap: Gap<'a>) -> Result<()> {
        match gap.value {
            Value::Document(_) => Ok(()),
            Value::Array(_) if place_in_array(gap.part).is_some() => Ok(()),
            _ => Err(self.not_viable(gap)),
        }
    }

    pub(super) fn check_padding(&self, place: usize, length: usize) -> Result<()> {
        if place.saturating_sub(length) > PADDING_MAX {
            return Err(self.too_much_padding());
        }
        Ok(())
    }

    /// Counts `values` that are applied. `$[]` multiplies what an update does: what can only end in a document that is too
    /// large is to end before it has taken time and memory.
    pub(super) fn spend(&mut self, values: usize) -> Result<()> {
        self.spent = self.spent.saturating_add(values);
        if self.spent <= SPENT_MAX {
            return Ok(());
        }
        Err(Error::new(
            ErrorCode::BSON_OBJECT_TOO_LARGE,
            format!("the update applies more than {SPENT_MAX} values to one document"),
        ))
    }

    fn too_much_padding(&self) -> Error {
        Error::new(
            ErrorCode::CANNOT_BACKFILL_ARRAY,
            format!(
                "'{}' is more than {PADDING_MAX} places behind the end of its array",
                self.site()
            ),
        )
    }

    fn not_viable(&self, gap: Gap<'a>) -> Error {
        Error::new(
            ErrorCode::PATH_NOT_VIABLE,
            format!(
                "the path '{}' leads into a value of type {}, which has no field '{}'",
                self.site(),
                gap.value.type_name(),
                gap.part
            ),
        )
    }

    pub(super) fn immutable(path: &str) -> Error {
        Error::new(
            ErrorCode::IMMUTABLE_FIELD,
            format!("the update of '{path}' would change the field '{ID}', which never changes"),
        )
    }
}

/// How many nulls may be put between the end of an array and a new item.
const PADDING_MAX: usize = 1_500_000;

/// How many values an update may apply to one document. Three times as many as the largest document has.
const SPENT_MAX: usize = 8_000_000;
