"""Prefect's lock manager on one file, or on a replica set: for transactions and cache policies whose isolation level is ``SERIALIZABLE``.

>>> from prefect import task
>>> from prefect.cache_policies import INPUTS
>>> from prefect.transactions import IsolationLevel
>>> from lockstore.prefect import LockStoreManager
>>> policy = INPUTS.configure(
...     isolation_level=IsolationLevel.SERIALIZABLE, lock_manager=LockStoreManager("locks.redb")
... )
>>> @task(cache_policy=policy, persist_result=True)
... def once(x): ...

This module imports without Prefect.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any, Union

from lockstore._kept import kept_store, kept_store_async
from lockstore._native import Lock, Store, shown
from lockstore._places import absolute
from lockstore._renewals import Renewal
from lockstore.errors import AcquireTimeout, HeldByOther, HeldOtherwise, InvalidArgument, LeaseLost, NotHeld

__all__ = ["LockStoreManager"]

Seconds = Union[float, timedelta]


class LockStoreManager:
    """Prefect's ``LockManager`` on the store at ``path``: a file, which all processes of one user on one machine share, or a replica set,
    which all machines share.

    Two managers of one path and the same options are equal; a copy, a pickled one in another process say, is a manager of the same
    path. All managers of a path and the same ``store_options`` in one process share one open store, which is opened by the first call. A
    forked child opens its own.

    Args:
        path: The store's file. It is made if it is not there; its folder must be. Or the address of a replica set, ``mongodb://...``.
        hold_timeout: For how many seconds a lock is held that is acquired without a ``hold_timeout``, as Prefect's are. By default it
            has no end.
        acquire_timeout: For how many seconds to wait for a lock that is acquired without an ``acquire_timeout``, as Prefect's are.
            When they are over, ``AcquireTimeout`` (a ``TimeoutError``) is raised, for Prefect does not look at what ``acquire_lock``
            returns. By default for ever.
        keep_alive: Whether locks that are held for this manager's ``hold_timeout`` are renewed while this process lives, by a native
            thread that no busy event loop holds up. An explicit ``hold_timeout`` is the end in any case.
        session: Whether locks end with the process that has acquired them, however it ends: the locks of a flow that is killed are free
            at once, and on a replica set after its ``session_ttl``. Otherwise they are held until their ``hold_timeout`` is over.
        strict_release: Whether it is an error (``NotHeld``, a ``ValueError``) to release a lock that nobody holds. By default it is
            not: Prefect releases twice when a transaction is committed inside of its ``with``.
        store_options: The keyword arguments of ``lockstore.Store``: ``database``, ``session_ttl`` and more for a replica set.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        hold_timeout: Seconds | None = None,
        acquire_timeout: Seconds | None = None,
        keep_alive: bool = True,
        session: bool = True,
        strict_release: bool = False,
        **store_options: Any,
    ) -> None:
        self.path = absolute(path)
        self.hold_timeout = _hold(hold_timeout)
        self.acquire_timeout = _seconds("acquire_timeout", acquire_timeout)
        self.keep_alive = bool(keep_alive)
        self.session = bool(session)
        self.strict_release = bool(strict_release)
        self.store_options = {name: store_options[name] for name in sorted(store_options)}

    def acquire_lock(
        self,
        key: str,
        holder: str,
        acquire_timeout: Seconds | None = None,
        hold_timeout: Seconds | None = None,
    ) -> bool:
        """Acquires the lock of ``key`` for ``holder``, and returns whether that was had within ``acquire_timeout`` seconds (0 tries
        once, by default this manager's). It is held for ``hold_timeout`` seconds (by default this manager's) or until it is released.
        Waiters are served in the order in which they came.

        A holder that acquires again what it holds keeps its grant, which lasts as long as if it were new.

        Raises ``AcquireTimeout`` (a ``TimeoutError``) when this manager's ``acquire_timeout`` is over, ``InvalidArgument`` (a
        ``ValueError``) for a time that is negative or not a number, for a hold of 0 seconds or of more than 3,650 days, and for a key or
        a holder that is empty or longer than 1,024 bytes, and any other ``LockStoreError``.
        """
        asked = _Acquisition(self, key, holder, acquire_timeout, hold_timeout)
        with asked.of(self._store()):
            while not asked.is_had:
                with asked.attempt():
                    asked.lock.acquire(asked.left())
        return asked.is_had

    def aacquire_lock(
        self,
        key: str,
        holder: str,
        acquire_timeout: Seconds | None = None,
        hold_timeout: Seconds | None = None,
    ) -> Coroutine[Any, Any, bool]:
        """As ``acquire_lock``, as a coroutine, whose time counts from this call. No thread waits for it, and the first of a process does
        not hold up the event loop while the store is opened; when it is cancelled, its wait ends."""
        return self._acquire_async(_Acquisition(self, key, holder, acquire_timeout, hold_timeout))

    def release_lock(self, key: str, holder: str) -> None:
        """Releases the lock of ``key``, which ``holder`` holds. When this returns, that is durable.

        Raises ``HeldByOther`` (a ``ValueError``) when another holder has it, whose lock is left alone. Where nobody holds it, this does
        nothing, unless the manager is strict: then it raises ``NotHeld`` (a ``ValueError``).
        """
        Renewal(self._place(), key, holder).end()
        try:
            self._store().release(key, holder)
        except NotHeld as error:
            if self.strict_release:
                raise NotHeld(f"No lock for transaction with key {key}", key, holder) from error
        except HeldByOther as error:
            message = f"No lock held by {holder} for transaction with key {key}"
            raise HeldByOther(message, key, error.holder, error.token) from error

    def is_locked(self, key: str) -> bool:
        """Whether anybody holds the lock of ``key``."""
        return self._store().is_locked(key)

    def is_lock_holder(self, key: str, holder: str) -> bool:
        """Whether ``holder`` holds the lock of ``key``."""
        return self._store().is_lock_holder(key, holder)

    def wait_for_lock(self, key: str, timeout: Seconds | None = None) -> bool:
        """Waits until nobody holds the lock of ``key``, for at most ``timeout`` seconds (by default for ever), and returns whether that
        has come. The holder itself waits like anybody else."""
        deadline = _deadline(_seconds("timeout", timeout))
        return self._store().wait_until_free(key, _left(deadline))

    def await_for_lock(self, key: str, timeout: Seconds | None = None) -> Coroutine[Any, Any, bool]:
        """As ``wait_for_lock``, as a coroutine, whose time counts from this call. No thread waits for it; when it is cancelled, its wait
        ends."""
        return self._wait_async(key, _deadline(_seconds("timeout", timeout)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LockStoreManager) and self._options() == other._options()

    def __hash__(self) -> int:
        return hash(self._options())

    def __reduce__(self) -> tuple[object, ...]:
        *options, store_options = self._options()
        return partial(type(self), **dict(store_options)), tuple(options)

    def __repr__(self) -> str:
        names = ("hold_timeout", "acquire_timeout", "keep_alive", "session", "strict_release")
        options = {name: getattr(self, name) for name in names} | self.store_options
        listed = "".join(f", {name}={value!r}" for name, value in options.items())
        return f"{type(self).__name__}({shown(self.path)!r}{listed})"

    def _options(self) -> tuple[Any, ...]:
        path, store_options = self._place()
        return (
            path,
            self.hold_timeout,
            self.acquire_timeout,
            self.keep_alive,
            self.session,
            self.strict_release,
            store_options,
        )

    def _place(self) -> tuple[str, tuple[tuple[str, Any], ...]]:
        """Which store."""
        return self.path, tuple(self.store_options.items())

    def _store(self) -> Store:
        return kept_store(self.path, self.store_options)

    async def _store_async(self) -> Store:
        return await kept_store_async(self.path, self.store_options)

    def _lock(self, store: Store, key: str, holder: str, hold: float | None, renews: bool) -> Lock:
        return store.lock(key, holder, ttl=hold, session=self.session, keep_alive=renews)

    async def _acquire_async(self, asked: _Acquisition) -> bool:
        with asked.of(await self._store_async()):
            while not asked.is_had:
                with asked.attempt():
                    await asked.lock.acquire_async(asked.left())
        return asked.is_had

    async def _wait_async(self, key: str, deadline: float | None) -> bool:
        store = await self._store_async()
        return await store.wait_until_free_async(key, _left(deadline))


class _Acquisition:
    """One call of ``acquire_lock``, all of it but how it waits. Its time counts from here."""

    lock: Lock
    #: Whether the holder has the lock by now.
    is_had = False

    def __init__(
        self,
        manager: LockStoreManager,
        key: str,
        holder: str,
        acquire_timeout: Seconds | None,
        hold_timeout: Seconds | None,
    ) -> None:
        patience = manager.acquire_timeout if acquire_timeout is None else _seconds("acquire_timeout", acquire_timeout)
        self._deadline = _deadline(patience)
        # Who has named a time is told by what is returned.
        self._raises = acquire_timeout is None
        self._hold = manager.hold_timeout if hold_timeout is None else _hold(hold_timeout)
        self._renews = manager.keep_alive and hold_timeout is None and self._hold is not None
        self._manager = manager
        self._key = key
        self._holder = holder
        self._renewal = Renewal(manager._place(), key, holder)

    @contextmanager
    def of(self, store: Store) -> Iterator[None]:
        """While it is asked for in this store."""
        self._store = store
        self.lock = self._manager._lock(store, self._key, self._holder, self._hold, self._renews)
        try:
            with self._renewal.ends():
                yield
        except AcquireTimeout:
            if self._raises:
                raise

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """While the lock is acquired."""
        try:
            yield
        except HeldOtherwise as error:
            self.is_had = self._has_it_otherwise(error)
            return
        if self._renews:
            self._renewal.begin(self.lock)
        else:
            # The protocol knows holders and no objects: nothing but a release ends it.
            self.lock.leak()
        self.is_had = True

    def left(self) -> float | None:
        """For how many seconds to wait yet."""
        return _left(self._deadline)

    def _has_it_otherwise(self, otherwise: HeldOtherwise) -> bool:
        """The holder has it by another process, or by a manager with another ``session``, with whose end it ends as before: whether it
        has it yet. If not, it is to be acquired like any other. A lock that it shares with others is none of ours."""
        info = self._store.inspect(self._key)
        held = next((held for held in info.holders if held.holder == self._holder), None) if info is not None else None
        if info is None or held is None:
            return False
        if info.mode != "exclusive":
            raise otherwise
        try:
            self._store.renew(self._key, self._holder, held.token, _FOR_EVER if self._hold is None else self._hold)
        except LeaseLost:
            return False
        return True


def _deadline(patience: float | None) -> float | None:
    """When a wait that begins now has been long enough."""
    return None if patience is None else time.monotonic() + patience


def _left(deadline: float | None) -> float | None:
    """For how many seconds to wait yet."""
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def _hold(given: Seconds | None) -> float | None:
    seconds = _seconds("hold_timeout", given)
    if seconds == 0:
        raise InvalidArgument(f"a lock is held for longer than 0 seconds; hold_timeout is {given!r}")
    if seconds is not None and seconds > _FOR_EVER:
        raise InvalidArgument(f"a lock is held for 3,650 days at most, or without end (None); hold_timeout is {given!r}")
    return seconds


def _seconds(name: str, given: Seconds | None) -> float | None:
    if given is None:
        return None
    if isinstance(given, (str, bytes)):
        raise TypeError(f"{name} is a number of seconds or a timedelta; this one is a {type(given).__name__}")
    try:
        seconds = float(given.total_seconds() if isinstance(given, timedelta) else given)
    except OverflowError:
        seconds = math.inf if given > 0 else -math.inf  # type: ignore[operator]
    if math.isnan(seconds) or seconds < 0:
        raise InvalidArgument(f"{name} is 0 seconds or more; this one is {given!r}")
    return seconds


#: The longest hold that there is, in seconds: 3,650 days.
_FOR_EVER = 3_650 * 24 * 3_600.0
