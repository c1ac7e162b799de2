//! Locks that are held, and the tokens that are granted from here on.

use std::thread;
use std::time::Duration;

use lockstore::{
    AcquireError, Instant, Key, LockInfo, Mode, ReleaseError, ReserveTokensError, Token,
};

use super::difference::{Difference, How};
use super::endpoint::Endpoint;
use super::error::{Bound, MigrationError};
use super::journal::{Journal, Taken};
use super::progress::{Observed, Step};

/// A holder of a lock, whose lock ends with no session.
#[derive(Clone, Debug)]
pub(super) struct Held {
    key: Key,
    mode: Mode,
    holder: String,
    token: Token,
    /// By the clock of its store.
    expires_at: Option<Instant>,
}

/// Who holds locks, in the order of their tokens, and those whose locks end with sessions.
pub(super) fn held(source: &Endpoint) -> Result<(Vec<Held>, Vec<Bound>), MigrationError> {
    let (mut held, mut bound) = (Vec::new(), Vec::new());
    let mut after: Option<Key> = None;
    loop {
        let page = source.store().list("", after.as_deref(), PAGE);
        let page = page.map_err(|error| source.failed(error))?;
        let Some(last) = page.last() else { break };
        after = Some(last.key.clone());
        for LockInfo { key, mode, holders, .. } in page {
            for it in holders {
                let (key, holder, token) = (key.clone(), it.holder.as_str().to_owned(), it.token);
                match it.session {
                    Some(session) => bound.push(Bound::Lock { key, holder, token, session }),
                    None => {
                        held.push(Held { key, mode, holder, token, expires_at: it.expires_at });
                    }
                }
            }
        }
    }
    held.sort_by(|a, b| (a.token, &a.key).cmp(&(b.token, &b.key)));
    Ok((held, bound))
}

/// Whether nobody holds in the target what is held in the source, but by this migration.
pub(super) fn check_free(
    source: &Endpoint,
    target: &Endpoint,
    journal: &Journal<'_>,
) -> Result<(), MigrationError> {
    let taken = journal.taken()?;
    for Held { key, .. } in held(source)?.0 {
        let there = target.store().inspect(&key).map_err(|error| failed(target, error))?;
        let holders = there.iter().flat_map(|lock| &lock.holders);
        let is_ours =
            |holder: &str| taken.iter().any(|it| it.key == key.as_str() && it.holder == holder);
        if holders.into_iter().any(|holder| !is_ours(&holder.holder)) {
            return Err(MigrationError::LockTaken { to: target.to_string(), key });
        }
    }
    Ok(())
}

/// Has the tokens of the target begin above all that the source has given. Those of a replica set are its time, which may be a moment behind that of
/// another.
pub(super) fn raise_tokens(source: &Endpoint, target: &Endpoint) -> Result<Token, MigrationError> {
    let next = source.store().reserve_tokens(Token::FIRST);
    let next = next.map_err(|error| not_raised(source, (source, target), error))?;
    let clock = target.store().clock();
    let patience = if target.is_file() { Duration::ZERO } else { BEHIND_MAX };
    let until = clock.now().saturating_add(patience);
    loop {
        match target.store().reserve_tokens(next) {
            Ok(token) => return Ok(token),
            Err(ReserveTokensError::TooHigh { .. }) if clock.now() < until => {
                thread::sleep(LOOK_AGAIN);
            }
            Err(error) => return Err(not_raised(target, (source, target), error)),
        }
    }
}

fn not_raised(
    endpoint: &Endpoint,
    (from, to): (&Endpoint, &Endpoint),
    error: ReserveTokensError,
) -> MigrationError {
    match error {
        ReserveTokensError::Store(error) => endpoint.failed(error),
        error => MigrationError::Tokens { from: from.to_string(), to: to.to_string(), error },
    }
}

