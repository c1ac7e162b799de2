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

use std::fmt;
use std::sync::{Arc, OnceLock};

use pcre2::bytes as pcre;

use crate::{Error, Result, Value};
use literal::Literal;

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
            Program::Pcre(pcre) => pcre.first.captures_len() - 1,
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

/// A pattern, compiled for texts of different lengths.
struct Pcre {
    source: Source,
    /// For the shortest texts: it shows that the pattern is valid.
    first: pcre::Regex,
    /// For each of [`LENGTHS`].
    by_length: [OnceLock<Option<pcre::Regex>>; LENGTHS.len()],
    /// The thorough search for each of [`LENGTHS`].
    thorough: [OnceLock<Option<pcre::Regex>>; LENGTHS.len()],
}

/// The longest texts that patterns are compiled for. The limit of each length is that of its longest text.
const LENGTHS: [u32; 7] = [1 << 6, 1 << 10, 1 << 14, 1 << 17, 1 << 20, 1 << 22, 1 << 24];

/// In longer texts it matters that a step may pass many characters.
const LENGTH_SHORT: u32 = 1 << 17;

/// How many characters a search may pass that are not counted, at least: divided by the length of the text, this limits the
/// steps.
const UNCOUNTED_MAX: u64 = 20_000_000_000;

/// How much memory a search may use, in KiB.
const HEAP_KIB_MAX: u32 = 64 * 1024;

impl Pcre {
    fn new(pattern: &str, options: &str) -> Result<Self, RegexError> {
        let source = Source::new(pattern, options);
        let first = source
            .compile(&source.plain(LENGTHS[0]))
            .map_err(|error| RegexError::Pattern { message: error.to_string() })?;
        Ok(Self { source, first, by_length: Default::default(), thorough: Default::default() })
    }

    fn search(
        &self,
        text: &str,
        start: usize,
        mut captures: Option<&mut Captures>,
    ) -> Result<Option<(usize, usize)>> {
        let class = LENGTHS.iter().position(|length| text.len() <= *length as usize);
        let class = class.unwrap_or(LENGTHS.len() - 1);
        let length = LENGTHS[class];
        let found = if self.source.is_uncounted(length) {
            Err("its steps are not limited otherwise".to_owned())
        } else {
            run(self.plain(class), text, start, &mut captures)
        };
        let found = found.or_else(|_| {
            let thorough = self.thorough[class]
                .get_or_init(|| self.source.compile(&self.source.thorough(length)?).ok());
            run(thorough.as_ref(), text, start, &mut captures)
        });
        found.map_err(|why| {
            Error::location(
                51156,
                format!(
                    "the regular expression /{}/ takes too many steps or too much memory on a text of {} bytes: {why}",
                    self.source.body,
                    text.len()
                ),
            )
        })
    }

    fn plain(&self, class: usize) -> Option<&pcre::Regex> {
        if class == 0 {
            return Some(&self.first);
        }
        let compile = || self.source.compile(&self.source.plain(LENGTHS[class])).ok();
        self.by_length[class].get_or_init(compile).as_ref()
    }
}

fn run(
    regex: Option<&pcre::Regex>,
    text: &str,
    start: usize,
    captures: &mut Option<&mut Captures>,
) -> Result<Option<(usize, usize)>, String> {
    let regex = regex.ok_or("such a pattern cannot be searched for with more")?;
    let Some(Captures(groups)) = captures else {
        let found = regex.find_at(text.as_bytes(), start).map_err(|error| error.to_string())?;
        return Ok(found.map(|found| (found.start(), found.end())));
    };
    let mut places = regex.capture_locations();
    let found = regex.captures_read_at(&mut places, text.as_bytes(), start);
    let found = found.map_err(|error| error.to_string())?;
    groups.clear();
    groups.extend((0..places.len()).map(|group| places.get(group)));
    Ok(found.map(|found| (found.start(), found.end())))
}

/// A pattern, to be written in the ways that it is compiled in.
struct Source {
    /// The settings in front, `(*UCP)`.
    settings: Box<str>,
    body: Box<str>,
    options: Box<str>,
}

impl Source {
    fn new(pattern: &str, options: &str) -> Self {
        let (settings, body) = pattern.split_at(settings_length(pattern));
        Self { settings: settings.into(), body: body.into(), options: options.into() }
    }

    fn has_option(&self, option: char) -> bool {
        self.options.contains(option)
    }

    /// How many steps a search of a text of `length` may take.
    fn steps(&self, length: u32) -> u32 {
        if self.is_uncounted(length) {
            return u32::try_from(UNCOUNTED_MAX / u64::from(length)).unwrap_or(u32::MAX);
        }
        STEPS_MAX.max(length.saturating_mul(STEPS_PER_BYTE))
    }

    /// Whether steps in a text of `length` may pass so many characters that each counts for more.
    fn is_uncounted(&self, length: u32) -> bool {
        let body = &*self.body;
        length > LENGTH_SHORT
            && ["*", "+", ",}"].iter().any(|repetition| body.contains(repetition))
            && (has_any(body, &UNCOUNTED) || has_backreference(body))
            && !self.is_anchored()
    }

    /// Whether it can match at the beginning of a text only.
    fn is_anchored(&self) -> bool {
        self.body.starts_with('^') && !self.has_option('m') && !self.body.contains('|')
    }

