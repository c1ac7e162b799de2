//! `$regexMatch`, `$regexFind`, `$regexFindAll`.

use super::context::Context;
use super::node::{Node, Special};
use super::operator::{Call, Key, NamedErrors, Operator, Table};
use super::scope::Scope;
use crate::regex::{Captures, Regex, RegexError};
use crate::{Arena, Error, Result, Value};

pub(super) const OPERATORS: Table = &[
    ("$regexMatch", Operator::Parsed(|call, scope| Search::parse(call, scope, Wanted::Whether))),
    ("$regexFind", Operator::Parsed(|call, scope| Search::parse(call, scope, Wanted::First))),
    ("$regexFindAll", Operator::Parsed(|call, scope| Search::parse(call, scope, Wanted::All))),
];

const KEYS: [Key; 3] =
    [Key::required("input", 31022), Key::required("regex", 31023), Key::optional("options")];
const ERRORS: NamedErrors = NamedErrors { not_an_object: 51103, unknown_key: 31024 };

/// `{$regexMatch: {input: string, regex: string or regex, options: string}}`, and the others.
#[derive(Debug)]
struct Search {
    operator: &'static str,
    wanted: Wanted,
    input: Node,
    pattern: Pattern,
}

/// What is asked about matches.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    Whether,
    First,
    All,
}

#[derive(Debug)]
enum Pattern {
    Computed {
        regex: Node,
        options: Option<Node>,
    },
    /// `None` for null.
    Constant(Option<Regex>),
}

impl Search {
    fn parse(call: Call<'_>, scope: &Scope<'_>, wanted: Wanted) -> Result<Node> {
        let [input, regex, options] = call.raw_keys(KEYS, ERRORS)?;
        let input = Node::parse(input, scope)?;
        let regex = Node::parse(regex, scope)?;
        let options = if options.is_missing() { None } else { Some(Node::parse(options, scope)?) };
        let pattern = Pattern::Computed { regex, options };
        Ok(Node::special(Self { operator: call.name, wanted, input, pattern }))
    }

    /// The text to search in; `None` for null.
    fn text<'a>(&self, input: Value<'a>) -> Result<Option<&'a str>> {
        match input {
            Value::String(text) => Ok(Some(text)),
            value if value.is_nullish() => Ok(None),
            value => {
                let (operator, found) = (self.operator, value.type_name());
                Err(Error::location(
                    51104,
                    format!("{operator} needs 'input' to be of type string, found: {found}"),
                ))
            }
        }
    }

    fn search<'a>(
        &self,
        input: Value<'a>,
        regex: Option<&Regex>,
        arena: &'a Arena,
    ) -> Result<Value<'a>> {
        let text = self.text(input)?;
        let (Some(text), Some(regex)) = (text, regex) else {
            return Ok(match self.wanted {
                Wanted::Whether => Value::Bool(false),
                Wanted::First => Value::Null,
                Wanted::All => Value::Array(crate::Array::EMPTY),
            });
        };
        match self.wanted {
            Wanted::Whether => regex.is_match(text).map(Value::Bool),
            Wanted::First => Ok(Matches::of(text, regex).next(arena)?.unwrap_or(Value::Null)),
            Wanted::All => {
                let mut matches = Matches::of(text, regex);
                let mut all = Vec::new();
                while let Some(found) = matches.next(arena)? {
                    all.push(found);
                    matches.check_memory(self.operator)?;
                }
                arena.array(&all)
            }
        }
    }
}

impl Special for Search {
    fn evaluate<'a>(&'a self, context: Context<'_, 'a>) -> Result<Value<'a>> {
        let input = self.input.evaluate(context)?;
        match &self.pattern {
            Pattern::Constant(regex) => self.search(input, regex.as_ref(), context.arena),
            Pattern::Computed { regex, options } => {
                let regex = regex.evaluate(context)?;
                let options = match options {
                    Some(options) => options.evaluate(context)?,
                    None => Value::Missing,
                };
                let regex = compile(self.operator, regex, options)?;
                self.search(input, regex.as_ref(), context.arena)
            }
        }
    }

    fn fold(&mut self) -> Result<Option<Node>> {
        self.input.fold()?;
        let Pattern::Computed { regex, options } = &mut self.pattern else {
            return Ok(None);
        };
        regex.fold()?;
        if let Some(options) = options {
            options.fold()?;
        }
        let options = match options {
            Some(options) => options.constant(),
            None => Some(Value::Missing),
        };
        if let (Some(regex), Some(options)) = (regex.constant(), options) {
            self.pattern = Pattern::Constant(compile(self.operator, regex, options)?);
        }
        Ok(None)
    }
}

/// Compiles a pattern with its options, one of them, or both in a regular expression. `None` if there is no pattern.
fn compile(operator: &str, regex: Value<'_>, options: Value<'_>) -> Result<Option<Regex>> {
    let fail = |code, what: &str| Err(Error::location(code, format!("{operator}{what}")));
    let (pattern, own_options) = match regex {
        Value::String(pattern) => (Some(pattern), ""),
        Value::Regex { pattern, options } => (Some(pattern), options),
        value if value.is_nullish() => (None, ""),
        _ => return fail(51105, " needs 'regex' to be of type string or regex"),
    };
    let options = match options {
        Value::String(_) if !own_options.is_empty() => {
            return fail(
                51107,
                ": found regex options specified in both 'regex' and 'options' fields",
            );
        }
        Value::String(options) => options,
        value if value.is_nullish() => own_options,
        _ => return fail(51106, " needs 'options' to be of type string"),
    };
    if pattern.is_some_and(|pattern| pattern.contains('\0')) {
        return fail(51109, ": regular expression cannot contain an embedded null byte");
    }
    if options.contains('\0') {
        return fail(51110, ": regular expression options cannot contain an embedded null byte");
    }
    let Some(pattern) = pattern else {
        return Ok(None);
    };
    match Regex::new(pattern, options) {
        Ok(regex) => Ok(Some(regex)),
        Err(RegexError::Option(option)) => fail(
            51108,
            &format!(": invalid flag in regex options: {option}; allowed are i, m, s, u and x"),
        ),
        Err(RegexError::NullByte) => {
            fail(51109, ": regular expression cannot contain an embedded null byte")
        }
        Err(RegexError::Pattern { message }) => fail(51111, &format!(": Invalid Regex: {message}")),
    }
}

