//! A store elsewhere without a connection: commands and replies as bytes, and a store of this process at the other end.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use lockstore::bson::{RawDocument, RawDocumentBuf};
use lockstore::{
    Clock, CommandFuture, Instant, OnReply, Outstanding, Remote, Started, Store, StoreError,
};

/// The other end of a store, in the same process.
#[derive(Debug)]
pub struct Loopback {
    store: Store,
    clock: Arc<dyn Clock>,
}

impl Loopback {
    /// The other end of `store`.
    pub fn new(store: &Store) -> Self {
        Self { store: store.clone(), clock: Arc::clone(store.clock()) }
    }
}

impl Remote for Loopback {
    fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    fn check_usable(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn run_command(
        &self,
        database: &str,
        command: &RawDocument,
        _deadline: Option<Instant>,
    ) -> Result<RawDocumentBuf, StoreError> {
        Ok(sent(&self.store.database(database).run_command(&sent(command))))
    }

    fn start_command(
        &self,
        database: &str,
        command: RawDocumentBuf,
        _deadline: Option<Instant>,
        on_reply: OnReply,
    ) -> Outstanding {
        match self.store.database(database).start_command(&sent(&command)) {
            Started::Reply(reply) => {
                on_reply(Ok(sent(&reply)));
                Outstanding::answered()
            }
            Started::Pending(future) => {
                let parked = Arc::new(Parked::default());
                let waiting = Arc::clone(&parked);
                thread::spawn(move || {
                    if let Some(reply) = waiting.drive(future) {
                        on_reply(Ok(sent(&reply)));
                    }
                });
                Outstanding::new(move || parked.tell(|news| news.given_up = true))
            }
        }
    }

    fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// A message as it comes out at the other end.
fn sent(message: &RawDocument) -> RawDocumentBuf {
    RawDocumentBuf::from_bytes(message.as_bytes().to_vec()).expect("a document is sent")
}

/// A command that waits.
#[derive(Debug, Default)]
struct Parked {
    news: Mutex<News>,
    something_new: Condvar,
}

#[derive(Debug, Default)]
struct News {
    woken: bool,
    given_up: bool,
}

impl Parked {
    /// The reply, unless the command is given up.
    fn drive(self: &Arc<Self>, mut future: CommandFuture) -> Option<RawDocumentBuf> {
        let waker = Waker::from(Arc::clone(self));
        loop {
            if let Poll::Ready(reply) = Pin::new(&mut future).poll(&mut Context::from_waker(&waker))
            {
                return Some(reply);
            }
            let news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
            let nothing = |news: &mut News| !news.woken && !news.given_up;
            let news = self.something_new.wait_while(news, nothing);
            let mut news = news.unwrap_or_else(PoisonError::into_inner);
            if news.given_up {
                return None;
            }
            news.woken = false;
        }
    }

    fn tell(&self, change: impl FnOnce(&mut News)) {
        change(&mut self.news.lock().unwrap_or_else(PoisonError::into_inner));
        self.something_new.notify_one();
    }
}

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.tell(|news| news.woken = true);
    }
}