    /// The settings, and behind them ours: of several of a kind the last counts. The characters of repetitions count in long texts
    /// only if the repetitions are not made possessive.
    fn limits(&self, steps: u32, length: u32) -> String {
        let possess = if length < LENGTH_SHORT { "" } else { "(*NO_AUTO_POSSESS)" };
        format!(
            "{}(*LIMIT_MATCH={steps})(*LIMIT_DEPTH={steps})(*LIMIT_HEAP={HEAP_KIB_MAX}){possess}",
            self.settings
        )
    }

    /// The pattern for texts of `length`, with an equal part of the steps for each place.
    fn plain(&self, length: u32) -> String {
        format!("{}{}", self.limits(self.steps(length) / length, length), self.body)
    }

    /// The pattern for texts of `length`, with all the steps for all places together: `\G` is where the search begins, the lazy `.*?`
    /// goes from place to place, and `\K` makes the match begin there. `None` for a pattern that could not stand behind
    /// something.
    fn thorough(&self, length: u32) -> Option<String> {
        let body = &*self.body;
        let switches_spacing = body.match_indices("(?").any(|(place, _)| {
            let flags = body[place + 2..].bytes();
            flags
                .take_while(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'^' | b'-'))
                .any(|flag| flag == b'x')
        });
        if switches_spacing || has_any(body, &STANDS_ALONE) {
            return None;
        }
        let limits = self.limits(self.steps(length), length);
        // A comment of the option x ends with its line, a quotation with `\E`.
        let end = if self.has_option('x') { "\\E\n)" } else { "\\E)" };
        Some(format!("{limits}\\G(?s:.)*?\\K(?:{body}{end}"))
    }

    fn compile(&self, pattern: &str) -> Result<pcre::Regex, pcre2::Error> {
        pcre::RegexBuilder::new()
            .utf(true)
            .caseless(self.has_option('i'))
            .multi_line(self.has_option('m'))
            .dotall(self.has_option('s'))
            .extended(self.has_option('x'))
            .build(pattern)
    }
}

/// What passes characters that are not counted, if there is a repetition in it: possessive repetitions, atomic groups,
/// lookarounds, conditions, verbs.
const UNCOUNTED: [&str; 12] =
    ["*+", "++", "?+", "}+", "(?>", "(?=", "(?!", "(?<", "(?*", "(?(", "(*", "(?P="];

/// What means something else behind a prefix: verbs, and recursions into the whole or counted from here.
const STANDS_ALONE: [&str; 7] = ["(*", "(?R", "(?0", "(?+", "(?-", "\\g<0", "\\g'0"];

fn has_any(pattern: &str, parts: &[&str]) -> bool {
    parts.iter().any(|part| pattern.contains(part))
}

/// Whether there is a backslash with a number, or what else names a group.
fn has_backreference(pattern: &str) -> bool {
    pattern.as_bytes().windows(2).any(|pair| {
        matches!(pair, [b'\\', after] if after.is_ascii_digit() || matches!(after, b'k' | b'g'))
    })
}

/// How long the settings are that a pattern begins with.
fn settings_length(pattern: &str) -> usize {
    let mut rest = pattern;
    while let Some(setting) = rest.strip_prefix("(*") {
        let Some((name, after)) = setting.split_once(')') else { break };
        let limit = name.split_once('=').is_some_and(|(name, number)| {
            LIMITS.contains(&name) && number.bytes().all(|byte| byte.is_ascii_digit())
        });
        if !limit && !SETTINGS.contains(&name) {
            break;
        }
        rest = after;
    }
    pattern.len() - rest.len()
}

/// What PCRE2 takes for a setting in front of a pattern.
const SETTINGS: [&str; 18] = [
    "UTF8",
    "UTF",
    "UCP",
    "NOTEMPTY",
    "NOTEMPTY_ATSTART",
    "NO_AUTO_POSSESS",
    "NO_DOTSTAR_ANCHOR",
    "NO_JIT",
    "NO_START_OPT",
    "CASELESS_RESTRICT",
    "TURKISH_CASING",
    "CR",
    "LF",
    "CRLF",
    "ANY",
    "NUL",
    "ANYCRLF",
    "BSR_ANYCRLF",
];
const LIMITS: [&str; 4] = ["LIMIT_HEAP", "LIMIT_MATCH", "LIMIT_DEPTH", "LIMIT_RECURSION"];

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

    #[test]
    fn the_thorough_search_finds_the_same() {
        for (pattern, options, text) in [
            ("b(c|d)", "", "abcd"),
            ("a|b", "", "xxb"),
            ("\\Qb", "", "abc"),
            ("b # comment", "x", "abc"),
            ("^b", "m", "a\nb"),
            ("(?<=a)b", "", "ab"),
            ("x", "", "abc"),
        ] {
            let pcre = Pcre::new(pattern, options).unwrap();
            let thorough = pcre.source.compile(&pcre.source.thorough(64).unwrap()).unwrap();
            let (mut a, mut b) = (Captures::default(), Captures::default());
            let plain = run(Some(&pcre.first), text, 0, &mut Some(&mut a)).unwrap();
            assert_eq!(
                run(Some(&thorough), text, 0, &mut Some(&mut b)).unwrap(),
                plain,
                "{pattern}"
            );
            assert_eq!(a, b, "{pattern}");
        }
        for pattern in ["(?x)b # comment", "(?R)?b", "a(*COMMIT)b"] {
            assert_eq!(Source::new(pattern, "").thorough(64), None, "{pattern}");
        }
    }
}
