//! The thread that connects, and hands replies on.

use std::sync::{Arc, PoisonError};

use bson::RawDocumentBuf;
use lockstore::{Clock, StoreError};

use super::super::call::{is_interrupted, understood};
use super::super::limit::Limit;
use super::super::link::{Link, LinkError};
use super::calls::Answered;
use super::{Control, Phase};

impl Control {
    /// Keeps the connection up until it is closed.
    pub(super) fn read(&self) {
        let mut links = 0;
        while self.is_wanted() {
            match self.connect() {
                Ok(None) => {}
                Ok(Some(mut link)) => {
                    links += 1;
                    if self.is_up(&link, links) {
                        self.receive(&mut link);
                        self.is_down(true);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "there is no way to the store's server");
                    self.is_down(false);
                    let told = self.state().calls.take_all();
                    for on_reply in told {
                        on_reply(Err(error.clone()));
                    }
                }
            }
        }
    }

    /// Waits until there is a reason to connect. `false` when it is closed.
    fn is_wanted(&self) -> bool {
        let mut state = self.state();
        loop {
            match state.phase {
                Phase::Closed => return false,
                Phase::Down { stay } if stay || !state.calls.is_empty() => return true,
                Phase::Unused | Phase::Down { .. } | Phase::Up { .. } => {}
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Connects, for as long as it takes, and says who we are. `None` when the server ends meanwhile.
    fn connect(&self) -> Result<Option<Link>, StoreError> {
        let for_ever = Limit::new(self.place.clock(), None);
        let dialled = self.place.dial(for_ever, for_ever);
        let mut link = dialled.map_err(|error| error.into_store_error(self.place.socket()))?;
        match link.call(&self.place.hello().write(), for_ever) {
            Ok(reply) if matches!(reply.get_f64("ok"), Ok(1.0)) => Ok(Some(link)),
            Ok(reply) => Err(StoreError::Unreachable {
                socket: Arc::clone(self.place.socket()),
                reason: format!("the server does not know us: {reply:?}").into(),
            }),
            Err(LinkError::Broken(_) | LinkError::NotSent(_) | LinkError::Silent) => Ok(None),
        }
    }

    /// Has everything outstanding sent on `link`. `false` when it is not wanted any more.
    fn is_up(&self, link: &Link, number: u64) -> bool {
        let Ok(sender) = link.sender() else { return false };
        let mut state = self.state();
        if let Phase::Closed = state.phase {
            return false;
        }
        state.phase = Phase::Up { link: number, sender: Arc::new(sender) };
        (state.heard, state.asked) = (self.place.clock().now(), self.place.clock().now());
        let too_often = state.calls.connected();
        drop(state);
        self.changed.notify_all();
        for on_reply in too_often {
            on_reply(Err(StoreError::Unreachable {
                socket: Arc::clone(self.place.socket()),
                reason: "server after server has ended in the middle of this call".into(),
            }));
        }
        true
    }

    fn is_down(&self, stay: bool) {
        let mut state = self.state();
        if !matches!(state.phase, Phase::Closed) {
            state.phase = Phase::Down { stay };
            state.calls.disconnected();
        }
    }

    fn receive(&self, link: &mut Link) {
        let for_ever = Limit::new(self.place.clock(), None);
        loop {
            match link.receive_quietly(for_ever) {
                // It is asked again, of the next server.
                Ok((_, reply)) if is_interrupted(&reply) => {}
                Ok((id, reply)) => self.answer(id, reply),
                Err(error) => {
                    tracing::debug!(%error, "the control connection has ended");
                    return;
                }
            }
        }
    }

    fn answer(&self, id: i32, reply: RawDocumentBuf) {
        let mut state = self.state();
        state.heard = self.place.clock().now();
        let command = state.calls.command(id).cloned().unwrap_or_default();
        let answered = state.calls.answered(id);
        state.handing = true;
        drop(state);
        match answered {
            Answered::Call(on_reply) => on_reply(understood(reply, &command)),
            Answered::Forgotten(on_reply) => drop(on_reply),
            Answered::Nobody => {}
        }
        self.state().handing = false;
        self.answered.notify_all();
    }
}
