//! Where computed values live: memory that is given back all at once.

use bumpalo::Bump;

use crate::value::{Array, Document, Value};
use crate::{Error, ErrorCode, Result, limits};

/// Memory for the values that are computed for one document. Values in it are `Copy`, and live until the
/// arena is reset or dropped.
#[derive(Debug, Default)]
pub struct Arena {
    bump: Bump,
}

impl Arena {
    /// An empty arena. It takes no memory before it is used.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets everything in it, and keeps its memory for what comes next.
    pub fn reset(&mut self) {
        self.bump.reset();
    }

    /// Checks that `bytes` more may be computed: expressions can make much of little, again and again.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::EXCEEDED_MEMORY_LIMIT`]: it would take more than [`limits::COMPUTED_BYTES_MAX`].
    pub fn check_room(&self, bytes: usize) -> Result<()> {
        if self.allocated_bytes().saturating_add(bytes) <= limits::COMPUTED_BYTES_MAX {
            return Ok(());
        }
        Err(Error::new(
            ErrorCode::EXCEEDED_MEMORY_LIMIT,
            format!(
                "what is computed for a document takes more than {} bytes",
                limits::COMPUTED_BYTES_MAX
            ),
        ))
    }

    /// How much memory it has taken, in bytes.
    pub fn allocated_bytes(&self) -> usize {
        self.bump.allocated_bytes()
    }

    /// A copy of `text`.
    pub fn text(&self, text: &str) -> &str {
        self.bump.alloc_str(text)
    }

    /// A copy of `bytes`.
    pub fn bytes(&self, bytes: &[u8]) -> &[u8] {
        self.bump.alloc_slice_copy(bytes)
    }

    /// A string value with a copy of `text`.
    pub fn string<'a>(&'a self, text: &str) -> Value<'a> {
        Value::String(self.text(text))
    }

    /// An object id.
    pub fn object_id(&self, id: [u8; 12]) -> Value<'_> {
        Value::ObjectId(self.bump.alloc(id))
    }

    /// An array of `items`. `Missing` among them becomes null.
    ///
    /// # Errors
    ///
    /// It would be nested deeper than [`limits::DEPTH_MAX`], or there is no room, see [`Arena::check_room`].
    pub fn array<'a>(&'a self, items: &[Value<'a>]) -> Result<Value<'a>> {
        self.check_room(size_of_val(items))?;
        let depth = depth_above(items.iter())?;
        let items = self.bump.alloc_slice_copy(items);
        for item in items.iter_mut() {
            if item.is_missing() {
                *item = Value::Null;
            }
        }
        Ok(Value::Array(Array::of_items(items, depth)))
    }

    /// A document of `fields`. Fields that are `Missing` are not there, but keep their places in case they get a value.
    ///
    /// # Errors
    ///
    /// It would be nested deeper than [`limits::DEPTH_MAX`], or there is no room, see [`Arena::check_room`].
    pub fn document<'a>(&'a self, fields: &[(&'a str, Value<'a>)]) -> Result<Value<'a>> {
        self.fields(fields).map(Value::Document)
    }

    /// A document of `fields`, see [`Arena::document`].
    ///
    /// # Errors
    ///
    /// As [`Arena::document`].
    pub fn fields<'a>(&'a self, fields: &[(&'a str, Value<'a>)]) -> Result<Document<'a>> {
        self.check_room(size_of_val(fields))?;
        let depth = depth_above(fields.iter().map(|(_, value)| value))?;
        Ok(Document::of_fields(self.bump.alloc_slice_copy(fields), depth))
    }
}

/// The depth of what holds `values`.
fn depth_above<'a, 'v: 'a>(values: impl Iterator<Item = &'a Value<'v>>) -> Result<u16> {
    let depth = 1 + values.map(Value::built_depth).max().unwrap_or(0);
    if usize::from(depth) > limits::DEPTH_MAX {
        return Err(Error::new(
            ErrorCode::OVERFLOW,
            format!("a computed value is nested deeper than {} levels", limits::DEPTH_MAX),
        ));
    }
    Ok(depth)
}
