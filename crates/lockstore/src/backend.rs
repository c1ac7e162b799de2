//! Where a store lives: in this process, or elsewhere.

use std::ops::Deref;
use std::sync::Arc;

use lockcore::{Holder, Instant, Key, Mode, SessionId, Token, Ttl};

use crate::clock::Clock;
use crate::engine::Engine;
use crate::error::StoreError;
use crate::keep_alive::{KeptLease, Renewer};
use crate::remote::{LockAnswer, LockCall, Remote};

/// Where the store lives. What both can do alike is asked of this; everything else asks which it is.
#[derive(Clone, Debug)]
pub(crate) enum Backend {
    /// In this process.
    Here(Arc<Engine>),
    /// Elsewhere.
    There(Arc<Elsewhere>),
}

/// The other end, and what this process does for it. It is used as the [`Remote`] that it holds.
#[derive(Debug)]
pub(crate) struct Elsewhere {
    remote: Arc<dyn Remote>,
    renewer: Renewer,
}

impl Deref for Elsewhere {
    type Target = Arc<dyn Remote>;

    fn deref(&self) -> &Arc<dyn Remote> {
        &self.remote
    }
}

impl Elsewhere {
    pub(crate) fn new(remote: Arc<dyn Remote>) -> Self {
        Self { renewer: Renewer::new(Arc::clone(&remote)), remote }
    }

    /// Makes a call about a lock whose answer nobody waits for.
    pub(crate) fn post(&self, call: LockCall) {
        let what = call.clone();
        let told = Box::new(move |answer| {
            if let LockAnswer::Failed(error) = answer {
                tracing::debug!(%error, ?what, "a call that nobody waits for has failed");
            }
        });
        self.remote.start(call, told).detach();
    }
}

impl Backend {
    /// The clock that leases count by.
    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        match self {
            Self::Here(engine) => &engine.clock,
            Self::There(remote) => remote.clock(),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.clock().now()
    }

    /// Whether the store may be used.
    pub(crate) fn check_usable(&self) -> Result<(), StoreError> {
        match self {
            Self::Here(engine) => engine.check_usable(),
            Self::There(remote) => remote.check_usable(),
        }
    }

    /// Makes a call about a lock, and blocks until it is answered.
    pub(crate) fn call(&self, call: LockCall) -> LockAnswer {
        match self {
            Self::Here(engine) => engine.call(call.into()).into(),
            Self::There(remote) => remote.call(call),
        }
    }

    /// Makes a call about a lock whose answer nobody waits for.
    pub(crate) fn post(&self, call: LockCall) {
        match self {
            Self::Here(engine) => engine.post_or_warn(call.into()),
            Self::There(remote) => remote.post(call),
        }
    }

    /// How `holder` holds the lock of `key`, if it does: in which mode, and bound to which session.
    pub(crate) fn held_as(
        &self,
        key: &Key,
        holder: &Holder,
    ) -> Result<Option<(Mode, Option<SessionId>)>, StoreError> {
        Ok(match self {
            Self::Here(engine) => {
                engine.published.view().lock(key).and_then(|lock| {
                    lock.grant_of(holder).map(|grant| (lock.mode(), grant.session))
                })
            }
            Self::There(remote) => remote.inspect(key)?.and_then(|lock| {
                let by = lock.holders.iter().find(|by| by.holder == *holder);
                by.map(|by| (lock.mode, by.session))
            }),
        })
    }

    /// Whether a release of what nobody holds is an error for everybody.
    pub(crate) fn strict_release(&self) -> bool {
        match self {
            Self::Here(engine) => engine.settings.strict_release,
            Self::There(remote) => remote.strict_release(),
        }
    }

    /// The state of a new guard's lease, which is not kept yet.
    pub(crate) fn lease(
        &self,
        key: Key,
        holder: Holder,
        token: Token,
        session: Option<SessionId>,
    ) -> Arc<KeptLease> {
        Arc::new(match self {
            Self::Here(engine) => engine.kept.lease(key, holder, token, None),
            Self::There(remote) => {
                let session = session.and_then(|session| remote.session_life(session));
                remote.renewer.kept.lease(key, holder, token, session)
            }
        })
    }

    /// Has `lease` renewed from now on, each time a third of its TTL has passed.
    pub(crate) fn keep(&self, lease: &Arc<KeptLease>, ttl: Ttl) {
        match self {
            Self::Here(engine) => {
                let at = engine.kept.keep(lease, ttl, engine.clock.now());
                engine.background.wake_by(at);
            }
            Self::There(remote) => remote.renewer.keep(lease, ttl),
        }
    }

    /// Has `lease` renewed for `ttl` from now on, if it is kept.
    pub(crate) fn set_ttl(&self, lease: &KeptLease, ttl: Ttl) {
        match self {
            Self::Here(engine) => engine.kept.set_ttl(lease, ttl),
            Self::There(remote) => remote.renewer.kept.set_ttl(lease, ttl),
        }
    }

    /// Renewals of `lease` end.
    pub(crate) fn let_go(&self, lease: &KeptLease) {
        match self {
            Self::Here(engine) => engine.kept.let_go(lease, engine.is_forked()),
            Self::There(remote) => remote.renewer.let_go(lease),
        }
    }

    /// Closes the store for all its handles.
    pub(crate) fn close(&self) -> Result<(), StoreError> {
        match self {
            Self::Here(engine) => engine.close(),
            Self::There(remote) => {
                // A forked child has not inherited the thread.
                if !matches!(remote.check_usable(), Err(StoreError::Forked { .. })) {
                    remote.renewer.stop();
                }
                remote.close()
            }
        }
    }
}
