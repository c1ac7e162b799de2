//! Documents on a replica set: MongoDB's own commands.

use bson::{RawDocument, RawDocumentBuf};
use lockcore::Instant;
use lockstore::StoreError;
use mongodb::Client;

use crate::failure::elsewhere;

/// The documents of a replica set.
#[derive(Debug)]
pub(crate) struct Documents {
    client: Client,
}

impl Documents {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Runs a command, and gives its reply, which tells of errors too.
    pub(crate) async fn run(
        &self,
        database: &str,
        command: &RawDocument,
        _deadline: Option<Instant>,
    ) -> Result<RawDocumentBuf, StoreError> {
        let ran = self.client.database(database).run_raw_command(command.to_owned()).await;
        match ran {
            Ok(reply) => RawDocumentBuf::try_from(&reply).map_err(|error| StoreError::Internal {
                what: format!("a reply cannot be written: {error}").into(),
            }),
            Err(error) => match error.server_response() {
                Some(reply) => Ok(reply.clone()),
                None => Err(elsewhere(&error)),
            },
        }
    }
}
