//! The search with PCRE2, in two ways.

use std::sync::OnceLock;

use pcre2::bytes as pcre;

use super::source::Source;
use super::{Captures, RegexError};
use crate::{Error, Result};

/// A pattern, compiled for texts of different lengths.
pub(super) struct Pcre {
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

impl Pcre {
    pub(super) fn new(pattern: &str, options: &str) -> Result<Self, RegexError> {
        let source = Source::new(pattern, options).ok_or_else(|| RegexError::Pattern {
            message: "a limit of the search stands behind something unknown".to_owned(),
        })?;
        let first = source
            .compile(&source.plain(LENGTHS[0]))
            .map_err(|error| RegexError::Pattern { message: error.to_string() })?;
        Ok(Self { source, first, by_length: Default::default(), thorough: Default::default() })
    }

    /// Where the first match at `start` or behind it begins and ends.
    pub(super) fn search(
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
                    self.source.body(),
                    text.len()
                ),
            )
        })
    }

    /// How many groups the pattern has.
    pub(super) fn groups(&self) -> usize {
        self.first.captures_len() - 1
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

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(Source::new(pattern, "").unwrap().thorough(64), None, "{pattern}");
        }
    }
}
