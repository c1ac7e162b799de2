//! Tasks that are done once, however often their command comes, and whose whole reply is remembered.

use bson::RawDocumentBuf;

use super::{Call, statements};
use crate::client_sessions::{Memo, Past, ReplyOf};
use crate::error::DocumentError;
use crate::request::{Answer, Task};

/// What has become of such a task.
#[derive(Debug)]
pub(super) enum Once {
    /// It was done now, or refused.
    Now(Answer),
    /// It was done before, and this was the reply.
    Before(RawDocumentBuf),
}

impl Call<'_> {
    /// Has a task done, once however often the command comes, and remembers the reply that `reply` makes of the answer; where that
    /// makes none, nothing has changed, and nothing is remembered.
    pub(super) fn once(
        &self,
        task: Task,
        reply: impl Fn(&Answer) -> Option<RawDocumentBuf> + Send + Sync + 'static,
    ) -> Result<Once, DocumentError> {
        let Some(write) = self.write else { return Ok(Once::Now(self.engine.call(task))) };
        match write.past(0) {
            Some(Past::Replied(reply)) => match statements::remembered(reply)? {
                Some(reply) => Ok(Once::Before(reply.to_owned())),
                None => Err(statements::incomplete("it has no reply").into()),
            },
            Some(_) => Err(statements::incomplete("it was another command").into()),
            None => {
                let memo = Memo::Reply { statement: 0, of: ReplyOf::new(reply) };
                Ok(Once::Now(write.call(task, memo)))
            }
        }
    }
}
