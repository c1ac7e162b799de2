//! What is printed, and how.

use std::fmt::Write as _;
use std::io::{self, ErrorKind, Write as _};

use serde::Serialize;

use crate::failure::{Failure, Kind};

/// Prints `text` to stdout. A reader that has read enough is no failure.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    match write(text) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| unwritten(&error)),
    }
}

/// Prints `document` to stdout as JSON. A reader that has read enough is no failure.
pub(crate) fn print_json(document: &impl Serialize) -> Result<(), Failure> {
    print(&to_json(document))
}

pub(crate) fn to_json(document: &impl Serialize) -> String {
    let mut json = serde_json::to_string_pretty(document)
        .expect("our own documents have string keys and nothing that JSON lacks");
    json.push('\n');
    json
}

/// Writes `text` to stdout, all of it.
pub(crate) fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

pub(crate) fn unwritten(error: &io::Error) -> Failure {
    Failure::new(Kind::Output, format!("the output could not be written: {error}"))
}

/// Tells of a failure.
pub(crate) fn complain(failure: &Failure) {
    warn(&failure.to_string());
}

/// Writes a line to stderr. When that cannot be written, there is nobody left to tell.
pub(crate) fn warn(sentence: &str) {
    let _ = writeln!(io::stderr(), "lockstore: {}", printable(sentence));
}

/// `text` with everything escaped that would move the cursor, ring the bell or hide what follows: keys and
/// holders may contain anything.
pub(crate) fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '\'' | '"' => printable.push(c),
            c => write!(printable, "{}", c.escape_debug()).expect("a string takes all"),
        }
    }
    printable
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        assert_eq!(printable("nightly \"report\" ü 🔒"), "nightly \"report\" ü 🔒");
        assert_eq!(printable("a\nb\tc"), "a\\nb\\tc");
        assert_eq!(printable("\u{1b}[2J\u{202e}x\0"), "\\u{1b}[2J\\u{202e}x\\0");
    }
}
