//! How a pattern is written for PCRE2: with the limits of a search in front.

use pcre2::bytes as pcre;

use super::{STEPS_MAX, STEPS_PER_BYTE};

/// In longer texts it matters that a step may pass many characters.
const LENGTH_SHORT: u32 = 1 << 17;

/// How many characters a search may pass that are not counted, at least: divided by the length of the text, this limits the
/// steps.
const UNCOUNTED_MAX: u64 = 20_000_000_000;

/// How much memory a search may use, in KiB.
const HEAP_KIB_MAX: u32 = 64 * 1024;

/// A pattern, to be written in the ways that it is compiled in.
pub(super) struct Source {
    /// The settings in front, `(*UCP)`.
    settings: Box<str>,
    body: Box<str>,
    options: Box<str>,
}

impl Source {
    /// `None` where a limit might stand behind a setting that is not known, and overrule ours.
    pub(super) fn new(pattern: &str, options: &str) -> Option<Self> {
        let (settings, body) = pattern.split_at(settings_length(pattern));
        let known = !(body.starts_with("(*") && body.contains("(*LIMIT_"));
        known.then(|| Self {
            settings: settings.into(),
            body: body.into(),
            options: options.into(),
        })
    }

    /// The pattern without its settings.
    pub(super) fn body(&self) -> &str {
        &self.body
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
    pub(super) fn is_uncounted(&self, length: u32) -> bool {
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
    pub(super) fn plain(&self, length: u32) -> String {
        format!("{}{}", self.limits(self.steps(length) / length, length), self.body)
    }

    /// The pattern for texts of `length`, with all the steps for all places together: `\G` is where the search begins, the lazy `.*?`
    /// goes from place to place, and `\K` makes the match begin there. `None` for a pattern that could not stand behind
    /// something.
    pub(super) fn thorough(&self, length: u32) -> Option<String> {
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

    pub(super) fn compile(&self, pattern: &str) -> Result<pcre::Regex, pcre2::Error> {
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
const SETTINGS: [&str; 19] = [
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
    "BSR_UNICODE",
];
const LIMITS: [&str; 4] = ["LIMIT_HEAP", "LIMIT_MATCH", "LIMIT_DEPTH", "LIMIT_RECURSION"];
