//! A plan, and what it took, as MongoDB's `explain` tells it.
//!
//! Stages stand inside one another: each has what it works on in its `inputStage`. Filters are shown as they were
//! written, and bounds without the types of their numbers.

use std::time::Duration;

use bson::{RawDocument, RawDocumentBuf};
use docquery::{Document, Error, Value, Writer};

use super::{Access, IndexScan, Plan};
use crate::disk::Direction;
use crate::documents::execution::Counts;

/// What is asked to be explained.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Explanation<'e> {
    pub(crate) namespace: &'e str,
    pub(crate) plan: &'e Plan,
    /// The filter as it was written.
    pub(crate) filter: &'e RawDocument,
    pub(crate) projection: Option<&'e RawDocument>,
    pub(crate) skip: u64,
    pub(crate) limit: Option<u64>,
    /// What is done with the documents, if they are not simply given: `COUNT`, `UPDATE`, `DELETE`.
    pub(crate) root: Option<&'static str>,
}

/// How much is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verbosity {
    /// The plan.
    QueryPlanner,
    /// What it took, too.
    ExecutionStats,
    /// What other plans took, too: there are none.
    #[default]
    AllPlansExecution,
}

impl Verbosity {
    /// # Errors
    ///
    /// There is no such verbosity.
    pub(crate) fn parse(name: &str) -> Result<Self, Error> {
        match name {
            "queryPlanner" => Ok(Self::QueryPlanner),
            "executionStats" => Ok(Self::ExecutionStats),
            "allPlansExecution" => Ok(Self::AllPlansExecution),
            _ => Err(Error::bad_value(format!(
                "verbosity is 'queryPlanner', 'executionStats' or 'allPlansExecution', not '{name}'"
            ))),
        }
    }
}

impl Explanation<'_> {
    /// The field `queryPlanner`.
    pub(crate) fn query_planner(&self) -> RawDocumentBuf {
        let mut writer = Writer::new();
        writer.field("namespace", Value::String(self.namespace));
        writer.field("indexFilterSet", Value::Bool(false));
        writer.field("parsedQuery", self.filter.into());
        writer.field("maxIndexedOrSolutionsReached", Value::Bool(false));
        writer.field("maxIndexedAndSolutionsReached", Value::Bool(false));
        writer.field("maxScansToExplodeReached", Value::Bool(false));
        writer.open_document("winningPlan");
        self.stages(&mut writer, None);
        writer.close();
        writer.open_array("rejectedPlans");
        writer.close();
        finish(writer)
    }

    /// The field `executionStats`, once the plan was carried out.
    pub(crate) fn execution_stats(
        &self,
        counts: &Counts,
        took: Duration,
        verbosity: Verbosity,
    ) -> RawDocumentBuf {
        let millis = i32::try_from(took.as_millis()).unwrap_or(i32::MAX);
        let mut writer = Writer::new();
        writer.field("executionSuccess", Value::Bool(true));
        writer.field("nReturned", number(counts.returned));
        writer.field("executionTimeMillis", Value::Int32(millis));
        writer.field("totalKeysExamined", number(counts.keys_examined));
        writer.field("totalDocsExamined", number(counts.documents_examined));
        writer.open_document("executionStages");
        self.stages(&mut writer, Some(counts));
        writer.close();
        if verbosity == Verbosity::AllPlansExecution {
            writer.open_array("allPlansExecution");
            writer.close();
        }
        finish(writer)
    }

    /// The stages from the outermost to the scans, in the document that is open.
    fn stages(&self, writer: &mut Writer, counts: Option<&Counts>) {
        let mut opened = 0;
        let mut outer = |writer: &mut Writer, name: &str, returned: fn(&Counts) -> u64| {
            if opened > 0 {
                writer.open_document("inputStage");
            }
            opened += 1;
            stage(writer, name, counts.map(returned));
        };
        if let Some(root) = self.root {
            outer(writer, root, |counts| counts.returned);
        }
        if let Some(projection) = self.projection {
            outer(writer, projection_stage(projection), |counts| counts.returned);
            writer.field("transformBy", projection.into());
        }
        let sorts = self.plan.sort.is_some();
        if let (Some(limit), false) = (self.limit, sorts) {
            outer(writer, "LIMIT", |counts| counts.returned);
            writer.field("limitAmount", number(limit));
        }
        if self.skip > 0 {
            outer(writer, "SKIP", |counts| counts.returned);
            writer.field("skipAmount", number(self.skip));
        }
        if let (Some(sort), true) = (&self.plan.sort_written, sorts) {
            outer(writer, "SORT", |counts| counts.returned);
            writer.field("sortPattern", (&**sort).into());
            writer.field("memLimit", Value::Int32(100 * 1024 * 1024));
            if let Some(limit) = self.limit {
                writer.field("limitAmount", number(limit.saturating_add(self.skip)));
            }
            writer.field("type", Value::String("simple"));
        }
        if opened > 0 {
            writer.open_document("inputStage");
        }
        self.access(writer, counts);
        for _ in 0..opened {
            writer.close();
        }
    }

    fn access(&self, writer: &mut Writer, counts: Option<&Counts>) {
        match &self.plan.access {
            Access::Nothing => stage(writer, "EOF", counts.map(|_| 0)),
            Access::Collection(direction) => {
                stage(writer, "COLLSCAN", counts.map(|counts| counts.matched));
                self.filter(writer);
                writer.field("direction", show(*direction));
                if let Some(counts) = counts {
                    writer.field("docsExamined", number(counts.documents_examined));
                }
            }
            Access::Indexes(scans) => self.indexes(writer, scans, counts),
        }
    }

    fn indexes(&self, writer: &mut Writer, scans: &[IndexScan], counts: Option<&Counts>) {
        let examined = |writer: &mut Writer| {
            if let Some(counts) = counts {
                writer.field("docsExamined", number(counts.documents_examined));
            }
        };
        let found = counts.map(|counts| counts.documents_examined);
        match scans {
            [scan] if self.plan.is_exact && scan.is_id_lookup() => {
                stage(writer, "IDHACK", counts.map(|counts| counts.matched));
                examined(writer);
            }
            scans => {
                stage(writer, "FETCH", counts.map(|counts| counts.matched));
                self.filter(writer);
                examined(writer);
                writer.open_document("inputStage");
                if let [scan] = scans {
                    index_scan(writer, scan, found);
                    if let Some(counts) = counts {
                        writer.field("keysExamined", number(counts.keys_examined));
                    }
                } else {
                    stage(writer, "OR", found);
                    writer.open_array("inputStages");
                    for scan in scans {
                        writer.open_document_item();
                        index_scan(writer, scan, None);
                        writer.close();
                    }
                    writer.close();
                }
                writer.close();
            }
        }
    }

    /// What is asked of each document that is found.
    fn filter(&self, writer: &mut Writer) {
        if !self.plan.is_exact {
            writer.field("filter", self.filter.into());
        }
    }
}

