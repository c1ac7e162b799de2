//! A text, read from left to right.

/// What is left of a text. What takes something gives `None`, and takes nothing, where it is not there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scanner<'t> {
    rest: &'t str,
}

impl<'t> Scanner<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        Self { rest: text }
    }

    pub(super) fn is_done(self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn peek(self) -> Option<char> {
        self.rest.chars().next()
    }

    /// Takes the next character if it is one of `wanted`.
    pub(super) fn one_of(&mut self, wanted: &str) -> Option<char> {
        let next = self.peek().filter(|next| wanted.contains(*next))?;
        self.rest = &self.rest[next.len_utf8()..];
        Some(next)
    }

    /// Takes all characters that are one of `wanted`.
    pub(super) fn skip(&mut self, wanted: &str) {
        self.rest = self.rest.trim_start_matches(|next| wanted.contains(next));
    }

    /// Takes at least `least` and at most `most` digits.
    pub(super) fn digits(&mut self, least: usize, most: usize) -> Option<&'t str> {
        let count = self.rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
        if count < least {
            return None;
        }
        let (digits, rest) = self.rest.split_at(count);
        self.rest = rest;
        Some(digits)
    }

    /// The number of so many digits.
    pub(super) fn number(&mut self, least: usize, most: usize) -> Option<i64> {
        self.digits(least, most)?.parse().ok()
    }

    /// The number of so many digits, where no further digit follows.
    pub(super) fn whole_number(&mut self, least: usize, most: usize) -> Option<i64> {
        let mut ahead = *self;
        let number = ahead.number(least, most)?;
        if ahead.peek().is_some_and(|next| next.is_ascii_digit()) {
            return None;
        }
        *self = ahead;
        Some(number)
    }

    /// The milliseconds of the digits behind a decimal point.
    pub(super) fn fraction(&mut self, most: usize) -> Option<i64> {
        let digits = self.digits(1, most)?;
        Some(
            digits
                .bytes()
                .chain(*b"000")
                .take(3)
                .fold(0, |ms, digit| ms * 10 + i64::from(digit - b'0')),
        )
    }

    /// Takes letters, as many as there are.
    pub(super) fn word(&mut self) -> Option<&'t str> {
        let count = self.rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (word, rest) = self.rest.split_at(count);
        self.rest = rest;
        (count > 0).then_some(word)
    }

    /// Reads something of several parts: all of them or nothing.
    pub(super) fn attempt<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let mut ahead = *self;
        let result = read(&mut ahead)?;
        *self = ahead;
        Some(result)
    }
}

/// The offset of a time zone, in seconds: `Z`, `+05`, `+05:30`, `-0530`, or an abbreviation.
pub(super) fn zone(scanner: &mut Scanner<'_>) -> Option<i64> {
    scanner.attempt(|scanner| {
        if let Some(word) = scanner.word() {
            // A name with a slash is a zone of the database: those are not allowed in a text.
            let named = scanner.peek() == Some('/') || scanner.peek() == Some('_');
            return if named { None } else { abbreviation(word, scanner) };
        }
        signed_offset(scanner)
    })
}

fn abbreviation(word: &str, scanner: &mut Scanner<'_>) -> Option<i64> {
    let hours = match word.to_ascii_uppercase().as_str() {
        "GMT" | "UTC" => {
            return Some(scanner.attempt(signed_offset).unwrap_or(0));
        }
        "Z" | "WET" => 0,
        "CET" | "BST" | "WEST" | "A" => 1,
        "CEST" | "EET" | "B" => 2,
        "EEST" | "MSK" | "C" => 3,
        "D" => 4,
        "E" => 5,
        "F" => 6,
        "G" => 7,
        "H" => 8,
        "I" | "JST" | "KST" => 9,
        "K" => 10,
        "L" => 11,
        "M" => 12,
        "N" => -1,
        "O" => -2,
        "P" => -3,
        "Q" | "EDT" => -4,
        "R" | "EST" | "CDT" => -5,
        "S" | "CST" | "MDT" => -6,
        "T" | "MST" | "PDT" => -7,
        "U" | "PST" | "AKDT" => -8,
        "V" | "AKST" => -9,
        "W" | "HST" => -10,
        "X" => -11,
        "Y" => -12,
        _ => return None,
    };
    Some(hours * 3600)
}

fn signed_offset(scanner: &mut Scanner<'_>) -> Option<i64> {
    let sign = if scanner.one_of("+-")? == '-' { -1 } else { 1 };
    let digits = scanner.digits(1, 6)?;
    let number: i64 = digits.parse().ok()?;
    let (hours, minutes, seconds) = match digits.len() {
        1 | 2 => {
            let minutes = scanner.attempt(|scanner| {
                scanner.one_of(":")?;
                scanner.number(1, 2)
            });
            (number, minutes.unwrap_or(0), 0)
        }
        3 | 4 => (number / 100, number % 100, 0),
        6 => (number / 10_000, number / 100 % 100, number % 100),
        _ => return None,
    };
    Some(sign * (hours * 3600 + minutes * 60 + seconds))
}
