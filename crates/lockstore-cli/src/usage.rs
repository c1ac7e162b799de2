//! Answers to a command line that asks for help, or that makes no sense.

use std::error::Error as _;

use clap::Error;
use clap::error::{ContextKind, ErrorKind};

use crate::exit_code::ExitCode;
use crate::failure::{Codes, Failure};
use crate::output;

/// Prints the help that was asked for, or says what is wrong with the command line.
pub(crate) fn answer(error: &Error) -> ExitCode {
    let rendered = error.render().to_string();
    let failure = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => match output::print(&rendered) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(failure) => failure,
        },
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            let command = command_in(&rendered);
            Failure::usage(format!("a command is missing; `{command} --help` lists them"))
        }
        ErrorKind::ValueValidation => Failure::usage(bad_value(error)),
        _ => Failure::usage(sentence(&rendered)),
    };
    output::complain(&failure);
    failure.exit_code(Codes::ORDINARY)
}

/// What is wrong with a value, in the words of who parsed it.
fn bad_value(error: &Error) -> String {
    let told = |kind| error.get(kind).map(ToString::to_string).unwrap_or_default();
    let (argument, value) = (told(ContextKind::InvalidArg), told(ContextKind::InvalidValue));
    let reason = error.source().map(ToString::to_string).unwrap_or_default();
    let argument = argument.trim_end_matches("...");
    format!("{} is no {argument}: {reason}", shortened(&value))
}

fn shortened(value: &str) -> String {
    match value.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{:?}...", &value[..end]),
        None => format!("{value:?}"),
    }
}

/// What clap has to say, as one sentence or two: without its prefix, and without the usage, which the help
/// has.
fn sentence(rendered: &str) -> String {
    let rendered = rendered.strip_prefix("error: ").unwrap_or(rendered);
    let told = rendered.split("\n\n").map(str::trim).filter(|paragraph| {
        !paragraph.is_empty()
            && !paragraph.starts_with("Usage:")
            && !paragraph.starts_with("For more information")
    });
    let told: Vec<_> = told.map(one_line).collect();
    format!("{}; see `{} --help`", told.join("; "), command_in(rendered))
}

/// The command that clap is talking about.
fn command_in(rendered: &str) -> &str {
    rendered.lines().find_map(command_in_usage).unwrap_or("lockstore")
}

fn one_line(paragraph: &str) -> String {
    paragraph.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

/// The command that a line such as `Usage: lockstore run [OPTIONS] <KEY>` is about.
fn command_in_usage(line: &str) -> Option<&str> {
    let usage = line.strip_prefix("Usage: ")?;
    let is_name = |word: &&str| word.starts_with(|c: char| c.is_ascii_lowercase());
    let names: usize = usage.split(' ').take_while(is_name).map(|name| name.len() + 1).sum();
    usage.get(..names.saturating_sub(1))
}

const VALUE_CHARS_MAX: usize = 60;

#[cfg(test)]
mod tests {
    use super::sentence;

    #[test]
    fn what_clap_says_becomes_one_line() {
        let rendered = "error: the following required arguments were not provided:\n  <KEY>\n\n\
                        Usage: lockstore show [OPTIONS] <KEY>\n\n\
                        For more information, try '--help'.\n";
        assert_eq!(
            sentence(rendered),
            "the following required arguments were not provided: <KEY>; see `lockstore show --help`"
        );
        let rendered = "error: unexpected argument '--tll' found\n\n\
                        \x20 tip: a similar argument exists: '--ttl'\n\n\
                        Usage: lockstore run --ttl <TTL> <KEY> -- <CMD>...\n";
        assert_eq!(
            sentence(rendered),
            "unexpected argument '--tll' found; tip: a similar argument exists: '--ttl'; \
             see `lockstore run --help`"
        );
        let rendered = "error: that\n\nUsage: lockstore doc create-index [OPTIONS] <KEYS>\n";
        assert_eq!(sentence(rendered), "that; see `lockstore doc create-index --help`");
    }
}