fn index_scan(writer: &mut Writer, scan: &IndexScan, returned: Option<u64>) {
    let index = scan.index();
    let fields = || index.pattern().fields().iter().enumerate();
    stage(writer, "IXSCAN", returned);
    writer.field("keyPattern", index.key().into());
    writer.field("indexName", Value::String(index.name()));
    writer.field("isMultiKey", Value::Bool(index.multikey() != 0));
    writer.open_document("multiKeyPaths");
    for (place, field) in fields() {
        let path = field.path();
        writer.open_array(path.as_str());
        if index.multikey() >> place & 1 == 1 {
            writer.item(Value::String(path.as_str()));
        }
        writer.close();
    }
    writer.close();
    writer.field("isUnique", Value::Bool(index.is_unique() || index.is_id()));
    writer.field("isSparse", Value::Bool(index.is_sparse()));
    writer.field("isPartial", Value::Bool(index.partial_filter().is_some()));
    writer.field("indexVersion", Value::Int32(2));
    writer.field("direction", show(scan.direction()));
    writer.open_document("indexBounds");
    for (place, field) in fields() {
        writer.open_array(field.path().as_str());
        let backward = (field.direction() == docquery::key::Direction::Ascending)
            != (scan.direction() == Direction::Forward);
        let intervals = scan.bounds()[place].intervals();
        let shown = intervals.iter().map(|interval| {
            if backward { interval.show_backward().to_string() } else { interval.to_string() }
        });
        let mut shown: Vec<_> = shown.collect();
        if backward {
            shown.reverse();
        }
        for interval in shown {
            writer.item(Value::String(&interval));
        }
        writer.close();
    }
    writer.close();
}

fn stage(writer: &mut Writer, name: &str, returned: Option<u64>) {
    writer.field("stage", Value::String(name));
    if let Some(returned) = returned {
        writer.field("nReturned", number(returned));
    }
}

/// What MongoDB calls the stage that applies `projection`: one of plain fields is simple.
fn projection_stage(projection: &RawDocument) -> &'static str {
    let is_plain = |(name, value): (&str, Value<'_>)| {
        !name.contains(['.', '$']) && (value.is_number() || value.as_bool().is_some())
    };
    if Document::from(projection).iter().all(is_plain) {
        "PROJECTION_SIMPLE"
    } else {
        "PROJECTION_DEFAULT"
    }
}

fn show(direction: Direction) -> Value<'static> {
    Value::String(match direction {
        Direction::Forward => "forward",
        Direction::Backward => "backward",
    })
}

/// A count, as an int where it is one.
fn number(count: u64) -> Value<'static> {
    i32::try_from(count)
        .map_or_else(|_| Value::Int64(i64::try_from(count).unwrap_or(i64::MAX)), Value::Int32)
}

fn finish(writer: Writer) -> RawDocumentBuf {
    RawDocumentBuf::from_bytes(writer.finish()).expect("what was written is a document")
}
