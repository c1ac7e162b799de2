"""The locks that this process renews for holders who have no ``Lock`` of their own."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterator
from contextlib import contextmanager, suppress

from lockstore._native import Lock
from lockstore.errors import LockStoreError

__all__ = ["Renewal"]


class Renewal:
    """The renewals of what ``holder`` has of ``key``, in a ``store`` by its path and options: at most one lock has them."""

    def __init__(self, store: Hashable, key: str, holder: str) -> None:
        self._place = (os.getpid(), store, key, holder)

    def begin(self, lock: Lock) -> None:
        """From now on it is this lock, which is held and renewed by itself."""
        # Another acquisition by the same holder may have come in between: there is one grant, and one who renews it.
        while _renewed.setdefault(self._place, lock) is not lock:
            self.end()

    def end(self) -> None:
        """The grant stays as it is, and nobody renews it."""
        lock = _renewed.pop(self._place, None)
        if lock is not None:
            lock.leak()

    @contextmanager
    def ends(self) -> Iterator[None]:
        """Ends it before the holder acquires again what it has: it is for another time than the lock is to be held now, and would come
        in between. If it does not come to that, it goes on."""
        lock = _renewed.pop(self._place, None)
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
                if _renewed.setdefault(self._place, lock) is not lock:
                    lock.leak()
            raise


#: By process, store, key and holder. What a forked child has inherited stays here untouched, for it is its parent's.
_renewed: dict[tuple[int, Hashable, str, str], Lock] = {}
