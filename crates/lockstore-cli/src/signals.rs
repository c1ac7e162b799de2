//! Signals: which are caught, and where they came from.

use std::fs;
use std::io;
use std::sync::mpsc::Sender;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithRawSiginfo;
use signal_hook::low_level::signal_name;

use crate::event::Event;
use crate::failure::Failure;

pub(crate) use signal_hook::consts::SIGCHLD;

/// A signal that was caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caught {
    pub(crate) number: i32,
    /// Whether a process sent it. The kernel sends signals for keys such as Ctrl-C, and sends them to every
    /// process in the foreground of the terminal.
    pub(crate) by_process: bool,
}

impl Caught {
    /// Whether it asks a program to end.
    pub(crate) fn is_an_end(self) -> bool {
        matches!(self.number, SIGHUP | SIGINT | SIGQUIT | SIGTERM)
    }

    pub(crate) fn name(self) -> &'static str {
        signal_name(self.number).unwrap_or("a signal")
    }

    /// The number as it goes into an exit code.
    pub(crate) fn exit_number(self) -> u8 {
        u8::try_from(self.number).unwrap_or(u8::MAX)
    }
}

/// Has the signals that end a command, or that a command is to be told of, sent to `events` from now on.
/// One that this program was started to ignore (by `nohup`, say) stays ignored, and so it does for the
/// command that is run.
pub(crate) fn catch(events: Sender<Event>) -> Result<(), Failure> {
    let ignored = ignored().unwrap_or(0);
    let wanted = CAUGHT.into_iter().filter(|number| ignored & (1 << (number - 1)) == 0);
    let uncaught = |error| Failure::store(format!("signals cannot be caught: {error}"));
    let mut signals =
        SignalsInfo::<WithRawSiginfo>::new(wanted.chain([SIGCHLD])).map_err(uncaught)?;
    let watch = move || {
        for info in signals.forever() {
            let caught = Caught { number: info.si_signo, by_process: info.si_code <= SI_USER };
            if events.send(Event::Signal(caught)).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(watch).map_err(uncaught)?;
    Ok(())
}

/// The signals that this process ignores, a bit each, signal 1 being the lowest.
fn ignored() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    Ok(mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0))
}

const CAUGHT: [i32; 6] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2];

/// The highest code that tells of a signal that a process sent; the codes of the kernel are above it.
const SI_USER: i32 = 0;
