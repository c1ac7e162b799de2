//! Which store it is.

use bson::Uuid;

use crate::backend::Backend;
use crate::engine::Engine;
use crate::error::StoreError;
use crate::store::Store;

impl Store {
    /// Tells the store from all others, wherever it is opened: drawn at random when it was made. A copy of a file, or a backup that is opened, has the
    /// same.
    ///
    /// # Errors
    ///
    /// When the store cannot serve.
    pub fn id(&self) -> Result<Uuid, StoreError> {
        match self.backend() {
            Backend::Here(engine) => engine.id(),
            Backend::There(remote) => remote.id(),
        }
    }
}

impl Engine {
    pub(crate) fn id(&self) -> Result<Uuid, StoreError> {
        self.with_disk(|disk| Ok(Uuid::from_bytes(disk.snapshot()?.meta()?.format.store_id)))
    }
}
