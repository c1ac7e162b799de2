"""Prefect's lock manager on one file: for transactions and cache policies whose isolation level is ``SERIALIZABLE``.

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
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Union

from lockstore._kept import kept_store
from lockstore._native import Lock, Store
from lockstore.errors import (
    AcquireTimeout,
    HeldByOther,
    HeldOtherwise,
    InvalidArgument,
    LeaseLost,
    LockStoreError,
    NotHeld,
)

__all__ = ["LockStoreManager"]

Seconds = Union[float, timedelta]


class LockStoreManager:
    """Prefect's ``LockManager`` on the store at ``path``, which all processes of one user on one machine share.

    Two managers of one path and the same options are equal; a copy, a pickled one in another process say, is a manager of the same
    path. All managers of a path in one process share one open store, which is opened by the first call. A forked child opens its own.

    Args:
        path: The store's file. It is made if it is not there; its folder must be.
        hold_timeout: For how many seconds a lock is held that is acquired without a ``hold_timeout``, as Prefect's are. By default it
            has no end.
        acquire_timeout: For how many seconds to wait for a lock that is acquired without an ``acquire_timeout``, as Prefect's are.
            When they are over, ``AcquireTimeout`` (a ``TimeoutError``) is raised, for Prefect does not look at what ``acquire_lock``
            returns. By default for ever.
        keep_alive: Whether locks that are held for this manager's ``hold_timeout`` are renewed while this process lives, by a native
            thread that no busy event loop holds up. An explicit ``hold_timeout`` is the end in any case.
        session: Whether locks end with the process that has acquired them, however it ends: the locks of a flow that is killed are free
            at once. Otherwise they are held until their ``hold_timeout`` is over.
        strict_release: Whether it is an error (``NotHeld``, a ``ValueError``) to release a lock that nobody holds. By default it is
            not: Prefect releases twice when a transaction is committed inside of its ``with``.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        hold_timeout: Seconds | None = None,
        acquire_timeout: Seconds | None = None,
        keep_alive: bool = True,
        session: bool = True,
        strict_release: bool = False,
    ) -> None:
        self.path = os.path.abspath(os.fspath(path))
        self.hold_timeout = _seconds("hold_timeout", hold_timeout)
        self.acquire_timeout = _seconds("acquire_timeout", acquire_timeout)
        self.keep_alive = bool(keep_alive)
        self.session = bool(session)
        self.strict_release = bool(strict_release)
        if self.hold_timeout == 0:
            raise InvalidArgument("a lock is held for longer than 0 seconds; hold_timeout is 0")

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
        ``ValueError``) for a time that is negative or not a number, for a hold of 0 seconds and for a key or a holder that is empty or
        longer than 1,024 bytes, and any other ``LockStoreError``.
        """
        deadline = self._deadline(acquire_timeout)
        lock = self._lock(key, holder, hold_timeout)
        try:
            with self._renewals_end(key, holder):
                while True:
                    try:
                        lock.acquire(_left(deadline))
                        break
                    except HeldOtherwise as error:
                        if self._acquire_again(key, holder, hold_timeout, error):
                            return True
        except AcquireTimeout:
            if acquire_timeout is None:
                raise
            return False
        self._take_note(lock, key, holder, hold_timeout)
        return True

    async def aacquire_lock(
        self,
        key: str,
        holder: str,
        acquire_timeout: Seconds | None = None,
        hold_timeout: Seconds | None = None,
    ) -> bool:
        """As ``acquire_lock``. No thread waits for it; when it is cancelled, its wait ends."""
        deadline = self._deadline(acquire_timeout)
        lock = self._lock(key, holder, hold_timeout)
        try:
            with self._renewals_end(key, holder):
                while True:
                    try:
                        await lock.acquire_async(_left(deadline))
                        break
                    except HeldOtherwise as error:
                        if self._acquire_again(key, holder, hold_timeout, error):
                            return True
        except AcquireTimeout:
            if acquire_timeout is None:
                raise
            return False
        self._take_note(lock, key, holder, hold_timeout)
        return True

    def release_lock(self, key: str, holder: str) -> None:
        """Releases the lock of ``key``, which ``holder`` holds. When this returns, that is durable.

        Raises ``HeldByOther`` (a ``ValueError``) when another holder has it, whose lock is left alone. Where nobody holds it, this does
        nothing, unless the manager is strict: then it raises ``NotHeld`` (a ``ValueError``).
        """
        self._end_renewals(key, holder)
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
        return self._store().wait_until_free(key, timeout)

    async def await_for_lock(self, key: str, timeout: Seconds | None = None) -> bool:
        """As ``wait_for_lock``. No thread waits for it; when it is cancelled, its wait ends."""
        return await self._store().wait_until_free_async(key, timeout)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LockStoreManager) and self._options() == other._options()

    def __hash__(self) -> int:
        return hash(self._options())

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), self._options()

    def __repr__(self) -> str:
        names = ("hold_timeout", "acquire_timeout", "keep_alive", "session", "strict_release")
        options = "".join(f", {name}={getattr(self, name)!r}" for name in names)
        return f"{type(self).__name__}({self.path!r}{options})"

    def _options(self) -> tuple[str, float | None, float | None, bool, bool, bool]:
        return (
            self.path,
            self.hold_timeout,
            self.acquire_timeout,
            self.keep_alive,
            self.session,
            self.strict_release,
        )

    def _store(self) -> Store:
        return kept_store(self.path)

    def _lock(self, key: str, holder: str, hold_timeout: Seconds | None) -> Lock:
        hold = self._hold(hold_timeout)
        if hold is not None and _seconds("hold_timeout", hold) == 0:
            raise InvalidArgument("a lock is held for longer than 0 seconds; hold_timeout is 0")
        return self._store().lock(
            key, holder, ttl=hold, session=self.session, keep_alive=self._renews(hold_timeout)
        )

    @contextmanager
    def _renewals_end(self, key: str, holder: str) -> Iterator[None]:
        """Ends the renewals of what the holder has already, before it acquires that again: they are for another time than it is to be
        held now, and would come in between. If it does not come to that, they go on."""
        lock = _renewed.pop(self._place(key, holder), None)
        if lock is None:
            yield
            return
        token = lock.leak()
        try:
            yield
        except BaseException:
            # What cannot be resumed is over, or its store is.
            with suppress(LockStoreError):
                lock.resume(token)
                if _renewed.setdefault(self._place(key, holder), lock) is not lock:
                    lock.leak()
            raise

    def _take_note(self, lock: Lock, key: str, holder: str, hold_timeout: Seconds | None) -> None:
        if self._renews(hold_timeout):
            # Another acquisition by the same holder may have come in between: there is one grant, and one who renews it.
            while _renewed.setdefault(self._place(key, holder), lock) is not lock:
                self._end_renewals(key, holder)
        else:
            # The protocol knows holders and no objects: nothing but a release ends it.
            lock.leak()

    def _end_renewals(self, key: str, holder: str) -> None:
        lock = _renewed.pop(self._place(key, holder), None)
        if lock is not None:
            lock.leak()

    def _place(self, key: str, holder: str) -> tuple[int, str, str, str]:
        return os.getpid(), self.path, key, holder

    def _acquire_again(self, key: str, holder: str, hold_timeout: Seconds | None, otherwise: HeldOtherwise) -> bool:
        """The holder has it by another process, or by a manager with another ``session``, with whose end it ends as before: whether it
        has it yet. If not, it is to be acquired like any other. A lock that it shares with others is none of ours."""
        store = self._store()
        hold = self._hold(hold_timeout)
        info = store.inspect(key)
        held = next((held for held in info.holders if held.holder == holder), None) if info is not None else None
        if info is None or held is None:
            return False
        if info.mode != "exclusive":
            raise otherwise
        try:
            store.renew(key, holder, held.token, _FOR_EVER if hold is None else hold)
        except LeaseLost:
            return False
        return True

    def _deadline(self, acquire_timeout: Seconds | None) -> float | None:
        """When an acquisition that begins now has waited long enough."""
        timeout = self.acquire_timeout if acquire_timeout is None else _seconds("acquire_timeout", acquire_timeout)
        return None if timeout is None else time.monotonic() + timeout

    def _hold(self, hold_timeout: Seconds | None) -> Seconds | None:
        return self.hold_timeout if hold_timeout is None else hold_timeout

    def _renews(self, hold_timeout: Seconds | None) -> bool:
        return self.keep_alive and hold_timeout is None and self.hold_timeout is not None


def _left(deadline: float | None) -> float | None:
    """For how many seconds to wait yet."""
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def _seconds(name: str, given: Seconds | None) -> float | None:
    if given is None:
        return None
    seconds = float(given.total_seconds() if isinstance(given, timedelta) else given)
    if math.isnan(seconds) or seconds < 0:
        raise InvalidArgument(f"{name} is 0 seconds or more; this one is {given!r}")
    return seconds


#: The locks that are renewed, by process, store, key and holder: managers come and go as Prefect copies them. What a forked child has
#: inherited stays here untouched, for it is its parent's.
_renewed: dict[tuple[int, str, str, str], Lock] = {}

#: The longest hold that there is, in seconds: 3,650 days.
_FOR_EVER = 3_650 * 24 * 3_600.0
