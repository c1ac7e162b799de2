//! `$bitsAllSet`, `$bitsAllClear`, `$bitsAnySet` and `$bitsAnyClear`.

use crate::decimal::Rounding;
use crate::number::Number;
use crate::{Array, Error, Result, Value};

/// A test of bits of a number, or of bytes.
#[derive(Clone, Debug)]
pub struct BitTest {
    quantifier: Quantifier,
    /// What the bits must be.
    set: bool,
    /// For numbers: positions beyond the 63rd are the sign's.
    mask: u64,
    /// For bytes.
    positions: Positions,
}

/// The positions of bits, counted from the lowest bit of the first byte.
#[derive(Clone, Debug)]
enum Positions {
    Listed(Box<[u32]>),
    /// Those that are set here.
    Mask(Box<[u8]>),
}

/// Whether all of the bits must be so, or one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantifier {
    All,
    Any,
}

impl BitTest {
    /// Parses the argument of `operator`: a mask as a number or bytes, or a list of positions.
    pub(super) fn parse(
        operator: &str,
        quantifier: Quantifier,
        set: bool,
        argument: Value<'_>,
    ) -> Result<Self> {
        let positions = match argument {
            Value::Array(list) => Positions::Listed(parse_positions(operator, list)?.into()),
            Value::Binary { bytes, .. } => Positions::Mask(bytes.into()),
            argument => Positions::Mask(parse_mask(operator, argument)?.to_le_bytes().into()),
        };
        let mask = positions.mask();
        Ok(Self { quantifier, set, mask, positions })
    }

    /// Whether the bits of `value` are so. What is neither a number nor bytes does not pass.
    pub(super) fn matches(&self, value: Value<'_>) -> bool {
        if let Value::Binary { bytes, .. } = value {
            return self.matches_bytes(bytes);
        }
        let Some(number) = Number::of(value).and_then(tested) else { return false };
        let bits = if self.set { number } else { !number }.cast_unsigned();
        match self.quantifier {
            Quantifier::All => bits & self.mask == self.mask,
            Quantifier::Any => bits & self.mask != 0,
        }
    }

    fn matches_bytes(&self, bytes: &[u8]) -> bool {
        match &self.positions {
            Positions::Listed(positions) => self
                .quantifier
                .holds(positions.iter().map(|&position| bit_of(bytes, position) == self.set)),
            Positions::Mask(mask) => {
                let places = mask.iter().enumerate().filter(|(_, mask)| **mask != 0);
                self.quantifier.holds(places.map(|(place, mask)| {
                    let byte = bytes.get(place).copied().unwrap_or_default();
                    let so = if self.set { byte } else { !byte };
                    match self.quantifier {
                        Quantifier::All => so & mask == *mask,
                        Quantifier::Any => so & mask != 0,
                    }
                }))
            }
        }
    }
}

impl Quantifier {
    fn holds(self, mut parts: impl Iterator<Item = bool>) -> bool {
        match self {
            Self::All => parts.all(|holds| holds),
            Self::Any => parts.any(|holds| holds),
        }
    }
}

impl Positions {
    /// The positions as the bits of a number. What lies beyond it is its sign.
    fn mask(&self) -> u64 {
        match self {
            Self::Listed(positions) => {
                positions.iter().fold(0, |mask, &position| mask | 1 << position.min(63))
            }
            Self::Mask(bytes) => {
                let low =
                    bytes.iter().take(8).rev().fold(0, |mask, &byte| mask << 8 | u64::from(byte));
                let beyond = bytes.iter().skip(8).any(|byte| *byte != 0);
                low | u64::from(beyond) << 63
            }
        }
    }
}

/// The number whose bits are tested: none for doubles that are fractions, NaN, or more than 64 bits hold. The server rounds decimals
/// instead, and what is beyond 64 bits has the bits of the least number.
fn tested(number: Number) -> Option<i64> {
    match number {
        Number::Decimal(decimal) => {
            let rounded = decimal.round_to_whole(Rounding::TiesToEven);
            Some(rounded.to_whole().unwrap_or(i64::MIN))
        }
        number => number.as_exact_i64(),
    }
}

fn bit_of(bytes: &[u8], position: u32) -> bool {
    bytes.get(position as usize / 8).is_some_and(|byte| byte >> (position % 8) & 1 == 1)
}

fn parse_mask(operator: &str, argument: Value<'_>) -> Result<i64> {
    let Some(number) = Number::of(argument) else {
        return Err(Error::bad_value(format!(
            "{operator} takes a list of positions, a number or bytes, not {}",
            argument.type_name()
        )));
    };
    number.as_exact_i64().filter(|mask| *mask >= 0).ok_or_else(|| {
        Error::failed_to_parse(format!(
            "the mask of {operator} must be a whole number from 0 to 2^63 - 1, not {argument:?}"
        ))
    })
}

fn parse_positions(operator: &str, list: Array<'_>) -> Result<Vec<u32>> {
    list.iter()
        .map(|item| {
            let position = Number::of(item).and_then(Number::as_exact_i64);
            let position = position.and_then(|position| i32::try_from(position).ok());
            position.and_then(|position| u32::try_from(position).ok()).ok_or_else(|| {
                Error::bad_value(format!(
                    "a position of {operator} must be a whole number from 0 to 2^31 - 1, not {item:?}"
                ))
            })
        })
        .collect()
}
