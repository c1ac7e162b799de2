//! What cases are run against.

use bson::raw::{CStr, RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf, cstr};

/// Something that answers commands on a database called `test`.
pub trait Server {
    /// Answers one command. What goes wrong is a reply too, with `ok: 0`.
    fn run(&mut self, command: &RawDocument) -> RawDocumentBuf;

    /// Makes the database as if it had never been used.
    fn clear(&mut self) {
        let mut command = RawDocumentBuf::new();
        command.append(cstr!("dropDatabase"), 1);
        self.run(&command);
    }

    /// Answers one command and follows its cursor to the end: what later batches bring is put behind the first one.
    fn run_to_the_end(&mut self, command: &RawDocument) -> RawDocumentBuf {
        let reply = self.run(command);
        let Some(open) = OpenCursor::of(&reply) else { return reply };
        let mut batch = RawArrayBuf::new();
        extend(&mut batch, &reply, "firstBatch");
        loop {
            let more = self.run(&open.get_more());
            if is_failure(&more) {
                return more;
            }
            extend(&mut batch, &more, "nextBatch");
            if OpenCursor::of(&more).is_none() {
                return with_first_batch(&reply, &batch);
            }
        }
    }
}

/// A cursor that holds more than it gave.
struct OpenCursor {
    id: i64,
    collection: String,
}

impl OpenCursor {
    fn of(reply: &RawDocument) -> Option<Self> {
        let cursor = reply.get_document("cursor").ok()?;
        let id = cursor.get_i64("id").ok().filter(|id| *id != 0)?;
        let (_, collection) = cursor.get_str("ns").ok()?.split_once('.')?;
        Some(Self { id, collection: collection.to_owned() })
    }

    fn get_more(&self) -> RawDocumentBuf {
        let mut command = RawDocumentBuf::new();
        command.append(cstr!("getMore"), self.id);
        command.append(cstr!("collection"), self.collection.as_str());
        command
    }
}

fn is_failure(reply: &RawDocument) -> bool {
    reply.get_document("cursor").is_err()
}

fn extend(batch: &mut RawArrayBuf, reply: &RawDocument, name: &str) {
    let more = reply.get_document("cursor").and_then(|cursor| cursor.get_array(name));
    for element in more.into_iter().flatten().map_while(Result::ok) {
        batch.push(element);
    }
}

/// The reply with another first batch.
fn with_first_batch(reply: &RawDocument, batch: &RawArrayBuf) -> RawDocumentBuf {
    let mut whole = RawDocumentBuf::new();
    for (name, value) in fields(reply) {
        match value {
            RawBsonRef::Document(cursor) if name.as_str() == "cursor" => {
                let rest = fields(cursor).filter(|(name, _)| name.as_str() != "firstBatch");
                let mut cursor: RawDocumentBuf = rest.collect();
                cursor.append(cstr!("firstBatch"), batch);
                whole.append(name, cursor);
            }
            value => whole.append(name, value),
        }
    }
    whole
}

fn fields(document: &RawDocument) -> impl Iterator<Item = (&CStr, RawBsonRef<'_>)> {
    document.into_iter().map_while(Result::ok)
}

#[cfg(test)]
mod tests;
