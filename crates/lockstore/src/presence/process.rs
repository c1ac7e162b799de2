//! Processes: which one it is, and whether it lives.
//!
//! A pid alone names nobody for long: it is given again. With the time at which the process began it is one's own in a
//! boot, and in the pid namespace in which it was read. A process in another namespace cannot be looked at at all.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open, test_kill_process};

use crate::clock::{BootId, read_boot_id};

/// One process, told from all others that have its pid before or after it, or in another container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    /// Its pid in `pid_namespace`: 1 to 2,147,483,647.
    pub pid: u32,
    /// When it began, in clock ticks since the boot: field 22 of `/proc/<pid>/stat`.
    pub started_ticks: u64,
    /// The boot in which it runs.
    pub boot_id: BootId,
    /// The namespace in which it has its pid: the inode of `/proc/self/ns/pid`.
    pub pid_namespace: u64,
}

/// Whether a process lives, as far as it can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It does. One that is stopped lives too.
    Alive,
    /// It does not, for good.
    Dead,
    /// Nobody here can tell: it has its pid in another namespace, as in a container.
    Unknown,
}

impl Process {
    /// The highest pid there can be.
    pub const PID_MAX: u32 = i32::MAX.unsigned_abs();

    /// This process.
    ///
    /// # Errors
    ///
    /// When `/proc` does not tell.
    pub fn current() -> io::Result<Self> {
        Self::with_pid(std::process::id())
    }

    /// The process that has `pid` now, in the namespace of this one.
    ///
    /// # Errors
    ///
    /// There is none ([`io::ErrorKind::NotFound`]), or `/proc` does not tell.
    pub fn with_pid(pid: u32) -> io::Result<Self> {
        if !proc_is_ours() {
            let what = "/proc is that of another pid namespace";
            return Err(io::Error::new(io::ErrorKind::Unsupported, what));
        }
        let started_ticks = Stat::of(pid)?.started_ticks;
        Ok(Self { pid, started_ticks, boot_id: read_boot_id()?, pid_namespace: own_namespace()? })
    }

    /// Whether it lives, in the boot `boot_id`.
    pub fn life(&self, boot_id: BootId) -> Life {
        if self.boot_id != boot_id {
            return Life::Dead;
        }
        if !own_namespace().is_ok_and(|own| own == self.pid_namespace) {
            return Life::Unknown;
        }
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        let Some(pid) = pid else { return Life::Unknown };
        if test_kill_process(pid) == Err(Errno::SRCH) {
            return Life::Dead;
        }
        // From here on the descriptor is that of whatever has the pid now, whose start time is looked at behind it.
        let descriptor = pidfd_open(pid, PidfdFlags::empty());
        let stat = if proc_is_ours() { Stat::of(self.pid).ok() } else { None };
        let has_ended = match &descriptor {
            Ok(descriptor) => is_readable(descriptor),
            Err(_) => stat.as_ref().is_some_and(|stat| stat.has_ended),
        };
        match stat {
            Some(stat) if stat.started_ticks != self.started_ticks => Life::Dead,
            Some(_) if has_ended => Life::Dead,
            Some(_) => Life::Alive,
            None => Life::Unknown,
        }
    }

    /// A descriptor that becomes readable when the process ends; `None` where it cannot be had: it has ended, it is
    /// in another namespace, or the kernel (before 5.3) or its administrator does not give one.
    pub fn watch(&self, boot_id: BootId) -> Option<OwnedFd> {
        let pid = Pid::from_raw(i32::try_from(self.pid).ok()?)?;
        let descriptor = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        // It lives now, so the descriptor, which is older, is its own.
        (self.life(boot_id) == Life::Alive).then_some(descriptor)
    }
}

/// What `/proc/<pid>/stat` tells.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    started_ticks: u64,
    /// Nothing of it runs any more, and its parent has not asked for it yet.
    has_ended: bool,
}