/// The matches in a text, one after the other. They do not overlap.
struct Matches<'t, 'r> {
    text: &'t str,
    regex: &'r Regex,
    /// Where the next search begins, in bytes and in code points; `None` behind the last.
    next: Option<(usize, usize)>,
    /// About how much memory the matches so far take.
    bytes: usize,
}

impl<'t, 'r> Matches<'t, 'r> {
    fn of(text: &'t str, regex: &'r Regex) -> Self {
        Self { text, regex, next: Some((0, 0)), bytes: 0 }
    }

    /// The next match: `{match, idx, captures}`.
    fn next<'a>(&mut self, arena: &'a Arena) -> Result<Option<Value<'a>>>
    where
        't: 'a,
    {
        let Some((start, index)) = self.next.take() else {
            return Ok(None);
        };
        let Some(captures) = self.regex.captures(self.text, start)? else {
            return Ok(None);
        };
        // `\K` can put the begin of a match before the place where the search began, and behind its end.
        let (begin, end) = captures.whole();
        let begin = begin.max(start);
        let end = end.max(begin);
        let found = &self.text[begin..end];
        let index = index + self.text[start..begin].chars().count();
        let after = match self.text[begin..].chars().next() {
            Some(character) if found.is_empty() => (begin + character.len_utf8(), index + 1),
            _ => (end, index + found.chars().count()),
        };
        self.next = (after.0 < self.text.len()).then_some(after);
        self.bytes += 200 + found.len();
        self.document(found, index, &captures, arena).map(Some)
    }

    fn document<'a>(
        &mut self,
        found: &'t str,
        index: usize,
        captures: &Captures,
        arena: &'a Arena,
    ) -> Result<Value<'a>>
    where
        't: 'a,
    {
        let group = |place: &Option<(usize, usize)>| match place {
            Some((begin, end)) => Value::String(self.text.get(*begin..*end).unwrap_or_default()),
            None => Value::Null,
        };
        let groups: Vec<_> = captures.groups().iter().map(group).collect();
        self.bytes +=
            groups.iter().map(|group| 40 + group.as_str().map_or(0, str::len)).sum::<usize>();
        arena.document(&[
            ("match", Value::String(found)),
            ("idx", super::strings::count(index)),
            ("captures", arena.array(&groups)?),
        ])
    }

    /// Checks that the matches do not take more memory than the server gives them.
    fn check_memory(&self, operator: &str) -> Result<()> {
        const BYTES_MAX: usize = 64 * 1024 * 1024;
        if self.bytes > BYTES_MAX {
            return Err(Error::location(
                51151,
                format!("{operator}: the size of buffer to store output exceeded the 64MB limit"),
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, check_error};
    use bson::{Bson, bson};

    fn all(input: &str, regex: &str) -> Bson {
        bson!({"$regexFindAll": {"input": input, "regex": regex}})
    }

    #[test]
    fn matches_and_their_places() {
        check(
            bson!({"$regexFind": {"input": "é12", "regex": "(a)?([0-9])"}}),
            bson!({"match": "1", "idx": 1, "captures": [null, "1"]}),
        );
        check(
            all("é1é2", "[0-9]"),
            bson!([
                {"match": "1", "idx": 1, "captures": []},
                {"match": "2", "idx": 3, "captures": []},
            ]),
        );
        check(
            all("aé", "a?"),
            bson!([
                {"match": "a", "idx": 0, "captures": []},
                {"match": "", "idx": 1, "captures": []},
            ]),
        );
        check(all("", ""), bson!([{"match": "", "idx": 0, "captures": []}]));
    }

    #[test]
    fn no_matches() {
        check(bson!({"$regexFind": {"input": "a", "regex": "b"}}), bson!(null));
        check(bson!({"$regexFind": {"input": null, "regex": "b"}}), bson!(null));
        check(bson!({"$regexMatch": {"input": null, "regex": "b"}}), bson!(false));
        check(bson!({"$regexMatch": {"input": "b", "regex": null}}), bson!(false));
        check(bson!({"$regexFindAll": {"input": "$missing", "regex": "b"}}), bson!([]));
    }

    #[test]
    fn errors() {
        let search = |options: Bson| bson!({"$regexMatch": {"input": "a", "regex": "a", "options": options}});
        check_error(search(bson!("z")), 51108);
        check_error(search(bson!("i\0")), 51110);
        check_error(search(bson!(1)), 51106);
        check_error(all("a", "["), 51111);
        check_error(all("a", "\0"), 51109);
        check_error(bson!({"$regexMatch": {"input": 1, "regex": "a"}}), 51104);
        check_error(bson!({"$regexMatch": {"input": "a", "regex": 1}}), 51105);
        check_error(bson!({"$regexMatch": {"regex": "a"}}), 31022);
        check_error(bson!({"$regexMatch": {"input": "a"}}), 31023);
        check_error(bson!({"$regexMatch": {"input": "a", "regex": "a", "x": 1}}), 31024);
        check_error(bson!({"$regexMatch": 1}), 51103);
        check_error(all(&format!("{}!", "a".repeat(40)), "(a+)+$"), 51156);
    }
}
