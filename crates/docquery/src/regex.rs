//! Regular expressions: PCRE2, as MongoDB's users write them, but with a limit to what a search may cost.
//!
//! # The limit
//!
//! PCRE2 searches by backtracking, and some patterns (`(a+)+$`) take a time that grows exponentially with the text. Each
//! step is counted, and a search that takes more than [`STEPS_MAX`] steps, and [`STEPS_PER_BYTE`] more for each byte of the
//! text, is an error (51156), never "no match". It may use at most 64 MiB of memory. A pattern cannot raise these limits: a
//! `(*LIMIT_MATCH=...)` in it is overruled.
//!
//! PCRE2 itself counts the steps from each place where a match may begin, and begins anew at the next. So the first
//! search runs with the limit divided by the length of the text, which nearly all pass. If one does not, the text is searched
//! again in a way that counts all of its steps together: the pattern behind a lazy prefix that goes from place to place.
//!
//! A possessive or atomic repetition (`a++`, `(?>a*)`), one in a lookaround, and a backreference pass many characters in one
//! step. So in texts of more than 128 KiB patterns with them have fewer steps, the fewer the longer the text is: 2 * 10^10 divided
//! by its length; but for those that can match in one place only because they begin with `^`.

mod literal;
mod search;
mod source;

use std::fmt;
use std::sync::Arc;

use crate::{Result, Value};
use literal::Literal;
use search::Pcre;

/// How many steps a search may take, besides those for the length of the text.
pub const STEPS_MAX: u32 = 10_000_000;

/// How many steps more a search may take for each byte of the text.
pub const STEPS_PER_BYTE: u32 = 100;

/// A regular expression, compiled. A copy shares the compiled pattern.
#[derive(Clone)]
pub struct Regex {
    pattern: Box<str>,
    options: Box<str>,
    program: Program,
}

#[derive(Clone)]
enum Program {
    Literal(Literal),
    Pcre(Arc<Pcre>),
}

/// Why something is no regular expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegexError {
    /// An option is none of `i`, `m`, `s`, `u` and `x`.
    Option(char),
    /// The pattern has a 0 in it.
    NullByte,
    /// The pattern is invalid, or too long.
    Pattern {
        /// What PCRE2 says about it.
        message: String,
    },
}

/// What a search found: where the match and its groups begin and end, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captures(
    /// The match, then the groups; `None` for those that took no part.
    Vec<Option<(usize, usize)>>,
);

impl Regex {
    /// Compiles `pattern` with `options`, one letter each: `i` ignores case, `m` lets `^` and `$` match at lines, `s` lets `.`
    /// match newlines, `x` ignores white space in the pattern. `u` is allowed, and always on: text is UTF-8.
    ///
    /// # Errors
    ///
    /// See [`RegexError`].
    pub fn new(pattern: &str, options: &str) -> Result<Self, RegexError> {
        if let Some(unknown) = options.chars().find(|option| !"imsux".contains(*option)) {
            return Err(RegexError::Option(unknown));
        }
        if pattern.contains('\0') {
            return Err(RegexError::NullByte);
        }
        let program = match Literal::of(pattern, options) {
            Some(literal) => Program::Literal(literal),
            None => Program::Pcre(Arc::new(Pcre::new(pattern, options)?)),
        };
        Ok(Self { pattern: pattern.into(), options: options.into(), program })
    }

    /// Whether a search by such a pattern looks at each byte of the text at most as often as the pattern is long: it is
    /// plain text, or has nothing in it that repeats or chooses. May say no of a pattern that is as cheap.
    pub fn never_backtracks(pattern: &str, options: &str) -> bool {
        Literal::of(pattern, options).is_some() || !pattern.contains(['*', '+', '?', '{', '|', '('])
    }

    /// The pattern, as it was written.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// The options, as they were written.
    pub fn options(&self) -> &str {
        &self.options
    }

    /// Whether it matches somewhere in `text`.
    ///
    /// # Errors
    ///
    /// The search took too many steps.
    pub fn is_match(&self, text: &str) -> Result<bool> {
        match &self.program {
            Program::Literal(literal) => Ok(literal.is_match(text)),
            Program::Pcre(pcre) => Ok(pcre.search(text, 0, None)?.is_some()),
        }
    }

    /// Whether it matches `value`: a string in which it matches, or a regular expression that is written like it.
    ///
    /// # Errors
    ///
    /// As [`Regex::is_match`].
    pub fn matches_value(&self, value: Value<'_>) -> Result<bool> {
        match value {
            Value::String(text) | Value::Symbol(text) => self.is_match(text),
            Value::Regex { pattern, options } => {
                Ok(*pattern == *self.pattern && *options == *self.options)
            }
            _ => Ok(false),
        }
    }

    /// The first match that begins at `start` or behind it. What stands before `start` is seen by lookbehinds and `\b`.
    ///
    /// # Errors
    ///
    /// As [`Regex::is_match`].
    ///
    /// # Panics
    ///
    /// `start` is behind the end of the text.
    pub fn captures(&self, text: &str, start: usize) -> Result<Option<Captures>> {
        match &self.program {
            Program::Literal(literal) => {
                Ok(literal.find(text, start).map(|found| Captures(vec![Some(found)])))
            }
            Program::Pcre(pcre) => {
                let mut captures = Captures::default();
                let found = pcre.search(text, start, Some(&mut captures))?;
                Ok(found.map(|_| captures))
            }
        }
    }

    /// How many groups the pattern has.
    pub fn groups(&self) -> usize {
        match &self.program {
            Program::Literal(_) => 0,
            Program::Pcre(pcre) => pcre.groups(),
        }
    }
}

