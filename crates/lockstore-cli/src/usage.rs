//! Answers to a command line that asks for help, or that makes no sense.

use std::process::ExitCode;

use clap::Error;
use clap::error::ErrorKind;

use crate::failure::{Codes, Failure};
use crate::output;

/// Prints the help that was asked for, or says what is wrong with the command line.
pub(crate) fn answer(error: &Error) -> ExitCode {
    let failure = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            match output::print(&error.render().to_string()) {
                Ok(()) => return ExitCode::SUCCESS,
                Err(failure) => failure,
            }
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            Failure::usage("a command is missing; `lockstore --help` lists them")
        }
        _ => Failure::usage(sentence(&error.render().to_string())),
    };
    output::complain(&failure);
    failure.exit_code(Codes::ORDINARY)
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
    let command = rendered.lines().find_map(command_in_usage).unwrap_or("lockstore");
    format!("{}; see `{command} --help`", told.join("; "))
}

fn one_line(paragraph: &str) -> String {
    paragraph.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

/// The command that a line such as `Usage: lockstore run [OPTIONS] <KEY>` is about.
fn command_in_usage(line: &str) -> Option<&str> {
    let usage = line.strip_prefix("Usage: ")?;
    let end = usage.find(|c: char| !(c.is_ascii_lowercase() || c == ' ')).unwrap_or(usage.len());
    Some(usage[..end].trim_end())
}

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
    }
}
