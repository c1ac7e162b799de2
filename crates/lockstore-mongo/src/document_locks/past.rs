//! What has become of what was asked before, and was never answered.

use bson::{Uuid, cstr, doc};
use lockcore::Key;
use lockstore::Fence;
use lockstore::remote::serving::document_locks::{HeldDocument, LockDocument};

use super::DocumentLocks;
use super::side_grant::{Place, locked_by};
use super::transaction::{Ended, add, alone, find};
use crate::failure::damaged;
use crate::locks::{Happened, Standing};

impl DocumentLocks {
    /// Whether a call was granted a side grant, that is, whether its transaction was committed.
    pub(super) async fn is_granted(&self, key: &Key, request: Uuid) -> bool {
        let seen = self.locks.seen(key.as_str()).await;
        let document = seen.ok().and_then(|seen| seen.document);
        document.is_some_and(|lock| {
            let last = lock.last_of(request).map(|entry| &entry.what);
            matches!(last, Some(Happened::Granted { .. } | Happened::Renewed { .. }))
        })
    }

    /// Whether a call has ended a side grant.
    pub(super) async fn is_ended(&self, key: &Key, request: Uuid) -> bool {
        let seen = self.locks.seen(key.as_str()).await;
        let document = seen.ok().and_then(|seen| seen.document);
        document.is_some_and(|lock| {
            let last = lock.last_of(request).map(|entry| &entry.what);
            matches!(last, Some(Happened::Ended { .. }))
        })
    }

    /// What a command has locked that has come before, if it is locked still.
    pub(super) async fn locked_before(
        &self,
        place: &Place,
        wanted: &LockDocument,
    ) -> Result<Option<HeldDocument>, Ended> {
        let lock_id = wanted.lock_id.as_str();
        let looks = self.looks_of(place, doc! { "grants.holder": lock_id }).await?;
        for look in looks {
            let standing = Standing::new(&look)?;
            let grant = standing.lock().and_then(|lock| lock.grant_of(&wanted.lock_id));
            let (Some(grant), Some(id)) = (grant, place.id_of(&look.key)) else { continue };
            let mut grants = standing.document().grants.iter();
            let lock_time = grants.find(|it| it.holder == lock_id).and_then(|it| it.lock_time);
            let mut command = find(place, &alone(locked_by(&id, lock_id, lock_time)));
            add(&mut command, cstr!("projection"), wanted.projection.clone());
            let Some(document) = self.read(place, &command).await? else { continue };
            let fence = Fence::new(&look.key, lock_id, grant.token);
            let fence = fence.map_err(damaged)?;
            return Ok(Some(HeldDocument {
                document,
                fence,
                ttl: grant.lease.map(|lease| lease.ttl),
                valid_until: grant.lease.map(|lease| look.moment.here_at(lease.expires_at)),
                rejoined: false,
            }));
        }
        Ok(None)
    }
}