impl Captures {
    /// Where the match begins and ends.
    pub fn whole(&self) -> (usize, usize) {
        self.0.first().copied().flatten().unwrap_or_default()
    }

    /// Where the groups begin and end; `None` for those that took no part in the match.
    pub fn groups(&self) -> &[Option<(usize, usize)>] {
        self.0.get(1..).unwrap_or_default()
    }
}

impl fmt::Display for RegexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option(option) => write!(
                f,
                "invalid option {option:?} of a regular expression; the options are i, m, s, u and x"
            ),
            Self::NullByte => f.write_str("a regular expression must not contain a null byte"),
            Self::Pattern { message } => write!(f, "the regular expression is invalid: {message}"),
        }
    }
}

impl std::error::Error for RegexError {}

impl fmt::Debug for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/{}", self.pattern, self.options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regex(pattern: &str, options: &str) -> Regex {
        Regex::new(pattern, options).unwrap()
    }

    #[track_caller]
    fn check(pattern: &str, options: &str, text: &str, expected: bool) {
        assert_eq!(
            regex(pattern, options).is_match(text),
            Ok(expected),
            "/{pattern}/{options} on {text:?}"
        );
    }

    #[test]
    fn patterns_match_as_in_pcre() {
        check("b", "", "abc", true);
        check("^b", "", "abc", false);
        check("^b", "m", "a\nb", true);
        check("^a", "m", "b\na", true);
        check("B", "i", "abc", true);
        check("É", "i", "é", true);
        check("^.$", "", "é", true);
        check("a.b", "", "a\nb", false);
        check("a.b", "su", "a\nb", true);
        check("a b # comment", "x", "ab", true);
        check("(?<=a)b(?!c)", "", "abd", true);
        check("(?>a+)b", "", "aab", true);
        check("(?i)B", "", "abc", true);
        check("end\\Z", "", "the end\n", true);
        check("\\w", "", "é", false);
        check("(*UCP)\\w", "", "é", true);
        check("", "", "", true);
        check("a{2}", "", "aa", true);
        check("\\Qa.b", "", "a.b", true);
    }

    #[test]
    fn a_match_has_places() {
        let found = regex("b(c)(x)?", "").captures("abcbc", 2).unwrap().unwrap();
        assert_eq!(found.whole(), (3, 5));
        assert_eq!(found.groups(), [Some((4, 5)), None]);
        let literal = regex("bc", "").captures("abcbc", 2).unwrap().unwrap();
        assert_eq!((literal.whole(), literal.groups()), ((3, 5), &[][..]));
        assert_eq!(regex("^b", "").captures("abb", 1), Ok(None));
        assert_eq!(regex("(a)|(b)", "").groups(), 2);
    }

    #[test]
    fn what_is_no_regular_expression_is_refused() {
        let refused = |pattern, options| Regex::new(pattern, options).unwrap_err();
        assert!(matches!(refused("(", ""), RegexError::Pattern { .. }));
        assert_eq!(refused("a", "ig"), RegexError::Option('g'));
        assert_eq!(refused("a\0", ""), RegexError::NullByte);
        assert!(Regex::new(&"a".repeat(32_764), "").is_ok());
        assert!(matches!(refused(&"a".repeat(32_765), ""), RegexError::Pattern { .. }));
    }

    #[track_caller]
    fn check_too_costly(pattern: &str, text: &str) {
        let error = regex(pattern, "").is_match(text).expect_err(pattern);
        assert_eq!(error.code().value(), 51156);
    }

    /// Each would take from minutes to longer than anybody lives.
    #[test]
    fn a_search_that_takes_too_long_is_an_error() {
        check_too_costly("(a+)+$", &format!("{}b", "a".repeat(40)));
        check_too_costly("^(a|aa)+$", &format!("{}b", "a".repeat(5_000)));
        check_too_costly("(.*)*[xy]", &"a".repeat(60_000));
        check_too_costly("a*a*[bc]", &"a".repeat(100_000));
        check_too_costly("\\s+$", &format!("{}x", " ".repeat(200_000)));
        check_too_costly("a*[bc]", &"a".repeat(1_000_000));
        check_too_costly("(?>a*)[bc]", &"a".repeat(1_000_000));
        check_too_costly("(?=a*+b)a", &"a".repeat(1_000_000));
    }

    #[test]
    fn a_pattern_cannot_raise_the_limit() {
        let text = format!("{}b", "a".repeat(40));
        check_too_costly("(*LIMIT_MATCH=4000000000)(a+)+$", &text);
        check_too_costly("(*UTF)(*LIMIT_MATCH=4000000000)(*LIMIT_DEPTH=4000000000)(a+)+$", &text);
        check_too_costly("(*BSR_UNICODE)(*CRLF)(*LIMIT_MATCH=4000000000)(a+)+$", &text);
        assert!(Regex::new("(*NEWER)(*LIMIT_MATCH=4000000000)(a+)+$", "").is_err());
        check("(*LIMIT_MATCH=1)a+b", "", &text, true);
    }

    /// From the place where the line begins such a search takes a step for each character; that is not too much.
    #[test]
    fn a_long_text_may_be_searched() {
        let text = format!("{}needle", "hay ".repeat(250_000));
        check("hay.*[x-z]", "", &"hay ".repeat(2_000), true);
        check("[a-z]+le$", "", &text, true);
        check("^.*dle", "", &text, true);
        check("needle$", "", &text, true);
        check("^.*(x|needles)", "", &text, false);
        check("(?<!y )needle", "", &text, false);
        check("^(?=.*dle)(?!.*x)hay", "", &text, true);
        let found = regex("n(e+)dle", "").captures(&text, 3).unwrap().unwrap();
        assert_eq!(found.groups(), [Some((text.len() - 5, text.len() - 3))]);
    }
}
