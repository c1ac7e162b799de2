//! The native module of the Python package, `lockstore._native`: the store's client, with Python's calls.
//!
//! What is here may wait, and never waits with the interpreter's lock in its hands. No thread of ours ever touches Python: what
//! completes elsewhere is put behind a bell, and the thread that waits for it, or the event loop, fetches it from there. So a
//! busy interpreter stands in nobody's way, and one that ends cannot stop a thread in the middle of something.

mod bell;
mod blocking;
mod call;
mod documents;
mod errors;
mod events;
mod holding;
mod lock;
mod once;
mod opening;
mod options;
mod place;
mod program;
mod records;
mod seconds;
mod shared;
mod store;
mod terms;
mod token;

use pyo3::prelude::*;

/// The module.
#[pymodule(gil_used = false)]
mod _native {
    #[pymodule_export]
    use crate::bell::Bell;
    #[pymodule_export]
    use crate::call::Call;
    #[pymodule_export]
    use crate::documents::{DocumentLock, Documents};
    #[pymodule_export]
    use crate::events::Events;
    #[pymodule_export]
    use crate::lock::Lock;
    #[pymodule_export]
    use crate::opening::Opening;
    #[pymodule_export]
    use crate::place::shown;
    #[pymodule_export]
    use crate::program::main;
    #[pymodule_export]
    use crate::store::Store;
}
