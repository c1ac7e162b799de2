//! What is told of a migration.

use lockstore::WallTime;
use lockstore_mongo::migration::{Ended, Plan, Report};
use serde::Serialize;

use crate::failure::Failure;
use crate::output::{print, print_json, printable};
use crate::store_place::StorePlace;
use crate::table::table;
use crate::times::rfc3339;

#[derive(Debug, Serialize)]
pub(super) struct Planned {
    from: String,
    collections: Vec<PlannedCollection>,
    locks: u64,
    /// What ends with sessions, a sentence each.
    bound: Vec<String>,
    waiters: usize,
    breaks_left: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct PlannedCollection {
    name: String,
    documents: u64,
    indexes: usize,
}

#[derive(Debug, Serialize)]
pub(super) struct Moved {
    from: String,
    to: String,
    collections: usize,
    documents: u64,
    indexes: usize,
    locks: u64,
    document_locks: u64,
    next_token: u64,
    /// A sentence each.
    left_behind: Vec<String>,
    breaks_left: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Earlier {
    from: String,
    to: String,
    finished_at: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Compared {
    same: bool,
    documents: u64,
    locks: u64,
}

/// What is told in the end.
pub(super) enum Told {
    Planned(Planned),
    Moved(Moved),
    Earlier(Earlier),
    Compared(Compared),
}

impl Told {
    pub(super) fn planned(plan: &Plan, from: &StorePlace) -> Self {
        Self::Planned(Planned::new(plan, from))
    }

    pub(super) fn ended(ended: &Ended, from: &StorePlace, to: &StorePlace) -> Self {
        match ended {
            Ended::Migrated(report) => Self::Moved(Moved::new(report, from, to)),
            Ended::Already(at) => {
                let at = WallTime::from_millis(at.timestamp_millis().unsigned_abs());
                let (from, to) = (from.shown(), to.shown());
                Self::Earlier(Earlier { from, to, finished_at: rfc3339(at) })
            }
        }
    }

    /// Of a comparison that has found no difference.
    pub(super) fn compared(plan: &Plan) -> Self {
        let (documents, locks) = (plan.documents(), plan.locks);
        Self::Compared(Compared { same: true, documents, locks })
    }

    /// Prints it: as JSON, or for people.
    pub(super) fn print(&self, json: bool) -> Result<(), Failure> {
        if json { self.print_json() } else { print(&self.text()) }
    }

    fn print_json(&self) -> Result<(), Failure> {
        match self {
            Self::Planned(planned) => print_json(planned),
            Self::Moved(moved) => print_json(moved),
            Self::Earlier(earlier) => print_json(earlier),
            Self::Compared(compared) => print_json(compared),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Planned(planned) => planned.text(),
            Self::Moved(moved) => moved.text(),
            Self::Earlier(Earlier { from, to, finished_at }) => format!(
                "{from} was migrated to {to}, and that was finished at {finished_at}: nothing is left to do\n"
            ),
            Self::Compared(Compared { documents, locks, .. }) => {
                format!("both have the same: documents {documents}, locks {locks}\n")
            }
        }
    }
}

impl Planned {
    fn new(plan: &Plan, from: &StorePlace) -> Self {
        let collections = plan.collections.iter().map(|collection| PlannedCollection {
            name: collection.namespace.to_string(),
            documents: collection.documents,
            indexes: collection.indexes.len(),
        });
        Self {
            from: from.shown(),
            collections: collections.collect(),
            locks: plan.locks,
            bound: plan.bound.iter().map(ToString::to_string).collect(),
            waiters: plan.waiters,
            breaks_left: plan.breaks,
        }
    }

    fn text(&self) -> String {
        let row = |it: &PlannedCollection| {
            vec![it.name.clone(), it.documents.to_string(), it.indexes.to_string()]
        };
        let mut text = String::new();
        if !self.collections.is_empty() {
            text = table(&HEADINGS, self.collections.iter().map(row));
        }
        let mut lines = vec![format!("locks held: {}", self.locks)];
        lines.extend(self.bound.iter().map(|bound| format!("cannot be moved: {bound}")));
        if self.waiters > 0 {
            lines.push(format!("calls that wait for locks: {}", self.waiters));
        }
        text + &whole(&lines)
    }
}

impl Moved {
    fn new(report: &Report, from: &StorePlace, to: &StorePlace) -> Self {
        Self {
            from: from.shown(),
            to: to.shown(),
            collections: report.collections,
            documents: report.documents,
            indexes: report.indexes,
            locks: report.locks,
            document_locks: report.document_locks,
            next_token: report.next_token.get(),
            left_behind: report.left_behind.iter().map(ToString::to_string).collect(),
            breaks_left: report.breaks,
        }
    }

    fn text(&self) -> String {
        let Self { collections, documents, indexes, locks, document_locks, next_token, .. } = self;
        let mut lines = vec![
            format!(
                "migrated and compared: documents {documents}, collections {collections}, indexes {indexes}, \
                 locks {locks}, locks of documents {document_locks}"
            ),
            format!("tokens go on from {next_token}"),
        ];
        lines.extend(self.left_behind.iter().map(|left| format!("left behind: {left}")));
        if self.breaks_left > 0 {
            lines.push(format!("records of breaks that stay where they are: {}", self.breaks_left));
        }
        whole(&lines)
    }
}

/// The lines of a text.
fn whole(lines: &[String]) -> String {
    let lines = lines.iter().map(|line| {
        printable(line)
            + "
"
    });
    lines.collect()
}

const HEADINGS: [&str; 3] = ["COLLECTION", "DOCUMENTS", "INDEXES"];
