//! A step of a chore: a command that says what it is for, shows its command line, runs, and says
//! how long it took. The first step that fails ends the chore.

use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::process::{ChildStdout, Command, Stdio};
use std::time::Instant;

pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// Why a chore ended early: a sentence for the person who started it.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A named command, in the root of the repository, without standard input.
#[derive(Debug)]
pub(crate) struct Step {
    name: String,
    command: Command,
}

impl Step {
    /// A step that runs this `program`.
    pub(crate) fn new(name: impl Into<String>, program: impl AsRef<OsStr>) -> Self {
        Self { name: name.into(), command: command(program) }
    }

    /// A step that runs cargo with these arguments, written as in a shell but without quotes.
    pub(crate) fn cargo(name: impl Into<String>, args: &str) -> Self {
        Self::new(name, "cargo").args(args.split_whitespace())
    }

    pub(crate) fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it; its output goes where ours goes.
    pub(crate) fn run(self) -> Outcome {
        self.finish(|_| {})
    }

    /// Runs it, and shows each line of its standard output to us and to `see`.
    pub(crate) fn run_watched(mut self, mut see: impl FnMut(&str)) -> Outcome {
        self.command.stdout(Stdio::piped());
        self.finish(|stdout| {
            let mut stdout = BufReader::new(stdout);
            let mut line = Vec::new();
            while stdout.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
                let text = String::from_utf8_lossy(&line);
                print!("{text}");
                see(&text);
                line.clear();
            }
        })
    }

    /// Runs it, and returns its standard output instead of showing it.
    pub(crate) fn run_quietly(mut self) -> Outcome<String> {
        self.command.stdout(Stdio::piped());
        let mut output = Vec::new();
        self.finish(|mut stdout| {
            // What could not be read is missing from what it says, not from what it did.
            let _ = stdout.read_to_end(&mut output);
        })?;
        Ok(String::from_utf8_lossy(&output).into_owned())
    }

    fn finish(mut self, read: impl FnOnce(ChildStdout)) -> Outcome {
        let line = command_line(&self.command);
        // Not on standard output, which is for what a chore is asked to print.
        eprintln!("\n==> {}\n    {line}", self.name);

        let start = Instant::now();
        let mut child = self.command.spawn().map_err(|error| {
            Failure::new(format!("{}: cannot run `{line}`: {error}", self.name))
        })?;
        if let Some(stdout) = child.stdout.take() {
            read(stdout);
        }
        let status = child
            .wait()
            .map_err(|error| Failure::new(format!("{}: lost `{line}`: {error}", self.name)))?;

        eprintln!("    {}: {:.1} s", self.name, start.elapsed().as_secs_f64());
        if status.success() {
            Ok(())
        } else {
            Err(Failure::new(format!("{} failed ({status}): {line}", self.name)))
        }
    }
}

/// Whether `program` runs at all with these arguments, and what it then prints.
pub(crate) fn probe(program: impl AsRef<OsStr>, args: &[&str]) -> Option<String> {
    let output = command(program).args(args).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null());
    // What cargo told us about xtask is not meant for our children: build scripts that watch these
    // variables would run again, and rebuild their crates, on every change between xtask and cargo.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// The command as a shell would take it.
fn command_line(command: &Command) -> String {
    let env = command
        .get_envs()
        .filter_map(|(name, value)| Some(format!("{}={}", name.to_string_lossy(), quoted(value?))));
    let words = [command.get_program()].into_iter().chain(command.get_args()).map(quoted);
    env.chain(words).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./,:+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_can_be_pasted_into_a_shell() {
        let step =
            Step::cargo("docs", "doc --no-deps").args(["it's", ""]).env("FLAGS", "-D warnings");
        assert_eq!(
            command_line(&step.command),
            r"FLAGS='-D warnings' cargo doc --no-deps 'it'\''s' ''"
        );
    }

    #[test]
    fn a_watched_step_shows_every_line_even_the_last_without_a_newline() {
        let mut seen = Vec::new();
        let step = Step::new("print", "printf").args(["one\ntwo"]);
        step.run_watched(|line| seen.push(line.trim_end().to_owned())).unwrap();
        assert_eq!(seen, ["one", "two"]);
    }

    #[test]
    fn a_failing_step_says_which_and_how() {
        let failure = Step::new("nothing", "false").run().unwrap_err().to_string();
        assert_eq!(failure, "nothing failed (exit status: 1): false");
    }

    #[test]
    fn a_missing_program_is_named() {
        let failure = Step::new("nothing", "no-such-program").run().unwrap_err().to_string();
        assert!(failure.starts_with("nothing: cannot run `no-such-program`"), "{failure}");
    }
}
