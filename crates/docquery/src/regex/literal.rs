//! Patterns that are plain text: they need no engine.

/// A pattern without anything special, `abc`, or with `^` in front, `^abc`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Literal {
    text: Box<str>,
    at_start: bool,
}

/// Longer patterns are left to PCRE2, which refuses those that are too long.
const LENGTH_MAX: usize = 256;

impl Literal {
    /// The text that `pattern` stands for, if it is that plain.
    pub(super) fn of(pattern: &str, options: &str) -> Option<Self> {
        if pattern.len() > LENGTH_MAX || options.contains(['i', 'm', 'x']) {
            return None;
        }
        let (at_start, text) = match pattern.strip_prefix('^') {
            Some(text) => (true, text),
            None => (false, pattern),
        };
        let plain = !text.contains(SPECIAL);
        plain.then(|| Self { text: text.into(), at_start })
    }

    pub(super) fn is_match(&self, text: &str) -> bool {
        if self.at_start { text.starts_with(&*self.text) } else { text.contains(&*self.text) }
    }

    /// Where the first match at `start` or behind it begins and ends.
    pub(super) fn find(&self, text: &str, start: usize) -> Option<(usize, usize)> {
        let begin = if self.at_start {
            (start == 0 && text.starts_with(&*self.text)).then_some(0)
        } else {
            text.get(start..)?.find(&*self.text).map(|place| place + start)
        }?;
        Some((begin, begin + self.text.len()))
    }
}

const SPECIAL: [char; 14] = ['\\', '^', '$', '.', '[', ']', '|', '(', ')', '?', '*', '+', '{', '}'];
