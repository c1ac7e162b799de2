//! Where one value of a key ends and the next begins.

use super::encode::{END, TAG_STEP};
use super::number;
use super::pattern::{Direction, KeyPattern};

/// The bytes of the value that `key` begins with, if it does.
pub fn first_value(key: &[u8], direction: Direction) -> Option<&[u8]> {
    let mut reader = Reader { key, place: 0, turned: direction.mask() };
    reader.value()?;
    key.get(..reader.place)
}

/// The values of a key, one for each field of its pattern, each as it stands in the key.
#[derive(Clone, Debug)]
pub struct KeyValues<'a> {
    pattern: &'a KeyPattern,
    rest: &'a [u8],
    next: usize,
}

impl<'a> KeyValues<'a> {
    /// The values of `key`. What stands behind the last is not looked at.
    pub fn new(pattern: &'a KeyPattern, key: &'a [u8]) -> Self {
        Self { pattern, rest: key, next: 0 }
    }
}

impl<'a> Iterator for KeyValues<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let field = self.pattern.fields().get(self.next)?;
        let value = first_value(self.rest, field.direction())?;
        self.rest = &self.rest[value.len()..];
        self.next += 1;
        Some(value)
    }
}

/// Reads over a value. Documents and arrays are kept on a list, not on the stack: bytes from a damaged disk may be
/// nested as deeply as they are long.
struct Reader<'a> {
    key: &'a [u8],
    place: usize,
    turned: u8,
}

#[derive(Clone, Copy)]
enum Open {
    Document,
    Array,
}

impl Reader<'_> {
    fn value(&mut self) -> Option<()> {
        let mut open = Vec::new();
        let tag = self.byte()?;
        self.body(tag, &mut open)?;
        while let Some(&inner) = open.last() {
            match (self.byte()?, inner) {
                (END, _) => {
                    open.pop();
                }
                (tag, Open::Array) => self.body(tag, &mut open)?,
                (tag, Open::Document) => {
                    self.string()?;
                    self.body(tag, &mut open)?;
                }
            }
        }
        Some(())
    }

    /// Reads over the body of a value with `tag`, or over the start of it, if it opens a list.
    fn body(&mut self, tag: u8, open: &mut Vec<Open>) -> Option<()> {
        if tag == END || !tag.is_multiple_of(TAG_STEP) {
            return None;
        }
        match tag / TAG_STEP - 1 {
            // The smallest, missing, null, the greatest.
            0..=2 | 16 => {}
            3 => {
                let mark = self.key.get(self.place..self.place + 9)?;
                self.skip(number::length(mark)?)?;
            }
            4 | 14 => self.string()?,
            5 => open.push(Open::Document),
            6 => open.push(Open::Array),
            7 => {
                let bytes = self.length()?;
                self.skip(bytes.checked_add(1)?)?;
            }
            8 => self.skip(12)?,
            9 => self.skip(1)?,
            10 | 11 => self.skip(8)?,
            12 => {
                self.string()?;
                self.string()?;
            }
            13 => {
                let bytes = self.length()?;
                self.skip(bytes.checked_add(12)?)?;
            }
            15 => {
                self.string()?;
                open.push(Open::Document);
            }
            _ => return None,
        }
        Some(())
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.key.get(self.place)? ^ self.turned;
        self.place += 1;
        Some(byte)
    }

    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.place = self.place.checked_add(bytes)?;
        (self.place <= self.key.len()).then_some(())
    }

    fn string(&mut self) -> Option<()> {
        let end = END ^ self.turned;
        let length = self.key.get(self.place..)?.iter().position(|&byte| byte == end)?;
        self.skip(length + 1)
    }

    fn length(&mut self) -> Option<usize> {
        let mut bytes = [0; 4];
        for byte in &mut bytes {
            *byte = self.byte()?;
        }
        usize::try_from(u32::from_be_bytes(bytes)).ok()
    }
}
