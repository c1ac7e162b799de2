//! A look: tries until the document is locked, or is not to be had.

use std::sync::Arc;

use bson::{RawDocument, Uuid, rawdoc};
use lockstore::remote::serving;
use lockstore::remote::serving::document_locks::{HeldDocument, LockDocument, Mode, locked};
use lockstore::{Fence, LockDocumentError, StoreError};
use mongodb::ClientSession;

use super::DocumentLocks;
use super::in_time::{LOCKING, unknown};
use super::side_grant::Place;
use super::taking::{Left, Taken, Try, Which};
use super::transaction::{Ended, Tried, refused};
use crate::documents::{Failed, Limit, abort_in};
use crate::locks::GivenUp;

/// What a look has come to.
pub(super) enum Looked {
    Locked(Box<HeldDocument>),
    Left(Left),
}

impl DocumentLocks {
    /// Looks, again after conflicts.
    pub(super) async fn look(
        self: &Arc<Self>,
        place: &Place,
        wanted: &LockDocument,
        which: Which,
        limit: Limit,
        given_up: &GivenUp,
    ) -> Result<Looked, Ended> {
        let (mut tries, request) = (limit.tries(), Uuid::new());
        let (mut passed_over, mut is_easy, mut has_swept) = (Vec::new(), true, false);
        loop {
            if given_up.is_closing() {
                return Err(StoreError::Closed.into());
            }
            let had_passed = !passed_over.is_empty();
            let mut session = self.documents.session(limit).await?;
            let passed = &mut passed_over;
            let one = Try { place, wanted, which, request, is_easy, passed_over: passed };
            let looked = limit.bound(self.try_look(&mut session, one)).await;
            let looked = looked.unwrap_or_else(|| {
                Err(Failed::Store(self.documents.unreachable("no reply in time")))
            });
            let failed = match looked {
                Ok(Tried::Done(taken)) => {
                    let asked = rawdoc! { "lockDocument": place.collection.as_str() };
                    match self.commit(&mut session, wanted, &taken, limit, &asked).await {
                        Ok(()) => return self.bound_to_life(place, wanted, *taken).await,
                        Err(Failed::Store(error @ StoreError::OutcomeUnknown { .. })) => {
                            if !self.is_granted(&taken.key, request).await {
                                self.hand_on_later(place, &taken.held, Some(session));
                                return Err(error.into());
                            }
                            return self.bound_to_life(place, wanted, *taken).await;
                        }
                        Err(failed) => failed,
                    }
                }
                Ok(Tried::Left(left)) => {
                    abort_in(&mut session).await;
                    match left {
                        // Those that were about to be locked may be free again.
                        Left::Nothing if had_passed => {
                            passed_over.clear();
                            Failed::conflict("others are locking the same documents")
                        }
                        // What has run out counts as locked until somebody has seen to it.
                        Left::Nothing if wanted.mode == Mode::Pass && !has_swept => {
                            has_swept = true;
                            if self.sweep_due(place).await? == 0 {
                                return Ok(Looked::Left(left));
                            }
                            continue;
                        }
                        left => return Ok(Looked::Left(left)),
                    }
                }
                Err(failed) => {
                    abort_in(&mut session).await;
                    failed
                }
            };
            is_easy = false;
            self.again(failed, &mut tries).await?;
        }
    }

    /// What is locked, if its session lives still. Where that is not to be known it is given back.
    async fn bound_to_life(
        self: &Arc<Self>,
        place: &Place,
        wanted: &LockDocument,
        taken: Taken,
    ) -> Result<Looked, Ended> {
        let Taken { held, key } = taken;
        let Some(session) = wanted.session else { return Ok(Looked::Locked(Box::new(held))) };
        match self.locks.outlives(session, &key).await {
            Ok(true) => Ok(Looked::Locked(Box::new(held))),
            Ok(false) => {
                let ended = locked(&wanted.lock_id, Err(LockDocumentError::SessionEnded));
                Err(Ended::Refused(ended))
            }
            Err(error) => {
                tracing::debug!(%error, %key, "a document that may be locked by a dead session is given back");
                self.hand_on_later(place, &held, None);
                Err(unknown(LOCKING).into())
            }
        }
    }

    /// Commits what a look has taken.
    async fn commit(
        &self,
        session: &mut ClientSession,
        wanted: &LockDocument,
        taken: &Taken,
        limit: Limit,
        asked: &RawDocument,
    ) -> Result<(), Failed> {
        let is_over = |fence: &&Fence| fence.key() == &taken.key && **fence != taken.held.fence;
        if let Some(fence) = wanted.fences.iter().find(is_over) {
            abort_in(session).await;
            return Err(refused(&serving::lock_lost(fence, None)));
        }
        self.documents.commit_relying(session, &wanted.fences, &[&taken.key], limit, asked).await
    }
}
