//! Bounds as text, as `explain` shows them: `[5, 7)`, `["a", {})`, `[MinKey, MaxKey]`.
//!
//! Key bytes do not tell 5 from 5.0, so both are shown as 5.

use std::fmt::{self, Write as _};

use super::encode::{END, TAG_STEP};
use super::interval::{Cut, Interval};
use super::number;

impl Interval {
    /// The interval of a descending scan: its end first.
    pub fn show_backward(&self) -> impl fmt::Display {
        Shown { interval: self.clone(), backward: true }
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Shown { interval: self.clone(), backward: false }.fmt(f)
    }
}

struct Shown {
    interval: Interval,
    backward: bool,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, low_closed) = edge(self.interval.low(), Place::Low);
        let (high, high_closed) = edge(self.interval.high(), Place::High);
        let (open, close) = (['(', '['], [')', ']']);
        if self.backward {
            let (open, close) = (open[usize::from(high_closed)], close[usize::from(low_closed)]);
            write!(f, "{open}{high}, {low}{close}")
        } else {
            let (open, close) = (open[usize::from(low_closed)], close[usize::from(high_closed)]);
            write!(f, "{open}{low}, {high}{close}")
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Low,
    High,
}

/// The value at a cut, and whether it lies inside.
fn edge(cut: &Cut, place: Place) -> (String, bool) {
    let inside = cut.is_behind() == (place == Place::High);
    match *cut.bytes() {
        [] => (String::from(if place == Place::Low { "MinKey" } else { "MaxKey" }), inside),
        // A whole type: from its least value to the least of the next.
        [tag] if tag.is_multiple_of(TAG_STEP) && !has_one_value(tag) => {
            let least = if cut.is_behind() { tag + TAG_STEP } else { tag };
            (String::from(least_of(least)), place == Place::Low)
        }
        _ => {
            if let (text, true) = read(cut.bytes()) {
                return (text, inside);
            }
            // The start of a string, and what is behind all strings that begin so.
            let start = if cut.is_behind() { cut.start() } else { None };
            let (text, _) = read(start.as_deref().unwrap_or(cut.bytes()));
            (text, place == Place::Low)
        }
    }
}

/// A value as text, and whether it was there to its end.
fn read(bytes: &[u8]) -> (String, bool) {
    let mut text = String::new();
    let whole = Text { bytes, text: &mut text }.value().is_some();
    (text, whole)
}

fn has_one_value(tag: u8) -> bool {
    matches!(tag / TAG_STEP - 1, 0..=2 | 16)
}

/// The least value of a type, as MongoDB shows it.
fn least_of(tag: u8) -> &'static str {
    match (tag / TAG_STEP).saturating_sub(1) {
        0 => "MinKey",
        1 => "undefined",
        2 => "null",
        3 => "nan",
        4 => "\"\"",
        5 => "{}",
        6 => "[]",
        7 => "BinData(0, )",
        8 => "ObjectId('000000000000000000000000')",
        9 => "false",
        10 => "new Date(-9223372036854775808)",
        11 => "Timestamp(0, 0)",
        12 => "//",
        13 => "DBRef(\"\", 000000000000000000000000)",
        14 => "",
        15 => "CodeWScope( , {})",
        _ => "MaxKey",
    }
}

/// Writes values read from key bytes. `None` where the bytes end early.
struct Text<'k, 't> {
    bytes: &'k [u8],
    text: &'t mut String,
}

impl Text<'_, '_> {
    fn value(&mut self) -> Option<()> {
        let tag = self.take(1)?[0];
        self.body(tag)
    }

    fn body(&mut self, tag: u8) -> Option<()> {
        match (tag / TAG_STEP).checked_sub(1)? {
            3 => self.number(),
            4 | 14 => self.string('"'),
            5 => self.list(['{', '}'], Self::field),
            6 => self.list(['[', ']'], Self::body),
            7 => self.binary(),
            8 => {
                let id = self.hex(12)?;
                self.put(format_args!("ObjectId('{id}')"))
            }
            9 => {
                let truth = self.take(1)?[0] != 0;
                self.put(format_args!("{truth}"))
            }
            10 => {
                let millis = (self.long()? ^ (1 << 63)).cast_signed();
                self.put(format_args!("new Date({millis})"))
            }
            11 => {
                let stamp = self.long()?;
                self.put(format_args!(
                    "Timestamp({}, {})",
                    stamp >> 32,
                    stamp & u64::from(u32::MAX)
                ))
            }
            12 => {
                self.text.push('/');
                self.raw_string()?;
                self.text.push('/');
                self.raw_string()
            }
            13 => {
                let length = self.length()?;
                let namespace = String::from_utf8_lossy(self.take(length)?).into_owned();
                let id = self.hex(12)?;
                self.put(format_args!("DBRef(\"{namespace}\", {id})"))
            }
            15 => {
                self.text.push_str("CodeWScope( ");
                self.raw_string()?;
                self.text.push_str(", ");
                self.list(['{', '}'], Self::field)?;
                self.text.push(')');
                Some(())
            }
            _ => self.put(format_args!("{}", least_of(tag))),
        }
    }

    fn field(&mut self, tag: u8) -> Option<()> {
        self.raw_string()?;
        self.text.push_str(": ");
        self.body(tag)
    }

