//! A store of a replica set as if it had the replica set to itself.

use std::sync::Arc;

use lockstore::bson::{RawBson, RawBsonRef, RawDocument, RawDocumentBuf, Uuid};
use lockstore::presence::SessionInfo;
use lockstore::remote::{
    ClientSessions, Holder, Key, LockAnswer, LockCall, OnAnswer, OnEvents, OnReply, Outstanding,
    Remote, SessionLife,
};
use lockstore::{
    BreakRecord, CheckReport, Clock, Instant, LockInfo, Recovery, ReserveTokensError, SessionId,
    Stats, StoreError, Token,
};

/// Its databases have names that no other store's have, which nobody sees who uses it: commands go to the database that is called so, and replies
/// are told without what the names begin with.
#[derive(Debug)]
pub(super) struct Apart {
    all: Arc<dyn Remote>,
    /// What the names of its databases begin with.
    prefix: Arc<str>,
}

impl Apart {
    /// `name` is that of no other store.
    pub(super) fn new(all: Arc<dyn Remote>, name: &str) -> Self {
        Self { all, prefix: format!("{name}-").into() }
    }

    /// The name there. What is no name is refused as such.
    fn there(&self, database: &str) -> String {
        match database {
            "" | "admin" => database.into(),
            _ => format!("{}{database}", self.prefix),
        }
    }
}

impl Remote for Apart {
    fn run_command(
        &self,
        database: &str,
        command: &RawDocument,
        deadline: Option<Instant>,
    ) -> Result<RawDocumentBuf, StoreError> {
        let reply = self.all.run_command(&self.there(database), command, deadline)?;
        Ok(told(&reply, &self.prefix))
    }

    fn start_command(
        &self,
        database: &str,
        command: RawDocumentBuf,
        deadline: Option<Instant>,
        on_reply: OnReply,
    ) -> Outstanding {
        let prefix = Arc::clone(&self.prefix);
        let on_reply = move |reply: Result<RawDocumentBuf, StoreError>| {
            on_reply(reply.map(|reply| told(&reply, &prefix)));
        };
        self.all.start_command(&self.there(database), command, deadline, Box::new(on_reply))
    }

    fn clock(&self) -> &Arc<dyn Clock> {
        self.all.clock()
    }

    fn check_usable(&self) -> Result<(), StoreError> {
        self.all.check_usable()
    }

    fn client_sessions(&self) -> &ClientSessions {
        self.all.client_sessions()
    }

    fn close(&self) -> Result<(), StoreError> {
        self.all.close()
    }

    fn strict_release(&self) -> bool {
        self.all.strict_release()
    }

    fn session_life(&self, session: SessionId) -> Option<Arc<SessionLife>> {
        self.all.session_life(session)
    }

    fn call(&self, call: LockCall) -> LockAnswer {
        self.all.call(call)
    }

    fn start(&self, call: LockCall, on_answer: OnAnswer) -> Outstanding {
        self.all.start(call, on_answer)
    }

    fn is_held(&self, key: &Key, holder: Option<&Holder>) -> Result<bool, StoreError> {
        self.all.is_held(key, holder)
    }

    fn inspect(&self, key: &Key) -> Result<Option<LockInfo>, StoreError> {
        self.all.inspect(key)
    }

    fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<LockInfo>, StoreError> {
        self.all.list(prefix, after, limit)
    }

    fn audit(&self, before: Option<u64>, limit: usize) -> Result<Vec<BreakRecord>, StoreError> {
        self.all.audit(before, limit)
    }

    fn subscribe(&self, prefix: &str, events_max: Option<usize>) -> Result<u64, StoreError> {
        self.all.subscribe(prefix, events_max)
    }

    fn next_events(&self, subscription: u64, on_events: OnEvents) -> Outstanding {
        self.all.next_events(subscription, on_events)
    }

    fn unsubscribe(&self, subscription: u64) {
        self.all.unsubscribe(subscription);
    }

    fn sessions(&self) -> Result<Vec<SessionInfo>, StoreError> {
        self.all.sessions()
    }

    fn stats(&self) -> Result<Stats, StoreError> {
        self.all.stats()
    }

    fn id(&self) -> Result<Uuid, StoreError> {
        self.all.id()
    }

    fn reserve_tokens(&self, at_least: Token) -> Result<Token, ReserveTokensError> {
        self.all.reserve_tokens(at_least)
    }

    fn recovery(&self) -> Result<Recovery, StoreError> {
        self.all.recovery()
    }

    fn check(&self) -> Result<CheckReport, StoreError> {
        self.all.check()
    }
}

/// A reply, with the databases' names as they were asked for. What is there of others is not in it.
fn told(reply: &RawDocument, prefix: &str) -> RawDocumentBuf {
    let mut told = RawDocumentBuf::new();
    for (name, value) in reply.iter().map(|field| field.expect("MongoDB's replies are whole")) {
        let value = match (name.as_str(), value) {
            ("databases", RawBsonRef::Array(all)) => {
                let all = all.into_iter().flatten().filter_map(RawBsonRef::as_document);
                let is_own = |database: &&RawDocument| {
                    database.get_str("name").is_ok_and(|name| name.starts_with(prefix))
                };
                RawBson::Array(all.filter(is_own).map(|own| self::told(own, prefix)).collect())
            }
            (_, value) => told_value(value, prefix),
        };
        told.append(name, value);
    }
    told
}

fn told_value(value: RawBsonRef<'_>, prefix: &str) -> RawBson {
    match value {
        // The key behind a document's lock, by which it is released.
        RawBsonRef::String(key) if key.starts_with('\0') => value.into(),
        RawBsonRef::String(text) => RawBson::String(text.replace(prefix, "")),
        RawBsonRef::Document(document) => RawBson::Document(told(document, prefix)),
        RawBsonRef::Array(array) => {
            let values = array.into_iter().flatten();
            RawBson::Array(values.map(|value| told_value(value, prefix)).collect())
        }
        value => value.into(),
    }
}
