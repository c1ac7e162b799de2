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
//! Not counted are the characters that a possessive or atomic repetition (`a++`, `(?>a*)`) passes in one step.

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
const LENGTHS: [u32; 6] = [1 << 6, 1 << 10, 1 << 14, 1 << 18, 1 << 21, 1 << 24];

/// How much memory a search may use, in KiB.
const HEAP_KIB_MAX: u32 = 64 * 1024;

impl Pcre {
    fn new(pattern: &str, options: &str) -> Result<Self, RegexError> {
        let source = Source::new(pattern, options);
        let first = source
            .compile(&source.plain(steps_from_each(LENGTHS[0])))
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
        let regex = match class {
            0 => Some(&self.first),
            _ => self.by_length[class]
                .get_or_init(|| {
                    self.source.compile(&self.source.plain(steps_from_each(length))).ok()
                })
                .as_ref(),
        };
        let found = run(regex, text, start, captures.as_deref_mut());
        let found = found.or_else(|_| {
            let thorough = self.thorough[class]
                .get_or_init(|| self.source.compile(&self.source.thorough(steps(length))?).ok());
            run(thorough.as_ref(), text, start, captures)
        });
        found.map_err(|why| {
            Error::location(
                51156,
                format!(
                    "the regular expression /{}/ takes too many steps or too much memory on a text of {} bytes: {why}",
                    self.source.pattern(),
                    text.len()
                ),
            )
        })
    }
}

/// How many steps a search of a text of `length` may take.
fn steps(length: u32) -> u32 {
    STEPS_MAX.max(length.saturating_mul(STEPS_PER_BYTE))
}

/// How many steps it may take from each place at first.
fn steps_from_each(length: u32) -> u32 {
    steps(length) / length
}

fn run(
    regex: Option<&pcre::Regex>,
    text: &str,
    start: usize,
    captures: Option<&mut Captures>,
) -> Result<Option<(usize, usize)>, String> {
    let regex = regex.ok_or("it is not counted with other patterns")?;
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

    fn pattern(&self) -> &str {
        &self.body
    }

    /// The settings, and behind them ours: of several of a kind the last counts.
    fn limits(&self, steps: u32) -> String {
        format!(
            "{}(*LIMIT_MATCH={steps})(*LIMIT_DEPTH={steps})(*LIMIT_HEAP={HEAP_KIB_MAX})",
            self.settings
        )
    }

    /// The pattern with `steps` from each place.
    fn plain(&self, steps: u32) -> String {
        format!("{}{}", self.limits(steps), self.body)
    }

    /// The pattern with `steps` from all places together: `\G` is where the search begins, the lazy `.*?` goes from place to
    /// place, and `\K` makes the match begin there. Repetitions are not made possessive, so that their characters count.
    /// `None` for a pattern that could not stand behind something.
    fn thorough(&self, steps: u32) -> Option<String> {
        let body = &*self.body;
        let has_verbs = body.contains("(*");
        let recurses =
            ["(?R", "(?0", "\\g<0", "\\g'0", "(?+", "(?-"].iter().any(|part| body.contains(part));
        let switches_spacing = body.match_indices("(?").any(|(place, _)| {
            let flags = body[place + 2..]
                .bytes()
                .take_while(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'^' | b'-'));
            flags.into_iter().any(|flag| flag == b'x')
        });
        if has_verbs || recurses || switches_spacing {
            return None;
        }
        let limits = self.limits(steps);
        // A comment of the option x ends with its line, a quotation with `\E`.
        let end = if self.has_option('x') { "\\E\n)" } else { "\\E)" };
        Some(format!("{limits}(*NO_AUTO_POSSESS)\\G(?s:.)*?\\K(?:{body}{end}"))
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
