//! `explain`.

use std::time::Duration;

use bson::RawDocumentBuf;
use docquery::{Error, ErrorCode, Value};

use super::concern::Takes;
use super::reply::Reply;
use super::{Call, aggregate, count, delete, distinct, find, find_and_modify, update};
use crate::documents::Namespace;
use crate::documents::execution::{Counts, Extent};
use crate::documents::plan::{Explanation, Verbosity};
use crate::error::DocumentError;
use crate::operations::Selector;

/// What a command looks for, and what it does with it.
#[derive(Debug)]
pub(super) struct Explained {
    pub(super) namespace: Namespace,
    pub(super) selector: Selector,
    pub(super) projection: Option<RawDocumentBuf>,
    pub(super) skip: u64,
    pub(super) limit: Option<u64>,
    /// The stage that stands above the plan of the query, in the server's name for it.
    pub(super) root: Option<&'static str>,
}

impl Explained {
    /// A command that looks for what `selector` says.
    pub(super) fn new(
        namespace: Namespace,
        selector: Selector,
        root: Option<&'static str>,
    ) -> Self {
        Self { namespace, selector, projection: None, skip: 0, limit: None, root }
    }
}

pub(super) fn run(call: &Call<'_>) -> Result<Reply, DocumentError> {
    let mut arguments = call.arguments("explain")?;
    let verbosity = arguments.text("verbosity")?;
    arguments.finish()?;
    let verbosity = verbosity.map(Verbosity::parse).transpose()?.unwrap_or_default();
    let Value::Document(command) = call.target else {
        return Err(Error::type_mismatch("explain takes the document of a command").into());
    };
    let (name, target) = command.first().unwrap_or(("", Value::Missing));
    let inner = Call { name, target, command, takes: Takes::Both, ..*call };
    let explained = match name {
        "aggregate" => aggregate::explained(&inner)?,
        "count" => count::explained(&inner)?,
        "delete" => delete::explained(&inner)?,
        "distinct" => distinct::explained(&inner)?,
        "find" => find::explained(&inner)?,
        "findAndModify" | "findandmodify" => find_and_modify::explained(&inner)?,
        "update" => update::explained(&inner)?,
        _ => {
            let message = format!("Explain failed due to unknown command: {name}");
            return Err(Error::new(ErrorCode::COMMAND_NOT_FOUND, message).into());
        }
    };
    explain(&inner, explained, verbosity)
}

/// The plan of a command; with more than the least verbosity the plan is carried out too, and changes nothing.
pub(super) fn explain(
    call: &Call<'_>,
    explained: Explained,
    verbosity: Verbosity,
) -> Result<Reply, DocumentError> {
    let Explained { namespace, selector, projection, skip, limit, root } = explained;
    let ns = namespace.to_string();
    let place = call.place(namespace)?;
    let query = place.query(&selector)?;
    let (mut execution, _) = place.execute(&query, Extent { skip, limit, ..Extent::default() })?;
    let carried_out = if verbosity == Verbosity::QueryPlanner {
        None
    } else {
        let start = call.engine.clock.now();
        execution.run(call.engine, &mut |_| Ok(std::ops::ControlFlow::Continue(())))?;
        Some((execution.counts(), call.engine.clock.now().saturating_since(start)))
    };
    let explanation = Explanation {
        namespace: &ns,
        plan: execution.plan(),
        filter: &selector.filter,
        projection: projection.as_deref(),
        skip,
        limit,
        root,
    };
    Ok(reply(call, &explanation, carried_out, verbosity))
}

fn reply(
    call: &Call<'_>,
    explanation: &Explanation<'_>,
    carried_out: Option<(Counts, Duration)>,
    verbosity: Verbosity,
) -> Reply {
    let planner = explanation.query_planner();
    let mut reply = Reply::new()
        .with("explainVersion", Value::String("1"))
        .with("queryPlanner", Value::from(&*planner));
    if let Some((counts, took)) = carried_out {
        let stats = explanation.execution_stats(&counts, took, verbosity);
        reply = reply.with("executionStats", Value::from(&*stats));
    }
    reply.with("command", Value::Document(call.command))
}
