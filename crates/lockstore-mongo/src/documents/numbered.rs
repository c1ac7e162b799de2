//! Retryable writes, as commands under [numbers of ours](crate::numbered).

use bson::{RawDocument, RawDocumentBuf};
use lockstore::StoreError;

use super::again::Again;
use super::limit::Limit;
use super::{Documents, sending};
use crate::failure::elsewhere;

impl Documents {
    /// Runs a write that is done once, however often it has to be sent.
    pub(super) async fn run_numbered(
        &self,
        database: &str,
        command: &RawDocument,
        limit: Limit,
    ) -> Result<RawDocumentBuf, StoreError> {
        let mut lent = match limit.bound(self.numbered.lend(&self.client)).await {
            Some(lent) => lent.map_err(|error| elsewhere(&error))?,
            None => return Err(self.unreachable("no session could be opened in time")),
        };
        let (session, number) = lent.next();
        let within = sending::Within { session, txn_number: Some(number) };
        self.send(database, command, Again::Numbered, Some(within), limit).await
    }
}
