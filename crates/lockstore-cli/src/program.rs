//! The program that this is, to be run again.

use std::env;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::Command;

/// How this program is run again, for a server in the background. By default that is the running executable.
#[derive(Clone, Debug, Default)]
pub struct Program {
    command: Option<(PathBuf, Vec<OsString>)>,
}

impl Program {
    /// An executable that is this program when these `arguments` come before all others: a Python with `-m lockstore`.
    pub fn with_arguments(
        executable: impl Into<PathBuf>,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Self {
        let arguments = arguments.into_iter().map(Into::into).collect();
        Self { command: Some((executable.into(), arguments)) }
    }

    /// The command that runs it, to which its arguments are to be added.
    pub(crate) fn command(&self) -> io::Result<Command> {
        match &self.command {
            None => Ok(Command::new(env::current_exe()?)),
            Some((executable, arguments)) => {
                let mut command = Command::new(executable);
                command.args(arguments);
                Ok(command)
            }
        }
    }
}