    /// The parts of a list, each after its tag, up to the list's end.
    fn list(
        &mut self,
        [open, close]: [char; 2],
        part: fn(&mut Self, u8) -> Option<()>,
    ) -> Option<()> {
        self.text.push(open);
        let mut separator = " ";
        loop {
            let tag = self.take(1)?[0];
            if tag == END {
                break;
            }
            self.text.push_str(separator);
            part(self, tag)?;
            separator = ", ";
        }
        let space = if separator == " " { "" } else { " " };
        self.put(format_args!("{space}{close}"))
    }

    fn number(&mut self) -> Option<()> {
        let length = number::length(self.bytes)?;
        match number::decode(self.take(length)?)? {
            number::Decoded::Double(double) if double.is_nan() => self.put(format_args!("nan")),
            number::Decoded::Double(double) => self.put(format_args!("{double}")),
            number::Decoded::Decimal(decimal) => self.put(format_args!("{decimal}")),
        }
    }

    fn binary(&mut self) -> Option<()> {
        let length = self.length()?;
        let subtype = self.take(1)?[0];
        let bytes = self.hex(length)?;
        self.put(format_args!("BinData({subtype}, {bytes})"))
    }

    fn string(&mut self, quote: char) -> Option<()> {
        self.text.push(quote);
        let whole = self.raw_string();
        self.text.push(quote);
        whole
    }

    /// The letters of a string, also of one whose end is missing.
    fn raw_string(&mut self) -> Option<()> {
        let end = self.bytes.iter().position(|&byte| byte == END);
        let mut letters = Vec::new();
        let mut escaped = false;
        for &byte in self.take(end.unwrap_or(self.bytes.len()))? {
            match byte {
                1 | 2 if escaped => letters.push(byte - 1),
                1 => {
                    escaped = true;
                    continue;
                }
                _ => letters.push(byte),
            }
            escaped = false;
        }
        self.text.push_str(&String::from_utf8_lossy(&letters));
        end?;
        self.take(1).map(|_| ())
    }

    fn put(&mut self, text: fmt::Arguments<'_>) -> Option<()> {
        self.text.write_fmt(text).ok()
    }

    fn take(&mut self, length: usize) -> Option<&[u8]> {
        let (taken, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some(taken)
    }

    fn long(&mut self) -> Option<u64> {
        self.take(8)?.try_into().map(u64::from_be_bytes).ok()
    }

    fn length(&mut self) -> Option<usize> {
        let length = self.take(4)?.try_into().map(u32::from_be_bytes).ok()?;
        usize::try_from(length).ok()
    }

    fn hex(&mut self, length: usize) -> Option<String> {
        let mut text = String::with_capacity(2 * length);
        for byte in self.take(length)? {
            let _ = write!(text, "{byte:02x}");
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use crate::Value;
    use crate::key::{Bounds, Comparison};
    use crate::raw::Kind;

    #[track_caller]
    fn check(bounds: &Bounds, expected: &[&str]) {
        let shown: Vec<_> = bounds.intervals().iter().map(ToString::to_string).collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn bounds_are_shown_as_intervals() {
        check(&Bounds::all(), &["[MinKey, MaxKey]"]);
        check(&Bounds::equal(Value::Int32(5)), &["[5, 5]"]);
        check(&Bounds::equal(Value::Double(-2.5)), &["[-2.5, -2.5]"]);
        check(
            &Bounds::equal(Value::Int64(i64::MAX)),
            &["[9223372036854775807, 9223372036854775807]"],
        );
        check(&Bounds::equal(Value::Decimal("-0.1".parse().unwrap())), &["[-0.1, -0.1]"]);
        check(&Bounds::equal(Value::String("a\0b")), &["[\"a\0b\", \"a\0b\"]"]);
        check(&Bounds::equal(Value::Null), &["[undefined, null]"]);
        check(&Bounds::equal(Value::Bool(true)), &["[true, true]"]);
        check(&Bounds::equal(Value::DateTime(-1)), &["[new Date(-1), new Date(-1)]"]);
        check(&Bounds::compared(Comparison::Gt, Value::Int32(5)), &["(5, \"\")"]);
        check(&Bounds::compared(Comparison::Lt, Value::Int32(5)), &["(nan, 5)"]);
        check(&Bounds::compared(Comparison::Gte, Value::String("a")), &["[\"a\", {})"]);
        check(&Bounds::equal(Value::Int32(5)).complement(), &["[MinKey, 5)", "(5, MaxKey]"]);
        check(&Bounds::of_kind(Kind::Bool), &["[false, new Date(-9223372036854775808))"]);
        check(&Bounds::matching("^ab", ""), &["[\"ab\", \"ac\")", "[/^ab/, /^ab/]"]);
        let backward = Bounds::compared(Comparison::Gte, Value::String("a"));
        assert_eq!(backward.intervals()[0].show_backward().to_string(), "({}, \"a\"]");
    }

    #[test]
    fn lists_are_shown_with_their_parts() {
        let document = bson::rawdoc! { "a": [1, "x"], "b": {} };
        let bounds = Bounds::equal(Value::from(&*document));
        check(&bounds, &["[{ a: [ 1, \"x\" ], b: {} }, { a: [ 1, \"x\" ], b: {} }]"]);
    }
}
