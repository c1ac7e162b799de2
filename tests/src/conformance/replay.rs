//! Runs cases and compares the answers.

use std::any::Any;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use bson::raw::{RawBsonRef, RawDocument};

use super::case::{Case, Step};
use super::corpus::Area;
use super::difference::Difference;
use super::reply;
use super::report::{AreaReport, Report};
use super::server::Server;
use super::value::show;

/// How a case failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The case.
    pub id: String,
    /// Its step, from 0.
    pub step: usize,
    /// The command, as Extended JSON.
    pub command: String,
    /// The recorded reply, as Extended JSON.
    pub recorded: String,
    /// The answer, as Extended JSON; none when the server panicked.
    pub answered: Option<String>,
    /// The first difference.
    pub difference: Difference,
}

/// Runs one case on an emptied database.
///
/// # Errors
///
/// The first step whose answer is not what was recorded.
pub fn replay(case: &Case, server: &mut impl Server) -> Result<(), Box<Failure>> {
    server.clear();
    for (index, step) in case.steps.iter().enumerate() {
        let failure = |answered: Option<&RawDocument>, difference| {
            Box::new(Failure {
                id: case.id.clone(),
                step: index,
                command: text(&step.command),
                recorded: text(&step.reply),
                answered: answered.map(text),
                difference,
            })
        };
        let answered = answer(step, server)
            .map_err(|message| failure(None, Difference::new("a reply", message)))?;
        reply::compare(&step.reply, &answered, step.rules)
            .map_err(|difference| failure(Some(&answered), difference))?;
    }
    Ok(())
}

/// A panic is an answer too, and a wrong one: it must not end the other cases.
fn answer(step: &Step, server: &mut impl Server) -> Result<bson::RawDocumentBuf, String> {
    panic::catch_unwind(AssertUnwindSafe(|| server.run_to_the_end(&step.command)))
        .map_err(|panic| format!("a panic: {}", message(&*panic)))
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}

/// Runs all cases on so many threads, each with a server that `start` gives it. A server that panicked is not used again.
pub fn replay_all<S: Server>(
    areas: &[Area],
    threads: usize,
    start: impl Fn() -> S + Sync,
) -> Report {
    let cases: Vec<(usize, &Case)> = areas
        .iter()
        .enumerate()
        .flat_map(|(area, cases)| cases.cases.iter().map(move |case| (area, case)))
        .collect();
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut server = start();
                while let Some((area, case)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let Err(failure) = replay(case, &mut server) else { continue };
                    if failure.answered.is_none() {
                        server = start();
                    }
                    let mut failures = failures.lock().expect("nobody panics with the lock");
                    failures.push((*area, *failure));
                }
            });
        }
    });
    let mut failures = failures.into_inner().expect("nobody panics with the lock");
    failures.sort_by(|(a, left), (b, right)| (a, &left.id).cmp(&(b, &right.id)));
    let mut reports: Vec<_> = areas
        .iter()
        .map(|area| AreaReport {
            name: area.name.clone(),
            cases: area.cases.len(),
            failures: Vec::new(),
        })
        .collect();
    for (area, failure) in failures {
        reports[area].failures.push(failure);
    }
    Report { areas: reports }
}

fn text(document: &RawDocument) -> String {
    show(RawBsonRef::Document(document))
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} step {}: {}", self.id, self.step, self.difference)
    }
}

#[cfg(test)]
mod tests;
