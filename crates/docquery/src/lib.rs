//! MongoDB's language over BSON: filters, updates, projections, sorts, expressions and pipelines.
//!
//! Everything here is a pure function of its arguments: no storage, no I/O and no clock. What the outside gives,
//! the time above all, comes in an [`Environment`].
//!
//! What comes in is parsed once into a typed tree (`Filter::parse`, `Update::parse`, ...) and evaluated many times
//! over raw documents. Documents must have passed [`limits::check_document`]; on bytes that are no BSON
//! evaluation gives some answer, and neither panics nor reads out of bounds.

pub mod arena;
mod cost;
pub mod decimal;
pub mod environment;
pub mod error;
pub mod expression;
pub mod filter;
pub mod key;
pub mod limits;
mod nested;
pub mod number;
pub mod order;
pub mod path;
pub mod pipeline;
pub mod projection;
pub mod random;
pub mod raw;
pub mod regex;
pub mod sort;
pub mod update;
pub mod value;
pub mod write;

pub use arena::Arena;
pub use cost::Cost;
pub use decimal::Decimal;
pub use environment::Environment;
pub use error::{Error, ErrorCode, Result};
pub use expression::Expression;
pub use filter::Filter;
pub use pipeline::Pipeline;
pub use projection::Projection;
pub use random::Random;
pub use sort::Sort;
pub use update::Update;
pub use value::{Array, Document, OwnedValue, Value};
pub use write::Writer;