/// Acquires in the target what is held in the source: by the same holders, in the same mode, for what is left of their leases, in the order of their
/// tokens. Gives how many holders there are.
pub(super) fn copy(
    source: &Endpoint,
    target: &Endpoint,
    journal: &Journal<'_>,
    observed: &Observed<'_>,
) -> Result<u64, MigrationError> {
    let (held, _) = held(source)?;
    let before = journal.taken()?;
    let is_of =
        |taken: &Taken, held: &Held| taken.key == held.key.as_str() && taken.holder == held.holder;
    for gone in before.iter().filter(|taken| !held.iter().any(|held| is_of(taken, held))) {
        match target.store().release(&gone.key, &gone.holder, None) {
            Ok(()) | Err(ReleaseError::NotHeld { .. } | ReleaseError::HeldByOther { .. }) => {}
            Err(error) => return Err(failed(target, error)),
        }
        journal.remove_taken(gone)?;
    }
    let new = held
        .iter()
        .map(|held| Taken { key: held.key.as_str().into(), holder: held.holder.clone() });
    let new: Vec<_> = new.filter(|taken| !before.contains(taken)).collect();
    journal.add_taken(&new)?;
    let mut copied = 0;
    for held in &held {
        let left = held.expires_at.map(|at| at.saturating_since(source.store().clock().now()));
        if left == Some(Duration::ZERO) {
            continue;
        }
        let request = target.store().lock(&held.key).holder(&held.holder);
        let request = if held.mode == Mode::Shared { request.shared() } else { request };
        let request = match left {
            Some(left) => request.ttl(left.max(TTL_MIN)),
            None => request,
        };
        match request.try_acquire() {
            // It is the holder's, not this program's.
            Ok(guard) => drop(guard.leak()),
            Err(
                AcquireError::Held { .. }
                | AcquireError::OtherMode { .. }
                | AcquireError::OtherSession { .. },
            ) => {
                let key = held.key.clone();
                return Err(MigrationError::LockTaken { to: target.to_string(), key });
            }
            Err(error) => return Err(failed(target, error)),
        }
        copied += 1;
        observed.tell(Step::Locked)?;
    }
    Ok(copied)
}

/// In what the locks differ.
pub(super) fn differences(
    source: &Endpoint,
    target: &Endpoint,
    journal: &Journal<'_>,
) -> Result<Vec<Difference>, MigrationError> {
    let (held, _) = held(source)?;
    let mut found = Vec::new();
    let inspect = |key: &str| target.store().inspect(key).map_err(|error| failed(target, error));
    for Held { key, mode, holder, expires_at, .. } in &held {
        let left = expires_at.map(|at| at.saturating_since(source.store().clock().now()));
        if left.is_some_and(|left| left < ENDS_SOON) {
            continue;
        }
        let there = inspect(key)?;
        let grant = there
            .as_ref()
            .and_then(|lock| lock.holders.iter().find(|it| it.holder.as_str() == holder));
        let is_same_mode = there.as_ref().is_some_and(|lock| lock.mode == *mode);
        let how = match grant {
            None => How::Missing,
            Some(grant) if is_same_mode && grant.ttl.is_some() == left.is_some() => continue,
            Some(_) => How::Changed,
        };
        found.push(Difference::Lock { key: key.clone(), holder: holder.clone(), how });
    }
    for Taken { key, holder } in journal.taken()? {
        let is_held = held.iter().any(|held| held.key.as_str() == key && held.holder == holder);
        if is_held {
            continue;
        }
        if let Some(lock) = inspect(&key)?
            && lock.holders.iter().any(|it| it.holder.as_str() == holder && it.expires_at.is_none())
        {
            found.push(Difference::Lock { key: lock.key, holder, how: How::Extra });
        }
    }
    Ok(found)
}

fn failed(endpoint: &Endpoint, error: impl std::fmt::Display) -> MigrationError {
    endpoint.failed(lockstore::StoreError::Elsewhere { what: error.to_string().into() })
}

/// How many locks are listed at once.
const PAGE: usize = 10_000;
/// How far the clock of a replica set may be behind that of another, so that it is waited for.
const BEHIND_MAX: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// The shortest TTL.
pub(super) const TTL_MIN: Duration = Duration::from_millis(1);
/// A lease that ends so soon may be over in one store and not yet in the other.
pub(super) const ENDS_SOON: Duration = Duration::from_secs(2);
