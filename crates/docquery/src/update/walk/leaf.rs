//! The ends of paths: where modifiers are applied.

use super::{Gap, ID, Place, Purpose, Walk};
use crate::update::change::Change;
use crate::update::modifier::{Action, Modifier};
use crate::update::rename::Rename;
use crate::update::replacement::array_as_id;
use crate::update::storage::depth_of;
use crate::{Error, Result};

impl<'a> Walk<'a> {
    pub(super) fn leaf(&mut self, modifier: &'a Modifier, place: Place<'a>) -> Result<Change<'a>> {
        self.spend(modifier.values)?;
        match (&modifier.action, place) {
            (Action::SetOnInsert(_), _) if self.purpose == Purpose::Update => Ok(Change::Keep),
            (Action::Rename(rename), _) => self.rename(rename, place),
            // The move itself looks at arrays on the way; what it must not move it tells.
            (Action::RenameSource, Place::Present(..)) if self.arrays > 0 => Ok(Change::Keep),
            (Action::RenameSource, Place::Present(..)) => Ok(Change::Remove),
            (action, Place::Present(element, parent)) => {
                let change = action.update(&element, parent, self.site())?;
                if !matches!(change, Change::Keep) {
                    self.check_changed(matches!(change, Change::Remove), modifier.depth)?;
                }
                Ok(change)
            }
            (action, Place::Absent(gap)) => self.create(action, modifier.depth, gap),
        }
    }

    fn create(&mut self, action: &'a Action, depth: usize, gap: Gap<'a>) -> Result<Change<'a>> {
        if let Some(value) = action.create(self.arena)? {
            self.check_creatable(gap)?;
            self.check_created(depth)?;
            if self.path[..] == [ID] && action.adds_items(value) {
                return Err(array_as_id());
            }
            return Ok(Change::Set(value));
        }
        if action.needs_viable_path() {
            self.check_viable(gap)?;
        }
        Ok(Change::Keep)
    }

    /// Moves what the rename's source is to here. The node at the old path removes it there.
    fn rename(&mut self, rename: &Rename, place: Place<'a>) -> Result<Change<'a>> {
        let Some(value) = self.sources.value(rename)? else {
            return Ok(Change::Keep);
        };
        if self.arrays > 0 {
            return Err(Error::bad_value(format!(
                "$rename of '{}' to '{}': the new path leads through an array",
                rename.from(),
                self.site()
            )));
        }
        match place {
            Place::Present(..) => self.check_changed(false, depth_of(value))?,
            Place::Absent(gap) => {
                self.check_creatable(gap)?;
                self.check_created(depth_of(value))?;
            }
        }
        if rename.from().part(0) == ID {
            return Err(Self::immutable(rename.from().as_str()));
        }
        Ok(Change::Set(value))
    }
}
