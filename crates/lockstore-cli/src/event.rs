//! What can happen to a command while it waits.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::failure::{Failure, Kind};
use crate::keeper::Report;
use crate::signals::{Caught, SIGCHLD};

/// Something happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// A signal came.
    Signal(Caught),
    /// The keeper of the lease has something to tell.
    Keeper(Report),
}

/// Sleeps, and fails when a signal comes that is to end this program.
pub(crate) fn sleep(events: &Receiver<Event>, time: Duration) -> Result<(), Failure> {
    match events.recv_timeout(time) {
        Ok(event) => ended_by(&event),
        Err(RecvTimeoutError::Timeout) => Ok(()),
        Err(RecvTimeoutError::Disconnected) => {
            thread::sleep(time);
            Ok(())
        }
    }
}

/// Fails when a signal has come that is to end this program, or the lock is lost already.
pub(crate) fn check(events: &Receiver<Event>) -> Result<(), Failure> {
    events.try_iter().try_for_each(|event| ended_by(&event))
}

fn ended_by(event: &Event) -> Result<(), Failure> {
    match event {
        Event::Signal(caught) if caught.number != SIGCHLD => {
            let sentence = format!("ended by {}", caught.name());
            Err(Failure::new(Kind::Signal(caught.exit_number()), sentence))
        }
        Event::Keeper(Report::Lost(why)) => Err(Failure::lost(why.clone())),
        Event::Signal(_) | Event::Keeper(_) => Ok(()),
    }
}