impl Stat {
    fn of(pid: u32) -> io::Result<Self> {
        let line = fs::read(format!("/proc/{pid}/stat"))?;
        Self::parse(&line).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("/proc/{pid}/stat is not understood"),
            )
        })
    }

    /// The name in parentheses is the program's choice, and may have spaces and parentheses in it.
    fn parse(line: &[u8]) -> Option<Self> {
        let name_ends = line.iter().rposition(|byte| *byte == b')')?;
        let rest = std::str::from_utf8(&line[name_ends + 1..]).ok()?;
        // The first is field 3.
        let fields: Vec<_> = rest.split_ascii_whitespace().collect();
        let state = *fields.first()?;
        let threads: u64 = fields.get(20 - 3)?.parse().ok()?;
        let started_ticks = fields.get(22 - 3)?.parse().ok()?;
        // The first thread may be over while others of the process go on.
        Some(Self { started_ticks, has_ended: matches!(state, "Z" | "X") && threads <= 1 })
    }
}

/// The inode of this process's own pid namespace.
fn own_namespace() -> io::Result<u64> {
    Ok(fs::metadata("/proc/self/ns/pid")?.ino())
}

/// Whether the pids of `/proc` are those that this process would use: it may be that of the machine, seen in a container.
fn proc_is_ours() -> bool {
    let own = fs::read_link("/proc/self");
    own.is_ok_and(|own| own.as_os_str().to_str() == Some(&std::process::id().to_string()))
}

fn is_readable(descriptor: &OwnedFd) -> bool {
    let mut looked_at = [PollFd::new(descriptor, PollFlags::IN)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut looked_at, Some(&at_once)).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// A process that does nothing, until it is told or killed.
    fn sleeper() -> Child {
        Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap()
    }

    #[test]
    fn a_process_lives_until_it_is_killed_and_before_anybody_has_asked_for_it() {
        let mut child = sleeper();
        let process = Process::with_pid(child.id()).unwrap();
        let boot_id = process.boot_id;
        assert_eq!(process.life(boot_id), Life::Alive);
        let watched = process.watch(boot_id);
        assert!(watched.as_ref().is_none_or(|descriptor| !is_readable(descriptor)));
        child.kill().unwrap();
        if let Some(descriptor) = watched {
            poll(&mut [PollFd::new(&descriptor, PollFlags::IN)], None).unwrap();
            assert_eq!(process.life(boot_id), Life::Dead, "nobody has waited for it yet");
        }
        child.wait().unwrap();
        assert_eq!(process.life(boot_id), Life::Dead);
        assert!(process.watch(boot_id).is_none());
        assert_eq!(Process::with_pid(process.pid).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_pid_that_is_given_again_is_another_process() {
        let process = Process::current().unwrap();
        assert_eq!(process.life(process.boot_id), Life::Alive);
        let before = Process { started_ticks: process.started_ticks - 1, ..process };
        assert_eq!(before.life(process.boot_id), Life::Dead);
        assert!(before.watch(process.boot_id).is_none());
    }

    #[test]
    fn processes_of_another_boot_are_dead_and_those_of_another_namespace_are_not_known() {
        let process = Process::current().unwrap();
        assert_eq!(process.life(BootId([9; 16])), Life::Dead);
        let elsewhere = Process { pid_namespace: process.pid_namespace + 1, ..process };
        assert_eq!(elsewhere.life(process.boot_id), Life::Unknown);
        assert!(elsewhere.watch(process.boot_id).is_none());
    }

    #[test]
    fn the_name_of_a_program_does_not_confuse() {
        let line = |state: &str, threads: u32| {
            let middle = "1 ".repeat(16);
            format!("7 (a) Z 1 ) {state} {middle}{threads} 0 4711 9 9\n").into_bytes()
        };
        let stat = |has_ended| Some(Stat { started_ticks: 4711, has_ended });
        assert_eq!(Stat::parse(&line("S", 1)), stat(false));
        assert_eq!(Stat::parse(&line("Z", 1)), stat(true));
        assert_eq!(Stat::parse(&line("Z", 2)), stat(false), "another thread goes on");
        for line in ["", "7 (a", "7 (a) S", "7 (a) S 1 2 x"] {
            assert_eq!(Stat::parse(line.as_bytes()), None, "{line:?}");
        }
    }
}
