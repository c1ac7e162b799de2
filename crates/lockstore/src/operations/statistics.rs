//! What is known of a collection: `$collStats` and `$indexStats`.
//!
//! Nothing counts who reads what and how long it takes: those counters are there, for the programs that show them, and are 0.

use std::ops::ControlFlow;
use std::sync::Arc;

use bson::RawDocumentBuf;
use docquery::pipeline::Statistics;
use docquery::{Error, ErrorCode, Filter, Value, Writer};

use super::Place;
use crate::documents::Collection;
use crate::documents::execution::Extent;
use crate::documents::plan::Query;
use crate::error::DocumentError;

impl Place<'_> {
    /// The documents that a pipeline with `statistics` begins with.
    pub(super) fn statistics(
        &self,
        statistics: Statistics,
    ) -> Result<Vec<RawDocumentBuf>, DocumentError> {
        let collection = self.collection()?;
        match statistics {
            Statistics::Collection { count, storage, latency, queries } => {
                let mut writer = Writer::new();
                writer.field("ns", Value::String(self.namespace().as_str()));
                writer.field("host", Value::String(HOST));
                writer.field("localTime", Value::DateTime(self.now_ms));
                if latency {
                    write_latency(&mut writer);
                }
                if let Some(scale) = storage {
                    let collection = collection.as_deref().ok_or_else(|| self.missing())?;
                    self.write_storage(collection, scale, &mut writer)?;
                }
                if count {
                    collection.as_deref().ok_or_else(|| self.missing())?;
                    writer.field("count", number(self.estimated_count()?));
                }
                if queries {
                    writer.open_document("queryExecStats");
                    writer.open_document("collectionScans");
                    writer.field("total", Value::Int64(0));
                    writer.field("nonTailable", Value::Int64(0));
                    writer.close();
                    writer.close();
                }
                Ok(vec![document(writer)])
            }
            Statistics::Indexes => {
                let indexes = collection.iter().flat_map(|collection| collection.indexes());
                Ok(indexes.map(|index| self.index_statistics(index)).collect())
            }
            _ => Err(Error::bad_value("these statistics are not known").into()),
        }
    }

    fn index_statistics(&self, index: &crate::documents::Index) -> RawDocumentBuf {
        let mut writer = Writer::new();
        writer.field("name", Value::String(index.name()));
        writer.field("key", Value::Document(index.key().into()));
        writer.field("host", Value::String(HOST));
        writer.open_document("accesses");
        writer.field("ops", Value::Int64(0));
        writer.field("since", Value::DateTime(self.now_ms));
        writer.close();
        writer.field("spec", Value::Document(index.spec().into()));
        document(writer)
    }

    /// Writes how much the documents take. They are looked through for it.
    fn write_storage(
        &self,
        collection: &Collection,
        scale: i64,
        writer: &mut Writer,
    ) -> Result<(), DocumentError> {
        let everything = Filter::parse(&RawDocumentBuf::new(), &self.environment(None)?)?;
        let query = Query::new(Arc::new(everything));
        let (mut execution, _) = self.execute(&query, Extent::default())?;
        let (mut count, mut bytes) = (0, 0);
        execution.run(self.engine(), &mut |row| {
            count += 1;
            bytes += row.document.as_bytes().len() as u64;
            Ok(ControlFlow::Continue(()))
        })?;
        let scaled = |bytes: u64| number(bytes / scale.unsigned_abs().max(1));
        writer.open_document("storageStats");
        writer.field("size", scaled(bytes));
        writer.field("count", number(count));
        if let Some(average) = bytes.checked_div(count) {
            writer.field("avgObjSize", number(average));
        }
        writer.field("storageSize", scaled(bytes));
        writer.field("capped", Value::Bool(false));
        writer.field("nindexes", number(collection.indexes().len() as u64));
        writer.field("scaleFactor", number(scale.unsigned_abs()));
        writer.close();
        Ok(())
    }

    fn missing(&self) -> DocumentError {
        let message = format!("Collection [{}] not found.", self.namespace());
        Error::new(ErrorCode::NAMESPACE_NOT_FOUND, message).into()
    }
}

fn write_latency(writer: &mut Writer) {
    writer.open_document("latencyStats");
    for name in ["reads", "writes", "commands", "transactions"] {
        writer.open_document(name);
        writer.field("latency", Value::Int64(0));
        writer.field("ops", Value::Int64(0));
        writer.close();
    }
    writer.close();
}

/// A count, as the server writes it: as short as it can be.
fn number(count: u64) -> Value<'static> {
    let long = i64::try_from(count).unwrap_or(i64::MAX);
    i32::try_from(long).map_or(Value::Int64(long), Value::Int32)
}

fn document(writer: Writer) -> RawDocumentBuf {
    RawDocumentBuf::from_bytes(writer.finish()).expect("what was written is a document")
}

/// What stands in the place of a server's name: the store is in the process that asks.
const HOST: &str = "localhost";
