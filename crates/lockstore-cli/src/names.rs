//! Keys, holders and tokens from the command line, and a holder for who names none.

use lockstore::{Holder, Key, Token};
use rustix::process::getuid;
use rustix::system::uname;
use uuid::Uuid;

pub(crate) fn parse_key(text: &str) -> Result<Key, String> {
    Key::new(text).map_err(|error| error.to_string())
}

pub(crate) fn parse_holder(text: &str) -> Result<Holder, String> {
    Holder::new(text).map_err(|error| error.to_string())
}

pub(crate) fn parse_token(text: &str) -> Result<Token, String> {
    let number = text.parse().ok().and_then(Token::new);
    number.ok_or_else(|| "a token is a whole number from 1 on".to_owned())
}

/// A holder that nobody else is, such as `ada@crunch:4711-1f2e3d4c5b6a`. It tells people who and where, and
/// needs no quotes in a shell. It is another one each time: two scripts of one user must not share a lock
/// because neither of them gave itself a name.
pub(crate) fn own_holder() -> Holder {
    let unique = Uuid::new_v4().simple().to_string();
    let holder = format!("{}:{}-{}", user_and_host(), std::process::id(), &unique[..12]);
    Holder::new(&holder).expect("it is short, and not empty")
}

/// Who runs this program, and where: `ada@crunch`.
pub(crate) fn user_and_host() -> String {
    let user = ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    let user = user.map(|user| plain(&user)).filter(|user| !user.is_empty());
    let user = user.unwrap_or_else(|| getuid().to_string());
    format!("{user}@{}", plain(&uname().nodename().to_string_lossy()))
}

/// What of a name a shell takes as it is, and not too much of it.
fn plain(name: &str) -> String {
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || "-_.".contains(*c);
    name.chars().filter(is_plain).take(PART_CHARS_MAX).collect()
}

const PART_CHARS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_numbers_from_one_on() {
        assert_eq!(parse_token("7"), Ok(Token::new(7).unwrap()));
        for text in ["", "0", "-1", "1.5", "x", "18446744073709551616"] {
            assert_eq!(parse_token(text).unwrap_err(), "a token is a whole number from 1 on");
        }
    }

    #[test]
    fn nobody_else_is_an_own_holder() {
        assert_ne!(own_holder(), own_holder());
        let holder = own_holder();
        assert!(holder.chars().all(|c| c.is_ascii_alphanumeric() || "-_.@:".contains(c)));
    }
}
