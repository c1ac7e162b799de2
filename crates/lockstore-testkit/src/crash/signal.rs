//! A process that stands still: what a long pause of a virtual machine, a swap storm or a debugger does to it.

use std::io;

use rustix::process::{Pid, Signal, kill_process};

/// Stops a process with `SIGSTOP`; it goes on when the answer is dropped.
///
/// A holder that is paused past the end of its lease and goes on afterwards is the case that
/// fencing tokens are for.
///
/// # Errors
///
/// When there is no such process, or it is not ours to stop.
pub fn pause(pid: u32) -> io::Result<Paused> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    kill_process(pid, Signal::STOP)?;
    Ok(Paused { pid })
}

/// Keeps a process stopped until it is dropped.
#[derive(Debug)]
#[must_use = "the process goes on as soon as this is dropped"]
pub struct Paused {
    pid: Pid,
}

impl Paused {
    /// Lets the process go on.
    ///
    /// # Errors
    ///
    /// When the process is gone.
    pub fn resume(self) -> io::Result<()> {
        kill_process(self.pid, Signal::CONT)?;
        Ok(())
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        // A process that was killed meanwhile has nothing to go on with.
        kill_process(self.pid, Signal::CONT).ok();
    }
}
