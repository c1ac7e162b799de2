"""Stores that are open for as long as this process lives: one for each file."""

from __future__ import annotations

import os
import threading

from lockstore._native import Store, Subscription

__all__ = ["kept_store", "uri"]


def uri(path: str | os.PathLike[str]) -> str:
    """The ``mongodb://`` address of the file's socket, for pymongo and any other driver. Its server runs while this process lives, and is
    started again if it ends.

    Raises ``ServerUnavailable`` (a ``ConnectionError``) when there is no way to a server.
    """
    store = kept_store(path)
    with _lock:
        if (key := (os.getpid(), str(store.path))) not in _watches:
            # Who waits for events notices that a server has ended, and starts the next.
            _watches[key] = store.subscribe(_NOTHING)
    return store.uri


def kept_store(path: str | os.PathLike[str]) -> Store:
    """The one store of this file in this process, which is opened if need be. A forked child opens its own, and never touches what it
    has inherited."""
    key = (os.getpid(), os.path.realpath(path))
    # Who finds it does not wait while another is opened, which may take long.
    store = _stores.get(key)
    if store is None:
        with _lock:
            store = _stores.get(key)
            if store is None:
                store = _stores[key] = Store(path)
    return store


def _in_forked_child() -> None:
    # Another thread may have had it.
    global _lock
    _lock = threading.RLock()


# A signal's handler may come while this thread has it.
_lock = threading.RLock()
_stores: dict[tuple[int, str], Store] = {}
_watches: dict[tuple[int, str], Subscription] = {}

os.register_at_fork(after_in_child=_in_forked_child)

#: A prefix that no key has: only what concerns no lock is told.
_NOTHING = "\0no key"
