//! A server in the background: a process of its own, which nothing of its starter's follows.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader};
use std::process::Stdio;

use rustix::fs::Mode;

use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::output;
use crate::program::Program;

/// Runs `program` again with `arguments`, in the background, and answers once it prints its first line, which is printed
/// here too, or has failed: then with its exit code. What it says on stderr until then goes to ours.
pub(crate) fn start(program: &Program, arguments: Vec<OsString>) -> Result<ExitCode, Failure> {
    let failed = |error| Failure::store(format!("the server cannot be started: {error}"));
    // Whatever our own starter has left open would stay open for as long as the server lives.
    close_fds::set_fds_cloexec(FIRST_OF_OTHERS, &[]);
    let mut server = program.command().map_err(failed)?;
    server.args(arguments).current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped());
    let mut server = server.spawn().map_err(failed)?;
    let stdout = server.stdout.take().expect("it is piped");
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).map_err(failed)?;
    if !line.is_empty() {
        output::print(&line)?;
        return Ok(ExitCode::SUCCESS);
    }
    let status = server.wait().map_err(failed)?;
    match status.code().and_then(|code| u8::try_from(code).ok()) {
        Some(code) => Ok(ExitCode::from(code)),
        None => Err(Failure::store(format!("the server ended before it served: {status}"))),
    }
}

/// Leaves the starter's session and terminal, and keeps what is made from now on to its owner. What is printed still goes to
/// the starter.
pub(crate) fn leave_starter() {
    // Fails only for who leads a group of processes already, as a shell's command does: then there is a group at least.
    let _ = rustix::process::setsid();
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
}

/// Lets go of the starter's stdout and stderr.
pub(crate) fn let_go() -> io::Result<()> {
    let nowhere: File = OpenOptions::new().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&nowhere)?;
    rustix::stdio::dup2_stderr(&nowhere)?;
    Ok(())
}

/// The first file descriptor behind stdin, stdout and stderr.
const FIRST_OF_OTHERS: i32 = 3;
